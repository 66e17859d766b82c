"""Topic words alone: the topic classifier without its thousands of other words, reached from model 1e by substitution.

Sentences with the same topic words are one kind, with a share in the training set; a word that occurs several times in
a sentence counts several times. Other words enter as one word for each kind of sentence: the mean of those that occur
in it. How such a mean moves when its members move is a metric over words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from sympy import Expr, Symbol

from derivations.gradient_flow.adjoints import gradient_flow
from derivations.models import attention as models
from derivations.models.attention import D, K, N, U, V, d, i, k, l, n
from derivations.program.glossary import GLOSSARY
from derivations.program.language import Definition, LogSumExp, Program, SumOver, indices, tensors
from derivations.program.role import Role

__all__ = ["in_span", "topic_words"]

share, times, coupling, metric = tensors("share times coupling metric")
w, p = indices("w p")


@cache
def topic_words(classifier: str = "FC", keys: bool = False) -> Program:
    """The topic classifier on kinds of sentences, whose words move by what they do together.

    ``share[n]`` is the share of a kind in the training set, ``times[n, l]`` how often its word x[n, l] occurs in its
    sentences. ``coupling[i, w]`` is how fast word i moves where only word w is pulled: the identity for words that
    stand for themselves, 0 for words at rest. A word that stands for the mean of many moves by ``sum 1/(members)^2``
    over the members that it has in common with another. With ``keys``, keys and the query are trained.

    Examples
    --------
    >>> topic_words().state_names
    ('v', 's')
    """
    full = models.topic_classifier(classifier, keys).model
    assert full is not None
    flow = gradient_flow(
        Program(
            name=full.name.replace("topic", "topic-words"),
            title=full.title.replace("Topic classifier", "Topic words alone, classifier"),
            source=models.LU,
            extents=full.extents,
            data=(*full.data, share[n], times[n, l]),
            states=full.states,
            definitions=tuple(of_kinds(definition) for definition in full.definitions),
            loss=full.loss,
            examples=n,
            assumptions=(*full.assumptions, "sentences with the same topic words are alike: their others are averaged"),
            reduction=(
                f"from {full.name}: sentences n become kinds of sentences, their mean a sum with the weights "
                "`share[n]`; the words of a kind count `times[n,l]` in the softmax",
                "the other words of a kind are one word, whose embedding and score are the means of theirs; it moves "
                "by the mean of their motions",
                "a word that stands for many is pulled with each kind that they occur in: word i moves by "
                "`coupling[i,w]` times the adjoint of word w, where coupling is the sum of `1/members^2` over the "
                "members that both have, the identity for a topic word, and 0 for a word at rest",
            ),
            meanings=GLOSSARY,
            roles=full.roles,
            dimensions=full.dimensions,
            units=full.units,
            initial=full.initial,
        )
    )
    return coupled(flow, {"v": (i, d), "key": (i, models.e)} if keys else {"v": (i, d), "s": (i,)})


def of_kinds(definition: Definition) -> Definition:
    """A definition over sentences as one over kinds of sentences: means by shares, words as often as they occur."""
    rhs = definition.rhs.xreplace({1 / N: share[n]})
    if isinstance(rhs, LogSumExp) and rhs.over == (l,):
        rhs = LogSumExp(rhs.body, l, weight=times[n, l])
    if definition.name == "alpha":
        rhs = times[n, l] * rhs
    return Definition(definition.lhs, rhs, definition.note)


def coupled(flow: Program, of_words: dict[str, tuple[Symbol, ...]]) -> Program:
    """A flow whose words move together: the adjoints of the states of words, times the coupling."""
    changed: dict[str, Definition] = {}
    for state, (_, *rest) in of_words.items():
        (slope,), (rate,) = tensors(f"{state}bar"), tensors(flow.flow[state])
        eta = Symbol(f"eta_{state}", real=True)
        body = -eta * coupling[i, w] * slope[(w, *rest)]
        changed[flow.flow[state]] = Definition(rate[(i, *rest)], SumOver(body, w), f"coupled flow of {state}")
    return with_flow(flow, changed.values(), {w: V}, (coupling[i, w],))


@cache
def in_span() -> Program:
    """The topic classifier FC in its logits: model 1a with a metric.

    With a fixed linear classifier U, embeddings move in the span of its columns. What they do to the loss goes through
    the K numbers W = v U of each word, whose flow is that of model 1a times the metric U^T U; ``eta_W`` is the rate of
    the embeddings. So the state has K + 1 numbers a word, whatever the dimension of the embeddings.

    Examples
    --------
    >>> in_span().state_names
    ('s', 'W')
    """
    flow = models.keyword_classifier()
    (slope,), (rate,) = tensors("Wbar"), tensors(flow.flow["W"])
    eta = Symbol("eta_W", real=True)
    moved = Definition(rate[i, k], SumOver(-eta * metric[k, p] * slope[i, p], p), "gradient flow of W = v U")
    of_logits = Definition(metric[k, p], SumOver(U[d, k] * U[d, p], d), "metric of the logits")
    return replace(
        with_flow(flow, [moved], {d: D, p: K}, (U[d, k],), before=(of_logits,)),
        name="topic-FC-span",
        title="Topic classifier FC in the span of its classifier",
        source=models.LU,
        assumptions=("one query for all sentences, fixed: the rate of the scores is ||query||^2",),
        reduction=(
            "from topic-FC: the loss depends on the embeddings v through the logits of words, `W = v U`",
            "`vbar = Wbar U^T`, so that W moves by `-eta Wbar U^T U`: the gradient flow of keyword with the metric "
            "`U^T U` (theorem topic-span); `eta_W` is the rate of the embeddings",
        ),
        meanings=GLOSSARY,
        roles={**flow.roles, "U": Role.READOUT},
        initial={"W": models.TINY},
        conserved=flow.conserved[:1],  # the metric moves the sum of the values of a word
    )


def with_flow(
    flow: Program,
    changed: Iterable[Definition],
    extents: dict[Symbol, Expr],
    data: tuple[Expr, ...],
    before: tuple[Definition, ...] = (),
) -> Program:
    """A flow with some of its last definitions changed, and what they need: no longer the gradient flow of a model."""
    new = {definition.name: definition for definition in changed}
    definitions = tuple(new.get(one.name, one) for one in flow.definitions)
    return replace(
        flow,
        extents={**flow.extents, **extents},
        data=(*flow.data, *data),
        definitions=(*before, *definitions),
        model=None,
    )
