"""Topic words alone: the topic classifier without its thousands of other words, reached from model 1e by substitution.

Sentences with the same topic words are one kind, with a share in the training set; a word that occurs several times in
a sentence counts several times. Other words enter as one word for each kind of sentence: the mean of those that occur
in it. How such a mean moves when its members move is a metric over words.
"""

from __future__ import annotations

from functools import cache

from sympy import Symbol

from derivations.gradient_flow import gradient_flow
from derivations.models import topic_classifier
from derivations.models.symbols import LU, N, V, d, e, i, l, n
from derivations.program.glossary import GLOSSARY
from derivations.program.language import LogSumExp, SumOver, indices, tensors
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.reductions.metric import with_flow
from derivations.registry import reduction, title

__all__ = ["topic_words"]

share, times, coupling = tensors("share times coupling")
(w,) = indices("w")


@reduction("topic-words-FC", "Topic words alone, classifier FC", given={"classifier": "FC"})
@reduction("topic-words-TC", "Topic words alone, classifier TC", given={"classifier": "TC"})
@reduction("topic-words-TL", "Topic words alone, classifier TL", given={"classifier": "TL"})
@reduction(
    "topic-words-FC-keys",
    "Topic words alone, classifier FC, keys and query trained",
    given={"classifier": "FC", "keys": True},
)
@reduction(
    "topic-words-TC-keys",
    "Topic words alone, classifier TC, keys and query trained",
    given={"classifier": "TC", "keys": True},
)
@reduction(
    "topic-words-TL-keys",
    "Topic words alone, classifier TL, keys and query trained",
    given={"classifier": "TL", "keys": True},
)
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
    name = f"topic-words-{classifier}-keys" if keys else f"topic-words-{classifier}"
    full = topic_classifier(classifier, keys).model
    assert full is not None
    flow = gradient_flow(
        Program(
            name=name,
            title=title(name),
            source=LU,
            extents=full.extents,
            data=(*full.data, share[n], times[n, l]),
            states=full.states,
            definitions=tuple(of_kinds(definition, full) for definition in full.definitions),
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
    return coupled(flow, {"v": (i, d), "key": (i, e)} if keys else {"v": (i, d), "s": (i,)})


def of_kinds(definition: Definition, model: Program) -> Definition:
    """A definition over sentences as one over kinds of sentences: means by shares, words as often as they occur."""
    rhs = definition.rhs.xreplace({1 / N: share[n]})
    if isinstance(rhs, LogSumExp) and rhs.over == (l,):
        rhs = LogSumExp(rhs.body, l, weight=times[n, l])
    if definition.name in model.with_role(Role.WEIGHTS):
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
