"""Samplers against every input listed with its probability, and closed forms against both."""

import dataclasses
import itertools
import json
import pickle
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.support.errors import InputError
from dynamics.tasks import BOOLEAN, Copying, SparseBoolean, Task, TopicSentences, ToyLexicon
from dynamics.tasks.examples import Examples

Outcome = tuple[tuple[int, ...], tuple[int, ...], float]

TRUTH = {"and": all, "or": any, "majority": lambda b: sum(b) > len(b) - sum(b), "parity": lambda b: sum(b) in (1, 3, 5)}


def outcomes(task: Any) -> Iterator[Outcome]:
    """Every example with its probability, from the definition of the task."""
    if isinstance(task, Copying):
        rows = list(
            itertools.product(range(task.vocab), repeat=task.length)
            if task.replacement
            else itertools.permutations(range(task.vocab), task.length)
        )
        yield from ((x, x, 1 / len(rows)) for x in rows)
    elif isinstance(task, ToyLexicon):
        rows = list(itertools.permutations(range(task.vocab), task.length))
        for x in rows:
            orders = list(itertools.permutations(x))
            yield from ((x, y, 1 / len(rows) / len(orders)) for y in orders)
    elif isinstance(task, TopicSentences):
        first = [(topic, word) for topic in range(task.topics) for word in range(task.words_per_topic)]
        others = range(len(first), len(first) + task.others)
        rest = list(itertools.product(others, repeat=task.others_per_sentence))
        for w, (topic, _) in enumerate(first):
            yield from (((w, *words), (topic,), 1 / len(first) / len(rest)) for words in rest)
    else:
        s = len(task.support)
        one = {"and": 0.5 ** (1 / s), "or": 1 - 0.5 ** (1 / s)}.get(task.kind, 0.5)
        for bits in itertools.product((0, 1), repeat=task.length):
            probability = np.prod([one if bit else 1 - one for bit in bits])
            used = [bits[l] for l in task.support]
            if isinstance(task.kind, str):
                y = int(TRUTH[task.kind](used))
            else:
                y = task.kind[int("".join(map(str, used)), 2)]
            x = tuple(2 * l + bit for l, bit in enumerate(bits))
            yield x, (y,), probability * (1 - task.noise)
            yield x, (1 - y,), probability * task.noise


def expected(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """C and G by loops over all examples."""
    C, G = np.zeros((task.inputs, task.outputs)), np.zeros((task.inputs, task.inputs))
    for x, y, probability in outcomes(task):
        for i in x:
            for o in y:
                C[i, o] += probability / len(x) / len(y)
            for k in x:
                G[i, k] += probability / len(x) ** 2
    return C, G


def rows_of(examples: Examples) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    x = examples.x.reshape(len(examples), -1).tolist()
    y = examples.y.reshape(len(examples), -1).tolist()
    return [(tuple(words), tuple(targets)) for words, targets in zip(x, y, strict=True)]


TINY = [
    Copying(4, 2),
    Copying(3, 3),
    Copying(4, 1),
    Copying(12, 3),  # few of many words
    Copying(16, 2),
    Copying(3, 4, replacement=True),
    ToyLexicon(4, 3),
    ToyLexicon(8, 2),
    TopicSentences(2, 2, 3, 2),
    TopicSentences(3, 1, 2, 3),
    SparseBoolean("and", 4, 3),
    SparseBoolean("or", 4, (3, 1)),
    SparseBoolean("majority", 4, (0, 2, 3), noise=0.3),
    SparseBoolean("parity", 4, 2, noise=0.1),
    SparseBoolean([0, 1, 0, 0], 3, (2, 0)),
    SparseBoolean([0, 0, 0, 1, 0, 1, 1, 0], 3, (1, 2, 0), noise=0.2),
]
PAPERS = [
    Copying(12, 8),
    Copying(60, 40),
    Copying(10, 10),
    Copying(20, 6, replacement=True),
    ToyLexicon(60, 8),
    TopicSentences(4, 2, 100, 20),
    *(SparseBoolean(kind, 50, (4, 30, 49), noise) for kind in BOOLEAN for noise in (0.0, 0.15)),
    SparseBoolean([0, 1, 1, 0, 0, 0, 1, 0], 20, (7, 1, 19)),
]


@pytest.mark.parametrize("task", TINY, ids=str)
def test_every_example_is_as_frequent_as_it_should_be(task):
    n = 60_000
    probability: dict[Any, float] = defaultdict(float)
    for x, y, p in outcomes(task):
        probability[x, y] += p
    assert sum(probability.values()) == pytest.approx(1)
    found = Counter(rows_of(task.examples(n, seed=1)))
    possible = [key for key, p in probability.items() if p > 0]
    assert set(found) <= set(possible)
    if len(possible) > 1:
        counts, means = ([of[key] for key in possible] for of in (found, probability))
        assert scipy.stats.chisquare(counts, n * np.array(means)).pvalue > 1e-4


@pytest.mark.parametrize(
    "task", [*TINY, Copying(1, 1), ToyLexicon(1, 1), Copying(1, 3, True), TopicSentences(1, 1, 1, 1)]
)
def test_population_is_exact(task):
    C, G = expected(task)
    co = task.population(gram=True)
    np.testing.assert_allclose(co.C, C, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(co.gram, G, rtol=1e-12, atol=1e-15)
    assert co.length == len(next(outcomes(task))[0])
    assert co.inputs == tuple(map(str, range(task.inputs)))
    assert co.outputs == tuple(map(str, range(task.outputs)))
    assert task.population().gram is None


@st.composite
def booleans(draw):
    length = draw(st.integers(1, 6))
    support = draw(st.permutations(range(length)))[: draw(st.integers(1, min(length, 4)))]
    table = st.lists(st.integers(0, 1), min_size=2 ** len(support), max_size=2 ** len(support))
    kind = draw(st.sampled_from(list(BOOLEAN)) | table.filter(lambda bits: len(set(bits)) == 2))
    return SparseBoolean(kind, length, support, draw(st.sampled_from([0.0, 0.01, 0.49])))


@given(booleans())
def test_population_of_any_boolean_function_is_exact(task):
    C, G = expected(task)
    co = task.population(gram=True)
    np.testing.assert_allclose(co.C, C, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(co.gram, G, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("task", PAPERS, ids=str)
def test_population_is_the_mean_of_a_large_sample(task):
    n = 4000
    data = task.examples(n, seed=2)
    row = np.arange(n)[:, None]
    bag, answers = np.zeros((n, task.inputs)), np.zeros((n, task.outputs))
    for counts, ids in ((bag, data.x.reshape(n, -1)), (answers, data.y.reshape(n, -1))):
        np.add.at(counts, (row, ids), 1 / ids.shape[1])
    co = task.population(gram=True)
    for left, right, exact in ((bag, answers, co.C), (bag, bag, co.gram)):
        mean = left.T @ right / n
        spread = np.sqrt(np.maximum((left**2).T @ right**2 / n - mean**2, 0) / n)
        certain = spread < 1e-9
        np.testing.assert_allclose(mean[certain], exact[certain], atol=1e-3)
        z = (mean - exact)[~certain] / spread[~certain]
        assert np.abs(z).max(initial=0) < scipy.stats.norm.isf(1e-4 / max(z.size, 1)) * 1.2  # rare cells are skewed


@pytest.mark.parametrize("task", PAPERS, ids=str)
def test_examples_are_well_formed(task):
    assert isinstance(task, Task)
    data = task.sample(65, np.random.default_rng(3))
    checked = Examples(data.x, data.length, data.y, data.targets, data.inputs, data.outputs, data.positions)
    for field in dataclasses.fields(Examples):
        ours, theirs = getattr(data, field.name), getattr(checked, field.name)
        assert type(ours) is type(theirs)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == np.int64
            assert ours.flags.c_contiguous
            np.testing.assert_array_equal(ours, theirs)
        else:
            assert ours == theirs
    assert len(data) == 65
    assert data.positions == (data.length[0], data.targets[0])
    assert (data.inputs, data.outputs) == (task.inputs, task.outputs)
    assert len(data.take([0, 0, 64])) == 3


@pytest.mark.parametrize("task", PAPERS, ids=str)
def test_seeds_decide(task):
    one, same, other = task.examples(50, seed=7), task.examples(50, seed=7), task.examples(50, seed=8)
    fresh = task.sample(50, np.random.default_rng(7))
    for again in (same, fresh):
        assert rows_of(one) == rows_of(again)
    assert rows_of(one) != rows_of(other)
    assert rows_of(task.examples(50)) == rows_of(task.examples(50, seed=0))
    rng = np.random.default_rng(7)
    assert rows_of(task.sample(50, rng)) != rows_of(task.sample(50, rng))


@given(st.integers(1, 30), st.data())
def test_words_are_distinct_and_in_range(vocab, data):
    length = data.draw(st.integers(1, vocab))
    for task in (Copying(vocab, length), ToyLexicon(vocab, length)):
        for x, y in rows_of(task.examples(20, seed=vocab)):
            assert len(set(x)) == length
            assert set(x) <= set(range(vocab))
            assert sorted(x) == sorted(y)
            assert x == y or isinstance(task, ToyLexicon)


def test_topic_sentences_are_laid_out_as_the_authors_lay_them_out():
    task = TopicSentences(4, 2, 5000, 20)
    assert (task.inputs, task.outputs, task.topic_words) == (5008, 4, 8)
    data = task.examples(5000)
    x = data.x.reshape(-1, 21)
    assert ((x < 8).nonzero()[1] == 0).all()
    assert (x[:, 0] // 2 == data.y).all()
    others = np.sort(x[:, 1:], axis=1)
    repeats = (others[:, 1:] == others[:, :-1]).any(axis=1).sum()
    assert abs(repeats - 187) < 60  # 191 in the authors' 4,999


@pytest.mark.parametrize("s", [1, 2, 3, 5, 9])
def test_labels_balance(s):
    for kind in BOOLEAN:
        if kind == "majority" and s % 2 == 0:
            continue
        np.testing.assert_allclose(SparseBoolean(kind, 10, s).population().q, 0.5, rtol=1e-12)


def test_parity_has_no_pairwise_signal():
    for noise in (0.0, 0.2):
        co = SparseBoolean("parity", 7, (1, 2, 6), noise).population()
        np.testing.assert_allclose(co.C, np.outer(co.c, co.q), atol=1e-16)
    permutations = Copying(9, 9).population()
    np.testing.assert_allclose(permutations.C, 1 / 81, rtol=1e-14)


def test_large_supports_have_closed_forms_too():
    co = SparseBoolean("majority", 2001, 2001).population()
    advantage = scipy.stats.binom.pmf(1000, 2000, 0.5)  # of a bit: the others are even
    np.testing.assert_allclose(co.C[1::2, 1] - co.C[::2, 1], advantage / 2 / 2001, rtol=1e-9)


def test_noise_flips_labels_only():
    clean, noisy = (SparseBoolean("and", 6, 2, noise).examples(20_000) for noise in (0.0, 0.25))
    np.testing.assert_array_equal(clean.x, noisy.x)
    assert abs((clean.y != noisy.y).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 20_000)


def test_population_names_its_task_and_can_be_saved(tmp_path):
    co = SparseBoolean(np.array([0, 1, 1, 0]), np.int64(3), np.array([2, 0]), noise=np.float64(0.1)).population()
    assert co.attrs == {
        "origin": "task", "task": "SparseBoolean", "kind": "0 1 1 0", "length": 3, "support": "2 0", "noise": 0.1,
    }  # fmt: skip
    co.save(tmp_path / "task.npz")
    assert CoOccurrence.load(tmp_path / "task.npz").attrs == co.attrs
    for task in PAPERS:
        json.dumps(dict(task.population().attrs))
    assert Copying(3, 2, True).population().attrs["replacement"] == 1
    assert type(Copying(3, 2).population().attrs["replacement"]) is int


def test_tasks_are_values():
    assert SparseBoolean("and", 5, 2) == SparseBoolean("and", 5, (0, 1))
    task = SparseBoolean([0, 1], 5, [4])
    task.examples(3)
    assert pickle.loads(pickle.dumps(task)) == task
    assert hash(task) == hash(SparseBoolean((0, 1), 5, (4,)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.length = 3


def test_tasks_without_a_closed_form_fit_the_interface():
    class Coin:
        inputs, outputs = 1, 2

        def sample(self, n, rng):
            return Examples.from_rows([[0]] * n, rng.integers(2, size=n), 1, 2)

        def population(self, gram=False):
            return None

        def examples(self, n, seed=0):
            return self.sample(n, np.random.default_rng(seed))

    assert isinstance(Coin(), Task)
    assert not isinstance(CoOccurrence.from_counts([[1]]), Task)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Copying(3, 4), r"Copying: 4 distinct words .* from 3; .*replacement"),
        (lambda: ToyLexicon(3, 4), r"ToyLexicon: 4 distinct words .* from 3; give a length up to vocab$"),
        (lambda: Copying(0, 1), "Copying: vocab is 0; give a whole number from 1"),
        (lambda: Copying(3, 0, True), "length is 0"),
        (lambda: Copying(3, 2.0), "length is 2.0"),
        (lambda: Copying(True, 1), "vocab is True"),
        (lambda: ToyLexicon(3, -1), "length is -1"),
        (lambda: TopicSentences(0, 2, 5, 2), "topics is 0"),
        (lambda: TopicSentences(2, 0, 5, 2), "words_per_topic is 0"),
        (lambda: TopicSentences(2, 2, 0, 2), "others is 0"),
        (lambda: TopicSentences(2, 2, 5, 0), "others_per_sentence is 0"),
        (lambda: SparseBoolean("and", 0, 1), "length is 0"),
        (lambda: SparseBoolean("and", 3, 4), "support of 4 positions is longer than the input, 3"),
        (lambda: SparseBoolean("and", 3, 0), "support is 0"),
        (lambda: SparseBoolean("and", 3, ()), "support is empty"),
        (lambda: SparseBoolean("and", 3, None), "support is None"),
        (lambda: SparseBoolean("and", 3, (0, 3)), "position 3 is not a whole number from 0 to 2"),
        (lambda: SparseBoolean("and", 3, (0, -1)), "position -1 is not"),
        (lambda: SparseBoolean("and", 3, (0, 1.0)), "position 1.0 is not"),
        (lambda: SparseBoolean("and", 3, (2, 0, 2)), "position 2 is given twice"),
        (lambda: SparseBoolean("majorty", 3, 3), "unknown kind 'majorty'; did you mean 'majority'"),
        (lambda: SparseBoolean("zzz", 3, 3), "unknown kind 'zzz'; use one of and, or, majority, parity"),
        (lambda: SparseBoolean(3, 3, 3), "kind is 3; give and, or"),
        (lambda: SparseBoolean([0, 1, 1], 3, 2), "truth table has 3 entries; 2 support positions need 4"),
        (lambda: SparseBoolean([0, 1, 2, 1], 3, 2), "entry 2 of the truth table is 2; give 0 or 1"),
        (lambda: SparseBoolean([0, "1"], 3, 1), "entry 1 of the truth table is '1'"),
        (lambda: SparseBoolean([1, 1], 3, 1), "truth table is 1 everywhere"),
        (lambda: SparseBoolean("and", 3, 1, 0.5), "noise is 0.5; give a probability from 0 to below 0.5"),
        (lambda: SparseBoolean("and", 3, 1, -0.1), "noise is -0.1"),
        (lambda: SparseBoolean("and", 3, 1, float("nan")), "noise is nan"),
        (lambda: SparseBoolean("and", 3, 1, "0.1"), "noise is '0.1'"),
        (lambda: Copying(3, 2).examples(0), "n is 0; give a whole number from 1"),
        (lambda: ToyLexicon(3, 2).examples(1.5), "n is 1.5"),
        (lambda: TopicSentences(1, 1, 1, 1).examples(-1), "n is -1"),
        (lambda: SparseBoolean("or", 3, 2).examples(True), "n is True"),
        (lambda: Copying(3, 2).examples(1, seed=-1), "seed is -1; give a whole number from 0"),
    ],
)
def test_errors_say_what_to_do(make, says):
    with pytest.raises(InputError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def test_limits_are_allowed():
    assert SparseBoolean("and", 3, (2,), 0.49).support == (2,)
    assert SparseBoolean("or", 3, 3).support == (0, 1, 2)
    assert SparseBoolean([False, np.True_], 1, 1).kind == (0, 1)
    assert len(Copying(3, 3).examples(np.int64(1))) == 1
