"""Samples of bags, raking and groups, against enumeration and against what they promise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import CoOccurrence
from dynamics.counts.bags import Bags, BagSample, KeepBags, balance, grouped, groups_for, holders, raked
from dynamics.counts.counting import tally
from dynamics.counts.text.encoding import EncodedPairs
from dynamics.counts.text.reservoir import taken
from dynamics.support.content import same
from dynamics.support.errors import InputError

V, K = 12, 9
WORDS, OUTPUTS = tuple(f"w{i}" for i in range(V)), tuple(f"o{i}" for i in range(K))


def corpus(pairs: int, seed: int = 0) -> EncodedPairs:
    """Sentences of frequent and rare words, some of them more than once; every word and target occurs."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, V + 1)
    x = [random.choice(V, random.integers(1, 7), p=share / share.sum()) for _ in range(pairs)]
    y = [np.minimum(row[: random.integers(1, 4)], K - 1) for row in x]
    x, y = [np.arange(V), *x], [np.arange(K), *y]
    return EncodedPairs(
        np.concatenate(x), np.array([len(row) for row in x]), np.concatenate(y), np.array([len(row) for row in y]),
        np.arange(len(x)),
    )  # fmt: skip


def counted(pairs: EncodedPairs, keep: int | KeepBags) -> CoOccurrence:
    return CoOccurrence.from_encoded(pairs, WORDS, OUTPUTS, keep_bags=keep)


def rows(sample: BagSample) -> dict[tuple, int]:
    """(words with their numbers, target) -> copies."""
    starts = np.concatenate([[0], np.cumsum(sample.count)])
    words = [
        tuple(zip(sample.word[a:b].tolist(), sample.times[a:b].tolist(), strict=True)) for a, b in pairwise(starts)
    ]
    return {(words[s], int(o)): int(n) for s, o, n in zip(sample.sentence, sample.target, sample.copies, strict=True)}


def enumerated(pairs: EncodedPairs) -> Counter:
    found: Counter = Counter()
    for n in range(len(pairs)):
        words = Counter(pairs.x[pairs.x_starts[n] : pairs.x_starts[n + 1]].tolist())
        for o in pairs.y[pairs.y_starts[n] : pairs.y_starts[n + 1]].tolist():
            found[tuple(sorted(words.items())), o] += 1
    return found


def test_all_bags_are_those_of_the_text() -> None:
    pairs = corpus(400)
    sample = counted(pairs, 10**6).bags
    assert sample is not None
    assert sample.complete
    assert rows(sample) == dict(enumerated(pairs))
    np.testing.assert_array_equal(sample.seen, np.bincount(pairs.y, minlength=K))


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(1, 8))
@settings(max_examples=10, deadline=None)
def test_neither_order_nor_parts_matter(random, size: int, least: int) -> None:
    pairs, keep = corpus(150), KeepBags(size, least)
    order = list(range(len(pairs)))
    random.shuffle(order)
    cuts = sorted({0, len(pairs), *(random.randrange(len(pairs)) for _ in range(4))})
    blocks = [taken(pairs, order[a:b]) for a, b in pairwise(cuts)]
    whole, parts = BagSample.of(pairs, K, keep), tally(blocks, (V, K), False, keep).bags
    assert same(whole, parts)
    assert same(whole, BagSample.unpacked(whole.packed()))


def test_as_many_as_are_asked_for_and_some_of_each_target() -> None:
    pairs = corpus(3000)
    text = enumerated(pairs)
    every = Counter(o for _, o in text)
    sample = counted(pairs, KeepBags(300, least=25)).bags
    of_target = np.bincount(sample.target, minlength=K)
    assert 300 <= len(sample) <= KeepBags(300, least=25).most(K) < sum(every.values())
    assert (of_target >= np.minimum(25, [every[o] for o in range(K)])).all()
    frequent = of_target > 25
    share = of_target[frequent] / np.array([every[o] for o in range(K)])[frequent]
    assert share.std() / share.mean() < 0.25  # in proportion, but for chance
    assert all(text[bag] == n for bag, n in rows(sample).items())  # every copy of a kept bag is counted


def test_another_seed_is_another_sample_and_they_are_fair() -> None:
    """Over many seeds the mean of what samples say of C is C: every different bag is as likely as any other."""
    pairs = corpus(600)
    C = counted(pairs, 10**6).dense().C
    of_seed = []
    for seed in range(60):
        counts = counted(pairs, KeepBags(80, 10, seed))
        of_seed.append(Bags.of(counts.bags, V, counts.q).cooccurrence(K))
    spread = np.std(of_seed, axis=0) / np.sqrt(len(of_seed))
    assert np.abs(np.mean(of_seed, axis=0) - C)[spread > 0].max() < 4.5 * spread.max()
    off = (np.mean(of_seed, axis=0) - C)[spread > 0] / spread[spread > 0]
    assert np.sqrt(np.mean(off**2)) < 1.6  # ratio estimates: a bias of a second order
    assert np.linalg.norm(of_seed[0] - of_seed[1]) > 1e-3


def test_bags_weigh_what_their_targets_do() -> None:
    pairs = corpus(500)
    counts = counted(pairs, 10**6)
    bags = Bags.of(counts.bags, V, counts.q)
    np.testing.assert_allclose(bags.cooccurrence(K), counts.dense().C, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(np.bincount(bags.target, bags.weight), counts.q, rtol=1e-12)


@pytest.mark.parametrize("keep", [KeepBags(40, 2), KeepBags(150, 5), KeepBags(10**6)])
def test_raked_groups_have_the_cooccurrence(keep: KeepBags) -> None:
    counts = counted(corpus(800), keep)
    C, random = counts.dense().C, np.random.default_rng(3)
    bags = Bags.of(counts.bags, V, counts.q)
    for groups in (1, 3, 7):
        parts = grouped(bags, groups, random)
        mean = sum(part.cooccurrence(K) for part in parts) / groups
        np.testing.assert_allclose(np.bincount(bags.target, bags.weight), counts.q, rtol=1e-12)
        if counts.bags.complete and groups * np.bincount(bags.target).min() >= groups**2:
            np.testing.assert_allclose(mean, bags.cooccurrence(K), rtol=1e-9)
        for part in parts:
            np.testing.assert_allclose(np.bincount(part.target, part.weight, K), counts.q, rtol=1e-12)
            found = raked(part, C, random)
            np.testing.assert_allclose(found.cooccurrence(K), C, rtol=1e-12, atol=1e-17)
            np.testing.assert_allclose(found.shares.sum(axis=1), 1, rtol=1e-12)
            assert found.weight.min() > 0
            assert found.shares.data.min() > 0


def test_raking_leaves_alone_what_has_the_cooccurrence() -> None:
    counts = counted(corpus(300), 10**6)
    bags = Bags.of(counts.bags, V, counts.q)
    found = raked(bags, counts.sparse().C, np.random.default_rng(0))
    np.testing.assert_allclose(found.shares.toarray(), bags.shares.toarray(), rtol=1e-12)
    np.testing.assert_allclose(found.weight, bags.weight, rtol=1e-12)


def test_rare_pairs_share_a_factor() -> None:
    """Of each target, what is not a cell of its own: one factor, no new company, and the rest of q[o]."""
    counts = counted(corpus(800), 10**6)
    C, random = counts.dense().C, np.random.default_rng(5)
    bags = Bags.of(counts.bags, V, counts.q)
    of_pair = holders(bags, K)
    np.testing.assert_array_equal(of_pair > 0, C > 0)
    own = of_pair >= 4 * 10
    assert 0.2 < own.mean() < 0.9
    for part in grouped(bags, 10, random):
        found, held = raked(part, C, random, own), part.cooccurrence(K)
        there = found.cooccurrence(K)
        np.testing.assert_allclose(np.bincount(found.target, found.weight, K), counts.q, rtol=1e-12)
        together = ~own & (held > 0)
        some = together.any(axis=0)
        np.testing.assert_allclose(there[:, some][own[:, some]], C[:, some][own[:, some]], rtol=1e-12)
        for o in np.flatnonzero(some):
            ratio = there[together[:, o], o] / held[together[:, o], o]
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
            assert not there[~own[:, o] & (held[:, o] == 0), o].any()
        assert found.weight.min() > 0
        assert found.shares.data.min() > 0


def test_rare_pairs_are_balanced_over_groups() -> None:
    """Each group keeps its margins, as before; the mean has C in every pair, which it had not."""
    counts = counted(corpus(800), 10**6)
    C, random = counts.dense().C, np.random.default_rng(5)
    bags = Bags.of(counts.bags, V, counts.q)
    own, parts = holders(bags, K) >= 4 * 10, grouped(bags, 10, random)
    rare = balance(parts, C, own)
    assert rare.min() > 0
    np.testing.assert_array_equal(rare[own], 1)
    before, after = ([raked(part, C, random, own, by) for part in parts] for by in (None, rare))
    for part in after:
        np.testing.assert_allclose(np.bincount(part.target, part.weight, K), counts.q, rtol=1e-12)
    off = [np.linalg.norm(sum(p.cooccurrence(K) for p in ps) / 10 - C) / np.linalg.norm(C) for ps in (before, after)]
    assert off[1] < 1e-3 * off[0]


def test_neighbours_are_the_same_bags() -> None:
    counts = counted(corpus(300), 10**6)
    bags = Bags.of(counts.bags, V, counts.q)
    found = bags.neighbours()
    np.testing.assert_allclose(found.cooccurrence(K), bags.cooccurrence(K), rtol=1e-12)
    rank = np.argsort(np.argsort(-counts.c))
    rarest = [rank[bag.indices].max() for bag in found.shares]
    assert rarest == sorted(rarest)
    assert sorted(found.weight) == sorted(bags.weight)
    assert len(bags.taken(np.empty(0, np.int64), np.empty(0)).neighbours()) == 0


def test_groups_hold_what_they_may() -> None:
    counts = counted(corpus(4000), 10**6)
    bags = Bags.of(counts.bags, V, counts.q)
    groups = groups_for(bags, 4 * counts.nnz)
    assert groups > 2
    assert np.mean([part.entries for part in grouped(bags, groups, np.random.default_rng(0))]) < 4.2 * counts.nnz
    assert groups_for(bags, bags.entries) == 1
    assert groups_for(bags, 1e-9) == len(bags) // K


def test_saved_with_the_counts(tmp_path: Path) -> None:
    counts = counted(corpus(200), 50)
    counts.save(tmp_path / "counts.npz")
    found = CoOccurrence.load(tmp_path / "counts.npz")
    assert same(found.bags, counts.bags)
    assert found.attrs["bags"] == len(counts.bags)
    assert "bags)" in repr(found)
    assert found.top(inputs=4).bags is None
    plain = CoOccurrence.from_encoded(corpus(200), WORDS, OUTPUTS)
    plain.save(tmp_path / "plain.npz")
    assert CoOccurrence.load(tmp_path / "plain.npz").bags is None


def test_files_give_what_the_text_gives(tmp_path: Path) -> None:
    source = ["a dog", "a cat sleeps", "the dog", "a dog", "the cat"] * 3
    target = ["ein hund", "eine katze", "der hund", "ein hund", "die katze"] * 3
    whole = CoOccurrence.from_parallel_text(source, target, keep_bags=5)
    for k, part in enumerate((slice(0, 4), slice(4, 9), slice(9, 15))):
        (tmp_path / f"{k}.en").write_text("\n".join(source[part]) + "\n")
        (tmp_path / f"{k}.de").write_text("\n".join(target[part]) + "\n")
    parts = CoOccurrence.from_parallel_files(f"{tmp_path}/*.en", f"{tmp_path}/*.de", keep_bags=5)
    assert same(whole.bags, parts.bags)
    labelled = CoOccurrence.from_labelled_text(source, [1, 2, 1, 1, 2] * 3, keep_bags=5)
    assert labelled.bags is not None
    assert labelled.bags.seen.tolist() == [9, 6]


def test_words_that_are_dropped_renumber_the_bags() -> None:
    """A word and an output of the vocabulary that no sentence has."""
    pairs = EncodedPairs(np.array([0, 2, 2]), np.array([2, 1]), np.array([0, 2]), np.array([1, 1]), np.arange(2))
    with pytest.warns(match="left out"):
        counts = CoOccurrence.from_encoded(pairs, ("a", "b", "c"), ("x", "y", "z"), keep_bags=9)
    assert counts.inputs == ("a", "c")
    bags = Bags.of(counts.bags, 2, counts.q)
    np.testing.assert_allclose(bags.cooccurrence(2), counts.dense().C, rtol=1e-15)


@pytest.mark.parametrize("wrong", [0, -3, 2.5, True, "many"])
def test_a_number_of_bags_is_a_number(wrong) -> None:
    with pytest.raises(InputError, match="keep_bags"):
        counted(corpus(5), wrong)


def test_what_does_not_go_together() -> None:
    counts = counted(corpus(100), 50)
    bags = counts.bags
    with pytest.raises(InputError, match="other words"):
        replace(counts, C=counts.C[:, :-1] / counts.C[:, :-1].sum(), outputs=counts.outputs[:-1])
    with pytest.raises(InputError, match="arrays of different lengths"):
        replace(bags, copies=bags.copies[1:])
    with pytest.raises(InputError, match="different sizes, seeds"):
        bags + BagSample.empty(K, KeepBags(51))
    with pytest.raises(InputError, match="targets or words"):
        replace(bags, target=bags.target + K)
    with pytest.raises(InputError, match="bags has"):
        replace(bags, keep=KeepBags(1, 1))
