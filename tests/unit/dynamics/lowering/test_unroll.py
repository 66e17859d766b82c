"""Short loops are written out: all of a small program's, fewer of a large one's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sympy import Expr, IndexedBase, S, tanh

from derivations.gradient_flow import gradient_flow
from derivations.program import Program, extent_symbols
from derivations.program.functions import sigmoid
from dynamics.lowering import lower
from dynamics.lowering.passes.contractions import contract
from dynamics.lowering.passes.loops import Node, schedule
from dynamics.lowering.passes.statements import statements_of
from dynamics.lowering.passes.unroll import IN_ALL, MOST, dissolved, short_sizes, unroll, written_out
from dynamics.problems.kinds.arrays import flow_of, on_arrays
from dynamics.problems.right_hand_sides import rhs
from dynamics.program_file import Definition, SumOver, indices, load, model, sizes, tensors

PROGRAMS = Path(__file__).parents[4] / "examples" / "programs"


def nests(name: str) -> tuple[Program, tuple[Node, ...], dict]:
    """A program's nests of loops, with the sizes of its short ones where all but the examples are 4."""
    program = flow_of(load(PROGRAMS / f"{name}.py"))
    names = tuple(program.flow[state] for state in program.state_names)
    nodes = schedule(contract(statements_of(program, names), program), program)
    sizes = {str(size): 4 for size in extent_symbols(program) if str(size) != "N"}
    return program, nodes, short_sizes(program, sizes)


def test_what_is_written_out_of_a_block_of_a_transformer_is_bounded() -> None:
    """A compiler's time grows faster than the code that it is given: 2,000 lines took it minutes."""
    _, nodes, short = nests("block")
    assert written_out(dissolved(nodes, short, MOST)) > IN_ALL >= written_out(unroll(nodes, short)) > 100


def test_small_programs_are_written_out_whole() -> None:
    for name in ("linear_attention", "two_layers", "deep_linear", "induction"):
        _, nodes, short = nests(name)
        assert unroll(nodes, short) == dissolved(nodes, short, MOST)


@pytest.mark.parametrize("known", [{"K": 4}, {"K": 4, "D": 3}], ids=str)
def test_a_short_index_before_another_one(known: dict[str, int]) -> None:
    """Gates of a recurrent cell: of a row over gates every number is computed by itself, place by place."""
    (N, D, K), (n, d, e, k) = sizes("N D K"), indices("n d e k")
    x, W, c0, c1, g0, g1 = tensors("x W c0 c1 g0 g1")

    def cell(gates: IndexedBase, before: Expr) -> Expr:
        return sigmoid(gates[n, 0, d]) * tanh(gates[n, 2, d]) + sigmoid(gates[n, 1, d]) * before * gates[n, 3, d]

    program = model(
        "Gates", extents={n: N, d: D, e: D, k: K}, data=x[n, k, d], states=W[k, d, e], examples=n,
        definitions=[
            Definition(g0[n, k, d], x[n, k, d] ** 2),
            Definition(c0[n, d], cell(g0, S.One)),
            Definition(g1[n, k, d], x[n, k, d] + SumOver(W[k, d, e] * c0[n, e], e)),
            Definition(c1[n, d], cell(g1, c0[n, d])),
        ],
        loss=SumOver(c1[n, d] ** 2 / N, n, d),
    )  # fmt: skip
    random = np.random.default_rng(0)
    problem = on_arrays(gradient_flow(program), {"x": random.normal(size=(5, 4, 3))})
    at = random.normal(size=4 * 3**2)
    numbers = problem.all_numbers(dict.fromkeys(problem.rates, 1.0))
    bound = lower(problem.program, constants=known).bind(problem.arrays, numbers)
    found = np.empty(bound.output_size)
    bound(at, found)
    np.testing.assert_allclose(found, rhs(problem, backend="numpy")(0.0, at), rtol=1e-12, atol=1e-14)
