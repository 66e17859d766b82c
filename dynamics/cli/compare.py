"""``dynamics compare``: theory beside simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.common import RESULTS, Figures, Output, check_output, progress, with_options, write
from dynamics.cli.problem import Problem, problem
from dynamics.cli.simulate import Descent, descent, divergence, run
from dynamics.cli.theory import Settings, solved, theory_of
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

STUDIES = ("lr", "batch")
MEASURED = 256
"""Examples on which the agreement measures are taken."""


@with_options(problem=problem, descent=descent)
def compare(
    problem: Problem,
    descent: Descent,
    theory: Annotated[
        str | None,
        typer.Option(
            help="reduction (copying), closure (from co-occurrence alone; lexical) or exact (the gradient flow)."
            " [default: the first that fits]"
        ),
    ] = None,
    stages: Annotated[str, typer.Option(help="closure: joint, two-stage, frozen.")] = "joint",
    study: Annotated[
        str | None,
        typer.Option(help="Instead: how descent approaches the flow. lr (slopes 1 and 2) or batch (slope 1/2)."),
    ] = None,
    prediction: Annotated[Path | None, typer.Option(help="A saved trajectory, instead of solving.")] = None,
    run_file: Annotated[Path | None, typer.Option("--run", help="A saved run, instead of simulating.")] = None,
    band: Annotated[float, typer.Option(help="Share of the seeds within the band.")] = 0.9,
    output: Output = RESULTS,
    figures: Figures = "png",
) -> None:
    """Simulate, solve, and compare: errors, order parameters, agreement of attention with KTIW.

    With no arguments: copying 8 of 12 words, against the two-equation reduction. With --study, the learning rate (or
    lr/batch) is varied from --lr down, and the slopes are fitted.

    Example: dynamics compare --task lexicon --vocab 30 --batch 64 --steps 500 --seeds 4
    """
    check_output(output, figures)
    if study is not None:
        _study(problem, descent, study, output, figures)
        return
    if (prediction is None) != (run_file is None):
        raise InputError("give both --prediction and --run, or neither")
    if prediction is not None and run_file is not None:
        from dynamics.compare.comparison import compare
        from dynamics.support import trajectory

        compared = compare(trajectory.load(prediction), trajectory.load(run_file), band=band)
        saved = {"comparison": compared}
    else:
        if not 0 < band <= 1:
            raise InputError(f"--band {band} must be a share above 0 and at most 1")
        chosen = theory_of(problem, theory)
        with progress("simulating") as show:
            found = run(problem, descent, show)
        predicted = _predicted(problem, found, chosen, stages)
        compared = _measured(problem, predicted, found, band)
        saved = {"comparison": compared, "prediction": predicted, "run": found}
    _present(compared)

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        return {"comparison": plot.comparison(compared)}

    write(output, figures, saved, draw)


def _predicted(problem: Problem, found: xr.Dataset, theory: str, stages: str) -> xr.Dataset:
    """The prediction from the state at which each seed starts; one for all if they start alike."""
    import xarray as xr

    names = problem.model.program.state_names
    begin = found.isel(time=0)
    alike = all((begin[name] == begin[name].isel(seed=0)).all() for name in names)
    seeds = found.seed.values[:1] if alike else found.seed.values
    settings, parts = Settings(_flow_times(found), stages=stages), []
    with progress("solving") as show:
        for k, seed in enumerate(seeds):
            start = {name: begin[name].sel(seed=seed).values for name in names}
            parts.append(solved(problem, theory, settings, start).assign_coords(time=found.time.values))
            if show is not None:
                show((k + 1) / len(seeds))
    return (
        parts[0] if alike else xr.concat(parts, xr.DataArray(seeds, dims="seed", name="seed"), combine_attrs="override")
    )


def _flow_times(found: xr.Dataset) -> Any:
    """The times of a run on the clock of the flow: momentum m makes descent follow it 1/(1 - m) times as fast."""
    return found.time.values / (1 - found.attrs["momentum"])


def _measured(problem: Problem, predicted: xr.Dataset, found: xr.Dataset, band: float) -> xr.Dataset:
    """The comparison, with the agreement measures where the model has words with values."""
    from dynamics.compare.agreement import stage_one
    from dynamics.compare.comparison import compare

    if "W" not in problem.model.program.state_names:
        return compare(predicted, found, band=band)
    examples = problem.examples
    reached = stage_one(problem.model, examples, float(_flow_times(found)[-1]))
    few = examples.take(range(min(len(examples), MEASURED)))
    return compare(predicted, found, problem.model, few, band=band, right=problem.right, **reached)  # type: ignore[arg-type]


def _present(compared: xr.Dataset) -> None:
    """Print errors and measures."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("quantity", "largest error", "at tau", "error at the end"):
        table.add_column(title, justify="left" if title == "quantity" else "right")
    for name, error in compared.data_vars.items():
        if not str(name).startswith("error_") or "agreement" in str(name):
            continue
        error = error.isel(stages=0) if "stages" in error.dims else error
        size = abs(error.mean([dim for dim in error.dims if dim in ("seed", "head")]))
        worst = size.isel(time=int(size.fillna(0).argmax("time")))
        unit = " nats" if name == "error_loss" else ""
        table.add_row(
            str(name).removeprefix("error_"), f"{float(worst):.2g}{unit}", f"{float(worst.time):.4g}",
            f"{float(size.isel(time=-1)):.2g}{unit}",
        )  # fmt: skip
    console = Console(width=100)
    console.print(f"theory against the mean of {compared.sizes['seed']} seeds; relative, loss in nats", highlight=False)
    console.print(table, highlight=False)
    shown = {
        "beta": "KTIW",
        "uf": "KTIW from uniform attention",
        "px": "KTIW from co-occurrence",
        "delta": "the gradient",
    }
    for key, name in shown.items():
        if f"agreement_{key}" in compared:
            last = {kind: float(compared[f"{kind}_{key}"].mean()) for kind in ("kendall", "xi")}
            end = float(compared[f"agreement_{key}"].isel(time=-1).mean())
            console.print(
                f"attention agrees with {name}: A = {end:.3f}, Kendall tau {last['kendall']:.3f}, xi {last['xi']:.3f}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
    if "agreement_shuffled" in compared:
        end = float(compared.agreement_shuffled.isel(time=-1).mean())
        console.print(f"attention agrees with KTIW in random order: A = {end:.3f}", highlight=False)


def _study(problem: Problem, descent: Descent, study: str, output: Path, figures: str) -> None:
    """Vary the learning rate, or lr/batch; print and draw the slopes."""
    from dynamics.compare import convergence
    from dynamics.train.simulation import EVALUATION

    if study not in STUDIES:
        raise InputError(f"unknown study {study!r}; use lr or batch")
    if descent.steps < 1 or not 0 < descent.lr < float("inf"):
        raise InputError(f"--lr {descent.lr} and --steps {descent.steps} must be above 0")
    if descent.momentum or descent.epochs:
        raise InputError("a study is of plain descent for --steps steps; leave out --momentum and --epochs")
    tau = descent.lr * descent.steps
    given: dict[str, Any] = {"initial": problem.initial, "rates": problem.rates, "seed": problem.seed}
    if study == "lr":
        examples = problem.examples
        few = examples.take(range(min(EVALUATION, len(examples))))
        with progress("learning rates") as show, divergence():
            found = convergence.learning_rate_study(
                few, problem.model, tau, [descent.steps * 2**k for k in range(4)], progress=show, **given
            )
        for flow in found.flow.values:
            fit, order = found.sel(flow=flow), 1 if flow == "gradient flow" else 2
            print(
                f"{flow}: distance of full-batch descent ~ lr^{float(fit.slope):.3f} +- {float(fit.slope_error):.3f}"
                f" (theory {order})"
            )
    else:
        batch = 256 if descent.batch is None else descent.batch
        if batch < 4:
            raise InputError(f"--batch {batch} is the largest of the study, which halves it; give 4 or more")
        with progress("batches") as show, divergence():
            found = convergence.batch_study(
                problem.data, problem.model, tau, descent.lr, sorted({max(1, batch // 2**k) for k in range(5)}),
                descent.seeds, threads=descent.threads, progress=show, **given,
            )  # fmt: skip
        print(
            f"fluctuation over {descent.seeds} seeds ~ (lr/batch)^{float(found.slope):.3f} +-"
            f" {float(found.slope_error):.3f} (theory 0.5)"
        )

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        return {f"study_{study}": plot.study(found)}

    write(output, figures, {f"study_{study}": found}, draw)
