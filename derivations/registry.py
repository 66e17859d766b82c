"""Every derivation of the theory by name, programs and theorems: the one registry."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from types import MappingProxyType

import derivations
from derivations.closures import cooccurrence as closures
from derivations.gradient_flow.adjoints import descent_flow
from derivations.models import attention as models
from derivations.program.language import Program, ProgramError
from derivations.reductions import positional as reductions
from derivations.reductions import topic
from derivations.theorems.theorem import Named, Theorem

__all__ = ["PARTS", "PROGRAMS", "derived", "names", "parts", "program", "theorems"]

PARTS: Mapping[str, Mapping[str, Callable[[], Program]]] = MappingProxyType(
    {
        "Exact models": {
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
            "keyword-descent": lambda: descent_flow(models.keyword_classifier()),
        },
        "Closures": {
            "joint": closures.both_stages,
            "joint-sparse": closures.both_stages_sparse,
            "linear": closures.linear,
            "linear-bias": closures.linear_bias,
            "marginal": closures.marginal,
            "gram": closures.gram,
        },
        "Reductions": {
            "topic-FC-span": topic.in_span,
            "topic-words-FC": partial(topic.topic_words, "FC"),
            "topic-words-TC": partial(topic.topic_words, "TC"),
            "topic-words-TL": partial(topic.topic_words, "TL"),
            "topic-words-FC-keys": partial(topic.topic_words, "FC", keys=True),
            "topic-words-TC-keys": partial(topic.topic_words, "TC", keys=True),
            "topic-words-TL-keys": partial(topic.topic_words, "TL", keys=True),
            "copying": reductions.copying,
            "copying-heads-2": partial(reductions.copying_heads, 2),
            "copying-repeats-3": partial(reductions.copying_repeats, 3),
        },
    }
)
"""Title of a part -> name -> the function that derives the program. Nothing is derived before it is asked for."""

PROGRAMS: Mapping[str, Callable[[], Program]] = MappingProxyType(
    {name: make for part in ("Closures", "Exact models", "Reductions") for name, make in PARTS[part].items()}
)
"""Name -> the function that derives the program."""


TOPICS = ("descent", "stage-one", "two-stages", "copying", "sen", "topic", "sparse")
"""How names of theorems begin, in the order of the theory."""
FAMILIES: Mapping[str, Callable[[int], Program]] = MappingProxyType(
    {"copying-heads": reductions.copying_heads, "copying-repeats": reductions.copying_repeats}
)
"""Reductions with a number at the end of their name: ``copying-heads-4``."""
MODIFIED = "-descent"
"""At the end of the name of a model: the flow that gradient descent on it follows, ``topic-FC-descent``."""


@cache
def theorems() -> Mapping[str, Named]:
    """Name -> the function that derives the theorem: from every table of theorems in the modules of this package.

    Examples
    --------
    >>> "sen" in theorems(), "copying-branch" in theorems()
    (True, True)
    """
    found: dict[str, Named] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(derivations.__path__)):
        if module == "catalogue":
            continue
        for table in vars(import_module(f"derivations.{module}")).values():
            if isinstance(table, Mapping) and table and all(isinstance(value, Named) for value in table.values()):
                found |= table
    return MappingProxyType(found)


def names() -> tuple[str, ...]:
    """The names of all programs.

    Examples
    --------
    >>> names()[:2]
    ('joint', 'joint-sparse')
    """
    return tuple(PROGRAMS)


def parts() -> dict[str, tuple[str, ...]]:
    """The names of all derivations, programs and theorems, by the title of their part, in the order of the theory.

    Examples
    --------
    >>> list(parts())
    ['Exact models', 'Closures', 'Reductions', 'Theorems']
    """
    by_topic = sorted(theorems(), key=lambda name: [not f"{name}-".startswith(f"{topic}-") for topic in TOPICS])
    return {**{title: tuple(part) for title, part in PARTS.items()}, "Theorems": tuple(by_topic)}


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
    derivations.program.language.ProgramError: nothing is called 'gramm'; did you mean gram? Names: joint, ...
    """
    found = numbered(name)
    if found is None:
        raise unknown(name, PROGRAMS)
    return found


def derived(name: str) -> Program | Theorem:
    """The program or the theorem of a name.

    Raises
    ------
    ProgramError
        As for :func:`program`.

    Examples
    --------
    >>> derived("copying-branch").title
    'Two branches of copying'
    """
    if name in theorems():
        return theorems()[name]()
    found = numbered(name)
    if found is not None:
        return found
    raise unknown(name, {**PROGRAMS, **theorems()})


def numbered(name: str) -> Program | None:
    """A program that is listed, or one of a family."""
    if name in PROGRAMS:
        return PROGRAMS[name]()
    stem = str(name).removesuffix(MODIFIED)
    if stem != name and stem in PARTS["Exact models"]:
        return descent_flow(PROGRAMS[stem]())
    family, _, number = str(name).rpartition("-")
    return FAMILIES[family](int(number)) if family in FAMILIES and number.isdecimal() else None


def unknown(name: str, known: Mapping[str, object]) -> ProgramError:
    near = get_close_matches(str(name).lower(), known)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ProgramError(f"nothing is called {name!r}; {hint}Names: {', '.join(known)}")
