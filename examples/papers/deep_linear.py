"""Deep linear networks learn the strong modes of their data first, each by a sigmoid of its own.

The figure shows what Saxe, McClelland and Ganguli (arXiv 1312.6120, figure 3) show: the strength of each mode of the
correlation between inputs and answers in a network of two layers, from small random weights; lines are the sigmoid
``u(t) = s e^(2 s t) / (e^(2 s t) - 1 + s/u_0)``, bands five runs of gradient descent.

    python examples/papers/deep_linear.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import load_program, simulate
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import COLUMN

PROGRAM = Path(__file__).parents[1] / "programs" / "two_layers.py"
STRENGTHS = np.array([3.0, 2.0, 1.0])
SIZE = 0.002


def modes(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Directions of inputs and of answers, one a column."""
    random = np.random.default_rng(seed)
    count = STRENGTHS.size
    return tuple(np.linalg.qr(random.standard_normal((count, count)))[0] for _ in range(2))  # type: ignore[return-value]


def data() -> dict[str, np.ndarray]:
    """White inputs, and answers of the given strengths: the correlation is ``sum_a s_a input_a answer_a^T``."""
    inputs, answers = modes()
    count = STRENGTHS.size
    x = count**0.5 * np.eye(count)
    return {"x": x, "y": x @ (inputs * STRENGTHS) @ answers.T}


def strengths(U: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The strength of every mode in networks with layers U (..., i, r) and W (..., r, k)."""
    inputs, answers = modes()
    return np.asarray(np.einsum("ia,...ir,...rk,ka->...a", inputs, U, W, answers))


def sigmoid(t: np.ndarray, U: np.ndarray, W: np.ndarray) -> np.ndarray:
    """The strengths from given layers: near zero each mode grows along the mean of what both layers have of it."""
    inputs, answers = modes()
    first = ((np.einsum("ia,ir->ar", inputs, U) + np.einsum("rk,ka->ar", W, answers)) ** 2).sum(-1) / 4
    grown = np.exp(2 * STRENGTHS * t[:, None])
    return np.asarray(STRENGTHS * grown / (grown - 1 + STRENGTHS / first))


def experiment(seeds: int = 5, hidden: int = 6) -> xr.Dataset:
    """Gradient descent from small weights."""
    return simulate(
        load_program(PROGRAM), data(), lr=0.01, steps=1100, seeds=seeds, records=range(0, 1101, 10),
        values={"R": hidden}, initial={"U": SIZE, "W": SIZE},
    )  # fmt: skip


def figure(run: xr.Dataset) -> Figure:
    t = run.time.values
    found = strengths(run.U.values, run.W.values)
    expected = np.array([sigmoid(t, run.U.values[k, 0], run.W.values[k, 0]) for k in range(run.sizes["seed"])])
    with house_style():
        drawn = Figure((COLUMN, 2.4), layout="constrained")
        ax = drawn.subplots()
        for mode, strength in enumerate(STRENGTHS):
            low, high = found[..., mode].min(axis=0), found[..., mode].max(axis=0)
            colour = COLOURS[1 + mode]
            ax.fill_between(t, low, high, color=colour, alpha=0.3, linewidth=0)
            ax.plot(t, np.median(expected[..., mode], axis=0), color=colour)
            ax.text(t[-1], strength, f"  s = {strength:g}", color=colour, va="center")
        ax.set_xlabel("training time τ = learning rate × steps")
        ax.set_ylabel("strength of the mode u (1)")
        ax.set_xlim(0, t[-1])
        ax.set_ylim(0, None)
    return drawn


def main(output: Path) -> None:
    run = experiment()
    last = strengths(run.U.values, run.W.values)[:, -1]
    print("strengths at the end:", ", ".join(f"{one:.3f}" for one in last.mean(axis=0)))
    save(figure(run), output / "deep_linear.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
