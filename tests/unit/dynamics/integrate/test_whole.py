"""Whole integrations in compiled code: SciPy's to the last bit, without Python and without allocations on the way."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest
from numba.core.runtime import _nrt_python as memory
from numba.core.runtime import rtsys
from scipy.integrate import RK23, RK45
from sympy import sqrt

from derivations.program.language import SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.integrate import run, whole
from dynamics.integrate.conserved import Conserved
from dynamics.integrate.initial_value import LARGE, integrate
from dynamics.lowering import Bound, lower
from dynamics.lowering.machine import native as natives
from dynamics.lowering.machine.native import native
from dynamics.support.errors import IntegrationError
from dynamics.support.threads import blas_limited

METHODS = ["RK45", "RK23", "DOP853"]

i, j = indices("i j")
x, a, M, rate, total = tensors("x a M rate total")
(N, speed) = scalars("N speed")
N = scalars("N", integer=True, positive=True)[0]


@cache
def competition() -> Program:
    """x_i' = speed a_i x_i (1 - sum_j x_j): an array of data, a sum over everything, a parameter."""
    total_, _ = scalars("total _")
    return Program(
        name="competition",
        title="Competition",
        source="",
        extents={i: N},
        data=(a[i],),
        states=(x[i],),
        parameters=(speed,),
        definitions=(
            Definition(total_, SumOver(x[i], i), "all"),
            Definition(rate[i], speed * a[i] * x[i] * (1 - total_) - x[i] ** 2, "change"),
        ),
        flow={"x": "rate"},
    )


@cache
def falling() -> Program:
    """x' = -sqrt(x - 2) - speed: it comes to 2, and has no slope beyond; and with speed 0 it stays there."""
    return Program(
        name="falling",
        title="Falling",
        source="",
        extents={i: N},
        data=(a[i],),
        states=(x[i],),
        parameters=(speed,),
        definitions=(Definition(rate[i], -sqrt(x[i] - 2) - a[i] * speed, "change"),),
        flow={"x": "rate"},
    )


@cache
def growing() -> Program:
    """x' = speed x^2, to infinity."""
    return Program(
        name="growing",
        title="Growing",
        source="",
        extents={i: N},
        data=(a[i],),
        states=(x[i],),
        parameters=(speed,),
        definitions=(Definition(rate[i], a[i] * speed * x[i] ** 2, "change"),),
        flow={"x": "rate"},
    )


def bound(program: Program, n: int, speed: float = 1.0) -> Bound:
    return lower(program).bind({"a": np.linspace(0.5, 2.0, n)}, {"speed": speed, "N": n})


def both(flow: Bound, y0: np.ndarray, span: tuple[float, float], **options: object) -> list:
    """What SciPy's stepping in Python shows, and its end or its error; and the same of compiled stepping."""
    found = []
    for into in (lambda y, out: flow(y, out), flow):
        shown: list = []
        try:
            end = integrate(into, y0, span, save=lambda t, y, s=shown: s.append((t, y.copy())), **options)  # type: ignore
            found.append((shown, (end.t, end.y, end.statistics.evaluations, end.statistics.steps)))
        except IntegrationError as error:
            found.append((shown, str(error)))
    return found


def same(found: list) -> None:
    (shown, end), (compiled, compiled_end) = found
    assert [t for t, _ in shown] == [t for t, _ in compiled]
    for (_, one), (_, other) in zip(shown, compiled, strict=True):
        np.testing.assert_array_equal(one, other)
    if isinstance(end, str) or isinstance(compiled_end, str):
        assert end == compiled_end
        return
    assert end[0] == compiled_end[0]
    np.testing.assert_array_equal(end[1], compiled_end[1])
    assert end[2:] == compiled_end[2:]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3, 16, 333, 1000, LARGE])
def test_steps_are_those_of_scipy_to_the_last_bit(method: str, n: int) -> None:
    flow = bound(competition(), n)
    y0 = np.random.default_rng(n).uniform(0.01, 1.0, n) / n
    at = [0.0, 1e-9, 0.3, 1.0, 1.1, 1.2, 7.0, 40.0]
    for rtol in (1e-3, 1e-6, 1e-10):
        same(both(flow, y0, (0, 40), at=at, method=method, rtol=rtol, atol=rtol / 1e3))


@pytest.mark.parametrize("method", [RK45, RK23])
def test_steps_of_large_states_too_on_any_number_of_threads_of_blas(method: type) -> None:
    n = LARGE + 1
    flow, y0 = bound(competition(), n), np.random.default_rng(n).uniform(0.01, 1.0, n) / n
    with blas_limited(1):
        of_scipy = integrate(lambda y, out: flow(y, out), y0, (0, 10), method=method)
    for threads in (1, 2):
        with blas_limited(threads):
            found = integrate(flow, y0, (0, 10), method=method.__name__)
        np.testing.assert_array_equal(found.y, of_scipy.y)
        assert found.statistics.evaluations == of_scipy.statistics.evaluations


@pytest.mark.parametrize("method", METHODS)
def test_options_and_directions_are_scipys_too(method: str) -> None:
    flow, y0 = bound(competition(), 5), np.full(5, 0.1)
    for options in ({"max_step": 0.05}, {"first_step": 1e-3}, {"rtol": 1e-11, "atol": 1e-13}):
        same(both(flow, y0, (1, 4), at=[1, 1.5, 4], method=method, **options))
    same(both(flow, y0, (4, 1), at=[4, 2.5, 1], method=method, rtol=1e-5, atol=1e-8))
    same(both(flow, np.zeros(5), (0, 3), at=[1, 2, 3], method=method))  # where nothing moves
    same(both(bound(falling(), 3, -2.0), np.full(3, 2.0), (0, 3), at=[1, 2], method=method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_a_buffer_that_is_full_changes_nothing(method: str, capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many times in one step, shown in parts: the interpolant is found once, and evaluations count once."""
    monkeypatch.setattr(run, "BUFFER", 4 * capacity)
    flow, y0 = bound(competition(), 4), np.full(4, 0.2)
    same(both(flow, y0, (0, 20), at=np.linspace(0, 20, 101), method=method, rtol=1e-4))
    same(both(flow, y0, (0, 20), at=np.linspace(0, 20, 101), method=method, rtol=1e-11))


def test_the_time_between_looks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, y0 = bound(competition(), 4), np.full(4, 0.2)
    monkeypatch.setattr(run, "PATIENCE", 0.0)  # a look at every step
    same(both(flow, y0, (0, 20), at=np.linspace(0, 20, 7), rtol=1e-8))


@pytest.mark.parametrize("method", METHODS)
def test_failures_are_told_in_the_same_words(method: str) -> None:
    options = {"at": [0.0, 0.25, 0.5, 3.0], "method": method, "locate": lambda y: "x"}
    for found in (
        both(bound(falling(), 3), np.full(3, 3.0), (0, 9), **options),
        both(bound(growing(), 3), np.ones(3), (0, 9), max_steps=4000, **options),
        both(bound(growing(), 3, np.inf), np.ones(3), (0, 9), **options),
        both(bound(growing(), 3, 1e300), np.full(3, 1e-100), (0, 9), **options),
        both(bound(competition(), 3), np.full(3, 0.1), (0, 1e4), max_steps=10, **options),
    ):
        assert isinstance(found[0][1], str)
        same(found)


def test_what_is_kept_is_looked_at() -> None:
    flow = bound(competition(), 3)
    never = Conserved("sum", lambda y: y.sum(), lambda y: np.abs(y).sum())
    found = both(flow, np.full(3, 0.1), (0, 1), at=[0, 0.5, 1], conserved=[never])
    assert "has lost the sum at tau = 0.5" in found[0][1]
    same(found)


def test_an_exception_of_what_is_shown_ends_it() -> None:
    def no(t: float, y: np.ndarray) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        integrate(bound(competition(), 3), np.full(3, 0.1), (0, 1), at=[0.5, 1], save=no)


# -- nothing on the way -----------------------------------------------------------------------------------------------


def calls(work) -> int:
    """Calls of Python and of C that Python makes."""
    count = 0

    def watch(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("method", METHODS)
def test_no_python_and_no_allocation_per_step(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENCE", 1e9)
    memory.memsys_enable_stats()
    flow, y0 = bound(competition(), 4), np.full(4, 0.2)
    steps, python, allocations = [], [], []
    for tolerance in (1e-4, 1e-4, 1e-9):  # once to warm up

        def work(tolerance: float = tolerance) -> None:
            end = integrate(flow, y0, (0, 20), at=[20.0], method=method, rtol=tolerance, atol=tolerance, max_step=0.05)
            steps.append(end.statistics.steps)

        before = rtsys.get_allocation_stats().alloc
        python.append(calls(work))
        allocations.append(rtsys.get_allocation_stats().alloc - before)
    looks = np.ceil(np.log(steps[2]) / np.log(4)) - 2  # while the number of steps between two looks grows
    assert steps[2] > 200
    assert python[2] <= python[1] + 8 * looks
    assert allocations[2] <= allocations[1] + 20 * looks  # an array that is handed over is one


def test_one_loop_serves_every_program() -> None:
    """Nothing is compiled for a program but its kernel."""
    integrate(bound(competition(), 3), np.full(3, 0.1), (0, 1))
    before = len(whole.advance.overloads), len(whole.first_step.overloads)
    entries = natives._entry.cache_info().currsize
    other = bound(growing(), 3)
    _ = other.native
    assert natives._entry.cache_info().currsize <= entries + 1
    entries = natives._entry.cache_info().currsize
    integrate(other, np.full(3, 0.1), (0, 1))
    assert natives._entry.cache_info().currsize == entries
    assert (len(whole.advance.overloads), len(whole.first_step.overloads)) == before


# -- native functions -------------------------------------------------------------------------------------------------


def test_native_functions_take_arrays_of_any_shape_and_numbers() -> None:
    from numba import njit

    from dynamics.lowering.machine.entries import call

    @njit
    def kernel(y, out, cube, table, words, weight, count):
        for k in range(out.size):
            out[k] = y[k] * weight + cube[k, 1, 2] + table[words[k], k] + count + cube.size + table.strides[0]

    @njit
    def outer(address, y, out, words):
        return call(address, y, out, words)

    random = np.random.default_rng(0)
    arguments = (random.random((4, 2, 3)), random.random((5, 4)), np.array([4, 0, 2, 1]), 2.5, 7)
    y, out, wanted = random.random(4), np.empty(4), np.empty(4)
    kernel(y, wanted, *arguments)
    made = native(kernel, arguments, 4, 4)
    assert outer(made.address, y, out, made.words) == 0
    np.testing.assert_array_equal(out, wanted)


def test_errors_of_compiled_code_are_raised() -> None:
    from numba import njit

    class Raises:
        """A right-hand side that has had enough."""

        def __call__(self, y: np.ndarray, out: np.ndarray) -> None:
            kernel(y, out)

        @property
        def native(self):
            return native(kernel, (), 2, 2)

    @njit
    def kernel(y, out):
        if y[0] > 1.5:
            raise ValueError("enough")
        out[:] = 1.0

    with pytest.raises(ValueError, match="enough"):
        integrate(Raises(), np.ones(2), (0, 9))


def test_what_integrations_work_in_is_used_again_and_shows_nothing_of_the_last_one() -> None:
    flow, y0 = bound(competition(), 5), np.full(5, 0.1)
    expected = integrate(flow, y0, (0, 3), rtol=1e-8)
    seen: list[np.ndarray] = []

    def see(t: float, y: np.ndarray) -> None:
        seen.append(y.copy())

    for method in METHODS:
        seen.clear()
        for end in (3.0, 1.0, 3.0):
            found = integrate(flow, y0, (0, end), at=[0, end], save=see, method=method)
            np.testing.assert_array_equal(found.y, seen[-1])
        np.testing.assert_array_equal(seen[1], seen[-1])
        with pytest.raises(IntegrationError):
            integrate(flow, y0, (0, 3), method=method, max_steps=2)
    within = []

    def nested(t: float, y: np.ndarray) -> None:
        within.append(integrate(flow, y0, (0, 3), rtol=1e-8).y)

    found = integrate(flow, y0, (0, 3), rtol=1e-8, at=[0, 1, 3], save=nested)
    for one in (found.y, *within):
        np.testing.assert_array_equal(one, expected.y)
    kept = found.y.copy()
    integrate(flow, 2 * y0, (0, 3), rtol=1e-8)
    np.testing.assert_array_equal(found.y, kept)
