"""Copying as phase diagrams see it: two equations in every cell, closed forms, or the full model trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program
from dynamics.phase.observe import first, observables_of, observed, passed_at
from dynamics.phase.quantity import NEVER, Cells, Quantity, Simulation
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.recipes import made
from dynamics.support.typing import Vector

NEAR = 1e-6
"""The distance from the saddle at which the solution of the escape law begins; its relative error is of this order."""

SMALL = 0.3
"""Distances of (u, a) from the saddle up to which the escape law is shown: its times are within 4 % there."""

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
    deviation ``sigma`` (or ``sigma_W`` and ``sigma_P``). Of a random W what matters is u, which is normal; of a random
    P it is the a that gives its mean attention to the right position, which is normal to second order
    (:func:`derivations.theorems.copying.mean_attention`). Of several heads, the best counts.
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

    @property
    def usual(self) -> Quantity:
        return Quantity()

    @property
    def equations(self) -> str:
        return ""

    def observables(self, simulated: bool) -> Sequence[str]:
        known = ("p_t", "alpha", "u", "a", "loss")
        return known if simulated else observables_of(made("derivations.reductions:copying"))

    def complete(self, cells: Cells) -> Cells:
        for name in ("sigma", "sigma_W", "sigma_P", "eta_W", "eta_A"):
            if name in cells and (cells[name] < 0).any():
                raise InputError(f"copying: {name} = {cells[name].min():g} must not be negative")
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
        for name, least in (("V", 2.0), ("L", 2.0), ("H", 1.0)):
            if name == "V" and "extra" in cells:
                least = -np.inf  # cells with too few words are impossible, as those with L > V are
            bad = np.flatnonzero((found[name] != np.round(found[name])) | (found[name] < least))
            if bad.size:
                given = "extra" if name == "V" and "extra" in cells else name
                above = f" from {least:g}" if np.isfinite(least) else ""
                raise InputError(f"copying: {given} = {cells[given][bad[0]]:g} must be a whole number{above}")
        if not self.possible(found).any():
            raise InputError("copying: L is above V everywhere; an input has L distinct words of V, so give L up to V")
        return found

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        return np.asarray(cells["L"] <= cells["V"])

    def starts(self, cells: Cells, heads: int, draws: int, seed: int) -> tuple[Vector, Vector]:
        """u and a of each head at time 0, shape (cells, draws, heads)."""
        each = {name: values[:, None, None] for name, values in cells.items()}
        if "u0" in each:
            shape = (cells["V"].size, 1, heads)
            return np.broadcast_to(each["u0"], shape), np.broadcast_to(each["a0"], shape)
        from sympy import lambdify, sqrt

        from derivations.reductions import squared_length
        from derivations.reductions.orbits import L, V
        from dynamics.problems.closed_forms import evaluated

        z = normal(draws, 2 * heads, seed)
        of_u, of_a = (lambdify(n, 1 / sqrt(squared_length(n)))(each[n.name]) for n in (V, L))
        shift = evaluated("copying-attention", "shift", **each)
        return each["sigma_W"] * of_u * z[:, :heads], shift + each["sigma_P"] * of_a * z[:, heads:]

    def check(self, cells: Cells, quantity: Quantity, simulated: bool) -> None:
        pass

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector:
        found = np.full(cells["V"].size, np.nan)
        for H in np.unique(cells["H"]).astype(int):
            here = np.flatnonzero((cells["H"] == H) & self.possible(cells))
            if not here.size:
                continue
            part = {name: values[here] for name, values in cells.items()}
            program, parameters, initial = self.flows(part, draws, seed)
            each = observed(program, parameters, initial, quantity, t_end, threads)
            found[here] = quantity.of(each.reshape(here.size, -1))
        return found

    def flows(self, cells: Cells, draws: int, seed: int) -> tuple[Program, Cells, Cells]:
        """What is integrated in cells of one number of heads, one after the other, the draws of each together."""
        H = int(cells["H"][0])
        u, a = self.starts(cells, H, draws, seed)
        numbers = [""] if H == 1 else range(1, H + 1)
        initial = {f"u{h}": u[:, :, k].ravel() for k, h in enumerate(numbers)}
        initial |= {f"a{h}": a[:, :, k].ravel() for k, h in enumerate(numbers)}
        parameters = {name: np.repeat(cells[name], u.shape[1]) for name in ("V", "L", "eta_W", "eta_A")}
        heads = ("", ()) if H == 1 else ("_heads", (H,))
        return made(f"derivations.reductions:copying{heads[0]}", *heads[1]), parameters, initial

    def theorem(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector | None:
        from dynamics.problems.closed_forms import branch_odds, evaluated, unstable_coordinate

        odds = quantity.kind == "learnt" and quantity.observable == "alpha" and "sigma_W" in cells
        law = quantity.kind != "value" and quantity.observable == "p_t"
        if not odds and not law:
            return None
        found = np.full(cells["V"].size, np.nan)
        holds = self.possible(cells) & (odds | (cells["H"] == 1))
        here = np.flatnonzero(holds & (quantity.threshold * cells["V"] > 1))  # above chance
        part = {name: values[here] for name, values in cells.items()}
        if odds:
            found[here] = branch_odds(**part)
        elif here.size:
            sizes = {name: part[name][:, None] for name in ("V", "L", "eta_W", "eta_A")}
            u, a = (values[:, :, 0] for values in self.starts(part, 1, draws, seed))
            c = unstable_coordinate(u, a, **sizes)
            times = escape_times(c, sizes, quantity.threshold, t_end, threads)
            distance = np.hypot(u, a - evaluated("copying-linear", "rest", **sizes))
            times[distance > SMALL] = np.nan
            found[here] = quantity.of(times)
        return found

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
        each = [{name: values[k] for name, values in cells.items()} for k in range(cells["V"].size)]
        return np.array(
            [
                trained(cell, quantity, t_end, draws, seed, threads, descent) if fits else np.nan
                for cell, fits in zip(each, self.possible(cells), strict=True)
            ]
        )


RECORDS = 80
"""Records of a simulated run, from which the time of passing is interpolated."""


def trained(
    cell: Mapping[str, float],
    quantity: Quantity,
    t_end: float,
    draws: int,
    seed: int,
    threads: int | None,
    descent: Simulation,
) -> float:
    """The quantity over several runs of the full model in one cell; not a number if one diverges."""
    from scipy.special import softmax

    from dynamics.comparison.side_by_side import scalars
    from dynamics.problems.kinds.models import positional
    from dynamics.tasks import Copying
    from dynamics.train.simulate import simulate

    V, L, H = (int(cell[name]) for name in ("V", "L", "H"))
    each = (H,) if H > 1 else ()
    initial: dict[str, Any] = (
        {"W": np.tile(cell["u0"] * np.eye(V), (*each, 1, 1)), "P": np.tile(cell["a0"] * np.eye(L), (*each, 1, 1))}
        if "u0" in cell
        else {"W": float(cell["sigma_W"]), "P": float(cell["sigma_P"])}
    )
    try:
        run = simulate(
            positional(H), Copying(V, L), descent.lr, descent.batch, max(1, round(t_end / descent.lr)),
            range(seed, seed + draws), records=RECORDS, rates={"W": float(cell["eta_W"]), "P": float(cell["eta_A"])},
            initial=initial, threads=threads,
        )  # fmt: skip
    except IntegrationError:
        return np.nan
    # Attention to the right position, its mean over targets; the geometric mean of the prediction over targets.
    attention = np.trace(softmax(run.P.values, axis=-1), axis1=-2, axis2=-1) / L
    found = scalars(run) | {"p_t": np.exp(-run.loss), "alpha": run.P[..., 0, 0].copy(data=attention)}
    curves = found[quantity.observable]
    curves = (curves.max("head") if "head" in curves.dims else curves).transpose("seed", "time").values
    if quantity.kind == "value":
        return float(quantity.of(curves[None, :, -1])[0])
    return float(quantity.of(np.array([[first(run.time.values, curve, quantity) for curve in curves]]))[0])


def escape_times(c: Vector, sizes: Cells, p: float, t_end: float, threads: int | None) -> Vector:
    """The escape law in many cells at once: NEVER if it is after t_end.

    Near the saddle c grows at its rate, so one solution from very near, on either side, gives the times from all others
    on this side. (:func:`dynamics.problems.closed_forms.escape_time` takes a quadrature for each.)

    Parameters
    ----------
    c : ndarray, shape (cells, draws)
        Unstable coordinates.
    sizes : mapping
        V, L and rates, each of shape (cells, 1).
    p : float
        Of p_t, which escapes.
    """
    from dynamics.integrate.sweeps import Event, sweep
    from dynamics.problems.closed_forms import evaluated, growth_rate, unstable_coordinate

    program, times = made("derivations.reductions:copying"), np.full(c.shape, NEVER)
    for side in (1, -1):
        here = np.flatnonzero((np.sign(c) == side).any(axis=1))
        if not here.size:
            continue
        there = {name: values[here] for name, values in sizes.items()}
        a = evaluated("copying-linear", "rest", **there) + side * NEAR
        near = unstable_coordinate(0.0, a, **there)
        with np.errstate(divide="ignore", invalid="ignore"):
            wait = np.log(near / c[here]) / growth_rate(**there)  # not a number on the other side
        found = sweep(
            program, {name: values[:, 0] for name, values in there.items()}, {"u": 0.0, "a": a[:, 0]},
            np.maximum(t_end - np.nanmin(wait, axis=1), 0.0), observables=["p_t"],
            events={"p_t": Event("p_t", p, terminal=True)},
            rtol=1e-8, atol=1e-14, threads=threads,
        )  # fmt: skip
        passed = passed_at(found)[:, None] + wait
        passed[passed > t_end] = NEVER
        times[here] = np.where(np.sign(c[here]) == side, passed, times[here])
    return times


def normal(draws: int, dimension: int, seed: int) -> Vector:
    """Standard normal points, evenly spread (scrambled Sobol): the same for every cell, shape (draws, dimension)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(dimension, seed=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(max(draws, 2)))))
    return ndtri(np.clip(points[:draws], 1e-15, 1 - 1e-15))
