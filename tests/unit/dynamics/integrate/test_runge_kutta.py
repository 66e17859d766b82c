"""The compiled Runge-Kutta steps are SciPy's: same step times, same evaluations, same states to round-off."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest
from scipy.integrate import RK23, RK45, solve_ivp
from threadpoolctl import threadpool_limits

from dynamics.integrate.initial_value import integrate
from dynamics.integrate.runge_kutta import CHUNKS, CompiledRK23, CompiledRK45, Interpolant, combine, error_norm
from dynamics.support.threads import limited

METHODS = {"RK45": (CompiledRK45, RK45), "RK23": (CompiledRK23, RK23)}


def rotation(y: np.ndarray) -> np.ndarray:
    """A system of which every number matters: a wrong sign or a swapped slope shows at once."""
    out = np.empty_like(y)
    half = y.size // 2
    out[:half], out[half:] = y[y.size - half :][:half], -y[: y.size - half]
    return out


def lotka_volterra(y: np.ndarray) -> np.ndarray:
    return np.array([1.5 * y[0] - y[0] * y[1], y[0] * y[1] - 3 * y[1]])


def van_der_pol(y: np.ndarray) -> np.ndarray:
    return np.array([y[1], 20 * (1 - y[0] ** 2) * y[1] - y[0]])


def logistic(y: np.ndarray) -> np.ndarray:
    return np.linspace(-1, 3, y.size) * y * (1 - y)


PROBLEMS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, float]] = {
    "rotation": (rotation, np.linspace(1, 2, 100), 10.0),
    "Lotka-Volterra": (lotka_volterra, np.array([10.0, 5.0]), 8.0),
    "van der Pol, with rejected steps": (van_der_pol, np.array([2.0, 0.0]), 30.0),
    "logistic, 5,000 numbers": (logistic, np.full(5000, 0.1), 6.0),
}


def into(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray, np.ndarray], None]:
    def write(y: np.ndarray, out: np.ndarray) -> None:
        out[:] = f(y)

    return write


def solved(method: type, f: Callable, y0: np.ndarray, end: float, **options: object):
    extra = {"into": into(f)} if method in (CompiledRK45, CompiledRK23) else {}
    return solve_ivp(lambda t, y: f(y), (0, end), y0, method=method, **extra, **options)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_steps_are_those_of_scipy(name: str, problem: str) -> None:
    f, y0, end = PROBLEMS[problem]
    own, theirs = (solved(m, f, y0, end, rtol=1e-5, atol=1e-8, dense_output=True) for m in METHODS[name])
    assert own.nfev == theirs.nfev
    assert own.t.size == theirs.t.size
    # Steps follow from error norms near 1e-16 / 1e-5, so round-off is magnified in the times of steps: as it is in
    # SciPy's own, from a start that is off by a rounding or two.
    shaken = [solved(METHODS[name][1], f, y0 * (1 + k * 2.0**-52), end, rtol=1e-5, atol=1e-8).t for k in (-2, -1, 1, 2)]
    moved = max(np.abs(t[1:] / theirs.t[1:] - 1).max() for t in shaken)
    np.testing.assert_allclose(own.t, theirs.t, rtol=max(1e-8, 4 * moved))
    np.testing.assert_allclose(own.y, theirs.y, rtol=1e-6, atol=1e-8 * np.abs(theirs.y).max())
    middle = (own.t[1:] + own.t[:-1]) / 2
    scale = np.abs(theirs.y).max()
    np.testing.assert_allclose(own.sol(middle), theirs.sol(middle), rtol=1e-6, atol=1e-8 * scale)
    np.testing.assert_allclose(own.sol(own.t), own.y, rtol=0, atol=1e-14 * scale)


def test_the_first_step_is_that_of_scipy_to_round_off() -> None:
    f, y0, end = PROBLEMS["rotation"]
    for own, theirs in METHODS.values():
        found = own(lambda t, y: f(y), 0.0, y0, end, into=into(f), rtol=1e-6)
        wanted = theirs(lambda t, y: f(y), 0.0, y0, end, rtol=1e-6)
        for solver in (found, wanted):
            solver.step()
        assert found.t == pytest.approx(wanted.t, rel=1e-13)
        np.testing.assert_allclose(found.y, wanted.y, rtol=1e-15)
        assert found.h_abs == pytest.approx(wanted.h_abs, rel=1e-6)
        for x in (0.0, 0.3, 1.0):
            t = found.t_old + x * (found.t - found.t_old)
            np.testing.assert_allclose(found.dense_output()(t), wanted.dense_output()(t), rtol=1e-14)


@pytest.mark.parametrize("name", METHODS)
def test_options_of_scipy_hold(name: str) -> None:
    f, y0, end = PROBLEMS["Lotka-Volterra"]
    for options in ({"max_step": 0.01}, {"first_step": 1e-3}, {"rtol": 1e-3}, {"atol": 1e-2}):
        own, theirs = (solved(m, f, y0, end, **options) for m in METHODS[name])
        assert own.nfev == theirs.nfev
        np.testing.assert_allclose(own.t, theirs.t, rtol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_backwards_in_time(name: str) -> None:
    method = METHODS[name][0]
    f = PROBLEMS["rotation"][0]
    y0 = np.array([1.0, 0.0])
    found = solve_ivp(lambda t, y: f(y), (1.0, -1.0), y0, method=method, into=into(f), rtol=1e-9, atol=1e-12)
    assert found.t[-1] == -1.0
    np.testing.assert_allclose(found.y[:, -1], [np.cos(2), np.sin(2)], atol=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_the_interpolant_has_the_order_of_scipys(name: str) -> None:
    """Halving a step divides the interpolant's error by 2^(order + 1)."""
    method = METHODS[name][0]
    order = {"RK45": 4, "RK23": 3}[name]
    f = PROBLEMS["rotation"][0]
    errors = []
    steps = (0.4, 0.2, 0.1)
    for h in steps:
        solver = method(lambda t, y: f(y), 0.0, [1.0, 0.0], h, into=into(f), first_step=h, rtol=1.0, atol=1.0)
        solver.step()
        assert solver.t == h
        t = np.linspace(0, h, 50)
        errors.append(np.abs(solver.dense_output()(t) - [np.cos(t), -np.sin(t)]).max())
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(order + 1, abs=0.3)


def test_dense_output_takes_one_time_or_many() -> None:
    f, y0, _ = PROBLEMS["rotation"]
    solver = CompiledRK45(lambda t, y: f(y), 0.0, y0, 1.0, into=into(f))
    solver.step()
    dense = solver.dense_output()
    assert isinstance(dense, Interpolant)
    middle = solver.t / 2
    assert dense(middle).shape == y0.shape
    assert dense([middle, solver.t]).shape == (y0.size, 2)
    np.testing.assert_array_equal(dense([middle])[:, 0], dense(middle))
    # Later steps overwrite the slopes; what was handed out stays.
    before = dense(middle)
    buffer = np.empty_like(y0)
    solver.at(middle, buffer)
    np.testing.assert_array_equal(buffer, before)
    solver.step()
    np.testing.assert_array_equal(dense(middle), before)


def test_the_state_of_a_step_is_not_overwritten_by_the_next() -> None:
    f, y0, _ = PROBLEMS["rotation"]
    solver = CompiledRK23(lambda t, y: f(y), 0.0, y0, 5.0, into=into(f))
    kept = y0.copy()
    solver.step()
    first = solver.y
    copy = first.copy()
    solver.step()
    np.testing.assert_array_equal(first, copy)
    np.testing.assert_array_equal(y0, kept)


@pytest.mark.parametrize("size", [1, CHUNKS - 1, CHUNKS, 1025 * CHUNKS, 70_003])
def test_passes_over_the_state_are_numpys(size: int) -> None:
    rng = np.random.default_rng(size)
    y, new, slopes = rng.normal(size=size), rng.normal(size=size), rng.normal(size=(7, size))
    weights = rng.normal(size=7)
    weights[2] = 0.0
    out = np.full(size, np.nan)
    for used in range(8):
        combine(y, slopes, weights, used, out)
        np.testing.assert_allclose(out, y + weights[:used] @ slopes[:used], rtol=0, atol=1e-13)
    found = error_norm(y, new, slopes, weights, 1e-3, 1e-2)
    scale = 1e-2 + 1e-3 * np.maximum(np.abs(y), np.abs(new))
    assert found == pytest.approx(np.sqrt(np.mean((weights @ slopes / scale) ** 2)), rel=1e-12)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
def test_the_error_norm_does_not_depend_on_the_number_of_threads() -> None:
    """To the last bit, which a sum that is cut elsewhere often keeps: many arrays are tried."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        y, new, *slopes = rng.normal(size=(9, 1500 + seed))
        found = set()
        for threads in (1, 2):
            with limited(threads, y.size):
                found.add(error_norm(y, new, np.array(slopes), np.arange(7.0), 1e-3, 1e-2))
        assert len(found) == 1


@pytest.mark.parametrize("name", METHODS)
def test_the_first_step_does_not_depend_on_the_threads_of_blas(name: str) -> None:
    for seed in range(10):
        y0 = np.random.default_rng(seed).normal(size=30_011 + seed)
        found = set()
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                found.add(METHODS[name][0](lambda t, y: np.sin(y), 0.0, y0, 10.0, into=into(np.sin)).h_abs)
        assert len(found) == 1


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
@pytest.mark.parametrize("name", METHODS)
def test_results_do_not_depend_on_the_number_of_threads(name: str) -> None:
    f, _, end = PROBLEMS["logistic, 5,000 numbers"]
    y0 = np.random.default_rng(0).random(20_011)
    found = []
    for threads in (1, 2):
        with limited(threads, y0.size):
            found.append(solved(METHODS[name][0], f, y0, end, dense_output=True))
    np.testing.assert_array_equal(found[0].t, found[1].t)
    np.testing.assert_array_equal(found[0].y, found[1].y)
    np.testing.assert_array_equal(found[0].sol(1.234), found[1].sol(1.234))
    assert found[0].nfev == found[1].nfev


@pytest.mark.parametrize("name", METHODS)
def test_a_slope_that_is_not_finite_ends_with_a_message(name: str) -> None:
    evaluations = 0

    def f(y: np.ndarray) -> np.ndarray:
        nonlocal evaluations
        evaluations += 1
        assert evaluations < 10_000, "never ends"
        return np.where(y > 1, np.nan, 1.0)

    found = solved(METHODS[name][0], f, np.zeros(3), 5.0)
    assert found.status == -1
    assert "step size" in found.message
    assert found.t[-1] == pytest.approx(1.0, abs=1e-6)


# -- DOP853 within its steps ------------------------------------------------------------------------------------------

BASIS = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
START = np.random.default_rng(1).normal(size=20)


def decays(t: np.ndarray, fastest: float) -> np.ndarray:
    """Twenty decays, mixed, at rates from 1 to the fastest."""
    rates = np.geomspace(1, fastest, 20)
    return BASIS @ (np.exp(-rates[:, None] * t) * (BASIS.T @ START)[:, None])


def decaying(fastest: float) -> Callable[[np.ndarray, np.ndarray], None]:
    matrix = -(BASIS * np.geomspace(1, fastest, 20)) @ BASIS.T
    return lambda y, out: np.dot(matrix, y, out)


@pytest.mark.parametrize("fastest", [30.0, 100.0, 1000.0])
@pytest.mark.parametrize("rtol", [1e-10, 1e-12])
def test_states_within_steps_of_dop853_are_as_good_as_the_steps(fastest: float, rtol: float) -> None:
    slope, at = decaying(fastest), np.linspace(0, 3, 301)
    seen: list[np.ndarray] = []
    options = {"method": "DOP853", "rtol": rtol, "atol": rtol}
    shown = integrate(slope, START, (0, 3), at=at, save=lambda t, y: seen.append(y.copy()), **options)
    matrix = -(BASIS * np.geomspace(1, fastest, 20)) @ BASIS.T
    theirs = solve_ivp(lambda t, y: np.dot(matrix, y), (0, 3), START, dense_output=True, **options)
    ends = np.abs(theirs.y - decays(theirs.t, fastest)).max()
    assert np.abs(np.transpose(seen) - decays(at, fastest)).max() < 4 * ends
    assert np.abs(theirs.sol(at) - decays(at, fastest)).max() > 8 * ends
    # The steps are SciPy's, and so is the end, to the bit.
    np.testing.assert_array_equal(shown.y, theirs.y[:, -1])
    assert shown.statistics.steps == theirs.t.size - 1
    # What is not shown within a step costs nothing.
    alone = integrate(slope, START, (0, 3), **options)
    assert shown.statistics.evaluations == alone.statistics.evaluations + 11 * (at.size - 2)


def test_dense_output_and_events_of_dop853_are_too() -> None:
    slope, at = decaying(100.0), np.linspace(0, 3, 97)
    level = decays(np.array([0.7]), 100.0)[0, 0]
    end = integrate(
        slope, START, (0, 3), method="DOP853", rtol=1e-12, atol=1e-12, dense_output=True,
        events=lambda t, y: y[0] - level,
    )  # fmt: skip
    assert end.sol is not None
    assert end.t_events is not None
    assert np.abs(end.sol(at) - decays(at, 100.0)).max() < 1e-9
    np.testing.assert_array_equal(end.sol(at)[:, 3], end.sol(at[3]))
    assert min(abs(end.t_events[0] - 0.7)) < 1e-9


def test_dop853_interpolates_as_scipy_does_at_other_tolerances() -> None:
    at, seen = np.linspace(0, 3, 31), []
    matrix = -(BASIS * np.geomspace(1, 100.0, 20)) @ BASIS.T
    for rtol in (1e-8, 1e-9):
        seen.clear()
        options = {"method": "DOP853", "rtol": rtol, "atol": 1e-9}
        integrate(decaying(100.0), START, (0, 3), at=at, save=lambda t, y: seen.append(y.copy()), **options)
        theirs = solve_ivp(lambda t, y: np.dot(matrix, y), (0, 3), START, t_eval=at, **options)
        np.testing.assert_array_equal(np.transpose(seen), theirs.y)


def test_steps_to_times_within_go_backwards_too() -> None:
    seen: dict[float, float] = {}
    integrate(
        lambda y, out: np.copyto(out, -y), np.ones(1), (1, 0), at=[0.9, 0.5, 0.1], method="DOP853", rtol=1e-12,
        atol=1e-14, save=lambda t, y: seen.update({t: y[0]}),
    )  # fmt: skip
    np.testing.assert_allclose(list(seen.values()), np.exp(1 - np.array(list(seen))), rtol=1e-12)
