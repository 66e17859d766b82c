"""How many threads compiled loops and BLAS may use.

On a busy machine, more BLAS threads than cores that are free can be ten times slower than one; small systems gain
nothing from a second one. Our own loops give the same bits on any number of threads. BLAS does not: its sums are cut in
other places, which shows in the last digits; so it has one thread for small states, whatever is asked for, and where
compiled code shares large products out by itself.

A process that has started threads may be forked, by joblib or by multiprocessing. numba's layers of Intel's TBB and of
its own work queue go on in the child; that of GNU OpenMP, which numba would choose, ends the child with a signal, and a
pool of workers starts anew for ever. So one of the former is chosen, unless the user has chosen or threads run already.
The work queue takes one caller at a time, and ends the process if there are two: loops on it stand in `one_at_a_time`.
"""

from __future__ import annotations

import numbers
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.object_code import load_blas

if TYPE_CHECKING:
    from threadpoolctl import LibController

P = ParamSpec("P")
R = TypeVar("R")

WORTH_SHARING = 1_000_000
"""States with fewer numbers than this run on one thread unless told otherwise."""


_queue = threading.RLock()
"""Held by the caller of a loop that runs on several threads."""

_asked = threading.local()
"""How many threads this one has asked for, of which numba is told when it is there."""

_inherited: str | None = None
"""The layer of the threads of the process that this one was forked from."""


def _remember() -> None:
    """In a child: which threads its parent had, as they are gone."""
    global _inherited, _queue
    _queue = threading.RLock()  # a thread that is gone may have held it
    _inherited = running() or _inherited
    _workers.cache_clear()


def one_at_a_time(function: Callable[P, R]) -> Callable[P, R]:
    """The function, called by one Python thread at a time, because loops that it runs share numba's threads.

    Examples
    --------
    >>> one_at_a_time(max)(1, 2)
    2
    """

    @wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        with _queue:
            return function(*args, **options)

    return called


def side_by_side(work: Callable[[], None], workers: int, give_up: Callable[[], None]) -> None:
    """Run the same function on several threads, which wait for more afterwards: to start them takes as long as a sweep.

    Parameters
    ----------
    work : callable
        Returns soon after ``give_up()``.
    workers : int
        One is a thread too: an interrupt reaches the main thread only while that waits.
    give_up : callable
        Called if one fails, or is interrupted.

    Examples
    --------
    >>> seen = []
    >>> side_by_side(lambda: seen.append(1), 3, seen.clear)
    >>> seen
    [1, 1, 1]
    """
    pool = _workers(workers)
    tasks = [pool.submit(work) for _ in range(workers)]
    try:
        for task in tasks:
            task.result()
    except BaseException:
        give_up()
        wait(tasks)
        raise


@cache
def _workers(number: int) -> ThreadPoolExecutor:
    """Threads that wait for work, this many."""
    return ThreadPoolExecutor(number, thread_name_prefix="dynamics")


def running() -> str | None:
    """numba's layer of threads, if it has started any."""
    if "numba" not in sys.modules:
        return None
    import numba

    try:
        return str(numba.threading_layer())
    except ValueError:
        return None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember)


def choose_layer() -> None:
    """Have numba start threads that survive a fork, if it has not started any and nothing else was asked for.

    Raises
    ------
    IntegrationError
        This process was forked from one with threads of GNU OpenMP: they cannot be used here.
    """
    import numba

    if _inherited == "omp" and sys.platform == "linux":
        raise IntegrationError(
            "this process was forked from one that had started threads of OpenMP, which do not survive it; start "
            "workers by multiprocessing's 'spawn', or set NUMBA_THREADING_LAYER=workqueue"
        )
    if running() is None and numba.config.THREADING_LAYER == "default":  # type: ignore[attr-defined]
        numba.config.THREADING_LAYER = "forksafe"  # type: ignore[attr-defined]


@cache
def libraries() -> Sequence[LibController]:
    """BLAS of NumPy and of SciPy, found once: to look for libraries takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    load_blas()  # which the compiled code calls
    return ThreadpoolController().select(user_api="blas").lib_controllers


@contextmanager
def blas_limited(wanted: int) -> Iterator[None]:
    """Within the context, BLAS uses this many threads: as threadpoolctl's limit, without its records."""
    found = [(library, library.get_num_threads()) for library in libraries()]
    changed = [(library, before) for library, before in found if before != wanted]
    for library, _ in changed:
        library.set_num_threads(wanted)
    try:
        yield
    finally:
        for library, before in changed:
            library.set_num_threads(before)


def with_blas_alone(function: Callable[P, R]) -> Callable[P, R]:
    """The function, within which BLAS has one thread: loops that share products call it from threads of their own.

    Examples
    --------
    >>> with_blas_alone(max)(1, 2)
    2
    """

    @wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        with blas_limited(1):
            return function(*args, **options)

    return called


@contextmanager
def limited(threads: int | None, size: int, blas: bool = True) -> Iterator[int]:
    """Within the context, loops use this many threads, and so does BLAS for large states, one for small ones.

    None: one thread for small states, all for large ones. Without ``blas``, BLAS has one thread: loops share products.
    """
    most = available()
    if threads is not None and not (isinstance(threads, numbers.Integral) and 1 <= threads <= most):
        raise InputError(
            f"threads = {threads!r} is not between 1 and the {most} that there are (cores, or NUMBA_NUM_THREADS)"
        )
    wanted = int(threads or (most if size >= WORTH_SHARING else 1))
    before, after = _asked.__dict__.get("threads"), used()
    _asked.threads = wanted
    if "numba" in sys.modules:
        join()
    try:
        with blas_limited(wanted if blas and size >= WORTH_SHARING else 1):
            yield wanted
    finally:
        _asked.threads = before
        if "numba" in sys.modules:
            import numba

            numba.set_num_threads(after)


def used() -> int:
    """How many threads loops use now."""
    if "numba" not in sys.modules:
        return int(_asked.__dict__.get("threads") or available())
    import numba

    choose_layer()  # asked for the number, numba starts them
    return int(numba.get_num_threads())


def join() -> None:
    """Have numba use as many threads as were asked for: where it is there, and when it is imported on the way."""
    import numba

    if _asked.__dict__.get("threads") is not None:
        choose_layer()
        numba.set_num_threads(_asked.threads)


def available() -> int:
    """How many threads there may be: what numba says, or would say."""
    if "numba" in sys.modules:
        import numba  # which waits for another thread that is at it

        return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    try:
        return int(os.environ["NUMBA_NUM_THREADS"])
    except (KeyError, ValueError):
        cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return max(1, len(cores))
