"""Learning-rate schedules in numbers; the factors are those of :mod:`derivations.gradient_flow.schedules`."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import Symbol, lambdify

from derivations.gradient_flow.schedules import SHAPES, factor
from dynamics.support.errors import InputError
from dynamics.support.files import existing
from dynamics.support.typing import Vector

__all__ = ["CONSTANT", "Schedule", "schedule_of"]

MOST = 50_000_000
"""Steps that are looked through for a time."""
WRITTEN = "warmup:STEPS, linear:TOTAL[:LEAST], cosine:TOTAL[:LEAST], steps:PERIOD:DROP and table:FILE"


@dataclass(frozen=True)
class Schedule:
    """Factors of the learning rate by step, the first of which is step 0.

    Attributes
    ----------
    shape : str
        ``constant``, ``linear``, ``cosine``, ``steps`` or ``table``.
    warm_up : int
        Steps in which the rate grows to its full size, from 1/warm_up of it; 0 for none.
    total : int
        linear, cosine: the step, counted from the very first, at which the rate has come down to ``least``.
    least : float
        linear, cosine: the factor at the end.
    period, drop : int, float
        steps: the factor by which the rate changes, every so many steps.
    table : tuple of (float, float)
        table: steps with their factors; linear between them, as the first before and as the last after them.

    Examples
    --------
    >>> Schedule("linear", warm_up=2, total=6).factors(8)
    array([0.5 , 1.  , 1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ])
    >>> schedule_of("warmup:2,linear:6") == Schedule("linear", warm_up=2, total=6)
    True
    """

    shape: str = "constant"
    warm_up: int = 0
    total: int = 0
    least: float = 0.0
    period: int = 0
    drop: float = 0.0
    table: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(f"unknown schedule {self.shape!r}; use {WRITTEN}")
        acting = {"linear": ("total", "least"), "cosine": ("total", "least"), "steps": ("period", "drop")}
        for name in ("total", "least", "period", "drop", "table"):
            own = (*acting.get(self.shape, ()), *(("table",) if self.shape == "table" else ()))
            if getattr(self, name) and name not in own:
                raise InputError(f"{name} does not apply to a {self.shape} schedule; leave it out")
        for name in ("warm_up", "total", "period"):
            value = getattr(self, name)
            if isinstance(value, bool) or not float(value).is_integer() or value < 0:
                raise InputError(f"{name} = {value} of the schedule must be a whole number of steps")
        if self.shape in ("linear", "cosine") and self.total <= self.warm_up:
            raise InputError(f"the schedule ends at step {self.total}; give a total beyond its warm-up, {self.warm_up}")
        if not 0 <= self.least <= 1:
            raise InputError(f"least = {self.least} of the schedule must be a factor from 0 to 1")
        if self.shape == "steps" and not (self.period >= 1 and 0 < self.drop <= 1):
            raise InputError(
                f"steps:{self.period}:{self.drop:g}: give a number of steps and a factor above 0 and at most 1"
            )
        if self.shape == "table":
            places, values = np.array(self.table, dtype=float).reshape(-1, 2).T
            if len(places) < 2 or not (np.diff(places) > 0).all() or not np.isfinite(self.table).all():
                raise InputError("the table of a schedule needs two steps or more, increasing, each with a factor")
            if (values < 0).any():
                raise InputError("the table of a schedule has a factor below 0")

    @property
    def is_constant(self) -> bool:
        return self == CONSTANT

    @cached_property
    def numbers(self) -> dict[str, float]:
        """What the definitions of a flow take, by name."""
        found: dict[str, float] = {"warm_up": float(self.warm_up)} if self.warm_up else {}
        if self.shape in ("linear", "cosine"):
            found |= {"total": float(self.total), "least": float(self.least)}
        if self.shape == "steps":
            found |= {"period": float(self.period), "drop": float(self.drop)}
        if self.shape == "table":
            found |= {"first": float(self.table[0][1])}
        return found

    @cached_property
    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The lines between the entries of a table: where each begins, how long it is, and how steep."""
        if self.shape != "table":
            return {}
        places, values = np.array(self.table, dtype=float).T
        return {
            "begins": np.ascontiguousarray(places[:-1]), "lasts": np.diff(places),
            "rises": np.diff(values) / np.diff(places),
        }  # fmt: skip

    @property
    def sizes(self) -> dict[str, int]:
        return {"J": len(self.table) - 1} if self.shape == "table" else {}

    def factors(self, steps: int | ArrayLike) -> Vector:
        """The factors of the first so many steps, or of given ones."""
        at = np.arange(steps) if isinstance(steps, int | np.integer) else np.asarray(steps)
        at = at.astype(float)
        given = dict(self.numbers)
        if self.shape == "table":
            places, values = np.array(self.table, dtype=float).T
            given = {"of_table": np.interp(at, places, values), **({"warm_up": self.warm_up} if self.warm_up else {})}
        run, names = evaluated(self.shape, bool(self.warm_up))
        return np.broadcast_to(np.asarray(run(at, *(given[name] for name in names)), dtype=float), at.shape).copy()

    def time(self, steps: ArrayLike) -> Vector:
        """The sum of the factors of all steps before each of some; between two steps, a share of the step."""
        at = np.asarray(steps, dtype=float)
        if self.is_constant:
            return at
        last = int(np.ceil(at.max(initial=0)))
        total = np.concatenate([[0.0], np.cumsum(self.factors(last))])
        return np.interp(at, np.arange(last + 1), total)

    def steps(self, time: ArrayLike) -> Vector:
        """The steps after which the factors add up to each of some times.

        Raises
        ------
        InputError
            They never do.
        """
        wanted = np.asarray(time, dtype=float)
        if self.is_constant:
            return wanted
        end, last = float(wanted.max(initial=0)), 1024
        while True:
            total = np.concatenate([[0.0], np.cumsum(self.factors(last))])
            if total[-1] >= end:
                break
            if last >= MOST or (last > 2 * max(self.total, self.warm_up) and self.factors([last])[0] == 0):
                raise InputError(
                    f"the learning rates of the schedule add up to {total[-1]:.6g} lr, and times to {end:.6g} lr; ask"
                    " for earlier ones"
                )
            last = min(2 * last, MOST)
        first = int(np.searchsorted(total, end))
        moving = np.concatenate([[True], np.diff(total[: first + 1]) > 0])
        return np.interp(wanted, total[: first + 1][moving], np.arange(first + 1)[moving])

    def __str__(self) -> str:
        parts = [f"warmup:{self.warm_up}"] if self.warm_up else []
        if self.shape in ("linear", "cosine"):
            parts.append(f"{self.shape}:{self.total}" + (f":{self.least:g}" if self.least else ""))
        if self.shape == "steps":
            parts.append(f"steps:{self.period}:{self.drop:g}")
        if self.shape == "table":
            parts.append("table of " + ", ".join(f"{step:g}={value:g}" for step, value in self.table))
        return ",".join(parts) or "constant"


CONSTANT = Schedule()


@cache
def evaluated(shape: str, warm: bool) -> tuple[Any, tuple[str, ...]]:
    """The factor of a schedule as a function of steps and numbers, and the names of these."""
    step = Symbol("step", real=True)
    expr = factor(shape, warm, step)
    given = sorted(expr.free_symbols - {step}, key=str)
    return lambdify([step, *given], expr, "numpy"), tuple(map(str, given))


def schedule_of(given: Schedule | str | Sequence[tuple[float, float]] | Mapping[float, float] | None) -> Schedule:
    """A schedule as it is written: ``warmup:1000,cosine:10000:0.1``; or a table, steps with their factors.

    Raises
    ------
    InputError
        Nothing of the kind.

    Examples
    --------
    >>> print(schedule_of("warmup:100,steps:1000:0.5"), schedule_of({0: 0.1, 10: 1.0}).factors(3), sep="; ")
    warmup:100,steps:1000:0.5; [0.1  0.19 0.28]
    """
    if given is None:
        return CONSTANT
    if isinstance(given, Schedule):
        return given
    if not isinstance(given, str):
        pairs = given.items() if isinstance(given, Mapping) else given
        try:
            return Schedule("table", table=tuple((float(step), float(value)) for step, value in pairs))
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("the table of a schedule is of pairs, a step and a factor") from None
    found: dict[str, Any] = {}
    for part in given.split(","):
        kind, *rest = part.strip().split(":")
        if kind == "table" and len(rest) >= 1:
            found |= once(found, "shape", kind, given) | {"table": read_table(":".join(rest))}
            continue
        try:
            values = [float(one) for one in rest]
        except ValueError:
            values = [math.nan]
        fits = {"warmup": (1, 1), "linear": (1, 2), "cosine": (1, 2), "steps": (2, 2), "constant": (0, 0)}.get(kind)
        if fits is None or not fits[0] <= len(values) <= fits[1] or not np.isfinite(values).all():
            raise InputError(f"schedule {part!r} is none; write {WRITTEN}, several with commas")
        if kind == "warmup":
            found |= once(found, "warm_up", whole(values[0], part), given)
            continue
        found |= once(found, "shape", kind, given)
        if kind in ("linear", "cosine"):
            found |= {"total": whole(values[0], part), **({"least": values[1]} if len(values) > 1 else {})}
        if kind == "steps":
            found |= {"period": whole(values[0], part), "drop": values[1]}
    return Schedule(**found)


def once(found: Mapping[str, Any], name: str, value: Any, given: str) -> dict[str, Any]:
    if name in found:
        raise InputError(f"schedule {given!r} says twice what the rate does; give a warm-up and one more")
    return {name: value}


def whole(value: float, part: str) -> int:
    if not value.is_integer() or value < 1:
        raise InputError(f"schedule {part!r}: steps are whole numbers from 1")
    return int(value)


def read_table(path: str | os.PathLike[str]) -> tuple[tuple[float, float], ...]:
    """Steps and factors from a file, a pair on every line."""
    found_at = existing(path)
    found = []
    with open(found_at, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            parts = line.replace(",", " ").split()
            if not parts or line.startswith("#"):
                continue
            try:
                step, value = map(float, parts)
            except ValueError:
                raise InputError(f"{path}, line {number}: {line.strip()[:40]!r} is not a step and a factor") from None
            found.append((step, value))
    return tuple(found)
