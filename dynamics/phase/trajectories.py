"""One cell of a phase diagram followed in time: the trajectories that its number is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from derivations.program import Program
from dynamics.phase.quantity import Cells
from dynamics.phase.systems import system_of
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.phase.system import System


@runtime_checkable
class Integrated(Protocol):
    """A system whose cells are flows of scalars."""

    def flows(self, cells: Cells, draws: int, seed: int) -> tuple[Program, Cells, Cells]:
        """The flow, its parameters and its initial states: for each cell its draws, one after the other."""
        ...


def trajectories(
    system: str | Program | Problem | System,
    at: Mapping[str, float],
    t: ArrayLike,
    *,
    draws: int = 8,
    seed: int = 0,
    threads: int | None = None,
) -> xr.Dataset:
    """What happens in one cell of a phase diagram.

    Parameters
    ----------
    system : str, Program, Problem or System
        As for :func:`dynamics.phase_diagram`; its cells must be flows of scalars.
    at : mapping of str to float
        The parameters of the cell: those of both axes and those that are fixed.
    t : array_like, shape (times,)
        Increasing, from 0 on.
    draws : int
        Random initial states, where the parameters ask for them: the first of those of the diagram with this seed if
        both numbers are powers of two.
    seed : int
    threads : int, optional

    Returns
    -------
    xarray.Dataset
        Every state, and every definition of the model that it is the flow of, over (draw, time). The attribute
        ``states`` lists the states.

    Raises
    ------
    InputError
        A parameter that is unknown, missing or makes no sense, or a system that is trained in each cell.

    Examples
    --------
    >>> found = trajectories("copying", {"V": 8, "L": 8}, [0, 200, 400])
    >>> found.p_t.values.round(2)
    array([[0.13, 0.13, 0.92]])
    """
    from dynamics.integrate.sweeps import sweep

    chosen = system_of(system)
    if not isinstance(chosen, Integrated):
        raise InputError(f"{chosen.name} is trained in every cell, it has no flow to follow")
    known = list(chosen.axes)
    for name in at:
        if name not in known:
            raise InputError(f"{chosen.name} has no parameter {name!r}; it has {', '.join(known)}")
    cells = chosen.complete({name: np.array([float(value)]) for name, value in at.items()})
    if not chosen.possible(cells).all():
        told = ", ".join(f"{name} = {value:g}" for name, value in at.items())
        raise InputError(f"{chosen.name} makes no sense at {told}")
    program, parameters, initial = chosen.flows(cells, draws, seed)
    model = program if program.model is None else program.model
    shown = [d.name for d in model.definitions if d.name not in program.state_names]
    times = np.asarray(t, dtype=float)
    found = sweep(
        program, parameters, initial, times[-1] if times.size else 0.0, t_eval=times, observables=shown, threads=threads
    )
    found = found[[*program.state_names, *shown]].rename(cell="draw")
    return found.assign_attrs(states=" ".join(program.state_names))
