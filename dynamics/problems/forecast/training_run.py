"""The training run that is forecast: optimiser, learning rate, batch, width and steps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynamics.counts.text.options import positive
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean

__all__ = ["KINDS", "Schedule", "TrainingRun"]

KINDS = ("recurrent", "transformer")
"""What models are told apart: encoder and decoder recurrent, or both with self-attention."""

DECAYS = ("constant", "linear", "cosine")

Factor = Callable[[float], float]


@dataclass(frozen=True)
class Schedule:
    """The learning rate over steps, as a factor of the given one.

    Attributes
    ----------
    warmup : int
        Steps in which it rises from 0, evenly.
    decay : {"constant", "linear", "cosine"}
        What follows: it stays, or falls to 0 at the last step.

    Examples
    --------
    >>> Schedule.read("warmup=100,linear")
    Schedule(warmup=100, decay='linear')
    >>> [Schedule(100, "linear").factor(step, 1100) for step in (50, 100, 600, 1100)]
    [0.5, 1.0, 0.5, 0.0]
    """

    warmup: int = 0
    decay: str = "constant"

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise InputError(f"there is no decay {self.decay!r} of learning rates: choose {', '.join(DECAYS)}")
        if self.warmup:
            positive("warmup", self.warmup)

    @classmethod
    def read(cls, text: str) -> Schedule:
        """From ``warmup=400,cosine``, in any order; either part may be left out.

        Raises
        ------
        InputError
            For anything else.
        """
        found: dict[str, Any] = {}
        for part in (part.strip() for part in text.split(",")):
            match = re.fullmatch(r"warmup=(\d+)", part)
            if match:
                found["warmup"] = int(match[1])
            elif part in DECAYS:
                found["decay"] = part
            else:
                raise InputError(
                    f"schedule {text!r} is not one such as 'warmup=400,cosine'{did_you_mean(part, DECAYS)}"
                )
        return cls(**found)

    def factor(self, step: float, steps: int) -> float:
        """Of the learning rate at a step of so many."""
        if step < self.warmup:
            return step / self.warmup
        left = 1 - (step - self.warmup) / max(steps - self.warmup, 1)
        if self.decay == "linear":
            return max(left, 0.0)
        return 0.5 * (1 - math.cos(math.pi * left)) if self.decay == "cosine" else 1.0


@dataclass(frozen=True)
class TrainingRun:
    """What is known of the run.

    Attributes
    ----------
    optimizer : {"adam"}
    lr : float
        Its learning rate.
    batch : int
        Sentences in a batch.
    width : int
        Of the hidden layers.
    steps : int
        Updates of the parameters.
    schedule : Schedule
    kind : {"recurrent", "transformer"} or None
        None if it is neither or not known.
    betas : (float, float)
        Of Adam.

    Raises
    ------
    InputError
        For an optimiser or a kind that there is not, and numbers that cannot be.

    Examples
    --------
    >>> TrainingRun(optimizer="adamw")
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: no forecast for the optimizer 'adamw': choose 'adam'; did you mean 'adam'?
    """

    optimizer: str = "adam"
    lr: float = 2e-3
    batch: int = 32
    width: int = 128
    steps: int = 2400
    schedule: Schedule = Schedule()
    kind: str | None = "recurrent"
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.optimizer != "adam":
            hint = did_you_mean(str(self.optimizer), ["adam"])
            raise InputError(f"no forecast for the optimizer {self.optimizer!r}: choose 'adam'{hint}")
        if self.kind is not None and self.kind not in KINDS:
            raise InputError(f"kind is {self.kind!r}: give {' or '.join(map(repr, KINDS))}, or None if it is neither")
        if not (isinstance(self.lr, int | float) and 0 < self.lr < math.inf):
            raise InputError(f"lr is {self.lr!r}: give a number above 0")
        for name in ("batch", "width", "steps"):
            positive(name, getattr(self, name))
        if self.steps < FEWEST:
            raise InputError(f"steps is {self.steps}: a forecast needs {FEWEST} or more")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas are {self.betas}: give two numbers from 0, below 1")

    def rate(self, step: float) -> float:
        """The learning rate at a step."""
        return self.lr * self.schedule.factor(step, self.steps)


FEWEST = 20
"""Steps: with fewer of them there is nothing between the first and the last record."""
