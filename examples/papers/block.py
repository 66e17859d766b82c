"""A block of a Transformer as it learns to say what stood a place before: flow and training, from the same equations.

The figure shows what is common to the block of Vaswani et al. (arXiv 1706.03762) with layer normalisation in front and
GELU: causal heads and a hidden layer, in 29 lines; its loss in gradient descent beside that of its gradient flow, and
the attention of its heads to the place before.

    python examples/papers/block.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import load_program, on_arrays, simulate, solve
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import COLUMN
from dynamics.problems.kinds.arrays import OnArrays

PROGRAM = Path(__file__).parents[1] / "programs" / "block.py"
SIZES = {"V": 18, "D": 20, "H": 2, "R": 17, "J": 24}
LENGTH, SEQUENCES = 17, 24


def problem(seed: int = 0) -> OnArrays:
    """Random words, each answered by the one before (the first by itself)."""
    x = np.random.default_rng(seed).integers(SIZES["V"], size=(SEQUENCES, LENGTH))
    return on_arrays(load_program(PROGRAM), {"x": x, "y": np.hstack([x[:, :1], x[:, :-1]])}, SIZES)


def start(of: OnArrays, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal weights, by the square root of what they add up."""
    random = np.random.default_rng(seed)
    return {name: 0.3 * random.standard_normal(shape) for name, shape in of.shapes.items()}


def experiment(latest: float = 60.0, lr: float = 0.1) -> tuple[xr.Dataset, xr.Dataset]:
    """The flow, and descent from the same weights."""
    of = problem()
    initial = start(of)
    theory = solve(of, np.linspace(0, latest, 61), initial=initial, observe=["a"], rtol=1e-4, atol=1e-6)
    return theory, simulate(of, lr=lr, steps=round(latest / lr), initial=initial, records=31)


def before(theory: xr.Dataset) -> np.ndarray:
    """Attention of the heads to the place before, shape (time, head)."""
    place = np.arange(1, LENGTH)
    return np.asarray(theory.a.values[:, :, :, place, place - 1].mean(axis=(1, 3)))


def figure(theory: xr.Dataset, run: xr.Dataset) -> Figure:
    with house_style():
        drawn = Figure((COLUMN, 2.8), layout="constrained")
        ax, below = drawn.subplots(2, 1, sharex=True)
        ax.plot(run.time, run.loss[0], color=COLOURS[6], linewidth=4, alpha=0.6, label="descent")
        ax.plot(theory.time, theory.loss, color=COLOURS[2], label="flow")
        ax.set_ylabel("loss (nats)")
        ax.legend(loc="upper right")
        for head, share in enumerate(before(theory).T):
            below.plot(
                theory.time,
                share,
                color=COLOURS[1 + 2 * head],
                linestyle="-" if head == 0 else "--",
                label=f"head {head + 1}",
            )
        below.set_ylabel("attention to the\nplace before (1)")
        below.set_xlabel("training time τ = learning rate × steps")
        below.legend(loc="lower right")
        below.set_xlim(0, float(theory.time[-1]))
    return drawn


def main(output: Path) -> None:
    theory, run = experiment()
    print(f"loss at the end: {float(theory.loss[-1]):.3f} by the flow, {float(run.loss[0, -1]):.3f} by descent")
    save(figure(theory, run), output / "block.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
