"""The result of a solve or a run: a labelled dataset, with its provenance, saved as NetCDF."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from dynamics.errors import InputError
from dynamics.files import write_aside

if TYPE_CHECKING:
    import xarray as xr

PACKAGES = ("attention-dynamics", "numpy", "scipy", "sympy", "numba")


def provenance() -> dict[str, str]:
    """Versions of everything that a number may depend on, for ``attrs``."""
    found = {}
    for package in PACKAGES:
        try:
            found[f"version_{package}"] = version(package)
        except PackageNotFoundError:
            found[f"version_{package}"] = "not installed"
    return found


def save(trajectory: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a trajectory as NetCDF, aside first and then in one step.

    Raises
    ------
    InputError
        The file cannot be written there.
    """
    with write_aside(path) as aside:
        trajectory.to_netcdf(aside, engine="h5netcdf")


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a trajectory that was saved.

    Raises
    ------
    InputError
        There is no such file, or it is not a trajectory.
    """
    import xarray as xr

    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a trajectory in NetCDF ({str(error).splitlines()[0]})") from None
