"""Runge-Kutta-Chebyshev steps: order, stability far beyond explicit pairs, the spectral radius, failures."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from threadpoolctl import threadpool_limits

from dynamics.integrate.chebyshev import CHUNKS, MAX_STAGES, RKC, coefficients, error_norm, euclidean, recurrence
from dynamics.support.threads import limited


def heat(cells: int) -> np.ndarray:
    """The heat equation on the unit interval: eigenvalues down to -4 (cells + 1)^2."""
    return (cells + 1) ** 2 * (np.eye(cells, k=1) - 2 * np.eye(cells) + np.eye(cells, k=-1))


def linear(matrix: np.ndarray) -> Callable[[float, np.ndarray], np.ndarray]:
    return lambda t, y: matrix @ y


def one_step(f: Callable[[float, np.ndarray], np.ndarray], y0: np.ndarray, t: float, h: float, stages: int):
    """A step of exactly this size with exactly so many stages."""
    solver = RKC(f, t, np.asarray(y0, dtype=float), t + 10 * h)
    new = np.empty_like(solver.y)
    solver.stages(solver.y, h, stages, new)
    return new


# -- one step ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [2, 3, 4, 5, 10, 50, 200])
def test_the_stability_polynomial_is_damped_chebyshev(stages: int) -> None:
    """R(z) = 1 + z + z^2/2 + ..., bounded by 1 - damping/3 or so on nearly 0.65 stages^2."""
    z = np.concatenate([-np.linspace(0, 0.653 * (stages**2 - 1), 2001), [-1e-3]])
    R = np.array([one_step(lambda t, y, x=x: x * y, np.ones(1), 0.0, 1.0, stages)[0] for x in z[::50]])
    assert (np.abs(R) <= 1 + 1e-9).all()
    assert (np.abs(R[z[::50] < -4]) < 0.96).all()
    # Order 2, and not a Taylor polynomial of order 3.
    h = np.array([-0.02, -0.01])
    third = [one_step(lambda t, y, x=x: x * y, np.ones(1), 0.0, 1.0, stages)[0] - (1 + x + x * x / 2) for x in h]
    if stages == 2:
        assert np.abs(third).max() < 1e-15
    else:
        assert third[0] / third[1] == pytest.approx(8, rel=0.02)


def nonlinear(t: float, y: np.ndarray) -> np.ndarray:
    """A circle with a time of its own: solved by cos and sin of t + t^2/2, and by exp of minus their first integral."""
    return np.array(
        [-(1 + t) * y[1] * np.hypot(y[0], y[1]) ** 2, (1 + t) * y[0] * np.hypot(y[0], y[1]) ** 2, y[0] * y[2]]
    )


@pytest.mark.parametrize("stages", [2, 3, 6, 15])
def test_order_two_on_a_nonlinear_problem_that_depends_on_time(stages: int) -> None:
    errors = []
    steps = (20, 40, 80, 160)
    y0 = np.array([1.0, 0.0, 0.5])
    exact = solve_ivp(nonlinear, (0, 1), y0, rtol=1e-12, atol=1e-13).y[:, -1]
    for number in steps:
        y, h = y0, 1 / number
        for k in range(number):
            y = one_step(nonlinear, y, k * h, h, stages)
        errors.append(np.abs(y - exact).max())
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(-2, abs=0.15)


def test_stage_times_are_consistent() -> None:
    """y' = 1, y' = t: stages stand at t + c h, so that a step is exact for both."""
    for stages in (2, 3, 7, 40):
        assert one_step(lambda t, y: np.ones(1), np.zeros(1), 3.0, 0.5, stages)[0] == pytest.approx(0.5, rel=1e-12)
        found = one_step(lambda t, y: np.array([t]), np.zeros(1), 3.0, 0.5, stages)[0]
        assert found == pytest.approx((3.5**2 - 9) / 2, rel=1e-11)


def test_coefficients_reproduce_constants() -> None:
    for stages in (2, 5, 100, MAX_STAGES):
        first, rows = coefficients(stages)
        assert rows.shape == (stages - 1, 5)
        np.testing.assert_allclose(rows[:, :3].sum(axis=1), 1, atol=1e-12)
        assert first > 0


# -- whole integrations -----------------------------------------------------------------------------------------------


def test_errors_follow_the_tolerance() -> None:
    """Local errors of order 3 at the tolerance make a global one of order tolerance^(2/3)."""
    y0 = np.array([1.0, 0.0, 0.5])
    exact = solve_ivp(nonlinear, (0, 2), y0, rtol=1e-12, atol=1e-13).y[:, -1]
    tolerances, errors = (1e-4, 1e-5, 1e-6, 1e-7), []
    for rtol in tolerances:
        found = solve_ivp(nonlinear, (0, 2), y0, method=RKC, rtol=rtol, atol=rtol)
        assert found.success
        errors.append(np.abs(found.y[:, -1] - exact).max())
    assert np.polyfit(np.log(tolerances), np.log(errors), 1)[0] == pytest.approx(2 / 3, abs=0.1)
    assert errors[-1] < 1e-3


def test_work_grows_like_the_root_of_the_stiffness() -> None:
    evaluations, stiffness = [], []
    for cells in (15, 31, 63, 127):
        matrix = heat(cells)
        x = np.arange(1, cells + 1) / (cells + 1)
        # Two smooth modes and a rough one.
        y0 = np.sin(np.pi * x) + 0.5 * np.sin(2 * np.pi * x) + 0.1 * np.sin(cells * np.pi * x)
        values, vectors = np.linalg.eigh(matrix)
        exact = vectors @ (np.exp(0.1 * values) * (vectors.T @ y0))
        found = solve_ivp(linear(matrix), (0, 0.1), y0, method=RKC, rtol=1e-4, atol=1e-6)
        assert np.abs(found.y[:, -1] - exact).max() < 1e-4
        evaluations.append(found.nfev)
        stiffness.append(-values[0])
    slope = np.polyfit(np.log(stiffness), np.log(evaluations), 1)[0]
    assert 0.3 < slope < 0.6  # an explicit pair has 1
    explicit = solve_ivp(linear(matrix), (0, 0.1), y0, rtol=1e-4, atol=1e-6)
    assert evaluations[-1] < explicit.nfev / 8


def test_gradient_flow_on_an_ill_conditioned_quadratic() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    values = np.geomspace(1e-3, 1e3, 40)
    y0 = rng.normal(size=40)
    hessian = (basis * values) @ basis.T
    found = solve_ivp(linear(-hessian), (0, 100), y0, method=RKC, rtol=1e-4, atol=1e-7)
    exact = basis @ (np.exp(-100 * values) * (basis.T @ y0))
    np.testing.assert_allclose(found.y[:, -1], exact, atol=1e-3)
    energy = 0.5 * np.einsum("it,ij,jt->t", found.y, hessian, found.y)
    assert (np.diff(energy) <= 1e-9).all()
    # Stability alone asks RK45 for 1e5 / 3.3 steps of 6 evaluations.
    assert found.nfev < 1e5 / 3.3 * 6 / 20


def test_dense_output_has_order_three() -> None:
    """The interpolant's own error, away from that of the steps: a step that is exact at its ends is a cubic's."""
    errors, steps = [], (0.4, 0.2, 0.1, 0.05)
    for h in steps:
        solver = RKC(
            lambda t, y: np.array([-y[1], y[0]]), 0.0, np.array([1.0, 0.0]), h, rtol=1.0, atol=1.0, first_step=h
        )
        solver.step()
        assert solver.t == h
        # The exact end in place of the computed one leaves the interpolant.
        solver.y = np.array([np.cos(h), np.sin(h)])
        solver.f = np.array([-np.sin(h), np.cos(h)])
        t = np.linspace(0, h, 40)
        errors.append(np.abs(solver.dense_output()(t) - [np.cos(t), np.sin(t)]).max())
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(4, abs=0.2)


def test_dense_output_meets_the_steps_and_outlives_them() -> None:
    matrix = heat(9)
    y0 = np.sin(np.pi * np.arange(1, 10) / 10)
    found = solve_ivp(linear(matrix), (0, 0.2), y0, method=RKC, rtol=1e-4, atol=1e-6, dense_output=True)
    np.testing.assert_allclose(found.sol(found.t), found.y, rtol=0, atol=1e-13)
    t = np.linspace(0, 0.2, 77)
    rate = np.linalg.eigvalsh(matrix)[-1]
    np.testing.assert_allclose(found.sol(t), y0[:, None] * np.exp(rate * t), atol=1e-3)
    solver = RKC(linear(matrix), 0.0, y0, 0.2)
    solver.step()
    dense, middle = solver.dense_output(), solver.t / 2
    before, buffer = dense(middle), np.empty(9)
    np.testing.assert_array_equal(solver.at(middle, buffer), before)
    solver.step()
    np.testing.assert_array_equal(dense(middle), before)
    assert dense([middle, middle]).shape == (9, 2)


def test_events_are_found() -> None:
    def half(t: float, y: np.ndarray) -> float:
        return y[0] - 0.5

    half.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(lambda t, y: -y, (0, 5), [1.0], method=RKC, rtol=1e-6, atol=1e-9, events=half)
    assert found.status == 1
    assert found.t[-1] == pytest.approx(np.log(2), abs=1e-4)


@pytest.mark.parametrize(
    "matrix", [heat(20), -np.diag([1.0, 5.0, 300.0]), 7 * np.array([[0.0, 1], [-1, 0]]), [[-1e-6]]]
)
def test_the_spectral_radius_is_estimated_from_above_and_closely(matrix: np.ndarray) -> None:
    matrix = np.asarray(matrix)
    exact = np.abs(np.linalg.eigvals(matrix)).max()
    y0 = np.random.default_rng(0).normal(size=len(matrix))
    solver = RKC(linear(matrix), 0.0, y0, 1.0)
    solver.estimate_radius()
    assert exact <= solver.radius <= 1.3 * exact


def test_the_spectral_radius_at_a_state_of_zeros_and_at_rest() -> None:
    """From W = A = 0 the state has no length, and at a stationary point the slope has no direction."""
    matrix = heat(20)
    push = np.random.default_rng(0).normal(size=20)
    solver = RKC(lambda t, y: matrix @ y + push, 0.0, np.zeros(20), 1.0)
    solver.estimate_radius()
    assert 0.95 <= solver.radius / np.abs(np.linalg.eigvalsh(matrix)).max() <= 1.3
    rest = RKC(linear(matrix), 0.0, np.zeros(20), 1.0)
    rest.estimate_radius()
    assert rest.radius > 0
    found = solve_ivp(linear(matrix), (0, 1), np.zeros(20), method=RKC)
    np.testing.assert_allclose(found.y[:, -1], 0, atol=1e-12)


def test_the_radius_is_estimated_again_as_it_grows() -> None:
    """Stiffness that sets in later is seen before it does harm."""

    def f(t: float, y: np.ndarray) -> np.ndarray:
        return -(1 + 1000 * t) * (y - np.cos(t))

    found = solve_ivp(f, (0, 3), [1.0], method=RKC, rtol=1e-5, atol=1e-7)
    assert found.success
    assert abs(found.y[0, -1] - np.cos(3.0)) < 1e-3
    assert found.nfev < 5000


def test_the_radius_is_estimated_again_as_it_falls() -> None:
    """Stages that were needed once are not paid for to the end."""

    def f(t: float, y: np.ndarray) -> np.ndarray:
        return -(1 + 1e5 * (t < 1)) * (y - np.cos(t)) - np.sin(t)

    found = solve_ivp(f, (0, 40), [1.0], method=RKC, rtol=1e-4, atol=1e-6, max_step=0.2)
    assert abs(found.y[0, -1] - np.cos(40)) < 1e-3
    assert found.nfev < 5000  # 7,400 with the first estimate only


def test_the_right_hand_side_may_write_in_place_and_evaluations_are_counted() -> None:
    calls = 0
    matrix = heat(30)
    y0 = np.random.default_rng(0).normal(size=30)

    def into(y: np.ndarray, out: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        np.dot(matrix, y, out)

    plain = solve_ivp(linear(matrix), (0, 0.1), y0, method=RKC)
    found = solve_ivp(linear(matrix), (0, 0.1), y0, method=RKC, into=into)
    assert found.nfev == calls == plain.nfev
    np.testing.assert_array_equal(found.y, plain.y)


def test_step_options_and_the_end() -> None:
    found = solve_ivp(lambda t, y: -y, (0, 1), [1.0], method=RKC, max_step=0.02, rtol=1e-2)
    assert np.diff(found.t).max() <= 0.02 + 1e-12
    assert found.t[-1] == 1.0
    first = solve_ivp(lambda t, y: -y, (0, 1), [1.0], method=RKC, first_step=1e-3)
    assert first.t[1] == pytest.approx(1e-3)
    back = solve_ivp(lambda t, y: -y, (1, 0), [1.0], method=RKC, rtol=1e-6, atol=1e-8)
    assert back.t[-1] == 0.0
    assert back.y[0, -1] == pytest.approx(np.e, rel=1e-4)


@pytest.mark.parametrize("when", [0.0, 0.5])
def test_a_slope_that_is_not_finite_ends_with_a_message(when: float) -> None:
    evaluations = 0

    def f(t: float, y: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        assert evaluations < 10_000, "never ends"
        return np.where(y >= when, np.nan, 1.0)

    found = solve_ivp(f, (0, 5), np.zeros(3), method=RKC)
    assert found.status == -1
    assert found.message
    assert found.t[-1] <= when


@pytest.mark.parametrize("size", [1, CHUNKS - 1, 5003])
def test_passes_over_the_state_are_numpys(size: int) -> None:
    rng = np.random.default_rng(size)
    a, b, c, d, e = weights = rng.normal(size=5)
    vectors = rng.normal(size=(5, size))
    out = np.empty(size)
    recurrence(out, a, vectors[0], b, vectors[1], c, vectors[2], d, vectors[3], e, vectors[4])
    np.testing.assert_allclose(out, weights @ vectors, atol=1e-13)
    y, new, first, last = vectors[:4]
    error = 0.8 * (y - new) + 0.4 * 0.3 * (first + last)
    wanted = np.sqrt(np.mean((error / (1e-2 + 1e-3 * np.maximum(np.abs(y), np.abs(new)))) ** 2))
    assert error_norm(y, new, first, last, 0.3, 1e-3, 1e-2) == pytest.approx(wanted, rel=1e-12)
    expected = weights @ vectors
    recurrence(vectors[2], a, vectors[0], b, vectors[1], c, vectors[2], d, vectors[3], e, vectors[4])
    np.testing.assert_allclose(vectors[2], expected, atol=1e-13)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
def test_norms_do_not_depend_on_the_number_of_threads() -> None:
    """To the last bit, which a sum that is cut elsewhere often keeps: many arrays are tried."""
    for seed in range(60):
        y, new, first, last = np.random.default_rng(seed).normal(size=(4, 1500 + seed))
        long = np.random.default_rng(seed).normal(size=30_011)
        errors, lengths = set(), set()
        for threads in (1, 2):
            with limited(threads, y.size), threadpool_limits(threads, user_api="blas"):
                errors.add(error_norm(y, new, first, last, 0.3, 1e-3, 1e-2))
                lengths.add(euclidean(long))
        assert len(errors) == len(lengths) == 1
        assert lengths.pop() == pytest.approx(np.linalg.norm(long), rel=1e-13)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
def test_results_do_not_depend_on_the_number_of_threads() -> None:
    rates = np.linspace(0.1, 300, 20_011)
    y0 = np.random.default_rng(0).random(rates.size)
    found = []
    for threads in (1, 2):
        with limited(threads, y0.size):
            found.append(solve_ivp(lambda t, y: -rates * y * y, (0, 1), y0, method=RKC))
    np.testing.assert_array_equal(found[0].t, found[1].t)
    np.testing.assert_array_equal(found[0].y, found[1].y)
