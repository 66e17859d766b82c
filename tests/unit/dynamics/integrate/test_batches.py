"""Batches: each cell is one integration, to the last bit, whatever stands beside it; events, failures, words."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from derivations.program.language import SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.integrate.batches import batch
from dynamics.integrate.initial_value import integrate
from dynamics.integrate.sweeps import Event, Status, sweep
from dynamics.lowering import lower
from dynamics.lowering.passes.hoist import apart
from dynamics.support.errors import InputError

i, j = indices("i j")
x, M, rate, force = tensors("x M rate force")
speed, size = scalars("speed size")
N = scalars("N", integer=True, positive=True)[0]


@cache
def linear() -> Program:
    """x' = -speed M x, its size watched."""
    return Program(
        name="linear",
        title="Linear",
        source="",
        extents={i: N, j: N},
        data=(M[i, j],),
        states=(x[i],),
        parameters=(speed,),
        definitions=(
            Definition(force[i], SumOver(M[i, j] * x[j], j), "M x"),
            Definition(rate[i], -speed * force[i], "change"),
            Definition(size, SumOver(x[i] ** 2, i), "size"),
        ),
        flow={"x": "rate"},
    )


@cache
def scalar() -> Program:
    """u' = speed u^2 - u: grows without bound above u = 1/speed."""
    u, change = scalars("u change")
    return Program(
        name="scalar",
        title="Scalar",
        source="",
        extents={},
        data=(),
        states=(u,),
        parameters=(speed,),
        definitions=(Definition(change, speed * u**2 - u, "change"),),
        flow={"u": "change"},
    )


RANDOM = np.random.default_rng(1)
MATRIX = RANDOM.normal(size=(3, 3)) + 3 * np.eye(3)
STARTS = RANDOM.normal(size=(7, 3))
SPEEDS = np.linspace(0.1, 2, 7)


@pytest.mark.parametrize("method", ["RK45", "RK23", "DOP853"])
@pytest.mark.parametrize("rtol", [1e-4, 1e-10])
def test_cells_are_single_integrations_to_the_last_bit(method: str, rtol: float) -> None:
    at = [0.0, 0.5, 0.6, 2.0]
    found = batch(
        linear(), {"speed": SPEEDS}, {"x": STARTS}, 2.0, data={"M": MATRIX}, t_eval=at, method=method, rtol=rtol,
        observables=["size", "force"],
    )  # fmt: skip
    assert found.x.dims == ("cell", "time", "i")
    assert found["size"].dims == ("cell", "time")
    for k, (start, pace) in enumerate(zip(STARTS, SPEEDS, strict=True)):
        flow, seen = lower(linear(), ["rate"]).bind({"M": MATRIX}, {"speed": pace}), []
        end = integrate(
            flow, start, (0, 2), at=at, save=lambda t, y, s=seen: s.append(y.copy()), method=method, rtol=rtol
        )  # type: ignore
        np.testing.assert_array_equal(found.x[k], seen)
        assert found.steps[k] == end.statistics.steps
        assert found.evaluations[k] == end.statistics.evaluations
        np.testing.assert_allclose(found["size"][k], np.square(seen).sum(axis=1), rtol=1e-14)
        np.testing.assert_allclose(found.force[k], np.array(seen) @ MATRIX.T, rtol=1e-12, atol=1e-13)


def test_data_may_differ_between_cells() -> None:
    matrices = MATRIX + RANDOM.normal(size=(7, 3, 3)) / 10
    found = batch(linear(), {"speed": 1.0}, {"x": STARTS[0]}, 1.5, data={"M": matrices})
    for k, matrix in enumerate(matrices):
        alone = batch(linear(), {"speed": 1.0}, {"x": STARTS[0]}, 1.5, data={"M": matrix})
        np.testing.assert_array_equal(found.x[k], alone.x[0])
    assert found.x.dims == ("cell", "i")


def test_threads_and_neighbours_change_nothing() -> None:
    given = {"data": {"M": MATRIX}, "t_eval": [1.0, 2.0], "events": {"half": Event("size", 0.5, "falling")}}
    whole = batch(linear(), {"speed": SPEEDS}, {"x": STARTS}, 2.0, threads=1, **given)
    part = batch(linear(), {"speed": SPEEDS[::-2]}, {"x": STARTS[::-2]}, 2.0, **given)
    np.testing.assert_array_equal(whole.x[::-2], part.x)
    np.testing.assert_array_equal(whole.event_time[::-2], part.event_time)


@pytest.mark.parametrize("method", ["RK45", "DOP853"])
@pytest.mark.parametrize("rtol", [1e-6, 1e-11])
def test_events_are_those_of_sweeps(method: str, rtol: float) -> None:
    starts = np.array([0.2, 0.5, 0.9, 1.0, 0.1])
    events = {
        "low": Event("u", 0.1, "falling"),
        "half": Event("u", 0.5, "either"),
        "lower": Event("u", 0.02, "falling", terminal=True),
    }
    given = {"events": events, "method": method, "rtol": rtol, "atol": rtol / 1e3, "t_eval": [0.0, 1.0, 3.0, 50.0]}
    found, wanted = (
        run(scalar(), {"speed": 0.5}, {"u": starts}, [50.0, 50.0, 50.0, 2.0, 50.0], **given) for run in (batch, sweep)
    )
    for name in ("event_time", "u", "end_time"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, err_msg=name)
    np.testing.assert_array_equal(found.status, wanted.status)
    np.testing.assert_array_equal(found.steps, wanted.steps)
    exact = np.log((1 / 0.1 - 0.5) / (1 / starts[:3] - 0.5))  # 1/u - speed grows like e^t
    np.testing.assert_allclose(found.event_time.sel(event="low")[:3], exact, rtol=1e-4)


def test_the_end_of_a_cell_is_that_of_its_terminal_event() -> None:
    event = {"half": Event("x[0]", 0.5, "falling", terminal=True)}
    found = batch(
        linear(), {"speed": [1.0, 2.0]}, {"x": [1.0, 1.0]}, 9.0, data={"M": np.eye(2)}, events=event, rtol=1e-9
    )
    np.testing.assert_allclose(found.end_time, np.log(2) / np.array([1, 2]), rtol=1e-7)
    np.testing.assert_allclose(found.x, 0.5, rtol=1e-9)
    assert (found.status == Status.EVENT).all()


def test_cells_that_fail_say_so_and_leave_others_alone() -> None:
    found = batch(scalar(), {"speed": [0.5, 2.0, np.inf, 0.5]}, {"u": 1.0}, [2.0, 2.0, 2.0, 0.0], t_eval=[0, 1, 2])
    # The second reaches infinity at log 2.
    assert found.status.values.tolist() == [Status.FINISHED, found.status[1], Status.NOT_FINITE, Status.FINISHED]
    assert found.status[1] in (Status.STEP_TOO_SMALL, Status.NOT_FINITE)
    assert found.end_time[1] == pytest.approx(np.log(2), rel=1e-3)
    np.testing.assert_array_equal(np.isnan(found.u), [[0, 0, 0], [0, 1, 1], [0, 1, 1], [0, 1, 1]])
    stalled = batch(scalar(), {"speed": 0.5}, {"u": [1.0, 1.0]}, 50.0, max_steps=3)
    assert (stalled.status == Status.TOO_MANY_STEPS).all()
    assert np.isnan(stalled.u).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": {}}, "initial value of x is missing"),
        ({"initial": {"y": 1}}, "linear has no state 'y'"),
        ({"initial": {"x": np.ones((7, 4))}}, "initial x has shape (7, 4); give (3,)"),
        ({"initial": {"x": np.ones((6, 3))}}, "initial x has 6 cells where parameter speed has 7"),
        ({"parameters": {"speed": np.ones((7, 1))}}, "parameter speed has shape (7, 1)"),
        ({"parameters": {}}, "linear: no value for speed"),
        ({"t_end": -1}, "t_end = -1 is not a time from 0 on"),
        ({"observables": ["sice"]}, "linear has no observable 'sice'; did you mean size"),
        ({"events": {"e": Event("x", 1)}}, "an event at x of shape (3,) needs one of its entries"),
        ({"events": {"e": Event("x[3]", 1)}}, "an event at x of shape (3,) needs one of its entries"),
        ({"data": {}}, "linear: the data lacks M"),
        ({"method": "BDF"}, "unknown method 'BDF'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(changes: dict, message: str) -> None:
    given = {"parameters": {"speed": SPEEDS}, "initial": {"x": STARTS}, "t_end": 1.0, "data": {"M": MATRIX}} | changes
    with pytest.raises(InputError, match=re.escape(message)):
        batch(linear(), **given)  # type: ignore[arg-type]


def test_what_depends_on_data_alone_is_computed_once() -> None:
    """x' = -speed M^2 x, and a row sum that is watched: M^2 is no definition of what is integrated."""
    square, weight, k = *tensors("square weight"), *indices("k")
    program = Program(
        name="squared",
        title="Squared",
        source="",
        extents={i: N, j: N, k: N},
        data=(M[i, j],),
        states=(x[i],),
        parameters=(speed,),
        definitions=(
            Definition(square[i, j], SumOver(M[i, k] * M[k, j], k), "M M"),
            Definition(weight[i], SumOver(M[i, j], j), "sums of rows"),
            Definition(force[i], SumOver(square[i, j] * x[j], j), "M M x"),
            Definition(rate[i], -speed * force[i], "change"),
        ),
        flow={"x": "rate"},
    )
    rest, names = apart(program, frozenset({"weight"}))
    assert names == ("square",)
    assert [d.name for d in rest.definitions] == ["weight", "force", "rate"]
    assert apart(linear(), frozenset()) == (linear(), ())
    found = batch(
        program, {"speed": SPEEDS}, {"x": STARTS[0]}, 0.1, data={"M": MATRIX}, observables=["weight"], rtol=1e-9,
        atol=1e-12,
    )  # fmt: skip
    values, vectors = np.linalg.eig(MATRIX)
    for pace, row in zip(SPEEDS, found.x.values, strict=True):
        exact = (vectors * np.exp(-0.1 * pace * values**2)) @ np.linalg.solve(vectors, STARTS[0])
        np.testing.assert_allclose(row, exact.real, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found.weight, np.tile(MATRIX.sum(axis=1), (7, 1)), rtol=1e-14)


def test_sweeps_of_many_states_are_batches() -> None:
    """Rotations by many angles at once, in scalars: as in lanes, but for rounding."""
    names = [f"{letter}{k}" for k in range(9) for letter in "ab"]
    states = scalars(" ".join(names))
    rates = scalars(" ".join(f"d{name}" for name in names))
    turned = [(k + 1) * (-states[2 * k + 1] if one == 0 else states[2 * k]) for k in range(9) for one in range(2)]
    system = Program(
        name="wheels",
        title="Wheels",
        source="",
        extents={},
        data=(),
        states=states,
        parameters=(speed,),
        definitions=tuple(Definition(r, speed * t) for r, t in zip(rates, turned, strict=True)),
        flow={name: f"d{name}" for name in names},
    )
    at = np.array([0.0, 0.5, 2.0])
    found = sweep(
        system, {"speed": [0.5, 1.0]}, {name: float(name[0] == "a") for name in names}, 2.0, t_eval=at,
        events={"up": Event("a2", 0.0, "falling")}, rtol=1e-9, atol=1e-11,
    )  # fmt: skip
    assert found.a3.dims == ("cell", "time")
    np.testing.assert_allclose(found.a3, np.cos(4 * np.outer([0.5, 1.0], at)), atol=1e-7)
    np.testing.assert_allclose(found.event_time[:, 0], np.pi / 2 / 3 / np.array([0.5, 1.0]), rtol=1e-8)
    np.testing.assert_array_equal(found.speed, [0.5, 1.0])
    assert list(found.attrs) == ["system", "method", "rtol", "atol", "seconds"]
