"""Timing side by side (interleaved, warm, until ratios are known), memory, and what the machine can do at most."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, nan
from statistics import quantiles
from time import perf_counter, process_time

import numpy as np

SHORTEST = 0.05
"""Seconds that one measurement takes at least: quicker calls are repeated within it."""
LONG = 3.0
"""A round that takes so many times what a contender may take is its only one."""


@dataclass(frozen=True)
class Rounds:
    """How often contenders take turns: each until its ratio is known, within what it may take.

    Attributes
    ----------
    fewest, most : int
        Rounds.
    spread : float
        A ratio is known when its quartiles are no further apart than this part of it.
    seconds : float
        A contender that has taken so long in all steps aside: after two rounds, or after one of `LONG` times as long.
    """

    fewest: int = 4
    most: int = 12
    spread: float = 0.03
    seconds: float = 2.5

    def enough(self, ratios: Sequence[float], taken: float) -> bool:
        """Whether a contender with such ratios, that has taken so many seconds, steps aside."""
        if len(ratios) >= self.most or taken >= (self.seconds if len(ratios) > 1 else LONG * self.seconds):
            return True
        if len(ratios) < self.fewest:
            return False
        found = Ratio.of(ratios)
        return found.high - found.low <= self.spread * found.middle


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios within each round, and their quartiles: what slows a whole round down cancels."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        """Of one round alone there are no quartiles.

        >>> Ratio.of([2.0, 1.0, 3.0, 2.5, 2.0])
        Ratio(middle=2.0, low=2.0, high=2.5)
        """
        low, middle, high = quantiles(ratios, method="inclusive") if len(ratios) > 1 else (nan, ratios[0], nan)
        return cls(middle, low, high)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call in every round, by the wall and by the processor (of all threads and children)."""

    wall: tuple[float, ...]
    processor: tuple[float, ...]

    def by(self, wall: bool) -> tuple[float, ...]:
        return self.wall if wall else self.processor


def ratios(times: Sequence[float], others: Sequence[float]) -> list[float]:
    """Of the rounds that both were in: who steps aside was in the first ones.

    >>> ratios([2.0, 6.0], [1.0, 3.0, 2.0])
    [2.0, 2.0]
    """
    return [mine / theirs for mine, theirs in zip(times, others, strict=False)]


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    rounds: Rounds,
    warm: Collection[str] = (),
    by_wall: bool = False,
) -> dict[str, Timing]:
    """Timings of contenders in turn, after one call that is not counted of each that is not warm.

    The first contender is in every round; each other one until its ratio to the first is known.
    """
    for name, run in contenders.items():
        if name not in warm:
            run()
    first, *others = contenders
    calls = dict.fromkeys(contenders, 1)
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    taken = dict.fromkeys(contenders, 0.0)
    racing = [first, *others]
    while racing:
        for name in racing:
            began = perf_counter()
            measured = seconds(contenders[name], calls[name])
            # A first call may be a slow one, so that the number of calls that follows from it is too small.
            while not seen[name] and calls[name] * measured[0] < (SHORTEST if calls[name] == 1 else SHORTEST / 2):
                calls[name] = ceil(SHORTEST / max(measured[0], 1e-9))
                measured = seconds(contenders[name], calls[name])
            seen[name].append(measured)
            taken[name] += perf_counter() - began
        times = {name: [each[not by_wall] for each in values] for name, values in seen.items()}
        if others:
            left = [name for name in others if not rounds.enough(ratios(times[name], times[first]), taken[name])]
            racing = [first, *left] if left else []
        else:  # nobody to be compared with: its own times
            racing = [] if rounds.enough(times[first], taken[first]) else [first]
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
