"""``dynamics simulate``: gradient descent, many seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dynamics.cli.common import (
    RESULTS,
    Figures,
    Interrupted,
    Output,
    Threads,
    check_output,
    progress,
    with_options,
    write,
)
from dynamics.cli.problem import Problem, problem
from dynamics.support.errors import InputError, IntegrationError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Descent:
    """How the model is trained."""

    lr: float
    batch: int | None
    steps: int
    seeds: int
    momentum: float
    epochs: bool
    records: int
    threads: int | None


def descent(
    lr: Annotated[float, typer.Option(help="Learning rate; time is tau = lr x steps.")] = 2.0,
    batch: Annotated[
        int | None, typer.Option(help="Examples per step. [default: 256 fresh ones of a task, else all there are]")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of descent; with --epochs, passes over the examples.")] = 1000,
    seeds: Annotated[int, typer.Option(help="Runs, with seeds from --seed on.")] = 8,
    momentum: Annotated[float, typer.Option(help="Of the heavy ball, from 0 to below 1.")] = 0.0,
    epochs: Annotated[bool, typer.Option("--epochs", help="Count --steps in passes over the examples.")] = False,
    records: Annotated[int, typer.Option(help="States to keep, in equal steps of log time.")] = 50,
    threads: Threads = None,
) -> Descent:
    return Descent(lr, batch, steps, seeds, momentum, epochs, records, threads)


class Diverged(InputError):
    """Descent came to numbers that are not finite."""


@contextmanager
def divergence() -> Iterator[None]:
    """A learning rate that is too large is wrong input."""
    try:
        yield
    except IntegrationError as error:
        raise Diverged(str(error)) from None


def run(
    problem: Problem,
    descent: Descent,
    show: Callable[[float], None] | None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    keep_partial: bool = False,
) -> xr.Dataset:
    """The runs that the options ask for."""
    from dynamics.problems.arrays import ProgramModel
    from dynamics.tasks import Task
    from dynamics.train.simulation import simulate

    if descent.batch is not None and isinstance(problem.model, ProgramModel) and not problem.model.labelled:
        raise InputError("--batch takes some of the examples of a text or a task; arrays are taken whole: leave it out")
    batch = 256 if descent.batch is None and isinstance(problem.data, Task) else descent.batch
    if descent.seeds < 1:
        raise InputError(f"--seeds {descent.seeds} must be 1 or more")
    with divergence():
        return simulate(
            problem.data, problem.model, descent.lr, batch, descent.steps,
            range(problem.seed, problem.seed + descent.seeds), records=descent.records, rates=problem.rates,
            momentum=descent.momentum, initial=problem.initial, epochs=descent.epochs, threads=descent.threads,
            progress=show, checkpoint=checkpoint, resume=resume, keep_partial=keep_partial,
        )  # fmt: skip


@with_options(problem=problem, descent=descent)
def simulate(
    problem: Problem,
    descent: Descent,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint of the same run.")] = None,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Keep what there is of runs that diverge.")
    ] = False,
    output: Output = RESULTS,
    figures: Figures = "png",
) -> None:
    """Train an exact model, or --program, by gradient descent, from many seeds.

    With no arguments it learns to copy 8 of 12 words. The state of the run is kept in OUTPUT/checkpoint.npz; a run
    that was interrupted goes on with --resume, to the same bits.

    Example: dynamics simulate --task copying --vocab 12 --length 8 --lr 2 --batch 256 --steps 500 --seeds 4
    """
    from dynamics.cli.programs import as_program, drawn
    from dynamics.problems.arrays import ProgramModel

    check_output(output, figures)
    checkpoint, new = output / "checkpoint.npz", not output.exists()
    try:
        with progress("descending") as show:
            found = run(problem, descent, show, checkpoint, resume, keep_partial)
    except KeyboardInterrupt:
        if not checkpoint.exists():
            raise
        raise Interrupted(f"interrupted; go on with --resume {checkpoint}") from None
    except Diverged:
        if resume is None:  # there is nothing to go on with
            checkpoint.unlink()
        if new and not any(output.iterdir()):
            output.rmdir()
        raise
    own = isinstance(problem.model, ProgramModel)
    if own:
        found = as_program(found, problem)
    print(
        f"{found.attrs['data']}: {found.attrs['title']}; {found.sizes['seed']} runs of {found.attrs['steps']} steps to"
        f" tau = {float(found.time[-1]):g} ({found.attrs['seconds']} s)"
    )
    last = found.loss.isel(time=-1)
    print(f"loss {float(found.loss.isel(time=0).mean()):.4g} -> {float(last.mean()):.4g} (mean over seeds;"
          f" {float(last.min()):.4g} to {float(last.max()):.4g})")  # fmt: skip
    if "diverged" in found.attrs:
        print(found.attrs["diverged"])

    def draw() -> dict[str, Figure]:
        from dynamics import plot
        from dynamics.compare.comparison import bands

        if own:
            return drawn(found)
        return {"run": plot.comparison(bands(found))}

    write(output, figures, {"run": found}, draw)
