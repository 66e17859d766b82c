"""Symmetric reductions: copying with positional attention in two numbers, reached from its model by substitution.

Copying does not change when the words are permuted, or the positions. So symmetric weights stay symmetric:
``W[i, o] = u [i = o]`` and ``P[m, p] = a [m = p]``, up to constants that change nothing. On them every tensor of the
model has one value per orbit of its subscripts: attention has one at the right position and one at all others, the
prediction one for the target, one for the other words of the input, one for the words not in it. A reduction over an
index is a sum over orbits, each as often as it has members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from sympy import Add, Eq, Expr, Integer, KroneckerDelta, Max, Piecewise, S, Symbol, exp, factor, log

from derivations import models
from derivations.gradient_flow import gradient_flow
from derivations.program import (
    Definition,
    LogSumExp,
    Program,
    Reduction,
    SumOver,
    accesses,
    name_of,
    scalars,
    subscript,
    tensors,
)

__all__ = ["copying", "copying_heads", "squared_length", "unrolled"]

V, L, eta_W, eta_A = scalars("V L eta_W eta_A", positive=True)
N = Symbol("N", positive=True)
others, absent = Symbol("others", positive=True), Symbol("absent", nonnegative=True)
SIZES = {L: 1 + others, V: 1 + others + absent}
"""What is known of the sizes: more than one position, and no fewer words."""
ABSENT = Integer(-1)
"""Stands for the words that are not in the input; the word at position k is called k."""

Point = tuple[Expr, ...]
"""The subscripts of a tensor, each by the name of its orbit."""
State = Callable[..., Expr]
"""A state on the symmetric manifold: its value at a point."""

(prediction,) = tensors("prediction")
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
}
"""The names of the values of a tensor: at its only orbit or that of the target, and at the other one."""


@dataclass(frozen=True)
class DistinctWords:
    """The orbits of indices over inputs of L distinct words out of V that are copied.

    Attributes
    ----------
    heads : int
        Heads are not alike: each is an orbit of its own.
    """

    heads: int = 1

    def orbits(self, index: Symbol, extent: Expr, at: Mapping[Symbol, Expr]) -> list[tuple[Expr, Expr]]:
        """(name, members) of each orbit of an index when others are fixed: what is fixed, the rest, absent words."""
        if index == models.n:
            return [(S.Zero, N)]
        if index == models.h:
            return [(Integer(k), S.One) for k in range(self.heads)]
        fixed = sorted({at[other] for other in at if other not in (models.n, models.h)} - {ABSENT})
        found = [*((k, S.One) for k in fixed), (Integer(len(fixed)), L - len(fixed))]
        return [*found, (ABSENT, V - L)] if extent == models.K else found

    def table(self, name: str, at: Point) -> Expr:
        """The data of the model at a point."""
        return L if name == "targets" else at[-1]


class Substitution:
    """The definitions of a model on its symmetric manifold, as scalar definitions, each found when it is needed."""

    def __init__(self, model: Program, states: Mapping[str, State], orbits: DistinctWords) -> None:
        self.model, self.states, self.orbits = model, states, orbits
        self.rules = {d.name: d for d in model.definitions}
        self.values: dict[tuple[str, Point], Expr] = {}
        self.definitions: list[Definition] = []
        self.extents: dict[Symbol, Expr] = {}

    def value(self, name: str, *at: Expr) -> Expr:
        """A tensor at a point: a scalar that is defined if need be, or its value where nothing in it moves."""
        if name in self.states:
            return self.states[name](*at)
        if name not in self.rules:
            return self.orbits.table(name, at)
        key = name, self.representative(name, at)
        if key not in self.values:
            self.values[key] = self.defined(self.rules[name], key[1])
        return self.values[key]

    def representative(self, name: str, at: Point) -> Point:
        """The first point of the orbit of a point: only which positions are equal matters."""
        seen: dict[Expr, Expr] = {ABSENT: ABSENT}
        subs = subscript(self.rules[name].lhs)
        return tuple(
            k if index in (models.n, models.h) else seen.setdefault(k, Integer(len(seen) - 1))
            for index, k in zip(subs, at, strict=True)
        )

    def defined(self, d: Definition, point: Point) -> Expr:
        """The value of a definition at a point, after a definition of its own unless it is constant."""
        value = self.reduced(d, dict(zip(subscript(d.lhs), point, strict=True)))
        if value.is_Symbol or value.free_symbols <= {V, L, N}:
            return value
        lhs, note = self.named(d, point)
        self.definitions.append(Definition(lhs, value, note))
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

    def substituted(self, expr: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        """An elementwise expression at a point."""
        here = {a: self.value(name_of(a), *(self.place(s, at) for s in subscript(a))) for a in accesses(expr)}
        return expr.xreplace(here).xreplace({models.H: Integer(self.orbits.heads)})

    def place(self, sub: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        """A subscript at a point: an index, or a gather."""
        return at[sub] if sub in at else self.substituted(sub, at)

    def named(self, d: Definition, point: Point) -> tuple[Symbol, str]:
        """The name of a tensor at a point, with the number of the head, and what it is."""
        at = dict(zip(subscript(d.lhs), point, strict=True))
        positions = {k for index, k in at.items() if index not in (models.n, models.h)}
        name, note = ROLES[d.name + ", other" * (len(positions) > 1)]
        return Symbol(f"{name}{at[models.h] + 1}" if models.h in at else name, real=True), note


def by_case(c: Symbol, values: Iterable[Expr]) -> Expr:
    """The values of a class index, one after the other."""
    *first, last = values
    return Piecewise(*((value, Eq(c, k)) for k, value in enumerate(first)), (last, True))


def squared_length(size: Expr) -> Expr:
    """The squared length of the symmetric direction delta_io - 1/size, which is orthogonal to the constants.

    Weights W = u delta + constant move along it only, so du/dtau is the derivative of the loss by u over this.

    Examples
    --------
    >>> squared_length(V)
    V - 1
    """
    same, different = (S(equal) - 1 / size for equal in (1, 0))
    return factor(size * same**2 + size * (size - 1) * different**2)


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
                larger = Max(largest, x)
                present = larger if w.subs(SIZES).is_positive else Piecewise((larger, w > 0), (largest, True))
                largest = top if k == len(logits) else Symbol(f"{d.name}_max{k}", real=True)
                define(largest, present, f"largest of {k} terms of {d.name}")
            terms = [exp(x - top) for x in logits]
            of_each = (w * term for w, term in zip(weights, terms, strict=True))
            define(total, Add(*of_each), f"sum of the terms of {d.name}")
            held |= {exp(x - d.lhs): term / total for x, term in zip(logits, terms, strict=True)}
            rhs = top + log(total)
        define(d.lhs, rhs, d.note)
        if isinstance(d.rhs, exp):
            held[d.rhs] = d.lhs
    return replace(program, extents={}, definitions=tuple(found.values()))


@cache
def copying() -> Program:
    """Copying with positional attention (model 1c) on its symmetric manifold: two equations.

    L distinct words out of V. u is the mean diagonal of W less its mean off-diagonal, a that of P.

    Examples
    --------
    >>> copying().state_names, [p.name for p in copying().parameters]
    (('u', 'a'), ['V', 'L', 'eta_W', 'eta_A'])
    """
    return symmetric("copying", "Copying on the symmetric manifold: two equations", 1)


@cache
def copying_heads(heads: int) -> Program:
    """The same with several heads, whose contexts are averaged: two equations a head.

    Examples
    --------
    >>> copying_heads(2).state_names
    ('u1', 'u2', 'a1', 'a2')
    """
    return symmetric(f"copying-{heads}-heads", f"Copying with {heads} heads on the symmetric manifold", heads)


def exact(heads: int) -> Program:
    """Model 1c, or 1d, with its prediction."""
    flow = models.positional_attention(heads > 1)
    model = flow.model or flow
    logit = next(a for d in model.definitions if d.name == "Q" for a in accesses(d.rhs))
    normalisation = next(d.lhs for d in model.definitions if d.name == "Q")
    return model.extended([Definition(prediction[subscript(logit)], exp(logit - normalisation), "prediction")])


def symmetric(name: str, title: str, heads: int) -> Program:
    """The flow of model 1c, or 1d, on the symmetric manifold of copying."""
    model = exact(heads)
    u, a = (scalars(" ".join(f"{x}{k + 1}" for k in range(heads)) if heads > 1 else x) for x in "ua")

    def diagonal(states: tuple[Symbol, ...]) -> State:
        return lambda *at: states[at[0] if len(at) == 3 else 0] * KroneckerDelta(*at[-2:])

    found = Substitution(model, {"W": diagonal(u), "P": diagonal(a)}, DistinctWords(heads))
    target, other = Integer(0), Integer(1)
    found.value("prediction", S.Zero, target, target)
    found.value("prediction", S.Zero, target, other)
    loss = found.value("loss")
    flow = gradient_flow(
        Program(
            name=name,
            title=title,
            source=models.SNELL,
            extents=found.extents,
            data=(),
            states=(*u, *a),
            definitions=tuple(found.definitions),
            parameters=(V, L, eta_W, eta_A),
            loss=loss,
            assumptions=(
                "the L words of an input are distinct, drawn from V, and are copied",
                "W and P are symmetric, which the flow keeps",
            ),
        )
    )
    rates = {f"eta_{x}": eta_W / squared_length(V) for x in u} | {f"eta_{x}": eta_A / squared_length(L) for x in a}
    metric = {p: rates[p.name] for p in flow.parameters if p.name in rates}
    definitions = tuple(replace(d, rhs=d.rhs.xreplace(metric)) for d in flow.definitions)
    return unrolled(replace(flow, definitions=definitions, parameters=(V, L, eta_W, eta_A)))
