"""Attention selects the tokens that answer best, in the direction that separates them by the largest margin.

The figure shows what Tarzanagh, Li, Zhang and Oymak (arXiv 2306.13596, figure 2) show: with the values held, the query
p of one head grows without end, and its direction comes to that of the hard-margin problem ``min |p|`` with
``(x_best - x_t) . p >= 1`` for every other token; it is compared with a quadratic program that knows nothing of
training. Attention is on the best tokens long before. (Of several examples it need not be: from other data some get
stuck at tokens that are best only among their neighbours in direction, as the paper says.)

    python examples/papers/max_margin.py [output directory]
"""

import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.optimize import nnls

from dynamics import load_program, solve
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import COLUMN

PROGRAM = Path(__file__).parents[1] / "programs" / "max_margin.py"
EXAMPLES, TOKENS, DIMENSION = 4, 3, 6


def data(seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Random tokens, and labels; and the values v of a head that is held."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((EXAMPLES, TOKENS, DIMENSION))
    return {"X": X, "Y": random.choice([-1.0, 1.0], EXAMPLES)}, random.standard_normal(DIMENSION)


def margin_direction(X: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The direction of the hard-margin problem, by its dual: the least combination of differences of tokens."""
    apart = np.array([X[n, best[n]] - X[n, t] for n in range(len(X)) for t in range(X.shape[1]) if t != best[n]])
    # min |p| with D p >= 1 is solved by p = D^T a with a >= 0: of all a, that which brings (|D^T a|, sum a - 1) nearest
    # to zero, which is a problem of non-negative least squares.
    stacked = np.vstack([apart.T, np.ones(len(apart))])
    share, _ = nnls(stacked, np.append(np.zeros(X.shape[2]), 1.0), maxiter=10_000)
    direction = apart.T @ share
    return np.asarray(direction / np.linalg.norm(direction))


def experiment(latest: float = 1e13, seed: int = 0) -> xr.Dataset:
    """The flow of the query alone, to very late times."""
    arrays, values = data(seed)
    times = np.concatenate([[0.0], np.geomspace(1, latest, 80)])
    return solve(
        load_program(PROGRAM), arrays, t=times, initial={"v": values}, rates={"v": 0.0}, observe=["score", "value"],
        method="LSODA", rtol=1e-9, atol=1e-12, max_steps=1_000_000,
    )  # fmt: skip


def measures(found: xr.Dataset, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Attention to the best token, shape (time, example), and the cosine of the query with the margin direction."""
    arrays, values = data(seed)
    best = (arrays["Y"][:, None] * (arrays["X"] @ values)).argmax(axis=1)
    share = np.exp(found.score.values - found.score.values.max(axis=-1, keepdims=True))
    share = (share / share.sum(axis=-1, keepdims=True))[:, np.arange(len(best)), best]
    direction = margin_direction(arrays["X"], best)
    with np.errstate(invalid="ignore"):
        return share, found.p.values @ direction / np.linalg.norm(found.p.values, axis=1)


def figure(found: xr.Dataset, seed: int = 0) -> Figure:
    share, cosine = measures(found, seed)
    with house_style():
        drawn = Figure((COLUMN, 2.6), layout="constrained")
        ax, below = drawn.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        t = found.time.values[1:]
        for n in range(share.shape[1]):
            ax.plot(t, share[1:, n], color=COLOURS[2], linewidth=0.9, label="each example" if n == 0 else None)
        ax.set_ylabel("attention to\nthe best token (1)")
        ax.set_ylim(0, 1.02)
        ax.legend(loc="lower right")
        below.loglog(t, 1 - cosine[1:], color=COLOURS[1])
        below.axhline(1e-3, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)))
        below.xaxis.set_major_formatter("{x:g}")
        below.yaxis.set_major_formatter("{x:g}")
        below.set_ylabel("1 − cos to the\nmargin direction (1)")
        below.set_xlabel("training time τ = learning rate × steps")
        below.set_xlim(t[0], t[-1])
    return drawn


def main(output: Path) -> None:
    found = experiment()
    _, cosine = measures(found)
    print(f"cosine with the direction of the margin at the end: {cosine[-1]:.5f}")
    save(figure(found), output / "max_margin.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
