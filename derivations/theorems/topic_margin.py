"""One topic word with a fixed linear classifier: how its margin, its score and its loss move in time.

Each theorem is derived by sympy from the flow of the topic classifier (:func:`derivations.reductions.topic_words`),
written out on the few words and sentences that it is about (:mod:`derivations.theorems.few_words`). They are evaluated
on numbers in :mod:`dynamics.problems.closed_forms`.

The words and ``m`` are those of :mod:`derivations.theorems.score_and_norm`. ``w`` is the margin that the word's
embedding has by itself, ``v . (u_y - mean of the other columns of U)``; in its sentence the margin is ``alpha w``.
"""

from __future__ import annotations

from sympy import Ei, Matrix, Rational, S, Symbol, cos, exp, eye, limit, log, ones, oo, sin, solve, sqrt, symbols

from derivations.models.symbols import LU
from derivations.program.language import scalars
from derivations.reductions import in_span
from derivations.registry import theorem
from derivations.theorems.few_words import (
    column,
    entry,
    eta_s,
    eta_v,
    matrix,
    of_any_loss,
    of_linear,
    sentences,
    vector,
)
from derivations.theorems.score_and_norm import MEANINGS, OF_OTHERS, OTHERS, alpha, m
from derivations.theorems.theorem import Step, Theorem

__all__ = ["convergence", "embeddings_fixed", "keys_fixed", "one_margin", "span"]

w, w_0, z, x_0, score, margin, loss = scalars("w w_0 z x_0 score margin loss")
rate_w, rate_s, rest, late, floor, A, excess = scalars("rate_w rate_s rest late floor A excess")
K, f, y, y_0, delta, tau, p, epsilon, purity = scalars("K f y y_0 delta tau p epsilon purity", positive=True)
"""delta: length of (the column of the label less the mean of the others); f: share of sentences that hold the word."""

LINEAR = (
    "one topic word, once in each of its sentences",
    f"{OTHERS} and mean embedding 0",
    "the classifier U is fixed and linear (FC): `u_y` is its column for the word's label, `u_mean` the mean of the "
    "others",
    "two classes; or K classes with a U that is symmetric in those that are not the word's: their columns have the "
    "same product with `u_y - u_mean` and with the first embedding",
)
PER_TIME = f * eta_v * delta**2
"""How fast a margin moves where all attention is on the word and its prediction is wrong."""


@theorem(
    "topic-span",
    "A fixed linear classifier: embeddings move in the span of its columns",
    about=("topic-FC-span", "topic-FC"),
)
def span() -> Theorem:
    """Where embeddings go with a fixed linear classifier."""
    U, size = matrix("U", 3, 2), {"V": 2, "D": 3, "K": 2}
    given = sentences([{0: 1, 1: 1}], {0, 1}, [0], **size)
    found = of_any_loss(given, given="zbar")
    vdot = column(found, "vdot", 0, size=3)
    logits = {entry("W", i, c): vector("v", i, size=3).dot(U[:, c]) for i in range(2) for c in range(2)}
    rates = {Symbol("eta_W", real=True): eta_v}
    spanned = of_any_loss(given | rates, given="zbar", flow=in_span())
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


@theorem(
    "topic-margin",
    "A topic word with a fixed linear classifier: one number",
    about=("topic-words-FC", "topic-FC"),
)
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


@theorem(
    "topic-convergence",
    "A topic word with a fixed linear classifier: the end of training",
    about=("topic-words-FC", "topic-FC"),
)
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


@theorem(
    "topic-keys-fixed",
    "A topic word with a fixed linear classifier: scores fixed",
    about=("topic-words-FC", "topic-FC"),
)
def keys_fixed() -> Theorem:
    """No attention is learnt."""
    rates = one_margin().results
    velocity = (alpha * rates[rate_w].subs({purity: 1, p: rates[p]})).subs(w, log((K - 1) * y) / alpha)
    z_of = x_0 - log(K - 1) + exp(x_0) / (K - 1) + PER_TIME * alpha**2 * tau
    return Theorem(
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


@theorem(
    "topic-embeddings-fixed",
    "A topic word with a fixed linear classifier: embeddings fixed",
    about=("topic-words-FC", "topic-FC"),
)
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
