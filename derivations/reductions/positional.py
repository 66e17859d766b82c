"""Symmetric reductions: copying with positional attention in two numbers, reached from its model by substitution.

Copying does not change when the words are permuted, or the positions. So symmetric weights stay symmetric:
``W[i, o] = u [i = o]`` and ``P[m, p] = a [m = p]``, up to constants that change nothing. On them every tensor of the
model has one value per orbit of its subscripts: attention has one at the right position and one at all others, the
prediction one for the target, one for the other words of the input, one for the words not in it. A reduction over an
index is a sum over orbits, each as often as it has members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

from sympy import (
    Add,
    Eq,
    Expr,
    Integer,
    KroneckerDelta,
    Max,
    Mul,
    Piecewise,
    S,
    Symbol,
    binomial,
    cancel,
    exp,
    factor,
    factorial,
    log,
)
from sympy.utilities.iterables import partitions

from derivations.gradient_flow.adjoints import gradient_flow
from derivations.models import attention as models
from derivations.program.glossary import GLOSSARY
from derivations.program.language import (
    Definition,
    LogSumExp,
    Program,
    ProgramError,
    Reduction,
    SumOver,
    accesses,
    name_of,
    scalars,
    subscript,
    tensors,
)
from derivations.report.typeset import Text

__all__ = ["copying", "copying_heads", "copying_repeats", "squared_length", "unrolled"]

n, t, h, l, o = models.n, models.t, models.h, models.l, models.o
V, L, eta_W, eta_A = scalars("V L eta_W eta_A", positive=True)
N = Symbol("N", positive=True)
others, absent = Symbol("others", positive=True), Symbol("absent", nonnegative=True)
SIZES = {L: 1 + others, V: 1 + others + absent}
"""What is known of the sizes: more than one position, and no fewer words."""
ABSENT = Integer(-1)
"""Stands for the words that are not in the input; the word at position k is called k."""

SYMMETRIC = "at first all words, and all positions, are alike to W and P; the flow keeps this"
SUBSTITUTED = (
    "in the model {model}, `W[i,o]` is u where i = o and 0 elsewhere, `P[m,p]` is a where m = p and 0 elsewhere"
    "{heads}, up to constants that no softmax feels"
)
MOVED = (
    "u moves along the direction `[i = o] - 1/V`, whose squared length is `{words}`, so that `du/dtau` is "
    "`eta_W/({words})` times the descent of the loss in u; likewise a moves along `[m = p] - 1/{length}`, whose "
    "squared length is `{positions}`"
)

Point = tuple[Expr, ...]
"""The subscripts of a tensor, each by the name of its orbit."""
State = Callable[..., Expr]
"""A state on the symmetric manifold: its value at a point."""

prediction, mean_prediction = tensors("prediction mean_prediction")
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


@dataclass(frozen=True)
class DistinctWords:
    """The orbits of indices over inputs of L distinct words out of V that are copied.

    Attributes
    ----------
    heads : int
        Heads are not alike: each is an orbit of its own.
    """

    heads: int = 1

    length = L
    sizes = (V, L)
    assumption = "the L words of an input are distinct, drawn from V, and are copied"
    observables = (("mean_prediction",), ("prediction", S.Zero, S.Zero, S.One))

    def orbits(self, index: Symbol, extent: Expr, at: Mapping[Symbol, Expr]) -> list[tuple[Expr, Expr]]:
        """(name, members) of each orbit of an index when others are fixed: what is fixed, the rest, absent words."""
        if index == n:
            return [(S.Zero, N)]
        if index == h:
            return [(Integer(k), S.One) for k in range(self.heads)]
        fixed = sorted({at[other] for other in at if other not in (n, h)} - {ABSENT})
        found = [*((k, S.One) for k in fixed), (Integer(len(fixed)), L - len(fixed))]
        return [*found, (ABSENT, V - L)] if extent == models.K else found

    def representative(self, subs: Point, at: Point) -> Point:
        """The first point of the orbit of a point: only which positions are equal matters."""
        seen: dict[Expr, Expr] = {ABSENT: ABSENT}
        return tuple(
            k if index in (n, h) else seen.setdefault(k, Integer(len(seen) - 1))
            for index, k in zip(subs, at, strict=True)
        )

    def table(self, name: str, at: Point) -> Expr:
        """The data of the model at a point."""
        return L if name == "targets" else at[-1]

    def label(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """What tells the values of one kind apart: the number of the head."""
        return str(at[h] + 1) if h in at else ""

    def which(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """The same in words."""
        return f", head {at[h] + 1}" if h in at else ""

    def cases(self, attention: Mapping[Point, Expr], logits: Mapping[Point, Expr]) -> Iterator[str]:
        """What attention and the logits become, in words."""
        for head in range(self.heads):
            at = (S.Zero, S.Zero, Integer(head)) if self.heads > 1 else (S.Zero, S.Zero)
            own, other = attention[(*at, S.Zero)], attention[(*at, S.One)]
            yield (
                f"{f'head {head + 1}: ' if self.heads > 1 else ''}attention is `{own}` at the right position and "
                f"`{other}` at each of the `L - 1` others"
            )
        target, other, none = (logits[S.Zero, S.Zero, k] for k in (S.Zero, S.One, ABSENT))
        yield (
            f"logits are `{target}` for the target, `{other}` for each of the `L - 1` other words of the input, and "
            f"`{none}` for the `V - L` words that are not in it: a sum over words is a sum over these three"
        )


@dataclass(frozen=True)
class RepeatedWords:
    """The orbits of indices over inputs of ``words`` words, each drawn from all V, that are copied.

    An example is seen from one of its positions, which is called 0. Up to a permutation of words and of the other
    positions it is a list of how often words stand in it: first the word of position 0, then the others.
    """

    words: int

    heads = 1
    sizes = (V,)
    assumption = "the words of an input are drawn from V, each for itself, and are copied"
    observables = (("mean_prediction",),)

    @property
    def length(self) -> Expr:
        return Integer(self.words)

    @cached_property
    def patterns(self) -> list[tuple[int, ...]]:
        """How often each word stands in an example."""
        return [
            (own, *sorted(Counter(parts).elements()))
            for own in range(1, self.words + 1)
            for parts in partitions(self.words - own)
        ]

    def share(self, pattern: tuple[int, ...]) -> Expr:
        """The probability of a pattern."""
        own, *rest = pattern
        ways = binomial(self.words - 1, own - 1) * factorial(sum(rest))
        for k, times in Counter(rest).items():
            ways /= factorial(k) ** times * factorial(times)
        return ways * Mul(*(V - 1 - k for k in range(len(rest)))) / V ** (self.words - 1)

    def orbits(self, index: Symbol, extent: Expr, at: Mapping[Symbol, Expr]) -> list[tuple[Expr, Expr]]:
        """(name, members) of each orbit of an index; a word is called by its place in the pattern."""
        if index == n:
            return [(Integer(k), N * self.share(pattern)) for k, pattern in enumerate(self.patterns)]
        if extent != models.K:
            positions = range(self.words if index == l else 1)
            return [(Integer(k), self.length / len(positions)) for k in positions]
        pattern = self.patterns[at[n]]
        found = [(Integer(k), S.One) for k in range(len(pattern))]
        return [*found, (ABSENT, V - len(pattern))]

    def representative(self, subs: Point, at: Point) -> Point:
        """The first point of the orbit of a point: each its own."""
        return at

    def table(self, name: str, at: Point) -> Expr:
        """The data of the model at a point."""
        if name == "targets":
            return self.length
        pattern = self.patterns[at[0]]
        return Integer([word for word, times in enumerate(pattern) for _ in range(times)][at[1]])

    def label(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """What tells the values of one kind apart: how often the word stands there, or the pattern."""
        if name == "z":
            return str(self.patterns[at[n]][at[o]])
        return str(at[n] + 1) if name in ("Q", "prediction") else ""

    def which(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """The same in words."""
        if name == "z":
            return f", which stands {often(self.patterns[at[n]][at[o]])}"
        return f", case {at[n] + 1}" if name in ("Q", "prediction") else ""

    def cases(self, attention: Mapping[Point, Expr], logits: Mapping[Point, Expr]) -> Iterator[str]:
        """What attention and the logits become, in words."""
        own, other = (attention[S.Zero, S.Zero, Integer(k)] for k in (0, 1))
        yield f"attention is `{own}` at the right position and `{other}` at each other one"
        for k, (times, *rest) in enumerate(self.patterns):
            share = Text()(factor(self.share(self.patterns[k])))
            others = f", the others {' and '.join(often(r) for r in rest)}" if rest else ""
            target = logits[Integer(k), S.Zero, S.Zero]
            shown = [f"`{logits[Integer(k), S.Zero, Integer(j)]}` for a word that stands {often(r)}"
                     for j, r in enumerate(rest, 1) if r not in rest[: j - 1]]  # fmt: skip
            yield (
                f"case {k + 1}, with probability `{share}`: the target stands {often(times)} in the input{others}; "
                f"logits are {', '.join([f'`{target}` for the target', *shown, '0 for the words that are not in it'])}"
            )


def often(times: int) -> str:
    """How often, in words."""
    return {1: "once", 2: "twice"}.get(times, f"{times} times")


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
            {key[1]: value for key, value in self.values.items() if key[0] == name} for name in ("alpha", "z")
        )
        yield from self.orbits.cases(of_attention, of_logits)

    def substituted(self, expr: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        """An elementwise expression at a point."""
        here = {a: self.value(name_of(a), *(self.place(s, at) for s in subscript(a))) for a in accesses(expr)}
        return expr.xreplace(here).xreplace({models.H: Integer(self.orbits.heads)})

    def place(self, sub: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        """A subscript at a point: an index, or a gather."""
        return at[sub] if sub in at else self.substituted(sub, at)


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
    >>> closed_form(copying().model, "alpha")
    exp(a)/(L + exp(a) - 1)
    """
    values: dict[Expr, Expr] = {}
    for d in program.definitions:
        value = written_out(d, program).xreplace(values)
        values[d.lhs] = values[d.lhs] + value if d.accumulate else value
    return next(value for lhs, value in values.items() if name_of(lhs) == name)


@cache
def copying() -> Program:
    """Copying with positional attention (model 1c) on its symmetric manifold: two equations.

    L distinct words out of V. u is the mean diagonal of W less its mean off-diagonal, a that of P. ``p_t``, ``p_in``,
    ``alpha``, ``epsilon`` and ``loss`` can be asked for by name.

    Examples
    --------
    >>> copying().state_names, [p.name for p in copying().parameters]
    (('u', 'a'), ['V', 'L', 'eta_W', 'eta_A'])
    """
    return unrolled(symmetric("copying", "Copying on the symmetric manifold: two equations", DistinctWords()))


@cache
def copying_heads(heads: int) -> Program:
    """The same with several heads, whose contexts are averaged: two equations a head.

    Examples
    --------
    >>> copying_heads(2).state_names
    ('u1', 'u2', 'a1', 'a2')
    """
    if heads < 1:
        raise ProgramError(f"copying with {heads} heads: there must be 1 or more")
    title = f"Copying with heads on the symmetric manifold: two equations for each of {heads}"
    return unrolled(symmetric(f"copying-heads-{heads}", title, DistinctWords(heads)))


@cache
def copying_repeats(words: int) -> Program:
    """Copying of inputs whose words are drawn with replacement: two equations, averaged over the patterns of repeats.

    How the words of an input repeat is a partition of its length, so the number of terms grows with the length fast:
    45 at 8 words, 684 at 16.

    Examples
    --------
    >>> copying_repeats(3).state_names, [p.name for p in copying_repeats(3).parameters]
    (('u', 'a'), ['V', 'eta_W', 'eta_A'])
    """
    if words < 2:
        raise ProgramError(f"copying of {words} words: there must be 2 or more")
    title = f"Copying of {words} words that may repeat, on the symmetric manifold"
    return unrolled(symmetric(f"copying-repeats-{words}", title, RepeatedWords(words)))


def exact(heads: int) -> Program:
    """Model 1c, or 1d, with its prediction."""
    flow = models.positional_attention(heads > 1)
    model = flow.model or flow
    logit, normalisation = models.z[n, t, o], models.Q[n, t]
    return model.extended(
        [
            Definition(prediction[n, t, o], exp(logit - normalisation), "prediction"),
            Definition(mean_prediction, SumOver(prediction[n, t, models.y[n, t]] / models.count, n, t)),
        ]
    )


def symmetric(name: str, title: str, orbits: DistinctWords | RepeatedWords) -> Program:
    """The flow of model 1c, or 1d, on the symmetric manifold of copying; sums over classes are still reductions."""
    heads = orbits.heads
    u, a = (scalars(" ".join(f"{x}{k + 1}" for k in range(heads)) if heads > 1 else x) for x in "ua")

    def diagonal(states: tuple[Symbol, ...]) -> State:
        return lambda *at: states[at[0] if len(at) == 3 else 0] * KroneckerDelta(*at[-2:])

    found = Substitution(exact(heads), {"W": diagonal(u), "P": diagonal(a)}, orbits)
    for observable in orbits.observables:
        found.value(*observable)
    loss = found.value("loss")
    flow = gradient_flow(
        Program(
            name=name,
            title=title,
            source=models.SNELL,
            extents=found.extents,
            data=(),
            states=(*u, *a),
            definitions=tuple(found.definitions.values()),
            parameters=orbits.sizes,
            loss=loss,
            assumptions=(orbits.assumption, SYMMETRIC),
            reduction=(
                SUBSTITUTED.format(model=found.model.name, heads=", for each head" if heads > 1 else ""),
                *found.cases(),
                MOVED.format(words=squared_length(V), length=orbits.length, positions=squared_length(orbits.length)),
            ),
            meanings={**GLOSSARY, "eta_A": "learning rate of the attention logits P"},
        )
    )
    rates = {f"eta_{x}": eta_W / squared_length(V) for x in u}
    rates |= {f"eta_{x}": eta_A / squared_length(orbits.length) for x in a}
    metric = {p: rates[p.name] for p in flow.parameters if p.name in rates}
    definitions = tuple(replace(d, rhs=d.rhs.xreplace(metric)) for d in flow.definitions)
    return replace(flow, definitions=definitions, parameters=(*orbits.sizes, eta_W, eta_A))
