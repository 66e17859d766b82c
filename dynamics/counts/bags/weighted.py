"""Bags with weights: what the bags closure learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used

from dynamics.counts.bags.sample import BagSample
from dynamics.support.errors import InputError
from dynamics.support.typing import Indices, Vector

__all__ = ["Bags"]

RAREST = 2
"""Words by which bags are put beside each other."""


@dataclass(frozen=True, eq=False)
class Bags:
    """J bags of words, each with a target and a weight.

    Attributes
    ----------
    shares : csr_array, shape (bags, inputs)
        The distribution of the words in each bag: rows sum to 1.
    target : ndarray of int64, shape (bags,)
    weight : ndarray, shape (bags,)
        Positive; they sum to 1 over all bags.

    Examples
    --------
    >>> bags = Bags.one_each(np.array([[0.3, 0.1], [0.2, 0.4]]))  # the joint closure: C/q of each target
    >>> bags.shares.toarray(), bags.weight
    (array([[0.6, 0.4],
           [0.2, 0.8]]), array([0.5, 0.5]))
    >>> bags.cooccurrence(outputs=2)
    array([[0.3, 0.1],
           [0.2, 0.4]])
    """

    shares: Any
    target: Indices
    weight: Vector

    def __len__(self) -> int:
        return len(self.target)

    @property
    def entries(self) -> int:
        """Words of all bags, each counted once a bag: what an evaluation goes through."""
        return int(self.shares.nnz)

    @classmethod
    def of(cls, sample: BagSample, inputs: int, q: Vector) -> Bags:
        """The bags of a sample; those of a target have its share q[o] of the corpus, in proportion to their copies.

        Parameters
        ----------
        sample : BagSample
        inputs : int
        q : ndarray, shape (outputs,)

        Raises
        ------
        InputError
            A target without a bag.
        """
        held = sample.held
        if (held[q > 0] == 0).any():
            raise InputError(f"target {int(np.flatnonzero((held == 0) & (q > 0))[0])} has no bag; count the text again")
        sentences, target = sample.shares, sample.target.astype(np.int64)
        sentences.resize(sentences.shape[0], inputs)
        return cls(sentences[sample.sentence], target, q[target] * sample.copies / held[target])

    @classmethod
    def one_each(cls, C: Any) -> Bags:
        """One bag a target, with the words that co-occur with it: the joint closure."""
        C = scipy.sparse.csr_array(C)
        q = np.asarray(C.sum(axis=0))
        rows = scipy.sparse.csr_array(C.T)
        rows.data = rows.data / np.repeat(q, np.diff(rows.indptr))
        return cls(rows, np.arange(len(q)), q)

    def cooccurrence(self, outputs: int) -> Vector:
        """C[i,o], the weight of word i in the bags of target o; shape (inputs, outputs)."""
        by_target = scipy.sparse.csr_array(
            (self.weight, (np.arange(len(self)), self.target)), shape=(len(self), outputs)
        )
        found: Vector = (self.shares.T @ by_target).toarray()
        return found

    def taken(self, rows: Indices, weight: Vector) -> Bags:
        """Some of the bags, with other weights."""
        return Bags(self.shares[rows], self.target[rows], weight)

    def neighbours(self) -> Bags:
        """The same bags, those that have their rarest words in common one after the other.

        What is looked up by word, such as a row of W, is then still at hand for the next bag; the frequent words are
        in any case.

        Examples
        --------
        >>> C = np.array([[0.2, 0.2, 0.2], [0.05, 0.0, 0.1], [0.0, 0.25, 0.0]])  # word 1 is the rarest
        >>> Bags.one_each(C).neighbours().target
        array([1, 0, 2])
        """
        if not len(self):
            return self
        begins, words = self.shares.indptr[:-1], np.diff(self.shares.indptr)
        rank = np.argsort(np.argsort(-(self.shares.T @ self.weight), kind="stable"))[self.shares.indices]
        rarest = []
        for _ in range(RAREST):
            rarest.append(np.maximum.reduceat(rank, begins))
            rank = np.where(rank == np.repeat(rarest[-1], words), -1, rank)
        order = np.lexsort(rarest[::-1])
        return self.taken(order, self.weight[order])

    @property
    def arrays(self) -> Mapping[str, Any]:
        """As the program :func:`derivations.closures.bags` has them."""
        return {
            "count": np.diff(self.shares.indptr).astype(np.int64),
            "word": self.shares.indices.astype(np.int64),
            "B": self.shares.data,
            "y": self.target,
            "w": self.weight,
        }
