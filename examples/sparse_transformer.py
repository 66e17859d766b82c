"""A real Transformer beside the flow of one head: how many samples 3-AND takes among T bits.

One layer, 16 heads of a width of 64 in all, a [CLS] token, Adam at 1e-3 for 1,000 epochs on m samples, as in the
experiments of Edelman et al. It is learnt exactly when 1,000 fresh samples are all classified right, and nearly when
95 % of them are. The critical sample sizes (half of the trials) stand beside that of the flow of one head, the
prediction from co-occurrence, and the figures of the paper (about 50 at T = 100, about 113 at T = 1,100). Needs PyTorch
(pip install '.[torch]'); about 10 minutes on 2 cores. What is measured is kept in the output directory.

    python examples/sparse_transformer.py [output directory] [trials, 8] [T, 25,50,100]
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from dynamics.phase.critical_size import Critical, critical, find_critical
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, SMALL, house_style
from dynamics.plot.layout import COLUMN
from dynamics.problems.predictions.sparse import critical_lead
from dynamics.support.errors import InputError
from dynamics.tasks import SparseBoolean

SUPPORT, EPOCHS, FRESH = 3, 1000, 1000
SAMPLES = {25: [20, 28, 38, 52, 70], 50: [25, 38, 55, 75, 100], 100: [30, 48, 70, 95, 130]}
NEARLY = 0.95
PAPER = {100: 50.0, 1100: 113.0}


def trial(cell: tuple[int, int, int]) -> float:
    """The share of fresh samples that a Transformer classifies right after m samples of T bits."""
    import torch
    from torch import nn

    T, m, seed = cell
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = SparseBoolean("and", T, SUPPORT)
    train, fresh = task.examples(m, seed), task.examples(FRESH, 10_000 + seed)

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(2 * T + 1, 64)  # position and bit in one, and [CLS] behind them
            self.layer = nn.TransformerEncoderLayer(64, 16, 64, dropout=0.0, batch_first=True)
            self.out = nn.Linear(64, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            cls = torch.full((len(x), 1), 2 * T, dtype=torch.long)
            return self.out(self.layer(self.words(torch.cat([cls, x], dim=1)))[:, 0])[:, 0]

    model = Head()
    x, y = torch.tensor(train.x.reshape(m, T)), torch.tensor(train.y, dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimiser.step()
        if loss.item() < 1e-3:
            break
    with torch.no_grad():
        told = model(torch.tensor(fresh.x.reshape(FRESH, T))).numpy() > 0
    return float((told == (fresh.y == 1)).mean())


def passed(grid: list[int], share: np.ndarray, trials: int) -> Critical:
    """The critical sample size, or none if the grid does not hold it."""
    try:
        return critical(grid, share, trials)
    except InputError as error:
        print(error)
        return Critical(np.nan, np.nan, np.nan)


def measured(output: Path, trials: int, sizes: list[int]) -> np.ndarray:
    """Critical sizes with their intervals by (T; Transformer exactly, nearly, head), kept in the output directory."""
    path = output / "sparse_transformer.npz"
    if path.exists():
        kept = np.load(path)
        if (trials, sizes) == (int(kept["trials"]), kept["sizes"].tolist()):
            return kept["critical"]
    found = []
    for T in sizes:
        grid = SAMPLES.get(T) or [int(m) for m in np.geomspace(0.35, 1.1, 5) * 20 * np.log2(T)]
        cells = [(T, m, seed) for m in grid for seed in range(trials)]
        with ProcessPoolExecutor() as pool:
            accuracy = np.array(list(pool.map(trial, cells))).reshape(len(grid), trials)
        shares = [(accuracy >= least).mean(axis=1) for least in (1.0, NEARLY)]
        head = find_critical("and", SUPPORT, T, 4 * trials)
        found.append([*(passed(grid, share, trials) for share in shares), head])
        print(f"T = {T}, m = {grid}: mean accuracy {accuracy.mean(axis=1).round(3).tolist()}")
        for name, size in zip(("exactly", "nearly", "head exactly"), found[-1], strict=True):
            print(f"  {name}: critical m {size.m:.1f} ({size.low:.1f} to {size.high:.1f})", flush=True)
    critical_m = np.array([[(size.m, size.low, size.high) for size in row] for row in found])
    output.mkdir(parents=True, exist_ok=True)
    np.savez(path, trials=trials, sizes=sizes, critical=critical_m)
    return critical_m


def main(output: Path, trials: int, sizes: list[int]) -> None:
    critical_m = measured(output, trials, sizes)
    looks = (
        ("Transformer, all right", COLOURS[1], "o"),
        ("Transformer, 95 % right", COLOURS[1], "^"),
        ("flow of one head, all right", COLOURS[2], "o"),
    )
    with house_style():
        figure = Figure(figsize=(COLUMN, 3.0), layout="constrained")
        ax = figure.add_subplot()
        for (name, colour, mark), (middle, low, high) in zip(looks, np.moveaxis(critical_m, 0, -1), strict=True):
            ax.errorbar(sizes, middle, [middle - low, high - middle], fmt=mark, color=colour, markersize=4, label=name)
        line = np.geomspace(min(sizes), max(PAPER), 30).astype(int)
        lead = [critical_lead(SparseBoolean("and", int(T), SUPPORT)) for T in line]
        ax.plot(line, lead, color=COLOURS[2], linewidth=1.2, label="predicted from co-occurrence")
        ax.plot(list(PAPER), list(PAPER.values()), "x", color="black", label="Transformers of the paper")
        ax.set_xscale("log")
        ax.set_ylim(0, None)
        ax.xaxis.set_major_locator(FixedLocator([*sizes, max(PAPER)]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlabel("input bits T")
        ax.set_ylabel("critical sample size m")
        figure.legend(loc="outside upper left", ncols=2, fontsize=SMALL - 1, handlelength=1.2, columnspacing=0.8)
        save(figure, output / "sparse_transformer.svg")
    print(f"written to {output}: sparse_transformer.svg")


if __name__ == "__main__":
    given = sys.argv[1:]
    listed = [int(T) for T in given[2].split(",")] if len(given) > 2 else list(SAMPLES)
    main(Path(given[0] if given else "results"), int(given[1]) if len(given) > 1 else 8, listed)
