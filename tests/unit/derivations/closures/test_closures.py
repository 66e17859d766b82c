"""The closures' compiled flows against the same formulas by hand, the plain loops, and their own loss."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sympy import Expr, Indexed, Symbol

from derivations import registry as catalogue
from derivations.checks.plain_python import plain_python
from derivations.program.access import accesses, name_of, subscript
from derivations.program.program import Program, extent_symbols
from dynamics.lowering import Bound, Kernel, lower

Matrix = NDArray[np.float64]
Values = dict[str, np.ndarray]

TOLERANCE = 1e-12


def close(found: Matrix, expected: Matrix, scale: float | None = None) -> None:
    """Equal to 1e-12 of the expected values' size, or of the size of what they are a difference of."""
    expected = np.asarray(expected)
    size = float(np.abs(expected).max(initial=0)) if scale is None else scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * size + 1e-300)


def softmax(x: Matrix, axis: int) -> Matrix:
    power = np.exp(x - x.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


# -- joint distributions ----------------------------------------------------------------------------------------------


def distribution(seed: int, inputs: int, outputs: int, zeros: float) -> Matrix:
    """A random co-occurrence matrix without empty rows and columns."""
    rng = np.random.default_rng(seed)
    C = rng.gamma(0.5, size=(inputs, outputs)) * (rng.random((inputs, outputs)) >= zeros)
    C[rng.integers(inputs), rng.integers(outputs)] += 0.1
    C = C[C.any(axis=1)][:, C.any(axis=0)]
    return C / C.sum()


distributions = st.builds(
    distribution, st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.3, 0.9])
)


def states_of(C: Matrix, size: float) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(C.size)
    return size * rng.normal(size=C.shape), size * rng.normal(size=C.shape)


def in_columns(C: Matrix, A: Matrix) -> tuple[Values, Matrix, tuple]:
    """The non-zero counts column by column: data of the sparse program, attention, and where its entries stand."""
    column, word = np.nonzero(C.T)
    count = np.bincount(column, minlength=C.shape[1])
    R = C / C.sum(axis=0)
    return {"q": C.sum(axis=0), "count": count, "word": word, "R": R[word, column]}, A[word, column], (word, column)


@cache
def kernel(name: str, outputs: tuple[str, ...] | None = None) -> Kernel:
    return lower(catalogue.program(name), outputs)


SEEN = ("loss", "beta", "Rtilde")
RATES = {"eta_W": 1.0, "eta_A": 1.0}


def joint(C: Matrix, outputs: tuple[str, ...] | None = None, rates: Mapping[str, float] = RATES) -> Bound:
    return kernel("joint", outputs).bind({"R": C / C.sum(axis=0), "q": C.sum(axis=0)}, rates)


def sparse(C: Matrix, outputs: tuple[str, ...] | None = None, rates: Mapping[str, float] = RATES) -> Bound:
    return kernel("joint-sparse", outputs).bind(in_columns(C, C)[0], {**rates, "V": C.shape[0]})


def packed(*states: Matrix) -> Matrix:
    return np.concatenate([np.ravel(s) for s in states])


def by_hand(C: Matrix, W: Matrix, A: Matrix) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Rt, dW, g and dA as on paper."""
    q = C.sum(axis=0)
    with np.errstate(divide="ignore"):
        Rt = softmax(np.log(C / q) + A, axis=0)
    P = softmax(Rt.T @ W, axis=1)
    D = q[:, None] * (np.eye(q.size) - P)
    g = W @ D.T
    return Rt, Rt @ D, g, Rt * (g - (Rt * g).sum(axis=0))


# -- both stages ------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(distributions, st.sampled_from([0.0, 0.1, 3.0, 30.0]))
def test_joint_flow_by_hand(C: Matrix, size: float) -> None:
    W, A = states_of(C, size)
    Rt, dW, g, dA = by_hand(C, W, A)
    flow = joint(C).evaluate(packed(W, A))
    seen = joint(C, SEEN).evaluate(packed(W, A))
    q = C.sum(axis=0)
    close(flow["Wdot"], dW, q.max())
    close(flow["Adot"], dA, np.abs(g).max())
    close(seen["Rtilde"], Rt)
    close(seen["beta"], softmax(W, axis=1))
    Z = Rt.T @ W
    largest = Z.max(axis=1)
    logs = np.log(np.exp(Z - largest[:, None]).sum(axis=1)) + largest
    close(seen["loss"], q @ (logs - np.diag(Z)), max(1.0, np.abs(Z).max()))


@settings(max_examples=40, deadline=None)
@given(distributions, st.sampled_from([0.1, 3.0, 30.0]))
def test_sparse_is_dense(C: Matrix, size: float) -> None:
    W, A = states_of(C, size)
    _, entries, at = in_columns(C, A)
    dense, packed_entries = joint(C).evaluate(packed(W, A)), packed(W, entries)
    flow = sparse(C).evaluate(packed_entries)
    close(flow["Wdot"], dense["Wdot"], C.sum(axis=0).max())
    close(flow["Adot"], dense["Adot"][at], np.abs(by_hand(C, W, A)[2]).max())
    seen, expected = sparse(C, SEEN).evaluate(packed_entries), joint(C, SEEN).evaluate(packed(W, A))
    close(seen["loss"], expected["loss"], max(1.0, np.abs(W).max()))
    close(seen["beta"], expected["beta"])
    close(seen["Rtilde"], expected["Rtilde"][at])


@settings(max_examples=20, deadline=None)
@given(distributions)
def test_joint_flow_descends_its_loss(C: Matrix) -> None:
    """Along random directions, by central differences of the compiled loss."""
    y = packed(*states_of(C, 1.0))
    direction = np.random.default_rng(1).normal(size=y.size)
    step = 1e-5
    above, below = (joint(C, SEEN).evaluate(y + sign * step * direction)["loss"] for sign in (1, -1))
    flow = joint(C).evaluate(y)
    slope = packed(flow["Wdot"], flow["Adot"]) @ direction
    assert float(above - below) / (2 * step) == pytest.approx(-slope, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(distributions, st.sampled_from([0.1, 3.0]))
def test_what_the_joint_flow_conserves(C: Matrix, size: float) -> None:
    """Shifting all logits changes nothing: column sums of A and row sums of W stay."""
    W, A = states_of(C, size)
    flow = joint(C).evaluate(packed(W, A))
    close(flow["Wdot"].sum(axis=1), np.zeros(C.shape[0]), 1.0)
    close(flow["Adot"].sum(axis=0), np.zeros(C.shape[1]), max(1.0, np.abs(W).max()))
    assert (flow["Adot"][C == 0] == 0).all()


def test_rates_scale_each_state() -> None:
    C = distribution(3, 6, 5, 0.3)
    W, A = states_of(C, 1.0)
    one, other = joint(C).evaluate(packed(W, A)), joint(C, rates={"eta_W": 0.25, "eta_A": 0}).evaluate(packed(W, A))
    close(other["Wdot"], 0.25 * one["Wdot"])
    assert (other["Adot"] == 0).all()


def test_joint_flow_begins_as_the_linear_closure() -> None:
    C = distribution(4, 9, 7, 0.3)
    zero = np.zeros(C.shape)
    c, data = C.sum(axis=1), {"C": C, "c": C.sum(axis=1)}
    begins = joint(C).evaluate(packed(zero, zero))
    linear = kernel("linear").bind(data, RATES).evaluate(packed(zero))
    close(begins["Wdot"], linear["Wdot"])
    close(linear["Wdot"], C - c[:, None] / C.shape[1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
def test_one_word(shape: tuple[int, int]) -> None:
    C = distribution(5, *shape, 0.0)
    W, A = states_of(C, 2.0)
    _, dW, _, dA = by_hand(C, W, A)
    for flow in (joint(C).evaluate(packed(W, A)), sparse(C).evaluate(packed(W, A.T))):
        close(flow["Wdot"], dW, 1.0)
        close(flow["Adot"], dA if flow["Adot"].ndim == 2 else dA.T.ravel(), 2.0)
    if shape == (1, 1):
        assert float(joint(C, SEEN).evaluate(packed(W, A))["loss"]) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_large_logits(sign: int) -> None:
    """Logits of a thousand: finite, and still the formula; whatever the logit of a word that never occurs."""
    C = distribution(6, 8, 6, 0.4)
    W, A = (sign * np.where(x > 0, 1e3, -1e3) for x in states_of(C, 1.0))
    Rt, dW, g, dA = by_hand(C, W, A)
    flow, seen = joint(C).evaluate(packed(W, A)), joint(C, SEEN).evaluate(packed(W, A))
    close(flow["Wdot"], dW, 1.0)
    close(flow["Adot"], dA, np.abs(g).max())
    close(seen["Rtilde"], Rt)
    moved = joint(C).evaluate(packed(W, np.where(C > 0, A, 1e3 * sign)))
    close(moved["Adot"], flow["Adot"], np.abs(g).max())


# -- stage one --------------------------------------------------------------------------------------------------------


def statistics(C: Matrix) -> Values:
    """What the stage-one closures need; a Gram matrix with the marginal c."""
    rng = np.random.default_rng(C.size)
    bags = rng.dirichlet(np.ones(C.shape[0]), size=3 * C.shape[0])
    G = bags.T @ bags / len(bags)
    c = G.sum(axis=1)
    C = c[:, None] * softmax(rng.normal(size=C.shape), axis=1)
    return {"C": C, "c": c, "G": G, "q": C.sum(axis=0)}


LENGTH = 4.5
BY_HAND = {
    "linear": lambda s, W: s["C"] - s["c"][:, None] / W.shape[1],
    "linear-bias": lambda s, W: s["C"] - np.outer(s["c"], s["q"]),
    "marginal": lambda s, W: s["C"] - s["c"][:, None] * softmax(W / LENGTH + (1 - 1 / LENGTH) * (s["c"] @ W), 1),
    "gram": lambda s, W: s["C"] - s["c"][:, None] * softmax(s["G"] / s["c"][:, None] @ W, 1),
}


def bound(name: str, data: Values, outputs: tuple[str, ...] | None = None, rate: float = 1.0) -> Bound:
    return kernel(name, outputs).bind(data, {"eta_W": rate, "L": LENGTH})


@pytest.mark.parametrize("name", BY_HAND)
@settings(max_examples=15, deadline=None)
@given(C=distributions, size=st.sampled_from([0.0, 1.0, 30.0]), rate=st.sampled_from([1.0, 0.3]))
def test_stage_one_by_hand(name: str, C: Matrix, size: float, rate: float) -> None:
    data, W = statistics(C), states_of(C, size)[0]
    close(bound(name, data, rate=rate).evaluate(packed(W))["Wdot"], rate * BY_HAND[name](data, W), 1.0)
    close(bound(name, data, ("loss", "beta")).evaluate(packed(W))["beta"], softmax(W, 1))


@pytest.mark.parametrize("name", ["linear", "linear-bias"])
def test_linear_closures_in_closed_form(name: str) -> None:
    """W = tau D with D the drift, and loss = loss(0) - tau |D|^2."""
    C = distribution(7, 9, 5, 0.2)
    c, q = C.sum(axis=1), C.sum(axis=0)
    data = {"C": C, "c": c, "q": q}
    p0 = np.full(5, 1 / 5) if name == "linear" else q
    D, tau = C - np.outer(c, p0), 17.0
    close(bound(name, data).evaluate(packed(tau * D))["Wdot"], D)
    seen = bound(name, data, ("loss", "beta")).evaluate(packed(tau * D))
    close(seen["loss"], -q @ np.log(p0) - tau * (D**2).sum())


@pytest.mark.parametrize("name", ["marginal", "gram"])
def test_closures_are_not_gradients(name: str) -> None:
    """As their assumptions state: the drift is not minus the gradient of the closed prediction's cross-entropy."""
    data = statistics(distribution(8, 5, 4, 0.0))
    y, direction = packed(states_of(data["C"], 1.0)[0]), np.random.default_rng(2).normal(size=data["C"].size)
    losses = [bound(name, data, ("loss", "beta")).evaluate(y + s * direction)["loss"] for s in (1e-5, -1e-5)]
    slope = float(losses[0] - losses[1]) / 2e-5
    assert slope != pytest.approx(-bound(name, data).evaluate(y)["Wdot"].ravel() @ direction, rel=1e-3)


# -- every program ----------------------------------------------------------------------------------------------------


def values_for(program: Program, rng: np.random.Generator) -> tuple[Values, dict[str, float], dict[str, int]]:
    """Random states and data of the right shapes, parameters, and sizes."""
    # Rows have at most 4 entries: positions, which ragged indices walk, must be as many.
    sizes = {size.name: int(rng.integers(4, 7)) for size in extent_symbols(program)}
    ragged = {index: e for index, e in program.extents.items() if isinstance(e, Indexed)}
    values: Values = {}

    def shape(access: Expr) -> tuple[int, ...]:
        axes: list[int] = []
        for index in subscript(access):
            if index in ragged:
                axes[-1] = int(values[name_of(ragged[index])].sum())
            else:
                axes.append(sizes[str(program.extents[index])])
        return tuple(axes)

    lengths = {name_of(e) for e in ragged.values()}
    for access in sorted((*program.data, *program.states), key=lambda a: name_of(a) not in lengths):
        name = name_of(access)
        if name in lengths:
            values[name] = rng.integers(1, 5, shape(access))
        elif access.is_integer:
            values[name] = rng.integers(0, min(sizes[str(e)] for e in looked_up(program, name)), shape(access))
        elif access in program.states:
            values[name] = rng.normal(size=shape(access))
        else:
            values[name] = rng.uniform(0.1, 1.0, shape(access))
    return values, {p.name: float(rng.uniform(1, 2)) for p in program.parameters}, sizes


def looked_up(program: Program, table: str) -> set[Expr]:
    """The extents of what an integer table is a subscript of."""
    found = set()
    for d in program.definitions:
        for access in (d.lhs, *accesses(d.rhs)):
            declared = subscript(program.declarations[name_of(access)])
            for own, sub in zip(declared, subscript(access), strict=True):
                if isinstance(sub, Indexed) and name_of(sub) == table:
                    found.add(program.extents[own])
    return found or {Symbol(next(iter(extent_symbols(program))).name)}


@pytest.mark.parametrize("name", catalogue.names())
def test_compiled_code_is_the_plain_loops(name: str) -> None:
    """Flow and observables of every program, against its equations in nested Python loops."""
    program = catalogue.program(name)
    space: dict = {}
    exec(plain_python(program), space)
    plain = space[name.replace("-", "_")]
    seen = tuple(tensor for tensor in SEEN if tensor in program.declarations)
    for seed in range(3):
        values, parameters, sizes = values_for(program, np.random.default_rng(seed))
        wanted = plain.__code__.co_varnames[: plain.__code__.co_argcount]
        expected = plain(**{k: v for k, v in (values | parameters | sizes).items() if k in wanted})
        y = packed(*(values[state] for state in program.state_names))
        # A derivative may be a difference of adjoints that cancel: what counts is their size.
        adjoints = [value for tensor, value in expected.items() if tensor.endswith("bar")]
        size = max((float(np.abs(value).max(initial=0)) for value in adjoints), default=None)
        for outputs in (None, seen):
            if outputs is None and not program.flow:
                continue
            found = kernel(name, outputs).bind(values, {**parameters, **sizes}).evaluate(y)
            for tensor, value in found.items():
                close(value, expected[tensor], size if outputs is None else None)
