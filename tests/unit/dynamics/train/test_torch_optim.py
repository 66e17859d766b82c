"""Steps of every optimiser and schedule against torch.optim, for 200 steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracles.models import rows_of

from dynamics.problems.kinds.models import lexical
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.tasks.examples import Examples
from dynamics.train.simulate import simulate

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra torch)")

import oracles.torch_models as reading  # noqa: E402 - it needs PyTorch

STEPS = 200
EXAMPLES = Examples.from_rows([[0, 1, 2], [2, 2, 3], [3, 0], [1, 3]], [[1, 0], [2], [2, 2], [0]], 4, 3)
LAMBDAS: dict[str, Any] = {
    "constant": lambda k: 1.0,
    "warmup:20": lambda k: min(1.0, (k + 1) / 20),
    "steps:50:0.5": lambda k: 0.5 ** (k // 50),
}
SGD, RMS, ADAM, ADAMW = torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adam, torch.optim.AdamW
CASES: dict[str, tuple[Optimizer, Any, dict[str, Any]]] = {
    "descent": (Optimizer("descent", 0.5, weight_decay=0.01), SGD, {"weight_decay": 0.01}),
    "momentum": (Optimizer("momentum", 0.1, weight_decay=0.02), SGD, {"momentum": 0.9, "weight_decay": 0.02}),
    "nesterov": (Optimizer("nesterov", 0.1, momentum=0.8), SGD, {"momentum": 0.8, "nesterov": True}),
    "rmsprop": (Optimizer("rmsprop", 0.002, weight_decay=0.1), RMS, {"weight_decay": 0.1}),
    "adam": (Optimizer("adam", 0.01), ADAM, {}),
    "adam coupled": (
        Optimizer("adam", 0.003, beta_1=0.5, beta_2=0.9, eps=1e-4, weight_decay=0.1), ADAM,
        {"betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1},
    ),
    "adamw": (Optimizer("adamw", 0.02), ADAMW, {}),
    "adamw decays": (Optimizer("adamw", 0.02, weight_decay=0.3), ADAMW, {"weight_decay": 0.3}),
}  # fmt: skip


def theirs(make: Any, lr: float, options: dict[str, Any], factor: Any, start: dict[str, np.ndarray]) -> Any:
    states = {name: reading.double(value).requires_grad_() for name, value in start.items()}
    steps = make(list(states.values()), lr=lr, **options)
    schedule = factor(steps) if isinstance(factor, type) else torch.optim.lr_scheduler.LambdaLR(steps, factor)
    rows = rows_of(EXAMPLES)
    for _ in range(STEPS):
        steps.zero_grad()
        reading.lexical(states, rows).backward()
        steps.step()
        schedule.step()
    return {name: value.detach().numpy() for name, value in states.items()}


def agree(optimizer: Optimizer, make: Any, options: dict[str, Any], factor: Any) -> None:
    start = lexical().initial(EXAMPLES, {"W": 0.5, "A": 0.5}, 3)
    run = simulate(lexical(), EXAMPLES, optimizer=optimizer, steps=STEPS, records=[0, STEPS], initial=start)
    expected = theirs(make, optimizer.lr, options, factor, start)
    for name, value in expected.items():
        assert np.abs(value - start[name]).max() > 0.1
        np.testing.assert_allclose(run[name].values[0, -1], value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_torch(case: str) -> None:
    optimizer, make, options = CASES[case]
    agree(optimizer, make, options, LAMBDAS["constant"])


@pytest.mark.parametrize("schedule", [name for name in LAMBDAS if name != "constant"])
def test_schedules_are_those_of_torch(schedule: str) -> None:
    agree(Optimizer("adam", 0.02, schedule), ADAM, {}, LAMBDAS[schedule])


def test_a_cosine_is_that_of_torch() -> None:
    def annealed(k: int) -> float:
        return 0.1 + 0.9 * (1 + np.cos(np.pi * min(k, 150) / 150)) / 2

    closed = torch.optim.lr_scheduler.CosineAnnealingLR(
        SGD([torch.zeros(1, requires_grad=True)], lr=1.0), T_max=150, eta_min=0.1
    )
    for k in range(150):  # torch's own goes by a recursion
        assert closed.get_last_lr()[0] == pytest.approx(annealed(k), abs=1e-12)
        closed.optimizer.step()
        closed.step()
    agree(Optimizer("momentum", 0.1, "cosine:150:0.1"), SGD, {"momentum": 0.9}, annealed)


def test_a_linear_schedule_is_that_of_torch() -> None:
    class Linear(torch.optim.lr_scheduler.LinearLR):
        def __init__(self, steps: Any) -> None:
            super().__init__(steps, start_factor=1.0, end_factor=0.25, total_iters=120)

    agree(Optimizer("adamw", 0.02, "linear:120:0.25"), ADAMW, {}, Linear)
