"""`forecast`: at which step of a training run each target word is learnt."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from scipy.special import stdtrit

from dynamics.counts.context import LONGEST, NO_SOURCE, ContextCounts
from dynamics.counts.made_sentences import fitted_weights, make_sentences
from dynamics.counts.text.corpus import Text
from dynamics.counts.text.encoding import EncodedPairs
from dynamics.counts.text.options import ByName, TextOptions, positive
from dynamics.problems.forecast.at_rest import signals
from dynamics.problems.forecast.learning_step import learning_steps, recorded_steps, smoothed
from dynamics.problems.forecast.probes import Measured, Probes
from dynamics.problems.forecast.rows import RowModel
from dynamics.problems.forecast.sentences import Sentences
from dynamics.problems.forecast.training_run import Schedule, TrainingRun
from dynamics.problems.forecast.translations import best_sources
from dynamics.support.errors import InputError
from dynamics.support.threads import limited
from dynamics.support.trajectory import provenance
from dynamics.support.typing import Indices, Vector

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["forecast"]

WIDTH = 64
"""Of the row models, whatever the width of the run: the learning rate is scaled instead."""

STRIDE = 4.0
"""Steps of the run that one evaluation stands for; half as many before `EARLY`."""

EARLY = 40.0

MADE_PACE = 0.75
"""Steps at which the words of sentences are learnt, for one of those made from their counts: .75 for English to German
and .66 for German to English, by forecasts from both."""

EVERY_TABLE = 4
"""Evaluations that keep the second moments of the tables: to take them anew each time changes nothing."""

FIRST = 8.0
"""Step of the first record of what is known of the words, after that of the start."""

PLACES = 25
"""Of each word that are looked at."""

MADE = 20_000
"""Sentences that are made from counts alone, for each start."""

RESAMPLED = 100
"""Samples of the sentences for the interval of each start."""

COVERED = 0.9
"""Share of runs that the interval is to hold."""

STARTS, STARTS_OF_COUNTS = 6, 4
"""Of each course, and where counts are all there is: a start has noise of its own, and the mean of few tells another
order for each seed."""


OPEN = 0.5
"""The output gate of a recurrent cell at rest, sigmoid(0)."""

PACE = {"recurrent": OPEN, "transformer": 1.0, None: 1.0}
"""What the learning rate of a run counts, by its kind: how large is what is read out, which is what a step of the
read-out is multiplied by. Transformers read out a normalised state, as the row models do. The state of a recurrent
model is a hyperbolic tangent behind a gate, which lets half of it through at rest."""


@dataclass(frozen=True)
class Course:
    """One way to forecast: a row model, what it is trained on, and how; several starts of it are averaged.

    Attributes
    ----------
    model : {"recurrent", "prefix", "mean"}
    made : bool
        On sentences made from the counts, other ones for each start.
    embeddings : float
        Standard deviation of the embeddings at the start.
    starts : int
    group : int
        Sentences an evaluation, for a batch of 32.
    """

    model: str
    made: bool
    embeddings: float
    starts: int
    group: int = 64


def courses(counts: ContextCounts, kept: int, starts: int | None) -> list[Course]:
    """What is averaged: counts alone, or sentences and counts.

    Sentences and what is made from counts err differently: made source words know nothing of each other, and the rare
    words of kept sentences stand in few of them. Their mean is better than either.

    Parameters
    ----------
    counts : ContextCounts
    kept : int
        How many sentences are at hand.
    starts : int, optional
        Of each course.
    """
    number = starts or (STARTS if kept else STARTS_OF_COUNTS)
    made = Course("prefix", True, 0.2, number)
    return [Course("prefix", False, 0.05, number), made] if kept else [made]


def row_rate(run: TrainingRun, step: float) -> float:
    """The learning rate of the row models, whose width is `WIDTH`.

    A step of Adam moves each of d coordinates by the learning rate, and changes a logit by about d times that: learning
    rate times width is kept. Recurrent models go at half of the pace, see `PACE`.
    """
    return run.rate(step) * run.width / WIDTH * PACE[run.kind]


@dataclass(frozen=True, eq=False)
class _Start:
    """What one start saw: all arrays of shape (records, places), in the order of the words."""

    probes: Probes
    own: Vector
    other: Vector
    attention: Vector


def forecast(
    source: Text | ContextCounts,
    target: Text | None = None,
    options: TextOptions | None = None,
    *,
    optimizer: str = "adam",
    lr: float = 2e-3,
    batch: int = 32,
    width: int = 128,
    steps: int = 2400,
    schedule: Schedule | str | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    kind: str | None = "recurrent",
    sentences: bool | int = True,
    starts: int | None = None,
    seed: int = 0,
    exclude: Iterable[int] = (),
    next_word: bool = False,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    **by_name: Unpack[ByName],
) -> xr.Dataset:
    """Forecast at which step of a training run each target word is learnt.

    The run is of a translation model with attention, trained by Adam. Nothing of it is used but its settings: a small
    model of the same kind of context (a row model: embeddings with places, one normalised attention, one normalised
    read-out) follows the mean of Adam's updates over the sentences, several of the run's steps at a time, with the
    noise of the run's batches in the second moments. A word is learnt when its gain (its probability at its places less
    that with the source of another sentence) has come half of the way to its end.

    Parameters
    ----------
    source, target : path-like or iterable of str
        Two texts, line by line translations; or ContextCounts as `source` and no target; or one text and `next_word`.
    options : TextOptions, optional
        How text is read; by default the 400 most frequent words a side are kept.
    optimizer : {"adam"}
    lr, batch, width, steps, betas
        Of the run: learning rate, sentences in a batch, width of the hidden layers, updates, decay of Adam's moments.
    schedule : Schedule or str, optional
        Of the learning rate, such as "warmup=400,cosine"; constant by default.
    kind : {"recurrent", "transformer"} or None
        Of the run's model; None if it is neither.
    sentences : bool or int
        True: all sentences are kept, and looked at beside sentences that are made from the counts. A number: a sample
        of so many, and the counts of all. False: counts alone.
    starts : int, optional
        Initial states that are averaged, on sentences and on counts each; 6 each by default, 4 on counts
        alone.
    seed : int
        Of all that is drawn.
    exclude : iterable of int
        Numbers of lines, from 1, that are not read: those that the run is tested on.
    next_word : bool
        One text alone: a language model. Its gain is that over the probability after the words of another place.
    threads : int, optional
        For the linear algebra; one by default.
    progress : callable, optional
        Called with the share that is done.
    **by_name
        Options of text by their names: tokenizer, lower, max_vocab, min_count, max_pairs.

    Returns
    -------
    xarray.Dataset
        By target word (dimension ``output``, the most frequent first): ``step``, at which it is learnt, NaN if never;
        ``low`` and ``high``, between which nine runs of ten are to learn it; ``best_source`` and ``best_share``, the
        source word that it is the translation of by IBM's model 1 (of one text: the word before that tells most of it)
        and its share; ``frequency``; ``signal``, how clearly a batch tells the word before anything is learnt (theorem
        stage-one-adam, which orders words without a forecast); ``attention_step``, at which attention on the best
        source word has come half of the way. By record and word (dimension ``time``, in steps): ``gain``,
        ``probability``, ``attention``. ``start_step`` has the steps of each start. All settings are in ``attrs``.

    Raises
    ------
    InputError
        For texts that cannot be read, and settings that cannot be or go together.

    Warns
    -----
    DataWarning
        If pairs were left out because no word of one side was kept.

    Examples
    --------
    >>> english, german = ["a dog", "a cat", "the dog"] * 20, ["ein hund", "eine katze", "der hund"] * 20
    >>> found = forecast(english, german, steps=200, lr=0.01, starts=1)
    >>> str(found.best_source.sel(output="hund").item())
    'dog'
    """
    began = time.perf_counter()
    plan = Schedule() if schedule is None else Schedule.read(schedule) if isinstance(schedule, str) else schedule
    run = TrainingRun(optimizer, lr, batch, width, steps, plan, kind, betas)
    if starts is not None:
        positive("starts", starts)
    if not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise InputError(f"seed is {seed!r}: give a whole number from 0 to 2^64 - 1")
    counts = _counted(source, target, options, sentences, seed, exclude, next_word, by_name)
    alone = counts.inputs == (NO_SOURCE,)
    if next_word and not alone:
        raise InputError("next_word=True is for one text alone, and these counts are of two; leave it out")
    pairs = counts.reservoir.pairs if sentences is not False and counts.reservoir is not None else None
    ways = courses(counts, 0 if pairs is None else len(pairs), starts)
    jobs = [way for way in ways for _ in range(way.starts)]
    seen: dict[Course, list[_Start]] = {way: [] for way in ways}
    weights = fitted_weights(counts, MADE, seed)

    def made(number: int) -> EncodedPairs:
        return make_sentences(counts, MADE, number, weights)

    first = made(1000 * seed) if pairs is None else pairs
    best, share = _told_by_before(counts) if alone else best_sources(first, *counts.shape)
    words = Sentences.encoded(first, len(counts.outputs))
    rest = None if alone else signals(words, best, run.batch * words.mean_targets)
    records = recorded_steps(min(FIRST, steps / 10), steps)
    times = records
    with limited(threads or 1, 10**9):
        for done, way in enumerate(jobs):

            def show(part: float, before: int = done) -> None:
                if progress is not None:
                    progress((before + part) / len(jobs))

            own = 1000 * seed + done  # other initial states, sentences and probes for each
            text = pairs if pairs is not None and not way.made else first if own == 1000 * seed else made(own)
            times, found = _follow(way, run, text, counts.shape, best, records, own, alone, show)
            seen[way].append(found)
    return _labelled(counts, run, seen, times, best, share, rest, {
        "sentences": "all" if pairs is not None and len(pairs) == counts.pairs else 0 if pairs is None else len(pairs),
        "seed": seed, "seconds": round(time.perf_counter() - began, 3),
    })  # fmt: skip


def _counted(
    source: Text | ContextCounts,
    target: Text | None,
    options: TextOptions | None,
    sentences: bool | int,
    seed: int,
    exclude: Iterable[int],
    next_word: bool,
    by_name: ByName,
) -> ContextCounts:
    if isinstance(source, ContextCounts):
        left_out = tuple(exclude)
        if target is not None or options is not None or by_name or left_out:
            raise InputError("counts are given: leave out the target, what is excluded and how text is read")
        if sentences is not False and source.reservoir is None and sentences is not True:
            raise InputError("these counts have kept no sentences: count with sentences=..., or leave it out")
        return source
    chosen = TextOptions.of(options or TextOptions(max_vocab=400), by_name, "forecast", ("steps", "sentences"))
    if next_word:
        if target is not None:
            raise InputError("next_word=True is for one text alone: leave out the target, or next_word")
        return ContextCounts.from_text(source, chosen, longest=LONGEST, sentences=sentences, seed=seed, exclude=exclude)
    if target is None:
        raise InputError(
            "a second text is missing: give source and target, line by line translations, or next_word=True"
        )
    return ContextCounts.from_parallel_text(
        source, target, chosen, longest=LONGEST, sentences=sentences, seed=seed, exclude=exclude
    )


def _told_by_before(counts: ContextCounts) -> tuple[Indices, Vector]:
    """For a text alone: the word before that most often stands before each word, for how often it is anywhere."""
    K = len(counts.outputs)
    follow = counts.transitions.toarray()[:K, :K].astype(float)
    expected = follow.sum(axis=1, keepdims=True) * follow.sum(axis=0) / max(follow.sum(), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.where(follow > 0, follow * np.log(follow / expected), 0)
    best = told.argmax(axis=0)
    return best, follow[best, np.arange(K)] / np.maximum(counts.output_words, 1)


def _follow(
    way: Course,
    run: TrainingRun,
    text: EncodedPairs,
    shape: tuple[int, int],
    best: Indices,
    records: Vector,
    seed: int,
    alone: bool,
    show: Callable[[float], None],
) -> tuple[Vector, _Start]:
    """One start from its initial state to the last step."""
    inputs, outputs = shape
    rng = np.random.default_rng(seed)
    sentences = Sentences.encoded(text, outputs)
    probes = Probes.of(sentences, outputs, PLACES, rng, alone)
    model = RowModel(way.model, inputs, outputs, WIDTH, places=LONGEST + 1)
    state = model.start(seed, embeddings=way.embeddings)
    number = max(way.group, way.group * run.batch // 32)
    seen: list[Measured] = []
    times: list[float] = []
    queue = np.empty(0, dtype=np.int64)
    due = list(records)
    while True:
        if state.time >= due[0] - 1e-9:
            times.append(state.time)
            seen.append(probes.measure(model, state, sentences, np.zeros_like(best) if alone else best))
            while due and due[0] <= state.time + 1e-9:
                due.pop(0)
            show(state.time / run.steps)
        if not due:
            break
        while len(queue) < number:
            queue = np.concatenate([queue, rng.permutation(len(text))])
        chosen, queue = queue[:number], queue[number:]
        dt = min(STRIDE / 2 if state.time < EARLY else STRIDE, run.steps - state.time)
        state = model.step(
            state, sentences.take(chosen), dt=dt, lr=row_rate(run, state.time + dt / 2), batch=run.batch,
            rows=sentences.mean_targets, b1=run.betas[0], b2=run.betas[1],
            every_table=EVERY_TABLE,
        )  # fmt: skip
    return np.array(times), _Start(
        probes, *(np.array([getattr(one, name) for one in seen]) for name in ("own", "other", "attention"))
    )


def _means(values: Vector, probes: Probes, words: int) -> Vector:
    """Means over the places of each word, shape (records, words); NaN where there is none."""
    known = np.isfinite(values)
    first = np.searchsorted(probes.word, np.arange(words))
    present = np.diff(first, append=len(probes)) > 0
    found = np.full((len(values), words), np.nan)
    if present.any():
        sums = np.add.reduceat(np.where(known, values, 0), first[present], axis=1)
        total = np.add.reduceat(known.astype(float), first[present], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[:, present] = sums / total
    return found


def _weighted_means(values: Vector, probes: Probes, words: int, weights: Vector) -> Vector:
    """Means over the places of each word, weighted in several ways by their sentences.

    Parameters
    ----------
    values : ndarray, shape (records, places)
        All of them finite.
    probes : Probes
    words : int
    weights : ndarray, shape (ways, sentences)

    Returns
    -------
    ndarray, shape (records, words, ways)
        NaN for words without a place.
    """
    first = np.searchsorted(probes.word, np.arange(words))
    number = np.diff(first, append=len(probes))
    column = np.arange(number.max(initial=1))
    there = column < number[:, None]
    place = np.where(there, first[:, None] + column, 0)
    of_place = np.where(there, weights[:, probes.sentence[place]], 0)  # (ways, words, places of one)
    sums = values[:, place].transpose(1, 0, 2) @ of_place.transpose(1, 2, 0)
    with np.errstate(invalid="ignore"):
        return np.asarray((sums / of_place.sum(axis=2).T[:, None]).transpose(1, 0, 2))


def _labelled(
    counts: ContextCounts,
    run: TrainingRun,
    seen: dict[Course, list[_Start]],
    times: Vector,
    best: Indices,
    share: Vector,
    rest: Vector | None,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Curves as steps with intervals, under the names of the words."""
    import xarray as xr

    K, alone = len(counts.outputs), rest is None

    def mean(one: _Start, name: str) -> Vector:
        return _means(getattr(one, name), one.probes, K)

    curves = {
        name: [np.mean([mean(one, name) for one in found], axis=0) for found in seen.values()]
        for name in ("own", "other", "attention")
    }
    gains = [own - other for own, other in zip(curves["own"], curves["other"], strict=True)]
    made, whole = [way.made for way in seen], attrs["sentences"] == "all"
    middle = _mean_of_logs([learning_steps(smoothed(gain), times) for gain in gains], made, whole)
    singles = [learning_steps(smoothed(mean(one, "own") - mean(one, "other")), times)
               for found in seen.values() for one in found]  # fmt: skip
    low, high, between = _interval(seen, times, middle, K, attrs["seed"])
    labels = np.array(counts.outputs)
    source = labels[best] if alone else np.array(counts.inputs)[best]
    per_word = {
        "step": (middle, "step at which the word is learnt", "steps"),
        "low": (low, f"lower end of the interval for {COVERED:.0%} of runs", "steps"),
        "high": (high, f"upper end of the interval for {COVERED:.0%} of runs", "steps"),
        "best_source": (source, "the word before that tells most" if alone else "best source word", ""),
        "best_share": (share, "share of the word that it stands for", ""),
        "frequency": (counts.output_words / counts.output_words.sum(), "share of all target words", ""),
    }
    if rest is not None:
        per_word["signal"] = (rest, "signal over noise at rest, theorem stage-one-adam", "")
    per_record = {
        "gain": (np.mean(gains, axis=0), "probability less that with another source", "probability"),
        "probability": (np.mean(curves["own"], axis=0), "probability of the word at its places", "probability"),
    }
    if not alone:
        attention = np.mean(curves["attention"], axis=0)
        per_record["attention"] = (attention, "attention on the best source word", "share")
        rises = [learning_steps(smoothed(one - one[0]), times) for one in curves["attention"]]
        per_word["attention_step"] = (_mean_of_logs(rises, made, whole), "step at which attention is learnt", "steps")
    variables: dict[str, Any] = {
        name: ("output", values, {"long_name": told, **({"units": unit} if unit else {})})
        for name, (values, told, unit) in per_word.items()
    }
    variables |= {
        name: (("time", "output"), values, {"long_name": told, "units": unit})
        for name, (values, told, unit) in per_record.items()
    }
    variables["start_step"] = (("start", "output"), np.array(singles), {
        "long_name": "step in each start, before the pace of made sentences is set right", "units": "steps",
    })  # fmt: skip
    of_start = [way.model + (" on made sentences" if way.made else "") for way, found in seen.items() for _ in found]
    settings = {
        "optimizer": run.optimizer, "lr": run.lr, "batch": run.batch, "width": run.width, "steps": run.steps,
        "schedule": f"warmup={run.schedule.warmup},{run.schedule.decay}", "kind": run.kind or "any",
        "betas": list(run.betas), "row_width": WIDTH, "row_lr": row_rate(run, run.schedule.warmup),
        "next_word": int(alone), "covered": COVERED, "courses_differ": between,
    }  # fmt: skip
    return xr.Dataset(
        variables,
        coords={
            "output": labels,
            "time": ("time", times, {"units": "steps"}),
            "start": of_start,
        },
        attrs={
            "title": "steps at which words are learnt", **settings, **attrs, "sentence_pairs": counts.pairs,
            "passes": run.steps * run.batch / counts.pairs,
            **{f"counts_{name}": value for name, value in counts.attrs.items()}, **provenance(),
        },
    )  # fmt: skip


def _mean_of_logs(steps: Sequence[Vector], made: Sequence[bool], whole: bool) -> Vector:
    """Of several forecasts; a word that one of them does not learn is not learnt.

    Made sentences are learnt too slowly, all words alike: by `MADE_PACE`, or where all sentences were kept, by what
    these tell. A sample does not tell the pace as well: it is learnt by heart, which takes longer.
    """
    logs, of_made = np.log(np.array(steps)), np.array(made)
    logs[of_made] += np.log(MADE_PACE)
    if whole and of_made.any() and not of_made.all():
        right = logs[~of_made].mean(axis=0)
        for k in np.flatnonzero(of_made):
            both = np.isfinite(right) & np.isfinite(logs[k])
            logs[k] += (right - logs[k])[both].mean() if both.any() else 0
    return np.exp(logs.mean(axis=0))


def _interval(seen: dict[Course, list[_Start]], times: Vector, middle: Vector, words: int, seed: int) -> Any:
    """Between what steps a run learns a word.

    A run is one more start, on other sentences, of one more model. Starts differ, and each differs with its sentences
    weighted anew by draws of an exponential distribution, the Bayesian bootstrap; the variance of a word is taken half
    from its own and half from that of all words, which doubles its degrees of freedom. Courses are models: what they
    differ by beyond their starts is what one more would. Both are known from a few, hence Student's quantile and one
    variance of the mean more.

    Returns
    -------
    low, high : ndarray of float64, shape (words,)
    between : float
        Standard deviation of a word's logarithm among courses.
    """
    rng = np.random.default_rng([seed, 1])
    drawn = []
    for found in seen.values():
        of_course = np.full((len(found), RESAMPLED, words), np.nan)
        for k, one in enumerate(found):
            weight = rng.exponential(size=(RESAMPLED, int(one.probes.sentence.max()) + 1))
            for some in np.array_split(np.arange(RESAMPLED), 5):
                gain = _weighted_means(one.own - one.other, one.probes, words, weight[some])
                of_course[k, some] = np.log(learning_steps(smoothed(gain), times)).T
        drawn.append(of_course)
    freedom = sum(len(logs) - 1 for logs in drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of words that are never learnt
        means = [np.nanmean(logs, axis=1) for logs in drawn]
        among = [np.nanvar(mean, axis=0, ddof=1) if len(mean) > 1 else np.zeros(words) for mean in means]
        own = sum((len(mean) - 1) * one for mean, one in zip(means, among, strict=True)) / max(freedom, 1)
        own = own + np.nanmean([np.nanvar(logs, axis=1).mean(axis=0) for logs in drawn], axis=0)
        between = 0.0
        if len(drawn) > 1:
            centres = np.array([np.nanmean(mean, axis=0) for mean in means])
            centres -= np.nanmean(centres, axis=1, keepdims=True)
            noise = np.nanmean([one / len(mean) for mean, one in zip(means, among, strict=True)])
            between = float(max(np.nanmean(np.nanvar(centres, axis=0, ddof=1)) - noise, 0))
        variance = (own + np.nanmean(own)) / 2 * (1 + 1 / sum(map(len, drawn))) + (1 + 1 / len(drawn)) * between
    end = stdtrit(2 * max(freedom, 1), (1 + COVERED) / 2) * np.sqrt(variance)  # Student's quantile
    return middle * np.exp(-end), middle * np.exp(end), between**0.5
