"""What a flow keeps, and whether an integration has kept it.

A quantity that is linear in the state (a row sum) is kept by every step of an explicit method, whatever its size, but
for rounding: slopes that should cancel leave a rest of their size times the machine epsilon, and a step multiplies it.
At times of 1e18 or rates of 1e50 that rest is larger than the state, and nothing else tells: the error estimate of
the steps sees a straight line. Any other quantity is kept as well as the state is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dynamics.support.typing import Vector

EPSILON = float(np.finfo(float).eps)
ROUNDINGS = 16
"""Roundings of a step, in the machine epsilon of the scale: its stages, their sum, and the sum of the quantity."""


@dataclass(frozen=True)
class Conserved:
    """Quantities that a flow keeps.

    Attributes
    ----------
    name : str
        For messages: ``sum of the values of a word``.
    values : callable
        ``values(y)``, of any shape: the quantities of a state.
    scale : callable
        ``scale(y)``, of the same shape or one number: the sum of the sizes of the terms that the quantities add up.
        Rounding is measured by it, as the quantities themselves may be 0.
    linear : bool
        Whether the quantities are linear in the state.
    """

    name: str
    values: Callable[[Vector], ArrayLike]
    scale: Callable[[Vector], ArrayLike]
    linear: bool = True


def drift(now: ArrayLike, start: ArrayLike, scale: ArrayLike, atol: float = 0.0) -> float:
    """The largest change of some quantities, each by its scale; infinite where one is not a number.

    Parameters
    ----------
    now, start, scale : array_like
        The quantities at a time and at the beginning, and the sum of the sizes of their terms, which broadcast.
    atol : float
        A change that counts as none.

    Examples
    --------
    >>> drift([1.0, 0.25], [1.0, 0.0], [2.0, 5.0])
    0.05
    >>> drift([0.0, float("nan")], 0.0, 1.0)
    inf
    """
    now, start, scale = (np.asarray(value, dtype=float) for value in (now, start, scale))
    with np.errstate(over="ignore", invalid="ignore"):
        if now.size and scale.size and np.abs(now - start).max() <= atol and scale.max() < np.inf:
            return 0.0  # the usual case, quickly
        finite = np.isfinite(now.sum() + start.sum() + scale.sum())  # or a sum overflows
    if not (finite or (np.isfinite(now).all() and np.isfinite(start).all() and np.isfinite(scale).all())):
        return float("inf")
    change = np.maximum(np.abs(now - start) - atol, 0.0)
    if not change.any():
        return 0.0
    with np.errstate(divide="ignore", over="ignore"):
        return float(
            np.max(np.divide(change, scale, out=np.zeros(np.broadcast(change, scale).shape), where=change > 0))
        )


def allowed(steps: int, rtol: float, linear: bool) -> float:
    """The drift that an integration may have after some steps, by scale.

    Rounding adds up over the steps. To it comes what the tolerance lets a state be off by: once for a quantity that
    every step keeps, at every step for any other.

    Examples
    --------
    >>> f"{allowed(1000, 1e-6, linear=True):.3e}, {allowed(1000, 1e-6, linear=False):.3e}"
    '1.000e-06, 1.000e-03'
    """
    return ROUNDINGS * EPSILON * max(steps, 1) + rtol * (1 if linear else max(steps, 1))
