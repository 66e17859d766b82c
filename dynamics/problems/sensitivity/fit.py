"""Numbers of a problem from measured curves, by Gauss-Newton with the tangents of the flow."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from dynamics.integrate.initial_value import integrate, times
from dynamics.problems.optimisers.optimised import Optimised, followed
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.problems.problem import Problem
from dynamics.problems.sensitivity.directions import Setting, direction_of, names_of, require_tangents
from dynamics.problems.sensitivity.sensitivity import sensitivities
from dynamics.problems.settings.rates import learning_rates
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.threads import limited
from dynamics.support.typing import Vector

__all__ = ["Fit", "fit"]


FAR = 1000.0
"""Times its start that a free number is moved at most: flows with rates far beyond are stiff, and take for ever."""
LONGER, STEPS = 10, 10_000
"""Times the steps of the first solution that another may take, or this many if that is more: beyond, the search is sent
back, as a rate of an optimiser that falls makes ever more steps of the same time."""
LARGEST = 1e75
"""Of a curve, about the fourth root of the largest number there is: the search takes powers of squares."""
PATIENCE = 3
"""How often it is sent back before that is an error."""
BELOW_ONE = ("momentum", "beta_1", "beta_2")
"""Numbers of an optimiser that are shares of what is kept."""


@dataclass(frozen=True)
class Fit:
    """Numbers that make a prediction follow measured curves.

    Attributes
    ----------
    values, errors : dict of str to float
        By name; standard errors, if residuals are independent and of one size. Infinite for numbers that the curves do
        not decide, or if there are as many as measured ones.
    residual : float
        Root mean square of measured minus predicted.
    evaluations : int
        Solutions that were taken.
    start : dict of str to float
        What the numbers were before.
    """

    values: dict[str, float]
    errors: dict[str, float]
    residual: float
    evaluations: int
    start: dict[str, float] = field(default_factory=dict)
    _fitted: tuple[Setting, tuple[str, ...], dict[str, Any]] | None = field(default=None, repr=False, compare=False)

    def curves(self, t: ArrayLike) -> dict[str, NDArray[Any]]:
        """The fitted curves, by name, at any times from 0 on."""
        assert self._fitted is not None
        setting, names, control = self._fitted
        return predicted(setting, times(np.asarray(t, dtype=float)), names, control)


def fit(
    problem: Problem, t: ArrayLike, curves: Mapping[str, ArrayLike], free: str | Sequence[str], *,
    initial: Mapping[str, ArrayLike | float] | None = None, rates: Mapping[str, float] | None = None, seed: int = 0,
    optimizer: Optimizer | str | None = None, lr: float | None = None, batch: int | None = None, schedule: Any = None,
    rtol: float = 1e-8, atol: float = 1e-11, method: str | None = None,
) -> Fit:  # fmt: skip
    """Fit some numbers of a problem to measured curves by least squares.

    Parameters
    ----------
    problem : Problem
    t : array_like, shape (times,)
        Of the curves.
    curves : mapping of str to array_like, shape (times, ...)
        Of the loss, or of states as they are.
    free : str or sequence of str
        What is fitted, from its value now: as ``sensitivity`` of :func:`dynamics.solve`, but for counts. All are
        positive, and are moved in their logarithms.
    initial, rates, seed, optimizer, lr, batch, schedule, rtol, atol, method
        As for :func:`dynamics.solve`.


    Raises
    ------
    InputError
        Unknown curves, curves of another shape or with numbers that are not finite, fewer of them than free numbers, a
        free number that is not positive, or one that comes a thousandfold from its start.
    IntegrationError
        No solution with the numbers that the search came to, or none in ten times the steps of the first; the message
        names them.

    Examples
    --------
    >>> from dynamics import copying, solve
    >>> task, start = copying(vocab=6, length=4), {"u": 0.1}
    >>> measured = solve(task, [0, 30, 60, 90, 120], initial=start, rates={"W": 1.7})
    >>> found = fit(task, measured.time, {"loss": measured.loss}, ["rate W"], initial=start)
    >>> round(found.values["rate W"], 3)
    1.7
    """
    chosen, _, lr = followed(problem, optimizer, lr, batch, schedule)
    wanted = times(np.asarray(t, dtype=float))
    rates_of = learning_rates(tuple(chosen.rates), rates, chosen.described)
    start = Setting.of(chosen, rates_of, initial, seed, "free", lr)
    names, measured = names_of(free, "free"), {}
    if not names or not curves:
        raise InputError("a fit needs a curve and a free number, such as curves={'loss': ...}, free=['rate W']")
    shapes = {name: (len(wanted), *chosen.shapes[name]) for name in chosen.program.state_names if name in chosen.shapes}
    shapes |= {} if chosen.loss is None else {chosen.shown_loss: (len(wanted),)}
    for name, curve in curves.items():
        if name not in shapes:
            raise InputError(f"curve {name!r}: there are {', '.join(shapes)}")
        try:
            values = np.asarray(curve, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"curve {name} must be numbers") from None
        if values.shape != shapes[name]:
            raise InputError(f"curve {name} must have the shape {shapes[name]}, not {values.shape}")
        if not np.isfinite(values).all():
            at_fault = np.argwhere(~np.isfinite(values))[0]
            when = f"at time {wanted[at_fault[0]]:g}"
            raise InputError(f"curve {name} is not finite {when} ({values[tuple(at_fault)]}); leave that time out")
        if values.size and np.abs(values).max() > LARGEST:
            at_fault = np.argwhere(np.abs(values) > LARGEST)[0]
            raise InputError(
                f"curve {name} is {values[tuple(at_fault)]:g} at time {wanted[at_fault[0]]:g}, and least squares are of"
                f" numbers up to {LARGEST:g}; leave that time out, or take another unit"
            )
        measured[name] = values
    first = np.array([start.value(name) for name in names])
    if not (first > 0).all():
        raise InputError(f"{names[int(np.argmin(first))]} is not positive, and only positive numbers are fitted")
    for name in names:
        direction_of(start, name)  # or says why there is none
        if name == "batch" and isinstance(chosen, Optimised):
            raise InputError("free 'batch' is a whole number of examples, which is not fitted; leave it out")
    control: dict[str, Any] = {"rtol": rtol, "atol": atol, "method": method or chosen.tolerances.method}
    require_tangents(chosen, ("joint",), control["method"], "a fit")
    target = np.concatenate([values.ravel() for values in measured.values()])
    if target.size < len(names):
        raise InputError(f"{target.size} measured do not decide {len(names)} free numbers; give more, or free fewer")
    search = Search(start, names, wanted, measured, control)
    logs, far = np.log(first), np.log(FAR)
    most = np.where([name in BELOW_ONE for name in names], -np.finfo(float).eps, np.inf)
    try:
        with limited(None, sys.maxsize if chosen.parallel else 0, blas=False):
            solved = least_squares(
                search.residual, logs, jac=search.jacobian, bounds=(logs - far, np.minimum(logs + far, most)),
                xtol=rtol, ftol=1e-12, gtol=1e-12,
            )  # fmt: skip
    except RanAway as away:
        found = away.value
        raise InputError(
            f"{away.name} went to {found:.3g}, {FAR:g} times from where it started: these curves are not of this model,"
            f" or do not decide it; start nearer, or leave {away.name} out"
        ) from None
    values = np.exp(solved.x)
    spread = deviations(solved.jac, solved.fun) * values
    return Fit(
        dict(zip(names, map(float, values), strict=True)), dict(zip(names, map(float, spread), strict=True)),
        float(np.sqrt(np.mean(solved.fun**2))), search.taken, dict(zip(names, map(float, first), strict=True)),
        (search.at(solved.x), tuple(measured), control),
    )  # fmt: skip


class RanAway(Exception):
    """A number that the search has brought to the end of where it may go."""

    def __init__(self, name: str, value: float) -> None:
        super().__init__(name)
        self.name, self.value = name, value


class Search:
    """Residuals and their derivatives by the logarithms of free numbers.

    Parameters
    ----------
    start : Setting
        That the search begins at.
    names : sequence of str
        Of the free numbers.
    tau : ndarray, shape (times,)
    measured : mapping of str to ndarray
        Curves, by name.
    control : mapping
        Of the integration.
    """

    def __init__(
        self, start: Setting, names: Sequence[str], tau: Vector, measured: Mapping[str, NDArray[Any]],
        control: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.start, self.names, self.tau, self.measured = start, names, tau, measured
        self.control = dict(control)
        self.target = np.concatenate([values.ravel() for values in measured.values()])
        self.first = np.log([start.value(name) for name in names])
        self.taken = self.failed = 0

    def at(self, logs: Vector) -> Setting:
        """The setting with other numbers."""
        found = self.start
        for name, value in zip(self.names, np.exp(logs), strict=True):
            found = found.with_value(name, float(value))
        return found

    def residual(self, logs: Vector) -> Vector:
        """Predicted minus measured; NaN, which sends the search back, where there is no solution."""
        first = not self.taken
        self.taken += 1
        try:
            with told_where(self.names, logs):
                found, steps = solved_at(self.at(logs), self.tau, tuple(self.measured), self.control)
        except (IntegrationError, InputError):
            self.failed += 1
            if first or self.failed > PATIENCE:
                raise
            return np.full(self.target.size, np.nan)
        if first:
            self.control["max_steps"] = max(LONGER * steps, STEPS)
        return np.concatenate([found[name].ravel() for name in self.measured]) - self.target

    def jacobian(self, logs: Vector) -> NDArray[np.float64]:
        """Derivatives of the residuals, at a place that the search has accepted.

        Raises
        ------
        RanAway
            If that is as far as a number may go.
        """
        for name, value, moved in zip(self.names, np.exp(logs), np.abs(logs - self.first), strict=True):
            if moved > 0.99 * np.log(FAR):
                raise RanAway(name, float(value))
        self.taken += len(self.names)
        setting = self.at(logs)
        with told_where(self.names, logs):
            found, _ = sensitivities(setting, self.names, self.tau, setting.problem.clock(self.tau), **self.control)
        own = {setting.problem.shown_loss: setting.problem.loss}
        parts = [found[own.get(name) or name].reshape(len(self.names), -1) for name in self.measured]
        return (np.concatenate(parts, axis=1) * np.exp(logs)[:, None]).T


@contextmanager
def told_where(names: Sequence[str], logs: Vector) -> Iterator[None]:
    """Where the search was when an integration failed."""
    try:
        yield
    except IntegrationError as error:
        there = ", ".join(f"{name} = {value:.3g}" for name, value in zip(names, np.exp(logs), strict=True))
        raise IntegrationError(f"the fit came to {there}, and there {error}") from None


def deviations(jacobian: NDArray[np.float64], residuals: Vector) -> Vector:
    """Standard deviations of numbers that least squares have found; infinite where the data do not decide.

    Examples
    --------
    >>> deviations(np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([1.0, -1.0, 0.0])).round(3).tolist()
    [0.816, inf]
    """
    points, count = jacobian.shape
    if points == count:
        return np.full(count, np.inf)
    _, sizes, rows = np.linalg.svd(jacobian, full_matrices=False)
    decided = sizes > max(jacobian.shape) * np.finfo(float).eps * sizes.max()
    variance = float(residuals @ residuals) / (points - count)
    found = np.sqrt(variance * ((rows[decided] / sizes[decided, None]) ** 2).sum(axis=0))
    found[np.abs(rows[~decided]).max(axis=0, initial=0.0) > np.sqrt(np.finfo(float).eps)] = np.inf
    return found


def predicted(
    setting: Setting, tau: Vector, names: Sequence[str], control: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """The curves of a setting, by name."""
    return solved_at(setting, tau, names, control)[0]


def solved_at(
    setting: Setting, tau: Vector, names: Sequence[str], control: Mapping[str, Any]
) -> tuple[dict[str, NDArray[Any]], int]:
    """The curves of a setting, by name, and the steps that they took."""
    problem = setting.problem
    flow, observe = problem.bind(setting.rates, setting.lr)
    ticks, kept = problem.clock(tau), []
    reached = integrate(
        flow, problem.begun(setting.y0, setting.rates), (0.0, float(ticks[-1])), at=ticks,
        save=lambda _, y: kept.append(y.copy()), **control,
    )  # fmt: skip
    found = {}
    for name in names:
        if name in problem.program.state_names:
            found[name] = np.array([flow.states(y)[name] for y in kept])
        else:
            found[name] = np.array([observe.evaluate(y)[problem.loss or name] for y in kept])
    return found, reached.statistics.steps
