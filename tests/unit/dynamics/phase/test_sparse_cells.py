"""Sparse Boolean functions through the machinery of phase diagrams."""

from __future__ import annotations

import numpy as np
import pytest

from dynamics import InputError, phase_diagram
from dynamics.phase.quantity import Quantity, Simulation
from dynamics.problems.predictions.sparse import lead_probability
from dynamics.tasks import SparseBoolean
from dynamics.train.sparse import learning_probability

EXACT = Quantity("learnt", "exact")
AXES = {"m": [12, 40], "T": [20, 60]}


def test_theory_is_the_probability_that_the_true_bits_lead() -> None:
    found = phase_diagram("majority", AXES, EXACT, fixed={"noise": 0.1}).value.values
    by_hand = [[lead_probability(SparseBoolean("majority", T, 3, 0.1), m) for T in AXES["T"]] for m in AXES["m"]]
    np.testing.assert_array_equal(found, by_hand)
    assert (np.diff(found, axis=0) > 0).all()
    assert (np.diff(found, axis=1) < 0).all()


def test_simulation_is_the_flow_on_samples() -> None:
    found = phase_diagram("and", AXES, EXACT, draws=6, seed=3, simulation=Simulation()).value.values
    by_hand = [[float(learning_probability("and", 3, T, m, 6, 3)) for T in AXES["T"]] for m in AXES["m"]]
    np.testing.assert_array_equal(found, by_hand)


def test_usual_quantity_and_recovery_of_the_bits() -> None:
    found = phase_diagram("majority", AXES, draws=6, simulation=Simulation())
    assert found.value.attrs["long_name"] == "probability of exact learning"
    recovered = Quantity("learnt", "recovered")
    found = phase_diagram("majority", AXES, recovered, draws=6, seed=2, simulation=Simulation()).value.values
    by_hand = learning_probability("majority", 3, AXES["T"], np.array(AXES["m"])[:, None], 6, 2, success="recovered")
    np.testing.assert_array_equal(found, by_hand)
    assert phase_diagram("majority", AXES, recovered).value.equals(phase_diagram("majority", AXES).value)


def test_attention_held_uniform_is_only_simulated() -> None:
    axes = {"m": [10, 80], "T": [12, 20]}
    found = phase_diagram("and-uniform", axes, draws=4, seed=1, simulation=Simulation()).value.values
    by_hand = learning_probability("and", 3, axes["T"], np.array(axes["m"])[:, None], 4, 1, uniform=True)
    np.testing.assert_array_equal(found, by_hand)
    with pytest.raises(InputError, match="and-uniform: no theory with attention held uniform; simulate it"):
        phase_diagram("and-uniform", axes)


def test_parity_has_no_signal_and_the_head_cannot_hold_it() -> None:
    assert (phase_diagram("parity", AXES, EXACT).value == 0).all()
    with pytest.raises(InputError, match="parity"):
        phase_diagram("parity", AXES, EXACT, draws=2, simulation=Simulation())


def test_more_bits_than_there_are() -> None:
    found = phase_diagram("and", {"m": [10, 20], "T": [2, 4]}, EXACT).value.values
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()


@pytest.mark.parametrize(
    ("fixed", "quantity", "expected"),
    [
        ({"s": 2.5}, EXACT, "s = 2.5 must be a whole number"),
        ({"noise": 0.5}, EXACT, "noise must be a share"),
        ({}, Quantity("time", "exact"), "the quantity is learnt"),
        ({}, Quantity("learnt", "p_t"), "no observable 'p_t'"),
    ],
)
def test_wrong_input(fixed: dict, quantity: Quantity, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        phase_diagram("and", AXES, quantity, fixed=fixed)
