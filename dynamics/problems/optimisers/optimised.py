"""A problem under an optimiser: its states with their averages, on the clock of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.gradient_flow.modified import modified
from derivations.gradient_flow.optimised import optimised, require_gradient
from derivations.program import Program, ProgramError, name_of
from dynamics.problems.optimisers.optimizer import Optimizer, optimizer_of
from dynamics.problems.problem import Problem, Tolerances, Variable
from dynamics.problems.settings.keep import Keep
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["Optimised", "flow_under", "followed", "require_slopes", "under"]

AFFORDABLE = 4096
"""Numbers of a state up to which an array of its size for every example is no matter."""


@dataclass(frozen=True, eq=False)
class Optimised(Problem):
    """The flow of an optimiser on a problem; its time is steps.

    Attributes
    ----------
    inner : Problem
        With a gradient flow.
    optimizer : Optimizer

    Examples
    --------
    >>> from dynamics import CoOccurrence, Closure
    >>> lexicon = Closure(CoOccurrence.from_counts([[8, 1], [1, 8]]))
    >>> adam = Optimised(lexicon, Optimizer("adam", lr=0.01))
    >>> adam.name, list(adam.shapes)
    ('joint-adam', ['W', 'A', 'W_mean', 'W_root', 'A_mean', 'A_root', 'steps'])
    >>> adam.clock([1.0])  # tau = lr x steps
    array([100.])
    """

    inner: Problem
    optimizer: Optimizer

    def __post_init__(self) -> None:
        _ = self.program  # complains

    @cached_property
    def by_terms(self) -> bool:
        """Whether second moments are by terms of sums: arrays of the size of a state for every example are too much."""
        return max(math.prod(shape) for shape in self.inner.shapes.values()) > AFFORDABLE

    @cached_property
    def program(self) -> Program:
        return flow_under(self.inner.program, self.optimizer, self.by_terms)

    @property
    def tolerances(self) -> Tolerances:  # type: ignore[override]
        return self.inner.tolerances

    @property
    def is_own(self) -> bool:
        return self.inner.is_own

    @property
    def arrays(self) -> Mapping[str, Any]:
        return {**self.inner.arrays, **self.optimizer.schedule.arrays}

    @property
    def sizes(self) -> Mapping[str, int]:
        return {**self.inner.sizes, **self.optimizer.schedule.sizes}

    @property
    def parameters(self) -> Mapping[str, float]:
        given, known = self.optimizer, {name_of(p) for p in self.program.parameters}
        own = {
            **given.numbers, **given.schedule.numbers, "lr": given.lr, "decay": given.shrinks,
            "batch": float(given.batch or 1),
        }  # fmt: skip
        return {**self.inner.parameters, **{name: value for name, value in own.items() if name in known}}

    @property
    def labels(self) -> Mapping[str, NDArray[Any]]:
        return self.inner.labels

    @property
    def described(self) -> str:
        return self.inner.described

    @property
    def attrs(self) -> Mapping[str, Any]:
        noisy = self.optimizer.batch is not None
        return {
            **self.inner.attrs, **self.optimizer.attrs, "form": self.optimizer.followed,
            **({"batch": self.optimizer.batch} if noisy else {}),
            **({"moments": "by terms" if self.by_terms else "by example"} if self.program.moments else {}),
        }  # fmt: skip

    @property
    def rates(self) -> Mapping[str, str]:
        return self.inner.rates

    @property
    def parallel(self) -> bool:
        return self.inner.parallel

    @property
    def constants(self) -> Mapping[str, int]:
        return self.inner.constants

    @property
    def averages(self) -> dict[str, str]:
        """The state that each average is of."""
        own = self.inner.program.state_names
        return {
            name: next(state for state in sorted(own, key=len, reverse=True) if name.startswith(f"{state}_"))
            for name in self.program.starts
            if name not in own
        }

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        own = self.inner.dims
        clock = {self.program.clock: ()} if self.program.clock else {}
        return {**own, **{name: own[state] for name, state in self.averages.items()}, **clock}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        own = self.inner.shapes
        clock: dict[str, tuple[int, ...]] = {self.program.clock: ()} if self.program.clock else {}
        return {**own, **{name: own[state] for name, state in self.averages.items()}, **clock}

    @property
    def frequency(self) -> Mapping[str, Vector]:
        return self.inner.frequency

    @property
    def observed(self) -> tuple[str, ...]:
        return self.inner.observed

    @property
    def loss(self) -> str | None:
        return self.inner.loss

    def clock(self, tau: ArrayLike) -> Vector:
        """The steps at which the learning rates have added up to some times."""
        return self.optimizer.passed(np.asarray(tau, dtype=float))

    def initial(self, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0) -> Vector:
        """The states to start from; averages and the clock follow from them, once rates are known."""
        return self.inner.initial(values, seed)

    def begun(self, y: Vector, rates: Mapping[str, float]) -> Vector:
        """Packed states with averages as they are at first."""
        names = tuple(self.program.starts)
        kernel = self.kernel(tuple(self.program.starts[name] for name in names))
        bound = kernel.bind(self.arrays, self.all_numbers(rates))
        whole = np.zeros(bound.state_size)
        whole[: y.size] = y
        found, views = bound.evaluate(whole), bound.states(whole)
        for name in names:
            views[name][...] = found[self.program.starts[name]]
        return whole

    def variables(self, keep: Keep) -> tuple[Variable, ...]:
        return self.inner.variables(keep)


def flow_under(flow: Program, given: Optimizer, by_terms: bool = False) -> Program:
    """The flow of an optimiser on a program.

    Raises
    ------
    InputError
        It has no flow that the optimiser could take.
    """
    try:
        if given.followed == "modified":
            return modified(flow, given.name, given.decays, given.schedule.shape, bool(given.schedule.warm_up))
        return optimised(
            flow, given.name, given.followed, given.batch is not None, given.decays, given.schedule.shape,
            bool(given.schedule.warm_up), given.remembered, by_terms,
        )  # fmt: skip
    except ProgramError as error:
        raise InputError(str(error)) from None


def require_slopes(problem: Problem, optimizer: Optimizer) -> None:
    """Raise InputError if steps of an optimiser cannot be taken on a problem."""
    try:
        require_gradient(problem.program, optimizer.rule, optimizer.decays)
    except ProgramError as error:
        raise InputError(str(error)) from None


def under(problem: Problem, optimizer: Optimizer | None) -> Problem:
    """A problem under an optimiser; as it is without one."""
    return problem if optimizer is None else Optimised(problem, optimizer)


def followed(
    problem: Problem, optimizer: Optimizer | str | None, lr: float | None, batch: int | None, schedule: Any
) -> tuple[Problem, Optimizer | None, float | None]:
    """The problem whose flow is followed where steps are said as for :func:`dynamics.solve`.

    Returns
    -------
    problem : Problem
        Under the optimiser; without one, at a learning rate, with the modified flow of descent.
    optimizer : Optimizer or None
    lr : float or None
        Of the modified flow.

    Raises
    ------
    InputError
        A batch without an optimiser, a rate that is not positive, or a problem that has no such flow.

    Examples
    --------
    >>> from dynamics import CoOccurrence, Closure
    >>> lexicon = Closure(CoOccurrence.from_counts([[8, 1], [1, 8]]))
    >>> followed(lexicon, "adam", 0.1, 8, None)[0].name, followed(lexicon, None, None, None, None)[0] is lexicon
    ('joint-adam', True)
    """
    stepping = optimizer_of(optimizer, lr, batch, schedule)
    if stepping is not None:
        return Optimised(problem, stepping), stepping, None
    if batch is not None:
        raise InputError("batch is of an optimizer; name one, optimizer='adam' for example, or leave it out")
    if lr is None:
        return problem, None, None
    if not (np.isfinite(lr) and lr > 0):
        raise InputError(f"lr = {lr} is not a positive number; leave it out for the gradient flow")
    return problem.modified(), None, float(lr)
