"""Exact models by hand: loss and gradient in plain NumPy, example by example, written from the equations of the papers.

Every function takes the states by name and a list of examples ``(words, targets)`` and returns the loss and the
gradient of the loss for every state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dynamics.tasks.examples import Examples
from oracles.formulas import softmax

States = Mapping[str, np.ndarray]
Rows = Sequence[tuple[np.ndarray, np.ndarray]]
Oracle = Callable[[States, Rows], tuple[float, dict[str, np.ndarray]]]


def rows_of(examples: Examples) -> list[tuple[np.ndarray, np.ndarray]]:
    x = np.split(examples.x, np.cumsum(examples.length)[:-1])
    y = np.split(examples.y, np.cumsum(examples.targets)[:-1])
    return list(zip(x, y, strict=True))


def error_of(z: np.ndarray, answer: int) -> tuple[float, np.ndarray]:
    """Cross-entropy of logits, and its derivative by them."""
    p = softmax(z)
    e = p.copy()
    e[answer] -= 1
    return -float(np.log(p[answer])), e


def zeros(states: States) -> dict[str, np.ndarray]:
    return {name: np.zeros_like(value) for name, value in states.items()}


def attention_backward(alpha: np.ndarray, g: np.ndarray) -> np.ndarray:
    """From the derivative by softmax weights to that by their logits."""
    return alpha * (g - alpha @ g)


def keyword(states: States, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
    """z = sum_l alpha_l W[x_l] + b, alpha = softmax s[x]."""
    s, W, b = states["s"], states["W"], states.get("b", 0.0)
    loss, grad = 0.0, zeros(states)
    for x, y in rows:
        alpha = softmax(s[x])
        cost, e = error_of(alpha @ W[x] + b, y[0])
        loss += cost / len(rows)
        e /= len(rows)
        np.add.at(grad["W"], x, np.outer(alpha, e))
        np.add.at(grad["s"], x, attention_backward(alpha, W[x] @ e))
        if "b" in grad:
            grad["b"] += e
    return loss, grad


def translation(states: States, rows: Rows, logits: str) -> tuple[float, dict[str, np.ndarray]]:
    """z_t = (1/H) sum_h sum_l alpha_htl W[h, x_l]; logits A[h, x_l, y_t] or P[h, t, l]."""
    several = states["W"].ndim == 3
    W, A = (states[name] if several else states[name][None] for name in ("W", logits))
    dW, dA = np.zeros_like(W), np.zeros_like(A)
    heads, total = len(W), sum(len(y) for _, y in rows)
    loss = 0.0
    for x, y in rows:
        for t, answer in enumerate(y):
            own = [(h, x, answer) if logits == "A" else (h, t, np.arange(len(x))) for h in range(heads)]
            alpha = [softmax(A[where]) for where in own]
            cost, e = error_of(sum(alpha[h] @ W[h, x] for h in range(heads)) / heads, answer)
            loss += cost / total
            e /= total * heads
            for h in range(heads):
                np.add.at(dW[h], x, np.outer(alpha[h], e))
                np.add.at(dA, own[h], attention_backward(alpha[h], W[h, x] @ e))
    return loss, {"W": dW, logits: dA} if several else {"W": dW[0], logits: dA[0]}


def lexical(states: States, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
    return translation(states, rows, "A")


def positional(states: States, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
    return translation(states, rows, "P")


def topic(readout: np.ndarray | None = None) -> Oracle:
    """r = sum_l alpha_l v[x_l]; z = r U, or z = G max(F r + f, 0) + g; scores s, or key @ query."""

    def oracle(states: States, rows: Rows) -> tuple[float, dict[str, np.ndarray]]:
        v = states["v"]
        s = states["s"] if "s" in states else states["key"] @ states["query"]
        loss, grad, ds = 0.0, zeros(states), np.zeros(len(v))
        for x, y in rows:
            alpha = softmax(s[x])
            r = alpha @ v[x]
            if "F" in states:
                u = states["F"] @ r + states["f"]
                cost, e = error_of(states["G"] @ np.maximum(u, 0) + states["g"], y[0])
                e /= len(rows)
                grad["G"] += np.outer(e, np.maximum(u, 0))
                grad["g"] += e
                du = (states["G"].T @ e) * (u > 0)
                grad["F"] += np.outer(du, r)
                grad["f"] += du
                dr = states["F"].T @ du
            else:
                U = states.get("U", readout)
                cost, e = error_of(r @ U, y[0])
                e /= len(rows)
                if "U" in grad:
                    grad["U"] += np.outer(r, e)
                dr = U @ e
            loss += cost / len(rows)
            np.add.at(grad["v"], x, np.outer(alpha, dr))
            np.add.at(ds, x, attention_backward(alpha, v[x] @ dr))
        if "s" in grad:
            grad["s"] = ds
        else:
            grad["key"], grad["query"] = np.outer(ds, states["query"]), states["key"].T @ ds
        return loss, grad

    return oracle


def descend(
    oracle: Oracle, states: States, rows: Rows, lr: float, steps: int, momentum: float = 0.0, **rates: float
) -> list[dict[str, np.ndarray]]:
    """The states before every step of full-batch descent, and after the last."""
    current = {name: value.copy() for name, value in states.items()}
    velocity = zeros(states)
    found = [current]
    for _ in range(steps):
        _, grad = oracle(current, rows)
        velocity = {name: momentum * velocity[name] - rates.get(name, 1.0) * grad[name] for name in current}
        current = {name: current[name] + lr * velocity[name] for name in current}
        found.append(current)
    return found
