"""Exact flow of lexical attention on a toy lexicon, by the number of sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

from benchmarks.accuracy import at_equal_error, furthest
from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.own import flat
from benchmarks.peers import Values, gradient_flows, softmax
from dynamics import solve
from dynamics.problems.kinds.models import lexical
from dynamics.tasks import ToyLexicon
from dynamics.tasks.examples import Examples

TASK, TAU = ToyLexicon(vocab=60, length=8), 100.0
TARGET = 1e-9


def loss(xp: Any, data: Any, W: Any, A: Any) -> Any:
    x, y = data["x"], data["y"]
    attention = xp.softmax(A[x[:, None, :], y[:, :, None]], 2)
    predicted = xp.log_softmax(xp.einsum("ntl,nlo->nto", attention, W[x]), 2)
    return -(predicted * data["target"]).sum() / (y.shape[0] * y.shape[1])


class ByHand:
    """The slope in NumPy, sums over repeated words as sparse products."""

    def __init__(self, x: Values, y: Values, V: int, K: int) -> None:
        self.x, self.y, self.shape = x, y, (V, K)
        self.target = np.eye(K)[y]
        words = (np.ones(x.size), (x.ravel(), np.arange(x.size)))
        self.gathered = scipy.sparse.csr_array(words, shape=(V, x.size))
        self.cell = (x[:, None, :] * K + y[:, :, None]).ravel()

    def __call__(self, state: Values) -> Values:
        V, K = self.shape
        W, A = state.reshape(2, V, K)
        attention = softmax(A.ravel()[self.cell].reshape(len(self.x), -1, self.x.shape[1]))
        values = W[self.x]
        z = (self.target - softmax(attention @ values)) / self.y.size
        drive = z @ values.transpose(0, 2, 1)
        moved = attention * (drive - (attention * drive).sum(axis=-1, keepdims=True))
        dW = self.gathered @ (attention.transpose(0, 2, 1) @ z).reshape(-1, K)
        return np.concatenate([dW.ravel(), np.bincount(self.cell, moved.ravel(), V * K)])


def ends(examples: Examples, rtol: float, atol: float) -> tuple[Values, int]:
    """The state at the end and the evaluations that it took."""
    found = solve(lexical(), examples, [TAU], rtol=rtol, atol=atol, threads=1)
    return flat(found, "W", "A"), found.attrs["evaluations"]


def own(examples: Examples, rtol: float, atol: float) -> Callable[[], Values]:
    return lambda: ends(examples, rtol, atol)[0]


def rows(setting: Setting) -> Iterator[Row]:
    found: dict[str, Contender] = {}
    for sentences in (250, 1000) if setting.quick else (250, 1000, 4000):
        examples = TASK.examples(sentences)
        V, K, L = examples.inputs, examples.outputs, TASK.length
        x, y = examples.x.reshape(-1, L), examples.y.reshape(-1, L)
        exact, _ = ends(examples, 1e-10, 1e-13)
        data, start = {"x": x, "y": y, "target": np.eye(K)[y]}, [np.zeros((V, K))] * 2
        flows = gradient_flows(loss, data, start, (1.0, 1.0), TAU, ByHand(x, y, V, K))
        found = at_equal_error({"dynamics": partial(own, examples)} | flows, furthest(exact), TARGET, near=found)
        rtol = found["dynamics"].tolerance
        evaluations = ends(examples, rtol, 1e-3 * rtol)[1]
        # Three sums over words of a product for each target and output; words, targets, states and slopes once each.
        work = Work(8 * evaluations * (x.size + y.size + 4 * V * K), 6 * evaluations * y.size * L * K)
        yield from race(sentences, found | {"dynamics": replace(found["dynamics"], work=work)}, setting.rounds)


CASE = Case(
    "lexical",
    f"exact lexical flow, 60 words, sentences of 8, to τ = {TAU:g}, error of at most {TARGET:g}",
    "sentences",
    rows,
)
