"""Where the examples of each step come from: a task, a sampler, some of given ones, or all that there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.minibatches import InPart
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.tasks.examples import Examples
from dynamics.train.arguments import whole_number
from dynamics.train.streams import SHUFFLES, stream

Arrays = dict[str, Any]

REFERENCE = 256
"""Examples of a task that stand for its sizes."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where minibatches come from: a task, or examples in part (``batch``) or as a whole (None).

    Attributes
    ----------
    problem : Problem
        A model on a task or on examples; a program of whose arrays some are taken (``InPart``); or any other, which is
        taken whole.
    batch : int, optional
    replacement : bool
        Draw each minibatch of given examples from all of them, not from shuffles.
    """

    problem: Problem
    batch: int | None
    replacement: bool = False

    @property
    def fresh(self) -> bool:
        """Whether every step has examples of its own."""
        if isinstance(self.problem, InPart):
            return self.problem.fresh
        return isinstance(self.problem, Exact) and not isinstance(self.problem.data, Examples)

    @property
    def whole(self) -> bool:
        """Whether every step has the same data: all that there is."""
        return not self.fresh and self.batch is None

    @property
    def count(self) -> int:
        """How many examples there are; those that stand for a task."""
        if isinstance(self.problem, InPart):
            return len(self.problem)
        return len(self.reference) if isinstance(self.problem, Exact) else 1

    @property
    def parameters(self) -> Mapping[str, float]:
        """What the flow of a minibatch takes beside the parameters of the problem."""
        if self.batch is None or not isinstance(self.problem, InPart):
            return {}
        return self.problem.standing_for(self.batch)

    @property
    def reference(self) -> Examples:
        """The examples; of a task, those that stand for it."""
        assert isinstance(self.problem, Exact)
        return self.problem.examples

    @cached_property
    def starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the words and the targets of each example begin."""
        length, targets = self.reference.length, self.reference.targets
        return np.cumsum(length) - length, np.cumsum(targets) - targets

    def shuffled(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The order of the examples in a pass, a function of the seed and the number of the pass."""
        return stream(seed, SHUFFLES, epoch).permutation(self.count)

    def stream(self, seed: int, random: np.random.Generator) -> Callable[[int], Arrays]:
        """A function from a step to the arrays of its minibatch; ``random`` is advanced where draws are independent."""
        problem, batch = self.problem, self.batch
        if self.whole:
            arrays = dict(problem.arrays)
            return lambda step: arrays
        assert batch is not None
        n = self.count
        if isinstance(problem, InPart):
            if problem.fresh:
                return lambda step: problem.draw(random, batch)
        else:
            assert isinstance(problem, Exact)
            model, data = problem.model, problem.data
            if not isinstance(data, Examples):
                return lambda step: model.arrays(data.sample(batch, random))
        if self.replacement:
            return lambda step: self.taken(random.integers(n, size=batch))
        orders: dict[int, NDArray[np.int64]] = {}

        def following(step: int) -> Arrays:
            first, last = step * batch // n, (step * batch + batch - 1) // n
            for epoch in [e for e in orders if e < first]:
                del orders[epoch]
            for epoch in range(first, last + 1):
                if epoch not in orders:
                    orders[epoch] = self.shuffled(seed, epoch)
            series = orders[first] if first == last else np.concatenate([orders[first], orders[last]])
            at = step * batch - first * n
            return self.taken(series[at : at + batch])

        return following

    def taken(self, rows: NDArray[np.int64]) -> Arrays:
        """The arrays of some of the examples; like ``Examples.take``, without its checks, which cost more."""
        if isinstance(self.problem, InPart):
            return self.problem.take(rows)
        assert isinstance(self.problem, Exact)
        examples, (words, answers) = self.reference, self.starts
        x, length = rows_of(examples.x, words, examples.length, rows)
        y, targets = rows_of(examples.y, answers, examples.targets, rows)
        return self.problem.model.named(x, length, y, targets)


def rows_of(
    flat: NDArray[Any], starts: NDArray[np.int64], counts: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    chosen = counts[rows]
    ends = np.cumsum(chosen)
    return flat[np.repeat(starts[rows] - (ends - chosen), chosen) + np.arange(ends[-1])], chosen


def checked_batch(problem: Problem, batch: int | None) -> int | None:
    """The number of examples of a step.

    Raises
    ------
    InputError
        None of a task, more than there are, or some of what is no examples.
    """
    if not isinstance(problem, Exact | InPart):
        if batch is not None:
            raise InputError(f"{problem.name} has no examples of which some could be taken: leave batch out")
        return None
    fresh = Source(problem, None).fresh
    if batch is None:
        if fresh:
            kind = "a sampler" if isinstance(problem, InPart) else "a task"
            raise InputError(f"{kind} has no end: say how many examples a step takes, batch=32 for example")
        return None
    batch = whole_number("batch", batch)
    if not fresh and batch > (count := Source(problem, None).count):
        raise InputError(f"batch = {batch} is more than the {count} examples; leave batch out to take all")
    return batch
