"""Text files as lines, and the files that a name or a pattern stands for."""

import glob
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dynamics.support.errors import InputError
from dynamics.support.files import column_of, existing

Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
"""Many text files: a directory, a pattern such as "corpus/*.en", or the paths one by one."""

EXPANSION = 100
"""Text that compresses better than this is taken for a file that was made to fill memory or disk ..."""

UNQUESTIONED = 2**24
"""... once so many bytes have come out of it. Real text compresses 3 to 10 times, lists of labels up to 20 times."""


def lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file, plain or gzip, in a stream.

    Lines end at the line feed and nowhere else (Python's own `str.splitlines` would also split at U+2028, U+0085 and
    others, and two files of a parallel text would lose their alignment); one carriage return before it is dropped.

    Parameters
    ----------
    path : Path

    Yields
    ------
    str
        Without the line ending.

    Raises
    ------
    InputError
        If the file is empty, cannot be read, is a damaged gzip file or one that expands without end, is not UTF-8, or
        has a NUL character.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "text.txt")
    ...     _ = path.write_bytes("one\\u2028line\\r\\ntwo".encode())
    ...     list(lines(path))
    ['one\\u2028line', 'two']
    """
    number = 0
    for number, raw in enumerate(_raw_lines(path), start=1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        yield _decode(raw.removesuffix(b"\n").removesuffix(b"\r"), path, number)
    if number == 0:
        raise InputError(f"{path}: the file is empty")


def is_empty(path: Path) -> bool:
    """Whether a text file, plain or gzip, has no line.

    Raises
    ------
    InputError
        If the file cannot be read or is a damaged gzip file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "text.gz")
    ...     _ = path.write_bytes(gzip.compress(b""))
    ...     is_empty(path)
    True
    """
    column = column_of(path)
    if column is not None:
        return not column[0].is_dir() and is_empty(column[0])
    return next(_raw_lines(path), None) is None


def _raw_lines(path: Path) -> Iterator[bytes]:
    number = 0
    try:
        with open(path, "rb") as plain, unpacked(plain, path) as file:
            for raw in file:
                number += 1
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the gzip file is damaged or incomplete after line {number:,} ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def unpacked(plain: io.BufferedReader, path: Path) -> io.BufferedReader:
    """The content of an open file, whether it is gzip (told by its content) or not.

    Raises
    ------
    InputError
        While it is read, if it is gzip and expands without end, see `EXPANSION`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "text.gz")
    ...     _ = path.write_bytes(gzip.compress(b"a line"))
    ...     with open(path, "rb") as plain, unpacked(plain, path) as file:
    ...         file.read()
    b'a line'
    """
    return io.BufferedReader(_Gunzip(plain, path)) if plain.peek(2)[:2] == b"\x1f\x8b" else plain


class _Gunzip(io.RawIOBase):
    """Gzip that stops when too much comes out of it."""

    def __init__(self, packed: io.BufferedReader, path: Path) -> None:
        self._packed, self._path, self._bytes = packed, path, 0
        self._content = gzip.GzipFile(fileobj=packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        read = self._content.readinto(buffer)
        self._bytes += read
        if self._bytes > max(UNQUESTIONED, EXPANSION * self._packed.tell()):
            raise InputError(
                f"{self._path}: the gzip file expands more than {EXPANSION}-fold and does not end within "
                f"{self._bytes / 1e6:.0f} MB: if this is right, unpack it and give the plain file"
            )
        return read


def matching(files: Files, name: str) -> tuple[Path, ...]:
    """The files of a directory (hidden ones aside) or of a pattern, sorted by their names; or paths in their order.

    Parameters
    ----------
    files : path-like or iterable of path-like
        In patterns ``*``, ``?`` and ``[...]`` stand for parts of a name, ``**`` for any directories. A leading ``~`` is
        the home directory.
    name : str
        Of the argument, for messages.

    Returns
    -------
    tuple of Path

    Raises
    ------
    InputError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     for number in (2, 1):
    ...         _ = Path(directory, f"{number}.en").write_text("a line")
    ...     [path.name for path in matching(f"{directory}/*.en", "source")]
    ['1.en', '2.en']
    """
    if not isinstance(files, str | os.PathLike):
        try:
            paths = tuple(files)
        except TypeError:
            raise InputError(f"{name} is {type(files).__name__}: give a directory, a pattern or paths") from None
        if not paths:
            raise InputError(f"{name} is empty: give at least one path")
        return tuple(existing(path) for path in paths)
    where = os.path.expanduser(files)
    if os.path.isdir(where):
        found = [path for path in Path(where).iterdir() if path.is_file() and not path.name.startswith(".")]
        missing = f"{str(files)!r} has no files in it"
    elif os.path.exists(where) or not glob.has_magic(where):
        return (existing(where),)
    else:
        found = [Path(path) for path in glob.iglob(where, recursive=True) if os.path.isfile(path)]
        missing = f"no file matches {str(files)!r}"
    if not found:
        raise InputError(missing)
    return tuple(sorted(found))


def beginning(text: str, limit: int = 40) -> str:
    """The beginning of a text for a message, on one line whatever is in it.

    Examples
    --------
    >>> beginning("two\\nlines")
    "'two\\\\nlines'"
    """
    return repr(text if len(text) <= limit else text[:limit] + "…") if text else "an empty line"


def _decode(raw: bytes, path: Path, number: int) -> str:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        utf16 = number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise InputError(
            f"{path}, line {number:,}, byte {error.start} of the line: 0x{raw[error.start]:02x} is not UTF-8; "
            f"{'the file looks like UTF-16, ' if utf16 else ''}convert the file to UTF-8"
        ) from None
    if "\0" in line:
        raise InputError(
            f"{path}, line {number:,}, byte {raw.index(0)} of the line: a NUL character; this is no text, or the file "
            "is UTF-16: convert it to UTF-8"
        )
    return line
