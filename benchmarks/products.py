"""The right-hand side of both stages beside products of matrices of its size, and the memory of a whole solve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numba
import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.dense_closure import by_hand, counts, least
from benchmarks.measure import memory, peak_memory, seconds
from benchmarks.peers import Values
from derivations.closures import both_stages
from dynamics import CoOccurrence, solve
from dynamics.lowering import lower
from dynamics.support.threads import WORTH_SHARING, limited


def on(threads: int, run: Callable[[], object], size: int, times: int) -> None:
    """Calls on so many threads; setting their number takes a millisecond, so there are many calls of small sizes."""
    with limited(threads, size):
        for _ in range(times):
            run()


def rows(setting: Setting) -> Iterator[Row]:
    for V in (300, 1000) if setting.quick else (100, 300, 1000, 2000):
        system = CoOccurrence.from_counts(counts(V))
        R, q = system.conditional(), system.q
        flow = lower(both_stages(), parallel=2 * V**2 >= WORTH_SHARING).bind(
            {"R": R, "q": q}, {"eta_W": 1.0, "eta_A": 1.0}
        )
        y, out = 0.1 * np.random.default_rng(1).standard_normal(flow.state_size), np.empty(flow.state_size)
        a, b, c = (np.random.default_rng(k).standard_normal((V, V)) for k in range(3))
        flow(y, out)
        exact = by_hand(R, q, y)
        error = float(abs(out - exact).max() / abs(exact).max())

        def products(a: Values = a, b: Values = b, c: Values = c) -> None:
            for _ in range(3):
                np.dot(a, b, c)

        times = -(-(1000**3) // V**3)
        contenders: dict[str, Contender] = {}
        for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):  # type: ignore[attr-defined]
            name = f", {threads} thread{'s' * (threads > 1)}"
            ours = partial(on, threads, partial(flow, y, out), y.size, times)
            contenders[f"right-hand side{name}"] = Contender(ours, error, times, least(V, 1), warm=True)
            theirs = partial(on, threads, products, y.size, times)
            contenders[f"three products, NumPy{name}"] = Contender(theirs, share=times)
        formula = partial(on, 1, partial(by_hand, R, q, y), y.size, times)
        contenders["NumPy, 1 thread"] = Contender(formula, error, times, peer=True)
        yield from race(V, contenders, setting.rounds, by_wall=True)


def memory_rows(setting: Setting) -> Iterator[Row]:
    V, tau = (600, 100.0) if setting.quick else (1500, 400.0)
    solve(CoOccurrence.from_counts(counts(400)), [1.0], top=10)  # compile and load everything before memory is read
    system = CoOccurrence.from_counts(counts(V))
    times = tau * np.array([0.25, 0.5, 1.0])
    before, found = memory(), []
    wall, processor = seconds(lambda: found.append(solve(system, times, top=100).attrs["evaluations"]))
    states = (peak_memory() - before) / (2 * 8 * V**2)
    note = f"{found[0]} evaluations; peak memory {states:.1f} states above the {before / 1e9:.2f} GB before it"
    yield Row(V, "solve", wall, processor, note=note, race="solve")


CASE = Case(
    "products", "right-hand side of both stages beside matrix products; error relative, against NumPy", "words", rows,
    one_core=False,
)  # fmt: skip
MEMORY = Case("memory", "memory of a solve of both stages", "words", memory_rows, one_core=False)
