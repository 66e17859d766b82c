"""ROCK4: stabilised steps of fourth order for late times of gradient flows.

Where a flow is limited by stability, the steps of RKC are as long as its second order allows. These have the error of
order 4, on an interval of stability of 0.35 s^2 for s evaluations: half that of RKC, in steps that are several times as
long at the same accuracy. A step is a list of combinations of vectors and evaluations, which one compiled loop takes.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.integrate import runge_kutta
from dynamics.integrate.chebyshev import RKC, recurrence
from dynamics.integrate.stabilised.finish import finish
from dynamics.integrate.stabilised.polynomials import LADDER, factors, interval
from dynamics.lowering.machine.entries import call
from dynamics.support.machine_code import kept
from dynamics.support.typing import Vector

__all__ = ["ROCK4"]

Y, F, ONE, OTHER, NEW, SLOPE = range(6)
K = 6
"""Where the slopes of the last four stages stand, and the one at the end of the step."""
VECTORS = K + 5
NONE = -1
INTERVALS = [interval(stages) for stages in LADDER]


@dataclass(frozen=True, eq=False)
class Plan:
    """A step as a list: a combination of five vectors, and where the slope there goes.

    Attributes
    ----------
    fixed, by_step : ndarray, shape (combinations, 5)
        Coefficients: ``fixed + h by_step``.
    operands, results : ndarray of int, shapes (combinations, 5) and (combinations, 2)
        Which vectors; where the combination goes, and its slope.
    times : ndarray, shape (combinations,)
        Where each combination stands in time, in a step of size 1.
    estimate : ndarray, shape (5,)
        Weights of the last five slopes in the estimate of the error.
    """

    fixed: NDArray[np.float64]
    by_step: NDArray[np.float64]
    operands: NDArray[np.int64]
    results: NDArray[np.int64]
    times: Vector
    estimate: Vector


@cache
def plan(stages: int) -> Plan:
    """The combinations of a step of so many stages."""
    _, rows = factors(stages)
    last = finish(stages)
    lines: list[tuple[list[float], list[float], list[int], tuple[int, int], float]] = []
    place, before, time, time_before = Y, Y, 0.0, 0.0
    for k, (mu, nu, kappa) in enumerate(rows):
        slope = F if k == 0 else SLOPE
        target = (ONE, OTHER)[k % 2]
        goes = SLOPE if k + 1 < len(rows) else K
        time, time_before = mu + nu * time + kappa * time_before, time
        lines.append(
            ([0, nu, kappa, 0, 0], [0, 0, 0, mu, 0], [place, place, before, slope, slope], (target, goes), time)
        )
        place, before = target, place
    spare = OTHER if place == ONE else ONE
    slopes = [K, K + 1, K + 2, K + 3]
    for k in (1, 2, 3):
        seen = [*slopes[:k], *slopes[:1] * (4 - k)]  # the first again, times 0
        lines.append(([1, 0, 0, 0, 0], [0, *last.A[k]], [place, *seen], (spare, K + k), float(last.times[k])))
    lines.append(([1, 0, 0, 0, 0], [0, *last.b], [place, *slopes], (NEW, K + 4), 1.0))
    fixed, by_step, operands, results, times = zip(*lines, strict=True)
    return Plan(
        np.array(fixed, float), np.array(by_step, float), np.array(operands), np.array(results), np.array(times), last.d
    )


@kept(error_model="numpy")
def compiled(address, words, vectors, fixed, by_step, operands, results, h):
    """All combinations of a step and their slopes; which one failed, if one did."""
    for k in range(results.shape[0]):
        parts = fixed[k] + h * by_step[k]
        at, target, slope = operands[k], results[k, 0], results[k, 1]
        recurrence(
            vectors[target], parts[0], vectors[at[0]], parts[1], vectors[at[1]], parts[2], vectors[at[2]], parts[3],
            vectors[at[3]], parts[4], vectors[at[4]],
        )  # fmt: skip
        if call(address, vectors[target], vectors[slope], words) != 0:
            return k
    return NONE


class ROCK4(RKC):
    """ROCK4, with as many stages as the spectral radius asks for.

    Parameters
    ----------
    fun, t0, y0, t_bound, into, rtol, atol, max_step, first_step, vectorized
        As for :class:`dynamics.integrate.chebyshev.RKC`.

    Notes
    -----
    A. Abdulle, Fourth order Chebyshev methods with recurrence relation, SIAM J. Sci. Comput. 23 (2002) 2041-2054. The
    coefficients are not those of its tables: they are computed (:mod:`dynamics.integrate.stabilised.polynomials`). The
    error of a step is estimated to order 4, so that errors over a span go down with the tolerance.

    Examples
    --------
    >>> from scipy.integrate import solve_ivp
    >>> rates = np.array([1e-3, 1e3])
    >>> found = solve_ivp(lambda t, y: -rates * y, (0, 1e3), [1.0, 1.0], method=ROCK4, rtol=1e-6)
    >>> float(found.y[0, -1].round(6)), found.nfev < 10_000  # an explicit pair takes 2,000,000
    (0.36788, True)
    """

    power = 1 / 4

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.vectors = np.zeros((VECTORS, self.y.size))
        self.slope = self.vectors[SLOPE]
        self.native = getattr(self.into, "native", None)

    def reach(self, h_abs: float) -> tuple[int, float]:
        wanted = bisect_left(INTERVALS, h_abs * self.radius)
        if wanted == len(LADDER):
            return LADDER[-1], INTERVALS[-1] / self.radius
        return LADDER[wanted], h_abs

    def attempt(self, h: float, stages: int, new: Vector) -> float:
        vectors, steps = self.vectors, plan(stages)
        vectors[Y], vectors[F] = self.y, self.f
        if self.native is None:
            self.stages(self.y, h, stages, new)
        else:
            failed = compiled(
                self.native.address, self.native.words, vectors, steps.fixed, steps.by_step, steps.operands,
                steps.results, h,
            )  # fmt: skip
            self.nfev += len(steps.times)
            if failed != NONE:  # and does so again
                self.evaluate(self.t, vectors[steps.results[failed, 0]], self.slope)
        new[:], self.first[:] = vectors[NEW], vectors[K + 4]
        return float(runge_kutta.error_norm(self.y, new, vectors[K : K + 5], h * steps.estimate, self.rtol, self.atol))

    def stages(self, y: Vector, h: float, s: int, new: Vector) -> None:
        """The combinations of a step one by one, for a right-hand side that is not compiled."""
        vectors, steps = self.vectors, plan(s)
        for k, (target, slope) in enumerate(steps.results):
            parts = zip(steps.fixed[k] + h * steps.by_step[k], vectors[steps.operands[k]], strict=True)
            recurrence(vectors[target], *chain.from_iterable(parts))
            self.evaluate(self.t + steps.times[k] * h, vectors[target], vectors[slope])
        new[:] = vectors[NEW]
