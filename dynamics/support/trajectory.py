"""The result of a solve or a run: a labelled dataset, with its provenance, saved as NetCDF."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from dynamics.support.errors import InputError
from dynamics.support.files import write_aside

if TYPE_CHECKING:
    import xarray as xr

COMPRESSED = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Bytes of like weight side by side, then the quickest compression."""

WORTH = 1000
"""Numbers in an array that is worth compressing."""

PACKAGES = ("attention-dynamics", "numpy", "scipy", "sympy", "numba")


def provenance() -> dict[str, str]:
    """Versions of everything that a number may depend on, for ``attrs``."""
    return {f"version_{package}": _version(package) for package in PACKAGES}


@cache
def _version(package: str) -> str:
    """It is looked up once: that takes as long as a small solve."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def save(trajectory: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a trajectory as NetCDF, aside first and then in one step; numbers are kept to the last bit.

    Large arrays are compressed. The digits of a double beyond the first few are noise to a compressor: more than a
    third is rarely saved, and harder compression saves no more.

    Raises
    ------
    InputError
        The file cannot be written there: a full disk, a place that is closed to us.

    Examples
    --------
    >>> import tempfile
    >>> import xarray as xr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(xr.Dataset({"loss": ("time", [0.7, 0.1])}), f"{folder}/trajectory.nc")
    ...     load(f"{folder}/trajectory.nc").loss.values
    array([0.7, 0.1])
    """
    encoding = {
        name: COMPRESSED
        for name, values in trajectory.data_vars.items()
        if values.dtype.kind in "fi" and values.size >= WORTH
    }
    trajectory = trajectory.assign_attrs({k: _text(v) for k, v in trajectory.attrs.items() if isinstance(v, str)})
    with write_aside(path) as aside:
        # Through memory: where HDF5 writes to the disk itself and the disk is full, it crashes when it closes the file.
        aside.write_bytes(trajectory.to_netcdf(engine="h5netcdf", encoding=encoding))


def _text(value: str) -> str:
    """Text as UTF-8 has it: what stands for the bytes of a file name in another coding is escaped."""
    return value.encode("utf-8", "backslashreplace").decode()


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read a trajectory that was saved.

    Raises
    ------
    InputError
        There is no such file, or it is not a trajectory.

    Examples
    --------
    >>> load("forgotten.nc")
    Traceback (most recent call last):
    dynamics.support.errors.InputError: forgotten.nc: no such file
    """
    import xarray as xr

    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a trajectory in NetCDF ({str(error).splitlines()[0]})") from None


def half_time(curve: xr.DataArray) -> float:
    """The time at which a curve over (time) first passes half of its final value, interpolated in log time.

    Examples
    --------
    >>> import xarray as xr
    >>> half_time(xr.DataArray([0.0, 0.25, 0.75, 1.0], coords={"time": [0.0, 1.0, 100.0, 200.0]}, dims="time"))
    10.0
    """
    import numpy as np

    values, t = np.asarray(curve, dtype=float), np.asarray(curve.time, dtype=float)
    half = 0.5 * values[-1]
    k = int(np.argmax(values >= half))
    if k == 0 or values[k] == values[k - 1]:
        return float(t[k])
    share = (half - values[k - 1]) / (values[k] - values[k - 1])
    if t[k - 1] <= 0:
        return float(t[k - 1] + share * (t[k] - t[k - 1]))
    return float(t[k - 1] * (t[k] / t[k - 1]) ** share)


def half_times(curves: xr.DataArray) -> xr.DataArray:
    """The same for many curves (time, ...) at once; shape (...).

    Examples
    --------
    >>> import xarray as xr
    >>> values = [[0.0, 0.0], [0.25, 0.5], [0.75, 0.5], [1.0, 0.5]]
    >>> half_times(xr.DataArray(values, {"time": [0.0, 1.0, 100.0, 200.0]}, ("time", "word"))).values
    array([10. ,  0.5])
    """
    import numpy as np

    values, t = curves.transpose("time", ...).values, np.asarray(curves.time, dtype=float)
    half = 0.5 * values[-1]
    k = (values >= half).argmax(axis=0)
    before = np.maximum(k - 1, 0)
    low, high = (np.take_along_axis(values, at[None], axis=0)[0] for at in (before, k))
    rise = high - low
    share = np.where(rise > 0, (half - low) / np.where(rise > 0, rise, 1.0), 1.0)
    from_rest = t[before] <= 0
    ratio = np.where(from_rest, 1.0, t[k] / np.where(from_rest, 1.0, t[before]))
    between = np.where(from_rest, t[before] + share * (t[k] - t[before]), t[before] * ratio**share)
    return curves.isel(time=0, drop=True).copy(data=np.where(k == 0, t[0], between))
