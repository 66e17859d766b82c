"""Examples: encoded inputs of any length with their targets, as the exact models take them."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.counts.files.labels import checked_word
from dynamics.counts.text.corpus import LabelledText, ParallelText, Text
from dynamics.counts.text.encoding import EncodedPairs, encode
from dynamics.counts.text.options import ByName, LabelledByName, TextOptions
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.typing import Indices, Numbers


@dataclass(frozen=True, eq=False)
class Examples:
    """N inputs of any length, each with one target or more, as ids.

    Make them from text with `from_labelled_text` or `from_parallel_text`, from ids with `from_rows`.

    Attributes
    ----------
    x : ndarray of int64, shape (words,)
        Input words of all examples, one example after the other.
    length : ndarray of int64, shape (N,)
        Words of each example, at least 1.
    y : ndarray of int64, shape (answers,)
        Targets of all examples, one example after the other.
    targets : ndarray of int64, shape (N,)
        Targets of each example, at least 1.
    inputs, outputs : int
        Vocabulary sizes V and K; ids are below them.
    positions : (int, int), optional
        Largest length and largest number of targets that examples of this kind may have; theirs if not given. Models
        with positional attention have a logit for each.
    labels : (tuple of str, tuple of str), optional
        What the ids of inputs and outputs stand for: the coordinates of results.

    Raises
    ------
    InputError
        Lengths that do not add up, examples without a word or a target, ids that are no whole numbers or out of range
        (the first is named), positions below the lengths, or labels that repeat, are no words or are not one for each
        id.

    Examples
    --------
    >>> examples = Examples.from_rows([[0, 2], [1]], [[1], [0]], inputs=3, outputs=2)
    >>> len(examples), examples.x, examples.length
    (2, array([0, 2, 1]), array([2, 1]))
    """

    x: Indices
    length: Indices
    y: Indices
    targets: Indices
    inputs: int
    outputs: int
    positions: tuple[int, int] | None = None
    labels: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        for name in ("x", "length", "y", "targets"):
            object.__setattr__(self, name, _whole_numbers(getattr(self, name), name))
        if len(self.length) != len(self.targets):
            raise InputError(f"{len(self.length)} inputs but {len(self.targets)} rows of targets; give one for each")
        if len(self.length) == 0:
            raise InputError("there are no examples; give at least one")
        for ids, counts, size, what in (
            (self.x, self.length, self.inputs, "word"),
            (self.y, self.targets, self.outputs, "target"),
        ):
            empty = np.flatnonzero(counts < 1)
            if empty.size:
                raise InputError(f"example {empty[0]} has no {what}; leave it out")
            if counts.sum() != ids.size:
                raise InputError(f"the rows hold {counts.sum()} {what}s, but there are {ids.size}")
            bad = np.flatnonzero((ids < 0) | (ids >= size))
            if bad.size:
                row = int(np.searchsorted(np.cumsum(counts), bad[0], side="right"))
                raise InputError(f"example {row}: {what} {ids[bad[0]]} is not between 0 and {size - 1}")
        most = (int(self.length.max()), int(self.targets.max()))
        if self.positions is None:
            object.__setattr__(self, "positions", most)
        elif self.positions[0] < most[0] or self.positions[1] < most[1]:
            raise InputError(f"positions are {self.positions}, but there are rows of {most}; give no less")
        if self.labels is not None:
            inputs, outputs = self.labels
            checked = _labels(inputs, self.inputs, "input"), _labels(outputs, self.outputs, "output")
            object.__setattr__(self, "labels", checked)

    @classmethod
    def from_rows(cls, x: ArrayLike, y: ArrayLike, inputs: int, outputs: int) -> Examples:
        """From rows of words and rows of targets (or one target each)."""
        words = [_whole_numbers(row, f"x, row {n}") for n, row in enumerate(x)]  # type: ignore[arg-type]
        answers = [_whole_numbers(row, f"y, row {n}") for n, row in enumerate(y)]  # type: ignore[arg-type]
        none = np.empty(0, dtype=np.int64)
        return cls(
            np.concatenate([none, *words]),
            np.array([len(row) for row in words], dtype=np.int64),
            np.concatenate([none, *answers]),
            np.array([len(row) for row in answers], dtype=np.int64),
            inputs,
            outputs,
        )

    @classmethod
    def from_encoded(cls, pairs: EncodedPairs, inputs: Sequence[str], outputs: Sequence[str]) -> Examples:
        """From text that is already word ids, see `dynamics.counts.text.encoding.encode`.

        Parameters
        ----------
        pairs : EncodedPairs
        inputs, outputs : sequence of str
            What the ids stand for.

        Raises
        ------
        InputError
            If labels repeat, or are fewer than the ids need.

        Examples
        --------
        >>> seen = Examples.from_labelled_text(["a fine film", "a dull film"], [1, 0])
        >>> unseen = encode(LabelledText(["fine", "a dull day"], [1, 0]), *seen.labels)  # with the same ids
        >>> Examples.from_encoded(unseen, *seen.labels).length
        array([1, 2])
        """
        labels = (tuple(inputs), tuple(outputs))
        sizes = (len(inputs), len(outputs))
        return cls(pairs.x, pairs.x_lengths, pairs.y, pairs.y_lengths, *sizes, labels=labels)

    @classmethod
    def from_labelled_text(
        cls,
        texts: Text,
        labels: str | os.PathLike[str] | Iterable[str | int] | None = None,
        options: TextOptions | None = None,
        **by_name: Unpack[LabelledByName],
    ) -> Examples:
        """Sentences with their labels, as the keyword and topic classifiers take them.

        Words and labels have the ids that they have in `CoOccurrence.from_labelled_text`, so that an exact flow and a
        prediction from the counts stand side by side.

        Parameters
        ----------
        texts, labels, options, **by_name
            As for `CoOccurrence.from_labelled_text`.

        Returns
        -------
        Examples
            With `labels`. Words outside the vocabulary are dropped, and sentences that this leaves empty.

        Raises
        ------
        InputError, TypeError
            As `CoOccurrence.from_labelled_text`.

        Warns
        -----
        DataWarning
            If sentences were left out because none of their words was kept, and if this leaves labels without any.

        Examples
        --------
        >>> examples = Examples.from_labelled_text(["a fine film", "a dull film"], [1, 0])
        >>> examples.labels
        (('a', 'film', 'dull', 'fine'), ('0', '1'))
        >>> from dynamics import solve
        >>> from dynamics.problems.kinds.models import keyword
        >>> found = solve(keyword(), examples, [0, 100])
        >>> found.W.sel(time=100, input="fine").idxmax("output").item()
        '1'
        """
        options = TextOptions.of(options, by_name, "from_labelled_text", ("labels",), header=True)
        text = LabelledText.with_options(texts, labels, options)
        return cls._of(text, CoOccurrence.from_labelled_text(text.texts, text.labels, options))

    @classmethod
    def from_parallel_text(
        cls,
        source: Text,
        target: Text,
        options: TextOptions | None = None,
        **by_name: Unpack[ByName],
    ) -> Examples:
        """Sentences with their translations, as the models with lexical and positional attention take them.

        Words have the ids that they have in `CoOccurrence.from_parallel_text`.

        Parameters
        ----------
        source, target, options, **by_name
            As for `CoOccurrence.from_parallel_text`.

        Returns
        -------
        Examples
            With `labels`. Words outside the vocabularies are dropped, and pairs that this leaves one-sided.

        Raises
        ------
        InputError, TypeError
            As `CoOccurrence.from_parallel_text`.

        Warns
        -----
        DataWarning
            If pairs were left out because no word of one side was kept, and if this leaves words without any pair.

        Examples
        --------
        >>> examples = Examples.from_parallel_text(["a dog", "a cat"], ["ein hund", "eine katze"])
        >>> examples.labels[0], examples.x, examples.y
        (('a', 'cat', 'dog'), array([0, 2, 0, 1]), array([0, 2, 1, 3]))
        """
        options = TextOptions.of(options, by_name, "from_parallel_text")
        text = ParallelText.with_options(source, target, options)
        return cls._of(text, CoOccurrence.from_parallel_text(text.source, text.target, options))

    @classmethod
    def _of(cls, text: LabelledText | ParallelText, counted: CoOccurrence) -> Examples:
        with warnings.catch_warnings():
            # The words that were counted are those of the pairs that were kept: the warning would be the same again.
            warnings.simplefilter("ignore", DataWarning)
            return cls.from_encoded(encode(text, counted.inputs, counted.outputs), counted.inputs, counted.outputs)

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: ArrayLike) -> Examples:
        """Some of the examples, in the given order; repeats are allowed, and negative numbers count from the end.

        Raises
        ------
        InputError
            If there is no such row, or none is taken.
        """
        rows = _whole_numbers(rows, "rows")
        bad = np.flatnonzero((rows < -len(self)) | (rows >= len(self)))
        if bad.size:
            raise InputError(f"there is no example {rows[bad[0]]}; give rows below {len(self)}")
        rows = np.where(rows < 0, rows + len(self), rows)
        return replace(
            self,
            x=self.x[ragged(self.length, rows)],
            length=self.length[rows],
            y=self.y[ragged(self.targets, rows)],
            targets=self.targets[rows],
        )

    def padded(self, word: str = "<pad>") -> Examples:
        """All inputs as long as the longest, filled up with one more word, which is attended like any other.

        Examples
        --------
        >>> examples = Examples.from_rows([[0, 1], [1]], [[0], [1]], inputs=2, outputs=2)
        >>> examples.padded().x
        array([0, 1, 1, 2])
        """
        longest = int(self.length.max())
        x = np.full((len(self), longest), self.inputs, dtype=np.int64)
        x[np.arange(longest) < self.length[:, None]] = self.x
        labels = None if self.labels is None else ((*self.labels[0], word), self.labels[1])
        length = np.full(len(self), longest, dtype=np.int64)
        return replace(self, x=x.ravel(), length=length, inputs=self.inputs + 1, labels=labels)

    @property
    def coordinates(self) -> dict[str, Numbers]:
        """What results call the inputs and the outputs: their labels, or else their ids."""
        if self.labels is None:
            return {"input": np.arange(self.inputs), "output": np.arange(self.outputs)}
        return dict(zip(("input", "output"), map(np.array, self.labels), strict=True))

    def cooccurrence(self, gram: bool = False) -> CoOccurrence:
        """Their co-occurrence matrix, with their labels, or else the ids."""
        pairs = EncodedPairs(self.x, self.length, self.y, self.targets, np.arange(len(self)))
        inputs, outputs = self.labels or (tuple(map(str, range(n))) for n in (self.inputs, self.outputs))
        return CoOccurrence.from_encoded(pairs, inputs, outputs, gram=gram)


def _labels(labels: Iterable[str], size: int, what: str) -> tuple[str, ...]:
    found = tuple(checked_word(str(label), f"the {what} label {number}") for number, label in enumerate(labels))
    if len(found) != size:
        raise InputError(f"{len(found)} {what} labels for {size} {what}s; give one for each")
    repeated = [label for label, times in Counter(found).items() if times > 1]
    if repeated:
        raise InputError(f"the {what} label {repeated[0]!r} is given twice; make the labels unique")
    return found


def _whole_numbers(values: ArrayLike, where: str) -> Indices:
    """A list of whole numbers (or one) as an array; floats are not rounded."""
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1:
        raise InputError(f"{where} has shape {array.shape}; give a flat list")
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{where} holds {array.dtype}; give whole numbers")
    return np.ascontiguousarray(array, dtype=np.int64)


def ragged(lengths: Indices, rows: Indices) -> Indices:
    """Where the entries of some rows stand in a flat array of all rows."""
    starts = np.concatenate([[0], np.cumsum(lengths)])[rows]
    counts = lengths[rows]
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
