"""Co-occurrence statistics against loops over sentences, and everything that can be wrong with counts."""

import gzip
import hashlib
import json
import pickle
import subprocess
import sys
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles.reference_data import MULTI30K, translations

import dynamics.counts.distribution
import dynamics.counts.text.encoding
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.counts.text.corpus import LabelledText, ParallelText
from dynamics.counts.text.encoding import encode
from dynamics.support.errors import DataWarning, InputError

SENTENCE = st.lists(st.sampled_from("abcde"), max_size=7)
CORPUS = st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=10)


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def joined(corpus: list[tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
    return [" ".join(x) for x, _ in corpus], [" ".join(y) for _, y in corpus]


class Oracle:
    """C[i,o] = E[(n_i/L) 1{y=o}] and its relatives, one target at a time, in fractions."""

    def __init__(self, corpus: list[tuple[list[str], list[str]]], inputs: set[str], outputs: set[str]) -> None:
        self.C: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.G: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        self.length = Fraction()
        targets = 0
        for source, target in corpus:
            kept = [word for word in source if word in inputs]
            for y in target if kept else []:
                if y not in outputs:
                    continue
                targets += 1
                self.length += len(kept)
                for i in kept:
                    self.C[i, y] += Fraction(1, len(kept))
                    for k in kept:
                        self.G[i, k] += Fraction(1, len(kept) ** 2)
        self.targets = targets
        if targets:
            self.C = {key: value / targets for key, value in self.C.items()}
            self.G = {key: value / targets for key, value in self.G.items()}
            self.length /= targets

    def check(self, co: CoOccurrence) -> None:
        dense = co.dense().C
        assert {(i, o) for i, o in self.C} == {
            (co.inputs[i], co.outputs[o]) for i, o in zip(*np.nonzero(dense), strict=True)
        }
        for (i, o), value in self.C.items():
            assert dense[co.inputs.index(i), co.outputs.index(o)] == pytest.approx(float(value), rel=1e-13)
        assert co.length == pytest.approx(float(self.length), rel=1e-13)
        if co.gram is not None:
            expected = [[float(self.G.get((i, k), 0)) for k in co.inputs] for i in co.inputs]
            np.testing.assert_allclose(co.gram, expected, rtol=1e-13, atol=1e-16)


def quietly(make: Callable[..., CoOccurrence], *args: Any, **options: Any) -> CoOccurrence:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return make(*args, **options)


# From text


@settings(deadline=None, max_examples=150)
@given(CORPUS, st.booleans(), st.sampled_from([1, 3, 1000]))
def test_text_against_the_definition(corpus: list, gram: bool, block_words: int) -> None:
    vocabularies = [{word for pair in corpus for word in pair[side]} for side in (0, 1)]
    oracle = Oracle(corpus, *vocabularies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics.counts.text.encoding, "BLOCK_WORDS", block_words)
        if not oracle.targets:
            with pytest.raises(InputError):
                CoOccurrence.from_parallel_text(*joined(corpus))
            return
        co = quietly(CoOccurrence.from_parallel_text, *joined(corpus), tokenizer="whitespace", gram=gram)
    oracle.check(co)
    assert (co.gram is not None) == gram
    assert co.C.sum() == pytest.approx(1, abs=1e-14)
    assert co.attrs["pairs"] == len(corpus)
    assert co.attrs["pairs_kept"] == sum(1 for x, y in corpus if x and y)
    assert co.attrs["output_words_kept"] == oracle.targets


@settings(deadline=None)
@given(CORPUS, st.integers(1, 4), st.integers(1, 3), st.integers(1, 10))
def test_dropped_words_do_not_count_in_lengths(corpus: list, max_vocab: int, min_count: int, max_pairs: int) -> None:
    head = corpus[:max_pairs]
    kept = []
    for side in (0, 1):
        flat = [word for pair in head for word in pair[side]]
        ranked = sorted({w for w in flat if flat.count(w) >= min_count}, key=lambda w: (-flat.count(w), w))
        kept.append(set(ranked[:max_vocab]))
    oracle = Oracle(head, *kept)
    options = {"max_vocab": max_vocab, "min_count": min_count, "max_pairs": max_pairs, "tokenizer": "whitespace"}
    if not oracle.targets:
        with pytest.raises(InputError):
            CoOccurrence.from_parallel_text(*joined(corpus), **options)
        return
    co = quietly(CoOccurrence.from_parallel_text, *joined(corpus), gram=True, **options)
    oracle.check(co)
    assert {name: co.attrs[name] for name in options} == options


@settings(deadline=None)
@given(CORPUS)
def test_marginals_and_gram_rows(corpus: list) -> None:
    if not any(x and y for x, y in corpus):
        return
    co = quietly(CoOccurrence.from_parallel_text, *joined(corpus), gram=True)
    np.testing.assert_allclose(co.c, co.C.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(co.q, co.C.sum(axis=0), rtol=1e-14)
    assert co.gram is not None
    np.testing.assert_allclose(co.gram.sum(axis=1), co.c, rtol=1e-13)
    np.testing.assert_array_equal(co.gram, co.gram.T)
    np.testing.assert_allclose(co.conditional().sum(axis=0), 1, rtol=1e-13)
    targets = [word for x, y in corpus if x for word in y]
    expected = [targets.count(word) / len(targets) for word in co.outputs]
    np.testing.assert_allclose(co.q, expected, rtol=1e-13)


def test_gram_weighs_inputs_by_their_targets() -> None:
    co = CoOccurrence.from_parallel_text(["a a b", "b"], ["x y z", "x"], gram=True)
    np.testing.assert_allclose(co.gram, [[1 / 3, 1 / 6], [1 / 6, 1 / 12 + 1 / 4]], rtol=1e-14)
    assert co.length == (3 * 3 + 1 * 1) / 4
    np.testing.assert_allclose(co.C, [[1 / 6] * 3, [1 / 12 + 1 / 4, 1 / 12, 1 / 12]], rtol=1e-14)


def test_repeated_targets_and_one_word_sentences() -> None:
    co = CoOccurrence.from_parallel_text(["a", "b"], ["x x x", "y"])
    np.testing.assert_array_equal(co.C, [[0.75, 0], [0, 0.25]])
    assert co.length == 1.0


def test_order_of_words() -> None:
    co = CoOccurrence.from_parallel_text(["b c c a"], ["z y y x"])
    assert (co.inputs, co.outputs) == (("c", "a", "b"), ("y", "x", "z"))


def test_one_sided_pairs_are_counted_in_a_warning() -> None:
    with pytest.warns(DataWarning) as caught:
        co = CoOccurrence.from_parallel_text(["a b", "c", "", "a"], ["x", "", "y", "x"])
    assert [str(w.message) for w in caught] == [
        "2 of 4 pairs have no kept word on one side and are left out (the first is pair 2)",
        "without any count, and left out: 1 input ('c') and 1 output ('y')",
    ]
    assert (co.inputs, co.outputs) == (("a", "b"), ("x",))
    assert (co.attrs["pairs"], co.attrs["pairs_kept"], co.attrs["input_words"], co.attrs["input_words_kept"]) == (
        4,
        2,
        4,
        3,
    )


def test_no_pair_left() -> None:
    with pytest.raises(InputError, match="none of the 2 pairs has a kept word on both sides"):
        CoOccurrence.from_parallel_text(["a", ""], ["", "x"])
    with pytest.raises(InputError, match="no words in the text"):
        CoOccurrence.from_parallel_text([""], ["x"])
    with pytest.raises(InputError, match="lower min_count"):
        CoOccurrence.from_parallel_text(["a"], ["x"], min_count=2)


def test_provenance_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A dog\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"Ein Hund\n"))
    co = CoOccurrence.from_parallel_text(tmp_path / "a.txt", str(tmp_path / "b.txt.gz"), lower=False)
    assert co.inputs == ("A", "dog")
    assert dict(co.attrs) == {
        "origin": "parallel text",
        "source_file": "a.txt",
        "source_sha256": hashlib.sha256(b"A dog\n").hexdigest(),
        "target_file": "b.txt.gz",
        "target_sha256": hashlib.sha256((tmp_path / "b.txt.gz").read_bytes()).hexdigest(),
        "tokenizer": "words",
        "lower": 0,
        "min_count": 1,
        "pairs": 1,
        "pairs_kept": 1,
        "input_words": 2,
        "output_words": 2,
        "input_words_kept": 2,
        "output_words_kept": 2,
    }
    assert all(type(value) in (str, int, float) for value in co.attrs.values())


def test_labelled_text(tmp_path: Path) -> None:
    texts, labels = ["a fine film", "a a", "dull"], [10, 2, 10]
    co = CoOccurrence.from_labelled_text(texts, labels, gram=True)
    assert co.outputs == ("2", "10")
    assert co.inputs == ("a", "dull", "film", "fine")
    np.testing.assert_allclose(co.C, np.array([[1, 1 / 3], [0, 1], [0, 1 / 3], [0, 1 / 3]]) / 3, rtol=1e-14)
    assert co.length == pytest.approx(2)
    Oracle(
        [(text.split(), [str(label)]) for text, label in zip(texts, labels, strict=True)], set(co.inputs), {"2", "10"}
    ).check(co)
    path = tmp_path / "labelled.tsv"
    path.write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for text, label in zip(texts, labels, strict=True)))
    again = CoOccurrence.from_labelled_text(path, header=True, gram=True)
    assert (again.inputs, again.outputs, again.length) == (co.inputs, co.outputs, co.length)
    np.testing.assert_array_equal(again.C, co.C)
    assert again.attrs["texts_file"] == "labelled.tsv"
    small = CoOccurrence.from_labelled_text(texts[:2], labels[:2], max_vocab=1)
    assert (small.inputs, small.outputs) == (("a",), ("2", "10"))
    assert CoOccurrence.from_labelled_text(["x"] * 4, ["b", "-1", "a", "3"]).outputs == ("-1", "3", "a", "b")


def test_encoded_text_at_once_or_in_blocks() -> None:
    text = ParallelText(["a b", "b c", "c"], ["x", "y x", "y"])
    inputs, outputs = ["c", "b", "a"], ["y", "x"]
    pairs = encode(text, inputs, outputs)
    co = CoOccurrence.from_encoded(pairs, inputs, outputs, gram=True, attrs={"origin": "here"})
    halves = [encode(ParallelText([x], [y]), inputs, outputs) for x, y in zip(text.source, text.target, strict=True)]
    again = CoOccurrence.from_encoded(iter(halves), inputs, outputs, gram=True)
    np.testing.assert_allclose(co.C, again.C, rtol=1e-14)
    np.testing.assert_allclose(co.gram, again.gram, rtol=1e-14)
    assert co.length == again.length == 7 / 4
    assert CoOccurrence.from_encoded(pairs, inputs, outputs).gram is None
    assert (co.attrs["origin"], again.attrs["origin"], co.attrs["pairs_kept"]) == ("here", "encoded text", 3)
    with pytest.raises(InputError, match="no pairs"):
        CoOccurrence.from_encoded([], inputs, outputs)
    with pytest.raises(InputError, match="'c' is the input label of rows 0 and 2"):
        CoOccurrence.from_encoded(pairs, ["c", "b", "c"], outputs)


def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    source, target = ([" ".join(map(str, rng.zipf(1.5, 9) % 97)) for _ in range(400)] for _ in range(2))
    whole = CoOccurrence.from_parallel_text(source, target, gram=True)
    for block_words in (1, 50):
        monkeypatch.setattr(dynamics.counts.text.encoding, "BLOCK_WORDS", block_words)
        blocks = CoOccurrence.from_parallel_text(source, target, gram=True)
        assert (blocks.inputs, blocks.outputs) == (whole.inputs, whole.outputs)
        np.testing.assert_allclose(blocks.C, whole.C, rtol=1e-13)
        np.testing.assert_allclose(blocks.gram, whole.gram, rtol=1e-13)
        assert blocks.length == pytest.approx(whole.length, rel=1e-14)


# Storage


def test_storage_follows_size_and_density(monkeypatch: pytest.MonkeyPatch) -> None:
    thin = np.eye(400)
    assert CoOccurrence.from_counts(thin).is_sparse
    assert not CoOccurrence.from_counts(scipy.sparse.coo_array(thin[:300, :300])).is_sparse
    full = np.where(np.arange(400 * 400).reshape(400, 400) % 6, 0.0, 1.0) + thin
    assert not CoOccurrence.from_counts(scipy.sparse.csc_array(full)).is_sparse
    monkeypatch.setattr(dynamics.counts.distribution, "SPARSE_BELOW_DENSITY", 0.2)
    assert CoOccurrence.from_counts(full).is_sparse


@settings(deadline=None)
@given(hnp.arrays(np.float64, (4, 5), elements=st.sampled_from([0.0, 0.0, 1.0, 2.5, 7.0])))
def test_sparse_and_dense_are_the_same(counts: np.ndarray) -> None:
    if not counts.any():
        return
    co = quietly(CoOccurrence.from_counts, counts, length=3)
    rows, columns = counts.any(axis=1), counts.any(axis=0)
    np.testing.assert_allclose(co.C, counts[rows][:, columns] / counts.sum(), rtol=1e-15)
    assert co.C.flags.c_contiguous
    thin = co.sparse()
    assert (thin.is_sparse, co.is_sparse, thin.dense().is_sparse) == (True, False, False)
    assert isinstance(thin.C, scipy.sparse.csr_array)
    assert thin.sparse() is thin
    assert co.dense() is co
    np.testing.assert_array_equal(thin.C.toarray(), co.C)
    np.testing.assert_array_equal(thin.dense().C, co.C)
    np.testing.assert_allclose(thin.c, co.c, rtol=1e-15)
    np.testing.assert_allclose(thin.q, co.q, rtol=1e-15)
    assert (thin.nnz, thin.density, thin.shape) == (co.nnz, co.density, co.shape)
    assert co.nnz == np.count_nonzero(counts)
    assert co.density == co.nnz / co.C.size
    conditional = thin.conditional()
    assert isinstance(conditional, scipy.sparse.csr_array)
    np.testing.assert_allclose(conditional.toarray(), co.conditional(), rtol=1e-14)
    np.testing.assert_allclose(co.conditional(), co.C / co.C.sum(axis=0), rtol=1e-14)
    assert (thin.length, thin.inputs, thin.attrs) == (co.length, co.inputs, co.attrs)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("make", ["array", "matrix"])
def test_every_sparse_kind(kind: str, make: str) -> None:
    counts = np.array([[3, 0, 1], [0, 4, 0]])
    given_ = getattr(scipy.sparse, f"{kind}_{make}")(counts)
    co = CoOccurrence.from_counts(given_)
    np.testing.assert_array_equal(co.C, counts / 8)
    np.testing.assert_array_equal(given_.toarray(), counts)


def test_repeated_and_explicit_zero_entries() -> None:
    coo = scipy.sparse.coo_array(([1.0, 2.0, 0.0, 5.0], ([0, 0, 1, 1], [0, 0, 0, 1])), shape=(2, 2))
    np.testing.assert_array_equal(CoOccurrence.from_counts(coo).C, np.array([[3, 0], [0, 5]]) / 8)
    cancelled = scipy.sparse.coo_array(([1.0, -1.0, 5.0], ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    with pytest.warns(DataWarning, match=r"1 input \('0'\) and 1 output \('0'\)"):
        assert CoOccurrence.from_counts(cancelled).shape == (1, 1)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.longdouble])
def test_number_types(dtype: type) -> None:
    counts = np.array([[1, 0], [1, 1]], dtype=dtype)
    co = CoOccurrence.from_counts(counts)
    assert co.C.dtype == np.float64
    np.testing.assert_allclose(co.C, np.array([[1, 0], [1, 1]]) / 3, rtol=1e-15)
    assert CoOccurrence.from_counts(scipy.sparse.csr_array(np.eye(400))).C.dtype == np.float64


def test_counts_are_not_changed_nor_shared() -> None:
    counts = np.asfortranarray([[3.0, 1.0], [0.0, 4.0]])
    co = CoOccurrence.from_counts(counts)
    co.C[0, 0] = 9
    assert counts[0, 0] == 3
    large = scipy.sparse.csr_array(np.eye(400))
    large.data[1:3] = 0
    thin = quietly(CoOccurrence.from_counts, large)
    assert thin.is_sparse
    thin.C.data[:] = 9
    assert large.nnz == 400
    assert large.data.max() == 1


def test_extreme_counts() -> None:
    np.testing.assert_allclose(
        CoOccurrence.from_counts([[1e308, 1e308], [1e308, 5e307]]).C, np.array([[2, 2], [2, 1]]) / 7
    )
    np.testing.assert_allclose(CoOccurrence.from_counts([[5e-324, 0], [0, 5e-324]]).C, np.eye(2) / 2)
    np.testing.assert_allclose(
        CoOccurrence.from_counts(scipy.sparse.csr_array([[1e308, 0], [1e308, 0.1e308]])).C.sum(), 1
    )


def test_repr_is_short() -> None:
    co = CoOccurrence.from_counts(np.eye(400), length=12.345, gram=np.eye(400) / 400)
    assert repr(co) == "CoOccurrence(400 inputs x 400 outputs, 400 non-zero, sparse, length 12.35, with gram)"


def test_pickle() -> None:
    co = CoOccurrence.from_parallel_text(["a b", "b"], ["x", "y"], gram=True)
    same(pickle.loads(pickle.dumps(co)), co)


# The most frequent


def test_top() -> None:
    co = CoOccurrence.from_counts([[4, 0, 1], [1, 1, 0], [0, 3, 3]], list("abc"), list("xyz"), length=4)
    top = co.top(inputs=2, outputs=2)
    assert (top.inputs, top.outputs) == (("a", "c"), ("x", "y"))  # ties: the first
    np.testing.assert_allclose(top.C, np.array([[4, 0], [0, 3]]) / 7)
    assert (top.length, top.gram) == (None, None)
    assert (top.attrs["top_inputs"], top.attrs["top_outputs"], top.attrs["origin"]) == (2, 2, "counts")
    np.testing.assert_allclose(co.sparse().top(2, 2).C, top.C)
    assert co.top() is co.top(10, 3) is co
    with pytest.warns(DataWarning, match=r"1 input \('c'\)"):
        assert co.top(outputs=1).inputs == ("a", "b")
    for number in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="give a whole number from 1"):
            co.top(inputs=number)
    apart = CoOccurrence.from_counts([[0, 3, 3], [5, 0, 0]])
    with pytest.raises(InputError, match="all counts are zero"):
        apart.top(1, 1)


# Counts that cannot be used


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([[1, 2], [3, -4]], "negative count at row 1, column 1 (from 0; input 'b', output 'y'): counts are finite"),
        ([[1, np.nan], [np.nan, 4]], "NaN count at row 0, column 1 (from 0; input 'a', output 'y'), and 1 more"),
        ([[1, 2], [np.inf, 4]], "infinite count at row 1, column 0 (from 0; input 'b', output 'x')"),
        ([[1, -np.inf], [1, 4]], "infinite count at row 0, column 1"),
        ([[0, 0], [0, 0]], "all counts are zero"),
        ([[1, 2], [3, 4j]], "cells of type complex128: real numbers are needed"),
        ([["1", "2"], ["3", "4"]], "cells of type <U1"),
        (np.array([[1, None]]), "cells of type object"),
        ([1, 2, 3], "1 dimensions, shape (3,): a matrix (inputs, outputs) is needed"),
        (np.ones((2, 2, 2)), "3 dimensions"),
        (7, "0 dimensions"),
        (np.ones((0, 3)), "the matrix is empty, shape (0, 3)"),
        ([[1, 2], [3]], "not a matrix"),
        (np.ma.masked_array([[1, 2], [3, 4]], [[0, 0], [0, 1]]), "the array is masked"),
        (scipy.sparse.csr_array([[1, 2], [3j, 4]]), "cells of type complex128"),
        (scipy.sparse.coo_array([1, 2, 3]), "1 dimensions"),
    ],
)
def test_unusable_counts(counts: Any, text: str) -> None:
    with pytest.raises(InputError) as error:
        CoOccurrence.from_counts(counts, inputs=["a", "b"], outputs=["x", "y"])
    assert text in message(error)


@given(
    hnp.arrays(np.float64, (4, 5), elements=st.sampled_from([0.0, 1.0, 2.0])),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, unique=True),
    st.sampled_from([(-1.0, "negative"), (np.nan, "NaN"), (np.inf, "infinite")]),
)
@settings(deadline=None)
def test_the_first_offender_is_named(counts: np.ndarray, cells: list, wrong: tuple[float, str]) -> None:
    for cell in cells:
        counts[cell] = wrong[0]
    i, o = min(cells)
    more = f", and {len(cells) - 1} more" if len(cells) > 1 else ""
    for matrix in (counts, scipy.sparse.csc_array(counts)):
        with pytest.raises(InputError) as error:
            CoOccurrence.from_counts(matrix)
        assert f"counts: {wrong[1]} count at row {i}, column {o} (from 0; input '{i}', output '{o}'){more}:" in message(
            error
        )


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        (["a"], None, "1 input labels for 2 rows"),
        (None, ["x", "y"], "2 output labels for 3 columns"),
        (["a", "a"], None, "'a' is the input label of rows 0 and 1 (from 0): make the labels unique"),
        (None, ["x", "y", "x"], "'x' is the output label of columns 0 and 2 (from 0)"),
        ("ab", None, "the input labels are one string ('ab')"),
        ([1.5, 2.5], None, "input label 0 is float: labels are strings"),
    ],
)
def test_unusable_labels(inputs: Any, outputs: Any, text: str) -> None:
    with pytest.raises(InputError) as error:
        CoOccurrence.from_counts([[1, 2, 3], [4, 5, 6]], inputs, outputs)
    assert text in message(error)


def test_labels_become_plain_strings() -> None:
    co = CoOccurrence.from_counts([[1, 2], [3, 4]], np.array(["a", "b"]), [7, 8])
    assert (co.inputs, co.outputs) == (("a", "b"), ("7", "8"))
    assert {type(label) for label in co.inputs + co.outputs} == {str}
    assert CoOccurrence.from_counts([[1, 2, 3]]).outputs == ("0", "1", "2")


def test_dropped_rows_and_columns_are_counted_once() -> None:
    counts = np.zeros((6, 4))
    counts[4, 1] = counts[5, 2] = 2
    gram = np.zeros((6, 6))
    gram[4, 4] = gram[5, 5] = 0.5
    with pytest.warns(DataWarning) as caught:
        co = CoOccurrence.from_counts(counts, list("abcdef"), list("wxyz"), length=2, gram=gram)
    assert [str(w.message) for w in caught] == [
        "without any count, and left out: 4 inputs ('a', 'b', 'c', ...) and 2 outputs ('w', 'z')"
    ]
    assert (co.inputs, co.outputs, co.length) == (("e", "f"), ("x", "y"), 2.0)
    np.testing.assert_array_equal(co.C, np.eye(2) / 2)
    np.testing.assert_array_equal(co.gram, np.eye(2) / 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CoOccurrence.from_counts(np.eye(3))


@pytest.mark.parametrize("length", [0, 0.99, -1, np.nan, np.inf, "4", True])
def test_unusable_length(length: Any) -> None:
    with pytest.raises(InputError, match=r"length is .*: give the mean number of words in an input, at least 1"):
        CoOccurrence.from_counts([[1, 2], [3, 4]], length=length)


def test_length_is_a_plain_float_or_none() -> None:
    assert type(CoOccurrence.from_counts([[1]], length=np.float32(2)).length) is float
    assert CoOccurrence.from_counts([[1]]).length is None


@pytest.mark.parametrize(
    ("gram", "text"),
    [
        (np.eye(3), "gram has shape (3, 3): it goes with 2 inputs"),
        (np.array([[0.5, 0.1], [-0.1, 0.5]]), "negative, NaN or infinite"),
        (np.array([[0.3, 0.2], [0.1, 0.4]]), "gram is not symmetric"),
        (np.array([[0.3, 0.1], [0.1, 0.4]]), "do not sum to the input marginal (row 0: 0.4, marginal 0.5): weigh each"),
    ],
)
def test_unusable_gram(gram: np.ndarray, text: str) -> None:
    with pytest.raises(InputError) as error:
        CoOccurrence.from_counts(np.eye(2), gram=gram)
    assert text in message(error)


def test_direct_construction_is_checked() -> None:
    with pytest.raises(InputError, match="C sums to 2, not to 1"):
        CoOccurrence(np.eye(2), ("a", "b"), ("x", "y"))
    with pytest.raises(InputError, match=r"C has shape \(2, 2\), the labels are 1 inputs and 2 outputs"):
        CoOccurrence(np.eye(2) / 2, ("a",), ("x", "y"))


# Files of counts


COUNTS = np.array([[3.0, 0.0, 1.0], [0.25, 4.0, 0.0]])


def same(co: CoOccurrence, other: CoOccurrence) -> None:
    assert (co.inputs, co.outputs, co.length, dict(co.attrs)) == (
        other.inputs,
        other.outputs,
        other.length,
        dict(other.attrs),
    )
    assert co.is_sparse == other.is_sparse
    np.testing.assert_array_equal(co.dense().C, other.dense().C)
    assert (co.gram is None) == (other.gram is None)
    if co.gram is not None:
        np.testing.assert_array_equal(co.gram, other.gram)


WORDS = st.text(max_size=4).map(lambda word: unicodedata.normalize("NFC", word)).filter(lambda word: "\0" not in word)
LABELS = st.lists(WORDS, min_size=2, max_size=2, unique=True)


@settings(deadline=None, max_examples=40)
@given(
    LABELS,
    LABELS,
    st.one_of(st.none(), st.floats(1, 100)),
    st.booleans(),
    st.booleans(),
    st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.integers(), st.floats(allow_nan=False))),
)
def test_saving_and_loading_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    inputs: list[str],
    outputs: list[str],
    length: float | None,
    gram: bool,
    sparse: bool,
    attrs: dict,
) -> None:
    C = np.array([[0.1, 0.2], [0.0, 0.7]])
    C /= C.sum()
    G = np.diag(C.sum(axis=1)) if gram else None
    co = CoOccurrence(C, tuple(inputs), tuple(outputs), length, G, attrs)
    co = co.sparse() if sparse else co
    path = tmp_path_factory.mktemp("saved") / "a.npz"
    co.save(path)
    same(CoOccurrence.load(path), co)
    same(CoOccurrence.from_counts(path), co)
    assert [p.name for p in path.parent.iterdir()] == ["a.npz"]


def test_saved_files_are_reproducible_and_can_be_overridden(tmp_path: Path) -> None:
    co = CoOccurrence.from_parallel_text(["a b", "b"], ["x", "y"], gram=True)
    co.save(tmp_path / "a.npz")
    co.save(str(tmp_path / "b.NPZ"))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.NPZ").read_bytes()
    other = CoOccurrence.from_counts(tmp_path / "a.npz", outputs=["p", "q"], length=5)
    assert (other.inputs, other.outputs, other.length) == (co.inputs, ("p", "q"), 5.0)
    np.testing.assert_allclose(other.gram, co.gram)
    with pytest.raises(InputError, match=r"are saved as \.npz"):
        co.save(tmp_path / "a.csv")
    np.load(tmp_path / "a.npz", allow_pickle=False).close()


@pytest.mark.parametrize("name", ["c.npy", "c.npz", "s.npz", "c.mtx", "c.mtx.gz", "c.csv", "c.tsv", "c.csv.gz"])
def test_every_kind_of_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    table = "\n".join(",".join(map(str, row)) for row in COUNTS)
    if name == "c.npy":
        np.save(path, COUNTS)
    elif name == "c.npz":
        np.savez(path, anything=COUNTS)
    elif name == "s.npz":
        scipy.sparse.save_npz(path, scipy.sparse.csc_array(COUNTS))
    elif ".mtx" in name:
        scipy.io.mmwrite(tmp_path / "c.mtx", scipy.sparse.coo_array(COUNTS))
        path.write_bytes(
            gzip.compress((tmp_path / "c.mtx").read_bytes())
            if name.endswith("gz")
            else (tmp_path / "c.mtx").read_bytes()
        )
    elif name.endswith("gz"):
        path.write_bytes(gzip.compress(table.encode()))
    else:
        path.write_text(table.replace(",", "\t") if name == "c.tsv" else table)
    for co in (CoOccurrence.from_counts(path), CoOccurrence.load(str(path))):
        np.testing.assert_allclose(co.C, COUNTS / COUNTS.sum(), rtol=1e-15)
        assert (co.inputs, co.outputs, co.length) == (("0", "1"), ("0", "1", "2"), None)
        assert co.attrs["counts_file"] == name
        assert len(str(co.attrs["counts_sha256"])) == 64
    assert CoOccurrence.from_counts(path, ["a", "b"]).inputs == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", ',x,"y,z",""""\nhund,3,0,1\n"don\'t",0.25,4,0\n'),
        ("t.csv", '\ufeffword,x,"y,z",""""\r\nhund, 3 ,0,1\r\n\r\n"don\'t",2.5e-1,4,0'),
        ("t.csv", 'x,"y,z",""""\nhund,3,0,1\ndon\'t,.25,4,0\n'),  # as R writes it
        ("t.tsv", "\tx\ty,z\t\"\nhund\t3\t0\t1\ndon't\t0.25\t4\t0\n"),
    ],
)
def test_labelled_tables(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, "utf-8", newline="")
    co = CoOccurrence.load(tmp_path / name)
    assert (co.inputs, co.outputs) == (("hund", "don't"), ("x", "y,z", '"'))
    np.testing.assert_allclose(co.C, COUNTS / COUNTS.sum(), rtol=1e-15)
    assert CoOccurrence.from_counts(tmp_path / name, inputs=["a", "b"]).inputs == ("a", "b")


def test_numbers_as_labels(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",0,1\n5,1,2\n6,3,4\n")
    co = CoOccurrence.load(tmp_path / "t.csv")
    assert (co.inputs, co.outputs) == (("5", "6"), ("0", "1"))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("t.csv", ",x,y\na,1,2\nb,3,four\n", "line 3, column 3: 'four' is not a number"),
        ("t.csv", ",x,y\na,1,\n", "line 2, column 3: the cell is empty; write 0"),
        ("t.csv", "1,x\n3,4\n", "line 1, column 2: 'x' is not a number"),
        ("t.csv", "1,2\nx,4\n", "line 2, column 1: 'x' is not a number"),
        ("t.tsv", "\tx\na\t3,5\n", "line 2, column 2: '3,5' is not a number"),
        ("t.csv", ",x,y\na,1,2\n\nb,3\n", "line 4: 2 cells where the first line asks for 3"),
        ("t.csv", "1,2\n3,4,5\n", "line 2: 3 cells where the first line asks for 2"),
        ("t.csv", "a,b\n1,2\n3,4\n", "the columns have labels and the rows have none"),
        ("t.csv", "a,1,2\nb,3,4\n", "the rows have labels and the columns have none"),
        ("t.csv", ",x,x\na,1,2\n", "'x' is the output label of columns 0 and 1"),
        ("t.csv", ",x,y\na,1,2\nb,-3,1\n", "negative count at row 1, column 0 (from 0; input 'b', output 'x')"),
        ("t.csv", ",x,y\na,1,nan\n", "NaN count at row 0, column 1"),
        ("t.csv", "a,b,c\n", "lines of numbers are missing"),
        ("t.csv", "\n , \n", "the file has no numbers in it"),
        ("t.csv", "", "the file is empty"),
        ("t.csv", '1,"2\n', "line 1: unexpected end of data"),
        ("t.csv", "0,0\n0,0\n", "all counts are zero"),
        ("t.txt", "1 2\n", "files of counts end in .npy, .npz, .mtx, .csv or .tsv, this one in '.txt'"),
        ("t", "1 2\n", "this one in 'none'"),
        ("t.npy", "not numpy", "cannot be read as .npy"),
        ("t.npz", "not a zip file", "cannot be read as .npz"),
        ("t.npy", "", "cannot be read as .npy"),
        ("t.npz", "PK\x03\x04 then garbage", "cannot be read as .npz"),
        ("t.mtx", "not a matrix", "cannot be read as .mtx"),
        ("t.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 2\n1 1 3\n", "cannot be read as .mtx"),
        ("t.mtx", "%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 3 1\n", "cells of type complex128"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(content, newline="")
    for read in (CoOccurrence.load, CoOccurrence.from_counts):
        with pytest.raises(InputError) as error:
            read(path)
        assert text in message(error)
        assert str(path) in message(error)


def test_unusable_numpy_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=COUNTS, b=COUNTS)
    with pytest.raises(InputError, match=r"holds 2 arrays \(a, b\): save the counts alone"):
        CoOccurrence.load(path)
    np.savez(path, a=np.array([[1, None]]))
    with pytest.raises(InputError, match=r"cannot be read as \.npz .*allow_pickle"):
        CoOccurrence.load(path)
    np.savez(path, a=np.ones(3))
    with pytest.raises(InputError, match="1 dimensions"):
        CoOccurrence.load(path)
    about = np.frombuffer(json.dumps({"format": "attention-dynamics co-occurrence 99"}).encode(), np.uint8)
    np.savez(path, about=about)
    with pytest.raises(InputError, match="'attention-dynamics co-occurrence 99': this version reads"):
        CoOccurrence.load(path)
    CoOccurrence.from_counts(COUNTS).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        CoOccurrence.load(path)
    with pytest.raises(InputError, match=r"does not exist; did you mean 'a\.npz'"):
        CoOccurrence.load(tmp_path / "b.npz")
    with pytest.raises(InputError, match="is a directory"):
        CoOccurrence.load(tmp_path)


def test_import_is_light() -> None:
    code = "import dynamics.counts.cooccurrence, dynamics.counts.bundled, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"xarray", "matplotlib", "typer", "numba", "sympy", "pandas", "scipy.io"} & set(loaded)


# Real text at its real size


@translations
def test_multi30k_sizes() -> None:
    co = CoOccurrence.from_parallel_text(
        MULTI30K / "train.en.gz", MULTI30K / "train.de.gz", tokenizer="whitespace", min_count=2
    )
    assert co.shape == (5917, 7855)
    assert co.nnz == 754_507
    assert co.is_sparse
    assert co.C.indices.dtype == np.int32
    assert (co.attrs["pairs"], co.attrs["pairs_kept"]) == (29_000, 29_000)
    assert co.C.sum() == pytest.approx(1, abs=1e-12)
    assert co.outputs[co.conditional()[[co.inputs.index("dogs")]].toarray().argmax()] != "."


@translations
def test_multi30k_head_against_the_definition() -> None:
    files = MULTI30K / "train.en.gz", MULTI30K / "train.de.gz"
    text = ParallelText(*files, "whitespace", max_pairs=400)
    co = quietly(
        CoOccurrence.from_parallel_text, *files, tokenizer="whitespace", max_pairs=400, max_vocab=60, gram=True
    )
    Oracle(list(text), set(co.inputs), set(co.outputs)).check(co)
    assert co.shape == (60, 60)


def test_labelled_text_is_a_corpus() -> None:
    pairs = encode(LabelledText(["a b", "b"], ["x", "y"]), ["a", "b"], ["x", "y"])
    np.testing.assert_array_equal(pairs.y_lengths, [1, 1])
