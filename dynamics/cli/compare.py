"""``dynamics compare``: theory beside simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.console import progress, table, table_format
from dynamics.cli.optimizing import OptimizerOptions
from dynamics.cli.options import INPUT, OUTPUT, SOLVING, Figures, Output, TableFormat, given, with_options, words_of
from dynamics.cli.output import finish, folder, with_data, write
from dynamics.cli.predictions import predicted_by, theory_of
from dynamics.cli.simulate import TrainingOptions, divergence, run
from dynamics.cli.system import Chosen, SystemOptions
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

STUDIES = ("lr", "batch")
MEASURED = 256
"""Examples on which the agreement measures are taken."""


@with_options(system=SystemOptions, training=TrainingOptions, optimizing=OptimizerOptions)
def compare(
    system: SystemOptions,
    training: TrainingOptions,
    optimizing: OptimizerOptions,
    theory: Annotated[
        str | None,
        typer.Option(
            help="reduction (copying), closure (from co-occurrence alone; lexical) or exact (the gradient flow)."
            " [default: the first that fits]",
            rich_help_panel=SOLVING,
        ),
    ] = None,
    stages: Annotated[
        str | None, typer.Option(help="closure: joint, two-stage, frozen. [default: joint]", rich_help_panel=SOLVING)
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            help="Instead: how descent approaches the flow. lr (slopes 1 and 2) or batch (slope 1/2).",
            rich_help_panel=SOLVING,
        ),
    ] = None,
    prediction: Annotated[
        Path | None, typer.Option(help="A saved trajectory, instead of solving.", rich_help_panel=INPUT)
    ] = None,
    run_file: Annotated[
        Path | None, typer.Option("--run", help="A saved run, instead of simulating.", rich_help_panel=INPUT)
    ] = None,
    spread: Annotated[
        bool,
        typer.Option("--spread", help="Predict how far seeds scatter, from minibatches.", rich_help_panel=SOLVING),
    ] = False,
    band: Annotated[float, typer.Option(help="Share of the seeds within the band.", rich_help_panel=OUTPUT)] = 0.9,
    form: TableFormat = "text",
    output: Output = None,
    figures: Figures = "png",
) -> None:
    """Simulate, solve, and compare: errors, order parameters, agreement of attention with KTIW.

    With no arguments: copying 8 of 12 words, against the two-equation reduction. With --study, the learning rate (or
    lr/batch) is varied from --lr down, and the slopes are fitted.

    Example: dynamics compare --task lexicon --vocab 30 --batch 64 --steps 500 --seeds 4
    """
    place, form = with_data(folder(output, "compare", figures)), table_format(form)
    if study is not None:
        if prediction is not None or run_file is not None or theory is not None or stages is not None or spread:
            raise InputError(
                "--study trains and solves by itself: leave out --prediction, --run, --theory, --stages, --spread"
            )
        _study(system.chosen(), training, optimizing, study, place, figures)
        return
    if (prediction is None) != (run_file is None):
        raise InputError("give both --prediction and --run, or neither")
    if not 0 < band <= 1:
        raise InputError(f"--band {band} must be a share above 0 and at most 1")
    if prediction is not None and run_file is not None:
        from dynamics.comparison.compare import compare
        from dynamics.support import trajectory

        loaded = trajectory.load(prediction), trajectory.load(run_file)
        if given(system) or given(training) or given(optimizing) or theory is not None or stages is not None or spread:
            raise InputError("--prediction and --run are compared as they are: leave out what else is to be done")
        compared = compare(*loaded, band=band)
        saved = {"comparison": compared}
    else:
        from dynamics.comparison.beside import measured, observed_of, require_noise, solved_for, with_noise

        chosen = system.chosen()
        seen = observed_of(chosen.problem, words_of(training.observe))
        stepping = optimizing.chosen(training.lr, training.momentum)
        picked = theory_of(chosen, theory, stepping)
        if stages is not None and picked != "closure":
            raise InputError(f"--stages is for --theory closure, and this is {picked}; leave it out")
        if spread:
            require_noise(chosen.problem, stepping, training.batch or 256, replacement=False)
        with progress("simulating") as show:
            found = run(chosen, training, show, optimizer=stepping)
        listed = words_of(stages)
        with progress("solving") as show:
            predicted = solved_for(
                predicted_by(chosen, picked), chosen.problem, found, chosen.rates or None,
                None if not listed else listed[0] if len(listed) == 1 else listed, show, seen, stepping,
            )  # fmt: skip
        compared = measured(chosen.problem, predicted, found, band, chosen.right)
        if spread:
            with progress("noise"):
                compared = with_noise(compared, chosen.problem, found, chosen.rates or None)
        saved = {"comparison": compared, "prediction": predicted, "run": found}

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        return {"comparison": plot.comparison(compared)}

    written = write(place, figures, saved, draw)
    finish(written if form == "text" else "", *_shown(compared, form))


def _shown(compared: xr.Dataset, form: str = "text") -> list[str]:
    """Errors and measures, in lines."""
    from dynamics.support.roles import AGREEMENT, ERROR, of_kind

    head = [("quantity", "left"), ("largest error", "right"), ("at tau", "right"), ("error at the end", "right")]
    rows, agreements = [], of_kind(compared, AGREEMENT)
    for name, of in of_kind(compared, ERROR).items():
        if of in agreements:
            continue
        error = compared[name]
        error = error.isel(stages=0) if "stages" in error.dims else error
        size = abs(error.mean([dim for dim in error.dims if dim in ("seed", "head")]))
        worst = size.isel(time=int(size.fillna(0).argmax("time")))
        unit = "nats" if error.attrs.get("units") == "nats" else ""
        numbers = f"{float(worst):.2g}", f"{float(worst.time):.4g}", f"{float(size.isel(time=-1)):.2g}"
        if form != "text":  # to be read: units have a column of their own
            rows.append([of, *numbers, unit])
        else:
            largest, when, at_end = numbers
            rows.append([of, f"{largest} {unit}".rstrip(), when, f"{at_end} {unit}".rstrip()])
    if form != "text":
        return [table([*head, ("unit", "left")], rows, form)]
    lines = [f"theory against the mean of {compared.sizes['seed']} seeds; relative, loss in nats", table(head, rows)]
    ratios = {
        name: compared[f"{name}_spread"][1:] / compared[f"{name}_scatter"][1:]
        for name in map(str, compared.data_vars)
        if f"{name}_scatter" in compared
    }
    if ratios:
        told = ", ".join(f"{float(ratio.median()):.2f} ({name})" for name, ratio in ratios.items())
        lines.append(f"noise of minibatches: predicted over measured standard deviation, median over times: {told}")
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
            lines.append(
                f"attention agrees with {name} on {end:.3f} of targets; Kendall's rank correlation"
                f" {last['kendall']:.3f}; accuracy when attention first agreed as well with its end {last['xi']:.3f}"
            )
    if "agreement_shuffled" in compared:
        end = float(compared.agreement_shuffled.isel(time=-1).mean())
        lines.append(f"attention agrees with KTIW in random order on {end:.3f} of targets")
    return lines


def _study(
    chosen: Chosen, training: TrainingOptions, optimizing: OptimizerOptions, study: str, output: Path, figures: str
) -> None:
    """Vary the learning rate, or lr/batch; print and draw the slopes."""
    from dynamics.comparison import convergence
    from dynamics.problems.kinds.exact import Exact
    from dynamics.train.simulate import EVALUATION

    if study not in STUDIES:
        raise InputError(f"unknown study {study!r}; use lr or batch")
    if training.steps < 1 or not 0 < training.rate < float("inf"):
        raise InputError(f"--lr {training.rate} and --steps {training.steps} must be above 0")
    stepping = optimizing.chosen(training.lr, training.momentum)
    if stepping is not None and (study != "lr" or not stepping.schedule.is_constant or optimizing.flow is not None):
        raise InputError("a study of an optimizer is --study lr, at constant rates; leave out --schedule and --flow")
    if (training.momentum and stepping is None) or training.epochs or training.observe is not None:
        raise InputError("a study is of plain descent for --steps steps; leave out --momentum, --epochs and --observe")
    problem, lines = chosen.problem, []
    what = "descent" if stepping is None else stepping.name
    if not isinstance(problem, Exact):
        raise InputError("a study is of examples, of which some are taken; leave --data out")
    tau = training.rate * training.steps
    start: dict[str, Any] = {"initial": chosen.initial, "rates": chosen.rates, "seed": chosen.seed}
    if study == "lr":
        examples = problem.examples
        few = examples.take(range(min(EVALUATION, len(examples))))
        with progress("learning rates") as show, divergence():
            found = convergence.learning_rate_study(
                few,
                problem.model,
                tau,
                [training.steps * 2**k for k in range(4)],
                progress=show,
                optimizer=stepping,
                **start,
            )
        for flow in found.flow.values:
            fit, order = found.sel(flow=flow), 1 if flow == "gradient flow" else 2
            lines.append(
                f"{flow}: distance of full-batch {what} ~ lr^{float(fit.slope):.3f} +- {float(fit.slope_error):.3f}"
                f" (theory {order})"
            )
    else:
        batch = 256 if training.batch is None else training.batch
        if batch < 4:
            raise InputError(f"--batch {batch} is the largest of the study, which halves it; give 4 or more")
        with progress("batches") as show, divergence():
            found = convergence.batch_study(
                problem.data, problem.model, tau, training.rate, sorted({max(1, batch // 2**k) for k in range(5)}),
                training.seeds, threads=training.threads, progress=show, **start,
            )  # fmt: skip
        lines.append(
            f"fluctuation over {training.seeds} seeds ~ (lr/batch)^{float(found.slope):.3f} +-"
            f" {float(found.slope_error):.3f} (theory 0.5)"
        )

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        return {f"study_{study}": plot.study(found)}

    finish(write(output, figures, {f"study_{study}": found}, draw), *lines)
