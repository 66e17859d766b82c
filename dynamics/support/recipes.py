"""Programs of ours, known by how they are made: what was found out about them is kept on disk, beside compiled code.

A solve needs names, sizes and sources of its program; its expressions it needs only to find these. So that a later
process need not import sympy to make a program once more, a program is asked for by its recipe, the function of ours
that makes it, and what is a *fact* about it (:func:`fact`) is found by the first process alone. Whatever else is asked
of it, its expressions among them, makes it (:meth:`derivations.program.program.Program.outlined`). Facts are those of
the very files of both packages: after any change they are found anew.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from derivations.program.program import Program
from dynamics.support import cache_files

__all__ = ["fact", "made"]

Recipe = tuple[Any, ...]
"""The place of a function, and its arguments: numbers, words and recipes."""
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
    name = f"{function.__module__}:{function.__qualname__}"

    @cache
    @wraps(function)
    def known(program: Program, *arguments: Any, **options: Any) -> Any:
        recipe = recipe_of(program)
        if recipe is None:
            return function(program, *arguments, **options)
        asked = recipe, name, arguments, tuple(sorted(options.items()))
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
    cache_files.write(path, pickle.dumps((asked, answer)))
    return answer


@cache
def _code() -> str:
    """A hash of what facts depend on: every module of both packages, and the versions of sympy and of Python."""
    found = hashlib.sha256(sys.version.encode())
    for package in ("derivations", "dynamics"):
        for folder, folders, files in os.walk(_folder(package)):
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    found.update(name.encode())
                    found.update(Path(folder, name).read_bytes())
    found.update((_folder("sympy") / "release.py").read_bytes())
    return found.hexdigest()


def _folder(package: str) -> Path:
    """Where a package stands, which need not be imported for that."""
    return Path(str(getattr(find_spec(package), "origin", None))).parent
