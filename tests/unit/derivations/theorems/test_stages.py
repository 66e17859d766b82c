"""Closed forms against the solver: stage one, saturation, the two stages."""

from __future__ import annotations

import numpy as np
import pytest

from derivations import registry
from derivations.checks.proofs import check, holds
from derivations.models import keyword_classifier
from derivations.reductions import copying
from derivations.report.document import proof
from derivations.theorems.saturation import saturation
from derivations.theorems.stage_one import one_word, stage_one_early
from derivations.theorems.theorem import Step
from derivations.theorems.two_stages import separation
from dynamics import CoOccurrence, solve
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import lower
from dynamics.problems.closed_forms import delay, departure_rate, evaluated, margin_alone, time_to_margin

MODULES = {one.make.__module__ for one in (stage_one_early, one_word, saturation, separation)}
THEOREMS = {name: one for name, one in registry.theorems().items() if one.make.__module__ in MODULES}
TIGHT = {"rtol": 1e-11, "atol": 1e-14}


@pytest.mark.parametrize("name", THEOREMS)
def test_every_step_holds(name: str) -> None:
    theorem = THEOREMS[name]()
    assert theorem.name == name
    for step in theorem.steps:
        assert check(step, theorem.domain).passed, step.note


def test_wrong_steps_do_not_hold() -> None:
    account = next(step for step in separation().steps if step.of == "dPhi/dtau")
    assert not holds(Step("", account.left, 2 * account.right))
    by_lambert = next(step for step in one_word().steps if step.of == "z + e^z/(K - 1)")
    assert not holds(Step("", by_lambert.left, by_lambert.right + 1e-9))


# -- stage one --------------------------------------------------------------------------------------------------------

TEXT = ["a b c", "a a b", "c d", "d d a", "b d d d", "c c"]
LABELS = ["x", "x", "y", "z", "y", "x"]


def counted() -> CoOccurrence:
    return CoOccurrence.from_labelled_text(TEXT, LABELS, gram=True)


@pytest.mark.parametrize(("closure", "result"), [("linear", "W"), ("linear-bias", "W_bias")])
def test_the_linear_regime_is_what_the_solver_finds(closure: str, result: str) -> None:
    system = counted().dense()
    tau = np.array([0.0, 1.0, 7.5])
    found = solve(counted(), tau, closure=closure, **TIGHT).W.values
    space: dict = {}
    exec(proof(stage_one_early()).python(), space)
    at = {"C_i_o": system.C, "c_i": system.c[:, None], "q_o": system.q, "K": 3, "epsilon": 1.0, "lambda_": 1.0}
    for t, W in zip(tau, found, strict=True):
        np.testing.assert_allclose(space["stage_one_linear"](tau=t, **at)[result], W, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_the_linear_regime_is_left_at_its_rate(bias: bool) -> None:
    """Against exact stage one: the relative error over lambda tau/2 goes to 1, with an error of first order in tau."""
    system = counted().dense()
    words = {w: k for k, w in enumerate(system.inputs)}
    outputs = {o: k for k, o in enumerate(system.outputs)}
    data = {
        "length": np.array([len(line.split()) for line in TEXT]),
        "x": np.array([words[w] for line in TEXT for w in line.split()]),
        "y": np.array([outputs[label] for label in LABELS]),
    }
    flow = lower(keyword_classifier(bias)).bind(
        data, {"eta_s": 0.0, "eta_W": 1.0, "eta_b": 1.0, "V": len(words), "K": len(outputs)}
    )
    p0 = system.q if bias else np.full(3, 1 / 3)
    excess = system.C - np.outer(system.c, p0)
    rate = departure_rate(system.C, system.gram, bias)
    ratios = []
    for tau in (0.4, 0.2, 0.1):
        y = np.zeros(flow.state_size)
        if bias:
            flow.states(y)["b"][:] = np.log(p0)
        end = integrate(flow, y, (0, tau), rtol=1e-12, atol=1e-15).y
        error = np.linalg.norm(flow.states(end)["W"] - tau * excess) / np.linalg.norm(tau * excess)
        ratios.append(abs(error / (rate * tau / 2) - 1))
    assert ratios[-1] < 0.02
    np.testing.assert_allclose(np.divide(ratios[:-1], ratios[1:]), 2, rtol=0.1)


def test_the_rate_is_bounded_by_the_eigenvalues() -> None:
    system = counted().dense()
    assert departure_rate(system.C, system.gram) <= np.linalg.eigvalsh(system.gram)[-1] / 3


@pytest.mark.parametrize(("outputs", "eta"), [(2, 1.0), (3, 0.5), (5, 2.0)])
def test_a_word_alone_is_lamberts_function(outputs: int, eta: float) -> None:
    counts = np.zeros((2, outputs))
    counts[0, 0], counts[1, 1:] = 3, 1
    share = 3 / counts.sum()
    tau = np.array([0.0, 1.0, 30.0, 1e3, 1e5])
    found = solve(
        CoOccurrence.from_counts(counts, length=1), tau, closure="marginal", rates={"W": eta}, **TIGHT
    ).W.values
    margin = found[:, 0, 0] - found[:, 0, 1]
    np.testing.assert_allclose(margin_alone(tau, share, outputs, eta_W=eta), margin, rtol=1e-8, atol=1e-12)
    later = margin_alone(tau[3] - tau[2], share, outputs, start=margin[2], eta_W=eta)
    assert later == pytest.approx(margin[3], rel=1e-8)


def test_an_impure_word_follows_its_clock() -> None:
    system = CoOccurrence.from_counts([[3, 1]], length=1)
    tau = np.linspace(0, 20, 9)
    found = solve(system, tau, closure="marginal", **TIGHT).W.values[:, 0]
    margin = found[:, 0] - found[:, 1]
    clock = one_word().results[next(s for s in one_word().results if s.name == "clock")]
    z, purity = (next(s for s in clock.free_symbols if s.name == name) for name in ("z", "purity"))
    read = np.array([float(clock.subs({z: m, purity: 0.75})) for m in margin])
    np.testing.assert_allclose(read - read[0], 2 * tau, rtol=1e-7, atol=1e-9)
    assert margin[-1] < np.log(3)


# -- saturation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [(8.0, 8.0, 1.0, 1.0), (12.0, 8.0, 1.0, 3.0), (20.0, 5.0, 2.0, 0.5)])
def test_copying_saturates_at_its_slopes(case: tuple[float, ...]) -> None:
    sizes = dict(zip(("V", "L", "eta_W", "eta_A"), case, strict=True))
    flow = lower(copying()).bind({}, sizes)
    loss, out = lower(copying(), ("loss",)).bind({}, sizes), np.empty(1)
    errors = []
    for tau in (1e6, 1e12):
        u, a = integrate(flow, np.array([0.5, 0.5]), (0, tau), method="LSODA", rtol=1e-10, atol=1e-12).y
        late_u, late_a = (
            evaluated(saturation(), "u", tau=tau, **sizes),
            np.log(sizes["eta_A"] * sizes["V"] / (2 * sizes["eta_W"]) * u**2),
        )
        loss(np.array([u, a]), out)
        expected = float(evaluated(saturation(), "loss", tau=tau, **sizes))
        errors.append([abs(u - late_u) * u**2, abs(a - late_a) * u**2 / np.log(u), abs(out[0] / expected - 1) * u])
    first, last = np.array(errors)
    assert abs(u - np.log(sizes["eta_W"] * tau)) > 5 * abs(u - late_u)  # the excess over the logarithm is needed
    assert (last < 1.3 * first + 0.05).all(), (first, last)  # orders: bounded over twice the logarithm of time


# -- the two stages ---------------------------------------------------------------------------------------------------

VOCAB, LENGTH, SWITCH = 20, 4, 300.0


def lexicon(vocab: int = VOCAB, length: int = LENGTH) -> CoOccurrence:
    counts = np.full((vocab, vocab), (length - 1) / (vocab - 1))
    np.fill_diagonal(counts, 1.0)
    return CoOccurrence.from_counts(counts, length=length)


def loss_at(margin: float, vocab: int = VOCAB) -> float:
    return float(np.log1p((vocab - 1) * np.exp(-margin)))


@pytest.mark.parametrize("rates", [(1.0, 1.0), (1.0, 0.01), (0.5, 20.0)])
@pytest.mark.parametrize("margin", [0.5, 3.0, 8.0])
def test_the_account_gives_the_times_of_the_solver(rates: tuple[float, float], margin: float) -> None:
    for stages, switch in (("joint", 0.0), ("two-stage", SWITCH)):
        end = float(time_to_margin(margin, VOCAB, LENGTH, switch, *rates))
        found = solve(
            lexicon(),
            [0.0, end],
            stages=stages,
            switch=SWITCH if switch else None,
            rates=dict(zip("WA", rates, strict=True)),
            rtol=1e-10,
            atol=1e-13,
        )
        assert float(found.loss[-1]) == pytest.approx(loss_at(margin), rel=1e-8)


def test_values_and_attention_keep_their_account() -> None:
    """eta_A u^2/(2 eta_W) - Phi(a) is constant along the joint flow."""
    found = solve(lexicon(9, 3), [0.0, 30, 100, 1000], rates={"A": 0.7}, **TIGHT)
    u = (found.W[:, 0, 0] - found.W[:, 1, 0]).values
    a = (found.A[:, 0, 0] - found.A[:, 1, 0]).values
    phi = np.array([float(evaluated(separation(), "Phi", a=one, V=9, L=3)) for one in a])
    np.testing.assert_allclose(0.7 * u**2 / 2, phi - phi[0], rtol=1e-7)
    assert a[-1] > 3


def test_the_two_stage_flow_is_late_by_the_estimate() -> None:
    """The error of the estimate is of first order in the rate of attention; measured with the solver's own times."""
    rates, errors = np.array([1e-3, 1e-4]), []
    for rate in rates:
        times = []
        for stages in ("joint", "two-stage"):
            near = float(time_to_margin(3.0, VOCAB, LENGTH, SWITCH * (stages != "joint"), eta_A=rate))
            t = near * np.array([0, 1 - 1e-3, 1 - 1e-4, 1, 1 + 1e-4, 1 + 1e-3])
            run = solve(
                lexicon(), t, stages=stages, switch=SWITCH if stages != "joint" else None, rates={"A": rate},
                rtol=1e-11, atol=1e-14,
            )  # fmt: skip
            times.append(np.interp(-loss_at(3.0), -run.loss.values[1:], t[1:]))
        late = (times[1] - times[0]) / times[0]
        errors.append(float(delay(3.0, VOCAB, LENGTH, SWITCH, eta_A=rate)) / late - 1)
    assert 0 < errors[1] < 0.03
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.2)


def test_the_delay_grows_with_the_ratio_of_the_time_scales() -> None:
    """Over six decades of the rate: never more than the end of stage one, and the estimate is above it."""
    rates = np.geomspace(1e-5, 1e1, 7)
    joint, late = (time_to_margin(3.0, VOCAB, LENGTH, switch, eta_A=rates) for switch in (0.0, SWITCH))
    share = (late - joint) / joint
    assert (np.diff(share) > 0).all()
    assert (late - joint < SWITCH).all()
    estimate = delay(3.0, VOCAB, LENGTH, SWITCH, eta_A=rates)
    assert (estimate > share).all()
    assert (np.abs(estimate / share - 1)[estimate < 0.01] < 0.25).all()


def test_frozen_values_have_a_floor() -> None:
    found = solve(lexicon(), [0.0, SWITCH, 1e6], stages="frozen", switch=SWITCH)
    u = float(found.W[1, 0, 0] - found.W[1, 1, 0])
    assert float(found.loss[-1]) == pytest.approx(float(evaluated(separation(), "floor", u_1=u, V=VOCAB)), rel=1e-3)


def test_where_growth_is_long_the_two_stage_flow_is_late_by_its_share_of_stage_one() -> None:
    """From the saddle V = L the flow is linear for long; the share goes from 0 to 1 with the ratio of time scales."""
    length, theorem = 8.0, separation()
    for ratio in (0.3, 1.0, 5.0):
        shares = []
        for extra in (1e-2, 1e-4):
            sizes = {"V": length + extra, "L": length}
            phi = float(evaluated(theorem, "phi", **sizes))
            y = float(evaluated(theorem, "y", a=0.0, **sizes))
            switch = float(evaluated(theorem, "tau", x=ratio * phi * y, eta_W=1.0, **sizes))
            joint, waited = time_to_margin(1.0, **sizes, switch=[0.0, switch])
            shares.append((waited - joint) / switch)
        assert shares[1] == pytest.approx(
            float(evaluated(theorem, "late", u_1=ratio * phi, eta_W=1, eta_A=1, **sizes)), rel=1e-3
        )
        assert 0 < shares[0] < 1
