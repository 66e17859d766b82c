"""Looking at the curvature along a flow, or at the records of a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np

from dynamics.problems.optimisers.curvature import Apply, Stability, by_tangents, largest, limit_of
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError, StabilityWarning
from dynamics.support.typing import Vector

__all__ = ["LOOKS", "looked", "looked_at", "require_limit"]

LOOKS = 16
"""Times at which the curvature along a flow is looked at."""


def require_limit(optimizer: Optimizer | None) -> None:
    """Raise InputError unless steps have a limit of stability."""
    if optimizer is None:
        raise InputError("stability is of steps: give lr, or an optimizer, or leave it out")
    if limit_of(optimizer) is None:
        raise InputError(f"steps of {optimizer.name} oscillate at any learning rate; leave stability out")


def looked(
    plain: Problem, chosen: Problem, optimizer: Optimizer, rates: Mapping[str, float], time: Vector, ticks: Vector,
    states: Mapping[int, Vector | None],
) -> Stability:  # fmt: skip
    """The curvature of a problem at states of the flow of an optimiser on it, and a warning where steps leave it.

    Parameters
    ----------
    plain, chosen : Problem
        The gradient flow, and the flow that was solved.
    states : mapping of int to ndarray
        By the number of their time.
    """
    apply = by_tangents(plain, dict(rates))
    names = tuple(chosen.program.scales.get(name, "") for name in plain.program.state_names)
    divided = None
    if all(names):
        kernel = chosen.kernel(names)
        bound = kernel.bind(chosen.arrays, chosen.all_numbers(rates))

        def divided(y: Vector) -> Vector:
            out = np.empty(bound.output_size)
            bound(y, out)
            return out

    at = [k for k, y in states.items() if y is not None]
    return looked_at(apply, optimizer, rates_of(plain, rates), time[at], ticks[at], [states[k] for k in at], divided)


def rates_of(problem: Problem, rates: Mapping[str, float]) -> Vector:
    """The learning rate of every number of the packed state."""
    kernel = problem.kernel(())
    views = kernel.bind(problem.arrays, problem.all_numbers(rates)).states(problem.initial())
    return np.concatenate([np.full(view.size, rates.get(name, 1.0)) for name, view in views.items()])


def looked_at(
    apply: Apply, optimizer: Optimizer, eta: Vector, time: Vector, steps: Vector, states: list[Vector | None],
    divided: Callable[[Vector], Vector] | None = None,
) -> Stability:  # fmt: skip
    """The curvature at some states; a warning if it is beyond the limit of steps."""
    found = np.full(len(states), np.nan)
    shrinks = optimizer.shrinks * eta if optimizer.decays == "coupled" else 0.0
    for k, y in enumerate(states):
        assert y is not None
        size = np.ones(1) if divided is None else divided(y)
        inner = y[: eta.size]

        def product(v: Vector, inner: Vector = inner, size: Vector = size) -> Vector:
            return (apply(inner, v) + shrinks * v) / size

        found[k] = largest(product, eta.size)
    lr = optimizer.lr * optimizer.schedule.factors(np.floor(steps))
    stable = Stability(optimizer, time, lr, found)
    if stable.passed:
        warnings.warn(StabilityWarning(str(stable)), stacklevel=3)
    return stable
