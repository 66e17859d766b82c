"""Critical sample sizes: where half of the trials succeed, by a grid, by bisection or of a diagram; and their law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from dynamics.support.errors import InputError
from dynamics.support.typing import Vector
from dynamics.train.sparse import SUCCESSES, learning_probability

if TYPE_CHECKING:
    import xarray as xr


MOST = 2**20
"""Samples after which the search for a critical size gives up."""


@dataclass(frozen=True)
class Critical:
    """The sample size at which half of the trials succeed, with an interval of 95 %."""

    m: float
    low: float
    high: float


def interval(probability: ArrayLike, trials: int, level: float = 0.95) -> tuple[Vector, Vector]:
    """Wilson's interval of a binomial proportion.

    Examples
    --------
    >>> [float(end.round(3)) for end in interval(0.5, 50)]
    [0.366, 0.634]
    """
    share, z = np.asarray(probability, dtype=float), scipy.stats.norm.ppf((1 + level) / 2)
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return middle - half, middle + half


def critical(m: ArrayLike, probability: ArrayLike, trials: int) -> Critical:
    """Where a learning curve passes one half: logistic regression, with the interval of its likelihood ratio.

    Parameters
    ----------
    m, probability : array_like, shape (n,)
        Sample sizes and the shares of trials that succeed.
    trials : int
        At each of them.

    Raises
    ------
    InputError
        If no share is below, or none above, one half: the grid of m does not hold the critical one.

    Examples
    --------
    >>> found = critical([10, 20, 30, 40], [0.0, 0.2, 0.8, 1.0], trials=50)
    >>> [round(float(value), 1) for value in (found.low, found.m, found.high)]
    [23.4, 25.0, 26.6]
    """
    sizes, share = np.asarray(m, dtype=float), np.asarray(probability, dtype=float)
    if not (share < 0.5).any() or not (share > 0.5).any():
        raise InputError(
            f"critical m is not within {sizes.min():g} to {sizes.max():g}: the shares go from {share.min():g} to"
            f" {share.max():g}; widen the grid"
        )
    steepness = np.geomspace(0.1 / np.ptp(sizes), 20 / np.diff(np.unique(sizes)).min(), 60)
    grid = np.linspace(sizes.min(), sizes.max(), 801)
    logit = np.multiply.outer(steepness, sizes - grid[:, None])
    zero = np.logaddexp(0, logit)
    values = trials * ((logit * share - zero).sum(axis=2)).max(axis=0)  # of each middle, at its best steepness
    inside = grid[2 * (values.max() - values) <= scipy.stats.chi2.ppf(0.95, 1)]
    best = grid[values >= values.max() - 1e-9]
    return Critical(float(best.mean()), float(inside[0]), float(inside[-1]))


def find_critical(
    kind: str | Sequence[int],
    support: int | Sequence[int],
    T: int,
    trials: int = 50,
    seed: int = 0,
    uniform: bool = False,
    *,
    width: float = 0.05,
    **options: Any,
) -> Critical:
    """The sample size at which half of the trials succeed, by doubling and bisection; no grid is needed.

    Sizes are doubled until more than half of the trials succeed, and the interval is halved until it is no wider than a
    share ``width`` of the size. All that was tried on the way goes into the estimate (:func:`critical`).

    Parameters
    ----------
    kind, support, T, trials, seed, uniform
        As for :func:`learn_cells`, with one length.
    width : float
        Where bisection stops.
    **options
        ``success``, ``noise``, ``end``, ``threads`` of :func:`learning_probability`.

    Raises
    ------
    InputError
        As for :func:`learning_probability`; or half of the trials fail at 2^20 samples.

    Examples
    --------
    >>> found = find_critical("and", 2, T=20, trials=10)
    >>> 5 < found.low < found.m < found.high < 40
    True
    """
    tried: dict[int, float] = {}

    def more_than_half(m: int) -> bool:
        tried[m] = float(learning_probability(kind, support, T, m, trials, seed, uniform, **options))
        return tried[m] > 0.5

    high = 4
    while not more_than_half(high):
        high *= 2
        if high > MOST:
            raise InputError(f"half of the trials fail with {MOST:,} samples of {T} bits; the noise may be too high")
    low = high // 2
    while high - low > max(1, width * high):
        middle = (low + high) // 2
        low, high = (low, middle) if more_than_half(middle) else (middle, high)
    if not any(share < 0.5 for share in tried.values()):
        tried[1] = 0.0  # one sample says nothing
    return critical(list(tried), list(tried.values()), trials)


def critical_sizes(diagram: xr.Dataset) -> xr.Dataset:
    """Critical sample sizes along T, from a phase diagram over T and m, and their log law.

    Parameters
    ----------
    diagram : xarray.Dataset
        From :func:`dynamics.phase_diagram` of a sparse function, of theory or of a simulation.

    Returns
    -------
    xarray.Dataset
        ``m`` over (T); of a simulation with ``low`` and ``high``, the interval of 95 %. Not a number where the diagram
        does not hold it. Attributes ``slope`` (samples for each doubling of T), ``slope_error``, ``level``, ``r2`` of
        m = slope log2(T) + level, if there are three sizes.

    Raises
    ------
    InputError
        If the diagram is not of a sparse function, or its axes are not T and m.

    Examples
    --------
    >>> from dynamics import phase_diagram
    >>> found = critical_sizes(phase_diagram("and", {"m": [10, 20, 30, 40, 50, 60], "T": [50, 100, 200, 400]}))
    >>> found.m.values.round(), round(found.attrs["slope"])
    (array([25., 30., 35., 40.]), 5)
    """
    import xarray as xr

    if diagram.attrs["observable"] not in SUCCESSES:
        raise InputError(f"a diagram of {diagram.attrs['system']}: critical sample sizes are those of sparse functions")
    if set(diagram.value.dims) != {"T", "m"}:
        raise InputError(f"axes {', '.join(map(str, diagram.value.dims))}: critical sample sizes take T and m")
    simulated = diagram.attrs["method"] == "simulation"
    sizes, rows = diagram["m"].values.astype(float), diagram.value.transpose("T", "m").values
    ends = np.full((len(rows), 3), np.nan)
    for k, share in enumerate(rows):
        if simulated and (share < 0.5).any() and (share > 0.5).any():
            found = critical(sizes, share, int(diagram.attrs["draws"]))
            ends[k] = found.m, found.low, found.high
        elif not simulated and (np.diff(share >= 0.5)).any():
            ends[k, 0] = np.interp(0.5, share, sizes)
    names = ("m", "low", "high") if simulated else ("m",)
    law: dict[str, float] = {}
    held = np.isfinite(ends[:, 0])
    if held.sum() > 2:
        fit = log_law(diagram["T"].values[held], ends[held, 0])
        law = {"slope": fit.slope, "slope_error": fit.error, "level": fit.level, "r2": fit.r2}
    return xr.Dataset({name: ("T", ends[:, k]) for k, name in enumerate(names)}, {"T": diagram["T"]}, law)


@dataclass(frozen=True)
class LogLaw:
    """m = slope log2(T) + level, by least squares, with the slope's standard error and the share of variance."""

    slope: float
    level: float
    error: float
    r2: float


def log_law(T: ArrayLike, m: ArrayLike) -> LogLaw:
    """The fit of critical sample sizes by a straight line in log2 T.

    Examples
    --------
    >>> log_law([50, 100, 200], [25, 30, 35]).slope
    5.0
    """
    fit = scipy.stats.linregress(np.log2(np.asarray(T, dtype=float)), np.asarray(m, dtype=float))
    return LogLaw(float(fit.slope), float(fit.intercept), float(fit.stderr), float(fit.rvalue**2))
