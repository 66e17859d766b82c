"""Numbers that options may be."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dynamics.support.errors import InputError


def seed_list(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, numbers.Integral):
        return tuple(range(whole_number("seeds", seeds)))
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        raise InputError(f"seeds = {seeds!r} must be a whole number from 1, or the seeds themselves")
    found = tuple(whole_number("a seed", seed, 0) for seed in seeds)
    if not found:
        raise InputError("seeds is empty; give at least one")
    repeated = [seed for k, seed in enumerate(found) if seed in found[:k]]
    if repeated:
        raise InputError(f"seed {repeated[0]} is given twice, and both runs would be the same; give each once")
    return found


def whole_number(name: str, value: Any, least: int = 1) -> int:
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise InputError(f"{name} = {value!r} must be a whole number from {least}")
    return int(value)


def number(name: str, value: Any, holds: Callable[[float], bool], range_: str) -> float:
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(number) and holds(number)):
        raise InputError(f"{name} = {value!r} must be a number {range_}")
    return number
