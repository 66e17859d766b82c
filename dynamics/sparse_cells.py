"""Sparse Boolean functions as phase diagrams see them: input bits T against samples m."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynamics.errors import InputError

if TYPE_CHECKING:
    from dynamics.cells import Cells, Descent, Quantity, Vector

AXES = {
    "T": "input bits T",
    "m": "samples m",
    "s": "bits that decide s",
    "noise": "share of labels that are flipped",
}


@dataclass(frozen=True)
class SparseFunction:
    """Learning a function of s bits among T from m samples, exactly.

    Theory says how likely the true bits lead in co-occurrence; the simulation is the flow on the samples, which is
    asked whether it has learnt the function exactly.

    Attributes
    ----------
    kind : str
        and, or, majority, or parity, of which co-occurrence says nothing.
    """

    kind: str

    @property
    def name(self) -> str:
        return self.kind

    @property
    def axes(self) -> Mapping[str, str]:
        return AXES

    @property
    def whole(self) -> frozenset[str]:
        return frozenset({"T", "m", "s"})

    def observables(self, simulated: bool) -> Sequence[str]:
        return ("exact",)

    def complete(self, cells: Cells) -> Cells:
        size = next(iter(cells.values())).size
        for name in ("T", "m"):
            if name not in cells:
                raise InputError(f"{self.kind}: no value for {name}; give one, or make it an axis")
        found = {"s": np.full(size, 3.0), "noise": np.zeros(size), **cells}
        for name in ("T", "m", "s"):
            bad = np.flatnonzero((found[name] < 1) | (found[name] != np.round(found[name])))
            if bad.size:
                raise InputError(f"{self.kind}: {name} = {found[name][bad[0]]:g} must be a whole number from 1")
        if ((found["noise"] < 0) | (found["noise"] >= 0.5)).any():
            raise InputError(f"{self.kind}: noise must be a share from 0 to below 0.5")
        return found

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        return np.asarray(cells["s"] <= cells["T"])

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector:
        from dynamics.sparse import lead_probability
        from dynamics.tasks import SparseBoolean

        self._check(quantity)
        found = np.full(len(cells["T"]), np.nan)
        for k in np.flatnonzero(self.possible(cells)):
            T, m, s = (int(cells[name][k]) for name in ("T", "m", "s"))
            found[k] = lead_probability(SparseBoolean(self.kind, T, s, float(cells["noise"][k])), m)
        return found

    def theorem(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> None:
        return None

    def simulated(
        self,
        cells: Cells,
        quantity: Quantity,
        t_end: float,
        draws: int,
        seed: int,
        threads: int | None,
        descent: Descent,
    ) -> Vector:
        from dynamics.sparse import learning_probability

        self._check(quantity)
        found = np.full(len(cells["T"]), np.nan)
        for k in np.flatnonzero(self.possible(cells)):
            T, m, s = (int(cells[name][k]) for name in ("T", "m", "s"))
            noise = float(cells["noise"][k])
            share = learning_probability(self.kind, s, T, m, draws, seed, noise=noise, threads=threads)
            found[k] = float(share)
        return found

    def _check(self, quantity: Quantity) -> None:
        if quantity.kind != "learnt":
            raise InputError(f"{self.kind}: the quantity is learnt, of the observable exact; not {quantity.kind}")
