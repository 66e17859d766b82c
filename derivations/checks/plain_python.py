"""The equations of a program as plain Python: nested loops over NumPy arrays.

Slow on purpose. Nothing is reordered, shared or fused, so that the text can be compared with the equations by eye, and
the compiled code with its results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from sympy import Expr, Indexed, Piecewise, S, Symbol
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pycode import PythonCodePrinter

from derivations.program.access import index_symbols, name_of, subscript
from derivations.program.identifiers import PYTHON, spelled
from derivations.program.language import LogSumExp, MaxOver, Reduction, SumOver, Where
from derivations.program.program import Definition, Program, extent_symbols
from derivations.program.words import unmarked

__all__ = ["Loops", "function_name", "plain_python", "safe", "start"]


def plain_python(program: Program) -> str:
    """A program as a Python module that needs NumPy only, with one function of the program's name.

    The function takes states, data and parameters by name, in the layout of the compiled kernels, and returns every
    defined tensor by name. A ragged index is one flat axis with the index of its lengths: row o of ``R[o, e]`` begins
    at ``sum(count[:o])``. (Apart from that index it is an axis of its own, padded with zeros to the greatest length.)
    Logarithms of sums of exponentials have their maximum subtracted, and leave out what has no weight.

    Examples
    --------
    >>> from derivations.closures import linear
    >>> space = {}
    >>> exec(plain_python(linear()), space)
    >>> found = space["linear"](W=[[0.0, 0.0]], C=[[0.75, 0.25]], c=[1.0], eta_W=1.0)
    >>> found["Wdot"].tolist()
    [[0.25, -0.25]]
    """
    return Loops(program).module()


class Loops(PythonCodePrinter):
    """Writes a program as nested loops over its equations."""

    def __init__(self, program: Program) -> None:
        super().__init__({"fully_qualified_modules": True})
        self.program = program
        self.table = program.extents
        self.ragged = {index: extent for index, extent in self.table.items() if isinstance(extent, Indexed)}

    def _print_Symbol(self, expr: Symbol) -> str:
        return safe(expr.name)

    def _print_Max(self, expr: Expr) -> str:
        return self.folded("np.maximum", expr)  # NaN if one is

    def _print_Min(self, expr: Expr) -> str:
        return self.folded("np.minimum", expr)

    def folded(self, function: str, expr: Expr) -> str:
        """A function of two, of all arguments one after the other."""
        first, *others = map(self._print, expr.args)
        for other in others:
            first = f"{function}({first}, {other})"
        return first

    def _print_softplus(self, expr: Expr) -> str:
        return f"np.logaddexp(0.0, {self._print(expr.args[0])})"

    def _print_sigmoid(self, expr: Expr) -> str:
        return f"np.exp(-np.logaddexp(0.0, -({self._print(expr.args[0])})))"

    def _print_Piecewise(self, expr: Expr) -> str:
        *_, (_, otherwise) = expr.args
        return super()._print_Piecewise(expr if otherwise == True else Piecewise(*expr.args, (S.NaN, True)))  # noqa: E712

    def _print_stop_gradient(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])})"

    def _print_Where(self, expr: Where) -> str:
        return f"({self._print(expr.value)} if {self._print(expr.condition)} else 0.0)"

    def _print_Indexed(self, expr: Indexed) -> str:
        parts: list[str] = []
        declared = subscript(self.program.declarations[name_of(expr)])
        for k, sub in enumerate(subscript(expr)):
            if self.continues(declared, k):
                parts[-1] = f"{start(declared[k])}[{parts[-1]}] + {self._print(sub)}"
            else:
                parts.append(self._print(sub))
        return f"{safe(name_of(expr))}[{', '.join(parts)}]"

    def continues(self, subs: Sequence[Symbol], k: int) -> bool:
        """Whether a subscript is ragged and shares a flat axis with the one before, which has its lengths."""
        return k > 0 and subs[k] in self.ragged and subs[k - 1] in self.ragged[subs[k]].free_symbols

    def shape(self, access: Expr) -> list[str]:
        """The axes of a tensor. A ragged index away from its owner is padded with zeros to the greatest length."""
        subs = subscript(access)
        axes: list[str] = []
        for k, index in enumerate(subs):
            if self.continues(subs, k):
                axes[-1] = f"{start(index)}[-1]"
            elif index in self.ragged:
                axes.append(f"{self.lengths(index)}.max()")
            else:
                axes.append(self._print(self.table[index]))
        return axes

    def space(self, *parts: Expr) -> list[Symbol]:
        """The indices of some expressions, in the program's order, but a ragged one after its owner."""
        found = sorted(set().union(*(index_symbols(p, self.table) for p in parts)), key=list(self.table).index)
        return sorted(found, key=lambda index: index in self.ragged)

    def lengths(self, index: Symbol) -> str:
        """The array of the row lengths of a ragged index."""
        return safe(name_of(self.ragged[index]))

    def loops(self, over: Sequence[Symbol], body: Sequence[str]) -> list[str]:
        """A body inside loops."""
        lines = list(body)
        for index in reversed(over):
            count = self._print(self.table[index])
            lines = [f"for {safe(index.name)} in range({count}):", *(f"    {line}" for line in lines)]
        return lines

    def definition(self, d: Definition) -> list[str]:
        """The lines that compute one definition."""
        lhs, body = self._print(d.lhs), self._print(d.body)
        scattered = isinstance(d.body, Where) and d.accumulate  # the target may be out of range elsewhere
        if scattered:
            body = self._print(d.body.value)
        weight = d.rhs.weight if isinstance(d.rhs, Reduction) else S.One
        over = [index for index in self.space(d.body, weight) if index in d.over]
        op = "+=" if d.accumulate else "="
        if isinstance(d.rhs, LogSumExp):
            weighted = weight != 1
            guard = [f"if {self._print(weight)} > 0:"] * weighted
            pad = "    " * weighted
            factor = f"{self.parenthesize(weight, PRECEDENCE['Mul'])}*" * weighted
            lines = ["largest_ = -math.inf"]
            lines += self.loops(over, [*guard, f"{pad}largest_ = max(largest_, {body})"])
            lines += ["total_ = 0.0"]
            lines += self.loops(over, [*guard, f"{pad}total_ += {factor}math.exp({body} - largest_)"])
            lines += [f"{lhs} {op} largest_ + math.log(total_)"]
        elif isinstance(d.rhs, MaxOver):
            lines = ["largest_ = -math.inf", *self.loops(over, [f"largest_ = np.maximum(largest_, {body})"])]
            lines += [f"{lhs} {op} largest_"]
        elif isinstance(d.rhs, SumOver) and d.accumulate:
            # Term by term: the rows that a ragged index of the target walks may belong to an index that is summed over.
            over, lines = [], [f"{lhs} += {body}"]
        elif isinstance(d.rhs, SumOver):
            lines = ["total_ = 0.0", *self.loops(over, [f"total_ += {body}"]), f"{lhs} {op} total_"]
        else:
            lines = [f"{lhs} {op} {body}"]
        if scattered:
            lines = [f"if {self._print(d.body.condition)}:", *(f"    {line}" for line in lines)]
        around = [index for index in self.space(d.lhs, d.body, weight) if index not in over]
        lines = self.loops(around, lines)
        if isinstance(d.lhs, Indexed) and not d.accumulate:
            axes = self.shape(d.lhs)
            shape = axes[0] if len(axes) == 1 else f"({', '.join(axes)})"
            lines = [f"{safe(d.name)} = np.zeros({shape})", *lines]
        return [f"# {said(str(d.lhs))}: {said(unmarked(d.note))}", *lines] if d.note else lines

    def sizes(self) -> tuple[list[str], list[str]]:
        """Lines that read sizes off the arrays, and the sizes that no array has."""
        lines, left = [], []
        for size in extent_symbols(self.program):
            axes = [
                f"{safe(name_of(a))}.shape[{axis}]"
                for a in (*self.program.states, *self.program.data)
                for axis, extent in enumerate(self.shape(a))
                if extent == safe(size.name)
            ]
            lines += [f"{safe(size.name)} = {axes[0]}"] if axes else []
            left += [] if axes else [safe(size.name)]
        return lines, left

    def module(self) -> str:
        """The whole text."""
        program = self.program
        given = (*program.states, *program.data)
        arrays = [a for a in given if isinstance(a, Indexed)]
        read, left = self.sizes()
        arguments = [safe(name_of(a)) for a in (*given, *program.parameters)] + left
        body = [
            f"{safe(name_of(a))} = np.asarray({safe(name_of(a))}, {'int' if a.is_integer else 'float'})" for a in arrays
        ]
        body += read
        body += [f"{start(i)} = np.concatenate([[0], np.cumsum({self.lengths(i)})])" for i in self.ragged]
        for d in program.definitions:
            body += ["", *self.definition(d)]
        body += ["", "return {"]
        names = dict.fromkeys(d.name for d in program.definitions)
        body += [*(f"    {json.dumps(name, ensure_ascii=False)}: {safe(name)}," for name in names), "}"]
        head = [
            f'"""{said(program.title)}: the equations of {said(repr(program.name))} as they stand.',
            "",
            *([f"{said(program.source)}.", ""] if program.source else []),
            *(f"{safe(name_of(a))}: shape ({', '.join(self.shape(a))})" for a in arrays),
            *(
                f"{safe(i.name)} is ragged: row {owner} begins at {start(i)}[{owner}], the sum of"
                f" {self.lengths(i)}[:{owner}]"
                for i, owner in ((i, safe(n.indices[0].name)) for i, n in self.ragged.items())
            ),
            '"""',
            *("", "import math", "", "import numpy as np", "", ""),
            f"def {function_name(program.name)}({', '.join(arguments)}):",
        ]
        return "\n".join([*head, *(f"    {line}".rstrip() for line in body)]) + "\n"


OWN = {"np", "math", "numpy", "scipy", *PYTHON}
"""Names that the text uses itself; those that it makes up end with an underscore."""


def said(text: str) -> str:
    """Words of a program within a comment or a docstring: on one line, with nothing that would end it."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")


def safe(name: str) -> str:
    """A name as a Python identifier that means nothing else in the text; different names stay different.

    Examples
    --------
    >>> safe("W"), safe("lambda"), safe("np"), safe("np_")
    ('W', 'lambda_', 'np_', 'np__')
    """
    word = spelled(name)
    return f"{word}_" if word in OWN or word.endswith("_") else word


def function_name(name: str) -> str:
    """The name of the function of a derivation."""
    word = re.sub(r"[^0-9A-Za-z]", "_", name)
    return safe(word if word.isidentifier() else f"of_{word}")


def start(index: Symbol) -> str:
    """The array that holds where the rows of a ragged index begin."""
    return f"{spelled(index.name)}_start_"
