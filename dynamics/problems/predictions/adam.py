"""Adam on the states of a model, some of its steps at once: :func:`derivations.gradient_flow.optimisers.adam`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.gradient_flow.optimisers import adam
from dynamics.lowering.arrays import fused

__all__ = ["Adam", "Averages"]

NEXT = ("theta_next", "first_next", "second_next")


@dataclass(frozen=True)
class Averages:
    """What Adam remembers: running averages of the gradient and of its square, and for how many steps.

    Attributes
    ----------
    first, second : mapping of str to array
        By state.
    time : float
        Steps so far.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    time: float = 0.0

    @classmethod
    def none(cls, tensors: Mapping[str, Any]) -> Averages:
        """Those of a model that has made no step."""
        zeros = {name: np.zeros_like(value) for name, value in tensors.items()}
        return cls(zeros, dict(zeros))


@dataclass(frozen=True)
class Adam:
    """Adam's options.

    Attributes
    ----------
    lr : float
    b1, b2 : float
        What averages keep from one step to the next.
    eps : float
        Added to the root of the average of squares.
    batch : float
        Examples of a batch.

    Examples
    --------
    >>> theta = {"W": np.array([1.0])}
    >>> theta, averages = Adam(lr=0.1).step(theta, Averages.none(theta), {"W": np.array([2.0])})
    >>> round(float(theta["W"][0]), 6), averages.time
    (0.9, 1.0)
    """

    lr: float
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    batch: float = 1.0

    def step(
        self, tensors: Mapping[str, Any], averages: Averages, gradient: Mapping[str, Any],
        moments: Mapping[str, Any] | None = None, examples: float = 1.0, steps: float = 1.0,
    ) -> tuple[dict[str, Any], Averages]:  # fmt: skip
        """The states after some steps, and what is remembered then.

        Parameters
        ----------
        tensors, gradient : mapping of str to array
            By state.
        moments : mapping of str to array, optional
            Sums of squared contributions to the gradient; without them the gradient is taken to be that of a batch.
        examples : float
            How many examples the gradient is a mean over.
        steps : float
            How many steps are taken at once.
        """
        found: tuple[dict[str, Any], ...] = ({}, {}, {})
        run = fused(adam(), NEXT)
        for name, theta in tensors.items():
            after = run(
                theta.dtype.type,
                theta=theta.reshape(-1), first=averages.first[name].reshape(-1),
                second=averages.second[name].reshape(-1), gradient=gradient[name].reshape(-1),
                moment=(moments or gradient)[name].reshape(-1), examples=examples if moments else self.batch,
                step=steps, time=averages.time, lr=self.lr, beta_1=self.b1, beta_2=self.b2, softening=self.eps,
                batch=self.batch,
            )  # fmt: skip
            for one, what in zip(found, NEXT, strict=True):
                one[name] = after[what].reshape(theta.shape)
        return found[0], Averages(found[1], found[2], averages.time + steps)
