"""Where copying is learnt, and when: three maps from the two equations.

time.svg: the time to learn to copy L of V words. odds.svg: the share of random first weights that take the good
branch, over the number of words that are missing from an input and the size of the weights; beside it, training runs of
the full model on a coarser grid. heads.svg: the same share against the number of heads, which only better the odds.

    python examples/copying_maps.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from dynamics import Quantity, Simulation, phase_diagram
from dynamics.plot import phase, save
from dynamics.problems.closed_forms import branch_odds

GOOD = Quantity("learnt", "alpha", 0.5)
COLOURS = {4: "#0072B2", 8: "#D55E00"}
RUNS = 48


def times(output: Path) -> None:
    axes = {"L": np.arange(4, 81), "V": np.arange(4, 101)}
    save(phase(phase_diagram("copying", axes, "time", 2e4, fixed={"u0": 0.01, "a0": 0.01})), output / "time.svg")


def odds(output: Path) -> None:
    """Theory on a fine grid, simulation on a coarse one."""
    fine = {"sigma": np.geomspace(0.05, 1, 30), "extra": np.arange(9)}
    coarse = {"sigma": np.geomspace(0.05, 1, 5), "extra": np.arange(0, 9, 2)}
    found = phase_diagram("copying", fine, GOOD, 3000, fixed={"L": 8}, draws=512)
    save(phase(found), output / "odds.svg")
    run = phase_diagram(
        "copying", coarse, GOOD, 3000, fixed={"L": 8}, draws=16, simulation=Simulation(lr=4, batch=32)
    )  # fmt: skip
    save(phase(run), output / "odds_simulated.svg")
    predicted = found.value.interp(sigma=run.sigma, extra=run.extra).values
    print(
        f"odds: simulated and predicted shares differ by {np.abs(run.value.values - predicted).mean():.3f} on average"
    )


def heads(output: Path) -> None:
    """Lines: the closed form 1 - (1 - p)^H. Points: training runs, with 95 % intervals."""
    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    ax = figure.add_subplot()
    numbers = np.array([1, 2, 4, 8])
    for shift, (length, colour) in zip((-0.03, 0.03), COLOURS.items(), strict=True):
        closed = branch_odds(length, length, 0.05, 0.05, H=np.arange(1, 9))
        ax.plot(np.arange(1, 9), closed, color=colour, label=f"closed form, L = V = {length}")
        run = phase_diagram(
            "copying", {"H": numbers, "sigma": [0.05, 0.06]}, GOOD, 4000 * length / 8, draws=RUNS,
            fixed={"L": length, "extra": 0}, simulation=Simulation(lr=4, batch=32),
        )  # fmt: skip
        shares = run.value.values.mean(axis=1)
        intervals = [binomtest(round(share * 2 * RUNS), 2 * RUNS).proportion_ci(0.95) for share in shares]
        error = np.abs([[s - i.low, i.high - s] for s, i in zip(shares, intervals, strict=True)]).T
        ax.errorbar(numbers * (1 + shift), shares, error, fmt="o", markersize=4, color=colour, linewidth=1)
        print(f"heads, L = {length}: simulated {shares.round(3)}, closed form {closed[numbers - 1].round(3)}")
    ax.set_xlabel("heads H", fontsize=8)
    ax.set_ylabel("probability that one head attends right", fontsize=8)
    ax.set_ylim(0, 1.03)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=7, loc="lower right")
    save(figure, output / "heads.svg")


def main(output: Path) -> None:
    times(output)
    odds(output)
    heads(output)
    print(f"written to {output}: time.svg, odds.svg, odds_simulated.svg, heads.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
