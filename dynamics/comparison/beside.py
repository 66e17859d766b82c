"""A problem trained and solved, from the states at which the seeds start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from dynamics.comparison.agreement import has_stage_one, stage_one
from dynamics.comparison.side_by_side import side_by_side
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.minibatches import Sampled
from dynamics.problems.kinds.reduction import Reduction
from dynamics.problems.optimisers.optimizer import Optimizer, optimizer_of
from dynamics.problems.problem import Problem
from dynamics.problems.solve import as_problem, solve
from dynamics.problems.solving.observables import of_single_examples, watched
from dynamics.support.errors import InputError
from dynamics.tasks import Task
from dynamics.train.simulate import simulate

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["flow_times", "measured", "require_noise", "solved_for", "trained_and_solved", "with_noise"]

MEASURED = 256
"""Examples on which the agreement measures are taken."""
STARTS = 8
"""Flows along which noise is predicted, where seeds start apart."""


def trained_and_solved(
    problem: Any,
    data: Any,
    *,
    prediction: Problem | None = None,
    stages: str | Sequence[str] | None = None,
    band: float,
    right: ArrayLike | None = None,
    values: Mapping[str, float] | None = None,
    observe: str | Sequence[str] | None = None,
    optimizer: Optimizer | str | None = None,
    schedule: Any = None,
    noise: bool = False,
    **training: Any,
) -> xr.Dataset:
    """What :func:`dynamics.compare` does with a problem."""
    chosen = as_problem(problem, data, values=values)
    stepping = optimizer_of(optimizer, training.get("lr"), training.get("batch"), schedule)
    if noise:
        require_noise(chosen, stepping, training.get("batch"), bool(training.get("replacement", False)))
    if stepping is not None:
        training |= {"lr": stepping.lr, "batch": stepping.batch, "optimizer": stepping}
    seen = observed_of(chosen, observe)
    run = simulate(chosen, observe=seen, **training)
    predicted = solved_for(prediction or chosen, chosen, run, training.get("rates"), stages, None, seen, stepping)
    compared = measured(chosen, predicted, run, band, right)
    return with_noise(compared, chosen, run, training.get("rates")) if noise else compared


def require_noise(problem: Problem, optimizer: Optimizer | None, batch: int | None, replacement: bool) -> None:
    """Raise InputError unless the noise of the steps of a run is known."""
    if optimizer is not None and (
        optimizer.name not in ("descent", "momentum") or optimizer.shrinks or not optimizer.schedule.is_constant
    ):
        raise InputError(
            "noise is predicted of descent, with momentum or without, at a constant rate, not of"
            f" {optimizer.name} as it is given; leave noise out"
        )
    if batch is None and (optimizer is None or optimizer.batch is None):
        raise InputError("noise is that of minibatches; give batch, or leave noise out")
    fresh = isinstance(getattr(problem, "data", None), Task) or isinstance(problem, Sampled)
    if not fresh and not replacement:
        raise InputError(
            "noise is that of batches drawn anew, not of shuffles; give a task, or in Python replacement=True"
        )


def with_noise(
    compared: xr.Dataset, problem: Problem, run: xr.Dataset, rates: Mapping[str, float] | None = None
) -> xr.Dataset:
    """A comparison with how far seeds scatter about their flows: as the linear noise has it, and as they do.

    ``*_spread`` is the predicted standard deviation: along one flow if all seeds start alike, else the root mean square
    over those of the first seeds; ``*_scatter`` is that of the seeds about their own predictions.
    """
    from dynamics.comparison.noise import noise

    names, begin, attrs = problem.program.state_names, run.isel(time=0), run.attrs
    alike = all((begin[name] == begin[name].isel(seed=0)).all() for name in names)
    along = [
        noise(
            problem, lr=float(attrs["lr"]), batch=int(attrs["batch"]), t=compared.time.values,
            momentum=float(attrs["momentum"]), rates=rates,
            initial={name: np.asarray(begin[name].isel(seed=k)) for name in names},
        )
        for k in range(1 if alike else min(run.sizes["seed"], STARTS))
    ]  # fmt: skip
    added = {}
    for name in map(str, compared.data_vars):
        if f"{name}_predicted" not in compared or f"{name}_spread" not in along[0]:
            continue
        own = {key: value for key, value in compared[name].attrs.items() if key == "units"}
        predicted = compared[f"{name}_predicted"]
        predicted = predicted.isel(stages=0, drop=True) if "stages" in predicted.dims else predicted
        variance = np.mean([one[f"{name}_spread"].values ** 2 for one in along], axis=0)
        described = {"long_name": f"predicted standard deviation of {name} over seeds", **own}
        added[f"{name}_spread"] = ("time", np.sqrt(variance), described)
        if compared.sizes["seed"] > 1:
            described = {"long_name": f"standard deviation over seeds of {name} about its prediction", **own}
            scatter = (compared[name] - predicted).std("seed", ddof=1)
            added[f"{name}_scatter"] = ("time", scatter.values, described)
    return compared.assign(added)


def observed_of(problem: Problem, observe: str | Sequence[str] | None) -> tuple[str, ...]:
    """What is observed in both, checked: no definition with an entry for each example, where every example is fresh."""
    seen = watched(problem, observe)
    single = of_single_examples(problem.program, seen) if isinstance(getattr(problem, "data", None), Task) else ()
    if single:
        raise InputError(
            f"observe: {single[0]} is of single examples, which are others in a run on fresh ones; observe a mean over"
            " them, or give a fixed set of examples"
        )
    return seen


def flow_times(run: xr.Dataset) -> Any:
    """The times of a run on the clock of the gradient flow, which goes 1/(1 - m) times as fast with momentum m."""
    return run.time.values / (1 - run.attrs["momentum"])


def solved_for(
    prediction: Problem,
    problem: Problem,
    run: xr.Dataset,
    rates: Mapping[str, float] | None = None,
    stages: str | Sequence[str] | None = None,
    progress: Callable[[float], None] | None = None,
    observe: Sequence[str] = (),
    optimizer: Optimizer | None = None,
) -> xr.Dataset:
    """A prediction of a run from the state at which each seed starts; one for all if they start alike."""
    import xarray as xr

    names = problem.program.state_names
    defined = {d.name for d in prediction.program.definitions}
    observe = [name for name in observe if name in defined]
    begin = run.isel(time=0)
    alike = all((begin[name] == begin[name].isel(seed=0)).all() for name in names)
    seeds = run.seed.values[:1] if alike else run.seed.values
    parts = []
    for k, seed in enumerate(seeds):
        states = {name: np.asarray(begin[name].sel(seed=seed)) for name in names}
        start = prediction.project(states) if isinstance(prediction, Reduction) else states
        times = flow_times(run) if optimizer is None else run.time.values
        part = solve(prediction, times, initial=start, rates=rates, stages=stages, observe=observe, optimizer=optimizer)
        parts.append(part.assign_coords(time=run.time.values))
        if progress is not None:
            progress((k + 1) / len(seeds))
    return (
        parts[0] if alike else xr.concat(parts, xr.DataArray(seeds, dims="seed", name="seed"), combine_attrs="override")
    )


def measured(
    problem: Problem, predicted: xr.Dataset, run: xr.Dataset, band: float, right: ArrayLike | None = None
) -> xr.Dataset:
    """The comparison, with the agreement measures where the model has words with values."""
    if not isinstance(problem, Exact) or not has_stage_one(problem.model):
        return side_by_side(predicted, run, band=band)
    examples = problem.examples
    reached: dict[str, Any] = stage_one(problem.model, examples, float(flow_times(run)[-1]))
    few = examples.take(range(min(len(examples), MEASURED)))
    return side_by_side(predicted, run, problem.model, few, band=band, right=right, **reached)
