"""Generated code with what binding needs to know about it: words and numbers, which are kept without expressions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Array", "Ragged", "Source"]


@dataclass(frozen=True)
class Array:
    """An array of a kernel: its name and its shape as names of sizes (or numbers)."""

    name: str
    shape: tuple[str | int, ...]


@dataclass(frozen=True)
class Ragged:
    """A ragged index: the data that has the lengths of its rows, and the sizes that follow from them, by name."""

    lengths: str
    total: str
    longest: str


@dataclass(frozen=True)
class Source:
    """Generated code with everything that binding needs to know about it.

    Attributes
    ----------
    text : str
        The module: imports and one function ``kernel``.
    states, outputs, workspace : tuple of Array
        What is packed in y, out and ws, in order.
    data : tuple of Array
        Arrays by position, integer ones in ``integers``; ragged ones are flat.
    ragged : tuple of Ragged
        In the order in which the starts of their rows are passed.
    parameters, sizes : tuple of str
        Scalars by position; sizes that the code has as constants are not passed.
    constants : mapping of str to int
        Those sizes, with their values.
    walks : tuple of (str, str)
        (length of the longest row, size): no row must be longer than the size.
    products : mapping of str to tuple
        Sizes that are products of others, by their text: the names and the numbers of each.
    """

    text: str
    states: tuple[Array, ...]
    outputs: tuple[Array, ...]
    workspace: tuple[Array, ...]
    data: tuple[Array, ...]
    integers: frozenset[str]
    ragged: tuple[Ragged, ...]
    parameters: tuple[str, ...]
    sizes: tuple[str, ...]
    constants: Mapping[str, int]
    walks: tuple[tuple[str, str | int], ...]
    products: Mapping[str, tuple[str | int, ...]]
