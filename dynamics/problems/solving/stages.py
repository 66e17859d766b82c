"""The two stages of learning as a schedule of learning rates: what is held, and until when."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derivations.program import Role
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import Bound
from dynamics.problems.kinds.closure import Closure
from dynamics.problems.problem import Problem
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["STAGES", "Span", "end_of_stage_one", "schedule", "stage_names"]

STAGES = ("joint", "two-stage", "frozen")
ONLY = "stage-one"
"""The prediction of a closure without attention."""


@dataclass(frozen=True)
class Span:
    """A part of a prediction: until a time, each state flows at a rate of its own (0: held)."""

    until: float
    rates: Mapping[str, float]


def stage_names(problem: Problem, stages: str | Sequence[str] | None) -> tuple[str, ...]:
    """The predictions that are asked for.

    Raises
    ------
    InputError
        An unknown name, one that is given twice, or stages of what has no attention logits to hold.
    """
    attention = set(problem.program.with_role(Role.ATTENTION)) & set(problem.rates)
    if stages is None:
        return ("joint",) if attention or not isinstance(problem, Closure) else (ONLY,)
    if not attention:
        if isinstance(problem, Closure):
            raise InputError(
                f"closure={problem.closure!r} is stage one only; leave stages out, or use closure='conditional'"
            )
        raise InputError(f"{problem.name} declares no attention logits, which stages hold: leave stages out")
    names = (stages,) if isinstance(stages, str) else tuple(stages)
    for name in names:
        if name not in STAGES:
            raise InputError(f"unknown stages {name!r}; use one of {', '.join(STAGES)}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"stages = {names!r} must name one or more different predictions of {', '.join(STAGES)}")
    return names


def schedule(
    problem: Problem, name: str, end: float, switch: float | None, rates: Mapping[str, float]
) -> tuple[Span, ...]:
    """What flows until when: of a prediction by its name."""
    if name in ("joint", ONLY):
        return (Span(end, rates),)
    if isinstance(switch, bool) or not isinstance(switch, numbers.Real) or not (np.isfinite(switch) and switch >= 0):
        raise InputError(f"switch = {switch} must be a time from 0 on: the end of stage one")
    logits, values = (problem.program.with_role(role) for role in (Role.ATTENTION, Role.VALUES))
    then = dict(rates) if name == "two-stage" else {**rates, **dict.fromkeys(values, 0.0)}
    return Span(min(switch, end), {**rates, **dict.fromkeys(logits, 0.0)}), Span(end, then)


class _Reached(Exception):
    """Ends an integration whose answer is known."""


def end_of_stage_one(
    problem: Problem, flow: Bound, y0: Vector, end: float, rates: Mapping[str, float], **options: Any
) -> float:
    """When uniform attention stops being a good description: a time from the flow itself, without the second stage.

    Attention is given a rate so small that it stays uniform; divided by that rate, its logits are what the drive on
    attention has added up to. Stage one ends when they would have favoured the best word of an average target by 1 (a
    factor e of attention), or at the end if they never do.

    Raises
    ------
    InputError
        The problem is no closure, of which alone the average target is known.
    """
    if not isinstance(problem, Closure):
        raise InputError(f"{problem.name}: give the time at which stage one ends, switch=100 for example")
    if end == 0:
        return 0.0
    slow = 1e-6
    grid = end * np.concatenate([[0.0], np.geomspace(1e-4, 1, 190)])
    drive = np.zeros(grid.size)

    def save(t: float, y: Vector) -> None:
        k = int(np.searchsorted(grid, t))
        drive[k] = problem.drive(flow, y0, y) / slow
        if drive[k] >= 1:
            raise _Reached

    logits = problem.program.with_role(Role.ATTENTION)
    held = {name: slow * rate if name in logits else rate for name, rate in rates.items()}
    options["atol"] = slow * options["atol"]
    try:
        slowed = flow.with_parameters(**{problem.rates[name]: rate for name, rate in held.items()})
        integrate(slowed, y0, (0.0, end), save=save, at=grid, **options)
    except _Reached:
        k = int(np.argmax(drive >= 1))
        return float(np.interp(1.0, drive[k - 1 : k + 1], grid[k - 1 : k + 1]))
    return end
