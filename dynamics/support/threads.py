"""How many threads compiled loops and BLAS may use.

On a busy machine, more BLAS threads than cores that are free can be ten times slower than one; small systems gain
nothing from a second one. Our own loops give the same bits on any number of threads. BLAS does not: its sums are cut in
other places, which shows in the last digits; so it has one thread for small states, whatever is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from dynamics.support.errors import InputError

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

WORTH_SHARING = 1_000_000
"""States with fewer numbers than this run on one thread unless told otherwise."""


@cache
def libraries() -> ThreadpoolController:
    """BLAS of NumPy and of SciPy, found once: to look for libraries takes milliseconds."""
    import scipy.linalg  # noqa: F401 loads its BLAS, which the compiled code calls
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def limited(threads: int | None, size: int) -> Iterator[int]:
    """Within the context, loops use this many threads, and so does BLAS for large states, one for small ones.

    None: one thread for small states, all for large ones.
    """
    import numba

    available = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if threads is not None and not 1 <= threads <= available:
        raise InputError(f"threads = {threads} is not between 1 and the {available} that this machine has")
    wanted = threads or (available if size >= WORTH_SHARING else 1)
    before = numba.get_num_threads()
    numba.set_num_threads(wanted)
    try:
        with libraries().limit(limits=wanted if size >= WORTH_SHARING else 1, user_api="blas"):
            yield wanted
    finally:
        numba.set_num_threads(before)
