"""Closures on a co-occurrence matrix: both stages, or stage one, from counts alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program, Role
from dynamics.counts.cooccurrence import CoOccurrence
from dynamics.lowering import Bound
from dynamics.problems.problem import Problem, Variable, computed, state_at
from dynamics.problems.settings.keep import Keep
from dynamics.support.errors import InputError
from dynamics.support.memory import require
from dynamics.support.recipes import made
from dynamics.support.typing import Indices, Vector

__all__ = ["CLOSURES", "WORTH_SHARING", "Closure"]

WORTH_SHARING = 100_000
"""States with this many numbers run on several threads."""
STATES_AT_WORK = 12
"""Copies of the state that a Runge-Kutta integration, its workspace and its results hold at one time."""

BOTH_STAGES = "conditional"
BAGS = "bags"
"""Both stages on sentences, see :mod:`dynamics.problems.kinds.bags`."""
STAGE_ONE = {"linear": "linear", "linear-bias": "linear_bias", "marginal": "marginal", "gram": "gram"}
CLOSURES = (BOTH_STAGES, *STAGE_ONE)
"""From counts alone."""


class Entries(NamedTuple):
    """Where the entries of attention are stored that are not zero: column by column.

    Attributes
    ----------
    word, column : ndarray, shape (entries,)
        Which input word, and which output, an entry belongs to.
    starts, members : ndarray, shape (outputs,)
        Where the entries of an output begin, and how many there are.
    share : ndarray, shape (entries,)
        R at them.
    """

    word: Indices
    column: Indices
    starts: Indices
    members: Indices
    share: Vector

    @classmethod
    def of(cls, matrix: Any) -> Entries:
        pattern = scipy.sparse.csc_array(matrix)
        pattern.sort_indices()
        count = np.diff(pattern.indptr)
        column = np.repeat(np.arange(pattern.shape[1]), count)
        starts = np.concatenate([[0], np.cumsum(count)[:-1]])
        return cls(pattern.indices, column, starts, count, pattern.data)

    def at(self, shape: tuple[int, int], rows: Indices, columns: Indices) -> Indices:
        """The entry at each of some cells, -1 where there is none."""
        numbered = scipy.sparse.csr_array(
            (np.arange(1, self.word.size + 1), (self.word, self.column)), shape=shape, dtype=np.int64
        )
        return numbered[rows][:, columns].toarray() - 1


@dataclass(frozen=True, eq=False)
class Closure(Problem):
    """A closure on counts: the words of a sentence are replaced by what co-occurrence says of them.

    Attributes
    ----------
    counts : CoOccurrence
        The co-occurrence of V inputs with K outputs.
    closure : str
        ``conditional`` (both stages), or one of stage one, in which attention stays uniform: ``linear``,
        ``linear-bias``, ``marginal`` (needs the mean length) or ``gram`` (needs the Gram matrix).

    Raises
    ------
    InputError
        An unknown closure; or, when it is solved, one that lacks its statistic.

    References
    ----------
    Snell et al., arXiv 2103.07601. The equations: :mod:`derivations.closures`.

    Examples
    --------
    >>> lexicon = Closure(CoOccurrence.from_counts([[8, 1, 0], [1, 8, 2]]))
    >>> lexicon.name, lexicon.shapes
    ('joint', {'W': (2, 3), 'A': (2, 3)})
    """

    counts: CoOccurrence
    closure: str = BOTH_STAGES

    def __post_init__(self) -> None:
        if self.closure not in (*CLOSURES, BAGS):
            raise InputError(f"unknown closure {self.closure!r}; use one of {', '.join((*CLOSURES, BAGS))}")
        if self.closure == BAGS:
            raise InputError("the bags closure is a problem of its own: BagsClosure(counts), or solve(closure='bags')")

    @property
    def both_stages(self) -> bool:
        return self.closure == BOTH_STAGES

    @cached_property
    def sparse(self) -> bool:
        """Whether attention is stored on the counts that are not zero."""
        return self.both_stages and self.counts.is_sparse

    @cached_property
    def program(self) -> Program:
        if not self.both_stages:
            return made(f"derivations.closures:{STAGE_ONE[self.closure]}")
        return made(f"derivations.closures:{'both_stages_sparse' if self.sparse else 'both_stages'}")

    @cached_property
    def entries(self) -> Entries:
        """Where attention is stored, if that is sparse."""
        return Entries.of(self.counts.conditional())

    @cached_property
    def arrays(self) -> Mapping[str, Any]:
        counts = self.counts
        if self.sparse:
            return {
                "q": counts.q, "count": self.entries.members, "word": self.entries.word, "R": self.entries.share,
            }  # fmt: skip
        if self.both_stages:
            return {"q": counts.q, "R": counts.conditional()}
        if self.closure == "gram" and counts.gram is None:
            raise InputError("the Gram closure needs the Gram matrix; count the text with gram=True")
        found = {"C": counts.dense().C, "c": counts.c, "q": counts.q}
        return found | ({"G": counts.gram} if self.closure == "gram" else {})

    @property
    def sizes(self) -> Mapping[str, int]:
        return {"V": self.counts.shape[0], "K": self.counts.shape[1]}

    @property
    def parameters(self) -> Mapping[str, float]:
        if self.closure != "marginal":
            return {}
        if self.counts.length is None:
            raise InputError("the marginal closure needs the mean input length; give length= with the counts")
        return {"L": self.counts.length}

    @property
    def constants(self) -> Mapping[str, int]:
        return {}

    @cached_property
    def labels(self) -> Mapping[str, NDArray[Any]]:
        return {"input": np.array(self.counts.inputs), "output": np.array(self.counts.outputs)}

    @property
    def frequency(self) -> Mapping[str, Vector]:
        return {"input": self.counts.c, "output": self.counts.q}

    @property
    def size(self) -> int:
        """Numbers of the state."""
        inputs, outputs = self.counts.shape
        return inputs * outputs + self.attention_size

    @property
    def attention_size(self) -> int:
        if not self.both_stages:
            return 0
        return self.counts.nnz if self.sparse else self.counts.shape[0] * self.counts.shape[1]

    @property
    def parallel(self) -> bool:
        return self.size >= WORTH_SHARING

    @property
    def described(self) -> str:
        return f"the closure {self.closure!r}"

    @property
    def attrs(self) -> Mapping[str, Any]:
        return {
            "closure": self.closure,
            **({"length": self.counts.length} if self.counts.length is not None else {}),
            **{f"cooccurrence_{key}": value for key, value in self.counts.attrs.items()},
        }

    @property
    def observed(self) -> tuple[str, ...]:
        program = self.program
        return (*super().observed, *program.with_role(Role.KTIW), *program.with_role(Role.WEIGHTS))

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        return dict.fromkeys(self.program.state_names, ("input", "output"))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self.program.state_names, self.counts.shape)

    def initial(self, values: Mapping[str, ArrayLike | float] | None = None, seed: int = 0) -> Vector:
        """The packed state to start from; attention is packed as it is stored.

        Raises
        ------
        InputError
            An unknown state, an array that is not finite or of another shape, or a seed below 0.
        """
        if not values:
            return np.zeros(self.size)
        packed = super().initial(values, seed)
        if not self.sparse:
            return packed
        of_words, attention = np.split(packed, 2)
        stored = attention.reshape(self.counts.shape)[self.entries.word, self.entries.column]
        return np.concatenate([of_words, stored])

    def variables(self, keep: Keep) -> tuple[Variable, ...]:
        """States, KTIW, loss; the learnt translation of inputs, and which of them each output attends to most."""
        program, labels = self.program, self.labels
        rows, columns = keep.positions["input"], keep.positions["output"]
        cells = None if keep.everything(("input", "output")) else keep.cells(("input", "output"))
        shape = (rows.size, columns.size)
        (values,), (ktiw,) = program.with_role(Role.VALUES), program.with_role(Role.KTIW)
        units, both = program.units, ("input", "output")

        def described(long_name: str, name: str, role: Role | None = None) -> dict[str, str]:
            return {
                "long_name": long_name,
                "units": units.get(name, ""),
                **({"role": str(role)} if role is not None else {}),
            }

        found = [
            Variable(
                values, both, shape,
                state_at(values, cells),
                described("value of an input word for an output", values, Role.VALUES),
            ),
            Variable(
                ktiw, both, shape,
                computed(ktiw, cells),
                described("KTIW: probability of the output given the input word alone", ktiw, Role.KTIW),
            ),
            *self.scalars(),
            Variable(
                "translation", ("input",), (rows.size,),
                lambda _, seen: seen[ktiw].argmax(axis=1)[rows],
                described("output with the largest KTIW, among all outputs", ""),
                labels["output"],
            ),
        ]  # fmt: skip
        if not self.both_stages:
            return tuple(found)
        (logits,), (weights,) = program.with_role(Role.ATTENTION), program.with_role(Role.WEIGHTS)
        if self.sparse:
            at = self.entries.at(self.counts.shape, rows, columns)
            read: Any = lambda states, _: np.where(at >= 0, states[logits][at], 0.0)  # noqa: E731
        else:
            read = state_at(logits, cells)
        found.insert(
            1,
            Variable(
                logits, both, shape, read,
                described("attention logit of an input word while the target is the output", logits, Role.ATTENTION),
            ),
        )  # fmt: skip
        found += [
            Variable(
                "attention", ("output",), (columns.size,),
                lambda _, seen: self.best(seen[weights], columns)[1],
                {"long_name": "share of attention on the best input word, given the output", "units": "1"},
            ),
            Variable(
                "attended", ("output",), (columns.size,),
                lambda _, seen: self.best(seen[weights], columns)[0],
                described("input word with the largest share of attention, given the output", ""),
                labels["input"],
            ),
        ]  # fmt: skip
        return tuple(found)

    def best(self, share: NDArray[Any], columns: Indices) -> tuple[Indices, Vector]:
        """The input word with the largest share of each output's attention, and its share."""
        if share.ndim == 2:
            words = share.argmax(axis=0)[columns]
            return words, share[words, columns]
        count, starts = self.entries.members, self.entries.starts
        entries = np.array([starts[o] + share[starts[o] : starts[o] + count[o]].argmax() for o in columns])
        return self.entries.word[entries], share[entries]

    @property
    def products(self) -> float:
        """Multiplications of one evaluation, roughly: three products of the words given a target with W."""
        inputs, outputs = self.counts.shape
        return 3.0 * outputs * (self.counts.nnz if self.sparse else inputs * outputs)

    def drive(self, flow: Bound, before: Vector, after: Vector) -> float:
        """By how much the attention logits of an average target's best word have grown."""
        (logits,) = self.program.with_role(Role.ATTENTION)
        grown = flow.states(after)[logits] - flow.states(before)[logits]
        best = grown.max(axis=0) if grown.ndim == 2 else np.maximum.reduceat(grown, self.entries.starts)
        return float(self.counts.q @ best)

    def require_memory(self, times: int, keep: Keep) -> None:
        """Refuse what memory cannot hold, before anything is allocated."""
        inputs, outputs = self.counts.shape
        kept = times * keep.positions["input"].size * keep.positions["output"].size * (3 if self.both_stages else 2)

        def needed(rows: int, columns: int, entries: int) -> int:
            return 8 * (STATES_AT_WORK * (rows * columns + entries) + columns * columns)

        def with_vocabulary(most: int) -> int:
            # The most frequent words have the fewest zeros, and are soon stored dense.
            rows, columns = min(inputs, most), min(outputs, most)
            return needed(rows, columns, rows * columns if self.both_stages else 0)

        work = needed(inputs, outputs, self.attention_size)

        def fitting(budget: float) -> str:
            fits = bisect_right(range(1, max(inputs, outputs)), budget, key=with_vocabulary)
            return f"max_vocab={fits} would fit" if fits else "no vocabulary would fit"

        require(work, f"the flow of {inputs} x {outputs} words", fitting)
        require(
            work + 8 * kept,
            f"the result, {times} times the chosen words,",
            lambda budget: (
                f"top={max(1, int(((budget - work) / (24 * times)) ** 0.5))} keeps the most frequent words only"
            ),
        )
