"""The flow on a few words, written out entry by entry: what theorems on single words are derived from.

A program holds for any number of words and sentences. Here its definitions are written out for a few numbered ones:
the topic classifier's (:func:`derivations.reductions.topic_words`) with its own loss, or with any, and those of other
programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from sympy import Expr, IndexedBase, Integer, Matrix, S, Symbol, exp, log

from derivations.models.symbols import length, x, y
from derivations.program.access import gathers, name_of
from derivations.program.language import LogSumExp, Reduction, scalars
from derivations.program.program import Definition, Program
from derivations.reductions import topic_words

__all__ = [
    "ENDS",
    "behind",
    "beside_the_classifier",
    "column",
    "entry",
    "matrix",
    "of_any_loss",
    "of_linear",
    "rated",
    "sentences",
    "sized",
    "vector",
    "written_out",
]

eta_s, eta_v, eta_key, eta_query = scalars("eta_s eta_v eta_key eta_query", positive=True)


def written_out(
    definitions: Iterable[Definition], extents: Mapping[Symbol, Expr], values: Mapping[Expr, Expr]
) -> dict[Expr, Expr]:
    """Definitions on numbered words and sentences: every entry of every tensor as an expression.

    Parameters
    ----------
    definitions : iterable of Definition
    extents : mapping of Symbol to Expr
        Of their indices.
    values : mapping of Expr to Expr
        Sizes, and the entries of data, states and whatever else is not defined, such as ``v[0, 1]``.
    """
    found = dict(values)

    def points(over: Iterable[Symbol], at: Mapping[Symbol, Expr]) -> Iterable[dict[Symbol, Expr]]:
        first, *rest = over
        for number in range(int(extents[first].xreplace(at).xreplace(found))):
            here = {**at, first: Integer(number)}
            yield from points(rest, here) if rest else [here]

    def put(expr: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        here = expr.xreplace(at)
        tables = {table: found[table] for table in gathers(here)}
        return here.xreplace(tables).xreplace(found)

    def value(rhs: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        if not isinstance(rhs, Reduction):
            return put(rhs, at)
        term = rhs.weight * exp(rhs.body) if isinstance(rhs, LogSumExp) else rhs.body
        total = sum(put(term, here) for here in points(rhs.over, at))
        return log(total) if isinstance(rhs, LogSumExp) else total

    for d in definitions:
        order = [i for i in extents if i in d.lhs.free_symbols | (d.rhs.free_symbols - set(d.over))]
        for at in points(order, {}) if order else [{}]:
            entry = d.lhs.xreplace(at)
            entry = entry.xreplace({table: found[table] for table in gathers(entry)})
            new = value(d.rhs, at)
            found[entry] = found[entry] + new if d.accumulate else new
    return found


def sized(**sizes: int) -> dict[Expr, Expr]:
    """Values of size symbols."""
    return {Symbol(name, integer=True, positive=True): Integer(size) for name, size in sizes.items()}


def rated(*states: str) -> dict[Expr, Expr]:
    """Learning rates of 1."""
    return {Symbol(f"eta_{state}", real=True): S.One for state in states}


TABLES = {str(table.label): table for table in (x, y, length)}
"""What examples are made of: whole numbers."""


def behind(program: Program, *names: str) -> list[Definition]:
    """The definitions that some tensors are computed from, and their own."""
    wanted = set(names)
    found = []
    for d in reversed(program.definitions):
        if d.name in wanted:
            found.append(d)
            wanted |= {name_of(access) for access in d.reads}
    return found[::-1]


def entry(name: str, *at: int) -> Expr:
    """One entry of a tensor, such as ``v[0, 1]``."""
    base = TABLES.get(name) or IndexedBase(name, real=True)
    return base[tuple(map(Integer, at))]


def vector(name: str, *at: int, size: int = 2) -> Matrix:
    """The entries of a tensor along its last index."""
    return Matrix([entry(name, *at, d) for d in range(size)])


def matrix(name: str, rows: int, columns: int) -> Matrix:
    return Matrix(rows, columns, lambda i, j: entry(name, i, j))


def sentences(
    kinds: Sequence[Mapping[int, Expr | int]], moving: Iterable[int], labels: Iterable[int] = (), **sizes: int
) -> dict[Expr, Expr]:
    """Kinds of sentences, each by how often every word stands in it; words that do not move; sizes V, D, K, E."""
    moving = set(moving)
    found: dict[Expr, Expr] = {
        Symbol(name, integer=True, positive=True): Integer(size) for name, size in {"N": len(kinds), **sizes}.items()
    }
    for n, counts in enumerate(kinds):
        found[entry("length", n)] = Integer(len(counts))
        for place, (word, count) in enumerate(counts.items()):
            found[entry("x", n, place)] = Integer(word)
            found[entry("times", n, place)] = S(count)
    found |= {entry("y", n): Integer(label) for n, label in enumerate(labels)}
    for i, j in product(range(sizes["V"]), repeat=2):
        found[entry("coupling", i, j)] = Integer(i == j and i in moving)
    return found | {Symbol(rate.name, real=True): rate for rate in (eta_s, eta_v, eta_key, eta_query)}


def beside_the_classifier(flow: Program, given: str) -> tuple[Definition, ...]:
    """Attention, and the flow of words from a given adjoint on: what the rest of a classifier does not change."""
    words = ("v", "s", "W", "a", "key", "query")
    kept = {"a", "M", "alpha", "r", "metric", "rbar", "alphabar", "Mbar", *(x + end for x in words for end in ENDS)}
    return tuple(d for d in flow.definitions if d.name in kept - {given})


ENDS = ("bar", "dot")


def of_any_loss(
    values: Mapping[Expr, Expr], kinds: int = 1, given: str = "rbar", flow: Program | None = None
) -> dict[Expr, Expr]:
    """The flow of words where ``G[n]`` is minus the gradient of a loss by the contexts of kind n, or by its logits."""
    flow = flow or topic_words("FC")
    pulled = {entry(given, n, d): -entry("G", n, d) for n in range(kinds) for d in range(2)}
    return written_out(beside_the_classifier(flow, given), flow.extents, {**values, **pulled})


def of_linear(values: Mapping[Expr, Expr], shares: Iterable[Expr], flow: Program | None = None) -> dict[Expr, Expr]:
    """The flow of words with classifier FC."""
    flow = flow or topic_words("FC")
    given = {entry("share", n): share for n, share in enumerate(shares)}
    return written_out(flow.definitions, flow.extents, {**values, **given})


def column(found: Mapping[Expr, Expr], name: str, *at: int, size: int = 2) -> Matrix:
    """Entries that were found."""
    return vector(name, *at, size=size).xreplace(found)
