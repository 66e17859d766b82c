"""Figures are laid out and drawn once, as matplotlib's own way of saving would have them."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from dynamics import CoOccurrence, plot, solve
from dynamics.plot import layout
from dynamics.plot.frame import UNDATED, house_style
from dynamics.plot.predictions import distance, ktiw, loss, words

LEXICON = CoOccurrence.from_counts([[8, 1, 2], [1, 8, 1], [2, 2, 9]])


@pytest.fixture(scope="module")
def trajectory():
    times = np.concatenate([[0.0], np.geomspace(0.5, 500, 21)])
    return solve(LEXICON, times, stages=("joint", "two-stage"))


def counted(name: str, method, calls: list[str]):
    def called(self, *given):
        calls.append(name)
        return method(self, *given)

    return called


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_a_saved_figure_has_the_bytes_of_savefig(trajectory, form: str, tmp_path: Path) -> None:
    plot.save(words(trajectory), tmp_path / f"ours.{form}")
    other = io.BytesIO()
    with house_style():
        words(trajectory).savefig(other, format=form, metadata=UNDATED[f".{form}"])
    assert (tmp_path / f"ours.{form}").read_bytes() == other.getvalue()


def test_a_figure_is_laid_out_and_drawn_once_when_it_is_saved(trajectory, tmp_path: Path, monkeypatch) -> None:
    calls = []
    for kind, method in ((layout.Layout, "execute"), (Figure, "draw")):
        monkeypatch.setattr(kind, method, counted(method, getattr(kind, method), calls))
    figure = words(trajectory)
    assert not calls
    plot.save(figure, tmp_path / "words.png")
    assert sorted(calls) == ["draw", "execute"]


def test_a_figure_keeps_its_canvas_and_dots_when_it_is_saved(trajectory, tmp_path: Path) -> None:
    figure = loss(trajectory)
    figure.dpi = 55
    canvas = figure.canvas
    plot.save(figure, tmp_path / "loss.svg")
    assert figure.canvas is canvas
    assert figure.dpi == 55


def test_names_follow_when_a_figure_is_made_larger(trajectory) -> None:
    """They are placed for what is drawn, not for what was drawn first."""
    figure = words(trajectory)
    figure.draw_without_rendering()
    before = [text.xyann for text in figure.axes[0].texts if hasattr(text, "xyann")]
    figure.set_size_inches(6.0, 9.0)
    figure.draw_without_rendering()
    after = [text.xyann for text in figure.axes[0].texts if hasattr(text, "xyann")]
    assert before != after
    gaps = np.diff(np.sort([y for _, y in after]))
    assert (gaps * figure.axes[0].get_window_extent().height > 7 / 72 * figure.dpi).all()


def test_figures_travel_to_other_processes(trajectory) -> None:
    figure = pickle.loads(pickle.dumps(words(trajectory)))
    figure.draw_without_rendering()
    assert all(text.xy != (1.0, 0.5) for text in figure.axes[0].texts if hasattr(text, "xyann"))


def test_names_of_stages_are_placed_on_the_users_own_axes(trajectory) -> None:
    """Of which nobody will tell when they are laid out."""
    ax = Figure().add_subplot()
    loss(trajectory, ax)
    assert [text.get_position()[0] for text in ax.texts] != [0, 0]


@pytest.mark.parametrize(
    ("number", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (5, 2, 3), (7, 3, 3)]
)
def test_panels(number: int, rows: int, columns: int) -> None:
    figure, axes = layout.panels(number)
    assert len(axes) == len(figure.axes) == number
    places = [ax.get_subplotspec() for ax in axes]
    assert {(place.get_gridspec().nrows, place.get_gridspec().ncols) for place in places} == {(rows, columns)}
    named = [bool(ax.get_xlabel()) for ax in axes]
    assert named == [k >= number - columns for k in range(number)]


def test_distances_share_one_layout(trajectory, tmp_path: Path, monkeypatch) -> None:
    from dynamics.comparison.side_by_side import distance as apart

    figure = distance(apart(trajectory).assign_attrs(switch=trajectory.attrs["switch"]))
    calls: list[str] = []
    monkeypatch.setattr(layout.Layout, "execute", counted("execute", layout.Layout.execute, calls))
    plot.save(figure, tmp_path / "distance.png")
    assert len(calls) == 1


@pytest.mark.parametrize("draw", [loss, words, ktiw])
@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_figure_that_is_saved_again_has_the_same_bytes(trajectory, draw, form: str, tmp_path: Path) -> None:
    figure = draw(trajectory)
    for name in "abc":
        plot.save(figure, tmp_path / f"{name}.{form}")
        figure.draw_without_rendering()
    assert len({(tmp_path / f"{name}.{form}").read_bytes() for name in "abc"}) == 1
