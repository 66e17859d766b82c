"""Sparse Boolean functions, by training: the flow of the keyword classifier on m samples.

The rates of words are T times that of the bias, because a word has a share 1/T of the attention at first: then times
depend little on T.

References
----------
Edelman, Goel, Kakade and Zhang, "Inductive Biases and Variable Creation in Self-Attention Mechanisms", arXiv
2110.10090. What co-occurrence foretells: :mod:`dynamics.problems.predictions.sparse`. Critical sample sizes:
:mod:`dynamics.phase.critical_size`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.theorems.sparse import capacity
from dynamics.integrate.initial_value import Integration, integrate, times
from dynamics.lowering import Bound
from dynamics.problems.closed_forms import evaluated
from dynamics.problems.kinds.models import keyword
from dynamics.problems.predictions.sparse import require_threshold
from dynamics.support.errors import InputError
from dynamics.support.threads import limited
from dynamics.support.trajectory import provenance
from dynamics.support.typing import Vector
from dynamics.tasks import SparseBoolean
from dynamics.tasks.examples import Examples

if TYPE_CHECKING:
    import xarray as xr


LOSS = 0.02
"""Training loss at which the flow stops."""
END, UNIFORM_END = 300.0, 1e5
"""Time at which it stops at the latest: what is not learnt by then is not learnt (attention has closed). With attention
held uniform there is nothing to close, and learning is slow."""
FRESH = 1000
"""Fresh samples on which a head is tested."""
RTOL, ATOL = 1e-3, 1e-4
SUCCESSES = ("exact", "recovered")
"""What may count as having learnt: attributes of a trial."""


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
