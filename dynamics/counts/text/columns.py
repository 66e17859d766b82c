"""Columns of files as texts: ``FILE:COLUMN`` wherever a text is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from dynamics.counts.text.lines import lines
from dynamics.counts.text.tables import rows
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean

JSON, TABLES, PARQUET, ARROW = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv"), (".parquet",), (".arrow",)
LONGEST = 2**24
"""Letters of a line of JSON: what is longer is no sentence with its labels."""


def cells(path: Path, column: str) -> Iterator[str]:
    """A column of a file as lines of text, in a stream.

    Parameters
    ----------
    path : Path
        JSON Lines (``.jsonl``, ``.ndjson``, or ``.json`` with an object a line), a table with a heading (``.csv``,
        ``.tsv``), Parquet (``.parquet``, by pyarrow), or a folder that the library ``datasets`` saved or that has
        Parquet files in it. Text files may be gzip.
    column : str
        Its name; a dot goes into an object (``translation.en``).

    Yields
    ------
    str
        Line feeds within become spaces, so that a cell is one sentence; numbers are written out.

    Raises
    ------
    InputError
        There is no such column, a cell is missing or no text, the file is damaged, or pyarrow is not installed. The
        message has the line, or the row.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "pairs.jsonl")
    ...     _ = path.write_text('{"pair": {"en": "a dog", "de": "ein Hund"}}')
    ...     list(cells(path, "pair.de"))
    ['ein Hund']
    """
    number = 0
    for where, value in _values(path, column):
        number += 1
        if isinstance(value, bool | int | float):
            value = str(value)
        if not isinstance(value, str):
            told = "missing" if value is None else f"of type {type(value).__name__}"
            raise InputError(
                f"{path}, {where}: {column!r} is {told}, and text is wanted; leave the row out, or fill it"
            )
        if "\0" in value:
            raise InputError(f"{path}, {where}: {column!r} has a NUL character in it: remove it")
        yield " ".join(value.splitlines()) if "\n" in value or "\r" in value else value
    if not number:
        raise InputError(f"{path}: the file has no rows")


def _values(path: Path, column: str) -> Iterator[tuple[str, Any]]:
    """Where a value stands, and the value, of every row."""
    if path.is_dir():
        return _of_folder(path, column)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in JSON:
        return _of_json(path, column)
    if suffix in TABLES:
        return _of_table(path, column)
    return _of_parquet([path], column)


def _of_json(path: Path, column: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        where = f"line {number:,}"
        if len(line) > LONGEST:
            raise InputError(f"{path}, {where}: {len(line):,} letters; give an object a line (JSON Lines)")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, {where}: no JSON ({error}); give an object a line (JSON Lines)") from None
        yield where, _inside(row, column, f"{path}, {where}")


def _inside(row: Any, column: str, where: str) -> Any:
    """The value of a column of an object, or of an object within it."""
    if not isinstance(row, dict):
        raise InputError(f"{where}: {type(row).__name__} where an object with {column!r} is wanted")
    if column in row:
        return row[column]
    first, dot, rest = column.partition(".")
    if dot and isinstance(row.get(first), dict):
        return _inside(row[first], rest, where)
    raise _unknown(column, list(row), where)


def _unknown(column: str, known: list[str], where: str) -> InputError:
    told = did_you_mean(column, known) or f"; it has {', '.join(map(str, known[:12]))}"
    return InputError(f"{where}: there is no column {column!r}{told}")


def _of_table(path: Path, column: str) -> Iterator[tuple[str, Any]]:
    table = rows(path)
    _, head = next(table, (0, []))
    names = [name.strip() for name in head]
    if column not in names:
        raise _unknown(column, names, str(path))
    place = names.index(column)
    for number, row in table:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(names):
            raise InputError(f"{path}, line {number:,}: {len(row)} cells where the heading has {len(names)}")
        yield f"line {number:,}", row[place]


def _of_folder(path: Path, column: str) -> Iterator[tuple[str, Any]]:
    state = path / "state.json"
    if state.exists():
        try:
            about = json.loads(state.read_text("utf-8"))
            names = [one["filename"] for one in about["_data_files"]]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InputError(f"{path}: its state.json cannot be read ({error}); save the dataset anew") from None
        if about.get("_indices_files"):
            raise InputError(f"{path}: the dataset is a selection of rows: save it after flatten_indices()")
        return chain.from_iterable(_of_arrow(path / Path(name).name, column) for name in names)
    if (path / "dataset_dict.json").exists():
        splits = sorted(one.name for one in path.iterdir() if one.is_dir())
        raise InputError(f"{path} has several datasets: name one of its folders, {', '.join(splits)}")
    found = sorted(path.glob("*.parquet"))
    if not found:
        raise InputError(f"{path}: no dataset and no Parquet file in it")
    return _of_parquet(found, column)


def _arrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError("this file is read by pyarrow: pip install 'attention-dynamics[data]'") from None


def _of_parquet(paths: list[Path], column: str) -> Iterator[tuple[str, Any]]:
    parquet = _arrow("pyarrow.parquet")
    for path in paths:
        try:
            file = parquet.ParquetFile(path)
            names = file.schema_arrow.names
            top = _top(column, names, str(path))
            yield from _of_batches(file.iter_batches(columns=[top]), column, top, path)
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None


def _of_arrow(path: Path, column: str) -> Iterator[tuple[str, Any]]:
    ipc = _arrow("pyarrow.ipc")
    try:
        with open(path, "rb") as file:
            reader = ipc.open_stream(file)
            top = _top(column, reader.schema.names, str(path))
            yield from _of_batches((batch.select([top]) for batch in reader), column, top, path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as Arrow ({str(error).splitlines()[0]})") from None


def _top(column: str, names: list[str], where: str) -> str:
    for name in (column, column.partition(".")[0]):
        if name in names:
            return name
    raise _unknown(column, names, where)


def _of_batches(batches: Any, column: str, top: str, path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    for batch in batches:
        for value in batch.column(0).to_pylist():
            number += 1
            where = f"row {number:,}"
            yield where, value if top == column else _inside({top: value}, column, f"{path}, {where}")
