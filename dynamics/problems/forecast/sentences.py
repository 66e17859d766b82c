"""Pairs of sentences as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from dynamics.counts.text.encoding import EncodedPairs
from dynamics.support.errors import InputError

__all__ = ["Sentences"]


@dataclass(frozen=True, eq=False)
class Sentences:
    """Source sentences and the rows of their targets, padded on the right with zeros, which are never read.

    Attributes
    ----------
    x : array of int, shape (n, L)
        Source words.
    length : array of int, shape (n,)
        How many of them.
    p, o : array of int, shape (n, T)
        The target word before each row, first the start, and the target word of the row, last the end. Both the start
        among `p` and the end among `o` are the number of outputs.
    targets : array of int, shape (n,)
        How many rows, the end included.

    Examples
    --------
    >>> two = Sentences.of([([0, 1], [2]), ([1], [0, 1])], outputs=3)
    >>> two.p.tolist(), two.o.tolist(), two.targets.tolist(), two.mean_targets
    ([[3, 2, 0], [3, 0, 1]], [[2, 3, 0], [0, 1, 3]], [2, 3], 2.5)
    """

    x: Any
    length: Any
    p: Any
    o: Any
    targets: Any

    @classmethod
    def of(cls, pairs: Iterable[tuple[Sequence[int], Sequence[int]]], outputs: int) -> Sentences:
        """From pairs of word numbers; the start and the end of targets are added.

        Raises
        ------
        InputError
            There is no pair, or a source without a word.
        """
        pairs = list(pairs)
        sides = [[np.asarray(pair[side], dtype=np.int64) for pair in pairs] for side in (0, 1)]
        x, y = (np.concatenate([np.empty(0, np.int64), *side]) for side in sides)
        lengths = [np.array([len(one) for one in side], dtype=np.int64) for side in sides]
        return cls.encoded(EncodedPairs(x, lengths[0], y, lengths[1], np.arange(len(pairs))), outputs)

    @classmethod
    def encoded(cls, pairs: EncodedPairs, outputs: int) -> Sentences:
        """From a corpus as word numbers.

        Raises
        ------
        InputError
            There is no pair, or a source without a word.
        """
        if not len(pairs):
            raise InputError("there are no sentences; give one pair or more")
        length, targets = np.asarray(pairs.x_lengths), np.asarray(pairs.y_lengths) + 1
        if not length.all():
            raise InputError(f"sentence {int(np.argmin(length)) + 1} has no source word; leave it out")
        x = np.zeros((len(length), length.max()), int)
        x[np.arange(x.shape[1]) < length[:, None]] = pairs.x
        p, o = (np.zeros((len(length), targets.max()), int) for _ in range(2))
        places, last = np.arange(p.shape[1]), targets[:, None] - 1
        p[:, 0] = outputs
        p[(places > 0) & (places <= last)] = pairs.y
        o[places < last] = pairs.y
        o[places == last] = outputs
        return cls(x, length, p, o, targets)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, at: Any) -> Sentences:
        """Some of the sentences, by their numbers; as wide as the longest of them."""
        length, targets = self.length[at], self.targets[at]
        wide, long = int(length.max(initial=0)), int(targets.max(initial=0))
        return Sentences(self.x[at, :wide], length, self.p[at, :long], self.o[at, :long], targets)

    def with_sources(self, other: Sentences) -> Sentences:
        """These targets after the sources of as many other sentences."""
        return replace(self, x=other.x, length=other.length)

    @cached_property
    def mean_targets(self) -> float:
        """Mean number of rows of a sentence."""
        return float(self.targets.mean())
