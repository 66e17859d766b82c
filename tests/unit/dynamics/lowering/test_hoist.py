"""What depends on data alone is computed once: when data are bound, to the same bits, and not at every evaluation."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from derivations.gradient_flow import gradient_flow
from derivations.program.language import SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics import on_arrays, solve
from dynamics.lowering import Bound, Kernel, lower
from dynamics.lowering.passes.hoist import apart

n, i, d, e, h = indices("n i d e h")
x, y, w, v, corr, square, score = tensors("x y w v corr square score")
P, N, D, H = scalars("P N D H", integer=True, positive=True)
(loss, z) = scalars("loss z")


@cache
def program(examples: bool = True) -> Program:
    """Attention by correlations within each example, which no state enters."""
    out = tensors("out")[0]
    return Program(
        name="correlated",
        title="Correlated",
        source="",
        extents={n: P, i: N, d: D},
        data=(x[n, i, d], y[n, i]),
        states=(w[d],),
        definitions=(
            Definition(corr[n, d], SumOver(x[n, i, d] * y[n, i] / N, i), "correlation"),
            Definition(out[n], SumOver(corr[n, d] * w[d], d), "prediction"),
            Definition(loss, SumOver((1 - out[n]) ** 2 / P, n), "loss"),
        ),
        loss=loss,
        examples=n if examples else None,
    )


@cache
def data() -> dict[str, Any]:
    """Whole numbers, in sizes that are powers of 2: every sum is exact, in any order."""
    random = np.random.default_rng(0)
    return {"x": random.integers(-9, 10, size=(16, 8, 4)), "y": random.integers(-9, 10, size=(16, 8))}


@pytest.mark.parametrize(
    ("constants", "examples", "parallel"),
    [({}, True, False), ({"D": 4, "N": 8}, True, True), ({"D": 4, "N": 8}, False, False)],
)
def test_a_prologue_changes_no_bit(constants: dict[str, int], examples: bool, parallel: bool) -> None:
    flow = gradient_flow(program(examples))
    kernel = lower(flow, parallel=parallel, constants=constants)
    split = kernel.hoisted()
    assert split.prologue is not None
    assert split.prologue.outputs == ("corr",)
    assert "x" not in [array.name for array in split.code.data]
    point = np.array([1.0, -3.0, 0.5, 2.0])
    rates = {"eta_w": 0.5}
    expected = kernel.bind(data(), rates).evaluate(point)
    found = split.bind(data(), rates)
    np.testing.assert_array_equal(found.evaluate(point)["wdot"], expected["wdot"])
    assert set(found.arrays) == {"x", "y", "corr"}
    assert found.sizes["N"] == 8
    means = np.einsum("nid,ni->nd", data()["x"], data()["y"]) / 8
    np.testing.assert_array_equal(expected["wdot"], 0.5 * 2 / 16 * (1 - means @ point) @ means)


def test_solve_computes_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = on_arrays(gradient_flow(program()), data())
    solve(problem, [0, 0.01])  # its code is checked before it is first run
    ran: list[tuple[str, ...]] = []
    evaluate = Bound.evaluate
    monkeypatch.setattr(Bound, "evaluate", lambda self, y: (ran.append(self.kernel.outputs), evaluate(self, y))[1])
    found = solve(problem, [0, 0.01, 0.02], initial={"w": np.ones(4)})
    assert found.attrs["evaluations"] > 10
    assert ran.count(("corr",)) == 1
    flow, shown = problem.bind({"w": 1.0})
    assert flow.arrays["corr"] is shown.arrays["corr"]


def test_only_what_is_dearer_to_compute_than_to_read_is_put_aside() -> None:
    twice, mask, rate = tensors("twice mask rate")
    flow = Program(
        name="mixed",
        title="",
        source="",
        extents={i: D, d: D, e: D},
        data=(x[i, d],),
        states=(w[d],),
        parameters=(z,),
        definitions=(
            Definition(twice[i, d], 2 * x[i, d]),
            Definition(mask[d, e], abs(twice[d, e])),
            Definition(square[d, e], SumOver(twice[i, d] * twice[i, e], i)),
            Definition(score[d], SumOver(z * x[i, d], i)),
            Definition(rate[d], SumOver((square[d, e] + mask[d, e]) * w[e] + score[d], e)),
        ),
        flow={"w": "rate"},
    )
    rest, names = apart(flow, frozenset())
    assert names == ("square",)
    assert [one.name for one in rest.definitions] == ["twice", "mask", "score", "rate"]
    assert apart(flow, frozenset({"square"})) == (flow, ())
    kernel: Kernel = lower(flow).hoisted()
    assert lower(flow, ("twice",)).hoisted().prologue is None
    given = np.random.default_rng(1).normal(size=(4, 4))
    found = kernel.bind({"x": given}, {"z": 0.5}).evaluate(np.ones(4))["rate"]
    expected = (4 * given.T @ given + abs(2 * given)).sum(axis=1) + 4 * 0.5 * given.sum(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
