"""Both stages (joint): words of a sentence are replaced by their conditional distribution given the target."""

from __future__ import annotations

from functools import cache

from sympy import Expr, Symbol, exp

from derivations.closures.symbols import (
    DIMENSIONS,
    A,
    K,
    M,
    N,
    P,
    R,
    Rtilde,
    V,
    W,
    Z,
    count,
    e,
    i,
    ktiw,
    loss,
    o,
    q,
    v,
    word,
)
from derivations.gradient_flow import gradient_flow
from derivations.models.symbols import SNELL, kept
from derivations.program.glossary import GLOSSARY
from derivations.program.language import Definition, LogSumExp, Program, SumOver
from derivations.program.role import Role
from derivations.registry import closure, title

__all__ = ["both_stages", "both_stages_sparse"]


def conditional(name: str, at: tuple[Symbol, Symbol], member: Symbol, input_word: Expr, **layout: object) -> Program:
    """The loss of section 'both stages' once, for either storage of R and A.

    ``at`` are the subscripts of R and A, ``member`` the one that runs over the words given the target,
    ``input_word`` the word that it stands for.
    """
    definitions = (
        Definition(M[o], LogSumExp(A[at], member, weight=R[at]), "normalisation of attention given target o"),
        Definition(Rtilde[at], R[at] * exp(A[at] - M[o]), "attention-reweighted words given target o"),
        Definition(Z[o, v], SumOver(Rtilde[at] * W[input_word, v], member), "logits given target o"),
        Definition(N[o], LogSumExp(Z[o, v], v), "normalisation of the prediction"),
        Definition(P[o, v], exp(Z[o, v] - N[o]), "predicted distribution given target o"),
        Definition(loss, SumOver(q[o] * (N[o] - Z[o, o]), o), "mean cross-entropy"),
        *ktiw(i, v),
    )
    return Program(
        name=name,
        title=title(name),
        source=f"{SNELL}; closure by the words' conditional distribution given the target",
        states=(W[i, v], A[at]),
        definitions=definitions,
        loss=loss,
        assumptions=(
            "the words of a sentence are replaced by their distribution R[i,o] = C[i,o]/q[o] given the target o",
            "attention to a word depends on the word and on the target (lexical attention)",
        ),
        reduction=(
            "in the model lexical an example enters through sums over its words, `sum_l f(x[n,l])`, and a softmax over "
            "them",
            "given the target o, each sum over the L words of an example becomes L times its mean, "
            "`sum_i R[i,o] f(i)`; L drops out of the softmax",
            "examples with the same target are now alike: the mean over examples is a sum over targets, with the "
            "weights `q[o]`, and `z[n,t,o]` becomes `Z[o,v]`",
        ),
        meanings=GLOSSARY,
        roles={"W": Role.VALUES, "A": Role.ATTENTION, "Rtilde": Role.WEIGHTS, "beta": Role.KTIW, "Z": Role.LOGITS},
        dimensions=DIMENSIONS,
        units={"W": "logits", "A": "logits", "beta": "1", "loss": "nats"},
        shares={o: q[o]},
        conserved=(
            kept(W[i, v], v, "sum of the values of a word"),
            kept(A[at], member, "sum of the attention logits of a target"),
        ),
        **layout,  # type: ignore[arg-type]
    )


@closure("joint", "Both stages from the co-occurrence matrix")
@cache
def both_stages() -> Program:
    """Gradient flow of W and A from R = C/q and q; dense storage."""
    return gradient_flow(conditional("joint", (i, o), i, i, extents={i: V, o: K, v: K}, data=(R[i, o], q[o])))


@closure("joint-sparse", "Both stages from the co-occurrence matrix, on the pairs that occur")
@cache
def both_stages_sparse() -> Program:
    """The same flow with R and A on the non-zero counts only: entry e of column o is input word ``word[o, e]``."""
    return gradient_flow(
        conditional(
            "joint-sparse",
            (o, e),
            e,
            word[o, e],
            extents={i: V, o: K, e: count[o], v: K},
            data=(count[o], word[o, e], R[o, e], q[o]),
        )
    )
