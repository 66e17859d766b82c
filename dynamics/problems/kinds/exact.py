"""The exact flow of a model on given examples, without closure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program, index_symbols, name_of, subscript
from dynamics.lowering import Kernel
from dynamics.problems.kinds.models import Model
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.support.recipes import fact
from dynamics.tasks import Task
from dynamics.tasks.examples import Examples

__all__ = ["Exact", "points"]

WORTH_SHARING = 5_000_000
"""Points of the largest loop of an evaluation from which several threads pay."""
POPULATION = 2000
"""Examples that stand for all of a task where a fixed set is needed."""


@dataclass(frozen=True, eq=False)
class Exact(Problem):
    """A model on examples, each of them taken as it is.

    Attributes
    ----------
    model : Model
        :func:`dynamics.keyword`, :func:`dynamics.lexical`, ..., or that of a program.
    data : Examples or Task
        Inputs of any length with their targets; or where they are drawn from.
    seed, population : int
        Of the fixed set of examples that stands for a task where one is needed (to solve), and how many these are.

    Raises
    ------
    InputError
        Data that the model cannot take.

    Examples
    --------
    >>> from dynamics import solve
    >>> from dynamics.problems.kinds.models import keyword
    >>> examples = Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2)  # words 0 and 1 decide
    >>> solve(Exact(keyword(), examples), [0, 100, 1000]).loss.values.round(3)
    array([0.693, 0.011, 0.001])
    """

    model: Model
    data: Examples | Task
    seed: int = 0
    population: int = POPULATION

    def __post_init__(self) -> None:
        if not isinstance(self.data, Examples | Task):
            raise InputError(f"cannot draw examples from {type(self.data).__name__}; give Examples or a task")
        self.model.check(self.examples)

    @cached_property
    def examples(self) -> Examples:
        """The examples, or a fixed set that stands for the task."""
        return self.data if isinstance(self.data, Examples) else self.data.examples(self.population, self.seed)

    @property
    def is_own(self) -> bool:
        return self.model.is_own

    @property
    def program(self) -> Program:
        return self.model.program

    @cached_property
    def arrays(self) -> Mapping[str, Any]:
        return self.model.arrays(self.examples)

    @property
    def sizes(self) -> Mapping[str, int]:
        return self.model.all_sizes(self.examples)

    @property
    def parameters(self) -> Mapping[str, float]:
        return self.model.parameters

    @property
    def labels(self) -> Mapping[str, NDArray[Any]]:
        return self.examples.coordinates

    @property
    def frequency(self) -> Mapping[str, NDArray[np.float64]]:
        found = self.examples
        return {
            "input": np.bincount(found.x, minlength=found.inputs).astype(float),
            "output": np.bincount(found.y, minlength=found.outputs).astype(float),
        }

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        return self.model.dims

    def axes(self, name: str) -> tuple[str, ...]:
        return self.model.axes(name)

    @cached_property
    def parallel(self) -> bool:
        return points(self.program, self.sizes, self.arrays) >= WORTH_SHARING

    @property
    def attrs(self) -> Mapping[str, Any]:
        return {"examples": len(self.examples)}

    @property
    def constants(self) -> Mapping[str, int]:
        return self.model.constants(self.examples)

    def kernel(self, outputs: Sequence[str] | None = None, parallel: bool | None = None) -> Kernel:
        shared = self.parallel if parallel is None else parallel
        return self.model.kernel(self.examples, None if outputs is None else tuple(outputs), shared)

    def initial(self, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0) -> NDArray[np.float64]:
        start = self.model.initial(self.examples, self.aligned(values), seed)
        return np.concatenate([start[name].ravel() for name in self.program.state_names])

    def with_program(self, program: Program, parameters: Mapping[str, float] = MappingProxyType({})) -> Self:
        given = {**self.model.parameters, **parameters}
        return replace(self, model=replace(self.model, program=program, parameters=given))


def points(program: Program, sizes: Mapping[str, int], arrays: Mapping[str, Any]) -> int:
    """Points of the largest loop over rows of different lengths: roughly the products of an evaluation.

    Examples
    --------
    >>> from derivations.models import keyword_classifier
    >>> points(keyword_classifier(), {"V": 9, "K": 5}, {"length": np.array([2, 4])})
    30
    """
    most = 0
    for ragged, plain in _walks(program):
        rows = math.prod(np.asarray(arrays[lengths]) for lengths in ragged)
        most = max(most, int(np.sum(rows)) * math.prod(sizes[extent] for extent in plain if extent in sizes))
    return most


@fact
def _walks(program: Program) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """What loops over rows of different lengths walk: the data with these lengths, and how long other indices are."""
    model, found = program.model or program, []
    for d in model.definitions:
        space = index_symbols(d.lhs, model.extents) | set(d.over)
        ragged = [model.extents[index] for index in space if model.extents[index].is_Indexed]
        owners = {symbol for extent in ragged for symbol in subscript(extent)}
        plain = [str(model.extents[i]) for i in space - owners if not model.extents[i].is_Indexed]
        if ragged:
            found.append((tuple(map(name_of, ragged)), tuple(plain)))
    return tuple(dict.fromkeys(found))
