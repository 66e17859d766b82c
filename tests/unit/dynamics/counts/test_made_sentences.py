"""Sentences made from counts have the counts that they were made from."""

import numpy as np
import pytest

from dynamics.counts.context import ContextCounts
from dynamics.counts.made_sentences import make_sentences, noisy_or, target_sentences
from dynamics.counts.text.encoding import EncodedPairs

V, K, N = 30, 24, 6000


def text_with_structure(seed: int = 0) -> EncodedPairs:
    """Targets from a chain, each with its translation most of the time, at its place and sometimes twice; and noise."""
    rng = np.random.default_rng(seed)
    chain = rng.dirichlet(np.full(K, 0.3), size=K + 1)
    xs, ys = [], []
    for _ in range(N):
        y, p = [], K
        for _ in range(rng.integers(2, 7)):
            p = int(rng.choice(K, p=chain[p]))
            y.append(p)
        x = [(t + rng.normal(0, 0.3), o) for t, o in enumerate(y) for _ in range(rng.binomial(2, 0.45))]
        x += [(rng.random() * len(y), K + rng.integers(V - K))]
        xs.append([i for _, i in sorted(x)])
        ys.append(y)
    sizes = [np.array([len(s) for s in side]) for side in (xs, ys)]
    return EncodedPairs(np.concatenate(xs), sizes[0], np.concatenate(ys), sizes[1], np.arange(N))


@pytest.fixture(scope="module")
def counts() -> ContextCounts:
    pairs = text_with_structure()
    return ContextCounts.from_encoded(
        pairs, tuple(f"i{k}" for k in range(V)), tuple(f"o{k}" for k in range(K)), longest=12
    )


@pytest.fixture(scope="module")
def remade(counts: ContextCounts) -> ContextCounts:
    made = make_sentences(counts, N, seed=1)
    return ContextCounts.from_encoded(made, counts.inputs, counts.outputs, longest=12)


def test_transitions_and_lengths_are_the_counted_ones(counts: ContextCounts, remade: ContextCounts) -> None:
    one, two = (c.output_lengths / c.pairs for c in (counts, remade))
    assert np.abs(one - two).max() < 0.03
    a, b = (c.transitions.toarray()[:-1, :-1].astype(float) for c in (counts, remade))
    often = a > 100
    a, b = a / a.sum(axis=1, keepdims=True), b / b.sum(axis=1, keepdims=True)
    assert np.abs(a - b)[often].max() < 0.06


def test_presence_and_co_occurrence_are_the_counted_ones(counts: ContextCounts, remade: ContextCounts) -> None:
    given = [c.presence.toarray() / np.maximum(c.output_sentences, 1) for c in (counts, remade)]
    own = np.arange(K)
    often = counts.output_sentences > 200
    assert np.abs(given[0][own, own] - given[1][own, own])[often].max() < 0.1
    assert np.corrcoef(given[0][:, often].ravel(), given[1][:, often].ravel())[0, 1] > 0.97
    C = [c.together.toarray() / c.pairs for c in (counts, remade)]
    assert np.corrcoef(C[0].ravel(), C[1].ravel())[0, 1] > 0.97
    share = [c.input_sentences / c.pairs for c in (counts, remade)]
    assert np.abs(share[0] - share[1]).max() < 0.1 * share[0].max()


def test_translations_stand_where_they_stood(counts: ContextCounts, remade: ContextCounts) -> None:
    """Places are counted anew after the words are in order: a sentence that lacks a word moves those behind it."""
    own = np.arange(K)
    often = counts.presence.toarray()[own, own] > 200
    spread = [c.spread_of_offset()[own, own][often] for c in (counts, remade)]
    assert np.abs(counts.mean_offset() - remade.mean_offset())[own, own][often].mean() < 0.6
    assert np.abs(spread[1] - spread[0]).mean() < 0.5 * spread[0].mean()


def test_a_seed_gives_the_same_sentences(counts: ContextCounts) -> None:
    one, two, other = (make_sentences(counts, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.y, two.y)
    assert not np.array_equal(one.y[:50], other.y[:50])


def test_no_sentence_is_empty_or_too_long(counts: ContextCounts) -> None:
    made = make_sentences(counts, 500)
    assert made.x_lengths.min() >= 1
    assert made.x_lengths.max() <= 12
    assert made.x_lengths.sum() == len(made.x)
    assert made.y_lengths.sum() == len(made.y)


def test_a_noisy_or_of_one_cause_is_its_presence(counts: ContextCounts) -> None:
    y, lengths = target_sentences(counts, 4000, np.random.default_rng(0))
    weights = noisy_or(counts, y, np.concatenate([[0], np.cumsum(lengths)]))
    assert (weights >= 0).all()
    assert (weights[:K, :K].argmax(axis=0) == np.arange(K)).mean() > 0.9


def test_a_text_of_one_sentence_is_made_again() -> None:
    counts = ContextCounts.from_parallel_text(["a dog"], ["ein hund"])
    made = make_sentences(counts, 10)
    assert made.y.reshape(10, 2).tolist() == [[0, 1]] * 10
