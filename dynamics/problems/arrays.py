"""What the program of a file needs to be run: arrays, sizes, parameters, and where they come from.

A program whose data are those of the exact models (words ``x[n, l]`` of inputs of ``length[n]``, answers ``y[n]``, or
``y[n, t]`` with ``targets[n]``) takes :class:`dynamics.tasks.examples.Examples`: text and tasks. Any other takes arrays.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import Expr, Indexed, Integer, Symbol

from derivations.program.language import Program, extent_symbols, name_of, subscript
from dynamics.lowering import Kernel, lower
from dynamics.problems.models import UNROLLED, Model
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean, existing
from dynamics.tasks.examples import Examples

DIMENSIONS = {"V": "input", "K": "output"}
"""Dimensions of results that have the words of the examples as labels, by size."""


@dataclass(frozen=True, eq=False)
class ProgramModel(Model):
    """The model of a program file; made by :func:`given` or :func:`on_examples`.

    Attributes
    ----------
    labelled : bool
        Whether it runs on examples, whose words label its results; else on the arrays in ``fixed``.
    """

    labelled: bool = False

    def all_sizes(self, examples: Examples) -> dict[str, int]:
        """Every size of the program; a dimension D too, as that of a state v is asked for to share work."""
        return {"D": 1, **super().all_sizes(examples)}

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """The names of the program's indices; of examples, inputs and outputs are called so."""
        found = {}
        for state in self.program.states:
            names: list[str] = []
            for index in subscript(state):
                label = DIMENSIONS.get(str(self.program.extents[index])) if self.labelled else None
                names.append(label if label is not None and label not in names else index.name)
            found[name_of(state)] = tuple(names)
        return found

    def kernel(self, examples: Examples, outputs: tuple[str, ...] | None = None, parallel: bool = False) -> Kernel:
        """The compiled flow, or other tensors; small sizes are constants of the code."""
        known = {str(extent) for extent in self.program.extents.values()} - {"V", "L", "T"}
        constants = {name: n for name, n in self.all_sizes(examples).items() if name in known and n <= UNROLLED}
        return lower(self.program, outputs, parallel=parallel, constants=constants)

    def check(self, examples: Examples) -> None:
        """Raise InputError if the model cannot take the examples."""
        if self.labelled and "targets" not in self.program.declarations and (examples.targets != 1).any():
            row = int(np.flatnonzero(examples.targets != 1)[0])
            raise InputError(
                f"{self.name}: example {row} has {examples.targets[row]} targets and y[n] is one; write y[n, t] with"
                " {t: targets[n]}"
            )
        if self.labelled:
            below = {"x": examples.inputs, "y": examples.outputs}
            sizes = self.all_sizes(examples)
            for access, sub, extent in _looked_up(self.program):
                entries = 1 if isinstance(extent, Indexed) else sizes[str(extent)]  # of words, each has one
                needed = int(sub) + 1 if isinstance(sub, Integer) else below.get(name_of(sub), np.inf)
                if needed > entries:
                    raise InputError(
                        f"{self.name}: {access} looks up {name_of(access)}, which has {entries} entries, by {sub}; of"
                        f" text and tasks, x numbers {examples.inputs} input words and y {examples.outputs} outputs"
                    )


def takes_examples(program: Program) -> bool:
    """Whether a program's data are those of the exact models.

    Examples
    --------
    >>> from derivations.closures import both_stages
    >>> from derivations.models import keyword_classifier
    >>> takes_examples(keyword_classifier()), takes_examples(both_stages())
    (True, False)
    """
    data = {name_of(access): access for access in program.data}
    several = "targets" in data
    if set(data) != {"x", "length", "y"} | ({"targets"} if several else set()):
        return False
    if not all(access.is_integer for access in data.values()):
        return False
    rows = {"x": data["length"], "y": data.get("targets")}
    for name, lengths in rows.items():
        subs = subscript(data[name])
        if subs[:1] != subscript(data["length"]) or len(subs) != (1 if lengths is None else 2):
            return False
        if lengths is not None and program.extents[subs[1]] != lengths:
            return False
    return all(len(subscript(data[name])) == 1 for name in ("length", *(["targets"] if several else [])))


def on_examples(program: Program, values: Mapping[str, float] | None = None) -> ProgramModel:
    """The model of a program that takes examples, with the sizes and parameters that these do not decide.

    Raises
    ------
    InputError
        Sizes or parameters that are missing or unknown.
    """
    (rows,) = subscript(next(access for access in program.data if name_of(access) == "length"))
    known = {"V": 0, "K": 0, "L": 0, "T": 0, str(program.extents[rows]): 0}
    sizes, parameters = _values(program, known, values or {})
    own: dict[str, Any] = {name: size for name, size in sizes.items() if name not in known} | parameters
    return ProgramModel(program, own, _recorded(program, parameters), labelled=True)


def given(
    program: Program, arrays: Mapping[str, ArrayLike] | None = None, values: Mapping[str, float] | None = None
) -> tuple[ProgramModel, Examples]:
    """The model of a program with arrays for its data, and what takes the place of examples.

    Parameters
    ----------
    program : Program
        From :func:`dynamics.program_file.load`.
    arrays : mapping of str to array_like
        One for each of its data, by name. Tables of whole numbers; rows of different lengths one after the other.
    values : mapping of str to float
        Parameters, and the sizes that no array has.

    Returns
    -------
    model : ProgramModel
    examples : Examples
        One, empty of meaning: the arrays are taken whole. :func:`dynamics.solve` and :func:`dynamics.simulate` take
        both.

    Raises
    ------
    InputError
        Arrays, sizes or parameters that are missing, unknown, of another shape, not finite or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from dynamics import solve
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> from derivations.gradient_flow.adjoints import gradient_flow
    >>> (V,), (i,), (w, y) = sizes("V"), indices("i"), tensors("w y")
    >>> squares = model("Squares", extents={i: V}, data=y[i], states=w[i], loss=SumOver((w[i] - y[i]) ** 2 / 2, i))
    >>> found = solve(*given(gradient_flow(squares), {"y": [1.0, 2.0]}), t=[0, 1, 20])
    >>> found.w.values.round(3)  # y (1 - exp(-t))
    array([[0.   , 0.   ],
           [0.632, 1.264],
           [1.   , 2.   ]])
    """
    found = _arrays(program, arrays or {})
    sizes, parameters = _values(program, _sizes_of(program, found), values or {})
    for access, sub, extent in _looked_up(program):
        low, high = (int(sub), int(sub)) if isinstance(sub, Integer) else _range(name_of(sub), found, program)
        entries = int(found[name_of(extent)].min()) if isinstance(extent, Indexed) else sizes[str(extent)]
        if low < 0 or high >= entries:
            raise InputError(
                f"{sub} is {low if low < 0 else high} in {access}, where {name_of(access)} has {entries} entries; give"
                f" numbers from 0 to {entries - 1}"
            )
    own: dict[str, Any] = {**sizes, **parameters}
    fixed = {**found, **_recorded(program, parameters)}
    return ProgramModel(program, own, fixed), Examples.from_rows([[0]], [0], 1, 1)


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
        raise InputError(f"--data {os.fspath(path)!r} is not a file of arrays; save them with numpy.savez") from None


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
        if access.is_integer or any(isinstance(extent, Indexed) for extent in extents):
            raise InputError(f"{program.name}: {access} cannot be drawn at random; give it, --data FILE.npz")
        found[name_of(access)] = random.standard_normal([sizes[str(extent)] for extent in extents])
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
            numbers = array.astype(float)
        except (TypeError, ValueError):
            raise InputError(f"{name} must be an array of numbers") from None
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
    sizes: dict[str, int] = {}
    owner: dict[str, str] = {}
    for access in program.data:
        name, subs = name_of(access), subscript(access)
        array = arrays[name]
        # Rows of different lengths, and the index that they belong to, are one axis.
        axes = [program.extents[index] for index in subs]
        for k, (extent, before) in enumerate(zip(axes[1:], subs, strict=False), 1):
            if isinstance(extent, Indexed) and before in extent.free_symbols:
                axes[k - 1] = extent
        axes = [extent for k, extent in enumerate(axes) if k == 0 or extent is not axes[k - 1]]
        if array.ndim != len(axes):
            raise InputError(f"{name} has {array.ndim} dimensions where {access} has {len(axes)}")
        for extent, n in zip(axes, array.shape, strict=True):
            if isinstance(extent, Indexed):
                continue
            if n == 0:
                raise InputError(f"{name} is empty; give at least one entry along {extent}")
            known, first = sizes.setdefault(str(extent), n), owner.setdefault(str(extent), name)
            if known != n:
                raise InputError(f"{name} has {n} entries along {extent}, and {first} has {known}; they must agree")
    return sizes


def _values(
    program: Program, sizes: Mapping[str, int], values: Mapping[str, float]
) -> tuple[dict[str, int], dict[str, float]]:
    """All sizes and all parameters, from those that are known and those that are given."""
    wanted = [str(size) for size in extent_symbols(program)]
    parameters = [name_of(p) for p in program.parameters if not name_of(p).startswith("eta_")]
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
            f"{program.name}: no value for {', '.join(missing)}; give it, --set {missing[0]}=3 for example"
        )
    return found, {name: float(values[name]) for name in parameters}


def _looked_up(program: Program) -> Iterator[tuple[Any, Expr, Expr]]:
    """(access, subscript, extent) wherever a table or a number is a subscript.

    Compiled code does not check them: what is out of range would be other memory.
    """
    for access in dict.fromkeys(access for d in program.definitions for access in (*d.reads, d.lhs)):
        declared = subscript(program.declarations[name_of(access)])
        for sub, index in zip(subscript(access), declared, strict=True):
            if not isinstance(sub, Symbol):
                yield access, sub, program.extents[index]


def _range(name: str, arrays: Mapping[str, NDArray[Any]], program: Program) -> tuple[int, int]:
    if name not in arrays:
        raise InputError(f"{program.name}: {name} is a subscript; tables of whole numbers must be data")
    return int(arrays[name].min(initial=0)), int(arrays[name].max(initial=0))


def _recorded(program: Program, parameters: Mapping[str, float]) -> dict[str, NDArray[Any]]:
    """What else decides a run, for its checkpoint: the equations, and the parameters."""
    text = "\n".join(map(str, (program.model or program).definitions))
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    return {"program": digest, **{name: np.array(value) for name, value in parameters.items()}}
