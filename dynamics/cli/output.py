"""Where results go: written whole before a word is printed, beside nothing that is stale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dynamics.cli.console import say
from dynamics.cli.options import RESULTS
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")


def folder(output: Path | None, command: str, figures: str = "none") -> Path:
    """The directory of a command's results; complains about what cannot be written before any work is done."""
    if figures not in (*FORMATS, "none"):
        raise InputError(f"unknown figure format {figures!r}; use {', '.join(FORMATS)} or none")
    found = RESULTS / command if output is None else output
    there = next(place for place in (found, *found.parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"--output {found}: {there} is a file; name a directory")
    return found


def write(output: Path, figures: str, data: Mapping[str, xr.Dataset], draw: Callable[[], Mapping[str, Figure]]) -> str:
    """Write datasets as NetCDF, then figures in place of those of an earlier run; what was written, in a line."""
    from dynamics.support import trajectory

    written = []
    for name, dataset in data.items():
        trajectory.save(dataset, output / f"{name}.nc")
        written.append(f"{name}.nc")
    if figures != "none":
        from dynamics import plot

        for name, figure in draw().items():
            for other in FORMATS:
                if other != figures:
                    (output / f"{name}.{other}").unlink(missing_ok=True)
            plot.save(figure, output / f"{name}.{figures}")
            written.append(f"{name}.{figures}")
    return f"written to {output}: {', '.join(written)}"


def finish(written: str, *lines: str) -> None:
    """Print what was found, and last where it is."""
    for line in (*lines, written):
        say(line)
