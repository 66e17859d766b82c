"""Learning rates of states relative to tau."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from dynamics.support.errors import InputError


def learning_rates(states: Sequence[str], given: Mapping[str, float] | None, owner: str) -> dict[str, float]:
    """A rate for every state: 1 where none is given.

    Raises
    ------
    InputError
        A rate for a state that the owner does not have, or one that is not a number from 0 on.

    Examples
    --------
    >>> learning_rates(["W", "A"], {"A": 0.1}, "the joint flow")
    {'W': 1.0, 'A': 0.1}
    """
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"rates = {given!r} must give each state its own, {{{states[0]!r}: 0.5}} for example")
    found = dict.fromkeys(states, 1.0) | dict(given or {})
    for name, rate in found.items():
        if name not in states:
            raise InputError(f"rate of {name!r}: the states of {owner} are {', '.join(states)}")
        if not isinstance(rate, numbers.Real) or isinstance(rate, bool) or not (np.isfinite(rate) and rate >= 0):
            raise InputError(f"rate of {name} = {rate!r} must be a number from 0 on")
    return found
