"""The language of the theory: programs, short lists of tensor definitions in sympy.

What makes expressions is imported when it is first asked for, and sympy with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from derivations.program.access import accesses, entries, gathers, index_symbols, is_plain, name_of, subscript
from derivations.program.program import Constraint, Definition, Program, ProgramError, extent_symbols, names_of, unused
from derivations.program.role import Role

if TYPE_CHECKING:
    from derivations.program.language import (
        Gradient,
        LogSumExp,
        MaxOver,
        Reduction,
        Softmax,
        SumOver,
        Where,
        conjuncts,
        indices,
        scalars,
        tensors,
    )

__all__ = [
    "Constraint",
    "Definition",
    "Gradient",
    "LogSumExp",
    "MaxOver",
    "Program",
    "ProgramError",
    "Reduction",
    "Role",
    "Softmax",
    "SumOver",
    "Where",
    "accesses",
    "conjuncts",
    "entries",
    "extent_symbols",
    "gathers",
    "index_symbols",
    "indices",
    "is_plain",
    "name_of",
    "names_of",
    "scalars",
    "subscript",
    "tensors",
    "unused",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("derivations.program.language"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
