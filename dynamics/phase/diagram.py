"""Phase diagrams: what happens where, by theory in many cells or by simulation in some."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program.program import Program
from dynamics.integrate.sweeps import number_of
from dynamics.phase.quantity import Cells, Quantity, Simulation
from dynamics.phase.refinement import refined
from dynamics.phase.system import System
from dynamics.phase.systems import system_of
from dynamics.problems.problem import Problem
from dynamics.problems.settings.options import named
from dynamics.support.blocks import Store, connected, finished
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.trajectory import provenance
from dynamics.support.typing import Arrays, Vector

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 64
"""Random initial states of a cell."""
BLOCK = 20_000
"""Solutions in a block of a theory."""


@named
def phase_diagram(
    system: str | Program | Problem | System,
    axes: Mapping[str, ArrayLike],
    quantity: Quantity | str | None = None,
    t_end: float = 10_000.0,
    *,
    data: Any = None,
    values: Mapping[str, float] | None = None,
    initial: Mapping[str, ArrayLike | float] | None = None,
    fixed: Mapping[str, float] | None = None,
    observe: str | Sequence[str] | None = None,
    draws: int = DRAWS,
    simulation: Simulation | None = None,
    refine: int = 0,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    scheduler: str | None = None,
    threads: int | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> xr.Dataset:
    """A quantity over two parameters of a system.

    Parameters
    ----------
    system : str, Program, Problem or System
        ``copying``, or any flow of scalars: its name in the catalogue, or the program. The axes of a flow of scalars
        are its parameters and its states at time 0 (``x0`` for a state x). The parameters of a problem stay as they are
        where they are no axes. Or any program with its data, or a problem: its axes are its parameters, its learning
        rates (``eta_W``), the sizes that the data do not decide, ``sigma_W``, the standard deviation of a state W at
        time 0, and ``sigma``, that of all states that are arrays.
    axes : mapping of str to array_like
        Two parameters and their values, two or more each, increasing; the first is drawn upwards, the second to the
        right.
    quantity : Quantity or str, optional
        What is shown, or its kind: ``time``, ``learnt`` or ``value``, of what the system is usually asked for. Of
        copying this is the time at which ``p_t`` passes 0.5, of a sparse function the probability of exact learning, of
        other flows without a ``p_t`` the value of the first state at the end.
    t_end : float
        Where every cell ends, in tau.
    data, values, initial : optional
        Of a program, as for :func:`dynamics.solve`: what it learns from, parameters and sizes, and states to start from
        that are no axes. Where an axis is a size that the data decide, a function from such sizes, by keyword, to data.
    fixed : mapping, optional
        Values of other parameters.
    observe : str or sequence of str, optional
        Observables whose values at the end of every cell the result has as well, under their names (their mean over
        random initial states).
    draws : int
        Random initial states of each cell, where its parameters ask for them; seeds of a simulation.
    simulation : Simulation, optional
        Simulate instead of solving.
    refine : int
        Begin with every 2^refine-th value of both axes and halve this so often; where interpolation between neighbours
        does, cells are interpolated instead of computed (times in their logarithms).
    seed : int
        Of random initial states and of simulations.
    store : path, optional
        A directory in which finished blocks are kept.
    resume, force : bool
        Go on with the blocks that are there, or delete them; without either, blocks that are there are an error.
    scheduler : str, optional
        Address of a Dask scheduler that does the blocks.
    threads : int, optional
        Of the sweep, or runs at one time; on a cluster, those of each block (1 if not given). The result does not
        depend on them.
    progress : callable, optional
        Called with the share of the cells that is done, and the number of cells that this call has computed.

    Returns
    -------
    xarray.Dataset
        ``value`` over both axes, infinite for a time that does not come by t_end, NaN where the system makes no sense
        or fails; ``computed``, where it is not interpolated; ``theorem``, the closed form of the same quantity, if the
        system has one (NaN where it does not hold). Of ``learnt`` alpha it is the probability for t_end -> infinity.

    Raises
    ------
    InputError
        Unknown system, parameter or observable, an axis with one point, a threshold that cannot be reached, no cell
        that makes sense, a store of another diagram. Nothing is written or deleted then.

    References
    ----------
    Snell et al., arXiv 2103.07601.

    Examples
    --------
    >>> found = phase_diagram("copying", {"L": [4, 8], "V": [8, 12]}, t_end=1000)
    >>> found.value.values.round(0)  # permutations of 8 wait for their initial state to grow
    array([[ 58.,  77.],
           [307., 191.]])
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> squares = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))
    >>> axes = {"sigma": [0.0, 1.0], "eta_w": [0.5, 1.0]}
    >>> phase_diagram(squares, axes, t_end=1, data={"y": [3.0]}, draws=2).value.values[0].round(2)
    array([1.66, 0.61])
    """
    import time

    import xarray as xr

    chosen = system_of(system, data, values, initial)
    own = {n: v for n, v in system.parameters.items() if n not in axes} if isinstance(system, Problem) else {}
    usual = chosen.usual
    shown = quantity if isinstance(quantity, Quantity) else replace(usual, kind=quantity or usual.kind)
    fixed = {name: float(value) for name, value in {**own, **(fixed or {})}.items()}
    names, along = _axes(chosen, axes, fixed)
    more = tuple(dict.fromkeys([observe] if isinstance(observe, str) else observe or ()))
    for one in (shown, *(Quantity("value", name) for name in more)):
        _check_observable(chosen, one, simulation is not None)
    clash = [name for name in more if name in (*names, "value", "computed", "theorem")]
    if clash:
        raise InputError(f"observe: {clash[0]} is what the diagram calls something else")
    if not (np.isfinite(t_end) and t_end > 0):
        raise InputError(f"t_end = {t_end} must be a time above 0")
    if draws < 1:
        raise InputError(f"draws = {draws} must be 1 or more")
    if seed < 0:
        raise InputError(f"seed = {seed} must be a whole number from 0")
    if not 0 <= refine <= 10:
        raise InputError(f"refine = {refine} must be between 0 and 10")
    cells = _cells(chosen, names, along, fixed)
    chosen.check(cells, shown, simulation is not None)
    settings = {
        "system": chosen.name, "equations": chosen.equations,
        "axes": {n: v.tolist() for n, v in zip(names, along, strict=True)},
        "quantity": asdict(shown), "t_end": float(t_end), "fixed": fixed, "draws": draws, "seed": seed,
        "order": names, "refine": refine, "simulation": None if simulation is None else asdict(simulation),
        "version": provenance()["version_attention-dynamics"], **({"observe": more} if more else {}),
    }  # fmt: skip
    if scheduler is not None:
        with connected(scheduler):
            pass  # whether it answers, before anything is written or deleted
    else:
        number_of(threads)
    kept = Store.open(store, settings, resume, force) if store is not None else None
    share = 1 if scheduler is not None and threads is None else threads
    work = partial(_block, chosen, shown, t_end, draws, seed, simulation, share, more)
    size = along[0].size * along[1].size
    per_cell = draws if any(name.startswith("sigma") for name in cells) else 1
    begun, done, now = time.perf_counter(), 0, 0
    found, seen = np.full(size, np.nan), {name: np.full(size, np.nan) for name in more}
    together = max(1, int(getattr(chosen, "block", BLOCK // per_cell)))

    def compute(level: int, which: NDArray[np.int64]) -> Vector:
        nonlocal done, now
        per_block = 1 if simulation is not None else together
        parts = np.split(which, range(per_block, which.size, per_block))
        blocks = {f"{level}-{k}": {"index": part, **_at(cells, part)} for k, part in enumerate(parts)}
        before = {key for key in blocks if kept is not None and kept.file(key).exists()}
        for key, arrays in finished(work, blocks, kept, scheduler):
            found[arrays["index"]] = arrays["value"]
            for name in more:
                seen[name][arrays["index"]] = arrays[f"observed_{name}"]
            done += arrays["index"].size
            now += arrays["index"].size * (key not in before)
            if progress is not None:
                progress(done / size, now)
        return _even(found[which], shown)

    scaled, computed = refined((along[0].size, along[1].size), refine, compute)
    value = np.where(computed, found.reshape(scaled.shape), _uneven(scaled, shown))
    seconds = time.perf_counter() - begun
    data_vars: dict[str, Any] = {
        "value": (names, value, {"long_name": shown.label}),
        "computed": (names, computed, {"long_name": "computed, not interpolated"}),
    }
    data_vars |= {
        name: (names, value_at.reshape(value.shape), {"long_name": Quantity("value", name).label})
        for name, value_at in seen.items()
    }
    each = np.split(np.arange(size), range(together, size, together))
    parts = [chosen.theorem(_at(cells, part), shown, t_end, draws, seed, threads) for part in each]
    closed = np.concatenate([part for part in parts if part is not None] or [np.empty(0)])
    if closed.size:
        data_vars["theorem"] = (names, closed.reshape(value.shape), {"long_name": f"{shown.label}, closed form"})
    coordinates = {
        n: (n, v, {"long_name": chosen.axes[n], "whole": int(n in chosen.whole)})
        for n, v in zip(names, along, strict=True)
    }
    attrs = {
        "system": chosen.name, "quantity": shown.kind, "observable": shown.observable, "threshold": shown.threshold,
        "t_end": t_end, "draws": draws, "seed": seed, "method": "simulation" if simulation else "theory",
        **{f"fixed_{name}": v for name, v in fixed.items()}, **(asdict(simulation) if simulation else {}),
        "computed_now": now, "seconds": round(seconds, 3), **provenance(),
    }  # fmt: skip
    return xr.Dataset(data_vars, coordinates, attrs)


def _even(value: Vector, quantity: Quantity) -> Vector:
    """On the scale on which a diagram is interpolated: times in their logarithms."""
    with np.errstate(divide="ignore"):
        return np.log(value) if quantity.kind == "time" else value


def _uneven(value: Vector, quantity: Quantity) -> Vector:
    return np.exp(value) if quantity.kind == "time" else value


def _at(cells: Cells, which: NDArray[np.int64]) -> dict[str, Vector]:
    return {name: values[which] for name, values in cells.items()}


def _check_observable(system: System, quantity: Quantity, simulated: bool) -> None:
    known = system.observables(simulated)
    if not known:
        raise InputError(f"{system.name} has no simulation; leave it out")
    if quantity.observable not in known:
        what = f"a simulation of {system.name}" if simulated else system.name
        near = did_you_mean(quantity.observable, known) or f"; it has {', '.join(known)}"
        raise InputError(f"{what} has no observable {quantity.observable!r}{near}")


def _axes(
    system: System, axes: Mapping[str, ArrayLike], fixed: Mapping[str, float]
) -> tuple[tuple[str, str], tuple[Vector, Vector]]:
    """The names and values of both axes, checked."""
    if not isinstance(axes, Mapping):
        raise InputError(f"axes = {axes!r} must give two parameters their values, {{'V': [8, 16], 'L': [4, 8]}} say")
    if len(axes) != 2:
        raise InputError(f"a phase diagram has two axes, not {len(axes)}; give two parameters with their values")
    known = list(system.axes)
    for name in (*axes, *fixed):
        if name not in known:
            raise InputError(
                f"{system.name} has no parameter {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"
            )
    both = set(axes) & set(fixed)
    if both:
        raise InputError(f"{min(both)} is an axis and fixed; leave one out")
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise InputError(f"{name} = {value} must be a number")
    found = []
    for name, given in axes.items():
        values = np.asarray(given, dtype=float)
        if values.ndim != 1 or values.size < 2:
            raise InputError(f"axis {name} has {values.size} point{'s' * (values.size != 1)}; give two or more")
        if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
            raise InputError(f"axis {name} must be increasing numbers")
        if name in system.whole and (values != np.round(values)).any():
            raise InputError(f"axis {name} must be whole numbers")
        found.append(values)
    first, second = axes
    return (first, second), (found[0], found[1])


def _cells(
    system: System, names: tuple[str, str], values: Sequence[Vector], fixed: Mapping[str, float]
) -> dict[str, Vector]:
    """Every parameter in every cell of a grid, the second axis running fastest."""
    grid = [axis.ravel() for axis in np.meshgrid(*values, indexing="ij")]
    given = dict(zip(names, grid, strict=True))
    given |= {name: np.full(grid[0].size, value) for name, value in fixed.items()}
    return dict(system.complete(given))


def _block(
    system: System,
    quantity: Quantity,
    t_end: float,
    draws: int,
    seed: int,
    simulation: Simulation | None,
    threads: int | None,
    more: Sequence[str],
    block: Mapping[str, NDArray[Any]],
) -> Arrays:
    """One block of cells: their places in the grid, and the quantity."""
    cells = {name: values for name, values in block.items() if name != "index"}

    def of(shown: Quantity) -> Vector:
        if simulation is None:
            return system.theory(cells, shown, t_end, draws, seed, threads)
        return system.simulated(cells, shown, t_end, draws, seed, threads, simulation)

    observed = {f"observed_{name}": of(Quantity("value", name)) for name in more}
    return {"index": np.asarray(block["index"]), "value": of(quantity), **observed}


__all__ = ["Quantity", "Simulation", "phase_diagram"]
