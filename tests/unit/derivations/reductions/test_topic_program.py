"""Programs of topic words: against NumPy written by hand, and against the full models that they come from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from derivations import reductions
from derivations import registry as catalogue
from derivations.gradient_flow.adjoints import descent_flow
from derivations.models import CLASSIFIERS, topic_classifier
from derivations.program.program import ProgramError
from dynamics.lowering import lower

V, D, K, J, E = 5, 3, 3, 4, 2
X = [[0, 1, 4], [1, 4], [2, 3, 4], [0, 3]]
"""Words of four kinds of sentences."""
LABELS = np.array([0, 2, 1, 1])


def case(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(V, V))
    shapes = {
        "v": (V, D), "s": (V,), "key": (V, E), "query": (E,),
        "U": (D, K), "F": (J, D), "f": (J,), "G": (K, J), "g": (K,),
    }  # fmt: skip
    return {
        "length": np.array([len(row) for row in X]), "x": np.concatenate(X), "y": LABELS,
        "share": rng.dirichlet(np.ones(len(X))), "times": rng.uniform(0.5, 4, size=sum(map(len, X))),
        "coupling": mixing @ mixing.T / V, **{name: rng.normal(size=shape) for name, shape in shapes.items()},
    }  # fmt: skip


def velocity(program, values: dict, rates: dict[str, float]) -> dict[str, np.ndarray]:
    """The compiled flow."""
    sizes = {"N": len(LABELS), "V": values["v"].shape[0], "D": D, "K": K, "J": J, "E": E}
    data = {str(a.base.label): values[str(a.base.label)] for a in program.data}
    bound = lower(program).bind(data, {**sizes, **{f"eta_{name}": rate for name, rate in rates.items()}})
    y = np.concatenate([values[name].ravel() for name in program.state_names])
    out = np.empty_like(y)
    bound(y, out)
    return {name: view.copy() for name, view in bound.states(out).items()}


def loss(values: dict, classifier: str, keys: bool) -> float:
    """Mean cross-entropy over kinds, from the definition: a word that stands k times counts k times."""
    scores = values["key"] @ values["query"] if keys else values["s"]
    total, at = 0.0, 0
    for row, label, share in zip(X, LABELS, values["share"], strict=True):
        k = values["times"][at : at + len(row)]
        at += len(row)
        weight = k * np.exp(scores[row])
        context = weight / weight.sum() @ values["v"][row]
        if classifier == "TL":
            logits = values["G"] @ np.maximum(values["F"] @ context + values["f"], 0) + values["g"]
        else:
            logits = context @ values["U"]
        total -= share * np.log(softmax(logits)[label])
    return total


@pytest.mark.parametrize(("classifier", "keys"), [("FC", False), ("TC", False), ("TL", False), ("TL", True)])
def test_words_move_by_the_gradient_times_their_coupling(classifier: str, keys: bool) -> None:
    """By central differences of the loss, then through the coupling; classifier and query by the gradient alone."""
    program, values = reductions.topic_words(classifier, keys), case(3)
    rates = {name: 0.5 + 0.3 * k for k, name in enumerate(program.state_names)}
    found = velocity(program, values, rates)
    for name in program.state_names:
        slope, h = np.empty_like(values[name]), 1e-6
        for at in np.ndindex(slope.shape):
            ends = []
            for step in (h, -h):
                moved = values[name].copy()
                moved[at] += step
                ends.append(loss({**values, name: moved}, classifier, keys))
            slope[at] = (ends[0] - ends[1]) / (2 * h)
        if name in ("v", "s", "key"):
            slope = values["coupling"] @ slope
        np.testing.assert_allclose(found[name], -rates[name] * slope, atol=1e-8)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_sentences_alike_with_identity_for_coupling_are_the_full_model(classifier: str) -> None:
    """Each word as often as it stands, each kind with the share 1/N, each word for itself: nothing is reduced."""
    values = case(4) | {"share": np.full(4, 0.25), "times": np.ones(sum(map(len, X))), "coupling": np.eye(V)}
    full, reduced = topic_classifier(classifier), reductions.topic_words(classifier)
    rates = dict.fromkeys(full.state_names, 0.7)
    found, expected = velocity(reduced, values, rates), velocity(full, values, rates)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-14)


@pytest.mark.parametrize("columns", [2, 3, 5])
def test_logits_move_as_the_embeddings_make_them(columns: int) -> None:
    """W = v U, whatever the rank of U: fewer classes than dimensions, as many, more."""
    rng, values = np.random.default_rng(5), case(5)
    values |= {"U": rng.normal(size=(D, columns)), "y": LABELS % columns}
    sizes = {"N": 4, "V": V, "D": D, "K": columns}

    def flow(program, states: list[np.ndarray], rates: dict[str, float]) -> dict[str, np.ndarray]:
        data = {str(a.base.label): values[str(a.base.label)] for a in program.data}
        bound = lower(program).bind(data, sizes | rates)
        y = np.concatenate([state.ravel() for state in states])
        out = np.empty_like(y)
        bound(y, out)
        return bound.states(out)

    v, s, U = values["v"], values["s"], values["U"]
    full = flow(topic_classifier("FC"), [v, s], {"eta_v": 0.6, "eta_s": 1.4})
    logits = flow(reductions.in_span(), [s, v @ U], {"eta_W": 0.6, "eta_s": 1.4})
    np.testing.assert_allclose(logits["s"], full["s"], atol=1e-14)
    np.testing.assert_allclose(logits["W"], full["v"] @ U, atol=1e-13)
    # What the embeddings do is in the span of U's columns.
    projection = U @ np.linalg.pinv(U)
    np.testing.assert_allclose(full["v"] @ projection, full["v"], atol=1e-14)


def test_names_states_and_what_is_neglected() -> None:
    for name in ("topic-FC-span", "topic-words-FC", "topic-words-TC", "topic-words-TL"):
        assert catalogue.program(name).name == name
    assert reductions.topic_words("TL", keys=True).name == "topic-words-TL-keys"
    assert reductions.topic_words("TC", keys=True).state_names == ("v", "key", "query", "U")
    assert "averaged" in reductions.topic_words("FC").assumptions[-1]
    assert reductions.topic_words("FC") is reductions.topic_words("FC")


@pytest.mark.parametrize(
    "program", [reductions.topic_words("FC"), reductions.in_span()], ids=lambda program: program.name
)
def test_a_flow_with_a_metric_is_not_taken_for_that_of_a_loss(program) -> None:
    """The modified flow of descent would be that of the loss without its metric: it is refused."""
    assert program.model is None
    with pytest.raises(ProgramError):
        descent_flow(program)
