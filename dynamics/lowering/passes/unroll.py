"""Third pass, continued: short loops of known size are dissolved into the statements within them.

A nest of such loops becomes its statements one by one, each with the points that it has to visit: in that order they
stood in the program, so nothing changes. The emitter writes them out, or as operations on whole rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

from sympy import Add, Expr, Indexed, Integer, Mul, Symbol, exp

from derivations.program.access import Access, entries, subscript
from derivations.program.program import Program
from dynamics.lowering.passes.loops import Chunked, Loop, Node, Short
from dynamics.lowering.passes.statements import MAXIMA, Statement

LONGEST = 16
"""Rows up to this are vectors: two registers of eight numbers."""
MOST = 256
"""Points of a nest that may be written out."""
IN_ALL = 2048
"""Points of all nests of a program that may: a compiler's time grows faster than the code that it is given."""


def short_sizes(program: Program, constants: Mapping[str, int]) -> dict[Symbol, int]:
    """The indices whose loops are short, with their sizes."""
    known = {index: entries(extent, constants) for index, extent in program.extents.items()}
    return {index: size for index, size in known.items() if size is not None and size <= LONGEST}


def unroll(nodes: Sequence[Node], sizes: Mapping[Symbol, int]) -> tuple[Node, ...]:
    """The nodes with their short loops dissolved; loops over chunks stay, and in large programs larger nests."""
    most = MOST
    while written_out(found := dissolved(nodes, sizes, most)) > IN_ALL and most > 1:
        most //= 2
    return found


def written_out(nodes: Sequence[Node]) -> int:
    """The points of all nests that are dissolved."""
    return sum(
        prod(size for _, size in node.sizes) if isinstance(node, Short) else written_out(getattr(node, "body", ()))
        for node in nodes
    )


def dissolved(nodes: Sequence[Node], sizes: Mapping[Symbol, int], most: int) -> tuple[Node, ...]:
    """The nodes with the loops of nests of so many points dissolved."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Chunked):
            kept = {index: size for index, size in sizes.items() if index != node.index}
            found.append(replace(node, body=dissolved(node.body, kept, most)))
        elif isinstance(node, Loop):
            flat = flattened(node, sizes, most)
            found.extend(flat if flat is not None else [replace(node, body=dissolved(node.body, sizes, most))])
        else:
            found.append(node)
    return tuple(found)


def flattened(
    node: Node, sizes: Mapping[Symbol, int], most: int, around: tuple[tuple[Symbol, int], ...] = ()
) -> list[Short] | None:
    """The statements of a nest of short loops, if it is nothing else and has few points."""
    if isinstance(node, Statement):
        return [Short(node, around)]
    if not isinstance(node, Loop) or node.index not in sizes:
        return None
    inside = (*around, (node.index, sizes[node.index]))
    parts = [flattened(inner, sizes, most, inside) for inner in node.body]
    if any(part is None for part in parts) or prod(size for _, size in inside) > most:
        return None
    return [short for part in parts if part is not None for short in part]


def points(sizes: Sequence[tuple[Symbol, int]]) -> Iterator[dict[Symbol, Integer]]:
    """The points of a space, the last index fastest."""
    for numbers in product(*(range(size) for _, size in sizes)):
        yield {index: Integer(k) for (index, _), k in zip(sizes, numbers, strict=True)}


def across(short: Short) -> Symbol | None:
    """The index whose points are taken as one row, if there is one: the target's last, or else one that is summed."""
    s = short.statement
    last = subscript(s.target)[-1:]
    for index in sorted(short.space, key=lambda index: (index,) != last):
        if index in s.condition.free_symbols:
            continue
        inside = index in s.target.free_symbols
        if s.op in MAXIMA or not (inside or s.op == "+="):
            continue
        if in_rows(s.expr, index) and (in_rows(s.target, index) if inside else index in s.expr.free_symbols):
            return index
    return None


def in_rows(expr: Expr, index: Symbol) -> bool:
    """Whether an expression over all values of an index is arithmetic on rows."""
    if index not in expr.free_symbols:
        return True
    if isinstance(expr, Indexed):
        return is_row(expr, index)
    return isinstance(expr, Add | Mul | exp) and all(in_rows(part, index) for part in expr.args)


def is_row(access: Access, index: Symbol) -> bool:
    """Whether the index is the last subscript of an access to numbers (not to a table of ids), and in no other."""
    *others, last = subscript(access)
    return not access.is_integer and last == index and not any(index in sub.free_symbols for sub in others)
