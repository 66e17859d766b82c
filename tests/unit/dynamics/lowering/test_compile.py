"""Compiled kernels on disk: shared, found again, safe between processes, never stale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dynamics.lowering.machine import compile as compiling

SOURCE = '''"""A kernel that doubles."""

from dynamics.support.machine_code import kept


@kept("void(f8[::1], f8[::1])", error_model="numpy")
def kernel(y, out):
    for k in range(y.size):
        out[k] = {factor} * y[k]
'''

SCRIPT = """
import sys
import numpy as np
from dynamics.lowering.machine.compile import cache_directory, compiled
kernel = compiled(sys.stdin.read())
out = np.empty(3)
kernel(np.arange(3.0), out)
print(cache_directory())
print(*out)
print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for this process and those that it starts."""
    monkeypatch.setenv(compiling.ENVIRONMENT, str(tmp_path / "cache"))
    compiling.cache_directory.cache_clear()
    yield tmp_path / "cache"
    monkeypatch.undo()
    compiling.cache_directory.cache_clear()


def started(source: str, *script: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", *(script or (SCRIPT,))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(source)
    process.stdin.close()
    process.stdin = None
    return process


def output(process: subprocess.Popen) -> list[str]:
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert not errors
    return out.splitlines()


def test_equal_sources_share_a_module(cache: Path) -> None:
    one, again, other = (compiling.compiled(SOURCE.format(factor=f)) for f in ("2.0", "2.0", "3.0"))
    assert one is again
    assert one is not other
    out = np.empty(2)
    one(np.array([1.0, 2.0]), out)
    assert out.tolist() == [2, 4]
    other(np.array([1.0, 2.0]), out)
    assert out.tolist() == [3, 6]
    names = {compiling.module_name(SOURCE.format(factor=f)) for f in ("2.0", "3.0")}
    assert {path.stem for path in cache.glob("*.py")} == names
    for name in names:
        assert (cache / f"{name}.py").read_text() in {SOURCE.format(factor=f) for f in ("2.0", "3.0")}


def test_the_name_depends_on_what_generated_code_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiling.module_name(SOURCE)
    assert before == compiling.module_name(SOURCE)
    monkeypatch.setattr(compiling, "called_code", lambda: "edited")
    assert compiling.module_name(SOURCE) != before


def test_an_edit_of_the_runtime_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiling.called_code()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read(self) + b"# edited" * (self.name == "runtime.py"))
    compiling.called_code.cache_clear()
    try:
        assert compiling.called_code() != before
    finally:
        monkeypatch.undo()
        compiling.called_code.cache_clear()
    assert compiling.called_code() == before


def test_other_versions_of_numba_and_python_have_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    before = compiling.called_code()
    for module, name, value in ((numba, "__version__", "0.0"), (sys, "version", "4.0")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, value)
            assert compiling.called_code.__wrapped__() != before


def test_two_processes_may_compile_at_once_and_a_third_compiles_nothing(cache: Path) -> None:
    source = SOURCE.format(factor="5.0")
    for process in [started(source) for _ in range(2)]:
        where, values, _ = output(process)
        assert where == str(cache)
        assert values == "0.0 5.0 10.0"
    # No debris, and one module.
    assert [path.name for path in cache.glob("*.py")] == [f"{compiling.module_name(source)}.py"]
    assert {path.suffix for path in cache.iterdir() if path.is_file()} == {".py"}
    _, values, counts = output(started(source))
    assert values == "0.0 5.0 10.0"
    assert counts == "1 0"


def test_half_a_file_is_never_seen(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file appears under its name when it is whole, by one move within its directory."""
    moves = []
    replace = os.replace

    def watched(aside: str, path: Path) -> None:
        if Path(path).suffix == ".py":  # numba moves its own files
            assert Path(aside).parent == Path(path).parent
            assert Path(aside).read_text() == source
            assert not Path(path).exists()
            moves.append(Path(path).stem)
        replace(aside, path)

    source = SOURCE.format(factor="7.0")
    monkeypatch.setattr(os, "replace", watched)
    compiling.compiled(source)
    assert moves == [compiling.module_name(source)]


def test_the_cache_is_where_the_environment_says(cache: Path) -> None:
    assert compiling.cache_directory() == cache
    assert cache.is_dir()


def test_without_the_environment_it_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs

    monkeypatch.delenv(compiling.ENVIRONMENT, raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *args, **options: str(tmp_path / "users"))
    assert compiling.cache_directory.__wrapped__() == tmp_path / "users"


def test_a_directory_that_cannot_be_written_gives_way_to_a_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = str(tmp_path / "file" / "cache")
    source = SOURCE.format(factor="11.0")
    environment = os.environ | {compiling.ENVIRONMENT: blocked}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=source, capture_output=True, text=True, env=environment, check=True
    )
    where, values, _ = run.stdout.splitlines()
    assert not where.startswith(str(tmp_path))
    assert values == "0.0 11.0 22.0"
    assert "CacheWarning: cannot write to" in run.stderr
    assert run.stderr.count("Warning:") == 1
    assert not Path(where).exists(), "a temporary cache outlives its process"


def test_a_kernel_is_compiled_when_it_is_first_called(monkeypatch: pytest.MonkeyPatch) -> None:
    from derivations.closures import linear
    from dynamics.lowering import lower

    def forbidden(source: str) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr(compiling, "compiled", forbidden)
    bound = lower(linear()).bind({"C": np.ones((2, 2)) / 4, "c": np.ones(2) / 2}, {"eta_W": 1.0})
    assert "def kernel(" in bound.kernel.source
    with pytest.raises(AssertionError, match="compiled"):
        bound(np.zeros(4), np.zeros(4))
