"""The figures of published systems: what each shows, against an oracle that knows nothing of the package."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dynamics import load_program, solve
from dynamics.problems.closed_forms import staircase_levels

PAPERS = Path(__file__).resolve().parents[2] / "examples" / "papers"


def paper(name: str) -> ModuleType:
    """A script of examples/papers as a module."""
    spec = importlib.util.spec_from_file_location(f"papers_{name}", PAPERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def half_times(t: np.ndarray, curves: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """When curves, shape (time, curve), pass half of their ends."""
    return np.array([np.interp(end / 2, curve, t) for curve, end in zip(curves.T, ends, strict=True)])


def test_deep_linear_networks_follow_the_sigmoid() -> None:
    script = paper("deep_linear")
    run = script.experiment(seeds=3)
    found = script.strengths(run.U.values, run.W.values)
    for seed in range(3):
        expected = script.sigmoid(run.time.values, run.U.values[seed, 0], run.W.values[seed, 0])
        at = (half_times(run.time.values, one, script.STRENGTHS) for one in (found[seed], expected))
        assert next(at) == pytest.approx(next(at), rel=0.05)
    assert found[:, -1] == pytest.approx(np.tile(script.STRENGTHS, (3, 1)), rel=0.01)
    assert script.figure(run).axes[0].get_xlabel()


def test_from_aligned_layers_the_sigmoid_is_exact() -> None:
    """Layers that share directions with the data are followed by the solution of u' = 2 u (s - u) to all digits."""
    script = paper("deep_linear")
    inputs, answers = script.modes()
    hidden = np.linalg.qr(np.random.default_rng(5).standard_normal((6, 6)))[0][:, :3]
    start = {"U": 0.1 * inputs @ hidden.T, "W": 0.1 * hidden @ answers.T}
    t = np.linspace(0, 5, 11)
    found = solve(
        load_program(script.PROGRAM), script.data(), t, values={"R": 6}, initial=start, rtol=1e-10, atol=1e-13
    )
    s, first = script.STRENGTHS, 0.01
    exact = s * np.exp(2 * s * t[:, None]) / (np.exp(2 * s * t[:, None]) - 1 + s / first)
    assert script.strengths(found.U.values, found.W.values) == pytest.approx(exact, abs=1e-7)


def test_linear_attention_falls_where_the_theorems_say() -> None:
    """Two seeds of training on fresh contexts: levels within 0.01, times within 8 %, as batches are noisy."""
    script = paper("linear_attention")
    run = script.separate(1200, seeds=2, lr=0.2, batch=64, size=0.05)
    levels, t = staircase_levels(script.VARIANCES, script.TOKENS), run.time.values
    for losses, falls in zip(script.losses(run), script.times(run), strict=True):
        for fall, (above, below) in zip(falls[:2], pairwise(levels), strict=False):
            if fall < 0.9 * t[-1]:
                assert np.interp(-(above + below) / 2, -np.minimum.accumulate(losses), t) == pytest.approx(
                    fall, rel=0.08
                )
        after = (t > 1.2 * falls[0]) & (t < 0.8 * falls[1])
        assert np.median(losses[after]) == pytest.approx(levels[1], abs=0.01)
    merged = script.merged(250, seeds=2, batch=64)
    for losses, (fall,) in zip(script.losses(merged), script.times(merged), strict=True):
        middle = (levels[0] + levels[-1]) / 2
        assert np.interp(-middle, -losses, merged.time.values) == pytest.approx(fall, rel=0.08)


def test_attention_comes_to_the_margin_direction() -> None:
    """The direction against a quadratic program, and its cosine late in training."""
    from scipy.optimize import minimize

    script = paper("max_margin")
    arrays, values = script.data()
    best = (arrays["Y"][:, None] * (arrays["X"] @ values)).argmax(axis=1)
    direction = script.margin_direction(arrays["X"], best)
    apart = np.array([x[b] - x[t] for x, b in zip(arrays["X"], best, strict=True) for t in range(3) if t != b])
    bound = {"type": "ineq", "fun": lambda p: apart @ p - 1, "jac": lambda p: apart}
    found = minimize(lambda p: p @ p / 2, 10 * direction, jac=lambda p: p, constraints=bound, tol=1e-12)
    assert found.x @ direction / np.linalg.norm(found.x) == pytest.approx(1, abs=1e-8)
    flow = script.experiment()
    share, cosine = script.measures(flow)
    assert cosine[-1] > 0.999
    assert (np.diff(cosine[40:]) > 0).all()
    assert (share[-1] > 0.999).all()
    assert (flow.v.values == flow.v.values[0]).all()


@pytest.mark.parametrize(("sequences", "seeds"), [(800, 2), pytest.param(2000, 5, marks=pytest.mark.slow)])
def test_an_induction_head_is_learnt_in_two_stages(sequences: int, seeds: int) -> None:
    """Both times by the flow within 10 % of those of runs on fresh sequences, and the stages in their order."""
    script = paper("induction")
    theory, run = script.flow(np.linspace(0, 60, 61), sequences), script.runs(60.0, seeds=seeds)
    expected, seen = script.times_of(theory), script.times_of(run)
    assert expected[0] < 0.3 * expected[1]
    assert seen == pytest.approx(np.repeat(expected, seeds, axis=1), rel=0.1)
    # What is learnt is the previous word: the largest entry of almost every row of P, and the diagonal of A.
    late = theory.isel(time=-1)
    masked = np.where(np.tri(script.LENGTH, dtype=bool), late.P.values, -np.inf)
    assert (masked.argmax(axis=1)[1:] == np.arange(script.LENGTH - 1)).all()
    assert (late.A.values.argmax(axis=0) == np.arange(script.WORDS)).all()


def test_the_committee_leaves_its_plateau_as_students_do() -> None:
    """Order parameters against a student of 300 inputs, and their slopes against means over 400,000 inputs."""
    from scipy.special import erf

    script = paper("committee")
    student, teacher = script.start(300, seed=2)
    times = np.array([0.0, 10.0, 20.0])
    theory = script.flow(times, student, teacher)
    R, Q = script.trained(times, student, teacher)
    assert script.error(R, Q) == pytest.approx(theory.loss.values, rel=0.15)
    assert script.error(theory.R.values, theory.Q.values) == pytest.approx(theory.loss.values, rel=1e-10)
    # One step of gradient descent on the fields of many inputs.
    random, near = np.random.default_rng(0), np.vstack([student, teacher])
    fields = random.standard_normal((400_000, 4)) @ np.linalg.cholesky(near @ near.T).T
    a, b = fields[:, :2], fields[:, 2:]
    error = erf(b / 2**0.5).sum(axis=1) - erf(a / 2**0.5).sum(axis=1)
    delta = error[:, None] * (2 / np.pi) ** 0.5 * np.exp(-(a**2) / 2)
    eta, first = script.RATE, script.flow(np.array([0.0, 1e-4]), student, teacher)
    of_R = eta * np.einsum("si,sn->in", delta, b) / len(a)
    of_Q = eta * np.einsum("si,sk->ik", delta, a) / len(a)
    of_Q = of_Q + of_Q.T + eta**2 * np.einsum("si,sk->ik", delta, delta) / len(a)
    assert np.diff(first.R.values, axis=0)[0] / 1e-4 == pytest.approx(of_R, abs=0.01)
    assert np.diff(first.Q.values, axis=0)[0] / 1e-4 == pytest.approx(of_Q, abs=0.01)


def test_attention_scans_and_snaps() -> None:
    """Words of one token gain and shared ones lose, the more frequent ones more; faster values stop it sooner.

    The flow against an integration of its definitions by NumPy, with slopes by finite differences.
    """
    from scipy.integrate import solve_ivp

    script = paper("scan_snap")
    found = script.experiment(1.0, 20.0)
    P, last = script.words(), script.LAST

    def loss(state: np.ndarray) -> float:
        Y, Z = state[:80].reshape(20, 4), state[80:].reshape(2, 20)
        c = P * np.exp(Z[last])
        c /= c.sum(axis=1, keepdims=True)
        logits = c / np.sqrt((c**2).sum(axis=1, keepdims=True)) @ Y
        return float((np.log(np.exp(logits).sum(axis=1)) - np.diagonal(logits)).mean())

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        steps = 1e-4 * np.eye(state.size)
        return np.array([(loss(state - step) - loss(state + step)) / 2e-4 for step in steps])

    by_hand = solve_ivp(slope, (0, 20), np.zeros(120), rtol=1e-5, atol=1e-7).y[:, -1]
    assert found.Y.values[-1].ravel() == pytest.approx(by_hand[:80], abs=1e-4)
    assert found.Z.values[-1].ravel() == pytest.approx(by_hand[80:], abs=1e-4)
    slower, faster = script.experiment(1.0), script.experiment(100.0)
    own = slice(0, script.DISTINCT)
    for one in (slower, faster):
        first, end = one.c.values[0, 0], one.c.values[-1, 0]
        assert (end[own] > first[own]).all()
        assert (np.diff(np.log(end[own] / first[own])) < 0).all()  # the most frequent gains most
        assert end[own].sum() > first[own].sum()
    assert faster.c.values[-1, 0, own].sum() < slower.c.values[-1, 0, own].sum()


@pytest.mark.slow
def test_the_block_has_the_slopes_of_jax() -> None:
    """Every slope of the block against automatic differentiation of the same block in JAX, to rounding."""
    jax = pytest.importorskip("jax")
    script = paper("block")
    problem = script.problem()
    start = script.start(problem)
    flow, _ = problem.bind(dict.fromkeys(problem.rates, 1.0))
    found = flow.evaluate(np.concatenate([start[name].ravel() for name in problem.program.state_names]))
    x, y = problem.data["x"], problem.data["y"]

    def normalised(s):
        return (s - s.mean(-1, keepdims=True)) / jax.numpy.sqrt(s.var(-1, keepdims=True) + 1e-5)

    def loss(S):
        stream = S["E"][x] + S["S"]
        q, k, v = (jax.numpy.einsum("hrd,nld->nhlr", S[w], normalised(stream)) for w in ("Wq", "Wk", "Wv"))
        score = jax.numpy.einsum("nhlr,nhpr->nhlp", q, k) / script.SIZES["R"] ** 0.5
        share = jax.nn.softmax(jax.numpy.where(np.tri(script.LENGTH, dtype=bool), score, -np.inf), -1)
        stream = stream + jax.numpy.einsum("nhlp,nhpr,hrd->nld", share, v, S["Wo"])
        stream = stream + jax.nn.gelu(normalised(stream) @ S["F"].T, approximate=False) @ S["G"]
        told = jax.nn.log_softmax(stream @ S["E"].T, -1)
        return -jax.numpy.take_along_axis(told, y[..., None], -1).mean()

    with jax.enable_x64():
        slopes = jax.grad(loss)({name: jax.numpy.asarray(value) for name, value in start.items()})
        for name, slope in slopes.items():
            wanted = np.asarray(slope)
            assert -found[f"{name}dot"] == pytest.approx(wanted, abs=1e-12 * np.abs(wanted).max()), name
