"""``dynamics forecast``: at which step of a training run each word is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.console import progress, table
from dynamics.cli.options import (
    INPUT,
    OUTPUT,
    SOLVING,
    TRAINING,
    Figures,
    Output,
    Threads,
    with_options,
    words_of,
)  # fmt: skip
from dynamics.cli.output import finish, folder, with_data, write
from dynamics.cli.system import Lower, MaxPairs, MinCount, Tokenizer
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from dynamics.comparison.word_order import MeasuredRun

LANGUAGES = "english-french"
"""The bundled text that is read if no text is given."""

BUNDLED_VOCABULARY, BUNDLED_STEPS = 80, 300
"""Defaults for a bundled text: in more steps all 90 sentences are learnt by heart."""

VOCABULARY, STEPS = 400, 2400

SHOWN = 20
"""Rows of the table, unless words are named."""

OTHER = "other"
"""What --kind says for models that are neither recurrent nor transformers."""


@dataclass(frozen=True)
class TextsOptions:
    """The text, or two; and which lines of it are left alone."""

    source: Annotated[Path | None, typer.Argument(help="Source text, a sentence a line; plain or .gz.")] = None
    target: Annotated[Path | None, typer.Argument(help="Target text, line by line its translation.")] = None
    text: Annotated[
        str | None,
        typer.Option(
            help="Bundled text: english-french or english-german. [default: english-french]", rich_help_panel=INPUT
        ),
    ] = None
    next_word: Annotated[
        bool, typer.Option("--next-word", help="One text alone: forecast a language model.", rich_help_panel=INPUT)
    ] = False
    exclude_lines: Annotated[
        Path | None,
        typer.Option(
            help="Numbers of lines, from 1, that are not read: those that the run is tested on.", rich_help_panel=INPUT
        ),
    ] = None
    tokenizer: Tokenizer = "words"
    lower: Lower = True
    max_vocab: Annotated[
        int | None,
        typer.Option(
            help="Keep this many of the most frequent words a side. [default: 400, of a bundled text 80]",
            rich_help_panel=INPUT,
        ),
    ] = None
    min_count: MinCount = 1
    max_pairs: MaxPairs = None

    def texts(self) -> tuple[Path, Path | None]:
        """The files: given, or bundled ones.

        Raises
        ------
        InputError
            For one text where two are needed, or two where one is.
        """
        if self.source is None:
            from dynamics.counts.bundled import bundled

            source, target = bundled(LANGUAGES if self.text is None else self.text)
            return (target, None) if self.next_word else (source, target)
        if self.text is not None:
            raise InputError("--text names a bundled text, and a file is given: leave one out")
        if self.next_word and self.target is not None:
            raise InputError(f"--next-word is for one text: leave out {self.target}, or --next-word")
        if not self.next_word and self.target is None:
            raise InputError(
                f"{self.source}: a second text is missing; give SOURCE and TARGET, line by line translations, or add "
                "--next-word"
            )
        return self.source, self.target

    @property
    def reading(self) -> dict[str, Any]:
        """How text is read, as keywords."""
        usual = BUNDLED_VOCABULARY if self.source is None else VOCABULARY
        names = ("tokenizer", "lower", "min_count", "max_pairs")
        return {name: getattr(self, name) for name in names} | {
            "max_vocab": usual if self.max_vocab is None else self.max_vocab
        }

    def excluded(self) -> tuple[int, ...]:
        """Line numbers of a file, divided by any white space.

        Raises
        ------
        InputError
            If the file cannot be read or has anything else in it.
        """
        if self.exclude_lines is None:
            return ()
        from dynamics.counts.text.lines import beginning, lines
        from dynamics.support.files import existing

        found = []
        for number, line in enumerate(lines(existing(self.exclude_lines)), start=1):
            for word in line.split():
                if not word.isdecimal() or int(word) < 1:
                    raise InputError(
                        f"{self.exclude_lines}, line {number}: {beginning(word)} is no number of a line, which are "
                        "whole numbers from 1"
                    )
                found.append(int(word))
        return tuple(found)


@dataclass(frozen=True)
class RunOptions:
    """The training run that is forecast."""

    optimizer: Annotated[str, typer.Option(help="Of the run: adam.", rich_help_panel=TRAINING)] = "adam"
    lr: Annotated[float, typer.Option(help="Learning rate.", rich_help_panel=TRAINING)] = 2e-3
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Of the learning rate: warmup=400,cosine (or linear, constant). [default: constant]",
            rich_help_panel=TRAINING,
        ),
    ] = None
    batch: Annotated[int, typer.Option(help="Sentences in a batch.", rich_help_panel=TRAINING)] = 32
    width: Annotated[int, typer.Option(help="Width of the hidden layers.", rich_help_panel=TRAINING)] = 128
    steps: Annotated[
        int | None,
        typer.Option(
            help="Updates of the parameters. [default: 2400, of a bundled text 300]", rich_help_panel=TRAINING
        ),
    ] = None
    kind: Annotated[
        str, typer.Option(help="Of the model: recurrent, transformer or other.", rich_help_panel=TRAINING)
    ] = "recurrent"

    def settings(self, usual: int) -> dict[str, Any]:
        """Keywords of a forecast; of so many steps, unless it is said.

        Raises
        ------
        InputError
            For a kind that there is not.
        """
        from dynamics.problems.forecast.training_run import KINDS
        from dynamics.support.files import did_you_mean

        kinds = (*KINDS, OTHER)
        if self.kind not in kinds:
            raise InputError(f"--kind is {self.kind!r}: choose {', '.join(kinds)}{did_you_mean(self.kind, kinds)}")
        names = ("optimizer", "lr", "schedule", "batch", "width")
        given = {name: getattr(self, name) for name in names}
        steps = usual if self.steps is None else self.steps
        return given | {"steps": steps, "kind": None if self.kind == OTHER else self.kind}


@dataclass(frozen=True)
class ForecastingOptions:
    """How it is forecast."""

    counts_only: Annotated[
        bool,
        typer.Option("--counts-only", help="From counts alone: no sentence is kept.", rich_help_panel=SOLVING),
    ] = False
    sentences: Annotated[
        int | None,
        typer.Option(help="Keep a sample of so many sentences, and the counts of all. [default: all]",
                     rich_help_panel=SOLVING),
    ] = None  # fmt: skip
    starts: Annotated[
        int | None,
        typer.Option(help="Initial states that are averaged. [default: 6 of sentences and 6 of counts; counts alone 4]",
                     rich_help_panel=SOLVING),
    ] = None  # fmt: skip
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.", rich_help_panel=SOLVING)] = 0
    threads: Threads = None

    @property
    def settings(self) -> dict[str, Any]:
        """Keywords of a forecast.

        Raises
        ------
        InputError
            For counts alone and a sample of sentences at once.
        """
        if self.counts_only and self.sentences is not None:
            raise InputError("--counts-only keeps no sentence: leave it out, or --sentences")
        kept = False if self.counts_only else True if self.sentences is None else self.sentences
        return {"sentences": kept, "starts": self.starts, "seed": self.seed, "threads": self.threads}


@with_options(texts=TextsOptions, run=RunOptions, how=ForecastingOptions)
def forecast(
    texts: TextsOptions,
    run: RunOptions,
    how: ForecastingOptions,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run to hold the forecast against, .npz with steps, P, P_shuffled and n; several if given again.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(help="Target words for the table and the figure: hund,katze,...", rich_help_panel=OUTPUT),
    ] = None,
    output: Output = None,
    figures: Figures = "png",
) -> None:
    """Forecast at which training step each word is learnt.

    From two texts, line by line translations, and the settings of a run that is trained on them by Adam. A word is
    learnt when the probability that the model gives it, less that with the source of another sentence, has come half of
    the way to its end. With no file it runs on a bundled text.

    Example: dynamics forecast train.en train.de --lr 1e-3 --kind transformer --exclude-lines heldout.txt
    """
    place = with_data(folder(output, "forecast", figures))
    source, target = texts.texts()
    excluded, listed = texts.excluded(), words_of(words)
    settings = {**run.settings(BUNDLED_STEPS if texts.source is None else STEPS), **how.settings}
    runs = _runs(against or [], texts, source, target)
    from dynamics.problems.forecast.forecast import forecast as forecast_of
    from dynamics.support.files import did_you_mean

    with progress("forecasting") as show:
        found = forecast_of(
            source, target, exclude=excluded, next_word=texts.next_word, progress=show, **settings, **texts.reading
        )
    known = [str(word) for word in found.output.values]
    for word in listed:
        if word not in known:
            raise InputError(f"--words: {word!r} is not a word of the forecast{did_you_mean(word, known)}")
    compared = None
    if runs:
        from dynamics.comparison.word_order import against as held_against

        compared = held_against(found, runs)
    finish(*_shown(found, compared, listed, place, figures, source.name))


def _runs(paths: Sequence[Path], texts: TextsOptions, source: Path, target: Path | None) -> list[MeasuredRun]:
    """The measured runs; read first, so that a bad file is told before the work.

    Runs that do not name their words are of the most frequent ones of the whole text, those of excluded lines too.
    """
    if not paths:
        return []
    from dynamics.comparison.word_order import read_run
    from dynamics.counts.text.corpus import ParallelText
    from dynamics.counts.text.vocabulary import count_words, vocabulary

    read = ParallelText(source, source if target is None else target, texts.tokenizer, texts.lower, texts.max_pairs)
    usual = vocabulary(count_words(read)[1], texts.reading["max_vocab"], texts.min_count)
    return [read_run(path, usual) for path in paths]


def _shown(
    found: xr.Dataset, compared: xr.Dataset | None, listed: Sequence[str], output: Path, figures: str, name: str
) -> list[str]:
    """Write what was found; what was written, and lines for the reader."""
    from dynamics.plot.forecast import shown_words
    from dynamics.support.files import write_aside

    def draw() -> dict[str, Figure]:
        from dynamics import plot

        drawn = {"forecast": plot.forecast(found, listed or None)}
        return drawn if compared is None else {**drawn, "against": plot.against(compared)}

    with write_aside(output / "forecast.tsv") as aside, open(aside, "w", encoding="utf-8") as file:
        for word, step in zip(found.output.values, found.step.values, strict=True):
            if step == step:
                file.write(f"{word}\t{step:.6g}\n")
    saved = {"forecast": found} if compared is None else {"forecast": found, "against": compared}
    some = bool(listed or shown_words(found))
    written = write(output, figures if some else "none", saved, draw)
    shown = found.sel(output=list(listed) or shown_words(found, SHOWN)).sortby("step")
    alone = bool(found.attrs["next_word"])
    rows = [
        [
            str(word.output.item()), _step(word.step), f"{_step(word.low)} to {_step(word.high)}",
            str(word.best_source.item()), f"{float(word.gain[-1]):.2f}",
        ]
        for word in (shown.isel(output=k) for k in range(shown.sizes["output"]))
    ]  # fmt: skip
    head = [
        ("word", "left"), ("learnt at step", "right"), (f"{found.attrs['covered']:.0%} of runs", "right"),
        ("after" if alone else "best source word", "left"), ("gain at the end", "right"),
    ]  # fmt: skip
    attrs = found.attrs
    kept = {"all": "all sentences and counts", 0: "counts alone"}.get(
        attrs["sentences"], f"{attrs['sentences']} sentences and counts"
    )
    lines = [
        f"{name}: {attrs['sentence_pairs']:,} sentences, {found.sizes['output']} words; {attrs['kind']} model of width"
        f" {attrs['width']}, {attrs['optimizer']} {attrs['lr']:g}, {attrs['steps']:,} steps of {attrs['batch']}"
        f" sentences ({attrs['passes']:.2g} times through the text); from {kept}, {found.sizes['start']} starts,"
        f" {attrs['seconds']} s"
    ]
    if rows:
        lines.append(table(head, rows))
    else:
        lines.append(f"no word is learnt in {attrs['steps']:,} steps: forecast more")
    return [f"{written}, forecast.tsv", *lines, *([] if compared is None else _told(compared))]


def _told(compared: xr.Dataset) -> list[str]:
    """The figures of a comparison, in lines."""
    value = {str(name): float(one) for name, one in compared.data_vars.items() if one.dims == ()}
    lines = [
        f"against {compared.attrs['runs']} runs, {compared.attrs['words']} words: rank correlation"
        f" {value['rank_correlation']:.3f} [{value['rank_correlation_low']:.2f}, {value['rank_correlation_high']:.2f}],"
        f" given frequency {value['rank_correlation_given_frequency']:.2f}; frequency alone"
        f" {value['rank_correlation_of_frequency']:.2f}"
        + (f", signal at rest {value['rank_correlation_at_rest']:.2f}" if "rank_correlation_at_rest" in value else ""),
        f"{value['scale']:.2f} measured steps a forecast one, within a factor {value['factor']:.2f} (one standard"
        f" deviation); slope of logarithms {value['slope']:.2f}; {value['covered_unscaled']:.0%} of the steps within"
        f" the intervals; {value['first_named']:.0f} of the first {value['first']:.0f} words named",
    ]
    if "runs_agree" in value:
        lines.append(f"the runs agree among themselves with a rank correlation of {value['runs_agree']:.3f}")
    return lines


def _step(value: Any) -> str:
    number = float(value)
    return "-" if number != number else f"{number:.0f}"
