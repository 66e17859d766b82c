"""How clearly batches tell a word at rest: theorem stage-one-adam, on sentences."""

from __future__ import annotations

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from sympy import lambdify

from derivations.theorems.adam_at_rest import SIGNAL
from dynamics.problems.forecast.sentences import Sentences
from dynamics.support.typing import Indices, Vector

__all__ = ["signals"]


def signals(sentences: Sentences, best: Indices, batch: float) -> Vector:
    """The signal over noise of target words by their best source words, before anything is learnt.

    It is the part of its learning rate at which the first steps of Adam move the value of a source word for a target
    word: `rho` of theorem stage-one-adam, with the excess co-occurrence and the second moment of these sentences.

    Parameters
    ----------
    sentences : Sentences
    best : ndarray of int64, shape (words,)
        The source word of each target word.
    batch : float
        Targets in a batch.

    Returns
    -------
    ndarray of float64, shape (words,)
        Between -1 and 1; NaN for words that do not occur.

    Examples
    --------
    >>> from dynamics.problems.forecast.sentences import Sentences
    >>> text = Sentences.of([([0], [0])] + [([1], [1])] * 9, outputs=2)  # half of all targets are ends
    >>> signals(text, np.array([0, 1]), batch=4).round(3)
    array([0.397, 0.186])
    """
    number, words = len(sentences), len(best)
    rows = np.arange(sentences.o.shape[1]) < sentences.targets[:, None]
    there = np.arange(sentences.x.shape[1]) < sentences.length[:, None]
    owner = np.nonzero(there)[0]
    share = scipy.sparse.coo_array((1 / sentences.length[owner], (owner, sentences.x[there]))).tocsr()
    share.sum_duplicates()
    square = share.power(2)
    answers = scipy.sparse.coo_array(
        (np.ones(rows.sum()), (np.nonzero(rows)[0], sentences.o[rows])), shape=(number, int(sentences.o.max()) + 1)
    ).tocsr()
    total = rows.sum()
    q = np.asarray(answers.sum(axis=0))[:words] / total
    at = np.minimum(best, share.shape[1] - 1), np.arange(words)
    C, R = ((one.T @ answers).toarray()[at] / total for one in (share, square))
    c, r = (np.asarray(one.T @ sentences.targets)[at[0]] / total for one in (share, square))
    given = {"D": C - c * q, "S": R * (1 - 2 * q) + r * q**2, "batch": batch}
    symbols = sorted(SIGNAL.free_symbols, key=str)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = lambdify(symbols, SIGNAL, "numpy")(*(given[str(symbol)] for symbol in symbols))
    return np.where(q > 0, found, np.nan)
