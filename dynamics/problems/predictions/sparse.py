"""Sparse Boolean functions, by co-occurrence alone: how many samples it takes until the true variables lead.

Whether the variables of the function have a stronger signal, over m samples, than the other positions.

References
----------
Edelman, Goel, Kakade and Zhang, "Inductive Biases and Variable Creation in Self-Attention Mechanisms", arXiv
2110.10090. The closed forms: :mod:`derivations.theorems.sparse`. Training: :mod:`dynamics.train.sparse`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import log_ndtr

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector
from dynamics.tasks import SparseBoolean

Counts = NDArray[np.int64]

EXACT = 200
"""Samples up to which the exact distributions of signals are used by default."""


def signals(system: CoOccurrence) -> Vector:
    """The signal of every word: T (C[(l, b), 1] - c[(l, b)] q[1]), what drives its value from rest.

    Parameters
    ----------
    system : CoOccurrence
        Of a :class:`dynamics.tasks.SparseBoolean`, or of samples of it.

    Returns
    -------
    ndarray, shape (T, 2)
        By position and bit.

    Examples
    --------
    >>> signals(SparseBoolean("majority", length=4, support=3).population())
    array([[-0.125,  0.125],
           [-0.125,  0.125],
           [-0.125,  0.125],
           [ 0.   ,  0.   ]])
    """
    C = system.C.toarray() if system.is_sparse else system.C
    joint = C[:, 1] - C.sum(axis=1) * C[:, 1].sum()
    return joint.reshape(-1, 2) * (len(joint) // 2)


@dataclass(frozen=True, eq=False)
class _Support:
    """The s bits of a function: how often each pattern comes, and which way each of them tells the label.

    ``positive`` and ``negative`` are the distributions of the number of bits that tell label 1, given the label.
    """

    balance: float
    signal: Vector
    positive: Vector
    negative: Vector


@lru_cache(maxsize=64)
def _support(task: SparseBoolean) -> _Support:
    bits, label, weight = _inputs(task)
    one = task.noise + (1 - 2 * task.noise) * label
    balance = float(weight @ one)
    signal: Vector = weight * (one - balance) @ bits.astype(float)
    signal[np.abs(signal) < 1e-12] = 0.0
    telling = (bits == (signal > 0)).sum(axis=1)
    counted = [np.asarray(np.bincount(telling, weight * y, len(signal) + 1), dtype=float) for y in (one, 1 - one)]
    return _Support(balance, signal, counted[0] / balance, counted[1] / (1 - balance))


def _inputs(task: SparseBoolean) -> tuple[Counts, Counts, Vector]:
    """All values of the support's bits, shape (2^s, s), with their labels and probabilities."""
    bits = np.array(list(product((0, 1), repeat=len(task.positions))))
    weight = np.where(bits == 1, task.ones, 1 - task.ones).prod(axis=1)
    return bits, task.labels(bits), weight


def lead_probability(task: SparseBoolean, m: int, exact: bool | None = None) -> float:
    """The probability that the true variables lead: over m samples, their mean signal is above that of any other.

    Signals of other positions count by their size. Given the labels they are independent differences of binomial
    numbers; the sum of the true ones is a sum of independent terms, one for each sample.

    Parameters
    ----------
    task : SparseBoolean
    m : int
        Number of samples.
    exact : bool, optional
        From the exact distributions, or from their normal approximation. Default: exact up to 200 samples.

    Returns
    -------
    float
        0 if some variable of the function has no signal, as in parity.

    Raises
    ------
    InputError
        If m is not a whole number from 1.

    Examples
    --------
    >>> [round(lead_probability(SparseBoolean("and", T, 3), 30), 2) for T in (50, 100, 200)]
    [0.69, 0.5, 0.3]
    """
    if isinstance(m, bool) or m != int(m) or m < 1:
        raise InputError(f"m is {m!r}; give a whole number of samples from 1")
    m, support = int(m), _support(task)
    if (support.signal == 0).any():
        return 0.0
    others = task.length - len(support.signal)
    if not others:
        return 1.0
    return (_exact if (m <= EXACT if exact is None else exact) else _normal)(task, support, others, m)


def _exact(task: SparseBoolean, support: _Support, others: int, m: int) -> float:
    s, total = len(support.signal), 0.0
    of_positives, of_negatives = _powers(support.positive, m), _powers(support.negative, m)
    for ones, chance in enumerate(scipy.stats.binom.pmf(np.arange(m + 1), m, support.balance)):
        zeros = m - ones
        if chance < 1e-12 or not ones or not zeros:
            continue
        # m times the signal of a position is a whole number: zeros * (bits among ones) - ones * (bits among zeros)
        true = np.subtract.outer(zeros * np.arange(s * ones + 1), ones * np.arange(s * zeros + 1)).ravel()
        null = np.abs(np.subtract.outer(zeros * np.arange(ones + 1), ones * np.arange(zeros + 1)).ravel())
        of_null = np.multiply.outer(*(scipy.stats.binom.pmf(np.arange(n + 1), n, task.ones) for n in (ones, zeros)))
        order = np.argsort(null)
        below = np.concatenate([[0.0], np.cumsum(of_null.ravel()[order])])
        behind = below[np.searchsorted(s * null[order], true)] ** others
        total += chance * (np.multiply.outer(of_positives[ones], of_negatives[zeros]).ravel() @ behind)
    return float(total)


def _powers(distribution: Vector, most: int) -> list[Vector]:
    """The distributions of sums of 0, 1, ... independent numbers."""
    found = [np.ones(1)]
    for _ in range(most):
        found.append(np.convolve(found[-1], distribution))
    return found


def _normal(task: SparseBoolean, support: _Support, others: int, m: int) -> float:
    q, p, s = support.balance, task.ones, len(support.signal)
    k = np.arange(s + 1)
    joint = np.stack([(1 - q) * support.negative, q * support.positive])
    centred = np.multiply.outer([-q, 1 - q], k / s - (joint.sum(axis=0) @ k) / s)
    mean = (joint * centred).sum()
    true = np.sqrt((joint * centred**2).sum() - mean**2)
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    reach = np.maximum(m * mean + np.sqrt(m) * true * z, 0) / np.sqrt(m * q * (1 - q) * p * (1 - p))
    behind = np.log1p(-2 * np.exp(log_ndtr(-np.maximum(reach, 1e-12))))
    return float(weights @ np.exp(others * behind) / np.sqrt(2 * np.pi))


def critical_lead(task: SparseBoolean, probability: float = 0.5, exact: bool | None = None) -> float:
    """The sample size at which the true variables lead with a probability, between whole numbers by interpolation.

    Nothing is fitted: this is the critical sample size that co-occurrence predicts. It is infinite if some variable has
    no signal.

    Examples
    --------
    >>> [round(critical_lead(SparseBoolean("and", T, 3)), 1) for T in (50, 100, 200)]
    [24.8, 30.0, 34.8]
    >>> critical_lead(SparseBoolean("parity", 50, 3))
    inf
    """
    if not 0 < probability < 1:
        raise InputError(f"probability = {probability} must be between 0 and 1")
    if (_support(task).signal == 0).any():
        return np.inf
    low, high = 1, 2
    while lead_probability(task, high, exact) < probability:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if lead_probability(task, middle, exact) < probability else (low, middle)
    below, above = (lead_probability(task, m, exact) for m in (low, high))
    return float(low + (probability - below) / (above - below)) if below < probability else float(low)


def require_threshold(task: SparseBoolean) -> None:
    """Raise InputError unless the function is a linear threshold function, which the keyword classifier can hold.

    Examples
    --------
    >>> require_threshold(SparseBoolean("parity", 20, 2))
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: parity of 2 bits is not a linear threshold function: the keyword classifier (1a) cannot hold it; use topic('TL')
    """  # noqa: E501
    bits, label, _ = _inputs(task)
    side = 2.0 * label - 1
    rows = -side[:, None] * np.column_stack([bits, np.ones(len(bits))])
    found = linprog(np.zeros(rows.shape[1]), rows, -np.ones(len(rows)), bounds=(None, None))
    if found.status != 0:
        name = task.kind if isinstance(task.kind, str) else f"truth table {''.join(map(str, task.kind))}"
        raise InputError(
            f"{name} of {len(task.positions)} bits is not a linear threshold function: the keyword classifier (1a)"
            " cannot hold it; use topic('TL')"
        )
