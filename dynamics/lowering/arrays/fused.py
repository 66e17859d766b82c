"""Elementwise programs as one compiled loop: each entry is read once and written once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sympy import Expr, Indexed, Symbol

from derivations.program.access import accesses, index_symbols, is_plain, name_of
from derivations.program.identifiers import spelled
from derivations.program.program import Program
from dynamics.lowering.arrays.emit import Printer, Writer
from dynamics.lowering.machine.compile import compiled
from dynamics.support.errors import InputError

__all__ = ["fused"]


@cache
def fused(program: Program, outputs: tuple[str, ...]) -> Callable[..., dict[str, Any]]:
    """A program whose tensors all have one index, as a function of flat arrays and numbers.

    Parameters
    ----------
    program : Program
        Every definition is elementwise, or a number.
    outputs : tuple of str

    Raises
    ------
    InputError
        A definition is no such thing.

    Examples
    --------
    >>> import numpy as np
    >>> from derivations.gradient_flow.optimisers import adam
    >>> run = fused(adam(), ("first_next",))
    >>> run(np.float64, first=np.ones(2), gradient=np.zeros(2), beta_1=0.5, step=2)["first_next"].tolist()
    [0.25, 0.25]
    """
    writer = Writer(program, outputs)
    body: list[str] = []
    read: dict[str, None] = {}
    numbers: dict[str, None] = {}
    inside: set[str] = set()
    for d in writer.definitions:
        shape = index_symbols(d.lhs, writer.table)
        if d.over or d.accumulate or len(shape) > 1 or not all(is_plain(a) for a in accesses(d.rhs)):
            raise InputError(f"{program.name}: the definition of {d.lhs} is not elementwise in one index")
        texts: dict[Symbol, str] = {}
        replaced: dict[Expr, Expr] = {}
        for access in dict.fromkeys(accesses(d.rhs)):
            if isinstance(access, Indexed):
                name = spelled(name_of(access))
                replaced[access] = Symbol(f"access_{len(replaced)}", real=True)
                texts[replaced[access]] = f"{name}_" if name in inside else f"{name}[k]"
                if name not in inside:
                    read[name] = None
        rhs = writer.hoisted(d.rhs.xreplace(replaced), set(texts), texts)
        name = spelled(d.name)
        if not shape:
            writer.lines.append(f"{name} = {Printer(texts)._print(rhs)}")
            continue
        inside.add(name)
        body.append(f"{name}_ = {Printer(texts)._print(rhs)}")
        if d.name in outputs:
            body.append(f"{name}[k] = {name}_")
        held = {symbol for symbol in rhs.free_symbols if symbol not in replaced.values()}
        numbers |= dict.fromkeys(sorted(texts.get(symbol, spelled(symbol.name)) for symbol in held))
    results = [spelled(name) for name in outputs]
    arguments = [*read, *numbers, *results]
    size = next(iter(read))
    loop = compiled(
        "\n".join(
            [
                "import numpy as np",
                "from numba import njit",
                "",
                "",
                '@njit(cache=True, nogil=True, error_model="numpy")',
                f"def kernel({', '.join(arguments)}):",
                f"    for k in range({size}.shape[0]):",
                *(f"        {line}" for line in body),
                "",
            ]
        )
    )
    given = {spelled(name_of(p)) for p in program.parameters}
    text = "\n".join(writer.lines)
    needed = [p for p in given if p in text or p in numbers]
    source = "\n".join(
        [
            "import math",
            "import numpy as np",
            f"def run(dtype, {', '.join([*read, *needed])}, **_):",
            *(f"    {line}" for line in writer.lines),
            *(f"    {name} = np.empty({size}.shape, dtype)" for name in results),
            f"    loop({', '.join([*read, *(f'dtype({n})' for n in numbers), *results])})",
            f"    return {{{', '.join(f'{n!r}: {spelled(n)}' for n in outputs)}}}",
        ]
    )
    space: dict[str, Any] = {"loop": loop}
    exec(source, space)
    return space["run"]
