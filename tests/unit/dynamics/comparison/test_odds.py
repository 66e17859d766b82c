"""Odds of branches by noise: against descent, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from dynamics import Copying, noise_odds, positional, simulate
from dynamics.program_file import SumOver, indices, model, sizes, tensors
from dynamics.support.errors import InputError
from dynamics.tasks.examples import Examples

LR, BATCH = 0.05, 4


def saddle() -> tuple[Any, dict[str, np.ndarray]]:
    """One coordinate: mean loss -w^2/2 + w^4/4, and of single examples x w more, of mean 0 and variance .25."""
    (N,), (n, d), (x, w) = sizes("N"), indices("n d"), tensors("x w")
    loss = SumOver((x[n] * w[d] - w[d] ** 2 / 2 + w[d] ** 4 / 4) / N, n, d)
    program = model("Ridge", extents={n: N, d: 1}, data=x[n], states=w[d], examples=n, loss=loss)
    return program, {"x": np.repeat([-0.5, 0.5], 200)}


def test_odds_are_the_formula_of_the_theorem_where_all_is_linear() -> None:
    program, data = saddle()
    for start in (-0.05, 0.0, 0.03):
        found = noise_odds(program, data, lr=LR, batch=BATCH, initial={"w": [start]}, towards={"w": [1.0]})
        other = noise_odds(program, data, lr=LR, batch=BATCH, initial={"w": [start]}, towards={"w": [-1.0]})
        spread = LR * math.sqrt(0.25 / BATCH / ((1 + LR) ** 2 - 1))
        assert found.growth == pytest.approx(1.0, rel=1e-9)
        assert found.spread == pytest.approx(spread, rel=1e-6)
        assert found.start == pytest.approx(start, abs=2e-3 * spread)
        assert found.uncertain == 0
        expected = 0.5 * math.erfc(-found.start / spread / math.sqrt(2))
        assert found.probability == pytest.approx(expected, abs=1e-9)
        assert other.probability == pytest.approx(1 - found.probability, abs=1e-9)


@pytest.mark.slow
def test_odds_are_those_of_runs() -> None:
    """400 runs from one start; within three standard deviations of a binomial share."""
    program, data = saddle()
    start = {"w": [0.02]}
    expected = noise_odds(program, data, lr=LR, batch=BATCH, initial=start, towards={"w": [1.0]}).probability
    runs = simulate(program, data, lr=LR, steps=240, batch=BATCH, seeds=400, initial=start, records=2)
    ends = runs.w.isel(time=-1).values.ravel()
    assert np.abs(ends).min() > 0.2
    assert abs((ends > 0).mean() - expected) < 3 * math.sqrt(expected * (1 - expected) / 400)
    assert 0.6 < expected < 0.9


def test_what_has_no_odds_is_refused() -> None:
    program, data = saddle()
    given: dict[str, Any] = {"lr": LR, "batch": BATCH, "towards": {"w": [1.0]}}
    with pytest.raises(InputError, match="nothing grows at this saddle"):
        noise_odds(program, data, saddle={"w": [1.0]}, **given)
    with pytest.raises(InputError, match="neither side"):
        noise_odds(program, data, **{**given, "towards": {"w": [0.0]}})
    with pytest.raises(InputError, match="noise decides nothing"):
        noise_odds(program, {"x": np.ones(20) * 0.0}, **given)
    with pytest.raises(InputError, match="lr"):
        noise_odds(program, data, **{**given, "lr": -1.0})
    with pytest.raises(InputError, match="too large for odds"):
        noise_odds(program, data, **{**given, "lr": 1e3})
    with pytest.raises(InputError, match="examples"):
        noise_odds(program, data, examples=0, **given)
    with pytest.raises(InputError, match="a state on the side"):
        noise_odds(program, data, **{**given, "towards": None})
    with pytest.raises(InputError, match="take a model of 300 or fewer"):
        noise_odds(positional(), Copying(20, 20), **{**given, "towards": {}})


def every_input(task: Copying) -> Examples:
    """Each input of a copying task once."""
    rows = np.array(list(permutations(range(task.vocab), task.length)))
    one, of_each = task.sample(1, np.random.default_rng(0)), np.full(len(rows), task.length)
    return replace(one, x=rows.ravel(), y=rows.ravel(), length=of_each, targets=of_each)


@pytest.mark.slow
def test_odds_of_copying_are_those_of_runs() -> None:
    """Right or mirror from a start near the border: 3 of 6 words, 200 runs on fresh inputs."""
    task, random = Copying(6, 3), np.random.default_rng(3)
    chance = math.log(2 / 5)  # of a, where attention to the right position is 1/V
    words, positions = 0.3 * random.standard_normal((6, 6)), 0.3 * random.standard_normal((3, 3))
    shift = -0.0616
    start = {
        "W": words + shift * (np.eye(6) - 1 / 6),
        "P": positions + chance * np.eye(3) + shift * (np.eye(3) - 1 / 3),
    }
    expected = noise_odds(
        positional(), every_input(task), lr=0.5, batch=32, initial=start, saddle={"P": chance * np.eye(3)},
        towards={"W": np.eye(6), "P": (chance + 1) * np.eye(3)},
    ).probability  # fmt: skip
    runs = simulate(positional(), task, lr=0.5, batch=32, steps=443, seeds=200, initial=start, records=2)
    ends = runs.P.isel(time=-1).values
    right = np.array([np.trace(p) / 3 - (p.sum() - np.trace(p)) / 6 for p in ends]) > chance
    assert 0.5 < expected < 0.95
    assert abs(right.mean() - expected) < 3 * math.sqrt(expected * (1 - expected) / 200)
