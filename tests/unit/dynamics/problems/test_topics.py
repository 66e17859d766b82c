"""Topic words alone, and the span of a fixed classifier: against exact flows, and against the authors' own runs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from oracles.reference_data import REFERENCE, recorded_runs

from dynamics import InputError, simulate, solve
from dynamics.problems.closed_forms import embeddings_fixed_time, keys_fixed_loss, norm_squared, time_to_score
from dynamics.problems.kinds.models import Model, embeddings, keyword, topic
from dynamics.problems.predictions.topics import project, topic_words
from dynamics.tasks import TopicSentences
from dynamics.tasks.examples import Examples

TOPICS = np.arange(8)
"""The topic words of the authors' runs; m = 20 others stand beside one of them."""


class Run:
    """An authors' run: model, sentences, first state, rates, and what was logged in double precision."""

    def __init__(self, classifier: str) -> None:
        data = np.load(REFERENCE / f"lu_{classifier}_seed0.npz")
        query = data["init_query"][0].astype(float)
        rows = data["context_idxs_train"].astype(np.int64)
        self.examples = Examples(
            rows.ravel(), np.full(len(rows), rows.shape[1]), data["target_train"], np.ones(len(rows), dtype=int),
            int(data["n_vocab"]), int(data["n_topics"]),
        )  # fmt: skip
        names = {
            "FC": {}, "TC": {"U": "init_clf_weight"},
            "TL": {"F": "init_clf_front_weight", "f": "init_clf_front_bias",
                   "G": "init_clf_end_weight", "g": "init_clf_end_bias"},
        }[classifier]  # fmt: skip
        weights = {own: data[name].astype(float) for own, name in names.items()}
        if classifier == "TC":
            weights["U"] = weights["U"].T
        words = {"v": data["init_embeddings"].astype(float), "s": data["init_keys"].astype(float) @ query}
        self.model = topic(classifier, 10, 10, data["init_clf_w"] if classifier == "FC" else None)
        self.initial = words | weights
        self.steps, self.lr = data["log_step"], float(data["lr"])
        self.tau = self.steps * self.lr
        self.rate = float(query @ query)
        self.rates = {"s": self.rate}
        self.scores, self.norms = data["log_topic_score_f64"], data["log_topic_normq_f64"] / np.sqrt(self.rate)
        self.loss = data["log_loss_f64"]

    def reduced(self, others: str) -> tuple[Model, Examples, dict]:
        model, kinds = topic_words(self.model, self.examples, TOPICS, others)
        words = {name: project(self.examples, TOPICS, self.initial[name]) for name in "vs"}
        return model, kinds, self.initial | words


run = cache(Run)


@cache
def reduced_flow(classifier: str, others: str) -> xr.Dataset:
    this = run(classifier)
    model, kinds, initial = this.reduced(others)
    precision = {"rtol": 1e-4, "atol": 1e-7} if classifier == "TL" else {"rtol": 1e-8}
    return solve(model, kinds, this.tau, initial=initial, rates=this.rates, **precision)


@cache
def reduced_descent(classifier: str, others: str) -> xr.Dataset:
    this = run(classifier)
    model, kinds, initial = this.reduced(others)
    records = this.steps.tolist()
    return simulate(
        model, kinds, lr=this.lr, steps=records[-1], records=records, initial=initial, rates=this.rates
    ).isel(seed=0)  # fmt: skip


@cache
def exact_flow(classifier: str) -> xr.Dataset:
    """With TL, whose corners ask for short steps, as far as the half of its words are learnt."""
    this = run(classifier)
    precision, end = ({"rtol": 1e-4}, 235) if classifier == "TL" else ({"rtol": 1e-7}, 500)
    t = this.tau[this.tau <= end]
    return solve(
        this.model, this.examples, t, initial=this.initial, rates=this.rates, keep={"input": TOPICS}, **precision
    )


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest relative difference of a score above 0.05."""
    seen = wanted > 0.05
    return float((np.abs(found - wanted)[seen] / wanted[seen]).max())


# -- the authors' runs ------------------------------------------------------------------------------------------------


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC", "TL"])
def test_the_logged_descent_obeys_the_identity(classifier: str) -> None:
    """0.37, 0.18 and 0.18 % of the norm."""
    this = run(classifier)
    seen = this.scores > 0.1
    predicted = np.sqrt(norm_squared(this.scores[seen], 20, eta_s=this.rate))
    np.testing.assert_allclose(this.norms[seen], predicted, rtol=4e-3)
    assert seen.sum() > 200
    # The number of other words matters at this accuracy.
    for m in (19, 21):
        assert np.abs(this.norms[seen] / np.sqrt(norm_squared(this.scores[seen], m, eta_s=this.rate)) - 1).max() > 4e-3


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC", "TL"])
def test_the_exact_flow_obeys_the_identity(classifier: str) -> None:
    """0.22, 0.17 and 0.12 % of the norm."""
    found = exact_flow(classifier)
    s, norm = found.s.values, np.linalg.norm(found.v.values, axis=-1)
    seen = s > 0.1
    assert seen.sum() > 10
    np.testing.assert_allclose(norm[seen], np.sqrt(norm_squared(s[seen], 20, eta_s=run(classifier).rate)), rtol=4e-3)


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC", "TL"])
def test_the_first_order_reduction_takes_the_logged_steps(classifier: str) -> None:
    """Descent on 8 kinds of sentences, in place of 3,999 sentences with 5,000 other words.

    Scores differ by 8e-6 (FC) and 1.3e-5 (TC) of themselves: what the reduction leaves out is nothing. With TL, where
    sentences pass the corner of a rectifier one by one and kinds do so at once, it is 0.6 %.
    """
    this, found = run(classifier), reduced_descent(classifier, "first-order")
    bound = {"FC": 2e-5, "TC": 4e-5, "TL": 1e-2}[classifier]
    assert apart(found.s.values[:, :8], this.scores) < bound
    np.testing.assert_allclose(found.loss, this.loss, rtol={"FC": 3e-5, "TC": 1e-4, "TL": 5e-3}[classifier])


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC"])
def test_the_first_order_reduction_is_the_exact_flow(classifier: str) -> None:
    """So what is left between the reduced flow and the logs, 0.8 %, is what is left between flow and steps of 0.1."""
    this, found, exact = run(classifier), reduced_flow(classifier, "first-order"), exact_flow(classifier)
    s = found.s.values[:, :8]
    assert apart(s, exact.s.values) < 1e-4
    assert apart(s, this.scores) == pytest.approx(apart(exact.s.values, this.scores), rel=0.01)
    assert apart(s, this.scores) < 9e-3
    # Half the step, half the gap: steps of the reduced system at several learning rates meet the flow at first order.
    model, kinds, initial = this.reduced("first-order")
    gaps = []
    for lr, steps in ((0.1, 1200), (0.05, 2400)):
        run_ = simulate(model, kinds, lr=lr, steps=steps, records=[steps], initial=initial, rates=this.rates)
        end = solve(model, kinds, [lr * steps], initial=initial, rates=this.rates, rtol=1e-9)
        gaps.append(np.abs(run_.s.values[0, -1, :8] - end.s.values[-1, :8]).max())
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)


@recorded_runs
def test_others_at_rest() -> None:
    """FC: within 1.35 % of the logs. With a trained classifier they may not rest: it learns from their mean too."""
    assert apart(reduced_flow("FC", "rest").s.values[:, :8], run("FC").scores) < 0.015
    assert apart(reduced_descent("FC", "rest").s.values[:, :8], run("FC").scores) < 0.008
    for classifier, bound in (("FC", 3e-3), ("TC", 8e-3)):  # scores rise steeply: they are late or early by this much
        this, s = run(classifier), reduced_descent(classifier, "rest").s.values[:, :8]
        for word in TOPICS:
            rising = (this.scores[:, word] > 0.05) & (this.scores[:, word] < 1)
            there = np.interp(this.scores[rising, word], s[:, word], this.tau)
            np.testing.assert_allclose(there, this.tau[rising], rtol=bound)
    assert 0.02 < apart(reduced_descent("TC", "rest").s.values[:, :8], run("TC").scores) < 0.06
    assert apart(reduced_descent("TL", "rest").s.values[:, :8], run("TL").scores) > 0.1
    # Without others to move, the identity is exact but for rounding, though scores are off.
    for classifier in ("FC", "TC", "TL"):
        found, this = reduced_flow(classifier, "rest"), run(classifier)
        v, s = found.v.values[:, :8], found.s.values[:, :8]
        means, scores = found.v.values[0, 8:], found.s.values[0, 8:]
        away = ((v - means[:8]) ** 2).sum(-1)
        predicted = norm_squared(s, 20 * np.exp(scores[:8]), s[0], away[0], eta_s=this.rate)
        np.testing.assert_allclose(away, predicted, rtol=1e-3 if classifier == "TL" else 1e-5)


@recorded_runs
def test_the_authors_run_in_the_span_of_its_classifier() -> None:
    """FC with 5 numbers a word instead of 11, to rounding."""
    this, exact = run("FC"), exact_flow("FC")
    U, v = this.model.fixed["U"], this.initial["v"]
    found = solve(
        topic("FC", readout=U, span=True), this.examples, this.tau, initial={"s": this.initial["s"], "W": v @ U},
        rates={"s": this.rate}, keep={"input": TOPICS}, rtol=1e-7,
    )  # fmt: skip
    np.testing.assert_allclose(found.s, exact.s, atol=2e-5)
    np.testing.assert_allclose(embeddings(U, found.W, v[TOPICS]), exact.v, atol=2e-5)


# -- the span ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "classes"), [(10, 4), (3, 5)])
def test_the_span_loses_nothing(dimension: int, classes: int) -> None:
    """From any start: same scores, and embeddings recovered to 1e-9, also where columns of U depend on each other."""
    rng = np.random.default_rng(dimension)
    examples = TopicSentences(classes, 2, 30, 4).examples(60, seed=1)
    U = rng.normal(size=(dimension, classes))
    U[:, 1] = -2 * U[:, 0]
    v, s = rng.normal(size=(examples.inputs, dimension)), rng.normal(size=examples.inputs)
    t, precise = np.array([0, 1, 10, 100]), {"rtol": 1e-12, "atol": 1e-13, "method": "DOP853"}
    rates = {"s": 1.7}
    full = solve(topic(readout=U), examples, t, initial={"v": v, "s": s}, rates=rates | {"v": 0.6}, **precise)
    span = solve(
        topic(readout=U, span=True), examples, t, initial={"W": v @ U, "s": s}, rates=rates | {"W": 0.6}, **precise
    )
    np.testing.assert_allclose(span.s, full.s, atol=1e-9)
    np.testing.assert_allclose(embeddings(U, span.W, v), full.v, atol=1e-9)
    np.testing.assert_allclose(span.loss, full.loss, atol=1e-10)
    assert np.abs(full.v[-1] - v).max() > 0.5
    assert span.W.dims == ("time", "input", "output")


def test_steps_in_the_span_are_steps_of_the_embeddings() -> None:
    """Descent too: a step of v is a step of W = v U with its metric."""
    rng, examples = np.random.default_rng(0), TopicSentences(4, 1, 20, 4).examples(40, seed=2)
    U, v = rng.normal(size=(10, 4)), rng.normal(size=(24, 10))
    options = {"lr": 0.3, "steps": 50, "records": 6}
    full = simulate(topic(readout=U), examples, initial={"v": v}, **options)
    span = simulate(topic(readout=U, span=True), examples, initial={"W": v @ U}, **options)
    np.testing.assert_allclose(embeddings(U, span.W.values[0], v), full.v.values[0], atol=1e-12)


# -- the reduction ----------------------------------------------------------------------------------------------------


def sentences(words: list[tuple[tuple[int, ...], int, int]], known: int, m: int, seed: int) -> Examples:
    """Sentences from (topic words, label, how many), each with m others of 1,000."""
    rng = np.random.default_rng(seed)
    rows = [[*own, *rng.integers(known, known + 1000, size=m)] for own, _, number in words for _ in range(number)]
    labels = [label for _, label, number in words for _ in range(number)]
    return Examples.from_rows(rows, labels, inputs=known + 1000, outputs=1 + max(labels))


UNEQUAL = [
    ((0,), 0, 240),
    ((1,), 0, 40),
    ((2,), 1, 160),
    ((3,), 1, 60),
    ((3,), 0, 20),
    ((0, 2), 1, 30),
    ((1, 1), 0, 30),
]
"""Frequent and rare words, two per topic, one in both classes, two in one sentence, one twice in a sentence."""


@pytest.mark.parametrize("classifier", ["FC", "TC"])
def test_words_of_unequal_frequency_and_purity(classifier: str) -> None:
    rng = np.random.default_rng(3)
    examples, t = sentences(UNEQUAL, 4, 12, seed=4), np.linspace(0, 250, 26)
    U = rng.normal(size=(3, 2))
    full = topic(classifier, 3, readout=U if classifier == "FC" else None)
    initial = {"v": 0.01 * rng.normal(size=(examples.inputs, 3)), "s": 0.05 * rng.normal(size=examples.inputs)}
    more = {} if classifier == "FC" else {"U": U}
    exact = solve(full, examples, t, initial=initial | more, rtol=1e-8).s.values[:, :4]
    found = {}
    for others in ("rest", "first-order"):
        reduced, kinds = topic_words(full, examples, range(4), others)
        start = {name: project(examples, range(4), value) for name, value in initial.items()}
        found[others] = solve(reduced, kinds, t, initial=start | more, rtol=1e-8).s.values[:, :4]
    size = np.abs(exact).max()
    assert size > 2
    gaps = {others: np.abs(s - exact).max() / size for others, s in found.items()}
    assert gaps["first-order"] < 0.01
    assert gaps["first-order"] < gaps["rest"] / 2


def test_the_winner_in_common_sentences_as_in_the_exact_flow() -> None:
    """A rare pure word and a frequent impure one: the lead changes once, at the same time with and without others."""
    kinds_of = [((0,), 0, 12), ((0, 1), 0, 12), ((1,), 0, 200), ((1,), 1, 60), ((2,), 1, 60)]
    examples = sentences(kinds_of, 3, 12, seed=5)
    full, t = topic(readout=[[1.0, -1.0], [0.3, 0.5], [0.0, 0.1]]), np.linspace(0, 4000, 401)
    exact = solve(full, examples, t, initial={"v": 0.0}, keep={"input": range(3)}).s.values
    reduced, kinds = topic_words(full, examples, range(3))
    found = solve(reduced, kinds, t).s.values[:, :3]
    changes = [np.flatnonzero(np.diff(np.sign(s[1:, 0] - s[1:, 1]))) for s in (exact, found)]
    assert len(changes[0]) == len(changes[1]) == 1
    assert changes[0][0] == pytest.approx(changes[1][0], rel=0.05)
    assert exact[:, 1].max() > 1
    assert exact[-1, 0] > exact[-1, 1] + 0.5


def test_formulas_of_one_word_on_sentences_and_both_ablations() -> None:
    """Two topics: each word by itself, with its share of the sentences, among others that move a little."""
    m, t = 10, np.array([0.0, 20, 100, 400])
    examples = TopicSentences(2, 1, 2000, m).examples(1000, seed=8)
    share = np.bincount(examples.y) / 1000
    U = np.array([[1.0, -1.0], [0.5, 0.2], [0.0, 0.3]])
    delta, model, keep = np.linalg.norm(U[:, 0] - U[:, 1]), topic(readout=U), {"input": [0, 1]}
    learnt = solve(model, examples, t, keep=keep)
    times = time_to_score(learnt.s.values[1:], m, delta, share)
    np.testing.assert_allclose(times, np.broadcast_to(t[1:, None], times.shape), rtol=0.03)
    fixed = solve(model, examples, t, rates={"s": 0.0}, keep=keep)
    np.testing.assert_allclose(fixed.loss, keys_fixed_loss(t[:, None], m, delta, share) @ share, rtol=0.03)
    assert (fixed.s == 0).all()
    assert (learnt.loss[1:] < 0.995 * fixed.loss[1:]).all()
    v = np.zeros((2002, 3))
    v[:2] = 1.5 * np.outer([1, -1], U[:, 0] - U[:, 1]) / delta**2
    still = solve(model, examples, t, initial={"v": v}, rates={"v": 0.0}, keep=keep)
    times = embeddings_fixed_time(still.s.values[1:], m, 1.5, share)
    np.testing.assert_allclose(times, np.broadcast_to(t[1:, None], times.shape), rtol=0.03)
    assert (still.v == v[:2]).all()
    assert (still.loss > np.log1p(np.exp(-1.5))).all()


def test_the_kinds_of_sentences() -> None:
    """Counts by hand."""
    rows = [[0, 2, 3], [2, 0], [0, 0, 3], [1, 4], [4, 3], [2, 0]]
    examples = Examples.from_rows(rows, [0, 0, 0, 1, 1, 1], inputs=5, outputs=2)
    reduced, kinds = topic_words(topic(readout=np.eye(2)), examples, [1, 0])
    # (no word, 1), (word 1, 1), (word 0, 0), (word 0, 1), (word 0 twice, 0): words are called 0 (1) and 1 (0).
    assert kinds.y.tolist() == [1, 1, 0, 1, 0]
    assert kinds.x.tolist() == [2, 0, 3, 1, 4, 1, 5, 1, 6]
    np.testing.assert_allclose(reduced.fixed["share"], np.array([1, 1, 2, 1, 1]) / 6)
    np.testing.assert_allclose(reduced.fixed["times"], [2, 1, 1, 1, 1.5, 1, 1, 2, 1])
    others = np.zeros((5, 5))
    others[0, [3, 4]] = 0.5
    others[1, 4] = 1
    others[2, [2, 3]] = 2 / 3, 1 / 3
    others[3, 2] = 1
    others[4, 3] = 1
    np.testing.assert_allclose(reduced.fixed["coupling"][2:, 2:], others @ others.T)
    np.testing.assert_allclose(reduced.fixed["coupling"][:2], np.eye(2, 7))
    states = np.arange(10.0).reshape(5, 2)
    np.testing.assert_allclose(project(examples, [1, 0], states), np.vstack([states[[1, 0]], others @ states]))
    resting, _ = topic_words(topic(readout=np.eye(2)), examples, [1, 0], "rest")
    assert (resting.fixed["coupling"][2:] == 0).all()


def test_sentences_of_topic_words_only_are_not_reduced() -> None:
    """Nothing is averaged: the reduced flow is the exact one."""
    rows, labels = [[0, 1], [1, 2], [2], [0, 0, 2]], [0, 1, 0, 1]
    examples, rng = Examples.from_rows(rows, labels, inputs=3, outputs=2), np.random.default_rng(1)
    full, t = topic("TC", 3), [0, 5, 50]
    initial = {"v": rng.normal(size=(3, 3)), "s": rng.normal(size=3), "U": rng.normal(size=(3, 2))}
    reduced, kinds = topic_words(full, examples, [0, 1, 2])
    start = initial | {name: project(examples, range(3), initial[name]) for name in "vs"}
    precise = {"rtol": 1e-12, "atol": 1e-14, "method": "DOP853"}
    exact = solve(full, examples, t, initial=initial, **precise)
    found = solve(reduced, kinds, t, initial=start, **precise)
    np.testing.assert_allclose(found.s[:, :3], exact.s, atol=1e-9)
    np.testing.assert_allclose(found.loss, exact.loss, atol=1e-9)


def test_a_trained_query_is_reduced_too() -> None:
    examples = TopicSentences(2, 1, 600, 8).examples(400, seed=6)
    full, t = topic(readout=[[1.0, -1.0], [0.5, 1.0], [0.0, 0.3]], query_dimension=2), np.linspace(0, 60, 7)
    rng = np.random.default_rng(2)
    initial = {"v": 0.01 * rng.normal(size=(602, 3)), "key": 0.01 * rng.normal(size=(602, 2)), "query": [0.6, 0.4]}
    exact = solve(full, examples, t, initial=initial, keep={"input": [0, 1]}, rtol=1e-8)
    reduced, kinds = topic_words(full, examples, [0, 1])
    start = initial | {name: project(examples, [0, 1], initial[name]) for name in ("v", "key")}
    found = solve(reduced, kinds, t, initial=start, rtol=1e-8)
    scores = [np.einsum("tie,te->ti", run_.key.values[:, :2], run_["query"].values) for run_ in (exact, found)]
    assert scores[0][-1].min() > 1
    np.testing.assert_allclose(scores[1], scores[0], atol=0.01)


# -- bad input --------------------------------------------------------------------------------------------------------

TINY = Examples.from_rows([[0, 2], [1, 3]], [0, 1], inputs=5, outputs=2)
FC = topic(readout=np.eye(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: topic_words(FC, TINY, []), "different ids, one or more"),
        (lambda: topic_words(FC, TINY, [0, 0]), "different ids"),
        (lambda: topic_words(FC, TINY, [0.5]), "different ids"),
        (lambda: topic_words(FC, TINY, ["a"]), "different ids"),
        (lambda: topic_words(FC, TINY, [[0, 1]]), "different ids"),
        (lambda: topic_words(FC, TINY, [-1]), "between 0 and 4"),
        (lambda: topic_words(FC, TINY, [5]), "between 0 and 4"),
        (lambda: topic_words(FC, TINY, [4]), "no sentence has any of the words"),
        (lambda: topic_words(FC, TINY, [0], "first_order"), "did you mean 'first-order'"),
        (lambda: topic_words(keyword(), TINY, [0]), "not in keyword"),
        (lambda: topic_words(topic(readout=np.eye(2), span=True), TINY, [0]), "not in topic-FC-span"),
        (lambda: project(TINY, [0], np.zeros(4)), "of all 5 words"),
        (lambda: project(TINY, [9], np.zeros(5)), "between 0 and 4"),
        (lambda: topic("fc"), "did you mean 'FC'"),
        (lambda: topic("linear"), "use one of FC, TC, TL"),
        (lambda: topic("TC", -1), "dimension = -1"),
        (lambda: topic("TC", 2.5), "dimension = 2.5 must be a whole number"),
        (lambda: topic("TL", 2, 0), "hidden = 0"),
        (lambda: topic("TL", 2, query_dimension=0), "query_dimension = 0"),
        (lambda: topic("FC", readout=[1.0, 2.0]), "finite matrix"),
        (lambda: topic("FC", readout=[[1.0, np.nan]]), "finite matrix"),
        (lambda: topic("FC", readout=np.zeros((0, 2))), "finite matrix"),
        (lambda: topic("TC", readout=np.eye(2)), "TC trains its classifier"),
        (lambda: topic("TC", 2, span=True), "span is for FC"),
        (lambda: topic("FC", readout=np.eye(2), query_dimension=2, span=True), "span is for FC"),
        (lambda: solve(topic(readout=np.eye(3)), TINY, [1.0]), "3 columns, and the examples 2 outputs"),
        (lambda: simulate(topic(readout=np.eye(3)), TINY, lr=0.1, steps=2), "3 columns, and the examples 2 outputs"),
        (lambda: embeddings(np.eye(2), np.zeros((3, 2)), np.zeros((4, 2))), "do not fit"),
        (lambda: embeddings(np.eye(2), np.zeros((4, 3)), np.zeros((4, 2))), "do not fit"),
        (lambda: embeddings(np.eye(2), np.zeros((4, 2)), np.zeros(2)), "do not fit"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
