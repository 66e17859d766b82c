"""Values on a grid, computed where they turn and interpolated where they don't."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dynamics.support.typing import Vector

Places = NDArray[np.int64]

TOLERANCE = 0.02
"""Interpolation whose error is below this, by second differences, is good enough."""


def refined(
    shape: tuple[int, int], levels: int, compute: Callable[[int, Places], Vector]
) -> tuple[Vector, NDArray[np.bool_]]:
    """A function on a grid, from as few of its values as will do.

    It begins with every 2^levels-th row and column, and halves the distance so often. Of the places between, those in a
    square are computed if one of its corners is beside a jump or a bend: a value of another kind (infinite, not a
    number), or second differences by which interpolation would miss more than TOLERANCE. The others are interpolated,
    linearly in both directions. Both sides of a jump are such corners, so that in the end all places within two of it
    are computed, if the first squares saw it at all.

    Parameters
    ----------
    shape : (int, int)
    levels : int
        0 computes all.
    compute : callable
        From a level (0 first) and flat places in the grid to values there, on a scale on which TOLERANCE is small.

    Returns
    -------
    value, computed : ndarray, shape ``shape``
        Values, and which of them are not interpolated.

    Examples
    --------
    >>> step = lambda level, places: np.where(places % 64 < 20, 0.0, 1.0)
    >>> value, computed = refined((64, 64), 3, step)
    >>> bool((value == np.where(np.arange(64) < 20, 0, 1)).all()), int(computed.any(axis=0).sum())
    (True, 18)
    """
    value, computed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    ticks = [every(n, 2**levels) for n in shape]
    wanted = np.zeros(shape, dtype=bool)
    wanted[np.ix_(*ticks)] = True
    for level in range(levels + 1):
        places = np.flatnonzero(wanted & ~computed)
        if places.size:
            value.ravel()[places] = compute(level, places)
            computed.ravel()[places] = True
        if level == levels:
            break
        coarse = value[np.ix_(*ticks)]
        finer = [every(n, 2 ** (levels - level - 1)) for n in shape]
        wanted[:] = False
        wanted[np.ix_(*finer)] = beside(rough(coarse, ticks), ticks, finer)
        known = value[np.ix_(*finer)]
        value[np.ix_(*finer)] = np.where(computed[np.ix_(*finer)], known, interpolated(coarse, ticks, finer))
        ticks = finer
    return value, computed


def every(n: int, stride: int) -> Places:
    """Every so many of n places, and the last."""
    return np.unique(np.append(np.arange(0, n, stride), n - 1))


def rough(value: Vector, ticks: Sequence[Places]) -> NDArray[np.bool_]:
    """Places beside a jump or a bend."""
    kind = np.select([np.isnan(value), value == np.inf, value == -np.inf], [1, 2, 3], 0)
    found, error = np.zeros(value.shape, dtype=bool), np.zeros(value.shape)
    for axis in (0, 1):
        kinds, values = np.moveaxis(kind, axis, 0), np.moveaxis(np.where(kind == 0, value, 0.0), axis, 0)
        flags, errors = np.moveaxis(found, axis, 0), np.moveaxis(error, axis, 0)  # views
        differ = kinds[1:] != kinds[:-1]
        flags[1:] |= differ
        flags[:-1] |= differ
        if len(values) < 3:
            errors += np.ptp(values, axis=0)
            continue
        step = np.diff(ticks[axis])[:, None]
        between_neighbours = (step[1:] * values[:-2] + step[:-1] * values[2:]) / (step[1:] + step[:-1])
        bend = abs(values[1:-1] - between_neighbours) / 4  # over twice the distance the error is four times this
        errors[1:-1] += bend
        errors[0] += bend[0]
        errors[-1] += bend[-1]
    return np.asarray(found | (error > TOLERANCE))


def beside(corner: NDArray[np.bool_], coarse: Sequence[Places], fine: Sequence[Places]) -> NDArray[np.bool_]:
    """Fine places in, and on the sides of, coarse squares that have such a corner."""
    for axis in (0, 1):
        lines = np.moveaxis(corner, axis, 0)
        square, last = lines[1:] | lines[:-1], len(lines) - 2
        below = np.clip(np.searchsorted(coarse[axis], fine[axis], "left") - 1, 0, last)
        above = np.clip(np.searchsorted(coarse[axis], fine[axis], "right") - 1, 0, last)
        corner = np.moveaxis(square[below] | square[above], 0, axis)
    return corner


def interpolated(value: Vector, coarse: Sequence[Places], fine: Sequence[Places]) -> Vector:
    """Linear in both directions, between values of one kind."""
    finite = np.isfinite(value)
    number, other = np.where(finite, value, 0.0), np.where(finite, 0.0, value)
    for axis in (0, 1):
        below, above, share = between(coarse[axis], fine[axis])
        weight = share[:, None] if axis == 0 else share
        number = (1 - weight) * number.take(below, axis) + weight * number.take(above, axis)
        other = other.take(np.where(share < 0.5, below, above), axis)
    return number + other


def between(coarse: Places, fine: Places) -> tuple[Places, Places, Vector]:
    """For each fine place, the coarse ones below and above (itself, if it is one), and its share of the way."""
    above = np.searchsorted(coarse, fine)
    below = np.maximum(np.where(coarse[above] == fine, above, above - 1), 0)
    share = (fine - coarse[below]) / np.maximum(coarse[above] - coarse[below], 1)
    return below, above, share


__all__ = ["TOLERANCE", "refined"]
