"""What a flow keeps: it is, to rounding and tolerance, or the error says up to which time the numbers hold."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dynamics.integrate.conserved import Conserved, allowed, drift
from dynamics.integrate.initial_value import METHODS, Integration, integrate
from dynamics.support.errors import IntegrationError

ALL = [*METHODS, "RKC", "ROCK4"]
ROWS = Conserved(
    "sum of each row", lambda y: y.reshape(3, -1).sum(axis=1), lambda y: np.abs(y).reshape(3, -1).sum(axis=1)
)
START = np.random.default_rng(0).normal(size=12)


NOISY = np.array([[0.5, 0.3, 0.2, 0.0], [0.25] * 4, [0.1, 0.2, 0.3, 0.4]])
CLEAR = np.eye(4)[:3]


def learning(rate: float = 1.0, target: np.ndarray = NOISY):
    """Softmax regression of three inputs on the four outputs: rows of the slopes add up to 0, but for rounding."""

    def slope(y: np.ndarray, out: np.ndarray) -> None:
        weights = np.exp(y.reshape(3, 4) - y.reshape(3, 4).max(axis=1, keepdims=True))
        out[:] = rate * (target - weights / weights.sum(axis=1, keepdims=True)).ravel()

    return slope


def rotation(y: np.ndarray, out: np.ndarray) -> None:
    out[0], out[1] = -y[1], y[0]


def kept(end: float, rate: float = 1.0, **options: object) -> tuple[list[float], Integration]:
    seen: list[float] = []
    at = np.concatenate([[0.0], np.geomspace(1e-3 * end, end, 7)])
    found = integrate(
        learning(rate), START, (0, end), at=at, save=lambda t, y: seen.append(t), conserved=[ROWS], **options
    )  # type: ignore[arg-type]
    return seen, found


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
def test_row_sums_are_kept_and_nothing_is_said(method: str, rtol: float) -> None:
    seen, found = kept(30.0, method=method, rtol=rtol)
    assert len(seen) == 8
    explicit = method in ("RK45", "RK23", "DOP853", "RKC", "ROCK4")
    lost = drift(ROWS.values(found.y), ROWS.values(START), ROWS.scale(found.y))
    assert lost <= (16 * 2.3e-16 * found.statistics.steps if explicit else rtol)


@pytest.mark.parametrize("method", ["RK45", "DOP853", "LSODA"])
@pytest.mark.parametrize(("end", "rate"), [(1e18, 1.0), (1e3, 1e50), (1e25, 1e10)])
def test_far_times_and_large_rates_are_told(method: str, end: float, rate: float) -> None:
    """The loss reads 0, steps grow, and what is left of slopes that cancel is all that moves the state."""
    lost: dict[float, float] = {}

    def save(t: float, y: np.ndarray) -> None:
        lost[t] = drift(ROWS.values(y), ROWS.values(START), ROWS.scale(y))

    at = np.geomspace(1e-9 * end, end, 10)
    options = {"at": at, "save": save, "method": method}
    integrate(learning(rate, CLEAR), START, (0, end), **options)
    assert lost[end] > 0.1
    lost.clear()
    with pytest.raises(IntegrationError) as caught:
        integrate(learning(rate, CLEAR), START, (0, end), conserved=[ROWS], **options)
    held = re.search(
        r"lost the sum of each row at tau = \S+ of .*: the numbers hold up to tau = (\S+);", str(caught.value)
    )
    assert held, caught.value
    assert float(held[1]) == max([0.0, *lost])
    assert all(value <= (2e-3 if method == "LSODA" else 1.1e-6) for value in lost.values())


@pytest.mark.parametrize("method", ALL)
def test_a_leak_is_told_with_the_time_up_to_which_numbers_hold(method: str) -> None:
    """A slope that leaves a rest of 1e-9 of its row: the sum is lost by 2e-6 of its size after a while."""

    def leaking(y: np.ndarray, out: np.ndarray) -> None:
        learning()(y, out)
        out += 1e-9

    seen: list[float] = []
    with pytest.raises(IntegrationError) as caught:
        integrate(
            leaking, START, (0, 1e6), at=10.0 ** np.arange(7), save=lambda t, y: seen.append(t), conserved=[ROWS],
            method=method, atol=1e-12,
        )  # fmt: skip
    found = re.fullmatch(
        rf"the integration has lost the sum of each row at tau = (\S+) of 1e\+06, by \S+ of its size \({method}, rtol"
        r" 1e-06\): the numbers hold up to tau = (\S+); end there, or give smaller rates",
        str(caught.value),
    )
    assert found, caught.value
    assert float(found[2]) == seen[-1]
    assert float(found[1]) == 10 * seen[-1]
    # Implicit methods may lose what the tolerance allows at every step.
    assert 100 <= seen[-1] <= (1e3 if method in ("RK45", "RK23", "DOP853", "RKC", "ROCK4") else 1e5)


def test_quantities_that_are_not_linear_are_kept_as_the_state_is() -> None:
    radius = Conserved("radius", lambda y: y @ y, lambda y: y @ y, linear=False)
    for rtol in (1e-4, 1e-8):
        integrate(rotation, np.array([1.0, 0.0]), (0, 300), at=[100, 300], conserved=[radius], rtol=rtol)
    # As if every step kept it, it is not.
    strict = Conserved("radius", radius.values, radius.scale)
    with pytest.raises(IntegrationError, match=r"has lost the radius at tau = 100 of 300, .* hold up to tau = 0;"):
        integrate(rotation, np.array([1.0, 0.0]), (0, 300), at=[100, 300], conserved=[strict], rtol=1e-4)


def test_the_end_is_looked_at_without_times() -> None:
    strict = Conserved("radius", lambda y: y @ y, lambda y: y @ y)
    with pytest.raises(IntegrationError, match=r"at tau = 300 of 300, .* hold up to tau = 0;"):
        integrate(rotation, np.array([1.0, 0.0]), (0, 300), conserved=[strict], rtol=1e-4)


def test_drift_and_what_is_allowed() -> None:
    assert drift(1.0, 1.0, 0.0) == 0.0
    assert drift(1.0, 0.0, 0.0) == np.inf
    assert drift([1e300, -1.0], [-1e300, -1.0], [1e300, 1.0]) == 2.0
    assert drift(1.0, 0.5, 1.0, atol=0.25) == 0.25
    assert drift(np.inf, 0.0, 1.0) == drift(0.0, 0.0, np.nan) == np.inf
    # Rounding in proportion to the steps, the tolerance once, or at every step.
    assert allowed(2000, 1e-20, True) == pytest.approx(2 * allowed(1000, 1e-20, True))
    assert allowed(1000, 1e-6, True) == pytest.approx(1e-6, rel=1e-4)
    assert allowed(1000, 1e-6, False) == pytest.approx(1e-3, rel=1e-4)
