"""Theorems of the topic classifier: every step by sympy, every formula against the flow of sentences."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import cumulative_simpson, quad, solve_ivp
from scipy.special import expi, softmax, wrightomega

from derivations import reductions, registry
from derivations.checks.proofs import check, holds
from derivations.models import CLASSIFIERS
from derivations.program.words import unmarked
from derivations.report.document import proof
from derivations.theorems import score_and_norm as sen
from derivations.theorems import topic_competition, topic_margin
from derivations.theorems.few_words import beside_the_classifier
from derivations.theorems.theorem import Step
from dynamics import solve
from dynamics.problems import closed_forms
from dynamics.problems.closed_forms import (
    embeddings_fixed_time,
    keys_fixed_loss,
    norm_squared,
    score_of_margin,
    time_to_score,
)
from dynamics.problems.kinds.models import Model
from dynamics.problems.kinds.models import topic as topic_model
from dynamics.problems.predictions.topics import topic_words
from dynamics.tasks.examples import Examples

MODULES = {module.__name__ for module in (sen, topic_margin, topic_competition)}
THEOREMS = {name: one for name, one in registry.theorems().items() if one.make.__module__ in MODULES}
PRECISE = {"rtol": 1e-11, "atol": 1e-13, "method": "DOP853"}
TRAINED = {"FC": {}, "TC": {"U": 0.7}, "TL": {"F": 0.7, "f": 0.3, "G": 0.7, "g": 0.1}}


def evaluated(name: str, result: str, **values) -> np.ndarray:
    """A result of any of these theorems, by its name."""
    return closed_forms.evaluated(THEOREMS[name](), result, **values)


def readout(seed: int, dimension: int = 3, classes: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(dimension, classes))


def symmetric_readout(classes: int, seed: int = 0) -> np.ndarray:
    """Columns of one length, with one angle between any two, in some basis."""
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(classes + 1, classes + 1)))[0][:, :classes]
    return basis @ (1.3 * np.eye(classes) + 0.2)


def column(U: np.ndarray, label: int = 0) -> np.ndarray:
    """delta: the column of a label less the mean of the others."""
    return U[:, label] - np.delete(U, label, axis=1).mean(1)


def beside(m: int, counts: dict[int, int], words: int) -> list[int]:
    """A sentence: some topic words, and m others."""
    return [word for word, k in counts.items() for _ in range(k)] + list(range(words, words + m))


def flow(
    model: Model, rows: list[list[int]], labels: list[int], t, words: int = 1, rates=None, initial=None, **options
) -> xr.Dataset:
    """The flow of topic words whose others are at rest; there is one word for the others of each kind of sentences."""
    outputs = model.fixed["U"].shape[1] if "U" in model.fixed else 2
    examples = Examples.from_rows(rows, labels, inputs=1 + max(map(max, rows)), outputs=outputs)
    reduced, kinds = topic_words(model, examples, range(words), "rest")
    return solve(reduced, kinds, t, rates=rates, initial=initial and initial(kinds.inputs), **PRECISE | options)


def started(v: np.ndarray, s: float, others_v: np.ndarray | float = 0.0, others_s: float = 0.0, **more):
    """Initial states: of the topic word, and of all others."""

    def initial(inputs: int) -> dict:
        of_v, of_s = np.zeros((inputs, len(v))) + others_v, np.full(inputs, others_s)
        of_v[0], of_s[0] = v, s
        return {"v": of_v, "s": of_s, **more}

    return initial


# -- proofs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEOREMS)
def test_every_step_holds(name: str) -> None:
    theorem = THEOREMS[name]()
    assert theorem.name == name
    assert theorem.steps
    for step in theorem.steps:
        assert check(step, theorem.domain).passed, step.note


@pytest.mark.parametrize("name", THEOREMS)
def test_text_has_every_part(name: str) -> None:
    theorem = THEOREMS[name]()
    text = proof(theorem).text()
    assert text.isascii()
    for part in (theorem.title, theorem.statement, theorem.limits, *theorem.hypotheses):
        assert unmarked(part) in text
    assert all(re.search(rf"^ *{symbol.name} += ", text, re.MULTILINE) for symbol in theorem.results)
    assert all(unmarked(step.note) in text for step in theorem.steps)
    assert all(step.of for step in theorem.steps)


def test_wrong_steps_do_not_hold() -> None:
    separated = next(step for step in sen.identity().steps if step.note.startswith("separated"))
    for wrong in (separated.right - 1, 1 / separated.right, 2 - separated.right, separated.right.subs(sen.k, 1)):
        assert not holds(Step("", separated.left, wrong))
    margin = topic_margin.one_margin().steps[0]
    assert not holds(Step("", margin.left, margin.right.subs(topic_margin.purity, 1)))


@pytest.mark.parametrize("keys", [False, True])
def test_no_classifier_changes_how_words_follow_the_pull_on_their_context(keys: bool) -> None:
    """What theorem sen is derived from is the same in FC, TC and TL."""
    flows = [beside_the_classifier(reductions.topic_words(name, keys), "rbar") for name in CLASSIFIERS]
    assert flows[0] == flows[1] == flows[2]
    assert {"vdot", "alpha", "r", "vbar"} <= {d.name for d in flows[0]}


# -- score and norm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("times", [1, 3])
def test_the_identity_with_any_start_and_others_that_rest_anywhere(classifier: str, times: int) -> None:
    rng = np.random.default_rng(7)
    m, v, others, s_others = 6, rng.normal(size=3), rng.normal(size=3), 0.4
    rates = {"s": 2.5, "v": 0.7}
    rows = [beside(m, {0: times}, 1)] * 10 + [beside(m, {}, 1)] * 5
    model = topic_model(classifier, 3, 4, readout(1) if classifier == "FC" else None)
    weights = {name: size * rng.normal(size=shape) for (name, size), shape in zip(
        TRAINED[classifier].items(), {"FC": [], "TC": [(3, 2)], "TL": [(4, 3), (4,), (2, 4), (2,)]}[classifier],
        strict=True,
    )}  # fmt: skip
    # Units of TL that are trained come to slide along the corner of their rectifier, where steps get ever shorter.
    t, precision = np.linspace(0, 100, 11), {}
    if classifier == "TL":
        precision, rates = {"rtol": 1e-8}, rates | dict.fromkeys(weights, 0.0)
    start = started(v, -0.6, others, s_others, **weights)
    found = flow(model, rows, [0] * 9 + [1] * 6, t, rates=rates, initial=start, **precision)
    s = found.s.values[:, 0]
    assert abs(s[-1] - s[0]) > 0.3
    away = ((found.v.values[:, 0] - others) ** 2).sum(-1)
    predicted = norm_squared(s, m * np.exp(s_others), s[0], away[0], times, rates["s"], rates["v"])
    np.testing.assert_allclose(away, predicted, rtol=1e-7 if precision else 1e-9)
    for wrong in (
        norm_squared(s, m, s[0], away[0], times, rates["s"], rates["v"]),
        norm_squared(s, m * np.exp(s_others), s[0], away[0], times + 1, rates["s"], rates["v"]),
        norm_squared(s, m * np.exp(s_others), s[0], away[0], times, rates["v"], rates["s"]),
    ):
        assert np.abs(wrong[-1] / away[-1] - 1) > 1e-3


def test_the_identity_as_the_paper_has_it() -> None:
    s, m, query = 1.7, 20, 0.9
    assert norm_squared(s, m, eta_s=query**2) * query**2 == pytest.approx(2 * (s + (np.exp(s) - 1) / m), rel=1e-14)


def test_sentences_of_two_lengths_lie_between_their_identities() -> None:
    U = readout(2)
    examples = Examples.from_rows([[0, 1], [0, 1]], [0, 0], inputs=2, outputs=2)  # two kinds: the word, and others
    counts = {"share": np.array([0.5, 0.5]), "times": np.array([1.0, 4, 1, 16]), "coupling": np.diag([1.0, 0])}
    model = Model(reductions.topic_words("FC"), {"D": 3}, {"U": U, **counts})
    found = solve(model, examples, np.linspace(0, 300, 301), initial={"v": np.eye(2, 3) * 1e-9}, **PRECISE)
    s, norm = found.s.values[1:, 0], (found.v.values[1:, 0] ** 2).sum(-1)
    short, long = norm_squared(s, 4), norm_squared(s, 16)
    assert (norm < short * 0.99).all()
    assert (norm > long * 1.01).all()
    # From moment to moment it is the mean of m with weights alpha^2 G . v; with one label G is known.
    w, slope = found.v.values[1:, 0] @ column(U), np.gradient(norm, s, edge_order=2)
    alpha = np.exp(s) / (np.exp(s) + np.array([[4], [16]]))
    pull = alpha**2 / (1 + np.exp(alpha * w))
    m = (pull * [[4], [16]]).sum(0) / pull.sum(0)
    np.testing.assert_allclose(slope[5:-1], 2 * (1 + np.exp(s) / m)[5:-1], rtol=2e-3)
    values = {"alpha_1": alpha[0], "alpha_2": alpha[1], "m_1": 4, "m_2": 16}
    pulls = {f"pull_{k + 1}": 1 / (1 + np.exp(alpha[k] * w)) for k in (0, 1)}
    np.testing.assert_allclose(evaluated("sen-company", "m_eff", **values, **pulls), m, rtol=1e-12)


def test_two_words_that_always_come_together_are_one_that_stands_twice() -> None:
    U, v = readout(3), 0.1 * np.ones(3)
    t = [0, 5, 50]

    def both(inputs: int) -> dict:
        return {"v": np.vstack([v, v, np.zeros((inputs - 2, 3))])}

    found = flow(topic_model(readout=U), [beside(7, {0: 1, 1: 1}, 2)], [0], t, words=2, initial=both)
    once = flow(topic_model(readout=U), [beside(7, {0: 2}, 1)], [0], t, initial=started(v, 0.0))
    np.testing.assert_allclose(found.s[:, 0], found.s[:, 1], rtol=1e-12)
    norm = (found.v.values[:, 0] ** 2).sum(-1)
    np.testing.assert_allclose(norm, norm_squared(found.s.values[:, 0], 7, 0.0, norm[0], times=2), rtol=1e-9)
    # A word that stands twice gets both pulls.
    assert once.s[-1, 0] > found.s[-1, 0]


# -- one margin -------------------------------------------------------------------------------------------------------


@st.composite
def words(draw):
    """A topic word: classes, m, numbers of sentences by label, start and rates."""
    classes = draw(st.integers(2, 4))
    wrong = draw(st.integers(0, 2))
    right = draw(st.integers(2 * wrong + 1, 8))
    return {
        "classes": classes, "m": draw(st.integers(1, 30)), "right": right, "wrong": wrong,
        "without": draw(st.integers(0, 5)), "start": draw(st.floats(-2, 2)), "first": draw(st.floats(-1.5, 1.5)),
        "eta_s": draw(st.floats(0.2, 5)), "eta_v": draw(st.floats(0.2, 5)), "gain": draw(st.floats(0.1, 2)),
        "seed": draw(st.integers(0, 100)),
    }  # fmt: skip


@given(words())
@settings(max_examples=25)
def test_the_time_to_a_score(case: dict) -> None:
    """The flow of a word for the time that the quadrature finds ends at the score."""
    classes, m = case["classes"], case["m"]
    U = readout(case["seed"]) if classes == 2 else symmetric_readout(classes, case["seed"])
    delta = column(U)
    across = np.linalg.qr(np.column_stack([U, np.eye(len(U))[:, -1]]))[0][:, -1]
    v = case["first"] * delta / (delta @ delta) + 0.8 * across
    with_it = [0] * case["right"] + [label for label in range(1, classes) for _ in range(case["wrong"])]
    rows = [beside(m, {0: 1}, 1)] * len(with_it) + [list(range(1, m + 1))] * case["without"]
    fixed = {
        "m": m, "delta": np.linalg.norm(delta), "share": len(with_it) / len(rows), "classes": classes,
        "purity": case["right"] / len(with_it), "start": case["start"], "first": case["first"],
        "eta_s": case["eta_s"], "eta_v": case["eta_v"],
    }  # fmt: skip
    tau = float(time_to_score(case["start"] + case["gain"], **fixed))
    model, start = topic_model(readout=U), started(v, case["start"])
    rates = {"s": case["eta_s"], "v": case["eta_v"]}
    labels = with_it + [0] * case["without"]
    if not np.isfinite(tau) or tau > 1e5:
        tau = 3e3  # never: the word comes to rest below
        end = flow(model, rows, labels, [tau], rates=rates, initial=start)
        assert end.s[-1, 0] < case["start"] + case["gain"]
    else:
        end = flow(model, rows, labels, [tau], rates=rates, initial=start)
        assert float(end.s[-1, 0]) == pytest.approx(case["start"] + case["gain"], abs=1e-7)
    found = score_of_margin(
        float(end.v.values[-1, 0] @ delta), m, fixed["delta"], case["start"], case["first"], rates["s"], rates["v"]
    )
    assert found == pytest.approx(float(end.s[-1, 0]), abs=1e-8)


def test_an_impure_word_rests_where_it_predicts_its_purity() -> None:
    U, rows, m = readout(4), [beside(5, {0: 1}, 1)] * 10, 5
    found = flow(topic_model(readout=U), rows, [0] * 8 + [1] * 2, [3000.0], initial=started(np.zeros(3), 0.0))
    s, w = float(found.s[-1, 0]), float(found.v.values[-1, 0] @ column(U))
    assert np.exp(s) / (np.exp(s) + m) * w == pytest.approx(np.log(4), abs=1e-9)
    assert evaluated("topic-margin", "rest", purity=0.8, K=2) == pytest.approx(np.log(4))
    delta = np.linalg.norm(column(U))
    assert np.isinf(time_to_score(s + 1e-6, m, delta, purity=0.8))
    assert np.isfinite(time_to_score(s - 1e-6, m, delta, purity=0.8))


def test_a_score_below_the_start_is_not_reached() -> None:
    assert np.isinf(time_to_score([-0.1, 0.5], 5, 1.0, first=[0.2, 0.2])[0])
    assert time_to_score(0.3, 5, 1.0, start=0.3, first=0.2) == 0
    # A word on the wrong side loses score on its way to margin 0, and no more.
    assert np.isinf(time_to_score(-3.0, 5, 1.0, first=-0.5))
    assert time_to_score(0.0, 5, 1.0, first=-0.5) > time_to_score(-0.1, 5, 1.0, first=-0.5) > 0


@pytest.mark.parametrize("purity", [0.5, 0.2, 1.1, float("nan")])
def test_a_purity_that_is_no_better_than_chance(purity: float) -> None:
    with pytest.raises(ValueError, match="above chance"):
        time_to_score(1.0, 5, 1.0, purity=purity)


def test_classes_that_are_not_alike_the_score_drops_out() -> None:
    """Any classifier of K classes: the K logits alone, with the score from the norm by the identity."""
    U, m, v = readout(5, 4, 3), 6, np.array([0.3, -0.2, 0.1, 0.4])
    t = np.linspace(0, 80, 9)
    found = flow(topic_model(readout=U), [beside(m, {0: 1}, 1)] * 4, [0, 0, 0, 2], t, initial=started(v, 0.2))
    metric, pseudo = U.T @ U, np.linalg.pinv(U)
    share, W_0 = np.array([0.75, 0, 0.25]), v @ U

    def score(W: np.ndarray) -> float:
        norm = ((v + (W - W_0) @ pseudo) ** 2).sum()
        z = np.log(np.exp(0.2) / m) + np.exp(0.2) / m + (norm - v @ v) / 2
        return float(np.log(m) + z - wrightomega(z))

    def velocity(_: float, W: np.ndarray) -> np.ndarray:
        alpha = 1 / (1 + m * np.exp(-score(W)))
        return alpha * metric @ (share - softmax(alpha * W))

    by_logits = solve_ivp(velocity, (0, 80), W_0, t_eval=t, rtol=1e-10, atol=1e-12).y.T
    np.testing.assert_allclose(by_logits, found.v.values[:, 0] @ U, atol=1e-8)
    np.testing.assert_allclose([score(W) for W in by_logits], found.s.values[:, 0], atol=1e-8)
    # The pull sums to zero: one of the three is a function of the others.
    moved = (by_logits - W_0) @ np.linalg.inv(metric)
    np.testing.assert_allclose(moved.sum(1), 0, atol=1e-12)


# -- the end of training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 4])
def test_loss_attention_and_score_at_late_times(classes: int) -> None:
    """Over five decades of time; what is left falls as the theorem says."""
    U = readout(6) if classes == 2 else symmetric_readout(classes)
    delta, m, rates = column(U), 9, {"s": 1.7, "v": 0.6}
    rows = [beside(m, {0: 1}, 1)] * 2 + [list(range(1, m + 1))]
    tau = np.outer(np.logspace(2, 7, 6), [1, 1.01]).ravel()
    found = flow(
        topic_model(readout=U), rows, [0, 0, 1], tau, rates=rates, initial=started(np.zeros(len(U)), 0.0),
        method="LSODA",
    )  # fmt: skip
    s, w = found.s.values[:, 0], found.v.values[:, 0] @ delta
    alpha, y = np.exp(s) / (np.exp(s) + m), np.exp(s) / m
    ell = (classes - 1) * np.exp(-alpha * w)
    values = {"f": 2 / 3, "eta_v": rates["v"], "delta": np.linalg.norm(delta), "tau": tau}
    clock = 2 / 3 * rates["v"] * (delta @ delta) * tau
    loss = evaluated("topic-convergence", "loss", **values)
    np.testing.assert_allclose(loss, 1 / clock, rtol=1e-12)
    # 1/ell + log(1/ell) runs as the clock does, but for an excess that is known to leading order.
    excess = evaluated("topic-convergence", "excess", y=y[1::2], A=np.log(m) - 1 / m)
    left = (np.diff(1 / ell - np.log(ell)) / np.diff(clock))[::2] - 1
    np.testing.assert_allclose(left[2:] / excess[2:], 1, atol=0.25)
    assert (np.diff(np.abs(left / excess - 1)[2:]) < 0).all()
    np.testing.assert_allclose(np.log1p(ell[8:]) / loss[8:], 1, atol=1.5 * excess[4])
    values |= {"K": classes}
    margin = evaluated("topic-convergence", "margin", **values)
    late = evaluated("topic-convergence", "late", **values, eta_s=rates["s"])
    score = evaluated("topic-convergence", "score", **values, eta_s=rates["s"], m=m)
    for got, formula, bound in ((w, margin, 0.03), (1 - alpha, late, 0.1), (s, score, 0.05)):
        gap = np.abs(got / formula - 1)[::2]
        assert (np.diff(gap[2:]) < 0).all()
        assert gap[-1] < bound


def test_the_loss_of_all_words_does_not_depend_on_how_rare_they_are() -> None:
    U, m, tau = symmetric_readout(2), 4, 1e6
    counts = [1, 9]
    rows = [beside(m, {word: 1}, 2) for word, count in enumerate(counts) for _ in range(count)]
    found = flow(topic_model(readout=U), rows, [0] * 1 + [1] * 9, [tau], words=2, method="LSODA")
    each = 1 / (column(U) @ column(U) * tau)
    assert float(found.loss[-1]) == pytest.approx(2 * each, rel=0.01)


# -- ablations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_fixed(classes: int) -> None:
    U = readout(7) if classes == 2 else symmetric_readout(classes)
    delta, m = column(U), 6
    v, t = 0.4 * delta, np.array([0, 1, 10, 100, 1e4])
    rows = [beside(m, {0: 1}, 1)] * 3 + [list(range(1, m + 1))]
    rates = {"s": 0.0, "v": 0.8}
    model = topic_model(readout=U)
    found = flow(model, rows, [0, 0, 0, 1], t, rates=rates, initial=started(v, 0.5))
    sizes = {"m": m, "delta": np.linalg.norm(delta), "share": 0.75, "classes": classes}
    of_word = (found.loss.values - 0.25 * np.log(classes)) / 0.75  # the fourth sentence has others only
    predicted = keys_fixed_loss(t, **sizes, start=0.5, first=v @ delta, eta_v=0.8)
    np.testing.assert_allclose(of_word, predicted, rtol=1e-7)
    assert (found.s[:, 0] == 0.5).all()
    # Where attention is learnt the loss falls faster, in the end by 1/alpha^2.
    learnt = flow(model, rows, [0, 0, 0, 1], t, rates={"s": 1.0, "v": 0.8}, initial=started(v, 0.5))
    assert (learnt.loss[1:].values < found.loss[1:].values).all()
    alpha = np.exp(0.5) / (np.exp(0.5) + m)
    late = keys_fixed_loss(1e9, **sizes, start=0.5, eta_v=0.8) * 0.75 * 0.8 * delta @ delta * 1e9
    assert late == pytest.approx(1 / alpha**2, rel=1e-4)


@pytest.mark.parametrize("margin", [1.3, -1.3])
@pytest.mark.parametrize("classes", [2, 3])
def test_embeddings_fixed(margin: float, classes: int) -> None:
    U = readout(8) if classes == 2 else symmetric_readout(classes)
    delta, m = column(U), 6
    v, t = margin * delta / (delta @ delta), np.array([1.0, 10, 100, 1e4])
    rows = [beside(m, {0: 1}, 1)] * 3 + [list(range(1, m + 1))]
    rates = {"s": 1.6, "v": 0.0}
    found = flow(topic_model(readout=U), rows, [0, 0, 0, 1], t, rates=rates, initial=started(v, 0.5))
    s = found.s.values[:, 0]
    predicted = embeddings_fixed_time(s, m, margin, 0.75, classes, start=0.5, eta_s=1.6)
    np.testing.assert_allclose(predicted, t, rtol=1e-6)
    assert (s > 0.5).all() if margin > 0 else (s < 0.5).all()
    assert np.isinf(embeddings_fixed_time(0.5 - margin, m, margin, 0.75, classes, start=0.5))
    of_word = (found.loss.values - 0.25 * np.log(classes)) / 0.75
    if margin > 0:  # the loss stops at a floor, and attention comes like one over time
        assert of_word[-1] == pytest.approx(evaluated("topic-embeddings-fixed", "floor", w=margin, K=classes), rel=2e-3)
        late = evaluated("topic-embeddings-fixed", "late", w=margin, K=classes, f=0.75, eta_s=1.6, tau=t[-1])
        assert m / (np.exp(s[-1]) + m) == pytest.approx(late, rel=0.02)
    else:  # attention leaves the word: no loss below chance
        assert of_word[-1] == pytest.approx(np.log(classes), rel=0.02)


def test_the_clock_of_attention_is_the_integral_of_its_velocity() -> None:
    w, K = -0.8, 3

    def integrand(alpha: float) -> float:
        return (1 + np.exp(alpha * w) / (K - 1)) / (alpha**2 * (1 - alpha) ** 2)

    clock = evaluated("topic-embeddings-fixed", "clock", alpha=[0.2, 0.7], w=w, K=K)
    assert clock[1] - clock[0] == pytest.approx(quad(integrand, 0.2, 0.7, epsrel=1e-12)[0], rel=1e-11)
    assert expi(-1.0) < 0  # the integrals of both signs are real


# -- the query trained ------------------------------------------------------------------------------------------------


def keyed(initial: dict, t: np.ndarray, rates: dict, readout_: np.ndarray, m: int) -> xr.Dataset:
    """Two words of two classes, keys and query trained, others at rest."""
    rows = [beside(m, {0: 1}, 2)] * 2 + [beside(m, {1: 1}, 2)]
    model = topic_model(readout=readout_, query_dimension=len(initial["query"]))

    def padded(inputs: int) -> dict:
        return {
            "query": initial["query"],
            **{k: np.vstack([initial[k], np.zeros((inputs - 2, initial[k].shape[1]))]) for k in ("v", "key")},
        }

    return flow(model, rows, [0, 0, 1], t, words=2, rates=rates, initial=padded)


@pytest.mark.parametrize("zero", [True, False])
def test_with_a_trained_query_the_identity_breaks_as_predicted(zero: bool) -> None:
    """The naive identity has the first query; what holds is its integral, with the cross term of the keys."""
    rng, m, rates = np.random.default_rng(9), 8, {"v": 0.9, "key": 1.3, "query": 0.6}
    initial = {"v": rng.normal(size=(2, 3)), "query": np.array([0.5, -0.4]), "key": np.zeros((2, 2))}
    if not zero:
        initial["key"] = rng.normal(size=(2, 2))
    U, t = readout(9), np.linspace(0, 40, 4001)
    found = keyed(initial, t, rates, U, m)
    v, key, query = found.v.values[:, :2], found.key.values[:, :2], found["query"].values
    s = np.einsum("tie,te->ti", key, query)
    norm, square = (v**2).sum(-1), (query**2).sum(-1)

    balance = (
        np.einsum("tie,tif->tef", key, key) / rates["key"] - np.einsum("te,tf->tef", query, query) / rates["query"]
    )
    np.testing.assert_allclose(balance, np.broadcast_to(balance[0], balance.shape), atol=1e-9)

    # The pulls on the scores, from the flow of the keys: dk_i/dtau = eta_key pull_i q.
    dt = t[1]
    pulls = np.einsum("tie,te->ti", np.gradient(key, dt, axis=0, edge_order=2), query) / rates["key"] / square[:, None]
    cross = rates["query"] * np.einsum("tj,tje,tie->ti", pulls, key, key)
    sdot = np.gradient(s, dt, axis=0, edge_order=2)
    velocity = evaluated(
        "topic-query",
        "rate_n",
        s=s,
        sdot=sdot,
        cross=cross,
        m=m,
        eta_key=rates["key"],
        eta_v=rates["v"],
        square=square[:, None],
    )
    for i in range(2):
        predicted = norm[0, i] + cumulative_simpson(velocity[:, i], dx=dt, initial=0)
        np.testing.assert_allclose(norm[:, i], predicted, rtol=2e-4)
        naive = norm_squared(s[:, i], m, s[0, i], norm[0, i], 1.0, rates["key"] * square[0], rates["v"])
        assert abs(naive[-1] / norm[-1, i] - 1) > 0.1
        np.testing.assert_allclose(naive - norm[:, i], naive - predicted, atol=2e-4 * norm[-1, i])
    if zero:
        n = initial["query"] / np.linalg.norm(initial["query"])
        np.testing.assert_allclose(key, (key @ n)[..., None] * n, atol=1e-10)
        length = square[0] + rates["query"] / rates["key"] * ((key @ n) ** 2).sum(1)
        np.testing.assert_allclose(square, length, rtol=1e-9)


def test_words_that_move_alike_with_a_trained_query() -> None:
    """The norm as an integral over kappa: an asinh and a quadrature."""
    U, m, rates = np.array([[1.0, -1.0], [0.6, -0.6], [0.0, 0.0]]), 5, {"v": 1.0, "key": 1.2, "query": 0.7}
    rows = [beside(m, {0: 1}, 2), beside(m, {1: 1}, 2)]
    query = np.array([0.3, 0.8])
    model = topic_model(readout=U, query_dimension=2)
    found = flow(model, rows, [0, 1], [60.0], words=2, rates=rates, initial=lambda _: {"query": query})
    key, q = found.key.values[-1, 0], np.linalg.norm(query)
    np.testing.assert_allclose(key, found.key.values[-1, 1], atol=1e-12)
    kappa = key @ query / q
    values = {"m": m, "T": 2, "q_0": q, "eta_key": rates["key"], "eta_query": rates["query"], "eta_v": rates["v"]}

    def integrand(x: float) -> float:
        return float(evaluated("topic-query", "rate_kappa", kappa=x, **values))

    assert (found.v.values[-1, 0] ** 2).sum() == pytest.approx(quad(integrand, 0, kappa, epsrel=1e-10)[0], rel=1e-8)
    r = 2 * rates["query"] / rates["key"]
    first = quad(lambda x: 1 / np.sqrt(q**2 + r * x**2), 0, kappa)[0]
    assert first == pytest.approx(np.arcsinh(np.sqrt(r) * kappa / q) / np.sqrt(r), rel=1e-10)


# -- two words in one sentence ----------------------------------------------------------------------------------------


def competing(shares: list[float], purities: list[float], t, m: int = 20) -> tuple[np.ndarray, np.ndarray, float]:
    """Scores and margins of a and b over time, where a alone, b alone, or both stand among others at rest."""
    U = np.array([[1.0, -1.0], [0.5, 0.2], [0.1, 0.0]])
    x, y, share, times = [], [], [], []
    for own, part, purity in zip(([0], [1], [0, 1]), shares, purities, strict=True):
        for label, right in ((0, purity), (1, 1 - purity)):
            if part * right > 0:
                x.append([*own, 2])
                y.append(label)
                share.append(part * right)
                times += [1.0] * len(own) + [m]
    model = Model(
        reductions.topic_words("FC"), {"D": 3},
        {"U": U, "share": np.array(share), "times": np.array(times), "coupling": np.diag([1.0, 1, 0])},
    )  # fmt: skip
    examples = Examples.from_rows(x, y, inputs=3, outputs=2)
    found = solve(model, examples, t, rtol=1e-9, atol=1e-12, method="LSODA")
    return found.s.values[:, :2], found.v.values[:, :2] @ column(U), float(np.linalg.norm(column(U)))


def signals(shares: list[float], purities: list[float], m: int = 20, **more: float) -> dict[str, float]:
    """What the theorem needs of the sentences."""
    of_shares = dict(zip(("f_a", "f_b", "f_ab"), shares, strict=True))
    return {**of_shares, **dict(zip(("p_a", "p_b", "p_ab"), purities, strict=True)), "m": m, **more}


def balance(s: np.ndarray, purities: list[float], m: int = 20) -> float:
    """How far scores are from the line where training can stop."""
    x = dict(zip(("x_a", "x_b", "x_ab"), np.log(np.array(purities) / (1 - np.array(purities))), strict=True))
    return float(evaluated("topic-competition", "balance", **x, n_a=np.exp(s[0]), n_b=np.exp(s[1]), m=m))


@pytest.mark.parametrize("seed", range(12))
def test_the_word_with_the_larger_signal_leads_at_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares, purities = rng.dirichlet([1, 1, 1]).tolist(), rng.uniform(0.55, 0.99, 3).tolist()
    tau = 0.5
    s, _, delta = competing(shares, purities, [tau])
    values = signals(shares, purities, tau=tau, eta_s=1.0, eta_v=1.0, delta=delta)
    swapped = signals([shares[1], shares[0], shares[2]], [purities[1], purities[0], purities[2]])
    expected = [float(evaluated("topic-competition", "early", **values | own)) for own in ({}, swapped)]
    np.testing.assert_allclose(s[0], expected, rtol=0.02, atol=2e-3 * max(expected))
    Q_a, Q_b = (float(evaluated("topic-competition", name, **values)) for name in ("Q_a", "Q_b"))
    if abs(Q_a / Q_b - 1) > 0.1:
        assert (s[0, 0] > s[0, 1]) == (Q_a > Q_b)


@pytest.mark.parametrize(("rare", "purity"), [(0.01, 0.7), (0.02, 0.9), (0.1, 0.8), (0.1, 0.95)])
def test_the_pure_word_wins_however_rare(rare: float, purity: float) -> None:
    """b stands in both classes and is frequent; a only in the first. b leads, then a overtakes it for good."""
    both = rare / 2
    shares, purities = [rare / 2, 1 - rare, both], [1.0, purity, 1.0]
    t = np.concatenate([[0, 1], np.logspace(1, 7, 25)])
    s, w, _ = competing(shares, purities, t)
    lead = s[:, 0] - s[:, 1]
    assert lead[1] < 0
    assert lead.min() < -1
    assert lead[-1] > 1
    assert (np.diff(np.sign(lead[1:])) != 0).sum() == 1
    assert w[-1, 0] > w[-1, 1] > 0
    # The rarer the pure word, the later: the lead changes at a time that goes as one over its share.
    later, _, _ = competing([rare / 4, 1 - rare / 2, rare / 4], purities, t)
    assert (later[:, 0] < later[:, 1])[1:].sum() > (lead < 0)[1:].sum()


@pytest.mark.parametrize(
    ("shares", "purities", "winner"),
    [
        # Below the mean of both log-odds, 0.78, the less pure word wins, whatever the shares; well above it the purer.
        ([0.4, 0.3, 0.3], [0.9, 0.6, 0.895], 0),
        ([0.1, 0.6, 0.3], [0.9, 0.6, 0.895], 0),
        ([0.4, 0.3, 0.3], [0.9, 0.6, 0.75], 1),
        ([0.6, 0.1, 0.3], [0.9, 0.6, 0.75], 1),
    ],
)
def test_impure_words_end_where_their_common_sentences_are_between_them(
    shares: list[float], purities: list[float], winner: int
) -> None:
    s, w, _ = competing(shares, purities, [1e6])
    n = np.exp(s[-1])
    alone = n / (n + 20) * w[-1]
    np.testing.assert_allclose(1 / (1 + np.exp(-alone)), purities[:2], atol=1e-5)
    assert abs(balance(s[-1], purities)) < 1e-3 * n.max()
    assert s[-1, winner] > s[-1, 1 - winner] + 0.2
