"""Model 1a, the keyword classifier: attention with one query decides what is said about all of an example."""

from __future__ import annotations

from functools import cache

from sympy import exp

from derivations.gradient_flow import gradient_flow
from derivations.models.symbols import (
    DIMENSIONS,
    LU,
    SNELL,
    K,
    M,
    N,
    V,
    W,
    affine,
    alpha,
    b,
    context,
    cross_entropy,
    i,
    k,
    kept,
    l,
    length,
    loss,
    n,
    s,
    x,
    y,
    z,
)
from derivations.program.glossary import GLOSSARY
from derivations.program.language import LogSumExp, SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import model, title

__all__ = ["keyword_classifier"]


@model("keyword", "Keyword classifier")
@model(
    "keyword-bias",
    "Keyword classifier with bias",
    given={"bias": True},
    fits=("labelled text", "boolean"),
)
@cache
def keyword_classifier(bias: bool = False) -> Program:
    """Model 1a: one query; the score of a word decides its attention, its values the prediction."""
    name = "keyword-bias" if bias else "keyword"
    attended = SumOver(alpha[n, l] * W[x[n, l], k], l)
    logits = affine(context[n, k], attended, b[k]) if bias else (Definition(z[n, k], attended, "logits"),)
    return gradient_flow(
        Program(
            name=name,
            title=title(name),
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
