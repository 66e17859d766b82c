"""The systems that phase diagrams know by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from derivations.program import Program, subscript
from dynamics.phase.copying import CopyingSystem
from dynamics.phase.programs import program_system
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


def system_of(
    system: str | Program | Problem | System,
    data: Any = None,
    values: Mapping[str, float] | None = None,
    initial: Mapping[str, Any] | None = None,
) -> System:
    """A system by its name, SYSTEMS or a flow of scalars of the registry, of a program or of a problem; or as it is.

    A program with tensors is one with its data, and parameters and states that are no axes.
    """
    from derivations.registry import names, program
    from dynamics.integrate.sweeps import check_system

    if isinstance(system, str):
        if system in SYSTEMS:
            return SYSTEMS[system]()
        if system not in names():
            near = did_you_mean(system, [*SYSTEMS, *names()])
            raise InputError(f"unknown system {system!r}{near}; give {', '.join(SYSTEMS)}, or a flow of scalars")
        system = program(system)
    flow = system.program if isinstance(system, Problem) else system
    if isinstance(flow, Program):
        own = data is not None or values or initial or (isinstance(system, Problem) and bool(flow.data))
        bare = bool(flow.data) or not any(subscript(access) for access in flow.declarations.values())
        if own or not bare:
            return program_system(system, data, values, initial)  # type: ignore[arg-type]
        if flow.data and any(subscript(access) for access in flow.states):
            raise InputError(f"{flow.name} is not a system of scalars; give its data")
        check_system(flow)
        return Scalars(flow)
    if data is not None or values or initial:
        raise InputError("data, values and initial are for a program; leave them out")
    return system  # type: ignore[return-value]
