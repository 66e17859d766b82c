"""The reduction of copying, solved: against the full flow of the model, and what it refuses."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from dynamics import solve
from dynamics.problems.kinds.models import positional
from dynamics.problems.kinds.reduction import copying, excess
from dynamics.support.errors import InputError
from dynamics.tasks.examples import Examples

TIMES = [0.0, 1.0, 10.0, 40.0, 150.0]


def symmetric(u: float, a: float, vocab: int, length: int) -> dict[str, np.ndarray]:
    """Another constant is in the off-diagonal: no softmax sees it."""
    return {"W": u * np.eye(vocab) - 0.2, "P": a * np.eye(length) + 0.4}


def every(vocab: int, length: int, repeats: bool) -> Examples:
    rows = list(product(range(vocab), repeat=length) if repeats else permutations(range(vocab), length))
    return Examples.from_rows(rows, rows, vocab, vocab)


@pytest.mark.parametrize(
    ("vocab", "length", "repeats", "u", "a"),
    [(4, 3, False, 0.3, 0.2), (4, 4, False, -0.2, -0.1), (3, 3, True, 0.1, 0.3), (3, 4, True, 0.5, -0.4)],
)
def test_the_reduction_is_the_full_flow_of_a_symmetric_start(vocab, length, repeats, u, a) -> None:
    rates = {"W": 3.0, "P": 7.0}
    exact = solve(
        positional(), every(vocab, length, repeats), TIMES, initial=symmetric(u, a, vocab, length), rates=rates,
        rtol=1e-11, atol=1e-13, method="DOP853",
    )  # fmt: skip
    reduced = solve(
        copying(vocab, length, replacement=repeats), TIMES, initial={"u": u, "a": a}, rates=rates,
        rtol=1e-11, atol=1e-13,
    )  # fmt: skip
    np.testing.assert_allclose(reduced.u, excess(exact.W), atol=1e-8)
    np.testing.assert_allclose(reduced.a, excess(exact.P), atol=1e-8)
    np.testing.assert_allclose(reduced.loss, exact.loss, atol=1e-8)
    assert abs(reduced.u.values[-1] - u) > 0.5  # it went somewhere


def test_heads_are_the_full_flow_head_by_head() -> None:
    starts = [(0.3, 0.2), (-0.1, 0.4)]
    whole = [symmetric(u, a, 4, 3) for u, a in starts]
    exact = solve(
        positional(2), every(4, 3, False), TIMES, rates={"W": 2.0},
        initial={name: np.stack([one[name] for one in whole]) for name in "WP"}, rtol=1e-11, atol=1e-13,
        method="DOP853",
    )  # fmt: skip
    u, a = np.array(starts).T
    reduced = solve(copying(4, 3, heads=2), TIMES, initial={"u": u, "a": a}, rates={"W": 2.0}, rtol=1e-11, atol=1e-13)
    assert reduced.u.dims == ("time", "head")
    np.testing.assert_allclose(reduced.u, excess(exact.W), atol=1e-8)
    np.testing.assert_allclose(reduced.a, excess(exact.P), atol=1e-8)
    np.testing.assert_allclose(reduced.loss, exact.loss, atol=1e-8)


@pytest.mark.parametrize(("vocab", "length"), [(12, 8), (8, 8), (2, 2), (60, 40)])
def test_observables_are_those_of_the_algebra(vocab: int, length: int) -> None:
    """By hand from u and a: attention to the right position, probability of the target, loss."""
    found = solve(copying(vocab, length), TIMES, initial={"u": 0.7, "a": 0.3}, rates={"W": 30.0, "P": 30.0})
    u, a = found.u.values, found.a.values
    alpha = np.exp(a) / (np.exp(a) + length - 1)
    eps = (1 - alpha) / (length - 1)
    p = np.exp(alpha * u) / (np.exp(alpha * u) + (length - 1) * np.exp(eps * u) + vocab - length)
    np.testing.assert_allclose(found.attention, alpha, rtol=1e-12)
    np.testing.assert_allclose(found.p_t, p, rtol=1e-12)
    np.testing.assert_allclose(found.loss, -np.log(p), rtol=1e-10, atol=1e-14)
    assert (np.diff(found.loss) < 0).all()


def test_rest_is_a_saddle_of_permutations_and_of_nothing_else() -> None:
    still = solve(copying(6, 6), [0, 100])
    assert abs(still.u).max() < 1e-13  # rounding alone
    assert abs(still.a).max() < 1e-13
    assert still.loss.values == pytest.approx(math.log(6))
    assert solve(copying(7, 6), [0, 100]).u[-1] > 0.01


def test_rates_are_those_of_the_tensors_of_the_model() -> None:
    """Both twice as fast is twice the time; one alone is not."""
    start = {"u": 0.5, "a": 0.5}
    twice = solve(copying(6, 4), [0, 20], initial=start, rates={"W": 2.0, "P": 2.0})
    later = solve(copying(6, 4), [0, 40], initial=start)
    assert twice.u.values[-1] == pytest.approx(later.u.values[-1], rel=1e-8)
    frozen = solve(copying(6, 4), [0, 20], initial=start, rates={"P": 0.0})
    assert (frozen.a == 0.5).all()
    assert frozen.u.values[-1] > 0.5
    assert (frozen.rate_P, frozen.rate_W, frozen.V, frozen.L) == (0.0, 1.0, 6.0, 4.0)


def test_a_number_stands_for_every_head() -> None:
    system = copying(6, 4, heads=3)
    np.testing.assert_array_equal(system.initial({"u": 0.3, "a": [1, 2, 3]}), [0.3, 0.3, 0.3, 1, 2, 3])
    np.testing.assert_array_equal(system.initial(None), np.zeros(6))
    equal = solve(system, [0, 30], initial={"u": 0.3, "a": 0.2}, rates={"W": 3.0, "P": 3.0})
    one = solve(copying(6, 4), [0, 30], initial={"u": 0.3, "a": 0.2})
    np.testing.assert_allclose(equal.u, np.repeat(one.u.values[:, None], 3, axis=1), rtol=1e-6)
    assert "attention" not in equal


def test_projection_is_what_a_run_starts_from() -> None:
    """Means of the diagonals, head by head, with labelled arrays or plain ones."""
    random = np.random.default_rng(0)
    tensors = {"W": random.standard_normal((2, 5, 5)), "P": random.standard_normal((2, 3, 3))}
    found = copying(5, 3, heads=2).project(tensors)
    for name, key in (("W", "u"), ("P", "a")):
        for h in range(2):
            n = tensors[name].shape[1]
            on = np.mean([tensors[name][h, i, i] for i in range(n)])
            off = np.mean([tensors[name][h, i, j] for i in range(n) for j in range(n) if i != j])
            assert found[key][h] == pytest.approx(on - off)
    labelled = {name: xr.DataArray(value) for name, value in tensors.items()}
    np.testing.assert_array_equal(copying(5, 3, heads=2).project(labelled)["u"], found["u"])


@given(st.integers(2, 9), st.integers(0, 2**32), st.floats(-5, 5), st.floats(-5, 5))
def test_excess_sees_the_diagonal_alone(n: int, seed: int, u: float, shift: float) -> None:
    noise = np.random.default_rng(seed).standard_normal((3, n, n))
    before = excess(noise)
    np.testing.assert_allclose(excess(noise + u * np.eye(n) + shift), before + u, atol=1e-12)
    np.testing.assert_allclose(excess(noise.swapaxes(1, 2)), before, atol=1e-12)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"vocab": 5, "length": 6}, "length = 6 distinct words"),
        ({"vocab": 1, "length": 1}, "vocab = 1"),
        ({"vocab": 5, "length": 1}, "length = 1"),
        ({"vocab": 5.5, "length": 3}, "vocab = 5.5"),
        ({"vocab": math.nan, "length": 3}, "vocab = nan"),
        ({"vocab": math.inf, "length": 3}, "vocab = inf"),
        ({"vocab": "5", "length": 3}, "vocab = '5'"),
        ({"vocab": 5, "length": 3, "heads": 0}, "heads = 0"),
        ({"vocab": 5, "length": 3, "heads": 2, "replacement": True}, "several heads"),
    ],
)
def test_sizes_that_make_no_task(sizes, expected) -> None:
    with pytest.raises(InputError, match=expected):
        copying(**sizes)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"initial": {"v": 1.0}}, "order parameters of copying are u, a"),
        ({"initial": {"u": math.nan}}, "initial u"),
        ({"initial": {"u": [1.0, 2.0]}}, "initial u"),
        ({"initial": {"u": np.zeros((1, 1))}}, "initial u"),
        ({"rates": {"A": 1.0}}, "'A'"),
        ({"rates": {"W": -1.0}}, "rate of W"),
        ({"rates": {"W": math.inf}}, "rate of W"),
        ({"t": [0, 2, 1]}, "not increasing"),
        ({"t": [0, math.nan]}, "not finite"),
    ],
)
def test_what_cannot_be_solved(given_, expected) -> None:
    with pytest.raises(InputError, match=expected):
        solve(copying(5, 3), **{"t": [0, 1], **given_})


def test_copying_of_repeats_may_be_longer_than_its_vocabulary() -> None:
    found = solve(copying(3, 4, replacement=True), [0, 50, 400])
    assert set(found.data_vars) == {"u", "a", "loss"}
    assert (np.diff(found.loss) < 0).all()
