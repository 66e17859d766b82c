"""What a decoder sees when it predicts a word: the word before, and which source words stand where.

Beside the co-occurrence matrix these counts say in how many sentences a source word stands with a target word, how far
their places are apart, which target word follows which, and how long sentences are. All are sums of whole numbers over
sentences: the counts of two parts of a corpus add up to those of the whole, exactly.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used

from dynamics.counts.distribution import Attrs, check_attrs
from dynamics.counts.files import context_files
from dynamics.counts.files.labels import checked_labels
from dynamics.counts.text.corpus import Corpus, ParallelText, Text
from dynamics.counts.text.encoding import EncodedPairs, encoded_blocks
from dynamics.counts.text.options import ByName, TextOptions, positive
from dynamics.counts.text.reservoir import Reservoir
from dynamics.counts.text.vocabulary import count_words, vocabulary
from dynamics.support.errors import InputError
from dynamics.support.files import sha256
from dynamics.support.typing import Indices, Vector

__all__ = ["LONGEST", "NO_SOURCE", "ContextCounts"]

LONGEST = 30
"""Words of a sentence that are read, after those outside the vocabulary are dropped."""

NO_SOURCE = "·"
"""A text alone is the translation of this one word, which tells nothing."""

_OF_PAIRS = ("together", "presence", "offsets", "squared_offsets")
_SUMS = (*_OF_PAIRS, "transitions", "input_words", "input_sentences", "output_sentences", "input_lengths",
         "output_lengths")  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ContextCounts:
    """Counts of parallel text with the order of its words; ``+`` puts those of two parts together.

    Make them with `from_parallel_text` or, of one text alone, `from_text`; or `load` them.

    Attributes
    ----------
    inputs, outputs : tuple of str
        The source words (V of them) and the target words (K).
    together : csr_array of int64, shape (V, K)
        Pairs of a place of source word i and a place of target word o in one sentence pair.
    presence : csr_array of int64, shape (V, K)
        Sentence pairs with i and o in them.
    offsets, squared_offsets : csr_array of int64, shape (V, K)
        Sums of l - t and of its square over the pairs of places l of i and t of o.
    transitions : csr_array of int64, shape (K + 1, K + 1)
        How often target word o (K: the end) comes after target word p (K: the start).
    input_words, input_sentences : ndarray of int64, shape (V,)
        How often i occurs, and in how many sentences.
    output_sentences : ndarray of int64, shape (K,)
        In how many sentences o occurs.
    input_lengths, output_lengths : ndarray of int64, shape (longest + 1,)
        How many sentences have so many words.
    reservoir : Reservoir or None
        A sample of the sentences, or all, if it was asked for.
    attrs : mapping of str to str, int or float
        Where the numbers come from.

    Raises
    ------
    InputError
        If shapes and sums do not go together; for vocabularies that are no labels.

    Examples
    --------
    >>> counts = ContextCounts.from_parallel_text(["a dog", "a cat"], ["ein hund", "eine katze"])
    >>> counts
    ContextCounts(3 inputs x 4 outputs, 2 sentence pairs, no sentences kept)
    >>> counts.mean_offset()[0].tolist()
    [0.0, 0.0, -1.0, -1.0]
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    together: Any
    presence: Any
    offsets: Any
    squared_offsets: Any
    transitions: Any
    input_words: Indices
    input_sentences: Indices
    output_sentences: Indices
    input_lengths: Indices
    output_lengths: Indices
    reservoir: Reservoir | None = None
    attrs: Attrs = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", checked_labels(self.inputs, None, "input", "rows", "counts"))
        object.__setattr__(self, "outputs", checked_labels(self.outputs, None, "output", "columns", "counts"))
        object.__setattr__(self, "attrs", check_attrs(self.attrs))
        V, K = self.shape
        shapes = dict.fromkeys(_OF_PAIRS, (V, K)) | {
            "transitions": (K + 1, K + 1), "input_words": (V,), "input_sentences": (V,), "output_sentences": (K,),
            "input_lengths": (self.longest + 1,), "output_lengths": (self.longest + 1,),
        }  # fmt: skip
        for name, shape in shapes.items():
            found = getattr(self, name)
            if found.shape != shape or found.dtype != np.int64:
                raise InputError(f"{name} is {found.dtype} of shape {found.shape}: give int64 of shape {shape}")
        for name, wrong in self._contradictions():
            if wrong:
                raise InputError(f"these counts are of no text: {name}")

    def _contradictions(self) -> Iterator[tuple[str, bool]]:
        """What cannot be, and whether it is."""
        K, places = len(self.outputs), np.arange(self.longest + 1)
        after, before = self.transitions.sum(axis=1), self.transitions.sum(axis=0)
        yield "a count is negative", any(_least(getattr(self, name)) < 0 for name in _SUMS if name != "offsets")
        yield "a word is followed more often, or less often, than it occurs", bool((after != before).any())
        yield "not every sentence has a start", int(after[K]) != self.pairs
        yield "the two sides have unequal numbers of sentences", int(self.input_lengths.sum()) != self.pairs
        yield "source lengths do not go with source words", int(places @ self.input_lengths) != self.input_words.sum()
        yield "target lengths do not go with target words", int(places @ self.output_lengths) != before[:K].sum()
        yield "a word is in more sentences than it occurs", bool((self.input_sentences > self.input_words).any())
        yield "a word is in more sentences than it occurs", bool((self.output_sentences > before[:K]).any())
        yield "words stand together in more sentences than they occur", _least(self.together - self.presence) < 0
        square = self.offsets.astype(float).power(2)
        most = self.squared_offsets.astype(float).multiply(self.together.astype(float))
        yield "offsets have a negative variance", _least(scipy.sparse.csr_array(most - square)) < -1e-6 * square.sum()

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of inputs and of outputs."""
        return len(self.inputs), len(self.outputs)

    @property
    def pairs(self) -> int:
        """Sentence pairs."""
        return int(self.output_lengths.sum())

    @property
    def longest(self) -> int:
        """Words of a sentence that were read."""
        return len(self.input_lengths) - 1

    @property
    def output_words(self) -> Indices:
        """How often each target word occurs, shape (K,)."""
        return np.asarray(self.transitions.sum(axis=0))[:-1]

    def mean_offset(self) -> Vector:
        """Mean of l - t for places l of i and t of o; 0 where they never meet. Shape (V, K)."""
        return self.offsets.toarray() / np.maximum(self.together.toarray(), 1)

    def spread_of_offset(self) -> Vector:
        """Standard deviation of l - t; 0 where they never meet. Shape (V, K)."""
        number = np.maximum(self.together.toarray(), 1)
        return np.sqrt(np.maximum(self.squared_offsets.toarray() / number - (self.offsets.toarray() / number) ** 2, 0))

    def __add__(self, other: ContextCounts) -> ContextCounts:
        if (self.inputs, self.outputs) != (other.inputs, other.outputs):
            raise InputError("counts of two parts have different vocabularies: count both with those of the whole")
        if self.longest != other.longest:
            raise InputError(f"counts with sentences of {self.longest} and of {other.longest} words cannot be added")
        one, two = self.reservoir, other.reservoir
        if (one is None) != (two is None):
            raise InputError("one part has kept sentences and the other none: keep them in both")
        return replace(
            self,
            **{name: getattr(self, name) + getattr(other, name) for name in _SUMS},
            reservoir=None if one is None or two is None else one + two,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save everything in one compressed ``.npz`` file (no pickles), complete or not at all.

        Raises
        ------
        InputError
            If the name ends otherwise or cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     ContextCounts.from_text(["a dog", "a cat"]).save(f"{directory}/counts.npz")
        ...     ContextCounts.load(f"{directory}/counts.npz").outputs
        ('a', 'cat', 'dog')
        """
        kept = self.reservoir
        about = {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "attrs": dict(self.attrs),
            "reservoir": None if kept is None else {"size": kept.size, "seed": kept.seed},
        }
        arrays = {name: getattr(self, name) for name in _SUMS}
        if kept is not None:
            arrays |= {name: getattr(kept.pairs, name) for name in ("x", "x_lengths", "y", "y_lengths")}
            arrays["keys"] = kept.keys
        context_files.write(path, about, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ContextCounts:
        """Load what `save` wrote, exactly as it was.

        Raises
        ------
        InputError
            If the file does not exist, is damaged, or holds other things.
        """
        about, arrays = context_files.read(path)
        try:
            reservoir = None
            if about["reservoir"] is not None:
                number = len(arrays["x_lengths"])
                x, y = (arrays["x"], arrays["x_lengths"]), (arrays["y"], arrays["y_lengths"])
                pairs = EncodedPairs(*x, *y, np.arange(number))
                reservoir = Reservoir(pairs, arrays["keys"], **about["reservoir"])
            sums = {name: arrays[name] for name in _SUMS}
            return cls(
                tuple(about["inputs"]), tuple(about["outputs"]), **sums, reservoir=reservoir, attrs=about["attrs"]
            )
        except KeyError as error:
            raise InputError(f"{path}: {error.args[0]} is missing in it") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def from_parallel_text(
        cls,
        source: Text,
        target: Text,
        options: TextOptions | None = None,
        *,
        longest: int = LONGEST,
        sentences: bool | int = False,
        seed: int = 0,
        exclude: Iterable[int] = (),
        **by_name: Unpack[ByName],
    ) -> ContextCounts:
        """Count sentences and their translations, in two passes and in a stream.

        Parameters
        ----------
        source, target : path-like or iterable of str
            Two files or two sequences of lines, see `dynamics.counts.text.corpus.ParallelText`.
        options : TextOptions, optional
            How text is read and what is kept, see `dynamics.counts.text.options.TextOptions`.
        longest : int
            So many kept words of a sentence are read; what comes after them is cut off.
        sentences : bool or int
            Keep all sentences, or a sample of so many of them.
        seed : int
            Of the sample.
        exclude : iterable of int
            Numbers of lines, from 1, that are not read: those that a model is tested on.
        **by_name
            Options by their names: tokenizer, lower, max_vocab, min_count, max_pairs. They go before `options`.

        Returns
        -------
        ContextCounts

        Raises
        ------
        InputError
            As `dynamics.counts.cooccurrence.CoOccurrence.from_parallel_text`; for lines to exclude that there are not.
        TypeError
            For an option that there is not; the nearest one is given.

        Warns
        -----
        DataWarning
            If pairs were left out because no word of one side was kept.

        Examples
        --------
        >>> counts = ContextCounts.from_parallel_text(["a dog", "a cat"], ["ein hund", "eine katze"], exclude=[2])
        >>> counts.inputs, counts.transitions.toarray().tolist()
        (('a', 'dog'), [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
        """
        also = ("longest", "sentences", "seed", "exclude")
        options = TextOptions.of(options, by_name, "from_parallel_text", also)
        text = ParallelText.with_options(source, target, options)
        attrs = {"origin": "parallel text", **_files_of(text, "source", "target"), **options.attrs}
        return cls._counted(text, options, longest, sentences, seed, exclude, attrs)

    @classmethod
    def from_text(
        cls,
        text: Text,
        options: TextOptions | None = None,
        *,
        longest: int = LONGEST,
        sentences: bool | int = False,
        seed: int = 0,
        exclude: Iterable[int] = (),
        **by_name: Unpack[ByName],
    ) -> ContextCounts:
        """Count the sentences of one text alone: which word comes after which.

        Its only source word is `NO_SOURCE`, which is in every sentence once.

        Parameters
        ----------
        text : path-like or iterable of str
        options, longest, sentences, seed, exclude, **by_name
            As for `from_parallel_text`.

        Examples
        --------
        >>> ContextCounts.from_text(["a dog", "a cat"]).transitions.toarray()[0].tolist()
        [0, 1, 1, 0]
        """
        also = ("longest", "sentences", "seed", "exclude")
        options = TextOptions.of(options, by_name, "from_text", also)
        both = ParallelText.with_options(text, text, options)
        attrs = {"origin": "text", **_files_of(both, "target"), **options.attrs}
        alone = _Alone(both)
        return cls._counted(alone, options, longest, sentences, seed, exclude, attrs)

    @classmethod
    def _counted(
        cls,
        text: Corpus,
        options: TextOptions,
        longest: int,
        sentences: bool | int,
        seed: int,
        exclude: Iterable[int],
        attrs: Attrs,
    ) -> ContextCounts:
        positive("longest", longest)
        size = None if sentences is True else 0 if sentences is False else positive("sentences", sentences)
        left_out = frozenset(positive("a line to exclude", number) for number in exclude)
        read = _Without(text, left_out) if left_out else text
        inputs, outputs, number = count_words(read)
        if left_out and max(left_out) > number + len(left_out):
            raise InputError(
                f"line {max(left_out):,} is to be excluded, and the text has {number + len(left_out):,}: "
                "are these line numbers of this text?"
            )
        words = (
            vocabulary(inputs, options.max_vocab, options.min_count),
            vocabulary(outputs, options.max_vocab, options.min_count),
        )
        blocks = encoded_blocks(read, *words)
        about = {**attrs, "longest": longest, "excluded_lines": len(left_out), "pairs": number}
        counted = (cls.from_encoded(block, *words, longest=longest, sentences=size, seed=seed, attrs=about)
                   for block in blocks)  # fmt: skip
        return reduce(add, counted)

    @classmethod
    def from_encoded(
        cls,
        pairs: EncodedPairs,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        longest: int = LONGEST,
        sentences: int | None = 0,
        seed: int = 0,
        attrs: Attrs | None = None,
    ) -> ContextCounts:
        """Count sentences that are already word ids: a part of a corpus, or all of it.

        Parameters
        ----------
        pairs : EncodedPairs
        inputs, outputs : sequence of str
            What the ids stand for, in the whole corpus.
        longest
            As for `from_parallel_text`.
        sentences : int or None
            Keep a sample of so many, or with None all.
        seed : int
            Of the sample.
        attrs : mapping, optional
            Provenance.

        Returns
        -------
        ContextCounts
        """
        read = shortened(pairs, longest)
        V, K, N = len(inputs), len(outputs), len(read)
        x, y = _Side(read.x, read.x_starts, V), _Side(read.y, read.y_starts, K)
        last = read.y_starts[1:] - 1
        before = np.concatenate([np.where(y.place == 0, K, np.roll(read.y, 1)), read.y[last]])
        after = np.concatenate([read.y, np.full(N, K)])
        ones = np.ones(len(before), dtype=np.int64)
        transitions = scipy.sparse.coo_array((ones, (before, after)), shape=(K + 1, K + 1)).tocsr()
        return cls(
            tuple(inputs),
            tuple(outputs),
            together=_product(x.number, y.number),
            presence=_product(x.present, y.present),
            # sums of (l - t)^k over pairs of places, from sums over the places of each side
            offsets=_product(x.places, y.number) - _product(x.number, y.places),
            squared_offsets=_product(x.squares, y.number) - 2 * _product(x.places, y.places)
            + _product(x.number, y.squares),
            transitions=transitions,
            input_words=np.bincount(read.x, minlength=V),
            input_sentences=np.asarray(x.present.sum(axis=0), dtype=np.int64),
            output_sentences=np.asarray(y.present.sum(axis=0), dtype=np.int64),
            input_lengths=np.bincount(read.x_lengths, minlength=longest + 1),
            output_lengths=np.bincount(read.y_lengths, minlength=longest + 1),
            reservoir=None if sentences == 0 else Reservoir.of(read, sentences, seed),
            attrs=attrs or {"origin": "encoded text"},
        )  # fmt: skip

    def __repr__(self) -> str:
        kept = "no sentences kept" if self.reservoir is None else f"{len(self.reservoir.pairs):,} sentences kept"
        size = f"{self.shape[0]:,} inputs x {self.shape[1]:,} outputs"
        return f"ContextCounts({size}, {self.pairs:,} sentence pairs, {kept})"


def shortened(pairs: EncodedPairs, longest: int) -> EncodedPairs:
    """The first so many words of every sentence.

    Examples
    --------
    >>> from dynamics.counts.text.encoding import encode
    >>> shortened(encode([(["a", "dog"], ["hund"])], ["a", "dog"], ["hund"]), 1).x
    array([0])
    """

    def side(words: Indices, starts: Indices, lengths: Indices) -> tuple[Indices, Indices]:
        place = np.arange(len(words)) - np.repeat(starts[:-1], lengths)
        return words[place < longest], np.minimum(lengths, longest)

    x, x_lengths = side(pairs.x, pairs.x_starts, pairs.x_lengths)
    y, y_lengths = side(pairs.y, pairs.y_starts, pairs.y_lengths)
    return EncodedPairs(x, x_lengths, y, y_lengths, pairs.kept)


class _Side:
    """One side of a block as sparse (sentence, word) matrices of whole numbers."""

    def __init__(self, words: Indices, starts: Indices, size: int) -> None:
        self.place = np.arange(len(words)) - np.repeat(starts[:-1], np.diff(starts))
        self._words, self._starts, self._shape = words, starts, (len(starts) - 1, size)
        self.number = self._sums(np.ones(len(words), dtype=np.int64))
        self.present = self.number.copy()
        self.present.data[:] = 1
        self.places, self.squares = self._sums(self.place), self._sums(self.place**2)

    def _sums(self, values: Indices) -> Any:
        found = scipy.sparse.csr_array((values.copy(), self._words.copy(), self._starts.copy()), shape=self._shape)
        found.sum_duplicates()
        return found


def _product(a: Any, b: Any) -> Any:
    found = a.T.tocsr() @ b
    found.sort_indices()
    return found


def _least(numbers: Any) -> float:
    values = numbers.data if scipy.sparse.issparse(numbers) else numbers
    return float(values.min(initial=0))


@dataclass(frozen=True)
class _Without:
    """A corpus without some of its lines."""

    text: Corpus
    lines: Collection[int]

    def __iter__(self) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        return (pair for number, pair in enumerate(self.text, start=1) if number not in self.lines)


@dataclass(frozen=True)
class _Alone:
    """One text, as the translation of nothing."""

    text: Corpus

    def __iter__(self) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
        return (((NO_SOURCE,), target) for _, target in self.text)


def _files_of(text: ParallelText, *sides: str) -> Attrs:
    found: dict[str, str | int | float] = {}
    for name in sides:
        path = getattr(text, name)
        found[f"{name}_file"] = path.name if isinstance(path, Path) else "(in memory)"
        if isinstance(path, Path):
            found[f"{name}_sha256"] = sha256(path)
    return found
