"""Flows on spheres and simplices: against their solutions in closed form, and steps that return to them."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.gradient_flow import gradient_flow
from derivations.gradient_flow.adjoints import descent_flow
from derivations.program.program import Program, ProgramError
from dynamics import simulate, solve
from dynamics.lowering.verify import verified
from dynamics.program_file import Definition, SumOver, indices, model, simplex, sizes, tensors, unit_norm
from dynamics.support.errors import InputError

(V, K), (i, k) = sizes("V K"), indices("i k")
c, w, p, W, wdot, C = tensors("c w p W wdot C")
GIVEN = {"c": np.array([1.0, 2.0, 4.0])}


def rayleigh() -> Program:
    """The Rayleigh quotient of a diagonal matrix on the sphere: w(t) goes as exp(-2 c t) w(0), scaled to length 1."""
    return model(
        extents={i: V}, data=[c[i]], states=[w[i]], loss=SumOver(c[i] * w[i] ** 2, i), constraints=unit_norm(w[i])
    )


def fitness() -> Program:
    """A linear loss on the simplex: p(t) goes as exp(-c t) p(0), scaled to sum 1 (the replicator equation)."""
    return model(extents={i: V}, data=[c[i]], states=[p[i]], loss=SumOver(c[i] * p[i], i), constraints=[simplex(p[i])])


def test_the_flow_on_the_sphere_is_its_closed_form():
    start = np.array([0.5, 0.5, 1.0])
    found = solve(rayleigh(), GIVEN, [0, 0.3, 1, 30], initial={"w": start}, rtol=1e-10, atol=1e-12)
    exact = np.exp(-2 * GIVEN["c"] * found.time.values[:, None]) * start
    np.testing.assert_allclose(found.w, exact / np.linalg.norm(exact, axis=1, keepdims=True), atol=1e-8)


def test_the_flow_on_the_simplex_is_the_replicator_equation():
    found = solve(fitness(), GIVEN, [0, 0.3, 1, 30], rtol=1e-10, atol=1e-14)
    exact = np.exp(-GIVEN["c"] * found.time.values[:, None])
    np.testing.assert_allclose(found.p, exact / exact.sum(axis=1, keepdims=True), atol=1e-8)
    assert (found.p >= 0).all()


def test_columns_of_their_own_and_a_flow_of_ones_own():
    program = model(
        extents={i: V, k: K},
        data=[C[i, k]],
        states=[W[i, k]],
        definitions=[Definition(wdot[i, k], -2 * C[i, k] * W[i, k])],
        flow={"W": "wdot"},
        constraints=[unit_norm(W[i, k], i)],
    )
    assert verified(program) == ""
    start, matrix = np.arange(1.0, 7).reshape(3, 2), np.array([[1.0, 3.0], [2.0, 0.0], [4.0, 1.0]])
    found = solve(program, {"C": matrix}, [0, 0.5], initial={"W": start}, rtol=1e-10, atol=1e-12)
    exact = np.exp(-2 * matrix * 0.5) * start
    np.testing.assert_allclose(found.W[-1], exact / np.linalg.norm(exact, axis=0), atol=1e-8)


@pytest.mark.parametrize("of", [rayleigh, fitness])
def test_steps_return_to_what_is_kept_and_tend_to_the_flow(of):
    program = of()
    (name,) = program.state_names
    start = {name: np.array([0.5, 0.5, 1.0])}
    exact = solve(program, GIVEN, [1.0], initial=start, rtol=1e-10, atol=1e-12)[name][-1].values
    apart = []
    for lr, steps in ((0.02, 50), (0.01, 100)):
        found = simulate(program, GIVEN, lr=lr, steps=steps, initial=start, seeds=1)[name].values.reshape(-1, 3)
        size = found.sum(axis=-1) if name == "p" else np.linalg.norm(found, axis=-1)
        np.testing.assert_allclose(size, 1, atol=1e-14)
        apart.append(np.abs(found[-1] - exact).max())
    assert apart[0] > 1e-4
    assert apart[1] / apart[0] == pytest.approx(0.5, abs=0.1)  # first order in lr


REFUSED = {
    "nothing": (rayleigh, None, "initial w is 0 along i, where it keeps its unit norm"),
    "negative": (fitness, {"p": np.array([1.0, -1.0, 2.0])}, "initial p has a number below 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_scaled_is_refused(case: str):
    of, initial, told = REFUSED[case]
    with pytest.raises(InputError, match=told):
        solve(of(), GIVEN, [0, 1], initial=initial)


def test_constraints_of_nothing_are_refused():
    with pytest.raises(ProgramError, match="unit norm of w\\[i\\]: it has no index k"):
        unit_norm(w[i], k)
    with pytest.raises(ProgramError, match="which is not a state"):
        model(extents={i: V}, data=[c[i]], states=[w[i]], loss=SumOver(w[i], i), constraints=[unit_norm(c[i])])
    with pytest.raises(ProgramError, match="not the gradient flow"):
        descent_flow(gradient_flow(rayleigh()))
