"""The staircase of linear attention: its levels and times against gradient descent, and moments against samples."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from derivations.checks.proofs import check, holds
from derivations.reductions import linear_attention
from derivations.theorems.linear_attention import HALF, integral, merged, staircase
from derivations.theorems.theorem import Step
from dynamics import InputError, on_arrays, simulate, solve
from dynamics.problems.closed_forms import evaluated, merged_time, staircase_levels, staircase_times

VARIANCES, TOKENS = np.array([3.0, 2.0, 1.0]) / 6, 31.0


@pytest.mark.parametrize("theorem", [staircase, merged])
def test_every_step_holds(theorem) -> None:
    for step in theorem().steps:
        assert check(step).passed, step.note


def test_a_wrong_step_does_not_hold() -> None:
    step = next(s for s in staircase().steps if s.of == "domega/dtau")
    assert not holds(Step("", step.left, 1.001 * step.right))


def start(heads: int, seed: int, size: float = 0.02) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {"v": (heads,), "K": (heads, 3), "Q": (heads, 3)}
    return {name: size * random.standard_normal(shape) for name, shape in shapes.items()}


def crossings(t: np.ndarray, loss: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return np.array([np.interp(-(a + b) / 2, -loss, t) for a, b in pairwise(levels)])


def test_moments_are_those_of_samples() -> None:
    """E[beta beta^T] and E[beta y_q x_q^T] of 200,000 contexts: the loss of some heads, against the mean over them."""
    random, count, n = np.random.default_rng(0), 200_000, 6
    x = random.standard_normal((count, n + 1, 3)) * np.sqrt(VARIANCES)
    y = np.einsum("cnd,cd->cn", x, random.standard_normal((count, 3)))
    beta = np.einsum("cnd,cn->cd", x[:, :n], y[:, :n]) / n
    heads = start(2, 1, 0.7)
    A = np.einsum("h,hd,he->de", heads["v"], heads["K"], heads["Q"])
    each = (y[:, n] - np.einsum("cd,de,ce->c", beta, A, x[:, n])) ** 2
    problem = on_arrays(linear_attention(), {"Lambda": VARIANCES}, {"H": 2, "N": n})
    found = float(solve(problem, [0.0], initial=heads).loss[0])
    assert abs(found - each.mean()) < 4 * each.std() / count**0.5
    assert each.std() / count**0.5 < 0.01 * found


def test_the_staircase_of_gradient_descent() -> None:
    """Five seeds of descent: plateau losses within 1 %, times of the falls within 5 %."""
    levels = staircase_levels(VARIANCES, TOKENS)
    problem = on_arrays(linear_attention(), {"Lambda": VARIANCES}, {"H": 3, "N": TOKENS})
    for seed in range(5):
        given = start(3, seed)
        expected = staircase_times(*given.values(), VARIANCES, TOKENS)
        steps, lr = int(1.3 * expected[-1] / 0.2), 0.2
        run = simulate(problem, lr=lr, steps=steps, records=range(0, steps, max(1, steps // 4000)), initial=given)
        t, loss = run.time.values, run.loss.values[0]
        assert crossings(t, loss, levels) == pytest.approx(expected, rel=0.05)
        for level, before, after in zip(levels, [0, *expected], [*expected, t[-1]], strict=True):
            middle = float(np.interp((before + 2 * after) / 3, t, loss))
            assert middle == pytest.approx(level, rel=0.01) or after < 1.6 * before  # too short to be a plateau
        assert loss[-1] == pytest.approx(levels[-1], rel=1e-3)


def test_from_smaller_starts_times_are_closer() -> None:
    """The theorem is of first order in the size of the start: its error goes down with it."""
    problem = on_arrays(linear_attention(), {"Lambda": VARIANCES}, {"H": 3, "N": TOKENS})
    errors = []
    for size in (0.05, 0.0125):
        given = start(3, 0, size)
        expected = staircase_times(*given.values(), VARIANCES, TOKENS)
        found = solve(problem, np.linspace(0, 1.2 * expected[-1], 3000), initial=given)
        seen = crossings(found.time.values, found.loss.values, staircase_levels(VARIANCES, TOKENS))
        errors.append(abs(seen / expected - 1).max())
    assert errors[1] < 0.4 * errors[0]


def test_one_direction_is_an_integral() -> None:
    """One head on one direction: time to half of the fall, against quadrature of its own equation."""
    moment = float(evaluated(staircase(), "B", **{"lambda": 0.5, "T": 0.5, "N": 10}))
    omega = (0.5 / moment) ** (1 / 3)
    end = omega * (1 - 2**-0.5) ** (1 / 3)
    time, _ = quad(lambda w: 1 / (2 * w**2 * (0.25 - moment * 0.5 * w**3)), 0.01, end, epsabs=1e-10)
    assert staircase_times([0.01], [[0.01]], [[0.01]], [0.5], 10)[0] == pytest.approx(time, rel=1e-5)
    y = float(HALF.evalf())
    assert float(integral(HALF).evalf()) == pytest.approx(quad(lambda x: x / (1 - x**3), 0, y)[0])


def test_fewer_heads_than_directions_and_heads_that_never_grow() -> None:
    given = start(2, 3)
    assert staircase_times(*given.values(), VARIANCES, TOKENS).shape == (2,)
    still = staircase_times([0.0, 0.02], np.zeros((2, 3)), np.zeros((2, 3)), VARIANCES, TOKENS)
    assert np.isinf(still).all()
    with pytest.raises(InputError, match="are not"):
        staircase_times([0.1], np.ones((2, 3)), np.ones((2, 3)), VARIANCES, TOKENS)
    with pytest.raises(InputError, match="eigenvalues"):
        staircase_levels([1.0, 0.0], TOKENS)


def test_merged_keys_drop_once() -> None:
    """The population of the merged model by hand: one drop, when and to which level the theorem says."""
    from scipy.integrate import solve_ivp

    random, heads = np.random.default_rng(4), 4
    v, U = 0.003 * random.standard_normal(heads), 0.003 * random.standard_normal((heads, 3, 3))
    moment = evaluated(staircase(), "B", **{"lambda": VARIANCES, "T": 1.0, "N": TOKENS})

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        value, matrix = state[:heads], state[heads:].reshape(heads, 3, 3)
        A = np.einsum("h,hde->de", value, matrix)
        drive = 2 * (np.diag(VARIANCES**2) - moment[:, None] * VARIANCES * A)
        return np.concatenate([np.einsum("hde,de->h", matrix, drive), (value[:, None, None] * drive).ravel()])

    expected = merged_time(v, U, VARIANCES, TOKENS)
    t = np.linspace(0, 20 * expected, 8000)
    found = solve_ivp(slope, (0, t[-1]), np.concatenate([v, U.ravel()]), t_eval=t, rtol=1e-8, atol=1e-12).y
    A = np.einsum("ht,hdet->det", found[:heads], found[heads:].reshape(heads, 3, 3, -1))
    gained = np.einsum("d,ddt->t", VARIANCES**2, A)
    loss = 1 - 2 * gained + np.einsum("d,e,det->t", moment, VARIANCES, A**2)
    bottom = staircase_levels(VARIANCES, TOKENS)[-1]
    assert np.interp(-(1 + bottom) / 2, -loss, t) == pytest.approx(expected, rel=0.01)
    assert loss[-1] == pytest.approx(bottom, rel=0.01)
    assert loss[np.searchsorted(t, 0.6 * expected)] > 0.98  # nothing before
