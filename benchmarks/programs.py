"""A program of a user's own beside diffrax, torchdiffeq and SciPy: one integration, and batches of initial states.

Linear attention with merged key and query, D = 8, two heads, learning linear regression in context (Zhang, Singh,
Latham, Saxe 2025), on 64 sequences of 16 pairs: gradient flow to tau = 20 from random states. Every contender takes
the loosest tolerance that meets the wanted accuracy, so that times are at equal error; errors are the largest of the
states at the end, against DOP853 at rtol 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.accuracy import at_equal_error, furthest
from benchmarks.case import Case, Row, Setting, race
from benchmarks.own import flat, numbers
from benchmarks.peers import Prepare, Values, gradient_flows, here, jax_namespace
from derivations.gradient_flow import gradient_flow
from derivations.program import Program
from dynamics import Problem, batch, on_arrays, solve
from dynamics.program_file import Definition, SumOver, indices, model, sizes, tensors

SEQUENCES, PAIRS, WIDTH, HEADS, END, TARGET = 64, 16, 8, 2, 20.0, 1e-5


@cache
def program() -> Program:
    P, N, D, H = sizes("P N D H")
    n, l, d, e, h = indices("n l d e h")
    x, y, xq, yq, U, v, corr, score, head, z = tensors("x y xq yq U v corr score head z")
    return model(
        "Linear attention with merged key and query",
        extents={n: P, l: N, d: D, e: D, h: H},
        data=[x[n, l, d], y[n, l], xq[n, d], yq[n]],
        states=[v[h], U[h, d, e]],
        definitions=[
            Definition(corr[n, d], SumOver(y[n, l] * x[n, l, d] / N, l), "in-context correlation"),
            Definition(score[n, h, e], SumOver(corr[n, d] * U[h, d, e], d), "keys"),
            Definition(head[n, h], SumOver(score[n, h, e] * xq[n, e], e), "output of a head"),
            Definition(z[n], SumOver(v[h] * head[n, h], h), "prediction"),
        ],
        loss=SumOver((yq[n] - z[n]) ** 2 / P, n),
        examples=n,
    )


@cache
def data() -> dict[str, Values]:
    random = np.random.default_rng(0)
    x, xq = random.normal(size=(SEQUENCES, PAIRS, WIDTH)), random.normal(size=(SEQUENCES, WIDTH))
    w = random.normal(size=(SEQUENCES, WIDTH)) / np.sqrt(WIDTH)
    return {"x": x, "y": np.einsum("nld,nd->nl", x, w), "xq": xq, "yq": np.einsum("nd,nd->n", xq, w)}


def starts(cells: int) -> tuple[Values, Values]:
    random = np.random.default_rng(1)
    return 0.2 * random.normal(size=(cells, HEADS)), 0.1 * random.normal(size=(cells, HEADS, WIDTH, WIDTH))


def loss(xp: Any, data: Any, v: Any, U: Any) -> Any:
    corr = xp.einsum("nld,nl->nd", data["x"], data["y"]) / PAIRS
    z = xp.einsum("h,nhe,ne->n", v, xp.einsum("nd,hde->nhe", corr, U), data["xq"])
    return ((data["yq"] - z) ** 2).sum() / SEQUENCES


def by_hand() -> Callable[[Values], Values]:
    """The slope in NumPy, with what depends on data alone computed before."""
    given = data()
    corr = np.einsum("nld,nl->nd", given["x"], given["y"]) / PAIRS
    xq, yq = given["xq"], given["yq"]

    def slope(state: Values) -> Values:
        v, U = state[:HEADS], state[HEADS:].reshape(HEADS, WIDTH, WIDTH)
        head = np.einsum("nhe,ne->nh", np.einsum("nd,hde->nhe", corr, U), xq)
        off = 2 / SEQUENCES * (yq - head @ v)
        outer = np.einsum("nd,n,ne->de", corr, off, xq)
        return np.concatenate([head.T @ off, (v[:, None, None] * outer).ravel()])

    return slope


@cache
def problem() -> Problem:
    return on_arrays(gradient_flow(program()), data(), {"H": HEADS})


def batched(v: Values, U: Values, rtol: float, atol: float, threads: int = 1) -> Values:
    flow = problem().program
    found = batch(
        flow, {"H": HEADS, **dict.fromkeys(flow.rates.values(), 1.0)}, {"v": v, "U": U}, END, data=data(), rtol=rtol,
        atol=atol, threads=threads, constants={"D": WIDTH, "H": HEADS, "N": PAIRS},
    )  # fmt: skip
    return np.concatenate([values.reshape(len(v), -1) for values in numbers(found, "v", "U")], axis=1)


def alone(v: Values, U: Values, rtol: float, atol: float, method: str = "RK45") -> Values:
    found = solve(problem(), [END], initial={"v": v, "U": U}, rtol=rtol, atol=atol, method=method, threads=1)
    return flat(found, "v", "U")


def with_vmap(v: Values, U: Values) -> Prepare:
    """diffrax's Tsit5 under vmap: cells step until the last one is done. Compiled before its first call."""
    xp = jax_namespace()
    import diffrax
    import jax
    import jax.numpy as jnp

    known = {name: jnp.asarray(value) for name, value in data().items()}

    def slope(t: Any, states: Any, args: Any) -> Any:
        return tuple(-value for value in jax.grad(lambda states: loss(xp, known, *states))(states))

    def one(states: Any, rtol: Any, atol: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Tsit5(), 0.0, END, None, states, max_steps=100_000,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol), adjoint=diffrax.ForwardMode(),
        ).ys  # fmt: skip

    first, number = (jnp.asarray(v), jnp.asarray(U)), jnp.asarray(1.0)
    cells = jax.jit(jax.vmap(one, (0, None, None))).lower(first, number, number).compile()

    def prepare(rtol: float, atol: float) -> Callable[[], Values]:
        tolerances = jnp.asarray(rtol), jnp.asarray(atol)
        return lambda: np.concatenate(
            [np.asarray(value)[:, -1].reshape(len(v), -1) for value in cells(first, *tolerances)], axis=1
        )

    return prepare


def rows(setting: Setting) -> Iterator[Row]:
    v, U = (values[0] for values in starts(1))
    exact = alone(v, U, 1e-12, 1e-14, "DOP853")
    given = (loss, data(), (v, U), (1.0, 1.0), END)
    flows: dict[str, Prepare] = {
        f"dynamics {method}": lambda rtol, atol, method=method: partial(alone, v, U, rtol, atol, method)  # type: ignore[misc]
        for method in ("RK45", "DOP853")
    }
    flows |= gradient_flows(*given, by_hand())
    yield from race(1, at_equal_error(flows, furthest(exact), TARGET, 1e-2), setting.rounds)


def batches(setting: Setting) -> Iterator[Row]:
    """Tolerances are found, and errors measured, on a hundred cells; ten thousand are integrated at those."""
    methods: dict[str, Callable[[Values, Values], Prepare]] = {
        "dynamics batch": lambda v, U: lambda rtol, atol: partial(batched, v, U, rtol, atol)
    }
    if here("diffrax"):
        methods["diffrax Tsit5, vmap"] = with_vmap
    few = starts(100)
    exact = batched(*few, 1e-9, 1e-11)
    flows = {name: method(*few) for name, method in methods.items()}
    found = at_equal_error(flows, furthest(exact), TARGET, 1e-2)
    yield from race(100, found, setting.rounds)
    if not setting.quick:
        many = starts(10_000)
        found = {
            name: replace(each, run=methods[name](*many)(each.tolerance, 1e-2 * each.tolerance))
            for name, each in found.items()
        }
        yield from race(10_000, found, setting.rounds)


CASE = Case("program", "linear attention as a program of one's own, D = 8, 130 states", "", rows)
BATCHES = Case("batch", "the same from many initial states", "cells", batches)
