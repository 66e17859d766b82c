"""What the flow of a problem keeps, as the integration looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from derivations.program import Definition, Program, accesses, is_plain, name_of, subscript
from dynamics.integrate.conserved import Conserved
from dynamics.lowering import Bound, lower
from dynamics.support.recipes import fact
from dynamics.support.typing import Vector

__all__ = ["conserved_by"]

Read = Callable[[Vector], NDArray[np.float64]]


def conserved_by(program: Program, flow: Bound, parameters: Mapping[str, float]) -> tuple[Conserved, ...]:
    """The quantities that a program declares as conserved, to be read off packed states.

    Parameters
    ----------
    program : Program
    flow : Bound
        Its compiled flow on its data.
    parameters : mapping of str to float
        Everything else that its definitions take.
    """
    found = []
    for k, (note, summed) in enumerate(_declared(program)):
        if summed is None:
            definition = program.conserved[k]
            values, scale = _compiled(definition, program, flow, parameters)
            found.append(Conserved(note, values, scale, _linear(definition, program)))
        else:
            found.append(Conserved(note, _of_state(summed, flow), _of_state(summed, flow, np.abs), True))
    return tuple(found)


class Summed(NamedTuple):
    """A sum of a state over some of its axes.

    Attributes
    ----------
    state : str
    axes : tuple of int
    lengths : str, optional
        For rows of different lengths, the data that say what these are.
    """

    state: str
    axes: tuple[int, ...]
    lengths: str | None


def _of_state(summed: Summed, flow: Bound, of: Callable[[Any], Any] = lambda values: values) -> Read:
    """Reads a sum of a state over some of its indices, without code of its own."""
    at, size, shape = _place(flow, summed.state)
    if summed.lengths is None:
        return lambda y: of(y[at : at + size].reshape(shape)).sum(axis=summed.axes)
    length = flow.arrays[summed.lengths]
    rows = np.flatnonzero(length)
    starts = np.concatenate([[0], np.cumsum(length)[:-1]])[rows]
    return lambda y: np.add.reduceat(of(y[at : at + size].reshape(shape)), starts)


def _place(flow: Bound, name: str) -> tuple[int, int, tuple[int, ...]]:
    """Where a state begins among the packed ones, how many numbers it has, and its shape."""
    at = 0
    for array in flow.kernel.code.states:
        size = flow.length([array])
        if array.name == name:
            return at, size, flow.shape(array)
        at += size
    raise KeyError(name)


@fact
def _declared(program: Program) -> tuple[tuple[str, Summed | None], ...]:
    """What a program declares as conserved: the note of each, and what it sums; None for anything else."""
    return tuple((definition.note, _sum_of(definition, program)) for definition in program.conserved)


def _sum_of(definition: Definition, program: Program) -> Summed | None:
    from derivations.program.language import SumOver

    state = definition.body
    if not (isinstance(definition.rhs, SumOver) and state in program.states and is_plain(state)):
        return None
    name, subs = name_of(state), subscript(state)
    ragged = [index for index in subs if program.extents[index].is_Indexed]
    if not ragged:
        return Summed(name, tuple(subs.index(index) for index in definition.over), None)
    if len(subs) != 2 or definition.over != (subs[1],) or ragged != [subs[1]]:
        return None
    return Summed(name, (), name_of(program.extents[subs[1]]))


def _compiled(
    definition: Definition, program: Program, flow: Bound, parameters: Mapping[str, float]
) -> tuple[Read, Read]:
    """Reads a definition, and the sum of the sizes of its terms, by code compiled for both."""
    from sympy import Abs, Add, IndexedBase, Symbol

    from derivations.program.language import SumOver

    taken = set(program.declarations) | {definition.name}
    size_name = next(name for k in range(len(taken) + 1) if (name := f"{definition.name}_size{k}") not in taken)
    subs = subscript(definition.lhs)
    lhs = IndexedBase(size_name, real=True)[subs] if subs else Symbol(size_name, real=True)
    terms = Add(*(Abs(term) for term in Add.make_args(definition.body)))
    size = Definition(lhs, SumOver(terms, *definition.over) if definition.over else terms, "")
    kernel = lower(program.extended([definition, size]), (definition.name, size_name))
    bound = kernel.bind(flow.arrays, {**flow.sizes, **parameters})

    def read(name: str) -> Read:
        return lambda y: np.array(bound.evaluate(y)[name])

    return read(definition.name), read(size_name)


def _linear(definition: Definition, program: Program) -> bool:
    """Whether a quantity is linear in the states, and made of nothing that is computed from them."""
    from sympy import Dummy

    states = set(program.state_names)
    moving = {d.name for d in program.definitions}
    dummies = {access: Dummy(name_of(access), real=True) for access in accesses(definition.rhs)}
    if any(name_of(access) in moving for access in dummies):
        return False
    of_states = [dummy for access, dummy in dummies.items() if name_of(access) in states]
    body = definition.body.xreplace(dummies)
    return all(body.diff(a, b) == 0 for a, b in combinations_with_replacement(of_states, 2))
