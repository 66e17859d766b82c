"""The two errors of a prediction by bags: that of the method, and that of a corpus which is no larger than it is.

The method errs because it sees some sentences at a time, and perhaps not all: by the chance of its groups and of its
sample, and by a bias, as words that are raked in a group are in less company there than they are in all. Groups as they
are cut have no such bias: on average their slope is that of all bags. So another run, by other groups that are not
raked and, where not all sentences are kept, with weights that stand for another sample of them, differs from the first
by the bias once, by the chance of the sample once and by that of groups more than once. Its distance is what is stated:
the error of the first run, or somewhat more.
The corpus errs because it might have been another one: runs on bootstrap draws of its sentences, each with a
co-occurrence of its own, spread about the prediction as predictions from other corpora of this size would.
What both are is measured on what the result keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynamics.problems.kinds.bags import BagsClosure
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.support.trajectory import half_times

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["stated", "told", "with_errors"]

Progress = Callable[[float], None]

BAND = 2.0
"""Standard errors on either side of an interval: about 95 % of normal errors."""
WITHIN = 0.1
"""The relative error of the corpus above which a text is announced not to determine W or A."""
MOST = 1000
"""Bootstrap draws: more say nothing more."""
HALVES = ("beta", "attention")
"""Curves that rise from uniform to learnt, whose times of half have errors too."""


def stated(
    problem: Problem,
    draws: int,
    solved: Callable[[Problem, Progress | None], xr.Dataset],
    progress: Progress | None = None,
) -> xr.Dataset:
    """A prediction by bags with its errors: one run more, and one on each of some bootstrap draws.

    Parameters
    ----------
    problem : BagsClosure
    draws : int
        From 0.
    solved : callable
        Solves a problem of this kind; takes what is called with the share that is done.
    progress : callable, optional
        Called with the share of all runs that is done.

    Raises
    ------
    InputError
        Another kind of problem, whose errors are not known; or a number of draws that is not whole or below 0.
    """
    if not isinstance(problem, BagsClosure):
        raise InputError(
            f"the errors of {problem.described} are not known; with sentences beside the counts (keep_bags=), "
            "closure='bags' states its own"
        )
    if isinstance(draws, bool) or not isinstance(draws, Integral) or not 0 <= draws <= MOST:
        raise InputError(f"errors is {draws!r}: give the number of bootstrap draws, from 0 to {MOST}")
    seed, groups = problem.seed, len(problem.parts)
    runs = [
        problem,
        replace(problem, seed=seed + 1, shaken=seed + 1, groups=groups, often=math.inf),
        *(replace(problem, seed=seed + 2 + k, draw=seed + k) for k in range(int(draws))),
    ]

    def share(k: int) -> Progress | None:
        return None if progress is None else lambda done: progress((k + done) / len(runs))

    found, other, *drawn = (solved(run, share(k)) for k, run in enumerate(runs))
    return with_errors(found, other, drawn)


def with_errors(found: xr.Dataset, other: xr.Dataset, draws: Sequence[xr.Dataset]) -> xr.Dataset:
    """A prediction with its errors beside it.

    Parameters
    ----------
    found : Dataset
        The prediction; its variables stay as they are.
    other : Dataset
        The same by other groups, not raked.
    draws : sequence of Dataset
        The same on bootstrap draws of the bags.

    Returns
    -------
    Dataset
        For every variable X of real numbers: ``X_error`` (time), the error of the method, and ``X_corpus_error``
        (time), that of the corpus, both relative, in the Frobenius norm of what is kept; and ``X_interval`` (bound,
        time, ...), two standard errors about X. For KTIW and attention ``X_half_time``, when each comes to half of its
        final value, with ``X_half_time_error``, of the method, and ``X_half_time_interval``, in tau.
    """
    import xarray as xr

    more: dict[str, Any] = {}
    whole = [name for name, values in found.data_vars.items() if values.dtype.kind == "f" and "time" in values.dims]
    for name in map(str, whole):
        values = found[name]
        kept = [dim for dim in values.dims if dim not in ("time", "stages")]
        size = np.sqrt((values**2).sum(kept))

        def relative(runs: Sequence[xr.Dataset], name: str = name, kept: Any = kept, size: Any = size) -> Any:
            off = sum(((run[name] - found[name]) ** 2).sum(kept) for run in runs) / len(runs)
            return np.sqrt(off) / xr.where(size > 0, size, 1.0)

        about = {"units": "1"}
        more[f"{name}_error"] = (
            relative([other])
            .drop_attrs(deep=False)
            .assign_attrs(about, long_name=f"relative error of {name}: of the method")
        )
        if draws:
            more[f"{name}_corpus_error"] = (
                relative(draws)
                .drop_attrs(deep=False)
                .assign_attrs(about, long_name=f"relative error of {name}: of the corpus")
            )
        low, high = (0.0, 1.0) if values.attrs.get("units") == "1" else (-np.inf, np.inf)
        spread = standard(values.values, other[name].values, [draw[name].values for draw in draws])
        more[f"{name}_interval"] = interval(values, spread, low, high)
    for name in HALVES:
        if name not in found:
            continue
        halves = [half_times(run[name].transpose("time", ...)) for run in (found, other, *draws)]
        first = (
            halves[0].drop_attrs(deep=False).assign_attrs(long_name=f"time at half of the final {name}", units="tau")
        )
        spread = standard(first.values, halves[1].values, [half.values for half in halves[2:]])
        more[f"{name}_half_time"] = first
        more[f"{name}_half_time_error"] = (
            abs(halves[1] - first)
            .drop_attrs(deep=False)
            .assign_attrs(long_name=f"error of the time at half of {name}: of the method", units="tau")
        )
        more[f"{name}_half_time_interval"] = interval(first, spread, 0.0, np.inf)
    result = found.assign(more).assign_coords(bound=["lower", "upper"])
    result.attrs = {**found.attrs, "bootstrap_draws": len(draws)}
    return result


def standard(values: NDArray[Any], other: NDArray[Any], draws: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The standard error of each number: of the corpus, which draws of other groups have that of the method in too."""
    if not draws:
        found: NDArray[Any] = np.abs(other - values)
        return found
    spread: NDArray[Any] = np.sqrt(sum((draw - values) ** 2 for draw in draws) / len(draws))
    return spread


def interval(values: xr.DataArray, spread: NDArray[Any], low: float, high: float) -> xr.DataArray:
    """Two standard errors on either side, within what the values can be."""
    import xarray as xr

    bounds = [(values + sign * BAND * spread).clip(low, high) for sign in (-1, 1)]
    found: xr.DataArray = (
        xr.concat(bounds, "bound")
        .drop_attrs(deep=False)
        .assign_attrs(
            long_name=f"two standard errors about {values.name}, of the corpus and of the method",
            units=values.attrs.get("units", ""),
        )
    )
    return found


def told(found: xr.Dataset, within: float = WITHIN) -> tuple[list[str], str]:
    """The errors in a line each, and a warning if the text does not determine the prediction as well as is asked for.

    Raises
    ------
    InputError
        ``within`` is not a positive number.
    """
    if not within > 0:
        raise InputError(f"{within} is not a relative error; give a positive number, such as 0.1")
    names = [name for name in ("W", "A", "beta", "attention") if f"{name}_error" in found]
    part = found.isel(stages=0) if "stages" in found.dims else found
    end = float(part.time[-1])

    def at_end(suffix: str) -> str:
        return ", ".join(f"{name} {100 * float(part[f'{name}_{suffix}'][-1]):.2g} %" for name in names)

    lines = [f"error of the method at tau = {end:g} (other groups of sentences, as they are): {at_end('error')}"]
    if not any(f"{name}_corpus_error" in part for name in names):
        return [*lines, "error of the corpus: unknown, no bootstrap draw was asked for"], ""
    draws = found.attrs["bootstrap_draws"]
    lines.append(f"error of the corpus at tau = {end:g} ({draws} bootstrap draws): {at_end('corpus_error')}")
    off = np.max([part[f"{name}_corpus_error"].values for name in names if name in ("W", "A")], axis=0)
    beyond = np.flatnonzero((off > within) & (part.time.values > 0))
    if not beyond.size:
        return lines, ""
    return lines, (
        f"from tau = {float(part.time[beyond[0]]):.3g} on another text of this kind and size would give W or A that"
        f" differ by more than {100 * within:g} %: count more text, or end before"
    )
