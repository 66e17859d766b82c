"""Limits on threads: what is asked for, restored afterwards, refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numba
import pytest
from threadpoolctl import threadpool_info

from dynamics.support.errors import InputError
from dynamics.support.threads import WORTH_SHARING, limited, side_by_side

AVAILABLE = int(numba.config.NUMBA_NUM_THREADS)


def blas() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_small_states_have_one_thread_and_large_ones_all() -> None:
    with limited(None, WORTH_SHARING - 1) as used:
        assert used == numba.get_num_threads() == 1
        assert blas() == {1}
    with limited(None, WORTH_SHARING) as used:
        assert used == numba.get_num_threads() == AVAILABLE


@pytest.mark.parametrize("threads", range(1, min(AVAILABLE, 3) + 1))
def test_a_number_that_is_asked_for_holds_and_ends(threads: int) -> None:
    before = numba.get_num_threads(), blas()
    with limited(threads, 10) as used:
        assert used == numba.get_num_threads() == threads
        assert blas() == {1}, "the rounding of small products would depend on the number"
    with limited(threads, WORTH_SHARING):
        assert numba.get_num_threads() == threads
        assert max(blas()) <= threads
    assert (numba.get_num_threads(), blas()) == before


def test_blas_has_one_thread_where_loops_share_its_products() -> None:
    with limited(AVAILABLE, WORTH_SHARING, blas=False) as used:
        assert used == numba.get_num_threads() == AVAILABLE
        assert blas() == {1}


def test_limits_end_with_an_error_too() -> None:
    before = numba.get_num_threads(), blas()
    with pytest.raises(ZeroDivisionError), limited(1, 10):
        raise ZeroDivisionError
    assert (numba.get_num_threads(), blas()) == before


@pytest.mark.parametrize("threads", [0, -1, AVAILABLE + 1, 10**6])
def test_impossible_numbers_are_refused(threads: int) -> None:
    expected = (
        f"^threads = {threads} is not between 1 and the {AVAILABLE} that there are \\(cores, or NUMBA_NUM_THREADS\\)$"
    )
    with pytest.raises(InputError, match=expected), limited(threads, 10):
        pass


FORKED = """
import multiprocessing
import numba, numpy as np
from dynamics.support.threads import limited

@numba.njit(parallel=True)
def whole(n):
    found = 0
    for k in numba.prange(n):
        found += k
    return found

def work(n):
    try:
        with limited(1, 0):
            return whole(n)
    except RuntimeError as error:
        return str(error)

if __name__ == "__main__":
    print(work(1000), numba.threading_layer())
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map_async(work, [1000]).get(60)[0])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("layer", [None, "omp"])
def test_a_process_that_is_forked_goes_on_or_says_what_to_do(layer: str | None) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    environment |= {} if layer is None else {"NUMBA_THREADING_LAYER": layer}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, env=environment, timeout=200
    )
    assert ended.stderr == ""
    first, second = ended.stdout.splitlines()
    if layer is None:
        assert first.split()[0] == second == "499500"
        assert first.split()[1] in ("tbb", "workqueue")
    else:
        assert first == "499500 omp"
        assert second == (
            "this process was forked from one that had started threads of OpenMP, which do not survive it; start "
            "workers by multiprocessing's 'spawn', or set NUMBA_THREADING_LAYER=workqueue"
        )


SHARED = """
from concurrent.futures import ThreadPoolExecutor
import numba, scipy.sparse
from dynamics import CoOccurrence, solve

one = CoOccurrence.from_counts(scipy.sparse.eye(400) + scipy.sparse.random(400, 400, 0.02, random_state=1))
assert one.is_sparse
def work(method):
    return float(solve(one, [0, 0.5], method=method).loss[-1])

methods = ["RK45", "RKC"] * 2
alone = [work(method) for method in methods]
with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(work, methods)) == alone, numba.threading_layer())
"""


@pytest.mark.parametrize("layer", ["default", "omp"])
def test_solves_on_several_threads_of_python_share_those_of_numba(layer: str) -> None:
    """numba's work queue ends the process when two of them use it at once."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), "NUMBA_THREADING_LAYER": layer}
    ended = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, env=environment, timeout=400)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split()[0] == "True"


def test_work_side_by_side_is_given_up_together() -> None:
    stop, seen = threading.Event(), []

    def work() -> None:
        seen.append(threading.get_ident())
        if len(seen) == 1:
            raise ZeroDivisionError
        assert stop.wait(10)

    for _ in range(2):  # the same threads, which are none the worse for it
        stop.clear()
        seen.clear()
        with pytest.raises(ZeroDivisionError):
            side_by_side(work, 3, stop.set)
        assert 1 <= len(seen) <= 3
    before = threading.active_count()
    done: list[int] = []
    side_by_side(lambda: done.append(1), 3, done.clear)
    assert done == [1, 1, 1]
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_those_who_wait_do_not_survive_a_fork() -> None:
    done: list[int] = []
    side_by_side(lambda: done.append(1), 2, done.clear)
    child = os.fork()
    if child == 0:
        side_by_side(lambda: done.append(1), 2, done.clear)
        os._exit(len(done))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4


def test_threads_may_begin_at_once_in_a_process_that_has_loaded_nothing() -> None:
    """numba is in sys.modules before it is whole, and SciPy's BLAS cannot be loaded twice."""
    code = (
        "import threading\n"
        "from dynamics.support.object_code import load_blas\n"
        "from dynamics.support.threads import available\n"
        "failed, ready = [], threading.Barrier(6)\n"
        "def begin(number):\n"
        "    try:\n"
        "        ready.wait()\n"
        "        if number == 0:\n"
        "            import numba\n"
        "        load_blas()\n"
        "        for _ in range(2000 * (number > 0)):\n"
        "            assert available() >= 1\n"
        "    except Exception as error:\n"
        "        failed.append(repr(error))\n"
        "threads = [threading.Thread(target=begin, args=(number,)) for number in range(6)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "print(failed)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )  # fmt: skip
    assert told.stdout.strip() == "[]"
