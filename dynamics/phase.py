"""Phase diagrams: what happens where, by theory in many cells or by simulation in some."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.blocks import Arrays, Store, finished, in_blocks
from dynamics.cells import NEVER, Descent, Quantity, System, Vector, system_of
from dynamics.errors import InputError
from dynamics.files import did_you_mean
from dynamics.trajectory import provenance

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 64
"""Random initial states of a cell."""
BLOCK = 20_000
"""Solutions in a block of a theory."""
CLOSED = 12
"""Values of each axis at which the closed form is evaluated: it takes a quadrature."""


def phase_diagram(
    system: str | System,
    axes: Mapping[str, ArrayLike],
    quantity: Quantity | str = "time",
    t_end: float = 10_000.0,
    *,
    fixed: Mapping[str, float] | None = None,
    draws: int = DRAWS,
    simulation: Descent | None = None,
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
    system : str or System
        ``copying``, or the name of a flow of scalars.
    axes : mapping of str to array_like
        Two parameters and their values, two or more each, increasing; the first is drawn upwards, the second to the
        right.
    quantity : Quantity or str
        What is shown, or its kind: ``time``, ``learnt`` or ``value``, of ``p_t`` at 0.5.
    t_end : float
        Where every cell ends, in tau.
    fixed : mapping, optional
        Values of other parameters.
    draws : int
        Random initial states of each cell, where its parameters ask for them; seeds of a simulation.
    simulation : Descent, optional
        Simulate instead of solving.
    refine : int
        Begin with every 2^refine-th value of both axes and halve this so often; between neighbours that agree, cells
        are interpolated instead of computed.
    seed : int
        Of random initial states and of simulations.
    store : path, optional
        A directory in which finished blocks are kept.
    resume, force : bool
        Go on with the blocks that are there, or delete them; without either, blocks that are there are an error.
    scheduler : str, optional
        Address of a Dask scheduler that does the blocks.
    threads : int, optional
        Of the sweep; the result does not depend on them.
    progress : callable, optional
        Called with the share of the cells that is done, and their number.

    Returns
    -------
    xarray.Dataset
        ``value`` over both axes, infinite for a time that does not come by t_end, NaN where the system makes no sense
        or fails; ``computed``, where it is not interpolated; ``theorem``, the closed form of the same quantity at
        some of the values (``*_theorem``), if the system has one.

    Raises
    ------
    InputError
        Unknown system, parameter or observable, an axis with one point, a threshold that cannot be reached, a store of
        another diagram.

    References
    ----------
    Snell et al., arXiv 2103.07601.

    Examples
    --------
    >>> found = phase_diagram("copying", {"L": [4, 8], "V": [8, 12]}, t_end=1000)
    >>> found.value.values.round(0)  # permutations of 8 wait for their initial state to grow
    array([[ 58.,  77.],
           [307., 191.]])
    """
    import time

    import xarray as xr

    chosen = system_of(system) if isinstance(system, str) else system
    shown = quantity if isinstance(quantity, Quantity) else Quantity(quantity)
    names, values = _axes(chosen, axes, fixed)
    if not (np.isfinite(t_end) and t_end > 0):
        raise InputError(f"t_end = {t_end} must be a time above 0")
    if draws < 1:
        raise InputError(f"draws = {draws} must be 1 or more")
    if not 0 <= refine <= 10:
        raise InputError(f"refine = {refine} must be between 0 and 10")
    cells = _cells(chosen, names, values, fixed)
    shape = tuple(v.size for v in values)
    size = int(np.prod(shape))
    settings = {
        "system": chosen.name, "axes": {n: v.tolist() for n, v in zip(names, values, strict=True)},
        "quantity": asdict(shown), "t_end": t_end, "fixed": dict(fixed or {}), "draws": draws, "seed": seed,
        "refine": refine, "simulation": None if simulation is None else [simulation.lr, simulation.batch],
    }  # fmt: skip
    kept = Store.open(store, settings, resume, force) if store is not None else None
    work = partial(_block, chosen, shown, t_end, draws, seed, simulation, threads)
    begun, done = time.perf_counter(), 0

    def compute(level: int, which: NDArray[np.int64]) -> Vector:
        nonlocal done
        per_block = 1 if simulation is not None else max(1, BLOCK // draws if _is_random(cells) else BLOCK)
        blocks = {
            f"{level}-{k}": {"index": which[part], **{n: v[which[part]] for n, v in cells.items()}}
            for k, part in enumerate(map(list, in_blocks(which.size, per_block)))
        }
        found = np.empty(which.size)
        place = {int(cell): k for k, cell in enumerate(which)}
        for _, arrays in finished(work, blocks, kept, scheduler):
            found[[place[int(cell)] for cell in arrays["index"]]] = arrays["value"]
            done += arrays["index"].size
            if progress is not None:
                progress(done / size, done)
        return found

    value, computed = _refined(shape, refine, compute)
    seconds = time.perf_counter() - begun
    data: dict[str, Any] = {
        "value": (names, value, {"long_name": shown.label}),
        "computed": (names, computed, {"long_name": "computed, not interpolated"}),
    }
    few = [v[np.unique(np.linspace(0, v.size - 1, CLOSED).round().astype(int))] for v in values]
    coordinates: dict[str, Any] = {}
    closed = chosen.theorem(_cells(chosen, names, few, fixed), shown, t_end, draws, seed)
    if closed is not None:
        dims = tuple(f"{name}_theorem" for name in names)
        data["theorem"] = (dims, closed.reshape([v.size for v in few]), {"long_name": f"{shown.label}, closed form"})
        coordinates = dict(zip(dims, few, strict=True))
    coordinates |= {n: (n, v, {"long_name": chosen.axes[n]}) for n, v in zip(names, values, strict=True)}
    attrs = {
        "system": chosen.name, "quantity": shown.kind, "observable": shown.observable, "threshold": shown.threshold,
        "t_end": t_end, "draws": draws, "seed": seed, "method": "simulation" if simulation else "theory",
        **{f"fixed_{name}": float(v) for name, v in (fixed or {}).items()},
        **({"lr": simulation.lr, "batch": simulation.batch} if simulation else {}),
        "seconds": round(seconds, 3), **provenance(),
    }  # fmt: skip
    return xr.Dataset(data, coordinates, attrs)


def _axes(
    system: System, axes: Mapping[str, ArrayLike], fixed: Mapping[str, float] | None
) -> tuple[tuple[str, str], tuple[Vector, Vector]]:
    """The names and values of both axes, checked."""
    if len(axes) != 2:
        raise InputError(f"a phase diagram has two axes, not {len(axes)}; give two parameters with their values")
    known = list(system.axes)
    for name in (*axes, *(fixed or {})):
        if name not in known:
            raise InputError(
                f"{system.name} has no parameter {name!r}{did_you_mean(name, known)}; it has {', '.join(known)}"
            )
    both = set(axes) & set(fixed or {})
    if both:
        raise InputError(f"{min(both)} is an axis and fixed; leave one out")
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
    system: System, names: tuple[str, str], values: Sequence[Vector], fixed: Mapping[str, float] | None
) -> dict[str, Vector]:
    """Every parameter in every cell of a grid, the second axis running fastest."""
    grid = [axis.ravel() for axis in np.meshgrid(*values, indexing="ij")]
    given = dict(zip(names, grid, strict=True))
    given |= {name: np.full(grid[0].size, float(value)) for name, value in (fixed or {}).items()}
    return dict(system.complete(given))


def _is_random(cells: Mapping[str, Vector]) -> bool:
    return any(name.startswith("sigma") for name in cells)


def _block(
    system: System,
    quantity: Quantity,
    t_end: float,
    draws: int,
    seed: int,
    simulation: Descent | None,
    threads: int | None,
    block: Mapping[str, NDArray[Any]],
) -> Arrays:
    """One block of cells: their places in the grid, and the quantity."""
    cells = {name: values for name, values in block.items() if name != "index"}
    if simulation is None:
        value = system.theory(cells, quantity, t_end, draws, seed, threads)
    else:
        value = system.simulated(cells, quantity, t_end, draws, seed, simulation)
    return {"index": np.asarray(block["index"]), "value": value}


def _refined(
    shape: tuple[int, ...], refine: int, compute: Callable[[int, NDArray[np.int64]], Vector]
) -> tuple[Vector, NDArray[np.bool_]]:
    """Values on a grid, computed where neighbours on the coarser grid differ and interpolated elsewhere.

    Parameters
    ----------
    compute : callable
        From a level and flat places in the grid to values there.
    """
    value, computed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    stride = 2**refine
    wanted = np.zeros(shape, dtype=bool)
    wanted[np.ix_(*(_ticks(n, stride) for n in shape))] = True
    for level in range(refine + 1):
        which = np.flatnonzero(wanted)
        if which.size:
            value.ravel()[which] = compute(level, which)
            computed.ravel()[which] = True
        if stride == 1:
            break
        finer = stride // 2
        known = [_ticks(n, stride) for n in shape]
        wanted = np.zeros(shape, dtype=bool)
        _split(value, computed, wanted, known, finer)
        stride = finer
    return value, computed


def _ticks(n: int, stride: int) -> NDArray[np.int64]:
    """Every so many of n places, and the last."""
    return np.unique(np.append(np.arange(0, n, stride), n - 1))


def _split(
    value: Vector,
    computed: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    known: list[NDArray[np.int64]],
    finer: int,
) -> None:
    """Mark the finer places of each coarse square whose corners differ; interpolate those of the others."""
    rows, columns = known
    between = [_ticks(n, finer) for n in value.shape]
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            corners = value[[top, top, bottom, bottom], [left, right, left, right]]
            inside_rows = between[0][(between[0] >= top) & (between[0] <= bottom)]
            inside_columns = between[1][(between[1] >= left) & (between[1] <= right)]
            place = np.ix_(inside_rows, inside_columns)
            if _alike(corners):
                new = np.isnan(value[place]) & ~computed[place]
                value[place] = np.where(new, _bilinear(corners, inside_rows, inside_columns), value[place])
            else:
                wanted[place] |= ~computed[place]
    value[wanted] = np.nan


ALIKE = 0.05
"""Corners whose values differ by no more than this share of the larger one agree."""


def _alike(corners: Vector) -> bool:
    """Whether a square has no boundary in it, by its corners: all infinite, all undefined, or all close."""
    if np.isinf(corners).all() or np.isnan(corners).all():
        return True
    if not np.isfinite(corners).all():
        return False
    return bool(np.ptp(corners) <= ALIKE * max(abs(corners).max(), 1e-12))


def _bilinear(corners: Vector, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Vector:
    if not np.isfinite(corners).all():
        return np.full((rows.size, columns.size), corners[0])
    y = ((rows - rows[0]) / max(rows[-1] - rows[0], 1))[:, None]
    x = ((columns - columns[0]) / max(columns[-1] - columns[0], 1))[None, :]
    a, b, c, d = corners
    return (1 - y) * ((1 - x) * a + x * b) + y * ((1 - x) * c + x * d)


__all__ = ["NEVER", "Descent", "Quantity", "phase_diagram"]
