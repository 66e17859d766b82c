"""Raking: bags whose words are weighed so that their co-occurrence is that of the whole corpus, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used
from numpy.typing import NDArray

from dynamics.counts.bags.weighted import Bags
from dynamics.support.typing import Indices, Vector

__all__ = ["balance", "raked"]

SWEEPS = 20
"""Rounds of raking rare pairs to both of their margins."""


def raked(
    bags: Bags,
    C: Any,
    random: np.random.Generator,
    own: NDArray[np.bool_] | None = None,
    rare: Vector | None = None,
) -> Bags:
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
    rare : ndarray, shape (inputs, outputs), optional
        What the others are multiplied by before they share a factor, see :func:`balance`; 1 by default.

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
    counted = held if rare is None else held * rare
    rest, theirs = (np.where(together, of, 0.0).sum(axis=0) for of in (wanted, counted))
    shared = np.divide(rest, theirs, out=np.zeros_like(rest), where=theirs > 0)
    factor = np.where(together, shared if rare is None else shared * rare, factor)
    scaled = mass.data * factor[column, of_target]
    weight = np.bincount(row, scaled, len(bags)).astype(float)
    left = scaled > 0
    shares = scipy.sparse.csr_array((scaled[left] / weight[row[left]], (row[left], column[left])), shape=mass.shape)
    shares.sort_indices()
    full = np.flatnonzero(weight > 0)
    return Bags(shares[full], bags.target[full], weight[full])


def balance(groups: Sequence[Bags], C: Vector, own: NDArray[np.bool_]) -> Vector:
    """What rare pairs are multiplied by, in all groups, so that the mean of the raked groups is C in these pairs too.

    A factor that the rare pairs of a target share brings each group to the mass of the target, and takes their mean
    over groups away from C. So their masses, a table of groups and pairs for each target, are raked to both margins in
    turn: what a group lacks of q[o], and what a pair has in C.

    Parameters
    ----------
    groups : sequence of Bags
        Of the same mass of every target, such that their mean has the co-occurrence C.
    C : ndarray, shape (inputs, outputs)
    own : ndarray of bool, shape (inputs, outputs)
        The pairs that have their C exactly in every group.

    Returns
    -------
    ndarray, shape (inputs, outputs)

    References
    ----------
    Deming and Stephan, "On a least squares adjustment of a sampled frequency table when the expected marginal totals
    are known", Annals of Mathematical Statistics 11 (1940) 427.

    Examples
    --------
    >>> bags = Bags.one_each(np.array([[0.5, 0.1], [0.2, 0.2]]))
    >>> balance([bags, bags], bags.cooccurrence(2), np.zeros((2, 2), dtype=bool))
    array([[1., 1.],
           [1., 1.]])
    """
    outputs = C.shape[1]
    rare = ~own & (C > 0)
    rest = np.where(rare, C, 0.0).sum(axis=0)
    tables, wanted = [], np.zeros_like(C)
    for group in groups:
        held = np.where(rare, group.cooccurrence(outputs), 0.0)
        word, target = np.nonzero(held)
        tables.append((word, target, held[word, target]))
        wanted[:, np.unique(target)] += 1
    wanted *= np.where(rare, C, 0.0)
    found = np.ones_like(C)
    for _ in range(SWEEPS):
        given = np.zeros_like(C)
        for word, target, held in tables:
            scaled = held * found[word, target]
            theirs = np.bincount(target, scaled, outputs)
            given[word, target] += scaled * (rest[target] / theirs[target])
        found *= np.divide(wanted, given, out=np.ones_like(C), where=given > 0)
    return found


def drawn(bags: Bags, target: Indices, random: np.random.Generator) -> Indices:
    """A bag of each of some targets, in proportion to the weights."""
    order = np.argsort(bags.target, kind="stable")
    begins = np.searchsorted(bags.target[order], np.arange(int(bags.target.max()) + 2))
    below = np.concatenate([[0.0], np.cumsum(bags.weight[order])])
    low, high = below[begins[target]], below[begins[target + 1]]
    place = np.searchsorted(below, low + random.random(len(target)) * (high - low), side="right") - 1
    found: Indices = order[np.clip(place, begins[target], begins[target + 1] - 1)]
    return found
