"""What is watched in the cells of a sweep: when an observable passes, or what it is at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.program import Program
from dynamics.phase.quantity import NEVER, Cells, Quantity
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr


def first(t: Vector, curve: Vector, quantity: Quantity) -> float:
    """When a recorded curve first passes the threshold, linear between records.

    Examples
    --------
    >>> first(np.array([0.0, 2, 4]), np.array([0.1, 0.3, 0.7]), Quantity(threshold=0.5))
    3.0
    """
    passed = np.flatnonzero(quantity.beyond(curve))
    if not passed.size:
        return NEVER
    k = int(passed[0])
    if k == 0:
        return 0.0
    share = (quantity.threshold - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(t[k - 1] + share * (t[k] - t[k - 1]))


def observables_of(program: Program) -> list[str]:
    """Names of what can be watched: states and definitions; of those that each head has, also without a number."""
    known = [*program.state_names, *program.defined]
    return [*known, *(name for name in dict.fromkeys(one.rstrip("0123456789") for one in known) if name not in known)]


def observed(
    program: Program,
    parameters: Cells,
    initial: Cells,
    quantity: Quantity,
    t_end: float,
    threads: int | None,
) -> Vector:
    """When the observable passes the threshold in each cell (NEVER if not), or its value at the end; NaN if failed.

    Of an observable that each head has (alpha1, alpha2, ...), that of the best head.
    """
    from dynamics.integrate.sweeps import Event, sweep

    known = [*program.state_names, *program.defined]
    name = quantity.observable
    names = [name] if name in known else [one for one in known if one.rstrip("0123456789") == name]
    defined = [one for one in names if one not in program.state_names]
    if quantity.kind == "value":
        found = sweep(program, parameters, initial, t_end, observables=defined, threads=threads)
        return np.max([found[one].values for one in names], axis=0)
    direction: Any = "falling" if quantity.falls else "rising"
    found = sweep(
        program, parameters, initial, t_end, t_eval=[0.0], observables=defined, threads=threads,
        events={one: Event(one, quantity.threshold, direction, terminal=True) for one in names},
    )  # fmt: skip
    times = passed_at(found)
    times[np.any([quantity.beyond(found[one].values[:, 0]) for one in names], axis=0)] = 0.0
    return times


def passed_at(swept: xr.Dataset) -> Vector:
    """When the first event of each cell happened, NEVER if none did by the end; not a number in failed cells."""
    from dynamics.integrate.sweeps import Status

    times = swept.event_time.min("event").fillna(NEVER).values
    return np.where(swept.status.values < Status.FINISHED, np.nan, times)
