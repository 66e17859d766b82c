"""Slow, plain NumPy versions of what the package computes, written from the theory and independent of its code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse
from scipy.integrate import solve_ivp


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def conditional_flow(R: np.ndarray, q: np.ndarray, W: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both stages from the co-occurrence matrix, by hand: dW = Rt D, dA = Rt (g - colsum(Rt g))."""
    Rt = R * np.exp(A - A.max(axis=0))
    Rt /= Rt.sum(axis=0)
    P = softmax(Rt.T @ W)
    D = q[:, None] * (np.eye(q.size) - P)
    g = W @ D.T
    return Rt @ D, Rt * (g - (Rt * g).sum(axis=0))


class Sentences:
    """Encoded sentence pairs: input words x[n], targets y[n]; every target counts the same."""

    def __init__(self, x: Sequence[np.ndarray], y: Sequence[np.ndarray], inputs: int, outputs: int):
        self.x, self.y, self.shape = x, y, (inputs, outputs)
        self.total = sum(len(targets) for targets in y)
        self.B = np.zeros((len(x), inputs))
        for n, words in enumerate(x):
            np.add.at(self.B[n], words, 1 / len(words))
        self.bags = scipy.sparse.csr_array(self.B)
        self.Y = np.zeros((len(y), outputs))
        for n, targets in enumerate(y):
            np.add.at(self.Y[n], targets, 1 / self.total)

    def cooccurrence(self) -> np.ndarray:
        return self.B.T @ self.Y

    def stage_one(self, W: np.ndarray) -> np.ndarray:
        """dW of the exact model with uniform attention: C - E[B p]."""
        error = self.Y - self.Y.sum(axis=1, keepdims=True) * softmax(self.bags @ W)
        return self.bags.T @ error

    def lexical(self, W: np.ndarray, A: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Loss, dW and dA of the exact model with lexical attention, sentence by sentence, word by word."""
        loss, dW, dA = 0.0, np.zeros_like(W), np.zeros_like(A)
        for x, y in zip(self.x, self.y, strict=True):
            alpha = softmax(A[np.ix_(x, y)], axis=0)  # positions x targets
            p = softmax(alpha.T @ W[x])  # targets x outputs
            loss -= np.log(p[np.arange(len(y)), y]).sum() / self.total
            error = -p
            error[np.arange(len(y)), y] += 1
            error /= self.total
            np.add.at(dW, x, alpha @ error)
            g = W[x] @ error.T  # positions x targets
            np.add.at(dA, np.ix_(x, y), alpha * (g - (alpha * g).sum(axis=0)))
        return loss, dW, dA


class Batched:
    """The exact model with lexical attention on all sentences at once: what `Sentences.lexical` does, in padded arrays.

    Sentences of like length stand together, so that little is padded.
    """

    def __init__(self, sentences: Sentences, batch: int = 500):
        self.shape, self.total = sentences.shape, sentences.total
        order = sorted(range(len(sentences.x)), key=lambda n: (len(sentences.x[n]), len(sentences.y[n])))
        self.batches = []
        for k in range(0, len(order), batch):
            some = order[k : k + batch]
            (x, has_x), (y, has_y) = (self.padded([words[n] for n in some]) for words in (sentences.x, sentences.y))
            spread = scipy.sparse.csr_array(
                (has_x.ravel().astype(float), x.ravel(), np.arange(x.size + 1)), shape=(x.size, self.shape[0])
            )
            self.batches.append((x, has_x, y, has_y, spread.T.tocsr()))

    @staticmethod
    def padded(rows: list) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(row) for row in rows])
        has = np.arange(lengths.max()) < lengths[:, None]
        found = np.zeros(has.shape, dtype=np.int64)
        found[has] = np.concatenate(rows)
        return found, has

    def lexical(self, W: np.ndarray, A: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        loss, dW, dA = 0.0, np.zeros_like(W), np.zeros_like(A)
        for x, has_x, y, has_y, spread in self.batches:
            cells = x[:, :, None] * self.shape[1] + y[:, None, :]  # sentence, position, target
            scores = np.where(has_x[:, :, None], A.ravel()[cells], -np.inf)
            alpha = np.exp(scores - scores.max(axis=1, keepdims=True))
            alpha /= alpha.sum(axis=1, keepdims=True)
            words = W[x]
            p = alpha.transpose(0, 2, 1) @ words
            p -= p.max(axis=2, keepdims=True)
            np.exp(p, out=p)
            p /= p.sum(axis=2, keepdims=True)
            at = (np.arange(len(x))[:, None], np.arange(y.shape[1]), y)
            loss -= np.log(p[at][has_y]).sum() / self.total
            error = -p
            error[at] += 1
            error *= has_y[:, :, None] / self.total
            dW += spread @ (alpha @ error).reshape(x.size, -1)
            g = words @ error.transpose(0, 2, 1)
            change = alpha * (g - (alpha * g).sum(axis=1, keepdims=True))
            dA += np.bincount(cells.ravel(), change.ravel(), A.size).reshape(A.shape)
        return loss, dW, dA


def lexicon(seed: int, words: int, length: int, sentences: int) -> Sentences:
    """The toy lexicon: sentences of different words, each of which is translated by itself, in another order."""
    rng = np.random.default_rng(seed)
    x = [rng.choice(words, length, replace=False) for _ in range(sentences)]
    return Sentences(x, [rng.permutation(row) for row in x], words, words)


def flow(
    f: Callable, states: Sequence[np.ndarray], t: Sequence[float], rtol: float = 1e-6, atol: float = 1e-9, method="RK45"
) -> list[list[np.ndarray]]:
    """Integrate d states = f(*states) and return the states at the times."""
    shapes = [s.shape for s in states]
    cuts = np.cumsum([s.size for s in states])[:-1]

    def unpack(y: np.ndarray) -> list[np.ndarray]:
        return [part.reshape(shape) for part, shape in zip(np.split(y, cuts), shapes, strict=True)]

    def right_hand_side(_: float, y: np.ndarray) -> np.ndarray:
        found = f(*unpack(y))
        return np.concatenate([np.ravel(d) for d in (found if isinstance(found, tuple) else (found,))])

    y0 = np.concatenate([np.ravel(s) for s in states])
    result = solve_ivp(right_hand_side, (0, t[-1]), y0, t_eval=t, rtol=rtol, atol=atol, method=method)
    assert result.success
    return [unpack(y) for y in result.y.T]
