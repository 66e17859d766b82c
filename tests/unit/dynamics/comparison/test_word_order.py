"""Forecast steps against measured ones: a case by hand, the figures of another writing of the measure, bad files."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from oracles.reference_data import REAL_MODELS, WORD_ORDER, real_models

from dynamics.comparison.word_order import MeasuredRun, against, partial_rank_correlation, read_run
from dynamics.problems.forecast.learning_step import SPACING, learning_steps, recorded_steps, smoothed
from dynamics.support.errors import InputError

W, R = 40, 12
STEPS = np.concatenate([[0.0], np.geomspace(8, 2400, R - 1)])


def gains(steps: np.ndarray) -> np.ndarray:
    """Curves that come to the half of .8 at given steps, and to their ends within a decade."""
    with np.errstate(divide="ignore"):
        return 0.8 / (1 + (steps / np.maximum(STEPS, 1e-3)[:, None]) ** 4)


def run_of(steps: np.ndarray) -> dict[str, np.ndarray]:
    P = 0.1 + gains(steps)
    return {"steps": STEPS, "P": P, "P_shuffled": np.full_like(P, 0.1), "n": np.full(len(steps), 20)}


def forecast_of(steps: np.ndarray, words: list[str]) -> xr.Dataset:
    per_word = {"step": steps, "low": 0.8 * steps, "high": 1.25 * steps, "best_share": np.ones(len(steps)),
                "frequency": np.linspace(0.1, 0.01, len(steps))}  # fmt: skip
    return xr.Dataset({name: ("output", v) for name, v in per_word.items()}, coords={"output": words})


WORDS = [f"w{k}" for k in range(W)]


def test_half_of_the_way_is_found_between_records() -> None:
    steps = np.geomspace(20, 400, W)
    assert np.abs(np.log(learning_steps(gains(steps), STEPS) / steps)).max() < 0.1


def test_other_records_as_far_apart_find_the_same_steps_and_sparser_ones_late_words_early() -> None:
    """Slow curves: late ones still rise at the end."""
    half = np.geomspace(50, 2000, W)

    def found(steps: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return learning_steps(smoothed(1 / (1 + (half / np.maximum(steps, 1e-3)[:, None]) ** 1.5)), steps)

    of_run = np.array([0, *np.unique(np.geomspace(3, 2400, 34).round())])
    one, other = found(recorded_steps(8, 2400)), found(of_run)
    assert np.abs(np.log(one / other)).max() < 0.03
    assert abs(np.polyfit(np.log(one), np.log(other), 1)[0] - 1) < 0.01
    sparse = found(np.concatenate([[0], np.geomspace(8, 2400, 14)]))
    assert np.polyfit(np.log(sparse), np.log(other), 1)[0] > 1.03


@pytest.mark.parametrize("last", [20, 240, 2400, 1e6])
def test_records_are_evenly_apart_up_to_the_last(last: float) -> None:
    steps = recorded_steps(2, last)
    assert steps[:2].tolist() == [0, 2]
    assert steps[-1] == pytest.approx(last)
    assert np.diff(np.log(steps[1:])) == pytest.approx(np.log(SPACING), rel=0.2 if last < 100 else 0.05)


def test_a_curve_that_ends_below_zero_is_never_learnt() -> None:
    curves = np.stack([np.linspace(0, -1, R), np.linspace(0, 1, R)], axis=1)
    assert np.isfinite(learning_steps(curves, STEPS)).tolist() == [False, True]


def test_a_forecast_that_is_right_but_for_a_scale() -> None:
    rng = np.random.default_rng(0)
    steps = rng.permutation(np.geomspace(30, 400, W))
    found = against(forecast_of(steps / 1.1, WORDS), [MeasuredRun.of(run_of(steps), WORDS)] * 2)
    assert float(found.rank_correlation) > 0.995
    assert float(found.scale) == pytest.approx(1.1, rel=0.05)
    assert float(found.factor) < 1.05
    assert float(found.slope) == pytest.approx(1, abs=0.05)
    assert float(found.covered) == 1
    assert float(found.runs_agree) == pytest.approx(1)
    assert float(found.first_named) == 20


def test_a_forecast_at_random_is_worth_nothing() -> None:
    rng = np.random.default_rng(1)
    steps, other = (rng.permutation(np.geomspace(30, 400, W)) for _ in range(2))
    found = against(forecast_of(other, WORDS), [MeasuredRun.of(run_of(steps), WORDS)])
    assert abs(float(found.rank_correlation)) < 0.4
    assert float(found.rank_correlation_low) < 0 < float(found.rank_correlation_high)


def test_what_frequency_tells_is_taken_away() -> None:
    rng = np.random.default_rng(2)
    frequency = rng.normal(size=500)
    one, two = (frequency + 0.01 * rng.normal(size=500) for _ in range(2))
    assert abs(partial_rank_correlation(one, two, frequency)) < 0.15


def test_a_word_that_is_not_forecast_comes_last() -> None:
    steps = np.geomspace(30, 400, W)
    predicted = steps.copy()
    predicted[0] = np.nan
    found = against(forecast_of(predicted, WORDS), [MeasuredRun.of(run_of(steps), WORDS)])
    assert float(found.never_forecast) == 1
    assert float(found.forecast[0]) == pytest.approx(800)


@real_models
@pytest.mark.parametrize("kind", ["lstm", "transf"])
def test_figures_are_those_of_another_writing(kind: str) -> None:
    spec = importlib.util.spec_from_file_location("word_order", WORD_ORDER)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    about = REAL_MODELS / "words_de.npz"
    paths = [REAL_MODELS / f"{kind}_de_adam_s{seed}.npz" for seed in (0, 1)]
    w = np.load(about)
    words = [str(word) for word in w["target_words"]]
    steps = np.random.default_rng(0).lognormal(5 - 0.5 * np.log(w["q"]), 0.3)
    expected = tool.score(dict(zip(words, steps, strict=True)), about, paths)
    given = forecast_of(steps, words).assign(best_share=("output", w["ibm_posterior"]), frequency=("output", w["q"]))
    found = against(given, [read_run(path, words) for path in paths])
    assert found.attrs["words"] == expected["words"]
    names = {
        "rank_correlation": "rho", "rank_correlation_given_frequency": "partial", "slope": "slope", "factor": "factor",
        "rank_correlation_of_frequency": "frequency", "scale": "steps per unit",
    }  # fmt: skip
    for mine, theirs in names.items():
        assert float(found[mine]) == pytest.approx(float(expected[theirs]), abs=1e-9), mine
    assert [float(found.rank_correlation_low), float(found.rank_correlation_high)] == pytest.approx(
        expected["interval"], abs=0.02
    )


def test_files_that_are_no_runs_are_told_in_a_line(tmp_path: Path) -> None:
    good = run_of(np.geomspace(30, 400, W))
    cases = [
        ({k: v for k, v in good.items() if k != "n"}, "n missing"),
        (good | {"steps": STEPS[::-1]}, "must rise"),
        (good | {"P_shuffled": good["P"][:, 1:]}, "P_shuffled has the shape"),
        (good | {"P": good["P"] * np.nan}, "not finite"),
        (good | {"words": np.array(WORDS[:5])}, "of 40 words, of which 5 are known"),
    ]
    for number, (arrays, told) in enumerate(cases):
        path = tmp_path / f"{number}.npz"
        np.savez(path, **arrays)
        with pytest.raises(InputError) as error:
            read_run(path, WORDS)
        assert told in str(error.value)
        assert "\n" not in str(error.value)
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(InputError, match=r"text\.npz is no run: it is not an \.npz file, .* or only the beginning"):
        read_run(tmp_path / "text.npz", WORDS)
    (tmp_path / "empty.npz").touch()
    np.save(tmp_path / "one.npy", np.ones(3))
    np.savez(tmp_path / "objects.npz", **good | {"steps": np.array([{1: 2}], dtype=object)})
    np.savez(tmp_path / "words.npz", **good | {"steps": np.array(["a"] * len(STEPS))})
    for name, told in (("empty.npz", "it is empty"), ("one.npy", "a single array"), ("objects.npz", "Python objects"),
                       ("words.npz", "steps must be real numbers")):  # fmt: skip
        with pytest.raises(InputError, match=told) as error:
            read_run(tmp_path / name, WORDS)
        assert "pickle" not in str(error.value)


def test_a_run_names_its_words(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", words=np.array(WORDS), **run_of(np.geomspace(30, 400, W)))
    assert read_run(tmp_path / "run.npz").words == tuple(WORDS)


def test_too_few_words_are_not_compared() -> None:
    steps = np.geomspace(30, 400, W)
    with pytest.raises(InputError, match="0 words can be compared"):
        against(forecast_of(steps, [f"x{k}" for k in range(W)]), [MeasuredRun.of(run_of(steps), WORDS)])


def test_smoothing_keeps_the_ends() -> None:
    curve = np.arange(5.0) ** 2
    assert smoothed(curve)[[0, -1]].tolist() == [0, 16]
