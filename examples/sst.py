"""What attention learns on real sentences: the Stanford Sentiment Treebank, label and sentence on every line.

The topic classifier with a fixed linear classifier of dimension 200, in the span of its columns (as many numbers a word
as there are labels, and a score). purity.svg: how pure the most attended words are along training; sst_sen.svg: norm
against score of the 100 words of highest score, beside the identity with m = mean length of the sentences that hold the
word, minus 1.

With --lr, also whether steps at that learning rate follow the flow, by its curvature, where full-batch descent is, and
where the central flow says that it is; sst_edge.svg: lr times the largest curvature, and the loss, of all three.

    python examples/sst.py FILE [output directory] [end of training, tau] [--padding word] [--lr RATE]
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dynamics import Optimizer, central_flow, simulate, solve
from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.closed_forms import norm_squared
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.models import Model, embeddings, topic
from dynamics.problems.optimisers.curvature import by_tangents, largest
from dynamics.tasks.examples import Examples

DIMENSION, SHOWN = 200, (10, 100, 1000)
COLOURS = ("#0072B2", "#D55E00", "#009E73")


def statistics(examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every word: how many sentences hold it, their mean length, and its purity.

    Purity is 0 where sentences with the word have the labels of all sentences, and 1 where they have one label only.
    """
    sentence = np.repeat(np.arange(len(examples)), examples.length)
    pairs = np.unique(np.stack([examples.x, sentence]), axis=1)  # each word once a sentence
    counts = np.zeros((examples.inputs, examples.outputs))
    np.add.at(counts, (pairs[0], examples.y[pairs[1]]), 1.0)
    number_of = counts.sum(axis=1)
    length = np.bincount(pairs[0], examples.length[pairs[1]], examples.inputs) / np.maximum(number_of, 1)
    base = np.bincount(examples.y, minlength=examples.outputs) / len(examples)
    share = counts / np.maximum(number_of, 1)[:, None]
    farthest = 0.5 * np.abs(np.eye(examples.outputs) - base).sum(axis=1).max()
    return number_of, length, 0.5 * np.abs(share - base).sum(axis=1) / farthest


def beside(
    model: Model, examples: Examples, lr: float, start: dict[str, np.ndarray], rates: dict[str, float], output: Path
) -> None:
    """The first steps of full-batch descent beside the flows, and the curvature there."""
    at = [0, 1, 2, 3, 4, 5, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256]
    run = simulate(
        model, examples, lr, steps=at[-1], records=at, initial=start, rates=rates, keep_partial=True, stability=False
    )
    flow = solve(model, examples, lr * np.array(at), initial=start, rates=rates)
    steps = Optimizer("descent", lr, form="limit")  # that to second order is not known of flows with a metric
    with warnings.catch_warnings():  # it is printed here
        warnings.simplefilter("ignore")
        stable = solve(model, examples, lr * np.array(at), initial=start, rates=rates, optimizer=steps, stability=True)
    print(stable.attrs["stability"])
    for k, step in enumerate(at):
        print(f"step {step}: loss of descent {float(run.loss[0, k]):.3f}, of the flow {float(flow.loss[k]):.3f}")
    central = central_flow(Exact(model, examples), lr * np.array(at), lr, initial=start, rates=rates)
    for k, step in enumerate(at[7:], 7):
        there = run.s[0, k].values
        off = [np.linalg.norm(found.s[k].values - there) / np.linalg.norm(there) for found in (central, flow)]
        print(
            f"step {step}: loss of descent {float(run.loss[0, k]):.4f}, of the central flow"
            f" {float(central.loss[k]):.4f}; scores off by {off[0]:.3f} of their size, of the gradient flow"
            f" by {off[1]:.3f}"
        )
    apply = by_tangents(Exact(model, examples), {"W": 1.0, **rates})

    def curvature(found) -> list[float]:
        states = [np.concatenate([np.ravel(found[n].values[k]) for n in ("s", "W")]) for k in range(len(at))]
        return [lr * largest(lambda v, y=y: apply(y, v), y.size) for y in states]

    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    one = run.isel(seed=0)
    lines = {"gradient flow": (flow, "black", "-"), "central flow": (central, COLOURS[0], "-")}
    left.plot(at, curvature(one), "o", color=COLOURS[1], markersize=3.5, alpha=0.6, markeredgewidth=0, label="descent")
    right.plot(at, one.loss, "o", color=COLOURS[1], markersize=3.5, alpha=0.6, markeredgewidth=0, label="descent")
    for label, (found, colour, style) in lines.items():
        left.plot(at, curvature(found), style, color=colour, linewidth=1.2, label=label)
        right.plot(at, found.loss, style, color=colour, linewidth=1.2, label=label)
    left.axhline(2, color="0.5", linewidth=0.8, linestyle=(0, (4, 2)))
    left.text(8, 2.03, "edge of stability", color="0.4", fontsize=7, va="bottom")
    left.set_ylim(0, None)
    left.set_ylabel("learning rate × largest curvature", fontsize=8)
    right.set_ylabel("loss (nats)", fontsize=8)
    right.set_ylim(0.61, 0.78)
    above = [(step, float(one.loss[k])) for k, step in enumerate(at) if one.loss[k] > 0.78]
    told = ", ".join(f"{value:.2f}" for _, value in above)
    right.text(
        above[0][0], 0.772, f"steps {above[0][0]} to {above[-1][0]}: {told}", color=COLOURS[1], fontsize=7, va="top"
    )
    right.legend(frameon=False, fontsize=7, loc="lower left")
    for ax in (left, right):
        ax.set_xscale("symlog", linthresh=1, linscale=0.4)
        ax.set_xlim(-0.1, 300)
        ax.set_xlabel("step of descent", fontsize=8)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda step, _: number(step)))
        _plain(ax)
    save(figure, output / "sst_edge.svg")


def main(path: str, output: Path, end: float, padding: bool, lr: float | None) -> None:
    examples = Examples.from_labelled_text(path, tokenizer="whitespace")
    examples = examples.padded() if padding else examples
    random = np.random.default_rng(0)
    readout = random.standard_normal((DIMENSION, examples.outputs))
    np.fill_diagonal(readout, 1.0)
    first = 1e-6 * random.standard_normal((examples.inputs, DIMENSION))
    eta = float(np.sum((0.3 * random.standard_normal(DIMENSION)) ** 2))
    times = np.concatenate([[0.0], np.geomspace(1e-3 * end, end, 60)])
    began = time.perf_counter()
    model, start = topic("FC", readout=readout, span=True), {"W": first @ readout}
    found = solve(model, examples, times, initial=start, rates={"s": eta})
    seconds = time.perf_counter() - began
    held, length, purity = statistics(examples)
    scores = found.s.values
    order = np.argsort(-scores, axis=1, kind="stable")
    print(
        f"{len(examples)} sentences, {examples.inputs} words, {examples.outputs} labels: loss"
        f" {float(found.loss[0]):.3f} -> {float(found.loss[-1]):.3f} at tau = {end:g};"
        f" {found.attrs['evaluations']} evaluations, {seconds:.1f} s"
    )
    if lr is not None:
        beside(model, examples, lr, start, {"s": eta}, output)
    print("highest scores:", ", ".join(str(found.input.values[k]) for k in order[-1, :12]))

    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    ax = figure.add_subplot()
    for top, colour in zip(SHOWN, COLOURS, strict=True):
        curve = [purity[row[:top]].mean() for row in order]
        ax.plot(times[1:], curve[1:], color=colour, label=f"{top} highest scores")
        print(f"purity of the {top} words of highest score at the end: {curve[-1]:.3f}")
    mean = float((purity * held).sum() / held.sum())
    ax.axhline(mean, color="0.5", linewidth=0.8, linestyle=(0, (4, 1.5)), label="all words, by frequency")
    ax.set_xscale("log")
    ax.set_ylim(0, 1.03)
    ax.set_xlabel("training time τ = learning rate × steps", fontsize=8)
    ax.set_ylabel("mean purity of the words", fontsize=8)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tau, _: number(tau)))
    ax.legend(frameon=False, fontsize=7)
    _plain(ax)
    save(figure, output / "purity.svg")

    best = order[-1, :100]
    v = embeddings(readout, found.W.values[-1], first)[best]
    size, s, m = np.sqrt(eta) * np.linalg.norm(v, axis=1), scores[-1, best], length[best] - 1
    predicted = np.sqrt(eta * norm_squared(s, m, eta_s=eta))
    gap = size / predicted - 1
    print(
        f"identity over the 100 words of highest score: norm / theorem - 1 = {gap.mean():+.3f} on average,"
        f" spread {gap.std():.3f}, from {gap.min():+.3f} to {gap.max():+.3f}"
    )
    figure = Figure(figsize=(3.4, 2.6), layout="constrained")
    ax = figure.add_subplot()
    line = np.array([0, 1.05 * max(size.max(), predicted.max())])
    ax.plot(line, line, color="black", linewidth=1, label="identity")
    ax.plot(predicted, size, "o", markersize=3, color=COLOURS[0], alpha=0.6, label="100 words of highest score")
    ax.set_xlabel("norm by theorem, from score and sentence length", fontsize=8)
    ax.set_ylabel("query norm × embedding norm", fontsize=8)
    ax.legend(frameon=False, fontsize=7)
    _plain(ax)
    save(figure, output / "sst_sen.svg")
    print(f"written to {output}: purity.svg, sst_sen.svg")


def _plain(ax) -> None:
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("output", nargs="?", type=Path, default=Path("results"))
    parser.add_argument("end", nargs="?", type=float, default=100.0)
    parser.add_argument("--padding", choices=["masked", "word"], default="masked")
    parser.add_argument("--lr", type=float)
    given = parser.parse_args()
    main(given.file, given.output, given.end, given.padding == "word", given.lr)
