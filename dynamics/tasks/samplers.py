"""Tasks: the papers' synthetic distributions of examples, sampled quickly, with their co-occurrence in closed form."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.tasks.examples import Examples, Ids

BOOLEAN: dict[str, Callable[[Ids, int], NDArray[np.bool_]]] = {
    "and": lambda ones, s: ones == s,
    "or": lambda ones, s: ones > 0,
    "majority": lambda ones, s: 2 * ones > s,
    "parity": lambda ones, s: ones % 2 == 1,
}
"""Boolean functions that depend only on how many of their s bits are ones."""


@runtime_checkable
class Task(Protocol):
    """A distribution of examples.

    Attributes
    ----------
    inputs, outputs : int
        Vocabulary sizes V and K.
    """

    @property
    def inputs(self) -> int: ...

    @property
    def outputs(self) -> int: ...

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        """Fresh examples, such as a minibatch.

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator
            Is advanced.

        Returns
        -------
        Examples
            Independent of each other, all of the same length and number of targets.

        Raises
        ------
        InputError
            If n is not a whole number from 1.
        """
        ...

    def population(self, gram: bool = False) -> CoOccurrence | None:
        """The co-occurrence matrix of infinitely many examples, or None if there is no closed form.

        Parameters
        ----------
        gram : bool
            With G = E[B B^T], inputs^2 numbers.

        Returns
        -------
        CoOccurrence or None
            Labels are the ids; the attributes name the task and its parameters.
        """
        ...

    def examples(self, n: int, seed: int = 0) -> Examples:
        """A data set that is the same every time.

        Raises
        ------
        InputError
            If n is not a whole number from 1, or seed not one from 0.
        """
        return self.sample(n, np.random.default_rng(_whole("seed", seed, 0)))


@dataclass(frozen=True)
class Copying(Task):
    """Copying: x has L distinct words drawn from V, and the target at position t is y[t] = x[t].

    Permutations are ``vocab == length``: every word is in every input, so co-occurrence carries no signal.

    Attributes
    ----------
    vocab, length : int
        V and L.
    replacement : bool
        Draw the words with replacement, so that they may repeat and L may be above V.

    Raises
    ------
    InputError
        If a size is not a whole number from 1, or the words do not suffice.

    References
    ----------
    Snell, Zhong, Klein and Steinhardt, "Approximating How Single Head Attention Learns", arXiv 2103.07601.

    Examples
    --------
    >>> batch = Copying(vocab=4, length=2).sample(100, np.random.default_rng(0))
    >>> batch.length[:3], bool((batch.x == batch.y).all()), bool((batch.x[::2] == batch.x[1::2]).any())
    (array([2, 2, 2]), True, False)
    >>> Copying(vocab=3, length=3).population().C.round(3)  # permutations: C = c q^T
    array([[0.111, 0.111, 0.111],
           [0.111, 0.111, 0.111],
           [0.111, 0.111, 0.111]])
    """

    vocab: int
    length: int
    replacement: bool = False

    def __post_init__(self) -> None:
        _check_sizes(self, "vocab", "length")
        if not self.replacement:
            _check_distinct(self, self.vocab, self.length)

    @property
    def inputs(self) -> int:
        return self.vocab

    @property
    def outputs(self) -> int:
        return self.vocab

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        n = _whole("n", n)
        if self.replacement:
            x = rng.integers(self.vocab, size=(n, self.length))
        else:
            x = _distinct(n, self.vocab, self.length, rng)
        return _examples(self, x, x)

    def population(self, gram: bool = False) -> CoOccurrence:
        return _of_same_words(self, self.vocab, self.length, bool(self.replacement), gram)


@dataclass(frozen=True)
class ToyLexicon(Task):
    """Translation word by word: L distinct words drawn from V, the targets are their translations in random order.

    The translation of word i is output i.

    Attributes
    ----------
    vocab, length : int
        V and L.

    Raises
    ------
    InputError
        If a size is not a whole number from 1, or the words do not suffice.

    References
    ----------
    Snell, Zhong, Klein and Steinhardt, "Approximating How Single Head Attention Learns", arXiv 2103.07601.

    Examples
    --------
    >>> sentence = ToyLexicon(vocab=60, length=8).examples(1, seed=1)
    >>> sorted(sentence.x) == sorted(sentence.y), bool((sentence.x == sentence.y).all())
    (True, False)
    """

    vocab: int
    length: int

    def __post_init__(self) -> None:
        _check_sizes(self, "vocab", "length")
        _check_distinct(self, self.vocab, self.length)

    @property
    def inputs(self) -> int:
        return self.vocab

    @property
    def outputs(self) -> int:
        return self.vocab

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        x = _distinct(_whole("n", n), self.vocab, self.length, rng)
        return _examples(self, x, rng.permuted(x, axis=1))

    def population(self, gram: bool = False) -> CoOccurrence:
        return _of_same_words(self, self.vocab, self.length, False, gram)


@dataclass(frozen=True)
class TopicSentences(Task):
    """Topic classification: one topic word, then m other words drawn with replacement; the target is the topic.

    The topic word is uniform over all topic words; it comes first, as in the authors' data (their model is blind to
    order). Topic words have the first ids, word w tells topic w // words_per_topic, and the other words follow.

    Attributes
    ----------
    topics, words_per_topic : int
        How many topics there are, and how many words tell each.
    others : int
        Number of other words in the vocabulary.
    others_per_sentence : int
        m.

    Raises
    ------
    InputError
        If a size is not a whole number from 1.

    References
    ----------
    Lu, Mao and Nayak, "On the Dynamics of Training Attention Models", arXiv 2011.10036.

    Examples
    --------
    >>> task = TopicSentences(topics=4, words_per_topic=2, others=5000, others_per_sentence=20)
    >>> data = task.examples(3)
    >>> data.x[::21], data.y
    (array([6, 5, 4]), array([3, 2, 2]))
    """

    topics: int
    words_per_topic: int
    others: int
    others_per_sentence: int

    def __post_init__(self) -> None:
        _check_sizes(self, "topics", "words_per_topic", "others", "others_per_sentence")

    @property
    def topic_words(self) -> int:
        """Number of topic words; their ids are below it."""
        return self.topics * self.words_per_topic

    @property
    def inputs(self) -> int:
        return self.topic_words + self.others

    @property
    def outputs(self) -> int:
        return self.topics

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        n = _whole("n", n)
        x = np.empty((n, 1 + self.others_per_sentence), dtype=np.int64)
        x[:, 0] = rng.integers(self.topic_words, size=n)
        x[:, 1:] = rng.integers(self.topic_words, self.inputs, size=(n, self.others_per_sentence))
        return _examples(self, x, x[:, :1] // self.words_per_topic)

    def population(self, gram: bool = False) -> CoOccurrence:
        first, m = self.topic_words, self.others_per_sentence
        length = 1 + m
        words = np.arange(first)
        C = np.full((self.inputs, self.topics), m / length / self.others / self.topics)
        C[:first] = 0
        C[words, words // self.words_per_topic] = 1 / length / first
        G = None
        if gram:  # two words of the sentence, drawn with replacement
            G = np.full((self.inputs, self.inputs), m * (m - 1) / self.others**2)
            G[first:, first:] += np.diag(np.full(self.others, m / self.others))
            G[:first, first:] = G[first:, :first] = m / first / self.others
            G[:first, :first] = np.diag(np.full(first, 1 / first))
            G /= length**2
        return _population(self, C, length, G)


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
        _check_sizes(self, "length")
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
    def positions(self) -> Ids:
        """The support as an array, shape (s,)."""
        return np.array(self.support, dtype=np.int64)

    @cached_property
    def _function(self) -> tuple[Ids, NDArray[np.int64]]:
        """Weights w, shape (s,), and values, such that f(bits) = values[w . bits]."""
        s = len(self.positions)
        if isinstance(self.kind, str):
            return np.ones(s, dtype=np.int64), BOOLEAN[self.kind](np.arange(s + 1), s).astype(np.int64)
        return 2 ** np.arange(s)[::-1], np.array(self.kind, dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        n = _whole("n", n)
        bits = rng.random((n, self.length)) < self.ones
        y = self.labels(bits[:, self.positions])
        if self.noise:
            y ^= rng.random(n) < self.noise
        return _examples(self, bits + np.arange(0, self.inputs, 2), y[:, None])

    def labels(self, bits: NDArray[Any]) -> NDArray[np.int64]:
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
        return _population(self, C.reshape(2 * T, 2), T, G)

    def _given_bit(self) -> NDArray[np.float64]:
        """P(f = 1 | x[l] = b) for the positions l of the support, shape (s, 2)."""
        s, p = len(self.positions), self.ones
        _, values = self._function
        if not isinstance(self.kind, str):
            return np.array([values.reshape(2**j, 2, -1).mean(axis=(0, 2)) for j in range(s)])
        others = np.ones(1)  # how many of the s - 1 others are ones: binomial
        for _ in range(s - 1):
            others = np.convolve(others, [1 - p, p])
        return np.tile([others @ values[:s], others @ values[1:]], (s, 1))


def _distinct(n: int, vocab: int, length: int, rng: np.random.Generator) -> Ids:
    """Rows of distinct ids in random order, shape (n, length), all equally likely."""
    if vocab < 4 * length:
        return rng.random((n, vocab)).argsort(axis=1)[:, :length]
    # Short rows: first x[k] is a rank among the words that x[:k] leave over, then ranks become words.
    x = (rng.random((length, n)) * (vocab - np.arange(length))[:, None]).astype(np.int64)
    for k in range(length - 2, -1, -1):
        later = x[k + 1 :]
        later += later >= x[k]
    return x.T


def _examples(task: Task, x: Ids, y: Ids) -> Examples:
    """Rows of words (n, L) and of targets (n, T) as examples, unchecked: checks cost more than sampling does."""
    examples = object.__new__(Examples)
    vars(examples).update(
        x=x.ravel(),
        length=np.full(len(x), x.shape[1]),
        y=y.ravel(),
        targets=np.full(len(y), y.shape[1]),
        inputs=task.inputs,
        outputs=task.outputs,
        positions=(x.shape[1], y.shape[1]),
    )
    return examples


def _of_same_words(task: Task, vocab: int, length: int, replacement: bool, gram: bool) -> CoOccurrence:
    """C where the targets are the words of the input; it is G too, as both draw two words of one sentence."""
    same = 1 / length + (1 - 1 / length) * replacement / vocab
    C = np.full((vocab, vocab), (1 - same) / vocab / max(vocab - 1, 1))
    np.fill_diagonal(C, same / vocab)
    return _population(task, C, length, C if gram else None)


def _population(task: Any, C: NDArray[np.float64], length: int, gram: NDArray[np.float64] | None) -> CoOccurrence:
    attrs: dict[str, str | int | float] = {"origin": "task", "task": type(task).__name__}
    attrs |= {field.name: _attribute(getattr(task, field.name)) for field in dataclasses.fields(task)}
    inputs, outputs = (tuple(map(str, range(size))) for size in C.shape)
    return CoOccurrence(C, inputs, outputs, float(length), gram, attrs)


def _attribute(value: Any) -> str | int | float:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return int(value) if isinstance(value, bool | np.bool_) else value


def _whole(name: str, value: Any, least: int = 1) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise InputError(f"{name} is {value!r}; give a whole number from {least}")
    return int(value)


def _check_sizes(task: Task, *names: str) -> None:
    """Sizes become plain ints, as NumPy's cannot be saved in attributes."""
    for name in names:
        object.__setattr__(task, name, _whole(f"{type(task).__name__}: {name}", getattr(task, name)))


def _check_distinct(task: Task, vocab: int, length: int) -> None:
    if length > vocab:
        hint = ", or draw them with replacement" if isinstance(task, Copying) else ""
        raise InputError(
            f"{type(task).__name__}: {length} distinct words cannot be drawn from {vocab}; give a length up to "
            f"vocab{hint}"
        )


def _support(support: Any, length: int) -> tuple[int, ...]:
    if isinstance(support, numbers.Integral):
        s = _whole("SparseBoolean: support", support)
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
