"""Forecasts of small made texts: what comes first, what does not depend on what, and settings that cannot be."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import t as student

import dynamics
from dynamics import InputError, forecast, load, save
from dynamics.counts.context import ContextCounts
from dynamics.problems.forecast.forecast import (
    MADE_PACE,
    WIDTH,
    Course,
    _interval,
    _mean_of_logs,
    _Start,
    _weighted_means,
    row_rate,
)
from dynamics.problems.forecast.learning_step import SPACING
from dynamics.problems.forecast.probes import Probes
from dynamics.problems.forecast.sentences import Sentences
from dynamics.problems.forecast.training_run import Schedule, TrainingRun
from dynamics.problems.forecast.translations import best_sources

NOUNS = 12
SETTINGS = {"steps": 240, "lr": 4e-3, "starts": 1, "seed": 0}


def zipf_text(number: int = 400) -> tuple[list[str], list[str]]:
    """Sentences of three words, each the translation of one; the k-th is k times rarer."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, NOUNS + 1)
    drawn = rng.choice(NOUNS, size=(number, 3), p=share / share.sum())
    return [" ".join(f"s{k}" for k in row) for row in drawn], [" ".join(f"t{k}" for k in row) for row in drawn]


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return forecast(*zipf_text(), **SETTINGS)


def test_translations_are_found_and_learnt(found: xr.Dataset) -> None:
    assert [str(word) for word in found.best_source.values] == [f"s{word[1:]}" for word in found.output.values]
    assert float(found.gain.sel(output="t0")[-1]) > 0.3
    assert float(found.gain.sel(output="t0")[0]) == pytest.approx(0, abs=0.05)


def test_frequent_words_are_learnt_first(found: xr.Dataset) -> None:
    steps = found.step.values
    assert np.nanmean(steps[:4]) < np.nanmean(steps[-4:])
    finite = np.isfinite(steps)
    assert (found.low.values[finite] < steps[finite]).all()
    assert (found.high.values[finite] > steps[finite]).all()


def test_times_are_steps_of_the_run(found: xr.Dataset) -> None:
    assert float(found.time[0]) == 0
    assert float(found.time[-1]) == 240
    assert (np.diff(found.time.values) > 0).all()
    late = found.time.values[found.time.values > 60]  # of evaluations of four steps
    assert (np.diff(np.log(late)) < np.log(SPACING) + 4 / 60).all()


def test_a_seed_gives_the_same_numbers_and_another_gives_others(found: xr.Dataset) -> None:
    again, other = (forecast(*zipf_text(), **SETTINGS | {"seed": seed}) for seed in (0, 1))
    assert np.array_equal(again.step.values, found.step.values, equal_nan=True)
    assert not np.array_equal(other.step.values, found.step.values, equal_nan=True)


def test_it_is_saved_and_loaded(found: xr.Dataset, tmp_path) -> None:
    save(found, tmp_path / "forecast.nc")
    back = load(tmp_path / "forecast.nc")
    assert np.array_equal(back.step.values, found.step.values, equal_nan=True)
    assert back.attrs["lr"] == 4e-3


def test_from_counts_alone_no_sentence_is_seen() -> None:
    counts = ContextCounts.from_parallel_text(*zipf_text())
    assert counts.reservoir is None
    found = forecast(counts, **SETTINGS)
    assert found.attrs["sentences"] == 0
    assert [str(word) for word in found.best_source.values[:6]] == [f"s{word[1:]}" for word in found.output.values[:6]]
    assert float(found.gain.sel(output="t0")[-1]) > 0.3


def test_a_sample_is_helped_by_the_counts_of_all() -> None:
    found = forecast(*zipf_text(), sentences=100, **SETTINGS)
    assert found.attrs["sentences"] == 100
    assert {"prefix", "prefix on made sentences"} == set(map(str, found.start.values))


def test_lines_that_are_excluded_are_not_seen() -> None:
    source, target = zipf_text()
    found = forecast(["secret", *source], ["geheim", *target], exclude=[1], **SETTINGS)
    assert "geheim" not in found.output.values


def test_a_language_model_of_one_text() -> None:
    text = ["a b c d", "b a d c", "c d a b"] * 60
    found = forecast(text, next_word=True, **SETTINGS)
    assert "attention" not in found
    after = {str(o): str(p) for o, p in zip(found.output.values, found.best_source.values, strict=True)}
    assert after["d"] == "c"
    assert float(found.gain[-1].mean()) > 0.05


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    forecast(*zipf_text(50), **SETTINGS | {"steps": 40}, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1


def test_the_learning_rate_times_the_width_is_kept() -> None:
    run = TrainingRun(lr=1e-3, width=4 * WIDTH, kind="transformer")
    assert row_rate(run, 100) == pytest.approx(4e-3)
    half = TrainingRun(lr=1e-3, width=4 * WIDTH, kind="transformer", schedule=Schedule(200))
    assert row_rate(half, 100) == pytest.approx(2e-3)


def test_probes_are_places_of_the_word_and_others_are_others() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 5, rng.integers(1, 6)), rng.integers(0, 4, rng.integers(1, 6))) for _ in range(50)]
    text = Sentences.of(pairs, 4)
    probes = Probes.of(text, 4, 7, rng)
    assert (text.o[probes.sentence, probes.place] == probes.word).all()
    assert (probes.other != probes.sentence).all()
    assert (probes.other_place < text.targets[probes.other]).all()
    assert (np.bincount(probes.word) == 7).all()


def test_probes_of_a_sentence_share_another_of_about_its_length() -> None:
    rng = np.random.default_rng(1)
    pairs = [(rng.integers(0, 5, rng.integers(1, 20)), rng.integers(0, 4, rng.integers(1, 6))) for _ in range(200)]
    text = Sentences.of(pairs, 4)
    probes = Probes.of(text, 4, 30, rng)
    for sentence in set(probes.sentence):
        assert len(set(probes.other[probes.sentence == sentence])) == 1
    assert np.abs(text.length[probes.other] - text.length[probes.sentence]).mean() < 2


def started(delay: float, times: np.ndarray, words: int) -> _Start:
    """A start whose gains rise evenly in the logarithm of the step; all places of a word are alike."""
    number, rng = 5 * words, np.random.default_rng(0)
    gain = np.clip((np.log(times) - 3 - delay) / 2, 0, 1)[:, None] * np.ones(number)
    word, other = np.repeat(np.arange(words), 5), np.zeros((len(times), number))
    places = rng.integers(0, 7, number)
    return _Start(Probes(np.arange(number), places, word, np.arange(number), places), gain, other, other)


def test_an_interval_is_that_of_one_more_start() -> None:
    """By hand: starts differ by known amounts, their sentences by nothing."""
    times, words = np.geomspace(1, 3000, 400), 3
    delays = np.array([-0.2, 0.1, 0.3, -0.2])
    course = Course("prefix", False, 0.05, 4)
    seen = {course: [started(delay, times, words) for delay in delays]}
    low, high, between = _interval(seen, times, np.full(words, 100.0), words, 0)
    end = student.ppf(0.95, 6) * np.sqrt(delays.var(ddof=1) * (1 + 1 / 4))
    np.testing.assert_allclose(np.log(high / 100), end, rtol=0.01)
    np.testing.assert_allclose(np.log(low / 100), -end, rtol=0.01)
    assert between == 0
    alone = {course: [started(0.0, times, words)]}
    low, high, _ = _interval(alone, times, np.full(words, 100.0), words, 0)
    np.testing.assert_allclose([low, high], 100, rtol=1e-6)  # nothing differs


def test_courses_that_differ_word_by_word_widen_it() -> None:
    times, words = np.geomspace(1, 3000, 400), 2
    one, other = started(0.0, times, words), started(0.0, times, words)
    later = np.clip((np.log(times) - 3 - 0.4) / 2, 0, 1)
    moved = np.where(other.probes.word == 1, later[:, None], other.own)
    seen = {
        Course("prefix", False, 0.05, 1): [one],
        Course("prefix", True, 0.2, 1): [_Start(other.probes, moved, other.other, other.attention)],
    }
    *_, between = _interval(seen, times, np.full(words, 100.0), words, 0)
    # Differences 0 and .4, about their mean: -.2 and .2, half of each for either course.
    assert between == pytest.approx(np.sqrt(2 * 0.1**2), rel=0.02)


def test_sentences_tell_the_pace_if_all_are_kept_and_half_of_it_if_not() -> None:
    steps = [np.array([100.0, 300.0, np.nan]), np.array([200.0, 600.0, 500.0])]
    whole = _mean_of_logs(steps, [False, True], True)
    np.testing.assert_allclose(whole, [100, 300, np.nan])
    np.testing.assert_allclose(
        _mean_of_logs(steps, [False, True], False)[:2], np.sqrt(2 * MADE_PACE) * np.array([100, 300])
    )
    np.testing.assert_allclose(_mean_of_logs(steps[1:], [True], False), MADE_PACE * steps[1])


def test_weighted_means_are_those_of_each_word_and_way() -> None:
    rng = np.random.default_rng(0)
    word, sentence = np.repeat([0, 2, 3], [3, 1, 5]), rng.integers(0, 4, 9)
    probes = Probes(sentence, sentence, word, sentence, sentence)
    values, weights = rng.random((6, 9)), rng.random((7, 4))
    found = _weighted_means(values, probes, 4, weights)
    assert found.shape == (6, 4, 7)
    assert np.isnan(found[:, 1]).all()
    for one in (0, 2, 3):
        at = word == one
        for way in range(7):
            by_hand = np.average(values[:, at], axis=1, weights=weights[way, sentence[at]])
            np.testing.assert_allclose(found[:, one, way], by_hand)


def test_best_sources_are_those_of_model_1_with_loops() -> None:
    source, target = zipf_text(60)
    pairs = ContextCounts.from_parallel_text(source, target, sentences=True)
    assert pairs.reservoir is not None
    text = pairs.reservoir.pairs
    V, K = pairs.shape
    t = np.ones((V, K))
    for _ in range(5):
        expected = np.zeros((V, K))
        for k in range(len(text)):
            x = text.x[text.x_starts[k] : text.x_starts[k + 1]]
            for o in text.y[text.y_starts[k] : text.y_starts[k + 1]]:
                np.add.at(expected[:, o], x, t[x, o] / t[x, o].sum())
        t = expected / expected.sum(axis=1, keepdims=True)
    best, share = best_sources(text, V, K, rounds=5)
    assert best.tolist() == expected.argmax(axis=0).tolist()
    assert share == pytest.approx(expected.max(axis=0) / expected.sum(axis=0))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"optimizer": "sgd"}, "no forecast for the optimizer 'sgd'"),
        ({"kind": "bag"}, "kind is 'bag'"),
        ({"lr": 0}, "lr is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"steps": 3}, "a forecast needs"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"starts": 0}, "starts is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"next_word": True}, "one text alone"),
        ({"sentences": 0.5}, "sentences is 0.5"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as error:
        forecast(["a"], ["b"], **settings)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_one_text_needs_next_word() -> None:
    with pytest.raises(InputError, match="a second text is missing"):
        forecast(["a"])


def test_it_is_public() -> None:
    assert {"forecast", "ContextCounts"} <= set(dynamics.__all__)
