"""Arrays that name their entries: what the axes of a program's data are, and what stands along them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.program import Program, name_of, subscript
from dynamics.support.errors import InputError

__all__ = ["by_dimension", "without_labels"]

Labels = dict[str, NDArray[Any]]


def without_labels(program: Program, arrays: Mapping[str, Any]) -> tuple[dict[str, ArrayLike], Labels]:
    """Arrays with their axes in the order of the declarations, and what the entries of each size are called.

    A DataArray whose dimensions are called as the indices of a declaration are (or as results call these) may have them
    in any order. Entries of one size have one order, that of the first array that names them.

    Raises
    ------
    InputError
        Dimensions some of which are called like indices of another place, labels that repeat, or that another array
        along the same size does not have.

    Examples
    --------
    >>> import xarray as xr
    >>> from dynamics.program_file import SumOver, indices, model, sizes, tensors
    >>> (V, D), (i, d), (w, y) = sizes("V D"), indices("i d"), tensors("w y")
    >>> rows = model(
    ...     "Rows", extents={i: V, d: D}, data=y[i, d], states=w[i], loss=SumOver((w[i] - y[i, d]) ** 2, i, d)
    ... )
    >>> turned = xr.DataArray([[1.0, 2.0]], {"d": ["a"], "i": ["x", "y"]}, dims=("d", "i"))
    >>> plain, labels = without_labels(rows, {"y": turned})
    >>> plain["y"].shape, labels["V"]
    ((2, 1), array(['x', 'y'], dtype='<U1'))
    """
    declared = {name_of(access): access for access in program.data}
    found: dict[str, ArrayLike] = {}
    labels: Labels = {}
    for name, value in arrays.items():
        if name in declared and hasattr(value, "dims") and hasattr(value, "coords"):
            value = _plain(program, declared[name], value, labels)
        found[name] = value
    return found, labels


def _plain(program: Program, access: Any, value: Any, labels: Labels) -> Any:
    """The values of a DataArray in the order of a declaration; adds to the labels of its sizes."""
    name, extents = name_of(access), [program.extents[index] for index in subscript(access)]
    if len(value.dims) != len(extents) or any(extent.is_Indexed for extent in extents):
        return value.values  # rows of different lengths are one axis, whose entries have no names of their own
    value = _in_order(program, access, value)
    for axis, extent in enumerate(map(str, extents)):
        dim = value.dims[axis]
        if dim not in value.coords:
            continue
        own = np.asarray(value[dim].values)
        if len(set(own.tolist())) != own.size:
            raise InputError(f"{name}: a label along {dim} is there twice; give each once")
        known = labels.setdefault(extent, own)
        if known is own:
            continue
        places = {label: k for k, label in enumerate(own.tolist())}
        strange = next((label for label in known.tolist() if label not in places), None)
        if strange is not None or own.size != known.size:
            told = repr(strange) if strange is not None else f"{own.size} labels where another has {known.size}"
            raise InputError(f"{name}: {told} along {dim}: arrays along {extent} must have the same labels")
        value = value.isel({dim: [places[label] for label in known.tolist()]})
    return value.values


def _in_order(program: Program, access: Any, value: Any) -> Any:
    """A DataArray with its dimensions in the order of a declaration, if they are called like its indices."""
    indices = subscript(access)
    plain = [index.name for index in indices]
    shown = [program.dimensions.get(index, index.name) for index in indices]
    for names in (plain, shown):
        if len(set(names)) == len(names) and set(value.dims) == set(names):
            return value.transpose(*names)
    for axis, dim in enumerate(value.dims):
        if any(dim in names and names[axis] != dim for names in (plain, shown)):
            raise InputError(
                f"{name_of(access)} has the dimensions {', '.join(map(str, value.dims))}, not {', '.join(plain)};"
                " call all of them so, or none"
            )
    return value


def by_dimension(program: Program, labels: Labels) -> Labels:
    """What the entries of each dimension of a result are called, from what those of each size are."""
    return {
        program.dimensions.get(index, index.name): labels[str(extent)]
        for index, extent in program.extents.items()
        if str(extent) in labels
    }
