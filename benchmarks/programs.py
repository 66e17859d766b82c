"""A program of a user's own beside diffrax, torchdiffeq and SciPy: one integration, and batches of initial states.

Linear attention with merged key and query, D = 8, two heads, learning linear regression in context (Zhang, Singh,
Latham, Saxe 2025), on 64 sequences of 16 pairs: gradient flow to tau = 20 from random states. Every contender takes the
loosest of its tolerances that meets the wanted accuracy, so that times are at equal error; errors are the largest of
the states at the end, against DOP853 at rtol 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.peers import Values, here, jax_namespace, with_diffrax, with_scipy, with_torchdiffeq
from derivations.gradient_flow import gradient_flow
from derivations.program import Program
from dynamics import Problem, batch, on_arrays, solve
from dynamics.program_file import Definition, SumOver, indices, model, sizes, tensors

SEQUENCES, PAIRS, WIDTH, HEADS, END, TARGET = 64, 16, 8, 2, 20.0, 1e-5
RTOLS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


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


def batched(v: Values, U: Values, rtol: float, threads: int = 1) -> Values:
    flow = problem().program
    found = batch(
        flow, {"H": HEADS, **dict.fromkeys(flow.rates.values(), 1.0)}, {"v": v, "U": U}, END, data=data(), rtol=rtol,
        atol=1e-2 * rtol, threads=threads, constants={"D": WIDTH, "H": HEADS, "N": PAIRS},
    )  # fmt: skip
    return np.concatenate([found.v.values, found.U.values.reshape(len(v), -1)], axis=1)


def alone(v: Values, U: Values, rtol: float, method: str = "RK45") -> Values:
    found = solve(problem(), [END], initial={"v": v, "U": U}, rtol=rtol, atol=1e-2 * rtol, method=method, threads=1)
    return np.concatenate([found.v.values.ravel(), found.U.values.ravel()])


def with_vmap(v: Values, U: Values, rtol: float) -> Callable[[], Values]:
    """diffrax's Tsit5 under vmap: cells step until the last one is done."""
    xp = jax_namespace()
    import diffrax
    import jax
    import jax.numpy as jnp

    known = {name: jnp.asarray(value) for name, value in data().items()}

    def slope(t: Any, states: Any, args: Any) -> Any:
        return tuple(-value for value in jax.grad(lambda states: loss(xp, known, *states))(states))

    def one(states: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Tsit5(), 0.0, END, None, states, max_steps=100_000,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-2 * rtol), adjoint=diffrax.ForwardMode(),
        ).ys  # fmt: skip

    cells, first = jax.jit(jax.vmap(one)), (jnp.asarray(v), jnp.asarray(U))
    return lambda: np.concatenate([np.asarray(value)[:, -1].reshape(len(v), -1) for value in cells(first)], axis=1)


def loosest(prepare: Callable[[float], Callable[[], Values]], exact: Values) -> Contender | None:
    """A contender at its loosest tolerance that is accurate enough, if any."""
    for rtol in RTOLS:
        run = prepare(rtol)
        error = float(np.abs(run() - exact).max())
        if error <= TARGET:
            return Contender(run, error, note=f"rtol {rtol:g}")
    return None


def rows(setting: Setting) -> Iterator[Row]:
    v, U = (values[0] for values in starts(1))
    exact = alone(v, U, 1e-12, "DOP853")
    given = (loss, data(), (v, U), (1.0, 1.0), END)
    contenders = {
        "dynamics RK45": lambda rtol: partial(alone, v, U, rtol),
        "dynamics DOP853": lambda rtol: partial(alone, v, U, rtol, "DOP853"),
    }
    if here("diffrax"):
        contenders["diffrax Tsit5"] = lambda rtol: with_diffrax(*given, rtol, 1e-2 * rtol)
    if here("torchdiffeq"):
        contenders["torchdiffeq dopri5"] = lambda rtol: with_torchdiffeq(*given, rtol, 1e-2 * rtol)
    contenders["SciPy RK45, NumPy"] = lambda rtol: with_scipy(by_hand(), (v, U), END, rtol, 1e-2 * rtol)
    found = {name: loosest(prepare, exact) for name, prepare in contenders.items()}
    yield from race(1, {name: each for name, each in found.items() if each is not None}, setting.repeats)


def batches(setting: Setting) -> Iterator[Row]:
    """Tolerances are found, and errors measured, on a hundred cells; ten thousand are integrated once."""
    contenders: dict[str, Callable[[Values, Values, float], Callable[[], Values]]] = {
        "dynamics batch": lambda v, U, rtol: partial(batched, v, U, rtol)
    }
    if here("diffrax"):
        contenders["diffrax Tsit5, vmap"] = with_vmap
    for cells in (100,) if setting.quick else (100, 10_000):
        v, U = starts(cells)
        few = v[:100], U[:100]
        exact = batched(*few, 1e-9)
        found = {}
        for name, prepare in contenders.items():
            chosen = loosest(partial(prepare, *few), exact)
            if chosen is not None:
                rtol = float(chosen.note.removeprefix("rtol "))
                found[name] = chosen if cells == 100 else replace(chosen, run=prepare(v, U, rtol))
        yield from race(cells, found, setting.repeats if cells == 100 else 1)


CASE = Case("program", "linear attention as a program of one's own, D = 8, 130 states", "", rows)
BATCHES = Case("batch", "the same from many initial states", "cells", batches)
