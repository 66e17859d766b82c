"""Documents in Markdown with equations in dollar signs."""

from __future__ import annotations

from derivations.report.blocks import Block, Page
from derivations.report.prose import markdown_escaped
from derivations.report.style import Parts, Style, every

__all__ = ["Markdown"]


class Markdown(Style):
    """Markdown with equations in dollar signs."""

    def escaped(self, text: str) -> str:
        return markdown_escaped(text)

    def link(self, name: str) -> str:
        return f"[{name}](#{name})"

    def section(self, s: Block, level: int = 2) -> str:
        lines = [f"{'#' * level} {s.title}", ""]
        lines += [self.words(self.sentence(s.lead, ".")), ""] if s.lead else []
        lines += [f"- {self.words(line)}" for line in s.items]
        if s.links:
            lines += [", ".join(map(self.link, s.links))]
        if s.rows:
            lines += [f"| {' | '.join(s.head)} |", "|" + "---|" * len(s.head)]
            lines += [f"| {' | '.join(map(self.cell, row))} |" for row in s.rows]
        for e in s.equations:
            lines += [self.words(self.sentence(e.note, ":")), ""] if e.note else []
            left, rows = self.sides(e)
            inside = f"{left} = {rows[0]}"
            if len(rows) > 1:
                inside = f"\\begin{{aligned}}\n{left} &= " + " \\\\\n&\\quad ".join(rows) + "\n\\end{aligned}"
            lines += ["$$", inside, "$$", ""]
        return "\n".join(lines).rstrip()

    def article(self, d: Page) -> str:
        head = f"# {self.words(d.title)}\n\n`{d.name}`. {self.escaped(d.source)}."
        return "\n\n".join([head, *map(self.section, d.every)]) + "\n"

    def entry(self, d: Page) -> str:
        head = f'<a id="{d.name}"></a>\n\n## {self.words(d.title)}\n\n`{d.name}`. {self.escaped(d.source)}.'
        return "\n\n".join([head, *(self.section(s, 3) for s in d.every)])

    def document(self, title: str, parts: Parts) -> str:
        lines = [f"# {title}"]
        for part, ds in parts.items():
            lines += [f"**{part}**", "\n".join(f"- {self.link(d.name)}: {self.words(d.title)}" for d in ds)]
        return "\n\n".join([*lines, *(self.entry(d) for d in every(parts))]) + "\n"
