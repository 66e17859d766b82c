"""Co-occurrence is sound whatever the way in: built directly, from tables with labels, from files that were edited."""

from __future__ import annotations

import gzip
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr

import dynamics.counts.text.lines
from dynamics.counts import CoOccurrence, TextOptions
from dynamics.counts.text.corpus import LabelledText
from dynamics.counts.text.lines import lines
from dynamics.support.errors import InputError
from dynamics.tasks import Examples

C = np.array([[0.5, 0.125, 0.0], [0.0, 0.25, 0.125]])
INPUTS, OUTPUTS = ("a", "b"), ("x", "y", "z")


def said(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# Built directly


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "bsr", "dok"])
def test_every_sparse_kind_is_stored_as_csr(kind: str) -> None:
    """The arrays of a csc_array are those of the transpose's csr_array: square ones passed, and were read wrongly."""
    square = np.array([[0.5, 0.25], [0.0, 0.25]])
    co = CoOccurrence(getattr(scipy.sparse, f"{kind}_array")(square), ("a", "b"), ("x", "y"))
    assert isinstance(co.C, scipy.sparse.csr_array)
    np.testing.assert_array_equal(co.C.toarray(), square)
    np.testing.assert_array_equal(co.conditional().toarray(), [[1, 0.5], [0, 0.5]])


def test_what_is_sound_is_not_copied_and_what_is_not_is_not_changed() -> None:
    dense, sparse = C.copy(), scipy.sparse.csr_array(C)
    assert CoOccurrence(dense, INPUTS, OUTPUTS).C is dense
    assert CoOccurrence(sparse, INPUTS, OUTPUTS).C is sparse
    twice = scipy.sparse.csr_array((np.array([0.5, 0.5, 0.0]), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    with pytest.raises(InputError, match="C has no count of the input 'b': leave such inputs out"):
        CoOccurrence(twice, ("a", "b"), ("x", "y"))
    assert twice.nnz == 3
    assert CoOccurrence(C.astype(np.longdouble), INPUTS, OUTPUTS).C.dtype == np.float64
    assert CoOccurrence(C.tolist(), list(INPUTS), OUTPUTS).inputs == INPUTS


DAMAGED = scipy.sparse.csr_array(C)
DAMAGED.indices = np.array([0, 1, 1, 7])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"C": C - 2 * np.eye(2, 3)},
            "C: negative count at row 0, column 0 (from 0; input 'a', output 'x'), and 1 more",
        ),
        ({"C": np.where(C == 0, np.nan, C)}, "C: NaN count at row 0, column 2 (from 0; input 'a', output 'z')"),
        ({"C": scipy.sparse.csr_array(-C)}, "C: negative count at row 0, column 0"),
        ({"C": C.ravel()}, "C has shape (6,), the labels are 2 inputs and 3 outputs"),
        ({"C": C.astype(complex)}, "C: cells of type complex128: real numbers are needed"),
        ({"C": "counts.npz"}, "C: 0 dimensions, shape ()"),
        ({"C": DAMAGED}, "C is a damaged sparse matrix ("),
        ({"C": np.array([[0.5, 0.5, 0.0], [0, 0, 0]])}, "C has no count of the input 'b': leave such inputs out"),
        (
            {"C": np.array([[0.5, 0, 0], [0.5, 0, 0]])},
            "C has no count of the output 'y' and 1 more: leave such outputs",
        ),
        ({"inputs": ("a", "a")}, "C: 'a' is the input label of rows 0 and 1 (from 0): make the labels unique"),
        ({"inputs": "ab"}, "C: the input labels are one string ('ab'): give a sequence of strings"),
        ({"inputs": 3}, "C: the input labels are int: give a sequence of strings"),
        ({"inputs": ("a", None)}, "C: input label 1 is NoneType: labels are strings"),
        ({"outputs": ("x", "x\0", "z")}, r"C: output label 1 ('x\x00') has a NUL character in it: remove it"),
        ({"outputs": ("x", "\ud800", "z")}, "C: output label 1 ('\\ud800') is not Unicode text"),
        ({"inputs": ("a", "b" * 10**7)}, "has 10,000,000 characters, where words have at most 1,000"),
        ({"length": 0.5}, "length is 0.5: give the mean number of words in an input, at least 1"),
        ({"gram": [[1, 2], [3]]}, "gram is no matrix of real numbers"),
        ({"gram": np.eye(2)}, "the rows of gram do not sum to the input marginal"),
        ({"attrs": ["origin"]}, "attrs is list: give a mapping of names to strings and numbers"),
        ({"attrs": {"origin": None}}, "attrs: 'origin' is NoneType: give names with strings and numbers"),
    ],
)
def test_unsound_fields_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        CoOccurrence(**({"C": C, "inputs": INPUTS, "outputs": OUTPUTS} | changed))
    assert message in said(error)


def test_labels_are_composed_and_attributes_are_plain() -> None:
    decomposed = unicodedata.normalize("NFD", "été")
    co = CoOccurrence(
        C, (decomposed, "b"), OUTPUTS, attrs={"lower": True, "pairs": np.int64(3), "share": np.float32(0.5)}
    )
    assert co.inputs == ("été", "b")
    assert {name: (type(value), value) for name, value in co.attrs.items()} == {
        "lower": (int, 1),
        "pairs": (int, 3),
        "share": (float, 0.5),
    }
    with pytest.raises(InputError, match="'été' is the input label of rows 0 and 1"):
        CoOccurrence(C, (decomposed, "été"), OUTPUTS)
    assert Examples([0, 1], [2], [0], [1], 2, 1, labels=((decomposed, "b"), ("x",))).labels == (("été", "b"), ("x",))
    with pytest.raises(InputError, match=r"the input label 0 .* has a NUL character"):
        Examples([0, 1], [2], [0], [1], 2, 1, labels=(("a\0", "a"), ("x",)))


# Files that were edited


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"C": -C}, "C: negative count at row 0, column 0"),
        ({"C": np.full((2, 3), np.nan)}, "C: NaN count at row 0, column 0"),
        ({"C": C[:, :2]}, "C has shape (2, 2), the labels are 2 inputs and 3 outputs"),
        ({"inputs": ["a", "a"]}, "'a' is the input label of rows 0 and 1"),
        ({"inputs": "ab"}, "the input labels are one string"),
        ({"inputs": ["a", 1.5]}, "input label 1 is float"),
        ({"length": "many"}, "length is 'many'"),
        ({"attrs": None}, "attrs is NoneType"),
        ({"gram": np.ones((3, 3))}, "gram has shape (3, 3): it goes with 2 inputs"),
        ({"data": np.ones(3), "indices": np.array([0, 1, 9]), "indptr": np.array([0, 2, 3])}, "damaged sparse matrix"),
        (
            {"data": np.ones(4) / 4, "indices": np.array([0, 0, 1, 1]), "indptr": np.array([0, 1, 3, 4])},
            "cannot be read",
        ),
    ],
)
def test_edited_files_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    about = {"format": "attention-dynamics co-occurrence 1", "inputs": ["a", "b"], "outputs": ["x", "y", "z"]}
    about |= {"length": None, "attrs": {}} | {k: v for k, v in changed.items() if k in ("inputs", "length", "attrs")}
    arrays = {k: v for k, v in changed.items() if isinstance(v, np.ndarray)}
    arrays |= {} if "C" in arrays or "data" in arrays else {"C": C}
    path = tmp_path / "edited.npz"
    np.savez(path, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    with pytest.raises(InputError) as error:
        CoOccurrence.load(path)
    assert message in said(error)
    assert said(error).startswith(f"{path}: ")


# Tables that bring their labels

COUNTS = np.array([[3, 0, 1], [0, 4, 2]])


def test_a_data_frame_brings_its_labels() -> None:
    frame = pd.DataFrame(COUNTS, index=["Hund", "Katze"], columns=["dog", "cat", "a"])
    co = CoOccurrence.from_counts(frame)
    assert (co.inputs, co.outputs) == (("Hund", "Katze"), ("dog", "cat", "a"))
    np.testing.assert_array_equal(co.C, COUNTS / 10)
    permuted = CoOccurrence.from_counts(frame, inputs=["Katze", "Hund"], outputs=["a", "dog", "cat"])
    assert (permuted.inputs, permuted.outputs) == (("Katze", "Hund"), ("a", "dog", "cat"))
    np.testing.assert_array_equal(permuted.C, COUNTS[::-1][:, [2, 0, 1]] / 10)
    with pytest.raises(InputError) as error:
        CoOccurrence.from_counts(frame, inputs=["Katze", "Maus"])
    assert said(error) == (
        "counts has input labels of its own, and 'Maus' is not among them: leave out inputs=, or rename the labels of "
        "the table"
    )
    with pytest.raises(InputError, match="1 input labels for 2 rows"):
        CoOccurrence.from_counts(frame, inputs=["Katze"])


def test_a_data_frame_without_labels_and_with_numbers() -> None:
    assert CoOccurrence.from_counts(pd.DataFrame(COUNTS), inputs=["p", "q"]).inputs == ("p", "q")
    assert CoOccurrence.from_counts(pd.DataFrame(COUNTS, index=[7, 5])).inputs == ("7", "5")
    words, topics = ["fine", "dull", "fine", "day"], ["good", "bad", "good", "bad"]
    table = CoOccurrence.from_counts(pd.crosstab(pd.Series(words, name="word"), pd.Series(topics, name="topic")))
    assert (table.inputs, table.outputs) == (("day", "dull", "fine"), ("bad", "good"))
    with pytest.raises(InputError, match="input label 0 is float"):
        CoOccurrence.from_counts(pd.DataFrame(COUNTS, index=[0.5, 1.5]))
    with pytest.raises(InputError, match="'p' is the input label of rows 0 and 1"):
        CoOccurrence.from_counts(pd.DataFrame(COUNTS, index=["p", "p"]))
    with pytest.raises(InputError, match="cells of type object"):
        CoOccurrence.from_counts(pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}))


@pytest.mark.parametrize("make", ["frame", "array"])
def test_axes_that_are_named_the_other_way_round_are_turned(make: str) -> None:
    turned = xr.DataArray(COUNTS.T, {"output": ["dog", "cat", "a"], "input": ["Hund", "Katze"]}, ("output", "input"))
    co = CoOccurrence.from_counts(turned if make == "array" else turned.to_pandas())
    assert (co.inputs, co.outputs) == (("Hund", "Katze"), ("dog", "cat", "a"))
    np.testing.assert_array_equal(co.C, COUNTS / 10)


def test_arrays_of_xarray() -> None:
    named = xr.DataArray(COUNTS, dims=("input", "output"))
    assert CoOccurrence.from_counts(named, inputs=["p", "q"]).inputs == ("p", "q")
    assert CoOccurrence.from_counts(xr.DataArray(COUNTS)).shape == (2, 3)
    gram = xr.DataArray(np.diag([0.6, 0.4]), {"input": ["b", "a"]}, ("input", "other"))
    square = xr.DataArray([[0.4, 0], [0, 0.6]], {"input": ["a", "b"], "output": ["x", "y"]})
    with pytest.raises(InputError, match="gram is not symmetric"):
        CoOccurrence.from_counts(square, gram=gram)  # one side alone has labels
    frame = pd.DataFrame(gram.values, ["b", "a"], ["b", "a"])
    np.testing.assert_array_equal(CoOccurrence.from_counts(square, gram=frame).gram, np.diag([0.4, 0.6]))
    with pytest.raises(InputError, match="gram has no input 'a' among its labels: it goes with the same inputs"):
        CoOccurrence.from_counts(square, gram=frame.set_axis(["b", "c"]))
    for wrong, message in (
        (
            xr.DataArray(COUNTS, dims=("word", "topic")),
            "the dimensions 'word' and 'topic': rename them 'input' and 'output'",
        ),
        (named.to_dataset(name="n"), "counts is a Dataset: give one of its variables, n"),
        (named[0], "1 dimensions, shape"),
    ):
        with pytest.raises(InputError, match=message):
            CoOccurrence.from_counts(wrong)


# Tables in files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (",x,y\na,1,2,3\n", None, "line 2: 4 cells where the first line asks for 3"),
        (
            ";x;y\na;1;2\nb;3;4\n",
            None,
            "; the cells seem to be divided by semicolons, and in .csv files commas divide them",
        ),
        (";x;y\na;1,5;2\nb;3,25;4\n", None, "divided by semicolons, and in .csv files commas divide them"),
        ("1;2\n3;4\n", None, "divided by semicolons"),
        ("\tx\ty\na\t1\t2\n", None, "divided by tabs, and in .csv files commas divide them"),
        ("x y\na 1 2\n", None, "divided by spaces"),
        (",x,y\na,1,2\n", ".tsv", "divided by commas, and in .tsv files tabs divide them"),
        (
            "# made by hand\n,x,y\na,1,2\n",
            None,
            "lines that begin with # are not left out: delete them if they are comments",
        ),
        (",x,y\na,1,2\n# b,3,4,5\n", None, "lines that begin with # are not left out"),
        (",x,y\na,1,2\nb,3,four\n", None, "line 3, column 3: 'four' is not a number"),
    ],
)
def test_the_separator_is_named(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / f"counts{content or '.csv'}"
    path.write_text(name, encoding="utf-8")
    with pytest.raises(InputError) as error:
        CoOccurrence.load(path)
    assert said(error).endswith(message) or message in said(error)
    assert said(error).startswith(str(path))
    assert ("divided by" in said(error)) == ("divided by" in message)


def test_tags_and_corners_are_not_comments(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("#,x,y\n#tag,1,2\nb,3,4\n", encoding="utf-8")
    assert CoOccurrence.load(path).inputs == ("#tag", "b")
    path.write_text(unicodedata.normalize("NFD", ",é,y\nü,1,2\n"), encoding="utf-8")
    assert (CoOccurrence.load(path).inputs, CoOccurrence.load(path).outputs) == (("ü",), ("é", "y"))


# What is too large, refused when it is read


def test_large_whole_numbers() -> None:
    with pytest.raises(InputError) as error:
        CoOccurrence.from_counts([[2**70, 1], [1, 1]])
    assert said(error) == "counts: whole numbers beyond 64 bits: give them as floats, or divide all by one number"
    np.testing.assert_array_equal(CoOccurrence.from_counts([[2.0**70, 0], [0, 2.0**70]]).C, np.eye(2) / 2)


@pytest.mark.parametrize("written", [str(2**70), str(2**64), f" {2**64}"])
def test_large_whole_numbers_in_tables(tmp_path: Path, written: str) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(f",x,y\na,1,2\nb,{written},4\n", encoding="utf-8")
    with pytest.raises(InputError) as error:
        CoOccurrence.load(path)
    assert said(error).startswith(f"{path}, line 3, column 2: a whole number beyond 64 bits")
    path.write_text(f",x,y\na,1,0\nb,0,{float(written):g}\n", encoding="utf-8")  # as the message says
    assert CoOccurrence.load(path).C[1, 1] > 0.999
    path.write_text(f",x,y\na,{2**64 - 2048},0\nb,0,4\n", encoding="utf-8")  # the largest below
    assert CoOccurrence.load(path).C[0, 0] > 0.999


@pytest.mark.parametrize("tokenizer", ["words", "whitespace"])
def test_a_word_of_ten_million_letters(tokenizer: str) -> None:
    with pytest.raises(InputError) as error:
        CoOccurrence.from_parallel_text(["a " + "b" * 10**7], ["x"], tokenizer=tokenizer)
    assert said(error) == (
        f"a word of the text ('{'b' * 40}…') has 10,000,000 characters, where words have at most 1,000: is the text "
        "divided into words?"
    )
    kept = CoOccurrence.from_parallel_text(["a a " + "b" * 10**7], ["x x"], tokenizer=tokenizer, min_count=2)
    assert kept.inputs == ("a",)


@pytest.mark.parametrize("unit", [b"\0", b"a", b"a b c\n"])
def test_gzip_that_expands_without_end(tmp_path: Path, unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics.counts.text.lines, "UNQUESTIONED", 2**20)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(unit * (2**20 // len(unit)))
    assert path.stat().st_size < 400_000
    with pytest.raises(InputError) as error:
        list(lines(path))
    assert said(error) == (
        f"{path}: the gzip file expands more than 100-fold and does not end within 1 MB: if this is right, unpack it "
        "and give the plain file"
    )
    market = path.rename(tmp_path / "bomb.mtx.gz")
    with pytest.raises(InputError, match="expands more than 100-fold"):
        CoOccurrence.load(market)


def test_repetitive_text_below_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(b"1\n" * 100_000))
    assert sum(1 for _ in lines(path)) == 100_000


def test_nul_in_text_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "wide.txt"
    path.write_bytes("a dog\n".encode("utf-16-le"))
    with pytest.raises(InputError) as error:
        list(lines(path))
    assert said(error) == (
        f"{path}, line 1, byte 1 of the line: a NUL character; this is no text, or the file is UTF-16: convert it to "
        "UTF-8"
    )
    with pytest.raises(InputError, match=r"texts\[1\] \('b\\x00'\) has a NUL character in it: remove it"):
        LabelledText(["a", "b\0"], [0, 1])
    with pytest.raises(InputError, match=r"labels\[0\] .* has a NUL character in it: remove it"):
        LabelledText(["a", "b"], ["p\0", "p"])


def test_whitespace_words_and_labels_of_text_are_composed() -> None:
    word = unicodedata.normalize("NFD", "été")
    co = CoOccurrence.from_labelled_text([f"{word} b", "été"], [word, "été"], tokenizer="whitespace")
    assert (co.inputs, co.outputs) == (("été", "b"), ("été",))


# Options


def test_options_are_one_object_or_names() -> None:
    source, target = ["a dog a", "a cat"], ["ein hund", "eine katze"]
    options = TextOptions(max_vocab=2, tokenizer="whitespace")
    one = CoOccurrence.from_parallel_text(source, target, options)
    other = CoOccurrence.from_parallel_text(source, target, max_vocab=2, tokenizer="whitespace")
    np.testing.assert_array_equal(one.C, other.C)
    assert dict(one.attrs) == dict(other.attrs)
    assert CoOccurrence.from_parallel_text(source, target, options, max_vocab=1).inputs == ("a",)
    assert Examples.from_parallel_text(source, target, options).labels == (one.inputs, one.outputs)
    assert Examples.from_labelled_text(source, [0, 1], options).inputs == 2


PARALLEL, LABELLED = (["a"], ["b"]), (["a"], [0])


@pytest.mark.parametrize(
    ("call", "data", "named", "message"),
    [
        (
            CoOccurrence.from_parallel_text,
            PARALLEL,
            {"max_vocb": 3},
            "has no option 'max_vocb'; did you mean 'max_vocab'?",
        ),
        (CoOccurrence.from_labelled_text, LABELLED, {"heder": True}, "has no option 'heder'; did you mean 'header'?"),
        (CoOccurrence.from_labelled_files, ("a",), {"grma": True}, "has no option 'grma'; did you mean 'gram'?"),
        (
            CoOccurrence.from_parallel_files,
            PARALLEL,
            {"sheduler": ""},
            "has no option 'sheduler'; did you mean 'scheduler'?",
        ),
        (
            Examples.from_labelled_text,
            LABELLED,
            {"tokeniser": ""},
            "has no option 'tokeniser'; did you mean 'tokenizer'?",
        ),
        (
            Examples.from_parallel_text,
            PARALLEL,
            {"header": True},
            "has no option 'header'; it has tokenizer, lower, max_vocab, min_count, max_pairs",
        ),
        (
            CoOccurrence.from_parallel_text,
            PARALLEL,
            {"options": {"lower": False}},
            "options is dict: give TextOptions, or options by name",
        ),
    ],
)
def test_unknown_options_are_named_with_the_nearest(call: Any, data: Any, named: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as error:
        call(*data, **named)
    assert said(error).removeprefix(f"{call.__name__}()").lstrip(": ") == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "word"}, "there is no tokenizer 'word': choose 'words' or 'whitespace'"),
        ({"lower": "no"}, "lower is 'no': give True or False"),
        ({"max_vocab": 2.5}, "max_vocab is 2.5: give a whole number from 1"),
        ({"min_count": None}, "min_count is None: give a whole number from 1"),
        ({"max_pairs": True}, "max_pairs is True: give a whole number from 1"),
    ],
)
def test_options_are_checked_when_they_are_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        TextOptions(**options)
    assert said(error) == message
    with pytest.raises(InputError, match="header=True goes with a file"):
        CoOccurrence.from_parallel_text(["a"], ["b"], TextOptions(header=True))
