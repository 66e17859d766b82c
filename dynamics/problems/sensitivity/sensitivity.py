"""``sensitivity=`` of a solution, and of the time of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.integrate.initial_value import integrate
from dynamics.problems.optimisers.optimised import followed
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.problems.problem import Problem
from dynamics.problems.sensitivity.directions import Direction, Setting, core
from dynamics.problems.sensitivity.halves import HalfTimes, Halves, Passed
from dynamics.problems.sensitivity.tangent_flow import TOGETHER, Named, TangentFlow, along
from dynamics.problems.settings.keep import Keep
from dynamics.problems.settings.rates import learning_rates
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["Passing", "passing", "sensitivities", "variables"]


def sensitivities(
    setting: Setting, names: Sequence[str], tau: Vector, ticks: Vector, halves: Halves | None = None, **control: Any
) -> tuple[dict[str, NDArray[Any]], HalfTimes | None]:
    """The derivatives of all states of a problem, and of its loss, by some numbers.

    Returns
    -------
    derivatives : dict of str to ndarray, shape (parameters, times, ...)
        By state, and ``loss`` by the name of the loss. At given times tau, whatever the steps.
    times : HalfTimes, optional
        Of ``halves``, found along the same integrations.
    """
    problem = setting.problem
    own = () if problem.loss is None else (problem.loss,)
    turns = -(-len(names) // TOGETHER)
    together = -(-len(names) // turns)
    beyond = () if halves is None else tuple(halves.cells)
    names_of = (*core(problem).program.state_names, *own)
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in names_of}
    times = None if halves is None else HalfTimes(halves)
    flow = TangentFlow(setting, tuple(names), own, beyond, together)
    for first in range(0, len(names), together):
        directions = flow.directions[first : first + together]
        flow = flow if len(directions) == together else replace(flow, together=len(directions))
        passed = None if halves is None else Passed(flow, halves, float(ticks[-1]))
        kept = [
            Tangents(flow, k, direction, names_of, flow.shifted(direction.name, tau))
            for k, direction in enumerate(directions)
        ]

        def save(k: int, states: Named, seen: Named, kept: Sequence[Tangents] = kept) -> None:
            for one in kept:
                one.save(k, states, seen)

        between = None if passed is None else (passed.ticks, tuple(passed.halves.cells), passed.save)
        flow.follow(directions, ticks, save, between, **control)
        for k, one in enumerate(kept):
            for name in names_of:
                found[name].append(np.array([one.values[name][j] for j in range(len(ticks))]))
            if passed is not None and times is not None:
                shift = 0.0 if one.shift is None else float(one.shift[-1])
                times.append(*passed.found(k, one.direction.name, shift))
    return {name: np.array(values) for name, values in found.items()}, times


class Tangents:
    """The tangents of some names in one of the directions that are followed, at the times that are kept."""

    def __init__(
        self, flow: TangentFlow, k: int, direction: Direction, names: Sequence[str], shift: Vector | None
    ) -> None:
        self.flow, self.direction, self.shift = flow, direction, shift
        self.moved = flow.tangents[k]
        self.values: dict[str, dict[int, NDArray[Any]]] = {name: {} for name in names}
        self.slopes = None if shift is None else flow.bound(None, [direction] * flow.together)

    def save(self, k: int, states: Named, seen: Named) -> None:
        moved = self.moved
        for name, values in self.values.items():
            here = states if name in states else seen
            values[k] = np.array(here[moved[name]]) if name in moved else np.zeros_like(here[name])
        if self.shift is None or self.slopes is None:
            return
        whole = np.concatenate([np.ravel(value) for value in states.values()])
        rate = self.slopes.evaluate(whole)
        for name, values in self.values.items():
            speed = rate[self.flow.setting.problem.program.flow[name]] if name in states else None
            speed = along(self.flow, name, self.direction, whole, rate) if speed is None else speed
            values[k] = values[k] + self.shift[k] * speed


def variables(problem: Problem, found: Mapping[str, NDArray[Any]], keep: Keep) -> dict[str, Any]:
    """Derivatives as variables of a dataset, on the entries that are kept."""
    shown: dict[str, Any] = {}
    dims = problem.dims
    for name, values in found.items():
        if name == problem.loss:
            shown[f"d_{problem.shown_loss}"] = (("parameter", "time"), values, {"long_name": f"derivative of {name}"})
            continue
        own = dims[name]
        if values.shape[2:] == tuple(problem.shapes[name]) and not keep.everything(own):
            values = np.array([keep.of(one, own) for one in values])
        elif values.shape[2:] != tuple(problem.shapes[name]):
            continue  # stored on some of its entries
        shown[f"d_{name}"] = (("parameter", "time", *own), values, {"long_name": f"derivative of {name}"})
    return shown


class Passing(NamedTuple):
    """When something passes a level.

    Attributes
    ----------
    time : float
        tau.
    by : dict of str to float
        Its derivative by every number that was asked for.
    """

    time: float
    by: dict[str, float]


def passing(
    problem: Problem, quantity: str, level: float, before: float, sensitivity: Sequence[str] = (),
    *, at: Mapping[str, Any] | None = None, initial: Mapping[str, ArrayLike | float] | None = None,
    rates: Mapping[str, float] | None = None, seed: int = 0, optimizer: Optimizer | str | None = None,
    lr: float | None = None, batch: int | None = None, schedule: Any = None, rtol: float = 1e-8, atol: float = 1e-11,
    method: str | None = None,
) -> Passing:  # fmt: skip
    """The first time at which a definition or a state passes a level, and how it moves with what is given.

    By the implicit function of the event ``q(theta(t, p), p) = level``: ``dt/dp = -dq/dp / (dq/dt)``.

    Parameters
    ----------
    problem : Problem
    quantity : str
        A state or a definition of its program.
    level, before : float
        What is passed, in either direction, and the latest time.
    sensitivity : sequence of str
        As for :func:`dynamics.solve`.
    at : mapping of str to label or int, optional
        The entry, by dimension, of a quantity that has several.
    initial, rates, seed, optimizer, lr, batch, schedule, rtol, atol, method
        As for :func:`dynamics.solve`.

    Raises
    ------
    InputError
        There is no such quantity or entry, or it does not pass the level before that time.

    Examples
    --------
    >>> from dynamics import copying
    >>> found = passing(copying(vocab=6, length=4), "p_t", 0.9, 1000.0, ["rate W"], initial={"u": 0.1})
    >>> found.time > 0, found.by["rate W"] < 0  # learnt earlier at a higher rate
    (True, True)
    """
    chosen, stepping, lr = followed(problem, optimizer, lr, batch, schedule)
    speeds = learning_rates(tuple(chosen.rates), rates, chosen.described)
    setting = Setting.of(chosen, speeds, initial, seed, lr=lr)
    program = chosen.program
    if quantity not in program.declarations:
        raise InputError(f"{chosen.name} has no state or definition {quantity!r}")
    state = quantity in program.state_names
    entry = entry_of(chosen, quantity, at)
    flow = TangentFlow(setting, tuple(sensitivity), () if state else (quantity,))
    bound, _ = chosen.bind(setting.rates, lr)
    reader = bound if state else chosen.kernel((quantity,)).bind(chosen.arrays, setting.numbers)

    def value(y: Vector) -> float:
        y = np.ascontiguousarray(y)
        return float((bound.states(y) if state else reader.evaluate(y))[quantity][entry])

    def event(t: float, y: Vector) -> float:
        return value(y) - level

    event.terminal = True  # type: ignore[attr-defined]
    y0, end = chosen.begun(setting.y0, setting.rates), float(chosen.clock([before])[0])
    usual = chosen.tolerances.method if method is None else method
    control: dict[str, Any] = {"rtol": rtol, "atol": atol, "method": usual}
    reached = integrate(bound, y0, (0.0, end), events=event, **control)
    if not reached.t_events or not len(reached.t_events[0]):
        raise InputError(f"{quantity} does not pass {level:g} before tau = {before:g}; give a later time")
    ticks, moves = np.array([0.0, reached.t]), {}
    for direction in flow.directions:
        kept: dict[str, Any] = {}

        def save(k: int, states: Named, seen: Named, kept: Any = kept) -> None:
            kept["whole"] = np.concatenate([np.ravel(v) for v in states.values()])
            tangent = flow.tangents[0].get(quantity)
            here = states if state else seen
            kept["moves"] = 0.0 if tangent is None else float(here[tangent][entry])

        flow.follow([direction], ticks, save, **control)
        rate = flow.bound(None, [direction]).evaluate(kept["whole"])
        speed = (
            rate[program.flow[quantity]][entry]
            if state
            else along(flow, quantity, direction, kept["whole"], rate)[entry]
        )
        moves[direction.name] = -kept["moves"] / float(speed)
    if stepping is None:
        return Passing(reached.t, moves)
    tau = stepping.lr * float(stepping.schedule.time([reached.t])[0])
    pace = stepping.lr * float(stepping.schedule.factors([np.floor(reached.t)])[0])
    found = {name: pace * moved + (tau / stepping.lr if name == "lr" else 0.0) for name, moved in moves.items()}
    return Passing(tau, found)


def entry_of(problem: Problem, quantity: str, at: Mapping[str, Any] | None) -> tuple[int, ...]:
    """Where an entry is."""
    own = problem.dims[quantity] if quantity in problem.dims else problem.axes(quantity)
    given = dict(at or {})
    if set(given) != set(own):
        told = f"one entry of {', '.join(own)}: at={{{own[0]!r}: ...}}" if own else "no entry, it is a number"
        raise InputError(f"{quantity} needs {told}")
    found = []
    for dim in own:
        labels = problem.labels.get(dim)
        if labels is None or isinstance(given[dim], int | np.integer):
            found.append(int(given[dim]))
            continue
        places = np.flatnonzero(labels == given[dim])
        if not places.size:
            raise InputError(f"{quantity} has no {dim} {given[dim]!r}")
        found.append(int(places[0]))
    return tuple(found)
