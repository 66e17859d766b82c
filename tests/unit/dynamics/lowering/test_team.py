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
from dynamics.lowering.parallel import in_turns
from dynamics.lowering.runtime import ROWS_TOGETHER, SHARED_PRODUCTS, SHARED_ROWS, dense_product, first_row
from dynamics.lowering.team import INSIDE, OPEN, PRESENT, standing_by, team
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
