"""Flows that are quick at first and slow later: RK45 until stability limits its steps, ROCK4 while it would.

A gradient flow keeps the curvature of its loss to the end, where the state hardly moves: RK45 then takes as many steps
as the time is long. ROCK4 takes as many evaluations as the root of that. Where nothing is stiff the steps are those of
RK45 to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from dynamics.integrate.arguments import span_of, tolerances, within
from dynamics.integrate.conserved import Conserved
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

__all__ = ["automatic"]


def automatic(
    integrate: Callable[..., Any],
    into: Callable[[Vector, Vector], None],
    y0: Vector,
    span: tuple[float, float],
    *,
    save: Callable[[float, Vector], None] | None = None,
    at: ArrayLike = (),
    rtol: float = 1e-6,
    atol: float = 1e-9,
    events: Any = None,
    dense_output: bool = False,
    max_steps: int = 100_000,
    locate: Callable[[Vector], str] | None = None,
    conserved: Sequence[Conserved] = (),
    **options: Any,
) -> Any:
    """Integrate by the method that serves best, as :func:`dynamics.integrate.integrate`, which is given, does by one.

    Errors of both over a span go down with the tolerance. After many changes ROCK4 goes on to the end.

    Examples
    --------
    >>> import numpy as np
    >>> from dynamics.integrate.initial_value import integrate
    >>> def two(y, out):
    ...     out[:] = -y * [1e3, 1e-3]
    >>> end = automatic(integrate, two, np.ones(2), (0, 30), rtol=1e-4)
    >>> (abs(end.y) + 0.0).round(4).tolist(), end.statistics.evaluations < 1e3 * 30  # RK45 takes twice that
    ([0.0, 0.9704], True)
    """
    if events is not None or dense_output:
        raise InputError("method='auto' has no events and no dense output; use one of RK45, RKC, ROCK4")
    start, end = span_of(span)
    rtol, atol = tolerances(rtol, atol)
    wanted = within(at, start, end)
    given = {
        "rtol": rtol,
        "atol": atol,
        "save": save,
        "max_steps": max_steps,
        "locate": locate,
        "conserved": conserved,
        **options,
    }
    total, t, y, changes = None, start, y0, 0
    while True:
        method = "ROCK4" if changes % 2 else "RK45"
        found = integrate(into, y, (t, end), at=wanted, leave=changes < MOST_CHANGES, method=method, **given)
        total = found.statistics if total is None else total + found.statistics
        t, y = found.t, found.y
        if t == end:
            return replace(found, statistics=total)
        wanted = wanted[wanted > t] if end > start else wanted[wanted < t]
        given.pop("first_step", None)
        changes += 1


MOST_CHANGES = 21
"""Changes between methods after which ROCK4, which is stable, goes on to the end."""
