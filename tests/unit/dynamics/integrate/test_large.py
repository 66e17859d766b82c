"""Integrations of large states in one compiled loop: the steps of the solver class to the last bit, without Python."""

from __future__ import annotations

import sys
from typing import Any

import numba
import numpy as np
import pytest
from test_whole import METHODS as ALL
from test_whole import competition, falling, growing

from dynamics import CoOccurrence, solve
from dynamics.integrate.initial_value import SHARED, integrate
from dynamics.integrate.large.run import LargeRun
from dynamics.integrate.runge_kutta import COMPILED
from dynamics.lowering import Bound, lower
from dynamics.lowering.machine.team import standing_by
from dynamics.support.errors import IntegrationError
from dynamics.support.threads import limited

METHODS = [method for method in ALL if method in COMPILED]
N = SHARED + 13


def bound(program: Any, n: int = N, speed: float = 1.0) -> Bound:
    return lower(program).bind({"a": np.linspace(-1, 2, n)}, {"speed": speed})


def seen_of(flow: Bound, y0: np.ndarray, span: tuple[float, float], method: Any, **options: Any) -> list[Any]:
    """All that an integration shows and counts."""
    shown: list[Any] = []
    at = np.linspace(*span, 7) if "at" not in options else options.pop("at")
    end = integrate(flow, y0, span, at=at, method=method, save=lambda t, y: shown.extend([t, *y]), **options)
    return [*shown, end.t, *end.y, end.statistics.evaluations, end.statistics.steps]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("y0", "span", "options"),
    [
        (np.linspace(0.1, 1.2, N) / N, (0.0, 4.0), {}),
        (np.linspace(0.1, 1.2, N) / N, (0.0, 4.0), {"rtol": 1e-3, "first_step": 4.0}),  # is rejected
        (np.linspace(0.5, 1.2, N) / N, (1.0, 0.5), {"max_step": 0.1}),
        (np.linspace(0.1, 1.2, N) / N, (0.0, 1e-3), {"at": [0.0, 1e-4, 2e-4, 1e-3]}),
        (np.linspace(0.1, 1.2, N) / N, (0.0, 2.0), {"at": []}),
    ],
)
def test_the_loop_takes_the_steps_of_the_class(
    method: str, y0: np.ndarray, span: tuple[float, float], options: dict[str, Any]
) -> None:
    flow = bound(competition())
    by_class = seen_of(flow, y0, span, COMPILED[method], **options)
    assert by_class[-1] > 0
    for members in (1, 2):
        with limited(min(members, numba.config.NUMBA_NUM_THREADS), 0), standing_by(members):
            for _ in range(2):  # the second one in the space of the first
                np.testing.assert_array_equal(seen_of(flow, y0, span, method, **options), by_class)


def test_from_rest_too() -> None:
    flow = bound(falling(), speed=-1.0)
    y0 = np.zeros(N)
    by_class, by_loop = [], []
    for found, method in ((by_class, COMPILED["RK45"]), (by_loop, "RK45")):
        with pytest.raises(IntegrationError) as failure:
            integrate(flow, y0, (0, 1), method=method)
        found.append(str(failure.value))
    assert by_class == by_loop


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("program", "speed", "start", "end", "options"),
    [
        (growing, 1.0, 1.0, 10.0, {}),  # too small steps
        (growing, 1e200, 1e200, 1.0, {}),
        (falling, 1.0, 3.0, 10.0, {}),
        (competition, 1.0, 1e-6, 50.0, {"max_steps": 3}),
        (competition, 1.0, 1e-6, 1e9, {"max_steps": 1}),
    ],
)
def test_failures_are_told_in_the_words_of_the_class(
    method: str, program: Any, speed: float, start: float, end: float, options: dict[str, Any]
) -> None:
    told = []
    for way in (COMPILED[method], method):
        flow = bound(program(), speed=speed)
        shown: list[float] = []
        with pytest.raises(IntegrationError) as failure:
            integrate(
                flow, np.full(N, start), (0, end), method=way, at=np.linspace(0, end, 9),
                save=lambda t, y, shown=shown: shown.append(t), **options,
            )  # fmt: skip
        told.append((str(failure.value), shown))
    assert told[0] == told[1]


def test_python_is_not_called_between_shown_states() -> None:
    flow = bound(competition())
    y0 = np.linspace(0.1, 1.2, N) / N
    integrate(flow, y0, (0, 1))  # compiled
    calls = {}
    for steps in (1, 4):
        count = 0

        def watch(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event == "call" and "dynamics" in frame.f_code.co_filename

        sys.setprofile(watch)
        try:
            end = integrate(flow, y0, (0, 1), max_step=1.0 / (20 * steps), rtol=1e-2)
        finally:
            sys.setprofile(None)
        assert end.statistics.steps >= 20 * steps
        calls[steps] = count
    # The loop comes back after some milliseconds; a step takes tens of microseconds here.
    assert calls[4] - calls[1] < 60


def test_what_needs_every_step_goes_by_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = bound(competition())
    y0 = np.linspace(0.1, 1.2, N) / N

    def refused(*given: Any, **options: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(LargeRun, "__init__", refused)
    integrate(flow, y0, (0, 0.1), dense_output=True)
    integrate(flow, y0, (0, 0.1), events=lambda t, y: y[0] - 2)
    integrate(flow, y0, (0, 0.1), method="auto")
    with pytest.raises(AssertionError):
        integrate(flow, y0, (0, 0.1))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
@pytest.mark.parametrize("words", [(230, 231), (330, 160), (2500, 21)])
def test_a_closure_has_the_same_bits_on_two_threads(words: tuple[int, int]) -> None:
    counts = np.random.default_rng(0).random(words) + 10 * np.eye(*words)
    one, two = (solve(CoOccurrence.from_counts(counts), [0.5, 30.0], threads=threads) for threads in (1, 2))
    for name in ("W", "A", "loss", "beta", "attention"):
        np.testing.assert_array_equal(one[name].values, two[name].values)
    assert one.attrs["evaluations"] == two.attrs["evaluations"]
