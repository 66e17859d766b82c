"""Files that save work of an earlier run, and are believed only if they are whole.

Each begins with the SHA-256 of the rest. One that is cut short, damaged or from elsewhere counts as missing: what it
kept is found anew and written again. Where nothing can be written, work goes on without, after one warning.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path

from dynamics.support.errors import CacheWarning, InputError
from dynamics.support.files import write_aside

__all__ = ["ENVIRONMENT", "cache_directory", "read", "uncached", "write"]

DIGEST = hashlib.sha256().digest_size
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
    except OSError as error:
        uncached(f"cannot write to {str(wanted)!r}: {error.strerror}")
    try:
        temporary = tempfile.mkdtemp(prefix="attention-dynamics-")
    except OSError:
        return wanted  # where every file is missing, and none can be written
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return Path(temporary)


def read(path: Path) -> bytes | None:
    """What :func:`write` put into a file; None if it is not there, or not whole.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "answer"
    ...     write(path, b"42")
    ...     whole = read(path)
    ...     _ = path.write_bytes(path.read_bytes()[:-1])
    ...     whole, read(path)
    (b'42', None)
    """
    try:
        found = path.read_bytes()
    except OSError:
        return None
    content = found[DIGEST:]
    return content if found[:DIGEST] == hashlib.sha256(content).digest() else None


def write(path: Path, content: bytes) -> None:
    """Keep some bytes, with their digest; a warning if that cannot be done."""
    try:
        with write_aside(path) as aside:
            aside.write_bytes(hashlib.sha256(content).digest() + content)
    except InputError as error:
        uncached(str(error))


def uncached(reason: str) -> None:
    """Say that work goes on without a cache: once in a process, whatever the reasons."""
    if not _told:
        _told.append(reason)
        warnings.warn(
            f"{reason}; compiled code is not kept, and compiled again next time (DYNAMICS_CACHE_DIR moves the cache)",
            CacheWarning,
            stacklevel=3,
        )


_told: list[str] = []
