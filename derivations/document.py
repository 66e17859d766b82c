"""A derivation written out: as text, Markdown and LaTeX to read, and as plain Python loops to check.

Everything is read off a program; no equation is typed by hand. The definitions that add up one tensor (``=`` and then
``+=``) make one displayed equation, in which a scattered term carries an Iverson bracket: ``Zbar[o, o] += -q[o]`` is
``- q_o [o = v]``, and ``Wbar[word[o, e], v] += ...`` is a sum over o and e of ``[word_oe = i] ...``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, Symbol

from derivations.plain_python import plain_python
from derivations.program import Definition, Program, SumOver, index_symbols, name_of, subscript
from derivations.reductions import written_out
from derivations.typeset import GREEK, Iverson, Latex, Prose, Text, broken, markdown_escaped, tex_escaped, width

__all__ = ["Derivation", "Equation", "Section", "derivation"]


@dataclass(frozen=True)
class Equation:
    """One displayed equation.

    Attributes
    ----------
    lhs : Indexed or Symbol
        What it defines, with plain indices.
    terms : tuple of Expr
        What adds up to it, each elementwise or one reduction.
    note : str
        What it is, in words.
    """

    lhs: Expr
    terms: tuple[Expr, ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Equations under a title, after a sentence that introduces them."""

    title: str
    lead: str
    equations: tuple[Equation, ...]

    def text(self) -> str:
        """The equations, one a line, aligned at the equals sign; notes to the right."""
        show = Text()
        return aligned([(show(e.lhs), "= " + show.total(e.terms), " " + e.note) for e in self.equations])


@dataclass(frozen=True, eq=False)
class Derivation:
    """A program as a paper would have it.

    Attributes
    ----------
    name, title, source : str
        Its key in the catalogue, one line, and where the equations come from.
    program : Program
        What all of it is read off.
    sections : tuple of Section
        ``Model``; for a gradient flow then ``Adjoints``; for any flow ``Flow``; for a reduction ``Arithmetic``.

    Examples
    --------
    >>> from derivations.closures import marginal
    >>> print(derivation(marginal()).section("Flow").text())
      Wdot[i,o] = eta_W (C[i,o] - c[i] p[i,o])  closed drift of stage one
    """

    name: str
    title: str
    source: str
    program: Program
    sections: tuple[Section, ...]

    def section(self, title: str) -> Section:
        """The section of a title."""
        return next(section for section in self.sections if section.title == title)

    def text(self) -> str:
        """Plain ASCII, with the names of the code: one equation a line, aligned at the equals sign."""
        show = Text()
        parts = [f"{self.title} [{self.name}]\n{self.source}"]
        if self.program.assumptions:
            parts.append("Assumptions\n" + "\n".join(f"  - {line}" for line in self.program.assumptions))
        parts.append("Notation\n" + aligned(list(notation(self.program, show))))
        parts += [f"{section.title}: {section.lead}\n{section.text()}" for section in self.sections]
        return "\n\n".join(parts) + "\n"

    def markdown(self) -> str:
        """Markdown with equations in dollar signs, as code hosts and notebooks show it."""
        show, words = Latex(), Prose(self.program, markdown_escaped)
        lines = [f"# {words(self.title)}", "", f"`{self.name}`. {words(self.source)}.", ""]
        if self.program.assumptions:
            lines += ["## Assumptions", "", *(f"- {words(line)}" for line in self.program.assumptions), ""]
        lines += ["## Notation", "", "| symbol | what | size |", "|---|---|---|"]
        lines += [
            f"| ${symbol}$ | {words(kind)} | {dollars(size)} |" for symbol, kind, size in notation(self.program, show)
        ]
        for section in self.sections:
            lines += ["", f"## {section.title}", "", words(sentence(section.lead, "."))]
            for e in section.equations:
                lines += ["", words(sentence(e.note, ":"))] if e.note else []
                rows = broken(show.total(e.terms), ROOM - width(show(e.lhs)))
                body = rows[0] if len(rows) == 1 else " \\\\\n&\\quad ".join(rows)
                equation = f"{show(e.lhs)} = {body}"
                if len(rows) > 1:
                    equation = f"\\begin{{aligned}}\n{show(e.lhs)} &= {body}\n\\end{{aligned}}"
                lines += ["", "$$", equation, "$$"]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A complete article; needs amsmath and geometry only."""
        show, words = Latex(), Prose(self.program, tex_escaped)
        lines = [
            r"\documentclass[11pt]{article}",
            r"\usepackage[utf8]{inputenc}",
            r"\usepackage{amsmath}",
            r"\usepackage[margin=2.5cm]{geometry}",
            r"\setlength{\parindent}{0pt}",
            r"\setlength{\emergencystretch}{3em}",
            r"\allowdisplaybreaks",
            rf"\title{{{words(self.title)}}}",
            rf"\author{{\texttt{{{tex_escaped(self.name)}}}}}",
            r"\date{}",
            r"\begin{document}",
            r"\maketitle",
            rf"{words(self.source)}.",
        ]
        if self.program.assumptions:
            lines += [r"\section*{Assumptions}", r"\begin{itemize}"]
            lines += [*(rf"\item {words(line)}" for line in self.program.assumptions), r"\end{itemize}"]
        lines += [r"\section*{Notation}", r"\begin{tabular}{lll}"]
        lines += [
            rf"${symbol}$ & {words(kind)} & {dollars(size)} \\" for symbol, kind, size in notation(self.program, show)
        ]
        lines += [r"\end{tabular}"]
        for section in self.sections:
            lines += [rf"\section*{{{section.title}}}", words(sentence(section.lead, "."))]
            for k, e in enumerate(section.equations):
                rows = broken(show.total(e.terms), ROOM - width(show(e.lhs)))
                body = " \\nonumber \\\\\n  &\\quad {}".join(rows)
                lines += [r"\begin{align}"] if k == 0 else []
                lines += [rf"\intertext{{{words(sentence(e.note, ':'))}}}"] if e.note else []
                lines += [f"  {show(e.lhs)} &= {body}" + (r" \\" if k + 1 < len(section.equations) else "")]
            lines += [r"\end{align}"]
        return "\n".join([*lines, r"\end{document}"]) + "\n"

    def python(self) -> str:
        """A module with one function: the equations as they stand, in nested loops; see :func:`plain_python`."""
        return plain_python(self.program)


def derivation(program: Program) -> Derivation:
    """A program, ready to be written out.

    Parameters
    ----------
    program : Program
        A model, or a flow.

    Examples
    --------
    >>> from derivations.closures import both_stages
    >>> print(derivation(both_stages()).section("Adjoints").text())
      Zbar[o,v]      = q[o] P[o,v] - q[o] [o = v]
      Rtildebar[i,o] = sum_v W[i,v] Zbar[o,v]
      Mbar[o]        = -sum_i Rtilde[i,o] Rtildebar[i,o]
      Wbar[i,v]      = sum_o Rtilde[i,o] Zbar[o,v]
      Abar[i,o]      = Mbar[o] Rtilde[i,o] + Rtilde[i,o] Rtildebar[i,o]
    """
    flow = set(program.flow.values())
    declared = program.declarations
    shown = program if program.extents else as_reduced(program)
    helpers = set(declared) - set((program.model or program).declarations) if shown is not program else set()
    adjoint = {name for name in declared if flow and name.endswith("bar") and name.removesuffix("bar") in declared}
    helpers -= flow | adjoint
    kinds = (
        ("Model", "each definition uses those before it", set(declared) - flow - adjoint - helpers),
        ("Adjoints", "a bar is the derivative of the loss by the tensor under it, back through the model", adjoint),
        ("Flow", "a dot is the derivative by the time tau = learning rate times steps", flow),
        ("Arithmetic", "a logarithm of a sum is computed as the largest term, plus the logarithm of the rest", helpers),
    )
    sections = (Section(title, lead, equations(shown, kind, title != "Adjoints")) for title, lead, kind in kinds)
    return Derivation(
        program.name,
        program.title,
        program.source,
        program,
        tuple(section for section in sections if section.equations),
    )


def equations(program: Program, wanted: set[str], notes: bool) -> tuple[Equation, ...]:
    """The definitions of some tensors, one equation each."""
    found: dict[str, Equation] = {}
    for d in program.definitions:
        if d.name not in wanted:
            continue
        lhs = program.declarations[d.name]
        before = found.get(d.name, Equation(lhs, (), described(d, program) if notes else ""))
        found[d.name] = Equation(lhs, (*before.terms, *terms_of(d, lhs, program)), before.note)
    return tuple(found.values())


def as_reduced(program: Program) -> Program:
    """A program of scalars with the definitions of its model as they were before their arithmetic was made safe."""
    model = program.model
    if model is None:
        return program
    plain = {d.name: written_out(d, model) for d in model.definitions}
    return replace(program, definitions=tuple(replace(d, rhs=plain.get(d.name, d.rhs)) for d in program.definitions))


def described(d: Definition, program: Program) -> str:
    """The note of a definition, with the loss marked."""
    if program.loss is None or d.name != name_of(program.loss):
        return d.note
    return f"the loss, {d.note}" if d.note else "the loss"


def terms_of(d: Definition, lhs: Expr, program: Program) -> tuple[Expr, ...]:
    """What a definition adds to its tensor, in the tensor's own indices; scattered terms with Iverson brackets."""
    if not d.accumulate:
        return () if d.rhs == 0 else Add.make_args(d.rhs)
    table = program.extents
    target = dict(zip(subscript(lhs), subscript(d.lhs), strict=True))
    renamed: dict[Symbol, Symbol] = {}
    for own, sub in target.items():
        if isinstance(sub, Symbol):
            renamed.setdefault(sub, own)
    used = index_symbols(d.lhs, table) | index_symbols(d.body, table)
    for index in used - set(renamed):
        new = index
        while new in target or (new != index and new in used):  # the name means something else on the left
            new = Symbol(new.name + "_", integer=True, nonnegative=True)
        renamed[index] = new
    body, subs = d.body.xreplace(renamed), {own: sub.xreplace(renamed) for own, sub in target.items()}
    for own, sub in subs.items():
        if sub != own:
            body = Mul(body, Iverson(sub, own))
    over = [
        new for old, new in sorted(renamed.items(), key=lambda pair: list(table).index(pair[0])) if new not in target
    ]
    return (SumOver(body, *over),) if over else Add.make_args(body)


ROOM = 62
"""Characters of mathematics that fit in one line of an article."""


def notation(program: Program, show: Text | Latex) -> Iterator[tuple[str, str, str]]:
    """(symbol, what it is, its size) for indices, data, states and parameters."""
    times, span = (r" \times ", r"1, \dots, ") if isinstance(show, Latex) else (" x ", "1..")
    for extent in dict.fromkeys(program.extents.values()):
        letters = [index for index, own in program.extents.items() if own == extent]
        yield ", ".join(map(show, letters)), "index", span + show(extent)
    for kind, declared in (("data", program.data), ("state", program.states), ("parameter", program.parameters)):
        for access in declared:
            what = "data, integer" if kind == "data" and access.is_integer else kind
            if name_of(access).removeprefix("eta_") in program.state_names:
                what = f"learning rate of {name_of(access).removeprefix('eta_')}" if kind == "parameter" else what
            yield show(access), what, times.join(show(program.extents[index]) for index in subscript(access))


def aligned(rows: Sequence[tuple[str, str, str]]) -> str:
    """Three columns of text, indented. What is far longer than the rest is no measure for the second."""
    first, second = (max((len(row[k]) for row in rows if k == 0 or len(row[k]) <= 60), default=0) for k in (0, 1))
    return "\n".join(f"  {a:<{first}} {b:<{second}} {c}".rstrip() for a, b, c in rows)


def dollars(text: str) -> str:
    return f"${text}$" if text else ""


def sentence(note: str, end: str) -> str:
    """A note as a sentence; symbols keep their case."""
    first = note.split()[0]
    symbol = first in GREEK or "[" in first or (len(first) == 1 and first != "a")
    return (note if symbol else note[0].upper() + note[1:]) + (end if ":" not in note else ".")
