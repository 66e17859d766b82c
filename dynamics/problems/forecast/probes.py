"""Where a forecast looks: places of every word in the sentences, and the same places with another sentence's source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynamics.support.typing import Indices, Numbers, Vector

if TYPE_CHECKING:
    from dynamics.problems.forecast.rows import RowModel, RowState
    from dynamics.problems.forecast.sentences import Sentences

__all__ = ["Measured", "Probes"]

CHUNK = 512
"""Places that are looked at together, of sources of like lengths."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was seen at every place of the probes, at one time.

    Attributes
    ----------
    own, other : ndarray of float64, shape (places,)
        Probability of the word there, with its own and with another context.
    attention : ndarray of float64, shape (places,)
        On the best source word of the word; NaN where that is not in the sentence.
    """

    own: Vector
    other: Vector
    attention: Vector


@dataclass(frozen=True, eq=False)
class Probes:
    """Places of words in sentences, the same number of every word as far as there are so many.

    Attributes
    ----------
    sentence, place, word : ndarray of int64, shape (places,)
        In the order of the words.
    other : ndarray of int64, shape (places,)
        Another sentence with a source of about the same length.
    other_place : ndarray of int64, shape (places,)
        A place in its target.
    alone : bool
        The text has no source: what is exchanged is the words before.
    """

    sentence: Indices
    place: Indices
    word: Indices
    other: Indices
    other_place: Indices
    alone: bool = False

    @classmethod
    def of(cls, sentences: Sentences, words: int, number: int, rng: np.random.Generator, alone: bool = False) -> Probes:
        """Places at random.

        Parameters
        ----------
        sentences : Sentences
        words : int
            Target words below this id are looked at.
        number : int
            Places of each, at most.
        rng : numpy.random.Generator
        alone : bool
        """
        rows = np.arange(sentences.o.shape[1]) < sentences.targets[:, None]
        sentence, place = np.nonzero(rows & (sentences.o < words))
        shuffled = rng.permutation(len(sentence))
        word = sentences.o[sentence[shuffled], place[shuffled]].astype(np.int64)
        order = np.argsort(word, kind="stable")
        sentence, place, word = sentence[shuffled][order], place[shuffled][order], word[order]
        kept = np.arange(len(word)) - np.searchsorted(word, word) < number
        sentence, place, word = sentence[kept], place[kept], word[kept]
        # Sentences at random, in the order of their lengths for places in the order of the lengths of theirs.
        drawn = rng.permutation(np.resize(rng.permutation(len(sentences.x)), len(word)))
        other = np.empty_like(sentence)
        by_length = np.argsort(sentences.length[sentence], kind="stable")
        other[by_length] = drawn[np.argsort(sentences.length[drawn], kind="stable")]
        if len(sentences.x) > 1:
            other = np.where(other == sentence, (other + 1) % len(sentences.x), other)
        other_place = rng.integers(0, sentences.targets[other])
        return cls(sentence, place, word, other, other_place, alone)

    def __len__(self) -> int:
        return len(self.word)

    def measure(self, model: RowModel, state: RowState, sentences: Sentences, best: Indices) -> Measured:
        """Look at all places.

        Parameters
        ----------
        model, state
            Whose probabilities are taken.
        sentences : Sentences
            Those that the probes were made of.
        best : ndarray of int64, shape (words,)
            The best source word of each target word.
        """
        own, other, attention = (np.empty(len(self)) for _ in range(3))
        for rows in self._chunks(sentences):
            word = self.word[rows]
            exchanged = (self.other[rows], self.other_place[rows])
            own[rows], weights, x, length = _at(model, state, sentences, self.sentence[rows], self.sentence[rows],
                                                self.place[rows], word)  # fmt: skip
            source, context, place = (
                (self.sentence[rows], *exchanged)
                if self.alone
                else (exchanged[0], self.sentence[rows], self.place[rows])
            )
            other[rows] = _at(model, state, sentences, source, context, place, word)[0]
            there = (x == best[word][:, None]) & (np.arange(x.shape[1]) < length[:, None])
            attention[rows] = np.where(there.any(axis=1), (weights * there).sum(axis=1), np.nan)
        return Measured(own, other, attention)

    def _chunks(self, sentences: Sentences) -> Iterator[Indices]:
        order = np.argsort(sentences.length[self.sentence], kind="stable")
        for begin in range(0, len(order), CHUNK):
            yield order[begin : begin + CHUNK]


def _at(
    model: RowModel,
    state: RowState,
    sentences: Sentences,
    source: Indices,
    context: Indices,
    place: Indices,
    word: Indices,
) -> tuple[Vector, Numbers, Indices, Indices]:
    """Probability of a word after the first words of a sentence, given a source; attention; and that source."""
    length = sentences.length[source]
    x = sentences.x[source, : length.max()]
    p = sentences.p[context, : place.max() + 1]
    probability, attention = model.probabilities(state, x, length, p, place, word)
    return probability, attention, x, length
