"""Context counts against loops over places, in parts and whole, and what can be wrong with them."""

from collections import Counter
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics.counts.context import NO_SOURCE, ContextCounts
from dynamics.counts.text.encoding import EncodedPairs, encode
from dynamics.counts.text.reservoir import taken
from dynamics.support.errors import InputError

INPUTS, OUTPUTS = tuple("abcd"), tuple("uvw")
SENTENCES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(INPUTS), min_size=1, max_size=7), st.lists(st.sampled_from(OUTPUTS), min_size=1)
    ),
    min_size=1,
    max_size=9,
)
LONGEST = 5
MATRICES = ("together", "presence", "offsets", "squared_offsets", "transitions")
VECTORS = ("input_words", "input_sentences", "output_sentences", "input_lengths", "output_lengths")


def counted(text: list[tuple[list[str], list[str]]], sentences: int | None = 0, seed: int = 0) -> ContextCounts:
    pairs = encode(text, INPUTS, OUTPUTS)
    return ContextCounts.from_encoded(pairs, INPUTS, OUTPUTS, longest=LONGEST, sentences=sentences, seed=seed)


def same(one: ContextCounts, other: ContextCounts) -> bool:
    alike = all((getattr(one, name) != getattr(other, name)).nnz == 0 for name in MATRICES)
    return alike and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in VECTORS)


def kept(counts: ContextCounts) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    assert counts.reservoir is not None
    return listed(counts.reservoir.pairs)


def listed(pairs: EncodedPairs) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    x, y = pairs.x_starts, pairs.y_starts
    return [(tuple(pairs.x[x[k] : x[k + 1]]), tuple(pairs.y[y[k] : y[k + 1]])) for k in range(len(pairs))]


@given(SENTENCES)
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_loops_over_places(text: list[tuple[list[str], list[str]]]) -> None:
    V, K = len(INPUTS), len(OUTPUTS)
    together, presence, offsets, squares = (np.zeros((V, K), int) for _ in range(4))
    transitions = np.zeros((K + 1, K + 1), int)
    words, sentences, targets = Counter[int](), Counter[int](), Counter[int]()
    for source, target in text:
        x = [INPUTS.index(word) for word in source][:LONGEST]
        y = [OUTPUTS.index(word) for word in target][:LONGEST]
        for l, i in enumerate(x):
            for t, o in enumerate(y):
                together[i, o] += 1
                offsets[i, o] += l - t
                squares[i, o] += (l - t) ** 2
        for i in set(x):
            for o in set(y):
                presence[i, o] += 1
        for p, o in zip([K, *y], [*y, K], strict=True):
            transitions[p, o] += 1
        words.update(x)
        sentences.update(set(x))
        targets.update(set(y))
    found = counted(text)
    expected = (together, presence, offsets, squares, transitions)
    for name, oracle in zip(MATRICES, expected, strict=True):
        assert np.array_equal(getattr(found, name).toarray(), oracle), name
    assert found.input_words.tolist() == [words[i] for i in range(V)]
    assert found.input_sentences.tolist() == [sentences[i] for i in range(V)]
    assert found.output_sentences.tolist() == [targets[o] for o in range(K)]
    assert found.input_lengths.tolist() == [sum(min(len(x), LONGEST) == n for x, _ in text) for n in range(LONGEST + 1)]
    assert found.output_lengths.tolist() == [
        sum(min(len(y), LONGEST) == n for _, y in text) for n in range(LONGEST + 1)
    ]


@given(SENTENCES, st.lists(st.integers(0, 8), max_size=3), st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_parts_add_up_and_the_sample_does_not_depend_on_them(text, cuts, random, size) -> None:
    whole = counted(text, size, seed=3)
    mixed = list(text)
    random.shuffle(mixed)
    ends = sorted({min(cut, len(mixed)) for cut in cuts} | {0, len(mixed)})
    parts = [mixed[a:b] for a, b in pairwise(ends)]
    found = reduce(add, (counted(part, size, seed=3) for part in parts))
    assert same(found, whole)
    assert kept(found) == kept(whole)
    assert len(kept(whole)) == min(size, len(text))


def test_a_sample_is_of_the_text_and_another_seed_gives_another() -> None:
    rng = np.random.default_rng(0)
    text = [(list(rng.choice(INPUTS, 5)), list(rng.choice(OUTPUTS, 5))) for _ in range(300)]
    every = Counter(listed(encode(text, INPUTS, OUTPUTS)))
    one, two = (kept(counted(text, 50, seed)) for seed in (0, 1))
    assert one != two
    assert not Counter(one) - every
    assert Counter(kept(counted(text, None))) == every


def test_a_part_of_an_encoded_corpus_is_taken() -> None:
    pairs = encode([(["a", "b"], ["u"]), (["c"], ["v", "w"])], INPUTS, OUTPUTS)
    assert listed(taken(pairs, [1, 1])) == [((2,), (1, 2))] * 2


def test_saved_and_loaded_to_the_bit(tmp_path: Path) -> None:
    counts = counted([(["a", "b"], ["u", "v"]), (["c"], ["w"])], None)
    counts.save(tmp_path / "counts.npz")
    found = ContextCounts.load(tmp_path / "counts.npz")
    assert same(found, counts)
    assert kept(found) == kept(counts)
    assert found.attrs == counts.attrs


def test_lines_that_are_excluded_are_not_read() -> None:
    source, target = ["a dog", "two cats", "a cat"], ["ein hund", "zwei katzen", "eine katze"]
    found = ContextCounts.from_parallel_text(source, target, exclude=[2])
    expected = ContextCounts.from_parallel_text(source[::2], target[::2])
    assert found.inputs == ("a", "cat", "dog")
    assert same(found, expected)


def test_one_text_alone_has_a_source_that_tells_nothing() -> None:
    found = ContextCounts.from_text(["a dog", "a cat"])
    assert found.inputs == (NO_SOURCE,)
    assert found.output_words.tolist() == [2, 1, 1]
    assert found.presence.toarray().tolist() == [[2, 1, 1]]


def test_a_vocabulary_is_cut_as_elsewhere() -> None:
    found = ContextCounts.from_parallel_text(["a a b", "a c"], ["u u v", "u w"], max_vocab=2, longest=2)
    assert (found.inputs, found.outputs) == (("a", "b"), ("u", "v"))
    assert found.input_lengths.tolist() == [0, 1, 1]


def test_what_cannot_be_is_told_in_a_line(tmp_path: Path) -> None:
    counts = counted([(["a", "b"], ["u", "v"]), (["c"], ["w"])])
    cases = [
        (lambda: replace(counts, input_words=counts.input_words + 1), "source lengths do not go with source words"),
        (lambda: replace(counts, together=counts.together * 0), "words stand together in more sentences"),
        (lambda: replace(counts, squared_offsets=counts.squared_offsets * 0), "offsets have a negative variance"),
        (lambda: replace(counts, input_words=counts.input_words.astype(float)), "input_words is float64"),
        (lambda: counts + counted([(["a"], ["u"])], 1), "one part has kept sentences"),
        (lambda: counted([(["a"], ["u"])], 1) + counted([(["a"], ["u"])], 2), "samples of different sizes"),
        (lambda: counts + ContextCounts.from_text(["a"]), "different vocabularies"),
        (lambda: ContextCounts.from_parallel_text(["a"], ["u"], exclude=[7]), "line 7 is to be excluded"),
        (lambda: ContextCounts.from_parallel_text(["a"], ["u"], sentences=0.5), "sentences is 0.5"),
        (lambda: counts.save(tmp_path / "counts.txt"), "name it so"),
        (lambda: ContextCounts.load(tmp_path / "none.npz"), "does not exist"),
    ]
    for wrong, told in cases:
        with pytest.raises(InputError) as error:
            wrong()
        assert told in str(error.value)
        assert "\n" not in str(error.value)


def test_files_of_other_things_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(b"PK broken")
    for name in ("other.npz", "broken.npz"):
        with pytest.raises(InputError, match=name):
            ContextCounts.load(tmp_path / name)
