"""Cells of phase diagrams: theory against SciPy, closed forms and simulation, one cell at a time."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from sympy import lambdify

from derivations.program.language import scalars
from derivations.program.program import Definition, Program
from derivations.reductions import copying, copying_heads
from derivations.reductions.unrolling import closed_form
from dynamics import simulate
from dynamics.phase.copying import CopyingSystem, normal, trained
from dynamics.phase.observe import first
from dynamics.phase.quantity import Quantity, Simulation
from dynamics.phase.system import Scalars
from dynamics.phase.systems import system_of
from dynamics.problems.closed_forms import branch_odds, escape_time
from dynamics.problems.kinds.models import positional
from dynamics.support.errors import InputError, IntegrationError
from dynamics.tasks import Copying

TIME, GOOD = Quantity("time"), Quantity("learnt", "alpha")
SYSTEM = CopyingSystem()


def cells(**values):
    arrays = np.broadcast_arrays(*map(np.atleast_1d, values.values()))
    return SYSTEM.complete({name: np.array(v, dtype=float) for name, v in zip(values, arrays, strict=True)})


def theory(given, quantity=TIME, t_end=3000.0, draws=16, seed=0):
    return SYSTEM.theory(given, quantity, t_end, draws, seed, threads=1)


@cache
def functions(heads, observables):
    program = copying() if heads == 1 else copying_heads(heads)
    symbols = [*program.states, *program.parameters]
    flow = lambdify(symbols, [closed_form(program, f"{s}dot") for s in program.state_names], "math", cse=True)
    return flow, [lambdify(symbols, closed_form(program, name), "math", cse=True) for name in observables]


def by_scipy(sizes, start, observables, quantity, t_end):
    """First time that one of the observables passes, and the largest of their values at the end."""
    flow, watched = functions(len(start) // 2, observables)

    def event(w):
        found = lambda t, y: w(*y, *sizes) - quantity.threshold  # noqa: E731
        found.direction = -1 if quantity.falls else 1
        return found

    found = solve_ivp(
        lambda t, y: flow(*y, *sizes), (0, t_end), start, "LSODA", events=[event(w) for w in watched],
        rtol=1e-10, atol=1e-13,
    )  # fmt: skip
    value = max(w(*found.y[:, -1], *sizes) for w in watched)
    return min((t[0] for t in found.t_events if t.size), default=np.inf), value


def test_theory_is_scipy_cell_by_cell():
    given = cells(
        V=[8, 9, 12, 3, 20, 8, 30], L=[8, 8, 5, 2, 16, 8, 29], u0=[0.01, -0.1, 0.3, 0.01, 0, -0.01, 0.02],
        a0=[0.01, 0.05, -0.2, 0.02, 0, -0.01, -0.3], eta_W=[1, 2, 1, 1, 0.5, 1, 1], eta_A=[1, 1, 3, 1, 1, 1, 2],
    )  # fmt: skip
    found = theory(given, t_end=2500)
    for k in range(7):
        sizes = [given[name][k] for name in ("V", "L", "eta_W", "eta_A")]
        expected, _ = by_scipy(sizes, [given["u0"][k], given["a0"][k]], ("p_t",), TIME, 2500)
        assert found[k] == pytest.approx(expected, rel=2e-5)
    assert np.isinf(found).sum() == 1  # the mirror branch of 29 of 30
    assert found[[0, 5]].round().tolist() == [307, 1310]


def test_two_words():
    """The smallest copying there is: one parameter each for words and positions, and chance is 1/2."""
    sure = Quantity("time", threshold=0.8)
    given = cells(V=2, L=2, u0=[0.02, -0.02], a0=[0.01, -0.02])
    for k, found in enumerate(theory(given, sure)):
        expected, _ = by_scipy([2, 2, 1, 1], [given["u0"][k], given["a0"][k]], ("p_t",), sure, 3000)
        assert found == pytest.approx(expected, rel=2e-5)
        assert np.isfinite(expected)


def test_values_at_the_end_and_the_best_of_two_heads():
    value = Quantity("value", "alpha")
    one = cells(V=[9, 9], L=8, u0=[0.05, -0.2], a0=[0.1, -0.3])
    two = {**one, "H": np.array([2.0, 2.0])}
    for given, names in ((one, ("alpha",)), (two, ("alpha1", "alpha2"))):
        found = theory(given, value, t_end=700)
        for k in range(2):
            heads = int(given["H"][k])
            start = [given["u0"][k]] * heads + [given["a0"][k]] * heads
            _, expected = by_scipy([9, 8, 1, 1], start, names, value, 700)
            assert found[k] == pytest.approx(expected, rel=1e-5)


def test_which_head_is_best_and_that_it_counts():
    """Heads at different starts: the first to pass is that which counts, whatever its number."""
    z = normal(16, 4, seed=3)
    given = cells(V=8, L=8, sigma=0.3, H=2)
    u, a = SYSTEM.starts(given, 2, 16, 3)
    np.testing.assert_allclose(u[0], 0.3 * z[:, :2] / np.sqrt(7))
    np.testing.assert_allclose(a[0], 0.3 * z[:, 2:] / np.sqrt(7) - 0.09 * 6 / (2 * 8 * 7))
    u, a = SYSTEM.starts(cells(V=10, L=5, sigma_W=0.2, sigma_P=0.4), 2, 16, 3)
    np.testing.assert_allclose(u[0], 0.2 * z[:, :2] / np.sqrt(9))
    np.testing.assert_allclose(a[0], 0.4 * z[:, 2:] / np.sqrt(4) - 0.16 * 3 / (2 * 5 * 4))
    u, a = SYSTEM.starts(given, 2, 16, 3)
    share = theory(given, GOOD, t_end=3000, seed=3)[0]
    passes = [
        np.isfinite(by_scipy([8, 8, 1, 1], [*u[0, k], *a[0, k]], ("alpha1", "alpha2"), GOOD, 3000)[0])
        for k in range(16)
    ]
    assert share == np.mean(passes)
    assert 0 < share < 1


def test_cells_do_not_feel_each_other():
    """Order, company, draws of others, threads: the same bits; a cell that fails is NaN alone, as one with L > V."""
    given = cells(V=[8, 9, 7, 12, 40, 8], L=[8, 8, 8, 5, 30, 4], u0=0.02, a0=0.01)
    found = theory(given)
    assert np.isnan(found).tolist() == [False, False, True, False, False, False]
    order = np.array([3, 2, 5, 0, 4, 1])
    np.testing.assert_array_equal(theory({n: v[order] for n, v in given.items()}), found[order])
    for k in range(6):
        np.testing.assert_array_equal(theory({n: v[[k]] for n, v in given.items()}), found[[k]])
    np.testing.assert_array_equal(SYSTEM.theory(given, TIME, 3000, 1, 0, threads=None), found)
    broken = {**given, "eta_W": np.where(np.arange(6) == 3, 1e308, 1.0)}
    with_failure = theory(broken)
    assert np.isnan(with_failure).tolist() == [False, False, True, True, False, False]
    np.testing.assert_array_equal(with_failure[[0, 1, 4, 5]], found[[0, 1, 4, 5]])


def test_learnt_is_the_closed_form_within_the_error_of_the_points():
    given = cells(V=[8, 9, 9, 10, 11], L=8, sigma=[0.1, 0.1, 0.3, 0.3, 0.4])
    found = theory(given, GOOD, t_end=100_000, draws=256)
    closed = branch_odds(given["V"], 8, given["sigma_W"], given["sigma_P"])
    # Points that are spread evenly count the part of the plane on one side of a line much better than 1/sqrt(256);
    # the closed form itself is to second order in sigma.
    np.testing.assert_allclose(found, closed, atol=0.015)
    assert 0.4 < closed.min() < 0.6 < closed[2] < 0.9
    np.testing.assert_array_equal(SYSTEM.theorem(given, GOOD, 1e5, 1, 0, 1), closed)


def test_odds_with_heads():
    given = cells(V=[8, 8], L=8, sigma=0.05, H=[1, 2])
    one, two = theory(given, GOOD, t_end=100_000, draws=256)
    assert two == pytest.approx(1 - (1 - one) ** 2, abs=0.02)
    closed = SYSTEM.theorem(given, GOOD, 1e5, 1, 0, 1)
    assert closed[1] == pytest.approx(1 - (1 - closed[0]) ** 2, rel=1e-12)


def test_escape_law_in_all_cells_at_once_is_that_of_the_theorems():
    given = cells(V=[8, 8, 9, 40, 20, 12], L=[8, 8, 8, 40, 18, 12], u0=[0.01, -0.01, 0.02, 0.01, 0, -0.2],
                  a0=[0.01, -0.01, 0.0, 0.01, -0.1, 0.15], eta_A=[1, 1, 1, 1, 2, 1])  # fmt: skip
    closed = SYSTEM.theorem(given, TIME, 1e5, 1, 0, 1)
    law = escape_time(given["u0"], given["a0"], given["V"], given["L"], given["eta_W"], given["eta_A"])
    np.testing.assert_allclose(closed, law, rtol=1e-5)
    np.testing.assert_allclose(closed, theory(given, t_end=1e5), rtol=0.03)
    ended = SYSTEM.theorem(given, TIME, 1000.0, 1, 0, 1)
    np.testing.assert_array_equal(np.isinf(ended), closed > 1000)
    np.testing.assert_allclose(ended[closed <= 1000], closed[closed <= 1000], rtol=1e-6)


def test_escape_law_wherever_it_is_shown():
    random = np.random.default_rng(1)
    L = random.integers(3, 50, 400)
    given = cells(
        V=L + random.integers(0, 15, 400), L=L, u0=random.normal(0, 0.15, 400), a0=random.normal(0, 0.15, 400)
    )
    closed, solved = SYSTEM.theorem(given, TIME, 1e5, 1, 0, 1), theory(given, t_end=1e5)
    shown = np.isfinite(closed) & np.isfinite(solved)
    assert 100 < shown.sum() < 350
    np.testing.assert_allclose(closed[shown], solved[shown], rtol=0.04)
    assert (np.isinf(closed) == np.isinf(solved))[~np.isnan(closed)].mean() > 0.99


def test_where_the_escape_law_is_not_shown():
    far = cells(V=[64, 8, 8, 7], L=[4, 8, 8, 8], u0=[0.01, 0.01, 0, 0.1], a0=[0.01, 0.01, 0, 0.1], H=[1, 2, 1, 1])
    found = SYSTEM.theorem(far, TIME, 1e4, 1, 0, 1)
    assert np.isnan(found).tolist() == [True, True, False, True]  # far from the saddle; two heads; L > V
    assert found[2] == np.inf  # on the saddle it stays
    assert SYSTEM.theorem(far, Quantity("value"), 1e4, 1, 0, 1) is None
    assert SYSTEM.theorem(far, Quantity("time", "u"), 1e4, 1, 0, 1) is None
    below_chance = SYSTEM.theorem(cells(V=[8, 9], L=8), Quantity(threshold=0.12), 1e4, 1, 0, 1)
    assert np.isnan(below_chance).tolist() == [True, False]


def test_cells_that_start_beyond_the_threshold():
    given = cells(V=8, L=8, u0=[5.0, 5.0, 0.01], a0=[6.0, -0.5, 0.01])
    assert theory(given)[0] == 0
    assert theory(given)[2] > 0
    assert theory(given, Quantity("learnt"))[0] == 1
    falls = theory(given, Quantity("time", "loss", 0.7))
    assert falls[0] == 0
    expected, _ = by_scipy([8, 8, 1, 1], [0.01, 0.01], ("loss",), Quantity("time", "loss", 0.7), 3000)
    assert falls[2] == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize(("draws", "middle"), [(1, 3.0), (4, 3.0), (5, 5.0)])
def test_quantities(draws, middle):
    times = np.array([[3.0, 1, np.inf, 5, np.inf]])[:, :draws]
    assert TIME.of(times) == [middle]
    assert Quantity("learnt").of(times) == [np.isfinite(times).mean()]
    assert Quantity("value").of(times[:, :2]) == [times[:, :2].mean()]
    times[0, 0] = np.nan
    for kind in ("time", "learnt", "value"):
        assert np.isnan(Quantity(kind).of(times[:, :1]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("tim",), "unknown quantity 'tim'"),
        *((("time", "p_t", bad), "give one between 0 and 1") for bad in (0, 1, -1, 2, np.nan, np.inf)),
        (("learnt", "alpha", 1.5), "alpha is a share"),
        (("time", "u", np.nan), "must be a number"),
    ],
)
def test_bad_quantities(given, message):
    with pytest.raises(InputError, match=message):
        Quantity(*given)


@pytest.mark.parametrize("bad", [{"lr": 0}, {"lr": -1.0}, {"lr": np.nan}, {"lr": np.inf}, {"batch": 0}])
def test_bad_descent(bad):
    with pytest.raises(InputError, match=f"{next(iter(bad))} = .* must be"):
        Simulation(**bad)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"V": 8}, "no value for L"), ({"L": 8}, "no value for V"), ({"extra": 1}, "no value for L"),
        ({"V": 9, "L": 8, "extra": 1}, "leave one out"), ({"V": 8.5, "L": 8}, "V = 8.5 must be a whole number from 2"),
        ({"V": 8, "L": 1}, "L = 1 must be a whole number from 2"), ({"V": 8, "L": 8, "H": 0}, "H = 0 must be"),
        ({"L": 8, "extra": 0.5}, "extra = 0.5 must be a whole number"), ({"V": 7, "L": 8}, "L is above V everywhere"),
        ({"L": 8, "extra": -1}, "L is above V everywhere"), ({"V": 8, "L": 8, "sigma": -1}, "sigma = -1 must not be"),
        ({"V": 8, "L": 8, "sigma": 1, "u0": 0}, "not both"), ({"V": 8, "L": 8, "eta_A": -2}, "eta_A = -2 must not"),
    ],
)  # fmt: skip
def test_impossible_copying(given, message):
    with pytest.raises(InputError, match=message):
        cells(**given)


def test_extra_words():
    given = cells(extra=[-3, 0, 2], L=3, sigma=0.1, sigma_W=0.2)
    assert given["V"].tolist() == [0, 3, 5]
    assert SYSTEM.possible(given).tolist() == [False, True, True]
    assert given["sigma_W"].tolist() == [0.2] * 3
    assert given["sigma_P"].tolist() == [0.1] * 3


# -- any flow of scalars ----------------------------------------------------------------------------------------------

x, k, xdot, double = scalars("x k xdot double")
DECAY = Program(
    name="decay", title="", source="", extents={}, data=(), states=(x,), parameters=(k,),
    definitions=(Definition(double, 2 * x), Definition(xdot, -k * x)), flow={"x": "xdot"},
)  # fmt: skip


def test_any_flow_of_scalars():
    system = system_of(DECAY)
    assert list(system.axes) == ["k", "x0"]
    assert set(system.observables(simulated=False)) == {"x", "double", "xdot"}
    assert not system.observables(simulated=True)
    given = system.complete({"k": np.array([1.0, -1.0, -0.5]), "x0": np.array([1.0, 1.0, 4.0])})
    found = system.theory(given, Quantity("time", "double", 6.0), 10.0, 1, 0, 1)
    np.testing.assert_allclose(found, [np.inf, np.log(3), 0.0], rtol=1e-5)
    assert system.theorem(given, TIME, 1.0, 1, 0, 1) is None
    with pytest.raises(InputError, match="no value for x0"):
        system.complete({"k": np.ones(2)})


def test_systems_by_name():
    assert system_of("copying") == SYSTEM
    heads = system_of("copying-heads-2")
    assert isinstance(heads, Scalars)
    assert list(heads.axes) == ["V", "L", "eta_W", "eta_A", "u10", "u20", "a10", "a20"]
    assert heads.complete({n: np.ones(1) for n in heads.axes if "eta" not in n})["eta_W"] == 1
    assert {"alpha1", "alpha"} < set(heads.observables(False))
    with pytest.raises(InputError, match="unknown system 'copyng'; did you mean 'copying'"):
        system_of("copyng")
    with pytest.raises(InputError, match="not a system of scalars"):
        system_of("keyword")


# -- simulation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2])
def test_simulated_cells_are_runs_by_hand(heads):
    run = simulate(
        positional(heads), Copying(4, 3), 0.5, 8, 160, [5, 6, 7], records=80, initial={"W": 0.4, "P": 0.3},
        rates={"W": 1.0, "P": 2.0},
    )  # fmt: skip
    logits = run.P.values.reshape(3, len(run.time), heads, 3, 3)
    attention = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    alpha = np.einsum("sthii->sth", attention).max(-1) / 3
    expected = {"alpha": alpha, "p_t": np.exp(-run.loss.values), "loss": run.loss.values}
    cell = {"V": 4, "L": 3, "H": heads, "sigma_W": 0.4, "sigma_P": 0.3, "eta_W": 1.0, "eta_A": 2.0}

    def simulated(quantity):
        return trained(cell, quantity, 80.0, 3, 5, 1, Simulation(0.5, 8))

    for name, curves in expected.items():
        assert simulated(Quantity("value", name)) == pytest.approx(curves[:, -1].mean(), rel=1e-12)
        threshold = float(np.median(curves[:, 60]))
        passed = curves <= threshold if name == "loss" else curves >= threshold
        assert simulated(Quantity("learnt", name, threshold)) == passed.any(axis=1).mean()
        quantity = Quantity("time", name, threshold)
        times = sorted(first(run.time.values, curve, quantity) for curve in curves)
        assert simulated(quantity) == pytest.approx(times[1], rel=1e-12)


def test_first_passing():
    t, up = np.array([0.0, 1, 3]), np.array([0.2, 0.4, 0.8])
    assert first(t, up, Quantity("time", "p_t", 0.6)) == pytest.approx(2)
    assert first(t, up, Quantity("time", "p_t", 0.1)) == 0
    assert first(t, up, Quantity("time", "p_t", 0.9)) == np.inf
    assert first(t, 1 - up, Quantity("time", "loss", 0.4)) == pytest.approx(2)
    assert first(t, np.array([0.2, 0.6, 0.2]), Quantity("time", "p_t", 0.5)) == pytest.approx(0.75)


def test_simulated_order_parameters_start_where_they_should():
    given = cells(V=[5, 3], L=4, u0=0.7, a0=0.3)
    u = SYSTEM.simulated(given, Quantity("value", "u"), 1e-6, 1, 0, 1, Simulation(1e-6, 4))
    a = SYSTEM.simulated(given, Quantity("value", "a"), 1e-6, 1, 0, 1, Simulation(1e-6, 4))
    np.testing.assert_allclose([u, a], [[0.7, np.nan], [0.3, np.nan]], rtol=1e-5)


def test_a_cell_that_diverges_is_not_a_number(monkeypatch):
    def diverging(*given, rates, **options):
        if rates["W"] == 7:
            raise IntegrationError("seed 0 diverged")
        return simulate(*given, rates=rates, **options)

    given = cells(V=[4, 4, 4], L=3, sigma=0.1, eta_W=[1, 7, 1])
    monkeypatch.setattr("dynamics.train.simulate.simulate", diverging)
    found = SYSTEM.simulated(given, Quantity("value", "u"), 20.0, 1, 0, 1, Simulation(1.0, 4))
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[0] == found[2]


def test_theory_foretells_simulation():
    given = cells(V=[12, 9], L=[6, 6], u0=0.05, a0=0.05)
    theory_, run = theory(given), SYSTEM.simulated(given, TIME, 400.0, 2, 0, 1, Simulation(1.0, 64))
    np.testing.assert_allclose(run, theory_, rtol=0.1)
