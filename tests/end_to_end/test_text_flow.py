"""The exact flows of real text: sentiment of film reviews (SST-2), English with its translation (Multi30k)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import xarray as xr
from oracles import formulas as oracles
from oracles.models import keyword as keyword_by_hand
from oracles.models import rows_of
from oracles.reference_data import MULTI30K, SST, reviews, translations

from dynamics import CoOccurrence, simulate, solve
from dynamics.counts.text.corpus import LabelledText
from dynamics.counts.text.encoding import encode
from dynamics.problems.kinds.models import keyword, lexical
from dynamics.tasks.examples import Examples

pytestmark = pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")

FILM = {"tokenizer": "whitespace", "max_pairs": 1000, "min_count": 2}
CAPTION = {"tokenizer": "whitespace", "max_pairs": 500, "max_vocab": 60}


def relative(found, expected) -> float:
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# -- sentiment, keyword classifier ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films() -> Examples:
    return Examples.from_labelled_text(SST / "stsa.binary.train", **FILM)


@pytest.fixture(scope="module")
def judged(films: Examples) -> xr.Dataset:
    return solve(keyword(), films, [0, 30, 100, 300, 1000, 3000])


@reviews
def test_the_words_are_those_that_are_counted(films: Examples, judged: xr.Dataset) -> None:
    counted = CoOccurrence.from_labelled_text(SST / "stsa.binary.train", **FILM)
    assert judged.input.values.tolist() == list(counted.inputs)
    assert judged.output.values.tolist() == ["0", "1"]
    assert len(films) == 1000
    lines = (SST / "stsa.binary.train").read_text().splitlines()[:1000]
    for n, (words, label) in enumerate(rows_of(films)):
        expected, *sentence = lines[n].split()
        assert films.labels[1][label[0]] == expected
        assert [films.labels[0][i] for i in words] == [w for w in map(str.lower, sentence) if w in films.labels[0]]


@reviews
def test_sentiment_is_learnt(judged: xr.Dataset) -> None:
    assert judged.loss[0].item() == pytest.approx(np.log(2), rel=1e-14)
    assert (np.diff(judged.loss) < 0).all()
    assert judged.loss[-1] < 0.5
    assert np.abs(judged.W.sum("output")).max() < 1e-12
    favoured = judged.W.isel(time=-1).idxmax("output")
    assert (favoured.sel(input=["best", "entertaining", "engaging", "powerful", "solid"]) == "1").all()
    assert (favoured.sel(input=["worst", "dull", "bad", "lack", "contrived", "n't"]) == "0").all()


@reviews
def test_attention_turns_to_the_words_that_decide(films: Examples, judged: xr.Dataset) -> None:
    """A word is as pure as its sentences agree; early scores do not know of purity, late ones do."""
    seen: dict[str, Counter] = {"0": Counter(), "1": Counter()}
    for line in (SST / "stsa.binary.train").read_text().splitlines()[:1000]:
        label, *words = line.lower().split()
        seen[label].update(set(words))
    poor, good = (np.array([seen[label][word] for word in films.labels[0]]) for label in "01")
    often = poor + good >= 5
    purity = np.abs(good - poor) / (good + poor)
    scores = judged.s.values
    correlation = [np.corrcoef(s[often], purity[often])[0, 1] for s in scores[1:]]
    assert (np.diff(correlation) > 0).all()
    assert correlation[0] == pytest.approx(0, abs=0.05)
    assert correlation[-1] > 0.4
    assert scores[-1, often & (purity > 0.6)].mean() > 0.4
    assert scores[-1, often & (purity < 0.2)].mean() < -0.2
    top = np.argsort(-scores[-1])[:20]
    assert purity[top].mean() > 0.7
    assert np.average(purity, weights=good + poor) < 0.3


@reviews
def test_the_beginning_is_linear_in_values_and_quadratic_in_scores(films: Examples) -> None:
    """W = tau (C - c/2) and s = tau^2/2 times the advantage of each word under these values, up to the next order."""
    counted = CoOccurrence.from_labelled_text(SST / "stsa.binary.train", **FILM).dense()
    W = counted.C - counted.c[:, None] / 2
    bags = np.zeros((len(films), films.inputs))
    for bag, (words, _) in zip(bags, rows_of(films), strict=True):
        np.add.at(bag, words, 1 / len(words))
    surprise = np.eye(2)[films.y] - 1 / 2
    gain = surprise @ W.T  # of attending to a word in a sentence
    s = (bags * (gain - (bags * gain).sum(1, keepdims=True))).mean(0)
    found = solve(keyword(), films, [0.5, 1.0], rtol=1e-8, atol=1e-13)
    errors = np.array(
        [[relative(f.W, t * W), relative(f.s, t**2 / 2 * s)] for t in (0.5, 1.0) for f in [found.sel(time=t)]]
    )
    assert (errors[1] < 0.006).all()
    np.testing.assert_allclose(errors[1] / errors[0], 2, atol=0.02)


@reviews
def test_the_flow_at_the_end_is_that_of_plain_numpy(films: Examples, judged: xr.Dataset) -> None:
    model = keyword()
    end = {name: judged[name][-1].values for name in ("s", "W")}
    loss, gradient = keyword_by_hand(end, rows_of(films))
    assert judged.loss[-1].item() == pytest.approx(loss, rel=1e-12)
    flow = model.kernel(films).bind(model.arrays(films), {**model.all_sizes(films), "eta_s": 1.0, "eta_W": 1.0})
    found = flow.evaluate(np.concatenate([end["s"], end["W"].ravel()]))
    for name, value in zip(("s", "W"), found.values(), strict=True):
        assert np.abs(value + gradient[name]).max() < 1e-12 * np.abs(gradient[name]).max()


@reviews
def test_unseen_sentences_are_judged_too(films: Examples, judged: xr.Dataset) -> None:
    text = LabelledText(SST / "stsa.binary.dev", tokenizer="whitespace")
    unseen = Examples.from_encoded(encode(text, *films.labels), *films.labels)
    s, W = judged.s[-1].values, judged.W[-1].values
    right = [W[words].T @ oracles.softmax(s[words]) for words, _ in rows_of(unseen)]
    accuracy = (np.argmax(right, axis=1) == unseen.y).mean()
    assert np.bincount(unseen.y).max() / len(unseen) < 0.52
    assert accuracy > 0.67


# -- translation, lexical attention -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def captions() -> Examples:
    return Examples.from_parallel_text(MULTI30K / "train.en.gz", MULTI30K / "train.de.gz", **CAPTION)


def sentences(examples: Examples) -> oracles.Sentences:
    x, y = zip(*rows_of(examples), strict=True)
    return oracles.Sentences(x, y, examples.inputs, examples.outputs)


@translations
def test_the_exact_flow_is_that_of_plain_numpy(captions: Examples) -> None:
    exact = oracles.Batched(sentences(captions), batch=100)
    zero = np.zeros((captions.inputs, captions.outputs))
    t = [100, 300]
    expected = oracles.flow(lambda W, A: exact.lexical(W, A)[1:], [zero, zero], t, rtol=1e-6)
    found = solve(lexical(), captions, t, rtol=1e-7)
    for k, (W, A) in enumerate(expected):
        assert relative(found.W[k], W) < 1e-5
        assert relative(found.A[k], A) < 1e-5
        assert found.loss[k].item() == pytest.approx(exact.lexical(W, A)[0], rel=1e-6)


@translations
def test_words_attend_to_their_translations(captions: Examples) -> None:
    found = solve(lexical(), captions, [0, 30, 100, 300, 600])
    assert found.loss[0].item() == pytest.approx(np.log(captions.outputs), rel=1e-14)
    assert (np.diff(found.loss) < 0).all()
    pairs = {
        "mann": "man", "frau": "woman", "junge": "boy", "mädchen": "girl", "männer": "men", "hund": "dog",
        "zwei": "two", "drei": "three", "hemd": "shirt", "straße": "street", "wasser": "water", "strand": "beach",
        "gruppe": "group", "und": "and", "roten": "red", "steht": "standing", "trägt": "wearing",
    }  # fmt: skip
    attended = found.A.isel(time=-1).idxmax("input")
    assert {german: attended.sel(output=german).item() for german in pairs} == pairs


@translations
def test_held_attention_is_stage_one_and_the_gram_matrix_closes_it_best(captions: Examples) -> None:
    t = [30, 100, 300, 1000]
    found = solve(lexical(), captions, t, rates={"A": 0.0})
    np.testing.assert_array_equal(found.A, 0)
    stage_one = oracles.flow(sentences(captions).stage_one, [np.zeros((captions.inputs, captions.outputs))], t)
    np.testing.assert_array_less([relative(found.W[k], W) for k, (W,) in enumerate(stage_one)], 1e-4)
    counted = CoOccurrence.from_parallel_text(
        MULTI30K / "train.en.gz", MULTI30K / "train.de.gz", gram=True, **CAPTION
    )  # fmt: skip
    gram, marginal, linear = (
        np.array([relative(closed.W[k], found.W[k]) for k in range(len(t))])
        for closed in (solve(counted, t, closure=closure) for closure in ("gram", "marginal", "linear"))
    )
    assert (gram < 0.7 * marginal).all()
    assert (marginal < 0.1 * linear).all()
    assert gram[0] < 2e-4
    assert gram[-1] < 0.02


@translations
def test_descent_meets_the_flow_at_first_order(captions: Examples) -> None:
    end, rates = 80, (4, 2, 1)
    flow = solve(lexical(), captions, [end], rtol=1e-8, atol=1e-11).isel(time=0)
    gaps = []
    for lr in rates:
        run = simulate(lexical(), captions, lr=lr, steps=end // lr, records=[end // lr]).isel(seed=0, time=0)
        assert run.time.item() == end
        assert run.input.values.tolist() == flow.input.values.tolist()
        gaps.append([relative(run[name], flow[name]) for name in ("W", "A")])
    orders = -np.diff(np.log2(gaps), axis=0)
    np.testing.assert_allclose(orders[-1], 1, atol=0.05)
    assert (np.abs(orders[-1] - 1) < np.abs(orders[0] - 1)).all()
