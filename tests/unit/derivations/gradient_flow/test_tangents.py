"""Tangents against finite differences of everything that a program defines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from derivations.checks.small_data import as_function, moving_point
from derivations.gradient_flow import gradient_flow
from derivations.gradient_flow.optimised import optimised
from derivations.gradient_flow.tangents import linearised
from derivations.program.program import Program, ProgramError
from derivations.registry import program

STEP = 1e-5


def apart(flow: Program, of: tuple[str, ...] = ()) -> float:
    """How far tangents of the flow and of the loss are from central differences, relative to these."""
    moved = linearised(flow, of, also=() if flow.loss is None else ("loss",))
    values, rng = moving_point(flow), np.random.default_rng(1)
    names = [name for name in (*flow.state_names, *of) if name != flow.clock]
    direction: dict[str, Any] = {name: rng.normal(size=np.shape(values[name])) for name in names}
    run = as_function(flow)

    def at(h: float) -> dict[str, Any]:
        return run(**{**values, **{name: values[name] + h * v for name, v in direction.items()}})

    found = as_function(moved)(**values, **{moved.tangents[name]: v for name, v in direction.items()})
    up, down, worst = at(STEP), at(-STEP), 0.0
    wanted = [*flow.flow.values(), *(() if flow.loss is None else ("loss",))]
    for name in wanted:
        if name not in up or name not in moved.tangents:
            continue
        slope = (up[name] - down[name]) / (2 * STEP)
        worst = max(worst, float(np.max(np.abs(slope - found[moved.tangents[name]])) / (1e-3 + np.max(np.abs(slope)))))
    return worst


@pytest.mark.parametrize("name", ["keyword-bias", "lexical", "topic-TL-keys", "rows-prefix", "joint-sparse", "copying"])
def test_tangents_are_those_of_differences(name: str) -> None:
    assert apart(program(name)) < 1e-7


def test_parameters_and_data_move_too() -> None:
    assert apart(program("joint"), ("eta_W", "R", "q")) < 1e-7
    assert apart(program("copying"), ("V", "L", "eta_A")) < 1e-7


def test_flows_of_optimisers_have_tangents() -> None:
    flow = optimised(
        program("keyword-bias"), "adamw", noisy=True, decays="decoupled", shape="cosine", warm=True
    )  # fmt: skip
    assert apart(flow, ("lr", "beta_1", "batch", "total")) < 1e-6


def test_an_index_that_is_lost_is_counted() -> None:
    """The sum over i and k of a[i] b + c[k] has the tangent K sum a' b, as c does not move."""
    from dynamics.program_file import SumOver, indices, model, sizes, tensors

    (V, K), (i, k), (a, c) = sizes("V K"), indices("i k"), tensors("a c")
    found = model("Sums", extents={i: V, k: K}, data=c[k], states=a[i], loss=SumOver(a[i] ** 2 + c[k], i, k))
    assert apart(gradient_flow(found)) < 1e-7


def test_what_does_not_exist_does_not_move() -> None:
    with pytest.raises(ProgramError, match="no parameter or data eta to move"):
        linearised(program("joint"), ("eta",))
