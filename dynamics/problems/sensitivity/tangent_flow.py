"""A flow with its tangent: solutions, and how they move with one number after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.gradient_flow.tangents import linearised
from derivations.program import Program, ProgramError, name_of
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import Bound, lower
from dynamics.problems.optimisers.optimised import Optimised
from dynamics.problems.sensitivity.directions import Direction, Setting, direction_of
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["TangentFlow"]

Named = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TangentFlow:
    """The flow of a setting, with that of one tangent.

    Attributes
    ----------
    setting : Setting
    names : tuple of str
        What moves, as for :func:`dynamics.problems.sensitivity.directions.direction_of`.
    also : tuple of str
        Definitions whose tangents are wanted beside those of states.
    """

    setting: Setting
    names: tuple[str, ...]
    also: tuple[str, ...] = ()

    @cached_property
    def directions(self) -> tuple[Direction, ...]:
        return tuple(direction_of(self.setting, name) for name in self.names)

    @cached_property
    def moving(self) -> tuple[str, ...]:
        """The parameters and data that move, of the program."""
        return tuple(dict.fromkeys(one for d in self.directions for one in (*d.numbers, *d.arrays)))

    @cached_property
    def program(self) -> Program:
        try:
            return linearised(self.setting.problem.program, self.moving, self.also)
        except ProgramError as error:
            raise InputError(str(error)) from None

    def bound(self, outputs: Sequence[str] | None, direction: Direction) -> Bound:
        """The compiled flow of states and tangents, or other tensors, in one direction."""
        problem, program = self.setting.problem, self.program
        moved = program.tangents
        data = {name_of(a) for a in problem.program.data}
        numbers = {moved[p]: direction.numbers.get(p, 0.0) for p in self.moving if p not in data}
        arrays = problem.arrays
        still = {moved[a]: np.zeros_like(arrays[a], dtype=float) for a in self.moving if a in data}
        moves = {moved[a]: np.asarray(value, dtype=float) for a, value in direction.arrays.items()}
        kernel = lower(program, outputs, parallel=problem.parallel, constants=problem.constants)
        return kernel.bind({**arrays, **still, **moves}, {**self.setting.numbers, **numbers})

    def start(self, direction: Direction) -> Vector:
        """States with their averages, and how they move, packed."""
        names = tuple(self.program.starts)
        bound = self.bound(tuple(self.program.starts[name] for name in names), direction)
        whole, y0 = np.zeros(bound.state_size), self.setting.y0
        half = sum(view.size for view in list(bound.states(whole).values())[: self.states])
        whole[: y0.size], whole[half : half + y0.size] = y0, direction.y0
        found, views = bound.evaluate(whole), bound.states(whole)
        for name in names:
            views[name][...] = found[self.program.starts[name]]
        return whole

    @property
    def states(self) -> int:
        """How many states the flow has without tangents."""
        return len(self.setting.problem.program.states)

    def follow(
        self, direction: Direction, ticks: Vector, save: Callable[[int, Named, Named], None], **control: Any
    ) -> None:
        """Integrate, showing states and tangents, and values and tangents of what is wanted beside them."""
        flow = self.bound(None, direction)
        program = self.program
        seen = tuple(
            dict.fromkeys((*self.also, *(program.tangents[one] for one in self.also if one in program.tangents)))
        )
        beside = self.bound(seen, direction)
        out = np.empty(beside.output_size)

        def show(t: float, y: Vector) -> None:
            beside(y, out)
            save(int(np.searchsorted(ticks, t)), flow.states(y), beside.results(out))

        integrate(flow, self.start(direction), (0.0, float(ticks[-1])), save=show, at=ticks, **control)

    def shifted(self, name: str, tau: Vector) -> Vector | None:
        """How the clock of steps at given times moves with a learning rate; None where it does not."""
        problem = self.setting.problem
        if name != "lr" or not isinstance(problem, Optimised):
            return None
        given = problem.optimizer
        steps = given.passed(tau)
        return -(tau / given.lr) / (given.lr * given.schedule.factors(np.floor(steps)))
