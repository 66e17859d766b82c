"""What a document is made of: pages of blocks, each a sentence, a list, a table or equations. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr

__all__ = ["Block", "Equation", "Formula", "Page"]


@dataclass(frozen=True)
class Equation:
    """One displayed equation.

    Attributes
    ----------
    lhs : Expr
        What it defines, with plain indices; or the left side of a step of a proof.
    terms : tuple of Expr
        What adds up to it, each elementwise or one reduction.
    note : str
        What it is, in words.
    is_step : bool
        Whether it is a step of a proof, where neither side defines the other.
    of : str
        What the left side of a step is, in symbols.
    """

    lhs: Expr
    terms: tuple[Expr, ...]
    note: str = ""
    is_step: bool = False
    of: str = ""


@dataclass(frozen=True)
class Formula:
    """A cell of a table: expressions with something between them, and before them."""

    parts: tuple[Expr, ...]
    between: str = ", "
    before: str = ""


@dataclass(frozen=True)
class Block:
    """A part of a derivation under a title: a sentence, then a list, a table (with a head) or equations."""

    title: str
    lead: str = ""
    equations: tuple[Equation, ...] = ()
    items: tuple[str, ...] = ()
    rows: tuple[tuple[Formula | str, ...], ...] = ()
    links: tuple[str, ...] = ()
    head: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """A program, or a theorem, in sections.

    Attributes
    ----------
    name, title, source : str
        Its key in the registry, one line, and where the equations come from.
    preface, sections, appendix : tuple of Block
        What comes before the equations, these, and what was added to them.
    """

    name: str
    title: str
    source: str
    preface: tuple[Block, ...]
    sections: tuple[Block, ...]
    appendix: tuple[Block, ...] = ()

    @property
    def every(self) -> tuple[Block, ...]:
        """All sections, in order."""
        return (*self.preface, *self.sections, *self.appendix)
