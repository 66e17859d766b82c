"""Files are written whole or not at all, whatever the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from matplotlib.figure import Figure

from dynamics import CoOccurrence, plot
from dynamics.support.errors import InputError, in_options
from dynamics.support.files import write_aside
from dynamics.support.trajectory import save


def _figure(path: Path) -> None:
    plot.save(Figure(), path)


def _trajectory(path: Path) -> None:
    save(xr.Dataset({"loss": ("time", [0.7, 0.1])}), path)


def _counts(path: Path) -> None:
    CoOccurrence.from_counts([[8, 1], [1, 8]]).save(path)


@pytest.mark.parametrize(("write", "name"), [(_figure, "a.svg"), (_trajectory, "a.nc"), (_counts, "a.npz")])
def test_all_writers_make_the_folder_and_leave_none_where_they_fail(
    write: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    write(tmp_path / "new" / "er" / name)
    assert [path.name for path in (tmp_path / "new" / "er").iterdir()] == [name]
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write(tmp_path / "file" / "new" / name)
    assert (tmp_path / "file").is_file()


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOSPC, "no space left on device"), (errno.EDQUOT, "disk quota exceeded")]
)
def test_a_disk_that_fails_while_writing_is_one_line(tmp_path: Path, number: int, reason: str) -> None:
    path = tmp_path / "new" / "numbers.txt"

    def write() -> None:
        with write_aside(path) as aside:
            aside.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(InputError) as error:
        write()
    assert str(error.value) == f"cannot write {str(path)!r}: {reason}"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_deleted_meanwhile_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "numbers.txt"

    def write() -> None:
        with write_aside(path) as aside:
            aside.unlink()
            path.parent.rmdir()

    with pytest.raises(InputError, match=r"cannot write '.*numbers\.txt': no such file or directory$"):
        write()


DELETED = """
import os, sys
from dynamics.support.files import write_aside
os.rmdir(os.getcwd())
try:
    with write_aside("a/numbers.txt"):
        print("written")
except ValueError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a working directory cannot be deleted")
def test_a_working_directory_that_has_been_deleted_is_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    ended = subprocess.run(
        [sys.executable, "-c", DELETED], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert (ended.stdout, ended.stderr) == (
        "cannot write 'a/numbers.txt': the working directory has been deleted\n",
        "",
    )


def test_the_command_line_names_options_where_python_names_arguments() -> None:
    assert in_options("start anew with force=True") == "start anew with --force"
    assert in_options("no_lower=True, but x=Trueish and X=True") == "--no-lower, but x=Trueish and X=True"


@pytest.mark.skipif(os.name != "posix", reason="processes are told by their numbers")
def test_what_a_killed_process_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, sys; from dynamics.support.files import write_aside\n"
        "with write_aside(sys.argv[1]) as aside:\n"
        "    aside.write_text('half'); os.kill(os.getpid(), 9)"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", script, str(tmp_path / "one.txt")]).returncode == -9
        assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".hidden-1-0123456789abcdef.txt").write_text("the user's")
    with write_aside(tmp_path / "two.txt") as aside:
        aside.write_text("mine")
        with write_aside(tmp_path / "three.txt") as other:  # the first is still being written
            other.write_text("mine too")
    assert {path.name for path in tmp_path.iterdir()} == {".hidden-1-0123456789abcdef.txt", "two.txt", "three.txt"}
