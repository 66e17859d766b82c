"""Exact models in PyTorch: the loss of each, example by example, read from the equations of the papers.

Every function takes the states by name, as tensors, and a list of examples ``(words, targets)``, and returns the mean
cross-entropy over all targets. The gradients are left to PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra torch)")

Tensor = torch.Tensor
States = Mapping[str, Tensor]
Rows = Sequence[tuple[np.ndarray, np.ndarray]]
Loss = Callable[[States, Rows], Tensor]


def double(values: np.ndarray) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def surprise(logits: Tensor, answer: int) -> Tensor:
    return torch.logsumexp(logits, 0) - logits[answer]


def keyword(states: States, rows: Rows) -> Tensor:
    """One query: alpha = softmax s[x], z = sum_l alpha_l W[x_l] (+ b)."""
    costs = []
    for words, targets in rows:
        alpha = torch.softmax(torch.stack([states["s"][i] for i in words]), 0)
        z = sum(a * states["W"][i] for a, i in zip(alpha, words, strict=True))
        costs.append(surprise(z + states["b"] if "b" in states else z, targets[0]))
    return torch.stack(costs).mean()


def translation(states: States, rows: Rows, scores: Callable[[int, int, int, np.ndarray], Tensor]) -> Tensor:
    """Contexts averaged over heads; ``scores(head, t, target, words)`` are the logits of attention."""
    values = states["W"] if states["W"].ndim == 3 else states["W"][None]
    costs = []
    for words, targets in rows:
        for t, target in enumerate(targets):
            contexts = []
            for head, W in enumerate(values):
                alpha = torch.softmax(scores(head, t, target, words), 0)
                contexts.append(sum(a * W[i] for a, i in zip(alpha, words, strict=True)))
            costs.append(surprise(torch.stack(contexts).mean(0), target))
    return torch.stack(costs).mean()


def lexical(states: States, rows: Rows) -> Tensor:
    """A[i, o]: the logit of attending to input word i while the target is o."""
    A = states["A"] if states["A"].ndim == 3 else states["A"][None]
    return translation(states, rows, lambda head, t, target, words: torch.stack([A[head, i, target] for i in words]))


def positional(states: States, rows: Rows) -> Tensor:
    """P[t, l]: the logit of attending to position l while producing position t."""
    P = states["P"] if states["P"].ndim == 3 else states["P"][None]
    return translation(states, rows, lambda head, t, target, words: P[head, t, : len(words)])


def topic(readout: np.ndarray | None = None) -> Loss:
    """Context = sum_l alpha_l v[x_l], with scores s or key . query; then FC, TC (context U) or TL."""
    fixed = None if readout is None else double(readout)

    def classified(states: States, context: Tensor) -> Tensor:
        if "F" in states:
            hidden = torch.relu(torch.nn.functional.linear(context, states["F"], states["f"]))
            return torch.nn.functional.linear(hidden, states["G"], states["g"])
        return context @ (states["U"] if fixed is None else fixed)

    def loss(states: States, rows: Rows) -> Tensor:
        costs = []
        for words, targets in rows:
            scores = [states["s"][i] if "s" in states else torch.dot(states["key"][i], states["query"]) for i in words]
            alpha = torch.softmax(torch.stack(scores), 0)
            context = sum(a * states["v"][i] for a, i in zip(alpha, words, strict=True))
            costs.append(surprise(classified(states, context), targets[0]))
        return torch.stack(costs).mean()

    return loss
