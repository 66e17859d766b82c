"""Tables in text files: comma-separated and tab-separated values."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

from dynamics.counts.text.lines import lines
from dynamics.support.errors import InputError

LOOKED_AT = 50
"""Lines at the beginning of a table that tell what divides its cells."""


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table: comma-separated values, quoted where needed (``.csv``), or tab-separated ones (``.tsv``).

    Quotes are letters like others in ``.tsv`` files because words are: the token ``"`` is common in text.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv``, or either with ``.gz``.

    Yields
    ------
    number : int
        Line of the file (the last one of the row, where a quoted cell runs over several), from 1.
    cells : list of str

    Raises
    ------
    InputError
        As `lines`, and where quotes do not match.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "counts.csv")
    ...     _ = path.write_text('"a, b",1\\nc,2\\n')
    ...     list(rows(path))
    [(1, ['a, b', '1']), (2, ['c', '2'])]
    """
    if table_suffix(path) == ".tsv":
        for number, line in enumerate(lines(path), start=1):
            yield number, line.split("\t")
        return
    # The reader needs the line feeds back: a quoted cell may run over several lines.
    reader = csv.reader((f"{line}\n" for line in lines(path)), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f'{path}, line {reader.line_num:,}: {error} (cells with , or " in them need quotes)') from None


def table_suffix(path: Path) -> str | None:
    """``".csv"`` or ``".tsv"`` for files that are named so (``.gz`` aside), None for all others.

    Examples
    --------
    >>> table_suffix(Path("counts.CSV.gz"))
    '.csv'
    """
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    suffix = plain.suffix.lower()
    return suffix if suffix in (".csv", ".tsv") else None


def separator_hint(path: Path) -> str:
    """The end of a message about a table that cannot be read: what seems to divide its cells instead, or nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "counts.csv")
    ...     _ = path.write_text(";x;y\\na;1;2\\n")
    ...     separator_hint(path)
    '; the cells seem to be divided by semicolons, and in .csv files commas divide them'
    """
    own, name = ("\t", "tabs") if table_suffix(path) == ".tsv" else (",", "commas")
    first = [line for line in itertools.islice(lines(path), LOOKED_AT) if line.strip()]
    table = [line for line in first if not line.startswith("#")]
    for other, other_name in ((";", "semicolons"), ("\t", "tabs"), (",", "commas"), (" ", "spaces"), ("|", "bars")):
        numbers = [line.count(other) for line in table]
        # Words may have spaces in them: they divide cells only where nothing else does.
        alone = other != " " or not any(own in line for line in table)
        if other != own and alone and numbers and 0 < min(numbers) >= max(numbers) - 1:
            return (
                f"; the cells seem to be divided by {other_name}, and in {table_suffix(path)} files {name} divide them"
            )
    if 0 < len(table) < len(first):
        return "; lines that begin with # are not left out: delete them if they are comments"
    return ""
