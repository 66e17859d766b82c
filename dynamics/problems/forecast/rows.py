"""The row model in numbers: its start, steps of Adam, and what it predicts; the equations are those of `rows-...`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from sympy import Symbol

from derivations.gradient_flow import second_moments
from derivations.models.rows import KINDS
from derivations.program.access import name_of, subscript
from derivations.program.program import Program
from derivations.registry import program
from dynamics.lowering.arrays import ArrayKernel, array_kernel
from dynamics.problems.forecast.sentences import Sentences
from dynamics.problems.predictions.adam import Adam, Averages
from dynamics.support.errors import InputError

__all__ = ["RowModel", "RowState", "Sentences"]

WARM_UP = 4, 40
"""Evaluations at the start that take new second moments whatever `every`, `every_table` say."""
PLACES, WORDS = ("source_place", "place"), ("input", "previous")
"""What the first axes of tables are called."""


@dataclass(frozen=True)
class RowState:
    """A row model within its training.

    Attributes
    ----------
    tensors : mapping of str to array
        The states of the program, by name.
    averages : Averages
        What Adam remembers.
    moments : mapping of str to array
        The second moments that were used last.
    evaluations : int
        How many gradients have been taken.
    """

    tensors: Mapping[str, Any]
    averages: Averages
    moments: Mapping[str, Any]
    evaluations: int = 0

    @property
    def time(self) -> float:
        """Steps so far."""
        return self.averages.time


@cache
def with_moments(kind: str) -> Program:
    return second_moments(program(f"rows-{kind}"))


@dataclass(frozen=True)
class RowModel:
    """A row model of some kind and size.

    Attributes
    ----------
    kind : {"recurrent", "prefix", "mean"}
        What keys and states know beside their own word.
    inputs, outputs : int
        Source words; target words, without the start and the end.
    width : int
        Coordinates of all vectors.
    places : int
        The longest sentence that it takes, on either side, the end included.
    dtype : {"float32", "float64"}

    Examples
    --------
    >>> model = RowModel("prefix", inputs=2, outputs=3, width=4, dtype="float64")
    >>> sentences = Sentences.of([([0, 1], [2]), ([1], [0, 1])], outputs=3)
    >>> state = model.start(seed=0)
    >>> for _ in range(50):
    ...     state = model.step(state, sentences, dt=1, lr=0.05, batch=2, rows=sentences.mean_targets)
    >>> state.time, model.loss(state, sentences) < 0.5 * model.loss(model.start(seed=0), sentences)
    (50.0, True)
    """

    kind: str
    inputs: int
    outputs: int
    width: int = 64
    places: int = 64
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"there is no row model {self.kind!r}; take one of {', '.join(KINDS)}")
        for name in ("inputs", "outputs", "width", "places"):
            if getattr(self, name) < 1:
                raise InputError(f"a row model needs {name} of 1 or more, not {getattr(self, name)}")

    @property
    def program(self) -> Program:
        """The gradient flow with its second moments."""
        return with_moments(self.kind)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """The sizes of the program, by name."""
        axes = self.program.dimensions
        of = {
            "input": self.inputs, "previous": self.outputs + 1, "output": self.outputs + 1, "dimension": self.width,
            "source_place": self.places, "place": self.places,
        }  # fmt: skip
        return {str(extent): of[axes[index]] for index, extent in self.program.extents.items() if axes.get(index) in of}

    def start(self, seed: int, *, embeddings: float | None = None, positions: float | None = None) -> RowState:
        """The model before its first step, drawn from a seed.

        Parameters
        ----------
        seed : int
        embeddings, positions : float, optional
            Standard deviations of the tables of words and of places; those of the program if not given.
        """
        rng = np.random.default_rng(seed)
        tensors = {}
        for state in self.program.states:
            axes = [self.program.dimensions[index] for index in subscript(state)]
            shape = tuple(self.sizes[str(self.program.extents[index])] for index in subscript(state))
            own = self.program.initial.get(name_of(state), 0)
            size = float(
                own if not own else own.subs({Symbol(k, integer=True, positive=True): v for k, v in self.sizes.items()})
            )
            given = positions if axes[0] in PLACES else embeddings if axes[0] in WORDS else None
            size = size if given is None else given
            tensors[name_of(state)] = (size * rng.standard_normal(shape)).astype(self.dtype)
        return RowState(tensors, Averages.none(tensors), {})

    def kernel(self, *outputs: str) -> ArrayKernel:
        return array_kernel(self.program, outputs, self.dtype, looped=True)

    def of_slopes(self, moments: tuple[str, ...]) -> ArrayKernel:
        """The gradient, and the second moments of some states."""
        bars = tuple(self.program.adjoints[name] for name in self.program.state_names)
        return self.kernel(*bars, *(self.program.moments[name] for name in moments))

    def data(self, sentences: Sentences) -> dict[str, Any]:
        """Sentences as the program has them: all rows of a sentence, one after another."""
        wide, long = int(sentences.length.max()), int(sentences.targets.max())
        if (most := max(wide, long)) > self.places:
            raise InputError(f"a sentence has {most} places, the model {self.places}; cut it, or set places={most}")
        sources = np.arange(sentences.x.shape[1]) < sentences.length[:, None]
        rows = np.arange(sentences.p.shape[1]) < sentences.targets[:, None]
        last = sentences.p[rows]
        return {
            "length": sentences.length, "x": sentences.x[sources], "targets": sentences.targets, "last": last,
            "place": np.nonzero(rows)[1], "y": sentences.o[rows], "words": sentences.targets, "past": last,
        }  # fmt: skip

    def loss(self, state: RowState, sentences: Sentences) -> float:
        """The mean cross-entropy of all rows, in nats."""
        found = self.kernel("loss")(**state.tensors, **self.data(sentences), rows=sentences.mean_targets)
        return float(found["loss"])

    def gradient(
        self, state: RowState, sentences: Sentences, rows: float, moments: tuple[str, ...] = ()
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The gradient of the loss by every state, and second moments of some of them, by state."""
        found = self.of_slopes(moments)(**state.tensors, **self.data(sentences), rows=rows)
        slopes = {name: found[self.program.adjoints[name]] for name in self.program.state_names}
        return slopes, {name: found[self.program.moments[name]] for name in moments}

    def step(
        self, state: RowState, sentences: Sentences, *, dt: float, lr: float, batch: float, rows: float,
        b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, every: int = 4, every_table: int = 1,
    ) -> RowState:  # fmt: skip
        """The state after `dt` steps of Adam with batches of `batch` sentences, from the gradient on some sentences.

        Parameters
        ----------
        state : RowState
        sentences : Sentences
            Those that the gradient is taken on.
        dt, lr, batch, b1, b2, eps : float
            Steps, and the options of Adam.
        rows : float
            Mean number of rows of the sentences of the whole text.
        every, every_table : int
            How many evaluations keep the second moments of matrices, and of tables of words and places. They change
            slowly and cost as much as the gradient itself.
        """
        new = tuple(
            name
            for name, access in zip(self.program.state_names, self.program.states, strict=True)
            for table in [
                len(subscript(access)) < 2 or self.program.dimensions[subscript(access)[0]] in (*PLACES, *WORDS)
            ]
            if state.evaluations % (every_table if table else every) == 0 or state.evaluations < WARM_UP[table]
        )
        slopes, moments = self.gradient(state, sentences, rows, new)
        moments = {**state.moments, **moments}
        optimiser = Adam(lr, b1, b2, eps, batch)
        tensors, averages = optimiser.step(state.tensors, state.averages, slopes, moments, len(sentences), dt)
        return RowState(tensors, averages, moments, state.evaluations + 1)

    def answers(self, state: RowState, sentences: Sentences) -> tuple[Any, Any]:
        """What is predicted of the answer in every row of some sentences, and the attention.

        Returns
        -------
        probabilities : array, shape (n, T)
            Zero where there is no row.
        attention : array, shape (n, T, L)
        """
        rows = np.arange(sentences.o.shape[1]) < sentences.targets[:, None]
        found = self.predicted(state, sentences, sentences.targets, np.nonzero(rows)[1], sentences.o[rows])
        probabilities = np.zeros(rows.shape, self.dtype)
        attention = np.zeros((*rows.shape, sentences.x.shape[1]), self.dtype)
        probabilities[rows], attention[rows] = found
        return probabilities, attention

    def predicted(self, state: RowState, sentences: Sentences, number: Any, place: Any, word: Any) -> tuple[Any, Any]:
        """What is predicted of given words in some rows of sentences, and the attention.

        The keys of a sentence are made once for all of its rows: quicker than :meth:`probabilities` where rows share
        sentences.

        Parameters
        ----------
        state : RowState
        sentences : Sentences
        number : array of int, shape (n,)
            How many rows of each sentence, one or more.
        place, word : array of int, shape (number.sum(),)
            Where each row is, those of a sentence one after another, and the word that is asked for.

        Returns
        -------
        probabilities : array, shape (number.sum(),)
        attention : array, shape (number.sum(), L)
        """
        whole = self.data(sentences)
        owner = np.repeat(np.arange(len(sentences)), number)
        found = self.kernel("surprisal", "alpha")(
            **state.tensors, length=whole["length"], x=whole["x"], targets=number, last=sentences.p[owner, place],
            place=place, y=word, words=whole["words"], past=whole["past"],
        )  # fmt: skip
        attention = np.zeros((len(place), sentences.x.shape[1]), self.dtype)
        attention[:, : found["alpha"].shape[1]] = found["alpha"]
        return np.exp(-found["surprisal"]), attention

    def probabilities(
        self, state: RowState, x: Any, length: Any, p: Any, t: Any, o: Any | None = None
    ) -> tuple[Any, Any]:
        """What is predicted in single rows, and the attention.

        Parameters
        ----------
        state : RowState
        x : array of int, shape (m, L)
            The source of each row.
        length : array of int, shape (m,)
        p : array of int, shape (m, T)
            The target words before each place, from the start on.
        t : array of int, shape (m,)
            The place of the row: words of `p` up to it are read.
        o : array of int, shape (m,), optional
            The outputs asked for.

        Returns
        -------
        probabilities : array, shape (m,), or (m, outputs + 1) without `o`
        attention : array, shape (m, L)
        """
        x, length, p, t = (np.asarray(a) for a in (x, length, p, t))
        wide, long = int(length.max()), int(t.max()) + 1
        if max(wide, long) > self.places:
            raise InputError(f"a row has {max(wide, long)} places, the model {self.places}")
        words = t + 1
        found = self.kernel("z", "normaliser", "alpha")(
            **state.tensors, length=length, x=x[np.arange(x.shape[1]) < length[:, None]], targets=np.ones(len(t), int),
            last=p[np.arange(len(t)), t], place=t, y=np.zeros(len(t), int), words=words,
            past=p[np.arange(p.shape[1]) < words[:, None]],
        )  # fmt: skip
        attention = np.zeros(x.shape, self.dtype)
        attention[:, :wide] = found["alpha"]
        z, normaliser = found["z"], found["normaliser"]
        if o is not None:
            return np.exp(z[np.arange(len(t)), o] - normaliser), attention
        return np.exp(z - normaliser[:, None]), attention
