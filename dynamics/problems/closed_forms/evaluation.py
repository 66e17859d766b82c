"""Any result of any theorem on numbers or arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import lambdify

from derivations.registry import entry
from derivations.theorems.theorem import Theorem

__all__ = ["evaluated", "numeric"]


@cache
def numeric(theorem: Theorem, result: str) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """The names of what a result depends on, and the result as a function of their values."""
    expression = theorem.expression(result)
    of = sorted(expression.free_symbols, key=lambda s: s.name)
    return tuple(s.name for s in of), lambdify(of, expression, ["numpy", "scipy"], cse=True)


def evaluated(theorem: Theorem | str, result: str, **values: ArrayLike) -> NDArray[np.float64]:
    """A result of a theorem at values of the symbols that it depends on; others are left out.

    Parameters
    ----------
    theorem : Theorem or str
        Or its name.
    result : str
        The name of the symbol that it defines.
    values
        By the names of symbols; they are broadcast.

    Examples
    --------
    >>> evaluated("copying-branch", "lambda", V=40, L=40, eta_W=1, eta_A=[1, 4]).round(6)
    array([0.000625, 0.00125 ])
    """
    names, function = numeric(entry(theorem)() if isinstance(theorem, str) else theorem, result)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = function(*(np.asarray(values[name], dtype=float) for name in names))
    return np.asarray(found, dtype=float)
