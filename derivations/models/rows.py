"""The row model: one head that translates, small enough to be followed instead of a real model.

A row is one target of a sentence: its place, the target words before it, and the words of the source with their places.
The query does not know the answer, as in Snell et al.'s lexical attention, but the previous target word. Keys and the
read-out state are normalised as layers are, and all outputs share one read-out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sympy import Eq, Expr, Integer, Piecewise, Rational, Symbol, exp, sqrt

from derivations.gradient_flow import gradient_flow
from derivations.models.symbols import (
    DIMENSIONS,
    D,
    K,
    M,
    N,
    U,
    V,
    alpha,
    b,
    context,
    d,
    e,
    i,
    k,
    l,
    length,
    loss,
    n,
    t,
    targets,
    x,
    y,
    z,
)
from derivations.program.access import Access
from derivations.program.language import LogSumExp, SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import model, title

__all__ = ["KINDS", "row_model"]

KINDS = ("recurrent", "prefix", "mean")
"""What keys and the state know beside their own word: neighbours and earlier words; earlier words; means of both."""
SOFTENING = Rational(1, 100_000)
"""What layer normalisation adds to a variance."""

FADING = Rational(7, 10)
"""What is left, from place to place, of an earlier word in a state: of recurrence, and of attention to a prefix."""

J, I, T = (Symbol(size, integer=True, positive=True) for size in "JIT")
j, s, w, a, c, g, r = indices("j s w a c g r")
last, place, words, past = tensors("last place words past", integer=True)
E, F, Y, G, H, Q, C = tensors("E F Y G H Q C")
left, right, around, before, after, decay = tensors("left right around before after decay")
key, earlier, history, state, query, score, moved, sight, readout, linear, normaliser, surprisal = tensors(
    "key earlier history state query score moved sight readout linear normaliser surprisal"
)
(rows,) = scalars("rows", positive=True)

MEANINGS: Mapping[str, str] = {
    "n": "sentence",
    "l": "place in the source",
    "w": "another place in the source",
    "t": "row of a sentence",
    "s": "place of an earlier target word",
    "i": "source word",
    "j": "previous target word, or the start",
    "k": "target word, or the end",
    "d": "coordinate",
    "e": "another coordinate",
    "a": "place in a source",
    "c": "place in a target",
    "g": "another place in a source",
    "r": "another place in a target",
    "length": "number of source words",
    "x": "source words",
    "targets": "number of rows",
    "y": "target words",
    "last": "the target word before",
    "place": "place of a row in its target",
    "words": "number of target words that are known",
    "past": "target words, each before its place",
    "rows": "mean number of rows of a sentence",
    "E": "embeddings of source words",
    "F": "embeddings of source places",
    "Y": "embeddings of previous target words",
    "G": "embeddings of target places",
    "H": "embeddings of earlier target words",
    "left": "embeddings of the source word to the left",
    "right": "embeddings of the source word to the right",
    "around": "embeddings of the words of the source, for their mean",
    "Q": "queries of states",
    "C": "what the context adds to the state",
    "U": "read-out",
    "b": "bias",
}


def normalised(name: str, raw: Access, places: str) -> tuple[Access, tuple[Definition, ...]]:
    """The definitions of (raw - mean) / standard deviation over the coordinates d, and what they are called."""
    at = raw.indices[:-1]
    average, middle, variance, spread, own = tensors(
        f"{name}_average {name}_centred {name}_variance {name}_spread {name}"
    )
    return own, (
        Definition(average[at], SumOver(raw / D, d), f"average of {places}"),
        Definition(middle[(*at, d)], raw - average[at], f"{places}, centred"),
        Definition(variance[at], SumOver(middle[(*at, d)] ** 2 / D, d), f"variance of {places}"),
        Definition(spread[at], sqrt(variance[at] + SOFTENING), f"standard deviation of {places}"),
        Definition(own[(*at, d)], middle[(*at, d)] / spread[at], f"{places}, normalised"),
    )


def surroundings(kind: str) -> tuple[tuple[Definition, ...], Expr]:
    """What a key holds of the other words of its source: definitions, and what is added."""
    if kind == "mean":
        word, average = tensors("word_around average_around")
        return (
            Definition(word[n, w, d], around[x[n, w], d], "words of the source"),
            Definition(average[n, d], SumOver(word[n, w, d] / length[n], w), "their mean"),
        ), average[n, d]
    found: list[Definition] = []
    total: Expr = Rational(0)
    if kind == "recurrent":
        for table, shift, step, side in ((left, before, 1, "left"), (right, after, -1, "right")):
            word, neighbour = tensors(f"word_{side} neighbour_{side}")
            found += [
                Definition(shift[a, g], Piecewise((1, Eq(a, g + step)), (0, True)), f"place to the {side}"),
                Definition(word[n, w, d], table[x[n, w], d], f"words, for those whose {side} neighbours they are"),
                Definition(neighbour[n, l, d], SumOver(shift[l, w] * word[n, w, d], w), f"word to the {side}"),
            ]
            total += neighbour[n, l, d]
    return tuple(found), total


def remembered(kind: str) -> Expr:
    """The weight of place r in the state of place c: an equal share of all so far, or the less the longer ago."""
    if kind == "mean":
        return Piecewise((1 / (c + Integer(1)), r <= c), (0, True))
    return Piecewise((FADING ** (c - r - 1), r < c), (0, True))


@model("rows-recurrent", "Rows: keys with neighbours, states with earlier words", given={"kind": "recurrent"})
@model("rows-prefix", "Rows: keys by themselves, states with earlier words", given={"kind": "prefix"})
@model("rows-mean", "Rows: keys and states with the mean of their words", given={"kind": "mean"})
@cache
def row_model(kind: str = "prefix") -> Program:
    """Attention from (place, previous words) to (words, places); the sentences of a batch are its examples.

    The rows of a sentence may be all places of its target, or some of them: `place` says which, and the words before
    them are given apart. The three kinds differ in what keys hold of the words around them, and in what a state holds
    of earlier words.
    """
    name = f"rows-{kind}"
    found, added = surroundings(kind)
    more = {"recurrent": (left[i, d], right[i, d]), "prefix": (), "mean": (around[i, d],)}[kind]
    m, keys = normalised("m", key[n, l, d], "keys")
    f, reads = normalised("f", sight[n, t, d], "what is read out")
    return gradient_flow(
        Program(
            name=name,
            title=title(name),
            source="layer normalisation: Ba, Kiros, Hinton, arXiv 1607.06450; one head with the query of its place",
            extents={
                n: N,
                t: targets[n],
                s: words[n],
                l: length[n],
                **({} if kind == "prefix" else {w: length[n]}),
                d: D,
                e: D,
                i: V,
                j: J,
                k: K,
                a: I,
                **({g: I} if kind == "recurrent" else {}),
                c: T,
                r: T,
            },
            data=(
                length[n],
                x[n, l],
                targets[n],
                last[n, t],
                place[n, t],
                y[n, t],
                words[n],
                past[n, s],
            ),
            states=(E[i, d], F[a, d], Y[j, d], G[c, d], H[j, d], *more, Q[d, e], C[d, e], U[k, d], b[k]),
            parameters=(rows,),
            definitions=(
                *found,
                Definition(decay[c, r], remembered(kind), "weight of an earlier place in a state"),
                Definition(key[n, l, d], E[x[n, l], d] + F[l, d] + added, "keys before normalisation"),
                *keys,
                Definition(earlier[n, s, d], H[past[n, s], d], "earlier target words"),
                Definition(
                    history[n, t, d], SumOver(decay[place[n, t], s] * earlier[n, s, d], s), "what is left of them"
                ),
                Definition(state[n, t, d], Y[last[n, t], d] + G[place[n, t], d] + history[n, t, d], "state"),
                Definition(query[n, t, e], SumOver(state[n, t, d] * Q[d, e], d), "query"),
                Definition(score[n, t, l], SumOver(query[n, t, e] * m[n, l, e] / sqrt(D), e), "attention logits"),
                Definition(M[n, t], LogSumExp(score[n, t, l], l), "normalisation of attention"),
                Definition(alpha[n, t, l], exp(score[n, t, l] - M[n, t]), "attention"),
                Definition(context[n, t, e], SumOver(alpha[n, t, l] * m[n, l, e], l), "context"),
                Definition(moved[n, t, d], SumOver(context[n, t, e] * C[e, d], e), "what the context adds"),
                Definition(sight[n, t, d], state[n, t, d] + moved[n, t, d], "state and context"),
                *reads,
                Definition(linear[n, t, k], SumOver(U[k, d] * f[n, t, d], d), "logits before the bias"),
                Definition(z[n, t, k], linear[n, t, k] + b[k], "logits"),
                Definition(normaliser[n, t], LogSumExp(z[n, t, k], k), "normalisation of the prediction"),
                Definition(surprisal[n, t], normaliser[n, t] - z[n, t, y[n, t]], "surprisal of the answer"),
                Definition(loss, SumOver(surprisal[n, t] / (N * rows), n, t), "cross-entropy of a row"),
            ),
            loss=loss,
            examples=n,
            meanings=MEANINGS,
            roles={
                "E": Role.EMBEDDINGS,
                "Q": Role.QUERY,
                "U": Role.READOUT,
                "b": Role.BIAS,
                "alpha": Role.WEIGHTS,
                "z": Role.LOGITS,
            },
            dimensions={**DIMENSIONS, j: "previous", a: "source_place", c: "place"},
            units={"loss": "nats"},
            initial=initial(kind),
            assumptions=(
                "one layer and one head; what an encoder and a decoder add to it is in the words around",
                "a batch is divided by the mean number of rows of all sentences, `rows`, not by its own",
            ),
        )
    )


def initial(kind: str) -> Mapping[str, Expr]:
    """Standard deviations to start from: small embeddings, smaller places, square matrices as of a uniform start."""
    sides = {"recurrent": ("left", "right"), "prefix": (), "mean": ("around",)}[kind]
    return {
        **dict.fromkeys(("E", "Y", "H", *sides), Rational(1, 20)),
        **dict.fromkeys(("F", "G"), Rational(3, 100)),
        **dict.fromkeys(("Q", "C", "U"), 1 / sqrt(3 * D)),
    }
