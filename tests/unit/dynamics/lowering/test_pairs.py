"""The coefficients of pairs are SciPy's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate

from dynamics.lowering.pairs import PAIRS, pair


@pytest.mark.parametrize("name", PAIRS)
def test_the_coefficients_are_those_of_scipy(name: str) -> None:
    own, theirs = pair(name), getattr(scipy.integrate, name)
    assert (own.n_stages, own.error_estimator_order) == (theirs.n_stages, theirs.error_estimator_order)
    for part in ("A", "B", "E", "P") if name != "DOP853" else ("A", "B", "E3", "E5", "D", "A_EXTRA"):
        assert np.asarray(getattr(own, part)).tobytes() == np.asarray(getattr(theirs, part)).tobytes()
