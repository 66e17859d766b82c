"""Stochastic gradient descent on the exact models, many seeds side by side.

A step is ``state += lr * flow``, with the same compiled flow that :mod:`dynamics.problems.exact` integrates, taken on a
minibatch; k steps are the time tau = lr * k. What a seed does depends on nothing but the seed: not on the number of
threads, the other seeds, or whether the run was interrupted and resumed.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import os
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.lowering import Bound, Kernel
from dynamics.problems.models import Model
from dynamics.problems.rates import learning_rates
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.files import existing, write_aside
from dynamics.support.memory import require
from dynamics.support.threads import limited
from dynamics.support.trajectory import provenance
from dynamics.tasks import Task
from dynamics.tasks.examples import Examples

if TYPE_CHECKING:
    import xarray as xr

Vector = NDArray[np.float64]

EVALUATION = 256
"""Examples of a task on which the loss is measured."""
INITIAL, MINIBATCHES, SHUFFLES, EVALUATED = range(4)
"""What a random stream of a seed is for: the key with which it is spawned."""


def simulate(
    data: Task | Examples,
    model: Model,
    lr: float,
    batch: int | None = None,
    steps: int = 1000,
    seeds: int | Sequence[int] = 1,
    *,
    records: int | Sequence[int] = 50,
    rates: Mapping[str, float] | None = None,
    momentum: float = 0.0,
    initial: Mapping[str, ArrayLike | float] | None = None,
    epochs: bool = False,
    replacement: bool = False,
    evaluation: int | Examples | None = None,
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = 30.0,
    resume: str | os.PathLike[str] | None = None,
    keep_partial: bool = False,
) -> xr.Dataset:
    """Gradient descent on an exact model, from several seeds.

    Parameters
    ----------
    data : Task or Examples
        A task gives fresh examples for every minibatch. Of given examples, each step takes all (``batch`` is None), or
        the next ``batch`` of an endless series of shuffles: every example once, then every example once more in a new
        order, and so on.
    model : Model
        :func:`dynamics.problems.models.keyword`, ``lexical``, ``positional`` or ``topic``.
    lr : float
        Learning rate, above 0. Time is tau = lr * steps.
    batch : int, optional
        Examples per step; needed for a task.
    steps : int
        Steps of descent, or passes over the examples with ``epochs``.
    seeds : int or sequence of int
        How many runs (seeds 0, 1, ...), or their seeds. Each draws its own initial state and its own minibatches.
    records : int or sequence of int
        How many states to keep, in equal steps of log time, the first and the last among them; or the steps to keep.
    rates : mapping, optional
        Learning rates of the states relative to lr; 1 if not given.
    momentum : float
        m of the heavy ball, ``velocity = m * velocity + flow; state += lr * velocity``, from 0 to below 1. Time stays
        lr * steps; the flow that it follows is 1/(1 - m) times as fast.
    initial : mapping, optional
        States to start from: arrays, or standard deviations of normal ones, which each seed draws. Zero if not given;
        zero is a saddle of positional attention on permutations.
    epochs : bool
        Count ``steps`` in passes over the examples.
    replacement : bool
        Draw each minibatch of given examples afresh from all of them, instead of from shuffles.
    evaluation : int or Examples, optional
        What the loss is measured on: this many examples of the task (default 256; the same for all seeds, and for none
        of them a minibatch), or given ones. Default for given data: all of them.
    threads : int, optional
        Runs at one time; as many as there are processors if not given. The result does not depend on it.
    progress : callable, optional
        Called with the share of all steps that is done.
    checkpoint : path, optional
        A file that keeps the state of every seed, replaced about every ``checkpoint_every`` seconds and at the end,
        also when the run is interrupted.
    resume : path, optional
        Go on from this checkpoint, to the same bits as without the interruption. Seeds that it does not hold start
        from the beginning; ``steps`` may be more than before.
    keep_partial : bool
        If a run diverges, give back what there is (NaN from then on; ``attrs["diverged"]`` says where) and finish the
        others, instead of raising.

    Returns
    -------
    xarray.Dataset
        Every state over (seed, time, ...), and ``loss`` (seed, time), the mean cross-entropy on the evaluation
        examples; coordinates ``time`` = lr * ``step``, and labels or ids as in :func:`dynamics.problems.exact.solve_exact`.
        ``attrs`` hold every parameter.

    Raises
    ------
    InputError
        A rate, batch or number of steps that is not positive, a batch larger than the examples, seeds that repeat,
        unknown states, data that the model cannot take, a checkpoint of another run.
    IntegrationError
        A run diverged; the message names seed, step and a learning rate that would have been stable.

    Notes
    -----
    The loss of a minibatch is its mean over targets, so the expectation of its gradient is that of the whole loss
    where all examples have the same number of targets, and close to it otherwise.

    References
    ----------
    Snell et al., arXiv 2103.07601; Lu et al., arXiv 2011.10036.

    Examples
    --------
    >>> from dynamics.problems.models import keyword
    >>> examples = Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2)  # words 0 and 1 decide
    >>> run = simulate(examples, keyword(), lr=1.0, steps=1000, records=[0, 100, 1000])
    >>> run.loss.sel(seed=0).values.round(3)
    array([0.693, 0.011, 0.001])
    >>> from dynamics.tasks import Copying
    >>> from dynamics.problems.models import positional
    >>> start = {"W": 0.01, "P": 0.01}
    >>> run = simulate(Copying(12, 8), positional(), lr=2.0, batch=16, steps=20, seeds=3, records=4, initial=start)
    >>> dict(run.P.sizes), run.step.values
    ({'seed': 3, 'time': 4, 'target': 8, 'position': 8}, array([ 0,  1,  4, 20]))
    """
    lr = _number("lr", lr, lambda value: value > 0, "above 0")
    momentum = _number("momentum", momentum, lambda value: 0 <= value < 1, "from 0 to below 1")
    seeds = _seeds(seeds)
    source = Source(data, _batch(data, batch), replacement)
    steps = _whole("steps", steps)
    if epochs:
        if source.fresh:
            raise InputError("epochs counts passes over given examples; a task has no end: leave epochs out")
        whole = len(source.reference)
        steps = -(-steps * whole // (source.batch or whole))
    if threads is not None:
        threads = _whole("threads", threads)
    descent = _descent(source, model, lr, rates, momentum, _evaluation(source, evaluation), steps, records)
    settings = _settings(descent, initial)
    begun: dict[int, Snapshot] = {}
    if resume is not None:
        before, begun = read_checkpoint(resume, settings, steps)
        descent = replace(descent, records=_merged(before, descent.records, begun.values()))
    size = sum(math.prod(shape) for shape in model.shapes(source.reference).values())
    require(
        16 * len(seeds) * len(descent.records) * size,
        f"the result, {len(descent.records)} records of {len(seeds)} runs,",
        lambda budget: f"records={max(2, int(budget / (16 * len(seeds) * size)))} would fit",
    )

    clock = time.perf_counter()
    starts = [begun.get(seed) or descent.start(seed, initial) for seed in seeds]
    keeper = Keeper(checkpoint, settings, descent.records, checkpoint_every, begun)
    workers = min(threads or os.cpu_count() or 1, len(seeds))
    with limited(1, 0):
        found, diverged = _all(descent, starts, workers, keeper, progress, keep_partial)
    described = {
        **settings,
        "title": model.program.title,
        "source": model.program.source,
        "data": repr(data) if source.fresh else f"{len(source.reference)} examples",
        "steps": steps,
        "evaluation": f"{len(descent.evaluation)} examples",
        "threads": workers,
        "seconds": round(time.perf_counter() - clock, 3),
        **({"diverged": "; ".join(diverged)} if diverged else {}),
        **provenance(),
    }
    return _dataset(descent, found, {key: value for key, value in described.items() if not isinstance(value, dict)})


@dataclass(frozen=True, eq=False)
class Source:
    """Where minibatches come from: a task, or examples in part (``batch``) or as a whole (None)."""

    data: Task | Examples
    batch: int | None
    replacement: bool = False

    @cached_property
    def reference(self) -> Examples:
        """The examples, or some of the task's: they have its sizes."""
        return self.data if isinstance(self.data, Examples) else self.data.examples(EVALUATION, 0)

    @cached_property
    def starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the words and the targets of each example begin."""
        length, targets = self.reference.length, self.reference.targets
        return np.cumsum(length) - length, np.cumsum(targets) - targets

    @property
    def fresh(self) -> bool:
        return not isinstance(self.data, Examples)

    def shuffled(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The order of the examples in a pass, a function of the seed and the number of the pass."""
        return _random(seed, SHUFFLES, epoch).permutation(len(self.reference))

    def stream(self, seed: int, random: np.random.Generator, model: Model) -> Callable[[int], dict[str, Any]]:
        """A function from a step to the arrays of its minibatch; ``random`` is advanced where draws are independent."""
        data, batch, n = self.data, self.batch, len(self.reference)
        if not isinstance(data, Examples):
            assert batch is not None
            return lambda step: model.arrays(data.sample(batch, random))
        if batch is None:
            whole = model.arrays(data)
            return lambda step: whole
        if self.replacement:
            return lambda step: {**self.taken(random.integers(n, size=batch)), **model.fixed}
        orders: dict[int, NDArray[np.int64]] = {}

        def following(step: int) -> dict[str, Any]:
            first, last = step * batch // n, (step * batch + batch - 1) // n
            for epoch in [e for e in orders if e < first]:
                del orders[epoch]
            for epoch in range(first, last + 1):
                if epoch not in orders:
                    orders[epoch] = self.shuffled(seed, epoch)
            series = orders[first] if first == last else np.concatenate([orders[first], orders[last]])
            at = step * batch - first * n
            return {**self.taken(series[at : at + batch]), **model.fixed}

        return following

    def taken(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """The arrays of some of the examples; like ``Examples.take``, without its checks, which cost more."""
        examples, (words, answers) = self.reference, self.starts
        x, length = _rows(examples.x, words, examples.length, rows)
        y, targets = _rows(examples.y, answers, examples.targets, rows)
        return {"x": x, "length": length, "y": y, "targets": targets}


def _rows(flat: NDArray, starts: NDArray, counts: NDArray, rows: NDArray) -> tuple[NDArray, NDArray]:
    chosen = counts[rows]
    ends = np.cumsum(chosen)
    return flat[np.repeat(starts[rows] - (ends - chosen), chosen) + np.arange(ends[-1])], chosen


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One seed's descent, as far as it has come: all that is needed to go on to the same bits.

    Attributes
    ----------
    y, velocity : ndarray, shape (size,)
        Packed states after ``step`` steps, and their velocity.
    random : str
        The state of the generator of minibatches, as JSON.
    states : ndarray, shape (records so far, size)
    loss : ndarray, shape (records so far,)
    """

    seed: int
    step: int
    y: Vector
    velocity: Vector
    random: str
    states: Vector
    loss: Vector


class Diverged(Exception):
    """A state or a loss is not finite; carries what was kept until then."""

    def __init__(self, what: str, step: int, kept: Snapshot):
        super().__init__(what)
        self.what, self.step, self.kept = what, step, kept


@dataclass(frozen=True, eq=False)
class Descent:
    """What the runs of all seeds share."""

    source: Source
    model: Model
    evaluation: Examples
    flow: Kernel
    loss: Kernel
    parameters: Mapping[str, float]
    lr: float
    momentum: float
    steps: int
    records: NDArray[np.int64]

    def start(self, seed: int, initial: Mapping[str, ArrayLike | float] | None) -> Snapshot:
        """The state of a seed before the first step."""
        given = dict(initial or {})
        names = self.model.program.state_names
        ordered = {name: given[name] for name in sorted(given, key=lambda name: (name not in names, name))}
        draw = int(_sequence(seed, INITIAL).generate_state(1, np.uint64)[0])
        states = self.model.initial(self.source.reference, ordered, draw)
        y = np.concatenate([states[name].ravel() for name in names])
        random = json.dumps(_random(seed, MINIBATCHES).bit_generator.state)
        return Snapshot(seed, 0, y, np.zeros_like(y), random, np.empty((0, y.size)), np.empty(0))

    def evaluated(self, kernel: Kernel) -> Bound:
        """A kernel on the examples on which the loss is measured."""
        return kernel.bind(self.model.arrays(self.evaluation), self.parameters)

    def run(
        self, begin: Snapshot, publish: Callable[[Snapshot], None], every: float, at: dict[int, int], stop: Event
    ) -> Snapshot:
        """Descend from a snapshot to the last step, or until ``stop``.

        Parameters
        ----------
        publish, every
            Called with a snapshot about every so many seconds.
        at : dict of int to int
            The step that each seed has reached, kept up to date.

        Raises
        ------
        Diverged
        """
        random = np.random.Generator(np.random.PCG64())
        random.bit_generator.state = json.loads(begin.random)
        draw = self.source.stream(begin.seed, random, self.model)
        loss_of, result = self.evaluated(self.loss), np.empty(1)
        step, y, velocity, out = begin.step, begin.y.copy(), begin.velocity.copy(), np.empty_like(begin.y)
        kept = len(begin.loss)
        states, losses = np.empty((len(self.records), y.size)), np.empty(len(self.records))
        states[:kept], losses[:kept] = begin.states, begin.loss
        records = [*self.records.tolist(), -1]
        whole = not self.source.fresh and self.source.batch is None
        bound = self.flow.bind(draw(0), self.parameters) if whole else None
        workspace = None
        due = time.monotonic() + every

        def snapshot() -> Snapshot:
            now = json.dumps(random.bit_generator.state)
            return Snapshot(begin.seed, step, y.copy(), velocity.copy(), now, states[:kept], losses[:kept])

        with np.errstate(all="ignore"):
            while True:
                if step == records[kept]:
                    loss_of(y, result)
                    if not math.isfinite(result[0]):
                        raise Diverged("the loss", step, snapshot())
                    states[kept], losses[kept] = y, result[0]
                    kept += 1
                if step >= self.steps or stop.is_set():
                    return snapshot()
                if time.monotonic() >= due:
                    publish(snapshot())
                    due = time.monotonic() + every
                if not whole:
                    bound = self.flow.bind(draw(step), self.parameters, workspace)
                    workspace = bound.workspace
                assert bound is not None
                bound(y, out)
                if self.momentum:
                    velocity *= self.momentum
                    velocity += out
                    np.multiply(velocity, self.lr, out=out)
                else:
                    out *= self.lr
                y += out
                step += 1
                at[begin.seed] = step
                if not math.isfinite(y.sum()):
                    views = bound.states(y).items()
                    what = next((name for name, view in views if not np.isfinite(view).all()), "the state")
                    raise Diverged(what, step, snapshot())

    def explain(self, seed: int, error: Diverged) -> str:
        """What diverged where, and which learning rate would have been stable before it did."""
        kept = error.kept
        where = f"step {error.step} (tau = {error.step * self.lr:g})"
        message = f"seed {seed} diverged: {error.what} is not finite at {where}"
        good = np.flatnonzero(kept.loss <= kept.loss[0]) if len(kept.loss) else np.array([], dtype=int)
        if good.size:
            flow = self.evaluated(self.flow)
            most = stable_rate(flow, kept.states[good[-1]], self.momentum)
            if most < self.lr:
                return f"{message}; at step {self.records[good[-1]]} an lr below about {most:.2g} is stable: lower lr"
        return f"{message}; lower lr, to {self.lr / 10:.2g} say"


def stable_rate(
    flow: Callable[[Vector, Vector], None], y: Vector, momentum: float = 0.0, iterations: int = 40
) -> float:
    """The learning rate from which descent along a flow is unstable at a state: 2 (1 + momentum) / curvature.

    The curvature is the largest eigenvalue of minus the flow's Jacobian (the Hessian, for a flow down a loss), found by
    power iteration on differences of the flow.

    Returns
    -------
    float
        Infinity where there is no positive curvature, or none that is finite.

    Examples
    --------
    >>> def flow(y, out):
    ...     out[:] = -np.array([0.5, 4.0, -5.0]) * y
    >>> round(stable_rate(flow, np.zeros(3)), 6)
    0.5
    """
    up, down = np.empty_like(y), np.empty_like(y)
    h = 1e-5 * (1 + np.abs(y).max())
    shift = 0.0
    with np.errstate(all="ignore"):
        for _ in range(2):  # the largest in size first; if it is negative, shifted, the largest
            v = np.random.default_rng(0).standard_normal(y.size)
            v /= np.linalg.norm(v)
            value = 0.0
            for _ in range(iterations):
                flow(y + h * v, up)
                flow(y - h * v, down)
                w = (down - up) / (2 * h) + shift * v
                value, norm = float(v @ w) - shift, float(np.linalg.norm(w))
                if not (math.isfinite(norm) and norm > 0):
                    return math.inf
                v = w / norm
            if value > 0:
                return 2 * (1 + momentum) / value
            shift = -value
    return math.inf


def record_steps(steps: int, records: int | Sequence[int]) -> NDArray[np.int64]:
    """The steps to keep: given ones, or this many in equal steps of log time with 0 and the last.

    Examples
    --------
    >>> record_steps(1000, 5), record_steps(3, 50)
    (array([   0,    1,   10,  100, 1000]), array([0, 1, 2, 3]))
    """
    if isinstance(records, numbers.Integral):
        left = min(_whole("records", records), steps + 1) - 1
        if left < 1:
            raise InputError(f"records = {records} must be 2 or more: the first step and the last")
        found = [0]
        for k in range(left, 0, -1):
            last = found[-1]
            along = last * (steps / last) ** (1 / k) if last else (1 if k > 1 else steps)
            found.append(min(max(last + 1, round(along)), steps - k + 1))
        return np.array(found, dtype=np.int64)
    wanted = np.asarray(records)
    whole = wanted.ndim == 1 and wanted.size > 0 and wanted.dtype.kind in "iu"
    if not whole or wanted[0] < 0 or wanted[-1] > steps or (np.diff(wanted) <= 0).any():
        raise InputError(f"records must be increasing whole numbers of steps from 0 to {steps}")
    return wanted.astype(np.int64)


FIELDS = ("step", "y", "velocity", "random", "states", "loss")
"""What a checkpoint holds of every seed."""


class Keeper:
    """Keeps the latest snapshot of every seed, and writes them to a file if there is one."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        settings: Mapping[str, Any],
        records: NDArray[np.int64],
        every: float,
        begun: Mapping[int, Snapshot],
    ):
        every = _number("checkpoint_every", every, lambda value: value >= 0, "of seconds, from 0")
        self.path, self.settings, self.records = path, settings, records
        self.every = math.inf if path is None else every
        self.latest = dict(begun)
        self.written = -math.inf

    def keep(self, snapshot: Snapshot) -> None:
        self.latest[snapshot.seed] = snapshot

    def write_if_due(self) -> None:
        if time.monotonic() >= self.written + self.every:
            self.write()

    def write(self) -> None:
        if self.path is None:
            return
        arrays: dict[str, Any] = {"settings": json.dumps(self.settings), "records": self.records}
        for seed, snapshot in list(self.latest.items()):
            arrays |= {f"{seed}/{name}": getattr(snapshot, name) for name in FIELDS}
        with write_aside(self.path) as aside, open(aside, "wb") as file:
            np.savez(file, **arrays)
        self.written = time.monotonic()


def read_checkpoint(
    path: str | os.PathLike[str], settings: Mapping[str, Any], steps: int
) -> tuple[NDArray[np.int64], dict[int, Snapshot]]:
    """The records and the snapshots of a checkpoint, which must be of this run and not beyond its end.

    Raises
    ------
    InputError
        No such file, not a whole checkpoint, or one of another run; the message says what differs.
    """
    found_at = existing(path)
    snapshots: dict[int, Snapshot] = {}
    try:
        with np.load(found_at, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        was, records = json.loads(str(found["settings"])), found["records"]
        for seed in sorted({int(name.split("/")[0]) for name in found if "/" in name}):
            step, y, velocity, random, states, loss = (found[f"{seed}/{name}"] for name in FIELDS)
            snapshots[seed] = Snapshot(seed, int(step), y, velocity, str(random), states, loss)
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
        raise InputError(f"resume: {os.fspath(path)!r} is not a checkpoint, or not a whole one") from None
    now = json.loads(json.dumps(settings))
    for name in sorted(now.keys() | was.keys()):
        if was.get(name) != now.get(name):
            raise InputError(
                f"resume: the checkpoint is of another run: {name} was {was.get(name)}, and is {now.get(name)} now"
            )
    beyond = [s for s in snapshots.values() if s.step > steps]
    if beyond:
        raise InputError(f"resume: seed {beyond[0].seed} is at step {beyond[0].step}; give at least as many steps")
    return records, snapshots


def _merged(before: NDArray[np.int64], after: NDArray[np.int64], snapshots: Iterable[Snapshot]) -> NDArray[np.int64]:
    """The records of the run that was interrupted as far as any of its seeds came, then those asked for now."""
    reached = max((s.step for s in snapshots), default=-1)
    return np.union1d(before[before <= reached], after[after >= reached])


def _all(
    descent: Descent,
    starts: Sequence[Snapshot],
    workers: int,
    keeper: Keeper,
    progress: Callable[[float], None] | None,
    keep_partial: bool,
) -> tuple[list[Snapshot], list[str]]:
    """Run every seed on a pool of threads: compiled flows release the interpreter's lock."""
    stop, at = Event(), {s.seed: s.step for s in starts}
    total = descent.steps * len(starts)
    for kernel in (descent.flow, descent.loss):  # compiled once, here
        _ = descent.evaluated(kernel).function
    for start in starts:
        keeper.keep(start)
    keeper.write()  # if that fails, better now
    found: dict[int, Snapshot] = {}
    diverged: dict[int, str] = {}
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(descent.run, s, keeper.keep, keeper.every, at, stop): s.seed for s in starts}
        pending = set(futures)
        try:
            while pending:
                pause = min(0.1, keeper.every) if progress or keeper.path else None
                done, pending = wait(pending, timeout=pause, return_when=FIRST_EXCEPTION)
                for future in sorted(done, key=futures.__getitem__):
                    seed, error = futures[future], future.exception()
                    if isinstance(error, Diverged):
                        diverged[seed] = descent.explain(seed, error)
                        if not keep_partial:
                            raise IntegrationError(diverged[seed]) from None
                        found[seed] = error.kept
                    else:
                        found[seed] = future.result()
                        keeper.keep(found[seed])
                keeper.write_if_due()
                if progress is not None:
                    progress(sum(at.values()) / total)
        except BaseException:
            stop.set()
            for future in pending:
                future.cancel()
            wait(pending)
            for future in pending:
                if not future.cancelled() and future.exception() is None:
                    keeper.keep(future.result())
            raise
        finally:
            keeper.write()
    return [found[s.seed] for s in starts], [diverged[seed] for seed in sorted(diverged)]


def _dataset(descent: Descent, found: Sequence[Snapshot], attrs: Mapping[str, Any]) -> xr.Dataset:
    """The records as a labelled dataset, NaN where there are none."""
    import xarray as xr

    model, records = descent.model, descent.records
    shapes, dims = model.shapes(descent.source.reference), model.dims
    loss = np.full((len(found), len(records)), np.nan)
    states = {name: np.full((*loss.shape, *shape), np.nan) for name, shape in shapes.items()}
    for k, run in enumerate(found):
        loss[k, : len(run.loss)] = run.loss
        before = 0
        for name, shape in shapes.items():
            size = math.prod(shape)
            part = run.states[:, before : before + size]
            states[name][k, : len(part)] = part.reshape(-1, *shape)
            before += size
    extents = {dim: n for name, shape in shapes.items() for dim, n in zip(dims[name], shape, strict=True)}
    names = descent.source.reference.coordinates
    return xr.Dataset(
        {name: (("seed", "time", *dims[name]), value) for name, value in states.items()}
        | {"loss": (("seed", "time"), loss, {"long_name": "mean cross-entropy", "units": "nats"})},
        {
            "seed": [run.seed for run in found],
            "time": ("time", descent.lr * records, {"long_name": "tau = learning rate x steps", "units": "1"}),
            "step": ("time", records),
            **{dim: names.get(dim, np.arange(n)) for dim, n in extents.items()},
        },
        attrs,
    )


def _descent(
    source: Source,
    model: Model,
    lr: float,
    rates: Mapping[str, float] | None,
    momentum: float,
    evaluation: Examples,
    steps: int,
    records: int | Sequence[int],
) -> Descent:
    reference = source.reference
    if (evaluation.inputs, evaluation.outputs) != (reference.inputs, reference.outputs):
        raise InputError(
            f"evaluation has {evaluation.inputs} inputs and {evaluation.outputs} outputs, the data {reference.inputs} "
            f"and {reference.outputs}; give examples of the same vocabulary"
        )
    for examples in (reference, evaluation):
        model.check(examples)
    parameters = {
        f"eta_{name}": rate for name, rate in learning_rates(model.program.state_names, rates, model.name).items()
    }
    return Descent(
        source, model, evaluation, model.kernel(reference), model.kernel(reference, ("loss",)),
        {**model.all_sizes(reference), **parameters}, lr, momentum, steps, record_steps(steps, records),
    )  # fmt: skip


def _settings(descent: Descent, initial: Mapping[str, ArrayLike | float] | None) -> dict[str, Any]:
    """What a run is: two with the same settings and seed agree bit for bit, step by step."""
    model, source = descent.model, descent.source
    starts = {
        name: float(value) if np.ndim(value) == 0 else f"array, sha256 {_digest(value)}"  # type: ignore[arg-type]
        for name, value in (initial or {}).items()
    }
    return {
        "equation": model.name,
        "lr": descent.lr,
        "batch": source.batch or "all",
        "momentum": descent.momentum,
        "replacement": str(source.replacement),
        **{name.replace("eta_", "rate_"): v for name, v in descent.parameters.items() if name.startswith("eta_")},
        **{f"size_{name}": int(v) for name, v in descent.parameters.items() if not name.startswith("eta_")},
        **{f"initial_{name}": value for name, value in sorted(starts.items())},
        **{f"sha256_{name}": _digest(value) for name, value in model.fixed.items()},
        "sha256_data": _digest_of(source.reference),
        "sha256_evaluation": _digest_of(descent.evaluation),
    }


def _digest(*arrays: ArrayLike) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        value = np.ascontiguousarray(array)
        whole.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    return whole.hexdigest()[:16]


def _digest_of(e: Examples) -> str:
    return _digest(e.x, e.length, e.y, e.targets, [e.inputs, e.outputs, *(e.positions or ())])


def _sequence(seed: int, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=key)


def _random(seed: int, *key: int) -> np.random.Generator:
    """A random stream of a seed."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, *key)))


def _evaluation(source: Source, wanted: int | Examples | None) -> Examples:
    if isinstance(wanted, Examples):
        return wanted
    if isinstance(source.data, Examples):
        if wanted is not None:
            raise InputError("evaluation counts fresh examples of a task; for given data, give the examples")
        return source.data
    return source.data.sample(_whole("evaluation", EVALUATION if wanted is None else wanted), _random(0, EVALUATED))


def _batch(data: Task | Examples, batch: int | None) -> int | None:
    if not isinstance(data, Examples | Task):
        raise InputError(f"cannot draw examples from {type(data).__name__}; give Examples or a task")
    if batch is None:
        if not isinstance(data, Examples):
            raise InputError("a task has no end: say how many examples a step takes, batch=32 for example")
        return None
    batch = _whole("batch", batch)
    if isinstance(data, Examples) and batch > len(data):
        raise InputError(f"batch = {batch} is more than the {len(data)} examples; leave batch out to take all")
    return batch


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, numbers.Integral):
        return tuple(range(_whole("seeds", seeds)))
    found = tuple(_whole("a seed", seed, 0) for seed in seeds)  # type: ignore[union-attr]
    if not found:
        raise InputError("seeds is empty; give at least one")
    repeated = [seed for k, seed in enumerate(found) if seed in found[:k]]
    if repeated:
        raise InputError(f"seed {repeated[0]} is given twice, and both runs would be the same; give each once")
    return found


def _whole(name: str, value: Any, least: int = 1) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise InputError(f"{name} = {value!r} must be a whole number from {least}")
    return int(value)


def _number(name: str, value: Any, holds: Callable[[float], bool], range_: str) -> float:
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and holds(number)):
        raise InputError(f"{name} = {value!r} must be a number {range_}")
    return number
