"""Rows that a mask leaves nothing of: said by name, before a softmax of nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sympy import Dummy, Indexed, Symbol, lambdify

from derivations.program import Program, name_of, subscript
from derivations.program.access import index_symbols
from derivations.program.language import LogSumExp, Where
from derivations.program.normal import PART
from derivations.program.program import Definition
from dynamics.problems.problem import size_of
from dynamics.support.errors import InputError

__all__ = ["require_rows"]

MOST = 50_000_000
"""Places of a mask that are looked at."""


def require_rows(program: Program, arrays: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Refuse a softmax, or a logarithm of a sum of exponentials, one of whose rows has no entry.

    Raises
    ------
    InputError
        The message names the definition, the row and the mask.

    Examples
    --------
    >>> from dynamics.program_file import Definition, Softmax, SumOver, indices, model, sizes, tensors
    >>> (T,), (p, l), (P, a) = sizes("T"), indices("p l"), tensors("P a")
    >>> program = model(extents={p: T, l: T}, states=[P[p, l]], loss=SumOver(a[p, l] ** 2, p, l),
    ...     definitions=[Definition(a[p, l], Softmax(P[p, l], l, mask=l < p))])
    >>> require_rows(program, {}, {"T": 3})
    Traceback (most recent call last):
    dynamics.support.errors.InputError: definition of a[p, l]: row p = 0 is empty, as no l has l < p; widen the mask
    """
    definitions = (program.model or program).definitions
    for k, d in enumerate(definitions):
        if isinstance(d.rhs, LogSumExp) and isinstance(d.rhs.weight, Where):
            written = next((one for one in definitions[k:] if one.note != PART), d)
            _require(d, written, program, arrays, sizes)


def _require(
    d: Definition, written: Definition, program: Program, arrays: Mapping[str, Any], sizes: Mapping[str, int]
) -> None:
    table, condition = program.extents, d.rhs.weight.condition
    found = index_symbols(condition, table) | set(d.over)
    owners = {index: table[index].indices[0] for index in found if table[index].is_Indexed}
    walked = [index for index in table if index in found | set(owners.values())]
    lengths = {index: np.asarray(arrays[name_of(table[index])]) for index in owners}
    shape = [
        int(lengths[index].max(initial=0)) if index in owners else size_of(table[index], sizes) for index in walked
    ]
    tables = condition.atoms(Indexed)
    if math.prod(shape) > MOST or any(name_of(one) not in arrays for one in tables):
        return
    at = dict(zip(walked, np.indices(shape, sparse=True), strict=True))
    row = np.ones(shape, dtype=bool)
    inside = np.ones(shape, dtype=bool)
    for index, owner in owners.items():
        within = at[index] < lengths[index][at[owner]]
        inside &= within
        row &= within | (index in d.over)
    held = inside & np.broadcast_to(_value(condition, program, at, arrays, sizes), shape)
    axes = tuple(k for k, index in enumerate(walked) if index in d.over)
    empty = row.any(axis=axes) & ~held.any(axis=axes)
    if empty.any():
        place = np.argwhere(empty)[0]
        names = [index for index in walked if index not in d.over]
        which = ", ".join(f"{index} = {k}" for index, k in zip(names, place, strict=True))
        over = ", ".join(str(index) for index in d.over)
        what = f"row {which} is empty, as no {over} has {condition}" if which else f"no {over} has {condition}"
        raise InputError(f"definition of {written.lhs}: {what}; widen the mask")


def _value(
    expr: Any, program: Program, at: Mapping[Symbol, Any], arrays: Mapping[str, Any], sizes: Mapping[str, int]
) -> Any:
    """An expression of indices, sizes and tables at all places; beyond a table it may be anything."""
    tables = {one: Dummy(integer=True) for one in expr.atoms(Indexed)}
    outer = {one: dummy for one, dummy in tables.items() if not any(one in other.args for other in tables)}
    known: dict[Any, Any] = {dummy: _entry(one, program, at, arrays, sizes) for one, dummy in outer.items()}
    rest = expr.xreplace(outer)
    known |= {s: at[s] if s in at else sizes[s.name] for s in rest.free_symbols if s not in known}
    return lambdify(list(known), rest, "numpy")(*np.broadcast_arrays(*known.values()))


def _entry(
    access: Indexed, program: Program, at: Mapping[Symbol, Any], arrays: Mapping[str, Any], sizes: Mapping[str, int]
) -> Any:
    declared = subscript(program.declarations[name_of(access)])
    values = np.asarray(arrays[name_of(access)])
    places: list[Any] = []
    for k, sub in enumerate(subscript(access)):
        place = np.asarray(_value(sub, program, at, arrays, sizes), dtype=np.int64)
        extent = program.extents[declared[k]]
        if extent.is_Indexed and k and declared[k - 1] in extent.free_symbols:
            lengths = np.asarray(arrays[name_of(extent)])
            place = (np.cumsum(lengths) - lengths)[places.pop()] + place  # rows one after the other
        places.append(np.clip(place, 0, values.shape[len(places)] - 1))
    return values[tuple(np.broadcast_arrays(*places))]
