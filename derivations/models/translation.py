"""Models 1b, 1c and 1d: translation with lexical attention, copying with positional attention, each also with heads."""

from __future__ import annotations

from functools import cache

from sympy import Expr, Integer, Symbol, exp

from derivations.gradient_flow import gradient_flow
from derivations.models.symbols import (
    DIMENSIONS,
    SMALL,
    SNELL,
    A,
    H,
    K,
    L,
    M,
    N,
    P,
    T,
    V,
    W,
    alpha,
    count,
    cross_entropy,
    h,
    i,
    kept,
    l,
    length,
    loss,
    m,
    n,
    o,
    p,
    t,
    targets,
    x,
    y,
    z,
)
from derivations.program.access import Access
from derivations.program.glossary import GLOSSARY
from derivations.program.language import LogSumExp, SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import model, title

__all__ = ["lexical_attention", "positional_attention"]


def translation(
    name: str, logit: Expr, state: Access, over: Symbol, heads: bool, initial: bool, **more: object
) -> Program:
    """Models 1b and 1c, which differ in what decides the attention logit; with heads, 1d: contexts are averaged.

    ``over`` is the index of the state that attention is a softmax over; ``initial`` says that zero is a saddle.
    """
    full = f"{name}-heads" if heads else name
    at = (n, t, h) if heads else (n, t)
    values = W[h, x[n, l], o] if heads else W[x[n, l], o]
    own = (h,) if heads else ()
    share = alpha[(*at, l)] * values / (H if heads else Integer(1))
    return gradient_flow(
        Program(
            name=full,
            title=title(full),
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


@model("lexical", "Translation with lexical attention", fits=("parallel text", "lexicon"))
@model("lexical-heads", "Translation with lexical attention, H heads", given={"heads": True})
@cache
def lexical_attention(heads: bool = False) -> Program:
    """Model 1b: A[i, o] is the logit of attending to input word i while the target is o."""
    own = (h,) if heads else ()
    return translation(
        "lexical",
        A[(*own, x[n, l], y[n, t])],
        A[(*own, i, o)],
        i,
        heads,
        heads,
        extents={n: N, t: targets[n], **({h: H} if heads else {}), l: length[n], i: V, o: K},
        data=(length[n], x[n, l], targets[n], y[n, t]),
        assumptions=("attention logits are free, tied by pairs of words; the query knows its target",),
    )


@model("positional", "Copying with positional attention", fits=("copying",))
@model("positional-heads", "Copying with positional attention, H heads", given={"heads": True})
@cache
def positional_attention(heads: bool = False) -> Program:
    """Model 1c: P[m, p] is the logit of attending to position p while producing position m."""
    own = (h,) if heads else ()
    return translation(
        "positional",
        P[(*own, t, l)],
        P[(*own, m, p)],
        p,
        heads,
        True,
        extents={n: N, t: targets[n], **({h: H} if heads else {}), l: length[n], i: V, o: K, m: T, p: L},
        data=(length[n], x[n, l], targets[n], y[n, t]),
        assumptions=("attention logits are free, tied by pairs of positions",),
    )
