"""Symmetric reductions against the paper's algebra, the full flow of the model, and the limits of arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf, workdps
from sympy import exp, lambdify, simplify

from derivations.program.access import accesses
from derivations.program.language import scalars
from derivations.program.program import Program, ProgramError
from derivations.reductions import copying, copying_heads, copying_repeats, squared_length
from derivations.reductions.copying import symmetric
from derivations.reductions.orbits import DistinctWords, RepeatedWords
from derivations.reductions.unrolling import closed_form
from derivations.report.document import derivation
from dynamics.integrate.initial_value import integrate
from dynamics.lowering import lower
from dynamics.problems.kinds.models import positional
from dynamics.tasks.examples import Examples

V, L, eta_W, eta_A = scalars("V L eta_W eta_A", positive=True)
u, a = scalars("u a")


def evaluated(
    program: Program, y: np.ndarray, outputs: tuple[str, ...] | None = None, **parameters: float
) -> np.ndarray:
    kernel = lower(program, outputs)
    values = {"eta_W": 1.0, "eta_A": 1.0} | parameters
    found = kernel.bind({}, {p.name: float(values[p.name]) for p in program.parameters}).evaluate(np.asarray(y, float))
    return np.array([float(np.squeeze(value)) for value in found.values()])


# -- the algebra ------------------------------------------------------------------------------------------------------


def test_the_reduction_is_the_one_of_the_theory() -> None:
    """By hand: attention and predictions of each class, and the drift of u and a."""
    program = symmetric("copying", DistinctWords())
    alpha = exp(a) / (exp(a) + L - 1)
    eps = (1 - alpha) / (L - 1)
    D = exp(alpha * u) + (L - 1) * exp(eps * u) + (V - L)
    p_t, p_in = exp(alpha * u) / D, exp(eps * u) / D
    expected = {
        "alpha": alpha,
        "epsilon": eps,
        "p_t": p_t,
        "p_in": p_in,
        "udot": eta_W / (V - 1) * (alpha * (1 - p_t) - (1 - alpha) * p_in),
        "adot": eta_A / (L - 1) * u * alpha * (1 - alpha) * (1 - p_t + p_in),
    }
    for name, by_hand in expected.items():
        assert simplify(closed_form(program, name) - by_hand) == 0, name


def test_lengths_of_symmetric_directions() -> None:
    for n in (2, 5):
        direction = np.eye(n) - 1 / n
        assert squared_length(V).subs(V, n) == pytest.approx((direction**2).sum())


def test_probabilities_of_repeats_add_up() -> None:
    for words in (2, 3, 6):
        orbits = RepeatedWords(words)
        assert simplify(sum(map(orbits.share, orbits.patterns))) == 1
        assert all(sum(pattern) == words for pattern in orbits.patterns)


@pytest.mark.parametrize("words", [2, 3, 5])
@pytest.mark.parametrize("vocab", [1, 2, 4])
def test_patterns_of_repeats_are_as_frequent_as_counted(words: int, vocab: int) -> None:
    orbits = RepeatedWords(words)
    counted = dict.fromkeys(orbits.patterns, 0)
    for x in product(range(vocab), repeat=words):
        counted[x.count(x[0]), *sorted(x.count(word) for word in set(x) - {x[0]})] += 1
    for pattern, times in counted.items():
        assert orbits.share(pattern).subs(V, vocab) == pytest.approx(times / vocab**words, abs=1e-15)


# -- the full flow ----------------------------------------------------------------------------------------------------


def population(vocab: int, length: int, repeats: bool) -> Examples:
    """Every input that copying draws, once."""
    rows = list(product(range(vocab), repeat=length) if repeats else permutations(range(vocab), length))
    return Examples.from_rows(rows, rows, vocab, vocab)


def full_flow(examples: Examples, u: np.ndarray, a: np.ndarray, **rates: float) -> dict[str, np.ndarray]:
    """The flow of the exact model on symmetric states, one number u and a for each head; W and P with a head axis."""
    heads = len(u)
    model = positional(heads)
    vocab, length = examples.inputs, int(examples.length[0])
    W, P = (x[:, None, None] * np.eye(n) + 0.3 for x, n in ((u, vocab), (a, length)))
    y = np.concatenate([W.ravel(), P.ravel()])
    parameters = {**model.all_sizes(examples), "eta_W": rates.get("eta_W", 1.0), "eta_P": rates.get("eta_A", 1.0)}
    found = model.kernel(examples).bind(model.arrays(examples), parameters).evaluate(y)
    return {"W": found["Wdot"].reshape(W.shape), "P": found["Pdot"].reshape(P.shape)}


def symmetric_part(matrix: np.ndarray) -> tuple[float, float]:
    """Mean diagonal less mean off-diagonal, and the largest deviation from the symmetric matrix with these means."""
    same = np.eye(len(matrix), dtype=bool)
    on, off = matrix[same].mean(), matrix[~same].mean()
    return on - off, np.abs(matrix - np.where(same, on, off)).max()


CASES = [(V, L) for V in (3, 4, 5) for L in (2, 3, 4) if L <= V]


@pytest.mark.parametrize(("vocab", "length"), CASES)
@pytest.mark.parametrize("repeats", [False, True])
def test_symmetric_states_stay_symmetric_and_move_as_reduced(vocab: int, length: int, repeats: bool) -> None:
    examples = population(vocab, length, repeats)
    program = copying_repeats(length) if repeats else copying()
    rng = np.random.default_rng(vocab * 10 + length)
    for size in (0.1, 1.0, 10.0):
        y = size * rng.normal(size=2)
        full = full_flow(examples, y[:1], y[1:], eta_W=0.7, eta_A=1.9)
        moved = [symmetric_part(full[name][0]) for name in "WP"]
        assert max(deviation for _, deviation in moved) < 1e-13
        reduced = evaluated(program, y, V=vocab, L=length, eta_W=0.7, eta_A=1.9)
        np.testing.assert_allclose(reduced, [drift for drift, _ in moved], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("heads", [2, 3])
def test_heads_move_as_reduced(heads: int) -> None:
    examples = population(4, 3, False)
    rng = np.random.default_rng(heads)
    for size in (0.1, 1.0, 10.0):
        states = size * rng.normal(size=(2, heads))
        full = full_flow(examples, *states, eta_W=0.7, eta_A=1.9)
        moved = [symmetric_part(matrix) for name in "WP" for matrix in full[name]]
        assert max(deviation for _, deviation in moved) < 1e-13
        reduced = evaluated(copying_heads(heads), states.ravel(), V=4, L=3, eta_W=0.7, eta_A=1.9)
        np.testing.assert_allclose(reduced, [drift for drift, _ in moved], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("repeats", [False, True])
def test_loss_and_prediction_are_those_of_the_model(repeats: bool) -> None:
    examples = population(4, 3, repeats)
    y = np.array([2.0, 1.3])
    states = {"W": y[0] * np.eye(4), "P": y[1] * np.eye(3)}
    rows = [examples.x[k : k + 3] for k in range(0, examples.x.size, 3)]
    share = np.exp(states["P"]) / np.exp(states["P"]).sum(1, keepdims=True)
    answers = []
    for x in rows:
        z = share @ states["W"][x]
        answers.append((np.exp(z) / np.exp(z).sum(1, keepdims=True))[range(3), x])
    program = copying_repeats(3) if repeats else copying()
    loss, p_t = evaluated(program, y, ("loss", "p_t"), V=4, L=3)
    assert loss == pytest.approx(-np.log(answers).mean(), rel=1e-14)
    assert p_t == pytest.approx(np.mean(answers), rel=1e-14)


def test_one_head_is_the_reduction_without_heads() -> None:
    y = np.array([0.4, -0.9])
    np.testing.assert_array_equal(evaluated(copying_heads(1), y, V=7, L=5), evaluated(copying(), y, V=7, L=5))


def test_equal_heads_move_as_one_at_its_rates_over_their_number() -> None:
    one = evaluated(copying(), np.array([0.4, 0.9]), V=7, L=5)
    three = evaluated(copying_heads(3), np.array([0.4] * 3 + [0.9] * 3), V=7, L=5)
    np.testing.assert_allclose(three, np.repeat(one, 3) / 3, rtol=1e-13)


# -- arithmetic -------------------------------------------------------------------------------------------------------


def high_precision(name: str) -> Callable[..., mpf]:
    expression = closed_form(symmetric("copying", DistinctWords()), name)
    return lambdify((u, a, V, L, eta_W, eta_A), expression, "mpmath")


@given(
    st.floats(-1e3, 1e3),
    st.floats(-1e3, 1e3),
    st.integers(2, 60),
    st.sampled_from([0.0, 0.5, 1.0, 40.0]),
)
@settings(max_examples=60, deadline=None)
def test_extreme_states_are_computed_to_rounding(u: float, a: float, length: int, absent: float) -> None:
    names = ("udot", "adot", "loss", "p_t", "p_in", "alpha")
    found = evaluated(copying(), np.array([u, a]), names, V=length + absent, L=length)
    for name, value in zip(names, found, strict=True):
        with workdps(1000):  # e^1000 less what it nearly is
            expected = float(HIGH[name](mpf(u), mpf(a), mpf(length) + mpf(absent), mpf(length), mpf(1), mpf(1)))
        scale = max(1.0, abs(u)) if name == "adot" else 1.0
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-14 * scale), name


HIGH = {name: high_precision(name) for name in ("udot", "adot", "loss", "p_t", "p_in", "alpha")}


@pytest.mark.parametrize("program", [copying(), copying_heads(2), copying_repeats(4)], ids=lambda p: p.name)
def test_nothing_overflows(program: Program) -> None:
    names = (*program.flow.values(), "loss", "p_t")
    for signs in product((-1, 0, 1), repeat=len(program.states)):
        for vocab in (4, 5):
            for size in (1e3, 1e5):
                found = evaluated(program, size * np.array(signs, float), names, V=vocab, L=4)
                assert np.isfinite(found).all(), (signs, vocab, size)


def test_programs_are_scalar() -> None:
    for program in (copying(), copying_heads(3), copying_repeats(4)):
        assert not program.extents
        assert not any(d.over or d.accumulate for d in program.definitions)
        assert all(not getattr(access, "indices", ()) for d in program.definitions for access in accesses(d.rhs))


@pytest.mark.parametrize(("make", "n"), [(copying_heads, 0), (copying_repeats, 1)])
def test_sizes_that_make_no_sense_are_refused(make: Callable[[int], Program], n: int) -> None:
    with pytest.raises(ProgramError, match="there must be"):
        make(n)


def test_derivations_show_the_reduced_model_and_keep_its_arithmetic_apart() -> None:
    for program in (copying(), copying_heads(2), copying_repeats(3)):
        shown = derivation(program)
        assert [section.title for section in shown.sections] == ["Model", "Adjoints", "Flow", "Arithmetic"]
        assert "max" not in shown.section("Model").text().lower()
        assert "_max" in shown.section("Arithmetic").text()
    assert "Q       = log(V + (L - 1) exp(z_in) + exp(z_t) - L)" in derivation(copying()).section("Model").text()


# -- the numbers of the theory ----------------------------------------------------------------------------------------


def time_to_half(program: Program, start: np.ndarray, **sizes: float) -> float:
    parameters = {"eta_W": 1.0, "eta_A": 1.0} | sizes
    flow, watched = (lower(program, names).bind({}, parameters) for names in (None, ("p_t",)))
    out = np.empty(1)

    def half(t: float, y: np.ndarray) -> float:
        watched(y, out)
        return out[0] - 0.5

    half.terminal = True
    return integrate(flow, start, (0, 1e6), events=half, method="LSODA", rtol=1e-8, atol=1e-10).t


@pytest.mark.parametrize(
    ("vocab", "length", "good", "mirror"),
    [
        (40, 40, 7_015, 283_935),
        (42, 40, 5_389, 6_845),
        (50, 40, 4_214, 4_596),
        (60, 40, 3_993, 4_261),
        (8, 8, 307, 1_310),
    ],
)
def test_times_to_learn(vocab: int, length: int, good: int, mirror: int) -> None:
    for sign, expected in ((1, good), (-1, mirror)):
        found = time_to_half(copying(), sign * np.array([0.01, 0.01]), V=float(vocab), L=float(length))
        assert round(found) == pytest.approx(expected, abs=1), sign
