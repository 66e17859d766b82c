"""What a command loads before it can answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("figures", "loaded"), [("none", "False"), ("png", "True")])
def test_matplotlib_is_loaded_for_figures_alone(figures: str, loaded: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("the dog\nthe cat\n", encoding="utf-8")
    (tmp_path / "target").write_text("der hund\ndie katze\n", encoding="utf-8")
    arguments = ["solve", "source", "target", "--time", "10", "-o", "out", "--figures", figures]
    code = (
        f"import sys\nfrom dynamics.cli import main\nsys.argv[1:] = {arguments!r}\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print('matplotlib' in sys.modules, 'dask' in sys.modules, file=sys.stderr)\n"
        "print({'scipy.integrate', 'scipy.optimize', 'pyarrow'} & set(sys.modules), file=sys.stderr)\n"
        "print('sympy' in sys.modules, file=sys.stderr)"
    )
    for known in (False, True):  # the second time, what a program says is known
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr.splitlines()[-3:-1] == [f"{loaded} False", "set()"]
        assert "der" in done.stdout
        assert not known or done.stderr.splitlines()[-1] == "False"
