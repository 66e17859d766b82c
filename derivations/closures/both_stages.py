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
from derivations.program.language import LogSumExp, SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import closure, title

__all__ = ["both_stages", "both_stages_sparse", "learnt_from"]


def learnt_from(
    row: Symbol,
    at: tuple[Symbol, Symbol],
    member: Symbol,
    logit: Expr,
    share: Expr,
    input_word: Expr,
    target: Expr,
    weight: Expr,
    per: str,
) -> tuple[Definition, ...]:
    """Attention, prediction and loss where row ``row`` of words has a target of its own.

    Parameters
    ----------
    row, member : Symbol
        The index of the rows, and that of what a row holds.
    at : (Symbol, Symbol)
        Both, in the order in which members are stored.
    logit, share : Expr
        The attention logit of a member of a row, and its share in the row before attention.
    input_word : Expr
        The word that a member is.
    target, weight : Expr
        The target of a row, and its weight in the loss.
    per : str
        What a row is, for the notes.
    """
    return (
        Definition(M[row], LogSumExp(logit, member, weight=share), f"normalisation of attention {per}"),
        Definition(Rtilde[at], share * exp(logit - M[row]), f"attention-reweighted words {per}"),
        Definition(Z[row, v], SumOver(Rtilde[at] * W[input_word, v], member), f"logits {per}"),
        Definition(N[row], LogSumExp(Z[row, v], v), "normalisation of the prediction"),
        Definition(P[row, v], exp(Z[row, v] - N[row]), f"predicted distribution {per}"),
        Definition(loss, SumOver(weight * (N[row] - Z[row, target]), row), "mean cross-entropy"),
    )


def conditional(name: str, at: tuple[Symbol, Symbol], member: Symbol, input_word: Expr, **layout: object) -> Program:
    """The loss of section 'both stages' once, for either storage of R and A.

    ``at`` are the subscripts of R and A, ``member`` the one that runs over the words given the target,
    ``input_word`` the word that it stands for.
    """
    given = "given target o"
    definitions = (
        *learnt_from(o, at, member, A[at], R[at], input_word, o, q[o], given),
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
