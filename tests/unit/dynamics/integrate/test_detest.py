"""The 25 problems of DETEST at eight tolerances: errors in proportion to them, work at the order of the method.

T. E. Hull, W. H. Enright, B. M. Fellen, A. E. Sedgwick, Comparing numerical methods for ordinary differential
equations, SIAM J. Numer. Anal. 9 (1972) 603-637. All run from 0 to 20. Those that depend on time have it as a last
state. Single problems have luck at single tolerances; classes and slopes over eight tolerances do not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import cos, exp, sin, sqrt

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq
from sympy import Piecewise

from derivations.program.language import scalars
from derivations.program.program import Definition, Program
from dynamics.integrate.initial_value import integrate
from dynamics.integrate.sweeps import Status, sweep

END = 20.0
Slope = Callable[..., object]


def chain(size: int, below: np.ndarray, diagonal: np.ndarray, above: np.ndarray) -> np.ndarray:
    return np.diag(diagonal) + np.diag(below, -1) + np.diag(above, 1)


N = np.arange(1.0, 10.0)
MATRICES = {
    "B2": np.array([[-1.0, 1, 0], [1, -2, 1], [0, 1, -1]]),
    "C1": chain(10, np.ones(9), -np.append(np.ones(9), 0), np.zeros(9)),
    "C2": chain(10, N, -np.append(N, 0), np.zeros(9)),
    "C3": chain(10, np.ones(9), -2 * np.ones(10), np.ones(9)),
    "C4": chain(51, np.ones(50), -2 * np.ones(51), np.ones(50)),
}


def torus(x: float, y: float, z: float) -> tuple[float, ...]:
    r = sqrt(x * x + y * y)
    return -y - x * z / r, x - y * z / r, x / r


def kepler(x: float, y: float, u: float, v: float) -> tuple[float, ...]:
    r3 = (x * x + y * y) ** 1.5
    return u, v, -x / r3, -y / r3


ECCENTRIC = {1: 0.1, 2: 0.3, 3: 0.5, 4: 0.7, 5: 0.9}
PLANETS = np.array([9.54786104043e-4, 2.85583733151e-4, 4.37273164546e-5, 5.17759138449e-5, 2.77777777778e-6])
GRAVITY, SUN = 2.95912208286, 1.00000597682
PLACES = [
    [3.42947415189, 3.35386959711, 1.35494901715],
    [6.64145542550, 5.97156957878, 2.18231499728],
    [11.2630437207, 14.6952576794, 6.27960525067],
    [-30.1552268759, 1.65699966404, 1.43785752721],
    [-21.1238353380, 28.4465098142, 15.3882659679],
]
VELOCITIES = [
    [-0.557160570446, 0.505696783289, 0.230578543901],
    [-0.415570776342, 0.365682722812, 0.169143213293],
    [-0.325325669158, 0.189706021964, 0.0877265322780],
    [-0.0240476254170, -0.287659532608, -0.117219543175],
    [-0.176860753121, -0.216393453025, -0.0148647893090],
]


def five_bodies(y: np.ndarray) -> np.ndarray:
    """The outer planets about the sun, which moves under their pull."""
    places, velocities = y[:15].reshape(5, 3), y[15:]
    pull = places / (np.einsum("id,id->i", places, places) ** 1.5)[:, None]
    between = places[:, None] - places
    distance = np.einsum("ijd,ijd->ij", between, between) + np.eye(5)
    own = -np.einsum("j,ijd->id", PLANETS, between / (distance**1.5)[:, :, None])
    return np.concatenate([velocities, (GRAVITY * (own - SUN * pull - PLANETS @ pull)).ravel()])


def first(size: int, *values: float) -> list[float]:
    return [*values, *[0.0] * (size - len(values))]


PROBLEMS: dict[str, tuple[Slope, list[float]]] = {
    "A1": (lambda y: (-y,), [1.0]),
    "A2": (lambda y: (-(y**3) / 2,), [1.0]),
    "A3": (lambda y, t: (y * cos(t), 1.0), [1.0, 0.0]),
    "A4": (lambda y: (y / 4 * (1 - y / 20),), [1.0]),
    "A5": (lambda y, t: ((y - t) / (y + t), 1.0), [4.0, 0.0]),
    "B1": (lambda x, y: (2 * (x - x * y), -(y - x * y)), [1.0, 3.0]),
    "B2": (lambda y: MATRICES["B2"] @ y, [2.0, 0.0, 1.0]),
    "B3": (lambda x, y, z: (-x, x - y * y, y * y), [1.0, 0.0, 0.0]),
    "B4": (torus, [3.0, 0.0, 0.0]),
    "B5": (lambda x, y, z: (y * z, -x * z, -0.51 * x * y), [0.0, 1.0, 1.0]),
    "C1": (lambda y: MATRICES["C1"] @ y, first(10, 1.0)),
    "C2": (lambda y: MATRICES["C2"] @ y, first(10, 1.0)),
    "C3": (lambda y: MATRICES["C3"] @ y, first(10, 1.0)),
    "C4": (lambda y: MATRICES["C4"] @ y, first(51, 1.0)),
    "C5": (five_bodies, [*np.ravel(PLACES), *np.ravel(VELOCITIES)]),
    **{
        f"D{k + 1}": (kepler, [1 - e, 0.0, 0.0, sqrt((1 + e) / (1 - e))])
        for k, e in enumerate((0.1, 0.3, 0.5, 0.7, 0.9))
    },
    "E1": (
        lambda y, v, t: (v, -(v / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y), 1.0),
        [0.6713967071418030, 0.09540051444747446, 0.0],
    ),
    "E2": (lambda y, v: (v, (1 - y * y) * v - y), [2.0, 0.0]),
    "E3": (lambda y, v, t: (v, y**3 / 6 - y + 2 * sin(2.78535 * t), 1.0), [0.0, 0.0, 0.0]),
    "E4": (lambda y, v: (v, 0.032 - 0.4 * v * v), [30.0, 0.0]),
    "E5": (lambda y, v, t: (v, sqrt(1 + v * v) / (25 - t), 1.0), [0.0, 0.0, 0.0]),
}
VECTORS = {"B2", "C1", "C2", "C3", "C4", "C5"}
TOLERANCES = {
    "RK45": 10.0 ** -np.arange(3, 11),
    "DOP853": 10.0 ** -np.arange(4, 12),
    "RK23": 10.0 ** -np.arange(2.5, 6.5, 0.5),
    "RKC": 10.0 ** -np.arange(2.5, 6.5, 0.5),
}
ORDER = {"RK45": 5, "DOP853": 8, "RK23": 3, "RKC": 3}
"""Of the error of a step, as it is estimated: RKC's is that of its second order."""
SHARE = {"RK45": 1.0, "DOP853": 1.0, "RK23": 1.0, "RKC": 2 / 3}
"""The power of the tolerance that errors over a span go with."""


MOVING = ["A3", "B1", "B4", "B5", "D1", "D2", "D3", "D4", "D5", "E1", "E2", "E3"]
"""Problems that never come to rest."""


def slope_of(name: str) -> Callable[[np.ndarray], object]:
    f = PROBLEMS[name][0]
    return f if name in VECTORS else lambda y: f(*y.tolist())


@cache
def reference(name: str) -> np.ndarray:
    f = slope_of(name)
    return solve_ivp(lambda t, y: np.asarray(f(y)), (0, END), PROBLEMS[name][1], "DOP853", rtol=3e-14, atol=1e-15).y[
        :, -1
    ]


def closed_forms() -> dict[str, np.ndarray]:
    """Ends that are known otherwise."""
    found = {name: expm(END * matrix) @ PROBLEMS[name][1] for name, matrix in MATRICES.items()}
    found |= {"A1": [exp(-END)], "A2": [1 / sqrt(1 + END)], "A3": [exp(sin(END)), END]}
    found |= {"A4": [20 / (1 + 19 * exp(-END / 4))]}
    for k, e in ECCENTRIC.items():
        E = brentq(lambda E, e=e: E - e * sin(E) - END, END - 1, END + 1, xtol=1e-14)
        turn, root = 1 - e * cos(E), sqrt(1 - e * e)
        found[f"D{k}"] = [cos(E) - e, root * sin(E), -sin(E) / turn, root * cos(E) / turn]
    # v' = g - c v^2 falls at sqrt(g/c) tanh(sqrt(g c) t); sinh(log(25/(25 - t))) is the slope of the pursuit.
    speed, rate = sqrt(0.032 / 0.4), sqrt(0.032 * 0.4)
    found["E4"] = [30 + np.log(np.cosh(rate * END)) / 0.4, speed * np.tanh(rate * END)]
    ahead = 25 / (25 - END)
    found["E5"] = [pursuit(END), (ahead - 1 / ahead) / 2, END]
    return {name: np.asarray(end) for name, end in found.items()}


def pursuit(t: float) -> float:
    """The integral of sinh(log(25/(25 - t)))."""
    return (25 * np.log(25 / (25 - t)) - (25**2 - (25 - t) ** 2) / 50) / 2


def test_references_are_the_closed_forms() -> None:
    for name, end in closed_forms().items():
        np.testing.assert_allclose(reference(name), end, rtol=1e-10, atol=1e-11, err_msg=name)


@cache
def runs(method: str) -> dict[str, np.ndarray]:
    """Errors, evaluations and steps of every problem at every tolerance: (problem, 3, tolerance)."""
    found = {}
    for name, (_, start) in PROBLEMS.items():
        f, calls, rows = slope_of(name), [0], []

        def into(y: np.ndarray, out: np.ndarray, f=f, calls=calls) -> None:
            calls[0] += 1
            out[:] = f(y)

        for tolerance in TOLERANCES[method]:
            calls[0] = 0
            end = integrate(into, np.array(start), (0, END), method=method, rtol=tolerance, atol=tolerance)
            assert end.statistics.evaluations == calls[0]
            error = np.abs(end.y - reference(name)).max() / (1 + np.abs(reference(name)).max())
            rows.append((error, calls[0], end.statistics.steps))
        found[name] = np.transpose(rows)
    return found


def slopes(values: np.ndarray, tolerances: np.ndarray) -> float:
    return float(np.polyfit(np.log(tolerances), np.log(np.maximum(values, 1e-15)), 1)[0])


@pytest.mark.parametrize("method", TOLERANCES)
def test_errors_are_in_proportion_to_the_tolerance(method: str) -> None:
    tolerances = TOLERANCES[method]
    found = {name: slopes(errors, tolerances) for name, (errors, _, _) in runs(method).items()}
    assert np.median(list(found.values())) == pytest.approx(SHARE[method], abs=0.12), found
    assert min(found.values()) > 0.5 * SHARE[method], found


@pytest.mark.parametrize("method", TOLERANCES)
def test_no_error_is_more_than_all_steps_may_add_up(method: str) -> None:
    """Orbits that are off in their period part from the right one as time squared; no others do."""
    for name, (errors, _, steps) in runs(method).items():
        share = errors / (TOLERANCES[method] ** SHARE[method] * steps)
        assert share.max() < (100 if name[0] == "D" else 10), (name, share)


@pytest.mark.parametrize("method", TOLERANCES)
def test_evaluations_grow_at_the_order_of_the_method(method: str) -> None:
    """A tenth of the tolerance takes 10^(1/order) times the steps."""
    tolerances = TOLERANCES[method]
    found = {name: -slopes(steps, tolerances) for name, (_, _, steps) in runs(method).items()}
    # Where a flow comes to rest, stability decides, whatever the tolerance.
    moving = [found[name] for name in MOVING]
    assert np.median(moving) == pytest.approx(1 / ORDER[method], rel=0.15), found
    assert max(found.values()) < 1.05 / ORDER[method], found
    # Neither a step that is thrown away for every one that is taken, nor evaluations beside the steps.
    stages = {"RK45": 6, "RK23": 3, "DOP853": 12}
    if method in stages:
        taken, used = np.sum([(steps, evaluations) for _, evaluations, steps in runs(method).values()], axis=(0, 2))
        assert stages[method] * taken <= used < 1.5 * stages[method] * taken


def test_a_higher_order_pays_at_small_tolerances_and_not_at_large_ones() -> None:
    work = {}
    for method in ("RK45", "DOP853", "RK23"):
        counts = np.sum([evaluations for _, evaluations, _ in runs(method).values()], axis=0)
        work |= {(method, digits): n for digits, n in zip(np.log10(TOLERANCES[method]).round(1), counts, strict=True)}
    assert work["DOP853", -10] < work["RK45", -10] / 1.5
    assert work["RK45", -6] < work["RK23", -6] / 1.5
    assert work["RK23", -3] < work["DOP853", -4] / 1.2


# -- sweeps -----------------------------------------------------------------------------------------------------------

y, v, t, p, q, which = scalars("y v t p q which")
ydot, vdot, pdot, qdot, tdot, r3 = scalars("ydot vdot pdot qdot tdot r3")
CASES: dict[str, tuple[object, object]] = {
    "A1": (-y, 0),
    "A2": (-(y**3) / 2, 0),
    "A3": (y * sympy.cos(t), 0),
    "A4": (y / 4 * (1 - y / 20), 0),
    "A5": ((y - t) / (y + t), 0),
    "B1": (2 * (y - y * v), -(v - y * v)),
    "E1": (v, -(v / (t + 1) + (1 - sympy.Rational(1, 4) / (t + 1) ** 2) * y)),
    "E2": (v, (1 - y * y) * v - y),
    "E3": (v, y**3 / 6 - y + 2 * sympy.sin(2.78535 * t)),
    "E4": (v, 0.032 - 0.4 * v * v),
    "E5": (v, sympy.sqrt(1 + v * v) / (25 - t)),
}
"""Two equations and time: one program, whose parameter says which."""


def one_of(side: int) -> Piecewise:
    cases = [(pair[side], which < k + 0.5) for k, pair in enumerate(CASES.values())]
    return Piecewise(*cases[:-1], (cases[-1][0], True))


def program(name: str, states, parameters, definitions, flow) -> Program:
    return Program(
        name=name, title="", source="Hull et al. 1972", extents={}, data=(), states=states, parameters=parameters,
        definitions=definitions, flow=flow,
    )  # fmt: skip


def check_cells(solve: Callable, ends: np.ndarray, tolerances: np.ndarray, order: int) -> None:
    """Cells of a sweep at eight tolerances, as above."""
    errors, steps = [], []
    for tolerance in tolerances:
        found, reached = solve(tolerance)
        assert (found.status == Status.FINISHED).all()
        errors.append(np.abs(reached - ends).max(axis=0) / (1 + np.abs(ends).max(axis=0)))
        steps.append(found.steps.values)
    exponents = [slopes(error, tolerances) for error in np.transpose(errors)]
    assert np.median(exponents) == pytest.approx(1, abs=0.16), exponents
    assert min(exponents) > 0.6
    growth = [-slopes(count, tolerances) for count in np.transpose(steps)]
    assert max(growth) == pytest.approx(1 / order, rel=0.15), growth


def test_two_equations_and_time_in_a_sweep() -> None:
    definitions = (Definition(ydot, one_of(0)), Definition(vdot, one_of(1)), Definition(tdot, sympy.Integer(1)))
    cases = program("cases", (y, v, t), (which,), definitions, {"y": "ydot", "v": "vdot", "t": "tdot"})
    starts = np.zeros((2, len(CASES)))
    ends = np.zeros_like(starts)
    for cell, name in enumerate(CASES):
        n = 1 if name[0] == "A" else 2
        starts[:n, cell], ends[:n, cell] = PROBLEMS[name][1][:n], reference(name)[:n]

    def solve(tolerance: float):
        initial = {"y": starts[0], "v": starts[1], "t": 0.0}
        found = sweep(cases, {"which": np.arange(len(CASES))}, initial, END, rtol=tolerance, atol=tolerance)
        return found, np.stack([found.y.values, found.v.values])

    check_cells(solve, ends, TOLERANCES["RK45"], 5)


def test_orbits_in_a_sweep() -> None:
    definitions = (
        Definition(r3, (y**2 + v**2) ** sympy.Rational(3, 2)),
        Definition(pdot, -y / r3),
        Definition(qdot, -v / r3),
    )
    orbits = program("orbits", (y, v, p, q), (), definitions, {"y": "p", "v": "q", "p": "pdot", "q": "qdot"})
    names = [f"D{k}" for k in range(1, 6)]
    starts, ends = (np.transpose(values) for values in ([PROBLEMS[n][1] for n in names], [reference(n) for n in names]))

    def solve(tolerance: float):
        initial = dict(zip(("y", "v", "p", "q"), starts, strict=True))
        found = sweep(orbits, {}, initial, END, method="RK23", rtol=tolerance, atol=tolerance)
        return found, np.stack([found[name].values for name in initial])

    check_cells(solve, ends, TOLERANCES["RK23"], 3)
