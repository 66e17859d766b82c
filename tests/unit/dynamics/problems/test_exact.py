"""The exact flow: against the authors' own training runs, against the closure, and on degenerate data."""

from __future__ import annotations

import numpy as np
import pytest
from oracles.reference_data import REFERENCE, recorded_runs

from dynamics import InputError, solve
from dynamics.problems.kinds.models import keyword, lexical, positional, topic
from dynamics.tasks import Copying, ToyLexicon
from dynamics.tasks.examples import Examples


def training_run(classifier: str):
    """Model, examples, initial state, rates and logs of an authors' run."""
    data = np.load(REFERENCE / f"lu_{classifier}_seed0.npz")
    rows = data["context_idxs_train"].astype(np.int64)
    query = data["init_query"][0].astype(float)
    initial = {"v": data["init_embeddings"].astype(float), "s": data["init_keys"].astype(float) @ query}
    readout = None
    if classifier == "FC":
        readout = data["init_clf_w"].astype(float)
    elif classifier == "TC":
        initial["U"] = data["init_clf_weight"].astype(float).T
    else:
        initial["F"], initial["f"] = data["init_clf_front_weight"], data["init_clf_front_bias"]
        initial["G"], initial["g"] = data["init_clf_end_weight"], data["init_clf_end_bias"]
    examples = Examples(
        rows.ravel(), np.full(len(rows), rows.shape[1]), data["target_train"], np.ones(len(rows), dtype=int),
        int(data["n_vocab"]), int(data["n_topics"]),
    )  # fmt: skip
    return topic(classifier, 10, 10, readout), examples, initial, {"s": float(query @ query)}, data


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC"])
def test_the_flow_follows_the_authors_descent(classifier: str) -> None:
    """5,000 full-batch steps at learning rate 0.1 are the flow to tau = 500, up to the first order in the rate.

    With the trained classifier that first order is 2.3 % of the loss where it falls most steeply.
    """
    model, examples, initial, rates, log = training_run(classifier)
    tau = log["log_step"] * float(log["lr"])
    words = np.arange(int(log["n_topic_words"]))
    found = solve(model, examples, tau, initial=initial, rates=rates, keep={"input": words})
    gap = np.abs(found.s.values - log["log_topic_score_f64"])
    assert gap.max() < 0.02
    assert gap[-1].max() < 1e-3
    if classifier == "FC":
        np.testing.assert_allclose(found.loss, log["log_loss_f64"], rtol=0.01)


@recorded_runs
@pytest.mark.parametrize("classifier", ["FC", "TC"])
def test_the_modified_flow_is_the_authors_descent(classifier: str) -> None:
    """At second order in the learning rate, what is left of the gap is a part in 10^4."""
    model, examples, initial, rates, log = training_run(classifier)
    tau = log["log_step"][::4] * float(log["lr"])
    words = {"input": np.arange(int(log["n_topic_words"]))}
    found = solve(model, examples, tau, initial=initial, rates=rates, lr=float(log["lr"]), keep=words)
    assert np.abs(found.s.values - log["log_topic_score_f64"][::4]).max() < 2e-4
    np.testing.assert_allclose(found.loss, log["log_loss_f64"][::4], rtol=3e-4)


def test_the_closure_is_close_on_the_toy_lexicon() -> None:
    """Joint closure against lexical attention on the sentences themselves."""
    examples = ToyLexicon(20, 5).examples(2000, seed=1)
    t = [50, 150, 400]
    exact = solve(lexical(), examples, t)
    closed = solve(examples.cooccurrence(), t)
    for name in ("W", "A"):
        gap = np.linalg.norm(closed[name].values - exact[name].values, axis=(1, 2))
        assert (gap < 0.03 * np.linalg.norm(exact[name].values, axis=(1, 2))).all()
    np.testing.assert_allclose(closed.loss, exact.loss, rtol=0.02)


@pytest.mark.parametrize("model", [keyword(), keyword(bias=True), lexical(), lexical(2), positional(), positional(3)])
def test_the_loss_falls_as_the_gradient_says(model) -> None:
    """dLoss/dtau = -|gradient|^2, and sums over outputs of the values stay where they were."""
    examples = Copying(6, 4).examples(30)
    if "targets" not in model.program.declarations:
        examples = Examples.from_rows(examples.x.reshape(-1, 4), examples.y.reshape(-1, 4)[:, 0], 6, 6)
    t = np.array([1.0, 1.0 + 1e-3, 1.0 + 2e-3])
    initial = dict.fromkeys(model.shapes(examples), 0.3)
    found = solve(model, examples, [0.0, *t], initial=initial, rtol=1e-11, atol=1e-13)
    slope = (found.loss.values[3] - found.loss.values[1]) / (t[2] - t[0])
    squared = sum(
        float((((found[name][3] - found[name][1]) / (t[2] - t[0])) ** 2).sum()) for name in model.program.state_names
    )
    assert slope == pytest.approx(-squared, rel=1e-5)
    sums = found.W.sum("output")
    np.testing.assert_allclose(sums, np.broadcast_to(sums[0], sums.shape), atol=1e-9)


def test_one_word_inputs_learn_without_attention() -> None:
    """With one word each, attention is 1 whatever the score; the flow is a softmax regression of counts."""
    examples = Examples.from_rows([[0], [0], [1]], [0, 1, 1], inputs=3, outputs=2)
    found = solve(keyword(), examples, [0.0, 500.0], initial={"s": 1.0}, seed=3)
    np.testing.assert_array_equal(found.s[1], found.s[0])
    values = found.W[1].values
    assert values[0] == pytest.approx([0, 0], abs=1e-4)  # word 0 has both answers equally often
    assert values[1, 1] > 2
    np.testing.assert_array_equal(values[2], 0)  # never seen


def test_large_logits_and_ragged_inputs_stay_finite() -> None:
    examples = Examples.from_rows([[0, 0, 1], [2], [1, 2, 3, 3]], [0, 1, 1], inputs=4, outputs=2)
    found = solve(keyword(bias=True), examples, [0.0, 10.0], initial={"s": 1e3, "W": 10.0})
    assert np.isfinite(found.loss).all()
    assert found.loss[1] < found.loss[0]


def test_several_targets_need_a_model_that_takes_them() -> None:
    examples = Copying(5, 3).examples(4)
    with pytest.raises(InputError, match="example 0 has 3 targets"):
        solve(keyword(), examples, [1.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": {"B": 1.0}}, "the states of keyword are s, W"),
        ({"rates": {"s": -1.0}}, "rate of s"),
        ({"lr": 0.0}, "lr = 0.0 is not a positive number"),
        ({"initial": {"W": np.zeros((3, 2))}}, "must be finite and of shape"),
        ({"seed": -1}, "seed = -1 must be a whole number from 0"),
        ({"initial": {"A": 0.1}}, "the states of keyword are"),
        ({"keep": {"time": [0]}}, "there is no dimension 'time'"),
        ({"keep": {"input": [9]}}, "between 0 and 1"),
    ],
)
def test_wrong_options(options, message) -> None:
    examples = Examples.from_rows([[0], [1]], [0, 1], inputs=2, outputs=2)
    with pytest.raises(InputError, match=message) as caught:
        solve(keyword(), examples, [1.0], **options)
    assert "\n" not in str(caught.value)


def test_wrong_models() -> None:
    with pytest.raises(InputError, match="heads = 0"):
        lexical(0)
    with pytest.raises(InputError, match="FC, TC, TL"):
        topic("FD")
    with pytest.raises(InputError, match="give readout"):
        topic("FC")
    with pytest.raises(InputError, match="dimension = 0"):
        topic("TC", 0)
    with pytest.raises(InputError, match="cannot solve a str"):
        solve("keyword", [1.0])


def test_no_modified_flow_with_a_metric() -> None:
    """Descent along a flow with a metric does not descend loss + lr/4 |gradient|^2 of the loss alone."""
    examples = Examples.from_rows([[0], [1]], [0, 1], inputs=2, outputs=2)
    with pytest.raises(InputError, match="a metric of its own"):
        solve(topic("FC", readout=np.eye(2), span=True), examples, [1.0], lr=0.1)
