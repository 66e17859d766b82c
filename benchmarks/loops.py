"""Generated loops against loops written by hand, one thread.

The hand-written versions are what a careful author of numba code would write: fused passes, nothing allocated, sizes
known, and the same vectorisable exponential (or ``math.exp``). First the marginal closure (elementwise work, softmax
rows, one sum), then the gradient of the topic classifier. Errors are relative, against long doubles or the other loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numba import njit

from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.exact_flow import Run, first, gradient, load, packed, sampled, work
from benchmarks.peers import Values, softmax
from derivations.closures import marginal
from dynamics import CoOccurrence
from dynamics.lowering import lower
from dynamics.lowering.machine import runtime

LENGTH = 8.0


def marginal_by_hand(exponential):
    """The marginal closure's flow, written by hand."""

    @njit(error_model="numpy", fastmath=runtime.FAST)
    def flow(W, C, c, L, mean, row, dW):
        V, K = W.shape
        mean[:] = 0.0
        for i in range(V):
            for o in range(K):
                mean[o] += c[i] * W[i, o]
        for i in range(V):
            top = -math.inf
            for o in range(K):
                row[o] = W[i, o] / L + (1 - 1 / L) * mean[o]
                top = max(top, row[o])
            total = 0.0
            for o in range(K):
                row[o] = exponential(row[o] - top)
                total += row[o]
            share = c[i] / total
            for o in range(K):
                dW[i, o] = C[i, o] - share * row[o]

    return flow


def topic_by_hand(run: Run) -> Callable[[Values, Values], None]:
    """The gradient as a careful author of numba code would write it: fused, nothing allocated, sizes known."""
    D, K = run.model.fixed["U"].shape
    exp = runtime.exp

    @njit(error_model="numpy", fastmath=runtime.FAST)
    def flow(v, s, U, x, y, rate, share, r, z, rbar, dv, ds):
        N, L = x.shape
        dv[:] = 0.0
        ds[:] = 0.0
        for n in range(N):
            top = -np.inf
            for l in range(L):
                share[l] = s[x[n, l]]
                top = max(top, share[l])
            for l in range(L):
                share[l] = exp(share[l] - top)
            whole = 0.0
            for l in range(L):
                whole += share[l]
            r[:] = 0.0
            for l in range(L):
                share[l] /= whole
                for d in range(D):
                    r[d] += share[l] * v[x[n, l], d]
            z[:] = 0.0
            for d in range(D):
                for k in range(K):
                    z[k] += U[d, k] * r[d]
            top = z.max()
            whole = 0.0
            for k in range(K):
                z[k] = exp(z[k] - top)
                whole += z[k]
            for k in range(K):
                z[k] /= whole
            z[y[n]] -= 1.0
            mean = 0.0
            for d in range(D):
                rbar[d] = 0.0
                for k in range(K):
                    rbar[d] -= U[d, k] * z[k] / N
                mean += rbar[d] * r[d]
            for l in range(L):
                i = x[n, l]
                along = 0.0
                for d in range(D):
                    along += rbar[d] * v[i, d]
                    dv[i, d] += share[l] * rbar[d]
                ds[i] += rate * share[l] * (along - mean)

    rows, targets, U = run.rows, run.examples.y, np.ascontiguousarray(run.model.fixed["U"])
    V, L = run.examples.inputs, rows.shape[1]
    scratch = np.empty(L), np.empty(D), np.empty(K), np.empty(D)

    def call(y: Values, out: Values) -> None:
        v, s, dv, ds = y[: V * D].reshape(V, D), y[V * D :], out[: V * D].reshape(V, D), out[V * D :]
        flow(v, s, U, rows, targets, run.rate, *scratch, dv, ds)

    return call


def in_numpy(W: Values, C: Values, c: Values) -> Values:
    """The marginal closure's flow, in the precision of its arguments."""
    return C - c[:, None] * softmax(W / LENGTH + (1 - 1 / LENGTH) * (c @ W))


def relative(found: Values, exact: Values) -> float:
    return float(abs(found - exact).max() / abs(exact).max())


def contenders_of(V: int) -> dict[str, Contender]:
    rng = np.random.default_rng(0)
    system = CoOccurrence.from_counts(rng.random((V, V)), length=LENGTH)
    C, c, W = np.ascontiguousarray(system.C), system.c, rng.standard_normal((V, V))
    flow = lower(marginal()).bind({"C": C, "c": c}, {"eta_W": 1.0, "L": LENGTH})
    exact = in_numpy(*(np.asarray(value, np.longdouble) for value in (W, C, c)))
    mean, row, out = np.empty(V), np.empty(V), np.empty((V, V))
    ours, usual = marginal_by_hand(runtime.exp), marginal_by_hand(math.exp)
    runs: dict[str, Callable[[], object]] = {
        "generated": lambda: flow(W.ravel(), out.ravel()),
        "by hand": lambda: ours(W, C, c, LENGTH, mean, row, out),
        "by hand, math.exp": lambda: usual(W, C, c, LENGTH, mean, row, out),
        "NumPy": lambda: np.copyto(out, in_numpy(W, C, c)),
    }

    def error(run: Callable[[], object]) -> float:
        out[:] = np.nan
        run()
        return relative(out, exact)

    # W and C are read, the slope is written; sums, the softmax and the slope take 8 operations a cell.
    found = {name: Contender(run, error(run)) for name, run in runs.items()}
    return found | {"generated": replace(found["generated"], work=Work(8 * 3 * V**2, 8 * V**2))}


def rows(setting: Setting) -> Iterator[Row]:
    for V in (50, 200, 500) if setting.quick else (50, 200, 500, 2000):
        yield from race(V, contenders_of(V), setting.rounds)


def gradients_of(run: Run) -> dict[str, Contender]:
    compiled, hand, y = gradient(run), topic_by_hand(run), packed(run)
    out, other = np.empty_like(y), np.empty_like(y)
    compiled(y, out)
    hand(y, other)
    return {
        "generated": Contender(lambda: compiled(y, out), relative(out, other), work=work(run, 1)),
        "by hand": Contender(lambda: hand(y, other), relative(other, out)),
    }


def gradient_rows(setting: Setting) -> Iterator[Row]:
    whole = load(setting.run) if setting.run else sampled()
    for sentences in (1000, len(whole.rows)):
        yield from race(sentences, gradients_of(first(whole, sentences)), setting.rounds)


CASE = Case("loops", "right-hand side of the marginal closure, generated and by hand", "words", rows)
GRADIENT = Case("gradient", "gradient of the topic classifier, generated and by hand", "sentences", gradient_rows)
