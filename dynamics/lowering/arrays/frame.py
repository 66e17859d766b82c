"""Axes of array code: what indices become where a definition is one expression over whole arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sympy import Expr, Indexed, Symbol

from derivations.program.access import Access, name_of, subscript

__all__ = ["Array", "Axis", "Frame", "owner_of", "ragged_in"]

Axis: TypeAlias = "Symbol | tuple[Symbol, Symbol]"
"""An index, or a ragged index with its owner on one flat axis."""


@dataclass(frozen=True)
class Array:
    """Code that gives an array, and what its axes are."""

    text: str
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Frame:
    """The axes that a definition is computed on, in order."""

    axes: tuple[Axis, ...]

    def axis_of(self, index: Symbol) -> Axis:
        """The axis that an index walks."""
        return next(axis for axis in self.axes if axis == index or (isinstance(axis, tuple) and index in axis))

    def of(self, found: Iterable[Symbol]) -> tuple[Axis, ...]:
        """The axes of some indices, in order."""
        wanted = {self.axis_of(index) for index in found}
        return tuple(axis for axis in self.axes if axis in wanted)

    def packed(self, owner: Symbol, ragged: Symbol) -> Frame:
        """The frame with an owner and a ragged index on one flat axis, without the other ragged ones."""
        return Frame(tuple((owner, ragged) if axis == owner else axis for axis in self.axes if axis != ragged))


def owner_of(index: Symbol, table: Mapping[Symbol, Expr]) -> Symbol | None:
    """The index that the length of a ragged index depends on, or None."""
    extent = table.get(index)
    return extent.indices[0] if isinstance(extent, Indexed) else None


def ragged_in(found: Iterable[Symbol], table: Mapping[Symbol, Expr]) -> dict[Symbol, list[Symbol]]:
    """Owner -> its ragged indices among some indices, in the order of the table."""
    wanted = set(found)
    by: dict[Symbol, list[Symbol]] = {}
    for index in table:
        owner = owner_of(index, table)
        if index in wanted and owner is not None:
            by.setdefault(owner, []).append(index)
    return by


def storage(access: Access, table: Mapping[Symbol, Expr]) -> tuple[Axis, ...]:
    """How a tensor is kept: a single ragged index behind its owner is one flat axis with it, others are padded."""
    subs = list(subscript(access))
    by = ragged_in(subs, table)
    kept: list[Axis] = []
    for k, sub in enumerate(subs):
        owner = owner_of(sub, table)
        if owner is not None and len(by[owner]) == 1 and k > 0 and subs[k - 1] == owner:
            kept[-1] = (owner, sub)
        else:
            kept.append(sub)
    return tuple(kept)


def lengths(index: Symbol, table: Mapping[Symbol, Expr]) -> str:
    """The name of the lengths of a ragged index."""
    return name_of(table[index])
