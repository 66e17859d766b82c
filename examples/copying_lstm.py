"""Two equations beside real LSTMs with attention that learn to copy: 10 of 20 words, and permutations of 10.

The runs (accuracy over steps, ten seeds each, the published code of Snell et al.) are held against the reduction: its
times to p = 0.5 for 10 of 20 words, and for both branches of permutations. Which branch a run took is read from where
its attention ends. One number is fitted, the time scale between steps of Adam and tau.

    python examples/copying_lstm.py PERMUTATIONS.npz SUBSETS.npz [output directory]
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy.stats import spearmanr

from dynamics import solve
from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.kinds.reduction import copying

SIZE = 0.01
KINDS = {"10 of 20 words": "#009E73", "permutations, right": "#0072B2", "permutations, mirror": "#D55E00"}


def passing(t: np.ndarray, curve: np.ndarray, threshold: float) -> float:
    """When a curve first passes a threshold, linear between its points; NaN if it never does."""
    k = int(np.argmax(curve >= threshold))
    if curve[k] < threshold:
        return np.nan
    return float(t[k]) if k == 0 else float(np.interp(threshold, curve[k - 1 : k + 1], t[k - 1 : k + 1]))


def main(permutations: str, subsets: str, output: Path) -> None:
    t = np.geomspace(1, 3e5, 4000)
    predicted = {}
    for name, (vocab, sign) in zip(KINDS, ((20, 1), (10, 1), (10, -1)), strict=True):
        found = solve(copying(vocab, 10), t, initial={"u": sign * SIZE, "a": sign * SIZE})
        predicted[name] = found.p_t.values
    times = {name: passing(t, curve, 0.5) for name, curve in predicted.items()}
    runs = []
    for path, named in ((subsets, None), (permutations, "permutations, ")):
        data = np.load(path)
        for accuracy, attention in zip(data["acc"], data["attn_acc"], strict=True):
            kind = "10 of 20 words" if named is None else named + ("right" if attention[-5:].mean() > 0.5 else "mirror")
            runs.append((kind, data["eval_step"], accuracy, passing(data["eval_step"], accuracy, 0.9)))
    reached = [(times[kind], step) for kind, *_, step in runs if np.isfinite(step)]
    theory, steps = np.array(reached).T
    scale = float(np.exp(np.mean(np.log(theory) - np.log(steps))))  # tau per step
    rank = spearmanr(theory, steps)
    for kind in KINDS:
        mine = [step for name, *_, step in runs if name == kind]
        print(
            f"{kind}: {len(mine)} runs, accuracy 0.9 after {np.nanmedian(mine):.0f} steps (median;"
            f" {np.nanmin(mine):.0f} to {np.nanmax(mine):.0f}); predicted {times[kind] / scale:.0f}"
        )
    print(f"one step is tau = {scale:.3g}; rank correlation {rank.statistic:.2f} over {len(steps)} runs")

    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    ax = figure.add_subplot()
    for kind, step, accuracy, _ in runs:
        ax.plot(step + 1, accuracy, color=KINDS[kind], linewidth=0.7, alpha=0.45)
    for kind, colour in KINDS.items():
        ax.plot(t / scale, predicted[kind], color=colour, linewidth=1.8, linestyle="--", label=f"theory: {kind}")
    ax.set_xscale("log")
    ax.set_xlim(10, 400)
    ax.set_ylim(0, 1.03)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ax.set_xlabel("steps of training (theory: one fitted scale)", fontsize=8)
    ax.set_ylabel("accuracy of LSTMs (thin),\nprobability p of theory (dashed)", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=6.5, loc="outside upper left", ncols=2)
    save(figure, output / "copying_lstm.svg")
    print(f"written to {output}: copying_lstm.svg")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3] if len(sys.argv) > 3 else "results"))
