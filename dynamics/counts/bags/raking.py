"""Raking: bags whose words are weighed so that their co-occurrence is that of the whole corpus, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from dynamics.counts.bags.weighted import Bags
from dynamics.support.typing import Indices

__all__ = ["raked"]


def raked(bags: Bags, C: Any, random: np.random.Generator, own: NDArray[np.bool_] | None = None) -> Bags:
    """Scale the words of bags, each by the same factor in all bags of a target, so that their co-occurrence is C.

    A pair of C that no bag has, a word in rare company, goes whole into one bag of its target, drawn in proportion to
    the weights. Weights of bags become what their words weigh; those of a target sum to q[o] still.

    Few bags that have a word hardly stand for all that do: scaled to its C, or put where it never was, the word would
    be in every group in the company of others. So pairs that are rare may be left together, as cells with few
    respondents are in surveys: of each target, the words that are not in ``own`` share one factor, and keep to the
    bags that have them.

    Parameters
    ----------
    bags : Bags
        At least one of every target.
    C : ndarray or sparse matrix, shape (inputs, outputs)
    random : Generator
    own : ndarray of bool, shape (inputs, outputs), optional
        The pairs that have their C exactly; all by default. The others of a target have the rest of q[o] together.

    Returns
    -------
    Bags
        Their co-occurrence is C to rounding, where it is to be; weights and shares are positive. Bags of which nothing
        is left, as C lacks all of their words, are left out.

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
    alone = (wanted > 0) if own is None else own & (wanted > 0)
    together = ~alone & (wanted > 0)
    # Where no bag of a target has a rare word, each has to go somewhere.
    alone |= together & ~(together & (held > 0)).any(axis=0)
    together &= ~alone
    word, target = np.nonzero(alone & (held <= 0))
    at = drawn(bags, target.astype(np.int64), random)
    mass = scipy.sparse.csr_array((np.repeat(bags.weight, np.diff(bags.shares.indptr)) * bags.shares.data,
                                   bags.shares.indices, bags.shares.indptr), shape=bags.shares.shape)  # fmt: skip
    mass = (mass + scipy.sparse.csr_array((wanted[word, target], (at, word)), shape=mass.shape)).tocoo()
    row, column = mass.row, mass.col
    of_target = bags.target[row]
    held[word, target] = wanted[word, target]
    factor = np.divide(wanted, held, out=np.zeros_like(wanted), where=alone & (held > 0))
    rest, theirs = (np.where(together, of, 0.0).sum(axis=0) for of in (wanted, held))
    shared = np.divide(rest, theirs, out=np.zeros_like(rest), where=theirs > 0)
    factor = np.where(together, shared, factor)
    scaled = mass.data * factor[column, of_target]
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
