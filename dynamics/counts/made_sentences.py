"""Sentences made from counts alone: text that has the counted transitions, lengths, presences and offsets, and no other
regularity.

Target sentences are a chain of transitions that ends as counted lengths say. A source word is in a sentence unless
every target word of it, and a cause that is always there, fail to bring it (a noisy-or): the weights are such that its
presence given each target word is the counted one. It stands where the target word that brought it stands, moved by the
counted offset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numba import njit

from dynamics.counts.context import ContextCounts
from dynamics.counts.text.encoding import EncodedPairs
from dynamics.counts.text.options import positive
from dynamics.support.typing import Indices, Vector

__all__ = ["fitted_weights", "make_sentences", "noisy_or", "target_sentences"]

FITTED_ON = 8000
"""Target sentences on which the weights are fitted."""

ROUNDS = 20
"""Of the fit; the weights then change by less than a hundredth."""

SURE = 0.995
"""A probability of presence that is taken for certain."""

FAINT = 1e-4
"""Target words that bring a source word with less than this are left out."""


def make_sentences(counts: ContextCounts, number: int, seed: int = 0, weights: Vector | None = None) -> EncodedPairs:
    """Sentence pairs with the regularities that the counts hold.

    Parameters
    ----------
    counts : ContextCounts
    number : int
        How many to make.
    seed : int
        The same seed gives the same sentences.
    weights : ndarray, shape (V, K + 1), optional
        Of `noisy_or`; fitted on the sentences themselves by default, which takes longer than all else.

    Returns
    -------
    EncodedPairs
        With the ids of `counts`; no side of a pair is empty or longer than `counts.longest`.

    Raises
    ------
    InputError
        If `number` is not positive.

    Examples
    --------
    >>> counts = ContextCounts.from_parallel_text(["a dog", "a cat"] * 20, ["ein hund", "eine katze"] * 20)
    >>> made = make_sentences(counts, 100)
    >>> len(made), bool(np.isin(np.diff(made.y.reshape(-1, 2)), 2).all())  # ein hund, eine katze and nothing else
    (100, True)
    """
    rng = np.random.default_rng(seed)
    y, y_lengths = target_sentences(counts, positive("number", number), rng)
    starts = np.concatenate([[0], np.cumsum(y_lengths)])
    weights = noisy_or(counts, y, starts) if weights is None else weights
    brought = -np.expm1(-weights)
    copied = _copies(counts, weights, brought, y, starts)
    order = np.argsort(-brought, axis=0, kind="stable")
    falling = np.take_along_axis(brought, order, axis=0)
    many = (falling > FAINT).sum(axis=0)
    first = np.arange(len(order))[:, None] < many
    words, sums = order.T[first.T], np.cumsum(falling, axis=0).T[first.T]
    x, x_lengths = _draw(
        y, starts, words, sums, np.concatenate([[0], np.cumsum(many)]), counts.mean_offset(),
        counts.spread_of_offset(), copied, counts.longest, rng,
    )  # fmt: skip
    return EncodedPairs(x, x_lengths, y, y_lengths, np.arange(number))


def target_sentences(counts: ContextCounts, number: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Chains of the counted transitions with the counted lengths.

    All chains grow together. The odds that a chain ends after its last word are multiplied by one factor a place, such
    that the share of chains that end there is that of the counted lengths.

    Returns
    -------
    words, lengths : ndarray of int64
        Of all sentences, one after the other; and how many words each has.
    """
    K = len(counts.outputs)
    after = counts.transitions.astype(np.float64)
    ending = np.asarray(after[:, [K]].toarray())[:, 0] / np.maximum(np.asarray(after.sum(axis=1)), 1)
    follow = scipy.sparse.csr_array(after[:, :K])
    within = np.asarray(follow.sum(axis=1))
    goes_on = within > 0
    # all rows one after the other, each from its number to the next: one search finds the next word of every chain
    row = np.repeat(np.arange(K + 1), np.diff(follow.indptr))
    sums = np.cumsum(follow.data) - np.concatenate([[0], np.cumsum(within)])[row]
    ladder = row + sums / within[row]
    left = np.cumsum(counts.output_lengths[::-1])[::-1]
    found = np.full((number, counts.longest), -1)
    alive, last = np.arange(number), np.full(number, K)
    for place in range(counts.longest):
        if place > 0:
            wanted = counts.output_lengths[place] / left[place] if left[place] else 1.0
            ends = (rng.random(len(alive)) < _tilted(ending[last], wanted)) | ~goes_on[last]
            alive, last = alive[~ends], last[~ends]
        if not len(alive):
            break
        step = np.searchsorted(ladder, last + rng.random(len(alive)), side="right")
        last = follow.indices[np.minimum(step, follow.indptr[last + 1] - 1)].astype(np.int64)
        found[alive, place] = last
    return found[found >= 0], (found >= 0).sum(axis=1)


def _tilted(chances: Vector, mean: float) -> Vector:
    """The chances with their odds multiplied by one factor, such that their mean is the wanted one."""
    if mean <= 0 or mean >= 1:
        return np.full(len(chances), float(mean >= 1))
    sure = np.clip(chances, 1e-6, 1 - 1e-6)
    odds, low, high = np.log(sure / (1 - sure)), -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-odds - middle))).mean() < mean else (low, middle)
    return 1 / (1 + np.exp(-odds - low))


def fitted_weights(counts: ContextCounts, number: int, seed: int = 0) -> Vector:
    """Weights of `noisy_or` for sentences to be made, several texts of them with other seeds.

    Parameters
    ----------
    counts : ContextCounts
    number, seed : int
        Of the target sentences that they are fitted on.
    """
    y, lengths = target_sentences(counts, min(number, FITTED_ON), np.random.default_rng(seed))
    return noisy_or(counts, y, np.concatenate([[0], np.cumsum(lengths)]))


def noisy_or(counts: ContextCounts, y: Indices, starts: Indices) -> Vector:
    """Weights w of P(i in the source | targets) = 1 - exp(-w[i,K] - sum over the different targets o of w[i,o]).

    They are multiplied by the ratio of log(1 - P) wanted to that of the model until presence given each target word is
    the counted one, or a weight is gone. Then all weights of a source word but those above a threshold are taken away,
    such that its share of all sentences is the counted one: what is brought by many weak causes is not.

    Parameters
    ----------
    counts : ContextCounts
    y, starts : ndarray of int64
        Target words of sentences, and where these begin.

    Returns
    -------
    ndarray, shape (V, K + 1)
        The last column is the cause that is always there.
    """
    V, K = counts.shape
    number = min(FITTED_ON, len(starts) - 1)
    causes = _bags(y, starts, number, K)
    causes.data[:] = 1
    often = np.maximum(np.asarray(causes.sum(axis=0)), 1).astype(np.float32)
    share = np.minimum(counts.input_sentences / counts.pairs, SURE)
    given = (counts.presence.toarray() + share[:, None]) / (counts.output_sentences + 1)
    wanted = np.minimum(np.concatenate([given, share[:, None]], axis=1), SURE).astype(np.float32)
    excess = np.maximum((wanted - share[:, None]) / (1 - share[:, None]), 0)
    excess[:, K] = 0.2 * share
    w = (1e-5 - np.log1p(-np.minimum(excess, 0.99))).astype(np.float32)
    aim = np.log1p(-wanted)
    for _ in range(ROUNDS):
        present = -np.expm1(-(causes @ w.T))
        model = (causes.T @ present).T / often
        ratio = aim / np.minimum(np.log1p(-np.minimum(model, 0.999)), -1e-7)
        w = np.minimum(w * np.clip(ratio, 0.5, 2), 6)
    low, high = np.zeros(V, np.float32), np.full(V, 3, np.float32)
    for _ in range(14):
        middle = (low + high) / 2
        much = (-np.expm1(-(causes @ np.maximum(w - middle[:, None], 0).T))).mean(axis=0) > share
        low, high = np.where(much, middle, low), np.where(much, high, middle)
    return np.maximum(w - high[:, None], 0).astype(np.float64)


def _bags(y: Indices, starts: Indices, number: int, K: int) -> Any:
    """How often each target word is in each sentence, and in the last column 1: csr_array of float32."""
    lengths = np.diff(starts[: number + 1])
    words = y[: starts[number]]
    sentence = np.concatenate([np.repeat(np.arange(number), lengths), np.arange(number)])
    word = np.concatenate([words, np.full(number, K)])
    ones = np.ones(len(word), np.float32)
    return scipy.sparse.coo_array((ones, (sentence, word)), shape=(number, K + 1)).tocsr()


def _copies(counts: ContextCounts, weights: Vector, brought: Vector, y: Indices, starts: Indices) -> Vector:
    """With what chance a word that is brought again is there once more, so that words are as frequent as counted."""
    tokens = _bags(y, starts, min(FITTED_ON, len(starts) - 1), len(counts.outputs))
    times = np.asarray((tokens @ brought.T).mean(axis=0))
    present = np.asarray((-np.expm1(-(tokens @ weights.T))).mean(axis=0))
    again = np.maximum(counts.input_words / np.maximum(counts.input_sentences, 1) - 1, 0)
    return np.clip(again * present / np.maximum(times - present, 1e-9), 0, 1)


@njit(cache=True)
def _draw(
    y: Any, starts: Any, words: Any, sums: Any, first: Any, mean: Any, spread: Any, copied: Any, longest: int, rng: Any
) -> Any:
    """Source sentences, target word by target word.

    What a target word brings is sampled systematically: of words that it brings with half a chance each there is always
    one. So the alternatives of one target word exclude each other, as translations do.
    """
    number, V = len(starts) - 1, len(copied)
    out, lengths = np.empty(number * longest, np.int64), np.empty(number, np.int64)
    held, place = np.empty(4 * longest, np.int64), np.empty(4 * longest)
    there = np.full(V, -1)
    filled = 0
    for n in range(number):
        begin, size, tries = starts[n], starts[n + 1] - starts[n], 0
        count = 0
        while count == 0:
            tries += 1
            for t in range(size + 1):
                o = y[begin + t] if t < size else mean.shape[1]
                level = rng.random()
                for k in range(first[o], first[o + 1]):
                    if sums[k] <= level:
                        continue
                    level += 1.0
                    i = words[k]
                    if there[i] == n and rng.random() >= copied[i]:
                        continue
                    if count < len(held):
                        there[i] = n
                        held[count] = i
                        if t < size:
                            place[count] = t + mean[i, o] + spread[i, o] * rng.standard_normal()
                        else:
                            place[count] = rng.random() * size
                        count += 1
            if count == 0 and tries > 50:  # nothing is brought: the likeliest word, so that there is a sentence
                best = -1
                for t in range(size + 1):
                    o = y[begin + t] if t < size else mean.shape[1]
                    if first[o + 1] > first[o] and best < 0:
                        best = words[first[o]]
                held[0], place[0], count = max(best, 0), 0.0, 1
        order = np.argsort(place[:count])
        lengths[n] = min(count, longest)
        for k in range(lengths[n]):
            out[filled + k] = held[order[k]]
        filled += lengths[n]
    return out[:filled], lengths
