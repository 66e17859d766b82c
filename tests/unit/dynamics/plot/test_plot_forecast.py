"""The figures of a forecast: what is drawn, in which order, and what cannot be."""

import numpy as np
import pytest
import xarray as xr

from dynamics import plot
from dynamics.plot.forecast import SHOWN, shown_words
from dynamics.plot.frame import SMALL
from dynamics.support.errors import InputError

W = 90


@pytest.fixture
def found() -> xr.Dataset:
    rng = np.random.default_rng(0)
    steps = rng.permutation(np.geomspace(30, 2000, W))
    steps[5] = np.nan
    gain = np.stack([np.zeros(W), np.full(W, 0.5)])
    gain[-1, 7] = 0.01
    words = {"step": steps, "low": 0.8 * steps, "high": 1.3 * steps}
    return xr.Dataset(
        {name: ("output", values) for name, values in words.items()}
        | {"gain": (("time", "output"), gain), "best_source": ("output", np.array([f"s{k}" for k in range(W)]))},
        coords={"output": [f"w{k}" for k in range(W)], "time": [0.0, 2400.0]},
        attrs={"covered": 0.9},
    )


@pytest.fixture
def compared(found: xr.Dataset) -> xr.Dataset:
    kept = found.isel(output=np.isfinite(found.step.values))
    x = kept.step.values
    y = x * np.random.default_rng(1).lognormal(0, 0.2, len(x))
    per_word = {"forecast": x, "measured": y, "low": kept.low.values, "high": kept.high.values}
    figures = {"scale": 1.05, "factor": 1.2, "rank_correlation": 0.9, "rank_correlation_given_frequency": 0.8}
    return xr.Dataset(
        {name: ("output", values) for name, values in per_word.items()} | {k: ((), v) for k, v in figures.items()},
        coords={"output": kept.output.values},
    )


def test_shown_are_learnt_words_from_the_first_to_the_last(found: xr.Dataset) -> None:
    words = shown_words(found)
    steps = found.step.sel(output=words).values
    assert len(words) == SHOWN
    assert (np.diff(steps) > 0).all()
    assert not {"w5", "w7"} & set(words)
    learnt = found.step.where(found.gain[-1] > 0.1)
    assert (steps[0], steps[-1]) == (float(learnt.min()), float(learnt.max()))


def test_every_word_has_a_dot_a_bar_and_its_name(found: xr.Dataset) -> None:
    ax = plot.forecast(found, ["w1", "w2", "w3"]).axes[0]
    [dots] = [line for line in ax.lines if line.get_marker() == "o"]
    assert sorted(dots.get_xdata()) == pytest.approx(sorted(found.step.sel(output=["w1", "w2", "w3"]).values))
    assert (np.diff(dots.get_xdata()) > 0).all()
    assert {text.get_text() for text in ax.texts} == {"w1  (s1)", "w2  (s2)", "w3  (s3)"}


def test_names_stay_within_the_figure(found: xr.Dataset) -> None:
    figure = plot.forecast(found)
    figure.draw_without_rendering()
    width = figure.get_window_extent().width
    assert max(text.get_window_extent().x1 for text in figure.axes[0].texts) <= width


def test_a_word_that_there_is_not(found: xr.Dataset) -> None:
    with pytest.raises(InputError, match="no word 'w1x'; did you mean"):
        plot.forecast(found, ["w1x"])
    with pytest.raises(InputError, match="forecast more steps"):
        plot.forecast(found, ["w5"])


def test_measured_over_forecast_with_far_words_named(compared: xr.Dataset) -> None:
    ax = plot.against(compared).axes[0]
    [dots] = [line for line in ax.lines if line.get_marker() == "o"]
    assert np.array_equal(dots.get_xdata(), compared.forecast.values)
    assert np.array_equal(dots.get_ydata(), compared.measured.values)
    gap = np.abs(np.log(compared.measured / compared.forecast / 1.05))
    assert str(compared.output.values[int(gap.values.argmax())]) in {text.get_text() for text in ax.texts}
    assert "rank correlation 0.90" in ax.get_title(loc="left")


def test_names_of_far_words_do_not_overlap(compared: xr.Dataset) -> None:
    figure = plot.against(compared)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    line = SMALL / 72 * figure.dpi / ax.get_window_extent().height
    for column in {text.xyann[0] for text in ax.texts}:
        levels = np.sort([text.xyann[1] for text in ax.texts if text.xyann[0] == column])
        assert (np.diff(levels) > line).all()
        assert 0 < levels[0] < levels[-1] < 1
