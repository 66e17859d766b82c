"""When what is learnt comes to half of where it ends, and how that time moves with what is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from derivations.program import Role
from dynamics.problems.kinds.closure import Closure
from dynamics.problems.optimisers.optimised import Optimised
from dynamics.problems.problem import Problem
from dynamics.problems.sensitivity.directions import Setting, core
from dynamics.problems.sensitivity.tangent_flow import TangentFlow
from dynamics.support.typing import Indices, Vector

__all__ = ["HalfTimes", "Halves", "Passed", "half_variables", "halves_of"]

NAMES = {Role.KTIW: "KTIW of the learnt translation", Role.WEIGHTS: "attention on the word for its learnt translation"}


@dataclass(frozen=True, eq=False)
class Halves:
    """Entries of definitions, and half of where each of them ends.

    Attributes
    ----------
    cells : mapping of str to tuple of ndarray
        Where the entries are, by definition: an array of places for each of its axes.
    levels : ndarray, shape (entries,)
        Half of their last values, one definition after another.
    """

    cells: Mapping[str, tuple[Indices, ...]]
    levels: Vector

    def taken(self, values: Mapping[str, NDArray[Any]]) -> Vector:
        """The entries of some values, one definition after another."""
        return np.concatenate([values[name][at] for name, at in self.cells.items()])


class HalfTimes:
    """When entries come to half of where they end, and how that moves with one number after another.

    Attributes
    ----------
    halves : Halves
    when : ndarray, shape (entries,)
        tau.
    moves : list of ndarray, shape (entries,)
        Its derivatives.
    """

    def __init__(self, halves: Halves) -> None:
        self.halves, self.when = halves, np.zeros(0)
        self.moves: list[Vector] = []

    def append(self, when: Vector, moved: Vector) -> None:
        self.when = when
        self.moves.append(moved)


class Passed:
    """Follows entries and their tangents on a fine grid of times, to find when they first come to their levels.

    Parameters
    ----------
    flow : TangentFlow
        Whose ``beyond`` has the definitions.
    halves : Halves
    end : float
        The last time, on the clock of the flow.
    """

    def __init__(self, flow: TangentFlow, halves: Halves, end: float) -> None:
        self.flow, self.halves = flow, halves
        self.ticks = fine(end)
        self.values = np.empty((self.ticks.size, halves.levels.size))
        self.moved = np.empty((flow.together, *self.values.shape))

    def save(self, k: int, seen: Mapping[str, NDArray[Any]]) -> None:
        """Keep what is seen at a time of the grid."""
        self.values[k] = self.halves.taken(seen)
        for moved, names in zip(self.moved, self.flow.tangents, strict=True):
            moved[k] = self.halves.taken({name: seen[names[name]] for name in self.halves.cells})

    def found(self, direction: int, name: str, shift: float) -> tuple[Vector, Vector]:
        """When each entry comes to its level, and how that moves in a direction that was followed.

        By the implicit function of ``q(t, p) = q(T, p)/2``: ``dt/dp = (dq/dp(T)/2 - dq/dp(t)) / (dq/dt)(t)``. What
        starts beyond its level has come to it at 0, whatever is given.

        Parameters
        ----------
        direction : int
            Which of those that were followed.
        name : str
            Of the direction.
        shift : float
            How the last time T moves on the clock of the flow.
        """
        from scipy.optimize import brentq  # here: it takes its time

        t, levels = self.ticks, self.halves.levels
        when, moved, moves = np.zeros(levels.size), np.zeros(levels.size), self.moved[direction]
        for j, level in enumerate(levels):
            curve = self.values[:, j]
            k = int(np.argmax(curve >= level))
            if k == 0:
                continue
            value, tangent = (near(t, of[:, j], k) for of in (self.values, moves))
            when[j] = brentq(lambda at, value=value, level=level: value(at) - level, t[k - 1], t[k], xtol=1e-15 * t[-1])
            last = moves[-1, j] + (shift * near(t, curve, t.size - 1).deriv()(t[-1]) if shift else 0.0)
            moved[j] = (last / 2 - tangent(when[j])) / value.deriv()(when[j])
        return self.in_time(name, when, moved)

    def in_time(self, name: str, when: Vector, moved: Vector) -> tuple[Vector, Vector]:
        """Times in tau: an optimiser's are steps."""
        problem = self.flow.setting.problem
        if not isinstance(problem, Optimised):
            return when, moved
        given = problem.optimizer
        sums, factors = given.schedule.time(when), given.schedule.factors(np.floor(when))
        return given.lr * sums, given.lr * factors * moved + (sums if name == "lr" else 0.0)


GRID, RATIO, NODES = 1e-4, 1.02, 8
"""Where the fine grid begins to be even in the logarithm of time, by how much it goes on from there, and on how many of
its times a curve is a polynomial: what is learnt over a factor of two in time is one to eight digits and more."""


def fine(end: float) -> Vector:
    """Times up to an end that curves can be read between."""
    count = int(np.ceil(np.log(1 / GRID) / np.log(RATIO))) + 1
    found = np.concatenate([np.linspace(0, GRID * end, NODES)[:-1], np.geomspace(GRID * end, end, count)])
    found[-1] = end
    return found


def near(t: Vector, values: Vector, k: int) -> Polynomial:
    """The polynomial through the values about a place."""
    first = min(max(k - NODES // 2, 0), t.size - NODES)
    here = slice(first, first + NODES)
    return Polynomial.fit(t[here], values[here], NODES - 1)


def halves_of(setting: Setting, y: Vector, inputs: Indices) -> Halves | None:
    """Of a closure on counts: KTIW of some input words for what each is learnt to mean, and the attention on them.

    Parameters
    ----------
    setting : Setting
    y : ndarray
        The state at the end.
    inputs : ndarray of int
        Input words.
    """
    problem = setting.problem
    if not isinstance(core(problem), Closure):
        return None
    program = core(problem).program
    names = tuple(name for role in NAMES for name in program.with_role(role))
    values = problem.kernel(names).bind(problem.arrays, setting.numbers).evaluate(np.ascontiguousarray(y))
    means = values[names[0]].argmax(axis=1)[inputs]
    cells = dict.fromkeys(names, (inputs, means))
    return Halves(cells, np.concatenate([values[name][at] for name, at in cells.items()]) / 2)


def half_variables(problem: Problem, found: HalfTimes) -> dict[str, Any]:
    """Times of half and their derivatives as variables of a dataset, by input word."""
    program, shown, at = core(problem).program, dict[str, Any](), 0
    for name, (inputs, _) in found.halves.cells.items():
        role = next(role for role in NAMES if name in program.with_role(role))
        here = slice(at, at + len(inputs))
        own, what = name if role is Role.KTIW else "attention", f"tau at half of the last {NAMES[role]}"
        moved = np.array([one[here] for one in found.moves])
        shown[f"{own}_half_time"] = (("input",), found.when[here], {"long_name": what})
        shown[f"d_{own}_half_time"] = (("parameter", "input"), moved, {"long_name": f"derivative of {what}"})
        at += len(inputs)
    return shown
