"""An integration of a large state that is under way in compiled code: what it is given, and what it shows.

Like :class:`dynamics.integrate.run.Run`, over :mod:`dynamics.integrate.large.steps`. That is compiled with numba's
threads, or those of a team that stands by, in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.integrate import run
from dynamics.integrate.run import (
    COUNTS,
    EVALUATIONS,
    MAX_EVALUATIONS,
    MAX_STEPS,
    PATIENCE,
    POWERS,
    ROWS,
    Tableau,
    UnderWay,
)
from dynamics.integrate.runge_kutta import BLOCK, CHUNKS, interpolate
from dynamics.lowering.machine.native import Code, Native, code_in, routine
from dynamics.support.memory import on_lines
from dynamics.support.threads import one_at_a_time
from dynamics.support.typing import Vector

__all__ = ["LargeRun"]


@cache
def loop() -> Code:
    """The compiled loop, with what it is made of."""
    beside = "dynamics.integrate.runge_kutta", "dynamics.lowering.machine.parallel", "dynamics.lowering.machine.team"
    return code_in("dynamics.integrate.large.steps", "advance", "dynamics.integrate.run", *beside)


class Space:
    """The arrays of an integration, and the loops on them."""

    def __init__(self, function: Native, method: Tableau, n: int) -> None:
        count = method.A.shape[0]
        self.clock, self.counts = np.zeros(POWERS), np.zeros(COUNTS, np.int64)
        self.states, self.slopes = on_lines(2 * n).reshape(2, n), on_lines((count + 1) * n).reshape(count + 1, n)
        self.advance = routine(
            *(loop(), function.address, function.words, method.A, method.B, method.E, self.states, self.slopes),
            *(np.zeros(CHUNKS), on_lines(CHUNKS * BLOCK).reshape(CHUNKS, BLOCK), np.zeros(count + 1), self.clock),
            *(self.counts, 0.0, 0),
        )
        self.first_step = routine(
            *(run.loop("first_step"), function.address, function.words, self.states[0], self.slopes[-1], method.order),
            *(self.clock, self.counts, self.slopes[0], self.slopes[1], self.slopes[2]),
        )

    def wanting(self, until: float, budget: int) -> None:
        """What the loop is told anew: the time at which it is to come back, and how many steps it may take."""
        words, places = self.advance.words, self.advance.places
        words[places[-2] : places[-2] + 1] = np.array([until]).view(np.int64)
        words[places[-1]] = budget


class LargeRun(UnderWay):
    """An integration that is under way: as :class:`dynamics.integrate.run.Run`, with the same arguments."""

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
        assert not leave
        self.method, self.wanted = method, np.asarray(wanted, dtype=float)
        self.waiting: list[Space] = function.spare.setdefault((method, y0.size, "large"), [])
        try:
            space = self.waiting.pop()
        except IndexError:  # none, or all in use
            space = Space(function, method, y0.size)
        self.space, self.clock, self.counts = space, space.clock, space.counts
        self.direction = 1.0 if span[1] > span[0] else -1.0
        limits = (self.direction, span[1], max_step, rtol, atol, method.exponent)
        self.clock[:] = span[0], span[0], first or 0.0, 0.0, *limits
        self.counts[:] = 0
        self.counts[[EVALUATIONS, MAX_STEPS, MAX_EVALUATIONS]] = 1, max_steps, max_evaluations
        space.states[0], space.slopes[-1] = y0, slope
        self.shown = 1 if wanted.size and wanted[0] == span[0] else 0
        self.outcome = "running"
        if first is None:
            self.outcome = "raised" if self.alone(space.first_step) else self.outcome

    @property
    def y(self) -> Vector:
        return self.space.states[self.counts[ROWS]]

    @staticmethod
    @one_at_a_time
    def alone(loop: Any) -> int:
        """Run a loop, one caller at a time, as others may share threads."""
        return int(loop())

    @property
    def bad_slope(self) -> Vector | None:
        """A slope that is not finite, of the last attempted step."""
        return next((slope for slope in self.space.slopes if not np.isfinite(slope).all()), None)

    @property
    def trial(self) -> Vector:
        """The state whose slope was wanted last."""
        return self.space.states[1 - self.counts[ROWS]]

    def __iter__(self) -> Iterator[tuple[float, Vector, int]]:
        """Wanted times, states there, and steps until then; ``outcome`` says how it ended. States are overwritten."""
        budget, buffer = 1, np.empty(0)
        while self.outcome == "running":
            began, steps = perf_counter(), self.steps
            until = self.wanted[self.shown] if self.shown < self.wanted.size else np.inf * self.direction
            self.space.wanting(until, budget)
            self.outcome = run.OUTCOMES[self.alone(self.space.advance)]
            seconds, done = perf_counter() - began, self.steps - steps
            if done:
                budget = max(1, min(4 * done, int(done * PATIENCE / max(seconds, 1e-9))))
            if self.outcome not in ("running", "finished"):
                return
            reached = int(np.searchsorted(self.direction * self.wanted, self.direction * self.t, side="right"))
            for t in self.wanted[self.shown : reached]:
                if t == self.t:
                    yield float(t), self.y, self.steps
                    continue
                buffer = buffer if buffer.size else on_lines(self.y.size)
                self.between(float(t), buffer)
                yield float(t), buffer, self.steps
            self.shown = reached

    def between(self, t: float, out: NDArray[np.float64]) -> None:
        """The state at a time within the last step."""
        interpolate(t, self.t_old, self.t, self.y, self.space.slopes, self.method.P, out)
