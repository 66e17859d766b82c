"""``dynamics solve``: predicted trajectories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.console import progress, table, table_format, warn
from dynamics.cli.optimizing import OptimizerOptions
from dynamics.cli.options import (
    INPUT,
    OUTPUT,
    SOLVING,
    Figures,
    KeepBags,
    Output,
    TableFormat,
    refuse_idle,
    with_options,
    words_of,
)
from dynamics.cli.output import finish, folder, with_data, write
from dynamics.cli.predictions import SolvingOptions, predicted_by, start_of, theory_of
from dynamics.cli.system import SystemOptions, counts_of, initial_states
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from dynamics.counts.cooccurrence import CoOccurrence
    from dynamics.problems.optimisers.optimizer import Optimizer

BUNDLED_VOCABULARY = 80
SHOWN = 12
SCORES = 10
TOP = 60


@with_options(system=SystemOptions, solving=SolvingOptions, optimizing=OptimizerOptions)
def solve(
    system: SystemOptions,
    solving: SolvingOptions,
    optimizing: OptimizerOptions,
    cooccurrence: Annotated[
        Path | None, typer.Option(help="Counts instead of text: .npz, .npy, .mtx, .csv or .tsv.", rich_help_panel=INPUT)
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Bundled text: english-french or english-german. [default: english-french]", rich_help_panel=INPUT
        ),
    ] = None,
    keep_bags: KeepBags = None,
    closure: Annotated[
        str | None,
        typer.Option(
            help="Two texts or counts: conditional (from counts alone) or bags (near the exact flow, from counts with"
            " sentences). [default: bags; conditional on counts alone, on sparse ones, and with --optimizer]",
            rich_help_panel=SOLVING,
        ),
    ] = None,
    errors: Annotated[
        int | None,
        typer.Option(
            help="bags: state two errors, of the method by a second run, of the corpus by this many more.",
            rich_help_panel=SOLVING,
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            help="--errors: warn where that of the corpus is more than this. [default: 0.1]", rich_help_panel=SOLVING
        ),
    ] = None,
    sensitivity: Annotated[
        str | None,
        typer.Option(
            help="Derivatives of states, loss and, of a text, times of half by these: 'rate W', 'initial W', 'count"
            " INPUT OUTPUT', a parameter, lr of --lr or an --optimizer; with commas.",
            rich_help_panel=SOLVING,
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(help="Input words for the table and the curves: right,law,...", rich_help_panel=OUTPUT),
    ] = None,
    form: TableFormat = "text",
    output: Output = None,
    figures: Figures = "png",
) -> None:
    """Predict how words and attention are learnt.

    Two texts, or counts: from their co-occurrence alone. --labelled, --task or --model: the exact flow of a model, or
    its reduction. --program: that of a model of your own, on its own data or a text. With no file it runs on a bundled
    text, the Universal Declaration of Human Rights.

    Example: dynamics solve --words human,freedom,rights --output results
    """
    wanted = solving.wanted
    place, form = with_data(folder(output, "solve", figures)), table_format(form)
    listed = words_of(words)
    if sensitivity is not None and not words_of(sensitivity):
        raise InputError("--sensitivity names nothing; give numbers such as 'rate W'")
    stepping = optimizing.chosen(solving.lr, solving.momentum, solving.batch)
    if stepping is not None:
        stepping.require_noise()
    stepped = set() if stepping is None else STEPPED
    if not system.of_a_model and solving.theory in (None, "closure"):
        refuse_idle(solving, {*CLOSURE, *ALWAYS, *stepped}, "the closure on counts; --theory exact takes it")
        sentences = Sentences(keep_bags, closure, errors, within, stepping is not None)
        counts = counts_of(system, cooccurrence, text, BUNDLED_VOCABULARY, sentences.kept(cooccurrence is None))
        by = sentences.closure_on(counts, cooccurrence is not None)
        moved = words_of(sensitivity)
        found = _from_counts(counts, system, solving, listed, stepping, by, errors, moved)
        finish(
            *_counts_shown(found, counts, listed, place, figures, form),
            *sentences.told(found, counts, form, cooccurrence is not None),
        )
        return
    for name, value in {"keep-bags": keep_bags, "closure": closure, "errors": errors, "within": within}.items():
        if value is not None:
            raise InputError(f"--{name} is for the closures on two texts or counts; leave it out")
    if cooccurrence is not None and system.program is None:
        if system.of_a_model:
            raise InputError("--cooccurrence gives counts alone; leave out texts, --labelled, --task and --model")
        raise InputError(f"--theory {solving.theory} needs the examples; counts alone give --theory closure")
    if text is not None:
        raise InputError("--text is a bundled text, read for its counts; leave it out, or all that names a model")
    chosen = system.chosen(cooccurrence)
    own = system.program is not None
    if own and listed:
        raise InputError("--words shows words of the models of the package; leave it out")
    if own and solving.theory not in (None, "exact"):
        raise InputError(f"--theory {solving.theory} is for the models of the package; a program has its own flow")
    if own and solving.lr is not None and chosen.problem.program.model is None:
        raise InputError("--lr corrects the flow of a loss, and this program gives its own; leave it out")
    theory = "exact" if own else theory_of(chosen, solving.theory, stepping)
    if solving.lr is not None and theory != "exact" and stepping is None:
        raise InputError("--lr is for the exact flow; add --theory exact, or leave it out")
    if listed and theory != "exact":
        raise InputError("--words shows words of a text; leave it out for a task")
    acting = {"closure": {*CLOSURE, *ALWAYS}, "reduction": ALWAYS, "exact": {*ALWAYS, "lr", "corners"}}[theory]
    refuse_idle(solving, {*acting, *stepped}, f"--theory {theory}")
    problem, start = predicted_by(chosen, theory), dict(chosen.initial)
    if theory != "exact":
        from dynamics.problems.kinds.reduction import Reduction

        if not (isinstance(problem, Reduction) and start and set(start) <= set(problem.order)):
            states, shapes = chosen.problem.initial(start, chosen.seed), chosen.problem.shapes
            start = dict(start_of(problem, unpacked(states, shapes)))
    options = {**chosen.given, **solving.control, "initial": start or None}
    if theory == "closure":
        options |= _stages(solving, stepping, sensitivity is not None) | {
            "top": TOP if solving.top is None else solving.top
        }
    if theory == "reduction":
        options["rtol"] = min(solving.rtol, problem.tolerances.rtol)
    from dynamics.problems.solve import solve as solved

    with progress("solving") as show:
        how: dict[str, Any] = {"lr": solving.lr} if stepping is None else {"optimizer": stepping}
        how |= {"stability": has_limit(solving.lr, stepping), "corners": solving.corners}
        if sensitivity is not None:
            how["sensitivity"] = words_of(sensitivity)
        found = solved(problem, wanted, **options, **how, progress=show)
    finish(*_model_shown(found, own, listed, place, figures), *_moved(found))


BAGS = "bags"
KEPT = 250_000
"""Sentences with a target that are kept unless asked otherwise: 3 MB, and about as much for their words."""


UNKNOWN = (
    "how far this closure is from the exact flow is not known from counts alone; with sentences beside them (dynamics"
    " cooccurrence --keep-bags 250000) --errors 4 says it"
)


@dataclass(frozen=True)
class Sentences:
    """What is said of the closure on sentences: how many are kept, and which errors are stated.

    Unless it is said, a text is solved by sentences, but for two cases in which they cost too much: under an optimiser,
    which takes them all at once, and where a co-occurrence is sparse, as this closure would store it dense.
    """

    keep_bags: int | None
    closure: str | None
    errors: int | None
    within: float | None
    stepping: bool = False

    def __post_init__(self) -> None:
        if self.closure not in (None, "conditional", BAGS):
            raise InputError(f"unknown closure {self.closure!r}; use conditional or bags")
        if self.closure == "conditional" and self.keep_bags is not None:
            raise InputError("--keep-bags keeps sentences, which --closure conditional does not take; leave out one")
        if self.closure == "conditional" and self.errors is not None:
            raise InputError("--errors are not known of --closure conditional; use --closure bags")
        if self.within is not None and self.errors is None:
            raise InputError("--within says how large an error of the corpus may be; add --errors 4")
        if self.within is not None and not self.within > 0:
            raise InputError(f"--within {self.within} must be a positive number, such as 0.1")
        if self.errors is not None and self.errors < 0:
            raise InputError(f"--errors {self.errors} must be a number of runs, from 0")

    @property
    def wanted(self) -> bool:
        """Whether sentences are asked for."""
        return self.closure == BAGS or self.errors is not None or self.keep_bags is not None

    def kept(self, text: bool) -> int | None:
        """How many sentences to keep when a text is counted."""
        if self.keep_bags is not None or not text:
            return self.keep_bags
        return KEPT if self.wanted or (self.closure is None and not self.stepping) else None

    def closure_on(self, counts: CoOccurrence, loaded: bool) -> str:
        """The closure: on sentences where there are some, unless asked otherwise. ``loaded``: counts without a text."""
        if self.errors is not None and counts.bags is None:
            raise InputError("--errors needs counts with sentences; count the text with --keep-bags 250000")
        if self.closure is not None:
            return self.closure
        kept = counts.bags is not None and (self.wanted or loaded or not counts.is_sparse)
        return BAGS if kept else "conditional"

    def told(self, found: xr.Dataset, counts: CoOccurrence, form: str, loaded: bool) -> list[str]:
        """The errors, a line each; a warning where they are larger than is asked for. ``loaded``: without a text."""
        from dynamics.problems.solving.errors import WITHIN, told

        if self.errors is None:
            return [UNKNOWN] if loaded and counts.bags is None and form == "text" else []
        lines, warning = told(found, WITHIN if self.within is None else self.within)
        if warning:
            warn(warning)
        return lines if form == "text" else []


ALWAYS = {"theory", "time", "times", "at", "rtol", "method", "observe", "threads"}
CLOSURE = {"stages", "switch", "top"}
STEPPED = {"lr", "momentum", "batch"}
"""What says how an optimiser steps."""


def has_limit(lr: float | None, optimizer: Optimizer | None) -> bool:
    """Whether steps may be too long for their flow, which is looked at."""
    from dynamics.problems.optimisers.curvature import limit_of

    return lr is not None if optimizer is None else limit_of(optimizer) is not None


def _stages(solving: SolvingOptions, optimizer: Optimizer | None = None, moved: bool = False) -> dict[str, Any]:
    """The predictions that are asked for, as keywords of a solve. ``moved``: with derivatives, which are of one."""
    usual = "joint,two-stage,frozen" if optimizer is None and not moved else "joint"
    names = words_of(usual if solving.stages is None else solving.stages)
    if solving.switch is not None and set(names) == {"joint"}:
        raise InputError("--switch ends stage one, for two-stage or frozen; leave it out of --stages joint")
    return {"stages": names, "switch": solving.switch}


def unpacked(y: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Tensors by name, of a packed state."""
    import math

    found, before = {}, 0
    for name, shape in shapes.items():
        found[name] = y[before : before + math.prod(shape)].reshape(shape)
        before += math.prod(shape)
    return found


def _from_counts(
    counts: CoOccurrence, system: SystemOptions, solving: SolvingOptions, words: Sequence[str],
    optimizer: Optimizer | None, closure: str, errors: int | None, moved: Sequence[str],
) -> xr.Dataset:  # fmt: skip
    """Closures on the co-occurrence matrix of a text."""
    from dynamics.problems.solve import solve as solved
    from dynamics.support.files import did_you_mean
    from dynamics.support.recipes import made

    for word in words:
        if word not in counts.inputs:
            raise InputError(f"--words: {word!r} is not an input word{did_you_mean(word, counts.inputs)}")
    chosen = list(dict.fromkeys(words))
    joint = made("derivations.closures:both_stages")
    sizes = {name: size for name, size in initial_states(system.init, joint, {}).items() if size > 0}
    control = solving.control
    if closure == BAGS and solving.rtol == type(solving).rtol:
        del control["rtol"]  # that of the closure

    stages = _stages(solving, optimizer, bool(moved))

    def predicted(keep: Sequence[str], show: Callable[[float], None] | None) -> xr.Dataset:
        return solved(
            counts, solving.wanted, **stages, optimizer=optimizer, sensitivity=moved or None,
            stability=optimizer is not None and has_limit(None, optimizer), rates=system.rates or None,
            initial=sizes or None,
            seed=system.seed, top=TOP if solving.top is None else solving.top, keep=keep, **control,
            closure=closure, errors=errors, progress=show,
        )  # fmt: skip

    foretell(counts, len(stages["stages"]) + 3 * len(moved), closure)
    with progress("solving") as show:
        found = predicted(chosen, show)
        learnt = {str(o) for o in found.isel(stages=0, time=-1).sel(input=chosen).translation.values}
        if not learnt <= {str(o) for o in found.output.values}:
            # A learnt translation that is not among the most frequent outputs: keep it as well.
            found = predicted([*chosen, *sorted(learnt)], show)
    found.attrs |= {f"init_{name}": size for name, size in sizes.items()}
    return found


PER_SECOND = {"conditional": 1e10, BAGS: 3e9}
"""Products of a second, roughly, on one core: of matrices, and of the words of sentences one after the other."""
EVALUATIONS = 300
"""Of one prediction to late times."""
LONG = 30.0
"""Seconds from which a run is announced."""


def foretell(counts: CoOccurrence, predictions: int, closure: str = "conditional") -> None:
    """Before a long run, say how large it is, about how long it takes, and what would be quicker."""
    from dynamics.problems.kinds.bags import WORK
    from dynamics.problems.kinds.closure import Closure

    problem, (inputs, outputs) = Closure(counts), counts.shape
    products = 3 * WORK * counts.nnz * outputs if closure == BAGS else problem.products
    seconds = products * EVALUATIONS * predictions / PER_SECOND[closure]
    if seconds > LONG:
        quicker = ", --closure conditional" if closure == BAGS else ""
        warn(
            f"{inputs:,} x {outputs:,} words, {problem.size:,} numbers of state: {predictions} predictions may take"
            f" about {seconds / 60:.0f} minutes; --max-vocab 300 when counting{quicker}, --stages joint or an earlier"
            " --time are quicker"
        )


def pairs_of(found: xr.Dataset, words: Sequence[str]) -> list[tuple[str, str]]:
    """(input word, learnt translation) for the given words, or for the best learnt ones."""
    from dynamics.comparison.learnt_words import learnt

    first = found.isel(stages=0)
    if not words:
        return learnt(first, SHOWN)
    return [(word, str(first.translation.sel(input=word).values[-1])) for word in words]


def _counts_shown(
    found: xr.Dataset, counts: CoOccurrence, words: Sequence[str], output: Path, figures: str, form: str
) -> list[str]:
    """Write the trajectory and the figures of a closure; what was written, and lines for the reader."""
    from dynamics.comparison.side_by_side import distance
    from dynamics.support.trajectory import half_time

    pairs, first = pairs_of(found, words), found.isel(stages=0)
    gaps = distance(found, str(first.stages.item())) if found.sizes["stages"] > 1 else None

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        drawn = {
            "loss": plot.loss(found),
            "words": plot.words(first, pairs[:6] if words else None),
            "ktiw": plot.ktiw(first),
        }
        return drawn if gaps is None else {**drawn, "distance": plot.distance(gaps)}

    written = write(output, figures, {"trajectory": found}, draw)
    rows = []
    for word, translation in pairs:
        cell = first.sel(output=translation)
        beta, attention = cell.beta.sel(input=word), cell.attention
        on_word = attention.where(cell.attended == word, 0.0)  # attention on another word is not on this one
        rows.append(
            [
                word, translation, f"{float(beta[-1]):.3f}", f"{float(attention[-1]):.3f}",
                _time(half_time(beta)) + _give_or_take(cell, "beta", input=word),
                _time(half_time(on_word)) + _give_or_take(cell, "attention"), str(cell.attended.values[-1]),
            ]
        )  # fmt: skip
    head = [
        ("word", "left"), ("learnt translation", "left"), ("KTIW beta", "right"), ("attention", "right"),
        ("tau at half of KTIW", "right"), ("tau at half of attention on it", "right"), ("most attended", "left"),
    ]  # fmt: skip
    by = list(map(str, found.parameter.values)) if "parameter" in found.coords else []
    if form != "text":
        for name in by:
            head += [(f"d {what} / d {name}", "right") for what in MOVED]
            rows = [[*row, *_derivatives(first, *pair, name)] for row, pair in zip(rows, pairs, strict=True)]
        return ["", table(head, rows, form)]
    origin = counts.attrs.get("source_file", counts.attrs.get("origin", "counts"))
    lines = [
        f"{origin}: {counts.shape[0]} input and {counts.shape[1]} output words, {counts.nnz} pairs that co-occur;"
        f" prediction '{first.stages.item()}' to tau = {float(found.time[-1]):g}"
        f" ({found.attrs['evaluations']} evaluations, {found.attrs['seconds']} s)"
    ]
    if "switch" in found.attrs:
        lines.append(f"stage one ends at tau = {found.attrs['switch']:.4g}")
    lines.append(table(head, rows))
    if by:
        head = [
            ("word", "left"),
            ("learnt translation", "left"),
            ("derivative by", "left"),
            *((m, "right") for m in MOVED),
        ]
        rows = [[*pair, name, *_derivatives(first, *pair, name)] for pair in pairs for name in by]
        lines += [table(head, rows), *_moved(found)]
    for name in () if gaps is None else gaps.stages.values:
        gap = gaps.sel(stages=name)  # type: ignore[union-attr]
        largest = ", ".join(f"{v} {_share(gap[v].max())}" for v in ("W", "A", "beta"))
        last = ", ".join(f"{v} {_share(gap[v][-1])}" for v in ("W", "A", "beta"))
        lines.append(f"{name}: relative distance from {first.stages.item()} at most {largest}; at the end {last}")
    return [written, *lines]


MOVED = ("W", "A", "tau at half of KTIW", "tau at half of attention on it")
"""Of a word and its learnt translation, what derivatives of are shown."""


def _derivatives(found: xr.Dataset, word: str, translation: str, by: str) -> list[str]:
    """Of the value of a word and its attention at the end, and of their times of half; a dash where there is none."""
    here = found.sel(parameter=by, input=word)
    last = here.sel(output=translation).isel(time=-1)
    there = [last.get(name) for name in ("d_W", "d_A")]
    learnt = str(here.translation.values[-1]) == translation
    attends = learnt and str(last.attended.item()) == word
    for name, own in (("beta", learnt), ("attention", attends)):
        there.append(here[f"d_{name}_half_time"] if own and f"d_{name}_half_time" in here else None)
    return ["-" if value is None else f"{float(value):.4g}" for value in there]


def _moved(found: xr.Dataset) -> list[str]:
    """How the loss at the end moves with what its derivatives were asked for by."""
    from dynamics.support.roles import loss_of

    name = f"d_{loss_of(found) or 'loss'}"
    if name not in found:
        return []
    last = found[name].isel(time=-1)
    return [
        f"d loss / d {one}: {float(last.sel({last.dims[0]: one})):.4g} at the end" for one in last[last.dims[0]].values
    ]


def _model_shown(found: xr.Dataset, own: bool, words: Sequence[str], output: Path, figures: str) -> list[str]:
    """Write the trajectory and the figures of a model; what was written, and lines for the reader."""
    from derivations.program import Role
    from dynamics.support.roles import loss_of, with_role

    shown = found.isel(stages=0) if "stages" in found.dims else found
    loss = shown[loss_of(shown) or "loss"]
    scores = [name for name in with_role(shown, Role.ATTENTION) if shown[name].dims == ("time", "input")]

    def draw() -> dict[str, Figure]:
        from dynamics import plot
        from dynamics.plot.programs import course

        if own:
            return {"course": course(found)}
        drawn = {"order": plot.order(found)}
        return {**drawn, "scores": plot.scores(shown, words or None)} if scores else drawn

    written = write(output, figures, {"trajectory": found}, draw)
    lines = [
        f"{found.attrs['title']}: to tau = {float(found.time[-1]):g} ({found.attrs['evaluations']} evaluations,"
        f" {found.attrs['seconds']} s); loss {float(loss[0]):.4g} -> {float(loss[-1]):.4g}"
    ]
    if own:
        lines += [
            f"{name}: {float(value[0]):.4g} -> {float(value[-1]):.4g}"
            for name, value in found.data_vars.items()
            if value.dims == ("time",) and name != loss.name
        ]
    elif scores:
        lines += _scores_shown(shown, scores[0], words)
    return [written, *lines]


def _scores_shown(found: xr.Dataset, scores: str, words: Sequence[str]) -> list[str]:
    """The words with the highest scores at the end, or given ones."""
    from derivations.program import Role
    from dynamics.comparison.learnt_words import best_scores
    from dynamics.support.roles import with_role

    values, embeddings = with_role(found, Role.VALUES), with_role(found, Role.EMBEDDINGS)
    lines = []
    for word in best_scores(found, words or None, SCORES):
        last = found.isel(time=-1).sel(input=word)
        told = f"{word}: score {float(last[scores]):.4g}"
        if values:
            told += f", tells {last.output.values[int(last[values[0]].argmax('output'))]}"
        if embeddings:
            told += f", norm {float((last[embeddings[0]] ** 2).sum() ** 0.5):.4g}"
        lines.append(told)
    return lines


def _share(distance: xr.DataArray) -> str:
    """A relative distance; of what has not moved, there is none."""
    return "-" if float(distance) != float(distance) else f"{float(distance):.3f}"


def _give_or_take(cell: xr.Dataset, name: str, **where: str) -> str:
    """Two standard errors of a time of half, where they are known."""
    if f"{name}_half_time_interval" not in cell:
        return ""
    low, high = cell[f"{name}_half_time_interval"].sel(where).values
    return f" ± {(high - low) / 2:.2g}"


def _time(tau: float) -> str:
    return "-" if tau != tau else f"{tau:.4g}"
