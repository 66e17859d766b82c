"""What a solve without options finds out about its problem, once: of small problems that takes as long as integrating.

Problems are frozen, so that a plan holds as long as its problem lives; numbers, which may be changed in place, are not
in it. Few plans are kept, and of small problems only.
"""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamics.problems.kinds.closure import Closure
from dynamics.problems.problem import Problem, Variable
from dynamics.problems.settings.keep import Keep, kept
from dynamics.problems.settings.rates import learning_rates
from dynamics.problems.solving.observables import extents_of
from dynamics.problems.solving.stages import stage_names

__all__ = ["Plan", "usual_plan"]

SMALL, KNOWN = 20_000, 16
"""Numbers of the states, and of the data, up to which plans are kept, and how many of these are."""
_known: OrderedDict[tuple[int, str], tuple[weakref.ref[Any], Plan]] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Plan:
    """Which predictions there are, at which rates, and what is kept of them.

    Attributes
    ----------
    names : tuple of str
    speeds : mapping of str to float
    keeping : Keep
    variables : tuple of Variable
    """

    names: tuple[str, ...]
    speeds: Mapping[str, float]
    keeping: Keep
    variables: Sequence[Variable]


def usual_plan(problem: Problem) -> Plan:
    """The plan of a problem without options; of a closure on dense counts, that of all such closures on these."""
    owner: Any = problem
    name = ""
    if type(problem) is Closure and not problem.sparse:
        owner, name = problem.counts, problem.closure
    known = _known.get((id(owner), name))
    if known is not None and known[0]() is owner:  # identities are given again
        return known[1]
    keeping = kept(extents_of(problem, (), 0), problem.labels, problem.frequency, None, None)
    speeds = learning_rates(tuple(problem.rates), None, problem.described)
    plan = Plan(stage_names(problem, None), speeds, keeping, tuple(problem.variables(keeping)))
    if _numbers(problem) <= SMALL:
        _known[id(owner), name] = weakref.ref(owner), plan
        if len(_known) > KNOWN:
            _known.popitem(last=False)
    return plan


def _numbers(problem: Problem) -> int:
    """How many numbers the states of a problem have, or its data, if these are more."""
    data = sum(getattr(values, "size", SMALL + 1) for values in problem.arrays.values())
    return max(data, sum(map(math.prod, problem.shapes.values())))
