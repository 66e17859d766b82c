"""The noise of minibatches, predicted without a run: bands of theory beside 32 seeds of stochastic descent.

A toy lexicon of 6 words learnt by lexical attention, from one start, in batches of 16. The covariance of seeds about
the flow follows a matrix equation, from tangents of the flow and from gradients of single examples; nothing is fitted.
noise_bands.svg: how far the loss, and the value of a word for its translation, are from the flow; thin lines are seeds,
thick ones two standard deviations of theory.

    python examples/noise_bands.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dynamics import ToyLexicon, simulate
from dynamics.comparison.noise import noise
from dynamics.plot import save
from dynamics.problems.kinds.models import lexical

LR, BATCH, STEPS, SEEDS = 0.2, 16, 2000, 32
THEORY, RUNS = "#0072B2", "#D55E00"


def main(output: Path) -> None:
    random, words = np.random.default_rng(0), 6
    examples = ToyLexicon(words, 3).examples(120)
    start = {name: 0.3 * random.standard_normal((words, words)) for name in ("W", "A")}
    records = np.arange(0, STEPS + 1, 25)
    runs = simulate(
        lexical(), examples, LR, BATCH, STEPS, SEEDS, records=records, replacement=True, initial=start, threads=1
    )
    theory = noise(lexical(), examples, lr=LR, batch=BATCH, t=LR * records, initial=start)
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    of_word = {"input": theory.input[0].item(), "output": theory.output[0].item()}
    shown = (
        (left, runs.loss, theory.loss, theory.loss_spread, "loss / flow − 1"),
        (
            right,
            runs.W.sel(of_word),
            theory.W.sel(of_word),
            theory.W_spread.sel(of_word),
            "value of a word − flow (logits)",
        ),
    )
    for ax, seeds, line, spread, label in shown:
        scale = abs(line) if "loss" in label else 1.0
        ax.plot(runs.time, ((seeds - line) / scale).T, color=RUNS, linewidth=0.4, alpha=0.4)
        ax.plot([], [], color=RUNS, linewidth=0.8, label=f"{SEEDS} seeds")
        for sign in (-2, 2):
            ax.plot(theory.time, sign * spread / scale, color=THEORY, linewidth=1.6)
        ax.plot([], [], color=THEORY, linewidth=1.6, label="theory, ±2 standard deviations")
        ax.set_xlabel("training time τ = learning rate × steps", fontsize=8)
        ax.set_ylabel(label, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
        ratio = (spread / seeds.std("seed", ddof=1)).isel(time=slice(1, None))
        inside = (abs(seeds - line) <= 2 * spread).isel(time=slice(1, None)).mean()
        low, middle, high = np.quantile(ratio, [0.1, 0.5, 0.9])
        print(
            f"{label}: predicted over measured spread {middle:.2f} (median over times; {low:.2f} to {high:.2f} in 80 %"
            f" of them); {100 * float(inside):.0f} % of the seeds within two standard deviations"
        )
    left.legend(frameon=False, fontsize=7)
    save(figure, output / "noise_bands.svg")
    print(f"written to {output}: noise_bands.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
