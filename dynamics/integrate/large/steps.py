"""Steps of RK45 and RK23 over large states, one after the other in compiled code.

They are those of :class:`dynamics.integrate.runge_kutta.CompiledRK45` to the last bit. Python between them, and arrays
that are made anew for each, are a twentieth of an integration on one thread and a tenth of it on two: no loop here
over the state is on one thread alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dynamics.integrate.run import (
    ATOL,
    BOUND,
    DIRECTION,
    EVALUATIONS,
    EXPONENT,
    FINISHED,
    H_LAST,
    MAX_EVALUATIONS,
    MAX_STEP,
    MAX_STEPS,
    NOT_FINITE,
    RAISED,
    ROWS,
    RTOL,
    RUNNING,
    STEP_TOO_SMALL,
    STEPS,
    T_OLD,
    TOO_MANY_EVALUATIONS,
    TOO_MANY_STEPS,
    H,
    T,
)
from dynamics.integrate.runge_kutta import (
    CHUNKS,
    MAX_FACTOR,
    MIN_FACTOR,
    OPTIONS,
    SAFETY,
    each_combined,
    each_squared_errors,
    joined,
)
from dynamics.lowering.machine.entries import call
from dynamics.lowering.machine.parallel import in_turns
from dynamics.support.machine_code import kept

__all__ = ["advance"]


@njit(**OPTIONS)
def copied(chunk, source, target):
    n = source.size
    lo, hi = chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS
    before, after = source[lo:hi], target[lo:hi]
    for k in range(after.size):
        after[k] = before[k]


@njit(**OPTIONS)
def looked_at(chunk, finite, y):
    n = y.size
    part = y[chunk * n // CHUNKS : (chunk + 1) * n // CHUNKS]
    rest = 0.0
    for k in range(part.size):
        rest += part[k] * 0.0
    finite[chunk] = rest


each_copied, each_looked_at = in_turns(copied), in_turns(looked_at)


@kept(error_model="numpy", nogil=True)
def advance(address, words, A, B, E, states, slopes, parts, errors, weights, clock, counts, until, budget):
    """Steps until a time is passed, the budget is used up, or the integration is over: which of them.

    Parameters
    ----------
    address, words : int, ndarray
        The right-hand side, as :class:`dynamics.lowering.machine.native.Native` has it.
    A, B, E : ndarray
        The coefficients of the pair.
    states : ndarray, shape (2, n)
        The state, in row ``counts[ROWS]``, and the one before it.
    slopes : ndarray, shape (stages + 1, n)
        Those of the last step; the last one is of the state.
    parts, errors, weights : ndarray
        Space.
    clock, counts : ndarray
        Where the integration stands (:mod:`dynamics.integrate.run`).
    """
    count = A.shape[0]
    direction, bound, rtol, atol = clock[DIRECTION], clock[BOUND], clock[RTOL], clock[ATOL]
    last = slopes[count]
    done = 0
    while True:
        t = clock[T]
        if direction * (t - bound) >= 0:
            return FINISHED
        if done >= budget or (done > 0 and direction * (until - t) <= 0):
            return RUNNING
        y, new = states[counts[ROWS]], states[1 - counts[ROWS]]
        smallest = 10 * abs(np.nextafter(t, direction * np.inf) - t)
        size = min(max(clock[H], smallest), clock[MAX_STEP])
        rejected = False
        each_copied(CHUNKS, (last, slopes[0]))
        while True:
            if size < smallest:
                return STEP_TOO_SMALL
            t_new = t + size * direction
            if direction * (t_new - bound) > 0:
                t_new = bound
            h = t_new - t
            size = abs(h)
            for s in range(1, count + 1):
                row = A[s] if s < count else B
                for k in range(row.size):
                    weights[k] = h * row[k]
                each_combined(CHUNKS, (y, slopes, weights, s, new))
                if call(address, new, slopes[s], words) != 0:
                    return RAISED
            counts[EVALUATIONS] += count
            for k in range(count + 1):
                weights[k] = h * E[0, k]
            each_squared_errors(CHUNKS, (parts, errors, y, new, slopes, weights, rtol, atol))
            norm = joined(parts, y.size)
            if norm < 1:
                break
            # Not a number compares false: the step shrinks until it is too small, which ends with a message.
            size *= max(MIN_FACTOR, SAFETY * norm ** clock[EXPONENT]) if np.isfinite(norm) else MIN_FACTOR
            rejected = True
        factor = MAX_FACTOR if norm == 0 else min(MAX_FACTOR, SAFETY * norm ** clock[EXPONENT])
        done += 1
        counts[STEPS] += 1
        counts[ROWS] = 1 - counts[ROWS]
        clock[T_OLD], clock[T], clock[H_LAST] = t, t_new, h
        clock[H] = size * (min(1.0, factor) if rejected else factor)
        each_looked_at(CHUNKS, (parts, new))
        rest = 0.0
        for chunk in range(CHUNKS):
            rest += parts[chunk]
        if not np.isfinite(rest):
            return NOT_FINITE
        if direction * (t_new - bound) < 0:
            if counts[STEPS] >= counts[MAX_STEPS]:
                return TOO_MANY_STEPS
            if counts[EVALUATIONS] > counts[MAX_EVALUATIONS]:
                return TOO_MANY_EVALUATIONS
