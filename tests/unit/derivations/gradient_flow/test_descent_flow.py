"""The modified flow of gradient descent: derived by a second sweep, through adjoints that scatter."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.gradient_flow.adjoints import descent_flow
from derivations.models import keyword_classifier, lexical_attention, topic_classifier
from derivations.program.program import Program
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import lower

MODELS = [keyword_classifier(), lexical_attention(), topic_classifier("TC")]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_modified_flow_is_what_descent_follows(model: Program) -> None:
    """Full-batch descent leaves the gradient flow in first order of the learning rate, the modified one in second."""
    rng = np.random.default_rng(0)
    lengths, answers = rng.integers(1, 4, 9), rng.integers(1, 3, 9)
    several = "targets" in model.declarations
    data = {
        "length": lengths,
        "x": rng.integers(0, 5, lengths.sum()),
        "targets": answers,
        "y": rng.integers(0, 3, answers.sum() if several else 9),
    }
    values = {"V": 5, "K": 3, "D": 2} | {f"eta_{name}": 0.7 + 0.3 * k for k, name in enumerate(model.state_names)}
    flow = lower(model).bind(data, values)
    start, end, out = rng.standard_normal(flow.state_size), 2.0, np.empty(flow.state_size)
    rates, gaps = np.array([0.2, 0.1, 0.05]), []
    for lr in rates:
        y = start.copy()
        for _ in range(round(end / lr)):
            flow(y, out)
            y += lr * out
        modified = lower(descent_flow(model)).bind(data, {**values, "lr": lr})
        flows = (integrate(f, start, (0, end), rtol=1e-10, atol=1e-12).y for f in (flow, modified))
        gaps.append([float(np.linalg.norm(y - other)) for other in flows])
    slopes = np.polyfit(np.log(rates), np.log(gaps), 1)[0]
    assert slopes == pytest.approx([1.0, 2.0], abs=0.07)


def test_the_modified_flow_descends_the_modified_loss() -> None:
    """Against differences of the loss with its squared gradient; rates of the states count in both."""
    model, rng = topic_classifier("TL"), np.random.default_rng(1)
    data = {"length": np.array([2, 1, 3]), "x": rng.integers(0, 4, 6), "y": np.array([0, 1, 1])}
    values = {"V": 4, "K": 2, "D": 3, "J": 4, "lr": 0.5} | {f"eta_{s}": 1.0 + 0.1 * k for k, s in enumerate("vsFfGg")}
    flow = lower(descent_flow(model)).bind(data, values)
    loss = lower(descent_flow(model), ["loss_modified"]).bind(data, values)
    y, out, step = rng.standard_normal(flow.state_size), np.empty(flow.state_size), 1e-5
    flow(y, out)
    rates = np.concatenate([np.full(v.size, values[f"eta_{name}"]) for name, v in flow.states(y).items()])
    ends = ((loss.evaluate(y + s * step * e)["loss_modified"] for s in (1, -1)) for e in np.eye(y.size))
    slope = np.array([float(above - below) / (2 * step) for above, below in ends])
    np.testing.assert_allclose(out, -rates * slope, atol=1e-8)
