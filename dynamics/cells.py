"""Systems as phase diagrams see them: what the axes are, and what theory and simulation find in a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program
from dynamics.errors import InputError
from dynamics.files import did_you_mean

Vector = NDArray[np.float64]
Cells = Mapping[str, Vector]
"""Parameters by name, each of shape (cells,)."""

NEVER = np.inf
"""The time to something that does not happen."""

SMALL = 0.5
"""Unstable coordinates up to which the escape law is shown: it holds for small ones."""


@dataclass(frozen=True)
class Quantity:
    """What a phase diagram shows.

    Attributes
    ----------
    kind : {"time", "learnt", "value"}
        ``time``: until the observable rises through the threshold (infinite if it does not by the end; over random
        initial states, the median). ``learnt``: the share of random initial states for which it does. ``value``: of the
        observable at the end (their mean).
    observable : str
    threshold : float
    """

    kind: str = "time"
    observable: str = "p_t"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in ("time", "learnt", "value"):
            raise InputError(f"unknown quantity {self.kind!r}; use time, learnt or value")
        bounded = self.observable in ("p_t", "alpha", "attention")
        if self.kind != "value" and not np.isfinite(self.threshold):
            raise InputError(f"threshold = {self.threshold} must be a number")
        if self.kind != "value" and bounded and not 0 < self.threshold < 1:
            raise InputError(f"threshold = {self.threshold}: {self.observable} is a share; give one between 0 and 1")

    @property
    def label(self) -> str:
        """In words, for axes."""
        if self.kind == "value":
            return f"{self.observable} at the end"
        passed = f"{self.observable} = {self.threshold:g}"
        return f"time τ to {passed}" if self.kind == "time" else f"probability of {passed} by the end"

    def of(self, times: Vector, values: Vector) -> Vector:
        """From times of passing and values at the end, shape (cells, draws), to one number for each cell."""
        failed = np.isnan(values).any(axis=1)
        if self.kind == "value":
            found = values.mean(axis=1)
        elif self.kind == "time":
            found = np.quantile(times, 0.5, axis=1, method="inverted_cdf")
        else:
            found = np.isfinite(times).mean(axis=1)
        return np.where(failed, np.nan, found)


@dataclass(frozen=True)
class Descent:
    """How the cells of a phase diagram are simulated: full models, stochastic gradient descent on fresh examples.

    Attributes
    ----------
    lr : float
        Learning rate; runs take t_end / lr steps.
    batch : int
        Examples per step.
    threads : int, optional
        Runs at one time.
    """

    lr: float = 1.0
    batch: int = 64
    threads: int | None = None


class System(Protocol):
    """A family of systems with named parameters.

    Attributes
    ----------
    name : str
    axes : mapping of str to str
        The parameters, and what they are.
    """

    @property
    def name(self) -> str: ...

    @property
    def axes(self) -> Mapping[str, str]: ...

    @property
    def whole(self) -> frozenset[str]:
        """Parameters that are whole numbers."""
        ...

    def complete(self, cells: Cells) -> Cells:
        """With defaults, and checked."""
        ...

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None = None
    ) -> Vector:
        """By solving the reduced system in every cell."""
        ...

    def theorem(self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int) -> Vector | None:
        """By a closed form, if there is one."""
        ...

    def simulated(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, descent: Descent
    ) -> Vector:
        """By training the full model from several seeds in every cell."""
        ...


@dataclass(frozen=True)
class Scalars:
    """Any flow of scalars: its parameters, and its states at time 0 (``x0`` for a state x).

    Attributes
    ----------
    key : str
        Name of the program in the catalogue.
    """

    key: str

    @property
    def name(self) -> str:
        return self.key

    @property
    def program(self) -> Program:
        from derivations.catalogue import program

        return program(self.key)

    @property
    def axes(self) -> Mapping[str, str]:
        program = self.program
        names = [str(parameter) for parameter in program.parameters]
        return {name: name for name in names} | {f"{s}0": f"{s} at time 0" for s in program.state_names}

    @property
    def whole(self) -> frozenset[str]:
        return frozenset()

    def complete(self, cells: Cells) -> Cells:
        missing = [name for name in self.axes if name not in cells and not name.startswith("eta_")]
        if missing:
            raise InputError(f"{self.name}: no value for {', '.join(missing)}; give one, or make it an axis")
        size = next(iter(cells.values())).size
        return {**{name: np.ones(size) for name in self.axes}, **cells}

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None = None
    ) -> Vector:
        states = self.program.state_names
        parameters = {str(p): cells[str(p)] for p in self.program.parameters}
        initial = {state: cells[f"{state}0"] for state in states}
        times, values = passing(self.program, parameters, initial, quantity, t_end, threads)
        return quantity.of(times[:, None], values[:, None])

    def theorem(self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int) -> None:
        return None

    def simulated(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, descent: Descent
    ) -> Vector:
        raise InputError(f"{self.name} is a reduced system, which has no simulation; leave the simulation out")


COPYING = {
    "V": "vocabulary size V",
    "L": "input length L",
    "extra": "words that are not in an input, V − L",
    "H": "heads H",
    "sigma": "initial size σ of W and P",
    "sigma_W": "initial size σ of W",
    "sigma_P": "initial size σ of P",
    "u0": "initial u",
    "a0": "initial a",
    "eta_W": "learning rate of W",
    "eta_A": "learning rate of P",
}


@dataclass(frozen=True)
class CopyingSystem:
    """Copying L distinct words out of V with positional attention, by its symmetric reduction.

    Either the order parameters start at ``u0`` and ``a0``, or W and P start as independent normal numbers of standard
    deviation ``sigma`` (or ``sigma_W`` and ``sigma_P``).
    """

    @property
    def name(self) -> str:
        return "copying"

    @property
    def axes(self) -> Mapping[str, str]:
        return COPYING

    @property
    def whole(self) -> frozenset[str]:
        return frozenset({"V", "L", "H", "extra"})

    def complete(self, cells: Cells) -> Cells:
        found = dict(cells)
        size = next(iter(found.values())).size
        if "extra" in found:
            if "V" in found:
                raise InputError("copying: V and extra = V - L are both given; leave one out")
            if "L" not in found:
                raise InputError("copying: no value for L; give one, or make it an axis")
            found["V"] = found["L"] + found.pop("extra")
        for name in ("V", "L"):
            if name not in found:
                raise InputError(f"copying: no value for {name}; give one, or make it an axis")
        if "sigma" in found:
            found = {"sigma_W": found["sigma"], "sigma_P": found["sigma"], **found}
            del found["sigma"]
        random = {"sigma_W", "sigma_P"} & set(found)
        fixed = {"u0", "a0"} & set(found)
        if random and fixed:
            raise InputError("copying: give u0 and a0, or sigma for random initial states, not both")
        defaults = {"H": 1.0, "eta_W": 1.0, "eta_A": 1.0}
        defaults |= {"sigma_W": 0.0, "sigma_P": 0.0} if random else {"u0": 0.01, "a0": 0.01}
        found = {**{name: np.full(size, value) for name, value in defaults.items()}, **found}
        for name in ("V", "L", "H"):
            bad = np.flatnonzero((found[name] != np.round(found[name])) | (found[name] < (1 if name == "H" else 2)))
            if bad.size:
                least = 1 if name == "H" else 2
                raise InputError(f"copying: {name} = {found[name][bad[0]]:g} must be a whole number from {least}")
        for name in ("sigma_W", "sigma_P", "eta_W", "eta_A"):
            if name in found and (found[name] < 0).any():
                raise InputError(f"copying: {name} = {found[name].min():g} must not be negative")
        return found

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        """Whether so many distinct words can be drawn."""
        return np.asarray(cells["L"] <= cells["V"])

    def starts(self, cells: Cells, heads: int, draws: int, seed: int) -> tuple[Vector, Vector]:
        """u and a of each head at time 0, shape (cells, draws, heads); normal for random W and P."""
        V, L = (cells[name][:, None, None] for name in ("V", "L"))
        if "u0" in cells:
            shape = (len(cells["V"]), 1, heads)
            return tuple(np.broadcast_to(cells[name][:, None, None], shape) for name in ("u0", "a0"))  # type: ignore[return-value]
        z = normal(draws, 2 * heads, seed)
        u = cells["sigma_W"][:, None, None] * spread(V) * z[None, :, :heads]
        a = cells["sigma_P"][:, None, None] * spread(L) * z[None, :, heads:]
        return u, a

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None = None
    ) -> Vector:
        from derivations.reductions import copying, copying_heads

        found = np.full(len(cells["V"]), np.nan)
        for H in np.unique(cells["H"]).astype(int):
            here = np.flatnonzero((cells["H"] == H) & self.possible(cells))
            if not here.size:
                continue
            part = {name: values[here] for name, values in cells.items()}
            u, a = self.starts(part, H, draws, seed)
            program = copying() if H == 1 else copying_heads(H)
            initial: dict[str, Vector] = {}
            for h in range(H):
                number = "" if H == 1 else str(h + 1)
                initial |= {f"u{number}": u[:, :, h].ravel(), f"a{number}": a[:, :, h].ravel()}
            parameters = {name: np.repeat(part[name], u.shape[1]) for name in ("V", "L", "eta_W", "eta_A")}
            times, values = passing(program, parameters, initial, quantity, t_end, threads)
            found[here] = quantity.of(times.reshape(u.shape[:2]), values.reshape(u.shape[:2]))
        return found

    def theorem(self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int) -> Vector | None:
        from derivations.theorems import branch_odds, escape_time, unstable_coordinate

        found = np.full(len(cells["V"]), np.nan)
        here = np.flatnonzero(self.possible(cells) & (quantity.threshold * cells["V"] > 1))  # above chance
        part = {name: values[here] for name, values in cells.items()}
        if quantity.kind == "learnt" and quantity.observable == "alpha" and "sigma_W" in cells:
            found[here] = branch_odds(**part)
            return found
        if quantity.kind == "value" or quantity.observable != "p_t" or (cells["H"] != 1).any():
            return None
        u, a = (values[:, :, 0] for values in self.starts(part, 1, draws, seed))
        sizes = {name: part[name][:, None] for name in ("V", "L", "eta_W", "eta_A")}
        times = escape_time(u, a, p=quantity.threshold, **sizes)
        if quantity.kind == "time":
            times[abs(unstable_coordinate(u, a, **sizes)) > SMALL] = np.nan
        times = np.where(times > t_end, NEVER, times)
        found[here] = quantity.of(times, np.where(np.isnan(times), np.nan, 0.0))
        return found

    def simulated(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, descent: Descent
    ) -> Vector:
        each = [{name: values[k] for name, values in cells.items()} for k in range(len(cells["V"]))]
        possible = self.possible(cells)
        return np.array(
            [
                _simulated(cell, quantity, t_end, draws, seed, descent) if fits else np.nan
                for cell, fits in zip(each, possible, strict=True)
            ]
        )


RECORDS = 80
"""Records of a simulated run, from which the time of passing is interpolated."""


def _simulated(
    cell: Mapping[str, float], quantity: Quantity, t_end: float, draws: int, seed: int, descent: Descent
) -> float:
    """The quantity over several runs of the full model in one cell."""
    from dynamics.comparison import scalars
    from dynamics.model import positional
    from dynamics.simulation import simulate
    from dynamics.tasks import Copying

    V, L, H = (int(cell[name]) for name in ("V", "L", "H"))
    if "u0" in cell:
        each = (H,) if H > 1 else ()
        initial: dict[str, Any] = {
            "W": np.broadcast_to(cell["u0"] * np.eye(V), (*each, V, V)),
            "P": np.broadcast_to(cell["a0"] * np.eye(L), (*each, L, L)),
        }
    else:
        initial = {"W": float(cell["sigma_W"]), "P": float(cell["sigma_P"])}
    run = simulate(
        Copying(V, L), positional(H), descent.lr, descent.batch, max(1, round(t_end / descent.lr)),
        range(seed, seed + draws), records=RECORDS, rates={"W": float(cell["eta_W"]), "P": float(cell["eta_A"])},
        initial=initial, threads=descent.threads,
    )  # fmt: skip
    found = scalars(run) | {"p_t": np.exp(-run.loss)}  # the geometric mean over targets
    if quantity.observable not in found:
        raise InputError(f"a simulation has no {quantity.observable!r}; it has {', '.join(found)}")
    curves = found[quantity.observable]
    curves = curves.mean("head") if "head" in curves.dims else curves
    t = run.time.values
    times = np.array([_first(t, curve, quantity.threshold) for curve in curves.transpose("seed", "time").values])
    return float(quantity.of(times[None], curves.values[None, :, -1])[0])


def _first(t: Vector, curve: Vector, threshold: float) -> float:
    """When a recorded curve first rises through a threshold, linear between records."""
    above = np.flatnonzero(curve >= threshold)
    if not above.size:
        return NEVER
    k = int(above[0])
    if k == 0:
        return 0.0
    share = (threshold - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(t[k - 1] + share * (t[k] - t[k - 1]))


SYSTEMS: Mapping[str, Callable[[], Any]] = {"copying": CopyingSystem}


def system_of(name: str) -> System:
    """The system of a name: one of SYSTEMS, or a flow of scalars of the catalogue."""
    from derivations.catalogue import names, program

    if name in SYSTEMS:
        found: System = SYSTEMS[name]()
        return found
    scalar = [one for one in names() if one in SCALARS]
    known = [*SYSTEMS, *scalar]
    if name not in known:
        raise InputError(f"unknown system {name!r}{did_you_mean(name, known)}; use one of {', '.join(known)}")
    program(name)
    return Scalars(name)


SCALARS: frozenset[str] = frozenset()
"""Programs of the catalogue that are flows of scalars and have no entry of their own."""


def passing(
    program: Program,
    parameters: Cells,
    initial: Cells,
    quantity: Quantity,
    t_end: float,
    threads: int | None,
) -> tuple[Vector, Vector]:
    """When the observable rises through the threshold (NEVER if not), and its value at the end; NaN if failed.

    Of an observable that each head has (alpha1, alpha2, ...), that of the best head.
    """
    from dynamics.sweep import Event, Status, sweep

    known = [*program.state_names, *dict.fromkeys(d.name for d in program.definitions)]
    name = quantity.observable
    names = [name] if name in known else [one for one in known if one.rstrip("0123456789") == name]
    if not names:
        raise InputError(f"{program.name} has no observable {name!r}{did_you_mean(name, known)}")
    watched = quantity.kind != "value"
    observables = [one for one in names if one not in program.state_names]
    events = {one: Event(one, quantity.threshold, "rising", terminal=True) for one in names if watched}
    found = sweep(program, parameters, initial, t_end, observables=observables, events=events, threads=threads)
    values = np.max([found[one].values for one in names], axis=0)
    failed = found.status.values < Status.FINISHED
    values[failed] = np.nan
    times = np.full(len(values), NEVER)
    if watched:
        passed = found.event_time.min("event").values  # NaN where none did
        times = np.where(np.isnan(passed), NEVER, passed)
        # A cell that starts beyond the threshold has not passed it, and ends beyond it.
        times = np.where(np.isnan(passed) & ~failed & (values > quantity.threshold), 0.0, times)
    return times, values


def spread(n: Vector) -> Vector:
    """Standard deviation of mean diagonal minus mean off-diagonal of an n x n matrix of standard normal numbers.

    Examples
    --------
    >>> float(spread(np.array(2.0)))
    1.0
    """
    return np.sqrt(1 / n + 1 / (n * (n - 1)))


def normal(draws: int, dimension: int, seed: int) -> Vector:
    """Standard normal points, evenly spread (scrambled Sobol): the same for every cell, shape (draws, dimension)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(dimension, seed=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(max(draws, 2)))))
    return ndtri(np.clip(points[:draws], 1e-15, 1 - 1e-15))
