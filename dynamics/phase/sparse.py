"""Sparse Boolean functions as phase diagrams see them: input bits T against samples m."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynamics.phase.quantity import Cells, Quantity, Simulation
from dynamics.phase.system import System
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

AXES = {
    "T": "input bits T",
    "m": "samples m",
    "s": "bits that decide s",
    "noise": "share of labels that are flipped",
}


@dataclass(frozen=True)
class SparseFunction(System):
    """Learning a function of s bits among T from m samples.

    Theory says how likely the true bits lead in co-occurrence; the simulation is the flow on the samples, which is
    asked whether it has learnt the function exactly, or whether it has recovered the true bits.

    Attributes
    ----------
    kind : str
        and, or, majority, or parity, of which co-occurrence says nothing.
    uniform : bool
        Hold attention uniform: stage one alone, a linear model. Only simulated.
    """

    kind: str
    uniform: bool = False

    @property
    def name(self) -> str:
        return self.kind + "-uniform" * self.uniform

    @property
    def axes(self) -> Mapping[str, str]:
        return AXES

    @property
    def whole(self) -> frozenset[str]:
        return frozenset({"T", "m", "s"})

    @property
    def usual(self) -> Quantity:
        return Quantity("learnt", "exact")

    @property
    def equations(self) -> str:
        return ""

    def observables(self, simulated: bool) -> Sequence[str]:
        from dynamics.train.sparse import SUCCESSES

        return SUCCESSES if not self.uniform else SUCCESSES[:1]

    def complete(self, cells: Cells) -> Cells:
        size = next(iter(cells.values())).size
        for name in ("T", "m"):
            if name not in cells:
                raise InputError(f"{self.name}: no value for {name}; give one, or make it an axis")
        found = {"s": np.full(size, 3.0), "noise": np.zeros(size), **cells}
        for name in ("T", "m", "s"):
            bad = np.flatnonzero((found[name] < 1) | (found[name] != np.round(found[name])))
            if bad.size:
                raise InputError(f"{self.name}: {name} = {found[name][bad[0]]:g} must be a whole number from 1")
        if ((found["noise"] < 0) | (found["noise"] >= 0.5)).any():
            raise InputError(f"{self.name}: noise must be a share from 0 to below 0.5")
        return found

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        return np.asarray(cells["s"] <= cells["T"])

    def check(self, cells: Cells, quantity: Quantity, simulated: bool) -> None:
        from dynamics.problems.predictions.sparse import require_threshold
        from dynamics.tasks import SparseBoolean

        if quantity.kind != "learnt":
            raise InputError(
                f"{self.name}: the quantity is learnt, of the observable {' or '.join(self.observables(True))}; not"
                f" {quantity.kind}"
            )
        if self.uniform and not simulated:
            raise InputError(f"{self.name}: no theory with attention held uniform; simulate it")
        for s in np.unique(cells["s"][self.possible(cells)]) if simulated else ():
            require_threshold(SparseBoolean(self.kind, int(s), int(s)))

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector:
        from dynamics.problems.predictions.sparse import lead_probability
        from dynamics.tasks import SparseBoolean

        found = np.full(len(cells["T"]), np.nan)
        for k in np.flatnonzero(self.possible(cells)):
            T, m, s = (int(cells[name][k]) for name in ("T", "m", "s"))
            found[k] = lead_probability(SparseBoolean(self.kind, T, s, float(cells["noise"][k])), m)
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
        from dynamics.train.sparse import learning_probability

        found = np.full(len(cells["T"]), np.nan)
        for k in np.flatnonzero(self.possible(cells)):
            T, m, s = (int(cells[name][k]) for name in ("T", "m", "s"))
            noise = float(cells["noise"][k])
            found[k] = learning_probability(
                self.kind, s, T, m, draws, seed, self.uniform,
                success=quantity.observable, noise=noise, threads=threads,
            )  # fmt: skip
        return found
