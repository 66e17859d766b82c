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
