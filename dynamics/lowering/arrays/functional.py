"""Array code that changes nothing in place: what JAX traces, differentiates and compiles for other devices.

The same definitions as in :mod:`dynamics.lowering.arrays.emit`. Tables of whole numbers and lengths of rows stay those
of NumPy: they are known when the code is traced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sympy import Expr

from derivations.program.program import Program
from dynamics.lowering.arrays.emit import Printer, Writer
from dynamics.lowering.arrays.ragged import Ragged
from dynamics.support.errors import InputError

__all__ = ["functional_kernel", "functional_source"]

IN_PLACE = (
    (re.compile(r"(\w+)\[\1 == -np\.inf\] = 0"), r"\1 = np.where(\1 == -np.inf, 0, \1)"),
    (re.compile(r"np\.exp\((\w+), out=\1\)"), r"\1 = np.exp(\1)"),
    (re.compile(r"(\w+) = float\((.*)\)"), r"\1 = \2"),
    (re.compile(r"(\w+) = int\((\w+)\)"), r"\1 = \2"),
    (re.compile(r"(\w+) = np\.asarray\((\w+), np\.intp\)"), r"\1 = numpy.asarray(\2, numpy.intp)"),
)
"""What array code does in place or with numbers of Python, and what it is without."""


class Functional(Writer):
    """Writes a program whose arrays are never changed."""

    def number(self, expr: Expr) -> str:
        return f"({Printer({})._print(expr)})"

    def added(self, name: str, order: Sequence[int], at: str, values: str) -> None:
        back = [list(order).index(k) for k in range(len(order))]
        plain = list(order) == sorted(order)
        target = name if plain else f"{name}.transpose({', '.join(map(str, order))})"
        whole = f"{target}.at[{at}].add({values})" if at else f"({target} + {values})"
        self.lines.append(f"{name} = {whole}" + ("" if plain else f".transpose({', '.join(map(str, back))})"))

    def module(self) -> str:
        before = super().module()
        head, _, body = before.partition("def arrays")
        lines = []
        for line in body.splitlines():
            text = line.strip()
            indent = line[: len(line) - len(line.lstrip())]
            for pattern, instead in IN_PLACE:
                if found := pattern.fullmatch(text):
                    text = found.expand(instead)
            lines.append(indent + text)
        body = "\n".join(lines).replace("np.fmax.reduce(", "np.max(").replace("np.ascontiguousarray(", "np.asarray(")
        body = body.replace(", order='C')", ")").replace("scipy.special.", "jax.scipy.special.")
        for places in ("np.arange(", "np.clip("):  # of subscripts, which are known when the code is traced
            body = body.replace(places, f"numpy.{places[3:]}")
        body = re.sub(r"\bnp\.", "jnp.", re.sub(r"\bmath\.", "jnp.", body))
        head = "import jax\nimport jax.numpy as jnp\nimport numpy\n\n"
        head += "from dynamics.lowering.arrays.functional import rows\n\n"
        return head + "def arrays" + body.replace("Ragged(", "rows(") + "\n"


def functional_source(program: Program, outputs: Sequence[str]) -> str:
    """The text of a module with one function ``arrays(dtype, **tensors)`` that JAX can trace."""
    return Functional(program, tuple(outputs)).module()


def functional_kernel(program: Program, outputs: tuple[str, ...]) -> tuple[str, Callable[..., Mapping[str, Any]]]:
    """A program as a function of JAX, with its text.

    Raises
    ------
    InputError
        JAX is not installed.
    """
    try:
        import jax  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        raise InputError("backend 'jax' needs JAX; pip install 'attention-dynamics[jax]'") from None
    source = functional_source(program, outputs)
    space: dict[str, Any] = {}
    exec(compile(source, f"<functions of {program.name}>", "exec"), space)
    return source, space["arrays"]


class rows(Ragged):
    """Rows of different lengths, for arrays that are not changed."""

    def pack(self, padded: Any) -> Any:
        return padded.reshape(-1, *padded.shape[2:])[self.at]

    def unpack(self, flat: Any) -> Any:
        import jax.numpy as jnp  # type: ignore[import-not-found,unused-ignore]

        padded = jnp.zeros((len(self.length) * self.most, *flat.shape[1:]), flat.dtype).at[self.at].set(flat)
        return padded.reshape(len(self.length), self.most, *flat.shape[1:])

    def fold(self, flat: Any) -> Any:
        import jax.numpy as jnp  # type: ignore[import-not-found,unused-ignore]

        return jnp.zeros((len(self.length), *flat.shape[1:]), flat.dtype).at[self.owner].add(flat)

    def locate(self, owner: Any, place: Any) -> Any:
        return np.minimum(self.start[owner] + place, self.total - 1)
