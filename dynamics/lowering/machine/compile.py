"""Generated source to machine code, cached on disk.

numba's cache needs a real file, and does not see edits to modules that the file calls. So the source is written under
the user's cache directory, named by a hash of itself and of everything it calls, and moved into place in one step:
processes that compile the same kernel at the same time cannot see half a file. What is run is the source that was
generated, whatever the file holds; machine code is believed if it is whole (:mod:`dynamics.support.machine_code`).
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from dynamics.support.cache_files import ENVIRONMENT, cache_directory, uncached
from dynamics.support.errors import InputError
from dynamics.support.files import write_aside
from dynamics.support.object_code import version

__all__ = ["ENVIRONMENT", "cache_directory", "called_code", "compiled", "module_name"]

CALLED = ("runtime", "panels", "vectors", "direct", "routines", "parallel")
"""Files whose functions generated code calls, or which write it."""


@cache
def called_code() -> str:
    """A hash of what generated code depends on beside itself."""
    called = b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in CALLED)
    return hashlib.sha256(called + version().encode() + sys.version.encode()).hexdigest()


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

    from dynamics.lowering.machine.direct import Unsupported
    from dynamics.support.threads import join

    join()
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise InputError("NUMBA_DISABLE_JIT is set, and nothing is solved without the compiler; unset it")
    if "nogil=False" in source:  # it has loops on threads, whose symbols are looked for when it is linked
        from dynamics.lowering.machine.parallel import start_threads

        start_threads()
    name = module_name(source)
    module = ModuleType(name)
    # numba finds a function's module by its name, when it writes the cache and when it reads it.
    sys.modules[name] = module
    file = _file(name, source)
    try:
        exec(compile(in_one(source, module), file, "exec"), module.__dict__)
    except Unsupported:
        exec(compile(source, file, "exec"), module.__dict__)
    return module.kernel


def in_one(source: str, module: ModuleType) -> ast.Module:
    """A generated module whose kernel is one instruction for numba, which is put into the module.

    Raises
    ------
    Unsupported
        The kernel is not in the small language that :mod:`dynamics.lowering.machine.direct` speaks.
    """
    from dynamics.lowering.machine.direct import Unsupported, spoken
    from dynamics.lowering.machine.routines import body_of, routines_of

    tree = ast.parse(source)
    kernel = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "kernel"), None)
    if kernel is None or not spoken(kernel):
        raise Unsupported
    module.__dict__["kernel_body"] = body_of(ast.FunctionDef(**vars(kernel)), module.__dict__, routines_of(tree))
    given = ", ".join(argument.arg for argument in kernel.args.args)
    kernel.body = ast.parse(f"kernel_body({given})").body
    for option in (word for call in kernel.decorator_list if isinstance(call, ast.Call) for word in call.keywords):
        if option.arg == "parallel":  # loops on several threads are written already, and numba would look for others
            option.value = ast.Constant(False)
    return ast.fix_missing_locations(tree)


def _file(name: str, source: str) -> str:
    """The file that holds a source, written if it is not there or not whole; a mere name if it cannot be written."""
    path = cache_directory() / f"{name}.py"
    try:
        if path.read_bytes() == source.encode():
            return str(path)
    except OSError:
        pass
    try:
        with write_aside(path) as aside:
            aside.write_bytes(source.encode())
    except InputError as error:
        uncached(str(error))
        return f"<{name}>"
    return str(path)
