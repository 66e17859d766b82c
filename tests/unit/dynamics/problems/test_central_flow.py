"""Descent past the edge of stability, against descent itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynamics import CoOccurrence, SparseBoolean, central_flow, simulate, solve
from dynamics.problems.kinds.arrays import on_arrays
from dynamics.problems.kinds.closure import Closure
from dynamics.program_file import SumOver, indices, model, scalars, sizes, tensors
from dynamics.support.errors import InputError, IntegrationError, StabilityWarning

LR = 0.2


def valley(scale: float = 1.0) -> Any:
    """The factors of one, with the smaller curvature the further along the valley."""
    a, b = scalars("a b")
    return on_arrays(model("Valley", states=(a, b), loss=(scale * a * b - 1) ** 2 / 2))


def beyond(over: float) -> dict[str, float]:
    """Near the bottom of the valley where lr times the curvature is 2 and so much."""
    half = (2 + over) / LR / 2
    a = float(np.sqrt(half + np.sqrt(half**2 - 1)))
    return {"a": a, "b": 1 / a + 0.01}


def test_it_follows_descent_to_second_order_in_how_far_beyond_the_edge_it_begins() -> None:
    """Descent goes over to the other side of the edge: the flow that does not oscillate is off to first order."""
    distances: dict[str, list[float]] = {"central": [], "plain": []}
    for over in (0.4, 0.2, 0.1):
        steps = int(60 / over**0.5)
        run = simulate(
            valley(), lr=LR, steps=steps + 1, records=np.arange(steps + 2), initial=beyond(over), stability=False
        )
        t = LR * np.arange(1, steps + 1)
        found = central_flow(valley(), t, LR, initial=beyond(over))
        plain = solve(valley(), t, initial=beyond(over), lr=LR)
        a = run.a[0].values
        mean = (a[:-2] + 2 * a[1:-1] + a[2:]) / 4
        distances["central"].append(float(np.abs(found.a.values - mean).max()))
        distances["plain"].append(float(np.abs(plain.a.values - mean).max()))
        assert LR * found.curvature[0] > 2 > LR * found.curvature[-1]
        losses = run.loss[0].values
        loudest = int(found.loss_mean.values.argmax())
        around = losses[loudest - 1 : loudest + 4].mean()
        assert float(found.loss_mean[loudest]) == pytest.approx(around, rel=0.5)
    orders = {name: np.log2(np.array(each[:-1]) / np.array(each[1:])) for name, each in distances.items()}
    assert (orders["central"] > 1.8).all()
    assert (orders["plain"] < 1.3).all()


def test_within_the_edge_it_is_the_flow_of_descent() -> None:
    start, t = {"a": 1.5, "b": 0.2}, np.linspace(0, 8, 9)
    found, flow = central_flow(valley(), t, 0.05, initial=start), solve(valley(), t, initial=start, lr=0.05, rtol=1e-10)
    for name in ("a", "b", "loss"):
        assert np.abs(found[name] - flow[name]).max() < 2e-6  # a step of Runge and Kutta for each of descent
    assert float(found.oscillation.max()) < 1e-12


def test_rates_are_a_choice_of_coordinates() -> None:
    """A state with a rate of 4 moves as one in units of twice the size; eigenvectors are found to one in a thousand."""
    start = beyond(0.2)
    half = start | {"a": start["a"] / 2}
    t = LR * np.arange(0, 60, 6)
    ours = central_flow(valley(2.0), t, LR, initial=half)
    stretched = central_flow(valley(), t, LR, initial=start, rates={"a": 4.0})
    assert np.abs(stretched.a - 2 * ours.a).max() < 1e-3
    assert np.abs(stretched.b - ours.b).max() < 1e-3
    assert np.abs(stretched.oscillation - ours.oscillation).max() < 1e-3


def test_what_it_is_not_for_is_said() -> None:
    a, b, c, d = scalars("a b c d")
    two = on_arrays(model("Valleys", states=(a, b, c, d), loss=(a * b - 1) ** 2 / 2 + (c * d - 1) ** 2 / 2))
    start = beyond(0.2)
    with pytest.warns(StabilityWarning, match="a second direction is unstable"):
        central_flow(two, [0, LR], LR, initial=start | {"c": start["a"] - 0.01, "d": start["b"]})
    sparse = Closure(CoOccurrence.from_counts([[8, 1], [1, 8]]))
    for problem, given, says in (
        (valley(), {"lr": 0.0}, "not a positive number"),
        *((valley(), {"lr": lr}, "not a positive number") for lr in ("x", None, [0.1, 0.2], True)),
        (SparseBoolean("and", 5, (0, 1)), {"lr": 0.1}, "give the model first"),
        (3, {"lr": 0.1}, "cannot solve a int"),
        (valley(), {"lr": 0.1, "parts": 0}, "whole number from 1"),
        (valley(), {"lr": 0.1, "rates": {"q": 1.0}}, "q"),
        (sparse, {"lr": 0.1, "initial": {"Q": 1.0}}, "Q"),
    ):
        with pytest.raises(InputError, match=says):
            central_flow(problem, [0, 1.0], **given)
    with pytest.raises(InputError, match="not increasing"):
        central_flow(valley(), [0, 2.0, 1.0], 0.1)


def test_of_equal_curvatures_it_oscillates_along_the_displacement() -> None:
    """Descent on a bowl is known: each step takes 1 - lr of the state, in whichever direction it is, without a mean."""
    states = scalars("a b c")
    bowl, lr, steps = model("Bowl", states=states, loss=sum(s**2 for s in states) / 2), 1.9, np.array([0, 1, 2, 4])
    for start in ([1.0, 0, 0], [0, 0, 1.0], [0.6, 0, -0.8]):
        found = central_flow(bowl, lr * steps, lr, initial=dict(zip("abc", start, strict=True)))
        assert found.oscillation.values == pytest.approx(abs(1 - lr) ** steps, rel=1e-9)
        assert found.loss_mean.values[1:] == pytest.approx((1 - lr) ** (2 * steps[1:]) / 2, rel=2e-3)  # and the mean's
        assert found.curvature.values == pytest.approx(1.0)


def test_a_gradient_without_the_first_direction_does_not_hide_it() -> None:
    a, b = scalars("a b")
    found = central_flow(model("Trough", states=(a, b), loss=2 * a**2 + b**2 / 2), [0, 0.3], 0.3, initial={"b": 1.0})
    assert found.curvature.values == pytest.approx(4.0)
    assert float(found.oscillation.max()) < 1e-12


def test_it_takes_what_solve_takes() -> None:
    counts, start = CoOccurrence.from_counts([[8, 1], [1, 8]]), {"W": 0.3, "A": 0.2}
    ours, theirs = (central_flow(one, [0, 1.0], 0.1, initial=start) for one in (counts, Closure(counts)))
    assert ours.identical(theirs.assign_attrs(ours.attrs))
    (size,), (i,), (w, x) = sizes("V"), indices("i"), tensors("w x")
    program = model("Bowl", extents={i: size}, data=x[i], states=w[i], loss=SumOver(x[i] * w[i] ** 2 / 2, i))
    assert float(central_flow(program, [0, 1.0], 0.1, data={"x": [1.0, 3.0]}).curvature[0]) == pytest.approx(3.0)


@pytest.mark.filterwarnings("error")
def test_a_flow_that_runs_away_is_told_in_words() -> None:
    start = {"a": 4.0, "b": 0.24}
    for given, begin in (({"lr": 0.2, "parts": 1}, start), ({"lr": 1.0}, start), ({"lr": 0.2}, start | {"a": 1e200})):
        with pytest.raises(IntegrationError, match=r"not finite at tau = .*smaller lr"):
            central_flow(valley(), [0, 50.0], initial=begin, **given)
