"""Co-occurrence of input words with outputs: the one statistic that theory needs, from counts or from real text.

C[i,o] = E[(n_i(x)/L) 1{y = o}] for an input of L words, n_i of them the word i, and a target y: the joint distribution
of a word drawn uniformly from the input and the target.
"""

import numbers
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Unpack

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numpy.typing import ArrayLike, NDArray

from dynamics.counts.bags.sample import BagSample, KeepBags
from dynamics.counts.counting import tally
from dynamics.counts.distribution import (
    Attrs,
    Distribution,
    Matrix,
    as_matrix,
    check_attrs,
    check_bags,
    check_counts,
    check_distribution,
    check_gram,
    check_length,
    is_sparse,
    normalised,
)
from dynamics.counts.files import count_files
from dynamics.counts.files.labelled import aligned, aligned_gram, table_of
from dynamics.counts.files.labels import checked_labels
from dynamics.counts.from_text import file_pairs, for_workers, from_parts, from_tally
from dynamics.counts.text.corpus import LabelledText, ParallelText, Text
from dynamics.counts.text.encoding import EncodedPairs
from dynamics.counts.text.lines import Files, is_empty, matching
from dynamics.counts.text.options import ByName, LabelledByName, TextOptions
from dynamics.support.errors import InputError
from dynamics.support.files import existing, sha256
from dynamics.support.typing import Vector

SHOWN = 8
"""Words a side that a notebook shows."""


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
    bags : BagSample or None
        A bounded sample of the sentences with their targets, if it was asked for (`keep_bags`). The bags closure needs
        it.
    attrs : mapping of str to str, int or float
        Where the numbers come from: files with their SHA-256, options, numbers of pairs and words. Yes and no are 1 and
        0; limits that were not set are absent.

    Raises
    ------
    InputError
        If labels, shapes and sums do not go together; for numbers that are negative, NaN or infinite; for rows and
        columns that are zero; for labels that repeat or are no words, see `dynamics.counts.files.labels.checked_word`.
        Other kinds of sparse matrices become csr_arrays, and labels are brought to the composed form NFC.

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
    gram: Vector | None = None
    attrs: Attrs = field(default_factory=dict)
    bags: BagSample | None = None

    def __post_init__(self) -> None:
        # Whatever the way in, what is stored is plain: readers rely on it.
        inputs = checked_labels(self.inputs, None, "input", "rows", "C")
        outputs = checked_labels(self.outputs, None, "output", "columns", "C")
        C = check_distribution(self.C, inputs, outputs)
        stored = {"C": C, "inputs": inputs, "outputs": outputs, "attrs": check_attrs(self.attrs)}
        if self.length is not None:
            stored["length"] = check_length(self.length)
        if self.gram is not None:
            stored["gram"] = check_gram(self.gram, np.asarray(C.sum(axis=1)))
        if self.bags is not None:
            stored["bags"] = check_bags(self.bags, self.shape)
        for name, value in stored.items():
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of inputs and of outputs."""
        return len(self.inputs), len(self.outputs)

    @property
    def is_sparse(self) -> bool:
        """Whether `C` is a scipy.sparse.csr_array."""
        return is_sparse(self.C)

    @property
    def nnz(self) -> int:
        """Number of cells of `C` that are not zero."""
        return int(self.C.nnz if self.is_sparse else np.count_nonzero(self.C))

    @property
    def density(self) -> float:
        """Share of cells of `C` that are not zero."""
        return self.nnz / (self.shape[0] * self.shape[1])

    @property
    def c(self) -> Vector:
        """Marginal of the inputs, shape (inputs,): how often a word is drawn from the input."""
        return np.asarray(self.C.sum(axis=1))

    @property
    def q(self) -> Vector:
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
        a smaller vocabulary gives, where the dropped words do not count in the lengths either; so `length`, `gram`
        and `bags`, which cannot be had from here, are None.

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
        found = normalised(
            self.C[kept_inputs][:, kept_outputs],
            tuple(self.inputs[i] for i in kept_inputs),
            tuple(self.outputs[o] for o in kept_outputs),
            attrs={**self.attrs, "top_inputs": len(kept_inputs), "top_outputs": len(kept_outputs)},
        )
        return CoOccurrence(*found)

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
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     CoOccurrence.from_counts([[3, 1], [0, 4]]).save(Path(directory, "counts.npz"))
        ...     CoOccurrence.load(Path(directory, "counts.npz")).C
        array([[0.375, 0.125],
               [0.   , 0.5  ]])
        """
        count_files.write(path, Distribution(*(getattr(self, name) for name in Distribution._fields)))

    def _repr_html_(self) -> str:
        """For notebooks: the counts of the most frequent words as a table, in per cent."""
        rows, columns = (np.argsort(-weights, kind="stable")[:SHOWN] for weights in (self.c, self.q))
        C = self.C[rows][:, columns] if self.is_sparse else self.C[np.ix_(rows, columns)]
        shares = 100 * (C.toarray() if self.is_sparse else C)
        head = "".join(f'<th scope="col">{escape(self.outputs[o])}</th>' for o in columns)
        body = "".join(
            f'<tr><th scope="row">{escape(self.inputs[i])}</th>' + "".join(f"<td>{v:.3g}</td>" for v in row) + "</tr>"
            for i, row in zip(rows, shares, strict=True)
        )
        more = "" if max(self.shape) <= SHOWN else f"; the {SHOWN} most frequent a side"
        caption = f"<caption>{escape(repr(self))}; C in per cent{more}</caption>"
        return f"<table>{caption}<tr><td></td>{head}</tr>{body}</table>"

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `C` with its labels as a table, for a spreadsheet; `load` reads it back. Nothing else is kept.

        Parameters
        ----------
        path : path-like
            Ends in ``.csv``, or in ``.tsv`` for tabs.

        Raises
        ------
        InputError
            If the name ends otherwise or cannot be written.
        """
        count_files.write_table(path, Distribution(*(getattr(self, name) for name in Distribution._fields)))

    def to_frame(self) -> Any:
        """`C` as a data frame of pandas, inputs along the rows.

        Returns
        -------
        pandas.DataFrame, shape (inputs, outputs)

        Examples
        --------
        >>> CoOccurrence.from_counts([[3, 1], [0, 4]], outputs=["dog", "cat"]).to_frame()["cat"].tolist()
        [0.125, 0.5]
        """
        import pandas as pd

        index, columns = pd.Index(self.inputs, name="input"), pd.Index(self.outputs, name="output")
        return pd.DataFrame(self.C.toarray() if self.is_sparse else self.C, index, columns)

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
            Non-negative numbers, also as a pandas DataFrame or an xarray DataArray with the dimensions ``input`` and
            ``output``, whose labels are taken; or a file of them: ``.npy``; ``.npz`` (one array, or
            scipy.sparse.save_npz, or `save`); ``.mtx`` (Matrix Market, also ``.mtx.gz``); ``.csv`` or, without quoting,
            ``.tsv`` (also ``.gz``) with the outputs in the first line and the input in the first cell of each other
            line, or all numbers without labels.
        inputs, outputs : iterable of str, optional
            Labels of rows and columns; by default those of the counts or of the file, or "0", "1", ... A table that
            has the same labels in another order is put into this order.
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
        where, bags = "counts", None
        if isinstance(counts, str | os.PathLike):
            path = existing(counts)
            where, attrs = str(path), {"origin": "counts", "counts_file": path.name, "counts_sha256": sha256(path)}
            found = count_files.read(path)
            if isinstance(found, Distribution):
                try:
                    saved = cls(*found)
                except InputError as error:
                    raise InputError(f"{path}: {error}") from None
                if all(given is None for given in (inputs, outputs, length, gram)):
                    return saved
                counts, attrs = saved.C, saved.attrs
                inputs = saved.inputs if inputs is None else inputs
                outputs = saved.outputs if outputs is None else outputs
                length = saved.length if length is None else length
                gram = saved.gram if gram is None else gram
                bags = saved.bags
            else:
                counts = found.counts
                inputs = found.inputs if inputs is None else inputs
                outputs = found.outputs if outputs is None else outputs
        else:
            table = table_of(counts)
            if table.inputs is not None or table.outputs is not None:
                table = aligned(table, inputs, outputs)
                inputs, outputs = table.inputs, table.outputs
            counts = table.counts
        matrix = as_matrix(counts, where)
        row_labels = checked_labels(inputs, matrix.shape[0], "input", "rows", where)
        column_labels = checked_labels(outputs, matrix.shape[1], "output", "columns", where)
        check_counts(matrix, row_labels, column_labels, where)
        gram = None if gram is None else aligned_gram(gram, row_labels)
        return cls(*normalised(matrix, row_labels, column_labels, length, gram, attrs, where, bags))

    @classmethod
    def from_parallel_text(
        cls,
        source: Text,
        target: Text,
        options: TextOptions | None = None,
        *,
        gram: bool = False,
        keep_bags: int | KeepBags | None = None,
        **by_name: Unpack[ByName],
    ) -> "CoOccurrence":
        """Count sentences (inputs) against their translations (targets).

        Each pair contributes n_i/L * n_o, where n_i and n_o count a word in the sentence and in its translation.
        Words outside the vocabulary are dropped first: they count neither in n nor in L. The text is read twice, in a
        stream; memory is bounded by the pairs of words that occur, not by the text.

        Parameters
        ----------
        source, target : path-like or iterable of str
            Two files or two sequences of lines, see `dynamics.counts.text.corpus.ParallelText`.
        options : TextOptions, optional
            How text is read and what is kept, see `dynamics.counts.text.options.TextOptions`.
        gram : bool
            Count `gram` as well (inputs^2 numbers).
        keep_bags : int or KeepBags, optional
            Keep about so many `bags` as well, at most, and beside them those that make 20 of every target. One takes
            12 bytes; the sentences that they are of, 12 and 8 for every different word.
        **by_name
            Options by their names: tokenizer, lower, max_vocab, min_count, max_pairs. They go before `options`.

        Returns
        -------
        CoOccurrence
            With `length`, and with files, options and sizes in `attrs`.

        Raises
        ------
        InputError
            If a file does not exist, is empty, is not UTF-8 or has more lines than the other, if an option is unknown
            or not positive, or if no words are left. The message names file and line.
        TypeError
            For an option that there is not; the nearest one is given.

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
        options = TextOptions.of(options, by_name, "from_parallel_text", ("gram", "keep_bags"))
        keep = KeepBags.of(keep_bags)
        return cls(*from_parts([ParallelText.with_options(source, target, options)], options, gram, keep=keep))

    @classmethod
    def from_parallel_files(
        cls,
        source: Files,
        target: Files,
        options: TextOptions | None = None,
        *,
        gram: bool = False,
        keep_bags: int | KeepBags | None = None,
        scheduler: str | None = None,
        progress: Callable[[float], None] | None = None,
        **by_name: Unpack[ByName],
    ) -> "CoOccurrence":
        """Count a corpus of many files, here or on a cluster.

        The result is that of `from_parallel_text` on all files one after the other, to the last bit, however the corpus
        is divided and whichever worker is first: the sums are of whole numbers, see `dynamics.counts.counting`. A
        worker holds one file's counts at a time. Pairs of empty files count nothing.

        Parameters
        ----------
        source, target : path-like or iterable of path-like
            On either side a directory, a pattern such as ``"corpus/*.en"``, or the paths. Files of a directory or a
            pattern are sorted by their names; the first of one side goes with the first of the other.
        options, gram, keep_bags, **by_name
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
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     for name, text in {"1.en": "a dog", "2.en": "a cat", "1.de": "ein hund", "2.de": "eine katze"}.items():
        ...         _ = Path(directory, name).write_text(text)
        ...     co = CoOccurrence.from_parallel_files(f"{directory}/*.en", f"{directory}/*.de")
        >>> co.inputs, co.outputs, co.length
        (('a', 'cat', 'dog'), ('ein', 'eine', 'hund', 'katze'), 2.0)
        """
        options = TextOptions.of(
            options, by_name, "from_parallel_files", ("gram", "keep_bags", "scheduler", "progress")
        )
        texts = [ParallelText.with_options(x, y, options) for x, y in file_pairs(source, target, scheduler)]
        return cls(*from_parts(texts, options, gram, scheduler, progress, KeepBags.of(keep_bags)))

    @classmethod
    def from_labelled_text(
        cls,
        texts: Text,
        labels: str | os.PathLike[str] | Iterable[str | int] | None = None,
        options: TextOptions | None = None,
        *,
        gram: bool = False,
        keep_bags: int | KeepBags | None = None,
        **by_name: Unpack[LabelledByName],
    ) -> "CoOccurrence":
        """Count the words of sentences against the labels of the sentences.

        The outputs are the labels, in the order of their spelling (numbers in the order of their size).

        Parameters
        ----------
        texts : path-like or iterable of str
            The sentences; without `labels`, a file with a label and a sentence in each line, see
            `dynamics.counts.text.corpus.LabelledText`.
        labels : path-like or iterable of str or int, optional
            A label for each sentence.
        options, gram, keep_bags, **by_name
            As for `from_parallel_text`, and header: the first line of the file is a heading. All labels are kept.

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
        options = TextOptions.of(options, by_name, "from_labelled_text", ("labels", "gram", "keep_bags"), header=True)
        keep = KeepBags.of(keep_bags)
        return cls(*from_parts([LabelledText.with_options(texts, labels, options)], options, gram, keep=keep))

    @classmethod
    def from_labelled_files(
        cls,
        texts: Files,
        options: TextOptions | None = None,
        *,
        gram: bool = False,
        keep_bags: int | KeepBags | None = None,
        scheduler: str | None = None,
        progress: Callable[[float], None] | None = None,
        **by_name: Unpack[LabelledByName],
    ) -> "CoOccurrence":
        """Count many files with a label and a sentence in each line, here or on a cluster.

        Parameters
        ----------
        texts : path-like or iterable of path-like
            A directory, a pattern such as ``"reviews/*.tsv"``, or the paths.
        options, gram, keep_bags, **by_name
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
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     for name, text in {"a.txt": "1 a fine film", "b.txt": "0 dull"}.items():
        ...         _ = Path(directory, name).write_text(text)
        ...     CoOccurrence.from_labelled_files(directory).inputs
        ('a', 'dull', 'film', 'fine')
        """
        options = TextOptions.of(
            options, by_name, "from_labelled_files", ("gram", "keep_bags", "scheduler", "progress"), header=True
        )
        paths = for_workers([path for path in matching(texts, "texts") if not is_empty(path)], scheduler)
        parts = [LabelledText.with_options(path, None, options) for path in paths]
        return cls(*from_parts(parts, options, gram, scheduler, progress, KeepBags.of(keep_bags)))

    @classmethod
    def from_encoded(
        cls,
        pairs: EncodedPairs | Iterable[EncodedPairs],
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        gram: bool = False,
        keep_bags: int | KeepBags | None = None,
        attrs: Attrs | None = None,
    ) -> "CoOccurrence":
        """Count sentences that are already word ids.

        Parameters
        ----------
        pairs : EncodedPairs or iterable of them
            At once or in blocks, see `dynamics.counts.text.encoding.encode`.
        inputs, outputs : sequence of str
            What the ids stand for.
        gram : bool
            Count `gram` as well.
        keep_bags : int or KeepBags, optional
            Keep `bags` as well, as for `from_parallel_text`.
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
        >>> from dynamics.counts.text.encoding import encode
        >>> text = ParallelText(["a dog", "a cat"], ["ein hund", "eine katze"])
        >>> pairs = encode(text, ["dog", "cat"], ["hund", "katze"])
        >>> CoOccurrence.from_encoded(pairs, ["dog", "cat"], ["hund", "katze"]).C
        array([[0.5, 0. ],
               [0. , 0.5]])
        """
        row_labels = checked_labels(inputs, len(inputs), "input", "rows", "inputs")
        column_labels = checked_labels(outputs, len(outputs), "output", "columns", "outputs")
        shape = (len(row_labels), len(column_labels))
        blocks = [pairs] if isinstance(pairs, EncodedPairs) else pairs
        sums = tally(blocks, shape, gram, KeepBags.of(keep_bags))
        if sums.targets == 0:
            raise InputError("there are no pairs to count")
        return cls(*from_tally(sums, row_labels, column_labels, {"origin": "encoded text", **(attrs or {})}))

    def _with(self, **changes: Any) -> "CoOccurrence":
        fields = ("C", "inputs", "outputs", "length", "gram", "attrs", "bags")
        return CoOccurrence(**({name: getattr(self, name) for name in fields} | changes))

    def __repr__(self) -> str:
        length = "length unknown" if self.length is None else f"length {self.length:.4g}"
        return (
            f"CoOccurrence({self.shape[0]:,} inputs x {self.shape[1]:,} outputs, {self.nnz:,} non-zero, "
            f"{'sparse' if self.is_sparse else 'dense'}, {length}{'' if self.gram is None else ', with gram'}"
            f"{'' if self.bags is None else f', with {len(self.bags):,} bags'})"
        )


def _largest(marginal: Vector, number: int | None, name: str) -> NDArray[np.intp]:
    if number is None:
        return np.arange(len(marginal))
    if not isinstance(number, numbers.Integral) or isinstance(number, bool) or number < 1:
        raise InputError(f"{name} is {number!r}: give a whole number from 1")
    return np.sort(np.argsort(-marginal, kind="stable")[:number])
