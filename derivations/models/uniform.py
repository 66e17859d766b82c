"""Uniform attention with a bias: a bag of words, which is all that there is of stage one."""

from __future__ import annotations

from functools import cache

from derivations.gradient_flow import gradient_flow
from derivations.models.symbols import (
    DIMENSIONS,
    SNELL,
    K,
    N,
    V,
    W,
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
    x,
    y,
    z,
)
from derivations.program.glossary import GLOSSARY
from derivations.program.language import SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import model, title

__all__ = ["uniform_attention"]


@model("uniform", "Uniform attention with bias")
@cache
def uniform_attention() -> Program:
    """Every word of an example has the same share of attention: the keyword classifier with its scores at zero."""
    return gradient_flow(
        Program(
            name="uniform",
            title=title("uniform"),
            source=f"{SNELL}, stage one",
            extents={n: N, l: length[n], i: V, k: K},
            data=(length[n], x[n, l], y[n]),
            states=(W[i, k], b[k]),
            definitions=(
                Definition(context[n, k], SumOver(W[x[n, l], k] / length[n], l), "mean over the words"),
                Definition(z[n, k], context[n, k] + b[k], "logits"),
                *cross_entropy((n,), k, y[n], N),
            ),
            loss=loss,
            examples=n,
            meanings=GLOSSARY,
            roles={"W": Role.VALUES, "b": Role.BIAS, "z": Role.LOGITS},
            dimensions=DIMENSIONS,
            units={"loss": "nats"},
            conserved=(kept(W[i, k], k, "sum of the values of a word"), kept(b[k], k, "sum of the bias")),
            assumptions=("attention is uniform",),
        )
    )
