"""Estimates before allocations, and allocations that threads share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import numpy as np

from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

LINE = 64
"""Bytes of a line of cache."""
SHARE = 0.85
"""The share of the machine's memory that one task may plan on."""


@cache
def physical_memory() -> float:
    """Bytes of memory of this machine; infinity where it cannot be told."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def require(needed: float, what: str, advice: Callable[[float], str]) -> None:
    """Raise InputError if a task plans on more memory than there is; ``advice(budget)`` says what would fit."""
    budget = SHARE * physical_memory()
    if needed > budget:
        raise InputError(
            f"{what} needs about {needed / 1e9:.1f} GB of this machine's {budget / SHARE / 1e9:.1f}; {advice(budget)}"
        )


def in_lines(numbers: int) -> int:
    """How many numbers the lines of cache hold that so many take.

    Examples
    --------
    >>> in_lines(0), in_lines(8), in_lines(9)
    (0, 8, 16)
    """
    each = LINE // 8
    return -(-numbers // each) * each


def on_lines(numbers: int) -> Vector:
    """An empty vector that begins with a line of cache.

    NumPy's begin wherever memory is free. Then every eight numbers that are read together lie in two lines, by which
    loops over short rows take a third longer; and rows that two threads write to share lines, which go to and fro.

    Examples
    --------
    >>> on_lines(1000).ctypes.data % LINE, on_lines(0).size
    (0, 0)
    """
    whole = np.empty(numbers + LINE // 8)
    first = -(whole.ctypes.data // 8) % (LINE // 8)
    return whole[first : first + numbers]
