"""What definitions read and write: tensors and their subscripts, in expressions.

Sympy is not imported here, whose own marks (``is_Indexed``) are on every expression: what asks a program for names only
starts without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sympy import Expr, Indexed, Symbol
__all__ = [
    "Access",
    "accesses",
    "entries",
    "factors",
    "gathers",
    "index_symbols",
    "is_plain",
    "name_of",
    "number_of",
    "size_expression",
    "subscript",
]

Access = Any  # an Indexed, or a Symbol for a tensor without indices (sympy has no type stubs)


def name_of(access: Access) -> str:
    """The name of the tensor that an access reads or writes."""
    if not access.is_Indexed:
        return str(access.name)
    label = access.base.label
    return str(label.name if label.is_Symbol else label)


def subscript(access: Access) -> tuple[Expr, ...]:
    """The subscripts of an access; empty for a scalar."""
    return tuple(access.indices) if access.is_Indexed else ()


def is_plain(access: Access) -> bool:
    """Whether the subscripts are distinct index symbols: no gather, no diagonal."""
    subs = subscript(access)
    return all(s.is_Symbol for s in subs) and len(set(subs)) == len(subs)


def accesses(expr: Expr) -> Iterator[Access]:
    """All tensor accesses in an expression, outermost only (the table of a gather is part of its access)."""
    if expr.is_Indexed or (expr.is_Symbol and not expr.is_integer):
        yield expr
    else:  # the indices that a reduction runs over are integers
        for arg in expr.args:
            yield from accesses(arg)


def gathers(expr: Expr) -> Iterator[Indexed]:
    """The integer tables read in the subscripts of an expression's accesses; those that tables need before them."""
    for access in accesses(expr):
        for sub in subscript(access):
            yield from gathers(sub)
            yield from (a for a in accesses(sub) if a.is_Indexed)


def index_symbols(expr: Expr, table: Mapping[Symbol, Expr]) -> set[Symbol]:
    """The indices of a program's table that occur free in an expression."""
    return {s for s in expr.free_symbols if s in table}


def size_expression(extent: Expr) -> bool:
    """Whether an extent is a size, a number, or a product of such: ``V``, 3, ``2*D``, which is at least 1.

    Examples
    --------
    >>> from sympy import Symbol
    >>> D = Symbol("D", integer=True, positive=True)
    >>> size_expression(2 * D), size_expression(D**2), size_expression(D - 1)
    (True, True, False)
    """
    if extent.is_Symbol or extent.is_Integer:
        return True
    if extent.is_Pow:
        return size_expression(extent.base) and bool(extent.exp.is_Integer and extent.exp.is_positive)
    return bool(extent.is_Mul) and all(size_expression(part) and part.is_positive for part in extent.args)


def entries(extent: Expr, sizes: Mapping[str, int]) -> int | None:
    """The number that an extent stands for, if sizes decide it: a size, a number, or a product of them.

    Examples
    --------
    >>> from sympy import Symbol
    >>> D = Symbol("D", integer=True, positive=True)
    >>> entries(2 * D, {"D": 3}), entries(D, {})
    (6, None)
    """
    if str(extent) in sizes:
        return sizes[str(extent)]
    return number_of(factors(extent), sizes)


def factors(extent: Expr) -> tuple[str | int, ...]:
    """The sizes, by name, and the numbers that an extent is the product of, each as often as it is one.

    Examples
    --------
    >>> from sympy import Symbol
    >>> D = Symbol("D", integer=True, positive=True)
    >>> factors(2 * D**2)
    (2, 'D', 'D')
    """
    if extent.is_Mul:
        return tuple(factor for part in extent.args for factor in factors(part))
    if extent.is_Pow:
        return factors(extent.base) * int(extent.exp)
    return (int(extent),) if extent.is_Integer else (str(extent),)


def number_of(parts: Iterable[str | int], sizes: Mapping[str, int]) -> int | None:
    """The product of some factors; None if sizes do not decide it."""
    known = [part if isinstance(part, int) else sizes.get(part) for part in parts]
    return None if None in known else int(prod(known))  # type: ignore[arg-type]
