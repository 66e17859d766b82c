"""What the commands do with a program file: its model and data, its trajectory, its figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynamics.cli.common import named_numbers, progress, write
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from dynamics.cli.problem import Problem
    from dynamics.cli.theory import Settings
    from dynamics.problems.arrays import ProgramModel
    from dynamics.tasks.examples import Examples

RANDOM = "normal"
"""What --data says for arrays at random."""


def own_model(
    file: Path, data: str | None, values: str | None, seed: int
) -> tuple[ProgramModel, Examples | None, dict[str, Any]]:
    """The model of a file; with arrays for its data also what takes the place of examples, and initial states."""
    from dynamics.problems import arrays as program_data
    from dynamics.program_file import load

    program = load(file)
    if program.loss is None:
        raise InputError(f"{file.name}: has no loss to show over time; give it, model(..., loss=...)")
    numbers = named_numbers(values, "--set") if values else {}
    if data is None and program_data.takes_examples(program):
        return program_data.on_examples(program, numbers), None, {}
    start: dict[str, Any] = {}
    if data == RANDOM:
        arrays = program_data.normal_arrays(program, numbers, seed)
    elif data is not None:
        arrays = program_data.read_arrays(data)
        start = {name: arrays.pop(name) for name in program.state_names if name in arrays}
    else:
        arrays = {}
    return *program_data.given(program, arrays, numbers), start


def of_program(
    problem: Problem,
    theory: str | None,
    settings: Settings,
    lr: float | None,
    words: Sequence[str],
    output: Path,
    figures: str,
) -> None:
    """Solve the flow of a program and present it."""
    from dynamics.problems.exact import solve_exact

    if words:
        raise InputError("--words shows words of the models of the package; leave it out")
    if theory not in (None, "exact"):
        raise InputError(f"--theory {theory} is for the models of the package; a program has its own flow")
    if lr is not None and problem.model.program.model is None:
        raise InputError("--lr corrects the flow of a loss, and this program gives its own; leave it out")
    with progress("solving") as show:
        found = solve_exact(
            problem.model, problem.examples, settings.times, initial=problem.initial, rates=problem.rates or None,
            seed=problem.seed, lr=lr, rtol=settings.rtol, method=settings.method, threads=settings.threads,
            progress=show,
        )  # fmt: skip
    found = as_program(found, problem)
    print(
        f"{found.attrs['title']}: to tau = {settings.times[-1]:g} ({found.attrs['evaluations']} evaluations,"
        f" {found.attrs['seconds']} s); loss {float(found.loss[0]):.4g} -> {float(found.loss[-1]):.4g}"
    )
    for name, value in found.data_vars.items():
        if value.dims == ("time",) and name != "loss":
            print(f"{name}: {float(value[0]):.4g} -> {float(value[-1]):.4g}")
    write(output, figures, {"trajectory": found}, lambda: drawn(found))


def shown_equations(file: Path, form: str, source: bool) -> tuple[str, bool]:
    """The derivation of a file's flow, checked, in a format, and whether a check failed; or its generated code."""
    from derivations.report.document import derivation
    from dynamics.lowering import lower
    from dynamics.problems.equations import checks
    from dynamics.program_file import load

    program = load(file)
    if source:
        return lower(program).source, False
    written = derivation(program)
    written = written if form == "python" else written.checked(checks(program))
    return getattr(written, form)(), bool(written.failed)


def as_program(found: xr.Dataset, problem: Problem) -> xr.Dataset:
    """A result that says of its loss and its data what the program does, not what is true of the exact models."""
    from dynamics.problems.arrays import ProgramModel

    found.loss.attrs = {"long_name": "loss"}
    if isinstance(problem.model, ProgramModel) and not problem.model.labelled:
        for name in {"examples", "evaluation"} & set(found.attrs):
            del found.attrs[name]
        found.attrs["data"] = ", ".join(map(str, problem.model.program.data)) or "no data"
    return found


def drawn(found: xr.Dataset) -> dict[str, Figure]:
    """The figure of a trajectory or of runs."""
    from dynamics.plot.programs import course

    return {"course": course(found)}
