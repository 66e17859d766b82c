"""Odds of branches by noise: the proof, and the formula against descent on a saddle of one coordinate."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.checks.proofs import check, holds
from derivations.theorems.noisy_saddle import noisy_saddle
from derivations.theorems.theorem import Step
from dynamics.problems.closed_forms import evaluated


def test_every_step_holds() -> None:
    theorem = noisy_saddle()
    for step in theorem.steps:
        assert check(step, theorem.domain).passed, step.note
    converges = next(step for step in theorem.steps if step.of == "lim sum(nu^(-2 j))")
    assert not holds(Step("", converges.left, 1.01 * converges.right))


@pytest.mark.parametrize("mu", [0.0, 0.8])
def test_odds_are_those_of_many_runs(mu: float) -> None:
    """20,000 runs with noise that is not normal, binomial error .0035; rates at which lr -> 0 would be off by it."""
    lr, batch, rate, kappa, runs = 0.3, 4, 0.4, 0.09, 20_000
    random = np.random.default_rng(0)
    for start in (-0.1, 0.0, 0.05):
        w, v = np.full(runs, start), np.zeros(runs)
        for _ in range(150):
            single = np.sqrt(kappa) * random.choice([-1.0, 1.0], (batch, runs))
            v = mu * v + lr * (rate * w + single.mean(axis=0))
            w = w + v
        expected = float(
            evaluated("copying-noise-odds", "p", w_0=start, lr=lr, batch=batch, kappa=kappa, mu=mu, **{"lambda": rate})
        )
        assert abs((w > 0).mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / runs)
