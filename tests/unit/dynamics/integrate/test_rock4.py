"""Stabilised steps of fourth order: conditions of order, interval of stability, order on whole problems, work."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import polynomial
from scipy.integrate import solve_ivp
from sympy import Expr

from derivations.program.language import indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.integrate.initial_value import integrate
from dynamics.integrate.stabilised.finish import ESTIMATE, finish, recurred
from dynamics.integrate.stabilised.polynomials import FEWEST, LADDER, factors, interval
from dynamics.integrate.stabilised.rock4 import ROCK4, plan
from dynamics.integrate.stabilised.trees import BRANCHES, ORDERS, SOLUTION, SYMMETRIES, slope
from dynamics.lowering import lower
from dynamics.support.errors import InputError

TRIED = [stages for stages in LADDER if stages < 20] + [52, 207]


def decays(rates: np.ndarray):
    return lambda t, y: -rates * y


def nonlinear(t: float, y: np.ndarray) -> np.ndarray:
    """A circle with a time of its own, and what grows and falls along it."""
    size = np.hypot(y[0], y[1]) ** 2
    return np.array([-(1 + t) * y[1] * size, (1 + t) * y[0] * size, y[0] * y[2]])


START = np.array([1.0, 0.0, 0.5])


def one_step(f, y0: np.ndarray, t: float, h: float, stages: int) -> np.ndarray:
    solver = ROCK4(f, t, np.asarray(y0, dtype=float), t + 10 * h)
    new = np.empty_like(solver.y)
    solver.attempt(h, stages, new)
    return new


# -- coefficients -----------------------------------------------------------------------------------------------------


def test_trees_are_those_of_the_solution() -> None:
    """Symmetries and densities by hand (Hairer, Norsett, Wanner I, table II.2.1), and by what the solution does."""
    assert ORDERS.tolist() == [1 + sum(int(ORDERS[k]) for k in branches) for branches in BRANCHES]
    assert SOLUTION.tolist() == [1, 1 / 2, 1 / 3, 1 / 6, 1 / 4, 1 / 8, 1 / 12, 1 / 24]
    assert SYMMETRIES.tolist() == [1, 1, 2, 1, 6, 1, 2, 1]
    np.testing.assert_allclose(slope(SOLUTION), SOLUTION * ORDERS)


@pytest.mark.parametrize("stages", TRIED)
def test_all_eight_conditions_of_order_four_hold(stages: int) -> None:
    """Of the step as a whole, from its stages; and those of order three of the estimate of its error."""
    found, begun = finish(stages), recurred(factors(stages)[1])
    places: list[np.ndarray] = []
    for row in found.A:
        places.append(begun + sum(a * slope(g) for a, g in zip(row, places, strict=False)))
    end = begun + sum(b * slope(g) for b, g in zip(found.b, places, strict=True))
    np.testing.assert_allclose(end, SOLUTION, rtol=0, atol=1e-13)
    estimate = sum(d * slope(g) for d, g in zip(found.d, (*places, end), strict=True))
    np.testing.assert_allclose(estimate[ORDERS < 4], 0, atol=1e-13)
    assert np.linalg.norm((estimate / SYMMETRIES)[ORDERS == 4]) == pytest.approx(ESTIMATE)


@pytest.mark.parametrize("stages", TRIED)
def test_the_interval_of_stability_grows_like_the_square(stages: int) -> None:
    """|R| < 0.95 but near 0 up to 0.35 s^2, by the stages themselves; half as far again it is not."""
    end = interval(stages)
    assert end == pytest.approx(0.35 * stages**2, abs=3.001)
    z = -np.concatenate([np.geomspace(0.3, 60, 2000), np.linspace(0.3, end, 20_000)])
    z = z[z >= -end]
    w, rows = factors(stages)
    before, last = np.zeros_like(z), np.ones_like(z)
    for mu, nu, kappa in rows:
        before, last = last, (mu * z + nu) * last + kappa * before
    R = polynomial.polyval(z, w) * last
    assert np.abs(R).max() < 0.95
    by_stages = one_step(decays(-z[::997]), np.ones(z[::997].size), 0.0, 1.0, stages)
    np.testing.assert_allclose(by_stages, R[::997], atol=1e-10)
    assert np.abs(one_step(decays(np.array([1.5 * end])), np.ones(1), 0.0, 1.0, stages)) > 1


@pytest.mark.parametrize("stages", [FEWEST, 12, 52])
def test_order_four_on_a_nonlinear_problem_that_depends_on_time(stages: int) -> None:
    exact = solve_ivp(nonlinear, (0, 1), START, "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    steps, errors = (10, 20, 40), []
    for number in steps:
        y = START
        for k in range(number):
            y = one_step(nonlinear, y, k / number, 1 / number, stages)
        errors.append(np.abs(y - exact).max())
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(-4, abs=0.15)


def test_a_step_evaluates_as_often_as_it_has_stages() -> None:
    for stages in (FEWEST, 20, 207):
        assert len(plan(stages).times) == stages
        assert plan(stages).times[-1] == 1


# -- whole integrations -----------------------------------------------------------------------------------------------


def test_errors_follow_the_tolerance() -> None:
    exact = solve_ivp(nonlinear, (0, 2), START, "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    tolerances, errors = 10.0 ** -np.arange(4, 10), []
    for rtol in tolerances:
        found = solve_ivp(nonlinear, (0, 2), START, method=ROCK4, rtol=rtol, atol=rtol)
        errors.append(np.abs(found.y[:, -1] - exact).max())
    assert np.polyfit(np.log(tolerances), np.log(errors), 1)[0] == pytest.approx(1, abs=0.1)
    assert errors[-1] < 1e-7


i, N = indices("i")[0], scalars("N", integer=True, positive=True)[0]
x, a, rate = tensors("x a rate")


def flow_of(change: Expr) -> Program:
    return Program(
        name="one", title="", source="", extents={i: N}, data=(a[i],), states=(x[i],), parameters=(),
        definitions=(Definition(rate[i], change),), flow={"x": "rate"},
    )  # fmt: skip


def test_work_grows_like_the_root_of_the_horizon() -> None:
    """A flow with rates from 1e-5 to 100, to the end of the slowest: RK45 takes 2e7 evaluations to the last horizon."""
    rates = np.geomspace(1e-5, 100, 8)
    flow = lower(flow_of(-a[i] * x[i])).bind({"a": rates}, {"N": 8})
    evaluations, horizons = [], 10.0 ** np.arange(1, 6)
    for end in horizons:
        found = integrate(flow, np.ones(8), (0, end), method="ROCK4", rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(found.y, np.exp(-rates * end), rtol=0, atol=1e-6)
        evaluations.append(found.statistics.evaluations)
    assert np.polyfit(np.log(horizons), np.log(evaluations), 1)[0] < 0.5
    assert evaluations[-1] < 60_000


def test_compiled_steps_are_those_of_python() -> None:
    """To the last bit, and the same evaluations, which are counted."""
    flow = lower(flow_of(a[i] * x[i] * (1 - x[i]))).bind({"a": np.geomspace(0.1, 300, 7)}, {"N": 7})
    calls = 0

    def counted(y: np.ndarray, out: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        flow(y, out)

    seen: list[list[np.ndarray]] = [[], []]
    found = [
        integrate(into, np.full(7, 0.05), (0, 30), at=[1, 10, 30], save=lambda t, y, k=k: seen[k].append(y.copy()),
                  method="ROCK4", rtol=1e-6, atol=1e-9)
        for k, into in enumerate((flow, counted))
    ]  # fmt: skip
    np.testing.assert_array_equal(seen[0], seen[1])
    assert found[0].statistics.evaluations == found[1].statistics.evaluations == calls
    exact = 1 / (1 + 19 * np.exp(-np.outer([1, 10, 30], np.geomspace(0.1, 300, 7))))
    np.testing.assert_allclose(seen[0], exact, atol=2e-5)


def test_a_corner_is_crossed() -> None:
    """A rectifier: slopes jump in direction where one sign turns, beside a rate that is stiff."""

    def bent(y: np.ndarray, out: np.ndarray) -> None:
        out[0] = -1.0 - 3.0 * max(y[0] - 0.5, 0.0)
        out[1] = -1e3 * (y[1] - max(y[0], 0.0))

    end = integrate(bent, np.array([1.0, 1.0]), (0, 2), method="ROCK4", rtol=1e-6, atol=1e-9)
    # Above the corner y = 0.5 - 1/3 + (5/6) exp(-3 t), below it falls at 1.
    corner = np.log(5 / 2) / 3
    assert end.y[0] == pytest.approx(0.5 - (2 - corner), abs=1e-5)
    assert end.statistics.steps < 300


def test_what_it_refuses() -> None:
    with pytest.raises(InputError):
        ROCK4(lambda t, y: -y, 0.0, np.ones(1), np.nan)
