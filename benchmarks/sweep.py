"""Sweeps of the copying system beside heyoka (Taylor series in batches), diffrax (vmap, lax.map) and solvers of cells.

V from 41 to 200, L = 40, to tau = 2,000, 50 outputs, u0 = a0 = 0.01. Every contender takes the loosest
tolerance that meets the wanted accuracy, so that times are at equal error. Errors are the largest over all cells and
outputs, against DOP853 at rtol 1e-13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import sympy
import xarray as xr

from benchmarks.accuracy import LOOSEST, furthest, loosest
from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.copying_cells import LENGTH, START, T, slopes, vocabularies, with_heyoka
from benchmarks.own import numbers
from benchmarks.peers import Values, here
from derivations.reductions import copying
from dynamics.integrate.sweeps import sweep

ALONE = 20
"""Cells that solvers of one cell at a time are timed on."""


@dataclass(frozen=True)
class Method:
    """A way to run the sweep: ``prepare(V, tolerance)()`` returns u and a by (state, cell, time)."""

    prepare: Callable[[Values, float], Callable[[], Any]]
    most_cells: int | None = None


def ours(method: str, V: Values, rtol: float) -> Callable[[], tuple[Values, ...]]:
    return lambda: numbers(swept(method, V, rtol), "u", "a")


def swept(method: str, V: Values, rtol: float) -> xr.Dataset:
    """The sweep on one thread."""
    parameters = {"V": V, "L": LENGTH, "eta_W": 1.0, "eta_A": 1.0}
    start, tolerances = {"u": START, "a": START}, {"rtol": rtol, "atol": 1e-2 * rtol}
    return sweep(copying(), parameters, start, T[-1], t_eval=T, method=method, **tolerances, threads=1)


def operations() -> int:
    """Additions, multiplications and functions of one evaluation of the flow, as the program defines it."""
    return sum(int(sympy.count_ops(definition.rhs)) for definition in copying().definitions)


def with_diffrax(solver: str, mapping: str) -> Callable[[Values, float], Callable[[], Values]]:
    """One compiled function for all tolerances."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def field(t: Any, y: Any, V: Any) -> Any:
        return jnp.stack(slopes(y[0], y[1], V, jnp.exp))

    def cell(V: Any, rtol: Any) -> Any:
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            getattr(diffrax, solver)(),
            t0=0.0,
            t1=T[-1],
            dt0=None,
            y0=jnp.full(2, START),
            max_steps=100_000,
            args=V,
            saveat=diffrax.SaveAt(ts=jnp.asarray(T)),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-2 * rtol),
            adjoint=diffrax.ForwardMode(),
        )
        return found.ys

    @jax.jit
    def cells(values: Any, rtol: Any) -> Any:
        if mapping == "vmap":
            return jax.vmap(cell, in_axes=(0, None))(values, rtol)
        return jax.lax.map(lambda V: cell(V, rtol), values)

    return lambda V, rtol: lambda: np.asarray(cells(jnp.asarray(V), rtol)).transpose(2, 0, 1)


def with_torchdiffeq(V: Values, rtol: float) -> Callable[[], Values]:
    """All cells as one state, which share their steps."""
    import torch
    import torchdiffeq

    torch.set_num_threads(1)
    values, times, start = torch.as_tensor(V), torch.as_tensor(T), torch.full((2, V.size), START, dtype=torch.float64)

    def field(t: Any, y: Any) -> Any:
        return torch.stack(slopes(y[0], y[1], values, torch.exp))

    def run() -> Values:
        with torch.no_grad():
            found = torchdiffeq.odeint(field, start, times, rtol=rtol, atol=1e-2 * rtol, method="dopri5")
        return found.numpy().transpose(1, 2, 0)

    return run


def with_scipy(V: Values, rtol: float) -> Callable[[], Values]:
    """``solve_ivp`` for each cell, as one would write it first."""
    from math import exp

    from scipy.integrate import solve_ivp

    def cell(v: float) -> Values:
        return solve_ivp(
            lambda t, y: slopes(y[0], y[1], v, exp), (0, T[-1]), [START, START], t_eval=T, rtol=rtol, atol=1e-2 * rtol
        ).y

    return lambda: np.stack([cell(v) for v in V], axis=1)


def with_numbalsoda(V: Values, rtol: float) -> Callable[[], Values]:
    """LSODA for each cell, in a compiled loop."""
    import math

    from numba import cfunc, njit
    from numbalsoda import lsoda, lsoda_sig

    exp, formula = njit(lambda x: math.exp(x)), njit(slopes)

    @cfunc(lsoda_sig)
    def field(t, y, dy, parameters):
        dy[0], dy[1] = formula(y[0], y[1], parameters[0], exp)

    address = field.address

    @njit
    def cells(V, rtol):
        found = np.empty((V.size, T.size, 2))
        for k in range(V.size):
            found[k], _ = lsoda(address, np.array([START, START]), T, np.array([V[k]]), rtol, 1e-2 * rtol)
        return found

    return lambda: cells(V, rtol).transpose(2, 0, 1)


@cache
def methods() -> dict[str, Method]:
    """Contenders by name; of this package first."""
    found = {f"dynamics {name}": Method(partial(ours, name)) for name in ("RK45", "DOP853")}
    if here("heyoka"):
        for batch in (8, 16):
            found[f"heyoka, batches of {batch}"] = Method(partial(with_heyoka, batch))
    if here("diffrax"):
        for solver, mapping in (("Tsit5", "vmap"), ("Dopri8", "vmap"), ("Tsit5", "lax.map")):
            found[f"diffrax {solver}, {mapping}"] = Method(with_diffrax(solver, mapping))
    if here("torchdiffeq"):
        found["torchdiffeq dopri5, one batch"] = Method(with_torchdiffeq)
    if here("numbalsoda"):
        found["numbalsoda"] = Method(with_numbalsoda)
    found["SciPy RK45, cell by cell"] = Method(with_scipy, ALONE)
    return found


@cache
def reference(cells: int) -> Values:
    return np.stack(ours("DOP853", vocabularies(cells), 1e-13)())


def rows(target: float, setting: Setting) -> Iterator[Row]:
    contenders, found = methods(), dict[str, Contender]()
    for cells in (100, 1000) if setting.quick else (100, 1000, 10_000):
        V = vocabularies(cells)
        exact = reference(cells)
        before, found = found, {}
        for name, method in contenders.items():
            some = slice(None, None, max(1, cells // (method.most_cells or cells)))
            start = before[name].tolerance if name in before else LOOSEST
            chosen = loosest(partial(method.prepare, V[some]), furthest(exact[:, some]), target, start)
            if chosen is not None:
                work = Work() if found else least(V, chosen.tolerance)
                peer = not name.startswith("dynamics")
                found[name] = replace(chosen, share=V[some].size / cells, work=work, peer=peer)
        yield from race(cells, found, setting.rounds)


def least(V: Values, rtol: float) -> Work:
    """The arithmetic of all evaluations of RK45, a function as one operation; outputs are written once."""
    return Work(8 * 2 * T.size * V.size, int(swept("RK45", V, rtol).evaluations.sum()) * operations())


TITLE = "copying (two equations), 50 outputs, to τ = 2,000, at an error of at most"
CASE = Case("sweep", f"{TITLE} 1e-5", "cells", partial(rows, 1e-5))
TIGHT = Case("sweep-tight", f"{TITLE} 1e-8", "cells", partial(rows, 1e-8))
