"""The learning rate from which descent is unstable."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dynamics.support.typing import Vector


def stable_rate(
    flow: Callable[[Vector, Vector], None], y: Vector, momentum: float = 0.0, iterations: int = 40
) -> float:
    """The learning rate from which descent along a flow is unstable at a state: 2 (1 + momentum) / curvature.

    The curvature is the largest eigenvalue of minus the flow's Jacobian (the Hessian, for a flow down a loss), found by
    power iteration on differences of the flow.

    Returns
    -------
    float
        Infinity where there is no positive curvature, or none that is finite.

    Examples
    --------
    >>> def flow(y, out):
    ...     out[:] = -np.array([0.5, 4.0, -5.0]) * y
    >>> round(stable_rate(flow, np.zeros(3)), 6)
    0.5
    """
    up, down = np.empty_like(y), np.empty_like(y)
    h = 1e-5 * (1 + np.abs(y).max())
    shift = 0.0
    with np.errstate(all="ignore"):
        for _ in range(2):  # the largest in size first; if it is negative, shifted, the largest
            v = np.random.default_rng(0).standard_normal(y.size)
            v /= np.linalg.norm(v)
            value = 0.0
            for _ in range(iterations):
                flow(y + h * v, up)
                flow(y - h * v, down)
                w = (down - up) / (2 * h) + shift * v
                value, norm = float(v @ w) - shift, float(np.linalg.norm(w))
                if not (math.isfinite(norm) and norm > 0):
                    return math.inf
                v = w / norm
            if value > 0:
                return 2 * (1 + momentum) / value
            shift = -value
    return math.inf
