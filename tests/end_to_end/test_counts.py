"""What work costs, in counts that no other program on the machine can change: evaluations, allocations, compilations.

Integrations are deterministic, and a relative change of 1e-15 (another BLAS) moves no step, so counts are exact. One
that changes is a change of the method, of its tolerances or of the equations: to be explained, then written here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.registry import CPUDispatcher
from numba.core.runtime import _nrt_python, rtsys

from derivations import registry as catalogue
from derivations.reductions import copying
from dynamics import solve
from dynamics.integrate.sweeps import sweep
from dynamics.lowering import Bound, lower
from dynamics.problems.kinds.models import Model, keyword, lexical, positional, topic
from dynamics.tasks import Copying, TopicSentences, ToyLexicon
from dynamics.tasks.examples import Examples

LEXICON = ToyLexicon(vocab=20, length=4)
READOUT = [[1.0, -1.0, 0.0, 0.0], [0.0, 1.0, -1.0, 0.0], [0.0, 0.0, 1.0, -1.0]]
SENTENCES = TopicSentences(topics=4, words_per_topic=2, others=50, others_per_sentence=5).examples(100)

# -- evaluations and steps --------------------------------------------------------------------------------------------


def counted(found: Any) -> tuple[int, int]:
    return found.attrs["evaluations"], found.attrs["steps"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (140, 23)),
        ({"method": "RK23"}, (512, 169)),
        ({"method": "DOP853"}, (185, 13)),
        # Not stiff yet: the stabilised method pays for its low order.
        ({"method": "RKC"}, (826, 384)),
        ({"closure": "linear"}, (8, 1)),
        ({"closure": "linear-bias"}, (8, 1)),
        ({"closure": "marginal"}, (50, 8)),
        ({"closure": "gram"}, (44, 7)),
        # The first step is chosen anew where stage two begins.
        ({"stages": "two-stage", "switch": 100.0}, (154, 24)),
    ],
)
def test_evaluations_of_closures(options: dict[str, Any], expected: tuple[int, int]) -> None:
    system = LEXICON.population(gram=True)
    assert counted(solve(system, [1000.0], **options)) == expected


def test_outputs_cost_no_evaluations() -> None:
    """They are interpolated; and a system stored sparse takes the same steps as one stored dense."""
    system = LEXICON.population()
    times = np.linspace(0, 1000, 200)
    for stored in (system, system.sparse()):
        assert counted(solve(stored, times)) == counted(solve(stored, [1000.0])) == (140, 23)


def test_compiled_steps_are_counted_alike() -> None:
    """Of 12,800 numbers: a step takes 6 evaluations (RK45) or 3 (RK23), after the slope and 1 for the first."""
    system = ToyLexicon(vocab=80, length=4).population()
    assert counted(solve(system, [100.0])) == (2 + 6 * 3, 3)
    assert counted(solve(system, [100.0], method="RK23")) == (2 + 3 * 16, 16)


MODELS: dict[str, tuple[Model, Examples, dict[str, Any], tuple[int, int] | None]] = {
    "keyword": (keyword(), SENTENCES, {}, (92, 13)),
    "lexical": (lexical(), LEXICON.examples(100), {}, (56, 9)),
    "positional": (positional(), Copying(vocab=20, length=4).examples(100), {}, (92, 15)),
    "FC": (topic("FC", readout=READOUT), SENTENCES, {"initial": {"v": 0.01}}, (110, 18)),
    "FC in the span": (topic("FC", readout=READOUT, span=True), SENTENCES, {"initial": {"W": 0.01}}, (116, 18)),
    "TC": (topic("TC", dimension=3), SENTENCES, {"initial": {"v": 0.01, "U": 1.0}}, (200, 29)),
    # At the kinks of rectified units the flow is not smooth, and the steps say nothing.
    "TL": (topic("TL", dimension=3, hidden=4), SENTENCES, {}, None),
}


@pytest.mark.parametrize("name", [name for name, (*_, expected) in MODELS.items() if expected])
def test_evaluations_of_exact_models(name: str) -> None:
    model, examples, options, expected = MODELS[name]
    assert counted(solve(model, examples, [100.0], **options)) == expected


@pytest.mark.parametrize(("method", "evaluations"), [("RK45", [62, 56, 50]), ("DOP853", [74, 74, 74])])
def test_evaluations_of_a_sweep(method: str, evaluations: list[int]) -> None:
    parameters = {"V": [60.0, 100.0, 180.0], "L": 40.0, "eta_W": 1.0, "eta_A": 1.0}
    found = sweep(copying(), parameters, {"u": 0.01, "a": 0.01}, 2000.0, method=method, threads=1)
    assert found.evaluations.values.tolist() == evaluations


# -- what stands around an integration -------------------------------------------------------------------------------


def calls(run: Callable[[], Any]) -> int:
    """Python's functions that are called, of ours and of others."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("cells", [16, 200])
def test_around_a_sweep_there_is_little_python(cells: int) -> None:
    """Whatever the number of cells, of output times and of steps."""

    def run() -> Any:
        parameters = {"V": np.linspace(60.0, 180.0, cells), "L": 40.0, "eta_W": 1.0, "eta_A": 1.0}
        return sweep(copying(), parameters, {"u": 0.01, "a": 0.01}, 2000.0, t_eval=np.arange(3.0), threads=1)

    run()
    assert calls(run) < 300


def test_around_a_solve_there_is_little_python() -> None:
    system = LEXICON.population()
    solve(system, [1.0, 1000.0])
    assert calls(lambda: solve(system, [1.0, 1000.0])) < 900


# -- allocations ------------------------------------------------------------------------------------------------------


@njit
def repeatedly(function, times, y, out, arguments):
    for _ in range(times):
        function(y, out, *arguments)


@pytest.fixture
def allocations() -> Any:
    """Counts allocations by numba's run time in a call of a bound kernel, called from compiled code."""

    def per_call(bound: Bound) -> float:
        y, out = np.full(bound.state_size, 0.1), np.empty(bound.output_size)

        def counted(times: int) -> int:
            before = rtsys.get_allocation_stats().alloc
            repeatedly(bound.function, times, y, out, bound.arguments)
            return rtsys.get_allocation_stats().alloc - before

        counted(1)  # compiles
        return (counted(11) - counted(1)) / 10

    _nrt_python.memsys_enable_stats()
    yield per_call
    _nrt_python.memsys_disable_stats()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("outputs", [None, ("loss",)], ids=["flow", "loss"])
def test_exact_models_allocate_nothing(
    name: str, outputs: tuple[str, ...] | None, allocations: Callable[[Bound], float]
) -> None:
    model, examples, *_ = MODELS[name]
    rates = {f"eta_{state}": 1.0 for state in model.program.state_names}
    bound = model.kernel(examples, outputs).bind(model.arrays(examples), {**model.all_sizes(examples), **rates})
    assert allocations(bound) == 0


@pytest.mark.parametrize("name", ["linear", "linear-bias", "marginal", "gram"])
def test_closures_of_stage_one_allocate_nothing(name: str, allocations: Callable[[Bound], float]) -> None:
    system = LEXICON.population(gram=True)
    data = {"C": system.C, "c": system.c, "q": system.q, "G": system.gram}
    assert allocations(lower(catalogue.program(name)).bind(data, {"eta_W": 1.0, "L": 4.0, "eta_b": 1.0})) == 0


def test_allocations_would_be_seen(allocations: Callable[[Bound], float]) -> None:
    """The count is not 0 whatever happens."""

    @njit("void(f8[::1], f8[::1], f8[::1])")
    def wasteful(y, out, scratch):
        copy = y + scratch
        out[:] = copy

    class Wasteful:
        function, arguments, state_size, output_size = wasteful, (np.zeros(3),), 3, 3

    assert allocations(Wasteful()) >= 1  # type: ignore[arg-type]


# -- compilations -----------------------------------------------------------------------------------------------------

STARTED = """
import json, os, sys
import numpy as np
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
from dynamics import CoOccurrence, solve
from dynamics.lowering.machine import compile
from dynamics.problems.kinds.models import lexical
from dynamics.integrate.sweeps import sweep
from dynamics.tasks import ToyLexicon
from derivations.reductions import copying
large = ToyLexicon(vocab=224, length=4)
for method in ("RK45", "auto"):                             # compiled Runge-Kutta steps, in a loop and by SciPy
    solve(large.population(), [1.0], method=method)
solve(lexical(), large.examples(3), [1.0])
sweep(copying(), {"V": [60.0, 70.0], "L": 40.0, "eta_W": 1.0, "eta_A": 1.0}, {"u": 0.1, "a": 0.1}, 1.0, threads=1)
from dynamics.integrate import runge_kutta
steps = {name: len(getattr(runge_kutta, name).signatures) for name in ("combine", "error_norm")}
json.dump({"compiled": len(recorder.buffer) // 2, "signatures": steps}, sys.stdout)
"""


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes did, one after the other, that share a cache which was empty at first; and its files."""
    directory = tmp_path_factory.mktemp("cache")
    environment = os.environ | {"DYNAMICS_CACHE_DIR": str(directory), "NUMBA_CACHE_DIR": str(directory)}
    found = []
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        files = {path.relative_to(directory): path.stat().st_mtime_ns for path in directory.rglob("*.code")}
        found.append({**json.loads(run.stdout), "files": files})
    return found


def test_a_second_process_compiles_nothing(processes: list[dict[str, Any]]) -> None:
    first, second = processes
    assert first["compiled"] > 0
    assert second["compiled"] == 0
    assert first["files"]
    assert second["files"] == first["files"]


def test_steps_are_compiled_for_one_kind_of_argument(processes: list[dict[str, Any]]) -> None:
    """Another signature (a number where there was an array of one) would compile in the midst of an integration."""
    for process in processes:
        assert process["signatures"] == {"combine": 1, "error_norm": 1}


@pytest.mark.parametrize("name", MODELS)
def test_kernels_are_machine_code_for_the_arrays_that_they_meet(name: str) -> None:
    """One signature, known before the first call, without Python objects and without a loop that was lifted out."""
    model, examples, *_ = MODELS[name]
    rates = {f"eta_{state}": 1.0 for state in model.program.state_names}
    bound = model.kernel(examples).bind(model.arrays(examples), {**model.all_sizes(examples), **rates})
    function = bound.function
    assert isinstance(function, CPUDispatcher)
    bound(np.zeros(bound.state_size), np.empty(bound.output_size))
    assert len(function.nopython_signatures) == len(function.signatures) == 1
    (result,) = function.overloads.values()
    assert not result.objectmode
    assert not result.lifted
    with pytest.raises(TypeError, match="No matching definition"):  # and it never compiles another one
        function(np.zeros(bound.state_size, np.float32), np.empty(bound.output_size), *bound.arguments)


# -- imports ----------------------------------------------------------------------------------------------------------


def modules_after(code: str) -> set[str]:
    """Modules that code loads, beside those of Python itself and of installed start-up hooks."""
    probe = "import sys; before = set(sys.modules)\n%s\nprint('\\n'.join(set(sys.modules) - before), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", probe % code], capture_output=True, text=True, check=True)
    return {name for name in run.stderr.split() if name.split(".")[0] not in sys.stdlib_module_names}


def test_import_loads_one_module() -> None:
    assert modules_after("import dynamics; dir(dynamics)") == {"dynamics"}


def test_help_loads_the_command_line_only() -> None:
    """Its own modules are those of the command line and of errors; others are typer's."""
    loaded = modules_after("from dynamics.cli import run\ntry: run(['--help'])\nexcept SystemExit: pass")
    own = {name for name in loaded if name.split(".")[0] in ("dynamics", "derivations")}
    assert {name for name in own if not name.startswith("dynamics.cli")} == {
        "dynamics",
        "dynamics.support",
        "dynamics.support.errors",
    }
    others = {name.split(".")[0] for name in loaded - own}
    assert others <= {
        "typer", "rich", "shellingham", "click", "annotated_doc", "typing_extensions", "markdown_it", "mdurl",
        "pygments", "colorama", "attr",  # rich looks for attrs, which selenium installs
    }  # fmt: skip


def test_counting_and_drawing_are_loaded_when_they_are_used() -> None:
    """The programs are derived without NumPy, and a matrix is counted without a compiler."""
    roots = {name.split(".")[0] for name in modules_after("import derivations.registry")}
    assert not roots & {"dynamics", "numba", "scipy", "xarray", "matplotlib"}
