"""When LSTMs learn to copy: the flow of that very LSTM under Adam, from the start that each run had.

The runs are those of examples/copying_lstm.py: Snell et al. (arXiv 2103.07601), 10 of 20 words, and permutations of 10,
ten seeds each, Adam at 1e-3 with batches of 128. Their published script seeds PyTorch before it draws the model, so a
start is known before its run; it is drawn here as PyTorch draws it, from the same Mersenne Twister. The model is a
program (examples/copying_program.py), whose gradient is derived and whose flow under Adam, with the noise of batches in
its normaliser, is followed on sentences of its own: the next ones in every evaluation, so that none is learnt by heart.
Accuracy is that on further sentences. Nothing is fitted, the scale of time neither, and nothing of the runs is used but
their seeds.

copying_flow.svg: accuracy over steps, flows as lines, runs as bands; and the steps to accuracy 0.9, run against flow.
copying_flow.csv: these steps. A flow that stands in the output directory already is not followed again.

    python examples/copying_flow.py PERMUTATIONS.npz SUBSETS.npz [output directory [sentences [parts of a step]]]

It takes half a minute of one core for each run. Parts of a step: evaluations, which share the noise of sentences.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import spearmanr

from derivations.gradient_flow import second_moments
from derivations.program import Program
from dynamics import load_program
from dynamics.lowering.arrays import array_kernel
from dynamics.plot import save
from dynamics.plot.frame import house_style
from dynamics.plot.layout import PAGE
from dynamics.problems.predictions.adam import Adam, Averages

PROGRAM = Path(__file__).with_name("copying_program.py")
LENGTH, WIDTH, LR, BATCH = 10, 64, 1e-3, 128
LAST, EVERY, PROBES, SAMPLE, PARTS = 320, 4, 200, 128, 4
THRESHOLD, LEARNT = 0.9, 0.92
KINDS = {"10 of 20 words": "#009E73", "permutations, right": "#0072B2", "permutations, mirror": "#D55E00"}
MARKS = dict(zip(KINDS, "os^", strict=True))
Array = NDArray[np.float64]
Tensors = dict[str, Any]


class Draws:
    """Numbers as PyTorch draws them in single precision on a processor, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)

    def shares(self, count: int) -> NDArray[np.float32]:
        """Uniform from 0 to below 1: 24 bits of a word each."""
        words = self.random.randint(0, 2**32, size=count, dtype=np.uint32)
        return (words & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)

    def uniform(self, bound: float, *shape: int) -> NDArray[np.float32]:
        """Uniform between minus and plus a bound."""
        low, high = np.float32(-bound), np.float32(bound)
        return (self.shares(int(np.prod(shape))) * (high - low) + low).reshape(shape)

    def normal(self, *shape: int) -> NDArray[np.float32]:
        """Standard normal, by Box and Muller in blocks of two times 8; for multiples of 16."""
        first, second = self.shares(int(np.prod(shape))).reshape(-1, 2, 8).transpose(1, 0, 2)
        size, angle = np.sqrt(-2 * np.log(1 - first)), np.float32(2 * np.pi) * second
        return np.stack([size * np.cos(angle), size * np.sin(angle)], axis=1).reshape(shape)


def start(words: int, seed: int, width: int = WIDTH) -> dict[str, Array]:
    """The LSTM of a seed before training, by the names of the program."""
    draws, found = Draws(seed), {}
    found["E"] = draws.normal(words + 2, width)
    bound = 1 / np.sqrt(width)
    for letter in "WU":  # encoder, decoder
        for kind, shape in (("x", (width,)), ("h", (width,)), ("bx", ()), ("bh", ())):
            gates = draws.uniform(bound, 4 * width, *shape).reshape(4, width, *shape)
            found |= {f"{letter}{kind}_{gate}": one for gate, one in zip("ifgo", gates, strict=True)}
    mixing = draws.uniform(1 / np.sqrt(2 * width), width, 2 * width)
    found |= {"M": mixing[:, :width], "A": mixing[:, width:], "m": draws.uniform(1 / np.sqrt(2 * width), width)}
    for matrix, bias, rows in (("R", "r", words + 2), ("Q", "q", width), ("C", "b", width)):
        found[matrix] = draws.uniform(bound, rows, width)
        found[bias] = draws.uniform(bound, rows)
    return {name: value.astype(float) for name, value in found.items()}


def sentences(random: np.random.Generator, count: int, words: int) -> dict[str, NDArray[np.int64]]:
    """Distinct words and the end, and what stands before each of them, the start first."""
    copied = np.argsort(random.random((count, words)), axis=1)[:, :LENGTH]
    x = np.pad(copied, ((0, 0), (0, 1)), constant_values=words)
    return {"x": x, "p": np.pad(copied, ((0, 0), (1, 0)), constant_values=words + 1)}


@dataclass(frozen=True)
class Course:
    """Accuracy over steps, and the attention on the right position."""

    words: int
    steps: Array
    accuracy: Array
    attention: Array

    @property
    def kind(self) -> str:
        if self.words > LENGTH:
            return "10 of 20 words"
        return f"permutations, {'right' if self.attention[-5:].mean() > 0.5 else 'mirror'}"

    @property
    def time(self) -> float:
        """When accuracy first passes the threshold, linear between records; NaN if it does not."""
        k = int(np.argmax(self.accuracy >= THRESHOLD))
        if self.accuracy[k] < THRESHOLD:
            return np.nan
        return float(np.interp(THRESHOLD, self.accuracy[max(k - 1, 0) : k + 1], self.steps[max(k - 1, 0) : k + 1]))


@cache
def with_moments() -> tuple[Program, Program]:
    """The gradient flow of the program, and the same with the second moments of the gradients of sentences."""
    flow = load_program(PROGRAM)
    return flow, second_moments(flow, by=(flow.examples,))


def under_adam(
    gradient: Callable[[Tensors], tuple[Tensors, Tensors | None]], states: Tensors, parts: int, lr: float = LR,
    examples: float = BATCH,
) -> Iterator[tuple[float, Tensors]]:  # fmt: skip
    """Steps of Adam that are past, and the states then, along the flow; a step is gone in some parts.

    The gradient on so many examples, and its second moments, are held over a part. The running averages decay exactly
    while it is, and are known half a part ahead of the states: a leapfrog, of second order. The averages of the flow
    are half a step of Adam ahead at the start (0.504 in `solve`), and with one part the scheme is Adam itself.
    """
    adam, averages = Adam(lr, batch=BATCH), Averages.none(states)
    for k in count():
        yield k / parts, states
        slopes, moments = gradient(states)
        if k == 0 and parts > 1:
            _, averages = adam.step(states, averages, slopes, moments, examples, steps=(1 - 1 / parts) / 2)
        states, averages = adam.step(states, averages, slopes, moments, examples, steps=1 / parts)


def followed(words: int, seed: int, sample: int = SAMPLE, parts: int = PARTS) -> Course:
    """The flow from the start of a seed until it has learnt; every evaluation is on so many further sentences."""
    flow, program = with_moments()
    sizes = {"V": words + 2, "D": WIDTH}
    bars, squares = ({name: of[name] for name in flow.state_names} for of in (program.adjoints, program.moments))
    if sample <= BATCH:  # squares of the gradient have all the noise of a batch already
        squares = {}
    slopes = array_kernel(program, (*bars.values(), *squares.values()), "float32")
    forward = array_kernel(flow, ("z", "alpha"), "float32")
    random, probes = np.random.default_rng([words, 0]), sentences(np.random.default_rng([words, 1]), PROBES, words)
    found = []

    def gradient(states: Tensors) -> tuple[Tensors, Tensors | None]:
        got = slopes(**states, **sentences(random, sample, words), **sizes, N=sample)
        return {name: got[own] for name, own in bars.items()}, {name: got[own] for name, own in squares.items()} or None

    begun = {name: value.astype(np.float32) for name, value in start(words, seed).items()}
    for step, states in under_adam(gradient, begun, parts, examples=sample):
        if step % EVERY == 0:
            seen = forward(**states, **probes, **sizes, N=PROBES)
            right = seen["alpha"].argmax(axis=2)[:, :LENGTH] == np.arange(LENGTH)
            found.append((step, (seen["z"].argmax(axis=2) == probes["x"]).mean(), right.mean()))
            if found[-1][1] > LEARNT or step >= LAST:
                break
    return Course(words, *np.array(found, dtype=float).T)


def kept(folder: Path, words: int, seed: int, sample: int, parts: int) -> Course:
    """A flow from the output directory, or followed now and put there."""
    path = folder / f"flow_{LENGTH}_of_{words}_seed{seed}_sentences{sample}_parts{parts}.npz"
    if path.is_file():
        data = np.load(path)
        return Course(words, data["steps"], data["accuracy"], data["attention"])
    found = followed(words, seed, sample, parts)
    aside = path.with_suffix(".part.npz")
    np.savez(aside, steps=found.steps, accuracy=found.accuracy, attention=found.attention)
    aside.rename(path)
    return found


def measured(path: str, words: int) -> list[tuple[int, Course]]:
    """The seeds and the runs of a file; a record at step k is after k + 1 steps."""
    data = np.load(path)
    rows = zip(data["seeds"], data["acc"], data["attn_acc"], strict=True)
    return [(int(seed), Course(words, data["eval_step"] + 1.0, acc, attention)) for seed, acc, attention in rows]


def figure(runs: list[Course], flows: list[Course]) -> Figure:
    pairs = list(zip(runs, flows, strict=True))
    with house_style():
        drawn = Figure((PAGE, 2.5), layout="constrained")
        *over_steps, against = drawn.subplots(1, 3, width_ratios=(1, 1, 1.05))
        for (kind, colour), dashes in zip(KINDS.items(), ("-", (0, (5, 1.5)), (0, (1.5, 1))), strict=True):
            mine = [(run, flow) for run, flow in pairs if run.kind == kind]
            ax = over_steps[kind != "10 of 20 words"]
            if mine:
                every = [run.accuracy for run, _ in mine]
                ends = np.min(every, axis=0), np.max(every, axis=0)
                ax.fill_between(mine[0][0].steps, *ends, color=colour, alpha=0.22, linewidth=0)
            for run, flow in mine:
                ax.plot(flow.steps, flow.accuracy, color=colour, linewidth=0.9, linestyle=dashes)
                against.plot(flow.time, run.time, MARKS[kind], color=colour, markersize=4, alpha=0.85)
            against.plot([], [], MARKS[kind], color=colour, markersize=4, label=kind)
        for ax, title in zip(over_steps, (f"{LENGTH} of {2 * LENGTH} words", f"permutations of {LENGTH}"), strict=True):
            ax.set(xlim=(0, max(one.steps[-1] for one in flows)), ylim=(0, 1.03), title=title, xlabel="steps of Adam k")
        over_steps[0].set_ylabel("accuracy (share of targets)\nflows: lines, LSTMs: bands")
        times = np.array([(run.time, flow.time) for run, flow in pairs])
        low, high = 0.92 * np.nanmin(times), 1.3 * np.nanmax(times)  # room for the legend
        against.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=0)
        against.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        against.set_xlabel(f"steps k to accuracy {THRESHOLD:g}, flow")
        against.set_ylabel(f"steps k to accuracy {THRESHOLD:g}, LSTM")
        against.legend(loc="upper left", handlelength=1, borderpad=0)
    return drawn


def main(permutations: str, subsets: str, output: Path, sample: int = SAMPLE, parts: int = PARTS) -> None:
    for path in (permutations, subsets):
        if not Path(path).is_file():
            sys.exit(f"skipped: there is no {path}; it takes the recorded runs of Snell et al.'s LSTMs")
    output.mkdir(parents=True, exist_ok=True)
    pairs = [(2 * LENGTH, *one) for one in measured(subsets, 2 * LENGTH)]
    pairs += [(LENGTH, *one) for one in measured(permutations, LENGTH)]
    flows = [kept(output, words, seed, sample, parts) for words, seed, _ in pairs]
    runs = [run for _, _, run in pairs]
    seen, told = (np.array([one.time for one in courses]) for courses in (runs, flows))
    words_of = np.array([words for words, _, _ in pairs])
    for which, of in (
        (words_of > 0, "all"),
        (words_of > LENGTH, "10 of 20 words"),
        (words_of == LENGTH, "permutations"),
    ):
        both = np.isfinite(seen) & np.isfinite(told) & which
        rank = spearmanr(seen[both], told[both]).statistic
        print(f"steps to {THRESHOLD:g}, {of}: rank correlation {rank:.2f}, {both.sum()} runs")
    for kind in KINDS:
        mine = np.array([run.kind == kind for run in runs])
        if mine.any():
            agree = sum(flow.kind == kind for flow, own in zip(flows, mine, strict=True) if own)
            middle = np.nanmedian(seen[mine]), np.nanmedian(told[mine])
            print(
                f"{kind}: recorded {middle[0]:.0f} steps (median of {mine.sum()}), flow {middle[1]:.0f}, a factor of"
                f" {middle[0] / middle[1]:.2f}; {agree} of {mine.sum()} flows take this branch"
            )
    with (output / "copying_flow.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("words", "seed", "branch of the run", "branch of the flow", "steps of the run", "of the flow"))
        for (words, seed, run), flow in zip(pairs, flows, strict=True):
            table.writerow((words, seed, run.kind, flow.kind, f"{run.time:.1f}", f"{flow.time:.1f}"))
    save(figure(runs, flows), output / "copying_flow.svg")
    print(f"written to {output}: copying_flow.svg, copying_flow.csv")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    given = sys.argv[3:]
    place = Path(given[0] if given else "results")
    many = int(given[1]) if len(given) > 1 else SAMPLE
    main(sys.argv[1], sys.argv[2], place, many, int(given[2]) if len(given) > 2 else PARTS)
