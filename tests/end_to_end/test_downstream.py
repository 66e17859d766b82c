"""The package as others install it: its types are seen (``py.typed``)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]


@pytest.mark.slow
def test_types_are_seen_by_those_who_use_it(tmp_path: Path) -> None:
    """mypy of a file beside an environment that has the package in its site-packages, as pip puts it there."""
    pytest.importorskip("mypy", reason="mypy is not installed (the extra dev)")
    venv.create(tmp_path / "bare", with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = tmp_path / "bare" / "lib" / version / "site-packages"
    for name in ("dynamics", "derivations"):
        shutil.copytree(HERE / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    uses = shutil.copy(HERE / "tests" / "downstream" / "uses.py", tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(tmp_path / "bare/bin/python"), uses]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
    (packages / "dynamics" / "py.typed").unlink()
    shutil.rmtree(tmp_path / ".mypy_cache")
    without = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "py.typed marker" in without.stdout
