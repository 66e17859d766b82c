"""Small random data of a program, and its equations on them in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from sympy import Expr, Indexed, Integer, Symbol

from derivations.checks.plain_python import Loops, function_name, plain_python, safe, start
from derivations.program.access import entries, name_of, subscript
from derivations.program.program import Program, ProgramError, extent_symbols

__all__ = ["SPREADS", "Values", "as_function", "moving_point", "plain_flow", "random_values", "small_sizes"]

Values = dict[str, Any]
"""Sizes, arrays and numbers by name."""


SPREADS = ((1.0, False), (0.3, False), (1.0, True), (3.0, False), (0.3, True), (3.0, True), (0.1, False))
"""Standard deviations of states that are drawn in turn, and whether all are positive: roots have a domain."""


def lookups(program: Program) -> list[tuple[Expr, Expr]]:
    """(subscript, extent) for every subscript of every access: what is looked up, and among how many."""
    declared = program.declarations
    accessed = dict.fromkeys(a for d in program.definitions for a in (d.lhs, *d.reads) if isinstance(a, Indexed))
    return [
        (sub, program.extents[own])
        for access in accessed
        for sub, own in zip(subscript(access), subscript(declared[name_of(access)]), strict=True)
    ]


def small_sizes(program: Program) -> dict[str, int]:
    """A size for every size symbol; entries that are looked up by their number exist."""
    found = {size.name: 3 + k % 2 for k, size in enumerate(extent_symbols(program))}
    for sub, extent in lookups(program):
        if isinstance(sub, Integer) and isinstance(extent, Symbol):
            found[extent.name] = max(found[extent.name], int(sub) + 1)
        elif isinstance(sub, Integer) and not isinstance(extent, Indexed):
            while sub >= (entries(extent, found) or sub + 1):  # a product of sizes
                found |= {size.name: found[size.name] + 1 for size in extent.free_symbols}
    return found


def random_values(
    program: Program, seed: int = 0, sizes: Mapping[str, int] | None = None, spread: float = 1.0, positive: bool = False
) -> Values:
    """States, data, parameters and sizes that no array has, small and random, by name.

    Tables hold what they are used for: an ``x[n, l]`` that is a subscript of W is below the first size of W, and a row
    that walks positions is no longer than there are.

    Parameters
    ----------
    program : Program
    seed : int
    sizes : mapping of str to int, optional
        Those of :func:`small_sizes` if not given.
    spread : float
        Standard deviation of the states.
    positive : bool
        Whether all states are.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    loops = Loops(program)
    named = small_sizes(program) if sizes is None else sizes
    known_sizes = {size: named[size.name] for size in extent_symbols(program)}
    values: Values = {size.name: n for size, n in known_sizes.items()}
    below: dict[str, int] = {}  # what the entries of a table are below
    least: dict[str, int] = {}  # what the lengths of rows are at least
    within: dict[str, str] = {}  # a table of places in rows: the lengths of these
    for sub, extent in lookups(program):
        size = entries(extent, named)
        if isinstance(sub, Indexed) and size:
            below[name_of(sub)] = min(size, below.get(name_of(sub), size))
        elif isinstance(sub, Indexed) and isinstance(extent, Indexed):
            within[name_of(sub)] = name_of(extent)
        elif isinstance(sub, Integer) and isinstance(extent, Indexed):
            least[name_of(extent)] = max(int(sub) + 1, least.get(name_of(extent), 1))
        length = program.extents.get(sub)
        if isinstance(length, Indexed) and size:
            below[name_of(length)] = min(size + 1, below.get(name_of(length), size + 1))
    lengths = {name_of(extent) for extent in program.extents.values() if isinstance(extent, Indexed)}
    given = (*program.data, *program.states)
    for access in sorted(given, key=lambda a: name_of(a) not in lengths):
        name = name_of(access)
        scope = {safe(known): value for known, value in values.items()}
        scope |= {start(i): starts(values, e) for i, e in loops.ragged.items()}
        shape = tuple(int(eval(axis, scope)) for axis in loops.shape(access))
        if access.is_integer:
            shortest = [int(values[within[name]].min())] if name in within else []
            low, high = least.get(name, int(name in lengths)), min([below.get(name, 4), *shortest])
            values[name] = rng.integers(low, max(high, low + 1), shape)
        elif access in program.states:
            drawn: Any = rng.normal(size=shape) if shape else float(rng.uniform(0.5, 1.5))
            values[name] = spread * (abs(drawn) if positive else drawn)
        else:
            values[name] = rng.uniform(0.2, 1, shape)
    free = {s: rng.uniform(0.5, 1.5) for value in program.domain.values() for s in sorted(value.free_symbols, key=str)}
    for p in program.parameters:
        known = program.domain.get(p)
        values[p.name] = float(rng.uniform(0.5, 1.5) if known is None else known.subs(free))
    needed = set(loops.sizes()[1]) | {safe(name_of(a)) for a in (*given, *program.parameters)}
    return {name: value for name, value in values.items() if safe(name) in needed}


def starts(values: Values, extent: Expr) -> Any:
    """Where the rows of a ragged axis begin, once their lengths are drawn."""
    import numpy as np

    return np.concatenate([[0], np.cumsum(values.get(name_of(extent), []))]).astype(int)


def as_function(program: Program) -> Callable[..., Values]:
    """The equations of a program in plain Python, as a function; it leaves out arguments that it does not need."""
    space: dict[str, Any] = {}
    exec(plain_python(program), space)
    function = space[function_name(program.name)]
    needed = signature(function).parameters
    return lambda **values: function(**{safe(name): value for name, value in values.items() if safe(name) in needed})


def plain_flow(program: Program, values: Values) -> Values:
    """All that a program defines, by its equations in plain Python."""
    return as_function(program)(**values)


def moving_point(program: Program) -> Values:
    """Random values at which every state moves, if some are found: a sentence of one word has no slope in its score."""
    import numpy as np

    run, values = as_function(program), random_values(program)
    for seed in range(1, 60):
        try:
            flow = {**values, **run(**values)}
        except (ArithmeticError, ValueError):
            flow = {}  # outside of its domain
        moves = [float(np.max(np.abs(flow.get(rate, np.nan)), initial=0)) for rate in program.flow.values()]
        if np.isfinite(moves).all() and min(moves) > 1e-3:
            break
        spread, positive = (1.0, False) if flow else SPREADS[seed % len(SPREADS)]
        values = random_values(program, seed, spread=spread, positive=positive)
    else:
        if not flow:
            raise ProgramError(f"{program.name}: no point of the domain of its definitions was found at random")
    return values
