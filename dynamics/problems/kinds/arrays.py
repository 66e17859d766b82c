"""A program on arrays of one's own: what it needs to be run, checked against what it says of itself."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program, ProgramError, extent_symbols, name_of, subscript
from dynamics.problems.kinds.labelled_arrays import by_dimension, without_labels
from dynamics.problems.kinds.models import Model
from dynamics.problems.kinds.reading import looked_up, reading
from dynamics.problems.problem import Problem, size_of
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean, existing

__all__ = ["OnArrays", "flow_of", "normal_arrays", "on_arrays", "on_examples", "read_arrays"]


@dataclass(frozen=True, eq=False)
class OnArrays(Problem):
    """A program with arrays for its data; made by :func:`on_arrays`, which checks them.

    Attributes
    ----------
    flow : Program
    data : mapping of str to ndarray
        One for each of the data, by name.
    known : mapping of str to int
        Its sizes.
    given : mapping of str to float
        Its parameters other than learning rates.
    entries : mapping of str to ndarray
        What the entries of a dimension are called, where the arrays say so.
    often : mapping of str to ndarray
        How frequent the entries of a dimension are, where the data say so.

    Examples
    --------
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> squares = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))
    >>> on_arrays(squares, {"y": [1.0, 2.0]}).shapes
    {'w': (2,)}
    """

    flow: Program
    data: Mapping[str, NDArray[Any]]
    known: Mapping[str, int]
    given: Mapping[str, float] = field(default_factory=dict)
    entries: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    often: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        return True

    @property
    def program(self) -> Program:
        return self.flow

    @property
    def arrays(self) -> Mapping[str, Any]:
        return self.data

    @property
    def sizes(self) -> Mapping[str, int]:
        return self.known

    @property
    def parameters(self) -> Mapping[str, float]:
        return self.given

    @property
    def labels(self) -> Mapping[str, NDArray[Any]]:
        return self.entries

    @property
    def frequency(self) -> Mapping[str, NDArray[np.float64]]:
        return self.often

    @property
    def attrs(self) -> Mapping[str, Any]:
        return {**{f"size_{name}": n for name, n in self.known.items()}, **self.given}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return super().shapes

    def with_program(self, program: Program, parameters: Mapping[str, float] = MappingProxyType({})) -> Self:
        return replace(self, flow=program, given={**self.given, **parameters})


@cache
def _derived(program: Program) -> Program:
    """The gradient flow of a program, derived once."""
    from derivations.gradient_flow import gradient_flow

    return gradient_flow(program)


def flow_of(program: Program) -> Program:
    """The program if it is a flow of all states, else with the gradient flow of its loss for the others.

    Raises
    ------
    InputError
        It has no loss, or one that has no gradient flow.
    """
    if set(program.flow) >= set(program.state_names):
        return program
    try:
        return _derived(program)
    except ProgramError as error:
        raise InputError(str(error)) from None


def on_examples(program: Program, values: Mapping[str, float] | None = None) -> Model:
    """The model of a program that takes examples, with the sizes and parameters that these do not decide.

    Parameters
    ----------
    program : Program
        A flow, or a program with a loss, whose gradient flow is taken.
    values : mapping of str to float, optional
        Parameters, and the sizes that examples do not decide.

    Raises
    ------
    InputError
        The data of the program are not those of examples; sizes or parameters that are missing or unknown.

    Examples
    --------
    >>> from derivations import registry
    >>> on_examples(registry.program("uniform")).dims
    {'W': ('input', 'output'), 'b': ('output',)}
    """
    program = flow_of(program)
    read = reading(program)
    if read is None:
        return Model(program)  # which says so
    sizes, parameters = _values(program, dict.fromkeys(read.sizes, 0), values or {})
    own = {name: n for name, n in sizes.items() if name not in read.sizes}
    return Model(program, own, {}, parameters, is_own=True)


def on_arrays(
    program: Program, arrays: Mapping[str, ArrayLike] | None = None, values: Mapping[str, float] | None = None
) -> OnArrays:
    """A program with arrays for its data.

    Parameters
    ----------
    program : Program
        A flow, such as from :func:`dynamics.load_program`, or a program with a loss, whose gradient flow is taken.
    arrays : mapping of str to array_like
        One for each of its data, by name. Tables of whole numbers; rows of different lengths one after the other. A
        DataArray is taken by the names of its dimensions, and its labels come back on the result.
    values : mapping of str to float
        Parameters, and the sizes that no array has.

    Raises
    ------
    InputError
        Arrays, sizes or parameters that are missing, unknown, of another shape, not finite or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from dynamics import solve
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> squares = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))
    >>> found = solve(squares, {"y": [1.0, 2.0]}, t=[0, 1, 20])
    >>> found.w.values.round(3)  # y (1 - exp(-t))
    array([[0.   , 0.   ],
           [0.632, 1.264],
           [1.   , 2.   ]])
    """
    program = flow_of(program)
    plain, named = without_labels(program, arrays or {})
    found, sizes, parameters = checked(program, plain, values or {})
    return OnArrays(program, found, sizes, parameters, by_dimension(program, named))


def checked(
    program: Program, arrays: Mapping[str, ArrayLike], values: Mapping[str, float]
) -> tuple[dict[str, NDArray[Any]], dict[str, int], dict[str, float]]:
    """The arrays, the sizes and the parameters of a flow, if they go together.

    Raises
    ------
    InputError
        As for :func:`on_arrays`.
    """
    found = _arrays(program, arrays)
    sizes, parameters = _values(program, _sizes_of(program, found), values)
    for access, _, sub, extent in lookups(program):
        if not (sub.is_Integer or sub.is_Indexed):
            continue  # a place in a row, known when rows are bound; or a computed place, which a condition keeps within
        low, high = (int(sub), int(sub)) if sub.is_Integer else _range(name_of(sub), found, program)
        entries = int(found[name_of(extent)].min()) if extent.is_Indexed else size_of(extent, sizes)
        if low < 0 or high >= entries:
            raise InputError(
                f"{sub} is {low if low < 0 else high} in {access}, where {name_of(access)} has {entries} entries; give"
                f" numbers from 0 to {entries - 1}"
            )
    from dynamics.problems.kinds.masks import require_rows

    require_rows(program, found, sizes)
    return found, sizes, parameters


@cache
def lookups(program: Program) -> tuple[tuple[Any, int, Any, Any], ...]:
    """What :func:`dynamics.problems.kinds.reading.looked_up` finds, once for each program."""
    return tuple(looked_up(program))


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file by name.

    Raises
    ------
    InputError
        No such file, or not one of arrays.
    """
    found_at = existing(path)
    try:
        with np.load(found_at, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile):
        raise InputError(f"{os.fspath(path)!r} is not a file of arrays; save them with numpy.savez") from None


def normal_arrays(program: Program, values: Mapping[str, float], seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Standard normal arrays for all data of a program; their sizes are among the values.

    Raises
    ------
    InputError
        Data that are tables of whole numbers or have rows of different lengths, or a size that is missing.
    """
    sizes, _ = _values(program, {}, values)
    random = np.random.default_rng(seed)
    found = {}
    for access in program.data:
        extents = [program.extents[index] for index in subscript(access)]
        if access.is_integer or any(extent.is_Indexed for extent in extents):
            raise InputError(f"{program.name}: {access} cannot be drawn at random; give it as an array")
        found[name_of(access)] = random.standard_normal([size_of(extent, sizes) for extent in extents])
    return found


def _arrays(program: Program, arrays: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
    """An array for each of the data, of finite numbers."""
    names = [name_of(access) for access in program.data]
    for name in arrays:
        if name not in names:
            told = f"the data of {program.name} are {', '.join(names)}" if names else f"{program.name} has no data"
            raise InputError(f"there is no {name!r} to give{did_you_mean(name, names)}; {told}")
    found = {}
    for access in program.data:
        name = name_of(access)
        if name not in arrays:
            raise InputError(f"{program.name}: the data lack {name}; give {access} as an array")
        try:
            array = np.asarray(arrays[name])
            numbers = np.real(array).astype(float)
        except (TypeError, ValueError):
            raise InputError(f"{name} must be an array of numbers") from None
        if array.dtype.kind == "c":
            raise InputError(f"{name} has complex numbers; give real ones")
        if not np.isfinite(numbers).all():
            raise InputError(f"{name} has a number that is not finite")
        if access.is_integer:
            if (numbers != np.round(numbers)).any():
                raise InputError(f"{name} must hold whole numbers")
            numbers = array.astype(np.int64)
        found[name] = numbers
    return found


def _sizes_of(program: Program, arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """The sizes that the shapes of the arrays decide."""
    from sympy import Integer

    sizes: dict[str, int] = {}
    owner: dict[str, str] = {}
    products: list[tuple[str, Any, int]] = []  # known when the sizes are that they are made of
    for access in program.data:
        name, subs = name_of(access), subscript(access)
        array = arrays[name]
        # Rows of different lengths, and the index that they belong to, are one axis.
        axes: list[Any] = []
        for k, index in enumerate(subs):
            extent = program.extents[index]
            ragged = k > 0 and extent.is_Indexed and subs[k - 1] in extent.free_symbols
            axes[len(axes) - ragged :] = [extent]
        if array.ndim != len(axes):
            raise InputError(f"{name} has {array.ndim} dimensions where {access} has {len(axes)}")
        for extent, n in zip(axes, array.shape, strict=True):
            if extent.is_Indexed:
                continue
            if n == 0:
                raise InputError(f"{name} is empty; give at least one entry along {extent}")
            if not extent.is_Symbol:
                products.append((name, extent, n))
                continue
            known, first = sizes.setdefault(str(extent), n), owner.setdefault(str(extent), name)
            if known != n:
                raise InputError(f"{name} has {n} entries along {extent}, and {first} has {known}; they must agree")
    for name, extent, n in products:
        left = extent.xreplace({size: Integer(sizes[size.name]) for size in extent.free_symbols if size.name in sizes})
        if left.is_Integer:
            if left != n:
                raise InputError(f"{name} has {n} entries along an index of {extent}, which is {left}; they must agree")
            continue
        number, power = left.as_coeff_Mul()
        if power.is_Symbol:
            if n % number:
                raise InputError(f"{name} has {n} entries along an index of {extent}, which is no multiple of {number}")
            sizes[power.name] = n // int(number)
    return sizes


def sizes_of_states(program: Program, states: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """The sizes that no array of the data has, and initial states have.

    Examples
    --------
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V, D), (i, d), (w, y) = sizes("V D"), indices("i d"), tensors("w y")
    >>> program = model(
    ...     "Rows", extents={i: V, d: D}, data=y[i], states=w[i, d], loss=SumOver((w[i, d] - y[i]) ** 2, i, d)
    ... )
    >>> sizes_of_states(program, {"w": np.zeros((3, 2))})
    {'D': 2}
    """
    decided = {str(program.extents[index]) for access in program.data for index in subscript(access)}
    found: dict[str, int] = {}
    for access in program.states:
        array = states.get(name_of(access))
        extents = [program.extents[index] for index in subscript(access)]
        if array is not None and np.ndim(array) == len(extents):
            for extent, n in zip(extents, np.shape(array), strict=True):
                if extent.is_Symbol and str(extent) not in decided and n > 0:
                    found.setdefault(str(extent), n)
    return found


def _values(
    program: Program, sizes: Mapping[str, int], values: Mapping[str, float]
) -> tuple[dict[str, int], dict[str, float]]:
    """All sizes and all parameters, from those that are known and those that are given."""
    wanted = [str(size) for size in extent_symbols(program)]
    rates = set(program.rates.values())
    parameters = [name_of(p) for p in program.parameters if name_of(p) not in rates]
    known = [*wanted, *parameters]
    found = dict(sizes)
    for name, value in values.items():
        if name not in known:
            told = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{program.name} has no size or parameter {name!r}{did_you_mean(name, known)}; {told}")
        if not np.isfinite(value):
            raise InputError(f"{name} = {value} must be finite")
        if name in wanted:
            if value != round(value) or value < 1:
                raise InputError(f"{name} = {value:g} must be a whole number from 1")
            if found.setdefault(name, int(value)) != value:
                known_by = f"the data have {found[name]}" if found[name] else "the examples decide it"
                raise InputError(f"{name} = {value:g}, but {known_by}; leave it out")
    missing = [name for name in wanted if name not in found] + [name for name in parameters if name not in values]
    if missing:
        raise InputError(
            f"{program.name}: no value for {', '.join(missing)}; give each one, {missing[0]}=3 for example"
        )
    return found, {name: float(values[name]) for name in parameters}


def _range(name: str, arrays: Mapping[str, NDArray[Any]], program: Program) -> tuple[int, int]:
    if name not in arrays:
        raise InputError(f"{program.name}: {name} is a subscript; tables of whole numbers must be data")
    return int(arrays[name].min(initial=0)), int(arrays[name].max(initial=0))
