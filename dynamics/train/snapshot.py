"""A seed's descent as far as it has come."""

from __future__ import annotations

from dataclasses import dataclass

from dynamics.support.typing import Vector


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One seed's descent, as far as it has come: all that is needed to go on to the same bits.

    Attributes
    ----------
    y, velocity : ndarray, shape (size,)
        Packed states after ``step`` steps, and their velocity.
    random : str
        The state of the generator of minibatches, as JSON.
    states : ndarray, shape (records so far, size)
    loss : ndarray, shape (records so far,)
    """

    seed: int
    step: int
    y: Vector
    velocity: Vector
    random: str
    states: Vector
    loss: Vector


class Diverged(Exception):
    """A state or a loss is not finite; carries what was kept until then."""

    def __init__(self, what: str, step: int, kept: Snapshot):
        super().__init__(what)
        self.what, self.step, self.kept = what, step, kept
