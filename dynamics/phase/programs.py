"""Any program as phase diagrams see it: its parameters, sizes, learning rates and initial sizes are the axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program, extent_symbols, name_of, subscript
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.integrate.batches import integrate_cells, watched
from dynamics.integrate.sweeps import Event, Status
from dynamics.lowering import Bound, lower
from dynamics.lowering.verify import require_faithful
from dynamics.phase.observe import first
from dynamics.phase.quantity import NEVER, Cells, Quantity, Simulation
from dynamics.phase.system import System
from dynamics.problems.kinds.arrays import OnArrays, flow_of, normal_arrays
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.reading import reading
from dynamics.problems.problem import Problem
from dynamics.problems.solve import as_problem
from dynamics.support.content import ByContent
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector
from dynamics.tasks import Task
from dynamics.tasks.examples import Examples

__all__ = ["NormalArrays", "ProgramSystem", "program_system"]

SIGMA = "sigma"
RECORDS = 80
"""Records of a simulated run, from which the time of passing is interpolated."""


@dataclass(frozen=True, eq=False)
class ProgramSystem(ByContent, System):
    """A program with its data in every cell; made by :func:`program_system`.

    The axes are its parameters and its learning rates by their names, the sizes that the data do not decide, and the
    states at time 0: ``sigma_W`` is the standard deviation of a state W that starts as independent normal numbers,
    ``sigma`` that of all states that are arrays, and ``x0`` the value of a scalar state x. Of all cells with the same
    sizes, draw number k starts from the same normal numbers.

    Attributes
    ----------
    program : Program
        A flow.
    data : Any
        As for :func:`dynamics.solve`; or, where an axis is a size that the data decide, a function from these sizes, by
        keyword, to such data.
    values : mapping of str to float
        Parameters and sizes that are no axes.
    initial : mapping
        States to start from that are no axes, as for :func:`dynamics.solve`.
    """

    program: Program
    data: Any = None
    values: Mapping[str, float] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)

    block = 64
    """Cells that are kept together while a diagram is computed."""

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def rates(self) -> tuple[str, ...]:
        return tuple(self.program.rates.values())

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name_of(p) for p in self.program.parameters if name_of(p) not in self.rates)

    @property
    def sizes(self) -> tuple[str, ...]:
        return tuple(str(size) for size in extent_symbols(self.program))

    @property
    def decided(self) -> frozenset[str]:
        """The sizes that the data decide."""
        read = reading(self.program)
        if read is not None and isinstance(self.data, Examples | Task):
            return read.sizes
        return frozenset(
            str(self.program.extents[index]) for access in self.program.data for index in subscript(access)
        ) & set(self.sizes)

    @property
    def arrays(self) -> tuple[str, ...]:
        """The states that are arrays."""
        return tuple(name_of(state) for state in self.program.states if subscript(state))

    @property
    def scalars(self) -> tuple[str, ...]:
        return tuple(name_of(state) for state in self.program.states if not subscript(state))

    @property
    def axes(self) -> Mapping[str, str]:
        given = callable(self.data)
        of_states = {rate: f"learning rate of {state}" for state, rate in self.program.rates.items()}
        return {
            **{name: name for name in self.parameters},
            **{name: f"size {name}" for name in self.sizes if given or name not in self.decided},
            **of_states,
            **({SIGMA: "initial size σ"} if self.arrays else {}),
            **{f"{SIGMA}_{state}": f"initial size σ of {state}" for state in self.arrays},
            **{f"{state}0": f"{state} at time 0" for state in self.scalars},
        }

    @property
    def whole(self) -> frozenset[str]:
        return frozenset(self.sizes)

    @property
    def usual(self) -> Quantity:
        return Quantity("value", self.observables(False)[0])

    @property
    def equations(self) -> str:
        given = [*map(str, (self.program.flow, *self.program.definitions)), digest(self.data), digest(self.initial)]
        return sha256("\n".join(given).encode()).hexdigest()

    def observables(self, simulated: bool) -> Sequence[str]:
        """What is one number: the loss, scalar states, scalar definitions; a run knows those of the model alone."""
        model = self.program.model or self.program
        shown = (model if simulated else self.program).definitions
        loss = [] if model.loss is None else [name_of(model.loss)]
        single = [d.name for d in shown if not subscript(self.program.declarations[d.name])]
        return list(dict.fromkeys([*loss, *self.scalars, *single]))

    def complete(self, cells: Cells) -> Cells:
        size = next(iter(cells.values())).size
        found = {name: np.full(size, float(value)) for name, value in self.values.items()} | dict(cells)
        free = isinstance(self.data, NormalArrays)  # nothing decides a size of theirs
        needed = [*self.parameters, *(name for name in self.sizes if free or name not in self.decided)]
        missing = [name for name in needed if name not in found]
        if missing:
            raise InputError(f"{self.name}: no value for {', '.join(missing)}; give one, or make it an axis")
        for name in self.sizes:
            bad = [n for n in found.get(name, ()) if n != round(n) or n < 1]
            if bad:
                raise InputError(f"{self.name}: {name} = {bad[0]:g} must be a whole number from 1")
        if SIGMA in found:
            own = [f"{SIGMA}_{state}" for state in self.arrays if f"{SIGMA}_{state}" in found]
            if own:
                raise InputError(f"{self.name}: give {SIGMA}, or {own[0]} and the like, not both")
            sigma = found.pop(SIGMA)
            found |= {f"{SIGMA}_{state}": sigma for state in self.arrays}
        for name in found:
            if name.startswith(f"{SIGMA}_") and name not in self.parameters and (found[name] < 0).any():
                raise InputError(f"{self.name}: {name} = {found[name].min():g} must be a number from 0")
        return {**{rate: np.ones(size) for rate in self.rates}, **found}

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        return np.ones(next(iter(cells.values())).size, dtype=bool)

    def check(self, cells: Cells, quantity: Quantity, simulated: bool) -> None:
        for seed, places in list(self.groups(cells))[:1]:
            problem = self.problem(seed, places[0], cells)
            problem.initial(self.start(cells, int(places[0])), 0)

    def problem(self, sizes: Mapping[str, int], place: int, cells: Cells, seed: int = 0) -> Problem:
        """What is solved at some sizes, with the parameters of a cell."""
        data = self.data
        wanted = {name: n for name, n in sizes.items() if name in self.decided}
        if callable(data) and wanted:
            try:
                data = data(**wanted)
            except TypeError as error:
                raise InputError(f"data as a function of {', '.join(wanted)}: {error}") from None
        free = {name: n for name, n in sizes.items() if name not in self.decided}
        parameters = {name: float(cells[name][place]) for name in self.parameters}
        return as_problem(self.program, data, values={**free, **parameters} or None, seed=seed)

    def groups(self, cells: Cells) -> list[tuple[dict[str, int], NDArray[np.int64]]]:
        """Sizes, and the cells that have them."""
        names = [name for name in self.sizes if name in cells]
        count = next(iter(cells.values())).size
        if not names:
            return [({}, np.arange(count))]
        rows, place = np.unique(np.array([cells[name] for name in names]).T, axis=0, return_inverse=True)
        return [
            (dict(zip(names, map(int, row), strict=True)), np.flatnonzero(place.ravel() == k))
            for k, row in enumerate(rows)
        ]

    def start(self, cells: Cells, place: int) -> dict[str, Any]:
        """The states of a cell at time 0: arrays, or standard deviations."""
        given = dict(self.initial)
        for state in self.arrays:
            if f"{SIGMA}_{state}" in cells:
                given[state] = float(cells[f"{SIGMA}_{state}"][place])
        for state in self.scalars:
            if f"{state}0" in cells:
                given[state] = float(cells[f"{state}0"][place])
        return {name: given[name] for name in self.program.state_names if name in given}

    def draws(self, cells: Cells, draws: int) -> int:
        """How many initial states a cell has: one if none is random."""
        return draws if any(np.ndim(value) == 0 for value in self.start(cells, 0).values() if value is not None) else 1

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector:
        each = self.draws(cells, draws)
        found = np.full((next(iter(cells.values())).size, each), np.nan)
        for sizes, places in self.groups(cells):
            problem = self.problem(sizes, int(places[0]), cells, seed)
            rates = dict.fromkeys(problem.rates, 1.0)
            wanted = [(int(place), draw) for place in places for draw in range(each)]
            initial = [problem.initial(self.start(cells, place), seed + draw) for place, draw in wanted]
            at = [place for place, _ in wanted]
            parameters = {name: np.asarray(cells[name], dtype=float)[at] for name in (*self.parameters, *self.rates)}
            flow, shown = watching(problem, rates, quantity.observable)
            values = followed(problem, flow, shown, np.array(initial), parameters, quantity, t_end, threads)
            found[places] = values.reshape(places.size, each)
        return quantity.of(found)

    def simulated(
        self,
        cells: Cells,
        quantity: Quantity,
        t_end: float,
        draws: int,
        seed: int,
        threads: int | None,
        descent: Simulation,
    ) -> Vector:
        found = np.full((next(iter(cells.values())).size, draws), np.nan)
        for sizes, places in self.groups(cells):
            for place in map(int, places):
                problem = self.problem(sizes, place, cells, seed)
                rates = {state: float(cells[rate][place]) for state, rate in problem.rates.items()}
                start = self.start(cells, place)
                found[place] = trained(problem, quantity, t_end, draws, seed, threads, descent, rates, start)
        return quantity.of(found)


def watching(problem: Problem, rates: Mapping[str, float], observable: str) -> tuple[Bound, Bound]:
    """The compiled flow of a problem, and what is watched of it: one number."""
    program, called = watched(problem.program, [observable])
    flow, loss = problem.bind(rates)
    parameters = {**flow.sizes, **problem.parameters, **{problem.rates[name]: rate for name, rate in rates.items()}}
    shown = lower(program, [called[observable]], constants=problem.constants).bind(problem.arrays, parameters)
    if problem.is_own:
        require_faithful(problem.program, flow.kernel, loss.kernel)
    return flow, shown


def followed(
    problem: Problem,
    flow: Bound,
    shown: Bound,
    initial: Vector,
    parameters: Mapping[str, Vector],
    quantity: Quantity,
    t_end: float,
    threads: int | None,
) -> Vector:
    """When the observable passes the threshold from each initial state, NEVER if not, or its value at the end.

    Not a number where the integration fails.
    """
    usual, ends = problem.tolerances, np.full(len(initial), float(t_end))
    control: dict[str, Any] = {"rtol": usual.rtol, "atol": usual.atol, "method": usual.method, "threads": threads}
    if quantity.kind == "value":
        reached = integrate_cells(flow, initial, ends, parameters=parameters, watch=shown, **control)
        return reached.observed[:, 0, 0]
    event = Event(quantity.observable, quantity.threshold, "falling" if quantity.falls else "rising", terminal=True)
    reached = integrate_cells(
        flow, initial, ends, parameters=parameters, watch=shown, events=[(0, event)], wanted=np.zeros(1), **control
    )
    times = np.where(np.isnan(reached.event_times[:, 0]), NEVER, reached.event_times[:, 0])
    times[reached.status < Status.FINISHED] = np.nan
    times[quantity.beyond(reached.observed[:, 0, 0])] = 0.0
    return times


def trained(
    problem: Problem,
    quantity: Quantity,
    t_end: float,
    draws: int,
    seed: int,
    threads: int | None,
    descent: Simulation,
    rates: Mapping[str, float],
    start: Mapping[str, Any],
) -> Vector:
    """The quantity in several runs in one cell; not a number if one diverges."""
    from dynamics.problems.kinds.minibatches import Sampled
    from dynamics.train.simulate import simulate

    fresh = isinstance(problem, Sampled) or (isinstance(problem, Exact) and isinstance(problem.data, Task))
    count = len(problem.examples) if isinstance(problem, Exact) else examples_of(problem)
    batch = descent.batch if fresh or descent.batch < count else None  # all that there are
    try:
        run = simulate(
            problem, None, descent.lr, batch, max(1, round(t_end / descent.lr)), range(seed, seed + draws),
            records=RECORDS, rates=rates, initial=start, threads=threads, observe=[quantity.observable],
        )  # fmt: skip
    except IntegrationError:
        return np.full(draws, np.nan)
    name = problem.shown_loss if quantity.observable == problem.loss else quantity.observable
    curves = run[name].transpose("seed", "time").values
    if quantity.kind == "value":
        return np.asarray(curves[:, -1], dtype=float)
    return np.array([first(run.time.values, curve, quantity) for curve in curves])


def examples_of(problem: Problem) -> int:
    """How many examples the arrays of a program are; 0 if it does not say what an example is."""
    index = problem.program.examples
    return 0 if index is None else problem.sizes[str(problem.program.extents[index])]


def digest(value: Any) -> str:
    """What tells data apart: arrays by their bytes, a function by its code."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{digest(value[name])}" for name in sorted(value))
    if isinstance(value, Examples):
        return digest({name: getattr(value, name) for name in ("x", "length", "y", "targets")})
    if isinstance(value, CoOccurrence):
        return digest(value.dense().C)
    if isinstance(value, np.ndarray | list | tuple | float | int) or hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        return sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()
    code = getattr(value, "__code__", None)
    return repr(value) if code is None else sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()


@dataclass(frozen=True)
class NormalArrays:
    """Standard normal arrays for all data of a program, of any sizes."""

    program: Program
    seed: int = 0

    def __call__(self, **sizes: int) -> dict[str, NDArray[np.float64]]:
        others = [*map(str, extent_symbols(self.program)), *map(name_of, self.program.parameters)]
        rates = set(self.program.rates.values())
        return normal_arrays(self.program, {**{n: 1 for n in others if n not in rates}, **sizes}, self.seed)

    def __repr__(self) -> str:
        return f"NormalArrays({self.program.name}, seed={self.seed})"


def program_system(
    system: Program | Problem,
    data: Any = None,
    values: Mapping[str, float] | None = None,
    initial: Mapping[str, Any] | None = None,
) -> ProgramSystem:
    """A program with its data, or a problem, as a phase diagram sees it.

    Raises
    ------
    InputError
        A problem that is no program on data; data that are given twice.

    Examples
    --------
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> squares = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))
    >>> list(program_system(squares, {"y": [1.0, 2.0]}).axes)
    ['eta_w', 'sigma', 'sigma_w']
    """
    found = _system(system, data, dict(values or {}), dict(initial or {}))
    known = [*found.parameters, *found.sizes]
    for name in found.values:
        if name not in known:
            raise InputError(f"{found.name} has no size or parameter {name!r}{did_you_mean(name, known)}")
    for name in found.initial:
        if name not in found.program.state_names:
            raise InputError(f"initial {name!r}: the states of {found.name} are {', '.join(found.program.state_names)}")
    return found


def _system(system: Program | Problem, data: Any, own: dict[str, float], initial: dict[str, Any]) -> ProgramSystem:
    if isinstance(system, Problem) and data is not None:
        raise InputError("data is not for a problem, which has all that it needs; leave it out")
    if isinstance(system, OnArrays):
        given = {str(system.program.extents[i]) for a in system.program.data for i in subscript(a)}
        sizes = {name: float(n) for name, n in system.known.items() if name not in given}
        return ProgramSystem(system.program, dict(system.data), {**sizes, **system.given, **own}, initial)
    if isinstance(system, Exact) and not system.model.fixed:
        sizes = {name: float(n) for name, n in system.model.sizes.items()}
        own = {**sizes, **system.model.parameters, **own}
        return ProgramSystem(system.program, system.data, own, initial)
    if isinstance(system, Problem):
        raise InputError(f"{system.described} is no program on data of its own; give a program with data=")
    return ProgramSystem(flow_of(system), data, own, initial)
