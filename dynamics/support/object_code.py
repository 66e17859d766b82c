"""Machine code of an earlier process, linked by LLVM without the compiler that made it.

numba takes as long to import, and again to get ready for its first function, as a first solve needs for all the rest.
What it has compiled is an object file like any other: its own code, and names of what it calls, which are functions of
C, of numba's helpers in C, and of BLAS. Those are looked up here, and LLVM links them. Where a name is not found, or
the object is of another format than Linux's, nothing is linked, and numba loads its code as it always did.
"""

from __future__ import annotations

import builtins
import ctypes
import os
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache, wraps
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

__all__ = ["compiler", "know_machine", "linked", "load_blas", "names", "version"]

P = ParamSpec("P")
R = TypeVar("R")

SYMBOL_TABLE = 2
"""The type of the section of an ELF file that holds its symbols."""
IMAGE = b"\x7fELF\x02\x01"
"""How an ELF file of 64 bits, the lowest byte first, begins."""
BESIDE_THE_CODE = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_THREADING_LAYER")
"""Variables of numba that do not change what it compiles."""


def version() -> str:
    """numba's version, which is not imported for it."""
    return str(sys.modules["numba"].__version__) if "numba" in sys.modules else _installed()


@cache
def _installed() -> str:
    return metadata.version("numba")


@cache
def compiler() -> str:
    """What machine code depends on beside its source: the compiler and how it is told to work, and the machine."""
    import llvmlite
    import llvmlite.binding as llvm

    told: list[Any] = sorted(
        item for item in os.environ.items() if item[0].startswith("NUMBA_") and item[0] not in BESIDE_THE_CODE
    )
    settings = Path(".numba_config.yaml")  # which numba reads, too
    told += [settings.read_bytes()] if settings.is_file() else []
    machine = llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return repr((version(), llvmlite.__version__, sys.version, machine, told))


def names(image: bytes) -> tuple[frozenset[str], frozenset[str]] | None:
    """The names that an object file holds, and those that it needs of others; None if it is no ELF file of 64 bits."""
    if not image.startswith(IMAGE):
        return None
    (at,) = struct.unpack_from("<Q", image, 0x28)
    size, sections = struct.unpack_from("<HH", image, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", image, at + k * size) for k in range(sections)]
    held: set[str] = set()
    needed: set[str] = set()
    for _, kind, _, _, start, length, strings, _, _, each in heads:
        for entry in range(start, start + length, each) if kind == SYMBOL_TABLE else ():
            name, _, _, section = struct.unpack_from("<IBBH", image, entry)
            if name:
                begin = heads[strings][4] + name
                (held if section else needed).add(image[begin : image.index(0, begin)].decode())
    return frozenset(held), frozenset(needed)


def once(function: Callable[P, R]) -> Callable[P, R]:
    """A function that is called once for given arguments: threads that ask at once wait for the first."""
    known = cache(function)

    @wraps(function)
    def called(*given: P.args, **options: P.kwargs) -> R:
        with _loading:
            return known(*given, **options)  # type: ignore[arg-type]

    return called


_loading = threading.RLock()


@once
def alone(package: str, name: str) -> ModuleType | None:
    """An extension module without the package around it; None if it is not where it should be.

    A later import of the package finds its module as if it had not been here.
    """
    spec = find_spec(package)
    full = f"{package}.{name}"
    if full in sys.modules:
        return sys.modules[full]
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for suffix in EXTENSION_SUFFIXES:
            path = os.path.join(place, *name.split(".")) + suffix
            if os.path.exists(path):
                own = spec_from_file_location(full, path, loader=ExtensionFileLoader(full, path))
                assert own is not None
                assert own.loader is not None
                module = module_from_spec(own)
                own.loader.exec_module(module)
                sys.modules.pop(full, None)  # where such modules put themselves
                return module
    return None


@once
def load_blas() -> None:
    """Have SciPy's BLAS in this process, which compiled code calls: without all of ``scipy.linalg``, if that can be.

    numba's helpers look it up by the name of the module that holds it, when it is first called: that is now.
    """
    import numpy  # noqa: F401  from within the module, it would not wait for another thread that imports it

    module = helpers = None
    if sys.platform.startswith("linux"):  # elsewhere SciPy says on import where its libraries are
        module, helpers = alone("scipy", "linalg.cython_blas"), alone("numba", "_helperlib")
    if module is None or helpers is None:
        import scipy.linalg  # noqa: F401

        return
    here = module.__name__ in sys.modules
    sys.modules[module.__name__] = module
    try:
        call_blas(helpers.c_helpers)
    finally:
        if not here:
            del sys.modules[module.__name__]


def call_blas(helpers: dict[str, int]) -> None:
    """Have numba's helpers multiply numbers by BLAS: x y, and matrices of one number."""
    letter, size, place = ctypes.c_char, ctypes.c_ssize_t(1), ctypes.c_void_p
    double, plain, real = letter(b"d"), letter(b"n"), letter(0)
    numbers = (ctypes.c_double * 3)()
    x, y, z = (place(ctypes.addressof(numbers) + 8 * k) for k in range(3))
    calls = {
        "xxdot": (double, real, size, x, y, z),
        "xxgemv": (double, plain, size, size, x, x, size, y, x, z),
        "xxgemm": (double, plain, plain, size, size, size, x, x, size, y, size, x, z, size),
    }
    for name, given in calls.items():
        ctypes.PYFUNCTYPE(ctypes.c_int, *map(type, given))(helpers[name])(*given)


@cache
def helpers() -> dict[str, int]:
    """Where the functions of numba's run-time library stand, by the names that its code calls them by."""
    found: dict[str, int] = {}
    for name, prefix in (("_helperlib", "numba_"), ("_dynfunc", "numba_"), ("core.runtime._nrt_python", "NRT_")):
        module = alone("numba", name)
        found |= {prefix + own: address for own, address in module.c_helpers.items()} if module else {}
    return found


def address_of(name: str) -> int | None:
    """Where a function or an object stands that code of numba names: a helper, an exception, or anything of C."""
    if name in helpers():
        if name.startswith("numba_xx"):
            load_blas()
        return helpers()[name]
    if name == "_Py_NoneStruct":
        return id(None)
    if name.startswith("PyExc_"):
        return id(getattr(builtins, name.removeprefix("PyExc_")))
    try:
        return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value
    except AttributeError:
        return None


@cache
def know_machine() -> None:
    """Have LLVM know this machine, as numba does when it is imported."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def linker() -> Any:
    """LLVM's linker for this process."""
    import llvmlite.binding as llvm

    know_machine()
    return llvm.create_lljit_compiler()


def linked(images: Sequence[bytes], name: str) -> tuple[int, Any] | None:
    """Object files, as one library: where one of its functions stands, and what must live as long as that is called.

    None if they call something that is not here, such as numba's threads, or cannot be linked at all.
    """
    known = [names(image) for image in images] if sys.platform.startswith("linux") else [None]
    held: set[str] = set().union(*(each[0] for each in known if each))
    needed: set[str] = set().union(*(each[1] for each in known if each))
    places = {each: address_of(each) for each in needed - held}
    if None in known or name not in held or None in places.values():
        return None
    import llvmlite.binding as llvm

    try:
        library = llvm.JITLibraryBuilder()
        for image in images:
            library.add_object_img(image)
        for each, place in places.items():
            library.import_symbol(each, place)
        library.export_symbol(name)
        tracker = library.link(linker(), f"library{next(_numbers)}")
    except (AttributeError, RuntimeError):  # an llvmlite of before, or objects that do not fit
        return None
    return tracker[name], tracker


_numbers = count()
