"""Phase diagrams drawn: what is where, in which colours, on which axes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm

from dynamics import plot
from dynamics.support.errors import InputError


def diagram(value, kind="time", x=None, y=None, theorem=None, method="theory"):
    value = np.asarray(value, dtype=float)
    names = ("L", "V")
    dims = {
        "L": np.arange(value.shape[0]) + 4.0 if y is None else y,
        "V": np.arange(value.shape[1]) + 8.0 if x is None else x,
    }
    data = {"value": (names, value, {"long_name": "time τ to pₜ = 0.5"})}
    if theorem is not None:
        data["theorem"] = (names, theorem)
    coordinates = {
        "L": ("L", dims["L"], {"long_name": "input length L"}),
        "V": ("V", dims["V"], {"long_name": "words"}),
    }
    return xr.Dataset(data, coordinates, {"quantity": kind, "t_end": 10_000.0, "method": method})


def drawn(found):
    """The figure, laid out, with its text within it."""
    figure = plot.phase(found)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for artist in [
        *figure.legends,
        *(label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label, ax.title)),
    ]:
        box = artist.get_window_extent(canvas.get_renderer())
        if box.width:
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
    return figure


def keys(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


LOGARITHMS = np.add.outer(np.linspace(1, 2, 6), np.linspace(0, 1.5, 8))


def test_times_in_decades_with_what_never_comes():
    value = 10**LOGARITHMS
    value[5, 7], value[0, 0] = np.inf, np.nan
    figure = drawn(diagram(value, theorem=1.1 * value))
    assert keys(figure) == ["not by τ = 10000", "solution at 100, 1000", "closed form"]
    ax, bar = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel(), bar.get_ylabel()) == ("words", "input length L", "time τ to pₜ = 0.5")
    mesh, never = ax.collections[:2]
    assert isinstance(mesh.norm, LogNorm)
    finite = value[np.isfinite(value)]
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((finite.min(), finite.max()))
    shown = mesh.get_array()
    assert np.ma.getmaskarray(shown).sum() == 2
    np.testing.assert_allclose(np.ma.compressed(shown), finite)
    assert np.flatnonzero(~np.ma.getmaskarray(never.get_array())).tolist() == [47]
    legend_grey = figure.legends[0].get_patches()[0].get_facecolor()
    assert never.to_rgba(never.get_array())[5, 7] == pytest.approx(legend_grey)


def test_contours_are_where_the_values_are():
    figure = drawn(diagram(10**LOGARITHMS, theorem=10 ** (LOGARITHMS + 0.1)))
    solution, closed = (c for c in figure.axes[0].collections if hasattr(c, "levels"))
    for contours, shift in ((solution, 0.0), (closed, 0.1)):
        np.testing.assert_allclose(contours.levels, np.log([100, 1000]))
        for level, path in zip((2, 3), contours.get_paths(), strict=True):
            x, y = path.vertices.T
            assert len(x) > 2
            np.testing.assert_allclose(1 + (y - 4) / 5 + (x - 8) * 1.5 / 7 + shift, level, atol=1e-9)


def test_closed_form_that_holds_nowhere():
    assert keys(drawn(diagram(10**LOGARITHMS, theorem=np.full((6, 8), np.nan)))) == ["solution at 100, 1000"]


def test_probabilities_from_nothing_to_one():
    share = np.clip(np.add.outer(np.zeros(5), np.linspace(0.2, 0.8, 7)), 0, 1)
    figure = drawn(diagram(share, "learnt", method="simulation"))
    mesh = figure.axes[0].collections[0]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (0, 1)
    assert keys(figure) == ["simulation at 0.5"]


@pytest.mark.parametrize(("value", "keys_"), [(np.inf, ["not by τ = 10000"]), (np.nan, [])])
def test_nothing_finite(value, keys_):
    figure = drawn(diagram(np.full((4, 5), value)))
    assert keys(figure) == keys_
    assert len(figure.axes) == 1  # no colours to explain
    assert figure.axes[0].get_title() == "time τ to pₜ = 0.5"


@pytest.mark.parametrize("value", [np.zeros((3, 3)), np.full((3, 3), 7.0), np.array([[0, 1e-3], [1, np.inf]])])
def test_times_that_have_no_decades(value):
    drawn(diagram(value))
    drawn(diagram(value, "value"))


def test_values_have_a_range_of_their_own_and_no_contours():
    figure = drawn(diagram(np.add.outer(np.arange(3.0), np.arange(4.0)) - 2, "value"))
    assert keys(figure) == []
    assert (figure.axes[0].collections[0].norm.vmin, figure.axes[0].collections[0].norm.vmax) == (-2, 3)


def test_axes_are_logarithmic_where_values_are_and_whole_where_they_are():
    value = 10 ** np.add.outer(np.zeros(9), np.linspace(1, 2, 8))
    figure = drawn(diagram(value, y=np.geomspace(0.01, 1, 9)))
    ax = figure.axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    low, high = ax.get_xlim()
    assert all(tick == round(tick) for tick in ax.get_xticks())
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert {"0.01", "0.1", "1"} <= set(labels)
    assert low < 8 < 15 < high
    linear = drawn(diagram(value, x=np.linspace(0.1, 0.8, 8), y=np.arange(1.0, 10))).axes[0]
    assert (linear.get_xscale(), linear.get_yscale()) == ("linear", "linear")


def test_no_diagram():
    with pytest.raises(InputError, match="give what phase_diagram"):
        plot.phase(xr.Dataset({"value": ("x", [1.0, 2.0])}))


@pytest.mark.parametrize(("low", "high"), [(1.246, 3.256), (58, 98), (0.31, 0.33), (3, 4000)])
def test_colours_have_numbers_whatever_their_range(low, high):
    figure = drawn(diagram(np.geomspace(low, high, 12).reshape(3, 4)))
    bar = figure.axes[1]
    at = [tick for tick in bar.get_yticks() if low <= tick <= high]
    assert len(at) >= 2
    shown = [label.get_text() for label in bar.get_yticklabels()]
    assert len(set(shown)) == len(shown) >= 2
    assert all(shown)


def test_several_contours_have_their_numbers():
    figure = drawn(diagram(10**LOGARITHMS, theorem=10 ** (LOGARITHMS + 0.1)))
    texts = figure.axes[0].texts
    assert [text.get_text() for text in texts] == ["100", "1000", "100", "1000"]
    contours = [c for c in figure.axes[0].collections if hasattr(c, "levels")]
    paths = [path for one in contours for path in one.get_paths()]
    for text, path in zip(texts, paths, strict=True):
        assert np.isclose(path.vertices, text.get_position()).all(axis=1).any()
    assert list(drawn(diagram(np.add.outer(np.zeros(5), np.linspace(0.2, 0.8, 7)), "learnt")).axes[0].texts) == []


@pytest.mark.parametrize("whole", [("L", "V"), ("V",), ("L",)])
def test_contours_follow_the_edges_of_whole_numbers(whole):
    found = diagram(10**LOGARITHMS)
    for name in whole:
        found[name].attrs["whole"] = 1
    (contours,) = (c for c in drawn(found).axes[0].collections if hasattr(c, "levels"))
    for path in contours.get_paths():
        between = np.diff(path.vertices, axis=0)
        for axis, name in enumerate(("V", "L")):
            if name in whole:  # a step along one axis of whole numbers is from one edge to the next
                at = path.vertices[np.abs(between[:, 1 - axis]).argsort()[-3:], axis]
                np.testing.assert_allclose(at % 1, 0.5, atol=1e-5)
