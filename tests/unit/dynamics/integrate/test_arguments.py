"""What an integration is given: what is no number, no time or no tolerance is said in one line, by every method."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import RK45, solve_ivp
from sympy import Rational

from dynamics.integrate.arguments import number, state, step_sizes, times, whole, why_not_real, within
from dynamics.integrate.chebyshev import RKC
from dynamics.integrate.initial_value import METHODS, integrate
from dynamics.support.errors import InputError

ALL = [*METHODS, "RKC", "ROCK4"]
HUGE = 2**64


def decay(y: np.ndarray, out: np.ndarray) -> None:
    out[:] = -y


def refused(message: str, *args: object, **options: object) -> None:
    """integrate() says exactly this, in one line, before it evaluates anything."""

    def never(y: np.ndarray, out: np.ndarray) -> None:
        raise AssertionError("evaluated")

    y0, span = args or (np.ones(2), (0, 1))
    with pytest.raises(InputError) as caught:
        integrate(never, y0, span, **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


# -- times and spans --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL)
def test_times_out_of_order_are_refused(method: str) -> None:
    told = "at is not increasing: at[0] = 4, at[1] = 3; sort it, each once"
    refused(told, np.ones(2), (0, 5), at=[4, 3, 1], method=method)
    told = "at is not decreasing, as the span is: at[0] = 1, at[1] = 3; sort it, each once"
    refused(told, np.ones(2), (5, 0), at=[1, 3], method=method)


@pytest.mark.parametrize("method", ALL)
def test_a_span_that_goes_backwards_is_saved_on_its_way(method: str) -> None:
    seen: dict[float, float] = {}
    at = [3.0, 2.0, 1.5, 0.25, 0.0, -1.0]
    end = integrate(
        decay, np.array([2.0]), (2, 0), at=at, save=lambda t, y: seen.update({t: y[0]}), method=method, rtol=1e-7
    )
    assert list(seen) == [2.0, 1.5, 0.25, 0.0]
    rtol = 1e-3 if method in ("RKC", "BDF") else 1e-5
    np.testing.assert_allclose(list(seen.values()), 2 * np.exp(2 - np.array(list(seen))), rtol=rtol)
    assert end.t == 0.0
    assert end.y[0] == seen[0.0]


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    ("span", "text"),
    [
        ((0, np.nan), "(0, nan)"),
        ((np.inf, 0), "(inf, 0)"),
        ((0, -np.inf), "(0, -inf)"),
        ((0, 1, 2), "(0, 1, 2)"),
        (3.0, "3.0"),
        ((0, "1"), "(0, '1')"),
        ((0, None), "(0, None)"),
        ((False, True), "(False, True)"),
        ((0, 1j), "(0, 1j)"),
    ],
)
def test_a_span_is_from_one_time_to_another(method: str, span: object, text: str) -> None:
    refused(f"the span must be from one finite time to another, not {text}", np.ones(1), span, method=method)


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (np.array([True, False]), "t must be a list of times, not [ True False], which holds truth values"),
        (np.array(["2024-01-01"], "M8[D]"), "which holds dates"),
        (np.array([1, 2], "m8[s]"), "which holds spans of dates"),
        ([1j, 2.0], "which holds complex numbers"),
        (["0", "1"], "which holds text"),
        ([None], "t must be a list of times, not [None], which holds None"),
        ([0, HUGE], "which holds an integer of more than 64 bits (write it as a float)"),
        (np.array([2**63], np.uint64), "which holds an integer of more than 64 bits (write it as a float)"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), "which has entries that are masked"),
        (np.zeros(2, [("a", float)]), "which holds [('a', '<f8')]"),
    ],
)
def test_what_is_no_time(t: object, message: str) -> None:
    for check in (times, lambda t: within(t, 0, 1)):
        with pytest.raises(InputError) as caught:
            check(t)
        assert message in str(caught.value).replace("at must", "t must")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 250


def test_numbers_of_other_kinds_are_times() -> None:
    for t in (np.arange(3, dtype=np.uint8), np.arange(3, dtype=np.float16), [Fraction(0), Rational(1), 2], range(3)):
        assert times(t).tolist() == [0.0, 1.0, 2.0]
    assert times(np.float64(3)).tolist() == [3.0]
    assert within([], 0, 1).size == 0
    assert why_not_real([1, 2.5]) is None


# -- the state --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(
    ("y0", "message"),
    [
        (np.array([1 + 1j]), "y0 holds complex numbers; give the state as a vector of real numbers"),
        (np.array([True]), "y0 holds truth values; give the state as a vector of real numbers"),
        ([1, HUGE], "y0 holds an integer of more than 64 bits (write it as a float); give the state as a vector"),
        (["1"], "y0 holds text; give the state as a vector"),
        ([[1.0], [1.0, 2.0]], "y0 is ragged; give the state as a vector"),
        (1.0, "y0 has shape (); give the state as a vector of one number or more"),
        (np.ones((2, 2)), "y0 has shape (2, 2); give the state as a vector"),
        ([], "y0 has shape (0,); give the state as a vector"),
        ([1.0, np.nan], "y0[1] = nan in A is not finite; give a state of numbers"),
    ],
)
def test_what_is_no_state(method: str, y0: object, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        integrate(decay, y0, (0, 1), method=method, locate=lambda y: "A")  # type: ignore[arg-type]


def test_whole_numbers_are_a_state() -> None:
    assert (
        integrate(decay, np.array([1, 2]), (0, 1)).y.tolist()
        == integrate(decay, np.array([1.0, 2.0]), (0, 1)).y.tolist()
    )
    assert state([1, 2]).dtype == np.float64


# -- tolerances, steps, methods ---------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, object], str]] = [
    ({"rtol": "1e-6"}, "rtol must be a number, not '1e-6'; 1e-6 is usual"),
    ({"rtol": None}, "rtol must be a number, not None; 1e-6 is usual"),
    ({"rtol": True}, "rtol must be a number, not True; 1e-6 is usual"),
    ({"rtol": 1e-6 + 0j}, "rtol must be a number, not (1e-06+0j); 1e-6 is usual"),
    ({"rtol": -1}, "rtol = -1 is not a positive number; 1e-6 is usual"),
    ({"rtol": 1e-16}, "rtol = 1e-16 is below what double precision allows (2.2e-14); 1e-6 is usual"),
    ({"rtol": HUGE}, f"rtol must be a float where 64 bits are too few, not {HUGE}; 1e-6 is usual"),
    ({"atol": [1e-6, 1e-9]}, "atol must be one number, not of shape (2,); 1e-9 is usual"),
    ({"atol": np.full(2, 1e-9)}, "atol must be one number, not of shape (2,); 1e-9 is usual"),
    ({"atol": -1}, "atol = -1 is not a positive number; 1e-9 is usual"),
    ({"atol": HUGE}, f"atol must be a float where 64 bits are too few, not {HUGE}; 1e-9 is usual"),
    ({"max_step": -1}, "max_step = -1 is not a positive number; leave it out"),
    ({"max_step": np.nan}, "max_step = nan is not a positive number; leave it out"),
    ({"max_step": "0.1"}, "max_step must be a number, not '0.1'; leave it out"),
    (
        {"max_step": 1e-16},
        "max_step = 1e-16 needs 1.0e+16 steps from 0 to 1, where max_steps = 100000 are allowed; leave it out",
    ),
    ({"first_step": -1}, "first_step = -1 is not a positive number; leave it out"),
    ({"first_step": 0}, "first_step = 0 is not a positive number; leave it out"),
    ({"first_step": 2}, "first_step = 2 is longer than the span from 0 to 1; leave it out"),
    ({"first_step": np.inf}, "first_step = inf is not a positive number; leave it out"),
    ({"max_steps": 0}, "max_steps = 0 allows no step; 100000 is usual"),
    ({"max_steps": 2.5}, "max_steps must be a whole number, not 2.5; 100000 is usual"),
    ({"max_steps": "9"}, "max_steps must be a whole number, not '9'; 100000 is usual"),
    ({"max_steps": np.nan}, "max_steps must be a whole number, not nan; 100000 is usual"),
    ({"max_steps": HUGE}, f"max_steps = {HUGE} is more than 64 bits hold; 100000 is usual"),
    ({"events": 3}, "events must be a function of t and y, or a list of them, not 3"),
    ({"events": [None]}, "events must be a function of t and y, or a list of them, not [None]"),
]


@pytest.mark.parametrize("method", ALL)
def test_options_that_cannot_be_used_are_refused_by_every_method(method: str) -> None:
    for options, message in BAD:
        refused(message, method=method, **options)


@pytest.mark.parametrize("method", [None, 45, "rk45", RK45.__init__, dict])
def test_what_is_no_method(method: object) -> None:
    with pytest.raises(InputError, match=f"^unknown method {re.escape(repr(method))}; use one of RK45, "):
        integrate(decay, np.ones(1), (0, 1), method=method)  # type: ignore[arg-type]


def test_a_first_step_that_times_cannot_tell_apart() -> None:
    told = "first_step = 1e-16 is below what tells times near 1 apart; leave it out"
    for method in ALL:
        refused(told, np.ones(2), (1, 2), method=method, first_step=1e-16)
    # At 0 there is no such bound, and steps may be shorter where the span is.
    assert integrate(decay, np.ones(1), (0, 1), first_step=1e-16).t == 1.0
    assert step_sizes(1.0, 1.0 + 2**-52, first_step=2**-52) == (np.inf, 2**-52)
    with pytest.raises(InputError, match=re.escape("max_step = 1e-16 is below what tells times near 2 apart")):
        step_sizes(1.0, 2.0, max_step=1e-16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_stepp": 1.0}, "RK45 has no option 'max_stepp'; did you mean 'max_step'?"),
        ({"jac": None}, "RK45 has no option 'jac'; it has first_step, max_step"),
        ({"vectorized": True}, "RK45 has no option 'vectorized'; it has first_step, max_step"),
        ({"t_eval": [1]}, "RK45 has no option 't_eval'; it has first_step, max_step"),
    ],
)
@pytest.mark.parametrize("size", [2, 20_000])
def test_options_that_a_method_does_not_have(options: dict, message: str, size: int) -> None:
    with pytest.raises(TypeError) as caught:
        integrate(decay, np.ones(size), (0, 1), **options)
    assert str(caught.value).removeprefix("Compiled") == message


def test_options_of_other_methods_act() -> None:
    calls = []

    def jac(t: float, y: np.ndarray) -> np.ndarray:
        calls.append(t)
        return -np.eye(1)

    integrate(decay, np.ones(1), (0, 1), method="BDF", jac=jac)
    assert calls
    few = integrate(decay, np.ones(1), (0, 1), method="RKC").statistics.steps
    assert (
        integrate(decay, np.ones(1), (0, 1), method="RKC", max_step=0.01, first_step=None).statistics.steps >= 100 > few
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [pair for pair in BAD if set(pair[0]) <= {"rtol", "atol", "first_step"}]
    + [({"max_step": 1e-17}, "max_step = 1e-17 is below what tells times near 1 apart; leave it out")],
)
def test_rkc_itself_refuses_them_too(options: dict, message: str) -> None:
    """The class goes to solve_ivp as well."""
    with pytest.raises(InputError) as caught:
        solve_ivp(lambda t, y: -y, (0, 1), [1.0], method=RKC, **options)
    assert str(caught.value) == message


def test_rkc_takes_no_other_states_spans_or_options() -> None:
    with pytest.raises(InputError, match="y0 holds complex numbers"):
        RKC(lambda t, y: -y, 0.0, [1j], 1.0)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the span must be from one finite time"):
        RKC(lambda t, y: -y, 0.0, np.ones(1), np.nan)
    with pytest.raises(TypeError, match="rtoll"):
        RKC(lambda t, y: -y, 0.0, np.ones(1), 1.0, rtoll=1e-3)  # type: ignore[call-arg]


def test_single_numbers() -> None:
    assert number("top", np.float32(0.5), "1 is usual") == 0.5
    assert number("top", np.array(2), "1 is usual") == 2.0
    assert whole("top", 3.0, "1 is usual") == whole("top", np.int8(3), "1 is usual") == 3
    with pytest.raises(InputError, match=r"top = 0\.5 is not a positive number; 1 is usual"):
        number("top", 0.5, "1 is usual", above=1.0)
