"""The largest curvature along a flow, and where the steps of an optimiser do not follow it any more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from derivations.gradient_flow.stability import alternating
from derivations.gradient_flow.tangents import linearised
from derivations.program import ProgramError
from dynamics.lowering import lower
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["Stability", "by_differences", "by_tangents", "largest", "limit_of", "looks"]

Apply = Callable[[Vector, Vector], Vector]
"""Minus the Jacobian of a flow at a state, times a direction: the Hessian of the loss times the rates."""

MOST, CLOSE = 40, 1e-3
"""Products with the Hessian, and the relative change of the largest eigenvalue at which there are enough of them."""


def by_tangents(problem: Problem, rates: dict[str, float]) -> Apply:
    """Products with the Hessian by the tangents of the flow, compiled.

    Raises
    ------
    InputError
        The flow has no tangents.
    """
    try:
        moved = linearised(problem.program)
    except ProgramError as error:
        raise InputError(str(error)) from None
    names = [moved.flow[moved.tangents[state]] for state in problem.program.state_names]
    kernel = lower(moved, names, parallel=problem.parallel, constants=problem.constants)
    bound = kernel.bind(problem.arrays, problem.all_numbers(rates))
    both, out = np.empty(bound.state_size), np.empty(bound.output_size)

    def apply(y: Vector, v: Vector) -> Vector:
        both[: y.size], both[y.size :] = y, v
        bound(both, out)
        return -out

    return apply


def by_differences(flow: Callable[[Vector, Vector], None]) -> Apply:
    """Products with the Hessian by central differences of a flow that is compiled already."""

    def apply(y: Vector, v: Vector) -> Vector:
        up, down = np.empty_like(y), np.empty_like(y)
        h = 1e-5 * (1 + np.abs(y).max()) / max(float(np.abs(v).max()), 1e-300)
        flow(y + h * v, up)
        flow(y - h * v, down)
        return (down - up) / (2 * h)

    return apply


def largest(apply: Callable[[Vector], Vector], size: int, most: int = MOST, close: float = CLOSE) -> float:
    """The largest eigenvalue of a matrix with real ones, from its products, by Lanczos' method.

    The matrix need not be symmetric: a Hessian times rates is so in another scalar product only. Vectors are made
    orthogonal to all before them, so that nothing is found twice.

    Returns
    -------
    float
        From below; NaN if a product is not finite.

    Examples
    --------
    >>> values = np.array([0.5, 4.0, -9.0])
    >>> round(largest(lambda v: values * v, 3), 9)
    4.0
    """
    v = np.random.default_rng(0).standard_normal(size)
    basis = [v / np.linalg.norm(v)]
    hessenberg = np.zeros((most + 1, most))
    found = -math.inf
    for k in range(min(most, size)):
        w = apply(basis[k])
        if not np.isfinite(w).all():
            return math.nan
        for _ in range(2):
            for i, b in enumerate(basis):
                part = float(b @ w)
                hessenberg[i, k] += part
                w = w - part * b
        before, values = found, np.linalg.eigvals(hessenberg[: k + 1, : k + 1])
        found = float(values.real.max())
        rest = float(np.linalg.norm(w))
        if rest <= 1e-12 * max(np.abs(values).max(), 1e-300) or (k > 3 and abs(found - before) <= close * abs(found)):
            break
        hessenberg[k + 1, k] = rest
        basis.append(w / rest)
    return found


def limit_of(optimizer: Optimizer) -> float | None:
    """lr times curvature beyond which oscillations grow; of adaptive optimisers, curvature over the root of squares.

    Examples
    --------
    (2.0, 3.8, None)
    >>> round(limit_of(Optimizer("adam", 1e-3)), 9)
    38.0
    """
    response = alternating(optimizer.name)
    if response is None:
        return None
    known = {p: optimizer.numbers[p.name] for p in optimizer.rule.parameters if p.name != "eps"}
    names = {s.name: s for s in response.free_symbols}
    if "square" in names:
        response = response * (names["eps"] + names["square"] ** 0.5)
        response = response.subs({names["eps"]: 0, names["square"]: 1})
    return float(2 / response.subs(known))


@dataclass(frozen=True)
class Stability:
    """The curvature at some times, and what it means for steps.

    Attributes
    ----------
    optimizer : Optimizer
    time : ndarray, shape (looks,)
    lr : ndarray, shape (looks,)
        The learning rate of the step there.
    curvature : ndarray, shape (looks,)
        Divided by the root of the mean square of gradients, for adaptive optimisers.
    """

    optimizer: Optimizer
    time: Vector
    lr: Vector
    curvature: Vector

    @property
    def limit(self) -> float:
        """lr times curvature beyond which steps do not follow."""
        found = limit_of(self.optimizer)
        assert found is not None
        return found

    @property
    def share(self) -> Vector:
        """lr times curvature, over the limit."""
        return self.lr * self.curvature / self.limit

    def along(self, time: Vector) -> tuple[str, Vector, dict[str, str]]:
        """The curvature as a variable over some times, NaN where it was not looked at."""
        found = np.full(time.shape, np.nan)
        found[np.searchsorted(time, self.time)] = self.curvature
        of = " over the root of mean squares" if self.optimizer.rule.is_adaptive else ""
        return "time", found, {"long_name": f"largest eigenvalue of the Hessian times rates{of}", "units": "1"}

    @property
    def passed(self) -> bool:
        return bool(np.nanmax(self.share, initial=-math.inf) > 1)

    def __str__(self) -> str:
        """One line."""
        share = np.nan_to_num(self.share, nan=-math.inf)
        what = "curvature" if not self.optimizer.rule.is_adaptive else "curvature over the root of squares"
        if not self.passed:
            return f"lr x {what} is at most {share.max() * self.limit:.3g}, within the {self.limit:.3g} of stable steps"
        first = int(np.argmax(share > 1))
        rate = self.optimizer.lr / float(share.max())
        return (
            f"steps of {self.optimizer.name} leave the flow: at tau = {self.time[first]:.3g} lr x {what} is"
            f" {share[first] * self.limit:.3g}, beyond the {self.limit:.3g} of stable steps;"
            f" lr below {rate:.2g} would do"
        )


def looks(count: int, most: int) -> Sequence[int]:
    """Some of so many records, the first among them, spread evenly."""
    return sorted({round(k) for k in np.linspace(0, count - 1, max(1, min(most, count)))})
