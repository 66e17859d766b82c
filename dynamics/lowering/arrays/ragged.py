"""What array code calls beside NumPy: rows of different lengths, and sums into entries that are looked up.

Shapes: a ragged pair of indices (n, r) with lengths ``length[n]`` is one flat axis of all rows together, or two axes
(N, most) that are padded with zeros.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit

__all__ = ["Ragged", "add_at"]


class Ragged:
    """The rows of a ragged index: whose each one is, and its place.

    Parameters
    ----------
    length : array of int, shape (N,)

    Examples
    --------
    >>> rows = Ragged(np.array([2, 0, 1]))
    >>> rows.owner.tolist(), rows.place.tolist(), rows.most
    ([0, 0, 2], [0, 1, 0], 2)
    >>> rows.unpack(np.array([5.0, 6.0, 7.0])).tolist()
    [[5.0, 6.0], [0.0, 0.0], [7.0, 0.0]]
    """

    def __init__(self, length: Any) -> None:
        self.length = np.asarray(length, dtype=np.intp)

    @cached_property
    def total(self) -> int:
        """How many rows there are."""
        return int(self.length.sum())

    @cached_property
    def most(self) -> int:
        """The greatest length."""
        return int(self.length.max(initial=0))

    @cached_property
    def start(self) -> Any:
        """Where the rows of each owner begin on the flat axis, shape (N,)."""
        return np.cumsum(self.length) - self.length

    @cached_property
    def owner(self) -> Any:
        return np.repeat(np.arange(len(self.length)), self.length)

    @cached_property
    def place(self) -> Any:
        return np.arange(self.total) - np.repeat(self.start, self.length)

    @cached_property
    def at(self) -> Any:
        """The places of the flat axis within the padded one."""
        return self.owner * self.most + self.place

    @cached_property
    def mask(self) -> Any:
        """What of the padded axes is a row, shape (N, most)."""
        return np.arange(self.most) < self.length[:, None]

    def locate(self, owner: Any, place: Any) -> Any:
        """Where a place in the row of an owner is on the flat axis; what is beyond a row is anywhere."""
        return np.minimum(self.start[owner] + place, self.total - 1)

    def pack(self, padded: Any) -> Any:
        """From (N, most, ...) to (total, ...)."""
        return padded.reshape(-1, *padded.shape[2:]).take(self.at, 0)

    def unpack(self, flat: Any) -> Any:
        """From (total, ...) to (N, most, ...), zeros where there is no row."""
        padded = np.zeros((len(self.length) * self.most, *flat.shape[1:]), flat.dtype)
        padded[self.at] = flat
        return padded.reshape(len(self.length), self.most, *flat.shape[1:])

    def fold(self, flat: Any) -> Any:
        """The sum over the rows of each owner, from (total, ...) to (N, ...)."""
        return add_at(np.zeros((len(self.length), *flat.shape[1:]), flat.dtype), (self.owner,), flat)


def add_at(out: Any, at: tuple[Any, ...], values: Any) -> Any:
    """Add values into entries of an array that may be named more than once, in place.

    Parameters
    ----------
    out : array, shape (A, B, ..., *rest)
    at : tuple of arrays of int
        Subscripts for the leading axes; they broadcast to one shape.
    values : array, shape (*that shape, *rest)

    Examples
    --------
    >>> add_at(np.zeros(3), (np.array([0, 2, 2]),), np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 0.0, 5.0]
    """
    rest = out.shape[len(at) :]
    where = np.ravel_multi_index(np.broadcast_arrays(*at), out.shape[: len(at)]) if len(at) > 1 else np.asarray(at[0])
    values = np.broadcast_to(values, (*where.shape, *rest))
    if not out.flags.c_contiguous:
        out += add_at(np.zeros(out.shape, out.dtype), at, values)
        return out
    width = math.prod(rest)
    _add_rows(out.reshape(-1, width), where.reshape(-1), values.reshape(-1, width).astype(out.dtype, copy=False))
    return out


@njit(cache=True, nogil=True)
def _add_rows(out: Any, where: Any, values: Any) -> None:
    for k in range(len(where)):
        row = where[k]
        for c in range(values.shape[1]):
            out[row, c] += values[k, c]
