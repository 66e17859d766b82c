"""Where a forecast looks: places of every word in the sentences, and the same places with another sentence's source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynamics.support.typing import Indices, Vector

if TYPE_CHECKING:
    from dynamics.problems.forecast.rows import RowModel, RowState
    from dynamics.problems.forecast.sentences import Sentences

__all__ = ["Measured", "Probes"]

CHUNK = 2048
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
        # The first places of each word in sentences at random: many of them are in the same sentences.
        turn = rng.permutation(len(sentences))
        word = sentences.o[sentence, place].astype(np.int64)
        order = np.lexsort((turn[sentence], word))
        sentence, place, word = sentence[order], place[order], word[order]
        kept = np.arange(len(word)) - np.searchsorted(word, word) < number
        sentence, place, word = sentence[kept], place[kept], word[kept]
        # Sentences at random, in the order of their lengths for sentences in the order of theirs.
        own, of_place = np.unique(sentence, return_inverse=True)
        drawn = rng.permutation(np.resize(rng.permutation(len(sentences)), len(own)))
        other = np.empty_like(own)
        by_length = np.argsort(sentences.length[own], kind="stable")
        other[by_length] = drawn[np.argsort(sentences.length[drawn], kind="stable")]
        if len(sentences) > 1:
            other = np.where(other == own, (other + 1) % len(sentences), other)
        other_place = rng.integers(0, sentences.targets[other[of_place]])
        return cls(sentence, place, word, other[of_place], other_place, alone)

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
        for chosen, partners, number, rows in self._chunks(sentences):
            word, some = self.word[rows], sentences.take(chosen)
            own[rows], weights = model.predicted(state, some, number, self.place[rows], word)
            exchanged = sentences.take(partners)
            after, place = (
                (exchanged, self.other_place[rows])
                if self.alone  # the same source, after the words of another place
                else (some.with_sources(exchanged), self.place[rows])
            )
            other[rows] = model.predicted(state, after, number, place, word)[0]
            x = np.repeat(some.x, number, axis=0)
            there = (x == best[word][:, None]) & (np.arange(x.shape[1]) < np.repeat(some.length, number)[:, None])
            attention[rows] = np.where(there.any(axis=1), (weights * there).sum(axis=1), np.nan)
        return Measured(own, other, attention)

    def _chunks(self, sentences: Sentences) -> Iterator[tuple[Indices, Indices, Indices, Indices]]:
        """Sentences of like lengths, the others that stand for them, how many places each has, and which."""
        order = np.lexsort((self.sentence, sentences.length[self.sentence]))
        first = np.flatnonzero(np.diff(self.sentence[order], prepend=-1))
        number = np.diff(first, append=len(order))
        own, other = self.sentence[order[first]], self.other[order[first]]
        ends = np.append(np.flatnonzero(np.diff(first // CHUNK)) + 1, len(first))
        for begin, end in zip(np.append(0, ends), ends, strict=False):
            if begin < end:
                rows = order[first[begin] : first[begin] + number[begin:end].sum()]
                yield own[begin:end], other[begin:end], number[begin:end], rows
