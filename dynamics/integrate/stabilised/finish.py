"""The last four stages of a stabilised step of order 4, and the estimate of its error.

The recurrence of P comes first; what it leaves of the stability polynomial, w, is made by four stages from there. For
flows that are not linear the eight conditions of order 4 are to hold for both together. They are those of classical
pairs with other right sides: given the nodes, the weights follow from four linear equations, the rest from three, and
the last node from what is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from dynamics.integrate.stabilised.polynomials import factors
from dynamics.integrate.stabilised.trees import ORDERS, SOLUTION, SYMMETRIES, slope

__all__ = ["Finish", "finish"]

Array = NDArray[np.float64]

SECOND, THIRD, FOURTH = 0.26, 0.6, (0.95, 1.15)
"""Nodes over the sum of the weights: the first two are where errors of order 5 are smallest, the last lies between."""
ESTIMATE = 0.005
"""Size of the estimate of the error, as a root of squares over the trees of order 4."""


@dataclass(frozen=True, eq=False)
class Finish:
    """Coefficients of the last stages, in a step of size 1.

    Attributes
    ----------
    A : ndarray, shape (4, 4)
        Of the slopes before, at each stage, from where the recurrence ends.
    b : ndarray, shape (4,)
        Weights of the four slopes in the step.
    d : ndarray, shape (5,)
        Weights of these and of the slope at the end, in the estimate of the error.
    times : ndarray, shape (4,)
        Where the stages stand in time.
    """

    A: Array
    b: Array
    d: Array
    times: Array


@cache
def finish(stages: int) -> Finish:
    """The last stages of a step of so many.

    Examples
    --------
    >>> found = finish(20)
    >>> found.b.round(3).tolist(), float(found.times[0].round(3))
    ([-0.029, 0.349, 0.26, 0.098], 0.322)
    """
    w, rows = factors(stages)
    begun = recurred(rows)
    total = w[1]

    def of(last: float) -> tuple[Array, Array, float]:
        return method(w, begun, (SECOND * total, THIRD * total, last * total))

    A, b, _ = of(brentq(lambda last: of(last)[2], *FOURTH, xtol=1e-15))
    places: list[Array] = []
    for row in A:
        places.append(begun + sum((a * slope(g) for a, g in zip(row, places, strict=False)), np.zeros(len(begun))))
    end = begun + sum(weight * slope(g) for weight, g in zip(b, places, strict=True))
    slopes = np.array([slope(g) for g in (*places, end)])
    d = np.linalg.svd(slopes[:, ORDERS < 4].T)[2][-1]  # what five slopes have in none of the orders up to 3
    seen = (d @ slopes / SYMMETRIES)[ORDERS == 4]
    d *= np.copysign(ESTIMATE / np.sqrt(seen @ seen), d[-1])
    return Finish(A, b, d, np.array([g[0] for g in places]))


def recurred(rows: Array) -> Array:
    """The expansion of where the recurrence ends, without the starting point."""
    before, last = np.zeros(len(SOLUTION)), np.zeros(len(SOLUTION))
    for mu, nu, kappa in rows:
        before, last = last, mu * slope(last) + nu * last + kappa * before
    return last


def method(w: Array, p: Array, nodes: tuple[float, float, float]) -> tuple[Array, Array, float]:
    """Coefficients that meet all conditions but one, given the nodes, and by how much they miss that one.

    Moments of the method from where the recurrence ends, whose expansion is p: each condition of the whole step is one
    of them, less what the recurrence has contributed.
    """
    w1, w2, w3, w4 = w[1:]
    p1, p11, p2, p111, p12, p1_1 = p[0], p[2], p[1], p[4], p[5], p[6]
    s3, s4, s5, s6 = SOLUTION[2], SOLUTION[4], SOLUTION[5], SOLUTION[6]
    squares = s3 - p11 - 2 * p1 * w2 - p1**2 * w1  # sum of b c^2
    cubes = s4 - p111 - 3 * p1 * squares - 3 * p1**2 * w2 - p1**3 * w1  # of b c^3
    mixed = s5 - p12 - p1 * p2 * w1 - p1**2 * w2 - p1 * w3 - p2 * w2 - p1 * squares  # of b c A c
    inner = s6 - p1_1 - p11 * w1 - p1**2 * w2 - 2 * p1 * w3  # of b A c^2
    c = np.array([0.0, *nodes])
    b = np.linalg.solve(np.vander(c, increasing=True).T, [w1, w2, squares, cubes])
    lower = np.array(
        [
            [b[2] * c[1], b[3] * c[1], b[3] * c[2]],
            [b[2] * c[2] * c[1], b[3] * c[3] * c[1], b[3] * c[3] * c[2]],
            [b[2] * c[1] ** 2, b[3] * c[1] ** 2, b[3] * c[2] ** 2],
        ]
    )
    a32, a42, a43 = np.linalg.solve(lower, [w3, mixed, inner])
    A = np.zeros((4, 4))
    A[1, 0] = c[1]
    A[2, :2] = c[2] - a32, a32
    A[3, :3] = c[3] - a42 - a43, a42, a43
    return A, b, b[3] * a43 * a32 * c[1] - w4
