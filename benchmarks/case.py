"""What a benchmark is made of: cases, the contenders that run side by side in them, and rows of results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import nan
from statistics import median
from time import perf_counter

from benchmarks.measure import Ratio, Rounds, interleaved, ratios


@dataclass(frozen=True)
class Setting:
    """What the user asked for.

    Attributes
    ----------
    quick : bool
        Fewer sizes and rounds.
    run : str, optional
        A recorded run (.npz) for the cases ``topic`` and ``gradient``.
    text : (str, str), optional
        Two line-aligned texts for the cases ``sparse`` and ``forecast``.
    """

    quick: bool = False
    run: str | None = None
    text: tuple[str, str] | None = None

    @property
    def rounds(self) -> Rounds:
        return Rounds(2, 3, seconds=2.0) if self.quick else Rounds()


@dataclass(frozen=True)
class Work:
    """The least that any implementation must do: bytes from and to memory, additions and multiplications."""

    bytes: float = nan
    flops: float = nan


@dataclass(frozen=True)
class Contender:
    """One way to do the work of a case.

    Attributes
    ----------
    run : callable
        Does the work (or a part of it: ``share``).
    error : float
        Its largest error against a tight reference; not a number if it computes nothing.
    share : float
        The part of the work that ``run`` does, or how many times it does the work; times are in proportion.
    work : Work
    note : str
    peer : bool
        Other software that solves the same problem, to the same error: the least ratio of such is what a case comes to.
    warm : bool
        It has run before, or nothing is kept from one run to the next.
    tolerance : float
        What it was asked for; not a number if it takes none.
    """

    run: Callable[[], object]
    error: float = nan
    share: float = 1.0
    work: Work = Work()
    note: str = ""
    peer: bool = False
    warm: bool = False
    tolerance: float = nan


@dataclass(frozen=True)
class Row:
    """A measured contender; ``ratio`` is how many times slower it is than the first one of its race.

    Its quartiles are those of the rounds that it was in, and ``race`` is the first one's name.
    """

    size: float
    name: str
    wall: float
    processor: float
    ratio: float = 1.0
    low: float = nan
    high: float = nan
    rounds: int = 1
    error: float = nan
    bytes: float = nan
    flops: float = nan
    note: str = ""
    peer: bool = False
    race: str = ""
    tolerance: float = nan


@dataclass(frozen=True)
class Case:
    """A benchmark.

    Attributes
    ----------
    name, title : str
    unit : str
        What sizes are counted in; empty if there is only one.
    rows : callable
        Runs it.
    one_core : bool
        Whether everything is kept on one core.
    series : bool
        Whether sizes are those of one problem, so that a line over them says something.
    """

    name: str
    title: str
    unit: str
    rows: Callable[[Setting], Iterator[Row]]
    one_core: bool = True
    series: bool = True


def race(size: float, contenders: Mapping[str, Contender], rounds: Rounds, by_wall: bool = False) -> Iterator[Row]:
    """Run contenders in turn; the first one is what the others are compared with.

    Ratios are of processor time, which other work on the machine changes little; of wall time where threads are what is
    measured.
    """
    began = perf_counter()
    warm = {name for name, contender in contenders.items() if contender.warm}
    timings = interleaved({name: contender.run for name, contender in contenders.items()}, rounds, warm, by_wall)
    took = perf_counter() - began
    print(f"  {size:,.0f}: {len(contenders)} contenders timed in {took:.1f} s", file=sys.stderr, flush=True)
    first = next(iter(contenders))
    for name, contender in contenders.items():
        timing, share, work = timings[name], contender.share, contender.work
        wall, processor = median(timing.wall) / share, median(timing.processor) / share
        scale = contenders[first].share / share
        found = Ratio.of([scale * each for each in ratios(timing.by(by_wall), timings[first].by(by_wall))])
        yield Row(
            size, name, wall, processor, found.middle, found.low, found.high, len(timing.wall), contender.error,
            work.bytes, work.flops, contender.note, contender.peer, first, contender.tolerance,
        )  # fmt: skip
