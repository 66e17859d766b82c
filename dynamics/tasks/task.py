"""What a task is, and what all tasks share."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.support.errors import InputError
from dynamics.support.typing import Indices, Vector
from dynamics.tasks.examples import Examples


@runtime_checkable
class Task(Protocol):
    """A distribution of examples.

    Attributes
    ----------
    inputs, outputs : int
        Vocabulary sizes V and K.

    Examples
    --------
    >>> from dynamics import Copying
    >>> task = Copying(vocab=12, length=8)
    >>> isinstance(task, Task), len(task.examples(100)), task.population().shape
    (True, 100, (12, 12))
    """

    @property
    def inputs(self) -> int: ...

    @property
    def outputs(self) -> int: ...

    def sample(self, n: int, rng: np.random.Generator) -> Examples:
        """Fresh examples, such as a minibatch.

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator
            Is advanced.

        Returns
        -------
        Examples
            Independent of each other, all of the same length and number of targets.

        Raises
        ------
        InputError
            If n is not a whole number from 1.
        """
        ...

    def population(self, gram: bool = False) -> CoOccurrence | None:
        """The co-occurrence matrix of infinitely many examples, or None if there is no closed form.

        Parameters
        ----------
        gram : bool
            With G = E[B B^T], inputs^2 numbers.

        Returns
        -------
        CoOccurrence or None
            Labels are the ids; the attributes name the task and its parameters.
        """
        ...

    def examples(self, n: int, seed: int = 0) -> Examples:
        """A data set that is the same every time.

        Raises
        ------
        InputError
            If n is not a whole number from 1, or seed not one from 0.
        """
        return self.sample(n, np.random.default_rng(whole("seed", seed, 0)))


def as_examples(task: Task, x: Indices, y: Indices) -> Examples:
    """Rows of words (n, L) and of targets (n, T) as examples, unchecked: checks cost more than sampling does."""
    examples = object.__new__(Examples)
    vars(examples).update(
        x=x.ravel(),
        length=np.full(len(x), x.shape[1]),
        y=y.ravel(),
        targets=np.full(len(y), y.shape[1]),
        inputs=task.inputs,
        outputs=task.outputs,
        positions=(x.shape[1], y.shape[1]),
    )
    return examples


def as_population(task: Any, C: Vector, length: int, gram: Vector | None) -> CoOccurrence:
    """Statistics in closed form, with the task and its parameters as provenance."""
    attrs: dict[str, str | int | float] = {"origin": "task", "task": type(task).__name__}
    attrs |= {field.name: _attribute(getattr(task, field.name)) for field in dataclasses.fields(task)}
    inputs, outputs = (tuple(map(str, range(size))) for size in C.shape)
    return CoOccurrence(C, inputs, outputs, float(length), gram, attrs)


def _attribute(value: Any) -> str | int | float:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return int(value) if isinstance(value, bool | np.bool_) else value


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number as a plain int, or an error that names it."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise InputError(f"{name} is {value!r}; give a whole number from {least}")
    return int(value)


def check_sizes(task: Task, *names: str) -> None:
    """Sizes become plain ints, as NumPy's cannot be saved in attributes."""
    for name in names:
        object.__setattr__(task, name, whole(f"{type(task).__name__}: {name}", getattr(task, name)))
