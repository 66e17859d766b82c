"""How many groups bags are cut into, for an evaluation of one group to take the work that it may."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from dynamics.counts.bags.weighted import Bags

__all__ = ["groups_for"]


def groups_for(bags: Bags, C: Any, entries: float) -> int:
    """The fewest groups that have, once they are raked, about so many entries each at most.

    A group with the share f of all bags has the share f of their entries, and one for every pair of C that none of its
    bags holds: (1 - f)^n of the pairs that n bags hold. So it never has fewer than C, and where ``entries`` is near
    that, every bag is a group.

    Parameters
    ----------
    bags : Bags
    C : ndarray or sparse matrix, shape (inputs, outputs)
    entries : float
        Words of all bags of a group, each counted once a bag.

    Examples
    --------
    >>> one_each = Bags.one_each(np.array([[0.3, 0.1], [0.2, 0.4]]))
    >>> groups_for(one_each, one_each.cooccurrence(2), entries=4)
    1
    """
    outputs = C.shape[1]
    ones = scipy.sparse.csr_array((np.ones(bags.entries), bags.shares.indices, bags.shares.indptr), bags.shares.shape)
    by_target = scipy.sparse.csr_array((np.ones(len(bags)), (np.arange(len(bags)), bags.target)), (len(bags), outputs))
    holders = (ones.T @ by_target).tocsr()
    numbers, times = np.unique(holders.data, return_counts=True)
    nowhere = int(C.nnz if scipy.sparse.issparse(C) else np.count_nonzero(C)) - holders.nnz

    def expected(groups: int) -> float:
        share = 1 / groups
        return share * bags.entries + nowhere + float(times @ (1 - share) ** numbers)

    most = max(1, len(bags) // outputs)
    low, high = 1, most
    if expected(1) <= entries:
        return 1
    while low + 1 < high:  # entries fall with the number of groups
        middle = (low + high) // 2
        low, high = (low, middle) if expected(middle) <= entries else (middle, high)
    return max(high, 1)
