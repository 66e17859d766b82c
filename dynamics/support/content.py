"""Equality by content, for frozen dataclasses that hold arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

__all__ = ["ByContent", "same"]


def same(one: Any, other: Any) -> bool:
    """Whether two values have the same content: arrays entry by entry, NaN like NaN.

    Examples
    --------
    >>> same({"U": np.eye(2)}, {"U": np.eye(2)}), same(np.zeros(2), np.zeros(3))
    (True, False)
    """
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        a, b = np.asarray(one), np.asarray(other)
        return a.dtype == b.dtype and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one) and type(one) is type(other):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if hasattr(one, "tocsr") and hasattr(other, "tocsr"):
        return one.shape == other.shape and (one != other).nnz == 0
    return bool(one == other)


class ByContent:
    """Instances of a dataclass with the same fields are equal; the hash is that of the fields without arrays.

    Copies and pickles hold the fields, not what was computed from them and kept.
    """

    def __eq__(self, other: object) -> bool:
        return same(self, other) if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return hash((type(self), *(value for value in values if isinstance(value, int | str | bool | float))))

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
