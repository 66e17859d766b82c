"""Whole integrations in compiled code: SciPy's explicit pairs around compiled right-hand sides.

One loop, compiled once, takes the steps of RK45, RK23 and DOP853 for any kernel: it is given the kernel's address
(:mod:`dynamics.lowering.machine.native`). It does what SciPy does, in SciPy's order and by the same products of BLAS,
so that states, steps and evaluations are SciPy's to the last bit. :mod:`dynamics.integrate.run` gives it what it reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from dynamics.integrate.run import (
    ATOL,
    BAD,
    BOUND,
    DIRECTION,
    EASY,
    EVALUATIONS,
    EXPONENT,
    EXTENDED,
    FINISHED,
    H_LAST,
    LEFT,
    MAX_EVALUATIONS,
    MAX_STEP,
    MAX_STEPS,
    NOT_FINITE,
    PENDING,
    POLYNOMIAL,
    POWERS,
    RAISED,
    ROWS,
    RTOL,
    RUNNING,
    SHOWN,
    STEP_TOO_SMALL,
    STEPPED,
    STEPS,
    STIFF,
    T_OLD,
    TOO_MANY_EVALUATIONS,
    TOO_MANY_STEPS,
    WATCH,
    H,
    T,
)
from dynamics.integrate.stability import AT_LIMIT, EASY_STEPS, STIFF_STEPS
from dynamics.lowering.machine.entries import call
from dynamics.support.machine_code import kept

__all__ = ["advance", "between", "first_step", "prepare"]

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0  # SciPy's controller
PLAIN: dict[str, Any] = {"error_model": "numpy"}


@njit(**PLAIN)
def weighted(slopes, weights, out):
    """out = sum of weights[s] slopes[s], by the product of BLAS that NumPy takes."""
    if out.size == 1:
        out[0] = np.dot(slopes.reshape(slopes.size), weights)
    else:
        np.dot(slopes.T, weights, out)


@njit(**PLAIN)
def all_finite(x):
    finite = True
    for value in x:
        finite &= np.isfinite(value)
    return finite


@njit(**PLAIN)
def scaled_norm(x, scale):
    """The Euclidean norm of x/scale, which overwrites x."""
    for k in range(x.size):
        x[k] /= scale[k]
    return np.sqrt(np.dot(x, x))


@njit(**PLAIN)
def stages(address, words, y, slopes, A, h, trial, change):
    """The slopes at all stages but the first, which is there: 0, or the code of an error."""
    for s in range(1, A.shape[0]):
        weighted(slopes[:s], A[s, :s], change)
        for k in range(y.size):
            trial[k] = y[k] + change[k] * h
        code = call(address, trial, slopes[s], words)
        if code != 0:
            return code
    return 0


@kept(**PLAIN, nogil=True)
def first_step(address, words, y, slope, order, clock, counts, trial, other, scale):
    """SciPy's first step, in ``clock[H]``: 0, or the code of an error."""
    direction, rtol, atol = clock[DIRECTION], clock[RTOL], clock[ATOL]
    interval = abs(clock[BOUND] - clock[T])
    root = y.size**0.5
    for k in range(y.size):
        scale[k] = atol + abs(y[k]) * rtol
        trial[k], other[k] = y[k], slope[k]
    d0 = scaled_norm(trial, scale) / root
    d1 = scaled_norm(other, scale) / root
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    if interval < h0:
        h0 = interval
    for k in range(y.size):
        trial[k] = y[k] + h0 * direction * slope[k]
    code = call(address, trial, other, words)
    counts[EVALUATIONS] += 1
    if code != 0:
        return code
    for k in range(y.size):
        other[k] -= slope[k]
    d2 = scaled_norm(other, scale) / root / h0
    if d1 <= 1e-15 and d2 <= 1e-15:
        h1 = max(1e-6, h0 * 1e-3)
    else:
        h1 = (0.01 / (d2 if d2 > d1 else d1)) ** (1 / (order + 1))
    h = 100 * h0
    for other_step in (h1, interval, clock[MAX_STEP]):
        if other_step < h:
            h = other_step
    clock[H] = h
    return 0


@njit(**PLAIN)
def error_norm(slopes, E, h, scale, change, other):
    """SciPy's norm of the estimated error of a step; with two estimates, as DOP853 joins them."""
    n = scale.size
    weighted(slopes, E[0], change)
    if E.shape[0] == 1:
        for k in range(n):
            change[k] *= h
        return scaled_norm(change, scale) / n**0.5
    weighted(slopes, E[1], other)
    fifth, third = scaled_norm(change, scale), scaled_norm(other, scale)
    fifth, third = fifth * fifth, third * third
    if fifth == 0 and third == 0:
        return 0.0
    return abs(h) * fifth / np.sqrt((fifth + 0.01 * third) * n)


@njit(**PLAIN)
def prepare(address, words, kind, A_more, P, y_old, y, slopes, more, parts, h, count, trial, change):
    """The coefficients of the interpolant of the last step: 0, or the code of an error."""
    if kind == POLYNOMIAL:
        np.dot(slopes.T, P, parts)
        return 0
    if kind == EXTENDED:
        n = y.size
        for extra in range(A_more.shape[0]):
            s = count + extra
            weighted(more[:s], A_more[extra, :s], change)
            for k in range(n):
                trial[k] = y_old[k] + change[k] * h
            code = call(address, trial, more[s], words)
            if code != 0:
                return code
        for k in range(n):
            delta = y[k] - y_old[k]
            parts[0, k] = delta
            parts[1, k] = h * more[0, k] - delta
            parts[2, k] = 2 * delta - h * (more[count - 1, k] + more[0, k])
        np.dot(P, more, parts[3:])
        for row in range(3, parts.shape[0]):
            for k in range(n):
                parts[row, k] *= h
    return 0


@njit(**PLAIN)
def between(address, words, kind, A, B, t, t_old, h, y_old, parts, powers, slopes, again, trial, change, out):
    """The state at a time within the last step: 0, or the code of an error."""
    n = y_old.size
    if kind == POLYNOMIAL:
        x = (t - t_old) / h
        power = 1.0
        for k in range(powers.size):
            power *= x
            powers[k] = power
        if n == 1:
            out[0] = np.dot(parts.reshape(parts.size), powers)
        else:
            np.dot(parts, powers, out)
        for k in range(n):
            out[k] = h * out[k] + y_old[k]
    elif kind == EXTENDED:
        x = (t - t_old) / h
        for k in range(n):
            out[k] = 0.0
        for row in range(parts.shape[0]):
            factor = x if row % 2 == 0 else 1 - x
            for k in range(n):
                out[k] = (out[k] + parts[parts.shape[0] - 1 - row, k]) * factor
        for k in range(n):
            out[k] += y_old[k]
    else:
        step = t - t_old
        for k in range(n):
            again[0, k] = slopes[0, k]
        code = stages(address, words, y_old, again, A, step, trial, change)
        if code != 0:
            return code
        weighted(again, B, out)
        for k in range(n):
            out[k] = y_old[k] + step * out[k]
    return 0


@kept(**PLAIN, nogil=True)
def advance(
    address, words, kind, A, B, E, A_more, P, y, y_old, more, parts, again, work, clock, counts, wanted, rows, taken,
    budget,
):  # fmt: skip
    """Steps until the budget is used up, the buffer is full, or the integration is over: which of them."""
    n, count = y.size, A.shape[0]
    direction, bound, rtol, atol = clock[DIRECTION], clock[BOUND], clock[RTOL], clock[ATOL]
    slopes, last, slope = more[: count + 1], more[count], work[4]
    trial, change, other, scale, bad = work[0], work[1], work[2], work[3], work[5]
    counts[ROWS] = 0
    done = 0
    while True:
        # What was passed in the last step is shown before the next one is taken.
        t, shown = clock[T], counts[SHOWN]
        while shown < wanted.size and direction * wanted[shown] <= direction * t and counts[STEPS] > 0:
            if counts[ROWS] == rows.shape[0]:
                return RUNNING
            if counts[PENDING] == 0:
                code = prepare(
                    address, words, kind, A_more, P, y_old, y, slopes, more, parts, clock[H_LAST], count + 1, trial,
                    change,
                )  # fmt: skip
                if code != 0:
                    return RAISED
                counts[EVALUATIONS] += A_more.shape[0]
                counts[PENDING] = 1
            row = rows[counts[ROWS]]
            if wanted[shown] == t:
                for k in range(n):
                    row[k] = y[k]
            else:
                code = between(
                    address, words, kind, A, B, wanted[shown], clock[T_OLD], clock[H_LAST], y_old, parts,
                    clock[POWERS : POWERS + parts.shape[1]], slopes, again, trial, change, row,
                )  # fmt: skip
                if code != 0:
                    return RAISED
                counts[EVALUATIONS] += count - 1 if kind == STEPPED else 0
            taken[counts[ROWS]] = counts[STEPS]
            counts[ROWS] += 1
            shown += 1
            counts[SHOWN] = shown
        if direction * (t - bound) >= 0:
            return FINISHED
        if counts[STIFF] >= STIFF_STEPS:
            return LEFT
        if done >= budget:
            return RUNNING

        smallest = 10 * abs(np.nextafter(t, direction * np.inf) - t)
        size = clock[H]
        if size > clock[MAX_STEP]:
            size = clock[MAX_STEP]
        elif size < smallest:
            size = smallest
        rejected = False
        for k in range(n):
            more[0, k] = slope[k]
        counts[PENDING] = 0
        while True:
            if size < smallest:
                return STEP_TOO_SMALL
            h = size * direction
            t_new = t + h
            if direction * (t_new - bound) > 0:
                t_new = bound
            h = t_new - t
            size = abs(h)
            code = stages(address, words, y, slopes, A, h, trial, change)
            if code != 0:
                return RAISED
            weighted(slopes[:count], B, change)
            for k in range(n):
                trial[k] = y[k] + h * change[k]
            if call(address, trial, last, words) != 0:
                return RAISED
            counts[EVALUATIONS] += count
            for k in range(n):
                one, two = abs(y[k]), abs(trial[k])
                larger = one if one > two or one != one else two
                scale[k] = atol + larger * rtol
            norm = error_norm(slopes, E, h, scale, change, other)
            if norm < 1:
                factor = MAX_FACTOR
                if norm != 0:
                    factor = SAFETY * norm ** clock[EXPONENT]
                    if not factor < MAX_FACTOR:
                        factor = MAX_FACTOR
                if rejected and not factor < 1:
                    factor = 1.0
                size *= factor
                break
            if not np.isfinite(norm):
                for s in range(1, count + 1):
                    if not all_finite(slopes[s]):
                        counts[BAD] = 1
                        for k in range(n):
                            bad[k] = slopes[s, k]
            factor = SAFETY * norm ** clock[EXPONENT]
            size *= factor if factor > MIN_FACTOR else MIN_FACTOR
            rejected = True
        counts[BAD] = 0
        if counts[WATCH]:
            weighted(slopes[: count - 1], A[count - 1, : count - 1], change)
            turn = way = 0.0
            for k in range(n):
                turn += (last[k] - slopes[count - 1, k]) ** 2
                way += (trial[k] - (y[k] + change[k] * h)) ** 2
            if way > 0 and abs(h) * np.sqrt(turn / way) > AT_LIMIT:
                counts[STIFF] += 1
                counts[EASY] = 0
            else:
                counts[EASY] += 1
                if counts[EASY] >= EASY_STEPS:
                    counts[STIFF] = 0
        done += 1
        counts[STEPS] += 1
        clock[T_OLD], clock[T], clock[H], clock[H_LAST] = t, t_new, size, h
        finite = True
        for k in range(n):
            y_old[k], y[k], slope[k] = y[k], trial[k], last[k]
            finite &= np.isfinite(trial[k])
        if not finite:
            return NOT_FINITE
        if direction * (t_new - bound) < 0:
            if counts[STEPS] >= counts[MAX_STEPS]:
                return TOO_MANY_STEPS
            if counts[EVALUATIONS] > counts[MAX_EVALUATIONS]:
                return TOO_MANY_EVALUATIONS
