"""Score and embedding norm of a topic word: what the topic classifier obeys, and how it learns.

Each theorem is derived by sympy from the flow of the topic classifier (:mod:`derivations.topic`), written out on the
few words and sentences that it is about. The functions at the end evaluate the formulas on numbers or arrays.

A topic word stands k times in a sentence, among others that rest; ``m`` is the sum of ``exp(score)`` over those others,
their number if their scores are 0. ``w`` is the margin that the word's embedding has by itself, ``v . (u_y - mean of
the other columns of U)``; in its sentence the margin is ``alpha w``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

from sympy import (
    Ei,
    Expr,
    Function,
    IndexedBase,
    Integer,
    Matrix,
    S,
    Subs,
    Symbol,
    asinh,
    exp,
    eye,
    limit,
    log,
    ones,
    oo,
    sqrt,
    symbols,
)

from derivations import models, theorem, topic
from derivations.models import LU
from derivations.program import Definition, LogSumExp, Program, Reduction, gathers, scalars
from derivations.theorem import Step, Theorem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "THEOREMS",
    "embeddings_fixed_time",
    "keys_fixed_loss",
    "norm_squared",
    "score_of_margin",
    "time_to_score",
]

s, s_0, w, w_0, z, x, x_0, score, margin, loss, attention = scalars("s s_0 w w_0 z x x_0 score margin loss attention")
rate_w, rate_s, rest, radius_2, norm_2, late, floor, A, excess = scalars(
    "rate_w rate_s rest radius_2 norm_2 late floor A excess"
)
m, k, K, f, y, y_0, delta, tau, alpha, p, ell, purity = scalars(
    "m k K f y y_0 delta tau alpha p ell purity", positive=True
)
eta_s, eta_v, eta_key, eta_query = scalars("eta_s eta_v eta_key eta_query", positive=True)
kappa, q, q_0, T = scalars("kappa q q_0 T", positive=True)
"""delta: length of (the column of the label less the mean of the others); f: share of sentences that hold the word."""

OTHERS = "the other words of its sentences are at rest, with the same sum m of exp(score)"
ALONE = ("one topic word, k times in each of its sentences", f"{OTHERS} and the same mean embedding")
LINEAR = (
    "one topic word, once in each of its sentences",
    f"{OTHERS} and mean embedding 0",
    "the classifier U is fixed and linear (FC)",
    "two classes; or K classes with a U that is symmetric in those that are not the word's: they have the same product "
    "with delta and with the first embedding",
)
PER_TIME = f * eta_v * delta**2
"""How fast a margin moves where all attention is on the word and its prediction is wrong."""


# -- the flow on a few words -------------------------------------------------------------------------------------------


def written_out(
    definitions: Iterable[Definition], extents: Mapping[Symbol, Expr], values: Mapping[Expr, Expr]
) -> dict[Expr, Expr]:
    """Definitions on numbered words and sentences: every entry of every tensor as an expression.

    Parameters
    ----------
    definitions : iterable of Definition
    extents : mapping of Symbol to Expr
        Of their indices.
    values : mapping of Expr to Expr
        Sizes, and the entries of data, states and whatever else is not defined, such as ``v[0, 1]``.
    """
    found = dict(values)

    def points(over: Iterable[Symbol], at: Mapping[Symbol, Expr]) -> Iterable[dict[Symbol, Expr]]:
        first, *rest = over
        for number in range(int(extents[first].xreplace(at).xreplace(found))):
            here = {**at, first: Integer(number)}
            yield from points(rest, here) if rest else [here]

    def put(expr: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        here = expr.xreplace(at)
        tables = {table: found[table] for table in gathers(here)}
        return here.xreplace(tables).xreplace(found)

    def value(rhs: Expr, at: Mapping[Symbol, Expr]) -> Expr:
        if not isinstance(rhs, Reduction):
            return put(rhs, at)
        term = rhs.weight * exp(rhs.body) if isinstance(rhs, LogSumExp) else rhs.body
        total = sum(put(term, here) for here in points(rhs.over, at))
        return log(total) if isinstance(rhs, LogSumExp) else total

    for d in definitions:
        order = [i for i in extents if i in d.lhs.free_symbols | (d.rhs.free_symbols - set(d.over))]
        for at in points(order, {}) if order else [{}]:
            entry = d.lhs.xreplace(at)
            entry = entry.xreplace({table: found[table] for table in gathers(entry)})
            new = value(d.rhs, at)
            found[entry] = found[entry] + new if d.accumulate else new
    return found


def entry(name: str, *at: int) -> Expr:
    """One entry of a tensor, such as ``v[0, 1]``."""
    base = IndexedBase(name, integer=True) if name in ("x", "y", "length") else IndexedBase(name, real=True)
    return base[tuple(map(Integer, at))]


def vector(name: str, *at: int, size: int = 2) -> Matrix:
    """The entries of a tensor along its last index."""
    return Matrix([entry(name, *at, d) for d in range(size)])


def matrix(name: str, rows: int, columns: int) -> Matrix:
    return Matrix(rows, columns, lambda i, j: entry(name, i, j))


def sentences(
    kinds: Sequence[Mapping[int, Expr | int]], moving: Iterable[int], labels: Iterable[int] = (), **sizes: int
) -> dict[Expr, Expr]:
    """Kinds of sentences, each by how often every word stands in it; words that do not move; sizes V, D, K, E."""
    moving = set(moving)
    found: dict[Expr, Expr] = {
        Symbol(name, integer=True, positive=True): Integer(size) for name, size in {"N": len(kinds), **sizes}.items()
    }
    for n, counts in enumerate(kinds):
        found[entry("length", n)] = Integer(len(counts))
        for place, (word, count) in enumerate(counts.items()):
            found[entry("x", n, place)] = Integer(word)
            found[entry("times", n, place)] = S(count)
    found |= {entry("y", n): Integer(label) for n, label in enumerate(labels)}
    for i, j in product(range(sizes["V"]), repeat=2):
        found[entry("coupling", i, j)] = Integer(i == j and i in moving)
    return found | {Symbol(rate.name, real=True): rate for rate in (eta_s, eta_v, eta_key, eta_query)}


def beside_the_classifier(flow: Program, given: str) -> tuple[Definition, ...]:
    """Attention, and the flow of words from a given adjoint on: what the rest of a classifier does not change."""
    words = ("v", "s", "W", "a", "key", "query")
    kept = {"a", "M", "alpha", "r", "metric", "rbar", "alphabar", "Mbar", *(x + end for x in words for end in ENDS)}
    return tuple(d for d in flow.definitions if d.name in kept - {given})


ENDS = ("bar", "dot")


def of_any_loss(
    values: Mapping[Expr, Expr], kinds: int = 1, given: str = "rbar", flow: Program | None = None
) -> dict[Expr, Expr]:
    """The flow of words where ``G[n]`` is minus the gradient of a loss by the contexts of kind n, or by its logits."""
    flow = flow or topic.topic_words("FC")
    pulled = {entry(given, n, d): -entry("G", n, d) for n in range(kinds) for d in range(2)}
    return written_out(beside_the_classifier(flow, given), flow.extents, {**values, **pulled})


def of_linear(values: Mapping[Expr, Expr], shares: Iterable[Expr], flow: Program | None = None) -> dict[Expr, Expr]:
    """The flow of words with classifier FC."""
    flow = flow or topic.topic_words("FC")
    given = {entry("share", n): share for n, share in enumerate(shares)}
    return written_out(flow.definitions, flow.extents, {**values, **given})


def column(found: Mapping[Expr, Expr], name: str, *at: int, size: int = 2) -> Matrix:
    """Entries that were found."""
    return vector(name, *at, size=size).xreplace(found)


# -- any classifier ---------------------------------------------------------------------------------------------------


@cache
def identity() -> Theorem:
    """Score and embedding norm."""
    m_1, m_2 = symbols("m_1 m_2", positive=True)
    found = of_any_loss(sentences([{0: k, 1: m_1, 2: m_2}], {0}, V=3, D=2))
    v, G, own = vector("v", 0), vector("G", 0), entry("s", 0)
    vdot, sdot = column(found, "vdot", 0), found[entry("sdot", 0)]
    weights = [m_1 * exp(entry("s", 1)), m_2 * exp(entry("s", 2))]
    total = weights[0] + weights[1]
    mean = (weights[0] * vector("v", 1) + weights[1] * vector("v", 2)) / total
    share = k * exp(own) / (k * exp(own) + total)
    of_loss = Function("F")(*column(found, "r", 0))
    gradient = Matrix([-of_loss.diff(state) for state in (*v, own)]).replace(
        lambda e: isinstance(e, Subs), lambda e: -G[e.expr.expr.args.index(e.variables[0])]
    )
    grown = radius_2 + 2 * eta_v / eta_s * (s - s_0 + k / m * (exp(s) - exp(s_0)))
    return Theorem(
        name="sen",
        title="Score and embedding norm",
        source=LU,
        hypotheses=(*ALONE, "any loss of the contexts: any classifier, trained or not, and any labels"),
        statement=(
            "The embedding moves by alpha G, the score by alpha (1 - alpha) G . (v - c), where G is minus the gradient "
            "of the loss by the context and c the mean embedding of the others. So G drops out of their ratio: "
            "||v - c||^2 is a function of the score, through all of training. radius_2 is its first value."
        ),
        results={norm_2: grown},
        steps=(
            Step(
                "minus the gradient of any F of the context, by the chain rule",
                gradient,
                Matrix([*share * G, share * (1 - share) * G.dot(v - mean)]),
            ),
            Step(
                "the flow of the classifier moves along it",
                Matrix([*vdot, sdot]),
                Matrix([*eta_v * share * G, eta_s * share * (1 - share) * G.dot(v - mean)]),
            ),
            Step("separated: no G", eta_s * (v - mean).dot(vdot) / (eta_v * sdot), 1 + k * exp(own) / total),
            Step("integrated", grown.diff(s), 2 * eta_v / eta_s * (1 + k * exp(s) / m)),
            Step("it starts where it should", grown.subs(s, s_0), radius_2),
            Step(
                "from zero scores and tiny embeddings, once in a sentence",
                eta_s / eta_v * grown.subs({radius_2: 0, s_0: 0, k: 1}),
                2 * (s + (exp(s) - 1) / m),
            ),
        ),
        limits=(
            "the motion of other words, which goes with their share of the sentences; for sentences that differ in m "
            "or k, and for several topic words in a sentence, see sen-company"
        ),
    )


@cache
def company() -> Theorem:
    """Sentences of several lengths, and several topic words in one."""
    m_1, m_2 = symbols("m_1 m_2", positive=True)
    at_rest = {entry("s", 1): S.Zero, entry("v", 1, 0): S.Zero, entry("v", 1, 1): S.Zero}
    found = of_any_loss(sentences([{0: 1, 1: m_1}, {0: 1, 1: m_2}], {0}, V=2, D=2) | at_rest, kinds=2)
    v, own = vector("v", 0), entry("s", 0)
    shares = [exp(own) / (exp(own) + each) for each in (m_1, m_2)]
    surplus = eta_s * v.dot(column(found, "vdot", 0)) - eta_v * (1 + exp(own) / m) * found[entry("sdot", 0)]
    pulls = [shares[n] ** 2 * vector("G", n).dot(v) for n in range(2)]

    together = of_any_loss(sentences([{0: 1, 1: 1, 2: m}], {0, 1, 2}, V=3, D=2))
    context = column(together, "r", 0)
    slopes = [together[entry("sdot", i)] for i in range(3)]
    alike = {entry("v", 1, d): v[d] for d in range(2)} | {entry("s", 1): own}
    alike |= {entry("s", 2): S.Zero, entry("v", 2, 0): S.Zero, entry("v", 2, 1): S.Zero}
    twins = {name: value.xreplace(alike) for name, value in together.items()}
    G_1, G_2, a_1, a_2, m_i = scalars("pull_1 pull_2 alpha_1 alpha_2 m_eff")
    effective = (m_1 * a_1**2 * G_1 + m_2 * a_2**2 * G_2) / (a_1**2 * G_1 + a_2**2 * G_2)
    return Theorem(
        name="sen-company",
        title="Score and embedding norm: sentences that differ, and topic words together",
        source=LU,
        hypotheses=(
            "any loss of the contexts",
            "each word once in a sentence; the others have embedding 0 and score 0",
        ),
        statement=(
            "In sentences of several m the identity holds from moment to moment with the mean of m that has the "
            "weights alpha^2 G . v: early, when alpha is 1/m, short sentences count more; late, when it is 1, they "
            "count as they pull. If all pull outwards, ||v||^2 lies between the identities of the smallest and of the "
            "largest m. Beside other topic words only the differential form is left, with the context r for the "
            "others' part: eta_v ds = eta_s (v - r) . dv. Words that move alike in the same sentences are one word "
            "that stands k times. No word can gain score but at the cost of others: in a sentence they sum to zero."
        ),
        results={m_i: effective},
        steps=(
            Step(
                "what the identity with any m leaves over in two kinds of sentences",
                surplus,
                eta_s * eta_v * (pulls[0] * (1 - m_1 / m) + pulls[1] * (1 - m_2 / m)),
            ),
            Step(
                "nothing at the mean",
                (a_1**2 * G_1 * (1 - m_1 / m_i) + a_2**2 * G_2 * (1 - m_2 / m_i)).subs(m_i, effective),
                S.Zero,
            ),
            Step(
                "beside another topic word",
                eta_s * (v - context).dot(column(together, "vdot", 0)) / (eta_v * slopes[0]),
                S.One,
            ),
            Step("scores of the words of a sentence sum to a constant", sum(slopes), S.Zero),
            Step(
                "two that move alike, others at rest: one word that stands twice",
                eta_s * v.dot(column(twins, "vdot", 0)) / (eta_v * twins[entry("sdot", 0)]),
                1 + 2 * exp(own) / m,
            ),
        ),
        limits="the motion of words that are taken to rest; for several m there is no formula in the score alone",
    )


# -- a fixed linear classifier ----------------------------------------------------------------------------------------


@cache
def span() -> Theorem:
    """Where embeddings go with a fixed linear classifier."""
    U, size = matrix("U", 3, 2), {"V": 2, "D": 3, "K": 2}
    given = sentences([{0: 1, 1: 1}], {0, 1}, [0], **size)
    found = of_any_loss(given, given="zbar")
    vdot, pull = column(found, "vdot", 0, size=3), found[entry("alpha", 0, 0)] * vector("G", 0)
    logits = {entry("W", i, c): vector("v", i, size=3).dot(U[:, c]) for i in range(2) for c in range(2)}
    spanned = of_any_loss(given | logits | {Symbol("eta_W", real=True): eta_v}, given="zbar", flow=topic.in_span())
    cross_entropy = of_linear(given, [S.One])
    moved = Matrix(symbols("a_1:3", real=True))
    metric = U.T * U
    return Theorem(
        name="topic-span",
        title="A fixed linear classifier: embeddings move in the span of its columns",
        source=LU,
        hypotheses=("classifier FC: U is fixed", "any sentences"),
        statement=(
            "v moves by a combination of the columns of U, and what it does to the loss goes through W = v U. So s and "
            "W are a closed flow: the keyword classifier with the metric U^T U. The embedding is v_0 + (W - W_0) U^+, "
            "with the pseudoinverse of U. The combination sums to zero: K - 1 coordinates, and the score; for a word "
            "as in theorem sen the score is a function of ||v||, so K - 1 coordinates are all."
        ),
        results={},
        steps=(
            Step("any loss of the logits: in the span", vdot, eta_v * U * pull),
            Step("not across it", U[:, 0].cross(U[:, 1]).dot(vdot), S.Zero),
            Step("the flow of W = v U has a metric", column(spanned, "Wdot", 0), eta_v * metric * pull),
            Step("it is that of the embeddings, seen by U", U.T * vdot, column(spanned, "Wdot", 0)),
            Step("the scores move as they do", spanned[entry("sdot", 0)] - found[entry("sdot", 0)], S.Zero),
            Step("cross-entropy: the pull sums to zero", sum(column(cross_entropy, "zbar", 0)), S.Zero),
            Step(
                "back: v - v_0 = U a from W - W_0 (columns independent)",
                U * metric.inv() * (U.T * (U * moved)),
                U * moved,
            ),
        ),
        limits="exact",
    )


@cache
def one_margin() -> Theorem:
    """A topic word in one number."""
    share, own = y / (1 + y), entry("s", 0)
    rest_at_zero = {entry("s", 1): S.Zero, **{entry("v", 1, d): S.Zero for d in range(3)}}
    labels = [purity * f, (1 - purity) * f / (K - 1)]

    def flow(U: Matrix, v: Matrix) -> tuple[Expr, Expr, Expr, Expr]:
        """The velocities of the margin and of the score of a word in sentences of every label: found, and expected."""
        dimension, classes = U.shape
        given = sentences([{0: 1, 1: m}] * classes, {0}, range(classes), V=2, D=dimension, K=classes)
        given |= rest_at_zero | {entry("U", d, c): U[d, c] for d in range(dimension) for c in range(classes)}
        given |= {entry("v", 0, d): v[d] for d in range(dimension)}
        found = of_linear(given, [x.subs(K, classes) for x in (labels[0], *[labels[1]] * (classes - 1))])
        direction = U[:, 0] - U[:, 1:] * ones(classes - 1, 1) / (classes - 1)
        here = {
            alpha: exp(own) / (exp(own) + m),
            w: v.dot(direction),
            K: classes,
            delta: sqrt(direction.dot(direction)),
        }
        expected = rate_w_of.subs({p: p_of}).subs(here), rate_s_of.subs({p: p_of}).subs(here)
        return (
            column(found, "vdot", 0, size=dimension).dot(direction), expected[0], found[entry("sdot", 0)], expected[1]
        )  # fmt: skip

    p_of = 1 / (1 + (K - 1) * exp(-alpha * w))
    rate_w_of = PER_TIME * alpha * (purity - p)
    rate_s_of = f * eta_s * alpha * (1 - alpha) * w * (purity - p)
    z_of = log(y_0) + y_0 + eta_s / eta_v * (w**2 - w_0**2) / (2 * delta**2)
    two = flow(matrix("U", 2, 2), vector("v", 0))
    a, b, q_1, q_2 = symbols("a b q_1 q_2", real=True)
    three = flow(a * eye(3) + b * ones(3, 3), Matrix([q_1, q_2, q_2]))
    pull = [purity - p, (p - purity) / (K - 1)]
    u_y, u_mean = scalars("u_y u_mean")
    return Theorem(
        name="topic-margin",
        title="A topic word with a fixed linear classifier: one number",
        source=LU,
        hypotheses=(*LINEAR, "a share f of all sentences holds the word, of which the share purity has its label"),
        statement=(
            "The embedding moves along delta = u_y - (mean of the other columns), so that its margin w = v . delta is "
            "all there is: it moves to where the prediction p is the purity, and the score follows by theorem sen, "
            "with y = exp(s)/m from y + log y = z (Wright's omega function). Time is the integral of 1/rate_w over w: "
            "a quadrature, as the exponent of p has alpha w, and alpha has log y."
        ),
        results={
            z: z_of,
            alpha: share,
            p: p_of,
            rate_w: rate_w_of,
            rate_s: rate_s_of,
            loss: -purity * log(p) - (1 - purity) * log((1 - p) / (K - 1)),
            rest: log(purity * (K - 1) / (1 - purity)),
        },
        steps=(
            Step("two classes, any U: the margin", two[0], two[1]),
            Step("and the score", two[2], two[3]),
            Step("three symmetric classes: the margin", three[0], three[1]),
            Step("and the score", three[2], three[3]),
            Step(
                "K classes: the pull is along delta",
                pull[0] * u_y + (K - 1) * pull[1] * u_mean,
                pull[0] * (u_y - u_mean),
            ),
            Step(
                "the score by the identity, d(y + log y)/dtau = dz/dtau",
                ((y + 1) * rate_s_of - z_of.diff(w) * rate_w_of).subs(alpha, share),
                S.Zero,
            ),
            Step("where it rests: alpha w", p_of.subs(w, log(purity * (K - 1) / (1 - purity)) / alpha), purity),
        ),
        limits="the motion of other words, which goes with their share of the sentences",
    )


@cache
def convergence() -> Theorem:
    """Loss and attention at late times."""
    share = y / (1 + y)
    square = 2 * eta_v * delta**2 / eta_s * (y + log(y) + A)
    turn = eta_s / (eta_v * delta**2) * square * y / (1 + y) ** 3
    grown = share * (share + turn) / (1 + ell)
    margin_of = one_margin().results
    path = {p: 1 / (1 + ell), purity: 1}
    reached = log((K - 1) * PER_TIME * tau)
    return Theorem(
        name="topic-convergence",
        title="A topic word with a fixed linear classifier: the end of training",
        source=LU,
        hypotheses=(*LINEAR, "all of the word's sentences have its label: purity 1"),
        statement=(
            "The margin grows for ever: its velocity is positive and falls to zero only where p = 1. So the loss goes "
            "to 0, like 1/(f eta_v delta^2 tau), and attention to 1, but slowly: 1 - alpha is one over the squared "
            "logarithm of time, the score grows as twice the logarithm of the logarithm of time, and the embedding "
            "like the logarithm. late is 1 - alpha; y = exp(s)/m, and A, from the start, is what is left of w^2 = (2 "
            "eta_v delta^2/eta_s) (y + log(y) + A). The sum over words of f times the loss, what training sees, is the "
            "same for rare and for frequent words."
        ),
        results={
            margin: reached,
            loss: 1 / (PER_TIME * tau),
            late: 2 * eta_v * delta**2 / (eta_s * margin**2),
            score: log(m * eta_s * margin**2 / (2 * eta_v * delta**2)),
            excess: (2 * log(y) + 2 * A - 5) / y**2,
        },
        steps=(
            Step(
                "ell = (K - 1) exp(-alpha w): the velocity of the margin",
                margin_of[rate_w].subs(path),
                PER_TIME * alpha * ell / (1 + ell),
            ),
            Step("w^2 by the identity, up to a constant A", square.diff(y), 2 * eta_v * delta**2 / eta_s * (1 + 1 / y)),
            Step(
                "alpha w follows w: d(alpha w)/dw = alpha + w dalpha/dw",
                share + turn,
                share + 2 * square * share.diff(y) / square.diff(y),
            ),
            Step("velocity of 1/ell, per f eta_v delta^2: the limit", limit(limit(grown, ell, 0), y, oo), S.One),
            Step(
                "of 1/ell + log(1/ell), what is left: y^2 times it, less 2 log y",
                limit(y**2 * (share * (share + turn) - 1) - 2 * log(y), y, oo),
                2 * A - 5,
            ),
            Step("loss over ell: the limit", limit(log(1 + ell) / ell, ell, 0, "+"), S.One),
            Step("(1 - alpha) w^2: the limit", limit((1 - share) * square, y, oo), 2 * eta_v * delta**2 / eta_s),
            Step("alpha: the limit", limit(share, y, oo), S.One),
        ),
        limits=(
            "leading order in time: 1/ell + log(1/ell) grows by f eta_v delta^2 (1 + excess) per unit of time, so that "
            "the loss is off by as much, which falls like the fourth power of 1/log(tau); attention and score are off "
            "by log(y)/y and log(log(tau))/log(tau)"
        ),
    )


@cache
def keys_fixed() -> Theorem:
    """No attention is learnt."""
    ratio = exp(x) / (K - 1)
    velocity = PER_TIME * alpha**2 * (1 - 1 / (1 + 1 / ratio))
    path = x + ratio
    return Theorem(
        name="topic-keys-fixed",
        title="A topic word with a fixed linear classifier: scores fixed",
        source=LU,
        hypotheses=(*LINEAR, "all of the word's sentences have its label", "scores do not move (eta_s = 0)"),
        statement=(
            "With alpha fixed the margin x = alpha w has a closed form: Y = exp(x)/(K - 1) is Wright's omega function "
            "of z, Y + log Y = z. The loss falls like 1/(f eta_v delta^2 alpha^2 tau): later by a factor of 1/alpha^2, "
            "(1 + m)^2 from scores of zero, than where attention is learnt."
        ),
        results={
            z: x_0 - log(K - 1) + exp(x_0) / (K - 1) + PER_TIME * alpha**2 * tau,
            loss: log(1 + 1 / y),
        },
        steps=(
            Step(
                "the velocity of alpha w",
                alpha * one_margin().results[rate_w].subs({purity: 1, p: one_margin().results[p]}).subs(w, x / alpha),
                PER_TIME * alpha**2 / (1 + ratio),
            ),
            Step("x + exp(x)/(K - 1) grows evenly", path.diff(x) * velocity, PER_TIME * alpha**2),
        ),
        limits="the motion of other words, which goes with their share of the sentences",
    )


@cache
def embeddings_fixed() -> Theorem:
    """Attention alone."""
    over = 1 - alpha
    first = 2 * log(alpha / over) - 1 / alpha + 1 / over
    a = Symbol("w", real=True, nonzero=True)
    second = (
        -exp(a * alpha) / alpha + (a + 2) * Ei(a * alpha)
        + exp(a * alpha) / over + exp(a) * (a - 2) * Ei(-a * over)
    )  # fmt: skip
    clock = first + second / (K - 1)
    rates = one_margin().results
    velocity = (alpha * over * rates[rate_s].subs(purity, 1)).subs(p, rates[p]).subs(w, a)
    return Theorem(
        name="topic-embeddings-fixed",
        title="A topic word with a fixed linear classifier: embeddings fixed",
        source=LU,
        hypotheses=(*LINEAR, "all of the word's sentences have its label", "embeddings do not move (eta_v = 0)"),
        statement=(
            "Attention moves alone, to 1 if the embedding is on the right side (w > 0) and to 0 else. Time is a closed "
            "form in attention, with exponential integrals: clock(alpha) grows by f eta_s w tau. The loss stops at "
            "log(1 + (K - 1) exp(-w)), and 1 - alpha falls like one over time."
        ),
        results={
            Symbol("clock", real=True): clock.subs(a, w),
            floor: log(1 + (K - 1) * exp(-w)),
            late: (1 + exp(w) / (K - 1)) / (f * eta_s * w * tau),
        },
        steps=(
            Step("the clock runs evenly", clock.diff(alpha) * velocity, f * eta_s * a),
            Step(
                "exp(loss) where attention is 1",
                exp(rates[loss].subs(purity, 1).subs(p, rates[p]).subs(alpha, 1)),
                1 + (K - 1) * exp(-w),
            ),
            Step(
                "the velocity of 1/(1 - alpha) where alpha is 1",
                (velocity / over**2).subs(alpha, 1),
                f * eta_s * a / (1 + exp(a) / (K - 1)),
            ),
        ),
        limits="the motion of other words, which goes with their share of the sentences",
    )


# -- the query trained ------------------------------------------------------------------------------------------------


@cache
def trained_query() -> Theorem:
    """What is conserved, and what becomes of the identity."""
    keyed = models.topic_classifier("FC", keys=True)
    pulled = {entry("abar", i): -entry("G", i) for i in range(3)}
    given = sentences([{0: 1, 1: 1, 2: 1}], {0, 1, 2}, V=3, D=2, E=2)
    names = ("keybar", "querybar", "keydot", "querydot")
    found = written_out([d for d in keyed.definitions if d.name in names], keyed.extents, {**given, **pulled})
    keys, query, G = matrix("key", 3, 2), vector("query"), vector("G", size=3)
    kdot = Matrix.vstack(*(column(found, "keydot", i).T for i in range(3)))
    qdot = column(found, "querydot")
    scores_dot = kdot * query + keys * qdot

    own = entry("s", 0)
    alone = of_any_loss(sentences([{0: 1, 1: m}], {0}, V=2, D=2) | {
        entry("s", 1): S.Zero, entry("v", 1, 0): S.Zero, entry("v", 1, 1): S.Zero
    })  # fmt: skip
    pull_of_score = alone[entry("sdot", 0)] / eta_s
    outwards = 2 * vector("v", 0).dot(column(alone, "vdot", 0))
    line = scalars("kappa_1 kappa_2 kappa_3")
    direction = vector("n")
    on_line = {entry("key", i, e): line[i] * direction[e] for i in range(3) for e in range(2)}
    on_line |= {query[e]: q * direction[e] for e in range(2)}
    length = q_0**2 + T * eta_query / eta_key * kappa**2
    first = asinh(sqrt(T * eta_query / eta_key) * kappa / q_0) / sqrt(T * eta_query / eta_key)
    sdot, square, q_2, cross = scalars("sdot square q_2 cross")
    return Theorem(
        name="topic-query",
        title="Keys and query trained: what is conserved, and how the identity breaks",
        source=LU,
        hypotheses=(
            "keys and one query are trained; any classifier and sentences for what is conserved",
            "for the norm: a topic word alone, once in each of its sentences; others rest with key 0 and embedding 0",
        ),
        statement=(
            "sum_i k_i k_i^T/eta_key - q q^T/eta_query does not move, nor does its trace. The score moves by its key, "
            "at the rate square = ||q||^2 of the moment, and by the query: cross = eta_query sum_j (-dLoss/da_j) k_j . "
            "k_i. So the identity holds as the integral of rate_n, the velocity of ||v||^2; with the first ||q||^2 and "
            "without cross it does not. From zero keys, all keys and the query stay on the line of the first query: "
            "k_i = kappa_i n, a_i = kappa_i ||q||, ||q||^2 = q_0^2 + (eta_query/eta_key) sum kappa_i^2. For T words "
            "that move alike rate_kappa, the change of ||v||^2 with kappa, is explicit: its first term is an asinh, "
            "its second a quadrature."
        ),
        results={
            Symbol("rate_n", real=True): 2 * eta_v / (eta_key * square) * (1 + exp(s) / m) * (sdot - cross),
            q_2: length,
            Symbol("rate_kappa", real=True): 2 * eta_v / eta_key * (1 + exp(kappa * sqrt(q_2)) / m) / sqrt(q_2),
        },
        steps=(
            Step(
                "conserved",
                (kdot.T * keys + keys.T * kdot) / eta_key - (qdot * query.T + query * qdot.T) / eta_query,
                Matrix.zeros(2, 2),
            ),
            Step(
                "the flow of the scores",
                scores_dot,
                eta_key * query.dot(query) * G + eta_query * keys * keys.T * G,
            ),
            Step(
                "a topic word alone: how its norm goes with the pull on its score",
                outwards / pull_of_score,
                2 * eta_v * (1 + exp(own) / m),
            ),
            Step("keys on the line of the query move along it", kdot.xreplace(on_line), eta_key * q * G * direction.T),
            Step("and so does the query", qdot.xreplace(on_line), eta_query * G.dot(Matrix(line)) * direction),
            Step("T alike: the conserved length", length.diff(kappa) * eta_key * q, 2 * q * T * eta_query * kappa),
            Step("the first term, integrated", first.diff(kappa), 1 / sqrt(length)),
        ),
        limits="what is conserved is exact; the norm up to the motion of other words",
    )


@cache
def competition() -> Theorem:
    """Two words of unequal purity in one sentence."""
    f_a, f_b, f_ab = symbols("f_a f_b f_ab", positive=True)
    x_a, x_b, x_ab, w_a, w_b, p_a, p_b, p_ab = scalars("x_a x_b x_ab w_a w_b p_a p_b p_ab")
    n_a, n_b = symbols("n_a n_b", positive=True)
    shares = {(0,): (f_a, p_a), (1,): (f_b, p_b), (0, 1): (f_ab, p_ab)}
    kinds = [{**dict.fromkeys(own, 1), 2: m} for own in shares for _ in range(2)]
    parts = [f * part for f, right in shares.values() for part in (right, 1 - right)]
    given = sentences(kinds, {0, 1}, [0, 1] * 3, V=3, D=1, K=2)
    given |= {entry("s", 2): S.Zero, entry("v", 2, 0): S.Zero}
    found = of_linear(given, parts)
    v, first = [entry("v", i, 0) for i in range(2)], {entry("s", i): S.Zero for i in range(2)}
    origin = first | dict.fromkeys(v, S.Zero)
    of_U = entry("U", 0, 0) - entry("U", 0, 1)
    Q = [
        f_own * (2 * p_own - 1) / (m + 1) + f_ab * (2 * p_ab - 1) / (m + 2)
        for f_own, p_own in ((f_a, p_a), (f_b, p_b))
    ]  # fmt: skip
    vdot = [found[entry("vdot", i, 0)].xreplace(origin) for i in range(2)]
    bend = sum(found[entry("sdot", 0)].xreplace(first).diff(v[i]).xreplace(origin) * vdot[i] for i in range(2))
    scale = eta_s * eta_v * of_U**2 / 4
    Q_a, Q_b, early = scalars("Q_a Q_b early")
    seen = f_a * (2 * p_a - 1) / (m + 1) ** 2 * Q_a + f_ab * (2 * p_ab - 1) / (m + 2) ** 2 * (Q_a + Q_b)
    signals = {Q_a: Q[0], Q_b: Q[1]}
    margins = {w_a: x_a * (n_a + m) / n_a, w_b: x_b * (n_b + m) / n_b}
    together = ((n_a * w_a + n_b * w_b) / (n_a + n_b + m)).subs(margins)
    line = n_a * (x_ab - x_a) + n_b * (x_ab - x_b) - m * (x_a + x_b - x_ab)
    return Theorem(
        name="topic-competition",
        title="Two topic words in one sentence",
        source=LU,
        hypotheses=(
            "two classes, the classifier U is fixed and linear (FC); others at rest with embedding 0 and score 0",
            "shares f_a, f_b, f_ab of all sentences hold a alone, b alone, both; shares p_a, p_b, p_ab of these have "
            "the first label, x its log-odds log(p/(1 - p))",
            "training starts from zero",
        ),
        statement=(
            "At first the score of a word grows with the square of its signal Q, frequency times purity above chance: "
            "a frequent word leads, though it may be less pure; its own part of the contexts takes off what is of "
            "order 1/m. In the end every kind of sentence wants its log-odds, and those with both get a mean of both "
            "margins: with n = exp(score), balance = 0, a line of scores where training can stop. If common sentences "
            "show less than the mean of both log-odds, the less pure word ends with the higher score, at any "
            "frequencies; only if they show more can it be the purer one. If they are pure, and one of the words is, "
            "it is that word: the margin of the other is bounded."
        ),
        results={
            **signals,
            early: eta_s * eta_v * delta**2 / 8 * tau**2 * (Q_a**2 - seen),
            Symbol("balance", real=True): line,
        },
        steps=(
            Step("the embeddings start along the signals", Matrix(vdot), eta_v * of_U / 2 * Matrix(Q)),
            Step("the second derivative of the score of a", bend, scale * (Q_a**2 - seen).subs(signals)),
            Step("sentences with both show their log-odds", (together - x_ab) * (n_a + n_b + m), -line),
            Step(
                "the line where both scores are equal",
                line.subs({n_a: n_b}),
                n_b * (2 * x_ab - x_a - x_b) - m * (x_a + x_b - x_ab),
            ),
        ),
        limits="second order in time (early), and the motion of other words; balance tells where training can stop",
    )


THEOREMS: Mapping[str, Callable[[], Theorem]] = MappingProxyType(
    {
        "sen": identity,
        "sen-company": company,
        "topic-span": span,
        "topic-margin": one_margin,
        "topic-convergence": convergence,
        "topic-keys-fixed": keys_fixed,
        "topic-embeddings-fixed": embeddings_fixed,
        "topic-competition": competition,
        "topic-query": trained_query,
    }
)
"""Name -> the function that derives the theorem."""


# -- on numbers -------------------------------------------------------------------------------------------------------


def evaluated(name: str, result: str, **values: ArrayLike) -> NDArray[np.float64]:
    """A result of a theorem, by its name, at values of the symbols that it depends on."""
    return theorem.evaluated(THEOREMS[name](), result, **values)


def norm_squared(
    score: ArrayLike,
    m: ArrayLike,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    times: ArrayLike = 1.0,
    eta_s: ArrayLike = 1.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The squared norm of a topic word's embedding from its score: theorem sen. All arguments are broadcast.

    Parameters
    ----------
    score, m : array_like
        The score now, and the number of other words in a sentence (the sum of exp(score) over them).
    start, first : array_like
        Score and squared norm at time 0.
    times : array_like
        How often the word stands in a sentence.
    eta_s, eta_v : array_like
        Learning rates of scores and embeddings; that of scores is ||query||^2 times that of keys.

    Examples
    --------
    >>> norm_squared([0, 1, 2], m=20).round(3)
    array([0.   , 2.172, 4.639])
    """
    return evaluated("sen", "norm_2", s=score, m=m, s_0=start, radius_2=first, k=times, eta_s=eta_s, eta_v=eta_v)


def score_of_margin(
    margin: ArrayLike,
    m: ArrayLike,
    delta: ArrayLike,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    eta_s: ArrayLike = 1.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The score of a topic word from the margin w of its embedding: theorem topic-margin. All arguments are broadcast.

    Parameters
    ----------
    margin : array_like
        ``v . (u_y - mean of the other columns of U)``.
    m : array_like
        Number of other words in a sentence.
    delta : array_like
        The length of that difference of columns.
    start, first : array_like
        Score and margin at time 0.
    eta_s, eta_v : array_like
        Learning rates of scores and embeddings.

    Examples
    --------
    >>> float(score_of_margin(norm_squared(1.5, m=20) ** 0.5, m=20, delta=1.0).round(12))
    1.5
    """
    import numpy as np
    from scipy.special import wrightomega

    y_0 = np.exp(start) / np.asarray(m)
    z = evaluated("topic-margin", "z", y_0=y_0, w=margin, w_0=first, delta=delta, eta_s=eta_s, eta_v=eta_v)
    return np.log(m) + z - wrightomega(z)


def time_to_score(
    score: ArrayLike,
    m: ArrayLike,
    delta: ArrayLike,
    share: ArrayLike = 1.0,
    classes: ArrayLike = 2,
    purity: ArrayLike = 1.0,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    eta_s: ArrayLike = 1.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The time tau until a topic word has a score, by quadrature: theorem topic-margin. All arguments are broadcast.

    Parameters
    ----------
    score, m, delta, start, first, eta_s, eta_v : array_like
        As for :func:`score_of_margin`. A word that starts with a negative margin loses score first; what is found is
        the time when it rises through the score.
    share : array_like
        Share of the training sentences that hold the word.
    classes : array_like
        Two; or more, if U is symmetric in those that are not the word's.
    purity : array_like
        Share of the word's sentences that have its label; the others have the other labels equally.

    Returns
    -------
    ndarray
        Infinite where the score is never reached.

    Raises
    ------
    ValueError
        A purity that is not above chance, 1/classes, or above 1.

    Examples
    --------
    >>> time_to_score([0.5, 1, 2, 3], m=20, delta=1.4, purity=[1, 1, 1, 0.7]).round(1)
    array([27.2, 34.6, 41.7,  inf])
    """
    import numpy as np

    return np.vectorize(_time_to_score, otypes=[float])(
        score, m, delta, share, classes, purity, start, first, eta_s, eta_v
    )  # fmt: skip


def _time_to_score(
    score: float, m: float, delta: float, share: float, classes: float, purity: float,
    start: float, first: float, eta_s: float, eta_v: float,
) -> float:  # fmt: skip
    from scipy.integrate import quad

    if not 1 / classes < purity <= 1:
        raise ValueError(f"purity = {purity} must be above chance, 1/{classes:g}, and not above 1")
    squared = float(norm_squared(score, m, start, (first / delta) ** 2, 1.0, eta_s, eta_v)) * delta**2
    names, rate = theorem.numeric(one_margin(), "rate_w")
    fixed = {"delta": delta, "f": share, "K": classes, "purity": purity, "eta_v": eta_v}

    def velocity(margin: float) -> float:
        y = math.exp(float(score_of_margin(margin, m, delta, start, first, eta_s, eta_v))) / m
        values = {**fixed, "w": margin, "y": y}
        return float(rate(*(values[name] for name in names)))

    reached = math.sqrt(squared) if squared >= 0 else -math.inf
    if reached < first or velocity(reached) <= 0:
        return math.inf
    return float(quad(lambda margin: 1 / velocity(margin), first, reached, epsabs=0, epsrel=1e-10, limit=500)[0])


def keys_fixed_loss(
    tau: ArrayLike,
    m: ArrayLike,
    delta: ArrayLike,
    share: ArrayLike = 1.0,
    classes: ArrayLike = 2,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The loss on a topic word's sentences where scores do not move: theorem topic-keys-fixed.

    Parameters
    ----------
    tau : array_like
        Time; all arguments are broadcast.
    m, delta, share, classes, start, first, eta_v : array_like
        As for :func:`time_to_score`.

    Examples
    --------
    >>> keys_fixed_loss([0, 100, 10000], m=4, delta=1.0).round(3)
    array([0.693, 0.24 , 0.003])
    """
    import numpy as np
    from scipy.special import wrightomega

    alpha = np.exp(start) / (np.exp(start) + np.asarray(m))
    z = evaluated(
        "topic-keys-fixed",
        "z",
        tau=tau,
        alpha=alpha,
        x_0=alpha * np.asarray(first),
        K=classes,
        f=share,
        delta=delta,
        eta_v=eta_v,
    )
    return np.log1p(1 / wrightomega(z))


def embeddings_fixed_time(
    score: ArrayLike,
    m: ArrayLike,
    margin: ArrayLike,
    share: ArrayLike = 1.0,
    classes: ArrayLike = 2,
    start: ArrayLike = 0.0,
    eta_s: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The time tau until a topic word has a score where embeddings do not move: theorem topic-embeddings-fixed.

    Parameters
    ----------
    score, m, share, classes, start, eta_s : array_like
        As for :func:`time_to_score`; all arguments are broadcast.
    margin : array_like
        w of the fixed embedding, not 0.

    Returns
    -------
    ndarray
        Infinite for scores on the side that the word moves away from.

    Examples
    --------
    >>> embeddings_fixed_time([1, -1, 3], m=4, margin=[2, 2, -2]).round(3)
    array([6.923,   inf,   inf])
    """
    import numpy as np

    margin = np.asarray(margin, dtype=float)
    now, then = (
        evaluated("topic-embeddings-fixed", "clock", alpha=np.exp(x) / (np.exp(x) + np.asarray(m)), w=margin, K=classes)
        for x in (start, score)
    )
    found = (then - now) / (np.asarray(share, dtype=float) * np.asarray(eta_s, dtype=float) * margin)
    return np.where(found >= 0, found, np.inf)
