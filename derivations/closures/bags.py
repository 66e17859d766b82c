"""Both stages from bags of words: sentences with a target, some of them or all, each with its own attention."""

from __future__ import annotations

from functools import cache

from sympy import Integer

from derivations.closures.both_stages import both_stages, learnt_from
from derivations.closures.exactness import OnBags
from derivations.closures.symbols import (
    DIMENSIONS,
    A,
    B,
    J,
    K,
    Rtilde,
    V,
    W,
    attended,
    count,
    e,
    i,
    j,
    ktiw,
    loss,
    o,
    q,
    v,
    w,
    word,
    y,
)
from derivations.gradient_flow import gradient_flow
from derivations.models import lexical_attention
from derivations.models.symbols import SNELL, kept
from derivations.program.glossary import GLOSSARY
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import closure, title

__all__ = ["bags"]


@closure("bags", "Both stages from bags of words", exact_for=OnBags(lexical_attention, both_stages))
@cache
def bags() -> Program:
    """Gradient flow of W and A from J bags: entry e of bag j is the word ``word[j, e]`` with the share ``B[j, e]``."""
    program = Program(
        name="bags",
        title=title("bags"),
        source=f"{SNELL}; each sentence as it is, or a sample of sentences with the co-occurrence of all",
        extents={j: J, e: count[j], i: V, o: K, v: K},
        data=(count[j], word[j, e], B[j, e], y[j], w[j], q[o]),
        states=(W[i, v], A[i, o]),
        definitions=(
            *learnt_from(j, (j, e), e, A[word[j, e], y[j]], B[j, e], word[j, e], y[j], w[j], "in bag j"),
            *ktiw(i, v),
            Definition(attended[i, o], Integer(0), "share of attention on word i in the bags of target o"),
            Definition(attended[word[j, e], y[j]], w[j] * Rtilde[j, e] / q[y[j]], accumulate=True),
        ),
        loss=loss,
        examples=j,
        assumptions=(
            "the bags stand for all sentences; each group of them has the co-occurrence of all sentences",
            "attention to a word depends on the word and on the target (lexical attention)",
        ),
        reduction=(
            "in the model lexical an example enters through its bag of words: attention is a softmax over the words of "
            "the sentence, `B[j,e]` the share of a word in it, and does not see their order",
            "a sentence with several targets is as many bags, one for each, of the same words; the mean over targets "
            "is a sum over bags, with the weights `w[j]`",
            "sentences that are not among the bags are stood for by those of the same target: the weights of a "
            "target's bags sum to `q[o]`",
        ),
        meanings={
            **GLOSSARY,
            "j": "bag",
            "e": "word of a bag, by its number",
            "count[j]": "number of different words in a bag",
            "B": "shares of the words in a bag",
            "y": "targets of the bags",
            "w": "weights of the bags, which sum to 1",
        },
        roles={"W": Role.VALUES, "A": Role.ATTENTION, "attended": Role.WEIGHTS, "beta": Role.KTIW, "Z": Role.LOGITS},
        dimensions=DIMENSIONS,
        units={"W": "logits", "A": "logits", "beta": "1", "attended": "1", "loss": "nats"},
        conserved=(
            kept(W[i, v], v, "sum of the values of a word"),
            kept(A[i, o], i, "sum of the attention logits of a target"),
        ),
    )
    return gradient_flow(program)
