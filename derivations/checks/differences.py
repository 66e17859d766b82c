"""A flow against finite differences of its loss, all through its equations: a wrong sign in any of them is found."""

from __future__ import annotations

from derivations.checks.check import Check, largest
from derivations.checks.small_data import Values, as_function, moving_point
from derivations.gradient_flow.adjoints import is_smooth
from derivations.program.access import name_of
from derivations.program.program import Program

__all__ = ["against_differences", "is_gradient"]

STENCIL = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
"""Central difference of sixth order."""
STEP = 2e-3


def gradient(program: Program, values: Values) -> Values:
    """The derivatives of the loss by every state, by finite differences of its equations."""
    import numpy as np

    run, loss = as_function(program), name_of(program.loss)
    found: Values = {}
    for state in program.state_names:
        here = np.array(values[state], dtype=float)
        slope = np.zeros_like(here)
        for at in np.ndindex(here.shape):
            for k, weight in STENCIL.items():
                for sign in (1, -1):
                    moved = here.copy()
                    moved[at] += sign * k * STEP
                    slope[at] += sign * weight * run(**(values | {state: moved}))[loss] / STEP
        found[state] = slope
    return found


def is_gradient(program: Program) -> bool:
    """Whether the flow of a program is that of its loss, up to a metric: it says what carries the loss back."""
    derived = bool(program.adjoints or program.model) and set(program.rates) >= set(program.state_names)
    return bool(program.flow) and program.loss is not None and derived and not program.rule and is_smooth(program)


def by_slopes(program: Program, values: Values, slopes: Values) -> Values:
    """The flow by given derivatives of the loss: minus the rate times each, or what the metric makes of them."""
    found = {rate: -values[program.rates[state]] * slopes[state] for state, rate in program.flow.items()}
    if program.metric:
        bars = program.second or program.adjoints
        given = {bars[state]: slopes[state] for state in program.state_names if state in bars}
        of_metric = Program(
            name=program.name,
            title=program.title,
            source=program.source,
            extents=program.extents,
            data=(*program.data, *(program.declarations[bar] for bar in given)),
            states=program.states,
            parameters=program.parameters,
            definitions=program.metric,
        )
        found |= as_function(of_metric)(**values, **given)
    return found


def against_differences(program: Program) -> Check:
    """The flow of a program against finite differences of its loss at a random point."""
    values = moving_point(program)
    slopes, found = gradient(program, values), as_function(program)(**values)
    expected = by_slopes(program, values, slopes)
    metric = " (times its metric)" if program.metric else ""
    pairs = [(found[rate], expected[rate]) for rate in program.flow.values()]
    return Check(f"flow against finite differences of the loss{metric}, at a random point", largest(pairs), 1e-9)
