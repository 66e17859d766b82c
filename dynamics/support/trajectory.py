"""The result of a solve or a run: a labelled dataset, with its provenance, saved as NetCDF."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.support.errors import InputError
from dynamics.support.files import write_aside

if TYPE_CHECKING:
    import xarray as xr

COMPRESSED = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Bytes of like weight side by side, then the quickest compression."""

WORTH = 1000
"""Numbers in an array that is worth compressing."""

ALIKE, KNOWN = 10_000, 64
"""Bytes of the labels of results that are remembered, and how many of these are."""
_known: dict[Any, Kind] = {}

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


def without_dask() -> None:
    """Have xarray take it that no array of this process is dask's: for commands, which make their arrays themselves.

    Asked for the first array whether it is one, xarray imports dask wherever it is installed, as pandas imports
    pyarrow, which is for tables that no command has. What has been imported before is left as it is.
    """
    with missing("pyarrow"), contextlib.suppress(ImportError):
        import_module("pandas")
    with missing("dask"), contextlib.suppress(ImportError, AttributeError):  # another xarray, which may ask
        import_module("xarray.namedarray.pycompat").array_type("dask")


@contextlib.contextmanager
def missing(package: str) -> Iterator[None]:
    """Within the context, a package that has not been imported is taken not to be installed.

    >>> with missing("this"), contextlib.suppress(ImportError):
    ...     import this
    >>> "this" in sys.modules
    False
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


def labelled(variables: Mapping[str, Any], coordinates: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
    """A dataset of arrays that fit, made the short way; labels of its kind are indexed once.

    xarray looks at everything when a dataset is made, which takes longer than a short integration.

    Parameters
    ----------
    variables, coordinates : mapping of str to (dims, ndarray) or (dims, ndarray, attrs)
        By name. A coordinate along the dimension of its own name labels it.
    attrs : mapping

    Examples
    --------
    >>> time, loss = ("time",), np.array([0.7, 0.1])
    >>> labelled({"loss": (time, loss, {"units": "nat"})}, {"time": (time, np.array([0.0, 1.0]))}, {}).loss.attrs
    {'units': 'nat'}
    """
    labels = {name: value for name, value in coordinates.items() if value[0] == (name,)}
    large = sum(value[1].nbytes for value in labels.values()) > ALIKE
    if large or any(v[1].dtype.hasobject for v in labels.values()) or any(v[0] == (k,) for k, v in variables.items()):
        return _made(variables, coordinates, attrs)
    others = {**variables, **{name: value for name, value in coordinates.items() if name not in labels}}
    key = (
        *((name, value[0], value[1].shape, name in variables) for name, value in others.items()),
        *((name, value[1].dtype.str, value[1].tobytes(), repr(value[2:])) for name, value in labels.items()),
        *coordinates,
    )
    if key not in _known:
        if len(_known) >= KNOWN:
            _known.clear()
        _known[key] = Kind.of(variables, coordinates)
    found = _known[key].filled(others, attrs)
    return _made(variables, coordinates, attrs) if found is None else found


@dataclass(frozen=True, eq=False)
class Kind:
    """What datasets of the same names, dimensions and labels have in common.

    Attributes
    ----------
    direct : callable or None
        xarray's own short way to a dataset of parts that fit; None where it has none, and datasets are made the long
        way.
    names, coordinates : tuple of str
        Of all variables, in order, and those that are coordinates.
    labels, indexes : mapping
        By dimension.
    twins : mapping
        Variables of this kind, by name, where xarray's hold what it is thought that they do: made anew from these.
    sizes : mapping of str to int
    """

    direct: Callable[..., xr.Dataset] | None = None
    names: tuple[str, ...] = ()
    coordinates: tuple[str, ...] = ()
    labels: Mapping[Any, Any] = field(default_factory=dict)
    indexes: Mapping[Any, Any] = field(default_factory=dict)
    twins: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, variables: Mapping[str, Any], coordinates: Mapping[str, Any]) -> Kind:
        import pandas as pd
        import xarray as xr

        labels: dict[Any, Any] = {}
        indexes: dict[Any, Any] = {}
        try:
            for name, (dims, values, *more) in coordinates.items():
                if dims == (name,):  # copied: the caller may change what it gave
                    along = {name: xr.Variable(dims, values.copy(), dict(*more) or None, fastpath=True)}
                    # Of an index of pandas: of an array, xarray asks dask whether it is one of its own.
                    indexes[name] = xr.indexes.PandasIndex(pd.Index(along[name].values), name, values.dtype)
                    labels |= indexes[name].create_variables(along)
            direct = xr.Dataset._construct_direct
        except (AttributeError, TypeError, UnicodeEncodeError):
            return cls()
        sizes = {
            dim: n
            for value in (*variables.values(), *coordinates.values())
            for dim, n in zip(value[0], value[1].shape, strict=True)
        }
        twins: dict[str, Any] = {}
        for name, (dims, values, *_) in {**variables, **coordinates}.items():
            made: Any = labels[name] if name in labels else xr.Variable(dims, values, fastpath=True)
            held = (made._data.array, indexes[name].index) if name in labels else (made._data, values)
            if held[0] is held[1]:
                twins[name] = made if name in labels else twin(made, _data=None)
        return cls(direct, (*variables, *coordinates), tuple(coordinates), labels, indexes, twins, sizes)

    def filled(self, values: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset | None:
        """A dataset of this kind with numbers: (dims, ndarray, attrs) by name, of all that are no labels."""
        import xarray as xr

        if self.direct is None:
            return None
        variables: dict[str, Any] = {}
        indexes: dict[Any, Any] = {}
        for name in self.names:
            known = self.twins.get(name)
            if name in self.labels:  # an index of one's own: that of pandas has a name that can be set
                index = self.indexes[name]
                own = index.index.view()
                if known is not None:
                    indexes[name] = twin(index, index=own)
                    variables[name] = twin(known, _data=twin(known._data, array=own), _attrs=dict(known.attrs) or None)
                    continue
                indexes[name] = xr.indexes.PandasIndex(own, index.dim, index.coord_dtype)
                variables |= indexes[name].create_variables({name: self.labels[name]})
            else:
                dims, numbers, *more = values[name]
                attributes = dict(*more) or None
                if known is not None:
                    variables[name] = twin(known, _data=numbers, _attrs=attributes)
                else:
                    variables[name] = xr.Variable(dims, numbers, attributes, fastpath=True)
        return self.direct(variables, set(self.coordinates), dict(self.sizes), dict(attrs), indexes)


@cache
def slots_of(kind: type) -> tuple[str, ...]:
    """The slots of objects of a class."""
    named = [vars(base).get("__slots__", ()) for base in kind.__mro__[:-1]]
    slots = dict.fromkeys(name for names in named for name in ((names,) if isinstance(names, str) else names))
    return tuple(name for name in slots if name not in ("__dict__", "__weakref__"))


def twin(one: Any, **changes: Any) -> Any:
    """Another object that holds the same but for some changes: its class would look at all of it once more.

    >>> class Point:
    ...     __slots__ = ("x", "y")
    >>> point = Point()
    >>> point.x, point.y = 1, 2
    >>> other = twin(point, y=3)
    >>> other.x, other.y, point.y
    (1, 3, 2)
    """
    made, put = object.__new__(type(one)), object.__setattr__  # past what a class makes of it
    kind: Any = type(one)
    for name in slots_of(kind):
        put(made, name, changes[name] if name in changes else getattr(one, name))
    if hasattr(one, "__dict__"):
        vars(made).update(vars(one))
    return made


def _made(variables: Mapping[str, Any], coordinates: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
    """The dataset as xarray makes it."""
    import xarray as xr

    data, coords = (
        {name: (*value[:2], *map(dict, value[2:])) for name, value in given.items()}
        for given in (variables, coordinates)
    )
    return xr.Dataset(data, coords, dict(attrs))


def save(trajectory: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a trajectory as NetCDF, aside first and then in one step; numbers are kept to the last bit.

    The folder is made if there is none, as by all that writes files here.

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
        aside.write_bytes(_netcdf(trajectory, encoding))


def _netcdf(trajectory: xr.Dataset, encoding: Mapping[Any, Any]) -> memoryview:
    """The bytes of a file, as ``to_netcdf`` gives them.

    That function asks which scheduler Dask has, for which it imports one that computes on many machines: a tenth of the
    time of a short command.
    """
    from xarray.backends import H5NetCDFStore
    from xarray.backends.locks import HDF5_LOCK

    # Through memory: where HDF5 writes to the disk itself and the disk is full, it crashes when it closes the file.
    file = io.BytesIO()
    store = H5NetCDFStore.open(file, "w", lock=HDF5_LOCK)
    try:
        trajectory.compute().dump_to_store(store, encoding=encoding)
    finally:
        store.close()
    return file.getbuffer()


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
