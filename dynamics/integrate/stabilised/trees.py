"""Rooted trees up to order 4, and what they say of a Runge-Kutta method: its expansion in powers of the step.

J. C. Butcher; E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration, III.1: a method has order 4 where its
coefficients at these eight trees are those of the solution, one over the density of the tree.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

__all__ = ["BRANCHES", "ORDERS", "SOLUTION", "SYMMETRIES", "slope"]

BRANCHES: tuple[tuple[int, ...], ...] = ((), (0,), (0, 0), (1,), (0, 0, 0), (0, 1), (2,), (3,))
"""Each tree by those that grow from its root, which stand before it."""


def densities() -> list[int]:
    orders: list[int] = []
    found: list[int] = []
    for branches in BRANCHES:
        orders.append(1 + sum(orders[k] for k in branches))
        found.append(orders[-1] * prod(found[k] for k in branches))
    return found


ORDERS = np.array([1, 2, 3, 3, 4, 4, 4, 4])
SOLUTION = 1.0 / np.array(densities())
SYMMETRIES = np.array([1, 1, 2, 1, 6, 1, 2, 1])


def slope(expansion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The expansion of h f(g) from that of g.

    Examples
    --------
    >>> slope(SOLUTION) * ORDERS == 0  # h f of the solution is h times its derivative: no zeros
    array([False, False, False, False, False, False, False, False])
    >>> np.allclose(slope(SOLUTION), SOLUTION * ORDERS)
    True
    """
    return np.array([prod((expansion[k] for k in branches), start=1.0) for branches in BRANCHES])
