"""The compiled loop over the cells of a sweep, as callers see it; :mod:`dynamics.lowering.cells.lanes` writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from derivations.program.program import Program
from dynamics.lowering.cells.cell import Crossing
from dynamics.lowering.machine.compile import compiled
from dynamics.lowering.machine.native import Code, code_of
from dynamics.support.recipes import fact_of_any

__all__ = ["cells_code", "cells_source", "kernel"]


@fact_of_any
def cells_source(
    program: Program,
    method: str,
    observables: tuple[str, ...],
    crossings: tuple[Crossing, ...],
    stepped: bool = False,
) -> str:
    """The loop over cells of a program; with ``stepped``, states within a step are steps of the method too.

    ``kernel(queue, parameters, initial, t_end, t_eval, thresholds, rtol, atol, max_steps, states, observables,
    event_times, times, status, step_counts, evaluations)``: what follows max_steps are results, by (name, cell, time),
    (event, cell) or (cell).
    """
    from dynamics.lowering.cells.lanes import Writer, system_of

    system = system_of(program, [*program.flow.values(), *observables, *(c.observable for c in crossings)])
    return Writer(system, method, observables, crossings, stepped).module()


def kernel(*given: Any, **options: Any) -> Callable[..., None]:
    """The same compiled, for Python."""
    return compiled(cells_source(*given, **options))


def cells_code(*given: Any, **options: Any) -> Code:
    """The same for :func:`dynamics.lowering.machine.native.routine`."""
    return code_of(cells_source(*given, **options))
