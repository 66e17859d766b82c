"""Formats of a derivation: text, Markdown, LaTeX and HTML; alone, or many in one document."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from xml.sax.saxutils import escape

from sympy import Add, Expr

from derivations.report.document import Derivation, Equation, Formula, Section
from derivations.report.mathml import equation, mathml
from derivations.report.prose import Prose, markdown_escaped, tex_escaped, unmarked
from derivations.report.typeset import Latex, Text, broken, width

__all__ = ["FORMATS", "article", "book", "section_text"]

ROOM = 62
"""Characters of mathematics that fit in one line of an article."""
STEP = 50
"""The same for a step of a proof, where both sides are long."""
LINES = 4
"""Lines of mathematics that a reader follows; a longer side of a step is given by its size."""
COLUMNS = {2: (0.56, 0.36), 3: (0.2, 0.5, 0.22)}
"""Widths of the columns of a table, as shares of that of the text."""
Parts = Mapping[str, Sequence[Derivation]]


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

    def section(self, s: Section) -> str:
        """A section with its title."""
        raise NotImplementedError

    def entry(self, d: Derivation) -> str:
        """A derivation as one of many."""
        raise NotImplementedError

    def document(self, title: str, parts: Parts) -> str:
        """Many derivations, in parts."""
        raise NotImplementedError

    def article(self, d: Derivation) -> str:
        """A derivation alone."""
        raise NotImplementedError


class Plain(Style):
    """Plain ASCII, with the names of the code."""

    def __init__(self, others: Collection[str] = ()) -> None:
        super().__init__(others)
        self.show = Text()

    def cell(self, cell: Formula | str) -> str:
        if isinstance(cell, str):
            return unmarked(cell)
        return cell.before + cell.between.join(map(self.show, cell.parts))

    def body(self, s: Section) -> str:
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

    def section(self, s: Section) -> str:
        if not (s.items or s.rows or s.equations):
            return f"{s.title}\n  {unmarked(s.lead) or ', '.join(s.links)}"
        return f"{s.title}: {unmarked(s.lead)}\n{self.body(s)}" if s.lead else f"{s.title}\n{self.body(s)}"

    def article(self, d: Derivation) -> str:
        return "\n\n".join([f"{unmarked(d.title)} [{d.name}]\n{d.source}", *map(self.section, d.every)]) + "\n"

    def document(self, title: str, parts: Parts) -> str:
        listed = [f"{part}\n" + "\n".join(f"  {d.name}: {unmarked(d.title)}" for d in ds) for part, ds in parts.items()]
        bar = "\n" + "=" * 80 + "\n"
        return bar.join([f"{title}\n\n" + "\n\n".join(listed) + "\n", *(self.article(d) for d in every(parts))])


class Markdown(Style):
    """Markdown with equations in dollar signs."""

    def escaped(self, text: str) -> str:
        return markdown_escaped(text)

    def link(self, name: str) -> str:
        return f"[{name}](#{name})"

    def section(self, s: Section, level: int = 2) -> str:
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

    def article(self, d: Derivation) -> str:
        head = f"# {self.words(d.title)}\n\n`{d.name}`. {self.escaped(d.source)}."
        return "\n\n".join([head, *map(self.section, d.every)]) + "\n"

    def entry(self, d: Derivation) -> str:
        head = f'<a id="{d.name}"></a>\n\n## {self.words(d.title)}\n\n`{d.name}`. {self.escaped(d.source)}.'
        return "\n\n".join([head, *(self.section(s, 3) for s in d.every)])

    def document(self, title: str, parts: Parts) -> str:
        lines = [f"# {title}"]
        for part, ds in parts.items():
            lines += [f"**{part}**", "\n".join(f"- {self.link(d.name)}: {self.words(d.title)}" for d in ds)]
        return "\n\n".join([*lines, *(self.entry(d) for d in every(parts))]) + "\n"


class Tex(Style):
    """LaTeX for a stock TeX: amsmath and geometry only."""

    def escaped(self, text: str) -> str:
        return tex_escaped(text)

    def link(self, name: str) -> str:
        return rf"\texttt{{{name}}} (\ref{{{name}}})"

    def section(self, s: Section, star: str = "section*") -> str:
        lines = [rf"\{star}{{{s.title}}}"]
        lines += [self.words(self.sentence(s.lead, "."))] if s.lead else []
        if s.links:
            lines += [r"{\raggedright " + ", ".join(map(self.link, s.links)) + r".\par}"]
        if s.items:
            lines += [r"\begin{itemize}", *(rf"\item {self.words(line)}" for line in s.items), r"\end{itemize}"]
        if s.rows:
            columns = "".join(rf"p{{{part}\textwidth}}" for part in COLUMNS[len(s.head)])
            lines += [r"\par\medskip" * bool(s.lead) + rf"\begin{{tabular}}{{{columns}}}"]
            lines += [
                " & ".join(r"\raggedright " + self.cell(cell) for cell in row) + r" \tabularnewline" for row in s.rows
            ]
            lines += [r"\end{tabular}"]
        for k, e in enumerate(s.equations):
            left, rows = self.sides(e)
            right = " \\nonumber \\\\\n  &\\quad {}".join(rows)
            lines += [r"\begin{align}"] if k == 0 else []
            lines += [rf"\intertext{{{self.words(self.sentence(e.note, ':'))}}}"] if e.note else []
            lines += [f"  {left} &= {right}" + (r" \\" if k + 1 < len(s.equations) else "")]
        return "\n".join([*lines, r"\end{align}"] if s.equations else lines)

    def preamble(self, title: str, author: str) -> str:
        return "\n".join(
            [
                r"\documentclass[11pt]{article}",
                r"\usepackage[utf8]{inputenc}",
                r"\usepackage{amsmath}",
                r"\usepackage[margin=2.5cm]{geometry}",
                r"\setlength{\parindent}{0pt}",
                r"\setlength{\emergencystretch}{3em}",
                r"\allowdisplaybreaks",
                rf"\title{{{title}}}",
                rf"\author{{{author}}}",
                r"\date{}",
                r"\begin{document}",
                r"\maketitle",
            ]
        )

    def article(self, d: Derivation) -> str:
        head = self.preamble(self.words(d.title), rf"\texttt{{{tex_escaped(d.name)}}}")
        parts = [head, f"{tex_escaped(d.source)}.", *map(self.section, d.every), r"\end{document}"]
        return "\n".join(parts) + "\n"

    def entry(self, d: Derivation) -> str:
        head = (
            rf"\section{{{self.words(d.title)}}}\label{{{d.name}}}"
            + f"\n\\texttt{{{d.name}}}. {tex_escaped(d.source)}."
        )
        return "\n".join([head, *(self.section(s, "subsection*") for s in d.every)])

    def document(self, title: str, parts: Parts) -> str:
        lines = [self.preamble(title, ""), r"\tableofcontents"]
        for part, ds in parts.items():
            lines += [
                r"\clearpage",
                rf"\part*{{{part}}}\addcontentsline{{toc}}{{part}}{{{part}}}",
                *map(self.entry, ds),
            ]
        return "\n".join([*lines, r"\end{document}"]) + "\n"


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

    def section(self, s: Section, level: int = 2) -> str:
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

    def article(self, d: Derivation) -> str:
        head = [f"<h1>{self.words(d.title)}</h1>", f"<p><code>{d.name}</code>. {escape(d.source)}.</p>"]
        return self.page(unmarked(d.title), [*head, *map(self.section, d.every)])

    def entry(self, d: Derivation) -> str:
        head = f"<h2>{self.words(d.title)}</h2>\n<p><code>{d.name}</code>. {escape(d.source)}.</p>"
        sections = "\n".join(self.section(s, 3) for s in d.every)
        return f'<article id="{d.name}">\n{head}\n{sections}\n</article>'

    def document(self, title: str, parts: Parts) -> str:
        lines = [f"<h1>{escape(title)}</h1>"]
        for part, ds in parts.items():
            listed = "".join(f"<li>{self.link(d.name)}: {self.words(d.title)}</li>" for d in ds)
            lines += [f"<h2>{part}</h2>", f"<ul>{listed}</ul>"]
        return self.page(title, [*lines, *(self.entry(d) for d in every(parts))])


FORMATS: Mapping[str, type[Style]] = {"text": Plain, "markdown": Markdown, "latex": Tex, "html": Html}
"""Name -> how it looks."""


def article(d: Derivation, form: str) -> str:
    """A derivation alone, in a format."""
    return FORMATS[form]().article(d)


def book(title: str, parts: Parts, form: str) -> str:
    """Many derivations in one document, in a format; names of others are links.

    Parameters
    ----------
    title : str
    parts : mapping of str to sequence of Derivation
        By the title of the part.
    form : str
        One of ``FORMATS``.
    """
    return FORMATS[form]([d.name for d in every(parts)]).document(title, parts)


def section_text(s: Section) -> str:
    """A section in plain ASCII, without its title."""
    return Plain().body(s)


def every(parts: Parts) -> list[Derivation]:
    return [d for part in parts.values() for d in part]


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Three columns of text, indented. What is far longer than the rest is no measure for the second."""
    first, second = (max((len(row[k]) for row in rows if k == 0 or len(row[k]) <= 60), default=0) for k in (0, 1))
    return "\n".join(f"  {a:<{first}} {b:<{second}} {c}".rstrip() for a, b, c in rows)
