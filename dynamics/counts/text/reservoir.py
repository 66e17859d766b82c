"""A sample of a corpus that does not depend on the order of the corpus or on how it is divided.

Every sentence pair has a key, a hash of its words and of a seed; the sample is the pairs with the smallest keys. So the
sample of two parts is had from the samples of the parts. Copies of a pair have one key: they are taken together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynamics.counts.text.encoding import EncodedPairs
from dynamics.support.errors import InputError
from dynamics.support.typing import Indices

__all__ = ["Reservoir", "taken"]


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Sentence pairs with the smallest keys; ``+`` puts the samples of two parts together.

    Attributes
    ----------
    pairs : EncodedPairs
        In the order of their keys, which is a random one; `kept` numbers them.
    keys : ndarray of uint64, shape (pairs,)
        In rising order.
    size : int or None
        At most so many pairs; None keeps all.
    seed : int
        Of the hash: another seed is another sample.

    Raises
    ------
    InputError
        If there are more pairs than `size`, or keys do not rise or do not go with the pairs.

    Examples
    --------
    >>> from dynamics.counts.text.encoding import encode
    >>> pairs = encode([(["a", "dog"], ["hund"]), (["cat"], ["katze"])], ["a", "cat", "dog"], ["hund", "katze"])
    >>> one, two = (Reservoir.of(taken(pairs, [k]), size=1) for k in (0, 1))
    >>> (one + two).keys == (two + one).keys, len((one + two).pairs)
    (array([ True]), 1)
    """

    pairs: EncodedPairs
    keys: NDArray[np.uint64]
    size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.pairs):
            raise InputError(f"a sample of sentences has {len(self.pairs):,} pairs and {len(self.keys):,} keys")
        if self.size is not None and len(self.pairs) > self.size:
            raise InputError(f"a sample of {self.size:,} sentences has {len(self.pairs):,}")
        if (self.keys[1:] < self.keys[:-1]).any():
            raise InputError("a sample of sentences is not in the order of its keys")

    @classmethod
    def of(cls, pairs: EncodedPairs, size: int | None = None, seed: int = 0) -> Reservoir:
        """The sample of a whole corpus, or of one block of it.

        Parameters
        ----------
        pairs : EncodedPairs
        size : int, optional
            At most so many pairs; all by default.
        seed : int
            From 0 to 2^64 - 1.
        """
        secret = int(seed).to_bytes(8, "little")
        x, y = pairs.x_starts.tolist(), pairs.y_starts.tolist()
        keys = np.empty(len(pairs), dtype=np.uint64)
        for k in range(len(pairs)):
            words = pairs.x[x[k] : x[k + 1]].tobytes() + b"\xff" * 8 + pairs.y[y[k] : y[k + 1]].tobytes()
            keys[k] = int.from_bytes(hashlib.blake2b(words, digest_size=8, key=secret).digest(), "little")
        return cls._smallest(pairs, keys, size, seed)

    def __add__(self, other: Reservoir) -> Reservoir:
        if (self.size, self.seed) != (other.size, other.seed):
            raise InputError("samples of different sizes or seeds cannot be put together: sample both parts alike")
        one, two = self.pairs, other.pairs
        both = EncodedPairs(
            np.concatenate([one.x, two.x]),
            np.concatenate([one.x_lengths, two.x_lengths]),
            np.concatenate([one.y, two.y]),
            np.concatenate([one.y_lengths, two.y_lengths]),
            np.arange(len(one) + len(two)),
        )
        return self._smallest(both, np.concatenate([self.keys, other.keys]), self.size, self.seed)

    @classmethod
    def _smallest(cls, pairs: EncodedPairs, keys: NDArray[np.uint64], size: int | None, seed: int) -> Reservoir:
        order = np.argsort(keys, kind="stable")[:size]
        return cls(taken(pairs, order), keys[order], size, seed)


def taken(pairs: EncodedPairs, order: Indices | list[int]) -> EncodedPairs:
    """Some sentence pairs of a corpus, in a given order; `kept` numbers them.

    Examples
    --------
    >>> from dynamics.counts.text.encoding import encode
    >>> pairs = encode([(["a", "dog"], ["hund"]), (["cat"], ["katze"])], ["a", "cat", "dog"], ["hund", "katze"])
    >>> taken(pairs, [1, 0]).x
    array([1, 0, 2])
    """
    chosen = np.asarray(order, dtype=np.int64)

    def side(words: Indices, starts: Indices, lengths: Indices) -> tuple[Indices, Indices]:
        sizes = lengths[chosen]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return words[np.repeat(starts[chosen], sizes) + within], sizes

    x, x_lengths = side(pairs.x, pairs.x_starts, pairs.x_lengths)
    y, y_lengths = side(pairs.y, pairs.y_starts, pairs.y_lengths)
    return EncodedPairs(x, x_lengths, y, y_lengths, np.arange(len(chosen)))
