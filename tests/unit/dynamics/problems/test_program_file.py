"""Models of one's own: read from a file, derived, solved, trained and swept; and refused in words."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from derivations.checks.check import Check
from derivations.program.access import name_of
from dynamics import simulate, solve
from dynamics.cli import run
from dynamics.problems.kinds.arrays import normal_arrays, on_arrays, on_examples
from dynamics.problems.kinds.models import keyword
from dynamics.problems.kinds.reading import takes_examples
from dynamics.program_file import load
from dynamics.support import trajectory
from dynamics.support.errors import InputError
from dynamics.tasks import Copying, SparseBoolean

HERE = Path(__file__).parents[4]
TWO_LAYERS, GATED, LINEAR_ATTENTION = (
    HERE / "examples" / "programs" / f"{name}.py" for name in ("two_layers", "gated", "linear_attention")
)
SIZES = {"N": 7.0, "D": 4.0, "R": 3.0, "K": 2.0}
RNG = np.random.default_rng(11)

HEAD = """
from dynamics.program_file import *
N, D, R, K = sizes("N D R K")
n, i, r, k, j = indices("n i r k j")
x, y, U, W, h, z = tensors("x y U W h z")
"""
HIDDEN = "Definition(h[n, r], SumOver(x[n, i] * U[i, r], i))"
PREDICTED = "Definition(z[n, k], SumOver(h[n, r] * W[r, k], r))"


def two_layers(hidden: str = HIDDEN, predicted: str = PREDICTED, **changes: str) -> str:
    """The text of a network of two layers, with parts of it replaced; what is replaced by nothing is left out."""
    parts = {
        "extents": "{n: N, i: D, r: R, k: K}",
        "data": "[x[n, i], y[n, k]]",
        "states": "[U[i, r], W[r, k]]",
        "definitions": f"[{hidden}, {predicted}]",
        "loss": "SumOver((z[n, k] - y[n, k]) ** 2 / (2 * N), n, k)",
    }
    listed = ", ".join(f"{name}={value}" for name, value in (parts | changes).items() if value)
    return f"{HEAD}program = model('Two layers', {listed})\n"


KEYWORD = """
from dynamics.program_file import *
N, V, K = sizes("N V K")
n, l, i, k = indices("n l i k")
x, y, length = tensors("x y length", integer=True)
s, W, b, M, alpha, context, z, Q = tensors("s W b M alpha context z Q")
program = model(
    "Keyword classifier",
    extents={n: N, l: length[n], i: V, k: K},
    data=[length[n], x[n, l], y[n]],
    states=[s[i], W[i, k], b[k]],
    definitions=[
        Definition(M[n], LogSumExp(s[x[n, l]], l)),
        Definition(alpha[n, l], exp(s[x[n, l]] - M[n])),
        Definition(context[n, k], SumOver(alpha[n, l] * W[x[n, l], k], l)),
        Definition(z[n, k], context[n, k] + b[k]),
        Definition(Q[n], LogSumExp(z[n, k], k)),
    ],
    loss=SumOver((Q[n] - z[n, y[n]]) / N, n),
)
"""


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str, name: str = "own.py") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return written


def gap(program, arrays, values, states: dict[str, np.ndarray], h: float = 1e-5) -> float:
    """The largest difference of the compiled flow from differences of the compiled loss, relative to the flow."""
    built = on_arrays(program, arrays, values)
    parameters = {**built.sizes, **built.parameters, **{f"eta_{name}": 1.0 for name in states}}
    flow = built.kernel().bind(built.arrays, parameters)
    loss = built.kernel(("loss",)).bind(built.arrays, parameters)
    y = np.concatenate([np.ravel(states[name_of(state)]) for state in program.states])
    out, value = np.empty_like(y), np.empty((2, 1))
    flow(y, out)
    differences = np.empty_like(y)
    for at in range(y.size):
        for side, which in ((1, 0), (-1, 1)):
            moved = y.copy()
            moved[at] += side * h
            loss(moved, value[which])
        differences[at] = (value[1, 0] - value[0, 0]) / (2 * h)
    assert np.abs(out).max() > 0
    return float(np.abs(out - differences).max() / np.abs(out).max())


def drawn(program, sizes) -> dict[str, np.ndarray]:
    shapes = {name_of(s): [int(sizes[str(program.extents[i])]) for i in s.indices] for s in program.states}
    return {name: RNG.standard_normal(shape) for name, shape in shapes.items()}


# -- what a file means ----------------------------------------------------------------------------------------------


def test_flow_of_two_layers_is_the_gradient():
    program = load(TWO_LAYERS)
    data, start = normal_arrays(program, SIZES), drawn(program, SIZES)
    built = on_arrays(program, data, {"R": 3})
    parameters = {**built.sizes, "eta_U": 1.0, "eta_W": 0.5}
    flow = built.kernel().bind(built.arrays, parameters)
    found = flow.evaluate(np.concatenate([start["U"].ravel(), start["W"].ravel()]))
    error = (data["x"] @ start["U"] @ start["W"] - data["y"]) / 7
    np.testing.assert_allclose(found["Udot"], -data["x"].T @ error @ start["W"].T, rtol=1e-12)
    np.testing.assert_allclose(found["Wdot"], -0.5 * (data["x"] @ start["U"]).T @ error, rtol=1e-12)


ACTIVATIONS = {
    "tanh": "tanh(h[n, r])",
    "rectifier": "Max(h[n, r], 0)",
    "larger of two": "Max(h[n, r], x[n, 0])",
    "sigmoid": "1 / (1 + exp(-h[n, r]))",
    "absolute": "Abs(h[n, r])",
    "root": "sqrt(1 + h[n, r] ** 2)",
    "logarithm": "log(1 + exp(h[n, r]))",
    "waves": "sin(h[n, r]) * cos(2 * h[n, r])",
    "hyperbolic": "sinh(h[n, r] / 2) / cosh(h[n, r])",
    "cases": "Piecewise((h[n, r] ** 2, h[n, r] > 0), (h[n, r], True))",
    "numbers": "pi * h[n, r] ** 3 / Rational(7, 2) + h[n, r] / R + n * h[n, r]",
}


def test_every_function_is_differentiated_and_compiled(write):
    names = [f"f{number}" for number in range(len(ACTIVATIONS))]
    own = [f"Definition({name}[n, r], {text})" for name, text in zip(names, ACTIVATIONS.values(), strict=True)]
    total = " + ".join(f"{name}[n, r]" for name in names)
    text = two_layers(predicted=", ".join([*own, PREDICTED.replace("h[n, r]", f"({total})")]))
    file = write(text.replace("program =", f"{', '.join(names)} = tensors('{' '.join(names)}')\nprogram ="))
    program = load(file)
    assert gap(program, normal_arrays(program, SIZES), {"R": 3}, drawn(program, SIZES)) < 1e-8


def test_other_shapes_of_programs(write):
    tied = write(
        """
from dynamics.program_file import *
V, D, N = sizes("V D N")
i, j, d, n = indices("i j d n")
E, S, z, Q = tensors("E S z Q")
(beta,) = scalars("beta")
x, y = tensors("x y", integer=True)
(g,) = scalars("g")
program = model(
    "Tied embeddings with a gain",
    extents={n: N, i: V, j: V, d: D},
    data=[x[n], y[n]],
    states=[E[i, d], g],
    parameters=beta,
    definitions=[
        Definition(S[i, j], SumOver(E[i, d] * E[j, d], d)),
        Definition(z[n, j], exp(g) * S[x[n], j]),
        Definition(Q[n], LogSumExp(z[n, j], j)),
    ],
    loss=SumOver((Q[n] - z[n, y[n]]) / N + beta * g**2 / N, n),
)
"""
    )
    data = {"x": [0, 3, 1, 3], "y": [1.0, 2.0, 0.0, 2.0]}
    program = load(tied)
    states = {"E": RNG.standard_normal((4, 2)), "g": np.array(0.3)}
    assert gap(program, data, {"V": 4, "D": 2, "beta": 0.7}, states) < 1e-8
    found = solve(program, data, [0, 1], values={"V": 4, "D": 2, "beta": 0.7}, initial=states)
    assert dict(found.E.sizes) == {"time": 2, "i": 4, "d": 2}
    assert found.g.dims == ("time",)
    assert float(found.g[0]) == 0.3


def test_solved_is_simulated_as_the_rate_falls():
    program = load(TWO_LAYERS)
    start = {"U": 0.3, "W": 0.3}
    built = on_arrays(program, normal_arrays(program, SIZES, seed=3), {"R": 3})
    errors, corrected = [], []
    for lr in (0.04, 0.02, 0.01):
        trained = simulate(built, None, lr, steps=round(4 / lr), records=[0, round(4 / lr)], initial=start)
        begin = {name: trained[name].values[0, 0] for name in start}
        for kept, correction in ((errors, None), (corrected, lr)):
            solved = solve(built, [0, 4], initial=begin, rtol=1e-10, atol=1e-13, lr=correction)
            kept.append(max(abs(solved[name][-1] - trained[name][0, -1]).max().item() for name in start))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.05)
    assert corrected[0] / corrected[1] == pytest.approx(4, rel=0.1)
    assert corrected[1] / corrected[2] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("rate", [1, 4])
def test_gated_flow_has_its_closed_form(rate: int, tmp_path: Path):
    """p'' = 2 rate p, p' = rate (beta1 - beta0); beta0 + beta1 is conserved."""
    program = load(GATED)
    assert {str(d) for d in program.definitions if d.name.endswith("dot")} == {
        "pdot = -eta_p*(beta0 - beta1)", "beta0dot = -eta_beta0*p", "beta1dot = eta_beta1*p"
    }  # fmt: skip
    out = tmp_path / "out"
    assert run(["solve", "--program", str(GATED), "--init", "p=-0.1,beta0=0.5,beta1=2", "--time", "3", "--times", "9",
                "--rate", f"p={rate}", "--rtol", "1e-10", "-o", str(out)]) == 0  # fmt: skip
    found, root = trajectory.load(out / "trajectory.nc"), np.sqrt(2 * rate)
    t = found.time.values
    np.testing.assert_allclose(found.p, -0.1 * np.cosh(root * t) + 1.5 * rate * np.sinh(root * t) / root, rtol=1e-7)
    np.testing.assert_allclose(found.beta0 + found.beta1, 2.5, rtol=1e-9)
    np.testing.assert_allclose(found.loss, found.p * (found.beta0 - found.beta1), rtol=1e-9)
    assert (out / "course.png").stat().st_size > 10_000


def test_gated_flow_is_swept(tmp_path: Path):
    out = tmp_path / "out"
    assert run(["phase", "--program", str(GATED), "--x", "p0=0.1:1:4", "--y", "beta10=0:1:3", "--fix", "beta00=0",
                "--observable", "p", "--threshold", "5", "--time", "10", "-o", str(out),
                "--figures", "none"]) == 0  # fmt: skip
    found, root = trajectory.load(out / "phase.nc"), np.sqrt(2)
    a, b = xr.broadcast(found.p0, found.beta10 / root)
    # p = (a + b)/2 e^(root t) + (a - b)/2 e^(-root t) = 5, a quadratic equation for the exponential
    grown = (5 + np.sqrt(25 - (a + b) * (a - b))) / (a + b)
    np.testing.assert_allclose(found.value, (np.log(grown) / root).transpose(*found.value.dims), rtol=1e-4)


def test_a_flow_of_its_own(write, tmp_path: Path):
    file = write(
        "from dynamics.program_file import *\n"
        "q, v, accel, speed, mass = scalars('q v accel speed mass')\n"
        "program = model('Spring', states=[q, v], parameters=[mass], flow={'q': 'speed', 'v': 'accel'},\n"
        "    definitions=[Definition(speed, v), Definition(accel, -q / mass)], loss=q**2 / 2 + mass * v**2 / 2)\n"
    )
    out = tmp_path / "out"
    assert run(["solve", "--program", str(file), "--set", "mass=4", "--init", "q=1", "--at", "0,3", "-o", str(out),
                "--rtol", "1e-9", "--figures", "none"]) == 0  # fmt: skip
    found = trajectory.load(out / "trajectory.nc")
    assert float(found.q[-1]) == pytest.approx(np.cos(1.5), rel=1e-7)
    assert float(found.loss[-1]) == pytest.approx(0.5, rel=1e-7)


# -- text and tasks -------------------------------------------------------------------------------------------------


def test_a_program_on_text_is_the_model_that_it_repeats(write, tmp_path: Path):
    file, text = write(KEYWORD), tmp_path / "labelled.txt"
    text.write_text("1\ta fine film\n0\ta dull film\n1\tfine\n", encoding="utf-8")
    for name, options in (("own", ["--program", str(file)]), ("built-in", ["--model", "keyword-bias"])):
        assert run(["solve", "--labelled", str(text), *options, "--theory", "exact", "--init", "0.1", "--time", "50",
                    "--figures", "none", "-o", str(tmp_path / name)]) == 0  # fmt: skip
    own, known = (trajectory.load(tmp_path / name / "trajectory.nc") for name in ("own", "built-in"))
    assert own.sizes == known.sizes
    assert own.s.input.values.tolist() == known.s.input.values.tolist()
    for name in ("s", "W", "b", "loss"):
        np.testing.assert_allclose(own[name], known[name], atol=1e-12)


def test_a_program_is_trained_on_minibatches(write):
    task, program = SparseBoolean("and", 6, 2), load(write(KEYWORD))
    runs = [
        simulate(model, task, lr=0.5, batch=8, steps=40, seeds=2, records=4, initial={"W": 0.1})
        for model in (on_examples(program), keyword(bias=True))
    ]
    assert float(runs[0].loss[0, -1]) < float(runs[0].loss[0, 0])
    for name in ("s", "W", "b", "loss"):
        np.testing.assert_allclose(runs[0][name], runs[1][name], atol=1e-12)


def test_linear_attention_learns_to_copy():
    program = load(LINEAR_ATTENTION)
    words = {"length": [3, 2], "x": [0, 1, 2, 2, 2], "targets": [2, 1], "y": [1, 0, 2]}
    sizes = {"V": 4, "D": 2, "L": 3, "T": 2}
    assert gap(program, words, sizes, drawn(program, sizes)) < 1e-8
    model, task = on_examples(program, {"D": 12}), Copying(12, 8)
    runs = simulate(model, task, 0.5, 64, 200, seeds=2, records=[0, 200], initial={"E": 0.2, "A": 0.2})
    assert dict(runs.E.sizes) == {"seed": 2, "time": 2, "input": 12, "d": 12}
    assert dict(runs.A.sizes) == {"seed": 2, "time": 2, "m": 8, "p": 8}
    assert (runs.loss[:, -1] < 0.05).all()
    flow = solve(model, task.examples(2000, 0), [0, 100], initial={n: runs[n].values[0, 0] for n in ("E", "A")})
    assert float(flow.loss[-1]) == pytest.approx(float(runs.loss[0, -1]), rel=0.2)


def test_what_takes_examples(write):
    assert takes_examples(load(LINEAR_ATTENTION))
    assert takes_examples(load(write(KEYWORD)))
    assert not takes_examples(load(TWO_LAYERS))
    assert not takes_examples(load(GATED))
    more = KEYWORD.replace("l], y[n]]", "l], y[n], b[k]]").replace("W[i, k], b[k]]", "W[i, k]]")
    assert not takes_examples(load(write(more)))


# -- what commands write --------------------------------------------------------------------------------------------


def test_arrays_and_initial_states_come_from_a_file(tmp_path: Path):
    program, out = load(TWO_LAYERS), tmp_path / "out"
    data = normal_arrays(program, SIZES)
    start = drawn(program, SIZES)
    np.savez(tmp_path / "data.npz", **data, U=start["U"])
    assert run(["solve", "--program", str(TWO_LAYERS), "--data", str(tmp_path / "data.npz"), "--set", "R=3",
                "--init", "W=0.2", "--at", "0,1,2", "-o", str(out), "--figures", "none"]) == 0  # fmt: skip
    found = trajectory.load(out / "trajectory.nc")
    assert dict(found.U.sizes) == {"time": 3, "i": 4, "r": 3}
    assert dict(found.W.sizes) == {"time": 3, "r": 3, "k": 2}
    np.testing.assert_array_equal(found.U[0], start["U"])
    predicted = data["x"] @ start["U"] @ found.W[0].values
    assert float(found.loss[0]) == pytest.approx(((predicted - data["y"]) ** 2).sum() / 14, rel=1e-12)
    assert found.loss.attrs == {"long_name": "loss"}
    assert found.attrs["title"] == "Linear network of two layers"
    assert found.attrs["equation"] == "program two_layers.py"


def test_arrays_at_random_come_from_the_seed(tmp_path: Path):
    y = normal_arrays(load(TWO_LAYERS), SIZES, seed=5)["y"]
    assert run(["solve", "--program", str(TWO_LAYERS), "--data", "normal", "--set", "N=7,D=4,R=3,K=2", "--seed", "5",
                "--at", "0", "-o", str(tmp_path), "--figures", "none"]) == 0  # fmt: skip
    assert float(trajectory.load(tmp_path / "trajectory.nc").loss[0]) == pytest.approx((y**2).sum() / 14, rel=1e-12)


def test_a_run_is_resumed_only_with_the_same_program_and_data(write, tmp_path: Path, capsys: pytest.CaptureFixture):
    file, out = write(two_layers(parameters="scalars('mu')").replace("** 2 / (2 * N)", "** 2 * mu / (2 * N)").replace(
        "program =", "(mu,) = scalars('mu')\nprogram =")), tmp_path / "out"  # fmt: skip
    common = ["simulate", "--program", str(file), "--data", "normal", "--init", "0.1", "--lr", "0.1", "--seeds", "2",
              "--figures", "none", "-o", str(out)]  # fmt: skip
    sizes = "N=7,D=4,R=3,K=2,mu=0.5"
    assert run([*common, "--set", sizes, "--steps", "5"]) == 0
    whole = trajectory.load(out / "run.nc")
    assert dict(whole.U.sizes) == {"seed": 2, "time": 6, "i": 4, "r": 3}
    resume = [*common, "--resume", str(out / "checkpoint.npz"), "--steps", "8"]
    assert run([*resume, "--set", sizes.replace("0.5", "0.6")]) == 2
    assert "parameter_mu" in capsys.readouterr().err
    assert run([*resume, "--set", sizes, "--seed", "0"]) == 0
    text = file.read_text()
    file.write_text(text.replace("2 * N", "3 * N"))
    assert run([*resume, "--set", sizes]) == 2
    assert "sha256_program" in capsys.readouterr().err


def test_the_page_word_for_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (HERE / "docs" / "own-model.md").read_text(encoding="utf-8")
    files = re.findall(r"```python\n(from dynamics\.program_file import \*\n.*?)```", text, re.DOTALL)
    if not files:
        pytest.skip("the page shows no program")
    assert TWO_LAYERS.read_text(encoding="utf-8").endswith(files[0])
    (tmp_path / "two_layers.py").write_text(files[0], encoding="utf-8")
    (tmp_path / "examples").symlink_to(HERE / "examples")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^dynamics (.* --program .*)", text, re.MULTILINE)
    assert {command.split()[0] for command in commands} == {"derive", "solve", "simulate", "phase"}
    for number, command in enumerate(commands):
        assert run([*shlex.split(command, comments=True), "-o", f"out{number}"]) == 0, command


def test_a_diagram_goes_on_unless_the_equations_have_changed(tmp_path: Path, capsys: pytest.CaptureFixture):
    file, out = tmp_path / "own.py", tmp_path / "out"
    file.write_text(GATED.read_text())
    command = ["phase", "--program", str(file), "--x", "p0=0.1:1:4", "--y", "beta10=0:1:3", "--fix", "beta00=0",
               "--time", "2", "-o", str(out)]  # fmt: skip
    assert run(command) == 0
    assert trajectory.load(out / "phase.nc").value.attrs["long_name"] == "p at the end"
    assert run([*command, "--resume"]) == 0
    assert "12 of those before" in capsys.readouterr().out
    changed = GATED.read_text().replace("loss=p *", "loss=2 * p *")
    assert changed != GATED.read_text()
    file.write_text(changed)
    assert run([*command, "--resume"]) == 2
    assert "the equations of the program have changed since" in capsys.readouterr().err


@pytest.mark.parametrize("file", [TWO_LAYERS, GATED, LINEAR_ATTENTION], ids=lambda file: file.stem)
def test_the_document_names_the_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert run(["derive", "--program", str(file)]) == 0
    text = capsys.readouterr().out
    assert f"[program {file.name}]" in text.splitlines()[0]
    for state in load(file).state_names:
        assert f"{state}dot" in text
    assert "compiled flow against the equations in plain Python" in text
    assert run(["derive", "--program", str(file), "--source"]) == 0
    assert "def kernel(" in capsys.readouterr().out
    assert run(["derive", "--program", str(file), "--format", "latex", "-o", str(tmp_path)]) == 0
    assert (tmp_path / f"{file.stem}.tex").read_text(encoding="utf-8").endswith("\\end{document}\n")


def test_a_document_of_one_thing(tmp_path: Path, capsys: pytest.CaptureFixture):
    for more in (["joint"], ["--all"]):
        line = refusal(["derive", *more, "--program", str(GATED)], tmp_path / "out", capsys)
        assert line == "error: --program is a derivation: leave out the name, and --all"


def test_help_says_that_the_file_is_executed():
    for command in ("solve", "simulate", "phase", "derive"):
        shown = subprocess.run(
            [sys.executable, "-m", "dynamics.cli", command, "--help"], capture_output=True, text=True, check=True,
            env={"COLUMNS": "200", "PATH": "", "HOME": "/tmp"},
        ).stdout  # fmt: skip
        assert "The file is executed" in " ".join(shown.split()), command


# -- wrong files ----------------------------------------------------------------------------------------------------

SYMPY = "from sympy import Function, Matrix, Sum, Symbol, floor\n"
WRONG = {
    "index without an extent": (
        two_layers(hidden=HIDDEN.replace("x[n, i]", "x[n, j]")),
        "definition of h[n, r]: index j of x[n, j] has no extent",
    ),
    "shape": (
        two_layers(predicted=PREDICTED.replace("h[n, r]", "h[n, i]")),
        "definition of z[n, k]: index i is neither on the left-hand side nor reduced over",
    ),
    "shape, reduced": (
        two_layers(predicted="Definition(z[n, k], SumOver(h[n, i] * W[i, k], i))"),
        "definition of z[n, k]: index i of W[i, k] runs over D where W has R entries",
    ),
    "rank": (
        two_layers(hidden=HIDDEN.replace("x[n, i]", "x[i]")),
        "definition of h[n, r]: x[i] has 1 subscripts, not 2",
    ),
    "no subscripts": (
        two_layers(hidden=HIDDEN.replace("x[n, i]", "x")),
        "definition of h[n, r]: x has 0 subscripts, not 2",
    ),
    "left side without subscripts": (two_layers(hidden=HIDDEN.replace("h[n, r]", "h")), "definition of h: what is"),
    "index that does not occur": (
        two_layers(hidden=HIDDEN.replace(", i))", ", i, k))")),
        "definition of h[n, r]: reduces over k, which does not occur in U[i, r]*x[n, i]",
    ),
    "reduction over nothing": (two_layers(hidden=HIDDEN.replace(", i))", "))")), "definition of h[n, r]: SumOver of"),
    "free index": (two_layers(hidden="Definition(h[n, r], x[n, i] * U[i, r])"), "definition of h[n, r]: index i is"),
    "maximum": (two_layers(hidden=HIDDEN.replace("SumOver", "MaxOver")), "definition of h[n, r]: a maximum is not"),
    "step function": (
        SYMPY + two_layers(predicted=PREDICTED.replace("h[n, r]", "floor(h[n, r])")),
        "definition of z[n, k]: floor cannot be differentiated",
    ),
    "unknown function": (
        SYMPY + two_layers(predicted=PREDICTED.replace("h[n, r]", "Function('f')(h[n, r])")),
        "definition of z[n, k]: f cannot be differentiated",
    ),
    "sympy's sum": (
        SYMPY + two_layers(predicted="Definition(z[n, k], Sum(h[n, r] * W[r, k], (r, 1, R)))"),
        "definition of z[n, k]: Sum cannot be differentiated and compiled; there are SumOver",
    ),
    "matrix": (SYMPY + two_layers(predicted="Definition(z[n, k], Matrix([1]))"), "definition of z[n, k]: "),
    "imaginary": (two_layers(predicted=PREDICTED.replace("h[n, r]", "sqrt(-2) * h[n, r]")), "definition of z[n, k]: "),
    "square of an index": (
        two_layers(predicted=PREDICTED.replace("W[r, k]", "W[r**2, k]")),
        "definition of z[n, k]: subscript r**2 of W[r**2, k] must be an index",
    ),
    "beyond the last": (
        two_layers(predicted=PREDICTED.replace("W[r, k]", "W[r + R, k]")),
        "definition of z[n, k]: there is no entry W[R + r, k]",
    ),
    "largest of neighbours": (
        two_layers(hidden=HIDDEN.replace("SumOver(x[n, i]", "LogSumExp(x[n, i - 1]")),
        "definition of h[n, r]: LogSumExp over i reads beyond a tensor where not i >= 1; say which entries count",
    ),
    "negative subscript": (
        two_layers(predicted=PREDICTED.replace("W[r, k]", "W[r, k] * x[n, -1]")),
        "definition of z[n, k]: subscript -1 of x[n, -1] must be an index",
    ),
    "size of no index": (
        SYMPY + two_layers(predicted=PREDICTED.replace("h[n, r]", "Symbol('Q', integer=True) * h[n, r]")),
        "definition of z[n, k]: Q is neither an index nor a size",
    ),
    "text for an expression": (two_layers(hidden="Definition(h[n, r], 'x')"), "definition of h[n, r]: 'x' is not an"),
    "no definition": (two_layers(hidden="(h[n, r], 3)"), "(h[n, r], 3) is not a definition"),
    "defined twice": (two_layers(predicted=HIDDEN), "definition of h[n, r]: h is defined twice"),
    "out of order": (two_layers(hidden=PREDICTED, predicted=HIDDEN), "definition of z[n, k]: h is read before"),
    "declared twice": (two_layers(data="[x[n, i], y[n, k], U[i, r]]"), "state U is declared twice"),
    "data without indices": (
        two_layers(data="[x[n, i], y[n, k], *scalars('c')]", predicted=PREDICTED.replace("h[n, r]", "scalars('c')[0]")),
        "data: c has no index; a number is given as one of the parameters=[c]",
    ),
    "state without indices": (two_layers(states="[U, W]"), "states: U is not a tensor with its indices"),
    "diagonal state": (two_layers(extents="{n: N, i: D, r: D, k: K}", states="[U[i, i], W[r, k]]"), "U[i, i] is not"),
    "ragged state": (
        two_layers(extents="{n: N, i: D, r: tensors('m', integer=True)[0][n], k: K}", states="[U[i, r], W[r, k]]",
                   data="[x[n, i], y[n, k], tensors('m', integer=True)[0][n]]"),
        "state U[i, r]: index r has rows of different lengths",
    ),
    "idle state": (
        two_layers(predicted="Definition(z[n, k], y[n, k] ** 2)"),
        "the loss does not depend on state U",
    ),
    "no states": (two_layers(states="[]", data="[x[n, i], y[n, k], U[i, r], W[r, k]]"), "has no states"),
    "no loss": (two_layers(loss=""), "has no loss"),
    "loss with an index": (
        two_layers(loss="SumOver((z[n, k] - y[n, k]) ** 2, n)"),
        "definition of loss: index k is neither on the left-hand side nor reduced over",
    ),
    "loss that is a tensor": (two_layers(loss="z[n, k]"), "the loss is z[n, k]; call it loss, a scalar"),
    "flow of some": (two_layers(flow="{'U': 'U'}", loss=""), "state W has no flow"),
    "flow of another shape": (two_layers(flow="{'U': 'U', 'W': 'h'}"), "the flow h of W does not have its shape"),
    "taken name": (two_layers().replace("x y U W h z", "x y U W time z"), "time is what results call something else"),
    "extent that is no size": (
        two_layers(extents="{n: N, i: D, r: R, k: scalars('q')[0]}"),
        "extents: q of index k is not a size; make one with sizes('V')",
    ),
    "extent of nothing": (two_layers(extents="{n: N, i: D, r: 0, k: K}"), "extents: 0 of index r is no size"),
    "extent that is a difference": (two_layers(extents="{n: N, i: D, r: D - 1, k: K}"), "extents: D - 1 of index r is"),
    "extent of no index": (two_layers(extents="{'n': N}"), "extents: 'n' is not an index; make it with indices('n')"),
    "extents as a list": (two_layers(extents="[n, i]"), "extents: [n, i] does not say"),
    "syntax": (two_layers() + "x = = 3", "line 7: invalid syntax: x = = 3"),
    "name that is not there": (two_layers(hidden="Definition(hh[n, r], 1)"), "line 6: name 'hh' is not defined"),
    "name, nearly": (two_layers() + "x = modle()", "line 7: name 'modle' is not defined; did you mean 'model'?"),
    "nothing imported": ("(x,) = tensors('x')", "line 1: name 'tensors' is not defined; begin the file with: from"),
    "no program": (two_layers().replace("program =", "programme ="), "there is no 'program'; end the file with"),
    "program of another type": ("program = 3", "'program' is no program but of type int"),
    "error of its own": (two_layers() + "1 / 0", "line 7: division by zero"),
    "exit": (two_layers() + "raise SystemExit('bye')", "line 7: bye"),
    "unknown keyword": (two_layers(stats="3"), "line 6: model() got an unexpected keyword argument 'stats'"),
    "no text": ("\0", "source code string cannot contain null bytes"),
}  # fmt: skip


def refusal(arguments: list[str], out: Path, capsys: pytest.CaptureFixture) -> str:
    """The one line that wrong input is answered with; nothing is written."""
    capsys.readouterr()
    assert run([*arguments, "-o", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert not out.exists()
    assert len(line) < 300
    return line


@pytest.mark.parametrize("case", WRONG, ids=WRONG)
def test_wrong_files_are_refused_in_words(case: str, write, tmp_path: Path, capsys: pytest.CaptureFixture):
    text, told = WRONG[case]
    file = write(text)
    line = refusal(
        ["solve", "--program", str(file), "--data", "normal", "--set", "N=7,D=4,R=3,K=2"], tmp_path / "out", capsys
    )
    where = f"error: own.py, {told}" if told.startswith("line ") else f"error: own.py: {told}"
    assert line.startswith(where), line


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture):
    line = refusal(["phase", "--program", str(tmp_path / "none.py")], tmp_path / "out", capsys)
    assert line.endswith("does not exist")


DATA = {
    "no data": (["--set", "R=3"], "program two_layers.py: the data lack x; give x[n, i] as an array"),
    "a size too few": (["--data", "FILE"], "program two_layers.py: no value for R; give each one, R=3"),
    "a size that differs": (["--data", "FILE", "--set", "R=3,D=5"], "D = 5, but the data have 4; leave it out"),
    "no size": (["--data", "FILE", "--set", "R=3,Q=5"], "program two_layers.py has no size or parameter 'Q'"),
    "half a size": (["--data", "FILE", "--set", "R=2.5"], "R = 2.5 must be a whole number from 1"),
    "rate as a parameter": (["--data", "FILE", "--set", "R=3,eta_U=2"], "program two_layers.py has no size or param"),
    "unknown state": (["--data", "FILE", "--set", "R=3", "--init", "V=1"], "initial 'V': the states of program two_l"),
    "negative deviation": (["--data", "FILE", "--set", "R=3", "--init", "U=-1"], "--init: U = -1.0 must be a number"),
    "a task": (["--data", "FILE", "--set", "R=3", "--task", "copying"], "program two_layers.py has data of its own"),
    "a model": (["--model", "keyword"], "--program is a model: leave out --model"),
    "heads": (["--heads", "2"], "--program is a model: leave out --model, --heads"),
    "words": (["--data", "FILE", "--set", "R=3", "--words", "a"], "--words shows words of the models of the package"),
    "not a file of arrays": (["--data", str(TWO_LAYERS)], f"'{TWO_LAYERS}' is not a file of arrays"),
    "closure": (["--data", "FILE", "--set", "R=3", "--theory", "closure"], "--theory closure is for the models"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA, ids=DATA)
def test_wrong_options(case: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    options, told = DATA[case]
    np.savez(tmp_path / "data.npz", **normal_arrays(load(TWO_LAYERS), SIZES))
    options = [str(tmp_path / "data.npz") if option == "FILE" else option for option in options]
    line = refusal(["solve", "--program", str(TWO_LAYERS), *options], tmp_path / "out", capsys)
    assert line.startswith(f"error: {told}"), line


def test_more_wrong_options(write, tmp_path: Path, capsys: pytest.CaptureFixture):
    out, normal = tmp_path / "out", ["--data", "normal", "--set", "N=7,D=4,R=3,K=2"]
    assert "arrays are taken whole" in refusal(
        ["simulate", "--program", str(TWO_LAYERS), *normal, "--batch", "3"], out, capsys
    )
    for option in (["--set", "R=3"], ["--data", "normal"]):
        assert "--data and --set are for --program FILE" in refusal(["solve", *option], out, capsys)
    assert "not a system of scalars" in refusal(["phase", "--program", str(TWO_LAYERS)], out, capsys)
    assert "leave --system out" in refusal(["phase", "--program", str(GATED), "--system", "joint"], out, capsys)
    flow = write(two_layers(flow="{'U': 'U', 'W': 'W'}"))
    assert "gives its own" in refusal(["solve", "--program", str(flow), *normal, "--lr", "0.1"], out, capsys)
    whole = write(KEYWORD)
    normal[-1] = "N=7,V=3,K=2"
    assert "cannot be drawn at random" in refusal(["solve", "--program", str(whole), *normal], out, capsys)
    assert "has no size or parameter 'Q'" in refusal(["solve", "--program", str(whole), "--set", "Q=1"], out, capsys)
    assert "the examples decide it" in refusal(["solve", "--program", str(whole), "--set", "V=9"], out, capsys)
    assert "write y[n, t]" in refusal(["solve", "--program", str(whole), "--task", "copying"], out, capsys)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"x": np.zeros((7, 4, 1))}, "x has 3 dimensions where x[n, i] has 2"),
        ({"x": np.zeros((6, 4))}, "y has 7 entries along N, and x has 6; they must agree"),
        ({"x": np.full((7, 4), np.nan)}, "x has a number that is not finite"),
        ({"x": np.zeros((7, 0))}, "x is empty; give at least one entry along D"),
        ({"x": [["a"]]}, "x must be an array of numbers"),
        ({"q": 1.0}, "there is no 'q' to give; the data of program two_layers.py are x, y"),
    ],
)
def test_wrong_arrays(changes, told: str):
    program = load(TWO_LAYERS)
    with pytest.raises(InputError) as error:
        on_arrays(program, normal_arrays(program, SIZES) | changes, {"R": 3})
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"x": [0, 1, 2, 3]}, "x[n, l] is 3 in s[x[n, l]], where s has 3 entries; give numbers from 0 to 2"),
        ({"x": [0, -1, 2, 2]}, "x[n, l] is -1 in s[x[n, l]]"),
        ({"y": [0, 2]}, "y[n] is 2 in z[n, y[n]], where z has 2 entries"),
        ({"x": [0, 1.5, 2, 2]}, "x must hold whole numbers"),
        ({"x": [0, 1, 2]}, "length adds up to 4, but there are 3 entries"),
    ],
)
def test_tables_that_point_nowhere_are_refused(changes, told: str, write):
    data = {"length": [3, 1], "x": [0, 1, 2, 2], "y": [0, 1]}
    program = load(write(KEYWORD))
    assert gap(program, data, {"V": 3, "K": 2}, drawn(program, {"V": 3, "K": 2})) < 1e-8
    with pytest.raises(InputError) as error:
        solve(program, data | changes, [0, 1], values={"V": 3, "K": 2})
    assert str(error.value).startswith(told)


def test_text_looks_up_only_what_is_there(write):
    task = SparseBoolean("and", 6, 2)
    for old, new, told in (
        ("z[n, y[n]]", "z[n, 2]", "looks up z, which has 2 entries, by 2"),
        ("s[x[n, l]] - M[n]", "s[x[n, 1]] * s[x[n, l]]", "looks up x, which has 1 entries, by 1"),
        ("W[x[n, l], k]", "W[length[n], k] / length[n]", "by length"),
    ):
        text = KEYWORD.replace(old, new)
        assert text != KEYWORD
        # how many outputs there are is told by what the answers look up, or else by the reader
        model = on_examples(load(write(text)), {"K": 2} if "z[n, y[n]]" not in text else {})
        with pytest.raises(InputError, match="looks up") as error:
            solve(model, task.examples(5, 0), [0, 1])
        assert told in str(error.value)


def test_a_check_that_fails_is_status_1(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynamics.problems.equations.checks", lambda program: [Check("the flow", 1.0, 1e-6)])
    assert run(["derive", "--program", str(GATED)]) == 1
    assert "failed" in capsys.readouterr().err


# -- names, tables and losses of one's own -----------------------------------------------------------------------------

START = "from dynamics.program_file import *\n"
OWN = {
    "named lambda": (
        "w, lam = scalars('w lambda')\n"
        "program = model(states=[w], parameters=[lam], loss=(w - 1) ** 2 / 2 + lam * w**2 / 2)",
        {}, {"lambda": 1.0}, {"w": 0.0}, 0.5 / 2 * (1 + math.exp(-4.0)),
    ),
    "Eq of tables": (
        "(N, D), (n, l), (w, z), (t, u) = sizes('N D'), indices('n l'), tensors('w z'), tensors('t u', integer=True)\n"
        "program = model(extents={n: N, l: D}, data=[t[n, l], u[n]], states=[w[l]],"
        " loss=SumOver((z[n] - 1) ** 2 / 2, n),"
        " definitions=[Definition(z[n], SumOver(Piecewise((w[l], Eq(t[n, l], u[n])), (0, True)), l))])",
        {"t": [[0, 1], [1, 0]], "u": [0, 0]}, {}, {}, math.exp(-2.0),
    ),
    "an entry by its number": (
        "(N,), (n,), (w,) = sizes('N'), indices('n'), tensors('w')\n"
        "program = model(extents={n: N}, states=[w[n]], loss=SumOver(w[n] ** 2 / 2 + (w[4] - 1) ** 2 / (2 * N), n))",
        {}, {"N": 5.0}, {}, 0.25 * (1 + math.exp(-4.0)),
    ),
    "a square matrix": (
        "(I,), (i, j), (S, w) = sizes('I'), indices('i j'), tensors('S w')\n"
        "program = model(extents={i: I, j: I}, data=[S[i, j]], states=[w[i]],"
        " loss=SumOver(S[i, j] * w[i] * w[j] / 2, i, j))",
        {"S": [[2.0, 1.0], [1.0, 2.0]]}, {}, {"w": [1.0, 1.0]}, 3 * math.exp(-2 * 3 * 1.0),
    ),
    "a rate of one's own": (
        "w, wdot, eta_w = scalars('w wdot eta_w')\n"
        "program = model(states=[w], parameters=[eta_w], definitions=[Definition(wdot, -eta_w * w)], loss=w,"
        " flow={'w': 'wdot'})",
        {}, {"eta_w": 3.0}, {"w": 2.0}, 2 * math.exp(-3.0),
    ),
    "a mean called xbar": (
        "(V,), (i,), (x, f, xdot), (xbar,) = sizes('V'), indices('i'), tensors('x f xdot'), scalars('xbar')\n"
        "program = model(extents={i: V}, data=[f[i]], states=[x[i]], loss=-xbar, flow={'x': 'xdot'}, definitions=["
        "Definition(xbar, SumOver(x[i] * f[i], i)), Definition(xdot[i], x[i] * (f[i] - xbar))])",
        {"f": [1.0, 0.0]}, {}, {"x": [0.5, 0.5]}, -1 / (1 + math.exp(-1.0)),
    ),
    "a loss of another name": (
        "(w,), (total, norm) = scalars('w'), scalars('total norm')\n"
        "program = model(states=[w], definitions=[Definition(norm, w**2), Definition(total, norm / 2)], loss=total)",
        {}, {}, {"w": 2.0}, 2 * math.exp(-2.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OWN)
def test_own_names_tables_and_losses(case: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    text, data, values, initial, loss = OWN[case]
    file = tmp_path / "own.py"
    file.write_text(START + text, encoding="utf-8")
    assert run(["derive", "--program", str(file)]) == 0
    assert "all hold" in capsys.readouterr().out
    arrays = {name: np.array(value) for name, value in data.items()}
    found = solve(load(file), arrays, [0, 1], values=values, initial=initial, rtol=1e-9)
    assert float(found.loss[-1]) == pytest.approx(loss, rel=1e-6)
