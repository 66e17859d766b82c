"""Where mathematics has an edge: ties, conditions that none holds, infinities, NaN, nothing that has weight."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sympy import Expr, Indexed, Max, Piecewise, Symbol

from derivations.gradient_flow import gradient_flow
from derivations.program.access import name_of
from derivations.program.program import Program
from dynamics.lowering import lower
from dynamics.program_file import Definition, LogSumExp, MaxOver, SumOver, indices, model, scalars, sizes, tensors

(V,), (i, j), (w, z, c, h) = sizes("V"), indices("i j"), tensors("w z c h")
a, b, m = scalars("a b m")
(x,) = tensors("x", integer=True)
NAN, INF = math.nan, math.inf


def values_of(program: Program, outputs: list[str], y: list[float], **data) -> list:
    """Tensors of a program at a state."""
    given = {name: np.asarray(value, dtype=None) for name, value in data.items()}
    parameters = {p.name: 1.0 for p in program.parameters} | {"V": len(y)}
    found = lower(program, outputs).bind(given, parameters).evaluate(np.array(y, dtype=float))
    return [found[name].tolist() for name in outputs]


def flow_at(program: Program, y: list[float], **data) -> list:
    flow = gradient_flow(program)
    return values_of(flow, list(flow.flow.values()), y, **data)


def of_scalars(value: Expr) -> Program:
    return model(states=[a, b], definitions=[Definition(m, value)], loss=m)


def test_sides_of_a_maximum_share_its_slope_where_they_are_equal() -> None:
    program = of_scalars(Max(a, 3 * b))
    assert flow_at(program, [3.0, 1.0]) == [-0.5, -1.5]
    assert flow_at(program, [3.1, 1.0]) == [-1, 0]
    assert flow_at(program, [2.9, 1.0]) == [0, -3]


def test_a_maximum_moves_off_a_tie() -> None:
    assert flow_at(of_scalars(Max((a - 1) ** 2, (b - 2) ** 2)), [0.0, 1.0]) == [1.0, 1.0]


def test_a_rectifier_rests_at_its_corner() -> None:
    assert flow_at(of_scalars(Max(a, 0) + 2 * Max(b, 1)), [0.0, 1.0]) == [0, 0]
    assert flow_at(of_scalars(Max(a, 0) + 2 * Max(b, 1)), [0.1, 1.1]) == [-1, -2]


def test_a_repeated_word_has_the_whole_slope() -> None:
    program = model(extents={i: V, j: Symbol("N", integer=True, positive=True)}, data=[x[j]], states=[w[i]],
                    loss=SumOver(Max(w[x[j]], w[i]), i, j))  # fmt: skip
    ((first, second),) = flow_at(program, [1.0, 1.0], x=[1, 1, 0])
    assert (first, second) == (-(1 + 0.5 + 0.5 + 0.5), -(2 + 0.5 + 0.5 + 0.5))


@pytest.mark.parametrize("value", [Max(a, b), Max(b, a), Max(a, 0) + b, Max(b, 0) + a, Max(a * b, -b)])
def test_a_maximum_does_not_hide_a_nan(value: Expr) -> None:
    for y in ([NAN, 1.0], [1.0, NAN], [NAN, NAN]):
        assert math.isnan(values_of(of_scalars(value), ["m"], y)[0])


@pytest.mark.parametrize("y", [[NAN, 0.0, 1.0], [0.0, NAN, 1.0], [0.0, 1.0, NAN]])
def test_the_largest_of_many_does_not_hide_a_nan(y: list[float]) -> None:
    program = model(extents={i: V}, states=[w[i]], definitions=[Definition(m, MaxOver(w[i], i))], loss=SumOver(w[i], i))
    assert math.isnan(values_of(program, ["m"], y)[0])
    assert values_of(program, ["m"], [-1.0, -3.0, -2.0]) == [-1.0]


def of_conditions(*pieces: tuple) -> Program:
    return of_scalars(Piecewise(*pieces))


def test_where_no_condition_holds_there_is_no_number() -> None:
    program = of_conditions((a, a < 1), (b, a > 2))
    assert values_of(program, ["m"], [0.5, 7.0]) == [0.5]
    assert values_of(program, ["m"], [2.5, 7.0]) == [7.0]
    assert math.isnan(values_of(program, ["m"], [1.5, 7.0])[0])


def test_conditions_of_which_one_always_holds_need_no_default() -> None:
    program = of_conditions((a * 2, a < 0), (b, a >= 0))
    assert [values_of(program, ["m"], [s, 7.0]) for s in (-1.0, 0.0, 1.0)] == [[-2.0], [7.0], [7.0]]


def summed(weight: Expr | int = 1) -> Program:
    data = [weight] if isinstance(weight, Indexed) else []
    return model(extents={i: V}, data=data, states=[w[i]], loss=m,
                 definitions=[Definition(m, LogSumExp(w[i], i, weight=weight))])  # fmt: skip


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([-INF, -INF, -INF], -INF),
        ([0.0, INF, 1.0], INF),
        ([-INF, INF, 1.0], INF),
        ([-INF, 2.0, -INF], 2.0),
        ([1e3, 1e3, -INF], 1e3 + math.log(2)),
        ([-1e3, -1e3, -INF], -1e3 + math.log(2)),
    ],
)
def test_log_sum_exp_of_infinities(y: list[float], expected: float) -> None:
    assert values_of(summed(), ["m"], y) == pytest.approx([expected], rel=1e-15)


@pytest.mark.parametrize("place", range(3))
def test_log_sum_exp_shows_a_nan(place: int) -> None:
    y = [0.0, 1.0, 2.0]
    y[place] = NAN
    assert math.isnan(values_of(summed(), ["m"], y)[0])


def test_where_nothing_has_weight_nothing_moves() -> None:
    program = summed(c[i])
    assert values_of(program, ["m"], [1.0, 2.0, 3.0], c=[0.0, 0.0, 0.0]) == [-INF]
    assert flow_at(program, [1.0, 2.0, 3.0], c=[0.0, 0.0, 0.0]) == [[0.0, 0.0, 0.0]]
    assert flow_at(program, [1.0, 2.0, 3.0], c=[0.0, 1.0, 0.0]) == [[0.0, -1.0, 0.0]]


def test_a_rate_may_be_a_state_or_a_parameter() -> None:
    (p, v, vdot), (drift,) = tensors("p v vdot"), scalars("drift")
    program = model(extents={i: V}, states=[p[i], v[i], a], parameters=[drift], loss=SumOver(p[i] ** 2 / 2, i),
                    definitions=[Definition(vdot[i], -p[i])], flow={"p": "v", "v": "vdot", "a": "drift"})  # fmt: skip
    bound = lower(program).bind({}, {"V": 2, "drift": 5.0})
    found = bound.evaluate(np.array([1.0, 2.0, 3.0, 4.0, 0.0]))
    assert {name: value.tolist() for name, value in found.items()} == {"v": [3, 4], "vdot": [-1, -2], "drift": 5}


def test_tables_of_tables_are_looked_up() -> None:
    (N, L), (n, l, k), (prev, word) = sizes("N L"), indices("n l k"), tensors("prev word", integer=True)
    program = model(extents={n: N, l: L, k: L, i: V}, data=[word[n, l], prev[l]], states=[w[i]],
                    definitions=[Definition(z[n, l], w[word[n, prev[l]]] * w[word[n, l]])],
                    loss=SumOver(z[n, l] ** 2, n, l), examples=n)  # fmt: skip
    words, before = np.array([[0, 1, 2], [2, 2, 1]]), np.array([2, 0, 1])
    y = np.array([1.0, 2.0, 4.0])
    bound = lower(program, ("loss",)).bind({"word": words, "prev": before}, {"V": 3})
    assert bound.evaluate(y)["loss"] == ((y[words[:, before]] * y[words]) ** 2).sum()
    flow = gradient_flow(program)
    (slope,) = values_of(flow, ["wdot"], y.tolist(), word=words, prev=before)
    step = 1e-6 * np.eye(3)
    rise = [bound.evaluate(y + d)["loss"] - bound.evaluate(y - d)["loss"] for d in step]
    np.testing.assert_allclose(slope, -np.array(rise) / 2e-6, rtol=1e-6)
    assert name_of(program.loss) == "loss"
