"""Steps of proofs, verified: by algebra, or else at random points."""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Expr, Matrix, Symbol, simplify

from derivations.checks.check import Check
from derivations.checks.points import NOTHING, POINTS, at_random_points
from derivations.theorems.theorem import Step, Theorem

__all__ = ["check", "checked", "holds"]

TOLERANCE = 1e-12
"""The relative difference that both sides of a step may have at a random point."""


def check(step: Step, domain: Mapping[Symbol, Expr] = NOTHING) -> Check:
    """Whether sympy simplifies the difference of both sides to 0, or else how large it is at random points.

    Parameters
    ----------
    step : Step
    domain : mapping of Symbol to Expr, optional
        That of its theorem.

    Examples
    --------
    >>> from sympy import symbols
    >>> x = symbols("x", real=True)
    >>> check(Step("a square", (x + 1) ** 2, x**2 + 2 * x + 1)).figure
    'sympy simplifies the difference to 0'
    """
    if all(simplify(entry) == 0 for entry in Matrix([step.left - step.right])):
        return Check(step.note, how="sympy simplifies the difference to 0", exact=True)
    error = max(at_random_points(left, right, domain) for left, right in step.entries)
    return Check(step.note, error, TOLERANCE, f"at {POINTS} random points")


def checked(theorem: Theorem) -> tuple[Check, ...]:
    """Every step of a theorem."""
    return tuple(check(step, theorem.domain) for step in theorem.steps)


def holds(claim: Step | Theorem) -> bool:
    """Whether both sides of a step are equal, or those of every step of a theorem.

    Examples
    --------
    >>> from derivations.theorems.descent import modified_loss
    >>> holds(modified_loss())
    True
    """
    found = checked(claim) if isinstance(claim, Theorem) else (check(claim),)
    return all(one.passed for one in found)
