"""Checks work with any names: tensors are renamed at random, to what Python, NumPy and the text use themselves."""

from __future__ import annotations

import random

import pytest
from sympy import Expr, IndexedBase, Symbol

from derivations import registry
from derivations.checks.plain_python import plain_python
from derivations.checks.programs import checked
from derivations.gradient_flow import gradient_flow
from derivations.program.access import name_of, subscript
from derivations.program.program import Definition, Program

NAMES = (
    "lambda", "for", "in", "np", "math", "W", "beta", "eta_x", "fbar", "numpy", "total_", "largest_", "range", "max",
    "l_start", "l_start_", "np_", "pi", "exp", "log", "sum", "int", "float", "dot", "hat", "xbar", "Wdot", "class_",
    "len", "print", "total", "largest", "V_", "def",
)  # fmt: skip


def renamed(program: Program, seed: int) -> Program:
    """A model with other names for all that it declares and defines."""
    pool = random.Random(seed).sample(NAMES, len(NAMES))
    declared = {name_of(access): access for access in (*program.data, *program.states)}
    declared |= {d.name: d.lhs for d in program.definitions}
    new: dict[Expr, Expr] = {}
    for (name, access), other in zip(declared.items(), pool, strict=False):
        new |= (
            {access.base: IndexedBase(other, integer=access.is_integer, real=None if access.is_integer else True)}
            if subscript(access)
            else {Symbol(name, real=True): Symbol(other, real=True)}
        )
    return Program(
        name=program.name,
        title=program.title,
        source=program.source,
        extents={index: extent.xreplace(new) for index, extent in program.extents.items()},
        data=tuple(access.xreplace(new) for access in program.data),
        states=tuple(access.xreplace(new) for access in program.states),
        definitions=tuple(
            Definition(d.lhs.xreplace(new), d.rhs.xreplace(new), d.note, d.accumulate) for d in program.definitions
        ),
        loss=program.loss.xreplace(new),
        examples=program.examples,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["keyword-bias", "lexical", "topic-FC-keys", "joint-sparse"])
def test_a_flow_is_checked_whatever_its_tensors_are_called(name: str, seed: int) -> None:
    program = registry.program(name).model
    flow = gradient_flow(renamed(program, seed))
    (found,) = checked(flow)
    assert found.passed, found


@pytest.mark.parametrize("name", ["np", "in", "3-heads", "math", "a b"])
def test_a_program_may_have_any_name(name: str) -> None:
    flow = registry.program("linear").extended((), name=name)
    compile(plain_python(flow), name, "exec")
    assert all(one.passed for one in checked(flow))
