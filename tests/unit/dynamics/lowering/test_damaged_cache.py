"""A cache that is damaged, closed or full costs time, and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import sys
import numpy as np
from derivations.closures import linear
from dynamics.integrate.runge_kutta import combine
from dynamics.lowering import lower
from dynamics.lowering.verify import require_faithful

require_faithful(linear())
bound = lower(linear()).bind({"C": np.array([[0.5, 0.0], [0.1, 0.4]]), "c": np.array([0.5, 0.5])}, {"eta_W": 1.0})
print(*bound.evaluate(np.arange(4.0))["Wdot"].ravel())
out = np.empty(2)
combine(np.ones(2), np.ones((1, 2)), np.array([2.0]), 1, out)
print(*out)
print(sum(bound.function.stats.cache_hits.values()), sum(combine.stats.cache_hits.values()))
"""


def run(directory: Path, *, fails: bool = False, **options: object) -> list[str]:
    environment = os.environ | {"DYNAMICS_CACHE_DIR": str(directory), "NUMBA_CACHE_DIR": str(directory / "numba")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=240, **options
    )
    assert done.returncode == 0, done.stderr
    assert ("CacheWarning" in done.stderr) == fails, done.stderr
    assert done.stderr.count("Warning:") == int(fails)
    return done.stdout.splitlines()


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Path, bytes], list[str]]:
    """A cache after one run, what it holds, and what a run prints that finds everything in it."""
    directory = tmp_path_factory.mktemp("cache")
    run(directory)
    return directory, files(directory), run(directory)


def test_everything_is_found_again(whole: tuple[Path, dict[Path, bytes], list[str]]) -> None:
    directory, content, printed = whole
    assert printed[-1] == "1 1"
    assert files(directory) == content
    assert {path.suffix for path in content} == {".py", ".code", ".fact", ""}


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda old: old[: len(old) // 2],
    "empty": lambda old: b"",
    "garbage": lambda old: random.Random(1).randbytes(len(old)),
    "one bit": lambda old: old[:-9] + bytes([old[-9] ^ 4]) + old[-8:],
    "longer": lambda old: old + b"raise SystemExit(3)\n",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_files_are_made_anew(kind: str, whole: tuple[Path, dict[Path, bytes], list[str]]) -> None:
    directory, content, printed = whole
    for path, old in content.items():
        path.write_bytes(DAMAGE[kind](old) if len(old) > 40 else b"")
    assert run(directory)[:-1] == printed[:-1]
    assert files(directory).keys() == content.keys(), "debris"
    assert run(directory) == printed, "it was not made anew"


def test_a_full_disk_costs_a_warning(tmp_path: Path, whole: tuple[Path, dict[Path, bytes], list[str]]) -> None:
    """No file may grow beyond a few bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    found = run(tmp_path, fails=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    assert found[:-1] == whole[-1][:-1]
    assert all(len(content) <= 100 for content in files(tmp_path).values())
    assert not [path for path in files(tmp_path) if path.name.startswith(".")], "debris"


def test_a_directory_where_a_file_should_be_costs_a_warning(
    tmp_path: Path, whole: tuple[Path, dict[Path, bytes], list[str]]
) -> None:
    for path in whole[1]:
        (tmp_path / path.relative_to(whole[0])).mkdir(parents=True)
    assert run(tmp_path, fails=True)[:-1] == whole[-1][:-1]
