"""A cell of a sweep, as compiled code knows it: how many are side by side, what they pass, and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["LANES", "Crossing", "Status"]

LANES = 16
"""Two vectors of 8 numbers, so that one can work while the other waits."""


class Status(IntEnum):
    """How a cell ended; failures are negative."""

    FINISHED = 0
    EVENT = 1
    NOT_FINITE = -1
    STEP_TOO_SMALL = -2
    TOO_MANY_STEPS = -3


@dataclass(frozen=True)
class Crossing:
    """An event: an observable passes a threshold.

    Attributes
    ----------
    observable : str
        A state or a definition of the program.
    rising, falling : bool
        The directions in which passing counts.
    terminal : bool
        Whether the cell ends there.
    """

    observable: str
    rising: bool
    falling: bool
    terminal: bool
