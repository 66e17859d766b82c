"""Both stages from a dense co-occurrence matrix, by the number of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.peers import Values, gradient_flows, softmax
from dynamics import CoOccurrence, solve

TAU = 20.0
RTOL, ATOL = 1e-6, 1e-9
TARGET, RTOLS = 1e-7, (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)


def counts(V: int) -> Values:
    """Zipf's law on both sides, and a diagonal of translations."""
    frequency = 1 / np.arange(5, V + 5)
    background = np.outer(frequency, frequency) * np.random.default_rng(0).random((V, V)) / frequency.sum()
    return background + np.diag(frequency)


def loss(xp: Any, data: Any, W: Any, A: Any) -> Any:
    attended = xp.softmax(A + data["log R"], 0)
    return -(data["q"] * xp.log_softmax(attended.T @ W, 1).diagonal()).sum()


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
    return np.concatenate([found[name].values.ravel() for name in ("W", "A")]), found.attrs["evaluations"]


def least(V: int, evaluations: int) -> Work:
    """Three products of matrices; the matrix R, the two states and their slopes once each."""
    return Work(8 * 5 * V**2 * evaluations, 6 * V**3 * evaluations)


def rows(setting: Setting) -> Iterator[Row]:
    """Every contender takes the loosest of its tolerances that meets the error."""
    for V in (50, 200) if setting.quick else (50, 100, 200, 400):
        system = CoOccurrence.from_counts(counts(V))
        exact, _ = ends(system, 1e-11, 1e-14, "DOP853")
        R, q = system.conditional(), system.q
        given = loss, {"log R": np.log(R), "q": q}, [np.zeros((V, V))] * 2, (1.0, 1.0), TAU
        slope = partial(by_hand, R, q)

        def own(rtol: float, system: CoOccurrence = system) -> Callable[[], Values]:
            return lambda: ends(system, rtol, 1e-3 * rtol)[0]

        prepare: dict[str, Callable[[float], Callable[[], Values]]] = {"dynamics": own}
        for name in gradient_flows(*given, RTOL, ATOL, slope):
            prepare[name] = lambda rtol, name=name, given=given, slope=slope: gradient_flows(
                *given, rtol, 1e-3 * rtol, slope
            )[name]
        found = {name: loosest(each, exact) for name, each in prepare.items()}
        contenders = {name: each for name, each in found.items() if each is not None}
        work = least(V, ends(system, RTOL, ATOL)[1])
        contenders["dynamics"] = replace(contenders["dynamics"], work=work)
        yield from race(V, contenders, setting.repeats)


def loosest(prepare: Callable[[float], Callable[[], Values]], exact: Values) -> Contender | None:
    """A contender at its loosest tolerance that is accurate enough, if any."""
    for rtol in RTOLS:
        run = prepare(rtol)
        error = float(np.abs(run() - exact).max())
        if error <= TARGET:
            return Contender(run, error, note=f"tolerance {rtol:g}")
    return None


CASE = Case(
    "dense", f"both stages from a dense co-occurrence matrix, to τ = {TAU:g}, error of at most 1e-7", "words", rows
)
