"""Races of the benchmark, by a clock that only contenders move on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, cycle, repeat
from math import isnan

import pytest

pytest.importorskip("benchmarks", reason="the benchmark is not part of the installed package")

from benchmarks import measure
from benchmarks.case import Contender, race
from benchmarks.measure import SHORTEST, Rounds


class Clock:
    """Wall time and processor time, of which the second runs at a part of the first."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0
        self.calls: dict[str, int] = {}

    def takes(self, name: str, seconds: Iterator[float], busy: float = 1.0) -> Callable[[], None]:
        def run() -> None:
            took = next(seconds)
            self.wall += took
            self.processor += busy * took
            self.calls[name] = self.calls.get(name, 0) + 1

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(measure, "perf_counter", lambda: found.wall)
    monkeypatch.setattr(measure, "processor_time", lambda: found.processor)
    return found


def test_what_slows_a_whole_round_down_cancels(clock: Clock) -> None:
    slow = [1.0, 1.0, 3.0, 1.5, 10.0, 2.0]  # the first is not counted
    found = race(
        1,
        {"ours": Contender(clock.takes("ours", iter(slow))),
         "theirs": Contender(clock.takes("theirs", iter([2.5 * each for each in slow])))},
        Rounds(fewest=5, most=5, seconds=1e9),
    )  # fmt: skip
    ours, theirs = found
    assert (theirs.ratio, theirs.low, theirs.high, theirs.rounds) == pytest.approx((2.5, 2.5, 2.5, 5))
    assert ours.ratio == 1.0
    assert theirs.wall == pytest.approx(2.5 * 2.0)  # the median


def test_who_is_known_steps_aside_and_the_first_stays(clock: Clock) -> None:
    contenders = {
        "ours": Contender(clock.takes("ours", repeat(0.1)), warm=True),
        "steady": Contender(clock.takes("steady", repeat(0.3)), warm=True),
        "noisy": Contender(clock.takes("noisy", cycle([0.1, 0.5])), warm=True),
    }
    rows = {row.name: row for row in race(1, contenders, Rounds(fewest=4, most=9, spread=0.03, seconds=1e9))}
    assert {name: row.rounds for name, row in rows.items()} == {"ours": 9, "steady": 4, "noisy": 9}
    assert rows["steady"].ratio == pytest.approx(3.0)
    assert rows["noisy"].low == pytest.approx(1.0)
    assert rows["noisy"].high == pytest.approx(5.0)


def test_nobody_takes_more_than_granted_and_one_round_has_no_quartiles(clock: Clock) -> None:
    contenders = {
        "ours": Contender(clock.takes("ours", repeat(0.1)), warm=True),
        "endless": Contender(clock.takes("endless", repeat(60.0)), warm=True),
        "long": Contender(clock.takes("long", repeat(5.0)), warm=True),
    }
    rows = {row.name: row for row in race(1, contenders, Rounds(seconds=3.0))}
    assert (clock.calls["endless"], clock.calls["long"]) == (1, 2)
    assert rows["endless"].ratio == pytest.approx(600.0)
    assert isnan(rows["endless"].low)
    assert isnan(rows["endless"].high)


def test_quick_calls_are_repeated_within_a_measurement(clock: Clock) -> None:
    """Also where the first one is slow."""
    contenders = {
        "ours": Contender(clock.takes("ours", chain([0.04], repeat(1e-4))), warm=True),
        "theirs": Contender(clock.takes("theirs", repeat(2e-4)), warm=True),
    }
    rows = {row.name: row for row in race(1, contenders, Rounds(fewest=3, most=3))}
    assert clock.calls["ours"] >= 3 * SHORTEST / 1e-4 / 2
    assert rows["ours"].wall == pytest.approx(1e-4)
    assert rows["theirs"].ratio == pytest.approx(2.0)


def test_parts_of_the_work_and_what_has_not_run_before(clock: Clock) -> None:
    contenders = {
        "ours": Contender(clock.takes("ours", repeat(1.0)), share=0.5, warm=True),
        "compiles": Contender(clock.takes("compiles", chain([50.0], repeat(1.0))), share=0.1),
    }
    ours, theirs = race(1, contenders, Rounds(fewest=2, most=2, seconds=1e9))
    assert (ours.wall, theirs.wall) == pytest.approx((2.0, 10.0))
    assert theirs.ratio == pytest.approx(5.0)
    assert clock.calls == {"ours": 2, "compiles": 3}


@pytest.mark.parametrize(("by_wall", "ratio"), [(False, 1.0), (True, 0.5)])
def test_threads_are_compared_by_the_wall(clock: Clock, by_wall: bool, ratio: float) -> None:
    contenders = {
        "1 thread": Contender(clock.takes("1 thread", repeat(1.0)), warm=True),
        "2 threads": Contender(clock.takes("2 threads", repeat(0.5), busy=2.0), warm=True),
    }
    assert [row.ratio for row in race(1, contenders, Rounds(), by_wall)] == pytest.approx([1.0, ratio])


def test_one_alone_is_measured_until_its_own_times_agree(clock: Clock) -> None:
    (row,) = race(1, {"ours": Contender(clock.takes("ours", repeat(0.1)), warm=True)}, Rounds(fewest=4))
    assert (row.rounds, row.ratio, row.race) == (4, 1.0, "ours")
