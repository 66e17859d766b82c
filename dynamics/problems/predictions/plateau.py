"""Parity: how long an attention head with a hidden layer stays on its plateau.

Parity has no co-occurrence signal, so nothing drives the head from rest. With embeddings v and a readout G of size
sigma, and a hidden layer F of order one, the logits are of order sigma^2, and the flow at the saddle v = G = 0 is
linear in the size of (v, G): each of both grows by the other, as values and attention do in permutations. The state is
multiplied by e^(lambda t) in the end, so the plateau lasts log(K/sigma)/lambda. Rectifiers whose biases are 0 stand on
their kink there: the flow is linear along every ray, not in every direction, and lambda is a growth rate, not an
eigenvalue. Attention moves with the square of the size: it follows, it does not take part. The theorem:
:mod:`derivations.theorems.sparse_plateau`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from dynamics.problems.kinds.models import topic
from dynamics.support.errors import InputError
from dynamics.support.threads import limited
from dynamics.support.typing import Vector
from dynamics.tasks import SparseBoolean
from dynamics.tasks.examples import Examples

SHARE = 0.1
"""Of its initial value, by which the loss has fallen when the plateau ends."""
LINEAR = 0.1
"""Initial size, relative to the smallest one asked for, of the run that stays where the flow is linear."""
STEP = 0.05
"""Learning rate: explicit steps, as a controller of steps would look for every kink."""


def silent_samples(task: SparseBoolean, n: int, seed: int = 0) -> Examples:
    """Samples with no more signal than the population has: n settings of the other bits, each with all of the support.

    Examples
    --------
    >>> data = silent_samples(SparseBoolean("parity", length=5, support=2), n=3)
    >>> len(data), int(data.y.sum())
    (12, 6)
    """
    s = len(task.positions)
    rng = np.random.default_rng(seed)
    bits = np.repeat(rng.random((n, task.length)) < task.ones, 2**s, axis=0).astype(np.int64)
    bits[:, task.positions] = np.tile(np.array(np.unravel_index(np.arange(2**s), (2,) * s)).T, (n, 1))
    words = bits + 2 * np.arange(task.length)
    labels = task.labels(bits[:, task.positions])
    return Examples.from_rows(words.tolist(), labels.tolist(), inputs=task.inputs, outputs=2)


@dataclass(frozen=True, eq=False)
class Plateau:
    """Lengths of plateaus from one direction of initial states.

    Attributes
    ----------
    sigma, measured, predicted : ndarray, shape (n,)
        Initial sizes, and times until the loss has fallen by a tenth: in the flow, and in the flow at the saddle.
    rate : float
        lambda, the growth rate at the saddle; 0 if a predicted length is infinite.
    time, loss : list of ndarray
        The loss curves.
    """

    sigma: Vector
    measured: Vector
    predicted: Vector
    rate: float
    time: list[Vector]
    loss: list[Vector]


class _Head:
    """The model TL with all states but the sizes of v and G drawn."""

    def __init__(self, data: Examples, dimension: int, hidden: int, seed: int) -> None:
        self.model = topic("TL", dimension=dimension, hidden=hidden)
        names = self.model.program.state_names
        rates = {f"eta_{name}": data.inputs / 2 if name in "vs" else 1.0 for name in names}
        bound = (self.model.kernel(data, outputs) for outputs in (None, ("loss",)))
        self.flow, self.loss = (
            kernel.bind(self.model.arrays(data), {**self.model.all_sizes(data), **rates}) for kernel in bound
        )
        self.direction = self.model.initial(data, {"v": 1.0, "F": 0.5, "G": 1.0}, seed)
        ones = float(data.y.mean())
        self.direction["g"][:] = np.log([1 - ones, ones])  # the best constant prediction: the saddle

    def descend(self, sigma: float, target: float, until: float) -> tuple[Vector, Vector]:
        """Times and losses until the loss has fallen to a target."""
        y = np.concatenate([(sigma if name in "vG" else 1) * state.ravel() for name, state in self.direction.items()])
        slope, out = np.empty_like(y), np.empty(1)
        losses: list[float] = []
        for _ in range(int(until / STEP)):
            self.loss(y, out)
            losses.append(out[0])
            if losses[-1] <= target:
                break
            self.flow(y, slope)
            y += STEP * slope
        return STEP * np.arange(len(losses), dtype=float), np.array(losses, dtype=float)


def plateau(
    data: Examples, sigma: ArrayLike, *, dimension: int = 4, hidden: int = 8, seed: int = 0, until: float = 2000.0
) -> Plateau:
    """The plateau of an attention head with a hidden layer (1e, TL), measured and predicted.

    The prediction takes one run at a size so small that the flow is linear there. From a size sigma the loss falls
    (sigma/small)^2 times as much, as long as that is small: where this reaches a tenth, the plateau is predicted to
    end. In the logarithm of sigma that is a straight line of slope -1/lambda.

    Parameters
    ----------
    data : Examples
        With labels 0 and 1.
    sigma : array_like, shape (n,)
        Initial sizes of v and G; two or more, not all equal.
    dimension, hidden : int
        Of the model.
    seed : int
        Of the direction of the initial state.
    until : float
        Latest time; a plateau that lasts longer has an infinite length.

    Raises
    ------
    InputError
        If sizes are not positive, or fewer than two.

    Examples
    --------
    >>> found = plateau(silent_samples(SparseBoolean("parity", length=6, support=2), n=16), [0.1, 0.01])
    >>> bool((abs(found.predicted / found.measured - 1) < 0.5).all())
    True
    """
    sizes = np.asarray(sigma, dtype=float)
    if sizes.ndim != 1 or not (np.isfinite(sizes) & (sizes > 0)).all() or np.unique(sizes).size < 2:
        raise InputError(f"sigma = {sizes.tolist()}: give two or more different initial sizes above 0")
    head = _Head(data, dimension, hidden, seed)
    small, saddle = LINEAR * sizes.min(), float(scipy.stats.entropy([1 - data.y.mean(), data.y.mean()]))
    fallen = SHARE * saddle * (small / np.append(small, sizes)) ** 2
    with limited(1, 0):
        runs = [head.descend(size, saddle - fallen[0], until) for size in sizes]
        linear = head.descend(small, saddle - fallen[1:].max(), until)
    measured = np.array([_reaches(*run, saddle - fallen[0]) for run in runs])
    predicted = np.array([_reaches(*linear, saddle - drop) for drop in fallen[1:]])
    least, most = sizes.argmin(), sizes.argmax()
    wait = predicted[least] - predicted[most] if np.isfinite(predicted[least]) else np.inf
    rate = np.log(sizes[most] / sizes[least]) / wait
    return Plateau(sizes, measured, predicted, float(rate), [t for t, _ in runs], [loss for _, loss in runs])


def _reaches(t: Vector, loss: Vector, level: float) -> float:
    below = np.flatnonzero(loss <= level)
    return float(t[below[0]]) if below.size else np.inf
