"""Machine code of an earlier process: linked without numba, to the same bits, and never believed when it is stale."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from dynamics import Closure, CoOccurrence
from dynamics.lowering.machine import compile as compiling
from dynamics.lowering.machine import native as natives
from dynamics.lowering.machine.native import Code, code_of, native
from dynamics.problems.kinds.closure import BOTH_STAGES
from dynamics.support import object_code

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="object files of other systems stay numba's"
)

SOURCE = '''"""A kernel that multiplies."""

from dynamics.support.machine_code import kept


@kept("void(f8[::1], f8[::1], f8[::1], f8)", error_model="numpy", nogil=True)
def kernel(y, out, weights, factor):
    for k in range(y.size):
        out[k] = {factor} * factor * y[k] * weights[k]
'''


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and nothing that this process has linked before."""
    monkeypatch.setenv(compiling.ENVIRONMENT, str(tmp_path))
    compiling.cache_directory.cache_clear()
    natives._entry.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    compiling.cache_directory.cache_clear()
    natives._entry.cache_clear()


def objects(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.object"))


class Counted:
    """A source as code, with how often it was compiled; each is what a new process would have."""

    def __init__(self, factor: str = "2.0") -> None:
        self.times, source = 0, SOURCE.format(factor=factor)

        def compiled() -> object:
            self.times += 1
            return compiling.compiled(source)

        self.code = Code(compiling.module_name(source), compiled)

    def __call__(self) -> list[float]:
        one = native(self.code, (np.array([1.0, 10.0]), 3.0), 2, 2)
        y, out = np.array([1.0, 2.0]), np.empty(2)
        assert one.entry(natives.address_of(y), natives.address_of(out), one.at_words) == 0
        return out.tolist()


def test_what_was_compiled_is_linked_by_the_next_process(cache: Path) -> None:
    first, second = Counted(), Counted()
    assert first() == second() == [6.0, 120.0]
    assert (first.times, second.times) == (1, 0)
    assert len(objects(cache)) == 1


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda old: old[: len(old) // 2],
    "empty": lambda old: b"",
    "garbage": lambda old: random.Random(1).randbytes(len(old)),
    "one bit": lambda old: old[:-9] + bytes([old[-9] ^ 4]) + old[-8:],
    "longer": lambda old: old + b"\0",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_made_anew(kind: str, cache: Path) -> None:
    wanted = Counted()()
    (path,) = objects(cache)
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[kind](whole))
    after = Counted()
    assert after() == wanted
    assert after.times == 1
    again = Counted()
    assert again() == wanted
    assert again.times == 0, "it was not made anew"


@pytest.mark.parametrize("name", ["version", "compiler", "_written"])
def test_other_versions_and_machines_have_files_of_their_own(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Counted()()
    object_code.compiler.cache_clear()
    monkeypatch.setattr(natives if name == "_written" else object_code, name, lambda: "another")
    found = Counted()
    assert found() == [6.0, 120.0]
    assert found.times == 1
    assert len(objects(cache)) == 2
    monkeypatch.undo()
    getattr(object_code.compiler, "cache_clear", lambda: None)()


def test_how_numba_is_told_to_compile_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    usual = object_code.compiler.__wrapped__()
    (tmp_path / ".numba_config.yaml").write_text("opt: 1")
    assert object_code.compiler.__wrapped__() != usual
    (tmp_path / ".numba_config.yaml").unlink()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert object_code.compiler.__wrapped__() == usual
    for name, value in (("NUMBA_OPT", "1"), ("NUMBA_CPU_NAME", "generic"), ("NUMBA_DISABLE_JIT", "1")):
        monkeypatch.setenv(name, value)
        assert object_code.compiler.__wrapped__() != usual


def test_a_file_of_other_code_is_not_believed(cache: Path) -> None:
    Counted("2.0")()
    (one,) = objects(cache)
    Counted("5.0")()
    (other,) = set(objects(cache)) - {one}
    one.write_bytes(other.read_bytes())
    found = Counted("2.0")
    assert found() == [6.0, 120.0]
    assert found.times == 1


def test_edits_of_a_loop_and_of_what_it_is_made_of_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    digests = set()
    for first, second in (("1", "1"), ("2", "1"), ("1", "2")):
        (tmp_path / "a_loop.py").write_text(f"x = {first}")
        (tmp_path / "its_numbers.py").write_text(f"y = {second}")
        digests.add(natives.code_in.__wrapped__("a_loop", "x", "its_numbers").digest)
    assert len(digests) == 3


def test_what_calls_things_that_are_not_here_is_left_to_numba(capfd: pytest.CaptureFixture[str]) -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    told = "declare i32 @{0}()\ndefine i32 @given() {{ %x = call i32 @{0}() ret i32 %x }}"
    absent, present = (
        machine.emit_object(llvm.parse_assembly(told.format(name))) for name in ("function_that_nobody_has", "getpid")
    )
    assert object_code.names(absent) is not None
    assert object_code.names(absent)[1] == {"function_that_nobody_has"}
    assert object_code.linked([absent], "given") is None
    assert object_code.linked([present], "another") is None
    assert object_code.linked([b"MZ" + present[2:]], "given") is None
    found = object_code.linked([present], "given")
    assert found is not None
    assert natives.ctypes.CFUNCTYPE(natives.ctypes.c_int)(found[0])() == os.getpid()
    assert capfd.readouterr() == ("", "")


def test_bits_are_those_of_the_function_that_numba_calls() -> None:
    """The closure of both stages: exponentials, sums, and three products of matrices by BLAS."""
    draws = np.random.default_rng(0)
    counts = CoOccurrence.from_counts(draws.integers(1, 9, (9, 23)))
    bound, _ = Closure(counts, BOTH_STAGES).bind({"A": 1.0, "W": 1.0})
    y = draws.standard_normal(bound.state_size)
    by_numba, linked = np.empty(bound.output_size), np.empty(bound.output_size)
    bound.function(y, by_numba, *bound.arguments)
    assert bound.native.beside
    bound(y, linked)
    assert by_numba.tobytes() == linked.tobytes()
    assert np.isfinite(linked).all()
    with pytest.raises(TypeError):  # as numba has it, for arrays that do not fit
        bound(np.empty(2 * bound.state_size)[::2], linked)


MEMORY = """
from dynamics.support.object_code import alone
import sys, ctypes
helpers = alone("numba", "core.runtime._nrt_python").c_helpers
allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(helpers["Allocate"])
free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(helpers["Free"])
places = [allocate(1 << 20) for _ in range(64)]
for place in places:
    ctypes.memset(place, 1, 1 << 20)
    free(place)
assert not [name for name in sys.modules if name.startswith("numba")]
import numba, numpy as np
assert numba.core.runtime._nrt_python.c_helpers["Allocate"] == helpers["Allocate"]
print(numba.njit(lambda n: np.ones(n).sum())(5))
"""


def test_memory_of_numbas_code_works_without_numba_and_with_it_later() -> None:
    told = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("5.0\n", "")


def test_arrays_that_are_not_contiguous_are_refused() -> None:
    with pytest.raises(ValueError, match="not contiguous"):
        native(code_of(SOURCE.format(factor="2.0")), (np.ones(4)[::2], 1.0), 2, 2)


RUN = """
import sys
import numpy as np
from dynamics.lowering.machine.native import address_of, code_of, native
one = native(code_of(sys.argv[1]), (np.array([1.0, 10.0]), 3.0), 2, 2)
y, out = np.array([1.0, 2.0]), np.empty(2)
print(one.entry(address_of(y), address_of(out), one.at_words), *out)
print("numba" in sys.modules)
from dynamics.support.object_code import load_blas
load_blas()
print("numba" in sys.modules, "scipy.linalg" in sys.modules)
import numba, scipy.linalg.cython_blas  # what was taken from them alone is there for all
assert scipy.linalg.cython_blas.__pyx_capi__ and numba._helperlib.c_helpers
"""


def started(cache: Path, **environment: str) -> subprocess.Popen[str]:
    told = {**os.environ, compiling.ENVIRONMENT: str(cache), **environment}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, SOURCE.format(factor="7.0")],
        env=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str], warnings: int = 0) -> list[str]:
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert errors.count("Warning:") == warnings, errors
    return out.splitlines()


def test_two_processes_may_solve_at_once_and_a_third_needs_no_compiler(tmp_path: Path) -> None:
    both = [printed(process) for process in [started(tmp_path) for _ in range(2)]]
    third = printed(started(tmp_path))
    assert both[0][0] == both[1][0] == third[0] == "0 21.0 420.0"
    assert third[1:] == ["False", "False False"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "debris"


def test_without_a_place_to_write_to_it_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = printed(started(tmp_path / "file" / "cache"), warnings=1)
    assert found[:2] == ["0 21.0 420.0", "True"]
