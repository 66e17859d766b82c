"""Programs of ours, known by how they are made: what was found out about them is kept on disk, beside compiled code.

A solve needs names, sizes and sources of its program; its expressions it needs only to find these. So that a later
process need not import sympy to make a program once more, a program is asked for by its recipe, the function of ours
that makes it, and what is a *fact* about it (:func:`fact`) is found by the first process alone. Whatever else is asked
of it, its expressions among them, makes it (:meth:`derivations.program.program.Program.outlined`). What takes long to
find is kept for a reader's programs too, by their expressions. Facts are those of the very files of both packages:
after any change they are found anew.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from derivations.program.program import Constraint, Definition, Program
from dynamics.support import cache_files

__all__ = ["fact", "fact_of_any", "made"]

Recipe = tuple[Any, ...]
"""The place of a function, and its arguments: numbers, words and recipes."""
TOLD = ("sympy", "derivations")
"""Packages whose functions are what their names say, as facts are of their versions."""
Found = TypeVar("Found", bound=Callable[..., Any])


@cache
def made(place: str, *arguments: Any) -> Program:
    """The program that a function of ours makes.

    Parameters
    ----------
    place : str
        ``module:function``.
    *arguments
        Numbers and words; programs that were made here, too.

    Examples
    --------
    >>> program = made("derivations.closures.both_stages:both_stages")
    >>> program.state_names, program.flow["W"]
    (('W', 'A'), 'Wdot')
    >>> program.definitions[0].name
    'M'
    """
    module, _, name = place.partition(":")

    def make() -> Program:
        found: Program = getattr(import_module(module), name)(*arguments)
        return found

    recipe = place, *(recipe_of(one) or one for one in arguments)
    program = Program.outlined(_kept((recipe, "outline"), lambda: make().outline()), make)
    vars(program)["_recipe"] = recipe
    return program


def recipe_of(program: Any) -> Recipe | None:
    """How a program was made, if :func:`made` made it."""
    return vars(program).get("_recipe") if isinstance(program, Program) else None


def fact(function: Found) -> Found:
    """A function that finds something out about a program, in words and numbers: once, and for one of ours on disk.

    Its other arguments are numbers and words, and what it finds can be pickled without expressions.
    """
    return _found_once(function, recipe_of)


def fact_of_any(function: Found) -> Found:
    """The same, kept for every program: for what takes longer to find than its expressions take to be read."""
    return _found_once(function, lambda program: recipe_of(program) or contents_of(program))


def contents_of(program: Program) -> Recipe | None:
    """What tells a program apart from others: a hash of all that it says, but for the model that it was derived from.

    None of one with functions of a reader's own: what they are is in his code, of which expressions have the name.

    Examples
    --------
    >>> from derivations.program import Definition, scalars
    >>> w, loss = scalars("w loss")
    >>> valley, slope = (
    ...     Program(name="valley", title="", source="", extents={}, data=(), states=(w,), loss=loss,
    ...             definitions=(Definition(loss, height),)) for height in (w**2, w)
    ... )
    >>> contents_of(valley) == contents_of(slope), contents_of(valley) == contents_of(valley.extended(()))
    (False, True)
    """
    if "_contents" not in vars(program):
        try:
            said = "".join(_written(getattr(program, one.name)) for one in fields(program) if one.name != "model")
            vars(program)["_contents"] = "contents", hashlib.sha256(said.encode()).hexdigest()
        except _OfAReaderError:
            vars(program)["_contents"] = None
    found: Recipe | None = vars(program)["_contents"]
    return found


class _OfAReaderError(Exception):
    """A part of an expression that its text does not tell."""


def _written(value: Any) -> str:
    """A part of a program as text that tells all of it: symbols with their assumptions."""
    from sympy import Basic, preorder_traversal, srepr

    if isinstance(value, Basic):
        if any(str(type(part).__module__).partition(".")[0] not in TOLD for part in preorder_traversal(value)):
            raise _OfAReaderError
        return str(srepr(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_written(key)}: {_written(own)}" for key, own in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(_written, value)) + ")"
    if isinstance(value, Definition | Constraint):
        return _written(tuple(vars(value).values()))
    return repr(value)


def _found_once(function: Found, called: Callable[[Program], Recipe | None]) -> Found:
    """A function of a program that looks for what it found before, by what programs are called."""
    name = f"{function.__module__}:{function.__qualname__}"

    @cache
    @wraps(function)
    def known(program: Program, *arguments: Any, **options: Any) -> Any:
        own = called(program)
        if own is None:
            return function(program, *arguments, **options)
        asked = own, name, arguments, tuple(sorted(options.items()))
        return _kept(asked, lambda: function(program, *arguments, **options))

    return known  # type: ignore[return-value]


def _kept(question: tuple[Any, ...], find: Callable[[], Any]) -> Any:
    """The answer to a question, from its file; or found, and put there."""
    asked = repr((question, _code()))
    path = cache_files.cache_directory() / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.fact"
    content = cache_files.read(path)
    if content is not None:
        told, answer = pickle.loads(content)
        if told == asked:
            return answer
    answer = find()
    if _code() == _code_on_disk():  # else modules are older than their files: what they find is no fact of these
        cache_files.write(path, pickle.dumps((asked, answer)))
    return answer


@cache
def _code() -> str:
    """What was on disk when this module was imported."""
    return _code_on_disk()


def _code_on_disk() -> str:
    """A hash of what facts depend on: every module of both packages, and the versions of sympy and of Python."""
    found = hashlib.sha256(sys.version.encode())
    for package in ("derivations", "dynamics"):
        for folder, folders, files in os.walk(_folder(package)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    found.update(name.encode())
                    found.update(Path(folder, name).read_bytes())
    found.update(version("sympy").encode())
    return found.hexdigest()


def _folder(package: str) -> Path:
    """Where a package stands, which need not be imported for that."""
    return Path(str(getattr(find_spec(package), "origin", None))).parent


_code()  # now: a file may be edited before the first fact is asked for
