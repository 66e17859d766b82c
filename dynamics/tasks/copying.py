"""Copying: every target is the word at its own position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.tasks.distinct import check_distinct, distinct_words, of_same_words
from dynamics.tasks.examples import Examples
from dynamics.tasks.task import Task, as_examples, check_sizes, whole


@dataclass(frozen=True)
class Copying(Task):
    """Copying: x has L distinct words drawn from V, and the target at position t is y[t] = x[t].

    Permutations are ``vocab == length``: every word is in every input, so co-occurrence carries no signal.

    Attributes
    ----------
    vocab, length : int
        V and L.
    replacement : bool
        Draw the words with replacement, so that they may repeat and L may be above V.

    Raises
    ------
    InputError
        If a size is not a whole number from 1, or the words do not suffice.

    References
    ----------
    Snell, Zhong, Klein and Steinhardt, "Approximating How Single Head Attention Learns", arXiv 2103.07601.

    Examples
    --------
    >>> batch = Copying(vocab=4, length=2).sample(100, np.random.default_rng(0))
    >>> batch.length[:3], bool((batch.x == batch.y).all()), bool((batch.x[::2] == batch.x[1::2]).any())
    (array([2, 2, 2]), True, False)
    >>> Copying(vocab=3, length=3).population().C.round(3)  # permutations: C = c q^T
    array([[0.111, 0.111, 0.111],
           [0.111, 0.111, 0.111],
           [0.111, 0.111, 0.111]])
    """

    vocab: int
    length: int
    replacement: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, "vocab", "length")
        if not self.replacement:
            check_distinct(self, self.vocab, self.length, ", or draw them with replacement")

    @property
    def inputs(self) -> int:
        return self.vocab

    @property
    def outputs(self) -> int:
        return self.vocab

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        n = whole("n", n)
        if self.replacement:
            x = rng.integers(self.vocab, size=(n, self.length))
        else:
            x = distinct_words(n, self.vocab, self.length, rng)
        return as_examples(self, x, x)

    def population(self, gram: bool = False) -> CoOccurrence:
        return of_same_words(self, self.vocab, self.length, bool(self.replacement), gram)
