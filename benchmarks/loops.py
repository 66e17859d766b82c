"""Generated loops against loops fused by hand, on the marginal closure (elementwise work, softmax rows, one sum).

    python -m benchmarks.loops

The hand-written version is what a careful author of numba code would write: one pass over the rows, the row's
exponentials kept, and the same vectorisable exponential; the second one uses ``math.exp``. One thread.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from benchmarks.measure import interleaved
from derivations.closures import marginal
from dynamics import CoOccurrence
from dynamics.lowering import lower
from dynamics.lowering.runtime import exp
from dynamics.threads import limited

FAST = {"reassoc", "contract", "nsz", "arcp"}


def by_hand(exponential):
    """The marginal closure's flow, written by hand."""

    @njit(error_model="numpy", fastmath=FAST)
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


def measure(V: int) -> None:
    """One row of the table."""
    rng = np.random.default_rng(0)
    system = CoOccurrence.from_counts(rng.random((V, V)), length=8.0)
    flow = lower(marginal()).bind({"C": system.C, "c": system.c}, {"eta_W": 1.0, "L": 8.0})
    y, out = rng.standard_normal(V * V), np.empty(V * V)
    W, dW, mean, row = y.reshape(V, V), np.empty((V, V)), np.empty(V), np.empty(V)
    C, c = np.ascontiguousarray(system.C), system.c
    ours, usual = by_hand(exp), by_hand(math.exp)
    many = range(max(1, 400_000 // V**2))
    cases = {
        "generated": lambda: [flow(y, out) for _ in many],
        "hand": lambda: [ours(W, C, c, 8.0, mean, row, dW) for _ in many],
        "math.exp": lambda: [usual(W, C, c, 8.0, mean, row, dW) for _ in many],
    }
    with limited(1, 0):
        seconds = interleaved(cases, repeats=15)
    assert np.allclose(dW, out.reshape(V, V), rtol=1e-12, atol=1e-16)
    generated, hand, libm = (seconds[name] / len(many) for name in cases)
    print(
        f"| {V} | {1e6 * generated:.0f} µs | {1e6 * hand:.0f} µs | {generated / hand:.2f} | {1e6 * libm:.0f} µs |"
        f" {generated / libm:.2f} | {1e9 * generated / V**2:.2f} |"
    )


def main() -> None:
    print("| V = K | generated | by hand | ratio | by hand, math.exp | ratio | ns per cell |")
    print("|---|---|---|---|---|---|---|")
    for V in (50, 200, 500, 2000):
        measure(V)


if __name__ == "__main__":
    main()
