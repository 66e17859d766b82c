"""What the commands share: options, progress, lists of numbers, directories."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

Source = Annotated[Path | None, typer.Argument(help="Input text, a sentence a line; plain or .gz.")]
Target = Annotated[Path | None, typer.Argument(help="Output text, line by line its translation.")]
Labelled = Annotated[Path | None, typer.Option(help="Instead of two texts: label and sentence on every line.")]
Tokenizer = Annotated[
    str, typer.Option(help="'words' (Unicode words) or 'whitespace' (text that is tokenised already).")
]
Lower = Annotated[bool, typer.Option(help="Lower-case the text.")]
MaxVocab = Annotated[int | None, typer.Option(help="Keep this many of the most frequent words a side.")]
MinCount = Annotated[int, typer.Option(help="Keep words that occur at least this often.")]
MaxPairs = Annotated[int | None, typer.Option(help="Read this many sentence pairs at most.")]
Threads = Annotated[int | None, typer.Option(help="Threads; the result does not depend on them.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Directory for the results, data and figures.")]
Figures = Annotated[str, typer.Option(help="Format of the figures: png, svg, pdf or none.")]

RESULTS = Path("results")


class Interrupted(Exception):
    """Stopped from the keyboard; the message says how to go on."""


def report(message: str, status: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


@contextmanager
def progress(description: str, unit: str = "") -> Iterator[Callable[..., None] | None]:
    """A progress bar with an estimate of the time left on a terminal, None in a pipe.

    It is called with the share that is done; with a ``unit``, also with how many units that is, and shows their rate.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    rate = [TextColumn("{task.fields[rate]}")] if unit else []
    began = time.monotonic()
    with Progress(*Progress.get_default_columns(), *rate, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=1.0, rate="")

        def show(share: float, done: int = 0) -> None:
            per_second = done / max(time.monotonic() - began, 1e-3)
            bar.update(task, completed=share, rate=f"{per_second:,.0f} {unit}/s" if done else "")

        yield show


def numbers(listed: str, option: str) -> list[float]:
    """Numbers from ``0,10,100``."""
    try:
        return [float(number) for number in listed.split(",")]
    except ValueError:
        raise InputError(f"{option} {listed!r} is not a list of numbers such as 0,10,100") from None


def named_numbers(listed: str, option: str) -> dict[str, float]:
    """Numbers with names from ``W=1,A=0.5``.

    Examples
    --------
    >>> named_numbers("W=1,A=0.5", "--rate")
    {'W': 1.0, 'A': 0.5}
    """
    found = {}
    for part in listed.split(","):
        name, separator, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            separator = ""
        if not separator or not name.strip():
            raise InputError(f"{option} {listed!r} is not a list such as W=1,A=0.5")
        found[name.strip()] = value
    return found


def check_output(output: Path, figures: str = "none") -> None:
    """Complain about a place or a format that cannot be written, before any work is done."""
    if figures not in ("png", "svg", "pdf", "none"):
        raise InputError(f"unknown figure format {figures!r}; use png, svg, pdf or none")
    there = next(folder for folder in (output, *output.parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"--output {output}: {there} is a file; name a directory")


def write(output: Path, figures: str, data: dict[str, xr.Dataset], draw: Callable[[], dict[str, Figure]]) -> None:
    """Write datasets as NetCDF and figures, and say what was written."""
    from dynamics.support import trajectory

    written = []
    for name, dataset in data.items():
        trajectory.save(dataset, output / f"{name}.nc")
        written.append(f"{name}.nc")
    if figures != "none":
        from dynamics import plot

        for name, figure in draw().items():
            plot.save(figure, output / f"{name}.{figures}")
            written.append(f"{name}.{figures}")
    print(f"written to {output}: {', '.join(written)}")


def with_options(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command out of a function some of whose parameters are built from options of their own.

    ``with_options(problem=problem)`` puts the options of the function ``problem`` where the command has the parameter
    of this name; the command then gets what that function returns. Arguments come first.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command, eval_str=True).parameters
        shared = {name: signature(build, eval_str=True).parameters for name, build in groups.items()}
        parameters: list[Parameter] = []
        for name, parameter in own.items():
            parameters += shared[name].values() if name in shared else [parameter]

        @wraps(command)
        def called(**given: Any) -> None:
            built = {
                name: groups[name](**{option: given.pop(option) for option in options})
                for name, options in shared.items()
            }
            command(**given, **built)

        called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del called.__wrapped__
        return called

    return decorate
