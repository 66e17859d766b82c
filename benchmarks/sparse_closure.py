"""Both stages with attention on the non-zero counts only, by their number.

The counts are synthetic, or those of two line-aligned, pre-tokenised texts (``--text SOURCE TARGET``; words that occur
once are left out) with growing vocabularies.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import scipy.sparse

from benchmarks import dense_closure
from benchmarks.accuracy import at_equal_error
from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.losses import both_stages
from benchmarks.own import numbers
from benchmarks.peers import Prepare, Values, gradient_flows, softmax, with_scipy
from dynamics import CoOccurrence, solve
from dynamics.support.errors import DataWarning

TAU = 100.0
TARGET = 1e-5
PER_WORD = 40
DENSE_PEERS, FASTEST = 250, ("diffrax Tsit5", 500)
"""Words up to which peers that know only dense arrays take part, and the fastest of them."""


def counts(V: int) -> scipy.sparse.csr_array:
    """Each word with its translation, and with others drawn by Zipf's law."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(5, V + 5)
    others = rng.choice(V, size=V * PER_WORD, p=frequency / frequency.sum())
    rows = np.concatenate([np.arange(V), np.repeat(np.arange(V), PER_WORD)])
    values = np.concatenate([frequency, np.repeat(frequency, PER_WORD) / PER_WORD])
    return scipy.sparse.csr_array((values, (rows, np.concatenate([np.arange(V), others]))), shape=(V, V))


def systems(setting: Setting) -> Iterator[CoOccurrence]:
    limits = (250, 500) if setting.quick else (250, 500, 1000)
    for V in limits:
        if setting.text is None:
            yield CoOccurrence.from_counts(counts(V)).sparse()
        else:
            options = {"tokenizer": "whitespace", "min_count": 2, "max_vocab": V}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataWarning)
                yield CoOccurrence.from_parallel_text(*setting.text, **options).sparse()


class ByHand:
    """The slope with SciPy's sparse products; attention as (output, entry)."""

    def __init__(self, system: CoOccurrence) -> None:
        self.R, self.q = scipy.sparse.csr_array(system.conditional().T), system.q
        self.R.sort_indices()
        self.output = np.repeat(np.arange(len(self.q)), np.diff(self.R.indptr))
        self.shape = system.shape

    def __call__(self, state: Values) -> Values:
        (V, K), R = self.shape, self.R
        W, A = state[: V * K].reshape(V, K), state[V * K :]
        weight = R.data * np.exp(A - np.maximum.reduceat(A, R.indptr[:-1])[self.output])
        share = weight / np.add.reduceat(weight, R.indptr[:-1])[self.output]
        attended = scipy.sparse.csr_array((share, R.indices, R.indptr), shape=R.shape)
        pull = -self.q[:, None] * softmax(attended @ W)
        pull[np.arange(K), np.arange(K)] += self.q
        drive = np.empty_like(A)
        for o in range(K):  # products at the entries only: SciPy has none such
            at = slice(R.indptr[o], R.indptr[o + 1])
            drive[at] = W[R.indices[at]] @ pull[o]
        mean = np.add.reduceat(share * drive, R.indptr[:-1])[self.output]
        return np.concatenate([(attended.T @ pull).ravel(), share * (drive - mean)])


def ends(system: CoOccurrence, rtol: float, atol: float) -> tuple[Values, int]:
    found = solve(system, [TAU], rtol=rtol, atol=atol, threads=1)
    return numbers(found, "W")[0][-1], found.attrs["evaluations"]


def own(system: CoOccurrence, rtol: float, atol: float) -> Callable[[], Values]:
    return lambda: ends(system, rtol, atol)[0]


def rows(setting: Setting) -> Iterator[Row]:
    found: dict[str, Contender] = {}
    for system in systems(setting):
        (V, K), entries = system.shape, system.nnz
        exact, _ = ends(system, 1e-9, 1e-12)

        def error(found: Values, exact: Values = exact) -> float:
            """That of W, which comes first: attention is on other places in dense arrays."""
            return float(np.abs(found.ravel()[: exact.size] - exact.ravel()).max())

        flows: dict[str, Prepare] = {"dynamics": partial(own, system)}
        start = [np.zeros((V, K)), np.zeros(entries)]
        flows["SciPy RK45, NumPy, sparse"] = with_scipy(ByHand(system), start, TAU)
        if max(V, K) <= FASTEST[1]:
            R, q = np.asarray(system.dense().conditional()), system.q
            with np.errstate(divide="ignore"):
                data = {"log R": np.log(R), "q": q}
            start = [np.zeros((V, K))] * 2
            dense = gradient_flows(both_stages, data, start, (1.0, 1.0), TAU, partial(dense_closure.by_hand, R, q))
            chosen = dense if max(V, K) <= DENSE_PEERS else dense.keys() & {FASTEST[0]}
            flows |= {f"{name}, dense": dense[name] for name in chosen}
        found = at_equal_error(flows, error, TARGET, near=found)
        rtol = found["dynamics"].tolerance
        evaluations = ends(system, rtol, 1e-3 * rtol)[1]
        # Three sparse products; entries with their places, W, and the slopes of both once each.
        work = Work(8 * (5 * entries + 2 * V * K) * evaluations, 6 * entries * K * evaluations)
        note = f"{V} x {K} words, {evaluations} evaluations"
        yield from race(entries, found | {"dynamics": replace(found["dynamics"], work=work, note=note)}, setting.rounds)


CASE = Case(
    "sparse", f"both stages on the non-zero counts, to τ = {TAU:g}, error of W of at most {TARGET:g}",
    "non-zero counts", rows,
)  # fmt: skip
