"""What a phase diagram shows, and how its cells are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

Cells = Mapping[str, Vector]
"""Parameters by name, each of shape (cells,)."""

NEVER = np.inf
"""The time to something that does not happen."""

SHARES = frozenset({"p_t", "p_in", "alpha", "epsilon"})
"""Observables between 0 and 1, by the names that programs give them."""
SYMBOLS = {"p_t": "pₜ", "p_in": "pᵢₙ", "alpha": "α", "epsilon": "ε"}
"""As readers write them."""


@dataclass(frozen=True)
class Quantity:
    """What a phase diagram shows.

    Attributes
    ----------
    kind : {"time", "learnt", "value"}
        ``time``: until the observable passes the threshold (0 if it starts beyond, infinite if it does not pass by the
        end; over random initial states, the lower median). ``learnt``: the share of random initial states for which it
        does. ``value``: of the observable at the end (their mean).
    observable : str
        A state or a definition of the system. It passes a threshold upwards, the loss downwards.
    threshold : float

    Examples
    --------
    >>> Quantity("learnt", "alpha").label
    'probability of α ≥ 0.5 by the end'
    """

    kind: str = "time"
    observable: str = "p_t"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in ("time", "learnt", "value"):
            raise InputError(f"unknown quantity {self.kind!r}; use time, learnt or value")
        if self.kind == "value":
            return
        if self.observable in SHARES and not 0 < self.threshold < 1:
            raise InputError(f"threshold = {self.threshold}: {self.observable} is a share; give one between 0 and 1")
        if not np.isfinite(self.threshold):
            raise InputError(f"threshold = {self.threshold} must be a number")

    @property
    def falls(self) -> bool:
        """Whether the observable passes its threshold downwards."""
        return self.observable == "loss"

    @property
    def label(self) -> str:
        """In words, for axes."""
        symbol = SYMBOLS.get(self.observable, self.observable)
        if self.kind == "value":
            return f"{symbol} at the end"
        if self.observable == "exact":
            return "probability of exact learning"
        if self.observable == "recovered":
            return "probability that the true bits have the most attention"
        if self.kind == "time":
            return f"time τ to {symbol} = {self.threshold:g}"
        return f"probability of {symbol} {'≤' if self.falls else '≥'} {self.threshold:g} by the end"

    def beyond(self, value: Vector) -> NDArray[np.bool_]:
        """Whether the threshold is passed."""
        return value <= self.threshold if self.falls else value >= self.threshold

    def of(self, found: Vector) -> Vector:
        """From times of passing (or values at the end), shape (cells, draws), to one number for each cell.

        A cell one of whose draws is not a number has failed.
        """
        if self.kind == "value":
            return found.mean(axis=1)
        failed = np.isnan(found).any(axis=1)
        middle = np.sort(found, axis=1)[:, (found.shape[1] - 1) // 2]
        return np.where(failed, np.nan, middle if self.kind == "time" else np.isfinite(found).mean(axis=1))


@dataclass(frozen=True)
class Simulation:
    """How the cells of a phase diagram are simulated: full models, stochastic gradient descent on fresh examples.

    Attributes
    ----------
    lr : float
        Learning rate; runs take t_end / lr steps.
    batch : int
        Examples per step.

    Raises
    ------
    InputError
        A learning rate that is not above 0, or a batch of less than one example.

    Examples
    --------
    >>> Simulation(lr=0.5).batch
    64
    """

    lr: float = 1.0
    batch: int = 64

    def __post_init__(self) -> None:
        if not (np.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"lr = {self.lr} must be above 0")
        if self.batch < 1:
            raise InputError(f"batch = {self.batch} must be 1 or more")
