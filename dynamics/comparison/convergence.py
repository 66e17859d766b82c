"""How descent approaches the flow: in first order of the learning rate, and fluctuating by its root.

Full-batch descent at learning rate lr follows the gradient flow to first order in lr, and the flow of the modified
loss ``Loss + lr/4 |grad Loss|^2`` to second order. With minibatches, seeds scatter about it like sqrt(lr/batch).
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.problems.kinds.models import Model
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.support.errors import InputError
from dynamics.tasks import Task
from dynamics.tasks.examples import Examples

if TYPE_CHECKING:
    import xarray as xr

STEPS = (40, 80, 160, 320, 640)
BATCHES = (8, 16, 32, 64, 128)
FLOWS = ("gradient flow", "modified flow")

Initial = Mapping[str, ArrayLike | float]


@dataclass(frozen=True)
class Slope:
    """The exponent of a power law with its standard error.

    Attributes
    ----------
    value, error : float
        The slope of the line of least squares through the logarithms.
    """

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} +- {self.error:.3f}"


def slope(x: ArrayLike, y: ArrayLike) -> Slope:
    """The exponent with which y goes with x.

    Raises
    ------
    InputError
        Fewer than three points, all at one place, or a number that is not positive.

    Examples
    --------
    >>> print(slope([1, 2, 4, 8], [3, 6.1, 11.9, 24]))
    0.996 +- 0.008
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if xs.ndim != 1 or xs.shape != ys.shape or xs.size < 3 or len(set(xs.tolist())) < 2:
        raise InputError("a slope needs three points or more, not all at one place")
    if not (np.isfinite([xs, ys]).all() and (xs > 0).all() and (ys > 0).all()):
        raise InputError("a slope needs points that are positive: nothing moved, or a run diverged")
    log_x, log_y = np.log(xs) - np.log(xs).mean(), np.log(ys) - np.log(ys).mean()
    spread = log_x @ log_x
    value = log_x @ log_y / spread
    residual = log_y - value * log_x
    return Slope(float(value), float(np.sqrt(residual @ residual / (xs.size - 2) / spread)))


def learning_rate_study(
    data: Examples,
    model: Model,
    tau: float,
    steps: Sequence[int] = STEPS,
    *,
    initial: Initial | None = None,
    rates: Mapping[str, float] | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    optimizer: Optimizer | None = None,
) -> xr.Dataset:
    """The distance of full-batch descent from the flow at a time tau, by learning rate.

    Parameters
    ----------
    data : Examples
    model : Model
    tau : float
        Where descent and flow are compared.
    steps : sequence of int
        Descent gets to tau in so many steps; the learning rates are tau / steps.
    initial, rates : mapping, optional
        As for :func:`dynamics.simulate`; both start from the same state.
    seed : int
        Of the initial state.
    progress : callable, optional
        Called with the share that is done.
    optimizer : Optimizer, optional
        In place of descent: its steps, held against the flow without memory and the flow of second order.

    Returns
    -------
    xarray.Dataset
        ``error`` (flow, lr): norm of the difference over all states, relative to the norm of the flow's; for the
        gradient flow and the modified flow. ``slope`` and ``slope_error`` (flow): 1 and 2 in theory.

    Raises
    ------
    InputError
        Fewer than three numbers of steps, tau not positive, or what simulate and solve refuse.

    Examples
    --------
    >>> from dynamics.problems.kinds.models import lexical
    >>> from dynamics.tasks import ToyLexicon
    >>> found = learning_rate_study(ToyLexicon(6, 3).examples(20), lexical(), tau=40, initial={"W": 0.3, "A": 0.3})
    >>> found.slope.values.round(1)
    array([1., 2.])
    """
    import xarray as xr

    from dynamics.problems.solve import solve
    from dynamics.train.simulate import simulate

    if not (np.isfinite(tau) and tau > 0):
        raise InputError(f"tau = {tau} must be a time above 0")
    counts = _several("steps", steps)[::-1]
    lrs = tau / np.array(counts)
    start = model.initial(data, initial, seed)
    exact = partial(solve, model, data, [0.0, tau], initial=start, rates=rates, rtol=1e-10, atol=1e-13)

    def under(lr: float, form: str) -> Optimizer:
        assert optimizer is not None
        return replace(optimizer, lr=lr, form=form)

    first = exact() if optimizer is None else exact(optimizer=under(lrs[-1], "limit"))
    flow = _end(first, model)
    size = _norm(flow)
    error, done, work = np.empty((2, len(lrs))), 0, 2 * sum(counts)
    for k, (lr, count) in enumerate(zip(lrs, counts, strict=True)):
        how: dict[str, Any] = {"lr": lr} if optimizer is None else {"optimizer": under(lr, "modified")}
        run = simulate(
            model, data, **how, steps=count, records=[0, count], initial=start, rates=rates, threads=1, stability=False
        )
        modified = _end(exact(**how), model)
        for row, reference in enumerate((flow, modified)):
            error[row, k] = np.linalg.norm(_end(run.isel(seed=0), model) - reference) / size
        done += 2 * count
        if progress is not None:
            progress(done / work)
    fits = [slope(lrs, row) for row in error]
    return xr.Dataset(
        {
            "error": (("flow", "lr"), error, {"long_name": "relative distance from descent", "units": "1"}),
            "slope": ("flow", [fit.value for fit in fits]),
            "slope_error": ("flow", [fit.error for fit in fits]),
        },
        {"flow": list(FLOWS), "lr": ("lr", lrs, {"long_name": "learning rate"})},
        {
            "equation": model.name,
            "tau": tau,
            "seed": seed,
            **({} if optimizer is None else {"optimizer": optimizer.name}),
        },
    )


def batch_study(
    data: Task | Examples,
    model: Model,
    tau: float,
    lr: float,
    batches: Sequence[int] = BATCHES,
    seeds: int = 16,
    *,
    initial: Initial | None = None,
    rates: Mapping[str, float] | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> xr.Dataset:
    """The fluctuation of minibatch descent over seeds at a time tau, by lr/batch.

    Both are varied: each batch at ``lr``, and the smallest batch also at lr/2, lr/4, ...

    Parameters
    ----------
    data : Task or Examples
        Minibatches are fresh ones of a task, or independent draws (with replacement) from examples.
    model : Model
    tau : float
        Where the runs are compared.
    lr : float
        The largest learning rate.
    batches : sequence of int
        Examples per step.
    seeds : int
        Runs of each kind; all start from the same state.
    initial, rates, threads
        As for :func:`dynamics.simulate`.
    seed : int
        Of the initial state and of the first run.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    xarray.Dataset
        ``fluctuation`` (run): root mean square distance of a run from the mean over seeds, relative to the norm of that
        mean; ``lr``, ``batch`` and ``ratio`` = lr/batch (run); ``slope`` and ``slope_error``: 1/2 in theory.

    Raises
    ------
    InputError
        Fewer than three batches or two seeds, or what simulate refuses.

    Examples
    --------
    >>> from dynamics.problems.kinds.models import lexical
    >>> from dynamics.tasks import ToyLexicon
    >>> found = batch_study(ToyLexicon(6, 3), lexical(), tau=20, lr=0.5, batches=(4, 16, 64))
    >>> round(found.slope.item(), 1)
    0.5
    """
    import xarray as xr

    from dynamics.train.simulate import simulate

    if seeds < 2:
        raise InputError(f"seeds = {seeds}: a fluctuation needs two or more")
    if not (np.isfinite(tau) and tau > 0 and np.isfinite(lr) and lr > 0):
        raise InputError(f"tau = {tau} and lr = {lr} must be above 0")
    sizes = _several("batches", batches)
    shapes = [(lr, batch) for batch in sizes] + [(lr / 2**k, sizes[0]) for k in range(1, 3)]
    counts = [max(1, round(tau / rate)) for rate, _ in shapes]
    start = model.initial(data if isinstance(data, Examples) else data.examples(1), initial, seed)
    found, done = [], 0
    for (_, batch), count in zip(shapes, counts, strict=True):
        run = simulate(
            model, data, tau / count, batch, count, range(seed, seed + seeds), records=[0, count], initial=start,
            rates=rates, replacement=isinstance(data, Examples), threads=threads,
        )  # fmt: skip
        ends = np.stack([_end(run.sel(seed=one), model) for one in run.seed.values])
        mean = ends.mean(axis=0)
        found.append(np.sqrt(((ends - mean) ** 2).sum() / (seeds - 1)) / _norm(mean))
        done += count
        if progress is not None:
            progress(done / sum(counts))
    rates_, sizes_ = np.array([tau / count for count in counts]), np.array([batch for _, batch in shapes])
    fit = slope(rates_ / sizes_, found)
    return xr.Dataset(
        {
            "fluctuation": ("run", found, {"long_name": "fluctuation over seeds", "units": "1"}),
            "lr": ("run", rates_),
            "batch": ("run", sizes_),
            "ratio": ("run", rates_ / sizes_, {"long_name": "learning rate / batch"}),
            "slope": fit.value,
            "slope_error": fit.error,
        },
        attrs={"equation": model.name, "tau": tau, "seed": seed, "seeds": seeds},
    )


def _several(name: str, given: Sequence[int]) -> list[int]:
    """What is varied, in order."""
    if len(set(given)) < max(3, len(given)) or any(not isinstance(k, numbers.Integral) or k < 1 for k in given):
        raise InputError(f"{name} = {tuple(given)}: a slope needs three different whole numbers or more, from 1")
    return sorted(int(k) for k in given)


def _norm(states: NDArray[np.float64]) -> float:
    size = float(np.linalg.norm(states))
    if not size > 0:
        raise InputError("all states are 0 at tau: nothing is learnt; start elsewhere, or give other data or rates")
    return size


def _end(trajectory: xr.Dataset, model: Model) -> NDArray[np.float64]:
    """All states at the last time, as one vector."""
    return np.concatenate([trajectory[name].isel(time=-1).values.ravel() for name in model.program.state_names])
