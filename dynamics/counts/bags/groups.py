"""Bags in groups of the same mass, each of which stands for the whole."""

from __future__ import annotations

import numpy as np

from dynamics.counts.bags.weighted import Bags
from dynamics.support.typing import Indices, Vector

__all__ = ["grouped"]

NOTHING = 1e-9
"""Of the mass of a group, what a bag on a cut must have on a side to go there: sums of weights are off by rounding."""


def grouped(bags: Bags, groups: int, random: np.random.Generator) -> list[Bags]:
    """Cut the bags of every target, in a random order, into groups of equal mass.

    A bag on a cut goes to both sides. A target with fewer bags than groups is gone through several times, so that every
    group has some bag of it. Every group has the mass q[o] of every target, and their mean is all bags.

    Parameters
    ----------
    bags : Bags
    groups : int
    random : Generator

    Returns
    -------
    list of Bags

    Examples
    --------
    >>> bags = Bags.one_each(np.array([[0.3, 0.1], [0.2, 0.4]]))
    >>> [group.weight.tolist() for group in grouped(bags, 2, np.random.default_rng(0))]
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if groups == 1:
        return [bags]
    order = np.argsort(bags.target, kind="stable")
    targets, begins = np.unique(bags.target[order], return_index=True)
    rows: list[list[Indices]] = [[] for _ in range(groups)]
    masses: list[list[Vector]] = [[] for _ in range(groups)]
    for own in np.split(order, begins[1:]):
        turns = min(groups, -(-groups // len(own)))
        line = np.concatenate([random.permutation(own) for _ in range(turns)])
        q = bags.weight[own].sum()
        edges = np.concatenate([[0.0], np.cumsum(bags.weight[line])])
        edges *= groups / edges[-1]
        cuts = np.unique(np.concatenate([edges, np.arange(groups + 1)]))
        size, middle = np.diff(cuts), (cuts[1:] + cuts[:-1]) / 2
        size, middle = size[size > NOTHING], middle[size > NOTHING]
        bag = line[np.clip(np.searchsorted(edges, middle, side="right") - 1, 0, len(line) - 1)]
        group = np.minimum(middle.astype(np.int64), groups - 1)
        at = np.searchsorted(group, np.arange(groups + 1))
        for k, to in enumerate(random.permutation(groups)):
            part = slice(at[k], at[k + 1])
            rows[to].append(bag[part])
            masses[to].append(q * size[part] / size[part].sum())
    assert len(targets)
    found = []
    for of_group, mass in zip(rows, masses, strict=True):
        chosen, place = np.unique(np.concatenate(of_group), return_inverse=True)
        found.append(bags.taken(chosen, np.bincount(place, np.concatenate(mass), len(chosen)).astype(float)))
    return found
