"""Errors in the user's words."""

import re


class InputError(ValueError):
    """The input cannot be used as it is.

    The message is one line: what is wrong, where, and what to do. It names arguments as Python has them,
    ``resume=True``; the command line prints it with its options instead (:func:`in_options`) and exits with status 2.

    Examples
    --------
    >>> from dynamics import copying
    >>> copying(vocab=4, length=8)
    Traceback (most recent call last):
    dynamics.support.errors.InputError: length = 8 distinct words cannot be drawn from vocab = 4; give a smaller length
    """


class IntegrationError(RuntimeError):
    """An integration failed or stalled.

    The message names the time that was reached and what to try. The command line prints it and exits with status 1.

    Examples
    --------
    >>> from dynamics import copying, solve
    >>> solve(copying(vocab=8, length=8), [0, 200], initial={"u": 0.01, "a": 0.01}, max_steps=3)
    Traceback (most recent call last):
    dynamics.support.errors.IntegrationError: the integration stalled after 3 steps at tau = 10.6161 of 200 ...
    """


class DataWarning(UserWarning):
    """Part of the data was set aside; the message counts it.

    Examples
    --------
    >>> import warnings
    >>> from dynamics import CoOccurrence
    >>> with warnings.catch_warnings(record=True) as found:
    ...     warnings.simplefilter("always")
    ...     _ = CoOccurrence.from_parallel_text(["a b", "c"], ["x y", ""])
    >>> print(found[0].category.__name__, "-", found[0].message)
    DataWarning - 1 of 2 pairs have no kept word on one side and are left out (the first is pair 2)
    """


class StabilityWarning(UserWarning):
    """Steps are too long to follow their flow; the message says when, and which learning rate would do.

    Examples
    --------
    >>> import warnings
    >>> from dynamics import copying, simulate
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (D,), (d,), (w,) = sizes("D"), indices("d"), tensors("w")
    >>> bowl = model("Bowl", extents={d: D}, states=w[d], loss=SumOver(w[d] ** 2 / 2, d))
    >>> with warnings.catch_warnings(record=True) as found:
    ...     warnings.simplefilter("always")
    ...     _ = simulate(bowl, lr=2.5, steps=4, values={"D": 2}, initial={"w": 1.0})
    >>> print(found[0].message)
    steps of descent leave the flow: at tau = 0 lr x curvature is 2.5, beyond the 2 of stable steps; lr below 2 would do
    """


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
