"""Documents in LaTeX for a stock TeX: amsmath and geometry only."""

from __future__ import annotations

from derivations.report.blocks import Block, Page
from derivations.report.prose import tex_escaped
from derivations.report.style import Parts, Style

__all__ = ["Tex"]

COLUMNS = {2: (0.56, 0.36), 3: (0.2, 0.5, 0.22)}
"""Widths of the columns of a table, as shares of that of the text."""


class Tex(Style):
    """LaTeX for a stock TeX: amsmath and geometry only."""

    def escaped(self, text: str) -> str:
        return tex_escaped(text)

    def link(self, name: str) -> str:
        return rf"\texttt{{{name}}} (\ref{{{name}}})"

    def section(self, s: Block, star: str = "section*") -> str:
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

    def article(self, d: Page) -> str:
        head = self.preamble(self.words(d.title), rf"\texttt{{{tex_escaped(d.name)}}}")
        parts = [head, f"{tex_escaped(d.source)}.", *map(self.section, d.every), r"\end{document}"]
        return "\n".join(parts) + "\n"

    def entry(self, d: Page) -> str:
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
