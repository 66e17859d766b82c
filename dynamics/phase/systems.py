"""The systems that phase diagrams know by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from derivations.program import Program
from dynamics.phase.copying import CopyingSystem
from dynamics.phase.sparse import SparseFunction
from dynamics.phase.system import Scalars, System
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean

SYSTEMS: Mapping[str, Callable[[], System]] = {
    "copying": CopyingSystem,
    **{kind: partial(SparseFunction, kind) for kind in ("and", "or", "majority", "parity")},
    **{f"{kind}-uniform": partial(SparseFunction, kind, uniform=True) for kind in ("and", "or", "majority")},
}
"""Systems that know more than their flow."""


def system_of(system: str | Program | Problem | System) -> System:
    """A system by its name, SYSTEMS or a flow of scalars of the registry, of a program or of a problem; or as it is."""
    from derivations.registry import names, program
    from dynamics.integrate.sweeps import check_system

    if isinstance(system, str):
        if system in SYSTEMS:
            return SYSTEMS[system]()
        if system not in names():
            near = did_you_mean(system, [*SYSTEMS, *names()])
            raise InputError(f"unknown system {system!r}{near}; give {', '.join(SYSTEMS)}, or a flow of scalars")
        system = program(system)
    if isinstance(system, Problem):
        system = system.program
    if isinstance(system, Program):
        check_system(system)
        return Scalars(system)
    return system
