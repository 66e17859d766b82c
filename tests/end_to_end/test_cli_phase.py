"""``dynamics phase``: its example, a kill and going on, and wrong input that leaves everything as it was."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics.cli import console, run
from dynamics.cli.phase import phase
from dynamics.phase.axes import axis
from dynamics.support import trajectory
from dynamics.support.errors import InputError

SMALL = ["--x", "V=8,9,10", "--y", "L=4:6", "--time", "300"]
SIMULATED = [
    "--x", "V=5:8", "--y", "L=2:5", "--time", "6", "--simulate", "--draws", "2", "--batch", "8", "--figures", "none",
    "--threads", "1", "--fix", "sigma=0.1", "--lr", "0.01",
]  # fmt: skip


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def complaint(arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    """The one line that a wrong command line is answered with."""
    capsys.readouterr()
    assert run(["phase", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err


def test_the_example_of_the_help_runs(tmp_path, capsys):
    example = re.search(r"Example: dynamics (.*)", phase.__doc__)[1]
    assert run([*shlex.split(example), "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "probability of α ≥ 0.5 by the end: 440 cells, 440 of them computed (" in said
    assert "cells/s)" in said
    found = trajectory.load(tmp_path / "phase.nc")
    assert found.value.dims == ("sigma", "extra")
    assert found.value.shape == (40, 11)
    assert float(found.value.sel(extra=0).mean()) == pytest.approx(0.5, abs=0.05)
    assert (found.value[0, 1:] == 1).all()
    assert (tmp_path / "phase.png").exists()


def test_help_in_words(capsys):
    assert run(["phase", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Example: dynamics phase" in said


def test_whole_run_and_again(tmp_path, capsys):
    assert run(["phase", *SMALL, "-o", str(tmp_path)]) == 0
    assert "not by the end in" not in capsys.readouterr().out
    first = trajectory.load(tmp_path / "phase.nc")
    before = files(tmp_path)
    assert "holds this sweep already; go on with it by --resume" in complaint([*SMALL, "-o", str(tmp_path)], capsys)
    assert files(tmp_path) == before
    assert run(["phase", *SMALL, "-o", str(tmp_path), "--resume"]) == 0
    assert "9 of those before" in capsys.readouterr().out
    xr.testing.assert_equal(trajectory.load(tmp_path / "phase.nc"), first)
    other = [*SMALL[:-1], "2", "-o", str(tmp_path)]
    before = files(tmp_path)
    assert "t_end was 300.0 and is 2.0 now" in complaint([*other, "--resume"], capsys)
    assert files(tmp_path) == before
    assert run(["phase", *other, "--force"]) == 0
    assert "not by the end in 9 cells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--system", "and-uniform"], "no theory with attention held uniform"),
        (["--system", "parity", "--simulate"], "parity of 3 bits is not a linear threshold function"),
        (["--system", "and", "--quantity", "time"], "the quantity is learnt"),
    ],
)
def test_what_a_sparse_function_cannot_do_writes_nothing(options, expected, tmp_path, capsys):
    out = tmp_path / "out"
    assert expected in complaint([*options, "--x", "T=5,9", "--y", "m=5,9", "-o", str(out)], capsys)
    assert not out.exists()


def test_critical_sizes_are_said(tmp_path, capsys):
    assert run(["phase", "--system", "and", "--x", "T=20,40,80", "--y", "m=10:40", "-o", str(tmp_path)]) == 0
    assert "half succeed at m = 18.1 (T = 20)" in (said := capsys.readouterr().out)
    assert "log2(T)" in said


@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_a_diagram_without_its_blocks_is_not_overwritten(option, tmp_path, capsys):
    (tmp_path / "phase.nc").write_text("mine")
    assert "is of a sweep before" in complaint([*SMALL, *option, "-o", str(tmp_path)], capsys)
    assert files(tmp_path) == {tmp_path / "phase.nc": b"mine"}


def test_killed_and_resumed(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(["phase", *SIMULATED, "-o", str(whole)]) == 0
    expected = trajectory.load(whole / "phase.nc")
    with subprocess.Popen([sys.executable, "-m", "dynamics.cli", "phase", *SIMULATED, "-o", str(killed)]) as process:
        while len(list((killed / "blocks").glob("[!.]*.npz"))) < 5 and process.poll() is None:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    written = {path: path.stat().st_mtime_ns for path in (killed / "blocks").glob("*.npz") if path.name[0] != "."}
    assert 5 <= len(written) < 16
    assert not (killed / "phase.nc").exists()
    damaged = sorted(written)[0]
    damaged.write_bytes(damaged.read_bytes()[:50])
    del written[damaged]
    assert run(["phase", *SIMULATED, "-o", str(killed), "--resume"]) == 0
    found = trajectory.load(killed / "phase.nc")
    xr.testing.assert_identical(found.drop_attrs(), expected.drop_attrs())
    assert found.attrs["computed_now"] <= 16 - len(written)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(list((killed / "blocks").glob("[!.]*.npz"))) == 16


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--x L=10:20 --y V=2:8", "L is above V everywhere"),
        ("--x H=0:2 --y V=8:10 --fix L=3", "H = 0 must be a whole number from 1"),
        ("--x V=8", "axis V has 1 point; give two or more"),
        ("--x V=8:10:1", "an axis has two points or more"),
        ("--x Vocab=8:10", "no parameter 'Vocab'"),
        ("--observable p_tt", "no observable 'p_tt'; did you mean 'p_t'?"),
        *((f"--threshold {bad}", "give one between 0 and 1") for bad in ("0", "1", "-0.5", "nan")),
        ("--draws 0", "draws = 0"),
        ("--lr 0 --simulate", "lr = 0.0 must be above 0"),
        ("--batch 0 --simulate", "batch = 0"),
        ("--x V=4:8 --y V=4:8", "--x and --y are both V"),
        ("--fix V=8", "V is an axis and fixed"),
        ("--fix q=1", "no parameter 'q'"),
        ("--fix sigma=nan", "sigma = nan must be a number"),
        ("--fix sigma", "is not a list such as"),
        *((f"--x {bad}", "is not an axis such as") for bad in ("foo", "=1:3", "V=1:x", "V=5:2", "V=8:8", "V=nan:3",
                                                               "V=8:10:2.5", "V=8:10:3:lg", "V=1:2:3:4:log", "V=")),
        ("--x sigma=0:1:4:log", "a logarithmic axis begins above 0"),
        ("--x V=1:1e9", "points are too many"),
        ("--x V=8.5,9", "axis V must be whole numbers"),
        ("--time nan", "t_end = nan"),
        ("--time -1", "t_end = -1.0"),
        ("--system copyin", "did you mean 'copying'?"),
        ("--quantity tim", "unknown quantity 'tim'; use time, learnt or value"),
        ("--refine 11", "refine = 11"),
        ("--seed -1", "seed = -1"),
        ("--threads 0", "threads = 0"),
        ("--figures gif", "unknown figure format"),
        ("--scheduler nonsense", "no Dask scheduler answers there"),
    ],
)  # fmt: skip
def test_wrong_input(given, message, tmp_path, capsys):
    pytest.importorskip("distributed")
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "thesis.txt").write_text("mine")
    before = files(tmp_path)
    assert message in complaint([*shlex.split(given), "--force", "-o", str(tmp_path)], capsys)
    assert files(tmp_path) == before


def test_axes():
    whole = frozenset({"V"})
    assert axis("V=4:7", "--x", whole)[1].tolist() == [4, 5, 6, 7]
    assert axis("V=4:9:3", "--x", whole)[1].tolist() == [4, 6, 9]
    assert axis("V=1:100:5:log", "--x", whole)[1].tolist() == [1, 3, 10, 32, 100]
    assert axis("V=1:3:40:log", "--x", whole)[1].tolist() == [1, 2, 3]
    assert axis("s=-1:1", "--x", whole)[1].size == 41
    np.testing.assert_allclose(axis("s=-1:1:5", "--x", whole)[1], [-1, -0.5, 0, 0.5, 1])
    assert axis("s=1,2.5,7", "--x", whole)[1].tolist() == [1, 2.5, 7]
    with pytest.raises(InputError, match="--y"):
        axis("s", "--y", whole)


def test_progress_shows_cells_per_second(monkeypatch, tmp_path):
    """On a terminal: the share that is done and the rate of cells computed now."""
    shown = []

    class Terminal:
        def isatty(self):
            return True

        def write(self, text):
            shown.append(text)

        def flush(self):
            pass

    monkeypatch.setattr(console.sys, "stderr", Terminal())
    monkeypatch.setattr("dynamics.phase.diagram.BLOCK", 1)
    assert run(["phase", *SMALL, "-o", str(tmp_path), "--figures", "none"]) == 0
    said = "".join(shown)
    assert "sweeping" in said
    assert re.search(r"[\d,]+ cells/s", said)
