"""What does not depend on the index of a sum is taken out of it, where the sum that is left serves several."""

from __future__ import annotations

import numpy as np
import pytest
from sympy import Expr

from derivations.gradient_flow import gradient_flow
from derivations.program import Program
from dynamics.lowering import lower
from dynamics.lowering.passes.statements import statements_of
from dynamics.problems.kinds.arrays import on_arrays
from dynamics.problems.right_hand_sides import rhs
from dynamics.program_file import Definition, SumOver, Where, indices, model, sizes, tensors

(N, D, H, K), (n, d, e, h, k) = sizes("N D H K"), indices("n d e h k")
x, y, v, U, score, head, z, out, c = tensors("x y v U score head z out c")


def heads() -> Program:
    """Of linear attention: the slope of U for a head is the head's weight times a sum that all heads share."""
    return gradient_flow(
        model(
            "Heads", extents={n: N, d: D, e: D, h: H}, data=[x[n, d], y[n]], states=[v[h], U[h, d, e]], examples=n,
            definitions=[
                Definition(score[n, h, e], SumOver(x[n, d] * U[h, d, e], d)),
                Definition(head[n, h], SumOver(score[n, h, e] * x[n, e], e)),
                Definition(z[n], SumOver(v[h] * head[n, h], h)),
            ],
            loss=SumOver((y[n] - z[n]) ** 2 / N, n),
        )
    )  # fmt: skip


def sums(program: Program, *outputs: str) -> dict[str, tuple]:
    """The space of every accumulation, by what is added to."""
    found = statements_of(program, outputs or tuple(program.flow.values()))
    return {one.writes: one.space for one in found if one.op == "+="}


def test_all_heads_share_the_sum_over_examples() -> None:
    found = sums(heads())
    assert found["Ubar_part"] == (n, d, e)
    assert found["Ubar"] == (d, e, h)  # once, after the examples
    assert "scorebar" not in {one.writes for one in statements_of(heads(), ("Udot",))}


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("known", [{}, {"H": 3, "D": 4}], ids=str)
def test_it_is_the_same_flow(parallel: bool, known: dict[str, int]) -> None:
    random = np.random.default_rng(0)
    problem = on_arrays(heads(), {"x": random.normal(size=(40, 4)), "y": random.normal(size=40)}, {"H": 3})
    at = random.normal(size=3 + 3 * 16)
    numbers = {**problem.all_numbers(dict.fromkeys(problem.rates, 1.0)), "H": 3}
    bound = lower(problem.program, parallel=parallel, constants=known).bind(problem.arrays, numbers)
    found = np.empty(bound.output_size)
    bound(at, found)
    np.testing.assert_allclose(found, rhs(problem, backend="numpy")(0.0, at), rtol=1e-12, atol=1e-13)


CASES: dict[str, tuple[Expr, bool]] = {
    "a factor of another index": (x[n, d] * v[h], True),
    "two, of which one stays": (x[n, d] * v[h] * c[d], True),
    "nothing is fewer": (U[h, d, e] * x[n, d], False),  # e is not among the target's, h and d stay
    "within the sum": (x[n, d] * y[n] * U[h, d, d], True),
    "under a condition": (Where(x[n, d] * v[h], n < 3), False),
    "a sum of two": (x[n, d] * v[h] + y[n], False),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_taken_out(name: str) -> None:
    body, taken = CASES[name]
    over = (n, e) if body.has(e) else (n,)
    program = Program(
        name="one", title="", source="", extents={n: N, d: D, e: D, h: H},
        data=(x[n, d], y[n], c[d], U[h, d, e]), states=(v[h],),
        definitions=(Definition(out[h, d], SumOver(body, *over)),),
    )  # fmt: skip
    found = sums(program, "out")
    assert ("out_part" in found) == taken
    if taken:
        assert h not in found["out_part"]
        assert n not in found["out"]


def test_a_product_of_what_is_added_to_later_stays_as_it_was() -> None:
    program = Program(
        name="later", title="", source="", extents={n: N, d: D, h: H}, data=(x[n, d], y[n]), states=(v[h],),
        definitions=(
            Definition(z[n], y[n] + 1),
            Definition(head[n, h], v[h] * z[n]),
            Definition(z[n], y[n] ** 2, accumulate=True),
            Definition(out[h, d], SumOver(head[n, h] * x[n, d] * z[n], n)),
        ),
    )  # fmt: skip
    random = np.random.default_rng(0)
    data = {"x": random.normal(size=(6, 4)), "y": random.normal(size=6)}
    bound = lower(program, ["out"]).bind(data, {"H": 3})
    at = random.normal(size=3)
    before, after = data["y"] + 1, data["y"] + 1 + data["y"] ** 2
    np.testing.assert_allclose(
        bound.evaluate(at)["out"], np.einsum("h,n,nd,n->hd", at, before, data["x"], after), rtol=1e-12
    )
