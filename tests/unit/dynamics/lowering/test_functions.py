"""Functions of the language: values to a few units in the last place, slopes, extremes, and that they vectorise."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from derivations.checks.differences import against_differences
from derivations.checks.small_data import as_function, random_values
from derivations.gradient_flow import gradient_flow
from derivations.program.program import Program
from dynamics.lowering import functions, lower
from dynamics.lowering.arrays import array_kernel
from dynamics.lowering.verify import verified
from dynamics.program_file import (
    Definition,
    Max,
    Min,
    SumOver,
    acos,
    asin,
    atan,
    erf,
    gelu,
    indices,
    log_sigmoid,
    model,
    rsqrt,
    scalars,
    sigmoid,
    sign,
    sizes,
    softplus,
    tanh,
    tensors,
)

(N,), (n,) = sizes("N"), indices("n")
x, W, z = tensors("x W z")

WIDE = np.concatenate([np.linspace(-8, 8, 801), [-1e3, 1e3, 1e-300, -1e-300, 0.0, 700.0, -700.0]])
UNIT = np.concatenate([np.linspace(-1, 1, 801), 1 - 10.0 ** -np.arange(1, 16)])
EXACT = {
    "erf": (WIDE, mpmath.erf),
    "atan": (WIDE, mpmath.atan),
    "asin": (UNIT, mpmath.asin),
    "acos": (UNIT, mpmath.acos),
    "sigmoid": (WIDE, lambda v: 1 / (1 + mpmath.exp(-v))),
    "softplus": (WIDE, lambda v: mpmath.log1p(mpmath.exp(v))),
}


@pytest.mark.parametrize("name", EXACT)
def test_values_to_a_few_units_in_the_last_place(name: str):
    points, exact = EXACT[name]
    run = getattr(functions, name)
    with mpmath.workdps(500 if name == "softplus" else 40):
        wanted = np.array([float(exact(mpmath.mpf(float(v)))) for v in points])
    found = np.array([run(v) for v in points])
    keep = np.abs(wanted) > 1e-305  # below, the exponential is 0
    np.testing.assert_array_less(np.abs(found - wanted)[keep], 4 * np.spacing(np.abs(wanted[keep])) + 1e-320)
    np.testing.assert_array_less(np.abs(found - wanted)[~keep], 1e-304)
    assert np.isnan(run(np.nan))


@pytest.mark.parametrize("name", EXACT)
def test_loops_over_them_are_vector_instructions(name: str):
    space = {"function": getattr(functions, name)}
    exec("def loop(a, out):\n    for k in range(a.shape[0]):\n        out[k] = function(a[k])", space)
    loop = njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})(space["loop"])
    loop(np.linspace(-0.5, 0.5, 64), np.empty(64))
    (llvm,) = loop.inspect_llvm().values()
    assert " x double>" in llvm
    assert "fmul" in "".join(line for line in llvm.splitlines() if " x double>" in line)


(c,) = scalars("c")
OF = {
    "asin": lambda v: asin(tanh(v)),
    "acos": lambda v: acos(tanh(v)),
    "atan": atan,
    "erf": erf,
    "gelu": gelu,
    "sign": lambda v: sign(v) * v**2,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_sigmoid": log_sigmoid,
    "rsqrt": lambda v: rsqrt(1 + v**2),
    "largest of three": lambda v: Max(v, c, v**2 - 1),
    "least of three": lambda v: Min(v, c, 1 - v**2),
    "least": lambda v: Min(v, 0),
}


def program_of(name: str) -> Program:
    return model(
        extents={n: N},
        data=[x[n]],
        states=[W[n], c],
        definitions=[Definition(z[n], OF[name](W[n]) * x[n])],
        loss=SumOver(z[n] * (1 + c), n),
    )


@pytest.mark.parametrize("name", OF)
def test_slopes_and_every_reading_of_them(name: str):
    flow = gradient_flow(program_of(name))
    assert against_differences(flow).passed
    assert verified(flow) == ""
    values = random_values(flow, 3)
    outputs = tuple(flow.flow.values())
    wanted, found = as_function(flow)(**values), array_kernel(flow, outputs)(**values)
    for output in outputs:
        np.testing.assert_allclose(found[output], wanted[output], rtol=1e-12, atol=1e-14)


FAR = {
    "atan": (1e-6, 1e-6),
    "erf": (0.0, 0.0),
    "gelu": (0.0, 1.0),
    "sigmoid": (0.0, 0.0),
    "softplus": (0.0, 1.0),
    "log_sigmoid": (1.0, 0.0),
    "rsqrt": (1e-6, -1e-6),
    "least": (1.0, 0.0),
}


@pytest.mark.parametrize("name", FAR)
def test_slopes_are_finite_and_right_at_a_thousand(name: str):
    flow = gradient_flow(program_of(name))
    bound = lower(flow, ("Wdot",)).bind({"x": np.ones(2)}, {"eta_W": 1.0, "eta_c": 1.0})
    found = bound.evaluate(np.array([-1e3, 1e3, 0.0]))["Wdot"]
    np.testing.assert_allclose(-found, FAR[name], rtol=1e-5, atol=1e-300)


def test_a_corner_of_a_minimum_is_flat_on_the_side_that_rests():
    flow = gradient_flow(program_of("least"))
    bound = lower(flow, ("Wdot",)).bind({"x": np.ones(1)}, {"eta_W": 1.0, "eta_c": 1.0})
    assert bound.evaluate(np.zeros(2))["Wdot"].tolist() == [0.0]
