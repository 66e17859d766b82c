"""Programs of published systems: derived, solved, trained, compared and mapped; equal to what others wrote of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics import compare, load_program, on_arrays, phase_diagram, simulate, solve
from dynamics.cli import run

HERE = Path(__file__).resolve().parents[2] / "examples" / "programs"
GIVEN = Path(__file__).resolve().parents[3] / "shared" / "cases" / "programs"
"""The same systems in the words of others; beside the repository, where there are any."""

RANDOM = np.random.default_rng(0)
TEACHER = np.array([[1.0, 0.0], [0.2, 1.2]]) @ np.eye(2, 9)


def contexts() -> dict[str, Any]:
    x = RANDOM.standard_normal((12, 5, 2))
    y = np.einsum("cnd,cd->cn", x, RANDOM.standard_normal((12, 2)))
    return {"x": x[:, :4], "y": y[:, :4], "xq": x[:, 4], "yq": y[:, 4]}


def counts() -> dict[str, Any]:
    C = RANDOM.dirichlet(np.ones(12)).reshape(4, 3)
    return {"C": C, "q": C.sum(axis=0)}


def correlations() -> dict[str, Any]:
    x = RANDOM.standard_normal((9, 3))
    return {"Sxx": x.T @ x / 9, "Syx": RANDOM.standard_normal((2, 3))}


def kinds() -> dict[str, Any]:
    P = RANDOM.dirichlet(np.ones(5), size=4)
    return {"P": P, "prior": np.full(4, 0.25), "last": [0, 0, 1, 1], "y": [0, 1, 2, 3]}


def next_tokens() -> dict[str, Any]:
    x = RANDOM.integers(4, size=(7, 3))
    return {"x": x, "last": x[:, 2] % 2, "y": RANDOM.integers(4, size=7), "weight": RANDOM.dirichlet(np.ones(7))}


def tokens() -> dict[str, Any]:
    return {"X": RANDOM.standard_normal((3, 4, 2)), "Y": np.array([1.0, -1.0, 1.0])}


def sequences() -> dict[str, Any]:
    x = RANDOM.integers(3, size=(4, 19))
    return {"x": x[:, :18], "y": x[:, 1:]}


def teacher() -> dict[str, Any]:
    return {"T": TEACHER @ TEACHER.T}


def with_nodes(arrays: dict[str, Any]) -> dict[str, Any]:
    """An axis of one entry, and the nodes of a quadrature, which others take for the arcsine."""
    x, w = np.polynomial.legendre.leggauss(60)
    return {"T": arrays["T"][:, None, :], "node": (x + 1) / 2, "w": w / 2}


def same(arrays: dict[str, Any]) -> dict[str, Any]:
    return arrays


def squeezed(arrays: dict[str, Any]) -> dict[str, Any]:
    """An axis of one entry, where others have one between two of the same size."""
    return {**arrays, "Sxx": arrays["Sxx"][:, None, :]}


# Ours, theirs, data, sizes, what an axis of a diagram may be, and how they take the data.
CASES: dict[str, tuple[str, Any, dict[str, float], str, Any]] = {
    "deep_linear": ("deep_linear3", correlations, {"A": 3, "B": 2}, "A", squeezed),
    "linear_attention_merged": ("lin_attn_merged", contexts, {"H": 2}, "H", same),
    "linear_attention_separate": ("lin_attn_separate", contexts, {"H": 2, "R": 1}, "R", same),
    "factorised": ("factorised", counts, {"D": 2, "R": 2}, "D", same),
    "scan_snap": ("scan_snap", next_tokens, {"M": 4, "K": 2}, "M", same),
    "scan_snap_population": ("scan_snap_population", kinds, {"K": 2}, "K", same),
    "max_margin": ("max_margin", tokens, {}, "eta_v", same),
    "committee": ("committee", teacher, {"K": 2, "eta": 0.5}, "eta", with_nodes),
    "induction": ("induction", sequences, {"V": 3}, "V", same),
}
T = [0.0, 1.0, 10.0]
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


@pytest.mark.parametrize("name", CASES)
def test_as_others_wrote_it(name: str) -> None:
    theirs, data, values, _, taken = CASES[name]
    if not (GIVEN / f"{theirs}.py").exists():
        pytest.skip("the programs of others are not beside this repository")
    arrays = data()
    own, other = load_program(HERE / f"{name}.py"), load_program(GIVEN / f"{theirs}.py")
    start = start_of(name, own)
    extra = {"ONE": 1} if "ONE" in map(str, other.extents.values()) and taken is same else {}
    one = solve(own, arrays, t=T, values=values, initial=start, **TIGHT)
    two = solve(other, taken(arrays), t=T, values={**values, **extra}, initial=start, **TIGHT)
    for state in (*own.state_names, "loss"):
        assert one[state].values == pytest.approx(two[state].values, rel=1e-9, abs=1e-9), state
    if name == "committee":
        return  # its flow is its own: there is no loss that it descends
    steps = {"lr": 0.1, "steps": 20, "records": 3}
    runs = (
        simulate(own, arrays, values=values, initial=start, **steps),
        simulate(other, taken(arrays), values={**values, **extra}, initial=start, **steps),
    )
    for state in own.state_names:
        assert runs[0][state].values == pytest.approx(runs[1][state].values, rel=1e-9, abs=1e-12), state


@pytest.mark.parametrize(
    "name", ["max_margin", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "committee")]
)
def test_compared_and_mapped(name: str) -> None:
    _, data, values, axis, _ = CASES[name]
    arrays, program = data(), load_program(HERE / f"{name}.py")
    problem = on_arrays(program, arrays, values)
    found = compare(problem, lr=0.002, steps=200, records=4, initial=dict.fromkeys(program.state_names, 0.3))
    for state in program.state_names:
        assert float(found[f"error_{state}"].max()) < 0.01, state
    rest = {key: value for key, value in values.items() if key != axis}
    sizes = [1.0, 2.0] if axis.startswith("eta_") else [values[axis], values[axis] + 1]
    grid = phase_diagram(program, {axis: sizes, "sigma": [0.1, 0.3]}, "value", 2.0, data=arrays, values=rest, draws=2)
    assert np.isfinite(grid.value.values).all()
    expected = [
        float(solve(program, arrays, t=[0, 2], values=values or None, seed=k, rates=rates(program, axis, sizes[0]),
                    initial=dict.fromkeys(program.state_names, 0.3)).loss[-1])
        for k in range(2)
    ]  # fmt: skip
    assert grid.value.values[0, 1] == pytest.approx(np.mean(expected), rel=1e-6)


def start_of(name: str, program: Any) -> dict[str, Any]:
    """Normal states of size 0.3; of order parameters, those of such weights."""
    if name != "committee":
        return dict.fromkeys(program.state_names, 0.3)
    weights = RANDOM.standard_normal((2, 9)) * 0.3
    return {"R": weights @ TEACHER.T, "Q": weights @ weights.T}


def rates(program: Any, axis: str, value: float) -> dict[str, float]:
    return {state: value for state, rate in program.rates.items() if rate == axis}


@pytest.mark.parametrize("name", ["scan_snap", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES)])
def test_its_equations_are_written_out_and_checked(name: str, capsys: pytest.CaptureFixture) -> None:
    assert run(["derive", "--program", str(HERE / f"{name}.py")]) == 0, capsys.readouterr()


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda path: path.stem)
def test_programs_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= {"committee": 40, "block": 30}.get(path.stem, 25)


def test_adam_with_a_schedule_as_others_wrote_it() -> None:
    """Theirs has the time as a state of its own, and keeps what only the plain flow conserves."""
    if not (GIVEN / "adam_joint.py").exists():
        pytest.skip("the programs of others are not beside this repository")
    own, other = load_program(HERE / "adam_joint.py"), replace(load_program(GIVEN / "adam_joint.py"), conserved=())
    C = counts()["C"]
    arrays = {"q": C.sum(axis=0), "R": C / C.sum(axis=0)}
    values = {"lr": 0.05, "tau1": 2.0, "tau2": 20.0, "decay": 0.01, "warm": 5.0, "end": 40.0, "eps": 1e-6}
    start = {state: 0.1 * RANDOM.standard_normal((4, 3)) for state in "WA"}
    one = solve(own, arrays, t=T, values={**values, "start": 0.5}, initial=start, **TIGHT)
    two = solve(other, arrays, t=T, values=values, initial={**start, "s": 0.5}, **TIGHT)
    for state in ("W", "A", "mW", "vW", "mA", "vA", "loss"):
        assert one[state].values == pytest.approx(two[state].values, abs=1e-9), state
    axes = {"decay": [0.0, 0.1], "lr": [0.05, 0.1]}
    rest = {name: value for name, value in values.items() if name not in axes} | {"start": 0.5}
    grid = phase_diagram(own, axes, "value", 5.0, data=arrays, values=rest, initial=start)
    assert grid.value.values[0, 1] < grid.value.values[0, 0]
