"""Timing side by side (interleaved, warm, medians), memory, and what the machine can do at most."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from time import perf_counter, process_time

import numpy as np

SHORTEST = 0.05
"""Seconds that one measurement takes at least: quicker calls are repeated within it."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one call in every repeat, by the wall and by the processor (of all threads and children)."""

    wall: tuple[float, ...]
    processor: tuple[float, ...]


def ratio(times: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios within each repeat: what slows a whole repeat down cancels.

    >>> ratio([2.0, 6.0, 8.0], [1.0, 3.0, 2.0])
    2.0
    """
    return median(mine / theirs for mine, theirs in zip(times, others, strict=True))


def interleaved(contenders: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Timing]:
    """Timings of all contenders in turn in every repeat, after one call of each that is not counted."""
    calls = {name: number_of_calls(run) for name, run in contenders.items()}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            seen[name].append(seconds(run, calls[name]))
    return {name: Timing(*zip(*values, strict=True)) for name, values in seen.items()}


def seconds(run: Callable[[], object], calls: int = 1) -> tuple[float, float]:
    """Seconds of one call, by the wall and by the processor."""
    began, used = perf_counter(), processor_time()
    for _ in range(calls):
        run()
    return (perf_counter() - began) / calls, (processor_time() - used) / calls


def processor_time() -> float:
    """Seconds that this process and its children that have ended were computing."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def number_of_calls(run: Callable[[], object]) -> int:
    """Calls that make one measurement long enough, from a second one: the first, not counted, may compile."""
    first = seconds(run)[0]
    return max(1, ceil(SHORTEST / max(first if first > 1 else seconds(run)[0], 1e-9)))


def on_one_core() -> None:
    """Keep this process, and the threads that it starts from now on, on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    else:
        print("this system cannot keep a process on one core: peers may use more", file=sys.stderr)


@dataclass(frozen=True)
class Machine:
    """What one core can do at most, measured.

    Attributes
    ----------
    bandwidth : float
        Bytes a second to and from memory, of a = b + 2 c on arrays that no cache holds.
    arithmetic : float
        Additions and multiplications a second, of a product of two matrices of 1,000 x 1,000 (BLAS, float64).
    """

    bandwidth: float
    arithmetic: float


def machine(repeats: int = 9) -> Machine:
    """The best of some repeats, in processor time: other work on the machine can only slow them down."""
    from numba import njit
    from threadpoolctl import threadpool_limits

    @njit("void(f8[::1], f8[::1], f8[::1])")
    def triad(a, b, c):
        for k in range(a.size):
            a[k] = b[k] + 2.0 * c[k]

    vectors = tuple(np.ones(1 << 23) for _ in range(3))
    a, b, out = (np.ones((1000, 1000)) for _ in range(3))
    with threadpool_limits(1):
        moving = min(seconds(lambda: triad(*vectors))[1] for _ in range(repeats))
        multiplying = min(seconds(lambda: np.dot(a, b, out))[1] for _ in range(repeats))
    return Machine(3 * vectors[0].nbytes / moving, 2 * 1000**3 / multiplying)


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
