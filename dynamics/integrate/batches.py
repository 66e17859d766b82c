"""Batches: many states, parameters and data of one program of tensors, integrated side by side.

What :func:`dynamics.integrate.sweeps.sweep` is for systems of a few scalars: seeds, cells of a phase diagram, learning
rates, resampled data. Every cell has its own adaptive steps, which are those of SciPy's method to the last bit, and its
own events. Cells share nothing but the code: the result of one does not depend on others or on the number of threads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program.access import name_of, subscript
from derivations.program.program import Definition, Program, unused
from dynamics.integrate.arguments import shown, times, tolerances, whole, why_not_real
from dynamics.integrate.events import Event, Status, check_known, check_method, number_of
from dynamics.integrate.initial_value import STEPPED
from dynamics.lowering import Bound, lower
from dynamics.lowering.machine.native import Native, routine
from dynamics.support import trajectory
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.threads import limited, side_by_side
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Cells", "batch", "integrate_cells"]


@dataclass(frozen=True, eq=False)
class Cells:
    """What a batch came to.

    Attributes
    ----------
    states : ndarray, shape (cells, times, n)
        Packed states at the wanted times, or at the end of each cell; not a number where a cell was over.
    observed : ndarray, shape (cells, times, m)
        Packed outputs of what is watched, likewise.
    event_times : ndarray, shape (cells, events)
        The first time of each event; not a number if it did not happen.
    end_time : ndarray, shape (cells,)
        The time reached.
    status, steps, evaluations : ndarray of int, shape (cells,)
        As for :func:`dynamics.integrate.sweeps.sweep`.
    """

    states: Vector
    observed: Vector
    event_times: Vector
    end_time: Vector
    status: NDArray[np.int8]
    steps: NDArray[np.int64]
    evaluations: NDArray[np.int64]


def integrate_cells(
    flow: Bound,
    initial: Vector,
    ends: Vector,
    *,
    parameters: Mapping[str, Vector] | None = None,
    arrays: Mapping[str, NDArray[Any]] | None = None,
    watch: Bound | None = None,
    events: Sequence[tuple[int, Event]] = (),
    wanted: Vector | None = None,
    method: str = "RK45",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int = 100_000,
    threads: int | None = None,
) -> Cells:
    """Integrate a compiled flow from 0 in many cells.

    Parameters
    ----------
    flow : Bound
        The flow with the data that all cells share.
    initial : ndarray, shape (cells, n)
        Packed states at 0.
    ends : ndarray, shape (cells,)
    parameters : mapping of str to ndarray, shape (cells,)
        Parameters that differ between cells; others are those of ``flow``.
    arrays : mapping of str to ndarray, shape (cells, ...)
        Data that differ between cells, of the shape of those of ``flow`` each.
    watch : Bound, optional
        What is computed beside the states.
    events : sequence of (int, Event)
        Which number of the packed outputs of ``watch`` passes which threshold.
    wanted : ndarray, shape (times,), optional
        Increasing; the end of each cell if not given.
    method, rtol, atol, max_steps, threads :
        As for :func:`dynamics.integrate.sweeps.sweep`.
    """
    from dynamics.integrate.run import loop, tableau

    cells, n = initial.shape
    pair = tableau(method, stepped=method == "DOP853" and rtol < STEPPED)
    wanted = np.empty(0) if wanted is None else np.ascontiguousarray(wanted, dtype=float)
    seen = 0 if watch is None else watch.output_size
    moves = flow.native
    looks = moves if watch is None else watch.native
    function_words = words_of(flow, moves, cells, parameters or {}, arrays or {})
    watch_words = function_words if watch is None else words_of(watch, looks, cells, parameters or {}, arrays or {})
    entries = np.array([moves.address, looks.address])
    moments = wanted.size or 1
    found = Cells(
        states=np.empty((cells, moments, n)),
        observed=np.empty((cells, moments, seen)),
        event_times=np.empty((cells, len(events))),
        end_time=np.empty(cells),
        status=np.empty(cells, np.int8),
        steps=np.empty(cells, np.int64),
        evaluations=np.empty(cells, np.int64),
    )
    places = np.array([place for place, _ in events], dtype=np.int64)
    thresholds = np.array([event.threshold for _, event in events], dtype=float)
    ways = np.array(
        [[event.direction != "falling", event.direction != "rising", event.terminal] for _, event in events],
        dtype=np.int8,
    ).reshape(len(events), 3)
    queue = np.zeros(2, np.int64)
    given = np.array(initial, dtype=float, order="C"), np.array(ends, dtype=float)

    def worker() -> Native:
        scratch = np.empty(max(flow.workspace.size, 1)), np.empty(max(looks_at(watch), 1))
        return routine(
            *(loop("run_cells", "cells"), queue, entries, function_words, scratch[0], watch_words, scratch[1]),
            *(pair.kind, pair.order, pair.A, pair.B, pair.E, pair.A_more, pair.P, *given, wanted, places, thresholds),
            *(ways, float(rtol), float(atol), max_steps, found.states, found.observed, found.event_times),
            *(found.end_time, found.status, found.steps, found.evaluations),
        )

    beside = moves.beside and looks.beside
    workers = min(number_of(threads) if beside else 1, cells)
    waiting = [worker() for _ in range(workers)]

    def work() -> None:
        if waiting.pop()():
            raise IntegrationError(f"the compiled batch of {flow.kernel.program.name} failed")

    def give_up() -> None:
        queue[1] = 1

    with limited(None, 0):
        side_by_side(work, workers, give_up)
    return found


def looks_at(watch: Bound | None) -> int:
    """How much scratch what is watched needs."""
    return 0 if watch is None else watch.workspace.size


def words_of(
    bound: Bound, native: Native, cells: int, parameters: Mapping[str, Vector], arrays: Mapping[str, NDArray[Any]]
) -> NDArray[np.int64]:
    """The arguments of a native function in every cell: those that differ put in place of its own."""
    words = np.tile(native.words, (cells, 1))
    code = bound.kernel.code
    for k, array in enumerate(code.data):
        if array.name in arrays:
            given = arrays[array.name]
            words[:, native.places[1 + k]] = given.ctypes.data + given.strides[0] * np.arange(cells)
    first = 1 + len(code.data) + len(code.ragged)
    for k, name in enumerate(code.parameters):
        if name in parameters:
            words[:, native.places[first + k]] = np.ascontiguousarray(parameters[name], dtype=float).view(np.int64)
    return words


def batch(
    program: Program,
    parameters: Mapping[str, ArrayLike],
    initial: Mapping[str, ArrayLike],
    t_end: ArrayLike,
    *,
    data: Mapping[str, ArrayLike] | None = None,
    t_eval: ArrayLike | None = None,
    observables: Sequence[str] = (),
    events: Mapping[str, Event] | None = None,
    method: str = "RK45",
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int = 100_000,
    threads: int | None = None,
    constants: Mapping[str, int] | None = None,
) -> xr.Dataset:
    """Integrate a program from 0 to t_end in every cell of a batch.

    Parameters
    ----------
    program : Program
        A flow: of tensors of any shape.
    parameters : mapping of str to array_like, shape () or (cells,)
        Every parameter by name, and sizes that the data do not decide (the same in all cells).
    initial : mapping of str to array_like, shape of the state or (cells, ...)
        The initial value of every state.
    t_end : array_like, shape () or (cells,)
    data : mapping of str to array_like, shape of the data or (cells, ...)
        Arrays by name. Rows of different lengths are the same in all cells.
    t_eval : array_like, shape (times,), optional
        Where states and observables are wanted: increasing, from 0 on. By default only at the end of each cell.
    observables : sequence of str
        Definitions of the program that are wanted beside the states.
    events : mapping of str to Event, optional
        Events by a name of your own. What passes a threshold is a state or a definition that is one number, or an entry
        of one: ``Event("a[0,2]", 0.5)``.
    method, rtol, atol, max_steps, threads :
        As for :func:`dynamics.integrate.sweeps.sweep`.
    constants : mapping of str to int, optional
        Sizes that the compiled code may know.

    Returns
    -------
    Dataset
        As of :func:`dynamics.integrate.sweeps.sweep`, with the dimensions of states and observables behind (cell,
        time).

    Raises
    ------
    InputError
        Names that the program does not have or that are missing, shapes that do not agree, bad tolerances or times. A
        cell that fails raises nothing: its status says so.

    Examples
    --------
    >>> from derivations.program.language import indices
    >>> from sympy import IndexedBase, Symbol
    >>> i, N, k = *indices("i"), Symbol("N", integer=True, positive=True), Symbol("k", real=True)
    >>> x, rate = (IndexedBase(name, real=True) for name in ("x", "rate"))
    >>> decay = Program(name="decay", title="Exponential decay", source="", extents={i: N}, data=(), states=(x[i],),
    ...                 parameters=(k,), definitions=(Definition(rate[i], -k * x[i]),), flow={"x": "rate"})
    >>> half = {"half": Event("x[1]", 1.0, "falling")}
    >>> found = batch(decay, {"k": [1, 2], "N": 2}, {"x": [1, 2]}, t_end=3, t_eval=[0, 1], events=half, rtol=1e-9)
    >>> found.x.values.round(6).tolist()
    [[[1.0, 2.0], [0.367879, 0.735759]], [[1.0, 2.0], [0.135335, 0.270671]]]
    >>> found.event_time.sel(event="half").values.round(6).tolist()
    [0.693147, 0.346574]
    """
    began = perf_counter()
    events, data = dict(events or {}), dict(data or {})
    check_method(method)
    rtol, atol = tolerances(rtol, atol)
    max_steps = whole("max_steps", max_steps, "100000 is usual")
    at = times(t_eval) if t_eval is not None else np.empty(0)
    for state in program.state_names:
        if state not in program.flow:
            raise InputError(f"{program.name} has no flow for its state {state}; derive it by gradient_flow")
    defined = [d.name for d in program.definitions]
    check_known("observable", observables, defined, program.name)
    check_known("state", initial, program.state_names, program.name)
    check_known("data", data, [name_of(d) for d in program.data], program.name)
    missing = [name for name in program.state_names if name not in initial]
    if missing:
        raise InputError(f"initial value of {', '.join(missing)} is missing; give every state")
    entries = [entry_of(event, [*program.state_names, *defined], program.name) for event in events.values()]

    widened, shown_as = watched(program, [*observables, *(name for name, _ in entries)])
    cells = Count()
    dims = {name_of(d): len(subscript(d)) for d in program.data}
    own = {name: cells.data(name, value, dims[name]) for name, value in data.items()}
    shared = {name: value[0] if cells.apart(name) else value for name, value in own.items()}
    numbers = {name: cells.numbers(f"parameter {name}", value) for name, value in parameters.items()}
    known = {name_of(p) for p in program.parameters}
    plain = {name: float(value.flat[0]) for name, value in numbers.items()}
    fixed = dict(constants or {})
    if not cells.of_cells:
        widened, shared, plain = with_constants(widened, shared, plain, fixed, frozenset(shown_as.values()))
    flow = lower(widened, [program.flow[s] for s in program.state_names], constants=fixed).bind(shared, plain)
    watch = lower(widened, list(dict.fromkeys(shown_as.values())), constants=fixed) if shown_as else None
    looks = None if watch is None else watch.bind(shared, {**flow.sizes, **plain})
    shapes = {name: view.shape for name, view in flow.states(np.empty(flow.state_size)).items()}
    start = {name: cells.array(f"initial {name}", initial[name], shapes[name]) for name in program.state_names}
    ends = cells.numbers("t_end", t_end)
    if not (np.isfinite(ends).all() and (ends >= 0).all()):
        raise InputError(f"t_end = {shown(t_end)} is not a time from 0 on; give finite ones")
    size = cells.size
    packed = np.concatenate(
        [np.broadcast_to(start[name], (size, *shapes[name])).reshape(size, -1) for name in program.state_names], axis=1
    )
    positions = {} if looks is None else positions_of(looks)
    found = integrate_cells(
        flow,
        packed,
        np.broadcast_to(ends, size),
        parameters={name: np.broadcast_to(value, size) for name, value in numbers.items() if name in known},
        arrays={name: value for name, value in own.items() if cells.apart(name)},
        watch=looks,
        events=[
            (place(positions[shown_as[name]], entry, name), event)
            for (name, entry), event in zip(entries, events.values(), strict=True)
        ],
        wanted=at if at.size else None,
        method=method,
        rtol=rtol,
        atol=atol,
        max_steps=max_steps,
        threads=threads,
    )
    return labelled(program, found, flow, looks, shown_as, observables, events, at, numbers, known, {
        "system": program.name, "method": method, "rtol": rtol, "atol": atol, "seconds": perf_counter() - began,
    })  # fmt: skip


class Count:
    """How many cells there are, as what is given for each of them says."""

    def __init__(self) -> None:
        self.size, self.first = 1, ""
        self.of_cells: set[str] = set()

    def _cells(self, name: str, size: int) -> None:
        if size == 0:
            raise InputError(f"{name} is empty; give at least one cell")
        if self.first and size != self.size:
            raise InputError(f"{name} has {size} cells where {self.first} has {self.size}; give the same number")
        self.size, self.first = size, name

    def _real(self, name: str, value: ArrayLike) -> NDArray[Any]:
        reason = why_not_real(value)
        if reason:
            raise InputError(f"{name} must be numbers, not {shown(value)}, which {reason}")
        return np.asarray(value)

    def numbers(self, name: str, value: ArrayLike) -> Vector:
        """One number, or one a cell."""
        found = self._real(name, value).astype(float)
        if found.ndim > 1:
            raise InputError(f"{name} has shape {found.shape}; give one number, or one a cell (ravel a grid)")
        if np.isnan(found).any():
            raise InputError(f"{name} is nan in cell {int(np.isnan(found).argmax())}; give a number")
        if found.ndim and found.size != 1:
            self._cells(name, found.size)
        return found

    def array(self, name: str, value: ArrayLike, shape: tuple[int, ...]) -> Vector:
        """One array of a shape, or one a cell."""
        found = self._real(name, value).astype(float)
        if found.shape == shape[:0] and shape:  # one number for all entries
            found = np.full(shape, found)
        if found.shape == shape:
            return found
        if found.ndim == len(shape) + 1 and found.shape[1:] == shape:
            self._cells(name, found.shape[0])
            return found
        raise InputError(f"{name} has shape {found.shape}; give {shape}, or (cells, ...) before that")

    def data(self, name: str, value: ArrayLike, dims: int) -> NDArray[Any]:
        """Data that all cells share, or of a cell each."""
        found = np.asarray(value)
        if found.dtype.kind in "iu":
            found = found.astype(np.int64)
        if found.ndim == dims + 1:
            self._cells(name, found.shape[0])
            self.of_cells.add(name)
            return np.ascontiguousarray(found, dtype=np.int64 if found.dtype.kind in "iu" else float)
        return found

    def apart(self, name: str) -> bool:
        return name in self.of_cells


def entry_of(event: Event, known: Sequence[str], system: str) -> tuple[str, tuple[int, ...]]:
    """The tensor of an event's observable, and which entry of it.

    >>> entry_of(Event("a[0,2]", 0.5), ["a"], "it")
    ('a', (0, 2))
    """
    match = re.fullmatch(r"(.*?)(?:\[([\d,\s]*)\])?", event.observable)
    assert match
    check_known("observable", [match[1]], known, system)
    return match[1], tuple(int(part) for part in (match[2] or "").split(",") if part.strip())


def place(found: tuple[int, tuple[int, ...]], entry: tuple[int, ...], name: str) -> int:
    """Where an entry of a tensor stands among the packed outputs."""
    first, shape = found
    if len(entry) != len(shape) or any(k >= n for k, n in zip(entry, shape, strict=True)):
        raise InputError(f"an event at {name} of shape {shape} needs one of its entries, as {name}[{'0,' * len(shape)}")
    return first + int(np.ravel_multi_index(entry, shape)) if shape else first


def positions_of(bound: Bound) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Where each packed output begins, and its shape."""
    found, at = {}, 0
    for array in bound.kernel.code.outputs:
        shape = bound.shape(array)
        found[array.name] = at, shape
        at += int(np.prod(shape, dtype=np.int64))
    return found


def watched(program: Program, names: Sequence[str]) -> tuple[Program, dict[str, str]]:
    """A program that computes what is watched, and what each is called there: states get a definition of their own."""
    from sympy import IndexedBase, Symbol

    states = {name_of(state): state for state in program.states}
    taken = set(program.declarations) | {d.name for d in program.definitions}
    called, more = {}, []
    for name in dict.fromkeys(names):
        called[name] = name
        if name in states:
            called[name] = unused([f"{name}_now"], taken)
            subs = subscript(states[name])
            base = IndexedBase(called[name], real=True)[subs] if subs else Symbol(called[name], real=True)
            more.append(Definition(base, states[name], ""))
    return (program.extended(more) if more else program), called


def with_constants(
    program: Program,
    data: Mapping[str, NDArray[Any]],
    numbers: Mapping[str, float],
    constants: Mapping[str, int],
    kept: frozenset[str],
) -> tuple[Program, dict[str, NDArray[Any]], dict[str, float]]:
    """The program with what depends on data alone computed once, and among its data; and what sizes are by then.

    What is wanted itself stays a definition.
    """
    from dynamics.lowering.passes.hoist import apart

    rest, names = apart(program, kept)
    if not names:
        return program, dict(data), dict(numbers)
    found = lower(program, names, constants=constants).bind(data, numbers)
    return rest, {**data, **found.evaluate(np.zeros(found.state_size))}, {**found.sizes, **numbers}


def labelled(
    program: Program,
    found: Cells,
    flow: Bound,
    looks: Bound | None,
    shown_as: Mapping[str, str],
    observables: Sequence[str],
    events: Mapping[str, Event],
    at: Vector,
    numbers: Mapping[str, Vector],
    known: set[str],
    attributes: dict[str, Any],
) -> xr.Dataset:
    """What came out, with names."""
    cells, moments = found.states.shape[:2]
    before: tuple[str, ...] = ("cell", "time") if at.size else ("cell",)
    variables: dict[str, Any] = {}

    def add(name: str, values: Vector, subs: tuple[Any, ...]) -> None:
        dims = tuple(program.dimensions.get(index, str(index)) for index in subs)
        values = values if at.size else values[:, 0]
        variables[name] = ((*before, *dims), values)

    position = 0
    for state in program.states:
        shape = next(flow.shape(a) for a in flow.kernel.code.states if a.name == name_of(state))
        size = int(np.prod(shape, dtype=np.int64))
        add(
            name_of(state),
            found.states[..., position : position + size].reshape(cells, moments, *shape),
            subscript(state),
        )
        position += size
    places = {} if looks is None else positions_of(looks)
    lefts = {d.name: d.lhs for d in program.definitions}
    for name in observables:
        first, shape = places[shown_as[name]]
        size = int(np.prod(shape, dtype=np.int64))
        add(name, found.observed[..., first : first + size].reshape(cells, moments, *shape), subscript(lefts[name]))
    flags = {"flag_values": [int(s) for s in Status], "flag_meanings": " ".join(s.name.lower() for s in Status)}
    variables |= {
        "end_time": (("cell",), found.end_time),
        "status": (("cell",), found.status, flags),
        "steps": (("cell",), found.steps),
        "evaluations": (("cell",), found.evaluations),
    }
    coordinates: dict[str, Any] = {
        name: (("cell",), np.broadcast_to(value, cells).copy()) for name, value in numbers.items() if name in known
    }
    if at.size:
        coordinates["time"] = ("time",), at
    if events:
        variables["event_time"] = ("cell", "event"), found.event_times
        coordinates["event"] = ("event",), np.array(list(events))
    return trajectory.labelled(variables, coordinates, attributes)
