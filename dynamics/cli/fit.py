"""``dynamics fit``: numbers of a model from measured curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.console import progress, table, table_format
from dynamics.cli.optimizing import OptimizerOptions
from dynamics.cli.options import INPUT, SOLVING, Figures, Output, TableFormat, refuse_idle, with_options, words_of
from dynamics.cli.output import finish, folder, with_data, write
from dynamics.cli.predictions import SolvingOptions, predicted_by, start_of, theory_of
from dynamics.cli.system import SystemOptions
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from dynamics.problems.problem import Problem
    from dynamics.problems.sensitivity.fit import Fit
    from dynamics.support.typing import Vector

LINE = 200
"""Times of the line that is drawn."""


@with_options(system=SystemOptions, solving=SolvingOptions, optimizing=OptimizerOptions)
def fit(
    measured: Annotated[
        Path,
        typer.Argument(help="Measured curves: .csv or .tsv with the columns time, loss, ..., or a result's .nc."),
    ],
    system: SystemOptions,
    solving: SolvingOptions,
    optimizing: OptimizerOptions,
    free: Annotated[
        str,
        typer.Option(help="What is fitted: 'rate W', 'initial W', a parameter; with commas.", rich_help_panel=SOLVING),
    ],
    curves: Annotated[
        str | None,
        typer.Option(
            help="The curves to go by: loss,u,... [default: all columns; the loss of a .nc]", rich_help_panel=INPUT
        ),
    ] = None,
    form: TableFormat = "text",
    output: Output = None,
    figures: Figures = "png",
) -> None:
    """Fit numbers of a model to measured curves, by least squares with the tangents of its flow.

    Curves are the loss, or states that are numbers, over tau = learning rate x steps. Standard errors hold if what is
    left is independent from time to time.

    Example: dynamics fit curves.csv --task copying --free "rate W,rate P"
    """
    from dynamics.problems.sensitivity.fit import fit as fitted

    place, form = with_data(folder(output, "fit", figures)), table_format(form)
    stepping = optimizing.chosen(solving.lr, solving.momentum, solving.batch)
    acting = {"theory", "rtol", "method"} | (set() if stepping is None else {"lr", "momentum", "batch"})
    refuse_idle(solving, acting, "a fit, whose times are those of the curves")
    if not words_of(free):
        raise InputError("--free names nothing; give numbers such as 'rate W'")
    times, found = read(measured, words_of(curves))
    chosen = system.chosen()
    own = system.program is not None
    if own and solving.theory not in (None, "exact"):
        raise InputError(f"--theory {solving.theory} is for the models of the package; a program has its own flow")
    theory = "exact" if own else theory_of(chosen, solving.theory, stepping)
    problem, start = predicted_by(chosen, theory), dict(chosen.initial)
    if theory != "exact" and not (start and set(start) <= set(getattr(problem, "order", ()))):
        start = dict(start_of(problem, _unpacked(chosen, start)))
    usual: dict[str, Any] = {} if solving.rtol == type(solving).rtol else {"rtol": solving.rtol}
    with progress("fitting"), _as_option():
        result = fitted(
            problem, times, found, words_of(free), initial=start or None, rates=system.rates or None, seed=system.seed,
            optimizer=stepping, method=solving.method, **usual,
        )  # fmt: skip
    finish(*_shown(result, measured, times, found, units_of(problem, found), place, figures, form))


@contextmanager
def _as_option() -> Iterator[None]:
    """Errors about what is free name the option."""
    try:
        yield
    except InputError as error:
        message = str(error)
        raise InputError(f"--{message}" if message.startswith("free ") else message) from None


def units_of(problem: Problem, names: Iterable[str]) -> dict[str, str]:
    """Units of curves, where they have one."""
    units = problem.program.units
    own = {problem.shown_loss: problem.loss} if problem.loss else {}
    return {name: units[known] for name in names if (known := own.get(name) or name) in units}


def _unpacked(chosen: Any, start: Mapping[str, Any]) -> Mapping[str, Any]:
    """The states of a model that a prediction starts from."""
    from dynamics.cli.solve import unpacked

    problem = chosen.problem
    return unpacked(problem.initial(start, chosen.seed), problem.shapes)


def read(path: Path, names: list[str]) -> tuple[Vector, dict[str, Vector]]:
    """Times, and curves by name; from a result with several seeds, their means.

    Raises
    ------
    InputError
        There is no such file, column or number; the message says where.
    """
    from dynamics.support.files import did_you_mean, existing

    there = existing(path)
    times, found = _of_result(there) if there.suffix == ".nc" else _of_table(there)
    if there.suffix == ".nc" and not names:
        from dynamics.support.roles import loss_of
        from dynamics.support.trajectory import load

        loss = loss_of(load(there))
        if loss is None or loss not in found:
            raise InputError(f"{path} has no loss over time; name curves of it: --curves {','.join(found) or 'u'}")
        names = [loss]
    for name in names:
        if name not in found:
            raise InputError(f"--curves: {path} has no {name!r}{did_you_mean(name, found)}; it has {', '.join(found)}")
    return times, {name: found[name] for name in names or found}


def _of_result(path: Path) -> tuple[Vector, dict[str, Vector]]:
    """The curves of a result of solve or simulate."""
    import numpy as np

    from dynamics.support.trajectory import load

    data = load(path)
    if "time" not in data.dims:
        raise InputError(f"{path} has nothing over time; give a result of solve or simulate")
    whole = data.isel(stages=0) if "stages" in data.dims else data
    means = whole.mean("seed") if "seed" in whole.dims else whole
    found = {str(name): np.asarray(value, dtype=float) for name, value in means.items() if value.dims == ("time",)}
    return np.asarray(data.time, dtype=float), found


def _of_table(path: Path) -> tuple[Vector, dict[str, Vector]]:
    """The curves of a table with a column of times."""
    import numpy as np

    from dynamics.counts.text.tables import rows, table_suffix

    if table_suffix(path) is None:
        raise InputError(f"{path}: give measured curves as .csv, .tsv or a result's .nc")
    (_, head), *body = list(rows(path)) or [(0, [])]
    names = [name.strip() for name in head]
    clock = next((name for name in ("time", "tau") if name in names), None)
    if clock is None or len(names) < 2 or len(set(names)) < len(names):
        raise InputError(f"{path}, line 1: name the columns, each once: time and a curve, as in time,loss")
    values = []
    for number, row in body:
        if len(row) != len(names):
            raise InputError(f"{path}, line {number:,}: has {len(row)} cells, and there are {len(names)} columns")
        try:
            values.append([float(cell) for cell in row])
        except ValueError as error:
            raise InputError(f"{path}, line {number:,}: {error}; give numbers") from None
    if not values:
        raise InputError(f"{path} has no times; give a row for each")
    columns = dict(zip(names, np.array(values).T, strict=True))
    return columns.pop(clock), columns


def _shown(
    found: Fit, path: Path, times: Vector, measured: Mapping[str, Vector], units: Mapping[str, str], output: Path,
    figures: str, form: str,
) -> list[str]:  # fmt: skip
    """Write the curves and the figure of a fit; what was written, and lines for the reader."""
    data = dataset(found, times, measured, units)

    def draw() -> dict[str, Figure]:
        from dynamics.plot.fits import fit as drawn

        return {"fit": drawn(data)}

    written = write(output, figures, {"fit": data}, draw)
    head = [("number", "left"), ("start", "right"), ("fitted", "right"), ("standard error", "right")]
    if form != "text":
        numbers: list[list[str | float]] = [
            [name, found.start[name], value, found.errors[name]] for name, value in found.values.items()
        ]
        return ["", table(head, numbers, form)]
    rows = [
        [name, f"{found.start[name]:.4g}", f"{value:.6g}", f"{found.errors[name]:.2g}"]
        for name, value in found.values.items()
    ]
    points = sum(curve.size for curve in measured.values())
    told = (
        f"{path}: {', '.join(measured)} at {len(times)} times; root mean square of what is left {found.residual:.3g}"
        f" ({points} points, {found.evaluations} solutions)"
    )
    return [written, told, table(head, rows)]


def dataset(
    found: Fit, times: Vector, measured: Mapping[str, Vector], units: Mapping[str, str] | None = None
) -> xr.Dataset:
    """Measured and fitted curves, with their units, and the numbers that were fitted."""
    import numpy as np
    import xarray as xr

    from dynamics.support.trajectory import provenance

    first = times[times > 0][0] if (times > 0).any() else 0.0  # times may be even, or even in their logarithm
    even = np.geomspace(first, times[-1], LINE) if first else times
    fine = np.unique(
        np.clip(np.concatenate([times, np.linspace(times[0], times[-1], LINE), even]), times[0], times[-1])
    )
    lines, at = found.curves(fine), ("line_time",)
    label = {"long_name": "tau = learning rate x steps", "units": "1"}
    variables: dict[str, Any] = {}
    for name, curve in measured.items():
        of = {"units": units[name]} if units and name in units else {}
        variables[name] = (("time",), curve, {"long_name": f"{name}, measured", **of})
        variables[f"{name}_fitted"] = (at, lines[name], {"long_name": f"{name}, fitted", **of})
    numbers = list(found.values)
    for what in ("start", "values", "errors"):
        variables[what] = (("parameter",), [getattr(found, what)[name] for name in numbers])
    coordinates = {"time": ("time", times, label), "line_time": ("line_time", fine, label), "parameter": numbers}
    attrs = {"title": "fit", "residual": found.residual, "evaluations": found.evaluations, **provenance()}
    return xr.Dataset(variables, coordinates, attrs)
