"""Which of two branches stochastic descent takes, where the noise of batches decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from dynamics.comparison.noise import Linear, columns, in_batches
from dynamics.integrate.initial_value import integrate
from dynamics.problems.closed_forms.evaluation import evaluated
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solve import as_problem
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector
from dynamics.tasks.examples import Examples
from dynamics.train.arguments import whole_number

__all__ = ["Odds", "noise_odds"]

FOLDS = 6.0
"""How many times longer than by which it grows by e a start is followed, to see on which side of the border it is."""
WIDEST = 20
"""Doublings of the distance in which the border is looked for."""
LARGEST = 300
"""Numbers of a state whose directions are all looked at."""
STILL = 0.2
"""A second direction that grows at more than this share of the rate of the first is one too many."""


@dataclass(frozen=True)
class Odds:
    """The odds of the branch that is asked for.

    Attributes
    ----------
    probability : float
    growth : float
        The rate of the unstable coordinate, per unit of tau.
    start : float
        The start in the unstable coordinate, from the border.
    spread : float
        The standard deviation of what noise adds to it.
    uncertain : float
        The standard error of the start in these, as some examples of a task stand for all; 0 of given examples.
    """

    probability: float
    growth: float
    start: float
    spread: float
    uncertain: float = 0.0


def noise_odds(
    problem: Any, data: Any = None, *, lr: float, batch: int, towards: Mapping[str, ArrayLike],
    saddle: Mapping[str, ArrayLike] | None = None, momentum: float = 0.0,
    initial: Mapping[str, ArrayLike | float] | None = None, rates: Mapping[str, float] | None = None, seed: int = 0,
    examples: int = 512, population: int = 20_000, values: Mapping[str, float] | None = None,
) -> Odds:  # fmt: skip
    """How often stochastic descent from one start leaves a saddle towards one side.

    The left eigenvector of the flow's Jacobian at the saddle is the unstable coordinate w. Starts beside the given one,
    along the right eigenvector, are followed by the flow without noise (that of descent to second order in lr, where
    there is one): the border is where it goes neither way. The noise is that of single examples at the start, along w.

    Parameters
    ----------
    problem, data : Problem, Model or Program, and its data
        As for :func:`dynamics.simulate`.
    lr, batch, momentum
        Of the steps; batches are drawn anew.
    towards : mapping of str to array_like
        A state on the side that is asked for; what is not named is that of the saddle.
    saddle : mapping of str to array_like, optional
        Zero if not given.
    initial, rates, seed, values
        As for :func:`dynamics.solve`.
    examples, population : int
        Examples that the variance of gradients is taken from, and, of a task, that stand for all.

    Raises
    ------
    InputError
        A problem without examples or too large, or a saddle that has no unstable direction, or several.

    References
    ----------
    ``dynamics derive copying-noise-odds``.

    Examples
    --------
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (N,), (n, d), (x, w) = sizes("N"), indices("n d"), tensors("x w")
    >>> loss = SumOver((x[n] * w[d] - w[d] ** 2 / 2 + w[d] ** 4 / 4) / N, n, d)
    >>> ridge = model("Ridge", extents={n: N, d: 1}, data=x[n], states=w[d], examples=n, loss=loss)
    >>> data, side = {"x": np.array([-0.5, 0.5])}, {"w": [1.0]}
    >>> round(noise_odds(ridge, data, lr=0.05, batch=4, initial={"w": [0.02]}, towards=side).probability, 2)
    0.7
    """
    whole_number("examples", examples)
    whole_number("population", population)
    if not isinstance(towards, Mapping):
        raise InputError("towards= is a state on the side that is asked for, by name, such as {'W': ...}")
    chosen = in_batches(as_problem(problem, data, values=values), lr, momentum, batch, population, seed)
    rest, y0 = chosen.initial(saddle, seed), chosen.initial(initial, seed)
    if y0.size > LARGEST:
        raise InputError(f"odds look at every direction of {y0.size} numbers; take a model of {LARGEST} or fewer")
    speeds = learning_rates(tuple(chosen.rates), rates, chosen.described)
    linear = Linear(chosen, speeds, lr, momentum, batch, examples, seed, np.zeros((0, y0.size)))
    jacobian, _ = columns(linear.tangents(), rest)
    found, rows = np.linalg.eig(jacobian.T)
    order = np.argsort(-found.real)
    growth = float(found[order[0]].real)
    scale = float(np.abs(jacobian).max())
    if not growth > 1e-9 * scale or abs(found[order[0]].imag) > 1e-6 * growth:
        raise InputError("nothing grows at this saddle, and noise decides nothing; give another with saddle=")
    if lr * growth >= 1 - momentum:
        raise InputError(
            f"lr = {lr:g} is too large for odds: a step is {lr * growth / (1 - momentum):.3g} times the time in which"
            " what grows at the saddle grows by e"
        )
    if y0.size > 1 and found[order[1]].real > STILL * growth:
        raise InputError(
            f"two directions grow at this saddle, at {growth:.3g} and {found[order[1]].real:.3g}: odds are of one"
        )
    row = rows[:, order[0]].real
    asked = chosen.initial({**_named(chosen, rest), **towards}, seed) - rest
    if abs(float(row @ asked)) <= 1e-9 * float(np.linalg.norm(row) * np.linalg.norm(asked)):
        raise InputError("towards is on neither side of this saddle; give a state on the side that is asked for")
    row = row * np.sign(row @ asked)
    values_of, columns_of = np.linalg.eig(jacobian)
    way = columns_of[:, int(np.argmax(values_of.real))].real
    way = way / float(row @ way)
    single = linear.single()(y0)
    variance = float(np.mean((single @ row) ** 2))
    if variance <= 1e-24 * float(np.mean(np.square(single).sum(axis=1)) * (row @ row)):
        raise InputError("single examples move the start alike along the way that grows: noise decides nothing here")
    length = math.sqrt(lr * variance / (2 * growth * batch * (1 - momentum)))
    start = _from_border(_Mean(chosen, speeds, lr / (1 - momentum), FOLDS / growth, row, rest), y0, way, length)
    given = {"w_0": start, "lambda": growth, "kappa": variance, "lr": lr, "batch": batch, "mu": momentum}
    of_one = float(evaluated("copying-noise-odds", "z", **{**given, "w_0": 1.0}))
    drawn = isinstance(chosen, Exact) and not isinstance(chosen.data, Examples)
    missed = math.sqrt(variance / population) / growth if drawn else 0.0
    return Odds(float(evaluated("copying-noise-odds", "p", **given)), growth, start, 1 / of_one, missed * of_one)


def _named(problem: Any, y: Any) -> dict[str, Any]:
    """A packed state by name."""
    found, at = {}, 0
    for name, shape in problem.shapes.items():
        size = math.prod(shape)
        found[name] = y[at : at + size].reshape(shape)
        at += size
    return found


@dataclass(frozen=True, eq=False)
class _Mean:
    """The unstable coordinate of a start after some time without noise."""

    problem: Any
    rates: Mapping[str, float]
    pace: float
    time: float
    row: Vector
    rest: Vector

    @cached_property
    def flow(self) -> Any:
        try:
            return self.problem.modified().bind(self.rates, self.pace)[0]
        except InputError:  # no flow of second order
            return self.problem.bind(self.rates)[0]

    def __call__(self, y0: Vector) -> float:
        usual = self.problem.tolerances
        control: dict[str, Any] = {"rtol": usual.rtol, "atol": usual.atol, "method": usual.method}
        reached = integrate(self.flow, y0, (0.0, self.time), **control)
        return float(self.row @ (reached.y - self.rest))


def _from_border(mean: _Mean, y0: Vector, way: Vector, length: float) -> float:
    """How far a start is from the border of the branches along a way, on which w is the distance."""

    def side(back: float) -> float:
        return mean(y0 - back * way)

    here = side(0.0)
    if here == 0:
        return 0.0
    step = math.copysign(length, here)
    for k in range(WIDEST):
        if side(step * 2**k) * here < 0:
            near = step * 2 ** (k - 1) if k else 0.0
            return float(brentq(side, near, step * 2**k, xtol=1e-3 * length))
    raise InputError("the start is not near the border of two branches of this saddle; give one that is nearer")
