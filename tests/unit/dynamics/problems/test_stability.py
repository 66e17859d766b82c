"""Where steps leave their flow: thresholds, curvature along flows, and what is said."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

from dynamics import solve
from dynamics.problems.kinds.arrays import on_arrays
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.models import lexical
from dynamics.problems.optimisers.curvature import by_differences, by_tangents, largest, limit_of
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.program_file import SumOver, indices, model, sizes, tensors
from dynamics.support.errors import InputError, StabilityWarning
from dynamics.tasks import ToyLexicon
from dynamics.train.simulate import simulate
from dynamics.train.stepping import Stepping

(D,), (d,), (w, k) = sizes("D"), indices("d"), tensors("w k")
BOWL = model("Bowl", extents={d: D}, data=k[d], states=w[d], loss=SumOver(k[d] * w[d] ** 2 / 2, d))


@pytest.mark.parametrize("name", ["descent", "momentum", "nesterov"])
def test_steps_grow_beyond_the_limit_and_shrink_within(name: str) -> None:
    for share, grows in ((0.98, False), (1.02, True)):
        optimizer = Optimizer(name, lr=1.0)
        curvature = share * (limit_of(optimizer) or 0.0)
        stepping = Stepping(optimizer, np.ones(1), 3000)
        y, averages = np.ones(1), stepping.rest
        for step in range(3000):
            y, averages = stepping(step, y, curvature * y, averages)
            if abs(y[0]) > 1e6:
                break
        assert (abs(y[0]) > 10) == grows
        assert grows or abs(y[0]) < 1e-6


def test_of_adam_the_limit_is_that_of_a_given_normaliser() -> None:
    """With squares that are kept, Adam is an average of the gradient over their root: 38 at beta_1 = 0.9."""
    assert limit_of(Optimizer("adam", 1e-3)) == pytest.approx(38)
    for share, grows in ((0.98, False), (1.02, True)):
        y, mean = 1.0, 0.0
        for _ in range(3000):
            mean = 0.9 * mean + 0.1 * (38 * share * y)
            y -= mean
            if abs(y) > 1e6:
                break
        assert (abs(y) > 10) == grows


def test_the_largest_eigenvalue_of_a_model_is_that_of_its_whole_hessian() -> None:
    problem, rates = Exact(lexical(), ToyLexicon(4, 3).examples(30)), {"W": 1.0, "A": 0.3}
    y = problem.initial({"W": 1.0, "A": 1.0}, 0)
    apply, flow = by_tangents(problem, rates), problem.bind(rates)[0]
    whole = np.array([apply(y, e) for e in np.eye(y.size)]).T
    expected = np.linalg.eigvals(whole).real.max()
    assert largest(lambda v: apply(y, v), y.size) == pytest.approx(expected, rel=2e-3)
    assert largest(lambda v: by_differences(flow)(y, v), y.size) == pytest.approx(expected, rel=2e-3)


def test_a_curvature_that_is_negative_everywhere_is_said() -> None:
    assert largest(lambda v: -np.array([3.0, 1.0, 2.0]) * v, 3) == pytest.approx(-1.0)
    assert np.isnan(largest(lambda v: np.nan * v, 3))


def test_where_a_flow_is_left_is_said_with_the_rate_that_would_do() -> None:
    arrays = {"k": [1.0, 8.0]}
    with pytest.warns(StabilityWarning, match=r"at tau = 0 lr x curvature is 4, beyond the 2 .* below 0.25 would do"):
        found = solve(BOWL, arrays, [0, 1.0], lr=0.5, stability=True)
    np.testing.assert_allclose(found.curvature, 8.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stable = solve(BOWL, arrays, [0, 1.0], optimizer="momentum", lr=0.4, stability=True)
        assert re.search("at most 3.2, within the 3.8", stable.attrs["stability"])
        run = simulate(BOWL, arrays, 0.2, steps=5, initial={"w": 1.0})
        assert "at most 1.6, within the 2" in run.attrs["stability"]
        assert "stability" not in simulate(BOWL, arrays, 0.5, steps=5, initial={"w": 1.0}, stability=False).attrs
    with pytest.warns(StabilityWarning, match="beyond the 2"):
        simulate(BOWL, arrays, 0.3, steps=5, initial={"w": 1.0})


def test_a_warm_up_is_looked_at_with_its_own_rates() -> None:
    """At the start the rate is a tenth: no step is too long until it has grown."""
    optimizer = Optimizer("descent", 0.5, "warmup:10", form="limit")
    with pytest.warns(StabilityWarning, match=r"lr x curvature is 2\.\d+, beyond"):
        solve(on_arrays(BOWL, {"k": [1.0, 8.0]}), np.linspace(0, 3, 16), optimizer=optimizer, stability=True)


@pytest.mark.parametrize("options", [{}, {"optimizer": "sign", "lr": 0.1}])
def test_what_has_no_limit_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="stability"):
        solve(BOWL, {"k": [1.0]}, [0, 1.0], stability=True, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize(("name", "options"), [("adam", {"beta_1": 0.0, "beta_2": 0.5}), ("rmsprop", {"beta_2": 0.5})])
def test_of_adaptive_optimisers_the_end_of_a_run_is_looked_at(name: str, options: dict[str, float]) -> None:
    """The curvature there, over the root of the average of squares, which is followed by hand."""
    k, lr = np.array([1.0, 8.0]), 0.01
    optimizer = Optimizer(name, lr, eps=0.0, **options)
    y, square, seen = np.array([1.0, 2.0]), np.zeros(2), 1.0
    for step in range(4):
        square = 0.5 * square + 0.5 * (k * y) ** 2
        seen = 1 - 0.5 ** (step + 1) if name == "adam" else 1.0
        y = y - lr * k * y / np.sqrt(square / seen)
    expected = lr * (k / np.sqrt(square / seen)).max()
    run = simulate(BOWL, {"k": k}, steps=4, optimizer=optimizer, initial={"w": np.array([1.0, 2.0])})
    assert f"curvature over the root of squares is at most {expected:.3g}, within the 2" in run.attrs["stability"]
    with pytest.warns(StabilityWarning, match=f"steps of {name} leave the flow"):
        simulate(BOWL, {"k": k}, steps=60, optimizer=optimizer, initial={"w": np.array([0.1, 0.1])})
