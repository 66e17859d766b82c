"""A corpus as ids of words."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from warnings import warn

import numpy as np

from dynamics.counts.text.corpus import Corpus
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.typing import Indices

BLOCK_WORDS = 1_000_000
"""Words (both sides together) that are held in memory at a time when a corpus is counted."""


@dataclass(frozen=True, eq=False)
class EncodedPairs:
    """A corpus as word ids: one flat array a side, with the length of each sentence.

    Attributes
    ----------
    x, y : ndarray of int64, shape (input words,) and (output words,)
        Ids of the kept words of all sentences, one sentence after the other.
    x_lengths, y_lengths : ndarray of int64, shape (pairs,)
        Kept words in each sentence: L and T of the theory, at least 1.
    kept : ndarray of int64, shape (pairs,)
        Position of each pair in the corpus, from 0.

    Examples
    --------
    >>> from dynamics.counts.text.corpus import ParallelText
    >>> pairs = encode(ParallelText(["a dog", "two"], ["ein hund", "zwei"]), ["a", "dog", "two"], ["ein", "zwei"])
    >>> pairs.x, pairs.x_starts, pairs.y
    (array([0, 1, 2]), array([0, 2, 3]), array([0, 1]))
    """

    x: Indices
    x_lengths: Indices
    y: Indices
    y_lengths: Indices
    kept: Indices

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def x_starts(self) -> Indices:
        """Where each input begins in `x`, and the end: shape (pairs + 1,)."""
        return np.concatenate([[0], np.cumsum(self.x_lengths)])

    @property
    def y_starts(self) -> Indices:
        """Where each output begins in `y`, and the end: shape (pairs + 1,)."""
        return np.concatenate([[0], np.cumsum(self.y_lengths)])


def encode(text: Corpus, inputs: Sequence[str], outputs: Sequence[str]) -> EncodedPairs:
    """Word ids of a whole corpus; words outside the vocabularies are dropped, and pairs that this leaves one-sided.

    Parameters
    ----------
    text : ParallelText, LabelledText or any iterable of (input words, output words)
    inputs, outputs : sequence of str
        The vocabularies; a word's id is its position.

    Returns
    -------
    EncodedPairs

    Raises
    ------
    InputError
        If no pair is left, and what the corpus raises when it is read.

    Warns
    -----
    DataWarning
        If pairs were dropped: how many, and the first of them.

    Examples
    --------
    >>> from dynamics.counts.text.corpus import ParallelText
    >>> encode(ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"]), ["a", "cat"], ["hund", "katze"]).x
    array([0, 0, 1])
    """
    [pairs] = encoded_blocks(text, inputs, outputs, block_words=sys.maxsize)
    return pairs


@dataclass(frozen=True)
class Skipped:
    """Pairs that are left out because no word of one side is kept.

    Attributes
    ----------
    pairs : int
        In the corpus.
    dropped : int
        Of them.
    first : int
        Position of the first, from 1; 0 if there is none.
    """

    pairs: int
    dropped: int
    first: int


def complain(skipped: Skipped, where: str = "") -> None:
    """Warn that pairs are left out, or refuse a corpus of which nothing is left.

    Parameters
    ----------
    skipped : Skipped
    where : str
        Of what file the first pair is, with a space before it.

    Raises
    ------
    InputError
        If no pair is left.

    Warns
    -----
    DataWarning
        If some are left out.
    """
    if skipped.dropped == skipped.pairs:
        raise InputError(f"none of the {skipped.pairs:,} pairs has a kept word on both sides: keep more words")
    if skipped.dropped:
        warn(
            f"{skipped.dropped:,} of {skipped.pairs:,} pairs have no kept word on one side and are left out (the first "
            f"is pair {skipped.first:,}{where})",
            DataWarning,
            stacklevel=3,
        )


def encoded_blocks(
    text: Corpus,
    inputs: Sequence[str],
    outputs: Sequence[str],
    block_words: int | None = None,
    skipped: Callable[[Skipped], None] = complain,
) -> Iterator[EncodedPairs]:
    """Word ids of a corpus, some sentences at a time, for corpora that do not fit into memory.

    Parameters
    ----------
    text, inputs, outputs
        As for `encode`.
    block_words : int, optional
        A block is complete with the first sentence that brings it to so many words, both sides together; `BLOCK_WORDS`
        by default.
    skipped : callable
        Called after the last block with what was left out.

    Yields
    ------
    EncodedPairs
        In the order of the corpus; never an empty block.

    Raises
    ------
    InputError
        As `encode`.

    Warns
    -----
    DataWarning
        After the last block, as `encode`.

    Examples
    --------
    >>> from dynamics.counts.text.corpus import ParallelText
    >>> text = ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"])
    >>> [len(block) for block in encoded_blocks(text, ["a"], ["hund", "katze"], block_words=2)]
    [1, 1]
    """
    limit = BLOCK_WORDS if block_words is None else block_words
    x_ids = {word: number for number, word in enumerate(inputs)}
    y_ids = {word: number for number, word in enumerate(outputs)}
    x: list[int] = []
    y: list[int] = []
    lengths: list[tuple[int, int]] = []
    kept: list[int] = []
    pairs, dropped, first_dropped = 0, 0, 0
    for source, target in text:
        pairs += 1
        xs = [x_ids[word] for word in source if word in x_ids]
        ys = [y_ids[word] for word in target if word in y_ids]
        if not xs or not ys:
            dropped += 1
            first_dropped = first_dropped or pairs
            continue
        x += xs
        y += ys
        lengths.append((len(xs), len(ys)))
        kept.append(pairs - 1)
        if len(x) + len(y) >= limit:
            yield _packed(x, y, lengths, kept)
            x, y, lengths, kept = [], [], [], []
    if kept:
        yield _packed(x, y, lengths, kept)
    skipped(Skipped(pairs, dropped, first_dropped))


def _packed(x: list[int], y: list[int], lengths: list[tuple[int, int]], kept: list[int]) -> EncodedPairs:
    x_lengths, y_lengths = np.array(lengths, dtype=np.int64).T.copy()
    return EncodedPairs(
        x=np.array(x, dtype=np.int64),
        x_lengths=x_lengths,
        y=np.array(y, dtype=np.int64),
        y_lengths=y_lengths,
        kept=np.array(kept, dtype=np.int64),
    )
