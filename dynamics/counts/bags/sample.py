"""A bounded sample of the bags of a corpus that depends neither on its order nor on how it is divided.

A bag is a sentence with one of its targets: which words, how often each, and the target. Every different bag has a
key, a hash of these and of a seed. Kept are the bags with the smallest keys of the whole corpus, so that a target has
bags in proportion to how often it is one, and those with the smallest keys of every target, so that each has some. The
sample of two parts is had from the samples of the parts: a bag that is among the smallest of all is among the smallest
of its part, so that its copies are counted in full.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numpy.typing import NDArray

from dynamics.counts.text.encoding import EncodedPairs
from dynamics.counts.text.options import positive
from dynamics.support.content import ByContent
from dynamics.support.errors import InputError
from dynamics.support.typing import Arrays, Indices

__all__ = ["BagSample", "KeepBags"]

LEAST = 20
"""Bags of every target, where it has so many."""


@dataclass(frozen=True)
class KeepBags:
    """How many bags a sample keeps: at most ``size``, and beside them those that make ``least`` of each target.

    Attributes
    ----------
    size : int
        Of the corpus, whatever the target.
    least : int
        Of each target, where it has so many.
    seed : int
        Of the keys, from 0 to 2^64 - 1: another seed is another sample.

    Raises
    ------
    InputError
        Numbers that are not whole or not positive.

    Examples
    --------
    >>> KeepBags(25_000).most(outputs=200)
    29000
    """

    size: int
    least: int = LEAST
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("keep_bags", self.size))
        object.__setattr__(self, "least", positive("least", self.least))
        if max(self.size, self.least) >= 2**31:
            raise InputError(f"keep_bags is {max(self.size, self.least)}: a sample has fewer than 2^31 bags")
        if not 0 <= self.seed < 2**64:
            raise InputError(f"the seed {self.seed} of the bags is not between 0 and 2^64 - 1")

    @classmethod
    def of(cls, given: int | KeepBags | None) -> KeepBags | None:
        """Of a number of bags, or as it is."""
        return given if given is None or isinstance(given, KeepBags) else cls(given)

    def most(self, outputs: int) -> int:
        """No sample of a corpus with so many outputs has more bags."""
        return self.size + self.least * outputs


@dataclass(frozen=True, eq=False)
class BagSample(ByContent):
    """A sample of bags; ``+`` puts the samples of two parts together.

    Every sentence is stored once, whatever the number of its targets that are kept. A bag takes 12 bytes, a sentence
    that some bag is of 12 and 8 for every different word.

    Attributes
    ----------
    hashes : ndarray of uint64, shape (sentences,)
        Of the words of each sentence and of the seed, in rising order.
    count : ndarray of int32, shape (sentences,)
        Different words in each.
    word, times : ndarray of int32, shape (sum of count,)
        Which they are, and how often each stands in the sentence; one sentence after the other.
    sentence, target : ndarray of int32, shape (bags,)
        The sentence that each bag is of, in rising order, and the output that it has for a target.
    copies : ndarray of int32, shape (bags,)
        How often each occurs in the corpus.
    seen : ndarray of int64, shape (outputs,)
        How often each output is a target in the whole corpus.
    keep : KeepBags
        What the sample keeps.

    Raises
    ------
    InputError
        Arrays that do not go together, or more bags than are kept.

    Examples
    --------
    >>> from dynamics.counts.text.encoding import encode
    >>> text = [(["a", "dog"], ["hund"]), (["a", "cat"], ["katze"]), (["a", "dog"], ["hund"])]
    >>> pairs = encode(text, ["a", "cat", "dog"], ["hund", "katze"])
    >>> found = BagSample.of(pairs, 2, KeepBags(100))
    >>> sorted(zip(found.target.tolist(), found.copies.tolist())), found.seen, found.complete
    ([(0, 2), (1, 1)], array([2, 1]), True)
    """

    hashes: NDArray[np.uint64]
    count: NDArray[np.int32]
    word: NDArray[np.int32]
    times: NDArray[np.int32]
    sentence: NDArray[np.int32]
    target: NDArray[np.int32]
    copies: NDArray[np.int32]
    seen: Indices
    keep: KeepBags

    def __post_init__(self) -> None:
        bags, sentences, most = len(self.target), len(self.hashes), self.keep.most(len(self.seen))
        if len(self.copies) != bags or len(self.sentence) != bags or len(self.count) != sentences:
            raise InputError("a sample of bags has arrays of different lengths")
        if self.count.sum() != len(self.word) or len(self.word) != len(self.times):
            raise InputError(f"the sentences of bags hold {self.count.sum():,} words, but there are {len(self.word):,}")
        if bags > most:
            raise InputError(f"a sample of {most:,} bags has {bags:,}")
        if bags and not (
            self.target.min() >= 0 and self.target.max() < len(self.seen) and self.word.min() >= 0
            and min(self.times.min(), self.copies.min(), self.count.min()) > 0
            and self.sentence[0] == 0 and self.sentence[-1] == sentences - 1
            and np.isin(np.diff(self.sentence), (0, 1)).all()
        ):  # fmt: skip
            raise InputError("a sample of bags has sentences, targets or words that there are not")

    def __len__(self) -> int:
        return len(self.target)

    @property
    def complete(self) -> bool:
        """Whether the corpus has no other bag."""
        return bool(self.copies.sum() == self.seen.sum())

    @property
    def held(self) -> Indices:
        """How often each output is a target among the bags, copies counted; shape (outputs,)."""
        found: Indices = np.bincount(self.target, self.copies, len(self.seen)).astype(np.int64)
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(getattr(self, field.name).nbytes for field in fields(self) if field.name != "keep")

    @property
    def shares(self) -> scipy.sparse.csr_array:
        """The distribution of the words in each sentence, shape (sentences, words)."""
        starts = np.concatenate([[0], np.cumsum(self.count, dtype=np.int64)])
        length = np.repeat(np.add.reduceat(self.times, starts[:-1]), self.count) if len(self) else self.times
        inputs = 1 + int(self.word.max(initial=-1))
        return scipy.sparse.csr_array((self.times / length, self.word.copy(), starts), (len(self.hashes), inputs))

    @classmethod
    def empty(cls, outputs: int, keep: KeepBags) -> BagSample:
        """Of a corpus without a sentence."""
        none = np.empty(0, np.int32)
        seen = np.zeros(outputs, np.int64)
        return cls(np.empty(0, np.uint64), none, none, none, none, none, none, seen, keep)

    @classmethod
    def of(cls, pairs: EncodedPairs, outputs: int, keep: KeepBags) -> BagSample:
        """The sample of a whole corpus, or of one block of it."""
        sentences, targets = _counted(pairs.x, pairs.x_starts), _counted(pairs.y, pairs.y_starts)
        secret = keep.seed.to_bytes(8, "little")
        starts, hashes = sentences.indptr.tolist(), np.empty(len(pairs), np.uint64)
        words, times = sentences.indices.astype("<i8"), sentences.data.astype("<i8")
        for k in range(len(pairs)):
            own = slice(starts[k], starts[k + 1])
            hashed = hashlib.blake2b(words[own].tobytes() + times[own].tobytes(), digest_size=8, key=secret)
            hashes[k] = int.from_bytes(hashed.digest(), "little")
        row = np.repeat(np.arange(len(pairs)), np.diff(targets.indptr))
        seen = np.bincount(pairs.y, minlength=outputs).astype(np.int64)
        return _smallest(hashes, sentences, row, targets.indices, targets.data, seen, keep)

    def __add__(self, other: BagSample) -> BagSample:
        if self.keep != other.keep or len(self.seen) != len(other.seen):
            raise InputError("samples of bags of different sizes, seeds or outputs: sample both parts alike")

        def both(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(self, name), getattr(other, name)])

        starts = np.concatenate([[0], np.cumsum(both("count"), dtype=np.int64)])
        shape = (len(starts) - 1, 1 + int(both("word").max(initial=0)))
        sentences = scipy.sparse.csr_array((both("times"), both("word"), starts), shape)
        row = np.concatenate([self.sentence, other.sentence + len(self.hashes)])
        return _smallest(
            both("hashes"), sentences, row, both("target"), both("copies"), self.seen + other.seen, self.keep
        )

    def relabelled(self, inputs: Indices, outputs: Indices) -> BagSample:
        """With the words and targets that are left of a vocabulary, by their numbers in it: all that occur."""
        new_word = np.full(1 + max(int(self.word.max(initial=0)), int(inputs.max())), -1, np.int32)
        new_target = np.full(len(self.seen), -1, np.int32)
        new_word[inputs], new_target[outputs] = np.arange(len(inputs)), np.arange(len(outputs))
        return replace(self, word=new_word[self.word], target=new_target[self.target], seen=self.seen[outputs])

    def packed(self, prefix: str = "bags_") -> Arrays:
        """As arrays by name, for files and for workers."""
        found: Arrays = {f"{prefix}{field.name}": getattr(self, field.name) for field in fields(self)[:-1]}
        keep = self.keep
        return {**found, f"{prefix}keep": np.array([keep.size, keep.least, keep.seed], np.uint64)}

    @classmethod
    def unpacked(cls, arrays: Arrays, prefix: str = "bags_") -> BagSample:
        """From what :meth:`packed` gave."""
        size, least, seed = map(int, arrays[f"{prefix}keep"])
        own = {field.name: arrays[f"{prefix}{field.name}"] for field in fields(cls)[:-1]}
        return cls(**own, keep=KeepBags(size, least, seed))


def _smallest(
    hashes: NDArray[np.uint64],
    sentences: scipy.sparse.csr_array,
    row: NDArray[Any],
    target: NDArray[Any],
    copies: NDArray[Any],
    seen: Indices,
    keep: KeepBags,
) -> BagSample:
    """The sample of some bags, whose sentences are rows of a matrix (sentence, word); copies are put together."""
    order = np.lexsort((target, hashes[row]))
    of_bag, target = hashes[row[order]], target[order]
    first = np.flatnonzero(np.concatenate([[True], (np.diff(of_bag) != 0) | (np.diff(target) != 0)])[: len(order)])
    copies = np.add.reduceat(copies[order], first) if len(first) else copies
    of_bag, target, row = of_bag[first], target[first], row[order[first]]
    keys = _mixed(of_bag ^ _mixed(target.astype(np.uint64) + np.uint64(1)))

    smallest = np.zeros(len(keys), bool)
    smallest[np.argsort(keys, kind="stable")[: keep.size]] = True
    by_target = np.lexsort((keys, target))
    begins = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=len(seen)))])
    smallest[by_target[np.arange(len(keys)) - begins[target[by_target]] < keep.least]] = True

    found, at, sentence = np.unique(of_bag[smallest], return_index=True, return_inverse=True)
    kept = sentences[row[smallest][at]]
    return BagSample(
        found, np.diff(kept.indptr).astype(np.int32), kept.indices.astype(np.int32), kept.data.astype(np.int32),
        sentence.astype(np.int32), target[smallest].astype(np.int32), copies[smallest].astype(np.int32), seen, keep,
    )  # fmt: skip


def _counted(words: Indices, starts: Indices) -> scipy.sparse.csr_array:
    """How often each word stands in each sentence, words in order."""
    ones = np.ones(len(words), np.int64)
    found = scipy.sparse.csr_array((ones, words.copy(), starts), shape=(len(starts) - 1, 1 + int(words.max(initial=0))))
    found.sum_duplicates()
    return found


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Whole numbers of 64 bits to others, each bit from all bits: the last steps of SplitMix64 (Steele et al. 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
