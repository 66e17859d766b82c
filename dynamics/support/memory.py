"""Estimates before allocations."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

from dynamics.support.errors import InputError

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
