"""Forecast steps beside measured ones: is the order right, beyond that of frequency, and are the steps?

A run is a ``.npz`` file with what a model knew of each word at some steps of its training, on text that it was not
trained on (R records, the first W target words):

==============  ==========  =======================================================================================
``steps``       (R,)        steps of the records, rising
``P``           (R, W)      mean probability of the word where it stands
``P_shuffled``  (R, W)      the same with the source of another sentence
``n``           (W,)        how often the word stands in that text
``words``       (W,)        the words; may be left out if they are given otherwise
``attention``   (R, W)      optional: mean attention on the best source word where it is in the source
==============  ==========  =======================================================================================
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.problems.forecast.learning_step import LAST, learning_steps, smoothed
from dynamics.support.errors import InputError
from dynamics.support.files import existing
from dynamics.support.typing import Indices, Vector

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MeasuredRun", "against", "partial_rank_correlation", "read_run"]

FEWEST_PLACES = 10
"""Places of a word in the text of the run below which its step is noise."""

LEARNT = 0.1
"""Gain at the end above which a word counts as learnt."""

TRANSLATED = 0.5
"""Share of a word that its best source word stands for: below it, the word is no translation of one word."""

MOST_FREQUENT = 200
"""Words that are compared, the most frequent ones."""

RESAMPLED = 1000
"""Samples of the words for the interval of the rank correlation."""

NEEDED = ("steps", "P", "P_shuffled", "n")


@dataclass(frozen=True, eq=False)
class MeasuredRun:
    """When the words of a run were learnt.

    Attributes
    ----------
    words : tuple of str
    step : ndarray, shape (words,)
        By the measure of `dynamics.problems.forecast.learning_step`; NaN if never.
    end : ndarray, shape (words,)
        Gain at the end.
    number : ndarray, shape (words,)
        Places at which it was measured.
    attention_step : ndarray, shape (words,), or None
    """

    words: tuple[str, ...]
    step: Vector
    end: Vector
    number: Indices
    attention_step: Vector | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, Any], words: Sequence[str]) -> MeasuredRun:
        """From the arrays of a run."""
        steps = np.asarray(arrays["steps"], dtype=float)
        gain = smoothed(np.asarray(arrays["P"], dtype=float) - np.asarray(arrays["P_shuffled"], dtype=float))
        attention = None
        if "attention" in arrays:
            share = np.asarray(arrays["attention"], dtype=float)
            attention = learning_steps(smoothed(share - share[0]), steps)
        return cls(
            tuple(map(str, words)), learning_steps(gain, steps), gain[-LAST:].mean(axis=0),
            np.asarray(arrays["n"], dtype=np.int64), attention,
        )  # fmt: skip


def read_run(path: str | os.PathLike[str], words: Sequence[str] = ()) -> MeasuredRun:
    """Read a run.

    Parameters
    ----------
    path : path-like
    words : sequence of str
        The target words from the most frequent one on, for files without ``words``.

    Returns
    -------
    MeasuredRun

    Raises
    ------
    InputError
        If the file does not exist or is no run: the message says what is missing or does not fit.
    """
    found = existing(path)
    needs = f"a run is an .npz with the arrays {', '.join(NEEDED)}"
    try:
        file = np.load(found, allow_pickle=False)
        arrays = {}
        if isinstance(file, np.lib.npyio.NpzFile):
            with file:
                arrays = {name: file[name] for name in (*NEEDED, "words", "attention") if name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError) as error:
        raise InputError(f"{found} is no run: {unread(found, error)}; {needs}") from None
    if isinstance(file, np.ndarray):
        raise InputError(f"{found} is no run but a single array; {needs}")
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise InputError(f"{found}: {', '.join(missing)} missing; a run has the arrays {', '.join(NEEDED)}")
    for name in (*NEEDED, "attention"):
        if name in arrays and arrays[name].dtype.kind not in "biuf":
            raise InputError(f"{found}: {name} must be real numbers, not {arrays[name].dtype}")
    steps, P = arrays["steps"], arrays["P"]
    if P.ndim != 2 or steps.shape != P.shape[:1] or len(steps) < 4 or (np.diff(steps.astype(float)) <= 0).any():
        raise InputError(f"{found}: steps {steps.shape} must rise and P be (steps, words), of 4 steps or more")
    for name, shape in (("P_shuffled", P.shape), ("attention", P.shape), ("n", P.shape[1:])):
        if name in arrays and arrays[name].shape != shape:
            raise InputError(f"{found}: {name} has the shape {arrays[name].shape} and P {P.shape}")
    for name in ("P", "P_shuffled"):
        if not np.isfinite(arrays[name].astype(float)).all():
            raise InputError(f"{found}: {name} has numbers that are not finite")
    labels = [str(word) for word in arrays["words"]] if "words" in arrays else list(words)[: P.shape[1]]
    if len(labels) != P.shape[1]:
        raise InputError(
            f"{found}: P is of {P.shape[1]:,} words, of which {len(labels):,} are known: add them as words"
        )
    return MeasuredRun.of(arrays, labels)


def unread(path: Path, error: Exception) -> str:
    """Why a file could not be read as arrays by name, in words."""
    if not path.stat().st_size:
        return "it is empty"
    if not zipfile.is_zipfile(path):
        return "it is not an .npz file, as numpy.savez writes them, or only the beginning of one"
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "it holds Python objects, not arrays of numbers" if "pickle" in told else f"it is damaged ({told})"


def against(forecast: xr.Dataset, runs: Sequence[MeasuredRun]) -> xr.Dataset:
    """Hold a forecast against runs.

    Compared are the words among the `MOST_FREQUENT` that stand in `FEWEST_PLACES` places or more, whose best source
    word stands for the half of them, and that every run has learnt; logarithms of measured steps are averaged over
    runs.

    Parameters
    ----------
    forecast : xarray.Dataset
        From `dynamics.forecast`.
    runs : sequence of MeasuredRun
        Of the same words.

    Returns
    -------
    xarray.Dataset
        By word: ``forecast`` with ``low`` and ``high``, ``measured``, ``frequency``; by run and word ``run_step``. As
        numbers: ``rank_correlation`` with ``rank_correlation_low`` and ``rank_correlation_high`` (95 % over words),
        ``rank_correlation_given_frequency``, ``rank_correlation_of_frequency``, ``slope`` of measured on forecast
        logarithms, ``scale`` (measured steps a forecast one) and ``factor`` (one standard deviation about one scale),
        ``covered`` (share of the runs' steps within the interval), ``runs_agree`` (rank correlation of the first two
        runs), ``rank_correlation_at_rest`` (of the signal over noise before the first step, if the forecast has it),
        ``first_named`` (of the first 20, how many are forecast to be among the first 20), and
        ``attention_rank_correlation``.

    Raises
    ------
    InputError
        If there is no run, runs are of different words, or fewer than four words can be compared.
    """
    import xarray as xr

    if not runs:
        raise InputError("there is no run to compare with: give one or more")
    words = runs[0].words
    if any(run.words != words for run in runs):
        raise InputError("the runs are of different words: compare them one by one")
    known = {str(word): place for place, word in enumerate(forecast.output.values)}
    place = np.array([known.get(word, -1) for word in words])
    single = not forecast.attrs.get("next_word", 0)

    def column(name: str) -> Vector:
        return np.where(place >= 0, np.asarray(forecast[name].values, dtype=float)[place], np.nan)

    with np.errstate(divide="ignore"):
        logs = np.log(np.array([run.step for run in runs]))
    measured = logs.mean(axis=0)
    ok = (place >= 0) & (np.arange(len(words)) < MOST_FREQUENT) & np.isfinite(measured)
    ok &= (np.min([run.number for run in runs], axis=0) >= FEWEST_PLACES) & (
        np.min([r.end for r in runs], axis=0) > LEARNT
    )
    if single:
        ok &= column("best_share") >= TRANSLATED
    if ok.sum() < 4:
        raise InputError(
            f"{int(ok.sum())} words can be compared, of {int((place >= 0).sum())} that forecast and run have: too few "
            f"are learnt in the run (gain above {LEARNT}) or stand in {FEWEST_PLACES} places"
        )
    step, y, share = column("step")[ok], measured[ok], column("frequency")[ok]
    unlearnt = ~np.isfinite(step)
    if unlearnt.all():
        raise InputError("none of these words is forecast to be learnt: forecast more steps")
    x = np.log(np.where(unlearnt, 2 * np.nanmax(step), step))  # never: after all others
    gap = y - x
    drawn = np.random.default_rng(0).integers(0, len(x), (RESAMPLED, len(x)))
    low, high = np.nanpercentile([_rank_correlation(x[i], y[i]) for i in drawn], [2.5, 97.5])
    scale = float(np.exp(gap.mean()))
    lower, upper = column("low")[ok], column("high")[ok]
    steps = np.exp(logs[:, ok])
    first = min(20, len(x) // 2)
    figures: dict[str, float] = {
        "rank_correlation": _rank_correlation(x, y),
        "rank_correlation_low": float(low),
        "rank_correlation_high": float(high),
        "rank_correlation_given_frequency": partial_rank_correlation(x, y, np.log(share)),
        "rank_correlation_of_frequency": _rank_correlation(-share, y),
        "slope": float(np.polyfit(x, y, 1)[0]),
        "scale": scale,
        "factor": float(np.exp(gap.std())),
        "covered": float(np.mean((steps >= scale * lower) & (steps <= scale * upper))),
        "covered_unscaled": float(np.mean((steps >= lower) & (steps <= upper))),
        "first_named": float(len(set(np.argsort(x)[:first]) & set(np.argsort(y)[:first]))),
        "first": float(first),
        "never_forecast": float(unlearnt.sum()),
    }
    if len(runs) > 1:
        figures["runs_agree"] = _rank_correlation(logs[0, ok], logs[1, ok])
    if "signal" in forecast:
        figures["rank_correlation_at_rest"] = _rank_correlation(-column("signal")[ok], y)
    measured_attention = [run.attention_step for run in runs if run.attention_step is not None]
    if "attention_step" in forecast and len(measured_attention) == len(runs):
        with np.errstate(divide="ignore"):
            rises = np.log(np.array(measured_attention)).mean(axis=0)[ok]
        mine = column("attention_step")[ok]
        both = np.isfinite(rises) & np.isfinite(mine)
        if both.sum() > 3:
            figures["attention_rank_correlation"] = _rank_correlation(mine[both], rises[both])
    per_word = {"forecast": np.exp(x), "low": lower, "high": upper, "measured": np.exp(y), "frequency": share}
    return xr.Dataset(
        {name: ("output", values) for name, values in per_word.items()}
        | {"run_step": (("run", "output"), steps)}
        | {name: ((), value) for name, value in figures.items()},
        coords={"output": np.array(words)[ok]},
        attrs={"words": int(ok.sum()), "runs": len(runs), **dict(forecast.attrs)},
    )


def partial_rank_correlation(a: Vector, b: Vector, c: Vector) -> float:
    """Rank correlation of a and b when what the ranks of c tell of each is taken away, in a line.

    Examples
    --------
    >>> round(partial_rank_correlation(np.array([1, 3, 2, 4]), np.array([1, 3, 2, 4]), np.array([1, 2, 3, 4])), 3)
    1.0
    """
    ranks = [ranked(values) for values in (a, b, c)]
    line = np.column_stack([np.ones(len(c)), ranks[2]])
    rests = [values - line @ np.linalg.lstsq(line, values, rcond=None)[0] for values in ranks[:2]]
    return float(np.corrcoef(*rests)[0, 1])


def _rank_correlation(a: Vector, b: Vector) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):  # of equal values no correlation is known
        return float(np.corrcoef(ranked(a), ranked(b))[0, 1])


def ranked(values: Vector) -> Vector:
    """The rank of each value, from 1; equal ones share the mean of theirs. SciPy's needs a second to be loaded.

    Examples
    --------
    >>> ranked(np.array([30.0, 10.0, 20.0, 10.0])).tolist()
    [4.0, 1.5, 3.0, 1.5]
    """
    _, at, number = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(number) - (number - 1) / 2)[at], dtype=np.float64)
