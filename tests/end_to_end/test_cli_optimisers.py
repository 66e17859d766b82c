"""Optimisers on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dynamics import copying, solve
from dynamics.cli import run
from dynamics.support import trajectory

PROGRAM = """
from dynamics.program_file import SumOver, indices, model, sizes, tensors

(N, D), (n, d), (x, w) = sizes("N D"), indices("n d"), tensors("x w")
program = model(
    "Bowl", extents={n: N, d: D}, data=x[n, d], states=w[d], examples=n,
    loss=SumOver((x[n, d] - w[d]) ** 2 / (2 * N), n, d),
)
"""


def test_adam_of_text_tasks_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adam = ["--optimizer", "adam", "--lr", "1e-3", "--batch", "32", "--at", "0,0.1", "--figures", "none"]
    (tmp_path / "bowl.py").write_text(PROGRAM)
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(50, 2)) + 1)
    of_program = ["--program", str(tmp_path / "bowl.py"), "--data", str(tmp_path / "data.npz")]
    tasks = {"text": ["--max-vocab", "8"], "task": ["--task", "lexicon", "--vocab", "4", "--length", "3"]}
    for name, options in {**tasks, "program": of_program}.items():
        place = tmp_path / name
        assert run(["solve", *options, *adam, "-o", str(place)]) == 0, name
        found = trajectory.load(place / "trajectory.nc")
        assert found.attrs["optimizer"] == "adam"
        assert found.attrs["batch"] == 32
        np.testing.assert_allclose(found.step, [0, 100])
        loss = found.loss.isel(stages=0) if "stages" in found.dims else found.loss
        assert loss[-1] < loss[0]
    capsys.readouterr()


def test_a_comparison_goes_by_the_steps_of_the_optimiser(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bowl.py").write_text(PROGRAM)
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(50, 2)) + 1)
    arguments = ["compare", "--program", str(tmp_path / "bowl.py"), "--data", str(tmp_path / "data.npz")]
    arguments += ["--optimizer", "adam", "--lr", "0.01", "--schedule", "warmup:10,cosine:300", "--steps", "200"]
    assert run([*arguments, "--seeds", "1", "--records", "5", "-o", str(tmp_path / "out"), "--figures", "none"]) == 0
    found = trajectory.load(tmp_path / "out" / "comparison.nc")
    assert float(abs(found.error_w).max()) < 0.01
    assert 0.01 * 200 > float(found.time[-1]) > 0.01 * 100
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["solve", "--optimizer", "adam"], "--optimizer adam needs a learning rate: add --lr"),
        (["solve", "--schedule", "warmup:3"], "--schedule is of an optimizer"),
        (["solve", "--batch", "3"], "--batch does not apply"),
        (["solve", "--optimizer", "adam", "--lr", "1", "--momentum", "0.5"], "momentum does not apply to adam"),
        (
            ["solve", "--optimizer", "momentum", "--lr", "1", "--batch", "8"],
            "the flow of momentum is the same at any batch",
        ),
        (["solve", "--optimizer", "adam", "--lr", "1", "--betas", "0.5"], "takes 2"),
        (["solve", "--task", "copying", "--theory", "reduction", "--optimizer", "adam", "--lr", "1"], "--theory exact"),
        (["simulate", "--optimizer", "adam", "--lr", "1", "--flow", "limit"], "--flow is of predictions"),
        (["compare", "--study", "lr", "--schedule", "warmup:3"], "--schedule is of an optimizer"),
        (["compare", "--study", "batch", "--optimizer", "adam", "--lr", "1"], "--study lr"),
        (["derive", "--optimizer", "adam"], "name one"),
        (["derive", "sen", "--optimizer", "adam"], "theorem"),
        (["derive", "marginal", "--optimizer", "adam"], "needs the gradient of every state"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = [] if arguments[0] == "derive" else ["-o", str(tmp_path / "never")]
    assert run([*arguments, *output]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not (tmp_path / "never").exists()


def test_a_derivation_reads_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["derive", "joint", "--optimizer", "adam", "--batch", "32"]) == 0
    said = capsys.readouterr().out
    assert "Wdot[i,v]      = -eta_W lr W_meanhat[i,v]/W_size[i,v]" in said
    assert "a dot is the derivative by the number of steps" in said
    assert "all hold" in said


def test_a_task_is_trained_and_solved_with_adam(tmp_path: Path) -> None:
    arguments = ["compare", "--task", "copying", "--vocab", "6", "--length", "3", "--optimizer", "adam", "--lr", "0.01"]
    arguments += ["--batch", "16", "--steps", "60", "--records", "4", "--seeds", "2", "--figures", "none"]
    assert run([*arguments, "--output", str(tmp_path)]) == 0
    found = trajectory.load(tmp_path / "comparison.nc")
    np.testing.assert_array_equal(found.step, [0, 1, 8, 60])  # those of the run, counted
    assert (found.error_W[:, -1] < found.error_W[:, 1]).all()  # the first step goes by the signs of one minibatch


def test_the_spread_of_seeds_is_predicted_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ["compare", "--task", "lexicon", "--vocab", "4", "--length", "3", "--batch", "8", "--figures", "none"]
    short = ["--steps", "20", "--seeds", "3", "--records", "4", "-o", str(tmp_path / "out")]
    assert run([*task, *short, "--spread"]) == 0
    assert "predicted over measured standard deviation" in capsys.readouterr().out
    found = trajectory.load(tmp_path / "out" / "comparison.nc")
    assert found.loss_spread.shape == found.loss_scatter.shape == found.time.shape
    for wrong in (["--study", "lr"], ["--optimizer", "adam", "--lr", "0.1"]):
        assert run([*task, *short, "--spread", *wrong]) == 2


def test_sensitivities_of_a_task_are_said_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Faster values and faster attention both learn sooner."""
    task = ["solve", "--task", "copying", "--vocab", "6", "--length", "4", "--at", "0,50", "--figures", "none"]
    assert run([*task, "--sensitivity", "rate W,rate P", "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    found = trajectory.load(tmp_path / "out" / "trajectory.nc")
    for name in ("rate W", "rate P"):
        value = float(found.d_loss.sel(parameter=name).isel(time=-1))
        assert value < 0
        assert f"d loss / d {name}: {value:.4g} at the end" in told


def test_sensitivities_of_a_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Faster values are learnt sooner; what has no derivative is refused."""
    text = ["solve", "--max-vocab", "12", "--at", "0,50,500,2000", "--figures", "none", "-o", str(tmp_path / "out")]
    counted = [*text, "--closure", "conditional", "--sensitivity", "rate W,count the la"]
    assert run([*counted, "--words", "the"]) == 0
    told = capsys.readouterr().out
    found = trajectory.load(tmp_path / "out" / "trajectory.nc")
    assert found.d_W.dims == ("parameter", "time", "input", "output")
    moved = found.d_beta_half_time.sel(input="the")
    assert float(moved.sel(parameter="rate W")) < 0
    assert f"{float(moved.sel(parameter='count the la')):.4g}" in told
    assert run([*text, "--words", "the", "--sensitivity", "rate W", "--format", "csv"]) == 0  # on sentences
    assert capsys.readouterr().out.splitlines()[0].endswith("d tau at half of attention on it / d rate W")
    for wrong, said in (
        (["--sensitivity", "count the la"], "use the closure conditional"),
        (["--sensitivity", "rate W", "--errors", "1"], "leave one of them out"),
        (["--sensitivity", "rate W", "--stages", "frozen"], "of one flow"),
        (["--sensitivity", "rate Q"], "the states are W, A"),
    ):
        assert run([*text, *wrong]) == 2
        assert said in capsys.readouterr().err


def curves_file(place: Path, error: float = 0.0) -> Path:
    """Loss of copying at rates 1.6 and .7, as a table."""
    made = solve(copying(6, 4), np.linspace(0, 150, 31), initial={"u": 0.1, "a": 0.05},
                            rates={"W": 1.6, "P": 0.7}, rtol=1e-8)  # fmt: skip
    loss = made.loss.values + error * np.random.default_rng(0).standard_normal(made.time.size)
    rows = "".join(f"{t},{value!r}\n" for t, value in zip(made.time.values.tolist(), loss.tolist(), strict=True))
    (place / "curves.csv").write_text("time,loss\n" + rows)
    return place / "curves.csv"


def test_a_fit_from_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rates that made the curves are within three standard errors, and the fitted line is their flow."""
    file, out = curves_file(tmp_path, 1e-3), tmp_path / "out"
    task = ["--task", "copying", "--vocab", "6", "--length", "4", "--theory", "reduction", "--init", "u=0.1,a=0.05"]
    assert run(["fit", str(file), *task, "--free", "rate W,rate P", "--figures", "svg", "-o", str(out)]) == 0
    told = capsys.readouterr().out
    found = trajectory.load(out / "fit.nc")
    for name, expected in {"rate W": 1.6, "rate P": 0.7}.items():
        one = found.sel(parameter=name)
        assert abs(float(one["values"]) - expected) < 3 * float(one.errors) < 0.1
        assert f"{float(one['values']):.6g}" in told
    line = found.loss_fitted.sel(line_time=found.time.values)
    assert np.abs(line.values - found.loss.values).max() < 5e-3
    assert (out / "fit.svg").is_file()
    assert found.loss_fitted.attrs["units"] == "nats"
    assert run(["fit", str(file), *task, "--free", "rate W", "--figures", "none", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["number"] == "rate W"
    assert row["start"] == 1.0
    assert row["fitted"] == pytest.approx(1.6, rel=0.5)
    assert 0 < row["standard error"] < 1


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("loss\n1\n", [], "line 1: name the columns"),
        ("time,loss\n0,1.6\n10,x\n", [], "line 3"),
        ("time,loss\n0,1.6\n10,1,2\n", [], "has 3 cells"),
        ("time,loss\n0,1.6\n10,1.2\n5,1.1\n", [], "not increasing"),
        ("time,loss\n0,1.6\n10,nan\n", [], "finite"),
        ("time,lost\n0,1.6\n10,1\n", [], "curve 'lost'"),
        ("time,loss\n", [], "no times"),
        ("time,loss\n0,1.6\n10,1.2\n", ["--curves", "los"], "did you mean 'loss'"),
        ("time,loss\n0,1.6\n10,1.2\n", ["--time", "5"], "--time does not apply"),
        ("time,loss\n0,1.6\n10,1.2\n", ["--lr", "0.1"], "--lr does not apply"),
        ("time,loss\n0,1.6\n10,1.2\n", ["--free", "rate Q"], "error: --free 'rate Q': the states are W, P"),
        ("time,loss\n0,1.6\n10,1.2\n", ["--free", ","], "error: --free names nothing; give numbers such as 'rate W'"),
    ],
)
def test_what_cannot_be_fitted_is_said_in_a_line(
    text: str, options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "curves.csv").write_text(text)
    given = ["--task", "copying", "--free", "rate W", "-o", str(tmp_path / "out"), *options]
    assert run(["fit", str(tmp_path / "curves.csv"), *given]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_derivatives_along_the_modified_flow_of_descent(tmp_path: Path) -> None:
    two = """
from dynamics.program_file import model, scalars

a, b, p, q = scalars("a b p q")
program = model("Two", states=(a, b), parameters=(p, q), loss=(p * a * b - q) ** 2 / 2)
"""
    (tmp_path / "two.py").write_text(two)
    task = ["solve", "--program", str(tmp_path / "two.py"), "--set", "p=1,q=0.5", "--at", "0,1", "--figures", "none"]
    task += ["--init", "a=1,b=0.3", "--lr", "0.1", "--sensitivity", "p,lr"]
    assert run([*task, "-o", str(tmp_path / "out")]) == 0
    found = trajectory.load(tmp_path / "out" / "trajectory.nc")
    assert list(found.parameter.values) == ["p", "lr"]
    assert (np.abs(found.d_loss[:, -1]) > 1e-4).all()
