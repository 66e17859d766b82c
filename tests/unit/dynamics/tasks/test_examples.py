"""Examples against plain lists of rows."""

import warnings
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamics import simulate, solve
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.counts.text.corpus import LabelledText, ParallelText
from dynamics.counts.text.encoding import encode
from dynamics.problems.kinds.models import keyword, lexical
from dynamics.support.errors import DataWarning, InputError
from dynamics.tasks.examples import Examples, ragged

INPUTS, OUTPUTS = 5, 4
ROWS = st.lists(
    st.tuples(
        st.lists(st.integers(0, INPUTS - 1), min_size=1, max_size=6),
        st.lists(st.integers(0, OUTPUTS - 1), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=8,
)
Row = tuple[list[int], list[int]]


def made(rows: list[Row]) -> Examples:
    return Examples.from_rows([x for x, _ in rows], [y for _, y in rows], INPUTS, OUTPUTS)


def rows_of(examples: Examples) -> list[Row]:
    words, targets = iter(examples.x.tolist()), iter(examples.y.tolist())
    found = [
        ([next(words) for _ in range(l)], [next(targets) for _ in range(t)])
        for l, t in zip(examples.length.tolist(), examples.targets.tolist(), strict=True)
    ]
    assert next(words, None) is next(targets, None) is None
    return found


@given(ROWS)
def test_rows_come_back(rows):
    examples = made(rows)
    assert rows_of(examples) == rows
    assert len(examples) == len(rows)
    assert examples.positions == (max(len(x) for x, _ in rows), max(len(y) for _, y in rows))
    for array in (examples.x, examples.length, examples.y, examples.targets):
        assert array.dtype == np.int64
        assert array.flags.c_contiguous


@given(ROWS, st.data())
def test_take_is_a_list_of_rows(rows, data):
    picked = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), min_size=1, max_size=12))
    examples = made(rows)
    some = examples.take(picked)
    assert rows_of(some) == [rows[i] for i in picked]
    assert some.positions == examples.positions
    assert (some.inputs, some.outputs) == (INPUTS, OUTPUTS)
    assert rows_of(examples) == rows


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_ragged_places(lengths, data):
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=10))
    starts = [sum(lengths[:row]) for row in rows]
    places = [start + l for start, row in zip(starts, rows, strict=True) for l in range(lengths[row])]
    assert ragged(np.array(lengths), np.array(rows, dtype=np.int64)).tolist() == places


@given(ROWS)
def test_cooccurrence_is_counted_target_by_target(rows):
    C: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    G: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    targets = sum(len(y) for _, y in rows)
    for x, y in rows:
        for o in y:
            for i in x:
                C[str(i), str(o)] += Fraction(1, len(x) * targets)
                for k in x:
                    G[str(i), str(k)] += Fraction(1, len(x) ** 2 * targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        co = made(rows).cooccurrence(gram=True)
        assert made(rows).cooccurrence().gram is None
    assert co.inputs == tuple(sorted({i for i, _ in C}))
    assert co.outputs == tuple(sorted({o for _, o in C}))
    np.testing.assert_allclose(co.C, [[float(C[i, o]) for o in co.outputs] for i in co.inputs], rtol=1e-12)
    np.testing.assert_allclose(co.gram, [[float(G[i, k]) for k in co.inputs] for i in co.inputs], rtol=1e-12)
    assert co.length == pytest.approx(sum(len(x) * len(y) for x, y in rows) / targets)


def test_words_without_examples_are_left_out_with_a_warning():
    with pytest.warns(DataWarning, match="left out"):
        co = Examples.from_rows([[0], [2]], [0, 1], 4, 2).cooccurrence()
    assert (co.inputs, co.outputs) == (("0", "2"), ("0", "1"))


def test_one_target_each_needs_no_lists():
    examples = Examples.from_rows(np.array([[0, 1], [2, 2]]), np.array([1, 0]), 3, 2)
    assert rows_of(examples) == [([0, 1], [1]), ([2, 2], [0])]
    assert rows_of(examples.take(1)) == [([2, 2], [0])]
    assert rows_of(examples.take(np.array([1, 0], dtype=np.uint8))) == [([2, 2], [0]), ([0, 1], [1])]


def test_a_corpus_becomes_examples():
    text = ParallelText(["a dog", "two", "a a dog"], ["ein hund", "zwei", "hund"])
    pairs = encode(text, ["a", "dog", "two"], ["ein", "hund", "zwei"])
    examples = Examples.from_encoded(pairs, ["a", "dog", "two"], ["ein", "hund", "zwei"])
    assert rows_of(examples) == [([0, 1], [0, 1]), ([2], [2]), ([0, 0, 1], [1])]
    assert examples.positions == (3, 2)
    assert examples.labels == (("a", "dog", "two"), ("ein", "hund", "zwei"))


SENTENCES = st.lists(st.text("abcB- ", max_size=8), min_size=1, max_size=6)
OPTIONS = [{}, {"max_vocab": 2}, {"min_count": 2}, {"max_pairs": 2}, {"tokenizer": "whitespace"}, {"lower": False}]


@given(st.data(), SENTENCES, st.sampled_from(OPTIONS))
def test_text_becomes_what_was_counted(data, source, options):
    """The same words under the same ids as in the counts, the same counts, the same warnings and the same errors."""
    target = data.draw(st.lists(st.text("xy ", max_size=6), min_size=len(source), max_size=len(source)))
    labels = data.draw(st.lists(st.sampled_from(["10", "9", "b"]), min_size=len(source), max_size=len(source)))
    for kind, texts in (("from_parallel_text", (source, target)), ("from_labelled_text", (source, labels))):
        outcomes = []
        for make in (getattr(CoOccurrence, kind), getattr(Examples, kind)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    found = make(*texts, **options)
                except InputError as error:
                    found = str(error)
            outcomes.append((found, [str(warning.message) for warning in caught]))
        (counted, counting), (examples, encoding) = outcomes
        assert encoding == counting
        if isinstance(counted, str):
            assert examples == counted
            continue
        assert examples.labels == (counted.inputs, counted.outputs)
        assert (examples.inputs, examples.outputs) == counted.shape
        again = examples.cooccurrence()
        assert (again.inputs, again.outputs) == (counted.inputs, counted.outputs)
        np.testing.assert_allclose(again.dense().C, counted.dense().C, rtol=1e-14)
        assert again.length == pytest.approx(counted.length, rel=1e-14)


def test_sentences_without_a_known_word_are_left_out_and_counted():
    with pytest.warns(DataWarning) as caught:
        examples = Examples.from_labelled_text(
            ["a fine film", "", "a a", "dull", "fine a"], [1, 0, 0, 1, 1], max_vocab=2
        )
    says = "2 of 5 pairs have no kept word on one side and are left out (the first is pair 2)"
    assert [str(warning.message) for warning in caught] == [says]
    assert examples.labels == (("a", "fine"), ("0", "1"))
    assert rows_of(examples) == [([0, 1], [1]), ([0, 0], [0]), ([1, 0], [1])]


def test_files_are_read_as_by_the_counts(tmp_path):
    (tmp_path / "train").write_text("1 a fine film\n\n0 Dull , dull\n")
    examples = Examples.from_labelled_text(tmp_path / "train", tokenizer="whitespace", lower=False)
    assert examples.labels == ((",", "Dull", "a", "dull", "film", "fine"), ("0", "1"))
    assert rows_of(examples) == [([2, 5, 4], [1]), ([1, 0, 3], [0])]
    (tmp_path / "train.tsv").write_text("label\ttext\n1\ta film\n0\tdull\n")
    examples = Examples.from_labelled_text(tmp_path / "train.tsv", header=True)
    assert rows_of(examples) == [([0, 2], [1]), ([1], [0])]
    (tmp_path / "a.en").write_text("a dog\na cat\n")
    (tmp_path / "a.de").write_text("ein hund\neine katze\n")
    examples = Examples.from_parallel_text(tmp_path / "a.en", tmp_path / "a.de", max_pairs=1)
    assert (examples.labels, rows_of(examples)) == ((("a", "dog"), ("ein", "hund")), [([0, 1], [0, 1])])


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "long").write_text("a\nb\n")
    (tmp_path / "short").write_text("a\n")
    (tmp_path / "bare.tsv").write_text("1\tfine\ndull\n")
    for make, texts, says in (
        (Examples.from_labelled_text, ["empty"], "empty"),
        (Examples.from_labelled_text, ["bare.tsv"], "bare.tsv.*line 2"),
        (Examples.from_labelled_text, ["no-such-file"], "'.*no-such-file' does not exist"),
        (Examples.from_parallel_text, ["long", "empty"], "empty"),
        (Examples.from_parallel_text, ["long", "short"], "2 lines.*1|1 line.*2"),
    ):
        with pytest.raises(InputError, match=says) as error:
            make(*(tmp_path / text for text in texts))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("texts", "labels", "says"),
    [
        ([], [], "empty"),
        (["fine"], None, "the sentences have no labels"),
        (["fine"], [""], "empty label"),
        (["fine"], [0.5], r"labels\[0\] is float"),
        (["fine", "dull"], [1], "2 lines.*1|1 line.*2"),
        (["", " "], [0, 1], "no words in the text"),
    ],
)
def test_wrong_labelled_text_is_refused(texts, labels, says):
    with pytest.raises(InputError, match=says):
        Examples.from_labelled_text(texts, labels)


def test_unseen_text_has_the_ids_of_the_training_text():
    seen = Examples.from_labelled_text(["a fine film", "a dull film"], ["good", "poor"])
    text = LabelledText(["dull", "no", "fine film"], ["poor", "poor", "good"])
    with pytest.warns(DataWarning, match="1 of 3 pairs"):
        unseen = Examples.from_encoded(encode(text, *seen.labels), *seen.labels)
    assert unseen.labels == seen.labels
    assert rows_of(unseen) == [([2], [1]), ([3, 1], [0])]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ((("a", "b"), ("x",)), "2 input labels for 3 inputs; give one for each"),
        ((("a", "b", "c"), ()), "0 output labels for 1 outputs"),
        ((("a", "b", "a"), ("x",)), "the input label 'a' is given twice"),
    ],
)
def test_labels_are_one_for_each_id(labels, says):
    with pytest.raises(InputError, match=says):
        Examples([0, 2], [2], [0], [1], 3, 1, labels=labels)


def test_labels_are_the_coordinates_of_results():
    examples = Examples.from_parallel_text(["a dog", "a cat a"], ["ein hund", "eine katze"])
    words, targets = ["a", "cat", "dog"], ["ein", "eine", "hund", "katze"]
    for labelled in (examples, examples.take([1, 0])):
        whole = solve(lexical(heads=2), labelled, [1.0], initial={"A": 0.1})
        for keep in ([2, 0], ["dog", "a"]):
            found = solve(lexical(heads=2), labelled, [1.0], initial={"A": 0.1}, keep={"input": keep})
            assert found.input.values.tolist() == ["dog", "a"]
            assert found.equals(whole.sel(input=["dog", "a"]))
        assert solve(lexical(), labelled, [1.0], keep={"output": "hund"}).A.shape == (1, 3, 1)
        assert found.output.values.tolist() == targets
        assert found.W.sel(input="a", output="ein").dims == ("time", "head")
        run = simulate(lexical(), labelled, lr=0.1, steps=2)
        assert (run.input.values.tolist(), run.output.values.tolist()) == (words, targets)
    with pytest.raises(InputError, match="keep: there is no input 'dgo'; did you mean 'dog'"):
        solve(lexical(), examples, [1.0], keep={"input": ["a", "dgo"]})
    bare = Examples.from_rows([[0, 1]], [1], 2, 2)
    with pytest.raises(InputError, match=r"keep: there is no input 'dog'$"):
        solve(keyword(), bare, [1.0], keep={"input": ["dog"]})
    assert solve(keyword(), bare, [1.0]).input.values.tolist() == [0, 1]
    assert simulate(keyword(), bare, lr=0.1, steps=2).output.values.tolist() == [0, 1]


def test_positions_may_be_larger_than_the_rows():
    assert Examples([0, 1], [2], [0], [1], 2, 1, positions=(5, 3)).take([0, 0]).positions == (5, 3)
    assert Examples([0, 1], [2], [0], [1], 2, 1, positions=(2, 1)).positions == (2, 1)
    for positions in ((1, 1), (2, 0)):
        with pytest.raises(InputError, match=r"rows of \(2, 1\); give no less"):
            Examples([0, 1], [2], [0], [1], 2, 1, positions=positions)


@pytest.mark.parametrize(
    ("x", "length", "y", "targets", "says"),
    [
        ([0], [1], [0, 0], [1, 1], "1 inputs but 2 rows of targets"),
        ([], [], [], [], "there are no examples"),
        ([0, 1], [2, 0], [0, 0], [1, 1], "example 1 has no word"),
        ([0, 1], [1, 1], [0], [1, 0], "example 1 has no target"),
        ([0], [2, -1], [0, 0], [1, 1], "example 1 has no word"),
        ([0, 1, 2], [1, 1], [0, 0], [1, 1], "the rows hold 2 words, but there are 3"),
        ([0, 1], [1, 1], [0], [1, 1], "the rows hold 2 targets, but there are 1"),
        ([0, 1, 3], [1, 2], [0, 0], [1, 1], "example 1: word 3 is not between 0 and 2"),
        ([0, 1, -1], [2, 1], [0, 0], [1, 1], "example 1: word -1 is not"),
        ([0, 1], [1, 1], [2, 0], [1, 1], "example 0: target 2 is not between 0 and 1"),
        ([0.5], [1], [0], [1], "x holds float64; give whole numbers"),
        ([0], [1], ["0"], [1], "y holds <U1"),
        ([True], [1], [0], [1], "x holds bool"),
        ([[0, 1]], [2], [0], [1], r"x has shape \(1, 2\); give a flat list"),
    ],
)
def test_what_is_wrong_is_named(x, length, y, targets, says):
    with pytest.raises(InputError, match=says) as error:
        Examples(x, length, y, targets, inputs=3, outputs=2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        ([[0], []], [0, 1], "example 1 has no word"),
        ([[0], [1]], [[0], []], "example 1 has no target"),
        ([[0], [1]], [0], "2 inputs but 1 rows of targets"),
        ([[0], [1.5]], [0, 1], "x, row 1 holds float64"),
        ([[0], [1]], [0, 0.5], "y, row 1 holds float64"),
        ([[[0, 1]]], [0], "x, row 0 has shape"),
    ],
)
def test_wrong_rows_are_named(x, y, says):
    with pytest.raises(InputError, match=says):
        Examples.from_rows(x, y, 3, 2)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([0, 2], "there is no example 2; give rows below 2"),
        ([-3], "there is no example -3"),
        ([], "there are no examples"),
        ([0.0], "rows holds float64"),
        ([True, False], "rows holds bool"),
        ([[0, 1]], "rows has shape"),
    ],
)
def test_take_refuses_other_rows(rows, says):
    with pytest.raises(InputError, match=says):
        Examples.from_rows([[0], [1, 2]], [0, 1], 3, 2).take(rows)


def test_counting_leaves_the_examples_as_they_are():
    examples = Examples.from_rows([[3, 1, 2], [1, 0]], [[1, 0], [0, 1, 1]], inputs=4, outputs=2)
    examples.cooccurrence(gram=True)
    assert examples.x.tolist() == [3, 1, 2, 1, 0]
    assert examples.y.tolist() == [1, 0, 0, 1, 1]
