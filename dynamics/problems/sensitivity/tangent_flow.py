"""A flow with its tangent: solutions, and how they move with one number after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.gradient_flow.tangents import at_rest, beside, by_products, linearised
from derivations.program import Program, ProgramError, name_of
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import Bound, lower
from dynamics.problems.optimisers.optimised import Optimised
from dynamics.problems.sensitivity.directions import Direction, Setting, direction_of
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["TangentFlow", "along"]

Named = Mapping[str, NDArray[Any]]

UNSEEN = 2.0**-80
"""The unit of tangents while they are integrated: a power of two, which rounds nothing."""
TOGETHER = 3
"""Directions that are integrated at once: they share what does not move with them, a third of a direction's products of
matrices. Kernels grow with them, and take longer to compile."""


@dataclass(frozen=True, eq=False)
class TangentFlow:
    """The flow of a setting, with those of some tangents.

    Attributes
    ----------
    setting : Setting
    names : tuple of str
        What moves, as for :func:`dynamics.problems.sensitivity.directions.direction_of`.
    also : tuple of str
        Definitions whose tangents are wanted beside those of states.
    beyond : tuple of str
        Those whose tangents are wanted at other times only.
    together : int
        Tangents that are followed at once.
    """

    setting: Setting
    names: tuple[str, ...]
    also: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    together: int = 1

    @cached_property
    def directions(self) -> tuple[Direction, ...]:
        return tuple(direction_of(self.setting, name) for name in self.names)

    @cached_property
    def moving(self) -> tuple[str, ...]:
        """The parameters and data that move, of the program."""
        return tuple(dict.fromkeys(one for d in self.directions for one in (*d.numbers, *d.arrays)))

    @cached_property
    def whole(self) -> tuple[Program, tuple[Mapping[str, str], ...]]:
        """The program of states and tangents, and what tangents are called in each direction."""
        own = self.setting.problem.program
        try:
            one = at_rest(by_products(linearised(own, self.moving, (*self.also, *self.beyond))))
            return beside(own, one, self.together)
        except ProgramError as error:
            raise InputError(str(error)) from None

    @property
    def program(self) -> Program:
        return self.whole[0]

    @property
    def tangents(self) -> tuple[Mapping[str, str], ...]:
        """What the tangents of each direction are called."""
        return self.whole[1]

    def bound(self, outputs: Sequence[str] | None, directions: Sequence[Direction]) -> Bound:
        """The compiled flow of states and tangents, or other tensors, in some directions."""
        problem = self.setting.problem
        data = {name_of(a) for a in problem.program.data}
        arrays, given, numbers = problem.arrays, dict[str, NDArray[Any]](), dict[str, float]()
        for moved, direction in zip(self.tangents, directions, strict=True):
            numbers |= {moved[p]: direction.numbers.get(p, 0.0) for p in self.moving if p not in data}
            given |= {moved[a]: np.zeros_like(arrays[a], dtype=float) for a in self.moving if a in data}
            given |= {moved[a]: np.asarray(value, dtype=float) for a, value in direction.arrays.items()}
        kernel = lower(self.program, outputs, parallel=problem.parallel, constants=problem.constants)
        return kernel.bind({**arrays, **given}, {**self.setting.numbers, **numbers})

    def start(self, directions: Sequence[Direction]) -> Vector:
        """States with their averages, and how they move, packed."""
        names = tuple(self.program.starts)
        bound = self.bound(tuple(self.program.starts[name] for name in names), directions)
        whole, y0 = np.zeros(bound.state_size), self.setting.y0
        size = sum(view.size for view in list(bound.states(whole).values())[: self.states])
        whole[: y0.size] = y0
        for part, direction in zip(whole[size:].reshape(self.together, -1), directions, strict=True):
            part[: y0.size] = direction.y0
        found, views = bound.evaluate(whole), bound.states(whole)
        for name in names:
            views[name][...] = found[self.program.starts[name]]
        return whole

    @property
    def states(self) -> int:
        """How many states the flow has without tangents."""
        return len(self.setting.problem.program.states)

    def follow(
        self,
        directions: Sequence[Direction],
        ticks: Vector,
        save: Callable[[int, Named, Named], None],
        between: tuple[Vector, Sequence[str], Callable[[int, Named], None]] | None = None,
        **control: Any,
    ) -> None:
        """Integrate, showing states and tangents, and values and tangents of what is wanted beside them.

        Steps are those that the states need: tangents, which are linear, are taken along in units so large that the
        estimate of the error does not see them. They are the derivatives of what the same steps make of the states.
        States at rest need no steps at all, though tangents move: there, and along states that are 0, they are seen.
        The estimate is a mean over all numbers; tolerances are those of one tangent, however many are followed.

        Parameters
        ----------
        directions : sequence of Direction
            As many as are followed at once.
        ticks : ndarray, shape (times,)
        save : callable
            At each of these, with its number.
        between : tuple of (times, names, callable), optional
            The same for definitions alone, with their tangents, at other times up to the last of ``ticks``.
        """
        flow = self.bound(None, directions)
        unit = 1.0 if any(one.from_zero for one in directions) or self.rests(flow, directions) else UNSEEN
        small = [direction.times(unit) for direction in directions]
        states = flow.state_size - sum(flow.states(np.empty(flow.state_size))[one].size for one in self.directed)
        shown = self.bound(self.with_tangents(self.also), directions)
        out = np.empty(shown.output_size)
        more, names, keep = between or (ticks[:0], (), None)
        fine = self.bound(self.with_tangents(names), directions) if names else shown
        room = np.empty(fine.output_size)

        def show(t: float, y: Vector) -> None:
            k, m = int(np.searchsorted(ticks, t)), int(np.searchsorted(more, t))
            y = y.copy()
            y[states:] /= unit
            if ticks[k] == t:
                shown(y, out)
                save(k, flow.states(y), shown.results(out))
            if keep is not None and more[m] == t:
                fine(y, room)
                keep(m, fine.results(room))

        at = ticks if between is None else np.union1d(ticks, more)
        span, diluted = (0.0, float(ticks[-1])), np.sqrt(2 / (1 + self.together))
        closer: dict[str, Any] = {name: diluted * control[name] for name in ("rtol", "atol") if name in control}
        integrate(self.bound(None, small), self.start(small), span, save=show, at=at, **{**control, **closer})

    def rests(self, flow: Bound, directions: Sequence[Direction]) -> bool:
        """Whether nothing of the states moves at the start."""
        own = self.setting.problem.program
        rate = flow.evaluate(self.start(directions))
        return not any(np.any(rate[own.flow[name]]) for name in own.state_names)

    @property
    def directed(self) -> tuple[str, ...]:
        """The states that are directions of others."""
        return self.program.state_names[self.states :]

    def with_tangents(self, names: Sequence[str]) -> tuple[str, ...]:
        """Definitions, and the tangents of those that move."""
        moving = (moved[name] for moved in self.tangents for name in names if name in moved)
        return tuple(dict.fromkeys((*names, *moving)))

    def shifted(self, name: str, tau: Vector) -> Vector | None:
        """How the clock of steps at given times moves with a learning rate; None where it does not."""
        problem = self.setting.problem
        if name != "lr" or not isinstance(problem, Optimised):
            return None
        given = problem.optimizer
        steps = given.passed(tau)
        return -(tau / given.lr) / (given.lr * given.schedule.factors(np.floor(steps)))


def along(flow: TangentFlow, what: str, direction: Direction, whole: Vector, rate: Named | None = None) -> NDArray[Any]:
    """How fast a definition moves along the flow: its tangent where the direction of every state is its slope."""
    names = flow.tangents[0]
    tangent = names.get(what)
    if tangent is None:
        return np.zeros(())
    still = [Direction(direction.name, {}, {}, direction.y0)] * flow.together
    rate = flow.bound(None, still).evaluate(whole) if rate is None else rate
    bound, moved = flow.bound((tangent,), still), whole.copy()
    views = bound.states(moved)
    for state, dot in flow.setting.problem.program.flow.items():
        if state in names:
            views[names[state]][...] = rate[dot]
    return np.array(bound.evaluate(moved)[tangent])
