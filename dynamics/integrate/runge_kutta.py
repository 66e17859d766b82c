"""Embedded Runge-Kutta steps over large states in one compiled pass per stage.

SciPy's explicit solvers go over the state several times per stage, in temporaries. For large states these classes take
the tableau and the controller of SciPy's class and do each stage, the error norm and the interpolant in one pass. They
are :class:`scipy.integrate.OdeSolver` subclasses: ``solve_ivp(method=...)`` takes them, and events and dense output
work as with SciPy's own. So does DOP853 below, whose steps are SciPy's and whose states within a step are better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.integrate import DOP853, RK23, RK45, DenseOutput

from dynamics.lowering.machine.parallel import in_turns
from dynamics.support.machine_code import kept
from dynamics.support.threads import blas_limited, one_at_a_time
from dynamics.support.typing import Vector

CHUNKS = 16
BLOCK = 1024
"""Numbers that stay in the nearest cache while all slopes are added."""
FAST = {"reassoc", "contract", "nsz", "arcp"}
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": FAST}
SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0  # SciPy's controller


@kept(**OPTIONS)
def add_slopes(slopes, weights, used, lo, hi, out):
    """Add the sum of weights[s] slopes[s, lo:hi] over the first ``used`` slopes; four in one pass."""
    last = used - 1
    for first in range(0, used, 4):
        a, b = slopes[first, lo:hi], slopes[min(first + 1, last), lo:hi]
        c, d = slopes[min(first + 2, last), lo:hi], slopes[min(first + 3, last), lo:hi]
        wa, wb = weights[first], weights[first + 1] if first + 1 < used else 0.0
        wc, wd = weights[first + 2] if first + 2 < used else 0.0, weights[first + 3] if first + 3 < used else 0.0
        for k in range(out.size):
            out[k] += (wa * a[k] + wb * b[k]) + (wc * c[k] + wd * d[k])


# Loops run over slices from 0 on: with lo + k for a subscript, which might be negative, they are not vectorised.
@njit(**OPTIONS)
def combined(chunk, y, slopes, weights, used, out):
    n = y.size
    for lo in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS, BLOCK):
        hi = min(lo + BLOCK, (chunk + 1) * n // CHUNKS)
        before, after = y[lo:hi], out[lo:hi]
        for k in range(after.size):
            after[k] = before[k]
        add_slopes(slopes, weights, used, lo, hi, after)


@njit(**OPTIONS)
def squared_errors(chunk, parts, errors, y, new, slopes, weights, rtol, atol):
    n = y.size
    total = 0.0
    for lo in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS, BLOCK):
        hi = min(lo + BLOCK, (chunk + 1) * n // CHUNKS)
        error, before, after = errors[chunk, : hi - lo], y[lo:hi], new[lo:hi]
        for k in range(error.size):
            error[k] = 0.0
        add_slopes(slopes, weights, weights.size, lo, hi, error)
        for k in range(error.size):
            ratio = error[k] / (atol + rtol * max(abs(before[k]), abs(after[k])))
            total += ratio * ratio
    parts[chunk] = total


each_combined, each_squared_errors = in_turns(combined), in_turns(squared_errors)


@kept(**OPTIONS)
def combine(y, slopes, weights, used, out):
    """out = y + sum of weights[s] slopes[s] over the first ``used`` slopes."""
    each_combined(CHUNKS, (y, slopes, weights, used, out))


@kept(**OPTIONS)
def error_norm(y, new, slopes, weights, rtol, atol):
    """Root mean square of the estimated error over atol + rtol max(|y|, |new|)."""
    parts, errors = np.zeros(CHUNKS), np.empty((CHUNKS, BLOCK))
    each_squared_errors(CHUNKS, (parts, errors, y, new, slopes, weights, rtol, atol))
    return joined(parts, y.size)


@njit(error_model="numpy", fastmath=False)
def joined(parts, n):
    """The root mean square of n numbers, whose squares are added up in parts."""
    # Added one by one, in this order whoever calls it: numba would have it inherit a caller's fast arithmetic.
    whole = 0.0
    for chunk in range(CHUNKS):
        whole += parts[chunk]
    return np.sqrt(whole / n)


@one_at_a_time
def interpolate(
    t: float, t_old: float, t_new: float, new: Vector, slopes: NDArray[np.float64], P: Vector, out: Vector
) -> None:
    """The method's interpolant within a step, from the step's end: new + h sum_s (b_s(x) - b_s(1)) slope_s."""
    h = t_new - t_old
    powers = ((t - t_old) / h) ** np.arange(1, P.shape[1] + 1)
    combine(new, slopes, h * (P @ (powers - 1.0)), len(slopes), out)


class Interpolant(DenseOutput):
    """The interpolant of one step, with the slopes that it needs."""

    def __init__(self, t_old: float, t: float, new: Vector, slopes: NDArray[np.float64], P: NDArray[np.float64]):
        super().__init__(t_old, t)
        self.new, self.slopes, self.P = new, slopes, P

    def _call_impl(self, t: Any) -> NDArray[np.float64]:
        times = np.atleast_1d(t)
        found = np.empty((times.size, self.new.size))
        for row, time in zip(found, times, strict=True):
            interpolate(time, self.t_old, self.t, self.new, self.slopes, self.P, row)
        return found.T if np.ndim(t) else found[0]


class Compiled:
    """What replaces the step of a SciPy Runge-Kutta class; mixed into each of them below.

    Without ``ending`` a step leaves out the slope at its end: then E holds the weights of the others.
    """

    ending = True

    def __init__(
        self,
        fun: Callable,
        t0: float,
        y0: Vector,
        t_bound: float,
        into: Callable[[Vector, Vector], None],
        **options: Any,
    ):
        """``into(y, out)`` is the right-hand side without allocations; the rest is as in the SciPy class."""
        self.into = into
        # SciPy chooses the first step by norms from BLAS, whose rounding depends on the number of threads.
        with blas_limited(1):
            super().__init__(fun, t0, y0, t_bound, **options)  # type: ignore[call-arg]

    @one_at_a_time
    def _step_impl(self: Any) -> tuple[bool, str | None]:
        slopes, t, y = self.K, self.t, self.y
        slopes[0] = self.f
        min_step = 10 * abs(np.nextafter(t, self.direction * np.inf) - t)
        h_abs = min(max(self.h_abs, min_step), self.max_step)
        new = np.empty_like(y)
        rejected = False
        while True:
            if h_abs < min_step:
                return False, self.TOO_SMALL_STEP
            t_new = t + h_abs * self.direction
            if self.direction * (t_new - self.t_bound) > 0:
                t_new = self.t_bound
            h = t_new - t
            h_abs = abs(h)
            for s in range(1, self.n_stages):
                combine(y, slopes, h * self.A[s], s, new)
                self.into(new, slopes[s])
            combine(y, slopes, h * self.B, self.n_stages, new)
            if self.ending:
                self.into(new, slopes[-1])
            self.nfev += len(self.E) - 1
            norm = error_norm(y, new, slopes, h * self.E, self.rtol, self.atol)
            if norm < 1:
                break
            # Not a number compares false: the step shrinks until it is too small, which ends with a message.
            h_abs *= max(MIN_FACTOR, SAFETY * norm**self.error_exponent) if np.isfinite(norm) else MIN_FACTOR
            rejected = True
        factor = MAX_FACTOR if norm == 0 else min(MAX_FACTOR, SAFETY * norm**self.error_exponent)
        self.h_previous, self.h_abs = h, h_abs * (min(1.0, factor) if rejected else factor)
        self.t, self.y, self.f = t_new, new, slopes[-1]
        return True, None

    def bad_slope(self: Any) -> Vector | None:
        """A slope of the last attempted step that is not finite, if there is one."""
        return next((slope for slope in self.K if not np.isfinite(slope).all()), None)

    def _dense_output_impl(self: Any) -> Interpolant:
        return Interpolant(self.t_old, self.t, self.y, self.K.copy(), self.P)

    def at(self: Any, t: float, out: Vector) -> Vector:
        """The state at a time within the last step, without a copy of its slopes."""
        interpolate(t, self.t_old, self.t, self.y, self.K, self.P, out)
        return out


class CompiledRK45(Compiled, RK45):
    """Dormand-Prince 5(4), as :class:`scipy.integrate.RK45`."""


class CompiledRK23(Compiled, RK23):
    """Bogacki-Shampine 3(2), as :class:`scipy.integrate.RK23`."""


COMPILED = {"RK45": CompiledRK45, "RK23": CompiledRK23}


class Restep(DenseOutput):
    """States within a step, each by a step of the method itself from the beginning of that step."""

    def __init__(self, solver: Any) -> None:
        super().__init__(solver.t_old, solver.t)
        self.fun, self.y_old, self.slope = solver.fun, solver.y_old, solver.K[0].copy()
        self.A, self.B, self.C = solver.A, solver.B, solver.C

    def _call_impl(self, t: Any) -> NDArray[np.float64]:
        found = np.array([self.step(time) for time in np.atleast_1d(t)])
        return found.T if np.ndim(t) else found[0]

    def step(self, t: float) -> Vector:
        h = t - self.t_old
        slopes = np.empty((len(self.B), self.y_old.size))
        slopes[0] = self.slope
        for s in range(1, len(slopes)):
            slopes[s] = self.fun(self.t_old + self.C[s] * h, self.y_old + np.dot(slopes[:s].T, self.A[s, :s]) * h)
        return self.y_old + h * np.dot(slopes.T, self.B)


class SteppedDOP853(DOP853):
    """:class:`scipy.integrate.DOP853`, with states within its steps as good as the steps."""

    def _dense_output_impl(self) -> Restep:
        return Restep(self)
