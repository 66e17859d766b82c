"""``dynamics solve`` of a model: its exact flow, or its reduction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynamics.cli.common import named_numbers, progress, write
from dynamics.cli.problem import Problem
from dynamics.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

ORDERS = ("u", "a")
"""Order parameters of the reduction of copying."""
SHOWN = 10


@dataclass(frozen=True)
class Settings:
    """How a system is solved."""

    times: NDArray[Any]
    rtol: float
    method: str
    threads: int | None


def of_model(
    problem: Problem,
    theory: str | None,
    settings: Settings,
    stages: str,
    switch: float | None,
    lr: float | None,
    words: Sequence[str],
    top: int,
    output: Path,
    figures: str,
) -> None:
    """Solve a model on a text or a task, and present it."""
    from dynamics.cli.compare import theory_of

    chosen = theory_of(problem, theory)
    if lr is not None and chosen != "exact":
        raise InputError("--lr is for the exact flow; add --theory exact, or leave it out")
    if words and chosen != "exact":
        raise InputError("--words shows words of a text; leave it out for a task")
    with progress("solving") as show:
        if chosen == "reduction":
            found = _reduced(problem, settings)
        elif chosen == "closure":
            found = _closure(problem, settings, stages, switch, top, show)
        else:
            found = _exact(problem, settings, lr, show)
    shown = found.isel(stages=0) if "stages" in found.dims else found
    print(
        f"{found.attrs['title']}: to tau = {settings.times[-1]:g} ({found.attrs['evaluations']} evaluations,"
        f" {found.attrs['seconds']} s); loss {float(shown.loss[0]):.4g} -> {float(shown.loss[-1]):.4g}"
    )
    if "s" in shown:
        _print_scores(shown, words)

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        drawn = {"order": plot.order(found)}
        return {**drawn, "scores": plot.scores(shown, words or None)} if "s" in shown else drawn

    write(output, figures, {"trajectory": found}, draw)


def _reduced(problem: Problem, settings: Settings) -> xr.Dataset:
    from dynamics.reduced import copying, solve_reduced
    from dynamics.tasks import Copying

    assert isinstance(problem.data, Copying)
    data = problem.data
    system = copying(data.vocab, data.length, problem.model.sizes.get("H", 1), data.replacement)
    if set(problem.initial) <= set(ORDERS) and problem.initial:
        start = dict(problem.initial)
    else:
        start = system.project(problem.model.initial(problem.examples, problem.initial, problem.seed))
    rtol = min(settings.rtol, 1e-8)
    return solve_reduced(system, settings.times, initial=start, rates=problem.rates, rtol=rtol)


def _closure(
    problem: Problem, settings: Settings, stages: str, switch: float | None, top: int, show: Any
) -> xr.Dataset:
    from dynamics.predict import solve
    from dynamics.tasks import Task

    data = problem.data
    counts = (data.population() if isinstance(data, Task) else None) or problem.examples.cooccurrence()
    start = problem.model.initial(problem.examples, problem.initial, problem.seed)
    return solve(
        counts, settings.times, stages=[name.strip() for name in stages.split(",") if name.strip()], switch=switch,
        rates=problem.rates or None, initial=start, top=top, rtol=settings.rtol, method=settings.method,
        threads=settings.threads, progress=show,
    )  # fmt: skip


def _exact(problem: Problem, settings: Settings, lr: float | None, show: Any) -> xr.Dataset:
    from dynamics.exact import solve_exact

    return solve_exact(
        problem.model, problem.examples, settings.times, initial=problem.initial, rates=problem.rates or None,
        seed=problem.seed, lr=lr, rtol=settings.rtol, method=settings.method, threads=settings.threads, progress=show,
    )  # fmt: skip


def _print_scores(found: xr.Dataset, words: Sequence[str]) -> None:
    """The words with the highest scores at the end, or given ones."""
    from dynamics.plot import best_scores

    for word in best_scores(found, words or None, SHOWN):
        score = float(found.s.isel(time=-1).sel(input=word))
        told = ""
        if "W" in found:
            values = found.W.isel(time=-1).sel(input=word)
            told = f", tells {values.output.values[int(values.argmax('output'))]}"
        if "v" in found:
            told += f", norm {float((found.v.isel(time=-1).sel(input=word) ** 2).sum() ** 0.5):.4g}"
        print(f"{word}: score {score:.4g}{told}")


def initial_sizes(text: str | None, states: Sequence[str]) -> dict[str, float]:
    """Standard deviations of initial states from ``0.01`` or ``W=0.01,A=0``.

    Examples
    --------
    >>> initial_sizes("0.1", ["W", "A"]), initial_sizes("W=1", ["W", "A"]), initial_sizes(None, ["W"])
    ({'W': 0.1, 'A': 0.1}, {'W': 1.0}, {})
    """
    if text is None:
        return {}
    if "=" in text:
        found = named_numbers(text, "--init")
    else:
        try:
            found = dict.fromkeys(states, float(text))
        except ValueError:
            raise InputError(f"--init {text!r} is neither a number nor a list such as W=0.01,P=0") from None
    for name, size in found.items():
        if not 0 <= size < float("inf"):
            raise InputError(f"--init: {name} = {size} must be a number from 0 on")
    return found
