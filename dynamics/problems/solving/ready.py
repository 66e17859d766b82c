"""Compiled flows that are bound already: of small problems, where binding takes as long as integrating.

What is kept is code with arrays of its own. A problem of the same program, sizes and numbers gets them with its data
copied in, and with what depends on data alone computed anew: nothing of one problem is seen by another, and data that
were changed in place are seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.integrate.conserved import Conserved
from dynamics.lowering import Bound
from dynamics.problems.problem import Problem, is_ragged
from dynamics.problems.solving.conserved import conserved_by

__all__ = ["Ready", "ready"]

SMALL, KNOWN = 20_000, 16
"""Numbers of the data up to which a bound flow is kept, and how many of these are."""
_kept: OrderedDict[Any, list[Ready]] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Ready:
    """A flow and what is observed, bound to arrays of their own.

    Attributes
    ----------
    flow, shown : Bound
    conserved : tuple of Conserved
    arrays : mapping of str to ndarray
        The data that both read.
    before : tuple of (Bound, Bound)
        What computes some data from others, and who reads those.
    """

    flow: Bound
    shown: Bound
    conserved: tuple[Conserved, ...]
    arrays: Mapping[str, NDArray[Any]]
    before: tuple[tuple[Bound, Bound], ...] = ()

    @classmethod
    def of(
        cls,
        problem: Problem,
        arrays: Mapping[str, Any],
        rates: Mapping[str, float],
        lr: float | None,
        observe: Sequence[str],
    ) -> Ready:
        flow, shown = problem.bound_to(arrays, rates, lr, observe)
        numbers = {**problem.all_numbers(rates), **({"lr": lr} if lr is not None else {})}
        before: list[tuple[Bound, Bound]] = []
        known: set[int] = set()
        for bound in (flow, shown):
            prologue = bound.kernel.prologue
            written = {id(bound.arrays[name]) for name in prologue.outputs} if prologue else set()
            if prologue and not written <= known:  # the two may share what is computed once
                before.append((prologue.bind(arrays, numbers), bound))
                known |= written
        return cls(flow, shown, conserved_by(problem.program, flow, problem.parameters), arrays, tuple(before))

    def holding(self, arrays: Mapping[str, NDArray[Any]]) -> Ready:
        """The same with other data in its arrays."""
        for name, values in arrays.items():
            np.copyto(self.arrays[name], values)
        for first, reader in self.before:
            for name, values in first.evaluate(np.zeros(first.state_size)).items():
                if name in reader.arrays:
                    np.copyto(reader.arrays[name], values)
        return self


@contextmanager
def ready(problem: Problem, rates: Mapping[str, float], lr: float | None, observe: Sequence[str]) -> Iterator[Ready]:
    """The bound flow of a problem and of what is observed, for one caller at a time."""
    arrays = problem.arrays
    key = _key(problem, arrays, rates, lr, observe)
    if key is None:
        flow, shown = problem.bind(rates, lr, observe)
        yield Ready(flow, shown, conserved_by(problem.program, flow, problem.parameters), arrays)
        return
    waiting = _kept.setdefault(key, [])
    try:
        found = waiting.pop().holding(arrays)
    except IndexError:  # none, or all in use by other threads
        own = {name: values.copy() for name, values in arrays.items()}
        found = Ready.of(problem, own, rates, lr, observe)
    yield found
    waiting.append(found)
    if len(_kept) > KNOWN:
        _kept.popitem(last=False)


def _key(
    problem: Problem, arrays: Mapping[str, Any], rates: Mapping[str, float], lr: float | None, observe: Sequence[str]
) -> Any:
    """What two problems have in common if they can share a bound flow; None for one that is not kept."""
    if type(problem).bind is not Problem.bind or problem.parallel:
        return None
    numbers = 0
    for values in arrays.values():
        if not (type(values) is np.ndarray and values.dtype.char in "dl" and values.flags.carray):
            return None
        numbers += values.size
    program = problem.program
    if numbers > SMALL or is_ragged(program):
        return None  # rows of different lengths: where they begin is data
    shapes = tuple((name, values.shape, values.dtype.char) for name, values in arrays.items())
    return (
        type(problem),
        program,
        shapes,
        tuple(problem.all_numbers(rates).items()),
        lr,
        tuple(problem.observed),
        tuple(observe),
        tuple(problem.constants.items()),
    )
