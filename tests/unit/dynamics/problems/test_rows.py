"""The row model in numbers, against its formulas row by row."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from dynamics.problems.forecast.rows import RowModel, RowState, Sentences
from dynamics.support.errors import InputError

KINDS = ("recurrent", "prefix", "mean")
PAIRS = [([0, 1, 2], [1, 0]), ([3], [2, 2, 1]), ([2, 2], [0]), ([1, 3, 0, 0], [])]
TEXT = Sentences.of(PAIRS, outputs=3)


def model(kind: str, dtype: str = "float64", width: int = 5) -> RowModel:
    return RowModel(kind, inputs=4, outputs=3, width=width, places=6, dtype=dtype)


def start(kind: str, dtype: str = "float64", seed: int = 0) -> RowState:
    """At a state of some size, where nothing is nearly zero."""
    return model(kind, dtype).start(seed, embeddings=0.7, positions=0.4)


def normalised(v: Any) -> Any:
    return (v - v.mean()) / np.sqrt(v.var() + 1e-5)


def row(kind: str, w: dict[str, Any], source: list[int], before: list[int], place: int) -> tuple[Any, Any]:
    """The probabilities of one row and its attention, written word by word."""
    keys = []
    for l, word in enumerate(source):
        key = w["E"][word] + w["F"][l]
        if kind == "recurrent":
            key = key + (w["left"][source[l - 1]] if l else 0) + (w["right"][source[l + 1]] if source[l + 1 :] else 0)
        if kind == "mean":
            key = key + np.mean([w["around"][other] for other in source], axis=0)
        keys.append(normalised(key))
    state = w["Y"][before[place]] + w["G"][place]
    if kind == "mean":
        state = state + np.mean([w["H"][word] for word in before[: place + 1]], axis=0)
    else:
        state = state + sum(0.7 ** (place - s - 1) * w["H"][before[s]] for s in range(place))
    scores = np.array([state @ w["Q"] @ key for key in keys]) / np.sqrt(len(state))
    attention = np.exp(scores - scores.max())
    attention /= attention.sum()
    context = sum(a * key for a, key in zip(attention, keys, strict=True))
    z = w["U"] @ normalised(state + context @ w["C"]) + w["b"]
    p = np.exp(z - z.max())
    return p / p.sum(), attention


def loss(kind: str, w: dict[str, Any]) -> float:
    total, rows = 0.0, 0
    for source, target in PAIRS:
        before = [3, *target]
        for place, answer in enumerate([*target, 3]):
            total -= np.log(row(kind, w, source, before, place)[0][answer])
            rows += 1
    return total / rows


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_rows(kind: str) -> None:
    state = start(kind)
    assert model(kind).loss(state, TEXT) == pytest.approx(loss(kind, dict(state.tensors)), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_loss_of_rows(kind: str) -> None:
    """By finite differences in random directions of every state."""
    state, rng, h = start(kind), np.random.default_rng(1), 1e-5
    slopes, _ = model(kind).gradient(state, TEXT, rows=TEXT.mean_targets)
    for name, value in state.tensors.items():
        for _ in range(3):
            way = rng.normal(size=value.shape)
            ends = [loss(kind, {**state.tensors, name: value + sign * h * way}) for sign in (1, -1)]
            assert (slopes[name] * way).sum() == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_rows(kind: str) -> None:
    """Every row by itself, with the words that come after it in place, which are not read."""
    state, one = start(kind), model(kind)
    at = [(k, place) for k, (_, target) in enumerate(PAIRS) for place in range(len(target) + 1)]
    k, places = np.array(at).T
    asked = TEXT.o[k, places]
    whole, attention = one.probabilities(state, TEXT.x[k], TEXT.length[k], TEXT.p[k], places)
    some, _ = one.probabilities(state, TEXT.x[k], TEXT.length[k], TEXT.p[k], places, asked)
    for r, (sentence, place) in enumerate(at):
        source, target = PAIRS[sentence]
        p, a = row(kind, dict(state.tensors), source, [3, *target], place)
        np.testing.assert_allclose(whole[r], p, rtol=1e-10)
        np.testing.assert_allclose(attention[r, : len(source)], a, rtol=1e-10)
        assert (attention[r, len(source) :] == 0).all()
        assert some[r] == pytest.approx(p[asked[r]], rel=1e-10)
    answers, each = one.answers(state, TEXT)
    np.testing.assert_allclose(answers[k, places], some, rtol=1e-10)
    np.testing.assert_allclose(each[k, places], attention, rtol=1e-10)
    assert answers.sum() == pytest.approx(some.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_some_rows_of_sentences_are_what_single_rows_are(kind: str) -> None:
    """In any order, one twice, with any words asked for, and with the sources of other sentences."""
    state, one = start(kind), model(kind)
    number, place, word = np.array([2, 3, 1]), np.array([1, 2, 3, 0, 3, 0]), np.array([0, 3, 2, 2, 1, 3])
    k = np.repeat([0, 1, 3], number)
    place[:2] = [2, 0]
    some = TEXT.take(np.array([0, 1, 3]))
    found, attention = one.predicted(state, some, number, place, word)
    expected, each = one.probabilities(state, TEXT.x[k], TEXT.length[k], TEXT.p[k], place, word)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(attention, each[:, : attention.shape[1]], rtol=1e-10)
    other = np.array([1, 3, 0])
    found, _ = one.predicted(state, some.with_sources(TEXT.take(other)), number, place, word)
    k_other = np.repeat(other, number)
    expected, _ = one.probabilities(state, TEXT.x[k_other], TEXT.length[k_other], TEXT.p[k], place, word)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_that_of_adam(kind: str) -> None:
    """With the batch itself as examples, Adam's own steps; gradients at every new state."""
    one, state = model(kind), start(kind)
    theta = dict(state.tensors)
    m, v = ({name: np.zeros_like(value) for name, value in theta.items()} for _ in range(2))
    for k in range(1, 6):
        g, _ = one.gradient(state, TEXT, rows=TEXT.mean_targets)
        for name in theta:
            m[name] = 0.9 * m[name] + 0.1 * g[name]
            v[name] = 0.999 * v[name] + 0.001 * g[name] ** 2
            theta[name] = theta[name] - 0.01 * m[name] / (1 - 0.9**k) / (np.sqrt(v[name] / (1 - 0.999**k)) + 1e-8)
        state = one.step(state, TEXT, dt=1, lr=0.01, batch=len(TEXT), rows=TEXT.mean_targets)
        for name, value in theta.items():
            np.testing.assert_allclose(state.tensors[name], value, rtol=1e-10, atol=1e-12)
    assert (state.time, state.evaluations) == (5, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_with_smaller_batches_has_their_noise(kind: str) -> None:
    """Four steps at once for batches of one sentence: with the second moments of every place and row."""
    one, state = model(kind), start(kind)
    names = one.program.state_names
    g, moments = one.gradient(state, TEXT, TEXT.mean_targets, names)
    after = one.step(state, TEXT, dt=4, lr=0.01, batch=1, rows=TEXT.mean_targets)
    for name in names:
        first = (1 - 0.9**4) * g[name]
        second = (1 - 0.999**4) * (g[name] ** 2 + moments[name] * (len(TEXT) - 1))
        moved = 0.01 * 4 * first / (1 - 0.9**4) / (np.sqrt(second / (1 - 0.999**4)) + 1e-8)
        np.testing.assert_allclose(after.tensors[name], state.tensors[name] - moved, rtol=1e-12)


def test_second_moments_are_kept_for_some_evaluations() -> None:
    one, state = model("prefix"), start("prefix")
    seen = []
    for _ in range(10):
        before = state
        state = one.step(state, TEXT, dt=1, lr=0.01, batch=1, rows=TEXT.mean_targets, every=3)
        seen.append(before.moments.get("U") is not state.moments["U"])
        assert before.moments.get("E") is not state.moments["E"]
    assert seen == [True] * 4 + [k % 3 == 0 for k in range(4, 10)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_is_a_run(kind: str) -> None:
    def run(seed: int) -> RowState:
        state = model(kind, "float32").start(seed)
        for k in range(3):
            state = model(kind, "float32").step(state, TEXT.take([k, 3, k]), dt=2, lr=0.01, batch=2, rows=2.5)
        return state

    one, again, other = run(0), run(0), run(1)
    assert all((one.tensors[name] == again.tensors[name]).all() for name in one.tensors)
    assert any((one.tensors[name] != other.tensors[name]).any() for name in one.tensors)
    back = pickle.loads(pickle.dumps(one))
    assert all((one.tensors[name] == back.tensors[name]).all() for name in one.tensors)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_agrees_with_double(kind: str) -> None:
    states = [start(kind, dtype) for dtype in ("float32", "float64")]
    for _ in range(20):
        states = [
            model(kind, dtype).step(state, TEXT, dt=2, lr=0.01, batch=2, rows=TEXT.mean_targets)
            for state, dtype in zip(states, ("float32", "float64"), strict=True)
        ]
    for name, value in states[0].tensors.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, states[1].tensors[name], atol=5e-3)
    slopes = [model(kind, dtype).gradient(states[1], TEXT, 1.0)[0] for dtype in ("float32", "float64")]
    for name in slopes[0]:
        size = np.abs(slopes[1][name]).max()
        np.testing.assert_allclose(slopes[0][name], slopes[1][name], atol=2e-5 * size)


def test_starts_have_the_sizes_that_are_asked_for() -> None:
    wide = RowModel("recurrent", inputs=300, outputs=200, width=50, places=40)
    tensors = wide.start(0).tensors
    own = {"E": 0.05, "Y": 0.05, "H": 0.05, "left": 0.05, "F": 0.03, "G": 0.03, "U": 150**-0.5, "Q": 150**-0.5}
    for name, size in own.items():
        assert tensors[name].std() == pytest.approx(size, rel=0.05)
    assert (tensors["b"] == 0).all()
    given = wide.start(0, embeddings=0.2, positions=0.1).tensors
    assert given["right"].std() == pytest.approx(0.2, rel=0.05)
    assert given["G"].std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(given["U"], tensors["U"])


def test_sentences_are_taken_and_cut() -> None:
    some = TEXT.take(np.array([1, 1, 2]))
    assert (some.x.shape, some.p.shape, len(some)) == ((3, 2), (3, 4), 3)
    assert TEXT.mean_targets == 2.5


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="there is no row model 'mena'; take one of recurrent, prefix, mean"):
        RowModel("mena", 1, 1)
    with pytest.raises(InputError, match="needs width of 1 or more, not 0"):
        RowModel("mean", 1, 1, width=0)
    with pytest.raises(InputError, match="there are no sentences"):
        Sentences.of([], 3)
    with pytest.raises(InputError, match="sentence 2 has no source word"):
        Sentences.of([([0], [1]), ([], [1])], 3)
    small = RowModel("prefix", 4, 3, width=2, places=3)
    with pytest.raises(InputError, match=r"a sentence has 4 places, the model 3; cut it, or set places=4"):
        small.loss(small.start(0), TEXT)
