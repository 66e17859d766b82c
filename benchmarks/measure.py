"""Timing side by side: interleaved, warm, medians."""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Callable, Mapping
from time import perf_counter


def interleaved(cases: Mapping[str, Callable[[], object]], repeats: int = 7) -> dict[str, float]:
    """Median seconds of each case, all cases in turn in every repeat, after one warm-up each."""
    for case in cases.values():
        case()
    seen: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            began = perf_counter()
            case()
            seen[name].append(perf_counter() - began)
    return {name: statistics.median(values) for name, values in seen.items()}


def memory() -> float:
    """The resident set of this process now, in bytes (where the system tells; else its peak so far)."""
    try:
        with open("/proc/self/statm") as file:
            return float(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return peak_memory()


def peak_memory() -> float:
    """The largest resident set of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)
