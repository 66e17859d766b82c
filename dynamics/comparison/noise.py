"""How far seeds scatter about the flow: the linear noise of minibatches, predicted without a run.

A step with a batch of B is ``theta + lr (f + xi)``, where xi has the covariance C/B of the flow of single examples.
About the flow, ``delta <- delta + lr J delta + lr xi``: the covariance of delta follows a matrix equation, whose
matrices are taken as they are at the middle of each span between two times, and whose steps within a span are done by
doubling. Of large systems an ensemble of driven tangents is taken instead of the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.gradient_flow.tangents import linearised
from dynamics.comparison.side_by_side import ORDER_PARAMETERS
from dynamics.integrate.initial_value import integrate, times
from dynamics.lowering import lower
from dynamics.problems.kinds.arrays import OnArrays
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.minibatches import InPart, in_part
from dynamics.problems.problem import Problem
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solve import as_problem
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector
from dynamics.tasks.examples import Examples
from dynamics.train.arguments import number, whole_number
from dynamics.train.source import REFERENCE, Source
from dynamics.train.streams import sequence

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["noise"]

DENSE = 300
"""Numbers of a state up to which the covariance is followed as a matrix."""
MEMBERS = 64
"""Driven tangents of larger ones."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Linear:
    """The linear noise about a flow.

    Attributes
    ----------
    problem : Problem
    rates : mapping of str to float
    lr, momentum : float
    batch : int
    examples : int
        Single examples that the covariance is taken from.
    seed : int
    along : ndarray, shape (sums, size)
        Weighted sums of the packed state whose spread is wanted as well.
    """

    problem: Problem
    rates: Mapping[str, float]
    lr: float
    momentum: float
    batch: int
    examples: int
    seed: int
    along: Matrix

    def tangents(self) -> Any:
        """The Jacobian times directions, with the slope of the loss along them: a function of state and direction."""
        problem = self.problem
        loss = problem.loss
        moved = linearised(problem.program, also=() if loss is None else (loss,))
        names = [moved.flow[moved.tangents[state]] for state in problem.program.state_names]
        outputs = [*names, *([moved.tangents[loss]] if loss is not None and loss in moved.tangents else [])]
        kernel = lower(moved, outputs, constants=problem.constants)
        bound = kernel.bind(problem.arrays, problem.all_numbers(self.rates))
        both, out = np.empty(bound.state_size), np.empty(bound.output_size)

        def apply(y: Vector, v: Vector) -> tuple[Vector, float]:
            both[: y.size], both[y.size :] = y, v
            bound(both, out)
            return out[: y.size].copy(), float(out[y.size :].sum())

        return apply

    def single(self) -> Any:
        """The flow of single examples at a state, less their mean: a function of the state, shape (examples, size)."""
        source = Source(self.problem, 1, True)
        random = np.random.default_rng(sequence(self.seed, 77))
        parameters = {**self.problem.all_numbers(self.rates), **source.parameters}
        kernel = self.problem.kernel(parallel=False)
        if source.fresh:
            draw = source.stream(self.seed, random)
            rows = [draw(k) for k in range(self.examples)]
        else:
            count = source.count
            chosen = np.arange(count) if count <= self.examples else random.choice(count, self.examples, replace=False)
            rows = [source.taken(chosen[k : k + 1]) for k in range(len(chosen))]
        bounds = [kernel.bind(row, parameters) for row in rows]

        def spread(y: Vector) -> Matrix:
            found = np.empty((len(bounds), y.size))
            for k, bound in enumerate(bounds):
                bound(y, found[k])
            return found - found.mean(axis=0)

        return spread

    def dense(self, states: list[Vector], steps: Vector) -> tuple[Matrix, Vector, Matrix]:
        """Standard deviations of all numbers of the state, of the loss, and of the sums, at every time."""
        apply, spread, n = self.tangents(), self.single(), states[0].size
        m = self.momentum
        covariance = np.zeros((2 * n, 2 * n))
        found, losses, sums = [np.zeros(n)], [0.0], [np.zeros(len(self.along))]
        for k in range(1, len(states)):
            y = states[k]
            middle = (states[k - 1] + y) / 2
            jacobian, _ = columns(apply, middle)
            single = spread(middle)
            drive = self.lr**2 / self.batch * single.T @ single / len(single)
            # theta <- theta + lr v, v <- m v + f: of delta and of lr times the velocity.
            step = np.block([[np.eye(n) + self.lr * jacobian, m * np.eye(n)], [self.lr * jacobian, m * np.eye(n)]])
            covariance = after(
                step, np.block([[drive, drive], [drive, drive]]), covariance, round(float(steps[k] - steps[k - 1]))
            )
            own = covariance[:n, :n]
            _, slope = columns(apply, y)
            found.append(np.sqrt(np.maximum(np.diag(own), 0.0)))
            losses.append(math.sqrt(max(float(slope @ own @ slope), 0.0)))
            sums.append(np.sqrt(np.maximum(np.einsum("si,ij,sj->s", self.along, own, self.along), 0.0)))
        return np.array(found), np.array(losses), np.array(sums)

    def ensemble(self, states: list[Vector], steps: Vector) -> tuple[Matrix, Vector, Matrix]:
        """The same, from tangents that are driven by the differences of batches from their mean."""
        apply, spread, n = self.tangents(), self.single(), states[0].size
        random = np.random.default_rng(sequence(self.seed, 78))
        members = np.zeros((MEMBERS, 2, n))
        found, losses, sums = [np.zeros(n)], [0.0], [np.zeros(len(self.along))]
        for k in range(1, len(states)):
            middle = (states[k - 1] + states[k]) / 2
            single, count = spread(middle), round(float(steps[k] - steps[k - 1]))
            parts = max(1, min(count, 8))
            for part in np.array_split(np.arange(count), parts):
                kicks = random.standard_normal((MEMBERS, len(single))) @ single / math.sqrt(len(single) * self.batch)
                for member, kick in zip(members, kicks, strict=True):
                    self.advance(member, middle, apply, len(part), kick * self.lr / math.sqrt(len(part)))
            ends = members[:, 0]
            found.append(np.sqrt((ends**2).mean(axis=0)))
            slopes = [apply(states[k], end)[1] for end in ends]
            losses.append(float(np.sqrt(np.mean(np.square(slopes)))))
            sums.append(np.sqrt(((ends @ self.along.T) ** 2).mean(axis=0)))
        return np.array(found), np.array(losses), np.array(sums)

    def advance(self, member: Matrix, y: Vector, apply: Any, count: int, kick: Vector) -> None:
        """Some steps of a tangent with its velocity, each with a kick."""
        for _ in range(count):
            member[1] = self.momentum * member[1] + self.lr * apply(y, member[0])[0] + kick
            member[0] += member[1]


def order_parameters(problem: Problem) -> dict[str, Vector]:
    """Mean diagonal less mean off-diagonal of square values and attention, as sums over the packed state."""
    found: dict[str, Vector] = {}
    roles, shapes, labels = problem.program.roles, problem.shapes, problem.labels
    for role, parameter in ORDER_PARAMETERS.items():
        for name, shape in shapes.items():
            if (
                roles.get(name) != role
                or parameter in {*found, *shapes}
                or len(shape) != 2
                or shape[0] != shape[1]
                or shape[0] < 2
            ):
                continue
            row, column = (labels.get(dim, np.arange(shape[0])) for dim in problem.dims[name])
            if list(row) != list(column):
                continue
            same = np.eye(shape[0])
            weights = same / same.sum() - (1 - same) / (1 - same).sum()
            parts = [weights.ravel() if one == name else np.zeros(math.prod(s)) for one, s in shapes.items()]
            found[parameter] = np.concatenate(parts)
    return found


def columns(apply: Any, y: Vector) -> tuple[Matrix, Vector]:
    """The whole Jacobian, and the slope of the loss."""
    parts = [apply(y, e) for e in np.eye(y.size)]
    return np.array([column for column, _ in parts]).T, np.array([slope for _, slope in parts])


def after(step: Matrix, drive: Matrix, before: Matrix, count: int) -> Matrix:
    """A covariance after some steps ``S <- A S A' + Q``, by doubling.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> float(after(0.5 * one, one, 4 * one, 3)[0, 0])  # ((4/4 + 1)/4 + 1)/4 + 1
    1.375
    """
    power, added = np.eye(len(step)), np.zeros_like(drive)
    square, double = step, drive
    while count:
        if count & 1:
            added = square @ added @ square.T + double
            power = square @ power
        double = square @ double @ square.T + double
        square = square @ square
        count >>= 1
    return power @ before @ power.T + added


def in_batches(
    problem: Problem, lr: float, momentum: float, batch: int, population: int, seed: int = 0
) -> Exact | InPart:
    """A problem as the mean over examples of which batches are made; of a task so many are drawn to stand for all.

    Raises
    ------
    InputError
        A problem without examples, or numbers out of range.
    """
    number("lr", lr, lambda value: value > 0, "above 0")
    number("momentum", momentum, lambda value: 0 <= value < 1, "from 0 to below 1")
    whole_number("batch", batch)
    chosen = in_part(problem) if isinstance(problem, OnArrays) else problem
    if not isinstance(chosen, Exact | InPart):
        raise InputError(f"{chosen.name} has no examples, of which batches are made")
    if isinstance(chosen, Exact) and not isinstance(chosen.data, Examples):
        chosen = replace(chosen, seed=seed, population=population)
    return chosen


def noise(
    problem: Any, data: Any = None, *, lr: float, batch: int, t: ArrayLike, momentum: float = 0.0,
    initial: Mapping[str, ArrayLike | float] | None = None, rates: Mapping[str, float] | None = None, seed: int = 0,
    examples: int = 512, values: Mapping[str, float] | None = None, method: str | None = None,
) -> xr.Dataset:  # fmt: skip
    """How far runs of stochastic descent from one start scatter, to first order in lr/batch.

    Parameters
    ----------
    problem, data : Problem, Model or Program, and its data
        As for :func:`dynamics.simulate`.
    lr, batch, momentum
        Of the steps; batches are drawn anew (with replacement, of given examples).
    t : array_like, shape (times,)
        Times tau = lr steps, from 0 on; the noise is taken as it is in the middle between two of them.
    initial, rates, seed, values, method
        As for :func:`dynamics.solve`.
    examples : int
        Single examples that the covariance of gradients is taken from, at most.

    Returns
    -------
    xarray.Dataset
        Over time: every state and the loss along the flow, and their standard deviations over seeds, ``W_spread`` and
        ``loss_spread``; so of the order parameters ``u`` and ``a`` that :func:`dynamics.compare` has.

    Raises
    ------
    InputError
        A problem without examples, or numbers out of range.

    References
    ----------
    N. G. van Kampen, Stochastic Processes in Physics and Chemistry, chapter X; of descent: Mandt, Hoffman, Blei,
    arXiv 1704.04289.

    Examples
    --------
    >>> from dynamics.problems.kinds.models import keyword
    >>> sentences = Examples.from_rows([[0, 2], [1, 2], [0, 1]], [0, 1, 1], inputs=3, outputs=2)
    >>> found = noise(keyword(), sentences, lr=0.1, batch=2, t=[0, 1, 10])
    >>> float(found.loss_spread[0]), bool(found.W_spread[-1].max() > 0)
    (0.0, True)
    """
    import xarray as xr

    given = as_problem(problem, data, values=values)
    chosen = in_batches(given, lr, momentum, batch, max(REFERENCE, examples))
    speeds = learning_rates(tuple(chosen.rates), rates, chosen.described)
    wanted = times(t)
    flow, _ = chosen.bind(speeds)
    kept: list[Vector] = []
    usual = chosen.tolerances
    pace = 1 / (1 - momentum)
    integrate(
        flow, chosen.initial(initial, seed), (0.0, float(wanted[-1]) * pace), at=wanted * pace,
        save=lambda _, y: kept.append(y.copy()), rtol=usual.rtol, atol=usual.atol, method=method or usual.method,
    )  # fmt: skip
    parameters = order_parameters(chosen)
    along = np.array([*parameters.values()]).reshape(-1, kept[0].size)
    linear = Linear(chosen, speeds, lr, momentum, batch, examples, seed, along)
    follow = linear.dense if kept[0].size <= DENSE else linear.ensemble
    spread, of_loss, of_sums = follow(kept, wanted / lr)
    observe = chosen.kernel(chosen.observed[:1]).bind(chosen.arrays, chosen.all_numbers(speeds))
    losses = [float(observe.evaluate(y)[chosen.observed[0]]) for y in kept]
    dims, shown = chosen.dims, {}
    for name, view in flow.states(kept[0]).items():
        own = ("time", *dims[name])
        shown[name] = (own, np.array([flow.states(y)[name] for y in kept]))
        shown[f"{name}_spread"] = (own, np.array([flow.states(np.ascontiguousarray(s))[name] for s in spread]))
        assert view.shape == shown[name][1].shape[1:]
    for k, (name, row) in enumerate(parameters.items()):
        shown[name], shown[f"{name}_spread"] = (("time",), np.array(kept) @ row), (("time",), of_sums[:, k])
    loss = chosen.shown_loss
    labels = {dim: found for dim, found in chosen.labels.items() if any(dim in own for own, _ in shown.values())}
    return xr.Dataset(
        {**shown, loss: ("time", np.array(losses)), f"{loss}_spread": ("time", of_loss)},
        {"time": ("time", wanted, {"long_name": "tau = learning rate x steps", "units": "1"}), **labels},
        {"equation": chosen.name, "lr": lr, "batch": batch, "momentum": momentum, "seed": seed,
         "method": "matrix equation" if kept[0].size <= DENSE else f"{MEMBERS} driven tangents"},
    )  # fmt: skip
