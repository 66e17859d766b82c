"""Systems as phase diagrams see them: what the axes are, and what theory and simulation find in a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program, name_of
from dynamics.phase.observe import observables_of, observed
from dynamics.phase.quantity import Cells, Quantity, Simulation
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector


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

    @property
    def usual(self) -> Quantity:
        """What is shown if nobody says what."""
        ...

    @property
    def equations(self) -> str:
        """What tells its equations apart from others of the same name, such as a file of before."""
        ...

    def observables(self, simulated: bool) -> Sequence[str]:
        """What there is to observe in a solution, or in a simulation; none if it cannot be simulated."""
        ...

    def complete(self, cells: Cells) -> Cells:
        """With defaults, and checked."""
        ...

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        """Which cells make sense."""
        ...

    def check(self, cells: Cells, quantity: Quantity, simulated: bool) -> None:
        """Refuse what it cannot do, before anything is written."""
        ...

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector:
        """By solving the reduced system in every cell."""
        ...

    def theorem(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector | None:
        """By a closed form, if there is one for this quantity; NaN in cells where it does not hold."""
        return None

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
        """By training the full model from several seeds in every cell."""
        ...


@dataclass(frozen=True)
class Scalars(System):
    """Any flow of scalars: its parameters, and its states at time 0 (``x0`` for a state x).

    Attributes
    ----------
    program : Program
    """

    program: Program

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def axes(self) -> Mapping[str, str]:
        names = [name_of(parameter) for parameter in self.program.parameters]
        return {name: name for name in names} | {f"{s}0": f"{s} at time 0" for s in self.program.state_names}

    @property
    def whole(self) -> frozenset[str]:
        return frozenset()

    @property
    def usual(self) -> Quantity:
        known = observables_of(self.program)
        return Quantity() if Quantity().observable in known else Quantity("value", known[0])

    @property
    def equations(self) -> str:
        return sha256("\n".join(map(str, (self.program.flow, *self.program.definitions))).encode()).hexdigest()

    def observables(self, simulated: bool) -> Sequence[str]:
        return () if simulated else observables_of(self.program)

    def complete(self, cells: Cells) -> Cells:
        rates = set(self.program.rates.values())
        missing = [name for name in self.axes if name not in cells and name not in rates]
        if missing:
            raise InputError(f"{self.name}: no value for {', '.join(missing)}; give one, or make it an axis")
        size = next(iter(cells.values())).size
        return {**{name: np.ones(size) for name in self.axes}, **cells}

    def possible(self, cells: Cells) -> NDArray[np.bool_]:
        return np.ones(next(iter(cells.values())).size, dtype=bool)

    def check(self, cells: Cells, quantity: Quantity, simulated: bool) -> None:
        pass

    def theory(
        self, cells: Cells, quantity: Quantity, t_end: float, draws: int, seed: int, threads: int | None
    ) -> Vector:
        return quantity.of(observed(*self.flows(cells, draws, seed), quantity, t_end, threads)[:, None])

    def flows(self, cells: Cells, draws: int, seed: int) -> tuple[Program, Cells, Cells]:
        """What is integrated in the cells: the flow, its parameters and its initial states."""
        parameters = {name_of(p): cells[name_of(p)] for p in self.program.parameters}
        return self.program, parameters, {state: cells[f"{state}0"] for state in self.program.state_names}

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
        raise InputError(f"{self.name} is a reduced system, which has no simulation")
