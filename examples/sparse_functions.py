"""How many samples one attention head needs to find 3 variables among T, predicted from co-occurrence and measured.

Four figures: the probability of exact learning against m, with the probability that the true variables lead; critical
sample sizes against T, with attention learnt and held uniform; variable creation over time, with the norms that the
paper's capacity bound needs; the plateau of parity.

    python examples/sparse_functions.py [output directory]

The trials take some minutes on 2 cores. They are kept in the output directory, and drawn from there the next time.
"""

import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from dynamics.phase.critical_size import critical, interval, log_law
from dynamics.plot.frame import COLOURS, SMALL, house_style, looks_of, save
from dynamics.plot.layout import PAGE
from dynamics.problems.predictions.plateau import plateau, silent_samples
from dynamics.problems.predictions.sparse import critical_lead, lead_probability
from dynamics.tasks import SparseBoolean
from dynamics.train.sparse import learn, learn_cells, learning_curve, learning_probability, share_of

LENGTHS = (50, 100, 200, 400, 800)
KINDS = ("and", "majority")
SIZES = 12
TRIALS = 50
SUCCESSES = ("exact", "recovered")
UNIFORM = {50: np.arange(100, 310, 30), 100: np.arange(190, 610, 60), 200: np.arange(520, 1080, 80)}
UNIFORM_TRIALS = 20
SIGMAS = np.geomspace(0.003, 0.1, 8)


def grid(kind: str, T: int) -> np.ndarray:
    """Sample sizes about the predicted critical one."""
    return np.round(critical_lead(SparseBoolean(kind, T, 3)) + np.linspace(-16, 17, SIZES)).astype(int)


def measured(output: Path) -> xr.Dataset:
    """Shares of trials that are learnt over (kind, T, size), from the output directory if they are there."""
    path = output / "sparse_functions.nc"
    if path.exists():
        return xr.load_dataset(path, engine="h5netcdf")
    learning_probability("and", 3, 10, 5, trials=1)  # compiles
    m = np.array([[grid(kind, T) for T in LENGTHS] for kind in KINDS])
    shares = {success: np.empty(m.shape) for success in SUCCESSES}
    for k, kind in enumerate(KINDS):
        began, worked = time.perf_counter(), time.process_time()
        trials = learn_cells(kind, 3, np.array(LENGTHS)[:, None], m[k], TRIALS)
        for success, share in shares.items():
            share[k] = share_of(trials, success)
        print(
            f"{kind}: {m[k].size} cells of {TRIALS} trials in "
            f"{time.perf_counter() - began:.0f} s, {time.process_time() - worked:.0f} s of processors",
            flush=True,
        )
    uniform = [learning_probability("and", 3, T, sizes, UNIFORM_TRIALS, uniform=True) for T, sizes in UNIFORM.items()]
    dims = ("kind", "T", "size")
    found = xr.Dataset(
        {
            "m": (dims, m),
            **{success: (dims, share) for success, share in shares.items()},
            "m_uniform": (("T_uniform", "size_uniform"), np.array(list(UNIFORM.values()))),
            "share_uniform": (("T_uniform", "size_uniform"), np.array(uniform)),
        },
        {"kind": list(KINDS), "T": list(LENGTHS), "T_uniform": list(UNIFORM)},
        {"trials": TRIALS, "trials_uniform": UNIFORM_TRIALS},
    )
    found.to_netcdf(path, engine="h5netcdf")
    return found


@cache
def learnt_norms() -> np.ndarray:
    """Norms of values and of scores, and capacity, of ten heads that have learnt AND, for each length."""
    norms = []
    for T in LENGTHS:
        m = round(1.5 * critical_lead(SparseBoolean("and", T, 3)))
        heads = [learn(SparseBoolean("and", T, 3), m, (0, k)) for k in range(10)]
        norms.append([[head.value_norm, head.score_norm, head.capacity * np.log(m * T)] for head in heads])
        values, scores, covering = np.median(norms[-1], axis=0)
        print(f"and, T = {T}, m = {m}: norms {values:.1f} (values), {scores:.1f} (scores); bound {covering:,.0f}")
    return np.array(norms)


def learning(found: xr.Dataset) -> Figure:
    """Probability of exact learning against m: trials, and the prediction."""
    figure = Figure(figsize=(PAGE, 2.7), layout="constrained")
    axes = figure.subplots(1, len(KINDS), sharey=True)
    for ax, kind in zip(axes, KINDS, strict=True):
        for T, look in zip(LENGTHS, looks_of(len(LENGTHS)), strict=True):
            part = found.sel(kind=kind, T=T)
            m, share = part.m.values, part.exact.values
            low, high = interval(share, TRIALS)
            every = np.arange(8, 66)
            task = SparseBoolean(kind, T, 3)
            ax.plot(every, [lead_probability(task, n) for n in every], **look, linewidth=1.1, label=f"T = {T}")
            bars = np.clip([share - low, high - share], 0, None)
            ax.errorbar(m, share, bars, color=look["color"], fmt="o", markersize=2.5, elinewidth=0.5)
        ax.axhline(0.5, color="0.6", linewidth=0.6, zorder=0)
        ax.set(xlim=(8, 65), ylim=(0, 1), xlabel="training samples m", title=f"{kind} of 3 bits".replace("and", "AND"))
    axes[0].set_ylabel("probability")
    axes[0].legend(loc="upper left", fontsize=SMALL)
    axes[1].text(
        0.03,
        0.97,
        "points: learnt exactly\nlines: the variables lead",
        transform=axes[1].transAxes,
        va="top",
        fontsize=SMALL,
    )
    return figure


def critical_sizes(found: xr.Dataset) -> Figure:
    """Critical sample sizes against T: attention learnt and predicted, beside attention held uniform."""
    figure = Figure(figsize=(PAGE, 2.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    every = np.geomspace(50, 800, 17).round().astype(int)
    for kind, colour, mark, shift in zip(KINDS, COLOURS[1:3], "os", (0.985, 1.015), strict=True):
        sizes, recovered = (
            [critical(found.m.sel(at).values, found[success].sel(at).values, TRIALS)
             for at in ({"kind": kind, "T": T} for T in LENGTHS)]
            for success in SUCCESSES
        )  # fmt: skip
        middle = np.array([size.m for size in sizes])
        predicted = [critical_lead(SparseBoolean(kind, T, 3)) for T in LENGTHS]
        law = log_law(LENGTHS, middle)
        for T, size, found_bits, theory in zip(LENGTHS, sizes, recovered, predicted, strict=True):
            print(
                f"{kind}, T = {T}: critical m {size.m:.1f} ({size.low:.1f} to {size.high:.1f}), predicted {theory:.1f},"
                f" ratio {theory / size.m:.3f}; bits found at {found_bits.m:.1f} ({found_bits.low:.1f} to"
                f" {found_bits.high:.1f}), ratio {theory / found_bits.m:.3f}"
            )
        print(
            f"{kind}: m = ({law.slope:.2f} +- {law.error:.2f}) log2 T + {law.level:.1f}, R^2 = {law.r2:.4f};"
            f" predicted slope {log_law(LENGTHS, predicted).slope:.2f}"
        )
        bars = np.array([[size.m - size.low, size.high - size.m] for size in sizes]).T
        for ax in (left, right):
            moved = np.array(LENGTHS) * (shift if ax is left else 1)
            ax.errorbar(moved, middle, bars, color=colour, fmt=mark, markersize=3, elinewidth=0.8, capsize=1.5,
                        label=f"{'AND' if kind == 'and' else kind}, trained")  # fmt: skip
            ax.plot(every, [critical_lead(SparseBoolean(kind, int(T), 3)) for T in every], color=colour,
                    linestyle="-" if kind == "and" else "--", linewidth=1.0,
                    label=f"{'AND' if kind == 'and' else kind}, predicted")  # fmt: skip
        left.plot(
            np.array(LENGTHS) * shift, [size.m for size in recovered], mark, color=colour, markerfacecolor="none",
            markersize=3.5, markeredgewidth=0.7, label=f"{'AND' if kind == 'and' else kind}, bits found",
        )  # fmt: skip
    slope = 1 / (1 - 0.5 ** (1 / 3))
    left.plot(every, slope * np.log2(every), ":", color="0.4", label="wrong bits of AND\nnot contradicted")
    uniform = [
        critical(found.m_uniform.sel(T_uniform=T).values, found.share_uniform.sel(T_uniform=T).values, UNIFORM_TRIALS)
        for T in UNIFORM
    ]
    for T, size in zip(UNIFORM, uniform, strict=True):
        print(f"uniform attention, and, T = {T}: critical m {size.m:.0f} ({size.low:.0f} to {size.high:.0f})")
    middle = np.array([size.m for size in uniform])
    bars = np.array([[size.m - size.low, size.high - size.m] for size in uniform]).T
    right.errorbar(list(UNIFORM), middle, bars, color="black", fmt="D", markersize=3, elinewidth=0.8, capsize=1.5)
    right.text(225, 600, "attention held\nuniform (AND)", fontsize=SMALL, va="center")
    right.text(230, 29, "attention learnt", fontsize=SMALL, va="top")
    covering = np.median(learnt_norms()[:, :, 2], axis=1)
    right.plot(
        LENGTHS, critical_lead(SparseBoolean("and", 50, 3)) * covering / covering[0], "-.", color="0.6", linewidth=1
    )
    right.text(58, 95, "∝ the bound with\nthe norms learnt", fontsize=SMALL, va="center")
    capacity = [
        np.log(m * T)
        for m, T in zip([critical_lead(SparseBoolean("and", int(T), 3)) for T in every], every, strict=True)
    ]
    anchor = critical_lead(SparseBoolean("and", 50, 3)) / capacity[0]
    left.plot(
        every,
        anchor * np.array(capacity),
        "-.",
        color="0.6",
        linewidth=1.0,
        label="∝ log(mT), the bound\nwith equal norms",
    )
    for ax in (left, right):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(LENGTHS))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlabel("input length T")
    right.set_yscale("log")
    right.yaxis.set_major_locator(FixedLocator([20, 50, 100, 200, 500, 1000]))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter("{x:g}")
    left.set_ylabel("critical sample size m")
    left.set_ylim(15, 62)
    handles, labels = left.get_legend_handles_labels()
    left.legend(handles, labels, fontsize=SMALL - 1, loc="upper left", ncols=2, columnspacing=0.8, handlelength=1.8)
    return figure


def creation() -> Figure:
    """Variable creation over time, and the norms of what is learnt against T."""
    figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    curve = learning_curve(SparseBoolean("and", 200, 3), 60, np.linspace(0, 30, 121))
    for name, label, look in zip(
        ("accuracy", "mass"), ("accuracy", "attention on\nthe variables"), looks_of(2), strict=True
    ):
        left.plot(curve.time, curve[name], **look, label=label)
    left.plot(curve.time, curve.entropy / curve.entropy[0], **looks_of(3)[2], label="entropy of atten-\ntion / log T")
    left.set(ylim=(0, 1.05), xlim=(0, 30), ylabel="share", xlabel="time τ / T", title="T = 200, m = 60")
    left.legend(fontsize=SMALL - 1, loc="center right", handlelength=1.8)
    for name, label, look in zip(
        ("value_norm", "score_norm"), ("values (2,1)", "scores"), looks_of(5)[3:], strict=True
    ):
        middle.plot(curve.time, curve[name], **look, label=label)
    middle.set(xlim=(0, 30), ylim=(0, None), xlabel="time τ / T", ylabel="norm", title="T = 200, m = 60")
    middle.legend(fontsize=SMALL)
    for k, (label, look) in enumerate(zip(("values (2,1)", "scores"), looks_of(5)[3:], strict=True)):
        each = learnt_norms()[:, :, k]
        right.errorbar(
            LENGTHS, each.mean(axis=1), each.std(axis=1), **look, marker="o", markersize=3, elinewidth=0.8, label=label
        )
    right.set_xscale("log")
    right.xaxis.set_major_locator(FixedLocator(LENGTHS))
    right.xaxis.set_minor_locator(NullLocator())
    right.xaxis.set_major_formatter("{x:g}")
    right.set(ylim=(0, None), xlabel="input length T", ylabel="norm when learnt", title="m = 1.5 × critical")
    right.legend(fontsize=SMALL)
    return figure


def parity() -> Figure:
    """The plateau of parity of two bits among 20, measured and predicted."""
    figure = Figure(figsize=(PAGE, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    task = SparseBoolean("parity", 20, 2)
    for name, examples in {"no signal": silent_samples(task, 64), "1,000 samples": task.examples(1000)}.items():
        found = [plateau(examples, SIGMAS, seed=seed) for seed in range(3)]
        ratio = np.array([one.predicted / one.measured for one in found])
        print(f"parity, {name}: predicted / measured length {ratio.min():.2f} to {ratio.max():.2f}")
    for k, (one, look) in enumerate(zip(found, looks_of(4)[1:], strict=True), start=1):
        right.plot(SIGMAS, one.measured, "o", color=look["color"], markersize=3)
        right.plot(SIGMAS, one.predicted, **look, linewidth=1.0, label=f"seed {k}")
    for k, look in zip((7, 4, 0), looks_of(3), strict=True):
        left.plot(found[0].time[k], found[0].loss[k], **look, label=f"σ = {SIGMAS[k]:.2g}")
        left.axvline(found[0].predicted[k], color=look["color"], linewidth=0.8, linestyle=":")
    left.axhline(np.log(2), color="0.6", linewidth=0.6, zorder=0)
    left.set(
        xlabel="time τ", ylabel="loss (nats)", title="seed 1; dotted: predicted end of the plateau", ylim=(0.615, 0.7)
    )
    left.legend(fontsize=SMALL, loc="lower left")
    right.set_xscale("log")
    right.xaxis.set_major_locator(FixedLocator([0.003, 0.01, 0.03, 0.1]))
    right.xaxis.set_minor_locator(NullLocator())
    right.xaxis.set_major_formatter("{x:g}")
    right.set(xlabel="initial size σ of embeddings and readout", ylabel="length of the plateau τ", ylim=(0, None))
    right.set_title("points: measured; lines: predicted")
    right.legend(fontsize=SMALL)
    return figure


def main(output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    found = measured(output)
    with house_style():
        for name, figure in (
            ("sparse_learning", learning(found)),
            ("sparse_critical", critical_sizes(found)),
            ("sparse_creation", creation()),
            ("sparse_parity", parity()),
        ):
            save(figure, output / f"{name}.svg")
            print(f"written to {output}: {name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
