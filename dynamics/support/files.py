"""Files as the user names them: found, or explained; written whole, or not at all."""

import contextlib
import difflib
import hashlib
import os
import platform
import re
import secrets
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from dynamics.support.errors import InputError


def near(word: str, words: Iterable[str], n: int = 3) -> tuple[str, ...]:
    """Words spelt like a given one, nearest first, for messages about unknown names.

    Parameters
    ----------
    word : str
        What the user wrote.
    words : iterable of str
        What there is. Upper and lower case count as the same letter.
    n : int
        At most so many.

    Returns
    -------
    tuple of str
        Possibly empty.

    Examples
    --------
    >>> near("Hnud", ["hund", "katze", "hunde"])
    ('hund', 'hunde')
    """
    by_folded: dict[str, str] = {}
    for candidate in words:
        by_folded.setdefault(candidate.casefold(), candidate)
    return tuple(by_folded[match] for match in difflib.get_close_matches(word.casefold(), by_folded, n=n))


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """The end of a message about an unknown name: the near matches as a question, or nothing.

    Examples
    --------
    >>> "no input word 'hnud'" + did_you_mean("hnud", ["hund", "katze"])
    "no input word 'hnud'; did you mean 'hund'?"
    >>> did_you_mean("xyz", ["hund", "katze"])
    ''
    """
    matches = near(word, words)
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of a regular file that can be read.

    Parameters
    ----------
    path : path-like
        A file. A leading ``~`` is the home directory.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is no such file (the message gives near matches in its directory), or if it is a directory or a pipe.

    Examples
    --------
    >>> existing("no-such-file.txt")
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: 'no-such-file.txt' does not exist
    """
    found = Path(os.path.expanduser(path))
    try:
        if found.is_dir():
            raise InputError(f"{str(found)!r} is a directory: name a file in it")
        if found.exists() and not found.is_file():
            raise InputError(f"{str(found)!r} is a pipe or a device, and files are read twice: save it to a file first")
        if not found.exists():
            siblings = [p.name for p in found.parent.iterdir()] if found.parent.is_dir() else []
            raise InputError(f"{_shorten(str(found))} does not exist{did_you_mean(found.name, siblings)}")
    except OSError as error:  # a name too long to be one, a directory closed to us
        raise InputError(f"{_shorten(str(found))} cannot be read: {_reason(error)}") from None
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal; it goes into the provenance of what was read.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {_reason(error)}") from None


def destination_of(path: str | os.PathLike[str]) -> Path:
    """Where a file or a directory will stand: absolute, links followed.

    Raises
    ------
    InputError
        The path is relative, and the working directory has been deleted.
    """
    try:
        return Path(os.path.realpath(os.path.expanduser(path)))
    except OSError:
        raise InputError(f"cannot write {_shorten(str(path))}: the working directory has been deleted") from None


@contextlib.contextmanager
def write_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file beside its destination and move it there when it is complete.

    Readers see the old file or the new one, never half of one; whatever ends the block early, an interrupt from the
    keyboard too, leaves the old file as it was and no debris. A process that is killed in the block cannot clean up:
    what it leaves is removed by the next one that writes to the directory.

    Parameters
    ----------
    path : path-like
        The destination. Its directory is created if it does not exist (and removed again if the block fails).
        A symbolic link is followed.

    Yields
    ------
    Path
        An empty file in the same directory with the same suffix, to be written.

    Raises
    ------
    InputError
        If the destination is a directory or a device, or cannot be written: the disk is full, the working directory
        has been deleted. Any OSError of the block counts as that.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with write_aside(Path(directory) / "new" / "numbers.txt") as aside:
    ...         _ = aside.write_text("1 2 3")
    ...     (Path(directory) / "new" / "numbers.txt").read_text()
    '1 2 3'
    """
    destination = destination_of(path)
    # The name says nothing of the destination: a long one stays within the file system's limit.
    aside = destination.parent / f".{_here()}-{os.getpid()}-{secrets.token_hex(8)}{destination.suffix}"
    created: list[Path] = []
    try:
        try:
            if destination.is_dir():
                raise InputError(f"cannot write {str(path)!r}: it is a directory; add a file name")
            if destination.exists() and not destination.is_file():
                raise InputError(f"cannot write {str(path)!r}: it is not a regular file")
            for folder in reversed([destination.parent, *destination.parent.parents]):
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    created.append(folder)
            _remove_debris(destination.parent)
            # Not mkstemp: its files are readable by their owner only, and would stay so after the move.
            aside.open("xb").close()
        except OSError as error:
            raise InputError(f"cannot write {_shorten(str(path))}: {_reason(error)}") from None
        try:
            yield aside
            os.replace(aside, destination)
        except OSError as error:  # a full disk, a quota, a directory that is gone
            raise InputError(f"cannot write {_shorten(str(path))}: {_reason(error)}") from None
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
            for folder in reversed(created):
                folder.rmdir()  # fails, as it should, when somebody else has put something there
        raise


@cache
def _here() -> str:
    """What tells the processes of this machine, or of this container, from those of others that share a directory."""
    try:
        numbered = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        numbered = 0
    return hashlib.sha256(f"{platform.node()} {numbered}".encode()).hexdigest()[:8]


def _remove_debris(directory: Path) -> None:
    """Remove what processes of this machine were writing to a directory when they were killed."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            found = re.fullmatch(rf"\.{_here()}-(\d+)-[0-9a-f]{{16}}(\..*)?", entry.name)
            if found and not _runs(int(found[1])):
                Path(entry.path).unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def _reason(error: OSError) -> str:
    return error.strerror.lower() if error.strerror else str(error)


def _shorten(text: str, limit: int = 120) -> str:
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
