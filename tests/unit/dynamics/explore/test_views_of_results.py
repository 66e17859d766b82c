"""The parts of the pages, without a browser: what they hold is what is solved."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bokeh", reason="Bokeh is not installed (the extra explore)")

from dynamics import CoOccurrence, InputError, copying, load_program, phase_diagram, solve
from dynamics.cli import run
from dynamics.explore.maps import Map
from dynamics.explore.phase_view import PhaseView, completed
from dynamics.explore.program_view import ProgramView
from dynamics.explore.results import parts, save_result
from dynamics.explore.server import server
from dynamics.explore.text_view import TextView
from dynamics.explore.views import flows, scalar_programs
from dynamics.explore.words import attention
from dynamics.phase.copying import CopyingSystem
from dynamics.phase.systems import system_of

HERE = Path(__file__).parents[4]
COUNTS = CoOccurrence.from_counts(
    np.random.default_rng(1).integers(0, 9, (6, 5)) + 1, inputs=list("abcdef"), outputs=list("vwxyz")
)


@pytest.fixture
def view() -> PhaseView:
    return PhaseView(flows(), x="V=8:12", y="L=4:8")


def test_attention_is_that_of_the_flow() -> None:
    found = solve(COUNTS, [0, 10, 200], stages=["joint"])
    shares = attention(found, COUNTS)
    R = COUNTS.C / COUNTS.q
    for t in range(3):
        for o in range(5):
            weight = [R[i, o] * np.exp(float(found.A[0, t, i, o])) for i in range(6)]
            np.testing.assert_allclose(shares[0, t, :, o], np.array(weight) / sum(weight), rtol=1e-12)
    np.testing.assert_allclose(shares.max(axis=2), found.attention.values, rtol=1e-9)


def test_a_result_alone_has_its_largest_attention() -> None:
    found = solve(COUNTS, [0, 200], stages=["joint"])
    alone, whole = attention(found, None), attention(found, COUNTS)
    known = np.isfinite(alone)
    assert known.sum(axis=2).max() == 1
    np.testing.assert_allclose(alone[known], whole[known], rtol=1e-9)


def test_a_cell_draws_what_solve_gives(view: PhaseView) -> None:
    view.follow(2, 3)  # V = 10, L = 7
    drawn = view.order.source.data
    assert drawn["name"] == ["u", "a"]
    solved = solve(copying(vocab=10, length=7), drawn["xs"][0], initial={"u": 0.01, "a": 0.01})
    for name, values in zip(drawn["name"], drawn["ys"], strict=True):
        np.testing.assert_allclose(values, solved[name], rtol=2e-4, atol=2e-5)
    assert view.diagram is not None
    value = float(view.diagram.value.sel(V=10, L=7))
    assert view.seen.times.data["at"][0] == value
    assert f"{value:.4g}" in view.lines.status.text


def test_places_are_cells(view: PhaseView) -> None:
    view.range["x"].value = "8:32:3:log"
    assert view._nearest("x", np.log10(17.0)) == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: setattr(v.range["x"], "value", "8:y"), "is not an axis"),
        (lambda v: setattr(v.range["x"], "value", "8.5:9"), "whole"),
        (lambda v: setattr(v.axis["x"], "value", "L"), "both axes are L"),
        (lambda v: setattr(v.end, "value", -1), "must be a time above 0"),
        (lambda v: setattr(v.threshold, "value", 7), "give one between 0 and 1"),
        (lambda v: setattr(v.end, "value", None), "must be a number"),
    ],
)
def test_bad_values_are_one_line_and_the_map_stays(view: PhaseView, change: object, told: str) -> None:
    before = view.diagram
    change(view)  # type: ignore[operator]
    assert view.lines.message.text.startswith("error: ")
    assert told in view.lines.message.text
    assert "\n" not in view.lines.message.text
    assert view.diagram is before


def test_other_axes_and_systems_complete_their_cells(view: PhaseView) -> None:
    view.axis["y"].value = "sigma"
    assert not view.lines.message.text
    assert view.diagram is not None
    assert set(view.diagram.value.dims) == {"sigma", "V"}
    assert "u0" not in view.fixed.value
    for name in ("copying-repeats-3",):
        view.system.value = name
        assert not view.lines.message.text, name
        assert view.diagram.attrs["system"] == name


def test_the_fewest_parameters_complete_a_cell() -> None:
    found = completed(CopyingSystem(), {"V": 9.0, "L": 4.0})
    assert found == {"V": 9.0, "L": 4.0, "H": 1.0, "u0": 0.01, "a0": 0.01, "eta_W": 1.0, "eta_A": 1.0}
    with pytest.raises(InputError, match="copying: "):
        completed(CopyingSystem(), {"sigma": 0.1, "u0": 0.1})


def test_map_of_uneven_cells_keeps_their_values() -> None:
    diagram = phase_diagram("copying", {"L": [4, 5, 8], "V": [8, 9, 12]}, t_end=100)
    shown = Map.new()
    shown.show(diagram)
    picture = shown.image.data["image"][0]
    kept = np.unique(np.round(picture[np.isfinite(picture)], 5))
    finite = np.log10(diagram.value.values[np.isfinite(diagram.value.values)])
    never = {} if np.isfinite(diagram.value).all() else {finite.max() + 0.5 * np.ptp(finite)}
    np.testing.assert_allclose(kept, sorted({*finite, *never}), atol=2e-5)


def test_text_is_solved_anew() -> None:
    view = TextView(COUNTS, 100.0)
    store = view.words.store.tags[0]
    before = store["beta"].copy()
    view.rates["A"].value = 0.0
    after = view.words.store.tags[0]["beta"]
    assert not np.array_equal(before, after)
    solved = solve(COUNTS, store["tau"], stages=["joint", "two-stage", "frozen"], rates={"W": 1.0, "A": 0.0})
    np.testing.assert_allclose(after, solved.beta.values.ravel(), atol=1e-6)
    view.end.value = 0.5
    assert "above 1" in view.lines.message.text


def test_program_is_solved_anew() -> None:
    own = load_program(HERE / "examples" / "programs" / "gated.py")
    view = ProgramView({"gated.py": own, **scalar_programs()}, end=3.0)
    assert view.states.source.data["name"] == ["p", "beta0", "beta1"]
    view.values["initial p"] = 0.4
    view.compute()
    t = np.asarray(view.states.source.data["xs"][0])
    solved = solve(own, t, initial={"p": np.array(0.4), "beta0": np.array(0.1), "beta1": np.array(0.1)})
    np.testing.assert_allclose(view.states.source.data["ys"][0], solved.p, rtol=1e-9)
    view.program.value = "copying"
    assert not view.lines.message.text
    assert view.states.source.data["name"] == ["u", "a"]
    view.end.value = -1
    assert "above 0" in view.lines.message.text


def test_program_with_data_draws_every_size() -> None:
    own = load_program(HERE / "examples" / "programs" / "two_layers.py")
    view = ProgramView({"two_layers.py": own}, values={"N": 5, "D": 2, "R": 2, "K": 1}, end=5.0)
    assert not view.lines.message.text
    assert view.states.source.data["name"] == ["U[0,0]", "U[0,1]", "U[1,0]", "U[1,1]", "W[0,0]", "W[1,0]"]


def test_results_become_pages(tmp_path: Path) -> None:
    diagram = phase_diagram("copying", {"L": [4, 5, 6], "V": [8, 9, 10]}, t_end=100)
    words = solve(COUNTS, [0, 1, 10, 100])
    course = solve(copying(8, 8), [0, 100, 200], initial={"u": 0.1, "a": 0.1})
    for found, kind in ((diagram, "phase"), (words, "words"), (course, "curves")):
        path = tmp_path / f"{kind}.html"
        assert save_result(found, path) == kind
        page = path.read_text("utf-8")
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=.(http|/)", page)
    with pytest.raises(InputError, match=r"saved as \.html"):
        save_result(diagram, tmp_path / "page.png")
    with pytest.raises(InputError, match="nothing to show"):
        parts(diagram.drop_vars("value"))


def test_the_port_is_checked() -> None:
    with pytest.raises(InputError, match="port = 70000"):
        server({"/": lambda document: None}, 70000)
    made = server({"/": lambda document: None}, 0)
    try:
        with pytest.raises(InputError, match="cannot be used"):
            server({"/": lambda document: None}, made.port)
    finally:
        made.stop()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "normal"], "give it with --program"),
        (["a.txt"], "a second text is missing"),
        (["--cooccurrence", "a.npz", "--max-vocab", "5"], "has its counts"),
        (["--result", "a.nc"], "--save page.html"),
        (["--save", "a.html", "--program", "a.py"], "--result trajectory.nc"),
        (["--save", "a.html", "--result", "a.nc"], "a.nc"),
    ],
)
def test_options_that_do_not_act_are_refused(
    options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explore", *options]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_systems_to_explore_are_those_with_flows() -> None:
    assert next(iter(flows())) == "copying"
    assert all(hasattr(system_of(name), "flows") for name in flows())
