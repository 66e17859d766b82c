"""Random points of expressions: how an equation is checked that sympy does not simplify."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from types import MappingProxyType

from sympy import Expr, Indexed, Symbol, lambdify

__all__ = ["POINTS", "at_random_points"]

POINTS = 50
"""Random points at which an equation is checked that sympy does not simplify."""
DIGITS = 30
"""Decimal digits that such a check computes with."""
NOTHING: Mapping[Symbol, Expr] = MappingProxyType({})


def at_random_points(left: Expr, right: Expr, domain: Mapping[Symbol, Expr] = NOTHING) -> float:
    """The largest relative difference of two expressions at random points within the assumptions of their symbols.

    Points where a side has no finite real value are drawn again. Infinite if there are no others.

    Parameters
    ----------
    left, right : Expr
    domain : mapping of Symbol to Expr, optional
        What is known of symbols beyond their assumptions, in symbols that may be any positive number.

    Examples
    --------
    >>> from sympy import sin, cos, symbols
    >>> x = symbols("x", real=True)
    >>> at_random_points(sin(2 * x), 2 * sin(x) * cos(x)) < 1e-25
    True
    >>> at_random_points(sin(2 * x), 2 * sin(x)) > 0.1
    True
    """
    import mpmath  # type: ignore[import-untyped]

    left, right = left.subs(domain), right.subs(domain)
    entries = left.atoms(Indexed) | right.atoms(Indexed)
    symbols = (left.free_symbols | right.free_symbols) - {s for entry in entries for s in entry.free_symbols}
    of = sorted({*entries, *symbols}, key=str)
    both = lambdify(of, [left, right], "mpmath", cse=True)
    draw, worst, found = random.Random(0), 0.0, 0
    with mpmath.workdps(DIGITS):
        for _ in range(20 * POINTS):
            if found == POINTS:
                break
            try:
                one, other = (mpmath.mpmathify(side) for side in both(*(mpmath.mpf(drawn(s, draw)) for s in of)))
            except (ZeroDivisionError, ValueError):
                continue
            if not all(isinstance(side, mpmath.mpf) and mpmath.isfinite(side) for side in (one, other)):
                continue
            found += 1
            worst = max(worst, float(abs(one - other) / max(1, abs(one), abs(other))))
    return worst if found == POINTS else math.inf


def drawn(symbol: Expr, draw: random.Random) -> float:
    """A value that a symbol may have."""
    if symbol.is_integer:
        return draw.randint(1 if symbol.is_positive else 0, 5)
    size = draw.uniform(0.05, 2)
    return size if symbol.is_nonnegative else math.copysign(size, draw.random() - 0.5)
