"""Both stages at V = 2,000 x 2,000, dense: the right-hand side against dgemm, and the memory of a whole solve.

python -m benchmarks.dense_closure [V [--memory]]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.measure import interleaved, memory, peak_memory
from derivations.closures import both_stages
from dynamics import CoOccurrence, solve
from dynamics.lowering import lower
from dynamics.threads import limited


def counts(V: int, rng: np.random.Generator) -> np.ndarray:
    """Zipf's law on both sides, and a diagonal of translations."""
    frequency = 1 / np.arange(5, V + 5)
    background = np.outer(frequency, frequency) * rng.random((V, V)) / frequency.sum()
    return background + np.diag(frequency)


def evaluation(V: int, threads: int) -> None:
    """Time of one evaluation and of one matrix product of its size, interleaved."""
    system = CoOccurrence.from_counts(counts(V, np.random.default_rng(0)))
    flow = lower(both_stages(), parallel=V >= 300).bind(
        {"R": system.conditional(), "q": system.q}, {"eta_W": 1.0, "eta_A": 1.0}
    )
    y, out = 0.1 * np.random.default_rng(1).standard_normal(flow.state_size), np.empty(flow.state_size)
    a, b, c = (np.random.default_rng(2).standard_normal((V, V)) for _ in range(3))
    with limited(threads, y.size):
        seconds = interleaved({"rhs": lambda: flow(y, out), "dgemm": lambda: np.dot(a, b, c)})
    rate, top = 6 * V**3 / seconds["rhs"] / 1e9, 2 * V**3 / seconds["dgemm"] / 1e9
    print(
        f"| {V} | {threads} | {1e3 * seconds['rhs']:.1f} ms | {rate:.0f} | {top:.0f} | {rate / top:.0%} |"
        f" {flow.workspace.size / y.size:.2f} |"
    )


def main(V: int, quick: bool = False) -> None:
    print("| V | threads | evaluation | its GFlop/s (three products) | dgemm GFlop/s | share | workspace (states) |")
    print("|---|---|---|---|---|---|---|")
    for size in () if quick else (100, 300, 1000, V):
        for threads in (1, 2):
            evaluation(size, threads)
    system = CoOccurrence.from_counts(counts(V, np.random.default_rng(0)))
    small = CoOccurrence.from_counts(counts(400, np.random.default_rng(0)))
    solve(small, [1.0], top=10)  # compile and load everything before memory is read
    state, before = 2 * 8 * V**2, memory()
    found = solve(system, [100.0, 200.0, 400.0], top=100)
    used = peak_memory() - before
    print(
        f"solve to tau = 400: {found.attrs['evaluations']} evaluations, {found.attrs['seconds']:.1f} s;"
        f" peak memory {used / state:.1f} states above the {before / state:.1f} of interpreter, libraries and counts,"
        f" {peak_memory() / 1e9:.2f} GB in all"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000, "--memory" in sys.argv)
