"""What a first solve and a first sweep of a process import, and what they do without: counted, not timed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOLVE = "from dynamics import CoOccurrence, solve; solve(CoOccurrence.from_counts([[8, 1], [1, 8]]), [0, 10])"
SWEEP = (
    "from dynamics import copying; from dynamics.integrate.sweeps import sweep;"
    " cells = {'V': [60.0, 80.0], 'L': 40.0, 'eta_W': 1.0, 'eta_A': 1.0};"
    " sweep(copying(80, 40).program, cells, {'u': 0.01, 'a': 0.01}, 10.0)"
)
TASK = "from dynamics import copying, solve; solve(copying(vocab=8, length=8), [0, 40], initial={'u': 0.01, 'a': 0.01})"
MODEL = (
    "from dynamics import Examples, keyword, solve;"
    " solve(keyword(), Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2), [0, 10])"
)
PROGRAM = (
    "from derivations.closures import linear; from dynamics import on_arrays, solve;"
    " solve(on_arrays(linear(), {'C': [[0.5, 0.0], [0.1, 0.4]], 'c': [0.5, 0.5]}), [0, 9.0])"
)
BATCH = (
    "from derivations.closures import linear; from dynamics import batch;"
    " batch(linear(), {'eta_W': [1.0, 2.0]}, {'W': [[0.0, 0.0]] * 2}, 9.0,"
    " data={'C': [[0.5, 0.0], [0.1, 0.4]], 'c': [0.5, 0.5]})"
)


def imported(work: str) -> set[str]:
    """What a new process has imported after some work."""
    told = subprocess.run(
        [sys.executable, "-c", f"{work}; import sys; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(told.stdout.split())


@pytest.mark.parametrize(
    "work", [SOLVE, SWEEP, TASK, MODEL, BATCH, PROGRAM], ids=["solve", "sweep", "task", "model", "batch", "program"]
)
def test_what_is_not_used_is_not_imported(work: str) -> None:
    """SciPy's solvers bring optimisation, transforms and spatial trees; dask is asked for by xarray's usual way."""
    unused = {"scipy.integrate", "scipy.optimize", "scipy.spatial", "scipy.fft", "scipy.stats", "scipy.sparse"}
    assert not imported(work) & {*unused, "dask", "matplotlib"}
    again = imported(work)
    assert "dynamics.lowering.passes.emit" not in again  # nothing is lowered twice
    if sys.platform.startswith("linux"):  # where object files are linked, what was compiled needs no compiler
        assert not again & {"numba", "scipy.linalg"}
    if work not in (BATCH, PROGRAM):  # whose programs are made of expressions here
        assert "sympy" not in again
