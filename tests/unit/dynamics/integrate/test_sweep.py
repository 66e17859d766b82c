"""Sweeps against SciPy cell by cell, closed forms, and themselves in another order."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace

import numba
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from sympy import Heaviside, Max, Min, Piecewise, Rational, exp, lambdify, log, sqrt, tanh

from derivations.models import positional_attention
from derivations.program.language import scalars
from derivations.program.program import Definition, Program
from derivations.reductions import copying
from dynamics.integrate.sweeps import Event, Status, share, sweep
from dynamics.lowering.cells.cell import LANES
from dynamics.lowering.cells.cell_loop import kernel
from dynamics.lowering.cells.lanewise import log as lane_log
from dynamics.support.errors import InputError

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


def scipy_events() -> list:
    """The same events for solve_ivp."""

    def up(t, y, *_):
        return y[0] - 0.25

    def down(t, y, *_):
        return y[0] - 0.25

    def turn(t, y, *_):
        return y[1]

    def spent(t, y, k, b, c):
        return y[1] ** 2 / 2 + k * y[0] ** 2 / 2 + b * y[0] ** 4 / 4 - 0.1

    up.direction, down.direction, turn.direction, spent.direction = 1, -1, 0, -1
    spent.terminal = True
    return [up, down, turn, spent]


def scipy_oscillator(method: str, cell: tuple[float, ...], t_end: float, at=None, **options):
    start, parameters = cell[:2], cell[2:]
    # SciPy's DOP853 divides 0 by 0 where squares of errors underflow, at states around 1e-160, and goes on.
    with np.errstate(invalid="ignore"):
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


# -- against SciPy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "tight"), [("RK45", 1e-7), ("DOP853", 1e-6)])
def test_a_cell_takes_the_steps_of_scipy(method: str, tight: float) -> None:
    # Tighter, and SciPy's own first steps follow the rounding: the error of a tiny step is all rounding.
    at = np.linspace(0, 12, 31)
    for rtol in (1e-4, tight):
        found = swept(CELLS, method, 12.0, t_eval=at, rtol=rtol, atol=1e-3 * rtol)
        ends = swept(CELLS, method, 12.0, rtol=rtol, atol=1e-3 * rtol)
        for row, cell in enumerate(CELLS):
            expected = scipy_oscillator(method, cell, 12.0, at, rtol=rtol, atol=1e-3 * rtol)
            steps = scipy_oscillator(method, cell, 12.0, rtol=rtol, atol=1e-3 * rtol)
            assert found.evaluations[row] == expected.nfev
            assert ends.evaluations[row] == steps.nfev
            assert ends.steps[row] == steps.t.size - 1
            assert found.status[row] == expected.status


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_a_cell_is_what_scipy_finds(method: str) -> None:
    at, rtol = np.linspace(0, 12, 31), 1e-10
    found = swept(CELLS, method, 12.0, t_eval=at, rtol=rtol, atol=1e-3 * rtol)
    for row, cell in enumerate(CELLS):
        expected = scipy_oscillator(method, cell, 12.0, at, rtol=rtol, atol=1e-3 * rtol)
        here, shown = np.stack([found.x[row], found.v[row]]), expected.t.size
        np.testing.assert_allclose(here[:, :shown], expected.y, rtol=0, atol=10 * rtol * max(1, abs(expected.y).max()))
        assert np.isnan(here[:, shown:]).all()
        for time, times in zip(found.event_time[row].values, expected.t_events, strict=True):
            np.testing.assert_allclose(time, times[0] if len(times) else np.nan, rtol=0, atol=12 * 10 * rtol)


real = st.floats(-2, 2)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(real, real, st.floats(0.1, 10), st.floats(0, 5), st.floats(0, 1)), min_size=1, max_size=5),
    st.sampled_from(["RK45", "DOP853"]),
)
def test_random_cells_are_what_scipy_finds(cells: list[tuple[float, ...]], method: str) -> None:
    at = np.array([0, 0.3, 1.1, 2.0])
    found = swept(cells, method, 2.0, t_eval=at, rtol=1e-10, atol=1e-12)
    for row, cell in enumerate(cells):
        try:
            expected = scipy_oscillator(method, cell, 2.0, at, rtol=1e-10, atol=1e-12)
        except ValueError:
            continue  # SciPy's finder of events raises where one falls on the end of a step (its issue 17066)
        shown = expected.t.size
        here = np.stack([found.x[row], found.v[row]])[:, :shown]
        np.testing.assert_allclose(here, expected.y, rtol=0, atol=1e-9 * max(1, abs(expected.y).max()))


def copying_slopes(t: float, y: np.ndarray, V: float, L: float) -> list[float]:
    """The two equations of the copying system as they are printed."""
    u, a = y
    alpha = math.exp(a) / (math.exp(a) + L - 1)
    epsilon = (1 - alpha) / (L - 1)
    total = math.exp(alpha * u) + (L - 1) * math.exp(epsilon * u) + V - L
    p_t, p_in = math.exp(alpha * u) / total, math.exp(epsilon * u) / total
    du = (alpha * (1 - p_t) - (1 - alpha) * p_in) / (V - 1)
    return [du, u * alpha * (1 - alpha) * (1 - p_t + p_in) / (L - 1)]


def test_copying_in_both_branches() -> None:
    V, start = np.repeat([40.0, 42.0, 50.0, 60.0], 2), np.tile([0.01, -0.01], 4)
    parameters = {"V": V, "L": 40, "eta_W": 1, "eta_A": 1}
    learnt = {"learnt": Event("p_t", 0.5, terminal=True)}
    found = sweep(
        copying(), parameters, {"u": start, "a": start}, 1e6, observables=["p_t"], events=learnt, rtol=1e-10, atol=1e-12
    )
    times = found.event_time.values[:, 0]
    # One cell takes forty times as long as another.
    assert times.round().tolist() == [7015, 283935, 5389, 6845, 4214, 4596, 3993, 4261]
    np.testing.assert_allclose(found.p_t, 0.5, rtol=1e-9)
    assert (found.status == Status.EVENT).all()
    np.testing.assert_array_equal(found.end_time, times)
    for row in (1, 6):
        expected = solve_ivp(
            copying_slopes, (0, times[row]), [start[row]] * 2, args=(V[row], 40), rtol=1e-10, atol=1e-12
        )
        np.testing.assert_allclose([found.u[row], found.a[row]], expected.y[:, -1], rtol=1e-9)


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "order", "tolerances"), [("RK45", 5, (1e-6, 1e-10)), ("DOP853", 8, (1e-5, 1e-11))])
def test_the_error_falls_with_the_steps_at_the_order_of_the_method(method: str, order: int, tolerances) -> None:
    at = np.linspace(0, 100, 51)
    errors, steps = [], []
    for rtol in tolerances:
        found = oscillate(method, 100.0, t_eval=at, rtol=rtol, atol=rtol)
        errors.append(abs(found.x.values[0] - np.cos(at)).max())
        steps.append(int(found.steps[0]))
    assert np.log(errors[0] / errors[1]) / np.log(steps[1] / steps[0]) == pytest.approx(order, rel=0.1)
    assert errors[1] < 1e4 * tolerances[1]


@pytest.mark.parametrize(("method", "rtols"), [("RK45", (1e-5, 1e-8)), ("DOP853", (1e-5, 1e-8))])
def test_a_rotation_loses_one_rtol_a_turn(method: str, rtols) -> None:
    """Nothing damps what steps err by, so it adds up: what the docstring says of fast rotations, measured."""
    turns = np.array([10, 50, 250])
    for rtol in rtols:
        k = (2 * math.pi * turns) ** 2  # so many turns in a unit of time
        found = oscillate(method, 1.0, k=k, rtol=rtol, atol=1e-3 * rtol)
        lost = np.hypot(found.x.values - 1, found.v.values / np.sqrt(k))
        assert (found.status == Status.FINISHED).all()
        assert (lost < rtol * turns).all()
        np.testing.assert_allclose(lost / turns, lost[0] / turns[0], rtol=0.1)


def test_states_within_steps_are_as_good_as_steps() -> None:
    """Three decays, a hundred times apart, mixed: SciPy's interpolant errs by 1e-7 and more at a tolerance of 1e-12."""
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    rates, start = np.array([1.0, 10.0, 100.0]), np.array([0.3, -1.0, 0.5])
    matrix = -(basis * rates) @ basis.T
    ys, slopes = scalars("y0 y1 y2"), scalars("r0 r1 r2")
    program = replace(
        FALL,
        states=ys,
        parameters=(),
        definitions=tuple(
            Definition(r, sum(float(m) * y for m, y in zip(row, ys, strict=True)))
            for r, row in zip(slopes, matrix, strict=True)
        ),
        flow={"y0": "r0", "y1": "r1", "y2": "r2"},
    )
    at = np.linspace(0, 5, 501)
    exact = basis @ (np.exp(-rates[:, None] * at) * (basis.T @ start)[:, None])
    initial = {"y0": start[0], "y1": start[1], "y2": start[2]}
    for rtol in (1e-10, 1e-12):
        found = sweep(
            program,
            {},
            initial,
            5.0,
            t_eval=at,
            method="DOP853",
            rtol=rtol,
            atol=rtol,
            events={"low": Event("y0", 0.01, "falling"), "high": Event("y0", 0.01, "rising")},
        )
        theirs = solve_ivp(lambda t, y: matrix @ y, (0, 5), start, "DOP853", rtol=rtol, atol=rtol, dense_output=True)
        ends = abs(theirs.y - basis @ (np.exp(-rates[:, None] * theirs.t) * (basis.T @ start)[:, None])).max()
        here = np.stack([found[name].values[0] for name in ("y0", "y1", "y2")])
        assert abs(here - exact).max() < 4 * ends
        assert abs(theirs.sol(at) - exact).max() > 10 * ends
        passed = found.event_time.values[0]
        assert np.isfinite(passed).any()
        values = np.array([basis[0] @ (np.exp(-rates * time) * (basis.T @ start)) for time in passed])
        np.testing.assert_allclose(values[np.isfinite(passed)], 0.01, atol=4 * ends)
        # An evaluation for each stage of each state that is shown, and of each that is tried for an event.
        assert found.evaluations[0] > 11 * at.size


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_energy_is_conserved_without_damping(method: str) -> None:
    found = oscillate(
        method, 30.0, t_eval=np.linspace(0, 30, 100), b=[0.0, 1.0, 3.0], k=[1, 0, 2], rtol=1e-11, atol=1e-13
    )
    np.testing.assert_allclose(found.energy, found.energy.values[:, :1] * np.ones(100), rtol=1e-9)
    np.testing.assert_allclose(found.energy[:, 0], [0.5, 0.25, 1.75])


FALLING_ROOT = math.acos(0.25)


def test_events_by_direction() -> None:
    found = oscillate("DOP853", 7.0, x=[1.0, 0.2, 0.25, 0.25], v=[0.0, 0.0, 1.0, -1.0], rtol=1e-12, atol=1e-14)
    times = found.event_time
    assert times.event.values.tolist() == ["up", "down", "turn", "spent"]
    assert float(times[0].sel(event="up")) == pytest.approx(2 * math.pi - FALLING_ROOT, abs=1e-10)
    assert float(times[0].sel(event="down")) == pytest.approx(FALLING_ROOT, abs=1e-10)
    # v = 0 at the start, where the cell leaves it.
    assert float(times[0].sel(event="turn")) == 0.0
    # The amplitude is below the threshold: never.
    assert np.isnan(times[1, :2]).all()
    # On the threshold at the start: passed at 0 in the direction of motion, later in the other.
    later = 2 * math.atan2(1.0, 0.25)
    assert float(times[2].sel(event="up")) == 0.0
    assert float(times[2].sel(event="down")) == pytest.approx(later, abs=1e-10)
    assert float(times[3].sel(event="down")) == 0.0
    assert float(times[3].sel(event="up")) == pytest.approx(2 * math.pi - later, abs=1e-10)
    assert np.isnan(times.sel(event="spent")).all()
    assert (found.status == Status.FINISHED).all()


def test_a_terminal_event_ends_its_cell() -> None:
    at = np.linspace(0, 30, 61)
    ends = oscillate(t_end=30.0, c=[0.1, 0.0], rtol=1e-10, atol=1e-12)
    shown = oscillate(t_end=30.0, c=[0.1, 0.0], rtol=1e-10, atol=1e-12, t_eval=at)
    time = float(ends.event_time[0].sel(event="spent"))
    assert ends.status.values.tolist() == [Status.EVENT, Status.FINISHED]
    assert ends.end_time.values.tolist() == [time, 30.0]
    assert 10 < time < 30
    assert float(ends.energy[0]) == pytest.approx(0.1, abs=1e-9)
    np.testing.assert_array_equal(np.isnan(shown.x[0]), at > time)
    np.testing.assert_array_equal(np.isnan(shown.energy[0]), at > time)
    assert not np.isnan(shown.x[1]).any()
    assert float(ends.x[1]) == pytest.approx(math.cos(30), abs=1e-8)


@pytest.mark.parametrize(("threshold", "seen"), [(0.54, True), (0.57, False)])
def test_what_comes_after_a_terminal_event_in_its_step_is_not_seen(threshold: float, seen: bool) -> None:
    # v = exp(-t), x = 1 - v: the energy v^2 / 2 is 0.1 at t = 0.80, where x = 0.553.
    events = EVENTS | {"up": Event("x", threshold)}
    found = oscillate(t_end=5.0, x=0.0, v=1.0, k=0.0, c=1.0, events=events, rtol=1e-3, atol=1e-3)
    spent, up = (float(found.event_time[0].sel(event=name)) for name in ("spent", "up"))
    assert spent == pytest.approx(-0.5 * math.log(0.2), abs=0.01)
    assert (up == pytest.approx(-math.log(1 - threshold), abs=0.01)) if seen else np.isnan(up)


# -- what expressions may hold ----------------------------------------------------------------------------------------

y, s, rate, w = scalars("y s rate w")
ZOO = {
    "largest": Max(y, k, Rational(1, 2)),
    "smallest": Min(y, Max(k, Rational(1, 3)), 2),
    "either": Piecewise((y, k > 0), (-w * y, y > Rational(1, 2)), (k, True)),
    "logs": log(y) - log(2 * w) + y**-2,
    "roots": sqrt(y) ** -1 * y**3 + y ** Rational(3, 2),
    "switch": Heaviside(y - Rational(7, 10)) * k,
    "bounded": tanh(k * y),
    "fixed": k + 2 * w,
    "steep": exp(-100 * y) - exp(w * y),
}
FALL = Program(
    name="fall",
    title="x' = -k sqrt(x), which reaches 0 at t = 2 sqrt(x0) / k and has no value beyond",
    source="",
    extents={},
    data=(),
    states=(y, s),
    parameters=(k,),
    definitions=(
        Definition(w, k**2 / 3 + 1),
        Definition(rate, -k * sqrt(y)),
        *(Definition(scalars(name)[0], value) for name, value in ZOO.items()),
    ),
    flow={"y": "rate", "s": "k"},
)


def fall(k, t_end, t_eval=None) -> xr.Dataset:
    return sweep(
        FALL, {"k": k}, {"y": 1.0, "s": 0.0}, t_end, t_eval=t_eval, observables=list(ZOO), method="RK23", rtol=1e-8
    )


def test_a_third_method_is_scipys() -> None:
    at = np.linspace(0, 1.2, 13)
    found = fall([0.5, 1.0], 1.2, at)
    for row, strength in enumerate([0.5, 1.0]):
        expected = solve_ivp(
            lambda t, y, k: [-k * np.sqrt(y[0]), k],
            (0, 1.2),
            [1, 0],
            "RK23",
            at,
            args=(strength,),
            rtol=1e-8,
            atol=1e-9,
        )
        np.testing.assert_allclose([found.y[row], found.s[row]], expected.y, rtol=1e-13, atol=1e-15)
        assert found.evaluations[row] == expected.nfev


def test_expressions_have_their_values() -> None:
    given, at = np.array([0.5, 1.0, -0.4, 1.5]), np.linspace(0, 1.2, 13)
    found = fall(given, 1.2, at)
    exact = (1 - given[:, None] * at / 2) ** 2
    np.testing.assert_allclose(found.y, exact, atol=1e-6)
    np.testing.assert_allclose(found.s, given[:, None] * at, rtol=1e-12, atol=1e-15)
    for name, value in ZOO.items():
        of = lambdify((y, k), value.subs(w, k**2 / 3 + 1), "math")
        expected = [[of(float(yy), kk) for yy in row] for row, kk in zip(found.y.values, given, strict=True)]
        np.testing.assert_allclose(found[name], expected, rtol=1e-13, atol=1e-15, err_msg=name)


def log_of(x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    logs(x, out)
    return out


@numba.njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})
def logs(x, out):
    for i in range(x.size):
        out[i] = lane_log(x[i])


def test_log_is_within_a_unit_in_the_last_place() -> None:
    rng = np.random.default_rng(0)
    near = 1 + np.concatenate([rng.normal(0, 10.0**-k, 1000) for k in range(2, 15)])
    x = np.concatenate([np.exp(rng.uniform(-744, 709, 100_000)), rng.uniform(0.5, 2, 100_000), near])
    exact = np.log(x.astype(np.longdouble))
    assert (abs(log_of(x) - exact) / np.spacing(abs(exact).astype(float))).max() <= 1
    special = np.array(
        [0.0, -0.0, -1.0, np.inf, -np.inf, np.nan, 1.0, 5e-324, np.finfo(float).tiny, np.finfo(float).max]
    )
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(log_of(special), np.log(special), rtol=1e-15)


# -- cells share nothing ----------------------------------------------------------------------------------------------


def many(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Cells of every length and fate."""
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=count),
        "v": rng.normal(size=count),
        "k": rng.uniform(0, 50, count),
        "b": rng.choice([-2.0, 0.0, 1.0], count),
        "c": rng.choice([0.0, 0.3], count),
        "t_end": rng.choice([0.0, 0.5, 3.0, 40.0], count),
    }


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
def test_the_order_of_cells_and_their_neighbours_do_not_matter(method: str) -> None:
    at, cells = np.linspace(0, 40, 30), many(5 * LANES + 3)
    whole = oscillate(method, t_eval=at, **cells)
    assert {Status.FINISHED, Status.EVENT} < set(whole.status.values)
    assert (whole.status < 0).any()
    order = np.random.default_rng(1).permutation(whole.sizes["cell"])
    shuffled = oscillate(method, t_eval=at, **{name: values[order] for name, values in cells.items()})
    assert_same(whole.isel(cell=order), shuffled)
    for some in ([7], range(LANES - 1), range(3, LANES + 3), range(5, LANES + 6)):
        part = oscillate(method, t_eval=at, **{name: values[list(some)] for name, values in cells.items()})
        assert_same(whole.isel(cell=list(some)), part)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread only")
def test_the_number_of_threads_does_not_matter() -> None:
    cells = many(40 * LANES + 1)
    assert_same(oscillate(threads=1, **cells), oscillate(threads=2, **cells))


def test_an_error_in_a_thread_empties_the_queue() -> None:
    queue = np.zeros(1, np.int64)

    def work() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        share(work, queue, 2, 1000)
    assert queue[0] == 1000


def test_the_loops_over_lanes_are_vector_instructions() -> None:
    run = kernel(OSCILLATOR, "RK45", ("energy",), tuple(event.crossing for event in EVENTS.values()))
    attempt = sys.modules[run.py_func.__module__].attempt
    attempt(np.zeros(200 * LANES), np.zeros(4), 1e-3, 1e-6, 10.0)
    (code,) = attempt.inspect_llvm().values()
    vectors = len(re.findall(r"f(?:add|mul|div)[a-z ]* <\d+ x double>", code))
    numbers = len(re.findall(r"f(?:add|mul|div)[a-z ]* double", code))
    assert vectors > 50
    assert numbers < 10


# -- failures are a cell's own ----------------------------------------------------------------------------------------


def test_a_cell_that_fails_says_so_and_costs_little() -> None:
    # x'' = 2 x^3 from x = x' = 1 is 1 / (1 - t).
    found = oscillate(t_end=2.0, v=[0.0, 1.0, 0.0], b=[0.0, -2.0, 0.0], k=[1.0, 0.0, np.inf], t_eval=[0.0, 0.5, 1.5])
    assert found.status[0] == Status.FINISHED
    assert found.status[1] in (Status.NOT_FINITE, Status.STEP_TOO_SMALL)
    assert float(found.end_time[1]) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(found.x[1], [1.0, 2.0, np.nan], rtol=1e-5)
    assert found.status[2] == Status.NOT_FINITE
    assert found.end_time[2] == 0
    assert found.evaluations[2] <= 8
    assert np.isnan(found.x[2, 1:]).all()


def test_a_slope_without_a_value_ends_a_cell() -> None:
    given = np.array([1.0, 0.8, 1.3, 2.0, 5.0, 40.0, 0.25])
    found = fall(given, 3.0)
    assert found.status.values.tolist() == [Status.NOT_FINITE] * 6 + [Status.FINISHED]
    assert np.isnan([found.y[:6], found.largest[:6]]).all()
    assert float(found.y[6]) == pytest.approx(0.625**2, abs=1e-6)
    # SciPy gives up there too. How often it halves its steps before that depends on rounding, by some in a hundred.
    expected = []
    for strength in given[:6]:
        with np.errstate(invalid="ignore"):
            one = solve_ivp(
                lambda t, y, k: [-k * np.sqrt(y[0]), k], (0, 3), [1, 0], "RK23", args=(strength,), rtol=1e-8, atol=1e-9
            )
        assert one.status == -1
        expected.append((one.t[-1], one.nfev))
    times, evaluations = np.transpose(expected)
    np.testing.assert_allclose(found.end_time[:6], times, rtol=1e-9)
    assert float(found.evaluations[:6].mean()) == pytest.approx(evaluations.mean(), rel=0.07)


def test_a_cell_without_a_slope_at_its_start_ends_there() -> None:
    """x' = -sqrt(x) from x < 0: nothing hangs on it, and its neighbours do not know."""
    definitions = (Definition(rate, -sqrt(y)),)
    fall = replace(FALL, states=(y,), parameters=(), definitions=definitions, flow={"y": "rate"})
    found = sweep(fall, {}, {"y": [1.0, -1.0, 0.25]}, 0.5)
    assert found.status.values.tolist() == [Status.FINISHED, Status.NOT_FINITE, Status.FINISHED]
    assert found.end_time.values.tolist() == [0.5, 0.0, 0.5]
    assert found.evaluations[1] <= 20
    np.testing.assert_allclose(found.y, [0.5625, np.nan, 0.0625], atol=1e-5)


def test_a_cell_of_too_many_steps_is_told() -> None:
    found = oscillate(t_end=[1000.0, 1e-3], max_steps=7)
    assert found.status.values.tolist() == [Status.TOO_MANY_STEPS, Status.FINISHED]
    assert found.steps[0] == 7
    assert 0 < found.end_time[0] < 1000
    assert np.isnan(found.x[0])


def test_a_span_of_length_zero() -> None:
    found = oscillate(t_end=0.0, x=[0.25, 1.0], v=[1.0, 1.0])
    assert found.x.values.tolist() == [0.25, 1.0]
    assert found.end_time.values.tolist() == [0.0, 0.0]
    assert (found.status == Status.FINISHED).all()
    shown = oscillate(t_end=[0.0, 1.0], t_eval=[0.0, 1.0])
    np.testing.assert_allclose(shown.x, [[1.0, np.nan], [1.0, math.cos(1)]], rtol=1e-5)


# -- input ------------------------------------------------------------------------------------------------------------

GIVEN = {"k": 1.0, "b": 0.0, "c": 0.0}
AT_REST = {"x": 1.0, "v": 0.0}


def call(program=OSCILLATOR, parameters=GIVEN, initial=AT_REST, t_end=1.0, **options) -> xr.Dataset:
    return sweep(program, parameters, initial, t_end, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": GIVEN | {"kk": 1.0}}, r"oscillator has no parameter 'kk'; did you mean k\?"),
        ({"parameters": {"k": 1.0}}, r"parameter of b, c is missing; oscillator needs k, b, c"),
        ({"initial": {"x": 1.0}}, r"initial value of v is missing"),
        ({"initial": AT_REST | {"z": 1.0}}, r"has no state 'z'; it has x, v"),
        ({"observables": ["enrgy"]}, r"no observable 'enrgy'; did you mean energy\?"),
        ({"events": {"e": Event("forc", 1.0)}}, r"no observable 'forc'; did you mean force\?"),
        ({"initial": {"x": [1.0, np.nan], "v": 0.0}}, r"initial x is nan in cell 1"),
        ({"initial": {"x": np.inf, "v": 0.0}}, r"initial x is inf in cell 0"),
        ({"parameters": GIVEN | {"k": [1.0, 2.0, np.nan]}}, r"parameter k is nan in cell 2"),
        ({"parameters": GIVEN | {"k": "stiff"}}, r"parameter k must be a number or a list of numbers, not 'stiff'"),
        ({"parameters": GIVEN | {"k": [1, 2], "b": [1, 2, 3]}}, r"parameter b has 3 cells where parameter k has 2"),
        ({"parameters": GIVEN | {"k": np.ones((2, 2))}}, r"shape \(2, 2\); .* \(ravel a grid\)"),
        ({"parameters": GIVEN | {"k": []}}, r"parameter k is empty"),
        ({"t_end": -1.0}, r"t_end = -1 is before the start"),
        ({"t_end": np.inf}, r"t_end is inf in cell 0"),
        ({"t_eval": [0.5, 0.2]}, r"t is not increasing"),
        ({"method": "LSODA"}, r"unknown method 'LSODA'; use one of RK45, RK23, DOP853"),
        ({"rtol": 1e-16}, r"rtol = 1e-16 is below"),
        ({"rtol": np.nan}, r"rtol = nan"),
        ({"atol": 0.0}, r"atol = 0.0 is not a positive number"),
        ({"max_steps": 0}, r"max_steps = 0 allows no step"),
        ({"max_steps": 2.5}, r"max_steps must be a whole number, not 2\.5"),
        ({"max_steps": 2**64}, r"max_steps = 18446744073709551616 is more than 64 bits hold"),
        ({"rtol": "1e-6"}, r"rtol must be a number, not '1e-6'"),
        ({"atol": [1e-6, 1e-9]}, r"atol must be one number, not of shape \(2,\)"),
        ({"method": None}, r"unknown method None; use one of RK45, RK23, DOP853"),
        ({"t_eval": np.array([False, True])}, r"t must be a list of times, not .*, which holds truth values"),
        ({"t_eval": np.array(["2024-01-01"], "M8[D]")}, r"t must be a list of times, not .*, which holds dates"),
        ({"t_end": np.array([True])}, r"t_end must be a number or a list of numbers, not \[ True\], which holds truth"),
        ({"initial": {"x": 1j, "v": 0.0}}, r"initial x must be a number .* not 1j, which holds complex numbers"),
        ({"parameters": GIVEN | {"k": 2**64}}, r"parameter k must be .* which holds an integer of more than 64 bits"),
        ({"parameters": GIVEN | {"k": None}}, r"parameter k must be a number or a list of numbers, not None"),
        ({"threads": "2"}, r"threads = '2' is not between 1 and"),
        ({"threads": 0}, r"threads = 0 is not between 1 and"),
        ({"threads": 10_000}, r"threads = 10000 is not between 1 and"),
        ({"program": replace(OSCILLATOR, flow={"x": "v"})}, r"oscillator has no flow for its state v"),
        ({"program": positional_attention()}, r"is not a system of scalars \(.* has indices\)"),
        ({"program": replace(OSCILLATOR, data=scalars("d"))}, r"oscillator has data \(d\)"),
        ({"program": replace(OSCILLATOR, parameters=(k, b, c, *scalars("steps")))}, r"has a steps of its own"),
    ],
)
def test_bad_input_is_told_in_one_line(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        call(**change)
    assert "\n" not in str(error.value)


def test_bad_events_are_told() -> None:
    with pytest.raises(InputError, match="unknown direction 'upwards' of an event"):
        Event("x", 0.5, "upwards")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the threshold nan of x is not a number"):
        Event("x", np.nan)


def test_the_result_is_labelled() -> None:
    found = oscillate(t_end=1.0, k=[1.0, 2.0], t_eval=[0.0, 1.0])
    assert dict(found.sizes) == {"cell": 2, "time": 2, "event": 4}
    assert found.k.dims == ("cell",)
    assert found.k.values.tolist() == [1.0, 2.0]
    assert found.x.dims == ("cell", "time")
    assert found.status.attrs["flag_meanings"].split()[1] == "event"
    assert found.attrs["system"] == "oscillator"
