"""When language models learn words, by frequency and the sum of learning rates: the runs of Chang and Bergen.

Stage one learns a word when tau = sum of learning rates has come to a constant over its frequency: the slope of log tau
against log frequency is -1. Time is that of the published schedule (a warm-up of 10,000 steps, then linear to 0 at
1,000,000); nothing is fitted but the slope, whose interval is by the bootstrap over words. Where the normaliser of Adam
is all noise of batches, of a size that goes by the root of frequency, a step moves a word by the root of it: -1/2.

    python examples/word_acquisition.py GPT2.tsv LSTM.tsv [output directory]
"""

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.optimisers.schedule import schedule_of

WARM_UP = 10_000
SCHEDULE = schedule_of(f"warmup:{WARM_UP},linear:1000000")
COLOURS = ("#0072B2", "#D55E00")


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies per thousand words, and steps."""
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    count = np.array([float(row["count_per_thousand"]) for row in rows])
    step = np.array([10 ** float(row["log10_step"]) for row in rows])
    there = (count > 0) & np.isfinite(step)
    return count[there], step[there]


def slope(x: np.ndarray, y: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """The exponent of a power law by least squares, and 95 % of 2,000 resamples of the points."""
    random, a, b = np.random.default_rng(seed), np.log(x), np.log(y)
    found = [np.polyfit(a[k], b[k], 1)[0] for k in (random.integers(len(a), size=len(a)) for _ in range(2000))]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(np.polyfit(a, b, 1)[0]), float(low), float(high)


def main(paths: list[str], output: Path) -> None:
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    for ax, path, colour in zip(figure.subplots(1, 2, sharey=True), paths, COLOURS, strict=True):
        count, step = read(path)
        tau, early, name = SCHEDULE.time(step), step < WARM_UP, Path(path).stem
        every = np.ones(len(step), dtype=bool)
        kinds = {
            "steps, all words": (step, every),
            "tau, all words": (tau, every),
            "tau, learnt within the warm-up": (tau, early),
            "tau, learnt after it": (tau, ~early),
        }
        for label, (y, kept) in kinds.items():
            found, low, high = slope(count[kept], y[kept])
            print(f"{name}: {label} ({kept.sum()} words): slope {found:+.2f} [{low:+.2f}, {high:+.2f}]")
        ax.plot(count, tau, "o", markersize=2, color=colour, alpha=0.5)
        line = np.geomspace(count.min(), count.max(), 50)
        middle = float(np.exp(np.mean(np.log(tau[early] * count[early]))))
        ax.plot(line, middle / line, color="black", linewidth=1, label="slope −1")
        ax.set_xscale("log")
        ax.set_yscale("log")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        ax.set_xlabel("frequency (per thousand words)", fontsize=8)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.legend(frameon=False, fontsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("sum of learning rates / peak rate", fontsize=8)
    save(figure, output / "word_acquisition.svg")
    print(f"written to {output}: word_acquisition.svg")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1:3], Path(sys.argv[3] if len(sys.argv) > 3 else "results"))
