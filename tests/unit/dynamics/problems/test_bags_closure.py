"""The bags closure between the joint closure and the exact flow, with its two errors."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from dynamics import CoOccurrence, Examples, ToyLexicon, lexical, solve
from dynamics.counts.bags import KeepBags
from dynamics.counts.text.encoding import encode
from dynamics.problems.kinds.bags import BagsClosure, reweighted
from dynamics.problems.kinds.closure import Closure
from dynamics.support.errors import InputError
from dynamics.support.threads import limited

TIGHT = {"rtol": 1e-9, "atol": 1e-12, "method": "RK45"}
T = [0, 10, 100, 300]


def relative(found, exact) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def rows_of(examples: Examples) -> list[tuple[list[str], list[str]]]:
    x = np.split(examples.x, np.cumsum(examples.length)[:-1])
    y = np.split(examples.y, np.cumsum(examples.targets)[:-1])
    return [([f"w{i}" for i in a], [f"o{o}" for o in b]) for a, b in zip(x, y, strict=True)]


@pytest.fixture(scope="module")
def sentences() -> Examples:
    """Sentences whose words are drawn with a topic, so that they are not independent given the target."""
    random = np.random.default_rng(0)
    share = np.array([1.0, 0.6, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1])
    x, y = [], []
    for _ in range(300):
        own = share * random.permuted([4.0, 4.0, 1.0, 1.0, 1.0, 0.2, 0.2, 0.2])
        words = random.choice(8, random.integers(2, 6), p=own / own.sum())
        x.append(words.tolist())
        y.append(random.permutation(words)[: random.integers(1, 4)].tolist())
    return Examples.from_rows(x, y, inputs=8, outputs=8)


def counts_of(examples: Examples, keep: int | KeepBags = 10**6) -> CoOccurrence:
    words = [f"w{i}" for i in range(examples.inputs)], [f"o{o}" for o in range(examples.outputs)]
    return CoOccurrence.from_encoded(encode(rows_of(examples), *words), *words, keep_bags=keep)


def test_all_bags_are_the_exact_flow(sentences: Examples) -> None:
    exact = solve(lexical(), sentences, T, **TIGHT)
    problem = BagsClosure(counts_of(sentences))
    assert len(problem.parts) == 1
    found = solve(problem, T, **TIGHT)
    for name in ("W", "A", "loss"):
        np.testing.assert_allclose(found[name].values, exact[name].values, rtol=1e-8, atol=1e-10)
    # The slopes themselves, to rounding.
    from dynamics.problems.kinds.exact import Exact

    y = np.random.default_rng(1).normal(size=problem.size)
    slopes = [one.bind({"W": 1.0, "A": 0.5})[0].evaluate(y) for one in (problem, Exact(lexical(), sentences))]
    for name in ("Wdot", "Adot"):
        np.testing.assert_allclose(slopes[0][name], slopes[1][name], rtol=1e-11, atol=1e-16)


def test_one_bag_a_target_is_the_joint_closure() -> None:
    """A text in which every target has one sentence."""
    text = [(["a", "a", "b"], ["x"]), (["b", "c"], ["y"]), (["a", "c", "c", "d"], ["z"])]
    words = ["a", "b", "c", "d"], ["x", "y", "z"]
    counts = CoOccurrence.from_encoded(encode(text, *words), *words, keep_bags=9)
    y = np.random.default_rng(0).normal(size=24)
    slopes = [one.bind({"W": 1.0, "A": 0.5})[0].evaluate(y) for one in (BagsClosure(counts), Closure(counts))]
    for name in ("Wdot", "Adot"):
        np.testing.assert_allclose(slopes[0][name], slopes[1][name], rtol=1e-12, atol=1e-16)
    found, joint = solve(counts, T, closure="bags", **TIGHT), solve(counts, T, **TIGHT)
    for name in ("W", "A", "beta", "attention", "loss"):
        np.testing.assert_allclose(found[name].values, joint[name].values, rtol=1e-7, atol=1e-9)
    assert (found.attended.values == joint.attended.values)[1:].all()


def test_attention_is_the_mean_over_sentences(sentences: Examples) -> None:
    """Against loops: the share that words of the sentences of a target have, averaged."""
    counts = counts_of(sentences)
    found = solve(counts, [200], closure="bags", **TIGHT)
    A, share, seen = found.A.values[0], np.zeros((8, 8)), np.zeros(8)
    for x, y in rows_of(sentences):
        x, y = [int(w[1:]) for w in x], [int(o[1:]) for o in y]
        for o in y:
            weight = np.exp(A[x, o] - A[x, o].max())
            np.add.at(share[:, o], x, weight / weight.sum())
            seen[o] += 1
    np.testing.assert_allclose(found.attention[0], (share / seen).max(axis=0), rtol=1e-10)
    assert [int(w[1:]) for w in found.attended.values[0]] == share.argmax(axis=0).tolist()


def test_groups_are_nearer_to_the_exact_flow_than_the_joint_closure(sentences: Examples) -> None:
    exact = solve(lexical(), sentences, T[1:], rtol=1e-7)
    counts = counts_of(sentences)
    joint = solve(counts, T[1:])
    runs = [solve(BagsClosure(counts, groups=2, seed=seed), T[1:]) for seed in range(3)]
    for name in ("W", "A"):
        for k in range(len(T) - 1):
            errors = [relative(run[name][k].values, exact[name][k].values) for run in runs]
            assert np.median(errors) < 0.5 * relative(joint[name][k].values, exact[name][k].values), (name, k)
    assert runs[0].attrs["groups"] == 2
    assert runs[0].attrs["method"] == "RK23"
    assert not np.array_equal(runs[0].W, runs[1].W)


def test_a_toy_lexicon_to_a_few_thousandths() -> None:
    examples = ToyLexicon(12, 8).examples(1000, 0)
    exact = solve(lexical(), examples, [100, 400], rtol=1e-6)
    found = solve(BagsClosure(counts_of(examples), groups=8), [100, 400])
    for name in ("W", "A"):
        assert max(relative(found[name][k].values, exact[name][k].values) for k in range(2)) < 0.004


def test_the_seed_decides_and_threads_do_not(sentences: Examples) -> None:
    problem = BagsClosure(counts_of(sentences), groups=5, seed=2)
    assert pickle.loads(pickle.dumps(problem)) == problem
    once = solve(problem, [50], threads=1)
    again = solve(pickle.loads(pickle.dumps(problem)), [50], threads=2)
    np.testing.assert_array_equal(once.W, again.W)
    np.testing.assert_array_equal(once.A, again.A)


def test_rounds_are_short_against_the_time_whatever_the_number_of_groups(sentences: Examples) -> None:
    counts = counts_of(sentences)
    flows = {n: BagsClosure(counts, groups=n).bind({"W": 1.0, "A": 1.0})[0] for n in (4, 40)}
    assert flows[4].share == 0.12  # so that few groups take no more steps than the flow needs
    np.testing.assert_allclose(40 * flows[40].share, 1.7, rtol=1e-12)
    assert flows[4].with_parameters(eta_A=0.0).share == 0.12
    found = solve(BagsClosure(counts, groups=4), [100])
    assert found.attrs["evaluations"] < 3.4 * found.attrs["steps"]  # three a step, and rejected ones


def test_groups_of_a_large_vocabulary_stay_small_but_not_too_small(
    sentences: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dynamics.problems.kinds import bags

    problem = BagsClosure(counts_of(sentences))
    pairs, a_bag = np.count_nonzero(problem.cooccurrence), problem.whole.entries / len(problem.whole)
    monkeypatch.setattr(bags, "FEW", 10)
    assert problem.entries_of_a_group() == 1.5 * pairs
    monkeypatch.setattr(bags, "LARGE", 20)
    monkeypatch.setattr(bags, "ENOUGH", 3)
    np.testing.assert_allclose(problem.entries_of_a_group(), 3 * 8 * a_bag)
    monkeypatch.setattr(bags, "ENOUGH", 1)
    assert problem.entries_of_a_group() == max(20, 8 * a_bag)


def test_the_mean_of_the_groups_has_the_cooccurrence(sentences: Examples) -> None:
    """In rare pairs too, which a single group has not: then the first slope of the values is the exact one."""
    problem = BagsClosure(counts_of(sentences), groups=20)
    C = problem.cooccurrence
    each = np.array([part.cooccurrence(8) for part in problem.parts])
    assert np.abs(each - C).max() > 0.01 * C.max()
    assert relative(each.mean(axis=0), C) < 1e-4
    np.testing.assert_allclose(each.sum(axis=1), np.broadcast_to(problem.q, (20, 8)), rtol=1e-12)


def test_groups_as_they_are_cut_have_the_slope_of_all_bags_on_average(sentences: Examples) -> None:
    """Raking biases the slope of attention, which the run that says the error of the method is to show."""
    counts = counts_of(sentences)
    y = np.random.default_rng(3).normal(size=128)

    def slope(problem: BagsClosure) -> np.ndarray:
        flow = problem.bind({"W": 1.0, "A": 1.0})[0]
        flows = getattr(flow, "bound", (flow,))
        return np.mean([np.concatenate([v.ravel() for v in f.evaluate(y).values()]) for f in flows], axis=0)

    whole = slope(BagsClosure(counts))
    np.testing.assert_allclose(slope(BagsClosure(counts, groups=12, often=np.inf)), whole, rtol=1e-9, atol=1e-15)
    assert relative(slope(BagsClosure(counts, groups=12)), whole) > 1e-3


def test_held_stages_rotate_too(sentences: Examples) -> None:
    found = solve(BagsClosure(counts_of(sentences), groups=5), [50], stages=["joint", "two-stage", "frozen"], switch=10)
    assert np.isfinite(found.W).all()
    W = found.W.isel(time=0)
    assert not np.allclose(W[0], W[1], rtol=1e-6)
    assert solve(BagsClosure(counts_of(sentences), groups=5), [50], stages="two-stage").attrs["switch"] > 0


def test_bootstrap_draws_are_corpora_of_the_same_size(sentences: Examples) -> None:
    """Their C is C on average, and off by what sampling so many sentences is off by."""
    counts = counts_of(sentences)
    C, tokens = counts.dense().C, int(counts.bags.seen.sum())
    drawn = np.array([BagsClosure(counts, draw=k).cooccurrence for k in range(200)])
    np.testing.assert_allclose(drawn.sum(axis=(1, 2)), 1, rtol=1e-12)
    spread = drawn.std(axis=0)
    assert np.abs(drawn.mean(axis=0) - C).max() < 5 * spread.max() / np.sqrt(200)
    # A cell is a mean of shares over all tokens: its variance is that of one token over their number.
    squares = np.zeros_like(C)
    for x, y in rows_of(sentences):
        bag = np.bincount([int(w[1:]) for w in x], minlength=8) / len(x)
        for o in y:
            squares[:, int(o[1:])] += bag**2 / tokens
    np.testing.assert_allclose(spread.mean(), np.sqrt((squares - C**2) / tokens).mean(), rtol=0.05)


def test_weights_that_stand_for_another_sample() -> None:
    """The variance of what is unseen; nothing where all is seen; masses of targets stay."""
    from dynamics.counts.bags import Bags

    n = 4000
    bags = Bags(np.eye(1).repeat(2 * n, axis=0), np.repeat([0, 1], n), np.full(2 * n, 1 / (2 * n)))
    found = reweighted(bags, np.array([0.0, 0.75]), np.random.default_rng(0))
    np.testing.assert_allclose(found.weight[:n], bags.weight[:n], rtol=1e-12)
    np.testing.assert_allclose(np.bincount(found.target, found.weight), 0.5, rtol=1e-12)
    factor = found.weight[n:] / bags.weight[n:]
    assert factor.min() > 0
    np.testing.assert_allclose(factor.var(), 0.75, rtol=0.15)


def test_errors_are_stated_beside_the_prediction(sentences: Examples) -> None:
    exact = solve(lexical(), sentences, T, rtol=1e-7)
    problem = BagsClosure(counts_of(sentences), groups=6)
    plain, found = solve(problem, T), solve(problem, T, errors=6)
    np.testing.assert_array_equal(plain.W, found.W)
    for name in ("W", "A"):
        true = [relative(found[name][k].values, exact[name][k].values) for k in (1, 2, 3)]
        stated = found[f"{name}_error"].values[1:]
        assert (true < 2 * stated).all(), (name, true, stated)
        assert (stated < 0.3).all()
        assert (found[f"{name}_corpus_error"].values[1:] > 0.3 * stated).all()
    lower, upper = found.beta_interval
    assert ((lower <= found.beta) & (found.beta <= upper)).all()
    assert float(lower.min()) >= 0
    assert float(upper.max()) <= 1
    assert (found.attention_interval.sel(bound="upper") <= 1).all()
    halves = found.beta_half_time_interval
    assert (halves.sel(bound="lower") <= found.beta_half_time).all()
    assert found.attrs["bootstrap_draws"] == 6
    assert [name for name, values in found.data_vars.items() if values.attrs.get("role")] == [
        name for name, values in plain.data_vars.items() if values.attrs.get("role")
    ]
    assert found.time.attrs == plain.time.attrs


def test_what_it_refuses(sentences: Examples) -> None:
    counts = counts_of(sentences)
    plain = replace(counts, bags=None)
    with pytest.raises(InputError, match="keep_bags"):
        solve(plain, [1], closure="bags")
    with pytest.raises(InputError, match="closure='bags'"):
        Closure(counts, "bags")
    for wrong in (0, 2.0, True):
        with pytest.raises(InputError, match=f"groups is {wrong}"):
            BagsClosure(counts, groups=wrong)
    assert BagsClosure(counts, groups=np.int64(3)).groups == 3
    for seed in (-1, 0.5):
        with pytest.raises(InputError, match=f"seed is {seed}"):
            solve(counts, [1], closure="bags", seed=seed)
    with pytest.raises(InputError, match="RK45 or RK23"):
        solve(BagsClosure(counts, groups=3), [1], method="LSODA")
    with pytest.raises(InputError, match="errors"):
        solve(counts, [1], errors=2)
    with pytest.raises(InputError, match="errors"):
        solve(counts, [1], closure="bags", errors=-1)
    with limited(1, 1), pytest.raises(InputError, match="modified"):
        solve(counts, [1], closure="bags", lr=0.1)
