"""Equal error: each contender at about the loosest tolerance whose error is small enough."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf, isfinite, log10
from typing import Any

import numpy as np

from benchmarks.case import Contender
from benchmarks.peers import Prepare, Values

LOOSEST, TIGHTEST = 1e-1, 1e-13
CLOSE, NARROW = 0.3, 0.15
"""Powers of ten: an error so close below the target is equal to it, and tolerances so close are one."""
FIRST, LONGEST = 0.5, 1.5
"""Strides between tolerances, in powers of ten, each twice the one before: all may take the same steps."""
TRIES = 10


def loosest(
    prepare: Callable[[float], Callable[[], Any]],
    error: Callable[[Any], float],
    target: float,
    start: float = LOOSEST,
) -> Contender | None:
    """A contender at a tolerance whose error is at most the target, and as close to it as tolerances come; if any.

    Errors are taken to be proportional to tolerances, or to change less, until a tolerance that is accurate enough and
    one that is not are known; the next lies between them, where a line through their logarithms meets the target. An
    error that is not finite is too large; so is one of a run that fails, unless others have come to an end: then the
    search is over.

    Parameters
    ----------
    prepare : callable
        The run at a tolerance; a run returns what the error is of.
    error : callable
        The error of what a run returned.
    target : float
    start : float
        The tolerance that is tried first. Below the loosest it is thought to be nearly right.

    Examples
    --------
    >>> found = loosest(lambda tolerance: lambda: 3 * tolerance, float, 1e-6)
    >>> f"{found.error:.1e} at {found.tolerance:.1e}"
    '7.1e-07 at 2.4e-07'
    """
    tightest, most = log10(TIGHTEST), log10(LOOSEST)
    place, stride = log10(start), FIRST if start >= LOOSEST else NARROW  # which is what it was for another problem
    fine: tuple[float, float] | None = None
    coarse: tuple[float, float] | None = None
    found: Contender | None = None
    ended = False
    for _ in range(TRIES):
        run = prepare(10**place)
        try:
            value, ended = error(run()), True
        except Exception as failure:  # too many steps, for example
            print(f"  at tolerance {10**place:.2g}: {failure}", file=sys.stderr, flush=True)
            if ended:
                break
            value = inf
        off = log10(max(value, 1e-300) / target) if isfinite(value) else 1.0
        if off <= 0:
            fine, found = (place, off), Contender(run, value, warm=True, tolerance=10**place)
            if off >= -CLOSE or place >= most:
                break
        else:
            coarse = place, off
            if place <= tightest:
                break
        if fine is None:
            place = max(tightest, place - max(off + CLOSE / 2, stride))
        elif coarse is None:
            place = min(most, place + max(-off - CLOSE / 2, stride))
        elif coarse[0] - fine[0] <= NARROW:
            break
        else:
            place = between(fine, coarse)
        stride = min(2 * stride, LONGEST)
    return found


def between(fine: tuple[float, float], coarse: tuple[float, float]) -> float:
    """Where a line meets an error that is as good as equal, away from both ends."""
    (low, below), (high, above) = fine, coarse
    place = (-CLOSE / 2 - below) / (above - below)
    return low + min(max(place, 0.2), 0.8) * (high - low)


def at_equal_error(
    flows: Mapping[str, Prepare],
    error: Callable[[Values], float],
    target: float,
    atol: float = 1e-3,
    near: Mapping[str, Contender] | None = None,
) -> dict[str, Contender]:
    """All that come to an error: peers are those that are not this package's.

    Parameters
    ----------
    flows : mapping of name to callable of (rtol, atol)
    error : callable
        The error of what a run returned.
    target : float
    atol : float
        The absolute tolerance as a part of the relative one.
    near : mapping of name to Contender, optional
        What was found for a problem like this one: tolerances are looked for around its tolerances.
    """
    found = {}
    for name, prepare in flows.items():
        start = near[name].tolerance if near and name in near else LOOSEST
        each = loosest(lambda rtol, prepare=prepare: prepare(rtol, atol * rtol), error, target, start)
        if each is not None:
            found[name] = replace(each, peer=not name.startswith("dynamics"))
    return found


def furthest(exact: Values) -> Callable[[Any], float]:
    """The largest error of a run that returns what is known exactly."""
    return lambda found: float(np.abs(np.asarray(found) - exact).max())
