"""Measures of attention against plain loops, SciPy, and the exact models by hand."""

from __future__ import annotations

import math

import numpy as np
import oracles.models as oracle
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from oracles.formulas import softmax
from scipy.stats import kendalltau

from dynamics.comparison.agreement import Reader, agreement, kendall, measures, shuffled, stage_one
from dynamics.problems.kinds.models import Model, keyword, lexical, positional, topic
from dynamics.problems.solve import solve
from dynamics.support.errors import InputError
from dynamics.tasks import Copying, ToyLexicon
from dynamics.tasks.examples import Examples

V, K = 7, 4


# -- the measures of two sets of rows ----------------------------------------------------------------------------------


def by_sorting(alpha: np.ndarray, beta: np.ndarray, share: float = 0.05) -> float:
    """The definition, target by target: each most attended position, if the sorted rest leaves room for it."""
    found = []
    for a, b in zip(alpha, beta, strict=True):
        there = [l for l in range(len(a)) if not math.isnan(a[l])]
        top = math.ceil(round(share * len(there), 9))
        if len({b[l] for l in there}) == 1:
            found.append(top / len(there))
            continue
        least = sorted((b[l] for l in there), reverse=True)[top - 1]
        most = [l for l in there if a[l] == max(a[l] for l in there)]
        found.append(sum(b[l] >= least for l in most) / len(most))
    return float(np.mean(found))


@st.composite
def row_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Rows with ties, of several lengths."""
    targets, positions = draw(st.integers(1, 5)), draw(st.integers(1, 24))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([2, 3, 50]))
    alpha, beta = random.integers(levels, size=(2, targets, positions)) / levels
    lengths = random.integers(1, positions + 1, size=targets)
    beyond = np.arange(positions) >= lengths[:, None]
    return np.where(beyond, np.nan, alpha), np.where(beyond, np.nan, beta)


@given(row_pairs(), st.sampled_from([0.05, 0.1, 0.3, 1.0]))
def test_agreement_is_the_definition(rows: tuple[np.ndarray, np.ndarray], share: float) -> None:
    assert agreement(*rows, share) == pytest.approx(by_sorting(*rows, share), abs=1e-12)


@pytest.mark.parametrize(("length", "top"), [(1, 1), (19, 1), (20, 1), (21, 2), (40, 2), (41, 3), (60, 3), (61, 4)])
def test_the_top_is_five_percent_rounded_up(length: int, top: int) -> None:
    """Attention at the position of each rank: among the top exactly as often as there is room."""
    beta = np.tile(np.arange(length, 0.0, -1), (length, 1))
    found = [agreement(np.eye(length)[[k]], beta[[k]]) for k in range(length)] if length > 1 else [1.0]
    assert found == [1.0] * top + [0.0] * (length - top)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.35, 0.7])
def test_a_share_is_not_rounded_up_by_arithmetic(share: float) -> None:
    """0.15 * 20 is 3.0000000000000004 or not: the top is 3."""
    beta = np.arange(20, 0.0, -1)[None]
    hits = [agreement(np.eye(20)[[k]], beta, share) for k in range(20)]
    assert sum(hits) == round(share * 20)


def test_one_position_always_agrees() -> None:
    assert agreement([[1.0]], [[0.2]]) == 1.0
    assert agreement([[1.0, np.nan], [0.2, 0.8]], [[0.3, np.nan], [0.9, 0.1]]) == 0.5


def test_level_attention_counts_in_part_and_level_knowledge_by_chance() -> None:
    assert agreement([[0.25] * 4], [[0.9, 0.1, 0.2, 0.3]]) == 0.25
    assert agreement([[0.7, 0.1, 0.1, 0.1]], [[0.5] * 4]) == 0.25
    assert agreement([[0.1, 0.7, 0.2]], [[0.5, 0.5, 0.1]]) == 1.0  # level with the best


def test_what_stands_beyond_the_end_does_not_matter() -> None:
    alpha = np.array([[0.6, 0.3, 0.1, np.nan], [0.2, 0.8, np.nan, np.nan]])
    beta = np.array([[0.5, 0.4, 0.45, np.nan], [0.3, 0.1, np.nan, np.nan]])
    beyond = np.where(np.isnan(beta), 9.0, beta)
    for measure in (agreement, kendall):
        assert measure(alpha, beyond) == measure(alpha, beta)


@given(row_pairs())
def test_kendall_is_that_of_scipy(rows: tuple[np.ndarray, np.ndarray]) -> None:
    whole = [(a[~np.isnan(a)], b[~np.isnan(b)]) for a, b in zip(*rows, strict=True)]
    kept = [kendalltau(a, b).statistic for a, b in whole if len(a) > 1]
    told = [tau for tau in kept if not math.isnan(tau)]
    found = kendall(*rows)
    if told:
        assert found == pytest.approx(np.mean(told), abs=1e-12)
    else:
        assert math.isnan(found)


def test_kendall_of_more_targets_than_a_block() -> None:
    random = np.random.default_rng(0)
    alpha, beta = random.random((2, 2500, 5))
    expected = np.mean([kendalltau(a, b).statistic for a, b in zip(alpha, beta, strict=True)])
    assert kendall(alpha, beta) == pytest.approx(expected, abs=1e-12)
    assert kendall(alpha, alpha) == pytest.approx(1)
    assert kendall(alpha, -alpha) == pytest.approx(-1)


@pytest.mark.parametrize("measure", [agreement, kendall])
@pytest.mark.parametrize(
    ("alpha", "beta", "expected"),
    [
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], "shapes"),
        ([1.0, 0.0], [1.0, 0.0], "shapes"),
        ([[np.nan, np.nan]], [[1.0, 0.0]], "no position"),
        ([[0.4, 0.6]], [[1.0, np.nan]], "not finite"),
    ],
)
def test_rows_that_cannot_be_held_against_each_other(measure, alpha, beta, expected) -> None:
    with pytest.raises(InputError, match=expected):
        measure(alpha, beta)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, np.nan, np.inf])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        agreement([[1.0, 0.0]], [[1.0, 0.0]], share)


@given(row_pairs(), st.integers(0, 5))
def test_shuffled_rows_hold_the_same(rows: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    before, _ = rows
    after = shuffled(before, seed)
    np.testing.assert_array_equal(np.isnan(before), np.isnan(after))
    np.testing.assert_array_equal(np.sort(before, axis=1), np.sort(after, axis=1))
    np.testing.assert_array_equal(after, shuffled(before, seed))


@pytest.mark.parametrize("length", [8, 20, 21])
def test_chance_of_the_shuffled_baseline(length: int) -> None:
    n = 20_000
    random = np.random.default_rng(1)
    alpha, beta = random.random((2, n, length))
    expected = math.ceil(0.05 * length) / length
    deviation = math.sqrt(expected * (1 - expected) / n)
    for seed in range(3):
        assert abs(agreement(alpha, shuffled(beta, seed)) - expected) < 4 * deviation
        assert abs(agreement(beta, shuffled(beta, seed)) - expected) < 4 * deviation


# -- what a model does on examples -------------------------------------------------------------------------------------


def ragged_examples(single: bool, n: int = 9, seed: int = 0) -> Examples:
    """Inputs of any length, one word and the same word thrice among them."""
    random = np.random.default_rng(seed)
    x = [random.integers(V, size=random.integers(1, 6)) for _ in range(n - 2)] + [[3], [2, 2, 2]]
    y = [random.integers(K, size=1 if single else random.integers(1, 4)) for _ in range(n)]
    return Examples.from_rows(x, y, V, K)


MODELS = {
    "keyword": (keyword, True),
    "keyword-bias": (lambda: keyword(bias=True), True),
    "lexical": (lexical, False),
    "lexical-heads": (lambda: lexical(2), False),
    "positional": (positional, False),
    "positional-heads": (lambda: positional(3), False),
}


def attention_by_hand(states: dict[str, np.ndarray], x: np.ndarray, t: int, answer: int) -> np.ndarray:
    """Shape (heads, positions)."""
    if "s" in states:
        return softmax(states["s"][x])[None]
    own = states["W"].ndim - 2
    if "A" in states:
        logits = states["A"].reshape(-1, V, K)[:, x, answer]
    else:
        logits = states["P"].reshape(-1, *states["P"].shape[own:])[:, t, : len(x)]
    return softmax(logits)


def logits_by_hand(states: dict[str, np.ndarray], x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    values = states["W"].reshape(-1, V, K)[:, x]
    return np.einsum("hl,hlk->k", alpha, values) / len(values) + states.get("b", 0.0)


@pytest.fixture(params=MODELS)
def case(request: pytest.FixtureRequest) -> tuple[Model, Examples, dict[str, np.ndarray]]:
    make, single = MODELS[request.param]
    model, examples = make(), ragged_examples(single)
    return model, examples, model.initial(examples, dict.fromkeys(model.program.state_names, 0.9), 3)


def targets_of(examples: Examples):
    return [(x, t, int(answer)) for x, y in oracle.rows_of(examples) for t, answer in enumerate(y)]


def test_attention_accuracy_and_right_word(case) -> None:
    model, examples, states = case
    reader = Reader(model, examples)
    alpha = reader.attention(states)
    hits, right, word = [], [], np.array([2, 0, 5, 3])
    for row, (x, t, answer) in zip(alpha, targets_of(examples), strict=True):
        by_hand = attention_by_hand(states, x, t, answer)
        np.testing.assert_allclose(row[: len(x)], by_hand.mean(0), rtol=1e-12)
        assert np.isnan(row[len(x) :]).all()
        hits.append(logits_by_hand(states, x, by_hand).argmax() == answer)
        right.append(by_hand.mean(0)[x == word[answer]].sum())
    assert reader.accuracy(states) == pytest.approx(np.mean(hits))
    assert reader.on_words(alpha, word) == pytest.approx(np.mean(right))


def test_ktiw_is_the_prediction_from_one_word(case) -> None:
    model, examples, states = case
    reader = Reader(model, examples)
    beta = reader.ktiw(states)
    np.testing.assert_allclose(beta, softmax(states["W"].reshape(-1, V, K).mean(0) + states.get("b", 0.0)), rtol=1e-12)
    rows = reader.at_positions(beta)
    for row, (x, _, answer) in zip(rows, targets_of(examples), strict=True):
        np.testing.assert_array_equal(row[: len(x)], beta[x, answer])
        assert np.isnan(row[len(x) :]).all()


def test_delta_is_how_far_attention_lowers_the_loss(case) -> None:
    """Central differences of the mean cross-entropy in the attention of one target, all heads at once."""
    model, examples, states = case
    delta = Reader(model, examples).gradient(states)
    found = targets_of(examples)
    heads, h = states["W"].reshape(-1, V, K).shape[0], 1e-5

    def loss(x: np.ndarray, alpha: np.ndarray, answer: int) -> float:
        return -math.log(softmax(logits_by_hand(states, x, alpha))[answer]) / len(found)

    for row, (x, t, answer) in zip(delta, found, strict=True):
        alpha = attention_by_hand(states, x, t, answer)
        for l in range(len(x)):
            moved = h * (np.arange(len(x)) == l)
            slope = (loss(x, alpha + moved, answer) - loss(x, alpha - moved, answer)) / (2 * h)
            assert row[l] == pytest.approx(-slope / heads, rel=1e-7, abs=1e-10)
        assert np.isnan(row[len(x) :]).all()


# -- along a trajectory ------------------------------------------------------------------------------------------------

WORDS = Examples.from_rows([[0, 1], [1, 2], [2, 0]], [0, 1, 1], inputs=3, outputs=2)


def made_up(scores: list[list[float]], value: float = 1.0) -> xr.Dataset:
    """A keyword classifier that attends as it likes, and knows that word 0 means 0 and the others mean 1."""
    W = value * np.array([[3.0, -3.0], [-1.0, 1.0], [-2.0, 2.0]])
    s = np.array(scores)
    return xr.Dataset(
        {"s": (("time", "input"), s), "W": (("time", "input", "output"), np.tile(W, (len(s), 1, 1)))},
        {"time": np.arange(len(s))},
    )


def test_measures_by_hand() -> None:
    """KTIW has position 0, 1 (of words 1 and 2) and 0 (of words 2 and 0); the counts have 0, 0 (of 1 and 2) and 0."""
    run = made_up([[0, 0, 0], [0, 5, 0.1], [5, 0, 1], [0, 0, 5], [0, 9, 12]])
    found = measures(run, keyword(), WORDS, right=[0, 1], proxy=[[1, 0], [0, 1], [0, 0.5]])
    # Attention: level; positions 1, 0, 0; 0, 1, 1; level, 1, 0; 1, 1, 0.
    assert found.agreement_beta.values == pytest.approx([1 / 2, 1 / 3, 2 / 3, 5 / 6, 2 / 3])
    assert found.agreement_px.values == pytest.approx([1 / 2, 2 / 3, 1 / 3, 1 / 2, 1 / 3])
    # Logits of 0 less those of 1: 6, -2 and -4 by attention to words 0, 1 and 2. The second input is always right.
    assert found.accuracy.values == pytest.approx([2 / 3, 1 / 3, 2 / 3, 1, 2 / 3])
    share = 1 / (1 + np.exp(5.0)), 1 / (1 + np.exp(-4.9))
    assert found.attention.values[:2] == pytest.approx([1 / 3, sum(share) / 3])
    # The last attention agrees with that before by 1/2, 2/3, 1/3, 5/6, 1.
    assert found.xi_beta.item() == pytest.approx(1 / 3)  # 2/3 is reached at the second time
    assert found.xi_px.item() == pytest.approx(2 / 3)  # 1/3 at the first
    assert found.kendall_beta.item() == pytest.approx((-1 + 1 + 1) / 3)
    assert found.kendall_px.item() == pytest.approx((-1 - 1 + 1) / 3)
    assert (found.share, found.examples) == (0.05, 3)


def test_level_attention_at_the_end() -> None:
    """The last attention is level, and agrees with itself by half; with KTIW no more."""
    found = measures(made_up([[5, 0, 1], [0, 0, 0]]), keyword(), WORDS)
    assert found.agreement_beta.values[-1] == 0.5
    assert found.xi_beta.item() == found.accuracy.values[0]
    assert "attention" not in found
    assert "agreement_uf" not in found


def test_measures_keep_the_order_of_seeds_and_stages() -> None:
    one = made_up([[0, 0, 0], [0, 5, 1]])
    other = made_up([[0, 0, 0], [5, 0, 1]])
    together = xr.concat([one, other], xr.DataArray([7, 3], dims="seed", name="seed"))
    together = xr.concat([together, together.isel(time=[1, 0]).assign_coords(time=one.time)], "stages")
    found = measures(together.transpose("time", ..., "stages"), keyword(), WORDS)
    assert found.agreement_beta.transpose("stages", "seed", "time").values == pytest.approx(
        np.array([[[1 / 2, 1 / 3], [1 / 2, 2 / 3]], [[1 / 3, 1 / 2], [2 / 3, 1 / 2]]])
    )
    assert found.seed.values.tolist() == [7, 3]


def test_a_seed_that_diverged_is_missing_and_the_others_are_not() -> None:
    run = xr.concat([made_up([[0, 0, 0], [0, 5, 1]])] * 2, xr.DataArray([0, 1], dims="seed", name="seed")).copy(
        deep=True
    )
    run.W[1, 1] = np.nan
    found = measures(run, keyword(), WORDS)
    for name in ("accuracy", "agreement_beta", "agreement_shuffled"):
        np.testing.assert_array_equal(np.isnan(found[name].values), [[False, False], [False, True]])
    for name in ("kendall_beta", "xi_beta"):
        np.testing.assert_array_equal(np.isnan(found[name].values), [False, True])


def test_delta_and_proxy_are_taken_at_the_end_of_stage_one() -> None:
    """Each agreement against the definition, along a flow with several lengths."""
    examples = ragged_examples(False, n=12)
    flow = solve(lexical(), examples, [0, 5, 50])
    before = stage_one(lexical(), examples, 8.0)
    found = measures(flow, lexical(), examples, **before)
    reader = Reader(lexical(), examples)
    for k in range(3):
        states = {name: flow[name].values[k] for name in ("W", "A")}
        alpha = reader.attention(states)
        for name, rows in {
            "beta": reader.at_positions(softmax(states["W"])),
            "uf": reader.at_positions(softmax(before["uniform"]["W"])),
            "px": reader.at_positions(before["proxy"]),
            "delta": reader.gradient(before["uniform"]),
        }.items():
            assert found[f"agreement_{name}"].values[k] == pytest.approx(by_sorting(alpha, rows)), name


@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
@pytest.mark.parametrize(("make", "single"), MODELS.values(), ids=MODELS)
def test_stage_one_of_every_model_with_words(make, single) -> None:
    """KTIW under uniform attention: the flow of W by hand with attention held level, in small steps."""
    examples = ragged_examples(single)
    model = make()
    found = stage_one(model, examples, tau=2.0)
    (logits,) = {"A", "P", "s"} & found["uniform"].keys()
    assert (found["uniform"][logits] == 0).all()
    by_hand = getattr(oracle, model.name.split("-")[0])
    rows, steps = oracle.rows_of(examples), 200
    states = {name: np.zeros_like(value) for name, value in found["uniform"].items()}
    for _ in range(steps):  # midpoint rule
        slopes = states
        for h in (1 / steps, 2 / steps):
            _, grad = by_hand(slopes, rows)
            slopes = {name: states[name] - (0 if name == logits else h) * grad[name] for name in states}
        states = slopes
    for name, value in states.items():
        np.testing.assert_allclose(found["uniform"][name], value, atol=2e-5)
    assert found["proxy"].shape == (V, K)
    assert found["proxy"].sum(1) == pytest.approx(np.ones(V))


@pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
def test_the_proxy_has_every_word_in_its_place() -> None:
    """Words 0 and 2, and output 1, are nowhere: the others keep their rows and columns."""
    rows, answers = [[1, 4], [4, 3], [1, 3]], [[0], [2], [0]]
    sparse = Examples.from_rows(rows, answers, inputs=5, outputs=3)
    dense = Examples.from_rows([[0, 2], [2, 1], [0, 1]], [[0], [1], [0]], inputs=3, outputs=2)
    proxy = stage_one(lexical(), sparse, 5.0)["proxy"]
    np.testing.assert_allclose(proxy[np.ix_([1, 3, 4], [0, 2])], stage_one(lexical(), dense, 5.0)["proxy"], rtol=1e-6)
    assert proxy.shape == (5, 3)
    assert (proxy[[0, 2]] == 0).all()
    assert (proxy[:, 1] == 0).all()


def test_ids_are_in_the_order_of_numbers_not_of_letters() -> None:
    """More than ten words: 10 comes after 9."""
    task = ToyLexicon(12, 3).examples(400)
    proxy = stage_one(lexical(), task, 30.0)["proxy"]
    assert (proxy.argmax(0) == np.arange(12)).all()


def test_attention_agrees_with_what_is_known_of_words_where_there_is_a_signal() -> None:
    """Two stages: KTIW under uniform attention foretells where attention will go; in random order it does not."""
    sentences = ToyLexicon(30, 6).examples(300)
    flow = solve(lexical(), sentences, [0, 100, 2000])
    found = measures(flow, lexical(), sentences, right=range(30), **stage_one(lexical(), sentences, 100.0)).isel(
        time=-1
    )
    for name in ("beta", "uf", "px", "delta"):
        assert found[f"agreement_{name}"] > 0.95
    assert abs(found.agreement_shuffled - 1 / 6) < 0.05
    assert found.accuracy == 1
    assert found.attention > 0.9


def test_what_cannot_be_measured() -> None:
    copies = Copying(5, 3).examples(10)
    flow = solve(positional(), copies, [0, 1], initial={"W": 0.1, "P": 0.1})
    with pytest.raises(InputError, match="no P; it is not one of model positional"):
        measures(flow.drop_vars("P"), positional(), copies)
    with pytest.raises(InputError, match="W is of shape"):
        measures(flow, positional(), Copying(6, 3).examples(10))
    sentences = Examples.from_rows([[0, 1]], [0], inputs=2, outputs=2)
    with pytest.raises(InputError, match="no values W"):
        stage_one(topic("TC", 2), sentences, 1.0)
