"""Which theory a problem is solved by, and its solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dynamics.cli.problem import Problem
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

THEORIES = ("reduction", "closure", "exact")
ORDERS = ("u", "a")
"""Order parameters of the reduction of copying."""


@dataclass(frozen=True)
class Settings:
    """How a system is solved.

    Attributes
    ----------
    times : ndarray
    rtol, method, threads
        Of the integration; the reduction has its own method and is solved more tightly.
    stages : str
        Predictions of the closure, joined by commas.
    switch, top : optional
        As for :func:`dynamics.solve` of a co-occurrence.
    lr : float, optional
        Follow descent at this rate instead of the exact flow.
    """

    times: NDArray[Any]
    rtol: float = 1e-6
    method: str = "RK45"
    threads: int | None = None
    stages: str = "joint"
    switch: float | None = None
    top: int | None = None
    lr: float | None = None


def theory_of(problem: Problem, wanted: str | None) -> str:
    """Which prediction: the asked one if it fits, else the most reduced one that does."""
    from dynamics.tasks import Copying

    fits = {
        "reduction": isinstance(problem.data, Copying) and problem.model.name.startswith("positional"),
        "closure": problem.model.name == "lexical",
        "exact": True,
    }
    if wanted is None:
        return next(name for name, fit in fits.items() if fit)
    if wanted not in fits:
        raise InputError(f"unknown theory {wanted!r}; use one of {', '.join(THEORIES)}")
    if not fits[wanted]:
        needs = {"reduction": "--task copying with fresh examples", "closure": "--model lexical with one head"}
        raise InputError(f"--theory {wanted} needs {needs[wanted]}; leave it out, or use --theory exact")
    return wanted


def solved(
    problem: Problem,
    theory: str,
    settings: Settings,
    start: Mapping[str, Any],
    show: Callable[[float], None] | None = None,
) -> xr.Dataset:
    """One prediction, from given states; of the reduction, order parameters or the states that have them."""
    from dynamics.problems.closure import solve
    from dynamics.problems.exact import solve_exact
    from dynamics.problems.reduction import copying, solve_reduced
    from dynamics.tasks import Copying, Task

    data, rates = problem.data, problem.rates or None
    if theory == "reduction":
        assert isinstance(data, Copying)
        system = copying(data.vocab, data.length, problem.model.sizes.get("H", 1), data.replacement)
        order = start if set(start) <= set(ORDERS) else system.project(start)
        return solve_reduced(system, settings.times, initial=order, rates=rates, rtol=min(settings.rtol, 1e-8))
    integration: dict[str, Any] = {
        "rates": rates, "rtol": settings.rtol, "method": settings.method, "threads": settings.threads, "progress": show,
    }  # fmt: skip
    if theory == "closure":
        names = [name.strip() for name in settings.stages.split(",") if name.strip()]
        counts = (data.population() if isinstance(data, Task) else None) or problem.examples.cooccurrence()
        return solve(
            counts, settings.times, stages=names if len(names) > 1 else names[0], switch=settings.switch, initial=start,
            top=settings.top, **integration,
        )  # fmt: skip
    return solve_exact(problem.model, problem.examples, settings.times, initial=start, lr=settings.lr, **integration)
