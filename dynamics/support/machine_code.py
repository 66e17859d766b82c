"""Machine code that is compiled once and kept on disk.

numba's own cache believes what it finds: half a file ends every later run, and so does a full disk. Here a file that is
not whole, or that does not fit, counts as missing. What is in a file is executed: a cache directory that others can
write to must be trusted like a program of theirs.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps
from numba.core.typeinfer import register_dispatcher

from dynamics.support import cache_files

__all__ = ["image_of", "kept"]


class Files:
    """What numba's cache of a function reads and writes: one file for each signature, with a digest of its content.

    A file is named by what was compiled, as numba describes it, and holds that description, to be compared.
    """

    def __init__(self, base: str, stamp: Any) -> None:
        self.base = base
        self.stamp = stamp
        self.image: bytes | None = None

    def load(self, key: Any) -> Any:
        """What numba kept, the object file first: ``((name, kind, (image, ...)), ...)``."""
        content = cache_files.read(self._file(key))
        if content is None:
            return None
        described, code = pickle.loads(content)
        if described != self._described(key):
            return None
        _, kind, stored = code[0]
        self.image = stored[0] if kind == "object" else None
        return code

    def save(self, key: Any, code: Any) -> None:
        cache_files.write(self._file(key), dumps((self._described(key), code)))

    def flush(self) -> None:
        """Nothing: what is stale has another description."""

    def _described(self, key: Any) -> Any:
        return numba.__version__, self.stamp, key

    def _file(self, key: Any) -> Path:
        return Path(f"{self.base}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.code")


class Kept(FunctionCache):
    """numba's cache of a function, over :class:`Files`; it never fails, at worst it has nothing."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        base = os.path.join(self._cache_path, self._impl.filename_base)
        self._cache_file = Files(base, self._impl.locator.get_source_stamp())  # type: ignore[assignment]

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
            if found is not None:
                found.library.image_of_before = self._cache_file.image  # type: ignore[attr-defined]
            return found
        except Exception:  # whole, but of a package or a machine that is another by now: compiled again
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            cache_files.uncached(f"cannot write to {self._cache_path}: {error.strerror}")


def image_of(library: Any) -> bytes | None:
    """The object file of a library of numba, of this process or from the cache; None if there is none."""
    try:
        return library.image_of_before if hasattr(library, "image_of_before") else library._get_compiled_object()
    except (ValueError, RuntimeError):  # it is not to be cached
        return None


def kept(*signatures: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` for functions whose machine code is kept on disk.

    Parameters
    ----------
    *signatures : str
        What to compile now; without one, a function is compiled when it is called.
    **options
        Of ``numba.njit``, but for ``cache``.

    Examples
    --------
    >>> @kept()
    ... def double(x):
    ...     return 2 * x
    >>> double(21)
    42
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        if not hasattr(dispatcher, "compile"):  # NUMBA_DISABLE_JIT
            return dispatcher
        try:
            dispatcher._cache = Kept(function)
        except (RuntimeError, OSError):  # no directory can be written to, or the function stands in no file
            if not function.__code__.co_filename.startswith("<"):
                cache_files.uncached("no directory for compiled code can be written to")
        if signatures:
            with register_dispatcher(dispatcher):
                for signature in signatures:
                    dispatcher.compile(signature)
                dispatcher.disable_compile()
        return dispatcher

    return decorate
