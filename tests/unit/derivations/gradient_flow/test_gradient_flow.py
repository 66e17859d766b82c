"""Derived flows against finite differences of the loss, both from the plain loops over the program's equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr, Integer, Symbol, cos, exp, log, sqrt, tanh

from derivations.checks.plain_python import plain_python
from derivations.gradient_flow import adjoints
from derivations.gradient_flow.adjoints import gradient_flow
from derivations.program.language import LogSumExp, MaxOver, SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program, ProgramError

V, K, N = (Symbol(size, integer=True, positive=True) for size in "VKN")
i, j, k, m, n, l = indices("i j k m n l")
W, U, B, s, c, r, d, h, a, b, z, f, p = tensors("W U B s c r d h a b z f p")
x, y, length = tensors("x y length", integer=True)
M, Z = tensors("M Z")
loss, g, u, v = scalars("loss g u v")


def function_of(program: Program) -> Callable[..., dict[str, np.ndarray]]:
    """The program as a Python function."""
    space: dict = {}
    exec(plain_python(program), space)
    return space[program.name]


def deviation(program: Program, values: Mapping[str, np.ndarray], step: float = 1e-5) -> float:
    """The largest difference between the flow and central differences of the loss, relative to the flow's size."""
    flow = gradient_flow(program)
    states = {name: np.array(values[name], float) for name in program.state_names}
    given = {name: value for name, value in values.items() if name not in states}
    found = function_of(flow)(**states, **given, **{f"eta_{name}": 1.0 for name in states})
    evaluate = function_of(program)
    worst, scale = 0.0, 1e-3
    for name, state in states.items():
        derivative = np.asarray(found[flow.flow[name]])
        scale = max(scale, float(np.abs(derivative).max(initial=0)))
        for at in np.ndindex(state.shape):
            losses = []
            for sign in (1, -1):
                moved = state.copy()
                moved[at] += sign * step
                losses.append(evaluate(**{**states, name: moved}, **given)["loss"])
            worst = max(worst, abs(derivative[at] + (losses[0] - losses[1]) / (2 * step)))
    return worst / scale


def program_of(
    *definitions: Definition, data: tuple = (), states: tuple = (W[i, k],), extents: Mapping | None = None
) -> Program:
    every = {i: V, k: K, n: N, l: length[n]}
    ragged = (length[n],) if extents is None else ()
    return Program(
        "example", "", "", every if extents is None else extents, (*ragged, *data), states, definitions, loss=loss
    )


SQUARE = {i: V, j: V}
GRAM = {i: V, j: V, k: K}
RNG = np.random.default_rng(5)
LENGTHS = np.array([3, 1, 4])
WORDS = np.array([1, 1, 0, 2, 2, 2, 2, 0])  # repeated within a sentence and between sentences
MATRIX = RNG.normal(size=(3, 4))

FEATURES: dict[str, tuple[Program, dict]] = {
    "gather with repeated words": (
        program_of(
            Definition(h[n, l, k], W[x[n, l], k] ** 2),
            Definition(z[n, k], SumOver(h[n, l, k], l)),
            Definition(loss, SumOver(sqrt(1 + z[n, k] ** 2), n, k)),
            data=(x[n, l],),
        ),
        {"W": MATRIX, "length": LENGTHS, "x": WORDS},
    ),
    "gather in the last subscript": (
        program_of(
            Definition(z[n, k], SumOver(W[x[n, l], k], l)),
            Definition(loss, SumOver(z[n, y[n]] ** 3, n)),
            data=(x[n, l], y[n]),
        ),
        {"W": MATRIX, "length": LENGTHS, "x": WORDS, "y": np.array([3, 0, 3])},
    ),
    "gather of a gather": (
        program_of(Definition(loss, SumOver(W[x[n, l], y[x[n, l]]] ** 2, n, l)), data=(x[n, l], y[i])),
        {"W": MATRIX, "length": LENGTHS, "x": WORDS, "y": np.array([3, 0, 3])},
    ),
    "one access gathered twice": (
        program_of(
            Definition(z[n], SumOver(W[x[n, l], y[n]] * W[x[n, 0], y[n]], l)),
            Definition(loss, SumOver(z[n] ** 2, n)),
            data=(x[n, l], y[n]),
        ),
        {"W": MATRIX, "length": LENGTHS, "x": WORDS, "y": np.array([3, 0, 3])},
    ),
    "weights that are zero, logits that are large there": (
        program_of(
            Definition(M[k], LogSumExp(W[i, k], i, weight=c[i])),
            Definition(loss, SumOver(M[k] ** 2, k)),
            data=(c[i],),
            extents={i: V, k: K},
        ),
        {"W": MATRIX + np.array([[0], [500], [0]]), "c": np.array([0.3, 0.0, 2.0])},
    ),
    "weights that move": (
        program_of(
            Definition(a[i], exp(s[i])),
            Definition(M[k], LogSumExp(W[i, k], i, weight=a[i])),
            Definition(loss, SumOver(M[k] ** 2, k)),
            states=(W[i, k], s[i]),
            extents={i: V, k: K},
        ),
        {"W": MATRIX, "s": RNG.normal(size=3)},
    ),
    "diagonal": (
        program_of(
            Definition(z[i], SumOver(U[i, j] * U[j, i], j)),
            Definition(loss, SumOver(tanh(U[i, i]) * z[i], i)),
            states=(U[i, j],),
            extents=SQUARE,
        ),
        {"U": RNG.normal(size=(3, 3))},
    ),
    "diagonal of what is defined": (
        program_of(
            Definition(B[i, j], SumOver(W[i, k] * W[j, k], k)),
            Definition(loss, SumOver(log(1 + B[i, i] ** 2), i)),
            extents=GRAM,
        ),
        {"W": MATRIX},
    ),
    "indices of another name, the transpose": (
        program_of(
            Definition(B[i, j], W[i, 0] * W[j, 1]),
            Definition(f[j, i], B[i, j] * B[j, i] + B[j, i] ** 2),
            Definition(loss, SumOver(f[i, j] * B[i, j], i, j)),
            extents=GRAM,
        ),
        {"W": MATRIX},
    ),
    "reduced indices that collide": (
        program_of(
            Definition(B[i, j], U[j, i] ** 2 + U[i, j]),
            Definition(z[j], SumOver(B[i, j] * U[j, i], i)),
            Definition(b[i], SumOver(B[i, j] * z[j], j)),
            Definition(loss, SumOver(b[j] * z[j], j)),
            states=(U[i, j],),
            extents=SQUARE,
        ),
        {"U": RNG.normal(size=(3, 3))},
    ),
    "fixed subscripts": (
        program_of(Definition(loss, SumOver(W[0, k] * W[1, k] + W[i, 2] ** 2, i, k)), extents={i: V, k: K}),
        {"W": MATRIX},
    ),
    "terms that lack an index of the sum": (
        program_of(
            Definition(h[n, k], s[y[n]] + cos(b[k])),
            Definition(g, SumOver(s[i] ** 2 + b[k] ** 3 + W[i, k], i, k)),
            Definition(z[n], SumOver(s[y[n]] + r[n, l], l)),
            Definition(loss, SumOver(h[n, k] + z[n] + g, n, k)),
            data=(y[n], r[n, l]),
            states=(W[i, k], s[i], b[k]),
        ),
        {
            "W": MATRIX,
            "s": RNG.normal(size=3),
            "b": RNG.normal(size=4),
            "length": LENGTHS,
            "y": np.array([2, 0, 2]),
            "r": RNG.random(8),
        },
    ),
    "broadcast and several uses": (
        program_of(
            Definition(z[k], SumOver(W[i, k] * c[i], i)),
            Definition(h[i, k], W[i, k] * z[k] + cos(W[i, k]) / (1 + z[k] ** 2)),
            Definition(g, SumOver(h[i, k], i, k)),
            Definition(loss, g**2 + tanh(g)),
            data=(c[i],),
            extents={i: V, k: K},
        ),
        {"W": MATRIX, "c": RNG.random(3)},
    ),
    "scalar states": (
        program_of(Definition(loss, log(1 + exp(u * v))), states=(u, v), extents={}),
        {"u": np.array(0.7), "v": np.array(-1.3)},
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_flows_are_minus_the_gradient(feature: str) -> None:
    assert deviation(*FEATURES[feature]) < 1e-8


@st.composite
def attention_models(draw: st.DrawFn) -> tuple[Program, dict]:
    """A random attention model on ragged sentences, with random data."""
    curve: dict[str, Callable[[Expr], Expr]] = {
        "straight": lambda e: e,
        "tanh": tanh,
        "power": lambda e: e + e**3 / 3,
        "log": lambda e: log(2 + e**2),
        "exp": lambda e: exp(-(e**2) / 2),
    }
    score, value, readout = (curve[draw(st.sampled_from(sorted(curve)))] for _ in range(3))
    weighted, biased, tied, averaged = (draw(st.booleans()) for _ in range(4))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.tuples(*(st.integers(1, 4),) * 3))
    lengths = numbers.integers(1, 5, sizes[2])
    entries = int(lengths.sum())
    values = {
        "W": numbers.normal(size=sizes[:2]),
        "s": numbers.normal(size=sizes[0]),
        "length": lengths,
        "x": numbers.integers(0, sizes[0], entries),
        "y": numbers.integers(0, sizes[1], sizes[2]),
    }
    data: list[Expr] = [x[n, l], y[n]]
    states: list[Expr] = [W[i, k], s[i]]
    if weighted:
        values["r"] = numbers.random(entries) * (numbers.random(entries) < 0.7)
        values["r"][np.cumsum(lengths) - 1] = 1.0  # every sentence keeps one word
        data.append(r[n, l])
    if biased:
        values["b"] = numbers.normal(size=sizes[1])
        states.append(b[k])
    logit = W[x[n, l], y[n]] * s[x[n, l]] if tied else s[x[n, l]]
    weight = r[n, l] if weighted else Integer(1)
    logits = SumOver(a[n, l] * value(W[x[n, l], k]) / (length[n] if averaged else 1), l)
    definitions = [
        Definition(h[n, l], score(logit)),
        Definition(M[n], LogSumExp(h[n, l], l, weight=weight)),
        Definition(a[n, l], weight * exp(h[n, l] - M[n])),
        Definition(f[n, k], logits),
        Definition(z[n, m], readout(f[n, m]) + (b[m] if biased else 0)),
        Definition(Z[n], LogSumExp(z[n, k], k)),
        Definition(loss, SumOver(Z[n] - z[n, y[n]], n)),
    ]
    extents = {i: V, k: K, m: K, n: N, l: length[n]}
    return Program("example", "", "", extents, (length[n], *data), tuple(states), tuple(definitions), loss=loss), values


@settings(max_examples=25, deadline=None)
@given(attention_models())
def test_random_attention_models(example: tuple[Program, dict]) -> None:
    assert deviation(*example) < 1e-7


def softmax_regression() -> Program:
    return Program(
        "regression",
        "Softmax regression",
        "",
        {n: N, i: V, k: K},
        (d[n, i], y[n]),
        (W[i, k],),
        (
            Definition(z[n, k], SumOver(d[n, i] * W[i, k], i)),
            Definition(M[n], LogSumExp(z[n, k], k)),
            Definition(p[n, k], exp(z[n, k] - M[n])),
            Definition(loss, SumOver(M[n] - z[n, y[n]], n)),
        ),
        loss=loss,
    )


def test_softmax_regression_in_closed_form() -> None:
    data, labels, weights = RNG.normal(size=(7, 3)), RNG.integers(0, 4, 7), RNG.normal(size=(3, 4))
    found = function_of(gradient_flow(softmax_regression()))(d=data, y=labels, W=weights, eta_W=0.5)
    power = np.exp(data @ weights)
    expected = -0.5 * data.T @ (power / power.sum(axis=1, keepdims=True) - np.eye(4)[labels])
    np.testing.assert_allclose(found["Wdot"], expected, rtol=0, atol=1e-14 * np.abs(expected).max() * 7)


def test_softmax_regression_reads_as_in_a_textbook() -> None:
    flow = gradient_flow(softmax_regression())
    assert [str(e) for e in flow.definitions[4:]] == [
        "zbar[n, k] = p[n, k]",  # the exponential is not taken again
        "zbar[n, y[n]] += -1",
        "Wbar[i, k] = SumOver(d[n, i]*zbar[n, k], n)",
        "Wdot[i, k] = -eta_W*Wbar[i, k]",
    ]


def test_flows_name_their_rates_and_results() -> None:
    flow = gradient_flow(FEATURES["weights that move"][0])
    assert dict(flow.flow) == {"W": "Wdot", "s": "sdot"}
    assert [str(parameter) for parameter in flow.parameters] == ["eta_W", "eta_s"]


def test_a_state_that_the_loss_does_not_see_stays() -> None:
    program = program_of(
        Definition(h[i, k], s[i] * W[i, k]),
        Definition(loss, SumOver(W[i, k], i, k)),
        states=(W[i, k], s[i]),
        extents={i: V, k: K},
    )
    found = function_of(gradient_flow(program))(W=MATRIX, s=np.ones(3), eta_W=2.0, eta_s=1.0)
    assert (found["sdot"] == 0).all()
    assert (found["Wdot"] == -2).all()


def test_a_maximum_on_the_way_to_the_loss_is_refused() -> None:
    reduced = Definition(z[k], MaxOver(W[i, k], i))
    program = program_of(reduced, Definition(loss, SumOver(z[k], k)), extents={i: V, k: K})
    with pytest.raises(ProgramError, match=r"definition of z\[k\]: a maximum is not differentiable") as error:
        gradient_flow(program)
    assert "\n" not in str(error.value)


def test_a_maximum_beside_the_loss_is_not_in_the_way() -> None:
    program = program_of(
        Definition(z[k], MaxOver(W[i, k], i)),
        Definition(M[k], MaxOver(d[i, k], i)),
        Definition(loss, SumOver(M[k] * W[i, k] ** 2, i, k)),
        data=(d[i, k],),
        extents={i: V, k: K},
    )
    assert deviation(program, {"W": MATRIX, "d": MATRIX}) < 1e-8


def test_a_program_without_a_loss_is_refused() -> None:
    with pytest.raises(ProgramError, match="has no loss"):
        gradient_flow(replace(softmax_regression(), loss=None))


def test_a_flow_is_not_derived_twice() -> None:
    with pytest.raises(ProgramError, match="is defined twice"):
        gradient_flow(gradient_flow(softmax_regression()))


def test_adjoints_come_in_reverse_order() -> None:
    definitions, extents, value = adjoints(FEATURES["broadcast and several uses"][0])
    assert list(dict.fromkeys(d.name for d in definitions)) == ["zbar", "Wbar"]  # scalars are put in place
    assert set(extents) >= {i, k}
    assert str(value["W"]) == "Wbar[i, k]"
