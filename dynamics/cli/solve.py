"""``dynamics solve``: predicted trajectories."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.common import (
    RESULTS,
    Figures,
    Output,
    Threads,
    check_output,
    named_numbers,
    numbers,
    progress,
    with_options,
    write,
)
from dynamics.cli.models import of_model
from dynamics.cli.problem import Problem, initial_states, problem
from dynamics.cli.programs import of_program
from dynamics.cli.theory import Settings
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dynamics.counts.cooccurrence import CoOccurrence

BUNDLED_VOCABULARY = 80
SHOWN = 12


@dataclass(frozen=True)
class Asked:
    """The options of a problem, as they were given: nothing is read before it is needed."""

    options: Mapping[str, Any]

    @property
    def anything(self) -> bool:
        """Whether any text, task or model is named."""
        return any(self.options[name] is not None for name in ("source", "labelled", "task", "model", "program"))

    @property
    def problem(self) -> Problem:
        return problem(**self.options)


def asked(**options: Any) -> Asked:
    return Asked(options)


asked.__signature__ = signature(problem, eval_str=True)  # type: ignore[attr-defined]


@with_options(asked=asked)
def solve(
    asked: Asked,
    cooccurrence: Annotated[
        Path | None, typer.Option(help="Counts instead of text: .npz, .npy, .mtx, .csv or .tsv.")
    ] = None,
    text: Annotated[str, typer.Option(help="Bundled text: english-french or english-german.")] = "english-french",
    theory: Annotated[
        str | None,
        typer.Option(
            help="closure (from co-occurrence alone; lexical), reduction (copying) or exact (the gradient flow)."
            " [default: the first that fits]"
        ),
    ] = None,
    time: Annotated[float, typer.Option(help="End of training, tau = learning rate x steps.")] = 10_000.0,
    times: Annotated[int, typer.Option(help="How many times to keep, spaced logarithmically.")] = 100,
    at: Annotated[str | None, typer.Option(help="The times to keep instead, such as 0,10,100.")] = None,
    stages: Annotated[
        str, typer.Option(help="closure: the predictions joint, two-stage, frozen.")
    ] = "joint,two-stage,frozen",
    switch: Annotated[
        float | None, typer.Option(help="closure: end of stage one; found from the flow if not given.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="exact: follow descent at this learning rate to second order in it.")
    ] = None,
    words: Annotated[str | None, typer.Option(help="Input words for the table and the curves: right,law,...")] = None,
    top: Annotated[int, typer.Option(help="Keep this many of the most frequent words a side in the result.")] = 60,
    rtol: Annotated[float, typer.Option(help="Relative tolerance of the integration.")] = 1e-6,
    method: Annotated[
        str, typer.Option(help="RK45, RK23, DOP853, LSODA, BDF, Radau or RKC (stiff, many words).")
    ] = "RK45",
    threads: Threads = None,
    output: Output = RESULTS,
    figures: Figures = "png",
) -> None:
    """Predict how words and attention are learnt.

    Two texts, or counts: from their co-occurrence alone. --labelled, --task or --model: the exact flow of a model, or
    its reduction. --program: that of a model of your own, on its own data or a text. With no file it runs on a bundled
    text, the Universal Declaration of Human Rights.

    Example: dynamics solve --words human,freedom,rights --output results
    """
    wanted = _times(time, times, at)
    check_output(output, figures)
    if cooccurrence is not None and asked.anything:
        raise InputError("--cooccurrence gives counts alone; leave out texts, --labelled, --task and --model")
    by_counts = all(
        asked.options[name] is None for name in ("labelled", "task", "model", "program", "arrays", "values")
    )
    settings = Settings(wanted, rtol, method, threads, stages, switch, top, lr)
    listed = [word.strip() for word in words.split(",") if word.strip()] if words is not None else []
    if by_counts and theory in (None, "closure"):
        system = _system(cooccurrence, text, asked.options)
        _from_counts(system, asked.options, settings, listed, output, figures)
    elif cooccurrence is not None:
        raise InputError(f"--theory {theory} needs the examples; counts alone give --theory closure")
    elif asked.options["program"] is not None:
        of_program(asked.problem, theory, settings, lr, listed, output, figures)
    else:
        of_model(asked.problem, theory, settings, listed, output, figures)


def _times(time: float, times: int, at: str | None) -> NDArray[Any]:
    """The times to keep."""
    import numpy as np

    from dynamics.integrate.initial_value import times as checked

    if at is not None:
        return checked(numbers(at, "--at"))
    if times < 2:
        raise InputError(f"--times {times} must be 2 or more")
    checked([time])
    if time == 0:
        raise InputError("--time 0 is the start; give a later end")
    wanted = np.concatenate([[0.0], np.geomspace(1e-4 * time, time, times - 1)])
    wanted[-1] = time
    return wanted


def _from_counts(
    system: CoOccurrence,
    options: Mapping[str, Any],
    settings: Settings,
    words: Sequence[str],
    output: Path,
    figures: str,
) -> None:
    """Closures on the co-occurrence matrix of a text."""
    import numpy as np

    from derivations.closures import both_stages
    from dynamics.problems import closure as predict

    names = [name.strip() for name in settings.stages.split(",") if name.strip()]
    chosen = _known(words, system)
    rates = named_numbers(options["rate"], "--rate") if options["rate"] else None
    seed, sizes = options["seed"], initial_states(options["init"], both_stages(), {})
    random = np.random.default_rng(seed)
    initial = {name: size * random.standard_normal(system.shape) for name, size in sizes.items() if size > 0}

    def predicted(keep: Sequence[str], show: Callable[[float], None] | None) -> xr.Dataset:
        return predict.solve(
            system, settings.times, stages=names, switch=settings.switch, rates=rates, initial=initial or None,
            top=settings.top,
            keep=keep, rtol=settings.rtol, method=settings.method, threads=settings.threads, progress=show,
        )  # fmt: skip

    with progress("solving") as show:
        found = predicted(chosen, show)
        learnt = {str(o) for o in found.isel(stages=0, time=-1).sel(input=chosen).translation.values}
        if not learnt <= {str(o) for o in found.output.values}:
            # A learnt translation that is not among the most frequent outputs: keep it as well.
            found = predicted([*chosen, *sorted(learnt)], show)
    found.attrs |= {"seed": seed, **{f"init_{name}": size for name, size in sizes.items()}}
    _present(found, system, chosen, output, figures)


def _system(cooccurrence: Path | None, text: str, options: Mapping[str, Any]) -> CoOccurrence:
    """The co-occurrence that the arguments name."""
    from dynamics.counts.cooccurrence import CoOccurrence

    if cooccurrence is not None:
        return CoOccurrence.load(cooccurrence)
    source, target, max_vocab = options["source"], options["target"], options["max_vocab"]
    if source is None:
        from dynamics.counts.bundled import bundled

        source, target = bundled(text)
        max_vocab = BUNDLED_VOCABULARY if max_vocab is None else max_vocab
    if target is None:
        raise InputError(f"{source}: a second text is missing; give SOURCE and TARGET, line by line translations")
    read = {name: options[name] for name in ("tokenizer", "lower", "min_count", "max_pairs")}
    return CoOccurrence.from_parallel_text(source, target, max_vocab=max_vocab, **read)


def _known(words: Sequence[str], system: CoOccurrence) -> list[str]:
    from dynamics.support.files import did_you_mean

    for word in words:
        if word not in system.inputs:
            raise InputError(f"--words: {word!r} is not an input word{did_you_mean(word, system.inputs)}")
    return list(dict.fromkeys(words))


def pairs_of(found: xr.Dataset, words: Sequence[str]) -> list[tuple[str, str]]:
    """(input word, learnt translation) for the given words, or for the best learnt ones."""
    from dynamics.plot import learnt

    first = found.isel(stages=0)
    if not words:
        return learnt(first, SHOWN)
    return [(word, str(first.translation.sel(input=word).values[-1])) for word in words]


def _present(found: xr.Dataset, system: CoOccurrence, words: Sequence[str], output: Path, figures: str) -> None:
    """Print the table, write the trajectory and the figures."""
    from rich.console import Console
    from rich.table import Table

    from dynamics.compare.comparison import distance
    from dynamics.support import trajectory

    console = Console(width=None if sys.stdout.isatty() else 100)
    pairs = pairs_of(found, words)
    first = found.isel(stages=0)
    table = Table(title=None, box=None, pad_edge=False)
    for name, side in (
        ("word", "left"), ("learnt translation", "left"), ("KTIW beta", "right"), ("attention", "right"),
        ("tau of half beta", "right"), ("tau of half attention", "right"), ("most attended", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for word, translation in pairs:
        cell = first.sel(output=translation)
        beta, attention = cell.beta.sel(input=word), cell.attention
        table.add_row(
            word, translation, f"{float(beta[-1]):.3f}", f"{float(attention[-1]):.3f}",
            _time(trajectory.half_time(beta)), _time(trajectory.half_time(attention)), str(cell.attended.values[-1]),
        )  # fmt: skip
    origin = system.attrs.get("source_file", system.attrs.get("origin", "counts"))
    console.print(
        f"{origin}: {system.shape[0]} input and {system.shape[1]} output words, {system.nnz} pairs that co-occur;"
        f" prediction '{first.stages.item()}' to tau = {float(found.time[-1]):g}"
        f" ({found.attrs['evaluations']} evaluations, {found.attrs['seconds']} s)",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if "switch" in found.attrs:
        console.print(f"stage one ends at tau = {found.attrs['switch']:.4g}", highlight=False)
    console.print(table, highlight=False)
    gaps = distance(found, str(first.stages.item())) if found.sizes["stages"] > 1 else None
    if gaps is not None:
        for name in gaps.stages.values:
            gap = gaps.sel(stages=name)
            largest = ", ".join(f"{v} {float(gap[v].max()):.3f}" for v in ("W", "A", "beta"))
            last = ", ".join(f"{v} {float(gap[v][-1]):.3f}" for v in ("W", "A", "beta"))
            console.print(
                f"{name}: relative distance from {gaps.reference} at most {largest}; at the end {last}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        drawn = {
            "loss": plot.loss(found),
            "words": plot.words(first, pairs[:6] if words else None),
            "ktiw": plot.ktiw(first),
        }
        return drawn if gaps is None else {**drawn, "distance": plot.distance(gaps)}

    write(output, figures, {"trajectory": found}, draw)


def _time(tau: float) -> str:
    return "-" if tau != tau else f"{tau:.4g}"
