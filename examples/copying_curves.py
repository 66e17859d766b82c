"""Why permutations are hard to learn: two equations know, from the first weights, which seeds will wait, and how long.

Copying 40 distinct words with one attention head. Of 60 words: every seed learns at once. Of 40 words (permutations),
co-occurrence carries no signal: seeds leave the saddle at the origin by chance, to the side of the right position
(p rises at tau of about 10^4), or to the mirror side, where attention goes everywhere else (p rises at some 10^5).
Each line is the two-equation reduction, started from the order parameters of that seed's random weights; the wide pale
line beneath it is stochastic gradient descent on the full model from the same weights.

    python examples/copying_curves.py [output directory] [end of training, tau]
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from dynamics import simulate, solve
from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.kinds.models import positional
from dynamics.problems.kinds.reduction import copying
from dynamics.tasks import Copying

LENGTH, SIZE, LR, BATCH, SEEDS = 40, 0.05, 20.0, 16, 6
GOOD, MIRROR, PALE = "#0072B2", "#D55E00", {"#0072B2": "#B5D8EE", "#D55E00": "#F6CDB1"}


def record_steps(steps: int) -> np.ndarray:
    """More of them than the default has, so that steep rises are smooth."""
    return np.unique(np.append(0, np.geomspace(5, steps, 200).round().astype(int)))


def main(output: Path, end: float = 4e5) -> None:
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, (vocab, last, title) in enumerate(((60, end / 20, "40 of 60 words"), (40, end, "permutations of 40"))):
        task, system = Copying(vocab, LENGTH), copying(vocab, LENGTH)
        run = simulate(
            positional(), task, LR, BATCH, int(last / LR), SEEDS, records=record_steps(int(last / LR)),
            initial={"W": SIZE, "P": SIZE}, evaluation=64,
        )  # fmt: skip
        worst = {"u": 0.0, "a": 0.0}
        for seed in run.seed.values:
            one = run.sel(seed=seed)
            followed = {name: system.project({"W": one.W.values, "P": one.P.values})[name] for name in "ua"}
            found = solve(system, run.time, initial={name: values[0] for name, values in followed.items()})
            for name, values in followed.items():
                gap = np.abs(values - found[name].values).max() / np.abs(values).max()
                worst[name] = max(worst[name], float(gap))
            colour = GOOD if followed["a"][-1] > 0 else MIRROR
            attention = np.exp(followed["a"]) / (np.exp(followed["a"]) + LENGTH - 1)
            for ax, simulated, predicted in (
                (axes[0, column], np.exp(-one.loss.values), found.p_t.values),
                (axes[1, column], attention, found.attention.values),
            ):
                ax.plot(run.time, simulated, color=PALE[colour], linewidth=4, solid_capstyle="round")
                ax.plot(run.time, predicted, color=colour, linewidth=1.1, zorder=3)
        print(
            f"{title}: {SEEDS} seeds to tau = {run.time.values[-1]:g} ({run.attrs['seconds']} s); reduction within"
            f" {worst['u']:.3f} (u) and {worst['a']:.3f} (a) of the largest value"
        )
        axes[0, column].set_title(title, loc="left", fontsize=9)
        axes[1, column].set_xlabel("training time τ = learning rate × steps", fontsize=8)
    for ax, label in zip(axes[:, 0], ("probability of the target p", "attention to the right position α"), strict=True):
        ax.set_ylabel(label, fontsize=8)
    for ax in axes.ravel():
        ax.set_xscale("log")
        ax.set_xlim(100, end)
        ax.set_ylim(0, 1.02)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda tau, _: number(tau)))
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    keys = [Line2D([], [], color=GOOD), Line2D([], [], color=MIRROR), Line2D([], [], color="0.8", linewidth=4)]
    figure.legend(
        keys,
        ["reduction: attends to the right position", "reduction: mirror branch", "full model, descent, same seeds"],
        loc="outside upper center", ncols=3, fontsize=7.5, frameon=False,
    )  # fmt: skip
    save(figure, output / "copying_curves.svg")
    print(f"written to {output}: copying_curves.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"), *map(float, sys.argv[2:3]))
