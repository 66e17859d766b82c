"""What the starts of LSTMs say of when they learn to copy: the same starts, trained on other sentences.

The runs of examples/copying_lstm.py (Snell et al., arXiv 2103.07601) have seeds. Their published script seeds PyTorch
with them before it draws the model, and does not seed the sentences: a start is known before its run, what it is
trained on is not. This is a rewriting of that LSTM (one embedding for both sides, bilinear attention on the encoder's
states, state and context mixed by a rectified layer), drawn in the published order. First losses show whether it is the
same start. It is a simulation, no prediction by a flow: it says how much a prediction from the starts can have.

    python examples/copying_starts.py PERMUTATIONS.npz SUBSETS.npz [sets of sentences]

It takes PyTorch (pip install ".[torch]") and five minutes a set on one core.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

LENGTH, WIDTH, LR, BATCH, LAST, EVERY, PROBES, FIRST = 10, 64, 1e-3, 128, 400, 10, 200, 512
THRESHOLD, LEARNT = 0.9, 0.97


def sentences(torch: Any, words: int, count: int, draw: random.Random) -> tuple[Any, Any]:
    """Sources with their end, and targets that begin with the start; a column each."""
    source = np.array([[*draw.sample(range(words), LENGTH), words] for _ in range(count)])
    target = np.concatenate([np.full((count, 1), words + 1), source], axis=1)
    return torch.tensor(source.T), torch.tensor(target.T)


def model(torch: Any, words: int, seed: int) -> tuple[Callable[[Any, Any], tuple[Any, Any]], list[Any]]:
    """Logits and attention of sources and targets, and the parameters; drawn from a seed."""
    torch.manual_seed(seed)
    nn = torch.nn
    embedding, encoder, decoder = nn.Embedding(words + 2, WIDTH), nn.LSTM(WIDTH, WIDTH), nn.LSTM(WIDTH, WIDTH)
    mixing, readout = nn.Linear(2 * WIDTH, WIDTH), nn.Linear(WIDTH, words + 2)
    query, context = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def run(source: Any, target: Any) -> tuple[Any, Any]:
        states, last = encoder(embedding(source))
        own, _ = decoder(embedding(target[:-1]), last)
        attention = torch.einsum("tbd,sbd->tbs", query(own), states).softmax(-1)
        seen = context(torch.einsum("tbs,sbd->tbd", attention, states))
        return readout(mixing(torch.cat([own, seen], -1)).relu()), attention

    parts = (embedding, encoder, decoder, mixing, readout, query, context)
    return run, [parameter for part in parts for parameter in part.parameters()]


def loss_of(torch: Any, logits: Any, target: Any) -> Any:
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[1:].flatten())


def course(torch: Any, words: int, seed: int, data: int) -> tuple[float, float, float]:
    """The first loss, the steps to the threshold, and attention on the right position at the end."""
    run, parameters = model(torch, words, seed)
    optimizer, draw = torch.optim.Adam(parameters, lr=LR), random.Random(data)
    probe, first = (sentences(torch, words, n, random.Random(n)) for n in (PROBES, FIRST))
    with torch.no_grad():
        start = float(loss_of(torch, run(*first)[0], first[1]))
    steps, accuracy, right = [], [], 0.0
    for step in range(LAST):
        batch = sentences(torch, words, BATCH, draw)
        optimizer.zero_grad()
        loss_of(torch, run(*batch)[0], batch[1]).backward()
        optimizer.step()
        if step % EVERY:
            continue
        with torch.no_grad():
            logits, attention = run(*probe)
        steps.append(step + 1)
        accuracy.append(float((logits.argmax(-1) == probe[1][1:]).double().mean()))
        right = float((attention.argmax(-1)[:LENGTH] == torch.arange(LENGTH)[:, None]).double().mean())
        if accuracy[-1] > LEARNT:
            break
    return start, passing(np.array(steps), np.array(accuracy)), right


def passing(steps: np.ndarray, accuracy: np.ndarray) -> float:
    """When accuracy first passes the threshold; NaN if it does not."""
    k = int(np.argmax(accuracy >= THRESHOLD))
    if accuracy[k] < THRESHOLD:
        return np.nan
    return float(np.interp(THRESHOLD, accuracy[max(k - 1, 0) : k + 1], steps[max(k - 1, 0) : k + 1]))


def main(permutations: str, subsets: str, sets: int) -> None:
    for path in (permutations, subsets):
        if not Path(path).is_file():
            sys.exit(f"skipped: there is no {path}; it takes the recorded runs of Snell et al.'s LSTMs")
    try:
        import torch
    except ImportError:
        sys.exit('skipped: it takes PyTorch, pip install ".[torch]"')
    torch.set_num_threads(1)
    for number in range(sets):
        seen, again, kinds = [], [], []
        for path, words in ((subsets, 2 * LENGTH), (permutations, LENGTH)):
            data, firsts, agree = np.load(path), [], 0
            for k, seed in enumerate(data["seeds"]):
                start, when, right = course(torch, words, int(seed), 1000 * (number + 1) + int(seed))
                recorded = bool(data["attn_acc"][k, -5:].mean() > 0.5)
                firsts.append(start)
                agree += recorded == (right > 0.5)
                seen.append(passing(data["eval_step"] + 1, data["acc"][k]))
                again.append(when)
                kinds.append("10 of 20 words" if words > LENGTH else "right" if recorded else "mirror")
            close = np.corrcoef(firsts, data["loss"][:, 0])[0, 1]
            told = f"first losses correlate {close:.2f}; {agree} of {len(firsts)} branches agree"
            print(f"{LENGTH} of {words} words: {told}")
        both = np.isfinite(seen) & np.isfinite(again)
        rank = spearmanr(np.array(seen)[both], np.array(again)[both]).statistic
        print(f"set {number + 1}: rank correlation of the steps to {THRESHOLD:g} over {both.sum()} runs {rank:.2f}")
        for kind in dict.fromkeys(kinds):
            mine = [k for k, one in enumerate(kinds) if one == kind]
            medians = [float(np.nanmedian(np.array(of)[mine])) for of in (seen, again)]
            print(f"  {kind}: recorded {medians[0]:.0f} steps (median), again {medians[1]:.0f}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1)
