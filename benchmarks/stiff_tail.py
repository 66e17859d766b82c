"""The late times of the bundled text, where stability and not accuracy limits an explicit step: RK45 against RKC.

    python -m benchmarks.stiff_tail

Largest relative error of W over 40 times to tau = 30,000, against RK45 at rtol 1e-9.
"""

from __future__ import annotations

import warnings

import numpy as np

from dynamics import CoOccurrence, solve
from dynamics.bundled import bundled
from dynamics.errors import DataWarning


def main() -> None:
    warnings.simplefilter("ignore", DataWarning)
    system, t = CoOccurrence.from_parallel_text(*bundled(), max_vocab=100), np.geomspace(1, 3e4, 40)
    exact = solve(system, t, rtol=1e-9, atol=1e-12).W.values
    size = np.linalg.norm(exact, axis=(1, 2))
    print("| method | rtol | evaluations | seconds | error of W |\n|---|---|---|---|---|")
    for method in ("RK45", "RKC"):
        for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
            found = solve(system, t, method=method, rtol=rtol, atol=1e-3 * rtol)
            error = (np.linalg.norm(found.W.values - exact, axis=(1, 2)) / size).max()
            used = found.attrs["evaluations"], found.attrs["seconds"]
            print(f"| {method} | {rtol:g} | {used[0]} | {used[1]:.2f} | {error:.1e} |")


if __name__ == "__main__":
    main()
