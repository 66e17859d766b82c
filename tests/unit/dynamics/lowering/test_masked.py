"""Masks that travel: sums are computed where they are read, terms that are 0 are left out, the rest is as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from derivations.checks.small_data import random_values
from derivations.program import Definition, Program, SumOver, Where, indices, name_of, scalars, tensors
from dynamics.lowering import kernel as kernels
from dynamics.lowering.passes import masked
from dynamics.lowering.passes.contractions import Product, contract
from dynamics.lowering.passes.masked import within_masks
from dynamics.lowering.passes.statements import Statement, statements_of
from dynamics.problems.kinds.arrays import flow_of
from dynamics.program_file import load

INDUCTION = Path(__file__).parents[4] / "examples" / "programs" / "induction.py"
p, q, r = indices("p q r")
T, R = scalars("T R", integer=True, positive=True)
w, s, a, z = tensors("w s a z")


def causal(*definitions: Definition) -> Program:
    return Program(
        name="causal", title="", source="", extents={p: T, q: T, r: R}, data=(), states=(w[p, r],), parameters=(),
        flow={}, definitions=definitions,
    )  # fmt: skip


SCORES = Definition(s[q, p], SumOver(w[q, r] * w[p, r] * w[p, r], r))
SEEN = Definition(z[q], SumOver(Where(s[q, p], p <= q), p))


def written(program: Program, *outputs: str) -> dict[str, str]:
    """The condition of every sum by what it adds to."""
    steps = within_masks(contract(statements_of(program, outputs), program), program, outputs)
    return {step.writes: str(step.condition) for step in steps if isinstance(step, Statement) and step.op == "+="}


def test_sums_are_computed_where_they_are_read() -> None:
    assert written(causal(SCORES, SEEN), "z")["s"] == "p <= q"


@pytest.mark.parametrize(
    "more",
    [
        Definition(a[p], SumOver(s[q, p], q)),  # read without the mask
        Definition(a[p], SumOver(Where(s[q, p], q <= p), q)),  # under another one
        Definition(a[p], Where(s[p, p], p > 0)),  # along the diagonal
    ],
    ids=["elsewhere", "other mask", "diagonal"],
)
def test_what_others_read_is_computed_for_them(more: Definition) -> None:
    assert written(causal(SCORES, SEEN, more), "z", "a")["s"] == "True"


def test_what_is_wanted_is_computed_whole() -> None:
    assert written(causal(SCORES, SEEN), "z", "s")["s"] == "True"


def test_terms_with_a_factor_that_is_zero_are_left_out() -> None:
    masked = Definition(s[q, p], Where(w[q, 0] * w[p, 0], p <= q))
    found = written(causal(masked, Definition(z[p], SumOver(s[q, p] * w[q, 0], q))), "s", "z")
    assert found["z"] == "p <= q"
    unmasked = Definition(s[q, p], w[q, 0] * w[p, 0], accumulate=True)
    assert written(causal(masked, unmasked, Definition(z[p], SumOver(s[q, p] * w[q, 0], q))), "s", "z")["z"] == "True"


def test_products_of_matrices_are_left_whole() -> None:
    scores = Definition(s[q, p], SumOver(w[q, r] * w[p, r], r))
    steps = contract(statements_of(causal(scores, SEEN), ["z"]), causal(scores, SEEN))
    found = within_masks(steps, causal(scores, SEEN), ["z"])
    assert found == steps
    assert any(isinstance(step, Product) for step in found)


def test_loops_of_an_induction_head_end_where_its_mask_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scores, their adjoint, and that of what feeds them; to the last bit what whole loops compute."""
    flow = flow_of(load(INDUCTION))
    sizes = {"N": 3, "T": 7, "V": 5}
    values = random_values(flow, 0, sizes, 1.0, 1.0)
    y = np.concatenate([np.ravel(values[name]) for name in flow.state_names]).astype(float)
    found, loops = [], []
    for passed in (within_masks, lambda steps, *_: list(steps)):
        monkeypatch.setattr(masked, "within_masks", passed)
        rates = tuple(flow.flow[name] for name in flow.state_names)
        kernel = kernels.Kernel(flow, rates, False, kernels.lowered(flow, rates, False, ()))
        numbers = {one.name: values[one.name] for one in flow.parameters} | sizes
        bound = kernel.bind({name_of(d): values[name_of(d)] for d in flow.data}, numbers)
        found.append(np.empty(bound.output_size))
        bound(y, found[-1])
        loops.append(kernel.source.count("for p in range(q + 1):"))
    np.testing.assert_array_equal(found[0], found[1])
    assert loops[0] == loops[1] + 3  # the scores, and what each of their two factors gets of their adjoint
