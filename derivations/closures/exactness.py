"""What a closure is exact for: declared where it is registered, and checked by :mod:`derivations.checks.closures`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from derivations.program.program import Definition, Program

__all__ = ["Exactness", "OnBags", "OnSentences", "SpecialCase"]


@dataclass(frozen=True)
class OnSentences:
    """The flow of a model with uniform attention, on sentences that share no word.

    Attributes
    ----------
    model : callable
        Derives the model; a bias that it has stands at its optimum at W = 0.
    at_zero : bool
        Exact at W = 0 only, on any sentences.
    """

    model: Callable[[], Program]
    at_zero: bool = False


@dataclass(frozen=True)
class SpecialCase:
    """Another closure where some of its data are known.

    Attributes
    ----------
    closure : str
        The name of the other closure.
    given : callable
        The definitions of those data, from what both closures have.
    words : str
        What it is compared with, in words.
    """

    closure: str
    given: Callable[[], tuple[Definition, ...]]
    words: str


@dataclass(frozen=True)
class OnBags:
    """The flow of a model where every sentence is a bag, and that of a closure with one bag a target.

    Attributes
    ----------
    model, closure : callable
        Derive them. The one bag of a target holds its words with the shares of the co-occurrence.
    """

    model: Callable[[], Program]
    closure: Callable[[], Program]


Exactness = OnBags | OnSentences | SpecialCase
"""What a closure may declare."""
