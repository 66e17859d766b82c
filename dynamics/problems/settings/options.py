"""Options that are passed on: each acts, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from dynamics.support.files import did_you_mean

__all__ = ["known", "named"]

P = ParamSpec("P")
R = TypeVar("R")

OF_SOLVERS = {"first_step", "max_step", "min_step", "jac", "jac_sparsity", "lband", "uband", "vectorized"}
"""Options of SciPy's methods."""


def known(
    options: Mapping[str, Any], owner: Callable[..., Any], *also: Callable[..., Any], but: Iterable[str] = ()
) -> None:
    """Raise TypeError for an option that neither a function nor those that it passes options on to has.

    Examples
    --------
    >>> def solve(t, *, switch=None, **options): ...
    >>> known({"swich": 3}, solve)
    Traceback (most recent call last):
    TypeError: solve() has no option 'swich'; did you mean 'switch'?
    """
    if not options:
        return
    names = {
        name
        for function in (owner, *also)
        for name, parameter in signature(function).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY and name not in but
    } | OF_SOLVERS
    _refuse_others(options, names, owner)


def _refuse_others(options: Iterable[str], names: Iterable[str], owner: Callable[..., Any]) -> None:
    for name in options:
        if name not in names:
            raise TypeError(f"{owner.__name__}() has no option {name!r}{did_you_mean(name, sorted(names))}")


def named(function: Callable[P, R]) -> Callable[P, R]:
    """The function; called with a keyword that it does not have, it says which one is nearest.

    Examples
    --------
    >>> @named
    ... def simulate(*, seeds=1): ...
    >>> simulate(seed=3)
    Traceback (most recent call last):
    TypeError: simulate() has no option 'seed'; did you mean 'seeds'?
    """
    names = [name for name, one in signature(function).parameters.items() if one.kind is not Parameter.POSITIONAL_ONLY]

    @wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        _refuse_others(options, names, function)
        return function(*args, **options)

    return called
