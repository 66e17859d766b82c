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
LOOKED_AT = 10_000
"""Cells that errors are measured on, about."""


def phase_diagram(side: int, threads: int, rtol: float = 1e-6, some: slice = slice(None)) -> Values:
    """Time to p_t = 0.5 over a square of (V, L), or some cells of it: each takes its own steps."""
    vocabulary, length = np.meshgrid(np.linspace(40, 200, side), np.linspace(2, 40, side))
    parameters = {"V": vocabulary.ravel()[some], "L": length.ravel()[some], "eta_W": 1.0, "eta_A": 1.0}
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
        some = slice(None, None, max(1, side**2 // LOOKED_AT))
        exact = phase_diagram(side, available, 1e-11, some)
        contenders = {}
        for threads in sorted({1, min(2, available)}):
            error = np.nanmax(abs(phase_diagram(side, threads)[some] / exact - 1))
            name = f"{threads} thread{'s' * (threads > 1)}"
            contenders[name] = Contender(partial(phase_diagram, side, threads), error, warm=True)
        yield from race(side**2, contenders, setting.rounds, by_wall=True)


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
            contenders[name] = Contender(
                partial(closure, system, threads), abs(closure(system, threads) - one).max(), warm=True
            )
        yield from race(V, contenders, setting.rounds, by_wall=True)


CLOSURES = Case("shared", "both stages on one core and on two: the same bits", "words", closures, one_core=False)
CASE = Case("cores", "phase diagram of copying, time to p_t = 0.5, relative error", "cells", rows, one_core=False)
