"""Every program of the theory by name: the one registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType

from derivations import closures, models, reductions, topic
from derivations.program import Program, ProgramError

__all__ = ["PROGRAMS", "names", "program"]

PROGRAMS: Mapping[str, Callable[[], Program]] = MappingProxyType(
    {
        "joint": closures.both_stages,
        "joint-sparse": closures.both_stages_sparse,
        "linear": closures.linear,
        "linear-bias": closures.linear_bias,
        "marginal": closures.marginal,
        "gram": closures.gram,
        "keyword": models.keyword_classifier,
        "keyword-bias": partial(models.keyword_classifier, bias=True),
        "lexical": models.lexical_attention,
        "lexical-heads": partial(models.lexical_attention, heads=True),
        "positional": models.positional_attention,
        "positional-heads": partial(models.positional_attention, heads=True),
        "topic-FC": partial(models.topic_classifier, "FC"),
        "topic-TC": partial(models.topic_classifier, "TC"),
        "topic-TL": partial(models.topic_classifier, "TL"),
        "topic-FC-keys": partial(models.topic_classifier, "FC", keys=True),
        "topic-TC-keys": partial(models.topic_classifier, "TC", keys=True),
        "topic-TL-keys": partial(models.topic_classifier, "TL", keys=True),
        "topic-FC-span": topic.in_span,
        "topic-words-FC": partial(topic.topic_words, "FC"),
        "topic-words-TC": partial(topic.topic_words, "TC"),
        "topic-words-TL": partial(topic.topic_words, "TL"),
        "copying": reductions.copying,
        "copying-heads-2": partial(reductions.copying_heads, 2),
        "copying-repeats-3": partial(reductions.copying_repeats, 3),
    }
)
"""Name -> the function that derives the program. Nothing is derived before it is asked for."""


def names() -> tuple[str, ...]:
    """The names of all programs.

    Examples
    --------
    >>> names()[:2]
    ('joint', 'joint-sparse')
    """
    return tuple(PROGRAMS)


def program(name: str) -> Program:
    """The program of a name, derived on first use.

    Raises
    ------
    ProgramError
        Nothing has this name; the message gives near matches and all names.

    Examples
    --------
    >>> program("joint").title
    'Both stages from the co-occurrence matrix'
    >>> program("gramm")
    Traceback (most recent call last):
    derivations.program.ProgramError: nothing is called 'gramm'; did you mean gram? Names: joint, ...
    """
    if name not in PROGRAMS:
        near = get_close_matches(str(name).lower(), PROGRAMS)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ProgramError(f"nothing is called {name!r}; {hint}Names: {', '.join(PROGRAMS)}")
    return PROGRAMS[name]()
