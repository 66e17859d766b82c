"""When a word is learnt: the measure, the same for what is forecast and for what is measured.

The gain of a word is the probability that a model gives it where it stands, less the probability that it gives it there
with the source of another sentence: what the source tells. A word is learnt when its gain has come half of the way to
its end.

The end is that of the records, and so is the smoothing: records farther apart take the end from earlier steps, at which
late words still rise, and so make these early. Both are looked at at steps a factor `SPACING` apart.
"""

from __future__ import annotations

import numpy as np

from dynamics.support.typing import Vector

__all__ = ["LAST", "LEVEL", "SPACING", "learning_steps", "recorded_steps", "smoothed"]

LEVEL = 0.5
"""Of the way to the end."""

LAST = 3
"""Records whose mean is the end."""

SPACING = 1.5**0.5
"""Factor between the steps of records: those that the end is taken from reach back to two thirds of the steps."""


def recorded_steps(first: float, last: float) -> Vector:
    """Step 0, and from a first one to the last steps evenly in their logarithm, about `SPACING` apart.

    Examples
    --------
    >>> recorded_steps(40, 90).round(1).tolist()
    [0.0, 40.0, 49.0, 60.0, 73.5, 90.0]
    """
    number = 1 + max(LAST, round(np.log(last / first) / np.log(SPACING)))
    return np.concatenate([[0.0], np.geomspace(first, last, number)])


def smoothed(curves: Vector) -> Vector:
    """Every record but the first and the last averaged with its neighbours, 1/4 1/2 1/4.

    Parameters
    ----------
    curves : ndarray, shape (records, ...)

    Examples
    --------
    >>> smoothed(np.array([0.0, 0.0, 4.0, 4.0])).tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    found = np.array(curves, dtype=float)
    found[1:-1] = 0.25 * found[:-2] + 0.5 * found[1:-1] + 0.25 * found[2:]
    return found


def learning_steps(curves: Vector, steps: Vector, level: float = LEVEL) -> Vector:
    """The step at which each curve first comes to a share of its end, interpolated in the logarithm of the step.

    Parameters
    ----------
    curves : ndarray, shape (records, ...)
        Gains or other quantities that grow from about 0; their end is the mean of the last `LAST` records.
    steps : ndarray, shape (records,)
        Rising; a first step of 0 counts as 1.
    level : float
        The share.

    Returns
    -------
    ndarray, shape (...)
        NaN for curves whose end is not above 0.

    Examples
    --------
    >>> learning_steps(np.array([[0.0], [0.0], [1.0], [1.0], [1.0]]), np.array([0.0, 10, 1000, 1e4, 1e5])).round(3)
    array([100.])
    """
    given, logs = np.asarray(curves, dtype=float), np.log(np.maximum(np.asarray(steps, dtype=float), 1))
    values = given.reshape(len(given), -1)
    aim = level * values[-LAST:].mean(axis=0)
    after = np.argmax(values >= aim, axis=0)
    each = np.arange(values.shape[1])
    before = np.maximum(after - 1, 0)
    low, high = values[before, each], values[after, each]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(after > 0, (aim - low) / (high - low), 0.0)
        found = np.where(aim > 0, np.exp(logs[before] + share * (logs[after] - logs[before])), np.nan)
    return found.reshape(given.shape[1:])
