"""Both stages on a large real vocabulary, attention on the non-zero counts only.

    python -m benchmarks.sparse_closure SOURCE TARGET [tau]

for two line-aligned, pre-tokenised texts; words that occur once are left out. First the time of an evaluation as the
vocabulary grows, then the solve with all words (none with tau = 0).
"""

from __future__ import annotations

import sys

import numpy as np
import scipy.sparse

from benchmarks.measure import interleaved, peak_memory
from derivations.closures import both_stages_sparse
from dynamics import CoOccurrence, solve
from dynamics.lowering import lower
from dynamics.threads import limited


def evaluation(system: CoOccurrence, threads: int = 2) -> None:
    """Time of one evaluation on the sparse pattern."""
    pattern = scipy.sparse.csc_array(system.sparse().conditional())
    pattern.sort_indices()
    data = {"count": np.diff(pattern.indptr), "word": pattern.indices, "R": pattern.data, "q": system.q}
    flow = lower(both_stages_sparse(), parallel=True).bind(data, {"eta_W": 1.0, "eta_A": 1.0, "V": system.shape[0]})
    y, out = np.zeros(flow.state_size), np.empty(flow.state_size)
    with limited(threads, y.size):
        seconds = interleaved({"rhs": lambda: flow(y, out)}, repeats=3)["rhs"]
    V, K = system.shape
    flops = 6 * system.nnz * K
    print(
        f"| {V} x {K} | {system.nnz} | {seconds:.3f} s | {flops / seconds / 1e9:.1f} |"
        f" {1e9 * seconds / (system.nnz * K):.3f} ns |",
        flush=True,
    )


def main(source: str, target: str, tau: float) -> None:
    print("| words | non-zero counts | evaluation | GFlop/s | per non-zero count and output |\n|---|---|---|---|---|")
    for limit in (500, 1000, 2000, 4000, None):
        system = CoOccurrence.from_parallel_text(source, target, tokenizer="whitespace", min_count=2, max_vocab=limit)
        evaluation(system)
    if tau == 0:
        return
    found = solve(system, tau * np.array([0.01, 0.1, 0.3, 1.0]), top=100)
    print(
        f"solve to tau = {tau:g}: {found.attrs['evaluations']} evaluations, {found.attrs['steps']} steps,"
        f" {found.attrs['seconds']:.0f} s, peak memory {peak_memory() / 1e9:.1f} GB;"
        f" loss {', '.join(f'{x:.3f}' for x in found.loss.values)}"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 300.0)
