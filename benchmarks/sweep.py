"""Sweeps of the copying system beside heyoka (Taylor series in batches) and diffrax (vmap, lax.map), on one core.

    python -m benchmarks.sweep

Reference sweep: 10,000 cells, V from 41 to 200, L = 40, to tau = 2,000, 50 outputs, u0 = a0 = 0.01. Wall time against
the largest error over all cells and outputs; the reference is DOP853 at rtol 1e-13. Then two cores against one, and a
phase diagram. Peers are ``pip install heyoka diffrax``; those missing are named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from time import perf_counter, process_time
from typing import Any

import numba
import numpy as np

from derivations.reductions import copying
from dynamics.sweep import Event, sweep

CELLS, LENGTH, START = 10_000, 40.0, 0.01
V = np.linspace(41, 200, CELLS)
T = np.linspace(0, 2000, 50)
TARGETS = (1e-4, 1e-5, 1e-8)

Values = np.ndarray[Any, np.dtype[np.float64]]
Case = Callable[[], Values]
"""Runs the reference sweep; u and a by (state, cell, time)."""


def ours(method: str, rtol: float, threads: int = 1) -> Values:
    parameters = {"V": V, "L": LENGTH, "eta_W": 1.0, "eta_A": 1.0}
    start = {"u": START, "a": START}
    tolerances = {"rtol": rtol, "atol": 1e-2 * rtol}
    found = sweep(copying(), parameters, start, T[-1], t_eval=T, method=method, **tolerances, threads=threads)
    return np.stack([found.u.values, found.a.values])


def slopes(u: Any, a: Any, V: Any, exp: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The two equations for the peers, with three exponentials that cannot overflow while u and a are not negative."""
    right = 1 / (1 + (LENGTH - 1) * exp(-a))
    wrong = (1 - right) / (LENGTH - 1)
    rest, absent = exp((wrong - right) * u), exp(-right * u)
    total = 1 + (LENGTH - 1) * rest + (V - LENGTH) * absent
    p_t, p_in = 1 / total, rest / total
    du = (right * (1 - p_t) - (1 - right) * p_in) / (V - 1)
    return du, u * right * (1 - right) * (1 - p_t + p_in) / (LENGTH - 1)


def heyoka_case(batch: int, tol: float) -> Case:
    import heyoka

    u, a = heyoka.make_vars("u", "a")
    rates = slopes(u, a, heyoka.par[0], heyoka.exp)
    solver = heyoka.taylor_adaptive_batch(
        list(zip((u, a), rates, strict=True)), np.full((2, batch), START), pars=np.full((1, batch), V[0]), tol=tol
    )
    grid = np.repeat(T[:, None], batch, 1)

    def run() -> Values:
        found = np.empty((T.size, 2, CELLS))
        for first in range(0, CELLS, batch):
            solver.set_time(0.0)
            solver.state[:] = START
            solver.pars[0] = V[first : first + batch]
            found[:, :, first : first + batch] = solver.propagate_grid(grid)[1]
        return found.transpose(1, 2, 0)

    return run


def diffrax_case(solver: str, mapping: str) -> Callable[[float], Case]:
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

    values = jnp.asarray(V)
    return lambda rtol: lambda: np.asarray(cells(values, rtol).block_until_ready()).transpose(2, 0, 1)


def contenders() -> dict[str, dict[float, Case]]:
    """Cases by name and tolerance."""
    found: dict[str, dict[float, Case]] = {}
    for method, tolerances in (("RK45", (1e-3, 1e-4, 1e-5, 1e-6, 1e-8)), ("DOP853", (1e-3, 1e-5, 1e-6, 1e-8, 1e-9))):
        found[f"dynamics {method}"] = {rtol: partial(ours, method, rtol) for rtol in tolerances}
    if find_spec("heyoka"):
        for batch in (8, 16, 40):
            tolerances = (1e-2, 1e-3, 1e-4, 1e-6, 1e-7)
            found[f"heyoka batch {batch}"] = {tol: heyoka_case(batch, tol) for tol in tolerances}
    if find_spec("diffrax"):
        for solver, mapping, tolerances in (
            ("Tsit5", "vmap", (1e-3, 1e-4, 1e-5)),
            ("Dopri5", "vmap", (1e-3, 1e-4, 1e-5)),
            ("Dopri8", "vmap", (1e-3, 1e-4, 1e-5, 1e-8)),
            ("Tsit5", "lax.map", (1e-3, 1e-4, 1e-5)),
            ("Dopri8", "lax.map", (1e-5, 1e-8)),
        ):
            case = diffrax_case(solver, mapping)
            found[f"diffrax {solver} {mapping}"] = {rtol: case(rtol) for rtol in tolerances}
    return found


def least(cases: Mapping[Any, Callable[[], object]], repeats: int = 15) -> dict[Any, tuple[float, float]]:
    """Least wall and processor seconds of each case, all in turn in every repeat, after one warm-up each.

    The least, because other programs on the machine can only add; the processor's time tells how much they did.
    """
    for case in cases.values():
        case()
    found = dict.fromkeys(cases, (np.inf, np.inf))
    for _ in range(repeats):
        for key, case in cases.items():
            began, used = perf_counter(), process_time()
            case()
            seen = perf_counter() - began, process_time() - used
            found[key] = min(found[key][0], seen[0]), min(found[key][1], seen[1])
    return found


def work_precision() -> None:
    """All contenders in turn on one core."""
    for peer in ("heyoka", "diffrax"):
        if not find_spec(peer):
            print(f"{peer} is not installed and left out")
    exact = ours("DOP853", 1e-13)
    cases = {(name, tol): case for name, curve in contenders().items() for tol, case in curve.items()}
    errors = {key: abs(case() - exact).max() for key, case in cases.items()}
    seconds = least(cases)
    print("\n| solver | tolerance | largest error | wall ms | processor ms | cells/s |\n|---|---|---|---|---|---|")
    for key, (wall, processor) in seconds.items():
        row = f"{errors[key]:.1e} | {1e3 * wall:.1f} | {1e3 * processor:.1f} | {CELLS / wall:,.0f}"
        print(f"| {key[0]} | {key[1]:g} | {row} |")
    print("\nLeast wall time at an error of at most\n")
    print("| error | dynamics | ms | best peer | ms | ratio |\n|---|---|---|---|---|---|")
    for target in TARGETS:
        good = sorted((wall, *key) for key, (wall, _) in seconds.items() if errors[key] <= target)
        mine, *_ = (entry for entry in good if entry[1].startswith("dynamics"))
        others = [entry for entry in good if not entry[1].startswith("dynamics")]
        row = f"| {target:g} | {mine[1]} {mine[2]:g} | {1e3 * mine[0]:.1f} |"
        for wall, name, tolerance in others[:1]:
            row += f" {name} {tolerance:g} | {1e3 * wall:.1f} | {wall / mine[0]:.2f} |"
        print(row)


def phase_diagram(side: int, threads: int) -> Values:
    """Time to p_t = 0.5 over a square of (V, L)."""
    vocabulary, length = np.meshgrid(np.linspace(40, 200, side), np.linspace(2, 40, side))
    parameters = {"V": vocabulary.ravel(), "L": length.ravel(), "eta_W": 1.0, "eta_A": 1.0}
    learnt = {"learnt": Event("p_t", 0.5, terminal=True)}
    found = sweep(copying(), parameters, {"u": START, "a": START}, 3e5, events=learnt, threads=threads)
    return found.event_time.values


def cores() -> None:
    """Two cores against one."""
    cases = {(side, threads): partial(phase_diagram, side, threads) for side in (200, 800) for threads in (1, 2)}
    seconds = least(cases, 7)
    print("| phase diagram | 1 core: wall s | processor s | 2 cores: wall s | processor s | ratio of wall |")
    print("|---|---|---|---|---|---|")
    for side in (200, 800):
        one, two = seconds[side, 1], seconds[side, 2]
        row = " | ".join(f"{value:.3f}" for value in (*one, *two))
        print(f"| {side} x {side} | {row} | {one[0] / two[0]:.2f} |")


def main() -> None:
    if numba.config.NUMBA_NUM_THREADS >= 2:  # type: ignore[attr-defined]
        cores()
    if hasattr(os, "sched_setaffinity"):  # before the peers start their threads
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    else:
        print("this system cannot keep a process on one core: peers may use more")
    work_precision()


if __name__ == "__main__":
    main()
