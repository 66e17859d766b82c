"""Documents in plain ASCII, with the names of the code."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from derivations.program.words import unmarked
from derivations.report.blocks import Block, Equation, Formula, Page
from derivations.report.style import ROOM, Parts, Style, every
from derivations.report.typeset import Text

__all__ = ["Plain"]


class Plain(Style):
    """Plain ASCII, with the names of the code."""

    def __init__(self, others: Collection[str] = ()) -> None:
        super().__init__(others)
        self.show = Text()

    def cell(self, cell: Formula | str) -> str:
        if isinstance(cell, str):
            return unmarked(cell)
        return cell.before + cell.between.join(map(self.show, cell.parts))

    def body(self, s: Block) -> str:
        if s.items:
            return "\n".join(f"  - {unmarked(line)}" for line in s.items)
        if s.rows:
            return aligned([(*map(self.cell, row), "", "")[:3] for row in s.rows])
        if any(e.is_step for e in s.equations):
            return "\n".join(line for e in s.equations for line in self.step(e))
        if s.title == "Result":
            return "\n".join(f"  {self.show(e.lhs)} = {self.show.total(e.terms)}" for e in s.equations)
        return aligned(
            [(self.show(e.lhs), "= " + self.show.total(e.terms), " " + unmarked(e.note)) for e in s.equations]
        )

    def step(self, e: Equation) -> list[str]:
        """A step of a proof: what it finds, and what this is equal to if that is not too long."""
        left, right = self.show(e.lhs), self.show.total(e.terms)
        lines = [f"  {unmarked(e.note)}"] if e.note else []
        if e.of:
            return [*lines, f"    {e.of} = {right}"]
        return [*lines, f"    {right}", *([f"    = {left}"] if len(left) <= 3 * ROOM else [])]

    def section(self, s: Block) -> str:
        if not (s.items or s.rows or s.equations):
            return f"{s.title}\n  {unmarked(s.lead) or ', '.join(s.links)}"
        return f"{s.title}: {unmarked(s.lead)}\n{self.body(s)}" if s.lead else f"{s.title}\n{self.body(s)}"

    def article(self, d: Page) -> str:
        return "\n\n".join([f"{unmarked(d.title)} [{d.name}]\n{d.source}", *map(self.section, d.every)]) + "\n"

    def document(self, title: str, parts: Parts) -> str:
        listed = [f"{part}\n" + "\n".join(f"  {d.name}: {unmarked(d.title)}" for d in ds) for part, ds in parts.items()]
        bar = "\n" + "=" * 80 + "\n"
        return bar.join([f"{title}\n\n" + "\n\n".join(listed) + "\n", *(self.article(d) for d in every(parts))])


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Three columns of text, indented. What is far longer than the rest is no measure for the second."""
    first, second = (max((len(row[k]) for row in rows if k == 0 or len(row[k]) <= 60), default=0) for k in (0, 1))
    return "\n".join(f"  {a:<{first}} {b:<{second}} {c}".rstrip() for a, b, c in rows)
