"""Derivatives of solutions and of event times against differences of solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynamics import CoOccurrence, copying, solve
from dynamics.problems.closure import Closure
from dynamics.problems.sensitivity.fit import fit
from dynamics.problems.sensitivity.sensitivity import passing
from dynamics.support.errors import InputError

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-13}
TABLE = np.array([[8.0, 1, 2], [1, 8, 3], [1, 1, 5]])
WORDS = {"inputs": ["a", "b", "c"], "outputs": ["x", "y", "z"]}
START = {"W": 0.3, "A": 0.2}


def lexicon(change: float = 0.0) -> Closure:
    table = TABLE.copy()
    table[0, 1] *= np.exp(change)
    return Closure(CoOccurrence.from_counts(table, **WORDS))


def solved(change: float = 0.0, **options: Any) -> Any:
    return solve(lexicon(change), [0, 1.0, 5.0], **{"initial": START, **CLOSE, **options})


ADAM: dict[str, Any] = {"optimizer": "adam", "lr": 0.05, "batch": 8}


@pytest.mark.parametrize("adam", [{}, pytest.param(ADAM, marks=pytest.mark.slow)])
def test_derivatives_are_those_of_differences(adam: dict[str, Any]) -> None:
    names = ["rate A", "initial W", "count a y", *(["lr"] if adam else [])]
    found = solved(sensitivity=names, **adam)
    assert list(found.parameter.values) == names
    h = 1e-4

    def with_size(size: float) -> Any:
        first = solved(**adam).isel(time=0)
        return solved(**{**adam, "initial": {"W": first.W.values * size / START["W"], "A": first.A.values}})

    moved = {
        "rate A": lambda s: solved(rates={"A": 1 + s}, **adam),
        "initial W": lambda s: with_size(START["W"] + s),
        "count a y": lambda s: solved(s, **adam),
        "lr": lambda s: solved(**{**adam, "lr": 0.05 * (1 + s)}),
    }
    for k, name in enumerate(names):
        step = h * (0.05 if name == "lr" else 1.0)
        for variable in ("W", "A", "loss"):
            slope = (moved[name](h)[variable] - moved[name](-h)[variable]).values / (2 * step)
            assert np.abs(found[f"d_{variable}"].values[k] - slope).max() < 1e-6 * max(1.0, np.abs(slope).max())


def test_the_time_of_an_event_moves_by_its_implicit_function() -> None:
    start, end = {"u": 0.1}, 1000.0
    found = passing(copying(6, 4), "p_t", 0.9, end, ["rate W", "V", "initial u"], initial=start, **CLOSE)
    h = 1e-4
    later, before = (
        passing(copying(6, 4), "p_t", 0.9, end, rates={"W": 1 + s}, initial=start, **CLOSE) for s in (h, -h)
    )
    assert found.by["rate W"] == pytest.approx((later.time - before.time) / (2 * h), rel=1e-6)
    later, before = (passing(copying(6, 4), "p_t", 0.9, end, initial={"u": 0.1 * (1 + s)}, **CLOSE) for s in (h, -h))
    assert found.by["initial u"] == pytest.approx((later.time - before.time) / (0.2 * h), rel=1e-6)


@pytest.mark.slow
def test_of_an_entry_and_of_an_optimiser() -> None:
    """At twice the rate of every step, Adam is there after half of the steps, and nearly after the same tau."""
    at = {"input": "a", "output": "x"}
    found = passing(lexicon(), "beta", 0.6, 20.0, ["lr"], at=at, optimizer="adam", lr=0.01)
    later, before = (passing(lexicon(), "beta", 0.6, 20.0, at=at, optimizer="adam", lr=lr) for lr in (0.01001, 0.00999))
    assert found.by["lr"] == pytest.approx((later.time - before.time) / 2e-5, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "says"),
    [("rate B", "the states are W, A"), ("count a q", "give an input word and an output word"), ("eta", "is none")],
)
def test_what_does_not_exist_is_refused(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        solved(sensitivity=name)


def test_what_is_never_passed_is_said() -> None:
    with pytest.raises(InputError, match=r"does not pass 0\.9 before tau = 1"):
        passing(copying(6, 4), "p_t", 0.9, 1.0, initial={"u": 0.1})
    with pytest.raises(InputError, match="needs one entry of input, output"):
        passing(lexicon(), "beta", 0.6, 20.0)


def test_a_fit_finds_the_numbers_that_made_the_curves() -> None:
    """Two numbers at once, from curves with noise: within three standard errors, and the errors are of its size."""
    start, t = {"u": 0.1, "a": 0.05}, np.linspace(0, 150, 31)
    made = solve(copying(6, 4), t, initial=start, rates={"W": 1.6, "P": 0.7}, rtol=1e-8)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(t.size)
    found = fit(copying(6, 4), t, {"loss": made.loss.values + noise}, ["rate W", "rate P"], initial=start)
    for name, expected in {"rate W": 1.6, "rate P": 0.7}.items():
        assert abs(found.values[name] - expected) < 3 * found.errors[name] < 0.1
    assert found.residual == pytest.approx(1e-3, rel=0.3)
    with pytest.raises(InputError, match="curve 'lost'"):
        fit(copying(6, 4), t, {"lost": made.loss}, ["rate W"], initial=start)
    with pytest.raises(InputError, match="of shape"):
        fit(copying(6, 4), t[1:], {"loss": made.loss}, ["rate W"], initial=start)
