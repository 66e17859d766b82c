"""The one registry: every model, closure, reduction and theorem by name, declared where it is defined.

A function is registered by its decorator, :func:`model`, :func:`closure`, :func:`reduction` or :func:`theorem`; no
other place lists names. Nothing is derived before it is asked for: names and titles are known from the decorators. The
modules of the rooms below are imported on the first look-up, and so are those that other packages give as entry points
of the group ``attention_dynamics.models``: importing them registers what they define.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata
from pkgutil import iter_modules
from typing import Any, TypeVar

from derivations.program.program import Program, ProgramError

__all__ = [
    "Entry",
    "closure",
    "default_model",
    "derived",
    "entries",
    "entry",
    "model",
    "names",
    "parts",
    "program",
    "programs_of",
    "reduction",
    "theorem",
    "theorems",
    "theorems_about",
    "title",
]

GROUP = "attention_dynamics.models"
"""The group of entry points by which other packages register; each names a module."""
ROOMS = ("models", "closures", "reductions", "theorems")
"""The rooms of this package that are searched. Their ``READING_ORDER`` says which module comes first."""
PARTS = {"model": "Exact models", "closure": "Closures", "reduction": "Reductions", "theorem": "Theorems"}
"""Kind -> the title of its part, in the order of the theory."""

Make = TypeVar("Make", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Entry:
    """A derivation that is made once it is asked for.

    Attributes
    ----------
    kind : str
        ``model``, ``closure``, ``reduction`` or ``theorem``.
    name, title : str
        With ``{}`` in the name of a family, and in its title if it likes.
    make : callable
        Derives it.
    given : mapping
        Keyword arguments of ``make``; of a member of a family, what stands in the place of ``{}`` comes before them.
    listed : tuple
        The members of a family that are listed.
    fits : tuple of str
        The tasks, and kinds of text, that it is the default model of.
    about : tuple of str
        The programs that a theorem is about.
    exact_for : object
        What a closure is exact for; see :mod:`derivations.closures.exactness`.
    family : str
        Of a member, the name of its family.
    """

    kind: str
    name: str
    title: str
    make: Callable[..., Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    listed: tuple[Any, ...] = ()
    fits: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    exact_for: Any = None
    family: str = ""

    def __call__(self) -> Any:
        """The program or the theorem; derived once."""
        return made(self)

    @property
    def is_family(self) -> bool:
        return "{}" in self.name

    @property
    def is_of_others(self) -> bool:
        """Whether it is a family whose members are named after other entries."""
        return self.name.startswith("{}")

    def member(self, argument: Any) -> Entry:
        """One of a family; titles speak of other entries by their titles."""
        return replace(
            self,
            name=self.name.format(argument),
            title=self.title.format(REGISTERED[argument].title if self.is_of_others else argument),
            make=lambda **given: self.make(argument, **given),
            listed=(),
            family=self.name,
        )


@cache
def made(entry: Entry) -> Any:
    """What an entry derives. A theorem is told its name and title; a program says its own, and must say the same."""
    found = entry.make(**entry.given)
    if entry.kind == "theorem":
        return replace(found, name=entry.name, title=entry.title)
    for what in ("name", "title"):
        declared, own = getattr(entry, what), getattr(found, what)
        if declared != own:
            raise ProgramError(f"the {what} of {entry.name} is registered as {declared!r}, its program has {own!r}")
    return found


REGISTERED: dict[str, Entry] = {}
"""By name; of families, by the name with ``{}`` in it."""


def register(entry: Entry) -> None:
    """Add an entry: before those of the same function, as decorators work from the innermost one outwards."""
    other = REGISTERED.get(entry.name)
    if other is not None:
        raise ProgramError(
            f"two derivations are called {entry.name!r}, in {other.make.__module__} and {entry.make.__module__}; "
            "rename one of them"
        )
    later = [name for name, own in REGISTERED.items() if own.make is entry.make]
    moved = {name: REGISTERED.pop(name) for name in later}
    REGISTERED[entry.name] = entry
    REGISTERED.update(moved)


def decorator(kind: str, name: str, title: str, **declared: Any) -> Callable[[Make], Make]:
    """Registers a function, and gives it back as it is."""

    def registered(make: Make) -> Make:
        register(Entry(kind, name, title, make, **declared))
        return make

    return registered


def model(
    name: str, title: str, *, given: Mapping[str, Any] | None = None, fits: tuple[str, ...] = (),
    listed: tuple[Any, ...] = (),
) -> Callable[[Make], Make]:  # fmt: skip
    """Register a function that returns an exact model with its flow.

    Parameters
    ----------
    name, title : str
        The same as of the program that the function returns. A name with ``{}`` is a family, and the function gets what
        stands there: a whole number; or, where the family begins with ``{}``, the name of another model.
    given : mapping, optional
        Keyword arguments that this name stands for: one function may have several names.
    fits : tuple of str, optional
        What it is the default model of: tasks by name, ``parallel text``, ``labelled text``.
    listed : tuple, optional
        The members of a family that are listed.

    Examples
    --------
    >>> entry("keyword-bias").given, entry("keyword-bias").fits
    ({'bias': True}, ('labelled text', 'boolean'))
    """
    return decorator("model", name, title, given=given or {}, fits=fits, listed=listed)


def closure(
    name: str, title: str, *, exact_for: Any = None, given: Mapping[str, Any] | None = None,
    listed: tuple[Any, ...] = (),
) -> Callable[[Make], Make]:  # fmt: skip
    """Register a function that returns a closure, a flow that needs statistics instead of the data.

    Parameters
    ----------
    name, title, given, listed
        As for :func:`model`.
    exact_for : optional
        What it is exact for, one of those of :mod:`derivations.closures.exactness`; this is checked by numbers.
    """
    return decorator("closure", name, title, exact_for=exact_for, given=given or {}, listed=listed)


def reduction(
    name: str, title: str, *, given: Mapping[str, Any] | None = None, fits: tuple[str, ...] = (),
    listed: tuple[Any, ...] = (),
) -> Callable[[Make], Make]:  # fmt: skip
    """Register a function that returns a reduction, reached from a model by substitution.

    Parameters
    ----------
    name, title, given, fits, listed
        As for :func:`model`.

    Examples
    --------
    >>> entry("copying-heads-7").title
    'Copying with heads on the symmetric manifold: two equations for each of 7'
    """
    return decorator("reduction", name, title, given=given or {}, fits=fits, listed=listed)


def theorem(name: str, title: str, *, about: tuple[str, ...]) -> Callable[[Callable[[], Any]], Entry]:
    """Register a function that derives a theorem; what it returns is given this name and title.

    Parameters
    ----------
    name, title : str
    about : tuple of str
        The names of the programs that it is about, or of families of them; documents link both ways.

    Examples
    --------
    >>> from derivations.theorems.descent import modified_loss
    >>> modified_loss.title, modified_loss().name, modified_loss() is modified_loss()
    ('Gradient descent follows the flow of a modified loss', 'descent', True)
    """

    def registered(make: Callable[[], Any]) -> Entry:
        own = Entry("theorem", name, title, make, about=about)
        register(own)
        return own

    return registered


@cache
def loaded() -> tuple[str, ...]:
    """The modules that register, imported, in the order of the theory."""
    modules: list[str] = []
    for room in ROOMS:
        package = import_module(f"derivations.{room}")
        first = tuple(getattr(package, "READING_ORDER", ()))
        found = sorted(info.name for info in iter_modules(package.__path__))
        found.sort(key=lambda name: first.index(name) if name in first else len(first))
        modules += [f"{package.__name__}.{name}" for name in found]
    for name in modules:
        import_module(name)
    for point in metadata.entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            where = f"the entry point {point.name} = {point.value} of {GROUP}"
            raise ProgramError(f"{where} cannot be loaded: {error}; repair or uninstall its package") from error
    return tuple(modules)


def entries(kind: str | None = None) -> tuple[Entry, ...]:
    """All that is listed, or one kind of it, in the order of the theory; what other packages registered comes last.

    Examples
    --------
    >>> [one.name for one in entries("closure")][:3]
    ['joint', 'joint-sparse', 'linear']
    """
    modules = loaded()
    kinds = list(PARTS)

    def order(own: Entry) -> tuple[int, int]:
        where = own.make.__module__
        return kinds.index(own.kind), modules.index(where) if where in modules else len(modules)

    found = sorted((own for own in REGISTERED.values() if kind in (None, own.kind)), key=order)
    return tuple(one for own in found for one in listed(own))


def listed(own: Entry) -> Iterator[Entry]:
    """An entry, or the members of a family that are listed."""
    yield from (members(own, argument) for argument in own.listed) if own.is_family else (own,)


@cache
def members(family: Entry, argument: Any) -> Entry:
    """A member of a family, always the same."""
    return family.member(argument)


def found(name: str) -> Entry | None:
    """An entry, or a member of a family, if there is one of this name."""
    own = REGISTERED.get(name)
    if own is not None and not own.is_family:
        return own
    for family in REGISTERED.values():
        if not family.is_family:
            continue
        match = re.fullmatch(re.escape(family.name).replace(r"\{\}", "(.+)"), name)
        if match is None:
            continue
        if not family.is_of_others:
            if match[1].isdecimal():
                return members(family, int(match[1]))
        elif (other := REGISTERED.get(match[1])) is not None and other.kind == family.kind and not other.is_family:
            return members(family, match[1])
    return None


def entry(name: str) -> Entry:
    """What is registered under a name, or is one of a family.

    Raises
    ------
    ProgramError
        Nothing has this name; the message gives near matches and all names.
    """
    loaded()
    own = found(str(name))
    if own is None:
        raise unknown(name, entries())
    return own


def title(name: str) -> str:
    """The title that is registered for a name: for the function that is registered, so that it stands once.

    Examples
    --------
    >>> title("copying-repeats-4")
    'Copying of 4 words that may repeat, on the symmetric manifold'
    """
    own = found(name)  # the module that asks has been imported: the others are not needed
    return (own or entry(name)).title


def names() -> tuple[str, ...]:
    """The names of all programs.

    Examples
    --------
    >>> names()[:2]
    ('keyword', 'keyword-bias')
    """
    return tuple(one.name for one in entries() if one.kind != "theorem")


def theorems() -> Mapping[str, Entry]:
    """Name -> the theorem, which is derived once it is called.

    Examples
    --------
    >>> "sen" in theorems(), "copying-branch" in theorems()
    (True, True)
    """
    return {one.name: one for one in entries("theorem")}


def theorems_about(name: str) -> tuple[str, ...]:
    """The names of the theorems about a program.

    Examples
    --------
    >>> theorems_about("marginal"), theorems_about("topic-FC-descent")
    (('stage-one-logistic',), ('descent',))
    """
    own = entry(name)
    return tuple(one.name for one in entries("theorem") if {own.name, own.family} & set(one.about))


def programs_of(name: str) -> tuple[str, ...]:
    """The names of the programs that a theorem is about; of families, of those members that are listed.

    Examples
    --------
    >>> programs_of("descent")
    ('keyword-descent',)
    """
    about = entry(name).about
    families = [one for one in entries() if one.family in about and one.family]
    return tuple(
        dict.fromkeys(
            one for own in about for one in ([m.name for m in families if m.family == own] if "{}" in own else [own])
        )
    )


def default_model(fits: str) -> str:
    """The name of the model that a task, or a kind of text, is learnt by unless another one is asked for.

    Raises
    ------
    ProgramError
        No model says that it fits this.

    Examples
    --------
    >>> default_model("copying"), default_model("labelled text")
    ('positional', 'keyword-bias')
    """
    for one in entries():
        if fits in one.fits:
            return one.name
    raise ProgramError(f"no model is registered for {fits!r}; name one, or declare fits=({fits!r},) with the model")


def parts() -> dict[str, tuple[str, ...]]:
    """The names of all derivations, programs and theorems, by the title of their part, in the order of the theory.

    Examples
    --------
    >>> list(parts())
    ['Exact models', 'Closures', 'Reductions', 'Theorems']
    """
    return {part: tuple(one.name for one in entries(kind)) for kind, part in PARTS.items()}


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
    derivations.program.program.ProgramError: nothing is called 'gramm'; did you mean gram? Names: keyword, ...
    """
    loaded()
    own = found(str(name))
    if own is None or own.kind == "theorem":
        raise unknown(name, tuple(one for one in entries() if one.kind != "theorem"))
    return own()


def derived(name: str) -> Any:
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
    return entry(name)()


def unknown(name: str, known: tuple[Entry, ...]) -> ProgramError:
    every = [one.name for one in known]
    near = get_close_matches(str(name).lower(), every)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ProgramError(f"nothing is called {name!r}; {hint}Names: {', '.join(every)}")
