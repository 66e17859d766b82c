"""Where subscripts are: what of ``l - 1``, ``p - l`` and ``L - 1`` is certain to lie within a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from sympy import And, Eq, Expr, Ge, Gt, Indexed, Integer, Le, Lt, S, Symbol

from derivations.program.language import conjuncts

__all__ = ["affine", "bounds", "certain", "is_subscript", "least", "leaving", "margins"]


def is_subscript(expr: Expr) -> bool:
    """Whether an expression may be a subscript: whole numbers, indices, sizes and tables; their sums and multiples."""
    return bool(expr.is_integer) and affine(expr) is not None


def affine(expr: Expr) -> dict[Expr, int] | None:
    """Atom -> whole coefficient of a sum of indices, sizes, tables and numbers (under 1); None if it is none.

    Examples
    --------
    >>> from derivations.program.language import indices
    >>> l, p = indices("l p")
    >>> affine(p - 2 * l + 1) == {p: 1, l: -2, S.One: 1}, affine(l * p)
    (True, None)
    """
    found: dict[Expr, int] = {}
    for term in expr.expand().as_ordered_terms() if not isinstance(expr, Indexed | Symbol) else [expr]:
        number, rest = term.as_coeff_Mul()
        atom = rest == 1 or (isinstance(rest, Symbol | Indexed) and rest.is_integer)
        if not (atom and isinstance(number, Integer)):
            return None
        found[rest] = found.get(rest, 0) + int(number)
    return {atom: number for atom, number in found.items() if number}


def least(expr: Expr, table: Mapping[Symbol, Expr]) -> Expr:
    """An expression at the indices that make it smallest, in sizes and lengths: ``p - l`` is at least ``1 - L``."""
    for _ in range(len(table) + 1):
        parts = affine(expr) or {}
        inside = {atom: number for atom, number in parts.items() if atom in table}
        if not inside:
            return expr
        expr = expr.xreplace({atom: S.Zero if number > 0 else table[atom] - 1 for atom, number in inside.items()})
    return expr


def is_certain(expr: Expr, table: Mapping[Symbol, Expr]) -> bool:
    """Whether an expression is 0 or more wherever its indices are; sizes are from 1, and lengths from 0."""
    parts = affine(least(expr, table).expand())
    if parts is None:
        return False
    lengths = {extent for extent in table.values() if isinstance(extent, Indexed)}
    low = parts.pop(S.One, 0)
    for atom, number in parts.items():
        if number < 0 or (isinstance(atom, Indexed) and atom not in lengths):
            return False
        low += 0 if isinstance(atom, Indexed) else number
    return low >= 0


def certain(expr: Expr, table: Mapping[Symbol, Expr], known: Iterable[Expr] = ()) -> bool:
    """Whether an expression is 0 or more, given that others are.

    Examples
    --------
    >>> from derivations.program.language import indices
    >>> l, p = indices("l p")
    >>> L = Symbol("L", integer=True, positive=True)
    >>> certain(L - 1, {l: L}), certain(l - 1, {l: L}), certain(p - l, {l: L, p: L}, margins(l <= p))
    (True, False, True)
    """
    given = list(known)
    rest = [expr, *(expr - one for one in given), *(expr - one - other for one, other in combinations(given, 2))]
    return any(is_certain(one, table) for one in rest)


def margins(condition: Any) -> list[Expr]:
    """What is 0 or more where a condition holds: ``p - l`` for ``l <= p``, ``p - l - 1`` for ``l < p``."""
    found: list[Expr] = []
    for part in conjuncts(condition):
        if not all(getattr(side, "is_integer", False) for side in part.args):
            continue
        if isinstance(part, Ge | Gt):
            found.append(part.lhs - part.rhs - (1 if isinstance(part, Gt) else 0))
        elif isinstance(part, Le | Lt):
            found.append(part.rhs - part.lhs - (1 if isinstance(part, Lt) else 0))
        elif isinstance(part, Eq):
            found += [part.lhs - part.rhs, part.rhs - part.lhs]
    return found


def leaving(margin: Expr, table: Mapping[Symbol, Expr]) -> Any:
    """``margin >= 0`` as it reads best: ``l >= 1`` for ``l - 1``."""
    parts = affine(margin.expand()) or {}
    for index in table:
        if abs(parts.get(index, 0)) == 1:
            return index >= index - margin if parts[index] == 1 else index <= index + margin
    return margin >= 0


def bounds(condition: Any, index: Symbol, fixed: set[Symbol]) -> tuple[list[Expr], list[Expr], Any]:
    """What conditions say of an index where others are fixed: at least, at most, and the conjuncts that say it."""
    low: list[Expr] = []
    high: list[Expr] = []
    used = []
    for part in sorted(conjuncts(condition), key=str):
        if part.has(Indexed) or index not in part.free_symbols or not part.free_symbols - {index} <= fixed:
            continue
        found = margins(part)
        parts = [affine(margin.expand()) for margin in found]
        if not found or any(p is None or abs(p.get(index, 0)) != 1 for p in parts):
            continue
        for margin, p in zip(found, parts, strict=True):
            assert p is not None
            (low if p[index] == 1 else high).append(index - margin if p[index] == 1 else index + margin)
        used.append(part)
    return low, high, And(*used)
