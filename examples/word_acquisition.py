"""When language models learn words, by frequency and the sum of learning rates: the runs of Chang and Bergen.

Stage one learns a word when tau = sum of learning rates has come to a constant over its frequency: the slope of log tau
against log frequency is -1. Time is that of the published schedule (a warm-up of 10,000 steps, then linear to 0 at
1,000,000); nothing is fitted but the slope, whose interval is by the bootstrap over words. Where the normaliser of Adam
is all noise of batches, of a size that goes by the root of frequency, a step moves a word by the root of it: -1/2.

Beside them what AdamW's flow says of the same words, with their published options, if each has a row of its own that
one word of its context decides: the joint closure on a diagonal co-occurrence with these frequencies. It is much
flatter than the runs at any batch: each row has a normaliser of its own, which takes frequency out. In the networks
words share nearly all parameters, and the normaliser of these does not know the word.

    python examples/word_acquisition.py GPT2.tsv LSTM.tsv [output directory]
"""

import csv
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dynamics import CoOccurrence, Optimizer, solve
from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.optimisers.schedule import schedule_of

WARM_UP, LAST, PEAK = 10_000, 1_000_000, 1e-4
SCHEDULE = schedule_of(f"warmup:{WARM_UP},linear:{LAST}")
BATCHES = (32, None)
"""Targets of a batch whose noise is independent: 32 sequences have at least so many; and without noise."""
FREQUENCIES, LOOKS = 40, 200
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


def by_the_flow(count: np.ndarray, batch: int | None) -> np.ndarray:
    """tau at which AdamW's flow has each word: half of the way from chance to its lowest surprisal, as of the runs.

    Words of like frequency are learnt alike, so that 40 frequencies stand for all; the rest of the text is one more.
    """
    grid = np.geomspace(count.min(), count.max(), FREQUENCIES) / 1000
    names = [*(f"word {k}" for k in range(FREQUENCIES)), "rest"]
    counts = CoOccurrence.from_counts(np.diag([*grid, 1 - grid.sum()]), inputs=names, outputs=names)
    optimizer = Optimizer("adamw", PEAK, SCHEDULE, batch=batch, weight_decay=0.01, eps=1e-6, form="limit")
    tau = SCHEDULE.time(np.concatenate([[0.0], np.geomspace(10, LAST, LOOKS)]))
    found = solve(counts, PEAK * tau, optimizer=optimizer)
    when = []
    for name in names[:-1]:
        surprisal = -np.log(found.beta.sel(input=name, output=name).values)
        half = (surprisal[0] + surprisal[-1]) / 2
        k = int(np.argmax(surprisal < half))
        when.append(np.interp(-half, -surprisal[k - 1 : k + 1], tau[k - 1 : k + 1]))
    return np.exp(np.interp(np.log(count), np.log(1000 * grid), np.log(when)))


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
        for batch, dashes in zip(BATCHES, ((0, (4, 1.5)), (0, (1, 1))), strict=True):
            of_flow, noise = by_the_flow(count, batch), "no noise" if batch is None else f"batch {batch}"
            for label, kept in (("all words", every), ("those learnt within the warm-up", early)):
                found, low, high = slope(count[kept], of_flow[kept])
                print(f"{name}: AdamW's flow, {noise}, tau, {label}: slope {found:+.2f} [{low:+.2f}, {high:+.2f}]")
            order = np.argsort(count)
            label = f"AdamW's flow, {noise}"
            ax.plot(count[order], of_flow[order], color="#009E73", linewidth=1.2, linestyle=dashes, label=label)
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
