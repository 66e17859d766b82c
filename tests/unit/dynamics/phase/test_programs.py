"""Phase diagrams of any program: axes over parameters, sizes, learning rates and initial sizes."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import Examples, InputError, Quantity, Simulation, keyword, on_arrays, phase_diagram, solve
from dynamics.cli import run
from dynamics.problems.kinds.exact import Exact
from dynamics.program_file import Definition, SumOver, indices, model, scalars, sizes, tensors

(N, D, H), (n, d, h) = sizes("N D H"), indices("n d h")
x, y, w, v, z = tensors("x y w v z")
k, norm = scalars("k norm")

LINE = model(
    "Several lines", extents={n: N, d: D, h: H}, data=[x[n, d], y[n]], parameters=[k], states=[w[h, d]], examples=n,
    definitions=[
        Definition(z[n, h], SumOver(x[n, d] * w[h, d], d)),
        Definition(norm, SumOver(w[h, d] ** 2, h, d)),
    ],
    loss=SumOver(k * (z[n, h] - y[n]) ** 2 / (2 * N), n, h),
)  # fmt: skip
DATA = {"x": np.eye(2) * 2**0.5, "y": np.array([3.0, 4.0]) * 2**0.5}  # w' = -k (w - (3, 4))
TIME = Quantity("time", "loss", 1.0)


def test_times_are_those_of_the_closed_form() -> None:
    """Every line falls to (3, 4) as exp(-k t): half the squared distance, H times, passes 1 at a known time."""
    axes = {"k": [0.5, 1.0, 2.0], "H": [1, 2, 3]}
    found = phase_diagram(LINE, axes, TIME, 20.0, data=DATA)
    expected = np.log(np.arange(1, 4) * np.array([[0.5], [1.0], [2.0]]) * 25 / 2) / (
        2 * np.array([[0.5], [1.0], [2.0]])
    )
    assert found.value.values == pytest.approx(expected, rel=1e-4)
    assert found.computed.values.all()
    assert np.isinf(phase_diagram(LINE, axes, TIME, 0.1, data=DATA).value.values).all()


def test_learning_rates_and_initial_sizes_are_axes() -> None:
    axes = {"eta_w": [1.0, 2.0], "sigma": [0.0, 0.1, 1.0]}
    found = phase_diagram(LINE, axes, "value", 0.7, data=DATA, fixed={"k": 1, "H": 2}, draws=5, seed=3, observe="norm")
    for rate, row, norms in zip([1.0, 2.0], found.value.values, found.norm.values, strict=True):
        for size, value, of in zip([0.0, 0.1, 1.0], row, norms, strict=True):
            starts = [np.random.default_rng(3 + k).standard_normal((2, 2)) * size for k in range(5)]
            ends = [[3, 4] + (w0 - [3, 4]) * np.exp(-0.7 * rate) for w0 in starts]
            assert value == pytest.approx(np.mean([((e - [3, 4]) ** 2).sum() / 2 for e in ends]), rel=1e-5)
            assert of == pytest.approx(np.mean([(e**2).sum() for e in ends]), rel=1e-5)


def test_a_size_that_data_decide_is_an_axis_of_a_function() -> None:
    def data(D: int) -> dict[str, np.ndarray]:
        return {"x": np.eye(D) * D**0.5, "y": np.ones(D) * D**0.5}

    found = phase_diagram(LINE, {"D": [1, 2, 5], "k": [1.0, 2.0]}, "value", 1.0, data=data, values={"H": 1})
    expected = [[D / 2 * k * np.exp(-2 * k) for k in (1.0, 2.0)] for D in (1, 2, 5)]
    assert found.value.values == pytest.approx(np.array(expected), rel=1e-5)
    with pytest.raises(InputError, match="has no parameter 'D'"):
        phase_diagram(LINE, {"D": [1, 2], "k": [1.0, 2.0]}, "value", 1.0, data=DATA, values={"H": 1})


def test_random_starts_decide_where_two_ends_are() -> None:
    """A double well: the share of draws that end on the right is that of positive starts."""
    (u,) = tensors("u")
    (right,) = scalars("right")
    wells = model(
        "Wells", extents={d: D}, states=[u[d]], definitions=[Definition(right, SumOver(u[d] / D, d))],
        loss=SumOver((u[d] ** 2 - 1) ** 2 / 4, d),
    )  # fmt: skip
    axes = {"sigma": [0.5, 1.0], "eta_u": [1.0, 3.0]}
    found = phase_diagram(wells, axes, Quantity("learnt", "right", 0.9), 50.0, values={"D": 1}, draws=20)
    share = np.mean([np.random.default_rng(k).standard_normal(1)[0] > 0 for k in range(20)])
    assert found.value.values == pytest.approx(np.full((2, 2), share))


def test_simulated_cells_are_near_those_of_theory() -> None:
    axes = {"k": [0.5, 1.0], "H": [1, 2]}
    theory = phase_diagram(LINE, axes, TIME, 10.0, data=DATA)
    found = phase_diagram(LINE, axes, TIME, 10.0, data=DATA, simulation=Simulation(0.01, 64), draws=1)
    assert found.value.values == pytest.approx(theory.value.values, rel=0.03)
    noisy = phase_diagram(LINE, axes, TIME, 10.0, data=DATA, simulation=Simulation(0.01, 1), draws=2)
    assert (noisy.value.values != found.value.values).any()
    assert noisy.value.values == pytest.approx(theory.value.values, rel=0.2)


def test_a_problem_is_a_system_too() -> None:
    axes = {"sigma_w": [0.1, 1.0], "eta_w": [1.0, 2.0]}
    problem = on_arrays(LINE, DATA, {"k": 1.0, "H": 2})
    found = phase_diagram(problem, axes, "value", 0.5, draws=2)
    same = phase_diagram(LINE, axes, "value", 0.5, data=DATA, values={"k": 1.0, "H": 2}, draws=2)
    assert (found.value.values == same.value.values).all()
    two = Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2)
    of_words = phase_diagram(Exact(keyword(), two), {"eta_s": [0.5, 1.0], "eta_W": [1.0, 2.0]}, "value", 10.0)
    assert of_words.value.values[1, 0] == pytest.approx(float(solve(keyword(), two, [0, 10]).loss[-1]), rel=1e-6)


def test_an_interrupted_diagram_goes_on(tmp_path: Path) -> None:
    axes = {"k": [0.5, 1.0], "H": [1, 2]}
    first = phase_diagram(LINE, axes, TIME, 10.0, data=DATA, store=tmp_path)
    again = phase_diagram(LINE, axes, TIME, 10.0, data=DATA, store=tmp_path, resume=True)
    assert again.attrs["computed_now"] == 0
    assert (again.value.values == first.value.values).all()
    with pytest.raises(InputError, match="equations"):
        phase_diagram(LINE, axes, TIME, 10.0, data={**DATA, "y": np.ones(2)}, store=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "not a system of scalars; give its data"),
        ({"values": {"k": 1}}, "no value for H"),
        ({"values": {"q": 1}}, "has no size or parameter 'q'"),
        ({"initial": {"q": 1}}, "the states of program are w"),
        ({"fixed": {"H": 1.5, "k": 1}}, "H = 1.5 must be a whole number"),
        ({"fixed": {"sigma_w": 1, "k": 1, "H": 1}}, "give sigma, or sigma_w"),
        ({"observe": "z"}, "has no observable 'z'"),
        ({"quantity": Quantity("time", "weight", 1.0)}, "has no observable 'weight'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(changes, message: str) -> None:
    given = {"data": DATA, "quantity": TIME} | changes
    with pytest.raises(InputError, match=message):
        phase_diagram(LINE, {"sigma": [0.1, 1.0], "eta_w": [1.0, 2.0]}, **given)


def test_the_command_line(tmp_path: Path, capsys) -> None:
    program = Path(__file__).parents[4] / "examples" / "programs" / "two_layers.py"
    given = ["phase", "--program", str(program), "--data", "normal", "--fix", "N=8,D=3,K=2,sigma=0.1", "--time", "5"]
    axes = ["--x", "eta_U=0.5:1:2", "--y", "R=1:3", "--draws", "2", "--observe", "loss", "--figures", "png"]
    assert run([*given, *axes, "-o", str(tmp_path)]) == 0
    found = xr.open_dataset(tmp_path / "phase.nc")
    assert found.value.sizes == {"R": 3, "eta_U": 2}
    assert (found.value.values == found.loss.values).all()
    assert (tmp_path / "phase.png").exists()
    capsys.readouterr()
    assert run([*given[:-4], "--fix", "N=8", *axes, "-o", str(tmp_path / "other")]) == 2
    assert "no value for D, K" in capsys.readouterr().err
    assert run(["phase", "--data", "normal", "-o", str(tmp_path)]) == 2
    assert "--data is for --program" in capsys.readouterr().err
