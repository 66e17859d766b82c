"""Topic words alone: a topic classifier and its examples, reduced to the words that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations import reductions
from derivations.models import CLASSIFIERS, topic_classifier
from dynamics.problems.kinds.models import Model
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector
from dynamics.tasks.examples import Examples

OTHERS = ("rest", "first-order")


def topic_words(
    model: Model, examples: Examples, words: Sequence[int], others: str = "first-order"
) -> tuple[Model, Examples]:
    """The reduced system of some words: sentences with the same of them are one kind, other words are averaged.

    So is their number, where the sentences of a kind differ in length.

    Parameters
    ----------
    model : Model
        :func:`dynamics.problems.kinds.models.topic`, with scores or with keys and a trained query; not with ``span``.
    examples : Examples
        The training set. Only counts of it are used: which kinds of sentences there are, how often, and for
        ``first-order``, how often other words occur in each kind.
    words : sequence of int
        Ids of the words to follow. The first words of the reduced system are these, in this order; behind them comes
        one for the other words of each kind of sentence.
    others : str
        ``rest``: other words stay where they are; ``first-order``: their mean moves by what the sentences do in which
        they occur.

    Returns
    -------
    model, examples : Model and Examples
        For :func:`dynamics.solve`: one example for each kind of sentence. The columns of ``initial`` states are those
        of :func:`project`.

    Raises
    ------
    InputError
        Another model, words that repeat or are not there, or no sentence with any of them.

    References
    ----------
    Lu et al., arXiv 2011.10036. The equations: :func:`derivations.reductions.topic_words`.

    Examples
    --------
    >>> from dynamics import solve
    >>> from dynamics.problems.kinds.models import topic
    >>> from dynamics.tasks import TopicSentences
    >>> sentences = TopicSentences(topics=2, words_per_topic=1, others=50, others_per_sentence=5).examples(200)
    >>> full = topic("FC", readout=[[1.0, -1.0], [0.5, 1.0]])
    >>> reduced, kinds = topic_words(full, sentences, words=[0, 1])
    >>> kinds.x, kinds.y
    (array([0, 2, 1, 3]), array([0, 1]))
    >>> found = solve(reduced, kinds, [0, 100], initial={"v": 0.01})
    >>> bool((found.s[-1, :2] > 1).all())
    True
    """
    variants = {topic_classifier(name, keys).name: (name, keys) for name in CLASSIFIERS for keys in (False, True)}
    if model.name not in variants:
        raise InputError(f"topic words are followed in a model of topic(...), with embeddings, not in {model.name}")
    if others not in OTHERS:
        raise InputError(f"others = {others!r}{did_you_mean(str(others), OTHERS)}; use {' or '.join(OTHERS)}")
    chosen, kinds = _kinds(examples, words)
    known, m = len(chosen), kinds.others
    W = known + len(kinds.share)
    x, times, length = [], [], []
    for k, (of_kind, count) in enumerate(kinds.words):
        own = [known + k] if m[k] > 0 else []
        x.append(np.concatenate([of_kind, own]).astype(np.int64))
        times.append(np.concatenate([count, [m[k]] if own else []]))
        length.append(len(x[-1]))
    coupling = np.zeros((W, W))
    coupling[:known, :known] = np.eye(known)
    if others == "first-order":
        coupling[known:, known:] = kinds.members @ kinds.members.T
    reduced = Examples(
        np.concatenate(x), np.array(length), kinds.y, np.ones(len(kinds.y), dtype=np.int64), W, examples.outputs
    )
    fixed = {**model.fixed, "share": kinds.share, "times": np.concatenate(times), "coupling": coupling}
    return replace(model, program=reductions.topic_words(*variants[model.name]), fixed=fixed), reduced


def project(examples: Examples, words: Sequence[int], states: ArrayLike) -> Vector:
    """States of all words, shape (inputs, ...), as those of the reduced system: the words, then means of others.

    Examples
    --------
    >>> sentences = Examples.from_rows([[0, 2], [1, 3], [0, 3]], [0, 1, 0], inputs=4, outputs=2)
    >>> project(sentences, [0, 1], [1.0, 2.0, 3.0, 5.0])
    array([1., 2., 4., 5.])
    """
    chosen, kinds = _kinds(examples, words)
    values = np.asarray(states, dtype=float)
    if values.shape[:1] != (examples.inputs,):
        raise InputError(
            f"states must be of all {examples.inputs} words, shape ({examples.inputs}, ...), not {values.shape}"
        )
    return np.concatenate([values[chosen], np.tensordot(kinds.members, values, axes=1)])


class _Kinds:
    """Sentences by the followed words in them and their label.

    Attributes
    ----------
    words : list of (ids, counts)
        Of the followed words, by kind.
    y : ndarray, shape (kinds,)
    share : ndarray, shape (kinds,)
        Of all sentences.
    others : ndarray, shape (kinds,)
        Mean number of other words.
    members : ndarray, shape (kinds, inputs)
        How the other words of a kind are distributed.
    """

    def __init__(self, examples: Examples, place: NDArray[np.int64]) -> None:
        sentence = np.repeat(np.arange(len(examples)), examples.length)
        position = place[examples.x]
        followed = position >= 0
        keys: dict[tuple[Any, ...], int] = {}
        kind_of = np.empty(len(examples), dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(np.bincount(sentence[followed], minlength=len(examples)))])
        inside = position[followed]
        for n, label in enumerate(examples.y):
            ids, counts = np.unique(inside[starts[n] : starts[n + 1]], return_counts=True)
            kind_of[n] = keys.setdefault((tuple(ids.tolist()), tuple(counts.tolist()), int(label)), len(keys))
        order = sorted(range(len(keys)), key=list(keys).__getitem__)
        rank = np.empty(len(keys), dtype=np.int64)
        rank[order] = np.arange(len(keys))
        kind_of = rank[kind_of]
        listed = [list(keys)[k] for k in order]
        number = np.bincount(kind_of, minlength=len(keys))
        self.words = [(np.array(ids, dtype=np.int64), np.array(counts, dtype=float)) for ids, counts, _ in listed]
        self.y = np.array([label for *_, label in listed], dtype=np.int64)
        self.share = number / len(examples)
        others = examples.x[~followed]
        at = kind_of[sentence[~followed]]
        members = np.zeros((len(keys), examples.inputs))
        np.add.at(members, (at, others), 1.0)
        total = members.sum(axis=1)
        self.others = total / number
        self.members = members / np.where(total > 0, total, 1.0)[:, None]


def _kinds(examples: Examples, words: Sequence[int]) -> tuple[NDArray[np.int64], _Kinds]:
    chosen = np.asarray(words)
    if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu" or len(np.unique(chosen)) < chosen.size:
        raise InputError("words must be different ids, one or more")
    if chosen.min() < 0 or chosen.max() >= examples.inputs:
        raise InputError(f"words must be ids between 0 and {examples.inputs - 1}")
    place = np.full(examples.inputs, -1, dtype=np.int64)
    place[chosen] = np.arange(chosen.size)
    if not (place[examples.x] >= 0).any():
        raise InputError("no sentence has any of the words; give ids of words that occur")
    return chosen, _Kinds(examples, place)
