"""What may be moved, by name: learning rates, initial sizes, parameters, counts; and in which direction that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import name_of
from dynamics.problems.kinds.arrays import OnArrays
from dynamics.problems.kinds.bags import BagsClosure
from dynamics.problems.kinds.closure import Closure
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.reduction import Reduction
from dynamics.problems.optimisers.optimised import Optimised
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector

__all__ = ["Direction", "Setting", "core", "direction_of", "names_of", "require_tangents"]


@dataclass(frozen=True, eq=False)
class Setting:
    """A problem with all that a solution of it is decided by.

    Attributes
    ----------
    problem : Problem
    rates : mapping of str to float
        By state.
    y0 : ndarray, shape (size,)
        What it starts from, before averages are added.
    sizes : mapping of str to float
        Standard deviations that initial states were drawn with; others were given, and have the size 1.
    asked : str
        The argument that names what moves, for messages.
    lr : float, optional
        Of descent whose modified flow the problem has.
    unit : ndarray, shape (size,), optional
        What it would start from if sizes that are 0 were 1; None if there are none.
    numbers : mapping of str to float
        Of everything that kernels take.
    """

    problem: Problem
    rates: Mapping[str, float]
    y0: Vector
    sizes: Mapping[str, float] = field(default_factory=dict)
    asked: str = "sensitivity"
    lr: float | None = None
    unit: Vector | None = None

    @classmethod
    def of(
        cls, problem: Problem, rates: Mapping[str, float], initial: Mapping[str, ArrayLike | float] | None, seed: int,
        asked: str = "sensitivity", lr: float | None = None,
    ) -> Setting:  # fmt: skip
        y0, given = problem.initial(initial, seed), initial or {}
        sizes = {name: float(v) for name, v in given.items() if np.ndim(v) == 0}  # type: ignore[arg-type]
        none = {name: 1.0 for name, size in sizes.items() if size == 0}
        unit = problem.initial({**given, **none}, seed) if none else None
        return cls(problem, rates, y0, sizes, asked, lr, unit)

    @property
    def numbers(self) -> dict[str, float]:
        return self.problem.all_numbers(self.rates) | ({} if self.lr is None else {"lr": self.lr})

    def value(self, name: str) -> float:
        """What a number is now."""
        kind, what = parsed(self, name)
        if kind == "rate":
            return self.rates[what]
        if kind == "initial":
            return self.sizes.get(what, 1.0)
        if kind == "parameter":
            return float(self.numbers[what])
        raise InputError(f"{self.asked} {name!r} has no value to set; it is an entry of a table of counts")

    def with_value(self, name: str, value: float) -> Setting:
        """The same with another value of a number."""
        kind, what = parsed(self, name)
        if kind == "rate":
            return replace(self, rates={**self.rates, what: value})
        if kind == "initial":
            y0, (part, _) = self.y0.copy(), self.part(what)
            y0[part] *= value / self.value(name)
            return replace(self, y0=y0, sizes={**self.sizes, what: value})
        if what == "lr" and self.lr is not None:
            return replace(self, lr=value)
        return replace(self, problem=with_number(self.problem, what, value))

    def part(self, state: str) -> tuple[slice, int]:
        """Where a state is packed."""
        bound = self.problem.kernel(()).bind(self.problem.arrays, self.numbers)
        at = 0
        for name, view in bound.states(np.zeros(bound.state_size)).items():
            if name == state:
                return slice(at, at + view.size), view.size
            at += view.size
        raise InputError(f"there is no state {state}")


@dataclass(frozen=True, eq=False)
class Direction:
    """How everything moves with one number.

    Attributes
    ----------
    name : str
    numbers : mapping of str to float
        Parameters of the program that move, and by how much.
    arrays : mapping of str to ndarray
        Data that move.
    y0 : ndarray
        How what it starts from moves.
    from_zero : bool
        Whether it is along a state that is 0, which may stay there whatever its tangent does.
    """

    name: str
    numbers: Mapping[str, float]
    arrays: Mapping[str, NDArray[Any]]
    y0: Vector
    from_zero: bool = False

    def times(self, factor: float) -> Direction:
        """So many times as far."""
        numbers = {name: factor * value for name, value in self.numbers.items()}
        arrays = {name: factor * np.asarray(value, dtype=float) for name, value in self.arrays.items()}
        return Direction(self.name, numbers, arrays, factor * self.y0, self.from_zero)


def parsed(setting: Setting, name: str) -> tuple[str, str]:
    """What kind of number a name is of, and of what."""
    problem = setting.problem
    kind, _, what = name.partition(" ")
    if kind in ("rate", "initial") and what:
        known = tuple(problem.rates) if kind == "rate" else tuple(s for s in own_states(problem))
        if what not in known:
            raise InputError(f"{setting.asked} {name!r}: the states are {', '.join(known)}{did_you_mean(what, known)}")
        return kind, what
    if kind == "count" and what:
        if not isinstance(core(problem), Closure):
            raise InputError(f"{setting.asked} {name!r} is of a table of counts, and {problem.name} has none")
        if isinstance(core(problem), BagsClosure):
            raise InputError(
                f"{setting.asked} {name!r}: on sentences a count has no direction; use the closure conditional"
            )
        return kind, what
    schedule = problem.optimizer.schedule.numbers if isinstance(problem, Optimised) else {}
    rates = set(problem.program.rates.values())
    known = tuple(
        p for a in problem.program.parameters if (p := name_of(a)) not in rates and p not in schedule
    )  # fmt: skip
    if name not in known:
        told = f"; parameters are {', '.join(known)}" if known else "; it has no parameters"
        counted = "" if setting.asked == "free" else " 'count INPUT OUTPUT' of counts,"
        raise InputError(
            f"{setting.asked} {name!r} is none{did_you_mean(name, known)}: give 'rate W', 'initial W',{counted}"
            f" or a parameter{told}"
        )
    return "parameter", name


def names_of(given: str | Sequence[str] | None, what: str = "sensitivity") -> tuple[str, ...]:
    """What is to be moved, by name, each once.

    Examples
    --------
    >>> names_of("rate W"), names_of(["rate W", "lr"]), names_of(None)
    (('rate W',), ('rate W', 'lr'), ())
    """
    if given is not None and not isinstance(given, Iterable):
        raise InputError(f"{what} = {given!r} is no name; give one such as 'rate W', or several")
    names = (given,) if isinstance(given, str) else () if given is None else tuple(given)
    for k, name in enumerate(names):
        if not isinstance(name, str):
            raise InputError(f"{what} {name!r} is no name; give one such as 'rate W'")
        if name in names[:k]:
            raise InputError(f"{what} has {name!r} twice; once is enough")
    return names


IMPLICIT = ("LSODA", "BDF", "Radau")
"""Methods that take the Jacobian by differences, an evaluation for every number, and solve equations with it."""
LARGEST = 2000
"""Numbers of states and tangents that these are for."""


def require_tangents(problem: Problem, stages: Sequence[str], method: object, asked: str = "sensitivity") -> None:
    """Raise InputError if derivatives of a problem's solution cannot be taken, before it is solved."""
    own = core(problem)
    if set(stages) != {"joint"}:
        raise InputError("sensitivity is of one flow; leave stages, or sensitivity, out")
    if isinstance(own, Closure) and own.sparse:
        raise InputError(f"{asked} is of dense states, and these counts are sparse: count fewer words (max_vocab)")
    size, name = 2 * sum(map(prod, problem.shapes.values())), getattr(method, "__name__", str(method))
    if name in IMPLICIT and size > LARGEST:
        raise InputError(
            f"{asked} by {name} takes an evaluation for each of {size:,} numbers, states and tangents, at a step, and"
            f" it is for {LARGEST:,}; use method='auto', RK45 or ROCK4"
        )
    if isinstance(own, BagsClosure) and len(own.parts) > 1 and own is problem:
        raise InputError(
            f"{asked} is of one flow, and these sentences take turns in {len(own.parts)} groups; use"
            " the closure conditional, or fewer sentences"
        )


def core(problem: Problem) -> Problem:
    return problem.inner if isinstance(problem, Optimised) else problem


def own_states(problem: Problem) -> tuple[str, ...]:
    return core(problem).program.state_names


def direction_of(setting: Setting, name: str) -> Direction:
    """The direction in which a number moves a problem.

    Parameters
    ----------
    setting : Setting
    name : str
        ``rate W``, the learning rate of a state relative to tau. ``initial W``, the standard deviation that it was
        drawn with, or of given ones a factor. ``count INPUT OUTPUT``, of counts: a relative change of how often the two
        are seen together, with all shares. Or a parameter by its name, such as ``lr``, ``momentum`` or ``L``.

    Raises
    ------
    InputError
        Nothing of the kind.
    """
    problem, kind_of = setting.problem, parsed(setting, name)
    kind, what = kind_of
    still = np.zeros_like(setting.y0)
    if kind == "rate":
        return Direction(name, {problem.rates[what]: 1.0}, {}, still)
    if kind == "initial":
        part, _ = setting.part(what)
        size = setting.value(name)
        still[part] = setting.unit[part] if size == 0 and setting.unit is not None else setting.y0[part] / size
        return Direction(name, {}, {}, still, size == 0)
    if kind == "count":
        return Direction(name, {}, count_direction(core(problem), what), still)
    if what == "lr" and isinstance(problem, Optimised) and not problem.optimizer.schedule.is_constant:
        raise InputError(
            f"{setting.asked} 'lr' is at given times, which a schedule moves; leave lr or the schedule out"
        )
    return Direction(name, {what: 1.0}, {}, still)


def count_direction(problem: Problem, words: str) -> dict[str, NDArray[Any]]:
    """How shares move with the logarithm of one count: all counts are shares of their sum."""
    assert isinstance(problem, Closure)
    counts = problem.counts.dense()
    found = [[list(side).index(w) if w in side else -1 for w in words.split(" ")]
             for side in (counts.inputs, counts.outputs)]  # fmt: skip
    if len(found[0]) != 2 or found[0][0] < 0 or found[1][1] < 0:
        raise InputError(f"sensitivity 'count {words}': give an input word and an output word that are counted")
    if problem.sparse or not problem.both_stages:
        raise InputError("sensitivity to a count is of the closure of both stages with dense counts")
    i, o = found[0][0], found[1][1]
    table = np.asarray(counts.C, dtype=float)
    change = -table[i, o] * table
    change[i, o] += table[i, o]
    q = np.asarray(counts.q, dtype=float)
    of_outputs = change.sum(axis=0)
    return {"q": of_outputs, "R": change / q - np.asarray(counts.conditional()) * of_outputs / q}


def with_number(problem: Problem, name: str, value: float) -> Problem:
    """A problem with another value of a parameter."""
    if isinstance(problem, Optimised):
        given = problem.optimizer
        fields = {"lr": "lr", "decay": "weight_decay", "batch": "batch"} | {n: n for n in given.numbers}
        if name in fields:
            changed: dict[str, Any] = {fields[name]: value}
            return replace(problem, optimizer=replace(given, **changed))
        return replace(problem, inner=with_number(problem.inner, name, value))
    if isinstance(problem, Exact):
        model = problem.model
        return replace(problem, model=replace(model, parameters={**model.parameters, name: value}))
    if isinstance(problem, OnArrays | Reduction) and name in problem.given:
        return replace(problem, given={**problem.given, name: value})
    raise InputError(f"{name} of {problem.name} follows from its data; it cannot be set")
