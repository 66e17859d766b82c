"""How long the interpreter, an import or a command takes, each in a new process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.peers import PEERS, here

SOLVE = """
from dynamics import CoOccurrence, solve
solve(CoOccurrence.from_counts([[8, 1], [1, 8]]), [0, 10, 100])
"""


def started(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def rows(setting: Setting) -> Iterator[Row]:
    commands = {
        "import dynamics": ("-c", "import dynamics"),
        "Python alone": ("-c", "pass"),
        "dynamics --help": ("-m", "dynamics.cli", "--help"),
        "from dynamics import CoOccurrence": ("-c", "from dynamics import CoOccurrence"),
        "from dynamics import solve": ("-c", "from dynamics import solve"),
        "a first solve of two words": ("-c", SOLVE),
    }
    commands |= {f"import {name}": ("-c", f"import {name}") for name in ("numba", "sympy", "xarray")}
    commands |= {f"import {name}": ("-c", f"import {name}") for name in PEERS if here(name)}
    contenders = {name: Contender(partial(started, *command)) for name, command in commands.items()}
    yield from race(1, contenders, replace(setting.rounds, fewest=3, seconds=2.0))


CASE = Case("startup", "new processes; compiled code is on disk", "", rows)
