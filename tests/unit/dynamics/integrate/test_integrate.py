"""Initial-value problems: closed forms, exact times, statistics, and failures that say where and what to try."""

from __future__ import annotations

import gc
import re
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import RK45, solve_ivp

from dynamics.integrate.initial_value import LARGE, METHODS, Integration, Statistics, integrate, step_from_rest, times
from dynamics.integrate.runge_kutta import CompiledRK45
from dynamics.support.errors import InputError, IntegrationError

ALL = [*METHODS, "RKC", "ROCK4"]
EXPLICIT = ["RK45", "RK23", "DOP853", "RKC", "ROCK4"]
SIZED = [*((method, 2) for method in ALL), *((method, LARGE + 2) for method in EXPLICIT)]
"""Methods with sizes of states; implicit methods are not for large ones."""


def rotation(y: np.ndarray, out: np.ndarray) -> None:
    out[0], out[1] = -y[1], y[0]


def gompertz(y: np.ndarray, out: np.ndarray) -> None:
    """y' = -y log y: y = y0^exp(-t)."""
    out[:] = -y * np.log(y)


class Watch:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.t: list[float] = []
        self.y: list[np.ndarray] = []

    def __call__(self, t: float, y: np.ndarray) -> None:
        self.t.append(t)
        self.y.append(y.copy())


class Decay:
    """A right-hand side that can be watched for when it goes."""

    def __call__(self, y: np.ndarray, out: np.ndarray) -> None:
        out[:] = -y


@pytest.mark.parametrize(("method", "size"), SIZED)
@pytest.mark.parametrize("with_event", [False, True])
def test_nothing_is_kept_once_it_is_done(method: str, size: int, with_event: bool) -> None:
    """Without the garbage collector, which would come late for a few large arrays."""

    class Half:
        def __call__(self, t: float, y: np.ndarray) -> float:
            return float(y[0]) - 0.5

    gc.collect()
    gc.disable()
    try:
        slope, seen, half = Decay(), Watch(), Half()
        left = weakref.ref(slope), weakref.ref(seen), weakref.ref(half)
        events = half if with_event else None
        end = integrate(slope, np.ones(size), (0, 1), at=[0.3, 1], save=seen, method=method, events=events)
        del slope, seen, half, events
        assert [ref() for ref in left] == [None, None, None]
        assert end.t == 1
    finally:
        gc.enable()


# -- the first step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["RK45", "RK23", "DOP853"])
@pytest.mark.parametrize("size", [3, LARGE + 3])
def test_the_unit_of_time_does_not_matter_from_rest(method: str, size: int) -> None:
    """y' = (1 - y)/unit: the same steps, whatever the unit."""
    taken = []
    for unit in (1e-6, 1.0, 1e6):

        def towards(y: np.ndarray, out: np.ndarray, unit: float = unit) -> None:
            out[:] = (1 - y) / unit

        end = integrate(towards, np.zeros(size), (0, 5 * unit), method=method)
        np.testing.assert_allclose(end.y, 1 - np.exp(-5), rtol=1e-4 if method == "RK23" else 1e-5)
        taken.append((end.statistics.evaluations, end.statistics.steps))
    assert len(set(taken)) == 1


@pytest.mark.parametrize("order", [2, 4, 7])
@pytest.mark.parametrize("atol", [1e-6, 1e-9])
def test_first_step_from_rest_has_the_order_of_the_method(order: int, atol: float) -> None:
    """y' = 2 (1 - 3 y): the slope 2 lasts for a time of 1/3."""
    first, evaluations = step_from_rest(lambda t, y: 2 * (1 - 3 * y / 2), np.zeros(4), atol, order)
    assert evaluations == 2
    assert first == pytest.approx((0.01 * atol * 3 / 2) ** (1 / (order + 1)) / 3, rel=1e-4)
    assert step_from_rest(lambda t, y: np.full_like(y, 2.0), np.zeros(4), atol, order) == (np.inf, 2)


@pytest.mark.parametrize("slope", [0.0, 1e-20, np.nan])
def test_first_step_from_rest_is_left_to_scipy_where_nothing_moves(slope: float) -> None:
    assert step_from_rest(lambda t, y: np.full_like(y, slope), np.zeros(2), 1e-9, 4) == (None, 1)


# -- accuracy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL)
def test_errors_go_to_zero_with_the_tolerance(method: str) -> None:
    errors = []
    tolerances = (1e-3, 1e-5, 1e-7)
    for rtol in tolerances:
        seen = Watch()
        at = np.linspace(0, 3, 7)
        integrate(rotation, np.array([1.0, 0.0]), (0, 3), at=at, save=seen, method=method, rtol=rtol, atol=rtol / 100)
        np.testing.assert_array_equal(seen.t, at)
        errors.append(np.abs(np.array(seen.y) - np.stack([np.cos(at), np.sin(at)], axis=1)).max())
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert slope > 0.6
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("method", ALL)
def test_a_nonlinear_closed_form(method: str) -> None:
    y0 = np.array([0.1, 0.5, 3.0])
    end = integrate(gompertz, y0, (0, 2), method=method, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(end.y, y0 ** np.exp(-2), rtol=1e-4 if method in ("BDF", "RKC") else 1e-6)
    assert end.t == 2.0
    np.testing.assert_array_equal(y0, [0.1, 0.5, 3.0])


def rational(y: np.ndarray, out: np.ndarray) -> None:
    """Solved by (t/(t + 10), 10 t/(t + 10)^2), with time as a third state; it has poles at 0 and -10."""
    u, v, t = y
    out[0], out[1], out[2] = v / t, v * (u + 2 * v - 1) / (t * (u - 1)), 1.0


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("span", [(5.0, 9.0), (5.0, 1.0)])
def test_a_rational_system_forwards_and_back(method: str, span: tuple[float, float]) -> None:
    at, seen = np.linspace(*span, 9), Watch()
    exact = np.stack([at / (at + 10), 10 * at / (at + 10) ** 2, at], axis=1)
    end = integrate(rational, exact[0], span, at=at, save=seen, method=method, rtol=1e-3, atol=1e-6, dense_output=True)
    np.testing.assert_array_equal(seen.t, at)
    off = np.abs(np.array(seen.y) - exact) / (1e-6 + 1e-3 * np.abs(exact))
    assert off.max() < 8
    assert end.sol is not None
    np.testing.assert_allclose(end.sol(at).T[1:-1], np.array(seen.y)[1:-1], rtol=1e-12)
    assert end.statistics.evaluations < (160 if method == "ROCK4" else 80)  # of which 5 a step, and the radius


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA", "RKC", "ROCK4"])
def test_stiff_kinetics(method: str) -> None:
    """Robertson's reaction: the sum of what reacts is kept, and work does not follow the fastest rate of 3e7."""

    def reaction(y: np.ndarray, out: np.ndarray) -> None:
        out[0] = -0.04 * y[0] + 1e4 * y[1] * y[2]
        out[2] = 3e7 * y[1] ** 2
        out[1] = -out[0] - out[2]

    end = integrate(reaction, np.array([1.0, 0.0, 0.0]), (0, 40), method=method, rtol=1e-6, atol=1e-11)
    np.testing.assert_allclose(end.y, [0.7158270687, 9.185534765e-6, 0.2841637457], rtol=2e-4)
    assert end.y.sum() == pytest.approx(1, abs=1e-9)
    assert end.statistics.evaluations < {"RKC": 20_000, "ROCK4": 100_000}.get(method, 1500)  # it turns stiff and back


@pytest.mark.parametrize("method", ["RK45", "RK23", "RKC", "ROCK4"])
def test_large_states_are_integrated_as_small_ones(method: str) -> None:
    """Copies of a small system in a large state take the same steps and come to the same numbers."""
    small, large = (integrate(gompertz, np.full(n, 0.1), (0, 2), method=method, rtol=1e-6) for n in (1, LARGE + 1))
    np.testing.assert_allclose(large.y, small.y[0], rtol=1e-10)
    assert large.statistics.evaluations == small.statistics.evaluations
    assert large.statistics.steps == small.statistics.steps


@pytest.mark.parametrize(("method", "n"), SIZED)
def test_times_are_met_exactly_and_only_those_of_the_span(method: str, n: int) -> None:
    def pairs(y: np.ndarray, out: np.ndarray) -> None:
        out[::2], out[1::2] = -y[1::2], y[::2]

    seen = Watch()
    at = [0.0, 1e-9, 0.1, 1 / 3, 2.0, 2.0 + 1e-9, 5.0]
    y0 = np.tile([1.0, 0.0], n // 2)
    end = integrate(pairs, y0, (0, 2), at=at, save=seen, method=method, rtol=1e-6, atol=1e-9)
    assert seen.t == at[:5]
    np.testing.assert_array_equal(seen.y[0], y0)
    np.testing.assert_array_equal(seen.y[-1], end.y)
    exact = np.stack([np.cos(seen.t), np.sin(seen.t)], axis=1)
    np.testing.assert_allclose(np.array(seen.y)[:, :2], exact, atol=3e-3 if method in ("RK23", "RKC") else 1e-4)


def test_a_span_that_begins_later() -> None:
    seen = Watch()
    end = integrate(gompertz, np.array([0.5]), (1, 3), at=[0.0, 0.5, 1.0, 2.0, 3.0], save=seen, rtol=1e-9, atol=1e-12)
    assert seen.t == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(np.ravel(seen.y), 0.5 ** np.exp([0.0, -1.0, -2.0]), rtol=1e-6)
    assert end.t == 3.0


def test_a_span_of_no_length_shows_the_initial_state() -> None:
    seen = Watch()

    def never(y: np.ndarray, out: np.ndarray) -> None:
        raise AssertionError("evaluated")

    end = integrate(never, np.array([1.0, 2.0]), (2, 2), at=[0, 2, 3], save=seen)
    assert seen.t == [2.0]
    np.testing.assert_array_equal(seen.y, [[1.0, 2.0]])
    assert end == Integration(2.0, end.y, Statistics())


def test_what_is_shown_is_the_interpolant_of_scipy() -> None:
    at = np.linspace(0, 4, 33)
    seen = Watch()
    y0 = np.array([1.0, 0.0])
    integrate(rotation, y0, (0, 4), at=at, save=seen, rtol=1e-4, atol=1e-7)
    expected = solve_ivp(lambda t, y: [-y[1], y[0]], (0, 4), y0, t_eval=at, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(np.array(seen.y).T, expected.y, rtol=0, atol=1e-14)


# -- what solve_ivp offers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, LARGE + 1])
def test_dense_output_is_passed_through(n: int) -> None:
    end = integrate(gompertz, np.full(n, 0.3), (0, 2), dense_output=True, rtol=1e-8, atol=1e-10)
    assert end.sol is not None
    t = np.linspace(0, 2, 5)
    np.testing.assert_allclose(end.sol(t)[0], 0.3 ** np.exp(-t), rtol=1e-6)
    assert integrate(gompertz, np.full(n, 0.3), (0, 2)).sol is None


@pytest.mark.parametrize("method", ALL)
def test_terminal_events_end_the_integration_where_they_are(method: str) -> None:
    def up(t: float, y: np.ndarray) -> float:
        return y[1] - 0.5

    def right(t: float, y: np.ndarray) -> float:
        return y[0]

    right.terminal = True  # type: ignore[attr-defined]
    end = integrate(rotation, np.array([1.0, 0.0]), (0, 9), method=method, events=[up, right], rtol=1e-7, atol=1e-9)
    assert end.t_events is not None
    assert end.y_events is not None
    np.testing.assert_allclose(end.t_events[0], [np.pi / 6], atol=1e-4)
    np.testing.assert_allclose(end.t_events[1], [np.pi / 2], atol=1e-4)
    assert end.t == end.t_events[1][-1]
    np.testing.assert_array_equal(end.y, end.y_events[1][-1])
    np.testing.assert_allclose(end.y, [0, 1], atol=1e-4)


def test_events_that_do_not_end_it() -> None:
    end = integrate(rotation, np.array([1.0, 0.0]), (0, 9), events=lambda t, y: y[0], rtol=1e-8, atol=1e-10)
    assert end.t == 9.0
    np.testing.assert_allclose(end.t_events[0], np.pi * np.array([0.5, 1.5, 2.5]), atol=1e-6)
    np.testing.assert_allclose(end.y, [np.cos(9), np.sin(9)], atol=1e-6)


def test_options_are_passed_through() -> None:
    steps = integrate(gompertz, np.array([0.5]), (0, 1), max_step=0.01).statistics.steps
    assert steps >= 100


def test_a_solver_class_may_be_given() -> None:
    end = integrate(gompertz, np.array([0.5]), (0, 1), method=RK45)
    assert end.y == integrate(gompertz, np.array([0.5]), (0, 1), method="RK45").y
    compiled = integrate(gompertz, np.array([0.5]), (0, 1), method=CompiledRK45)
    np.testing.assert_allclose(compiled.y, end.y, rtol=1e-14)


@pytest.mark.parametrize(("method", "n"), SIZED)
def test_statistics_count_evaluations_and_steps(method: str, n: int) -> None:
    calls = 0

    def counted(y: np.ndarray, out: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        out[:] = -y

    end = integrate(counted, np.linspace(1, 2, n), (0, 1), method=method)
    # Differences for a Jacobian are evaluations that SciPy counts apart.
    assert end.statistics.evaluations <= calls
    if method not in ("Radau", "BDF", "LSODA"):
        assert end.statistics.evaluations == calls
    assert 0 < end.statistics.steps < calls
    assert end.statistics.seconds > 0


def test_statistics_add_up() -> None:
    assert Statistics(1, 2, 0.5) + Statistics(10, 20, 1.0) == Statistics(11, 22, 1.5)


def test_large_explicit_states_take_compiled_steps() -> None:
    with pytest.raises(IntegrationError, match=r"\(CompiledRK45, rtol"):
        integrate(lambda y, out: np.copyto(out, np.nan), np.zeros(LARGE + 1), (0, 1))
    with pytest.raises(IntegrationError, match=r"\(RK45, rtol"):
        integrate(lambda y, out: np.copyto(out, np.nan), np.zeros(LARGE), (0, 1))


# -- failures ---------------------------------------------------------------------------------------------------------


class Guarded:
    """A right-hand side that counts, so that an endless loop is a failure."""

    def __init__(self, f: Callable[[np.ndarray], np.ndarray], limit: int = 60_000) -> None:
        self.f, self.left = f, limit

    def __call__(self, y: np.ndarray, out: np.ndarray) -> None:
        self.left -= 1
        assert self.left > 0, "never ends"
        with np.errstate(all="ignore"):
            out[:] = self.f(y)


def failure(f: Callable[[np.ndarray], np.ndarray], y0: np.ndarray, end: float, **options: object) -> tuple[float, str]:
    """The time in the message, and the message: one line, with a time and with advice."""
    with pytest.raises(IntegrationError) as caught:
        integrate(Guarded(f), y0, (0, end), **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    found = re.search(rf"at tau = (\S+) of {re.escape(f'{end:g}')} ", message)
    assert found, message
    at_start = float(found[1]) == 0 and "slope" in message
    assert ("start from another one" if at_start else "try a smaller rtol") in message
    return float(found[1]), message


@pytest.mark.parametrize(("method", "n"), SIZED)
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_slopes_that_are_not_numbers_are_errors(method: str, n: int, at: float) -> None:
    def one_bad(y: np.ndarray) -> np.ndarray:
        out = 2 - y
        if y[0] >= at:
            out[1] = np.nan
        return out

    reached, message = failure(one_bad, np.zeros(n), 10, method=method, locate=lambda y: "second")
    assert reached <= (np.log(2) + 1e-3) * (at > 0)
    if at == 0:
        assert "not finite in second" in message


@pytest.mark.parametrize(("method", "n"), SIZED)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("backwards", [False, True])
def test_no_slope_at_a_start_that_is_not_zero(method: str, n: int, bad: float, backwards: bool) -> None:
    """SciPy chooses a first step that is not a number there, which is never too small."""
    evaluations = 0

    def none(y: np.ndarray, out: np.ndarray) -> None:
        nonlocal evaluations
        evaluations += 1
        out[:], out[1] = y, bad

    span = (3, 1) if backwards else (1, 3)
    with pytest.raises(IntegrationError) as caught:
        integrate(none, np.full(n, 0.5), span, method=method, locate=lambda y: f"W[{np.isfinite(y).argmin()}]")
    name = f"Compiled{method}" if n > LARGE and method in ("RK45", "RK23") else method
    assert str(caught.value) == (
        f"the integration met a slope that is not finite in W[1] at tau = {span[0]} of {span[1]} ({name}, rtol 1e-06);"
        " there is no way on from the state it starts from: start from another one"
    )
    assert evaluations <= 60


@pytest.mark.parametrize(("method", "n"), SIZED)
def test_a_slope_that_is_lost_on_the_way(method: str, n: int) -> None:
    """x' = -sqrt(x - 2) - 1 comes to 2 and has no slope beyond."""
    reached, message = failure(lambda y: -np.sqrt(y - 2) - 1, np.full(n, 3.0), 9, method=method, locate=lambda y: "x")
    assert reached == pytest.approx(2 - 2 * np.log(2), abs=0.02)  # LSODA notices a step later
    assert "that is not finite in x at tau" in message


@pytest.mark.parametrize("y0", [[1.0], [0.0, 1.0]])
@pytest.mark.parametrize("beyond", [False, True])
def test_stabilised_steps_do_not_creep_where_roots_end(y0: list[float], beyond: bool) -> None:
    """x' = -sqrt(x) comes to 0 at 2 sqrt(x0), where its slope turns at any rate, and has none beyond."""

    def root(y: np.ndarray) -> np.ndarray:
        return -np.sign(y) * np.sqrt(np.abs(y)) if beyond else -np.sqrt(y)

    reached, message = failure(root, np.array(y0), 100, method="RKC")
    assert reached == pytest.approx(2, abs=0.02)
    assert ("stays where slopes turn faster" if beyond else "slope that is not finite") in message


def test_steps_of_many_stages_count_by_their_evaluations() -> None:
    """A step of RKC may take a thousand evaluations: max_steps bounds the work, and not their number alone."""

    def followed(y: np.ndarray) -> np.ndarray:
        """A rotation, and a number that follows it a million times faster."""
        return np.array([-y[1], y[0], 1e6 * (y[0] - y[2])])

    _, message = failure(followed, np.array([1.0, 0.0, 1.0]), 1e3, method="RKC", max_steps=100, rtol=1e-3, atol=1e-3)
    found = re.search(r"stalled after (\d+) evaluations in (\d+) steps", message)
    assert found, message
    assert 1200 < int(found[1]) < 1200 + 2000
    assert int(found[2]) < 100


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(("f", "pole"), [(lambda y: y * y, 1.0), (lambda y: np.exp(y), np.exp(-1.0))])
def test_blow_up_is_an_error_that_names_the_time(method: str, f: Callable, pole: float) -> None:
    reached, _ = failure(f, np.ones(2), 10, method=method, max_steps=5000)
    assert reached == pytest.approx(pole, rel=1e-3)


@pytest.mark.parametrize(("method", "n"), [pair for pair in SIZED if pair[0] in ("RK45", "DOP853", "LSODA")])
def test_growth_beyond_the_largest_number_is_an_error(method: str, n: int) -> None:
    reached, _ = failure(lambda y: 100 * y, np.ones(n), 10, method=method, max_steps=5000)
    assert 6.9 < reached < 7.1  # log(1.8e308) / 100


@pytest.mark.parametrize("method", ALL)
def test_stalling_is_an_error(method: str) -> None:
    _, message = failure(lambda y: np.array([-y[1], y[0]]), np.array([1.0, 0.0]), 1e6, method=method, max_steps=20)
    assert "stalled after 20 steps" in message


def test_the_last_step_does_not_count_as_stalling() -> None:
    steps = integrate(rotation, np.array([1.0, 0.0]), (0, 3)).statistics.steps
    assert integrate(rotation, np.array([1.0, 0.0]), (0, 3), max_steps=steps).statistics.steps == steps
    with pytest.raises(IntegrationError, match="stalled"):
        integrate(rotation, np.array([1.0, 0.0]), (0, 3), max_steps=steps - 1)


def test_an_infinite_slope_is_an_error_that_names_the_tensor() -> None:
    with pytest.raises(IntegrationError, match="met a slope that is not finite in W at tau = 0 of 1 "):
        integrate(lambda y, out: np.copyto(out, np.inf), np.zeros(2), (0, 1), locate=lambda y: "W")


def test_errors_of_the_right_hand_side_are_its_own() -> None:
    def broken(y: np.ndarray, out: np.ndarray) -> None:
        raise ValueError("mine")

    for method in ALL:
        with pytest.raises(ValueError, match="mine"):
            integrate(broken, np.zeros(2), (0, 1), method=method)


# -- input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rtol": 0.0}, "rtol = 0.0 is not a positive number; 1e-6 is usual"),
        ({"rtol": -1e-6}, "rtol = -1e-06 is not"),
        ({"rtol": np.nan}, "rtol = nan is not"),
        ({"atol": 0}, "atol = 0 is not"),
        ({"atol": np.inf}, "atol = inf is not"),
        ({"method": "Euler"}, "unknown method 'Euler'; use one of RK45, RK23, DOP853, Radau, BDF, LSODA, RKC, ROCK4"),
    ],
)
def test_options_that_cannot_be_used(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        integrate(gompertz, np.ones(1), (0, 1), **options)


@pytest.mark.parametrize(
    ("t", "message"),
    [
        ([], "t must be a list of times, not of shape (0,)"),
        ([[1.0, 2.0]], "t must be a list of times, not of shape (1, 2)"),
        ([0.0, np.nan, np.inf], "t[1] = nan is not finite"),
        ([np.inf], "t[0] = inf is not finite"),
        ([-1.0, 1.0], "t[0] = -1 is before the start at 0"),
        ([0.0, 2.0, 1.0], "t is not increasing: t[1] = 2, t[2] = 1; sort it, each once"),
        ([1.0, 1.0], "t is not increasing: t[0] = 1, t[1] = 1"),
        ("now", "t must be a list of times, not 'now'"),
        ([[1.0], [1.0, 2.0]], "t must be a list of times, not"),
        ([1.0, None, "x"], "t must be a list of times, not"),
    ],
)
def test_times_that_cannot_be_used(t: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        times(t)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=20, unique=True))
@settings(deadline=None)
def test_increasing_times_are_kept_as_they_are(values: list[float]) -> None:
    values = sorted(values)
    found = times(values)
    assert found.dtype == np.float64
    assert found.tolist() == values
    assert times(values[-1]).tolist() == values[-1:]
