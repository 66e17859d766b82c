"""Steps of an optimiser on packed states: :func:`derivations.gradient_flow.rules.one_step`, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from derivations.gradient_flow.rules import one_step, power
from dynamics.lowering.arrays import fused
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.support.typing import Vector

__all__ = ["Stepping"]


@dataclass(frozen=True, eq=False)
class Stepping:
    """An optimiser on a packed state.

    Attributes
    ----------
    optimizer : Optimizer
    rates : ndarray, shape (size,)
        The learning rate of every number relative to that of the optimiser.
    steps : int
        How many there will be.

    Examples
    --------
    >>> adam = Stepping(Optimizer("adam", lr=0.1), np.ones(2), steps=1)
    >>> y, _ = adam(0, np.array([1.0, 2.0]), np.array([3.0, -4.0]), adam.rest)
    >>> y.round(6)
    array([0.9, 2.1])
    """

    optimizer: Optimizer
    rates: Vector
    steps: int

    @property
    def averages(self) -> tuple[str, ...]:
        return tuple(str(one.symbol) for one in self.optimizer.rule.averages)

    @property
    def rest(self) -> Vector:
        """The running averages before the first step, one after another."""
        return np.zeros(len(self.averages) * self.rates.size)

    @cached_property
    def run(self) -> Any:
        names = tuple(f"{name}_next" for name in ("theta", *self.averages))
        return fused(one_step(self.optimizer.name, self.optimizer.decays), names)

    @cached_property
    def learning_rates(self) -> Vector:
        """The learning rate of every step."""
        return self.optimizer.lr * self.optimizer.schedule.factors(self.steps)

    @cached_property
    def numbers(self) -> Mapping[str, float]:
        return {**self.optimizer.numbers, "decay": self.optimizer.shrinks}

    def __call__(self, step: int, y: Vector, gradient: Vector, before: Vector) -> tuple[Vector, Vector]:
        """The state and the averages after a step, from those before it and the gradient there."""
        parts = dict(zip(self.averages, before.reshape(-1, y.size), strict=True)) if before.size else {}
        found = self.run(
            np.float64, theta=y, gradient=gradient, eta=self.rates, steps=step, lr=self.learning_rates[step], **parts,
            **self.numbers,
        )  # fmt: skip
        after = [found[f"{name}_next"] for name in self.averages]
        return found["theta_next"], np.concatenate(after) if after else before

    def divisor(self, steps: int, averages: Vector) -> Vector:
        """What an adaptive optimiser divides a gradient by after so many steps, from its averages.

        Examples
        --------
        >>> adam = Stepping(Optimizer("adam", lr=0.1, eps=0.0), np.ones(2), steps=1)
        >>> _, averages = adam(0, np.zeros(2), np.array([3.0, -4.0]), adam.rest)
        >>> adam.divisor(1, averages).round(9)
        array([3., 4.])
        """
        rule, numbers = self.optimizer.rule, self.optimizer.numbers
        (at,) = (k for k, one in enumerate(rule.averages) if one.value == power)
        square = averages.reshape(-1, self.rates.size)[at]
        if rule.averages[at].corrected:
            square = square / (1 - numbers[str(rule.averages[at].beta)] ** steps)
        return np.sqrt(square) + numbers["eps"]
