"""Definitions that a solution keeps beside its states, for it was asked to: ``observe=["alpha", "norm"]``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program, name_of, subscript
from dynamics.lowering import Bound
from dynamics.problems.problem import Problem, Tensors, Variable, size_of
from dynamics.problems.settings.keep import Keep
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.memory import require
from dynamics.support.typing import Vector

__all__ = ["Observable", "along", "extents_of", "observables", "of_single_examples", "watched"]


@dataclass(frozen=True)
class Observable:
    """A definition of a problem's program, and how its values are shown.

    Attributes
    ----------
    access : Indexed or Symbol
        The definition's left-hand side.
    dims : tuple of str
        What its axes are called.
    shape : tuple of int
        Rows of different lengths are as long as the longest, with NaN behind their end.
    lengths : tuple of (ndarray or None)
        For an axis of rows of different lengths, how long they are.
    owners : tuple of int
        For such an axis, the axis that the rows belong to.
    attrs : mapping of str to str
        ``long_name``, ``units``, ``role``.
    """

    access: Any
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    lengths: tuple[NDArray[np.int64] | None, ...]
    owners: tuple[int, ...]
    attrs: Mapping[str, str]

    @property
    def name(self) -> str:
        return name_of(self.access)

    def full(self, value: NDArray[Any]) -> NDArray[Any]:
        """Its values as they are packed, with an axis for each index: NaN behind the end of a row."""
        if not any(length is not None for length in self.lengths):
            return value
        joined = [k for k, rows in enumerate(self.lengths) if rows is not None and self.owners[k] == k - 1]
        for k in joined:
            rows = self.lengths[k]
            assert rows is not None
            there = np.arange(self.shape[k]) < rows[:, None]
            before, after = self.shape[: k - 1], value.shape[k:]
            spread = np.full((*before, *there.shape, *after), np.nan)
            spread[(slice(None),) * (k - 1) + (there,)] = value
            value = spread
        for k, rows in enumerate(self.lengths):
            if rows is None or k in joined:
                continue
            owner = self.owners[k]
            there = np.arange(self.shape[k]) < rows[:, None]
            order = there if owner < k else there.T
            shape = [1] * value.ndim
            shape[owner], shape[k] = self.shape[owner], self.shape[k]
            value = np.where(order.reshape(shape), value, np.nan)
        return value

    def variable(self, keep: Keep) -> Variable:
        """What a solution keeps of it."""
        name, whole = self.name, keep.everything(self.dims)
        cells = () if whole else keep.cells(self.dims)
        read: Callable[[Tensors, Tensors], Any] = (
            (lambda _, seen: self.full(seen[name])) if whole else (lambda _, seen: self.full(seen[name])[cells])
        )
        return Variable(name, self.dims, tuple(len(keep.positions[dim]) for dim in self.dims), read, self.attrs)


def watched(problem: Problem, names: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names that are asked for, checked: definitions of a program; states, which results have, are left out.

    Raises
    ------
    InputError
        The program has no such definition.
    """
    asked = [names] if isinstance(names, str) else list(names or ())
    if not asked:
        return ()
    program = problem.program
    defined = list(dict.fromkeys(d.name for d in program.definitions))
    known = [*program.state_names, *defined]
    for name in asked:
        if name not in known:
            near = did_you_mean(str(name), known) or f"; it has {', '.join(_few(own_definitions(program)))}"
            raise InputError(f"observe: {problem.described} has no definition {name!r}{near}")
    return tuple(name for name in dict.fromkeys(asked) if name in defined)


def own_definitions(program: Program) -> list[str]:
    """The definitions of a program before it was differentiated."""
    return list(dict.fromkeys(d.name for d in (program.model or program).definitions))


def _few(names: Sequence[str], most: int = 12) -> list[str]:
    return [*names[:most], *(["..."] if len(names) > most else [])]


def observables(problem: Problem, names: Sequence[str]) -> tuple[Observable, ...]:
    """Definitions of a problem with the names and the sizes of their axes.

    Raises
    ------
    InputError
        More numbers than memory holds.

    Examples
    --------
    >>> from dynamics import Exact, Examples, keyword
    >>> two = Examples.from_rows([[0, 2, 1], [1, 2]], [0, 1], inputs=3, outputs=2)
    >>> attention, logits = observables(Exact(keyword(), two), ["alpha", "z"])
    >>> attention.dims, attention.shape, logits.dims
    (('n', 'l'), (2, 3), ('n', 'output'))
    """
    if not names:
        return ()
    program, arrays, sizes, known = problem.program, problem.arrays, problem.sizes, dict(problem.extents)
    found = []
    for name in names:
        access = program.declarations[name]
        dims: list[str] = []
        shape: list[int] = []
        lengths: list[NDArray[np.int64] | None] = []
        owners: list[int] = []
        for k, (index, called) in enumerate(zip(subscript(access), problem.axes(name), strict=True)):
            extent = program.extents[index]
            rows, owner = None, k
            if extent.is_Indexed:
                rows = np.asarray(arrays[name_of(extent)], dtype=np.int64)
                owner = next(j for j, one in enumerate(subscript(access)) if one in extent.free_symbols)
            n = int(rows.max(initial=0)) if rows is not None else _size(problem, extent, sizes, arrays)
            dim = called if called not in dims and known.get(called, n) == n else index.name
            known.setdefault(dim, n)
            dims.append(dim)
            shape.append(n)
            lengths.append(rows)
            owners.append(owner)
        note = next((d.note for d in program.definitions if d.name == name and d.note), "")
        attrs = {
            **({"long_name": note} if note else {}),
            **({"units": program.units[name]} if name in program.units else {}),
            **({"role": str(program.roles[name])} if name in program.roles else {}),
        }
        found.append(Observable(access, tuple(dims), tuple(shape), tuple(lengths), tuple(owners), attrs))
    return tuple(found)


def _size(problem: Problem, extent: Any, sizes: Mapping[str, int], arrays: Mapping[str, Any]) -> int:
    """How many entries an axis has: a size, which of examples is known by their number."""
    if extent.is_Symbol and str(extent) not in sizes:
        for access in problem.program.data:
            for axis, index in enumerate(subscript(access)[:1]):
                if problem.program.extents[index] == extent:
                    return int(np.shape(arrays[name_of(access)])[axis])
    return size_of(extent, sizes)


def extents_of(problem: Problem, seen: Sequence[Observable], times: int) -> dict[str, int]:
    """How many entries each dimension of a solution has, that of what is observed among them; if memory holds it."""
    numbers = sum(math.prod(one.shape) for one in seen)
    require(
        8.0 * times * numbers, f"what is observed, {numbers} numbers at {times} times,", lambda _: "keep fewer times"
    )
    return {**{dim: n for one in seen for dim, n in zip(one.dims, one.shape, strict=True)}, **problem.extents}


def of_single_examples(program: Program, names: Sequence[str]) -> tuple[str, ...]:
    """Those definitions that have an entry for each example."""
    if program.examples is None:
        return ()
    extent = program.extents[program.examples]

    def each(name: str) -> bool:
        return any(program.extents[index] == extent for index in subscript(program.declarations[name]))

    return tuple(name for name in names if name in program.declarations and each(name))


def along(bound: Bound, seen: Sequence[Observable], keep: Keep, states: Vector) -> dict[str, NDArray[np.float64]]:
    """Observables at several packed states, shape (records, size): of each, what is kept, shape (records, ...)."""
    out = np.empty(bound.output_size)
    variables = [one.variable(keep) for one in seen]
    found = {v.name: np.empty((len(states), *v.shape)) for v in variables}
    for k, y in enumerate(states):
        bound(np.ascontiguousarray(y), out)
        results = bound.results(out)
        for v in variables:
            found[v.name][k] = v.read({}, results)
    return found
