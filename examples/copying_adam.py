"""When LSTMs learn to copy, in steps of Adam: the row model's flow beside ten runs each of 10 of 20 words, and of 10.

The runs are those of examples/copying_lstm.py: the published code of Snell et al. (arXiv 2103.07601), width 64, Adam at
1e-3 with batches of 128. The prediction is the model that `dynamics forecast` follows for recurrent networks, of the
same width, from its usual start, by Adam with the noise of batches in its normaliser. Nothing is fitted, the scale of
time neither, and nothing of the runs is used but which branch each took: attention on the right position, or on all
others (the mirror branch), where theory says that the start decides. Both kinds of starts come out of the prediction.
The order of the branches is right; all three are predicted early, by factors of 1.3 to 1.6 (docs/optimisers.md). The
runs have seeds, from which their starts could be drawn again by the published code: that is not done here.

copying_adam.svg: accuracy over steps, thin lines for runs, dashed ones for the median of predicted starts.

    python examples/copying_adam.py PERMUTATIONS.npz SUBSETS.npz [output directory [starts]]
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from dynamics.plot import save
from dynamics.plot.frame import house_style
from dynamics.plot.layout import COLUMN
from dynamics.problems.forecast.rows import RowModel, Sentences

LENGTH, WIDTH, LR, BATCH = 10, 64, 1e-3, 128
LAST, EVERY, STEPS_AT_ONCE, EXAMPLES, PROBES = 300, 10, 2, 256, 200
THRESHOLD = 0.9
KINDS = {"10 of 20 words": "#009E73", "permutations, right": "#0072B2", "permutations, mirror": "#D55E00"}


@dataclass(frozen=True)
class Course:
    """Accuracy over steps, and which kind of course it is."""

    kind: str
    steps: np.ndarray
    accuracy: np.ndarray

    @property
    def time(self) -> float:
        """When accuracy first passes the threshold, linear between records; NaN if it does not."""
        k = int(np.argmax(self.accuracy >= THRESHOLD))
        if self.accuracy[k] < THRESHOLD:
            return np.nan
        return float(np.interp(THRESHOLD, self.accuracy[max(k - 1, 0) : k + 1], self.steps[max(k - 1, 0) : k + 1]))


def kind_of(words: int, attention: np.ndarray) -> str:
    """By where attention ends: the mean of its last records on the right position."""
    return (
        "10 of 20 words" if words > LENGTH else f"permutations, {'right' if attention[-5:].mean() > 0.5 else 'mirror'}"
    )


def sentences(random: np.random.Generator, count: int, words: int) -> Sentences:
    """Distinct words, to be copied."""
    drawn = np.argsort(random.random((count, words)), axis=1)[:, :LENGTH]
    return Sentences.of([(one, one) for one in drawn], words)


def predicted(words: int, seed: int, last: int = LAST) -> Course:
    """The flow from one start."""
    model, random = RowModel("recurrent", words, words, width=WIDTH, places=LENGTH + 1), np.random.default_rng(seed)
    probes = sentences(np.random.default_rng([seed, 1]), PROBES, words)
    data, state, found = model.data(probes), model.start(seed), []
    for step in range(0, last + 1, STEPS_AT_ONCE):
        if step % EVERY == 0:
            seen = model.kernel("z", "alpha")(**state.tensors, **data)
            right = seen["z"].argmax(axis=1) == data["y"]
            attended = seen["alpha"].argmax(axis=1).reshape(PROBES, LENGTH + 1)[:, :LENGTH]
            found.append((step, right.mean(), (attended == np.arange(LENGTH)).mean()))
        state = model.step(
            state, sentences(random, EXAMPLES, words), dt=STEPS_AT_ONCE, lr=LR, batch=BATCH, rows=LENGTH + 1.0
        )
    steps, accuracy, attention = np.array(found).T
    return Course(kind_of(words, attention), steps, accuracy)


def measured(path: str, words: int) -> list[Course]:
    """The runs of a file; a record at step k is after k + 1 steps."""
    data = np.load(path)
    rows = zip(data["acc"], data["attn_acc"], strict=True)
    return [Course(kind_of(words, attention), data["eval_step"] + 1, accuracy) for accuracy, attention in rows]


def figure(theory: list[Course], runs: list[Course]) -> Figure:
    with house_style():
        drawn = Figure((COLUMN, 2.8), layout="constrained")
        ax = drawn.add_subplot()
        for (kind, colour), dashes in zip(KINDS.items(), ("-", (0, (5, 1.5)), (0, (1.5, 1))), strict=True):
            for run in (one for one in runs if one.kind == kind):
                ax.plot(run.steps, run.accuracy, color=colour, linewidth=0.6, alpha=0.45)
            mine = [one for one in theory if one.kind == kind]
            if mine:
                middle = np.median([one.accuracy for one in mine], axis=0)
                ax.plot(mine[0].steps, middle, color=colour, linewidth=1.8, linestyle=dashes, label=kind)
        ax.set_xlim(0, LAST)
        ax.set_ylim(0, 1.03)
        ax.set_xlabel("steps of Adam")
        ax.set_ylabel("accuracy (share of targets)\nLSTMs thin, prediction thick")
        ax.legend(loc="lower right")
    return drawn


def main(permutations: str, subsets: str, output: Path, starts: int = 10) -> None:
    for path in (permutations, subsets):
        if not Path(path).is_file():
            sys.exit(f"skipped: there is no {path}; it takes the recorded runs of Snell et al.'s LSTMs")
    runs = measured(subsets, 2 * LENGTH) + measured(permutations, LENGTH)
    theory = [predicted(words, seed) for words in (2 * LENGTH, LENGTH) for seed in range(starts)]
    expected = {}
    for kind in KINDS:
        seen, told = ([one.time for one in courses if one.kind == kind] for courses in (runs, theory))
        expected[kind] = float(np.nanmedian(told)) if told else np.nan
        ends = f"{np.nanmin(told):.0f} to {np.nanmax(told):.0f}" if told else "none"
        print(
            f"{kind}: accuracy {THRESHOLD:g} after {np.median(seen):.0f} steps (median of {len(seen)} runs;"
            f" {min(seen):.0f} to {max(seen):.0f}); predicted {expected[kind]:.0f} (median of {len(told)} starts;"
            f" {ends}), a factor of {np.median(seen) / expected[kind]:.2f}"
        )
    times, order = np.array([run.time for run in runs]), np.array([expected[run.kind] for run in runs])
    best = [float(np.median([run.time for run in runs if run.kind == one.kind])) for one in runs]
    print(
        f"rank correlation over {len(runs)} runs {spearmanr(order, times).statistic:.2f}; of the runs' own medians by"
        f" branch, the most that a prediction by branch can have, {spearmanr(best, times).statistic:.2f}"
    )
    save(figure(theory, runs), output / "copying_adam.svg")
    print(f"written to {output}: copying_adam.svg")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    given = sys.argv[3:]
    place = Path(given[0] if given else "results")
    main(sys.argv[1], sys.argv[2], place, int(given[1]) if len(given) > 1 else 10)
