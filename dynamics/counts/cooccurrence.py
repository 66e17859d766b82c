"""Co-occurrence of input words with outputs: the one statistic that theory needs, from counts or from real text.

C[i,o] = E[(n_i(x)/L) 1{y = o}] for an input of L words, n_i of them the word i, and a target y: the joint distribution
of a word drawn uniformly from the input and the target.
"""

import hashlib
import json
import numbers
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from dynamics.counts.corpus import (
    EncodedPairs,
    Files,
    LabelledText,
    ParallelText,
    Text,
    beginning,
    is_empty,
    matching,
    rows,
    table_suffix,
)
from dynamics.counts.counting import Part, Tally, count, files, sides, symmetric, tally, value, within
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.files import existing, sha256, write_aside

SPARSE_BELOW_DENSITY = 0.15
"""A matrix is stored sparse when a smaller share of its cells is non-zero ..."""

SPARSE_ABOVE_CELLS = 100_000
"""... and it has more cells than this. Products with a dense matrix run at about five times the flop rate of sparse
ones, so sparse storage pays in time below a density of one in five or six; small matrices are dense for convenience."""

_FORMAT = "attention-dynamics co-occurrence 1"
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, ArithmeticError)

Matrix = Any
"""A float64 ndarray or a scipy.sparse.csr_array (scipy has no type stubs)."""

Attrs = Mapping[str, str | int | float]


@dataclass(frozen=True, eq=False, repr=False)
class CoOccurrence:
    """The joint distribution of input words and outputs.

    Make one with `from_parallel_text` or `from_labelled_text`, from many files with `from_parallel_files` or
    `from_labelled_files`, or with `from_encoded`, `from_counts` or `load`.

    Attributes
    ----------
    C : ndarray of float64 or scipy.sparse.csr_array, shape (inputs, outputs)
        C[i,o] = E[(n_i/L) 1{y = o}]. Sums to 1; no row and no column is zero.
    inputs : tuple of str
        Labels of the rows.
    outputs : tuple of str
        Labels of the columns.
    length : float or None
        Mean input length in words, L, each input weighted by its number of targets; None if it is not known. The
        marginal closure needs it.
    gram : ndarray of float64, shape (inputs, inputs), or None
        G = E[B B^T] with the bag of words B_i = n_i/L, each input weighted by its number of targets, so that the rows
        of G sum to `c`. The Gram closure needs it.
    attrs : mapping of str to str, int or float
        Where the numbers come from: files with their SHA-256, options, numbers of pairs and words. Yes and no are 1 and
        0; limits that were not set are absent.

    Raises
    ------
    InputError
        If labels, shapes and sums do not go together.

    References
    ----------
    Snell, Zhong, Klein and Steinhardt, "Approximating How Single Head Attention Learns", arXiv 2103.07601: the
    co-occurrence statistics that uniform attention learns from.

    Examples
    --------
    >>> co = CoOccurrence.from_counts([[3, 1], [0, 4]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> co
    CoOccurrence(2 inputs x 2 outputs, 3 non-zero, dense, length unknown)
    >>> co.c, co.q
    (array([0.5, 0.5]), array([0.375, 0.625]))
    >>> co.conditional()
    array([[1. , 0.2],
           [0. , 0.8]])
    """

    C: Matrix
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    length: float | None = None
    gram: NDArray[np.float64] | None = None
    attrs: Attrs = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.inputs), len(self.outputs))
        if self.C.shape != shape:
            raise InputError(f"C has shape {self.C.shape}, the labels are {shape[0]} inputs and {shape[1]} outputs")
        if not abs(self.C.sum() - 1) < 1e-9:
            raise InputError(f"C sums to {self.C.sum():.9g}, not to 1: make it with CoOccurrence.from_counts")
        if self.length is not None:
            _check_length(self.length)
        if self.gram is not None:
            _check_gram(self.gram, self.c)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of inputs and of outputs."""
        return len(self.inputs), len(self.outputs)

    @property
    def is_sparse(self) -> bool:
        """Whether `C` is a scipy.sparse.csr_array."""
        return scipy.sparse.issparse(self.C)

    @property
    def nnz(self) -> int:
        """Number of cells of `C` that are not zero."""
        return int(self.C.nnz if self.is_sparse else np.count_nonzero(self.C))

    @property
    def density(self) -> float:
        """Share of cells of `C` that are not zero."""
        return self.nnz / (self.shape[0] * self.shape[1])

    @property
    def c(self) -> NDArray[np.float64]:
        """Marginal of the inputs, shape (inputs,): how often a word is drawn from the input."""
        return np.asarray(self.C.sum(axis=1))

    @property
    def q(self) -> NDArray[np.float64]:
        """Marginal of the outputs, shape (outputs,): how often an output is the target."""
        return np.asarray(self.C.sum(axis=0))

    def conditional(self) -> Matrix:
        """R[i,o] = C[i,o]/q[o], which words are in the input when the target is o; columns sum to 1.

        Returns
        -------
        ndarray or csr_array, shape (inputs, outputs)
            Stored as `C` is.
        """
        if not self.is_sparse:
            return self.C / self.q
        return scipy.sparse.csr_array((self.C.data / self.q[self.C.indices], self.C.indices, self.C.indptr), self.shape)

    def dense(self) -> "CoOccurrence":
        """The same with `C` as an ndarray."""
        return self._with(C=self.C.toarray()) if self.is_sparse else self

    def sparse(self) -> "CoOccurrence":
        """The same with `C` as a csr_array."""
        return self if self.is_sparse else self._with(C=scipy.sparse.csr_array(self.C))

    def top(self, inputs: int | None = None, outputs: int | None = None) -> "CoOccurrence":
        """Only the most frequent inputs and outputs, normalised again, in the order they have here.

        The result is the distribution given that word and target are among the kept ones. It is not what counting with
        a smaller vocabulary gives, where the dropped words do not count in the lengths either; so `length` and `gram`,
        which cannot be had from here, are None.

        Parameters
        ----------
        inputs, outputs : int, optional
            How many to keep; all by default.

        Returns
        -------
        CoOccurrence

        Raises
        ------
        InputError
            If a number is not positive or nothing is left.

        Examples
        --------
        >>> co = CoOccurrence.from_counts([[3, 1], [0, 4], [1, 0]], inputs=["Hund", "Katze", "Tier"])
        >>> co.top(inputs=2).inputs
        ('Hund', 'Katze')
        """
        kept_inputs, kept_outputs = _largest(self.c, inputs, "inputs"), _largest(self.q, outputs, "outputs")
        if (len(kept_inputs), len(kept_outputs)) == self.shape:
            return self
        return _normalised(
            self.C[kept_inputs][:, kept_outputs],
            tuple(self.inputs[i] for i in kept_inputs),
            tuple(self.outputs[o] for o in kept_outputs),
            attrs={**self.attrs, "top_inputs": len(kept_inputs), "top_outputs": len(kept_outputs)},
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save everything in one compressed ``.npz`` file (no pickles), complete or not at all.

        Parameters
        ----------
        path : path-like
            Ends in ``.npz``.

        Raises
        ------
        InputError
            If the name ends otherwise or cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     CoOccurrence.from_counts([[3, 1], [0, 4]]).save(Path(directory, "counts.npz"))
        ...     CoOccurrence.load(Path(directory, "counts.npz")).C
        array([[0.375, 0.125],
               [0.   , 0.5  ]])
        """
        if Path(path).suffix.lower() != ".npz":
            raise InputError(f"cannot save {str(path)!r}: co-occurrence statistics are saved as .npz, name it so")
        about = {
            "format": _FORMAT,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "length": self.length,
            "attrs": dict(self.attrs),
        }
        # JSON as bytes: NumPy's string arrays pad every label to the longest and lose trailing NULs.
        arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
        if self.is_sparse:
            arrays |= {"data": self.C.data, "indices": self.C.indices, "indptr": self.C.indptr}
        else:
            arrays["C"] = self.C
        if self.gram is not None:
            arrays["gram"] = self.gram
        with write_aside(path) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "CoOccurrence":
        """Load what `save` wrote, exactly as it was; or counts in any other file that `from_counts` takes.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        CoOccurrence

        Raises
        ------
        InputError
            If the file does not exist, is damaged, or cannot be used; the message names the place.
        """
        return cls.from_counts(existing(path))

    @classmethod
    def from_counts(
        cls,
        counts: ArrayLike | str | os.PathLike[str] | Any,
        inputs: Iterable[str] | None = None,
        outputs: Iterable[str] | None = None,
        length: float | None = None,
        gram: ArrayLike | None = None,
    ) -> "CoOccurrence":
        """From a matrix of counts (or of probabilities), which is normalised to sum 1.

        Inputs that never occur with any output, and outputs without any input, are dropped.

        Parameters
        ----------
        counts : array-like or scipy.sparse matrix, shape (inputs, outputs), or path-like
            Non-negative numbers; or a file of them: ``.npy``; ``.npz`` (one array, or scipy.sparse.save_npz, or
            `save`); ``.mtx`` (Matrix Market, also ``.mtx.gz``); ``.csv`` or, without quoting, ``.tsv`` (also ``.gz``)
            with the outputs in the first line and the input in the first cell of each other line, or all numbers
            without labels.
        inputs, outputs : iterable of str, optional
            Labels of rows and columns; by default those of the file, or "0", "1", ...
        length : float, optional
            Mean input length in words, each input weighted by its number of targets. Counts do not tell it: without it
            the marginal closure cannot be used.
        gram : array-like, shape (inputs, inputs), optional
            E[B B^T], see `CoOccurrence`.

        Returns
        -------
        CoOccurrence
            Sparse if large and thinly filled (`SPARSE_BELOW_DENSITY`, `SPARSE_ABOVE_CELLS`).

        Raises
        ------
        InputError
            For counts that are negative, NaN, infinite, all zero, not numbers, or no matrix; for labels that repeat or
            do not fit; for files that do not exist, are damaged or are of an unknown kind. The message names the place.

        Warns
        -----
        DataWarning
            If inputs or outputs were dropped: how many, and some of them.

        Examples
        --------
        >>> CoOccurrence.from_counts([[3, 1], [0, 4]]).C
        array([[0.375, 0.125],
               [0.   , 0.5  ]])
        """
        attrs: Attrs = {"origin": "counts"}
        where = "counts"
        if isinstance(counts, str | os.PathLike):
            path = existing(counts)
            found = _read(path)
            where, attrs = str(path), {"origin": "counts", "counts_file": path.name, "counts_sha256": sha256(path)}
            if isinstance(found, CoOccurrence):
                if inputs is outputs is length is gram is None:
                    return found
                counts, attrs = found.C, found.attrs
                inputs = found.inputs if inputs is None else inputs
                outputs = found.outputs if outputs is None else outputs
                length = found.length if length is None else length
                gram = found.gram if gram is None else gram
            else:
                counts, file_inputs, file_outputs = found
                inputs = file_inputs if inputs is None else inputs
                outputs = file_outputs if outputs is None else outputs
        matrix = _as_matrix(counts, where)
        row_labels = _labels(inputs, matrix.shape[0], "input", "rows", where)
        column_labels = _labels(outputs, matrix.shape[1], "output", "columns", where)
        _check_counts(matrix, row_labels, column_labels, where)
        return _normalised(matrix, row_labels, column_labels, length, gram, attrs, where)

    @classmethod
    def from_parallel_text(
        cls,
        source: Text,
        target: Text,
        *,
        tokenizer: str = "words",
        lower: bool = True,
        max_vocab: int | None = None,
        min_count: int = 1,
        max_pairs: int | None = None,
        gram: bool = False,
    ) -> "CoOccurrence":
        """Count sentences (inputs) against their translations (targets).

        Each pair contributes n_i/L * n_o, where n_i and n_o count a word in the sentence and in its translation.
        Words outside the vocabulary are dropped first: they count neither in n nor in L. The text is read twice, in a
        stream; memory is bounded by the pairs of words that occur, not by the text.

        Parameters
        ----------
        source, target : path-like or iterable of str
            Two files or two sequences of lines, see `dynamics.counts.corpus.ParallelText`.
        tokenizer : {"words", "whitespace"}
            "words" for running text, "whitespace" for text that is already tokenised.
        lower : bool
            Lower-case everything.
        max_vocab : int, optional
            Keep so many words on either side, the most frequent ones.
        min_count : int
            Keep words that occur at least so often.
        max_pairs : int, optional
            Read only so many pairs from the beginning; frequencies are counted in these too.
        gram : bool
            Count `gram` as well (inputs^2 numbers).

        Returns
        -------
        CoOccurrence
            With `length`, and with files, options and sizes in `attrs`.

        Raises
        ------
        InputError
            If a file does not exist, is empty, is not UTF-8 or has more lines than the other, if an option is unknown
            or not positive, or if no words are left. The message names file and line.

        Warns
        -----
        DataWarning
            If pairs were left out because no word of one side was kept, and if this leaves words without any pair.

        References
        ----------
        Snell, Zhong, Klein and Steinhardt, "Approximating How Single Head Attention Learns", arXiv 2103.07601.

        Examples
        --------
        >>> co = CoOccurrence.from_parallel_text(["a dog", "a cat"], ["ein hund", "eine katze"])
        >>> co.inputs, co.outputs, co.length
        (('a', 'cat', 'dog'), ('ein', 'eine', 'hund', 'katze'), 2.0)
        >>> co.C[0]
        array([0.125, 0.125, 0.125, 0.125])
        """
        text = ParallelText(source, target, tokenizer, lower, max_pairs)
        return _from_text([text], max_pairs, max_vocab, min_count, gram)

    @classmethod
    def from_parallel_files(
        cls,
        source: Files,
        target: Files,
        *,
        tokenizer: str = "words",
        lower: bool = True,
        max_vocab: int | None = None,
        min_count: int = 1,
        max_pairs: int | None = None,
        gram: bool = False,
        scheduler: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> "CoOccurrence":
        """Count a corpus of many files, here or on a cluster.

        The result is that of `from_parallel_text` on all files one after the other, to the last bit, however the corpus
        is divided and whichever worker is first: the sums are of whole numbers (see `dynamics.counts.counting`). A worker
        holds one file's counts at a time. Pairs of empty files count nothing.

        Parameters
        ----------
        source, target : path-like or iterable of path-like
            On either side a directory, a pattern such as ``"corpus/*.en"``, or the paths. Files of a directory or a
            pattern are sorted by their names; the first of one side goes with the first of the other.
        tokenizer, lower, max_vocab, min_count, max_pairs, gram
            As for `from_parallel_text`; the limits are those of the whole corpus.
        scheduler : str, optional
            The address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers count the files. They see
            the files under the same paths. A file that is lost with its worker is counted again by another one.
        progress : callable, optional
            Called with the share that is done.

        Returns
        -------
        CoOccurrence
            With files, options and sizes in `attrs`; the SHA-256 of many files is that of the list of theirs, a line
            each.

        Raises
        ------
        InputError
            As `from_parallel_text`; if there is no file or the sides have unequal numbers of files; if no scheduler
            answers.

        Warns
        -----
        DataWarning
            As `from_parallel_text`, for the whole corpus.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     for name, text in {"1.en": "a dog", "2.en": "a cat", "1.de": "ein hund", "2.de": "eine katze"}.items():
        ...         _ = Path(directory, name).write_text(text)
        ...     co = CoOccurrence.from_parallel_files(f"{directory}/*.en", f"{directory}/*.de")
        >>> co.inputs, co.outputs, co.length
        (('a', 'cat', 'dog'), ('ein', 'eine', 'hund', 'katze'), 2.0)
        """
        sources, targets = matching(source, "source"), matching(target, "target")
        if len(sources) != len(targets):
            raise InputError(
                f"{len(sources):,} source files ({_span(sources)}) and {len(targets):,} target files "
                f"({_span(targets)}): give each source file its target file"
            )
        paths = []
        for pair in zip(sources, targets, strict=True):
            full = [path for path in pair if not is_empty(path)]
            if len(full) == 1:
                raise InputError(f"one file of the pair {pair[0]} and {pair[1]} is empty: {full[0]} has no partner")
            if full:
                paths.append(_for_workers(pair, scheduler))
        texts = [ParallelText(x, y, tokenizer, lower, max_pairs) for x, y in paths]
        return _from_text(texts, max_pairs, max_vocab, min_count, gram, scheduler, progress)

    @classmethod
    def from_labelled_text(
        cls,
        texts: Text,
        labels: str | os.PathLike[str] | Iterable[str | int] | None = None,
        *,
        tokenizer: str = "words",
        lower: bool = True,
        max_vocab: int | None = None,
        min_count: int = 1,
        max_pairs: int | None = None,
        header: bool = False,
        gram: bool = False,
    ) -> "CoOccurrence":
        """Count the words of sentences against the labels of the sentences.

        The outputs are the labels, in the order of their spelling (numbers in the order of their size).

        Parameters
        ----------
        texts : path-like or iterable of str
            The sentences; without `labels`, a file with a label and a sentence in each line, see
            `dynamics.counts.corpus.LabelledText`.
        labels : path-like or iterable of str or int, optional
            A label for each sentence.
        tokenizer, lower, max_vocab, min_count, max_pairs, gram
            As for `from_parallel_text`. All labels are kept as they are.
        header : bool
            The first line of the file is a heading.

        Returns
        -------
        CoOccurrence

        Raises
        ------
        InputError
            As `from_parallel_text`, and for lines without a label or with more than two columns.

        Warns
        -----
        DataWarning
            As `from_parallel_text`.

        Examples
        --------
        >>> co = CoOccurrence.from_labelled_text(["a fine film", "dull"], [1, 0])
        >>> co.inputs, co.outputs
        (('a', 'dull', 'film', 'fine'), ('0', '1'))
        """
        text = LabelledText(texts, labels, tokenizer, lower, max_pairs, header)
        return _from_text([text], max_pairs, max_vocab, min_count, gram)

    @classmethod
    def from_labelled_files(
        cls,
        texts: Files,
        *,
        tokenizer: str = "words",
        lower: bool = True,
        max_vocab: int | None = None,
        min_count: int = 1,
        max_pairs: int | None = None,
        header: bool = False,
        gram: bool = False,
        scheduler: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> "CoOccurrence":
        """Count many files with a label and a sentence in each line, here or on a cluster.

        Parameters
        ----------
        texts : path-like or iterable of path-like
            A directory, a pattern such as ``"reviews/*.tsv"``, or the paths.
        tokenizer, lower, max_vocab, min_count, max_pairs, header, gram
            As for `from_labelled_text`; every file has a heading, or none.
        scheduler, progress
            As for `from_parallel_files`.

        Returns
        -------
        CoOccurrence

        Raises
        ------
        InputError
            As `from_labelled_text`; if there is no file; if no scheduler answers.

        Warns
        -----
        DataWarning
            As `from_parallel_text`, for the whole corpus.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     for name, text in {"a.txt": "1 a fine film", "b.txt": "0 dull"}.items():
        ...         _ = Path(directory, name).write_text(text)
        ...     CoOccurrence.from_labelled_files(directory).inputs
        ('a', 'dull', 'film', 'fine')
        """
        paths = _for_workers([path for path in matching(texts, "texts") if not is_empty(path)], scheduler)
        parts = [LabelledText(path, None, tokenizer, lower, max_pairs, header) for path in paths]
        return _from_text(parts, max_pairs, max_vocab, min_count, gram, scheduler, progress)

    @classmethod
    def from_encoded(
        cls,
        pairs: EncodedPairs | Iterable[EncodedPairs],
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        gram: bool = False,
        attrs: Attrs | None = None,
    ) -> "CoOccurrence":
        """Count sentences that are already word ids.

        Parameters
        ----------
        pairs : EncodedPairs or iterable of them
            At once or in blocks, see `dynamics.counts.corpus.encode`.
        inputs, outputs : sequence of str
            What the ids stand for.
        gram : bool
            Count `gram` as well.
        attrs : mapping, optional
            Provenance.

        Returns
        -------
        CoOccurrence

        Raises
        ------
        InputError
            If labels repeat or there are no pairs.

        Warns
        -----
        DataWarning
            If a word or an output does not occur.

        Examples
        --------
        >>> from dynamics.counts.corpus import encode
        >>> text = ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"])
        >>> pairs = encode(text, ["dog", "cat"], ["hund", "katze"])
        >>> CoOccurrence.from_encoded(pairs, ["dog", "cat"], ["hund", "katze"]).C
        array([[0.5, 0. ],
               [0. , 0.5]])
        """
        row_labels = _labels(inputs, len(inputs), "input", "rows", "inputs")
        column_labels = _labels(outputs, len(outputs), "output", "columns", "outputs")
        shape = (len(row_labels), len(column_labels))
        sums = tally([pairs] if isinstance(pairs, EncodedPairs) else pairs, shape, gram)
        if sums.targets == 0:
            raise InputError("there are no pairs to count")
        return _from_tally(sums, row_labels, column_labels, {"origin": "encoded text", **(attrs or {})})

    def _with(self, **changes: Any) -> "CoOccurrence":
        fields = ("C", "inputs", "outputs", "length", "gram", "attrs")
        return CoOccurrence(**({name: getattr(self, name) for name in fields} | changes))

    def __repr__(self) -> str:
        length = "length unknown" if self.length is None else f"length {self.length:.4g}"
        return (
            f"CoOccurrence({self.shape[0]:,} inputs x {self.shape[1]:,} outputs, {self.nnz:,} non-zero, "
            f"{'sparse' if self.is_sparse else 'dense'}, {length}{'' if self.gram is None else ', with gram'})"
        )


def _from_tally(sums: Tally, inputs: tuple[str, ...], outputs: tuple[str, ...], attrs: Attrs) -> CoOccurrence:
    return _normalised(
        value(sums.counts),
        inputs,
        outputs,
        sums.words_of_targets / sums.targets,
        (symmetric(sums.gram) / sums.targets).toarray() if sums.gram else None,
        {
            **attrs,
            "pairs_kept": sums.pairs,
            "input_words_kept": sums.words,
            "output_words_kept": sums.targets,
        },
    )


def _from_text(
    texts: Sequence[Part],
    max_pairs: int | None,
    max_vocab: int | None,
    min_count: int,
    gram: bool,
    scheduler: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> CoOccurrence:
    if not texts:
        raise InputError("all files are empty")
    parts = within(texts, max_pairs)
    counted = count(parts, max_vocab, min_count, gram, scheduler, progress)
    options = {"max_vocab": max_vocab, "min_count": min_count, "max_pairs": max_pairs}
    return _from_tally(
        counted.tally,
        counted.inputs,
        counted.outputs,
        {
            "origin": "labelled text" if isinstance(parts[0], LabelledText) else "parallel text",
            **_provenance(parts, counted.digests),
            "tokenizer": parts[0].tokenizer,
            "lower": int(parts[0].lower),
            **{name: option for name, option in options.items() if option is not None},
            "pairs": counted.pairs,
            "input_words": counted.words[0],
            "output_words": counted.words[1],
        },
    )


def _provenance(parts: Sequence[Part], digests: Sequence[Mapping[str, str]]) -> Attrs:
    found: dict[str, str | int] = {}
    for name in sides(parts[0]):
        read = [files(part)[name] for part in parts if name in files(part)]
        if not read:
            found[f"{name}_file"] = "(in memory)"
            continue
        found[f"{name}_file"] = read[0].name if len(read) == 1 else f"{read[0].name} ... {read[-1].name}"
        if len(read) > 1:
            found[f"{name}_files"] = len(read)
        listed = [of_part[name] for of_part in digests]
        text = "".join(f"{digest}\n" for digest in listed)
        found[f"{name}_sha256"] = listed[0] if len(listed) == 1 else hashlib.sha256(text.encode()).hexdigest()
    return found


def _for_workers(paths: Sequence[Path], scheduler: str | None) -> Sequence[Path]:
    """Workers may run in another directory."""
    return paths if scheduler is None else [path.absolute() for path in paths]


def _span(paths: Sequence[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} to {paths[-1].name}"


def _normalised(
    matrix: Matrix,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    length: float | None = None,
    gram: ArrayLike | None = None,
    attrs: Attrs | None = None,
    where: str = "counts",
) -> CoOccurrence:
    """Non-negative counts as a distribution, without zero rows and columns, stored as it pays."""
    largest = matrix.max()
    if largest == 0:
        raise InputError(f"{where}: all counts are zero: there is nothing to learn from")
    with np.errstate(over="ignore"):
        total = matrix.sum()
    if not np.isfinite(total):  # counts near the largest float
        matrix = matrix / largest
        total = matrix.sum()
    matrix = matrix / total
    used_rows, used_columns = (np.flatnonzero(np.asarray(matrix.sum(axis=axis)).ravel()) for axis in (1, 0))
    if len(used_rows) < matrix.shape[0] or len(used_columns) < matrix.shape[1]:
        unused = [_unused(inputs, used_rows, "input"), _unused(outputs, used_columns, "output")]
        warn(f"without any count, and left out: {' and '.join(filter(None, unused))}", DataWarning, stacklevel=3)
        matrix = matrix[used_rows][:, used_columns]
    if gram is not None:
        gram = np.asarray(gram, dtype=np.float64)
        _check_gram_shape(gram, len(inputs))
        if len(used_rows) < len(inputs):
            gram = gram[np.ix_(used_rows, used_rows)]
    return CoOccurrence(
        _stored(matrix),
        tuple(inputs[i] for i in used_rows),
        tuple(outputs[o] for o in used_columns),
        None if length is None else _check_length(length),
        gram,
        attrs or {},
    )


def _unused(labels: tuple[str, ...], used: NDArray[np.intp], kind: str) -> str:
    missing = np.setdiff1d(np.arange(len(labels)), used)
    if not len(missing):
        return ""
    some = ", ".join(repr(labels[i]) for i in missing[:3])
    return f"{len(missing):,} {kind}{'s' * (len(missing) > 1)} ({some}{', ...' * (len(missing) > 3)})"


def _stored(matrix: Matrix) -> Matrix:
    cells = matrix.shape[0] * matrix.shape[1]
    filled = matrix.nnz if scipy.sparse.issparse(matrix) else np.count_nonzero(matrix)
    if cells > SPARSE_ABOVE_CELLS and filled < SPARSE_BELOW_DENSITY * cells:
        sparse = scipy.sparse.csr_array(matrix)
        sparse.sum_duplicates()  # sorts the column indices too
        sparse.eliminate_zeros()
        if max(filled, *sparse.shape) < 2**31:  # half the memory, and what SciPy chooses where it may
            sparse.indices, sparse.indptr = sparse.indices.astype(np.int32), sparse.indptr.astype(np.int32)
        return sparse
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.ascontiguousarray(matrix)


def _as_matrix(counts: Any, where: str) -> Matrix:
    """Counts as a float64 ndarray or csr_array with two dimensions."""
    if scipy.sparse.issparse(counts):
        array = counts
    else:
        if isinstance(counts, np.ma.MaskedArray):
            raise InputError(f"{where}: the array is masked: fill the masked cells, with zeros for instance")
        try:
            array = np.asarray(counts)
        except ValueError as error:  # ragged nested lists
            raise InputError(f"{where}: not a matrix ({beginning(str(error), 120)})") from None
    if array.ndim != 2:
        raise InputError(f"{where}: {array.ndim} dimensions, shape {array.shape}: a matrix (inputs, outputs) is needed")
    if 0 in array.shape:
        raise InputError(f"{where}: the matrix is empty, shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: cells of type {array.dtype}: real numbers are needed")
    if not scipy.sparse.issparse(array):
        return np.array(array, dtype=np.float64)
    matrix = scipy.sparse.csr_array(array, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _check_counts(matrix: Matrix, inputs: tuple[str, ...], outputs: tuple[str, ...], where: str) -> None:
    values = matrix.data if scipy.sparse.issparse(matrix) else matrix
    for wrong, what in ((np.isnan(values), "NaN"), (np.isinf(values), "infinite"), (values < 0, "negative")):
        if not wrong.any():
            continue
        if scipy.sparse.issparse(matrix):
            first = int(np.flatnonzero(wrong)[0])
            i, o = int(np.searchsorted(matrix.indptr, first, side="right")) - 1, int(matrix.indices[first])
        else:
            i, o = (int(index[0]) for index in np.nonzero(wrong))
        others = np.count_nonzero(wrong) - 1
        raise InputError(
            f"{where}: {what} count at row {i}, column {o} (from 0; input {inputs[i]!r}, output {outputs[o]!r})"
            f"{f', and {others:,} more' if others else ''}: counts are finite and at least 0"
        )


def _check_length(length: float) -> float:
    if not isinstance(length, numbers.Real) or isinstance(length, bool) or not 1 <= length < np.inf:
        raise InputError(f"length is {length!r}: give the mean number of words in an input, at least 1")
    return float(length)


def _check_gram(gram: NDArray[np.float64], c: NDArray[np.float64]) -> None:
    _check_gram_shape(gram, len(c))
    if not np.isfinite(gram).all() or (gram < 0).any():
        raise InputError("gram has cells that are negative, NaN or infinite")
    # A random vector tells a matrix from its transpose, without a second matrix of this size.
    probe = np.random.default_rng(0).random(len(c))
    if not np.allclose(gram @ probe, probe @ gram, rtol=1e-6, atol=1e-9):
        raise InputError("gram is not symmetric: E[B B^T] is")
    if not np.allclose(gram.sum(axis=1), c, rtol=1e-6, atol=1e-9):
        worst = int(np.argmax(np.abs(gram.sum(axis=1) - c)))
        raise InputError(
            f"the rows of gram do not sum to the input marginal (row {worst}: {gram[worst].sum():.6g}, marginal "
            f"{c[worst]:.6g}): weigh each input by its number of targets"
        )


def _check_gram_shape(gram: NDArray[np.float64], inputs: int) -> None:
    if gram.shape != (inputs, inputs):
        raise InputError(f"gram has shape {gram.shape}: it goes with {inputs} inputs on either side")


def _labels(labels: Iterable[Any] | None, size: int, kind: str, axis: str, where: str) -> tuple[str, ...]:
    if labels is None:
        return tuple(map(str, range(size)))
    if isinstance(labels, str):
        raise InputError(f"{where}: the {kind} labels are one string ({beginning(labels)}): give a sequence of strings")
    found = tuple(str(label) if isinstance(label, numbers.Integral) else label for label in labels)
    for number, label in enumerate(found):
        if not isinstance(label, str):
            raise InputError(f"{where}: {kind} label {number} is {type(label).__name__}: labels are strings")
    if len(found) != size:
        raise InputError(f"{where}: {len(found)} {kind} labels for {size} {axis}: give one for each")
    first: dict[str, int] = {}
    for number, label in enumerate(found):
        if first.setdefault(label, number) != number:
            raise InputError(
                f"{where}: {beginning(label)} is the {kind} label of {axis} {first[label]} and {number} (from 0): "
                "make the labels unique"
            )
    return tuple(map(str, found))  # NumPy's str_ is a str, but prints otherwise


def _largest(marginal: NDArray[np.float64], number: int | None, name: str) -> NDArray[np.intp]:
    if number is None:
        return np.arange(len(marginal))
    if not isinstance(number, numbers.Integral) or isinstance(number, bool) or number < 1:
        raise InputError(f"{name} is {number!r}: give a whole number from 1")
    return np.sort(np.argsort(-marginal, kind="stable")[:number])


_Table = tuple[Any, tuple[str, ...] | None, tuple[str, ...] | None]


def _read(path: Path) -> CoOccurrence | _Table:
    """A saved object, or counts with the labels that the file has."""
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if table_suffix(path):
        return _read_table(path)
    try:
        if suffix in (".npy", ".npz"):
            return _read_numpy(path)
        if suffix.endswith((".mtx", ".mtx.gz")):
            from scipy.io import mmread  # here, because few read such files and it takes a while to import

            return mmread(path), None, None
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as {suffix} ({beginning(str(error), 120)})") from None
    raise InputError(f"{path}: files of counts end in .npy, .npz, .mtx, .csv or .tsv, this one in {suffix or 'none'!r}")


def _read_numpy(path: Path) -> CoOccurrence | _Table:
    file = np.load(path, allow_pickle=False)
    if isinstance(file, np.ndarray):
        return file, None, None
    with file:
        if "about" in file.files:
            about = json.loads(file["about"].tobytes())
            if about["format"] != _FORMAT:
                raise InputError(f"{path}: written in the format {about['format']!r}: this version reads {_FORMAT!r}")
            inputs, outputs = tuple(about["inputs"]), tuple(about["outputs"])
            if "C" in file.files:
                C = file["C"]
            else:
                parts = (file["data"], file["indices"], file["indptr"])
                C = scipy.sparse.csr_array(parts, shape=(len(inputs), len(outputs)))
            gram = file["gram"] if "gram" in file.files else None
            return CoOccurrence(C, inputs, outputs, about["length"], gram, about["attrs"])
        if "format" in file.files:
            return scipy.sparse.load_npz(path), None, None
        if len(file.files) == 1:
            return file[file.files[0]], None, None
        raise InputError(f"{path}: holds {len(file.files)} arrays ({', '.join(file.files[:5])}): save the counts alone")


def _read_table(path: Path) -> _Table:
    """A table of numbers, with or without labels."""
    table = [(number, cells) for number, cells in rows(path) if any(cell.strip() for cell in cells)]
    if not table:
        raise InputError(f"{path}: the file has no numbers in it")
    _, first = table[0]
    labelled = _number(first[0]) is None
    body = table[1:] if labelled else table
    if labelled and not body:
        raise InputError(f"{path}: the file has one line, of labels or text: lines of numbers are missing")
    if labelled:
        # A heading without a corner, as R writes it, is one cell short.
        outputs = first if len(first) == len(body[0][1]) - 1 else first[1:]
        _check_not_half_labelled(path, first, [cells[0] for _, cells in body], corner=outputs is not first)
    width = len(outputs) + 1 if labelled else len(first)
    counts = np.empty((len(body), width - labelled))
    for row, (line, cells) in zip(counts, body, strict=True):
        if len(cells) != width:
            raise InputError(f"{path}, line {line:,}: {len(cells)} cells where the first line asks for {width}")
        for column in range(labelled, width):
            value = _number(cells[column])
            if value is None:
                raise InputError(
                    f"{path}, line {line:,}, column {column + 1}: {beginning(cells[column].strip())} is not a number"
                    if cells[column].strip()
                    else f"{path}, line {line:,}, column {column + 1}: the cell is empty; write 0"
                )
            row[column - labelled] = value
    if not labelled:
        return counts, None, None
    return counts, tuple(cells[0].strip() for _, cells in body), tuple(cell.strip() for cell in outputs)


def _check_not_half_labelled(path: Path, first: list[str], inputs: list[str], corner: bool) -> None:
    """Refuse tables that have labels on one side only: a line or a column of counts would be taken for labels."""
    if not corner or not first[0].strip():
        return
    for cells, have, lack in ((first[1:], "rows", "columns"), (inputs, "columns", "rows")):
        if all(_number(cell) is not None for cell in cells):
            raise InputError(
                f"{path}: it seems that the {have} have labels and the {lack} have none: label both or neither (if the "
                "numbers are labels, empty the first cell of the file)"
            )


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
