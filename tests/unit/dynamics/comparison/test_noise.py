"""The linear noise of minibatches: against what is known of a quadratic loss, and against seeds."""

from __future__ import annotations

import numpy as np
import pytest

from dynamics.comparison.noise import after, noise
from dynamics.problems.kinds.arrays import on_arrays
from dynamics.program_file import SumOver, indices, model, sizes, tensors
from dynamics.support.errors import InputError
from dynamics.train.simulate import simulate

(N, D), (n, d), (x, k, w) = sizes("N D"), indices("n d"), tensors("x k w")
BOWL = model(
    "Bowl", extents={n: N, d: D}, data=(x[n, d], k[d]), states=w[d], examples=n,
    loss=SumOver(k[d] * (x[n, d] - w[d]) ** 2 / (2 * N), n, d),
)  # fmt: skip
DATA = {"x": np.random.default_rng(0).normal(size=(40, 3)), "k": np.array([1.0, 0.3, 2.0])}


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_of_a_quadratic_loss_the_noise_at_rest_is_known(momentum: float) -> None:
    """Stationary variance of one coordinate with curvature k, by the moments of its own recursion."""
    lr, batch = 0.05, 4
    found = noise(BOWL, DATA, lr=lr, batch=batch, t=[0, 10, 400, 400 + 10 * lr], momentum=momentum)
    drive = DATA["k"] ** 2 * DATA["x"].var(axis=0) / batch
    # theta <- theta + lr v, v <- m v - k theta + xi: three equations of the second moments.
    m, expected = momentum, []
    for curvature, variance in zip(DATA["k"], drive, strict=True):
        step = np.array([[1 - lr * curvature, lr * m], [-curvature, m]])
        kick = np.array([lr, 1.0])
        moments = np.linalg.solve(np.eye(4) - np.kron(step, step), variance * np.kron(kick, kick))
        expected.append(moments[0])
    np.testing.assert_allclose(found.w_spread[-1] ** 2, expected, rtol=1e-3)
    assert (found.w_spread[0] == 0).all()


def test_seeds_scatter_as_far() -> None:
    options = {"lr": 0.05, "batch": 4}
    run = simulate(BOWL, DATA, **options, steps=100, seeds=200, records=[0, 5, 100], replacement=True, threads=1)
    found = noise(BOWL, DATA, **options, t=np.arange(0, 105, 5) * 0.05).sel(time=run.time, method="nearest")
    np.testing.assert_allclose(run.w.std("seed", ddof=1)[1:], found.w_spread[1:], rtol=0.15)
    np.testing.assert_allclose(run.loss.std("seed", ddof=1)[1], found.loss_spread[1], rtol=0.25)


def test_steps_by_doubling_are_steps() -> None:
    random = np.random.default_rng(1)
    step, drive, before = random.normal(size=(3, 3)) / 2, np.eye(3), random.normal(size=(3, 3))
    expected = before
    for _ in range(13):
        expected = step @ expected @ step.T + drive
    np.testing.assert_allclose(after(step, drive, before, 13), expected)
    np.testing.assert_array_equal(after(step, drive, before, 0), before)


def test_driven_tangents_have_the_covariance_of_the_matrix_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"lr": 0.05, "batch": 4, "t": [0, 1, 2, 4], "momentum": 0.5}
    dense = noise(BOWL, DATA, **options)
    monkeypatch.setattr("dynamics.comparison.noise.DENSE", 0)
    driven = noise(BOWL, DATA, **options)
    assert driven.attrs["method"] == "64 driven tangents"
    np.testing.assert_allclose(driven.w_spread[1:], dense.w_spread[1:], rtol=0.3)


def test_what_has_no_examples_is_refused() -> None:
    plain = model("Plain", extents={d: D}, data=k[d], states=w[d], loss=SumOver(k[d] * w[d] ** 2, d))
    with pytest.raises(InputError, match="examples"):
        noise(on_arrays(plain, {"k": DATA["k"]}), lr=0.1, batch=2, t=[0, 1])


def test_compare_sets_the_predicted_spread_beside_that_of_seeds() -> None:
    from dynamics.comparison.compare import compare
    from dynamics.plot import comparison

    options = {"lr": 0.05, "batch": 4, "steps": 60, "seeds": 60, "records": [0, 5, 20, 60], "threads": 1}
    found = compare(BOWL, DATA, **options, replacement=True, noise=True, initial={"w": np.ones(3)})
    assert found.loss_spread.dims == found.loss_scatter.dims == ("time",)
    assert found.loss_spread[0] == 0
    np.testing.assert_allclose(found.loss_scatter[1:3], found.loss_spread[1:3], rtol=0.35)
    drawn = comparison(found)
    names = [text.get_text() for legend in drawn.legends for text in legend.get_texts()]
    assert names == ["theory", "its noise", "simulation, mean and 90 % of 60 seeds"]
    assert "loss_spread" not in compare(BOWL, DATA, **{**options, "seeds": 2}, replacement=True)
    for wrong, told in (
        ({}, "drawn anew"),
        ({"replacement": True, "batch": None}, "minibatches"),
        ({"replacement": True, "optimizer": "adam"}, "not of adam"),
    ):
        with pytest.raises(InputError, match=told):
            compare(BOWL, DATA, **{**options, **wrong}, noise=True)


def test_the_spread_of_an_order_parameter_is_that_of_its_sum() -> None:
    """u is the mean diagonal less the mean of the rest, and a likewise."""
    from dynamics.comparison.noise import order_parameters
    from dynamics.problems.kinds.exact import Exact
    from dynamics.problems.kinds.models import lexical
    from dynamics.tasks import ToyLexicon

    examples = ToyLexicon(3, 2).examples(20)
    rows = order_parameters(Exact(lexical(), examples))
    W = np.arange(9.0).reshape(3, 3) ** 2
    state = np.concatenate([W.ravel(), np.zeros(9)])
    assert rows["u"] @ state == pytest.approx(np.trace(W) / 3 - (W.sum() - np.trace(W)) / 6)
    assert list(rows) == ["u", "a"]
