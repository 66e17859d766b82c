"""Sparse Boolean functions: how many samples one attention head needs, by theory and by training.

Theory looks at co-occurrence alone: whether the variables of the function have a stronger signal, over m samples, than
the other positions. Training is the flow of the keyword classifier on m samples. The rates of words are T times that of
the bias, because a word has a share 1/T of the attention at first: then times depend little on T.

References
----------
Edelman, Goel, Kakade and Zhang, "Inductive Biases and Variable Creation in Self-Attention Mechanisms", arXiv
2110.10090. The closed forms: :mod:`derivations.sparse`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog
from scipy.special import log_ndtr

from derivations.sparse import capacity
from derivations.theorem import evaluated
from dynamics.cooccurrence import CoOccurrence
from dynamics.errors import InputError
from dynamics.examples import Examples
from dynamics.integrate import Integration, integrate, times
from dynamics.lowering import Bound
from dynamics.model import keyword
from dynamics.tasks import SparseBoolean
from dynamics.threads import limited
from dynamics.trajectory import provenance

if TYPE_CHECKING:
    import xarray as xr

Vector = NDArray[np.float64]
Counts = NDArray[np.int64]

EXACT = 200
"""Samples up to which the exact distributions of signals are used by default."""

LOSS = 0.02
"""Training loss at which the flow stops."""
END, UNIFORM_END = 300.0, 1e5
"""Time at which it stops at the latest: what is not learnt by then is not learnt (attention has closed). With attention
held uniform there is nothing to close, and learning is slow."""
FRESH = 1000
"""Fresh samples on which a head is tested."""
RTOL, ATOL = 1e-3, 1e-4
MOST = 2**20
"""Samples after which the search for a critical size gives up."""
SUCCESSES = ("exact", "recovered")
"""What may count as having learnt: attributes of a trial."""


# -- theory -----------------------------------------------------------------------------------------------------------


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
    dynamics.errors.InputError: parity of 2 bits is not a linear threshold function: the keyword classifier (1a) cannot hold it; use topic('TL')
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


# -- training ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """One head after training on m samples.

    Attributes
    ----------
    accuracy : float
        On fresh samples, whose labels are without noise.
    interpolated : bool
        Whether the training loss reached 0.02 by the end.
    time : float
        When it stopped.
    recovered : bool
        Whether the s positions with the most attention, on fresh samples, are the support.
    mass, entropy : float
        Mean attention on the support, and mean entropy of attention (nats), on fresh samples.
    value_norm, score_norm : float
        (2,1)-norms: the sum over labels of the Euclidean norm of the values, and the Euclidean norm of the scores.
    capacity : float
        What those norms, and the greatest of the value of a word, make of the covering number of such heads: it is at
        most exp(capacity log(m T)/epsilon^2), up to a constant (theorem ``sparse-capacity``).
    evaluations : int
        Of the flow.
    """

    accuracy: float
    interpolated: bool
    time: float
    recovered: bool
    mass: float
    entropy: float
    value_norm: float
    score_norm: float
    capacity: float
    evaluations: int

    @property
    def exact(self) -> bool:
        """Whether every fresh sample is classified correctly."""
        return self.accuracy == 1.0


MODEL = keyword(bias=True)


class _Head:
    """The flow of a head on m samples, and what is measured on fresh ones."""

    def __init__(self, task: SparseBoolean, m: int, seed: Sequence[int], uniform: bool) -> None:
        rng = np.random.default_rng(seed)
        self.task, train = task, task.sample(m, rng)
        self.test = SparseBoolean(task.kind, task.length, task.support).sample(FRESH, rng)
        rates = {"eta_s": 0.0 if uniform else float(task.length), "eta_W": float(task.length), "eta_b": 1.0}
        self.flow = self.bind(train, None, rates)
        self.loss = self.bind(train, ("loss",), rates)
        self.seen = self.bind(self.test, ("alpha", "z"), rates)

    @staticmethod
    def bind(data: Examples, outputs: tuple[str, ...] | None, rates: dict[str, float]) -> Bound:
        return MODEL.kernel(data, outputs).bind(MODEL.arrays(data), {**MODEL.all_sizes(data), **rates})

    def run(self, until: float, stop: float = -np.inf, **options: Any) -> Integration:
        """The flow from rest, to a time or until the training loss has fallen to ``stop``."""
        out = np.empty(1)

        def above(t: float, y: Vector) -> float:
            self.loss(np.ascontiguousarray(y), out)
            return float(out[0]) - stop

        above.terminal = True  # type: ignore[attr-defined]
        return integrate(
            self.flow, np.zeros(self.flow.state_size), (0.0, until), method="RKC", rtol=RTOL, atol=ATOL,
            events=above, **options,
        )  # fmt: skip

    def measure(self, y: Vector) -> dict[str, Any]:
        """Accuracy, attention and norms of a state."""
        found, states = self.seen.evaluate(y), self.flow.states(y)
        alpha = found["alpha"].reshape(FRESH, -1)
        by_position = alpha.mean(axis=0)
        true, s = self.task.positions, len(self.task.positions)
        value_norm, score_norm = float(np.linalg.norm(states["W"], axis=0).sum()), float(np.linalg.norm(states["s"]))
        greatest = np.linalg.norm(states["W"], axis=1).max()
        return {
            "accuracy": float(((found["z"][:, 1] > found["z"][:, 0]) == self.test.y).mean()),
            "recovered": set(np.argsort(by_position)[-s:]) == set(true),
            "mass": float(by_position[true].sum()),
            "entropy": float(-(alpha * np.log(np.maximum(alpha, 1e-300))).sum(axis=1).mean()),
            "value_norm": value_norm,
            "score_norm": score_norm,
            "capacity": float(evaluated(capacity(), "capacity", v_v=value_norm, v_s=score_norm, w_v=greatest, r=1.0)),
        }


def learn(
    task: SparseBoolean, m: int, seed: int | Sequence[int] = 0, uniform: bool = False, end: float | None = None
) -> Trial:
    """Train the keyword classifier on m samples by its flow, until it interpolates, and test it on 1,000 fresh ones.

    Parameters
    ----------
    task : SparseBoolean
        A linear threshold function.
    m : int
        Number of samples.
    seed : int or sequence of int
        Of the samples.
    uniform : bool
        Hold attention uniform: a linear model, stage one only.
    end : float, optional
        Time at which training stops if the loss has not reached 0.02: tau for the bias, tau/T for words. 300 if not
        given, and 100,000 with attention held uniform.

    Raises
    ------
    InputError
        If the function is not a linear threshold function, or m is not a whole number from 1.

    Examples
    --------
    >>> trial = learn(SparseBoolean("and", length=50, support=3), m=60)
    >>> trial.exact, trial.recovered
    (True, True)
    """
    require_threshold(task)
    with limited(1, 0):
        return _learn(task, m, np.atleast_1d(seed).tolist(), uniform, _end(end, uniform))


def _learn(task: SparseBoolean, m: int, seed: Sequence[int], uniform: bool, end: float) -> Trial:
    head = _Head(task, m, seed, uniform)
    found = head.run(end, LOSS)
    return Trial(
        interpolated=found.t < end, time=found.t, evaluations=found.statistics.evaluations, **head.measure(found.y)
    )


def _end(end: float | None, uniform: bool) -> float:
    if end is None:
        return UNIFORM_END if uniform else END
    if not (np.isfinite(end) and end > 0):
        raise InputError(f"end = {end} must be a time above 0")
    return end


def learning_curve(
    task: SparseBoolean, m: int, t: ArrayLike, seed: int | Sequence[int] = 0, uniform: bool = False
) -> xr.Dataset:
    """Variable creation as a curve: what :func:`learn` measures, at given times.

    Returns
    -------
    xarray.Dataset
        ``loss``, ``accuracy``, ``mass``, ``entropy``, ``value_norm``, ``score_norm`` and ``capacity`` over (time).

    Examples
    --------
    >>> found = learning_curve(SparseBoolean("and", length=50, support=3), m=60, t=[0, 10, 20])
    >>> found.mass.values.round(2)  # 3/50 at first
    array([0.06, 0.42, 0.82])
    """
    import xarray as xr

    require_threshold(task)
    wanted = times(t)
    rows: list[dict[str, float]] = []
    with limited(1, 0):
        head = _Head(task, m, np.atleast_1d(seed).tolist(), uniform)

        def save(time: float, y: Vector) -> None:
            rows.append({"loss": float(head.loss.evaluate(y)["loss"]), **head.measure(y)})

        head.run(float(wanted[-1]), save=save, at=wanted)
    names = ("loss", "accuracy", "mass", "entropy", "value_norm", "score_norm", "capacity")
    attrs = {"task": str(task.kind), "T": task.length, "m": m, "seed": str(seed), "uniform": int(uniform)}
    return xr.Dataset(
        {name: ("time", np.array([row[name] for row in rows])) for name in names},
        {"time": ("time", wanted, {"long_name": "tau of the bias, tau/T of words", "units": "1"})},
        {**attrs, **provenance()},
    )


def learn_cells(
    kind: str | Sequence[int],
    support: int | Sequence[int],
    T: ArrayLike,
    m: ArrayLike,
    trials: int = 50,
    seed: int = 0,
    uniform: bool = False,
    *,
    noise: float = 0.0,
    end: float | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.object_]:
    """Trials in cells of sizes T and m: :func:`learn`, many times.

    Parameters
    ----------
    kind, support, noise
        As for :class:`dynamics.tasks.SparseBoolean`.
    T, m : array_like
        Lengths and numbers of samples, of shapes that broadcast.
    trials : int
        In each cell.
    seed : int
        A trial depends on it, on its number, on T and on m, and on nothing else.
    uniform, end
        As for :func:`learn`.
    threads : int, optional
        Trials at a time; as many as there are processors if not given. The result does not depend on it.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    ndarray of Trial
        Of the shape that T and m broadcast to, and then the trials.

    Raises
    ------
    InputError
        Sizes that are not whole numbers from 1, or a function that the keyword classifier cannot hold.

    Examples
    --------
    >>> learn_cells("and", 3, T=50, m=[10, 60], trials=2)[1, 0].recovered
    True
    """
    import numba

    lengths, samples = np.broadcast_arrays(T, m)
    until = _end(end, uniform)
    if isinstance(trials, bool) or trials != int(trials) or trials < 1:
        raise InputError(f"trials = {trials!r}; give a whole number from 1")
    cells = [
        (SparseBoolean(kind, _number("T", a), support, noise), _number("m", b))
        for a, b in zip(lengths.flat, samples.flat, strict=True)
    ]
    for task in {task.length: task for task, _ in cells}.values():
        require_threshold(task)
    jobs = [(task, size, k) for task, size in cells for k in range(trials)]
    found = np.empty(len(jobs), dtype=object)

    def work(job: tuple[SparseBoolean, int, int]) -> Trial:
        task, size, k = job
        return _learn(task, size, (seed, k, task.length, size), uniform, until)

    workers = threads or int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    # Each trial has one thread; the kernels hold no lock of the interpreter.
    with limited(1, 0), ThreadPoolExecutor(workers, initializer=numba.set_num_threads, initargs=(1,)) as pool:
        for k, trial in enumerate(pool.map(work, jobs)):
            found[k] = trial
            if progress is not None:
                progress((k + 1) / len(jobs))
    return found.reshape(*lengths.shape, trials)


def learning_probability(
    kind: str | Sequence[int],
    support: int | Sequence[int],
    T: ArrayLike,
    m: ArrayLike,
    trials: int = 50,
    seed: int = 0,
    uniform: bool = False,
    *,
    success: str = "exact",
    **options: Any,
) -> Vector:
    """The share of trials in which the function is learnt, in cells of sizes T and m.

    Parameters
    ----------
    kind, support, T, m, trials, seed, uniform
        As for :func:`learn_cells`.
    success : {"exact", "recovered"}
        What counts: every fresh sample is classified correctly, or the true variables have the most attention. A head
        that has found the variables of a majority may still fail on the inputs that hold none of the words it attends
        to, so that exact learning takes more samples than co-occurrence foretells; of AND it hardly does.
    **options
        ``noise``, ``end``, ``threads`` and ``progress`` of :func:`learn_cells`.

    Returns
    -------
    ndarray
        Of the shape that T and m broadcast to.

    Raises
    ------
    InputError
        As :func:`learn_cells`, or an unknown ``success``.

    Examples
    --------
    >>> learning_probability("and", 3, T=50, m=[10, 60], trials=10)
    array([0., 1.])
    """
    if success not in SUCCESSES:
        raise InputError(f"success = {success!r}; give {' or '.join(SUCCESSES)}")
    return share_of(learn_cells(kind, support, T, m, trials, seed, uniform, **options), success)


def share_of(trials: NDArray[np.object_], success: str) -> Vector:
    """The share of trials, along the last axis, of which an attribute holds."""
    return np.vectorize(lambda trial: getattr(trial, success), otypes=[float])(trials).mean(axis=-1)


def _number(name: str, value: Any) -> int:
    if value != np.round(value) or value < 1:
        raise InputError(f"{name} = {value:g}; give a whole number from 1")
    return int(value)


# -- critical sample sizes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Critical:
    """The sample size at which half of the trials succeed, with an interval of 95 %."""

    m: float
    low: float
    high: float


def interval(probability: ArrayLike, trials: int, level: float = 0.95) -> tuple[Vector, Vector]:
    """Wilson's interval of a binomial proportion.

    Examples
    --------
    >>> [float(end.round(3)) for end in interval(0.5, 50)]
    [0.366, 0.634]
    """
    share, z = np.asarray(probability, dtype=float), scipy.stats.norm.ppf((1 + level) / 2)
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    return middle - half, middle + half


def critical(m: ArrayLike, probability: ArrayLike, trials: int) -> Critical:
    """Where a learning curve passes one half: logistic regression, with the interval of its likelihood ratio.

    Parameters
    ----------
    m, probability : array_like, shape (n,)
        Sample sizes and the shares of trials that succeed.
    trials : int
        At each of them.

    Raises
    ------
    InputError
        If no share is below, or none above, one half: the grid of m does not hold the critical one.

    Examples
    --------
    >>> found = critical([10, 20, 30, 40], [0.0, 0.2, 0.8, 1.0], trials=50)
    >>> [round(float(value), 1) for value in (found.low, found.m, found.high)]
    [23.4, 25.0, 26.6]
    """
    sizes, share = np.asarray(m, dtype=float), np.asarray(probability, dtype=float)
    if not (share < 0.5).any() or not (share > 0.5).any():
        raise InputError(
            f"critical m is not within {sizes.min():g} to {sizes.max():g}: the shares go from {share.min():g} to"
            f" {share.max():g}; widen the grid"
        )
    steepness = np.geomspace(0.1 / np.ptp(sizes), 20 / np.diff(np.unique(sizes)).min(), 60)
    grid = np.linspace(sizes.min(), sizes.max(), 801)
    logit = np.multiply.outer(steepness, sizes - grid[:, None])
    zero = np.logaddexp(0, logit)
    values = trials * ((logit * share - zero).sum(axis=2)).max(axis=0)  # of each middle, at its best steepness
    inside = grid[2 * (values.max() - values) <= scipy.stats.chi2.ppf(0.95, 1)]
    best = grid[values >= values.max() - 1e-9]
    return Critical(float(best.mean()), float(inside[0]), float(inside[-1]))


def find_critical(
    kind: str | Sequence[int],
    support: int | Sequence[int],
    T: int,
    trials: int = 50,
    seed: int = 0,
    uniform: bool = False,
    *,
    width: float = 0.05,
    **options: Any,
) -> Critical:
    """The sample size at which half of the trials succeed, by doubling and bisection; no grid is needed.

    Sizes are doubled until more than half of the trials succeed, and the interval is halved until it is no wider than a
    share ``width`` of the size. All that was tried on the way goes into the estimate (:func:`critical`).

    Parameters
    ----------
    kind, support, T, trials, seed, uniform
        As for :func:`learn_cells`, with one length.
    width : float
        Where bisection stops.
    **options
        ``success``, ``noise``, ``end``, ``threads`` of :func:`learning_probability`.

    Raises
    ------
    InputError
        As for :func:`learning_probability`; or half of the trials fail at 2^20 samples.

    Examples
    --------
    >>> found = find_critical("and", 2, T=20, trials=10)
    >>> 5 < found.low < found.m < found.high < 40
    True
    """
    tried: dict[int, float] = {}

    def more_than_half(m: int) -> bool:
        tried[m] = float(learning_probability(kind, support, T, m, trials, seed, uniform, **options))
        return tried[m] > 0.5

    high = 4
    while not more_than_half(high):
        high *= 2
        if high > MOST:
            raise InputError(f"half of the trials fail with {MOST:,} samples of {T} bits; the noise may be too high")
    low = high // 2
    while high - low > max(1, width * high):
        middle = (low + high) // 2
        low, high = (low, middle) if more_than_half(middle) else (middle, high)
    if not any(share < 0.5 for share in tried.values()):
        tried[1] = 0.0  # one sample says nothing
    return critical(list(tried), list(tried.values()), trials)


def critical_sizes(diagram: xr.Dataset) -> xr.Dataset:
    """Critical sample sizes along T, from a phase diagram over T and m, and their log law.

    Parameters
    ----------
    diagram : xarray.Dataset
        From :func:`dynamics.phase_diagram` of a sparse function, of theory or of a simulation.

    Returns
    -------
    xarray.Dataset
        ``m`` over (T); of a simulation with ``low`` and ``high``, the interval of 95 %. Not a number where the diagram
        does not hold it. Attributes ``slope`` (samples for each doubling of T), ``slope_error``, ``level``, ``r2`` of
        m = slope log2(T) + level, if there are three sizes.

    Raises
    ------
    InputError
        If the axes are not T and m.

    Examples
    --------
    >>> from dynamics import phase_diagram
    >>> found = critical_sizes(phase_diagram("and", {"m": [10, 20, 30, 40, 50, 60], "T": [50, 100, 200, 400]}))
    >>> found.m.values.round(), round(found.attrs["slope"], 1)
    (array([25., 30., 35., 40.]), 5.0)
    """
    import xarray as xr

    if set(diagram.value.dims) != {"T", "m"}:
        raise InputError(f"axes {', '.join(map(str, diagram.value.dims))}: critical sample sizes take T and m")
    simulated = diagram.attrs["method"] == "simulation"
    sizes, rows = diagram["m"].values.astype(float), diagram.value.transpose("T", "m").values
    ends = np.full((len(rows), 3), np.nan)
    for k, share in enumerate(rows):
        if simulated and (share < 0.5).any() and (share > 0.5).any():
            found = critical(sizes, share, int(diagram.attrs["draws"]))
            ends[k] = found.m, found.low, found.high
        elif not simulated and (np.diff(share >= 0.5)).any():
            ends[k, 0] = np.interp(0.5, share, sizes)
    names = ("m", "low", "high") if simulated else ("m",)
    law: dict[str, float] = {}
    held = np.isfinite(ends[:, 0])
    if held.sum() > 2:
        fit = log_law(diagram["T"].values[held], ends[held, 0])
        law = {"slope": fit.slope, "slope_error": fit.error, "level": fit.level, "r2": fit.r2}
    return xr.Dataset({name: ("T", ends[:, k]) for k, name in enumerate(names)}, {"T": diagram["T"]}, law)


@dataclass(frozen=True)
class LogLaw:
    """m = slope log2(T) + level, by least squares, with the slope's standard error and the share of variance."""

    slope: float
    level: float
    error: float
    r2: float


def log_law(T: ArrayLike, m: ArrayLike) -> LogLaw:
    """The fit of critical sample sizes by a straight line in log2 T.

    Examples
    --------
    >>> log_law([50, 100, 200], [25, 30, 35]).slope
    5.0
    """
    fit = scipy.stats.linregress(np.log2(np.asarray(T, dtype=float)), np.asarray(m, dtype=float))
    return LogLaw(float(fit.slope), float(fit.intercept), float(fit.stderr), float(fit.rvalue**2))
