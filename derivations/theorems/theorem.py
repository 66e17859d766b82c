"""What a theorem is: a statement, its formulas, a proof whose steps are verified, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sympy import Expr, Indexed, Matrix, Symbol, lambdify, simplify

from derivations.checks.numerical import POINTS, Check, at_random_points
from derivations.models.attention import SNELL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Named", "Step", "Theorem", "evaluated", "stated"]

TOLERANCE = 1e-12
"""The relative difference that both sides of a step may have at a random point."""


@dataclass(frozen=True)
class Step:
    """One equation of a proof: scalars, or vectors and matrices entry by entry.

    Attributes
    ----------
    note : str
        What it says.
    left, right : Expr or Matrix
        What sympy finds, and what this is claimed to be.
    of : str or tuple of str
        What the left side is, in symbols such as ``dW/dtau``; for entries, one by one. A reader sees this instead of
        what sympy found, which may be long.
    """

    note: str
    left: Expr
    right: Expr
    of: str | tuple[str, ...] = ""

    @property
    def entries(self) -> tuple[tuple[Expr, Expr], ...]:
        """Both sides, entry by entry."""
        return tuple(zip(Matrix([self.left]), Matrix([self.right]), strict=True))

    def check(self) -> Check:
        """Whether sympy simplifies the difference of both sides to 0, or else how large it is at random points."""
        if all(simplify(entry) == 0 for entry in Matrix([self.left - self.right])):
            return Check(self.note, how="sympy simplifies the difference to 0", exact=True)
        error = max(at_random_points(left, right) for left, right in self.entries)
        return Check(self.note, error, TOLERANCE, f"at {POINTS} random points")

    def holds(self) -> bool:
        """Whether both sides are equal."""
        return self.check().passed


@dataclass(frozen=True, eq=False, kw_only=True)
class Theorem:
    """A statement, its proof by sympy, and its limits.

    Attributes
    ----------
    name, title : str
        From the decorator :func:`stated`.
    hypotheses : tuple of str
        What must hold, beside the assumptions of the symbols.
    statement : str
        In words.
    results : mapping of Symbol to Expr
        The formulas; each may use those before it.
    steps : tuple of Step
        Equations that are verified one by one.
    limits : str
        Where it stops being exact.
    meanings : mapping of str to str
        What symbols stand for here, where the glossary (:mod:`derivations.program.glossary`) does not say it.
    recalled : mapping of str to tuple of Symbol
        Results that another theorem, by name, has already shown.
    """

    name: str = ""
    title: str = ""
    hypotheses: tuple[str, ...]
    statement: str
    results: Mapping[Symbol, Expr]
    steps: tuple[Step, ...]
    limits: str
    source: str = SNELL
    meanings: Mapping[str, str] = field(default_factory=dict)
    recalled: Mapping[str, tuple[Symbol, ...]] = field(default_factory=dict)

    def holds(self) -> bool:
        """Whether every step does."""
        return all(step.holds() for step in self.steps)

    def expression(self, name: str) -> Expr:
        """A formula with all those before it put in."""
        values: dict[Expr, Expr] = {}
        for symbol, value in self.results.items():
            values[symbol] = value.xreplace(values)
            if symbol.name == name:
                return values[symbol]
        raise KeyError(name)

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols of its formulas, or of its steps if it has none, sorted by name."""
        shown = [*self.results.keys(), *self.results.values()] or [e for s in self.steps for e in Matrix([s.right])]
        entries = {s for e in shown for entry in e.atoms(Indexed) for s in entry.free_symbols}
        return tuple(sorted({s for e in shown for s in e.free_symbols} - entries, key=str))

    def text(self) -> str:
        """Plain ASCII; see :func:`derivations.report.document.proof` for other formats."""
        from derivations.report.document import proof  # which shows programs as well

        return proof(self).text()


@dataclass(frozen=True, eq=False)
class Named:
    """A theorem that is derived once it is called; its name and title are known before."""

    name: str
    title: str
    make: Callable[[], Theorem]

    def __call__(self) -> Theorem:
        return derived(self)


@cache
def derived(named: Named) -> Theorem:
    """Steps take sympy a second or so: a list of titles should not wait for them."""
    return replace(named.make(), name=named.name, title=named.title)


def stated(name: str, title: str) -> Callable[[Callable[[], Theorem]], Named]:
    """Give a name and a title to a function that derives a theorem.

    Examples
    --------
    >>> @stated("one", "The first theorem")
    ... def first() -> Theorem:
    ...     return Theorem(hypotheses=(), statement="", results={}, steps=(), limits="exact")
    >>> first.title, first().name, first() is first()
    ('The first theorem', 'one', True)
    """
    return lambda make: Named(name, title, make)


@cache
def numeric(theorem: Theorem, result: str) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """The names of what a result depends on, and the result as a function of their values."""
    expression = theorem.expression(result)
    of = sorted(expression.free_symbols, key=lambda s: s.name)
    return tuple(s.name for s in of), lambdify(of, expression, ["numpy", "scipy"], cse=True)


def evaluated(theorem: Theorem, result: str, **values: ArrayLike) -> NDArray[np.float64]:
    """A result of a theorem at values of the symbols that it depends on; others are left out."""
    import numpy as np

    names, function = numeric(theorem, result)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = function(*(np.asarray(values[name], dtype=float) for name in names))
    return np.asarray(found, dtype=float)
