"""The edge of stability: where the curvature along the flow passes 2/lr, descent leaves it.

The topic classifier TC on sentences of a word that tells and eight that do not. edge_of_stability.svg: the largest
eigenvalue of the Hessian along the gradient flow, and along full-batch descent at two learning rates, beside the limits
2/lr of both; and the loss of all three. What the package says of either rate before any step is printed.

    python examples/edge_of_stability.py [output directory]
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dynamics import TopicSentences, simulate, solve
from dynamics.plot import save
from dynamics.plot.frame import number
from dynamics.problems.kinds.exact import Exact
from dynamics.problems.kinds.models import topic
from dynamics.problems.optimisers.curvature import by_tangents, largest

END, RATES = 120.0, (2.0, 7.0)
FLOW, COLOURS = "black", ("#0072B2", "#D55E00")


def main(output: Path) -> None:
    sentences = TopicSentences(3, 2, 1, 8).examples(150)
    model, random = topic("TC", dimension=6), np.random.default_rng(1)
    problem = Exact(model, sentences)
    start = {name: 0.3 * random.standard_normal(shape) for name, shape in problem.shapes.items()}
    unit = dict.fromkeys(problem.rates, 1.0)
    apply = by_tangents(problem, unit)

    def curvature(found) -> list[float]:
        packed = [
            np.concatenate([np.ravel(found[n].values[k]) for n in problem.shapes]) for k in range(len(found.time))
        ]
        return [largest(lambda v, y=y: apply(y, v), y.size) for y in packed]

    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    times = np.linspace(0, END, 81)
    flow = solve(problem, times, initial=start)
    left.plot(times, curvature(flow), color=FLOW, linewidth=1.6, label="gradient flow")
    right.plot(times, flow.loss, color=FLOW, linewidth=1.6, label="gradient flow")
    for lr, colour in zip(RATES, COLOURS, strict=True):
        steps = round(END / lr)
        with warnings.catch_warnings():  # it is printed
            warnings.simplefilter("ignore")
            run = simulate(
                problem, lr=lr, steps=steps, records=np.arange(0, steps + 1, max(1, steps // 160)), initial=start
            )
            said = solve(problem, times, initial=start, lr=lr, stability=True).attrs["stability"]
        print(
            f"lr = {lr:g}: {said}; loss at the end {float(run.loss[0, -1]):.3g}, of the flow {float(flow.loss[-1]):.3g}"
        )
        left.plot(run.time, curvature(run.isel(seed=0)), color=colour, linewidth=0.9, label=f"descent, lr = {lr:g}")
        left.axhline(2 / lr, color=colour, linewidth=0.8, linestyle=(0, (4, 2)))
        left.text(END, 2 / lr, f"2/lr, lr = {lr:g}", color=colour, fontsize=7, ha="right", va="bottom")
        right.plot(run.time, run.loss[0], color=colour, linewidth=0.9, label=f"descent, lr = {lr:g}")
    left.set_ylabel("largest eigenvalue of the Hessian", fontsize=8)
    right.set_ylabel("loss (nats)", fontsize=8)
    right.set_yscale("log")
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    right.legend(frameon=False, fontsize=7)
    for ax in (left, right):
        ax.set_xlabel("training time τ = learning rate × steps", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, output / "edge_of_stability.svg")
    print(f"written to {output}: edge_of_stability.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
