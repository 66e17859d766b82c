"""A mapping that does not change: what programs declare can be hashed, compared, copied and pickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

__all__ = ["Frozen"]

K = TypeVar("K")
T = TypeVar("T")


class Frozen(Mapping[K, T]):
    """A mapping whose entries are fixed when it is made, in their order.

    Examples
    --------
    >>> Frozen({"W": "values"}) == {"W": "values"}, hash(Frozen(a=1)) == hash(Frozen(a=1))
    (True, True)
    """

    __slots__ = ("_entries", "_hash")

    def __init__(self, entries: Mapping[K, T] | None = None, **more: T) -> None:
        self._entries: dict[K, T] = dict(entries or {}, **more)
        self._hash: int | None = None

    def __getitem__(self, key: K) -> T:
        return self._entries[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._entries.items()))
        return self._hash

    def __reduce__(self) -> tuple[type, tuple[dict[K, T]]]:
        return type(self), (self._entries,)

    def __repr__(self) -> str:
        return f"Frozen({self._entries!r})"
