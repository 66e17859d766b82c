"""Model 1e, the topic classifier: attention over embeddings, then a classifier of the context."""

from __future__ import annotations

from functools import cache

from sympy import Max, exp, sqrt

from derivations.gradient_flow import gradient_flow
from derivations.models.symbols import (
    DIMENSIONS,
    LU,
    TINY,
    D,
    E,
    F,
    G,
    J,
    K,
    M,
    N,
    U,
    V,
    affine,
    alpha,
    context,
    cross_entropy,
    d,
    e,
    f,
    g,
    hidden,
    i,
    j,
    k,
    kept,
    key,
    l,
    length,
    loss,
    mean,
    n,
    preactivation,
    query,
    s,
    score,
    v,
    x,
    y,
    z,
)
from derivations.program.glossary import GLOSSARY
from derivations.program.language import LogSumExp, SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import model, title

__all__ = ["CLASSIFIERS", "topic_classifier"]

CLASSIFIERS = ("FC", "TC", "TL")


@model("topic-FC", "Topic classifier FC", given={"classifier": "FC"}, fits=("topics",))
@model("topic-TC", "Topic classifier TC", given={"classifier": "TC"})
@model("topic-TL", "Topic classifier TL", given={"classifier": "TL"})
@model("topic-FC-keys", "Topic classifier FC, keys and query trained", given={"classifier": "FC", "keys": True})
@model("topic-TC-keys", "Topic classifier TC, keys and query trained", given={"classifier": "TC", "keys": True})
@model("topic-TL-keys", "Topic classifier TL, keys and query trained", given={"classifier": "TL", "keys": True})
@cache
def topic_classifier(classifier: str = "FC", keys: bool = False) -> Program:
    """Model 1e: attention over embeddings v, then a classifier of the context r.

    ``FC``: a fixed linear classifier U; ``TC``: a trainable one; ``TL``: a layer of J rectified units, then a linear
    one. With ``keys``, the score of a word is the product of its key with a query, both trained; without, the scores
    are free: for a fixed query they move with the rate ||query||^2 of the keys.
    """
    name = f"topic-{classifier}-keys" if keys else f"topic-{classifier}"
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
            name=name,
            title=title(name),
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
