"""Small programs that once failed: derived and solved, from the command line and from Python, to what theory says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from dynamics import load, load_program, solve
from dynamics.cli import run
from dynamics.problems.kinds.models import lexical
from dynamics.program_file import model, scalars
from dynamics.support.errors import InputError, IntegrationError
from dynamics.tasks import ToyLexicon

HEAD = "from dynamics.program_file import *\n"
END = 1.0


@dataclass(frozen=True)
class Case:
    """A program, what it is given, and its states at the end."""

    text: str
    end: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    initial: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)


LINEAR_ATTENTION = """
P, N, D, H = sizes("P N D H")
n, l, d, e, h = indices("n l d e h")
x, y, xq, yq, U, v, beta, score, head, z = tensors("x y xq yq U v beta score head z")
program = model(
    "Linear attention, keys and queries merged",
    extents={n: P, l: N, d: D, e: D, h: H}, data=[x[n, l, d], y[n, l], xq[n, d], yq[n]], states=[v[h], U[h, d, e]],
    definitions=[
        Definition(beta[n, d], SumOver(y[n, l] * x[n, l, d] / N, l)),
        Definition(score[n, h, e], SumOver(beta[n, d] * U[h, d, e], d)),
        Definition(head[n, h], SumOver(score[n, h, e] * xq[n, e], e)),
        Definition(z[n], SumOver(v[h] * head[n, h], h)),
    ],
    loss=SumOver((yq[n] - z[n]) ** 2 / P, n),
)
"""

random = np.random.default_rng(3)
REGRESSION = {
    "x": random.standard_normal((4, 5, 3)),
    "y": random.standard_normal((4, 5)),
    "xq": random.standard_normal((4, 3)),
    "yq": random.standard_normal(4),
}
HEADS = {"v": np.array([0.3, -0.2]), "U": 0.3 * random.standard_normal((2, 3, 3))}


def linear_attention(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flow by hand, integrated by SciPy."""
    beta = np.einsum("nl,nld->nd", given["y"], given["x"]) / given["x"].shape[1]
    pair = np.einsum("nd,ne->nde", beta, given["xq"])

    def slope(_: float, packed: np.ndarray) -> np.ndarray:
        v, U = packed[:2], packed[2:].reshape(2, 3, 3)
        head = np.einsum("nde,hde->nh", pair, U)
        miss = 2 * (given["yq"] - head @ v) / len(beta)
        return np.concatenate([miss @ head, np.einsum("n,h,nde->hde", miss, v, pair).ravel()])

    start = np.concatenate([given["v"], given["U"].ravel()])
    end = solve_ivp(slope, (0, END), start, rtol=1e-10, atol=1e-12).y[:, -1]
    return {"v": end[:2], "U": end[2:].reshape(2, 3, 3)}


LAST = np.eye(5)
LAST[:, 4] -= 1  # w - w[4]
CASES = {
    "a tensor called beta": Case(LINEAR_ATTENTION, linear_attention, HEADS, REGRESSION, {"H": 2.0}),
    "a parameter called eta_x": Case(
        "w, wdot, eta_x = scalars('w wdot eta_x')\n"
        "program = model(states=[w], parameters=[eta_x], definitions=[Definition(wdot, -eta_x * w)], loss=w**2,"
        " flow={'w': 'wdot'})",
        lambda given: {"w": given["w"] * np.exp(-0.5 * END)}, {"w": 2.0}, values={"eta_x": 0.5},
    ),
    "a parameter called lambda": Case(
        "w, lam = scalars('w lambda')\n"
        "program = model(states=[w], parameters=[lam], loss=(w - 1) ** 2 / 2 + lam * w**2 / 2)",
        lambda given: {"w": 1 / 4 + (given["w"] - 1 / 4) * np.exp(-4 * END)}, {"w": 2.0}, values={"lambda": 3.0},
    ),
    "an entry by its number": Case(
        "(N,), (n,), (w,) = sizes('N'), indices('n'), tensors('w')\n"
        "program = model(extents={n: N}, states=[w[n]], loss=SumOver((w[n] - w[4]) ** 2, n))",
        lambda given: {"w": expm(-2 * LAST.T @ LAST * END) @ given["w"]}, {"w": np.array([1.0, 2, -1, 0, 3])},
        values={"N": 5.0},
    ),
    "a flow of its own with a mean called fbar": Case(
        "(V,), (i,), (x, f, xdot) = sizes('V'), indices('i'), tensors('x f xdot')\n"
        "(fbar,) = scalars('fbar')\n"
        "program = model(extents={i: V}, data=[f[i]], states=[x[i]], loss=-fbar, flow={'x': 'xdot'}, definitions=["
        "Definition(fbar, SumOver(x[i] * f[i], i)), Definition(xdot[i], x[i] * (f[i] - fbar))])",
        lambda given: {"x": given["x"] * np.exp(given["f"]) / (given["x"] @ np.exp(given["f"]))},
        {"x": np.array([0.5, 0.3, 0.2])}, {"f": np.array([1.0, 2.0, 4.0])},
    ),
    "a root within its domain": Case(
        "x, xdot = scalars('x xdot')\n"
        "program = model(states=[x], definitions=[Definition(xdot, sqrt(Rational(1, 4) - x**2))], loss=-x,"
        " flow={'x': 'xdot'})",
        lambda given: {"x": np.sin(END + np.arcsin(2 * given["x"])) / 2}, {"x": 0.1},
    ),
    "square data": Case(
        "(I,), (i, j), (S, w) = sizes('I'), indices('i j'), tensors('S w')\n"
        "program = model(extents={i: I, j: I}, data=[S[i, j]], states=[w[i]],"
        " loss=SumOver(S[i, j] * w[i] * w[j] / 2, i, j))",
        lambda given: {"w": expm(-(given["S"] + given["S"].T) / 2 * END) @ given["w"]},
        {"w": np.array([1.0, 0.5])}, {"S": np.array([[2.0, 1.0], [0.0, 2.0]])},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_from_python_and_from_the_command_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    case = CASES[name]
    file, arrays, out = tmp_path / "own.py", tmp_path / "arrays.npz", tmp_path / "out"
    file.write_text(HEAD + case.text, encoding="utf-8")
    expected = case.end({**case.data, **case.initial})

    options = {"values": case.values, "initial": case.initial, "rtol": 1e-9, "atol": 1e-12}
    found = solve(load_program(file), case.data, [0, END], **options)
    for state, value in expected.items():
        np.testing.assert_allclose(found[state][-1], value, rtol=1e-6, atol=1e-8)

    assert run(["derive", "--program", str(file)]) == 0
    assert "all hold" in capsys.readouterr().out
    np.savez(arrays, **case.data, **case.initial)
    line = ["solve", "--program", str(file), "--data", str(arrays), "--time", str(END), "--rtol", "1e-9"]
    given = ",".join(f"{one}={value}" for one, value in case.values.items())
    line += ["--set", given] if given else []
    assert run([*line, "--figures", "none", "--output", str(out)]) == 0, capsys.readouterr().err
    written = load(out / "trajectory.nc")
    for state, value in expected.items():
        np.testing.assert_allclose(written[state][-1], value, rtol=1e-6, atol=1e-8)


REFUSED = {
    "a slope that is not finite": (
        "x, xdot = scalars('x xdot')\n"
        "program = model(states=[x], definitions=[Definition(xdot, sqrt(x - 2))], loss=x**2, flow={'x': 'xdot'})",
        {"x": 1.0}, 1, "the integration met a slope that is not finite in x at tau = 0 of 1",
    ),
    "a loss that is not finite": (
        "(w,) = scalars('w')\nprogram = model(states=[w], loss=-log(w - 2))",
        {"w": 1.0}, 1, "the loss is nan at tau = 0: its definition has no finite value there; start from another state",
    ),
    "== of two tables": (
        "(N, D), (n, l), (w, z), (t, u) = sizes('N D'), indices('n l'), tensors('w z'), tensors('t u', integer=True)\n"
        "program = model(extents={n: N, l: D}, data=[t[n, l], u[n]], states=[w[l]], loss=SumOver(z[n] ** 2, n),"
        " definitions=[Definition(z[n], SumOver(Piecewise((w[l], t[n, l] == u[n]), (0, True)), l))])",
        {}, 2,
        "own.py: definition of z[n]: reduces over l, which does not occur in 0; compare with Eq(a, b), as == is"
        " Python's own",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_solved_is_said_in_a_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    text, initial, status, told = REFUSED[name]
    file, arrays, out = tmp_path / "own.py", tmp_path / "arrays.npz", tmp_path / "out"
    file.write_text(HEAD + text, encoding="utf-8")
    np.savez(arrays, **initial)
    line = ["solve", "--program", str(file), "--data", str(arrays), "--time", "1", "--output", str(out)]
    assert run(line) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {told}")
    assert said.err.count("\n") == 1
    assert not out.exists()
    with pytest.raises(IntegrationError if status == 1 else InputError) as error:
        solve(load_program(file), {}, [0, 1], initial=initial)
    assert str(error.value).startswith(told)


def test_a_program_without_a_flow_is_given_one() -> None:
    (w,) = scalars("w")
    found = solve(model(states=[w], loss=w**2), t=[0, 1], initial={"w": 1.0}, rtol=1e-9)
    assert float(found.w[-1]) == pytest.approx(np.exp(-2), rel=1e-6)


def test_a_model_of_the_package_with_a_loss_of_another_name(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file, out = tmp_path / "own.py", tmp_path / "out"
    file.write_text(
        HEAD + "from dataclasses import replace\n"
        "from derivations.models import lexical_attention\n"
        "base = lexical_attention(False).model\n"
        "W = next(s for s in base.states if str(s.base) == 'W')\n"
        "decay, norm, total = scalars('decay norm total')\n"
        "program = replace(base, title='With decay', parameters=(*base.parameters, decay), loss=total, definitions=("
        "*base.definitions, Definition(norm, SumOver(W**2, *W.indices)),"
        " Definition(total, base.loss + decay / 2 * norm)))\n"
    )
    assert run(["derive", "--program", str(file)]) == 0
    assert "all hold" in capsys.readouterr().out
    task = ToyLexicon(vocab=6, length=3)
    line = ["solve", "--program", str(file), "--task", "lexicon", "--vocab", "6", "--length", "3", "--time", "30"]
    for decay in (0.0, 0.05):
        assert run([*line, "--set", f"decay={decay}", "--figures", "none", "--output", str(out)]) == 0, (
            capsys.readouterr().err
        )
        written = load(out / "trajectory.nc")
        found = solve(load_program(file), task, [0, 30], values={"decay": decay})
        plain = solve(lexical(), task, [0, 30])
        if decay:
            assert float((found.W[-1] ** 2).sum()) < 0.9 * float((plain.W[-1] ** 2).sum())
        else:
            np.testing.assert_allclose(found.W[-1], plain.W[-1], atol=1e-4)
            np.testing.assert_allclose(
                found.total[-1] if "total" in found else found.loss[-1], plain.loss[-1], atol=1e-5
            )
        assert written.W.shape[1:] == found.W.shape[1:]
        assert np.isfinite(written.W).all()
