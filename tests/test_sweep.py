"""Sweeps against SciPy cell by cell, closed forms, and themselves in another order."""

from __future__ import annotations

import math
import sys

import numba
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from sympy import Heaviside, Max, Min, Piecewise, Rational, exp, log, sqrt, tanh

from derivations.models import positional_attention
from derivations.program import Definition, Program, scalars
from derivations.reductions import copying
from dynamics.errors import InputError
from dynamics.lowering.lanes import LANES, kernel, log as lane_log
from dynamics.sweep import Event, Status, sweep

# -- a damped oscillator with a cubic force: x' = v, v' = -k x - b x^3 - c v ------------------------------------------

x, v, k, b, c = scalars("x v k b c")
force, energy, vdot = scalars("force energy vdot")
OSCILLATOR = Program(
    name="oscillator",
    title="Duffing's oscillator",
    source="",
    extents={},
    data=(),
    states=(x, v),
    parameters=(k, b, c),
    definitions=(
        Definition(force, k * x),
        Definition(force, b * x**3, accumulate=True),
        Definition(vdot, -force - c * v),
        Definition(energy, v**2 / 2 + k * x**2 / 2 + Rational(1, 4) * b * x**4),
    ),
    flow={"x": "v", "v": "vdot"},
)
EVENTS = {
    "up": Event("x", 0.25, "rising"),
    "down": Event("x", 0.25, "falling"),
    "turn": Event("v", 0.0, "either"),
    "spent": Event("energy", 0.1, "falling", terminal=True),
}


def oscillate(method: str = "RK45", t_end=20.0, **options) -> xr.Dataset:
    """The oscillator, always compiled with the same observables and events."""
    start = {"x": options.pop("x", 1.0), "v": options.pop("v", 0.0)}
    given = {name: options.pop(name, default) for name, default in {"k": 1.0, "b": 0.0, "c": 0.0}.items()}
    return sweep(
        OSCILLATOR, given, start, t_end, method=method, **{"observables": ["energy"], "events": EVENTS} | options
    )


def scipy_events(thresholds=(0.25, 0.25, 0.0, 0.1), terminal: bool = True):
    def energy_of(t, y, k, b, c):
        return y[1] ** 2 / 2 + k * y[0] ** 2 / 2 + b * y[0] ** 4 / 4 - thresholds[3]

    found = [
        lambda t, y, *_: y[0] - thresholds[0],
        lambda t, y, *_: y[0] - thresholds[1],
        lambda t, y, *_: y[1] - thresholds[2],
        energy_of,
    ]
    for event, direction in zip(found, (1, -1, 0, -1), strict=True):
        event.direction = direction
    energy_of.terminal = terminal
    return found


def scipy_oscillator(method: str, cell: tuple[float, ...], t_end: float, at=None, **options):
    start, parameters = cell[:2], cell[2:]
    return solve_ivp(
        lambda t, y, k, b, c: [y[1], -k * y[0] - b * y[0] ** 3 - c * y[1]],
        (0, t_end),
        start,
        method=method,
        t_eval=at,
        args=parameters,
        events=scipy_events(),
        **options,
    )


def scipy_steps(method: str, cell: tuple[float, ...], t_end: float, **options) -> int:
    """Accepted steps: without times to show, solve_ivp returns the end of each."""
    found = solve_ivp(
        lambda t, y, k, b, c: [y[1], -k * y[0] - b * y[0] ** 3 - c * y[1]],
        (0, t_end),
        cell[:2],
        method=method,
        args=cell[2:],
        **options,
    )
    return found.t.size - 1


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """The same bits."""
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=str(name))


CELLS = [
    (1.0, 0.0, 1.0, 0.0, 0.0),
    (1.0, 0.0, 1.0, 0.0, 0.1),
    (-1.0, 0.5, 2.0, 1.0, 0.3),
    (0.25, 1.0, 1.0, 0.5, 0.0),
    (0.0, 0.0, 1.0, 0.0, 0.0),
    (2.0, -3.0, 40.0, 5.0, 2.0),
    (0.01, 10.0, 1.0, 1e-3, 0.5),
]


def swept(cells, method: str, t_end: float, **options) -> xr.Dataset:
    columns = dict(zip(("x", "v", "k", "b", "c"), map(list, zip(*cells, strict=True)), strict=True))
    return oscillate(method, t_end, **columns, **options)


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_a_cell_is_what_scipy_finds_in_as_many_steps(method: str) -> None:
    at = np.linspace(0, 12, 31)
    for rtol in (1e-4, 1e-10):
        found = swept(CELLS, method, 12.0, t_eval=at, rtol=rtol, atol=1e-3 * rtol)
        for row, cell in enumerate(CELLS):
            expected = scipy_oscillator(method, cell, 12.0, at, rtol=rtol, atol=1e-3 * rtol)
            one = found.isel(cell=row)
            assert int(one.evaluations) == expected.nfev
            shown = expected.t.size
            here = np.stack([one.x.values, one.v.values])
            scale = max(1.0, abs(expected.y).max())
            np.testing.assert_allclose(here[:, :shown], expected.y, rtol=0, atol=10 * rtol * scale)
            assert np.isnan(here[:, shown:]).all()
            assert int(one.status) == expected.status
            for time, times in zip(one.event_time.values, expected.t_events, strict=True):
                assert np.isnan(time) if len(times) == 0 else time == pytest.approx(times[0], abs=20 * rtol * 12)


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_as_many_steps_as_scipy(method: str) -> None:
    cells = [cell for cell in CELLS if cell[4] == 0]
    found = swept(cells, method, 30.0, rtol=1e-7, atol=1e-10)
    reached = found.status.values == Status.FINISHED
    assert reached.any()
    for row in np.flatnonzero(reached):
        assert found.steps[row] == scipy_steps(method, cells[row], 30.0, rtol=1e-7, atol=1e-10)
