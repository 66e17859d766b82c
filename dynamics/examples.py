"""Examples: encoded inputs of any length with their targets, as the exact models take them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.cooccurrence import CoOccurrence
from dynamics.corpus import EncodedPairs
from dynamics.errors import InputError

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """N inputs of any length, each with one target or more, as ids.

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

    Raises
    ------
    InputError
        Lengths that do not add up, examples without a word or a target, or ids out of range; the first is named.

    Examples
    --------
    >>> examples = Examples.from_rows([[0, 2], [1]], [[1], [0]], inputs=3, outputs=2)
    >>> len(examples), examples.x, examples.length
    (2, array([0, 2, 1]), array([2, 1]))
    """

    x: Ids
    length: Ids
    y: Ids
    targets: Ids
    inputs: int
    outputs: int
    positions: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("x", "length", "y", "targets"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.int64))
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
        if self.positions is None:
            object.__setattr__(self, "positions", (int(self.length.max()), int(self.targets.max())))

    @classmethod
    def from_rows(cls, x: ArrayLike, y: ArrayLike, inputs: int, outputs: int) -> Examples:
        """From rows of words and rows of targets (or one target each)."""
        words = [np.atleast_1d(np.asarray(row, dtype=np.int64)) for row in x]  # type: ignore[union-attr]
        answers = [np.atleast_1d(np.asarray(row, dtype=np.int64)) for row in y]  # type: ignore[union-attr]
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
    def from_pairs(cls, pairs: EncodedPairs, inputs: int, outputs: int) -> Examples:
        """From an encoded corpus."""
        return cls(pairs.x, pairs.x_lengths, pairs.y, pairs.y_lengths, inputs, outputs)

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: ArrayLike) -> Examples:
        """Some of the examples, in the given order; repeats are allowed."""
        rows = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            x=self.x[ragged(self.length, rows)],
            length=self.length[rows],
            y=self.y[ragged(self.targets, rows)],
            targets=self.targets[rows],
        )

    def cooccurrence(self, gram: bool = False) -> CoOccurrence:
        """Their co-occurrence matrix; labels are the ids."""
        pairs = EncodedPairs(self.x, self.length, self.y, self.targets, np.arange(len(self)))
        labels = (tuple(map(str, range(self.inputs))), tuple(map(str, range(self.outputs))))
        return CoOccurrence.from_encoded(pairs, *labels, gram=gram)


def ragged(lengths: Ids, rows: Ids) -> Ids:
    """Where the entries of some rows stand in a flat array of all rows."""
    starts = np.concatenate([[0], np.cumsum(lengths)])[rows]
    counts = lengths[rows]
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
