"""Is training in two stages a good description? It depends on how fast attention may move.

Toy lexicon: 60 words, sentences of 8, every word has one translation. The joint flow of values W and attention A is
held against its two-stage approximation (attention waits until stage one is over) and against the frozen one (W stops
there), for learning rates of attention from a hundredth of that of W to ten times it.

    python examples/two_stages.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import CoOccurrence, solve
from dynamics.plot import save

VOCAB, LENGTH = 60, 8
RATES = np.geomspace(0.01, 10, 10)


def lexicon() -> CoOccurrence:
    """The population co-occurrence: a target is one of the 8 words of its sentence, the others are any of the rest."""
    other = (LENGTH - 1) / (VOCAB - 1)
    counts = np.full((VOCAB, VOCAB), other)
    np.fill_diagonal(counts, 1.0)
    return CoOccurrence.from_counts(counts, length=LENGTH)


def time_to_half(found: xr.Dataset, name: str) -> float:
    """When the loss of a prediction has fallen to half of its start; infinity if it never does."""
    values = found.loss.sel(stages=name).values
    if values[-1] > 0.5 * values[0]:
        return np.inf
    return float(np.exp(np.interp(-0.5 * values[0], -values, np.log(found.time.values))))


def main(output: Path) -> None:
    system, delay = lexicon(), []
    t = np.geomspace(10, 3e4, 400)
    for rate in RATES:
        found = solve(system, t, stages=["joint", "two-stage", "frozen"], rates={"A": rate}, top=1)
        joint, coupled, frozen = (time_to_half(found, name) for name in ("joint", "two-stage", "frozen"))
        delay.append([coupled / joint, frozen / joint])
        print(
            f"rate of A {rate:7.3g}: stage one ends at {found.attrs['switch']:6.0f}; the loss is halved at"
            f" {joint:6.0f} (joint), {coupled:6.0f} (two-stage), {frozen:6.0f} (frozen)"
        )
    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    ax = figure.subplots()
    for column, (name, line, colour) in enumerate((("two-stage", "--", "#d55e00"), ("frozen", "-.", "#0072b2"))):
        ax.semilogx(RATES, np.array(delay)[:, column], line, color=colour, marker="o", markersize=3, label=name)
    ax.axhline(1, color="black", linewidth=0.8)
    ax.text(RATES[0], 1.01, "joint flow", fontsize=8)
    last = int(np.isfinite(np.array(delay)[:, 1]).sum())  # faster attention freezes W before it can learn
    ax.annotate("frozen: never\nat higher rates", (RATES[last - 1], delay[last - 1][1]), xytext=(8, -14),
                textcoords="offset points", fontsize=8, color="#0072b2")  # fmt: skip
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("rate of attention / rate of values (1)")
    ax.set_ylabel("time to half of the loss,\nrelative to the joint flow")
    ax.annotate(
        "two-stage",
        (RATES[3], delay[3][0]),
        xytext=(0, -14),
        textcoords="offset points",
        fontsize=8,
        color="#d55e00",
        ha="center",
    )
    save(figure, output / "two_stages.svg")
    print(f"written to {output}: two_stages.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
