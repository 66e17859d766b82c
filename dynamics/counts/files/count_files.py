"""Files of counts: those that `CoOccurrence.save` writes, NumPy's, SciPy's, Matrix Market's, and tables."""

import csv
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used

from dynamics.counts.bags.sample import BagSample
from dynamics.counts.distribution import Distribution, Matrix
from dynamics.counts.text.lines import beginning, unpacked
from dynamics.counts.text.tables import rows, separator_hint, table_suffix
from dynamics.support.errors import InputError
from dynamics.support.files import write_aside
from dynamics.support.memory import require

_FORMAT = "attention-dynamics co-occurrence 1"
WHOLE = 2**64
"""Whole numbers from here on are refused, in files as in arrays."""
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, ArithmeticError, MemoryError,
)  # fmt: skip


class Table(NamedTuple):
    """Counts with the labels that they come with."""

    counts: Any
    inputs: Iterable[Any] | None = None
    outputs: Iterable[Any] | None = None


def write(path: str | os.PathLike[str], found: Distribution) -> None:
    """Write a distribution as ``.npz``, complete or not at all.

    Raises
    ------
    InputError
        If the name ends otherwise or cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"cannot save {str(path)!r}: co-occurrence statistics are saved as .npz, name it so")
    about = {
        "format": _FORMAT,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "length": found.length,
        "attrs": dict(found.attrs),
    }
    # JSON as bytes: NumPy's string arrays pad every label to the longest.
    arrays: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
    if scipy.sparse.issparse(found.C):
        arrays |= {"data": found.C.data, "indices": found.C.indices, "indptr": found.C.indptr}
    else:
        arrays["C"] = found.C
    if found.gram is not None:
        arrays["gram"] = found.gram
    if found.bags is not None:
        arrays |= found.bags.packed()
    with write_aside(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **arrays)


def write_table(path: str | os.PathLike[str], found: Distribution) -> None:
    """Write C as ``.csv`` or ``.tsv``, inputs along the rows, numbers to the last bit, complete or not at all.

    Raises
    ------
    InputError
        If the name ends otherwise or cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".tsv"):
        raise InputError(f"cannot write {str(path)!r}: a table is written as .csv or .tsv, name it so")
    # Quotes are letters in .tsv files, and no word has a tab in it.
    tabs: Any = {"quoting": csv.QUOTE_NONE, "quotechar": None, "delimiter": "\t"}
    sparse = scipy.sparse.issparse(found.C)
    with write_aside(path) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n", **(tabs if suffix == ".tsv" else {}))
        table.writerow(["", *found.outputs])
        for place, word in enumerate(found.inputs):
            row = found.C[[place]].toarray()[0] if sparse else found.C[place]
            table.writerow([word, *(repr(float(value)) if value else "0" for value in row)])


def read(path: Path) -> Distribution | Table:
    """What `write` wrote, unchecked, or counts with the labels that the file has.

    Raises
    ------
    InputError
        If the file is damaged, of an unknown kind, or holds more than memory does.
    """
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if table_suffix(path):
        try:
            return _read_table(path)
        except InputError as error:
            raise InputError(f"{error}{separator_hint(path)}") from None
    try:
        if suffix in (".npy", ".npz"):
            return _read_numpy(path)
        if suffix.endswith((".mtx", ".mtx.gz")):
            return Table(_read_market(path))
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = beginning(str(error), 120) if str(error) else type(error).__name__
        raise InputError(f"{path}: cannot be read as {suffix} ({reason})") from None
    raise InputError(f"{path}: files of counts end in .npy, .npz, .mtx, .csv or .tsv, this one in {suffix or 'none'!r}")


def _read_market(path: Path) -> Matrix:
    from scipy.io import mmread  # here, because few read such files and it takes a while to import

    with open(path, "rb") as plain, unpacked(plain, path) as file:
        return mmread(io.BytesIO(file.read()))  # SciPy's reader swallows errors that happen while it reads


def _read_numpy(path: Path) -> Distribution | Table:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        require(size, f"{path}: what it expands to", lambda budget: "keep fewer words when counting")
    file = np.load(path, allow_pickle=False)
    if isinstance(file, np.ndarray):
        return Table(file)
    with file:
        if "about" in file.files:
            about = json.loads(file["about"].tobytes())
            if about["format"] != _FORMAT:
                raise InputError(f"{path}: written in the format {about['format']!r}: this version reads {_FORMAT!r}")
            inputs, outputs = about["inputs"], about["outputs"]
            if "C" in file.files:
                C = file["C"]
            else:
                parts = (file["data"], file["indices"], file["indptr"])
                C = scipy.sparse.csr_array(parts, shape=(len(inputs), len(outputs)))
            gram = file["gram"] if "gram" in file.files else None
            bags = BagSample.unpacked(file) if "bags_hashes" in file.files else None
            return Distribution(C, inputs, outputs, about["length"], gram, about["attrs"], bags)
        if "format" in file.files:
            return Table(scipy.sparse.load_npz(path))
        if len(file.files) == 1:
            return Table(file[file.files[0]])
        raise InputError(f"{path}: holds {len(file.files)} arrays ({', '.join(file.files[:5])}): save the counts alone")


def _read_table(path: Path) -> Table:
    """A table of numbers, with or without labels."""
    table = [(number, cells) for number, cells in rows(path) if any(cell.strip() for cell in cells)]
    if not table:
        raise InputError(f"{path}: the file has no numbers in it")
    _, first = table[0]
    labelled = _number(first[0]) is None
    body = table[1:] if labelled else table
    if labelled and not body:
        raise InputError(f"{path}: the file has one line, of labels or text: lines of numbers are missing")
    if labelled:
        # A heading without a corner, as R writes it, is one cell short. An empty first cell is a corner.
        outputs = first if first[0].strip() and len(first) == len(body[0][1]) - 1 else first[1:]
        if not outputs:
            raise InputError(f"{path}, line {table[0][0]:,}: one cell ({beginning(first[0])}) and no column of counts")
        _check_not_half_labelled(path, first, [cells[0] for _, cells in body], corner=outputs is not first)
    width = len(outputs) + 1 if labelled else len(first)
    counts = np.empty((len(body), width - labelled))
    for row, (line, cells) in zip(counts, body, strict=True):
        if len(cells) != width:
            raise InputError(f"{path}, line {line:,}: {len(cells)} cells where the first line asks for {width}")
        for column in range(labelled, width):
            value = _number(cells[column])
            if value is not None and abs(value) >= WHOLE and cells[column].strip().lstrip("+-").isdecimal():
                raise InputError(
                    f"{path}, line {line:,}, column {column + 1}: a whole number beyond 64 bits: write it as"
                    f" {value:.6g}, or divide all by one number"
                )
            if value is None:
                raise InputError(
                    f"{path}, line {line:,}, column {column + 1}: {beginning(cells[column].strip())} is not a number"
                    if cells[column].strip()
                    else f"{path}, line {line:,}, column {column + 1}: the cell is empty; write 0"
                )
            row[column - labelled] = value
    if not labelled:
        return Table(counts)
    return Table(counts, tuple(cells[0].strip() for _, cells in body), tuple(cell.strip() for cell in outputs))


def _check_not_half_labelled(path: Path, first: list[str], inputs: list[str], corner: bool) -> None:
    """Refuse tables that have labels on one side only: a line or a column of counts would be taken for labels."""
    if not corner or not first[0].strip():
        return
    for cells, have, lack in ((first[1:], "rows", "columns"), (inputs, "columns", "rows")):
        if all(_number(cell) is not None for cell in cells):
            raise InputError(
                f"{path}: it seems that the {have} have labels and the {lack} have none: label both or neither (if the "
                "numbers are labels, empty the first cell of the file)"
            )


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
