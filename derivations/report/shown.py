"""A program in a notebook, or in a paper: its definitions as they are typeset."""

from __future__ import annotations

from xml.sax.saxutils import escape

from derivations.program.program import Definition, Program
from derivations.report.mathml import UnknownCommand, mathml
from derivations.report.typeset import Latex

__all__ = ["displayed", "html", "latex", "markdown"]


def sides(d: Definition) -> tuple[str, str, str]:
    """The left-hand side, the sign and the right-hand side of a definition in LaTeX."""
    show = Latex()
    return show(d.lhs), r"\mathrel{+}=" if d.accumulate else "=", show(d.rhs)


def latex(program: Program) -> str:
    r"""All definitions of a program, one a line.

    Examples
    --------
    >>> from derivations.closures import linear
    >>> print(latex(linear()).splitlines()[1])
      \mathrm{loss}_{0} &= \log K \\
    """
    lines = [f"  {left} &{sign} {right}" for left, sign, right in map(sides, program.definitions)]
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])


def displayed(program: Program) -> str:
    """The definitions as one displayed formula."""
    return f"$$\n{latex(program)}\n$$"


def markdown(program: Program) -> str:
    """The title, and the definitions as one displayed formula."""
    return f"**{program.title or program.name}**\n\n{displayed(program)}"


def html(program: Program) -> str:
    """The title, and the definitions as a table of MathML, which needs no script; what has no MathML as its LaTeX."""
    rows = []
    for d in program.definitions:
        left, _, right = sides(d)
        cells = [formula(left), "+=" if d.accumulate else "=", formula(right), escape(d.note)]
        rows.append("<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>")
    return f"<b>{escape(program.title or program.name)}</b><table>{''.join(rows)}</table>"


def formula(tex: str) -> str:
    try:
        return mathml(tex)
    except UnknownCommand:
        return f"<code>{escape(tex)}</code>"
