"""Counts of a corpus in many parts, here or on a cluster, that do not depend on the parts or on their order.

A count is a sum of fractions n_i/L. Sums of floats depend on the order of the terms in their last bits, and so would
depend on which worker is first. Here every fraction is a whole number of 2^-30, 2^-60, ..., the digits of a number in
base 2^30. Sums of whole numbers are exact: a corpus gives the same bits however it is divided into files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numpy.typing import NDArray

from dynamics.counts.bags.sample import BagSample, KeepBags
from dynamics.counts.files.labels import checked_word
from dynamics.counts.text.corpus import LabelledText, ParallelText
from dynamics.counts.text.encoding import EncodedPairs, Skipped, complain, encoded_blocks
from dynamics.counts.text.vocabulary import count_words, vocabulary
from dynamics.support.blocks import finished
from dynamics.support.files import sha256
from dynamics.support.typing import Arrays

BITS = 30
"""Of a digit. Sums of products of digits with numbers of words stay below 2^63 for files of up to 2^33 words, and so
does the first digit of a count below 2^33."""

COUNT_DIGITS = 2
"""n_i/L to 2^-60: for sentences of up to 100 words no worse than a float."""

GRAM_DIGITS = 3
"""n_k/L^2 is smaller."""

Digits = tuple[Any, ...]
"""A matrix of numbers in base 2^30 as csr_arrays of int64: of units 2^-30, 2^-60, ..."""

Part = ParallelText | LabelledText


@dataclass(frozen=True)
class Tally:
    """What is summed over a corpus, exactly; ``+`` puts two parts together.

    Attributes
    ----------
    counts : Digits, shape (inputs, outputs)
        Sum of n_i/L * n_o over the pairs.
    gram : Digits, shape (inputs, inputs)
        Sum of T * n_i/L * n_k/L with T the number of targets; no digits if it is not wanted. They are cut off in one of
        the two factors, so it is symmetric up to the last digit only.
    pairs, words, targets : int
    words_of_targets : int
        Sum of T * L.
    bags : BagSample or None
        Sampled beside, if that is wanted.
    """

    counts: Digits
    gram: Digits = ()
    pairs: int = 0
    words: int = 0
    targets: int = 0
    words_of_targets: int = 0
    bags: BagSample | None = None

    @classmethod
    def empty(cls, shape: tuple[int, int], gram: bool, keep: KeepBags | None = None) -> Tally:
        return cls(
            _zeros(shape, COUNT_DIGITS),
            _zeros((shape[0], shape[0]), GRAM_DIGITS if gram else 0),
            bags=None if keep is None else BagSample.empty(shape[1], keep),
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            _sum(self.counts, other.counts),
            _sum(self.gram, other.gram),
            self.pairs + other.pairs,
            self.words + other.words,
            self.targets + other.targets,
            self.words_of_targets + other.words_of_targets,
            self.bags if other.bags is None else other.bags if self.bags is None else self.bags + other.bags,
        )


def tally(blocks: Iterable[EncodedPairs], shape: tuple[int, int], gram: bool, keep: KeepBags | None = None) -> Tally:
    """Sum a corpus block by block through products of sparse (sentence, word) matrices.

    Parameters
    ----------
    blocks : iterable of EncodedPairs
    shape : (int, int)
        Numbers of inputs and of outputs.
    gram : bool
        Sum `Tally.gram` too.
    keep : KeepBags, optional
        Sample `Tally.bags` too.

    Returns
    -------
    Tally
    """
    return total((_tally(block, shape, gram, keep) for block in blocks), Tally.empty(shape, gram, keep))


def total(tallies: Iterable[Tally], empty: Tally) -> Tally:
    """The sum, in pairs of like sizes: a long sum is not gone through again for every short one."""
    waiting: list[tuple[int, Tally]] = []
    for found in tallies:
        size = 1
        while waiting and waiting[-1][0] == size:
            found += waiting.pop()[1]
            size *= 2
        waiting.append((size, found))
    return reduce(add, (found for _, found in reversed(waiting)), empty)


def _tally(block: EncodedPairs, shape: tuple[int, int], gram: bool, keep: KeepBags | None) -> Tally:
    bags = _bags(block.x, block.x_starts, shape[0])
    targets = _bags(block.y, block.y_starts, shape[1])
    in_sentence = np.diff(bags.indptr)
    L, T = np.repeat(block.x_lengths, in_sentence), np.repeat(block.y_lengths, in_sentence)

    def shares(digits: Iterable[NDArray[np.int64]]) -> Digits:
        return tuple(scipy.sparse.csr_array((d, bags.indices, bags.indptr), shape=bags.shape) for d in digits)

    counts = tuple(_product(share, targets) for share in shares(_quotient(_digits(bags.data, COUNT_DIGITS), L)))
    squares: Digits = ()
    if gram:
        per_target = _quotient(_quotient(_digits(bags.data, GRAM_DIGITS), L), L)
        squares = tuple(_product(bags, share) for share in _carried(shares(digit * T for digit in per_target)))
    return Tally(
        _carried(counts),
        _carried(squares),
        len(block),
        len(block.x),
        len(block.y),
        int(block.x_lengths @ block.y_lengths),
        None if keep is None else BagSample.of(block, shape[1], keep),
    )


def value(number: Digits) -> Any:
    """The floats next to exact sums, as a csr_array.

    Examples
    --------
    >>> third = tuple(scipy.sparse.csr_array(d[None]) for d in _quotient(_digits(np.array([1]), 2), np.array([3])))
    >>> value(_sum(third, _sum(third, third))).toarray()
    array([[1.]])
    """
    found = scipy.sparse.csr_array(number[0].shape)
    for digit in reversed(_carried(number)):
        found = (found + digit.astype(np.float64)) * 2.0**-BITS
    return found


def symmetric(number: Digits) -> Any:
    """The floats next to the mean of a matrix of exact sums and its transpose: the same on either side, to the bit."""
    return value(_sum(number, tuple(digit.T.tocsr() for digit in number))) / 2


def _bags(words: NDArray[np.int64], starts: NDArray[np.int64], vocabulary_size: int) -> Any:
    """How often each word is in each sentence."""
    ones = np.ones(len(words), dtype=np.int64)
    bags = scipy.sparse.csr_array((ones, words.copy(), starts), shape=(len(starts) - 1, vocabulary_size))
    bags.sum_duplicates()
    return bags


def _digits(whole: NDArray[np.int64], number: int) -> list[NDArray[np.int64]]:
    """Whole numbers in units of 2^-30, 2^-60, ..."""
    return [whole << BITS, *[np.zeros_like(whole)] * (number - 1)]


def _quotient(digits: Iterable[NDArray[np.int64]], divisor: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Long division, cut off after the last digit."""
    rest = np.zeros_like(divisor)
    found = []
    for digit in digits:
        quotient, rest = np.divmod((rest << BITS) + digit, divisor)
        found.append(quotient)
    return found


def _product(a: Any, b: Any) -> Any:
    """a^T b, with its columns in order: additions are faster, and give one order of the cells."""
    found = a.T.tocsr() @ b
    found.sort_indices()
    return found


def _sum(a: Digits, b: Digits) -> Digits:
    """Without a carry: digits have room for 2^33 of these."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _carried(number: Digits) -> Digits:
    """All digits but the first below 2^30: every number is written in one way only."""
    found = list(number)
    for place in range(len(found) - 1, 0, -1):
        digit = found[place]
        found[place] = scipy.sparse.csr_array((digit.data & 2**BITS - 1, digit.indices, digit.indptr), digit.shape)
        carry = scipy.sparse.csr_array((digit.data >> BITS, digit.indices, digit.indptr), digit.shape)
        found[place - 1] = found[place - 1] + carry
    return tuple(found)


def _zeros(shape: tuple[int, int], digits: int) -> Digits:
    return tuple(scipy.sparse.csr_array(shape, dtype=np.int64) for _ in range(digits))


@dataclass(frozen=True)
class Counted:
    """A corpus that has been counted.

    Attributes
    ----------
    inputs, outputs : tuple of str
        The vocabularies.
    tally : Tally
    words : (int, int)
        Words on either side before any was dropped.
    pairs : int
        Pairs before any was left out.
    digests : tuple of mapping of str to str
        SHA-256 of the files of each part, by the name of the side.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tally: Tally
    words: tuple[int, int]
    pairs: int
    digests: tuple[Mapping[str, str], ...]


def count(
    parts: Sequence[Part],
    max_vocab: int | None = None,
    min_count: int = 1,
    gram: bool = False,
    scheduler: str | None = None,
    progress: Callable[[float], None] | None = None,
    keep: KeepBags | None = None,
) -> Counted:
    """Count a corpus in two passes: the words of all parts, which decide the vocabulary, then the pairs.

    Parameters
    ----------
    parts : sequence of ParallelText or LabelledText
        One corpus, in order.
    max_vocab, min_count, gram
        As for `dynamics.counts.cooccurrence.CoOccurrence.from_parallel_text`.
    scheduler : str, optional
        The address of a Dask scheduler whose workers read the parts. They see the files under the same paths.
    progress : callable, optional
        Called with the share that is done.
    keep : KeepBags, optional
        Sample bags too.

    Returns
    -------
    Counted
        The same bits for every division of the corpus into parts, and in whatever order workers finish.

    Raises
    ------
    InputError
        What the parts raise when they are read; if no word or no pair is left; if a word that is kept is too long (see
        `dynamics.counts.files.labels.checked_word`); if no scheduler answers.

    Warns
    -----
    DataWarning
        If pairs were left out because no word of one side was kept.

    Examples
    --------
    >>> counted = count([ParallelText(["a dog"], ["ein hund"]), ParallelText(["a cat"], ["eine katze"])])
    >>> counted.inputs, counted.tally.pairs
    (('a', 'cat', 'dog'), 2)
    """
    blocks = {str(number): part for number, part in enumerate(parts)}

    def done(work: Callable[[Part], Arrays], passes_before: int) -> Iterable[tuple[int, Arrays]]:
        for finished_before, (key, arrays) in enumerate(finished(work, blocks, scheduler=scheduler)):
            yield int(key), arrays
            if progress is not None:
                progress((passes_before + (finished_before + 1) / len(parts)) / 2)

    counters: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    digests: dict[int, dict[str, str]] = {}
    pairs: dict[int, int] = {}
    for number, arrays in done(_words, 0):
        for side, counter in enumerate(counters):
            counter.update(dict(zip(_unpacked(arrays[f"words{side}"]), arrays[f"numbers{side}"].tolist(), strict=True)))
        digests[number] = {name: str(arrays[f"sha256_{name}"]) for name in files(parts[number])}
        pairs[number] = int(arrays["pairs"])
    inputs = vocabulary(counters[0], max_vocab, min_count)
    labelled = isinstance(parts[0], LabelledText)
    outputs = tuple(sorted(counters[1], key=_by_size)) if labelled else vocabulary(counters[1], max_vocab, min_count)
    for word in (*inputs, *outputs):  # before the second pass, which takes as long as the first
        checked_word(word, "a word of the text")

    first_skipped: dict[int, int] = {}

    def tallies() -> Iterator[Tally]:
        for number, arrays in done(partial(_tallied, inputs=inputs, outputs=outputs, gram=gram, keep=keep), 1):
            if arrays["first_skipped"]:
                first_skipped[number] = int(arrays["first_skipped"])
            yield _read(arrays, empty)

    empty = Tally.empty((len(inputs), len(outputs)), gram, keep)
    found = total(tallies(), empty)
    all_pairs = sum(pairs.values())
    first = min(first_skipped, default=0)
    complain(
        Skipped(all_pairs, all_pairs - found.pairs, first_skipped.get(first, 0)),
        f" of {' and '.join(map(str, files(parts[first]).values()))}" if len(parts) > 1 else "",
    )
    words = (counters[0].total(), counters[1].total())
    return Counted(inputs, outputs, found, words, all_pairs, tuple(digests[number] for number in range(len(parts))))


def within(parts: Sequence[Part], max_pairs: int | None) -> list[Part]:
    """The parts with the first so many pairs; the last of them may be cut short."""
    if max_pairs is None or len(parts) == 1:
        return list(parts)
    found: list[Part] = []
    for part in parts:
        head = replace(part, max_pairs=max_pairs)
        found.append(head)
        max_pairs -= sum(1 for _ in replace(head, tokenizer="whitespace", lower=False))
        if max_pairs == 0:
            break
    return found


def sides(part: Part) -> tuple[str, ...]:
    """The names of the texts of a part."""
    if isinstance(part, ParallelText):
        return ("source", "target")
    return ("texts",) if part.labels is None else ("texts", "labels")


def files(part: Part) -> dict[str, Path]:
    """The files that a part is read from, by the name of the side."""
    return {name: path for name in sides(part) if isinstance(path := getattr(part, name), Path)}


def _words(part: Part) -> Arrays:
    """The first pass over a part."""
    *counters, pairs = count_words(part)
    arrays: Arrays = {"pairs": np.array(pairs)}
    arrays |= {f"sha256_{name}": np.array(sha256(path)) for name, path in files(part).items()}
    for side, counter in enumerate(counters):
        arrays[f"words{side}"] = _packed(list(counter))
        arrays[f"numbers{side}"] = np.array(list(counter.values()), dtype=np.int64)
    return arrays


def _tallied(part: Part, inputs: Sequence[str], outputs: Sequence[str], gram: bool, keep: KeepBags | None) -> Arrays:
    """The second pass over a part."""
    skipped: list[Skipped] = []
    blocks = encoded_blocks(part, inputs, outputs, skipped=skipped.append)
    found = tally(blocks, (len(inputs), len(outputs)), gram, keep)
    arrays = {
        "numbers": np.array([found.pairs, found.words, found.targets, found.words_of_targets]),
        "first_skipped": np.array(skipped[0].first),
    }
    for name, number in (("counts", found.counts), ("gram", found.gram)):
        for place, digit in enumerate(number):
            for array in ("data", "indices", "indptr"):
                arrays[f"{name}{place}{array}"] = getattr(digit, array)
    return arrays if found.bags is None else {**arrays, **found.bags.packed()}


def _read(arrays: Arrays, like: Tally) -> Tally:
    def number(name: str, shapes: Digits) -> Digits:
        return tuple(
            scipy.sparse.csr_array(
                tuple(arrays[f"{name}{place}{array}"] for array in ("data", "indices", "indptr")), shape=digit.shape
            )
            for place, digit in enumerate(shapes)
        )

    bags = None if like.bags is None else BagSample.unpacked(arrays)
    pairs, words, targets, words_of_targets = map(int, arrays["numbers"])
    counts, gram = number("counts", like.counts), number("gram", like.gram)
    return Tally(counts, gram, pairs, words, targets, words_of_targets, bags)


def _packed(words: list[str]) -> NDArray[np.uint8]:
    """NumPy's string arrays pad every word to the longest and lose trailing NULs."""
    return np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)


def _unpacked(words: NDArray[np.uint8]) -> list[str]:
    return list(json.loads(words.tobytes()))


def _by_size(label: str) -> tuple[bool, int, str]:
    number = label.isascii() and label.removeprefix("-").isdecimal()
    return not number, int(label) if number else 0, label
