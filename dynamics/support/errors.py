"""Errors in the user's words."""


class InputError(ValueError):
    """The input cannot be used as it is.

    The message is one line: what is wrong, where, and what to do. The command line prints it and exits with status 2.
    """


class IntegrationError(RuntimeError):
    """An integration failed or stalled.

    The message names the time that was reached and what to try. The command line prints it and exits with status 1.
    """


class DataWarning(UserWarning):
    """Part of the data was set aside; the message counts it."""


class Interrupted(Exception):
    """Stopped from the keyboard; the message says how to go on."""
