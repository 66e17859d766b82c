"""Attention scans for the words that tell, then snaps: it slows down before it has chosen one of them.

The figure shows what Tian, Wang, Chen and Du (arXiv 2305.16380, figures 3 and 4) show: attention in contexts without
end to the words that only one next token has (they are scanned, and the most frequent of them gains most) and to those
that several next tokens share (they lose), for values that learn as fast as attention and for faster ones. The faster
values learn, the sooner attention stops where it is.

    python examples/papers/scan_snap.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import load_program, solve
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import PAGE

PROGRAM = Path(__file__).parents[1] / "programs" / "scan_snap_population.py"
LAST = np.array([0, 0, 1, 1])
DISTINCT, COMMON = 3, 4
RATES = (1.0, 10.0, 100.0)


def words(seed: int = 0) -> np.ndarray:
    """How frequent words are before each next token: its own first, then those of its last word, shape (4, 20)."""
    random = np.random.default_rng(seed)
    P = np.zeros((LAST.size, DISTINCT * LAST.size + COMMON * 2))
    for m, last in enumerate(LAST):
        P[m, DISTINCT * m : DISTINCT * (m + 1)] = np.sort(random.uniform(0.5, 1.5, DISTINCT))[::-1]
        begin = DISTINCT * LAST.size + COMMON * last
        P[m, begin : begin + COMMON] = random.uniform(1.0, 2.0, COMMON)
    return P / P.sum(axis=1, keepdims=True)


def experiment(rate: float, latest: float = 10_000.0) -> xr.Dataset:
    """The flow from zero, where values learn by this rate."""
    count = LAST.size
    data = {"P": words(), "prior": np.full(count, 1 / count), "last": LAST, "y": np.arange(count)}
    t = np.concatenate([[0.0], np.geomspace(0.1, latest, 120)])
    return solve(
        load_program(PROGRAM), data, t, values={"K": 2}, rates={"Y": rate}, observe=["c"], rtol=1e-8, atol=1e-11,
    )  # fmt: skip


def figure(found: dict[float, xr.Dataset]) -> Figure:
    with house_style():
        drawn = Figure((PAGE, 2.4), layout="constrained")
        axes = drawn.subplots(1, len(found), sharey=True)
        for ax, (rate, one) in zip(axes, found.items(), strict=True):
            t, share = one.time.values[1:], one.c.values[1:, 0]
            for k in range(DISTINCT):
                dashes, name = ("-", "--", ":")[k], f"its own word {k + 1}"
                ax.semilogx(t, share[:, k], color=COLOURS[1 + k], linestyle=dashes, label=name)
            for k in range(COMMON):
                line = ax.semilogx(t, share[:, DISTINCT * LAST.size + k], color="0.6", linewidth=0.8)[0]
            line.set_label("shared words")
            ax.xaxis.set_major_formatter("{x:g}")
            ax.set_title(f"values {rate:g} times as fast", loc="left")
            ax.set_xlabel("training time τ")
            ax.set_xlim(t[0], t[-1])
            ax.set_ylim(0, 0.45)
        axes[0].set_ylabel("attention before token 1")
        axes[0].legend(loc="upper left")
    return drawn


def main(output: Path) -> None:
    found = {rate: experiment(rate) for rate in RATES}
    for rate, one in found.items():
        last = float(one.c[-1, 0, :DISTINCT].sum())
        print(f"values {rate:g} times as fast: attention to its own words {last:.3f} at the end")
    save(figure(found), output / "scan_snap.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
