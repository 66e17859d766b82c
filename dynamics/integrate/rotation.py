"""Right-hand sides that take turns: every accepted step of an integration goes by the next one.

Where the slope is a mean over many parts, such as groups of sentences, one part a step costs a fraction of the mean.
The parts come in a random order, all of them once before one comes again, so that over a round each has the same number
of steps; the solution follows the mean, with a noise that falls with the share of the time that a step takes and with
the distance between the parts. Steps of stochastic descent at a large rate are of this kind too.

What error control means here: it bounds the error of each step along the part that has its turn, and knows nothing of
the noise, which two integrations with other orders or other parts show. What dense output means: the interpolant of a
step follows its own part; from one step to the next the state is continuous and the slope is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    from scipy.integrate import OdeSolver

__all__ = ["Rotation", "rotated"]

Into = Callable[[Vector, Vector], None]


class Rotation:
    """Right-hand sides in turn; called as one of them, ``rotation(y, out)``, until ``turn`` gives the next its turn.

    Parameters
    ----------
    parts : sequence of callable
        ``part(y, out)`` writes its slope at y into out.
    seed : int
        Of the order: every round is another permutation.
    share : float
        A step is at most this share of the time since the beginning, so that rounds are short against the time in which
        a flow that slows down changes.
    free : float
        Until this time steps may be this long: the time in which the parts still agree.
    ends : bool
        Whether steps look at the slope at their end, as their method does for its error and for the next step. The
        next step goes by another part, and Bogacki-Shampine's error of a step can be had from its other three slopes:
        without, RK23 takes three evaluations a step for four, and is of second order at times within a step.

    Raises
    ------
    InputError
        There is no part.

    Examples
    --------
    >>> parts = [lambda y, out, k=k: out.__setitem__(slice(None), k) for k in range(3)]
    >>> rotation, out, seen = Rotation(parts, seed=1), np.empty(1), []
    >>> for _ in range(6):
    ...     rotation.turn()
    ...     rotation(np.zeros(1), out)
    ...     seen.append(int(out[0]))
    >>> sorted(seen[:3]), sorted(seen[3:])
    ([0, 1, 2], [0, 1, 2])
    """

    def __init__(self, parts: Sequence[Into], seed: int = 0, share: float = math.inf, free: float = 0.0,
                 ends: bool = True) -> None:  # fmt: skip
        if not parts:
            raise InputError("there is no right-hand side to take its turn; give at least one")
        self.parts, self.seed, self.share, self.free, self.ends = tuple(parts), seed, share, free, ends
        self.begin()

    def begin(self) -> None:
        """The first round anew: the same integration twice takes the same turns."""
        self._random = np.random.default_rng(self.seed)
        self._waiting: list[int] = []
        self.turns = 0
        self.current = self.parts[0]

    def turn(self) -> None:
        """Give the next part its turn."""
        if not self._waiting:
            self._waiting = self._random.permutation(len(self.parts)).tolist()
        self.current = self.parts[self._waiting.pop()]
        self.turns += 1

    def longest(self, since: float) -> float:
        """The longest step at a time since the beginning."""
        return max(self.free, self.share * since) if math.isfinite(self.share) else math.inf

    def __call__(self, y: Vector, out: Vector) -> None:
        self.current(y, out)


THREE = np.array([-1 / 36, 1 / 12, -1 / 18])
"""Bogacki-Shampine's step less one of second order on its first three slopes, (1/4, 1/4, 1/2). On a linear flow it is
h^3/48 of the third derivative, as the method's own estimate is."""


class InTurn:
    """What a step does before it is taken: the next part has its turn, and says the slope where the last step ended."""

    def __init__(self, fun: Callable, t0: float, y0: Vector, t_bound: float, into: Rotation, **options: Any):
        into.begin()
        super().__init__(fun, t0, y0, t_bound, into=into, **options)  # type: ignore[call-arg]
        self.start, self.most = t0, self.max_step

    def _step_impl(self: Any) -> tuple[bool, str | None]:
        self.into.turn()
        self.into(self.y, self.K[-1])
        self.f = self.K[-1]
        self.nfev += 1
        self.max_step = min(self.most, self.into.longest(abs(self.t - self.start)) or self.h_abs)
        done, message = super()._step_impl()  # type: ignore[misc]
        return done, message


WITHIN = np.array([[1.0, -7 / 9], [0.0, 1 / 3], [0.0, 4 / 9], [0.0, 0.0]])
"""The parabola through both ends of a step that has the slope at its beginning: off by h^3."""


class WithoutEnds(InTurn):
    """Steps that do not look at the slope at their end, for what they are nor for a time within them."""

    ending, E, P = False, THREE, WITHIN


@cache
def rotated(method: str, ends: bool = True) -> type[OdeSolver]:
    """The class that takes the steps of a method, RK45 or RK23, over parts in turn.

    Raises
    ------
    InputError
        A method that looks back at the steps of other parts, or that has no compiled steps.
    """
    from dynamics.integrate.runge_kutta import COMPILED  # here: numba takes its time

    if method not in COMPILED:
        raise InputError(f"right-hand sides that take turns need a method of single steps; use {' or '.join(COMPILED)}")
    turns = InTurn if ends or method != "RK23" else WithoutEnds
    return type(f"Rotated{method}", (turns, COMPILED[method]), {})
