"""A program under other names: for all that must not depend on what its tensors, indices and sizes are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import Basic, Indexed, IndexedBase, Symbol

from derivations.program.language import Reduction
from derivations.program.program import Program, names_of

NAMES = (
    # of Python, its library and numba
    "lambda", "for", "in", "if", "not", "None", "True", "def", "class", "range", "abs", "max", "sum", "len", "float",
    "int", "print", "np", "math", "njit", "prange", "numba", "exp", "log", "kernel", "y", "out", "ws", "chunk",
    "candidate", "row", "lane", "total", "full", "vector", "panels", "tiles", "partials", "add_parts", "self",
    # of sympy
    "S", "N", "E", "I", "O", "Q", "pi", "oo", "zoo", "beta", "gamma", "zeta", "Symbol",
    # like those that derivations and generated code make up
    "W", "Wbar", "Wdot", "What", "W_bar", "Wbarhat", "eta_W", "eta_x", "square_W", "xbar", "fbar", "loss_modified",
    "lr", "W_", "W__", "W_local", "W_part", "W_parts", "W_acc", "W_max", "W_sum", "W_exp", "W_inv", "W_top", "l_start",
    "l_total", "l_max", "n_lo", "n_hi", "x_at_n_l", "l_at_n", "x_of_n", "largest_", "total_", "l_start_", "_0", "_1",
    # that are no identifiers, or that Python reads as others
    "1W", "2", "x'", "a b", "W.T", "α", "ω", "é", "ﬁ", "fi", "ﬀ", "x_u27_", "名",
)  # fmt: skip
"""Names that a program may use."""


def renamed(program: Program, names: Mapping[str, str]) -> Program:
    """The program with other names for its tensors, parameters, indices and sizes."""

    def new(expr: Basic) -> Basic:
        if isinstance(expr, Indexed):
            base = IndexedBase(names[expr.base.label.name], **expr.base.label.assumptions0)
            return base[tuple(map(new, expr.indices))]
        if isinstance(expr, Symbol):
            return Symbol(names[expr.name], **expr._assumptions_orig)
        if isinstance(expr, Reduction):
            return type(expr)(new(expr.body), *map(new, expr.over), weight=new(expr.weight))
        return expr.func(*map(new, expr.args)) if expr.args else expr

    return replace(
        program,
        extents={new(index): new(extent) for index, extent in program.extents.items()},
        data=tuple(map(new, program.data)),
        states=tuple(map(new, program.states)),
        parameters=tuple(map(new, program.parameters)),
        definitions=tuple(replace(d, lhs=new(d.lhs), rhs=new(d.rhs)) for d in program.definitions),
        loss=None if program.loss is None else new(program.loss),
        flow={names[state]: names[rate] for state, rate in program.flow.items()},
        examples=None if program.examples is None else new(program.examples),
        model=None,
        meanings={},
        roles={},
        dimensions={},
        units={},
        initial={},
        conserved=(),
        rates={names[state]: names[rate] for state, rate in program.rates.items()},
        adjoints={names[tensor]: names[bar] for tensor, bar in program.adjoints.items()},
        second={},
        metric=(),
    )


def shuffled(program: Program, random) -> dict[str, str]:
    """New names for all that a program names, from all that are allowed."""
    own = sorted(names_of(program))
    pool = [*NAMES, *(f"t{k}" for k in range(len(own)))]
    return dict(zip(own, random.sample(pool, len(own)), strict=True))
