"""Array code of programs against their equations in plain Python."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numba import njit
from oracles.random_programs import naive, random_data, random_program

from derivations import registry as catalogue
from derivations.checks.small_data import as_function, random_values
from derivations.gradient_flow.optimisers import adam
from derivations.program.program import Program
from dynamics.lowering.arrays import array_kernel, fused
from dynamics.lowering.arrays.by_owner import SINGLE
from dynamics.lowering.arrays.emit import needed
from dynamics.lowering.arrays.ragged import Ragged, add_at
from dynamics.support.errors import InputError


def defined(program: Program) -> tuple[str, ...]:
    return tuple(dict.fromkeys(d.name for d in program.definitions))


@pytest.mark.parametrize("name", catalogue.names())
def test_every_program_computes_what_its_equations_say(name: str) -> None:
    program = catalogue.program(name)
    wide, narrow = (array_kernel(program, defined(program), dtype) for dtype in ("float64", "float32"))
    compared = 0
    for seed in range(4):
        values = random_values(program, seed)
        try:
            expected = as_function(program)(**values)
        except (ArithmeticError, ValueError):
            continue  # outside of its domain
        for kernel, tolerance in ((wide, 1e-10), (narrow, 2e-2)):
            found = kernel(**values)
            size = max(float(np.abs(expected[tensor]).max(initial=0)) for tensor in found if tensor.endswith("bar")) \
                if any(tensor.endswith("bar") for tensor in found) else 0.0  # fmt: skip
            for tensor, value in found.items():
                scale = max(float(np.abs(expected[tensor]).max(initial=0)), size)
                assert np.shape(value) == np.shape(expected[tensor])
                np.testing.assert_allclose(value, expected[tensor], rtol=tolerance, atol=tolerance * scale)
                if np.ndim(value) and not catalogue.program(name).declarations[tensor].is_integer:
                    assert value.dtype == kernel.dtype, tensor
        compared += 1
    assert compared


@pytest.mark.parametrize("seed", range(120))
def test_random_programs_compute_what_their_equations_say(seed: int) -> None:
    """Gathers, diagonals, scatters, empty rows, weights of zero."""
    program = random_program(seed)
    rng = random.Random(seed)
    inputs, outputs, examples = (rng.randint(1, most) for most in (5, 4, 6))
    data, y = random_data(seed, inputs, outputs, examples)
    expected = naive(program, data, y, 0.7)
    wanted = tuple(rng.sample(defined(program), rng.randint(1, len(defined(program)))))
    states = {"W": y[: inputs * outputs].reshape(inputs, outputs), "s": y[inputs * outputs :]}
    found = array_kernel(program, wanted)(**states, **data, g=0.7)
    for name in wanted:
        finite = np.isfinite(expected[name])
        assert np.shape(found[name]) == finite.shape
        size = np.abs(expected[name][finite]).max(initial=1)
        np.testing.assert_allclose(
            np.asarray(found[name])[finite], expected[name][finite], rtol=1e-9, atol=1e-9 * size, err_msg=name
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_loops_over_examples_compute_what_arrays_do(dtype: str, tolerance: float) -> None:
    """A row model with its gradient: attention, normalisations, and examples of different lengths."""
    program = catalogue.program("rows-prefix")
    wanted = (*(program.adjoints[name] for name in program.state_names), "alpha", "surprisal")
    looped = array_kernel(program, wanted, dtype, looped=True)
    assert looped.source.count("loop_") > 2
    for seed in range(3):
        values = random_values(program, seed)
        expected = array_kernel(program, wanted)(**values)
        for name, value in looped(**values).items():
            assert value.dtype == dtype
            size = float(np.abs(expected[name]).max(initial=0)) or 1.0
            np.testing.assert_allclose(value, expected[name], rtol=0, atol=tolerance * max(size, 0.1), err_msg=name)


def test_exponentials_in_single_precision_are_right_to_the_last_places() -> None:
    space: dict[str, Any] = {"np": np, "njit": njit}
    exec(SINGLE, space)
    points = np.linspace(-87, 88, 5001).astype(np.float32)
    found = np.array([space["exp"](point) for point in points])
    np.testing.assert_allclose(found, np.exp(points.astype(float)), rtol=2e-7)
    assert space["exp"](np.float32(-1e9)) < 1e-37
    assert np.isnan(space["exp"](np.float32(np.nan)))


def test_what_outputs_do_not_need_is_left_out() -> None:
    program = catalogue.program("rows-prefix")
    names = {d.name for d in needed(program, ("alpha",))}
    assert "query" in names
    assert not names & {"z", "loss", "Ubar"}


def test_rows_are_packed_and_unpacked() -> None:
    rows = Ragged([3, 0, 2])
    flat = np.arange(10.0).reshape(5, 2)
    padded = rows.unpack(flat)
    assert padded.shape == (3, 3, 2)
    assert padded[~rows.mask].sum() == 0
    np.testing.assert_array_equal(rows.pack(padded), flat)
    np.testing.assert_array_equal(rows.fold(flat), padded.sum(1))
    np.testing.assert_array_equal(rows.locate(rows.owner, rows.place), np.arange(5))


def test_entries_that_are_named_twice_get_both() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4))
    at = np.array([0, 2])[:, None], np.array([1, 1, 0])
    expected = np.zeros((3, 2, 4))
    np.add.at(expected, at, values)
    np.testing.assert_allclose(add_at(np.zeros((3, 2, 4)), at, values), expected)
    turned = np.ones((4, 2, 3)).transpose(2, 1, 0)  # no array in C order
    np.testing.assert_allclose(add_at(turned, at, values), expected + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fused_loop_computes_what_arrays_do(dtype: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0.1, 1, 7).astype(dtype) for name in ("theta", "first", "second", "gradient", "moment")}
    numbers = dict(
        zip(("step", "time", "lr", "beta_1", "beta_2", "softening", "batch", "examples"), NUMBERS, strict=True)
    )
    names = ("theta_next", "second_next")
    expected = array_kernel(adam(), names, dtype)(**arrays, **numbers)
    found = fused(adam(), names)(np.dtype(dtype).type, **arrays, **numbers)
    for name in names:
        assert found[name].dtype == dtype
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6 if dtype == "float32" else 1e-14)


NUMBERS = 2.0, 5.0, 0.1, 0.9, 0.99, 1e-3, 4.0, 16.0


def test_what_is_not_elementwise_is_not_fused() -> None:
    with pytest.raises(InputError, match=r"keyword: the definition of M\[n\] is not elementwise in one index"):
        fused(catalogue.program("keyword"), ("M",))
