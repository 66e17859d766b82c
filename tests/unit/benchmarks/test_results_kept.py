"""Results are kept case by case, and come to the fastest peer of every race."""

from __future__ import annotations

from math import nan
from pathlib import Path

import pytest

pytest.importorskip("benchmarks", reason="the benchmark is not part of the installed package")

from benchmarks.case import Case, Row
from benchmarks.measure import Machine
from benchmarks.report import by_family, summary, table, worst, write
from benchmarks.runs import CASES, case
from benchmarks.store import Result, as_csv, from_csv, kept, merged

MACHINE = Machine(1e10, 1e10)
OURS = Row(100.0, "dynamics", 1e-3, 1e-3, 1.0, 1.0, 1.0, 8, 1e-6, flops=1e6, race="dynamics", tolerance=1e-5)
ROWS = (
    OURS,
    Row(100.0, "dynamics DOP853", 9e-4, 9e-4, 0.9, 0.89, 0.92, 8, race="dynamics"),
    Row(100.0, "heyoka, batches of 8", 1.2e-3, 1.2e-3, 1.2, 1.1, 1.3, 8, peer=True, race="dynamics"),
    Row(100.0, "SciPy", 0.1, 0.1, 100.0, nan, nan, 1, note="cell, by cell", peer=True, race="dynamics"),
    Row(1000.0, "dynamics", 1e-3, 1e-3, race="dynamics"),
    Row(1000.0, "diffrax", 8e-4, 8e-4, 0.8, 0.78, 0.83, 5, peer=True, race="dynamics"),
)
SWEEP = Result("sweep", "2026-01-01 12:00", 0.25, 31.5, ROWS)
STARTUP = Result(
    "startup", "2026-01-01 12:01", 0.5, 2.0, (Row(1.0, "import dynamics", 0.1, 0.1, race="import dynamics"),)
)


def nothing(setting: object) -> None:
    """A case that is described only."""


def test_what_is_written_is_read_again() -> None:
    found = from_csv(as_csv([SWEEP, STARTUP]))
    assert repr(found) == repr({"sweep": SWEEP, "startup": STARTUP})  # nan is not equal to itself


def test_a_case_measured_anew_takes_its_place() -> None:
    anew = Result("startup", "2026-01-02 12:00", 0.0, 1.0, ())
    found = merged({"startup": STARTUP}, SWEEP, ("sweep", "startup"))
    assert list(found) == ["sweep", "startup"]
    assert merged(found, anew, ("sweep", "startup")) == {"sweep": SWEEP, "startup": anew}


def test_results_of_a_directory_stay_and_nothing_is_read_where_there_is_none(tmp_path: Path) -> None:
    assert kept(tmp_path) == {}
    described = Case("sweep", "copying", "cells", nothing)  # type: ignore[arg-type]
    write(tmp_path, [(described, SWEEP)], MACHINE, [], draw=False)
    assert repr(kept(tmp_path)) == repr({"sweep": SWEEP})
    (tmp_path / "benchmark.csv").write_text("case,size\nsweep,100\n")
    assert kept(tmp_path) == {}


def test_a_race_comes_to_its_fastest_peer() -> None:
    assert [(own.size, fastest.name, peer.name) for own, fastest, peer in worst(ROWS)] == [
        (100, "dynamics DOP853", "heyoka, batches of 8"),
        (1000, "dynamics", "diffrax"),
    ]
    text = summary([SWEEP, STARTUP])
    assert (
        "| sweep | 100 | dynamics | 1.00 ms | heyoka, batches of 8 | 1.20 | 1.10 to 1.30, 8 | 1.33, dynamics DOP853 |"
        in text
    )
    assert "| diffrax | **0.800** | 0.780 to 0.830, 5 |  |" in text
    assert "Median 1.00, least 0.800, 2 races." in text
    assert summary([STARTUP]) == ""


def test_families_of_peers_have_a_column_each() -> None:
    other = Row(100.0, "PyTorch", 2e-3, 2e-3, 2.0, peer=True, race="dynamics")
    slower = Row(100.0, "heyoka, batches of 16", 2e-3, 2e-3, 2.0, peer=True, race="dynamics")
    lines = by_family([Result("sweep", "", 0.0, 1.0, (*ROWS[:4], other, slower)), STARTUP]).splitlines()
    assert lines[2] == "| case | size | ours | heyoka | diffrax | torchdiffeq | SciPy and NumPy | others |"
    assert lines[4:] == ["| sweep | 100 | dynamics, 1.00 ms | 1.20 |  |  | 100 | 2.00 (PyTorch) |"]


def test_a_table_says_when_and_on_what_load() -> None:
    text = table(Case("sweep", "copying", "cells", nothing), SWEEP, MACHINE)  # type: ignore[arg-type]
    assert "| 100 | dynamics | 1.00 ms | 1.00 ms | 1.00 | 8 | 1.0e-06 | tolerance 1e-05 |" in text
    assert "| 100 | SciPy | 100 ms | 100 ms | 100 | 1 |  | cell, by cell |" in text
    assert text.endswith("Measured 2026-01-01 12:00, load 0.2 before it, in 32 s.\n")


@pytest.mark.parametrize("name", CASES)
def test_every_case_stands_where_it_is_looked_for(name: str) -> None:
    assert case(name).name == name
