"""Descent past the edge of stability, against descent itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynamics import CoOccurrence, central_flow, simulate, solve
from dynamics.problems.arrays import on_arrays
from dynamics.problems.closure import Closure
from dynamics.program_file import model, scalars
from dynamics.support.errors import InputError, StabilityWarning

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
        (valley(), {"lr": 0.1, "parts": 0}, "whole number from 1"),
        (valley(), {"lr": 0.1, "rates": {"q": 1.0}}, "q"),
        (sparse, {"lr": 0.1, "initial": {"Q": 1.0}}, "Q"),
    ):
        with pytest.raises(InputError, match=says):
            central_flow(problem, [0, 1.0], **given)
    with pytest.raises(InputError, match="not increasing"):
        central_flow(valley(), [0, 2.0, 1.0], 0.1)
