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
    Rational,
    S,
    Subs,
    Symbol,
    asinh,
    cos,
    exp,
    eye,
    limit,
    log,
    ones,
    oo,
    sin,
    solve,
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
m, k, K, f, y, y_0, delta, tau, alpha, p, epsilon, purity = scalars(
    "m k K f y y_0 delta tau alpha p epsilon purity", positive=True
)
eta_s, eta_v, eta_key, eta_query = scalars("eta_s eta_v eta_key eta_query", positive=True)
kappa, q, q_0, T = scalars("kappa q q_0 T", positive=True)
"""delta: length of (the column of the label less the mean of the others); f: share of sentences that hold the word."""

OTHERS = "the other words of its sentences are at rest, with the same sum `m = sum_j exp(s_j)` over them"
ALONE = (
    "one topic word, k times in each of its sentences",
    f"{OTHERS} and the same mean embedding `c`, weighted by `exp(s_j)`",
)
LINEAR = (
    "one topic word, once in each of its sentences",
    f"{OTHERS} and mean embedding 0",
    "the classifier U is fixed and linear (FC): `u_y` is its column for the word's label, `u_mean` the mean of the "
    "others",
    "two classes; or K classes with a U that is symmetric in those that are not the word's: their columns have the "
    "same product with `u_y - u_mean` and with the first embedding",
)
OF_OTHERS = "what the motion of the other words adds, which goes with their share of the sentences"
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "m": "sum of `exp(s_j)` over the other words of a sentence: their number, if their scores are 0",
        "s": "score of the topic word",
        "alpha": "attention to the topic word",
        "w": "margin: `v . (u_y - u_mean)`",
        "delta": "length of `u_y - u_mean`",
        "f": "share of the sentences that hold the topic word",
        "K": "number of classes",
        "tau": "time: learning rate times steps",
    }
)
"""What symbols of several theorems here stand for."""
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
    own, first = entry("s", 0), Symbol("first", positive=True)
    vdot, sdot = column(found, "vdot", 0), found[entry("sdot", 0)]
    of_loss = Function("F")(*column(found, "r", 0))
    gradient = Matrix([-of_loss.diff(state) for state in (*vector("v", 0), own)]).replace(
        lambda e: isinstance(e, Subs), lambda e: -vector("G", 0)[e.expr.expr.args.index(e.variables[0])]
    )
    # The others by their sum m (`first` of it the first one) and their mean c; coordinates by number; the score of the
    # word by its attention.
    v, G, c = (Matrix(scalars(f"{name}_1 {name}_2")) for name in "vGc")
    named = {m_1: first * exp(-entry("s", 1)), m_2: (m - first) * exp(-entry("s", 2))}
    for d in range(2):
        named |= {entry("v", 0, d): v[d], entry("G", 0, d): G[d]}
        named[entry("v", 2, d)] = (m * c[d] - first * entry("v", 1, d)) / (m - first)
    by_attention = named | {own: log(m * alpha / (k * (1 - alpha)))}
    moved = Matrix([*alpha * G, alpha * (1 - alpha) * G.dot(v - c)])
    ratio = 2 * Matrix(v - c).dot(vdot.xreplace(named)) / sdot.xreplace(named)
    grown = radius_2 + 2 * eta_v / eta_s * (s - s_0 + k / m * (exp(s) - exp(s_0)))
    return Theorem(
        name="sen",
        title="Score and embedding norm",
        source=LU,
        hypotheses=(*ALONE, "any loss of the contexts: any classifier, trained or not, and any labels"),
        statement=(
            "Let alpha be the attention to all k places of the word, `r = alpha v + (1 - alpha) c` the context of its "
            "sentences, and G minus the gradient of the loss by r. The embedding v moves by alpha G, the score s by "
            "`alpha (1 - alpha) G . (v - c)`. So G drops out of their ratio: `||v - c||^2` is a function of the score "
            "alone, through all of training. This function is `norm_2`; it starts at `radius_2`."
        ),
        results={norm_2: grown},
        steps=(
            Step(
                "a sentence of the word, k times, and of two others with mean c, in two dimensions; minus the gradient "
                "of any function `F(r)` of its context, of which that by r is -G",
                gradient.xreplace(by_attention),
                moved,
                ("-dF/dv_1", "-dF/dv_2", "-dF/ds"),
            ),
            Step(
                "the flow of the classifier moves along it",
                Matrix([*vdot, sdot]).xreplace(by_attention),
                Matrix([*eta_v * moved[:2, :], eta_s * moved[2]]),
                ("dv_1/dtau", "dv_2/dtau", "ds/dtau"),
            ),
            Step(
                "separated: G drops out of the ratio of both velocities",
                ratio.xreplace({own: s}),
                2 * eta_v / eta_s * (1 + k * exp(s) / m),
                "d||v - c||^2/ds",
            ),
            Step(
                "integrated over s, as `norm_2` has the same derivative",
                grown.diff(s),
                2 * eta_v / eta_s * (1 + k * exp(s) / m),
                "d norm_2/ds",
            ),
            Step("and it starts where it should, at `s = s_0`", grown.subs(s, s_0), radius_2, "norm_2"),
            Step(
                "with one place in a sentence, from a score of zero and an embedding at the mean of the others",
                eta_s / eta_v * grown.subs({radius_2: 0, s_0: 0, k: 1}),
                2 * (s + (exp(s) - 1) / m),
                "(eta_s/eta_v) norm_2",
            ),
        ),
        limits=(
            f"{OF_OTHERS}; sentences that differ in m or k, and several topic words in a sentence, are treated in "
            "sen-company"
        ),
        meanings={
            **MEANINGS,
            "k": "how often the topic word stands in each of its sentences",
            "s_0": "first score",
            "radius_2": "first value of `||v - c||^2`",
        },
    )


@cache
def company() -> Theorem:
    """Sentences of several lengths, and several topic words in one."""
    m_1, m_2 = ms = symbols("m_1 m_2", positive=True)
    G_1, G_2, a_1, a_2, m_i = scalars("pull_1 pull_2 alpha_1 alpha_2 m_eff")
    at_rest = {entry("s", 1): S.Zero, entry("v", 1, 0): S.Zero, entry("v", 1, 1): S.Zero}
    found = of_any_loss(sentences([{0: 1, 1: m_1}, {0: 1, 1: m_2}], {0}, V=2, D=2) | at_rest, kinds=2)
    v, own = vector("v", 0), entry("s", 0)
    pulls = {entry("G", n, 1): (P - entry("G", n, 0) * v[0]) / v[1] for n, P in enumerate((G_1, G_2))}
    outwards, upwards = v.dot(column(found, "vdot", 0)).xreplace(pulls), found[entry("sdot", 0)].xreplace(pulls)
    surplus = eta_s * outwards - eta_v * (1 + exp(own) / m) * upwards
    alone = [surplus.xreplace({P: S.Zero}) for P in (G_2, G_1)]
    by_attention = [{own: log(each * a / (1 - a))} for each, a in zip(ms, (a_1, a_2), strict=True)]
    effective = (m_1 * a_1**2 * G_1 + m_2 * a_2**2 * G_2) / (a_1**2 * G_1 + a_2**2 * G_2)
    here = effective.subs({a: exp(own) / (exp(own) + each) for a, each in zip((a_1, a_2), ms, strict=True)})
    (other_pull,) = solve(here - m_i, G_2)
    ratio = (2 * outwards / upwards).xreplace({G_2: other_pull}).xreplace({own: s})

    together = of_any_loss(sentences([{0: 1, 1: 1, 2: m}], {0, 1, 2}, V=3, D=2))
    context = column(together, "r", 0)
    slopes = [together[entry("sdot", i)] for i in range(3)]
    alike = {entry("v", 1, d): v[d] for d in range(2)} | {entry("s", 1): own}
    alike |= {entry("s", 2): S.Zero, entry("v", 2, 0): S.Zero, entry("v", 2, 1): S.Zero}
    twins = {name: value.xreplace(alike) for name, value in together.items()}
    twice = 2 * v.dot(column(twins, "vdot", 0)) / twins[entry("sdot", 0)]
    return Theorem(
        name="sen-company",
        title="Score and embedding norm: sentences that differ, and topic words together",
        source=LU,
        hypotheses=(
            "any loss of the contexts; alpha, r and G are those of theorem sen, by kinds of sentences",
            "each topic word once in a sentence; words at rest have embedding 0 and score 0, and there are m of them",
        ),
        statement=(
            "In sentences of several m the identity of theorem sen holds from moment to moment, with `m_eff`: the mean "
            "of m that has the weights `alpha^2 G . v` (a word that stands k times counts as one beside m/k others). "
            "Early, when alpha is about 1/m, short sentences count more; "
            "late, when it is 1, they count as they pull. If all pull outwards, `||v||^2` lies between the identities "
            "of the smallest and of the largest m. Beside other topic words only a differential form is left, with the "
            "context r for the others' part: `eta_v ds = eta_s (v - r) . dv`. Words that move alike in the same "
            "sentences are one word that stands k times. No word gains score but at the cost of others: the velocities "
            "that a sentence gives to the scores of its words sum to zero."
        ),
        results={m_i: effective},
        steps=(
            Step(
                "two kinds of sentences, of the word and of `m_1` or `m_2` words at rest, in two dimensions; the "
                "identity with any m leaves over `Delta = eta_s v . dv/dtau - eta_v (1 + exp(s)/m) ds/dtau`, the sum "
                "of a part from each kind",
                Matrix([part.xreplace(put) for part, put in zip(alone, by_attention, strict=True)]).col_join(
                    Matrix([surplus - sum(alone)])
                ),
                Matrix(
                    [
                        *(
                            eta_s * eta_v * a**2 * P * (1 - each / m)
                            for a, P, each in ((a_1, G_1, m_1), (a_2, G_2, m_2))
                        ),
                        0,
                    ]
                ),
                ("Delta_1", "Delta_2", "Delta - Delta_1 - Delta_2"),
            ),
            Step(
                "so `m = m_eff` leaves nothing over, and the identity holds with it at every moment",
                ratio,
                2 * eta_v / eta_s * (1 + exp(s) / m_i),
                "d||v||^2/ds",
            ),
            Step(
                "a sentence of two topic words, 1 and 2, and of another word that stands m times, all of which move; "
                "the differential form for word 1",
                eta_s * (v - context).dot(column(together, "vdot", 0)) / slopes[0],
                eta_v,
                "eta_s (v_1 - r) . dv_1/ds_1",
            ),
            Step(
                "in the same sentence, the scores sum to a constant",
                sum(slopes),
                S.Zero,
                "ds_1/dtau + ds_2/dtau + ds_3/dtau",
            ),
            Step(
                "in the same sentence, where words 1 and 2 move alike and the other one is at rest, the identity of "
                "one word that stands twice",
                twice.xreplace({own: s}),
                2 * eta_v / eta_s * (1 + 2 * exp(s) / m),
                "d||v||^2/ds",
            ),
        ),
        limits=(
            "what the motion of the words that are taken to rest adds; with several m there is no formula in the "
            "score alone"
        ),
        meanings={
            **MEANINGS,
            **{f"m_{n}": f"number of words at rest in a sentence of kind {n}" for n in (1, 2)},
            **{f"alpha_{n}": f"attention to the word in sentences of kind {n}" for n in (1, 2)},
            **{f"pull_{n}": f"`G_{n} . v`: how sentences of kind {n} pull the word outwards" for n in (1, 2)},
        },
    )


# -- a fixed linear classifier ----------------------------------------------------------------------------------------


@cache
def span() -> Theorem:
    """Where embeddings go with a fixed linear classifier."""
    U, size = matrix("U", 3, 2), {"V": 2, "D": 3, "K": 2}
    given = sentences([{0: 1, 1: 1}], {0, 1}, [0], **size)
    found = of_any_loss(given, given="zbar")
    vdot = column(found, "vdot", 0, size=3)
    logits = {entry("W", i, c): vector("v", i, size=3).dot(U[:, c]) for i in range(2) for c in range(2)}
    rates = {Symbol("eta_W", real=True): eta_v}
    spanned = of_any_loss(given | rates, given="zbar", flow=topic.in_span())
    Wdot, sdot = column(spanned, "Wdot", 0), spanned[entry("sdot", 0)]
    cross_entropy = of_linear(given, [S.One])
    moved = Matrix(symbols("a_1:3", real=True))
    metric = U.T * U
    # Coordinates and classes by number from 1; the score of the word by its attention.
    G = Matrix(scalars("G_1 G_2"))
    named = {U[d, c]: entry("U", d + 1, c + 1) for d in range(3) for c in range(2)}
    named |= {entry("G", 0, c): G[c] for c in range(2)}
    named |= {entry("W", i, c): entry("W", i + 1, c + 1) for i in range(2) for c in range(2)}
    named[entry("s", 0)] = entry("s", 1) + log(alpha / (1 - alpha))
    U_named, pull = U.xreplace(named), alpha * G
    apart = vector("W", 0) - vector("W", 1)
    return Theorem(
        name="topic-span",
        title="A fixed linear classifier: embeddings move in the span of its columns",
        source=LU,
        hypotheses=("classifier FC: U is fixed, and the logits of a sentence are its context times U", "any sentences"),
        statement=(
            "Let G be minus the gradient of the loss by the logits of a sentence. A sentence moves the embedding v of "
            "a word, to which it attends with alpha, by a combination of the columns of U, `alpha U G`; and what v "
            "does to the loss goes through the logits `W = v U`. So s and W are a closed flow: that of the keyword "
            "classifier, with the metric `U^T U`. The "
            "embedding is `v_0 + (W - W_0) U^+`, with the pseudoinverse of U. For the cross-entropy the combination "
            "sums to zero: K - 1 coordinates of each word, and its score, are all that moves. For a word as in theorem "
            "sen the score is a function of the embedding, so that K - 1 coordinates are all."
        ),
        results={},
        steps=(
            Step(
                "in a sentence of two words, with three dimensions, two classes and any loss of the logits, the first "
                "word moves in the span of the columns",
                vdot.xreplace(named),
                eta_v * U_named * pull,
                ("dv_1/dtau",),
            ),
            Step(
                "and not along n, which is orthogonal to both columns",
                U[:, 0].cross(U[:, 1]).dot(vdot),
                S.Zero,
                "n . dv/dtau",
            ),
            Step(
                "the keyword classifier with the metric `U^T U`, of the same sentence, where W are the logits of the "
                "first word",
                Wdot.xreplace(named),
                eta_v * metric.xreplace(named) * pull,
                ("dW_1/dtau",),
            ),
            Step(
                "in the same flow, the score of the first word, whose logits are `W[1,c]`; those of the second are "
                "`W[2,c]`",
                sdot.xreplace(named),
                (eta_s * alpha * (1 - alpha) * G.dot(apart)).xreplace(named),
                "ds/dtau",
            ),
            Step(
                "the embeddings, seen through `W = v U`, have the same flow; the difference of both, in W and in s, is",
                Matrix([*(U.T * vdot - Wdot), found[entry("sdot", 0)] - sdot.xreplace(logits)]),
                Matrix.zeros(3, 1),
                ("Delta(dW_1/dtau)", "Delta(dW_2/dtau)", "Delta(ds/dtau)"),
            ),
            Step(
                "for the cross-entropy, G is the label less the prediction, and sums to zero",
                -sum(column(cross_entropy, "zbar", 0)),
                S.Zero,
                "G_1 + G_2",
            ),
            Step(
                "back to the embedding `v = v_0 + U a`, which the pseudoinverse gives from the logits if the columns "
                "are independent",
                (U * metric.inv() * (U.T * (U * moved))).xreplace(named),
                U_named * moved,
                ("[(W - W_0) U^+]_1",),
            ),
        ),
        limits="exact",
        meanings={
            **MEANINGS,
            "alpha": "attention to the word",
            **{f"a_{c}": f"coefficient of column {c} of U in `v - v_0`" for c in (1, 2)},
            **{f"G_{c}": f"minus the derivative of the loss by logit {c}" for c in (1, 2)},
        },
    )


@cache
def one_margin() -> Theorem:
    """A topic word in one number."""
    share, own = y / (1 + y), entry("s", 0)
    rest_at_zero = {entry("s", 1): S.Zero, **{entry("v", 1, d): S.Zero for d in range(3)}}
    labels = [purity * f, (1 - purity) * f / (K - 1)]

    def flow(U: Matrix, v: Matrix) -> Matrix:
        """The velocities of the margin and of the score, and the loss, of a word in sentences of every label."""
        dimension, classes = U.shape
        given = sentences([{0: 1, 1: m}] * classes, {0}, range(classes), V=2, D=dimension, K=classes)
        given |= rest_at_zero | {entry("U", d, c): U[d, c] for d in range(dimension) for c in range(classes)}
        given |= {entry("v", 0, d): v[d] for d in range(dimension)}
        found = of_linear(given, [x.subs(K, classes) for x in (labels[0], *[labels[1]] * (classes - 1))])
        direction = U[:, 0] - U[:, 1:] * ones(classes - 1, 1) / (classes - 1)
        moved = column(found, "vdot", 0, size=dimension).dot(direction), found[entry("sdot", 0)], found[loss] / f
        return Matrix(moved).xreplace({exp(own) + m: m / (1 - alpha), own: log(m * alpha / (1 - alpha))})

    p_of = 1 / (1 + (K - 1) * exp(-alpha * w))
    rate_w_of = PER_TIME * alpha * (purity - p)
    rate_s_of = f * eta_s * alpha * (1 - alpha) * w * (purity - p)
    loss_of = -purity * log(p) - (1 - purity) * log((1 - p) / (K - 1))
    expected = Matrix([rate_w_of, rate_s_of, loss_of])
    z_of = log(y_0) + y_0 + eta_s / eta_v * (w**2 - w_0**2) / (2 * delta**2)
    # Any two columns, with delta at an angle, and any embedding: w along delta, q across.
    angle, q_1, q_2, u_1, u_2 = scalars("angle q_1 q_2 u_1 u_2")
    along, across = Matrix([cos(angle), sin(angle)]), Matrix([-sin(angle), cos(angle)])
    last = Matrix([u_1, u_2])
    two = flow(Matrix.hstack(last + delta * along, last), w / delta * along + q_1 * across)
    a, b = delta * sqrt(Rational(2, 3)), Symbol("b", real=True)
    three = flow(a * eye(3) + b * ones(3, 3), Matrix([q_2 + w / a, q_2, q_2]))
    pull = [purity - p, (p - purity) / (K - 1)]
    u_y, u_mean = scalars("u_y u_mean")
    followed = (y + log(y)).diff(y) * y * rate_s_of
    return Theorem(
        name="topic-margin",
        title="A topic word with a fixed linear classifier: one number",
        source=LU,
        hypotheses=(*LINEAR, "a share f of all sentences holds the word, of which the share `purity` has its label"),
        statement=(
            "The embedding moves along `u_y - u_mean`, so that its margin `w = v . (u_y - u_mean)` is all there is. "
            "With alpha the attention to the word and p the probability of its label, w moves at the rate `rate_w` to "
            "where p equals `purity`: there `alpha w` is `rest`. The score moves at `rate_s`, and follows w by "
            "theorem sen: `y = exp(s)/m` solves `y + log(y) = z` (y is the Wright omega function of z). The mean loss "
            "of the word's sentences is `loss`. Time is the integral of `1/rate_w` over w: a quadrature, as p has "
            "`alpha w` in its exponent, and alpha depends on w through y."
        ),
        results={
            z: z_of,
            alpha: share,
            p: p_of,
            rate_w: rate_w_of,
            rate_s: rate_s_of,
            loss: loss_of,
            rest: log(purity * (K - 1) / (1 - purity)),
        },
        steps=(
            Step(
                "two classes and any U, in two dimensions; the margin, the score and the loss",
                two,
                expected.subs({p: p_of}).subs(K, 2),
                ("dw/dtau", "ds/dtau", "loss"),
            ),
            Step(
                "three symmetric classes, in three dimensions; the same with `K = 3`",
                three,
                expected.subs({p: p_of}).subs(K, 3),
                ("dw/dtau", "ds/dtau", "loss"),
            ),
            Step(
                "with K symmetric classes, the embedding is pulled along `u_y` with `purity - p`, and along the column "
                "of "
                "each of the others, which have the mean `u_mean`, with `(p - purity)/(K - 1)`",
                pull[0] * u_y + (K - 1) * pull[1] * u_mean,
                pull[0] * (u_y - u_mean),
                "sum_c G_c u_c",
            ),
            Step(
                "the score follows by the identity, as `y + log(y)` moves as z does",
                Matrix([followed.subs(y, alpha / (1 - alpha)), z_of.diff(w) * rate_w_of]),
                ones(2, 1) * f * eta_s * alpha * w * (purity - p),
                ("d(y + log(y))/dtau", "dz/dtau"),
            ),
            Step(
                "the margin stops where `alpha w` is `rest`, as there the prediction is right",
                p_of.subs(w, log(purity * (K - 1) / (1 - purity)) / alpha),
                purity,
                "p",
            ),
        ),
        limits=OF_OTHERS,
        meanings={
            **MEANINGS,
            "purity": "share of the word's sentences that have its label",
            "w_0": "first margin",
            "y": "`exp(s)/m`, from `y + log(y) = z`",
            "y_0": "first `exp(s)/m`",
        },
    )


@cache
def convergence() -> Theorem:
    """Loss and attention at late times."""
    of_margin = one_margin().results
    share = y / (1 + y)
    square = 2 * eta_v * delta**2 / eta_s * (y + log(y) + A)
    # The constant of the identity, from the start: it takes the place of the first margin.
    first = 2 * eta_v * delta**2 / eta_s * (A + y_0 + log(y_0))
    (by_identity,) = solve(of_margin[z].subs(w**2, excess).subs(w_0**2, first) - y - log(y), excess)
    path = {p: 1 / (1 + epsilon), purity: 1}
    velocity = of_margin[rate_w].subs(path)
    follows = share + 2 * w**2 * share.diff(y) / square.diff(y)
    followed = alpha + eta_s * w**2 * alpha * (1 - alpha) ** 2 / (eta_v * delta**2)
    turned = followed.subs({w**2: square, alpha: share}, simultaneous=True)
    reached = log((K - 1) * PER_TIME * tau)
    return Theorem(
        name="topic-convergence",
        title="A topic word with a fixed linear classifier: the end of training",
        source=LU,
        hypotheses=(*LINEAR, "all of the word's sentences have its label: `purity = 1`"),
        statement=(
            "The margin `w = v . (u_y - u_mean)` grows for ever: its velocity is positive and falls to zero only where "
            "the prediction is right. It grows like `margin`, the logarithm of time. So the loss of the word's "
            "sentences goes to 0, like `loss`, and the attention alpha to 1, but slowly: `late = 1 - alpha` falls like "
            "one over the squared logarithm of time, and the score grows like `score`, twice the logarithm of the "
            "logarithm of time. The sum over words of f times the loss, what training sees, is the same for rare and "
            "for frequent words. With `epsilon = (K - 1) exp(-alpha w)`, `1/epsilon + log(1/epsilon)` grows by "
            "`f eta_v delta^2 (1 + excess)` per unit of time."
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
                "the margin, by theorem topic-margin, where `p = 1/(1 + epsilon)` with "
                "`epsilon = (K - 1) exp(-alpha w)`",
                velocity,
                PER_TIME * alpha * epsilon / (1 + epsilon),
                "dw/dtau",
            ),
            Step(
                "by the identity of theorem topic-margin, with the first margin in the constant A",
                by_identity,
                square,
                "w^2",
            ),
            Step(
                "with this, `alpha w` follows w, as `d(alpha w)/dw = alpha + w dalpha/dw`",
                follows.subs(y, alpha / (1 - alpha)),
                followed,
                "d(alpha w)/dw",
            ),
            Step(
                "the loss of an example goes like epsilon, as this goes to 0",
                limit(of_margin[loss].subs({p: path[p], purity: 1}) / epsilon, epsilon, 0, "+"),
                S.One,
                "lim (loss/epsilon)",
            ),
            Step(
                "in the end, where epsilon goes to 0 and then y to infinity, 1/epsilon grows evenly",
                limit(limit(turned * velocity.subs(alpha, share) / epsilon, epsilon, 0), y, oo),
                PER_TIME,
                "lim (d(1/epsilon)/dtau)",
            ),
            Step(
                "what grows still more evenly, at any epsilon",
                (1 + 1 / epsilon) * followed * velocity,
                PER_TIME * alpha**2 * (1 + eta_s * w**2 * (1 - alpha) ** 2 / (eta_v * delta**2)),
                "d(1/epsilon + log(1/epsilon))/dtau",
            ),
            Step(
                "this is `f eta_v delta^2 (1 + excess)`, and `excess` has, as y grows, the limit",
                limit(
                    y**2 * (((1 + 1 / epsilon) * turned * velocity.subs(alpha, share) / PER_TIME).simplify() - 1)
                    - 2 * log(y),
                    y,
                    oo,
                ),
                2 * A - 5,
                "lim (y^2 excess - 2 log(y))",
            ),
            Step(
                "attention goes to 1, and as one over the squared margin",
                Matrix([limit(share, y, oo), limit((1 - share) * square, y, oo)]),
                Matrix([1, 2 * eta_v * delta**2 / eta_s]),
                ("lim (alpha)", "lim ((1 - alpha) w^2)"),
            ),
            Step(
                "so `alpha w`, which is `log((K - 1)/epsilon)`, comes to w itself, and y, from which the score is, to "
                "its square",
                Matrix([limit((1 - share) * sqrt(square), y, oo), limit(y / square, y, oo)]),
                Matrix([0, eta_s / (2 * eta_v * delta**2)]),
                ("lim (w - alpha w)", "lim (y/w^2)"),
            ),
        ),
        limits=(
            "leading order in time: the loss is off by a share `excess`, which falls about like the fourth power of "
            "`1/log(tau)`; `late` is off by a share of the order of `log(y)/y`, and `score` by as much in absolute "
            "terms, which falls about like the square of `1/log(tau)`"
        ),
        meanings={
            **MEANINGS,
            "y": "`exp(s)/m`",
            "A": "`eta_s w^2/(2 eta_v delta^2) - y - log(y)`, which stays as it was at the start",
        },
    )


@cache
def keys_fixed() -> Theorem:
    """No attention is learnt."""
    rates = one_margin().results
    velocity = (alpha * rates[rate_w].subs({purity: 1, p: rates[p]})).subs(w, log((K - 1) * y) / alpha)
    z_of = x_0 - log(K - 1) + exp(x_0) / (K - 1) + PER_TIME * alpha**2 * tau
    return Theorem(
        name="topic-keys-fixed",
        title="A topic word with a fixed linear classifier: scores fixed",
        source=LU,
        hypotheses=(*LINEAR, "all of the word's sentences have its label", "scores do not move: `eta_s = 0`"),
        statement=(
            "With alpha fixed the margin in a sentence, `x = alpha w`, has a closed form: `y = exp(x)/(K - 1)` is the "
            "Wright omega function of z, which is the solution of `y + log(y) = z`, and z grows evenly. The loss of "
            "the word's sentences falls like `1/(f eta_v delta^2 alpha^2 tau)`: later by a factor of `1/alpha^2`, "
            "which is `(1 + m)^2` from scores of zero, than where attention is learnt."
        ),
        results={z: z_of, loss: log(1 + 1 / y)},
        steps=(
            Step(
                "the margin in a sentence, by theorem topic-margin, in `y = exp(x)/(K - 1)`",
                velocity,
                PER_TIME * alpha**2 / (1 + y),
                "dx/dtau",
            ),
            Step(
                "so y moves at `y dx/dtau`, and",
                (y + log(y)).diff(y) * y * velocity,
                PER_TIME * alpha**2,
                "d(y + log(y))/dtau",
            ),
            Step("and z does the same", z_of.diff(tau), PER_TIME * alpha**2, "dz/dtau"),
            Step(
                "they start alike, as at `tau = 0`, with `y_0 = exp(x_0)/(K - 1)`, the first y",
                z_of.subs(tau, 0).subs(x_0, log((K - 1) * y_0)),
                y_0 + log(y_0),
                "z",
            ),
            Step(
                "the loss, by theorem topic-margin, is the logarithm of",
                exp(rates[loss].subs(purity, 1).subs(p, rates[p]).subs(w, log((K - 1) * y) / alpha)),
                1 + 1 / y,
                "exp(loss)",
            ),
        ),
        limits=OF_OTHERS,
        meanings={**MEANINGS, "x_0": "first margin in a sentence, `alpha w`", "y": "the solution of `y + log(y) = z`"},
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
        hypotheses=(*LINEAR, "all of the word's sentences have its label", "embeddings do not move: `eta_v = 0`"),
        statement=(
            "The attention alpha moves alone: to 1 if the embedding is on the right side (w > 0), and else to 0. Time "
            "is a closed form in alpha, with exponential integrals: `clock` is a function of alpha that grows by "
            "`f eta_s w tau`. With w > 0 the loss of the word's sentences stops at `floor`, where attention is 1, and "
            "`1 - alpha` falls like `late`, one over time."
        ),
        results={
            Symbol("clock", real=True): clock.subs(a, w),
            floor: log(1 + (K - 1) * exp(-w)),
            late: (1 + exp(w) / (K - 1)) / (f * eta_s * w * tau),
        },
        steps=(
            Step(
                "the score moves as in theorem topic-margin, and attention by `alpha (1 - alpha)` times as much",
                velocity,
                f * eta_s * a * alpha**2 * over**2 / (1 + exp(a * alpha) / (K - 1)),
                "dalpha/dtau",
            ),
            Step("so the clock runs evenly", clock.diff(alpha) * velocity, f * eta_s * a, "d clock/dtau"),
            Step(
                "where attention is 1 the loss is `floor`, the logarithm of",
                exp(rates[loss].subs(purity, 1).subs(p, rates[p]).subs(alpha, 1)),
                1 + (K - 1) * exp(-w),
                "exp(loss)",
            ),
            Step(
                "where alpha has come to 1, `1/(1 - alpha)` grows evenly, and `1/late` as much",
                (velocity / over**2).subs(alpha, 1),
                f * eta_s * a / (1 + exp(a) / (K - 1)),
                "d(1/(1 - alpha))/dtau",
            ),
        ),
        limits=OF_OTHERS,
        meanings={**MEANINGS, "w": "margin of the fixed embedding: `v . (u_y - u_mean)`"},
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
    keys, query = matrix("key", 3, 2), vector("query")
    kdot = Matrix.vstack(*(column(found, "keydot", i).T for i in range(3)))
    qdot = column(found, "querydot")
    scores_dot = kdot * query + keys * qdot
    # Words and coordinates by number from 1; the length of the query, and what its motion does to a score.
    sdot, square, q_2, cross = scalars("sdot square q_2 cross")
    G = Matrix(scalars("G_1 G_2 G_3"))
    of_pulls = {entry("G", i): G[i] for i in range(3)}

    def with_cross(i: int) -> Expr:
        """The velocity of a score, with ``square`` and ``cross`` in the place of two coordinates."""
        (other,) = solve(eta_query * (keys * keys.T * G)[i] - cross, entry("key", (i + 1) % 3, 0))
        of_query = {query[1]: sqrt(square - query[0] ** 2)}
        return scores_dot[i].xreplace(of_pulls).xreplace({entry("key", (i + 1) % 3, 0): other}).xreplace(of_query)

    own = entry("s", 0)
    alone = of_any_loss(sentences([{0: 1, 1: m}], {0}, V=2, D=2) | {
        entry("s", 1): S.Zero, entry("v", 1, 0): S.Zero, entry("v", 1, 1): S.Zero
    })  # fmt: skip
    pull_of_score = alone[entry("sdot", 0)] / eta_s
    outwards = 2 * vector("v", 0).dot(column(alone, "vdot", 0))
    (of_context,) = solve(eta_key * square * pull_of_score + cross - sdot, entry("G", 0, 0))
    line = scalars("kappa_1 kappa_2 kappa_3")
    direction = vector("n")
    on_line = {entry("key", i, e): line[i] * direction[e] for i in range(3) for e in range(2)}
    on_line |= {query[e]: sqrt(q_2) * direction[e] for e in range(2)}
    unit = {direction[0]: sqrt(1 - direction[1] ** 2)}
    alike = dict.fromkeys((entry("G", i) for i in range(3)), G[0]) | dict.fromkeys(line, kappa)
    along = direction.T * kdot.xreplace(on_line).T
    lengthened = 2 * query.dot(qdot).xreplace(on_line) / along[0]
    renamed = of_pulls | {direction[e]: entry("n", e + 1) for e in range(2)}
    length = q_0**2 + T * eta_query / eta_key * kappa**2
    first = asinh(sqrt(T * eta_query / eta_key) * kappa / q_0) / sqrt(T * eta_query / eta_key)
    rate_n_of = 2 * eta_v / (eta_key * square) * (1 + exp(s) / m) * (sdot - cross)
    rate_kappa_of = 2 * eta_v / eta_key * (1 + exp(kappa * sqrt(q_2)) / m) / sqrt(q_2)
    by_kappa = outwards / pull_of_score * G[0] / along[0].xreplace(of_pulls).xreplace(unit)
    return Theorem(
        name="topic-query",
        title="Keys and query trained: what is conserved, and how the identity breaks",
        source=LU,
        hypotheses=(
            "the keys `k_i` of all words and one query q are trained: the scores are `a_i = k_i . q`",
            "any classifier and any sentences for what is conserved; `G_i = -dloss/da_i`, the pull on a score",
            "for the norm, a topic word alone, once in each of its sentences, with score s; the others of its "
            "sentences rest with key 0 and embedding 0",
        ),
        statement=(
            "The matrix `sum_i k_i k_i^T/eta_key - q q^T/eta_query` does not move, nor does its trace. A score moves "
            "by its key, at the rate `square = ||q||^2` of the moment, and by the query, which adds "
            "`cross = eta_query sum_j G_j k_j . k_i`. So the identity of theorem sen holds as an integral over time, "
            "that of `rate_n`, the velocity of `||v||^2`; with the first `||q||^2` and without `cross` it does not "
            "hold. From zero keys, all keys and the query stay on the line of the first query, along its direction n: "
            "`k_i = kappa_i n`, `a_i = kappa_i ||q||`, and `||q||^2 = q_0^2 + (eta_query/eta_key) sum_i kappa_i^2`. "
            "For T words that move alike, with one kappa, this is `q_2`, and the change of `||v||^2` with kappa is "
            "explicit, `rate_kappa`: its first term integrates to an inverse hyperbolic sine, its second is a "
            "quadrature."
        ),
        results={Symbol("rate_n", real=True): rate_n_of, q_2: length, Symbol("rate_kappa", real=True): rate_kappa_of},
        steps=(
            Step(
                "for three words, with keys and query in two dimensions",
                (kdot.T * keys + keys.T * kdot) / eta_key - (qdot * query.T + query * qdot.T) / eta_query,
                Matrix.zeros(2, 2),
                "d(sum_i k_i k_i^T/eta_key - q q^T/eta_query)/dtau",
            ),
            Step(
                "for the same words, the scores move by their keys and by the query",
                Matrix([with_cross(i) for i in range(3)]),
                Matrix([eta_key * square * G[i] + cross for i in range(3)]),
                ("da_1/dtau",),
            ),
            Step(
                "for a topic word alone, beside m others, in two dimensions, with `G_1 = (ds/dtau - cross)/(eta_key "
                "square)` for the pull on its score",
                outwards.xreplace({entry("G", 0, 0): of_context}).xreplace({own: s}),
                rate_n_of,
                "d||v||^2/dtau",
            ),
            Step(
                "where the keys of the three words, and the query, are on a line along n, the keys move along it",
                kdot.xreplace(on_line).xreplace(renamed),
                (eta_key * sqrt(q_2) * G * direction.T).xreplace(renamed),
                ("kdot[1,1]",),
            ),
            Step(
                "and so does the query",
                qdot.xreplace(on_line).xreplace(renamed),
                (eta_query * G.dot(Matrix(line)) * direction).xreplace(renamed),
                ("qdot[1]",),
            ),
            Step(
                "so with `T = 3` words that move alike",
                lengthened.xreplace(alike).xreplace(unit),
                length.diff(kappa).subs(T, 3),
                "d||q||^2/dkappa",
            ),
            Step(
                "with T words `q_2` grows like this",
                length.diff(kappa),
                2 * T * eta_query * kappa / eta_key,
                "dq_2/dkappa",
            ),
            Step(
                "the norm, with the score `s = kappa ||q||`",
                by_kappa.xreplace({own: kappa * sqrt(q_2)}),
                rate_kappa_of,
                "d||v||^2/dkappa",
            ),
            Step(
                "the first term of `rate_kappa`, `1/sqrt(q_2)` but for a factor, integrated with "
                "`r = T eta_query/eta_key`",
                first.diff(kappa),
                1 / sqrt(length),
                "d(asinh(sqrt(r) kappa/q_0)/sqrt(r))/dkappa",
            ),
        ),
        limits="what the motion of the other words adds to the norm; what is conserved is conserved exactly",
        meanings={
            **MEANINGS,
            "T": "number of topic words that move alike",
            "cross": "velocity of the score that comes from the motion of the query",
            "square": "`||q||^2`, of the moment",
            "sdot": "velocity of the score of the topic word",
            "kappa": "key of a topic word along the first query",
            "q_0": "first `||q||`",
            "eta_key": "learning rate of the keys",
            "eta_query": "learning rate of the query",
        },
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
    columns = {entry("U", 0, 0): entry("U", 0, 1) + delta}
    Q = [
        f_own * (2 * p_own - 1) / (m + 1) + f_ab * (2 * p_ab - 1) / (m + 2)
        for f_own, p_own in ((f_a, p_a), (f_b, p_b))
    ]  # fmt: skip
    vdot = [found[entry("vdot", i, 0)].xreplace(origin) for i in range(2)]
    bend = sum(found[entry("sdot", 0)].xreplace(first).diff(v[i]).xreplace(origin) * vdot[i] for i in range(2))
    Q_a, Q_b, early, to_line = scalars("Q_a Q_b early balance")
    seen = f_a * (2 * p_a - 1) / (m + 1) ** 2 * Q_a + f_ab * (2 * p_ab - 1) / (m + 2) ** 2 * (Q_a + Q_b)
    signals = {Q_a: Q[0], Q_b: Q[1]}
    purities = {p_own: solve(of - Q_own, p_own)[0] for p_own, Q_own, of in ((p_a, Q_a, Q[0]), (p_b, Q_b, Q[1]))}
    early_of = eta_s * eta_v * delta**2 / 8 * tau**2 * (Q_a**2 - seen)
    margins = {w_a: x_a * (n_a + m) / n_a, w_b: x_b * (n_b + m) / n_b}
    together = ((n_a * w_a + n_b * w_b) / (n_a + n_b + m)).subs(margins)
    line = n_a * (x_ab - x_a) + n_b * (x_ab - x_b) - m * (x_a + x_b - x_ab)
    return Theorem(
        name="topic-competition",
        title="Two topic words in one sentence",
        source=LU,
        hypotheses=(
            "two classes; the classifier U is fixed and linear (FC), and delta is the length of the difference of its "
            "columns",
            "shares `f_a`, `f_b`, `f_ab` of all sentences hold the word `a` alone, the word `b` alone, and both, "
            "beside m others that are at rest with embedding 0 and score 0",
            "shares `p_a`, `p_b`, `p_ab` of these have the first label; `x_a`, `x_b`, `x_ab` are the log-odds, "
            "`log(p/(1 - p))`",
            "training starts from zero scores and embeddings",
        ),
        statement=(
            "At first the score of the word `a` grows like `early`, with the square of its signal `Q_a`, which is "
            "frequency times purity above chance; and so does that of `b`. A frequent word leads, though it may be "
            "less pure; its own part of the contexts takes off what is of order 1/m. In the end every kind of sentence "
            "wants its log-odds as its margin, and those with both words get a mean of both margins. With `n_a` and "
            "`n_b` for `exp(s_a)` and `exp(s_b)` this asks for `balance = 0`: a line of scores where training can "
            "stop. If common sentences show less than the mean of both log-odds, the less pure word ends with the "
            "higher score, at any frequencies; only if they show more can it be the purer one. If they are pure, and "
            "one of the words is, it is that word: the margin of the other is bounded."
        ),
        results={**signals, early: early_of, to_line: line},
        steps=(
            Step(
                "for all three kinds of sentences, with embeddings on the line of the difference of the columns, on "
                "which they start and stay; at the start the margins move by the signals",
                (delta * Matrix(vdot)).xreplace(columns).xreplace(purities),
                eta_v * delta**2 / 2 * Matrix([Q_a, Q_b]),
                ("dw_a/dtau", "dw_b/dtau"),
            ),
            Step(
                "there, the score of `a` bends as `early` does",
                bend.xreplace(columns) - early_of.subs(signals).diff(tau, 2),
                S.Zero,
                "d^2 s_a/dtau^2 - d^2 early/dtau^2",
            ),
            Step(
                "where both words alone have their log-odds, `alpha_a w_a = x_a` and `alpha_b w_b = x_b`, sentences "
                "with both have the margin",
                together.subs(x_a, solve(line - to_line, x_a)[0]),
                x_ab - to_line / (n_a + n_b + m),
                "x",
            ),
            Step(
                "where both scores are equal, `n_a = n_b`",
                line.subs({n_a: n_b}),
                n_b * (2 * x_ab - x_a - x_b) - m * (x_a + x_b - x_ab),
                "balance",
            ),
        ),
        limits=(
            "second order in time for `early`, and what the motion of the other words adds; `balance` tells where "
            "training can "
            "stop, and not where on that line it does"
        ),
        meanings={
            **MEANINGS,
            "delta": "length of the difference of both columns of U",
            "m": "number of other words in a sentence",
            **{f"f_{one}": f"share of the sentences with {which}" for one, which in WHICH.items()},
            **{f"p_{one}": f"share of the first label among sentences with {which}" for one, which in WHICH.items()},
            **{f"x_{one}": f"`log(p_{one}/(1 - p_{one}))`" for one in WHICH},
            **{f"n_{one}": f"`exp(s_{one})`" for one in "ab"},
        },
    )


WHICH = {"a": "`a` alone", "b": "`b` alone", "ab": "both words"}


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
