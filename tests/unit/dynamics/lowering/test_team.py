"""A team of threads: every turn is taken once, whoever is there; large products have the same bits with and without."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from dynamics import Closure, CoOccurrence
from dynamics.lowering.machine.parallel import in_turns
from dynamics.lowering.machine.runtime import (
    LINE,
    ROWS_TOGETHER,
    SHARED_PRODUCTS,
    SHARED_ROWS,
    blocks_of,
    column_edge,
    dense_product,
    first_row,
)
from dynamics.lowering.machine.team import INSIDE, OPEN, PRESENT, standing_by, team
from dynamics.support.memory import LINE as BYTES
from dynamics.support.threads import blas_limited, libraries, limited

SEVERAL = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="this machine has one thread")


@numba.njit
def count(k, taken):  # type: ignore[no-untyped-def]
    for _ in range(k % 7 * 100):  # turns take different times
        taken[k] += 1.0
    taken[k] += k + 1 - k % 7 * 100


counts = in_turns(count)


@numba.njit
def counted(turns, times, taken):  # type: ignore[no-untyped-def]
    for _ in range(times):
        counts(turns, (taken,))


@SEVERAL
@pytest.mark.parametrize("members", [2, 5])
def test_each_turn_is_taken_once_in_every_loop(members: int) -> None:
    with limited(2, 0), standing_by(members):
        assert team().board[PRESENT] == members - 1
        for turns in (0, 1, 16, 1000):
            taken = np.zeros(1000)
            counted(turns, 300, taken)
            assert taken.tolist() == [300.0 * (k + 1) if k < turns else 0.0 for k in range(1000)]
            assert team().board[[OPEN, INSIDE]].tolist() == [0, 0]
    assert team().board[PRESENT] == 0


@numba.njit
def wait(k, order, came):  # type: ignore[no-untyped-def]
    order[came[0]] = k
    came[0] += 1


waits = in_turns(wait)


@numba.njit
def alone(turns, order, came):  # type: ignore[no-untyped-def]
    waits(turns, (order, came))


@SEVERAL
@pytest.mark.parametrize("turns", [0, 1, 2, 7, 16, 1000])
def test_who_comes_first_takes_the_first_turns_and_then_those_of_others(turns: int) -> None:
    """Nobody else comes, as there is no team: numba's one thread takes all, its own queue before the others."""
    order, came = np.full(1000, -1), np.zeros(1, np.int64)
    with limited(1, 0):
        alone(turns, order, came)
    assert order[:turns].tolist() == list(range(turns))
    with limited(2, 0):
        board = team().board
        board[PRESENT] = 1  # a team of which nobody has come yet
        try:
            came[0] = 0
            alone(turns, order, came)
        finally:
            board[PRESENT] = 0
    assert order[:turns].tolist() == list(range(turns))
    assert came[0] == turns


@SEVERAL
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not say where threads run")
def test_members_run_elsewhere() -> None:
    allowed = os.sched_getaffinity(0)
    with standing_by(3):
        members = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
        places = [os.sched_getaffinity(member.native_id) for member in members if member.native_id]
    assert os.sched_getaffinity(0) == allowed
    if len(allowed) > 1:
        assert any(len(place) == len(allowed) - 1 for place in places)
        assert all(place <= allowed for place in places)


@SEVERAL
def test_a_team_goes_where_the_system_lets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "sched_setaffinity", refused, raising=False)
    taken = np.zeros(9)
    with limited(2, 0), standing_by(2):
        counted(9, 1, taken)
    assert taken.tolist() == list(range(1, 10))


@SEVERAL
def test_a_team_wakes_up_and_there_is_one_at_a_time() -> None:
    before = threading.active_count()
    with limited(2, 0), standing_by(3):
        with standing_by(2):  # it is there already
            assert threading.active_count() == before + 2
        threading.Event().wait(0.05)  # all of it sleeps
        taken = np.zeros(9)
        counted(9, 1, taken)
        assert taken.tolist() == list(range(1, 10))
    assert threading.active_count() == before
    with pytest.raises(ZeroDivisionError), standing_by(2):
        raise ZeroDivisionError
    assert threading.active_count() == before


@SEVERAL
@pytest.mark.parametrize("place", ["_elsewhere", "threading.Thread.start", "time.sleep"])
def test_a_team_whose_founding_is_interrupted_is_dissolved(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with monkeypatch.context() as patch:
        patch.setattr("dynamics.lowering.machine.team.LOOKS", 10**9)
        patch.setattr("dynamics.lowering.machine.team.HERE", 60)  # nobody is seen to come
        patch.setattr(f"dynamics.lowering.machine.team.{place}", interrupted)
        with pytest.raises(KeyboardInterrupt), standing_by(2):
            raise AssertionError
    assert (threading.active_count(), team().board[PRESENT]) == (before, 0)
    with standing_by(2):
        assert threading.active_count() == before + 1


@SEVERAL
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_team_does_not_survive_a_fork() -> None:
    with standing_by(2):
        child = os.fork()
        if child == 0:
            os._exit(int(team().board.any()))
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("rows", [SHARED_ROWS, 224, 317, 1000, 5881])
def test_blocks_of_rows_are_alike_and_cover_all(rows: int) -> None:
    for blocks in (4, 7, 16):
        edges = [first_row(k, blocks, rows) for k in range(blocks + 1)]
        assert (edges[0], edges[-1]) == (0, rows)
        assert all(edge % ROWS_TOGETHER == 0 for edge in edges[:-1])
        assert np.abs(np.diff(edges) - rows / blocks).max() <= 1.5 * ROWS_TOGETHER


@pytest.mark.parametrize("rows", [SHARED_ROWS, 224, 500, 700, 1000, 5881])
def test_two_threads_get_as_many_blocks(rows: int) -> None:
    assert blocks_of(rows) in (4, 8, 12, 16)
    edges = np.array([first_row(k, blocks_of(rows), rows) for k in range(blocks_of(rows) + 1)])
    half = edges[blocks_of(rows) // 2]
    assert abs(half - rows / 2) <= ROWS_TOGETHER
    assert rows >= 1536 or np.diff(edges).max() <= 160


@pytest.mark.parametrize("columns", [0, 1, 2, 7, 21, 96, 224, 500, 777, 10_000])
def test_chunks_of_columns_are_wide_and_cover_all(columns: int) -> None:
    edges = [column_edge(k, 16, columns) for k in range(17)]
    widths = np.diff(edges)
    assert (edges[0], edges[-1]) == (0, columns)
    assert widths.min() >= 0
    pieces = widths[widths > 0]
    assert columns < 32 or pieces.min() >= 16
    assert columns < 768 or pieces.size == 16
    if columns >= 96:
        assert all(edge % LINE == 0 for edge in edges if edge < columns)
        half = edges[8]  # as many on either side, for two threads
        assert abs(half - columns / 2) <= LINE


def test_what_threads_write_to_begins_with_a_line_of_cache() -> None:
    problem = Closure(CoOccurrence.from_counts(np.random.default_rng(0).random((240, 240))))
    flow, shown = problem.bind(dict.fromkeys(problem.rates, 1.0))
    assert flow.workspace.ctypes.data % BYTES == shown.workspace.ctypes.data % BYTES == 0


@pytest.mark.parametrize(
    "shape", [(224, 224, 224), (317, 211, 197), (500, 1, 900), (5, 4, 3), (4, 0, 3), (300, 900, 40)]
)
@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)])
def test_products_in_blocks(shape: tuple[int, int, int], turned: tuple[bool, bool]) -> None:
    rows, depth, columns = shape
    random = np.random.default_rng(0)
    left, right = random.normal(size=(rows, depth)), random.normal(size=(depth, columns))
    if depth > 3:
        left[1, 2], left[-1, 0] = np.nan, np.inf
    left, right = (np.asfortranarray(x) if turn else x for x, turn in zip((left, right), turned, strict=True))
    found = []
    for members in (1, 2):
        with limited(min(members, numba.config.NUMBA_NUM_THREADS), 0), standing_by(members):
            out = np.full((rows, columns), np.nan)
            dense_product(left, right, out)
            found.append(out)
    np.testing.assert_array_equal(*found)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found[0], left @ right, rtol=1e-12, atol=1e-12 * np.sqrt(max(depth, 1)))


def test_some_of_these_products_are_shared() -> None:
    assert SHARED_PRODUCTS <= 224**3


def test_blas_has_one_thread_where_loops_share_products() -> None:
    """Called from outside of a solve, too: threads of BLAS would wait for each other in every block."""
    counts = CoOccurrence.from_counts(np.random.default_rng(0).random((240, 240)))
    problem = Closure(counts)
    flow, _ = problem.bind(dict.fromkeys(problem.rates, 1.0))
    seen: list[int] = []
    whole = flow.function

    def looking(*given: object) -> None:
        seen.extend(library.get_num_threads() for library in libraries())
        whole(*given)

    looking.targetoptions = {"nogil": False}  # type: ignore[attr-defined]
    vars(flow)["function"] = looking
    out = np.empty(flow.output_size)
    with blas_limited(2):
        flow(np.zeros(flow.state_size), out)
        after = [library.get_num_threads() for library in libraries()]
    assert set(seen) == {1}
    assert set(after) == {2}


def test_a_kernel_with_shared_loops_is_the_first_that_a_process_calls() -> None:
    """Nothing has started threads before: neither a solve nor another kernel."""
    here = Path(__file__).parent
    code = f"""
import sys
sys.path[:0] = [{str(here)!r}, {str(here.parents[2])!r}]
import test_lowering
test_lowering.test_compiled_code_computes_what_the_equations_say(False)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
