"""What the formats of a document have in common: words with formulas in them, and equations in lines that fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sympy import Add, Expr

from derivations.report.blocks import Block, Equation, Formula, Page
from derivations.report.prose import Prose
from derivations.report.typeset import Latex, Text, broken, width

__all__ = ["ROOM", "Parts", "Style", "every"]

ROOM = 62
"""Characters of mathematics that fit in one line of an article."""
STEP = 50
"""The same for a step of a proof, where both sides are long."""
LINES = 4
"""Lines of mathematics that a reader follows; a longer side of a step is given by its size."""
Parts = Mapping[str, Sequence[Page]]
"""Title of a part -> its pages."""


class Style:
    """One format. Subclasses say how each kind of block looks."""

    def __init__(self, others: Collection[str] = ()) -> None:
        self.show: Latex | Text = Latex()
        self.others = others
        self.words = Prose(self.escaped, self.inline, others, self.link)

    def escaped(self, text: str) -> str:
        raise NotImplementedError

    def inline(self, tex: str) -> str:
        return f"${tex}$"

    def link(self, name: str) -> str:
        return name

    def cell(self, cell: Formula | str) -> str:
        """A cell of a table."""
        if isinstance(cell, str):
            return self.words(cell)
        if not cell.parts:
            return ""
        if cell.between == ", ":
            before = r"1, \dots, " if cell.before else ""
            return ", ".join(self.inline(before + self.show(part)) for part in cell.parts)
        return self.inline(r" \times ".join(map(self.show, cell.parts)))

    def sides(self, e: Equation) -> tuple[str, list[str]]:
        """Both sides of an equation, the second one in lines that fit."""
        if e.of:
            return self.words.inner(e.of), broken(self.short(e.terms), ROOM - width(self.words.inner(e.of)))
        if not e.is_step:
            left = self.show(e.lhs)
            return left, broken(self.show.total(e.terms), ROOM - width(left))
        # Neither side of a step defines the other: the longer one comes last, in lines, or it is only counted.
        first, second = Add.make_args(e.lhs), e.terms
        if width(self.short(first)) > max(width(self.short(second)), ROOM / 3):
            first, second = second, first
        left, right = self.short(first), self.short(second)
        rows = broken(right, STEP - width(left))
        if max(map(width, rows)) > STEP - width(left):
            left = self.size(first)
            rows = broken(right, STEP - width(left))
        return left, rows

    def short(self, terms: Sequence[Expr]) -> str:
        """A side of a step, or how large it is if it is too long to read."""
        found = self.show.total(terms)
        rows = broken(found, STEP)
        cut = any(row.count("(") != row.count(")") for row in rows)
        fits = len(rows) <= LINES and all(width(row) <= STEP for row in rows) and not cut
        return found if fits else self.size(terms)

    def size(self, terms: Sequence[Expr]) -> str:
        """What stands for an expression that is too long to read."""
        count = sum(term.count_ops() for term in terms) + len(terms) - 1
        return rf"\langle \text{{{count} operations}} \rangle"

    def sentence(self, note: str, end: str) -> str:
        """A note as a sentence; symbols keep their case."""
        ended = note.endswith((".", ":")) or ":" in note
        first = note[0].upper() if self.words.starts_with_word(note) else note[0]
        return first + note[1:] + (end if not ended else "" if note[-1] in ".:" else ".")

    def section(self, s: Block) -> str:
        """A section with its title."""
        raise NotImplementedError

    def entry(self, d: Page) -> str:
        """A derivation as one of many."""
        raise NotImplementedError

    def document(self, title: str, parts: Parts) -> str:
        """Many derivations, in parts."""
        raise NotImplementedError

    def article(self, d: Page) -> str:
        """A derivation alone."""
        raise NotImplementedError


def every(parts: Parts) -> list[Page]:
    return [d for part in parts.values() for d in part]
