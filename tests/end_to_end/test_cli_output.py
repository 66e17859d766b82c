"""What commands print and leave behind: quietly, as tables to be read, beside nothing that is stale."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import CoOccurrence, InputError, solve
from dynamics.cli import run
from dynamics.cli.solve import foretell

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
    assert 0 < row["KTIW beta"] <= 1
    assert isinstance(row["tau at half of KTIW"], float)
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


def test_a_deleted_working_directory_is_noticed_before_anything_is_solved(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = "import os; os.rmdir('../gone'); from dynamics.cli import run; raise SystemExit(run(['solve']))"
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path / "gone", capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr == "error: cannot write 'results/solve': the working directory has been deleted\n"


def test_a_long_run_is_announced_with_its_size_and_what_is_quicker(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = (CoOccurrence.from_counts(np.ones((n, n))) for n in (40, 1500))
    foretell(small, 3)
    assert capsys.readouterr().err == ""
    foretell(large, 3)
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("warning: 1,500 x 1,500 words, 4,500,000 numbers of state: 3 predictions may take about")
    assert "--max-vocab" in told
    minutes = int(re.search(r"about (\d+) minutes", told)[1])
    foretell(large, 6)  # twice the predictions, twice the time
    again = int(re.search(r"about (\d+) minutes", " ".join(capsys.readouterr().err.split()))[1])
    assert abs(again - 2 * minutes) <= 1


def test_what_has_not_moved_is_at_no_relative_distance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.csv").write_text(",x,y\na,1,1\nb,1,1\n", encoding="utf-8")  # independent: attention stays uniform
    assert run(["solve", "--cooccurrence", str(tmp_path / "c.csv"), *BRIEF, "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "A -" in shown
    assert "nan" not in shown


def test_initial_states_in_the_file_of_arrays_decide_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "from dynamics.program_file import *\n"
        "(N, D), (n, d), (w, y) = sizes('N D'), indices('n d'), tensors('w y')\n"
        "program = model('Rows', extents={n: N, d: D}, data=[y[n]], states=[w[n, d]],\n"
        "                loss=SumOver((w[n, d] - y[n]) ** 2 / 2, n, d))\n",
        encoding="utf-8",
    )
    start = np.arange(6.0).reshape(2, 3)
    np.savez(tmp_path / "a.npz", y=[1.0, 2.0], w=start)
    line = ["solve", "--program", str(tmp_path / "p.py"), "--data", str(tmp_path / "a.npz"), *BRIEF]
    assert run([*line, "-o", str(tmp_path / "out"), "--figures", "none"]) == 0
    with xr.open_dataset(tmp_path / "out" / "trajectory.nc") as found:
        np.testing.assert_array_equal(found.w.values[0], start)
    assert run([*line, "--set", "D=4", "-o", str(tmp_path / "other"), "--figures", "none"]) == 2
