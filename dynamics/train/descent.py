"""Gradient descent of one seed, step by step, and of all seeds side by side."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.lowering import Bound, Kernel
from dynamics.problems.problem import Problem, by_state
from dynamics.support.errors import IntegrationError
from dynamics.train.checkpoint import Keeper
from dynamics.train.snapshot import Diverged, Snapshot
from dynamics.train.source import Source
from dynamics.train.stability import stable_rate
from dynamics.train.streams import INITIAL, MINIBATCHES, sequence, stream


@dataclass(frozen=True, eq=False)
class Descent:
    """What the runs of all seeds share."""

    source: Source
    evaluation: Problem
    flow: Kernel
    loss: Kernel
    rates: Mapping[str, float]
    lr: float
    momentum: float
    steps: int
    records: NDArray[np.int64]

    def start(self, seed: int, initial: Mapping[str, ArrayLike | float] | None) -> Snapshot:
        """The state of a seed before the first step."""
        given = dict(by_state(initial))
        names = self.problem.program.state_names
        ordered = {name: given[name] for name in sorted(given, key=lambda name: (name not in names, name))}
        draw = int(sequence(seed, INITIAL).generate_state(1, np.uint64)[0])
        y = self.problem.initial(ordered, draw)
        random = json.dumps(stream(seed, MINIBATCHES).bit_generator.state)
        return Snapshot(seed, 0, y, np.zeros_like(y), random, np.empty((0, y.size)), np.empty(0))

    @property
    def problem(self) -> Problem:
        """What is descended on."""
        return self.source.problem

    @property
    def parameters(self) -> Mapping[str, float]:
        """Everything that the kernels take beside arrays."""
        rates = {self.problem.rates[name]: rate for name, rate in self.rates.items()}
        return {**self.problem.sizes, **self.problem.parameters, **rates}

    def evaluated(self, kernel: Kernel) -> Bound:
        """A kernel on the examples on which the loss is measured."""
        return kernel.bind(self.evaluation.arrays, self.parameters)

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
        draw, parameters = self.source.stream(begin.seed, random), self.parameters
        loss_of, result = self.evaluated(self.loss), np.empty(1)
        step, y, velocity, out = begin.step, begin.y.copy(), begin.velocity.copy(), np.empty_like(begin.y)
        kept = len(begin.loss)
        states, losses = np.empty((len(self.records), y.size)), np.empty(len(self.records))
        states[:kept], losses[:kept] = begin.states, begin.loss
        records = [*self.records.tolist(), -1]
        whole = self.source.whole
        bound = self.flow.bind(draw(0), parameters) if whole else None
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
                    bound = self.flow.bind(draw(step), parameters, workspace)
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


def descend(
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
