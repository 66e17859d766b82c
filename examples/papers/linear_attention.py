"""Linear attention learns regression in context at one drop with merged keys, by a staircase with separate ones.

The figure shows what Zhang, Singh, Latham and Saxe (arXiv 2501.16265, figures 1 and 3) show: the loss of four heads in
training on fresh contexts. Merged keys and queries wait and learn everything at once; keys and queries of rank one
learn a direction of the inputs at a time. Dashes are the levels and dots the times of theorems `stage-by-stage` and
`stage-all-at-once` (`dynamics derive stage-by-stage`), from the weights at the start alone.

    python examples/papers/linear_attention.py [output directory]
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import load_program, simulate
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import PAGE
from dynamics.problems.closed_forms import evaluated, merged_time, staircase_levels, staircase_times

PROGRAMS = Path(__file__).parents[1] / "programs"
VARIANCES = np.array([3.0, 2.0, 1.0]) / 6
TOKENS, HEADS = 31, 4


def contexts(random: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Fresh contexts, each with a regression of its own."""
    x = random.standard_normal((count, TOKENS + 1, VARIANCES.size)) * np.sqrt(VARIANCES)
    y = np.einsum("cnd,cd->cn", x, random.standard_normal((count, VARIANCES.size)))
    return {"x": x[:, :TOKENS], "y": y[:, :TOKENS], "xq": x[:, TOKENS], "yq": y[:, TOKENS]}


def population_loss(A: np.ndarray) -> np.ndarray:
    """The loss on infinitely many contexts of heads that do ``A = sum_h v_h U_h``, shape (..., D, D)."""
    moment = evaluated("stage-by-stage", "B", **{"lambda": VARIANCES, "T": VARIANCES.sum(), "N": TOKENS})
    gained = np.einsum("d,...dd->...", VARIANCES**2, A)
    return np.asarray(VARIANCES.sum() - 2 * gained + np.einsum("d,e,...de->...", moment, VARIANCES, A**2))


def separate(steps: int, seeds: int = 5, lr: float = 0.2, batch: int = 128, size: float = 0.03) -> xr.Dataset:
    """Training of separate keys and queries of rank one."""
    return simulate(
        load_program(PROGRAMS / "linear_attention_separate.py"), contexts, lr=lr, batch=batch, steps=steps,
        seeds=seeds, values={"H": HEADS, "R": 1}, initial={"v": size, "Kw": size, "Qw": size},
        records=range(0, steps + 1, max(1, steps // 1000)),
    )  # fmt: skip


def merged(steps: int, seeds: int = 5, lr: float = 0.1, batch: int = 128, size: float = 0.003) -> xr.Dataset:
    """Training of merged keys and queries."""
    return simulate(
        load_program(PROGRAMS / "linear_attention_merged.py"), contexts, lr=lr, batch=batch, steps=steps, seeds=seeds,
        values={"H": HEADS}, initial={"v": size, "U": size}, records=range(0, steps + 1, max(1, steps // 1000)),
    )  # fmt: skip


def losses(run: xr.Dataset) -> np.ndarray:
    """The loss on the population at every record, shape (seed, time)."""
    if "U" in run:
        return population_loss(np.einsum("sth,sthde->stde", run.v.values, run.U.values))
    heads = (run.v.values, run.Kw.values[..., 0, :], run.Qw.values[..., 0, :])
    return population_loss(np.einsum("sth,sthd,sthe->stde", *heads))


def times(run: xr.Dataset) -> np.ndarray:
    """When the loss falls, by the theorems, shape (seed, falls)."""
    first = run.isel(time=0)
    if "U" in run:
        return np.array(
            [[merged_time(*start, VARIANCES, TOKENS)] for start in zip(first.v.values, first.U.values, strict=True)]
        )
    starts = zip(first.v.values, first.Kw.values[..., 0, :], first.Qw.values[..., 0, :], strict=True)
    return np.array([staircase_times(*start, VARIANCES, TOKENS) for start in starts])


def figure(runs: dict[str, xr.Dataset]) -> Figure:
    levels = staircase_levels(VARIANCES, TOKENS)
    with house_style():
        drawn = Figure((PAGE, 2.5), layout="constrained")
        for k, (ax, (name, run)) in enumerate(zip(drawn.subplots(1, 2, sharey=True), runs.items(), strict=True)):
            shown = levels if "Kw" in run else levels[[0, -1]]
            for level in shown:
                ax.axhline(level, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)))
            for seed, (curve, falls) in enumerate(zip(losses(run), times(run), strict=True)):
                colour = COLOURS[1 + seed]
                ax.plot(run.time.values, curve, color=colour, alpha=0.6, linewidth=1.8)
                middle = [(a + b) / 2 for a, b in pairwise(shown)]
                ax.plot(falls, middle[: len(falls)], "o", color=colour, markersize=4, markeredgecolor="black")
            ax.set_title(f"{'ab'[k]}  {name}", loc="left")
            ax.set_xlim(0, run.time.values[-1])
            ax.set_ylim(0, 1.05)
            ax.set_xlabel("training time τ = learning rate × steps")
        drawn.axes[0].set_ylabel("mean squared error (1)")
    return drawn


def main(output: Path) -> None:
    runs = {"merged keys and queries": merged(500), "separate keys and queries, rank one": separate(7000)}
    for name, run in runs.items():
        print(f"{name}: falls foretold at", "; ".join(", ".join(f"{t:.0f}" for t in row) for row in times(run)))
    save(figure(runs), output / "linear_attention.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
