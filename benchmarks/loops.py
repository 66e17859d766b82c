"""Generated loops against loops written by hand, one thread.

The hand-written versions are what a careful author of numba code would write: fused passes, nothing allocated, sizes
known, and the same vectorisable exponential (or ``math.exp``). First the marginal closure (elementwise work, softmax
rows, one sum), then the gradient of the topic classifier. Errors are relative, against long doubles or the other loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numba import njit

from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.exact_flow import Run, first, gradient, load, packed, sampled, work
from benchmarks.peers import Values, softmax
from derivations.closures import marginal
from dynamics import CoOccurrence
from dynamics.lowering import lower, runtime

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


def rows(setting: Setting) -> Iterator[Row]:
    for V in (50, 200, 500) if setting.quick else (50, 200, 500, 2000):
        rng = np.random.default_rng(0)
        system = CoOccurrence.from_counts(rng.random((V, V)), length=LENGTH)
        C, c, W = np.ascontiguousarray(system.C), system.c, rng.standard_normal((V, V))
        flow = lower(marginal()).bind({"C": C, "c": c}, {"eta_W": 1.0, "L": LENGTH})
        exact = in_numpy(*(np.asarray(value, np.longdouble) for value in (W, C, c)))
        mean, row = np.empty(V), np.empty(V)

        def contender(into: Callable[[Values], object], exact: Values = exact, work: Work = Work()) -> Contender:  # noqa: B008
            out = np.empty(exact.shape)
            into(out)
            return Contender(lambda: into(out), relative(out, exact), work=work)

        def loop(function, W=W, C=C, c=c, mean=mean, row=row):
            return lambda out: function(W, C, c, LENGTH, mean, row, out)

        contenders = {
            "generated": contender(
                lambda out, flow=flow, W=W: flow(W.ravel(), out.ravel()), work=Work(8 * 3 * V**2, 8 * V**2)
            ),
            "by hand": contender(loop(marginal_by_hand(runtime.exp))),
            "by hand, math.exp": contender(loop(marginal_by_hand(math.exp))),
            "NumPy": contender(lambda out, W=W, C=C, c=c: np.copyto(out, in_numpy(W, C, c))),
        }
        yield from race(V, contenders, 3 * setting.repeats)


def gradient_rows(setting: Setting) -> Iterator[Row]:
    whole = load(setting.run) if setting.run else sampled()
    for sentences in (1000, len(whole.rows)):
        run = first(whole, sentences)
        compiled, hand, y = gradient(run), topic_by_hand(run), packed(run)
        out, other = np.empty_like(y), np.empty_like(y)
        compiled(y, out)
        hand(y, other)
        contenders = {
            "generated": Contender(lambda f=compiled, y=y, out=out: f(y, out), relative(out, other), work=work(run, 1)),
            "by hand": Contender(lambda f=hand, y=y, out=other: f(y, out), relative(other, out)),
        }
        yield from race(sentences, contenders, 3 * setting.repeats)


CASE = Case("loops", "right-hand side of the marginal closure, generated and by hand", "words", rows)
GRADIENT = Case("gradient", "gradient of the topic classifier, generated and by hand", "sentences", gradient_rows)
