"""Counts that bring labels of their own: data frames of pandas and arrays of xarray, told by what they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dynamics.counts.files.count_files import Table
from dynamics.counts.files.labels import checked_labels
from dynamics.support.errors import InputError

AXES = ("input", "output")
UNNAMED = ("dim_0", "dim_1")
"""What xarray calls dimensions without a name."""


def table_of(counts: Any) -> Table:
    """Counts with their labels, inputs along the rows; anything else than a data frame or DataArray has none.

    Dimensions of a DataArray are named ``input`` and ``output``, in either order, or have no name; the axes of a data
    frame too, or have any other names (rows are inputs then).

    Raises
    ------
    InputError
        For other dimensions of a DataArray, for a Dataset, and for a data frame with two axes of the same kind.

    Examples
    --------
    >>> import xarray as xr
    >>> counts = xr.DataArray([[3, 1], [0, 4]], {"output": ["dog", "cat"], "input": ["Hund", "Katze"]})
    >>> table_of(counts).counts, table_of(counts).inputs
    (array([[3, 0],
           [1, 4]]), ('Hund', 'Katze'))
    """
    if hasattr(counts, "data_vars"):
        raise InputError(f"counts is a Dataset: give one of its variables, {', '.join(map(str, counts.data_vars))}")
    if hasattr(counts, "dims") and hasattr(counts, "coords"):
        return _of_array(counts)
    if hasattr(counts, "index") and hasattr(counts, "columns"):
        return _of_frame(counts)
    return Table(counts)


def _of_array(counts: Any) -> Table:
    names = tuple(map(str, counts.dims))
    if len(names) != 2 or names == UNNAMED:
        return Table(counts.values)
    if set(names) != set(AXES):
        raise InputError(f"counts has the dimensions {names[0]!r} and {names[1]!r}: rename them 'input' and 'output'")
    turned = counts.transpose(*AXES)
    return Table(turned.values, *(_coordinate(turned, axis) for axis in AXES))


def _coordinate(counts: Any, axis: str) -> tuple[Any, ...] | None:
    return tuple(counts[axis].values.tolist()) if axis in counts.coords else None


def _of_frame(counts: Any) -> Table:
    names = (counts.index.name, counts.columns.name)
    if names[0] == names[1] and names[0] in AXES:
        raise InputError(f"counts has two axes named {names[0]!r}: name the rows 'input' and the columns 'output'")
    if names[0] == "output" or names[1] == "input":
        counts = counts.T
    return Table(counts.to_numpy(), _index(counts.index), _index(counts.columns))


def _index(index: Any) -> tuple[Any, ...] | None:
    """The labels of an axis; one that is numbered from 0 has none."""
    labels = tuple(index.tolist())
    return None if labels == tuple(range(len(labels))) else labels


def aligned(table: Table, inputs: Iterable[Any] | None, outputs: Iterable[Any] | None) -> Table:
    """The table with its rows and columns in the order of labels that are given as well; the labels must be the same.

    Raises
    ------
    InputError
        If a table has other labels than those that are given.

    Examples
    --------
    >>> aligned(Table(np.array([[3, 1], [0, 4]]), ("Hund", "Katze"), None), ["Katze", "Hund"], ["dog", "cat"])
    Table(counts=array([[0, 4],
           [3, 1]]), inputs=('Katze', 'Hund'), outputs=['dog', 'cat'])
    """
    counts = np.asarray(table.counts)
    found: list[Iterable[Any] | None] = []
    for axis, (own, given) in enumerate(((table.inputs, inputs), (table.outputs, outputs))):
        kind, name = AXES[axis], ("rows", "columns")[axis]
        if given is None or own is None or counts.ndim != 2:
            found.append(own if given is None else given)
            continue
        size = counts.shape[axis]
        wanted, has = checked_labels(given, size, kind, name, "counts"), checked_labels(own, size, kind, name, "counts")
        counts = counts.take(_places(wanted, has, kind), axis=axis)
        found.append(wanted)
    return Table(counts, *found)


def _places(wanted: Sequence[str], has: Sequence[str], kind: str) -> list[int]:
    place = {label: number for number, label in enumerate(has)}
    for label in wanted:
        if label not in place:
            raise InputError(
                f"counts has {kind} labels of its own, and {label!r} is not among them: leave out {kind}s=, or rename "
                "the labels of the table"
            )
    return [place[label] for label in wanted]


def aligned_gram(gram: Any, inputs: Sequence[str]) -> Any:
    """G with its rows and columns in the order of the inputs, if it has labels of its own.

    Raises
    ------
    InputError
        If its labels are other than the inputs.
    """
    if hasattr(gram, "index") and hasattr(gram, "columns"):
        own: tuple[Any, ...] = (_index(gram.index), _index(gram.columns))
    elif hasattr(gram, "dims") and hasattr(gram, "coords"):
        own = tuple(tuple(gram[dim].values.tolist()) if dim in gram.coords else None for dim in gram.dims)
    else:
        return gram
    values = np.asarray(gram)
    for axis, labels in enumerate(own):
        if labels is not None and values.shape == (len(inputs), len(inputs)):
            has = checked_labels(labels, len(inputs), "input", "rows", "gram")
            place = {label: number for number, label in enumerate(has)}
            missing = [label for label in inputs if label not in place]
            if missing:
                raise InputError(f"gram has no input {missing[0]!r} among its labels: it goes with the same inputs")
            values = values.take([place[label] for label in inputs], axis=axis)
    return values
