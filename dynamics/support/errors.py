"""Errors in the user's words."""

import re


class InputError(ValueError):
    """The input cannot be used as it is.

    The message is one line: what is wrong, where, and what to do. It names arguments as Python has them,
    ``resume=True``; the command line prints it with its options instead (:func:`in_options`) and exits with status 2.
    """


class IntegrationError(RuntimeError):
    """An integration failed or stalled.

    The message names the time that was reached and what to try. The command line prints it and exits with status 1.
    """


class DataWarning(UserWarning):
    """Part of the data was set aside; the message counts it."""


class CacheWarning(UserWarning):
    """Nothing is kept between runs, because it cannot be written; results do not depend on it."""


class Interrupted(Exception):
    """Stopped from the keyboard; the message says how to go on."""


def in_options(message: str) -> str:
    """A message with the options of the command line in place of arguments: ``--resume`` for ``resume=True``.

    Examples
    --------
    >>> in_options("it holds a sweep already; go on with it by resume=True, or start anew with force=True")
    'it holds a sweep already; go on with it by --resume, or start anew with --force'
    """
    return re.sub(r"\b([a-z]\w*)=True\b", lambda found: "--" + found[1].replace("_", "-"), message)
