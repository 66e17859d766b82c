"""What an integration is given: numbers, times, tolerances and steps, checked in one place for every method.

Whatever is wrong is said here, in one line, before anything is compiled or evaluated: NumPy would take dates and
truth values for times, drop an imaginary part or a mask, and numba cannot type integers of more than 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector

SMALLEST_RTOL = 100 * float(np.finfo(float).eps)
"""The relative tolerance that double precision allows: SciPy's."""
LARGEST_INTEGER = 2**63
WIDE = "holds an integer of more than 64 bits (write it as a float)"
KINDS = {"b": "truth values", "c": "complex numbers", "M": "dates", "m": "spans of dates", "S": "text", "U": "text"}
"""Kinds of NumPy that are not taken for real numbers."""


def shown(value: object, limit: int = 60) -> str:
    """A value in a message: on one line, and not at any length.

    >>> shown(list(range(100)))
    '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16...'
    """
    text = " ".join(str(value).split()) if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def why_not_real(values: Any) -> str | None:
    """Why values are not real numbers of double precision, in words; None if they are."""
    if type(values) is float or (type(values) is np.ndarray and values.dtype == np.float64):  # the usual case, quickly
        return None
    if np.ma.is_masked(values):
        return "has entries that are masked"
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        return "is ragged"
    if array.dtype.kind in KINDS:
        return f"holds {KINDS[array.dtype.kind]}"
    if array.dtype.kind == "u" and array.size and int(array.max()) >= LARGEST_INTEGER:
        return WIDE
    if array.dtype.kind == "O":
        for entry in array.flat:
            if isinstance(entry, int) and abs(entry) >= LARGEST_INTEGER:
                return WIDE
            # Numbers of other libraries (sympy, decimal) have no imaginary part where float takes them.
            if isinstance(entry, str | bytes | bool | np.bool_) or not hasattr(entry, "__float__"):
                return f"holds {shown(entry)}"
            try:
                float(entry)
            except (TypeError, ValueError, OverflowError):
                return f"holds {shown(entry)}"
    return None if array.dtype.kind in "fiuO" else f"holds {array.dtype}"


def state(y0: ArrayLike, locate: Callable[[Vector], str] | None = None) -> Vector:
    """A state as a vector of real, finite numbers; ``locate`` names the tensor of the first one that is not.

    Raises
    ------
    InputError
        Not a vector, complex, not numbers, or not finite.
    """
    reason = why_not_real(y0)
    if reason:
        raise InputError(f"y0 {reason}; give the state as a vector of real numbers")
    y = np.asarray(y0, dtype=np.float64)
    if y.ndim != 1 or y.size == 0:
        raise InputError(f"y0 has shape {y.shape}; give the state as a vector of one number or more")
    finite = np.isfinite(y)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        where = f" in {locate(y)}" if locate is not None else ""
        raise InputError(f"y0[{bad[0]}] = {y[bad[0]]}{where} is not finite; give a state of numbers")
    return y


def number(name: str, value: Any, advice: str, above: float = 0.0, infinite: bool = False) -> float:
    """A real number above a bound, as a float.

    Raises
    ------
    InputError
        With its name, its value, and what to give.

    Examples
    --------
    >>> number("rtol", "1e-6", "1e-6 is usual")
    Traceback (most recent call last):
    dynamics.support.errors.InputError: rtol must be a number, not '1e-6'; 1e-6 is usual
    """
    if type(value) is float and above < value < np.inf:  # the usual case, quickly
        return value
    if np.ndim(value) > 0:
        raise InputError(f"{name} must be one number, not of shape {np.shape(value)}; {advice}")
    if value is None or why_not_real(value):
        huge = isinstance(value, Integral) and not isinstance(value, bool | np.bool_)
        wanted = "a float where 64 bits are too few" if huge else "a number"
        raise InputError(f"{name} must be {wanted}, not {shown(value)}; {advice}")
    found = float(value)
    if np.isnan(found) or (np.isinf(found) and not infinite) or not found > above:
        raise InputError(f"{name} = {value} is not a positive number; {advice}")
    return found


def tolerances(rtol: Any, atol: Any) -> tuple[float, float]:
    """Relative and absolute tolerance of the step-size control, as floats.

    Raises
    ------
    InputError
        One is no positive number (an array is none), or the relative one is below what double precision allows.

    Examples
    --------
    >>> tolerances(1e-16, 1e-9)
    Traceback (most recent call last):
    dynamics.support.errors.InputError: rtol = 1e-16 is below what double precision allows (2.2e-14); 1e-6 is usual
    """
    relative, absolute = number("rtol", rtol, "1e-6 is usual"), number("atol", atol, "1e-9 is usual")
    if relative < SMALLEST_RTOL:
        raise InputError(f"rtol = {rtol} is below what double precision allows ({SMALLEST_RTOL:.1e}); 1e-6 is usual")
    return relative, absolute


def whole(name: str, value: Any, advice: str) -> int:
    """A whole number from 1 on.

    >>> whole("max_steps", 2.5, "100000 is usual")
    Traceback (most recent call last):
    dynamics.support.errors.InputError: max_steps must be a whole number, not 2.5; 100000 is usual
    """
    real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    if not real or value != value // 1:
        raise InputError(f"{name} must be a whole number, not {shown(value)}; {advice}")
    if not value >= 1:
        raise InputError(f"{name} = {value} allows no step; {advice}")
    if value >= LARGEST_INTEGER:
        raise InputError(f"{name} = {shown(value)} is more than 64 bits hold; {advice}")
    return int(value)


def times(t: ArrayLike, name: str = "t") -> Vector:
    """Times as a vector, checked: real numbers, finite, increasing, from 0 on.

    Raises
    ------
    InputError
        With the first entry that is out of order.

    Examples
    --------
    >>> times([0, 1, 3])
    array([0., 1., 3.])
    >>> times([2, 1])
    Traceback (most recent call last):
    dynamics.support.errors.InputError: t is not increasing: t[0] = 2, t[1] = 1; sort it, each once
    """
    found = _finite(t, name, "one or more increasing times")
    if found.size == 0:
        raise InputError(
            f"{name} must be a list of times, not of shape {np.shape(t)}; give one or more increasing times"
        )
    if found[0] < 0:
        raise InputError(f"{name}[0] = {found[0]:g} is before the start at 0; give times from 0 on")
    return _in_order(found, name, 1.0)


def within(at: ArrayLike, start: float, end: float) -> Vector:
    """The times of ``at`` that lie in a span, ends included, checked: finite, and in the order in which they are met.

    Raises
    ------
    InputError
        With the first entry that is out of order.

    Examples
    --------
    >>> within([0, 1, 2, 3], 1, 2)
    array([1., 2.])
    >>> within([4, 3, 1], 0, 5)
    Traceback (most recent call last):
    dynamics.support.errors.InputError: at is not increasing: at[0] = 4, at[1] = 3; sort it, each once
    """
    direction = -1.0 if end < start else 1.0
    found = _in_order(_finite(at, "at", "times in the order in which they are met"), "at", direction)
    first, last = min(start, end), max(start, end)
    if found.size and first <= found[0] <= last and first <= found[-1] <= last:
        return found.copy()
    return found[(direction * found >= direction * start) & (direction * found <= direction * end)]


def span_of(span: Any) -> tuple[float, float]:
    """Both ends of a span, which are finite.

    >>> span_of((0, float("nan")))
    Traceback (most recent call last):
    dynamics.support.errors.InputError: the span must be from one finite time to another, not (0, nan)
    """
    if type(span) is tuple and len(span) == 2 and all(type(end) is float and isfinite(end) for end in span):
        return span  # the usual case, quickly
    if np.ndim(span) != 1 or len(span) != 2 or why_not_real(span) or not np.isfinite(np.asarray(span, float)).all():
        raise InputError(f"the span must be from one finite time to another, not {shown(span)}")
    return float(span[0]), float(span[1])


def step_sizes(
    start: float, end: float, max_step: Any = np.inf, first_step: Any = None, max_steps: int | None = None
) -> tuple[float, float | None]:
    """The largest step and the first one, if it is given, as floats.

    Raises
    ------
    InputError
        One is no positive number, the first is longer than the span, or the largest is so short that it cannot come to
        the end: in as many steps as are allowed, or because times are further apart than that.

    Examples
    --------
    >>> step_sizes(0.0, 1.0, max_step=0.1)
    (0.1, None)
    >>> step_sizes(0.0, 1.0, first_step=2)
    Traceback (most recent call last):
    dynamics.support.errors.InputError: first_step = 2 is longer than the span from 0 to 1; leave it out
    """
    length = abs(end - start)
    largest = number("max_step", max_step, "leave it out", infinite=True)
    spacing = 10 * float(np.spacing(max(abs(start), abs(end))))
    if length > 0 and max_steps is not None and length / largest > max_steps:
        raise InputError(
            f"max_step = {max_step} needs {length / largest:.1e} steps from {start:g} to {end:g}, where max_steps ="
            f" {max_steps} are allowed; leave it out"
        )
    if largest < min(spacing, length):
        raise InputError(f"max_step = {max_step} is below what tells times near {end:g} apart; leave it out")
    if first_step is None:
        return largest, None
    first = number("first_step", first_step, "leave it out")
    if first > length > 0:
        raise InputError(f"first_step = {first_step} is longer than the span from {start:g} to {end:g}; leave it out")
    if first < min(10 * float(np.spacing(abs(start))), length):
        raise InputError(f"first_step = {first_step} is below what tells times near {start:g} apart; leave it out")
    return largest, first


def known_options(given: Iterable[str], known: Iterable[str], method: str) -> None:
    """Refuse options that a method does not have, with the nearest name.

    Raises
    ------
    TypeError
        As for any function that is given an argument which it does not have.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
            raise TypeError(f"{method} has no option {name!r}{hint}")


def _finite(t: ArrayLike, name: str, wanted: str) -> Vector:
    """A list of times without order: real and finite."""
    reason = why_not_real(t)
    if reason:
        raise InputError(f"{name} must be a list of times, not {shown(t)}, which {reason}; give {wanted}")
    found = np.atleast_1d(np.asarray(t, dtype=float))
    if found.ndim != 1:
        raise InputError(f"{name} must be a list of times, not of shape {np.shape(t)}; give {wanted}")
    finite = np.isfinite(found)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(f"{name}[{bad[0]}] = {found[bad[0]]} is not finite; times are tau = learning rate x steps")
    return found


def _in_order(found: Vector, name: str, direction: float) -> Vector:
    """Times that follow one another in a direction."""
    if found.size < 2:
        return found
    rising = found[1:] > found[:-1] if direction > 0 else found[1:] < found[:-1]
    if not rising.all():
        k, order = int(rising.argmin()), "increasing" if direction > 0 else "decreasing, as the span is"
        raise InputError(
            f"{name} is not {order}: {name}[{k}] = {found[k]:g}, {name}[{k + 1}] = {found[k + 1]:g}; sort it, each once"
        )
    return found
