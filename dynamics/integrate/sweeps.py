"""Sweeps: one system of a few scalars, many parameter cells, integrated all at once.

Every cell has its own adaptive steps, which are those of SciPy's method, and its own events. Cells share nothing: the
result of one does not depend on which others are swept, in which order, or on how many threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program.access import name_of, subscript
from derivations.program.program import Program
from dynamics.integrate.arguments import shown, times, tolerances, whole, why_not_real
from dynamics.integrate.batches import batch
from dynamics.integrate.events import Event, Status, check_known, check_method, number_of
from dynamics.integrate.initial_value import STEPPED
from dynamics.lowering.cells.cell import LANES
from dynamics.lowering.cells.cell_loop import cells_code
from dynamics.lowering.machine.native import routine
from dynamics.lowering.pairs import pair
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.recipes import fact
from dynamics.support.threads import side_by_side
from dynamics.support.trajectory import labelled
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Event", "Status", "sweep"]


FLAGS: dict[str, Any] = {
    "flag_values": [int(s) for s in Status],
    "flag_meanings": " ".join(s.name.lower() for s in Status),
}
"""What the values of status mean, as the conventions of NetCDF have it."""
RESULTS = ("cell", "time", "event", "event_time", "end_time", "status", "steps", "evaluations")

FEW = 256
"""Cells that are swept without a thread of their own."""
LANED = 100
"""States times stages up to which a system is swept in lanes; the code of larger ones would compile for minutes."""


def sweep(
    program: Program,
    parameters: Mapping[str, ArrayLike],
    initial: Mapping[str, ArrayLike],
    t_end: ArrayLike,
    *,
    t_eval: ArrayLike | None = None,
    observables: Sequence[str] = (),
    events: Mapping[str, Event] | None = None,
    method: str = "RK45",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int = 100_000,
    threads: int | None = None,
) -> xr.Dataset:
    """Integrate a system from 0 to t_end in every cell of a sweep.

    Parameters
    ----------
    program : Program
        A flow whose states, parameters and definitions are scalars.
    parameters, initial : mapping of str to array_like, shape () or (cells,)
        Every parameter and the initial value of every state, by name. They broadcast against each other and t_end.
    t_end : array_like, shape () or (cells,)
        Where a cell ends, in tau.
    t_eval : array_like, shape (times,), optional
        Where states and observables are wanted: increasing, from 0 on. By default only at the end of each cell.
    observables : sequence of str
        Definitions of the program that are wanted beside the states.
    events : mapping of str to Event, optional
        Events by a name of your own. The first time of each is recorded.
    method : {"RK45", "RK23", "DOP853"}
        A pair of :func:`scipy.integrate.solve_ivp`, with its steps, its error norm and its dense output.
        DOP853 takes the least time where errors below 1e-9 are wanted. Its dense output errs more than its steps, by a
        factor of up to some thousand where the slowest of many decays follow fast ones; so with rtol below 1e-9, and
        there only, states and events within a step are found by steps of the method itself.
    rtol, atol : float
        Relative and absolute tolerance of the step-size control: of the error of one step. Errors add up where the flow
        does not forget them. A rotation is off by as many rtol as it has made turns (0.9 of one a turn by RK45, 0.5 by
        DOP853, 5 by RK23, at rtol = 1e-5), and is finished all the same: for an error of 1e-3 after 700 turns, ask for
        rtol = 1e-6.
    max_steps : int
        Accepted steps after which a cell counts as failed.
    threads : int, optional
        As many as numba may use, by default. Results are the same bits on any number.

    Returns
    -------
    Dataset
        Dimensions ``cell`` and, with t_eval, ``time``. Variables:

        - each state and observable (cell, time), or (cell) at the cell's end: not a number after the end of a cell
          and, without t_eval, where the cell failed;
        - ``event_time`` (cell, event), if there are events: not a number where one did not happen by the cell's end;
        - ``status`` (cell): 0 finished, 1 ended by an event, -1 met a value that is not finite, -2 needs steps that are
          too small, -3 took max_steps (:class:`Status`);
        - ``end_time`` (cell): the time reached;
        - ``steps``, ``evaluations`` (cell): accepted steps, evaluations of the right-hand side.

        The parameters are coordinates along ``cell``. Attributes: the system's name, method, tolerances, and seconds.

    Raises
    ------
    InputError
        Names that the system does not have or that are missing, values that are not numbers, shapes that do not
        broadcast, a system that is not of scalars, bad tolerances, times, or number of threads. A cell that fails
        raises nothing: its status says so.

    Examples
    --------
    >>> from sympy import exp
    >>> from derivations.program import Definition, Program, scalars
    >>> x, k, rate = scalars("x k rate")
    >>> decay = Program(name="decay", title="Exponential decay", source="", extents={}, data=(), states=(x,),
    ...                 parameters=(k,), definitions=(Definition(rate, -k * x),), flow={"x": "rate"})
    >>> half = {"half": Event("x", 0.5, "falling")}
    >>> found = sweep(decay, {"k": [1, 2]}, {"x": 1}, t_end=3, t_eval=[0, 1], events=half, rtol=1e-9, atol=1e-12)
    >>> found.x.values.round(6).tolist()
    [[1.0, 0.367879], [1.0, 0.135335]]
    >>> found.event_time.sel(event="half").values.round(6).tolist()
    [0.693147, 0.346574]
    """
    began = perf_counter()
    events = dict(events or {})
    check_system(program)
    check_names(program, parameters, initial, observables, events)
    check_method(method)
    rtol, atol = tolerances(rtol, atol)
    max_steps = whole("max_steps", max_steps, "100000 is usual")
    workers = number_of(threads)
    if len(program.state_names) * pair(method).n_stages > LANED:
        return batch(
            program, parameters, initial, t_end, t_eval=t_eval, observables=observables, events=events, method=method,
            rtol=rtol, atol=atol, max_steps=max_steps, threads=threads,
        )  # fmt: skip
    at = times(t_eval) if t_eval is not None else np.empty(0)
    given, start, end = cells_of(program, parameters, initial, t_end)

    crossings = tuple(event.crossing for event in events.values())
    code = cells_code(program, method, tuple(observables), crossings, stepped=method == "DOP853" and rtol < STEPPED)
    cells = end.size
    shape = (cells, at.size or 1)
    states, observed = np.empty((len(start), *shape)), np.empty((len(observables), *shape))
    event_times, reached = np.full((len(events), cells), np.nan), np.empty(cells)
    status, steps, evaluations = np.empty(cells, np.int8), np.empty(cells, np.int64), np.empty(cells, np.int64)
    thresholds = np.array([event.threshold for event in events.values()], dtype=float)
    queue = np.zeros(1, np.int64)

    loop = routine(
        *(code, queue, given, start, end, np.ascontiguousarray(at), thresholds, rtol, atol, float(max_steps)),
        *(states, observed, event_times, reached, status, steps, evaluations),
    )

    def work() -> None:
        if loop():
            raise IntegrationError(f"the compiled sweep of {program.name} failed")

    share(work, queue, min(workers, -(-cells // LANES)), cells)

    dims, cell = ("cell", "time") if at.size else ("cell",), ("cell",)
    found = dict(zip((*program.state_names, *observables), (*states, *observed), strict=True))
    variables: dict[str, Any] = {name: (dims, values if at.size else values[:, 0]) for name, values in found.items()}
    variables |= {
        "end_time": (cell, reached),
        "status": (cell, status, FLAGS | {"flag_values": [*FLAGS["flag_values"]]}),
        "steps": (cell, steps),
        "evaluations": (cell, evaluations),
    }
    coordinates: dict[str, Any] = {name: (cell, row) for name, row in zip(program.parameter_names, given, strict=True)}
    if at.size:
        coordinates["time"] = ("time",), at
    if events:
        variables["event_time"] = ("cell", "event"), event_times.T
        coordinates["event"] = ("event",), np.array(list(events))
    attributes = {"system": program.name, "method": method, "rtol": rtol, "atol": atol}
    return labelled(variables, coordinates, {**attributes, "seconds": perf_counter() - began})


def share(work: Callable[[], None], queue: NDArray[np.int64], workers: int, cells: int) -> None:
    """Run the same work on several threads, which share a queue; an interrupt empties it.

    A few cells are done before a thread would have begun.
    """
    if workers == 1 and cells <= FEW:
        work()
        return

    def give_up() -> None:
        queue[0] = cells

    side_by_side(work, workers, give_up)


def cells_of(
    program: Program, parameters: Mapping[str, ArrayLike], initial: Mapping[str, ArrayLike], t_end: ArrayLike
) -> tuple[Vector, Vector, Vector]:
    """Parameters (parameter, cell), initial states (state, cell) and ends (cell), broadcast and checked."""
    values = [parameters[name] for name in program.parameter_names]
    values += [*(initial[name] for name in program.state_names), t_end]
    arrays: list[Vector] = []
    for k, value in enumerate(values):
        reason = why_not_real(value)
        if reason:
            name = names_of(program)[k]
            raise InputError(f"{name} must be a number or a list of numbers, not {shown(value)}, which {reason}")
        arrays.append(np.asarray(value, dtype=float))
        if arrays[-1].ndim > 1:
            shape = arrays[-1].shape
            raise InputError(f"{names_of(program)[k]} has shape {shape}; give one number, or one a cell (ravel a grid)")
    first, cells = None, 1
    for k, a in enumerate(arrays):
        if a.ndim and a.size != 1:
            first, cells = (k, a.size) if first is None else (first, cells)
            if a.size != cells:
                told = f"{names_of(program)[k]} has {a.size} cells where {names_of(program)[first]} has {cells}"
                raise InputError(f"{told}; give each one number, or one a cell")
    if cells == 0 and first is not None:
        raise InputError(f"{names_of(program)[first]} is empty; give at least one cell")
    stacked, split = np.empty((len(arrays), cells)), len(program.parameter_names)
    for row, a in zip(stacked, arrays, strict=True):
        row[:] = a
    if not np.isfinite(stacked).all():  # parameters may be infinite
        for k, row in enumerate(stacked):
            bad = np.flatnonzero(np.isnan(row) if k < split else ~np.isfinite(row))
            if bad.size:
                raise InputError(f"{names_of(program)[k]} is {row[bad[0]]} in cell {bad[0]}; give a number")
    ends = stacked[-1]
    if (ends < 0).any():
        raise InputError(f"t_end = {ends.min():g} is before the start at 0; give times from 0 on")
    return stacked[:split], stacked[split:-1], ends


def names_of(program: Program) -> list[str]:
    """What messages call parameters, initial states and the end."""
    states = (f"initial {name}" for name in program.state_names)
    return [*(f"parameter {name}" for name in program.parameter_names), *states, "t_end"]


@fact
def observable_names(program: Program) -> tuple[str, ...]:
    """What a program defines beside its states and parameters."""
    others = (*program.parameter_names, *program.state_names)
    return tuple(name for name in program.declarations if name not in others)


@fact
def check_system(program: Program) -> None:
    """Refuse a program that is not a flow of scalars; once for each that is one."""
    for access in program.declarations.values():
        if subscript(access):
            raise InputError(
                f"{program.name} is not a system of scalars ({access} has indices); sweep a reduction of it"
            )
    if program.data:
        raise InputError(f"{program.name} has data ({name_of(program.data[0])}); a sweep takes parameters only")
    for state in program.state_names:
        if state not in program.flow:
            raise InputError(f"{program.name} has no flow for its state {state}; derive it by gradient_flow")
    if not program.states:
        raise InputError(f"{program.name} has no states; there is nothing to integrate")
    taken = sorted(set(RESULTS) & set(program.declarations))
    if taken:
        raise InputError(f"{program.name} has a {taken[0]} of its own, as the result has; rename it in the program")


def check_names(
    program: Program,
    parameters: Iterable[str],
    initial: Iterable[str],
    observables: Iterable[str],
    events: Mapping[str, Event],
) -> None:
    """Refuse names that the system does not have, with those that are near, and say which are missing."""
    names, observable = program.parameter_names, observable_names(program)
    check_known("parameter", parameters, names, program.name)
    check_known("state", initial, program.state_names, program.name)
    check_known("observable", observables, observable, program.name)
    for event in events.values():
        check_known("observable", [event.observable], (*program.state_names, *observable), program.name)
    for kind, given, wanted in (("parameter", parameters, names), ("initial value", initial, program.state_names)):
        missing = [name for name in wanted if name not in given]
        if missing:
            raise InputError(f"{kind} of {', '.join(missing)} is missing; {program.name} needs {', '.join(wanted)}")
