"""Where results go: written whole before a word is printed, beside nothing that is stale."""

from __future__ import annotations

import gc
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
    from dynamics.support.files import destination_of

    if figures not in (*FORMATS, "none"):
        raise InputError(f"unknown figure format {figures!r}; use {', '.join(FORMATS)} or none")
    found = RESULTS / command if output is None else output
    destination_of(found)
    there = next(place for place in (found, *found.parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"--output {found}: {there} is a file; name a directory")
    return found


_alone: list[bool] = []


def alone() -> None:
    """Say that this process is a command and nothing else: :func:`dynamics.cli.main` does.

    The garbage collector then comes every 50,000 objects: what is imported makes hundreds of thousands, none of them
    garbage, and to look through them every 700 takes a twentieth of a short command.
    """
    _alone.append(True)
    gc.set_threshold(50_000, 50, 100)


def with_data(place: Path) -> Path:
    """The directory of a command that will make datasets, which a process of its own gets ready for."""
    if _alone:
        from dynamics.support.trajectory import without_dask

        without_dask()
    return place


FIGURES = (
    "loss", "words", "ktiw", "distance", "order", "scores", "course", "run", "comparison", "study_lr", "study_batch",
    "phase", "forecast", "against", "fit",
)  # fmt: skip
"""The figures that commands draw, by name."""


def figures_of(output: Path, data: Mapping[str, xr.Dataset]) -> list[str]:
    """The figures of an earlier run into the same place: they would stand beside data that they do not show."""
    if not any((output / f"{name}.nc").exists() for name in data):
        return []
    return [f"{name}.{form}" for name in FIGURES for form in FORMATS if (output / f"{name}.{form}").exists()]


def write(output: Path, figures: str, data: Mapping[str, xr.Dataset], draw: Callable[[], Mapping[str, Figure]]) -> str:
    """Write datasets as NetCDF, then figures in place of those of an earlier run; what was written, in a line."""
    from dynamics.support import trajectory

    written, before = [], figures_of(output, data)
    for name, dataset in data.items():
        trajectory.save(dataset, output / f"{name}.nc")
        written.append(f"{name}.nc")
    for stale in before:
        (output / stale).unlink(missing_ok=True)
    if figures != "none":
        from dynamics import plot

        for name, figure in draw().items():
            plot.save(figure, output / f"{name}.{figures}")
            written.append(f"{name}.{figures}")
    return f"written to {output}: {', '.join(written)}"


def finish(written: str, *lines: str) -> None:
    """Print what was found, and last where it is."""
    for line in filter(None, (*lines, written)):
        say(line)
