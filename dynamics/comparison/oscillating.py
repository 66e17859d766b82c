"""Descent past the edge of stability: its mean, and how far it oscillates about it, as a flow."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from derivations.gradient_flow.tangents import linearised
from derivations.program import ProgramError, name_of
from dynamics.integrate.initial_value import times
from dynamics.lowering import lower
from dynamics.problems.kinds.closure import Closure
from dynamics.problems.problem import Problem
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solve import as_problem
from dynamics.support import trajectory
from dynamics.support.errors import InputError, IntegrationError, StabilityWarning
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

    from derivations.program import Program
    from dynamics.counts.cooccurrence import CoOccurrence
    from dynamics.problems.kinds.models import Model

__all__ = ["central_flow"]

PARTS = 8
"""Parts of a step of descent in which the flow is taken where it oscillates."""
CALM = 1.4
"""lr times curvature up to which an oscillation dies within some steps, and a step of descent is one of the flow."""
SMALL = 1e-12
"""Share of the loss that the oscillation has, below which it moves nothing."""
MOST, CLOSE = 30, 1e-3
"""Products with the Hessian for its first eigenvector, and the residual, relative to the eigenvalue, that ends them."""
NEARBY = 1e-4
"""How far, relative to a state, third derivatives look."""
LIMIT = 2.0
"""lr times curvature beyond which oscillations of descent grow."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """Slopes and curvature of a gradient flow, compiled.

    Parameters
    ----------
    problem : Problem
    rates : mapping of str to float
        By state.
    lr : float
        Of descent.
    """

    problem: Problem
    rates: Mapping[str, float]
    lr: float

    def __post_init__(self) -> None:
        problem, program = self.problem, self.problem.program
        assert problem.loss is not None
        try:
            moved = linearised(program, (), (problem.loss,))
        except ProgramError as error:
            raise InputError(str(error)) from None
        given = problem.all_numbers(self.rates)
        slopes = [moved.flow[moved.tangents[state]] for state in program.state_names]

        def bound(outputs: list[str]) -> Any:
            kernel = lower(moved, outputs, parallel=problem.parallel, constants=problem.constants)
            return kernel.bind(problem.arrays, given)

        object.__setattr__(self, "_slopes", bound(slopes))
        object.__setattr__(self, "_along", bound([moved.tangents[problem.loss]]))
        object.__setattr__(self, "_flow", problem.bind(self.rates)[0])

    def downhill(self, y: Vector) -> Vector:
        """The gradient flow: minus rates times the gradient."""
        out = np.empty_like(y)
        self._flow(np.ascontiguousarray(y), out)  # type: ignore[attr-defined]
        return out

    def slope(self, y: Vector) -> Vector:
        """The flow of descent to second order in its rate."""
        out = self.downhill(y)
        return out + self.lr / 2 * self.curve(y, out)

    def curve(self, y: Vector, v: Vector) -> Vector:
        """The Hessian times rates, times a direction."""
        out = np.empty_like(y)
        self._slopes(np.concatenate([y, v]), out)  # type: ignore[attr-defined]
        return -out

    def along(self, y: Vector, v: Vector) -> float:
        """The derivative of the loss in a direction."""
        out = np.empty(1)
        self._along(np.concatenate([y, v]), out)  # type: ignore[attr-defined]
        return float(out[0])

    def nearby(self, y: Vector, v: Vector) -> float:
        """A step in a direction that is small for the state."""
        return NEARBY * (1 + float(np.abs(y).max())) / max(float(np.abs(v).max()), 1e-300)

    def top(self, y: Vector, start: Vector) -> tuple[float, float, Vector]:
        """The two largest eigenvalues that are found, and the first eigenvector, of length 1 for the rates.

        By Arnoldi's method, as the Hessian times rates is symmetric in another scalar product only, in which the length
        of ``u`` is that of ``u Hessian u / eigenvalue``. Not numbers, where the flow has run away.
        """
        basis, upper = [start / np.linalg.norm(start)], np.zeros((MOST + 1, MOST))
        values, vectors = np.zeros(1), np.ones((1, 1))
        for k in range(min(MOST, y.size)):
            w = self.curve(y, basis[k])
            for _ in range(2):
                for i, b in enumerate(basis):
                    part = float(b @ w)
                    upper[i, k] += part
                    w = w - part * b
            rest = float(np.linalg.norm(w))
            if not np.isfinite([rest, *upper[: k + 1, k]]).all():
                return np.nan, np.nan, basis[0]
            values, vectors = np.linalg.eig(upper[: k + 1, : k + 1])
            order = np.argsort(-values.real)
            values, vectors = values.real[order], vectors.real[:, order]
            if rest * abs(vectors[-1, 0]) <= CLOSE * abs(values[0]) or rest <= 1e-12 * abs(values).max():
                break
            upper[k + 1, k] = rest
            basis.append(w / rest)
        u = np.sum([c * b for c, b in zip(vectors[:, 0], basis, strict=False)], axis=0)
        value, second = float(values[0]), float(values[1]) if values.size > 1 else -np.inf
        if not value > 0:
            return value, second, u
        h = self.nearby(y, u)
        bend = (self.along(y + h * u, u) - self.along(y - h * u, u)) / (2 * h)
        return value, second, u / np.sqrt(max(bend / value, 1e-300))

    def begun(self, y: Vector) -> tuple[float, float, Vector]:
        """The same where nothing is known yet.

        Of several directions of the largest curvature, descent oscillates in the one that it is displaced in: the part
        of the gradient there, which is all that the products of the gradient have of them. It may have nothing of the
        first eigenvector, at a bottom or a saddle: that is seen from a start that is drawn.
        """
        drawn = self.top(y, np.random.default_rng(0).standard_normal(y.size))
        slope = self.downhill(y)
        size = float(np.abs(slope).max())
        if not (np.isfinite(size) and size > 0):
            return drawn
        value, second, u = self.top(y, slope / size)
        return (value, max(second, drawn[1]), u) if value >= (1 - CLOSE) * drawn[0] > 0 else drawn

    def push(self, y: Vector, u: Vector) -> Vector:
        """Rates times the gradient of the eigenvalue of an eigenvector: third derivatives, by differences."""
        h = self.nearby(y, u)
        return (self.curve(y + h * u, u) - self.curve(y - h * u, u)) / (2 * h)


def central_flow(
    problem: Problem | CoOccurrence | Model | Program, t: ArrayLike, lr: float, *, data: Any = None,
    initial: Mapping[str, ArrayLike | float] | None = None, rates: Mapping[str, float] | None = None, seed: int = 0,
    parts: int = PARTS,
) -> xr.Dataset:  # fmt: skip
    """Follow full-batch descent past the edge of stability: its mean, and its oscillation in one unstable direction.

    Where lr times the largest curvature S passes 2, descent oscillates along the first eigenvector of the Hessian, of
    the mean square sigma^2, and its mean leaves the gradient flow::

        d w/d tau = -rates (grad L + sigma^2/2 grad S),   d log sigma^2/d tau = log (1 - lr S)^2 / lr

    The first is the central flow of Cohen et al. (arXiv 2410.24206), which takes the sigma^2 that keeps S at 2/lr. Here
    it is a state that grows and decays as descent has it, from the distance to the bottom of the valley at the start:
    so descent may begin, and go, beyond the limit. L is that of descent to second order in lr, as ``lr`` of
    :func:`dynamics.solve` has it. Each of ``parts`` parts of a step takes two gradients and some ten products with the
    Hessian where descent oscillates, a whole step four and some five where it does not. It is off to second order in
    how far beyond 2/lr it begins or comes.

    Parameters
    ----------
    problem : Problem, CoOccurrence, Model or Program
        With a loss that its flow descends.
    t : array_like, shape (times,)
        Times to keep, tau = lr x steps, rising from 0 on.
    lr : float
        The learning rate of descent.
    data, initial, rates, seed
        As for :func:`dynamics.solve`.
    parts : int
        Of a step of descent, in which the flow is taken where it oscillates.

    Returns
    -------
    xarray.Dataset
        The states (time, ...), as the mean of two steps of descent has them, and ``loss`` there; ``loss_mean``, that of
        descent, ``L + sigma^2 S/2``; ``curvature``, S, and ``oscillation``, sigma, by rates (time).

    Raises
    ------
    InputError
        A problem without a loss, with sparse counts or that is not differentiable; times or numbers that are of no use.
    IntegrationError
        A state, the loss or the curvature is not finite any more; the message names the time.

    Warns
    -----
    StabilityWarning
        A second direction is unstable, which is not followed.

    Examples
    --------
    >>> from dynamics.program_file import model, scalars
    >>> a, b = scalars("a b")
    >>> valley = model("Valley", states=(a, b), loss=(a * b - 1) ** 2 / 2)
    >>> found = central_flow(valley, [0, 50.0], 0.2, initial={"a": 4.0, "b": 0.24})  # a curvature of 16, beyond 2/lr
    >>> float(found.curvature[0]) > 10 > float(found.curvature[-1]) > 2
    True
    """
    wanted = times(t)
    if isinstance(lr, bool) or not isinstance(lr, numbers.Real) or not (np.isfinite(lr) and lr > 0):
        raise InputError(f"lr = {lr!r} is not a positive number; it is that of the descent that is followed")
    if isinstance(parts, bool) or not isinstance(parts, int | np.integer) or parts < 1:
        raise InputError(f"parts = {parts!r} must be a whole number from 1; 8 is usual")
    try:
        chosen = as_problem(problem, data, seed=seed)
    except InputError as error:
        if data is not None:
            raise
        raise InputError(f"{error}; to central_flow data are given by name, data=...") from None
    if chosen.loss is None:
        raise InputError(f"{chosen.name} has no loss, and descent needs one")
    if chosen.program.clock:
        raise InputError(f"{chosen.name} has a time of its own; the central flow is of a loss that stays")
    if isinstance(chosen, Closure) and chosen.sparse:
        raise InputError("the central flow is of dense states, and these counts are sparse: count fewer words")
    speeds = learning_rates(tuple(chosen.rates), rates, chosen.described)
    land, y = Landscape(chosen, speeds, float(lr)), chosen.initial(initial, seed).astype(float)
    with np.errstate(all="ignore"):  # a flow that runs away is told in words
        rest = (np.finfo(float).eps * (1 + float(np.abs(y).max()))) ** 2  # what rounding leaves of an oscillation
        curvature, second, u = land.begun(y)
        square = max((land.along(y, u) / curvature) ** 2, rest) if lr * curvature > 1 else rest  # else it does not turn
        observe, warned = chosen.bind(speeds)[1], False
        rows: dict[str, list[Any]] = {name: [] for name in ("state", "loss", "curvature", "square")}
        now = 0.0
        require_finite(now, lr, np.append(y, [curvature, square]))
        for then in wanted:
            while now < then:
                calm = lr * curvature < CALM and 0.5 * square * curvature <= SMALL
                step = min(lr if calm else lr / parts, float(then) - now)
                step = step if then - now - step > 1e-9 * lr else float(then) - now
                y = classical(land, y, step) if calm else pushed(land, y, step, square, u)
                growth = np.log(max((1 - lr * curvature) ** 2, rest)) / lr
                square = max(square * np.exp(min(step * growth, 50.0)), rest)
                now += step
                curvature, second, u = land.top(y, u)
                require_finite(now, lr, np.append(y, [curvature, square]))
            if lr * second > LIMIT and not warned:
                warned = True
                says = f"at tau = {now:.3g} a second direction is unstable, and the central flow has one"
                warnings.warn(StabilityWarning(says), stacklevel=2)
            for name, value in (("state", y), ("curvature", curvature), ("square", square)):
                rows[name].append(value)
            rows["loss"].append(float(observe.evaluate(np.ascontiguousarray(y))[chosen.loss]))
            require_finite(now, lr, rows["loss"][-1:])
    return dataset(chosen, wanted, float(lr), rows)


def require_finite(tau: float, lr: float, values: ArrayLike) -> None:
    """Raise IntegrationError where the flow has run away."""
    if not np.isfinite(values).all():
        raise IntegrationError(
            f"the central flow met a value that is not finite at tau = {tau:.6g}; give a smaller lr than {lr:g}, or"
            " more parts"
        )


def classical(land: Landscape, y: Vector, h: float) -> Vector:
    """A step of the gradient flow by the method of Runge and Kutta."""
    a = land.slope(y)
    b = land.slope(y + h / 2 * a)
    c = land.slope(y + h / 2 * b)
    return y + h / 6 * (a + 2 * b + 2 * c + land.slope(y + h * c))


def pushed(land: Landscape, y: Vector, h: float, square: float, u: Vector) -> Vector:
    """A short step of the gradient flow with what the oscillation adds to it."""
    aside = -square / 2 * land.push(y, u)
    half = y + h / 2 * (land.slope(y) + aside)
    return y + h * (land.slope(half) + aside)


def dataset(problem: Problem, wanted: Vector, lr: float, rows: Mapping[str, list[Any]]) -> xr.Dataset:
    """The rows with the problem's labels."""
    flow = problem.kernel(()).bind(problem.arrays, problem.all_numbers(dict.fromkeys(problem.rates, 1.0)))
    kept = [{name: np.array(view) for name, view in flow.states(y).items()} for y in rows["state"]]
    loss, curvature, square = (np.array(rows[name]) for name in ("loss", "curvature", "square"))
    unit = {"units": units} if (units := problem.program.units.get(problem.loss or "")) else {}
    found: dict[str, Any] = {}
    coordinates: dict[str, Any] = {
        "time": (("time",), wanted, {"long_name": "tau = learning rate x steps", "units": "1"}),
        "step": (("time",), wanted / lr, {"long_name": "steps"}),
    }
    for state in problem.program.states:
        name = name_of(state)
        dims = problem.dims.get(name, ())
        values = np.array([one[name] for one in kept])
        found[name] = (("time", *dims), values.reshape(len(wanted), *values.shape[1 : 1 + len(dims)]), {})
        coordinates |= {dim: ((dim,), problem.labels[dim]) for dim in dims if dim in problem.labels}
    found["loss"] = (("time",), loss, {"long_name": "loss at the mean of descent", **unit})
    found["loss_mean"] = (("time",), loss + square * curvature / 2, {"long_name": "mean loss of descent", **unit})
    found["curvature"] = (
        ("time",),
        curvature,
        {"long_name": "largest eigenvalue of the Hessian times rates", "units": "1"},
    )
    found["oscillation"] = (
        ("time",),
        np.sqrt(square),
        {"long_name": "root mean square of the oscillation", "units": "1"},
    )
    attrs = {"equation": problem.name, "title": "central flow", "lr": lr, **trajectory.provenance()}
    return trajectory.labelled(found, coordinates, attrs)
