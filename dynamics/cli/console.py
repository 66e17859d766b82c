"""What commands print: in any terminal or none, plainly, and never at the cost of a result."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from dynamics.support.errors import InputError

QUIET = "DYNAMICS_QUIET"
"""The environment variable that keeps commands from printing anything but errors; so does ``dynamics --quiet``."""
TABLES = ("text", "csv", "json")
"""What a table may be printed as."""


@contextmanager
def silence(quiet: bool) -> Iterator[None]:
    """Within it nothing is printed but errors, if wanted."""
    before = os.environ.get(QUIET)
    if quiet:
        os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if quiet and before is None:
            del os.environ[QUIET]


def say(text: str = "") -> None:
    """Print a line: what the terminal cannot show is escaped, and a reader who has gone is left alone."""
    if not os.environ.get(QUIET):
        _write(sys.stdout, text)


def report(message: str, status: int) -> int:
    """Print an error in one line, and give back the status."""
    _write(sys.stderr, f"error: {' '.join(message.split())}")
    return status


def warn(message: str) -> None:
    """Print a warning in one line."""
    _write(sys.stderr, f"warning: {' '.join(message.split())}")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # started without one
        return
    line = text + "\n"
    try:
        stream.write(line)
        stream.flush()
    except UnicodeEncodeError:
        coding = getattr(stream, "encoding", None) or "ascii"
        with contextlib.suppress(OSError, ValueError):
            stream.write(line.encode(coding, "backslashreplace").decode(coding))
            stream.flush()
    except (OSError, ValueError):
        # The reader has closed the pipe, the disk behind it is full, or there is no output: results are on disk, and
        # the interpreter must not complain when it flushes at its end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def table(head: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | float]], form: str = "text") -> str:
    """A table: plain, with columns as wide as they need to be, ``left`` or ``right``; or csv, or json, to be read.

    In json, columns on the right have numbers, and null where there is none or it is not finite.

    Examples
    --------
    >>> print(table([("word", "left"), ("beta", "right")], [["dog", "0.9"], ["a", "0.25"]]))
    word  beta
    dog    0.9
    a     0.25
    """
    if form == "json":
        told = [
            {name: _number(cell) if side == "right" else cell for (name, side), cell in zip(head, row, strict=True)}
            for row in rows
        ]
        return json.dumps(told, ensure_ascii=False)
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([[name for name, _ in head], *rows])
        return text.getvalue().removesuffix("\n")
    cells = [[name for name, _ in head], *([str(cell) for cell in row] for row in rows)]
    widths = [max(_cells(row[k]) for row in cells) for k in range(len(head))]

    def line(row: Sequence[str]) -> str:
        parts = [
            (" " * (widths[k] - _cells(cell)) + cell)
            if head[k][1] == "right"
            else cell + " " * (widths[k] - _cells(cell))
            for k, cell in enumerate(row)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join(map(line, cells))


def _number(cell: str | float) -> str | float | None:
    """What a cell of numbers says; None of a dash, or of what is not finite; text of what is more than a number.

    Examples
    --------
    >>> _number("0.25"), _number("-"), _number("inf"), _number("228 ± 3"), _number(4)
    (0.25, None, None, '228 ± 3', 4)
    """
    if cell == "-":
        return None
    try:
        found = float(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell
    return found if math.isfinite(found) else None


def table_format(form: str) -> str:
    """A format of tables, checked."""
    if form not in TABLES:
        raise InputError(f"unknown format {form!r}; use one of {', '.join(TABLES)}")
    return form


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes: two for wide letters."""
    from rich.cells import cell_len

    return cell_len(text)


@contextmanager
def progress(description: str, unit: str = "") -> Iterator[Callable[..., None] | None]:
    """A progress bar with an estimate of the time left on a terminal; in a pipe, a line now and then.

    It is called with the share that is done; with a ``unit``, also with how many units that is, and shows their rate.
    """
    if os.environ.get(QUIET):
        yield None
        return
    if sys.stderr is None or not sys.stderr.isatty():
        yield _lines(description)
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    rate: list[Any] = [TextColumn("{task.fields[rate]}")] if unit else []
    began = time.monotonic()
    with Progress(*Progress.get_default_columns(), *rate, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=1.0, rate="")

        def show(share: float, done: int = 0) -> None:
            per_second = done / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=share, rate=f"{per_second:,.0f} {unit}/s" if done else "")

        yield show


EVERY = 30.0
"""Seconds between two lines of progress in a pipe; a run that takes less has none."""


def _lines(description: str) -> Callable[..., None]:
    began = last = time.monotonic()

    def show(share: float, done: int = 0) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < EVERY or not 0 < share < 1:
            return
        last = now
        left = (now - began) * (1 / share - 1)
        _write(sys.stderr, f"{description}: {100 * share:.0f} % after {now - began:.0f} s, about {left:.0f} s more")

    return show
