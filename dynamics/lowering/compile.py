"""Generated source to machine code, cached on disk.

numba's cache needs a real file, and does not see edits to modules that the file calls. So the source is written under
the user's cache directory, named by a hash of itself and of everything it calls, and moved into place in one step:
processes that compile the same kernel at the same time cannot see half a file.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from dynamics.support.errors import InputError

ENVIRONMENT = "DYNAMICS_CACHE_DIR"


@cache
def cache_directory() -> Path:
    """Where compiled kernels are kept: $DYNAMICS_CACHE_DIR, or the user's cache directory, or a temporary one."""
    import platformdirs

    wanted = Path(os.environ.get(ENVIRONMENT) or platformdirs.user_cache_dir("attention-dynamics", appauthor=False))
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        temporary = tempfile.mkdtemp(prefix="attention-dynamics-")
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return Path(temporary)


@cache
def called_code() -> str:
    """A hash of what generated code depends on beside itself."""
    import numba

    called = b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in ("runtime", "vectors"))
    return hashlib.sha256(called + numba.__version__.encode() + sys.version.encode()).hexdigest()


def module_name(source: str) -> str:
    """The name of the module that holds a source; equal sources share it."""
    return "kernel_" + hashlib.sha256((called_code() + source).encode()).hexdigest()[:24]


@cache
def compiled(source: str) -> Callable[..., None]:
    """The function ``kernel`` of a generated module; machine code comes from the cache if it is there.

    Raises
    ------
    InputError
        The compiler is switched off.
    """
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise InputError("NUMBA_DISABLE_JIT is set, and nothing is solved without the compiler; unset it")
    name = module_name(source)
    path = cache_directory() / f"{name}.py"
    if not path.exists():
        handle, aside = tempfile.mkstemp(dir=path.parent, suffix=".py")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(aside, path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load the generated module {path}")
    module = importlib.util.module_from_spec(spec)
    # numba finds a function's module by its name, when it writes the cache and when it reads it.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.kernel
