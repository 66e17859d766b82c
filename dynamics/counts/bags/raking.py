"""Raking: bags whose words are weighed so that their co-occurrence is that of the whole corpus, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from dynamics.counts.bags.weighted import Bags
from dynamics.support.typing import Indices

__all__ = ["raked"]


def raked(bags: Bags, C: Any, random: np.random.Generator) -> Bags:
    """Scale the words of bags, each by the same factor in all bags of a target, so that their co-occurrence is C.

    A pair of C that no bag has, a word in rare company, goes whole into one bag of its target, drawn in proportion to
    the weights. Weights of bags become what their words weigh; those of a target sum to q[o] still.

    Parameters
    ----------
    bags : Bags
        At least one of every target.
    C : ndarray or sparse matrix, shape (inputs, outputs)
    random : Generator

    Returns
    -------
    Bags
        Their co-occurrence is C to rounding; weights and shares are positive. Bags of which nothing is left, as C
        lacks all of their words, are left out.

    References
    ----------
    Deville, Saerndal and Sautory, "Generalized raking procedures in survey sampling", JASA 88 (1993) 1013.

    Examples
    --------
    >>> one = Bags.one_each(np.array([[0.5, 0.0], [0.25, 0.25]]))
    >>> C = np.array([[0.25, 0.125], [0.5, 0.125]])  # word 0 occurs with target 1: no bag has it
    >>> found = raked(one, C, np.random.default_rng(0))
    >>> bool(np.allclose(found.cooccurrence(2), C, rtol=1e-15))
    True
    """
    outputs = C.shape[1]
    wanted = C.toarray() if scipy.sparse.issparse(C) else C
    held = bags.cooccurrence(outputs)
    word, target = np.nonzero((wanted > 0) & (held <= 0))
    at = drawn(bags, target.astype(np.int64), random)
    mass = scipy.sparse.csr_array((np.repeat(bags.weight, np.diff(bags.shares.indptr)) * bags.shares.data,
                                   bags.shares.indices, bags.shares.indptr), shape=bags.shares.shape)  # fmt: skip
    mass = (mass + scipy.sparse.csr_array((wanted[word, target], (at, word)), shape=mass.shape)).tocoo()
    row, column = mass.row, mass.col
    of_target = bags.target[row]
    held[word, target] = wanted[word, target]
    scaled = mass.data * (wanted[column, of_target] / held[column, of_target])
    weight = np.bincount(row, scaled, len(bags)).astype(float)
    left = scaled > 0
    shares = scipy.sparse.csr_array((scaled[left] / weight[row[left]], (row[left], column[left])), shape=mass.shape)
    shares.sort_indices()
    full = np.flatnonzero(weight > 0)
    return Bags(shares[full], bags.target[full], weight[full])


def drawn(bags: Bags, target: Indices, random: np.random.Generator) -> Indices:
    """A bag of each of some targets, in proportion to the weights."""
    order = np.argsort(bags.target, kind="stable")
    begins = np.searchsorted(bags.target[order], np.arange(int(bags.target.max()) + 2))
    below = np.concatenate([[0.0], np.cumsum(bags.weight[order])])
    low, high = below[begins[target]], below[begins[target + 1]]
    place = np.searchsorted(below, low + random.random(len(target)) * (high - low), side="right") - 1
    found: Indices = order[np.clip(place, begins[target], begins[target + 1] - 1)]
    return found
