"""Kernels that are written in LLVM's language directly: the bits are numba's, and no kernel falls back unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest

from derivations import registry
from derivations.checks.small_data import random_values, small_sizes
from derivations.program import Program, extent_symbols, name_of
from dynamics.lowering import lower
from dynamics.lowering.kernel import Bound
from dynamics.lowering.machine import compile as compiling
from dynamics.lowering.machine.compile import compiled
from dynamics.lowering.machine.direct import Unsupported
from dynamics.lowering.machine.parallel import in_turns
from dynamics.problems.kinds.arrays import flow_of
from dynamics.program_file import load
from dynamics.support.threads import limited

PROGRAMS = Path(__file__).parents[4] / "examples" / "programs"


LONG = pytest.param("topic-TL", {}, marks=pytest.mark.slow)


def is_direct(source: str) -> bool:
    """Whether all that numba sees of a kernel is the one instruction."""
    return "kernel_body" in compiled(source).py_func.__code__.co_names  # type: ignore[attr-defined]


def numbas(source: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The same source compiled by numba, line by line."""

    def refused(source: str, module: ModuleType) -> None:
        raise Unsupported

    with monkeypatch.context() as patch:
        patch.setattr(compiling, "in_one", refused)
        return compiled.__wrapped__(source)


def bound(program: Program, constants: dict[str, int], parallel: bool = False) -> tuple[Bound, np.ndarray]:
    sizes = small_sizes(program) | constants
    values = random_values(program, 0, sizes, 1.0, 1.0)
    kernel = lower(program, parallel=parallel, constants=constants)
    numbers = {p.name: values[p.name] for p in program.parameters}
    numbers |= {str(size): values.get(str(size), sizes[str(size)]) for size in extent_symbols(program)}
    found = kernel.bind({name_of(a): values[name_of(a)] for a in program.data}, numbers)
    return found, np.concatenate([np.ravel(values[name]) for name in program.state_names]).astype(float)


@pytest.mark.parametrize(
    ("name", "constants"), [("lexical", {}), ("uniform", {"K": 2}), ("positional", {}), LONG, ("joint", {})]
)
def test_the_bits_are_those_of_numba(name: str, constants: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, y = bound(registry.program(name), constants)
    found, expected = np.full((2, kernel.output_size), np.nan)
    kernel(y, found)
    assert is_direct(kernel.kernel.source)
    numbas(kernel.kernel.source, monkeypatch)(y, expected, *kernel.arguments)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["committee", "induction", "linear_attention", "max_margin", "two_layers"])
def test_programs_of_ones_own_are_in_the_small_language(name: str) -> None:
    program = flow_of(load(PROGRAMS / f"{name}.py"))
    assert is_direct(lower(program, constants={str(size): 3 for size in extent_symbols(program)}).source)


@pytest.mark.parametrize("name", ["uniform", "topic-TL", "joint"])
def test_loops_on_several_threads_are_spoken(name: str) -> None:
    assert is_direct(lower(registry.program(name), parallel=True).source)


@pytest.mark.parametrize("name", [pytest.param("uniform", marks=pytest.mark.slow), "marginal"])
def test_turns_on_several_threads_have_the_bits_of_numba(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, y = bound(registry.program(name), {}, parallel=True)
    one, two, expected = np.full((3, kernel.output_size), np.nan)
    numbas(kernel.kernel.source, monkeypatch)(y, expected, *kernel.arguments)
    for threads, found in ((1, one), (numba.config.NUMBA_NUM_THREADS, two)):  # type: ignore[attr-defined]
        with limited(threads, y.size):
            kernel(y, found)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(one, expected)
    np.testing.assert_array_equal(two, expected)


def test_each_turn_is_taken_once() -> None:
    """As many as there are, fewer than threads or none; their order is nobody's."""

    @numba.njit
    def count(k, taken):  # type: ignore[no-untyped-def]
        taken[k] += k + 1

    counts = in_turns(count)

    @numba.njit
    def counted(turns, taken):  # type: ignore[no-untyped-def]
        counts(turns, (taken,))

    for threads in {1, numba.config.NUMBA_NUM_THREADS}:  # type: ignore[attr-defined]
        with limited(threads, 0):
            for turns in (0, 1, 1000):
                taken = np.zeros(1000)
                for _ in range(3):
                    counted(turns, taken)
                assert taken.tolist() == [3.0 * (k + 1) if k < turns else 0.0 for k in range(1000)]


def test_sparse_products_are_spoken() -> None:
    assert is_direct(lower(registry.program("joint-sparse")).source)


def test_what_is_refused_while_it_is_written_is_left_to_numba(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """numba is in the middle of a compilation then, and starts anew from the source."""
    kernel, y = bound(registry.program("uniform"), {"K": 3})
    found, expected = np.full((2, kernel.output_size), np.nan)
    kernel(y, expected)

    def refused(*_: object) -> None:
        raise Unsupported("something new")

    monkeypatch.setattr("dynamics.lowering.machine.direct.Writer.block", refused)
    monkeypatch.setattr(compiling, "cache_directory", lambda: tmp_path)  # where it has not been compiled before
    left = compiled.__wrapped__(kernel.kernel.source)
    assert "kernel_body" not in left.py_func.__code__.co_names  # type: ignore[attr-defined]
    left(y, found, *kernel.arguments)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(found, expected)
