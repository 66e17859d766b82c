"""Documents in HTML: one page that is well-formed XML; formulas are MathML, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from derivations.program.words import unmarked
from derivations.report.blocks import Block, Page
from derivations.report.mathml import equation, mathml
from derivations.report.style import Parts, Style, every

__all__ = ["Html"]

CSS = """
body { font: 17px/1.55 Georgia, serif; max-width: 48em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; }
h1, h2, h3, h4 { font-family: Helvetica, Arial, sans-serif; line-height: 1.25; }
article { border-top: 1px solid #bbb; margin-top: 3em; }
table { border-collapse: collapse; margin: .6em 0; }
th, td { text-align: left; vertical-align: top; padding: .2em 1em .2em 0; }
.equation { overflow-x: auto; margin: .5em 0 .9em 2em; } .note { margin: .8em 0 0; }
math[display=block] { text-align: left; display: block math; } mtable mtd { text-align: left; padding: .25em .15em; }
mtable mtd:first-child { text-align: right; } mtable mtable mtd { text-align: left; padding-right: 1em; }
code, a { color: #0b4f8a; } .fails { color: #b00020; font-weight: bold; }
""".strip()


class Html(Style):
    """A page that is well-formed XML; formulas are MathML."""

    def escaped(self, text: str) -> str:
        return escape(text)

    def inline(self, tex: str) -> str:
        return mathml(tex)

    def link(self, name: str) -> str:
        return f'<a href="#{name}">{name}</a>'

    def section(self, s: Block, level: int = 2) -> str:
        lines = [f"<h{level}>{s.title}</h{level}>"]
        lines += [f"<p>{self.words(self.sentence(s.lead, '.'))}</p>"] if s.lead else []
        if s.links:
            lines += [f"<p>{', '.join(map(self.link, s.links))}</p>"]
        if s.items:
            lines += ["<ul>", *(f"<li>{self.words(line)}</li>" for line in s.items), "</ul>"]
        if s.rows:
            lines += ["<table>"]
            for row in s.rows:
                failed = ' class="fails"' if isinstance(row[-1], str) and row[-1].startswith("FAILS") else ""
                lines += [f"<tr{failed}>" + "".join(f"<td>{self.cell(cell)}</td>" for cell in row) + "</tr>"]
            lines += ["</table>"]
        for e in s.equations:
            lines += [f'<p class="note">{self.words(self.sentence(e.note, ":"))}</p>'] if e.note else []
            lines += [f'<div class="equation">{equation(*self.sides(e))}</div>']
        return "\n".join(lines)

    def page(self, title: str, body: Sequence[str]) -> str:
        head = f'<meta charset="utf-8"/><title>{escape(title)}</title><style>{escape(CSS)}</style>'
        page = f'<html xmlns="http://www.w3.org/1999/xhtml" lang="en"><head>{head}</head><body>'
        return "\n".join(["<!DOCTYPE html>", page, *body, "</body></html>"]) + "\n"

    def article(self, d: Page) -> str:
        head = [f"<h1>{self.words(d.title)}</h1>", f"<p><code>{d.name}</code>. {escape(d.source)}.</p>"]
        return self.page(unmarked(d.title), [*head, *map(self.section, d.every)])

    def entry(self, d: Page) -> str:
        head = f"<h2>{self.words(d.title)}</h2>\n<p><code>{d.name}</code>. {escape(d.source)}.</p>"
        sections = "\n".join(self.section(s, 3) for s in d.every)
        return f'<article id="{d.name}">\n{head}\n{sections}\n</article>'

    def document(self, title: str, parts: Parts) -> str:
        lines = [f"<h1>{escape(title)}</h1>"]
        for part, ds in parts.items():
            listed = "".join(f"<li>{self.link(d.name)}: {self.words(d.title)}</li>" for d in ds)
            lines += [f"<h2>{part}</h2>", f"<ul>{listed}</ul>"]
        return self.page(title, [*lines, *(self.entry(d) for d in every(parts))])
