"""Names of generated code: one for everything in it, whatever the program calls its tensors, indices and sizes."""

from __future__ import annotations

from collections.abc import Hashable

from derivations.program.identifiers import PYTHON, spelled
from derivations.program.program import Program, extent_symbols

__all__ = ["OWN", "ROWS", "Names"]

ROWS = ("add_lane", "add_row", "exp_row", "full", "lane", "row", "set_row", "total", "vector", "with_lane")
"""What generated code calls for short rows."""

OWN = frozenset(
    [
        *PYTHON, "y", "out", "ws", "np", "math", "njit", "kept", "prange", "exp", "gather_product", "scatter_product",
        "gather_dot_product", "dense_product", "edge", "column_edge", "kernel", "functions", "candidate", "chunk",
        "add_parts", *ROWS,
    ]
)  # fmt: skip
"""Names that generated code has already."""


class Names:
    """Identifiers, each given once: equal keys have equal ones, and different keys different ones.

    Examples
    --------
    >>> names = Names()
    >>> names(("tensor", "lambda"), "lambda"), names(("tensor", "lambda_"), "lambda_"), names(("tensor", "W"), "W")
    ('lambda_', 'lambda__', 'W')
    """

    def __init__(self, program: Program | None = None) -> None:
        self.taken = set(OWN)
        self.given: dict[Hashable, str] = {}
        if program is not None:
            for name in program.declarations:
                self(("tensor", name), name)
            for symbol in (*program.extents, *extent_symbols(program)):
                self(("index or size", symbol.name), symbol.name)

    def __call__(self, key: Hashable, wanted: str) -> str:
        """The identifier of a key: what is wanted, or something like it."""
        if key not in self.given:
            name = spelled(wanted)
            while name in self.taken:
                name += "_"
            self.taken.add(name)
            self.given[key] = name
        return self.given[key]
