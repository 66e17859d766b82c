"""Slopes as symbols: ``grad(loss, W[i, k])`` in a definition becomes the adjoint that a reverse sweep gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr, Indexed, IndexedBase, Symbol

from derivations.gradient_flow.adjoints import adjoints
from derivations.program.access import Access, name_of, subscript
from derivations.program.language import Gradient
from derivations.program.normal import normal
from derivations.program.program import Definition, Program, ProgramError, unused

__all__ = ["Slopes", "grad", "with_slopes"]


class Slopes:
    """The slopes of a loss by the entries of a tensor: ``grad(loss, W)[i, k]``."""

    def __init__(self, loss: Any, tensor: IndexedBase) -> None:
        self.loss, self.tensor = loss, tensor

    def __getitem__(self, subscripts: Any) -> Gradient:
        return Gradient(self.loss, self.tensor[subscripts])


def grad(loss: Any, by: Any) -> Any:
    """The slope of a loss by a tensor, as a symbol that definitions may have.

    Parameters
    ----------
    loss : Symbol or Expr
        A scalar that is defined, or an expression without free indices.
    by : IndexedBase, Indexed or Symbol
        A state, or anything else that the loss is made of: ``grad(loss, W)[i, k]`` and ``grad(loss, W[i, k])`` are
        the same.

    Examples
    --------
    >>> from derivations.program.language import indices, scalars, tensors
    >>> (W,), (i,), (loss,) = tensors("W"), indices("i"), scalars("loss")
    >>> -2 * grad(loss, W[i]), grad(loss, W)[i] == grad(loss, W[i])
    (-2*grad(loss, W[i]), True)
    """
    if isinstance(by, IndexedBase):
        return Slopes(loss, by)
    if not isinstance(by, Indexed | Symbol):
        raise ProgramError(f"grad(loss, {by}): {by} is no tensor; write grad(loss, W[i, k]) or grad(loss, W)[i, k]")
    return Gradient(loss, by)


def with_slopes(
    definitions: Sequence[Definition], extents: Mapping[Symbol, Expr], declared: Sequence[Access]
) -> tuple[list[Definition], dict[Symbol, Expr]]:
    """Definitions with adjoints in the place of slopes, and the extents with those that the sweeps had to add.

    What a loss is made of moves before the first of its slopes, and its adjoints follow it.

    Parameters
    ----------
    definitions : sequence of Definition
        In core form, but for slopes.
    extents : mapping of index to extent
    declared : sequence of accesses
        Data, states and parameters.

    Raises
    ------
    ProgramError
        A loss that is not defined or is made of its own slope, or a tensor that it is not made of. The message names
        the definition.

    Examples
    --------
    >>> from derivations.program.language import SumOver, indices, scalars, tensors
    >>> (W, m, v), (i,), (loss,), V = tensors("W m v"), indices("i"), scalars("loss"), Symbol("V", integer=True)
    >>> heavy_ball = [
    ...     Definition(v[i], -m[i] - grad(loss, W[i])), Definition(loss, SumOver(W[i] ** 4, i))
    ... ]
    >>> print(*with_slopes(heavy_ball, {i: V}, (W[i], m[i]))[0], sep="\\n")
    loss = SumOver(W[i]**4, i)
    Wbar[i] = 4*W[i]**3
    v[i] = -Wbar[i] - m[i]
    """
    found, table = list(definitions), dict(extents)
    taken = {*(d.name for d in found), *(name_of(a) for a in declared), *(index.name for index in table)}
    taken |= {symbol.name for extent in table.values() for symbol in extent.free_symbols}
    while slopes := [(d, g) for d in found for g in sorted(d.rhs.atoms(Gradient), key=str)]:
        for d, slope in slopes:
            if not isinstance(slope.loss, Symbol):
                found = with_loss(slope.loss, d, found, table, declared, taken)
                break
        else:
            found, table = swept(slopes, found, table, declared, taken)
    return found, table


def swept(
    slopes: list[tuple[Definition, Gradient]],
    found: list[Definition],
    table: dict[Symbol, Expr],
    declared: Sequence[Access],
    taken: set[str],
) -> tuple[list[Definition], dict[Symbol, Expr]]:
    """The definitions with the slopes of one loss as adjoints: of one that is not made of slopes itself."""
    for d, slope in slopes:
        of = slope.loss
        if of.name not in {one.name for one in found}:
            raise ProgramError(
                f"definition of {d.lhs}: the loss of grad({of}, {slope.access}) is not defined; define it"
            )
        first = needed(found, of)
        if not any(one.rhs.has(Gradient) for one in first):
            break
    else:
        raise ProgramError(f"definition of {d.lhs}: grad({of}, {slope.access}) stands in what {of} is made of")
    here = [(d, g) for d, g in slopes if g.loss == of]
    read = {name_of(access) for one in first for access in one.reads}
    for d, g in here:
        if name_of(g.access) not in read:
            raise ProgramError(f"definition of {d.lhs}: grad({of}, {g.access}), but {of} is not made of {g.access}")
    asked = frozenset(name_of(g.access) for _, g in here)
    states = tuple(a for a in declared if name_of(a) in asked)
    whole = Program(
        name="program",
        title="",
        source="",
        extents=table,
        data=tuple(a for a in declared if a not in states),
        states=states,
        definitions=tuple(first),
        loss=of,
    )
    sweep, extents, value = adjoints(whole, by=asked, reserved=frozenset(taken))
    taken |= {one.name for one in sweep} | {index.name for index in extents}
    own = whole.declarations
    replaced = {}
    for d, g in here:
        name = name_of(g.access)
        if len(subscript(own[name])) != len(subscript(g.access)):
            raise ProgramError(f"definition of {d.lhs}: grad({of}, {g.access}), but {own[name]} has other subscripts")
        replaced[g] = value[name].xreplace(dict(zip(subscript(own[name]), subscript(g.access), strict=True)))
    rest = [one for one in found if one not in first]
    return [*first, *sweep, *(replace(one, rhs=rhs_with(one.rhs, replaced)) for one in rest)], extents


def rhs_with(rhs: Expr, replaced: Mapping[Expr, Expr]) -> Expr:
    """A right-hand side with adjoints for slopes, under the conditions that it had."""
    return rhs.xreplace(dict(replaced)) if rhs.has(Gradient) else rhs


def with_loss(
    loss: Expr,
    d: Definition,
    found: list[Definition],
    table: Mapping[Symbol, Expr],
    declared: Sequence[Access],
    taken: set[str],
) -> list[Definition]:
    """The definitions with one of a loss that was written as an expression, before the first that reads its slope."""
    name = unused(["loss", *(f"loss_{k}" for k in range(2, 1000))], taken)
    scalar = Symbol(name, real=True)
    parts = normal([Definition(scalar, loss)], table, (*declared, *(one.lhs for one in found)), taken)
    taken |= {part.name for part in parts}
    named = {g: Gradient(scalar, g.access) for one in found for g in one.rhs.atoms(Gradient) if g.loss == loss}
    at = found.index(d)
    return [replace(one, rhs=rhs_with(one.rhs, named)) for one in (*found[:at], *parts, *found[at:])]


def needed(definitions: Sequence[Definition], of: Symbol) -> list[Definition]:
    """What a scalar is made of, in order."""
    wanted, kept = {of.name}, []
    for one in reversed(definitions):
        if one.name in wanted:
            kept.append(one)
            wanted |= {name_of(access) for access in one.reads}
    return kept[::-1]
