"""A cell of a phase diagram followed in time."""

import numpy as np
import pytest

from dynamics import InputError, copying, phase_diagram, solve
from dynamics.phase.trajectories import trajectories


def test_it_is_what_solve_gives() -> None:
    t = np.linspace(0, 300, 31)
    found = trajectories("copying", {"V": 9, "L": 6, "u0": 0.1, "a0": -0.2}, t)
    solved = solve(copying(vocab=9, length=6), t, initial={"u": 0.1, "a": -0.2})
    for name in ("u", "a", "loss", "p_t"):
        np.testing.assert_allclose(found[name][0], solved[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_the_cell_of_the_diagram_is_where_its_trajectories_pass() -> None:
    axes = {"L": [4, 6], "V": [8, 9]}
    diagram = phase_diagram("copying", axes, "learnt", t_end=200, fixed={"sigma": 0.3}, draws=8)
    t = np.linspace(0, 200, 2001)
    for L in axes["L"]:
        for V in axes["V"]:
            followed = trajectories("copying", {"L": L, "V": V, "sigma": 0.3}, t, draws=8)
            share = (followed.p_t.max("time") >= 0.5).mean()
            assert float(share) == float(diagram.value.sel(L=L, V=V))


def test_heads_and_their_definitions() -> None:
    found = trajectories("copying", {"V": 8, "L": 4, "H": 2, "sigma": 0.1}, [0, 1], draws=4)
    assert {"u1", "u2", "a1", "a2", "alpha1", "alpha2", "loss"} <= set(found.data_vars)
    assert found.sizes == {"draw": 4, "time": 2}


@pytest.mark.parametrize(
    ("system", "at", "told"),
    [
        ("copying", {"V": 4, "L": 8}, "L is above V everywhere"),
        ("copying", {"V": 4, "l": 3}, "no parameter 'l'"),
        ("and", {"T": 50, "m": 20}, "trained in every cell"),
        ("copying", {"V": 8}, "no value for L"),
    ],
)
def test_refusals(system: str, at: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        trajectories(system, at, [0, 1])
