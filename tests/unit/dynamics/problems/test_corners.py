"""Corners of a flow, rounded: against flows that slide along them in closed form, and against differences."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Abs, Max, Min, sign

from derivations.gradient_flow import gradient_flow
from derivations.models.topic import topic_classifier
from derivations.program import Program, ProgramError
from derivations.reductions.rounding import has_corners, rounded
from derivations.reductions.topic_words import topic_words
from dynamics import Closure, CoOccurrence, solve
from dynamics.cli import run
from dynamics.lowering import Kernel, lower
from dynamics.lowering.verify import evaluated
from dynamics.problems.kinds.arrays import on_arrays
from dynamics.program_file import SumOver, Where, indices, model, scalars, sizes, tensors
from dynamics.support.errors import InputError, IntegrationError

(i,), (V,), (x, y, p, q) = indices("i"), sizes("V"), tensors("x y p q")
STRENGTH = 1.5
TIES = model(
    "Ties",
    extents={i: V},
    data=(p[i], q[i]),
    states=(x[i], y[i]),
    loss=SumOver(STRENGTH * Abs(x[i] - y[i]) + (x[i] - p[i]) ** 2 / 2 + (y[i] - q[i]) ** 2 / 2, i),
)
DATA = {"p": np.array([2.0]), "q": np.array([0.0])}
START = {"x": np.array([5.0]), "y": np.array([0.0])}


def slid(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y apart until e^-t = 1/6, then together: of the two slopes at the corner, the mean remains."""
    far = np.exp(-t) > 1 / 6
    together = 1 + 0.25 * 6 * np.exp(-t)
    return (
        np.where(far, 0.5 + 4.5 * np.exp(-t), together),
        np.where(far, 1.5 - 1.5 * np.exp(-t), together),
    )


def test_a_flow_slides_along_a_corner_by_the_order_of_the_width() -> None:
    t = np.linspace(0, 4, 41)
    off = []
    for width in (1e-2, 5e-3, 2.5e-3):
        found = solve(TIES, DATA, t, initial=START, corners=width, rtol=1e-9, atol=1e-12)
        off.append(max(abs(found[name].values[:, 0] - exact).max() for name, exact in zip("xy", slid(t), strict=True)))
        assert found.attrs["corners"] == width
    orders = np.log2(np.array(off[:-1]) / off[1:])
    assert off[-1] < 2.5e-3
    assert (np.abs(orders - 1) < 0.1).all()


def test_it_takes_a_small_part_of_the_evaluations() -> None:
    """A solver that meets the corner itself goes to and fro over it."""
    t = [0.0, 4.0]
    with pytest.raises(IntegrationError, match=r"or round the corners of its flow, corners=1e-3"):
        solve(TIES, DATA, t, initial=START, max_steps=3000)
    found = solve(TIES, DATA, t, initial=START, corners=1e-3, method="auto")
    assert found.attrs["evaluations"] < 6000
    assert abs(found.x.values[-1, 0] - slid(np.array(4.0))[0]) < 1e-3


a, b, c = scalars("a b c")
SIDES = {
    "maximum": Max(a, b) * c,
    "of three": Max(a, b, c) + a * b,
    "minimum": Min(a, 2 * b) ** 2,
    "size": Abs(a - b * c),
    "rectifier": Max(a, 0) * Max(-b, 0) + c,
    "within": Max(0, Abs(a) - Min(b, c)),
}


@cache
def kernels(name: str) -> tuple[Program, Kernel, Kernel, Kernel]:
    """The rounded flow, its rates, its loss, and the loss with its corners."""
    sharp = gradient_flow(model(name, states=(a, b, c), loss=SIDES[name]))
    flow, _ = rounded(sharp)
    return flow, lower(flow), lower(flow, ["loss"]), lower(sharp, ["loss"])


@pytest.mark.parametrize("name", SIDES)
@given(at=st.lists(st.floats(-2, 2), min_size=3, max_size=3), width=st.floats(0.05, 2))
@settings(max_examples=25, deadline=None)
def test_the_rounded_flow_descends_the_rounded_loss(name: str, at: list[float], width: float) -> None:
    flow, rates, loss, sharp = kernels(name)
    values = {**dict(zip("abc", map(np.float64, at), strict=True)), "corner": width}
    values |= dict.fromkeys(flow.rates.values(), 1.0)
    found = evaluated(rates, values)
    h = 1e-5
    for state, slope in flow.flow.items():
        above, below = (evaluated(loss, {**values, state: values[state] + s * h})["loss"] for s in (1, -1))
        np.testing.assert_allclose(found[slope], -(above - below) / (2 * h), rtol=1e-6, atol=1e-7)
    if name in ("size", "of three"):
        gap = evaluated(loss, values)["loss"] - evaluated(sharp, values)["loss"]
        assert -1e-12 <= gap <= width * np.log(3) + 1e-12


@pytest.mark.parametrize("width", [1e-12, 1e-3])
def test_far_from_a_corner_nothing_changes(width: float) -> None:
    """Also where arguments are 1e15 widths."""
    flow, corner = rounded(gradient_flow(model("far", states=(a, b, c), loss=SIDES["within"])))
    values = {"a": np.float64(-1e3), "b": np.float64(40.0), "c": np.float64(7.0), corner: width}
    found = evaluated(lower(flow, (*flow.flow.values(), "loss")), values | dict.fromkeys(flow.rates.values(), 1.0))
    assert found["loss"] == pytest.approx(993.0, abs=1e-9)
    assert [float(found[flow.flow[name]]) for name in "abc"] == pytest.approx([1.0, 0.0, 1.0], abs=1e-9)


@pytest.mark.parametrize("program", [topic_classifier("TL"), topic_words("TL")], ids=lambda program: program.name)
def test_rounding_a_flow_rounds_what_it_was_derived_from(program: Program) -> None:
    """Whether it is the flow of a model or has a metric of its own; and once more there is nothing to round."""
    flow, _ = rounded(program)
    assert has_corners(program)
    assert not has_corners(flow)
    with pytest.raises(ProgramError, match="there is no corner to round"):
        rounded(flow)
    if flow.model is not None:
        derived = gradient_flow(flow.model)
        assert [d.rhs for d in derived.definitions] == [d.rhs for d in flow.definitions]


def test_what_does_not_move_keeps_its_corners() -> None:
    """A largest number of the data is no corner."""
    flow, _ = rounded(
        gradient_flow(model("data", extents={i: V}, data=p[i], states=x[i], loss=SumOver(Max(p[i], 0) * Abs(x[i]), i)))
    )
    assert any(d.rhs.has(Max(0, p[i])) for d in flow.definitions)
    assert not any(d.rhs.has(Abs) for d in flow.definitions)


def test_a_jump_is_no_corner() -> None:
    problem = on_arrays(gradient_flow(model("jump", states=(a, b), loss=sign(a) * a + Abs(b))), {})
    with pytest.raises(InputError, match=r"jumps where its argument is 0; a jump cannot be rounded; leave corners out"):
        solve(problem, [0, 1], corners=0.1)


@pytest.mark.parametrize("width", [0, -1e-3, np.nan, np.inf, True, "wide"])
def test_widths(width: object) -> None:
    with pytest.raises(InputError, match="is not a positive number, the width within which they are rounded"):
        solve(TIES, DATA, [0, 1], corners=width)  # type: ignore[call-overload]


def test_counts_have_no_corners() -> None:
    with pytest.raises(InputError, match=r"there is no corner to round .*; leave corners out"):
        solve(Closure(CoOccurrence.from_counts([[8, 1], [1, 8]])), [0, 1], corners=0.1)


def test_an_optimiser_takes_rounded_corners_too() -> None:
    found = solve(TIES, DATA, [0, 4], initial=START, corners=0.05, optimizer="momentum", lr=0.01)
    assert abs(found.x.values[-1, 0] - slid(np.array(4.0))[0]) < 0.05


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ties.py").write_text(
        "from dynamics.program_file import *\nfrom sympy import Abs\n(x, y) = scalars('x y')\n"
        "program = model('Ties', states=(x, y), loss=1.5 * Abs(x - y) + (x - 2)**2/2 + y**2/2)\n"
    )
    program, place = str(tmp_path / "ties.py"), str(tmp_path / "out")
    arguments = ["solve", "--program", program, "--at", "0,4", "--figures", "none", "-o", place]
    assert run([*arguments, "--corners", "1e-2"]) == 0
    assert run([*arguments, "--corners", "0"]) == 2
    assert run(["solve", "--corners", "1e-2", "-o", place]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "corners = 0.0 is not a positive number" in told[0]
    assert "--corners does not apply to the closure on counts" in told[1]


def test_the_side_of_a_condition_is_not_rounded() -> None:
    """The rounded maximum is above both sides, and a condition on it would fail on both."""
    loss = Where((a - 3) ** 2, Max(a, b) <= a) + Where((b + 3) ** 2, Max(a, b) > a) + Max(a, 0)
    program = model("sides", states=(a, b), loss=loss)
    start = {"a": 1.0, "b": 0.9}
    sharp, found = solve(program, {}, [0, 1], initial=start), solve(program, {}, [0, 1], initial=start, corners=1e-3)
    np.testing.assert_allclose(found.loss, sharp.loss, atol=1e-2)
    only = gradient_flow(model("only", states=(a,), loss=Where((a - 1) ** 2, Max(a, 0) > 0)))
    assert not has_corners(only)
    with pytest.raises(ProgramError, match=r"Max\(w, 0\) is"):
        rounded(only)


def test_sizes_of_sizes() -> None:
    """sympy writes the slope of a size of a size otherwise than the size."""
    program = model("sizes", states=(a, b), loss=Abs(Abs(a) - Abs(b)) * Max(0, 2 * a) + Abs(a * Abs(a)))
    flow, corner = rounded(gradient_flow(program))
    values = {"a": np.float64(0.1), "b": np.float64(0.25), corner: 0.3} | dict.fromkeys(flow.rates.values(), 1.0)
    found = evaluated(lower(flow), values)
    for state, slope in flow.flow.items():
        above, below = (
            evaluated(lower(flow, ["loss"]), {**values, state: values[state] + s * 1e-5})["loss"] for s in (1, -1)
        )
        np.testing.assert_allclose(found[slope], -(above - below) / 2e-5, rtol=1e-6)
