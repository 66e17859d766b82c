"""The language of the theory: programs, short lists of tensor definitions in sympy."""

from derivations.program.language import (
    Definition,
    LogSumExp,
    MaxOver,
    Program,
    ProgramError,
    Reduction,
    SumOver,
    accesses,
    extent_symbols,
    gathers,
    index_symbols,
    indices,
    is_plain,
    name_of,
    scalars,
    subscript,
    tensors,
)
from derivations.program.role import Role

__all__ = [
    "Definition",
    "LogSumExp",
    "MaxOver",
    "Program",
    "ProgramError",
    "Reduction",
    "Role",
    "SumOver",
    "accesses",
    "extent_symbols",
    "gathers",
    "index_symbols",
    "indices",
    "is_plain",
    "name_of",
    "scalars",
    "subscript",
    "tensors",
]
