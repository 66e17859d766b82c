"""Second moments of gradients against loops over examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from derivations.checks.differences import gradient
from derivations.checks.small_data import Values, as_function, random_values
from derivations.gradient_flow import second_moments
from derivations.program.access import name_of, subscript
from derivations.program.language import indices, tensors
from derivations.program.program import Program, ProgramError
from derivations.registry import program

n, t, o = indices("n t o")
(q,) = tensors("q")


def alone(flow: Program, values: Values, example: int) -> Values:
    """The values with one example n only."""
    lengths = {
        name_of(extent): np.asarray(values[name_of(extent)])
        for extent in flow.extents.values()
        if name_of(extent) in values and subscript(extent)
    }
    found = dict(values)
    for access in flow.data:
        subs = subscript(access)
        if not subs or subs[0] != n:
            continue
        if len(subs) == 1:
            found[name_of(access)] = values[name_of(access)][example : example + 1]
        else:
            own = lengths[name_of(flow.extents[subs[1]])]
            start = int(own[:example].sum())
            found[name_of(access)] = values[name_of(access)][start : start + int(own[example])]
    if "N" in found:
        found["N"] = 1
    return found


@pytest.mark.parametrize(
    "name",
    ["keyword", "keyword-bias", "lexical", "positional", "topic-TC", "rows-prefix", "rows-recurrent", "rows-mean"],
)
def test_squares_by_example_are_those_of_a_loop_over_examples(name: str) -> None:
    """The gradient of each example alone by finite differences of its loss, squared, summed."""
    flow = program(name)
    squares = second_moments(flow, by=(n,))
    for seed in range(2):
        values = random_values(flow, seed)
        found = as_function(squares)(**values)
        count = len(values["length"])
        rows = values.get("targets")
        for state in flow.state_names:
            expected: Any = 0.0
            for example in range(count):
                # A mean over rows gives a sentence its share of rows; in the row model, one of all sentences.
                of_rows = rows is not None and not name.startswith("rows")
                share = rows[example] / rows.sum() if of_rows else 1 / count
                expected += (share * slopes(flow, alone(flow, values, example))[state]) ** 2
            np.testing.assert_allclose(
                found[squares.moments[state]], expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max(initial=1e-3)
            )


def slopes(flow: Program, values: Values) -> Values:
    """The gradient by the flow's own equations, which are checked against finite differences elsewhere."""
    rates = dict.fromkeys(flow.rates.values(), 1.0)
    found = as_function(flow)(**{**values, **rates})
    return {state: -found[rate] for state, rate in flow.flow.items()}


def test_the_loop_over_examples_is_one_of_finite_differences() -> None:
    flow = program("keyword")
    values = alone(flow, random_values(flow, 1), 0)
    exact, differences = slopes(flow, values), gradient(flow, values)
    for state in flow.state_names:
        np.testing.assert_allclose(exact[state], differences[state], atol=1e-9)


def test_examples_have_shares() -> None:
    """In the joint closure example o has the share q[o]: squares of the gradients of single targets, averaged."""
    flow = program("joint")
    squares = second_moments(flow, by=(o,), share=q[o])
    values = random_values(flow, 3)
    values["q"] = values["q"] / values["q"].sum()
    found = as_function(squares)(**values)
    expected: dict[str, Any] = {"W": 0.0, "A": 0.0}
    for target, share in enumerate(values["q"]):
        only = {**values, "q": np.eye(len(values["q"]))[target]}
        for state, slope in slopes(flow, only).items():
            expected[state] = expected[state] + share * slope**2
    for state in ("W", "A"):
        np.testing.assert_allclose(found[squares.moments[state]], expected[state], rtol=1e-10)


def test_squares_by_term_are_those_of_places_and_rows() -> None:
    flow = program("rows-recurrent")
    squares = second_moments(flow)
    values = random_values(flow, 2)
    found = as_function(squares)(**values)
    owner = np.repeat(np.arange(len(values["length"])), values["length"])
    place = np.concatenate([np.arange(length) for length in values["length"]])
    expected = {name: np.zeros_like(values[name]) for name in ("E", "F", "Y", "H", "left")}
    np.add.at(expected["E"], values["x"], found["keybar"] ** 2)
    np.add.at(expected["F"], place, found["keybar"] ** 2)
    np.add.at(expected["Y"], values["last"], found["statebar"] ** 2)
    np.add.at(expected["H"], values["past"], found["earlierbar"] ** 2)
    for k, row in enumerate(owner):  # a word is the left neighbour of the one behind it
        if k + 1 < len(owner) and owner[k + 1] == row:
            expected["left"][values["x"][k]] += found["keybar"][k + 1] ** 2
    expected["U"] = sum(np.outer(z, f) ** 2 for z, f in zip(found["zbar"], found["f"], strict=True))
    expected["b"] = (found["zbar"] ** 2).sum(0)
    for name, value in expected.items():
        np.testing.assert_allclose(found[squares.moments[name]], value, rtol=1e-12)


def test_by_term_and_by_example_agree_where_nothing_repeats() -> None:
    flow = program("lexical")
    values = {
        "length": [2, 3], "x": [0, 1, 0, 1, 2], "targets": [1, 1], "y": [0, 1],
        "W": np.random.default_rng(0).normal(size=(3, 2)), "A": np.random.default_rng(1).normal(size=(3, 2)),
        "eta_W": 1.0, "eta_A": 1.0,
    }  # fmt: skip
    by_term, *others = (as_function(second_moments(flow, by=by))(**values) for by in ((), (n,), (n, t)))
    for found in others:
        np.testing.assert_allclose(found["W_moment"], by_term["W_moment"])
        np.testing.assert_allclose(found["A_moment"], by_term["A_moment"])


def test_what_has_no_second_moments_says_so() -> None:
    with pytest.raises(ProgramError, match="need the gradient flow of a loss"):
        second_moments(program("linear").model or program("linear"))
    with pytest.raises(ProgramError, match="has second moments already"):
        second_moments(second_moments(program("keyword")))
    with pytest.raises(ProgramError, match="has no index n; take the second moment by terms"):
        second_moments(program("topic-TL-keys"), by=(n,))
    with pytest.raises(ProgramError, match="no index t tells its examples apart"):
        second_moments(program("keyword"), by=(t,))
