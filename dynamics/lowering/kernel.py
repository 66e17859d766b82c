"""A lowered program: printable source, and arrays bound to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from derivations.program.access import number_of
from derivations.program.program import Program, extent_symbols
from dynamics.lowering.source import Array, Source
from dynamics.support.errors import InputError
from dynamics.support.memory import in_lines, on_lines
from dynamics.support.recipes import fact, fact_of_any
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    from dynamics.lowering.machine.native import Native


@fact_of_any
def source_of(
    program: Program, outputs: tuple[str, ...], parallel: bool, constants: tuple[tuple[str, int], ...]
) -> Source:
    """The code that computes some tensors of a program."""
    return lowered(program, outputs, parallel, constants)


def lowered(
    program: Program, outputs: tuple[str, ...], parallel: bool, constants: tuple[tuple[str, int], ...]
) -> Source:
    """Lower a program: definitions -> statements -> products, loops (short ones dissolved) -> storage -> source."""
    from dynamics.lowering.passes.contractions import contract
    from dynamics.lowering.passes.emit import Emitter
    from dynamics.lowering.passes.looked_up import collected
    from dynamics.lowering.passes.loops import schedule
    from dynamics.lowering.passes.masked import within_masks
    from dynamics.lowering.passes.statements import statements_of
    from dynamics.lowering.passes.storage import allocate
    from dynamics.lowering.passes.unroll import short_sizes, unroll

    steps = contract(collected(statements_of(program, outputs), program), program)
    nodes = schedule(within_masks(steps, program, outputs), program)
    nodes = unroll(nodes, short_sizes(program, dict(constants)))
    storage = allocate(nodes, program, outputs)
    return Emitter(program, nodes, storage, outputs, parallel, dict(constants)).source()


@fact_of_any
def hoisted_source(
    program: Program, outputs: tuple[str, ...], parallel: bool, constants: tuple[tuple[str, int], ...]
) -> tuple[Source, tuple[str, ...]]:
    """The same without what depends on data alone, and the names of what is then data of it."""
    from dynamics.lowering.passes.hoist import apart

    rest, names = apart(program, frozenset(outputs))
    code = lowered(rest, outputs, parallel, constants)
    return code, tuple(array.name for array in code.data if array.name in names)


def lower(
    program: Program,
    outputs: Sequence[str] | None = None,
    parallel: bool = False,
    constants: Mapping[str, int] | None = None,
) -> Kernel:
    """The kernel that computes some tensors of a program from its states.

    Parameters
    ----------
    program : Program
    outputs : sequence of str, optional
        Names of the tensors to compute; the flow of all states if not given.
    parallel : bool
        Loops over independent chunks run on all threads. The results do not depend on their number.
    constants : mapping, optional
        Sizes that are known now, by name: short inner loops over them are unrolled by the compiler.

    Examples
    --------
    >>> from derivations.closures import both_stages
    >>> print("\\n".join(lower(both_stages()).source.splitlines()[-4:]))
        np.dot(Wdot, Z_, Wbar_)
        for i in range(V):
            for v in range(K):
                Wdot[i, v] = -eta_W*Wbar_[i, v]
    """
    names = tuple(outputs) if outputs is not None else tuple(program.flow[s] for s in program.state_names)
    sizes = sizes_of(program)
    fixed = tuple(sorted((name, n) for name, n in (constants or {}).items() if name in sizes))
    return _kernel(program, names, parallel, fixed)


@fact
def sizes_of(program: Program) -> frozenset[str]:
    """Names of the sizes of a program."""
    return frozenset(size.name for size in extent_symbols(program))


@cache
def _kernel(
    program: Program, outputs: tuple[str, ...], parallel: bool, constants: tuple[tuple[str, int], ...]
) -> Kernel:
    return Kernel(program, outputs, parallel, source_of(program, outputs, parallel, constants))


@cache
def _hoisted(
    program: Program, outputs: tuple[str, ...], parallel: bool, constants: tuple[tuple[str, int], ...]
) -> Kernel:
    code, names = hoisted_source(program, outputs, parallel, constants)
    if not names:
        return _kernel(program, outputs, parallel, constants)
    return Kernel(program, outputs, parallel, code, _kernel(program, names, parallel, constants))


@dataclass(frozen=True)
class Kernel:
    """Generated code for some outputs of a program; :meth:`bind` gives it data.

    Pickled and copied as the program that it was generated from: another process, or another version of this package,
    generates its own.

    Attributes
    ----------
    program : Program
    outputs : tuple of str
    parallel : bool
    code : Source
    prologue : Kernel, optional
        Computes what depends on data alone, once, when data are bound: further data of the code.
    """

    program: Program
    outputs: tuple[str, ...]
    parallel: bool
    code: Source
    prologue: Kernel | None = None

    def __hash__(self) -> int:
        return hash((self.program, self.outputs, self.parallel, self.code.text))

    def __reduce__(self) -> tuple[Any, ...]:
        given = self.program, self.outputs, self.parallel, tuple(sorted(self.code.constants.items()))
        return (_kernel if self.prologue is None else _hoisted), given

    def hoisted(self) -> Kernel:
        """The kernel with what depends on data alone in a prologue; itself if there is nothing of the kind."""
        return _hoisted(self.program, self.outputs, self.parallel, tuple(sorted(self.code.constants.items())))

    @property
    def source(self) -> str:
        return self.code.text

    @property
    def sources(self) -> tuple[str, ...]:
        """The code, with that of the prologue before it."""
        return (self.code.text,) if self.prologue is None else (*self.prologue.sources, self.code.text)

    def bind(
        self,
        data: Mapping[str, ArrayLike],
        parameters: Mapping[str, float] | None = None,
        workspace: Vector | None = None,
    ) -> Bound:
        """The kernel on data: all shapes checked, arrays contiguous, workspace allocated (or shared, if large enough).

        Raises
        ------
        InputError
            A tensor or parameter is missing, or two shapes do not agree.
        """
        parameters = parameters or {}
        before: Mapping[str, np.ndarray] = {}
        if self.prologue is not None:
            data, found = {**data}, self.prologue.bind(data, parameters)
            parameters, before = {**found.sizes, **parameters}, found.arrays
            if any(name not in data for name in self.prologue.outputs):
                data |= found.evaluate(np.zeros(found.state_size))
        sizes: dict[str, int] = dict(self.code.constants)
        arrays: dict[str, np.ndarray] = {}
        code = self.code
        for array in code.data:
            if array.name not in data:
                raise InputError(f"{self.program.name}: the data lacks {array.name}; give it as an array")
            kind = np.int64 if array.name in code.integers else np.float64
            value = data[array.name]
            if not (isinstance(value, np.ndarray) and value.dtype == kind and value.flags.carray):
                value = np.require(value, kind, ["C", "A", "W"])
            arrays[array.name] = value
            if value.ndim != len(array.shape):
                raise InputError(f"{array.name} has {value.ndim} dimensions, {len(array.shape)} expected")
            for name, n in zip(array.shape, value.shape, strict=True):
                known = sizes.setdefault(name, n) if isinstance(name, str) else name
                if known != n:
                    told = f"{name} = {known}" if isinstance(name, str) else f"{known}"
                    raise InputError(f"{array.name} has {n} entries where {told} are expected")
        starts = []
        for rows in code.ragged:
            lengths = arrays[rows.lengths]
            if lengths.min(initial=0) < 0:
                raise InputError(f"{rows.lengths} holds a negative length")
            start = np.zeros(len(lengths) + 1, dtype=np.int64)
            np.cumsum(lengths, out=start[1:])
            starts.append(start)
            if sizes.setdefault(rows.total, int(start[-1])) != start[-1]:
                raise InputError(f"{rows.lengths} adds up to {start[-1]}, but there are {sizes[rows.total]} entries")
            sizes[rows.longest] = int(lengths.max(initial=0))
        missing = [p for p in code.parameters if p not in parameters]
        missing += [s for s in code.sizes if s not in sizes and s not in parameters]
        if missing:
            raise InputError(f"{self.program.name}: no value for {', '.join(missing)}")
        sizes |= {s: int(parameters[s]) for s in code.sizes if s not in sizes}
        for text, product in code.products.items():
            n = number_of(product, sizes) or 0
            if sizes.setdefault(text, n) != n:
                raise InputError(f"there are {sizes[text]} entries where {text} = {n} are expected")
        for longest, size in code.walks:
            most = sizes[size] if isinstance(size, str) else size
            if sizes[longest] > most:
                told = f"{size} = {most}" if isinstance(size, str) else f"{most}"
                raise InputError(f"a row of {sizes[longest]} entries is longer than {told}")
        scratch = sum(in_lines(count(a.shape, sizes)) for a in code.workspace)
        if workspace is None or workspace.size < scratch:
            workspace = on_lines(scratch)
        arguments = (
            workspace,
            *(arrays[array.name] for array in code.data),
            *starts,
            *(float(parameters[p]) for p in code.parameters),
            *(sizes[s] for s in code.sizes if s not in code.constants),
        )
        return Bound(self, arguments, sizes, {**before, **arrays})


def count(shape: Sequence[str | int], sizes: Mapping[str, int]) -> int:
    """The number of entries of a shape."""
    return math.prod(n if isinstance(n, int) else sizes[n] for n in shape)


@dataclass(frozen=True, eq=False)
class Bound:
    """A kernel with its data: ``bound(y, out)`` fills the packed outputs from the packed states, allocation-free."""

    kernel: Kernel
    arguments: tuple
    sizes: Mapping[str, int]
    arrays: Mapping[str, np.ndarray]

    @cached_property
    def function(self) -> Callable[..., None]:
        from dynamics.lowering.machine.compile import compiled

        return compiled(self.kernel.source)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in vars(self).items() if name not in ("function", "_call", "native")
        }  # compiled again

    @cached_property
    def _call(self) -> Callable[..., None]:
        """The function, which takes one caller at a time if it has loops that run on several threads."""
        from dynamics.support.threads import one_at_a_time, with_blas_alone

        beside = getattr(self.function, "targetoptions", {}).get("nogil", False)
        return self.function if beside else one_at_a_time(with_blas_alone(self.function))

    def __call__(self, y: Vector, out: Vector) -> None:
        self._call(y, out, *self.arguments)

    @cached_property
    def native(self) -> Native:
        """The kernel and its data as a native function, for compiled loops around it; from then on also for Python."""
        from dynamics.lowering.machine.native import called, code_of, native

        code = code_of(self.kernel.source)
        found = native(code, self.arguments, self.state_size, self.output_size)
        if found.beside:
            vars(self)["_call"] = called(found, lambda *given: code.compiled()(*given))
        return found

    def with_parameters(self, /, **changes: float) -> Bound:
        """The same kernel on the same arrays with other parameters; the workspace is shared."""
        code = self.kernel.code
        before = len(self.arguments) - len(code.parameters) - (len(code.sizes) - len(code.constants))
        arguments = list(self.arguments)
        for name, value in changes.items():
            if name in code.parameters:
                arguments[before + code.parameters.index(name)] = float(value)
        pairs = zip(arguments, self.arguments, strict=True)
        if all(new is old or (type(new) is float and new == old) for new, old in pairs):
            return self
        return replace(self, arguments=tuple(arguments))

    @property
    def workspace(self) -> Vector:
        return self.arguments[0]

    def shape(self, array: Array) -> tuple[int, ...]:
        return tuple(n if isinstance(n, int) else self.sizes[n] for n in array.shape)

    def length(self, arrays: Sequence[Array]) -> int:
        return sum(count(a.shape, self.sizes) for a in arrays)

    @property
    def state_size(self) -> int:
        return self.length(self.kernel.code.states)

    @property
    def output_size(self) -> int:
        return self.length(self.kernel.code.outputs)

    def unpack(self, vector: Vector, arrays: Sequence[Array]) -> dict[str, np.ndarray]:
        """Named views of a packed vector."""
        views, at = {}, 0
        for array in arrays:
            n = count(array.shape, self.sizes)
            views[array.name] = vector[at : at + n].reshape(self.shape(array))
            at += n
        return views

    def states(self, y: Vector) -> dict[str, np.ndarray]:
        return self.unpack(y, self.kernel.code.states)

    def results(self, out: Vector) -> dict[str, np.ndarray]:
        return self.unpack(out, self.kernel.code.outputs)

    def evaluate(self, y: Vector) -> dict[str, np.ndarray]:
        """The outputs by name, in fresh arrays."""
        out = np.empty(self.output_size)
        self(y, out)
        return self.results(out)
