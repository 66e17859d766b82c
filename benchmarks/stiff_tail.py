"""The late times of the bundled text, where stability and not accuracy limits an explicit step.

Both stages on its most frequent words, 40 outputs to the horizon. Every contender takes the loosest tolerance
that meets the wanted accuracy: the largest relative error of W over all outputs, against ROCK4 at rtol 1e-9. CVODE
calls our compiled right-hand side, so that methods are compared and not how fast a slope is computed; its Newton
iterations are matrix-free, by GMRES.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.accuracy import loosest
from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.own import numbers
from benchmarks.peers import Values, here, with_cvode
from dynamics import CoOccurrence, Problem, solve
from dynamics.counts.bundled import bundled
from dynamics.problems.kinds.closure import Closure
from dynamics.support.errors import DataWarning

WORDS, OUTPUTS, TARGET = 60, 40, 1e-3
METHODS = ("auto", "ROCK4", "RKC", "RK45")
CVODE = {"CVODE BDF, GMRES": "BDF", "CVODE Adams, GMRES": "Adams"}
FEASIBLE, COSTLY = 1e4, ("dynamics RK45", "CVODE Adams, GMRES")
"""These are measured up to this horizon: beyond, their work grows with it."""


def ours(problem: Problem, t: Values, method: str, rtol: float, counted: list[int]) -> Values:
    found = solve(problem, t, method=method, rtol=rtol, atol=1e-3 * rtol, threads=1)
    counted[:] = [found.attrs["evaluations"]]
    return numbers(found, "W")[0].reshape(len(t), -1)


def cvode(problem: Problem, t: Values, method: str, rtol: float, counted: list[int]) -> Values:
    flow, _ = problem.bind(dict.fromkeys(problem.rates, 1.0))
    y = np.zeros(flow.state_size)
    found = with_cvode(flow, y, t, rtol, 1e-3 * rtol, method, counted)
    W = list(problem.program.state_names).index("W")
    return found.reshape(len(t), 2, -1)[:, W]


def rows(setting: Setting) -> Iterator[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        problem = Closure(CoOccurrence.from_parallel_text(*bundled(), max_vocab=WORDS))
    for end in (1e4,) if setting.quick else (1e4, 1e6):
        t = np.geomspace(1, end, OUTPUTS)
        exact = ours(problem, t, "ROCK4", 1e-9, [])
        size = np.linalg.norm(exact, axis=1)

        def error(found: Values, exact: Values = exact, size: Values = size) -> float:
            return float((np.linalg.norm(found - exact, axis=1) / size).max())

        runs = {f"dynamics {method}": partial(ours, problem, t, method) for method in METHODS}
        runs |= {name: partial(cvode, problem, t, method) for name, method in CVODE.items() if here("sksundae")}
        contenders: dict[str, Contender] = {}
        for name, run in runs.items():
            if end > FEASIBLE and name in COSTLY:
                continue
            counted: list[int] = []
            found = loosest(lambda rtol, run=run, counted=counted: partial(run, rtol, counted), error, TARGET)
            if found is not None:
                found.run()
                note = f"{counted[0]} evaluations"
                contenders[name] = replace(found, note=note, peer=name in CVODE)
        yield from race(end, contenders, setting.rounds)


CASE = Case("stiff", f"late times of the bundled text, {WORDS} x {WORDS} words, relative error of W 1e-3", "to τ", rows)
