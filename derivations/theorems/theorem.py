"""What a theorem is: a statement, its formulas, the steps of its proof, and its limits.

Statements only: :mod:`derivations.checks.proofs` verifies the steps, :mod:`derivations.report` writes them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sympy import Expr, Indexed, Matrix, Symbol

from derivations.models.symbols import SNELL

__all__ = ["Step", "Theorem"]


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Theorem:
    """A statement, its proof, and its limits.

    Attributes
    ----------
    name, title : str
        From the decorator :func:`derivations.registry.theorem`.
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
    domain : mapping of Symbol to Expr
        What is known of its symbols beyond their signs; see :class:`derivations.program.Program`.
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
    domain: Mapping[Symbol, Expr] = field(default_factory=dict)
    recalled: Mapping[str, tuple[Symbol, ...]] = field(default_factory=dict)

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
