"""Phase diagrams and closures on one core and on two."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numba
import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.dense_closure import counts
from benchmarks.peers import Values
from derivations.reductions import copying
from dynamics import CoOccurrence, solve
from dynamics.integrate.sweeps import Event, sweep

START, LATE = 0.01, 100.0


def phase_diagram(side: int, threads: int, rtol: float = 1e-6) -> Values:
    """Time to p_t = 0.5 over a square of (V, L)."""
    vocabulary, length = np.meshgrid(np.linspace(40, 200, side), np.linspace(2, 40, side))
    parameters = {"V": vocabulary.ravel(), "L": length.ravel(), "eta_W": 1.0, "eta_A": 1.0}
    learnt = {"learnt": Event("p_t", 0.5, terminal=True)}
    found = sweep(
        copying(),
        parameters,
        {"u": START, "a": START},
        3e5,
        events=learnt,
        rtol=rtol,
        atol=1e-3 * rtol,
        threads=threads,
    )
    return found.event_time.values


def rows(setting: Setting) -> Iterator[Row]:
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    for side in (50, 100, 200) if setting.quick else (50, 100, 200, 400, 800):
        exact = phase_diagram(side, 1, 1e-11)
        contenders = {}
        for threads in sorted({1, min(2, available)}):
            error = np.nanmax(abs(phase_diagram(side, threads) / exact - 1))
            name = f"{threads} thread{'s' * (threads > 1)}"
            contenders[name] = Contender(partial(phase_diagram, side, threads), error)
        yield from race(side**2, contenders, setting.repeats, by_wall=True)


def closure(system: CoOccurrence, threads: int, rtol: float = 1e-6) -> Values:
    found = solve(system, [LATE], rtol=rtol, atol=1e-3 * rtol, threads=threads)
    return np.concatenate([found[name].values.ravel() for name in ("W", "A")])


def closures(setting: Setting) -> Iterator[Row]:
    available = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    for V in (224,) if setting.quick else (224, 500):
        system = CoOccurrence.from_counts(counts(V))
        one = closure(system, 1)
        contenders = {}
        for threads in sorted({1, min(2, available)}):
            name = f"{threads} thread{'s' * (threads > 1)}"
            contenders[name] = Contender(partial(closure, system, threads), abs(closure(system, threads) - one).max())
        yield from race(V, contenders, setting.repeats, by_wall=True)


CLOSURES = Case("shared", "both stages on one core and on two: the same bits", "words", closures, one_core=False)
CASE = Case("cores", "phase diagram of copying, time to p_t = 0.5, relative error", "cells", rows, one_core=False)
