"""Programs of scalars: small sums written out term by term, with logarithms of sums that do not overflow."""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr, Max, Piecewise, S, Symbol, exp, log

from derivations.program.access import name_of
from derivations.program.language import LogSumExp, Reduction, SumOver
from derivations.program.program import Definition, Program
from derivations.reductions.orbits import SIZES

__all__ = ["closed_form", "unrolled", "written_out"]


def where_present(weight: Expr, value: Expr, otherwise: Expr) -> Expr:
    """A value where a class has members, and another where it may have none and has none."""
    return value if weight.subs(SIZES).is_positive else Piecewise((value, weight > 0), (otherwise, True))


def unrolled(program: Program) -> Program:
    """A program with scalars only, from one whose indices are only reduced over and have few values.

    Logarithms of sums of exponentials get their maximum subtracted (over what has a weight), and what a softmax of them
    is, is a ratio: nothing overflows, whatever the logits.
    """
    found: dict[str, Definition] = {}
    held: dict[Expr, Expr] = {}

    def cases(expr: Expr, index: Symbol) -> list[Expr]:
        return [expr.subs(index, k) for k in range(int(program.extents[index]))]

    def define(lhs: Symbol, rhs: Expr, note: str) -> None:
        rhs = rhs.replace(lambda e: e in held, lambda e: held[e])
        before = found.get(lhs.name)
        found[lhs.name] = replace(before, rhs=before.rhs + rhs) if before else Definition(lhs, rhs, note)

    for d in program.definitions:
        rhs = d.rhs
        if isinstance(rhs, SumOver):
            (c,) = d.over
            rhs = Add(*cases(d.body, c))
        elif isinstance(rhs, LogSumExp):
            (c,) = d.over
            logits, weights = cases(d.body, c), cases(rhs.weight, c)
            top, total = (Symbol(f"{d.name}_{part}", real=True) for part in ("max", "sum"))
            largest = logits[0]
            for k, (x, w) in enumerate(zip(logits[1:], weights[1:], strict=True), 2):
                larger = where_present(w, Max(largest, x), largest)
                largest = top if k == len(logits) else Symbol(f"{d.name}_max{k}", real=True)
                define(largest, larger, f"largest of {k} terms of {d.name}")
            terms = [exp(x - top) for x in logits]
            present = (where_present(w, w * term, S.Zero) for w, term in zip(weights, terms, strict=True))
            define(total, Add(*present), f"sum of the terms of {d.name}")
            held |= {exp(x - d.lhs): term / total for x, term in zip(logits, terms, strict=True)}
            rhs = top + log(total)
        define(d.lhs, rhs, d.note)
        if isinstance(d.rhs, exp):
            held[d.rhs] = d.lhs
    return replace(program, extents={}, definitions=tuple(found.values()))


def written_out(d: Definition, program: Program) -> Expr:
    """The right-hand side of a definition with its reduction over classes, if it is one, as a sum of terms.

    Examples
    --------
    >>> from derivations.reductions import copying
    >>> model = copying().model
    >>> written_out(model.definitions[0], model)
    log(L + exp(a) - 1)
    """
    if not isinstance(d.rhs, Reduction):
        return d.rhs
    (c,) = d.over
    term = d.rhs.weight * exp(d.body) if isinstance(d.rhs, LogSumExp) else d.body
    total = Add(*(term.subs(c, k) for k in range(int(program.extents[c]))))
    return log(total) if isinstance(d.rhs, LogSumExp) else total


def closed_form(program: Program, name: str) -> Expr:
    """A scalar of a program as one expression in its states and parameters.

    Examples
    --------
    >>> from derivations.reductions import copying
    >>> closed_form(copying().model, "alpha")
    exp(a)/(L + exp(a) - 1)
    """
    values: dict[Expr, Expr] = {}
    for d in program.definitions:
        value = written_out(d, program).xreplace(values)
        values[d.lhs] = values[d.lhs] + value if d.accumulate else value
    return next(value for lhs, value in values.items() if name_of(lhs) == name)
