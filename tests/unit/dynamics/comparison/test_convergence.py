"""Slopes of exact power laws, and those of descent on a small problem."""

from __future__ import annotations

import numpy as np
import oracles.models as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics.comparison.convergence import batch_study, learning_rate_study, slope
from dynamics.problems.kinds.models import keyword, lexical
from dynamics.problems.solve import solve
from dynamics.support.errors import InputError
from dynamics.tasks import ToyLexicon
from dynamics.tasks.examples import Examples
from dynamics.train.simulate import simulate

SENTENCES = ToyLexicon(6, 3).examples(20)
START = {"W": 0.3, "A": 0.3}


# -- the fit -----------------------------------------------------------------------------------------------------------


@given(st.floats(-4, 4), st.floats(-9, 9), st.lists(st.floats(-6, 6), min_size=3, max_size=9, unique=True))
def test_slope_of_a_power_law_is_exact(exponent: float, level: float, logs: list[float]) -> None:
    if np.ptp(logs) < 1e-2:
        return
    x = np.exp(logs)
    found = slope(x, np.exp(level) * x**exponent)
    assert found.value == pytest.approx(exponent, abs=1e-9)
    assert found.error < 1e-6


def test_error_of_the_slope_is_that_of_least_squares() -> None:
    """By hand: residual variance over n - 2, divided by the spread of log x."""
    random = np.random.default_rng(0)
    log_x, noise = np.linspace(0, 3, 8), 0.2 * random.standard_normal(8)
    log_y = 1.5 * log_x + 1 + noise
    found = slope(np.exp(log_x), np.exp(log_y))
    X = np.stack([log_x, np.ones(8)], axis=1)
    coefficients = np.linalg.solve(X.T @ X, X.T @ log_y)
    variance = ((log_y - X @ coefficients) ** 2).sum() / 6
    assert found.value == pytest.approx(coefficients[0], rel=1e-10)
    assert found.error == pytest.approx(np.sqrt(variance * np.linalg.inv(X.T @ X)[0, 0]), rel=1e-10)


def test_the_stated_error_is_that_of_repeated_fits() -> None:
    """Of a thousand fits to noise of known size, the scatter is the stated error."""
    random = np.random.default_rng(1)
    x = np.geomspace(1, 50, 6)
    fits = [slope(x, x**0.5 * np.exp(0.1 * random.standard_normal(6))) for _ in range(1000)]
    known = 0.1 / np.sqrt(((np.log(x) - np.log(x).mean()) ** 2).sum())
    assert np.std([fit.value for fit in fits]) == pytest.approx(known, rel=0.1)
    assert np.sqrt(np.mean([fit.error**2 for fit in fits])) == pytest.approx(known, rel=0.1)
    assert np.mean([fit.value for fit in fits]) == pytest.approx(0.5, abs=4 * known / np.sqrt(1000))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2], [1, 2]),
        ([1, 2, 3], [1, 2]),
        ([1, 2, 0], [1, 2, 3]),
        ([1, 2, 3], [1, -2, 3]),
        ([1, 2, 3], [1, np.nan, 3]),
        ([1, 2, np.inf], [1, 2, 3]),
        ([2, 2, 2], [1, 2, 3]),
    ],
)
def test_points_without_a_slope(x, y) -> None:
    with pytest.raises(InputError, match="slope"):
        slope(x, y)


# -- the learning rate -------------------------------------------------------------------------------------------------


def test_descent_nears_the_flow_with_order_one_and_the_modified_flow_with_order_two() -> None:
    seen: list[float] = []
    found = learning_rate_study(SENTENCES, lexical(), 40.0, (40, 80, 160, 320), initial=START, progress=seen.append)
    assert found.flow.values.tolist() == ["gradient flow", "modified flow"]
    np.testing.assert_allclose(found.lr, [0.125, 0.25, 0.5, 1.0])
    for value, error, theory in zip(found.slope.values, found.slope_error.values, (1, 2), strict=True):
        assert abs(value - theory) < 0.05 * theory
        assert error < 0.05
    assert (found.error[1] < found.error[0]).all()
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_errors_are_distances_from_descent_by_hand() -> None:
    """Plain NumPy descent, and the flow by itself, with rates, from the same state."""
    rates = {"W": 1.0, "A": 3.0}
    found = learning_rate_study(SENTENCES, lexical(), 8.0, (4, 8, 16), initial=START, rates=rates, seed=5)
    start = lexical().initial(SENTENCES, START, 5)
    flow = solve(lexical(), SENTENCES, [0, 8.0], initial=start, rates=rates, rtol=1e-11, atol=1e-13)
    end = np.concatenate([flow[name].values[-1].ravel() for name in "WA"])
    for lr, error in zip(found.lr.values, found.error.values[0], strict=True):
        run = oracle.descend(oracle.lexical, start, oracle.rows_of(SENTENCES), lr, round(8 / lr), **rates)[-1]
        distance = np.linalg.norm(np.concatenate([run[name].ravel() for name in "WA"]) - end)
        assert error == pytest.approx(distance / np.linalg.norm(end), rel=1e-6)


# -- the batch ---------------------------------------------------------------------------------------------------------


def test_seeds_scatter_by_the_root_of_rate_over_batch() -> None:
    """Seven kinds of runs of 24 seeds: the slope is that of theory within three of its errors, and 0.1."""
    found = batch_study(ToyLexicon(6, 3), lexical(), 10.0, 0.5, (4, 8, 16, 32, 64), 24, initial=START)
    assert abs(found.slope - 0.5) < min(0.1, 3 * found.slope_error + 0.02)
    np.testing.assert_allclose(found.lr, [0.5] * 5 + [0.25, 0.125])
    np.testing.assert_array_equal(found.batch, [4, 8, 16, 32, 64, 4, 4])
    np.testing.assert_allclose(found.ratio, found.lr / found.batch)
    assert found.attrs["seeds"] == 24


def test_fluctuation_by_hand() -> None:
    """Root mean square distance from the mean over seeds (n - 1 of them are free), of runs from one start."""
    found = batch_study(SENTENCES, lexical(), 4.0, 0.5, (2, 4, 8), 5, initial=START, seed=3)
    start = lexical().initial(SENTENCES, START, 3)
    run = simulate(
        lexical(), SENTENCES, 0.5, 4, 8, range(3, 8), records=[0, 8], initial=start, replacement=True, threads=1
    )
    ends = np.concatenate([run[name].values[:, -1].reshape(5, -1) for name in "WA"], axis=1)
    by_hand = np.sqrt(ends.var(axis=0, ddof=1).sum()) / np.linalg.norm(ends.mean(axis=0))
    assert found.fluctuation.values[1] == pytest.approx(by_hand, rel=1e-12)
    assert (run.W.isel(time=0) == run.W.isel(time=0, seed=0)).all()


def test_a_rate_that_does_not_divide_the_time_is_rounded_to_whole_steps() -> None:
    """0.3 does not go into 2: seven steps of 2/7, and the runs end at the same time."""
    found = batch_study(SENTENCES, lexical(), 2.0, 0.3, (2, 4, 8), 2, initial=START)
    np.testing.assert_allclose(found.lr, [2 / 7] * 3 + [2 / 13, 2 / 27])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tau": 0.0}, "tau"),
        ({"tau": np.nan}, "tau"),
        ({"tau": np.inf}, "tau"),
        ({"steps": (10, 20)}, "three"),
        ({"steps": (10, 20, 20)}, "three"),
        ({"steps": (10, 20, 0)}, "steps"),
        ({"steps": (10, 20, 30.5)}, "steps"),
        ({"initial": {"s": 1.0}}, "states of lexical"),
    ],
)
def test_wrong_studies_of_the_rate(change, expected) -> None:
    with pytest.raises(InputError, match=expected):
        learning_rate_study(**{"data": SENTENCES, "model": lexical(), "tau": 1.0, "initial": START, **change})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tau": -1.0}, "tau"),
        ({"lr": 0.0}, "lr"),
        ({"lr": np.nan}, "lr"),
        ({"seeds": 1}, "seeds"),
        ({"batches": (2, 4)}, "three"),
        ({"batches": (2, 4, 4)}, "three"),
        ({"batches": (2, 4, 0)}, "batch"),
        ({"batches": (2, 4, 5.5)}, "batch"),
        ({"batches": (2, 4, 21)}, "batch"),
    ],
)
def test_wrong_studies_of_the_batch(change, expected) -> None:
    with pytest.raises(InputError, match=expected):
        batch_study(
            **{"data": SENTENCES, "model": lexical(), "tau": 1.0, "lr": 0.5, "batches": (2, 4, 8), "seeds": 2, **change}
        )


def test_a_start_where_nothing_moves_has_no_slope() -> None:
    """From zero a uniform problem of one word stays where it is: no distance, no power law."""
    still = Examples.from_rows([[0], [0]], [0, 1], inputs=1, outputs=2)
    with pytest.raises(InputError, match="nothing is learnt"):
        learning_rate_study(still, keyword(), 1.0, (2, 4, 8))
