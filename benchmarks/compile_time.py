"""From a new process to a first result, with a full cache and with an empty one, beside peers, which keep none.

Ours do what a reader does: import, solve. With an empty cache everything that is compiled is compiled, as once after an
installation. Processes of peers import nothing of this package: what they start from is saved for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.dense_closure import counts
from benchmarks.exact_flow import TASK, sampled
from benchmarks.peers import here

PROGRAMS = {
    "both stages": """
import sys
import numpy as np
from dynamics import CoOccurrence, solve
solve(CoOccurrence.from_counts(np.load(sys.argv[1])["counts"]), [1.0], rtol=1e-6, atol=1e-9, threads=1)
""",
    "topic classifier": """
from benchmarks.exact_flow import flow, sampled
flow(sampled(10), 1e-6, 1e-9)
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
import sys
import numpy as np
from benchmarks.losses import both_stages
from benchmarks.peers import with_diffrax
joint = np.load(sys.argv[1])["counts"]
joint /= joint.sum()
data = {"log R": np.log(joint / joint.sum(axis=0)), "q": joint.sum(axis=0)}
with_diffrax(both_stages, data, [np.zeros(joint.shape)] * 2, (1.0, 1.0), 1.0)(1e-6, 1e-9)()
""",
    ),
    "topic classifier": (
        "diffrax",
        """
import sys
import numpy as np
from benchmarks.losses import topic
from benchmarks.peers import with_diffrax
data = dict(np.load(sys.argv[1]))
del data["counts"]
v, s, rate, tau = (data.pop(name) for name in ("v", "s", "rate", "tau"))
with_diffrax(topic, data, [v, s], (1.0, float(rate)), float(tau))(1e-6, 1e-9)()
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


def save_data(path: str) -> None:
    """What peers start from: their processes import none of this package."""
    run = sampled(10)
    np.savez(
        path, counts=counts(20), x=run.rows, U=run.model.fixed["U"], target=np.eye(TASK.topics)[run.examples.y],
        v=run.initial["v"], s=run.initial["s"], rate=run.rate, tau=run.tau,
    )  # fmt: skip


def fresh(script: str, data: str, directory: str | None = None) -> None:
    """Run a script in a new process, with an empty cache or with that of a directory."""
    with tempfile.TemporaryDirectory() as empty:
        where = directory or empty
        # Compiled helpers of the package have their own cache, beside their files unless numba is told otherwise.
        environment = os.environ | {"DYNAMICS_CACHE_DIR": where, "NUMBA_CACHE_DIR": where}
        subprocess.run([sys.executable, "-c", script, data], check=True, capture_output=True, env=environment)


def rows(setting: Setting) -> Iterator[Row]:
    contenders: dict[str, Contender] = {}
    with tempfile.TemporaryDirectory() as kept:
        data = os.path.join(kept, "data.npz")
        save_data(data)
        for name, script in PROGRAMS.items():
            peer, other = PEERS[name]
            contenders[f"{name}, cached"] = Contender(lambda script=script: fresh(script, data, kept))
            contenders[f"{name}, cold"] = Contender(lambda script=script: fresh(script, data), warm=True)
            if here(peer):
                contenders[f"{name}, {peer}"] = Contender(
                    lambda other=other: fresh(other, data), note="it keeps no cache", peer=True, warm=True
                )
        for name in PROGRAMS:
            of_program = {key: value for key, value in contenders.items() if key.startswith(name)}
            yield from race(1, of_program, setting.rounds)


CASE = Case("compile", "new process to first result: imports, compilation, integration", "", rows)
