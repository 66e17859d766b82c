"""The cells of the copying system that are swept, and heyoka's way with them: without this package, which has its own.

A new process that sweeps them by heyoka imports no more than this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import Values

LENGTH, START = 40.0, 0.01
T = np.linspace(0, 2000, 50)


def vocabularies(cells: int) -> Values:
    return np.linspace(41, 200, cells)


def slopes(u: Any, a: Any, V: Any, exp: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The two equations for the peers, with three exponentials that cannot overflow while u and a are not negative."""
    right = 1 / (1 + (LENGTH - 1) * exp(-a))
    wrong = (1 - right) / (LENGTH - 1)
    rest, absent = exp((wrong - right) * u), exp(-right * u)
    total = 1 + (LENGTH - 1) * rest + (V - LENGTH) * absent
    p_t, p_in = 1 / total, rest / total
    du = (right * (1 - p_t) - (1 - right) * p_in) / (V - 1)
    return du, u * right * (1 - right) * (1 - p_t + p_in) / (LENGTH - 1)


def with_heyoka(batch: int, V: Values, tol: float) -> Callable[[], Values]:
    import heyoka

    u, a = heyoka.make_vars("u", "a")
    rates = slopes(u, a, heyoka.par[0], heyoka.exp)
    solver = heyoka.taylor_adaptive_batch(
        list(zip((u, a), rates, strict=True)), np.full((2, batch), START), pars=np.full((1, batch), V[0]), tol=tol
    )
    grid = np.repeat(T[:, None], batch, 1)
    padded = np.resize(V, -(-V.size // batch) * batch)

    def run() -> Values:
        found = np.empty((T.size, 2, padded.size))
        for first in range(0, padded.size, batch):
            solver.set_time(0.0)
            solver.state[:] = START
            solver.pars[0] = padded[first : first + batch]
            found[:, :, first : first + batch] = solver.propagate_grid(grid)[1]
        return found[:, :, : V.size].transpose(1, 2, 0)

    return run
