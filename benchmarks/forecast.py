"""One start of a forecast by the numbers of sentence pairs and of words, beside PyTorch's Adam on the same row model.

Texts are sampled, or two line-aligned ones (``--text SOURCE TARGET``). What is timed is one start: `STEPS` steps of
the run, and what is looked at on the way; in proportion, as all evaluations cost the same. Counting the text is a line
of its own. PyTorch trains the row model by its own automatic differentiation, batch by batch, and looks at the same
places.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.case import Case, Contender, Row, Setting, race
from benchmarks.measure import memory, seconds
from benchmarks.peers import here
from dynamics import ContextCounts, DataWarning
from dynamics.counts.text.corpus import ParallelText
from dynamics.problems.forecast.forecast import EVERY_TABLE, FIRST, PLACES, STRIDE, WIDTH
from dynamics.problems.forecast.learning_step import recorded_steps
from dynamics.problems.forecast.probes import Probes
from dynamics.problems.forecast.rows import RowModel, RowState
from dynamics.problems.forecast.sentences import Sentences

STEPS, BATCH, GROUP, LR, LENGTH = 2400, 32, 64, 2e-3, 9
LOOKS = len(recorded_steps(FIRST, STEPS))
TIMED = 40
"""Evaluations, or steps of PyTorch, that are timed."""


def sampled(pairs: int, words: int = 3000) -> tuple[list[str], list[str]]:
    """Sentences by Zipf's law, each word with its own translation."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(5, words + 5)
    drawn = rng.choice(words, size=(pairs, LENGTH), p=share / share.sum())
    return [" ".join(f"s{k}" for k in row) for row in drawn], [" ".join(f"t{k}" for k in row) for row in drawn]


def counted(text: tuple[Any, Any], pairs: int, words: int) -> ContextCounts:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return ContextCounts.from_parallel_text(*text, max_pairs=pairs, max_vocab=words, sentences=True)


@dataclass(frozen=True)
class Start:
    """What one start of a forecast is made of."""

    counts: ContextCounts
    sentences: Sentences
    model: RowModel
    probes: Probes

    @classmethod
    def of(cls, counts: ContextCounts) -> Start:
        assert counts.reservoir is not None
        V, K = counts.shape
        sentences = Sentences.encoded(counts.reservoir.pairs, K)
        probes = Probes.of(sentences, K, PLACES, np.random.default_rng(0))
        return cls(counts, sentences, RowModel("prefix", V, K, WIDTH, places=counts.longest + 1), probes)

    def batch(self, number: int, size: int) -> Sentences:
        return self.sentences.take(np.random.default_rng(number).integers(0, len(self.sentences), size))

    def evaluations(self, state: RowState) -> None:
        """Some of the evaluations of a start, and its share of looks at all places."""
        for k in range(TIMED):
            state = self.model.step(
                state, self.batch(k, GROUP), dt=STRIDE, lr=LR, batch=BATCH, rows=self.sentences.mean_targets,
                every_table=EVERY_TABLE,
            )  # fmt: skip

    def looks(self, state: RowState) -> None:
        self.probes.measure(self.model, state, self.sentences, np.zeros(self.counts.shape[1], dtype=np.int64))


def with_torch(start: Start) -> tuple[Callable[[], object], Callable[[], object]]:
    """Some steps of PyTorch's Adam on the same row model, and its looks at the same places."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in start.model.start(0).tensors.items()}
    optimiser = torch.optim.Adam(list(tensors.values()), lr=LR)
    places = torch.arange(start.counts.longest + 1, dtype=torch.float32)
    apart = places[:, None] - places
    past = torch.where(apart > 0, 0.7 ** (apart - 1), torch.zeros(()))

    def normalised(value: Any) -> Any:
        return functional.layer_norm(value, value.shape[-1:])

    def logits(some: Sentences, rows: Any) -> Any:
        """In some rows of sentences, a mask or a pair of subscripts."""
        w = tensors
        x, p = torch.as_tensor(some.x), torch.as_tensor(some.p)
        absent = torch.as_tensor(np.arange(some.x.shape[1]) >= some.length[:, None])
        long = p.shape[1]
        keys = normalised(w["E"][x] + w["F"][: x.shape[1]])
        state = w["Y"][p] + w["G"][:long] + past[:long, :long] @ w["H"][p]
        scores = (state @ w["Q"]) @ keys.transpose(1, 2) / WIDTH**0.5
        context = scores.masked_fill(absent[:, None], -1e9).softmax(-1) @ keys
        return normalised(state[rows] + context[rows] @ w["C"]) @ w["U"].T + w["b"]

    def train() -> None:
        for k in range(TIMED):
            some = start.batch(k, BATCH)
            rows = torch.as_tensor(np.arange(some.o.shape[1]) < some.targets[:, None])
            value = functional.cross_entropy(logits(some, rows), torch.as_tensor(some.o)[rows])
            optimiser.zero_grad()
            value.backward()
            optimiser.step()

    @torch.no_grad()  # type: ignore[untyped-decorator,unused-ignore]
    def look() -> None:
        probes, sentences = start.probes, start.sentences
        for chosen, partners, number, rows in probes._chunks(sentences):
            some = sentences.take(chosen)
            at = torch.as_tensor(np.repeat(np.arange(len(chosen)), number)), torch.as_tensor(probes.place[rows])
            word = torch.as_tensor(probes.word[rows])
            for text in (some, some.with_sources(sentences.take(partners))):
                functional.cross_entropy(logits(text, at), word, reduction="none").numpy()

    return train, look


def rows(setting: Setting) -> Iterator[Row]:
    sizes = [(5_000, 400), (20_000, 400), (20_000, 1_000), (29_000, 2_000)]
    for pairs, words in sizes[1:3] if setting.quick else sizes:
        before = memory()
        lines = sampled(pairs) if setting.text is None else setting.text
        number = min(pairs, sum(1 for _ in islice(ParallelText(*lines), pairs)))
        took = seconds(partial(counted, lines, pairs, words))
        start = Start.of(counted(lines, pairs, words))
        state = start.model.start(0)
        grown = f"{number:,} pairs, {words:,} words a side, {(memory() - before) / 1e6:.0f} MB"
        evaluations = Contender(partial(start.evaluations, state), share=TIMED * STRIDE / STEPS, note=grown)
        places = Contender(partial(start.looks, state), share=1 / LOOKS, note=f"{len(start.probes):,} places")
        steps, looks = {"dynamics, evaluations": evaluations}, {"dynamics, looks at places": places}
        if here("torch"):
            train, look = with_torch(start)
            of_adam = Contender(train, share=TIMED / STEPS, note="the same model, step by step", peer=True)
            steps["PyTorch, Adam"] = of_adam
            looks["PyTorch, looks at places"] = Contender(look, share=1 / LOOKS, note="the same places", peer=True)
        size = float(number * words)
        for contenders in (steps, looks):
            yield from race(size, contenders, setting.rounds)
        yield Row(size, "counting", *took, took[1] / max(took[1], 1e-9), note=grown)


CASE = Case("forecast", f"one start of the forecast of {STEPS:,} steps of Adam", "pairs x words", rows)
