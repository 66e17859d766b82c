"""Derivatives of solutions and of event times against differences of solutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynamics import CoOccurrence, copying, half_time, on_arrays, solve
from dynamics.integrate.initial_value import integrate
from dynamics.problems.kinds.bags import BagsClosure
from dynamics.problems.kinds.closure import Closure
from dynamics.problems.sensitivity import fit as fit_module
from dynamics.problems.sensitivity import tangent_flow
from dynamics.problems.sensitivity.fit import fit
from dynamics.problems.sensitivity.sensitivity import passing
from dynamics.program_file import model, scalars
from dynamics.support import threads
from dynamics.support.errors import InputError, IntegrationError

CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-13}
TABLE = np.array([[8.0, 1, 2], [1, 8, 3], [1, 1, 5]])
WORDS = {"inputs": ["a", "b", "c"], "outputs": ["x", "y", "z"]}
START = {"W": 0.3, "A": 0.2}


def lexicon(change: float = 0.0) -> Closure:
    table = TABLE.copy()
    table[0, 1] *= np.exp(change)
    return Closure(CoOccurrence.from_counts(table, **WORDS))


def solved(change: float = 0.0, **options: Any) -> Any:
    return solve(lexicon(change), [0, 1.0, 5.0], **{"initial": START, **CLOSE, **options})


ADAM: dict[str, Any] = {"optimizer": "adam", "lr": 0.05, "batch": 8}


@pytest.mark.parametrize("adam", [{}, pytest.param(ADAM, marks=pytest.mark.slow)])
def test_derivatives_are_those_of_differences(adam: dict[str, Any]) -> None:
    names = ["rate A", "initial W", "count a y", *(["lr"] if adam else [])]
    found = solved(sensitivity=names, **adam)
    assert list(found.parameter.values) == names
    h = 1e-4

    def with_size(size: float) -> Any:
        first = solved(**adam).isel(time=0)
        return solved(**{**adam, "initial": {"W": first.W.values * size / START["W"], "A": first.A.values}})

    moved = {
        "rate A": lambda s: solved(rates={"A": 1 + s}, **adam),
        "initial W": lambda s: with_size(START["W"] + s),
        "count a y": lambda s: solved(s, **adam),
        "lr": lambda s: solved(**{**adam, "lr": 0.05 * (1 + s)}),
    }
    for k, name in enumerate(names):
        step = h * (0.05 if name == "lr" else 1.0)
        for variable in ("W", "A", "loss"):
            slope = (moved[name](h)[variable] - moved[name](-h)[variable]).values / (2 * step)
            assert np.abs(found[f"d_{variable}"].values[k] - slope).max() < 1e-6 * max(1.0, np.abs(slope).max())


@pytest.mark.filterwarnings("error")
def test_by_a_size_of_zero_they_are_along_what_would_be_drawn() -> None:
    """Of states that are drawn after others too, and of a number, which is its own size."""
    found, h = solved(initial={"W": 0.3, "A": 0.0}, sensitivity=["initial A", "initial W"]), 1e-5
    later, before = (solved(initial={"W": 0.3, "A": s}) for s in (h, -h))
    for variable in ("W", "A", "loss"):
        slope = (later[variable] - before[variable]).values / (2 * h)
        moved = found[f"d_{variable}"].sel(parameter="initial A").values
        assert np.abs(slope).max() > 1e-3
        assert np.abs(moved - slope).max() < 1e-6 * max(1.0, np.abs(slope).max())
    assert found.d_W.sel(parameter="initial W").values[0] == pytest.approx(found.W.values[0] / 0.3)


def test_tangents_of_states_at_rest_take_steps_of_their_own() -> None:
    """At a saddle a state of 0 stays, and what it takes to move it grows as e^t; so too where others come to rest."""
    w, b, p = scalars("w b p")
    t = np.array([0, 5.0, 20.0])
    still, saddle = np.exp(t), (w**2 - 1) ** 2 / 4
    held = still * np.exp((np.exp(-2 * t) - 1) / 2)  # by (b - 1)^2, which falls from 1 as e^-2t
    for loss, grown in ((saddle + b**2 / 2, still), (saddle + (b - 1) ** 2 * (1 + w**2) / 2, held)):
        well = model("Well", states=(w, b), loss=loss)
        found = solve(well, t, initial={"w": 0.0}, sensitivity=["initial w", "rate w"], **CLOSE)
        assert found.d_w.sel(parameter="initial w").values == pytest.approx(grown, rel=1e-7)
        assert not found.d_w.sel(parameter="rate w").any()
    follower = model("Follower", states=w, parameters=p, loss=(w - p) ** 2 / 2)
    found = solve(follower, t, values={"p": 0.0}, initial={"w": 0.0}, sensitivity="p", **CLOSE)
    assert found.d_w.values[0] == pytest.approx(1 - np.exp(-t), abs=1e-8)


@pytest.mark.parametrize("named", [{}, {"optimizer": "descent"}])
def test_of_the_modified_flow_of_descent_they_are_those_of_differences(named: dict[str, str]) -> None:
    """By its learning rate too, which is a number of the flow."""
    a, b, p = scalars("a b p")
    two = model("Two", states=(a, b), parameters=p, loss=(p * a * b - 1) ** 2 / 2 + p * a**2 / 8)

    def at(lr: float = 0.1, p: float = 1.0, a: float = 1.0, b: float = 1.0, **more: Any) -> Any:
        return solve(two, [0, 1.0, 5.0], values={"p": p}, lr=lr, initial={"a": a, "b": 0.3}, rates={"b": b},
                     **named, **CLOSE, **more)  # fmt: skip

    names, h = {"lr": "lr", "p": "p", "initial a": "a", "rate b": "b"}, 1e-4
    found, now = at(sensitivity=list(names)), {"lr": 0.1}
    for name, given in names.items():
        later, before = (at(**{given: now.get(given, 1.0) + s}) for s in (h, -h))
        for variable in ("a", "b", "loss"):
            slope = (later[variable] - before[variable]).values / (2 * h)
            assert np.abs(slope).max() > 1e-3
            assert np.abs(found[f"d_{variable}"].sel(parameter=name).values - slope).max() < 1e-6 * np.abs(slope).max()


def test_directions_that_are_followed_together_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to three share an integration, with the steps that one would take; a fourth begins another."""
    names = ["rate W", "count a x", "initial A", "rate A"]
    taken = []

    def counted(*given: Any, **control: Any) -> Any:
        assert threads.used() == 1  # states as small as these have one, whatever the machine has
        found = integrate(*given, **control)
        taken.append(found.statistics.evaluations)
        return found

    monkeypatch.setattr(tangent_flow, "integrate", counted)
    both = solved(sensitivity=names)
    assert len(taken) == 2
    for name in names:
        one, all_of_them = solved(sensitivity=name), both.sel(parameter=name)
        for kind in ("d_W", "d_A", "d_loss", "d_beta_half_time"):
            scale = float(np.abs(one[kind]).max())
            assert np.abs(all_of_them[kind] - one[kind].sel(parameter=name)).max() <= 1e-10 * scale, (name, kind)
    assert len(set(taken)) == 1


def test_times_of_half_move_as_differences_do() -> None:
    """Of KTIW and of attention, by what a text has: rates, sizes and counts; and the times are those of the curves."""
    t, names = [0, 1.0, 4.0, 30.0], ["rate W", "initial A", "count a y"]
    found = solve(lexicon(), t, initial=START, sensitivity=names, **CLOSE)

    def halves(change: float = 0.0, **options: Any) -> Any:
        return solve(lexicon(change), t, sensitivity="rate A", **{"initial": START, **CLOSE, **options})

    start, h = solve(lexicon(), [0, 1.0], initial=START, **CLOSE).isel(time=0), 1e-4
    moved = {
        "rate W": lambda s: halves(rates={"W": 1 + s}),
        "initial A": lambda s: halves(initial={"W": start.W.values, "A": start.A.values * (1 + s / START["A"])}),
        "count a y": halves,
    }
    for name in names:
        for time in ("beta_half_time", "attention_half_time"):
            slope = (moved[name](h)[time] - moved[name](-h)[time]).values / (2 * h)
            assert np.abs(found[f"d_{time}"].sel(parameter=name).values - slope).max() < 1e-6 * max(1, abs(slope).max())
    fine = solve(lexicon(), np.linspace(0, 30, 3001), initial=START, **CLOSE)
    for word, when in zip(found.input.values, found.beta_half_time.values, strict=True):
        curve = fine.beta.sel(input=word, output=str(found.translation.sel(input=word).values[-1]))
        assert when == pytest.approx(half_time(curve), rel=1e-3)


@pytest.mark.slow
def test_under_adam_what_never_moves_has_no_derivative() -> None:
    """A pair that is never seen has a gradient of 0 for good, where the root of its square has no slope."""
    table = TABLE.copy()
    table[2, 0] = 0
    counts = CoOccurrence.from_counts(table, **WORDS)
    made = [solve(counts, [0, 1.0], rates={"W": rate}, initial=START, **ADAM, **CLOSE) for rate in (1.0001, 0.9999)]
    found = solve(counts, [0, 1.0], sensitivity="rate W", initial=START, **ADAM, **CLOSE)
    slope = (made[0].W - made[1].W).values / 2e-4
    assert np.abs(found.d_W.values[0] - slope).max() < 1e-5 * np.abs(slope).max()
    assert not found.d_A.values[0, :, 2, 0].any()


def test_the_time_of_an_event_moves_by_its_implicit_function() -> None:
    start, end = {"u": 0.1}, 1000.0
    found = passing(copying(6, 4), "p_t", 0.9, end, ["rate W", "V", "initial u"], initial=start, **CLOSE)
    h = 1e-4
    later, before = (
        passing(copying(6, 4), "p_t", 0.9, end, rates={"W": 1 + s}, initial=start, **CLOSE) for s in (h, -h)
    )
    assert found.by["rate W"] == pytest.approx((later.time - before.time) / (2 * h), rel=1e-6)
    later, before = (passing(copying(6, 4), "p_t", 0.9, end, initial={"u": 0.1 * (1 + s)}, **CLOSE) for s in (h, -h))
    assert found.by["initial u"] == pytest.approx((later.time - before.time) / (0.2 * h), rel=1e-6)


@pytest.mark.slow
def test_of_an_entry_and_of_an_optimiser() -> None:
    """At twice the rate of every step, Adam is there after half of the steps, and nearly after the same tau."""
    at = {"input": "a", "output": "x"}
    found = passing(lexicon(), "beta", 0.6, 20.0, ["lr"], at=at, optimizer="adam", lr=0.01)
    later, before = (passing(lexicon(), "beta", 0.6, 20.0, at=at, optimizer="adam", lr=lr) for lr in (0.01001, 0.00999))
    assert found.by["lr"] == pytest.approx((later.time - before.time) / 2e-5, rel=1e-4)


@pytest.fixture(scope="module")
def line() -> Any:
    """Two numbers, whose descent is not their flow: loss (u v - 1)^2 / 2."""
    u, v = scalars("u v")
    return on_arrays(model("Product", states=[u, v], loss=(u * v - 1) ** 2 / 2), {})


def test_events_and_fits_follow_descent_at_its_learning_rate(line: Any) -> None:
    """lr without an optimizer is that of the modified flow, as it is for a solution."""
    start: dict[str, Any] = {"initial": {"u": 2.0, "v": 0.1}}

    def when(lr: float | None, *by: str) -> Any:
        return passing(line, "v", 0.3, 20.0, by, lr=lr, **start, **CLOSE)

    found = when(0.3, "lr")
    assert solve(line, [0, found.time], lr=0.3, **start, **CLOSE).v.values[-1] == pytest.approx(0.3, abs=1e-8)
    assert abs(found.time - when(None).time) > 1e-3
    assert found.by["lr"] == pytest.approx((when(0.3001).time - when(0.2999).time) / 2e-4, rel=1e-5)
    made = solve(line, [0, 0.1, 0.2, 0.5], lr=0.3, **start, **CLOSE)
    fitted = fit(line, made.time, {"u": made.u, "v": made.v}, "lr", lr=0.2, **start)
    assert fitted.values["lr"] == pytest.approx(0.3, rel=1e-5)
    with pytest.raises(InputError, match="batch is of an optimizer"):
        passing(line, "v", 0.3, 20.0, batch=4, **start)
    with pytest.raises(InputError, match="lr = 0 is not a positive number"):
        fit(line, made.time, {"v": made.v}, "rate v", lr=0, **start)
    with pytest.raises(InputError, match="has no modified flow: leave lr out"):
        passing(lexicon(), "beta", 0.6, 20.0, at={"input": "a", "output": "x"}, lr=0.1)


@pytest.mark.parametrize(
    ("name", "says"),
    [("rate B", "the states are W, A"), ("count a q", "give an input word and an output word"), ("eta", "is none")],
)
def test_what_does_not_exist_is_refused(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        solved(sensitivity=name)


def test_what_has_no_derivative_is_refused() -> None:
    pairs = ["a b", "b c", "a c"], ["x y", "y z", "x z"]
    counts = CoOccurrence.from_parallel_text(*pairs, keep_bags=10)
    with pytest.raises(InputError, match="use the closure conditional"):
        solve(counts, [0, 1.0], closure="bags", sensitivity="count a x")
    with pytest.raises(InputError, match="take turns in 2 groups"):
        solve(BagsClosure(counts, groups=2), [0, 1.0], sensitivity="rate W")
    with pytest.raises(InputError, match="of one flow"):
        solve(counts, [0, 1.0], stages=["joint", "frozen"], sensitivity="rate W")
    with pytest.raises(InputError, match="leave one of them out"):
        solve(counts, [0, 1.0], closure="bags", errors=1, sensitivity="rate W")


def test_what_is_never_passed_is_said() -> None:
    with pytest.raises(InputError, match=r"does not pass 0\.9 before tau = 1"):
        passing(copying(6, 4), "p_t", 0.9, 1.0, initial={"u": 0.1})
    with pytest.raises(InputError, match="needs one entry of input, output"):
        passing(lexicon(), "beta", 0.6, 20.0)


def test_a_fit_finds_the_numbers_that_made_the_curves() -> None:
    """Two numbers at once, from curves with noise: within three standard errors, and the errors are of its size."""
    start, t = {"u": 0.1, "a": 0.05}, np.linspace(0, 150, 31)
    made = solve(copying(6, 4), t, initial=start, rates={"W": 1.6, "P": 0.7}, rtol=1e-8)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(t.size)
    found = fit(copying(6, 4), t, {"loss": made.loss.values + noise}, ["rate W", "rate P"], initial=start)
    for name, expected in {"rate W": 1.6, "rate P": 0.7}.items():
        assert abs(found.values[name] - expected) < 3 * found.errors[name] < 0.1
    assert found.residual == pytest.approx(1e-3, rel=0.3)
    with pytest.raises(InputError, match="curve 'lost'"):
        fit(copying(6, 4), t, {"lost": made.loss}, ["rate W"], initial=start)
    with pytest.raises(InputError, match="the shape"):
        fit(copying(6, 4), t[1:], {"loss": made.loss}, ["rate W"], initial=start)
    with pytest.raises(InputError, match="not finite at time 75"):
        fit(copying(6, 4), t, {"loss": np.where(t == 75, np.nan, made.loss)}, ["rate W"], initial=start)
    with pytest.raises(InputError, match="free has 'rate W' twice"):
        fit(copying(6, 4), t, {"loss": made.loss}, ["rate W", "rate P", "rate W"], initial=start)
    with pytest.raises(InputError, match="1 measured do not decide 2"):
        fit(copying(6, 4), [10.0], {"loss": [1.0]}, ["rate W", "rate P"], initial=start)


def test_what_curves_do_not_decide_has_no_standard_error() -> None:
    """At time 0 no rate has acted; and one number from one point leaves nothing to tell an error from."""
    nothing = fit(copying(6, 4), [0.0], {"loss": [1.0], "u": [0.2]}, "rate W", initial={"u": 0.1})
    assert nothing.errors == {"rate W": np.inf}
    assert fit(copying(6, 4), [30.0], {"loss": [1.0]}, "rate W", initial={"u": 0.1}).errors == {"rate W": np.inf}


def test_a_number_that_runs_away_is_named() -> None:
    """A loss that falls faster than the model's can: the rate would grow without end."""
    with pytest.raises(InputError, match=r"rate W went to 1e\+03, 1000 times from where it started"):
        fit(copying(6, 4), [0.0, 1e-3, 2e-3], {"loss": [1.79, 0.1, 0.0]}, "rate W", initial={"u": 0.1})


def test_a_search_that_finds_no_solution_is_sent_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes too many steps far from the start does not end a fit that has its numbers nearby."""
    start, t = {"u": 0.1, "a": 0.05}, np.linspace(0, 150, 31)
    made = solve(copying(6, 4), t, initial=start, rates={"W": 1.6}, rtol=1e-8)
    search = fit_module.Search
    tried, failed = [], []

    class Narrow(search):
        def residual(self, logs: Any) -> Any:
            tried.append(float(np.exp(logs[0])))
            if not failed and tried[-1] > 1.3:
                failed.append(tried[-1])
                self.control["max_steps"] = 2
            else:
                self.control["max_steps"] = 10_000
            return super().residual(logs)

    monkeypatch.setattr(fit_module, "Search", Narrow)
    found = fit(copying(6, 4), t, {"loss": made.loss}, "rate W", initial=start)
    assert failed
    assert found.values["rate W"] == pytest.approx(1.6, rel=1e-5)
    monkeypatch.setattr(fit_module, "PATIENCE", 0)
    failed.clear()
    with pytest.raises(IntegrationError, match=r"the fit came to rate W = 1\.\d+, and there .* stalled after 2 steps"):
        fit(copying(6, 4), t, {"loss": made.loss}, "rate W", initial=start)


@pytest.mark.filterwarnings("error")
def test_curves_whose_squares_are_too_large_are_refused() -> None:
    task, t = copying(6, 4), [0.0, 1.0, 2.0]
    with pytest.raises(InputError, match=r"curve loss is -1e\+300 at time 1, and least squares are of numbers up to"):
        fit(task, t, {"loss": [1.0, -1e300, 1e160]}, "rate W", initial={"u": 0.1})
    found = fit(task, t, {"loss": [1e75, 1e74, -1e75]}, "rate W", initial={"u": 0.1})
    assert np.isfinite(found.residual)


def test_what_is_free_is_named_as_such() -> None:
    curve = {"loss": [1.0, 0.5]}
    for name, says in (("rate Q", "free 'rate Q': the states are W, P"), ("eta", "free 'eta' is none: give 'rate W'")):
        with pytest.raises(InputError, match=says):
            fit(copying(6, 4), [0.0, 1.0], curve, name, initial={"u": 0.1})
    with pytest.raises(InputError, match="whole number of examples"):
        fit(lexicon(), [0.0, 1.0], curve, "batch", optimizer="adam", lr=0.1, batch=4)
    with pytest.raises(InputError, match="a schedule moves"):
        fit(lexicon(), [0.0, 1.0], curve, "lr", optimizer="momentum", lr=0.1, schedule="linear:10")


def test_implicit_methods_are_for_few_numbers() -> None:
    """They take an evaluation for every number; of few they are as right as any."""
    by = {m: solve(copying(6, 4), [0, 90.0], initial={"u": 0.1}, sensitivity="rate W", method=m, rtol=1e-8, atol=1e-11)
          for m in ("LSODA", "DOP853")}  # fmt: skip
    assert np.allclose(by["LSODA"].d_loss, by["DOP853"].d_loss, rtol=0, atol=1e-6)
    many = Closure(CoOccurrence.from_counts(np.ones((24, 24))))
    with pytest.raises(InputError, match=r"sensitivity by LSODA takes an evaluation for each of 2,304 numbers"):
        solve(many, [0, 1.0], sensitivity="rate W", method="LSODA")


def test_names_are_given_once_and_the_start_has_derivatives() -> None:
    with pytest.raises(InputError, match="has 'rate W' twice"):
        solved(sensitivity=["rate W", "rate W"])
    with pytest.raises(InputError, match="3 is no name"):
        solved(sensitivity=[3])
    for given in (3, 0, 0.5, True):
        with pytest.raises(InputError, match=f"sensitivity = {given} is no name"):
            solved(sensitivity=given)
    start = solve(lexicon(), [0], initial=START, sensitivity=["rate W", "initial W"])
    assert not start.d_W.sel(parameter="rate W").any()
    assert start.d_W.sel(parameter="initial W").any()
