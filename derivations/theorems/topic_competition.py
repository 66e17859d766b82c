"""Topic words together: two that compete in one sentence, and several that share one trained query.

Each theorem is derived by sympy from the flow of the topic classifier (:func:`derivations.reductions.topic_words`),
written out on the few words and sentences that it is about (:mod:`derivations.theorems.few_words`). The words and ``m``
are those of :mod:`derivations.theorems.score_and_norm`, the margins those of :mod:`derivations.theorems.topic_margin`.
"""

from __future__ import annotations

from sympy import Expr, Matrix, S, Symbol, asinh, exp, solve, sqrt, symbols

from derivations.models import topic_classifier
from derivations.models.symbols import LU
from derivations.program.language import scalars
from derivations.registry import theorem
from derivations.theorems.few_words import (
    column,
    entry,
    eta_key,
    eta_query,
    eta_s,
    eta_v,
    matrix,
    of_any_loss,
    of_linear,
    sentences,
    vector,
    written_out,
)
from derivations.theorems.score_and_norm import MEANINGS, m, s
from derivations.theorems.theorem import Step, Theorem
from derivations.theorems.topic_margin import delta, tau

__all__ = ["competition", "trained_query"]

kappa, q_0, T = scalars("kappa q_0 T", positive=True)


@theorem(
    "topic-query",
    "Keys and query trained: what is conserved, and how the identity breaks",
    about=("topic-words-FC-keys", "topic-FC-keys"),
)
def trained_query() -> Theorem:
    """What is conserved, and what becomes of the identity."""
    keyed = topic_classifier("FC", keys=True)
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


@theorem("topic-competition", "Two topic words in one sentence", about=("topic-words-FC", "topic-FC"))
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
