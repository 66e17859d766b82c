"""The bags closure: both stages of learning on groups of sentences that have the co-occurrence of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derivations.program import Program
from dynamics.counts.bags import Bags, balance, grouped, groups_for, holders, raked
from dynamics.counts.text.options import positive
from dynamics.integrate.rotation import Rotation
from dynamics.lowering import Bound
from dynamics.problems.kinds.closure import BAGS, Closure
from dynamics.problems.problem import Tolerances
from dynamics.support.errors import InputError
from dynamics.support.recipes import made
from dynamics.support.typing import Vector

__all__ = ["BagsClosure", "BagsInTurn"]

WORK = 1.5
"""Entries of a group for every pair that co-occurs: an evaluation takes about so much of that of the joint closure."""
OFTEN = 2
"""Bags of a group that have a pair of words, on average, from which on the group has the C of this pair exactly. What
is rarer keeps to the bags that have it: scaled to C in every group, it would be in the company of others."""
SEEN = 4.0
"""The same for the group that is looked at at the times that are wanted: what a time takes in all is then about that of
an evaluation, as its slopes are left out."""
LARGE = 200_000
"""Entries of a group from which on it is time that matters more than the noise of smaller groups: on a large vocabulary
these are better than they have to be."""
ENOUGH = 15
"""Bags of a target, on average, below which no group goes for that."""
FEW = 20_000
"""Entries that are evaluated at once whatever the co-occurrence has: groups of a small corpus would save nothing."""
ROUND = 1.7
"""Of the time that has passed, what the steps of a round of all groups may take together: a round is what averages."""
LONGEST = 0.12
"""The same for one step, however few the groups are."""
AGREE = 0.01
"""As long as no logit has moved by more, steps may be as long as the tolerance lets them."""
WORTH_SHARING = 5_000_000
"""Points of an evaluation from which several threads pay."""


@dataclass(frozen=True, eq=False)
class BagsClosure(Closure):
    """Both stages on a sample of sentences, some at a time.

    The sentences that the counts keep (``keep_bags=``) are cut into groups, each raked to the co-occurrence C, exactly
    where it has a pair of words often enough, and every step of the integration goes by the next group. With all
    sentences in one group this is the exact flow of the lexical model; with one bag a target, C[:, o]/q[o], it is the
    joint closure.

    Attributes
    ----------
    counts : CoOccurrence
        With bags.
    groups : int, optional
        By default the fewest with which an evaluation takes about 1.5 times the work of the joint closure; one where
        that is little work anyway.
    seed : int
        Of the groups, of their order, and of the bags that take words which no other has.
    draw : int, optional
        The number of a bootstrap draw: a corpus of the same size drawn from the bags with replacement, with a
        co-occurrence of its own.
    often : float
        Bags of a group that have a pair of words, on average, from which on the group has the C of this pair exactly;
        infinite: groups as they are cut.
    shaken : int, optional
        The seed of weights that stand for another sample of the same corpus, where the bags are not all.

    Raises
    ------
    InputError
        Counts without bags; or groups or a seed that are not whole, or too small.

    Examples
    --------
    >>> from dynamics.counts.cooccurrence import CoOccurrence
    >>> counts = CoOccurrence.from_parallel_text(["a dog", "a cat"], ["ein hund", "eine katze"], keep_bags=10)
    >>> problem = BagsClosure(counts)
    >>> problem.name, len(problem.parts), len(problem.whole)
    ('bags', 1, 4)
    """

    closure: str = BAGS
    groups: int | None = None
    seed: int = 0
    draw: int | None = None
    shaken: int | None = None
    often: float = OFTEN

    def __post_init__(self) -> None:
        if self.closure != BAGS:
            raise InputError(f"the bags closure is called {BAGS!r}, not {self.closure!r}")
        if self.counts.bags is None:
            raise InputError(
                "the bags closure needs sentences beside the co-occurrence: count the text with keep_bags=25_000, or "
                "use closure='conditional'"
            )
        if self.groups is not None:
            object.__setattr__(self, "groups", positive("groups", self.groups))
        if isinstance(self.seed, bool) or not isinstance(self.seed, Integral) or self.seed < 0:
            raise InputError(f"seed is {self.seed!r}: give a whole number from 0")

    @property
    def both_stages(self) -> bool:
        return True

    @property
    def sparse(self) -> bool:
        return False

    @property
    def program(self) -> Program:
        return made("derivations.closures:bags")

    @cached_property
    def whole(self) -> Bags:
        """All bags, raked to the co-occurrence; or a bootstrap draw of them."""
        counts = self.counts
        assert counts.bags is not None
        bags = Bags.of(counts.bags, counts.shape[0], counts.q)
        if self.shaken is not None:
            bags = reweighted(bags, 1 - counts.bags.held / counts.bags.seen, np.random.default_rng([self.shaken, 4]))
        # All bags of a corpus have its co-occurrence as they are.
        found = bags if counts.bags.complete else raked(bags, counts.C, np.random.default_rng([self.seed, 0]))
        if self.draw is None:
            return found
        tokens = int(counts.bags.seen.sum())
        drawn = np.random.default_rng([self.draw, 2]).multinomial(tokens, found.weight / found.weight.sum())
        rows = np.flatnonzero(drawn)
        return found.taken(rows, drawn[rows] / tokens)

    @cached_property
    def parts(self) -> tuple[Bags, ...]:
        """The groups, each raked."""
        groups = self.groups or groups_for(self.whole, self.entries_of_a_group())
        if groups == 1:
            return (self.whole,)
        random = np.random.default_rng([self.seed, 1])
        cut, own = self.cut(groups, random)
        rare = balance(cut, self.cooccurrence, own)
        return tuple(self.raked(group, random, own, rare) for group in cut)

    @cached_property
    def seen(self) -> Bags:
        """The group that loss and attention are of: all bags, or a larger group than those of the steps."""
        if len(self.parts) == 1:
            return self.whole
        groups = groups_for(self.whole, max(SEEN / WORK * self.entries_of_a_group(), FEW))
        random = np.random.default_rng([self.seed, 3])
        cut, own = self.cut(groups, random)
        return self.raked(cut[0], random, own)

    def entries_of_a_group(self) -> float:
        """How many a group should have: in proportion to the work of the joint closure, as far as that pays."""
        whole, outputs = self.whole, self.counts.shape[1]
        large = max(LARGE, ENOUGH * outputs * whole.entries / len(whole))
        return max(FEW, min(WORK * np.count_nonzero(self.cooccurrence), large))

    def cut(self, groups: int, random: np.random.Generator) -> tuple[list[Bags], NDArray[np.bool_]]:
        """So many groups, and the pairs that each of them has often enough to have its C exactly."""
        own = holders(self.whole, self.counts.shape[1]) >= self.often * groups
        return grouped(self.whole, groups, random), own

    def raked(
        self, group: Bags, random: np.random.Generator, own: NDArray[np.bool_], rare: Vector | None = None
    ) -> Bags:
        """A group raked: its own pairs each to C, the others of a target together; in the order that is quickest."""
        return raked(group, self.cooccurrence, random, own, rare).neighbours()

    @cached_property
    def cooccurrence(self) -> Vector:
        """C, dense; of a bootstrap draw, that of its bags."""
        return self.counts.dense().C if self.draw is None else self.whole.cooccurrence(self.counts.shape[1])

    @property
    def arrays(self) -> Mapping[str, Any]:
        """Of all bags: what has no turns, such as a flow under an optimiser, goes by all of them."""
        return {**self.whole.arrays, "q": self.q}

    @property
    def q(self) -> Vector:
        """How often each output is the target."""
        whole = self.whole
        found: Vector = np.bincount(whole.target, whole.weight, self.counts.shape[1]).astype(float)
        return found

    @property
    def attention_size(self) -> int:
        return self.counts.shape[0] * self.counts.shape[1]

    @property
    def parallel(self) -> bool:
        return max(part.entries for part in self.parts) * self.counts.shape[1] >= WORTH_SHARING

    @property
    def tolerances(self) -> Tolerances:  # type: ignore[override]
        """Steps of groups need no more than their noise allows."""
        return Tolerances() if len(self.parts) == 1 else Tolerances(3e-5, 1e-8, "RK23")

    @property
    def attrs(self) -> Mapping[str, Any]:
        return {**super().attrs, "bags": len(self.whole), "groups": len(self.parts)}

    @property
    def products(self) -> float:
        return 3.0 * self.counts.shape[1] * max(part.entries for part in self.parts)

    def bind(
        self, rates: Mapping[str, float], lr: float | None = None, observe: Sequence[str] = ()
    ) -> tuple[Any, Bound]:
        """The compiled flow of the groups in turn, and the compiled observables on a larger group."""
        if len(self.parts) == 1:
            return super().bind(rates, lr, observe)
        parameters, q, kernel = self.all_numbers(rates), {"q": self.q}, self.kernel()
        wanted = self.kernel(tuple(dict.fromkeys((*self.observed, *observe))))
        seen = wanted.bind({**self.seen.arrays, **q}, parameters)
        bound = [kernel.bind({**part.arrays, **q}, parameters, seen.workspace) for part in self.parts]
        fastest = float(np.max(np.abs(_slope(bound[0], np.zeros(self.size))), initial=0.0))
        share = min(LONGEST, ROUND / len(bound))
        return BagsInTurn(bound, self.seed, share, AGREE / fastest if fastest > 0 else 1.0), seen


def reweighted(bags: Bags, missing: Vector, random: np.random.Generator) -> Bags:
    """Bags that differ from those of a sample as these do from all bags.

    What n of N bags of a target say of the N is off by a variance of 1 - n/N over n. Weights with a relative variance
    of 1 - n/N move it by as much.

    Parameters
    ----------
    bags : Bags
    missing : ndarray, shape (outputs,)
        The share of each output's bags that are not among them.
    random : Generator
    """
    spread = np.maximum(missing[bags.target], 0)
    some = spread > 0
    factor = np.ones(len(bags))
    factor[some] = random.gamma(1 / spread[some], spread[some]) + 1e-9
    weight = bags.weight * factor
    before, after = (np.bincount(bags.target, w, len(missing)) for w in (bags.weight, weight))
    return Bags(bags.shares, bags.target, weight * (before / np.maximum(after, 1e-300))[bags.target])


class BagsInTurn(Rotation):
    """The compiled flows of groups of bags, in turn; each has the states and the parameters that the others have."""

    def __init__(self, parts: Sequence[Bound], seed: int, share: float, free: float) -> None:
        super().__init__(parts, seed, share, free, ends=False)
        self.bound, self.first = tuple(parts), parts[0]

    def with_parameters(self, /, **changes: float) -> BagsInTurn:
        """The same groups with other parameters, from the first round on."""
        return BagsInTurn([part.with_parameters(**changes) for part in self.bound], self.seed, self.share, self.free)

    def states(self, y: Vector) -> dict[str, Any]:
        """Named views of a packed state."""
        return self.first.states(y)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("first", "bound"):
            raise AttributeError(name)
        return getattr(self.first, name)


def _slope(flow: Bound, y: Vector) -> Vector:
    """The packed slope at a packed state."""
    out = np.empty_like(y)
    flow(y, out)
    return out
