"""A small LSTM and a small Transformer learn to translate; the forecast of their runs stands beside.

Both are trained with Adam on the first lines of two texts; every twelfth line is held out, neither trained on nor seen
by the forecast, and tells when each word is learnt: its probability where it stands, less that with the source of
another sentence. With 20,000 pairs of sentences it takes five minutes on one core. Needs PyTorch
(pip install 'attention-dynamics[torch]').

    python examples/forecast.py SOURCE TARGET [--pairs 20000] [--steps 2400] [--output results/forecast-example]

With no text it runs on the bundled one, which is far too short for a model to learn more than it by heart.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dynamics import ContextCounts, DataWarning, forecast
from dynamics.comparison.word_order import MeasuredRun, against
from dynamics.counts.bundled import bundled
from dynamics.counts.text.corpus import ParallelText
from dynamics.counts.text.encoding import EncodedPairs, encode
from dynamics.plot import against as draw_against
from dynamics.plot import forecast as draw_forecast
from dynamics.plot import save
from dynamics.problems.forecast.learning_step import recorded_steps
from dynamics.problems.forecast.sentences import Sentences

WIDTH, BATCH, WORDS, LONGEST = 128, 32, 250, 30
RATES = {"recurrent": 2e-3, "transformer": 1e-3}
EVERY = 12


class Recurrent(nn.Module):
    """Bidirectional LSTM encoder, LSTM decoder, one bilinear attention head (Luong et al., 2015)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(inputs, WIDTH), nn.Embedding(outputs + 1, WIDTH)
        self.encoder = nn.LSTM(WIDTH, WIDTH // 2, bidirectional=True, batch_first=True)
        self.decoder = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.score = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mix, self.read = nn.Linear(2 * WIDTH, WIDTH), nn.Linear(WIDTH, outputs + 1)

    def forward(self, x: Tensor, absent: Tensor, p: Tensor) -> Tensor:
        keys, _ = self.encoder(self.source(x))
        state, _ = self.decoder(self.target(p))
        scores = (self.score(state) @ keys.transpose(1, 2)).masked_fill(absent[:, None], -1e9)
        return self.read(torch.tanh(self.mix(torch.cat([state, scores.softmax(-1) @ keys], -1))))


class Transformer(nn.Module):
    """One layer of self-attention on either side, one cross-attention head, normalised before each layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(inputs, WIDTH), nn.Embedding(outputs + 1, WIDTH)
        self.source_place, self.place = nn.Embedding(LONGEST + 1, WIDTH), nn.Embedding(LONGEST + 1, WIDTH)
        for table in (self.source, self.target, self.source_place, self.place):
            nn.init.normal_(table.weight, std=0.1)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, batch_first=True, norm_first=True)
        self.decoder.multihead_attn = nn.MultiheadAttention(WIDTH, 1, batch_first=True)
        self.after_encoder, self.after_decoder = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.read = nn.Linear(WIDTH, outputs + 1)

    def forward(self, x: Tensor, absent: Tensor, p: Tensor) -> Tensor:
        keys = self.source(x) + self.source_place(torch.arange(x.shape[1]))
        keys = self.after_encoder(self.encoder(keys, src_key_padding_mask=absent))
        state = self.target(p) + self.place(torch.arange(p.shape[1]))
        later = torch.ones(p.shape[1], p.shape[1]).triu(1).bool()
        state = self.decoder(state, keys, tgt_mask=later, memory_key_padding_mask=absent)
        return self.read(self.after_decoder(state))


MODELS = {"recurrent": Recurrent, "transformer": Transformer}


@dataclass(frozen=True)
class Texts:
    """Sentences to train on and to measure on, as word numbers, and the lines that the forecast must not see."""

    counts: ContextCounts
    train: Sentences
    held: Sentences
    excluded: list[int]


def read(source: Path, target: Path, pairs: int, vocabulary: int, hold_out: bool) -> Texts:
    lines = sum(1 for _ in ParallelText(source, target, max_pairs=pairs))
    excluded = list(range(EVERY, lines + 1, EVERY)) if hold_out else []
    counts = ContextCounts.from_parallel_text(
        source, target, max_pairs=pairs, max_vocab=vocabulary, sentences=True, exclude=excluded
    )
    every = list(ParallelText(source, target, max_pairs=pairs))
    chosen = [every[number - 1] for number in excluded] or every
    assert counts.reservoir is not None
    outputs = len(counts.outputs)
    held = encode(chosen, counts.inputs, counts.outputs)
    return Texts(counts, sentences_of(counts.reservoir.pairs, outputs), sentences_of(held, outputs), excluded)


def sentences_of(pairs: EncodedPairs, outputs: int) -> Sentences:
    x, y = pairs.x_starts, pairs.y_starts
    rows = range(len(pairs))
    return Sentences.of(
        ((pairs.x[x[k] : x[k + 1]][:LONGEST].tolist(), pairs.y[y[k] : y[k + 1]][:LONGEST].tolist()) for k in rows),
        outputs,
    )


def tensors(some: Sentences) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Source, where it is absent, previous words, targets, and where there is a target."""
    absent = np.arange(some.x.shape[1]) >= some.length[:, None]
    there = np.arange(some.o.shape[1]) < some.targets[:, None]
    x, missing, p, o, rows = map(torch.as_tensor, (some.x, absent, some.p, some.o, there))
    return x, missing, p, o, rows


def trained(kind: str, texts: Texts, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Train a model; what it knows of each word at steps that are even in their logarithm."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    outputs = len(texts.counts.outputs)
    model = MODELS[kind](len(texts.counts.inputs), outputs)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATES[kind])
    due = sorted(set(recorded_steps(min(8, steps / 10), steps).round().astype(int).tolist()))
    words = min(WORDS, outputs)
    own, other, queue = [], [], np.empty(0, dtype=int)
    for step in range(steps + 1):
        if step in due:
            known = measured(model, texts.held, words)
            own.append(known[0])
            other.append(known[1])
        while len(queue) < BATCH:
            queue = np.concatenate([queue, rng.permutation(len(texts.train))])
        batch, queue = texts.train.take(queue[:BATCH]), queue[BATCH:]
        x, absent, p, o, rows = tensors(batch)
        loss = nn.functional.cross_entropy(model(x, absent, p)[rows], o[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held = texts.held
    targets = held.o[np.arange(held.o.shape[1]) < held.targets[:, None]]
    return {
        "steps": np.array(due), "P": np.array(own), "P_shuffled": np.array(other),
        "n": np.bincount(targets, minlength=words)[:words], "words": np.array(texts.counts.outputs[:words]),
    }  # fmt: skip


def measured(model: nn.Module, held: Sentences, words: int) -> list[np.ndarray]:
    """Mean probability of each word at its places: with its own source, and with that of another sentence."""
    sums = np.zeros((3, words + 1))
    by_length = held.take(np.argsort(held.length, kind="stable"))
    with torch.no_grad():
        for begin in range(0, len(held), 200):
            x, absent, p, o, rows = tensors(by_length.take(np.arange(begin, min(begin + 200, len(held)))))
            moved = max(1, len(x) // 3)
            word = np.minimum(o[rows].numpy(), words)
            sums[2] += np.bincount(word, minlength=words + 1)
            for line, (source, gone) in enumerate(((x, absent), (x.roll(moved, 0), absent.roll(moved, 0)))):
                chances = model(source, gone, p)[rows].softmax(-1)
                sums[line] += np.bincount(word, chances[torch.arange(len(word)), o[rows]].numpy(), words + 1)
    return [sums[line, :words] / np.maximum(sums[2, :words], 1) for line in (0, 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("target", nargs="?", type=Path)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/forecast-example"))
    given = parser.parse_args()
    own = given.source is not None
    source, target = (given.source, given.target) if own else bundled("english-german")
    steps = given.steps or (2400 if own else 300)
    warnings.simplefilter("ignore", DataWarning)
    texts = read(source, target, given.pairs, 400 if own else 80, hold_out=own)
    for kind, lr in RATES.items():
        found = forecast(texts.counts, lr=lr, batch=BATCH, width=WIDTH, steps=steps, kind=kind, seed=given.seed)
        save(draw_forecast(found), given.output / f"{kind}_forecast.png")
        run = trained(kind, texts, steps, given.seed)
        np.savez_compressed(given.output / f"{kind}.npz", **run)
        compared = against(found, [MeasuredRun.of(run, [str(word) for word in run["words"]])])
        save(draw_against(compared), given.output / f"{kind}_against.png")
        print(
            f"{kind}: {compared.attrs['words']} words, rank correlation {float(compared.rank_correlation):.2f}"
            f" (frequency alone {float(compared.rank_correlation_of_frequency):.2f}),"
            f" {float(compared.scale):.2f} measured steps a forecast one, within a factor {float(compared.factor):.2f};"
            f" {float(compared.covered_unscaled):.0%} within the intervals"
        )


if __name__ == "__main__":
    main()
