"""Theorems of copying: every step by sympy, every formula against the reduced flow, and against simulation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.stats import binomtest, norm
from sympy import Matrix, Rational

from derivations import registry
from derivations.checks.proofs import check, holds
from derivations.program.words import unmarked
from derivations.reductions import copying
from derivations.report.document import proof
from derivations.theorems import copying as theorems
from derivations.theorems.theorem import Step
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import lower
from dynamics.lowering.kernel import Bound
from dynamics.problems.closed_forms import (
    attention_logit,
    branch_odds,
    early_time,
    escape_time,
    growth_rate,
    log_escape_constant,
    unstable_coordinate,
)
from dynamics.problems.closed_forms import copying as numbers
from dynamics.problems.kinds.models import positional
from dynamics.tasks import Copying
from dynamics.train.simulate import simulate

THEOREMS = {name: one for name, one in registry.theorems().items() if one.make.__module__ == theorems.__name__}
CASES = [(8, 8), (9, 8), (60, 40)]


@cache
def bound(vocab: float, length: float, eta_W: float, eta_A: float, outputs: tuple[str, ...] | None = None) -> Bound:
    parameters = {"V": float(vocab), "L": float(length), "eta_W": eta_W, "eta_A": eta_A}
    return lower(copying(), outputs).bind({}, parameters)


def drift(y: np.ndarray, vocab: float, length: float, eta_W: float = 1.0, eta_A: float = 1.0) -> np.ndarray:
    out = np.empty(2)
    bound(vocab, length, eta_W, eta_A)(np.asarray(y, float), out)
    return out


def jacobian(y: np.ndarray, *case: float) -> np.ndarray:
    """By central differences."""
    h = 1e-5
    return np.stack([(drift(y + h * e, *case) - drift(y - h * e, *case)) / (2 * h) for e in np.eye(2)], axis=1)


def after(y: np.ndarray, t: float, *case: float) -> np.ndarray:
    """The reduced flow after some time."""
    rates = case[2:] or (1.0, 1.0)
    return integrate(bound(case[0], case[1], *rates), np.array(y, float), (0, t), rtol=1e-11, atol=1e-15).y


def time_to(
    y: np.ndarray, vocab: float, length: float, p: float = 0.5, eta_W: float = 1.0, eta_A: float = 1.0
) -> float:
    """The time that the reduced flow takes to p_t = p."""
    watched, out = bound(vocab, length, eta_W, eta_A, ("p_t",)), np.empty(1)

    def reached(t: float, y: np.ndarray) -> float:
        watched(y, out)
        return out[0] - p

    reached.terminal = True
    flow = bound(vocab, length, eta_W, eta_A)
    end = integrate(flow, np.array(y, float), (0, 1e7), events=reached, method="LSODA", rtol=1e-9, atol=1e-13)
    assert end.t_events[0].size
    return end.t


# -- proofs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEOREMS)
def test_every_step_holds(name: str) -> None:
    theorem = THEOREMS[name]()
    assert theorem.name == name
    assert theorem.steps
    for step in theorem.steps:
        assert check(step, theorem.domain).passed, step.note
    assert holds(theorem)


@pytest.mark.parametrize("name", THEOREMS)
def test_text_has_every_part(name: str) -> None:
    theorem = THEOREMS[name]()
    text = proof(theorem).text()
    assert text.isascii()
    for part in (theorem.title, theorem.statement, theorem.limits, *theorem.hypotheses):
        assert unmarked(part) in text
    elsewhere = {symbol for symbols in theorem.recalled.values() for symbol in symbols}
    assert elsewhere < set(theorem.results)
    assert all((f"\n  {symbol} = " in text) == (symbol not in elsewhere) for symbol in theorem.results)
    assert all(f"  {unmarked(step.note)}\n    " in text for step in theorem.steps)


@pytest.mark.parametrize("name", THEOREMS)
def test_a_reader_can_follow_the_proof(name: str) -> None:
    """Every symbol has a meaning, every step says what it is about, and what is recalled is shown elsewhere."""
    theorem = THEOREMS[name]()
    assert not [row for row in proof(theorem).section("Notation").rows if not row[1]]
    assert all(step.of for step in theorem.steps)
    assert "operations" not in proof(theorem).markdown()
    for other, symbols in theorem.recalled.items():
        shown = THEOREMS[other]().results
        assert all(shown[symbol] == theorem.results[symbol] for symbol in symbols)


def test_the_signal_is_read_off_the_text() -> None:
    assert "what drives u\n    du/dtau = k_W (alpha - 1/V)\n" in proof(THEOREMS["copying-linear"]()).text()


def test_a_wrong_step_does_not_hold() -> None:
    g = theorems.g
    assert not holds(Step("", g * (1 + g), g + g**2 + Rational(1, 10**9)))
    assert not holds(Step("", Matrix([g, 1]), Matrix([g, g])))


# -- the linear flow --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [(8, 8), (9, 8), (60, 40), (12, 8, 3.0, 0.2)])
def test_the_saddle_and_its_directions(case: tuple[float, ...]) -> None:
    vocab, length, *_ = case
    rest = np.array([0, np.log((length - 1) / (vocab - 1))])
    assert np.abs(drift(rest, *case)).max() < 1e-16
    slopes = jacobian(rest, *case)
    values, left = np.linalg.eig(slopes.T)
    grows = int(np.argmax(values))
    assert values[1 - grows] < 0 < values[grows]
    assert growth_rate(*case) == pytest.approx(values[grows], rel=1e-6)
    weight = left[0, grows] / left[1, grows]
    y = 1e-6 * np.array([0.3, -0.2])
    assert unstable_coordinate(*(rest + y), *case) == pytest.approx(y[1] + weight * y[0], rel=1e-5)


@pytest.mark.parametrize("case", [(8, 8), (9, 8), (60, 40), (12, 8, 3.0, 0.2)])
def test_early_times_solve_the_flow_linearised_at_the_origin(case: tuple[float, ...]) -> None:
    slopes, start = jacobian(np.zeros(2), *case), drift(np.zeros(2), *case)
    whole = np.zeros((3, 3))
    whole[:2, :2], whole[:2, 2] = slopes, start
    y0 = np.array([0.02, -0.01])
    tau = np.array([0.0, 1.0, 30.0, 3.0 / growth_rate(*case)])
    found = np.array(early_time(tau, *y0, *case)).T
    expected = [(expm(whole * t) @ [*y0, 1])[:2] for t in tau]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-9)


def test_early_times_are_exact_to_first_order_in_the_start() -> None:
    """For permutations, the error falls with the square of the initial size."""
    tau, direction = 100.0, np.array([1.0, 0.5])
    sizes = np.array([4e-3, 2e-3, 1e-3])
    errors = [np.abs(early_time(tau, *(e * direction), 8, 8) - after(e * direction, tau, 8, 8)).max() for e in sizes]
    orders = np.diff(np.log(errors)) / np.diff(np.log(sizes))
    np.testing.assert_allclose(orders, 2, atol=0.05)


# -- branches ---------------------------------------------------------------------------------------------------------


@given(
    st.floats(-np.pi, np.pi),
    st.floats(1e-4, 0.1),
    st.sampled_from([(8, 8, 1.0, 1.0), (9, 8, 1.0, 1.0), (8, 8, 5.0, 0.5), (42, 40, 1.0, 3.0)]),
)
@settings(max_examples=30, deadline=None)
def test_the_unstable_coordinate_decides_the_branch(
    angle: float, size: float, case: tuple[float, float, float, float]
) -> None:
    rest = np.array([0, np.log((case[1] - 1) / (case[0] - 1))])
    y = rest + size * np.array([np.cos(angle), np.sin(angle)])
    c = unstable_coordinate(*y, *case)
    if abs(c) < 5 * size**3:  # what the second order leaves of the border
        return
    rate = growth_rate(*case)
    u, a = after(y, (3 - np.log(abs(c))) / rate, *case)
    assert np.sign(u) == np.sign(c)
    assert np.sign(a - rest[1]) == np.sign(c)


@pytest.mark.parametrize("case", [(8, 8, 1.0, 1.0), (9, 8, 2.0, 0.7), (60, 40, 1.0, 3.0)])
def test_the_unstable_coordinate_grows_at_its_rate_to_second_order(case: tuple[float, ...]) -> None:
    rest = np.array([0, np.log((case[1] - 1) / (case[0] - 1))])
    for direction in ((1.0, 0.3), (-0.2, 1.0), (1.0, -0.9)):
        errors = []
        for size in (4e-3, 2e-3):
            y = rest + size * np.array(direction)
            grown = unstable_coordinate(*after(y, 1 / growth_rate(*case), *case), *case)
            errors.append(abs(grown - np.e * unstable_coordinate(*y, *case)))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.1), direction


# -- odds -------------------------------------------------------------------------------------------------------------


def reduced(matrices: np.ndarray) -> np.ndarray:
    """Mean diagonal less mean off-diagonal, of many matrices."""
    n = matrices.shape[-1]
    trace = np.trace(matrices, axis1=-2, axis2=-1)
    return trace / n - (matrices.sum((-2, -1)) - trace) / (n * (n - 1))


def random_starts(case: tuple[float, ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    """u of normal W, and the a of the mean attention of normal P."""
    vocab, length, sigma_W, sigma_P = case[:4]
    rng = np.random.default_rng(0)
    W, P = (s * rng.normal(size=(n, int(m), int(m))) for s, m in ((sigma_W, vocab), (sigma_P, length)))
    return reduced(W), attention_logit(P)


@pytest.mark.parametrize(
    "case",
    [(8, 8, 0.3, 0.3, 1.0, 1.0), (9, 8, 0.6, 0.2, 1.0, 1.0), (9, 8, 0.1, 0.5, 4.0, 0.5), (20, 16, 0.5, 0.5, 1, 1)],
)
def test_odds_are_those_of_random_matrices(case: tuple[float, ...]) -> None:
    n, rates = 20_000, case[4:]
    good = unstable_coordinate(*random_starts(case, n), *case[:2], *rates) > 0
    assert binomtest(int(good.sum()), n, float(branch_odds(*case))).pvalue > 1e-3
    for heads in (2, 4):
        shared = good.reshape(-1, heads).any(1)
        assert binomtest(int(shared.sum()), n // heads, float(branch_odds(*case, H=heads))).pvalue > 1e-3


def odds_by_quadrature(case: tuple[float, ...]) -> float:
    """The share of normal starts beyond the border, in a by its normal tail and in u by Gauss-Hermite quadrature."""
    vocab, length, sigma_W, sigma_P, *rates = case
    x, weight = np.polynomial.hermite_e.hermegauss(24)
    u = x * sigma_W / np.sqrt(vocab - 1)
    border, h = np.full_like(u, np.log((length - 1) / (vocab - 1))), 1e-6
    for _ in range(20):
        here, there = (unstable_coordinate(u, border + d, vocab, length, *rates) for d in (0, h))
        border -= h * here / (there - here)
    shift = -(sigma_P**2) * (length - 2) / (2 * length * (length - 1))
    return float(weight @ norm.cdf((shift - border) * np.sqrt(length - 1) / sigma_P) / weight.sum())


def test_odds_are_right_to_second_order() -> None:
    sizes = np.array([0.4, 0.2, 0.1])
    errors = [abs(branch_odds(8, 8, s, s) - odds_by_quadrature((8, 8, s, s))) for s in sizes]
    np.testing.assert_allclose(np.diff(np.log(errors)) / np.diff(np.log(sizes)), 3, atol=0.05)
    for case, error in (((9, 8, 0.2, 0.2), 1.5e-4), ((9, 8, 0.1, 0.3), 2e-5), ((9, 8, 0.3, 0.3, 4.0, 0.5), 2e-5)):
        assert branch_odds(*case) == pytest.approx(odds_by_quadrature(case), abs=error), case


def test_odds_are_those_of_the_flow() -> None:
    """The two equations from random starts, all at once by Heun's method."""
    case = (9, 8, 0.6, 0.6)
    n = 10_000
    flow, _ = numbers.on_manifold("numpy")
    y = np.array(random_starts(case, n))
    h = 0.02 / growth_rate(9, 8)
    for _ in range(700):
        first = np.array(flow(*y, 9, 8, 1, 1))
        y = y + h / 2 * (first + np.array(flow(*(y + h * first), 9, 8, 1, 1)))
    assert binomtest(int((y[0] > 0).sum()), n, float(branch_odds(*case))).pvalue > 0.01
    # At first order they would be 0.66: the second order is needed.
    assert binomtest(int((y[0] > 0).sum()), n, 0.662).pvalue < 1e-4


def test_odds_by_hand() -> None:
    """At small deviations: the tail of the theory's closed form, with the saddle and without damping."""
    large = 1e-3 * np.sqrt(1 / 50 + 1 / (50 * 49) + (1 / 51 + 1 / (51 * 50)) * 50 / 49)
    assert branch_odds(51, 50, 1e-3, 1e-3) == pytest.approx(norm.cdf(np.log(50 / 49) / large), rel=1e-3)
    assert branch_odds(8, 8, 1e-5, 1e-5) == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(branch_odds(9, 8, [1e-4, 1e-2], 1e-3), 1, atol=1e-12)
    odds = branch_odds(9, 8, 0.3, 0.3, H=np.arange(1, 6))
    np.testing.assert_allclose(1 - odds, (1 - odds[0]) ** np.arange(1, 6), rtol=1e-12)


def test_the_logit_of_attention() -> None:
    rng = np.random.default_rng(0)
    P = rng.normal(size=(3, 5, 5))
    share = [np.mean([np.exp(row[t]) / np.exp(row).sum() for t, row in enumerate(matrix)]) for matrix in P]
    np.testing.assert_allclose(attention_logit(P), np.log(np.array(share) * 4 / (1 - np.array(share))), rtol=1e-13)
    np.testing.assert_allclose(attention_logit(0.7 * np.eye(5) + rng.normal(size=(5, 1))), 0.7, rtol=1e-13)


# -- escape -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("vocab", "length"), [(8, 8), (40, 40)])
@pytest.mark.parametrize("sign", [1, -1])
def test_escape_times_over_four_decades(vocab: int, length: int, sign: int) -> None:
    for size in (5e-6, 5e-5, 5e-4, 5e-3, 5e-2):
        for direction in ((1.0, 1.0), (-0.5, 1.0), (1.0, -0.3)):
            y = sign * size * np.array(direction)
            assert escape_time(*y, vocab, length) == pytest.approx(time_to(y, vocab, length), rel=2e-3), (
                size,
                direction,
            )


def test_the_error_of_the_escape_law_falls_with_the_square_of_the_initial_size() -> None:
    sizes = np.array([8e-2, 4e-2, 2e-2])
    rate = growth_rate(8, 8)
    errors = [abs(rate * (escape_time(e, e, 8, 8) - time_to(np.array([e, e]), 8, 8))) for e in sizes]
    np.testing.assert_allclose(np.diff(np.log(errors)) / np.diff(np.log(sizes)), 2, atol=0.2)
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("case", [(9, 8), (12, 8), (42, 40), (60, 40)])
def test_escape_from_the_origin_when_there_is_a_signal(case: tuple[int, int]) -> None:
    for size in (0.0, 1e-4, 1e-2, -1e-2):
        y = np.array([size, size])
        assert escape_time(*y, *case) == pytest.approx(time_to(y, *case), rel=0.02), size


def test_escape_with_other_rates_thresholds_and_more_words() -> None:
    rest = np.log(7 / 8)
    for y, p, rates in (
        ((2e-3, 1e-3), 0.9, (1.0, 1.0)),
        ((1e-3, 2e-3), 0.3, (5.0, 0.4)),
        ((-1e-3, -2e-3), 0.3, (2.0, 3.0)),
    ):
        start = np.array([y[0], rest + y[1]])
        expected = time_to(start, 9, 8, p, *rates)
        assert escape_time(*start, 9, 8, *rates, p=p) == pytest.approx(expected, rel=1e-4)


def test_time_scales_with_the_rates() -> None:
    assert escape_time(0.01, 0.02, 8, 8, 3.0, 3.0) == pytest.approx(escape_time(0.01, 0.02, 8, 8) / 3, rel=1e-6)


def test_the_constant_does_not_depend_on_where_the_manifold_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    for good in (True, False):
        near = log_escape_constant(9, 8, good, 0.4)
        log_escape_constant.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(numbers, "NEAR", 1e-4)
            assert log_escape_constant(9, 8, good, 0.4) == pytest.approx(near, abs=1e-4)
        log_escape_constant.cache_clear()


def test_the_mirror_branch_mistakes_absent_words_for_the_target() -> None:
    """With u < 0 the target does not get above 1/(1 + V - L): the law says never, and the flow does not get there."""
    assert escape_time(-0.2, -0.2, 9, 8) == np.inf
    watched, out = bound(9, 8, 1.0, 1.0, ("p_t",)), np.empty(1)
    flow = bound(9, 8, 1.0, 1.0)
    end = integrate(flow, np.array([-0.2, -0.2]), (0, 1e5), method="LSODA", rtol=1e-8, atol=1e-12)
    watched(end.y, out)
    assert 0.4 < out[0] < 0.5
    assert np.isfinite(escape_time(-0.2, -0.2, 9, 8, p=0.49))


@pytest.mark.parametrize("p", [0.0, 1 / 9, 1.0, np.nan])
def test_a_prediction_that_is_none_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match=r"must be between chance, 1/V = 0\.1111, and 1"):
        log_escape_constant(9, 8, True, p)


def test_on_the_border_it_never_leaves() -> None:
    assert escape_time(0.0, 0.0, 8, 8) == np.inf


# -- simulation -------------------------------------------------------------------------------------------------------


def test_simulated_permutations_take_the_branch_of_their_unstable_coordinate() -> None:
    seeds = 40
    run = simulate(
        positional(), Copying(6, 6), lr=1.0, batch=16, steps=600, seeds=seeds, records=[0, 600],
        initial={"W": 0.3, "P": 0.3}, evaluation=1,
    )  # fmt: skip
    u, a = reduced(run.W.values), reduced(run.P.values)
    good = a[:, 1] > 0
    assert (np.abs(a[:, 1]) > 1).all()
    predicted = unstable_coordinate(u[:, 0], attention_logit(run.P.values[:, 0]), 6, 6) > 0
    assert (predicted == good).mean() >= 0.98
    assert binomtest(int(good.sum()), seeds, float(branch_odds(6, 6, 0.3, 0.3))).pvalue > 0.05


def test_simulated_escape_takes_the_time_of_the_law() -> None:
    lr = 0.1
    for sign, steps in ((1, 3_000), (-1, 6_500)):
        start = {name: sign * 1e-3 * np.eye(6) for name in "WP"}
        run = simulate(
            positional(), Copying(6, 6), lr=lr, batch=32, steps=steps, records=list(range(0, steps + 1, 10)),
            initial=start, evaluation=64,
        )  # fmt: skip
        learnt = run.time.values[np.argmax(run.loss.values[0] < np.log(2))]
        assert learnt == pytest.approx(escape_time(sign * 1e-3, sign * 1e-3, 6, 6), rel=0.01), sign
