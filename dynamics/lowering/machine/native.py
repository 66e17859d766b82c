"""Compiled functions with their arguments, called by address: from compiled loops and from Python.

The first call of a function in a process takes its machine code from the cache, if it is there, and LLVM links it
(:mod:`dynamics.support.object_code`): numba is imported for what has not been compiled before.
"""

from __future__ import annotations

import ctypes
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from struct import pack, unpack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynamics.support import cache_files, object_code
from dynamics.support.cache_files import cache_directory

__all__ = ["Code", "Native", "called", "code_in", "code_of", "native", "routine"]

ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


@dataclass(frozen=True)
class Code:
    """A function that is compiled, or will be.

    Attributes
    ----------
    digest : str, optional
        Of all that it was made from, but for the compiler and the kinds of its arguments. Without one, its machine code
        is not kept here.
    compiled : callable
        Gives the numba function.
    """

    digest: str | None
    compiled: Callable[[], Any]


@cache
def code_of(source: str) -> Code:
    """The kernel of a generated module."""
    from dynamics.lowering.machine import compile as compiling

    return Code(compiling.module_name(source), lambda: compiling.compiled(source))


@cache
def code_in(module: str, name: str, *beside: str) -> Code:
    """A function of a module of ours; what is compiled into it stands there and in the modules ``beside``."""
    text = b"".join(Path(str(getattr(find_spec(each), "origin", None))).read_bytes() for each in (module, *beside))
    return Code(f"{name}_{hashlib.sha256(text).hexdigest()}", lambda: getattr(import_module(module), name))


@dataclass(frozen=True, eq=False)
class Native:
    """A function with its arguments, for compiled code.

    Attributes
    ----------
    address : int
        Where its entry stands.
    words : ndarray of int64
        How many numbers it reads and writes, then its arguments: numbers as they are, arrays by address and shape.
    kept : tuple
        What must live as long as this is called: the code, and the arrays that words point to.
    beside : bool
        Whether others may be called at the same time: it has no loops that run on several threads.
    places : tuple of int
        Where the words of each argument begin.
    """

    address: int
    words: NDArray[np.int64]
    kept: tuple[Any, ...]
    beside: bool
    places: tuple[int, ...]

    @cached_property
    def at_words(self) -> int:
        return address_of(self.words)

    @cached_property
    def spare(self) -> dict[Any, Any]:
        """What integrations of this function have worked in, for the next ones."""
        return {}

    @cached_property
    def entry(self) -> Callable[[int | None, int | None, int], int]:
        return ENTRY(self.address)

    def __call__(self) -> int:
        """Call a routine, all of whose arguments are in the words: what it gives."""
        return self.entry(None, None, self.at_words)


def native(function: Any, arguments: tuple[Any, ...], reads: int, writes: int) -> Native:
    """A function of (y, out, *arguments) as a native one.

    Parameters
    ----------
    function : Code or numba dispatcher
    arguments : tuple of ndarray, float and int
        Arrays are contiguous.
    reads, writes : int
        Numbers of y and of out.
    """
    return _bound(function, arguments, [reads, writes])


def routine(function: Code, *arguments: Any) -> Native:
    """A function that gives a whole number or nothing, with all of its arguments."""
    return _bound(function, arguments, [])


def _bound(function: Any, arguments: tuple[Any, ...], words: list[int]) -> Native:
    code = function if isinstance(function, Code) else _by_itself(function)
    vectors, places = len(words), []
    kinds: list[Any] = []
    for argument in arguments:
        places.append(len(words))
        if isinstance(argument, np.ndarray):
            told = argument.__array_interface__
            if told["strides"] is not None and not argument.flags.c_contiguous:  # or it cannot be written to
                raise ValueError(f"an array of shape {argument.shape} is not contiguous")
            shape = told["shape"]
            kinds.append((argument.dtype.char, len(shape)))
            words.append(told["data"][0])
            words.extend(shape)
            continue
        kinds.append(type(argument))
        if isinstance(argument, float):
            words.append(unpack("q", pack("d", argument))[0])
        else:
            words.append(int(argument))
    found = _entry(code, tuple(kinds), vectors)
    kept = found, arguments
    return Native(found.address, np.array(words, dtype=np.int64), kept, found.beside, tuple(places))


@cache
def _by_itself(function: Any) -> Code:
    return Code(None, lambda: function)


def address_of(array: NDArray[Any]) -> int:
    """Where the numbers of an array stand."""
    return int(array.__array_interface__["data"][0])


def called(one: Native, otherwise: Callable[..., None]) -> Callable[..., None]:
    """A native function of (y, out, *arguments) for Python; ``otherwise`` where it raises, or is given other arrays."""
    reads, writes = int(one.words[0]), int(one.words[1])
    entry, words = one.entry, one.at_words

    def run(y: NDArray[Any], out: NDArray[Any], *arguments: Any) -> None:
        fits = _is_vector(y, reads) and _is_vector(out, writes)
        if not fits or entry(address_of(y), address_of(out), words):
            otherwise(y, out, *arguments)

    return run


def _is_vector(array: Any, size: int) -> bool:
    return type(array) is np.ndarray and array.shape == (size,) and array.dtype.char == "d" and array.flags.carray


@dataclass(frozen=True, eq=False)
class Entry:
    """The entry of a function, for arguments of some kinds.

    Attributes
    ----------
    address : int
    beside : bool
    kept
        What holds the code.
    """

    address: int
    beside: bool
    kept: Any


@cache
def _entry(code: Code, given: tuple[Any, ...], vectors: int) -> Entry:
    """The entry of a function: linked from the cache, or compiled and put there."""
    path = described = None
    if code.digest is not None:
        described = repr((code.digest, given, vectors, _written(), object_code.compiler()))
        path = cache_directory() / f"{hashlib.sha256(described.encode()).hexdigest()[:32]}.object"
        found = _from(path, described)
        if found is not None:
            return found
    from dynamics.lowering.machine.entries import Compiled

    made = Compiled(code.compiled(), given, vectors)
    images = made.images()
    place = object_code.linked(images, made.name) if images is not None else None
    if path is not None and place is not None:
        cache_files.write(path, pickle.dumps((described, made.name, made.beside, images)))
    address, kept = made.loaded() if place is None else place
    return Entry(address, made.beside, (kept, made))


def _from(path: Path, described: str) -> Entry | None:
    """What a file holds, if it is whole and of the same code for the same machine, and can be linked here."""
    content = cache_files.read(path)
    if content is None:
        return None
    told, name, beside, images = pickle.loads(content)
    place = object_code.linked(images, name) if told == described else None
    return None if place is None else Entry(place[0], beside, place[1])


@cache
def _written() -> str:
    """A hash of what writes entries."""
    own = (Path(__file__).with_name(name).read_bytes() for name in ("native.py", "entries.py"))
    return hashlib.sha256(b"".join(own)).hexdigest()
