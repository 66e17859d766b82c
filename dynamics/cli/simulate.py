"""``dynamics simulate``: gradient descent, many seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dynamics.cli.console import progress
from dynamics.cli.optimizing import OptimizerOptions
from dynamics.cli.options import OUTPUT, TRAINING, Figures, Observe, Output, Threads, with_options, words_of
from dynamics.cli.output import finish, folder, with_data, write
from dynamics.cli.system import Chosen, SystemOptions
from dynamics.support.errors import InputError, IntegrationError, Interrupted

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from dynamics.problems.optimisers.optimizer import Optimizer


USUAL_RATE = 2.0


@dataclass(frozen=True)
class TrainingOptions:
    """How it is trained."""

    lr: Annotated[
        float | None,
        typer.Option(help="Learning rate; time is tau = lr x steps. [default: 2]", rich_help_panel=TRAINING),
    ] = None
    batch: Annotated[
        int | None,
        typer.Option(
            help="Examples per step. [default: 256 fresh ones of a task, else all there are]", rich_help_panel=TRAINING
        ),
    ] = None
    steps: Annotated[
        int, typer.Option(help="Steps of descent; with --epochs, passes over the examples.", rich_help_panel=TRAINING)
    ] = 1000
    seeds: Annotated[int, typer.Option(help="Runs, with seeds from --seed on.", rich_help_panel=TRAINING)] = 8
    momentum: Annotated[
        float | None,
        typer.Option(help="Of the heavy ball, from 0 to below 1. [default: 0]", rich_help_panel=TRAINING),
    ] = None
    epochs: Annotated[
        bool,
        typer.Option("--epochs", help="Count --steps in passes over the examples.", rich_help_panel=TRAINING),
    ] = False
    records: Annotated[
        int, typer.Option(help="States to keep, in equal steps of log time.", rich_help_panel=OUTPUT)
    ] = 50
    observe: Observe = None
    threads: Threads = None

    @property
    def rate(self) -> float:
        """The learning rate."""
        return USUAL_RATE if self.lr is None else self.lr


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
    chosen: Chosen,
    training: TrainingOptions,
    show: Callable[[float], None] | None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    keep_partial: bool = False,
    optimizer: Optimizer | None = None,
) -> xr.Dataset:
    """The runs that the options ask for."""
    from dynamics.problems.kinds.exact import Exact
    from dynamics.tasks import Task
    from dynamics.train.simulate import simulate

    problem = chosen.problem
    fresh = isinstance(problem, Exact) and isinstance(problem.data, Task)
    batch = 256 if training.batch is None and fresh else training.batch
    if training.seeds < 1:
        raise InputError(f"--seeds {training.seeds} must be 1 or more")
    with divergence():
        return simulate(
            problem, None, training.rate, batch, training.steps, range(chosen.seed, chosen.seed + training.seeds),
            records=training.records, rates=chosen.rates, initial=chosen.initial,
            momentum=0.0 if optimizer is not None else training.momentum or 0.0, optimizer=optimizer,
            epochs=training.epochs, observe=words_of(training.observe), threads=training.threads, progress=show,
            checkpoint=checkpoint, resume=resume, keep_partial=keep_partial,
        )  # fmt: skip


@with_options(system=SystemOptions, training=TrainingOptions, optimizing=OptimizerOptions)
def simulate(
    system: SystemOptions,
    training: TrainingOptions,
    optimizing: OptimizerOptions,
    resume: Annotated[
        Path | None, typer.Option(help="Go on from this checkpoint of the same run.", rich_help_panel=TRAINING)
    ] = None,
    keep_partial: Annotated[
        bool, typer.Option("--keep-partial", help="Keep what there is of runs that diverge.", rich_help_panel=OUTPUT)
    ] = False,
    output: Output = None,
    figures: Figures = "png",
) -> None:
    """Train an exact model, or --program, by gradient descent or another --optimizer, from many seeds.

    With no arguments it learns to copy 8 of 12 words. The state of the run is kept in OUTPUT/checkpoint.npz; a run
    that was interrupted goes on with --resume, to the same bits.

    Example: dynamics simulate --task copying --vocab 12 --length 8 --lr 2 --batch 256 --steps 500 --seeds 4
    """
    place = with_data(folder(output, "simulate", figures))
    stepping = optimizing.chosen(training.lr, training.momentum)
    if optimizing.flow is not None:
        raise InputError("--flow is of predictions, and simulate takes the steps themselves; leave it out")
    chosen = system.chosen()
    checkpoint, new = place / "checkpoint.npz", not place.exists()
    try:
        with progress("descending") as show:
            found = run(chosen, training, show, checkpoint, resume, keep_partial, stepping)
    except KeyboardInterrupt:
        if not checkpoint.exists():
            raise
        raise Interrupted(f"interrupted; go on with --resume {checkpoint}") from None
    except Diverged:
        if resume is None:  # there is nothing to go on with
            checkpoint.unlink()
        if new and not any(place.iterdir()):
            place.rmdir()
        raise

    def draw() -> dict[str, Figure]:
        from dynamics import plot
        from dynamics.comparison.side_by_side import bands
        from dynamics.plot.programs import course

        return {"course": course(found)} if system.program is not None else {"run": plot.comparison(bands(found))}

    from dynamics.support.roles import loss_of

    written, loss = write(place, figures, {"run": found}, draw), found[loss_of(found) or "loss"]
    last = loss.isel(time=-1)
    finish(
        written,
        f"{found.attrs['data']}: {found.attrs['title']}; {found.sizes['seed']} runs of {found.attrs['steps']} steps to"
        f" tau = {float(found.time[-1]):g} ({found.attrs['seconds']} s)",
        f"loss {float(loss.isel(time=0).mean()):.4g} -> {float(last.mean()):.4g} (mean over seeds;"
        f" {float(last.min()):.4g} to {float(last.max()):.4g})",
        *([found.attrs["diverged"]] if "diverged" in found.attrs else []),
    )
