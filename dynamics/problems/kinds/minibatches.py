"""A program on part of its examples: some of one's own arrays, or fresh ones from a sampler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program, ProgramError, name_of, subscript
from dynamics.problems.kinds.arrays import OnArrays, checked, flow_of
from dynamics.problems.kinds.labelled_arrays import by_dimension, without_labels
from dynamics.support.errors import InputError

__all__ = ["InPart", "Sampled", "Sampler", "in_part", "sampled"]

Sampler = Callable[[np.random.Generator, int], Mapping[str, ArrayLike]]
"""From a generator of random numbers and how many examples, to all data of a program by name."""

POPULATION = 2000
"""Examples that stand for all that a sampler may draw."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Sampled(OnArrays):
    """A program whose examples are drawn; made by :func:`sampled`. Where a fixed set is needed, some stand for all.

    Attributes
    ----------
    sampler : callable
    values : mapping of str to float
        Parameters, and sizes that the arrays do not decide.
    """

    sampler: Sampler | None = None
    values: Mapping[str, float] | None = None

    def draw(self, random: np.random.Generator, count: int) -> Arrays:
        """Fresh arrays, checked as one's own are.

        Raises
        ------
        InputError
            Arrays that do not fit the program, or that are not of this many examples.
        """
        return drawn(self, self.sampler, self.values or {}, random, count)


def drawn(
    problem: OnArrays, sampler: Sampler | None, values: Mapping[str, float], random: np.random.Generator, count: int
) -> Arrays:
    """What a sampler gives, of the same sizes as what it gave before."""
    assert sampler is not None
    arrays, sizes, _ = checked(problem.program, without_labels(problem.program, given_by(sampler, random, count))[0], {
        **problem.given, **values,
    })  # fmt: skip
    of_examples = size_of_examples(problem.program)
    if sizes[of_examples] != count:
        raise InputError(f"the sampler gave {sizes[of_examples]} examples where {count} were asked for")
    for name, n in sizes.items():
        if name != of_examples and n != problem.known[name]:
            raise InputError(f"the sampler gave arrays with {name} = {n}, and {problem.known[name]} before")
    return arrays


def given_by(sampler: Sampler, random: np.random.Generator, count: int) -> Mapping[str, ArrayLike]:
    """What a sampler gives, if that is arrays by name."""
    found = sampler(random, count)
    if not isinstance(found, Mapping):
        raise InputError(
            f"the sampler gave {type(found).__name__}; it takes a numpy Generator and a number of examples, and gives"
            " arrays by name"
        )
    return found


def size_of_examples(program: Program) -> str:
    """The size that counts the examples of a program.

    Raises
    ------
    InputError
        It does not say which index is that of examples, or no array has it.
    """
    if program.examples is None:
        raise InputError(
            f"{program.name}: which index counts examples is not said, and so arrays are taken whole; declare it with"
            " examples=, or leave batch out"
        )
    size = program.extents[program.examples]
    if not any(size in [program.extents[index] for index in subscript(access)] for access in program.data):
        raise InputError(f"{program.name}: no array has the index {program.examples} of examples; leave batch out")
    return str(size)


def sampled(
    program: Program,
    sampler: Sampler,
    values: Mapping[str, float] | None = None,
    seed: int = 0,
    count: int = POPULATION,
) -> Sampled:
    """A program with a sampler for its data.

    Parameters
    ----------
    program : Program
        With ``examples``, the index of its examples.
    sampler : callable
        ``sampler(random, n)``, from a numpy Generator and a number of examples to all data by name.
    values : mapping of str to float, optional
        Parameters, and sizes that the arrays do not decide.
    seed, count : int
        Of the fixed set that stands for all examples where one is needed (to solve), and how many these are.

    Raises
    ------
    InputError
        As for :func:`dynamics.on_arrays`.

    Examples
    --------
    >>> from dynamics import simulate
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (N, D), (n, d), (x, w) = sizes("N D"), indices("n d"), tensors("x w")
    >>> mean = model(
    ...     "Mean", extents={n: N, d: D}, data=x[n, d], states=w[d], examples=n,
    ...     loss=SumOver((x[n, d] - w[d]) ** 2 / (2 * N), n, d),
    ... )  # fmt: skip
    >>> run = simulate(mean, lambda random, n: {"x": 3 + random.normal(size=(n, 2))}, lr=0.1, batch=50, steps=200)
    >>> run.w.isel(seed=0, time=-1).values.round(1)
    array([3., 3.])
    """
    flow = flow_of(program)
    size_of_examples(flow)
    plain, named = without_labels(flow, given_by(sampler, np.random.default_rng(seed), count))
    arrays, sizes, parameters = checked(flow, plain, values or {})
    return Sampled(flow, arrays, sizes, parameters, by_dimension(flow, named), {}, sampler, dict(values or {}))


@dataclass(frozen=True, eq=False)
class InPart(OnArrays):
    """A program some of whose examples are at hand at one time; made by :func:`in_part`.

    Attributes
    ----------
    share : str
        The parameter that says how many examples each of those at hand stands for.
    total : int
        How many there are.
    source : OnArrays
        The problem as it is on all of them.
    """

    share: str = ""
    total: int = 0
    source: OnArrays | None = None

    @property
    def fresh(self) -> bool:
        """Whether examples are drawn."""
        return isinstance(self.source, Sampled)

    def draw(self, random: np.random.Generator, count: int) -> Arrays:
        """Fresh examples."""
        assert isinstance(self.source, Sampled)
        return self.source.draw(random, count)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {**self.given, **self.standing_for(len(self))}

    def standing_for(self, count: int) -> dict[str, float]:
        """The parameter of a batch of so many examples."""
        return {self.share: self.total / count}

    @property
    def constants(self) -> Mapping[str, int]:
        examples = size_of_examples(self.program)
        return {name: n for name, n in super().constants.items() if name != examples}

    def __len__(self) -> int:
        """Examples at hand."""
        return self.known[size_of_examples(self.program)]

    @cached_property
    def layout(self) -> tuple[tuple[str, int | None, str | None], ...]:
        """Each array with its axis of examples (None if it has none), and the array of lengths of its rows."""
        program, found = self.program, []
        size = size_of_examples(program)
        for access in program.data:
            axis, rows = None, None
            for index in subscript(access):
                extent = program.extents[index]
                if str(extent) == size:
                    axis = subscript(access).index(index)
                elif axis is not None and extent.is_Indexed:
                    rows = name_of(extent)
            found.append((name_of(access), axis, rows))
        return tuple(found)

    @cached_property
    def starts(self) -> Mapping[str, NDArray[np.int64]]:
        """Where the rows of each example begin, by the array of their lengths."""
        lengths = {rows for _, _, rows in self.layout if rows is not None}
        return {name: np.cumsum(self.data[name]) - self.data[name] for name in lengths}

    def take(self, which: NDArray[np.int64]) -> Arrays:
        """The arrays of some of the examples."""
        found = {}
        for name, axis, rows in self.layout:
            array = self.data[name]
            if axis is None:
                found[name] = array
            elif rows is None:
                found[name] = np.ascontiguousarray(array.take(which, axis))
            else:
                counts = self.data[rows][which]
                ends = np.cumsum(counts)
                flat = np.repeat(self.starts[rows][which] - (ends - counts), counts) + np.arange(int(ends[-1]))
                found[name] = np.ascontiguousarray(array.take(flat, axis))
        return found

    def of(self, arrays: Arrays, count: int) -> Self:
        """The same with other examples at hand."""
        return replace(self, data=arrays, known={**self.known, size_of_examples(self.program): count})


def in_part(problem: OnArrays) -> InPart:
    """The problem with examples that can be taken in part: what minibatches and fresh examples are for.

    Raises
    ------
    InputError
        Some of its examples do not tell what all of them do; the message says why not.
    """
    size = size_of_examples(problem.program)
    try:
        from derivations.gradient_flow.minibatches import on_minibatches

        program, share = on_minibatches(problem.program)
    except ProgramError as error:
        raise InputError(f"{error}: leave batch out") from None
    return InPart(
        program, problem.data, problem.known, problem.given, problem.entries, problem.often, share.name,
        problem.known[size], problem,
    )  # fmt: skip
