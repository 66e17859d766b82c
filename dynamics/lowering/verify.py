"""What is solved is what is printed: a compiled program is held against the plain reading of its definitions.

At random points of its domain, small enough for plain Python: every output against the nested loops over the
definitions as they stand (:mod:`derivations.checks.plain_python`), and a derived flow against finite differences of the
loss. The verdict is kept on disk beside the compiled code, so that a program is checked before its first solve only.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from sympy import Indexed, Symbol

from derivations.checks.differences import STENCIL, is_gradient
from derivations.checks.plain_python import plain_python
from derivations.checks.small_data import SPREADS, as_function, random_values, small_sizes
from derivations.program.access import entries, index_symbols, name_of
from derivations.program.program import Definition, Program, extent_symbols
from dynamics.lowering.kernel import Kernel, lower
from dynamics.lowering.machine.compile import cache_directory, called_code
from dynamics.support import cache_files
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.typing import Vector

__all__ = ["evaluated", "require_faithful", "verified"]

POINTS = 3
"""Points of the domain at which a program is checked."""
DRAWS = 60
"""Points that are drawn until so many of them lie in the domain."""
MOST_WORK = 200_000
"""Terms of all definitions that plain Python adds up in good time."""
ROUNDING, LEAST = 1e-8, 1e-11
"""What compiled and plain numbers may differ by: relative to the largest of the tensor, and of all tensors."""
STEPS = (2e-3, 1e-3)
"""Steps of the differences; where the two disagree the loss has a corner, and another point is taken."""
SLOPE = 1e-5
"""What a slope and the differences may differ by, relative to the terms of the slope."""

UNTRIED = f"none of {DRAWS} random points lies in the domain of its definitions: its code is not held against them"
"""What is said of a program that could not be tried."""

Values = Mapping[str, Any]


def require_faithful(program: Program, *kernels: Kernel) -> None:
    """Refuse a program whose compiled code does not compute what its definitions say.

    Parameters
    ----------
    program : Program
        With a flow.
    kernels : Kernel, optional
        What is going to be run. Where they are too large for plain Python, or if none are given, the same program is
        compiled for small sizes.

    Raises
    ------
    InputError
        The message names the definition.

    Examples
    --------
    >>> from derivations.closures import linear
    >>> require_faithful(linear())
    """
    wrong = verified(program, *kernels)
    if wrong == UNTRIED:
        warnings.warn(f"{program.name}: {wrong}", DataWarning, stacklevel=2)
    elif wrong:
        raise InputError(f"{program.name}: {wrong}; it is not solved, please report it with the program")


def verified(program: Program, *kernels: Kernel) -> str:
    """What is wrong with the compiled code of a program, in words; empty if nothing was found, or ``UNTRIED``.

    The verdict is that of an earlier run if nothing has changed since: the program, its code, or this package.
    """
    return _verdict(program, _checked(program, kernels))


@cache
def _checked(program: Program, kernels: tuple[Kernel, ...]) -> tuple[Kernel, ...]:
    """The kernels that are looked at: those that are going to be run, if plain Python can keep up with them."""
    return kernels if kernels and _work(program, _sizes(program, kernels)) <= MOST_WORK else _own(program)


@cache
def _verdict(program: Program, kernels: tuple[Kernel, ...]) -> str:
    """The verdict on some kernels, from the disk or found now."""
    text = plain_python(program)
    sources = [source for kernel in kernels for source in kernel.sources]
    told = [text, repr(program.flow), program.rule, *sources, called_code(), _own_code()]
    path = cache_directory() / f"verdict_{hashlib.sha256(chr(0).join(told).encode()).hexdigest()[:32]}"
    known = cache_files.read(path)
    if known is not None:
        return known.decode()
    found = Trial(program, kernels, as_function(program)).verdict()
    cache_files.write(path, found.encode())
    return found


@cache
def _own_code() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _own(program: Program) -> tuple[Kernel, ...]:
    """The kernel of a program for any sizes: its flow, and its loss."""
    loss = () if program.loss is None else (name_of(program.loss),)
    return (lower(program, tuple(dict.fromkeys((*program.flow.values(), *loss)))),)


def _sizes(program: Program, kernels: tuple[Kernel, ...]) -> dict[str, int]:
    """A size for every size symbol: what kernels have as a constant, small otherwise."""
    found = small_sizes(program)
    for kernel in kernels:
        found |= dict(kernel.code.constants)
    return found


def _work(program: Program, sizes: Mapping[str, int]) -> int:
    """Terms of all definitions, with rows of different lengths as long as the smallest sizes."""
    table = program.extents
    spaces = [index_symbols(d.lhs, table) | index_symbols(d.rhs, table) | set(d.over) for d in program.definitions]
    return sum(math.prod(entries(table[index], sizes) or 3 for index in space) for space in spaces)


@dataclass(frozen=True)
class Trial:
    """Kernels of a program, and its plain reading."""

    program: Program
    kernels: tuple[Kernel, ...]
    plain: Callable[..., dict[str, Any]]

    def verdict(self) -> str:
        """The first thing that is wrong, or nothing."""
        derived = is_gradient(self.program) and not self.program.metric
        tried = False
        for values, expected in islice(self.points(), POINTS):
            tried = True
            wrong = self.against_plain(values, expected)
            if wrong:
                return wrong
            for state in self.program.state_names if derived else ():
                if self.slope(values, state) is False:
                    rate = self.definition(self.program.flow[state])
                    return f"the flow {rate} is not what finite differences of the loss say"
        return "" if tried else UNTRIED

    def points(self) -> Iterator[tuple[Values, dict[str, Any]]]:
        """Points at which the plain reading of loss and flow is finite, with all that it defines."""
        wanted = [*self.program.flow.values(), *([] if self.program.loss is None else [name_of(self.program.loss)])]
        sizes = _sizes(self.program, self.kernels)
        for draw in range(DRAWS):
            values = random_values(self.program, draw, sizes, *SPREADS[draw % len(SPREADS)])
            found = self.read(values)
            if found is not None and all(np.isfinite(found[name]).all() for name in wanted if name in found):
                yield values, found

    def read(self, values: Values) -> dict[str, Any] | None:
        """All that the program defines, by its plain reading; None outside of its domain."""
        try:
            with np.errstate(all="ignore"):
                return self.plain(**values)
        except (ArithmeticError, ValueError):
            return None

    def against_plain(self, values: Values, expected: dict[str, Any]) -> str:
        """The first output of the kernels that differs from the plain reading, told by its definition."""
        for kernel in self.kernels:
            for name, found in evaluated(kernel, values).items():
                if name in expected and not self.agree(found, name, expected):
                    first = self.first_wrong(values, expected) or name
                    return f"compiled code does not compute {self.definition(first)} as it is written"
        return ""

    def first_wrong(self, values: Values, expected: dict[str, Any]) -> str | None:
        """The first definition whose compiled value differs."""
        for name in dict.fromkeys(d.name for d in self.program.definitions):
            found = evaluated(lower(self.program, (name,)), values)[name]
            if np.size(found) == np.size(expected[name]) and not self.agree(found, name, expected):
                return name
        return None

    def agree(self, found: Vector, name: str, expected: dict[str, Any]) -> bool:
        """Whether a compiled tensor is the plain one, but for rounding."""
        wanted = np.ravel(expected[name])
        finite = [float(np.max(np.abs(v), initial=0, where=np.isfinite(v))) for v in map(np.asarray, expected.values())]
        allowed = ROUNDING * float(np.max(np.abs(wanted), initial=0)) + LEAST * max(1.0, *finite)
        return bool(np.all(np.abs(np.ravel(found) - wanted) <= allowed))

    def slope(self, values: Values, state: str) -> bool | None:
        """Whether the flow of a state is minus its rate times the slope of the loss, in a random direction.

        None where the loss has a corner, or ends.
        """
        loss, rate = name_of(self.program.loss), values[self.program.rates[state]]
        here = np.asarray(values[state], dtype=float)
        direction = np.random.default_rng(len(state)).standard_normal(here.shape)
        slopes = []
        for step in STEPS:
            total = 0.0
            for k, weight in STENCIL.items():
                for sign in (1, -1):
                    found = self.read({**values, state: here + sign * k * step * direction})
                    if found is None or not np.isfinite(found[loss]):
                        return None
                    total += sign * weight * float(found[loss]) / step
            slopes.append(total)
        plain = self.read(values)
        assert plain is not None
        terms = -np.asarray(self.rate(plain, values, state)) / rate * direction
        size = float(np.abs(terms).sum()) + abs(slopes[1])
        rounding = LEAST * max(1.0, abs(float(plain[loss]))) / STEPS[1]
        if abs(slopes[0] - slopes[1]) > 0.1 * SLOPE * size + rounding:
            return None
        return bool(abs(slopes[1] - terms.sum()) <= SLOPE * size + 10 * rounding)

    def rate(self, plain: dict[str, Any], values: Values, state: str) -> Any:
        """The flow of a state, which may be declared."""
        name = self.program.flow[state]
        return plain[name] if name in plain else values[name]

    def definition(self, name: str) -> str:
        """A definition as text."""
        found: Definition | None = next((d for d in self.program.definitions if d.name == name), None)
        return name if found is None else str(found)


def evaluated(kernel: Kernel, values: Values) -> dict[str, Vector]:
    """The outputs of a kernel at a point."""
    program = kernel.program
    data = {name_of(access): values[name_of(access)] for access in program.data}
    numbers = {p.name: values[p.name] for p in program.parameters}
    sizes = {size: values.get(size) for size in kernel.code.sizes}
    sizes |= {size.name: _given(program, values, size) for size in extent_symbols(program)}
    bound = kernel.bind(data, {**{name: n for name, n in sizes.items() if n is not None}, **numbers})
    states = [np.ravel(values[name]) for name in program.state_names]
    return bound.evaluate(np.concatenate(states).astype(float))


def _given(program: Program, values: Values, size: Symbol) -> int | None:
    """A size at a point, from the shape of what has it."""
    ragged = {index for index, extent in program.extents.items() if isinstance(extent, Indexed)}
    whole = (access for access in program.data if not ragged & set(getattr(access, "indices", ())))
    for access in (*program.states, *whole):
        for axis, index in enumerate(getattr(access, "indices", ())):
            if program.extents[index] == size:
                return int(np.shape(values[name_of(access)])[axis])
    return values.get(size.name)
