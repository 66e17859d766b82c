"""Refined grids: all that is near a jump is computed, the rest is interpolated well, and the work grows with length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from dynamics.phase.refinement import TOLERANCE, refined


def disc(n: int, inside: float = np.inf):
    """Smooth outside of a disc, something else within it."""
    y, x = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")
    return np.where((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.09, inside, x + y * y)


def found(truth, levels):
    """The refined grid, each place computed once, and none of an unknown level."""
    calls: list[tuple[int, np.ndarray]] = []

    def compute(level, places):
        calls.append((level, places))
        return truth.ravel()[places]

    value, computed = refined(truth.shape, levels, compute)
    places = np.concatenate([places for _, places in calls])
    assert sorted(places) == np.flatnonzero(computed).tolist()
    assert [level for level, _ in calls] == sorted(level for level, _ in calls)
    assert {level for level, _ in calls} <= set(range(levels + 1))
    np.testing.assert_array_equal(value[computed], truth[computed])
    return value, computed


@pytest.mark.parametrize("inside", [np.inf, -np.inf, np.nan, 5.0])
def test_jump(inside):
    truth = disc(129, inside)
    value, computed = found(truth, 4)
    kind = truth == 5 if inside == 5 else ~np.isfinite(truth)
    boundary = binary_dilation(kind) & binary_dilation(~kind)  # both of its sides
    assert computed[binary_dilation(boundary, np.ones((3, 3)))].all()
    np.testing.assert_array_equal(np.isfinite(value), np.isfinite(truth))
    finite = np.isfinite(truth)
    assert abs(value[finite] - truth[finite]).max() < TOLERANCE
    assert computed.mean() < 0.2


def test_work_grows_with_the_length_of_the_boundary():
    coarse = 8
    counts = [found(disc(n), int(np.log2((n - 1) / coarse)))[1].sum() for n in (129, 257, 513)]
    orders = np.diff(np.log2(counts))
    assert np.all(orders < 1.1)  # an area would have 2
    assert np.all(orders > 0.8)


def test_a_bend_without_a_jump_is_computed_where_interpolation_would_miss_it():
    x = np.linspace(0, 1, 65)
    truth = np.tanh(40 * (x[:, None] - 0.37) + 0 * x)
    value, computed = found(truth, 4)
    assert abs(value - truth).max() < 2 * TOLERANCE
    assert computed[abs(x - 0.37) < 0.03].all()
    assert computed.mean() < 0.7


@given(
    shape=st.tuples(st.integers(2, 40), st.integers(2, 40)), levels=st.integers(0, 6),
    slopes=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)),
)  # fmt: skip
@settings(max_examples=60)
def test_any_shape_is_filled_and_bilinear_functions_are_exact(shape, levels, slopes):
    y, x = np.meshgrid(*(np.arange(n) / 40 for n in shape), indexing="ij")
    truth = slopes[0] * x + slopes[1] * y + slopes[2] * x * y
    value, _ = found(truth, levels)
    np.testing.assert_allclose(value, truth, atol=1e-12)


def test_uneven_last_square_does_not_pass_for_a_bend():
    truth = np.add.outer(np.arange(64.0), np.arange(64.0))  # the last of 0, 8, ..., 56, 63 is nearer
    assert found(truth, 3)[1].sum() == 81


@pytest.mark.parametrize("levels", [0, 3])
def test_no_levels_and_nothing_finite(levels):
    nothing = np.full((17, 9), np.nan)
    value, computed = found(nothing, levels)
    assert np.isnan(value).all()
    assert computed.sum() == (17 * 9 if levels == 0 else 3 * 2)


def test_noise_is_computed():
    truth = np.random.default_rng(0).normal(size=(33, 33))
    assert found(truth, 3)[1].mean() > 0.95
