"""Adam at rest: its proof, and its pace against Adam itself on batches of a small text."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.checks.proofs import check, holds
from derivations.theorems.adam_at_rest import adam_at_rest
from derivations.theorems.theorem import Step
from dynamics.problems.closed_forms import evaluated
from dynamics.problems.forecast.at_rest import signals
from dynamics.problems.forecast.sentences import Sentences

PAIRS = [([0, 1], [0]), ([0], [0, 1]), ([1, 1, 2], [1]), ([2, 0], [2])] * 3 + [([3], [2])]


def test_every_step_holds() -> None:
    theorem = adam_at_rest()
    for step in theorem.steps:
        assert check(step, theorem.domain).passed, step.note


def test_wrong_steps_do_not_hold() -> None:
    move = next(step for step in adam_at_rest().steps if step.of == "W")
    assert not holds(Step("", move.left, 1.001 * move.right))


def told() -> list[tuple[np.ndarray, int]]:
    """The bag of words and the answer of every target, ends included."""
    return [
        (np.bincount(source, minlength=4) / len(source), answer)
        for source, target in PAIRS
        for answer in (*target, 3)
    ]  # fmt: skip


def gradients() -> tuple[np.ndarray, np.ndarray]:
    """Of every target by W[i, o] at W = 0, with the bias at log q; and q."""
    bags, answers = np.array([bag for bag, _ in told()]), np.eye(4)[[answer for _, answer in told()]]
    q = answers.mean(axis=0)
    return -bags[:, :, None] * (answers - q)[:, None, :], q


def test_signals_are_those_of_single_targets() -> None:
    g, _ = gradients()
    mean, square = g.mean(axis=0), (g**2).mean(axis=0)
    expected = -mean / np.sqrt(mean**2 + (square - mean**2) / 5)
    best = np.array([0, 1, 3])
    found = signals(Sentences.of(PAIRS, 3), best, batch=5)
    np.testing.assert_allclose(found, expected[best, np.arange(3)], rtol=1e-12)
    assert np.isnan(signals(Sentences.of(PAIRS, 4), np.array([0, 1, 2, 0]), batch=5)[3])


def test_adam_moves_at_the_pace_of_its_signal() -> None:
    """Adam on drawn batches, where W stays at rest: its learning rate is too small for it to go anywhere."""
    g, _ = gradients()
    rng, batch, steps, b1, b2 = np.random.default_rng(0), 6, 20_000, 0.9, 0.999
    m, v, moved = np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4))
    for k in range(1, steps + 1):
        drawn = g[rng.integers(0, len(g), batch)].mean(axis=0)
        m, v = b1 * m + (1 - b1) * drawn, b2 * v + (1 - b2) * drawn**2
        moved -= m / (1 - b1**k) / (np.sqrt(v / (1 - b2**k)) + 1e-12)
    mean, square = g.mean(axis=0), (g**2).mean(axis=0)
    rho = evaluated("stage-one-adam", "rho", D=-mean, S=square, batch=batch)
    assert np.abs(rho).max() > 0.3
    np.testing.assert_allclose(moved / steps, rho, atol=0.03)


@pytest.mark.parametrize(("q", "slope"), [(1e-6, -0.5), (0.2, 0.0)])
def test_steps_go_by_the_root_of_a_rare_word(q: float, slope: float) -> None:
    near = [float(evaluated("stage-one-adam", "steps", q=q * f, batch=400, lr=1e-3, margin=1)) for f in (1, 1.01)]
    assert np.log(near[1] / near[0]) / np.log(1.01) == pytest.approx(slope, abs=0.01)
