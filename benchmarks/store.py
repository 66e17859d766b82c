"""What has been measured, case by case, kept as CSV: a later run adds to it, or measures some cases anew."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from io import StringIO
from math import nan
from pathlib import Path
from typing import Any

from benchmarks.case import Row


@dataclass(frozen=True)
class Result:
    """One case as it was measured.

    Attributes
    ----------
    case : str
    measured : str
        When it was begun.
    load : float
        Mean number of processes that wanted a core in the minute before; one of them is the case that came before.
    seconds : float
        How long it took in all, with all that is not timed.
    rows : tuple of Row
    """

    case: str
    measured: str
    load: float
    seconds: float
    rows: tuple[Row, ...]


ABOUT = ("case", "measured", "load", "seconds")
READ = {"float": float, "int": int, "str": str, "bool": lambda text: text == "True"}


def as_csv(results: Iterable[Result]) -> str:
    """All rows, in seconds; what does not apply is nan."""
    text = StringIO()
    writer = csv.DictWriter(text, [*ABOUT, *(field.name for field in fields(Row))], lineterminator="\n")
    writer.writeheader()
    for result in results:
        about = {name: getattr(result, name) for name in ABOUT}
        writer.writerows(about | asdict(row) for row in result.rows)
    return text.getvalue()


def from_csv(text: str) -> dict[str, Result]:
    """The results by case.

    >>> row = Row(100.0, "heyoka", 1e-3, 2e-3, 1.5, 1.4, 1.6, peer=True)
    >>> found = from_csv(as_csv([Result("sweep", "2026-01-01 12:00", 0.5, 30.0, (row, row))]))
    >>> found["sweep"].rows[1].ratio, found["sweep"].load, found["sweep"].rows[1].peer
    (1.5, 0.5, True)
    """
    found: dict[str, Result] = {}
    for line in csv.DictReader(StringIO(text)):
        row = Row(**{field.name: READ[str(field.type)](line[field.name]) for field in fields(Row)})
        before = found[line["case"]].rows if line["case"] in found else ()
        about: dict[str, Any] = {"case": line["case"], "measured": line["measured"]}
        found[line["case"]] = Result(
            **about, load=float(line["load"] or nan), seconds=float(line["seconds"]), rows=(*before, row)
        )
    return found


def kept(directory: Path) -> dict[str, Result]:
    """What an earlier run left in a directory; nothing if there is none, or if its columns are others."""
    try:
        return from_csv((directory / "benchmark.csv").read_text(encoding="utf-8"))
    except (FileNotFoundError, KeyError):
        return {}


def merged(earlier: Mapping[str, Result], new: Result, order: Iterable[str]) -> dict[str, Result]:
    """With a case measured anew in the place of its earlier measurement; cases in their order."""
    both = {**earlier, new.case: new}
    return {name: both[name] for name in order if name in both}
