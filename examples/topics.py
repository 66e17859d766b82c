"""What a topic classifier attends to: score and embedding norm, three classifiers, and what happens without attention.

The setting of Lu et al.: 4 topics with 2 words each, 5,000 other words, sentences of a topic word and 20 others, 4,000
of them. sen.svg: norm against score of each topic word along training, for the fixed, the trained and the two-layer
classifier, on the curve that the theory says, with descent on the same sentences; losses.svg: loss of the three, with
keys fixed (no attention is learnt) and embeddings fixed; words.svg: where topic words and others end;
competition.svg: two words in one sentence that tell different topics, the purer one wins.

    python examples/topics.py [output directory]
"""

import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dynamics import simulate, solve
from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.closed_forms import norm_squared
from dynamics.problems.kinds.models import Model, topic
from dynamics.tasks import TopicSentences
from dynamics.tasks.examples import Examples

TASK = TopicSentences(topics=4, words_per_topic=2, others=5000, others_per_sentence=20)
SENTENCES, DIMENSION, END = 4000, 10, 500.0
COLOURS = {"FC": "#0072B2", "TC": "#D55E00", "TL": "#009E73"}
TIMES = np.concatenate([[0.0], np.geomspace(0.5, END, 80)])


def setting(seed: int = 0) -> tuple[Examples, dict[str, Model], dict[str, dict], float]:
    """Sentences, models, initial states, and the rate of the scores, ||query||^2."""
    random = np.random.default_rng(seed)
    readout = random.standard_normal((DIMENSION, TASK.topics))
    np.fill_diagonal(readout, 1.0)
    query = 0.3 * random.standard_normal(DIMENSION)
    v = 1e-6 * random.standard_normal((TASK.inputs, DIMENSION))

    def layer(fan_in: int, *shape: int) -> np.ndarray:
        return random.uniform(-1, 1, shape) / np.sqrt(fan_in)  # as PyTorch draws them

    models = {"FC": topic("FC", readout=readout), "TC": topic("TC", DIMENSION), "TL": topic("TL", DIMENSION, 10)}
    starts: dict[str, dict] = {
        "FC": {"v": v},
        "TC": {"v": v, "U": layer(DIMENSION, DIMENSION, TASK.topics)},
        "TL": {
            "v": v, "F": layer(DIMENSION, 10, DIMENSION), "f": layer(DIMENSION, 10), "G": layer(10, TASK.topics, 10),
            "g": layer(10, TASK.topics),
        },
    }  # fmt: skip
    return TASK.examples(SENTENCES, seed), models, starts, float(query @ query)


def axes_of(size: tuple[float, float], x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    ax = figure.add_subplot()
    ax.set_xlabel(x, fontsize=8)
    ax.set_ylabel(y, fontsize=8)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def norms(found: xr.Dataset) -> np.ndarray:
    """Of the embeddings of topic words, shape (times, words)."""
    return np.linalg.norm(found.v.values[..., : TASK.topic_words, :], axis=-1)


def draw_identity(flows: dict[str, xr.Dataset], descent: xr.Dataset, eta: float, output: Path) -> None:
    """Norm against score: the curve of the theorem, the flow of each classifier, descent."""
    figure, ax = axes_of((3.4, 2.6), "score s", "query norm × embedding norm")
    s = np.linspace(0, 4.6, 200)
    m = TASK.others_per_sentence
    curve = np.sqrt(eta * norm_squared(s, m, eta_s=eta))
    ax.plot(s, curve, color="black", linewidth=1.4, label="theorem")
    for (name, found), marker in zip(flows.items(), "osD", strict=True):
        scores, size = found.s.values[:, : TASK.topic_words], np.sqrt(eta) * norms(found)
        ax.plot(scores[::4], size[::4], marker, markersize=3, color=COLOURS[name], alpha=0.6, linestyle="none")
        ax.plot([], [], marker, markersize=3, color=COLOURS[name], linestyle="none", label=f"flow, {name}")
        grown = scores > 0.1
        gap = np.abs(size[grown] / np.sqrt(eta * norm_squared(scores[grown], m, eta_s=eta)) - 1).max()
        print(f"{name}: identity within {100 * gap:.2f} % of the norm for scores above 0.1")
    run = descent.isel(seed=0)
    size = np.sqrt(eta) * norms(run)
    ax.plot(run.s.values[:, : TASK.topic_words], size, "x", markersize=4, color="0.4")
    ax.plot([], [], "x", markersize=4, color="0.4", linestyle="none", label="descent, FC")
    ax.legend(frameon=False, fontsize=7)
    save(figure, output / "sen.svg")


def draw_losses(curves: dict[tuple[str, str], xr.Dataset], output: Path) -> None:
    figure, ax = axes_of((3.4, 2.6), "training time τ = learning rate × steps", "loss (nats)")
    styles = {"all trained": "-", "keys fixed": (0, (4, 1.5)), "embeddings fixed": (0, (1, 1))}
    for (name, kind), found in curves.items():
        ax.plot(found.time, found.loss, color=COLOURS[name], linestyle=styles[kind], linewidth=1.2)
    for name, colour in COLOURS.items():
        ax.plot([], [], color=colour, label=name)
    for kind, style in styles.items():
        ax.plot([], [], color="0.3", linestyle=style, label=kind)
    ax.set_xscale("log")
    ax.set_xlim(1, END)
    ax.set_ylim(0, None)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tau, _: number(tau)))
    ax.legend(frameon=False, fontsize=7, ncols=2)
    save(figure, output / "losses.svg")


def draw_words(found: xr.Dataset, eta: float, output: Path) -> None:
    figure, ax = axes_of((3.4, 2.6), "score s at the end", "query norm × embedding norm")
    last = found.isel(time=-1)
    size, s = np.sqrt(eta) * np.linalg.norm(last.v.values, axis=-1), last.s.values
    first = TASK.topic_words
    ax.plot(
        s[first:], size[first:], ".", color="0.6", markersize=2, label=f"{TASK.others} other words", rasterized=True
    )
    ax.plot(s[:first], size[:first], "o", color=COLOURS["FC"], markersize=4, label=f"{first} topic words")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    ax.legend(frameon=False, fontsize=7)
    save(figure, output / "words.svg")


def draw_competition(output: Path) -> None:
    """Words of unequal purity: alone in sentences of both labels, and together in some."""
    figure, ax = axes_of((3.4, 2.6), "training time τ = learning rate × steps", "score s")
    colours = ("#0072B2", "#D55E00", "#009E73")
    for purity, colour in zip((0.95, 0.8, 0.65), colours, strict=True):
        random = np.random.default_rng(1)
        rows, labels = [], []
        for n in range(2000):
            others = random.integers(2, 502, 10)
            word = int(random.random() < 0.5)
            together = n % 5 == 0  # the sentence then has the topic of the pure word
            told = word == 0 or random.random() < purity
            rows.append([0, 1, *others[2:]] if together else [word, *others])
            labels.append(0 if together else word if told else 1 - word)
        sentences = Examples.from_rows(rows, np.array(labels)[:, None], 502, 2)
        readout = np.array([[1.0, -0.5], [-0.3, 1.0]])
        found = solve(topic("FC", readout=readout), sentences, TIMES, initial={"v": 1e-4}, rates={"s": 1.0})
        ax.plot(found.time, found.s[:, 0], color=colour, label=f"pure word, rival of purity {purity}")
        ax.plot(found.time, found.s[:, 1], color=colour, linestyle=(0, (4, 1.5)))
    ax.plot([], [], color="0.3", linestyle=(0, (4, 1.5)), label="its rival")
    ax.set_xscale("log")
    ax.set_xlim(1, END)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda tau, _: number(tau)))
    ax.legend(frameon=False, fontsize=7)
    save(figure, output / "competition.svg")


def main(output: Path) -> None:
    began = time.perf_counter()
    sentences, models, starts, eta = setting()
    curves: dict[tuple[str, str], xr.Dataset] = {}
    for name, model in models.items():
        for kind, rates in (
            ("all trained", {"s": eta}),
            ("keys fixed", {"s": 0.0}),
            ("embeddings fixed", {"s": eta, "v": 0.0}),
        ):
            start = dict(starts[name])
            if kind == "embeddings fixed":  # they must tell words apart to be of any use
                start["v"] = np.random.default_rng(1).standard_normal(start["v"].shape)
            found = solve(model, sentences, TIMES, initial=start, rates=rates, rtol=1e-5)
            curves[name, kind] = found if kind == "all trained" else found[["loss"]]
            print(
                f"{name}, {kind}: loss {float(found.loss[-1]):.4f} at tau = {END:g} ({found.attrs['evaluations']}"
                f" evaluations, {found.attrs['seconds']} s)"
            )
    flows = {name: curves[name, "all trained"] for name in models}
    run = simulate(
        models["FC"], sentences, lr=1.0, steps=int(END), records=12, initial=starts["FC"], rates={"s": eta}
    )  # fmt: skip
    draw_identity(flows, run, eta, output)
    draw_losses(curves, output)
    draw_words(flows["FC"], eta, output)
    draw_competition(output)
    print(f"written to {output}: sen.svg, losses.svg, words.svg, competition.svg")
    print(f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
