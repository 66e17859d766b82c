"""What is solved, trained and compared does not depend on what a program calls its parts."""

from __future__ import annotations

import random

import numpy as np
import pytest
from oracles.renaming import renamed, shuffled

from derivations.program import Program
from dynamics import compare, phase_diagram, simulate, solve
from dynamics.problems.kinds.arrays import normal_arrays
from dynamics.problems.kinds.reduction import copying
from dynamics.problems.solve import as_problem
from dynamics.program_file import Definition, SumOver, indices, model, sizes, tensors


def two_layers() -> Program:
    N, D, R = sizes("N D R")
    n, i, r = indices("n i r")
    x, y, U, w, h, z = tensors("x y U w h z")
    return model(
        "Two layers", extents={n: N, i: D, r: R}, data=[x[n, i], y[n]], states=[U[i, r], w[r]],
        definitions=[
            Definition(h[n, r], SumOver(x[n, i] * U[i, r], i)), Definition(z[n], SumOver(h[n, r] * w[r], r)),
        ],
        loss=SumOver((z[n] - y[n]) ** 2 / N, n),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_program_under_any_names(seed: int) -> None:
    one = two_layers()
    names = shuffled(one, random.Random(seed))
    other = renamed(one, names)
    values = {"N": 6, "D": 3, "R": 2}
    data = normal_arrays(one, values)
    start = {"U": np.full((3, 2), 0.3), "w": np.array([0.2, -0.4])}
    results = []
    for program, new in ((one, {name: name for name in names}), (other, names)):
        given = {new[name]: array for name, array in data.items()}
        problem = as_problem(program, given, values={new["R"]: 2})
        initial = {new[name]: array for name, array in start.items()}
        flow = solve(problem, [0, 1.0, 4.0], initial=initial)
        run = simulate(problem, lr=0.02, steps=30, records=[0, 10, 30], initial=initial)
        found = compare(problem, lr=0.02, steps=30, records=[0, 10, 30], initial=initial)
        loss = [result[result.attrs["loss"]].values for result in (flow, run)]
        states = [result[new[name]].values for result in (flow, run) for name in start]
        results.append([*loss, *states, *(found[f"error_{new[name]}"].values for name in start)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-12)


def test_a_state_may_be_called_loss() -> None:
    (V,), (i,), (loss, y) = sizes("V"), indices("i"), tensors("loss y")
    program = model("Named so", extents={i: V}, data=y[i], states=loss[i], loss=SumOver((loss[i] - y[i]) ** 2 / 2, i))
    found = solve(program, {"y": [1.0, 2.0]}, [0, 20])
    assert found.attrs["loss"] == "loss_"
    np.testing.assert_allclose(found.loss[-1], [1.0, 2.0], atol=1e-5)
    assert float(found["loss_"][0]) == pytest.approx(2.5)


def test_a_diagram_of_a_problem_has_its_parameters() -> None:
    problem = copying(vocab=9, length=6)
    axes = {"u0": [0.01, 0.1], "a0": [0.01, 0.1]}
    found = phase_diagram(problem, axes, "time", 2000.0)
    by_name = phase_diagram("copying", axes, "time", 2000.0, fixed={"V": 9, "L": 6})
    np.testing.assert_allclose(found.value, by_name.value, rtol=1e-6)
    assert (found.attrs["fixed_V"], found.attrs["fixed_L"]) == (9.0, 6.0)
