"""``dynamics solve`` of a model: its exact flow, or its reduction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dynamics.cli.common import progress, write
from dynamics.cli.problem import Problem
from dynamics.cli.theory import ORDERS, Settings, solved, theory_of
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SHOWN = 10


def of_model(
    problem: Problem,
    theory: str | None,
    settings: Settings,
    words: Sequence[str],
    output: Path,
    figures: str,
) -> None:
    """Solve a model on a text or a task, and present it."""
    chosen = theory_of(problem, theory)
    if settings.lr is not None and chosen != "exact":
        raise InputError("--lr is for the exact flow; add --theory exact, or leave it out")
    if words and chosen != "exact":
        raise InputError("--words shows words of a text; leave it out for a task")
    start = dict(problem.initial)
    if not (chosen == "reduction" and start and set(start) <= set(ORDERS)):
        start = problem.model.initial(problem.examples, start, problem.seed)
    with progress("solving") as show:
        found = solved(problem, chosen, settings, start, show)
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
