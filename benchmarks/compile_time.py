"""From equations to a first result: derive, lower, compile; with an empty cache and with a full one, beside peers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.peers import here

PROGRAMS = {
    "both stages": """
import numpy as np
from benchmarks.dense_closure import counts
from dynamics import CoOccurrence
from derivations.closures import both_stages
from dynamics.lowering import lower
system = CoOccurrence.from_counts(counts(20))
data = {"R": system.conditional(), "q": system.q}
flow = lower(both_stages()).bind(data, {"eta_W": 1.0, "eta_A": 1.0})
flow(np.zeros(800), np.empty(800))
""",
    "topic classifier": """
import numpy as np
from benchmarks.exact_flow import gradient, packed, sampled
run = sampled(10)
y = packed(run)
gradient(run)(y, np.empty_like(y))
""",
    "sweep of copying": """
from benchmarks.copying_cells import LENGTH, START, T, vocabularies
from dynamics import copying
from dynamics.integrate.sweeps import sweep
cells = {"V": vocabularies(8), "L": LENGTH, "eta_W": 1.0, "eta_A": 1.0}
start = {"u": START, "a": START}
sweep(copying(vocab=200, length=40).program, cells, start, T[-1], t_eval=T, rtol=1e-6, atol=1e-8, threads=1)
""",
}
PEERS = {
    "both stages": (
        "diffrax",
        """
import numpy as np
from benchmarks.dense_closure import counts, loss
from benchmarks.peers import with_diffrax
from dynamics import CoOccurrence
system = CoOccurrence.from_counts(counts(20))
data = {"log R": np.log(system.conditional()), "q": system.q}
with_diffrax(loss, data, [np.zeros((20, 20))] * 2, (1.0, 1.0), 1.0)(1e-6, 1e-9)()
""",
    ),
    "topic classifier": (
        "diffrax",
        """
import numpy as np
from benchmarks.exact_flow import loss, sampled
from benchmarks.peers import with_diffrax
run = sampled(10)
data = {"x": run.rows, "U": run.model.fixed["U"], "target": np.eye(4)[run.examples.y]}
with_diffrax(loss, data, [run.initial["v"], run.initial["s"]], (1.0, run.rate), 1.0)(1e-6, 1e-9)()
""",
    ),
    "sweep of copying": (
        "heyoka",
        """
from benchmarks.copying_cells import vocabularies, with_heyoka
with_heyoka(8, vocabularies(8), 1e-6)()
""",
    ),
}
"""What each program is compared with, and by which peer."""


def fresh(script: str, directory: str | None = None) -> None:
    """Run a script in a new process, with an empty cache or with that of a directory."""
    with tempfile.TemporaryDirectory() as empty:
        where = directory or empty
        # Compiled helpers of the package have their own cache, beside their files unless numba is told otherwise.
        environment = os.environ | {"DYNAMICS_CACHE_DIR": where, "NUMBA_CACHE_DIR": where}
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=environment)


def rows(setting: Setting) -> Iterator[Row]:
    contenders: dict[str, Contender] = {}
    with tempfile.TemporaryDirectory() as kept:
        for name, script in PROGRAMS.items():
            peer, other = PEERS[name]
            contenders[f"{name}, cached"] = Contender(lambda script=script: fresh(script, kept))
            contenders[f"{name}, cold"] = Contender(lambda script=script: fresh(script), warm=True)
            if here(peer):
                contenders[f"{name}, {peer}"] = Contender(
                    lambda other=other: fresh(other), note="it keeps no cache", peer=True, warm=True
                )
        for name in PROGRAMS:
            of_program = {key: value for key, value in contenders.items() if key.startswith(name)}
            yield from race(1, of_program, setting.rounds)


CASE = Case("compile", "new process to first result: imports, derivation, lowering, compilation", "", rows)
