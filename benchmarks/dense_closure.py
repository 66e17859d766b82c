"""Both stages from a dense co-occurrence matrix, by the number of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.accuracy import at_equal_error, furthest
from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.losses import both_stages
from benchmarks.own import flat
from benchmarks.peers import Prepare, Values, gradient_flows, here, softmax, with_diffrax
from dynamics import CoOccurrence, solve

TAU = 20.0
TARGET, METHODS = 1e-9, ("RK45", "DOP853")


def counts(V: int) -> Values:
    """Zipf's law on both sides, and a diagonal of translations."""
    frequency = 1 / np.arange(5, V + 5)
    background = np.outer(frequency, frequency) * np.random.default_rng(0).random((V, V)) / frequency.sum()
    return background + np.diag(frequency)


def by_hand(R: Values, q: Values, state: Values) -> Values:
    """The slope in NumPy."""
    W, A = state.reshape(2, *R.shape)
    with np.errstate(divide="ignore"):  # no count, no attention
        attended = softmax((A + np.log(R)).T)
    pull = np.diag(q) - q[:, None] * softmax(attended @ W)
    drive = pull @ W.T
    dA = attended * (drive - (attended * drive).sum(axis=1, keepdims=True))
    return np.concatenate([(attended.T @ pull).ravel(), dA.T.ravel()])


def ends(system: CoOccurrence, rtol: float, atol: float, method: str = "RK45") -> tuple[Values, int]:
    """The state at the end, and the evaluations that it took."""
    found = solve(system, [TAU], rtol=rtol, atol=atol, method=method, threads=1)
    return flat(found, "W", "A"), found.attrs["evaluations"]


def least(V: int, evaluations: int) -> Work:
    """Three products of matrices; the matrix R, the two states and their slopes once each."""
    return Work(8 * 5 * V**2 * evaluations, 6 * V**3 * evaluations)


def own(system: CoOccurrence, method: str, rtol: float, atol: float) -> Callable[[], Values]:
    return lambda: ends(system, rtol, atol, method)[0]


def rows(setting: Setting) -> Iterator[Row]:
    found: dict[str, Contender] = {}
    for V in (50, 200) if setting.quick else (50, 100, 200, 400):
        system = CoOccurrence.from_counts(counts(V))
        exact, _ = ends(system, 1e-11, 1e-14, "DOP853")
        R, q = system.conditional(), system.q
        data, start = {"log R": np.log(R), "q": q}, [np.zeros((V, V))] * 2
        flows: dict[str, Prepare] = {f"dynamics {method}": partial(own, system, method) for method in METHODS}
        given = both_stages, data, start, (1.0, 1.0), TAU
        flows |= gradient_flows(*given, partial(by_hand, R, q))
        if here("diffrax"):
            flows["diffrax Dopri8"] = with_diffrax(*given, "Dopri8")
        found = at_equal_error(flows, furthest(exact), TARGET, near=found)
        rtol = found["dynamics RK45"].tolerance
        work = least(V, ends(system, rtol, 1e-3 * rtol)[1])
        yield from race(V, found | {"dynamics RK45": replace(found["dynamics RK45"], work=work)}, setting.rounds)


CASE = Case(
    "dense",
    f"both stages from a dense co-occurrence matrix, to τ = {TAU:g}, error of at most {TARGET:g}",
    "words",
    rows,
)
