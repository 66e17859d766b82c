"""Programs drawn from the whole language: their flow against JAX, or differences, and their code run for every race."""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import Any

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracles.random_programs import Interpreted

from derivations.checks.small_data import as_function, random_values
from derivations.gradient_flow import gradient_flow
from derivations.program.access import name_of
from derivations.program.program import Program, ProgramError
from dynamics.lowering import lower
from dynamics.lowering.arrays import array_kernel
from dynamics.lowering.arrays.functional import functional_kernel
from dynamics.program_file import (
    Abs,
    Definition,
    LogSumExp,
    Max,
    Min,
    Piecewise,
    Softmax,
    SumOver,
    Where,
    asin,
    atan,
    cos,
    erf,
    exp,
    gelu,
    indices,
    log,
    log_sigmoid,
    model,
    rsqrt,
    scalars,
    sigmoid,
    sin,
    sizes,
    softplus,
    sqrt,
    tanh,
    tensors,
)

N, T, V, D = sizes("N T V D")
n, l, p, i, k, d = indices("n l p i k d")
x, at = tensors("x at", integer=True)
W, s, P, U, r, u = tensors("W s P U r u")
(c,) = scalars("c")
EXTENTS = {n: N, l: T, p: T, i: V, k: 3, d: 2 * D}
SHAPES = ((), (n,), (n, l), (n, p), (i,), (k,), (n, p, l), (l, p), (n, k), (d,))
WIDTHS = {"W": (i, k), "s": (i,), "P": (l,), "U": (d, k), "r": (n, l), "u": (n,), "c": ()}
FUNCTIONS = (
    lambda f: exp(-(f**2)), sin, cos, tanh, erf, softplus, log_sigmoid, sigmoid, atan, gelu, lambda f: asin(sin(f) / 2),
    lambda f: log(2 + f**2), lambda f: sqrt(1 + f**2), lambda f: rsqrt(1 + f**2), lambda f: Max(f, 0, f**3),
    lambda f: Min(f, 1), lambda f: Abs(f) * f, lambda f: f, lambda f: 2 - f, lambda f: f**2,
)  # fmt: skip


class Author:
    """Draws expressions over what is known so far."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.known = draw, dict(WIDTHS)

    def one(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def place(self, inside: tuple) -> Any:
        """A subscript among places: an index, a neighbour, the last one, a number, or what a table says."""
        own = [index for index in (l, p) if index in inside]
        found = [T - 1, 0, *own, *own, *(index - 1 for index in own), *(index + 1 for index in own)]
        found += [at[n, index] for index in own if n in inside]
        found += [p - l] if len(own) > 1 else []
        return self.one(*found)

    def subscript(self, index: Any, inside: tuple) -> Any:
        if index in (l, p):
            return self.place(inside)
        if index == i:
            words = [x[n, self.place(inside)]] if n in inside else []
            return self.one(*words, *words, *([i] if i in inside else []), V - 1, 0)
        if index in inside:
            return index
        return self.one(0, 2) if index == k else self.one(0, 2 * D - 1) if index == d else None

    def access(self, inside: tuple) -> Any:
        fitting = [name for name, shape in self.known.items() if n not in shape or n in inside]
        name = self.one(*fitting, *fitting[-2:])
        subs = [self.subscript(index, inside) for index in self.known[name]]
        return tensors(name)[0][tuple(subs)] if subs else scalars(name)[0]

    def condition(self, inside: tuple) -> Any:
        own = [index for index in (l, p, i, n) if index in inside]
        options = [s[0] > 0, c < 1, *(index > 0 for index in own)]
        options += [l <= p, l < p, p - l <= 1] if {l, p} <= set(inside) else []
        return self.one(*options)

    def expression(self, inside: tuple, depth: int) -> Any:
        if depth == 0:
            return self.one(*FUNCTIONS)(self.access(inside))
        way = self.one("product", "sum", "function", "where", "cases", "total", "softmax", "lse")
        first = self.expression(inside, depth - 1)
        if way in ("product", "sum", "cases"):
            second = self.expression(inside, 0)
            cases = Piecewise((first, self.condition(inside)), (second, True))
            return {"product": first * second, "sum": first + second, "cases": cases}[way]
        if way == "function":
            return self.one(*FUNCTIONS)(first)
        if way == "where":
            return Where(first, self.condition(inside))
        extra = [index for index in (l, p, i, k, d) if index not in inside]
        if not extra:
            return first
        over = self.one(*extra)
        wider = (*inside, over)
        part = self.expression(wider, depth - 1) * self.access(wider)
        assume(over in part.free_symbols)
        mask = self.one(True, True, l <= p) if over in (l, p) and {l, p} <= set(wider) else True
        if way == "total":
            return first + SumOver(part, over, mask=mask)
        own = {i: W[over, 0], l: P[over], p: P[over], k: U[0, over], d: U[over, 0]}
        score = sin(self.access(wider)) + own[over]
        if way == "lse":
            return first * LogSumExp(score, over, mask=mask)
        return first + SumOver(Softmax(score, over, mask=mask) * part, over)

    def program(self) -> Program:
        definitions = []
        for number in range(self.draw(st.integers(1, 3))):
            shape = self.one(*SHAPES)
            name = f"T{number}"
            rhs = self.expression(shape, self.draw(st.integers(0, 2)))
            definitions.append(Definition(tensors(name)[0][shape] if shape else scalars(name)[0], rhs))
            self.known[name] = shape
        last = definitions[-1].lhs
        over = getattr(last, "indices", ())
        total = SumOver(sin(last) + last / 3, *over) if over else sin(last) + last / 3
        own = SumOver(W[i, k] ** 2, i, k) + SumOver(s[i] ** 2, i) + SumOver(P[l] ** 2, l) + SumOver(U[d, k] ** 2, d, k)
        return model(
            extents=EXTENTS,
            data=[x[n, l], at[n, l], r[n, l], u[n]],
            states=[W[i, k], s[i], P[l], U[d, k], c],
            definitions=definitions,
            loss=total + own / 10 + c**2 + SumOver(u[n] * r[n, l], n, l),
            examples=self.one(None, n),
        )


@st.composite
def programs(draw: Any) -> Program | ProgramError:
    """A program, or why it is none."""
    try:
        return Author(draw).program()
    except ProgramError as error:
        return error


def by_jax(flow: Program, values: dict[str, Any]) -> dict[str, np.ndarray]:
    """The slopes of the loss by JAX, which differentiates the definitions of the model in its own way."""
    import jax

    assert flow.model is not None
    assert flow.loss is not None
    _, run = functional_kernel(flow.model, (flow.loss.name,))
    states = {name: np.asarray(values[name], dtype=float) for name in flow.state_names}
    rest = {name: value for name, value in values.items() if name not in states}
    found = jax.grad(lambda moved: run(np.float64, **rest, **moved)[flow.loss.name])(states)
    return {name: np.asarray(slope) for name, slope in found.items()}


def by_differences(flow: Program, values: dict[str, Any], step: float) -> dict[str, np.ndarray]:
    """The slopes of the loss by central differences of its equations."""
    assert flow.loss is not None
    run, found = as_function(flow), {}
    for name in flow.state_names:
        here = np.array(values[name], dtype=float)
        found[name] = slope = np.zeros_like(here)
        for at in np.ndindex(here.shape):
            around = []
            for sign in (1, -1):
                moved = here.copy()
                moved[at] += sign * step
                around.append(float(run(**{**values, name: moved})[flow.loss.name]))
            slope[at] = (around[0] - around[1]) / (2 * step)
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.integers(0, 10**6))
def test_a_program_of_the_language_flows_down_its_loss(program: Program | ProgramError, seed: int) -> None:
    if isinstance(program, ProgramError):  # in one line, of the definition
        assert str(program).removeprefix("program: ").startswith("definition of ")
        assert "\n" not in str(program)
        return
    flow = gradient_flow(program)
    values = random_values(flow, seed % 100)
    plain = as_function(flow)(**values)
    wanted = [flow.flow[name] for name in flow.state_names]
    assume(all(np.isfinite(plain[name]).all() for name in wanted))
    if find_spec("jax") is not None:
        import jax

        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        try:
            slopes = by_jax(flow, values)
        finally:
            jax.config.update("jax_enable_x64", before)
        for name, rate in flow.flow.items():
            size = max(1.0, float(np.abs(plain[rate]).max()))
            np.testing.assert_allclose(plain[rate], -values[flow.rates[name]] * slopes[name], atol=1e-10 * size)
    else:
        near, far = (by_differences(flow, values, step) for step in (5e-5, 1e-4))
        assume(all(np.allclose(near[name], far[name], rtol=0, atol=1e-6) for name in near))  # no corner within a step
        for name, rate in flow.flow.items():
            size = max(1.0, float(np.abs(plain[rate]).max()))
            np.testing.assert_allclose(plain[rate], -values[flow.rates[name]] * near[name], atol=1e-6 * size)
    arrays = array_kernel(flow, tuple(wanted))(**values)
    rng = random.Random(seed)
    of = {"N": "u", "T": "P", "V": "s", "D": "U"}
    known = {size: np.shape(values[name])[0] // (1 + (size == "D")) for size, name in of.items()}
    constants = rng.choice([{}, known])
    run = Interpreted(lower(flow, wanted, parallel=seed % 2 > 0, constants=constants), rng)
    data = {name_of(access): np.asarray(values[name_of(access)]) for access in flow.data}
    rates = {one.name: values[one.name] for one in flow.parameters}
    packed = np.concatenate([np.ravel(values[name]) for name in flow.state_names]).astype(float)
    found = run(data, packed, **rates, **known)
    for rate in wanted:
        size = max(1.0, float(np.abs(plain[rate]).max()))
        np.testing.assert_allclose(
            np.ravel(found[rate]), np.ravel(plain[rate]), atol=1e-10 * size, err_msg=str(flow.model)
        )
        np.testing.assert_allclose(np.ravel(arrays[rate]), np.ravel(plain[rate]), atol=1e-10 * size)
    assert run.races == 0
