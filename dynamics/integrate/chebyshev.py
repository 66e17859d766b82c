"""Runge-Kutta-Chebyshev steps for stiff gradient flows.

The Jacobian of a gradient flow is minus a Hessian: symmetric, with negative eigenvalues wherever the loss curves
upwards. An explicit method of s Chebyshev stages is stable up to about 0.65 s^2 over the largest of them, where a
Runge-Kutta pair of order 5 reaches 3.3 with 6 evaluations. It needs no Jacobian and five vectors, which suits states
of 10^5 to 10^8 numbers.

B. P. Sommeijer, L. F. Shampine, J. G. Verwer, RKC: An explicit solver for parabolic PDEs, J. Comput. Appl. Math. 88
(1998) 315-326: second order, with its error estimate, its controller and its nonlinear power method for the spectral
radius.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.integrate import DenseOutput, OdeSolver

from dynamics.integrate.arguments import span_of, state, step_sizes, tolerances
from dynamics.lowering.machine.parallel import in_turns
from dynamics.support.machine_code import kept
from dynamics.support.threads import one_at_a_time
from dynamics.support.typing import Vector

DAMPING = 2 / 13
CHUNKS = 64
FAST = {"reassoc", "contract", "nsz", "arcp"}
MAX_STAGES = 1000
REFRESH = 25
"""Accepted steps after which the spectral radius is estimated anew."""
CREEPING, SHARE, WATCHED = 100, 0.01, 10_000
"""So many steps within one tolerance, over less than this share of the time that is left, come to no end: the state is
where slopes turn at any rate, as that of a root does at 0, or where they cease. Larger states are not watched."""


OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": FAST}


@njit(**OPTIONS)
def combined(chunk, out, a, y, b, last, c, before, d, slope, e, first):
    n = y.size
    for k in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
        out[k] = a * y[k] + b * last[k] + c * before[k] + d * slope[k] + e * first[k]


@njit(**OPTIONS)
def squared_errors(chunk, parts, y, new, first, last, h, rtol, atol):
    n = y.size
    total = 0.0
    for k in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
        error = 0.8 * (y[k] - new[k]) + 0.4 * h * (first[k] + last[k])
        ratio = error / (atol + rtol * max(abs(y[k]), abs(new[k])))
        total += ratio * ratio
    parts[chunk] = total


each_combined, each_squared_errors = in_turns(combined), in_turns(squared_errors)


@kept(**OPTIONS)
def recurrence(out, a, y, b, last, c, before, d, slope, e, first):
    """out = a y + b last + c before + d slope + e first; out may be any of them."""
    each_combined(CHUNKS, (out, a, y, b, last, c, before, d, slope, e, first))


@kept(**OPTIONS)
def error_norm(y, new, first, last, h, rtol, atol):
    """Root mean square of the error estimate 0.8 (y - new) + 0.4 h (f(y) + f(new)) over atol + rtol max(|y|, |new|)."""
    parts = np.zeros(CHUNKS)
    each_squared_errors(CHUNKS, (parts, y, new, first, last, h, rtol, atol))
    # Added one by one: parts.sum() would run in parallel, and depend on the number of threads.
    whole = 0.0
    for chunk in range(CHUNKS):
        whole += parts[chunk]
    return np.sqrt(whole / y.size)


def euclidean(x: Vector) -> float:
    """The Euclidean norm, without BLAS: its rounding depends on the number of threads."""
    return float(np.sqrt(np.einsum("i,i->", x, x)))


@cache
def coefficients(s: int) -> tuple[float, NDArray[np.float64]]:
    """The first coefficient and, for stages j = 2 ... s, the rows (1 - mu - nu, mu, nu, mu~, gamma~)."""
    w0 = 1 + DAMPING / s**2
    T, dT, ddT = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, s + 1):
        T.append(2 * w0 * T[-1] - T[-2])
        dT.append(2 * w0 * dT[-1] - dT[-2] + 2 * T[-2])
        ddT.append(2 * w0 * ddT[-1] - ddT[-2] + 4 * dT[-2])
    w1 = dT[s] / ddT[s]
    b = [ddT[j] / dT[j] ** 2 if j >= 2 else 1 / (4 * w0**2) for j in range(s + 1)]
    rows = np.empty((s - 1, 5))
    for j in range(2, s + 1):
        mu, nu, slope = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
        rows[j - 2] = 1 - mu - nu, mu, nu, slope, -(1 - b[j - 1] * T[j - 1]) * slope
    return b[1] * w1, rows


class Hermite(DenseOutput):
    """The cubic through the values and slopes at both ends of a step."""

    def __init__(self, t_old: float, t: float, ends: tuple[Vector, Vector], slopes: tuple[Vector, Vector]):
        super().__init__(t_old, t)
        self.ends, self.slopes = ends, slopes

    def _call_impl(self, t: Any) -> NDArray[np.float64]:
        times = np.atleast_1d(t)
        found = np.empty((times.size, self.ends[0].size))
        for row, time in zip(found, times, strict=True):
            hermite(time, self.t_old, self.t, self.ends, self.slopes, row)
        return found.T if np.ndim(t) else found[0]


@one_at_a_time
def hermite(
    t: float, t_old: float, t_new: float, ends: tuple[Vector, Vector], slopes: tuple[Vector, Vector], out: Vector
) -> Vector:
    """Evaluate the cubic into out."""
    h = t_new - t_old
    x = (t - t_old) / h
    left, right = h * x * (1 - x) ** 2, -h * x**2 * (1 - x)
    rise = x * x * (3 - 2 * x)
    recurrence(out, 1 - rise, ends[0], rise, ends[1], 0.0, ends[0], left, slopes[0], right, slopes[1])
    return out


class RKC(OdeSolver):
    """Runge-Kutta-Chebyshev of order 2 with as many stages as the spectral radius asks for.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized
        As for every :class:`scipy.integrate.OdeSolver`.
    into : callable, optional
        ``into(y, out)``: the right-hand side without allocations, of a system that does not depend on time; ``fun`` is
        called if it is not given.
    rtol, atol, max_step, first_step
        As for :class:`scipy.integrate.RK45`.

    Raises
    ------
    InputError
        A state that is not of finite real numbers; tolerances that are no positive numbers, or below what double
        precision allows; steps that are no positive numbers, too short to tell times apart, or a first step that is
        longer than the span.

    Notes
    -----
    The error of a step is of order 3 and kept at the tolerance, so that errors over a span go down with the tolerance
    to the power 2/3: for two more digits, ask for three.
    """

    power = 1 / 3
    """One over the order of the error of a step."""

    def __init__(
        self,
        fun: Callable,
        t0: float,
        y0: Vector,
        t_bound: float,
        into: Callable[[Vector, Vector], None] | None = None,
        rtol: float = 1e-4,
        atol: float = 1e-9,
        max_step: float = np.inf,
        first_step: float | None = None,
        vectorized: bool = False,
    ) -> None:
        self.rtol, self.atol = tolerances(rtol, atol)
        t0, t_bound = span_of((t0, t_bound))
        self.max_step, first_step = step_sizes(t0, t_bound, max_step, first_step)
        self.y: Vector = state(y0).copy()
        super().__init__(fun, t0, self.y, t_bound, vectorized)
        self.t: float
        self.into = into
        # The five vectors of the method: the last two stages, the slopes at both ends, and one at a stage.
        self.f, self.work, self.before, self.slope = (np.zeros_like(self.y) for _ in range(4))
        self.first = np.zeros_like(self.y)
        self.evaluate(t0, self.y, self.f)
        self.direction_of_radius: Vector | None = None
        self.radius, self.age = 0.0, REFRESH
        self.stay: tuple[float, int, Vector] = self.t, 0, self.y.copy() if self.y.size <= WATCHED else np.empty(0)
        self.lost = np.empty(0)
        self.previous, self.h_before = 0.0, 0.0
        self.h_abs = first_step or 0.0

    def evaluate(self, t: float, y: Vector, out: Vector) -> None:
        if self.into is not None:
            self.into(y, out)
        else:
            out[:] = self.fun_single(t, y)
        self.nfev += 1

    @one_at_a_time
    def estimate_radius(self) -> None:
        """The spectral radius of the Jacobian, from differences of slopes along their own direction (power method)."""
        y, f, z = self.y, self.f, self.work
        size = np.sqrt(np.finfo(float).eps)
        length = euclidean(y)
        direction = self.direction_of_radius if self.direction_of_radius is not None else f.copy()
        radius = 0.0
        for k in range(50):
            size_of = euclidean(direction)
            if size_of == 0:
                direction[:] = np.resize([1.0, -1.0], direction.size)
                size_of = euclidean(direction)
            step = size * (length if length > 0 else 1.0)
            recurrence(z, 1.0, y, step / size_of, direction, 0.0, y, 0.0, y, 0.0, y)
            self.evaluate(self.t, z, direction)
            recurrence(direction, 1.0, direction, -1.0, f, 0.0, f, 0.0, f, 0.0, f)
            before, radius = radius, euclidean(direction) / step
            if k >= 2 and abs(radius - before) <= 0.01 * radius:
                break
        self.direction_of_radius = direction
        self.radius, self.age = 1.2 * radius, 0

    @one_at_a_time
    def _step_impl(self) -> tuple[bool, str | None]:
        t, y = self.t, self.y
        min_step = 10 * abs(np.nextafter(t, self.direction * np.inf) - t)
        if self.age >= REFRESH:
            self.estimate_radius()
        if self.h_abs == 0.0:
            self.h_abs = self.initial_step()
        h_abs = min(self.h_abs, self.max_step)
        new = np.empty_like(y)
        rejected = False
        while True:
            if not h_abs >= min_step:
                return False, self.TOO_SMALL_STEP
            if not np.isfinite(self.radius):
                return False, "The slope at the beginning of the step, or near it, is not finite."
            h_abs = min(h_abs, abs(self.t_bound - t))
            stages, h_abs = self.reach(h_abs)
            h = self.direction * h_abs
            norm = self.attempt(h, stages, new)
            if norm < 1:
                break
            if not np.isfinite(norm):
                self.lost = next((s.copy() for s in (self.slope, self.first) if not np.isfinite(s).all()), self.lost)
            h_abs *= max(0.1, 0.8 * norm**-self.power) if np.isfinite(norm) else 0.1
            rejected = True
            if self.age > 0:
                self.estimate_radius()
        # The controller of the paper: it looks at the error before, too.
        factor = 0.8 * norm**-self.power if norm > 0 else 10.0
        if self.previous > 0 and norm > 0 and not rejected:
            factor = min(factor, 0.8 * self.previous**self.power * norm ** (-2 * self.power) * h_abs / self.h_before)
        factor = min(10.0, max(0.1, factor))
        self.previous, self.h_before = norm, h_abs
        self.h_abs = h_abs * (min(1.0, factor) if rejected else factor)
        self.age += 1
        self.t = self.t_bound if h_abs >= abs(self.t_bound - t) else t + h
        self.y_old, self.y = y, new
        self.f, self.first = self.first, self.f  # the slopes at the end and at the start of this step
        return (False, "The state creeps.") if self.creeps() else (True, None)

    def reach(self, h_abs: float) -> tuple[int, float]:
        """How many stages a step takes, which is shorter where there are not so many."""
        stages = 1 + int(np.sqrt(1 + 1.54 * h_abs * self.radius))
        if stages > MAX_STAGES:
            stages = MAX_STAGES
            h_abs = (stages**2 - 1) / (1.54 * self.radius)
        return max(stages, 2), h_abs

    def attempt(self, h: float, stages: int, new: Vector) -> float:
        """A step into new, with the slope there: the norm of its error."""
        self.stages(self.y, h, stages, new)
        self.evaluate(self.t + h, new, self.first)
        return float(error_norm(self.y, new, self.f, self.first, h, self.rtol, self.atol))

    def creeps(self) -> bool:
        """Whether many steps have been taken without coming away, or far on in time."""
        since, steps, place = self.stay
        if place.size == 0:
            return False
        if (np.abs(self.y - place) > self.atol + self.rtol * np.abs(place)).any():
            self.stay, self.lost = (self.t, 0, self.y.copy()), np.empty(0)
            return False
        self.stay = since, steps + 1, place
        if steps + 1 < CREEPING or abs(self.t - since) >= SHARE * abs(self.t_bound - self.t):
            return False
        self.why = "stays where slopes turn faster than steps can follow"
        return True

    def stages(self, y: Vector, h: float, s: int, new: Vector) -> None:
        """All stages of a step of size h from y; the last one is the result."""
        start, rows = coefficients(s)
        before, last, spare = y, new, self.before
        c_before, c = 0.0, start  # stage j is a solution at t + c_j h
        recurrence(last, 1.0, y, h * start, self.f, 0.0, y, 0.0, y, 0.0, y)
        for j, (own, mu, nu, slope, gamma) in enumerate(rows):
            self.evaluate(self.t + c * h, last, self.slope)
            target = spare if j == 0 else before
            recurrence(target, own, y, mu, last, nu, before, h * slope, self.slope, h * gamma, self.f)
            before, last = last, target
            c_before, c = c, mu * c + nu * c_before + slope + gamma
        if last is not new:
            new[:] = last

    @one_at_a_time
    def initial_step(self) -> float:
        """A first step that the error estimate accepts, from the paper: 1/radius, shortened until it is."""
        span = abs(self.t_bound - self.t)
        h = min(span, self.max_step, 1 / self.radius if self.radius > 0 else span)
        recurrence(self.work, 1.0, self.y, self.direction * h, self.f, 0.0, self.y, 0.0, self.y, 0.0, self.y)
        self.evaluate(self.t + self.direction * h, self.work, self.slope)
        scale = self.atol + self.rtol * np.abs(self.y)
        error = h * np.sqrt(np.mean(((self.slope - self.f) / scale) ** 2))
        return min(0.1 * h / np.sqrt(error) if error > 0 else h, span)

    def bad_slope(self) -> Vector | None:
        """A slope of the last attempted step that is not finite, if there is one."""
        slopes = (self.f, self.slope, self.first, self.lost)
        return next((slope for slope in slopes if not np.isfinite(slope).all()), None)

    def _dense_output_impl(self) -> Hermite:
        return Hermite(self.t_old, self.t, (self.y_old, self.y), (self.first.copy(), self.f.copy()))

    def at(self, t: float, out: Vector) -> Vector:
        """The state at a time within the last step, without a copy."""
        return hermite(t, self.t_old, self.t, (self.y_old, self.y), (self.first, self.f), out)
