"""Adam's program against Adam written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sympy import simplify, symbols

from derivations.checks.small_data import as_function
from derivations.gradient_flow.optimisers import adam, kept_average
from dynamics.problems.predictions.adam import Adam, Averages


def by_hand(theta, gradients, lr, b1, b2, eps):
    """torch.optim.Adam without weight decay and AMSGrad: its defaults, as its documentation has them."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for k, g in enumerate(gradients, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        theta = theta - lr * (m / (1 - b1**k)) / (np.sqrt(v / (1 - b2**k)) + eps)
    return theta


@pytest.mark.parametrize("options", [{}, {"b1": 0.5, "b2": 0.9, "eps": 1e-3}])
def test_steps_are_those_of_adam(options: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    theta = {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=5)}
    gradients = [{name: rng.normal(size=value.shape) for name, value in theta.items()} for _ in range(200)]
    found, averages = theta, Averages.none(theta)
    for g in gradients:
        found, averages = Adam(lr=0.01, **options).step(found, averages, g)
    for name, value in theta.items():
        expected = by_hand(
            value, [g[name] for g in gradients], 0.01, *({"b1": 0.9, "b2": 0.999, "eps": 1e-8} | options).values()
        )
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)
    assert averages.time == 200


def test_averages_over_some_steps_are_those_of_single_steps() -> None:
    m, g, beta = symbols("m g beta")
    once = m
    for _ in range(3):
        once = kept_average(once, g, beta, 1)
    assert simplify(once - kept_average(m, g, beta, 3)) == 0


def test_several_steps_at_once_hold_the_gradient() -> None:
    """Averages and bias corrections at the end are those of single steps; the way there is that of the last one."""
    g = {"W": np.array([0.3, -2.0])}
    theta = {"W": np.zeros(2)}
    one, single = theta, Averages.none(theta)
    for _ in range(4):
        one, single = Adam(lr=0.01).step(one, single, g)
    four, whole = Adam(lr=0.01).step(theta, Averages.none(theta), g, steps=4)
    np.testing.assert_allclose(whole.first["W"], single.first["W"])
    np.testing.assert_allclose(whole.second["W"], single.second["W"])
    np.testing.assert_allclose(four["W"], one["W"], rtol=1e-6)  # a constant gradient: four steps of the same size
    assert whole.time == single.time == 4


def test_the_noise_of_a_batch_is_in_the_mean_square() -> None:
    """From n fresh examples, on average the mean square over batches of B, but for the square of the mean over B."""
    rng = np.random.default_rng(0)
    mean, spread, n, batch = 0.5, 2.0, 64, 8
    contributions = rng.normal(mean, spread, (20_000, n)) / n
    theta = {"W": np.zeros(len(contributions))}
    _, averages = Adam(lr=1.0, b2=0.0, batch=batch).step(
        theta, Averages.none(theta), {"W": contributions.sum(1)}, {"W": (contributions**2).sum(1)}, examples=n
    )
    of_batches = mean**2 + spread**2 / batch
    np.testing.assert_allclose(averages.second["W"].mean(), of_batches + mean**2 * (1 / batch - 1 / n), rtol=0.01)


def test_adam_in_plain_python_is_adam_in_arrays() -> None:
    rng = np.random.default_rng(1)
    values = {name: rng.uniform(0.1, 1, 4) for name in ("theta", "first", "second", "gradient", "moment")}
    numbers = {
        "step": 2.0, "time": 5.0, "lr": 0.1, "beta_1": 0.9, "beta_2": 0.99, "softening": 1e-3, "batch": 4.0,
        "examples": 16.0,
    }  # fmt: skip
    expected = as_function(adam())(**values, **numbers)
    theta, averages = Adam(lr=0.1, b2=0.99, eps=1e-3, batch=4).step(
        {"W": values["theta"]}, Averages({"W": values["first"]}, {"W": values["second"]}, 5.0),
        {"W": values["gradient"]}, {"W": values["moment"]}, examples=16, steps=2,
    )  # fmt: skip
    np.testing.assert_allclose(theta["W"], expected["theta_next"], rtol=1e-13)
    np.testing.assert_allclose(averages.second["W"], expected["second_next"], rtol=1e-13)
