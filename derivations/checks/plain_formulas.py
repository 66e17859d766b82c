"""The formulas of a theorem as plain Python, as they stand."""

from __future__ import annotations

from collections.abc import Mapping

from sympy import Expr, Indexed, Symbol
from sympy.printing.numpy import SciPyPrinter

from derivations.checks.plain_python import function_name, safe
from derivations.program.access import name_of, subscript
from derivations.program.words import unmarked

__all__ = ["plain_formulas"]


class Formulas(SciPyPrinter):
    """Scalar formulas by NumPy and SciPy; an entry of a tensor is a name."""

    def _print_Symbol(self, expr: Symbol) -> str:
        return safe(expr.name)

    def _print_Indexed(self, expr: Indexed) -> str:
        return "_".join([safe(name_of(expr)), *(str(sub) for sub in subscript(expr))])


def plain_formulas(name: str, title: str, source: str, results: Mapping[Symbol, Expr]) -> str:
    """The formulas of a theorem as a Python module with one function: from numbers or arrays to every result by name.

    Examples
    --------
    >>> from derivations.theorems.copying import mean_attention
    >>> space = {}
    >>> exec(plain_formulas("attention", "", "", mean_attention().results), space)
    >>> float(space["attention"](L=3, alpha=0.5, sigma_P=0.1)["a"].round(4))
    0.6931
    """
    show = Formulas({"fully_qualified_modules": True})
    given: dict[str, None] = {}
    done: set[Symbol] = set()
    lines: list[str] = []
    for symbol, value in results.items():
        entries = value.atoms(Indexed)
        inside = {s for entry in entries for s in entry.free_symbols}
        needed = sorted({*entries, *(value.free_symbols - inside - done)}, key=str)
        given |= dict.fromkeys(map(show.doprint, needed))
        lines.append(f"{safe(symbol.name)} = {show.doprint(value)}")
        done.add(symbol)
    returned = ", ".join(f'"{symbol.name}": {safe(symbol.name)}' for symbol in results)
    head = [
        f'"""{unmarked(title)}: the formulas of {name!r} as they stand.',
        "",
        *([f"{source}.", ""] if source else []),
        '"""',
    ]
    body = [*lines, f"return {{{returned}}}"]
    modules = [
        f"import {module}"
        for module in ("numpy", "scipy.constants", "scipy.special")
        if any(f"{module}." in line for line in lines)
    ]
    return "\n".join(
        [
            *head,
            *(["", *modules] if modules else []),
            *("", ""),
            f"def {function_name(name)}({', '.join(given)}):",
            *(f"    {line}" for line in body),
        ]
    ) + "\n"  # fmt: skip
