"""The late times of the bundled text, where stability and not accuracy limits an explicit step: RK45, RKC and auto.

Largest relative error of W over 40 times to tau = 30,000, against RK45 at rtol 1e-9.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from dynamics import CoOccurrence, solve
from dynamics.counts.bundled import bundled
from dynamics.support.errors import DataWarning


def rows(setting: Setting) -> Iterator[Row]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        system = CoOccurrence.from_parallel_text(*bundled(), max_vocab=100)
    t = np.geomspace(1, 3e3 if setting.quick else 3e4, 40)
    exact = solve(system, t, rtol=1e-9, atol=1e-12, threads=1).W.values
    size = np.linalg.norm(exact, axis=(1, 2))
    contenders = {}
    for method in ("RK45", "RKC", "auto"):
        for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
            run = partial(solve, system, t, method=method, rtol=rtol, atol=1e-3 * rtol, threads=1)
            found = run()
            error = (np.linalg.norm(found.W.values - exact, axis=(1, 2)) / size).max()
            note = f"{found.attrs['evaluations']} evaluations"
            contenders[f"{method}, rtol {rtol:g}"] = Contender(run, error, note=note)
    yield from race(t[-1], contenders, min(3, setting.repeats))


CASE = Case("stiff", "late times of the bundled text, 100 x 100 words, 40 outputs", "to τ", rows)
