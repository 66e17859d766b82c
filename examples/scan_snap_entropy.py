"""How concentrated attention is after 100 steps: Scan and Snap's own runs, held against flows with derived noise.

The runs of Tian et al. (arXiv 2305.16380, figure 6): next tokens by one layer of attention, descent with momentum on
128 fresh sequences of 127 words a step, ten seeds a cell. Descent on expected gradients at the mean context leaves
attention too even. What it lacks is noise, and follows from the frequencies of words alone, without fitting:

- batches: how often each fact is drawn (multinomial), and the mean of its contexts about their expectation, which has
  the covariance (diag p - p p')/127 over how often it was drawn;
- finite contexts: the mean gradient of single contexts is not that at the mean context. What it has beyond is the
  second difference of the gradient, to second order half its curvature times that covariance: of two contexts and
  their mean, g(c1) + g(c2) - 2 g((c1 + c2)/2) has it as its expectation (and noise of its own, of second order);
- starts: normal ones with the variance of the runs' uniform ones.

So a step needs four contexts a fact, in place of 128 sequences. scan_snap_entropy.svg: entropies of attention over the
words that belong to one fact (mean, and standard deviation over seeds), predicted against measured.

    python examples/scan_snap_entropy.py scan_snap_entropy.csv [output directory [seeds]]

The table has the columns last_tokens, lr_attention, lr_ratio, entropy_mean, entropy_std.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from dynamics import Optimizer, load_program, simulate
from dynamics.plot import save
from dynamics.plot.frame import COLOURS, house_style
from dynamics.plot.layout import PAGE
from dynamics.problems.kinds.minibatches import sampled

PROGRAM = Path(__file__).parent / "programs" / "scan_snap_contexts.py"
COMMON, OWN, LENGTH, BATCH, STEPS, MOMENTUM = 10, 10, 127, 128, 100, 0.9
SEEDS = 32
NOISES = ("none", "batches", "contexts")
"""What is taken into account: expected gradients at mean contexts; batches of them; finite contexts as well."""


@dataclass(frozen=True)
class Facts:
    """Two facts a last token: every fact has words of its own, and all share some.

    Attributes
    ----------
    last : int
        How many last tokens there are.
    """

    last: int

    @property
    def count(self) -> int:
        return 2 * self.last

    @property
    def words(self) -> int:
        return COMMON + OWN * self.count

    @property
    def tokens(self) -> int:
        return self.words + self.last + self.count

    @property
    def p(self) -> np.ndarray:
        """Frequencies of words in the contexts of each fact, shape (facts, words)."""
        weights = np.zeros((self.count, self.words))
        weights[:, :COMMON] = 1.0
        for fact in range(self.count):
            weights[fact, self.own(fact)] = np.arange(1, OWN + 1) / OWN
        return weights / weights.sum(axis=1, keepdims=True)

    def own(self, fact: int) -> slice:
        return slice(COMMON + OWN * fact, COMMON + OWN * (fact + 1))

    def rows(self, noise: str) -> int:
        """Contexts that a step takes."""
        return self.count * (4 if noise == "contexts" else 1)

    def entropy(self, scores: np.ndarray) -> np.ndarray:
        """Of attention over the words of a fact, in nats, mean over facts; scores have the shape (..., last, words)."""
        found = []
        for fact in range(self.count):
            own = self.own(fact)
            logits = np.log(self.p[fact, own]) + scores[..., fact // 2, own]
            logits -= np.logaddexp.reduce(logits, axis=-1, keepdims=True)
            found.append(-(np.exp(logits) * logits).sum(axis=-1))
        return np.mean(found, axis=0)


@dataclass(frozen=True)
class Noise:
    """Contexts whose weighted gradients have the mean, and to first order the noise, of those of a batch."""

    facts: Facts
    kind: str

    def __call__(self, random: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        p, count = self.facts.p, self.facts.count
        kinds = np.arange(count)
        if self.kind == "none":
            bags, share = p, np.full(count, 1 / count)
        else:
            drawn = random.multinomial(BATCH, np.full(count, 1 / count))
            size = np.maximum(drawn, 1)
            mean, share = random.multinomial(LENGTH * size, p) / (LENGTH * size)[:, None], drawn / BATCH
            bags = mean
        if self.kind == "contexts":
            one, two = (random.multinomial(LENGTH, p) / LENGTH for _ in range(2))
            beyond = share * (1 - 1 / size)  # the mean of so many contexts has its share of the curvature already
            bags = np.concatenate([mean, one, two, (one + two) / 2])
            share = np.concatenate([share, beyond, beyond, -2 * beyond])
            kinds = np.tile(kinds, 4)
        return {"B": bags, "share": n * share, "last": kinds // 2, "y": self.facts.words + self.facts.last + kinds}


def predicted(last: int, lr: float, ratio: float, noise: str = "contexts", seeds: int = SEEDS) -> xr.DataArray:
    """The entropy at the end of each seed."""
    facts = Facts(last)
    rows = facts.rows(noise)
    problem = sampled(
        load_program(PROGRAM), Noise(facts, noise), {"K": last, "O": facts.tokens, "M": facts.words}, count=rows
    )
    deviation = 1 / np.sqrt(3 * facts.tokens)  # of uniform numbers within 1/sqrt(tokens)
    run = simulate(
        problem, batch=rows, steps=STEPS, seeds=seeds, evaluation=rows, records=[0, STEPS], rates={"Y": ratio},
        optimizer=Optimizer("momentum", lr, momentum=MOMENTUM), initial={"Y": deviation, "Z": deviation},
        stability=False,
    )  # fmt: skip
    return xr.DataArray(facts.entropy(run.Z.values[:, -1]), {"seed": run.seed}, name="entropy")


def figure(cells: list[dict[str, float]]) -> Figure:
    with house_style():
        drawn = Figure((PAGE, 2.9), layout="constrained")
        left, right = drawn.subplots(1, 2)
        for k, last in enumerate(sorted({cell["last_tokens"] for cell in cells})):
            mine = [cell for cell in cells if cell["last_tokens"] == last]
            measured, spread = (np.array([cell[name] for cell in mine]) for name in ("entropy_mean", "entropy_std"))
            style = {"color": COLOURS[2 - k % 2], "marker": "os^D"[k % 4], "markersize": 3.5, "linestyle": ""}
            name = f"{last:g} last token" + ("s" if last > 1 else "")
            left.errorbar(
                measured, [c["contexts"] for c in mine], xerr=spread, yerr=[c["contexts_std"] for c in mine],
                elinewidth=0.6, label=name, **style,
            )  # fmt: skip
            left.plot(measured, [c["none"] for c in mine], **{**style, "markerfacecolor": "none", "alpha": 0.6})
            right.loglog(spread, [c["contexts_std"] for c in mine], label=name, **style)
        left.plot([], [], "o", color="0.5", markerfacecolor="none", markersize=3.5, label="without noise")
        for ax in (left, right):
            ends = np.array([*ax.get_xlim(), *ax.get_ylim()])
            line = np.array([ends.min(), ends.max()])
            ax.plot(line, line, color="0.6", linewidth=0.8, zorder=0)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter("{x:g}")
        left.set_xlabel("entropy of attention in runs (nats)")
        left.set_ylabel("predicted (nats)")
        right.set_xlabel("standard deviation over ten seeds (nats)")
        right.set_ylabel("predicted (nats)")
        left.legend(loc="upper left")
    return drawn


def main(table: Path, output: Path, seeds: int = SEEDS) -> None:
    if not table.is_file():
        sys.exit(f"skipped: there is no {table}; it takes the entropies of the runs, as scan_snap_entropy.csv has them")
    with table.open(encoding="utf-8") as file:
        cells = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    for cell in cells:
        at = int(cell["last_tokens"]), cell["lr_attention"], cell["lr_ratio"]
        for noise in NOISES:
            found = predicted(*at, noise, seeds)
            cell |= {noise: float(found.mean()), f"{noise}_std": float(found.std(ddof=1))}
        print(
            f"{at[0]} last, lr {at[1]:g}, ratio {at[2]:g}: measured {cell['entropy_mean']:.3f} ±"
            f" {cell['entropy_std']:.3f}, predicted {cell['contexts']:.3f} ± {cell['contexts_std']:.3f}", flush=True,
        )  # fmt: skip
    measured, spread = (np.array([cell[name] for cell in cells]) for name in ("entropy_mean", "entropy_std"))
    for noise in NOISES:
        error = np.array([cell[noise] for cell in cells]) - measured
        ratio = np.array([cell[f"{noise}_std"] for cell in cells]) / spread
        print(
            f"noise of {noise}: median error {np.median(abs(error)):.4f} nats, mean {error.mean():+.4f};"
            f" {(abs(error) <= 2 * spread).sum()} of {len(cells)} cells within two standard deviations of the seeds;"
            f" predicted over measured spread {np.median(ratio):.2f} (median;"
            f" {((ratio > 0.7) & (ratio < 1.3)).sum()} of {len(cells)} within 30 %)"
        )
    save(figure(cells), output / "scan_snap_entropy.svg")
    print(f"written to {output}: scan_snap_entropy.svg")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    given = sys.argv[2:]
    main(Path(sys.argv[1]), Path(given[0] if given else "results"), int(given[1]) if len(given) > 1 else SEEDS)
