"""The LSTM of examples/copying_flow.py: its program and its starts, against a second writing and against PyTorch."""

from __future__ import annotations

import importlib.util
import random
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dynamics import rhs, solve
from dynamics.lowering.arrays import array_kernel
from dynamics.program_file import SumOver, indices, model, sizes, tensors

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Arrays = dict[str, np.ndarray]


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # its dataclasses look there
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded("copying_flow")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def loss_by_hand(w: Arrays, x: np.ndarray, p: np.ndarray) -> float:
    """The mean cross-entropy, one sentence and one place after the other."""
    total = 0.0
    for source, before in zip(x, p, strict=True):
        state = cell = np.zeros(w["m"].size)
        rows: dict[str, list[np.ndarray]] = {"W": [], "U": []}
        for letter, words in (("W", source), ("U", before)):
            for word in words:
                i, f, g, o = (
                    w[f"{letter}x_{k}"] @ w["E"][word] + w[f"{letter}bx_{k}"] + w[f"{letter}h_{k}"] @ state
                    + w[f"{letter}bh_{k}"] for k in "ifgo"
                )  # fmt: skip
                cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
                state = sigmoid(o) * np.tanh(cell)
                rows[letter].append(state)
        encoded = np.array(rows["W"])
        for own, target in zip(rows["U"], source, strict=True):
            scores = encoded @ (w["Q"] @ own + w["q"])
            attention = np.exp(scores) / np.exp(scores).sum()
            mixed = np.hstack([w["M"], w["A"]]) @ np.hstack([own, w["C"] @ (attention @ encoded) + w["b"]]) + w["m"]
            logits = w["R"] @ np.maximum(mixed, 0) + w["r"]
            total += float(np.log(np.exp(logits).sum()) - logits[target])
    return total / x.size


def test_the_gradient_of_a_small_one_is_that_of_differences() -> None:
    places, words, width = 3, 4, 3
    numbers, program = np.random.default_rng(0), loaded("copying_program").copier(places)
    extents = {"N": 2, "V": words, "D": width}
    shape_of = {str(index): int(n.xreplace({s: extents[s.name] for s in n.free_symbols}))
                for index, n in program.extents.items()}  # fmt: skip
    weights = {s.base.name: numbers.normal(size=[shape_of[str(k)] for k in s.indices]) for s in program.states}
    data = {"x": numbers.integers(words, size=(2, places)), "p": numbers.integers(words, size=(2, places))}
    flow = rhs(program, data, backend="numpy", values={"V": words, "D": width})
    found = flow.unpack(flow(0, flow.pack(weights)))
    loss = array_kernel(flow.problem.program, ("loss",))(**weights, **data, **extents)["loss"]
    assert float(loss) == pytest.approx(loss_by_hand(weights, **data), abs=1e-13)
    step = 1e-5
    for name, value in weights.items():
        slope = np.empty(value.shape)
        for at in np.ndindex(value.shape):
            moved = [value.copy(), value.copy()]
            moved[0][at] += step
            moved[1][at] -= step
            up, down = (loss_by_hand({**weights, name: one}, **data) for one in moved)
            slope[at] = (up - down) / (2 * step)
        np.testing.assert_allclose(found[name], -slope, atol=1e-9, err_msg=name)


def test_numbers_are_drawn_as_pytorch_draws_them(script: ModuleType) -> None:
    """What torch.rand(4) gives after torch.manual_seed(0)."""
    np.testing.assert_array_equal(script.Draws(0).shares(4).round(4), np.float32([0.4963, 0.7682, 0.0885, 0.1320]))


def test_sentences_have_distinct_words_an_end_and_a_start(script: ModuleType) -> None:
    for words in (script.LENGTH, 2 * script.LENGTH):
        found = script.sentences(np.random.default_rng(0), 50, words)
        copied, ends = found["x"][:, :-1], found["x"][:, -1]
        assert all(len(set(one)) == script.LENGTH for one in copied.tolist())
        assert set(copied.ravel().tolist()) == set(range(words))
        assert (ends == words).all()
        assert (found["p"][:, 0] == words + 1).all()
        np.testing.assert_array_equal(found["p"][:, 1:], copied)


def test_steps_to_the_threshold(script: ModuleType) -> None:
    steps, rest = np.array([0.0, 10.0, 20.0]), np.zeros(3)
    assert script.Course(20, steps, np.array([0.1, 0.8, 1.0]), rest).time == pytest.approx(15)
    assert np.isnan(script.Course(20, steps, np.array([0.1, 0.2, 0.3]), rest).time)


def test_parts_of_a_step_come_to_the_flow_of_adam_with_second_order(script: ModuleType) -> None:
    """Against the full flow by `solve`, where a loss with a narrow valley makes the averages swing."""
    (D,), (d,), (w, y) = sizes("D"), indices("d"), tensors("w y")
    valley = model(extents={d: D}, data=y[d], states=w[d], loss=SumOver(y[d] * (w[d] ** 2 / 2 + w[d] ** 4 / 4), d))
    steep, begun, last = np.array([1.0, 3.0]), np.array([1.0, -0.6]), 24
    flow = solve(
        valley, {"y": steep}, [0, 0.05 * last], initial={"w": begun}, optimizer="adam", lr=0.05, rtol=1e-10, atol=1e-13
    )
    ends = []
    for parts in (2, 4, 8, 16):
        going = script.under_adam(
            lambda now: ({"w": steep * (now["w"] + now["w"] ** 3)}, None), {"w": begun}, parts, 0.05
        )
        ends += [states["w"] for step, states in islice(going, last * parts + 1) if step == last]
    moved = abs(np.diff(ends, axis=0)).max(axis=1)
    assert (abs(np.log2(moved[:-1] / moved[1:]) - 2) < 0.2).all(), moved
    # The averages begin half a step ahead, and those of `solve` 0.504 of one.
    np.testing.assert_allclose(ends[-1], flow.w.values[-1], atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("words", [10, 20])
def test_start_loss_and_gradient_are_those_of_pytorch(script: ModuleType, words: int) -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed (the extra torch)")
    theirs, seed = loaded("copying_starts"), 3
    run, parameters = theirs.model(torch, words, seed)
    for parameter in parameters:
        parameter.data = parameter.data.double()
    source, target = theirs.sentences(torch, words, 32, random.Random(5))
    loss = theirs.loss_of(torch, run(source, target)[0], target)
    loss.backward()

    def named(values: list[np.ndarray]) -> Arrays:
        """PyTorch's tensors, in the order in which they are drawn, by our names."""
        found = {"E": values[0], **dict(zip("mRrQqCb", values[10:], strict=True))}
        for letter, own in (("W", values[1:5]), ("U", values[5:9])):
            for kind, value in zip(("x", "h", "bx", "bh"), own, strict=True):
                found |= {f"{letter}{kind}_{k}": part for k, part in zip("ifgo", np.split(value, 4), strict=True)}
        return found | dict(zip("MA", np.split(values[9], 2, axis=1), strict=True))

    weights, slopes = (named([of(one).numpy() for one in parameters]) for of in (lambda a: a.data, lambda a: a.grad))
    for name, value in script.start(words, seed).items():
        np.testing.assert_allclose(value, weights[name], atol=5e-7, err_msg=name)  # single precision, other routines
    data = {"x": source.numpy().T.copy(), "p": target.numpy().T[:, :-1].copy()}
    known = {"V": words + 2, "D": script.WIDTH}
    flow = rhs(loaded("copying_program").program, data, backend="numpy", values=known)
    ours = array_kernel(flow.problem.program, ("loss",))(**weights, **data, **known, N=32)["loss"]
    assert float(ours) == pytest.approx(loss.item(), abs=1e-12)
    found = flow.unpack(flow(0, flow.pack(weights)))
    for name, slope in slopes.items():
        np.testing.assert_allclose(found[name], -slope, rtol=0, atol=1e-10 * abs(slope).max(), err_msg=name)
