"""The loosest tolerance that meets an error, on errors that are known as functions of the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log10, nan

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="the benchmark is not part of the installed package")

from benchmarks.accuracy import LOOSEST, TRIES, at_equal_error, furthest, loosest

TARGET = 1e-6


class Solver:
    """What it returns is its error."""

    def __init__(self, error: Callable[[float], float]) -> None:
        self.error, self.tried = error, list[float]()

    def __call__(self, tolerance: float) -> Callable[[], float]:
        self.tried.append(tolerance)
        return lambda: self.error(tolerance)


@pytest.mark.parametrize("power", [0.6, 0.8, 1.0, 1.25, 1.8])
@pytest.mark.parametrize("factor", [1e-3, 0.05, 1.0, 30.0])
def test_powers_of_the_tolerance_are_followed_to_the_target(power: float, factor: float) -> None:
    solver = Solver(lambda tolerance: factor * tolerance**power)
    found = loosest(solver, float, TARGET)
    assert found is not None
    assert TARGET / 2.1 < found.error <= TARGET
    assert found.error == pytest.approx(factor * found.tolerance**power)
    assert len(solver.tried) <= TRIES


@pytest.mark.parametrize("start", [1e-2, 1e-7, 1e-12])
def test_a_start_on_either_side_comes_to_the_same(start: float) -> None:
    found = loosest(Solver(lambda tolerance: 0.3 * tolerance), float, TARGET, start)
    assert found is not None
    assert TARGET / 2.1 < found.error <= TARGET


def test_a_start_that_is_right_is_tried_once() -> None:
    solver = Solver(lambda tolerance: 0.7 * tolerance)
    found = loosest(solver, float, TARGET, TARGET)
    assert found is not None
    assert solver.tried == [TARGET] == [pytest.approx(found.tolerance)]


def test_steps_that_no_loose_tolerance_changes_are_passed_over() -> None:
    """An error of 30 targets down to a tolerance of 1e-7, as of few steps that are short for another reason."""
    found = loosest(Solver(lambda tolerance: min(3e-5, 300 * tolerance)), float, TARGET)
    assert found is not None
    assert TARGET / 2.1 < found.error <= TARGET


def test_who_is_accurate_enough_at_the_loosest_is_asked_no_more() -> None:
    solver = Solver(lambda tolerance: 1e-12)
    found = loosest(solver, float, TARGET)
    assert found is not None
    assert (found.tolerance, solver.tried) == (pytest.approx(LOOSEST), [pytest.approx(LOOSEST)])


def test_errors_that_jump_are_bracketed() -> None:
    """A method whose order follows its tolerance in whole numbers."""
    found = loosest(Solver(lambda tolerance: 10.0 ** (-2 * round(-0.5 * log10(tolerance)) - 0.5)), float, TARGET)
    assert found is not None
    assert found.error <= TARGET
    assert found.tolerance > 1e-7


@pytest.mark.parametrize("bad", [nan, inf])
def test_what_comes_to_no_end_is_tightened(bad: float) -> None:
    found = loosest(Solver(lambda tolerance: bad if tolerance > 1e-3 else 0.1 * tolerance), float, TARGET)
    assert found is not None
    assert TARGET / 2.1 < found.error <= TARGET


def fails_beyond(low: float, high: float) -> Callable[[float], float]:
    def error(tolerance: float) -> float:
        if not low < tolerance < high:
            raise ArithmeticError(f"no end at {tolerance:g}")
        return 0.1 * tolerance

    return error


def test_runs_that_fail_at_loose_tolerances_are_passed_over() -> None:
    found = loosest(Solver(fails_beyond(0.0, 1e-3)), float, TARGET)
    assert found is not None
    assert TARGET / 2.1 < found.error <= TARGET


def test_runs_that_fail_at_tight_tolerances_end_the_search() -> None:
    solver = Solver(fails_beyond(1e-4, 1.0))
    assert loosest(solver, float, TARGET) is None
    assert [tolerance <= 1e-4 for tolerance in solver.tried] == [*[False] * (len(solver.tried) - 1), True]


def test_who_never_comes_to_it_is_left_out() -> None:
    assert loosest(Solver(lambda tolerance: 1e-3 + tolerance), float, TARGET) is None


def test_flows_come_to_equal_errors_each_by_its_own_tolerance() -> None:
    """Decay by the midpoint rule and by Euler's, whose steps follow from the tolerance; one that is always wrong."""

    def decay(order: int) -> Callable[[float, float], Callable[[], np.ndarray]]:
        def prepare(rtol: float, atol: float) -> Callable[[], np.ndarray]:
            assert atol == pytest.approx(1e-2 * rtol)
            steps = int(np.ceil(rtol ** (-1 / order)))
            factor = sum((-1 / steps) ** k / (1, 1, 2)[k] for k in range(order + 1))
            return lambda: np.array([1.0, 2.0]) * factor**steps

        return prepare

    flows = {"dynamics": decay(2), "Euler": decay(1), "wrong": lambda rtol, atol: lambda: np.zeros(2)}
    exact = np.array([1.0, 2.0]) * exp(-1)
    found = at_equal_error(flows, furthest(exact), 1e-3, 1e-2)
    assert [(name, each.peer) for name, each in found.items()] == [("dynamics", False), ("Euler", True)]
    assert all(5e-4 / 1.1 < each.error <= 1e-3 for each in found.values())
    assert found["Euler"].tolerance < found["dynamics"].tolerance
    again = at_equal_error(flows, furthest(exact), 1e-3, 1e-2, near=found)
    assert [each.tolerance for each in again.values()] == [pytest.approx(each.tolerance) for each in found.values()]
