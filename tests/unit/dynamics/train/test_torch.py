"""Every exact gradient, and descent along it, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.models import rows_of

from dynamics.problems.kinds.models import Model, keyword, lexical, positional, topic
from dynamics.tasks.examples import Examples
from dynamics.train.simulate import simulate

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra torch)")

import oracles.torch_models as reading  # noqa: E402 - it needs PyTorch

V, K = 6, 4
Arrays = dict[str, np.ndarray]
READOUT = np.random.default_rng(7).standard_normal((3, K))
ONE, SEVERAL = 1, 3
"""The most targets that an example may have."""

MODELS: dict[str, tuple[Callable[[], Model], reading.Loss, int]] = {
    "keyword": (keyword, reading.keyword, ONE),
    "keyword-bias": (lambda: keyword(bias=True), reading.keyword, ONE),
    "lexical": (lexical, reading.lexical, SEVERAL),
    "lexical-heads": (lambda: lexical(heads=3), reading.lexical, SEVERAL),
    "positional": (positional, reading.positional, SEVERAL),
    "positional-heads": (lambda: positional(heads=2), reading.positional, SEVERAL),
    "FC": (lambda: topic("FC", readout=READOUT), reading.topic(READOUT), ONE),
    "FC-keys": (lambda: topic("FC", readout=READOUT, query_dimension=2), reading.topic(READOUT), ONE),
    "TC": (lambda: topic("TC", dimension=3), reading.topic(), ONE),
    "TC-keys": (lambda: topic("TC", dimension=3, query_dimension=2), reading.topic(), ONE),
    "TL": (lambda: topic("TL", dimension=3, hidden=5), reading.topic(), ONE),
    "TL-keys": (lambda: topic("TL", dimension=3, hidden=5, query_dimension=2), reading.topic(), ONE),
}
each_model = pytest.mark.parametrize("name", MODELS)


def ragged_examples(most: int) -> Examples:
    """Inputs of one to six words; the same word thrice and nothing else, twice beside others, once and alone."""
    x = [[0, 1, 2, 3, 4, 5], [2, 2, 2], [3], [1, 4, 1], [5, 0], [0, 5], [4]]
    y = [[1, 0, 1], [2], [3, 3], [0], [1, 2], [2], [3, 0, 2]]
    return Examples.from_rows(x, [row[:most] for row in y], V, K)


def drawn(most: int) -> st.SearchStrategy[Examples]:
    rows = st.lists(
        st.tuples(
            st.lists(st.integers(0, V - 1), min_size=1, max_size=5),
            st.lists(st.integers(0, K - 1), min_size=1, max_size=most),
        ),
        min_size=1,
        max_size=5,
    )
    return rows.map(lambda rows: Examples.from_rows([x for x, _ in rows], [y for _, y in rows], V, K))


def started(model: Model, examples: Examples, size: float, seed: int) -> Arrays:
    return model.initial(examples, dict.fromkeys(model.program.state_names, size), seed)


def ours(model: Model, examples: Examples, states: Arrays) -> tuple[float, Arrays]:
    """Loss and gradient as the compiled code has them."""
    names = model.program.state_names
    parameters = {**model.all_sizes(examples), **{f"eta_{name}": 1.0 for name in names}}
    packed = np.concatenate([states[name].ravel() for name in names])
    flow = model.kernel(examples).bind(model.arrays(examples), parameters).evaluate(packed)
    loss = model.kernel(examples, ("loss",)).bind(model.arrays(examples), parameters).evaluate(packed)["loss"]
    return loss.item(), {name: -d for name, d in zip(names, flow.values(), strict=True)}


def theirs(
    loss: reading.Loss, examples: Examples, states: dict[str, np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradient by automatic differentiation."""
    tensors = {name: reading.double(value).requires_grad_() for name, value in states.items()}
    value = loss(tensors, rows_of(examples))
    assert value.dtype == torch.float64
    found = torch.autograd.grad(value, list(tensors.values()), allow_unused=True, materialize_grads=True)
    return value.item(), {name: gradient.numpy() for name, gradient in zip(tensors, found, strict=True)}


@each_model
@pytest.mark.parametrize("size", [1e-3, 0.7, 2.0])
def test_gradients_are_those_of_autograd(name: str, size: float) -> None:
    make, loss, most = MODELS[name]
    model, examples = make(), ragged_examples(most)
    states = started(model, examples, size, seed=5)
    value, gradients = ours(model, examples, states)
    expected, autograd = theirs(loss, examples, states)
    assert value == pytest.approx(expected, rel=1e-12)
    assert gradients.keys() == autograd.keys()
    for state, gradient in gradients.items():
        scale = np.abs(autograd[state]).max()
        assert scale > 0
        assert np.abs(gradient - autograd[state]).max() <= 1e-10 * scale, state


@each_model
@settings(max_examples=15)
@given(data=st.data())
def test_gradients_are_those_of_autograd_on_any_examples(name: str, data: st.DataObject) -> None:
    """The scale is that of all states: inputs of one word have no gradient of attention but rounding."""
    make, loss, most = MODELS[name]
    model, examples = make(), data.draw(drawn(most))
    states = started(model, examples, data.draw(st.floats(0.01, 2.0)), data.draw(st.integers(0, 1000)))
    value, gradients = ours(model, examples, states)
    expected, autograd = theirs(loss, examples, states)
    assert value == pytest.approx(expected, rel=1e-12)
    scale = max(np.abs(gradient).max() for gradient in autograd.values())
    for state, gradient in gradients.items():
        assert np.abs(gradient - autograd[state]).max() <= 1e-10 * scale, state


@each_model
def test_from_zero_the_gradients_agree_too(name: str) -> None:
    """At zero the rectified units are at their kink, where both take the derivative 0."""
    make, loss, most = MODELS[name]
    model, examples = make(), ragged_examples(most)
    states = started(model, examples, 0.0, seed=0)
    value, gradients = ours(model, examples, states)
    expected, autograd = theirs(loss, examples, states)
    assert value == pytest.approx(expected, rel=1e-14)
    for state, gradient in gradients.items():
        np.testing.assert_allclose(gradient, autograd[state], rtol=0, atol=1e-16)


@each_model
def test_positions_beyond_the_examples_have_no_gradient(name: str) -> None:
    """A part of the examples keeps the shapes of all; what it does not use stands still."""
    make, loss, most = MODELS[name]
    model, examples = make(), ragged_examples(most).take([3, 2, 5])
    states = started(model, examples, 0.7, seed=2)
    _, gradients = ours(model, examples, states)
    _, autograd = theirs(loss, examples, states)
    for state, gradient in gradients.items():
        assert np.abs(gradient - autograd[state]).max() <= 1e-10 * np.abs(autograd[state]).max(), state
        np.testing.assert_array_equal(gradient[autograd[state] == 0], 0)


@each_model
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_is_that_of_the_optimiser(name: str, momentum: float) -> None:
    """torch.optim.SGD on all examples, with a learning rate of its own for the first state."""
    make, loss, most = MODELS[name]
    model, examples = make(), ragged_examples(most)
    start = started(model, examples, 0.5, seed=8)
    lr, steps, first = 0.1, 20, model.program.state_names[0]
    run = simulate(
        model, examples, lr, steps=steps, records=range(steps + 1), momentum=momentum, initial=start, rates={first: 2.0}
    )

    tensors = {state: reading.double(value).requires_grad_() for state, value in start.items()}
    groups = [{"params": [value], "lr": lr * (2 if state == first else 1)} for state, value in tensors.items()]
    optimiser = torch.optim.SGD(groups, lr=lr, momentum=momentum)
    rows = rows_of(examples)
    for step in range(steps + 1):
        optimiser.zero_grad()
        value = loss(tensors, rows)
        assert run.loss[0, step].item() == pytest.approx(value.item(), rel=1e-10)
        for state, tensor in tensors.items():
            expected = tensor.detach().numpy()
            assert np.abs(run[state][0, step] - expected).max() <= 1e-10 * np.abs(expected).max(), (state, step)
        value.backward()
        optimiser.step()
