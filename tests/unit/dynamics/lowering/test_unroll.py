"""Short loops are written out: all of a small program's, fewer of a large one's."""

from __future__ import annotations

from pathlib import Path

from derivations.program import Program, extent_symbols
from dynamics.lowering.contractions import contract
from dynamics.lowering.loops import Node, schedule
from dynamics.lowering.statements import statements_of
from dynamics.lowering.unroll import IN_ALL, MOST, dissolved, short_sizes, unroll, written_out
from dynamics.problems.arrays import flow_of
from dynamics.program_file import load

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
