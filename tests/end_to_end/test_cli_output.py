"""What commands print and leave behind: quietly, as tables to be read, beside nothing that is stale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import CoOccurrence, InputError, solve
from dynamics.cli import run

pytestmark = pytest.mark.filterwarnings("ignore::dynamics.support.errors.DataWarning")
COUNTS = ",dog,cat\nHund,8,1\nKatze,1,7\n"
BRIEF = ["--time", "30", "--times", "4"]


@pytest.fixture
def counts(tmp_path: Path) -> list[str]:
    (tmp_path / "c.csv").write_text(COUNTS, encoding="utf-8")
    return ["solve", "--cooccurrence", str(tmp_path / "c.csv"), *BRIEF, "-o", str(tmp_path / "out")]


def test_quiet_prints_nothing_and_for_this_command_only(counts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--quiet", *counts, "--figures", "none"]) == 0
    assert capsys.readouterr().out == ""
    assert run([*counts, "--figures", "none"]) == 0
    assert "written to" in capsys.readouterr().out


def test_tables_are_read_back(counts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*counts, "--figures", "none", "--format", "json", "--words", "Hund"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["word"], row["learnt translation"]) == ("Hund", "dog")
    assert run([*counts, "--figures", "none", "--format", "csv", "--words", "Hund"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split(",")[0] == "word"
    assert line.startswith("Hund,dog,")
    assert run([*counts, "--format", "xml"]) == 2
    assert "use one of text, csv, json" in capsys.readouterr().err


def test_no_figure_stands_beside_data_that_it_does_not_show(counts: list[str], tmp_path: Path) -> None:
    assert run([*counts, "--figures", "svg"]) == 0
    assert (tmp_path / "out" / "distance.svg").exists()
    assert run([*counts, "--figures", "png", "--stages", "joint"]) == 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert "distance.svg" not in left
    assert not any(name.endswith(".svg") for name in left)
    assert "loss.png" in left


def test_an_axis_of_whole_numbers_has_whole_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["phase", "--x", "V=8.5:9.5"]) == 2
    assert "V is a whole number" in capsys.readouterr().err


def test_initial_states_are_aligned_by_their_labels() -> None:
    system = CoOccurrence.from_counts([[8, 1], [1, 7]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    W = xr.DataArray(
        [[1.0, 2.0], [3.0, 4.0]], {"input": ["Hund", "Katze"], "output": ["dog", "cat"]}, ("input", "output")
    )
    same = solve(system, [0, 5], initial={"W": W})
    other = solve(system, [0, 5], initial={"W": W.isel(input=[1, 0], output=[1, 0]).transpose("output", "input")})
    np.testing.assert_array_equal(other.W, same.W)
    np.testing.assert_array_equal(same.W[0], W)
    with pytest.raises(InputError, match="'Maus' is only in one of"):
        solve(system, [0, 5], initial={"W": W.assign_coords(input=["Hund", "Maus"])})
    with pytest.raises(InputError, match="has the dimensions a, output"):
        solve(system, [0, 5], initial={"W": W.rename(input="a")})
    with pytest.raises(InputError, match="complex"):
        solve(system, [0, 5], initial={"W": W.values * 1j})
