"""Exponentials with independent rates: how proofs of late times put predictions in their place."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from sympy import Expr, Mul, exp, simplify

__all__ = ["with_exponentials"]


def with_exponentials(found: Expr, of: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """An expression with ``e^(rate of)`` replaced by a value, for each rate, and the products of their powers as well.

    Exponents are whole combinations of the rates, by which they are told apart: the rates are independent.

    Examples
    --------
    >>> from derivations.program.language import scalars
    >>> t, b, E, F = scalars("t b E F")
    >>> with_exponentials(exp(2 * b * t) / (1 + exp(t * (1 - b))), t, {b: E, 1 - b: F})
    E**2/(F + 1)
    """

    def replaced(power: Expr) -> Expr:
        left = simplify(power / of)
        for counts in product((0, 1, -1, 2, -2), repeat=len(values)):
            if simplify(left - sum(n * rate for n, rate in zip(counts, values, strict=True))) == 0:
                return Mul(*(value**n for n, value in zip(counts, values.values(), strict=True)))
        return exp(power)

    return found.replace(exp, replaced)
