"""``dynamics solve``: predicted trajectories."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dynamics.cli.common import (
    RESULTS,
    Figures,
    Lower,
    MaxPairs,
    MinCount,
    Output,
    Source,
    Target,
    Threads,
    Tokenizer,
    check_output,
    numbers,
    progress,
    write,
)
from dynamics.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from dynamics.cooccurrence import CoOccurrence

BUNDLED_VOCABULARY = 80
SHOWN = 12


def solve(
    source: Source = None,
    target: Target = None,
    cooccurrence: Annotated[
        Path | None, typer.Option(help="Counts instead of text: .npz, .npy, .mtx, .csv or .tsv.")
    ] = None,
    text: Annotated[str, typer.Option(help="Bundled text: english-french or english-german.")] = "english-french",
    time: Annotated[float, typer.Option(help="End of training, tau = learning rate x steps.")] = 10_000.0,
    times: Annotated[int, typer.Option(help="How many times to keep, spaced logarithmically.")] = 100,
    at: Annotated[str | None, typer.Option(help="The times to keep instead, such as 0,10,100.")] = None,
    stages: Annotated[str, typer.Option(help="Predictions: joint, two-stage, frozen.")] = "joint,two-stage,frozen",
    switch: Annotated[float | None, typer.Option(help="End of stage one; found from the flow if not given.")] = None,
    rate_w: Annotated[float, typer.Option("--rate-W", help="Learning rate of W relative to tau.")] = 1.0,
    rate_a: Annotated[float, typer.Option("--rate-A", help="Learning rate of A relative to tau.")] = 1.0,
    words: Annotated[str | None, typer.Option(help="Input words for the table and the curves: right,law,...")] = None,
    top: Annotated[int, typer.Option(help="Keep this many of the most frequent words a side in the result.")] = 60,
    tokenizer: Tokenizer = "words",
    lower: Lower = True,
    max_vocab: Annotated[
        int | None, typer.Option(help="Most frequent words a side (80 for the bundled text, else all).")
    ] = None,
    min_count: MinCount = 1,
    max_pairs: MaxPairs = None,
    init: Annotated[float, typer.Option(help="Standard deviation of the initial W and A.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the initial state.")] = 0,
    rtol: Annotated[float, typer.Option(help="Relative tolerance of the integration.")] = 1e-6,
    method: Annotated[
        str, typer.Option(help="RK45, RK23, DOP853, LSODA, BDF, Radau or RKC (stiff, many words).")
    ] = "RK45",
    threads: Threads = None,
    output: Output = RESULTS,
    figures: Figures = "png",
) -> None:
    """Predict how words and attention are learnt, from a co-occurrence matrix.

    With no file it runs on a bundled text, the Universal Declaration of Human Rights.

    Example: dynamics solve --words human,freedom,rights --output results
    """
    import numpy as np

    from dynamics import predict
    from dynamics.integrate import times as checked

    system, chosen = _system(source, target, cooccurrence, text, tokenizer, lower, max_vocab, min_count, max_pairs), []
    names = [name.strip() for name in stages.split(",") if name.strip()]
    if words is not None:
        chosen = _known([word.strip() for word in words.split(",") if word.strip()], system)
    if at is None:
        if times < 2:
            raise InputError(f"--times {times} must be 2 or more")
        checked([time])
        if time == 0:
            raise InputError("--time 0 is the start; give a later end")
        wanted = np.concatenate([[0.0], np.geomspace(1e-4 * time, time, times - 1)])
        wanted[-1] = time
    else:
        wanted = checked(numbers(at, "--at"))
    initial = None
    if init < 0 or not np.isfinite(init):
        raise InputError(f"--init {init} must be a number from 0 on")
    if init > 0:
        random = np.random.default_rng(seed)
        initial = {name: init * random.standard_normal(system.shape) for name in ("W", "A")}
    check_output(output, figures)

    def predicted(keep: Sequence[str], show: Callable[[float], None] | None) -> xr.Dataset:
        return predict.solve(
            system, wanted, stages=names, switch=switch, rates={"W": rate_w, "A": rate_a}, initial=initial, top=top,
            keep=keep, rtol=rtol, method=method, threads=threads, progress=show,
        )  # fmt: skip

    with progress("solving") as show:
        found = predicted(chosen, show)
        learnt = {str(o) for o in found.isel(stages=0, time=-1).sel(input=chosen).translation.values}
        if not learnt <= {str(o) for o in found.output.values}:
            # A learnt translation that is not among the most frequent outputs: keep it as well.
            found = predicted([*chosen, *sorted(learnt)], show)
    found.attrs["seed"], found.attrs["init"] = seed, init
    _present(found, system, chosen, output, figures)


def _system(
    source: Path | None,
    target: Path | None,
    cooccurrence: Path | None,
    text: str,
    tokenizer: str,
    lower: bool,
    max_vocab: int | None,
    min_count: int,
    max_pairs: int | None,
) -> CoOccurrence:
    """The co-occurrence that the arguments name."""
    from dynamics.cooccurrence import CoOccurrence

    if cooccurrence is not None:
        if source is not None:
            raise InputError("give either two texts or --cooccurrence, not both")
        return CoOccurrence.load(cooccurrence)
    if source is None:
        from dynamics.bundled import bundled

        source, target = bundled(text)
        max_vocab = BUNDLED_VOCABULARY if max_vocab is None else max_vocab
    if target is None:
        raise InputError(f"{source}: a second text is missing; give SOURCE and TARGET, line by line translations")
    return CoOccurrence.from_parallel_text(
        source, target, tokenizer=tokenizer, lower=lower, max_vocab=max_vocab, min_count=min_count, max_pairs=max_pairs
    )


def _known(words: Sequence[str], system: CoOccurrence) -> list[str]:
    from dynamics.files import did_you_mean

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

    from dynamics import trajectory
    from dynamics.comparison import distance

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
