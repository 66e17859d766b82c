"""Which entries of which dimensions a result keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Indices

__all__ = ["Keep", "kept"]


@dataclass(frozen=True, eq=False)
class Keep:
    """The entries that a result keeps.

    Attributes
    ----------
    positions : mapping of str to ndarray of int
        By dimension.
    extents : mapping of str to int
        How many there are.
    """

    positions: Mapping[str, Indices]
    extents: Mapping[str, int]

    def cells(self, dims: Sequence[str]) -> tuple[NDArray[np.int64], ...]:
        """What indexes a tensor of these dimensions."""
        return np.ix_(*(self.positions[dim] for dim in dims))

    def of(self, values: NDArray[Any], dims: Sequence[str]) -> NDArray[Any]:
        """The kept part of tensors of these dimensions, along a first axis."""
        return values[(np.arange(len(values)).reshape(-1, *(1 for _ in dims)), *self.cells(dims))]

    def everything(self, dims: Sequence[str]) -> bool:
        """Whether all of a tensor of these dimensions is kept, in order."""
        return all(dim in self._whole for dim in dims)

    @cached_property
    def _whole(self) -> frozenset[str]:
        """Dimensions of which everything is kept, in order."""
        every = {dim: np.arange(n) for dim, n in self.extents.items()}
        return frozenset(dim for dim, at in self.positions.items() if np.array_equal(at, every[dim]))


def kept(
    extents: Mapping[str, int],
    labels: Mapping[str, NDArray[Any]],
    frequency: Mapping[str, NDArray[np.float64]],
    keep: Mapping[str, ArrayLike] | Sequence[str] | None,
    top: int | None,
) -> Keep:
    """The entries that were asked for.

    Parameters
    ----------
    extents, labels, frequency : mapping
        Of the dimensions, their labels, and how frequent these are, where they have any.
    keep : mapping or sequence of str, optional
        For a dimension, positions or labels; or labels of whichever dimensions have them. With ``top``, beside those.
    top : int, optional
        The most frequent entries, this many of each dimension whose frequency is known; all if not given.

    Raises
    ------
    InputError
        An unknown dimension or label, a position out of range, or ``top`` where nothing is known of frequencies.

    Examples
    --------
    >>> words = {"input": np.array(["Hund", "Katze", "Maus"])}
    >>> kept({"input": 3}, words, {"input": np.array([0.2, 0.5, 0.3])}, ["Hund"], 1).positions["input"]
    array([1, 0])
    """
    if top is not None:
        if isinstance(top, bool) or not isinstance(top, int | np.integer):
            raise InputError(f"top = {top!r} must be a whole number")
        if top < 1:
            raise InputError(f"top = {top!r} must be 1 or more")
        if not frequency:
            raise InputError(
                "top keeps the most frequent words, and nothing here has a frequency; name them with keep="
            )
    if isinstance(keep, str):
        keep = [keep]
    if keep is not None and not isinstance(keep, Mapping):
        keep = _by_dimension(list(keep), labels, whole=top is None)
    asked = {dim: _positions(dim, wanted, extents, labels) for dim, wanted in (keep or {}).items()}
    found = {}
    for dim, n in extents.items():
        if top is None or dim not in frequency:
            found[dim] = asked.get(dim, np.arange(n))
            continue
        first = np.argsort(-frequency[dim], kind="stable")[:top]
        more = asked.get(dim, np.empty(0, dtype=np.int64))
        found[dim] = np.concatenate([first, more[~np.isin(more, first)]])
    return Keep(found, dict(extents))


def _by_dimension(words: list[Any], labels: Mapping[str, NDArray[Any]], whole: bool) -> dict[str, NDArray[Any]]:
    """For each dimension the words that it has, in its own order; all dimensions are kept whole without ``top``."""
    known = {dim: [str(label) for label in named] for dim, named in labels.items()}
    for word in words:
        if not any(word in named for named in known.values()):
            each = " nor ".join(f"an {dim}" for dim in known) or "a label"
            hint = did_you_mean(str(word), [label for named in known.values() for label in named])
            raise InputError(f"keep: {word!r} is neither {each}{hint}")
    if whole:
        return {}
    wanted = set(words)
    return {dim: np.array([label for label in named if label in wanted], dtype=str) for dim, named in known.items()}


def _positions(dim: str, wanted: ArrayLike, extents: Mapping[str, int], labels: Mapping[str, NDArray[Any]]) -> Indices:
    if dim not in extents:
        raise InputError(f"keep: there is no dimension {dim!r}; there are {', '.join(extents)}")
    positions = np.atleast_1d(np.asarray(wanted))
    if positions.dtype.kind == "U":
        places = {str(name): k for k, name in enumerate(labels.get(dim, np.arange(extents[dim])))}
        for name in positions:
            if name not in places:
                raise InputError(f"keep: there is no {dim} {str(name)!r}{did_you_mean(name, places)}")
        return np.array([places[name] for name in positions], dtype=np.int64)
    positions = positions.astype(np.int64)
    if positions.size == 0 or positions.min() < 0 or positions.max() >= extents[dim]:
        raise InputError(f"keep: positions of {dim} must be between 0 and {extents[dim] - 1}")
    return positions
