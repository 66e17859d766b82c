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
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.problems.problem import Problem, by_state
from dynamics.support.errors import IntegrationError
from dynamics.support.typing import Vector
from dynamics.train.checkpoint import Keeper
from dynamics.train.snapshot import Diverged, Snapshot
from dynamics.train.source import Source
from dynamics.train.stability import stable_rate
from dynamics.train.stepping import Stepping
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
    optimizer: Optimizer | None = None

    def start(self, seed: int, initial: Mapping[str, ArrayLike | float] | None) -> Snapshot:
        """The state of a seed before the first step."""
        given = dict(by_state(initial))
        names = self.problem.program.state_names
        ordered = {name: given[name] for name in sorted(given, key=lambda name: (name not in names, name))}
        draw = int(sequence(seed, INITIAL).generate_state(1, np.uint64)[0])
        y = self.problem.initial(ordered, draw)
        random = json.dumps(stream(seed, MINIBATCHES).bit_generator.state)
        at_rest = np.zeros_like(y) if self.optimizer is None else self.stepping(y).rest
        return Snapshot(seed, 0, y, at_rest, random, np.empty((0, y.size)), np.empty(0))

    @property
    def problem(self) -> Problem:
        """What is descended on."""
        return self.source.problem

    @property
    def parameters(self) -> Mapping[str, float]:
        """Everything that the kernels take beside arrays."""
        rates = {self.problem.rates[name]: rate for name, rate in self.rates.items()}
        return {**self.problem.sizes, **self.problem.parameters, **rates}

    @property
    def times(self) -> NDArray[np.float64]:
        """The sums of learning rates that the records are at."""
        steps = self.records if self.optimizer is None else self.optimizer.schedule.time(self.records)
        return np.asarray(self.lr * steps, dtype=np.float64)

    def stepping(self, y: Vector) -> Stepping:
        """The steps of the optimiser on packed states like this one."""
        assert self.optimizer is not None
        views = self.evaluated(self.loss).states(y)
        rates = np.concatenate([np.full(view.size, self.rates.get(name, 1.0)) for name, view in views.items()])
        return Stepping(self.optimizer, rates, self.steps)

    def evaluated(self, kernel: Kernel) -> Bound:
        """A kernel on the examples on which the loss is measured."""
        return kernel.bind(self.evaluation.arrays, {**self.parameters, **self.evaluation.parameters})

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
        draw, parameters = self.source.stream(begin.seed, random), {**self.parameters, **self.source.parameters}
        stepping = None if self.optimizer is None else self.stepping(begin.y)
        if stepping is not None:  # which has the rates, and takes the gradient as it is
            parameters |= dict.fromkeys(self.problem.rates.values(), 1.0)
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
        projects = bool(self.problem.program.constraints)

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
                if stepping is not None:
                    np.negative(out, out=out)
                    y, velocity = stepping(step, y, out, velocity)
                elif self.momentum:
                    velocity *= self.momentum
                    velocity += out
                    np.multiply(velocity, self.lr, out=out)
                    y += out
                else:
                    out *= self.lr
                    y += out
                if projects:
                    self.problem.projected(y)
                step += 1
                at[begin.seed] = step
                if not math.isfinite(y.sum()):
                    views = bound.states(y).items()
                    what = next((name for name, view in views if not np.isfinite(view).all()), "the state")
                    raise Diverged(what, step, snapshot())

    def explain(self, seed: int, error: Diverged) -> str:
        """What diverged where, and which learning rate would have been stable before it did."""
        kept = error.kept
        tau = self.lr * (error.step if self.optimizer is None else self.optimizer.schedule.time([error.step])[0])
        where = f"step {error.step} (tau = {tau:g})"
        message = f"seed {seed} diverged: {error.what} is not finite at {where}"
        good = np.flatnonzero(kept.loss <= kept.loss[0]) if len(kept.loss) else np.array([], dtype=int)
        linear = self.optimizer is None or not self.optimizer.rule.is_adaptive
        if good.size and linear:
            flow = self.evaluated(self.flow)
            momentum = self.momentum if self.optimizer is None else self.optimizer.numbers.get("momentum", 0.0)
            most = stable_rate(flow, kept.states[good[-1]], momentum)
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
