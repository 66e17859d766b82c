"""Inputs of distinct words, and targets that are the words of the input."""

from __future__ import annotations

import numpy as np

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.support.errors import InputError
from dynamics.support.typing import Indices
from dynamics.tasks.task import Task, as_population


def distinct_words(n: int, vocab: int, length: int, rng: np.random.Generator) -> Indices:
    """Rows of distinct ids in random order, shape (n, length), all equally likely."""
    if vocab < 4 * length:
        return rng.random((n, vocab)).argsort(axis=1)[:, :length]
    # Short rows: first x[k] is a rank among the words that x[:k] leave over, then ranks become words.
    x = (rng.random((length, n)) * (vocab - np.arange(length))[:, None]).astype(np.int64)
    for k in range(length - 2, -1, -1):
        later = x[k + 1 :]
        later += later >= x[k]
    return x.T


def of_same_words(task: Task, vocab: int, length: int, replacement: bool, gram: bool) -> CoOccurrence:
    """C where the targets are the words of the input; it is G too, as both draw two words of one sentence."""
    same = 1 / length + (1 - 1 / length) * replacement / vocab
    C = np.full((vocab, vocab), (1 - same) / vocab / max(vocab - 1, 1))
    np.fill_diagonal(C, same / vocab)
    return as_population(task, C, length, C if gram else None)


def check_distinct(task: Task, vocab: int, length: int, otherwise: str = "") -> None:
    """Refuse inputs of more distinct words than there are; the message ends with what else could be done."""
    if length > vocab:
        raise InputError(
            f"{type(task).__name__}: {length} distinct words cannot be drawn from {vocab}; give a length up to "
            f"vocab{otherwise}"
        )
