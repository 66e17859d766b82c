"""Flows of optimisers against their steps, and against what is known of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from derivations.checks.small_data import as_function, random_values
from derivations.gradient_flow.optimised import optimised
from derivations.gradient_flow.rules import RULES
from derivations.program.program import Program
from derivations.registry import program
from dynamics import solve
from dynamics.problems.kinds.arrays import on_arrays
from dynamics.problems.kinds.reduction import copying
from dynamics.problems.optimisers.optimised import Optimised
from dynamics.problems.optimisers.optimizer import Optimizer, optimizer_of
from dynamics.problems.optimisers.schedule import Schedule, schedule_of
from dynamics.program_file import SumOver, indices, model, sizes, tensors
from dynamics.support.errors import InputError
from dynamics.train.simulate import simulate
from dynamics.train.stepping import Stepping

(N, D), (n, d), (x, w) = sizes("N D"), indices("n d"), tensors("x w")
SLOPES = np.array([0.3, -2.0, 0.001])


def line() -> Program:
    """A loss whose gradient stays as it is."""
    return model("Line", extents={d: D}, data=x[d], states=w[d], loss=SumOver(x[d] * w[d], d))


def bowl() -> Program:
    """A mean over examples."""
    found = model(
        "Bowl", extents={n: N, d: D}, data=x[n, d], states=w[d], examples=n,
        loss=SumOver((x[n, d] - w[d]) ** 2 * x[n, d] ** 2 / (4 * N), n, d),
    )  # fmt: skip
    return found


DATA = np.random.default_rng(2).normal(size=(5, 3)) + np.array([1.0, -2.0, 0.2])


@pytest.mark.parametrize("name", ["momentum", "nesterov", "adam", "rmsprop", "descent"])
def test_of_a_gradient_that_stays_the_flow_has_gone_as_far_as_the_steps(name: str) -> None:
    """Exactly, once the start is forgotten; of Adam at every step, as its averages are then those of the gradient."""
    optimizer = Optimizer(name, lr=0.1, form="limit" if name == "descent" else None)
    steps = 600
    stepping = Stepping(optimizer, np.ones(3), steps)
    y, averages, passed = np.zeros(3), stepping.rest, [np.zeros(3)]
    for k in range(steps):
        y, averages = stepping(k, y, SLOPES, averages)
        passed.append(y)
    at = np.array([0, 1, 10, 500, 600])
    flow = solve(line(), {"x": SLOPES}, 0.1 * at, optimizer=optimizer, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(flow.step, at)
    expected = np.array(passed)[at]
    late = slice(3, None) if name != "adam" else slice(0, None)
    if name == "rmsprop":  # its average is nonlinear in the gradient, and has no correction: half a step is lost
        np.testing.assert_allclose(flow.w[-1] - flow.w[-2], expected[-1] - expected[-2], rtol=3e-3)
        np.testing.assert_allclose(flow.w[2:], expected[2:], rtol=0.1)
        return
    np.testing.assert_allclose(flow.w.values[late], expected[late], rtol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_steps_approach_the_flow_in_first_order(name: str) -> None:
    """At a quarter of the step on the flow's clock, with averages that forget in the same time there."""
    apart = []
    for keeps in (0.6, 0.9):
        lr = (0.25 * (1 - keeps) ** 2) if name == "momentum" else 0.1 * (1 - keeps)
        options = {"momentum": keeps} if name == "momentum" else {"beta_1": keeps, "beta_2": 0.99, "eps": 0.1}
        optimizer = Optimizer(name, lr, **options)
        problem = on_arrays(bowl(), {"x": DATA})
        tau = 0.4 if name == "adam" else 1.6 * (1 - keeps)
        run = simulate(problem, optimizer=optimizer, steps=round(tau / lr), records=[0, round(tau / lr)])
        flow = solve(problem, [0, tau], optimizer=optimizer, rtol=1e-10, atol=1e-12)
        apart.append(float(abs(run.w.isel(seed=0, time=-1) - flow.w.isel(time=-1)).max()))
    assert apart[0] < 0.05
    assert apart[1] < apart[0] / 2.5


def test_batches_have_the_mean_square_of_all_batches_there_are() -> None:
    """Every batch of two of five examples, drawn with replacement."""
    own = optimised(on_arrays(bowl(), {"x": DATA}).program, "adam", noisy=True)
    values = {"x": DATA, "w": np.array([0.3, -1.0, 2.0]), "N": 5, "D": 3, "batch": 2.0, "eta_w": 1.0}
    values |= dict.fromkeys(("w_mean", "w_root"), np.ones(3)) | {"steps": 3.0, "lr": 0.1, "eps": 1e-8}
    found = as_function(own)(**values, beta_1=0.9, beta_2=0.99)
    single = (values["w"] - DATA) * DATA**2 / 2
    every = [(single[i] + single[j]) / 2 for i, j in product(range(5), repeat=2)]
    np.testing.assert_allclose(found["wbar"] ** 2 + found["w_variance"], np.mean(np.square(every), axis=0))


def test_in_a_closure_an_example_is_a_target() -> None:
    """The second moments of values against a loop over targets, each with the gradient that it alone would have."""
    own = optimised(program("joint"), "adam", noisy=True)
    values = random_values(own, 1)
    values["q"] = values["q"] / values["q"].sum()
    found = as_function(own)(**values)
    expected: Any = 0.0
    for o, share in enumerate(values["q"]):
        error = found["P"][o] - np.eye(len(values["q"]))[o]
        expected += share * np.outer(found["Rtilde"][:, o], error) ** 2
    np.testing.assert_allclose(found["W_moment"], expected)


def test_without_memory_the_full_flow_is_its_limit() -> None:
    problem = on_arrays(bowl(), {"x": DATA})
    full = solve(problem, [0, 0.3], optimizer=Optimizer("adam", 0.01, beta_1=0.0, beta_2=0.0))
    limit = solve(problem, [0, 0.3], optimizer=Optimizer("adam", 0.01, form="limit"))
    np.testing.assert_array_equal(full.w, limit.w)


def test_flows_go_by_the_time_of_a_schedule() -> None:
    """Of descent the schedule is in the time alone; of others, the time of their flow is that of their steps."""
    problem = on_arrays(bowl(), {"x": DATA})
    plain = solve(problem, [0, 0.5, 2.0])
    timed = solve(problem, [0, 0.5, 2.0], optimizer=Optimizer("descent", 0.05, "warmup:20,linear:200", form="limit"))
    np.testing.assert_allclose(timed.w, plain.w, atol=1e-3)  # within a step that changes the rate, time is not even
    optimizer = Optimizer("adam", 0.002, {0: 0.1, 50: 1.0, 100: 1.0, 300: 0.2})
    run = simulate(problem, optimizer=optimizer, steps=400, records=[0, 30, 60, 150, 400])
    flow = solve(problem, run.time, optimizer=optimizer)
    np.testing.assert_allclose(flow.step, run.step, atol=1e-9)
    np.testing.assert_allclose(flow.w, run.w.isel(seed=0), atol=2e-3)


@pytest.mark.parametrize(
    "written",
    ["warmup:10", "linear:40:0.1", "cosine:40", "steps:7:0.5", "warmup:8,cosine:40:0.2", "warmup:4,steps:9:0.1"],
)
def test_times_of_schedules_and_back(written: str) -> None:
    schedule = schedule_of(written)
    factors = schedule.factors(60)
    assert factors.max() <= 1
    np.testing.assert_allclose(schedule.time(np.arange(61)), np.concatenate([[0], np.cumsum(factors)]))
    inner = np.linspace(0, 39, 14)
    np.testing.assert_allclose(schedule.steps(schedule.time(inner)), inner, atol=1e-9)
    assert schedule_of(str(schedule)) == schedule


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Optimizer("adamm", 0.1), "unknown optimizer 'adamm'; did you mean"),
        (lambda: Optimizer("adam", 0.1, momentum=0.9), "does not apply to adam, which takes beta_1, beta_2, eps"),
        (lambda: Optimizer("descent", 0.1, eps=1.0), "takes none of the kind"),
        (lambda: Optimizer("adam", 0.0), "lr = 0.0 must be a number above 0"),
        (lambda: Optimizer("adam", 0.1, beta_2=1.0), "from 0 to below 1"),
        (lambda: Optimizer("adam", 0.1, decay="coupled"), "says how weights decay; give weight_decay"),
        (lambda: Optimizer("adam", 0.1, weight_decay=0.1, decay="late"), "must be coupled or decoupled"),
        (lambda: Optimizer("adam", 0.1, batch=0), "batch = 0 must be a whole number"),
        (lambda: Optimizer("rmsprop", 0.1, form="modified"), "no modified flow of rmsprop"),
        (lambda: optimizer_of("adam"), "needs a learning rate"),
        (lambda: optimizer_of(None, schedule="warmup:3"), "schedule is of an optimizer"),
        (lambda: optimizer_of(Optimizer("adam", 0.1), lr=0.2), "lr is said by the optimizer already"),
        (lambda: schedule_of("warm:3"), "schedule 'warm:3' is none; write warmup"),
        (lambda: schedule_of("linear:3,cosine:4"), "says twice"),
        (lambda: schedule_of("warmup:2.5"), "whole numbers from 1"),
        (lambda: Schedule("linear", warm_up=10, total=10), "give a total beyond its warm-up"),
        (lambda: Schedule("steps", period=3, drop=0.5, total=7), "total does not apply"),
        (lambda: schedule_of([(0, 1.0), (0, 0.5)]), "increasing"),
        (lambda: schedule_of("linear:10").steps([1, 20]), "add up to 5.5 lr"),
        (lambda: solve(copying(6, 4), [0, 1], optimizer="adam", lr=0.1), "needs the gradient of every state"),
        (lambda: solve(line(), {"x": SLOPES}, [0, 1], optimizer="adam", lr=0.1, batch=2), "declare examples="),
        (lambda: solve(line(), {"x": SLOPES}, [0, 1], batch=2), "batch is of an optimizer"),
        (lambda: simulate(line(), {"x": SLOPES}, optimizer="adam", steps=3), "needs a learning rate"),
        (lambda: simulate(line(), {"x": SLOPES}, 0.1, momentum=0.9, optimizer="adam", steps=3), "momentum is of"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_line(make: Any, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("(", r"\(")) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_momentum_takes_reductions() -> None:
    """1/(1 - m) times as fast as the gradient flow, and behind it by lr m/(1 - m)^2 on its clock."""
    flow = solve(copying(6, 4), [0, 1, 5], optimizer="momentum", lr=0.002, initial={"u": 0.1})
    plain = solve(copying(6, 4), np.array([0, 10, 50]) - [0, 0.18, 0.18], initial={"u": 0.1})
    np.testing.assert_allclose(flow.u, plain.u, rtol=0.015)


def test_an_optimised_problem_is_a_value() -> None:
    problem = Optimised(on_arrays(bowl(), {"x": DATA}), Optimizer("adam", 0.1))
    assert problem == Optimised(on_arrays(bowl(), {"x": DATA}), Optimizer("adam", 0.1))
    assert problem != replace(problem, optimizer=Optimizer("adam", 0.2))
    assert set(RULES) == {"descent", "momentum", "nesterov", "rmsprop", "adam", "adamw", "sign"}


@pytest.mark.parametrize(
    ("name", "options", "tau"),
    [
        ("momentum", {"momentum": 0.6}, 0.4),
        ("nesterov", {"momentum": 0.6, "weight_decay": 0.3}, 0.4),
        ("adam", {"beta_1": 0.7, "beta_2": 0.8, "eps": 0.5}, 0.5),
        ("adamw", {"beta_1": 0.7, "beta_2": 0.8, "eps": 0.5, "weight_decay": 0.3}, 0.5),
    ],
)
def test_modified_flows_are_followed_in_second_order(name: str, options: dict[str, float], tau: float) -> None:
    """Steps of half the length: a quarter of the distance from the modified flow, half of that from the plain one."""
    problem, start = on_arrays(bowl(), {"x": DATA}), {"w": np.array([0.2, -0.5, 0.8])}
    apart: dict[str, list[float]] = {"modified": [], "limit": []}
    for steps in (200, 400, 800):
        optimizer = Optimizer(name, tau / steps, **options)  # type: ignore[arg-type]
        run = simulate(problem, optimizer=optimizer, steps=steps, records=[0, steps], initial=start)
        for form, found in apart.items():
            own = replace(optimizer, form=form)
            flow = solve(problem, [0, tau], optimizer=own, initial=start, rtol=1e-11, atol=1e-13)
            found.append(float(abs(run.w.isel(seed=0, time=-1) - flow.w.isel(time=-1)).max()))
    first, second = (np.log2(np.divide(found[:-1], found[1:])) for found in apart.values())
    np.testing.assert_allclose(first, 2, atol=0.15)
    np.testing.assert_allclose(second, 1, atol=0.15)
