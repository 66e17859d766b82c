"""Exact models: one attention head, or several, on given examples.

Every model is a mean cross-entropy over examples n of input words x[n, l], of any length; with several targets y[n, t]
per example, the mean is over all targets. The gradient flow of each comes from the same reverse sweep as that of the
closures.
"""

from __future__ import annotations

from functools import cache

from sympy import Expr, Integer, Max, Rational, Symbol, exp, sqrt

from derivations.gradient_flow.adjoints import gradient_flow
from derivations.program.glossary import GLOSSARY
from derivations.program.language import (
    Access,
    Definition,
    LogSumExp,
    Program,
    SumOver,
    indices,
    scalars,
    subscript,
    tensors,
)
from derivations.program.role import Role

__all__ = ["keyword_classifier", "lexical_attention", "positional_attention", "topic_classifier"]

SNELL = "Snell, Zhong, Klein, Steinhardt, Approximating How Single Head Attention Learns, arXiv 2103.07601"
LU = "Lu, Mao, Nayak, On the Dynamics of Training Attention Models, arXiv 2011.10036"

N, V, K, H, D, J, E, L, T = (Symbol(size, integer=True, positive=True) for size in "NVKHDJELT")
n, t, h, l, i, o, k, d, j, e, m, p = indices("n t h l i o k d j e m p")
x, y, length, targets = tensors("x y length targets", integer=True)
s, W, A, P, b, alpha, z, context = tensors("s W A P b alpha z context")
M, Q = tensors("M Q")
v, key, query, score, mean, U, F, G, f, g, preactivation, hidden = tensors("v key query a r U F G f g u hidden")
loss, count = scalars("loss count")


DIMENSIONS = {
    i: "input", k: "output", o: "output", h: "head", d: "dimension", e: "key_dimension", j: "hidden", m: "target",
    p: "position",
}  # fmt: skip
"""What results call the axes of states."""
SMALL = Rational(1, 100)
"""Of states that rest at a saddle where they are zero: the papers' initial size."""
TINY = Rational(1, 1000)


def kept(state: Access, over: Symbol, what: str) -> Definition:
    """The sum of a state over one of its indices, which a softmax does not feel and its flow keeps."""
    (total,) = tensors(f"sum_{state.base}")
    rest = tuple(index for index in subscript(state) if index != over)
    lhs = total[rest] if rest else Symbol(f"sum_{state.base}", real=True)
    return Definition(lhs, SumOver(state, over), what)


def cross_entropy(at: tuple[Symbol, ...], output: Symbol, answer: Expr, number: Expr) -> tuple[Definition, ...]:
    """The loss of logits z: the negative log probability of the answer, averaged over a number of answers."""
    return (
        Definition(Q[at], LogSumExp(z[(*at, output)], output), "normalisation of the prediction"),
        Definition(loss, SumOver((Q[at] - z[(*at, answer)]) / number, *at), "mean cross-entropy"),
    )


def affine(linear: Expr, value: Expr, offset: Expr) -> tuple[Definition, ...]:
    """Logits with a bias: the linear part, and the sum."""
    return (
        Definition(linear, value, "logits before the bias"),
        Definition(z[n, k], linear + offset, "logits"),
    )


@cache
def keyword_classifier(bias: bool = False) -> Program:
    """Model 1a: one query; the score of a word decides its attention, its values the prediction."""
    attended = SumOver(alpha[n, l] * W[x[n, l], k], l)
    logits = affine(context[n, k], attended, b[k]) if bias else (Definition(z[n, k], attended, "logits"),)
    return gradient_flow(
        Program(
            name="keyword-bias" if bias else "keyword",
            title=f"Keyword classifier{' with bias' if bias else ''}",
            source=f"{SNELL}; with a free readout, the model of {LU}",
            extents={n: N, l: length[n], i: V, k: K},
            data=(length[n], x[n, l], y[n]),
            states=(s[i], W[i, k], *((b[k],) if bias else ())),
            definitions=(
                Definition(M[n], LogSumExp(s[x[n, l]], l), "normalisation of attention"),
                Definition(alpha[n, l], exp(s[x[n, l]] - M[n]), "attention"),
                *logits,
                *cross_entropy((n,), k, y[n], N),
            ),
            loss=loss,
            examples=n,
            meanings=GLOSSARY,
            roles={"s": Role.ATTENTION, "W": Role.VALUES, "b": Role.BIAS, "alpha": Role.WEIGHTS, "z": Role.LOGITS},
            dimensions=DIMENSIONS,
            units={"loss": "nats"},
            conserved=(
                kept(s[i], i, "sum of the scores"),
                kept(W[i, k], k, "sum of the values of a word"),
                *((kept(b[k], k, "sum of the bias"),) if bias else ()),
            ),
            assumptions=("one query: attention is a softmax over the scores of the words of an example",),
        )
    )


def translation(
    name: str, title: str, logit: Expr, state: Access, over: Symbol, heads: bool, initial: bool, **more: object
) -> Program:
    """Models 1b and 1c, which differ in what decides the attention logit; with heads, 1d: contexts are averaged.

    ``over`` is the index of the state that attention is a softmax over; ``initial`` says that zero is a saddle.
    """
    at = (n, t, h) if heads else (n, t)
    values = W[h, x[n, l], o] if heads else W[x[n, l], o]
    own = (h,) if heads else ()
    share = alpha[(*at, l)] * values / (H if heads else Integer(1))
    return gradient_flow(
        Program(
            name=name + ("-heads" if heads else ""),
            title=title + (", H heads" if heads else ""),
            source=SNELL,
            states=(W[(*own, i, o)], state),
            definitions=(
                Definition(count, SumOver(targets[n], n), "number of targets"),
                Definition(M[at], LogSumExp(logit, l), "normalisation of attention"),
                Definition(alpha[(*at, l)], exp(logit - M[at]), "attention"),
                Definition(z[n, t, o], SumOver(share, *own, l), "logits"),
                *cross_entropy((n, t), o, y[n, t], count),
            ),
            loss=loss,
            examples=n,
            meanings=GLOSSARY,
            roles={"W": Role.VALUES, str(state.base): Role.ATTENTION, "alpha": Role.WEIGHTS, "z": Role.LOGITS},
            dimensions=DIMENSIONS,
            units={"loss": "nats"},
            initial={"W": SMALL, str(state.base): SMALL} if initial else {},
            conserved=(
                kept(W[(*own, i, o)], o, "sum of the values of a word"),
                kept(state, over, "sum of the attention logits that one softmax chooses from"),
            ),
            **more,  # type: ignore[arg-type]
        )
    )


@cache
def lexical_attention(heads: bool = False) -> Program:
    """Model 1b: A[i, o] is the logit of attending to input word i while the target is o."""
    own = (h,) if heads else ()
    return translation(
        "lexical",
        "Translation with lexical attention",
        A[(*own, x[n, l], y[n, t])],
        A[(*own, i, o)],
        i,
        heads,
        heads,
        extents={n: N, t: targets[n], **({h: H} if heads else {}), l: length[n], i: V, o: K},
        data=(length[n], x[n, l], targets[n], y[n, t]),
        assumptions=("attention logits are free, tied by pairs of words; the query knows its target",),
    )


@cache
def positional_attention(heads: bool = False) -> Program:
    """Model 1c: P[m, p] is the logit of attending to position p while producing position m."""
    own = (h,) if heads else ()
    return translation(
        "positional",
        "Copying with positional attention",
        P[(*own, t, l)],
        P[(*own, m, p)],
        p,
        heads,
        True,
        extents={n: N, t: targets[n], **({h: H} if heads else {}), l: length[n], i: V, o: K, m: T, p: L},
        data=(length[n], x[n, l], targets[n], y[n, t]),
        assumptions=("attention logits are free, tied by pairs of positions",),
    )


CLASSIFIERS = ("FC", "TC", "TL")


@cache
def topic_classifier(classifier: str = "FC", keys: bool = False) -> Program:
    """Model 1e: attention over embeddings v, then a classifier of the context r.

    ``FC``: a fixed linear classifier U; ``TC``: a trainable one; ``TL``: a layer of J rectified units, then a linear
    one. With ``keys``, the score of a word is the product of its key with a query, both trained; without, the scores
    are free: for a fixed query they move with the rate ||query||^2 of the keys.
    """
    readout: dict[str, tuple[Definition, ...]] = {
        "FC": (Definition(z[n, k], SumOver(mean[n, d] * U[d, k], d), "logits"),),
        "TL": (
            Definition(preactivation[n, j], SumOver(F[j, d] * mean[n, d], d), "hidden layer before its bias"),
            Definition(hidden[n, j], Max(preactivation[n, j] + f[j], 0), "hidden layer"),
            *affine(context[n, k], SumOver(G[k, j] * hidden[n, j], j), g[k]),
        ),
    }
    readout["TC"] = readout["FC"]
    weights = {"FC": (), "TC": (U[d, k],), "TL": (F[j, d], f[j], G[k, j], g[k])}
    scored = (Definition(score[i], SumOver(key[i, e] * query[e], e), "score of a word"),) if keys else ()
    of_word = score if keys else s
    return gradient_flow(
        Program(
            name=f"topic-{classifier}{'-keys' if keys else ''}",
            title=f"Topic classifier {classifier}{', keys and query trained' if keys else ''}",
            source=LU,
            extents={
                n: N,
                l: length[n],
                **({j: J} if classifier == "TL" else {}),
                i: V,
                **({e: E} if keys else {}),
                d: D,
                k: K,
            },
            data=(length[n], x[n, l], y[n], *((U[d, k],) if classifier == "FC" else ())),
            states=(v[i, d], *((key[i, e], query[e]) if keys else (s[i],)), *weights[classifier]),
            definitions=(
                *scored,
                Definition(M[n], LogSumExp(of_word[x[n, l]], l), "normalisation of attention"),
                Definition(alpha[n, l], exp(of_word[x[n, l]] - M[n]), "attention"),
                Definition(mean[n, d], SumOver(alpha[n, l] * v[x[n, l], d], l), "context"),
                *readout[classifier],
                *cross_entropy((n,), k, y[n], N),
            ),
            loss=loss,
            examples=n,
            meanings=GLOSSARY,
            roles={
                "v": Role.EMBEDDINGS,
                **({"key": Role.KEYS, "query": Role.QUERY} if keys else {"s": Role.ATTENTION}),
                **(
                    {"F": Role.READOUT, "f": Role.BIAS, "G": Role.READOUT, "g": Role.BIAS} if classifier == "TL" else {}
                ),
                **({} if classifier == "TL" else {"U": Role.READOUT}),
                "alpha": Role.WEIGHTS,
                "z": Role.LOGITS,
            },
            dimensions=DIMENSIONS,
            units={"loss": "nats"},
            initial={
                "v": TINY,
                **({"U": 1 / sqrt(D)} if classifier == "TC" else {}),
                **({"F": 1 / sqrt(D), "G": 1 / sqrt(J)} if classifier == "TL" else {}),
            },
            conserved=(
                *(() if keys else (kept(s[i], i, "sum of the scores"),)),
                *((kept(U[d, k], k, "sum of a row of the classifier"),) if classifier == "TC" else ()),
                *(
                    (kept(G[k, j], k, "sum of the weights of a hidden unit"), kept(g[k], k, "sum of the bias"))
                    if classifier == "TL"
                    else ()
                ),
            ),
            assumptions=(
                "one query for all sentences",
                *(() if keys else ("the query is fixed: the rate of the scores is ||query||^2",)),
            ),
        )
    )
