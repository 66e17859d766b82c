"""The exact flow of a run of the topic classifier (FC), beside the same flow by peers and descent in PyTorch.

The run is a recorded one (``--run RUN.npz``: the sentences, the initial parameters and the learning rate), or one of
the same sizes that is sampled here. Errors are the largest over all scores and embeddings at the end, against the flow
at rtol 1e-10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from benchmarks import losses
from benchmarks.accuracy import at_equal_error, furthest
from benchmarks.case import Case, Contender, Row, Setting, Work, race
from benchmarks.own import flat, numbers
from benchmarks.peers import Prepare, Values, gradient_flows, here, softmax, with_diffrax
from dynamics import solve
from dynamics.problems.kinds.models import Model, embeddings, topic
from dynamics.tasks import TopicSentences
from dynamics.tasks.examples import Examples

TARGET = 1e-4
TIMED_STEPS = 20
"""Steps of descent that are timed; the time of all of them is in proportion."""
FASTER = (10, 50)
"""Learning rates that descent is run at beside its own, as multiples of it."""
TASK = TopicSentences(topics=4, words_per_topic=2, others=5000, others_per_sentence=20)


@dataclass(frozen=True)
class Run:
    """A training run by full-batch descent: what the model starts from, and how long it is trained."""

    model: Model
    examples: Examples
    rows: np.ndarray
    initial: dict[str, np.ndarray]
    rate: float
    lr: float
    steps: int

    @property
    def tau(self) -> float:
        return self.lr * self.steps


def load(path: str) -> Run:
    file = np.load(path)
    rows = file["context_idxs_train"].astype(np.int64)
    query = file["init_query"][0].astype(float)
    lengths, one = np.full(len(rows), rows.shape[1]), np.ones(len(rows), dtype=int)
    examples = Examples(
        rows.ravel(), lengths, file["target_train"], one, int(file["n_vocab"]), int(file["n_topics"])
    )  # fmt: skip
    initial = {"v": file["init_embeddings"].astype(float), "s": file["init_keys"].astype(float) @ query}
    model = topic("FC", readout=file["init_clf_w"].astype(float))
    return Run(model, examples, rows, initial, float(query @ query), float(file["lr"]), int(file["n_epochs"]))


def sampled(sentences: int = 4000, dimension: int = 10) -> Run:
    """A run of the sizes of the recorded ones: small embeddings, scores of zero, a query of norm 1.2."""
    rng = np.random.default_rng(0)
    examples = TASK.examples(sentences)
    model = topic("FC", readout=rng.standard_normal((dimension, TASK.topics)))
    initial = {"v": 1e-6 * rng.standard_normal((TASK.inputs, dimension)), "s": np.zeros(TASK.inputs)}
    return Run(model, examples, examples.x.reshape(sentences, -1), initial, 1.44, 0.1, 5000)


def first(run: Run, sentences: int) -> Run:
    """The same with the first sentences only."""
    rows, y = run.rows[:sentences], run.examples.y[:sentences]
    examples = Examples.from_rows(rows, y, run.examples.inputs, run.examples.outputs)
    return replace(run, examples=examples, rows=rows)


# -- this package -----------------------------------------------------------------------------------------------------


def flow(run: Run, rtol: float, atol: float) -> tuple[Values, int]:
    """Embeddings and scores at the end, and the evaluations that they took."""
    found = solve(
        run.model, run.examples, [run.tau], initial=run.initial, rates={"s": run.rate}, rtol=rtol, atol=atol, threads=1
    )
    return flat(found, "v", "s"), found.attrs["evaluations"]


def flow_in_span(run: Run, rtol: float, atol: float) -> Values:
    """The same by the logits of words, from which the embeddings follow."""
    U, v = run.model.fixed["U"], run.initial["v"]
    found = solve(
        topic("FC", readout=U, span=True), run.examples, [run.tau], initial={"s": run.initial["s"], "W": v @ U},
        rates={"s": run.rate}, rtol=rtol, atol=atol, threads=1,
    )  # fmt: skip
    W, s = numbers(found, "W", "s")
    return np.concatenate([embeddings(U, W[-1], v).ravel(), s.ravel()])


# -- peers ------------------------------------------------------------------------------------------------------------


def weighted(xp: Any, values: Any, s: Any, x: Any) -> Any:
    """Attended values with one exponential for each word; scores must not lie far apart."""
    weight = xp.exp(s - xp.constant(s.max()))
    sums = xp.concatenate([weight[:, None] * values, weight[:, None]], 1)[x].sum(1)
    return sums[:, :-1] / sums[:, -1:]


def loss_by_word(xp: Any, data: Any, v: Any, s: Any) -> Any:
    logits = weighted(xp, v, s, data["x"]) @ data["U"]
    return -(xp.log_softmax(logits, 1) * data["target"]).sum() / data["x"].shape[0]


def loss_readout_first(xp: Any, data: Any, v: Any, s: Any) -> Any:
    logits = weighted(xp, v @ data["U"], s, data["x"])
    return -(xp.log_softmax(logits, 1) * data["target"]).sum() / data["x"].shape[0]


class ByHand:
    """The slope in NumPy, sums over repeated words as a sparse product."""

    def __init__(self, run: Run) -> None:
        self.x, self.U, self.rate = run.rows, run.model.fixed["U"], run.rate
        self.V, self.target = run.examples.inputs, np.eye(self.U.shape[1])[run.examples.y]
        words = (np.ones(self.x.size), (self.x.ravel(), np.arange(self.x.size)))
        self.gathered = scipy.sparse.csr_array(words, shape=(self.V, self.x.size))

    def __call__(self, state: Values) -> Values:
        V, D = self.V, len(self.U)
        v, s = state[: V * D].reshape(V, D), state[V * D :]
        share, values = softmax(s[self.x]), v[self.x]
        context = np.einsum("nl,nld->nd", share, values)
        pull = (self.target - softmax(context @ self.U)) @ self.U.T / len(self.x)
        along = np.einsum("nd,nld->nl", pull, values) - np.einsum("nd,nd->n", pull, context)[:, None]
        dv = self.gathered @ (share[:, :, None] * pull[:, None, :]).reshape(-1, D)
        return np.concatenate([dv.ravel(), self.rate * (self.gathered @ (share * along).ravel())])


def torch_descents(run: Run) -> dict[str, Callable[[], None]]:
    """TIMED_STEPS steps of ``torch.optim.SGD`` on all sentences, in each idiom and each precision."""
    import torch

    torch.set_num_threads(1)
    x, y = torch.tensor(run.rows), torch.tensor(run.examples.y)
    words = x.reshape(-1)

    def attended(v, s):
        return torch.softmax(s.index_select(0, words).view(x.shape), 1), v.index_select(0, words).view(*x.shape, -1)

    def bmm(v, s):
        shares, values = attended(v, s)
        return torch.bmm(shares.unsqueeze(1), values).squeeze(1)

    def multiply_and_sum(v, s):
        shares, values = attended(v, s)
        return (shares.unsqueeze(2) * values).sum(1)

    def case(context, dtype):
        U = torch.tensor(run.model.fixed["U"], dtype=dtype)
        v, s = (torch.tensor(run.initial[name], dtype=dtype, requires_grad=True) for name in "vs")
        rates = [{"params": [v], "lr": run.lr}, {"params": [s], "lr": run.lr * run.rate}]
        optimizer = torch.optim.SGD(rates)

        def steps() -> None:
            for _ in range(TIMED_STEPS):
                optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(context(v, s) @ U, y).backward()
                optimizer.step()

        return steps

    idioms = {"index_select and bmm": bmm, "index_select, product and sum": multiply_and_sum}
    types = {"float64": torch.float64, "float32": torch.float32}
    return {f"{idiom}, {name}": case(f, dtype) for idiom, f in idioms.items() for name, dtype in types.items()}


def descended(run: Run, factor: int = 1) -> Values:
    """Where descent arrives at so many times the learning rate, whatever computes it: here the compiled gradient."""
    compiled, y = gradient(run), packed(run)
    slope = np.empty_like(y)
    for _ in range(run.steps // factor):
        compiled(y, slope)
        y += factor * run.lr * slope
    return y


def packed(run: Run) -> Values:
    return np.concatenate([run.initial["v"].ravel(), run.initial["s"]])


def gradient(run: Run) -> Callable[[Values, Values], None]:
    parameters = {**run.model.all_sizes(run.examples), "eta_v": 1.0, "eta_s": run.rate}
    return run.model.kernel(run.examples).bind(run.model.arrays(run.examples), parameters)


def contenders_of(run: Run, near: Mapping[str, Contender]) -> dict[str, Contender]:
    error = furthest(flow(run, 1e-10, 1e-13)[0])
    flows: dict[str, Prepare] = {
        "dynamics": lambda rtol, atol: lambda: flow(run, rtol, atol)[0],
        "dynamics, in the span of the readout": lambda rtol, atol: lambda: flow_in_span(run, rtol, atol),
    }
    U = run.model.fixed["U"]
    data = {"x": run.rows, "U": U, "target": np.eye(U.shape[1])[run.examples.y]}
    start, options = (run.initial["v"], run.initial["s"]), ((1.0, run.rate), run.tau)
    flows |= gradient_flows(losses.topic, data, start, *options, ByHand(run))
    if here("diffrax"):
        for name, other in (
            ("one exp per word", loss_by_word),
            ("one exp per word, readout first", loss_readout_first),
        ):
            flows[f"diffrax Tsit5, {name}"] = with_diffrax(other, data, start, *options)
    found = at_equal_error(flows, error, TARGET, near=near)
    rtol = found["dynamics"].tolerance
    found["dynamics"] = replace(found["dynamics"], work=work(run, flow(run, rtol, 1e-3 * rtol)[1]))
    if here("torch"):
        errors = {factor: error(descended(run, factor)) for factor in (1, *FASTER)}
        for name, descent in torch_descents(run).items():
            for factor in (1, *FASTER) if name.endswith("sum, float32") else (1,):
                note = f"{run.steps // factor} steps, {TIMED_STEPS} of them timed"
                note += ", error without rounding" * ("float32" in name)
                what = f"SGD at {factor} lr, PyTorch, {name}" if factor > 1 else f"PyTorch SGD, {name}"
                found[what] = Contender(descent, errors[factor], TIMED_STEPS * factor / run.steps, note=note)
    return found


def work(run: Run, evaluations: int) -> Work:
    """Words, labels, state and slope once each; products of attention, its adjoint and the readout."""
    (D, K), (N, L) = run.model.fixed["U"].shape, run.rows.shape
    numbers = run.rows.size + N + 2 * packed(run).size
    return Work(8 * numbers * evaluations, 2 * (N * L * (3 * D + 3) + 2 * N * D * K) * evaluations)


def rows(setting: Setting) -> Iterator[Row]:
    found: dict[str, Contender] = {}
    whole = load(setting.run) if setting.run else sampled()
    for sentences in (1000,) if setting.quick else (1000, len(whole.rows)):
        found = contenders_of(first(whole, sentences), found)
        yield from race(sentences, found, setting.rounds)


CASE = Case(
    "topic", f"exact flow of a run of the topic classifier, 5,008 words, 5,000 steps, error of at most {TARGET:g}",
    "sentences", rows,
)  # fmt: skip
