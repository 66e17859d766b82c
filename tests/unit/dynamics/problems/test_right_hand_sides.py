"""The same flow as a plain function for other libraries: every backend says what the compiled code says."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from derivations.checks.small_data import random_values, small_sizes
from derivations.program import Program, name_of
from dynamics import on_arrays, rhs, solve
from dynamics.problems.kinds.arrays import OnArrays
from dynamics.program_file import (
    Definition,
    LogSumExp,
    Max,
    Piecewise,
    Softmax,
    SumOver,
    erf,
    grad,
    indices,
    model,
    scalars,
    sigmoid,
    sizes,
    softplus,
    stop_gradient,
    t,
    tensors,
)
from dynamics.support.errors import InputError

N, T, V = sizes("N T V")
n, l, p, q, i, o = indices("n l p q i o")
x, y, length = tensors("x y length", integer=True)
W, A, P, a, z, s, m, mdot, r = tensors("W A P a z s m mdot r")
c, tau = scalars("c tau")


def attention() -> Program:
    """Causal attention to words, with neighbours, a scalar and most functions."""
    return model(
        extents={n: N, l: T, p: T, i: V, o: V},
        data=[x[n, l], y[n]],
        states=[W[i, o], A[i, o], P[p], c],
        definitions=[
            Definition(a[n, p, l], Softmax(A[x[n, l], x[n, p]] + P[l] * c, l, mask=l <= p)),
            Definition(z[n, o], SumOver(a[n, p, l] * W[x[n, l], o] + softplus(W[x[n, l - 1], o]), l, p)),
        ],
        loss=SumOver(LogSumExp(z[n, o], o) - z[n, y[n]], n) / N + sigmoid(c) * erf(c) + Max(c, SumOver(P[p], p)),
    )


def rows() -> Program:
    """Rows of different lengths, and what is looked up in them."""
    return model(
        extents={n: N, l: length[n], i: V},
        data=[length[n], x[n, l], r[n]],
        states=[W[i], s[i]],
        definitions=[
            Definition(a[n, l], Softmax(s[x[n, l]], l)),
            Definition(z[n], SumOver(a[n, l] * W[x[n, l]], l)),
        ],
        loss=SumOver((z[n] - r[n]) ** 2, n),
    )


def heavy_ball() -> Program:
    """Slopes as symbols, the time, and a rate that is a state itself."""
    loss = SumOver((W[i] - stop_gradient(W[i]) / 2) ** 4, i)
    return model(
        extents={i: V},
        states=[W[i], m[i]],
        parameters=[tau],
        definitions=[Definition(mdot[i], -grad(loss, W)[i] - m[i] * Piecewise((t, t < tau), (1, True)))],
        loss=loss,
        flow={"W": "m", "m": "mdot"},
    )


PROGRAMS = {f.__name__: f for f in (attention, rows, heavy_ball)}


def at_a_point(of: Program) -> tuple[OnArrays, np.ndarray]:
    """A program on random data, and a random packed state."""
    flow = of.flow()
    values = random_values(flow, 1)
    data = {name_of(access): values[name_of(access)] for access in flow.data}
    shapes = {size for access in flow.data for size in map(str, (flow.extents[k] for k in access.indices))}
    given = {size: n for size, n in small_sizes(flow).items() if size not in shapes}
    given |= {k.name: values[k.name] for k in flow.parameters if k.name not in flow.rates.values()}
    return on_arrays(flow, data, given), np.concatenate([np.ravel(values[state]) for state in flow.state_names])


@pytest.mark.parametrize("name", PROGRAMS)
def test_numpy_says_the_same(name: str):
    problem, at = at_a_point(PROGRAMS[name]())
    compiled, arrays = rhs(problem), rhs(problem, backend="numpy")
    np.testing.assert_allclose(arrays(0.0, at), compiled(0.0, at), rtol=1e-12, atol=1e-14)
    assert np.array_equal(compiled.pack(compiled.unpack(at)), at)


@pytest.mark.parametrize("name", PROGRAMS)
def test_jax_says_the_same_and_differentiates(name: str):
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        problem, at = at_a_point(PROGRAMS[name]())
        compiled, traced = rhs(problem), rhs(problem, backend="jax")
        np.testing.assert_allclose(jax.jit(traced)(0.0, at), compiled(0.0, at), rtol=1e-11, atol=1e-13)
        step, along = 1e-6, np.random.default_rng(0).standard_normal(at.size)
        _, tangent = jax.jvp(lambda y: traced(0.0, y), (at,), (along,))
        slope = (compiled(0.0, at + step * along) - compiled(0.0, at - step * along)) / (2 * step)
        np.testing.assert_allclose(tangent, slope, rtol=1e-6, atol=1e-7)
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", PROGRAMS)
def test_c_says_the_same(name: str):
    problem, at = at_a_point(PROGRAMS[name]())
    compiled, written = rhs(problem), rhs(problem, backend="c")
    np.testing.assert_allclose(written(0.0, at), compiled(0.0, at), rtol=1e-11, atol=1e-13)


def test_a_method_of_the_program_that_scipy_takes():
    from scipy.integrate import solve_ivp

    problem, at = at_a_point(attention())
    f = problem.program.rhs(problem.data, backend="numba", values={"V": problem.sizes["V"]})
    start = f.unpack(at)
    # At tau = .47 the flow meets the corner of Max, along which it slides: SciPy's RK45 chatters there.
    found = solve_ivp(f, (0, 0.3), at, rtol=1e-9, atol=1e-12).y[:, -1]
    exact = solve(problem, [0.3], initial=start, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found, np.concatenate([exact[name][-1].values.ravel() for name in start]), atol=1e-7)


def test_a_backend_that_does_not_exist():
    problem, _ = at_a_point(rows())
    with pytest.raises(InputError, match="backend 'nump': there are numba, numpy, jax, c; did you mean"):
        rhs(problem, backend="nump")
