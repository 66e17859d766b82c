"""Sparse Boolean functions: a few of many bits decide."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Indices, Numbers, Vector
from dynamics.tasks.examples import Examples
from dynamics.tasks.task import Task, as_examples, as_population, check_sizes, whole

BOOLEAN: dict[str, Callable[[Indices, int], NDArray[np.bool_]]] = {
    "and": lambda ones, s: ones == s,
    "or": lambda ones, s: ones > 0,
    "majority": lambda ones, s: 2 * ones > s,
    "parity": lambda ones, s: ones % 2 == 1,
}
"""Boolean functions that depend only on how many of their s bits are ones."""


@dataclass(frozen=True)
class SparseBoolean(Task):
    """Sparse Boolean functions: T random bits, y = f(x_S) for a few positions S, with word id = 2*position + bit.

    Bits are independent. They are ones with probability (1/2)^(1/s) for AND and zeros with this probability for OR, so
    that half of the labels are 1; else they are fair.

    Attributes
    ----------
    kind : str or tuple of int
        "and", "or", "majority" (more than half of the bits), "parity", or the truth table: 2^s bits, the value at
        00...0 first, that at 00...1 second; the first position of the support is the leading bit.
    length : int
        T.
    support : tuple of int
        S, from 0; a number s stands for the first s positions.
    noise : float
        Probability that a label is flipped, below 0.5.

    Raises
    ------
    InputError
        If the kind is unknown (near matches are given), the truth table has another length, values other than 0 and
        1, or one value only; if support positions repeat or are not below T; if T or noise are out of range.

    References
    ----------
    Edelman, Goel, Kakade and Zhang, "Inductive Biases and Variable Creation in Self-Attention Mechanisms", arXiv
    2110.10090.

    Examples
    --------
    >>> SparseBoolean("and", length=3, support=2).population().C.round(3)
    array([[0.098, 0.   ],
           [0.069, 0.167],
           [0.098, 0.   ],
           [0.069, 0.167],
           [0.049, 0.049],
           [0.118, 0.118]])
    >>> xor = SparseBoolean([0, 1, 1, 0], length=3, support=(0, 2))
    >>> data = xor.examples(2)
    >>> data.x, data.y
    (array([0, 3, 5, 1, 2, 4]), array([1, 1]))
    """

    kind: str | Sequence[int]
    length: int
    support: int | Sequence[int]
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(self, "length")
        object.__setattr__(self, "support", _support(self.support, self.length))
        if not isinstance(self.kind, str):
            object.__setattr__(self, "kind", _truth_table(self.kind, len(self.positions)))
        elif self.kind not in BOOLEAN:
            raise InputError(
                f"unknown kind {self.kind!r}{did_you_mean(self.kind, BOOLEAN)}; use one of {', '.join(BOOLEAN)}, "
                "or give a truth table"
            )
        if not isinstance(self.noise, numbers.Real) or isinstance(self.noise, bool) or not 0 <= self.noise < 0.5:
            raise InputError(f"SparseBoolean: noise is {self.noise!r}; give a probability from 0 to below 0.5")
        object.__setattr__(self, "noise", float(self.noise))

    @property
    def inputs(self) -> int:
        return 2 * self.length

    @property
    def outputs(self) -> int:
        return 2

    @property
    def ones(self) -> float:
        """Probability that a bit is 1."""
        half = 0.5 ** (1 / len(self.positions))
        return {"and": half, "or": 1 - half}.get(str(self.kind), 0.5)

    @cached_property
    def positions(self) -> Indices:
        """The support as an array, shape (s,)."""
        return np.array(self.support, dtype=np.int64)

    @cached_property
    def _function(self) -> tuple[Indices, Indices]:
        """Weights w, shape (s,), and values, such that f(bits) = values[w . bits]."""
        s = len(self.positions)
        if isinstance(self.kind, str):
            return np.ones(s, dtype=np.int64), BOOLEAN[self.kind](np.arange(s + 1), s).astype(np.int64)
        return 2 ** np.arange(s)[::-1], np.array(self.kind, dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        n = whole("n", n)
        bits = rng.random((n, self.length)) < self.ones
        y = self.labels(bits[:, self.positions])
        if self.noise:
            y ^= rng.random(n) < self.noise
        return as_examples(self, bits + np.arange(0, self.inputs, 2), y[:, None])

    def labels(self, bits: Numbers) -> Indices:
        """f of the bits of the support, shape (n, s), without noise.

        >>> SparseBoolean("majority", length=9, support=3).labels(np.array([[0, 1, 0], [1, 0, 1]]))
        array([0, 1])
        """
        weights, values = self._function
        return values[bits @ weights]

    def population(self, gram: bool = False) -> CoOccurrence:
        T, p = self.length, self.ones
        bit = np.array([1 - p, p])
        relevant = self._given_bit()
        one = np.full((T, 2), bit @ relevant[0])  # P(y = 1 | x[l] = b)
        one[self.positions] = relevant
        one = self.noise + (1 - 2 * self.noise) * one
        C = bit[:, None] * np.stack([1 - one, one], axis=2) / T
        G = None
        if gram:
            c = np.tile(bit, T) / T
            G = np.outer(c, c)
            l = np.arange(T)
            G.reshape(T, 2, T, 2)[l, :, l] = np.diag(bit) / T**2  # one position has one bit
        return as_population(self, C.reshape(2 * T, 2), T, G)

    def _given_bit(self) -> Vector:
        """P(f = 1 | x[l] = b) for the positions l of the support, shape (s, 2)."""
        s, p = len(self.positions), self.ones
        _, values = self._function
        if not isinstance(self.kind, str):
            return np.array([values.reshape(2**j, 2, -1).mean(axis=(0, 2)) for j in range(s)])
        others = np.ones(1)  # how many of the s - 1 others are ones: binomial
        for _ in range(s - 1):
            others = np.convolve(others, [1 - p, p])
        return np.tile([others @ values[:s], others @ values[1:]], (s, 1))


def _support(support: Any, length: int) -> tuple[int, ...]:
    if isinstance(support, numbers.Integral):
        s = whole("SparseBoolean: support", support)
        if s > length:
            raise InputError(
                f"SparseBoolean: a support of {s} positions is longer than the input, {length}; shorten it"
            )
        return tuple(range(s))
    try:
        positions: tuple[Any, ...] = tuple(support)
    except TypeError:
        raise InputError(f"SparseBoolean: support is {support!r}; give positions or a number of them") from None
    if not positions:
        raise InputError("SparseBoolean: the support is empty; give at least one position")
    for position in positions:
        if not isinstance(position, numbers.Integral) or isinstance(position, bool) or not 0 <= int(position) < length:
            raise InputError(
                f"SparseBoolean: support position {position!r} is not a whole number from 0 to {length - 1}"
            )
        if positions.count(position) > 1:
            raise InputError(f"SparseBoolean: support position {position} is given twice; give each once")
    return tuple(map(int, positions))


def _truth_table(table: Any, s: int) -> tuple[int, ...]:
    try:
        bits = tuple(table)
    except TypeError:
        raise InputError(f"SparseBoolean: kind is {table!r}; give {', '.join(BOOLEAN)} or a truth table") from None
    if len(bits) != 2**s:
        raise InputError(f"SparseBoolean: the truth table has {len(bits)} entries; {s} support positions need {2**s}")
    for number, bit in enumerate(bits):
        if not isinstance(bit, numbers.Real | np.bool_) or bit not in (0, 1):
            raise InputError(f"SparseBoolean: entry {number} of the truth table is {bit!r}; give 0 or 1")
    if len(set(bits)) == 1:
        raise InputError(f"SparseBoolean: the truth table is {int(bits[0])} everywhere; give one with both values")
    return tuple(map(int, bits))
