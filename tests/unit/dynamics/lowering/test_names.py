"""Any legal name works: what is derived, lowered and solved does not depend on what things are called."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracles.random_programs import Interpreted, naive, random_data, random_program
from oracles.renaming import NAMES, renamed, shuffled
from sympy import Symbol

import dynamics
from derivations.checks.small_data import as_function, moving_point
from derivations.gradient_flow import descent_flow, gradient_flow
from derivations.program.access import name_of
from derivations.program.identifiers import spelled
from derivations.program.program import Program, names_of
from derivations.report.document import derivation
from dynamics.lowering import lower
from dynamics.lowering.cells.cell_loop import kernel
from dynamics.program_file import Definition, SumOver, exp, indices, model, scalars, sizes, tensors

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


@cache
def written(path: Path) -> Program:
    """The program of a file, before its flow is derived."""
    space: dict = {"__name__": path.stem}
    exec(compile(path.read_bytes(), str(path), "exec"), space)
    return space["program"]


def flow_of(program: Program) -> Program:
    return program if program.flow else gradient_flow(program)


@cache
def at_a_point(path: Path) -> tuple[dict, dict]:
    """Values for a program, and its flow and loss there by its plain reading."""
    flow = flow_of(written(path))
    values = moving_point(flow)
    return values, as_function(flow)(**values)


def under(names: dict[str, str], one: Program, other: Program, values: dict) -> dict:
    """The values of a flow for its renamed copy, whose learning rates have names of their own."""
    new = names | {rate: other.rates[names[state]] for state, rate in one.rates.items()}
    return {new[name]: value for name, value in values.items()}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
@settings(max_examples=3, phases=(Phase.generate,))
@given(seed=st.integers(0, 2**32))
def test_numbers_do_not_depend_on_names(path: Path, seed: int) -> None:
    names = shuffled(written(path), random.Random(seed))
    one, other = flow_of(written(path)), flow_of(renamed(written(path), names))
    values, expected = at_a_point(path)
    given = under(names, one, other, values)
    plain = as_function(other)(**given)
    outputs = (*other.flow.values(), name_of(other.loss))
    data = {name_of(a): np.asarray(given[name_of(a)]) for a in other.data}
    y = np.concatenate([np.ravel(given[name]) for name in other.state_names])
    found = Interpreted(lower(other, outputs))(data, y, **sized(other, given))
    for state, rate in one.flow.items():
        for results in (plain, found):
            np.testing.assert_allclose(
                np.ravel(results[other.flow[names[state]]]), np.ravel(expected[rate]), rtol=1e-9, atol=1e-12
            )
    np.testing.assert_allclose(found[name_of(other.loss)], expected[name_of(one.loss)], rtol=1e-11)


@settings(max_examples=15, phases=(Phase.generate,))
@given(seed=st.integers(0, 2**32), streamed=st.booleans(), parallel=st.booleans())
def test_random_programs_under_any_names(seed: int, streamed: bool, parallel: bool) -> None:
    program = random_program(seed, streamed, rich=True)
    names = shuffled(program, random.Random(seed))
    outputs = tuple(dict.fromkeys(d.name for d in program.definitions if not ragged(program, d.name)))
    data, y = random_data(seed, 4, 3, 5, rich=True)
    expected = naive(program, data, y, g=0.7)
    lowered = lower(renamed(program, names), [names[name] for name in outputs], parallel=parallel)
    given = {names[name]: value for name, value in data.items()}
    found = Interpreted(lowered)(given, y, **{names["g"]: 0.7, names["V"]: 4, names["K"]: 3, names["N"]: 5})
    for name in outputs:
        told = np.isfinite(expected[name])  # what is not may be 0 in one reading: weights mask
        largest = np.abs(expected[name], where=told, out=np.zeros(told.shape)).max(initial=1.0)
        one, other = (np.where(told, numbers, 0) for numbers in (found[names[name]], expected[name]))
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10 * largest, err_msg=name)


def ragged(program: Program, name: str) -> bool:
    return any(str(index) == "l" for index in getattr(program.declarations[name], "indices", ()))


def sized(program: Program, values: dict) -> dict[str, float]:
    """Sizes and parameters of a program, from the shapes of its values."""
    found = {name: value for name, value in values.items() if np.ndim(value) == 0}
    for access in (*program.states, *program.data):
        for n, index in zip(np.shape(values[name_of(access)]), getattr(access, "indices", ()), strict=True):
            found.setdefault(program.extents[index].name, n)
    return found


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_any_names_are_derived_and_typeset(path: Path) -> None:
    copy = flow_of(renamed(written(path), shuffled(written(path), random.Random(len(path.stem)))))
    assert copy.title in derivation(copy).text()
    assert len(names_of(copy)) == len(set(names_of(copy)))


@pytest.mark.parametrize("path", [p for p in PROGRAMS if p.stem in ("max_margin", "scan_snap_population")], ids=str)
def test_any_names_are_solved(path: Path) -> None:
    names = shuffled(written(path), random.Random(7))
    one, other = flow_of(written(path)), flow_of(renamed(written(path), names))
    values, _ = at_a_point(path)
    given = under(names, one, other, values)
    solved = []
    for flow, numbers in ((one, values), (other, given)):
        start = {name: numbers[name] for name in flow.state_names}
        data = {name_of(a): numbers[name_of(a)] for a in flow.data}
        size = {s.name: sized(flow, numbers)[s.name] for s in flow.extents.values() if isinstance(s, Symbol)}
        free = {
            name: n for name, n in size.items() if not any(name == e.name for a in flow.data for e in extents(flow, a))
        }
        solved.append(dynamics.solve(flow, data, [0, 1, 5], initial=start, values=free, rtol=1e-8))
    for name in one.state_names:
        np.testing.assert_allclose(solved[1][names[name]].values, solved[0][name].values, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(solved[1].loss.values, solved[0].loss.values, rtol=1e-6)


def extents(program: Program, access) -> list[Symbol]:
    return [e for e in (program.extents[index] for index in access.indices) if isinstance(e, Symbol)]


def test_different_names_are_spelled_differently() -> None:
    assert len({spelled(name) for name in NAMES}) == len(NAMES)
    assert all(spelled(name).isidentifier() for name in NAMES)


@given(st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=6))
def test_spelling_keeps_names_apart(one: str, other: str) -> None:
    assert spelled(one).isidentifier()
    assert (spelled(one) == spelled(other)) == (one == other)


# -- names that derivations make up ------------------------------------------------------------------------------------


def ridge(state: str, others: str) -> Program:
    """A scalar state, and definitions whose names a derivation would like to have."""
    (w,), taken = scalars(state), scalars(others)
    chain = [Definition(name, w * (k + 2)) for k, name in enumerate(taken)]
    return model(states=[w], definitions=chain, loss=sum((name - 1) ** 2 for name in taken))


@pytest.mark.parametrize("second", [False, True])
def test_adjoints_rates_and_lengths_get_names_that_are_free(second: bool) -> None:
    program = ridge("w", "wbar wdot eta_w square_w loss_modified lr what wbarhat w_bar")
    flow = (descent_flow if second else gradient_flow)(program)
    names = [d.name for d in flow.definitions if not d.accumulate]
    assert len(set(names)) == len(names)
    rate, step = flow.rates["w"], flow.step
    assert rate not in program.declarations
    assert {p.name for p in flow.parameters} == {rate, *([step] if second else [])}
    values = {"w": 0.3, rate: 2.0} | ({step: 0.0} if second else {})
    slope = sum(2 * (k + 2) * ((k + 2) * 0.3 - 1) for k in range(9))
    bound = lower(flow).bind({}, values)
    assert bound.evaluate(np.array([0.3]))[flow.flow["w"]] == pytest.approx(-2 * slope, rel=1e-13)


def test_what_carries_the_loss_back_is_recorded() -> None:
    (V,), (i,), (w, z, zbar) = sizes("V"), indices("i"), tensors("w z zbar")
    flow = gradient_flow(
        model(extents={i: V}, states=[w[i]], loss=SumOver(zbar[i] ** 2, i),
              definitions=[Definition(z[i], exp(w[i]) + w[i]), Definition(zbar[i], z[i] ** 2 - z[i])])
    )  # fmt: skip
    assert flow.adjoints["z"] == "z_bar"
    assert flow.adjoints["zbar"] == "zbarbar"


def test_an_index_that_is_added_is_new() -> None:
    (V,), (i,), (w, h) = sizes("V"), indices("i"), tensors("w h")
    (i_,) = scalars("i_")
    flow = gradient_flow(
        model(extents={i: V}, states=[w[i]], parameters=[i_], definitions=[Definition(h[i], w[i] * w[0] * i_)],
              loss=SumOver(h[i] ** 2, i))
    )  # fmt: skip
    out = lower(flow).bind({}, {"V": 3, "i_": 2.0, "eta_w": 1.0}).evaluate(np.array([1.0, 2.0, 3.0]))["wdot"]
    np.testing.assert_allclose(out, [-8 * (2 + 4 + 9), -8 * 2, -8 * 3])


def test_a_parameter_called_like_a_constant_of_lanes() -> None:
    (a, first, adot) = scalars("a _0 adot")
    program = Program("decay", "", "", {}, (), (a,), (Definition(adot, -a * exp(first)),), (first,), flow={"a": "adot"})
    assert callable(kernel(program, "RK45", (), ()))
