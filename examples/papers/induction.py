"""An induction head is learnt in two stages: what words stand in the context, then what followed the last one.

The figure shows what Bietti et al. (arXiv 2306.00802, figure 3) and Nichani, Damian, Lee (arXiv 2402.14735, figure 3)
show: two layers of causal attention on sequences that each have a Markov chain of their own. First the output copies
words of the context, with attention that is still even: the loss comes to that of their frequencies. Later the first
layer finds the place before, the second one compares it with the present word, and the loss falls to that of the
chain's transitions. (Places learn 30 times, comparisons 3 times as fast as values, or one would wait longer.) Lines
are the flow on a fixed set of sequences, bands are runs of descent on fresh ones.

    python examples/papers/induction.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import load_program, simulate, solve
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import COLUMN
from dynamics.problems.kinds.minibatches import sampled

PROGRAM = Path(__file__).parents[1] / "programs" / "induction.py"
WORDS, LENGTH, CONCENTRATION = 3, 18, 0.1
RATES = {"P": 30.0, "A": 3.0}


def chains(random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Sequences, each by transitions of its own, and the words that follow."""
    steps = np.cumsum(random.dirichlet(np.full(WORDS, CONCENTRATION), size=(count, WORDS)), axis=-1)
    words = np.empty((count, LENGTH + 1), dtype=np.int64)
    words[:, 0] = random.integers(WORDS, size=count)
    for k in range(LENGTH):
        below = random.random(count)[:, None] > steps[np.arange(count), words[:, k]]
        words[:, k + 1] = below.sum(axis=-1).clip(max=WORDS - 1)
    return {"x": words[:, :-1], "y": words[:, 1:]}


def flow(times: np.ndarray, sequences: int = 2000) -> xr.Dataset:
    """The gradient flow on a fixed set, from zero."""
    problem = sampled(load_program(PROGRAM), chains, {"V": WORDS}, count=sequences)
    return solve(problem, times, rates=RATES, rtol=1e-5, atol=1e-7)


def runs(latest: float, seeds: int = 5, lr: float = 0.25, batch: int = 128) -> xr.Dataset:
    """Descent on fresh sequences, from zero."""
    steps = round(latest / lr)
    return simulate(
        load_program(PROGRAM), chains, lr=lr, batch=batch, steps=steps, seeds=seeds, values={"V": WORDS},
        rates=RATES, records=range(0, steps + 1, max(1, steps // 150)),
    )  # fmt: skip


def stages(found: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """How much the output copies, and attention of the first layer to the place before, over time (and seeds)."""
    W, P = found.W.values, found.P.values
    same = np.trace(W, axis1=-2, axis2=-1) / WORDS
    copied = same - (W.sum((-2, -1)) - WORDS * same) / (WORDS * (WORDS - 1))
    masked = np.where(np.tri(LENGTH, dtype=bool), P, -np.inf)
    share = np.exp(masked - masked.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    place = np.arange(1, LENGTH)
    return copied, share[..., place, place - 1].mean(axis=-1)


def times_of(found: xr.Dataset) -> np.ndarray:
    """When the output copies by a logit of one, and when attention to the place before has come to a third."""
    t, curves = found.time.values, stages(found)
    rows = [np.atleast_2d(curve) for curve in curves]
    return np.array(
        [[np.interp(level, row, t) for row in part] for part, level in zip(rows, (1.0, 1 / 3), strict=True)]
    )


def figure(theory: xr.Dataset, run: xr.Dataset) -> Figure:
    with house_style():
        drawn = Figure((COLUMN, 3.6), layout="constrained")
        names = ("loss (nats)", "excess logit of\nthe same word (1)", "attention to the\nplace before (1)")
        of_runs, of_theory = (run.loss.values, *stages(run)), (theory.loss.values, *stages(theory))
        for k, (ax, name) in enumerate(zip(drawn.subplots(3, 1, sharex=True), names, strict=True)):
            ax.fill_between(
                run.time, of_runs[k].min(axis=0), of_runs[k].max(axis=0), color=COLOURS[6], alpha=0.5, linewidth=0,
                label="five runs",
            )  # fmt: skip
            ax.plot(theory.time, of_theory[k], color=COLOURS[2], label="flow")
            for stage, time in enumerate(times_of(theory)[:, 0]):
                ax.axvline(time, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)))
                if k == 0:
                    ax.text(time, ax.get_ylim()[1], f" {stage + 1}", va="top", color="0.3")
            ax.set_ylabel(name)
            ax.set_xlim(0, theory.time.values[-1])
        drawn.axes[0].legend(loc="upper right")
        drawn.axes[-1].set_xlabel("training time τ = learning rate × steps")
    return drawn


def main(output: Path) -> None:
    latest = 120.0
    theory, run = flow(np.linspace(0, latest, 201)), runs(latest)
    for name, expected, seen in zip(("copying", "the place before"), times_of(theory), times_of(run), strict=True):
        print(f"{name}: {expected[0]:.0f} by the flow; " + ", ".join(f"{t:.0f}" for t in seen) + " in runs")
    save(figure(theory, run), output / "induction.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
