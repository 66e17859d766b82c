"""Definitions as they are written: nested, with neighbours, numbers and masks; what a program has in their place."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.checks.differences import against_differences
from derivations.checks.small_data import as_function, random_values
from derivations.gradient_flow import gradient_flow
from derivations.program.program import Program, ProgramError
from dynamics import solve
from dynamics.lowering import lower
from dynamics.lowering.arrays import array_kernel
from dynamics.lowering.verify import Trial
from dynamics.program_file import (
    Definition,
    LogSumExp,
    MaxOver,
    Piecewise,
    Softmax,
    SumOver,
    Where,
    exp,
    indices,
    log,
    model,
    sizes,
    tensors,
)
from dynamics.support.errors import InputError

N, T, V, D = sizes("N T V D")
n, l, p, q, i, j, o, d, k = indices("n l p q i j o d k")
x, y = tensors("x y", integer=True)
A, B, C, W, U, P, R, b, h, z, a, r = tensors("A B C W U P R b h z a r")


def causal() -> Program:
    """Two layers of causal attention; the scores of the second are a sum within its softmax."""
    first = Definition(a[p, l], Softmax(P[p, l], l, mask=l <= p))
    second = Softmax(SumOver(a[p, l] * A[x[n, l], x[n, q]], l), p, mask=p <= q)
    return model(
        extents={n: N, l: T, p: T, q: T, i: V, j: V, o: V},
        data=[x[n, l], y[n, q]],
        states=[P[p, l], A[i, j], W[i, o]],
        definitions=[first, Definition(z[n, q, o], SumOver(second * W[x[n, p], o], p))],
        loss=SumOver(LogSumExp(z[n, q, o], o) - z[n, q, y[n, q]], n, q) / (N * T),
        examples=n,
    )


def neighbours() -> Program:
    """Words before and behind, the last word, numbers as subscripts, and sizes that are numbers and products."""
    before = W[x[n, l - 1], d] * A[x[n, l - 1], x[n, T - 1]]
    return model(
        extents={n: N, l: T, i: V, j: V, o: V, d: 2 * D, k: 3},
        data=[x[n, l], y[n]],
        states=[A[i, j], W[i, d], U[d, k], b[o]],
        definitions=[
            Definition(h[n, l, d], W[x[n, l], d] + before + exp(W[x[n, l], 0]) * SumOver(U[d, k], k)),
            Definition(z[n, o], SumOver(h[n, l, d] * h[n, l + 1, d] * W[o, d], l, d) + b[o] + SumOver(U[d, 2] ** 2, d)),
        ],
        loss=SumOver(LogSumExp(z[n, o], o) - z[n, y[n]], n) / N,
        examples=n,
    )


def relative() -> Program:
    """Biases of distances, with rows of different lengths and a mask that a Piecewise gives."""
    (length,) = tensors("length", integer=True)
    return model(
        extents={n: N, l: length[n], p: length[n], q: T},
        data=[length[n], r[n, l], B[n]],
        states=[R[q], b[q]],
        definitions=[
            Definition(a[n, p, l], Softmax(r[n, l] * r[n, p] + R[p - l], l, mask=(l <= p) & (p - l < T))),
            Definition(h[n, p], SumOver(a[n, p, l] * r[n, l], l) + Piecewise((r[n, p - 1] * b[p], p > 0), (3, True))),
            Definition(z[n], log(1 + SumOver(h[n, l] ** 2, l))),
        ],
        loss=SumOver((z[n] - B[n]) ** 2, n),
    )


def tables_of_tables() -> Program:
    """What a table points at is a table; masks by whole numbers."""
    (at,) = tensors("at", integer=True)
    return model(
        extents={n: N, l: T, i: V, d: D},
        data=[x[n, l], at[n, l], y[n]],
        states=[W[i, d], U[i, d]],
        definitions=[
            Definition(h[n, d], SumOver(W[x[n, at[n, l]], d] * U[x[n, l], d], l, mask=x[n, l] > 0)),
            Definition(z[n], SumOver(h[n, d] * Where(h[n, d], n >= 1) * U[y[n], d], d)),
        ],
        loss=SumOver((z[n] - 1) ** 2, n),
    )


PROGRAMS = {f.__name__: f for f in (causal, neighbours, relative, tables_of_tables)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_flow_is_the_slope_of_the_loss_however_it_is_read(name: str):
    flow = gradient_flow(PROGRAMS[name]())
    assert flow.loss is not None
    assert against_differences(flow).passed
    outputs = (*flow.flow.values(), flow.loss.name)
    plain = as_function(flow)
    small = {"N": 3, "T": 4, "V": 4, "D": 2}
    for constants, parallel in (({}, False), ({}, True), (small, False)):
        kernel = lower(flow, outputs, parallel=parallel, constants=constants)
        assert Trial(flow, (kernel,), plain).verdict() == ""
    if name != "relative":  # whose rows have two indices of one length
        values = random_values(flow, 1)
        wanted, found = plain(**values), array_kernel(flow, outputs)(**values)
        for output in outputs:
            np.testing.assert_allclose(found[output], wanted[output], rtol=1e-10, atol=1e-12)


def test_loops_run_over_the_triangle_alone():
    source = lower(gradient_flow(causal())).source
    body = source[source.index("def kernel") :]
    squares = [k for k, line in enumerate(body.splitlines()) if "range(T)" in line]
    assert "for l in range(p + 1):" in body
    assert "for p in range(q + 1):" in body  # rows of places lie one after the other
    # What is multiplied runs over triangles: no product of two tensors within squares of places.
    lines = body.splitlines()
    for outer, inner in (("p", "q"), ("q", "p")):
        inside = [
            k
            for k in squares
            if lines[k].strip() == f"for {inner} in range(T):" and lines[k - 1].strip().startswith(f"for {outer} ")
        ]
        assert all("*" not in lines[k + 1] for k in inside)


def test_a_mask_leaves_out_whatever_is_there():
    """Scores of 1e3 and more beyond the mask change nothing, and shares are those of the rest."""
    program = model(
        extents={p: T, l: T},
        data=[B[l]],
        states=[P[p, l]],
        definitions=[Definition(a[p, l], Softmax(P[p, l], l, mask=l <= p))],
        loss=SumOver(a[p, l] * B[l], p, l),
    )
    flow = gradient_flow(program)
    scores = np.array([[1e3, 1e6, -1e6], [1e3, 1e3 + 1, 1e6], [-1e3, 0.0, 1e3]])
    values, numbers = np.array([1.0, 2.0, 4.0]), {"T": 3, "eta_P": 1.0}
    found = lower(flow, ("a", "Pdot")).bind({"B": values}, numbers).evaluate(scores.ravel())
    share = 1 / (1 + np.exp(1))
    np.testing.assert_allclose(found["a"], [[1, 0, 0], [share, 1 - share, 0], [0, 0, 1]], atol=1e-15)
    slope = share * (1 - share)
    np.testing.assert_allclose(found["Pdot"], [[0, 0, 0], [slope, -slope, 0], [0, 0, 0]], atol=1e-15)


def test_a_program_written_out_is_left_as_it_is():
    given = [
        Definition(z[n, o], SumOver(W[i, o] * B[n], i)),
        Definition(h[n], LogSumExp(z[n, o], o)),
        Definition(r[n], exp(z[n, y[n]] - h[n]) + Piecewise((h[n], h[n] > 0), (0, True))),
    ]
    program = model(
        extents={n: N, i: V, o: V}, data=[y[n], B[n]], states=[W[i, o]], definitions=given, loss=SumOver(r[n], n)
    )
    assert program.definitions[:3] == tuple(given)


REFUSED = {
    "computed": (SumOver(h[n, l * p], l, p), "subscript l*p of h[n, l*p] must be an index"),
    "beyond": (h[n, T], "there is no entry h[n, T]"),
    "below": (h[n, l - T - 1], "there is no entry h[n, -T + l - 1]"),
    "score of a neighbour": (LogSumExp(h[n, l - 1], l), "LogSumExp over l reads beyond a tensor where not l >= 1"),
    "condition on a neighbour": (Piecewise((1, x[n, l - 1] > 0), (0, True)), "reads x[n, l - 1] where there may be no"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_be_out_of_range_is_refused_by_name(case: str):
    rhs, told = REFUSED[case]
    rhs = rhs if isinstance(rhs, (LogSumExp, SumOver)) else SumOver(rhs, l)
    with pytest.raises(ProgramError) as error:
        model(
            extents={n: N, l: T, p: T, i: V, d: D},
            data=[x[n, l], h[n, l]],
            states=[W[i, d]],
            definitions=[Definition(z[n], rhs)],
            loss=SumOver(z[n], n),
        )
    assert str(error.value).startswith("definition of z[n]: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_the_largest_within_a_mask():
    program = model(
        extents={p: T, l: T},
        data=[B[l]],
        states=[b[l]],
        definitions=[Definition(C[p], MaxOver(B[l], l, mask=l < p)), Definition(z[p], C[p] * b[p])],
        flow={"b": "z"},
    )
    values = np.array([3.0, 5.0, 4.0, 9.0])
    found = lower(program, ("C",)).bind({"B": values}, {"T": 4}).evaluate(np.zeros(4))["C"]
    np.testing.assert_array_equal(found, [-np.inf, 3, 5, 5])


EMPTY = {
    "first": (l < p, "row p = 0 is empty, as no l has l < p"),
    "by words": ((x[n, l] > 0) & (l <= p), "row n = 1, p = 0 is empty, as no l has"),
}


@pytest.mark.parametrize("case", EMPTY)
def test_an_empty_row_is_said_by_name(case: str):
    mask, told = EMPTY[case]
    program = model(
        extents={n: N, p: T, l: T},
        data=[x[n, l]],
        states=[P[p, l]],
        definitions=[Definition(a[n, p, l], Softmax(P[p, l] * (1 + x[n, l]), l, mask=mask))],
        loss=SumOver(a[n, p, l] ** 2, n, p, l),
    )
    with pytest.raises(InputError) as error:
        solve(program, {"x": np.array([[1, 2, 0], [0, 0, 1]])}, [0, 1])
    assert str(error.value).startswith(f"definition of a[n, p, l]: {told}")
