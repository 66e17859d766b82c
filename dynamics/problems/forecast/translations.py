"""The source word that stands for a target word, by IBM's model 1."""

from __future__ import annotations

import numpy as np

from dynamics.counts.text.encoding import EncodedPairs
from dynamics.support.typing import Indices, Vector

__all__ = ["best_sources"]


def best_sources(pairs: EncodedPairs, inputs: int, outputs: int, rounds: int = 10) -> tuple[Indices, Vector]:
    """For each target word the source word that most of it is the translation of, and what share of it that is.

    Parameters
    ----------
    pairs : EncodedPairs
    inputs, outputs : int
        Numbers of words.
    rounds : int
        Of expectation and maximisation.

    Returns
    -------
    best : ndarray of int64, shape (outputs,)
        0 for words that do not occur.
    share : ndarray of float64, shape (outputs,)

    References
    ----------
    Brown et al., "The mathematics of statistical machine translation", Computational Linguistics 19 (1993).

    Examples
    --------
    >>> from dynamics.counts.text.encoding import encode
    >>> text = [(["a", "dog"], ["ein", "hund"]), (["a", "cat"], ["ein", "kater"])]
    >>> best_sources(encode(text, ["a", "dog", "cat"], ["ein", "hund", "kater"]), 3, 3)[0]
    array([0, 1, 2])
    """
    # All (source place, target place) of a sentence pair: the cell (source word, target word), and the target place.
    number = np.repeat(pairs.x_lengths, pairs.y_lengths)
    place = np.repeat(np.arange(len(pairs.y)), number)
    first = np.repeat(np.repeat(pairs.x_starts[:-1], pairs.y_lengths), number)
    within = np.arange(len(place)) - np.repeat(np.cumsum(number) - number, number)
    cell = pairs.x[first + within] * outputs + pairs.y[place]
    chance: Vector = np.ones((inputs, outputs))
    expected = chance
    for _ in range(rounds):
        part = chance.ravel()[cell]
        part /= np.bincount(place, part)[place]
        expected = np.asarray(np.bincount(cell, part, inputs * outputs), dtype=np.float64).reshape(inputs, outputs)
        chance = expected / np.maximum(expected.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    best = expected.argmax(axis=0)
    return best, expected[best, np.arange(outputs)] / np.maximum(expected.sum(axis=0), np.finfo(float).tiny)
