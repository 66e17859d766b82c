"""A toy lexicon: translation word by word, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.tasks.distinct import check_distinct, distinct_words, of_same_words
from dynamics.tasks.examples import Examples
from dynamics.tasks.task import Task, as_examples, check_sizes, whole


@dataclass(frozen=True)
class ToyLexicon(Task):
    """Translation word by word: L distinct words drawn from V, the targets are their translations in random order.

    The translation of word i is output i.

    Attributes
    ----------
    vocab, length : int
        V and L.

    Raises
    ------
    InputError
        If a size is not a whole number from 1, or the words do not suffice.

    References
    ----------
    Snell, Zhong, Klein and Steinhardt, "Approximating How Single Head Attention Learns", arXiv 2103.07601.

    Examples
    --------
    >>> sentence = ToyLexicon(vocab=60, length=8).examples(1, seed=1)
    >>> sorted(sentence.x) == sorted(sentence.y), bool((sentence.x == sentence.y).all())
    (True, False)
    """

    vocab: int
    length: int

    def __post_init__(self) -> None:
        check_sizes(self, "vocab", "length")
        check_distinct(self, self.vocab, self.length)

    @property
    def inputs(self) -> int:
        return self.vocab

    @property
    def outputs(self) -> int:
        return self.vocab

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        x = distinct_words(whole("n", n), self.vocab, self.length, rng)
        return as_examples(self, x, rng.permuted(x, axis=1))

    def population(self, gram: bool = False) -> CoOccurrence:
        return of_same_words(self, self.vocab, self.length, False, gram)
