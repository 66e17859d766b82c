"""Predictions from a co-occurrence matrix: against the exact models, against themselves, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import formulas as oracles
from oracles.promise import promised
from oracles.reference_data import MULTI30K, translations

from dynamics import CoOccurrence, InputError, IntegrationError, solve
from dynamics.counts.text.corpus import ParallelText
from dynamics.counts.text.encoding import encode
from dynamics.problems import problem
from dynamics.problems.kinds import closure as predict
from dynamics.problems.kinds.closure import CLOSURES
from dynamics.problems.solving.stages import STAGES
from dynamics.support import memory, trajectory

STAGE_ONE = [closure for closure in CLOSURES if closure != "conditional"]


def relative(found: Any, exact: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(found) - exact) / np.linalg.norm(exact))


def lexicon(seed: int = 0, inputs: int = 7, outputs: int = 5, zeros: float = 0.4) -> CoOccurrence:
    """Random counts with zeros, a length and a Gram matrix of words that stand alone or in pairs."""
    rng = np.random.default_rng(seed)
    counts = rng.gamma(0.5, size=(inputs, outputs)) * (rng.random((inputs, outputs)) >= zeros)
    counts[np.arange(inputs), np.arange(inputs) % outputs] += 0.2
    counts[np.arange(outputs) % inputs, np.arange(outputs)] += 0.2
    c = counts.sum(axis=1) / counts.sum()
    gram = 0.5 * np.diag(c) + 0.5 * np.outer(c, c)
    names = [f"in{k}" for k in range(inputs)], [f"out{k}" for k in range(outputs)]
    return CoOccurrence.from_counts(counts, *names, length=2.5, gram=gram)


TIGHT = {"rtol": 1e-12, "atol": 1e-14, "method": "DOP853"}
"""What is asked of integrations that are held against each other."""

lexicons = st.builds(
    lexicon, st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 8), st.sampled_from([0.0, 0.4, 0.8])
)


def same(one: xr.Dataset, other: xr.Dataset, rtol: float = 0.0, atol: float = 0.0) -> None:
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        if one[name].dtype.kind == "f":
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=atol, err_msg=name)
        else:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# -- against the exact models -----------------------------------------------------------------------------------------


def test_the_batched_oracle_is_the_slow_one() -> None:
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 6, rng.integers(1, 6)) for _ in range(30)]
    y = [rng.integers(0, 5, rng.integers(1, 5)) for _ in range(30)]
    slow = oracles.Sentences(x, y, 6, 5)
    W, A = rng.normal(size=(2, 6, 5))
    for one, other in zip(slow.lexical(W, A), oracles.Batched(slow, 7).lexical(W, A), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_toy_lexicon_follows_the_exact_model() -> None:
    """Theory, section 3: 60 words, 3,000 sentences of 8, each word translated by itself, in another order."""
    sentences = oracles.lexicon(0, 60, 8, 3000)
    exact = oracles.Batched(sentences)
    t = [100, 300, 500, 600, 700, 1000, 3000]
    start = [np.zeros((60, 60)), np.zeros((60, 60))]
    simulated = oracles.flow(lambda W, A: exact.lexical(W, A)[1:], start, t, rtol=1e-5)
    found = solve(CoOccurrence.from_counts(sentences.cooccurrence()), t)
    assert max(relative(found.W[k], W) for k, (W, _) in enumerate(simulated)) < 0.012
    assert max(relative(found.A[k], A) for k, (_, A) in enumerate(simulated)) < 0.008
    assert found.loss[-1] == pytest.approx(exact.lexical(*simulated[-1])[0], rel=0.005)
    assert float(found.loss[-1]) == pytest.approx(0.0310, abs=0.0005)
    assert found.attrs["evaluations"] < 400
    # All is learnt: every word is translated by itself, and attended for its translation.
    np.testing.assert_array_equal(found.translation[-1], found.input)
    np.testing.assert_array_equal(found.attended[-1], found.output)


def multi30k(pairs: int, words: int, gram: bool) -> tuple[CoOccurrence, oracles.Sentences]:
    files = [MULTI30K / f"train.{language}.gz" for language in ("en", "de")]
    counted = CoOccurrence.from_parallel_text(
        *files, tokenizer="whitespace", max_vocab=words, max_pairs=pairs, gram=gram
    )
    encoded = encode(ParallelText(*files, "whitespace", True, pairs), counted.inputs, counted.outputs)
    sentences = oracles.Sentences(
        np.split(encoded.x, encoded.x_starts[1:-1]), np.split(encoded.y, encoded.y_starts[1:-1]), *counted.shape
    )
    return counted, sentences


@translations
@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
def test_closures_of_stage_one_on_real_text() -> None:
    """Theory, section 2: relative errors of W against the exact stage one."""
    system, sentences = multi30k(4000, 300, gram=True)
    np.testing.assert_allclose(system.dense().C, sentences.cooccurrence(), atol=1e-15)
    t = [100, 300, 1000]
    exact = [W for (W,) in oracles.flow(sentences.stage_one, [np.zeros(system.shape)], t, rtol=1e-5)]
    measured = {
        "gram": [0.0001, 0.0021, 0.0314],
        "marginal": [0.0005, 0.0025, 0.0339],
        "linear": [0.0097, 0.0395, 0.3391],
    }
    for closure, expected in measured.items():
        W = solve(system, t, closure=closure).W.values
        np.testing.assert_allclose([relative(w, e) for w, e in zip(W, exact, strict=True)], expected, atol=1e-4)


@translations
@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
def test_both_stages_on_real_text() -> None:
    """Theory, section 3: 2,000 pairs, 200 words a side, tau = 400."""
    system, sentences = multi30k(2000, 200, gram=False)
    exact = oracles.Batched(sentences)
    start = [np.zeros(system.shape), np.zeros(system.shape)]
    ((W, A),) = oracles.flow(lambda W, A: exact.lexical(W, A)[1:], start, [400], rtol=1e-3)
    found = solve(system, 400)
    assert relative(found.W[0], W) == pytest.approx(0.104, abs=0.002)
    assert relative(found.A[0], A) == pytest.approx(0.1235, abs=0.002)
    assert np.corrcoef(np.ravel(found.W), W.ravel())[0, 1] == pytest.approx(0.9955, abs=5e-4)
    assert np.corrcoef(np.ravel(found.A), A.ravel())[0, 1] == pytest.approx(0.9925, abs=5e-4)
    for attention in (found.A[0].values, A):
        for output, word in (("hund", "dog"), ("zwei", "two")):
            assert system.inputs[attention[:, system.outputs.index(output)].argmax()] == word


@given(lexicons)
@settings(max_examples=10, deadline=None)
def test_joint_flow_is_the_one_derived_by_hand(system: CoOccurrence) -> None:
    R, q = system.dense().conditional(), system.q
    t = [0.5, 5, 50]
    zero = np.zeros(system.shape)
    expected = oracles.flow(lambda W, A: oracles.conditional_flow(R, q, W, A), [zero, zero], t, **TIGHT)
    found = solve(system, t, **TIGHT)
    for k, (W, A) in enumerate(expected):
        np.testing.assert_allclose(found.W[k], W, rtol=0, atol=promised(found, found))
        np.testing.assert_allclose(found.A[k], A, rtol=0, atol=promised(found, found))
        np.testing.assert_allclose(found.beta[k], oracles.softmax(found.W[k].values), rtol=1e-12)
        share = R * np.exp(found.A[k].values)
        share /= share.sum(axis=0)
        logits = share.T @ found.W[k].values
        loss = -q @ np.log(np.diag(oracles.softmax(logits)))
        assert float(found.loss[k]) == pytest.approx(loss, rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(found.attention[k], share.max(axis=0), rtol=1e-9)
        picked = [system.inputs.index(str(word)) for word in found.attended[k].values]
        np.testing.assert_allclose(share[picked, np.arange(len(picked))], share.max(axis=0), rtol=1e-9)


# -- laws of the flow -------------------------------------------------------------------------------------------------

GRID = np.concatenate([[0.0], np.geomspace(0.01, 300, 30)])


@given(lexicons)
@settings(max_examples=10, deadline=None)
def test_what_the_flow_conserves_and_what_falls(system: CoOccurrence) -> None:
    found = solve(system, GRID, rtol=1e-8, atol=1e-11)
    assert (np.diff(found.loss) <= 1e-12).all()
    assert float(found.loss[0]) == pytest.approx(np.log(len(system.outputs)), abs=1e-12)
    np.testing.assert_allclose(found.W.sum("output"), 0, atol=1e-9)
    np.testing.assert_allclose(found.A.sum("input"), 0, atol=1e-9)
    np.testing.assert_allclose(found.beta.sum("output"), 1, rtol=1e-12)


@pytest.mark.parametrize(("sparse", "rates"), [(False, {"W": 1.0, "A": 1.0}), (True, {"W": 0.5, "A": 3.0})])
def test_the_loss_falls_by_the_squared_gradient(sparse: bool, rates: dict[str, float]) -> None:
    """dLoss/dtau = -sum |d state/d tau|^2 / eta, both sides by differences in time."""
    system = lexicon()
    system = system.sparse() if sparse else system
    h = 1e-3
    for t in (1.0, 20.0):
        found = solve(system, [t - h, t, t + h], rates=rates, rtol=1e-12, atol=1e-14)
        slope = float(found.loss[2] - found.loss[0]) / (2 * h)
        squares = sum(
            float((((found[state][2] - found[state][0]) / (2 * h)) ** 2).sum()) / rate for state, rate in rates.items()
        )
        assert slope == pytest.approx(-squares, rel=1e-5)


@given(lexicons)
@example(lexicon(765121, 6, 5, 0.8))
@settings(max_examples=10, deadline=None)
def test_sparse_storage_changes_nothing(system: CoOccurrence) -> None:
    t = [0.0, 1.0, 30.0]
    stages = list(STAGES)
    dense, sparse = (solve(s, t, stages=stages, switch=3.0, **TIGHT) for s in (system.dense(), system.sparse()))
    assert (dense.attrs["equation"], sparse.attrs["equation"]) == ("joint", "joint-sparse")
    for name in ("W", "A", "beta", "loss", "attention"):
        np.testing.assert_allclose(sparse[name], dense[name], rtol=0, atol=promised(dense, sparse), err_msg=name)


@given(lexicons, st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_order_of_words_does_not_matter(system: CoOccurrence, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (rng.permutation(n) for n in system.shape)
    shuffled = CoOccurrence.from_counts(
        system.C[rows][:, columns],
        [system.inputs[k] for k in rows],
        [system.outputs[k] for k in columns],
        length=system.length,
        gram=system.gram[np.ix_(rows, rows)],
    )
    for closure in CLOSURES:
        one, other = (solve(s, [1.0, 20.0], closure=closure, **TIGHT) for s in (system, shuffled))
        for name in set(one.data_vars) & {"W", "A", "beta"}:
            there = other[name].sel(input=one.input, output=one.output)
            np.testing.assert_allclose(there, one[name], rtol=0, atol=promised(one, other))


@pytest.mark.parametrize("closure", CLOSURES)
def test_rates_scale_time(closure: str) -> None:
    states = ("W", "A") if closure == "conditional" else ("W",)
    t = np.array([0.5, 3.0, 20.0])
    tolerances = {"rtol": 1e-10, "atol": 1e-13}
    plain = solve(lexicon(), t, closure=closure, **tolerances)
    fast = solve(lexicon(), t / 2, closure=closure, rates=dict.fromkeys(states, 2.0), **tolerances)
    same(plain.drop_vars("time"), fast.drop_vars("time"), rtol=1e-7, atol=1e-10)
    still = solve(lexicon(), t, closure=closure, rates=dict.fromkeys(states, 0.0), **tolerances)
    assert not still.W.any()


def test_a_rate_of_its_own_holds_for_each_state() -> None:
    system = lexicon()
    R, q = system.conditional(), system.q

    def flow(W: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dW, dA = oracles.conditional_flow(R, q, W, A)
        return 0.3 * dW, 5 * dA

    ((W, A),) = oracles.flow(flow, [np.zeros(system.shape)] * 2, [30.0], rtol=1e-9)
    for stored in (system.dense(), system.sparse()):
        found = solve(stored, 30.0, rates={"W": 0.3, "A": 5}, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.W[0], W, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(found.A[0], A, rtol=1e-5, atol=1e-8)


def test_early_times_are_the_co_occurrence() -> None:
    """W = tau (C - c/K) + O(tau^2), A of the second order: all closures without a bias agree."""
    system = lexicon()
    excess = system.C - system.c[:, None] / len(system.outputs)
    for closure in ("conditional", "linear", "marginal", "gram"):
        errors = []
        for t in (1e-2, 1e-3):
            found = solve(system, t, closure=closure, rtol=1e-10, atol=1e-16)
            errors.append(np.abs(found.W[0] / t - excess).max())
            if closure == "conditional":
                D = np.diag(system.q) - system.q[:, None] / len(system.outputs)
                drive = excess @ D.T
                R = system.conditional()
                drive = R * (drive - (R * drive).sum(axis=0))
                np.testing.assert_allclose(found.A[0] / (t * t / 2), drive, atol=10 * t * np.abs(drive).max())
        assert errors[0] < 1e-2
        assert closure == "linear" or errors[0] / errors[1] == pytest.approx(10, rel=0.1)


# -- closures of stage one --------------------------------------------------------------------------------------------


def test_linear_closures_are_straight_lines() -> None:
    system = lexicon()
    K = len(system.outputs)
    t = np.array([0.0, 1.0, 10.0, 1000.0])
    for closure, p0, start in (
        ("linear", np.full(K, 1 / K), np.log(K)),
        ("linear-bias", system.q, -system.q @ np.log(system.q)),
    ):
        found = solve(system, t, closure=closure)
        excess = system.C - np.outer(system.c, p0)
        np.testing.assert_allclose(found.W, t[:, None, None] * excess, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.loss, start - t * (excess**2).sum(), rtol=1e-9)
        np.testing.assert_allclose(found.beta, oracles.softmax(found.W.values), rtol=1e-12)
        assert "A" not in found
        assert "attended" not in found


@given(lexicons)
@settings(max_examples=8, deadline=None)
def test_closed_drifts_are_the_formulas(system: CoOccurrence) -> None:
    C, c, L = system.dense().C, system.c[:, None], system.length

    def marginal(W: np.ndarray) -> np.ndarray:
        return C - c * oracles.softmax(W / L + (1 - 1 / L) * (c.T @ W))

    def gram(W: np.ndarray) -> np.ndarray:
        return C - c * oracles.softmax(system.gram @ W / c)

    for closure, drift in (("marginal", marginal), ("gram", gram)):
        expected = oracles.flow(drift, [np.zeros(system.shape)], [1.0, 40.0], **TIGHT)
        found = solve(system, [1.0, 40.0], closure=closure, **TIGHT)
        for k, (W,) in enumerate(expected):
            np.testing.assert_allclose(found.W[k], W, rtol=0, atol=promised(found, found))


@pytest.mark.parametrize("seed", range(3))
def test_sentences_of_one_word_need_no_closure(seed: int) -> None:
    """One word a sentence: the marginal (L = 1) and the Gram closure (G = diag c) are the exact stage one."""
    counts = np.random.default_rng(seed).gamma(1.0, size=(4, 3))
    c = counts.sum(axis=1) / counts.sum()
    system = CoOccurrence.from_counts(counts, length=1, gram=np.diag(c))
    C = system.C
    ((W,),) = oracles.flow(lambda W: C - c[:, None] * oracles.softmax(W), [np.zeros(system.shape)], [60.0], rtol=1e-9)
    for closure in ("marginal", "gram"):
        found = solve(system, 60.0, closure=closure, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.W[0], W, rtol=1e-6, atol=1e-9)


# -- stages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_stages_begin_and_end_where_they_should(sparse: bool) -> None:
    system = lexicon()
    system = system.sparse() if sparse else system
    t = [0.0, 2.0, 5.0, 20.0]
    joint = solve(system, t)
    same(solve(system, t, stages="two-stage", switch=0.0), joint)
    held = solve(system, t, rates={"A": 0.0})
    assert not held.A.any()
    for stages in ("two-stage", "frozen"):
        same(solve(system, t, stages=stages, switch=20.0), held)
        same(solve(system, t, stages=stages, switch=1e6), held)
    frozen = solve(system, t, stages="frozen", switch=0.0)
    assert not frozen.W.any()
    assert not frozen.A.any(), "attention has no drive without values"


@given(lexicons, st.floats(0.5, 30))
@settings(max_examples=8, deadline=None)
def test_values_are_frozen_and_attention_waits(system: CoOccurrence, switch: float) -> None:
    t = np.array([0.25, 0.5, 1, 2]) * switch
    found = solve(system, t, stages=["joint", "two-stage", "frozen"], switch=switch, **TIGHT)
    one = solve(system, t, rates={"A": 0.0}, **TIGHT)
    for stages in ("two-stage", "frozen"):
        part = found.sel(stages=stages)
        np.testing.assert_allclose(part.W[:3], one.W[:3], rtol=0, atol=promised(found, one))
        assert not part.A[:3].any()
    frozen = found.sel(stages="frozen")
    np.testing.assert_array_equal(frozen.W[3], frozen.W[2])
    # The second stage continues from the state of the switch.
    start = {"W": one.W[2].values}
    rest = solve(system, t[3] - t[2], initial=start, **TIGHT)
    np.testing.assert_allclose(found.sel(stages="two-stage").W[3], rest.W[0], rtol=0, atol=promised(found, one, rest))
    np.testing.assert_allclose(found.sel(stages="two-stage").A[3], rest.A[0], rtol=0, atol=promised(found, one, rest))
    rest = solve(system, t[3] - t[2], initial=start, rates={"W": 0.0}, **TIGHT)
    np.testing.assert_allclose(frozen.A[3], rest.A[0], rtol=0, atol=promised(found, one, rest))
    assert found.sel(stages="joint").loss[3] <= found.loss.sel(stages="frozen")[3] + 1e-9


def test_several_stages_are_those_asked_for_one_by_one() -> None:
    system = lexicon()
    found = solve(system, [1.0, 40.0], stages=["frozen", "joint", "two-stage"], switch=5.0)
    assert found.stages.values.tolist() == ["frozen", "joint", "two-stage"]
    evaluations = 0
    for name in found.stages.values:
        alone = solve(system, [1.0, 40.0], stages=str(name), switch=5.0)
        same(found.sel(stages=name).drop_vars("stages"), alone)
        evaluations += alone.attrs["evaluations"]
    assert found.attrs["evaluations"] == evaluations
    assert solve(system, 1.0, stages=["joint"]).W.dims == ("stages", "time", "input", "output")


def test_stage_one_ends_when_attention_would_have_moved_by_one() -> None:
    """The drive on attention along stage one, added up by hand: its largest word averages 1 at the switch."""
    system = lexicon()
    R, q = system.conditional(), system.q

    def flow(W: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dW, _ = oracles.conditional_flow(R, q, W, np.zeros_like(A))
        return dW, oracles.conditional_flow(R, q, W, np.zeros_like(A))[1]

    switch = solve(system, 200.0, stages="two-stage").attrs["switch"]
    ((_, drive),) = oracles.flow(flow, [np.zeros(system.shape)] * 2, [switch], rtol=1e-9)
    assert q @ drive.max(axis=0) == pytest.approx(1, abs=0.01)


def test_the_end_of_stage_one_does_not_depend_on_the_times_or_on_storage() -> None:
    system = lexicon()
    switches = [
        solve(system, t, stages="frozen").attrs["switch"] for t in ([200.0], [1.0, 3.0, 200.0], np.linspace(0, 200, 41))
    ]
    assert len(set(switches)) == 1
    assert 0 < switches[0] < 200
    for end in (60.0, 1000.0):
        assert solve(system, end, stages="frozen").attrs["switch"] == pytest.approx(switches[0], rel=1e-3)
    assert solve(system.sparse(), 200.0, stages="frozen").attrs["switch"] == pytest.approx(switches[0], rel=1e-5)
    assert solve(system, 0.1, stages="frozen").attrs["switch"] == 0.1
    twice = solve(system, 100.0, stages="frozen", rates={"W": 2, "A": 2}).attrs["switch"]
    assert twice == pytest.approx(switches[0] / 2, rel=1e-3)
    # The first values decide, whatever attention begins with.
    moved = solve(system, 200.0, stages="frozen", initial={"A": np.full(system.shape, 0.7)}).attrs["switch"]
    assert moved == pytest.approx(switches[0], rel=1e-3)


# -- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("closure", CLOSURES)
@pytest.mark.parametrize("top", [1, 3, 5, 7, 100])
def test_top_and_keep_restrict_without_changing_values(closure: str, sparse: bool, top: int) -> None:
    system = lexicon()
    system = system.sparse() if sparse else system
    t = [0.0, 1.0, 10.0]
    whole = solve(system, t, closure=closure)
    rare = [system.inputs[int(system.c.argmin())], system.outputs[int(system.q.argmin())]]
    for keep in ([], rare):
        found = solve(system, t, closure=closure, top=top, keep=keep)
        frequent = [system.inputs[k] for k in np.argsort(-system.c)][:top]
        assert found.input.values.tolist() == frequent + [w for w in keep[:1] if w not in frequent]
        frequent = [system.outputs[k] for k in np.argsort(-system.q)][:top]
        assert found.output.values.tolist() == frequent + [w for w in keep[1:] if w not in frequent]
        for name in found.data_vars:
            there = whole[name].sel({d: found[d] for d in ("input", "output") if d in found[name].dims})
            np.testing.assert_array_equal(found[name], there, err_msg=name)
        assert found.attrs["evaluations"] == whole.attrs["evaluations"]


def test_times_are_exactly_those_asked_for() -> None:
    t = [0.0, 1e-7, 0.1, 1 / 3, 7.0, 7.0 + 1e-9]
    found = solve(lexicon(), t)
    assert found.time.values.tolist() == t
    assert solve(lexicon(), 3).time.values.tolist() == [3.0]
    for stages in STAGES:
        start = solve(lexicon(), 0.0, stages=stages)
        assert not start.W.any()
        assert float(start.loss[0]) == pytest.approx(np.log(5))
    for closure in CLOSURES:
        # Other times in between do not move what is found at one of them by more than the tolerance.
        alone, among = (solve(lexicon(), times, closure=closure) for times in ([7.0], [1.0, 2.0, 7.0, 9.0]))
        np.testing.assert_allclose(among.W.sel(time=7.0), alone.W[0], atol=1e-5)


def test_the_initial_state_is_where_it_begins() -> None:
    system = lexicon()
    rng = np.random.default_rng(0)
    W, A = rng.normal(size=(2, *system.shape))
    R, q = system.conditional(), system.q
    ((end_W, end_A),) = oracles.flow(lambda W, A: oracles.conditional_flow(R, q, W, A), [W, A], [9.0], rtol=1e-9)
    seen = system.C > 0
    for stored in (system.dense(), system.sparse()):
        found = solve(stored, [0.0, 9.0], initial={"W": W, "A": A.tolist()}, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(found.W[0], W)
        # Attention to words that never occur with an output plays no part, and sparse storage does not keep it.
        np.testing.assert_array_equal(found.A[0].values[seen], A[seen])
        np.testing.assert_allclose(found.W[1], end_W, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(found.A[1].values[seen], end_A[seen], rtol=1e-5, atol=1e-8)
    only = solve(system, 0.0, closure="marginal", initial={"W": W})
    np.testing.assert_array_equal(only.W[0], W)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize("sparse", [False, True])
def test_a_single_word(inputs: int, outputs: int, sparse: bool) -> None:
    c = np.full(inputs, 1 / inputs)
    system = CoOccurrence.from_counts(np.ones((inputs, outputs)), length=1, gram=np.diag(c))
    system = system.sparse() if sparse else system
    for closure in CLOSURES:
        for stages in STAGES if closure == "conditional" else [None]:
            found = solve(system, [0.0, 10.0], closure=closure, stages=stages)
            # Nothing tells the words apart, so that nothing is learnt.
            np.testing.assert_allclose(found.W, 0, atol=1e-12)
            np.testing.assert_allclose(found.loss, np.log(outputs), atol=1e-12)
            if closure == "conditional":
                np.testing.assert_allclose(found.attention, 1 / inputs, rtol=1e-12)


def test_huge_logits_are_no_trouble() -> None:
    system = lexicon()
    W = 1e3 * np.random.default_rng(0).normal(size=system.shape)
    for closure in CLOSURES:
        found = solve(system, [0.0, 1.0], closure=closure, initial={"W": W})
        assert np.isfinite(found.W).all()
        assert np.isfinite(found.loss).all()
        np.testing.assert_allclose(found.beta.sum("output"), 1)
    found = solve(system, [0.0, 1.0], initial={"A": W})
    assert np.isfinite(found.A).all()
    assert (found.attention <= 1 + 1e-12).all()


def test_attrs_say_everything_and_survive_netcdf(tmp_path: Path) -> None:
    system = lexicon()
    found = solve(
        system,
        [0.0, 5.0],
        stages=["joint", "frozen"],
        rates={"A": 0.5},
        initial={"W": np.ones(system.shape)},
        top=3,
        keep=["in6"],
        rtol=1e-5,
        atol=1e-8,
        method="RK23",
        max_step=0.5,
        threads=1,
    )
    attrs = found.attrs
    assert {k: attrs[k] for k in ("equation", "closure", "method", "rtol", "atol", "threads", "stages")} == {
        "equation": "joint",
        "closure": "conditional",
        "method": "RK23",
        "rtol": 1e-5,
        "atol": 1e-8,
        "threads": 1,
        "stages": "joint, frozen",
    }
    assert {k: attrs[k] for k in ("rate_W", "rate_A", "length", "top", "keep", "initial", "max_step")} == {
        "rate_W": 1.0,
        "rate_A": 0.5,
        "length": 2.5,
        "top": 3,
        "keep": "in6",
        "initial": "W",
        "max_step": "0.5",
    }
    assert attrs["cooccurrence_origin"] == "counts"
    assert 0 < attrs["switch"] <= 5.0
    assert attrs["steps"] >= 2 * 5.0 / 0.5
    assert attrs["evaluations"] > attrs["steps"]
    for package in trajectory.PACKAGES:
        assert attrs[f"version_{package}"]
    trajectory.save(found, tmp_path / "found.nc")
    again = trajectory.load(tmp_path / "found.nc")
    xr.testing.assert_identical(again, found)
    for name in found.variables:
        assert again[name].attrs == found[name].attrs


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
@pytest.mark.parametrize("method", ["RK45", "RKC", "LSODA"])
@pytest.mark.parametrize("closure", CLOSURES)
def test_threads_change_not_a_bit(closure: str, method: str) -> None:
    large = method != "LSODA"
    system = lexicon(1, 90, 77) if large else lexicon()
    for stored in (system, system.sparse()):
        one, two = (solve(stored, [1.0, 5.0], closure=closure, method=method, threads=n) for n in (1, 2))
        same(one, two)
        assert (one.attrs["threads"], two.attrs["threads"]) == (1, 2)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")
def test_nor_where_products_are_shared() -> None:
    system = lexicon(2, 230, 220)
    one, two = (solve(system, [1.0], threads=n) for n in (1, 2))
    same(one, two)
    assert solve(system, [0.0]).attrs["threads"] == numba.config.NUMBA_NUM_THREADS, "worth sharing"


@pytest.mark.parametrize("method", ["RK23", "DOP853", "Radau", "BDF", "LSODA", "RKC"])
def test_methods_agree(method: str) -> None:
    system = lexicon(3, 4, 3)
    expected = solve(system, [1.0, 30.0], rtol=1e-9, atol=1e-12)
    found = solve(system, [1.0, 30.0], method=method, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.W, expected.W, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(found.A, expected.A, rtol=1e-2, atol=1e-3)
    assert found.attrs["method"] == method


def test_progress_goes_from_nothing_to_all() -> None:
    seen: list[float] = []
    solve(lexicon(), [0.0, 1.0, 4.0], stages=["joint", "two-stage"], switch=2.0, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert 0.5 in seen


# -- what is refused --------------------------------------------------------------------------------------------------

BARE = CoOccurrence.from_counts([[3, 1], [1, 3]], ["a", "b"], ["x", "y"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"closure": "cubic"}, "unknown closure 'cubic'; use one of conditional, linear, linear-bias, marginal, gram"),
        ({"stages": "three"}, "unknown stages 'three'; use one of joint, two-stage, frozen"),
        ({"stages": ["joint", "three"]}, "unknown stages 'three'"),
        ({"stages": []}, "stages = () must name one or more"),
        ({"stages": ["joint", "joint"]}, "stages = ('joint', 'joint') must name one or more different"),
        ({"stages": "joint", "closure": "gram"}, "closure='gram' is stage one only; leave stages out"),
        ({"closure": "marginal"}, "the marginal closure needs the mean input length; give length="),
        ({"closure": "gram"}, "the Gram closure needs the Gram matrix; count the text with gram=True"),
        ({"method": "Euler"}, "unknown method 'Euler'; use one of RK45"),
        ({"stages": "frozen", "method": "Euler"}, "unknown method 'Euler'"),
        ({"rates": {"B": 1}}, "rate of 'B': the states of the closure 'conditional' are W, A"),
        ({"rates": {"A": 1}, "closure": "linear"}, "rate of 'A': the states of the closure 'linear' are W"),
        ({"rates": {"W": -1}}, "rate of W = -1 must be a number from 0 on"),
        ({"rates": {"W": np.nan}}, "rate of W = nan must be"),
        ({"rates": {"A": np.inf}}, "rate of A = inf must be"),
        ({"initial": {"B": np.zeros((2, 2))}}, "initial 'B': the states of the closure 'conditional' are W, A"),
        ({"initial": {"W": np.zeros((2, 3))}}, "initial W must be finite and of shape (2, 2), not (2, 3)"),
        ({"initial": {"A": [[0, np.nan], [0, 0]]}}, "initial A must be finite"),
        (
            {"initial": {"A": np.zeros((2, 2))}, "closure": "linear"},
            "initial 'A': the states of the closure 'linear' are W",
        ),
        ({"switch": -1.0, "stages": "frozen"}, "switch = -1.0 must be a time from 0 on"),
        ({"switch": np.nan, "stages": "two-stage"}, "switch = nan must be a time"),
        ({"top": 0}, "top = 0 must be 1 or more"),
        ({"keep": ["aa"], "top": 1}, "keep: 'aa' is neither an input nor an output; did you mean 'a'?"),
        ({"rtol": 0}, "rtol = 0 is not a positive number"),
        ({"atol": -1.0}, "atol = -1.0 is not a positive number"),
        ({"threads": 0}, "threads = 0 is not between 1 and"),
        ({"t": []}, "t must be a list of times"),
        ({"t": [1.0, 0.5]}, "t is not increasing"),
        ({"t": [-1.0]}, "t[0] = -1 is before the start"),
        ({"t": "soon"}, "t must be a list of times, not 'soon'"),
    ],
)
def test_what_cannot_be_predicted_is_explained_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        solve(BARE, **{"t": 1.0, **options})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_failure_names_the_time() -> None:
    with pytest.raises(IntegrationError, match=r"stalled after 3 steps at tau = \S+ of 1e\+06 \(RK45"):
        solve(lexicon(), 1e6, max_steps=3)


class Past(Exception):
    """The estimate of memory was passed."""


@pytest.mark.parametrize("closure", CLOSURES)
@pytest.mark.parametrize("sparse", [False, True])
def test_memory_is_estimated_before_it_is_needed(closure: str, sparse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vocabulary and the number of words that the message names do fit, and no more does."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.outer(np.arange(1, 61), np.arange(1, 41))
    counts = rng.poisson(2e3 * frequency / frequency.sum())
    counts[:, 0] += 1
    counts[0] += 1

    def system(words: int) -> CoOccurrence:
        some = counts[:words, :words]
        gram = np.diag(some.sum(axis=1) / some.sum())
        found = CoOccurrence.from_counts(some, length=1.0, gram=gram)
        return found.sparse() if sparse else found

    def refuse(*args: object, **options: object) -> None:
        raise Past

    monkeypatch.setattr(problem, "lower", refuse)

    def attempt(words: int, t: Any, **options: Any) -> str:
        with pytest.raises((InputError, Past)) as caught:
            solve(system(words), t, closure=closure, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert attempt(60, 0.0) == ""
    second = 0 if closure != "conditional" else np.count_nonzero(counts) if sparse else counts.size
    work = 8 * (predict.STATES_AT_WORK * (counts.size + second) + 40 * 40)
    for share in (0.9, 0.3, 0.05, 0.01):
        monkeypatch.setattr(memory, "physical_memory", lambda share=share: share * work / memory.SHARE)
        message = re.search(r"^the flow of 60 x 40 words needs .*; max_vocab=(\d+) would fit$", attempt(60, 0.0))
        assert message
        words = int(message[1])
        assert attempt(words, 0.0, top=1) == ""
        if not sparse:  # where the zeros are is not known
            assert attempt(words + 1, 0.0, top=1) != ""
    monkeypatch.setattr(memory, "physical_memory", lambda: 1.5 * work / memory.SHARE)
    many = np.arange(300.0)
    message = re.search(r"^the result, 300 times .*; top=(\d+) keeps the most frequent words only$", attempt(60, many))
    assert message
    assert attempt(60, many, top=int(message[1])) == ""
    assert attempt(60, many, top=2 * int(message[1])) != ""


def test_no_vocabulary_at_all_may_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "physical_memory", lambda: 100.0)
    with pytest.raises(InputError, match="no vocabulary would fit"):
        solve(BARE, 1.0)
