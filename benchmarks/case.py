"""What a benchmark is made of: cases, the contenders that run side by side in them, and rows of results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import nan
from statistics import median

from benchmarks.measure import interleaved, ratio


@dataclass(frozen=True)
class Setting:
    """What the user asked for.

    Attributes
    ----------
    quick : bool
        Fewer sizes and repeats.
    run : str, optional
        A recorded run (.npz) for the case ``topic``.
    text : (str, str), optional
        Two line-aligned texts for the case ``sparse``.
    """

    quick: bool = False
    run: str | None = None
    text: tuple[str, str] | None = None

    @property
    def repeats(self) -> int:
        return 3 if self.quick else 5


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
    """

    run: Callable[[], object]
    error: float = nan
    share: float = 1.0
    work: Work = Work()
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A measured contender; ``ratio`` is how many times slower it is than the first one of its race."""

    size: float
    name: str
    wall: float
    processor: float
    ratio: float
    error: float = nan
    bytes: float = nan
    flops: float = nan
    note: str = ""


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
    """

    name: str
    title: str
    unit: str
    rows: Callable[[Setting], Iterator[Row]]
    one_core: bool = True


def race(size: float, contenders: Mapping[str, Contender], repeats: int, by_wall: bool = False) -> Iterator[Row]:
    """Run contenders in turn; the first one is what the others are compared with.

    Ratios are of processor time, which other work on the machine changes little; of wall time where threads are what is
    measured.
    """
    timings = interleaved({name: contender.run for name, contender in contenders.items()}, repeats)
    times = {name: timing.wall if by_wall else timing.processor for name, timing in timings.items()}
    first = next(iter(contenders))
    for name, contender in contenders.items():
        share, work = contender.share, contender.work
        wall, processor = median(timings[name].wall) / share, median(timings[name].processor) / share
        slower = ratio(times[name], times[first]) * contenders[first].share / share
        yield Row(size, name, wall, processor, slower, contender.error, work.bytes, work.flops, contender.note)
