"""Pairs of words that are looked up: copied once for each example, to the order of the loops that read them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from derivations.checks.small_data import plain_flow
from derivations.program.access import Access
from derivations.program.language import LogSumExp, Softmax, SumOver, Where, indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.lowering import lower
from dynamics.lowering.passes.looked_up import collected
from dynamics.lowering.passes.loops import loop_order
from dynamics.lowering.passes.statements import statements_of
from dynamics.problems.kinds.arrays import flow_of
from dynamics.program_file import model

n, l, p, q, i, j, k, o = indices("n l p q i j k o")
N, T, V = scalars("N T V", integer=True, positive=True)
x, y, length = tensors("x y length", integer=True)
P, A, W, a1, s, a2, z, b = tensors("P A W a1 s a2 z b")


def pairs(masked: bool) -> Program:
    """Two layers of attention: places, then pairs of words."""
    before, behind = ({"mask": l <= p}, {"mask": p <= q}) if masked else ({}, {})
    program = model(
        "Pairs",
        extents={n: N, l: T, p: T, q: T, i: V, j: V, o: V},
        data=[x[n, l], y[n, q]],
        states=[P[p, l], A[i, j], W[i, o]],
        definitions=[
            Definition(a1[p, l], Softmax(P[p, l], l, **before)),
            Definition(s[n, q, p], SumOver(a1[p, l] * A[x[n, l], x[n, q]], l)),
            Definition(a2[n, q, p], Softmax(s[n, q, p], p, **behind)),
            Definition(z[n, q, o], SumOver(a2[n, q, p] * W[x[n, p], o], p)),
        ],
        loss=SumOver((LogSumExp(z[n, q, o], o) - z[n, q, y[n, q]]) / (N * T), n, q),
        examples=n,
    )
    return flow_of(program)


def copies(program: Program) -> list[str]:
    return [str(s) for s in collected(statements_of(program, program.flow.values()), program) if "_at" in str(s)]


def test_words_are_looked_up_once_for_each_pair_of_places() -> None:
    found = copies(pairs(masked=True))
    assert found == [
        "A_at[n, q, l] = A[x[n, l], x[n, q]]",
        "s[n, q, p] += A_at[n, q, l]*a1[p, l] if l <= p",
        "A_at_[n, q, l] = A[x[n, l], x[n, q]]",
        "a1bar[p, l] += A_at_[n, q, l]*sbar[n, q, p] if l <= p",
        "Abar_at[n, q, l] = 0",
        "Abar_at[n, q, l] += a1[p, l]*sbar[n, q, p] if l <= p",
        "Abar[x[n, l], x[n, q]] += Abar_at[n, q, l]",
    ]


def random_numbers(t: int, examples: int = 3, words: int = 4) -> dict[str, np.ndarray | int | float]:
    random = np.random.default_rng(t)
    return {
        "x": random.integers(0, words, (examples, t)),  # words occur again
        "y": random.integers(0, words, (examples, t)),
        "P": random.normal(size=(t, t)), "A": random.normal(size=(words, words)),
        "W": random.normal(size=(words, words)), "N": examples, "T": t, "V": words,
        **{f"eta_{state}": rate for state, rate in (("P", 0.5), ("A", 2.0), ("W", 1.0))},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("t", "masked", "parallel", "sizes"),
    [
        *((t, True, False, {}) for t in (1, 4, 9)),
        *((t, False, True, {}) for t in (1, 4, 9)),
        (4, True, False, {"T": 4, "V": 4, "N": 3}),
    ],
)
def test_flows_are_what_plain_loops_say(t: int, masked: bool, parallel: bool, sizes: dict[str, int]) -> None:
    program, values = pairs(masked), random_numbers(t)
    kernel = lower(program, parallel=parallel, constants=sizes)
    assert "A_at" in kernel.source
    states = ("P", "A", "W")
    bound = kernel.bind(
        {name: values[name] for name in ("x", "y")},
        {k: v for k, v in values.items() if k not in (*states, "x", "y")},  # type: ignore[misc]
    )
    found = bound.evaluate(np.concatenate([np.ravel(values[name]) for name in states]))
    plain = plain_flow(program, values)
    for name in program.flow.values():
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-12, atol=1e-14, err_msg=name)


def test_the_copy_lives_within_an_example() -> None:
    kernel = lower(pairs(masked=True))
    assert re.search(r"A_at_local = .*reshape\(\(T, T\)\)", kernel.source)
    assert all("N" not in array.shape for array in kernel.code.workspace)


def alone(value: Access, *over: Access, examples: Access | None = n) -> Program:
    """The sum of some terms for each place p."""
    return Program(
        name="alone",
        title="",
        source="",
        extents={n: N, l: T, p: T, q: T, i: V, j: V},
        data=(x[n, l],),
        states=(A[i, j], b[p, q]),
        parameters=(),
        flow={},
        examples=examples,
        definitions=(Definition(s[n, p], SumOver(value, *over)),),
    )


@pytest.mark.parametrize(
    ("program", "number"),
    [
        (alone(A[x[n, p], x[n, q]] * b[p, q], q), 0),  # each pair once
        (alone(A[x[n, l], x[n, q]] * b[p, q], q, l), 1),
        (alone(A[i, x[n, q]] * b[p, q], q, i), 1),
        (alone(A[x[n, l], j] * b[p, q], q, l, j), 0),  # a row
        (alone(A[x[n, l], x[n, q]] * A[x[n, q], x[n, l]] * b[p, q], q, l), 2),
        (alone(Where(A[x[n, l], x[n, q]] * b[p, q], l <= p), q, l), 1),
        (alone(Where(A[x[n, l], x[n, q]] * b[p, q], x[n, l] > 0), q, l), 0),  # perhaps there is no word
        (alone(A[x[n, l], x[n, q]] * b[p, q], q, l, examples=None), 0),
    ],
)
def test_what_is_read_once_or_by_rows_is_not_copied(program: Program, number: int) -> None:
    found = collected(statements_of(program, ["s"]), program)
    assert sum("_at" in str(statement.target) for statement in found) == number


def test_the_innermost_loop_walks_along_rows() -> None:
    """Loops over examples are outermost; of the others that order is taken in which last subscripts move fastest."""
    program = pairs(masked=True)
    orders = {
        str(s): loop_order(s, program)
        for s in collected(statements_of(program, program.flow.values()), program)
        if n in s.space
    }
    assert {order[0] for order in orders.values()} == {n}
    assert orders["s[n, q, p] += A_at[n, q, l]*a1[p, l] if l <= p"] == (n, q, p, l)
    assert next(order for s, order in orders.items() if s.startswith("z[n, q, o] +=")) == (n, q, p, o)


def test_rows_of_their_own_lengths_keep_the_order_of_the_extents() -> None:
    u, v, w = tensors("u v w")
    program = Program(
        name="ragged", title="", source="", extents={n: N, l: length[n], j: V, k: V}, data=(length[n], x[n, l]),
        states=(u[k, j],), parameters=(), flow={}, examples=n, definitions=(
            Definition(v[n, j], SumOver(u[x[n, l], j], l)), Definition(w[n, k], SumOver(u[k, j] * v[n, j], j)),
        ),
    )  # fmt: skip
    orders = {str(s): loop_order(s, program) for s in statements_of(program, ["w"])}
    assert orders["w[n, k] += u[k, j]*v[n, j]"] == (n, j, k)
    even = replace(program, extents={n: N, l: T, j: V, k: V}, data=(x[n, l],))
    assert {str(s): loop_order(s, even) for s in statements_of(even, ["w"])}["w[n, k] += u[k, j]*v[n, j]"] == (n, k, j)
