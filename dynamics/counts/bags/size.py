"""How many groups bags are cut into, and how many bags of a group have a word."""

from __future__ import annotations

import math

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used

from dynamics.counts.bags.weighted import Bags
from dynamics.support.typing import Vector

__all__ = ["groups_for", "holders"]


def groups_for(bags: Bags, entries: float) -> int:
    """The fewest groups that have about so many entries each at most, and some bag of every target to share.

    Parameters
    ----------
    bags : Bags
    entries : float
        Words of all bags of a group, each counted once a bag.

    Examples
    --------
    >>> one_each = Bags.one_each(np.array([[0.3, 0.1], [0.2, 0.4]]))
    >>> groups_for(one_each, entries=4), groups_for(one_each, entries=1)
    (1, 1)
    """
    targets = len(np.unique(bags.target))
    return max(1, min(math.ceil(bags.entries / entries), len(bags) // targets))


def holders(bags: Bags, outputs: int) -> Vector:
    """How many bags of each target have each word; shape (inputs, outputs).

    Examples
    --------
    >>> holders(Bags.one_each(np.array([[0.3, 0.0], [0.2, 0.4]])), outputs=2)
    array([[1., 0.],
           [1., 1.]])
    """
    ones = scipy.sparse.csr_array((np.ones(bags.entries), bags.shares.indices, bags.shares.indptr), bags.shares.shape)
    by_target = scipy.sparse.csr_array((np.ones(len(bags)), (np.arange(len(bags)), bags.target)), (len(bags), outputs))
    found: Vector = (ones.T @ by_target).toarray()
    return found
