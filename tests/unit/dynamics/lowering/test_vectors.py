"""Short rows in vector registers: the same numbers as loops over them, to the last bit where nothing is summed."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from dynamics.lowering.machine import runtime
from dynamics.lowering.machine.vectors import (
    add_lane,
    add_row,
    exp_row,
    full,
    lane,
    row,
    set_row,
    total,
    vector,
    with_lane,
)

SIZES = [1, 2, 3, 4, 7, 8, 10, 16]


def compiled(size: int):
    """Everything that rows can do, on rows of a size."""

    @njit(error_model="numpy")
    def arithmetic(a, b, number, out):
        for k in range(a.shape[0]):
            x, y = row(a, k * size, size), row(b, k * size, size)
            set_row(out, k * size, (x + y * number) / y - 2 * (number - x) + full(number, size) - -x)

    @njit(error_model="numpy")
    def scatter(a, at, out):
        for k in range(at.size):
            add_row(out, at[k] * size, row(a, k * size, size))

    @njit(error_model="numpy")
    def sums(a, out):
        for k in range(a.shape[0]):
            out[k] = total(row(a, k * size, size) + 1.0)

    @njit(error_model="numpy")
    def lanes(a, at, out):
        for k in range(a.shape[0]):
            x = row(a, k * size, size)
            x = add_lane(x, at[k], lane(x, size - 1))
            set_row(out, k * size, with_lane(x, size - 1 - at[k], 7.0))

    return arithmetic, scatter, sums, lanes


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_loops_over_their_numbers(size: int) -> None:
    rng = np.random.default_rng(size)
    a, b = rng.normal(size=(2, 9, size))
    at = rng.integers(0, size, 9)
    arithmetic, scatter, sums, lanes = compiled(size)
    out = np.empty((9, size))
    arithmetic(a, b, 0.3, out)
    np.testing.assert_allclose(out, (a + b * 0.3) / b - 2 * (0.3 - a) + 0.3 + a, rtol=1e-13, atol=1e-14)

    out, wanted = np.ones((4, size)), np.ones((4, size))
    words = np.array([3, 1, 1, 3, 0, 1])
    scatter(a, words, out)
    np.add.at(wanted, words, a[:6])
    np.testing.assert_allclose(out, wanted, rtol=1e-14)

    found = np.empty(9)
    sums(a, found)
    np.testing.assert_allclose(found, (a + 1).sum(axis=1), rtol=1e-13, atol=1e-14)

    out, wanted = np.empty((9, size)), a.copy()
    lanes(a, at, out)
    wanted[np.arange(9), at] += a[:, -1]
    wanted[np.arange(9), size - 1 - at] = 7
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("size", SIZES)
def test_lanes_beyond_a_row_are_never_stored_nor_summed(size: int) -> None:
    """Between rows stands what is not a number: were it read, sums would show it; were it written, it would be gone."""

    @njit(error_model="numpy")
    def all_of(a, out, sums):
        x = row(a, 0, size) / full(0.5, size)
        set_row(out, 0, x)
        add_row(out, size + 1, x)
        sums[0] = total(x) + total(vector((1.0, 2, 3.5)))

    a, out, sums = np.full(2 * size + 2, np.nan), np.full(2 * size + 2, np.nan), np.empty(1)
    a[:size], out[size + 1 : 2 * size + 1] = 1.0, 5.0
    all_of(a, out, sums)
    np.testing.assert_array_equal(out, [*[2.0] * size, np.nan, *[7.0] * size, np.nan])
    assert sums[0] == 2 * size + 6.5


@pytest.mark.parametrize("size", SIZES)
def test_exp_of_a_row_is_exp_of_its_numbers(size: int) -> None:
    @njit(error_model="numpy")
    def rows(a, out):
        for k in range(a.shape[0]):
            set_row(out, k * size, exp_row(row(a, k * size, size)))

    @njit(error_model="numpy")
    def numbers(a, out):
        for k in range(a.size):
            out.reshape(a.size)[k] = runtime.exp(a.reshape(a.size)[k])

    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 709.782712893384, 709.79, -708.39, -708.4, 1e-300, -1e300]
    a = np.random.default_rng(size).normal(size=(200, size)) * 300
    a.flat[: len(special)] = special
    found, wanted = np.empty_like(a), np.empty_like(a)
    rows(a, found)
    numbers(a, wanted)
    np.testing.assert_array_equal(found, wanted)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found, np.where(a < runtime.TINY, 0, np.exp(a)), rtol=3e-16)


def test_rows_and_other_types_do_not_mix() -> None:
    from numba.core.errors import TypingError

    @njit
    def wrong(a):
        return row(a, 0, 2) + row(a, 0, 3)

    with pytest.raises((TypingError, ValueError)):
        wrong(np.zeros(3))
