"""Killed at any moment: nothing is half-written, and what goes on afterwards ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import CoOccurrence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = int(os.environ.get("DYNAMICS_KILLS", "25"))
"""Of each command."""
COMMANDS = {
    "solve": ["solve", "--time", "300", "--max-vocab", "40", "--figures", "png", "-o", "out"],
    "simulate": [
        "simulate", "--task", "copying", "--vocab", "8", "--length", "5", "--lr", "1", "--batch", "64",
        "--steps", "4000", "--seeds", "2", "--figures", "svg", "-o", "out",
    ],
    "phase": ["phase", "--x", "V=8:23", "--y", "L=4:19", "--figures", "png", "-o", "out"],
    "cooccurrence": ["cooccurrence", "one.txt", "other.txt", "-o", "out/counts.npz"],
}  # fmt: skip
RESUMED = {
    "simulate": ("out/checkpoint.npz", ["--resume", "out/checkpoint.npz"]),
    "phase": ("out/blocks", ["--resume"]),
}
"""What is there to go on from, and how."""


def start(command: list[str], directory: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dynamics.cli", *command], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def finished(command: list[str], directory: Path) -> float:
    """Run to the end; the seconds it took."""
    began = time.monotonic()
    process = start(command, directory)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return time.monotonic() - began


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def same_results(one: Path, other: Path) -> None:
    """The same files, with the same numbers in those that hold results."""
    assert files(one) == files(other)
    for path in sorted(files(one)):
        if path.endswith(".nc"):
            with xr.open_dataset(one / path) as here, xr.open_dataset(other / path) as there:
                xr.testing.assert_equal(here, there)
        elif path.endswith("counts.npz"):
            here, there = CoOccurrence.load(one / path), CoOccurrence.load(other / path)
            np.testing.assert_array_equal(here.C, there.C)
            assert (here.inputs, here.outputs) == (there.inputs, there.outputs)


def whole(directory: Path) -> None:
    """Every file that has a name of its own can be read."""
    for path in directory.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix == ".nc":
            with xr.open_dataset(path) as found:
                found.load()
        elif path.suffix == ".npz" and path.parent.name == "out":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name] is not None for name in arrays.files)


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_random_moments(name: str, tmp_path: Path) -> None:
    words = random.Random(5)
    compiling, whole_run, killed = (tmp_path / name for name in ("compiling", "whole", "killed"))
    for directory in (compiling, whole_run, killed):
        directory.mkdir()
    for text in ("one.txt", "other.txt"):
        lines = [" ".join(f"w{words.randrange(3000)}" for _ in range(12)) for _ in range(60_000)]
        for directory in (compiling, whole_run, killed) if name == "cooccurrence" else ():
            (directory / text).write_text("\n".join(lines))
    finished(COMMANDS[name], compiling)
    seconds = finished(COMMANDS[name], whole_run)

    moments, kept, resume = random.Random(name), *RESUMED.get(name, ("", []))
    ended = 0
    for _ in range(KILLS):
        line = COMMANDS[name] + (resume if kept and (killed / kept).exists() else [])
        process = start(line, killed)
        try:
            # Most of what may be half-done is done in the last third: results and figures are written there.
            process.wait(timeout=seconds * moments.choice([moments.uniform(0, 1), moments.uniform(0.6, 1.1)]))
            ended += 1
            assert process.returncode == 0, process.communicate()[1]
            for path in sorted(killed.glob("out/**/*"), reverse=True):  # anew
                path.unlink() if path.is_file() else path.rmdir()
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        whole(killed)
    assert ended < KILLS, "no run was killed"
    finished(COMMANDS[name] + (resume if kept and (killed / kept).exists() else []), killed)
    same_results(whole_run / "out", killed / "out")
