"""Slopes as symbols, the time, flows of one's own beside gradients, and what is held still."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.checks.small_data import as_function, random_values
from derivations.gradient_flow import gradient_flow
from derivations.gradient_flow.adjoints import descent_flow
from derivations.program.program import Program, ProgramError
from dynamics import solve
from dynamics.lowering import lower
from dynamics.lowering.verify import verified
from dynamics.program_file import (
    Definition,
    Piecewise,
    SumOver,
    exp,
    grad,
    indices,
    model,
    scalars,
    sizes,
    sqrt,
    stop_gradient,
    t,
    tensors,
)
from dynamics.support.errors import InputError

N, V = sizes("N V")
n, i, j = indices("n i j")
x, y, W, m, v, z, Wdot, mdot, vdot = tensors("x y W m v z Wdot mdot vdot")
b, mu, tau, warm, loss = scalars("b mu tau warm loss")
DATA = {"extents": {n: N, i: V}, "data": [x[n, i], y[n]]}
SQUARES = SumOver((SumOver(W[i] * x[n, i], i) + b - y[n]) ** 2, n) / N
GIVEN = {"x": np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0]]), "y": np.array([1.0, 2.0, -1.0])}


def slope(at: np.ndarray, bias: float = 0.0) -> tuple[np.ndarray, float]:
    """The slopes of the squares, by hand."""
    rest = GIVEN["x"] @ at + bias - GIVEN["y"]
    return 2 * GIVEN["x"].T @ rest / 3, 2 * rest.mean()


def test_momentum_in_five_lines_is_the_heavy_ball():
    """W'' + mu W' = -grad, against the solution of the linear equation by eigenvalues."""
    program = model(
        **DATA,
        states=[W[i], m[i]],
        parameters=[mu],
        definitions=[Definition(mdot[i], -mu * m[i] - grad(loss, W)[i]), Definition(b, 0), Definition(loss, SQUARES)],
        loss=loss,
        flow={"W": "m", "m": "mdot"},
    )
    found = solve(program, GIVEN, [0, 1, 3], values={"mu": 0.7}, rtol=1e-10, atol=1e-12)
    hessian = 2 * GIVEN["x"].T @ GIVEN["x"] / 3
    rest = np.linalg.solve(hessian, -slope(np.zeros(2))[0])
    system = np.block([[np.zeros((2, 2)), np.eye(2)], [-hessian, -0.7 * np.eye(2)]])
    values, vectors = np.linalg.eig(system)
    start = np.linalg.solve(vectors, np.concatenate([-rest, np.zeros(2)]).astype(complex))
    for time, one in zip((0, 1, 3), found.W.values, strict=True):
        np.testing.assert_allclose(one, rest + (vectors @ (np.exp(values * time) * start)).real[:2], atol=1e-8)


def test_states_without_a_flow_follow_the_gradient():
    program = model(
        **DATA,
        states=[W[i], m[i], b],
        parameters=[tau],
        definitions=[Definition(mdot[i], (grad(SQUARES, W)[i] - m[i]) / tau)],
        loss=SQUARES,
        flow={"m": "mdot"},
    )
    flow = gradient_flow(program)
    assert dict(flow.rates) == {"W": "eta_W", "b": "eta_b"}
    assert verified(flow) == ""
    at, bias, average = np.array([0.3, -0.4]), 0.2, np.array([1.0, 2.0])
    found = lower(flow).bind(GIVEN, {"tau": 0.5, "eta_W": 1.0, "eta_b": 2.0}).evaluate(np.array([*at, *average, bias]))
    by_W, by_b = slope(at, bias)
    np.testing.assert_allclose(found["mdot"], (by_W - average) / 0.5)
    np.testing.assert_allclose([*found[flow.flow["W"]], found[flow.flow["b"]]], [*-by_W, -2 * by_b])
    with pytest.raises(ProgramError, match="not the gradient flow"):
        descent_flow(flow)
    with pytest.raises(InputError, match="no modified flow"):
        solve(program, GIVEN, [0, 1], values={"tau": 1.0}, lr=0.1)


def test_the_time_is_that_of_the_solution():
    """w' = -w t: w = w0 exp(-t^2/2), also where the time 0 is not asked for."""
    (w, wdot) = scalars("w wdot")
    program = model(states=w, definitions=Definition(wdot, -w * t), flow={"w": "wdot"})
    for times in ([0, 1, 2], [1, 2, 3]):
        found = solve(program, {}, times, initial={"w": np.array(2.0)}, rtol=1e-10, atol=1e-13)
        exact = 2 * np.exp(-np.square(times) / 2)
        np.testing.assert_allclose(found.w.values, exact, rtol=1e-8)
        np.testing.assert_allclose(found.t.values, times)


def test_adam_with_warm_up_in_three_definitions():
    step = -Piecewise((t / warm, t < warm), (1, True)) * m[i] / (sqrt(v[i]) + 0.01)
    program = model(
        **DATA,
        states=[W[i], m[i], v[i], b],
        parameters=[tau, warm],
        definitions=[
            Definition(mdot[i], (grad(SQUARES, W)[i] - m[i]) / tau),
            Definition(vdot[i], (grad(SQUARES, W)[i] ** 2 - v[i]) / tau),
            Definition(Wdot[i], step),
        ],
        loss=SQUARES,
        flow={"W": "Wdot", "m": "mdot", "v": "vdot"},
    )
    found = solve(program, GIVEN, [0, 1, 50], values={"tau": 0.5, "warm": 2.0})
    assert float(found.loss[-1]) < 1e-3 + float(np.mean((GIVEN["y"] - GIVEN["y"]) ** 2)) + 0.9 * float(found.loss[0])


def stopped() -> Program:
    """A target that the slope does not see: (w z - stop(w))^2."""
    (w,) = scalars("w")
    (u,) = scalars("u")
    return model(
        states=[w, u], loss=(w * exp(u) - stop_gradient(w + SumOver(y[n], n))) ** 2, data=[y[n]], extents={n: N}
    )


def test_what_is_stopped_has_its_value_and_no_slope():
    flow = gradient_flow(stopped())
    values = random_values(flow, 2)
    found = as_function(flow)(**values)
    w, u, total = values["w"], values["u"], values["y"].sum()
    rest = w * np.exp(u) - w - total
    np.testing.assert_allclose(found["loss"], rest**2)
    np.testing.assert_allclose(found["wdot"], -values["eta_w"] * 2 * rest * np.exp(u))
    np.testing.assert_allclose(found["udot"], -values["eta_u"] * 2 * rest * w * np.exp(u))
    assert verified(flow) == ""  # nor is it held against differences of the loss
    with pytest.raises(ProgramError, match="not the gradient flow"):
        descent_flow(stopped())


def test_slopes_of_what_is_defined_and_of_slopes():
    """The slope by a hidden unit, and the slope of a squared slope: a Hessian times a gradient."""
    (penalty,) = scalars("penalty")
    program = model(
        **DATA,
        states=[W[i]],
        definitions=[
            Definition(z[n], SumOver(W[i] * x[n, i], i)),
            Definition(loss, SumOver(exp(z[n]) - y[n] * z[n], n)),
            Definition(penalty, SumOver(grad(loss, W)[i] ** 2, i) / 2),
            Definition(m[n], grad(loss, z[n])),
            Definition(Wdot[i], -grad(penalty, W[i])),
        ],
        flow={"W": "Wdot"},
    )
    at = np.array([0.3, -0.4])
    found = lower(program, ("Wdot", "m")).bind(GIVEN, {}).evaluate(at)
    scores = GIVEN["x"] @ at
    np.testing.assert_allclose(found["m"], np.exp(scores) - GIVEN["y"])
    hessian = GIVEN["x"].T @ (np.exp(scores)[:, None] * GIVEN["x"])
    np.testing.assert_allclose(found["Wdot"], -hessian @ GIVEN["x"].T @ (np.exp(scores) - GIVEN["y"]))


REFUSED = {
    "not defined": (
        Definition(mdot[i], grad(loss, W)[i]),
        "definition of mdot[i]: the loss of grad(loss, W[i]) is not",
    ),
    "of itself": (Definition(loss, SumOver(grad(loss, W)[i], i)), "stands in what loss is made of"),
    "not made of it": (
        Definition(mdot[i], grad(SumOver(W[i], i), m)[i]),
        "definition of mdot[i]: grad(loss, m[i]), but loss is not made of m[i]",
    ),
    "other subscripts": (Definition(mdot[i], grad(SumOver(W[i], i), W)[i, j]), "but W[i] has other subscripts"),
    "with an index": (Definition(mdot[i], grad(W[i], W)[i]), "definition of loss: index i is neither"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_slopes_that_are_none_are_refused_by_name(case: str):
    definition, told = REFUSED[case]
    with pytest.raises(ProgramError) as error:
        model(
            extents={i: V, j: V},
            states=[W[i], m[i]],
            definitions=[definition],
            flow={"W": "m", "m": "mdot" if definition.name == "mdot" else "W"},
        )
    assert told in str(error.value)
    assert "\n" not in str(error.value)
