"""Whether stability limits the steps of an explicit pair, or accuracy does."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynamics.support.typing import Vector

__all__ = ["AT_LIMIT", "EASY_STEPS", "STIFF_STEPS", "Limits"]

STIFF_STEPS, EASY_STEPS, AT_LIMIT = 15, 6, 3.25
"""Steps at the limit of stability, where step times spectral radius is 3.25, after which RK45 is left, and others that
begin the count anew: those of DOPRI5, E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, IV.2."""
LOOSE, DAMPING_STEPS = 2.0, 200
"""Step times spectral radius of a stabilised method below which RK45 would not be; steps after which it counts."""


class Limits:
    """Whether stability limits the steps of RK45, or would no longer, by the steps of the last time."""

    def __init__(self) -> None:
        self.stiff, self.easy = 0, 0

    def passed(self, solver: Any) -> bool:
        if hasattr(solver, "estimate_radius"):
            # First it damps what RK45 left at the limit of its stability, in short steps.
            self.stiff += solver.h_before * solver.radius > AT_LIMIT
            loose = solver.h_before * solver.radius < LOOSE and (self.stiff > 0 or solver.steps > DAMPING_STEPS)
            self.easy = self.easy + 1 if loose else 0
            return self.easy >= STIFF_STEPS
        from scipy.integrate import RK45  # here: SciPy's solvers take their time

        if not isinstance(solver, RK45):
            return False
        K = solver.K
        ahead = solver.B.copy()
        ahead[:-1] -= solver.A[-1, : len(ahead) - 1]
        turn, way = rms(K[-1] - K[-2]), rms(ahead @ K[:-1])
        at_limit = way > 0 and turn / way > AT_LIMIT  # step times radius
        self.stiff, self.easy = (self.stiff + 1, 0) if at_limit else (self.stiff, self.easy + 1)
        self.stiff = 0 if self.easy >= EASY_STEPS else self.stiff
        return self.stiff >= STIFF_STEPS


def rms(x: Vector) -> float:
    return float(np.sqrt(np.square(x).sum() / x.size))
