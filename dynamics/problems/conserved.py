"""What the flow of a problem keeps, as the integration looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Abs, Add, Dummy, Indexed, IndexedBase, Symbol

from derivations.program import Definition, Program, SumOver, accesses, is_plain, name_of, subscript
from dynamics.integrate.conserved import Conserved
from dynamics.lowering import Bound, lower
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
    for definition in program.conserved:
        values = _of_state(definition, program, flow)
        if values is not None:
            found.append(Conserved(definition.note, values, _of_state(definition, program, flow, np.abs), True))  # type: ignore[arg-type]
            continue
        values, scale = _compiled(definition, program, flow, parameters)
        found.append(Conserved(definition.note, values, scale, _linear(definition, program)))
    return tuple(found)


def _of_state(
    definition: Definition, program: Program, flow: Bound, of: Callable[[Any], Any] = lambda values: values
) -> Read | None:
    """Reads a sum of a state over some of its indices, without code of its own; None for anything else."""
    found = _sum_of(definition, program)
    if found is None:
        return None
    name, axes, lengths = found
    at, size, shape = _place(flow, name)
    if lengths is None:
        return lambda y: of(y[at : at + size].reshape(shape)).sum(axis=axes)
    length = flow.arrays[lengths]
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


@cache
def _sum_of(definition: Definition, program: Program) -> tuple[str, tuple[int, ...], str | None] | None:
    """The state that a definition sums, over which axes, and for rows of different lengths what these are; or None."""
    state = definition.body
    if not (isinstance(definition.rhs, SumOver) and state in program.states and is_plain(state)):
        return None
    name, subs = name_of(state), subscript(state)
    ragged = [index for index in subs if isinstance(program.extents[index], Indexed)]
    if not ragged:
        return name, tuple(subs.index(index) for index in definition.over), None
    if len(subs) != 2 or definition.over != (subs[1],) or ragged != [subs[1]]:
        return None
    return name, (), name_of(program.extents[subs[1]])


def _compiled(
    definition: Definition, program: Program, flow: Bound, parameters: Mapping[str, float]
) -> tuple[Read, Read]:
    """Reads a definition, and the sum of the sizes of its terms, by code compiled for both."""
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
    states = set(program.state_names)
    moving = {d.name for d in program.definitions}
    dummies = {access: Dummy(name_of(access), real=True) for access in accesses(definition.rhs)}
    if any(name_of(access) in moving for access in dummies):
        return False
    of_states = [dummy for access, dummy in dummies.items() if name_of(access) in states]
    body = definition.body.xreplace(dummies)
    return all(body.diff(a, b) == 0 for a, b in combinations_with_replacement(of_states, 2))
