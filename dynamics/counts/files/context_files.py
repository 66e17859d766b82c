"""Files of context counts: arrays, and what they are of as JSON."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # of which scipy.sparse is loaded when it is first used

from dynamics.support.errors import InputError
from dynamics.support.files import existing, write_aside
from dynamics.support.memory import require

__all__ = ["read", "write"]

_FORMAT = "attention-dynamics context 1"
_PARTS = ("data", "indices", "indptr")
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, ArithmeticError, MemoryError,
)  # fmt: skip


def write(path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write arrays, dense ones and csr_arrays, as ``.npz``, complete or not at all.

    Raises
    ------
    InputError
        If the name ends otherwise or cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"cannot save {str(path)!r}: context counts are saved as .npz, name it so")
    stored: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, values in arrays.items():
        if scipy.sparse.issparse(values):
            stored |= {f"{name}.{part}": getattr(values, part) for part in _PARTS}
            shapes[name] = values.shape
        else:
            stored[name] = values
    told = json.dumps({"format": _FORMAT, "shapes": shapes, **about})
    stored["about"] = np.frombuffer(told.encode(), dtype=np.uint8)
    with write_aside(path) as aside, open(aside, "wb") as file:
        np.savez_compressed(file, **stored)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `write` wrote.

    Raises
    ------
    InputError
        If the file does not exist, is damaged, holds other things or more than memory does.
    """
    found = existing(path)
    try:
        with zipfile.ZipFile(found) as archive:
            size = sum(member.file_size for member in archive.infolist())
        require(size, f"{found}: what it expands to", lambda budget: "keep fewer words when counting")
        with np.load(found, allow_pickle=False) as file:
            if "about" not in file.files or (about := json.loads(file["about"].tobytes()))["format"] != _FORMAT:
                raise InputError(f"{found}: has no context counts in it, as ContextCounts.save writes them")
            arrays = {name: file[name] for name in file.files if "." not in name and name != "about"}
            for name, shape in about["shapes"].items():
                parts = tuple(file[f"{name}.{part}"] for part in _PARTS)
                arrays[name] = scipy.sparse.csr_array(parts, shape=tuple(shape))
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{found}: cannot be read as context counts ({str(error) or type(error).__name__})") from None
    return about, arrays
