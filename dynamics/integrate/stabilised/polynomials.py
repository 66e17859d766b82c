"""Stability polynomials of order 4 that stay small on a long interval: from orthogonal polynomials.

A. Abdulle, Fourth order Chebyshev methods with recurrence relation, SIAM J. Sci. Comput. 23 (2002) 2041-2054: with s
stages, R(z) = w(z) P(z), where w is of degree 4 and P of degree s - 4. All zeros of w are complex; P is orthogonal with
the weight w(x)^2/sqrt(1 - x^2) on the interval of stability, so that w P swings evenly there, and has a recurrence of
three terms, whose steps are stages. Order 4 means that w P and exp(z) agree up to z^4, so w is the quotient of exp(z)
and P up to there: P follows from w, w follows from P, and Newton's method finds both. Nothing is tabulated.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dynamics.support.machine_code import kept

__all__ = ["LADDER", "factors", "interval"]

DENSITY, SHORT = 0.35, 3.0
"""The interval of stability of s stages is 0.35 s^2 - 3: there |R| < 0.95 but near 0."""
NEAR = 0.05
"""Where the weight begins: near 0, R is exp(z), whatever is asked for."""
GUESS = np.array([1.0, 0.67, 0.23, 0.054, 0.0096])
"""w of many stages, about: it has a limit."""
FEWEST, MOST = 5, 1000
LADDER = tuple(dict.fromkeys([*range(FEWEST, 13), *(round(12 * 1.08**k) for k in range(1, 58)), MOST]))
"""Numbers of stages that steps have: few, as each has coefficients of its own."""
EXPONENTIAL = np.array([1.0, 1.0, 1 / 2, 1 / 6, 1 / 24])


def interval(stages: int) -> float:
    """Up to where on the negative axis a number of stages is stable.

    Examples
    --------
    >>> [round(interval(stages), 1) for stages in (5, 10, 100)]
    [5.8, 32.0, 3497.0]
    """
    return DENSITY * stages**2 - SHORT


@kept(error_model="numpy")
def orthogonal(w, degree, end, rows):
    """The recurrence P_k+1 = (mu z + nu) P_k + kappa P_k-1 of what is orthogonal with a weight, each 1 at z = 0.

    By Stieltjes' procedure at more Chebyshev nodes than the degree asks for, where sums are integrals.
    """
    count = 2 * degree + 24
    x, z, weight = np.empty(count), np.empty(count), np.empty(count)
    half = 0.5 * (end - NEAR)
    at_zero = 1.0 + NEAR / half
    total = 0.0
    for k in range(count):
        x[k] = np.cos(np.pi * (k + 0.5) / count)
        z[k] = (x[k] - at_zero) * half
        value = (((w[4] * z[k] + w[3]) * z[k] + w[2]) * z[k] + w[1]) * z[k] + w[0]
        weight[k] = value * value
        total += weight[k]
    before, last = np.zeros(count), np.ones(count)
    size_before, ratio = total, 0.0
    for row in range(degree):
        size = moment = 0.0
        for k in range(count):
            part = weight[k] * last[k] * last[k]
            size += part
            moment += part * x[k]
        centre = at_zero - moment / size
        coupling = 0.0 if row == 0 else size / size_before * ratio  # over the ratio before, as P is 1 at 0
        ratio = centre - coupling
        mu, nu, kappa = 1.0 / (half * ratio), centre / ratio, -coupling / ratio
        rows[row, 0], rows[row, 1], rows[row, 2] = mu, nu, kappa
        for k in range(count):
            value = (mu * z[k] + nu) * last[k] + kappa * before[k]
            before[k], last[k] = last[k], value
        size_before = size


def series(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """P up to z^4."""
    before, last = np.zeros(5), np.eye(5)[0]
    for mu, nu, kappa in rows:
        following = nu * last + kappa * before
        following[1:] += mu * last[:-1]
        before, last = last, following
    return last


def quotient(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(z)/p(z) up to z^4."""
    w = np.zeros(5)
    for k in range(5):
        w[k] = EXPONENTIAL[k] - w[:k] @ p[k:0:-1]
    return w


@cache
def factors(stages: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The polynomials w and P of a number of stages.

    Returns
    -------
    w : ndarray, shape (5,)
        Coefficients of 1, z, ..., z^4.
    rows : ndarray, shape (stages - 4, 3)
        mu, nu and kappa of the recurrence of P.

    Examples
    --------
    >>> w, rows = factors(20)
    >>> w.round(3).tolist(), rows.shape
    ([1.0, 0.678, 0.236, 0.056, 0.01], (16, 3))
    """
    rows = np.empty((stages - 4, 3))
    end = interval(stages)

    def rest(w: NDArray[np.float64]) -> NDArray[np.float64]:
        orthogonal(w, stages - 4, end, rows)
        return (quotient(series(rows)) - w)[1:]

    w = GUESS.copy()
    for _ in range(ITERATIONS):
        lack = rest(w)
        if np.abs(lack).max() < ROUNDING:
            break
        slopes = np.empty((4, 4))
        for k in range(4):
            moved = w.copy()
            moved[k + 1] *= 1 + DIFFERENCE
            slopes[:, k] = (rest(moved) - lack) / (DIFFERENCE * w[k + 1])
        w[1:] -= np.linalg.solve(slopes, lack)
    orthogonal(w, stages - 4, end, rows)
    return quotient(series(rows)), rows


ITERATIONS, DIFFERENCE, ROUNDING = 12, 1e-6, 1e-11
"""Of Newton's method; what it leaves moves the interval, and not the order: w is a quotient in the end."""
