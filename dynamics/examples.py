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
        Lengths that do not add up, examples without a word or a target, ids that are no whole numbers or out of range
        (the first is named), or positions below the lengths.

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
    def from_pairs(cls, pairs: EncodedPairs, inputs: int, outputs: int) -> Examples:
        """From an encoded corpus."""
        return cls(pairs.x, pairs.x_lengths, pairs.y, pairs.y_lengths, inputs, outputs)

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

    def cooccurrence(self, gram: bool = False) -> CoOccurrence:
        """Their co-occurrence matrix; labels are the ids."""
        pairs = EncodedPairs(self.x, self.length, self.y, self.targets, np.arange(len(self)))
        labels = (tuple(map(str, range(self.inputs))), tuple(map(str, range(self.outputs))))
        return CoOccurrence.from_encoded(pairs, *labels, gram=gram)


def _whole_numbers(values: ArrayLike, where: str) -> Ids:
    """A list of whole numbers (or one) as an array; floats are not rounded."""
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1:
        raise InputError(f"{where} has shape {array.shape}; give a flat list")
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{where} holds {array.dtype}; give whole numbers")
    return np.ascontiguousarray(array, dtype=np.int64)


def ragged(lengths: Ids, rows: Ids) -> Ids:
    """Where the entries of some rows stand in a flat array of all rows."""
    starts = np.concatenate([[0], np.cumsum(lengths)])[rows]
    counts = lengths[rows]
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
