"""An integration that is under way in compiled code: what it is given, and what it shows.

The loop that takes the steps (:mod:`dynamics.integrate.whole`) is compiled once for all kernels. It puts what is wanted
into a buffer, and comes back when that is full or some milliseconds have gone: to show it, and to be interrupted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.lowering.machine.native import Code, Native, address_of, code_in, routine
from dynamics.lowering.pairs import pair
from dynamics.support.memory import on_lines
from dynamics.support.threads import one_at_a_time
from dynamics.support.typing import Vector

__all__ = ["OUTCOMES", "Run", "UnderWay", "tableau"]

BUFFER = 1 << 17
"""Numbers that are shown in one go, about."""
PATIENCE = 0.02
"""Seconds after which the loop comes back, about."""

POLYNOMIAL, EXTENDED, STEPPED = 0, 1, 2
"""States within a step: by a polynomial in time, by that of DOP853, or by another step of the method."""

T, T_OLD, H, H_LAST, DIRECTION, BOUND, MAX_STEP, RTOL, ATOL, EXPONENT, POWERS = range(11)
STEPS, EVALUATIONS, SHOWN, ROWS, MAX_STEPS, MAX_EVALUATIONS, PENDING, BAD, WATCH, STIFF, EASY, COUNTS = range(12)


RUNNING, FINISHED, STEP_TOO_SMALL, NOT_FINITE, TOO_MANY_STEPS, TOO_MANY_EVALUATIONS, RAISED, LEFT = range(8)
OUTCOMES = (
    *("running", "finished", "step too small", "not finite", "too many steps", "too many evaluations", "raised"),
    "left",
)
"""Why the loop came back, in words."""


@cache
def loop(name: str, file: str = "whole") -> Code:
    """A compiled loop, with what it is made of."""
    own = ("whole", "run", "stability")
    return code_in(f"dynamics.integrate.{file}", name, *(f"dynamics.integrate.{each}" for each in own))


@dataclass(frozen=True, eq=False)
class Tableau:
    """The coefficients of a pair as arrays, and how states within a step are found."""

    kind: int
    order: int
    A: NDArray[np.float64]
    B: NDArray[np.float64]
    E: NDArray[np.float64]
    A_more: NDArray[np.float64]
    P: NDArray[np.float64]

    @property
    def exponent(self) -> float:
        return -1 / (self.order + 1)


@cache
def tableau(name: str, stepped: bool = False) -> Tableau:
    """The coefficients of one of SciPy's pairs."""
    method = pair(name)
    A, B = np.array(method.A), np.array(method.B)
    A = np.ascontiguousarray(A[:, : A.shape[0]])
    if name != "DOP853":
        E, P = np.array(method.E)[None], np.array(method.P)
        return Tableau(POLYNOMIAL, method.error_estimator_order, A, B, E, np.empty((0, 1)), P)
    E = np.array([method.E5, method.E3])
    more = np.empty((0, 1)) if stepped else np.array(method.A_EXTRA)
    return Tableau(STEPPED if stepped else EXTENDED, method.error_estimator_order, A, B, E, more, np.array(method.D))


class Space:
    """The arrays of an integration, and the loops on them: to hand these over takes as long as some evaluations.

    Parameters
    ----------
    function : Native
        The right-hand side.
    method : Tableau
    n, capacity : int
        Numbers of the state, and how many states are shown in one go.
    """

    def __init__(self, function: Native, method: Tableau, n: int, capacity: int) -> None:
        count = method.A.shape[0]
        self.clock, self.counts = np.zeros(POWERS + method.P.shape[1]), np.zeros(COUNTS, np.int64)
        rows = count + 1 + method.A_more.shape[0]
        self.y, self.y_old, self.work = on_lines(n), on_lines(n), on_lines(6 * n).reshape(6, n)
        self.more = on_lines(rows * n).reshape(rows, n)
        shape = {POLYNOMIAL: (n, method.P.shape[1]), EXTENDED: (7, n), STEPPED: (0, n)}[method.kind]
        self.parts, self.again = np.empty(shape), np.empty((count if method.kind == STEPPED else 0, n))
        self.rows, self.taken = np.empty((capacity, n)), np.zeros(capacity, np.int64)
        self.first_step = routine(
            *(loop("first_step"), function.address, function.words, self.y, self.work[4], method.order),
            *(self.clock, self.counts, self.work[0], self.work[1], self.work[2]),
        )
        self.advance = routine(
            *(loop("advance"), function.address, function.words, method.kind, method.A, method.B, method.E),
            *(method.A_more, method.P, self.y, self.y_old, self.more, self.parts, self.again, self.work, self.clock),
            *(self.counts, np.empty(0), self.rows, self.taken, 0),
        )

    def wanting(self, wanted: Vector, budget: int) -> None:
        """What the loop is told anew: the times, which must live as long as it runs, and how many steps it may take."""
        words, places = self.advance.words, self.advance.places
        words[places[-4]], words[places[-4] + 1] = address_of(wanted), wanted.size
        words[places[-1]] = budget


SPARE = 4
"""Spaces of one kind that wait at a right-hand side to be used again."""


class UnderWay(ABC):
    """What every integration that is under way in compiled code shows.

    Attributes
    ----------
    space : object
        What it works in.
    waiting : list
        Spaces like this one, for the next integrations of the same right-hand side.
    clock, counts : ndarray
        Where it stands.
    """

    space: Any
    waiting: list[Any]
    clock: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    @abstractmethod
    def y(self) -> Vector:
        """The state that was reached."""

    def done(self) -> Vector:
        """The state that was reached; what the integration worked in is there for the next one."""
        reached = self.y.copy()
        if len(self.waiting) < SPARE:
            self.waiting.append(self.space)
        return reached

    @property
    def t(self) -> float:
        return float(self.clock[T])

    @property
    def t_old(self) -> float:
        return float(self.clock[T_OLD])

    @property
    def steps(self) -> int:
        return int(self.counts[STEPS])

    @property
    def evaluations(self) -> int:
        return int(self.counts[EVALUATIONS])


class Run(UnderWay):
    """An integration that is under way.

    Parameters
    ----------
    function : Native
        The right-hand side.
    method : Tableau
    span, y0, slope :
        Where it starts and ends, the state at the start, and the slope there.
    wanted : ndarray
        Times in the order in which they are met.
    rtol, atol, max_step : float
    max_steps, max_evaluations : int
    leave : bool
        End where stability limits the steps of RK45.
    """

    def __init__(
        self,
        function: Native,
        method: Tableau,
        span: tuple[float, float],
        y0: Vector,
        slope: Vector,
        wanted: Vector,
        *,
        rtol: float,
        atol: float,
        max_step: float,
        first: float | None,
        max_steps: int,
        max_evaluations: int,
        leave: bool = False,
    ) -> None:
        n, capacity = y0.size, max(1, min(wanted.size, BUFFER // y0.size))
        self.function, self.method, self.wanted = function, method, np.ascontiguousarray(wanted, dtype=float)
        self.waiting: list[Space] = function.spare.setdefault((method, n, capacity), [])
        try:
            space = self.waiting.pop()
        except IndexError:  # none, or all in use
            space = Space(function, method, n, capacity)
        self.space, self.work = space, space.work
        self.clock, self.counts, self.rows, self.taken = space.clock, space.counts, space.rows, space.taken
        direction = 1.0 if span[1] > span[0] else -1.0
        limits = (direction, span[1], max_step, rtol, atol, method.exponent)
        self.clock[:POWERS] = span[0], span[0], first or 0.0, 0.0, *limits
        self.counts[:] = 0
        self.counts[[EVALUATIONS, MAX_STEPS, MAX_EVALUATIONS, WATCH]] = 1, max_steps, max_evaluations, leave
        self.y[:], space.y_old[:], self.work[4] = y0, y0, slope
        self.outcome = "running"
        if wanted.size and wanted[0] == span[0]:
            self.counts[SHOWN] = 1
        if first is None:
            self.outcome = "raised" if self.alone(space.first_step)() else self.outcome

    @property
    def y(self) -> Vector:
        found: Vector = self.space.y
        return found

    def alone(self, loop: Callable[[], int]) -> Callable[[], int]:
        """A loop, which takes one caller at a time if the right-hand side has loops that run on several threads."""
        return loop if self.function.beside else one_at_a_time(loop)

    @property
    def bad_slope(self) -> Vector | None:
        """A slope that is not finite, of the last attempted step."""
        return self.work[5] if self.counts[BAD] else None

    @property
    def trial(self) -> Vector:
        """The state whose slope was wanted last."""
        return self.work[0]

    def __iter__(self) -> Iterator[tuple[float, Vector, int]]:
        """Wanted times, states there, and steps until then; ``outcome`` says how it ended. States are overwritten."""
        budget, advance = 64, self.space.advance
        go_on = self.alone(advance)
        while self.outcome == "running":
            began, before, steps = perf_counter(), int(self.counts[SHOWN]), self.steps
            self.space.wanting(self.wanted, budget)
            self.outcome = OUTCOMES[go_on()]
            seconds, done = perf_counter() - began, self.steps - steps
            if done:
                budget = max(1, min(4 * done, int(done * PATIENCE / max(seconds, 1e-9))))
            for k in range(int(self.counts[ROWS])):
                yield float(self.wanted[before + k]), self.rows[k], int(self.taken[k])
