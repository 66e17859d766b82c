"""A model on its symmetric manifold, by substitution: a reduction over an index is a sum over its orbits.

Each orbit counts as often as it has members; see :mod:`derivations.reductions.orbits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from sympy import Add, Eq, Expr, Integer, Piecewise, S, Symbol, cancel

from derivations.models.symbols import H, h, n
from derivations.program.access import accesses, name_of, subscript
from derivations.program.language import LogSumExp, Reduction, SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.reductions.orbits import DistinctWords, L, N, Point, RepeatedWords, V

__all__ = ["State", "Substitution"]

State = Callable[..., Expr]
"""A state on the symmetric manifold: its value at a point."""
ROLES = {
    "M": ("M", "normalisation of attention"),
    "alpha": ("alpha", "attention to the right position"),
    "alpha, other": ("epsilon", "attention to each other position"),
    "z": ("z_t", "logit of the target"),
    "z, other": ("z_in", "logit of each other word of the input"),
    "Q": ("Q", "normalisation of the prediction"),
    "prediction": ("p_t", "prediction of the target"),
    "prediction, other": ("p_in", "prediction of each other word of the input"),
    "loss": ("loss", "mean cross-entropy"),
    "mean_prediction": ("p_t", "mean prediction of the target"),
}
"""The names of the values of a tensor: at its only orbit or that of the target, and at the other one."""


class Substitution:
    """The definitions of a model on its symmetric manifold, as scalar definitions, each found when it is needed."""

    def __init__(self, model: Program, states: Mapping[str, State], orbits: DistinctWords | RepeatedWords) -> None:
        self.model, self.states, self.orbits = model, states, orbits
        self.rules = {d.name: d for d in model.definitions}
        self.values: dict[tuple[str, Point], Expr] = {}
        self.definitions: dict[str, Definition] = {}
        self.extents: dict[Symbol, Expr] = {}

    def value(self, name: str, *at: Expr) -> Expr:
        """A tensor at a point: a scalar that is defined if need be, or its value where nothing in it moves."""
        if name in self.states:
            return self.states[name](*at)
        if name not in self.rules:
            return self.orbits.table(name, at)
        key = name, self.orbits.representative(subscript(self.rules[name].lhs), at)
        if key not in self.values:
            self.values[key] = self.defined(self.rules[name], key[1])
        return self.values[key]

    def defined(self, d: Definition, point: Point) -> Expr:
        """The value of a definition at a point, after a definition of its own unless it is constant."""
        at = dict(zip(subscript(d.lhs), point, strict=True))
        value = self.reduced(d, at)
        if value.free_symbols <= {V, L, N}:
            return cancel(value)
        if value.is_Symbol:
            return value
        positions = {k for index, k in at.items() if index not in (n, h)}
        name, note = ROLES[d.name + ", other" * (len(positions) > 1)]
        lhs = Symbol(name + self.orbits.label(d.name, at), real=True)
        if lhs.name not in self.definitions:
            self.definitions[lhs.name] = Definition(lhs, value, note + self.orbits.which(d.name, at))
        return lhs

    def reduced(self, d: Definition, at: dict[Symbol, Expr]) -> Expr:
        """The right-hand side of a definition at a point."""
        if not isinstance(d.rhs, Reduction):
            return self.substituted(d.rhs, at)
        parts = [(self.substituted(d.body, inner), members) for inner, members in self.points(d.over, at)]
        if isinstance(d.rhs, SumOver):
            return Add(*(members * body for body, members in parts))
        weights: dict[Expr, Expr] = {}
        for body, members in parts:
            weights[body] = weights.get(body, S.Zero) + members
        return self.log_sum_exp(weights)

    def log_sum_exp(self, weights: Mapping[Expr, Expr]) -> Expr:
        """Over classes instead of an index: their logits, and how many members have each."""
        c = Symbol(f"c{len(weights)}", integer=True, nonnegative=True)
        self.extents[c] = Integer(len(weights))
        return LogSumExp(by_case(c, weights), c, weight=by_case(c, weights.values()))

    def points(self, over: tuple[Symbol, ...], at: dict[Symbol, Expr]) -> Iterator[tuple[dict[Symbol, Expr], Expr]]:
        """The orbits of several indices, with their members."""
        if not over:
            yield at, S.One
            return
        for name, members in self.orbits.orbits(over[0], self.model.extents[over[0]], at):
            for inner, inner_members in self.points(over[1:], at | {over[0]: name}):
                yield inner, members * inner_members

    def cases(self) -> Iterator[str]:
        """What attention and the logits become, in words."""
        of_attention, of_logits = (
            {at: value for (name, at), value in self.values.items() if name in self.model.with_role(role)}
            for role in (Role.WEIGHTS, Role.LOGITS)
        )
        yield from self.orbits.cases(of_attention, of_logits)

    def substituted(self, expr: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        """An elementwise expression at a point."""
        here = {a: self.value(name_of(a), *(self.place(s, at) for s in subscript(a))) for a in accesses(expr)}
        return expr.xreplace(here).xreplace({H: Integer(self.orbits.heads)})

    def place(self, sub: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        """A subscript at a point: an index, or a gather."""
        return at[sub] if sub in at else self.substituted(sub, at)


def by_case(c: Symbol, values: Iterable[Expr]) -> Expr:
    """The values of a class index, one after the other."""
    *first, last = values
    return Piecewise(*((value, Eq(c, k)) for k, value in enumerate(first)), (last, True))
