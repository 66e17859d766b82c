"""Trajectories of a program: its loss and its scalar states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from dynamics.plot.frame import COLOURS, from_zero, house_style, marker, time_axis, times_of
from dynamics.plot.layout import panels
from dynamics.support.errors import InputError
from dynamics.support.roles import loss_of

if TYPE_CHECKING:
    import xarray as xr

COLUMNS = 3


def course(found: xr.Dataset) -> Figure:
    """Loss and scalar states over time, each in a panel, a line for each seed.

    Parameters
    ----------
    found : xarray.Dataset
        With its loss over (time,) or (seed, time).

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no loss.

    Examples
    --------
    >>> import xarray as xr
    >>> found = xr.Dataset({"p": ("time", [0.1, 0.2]), "loss": ("time", [1.0, 0.5])}, {"time": [0, 9]})
    >>> [ax.get_title("left") for ax in course(found).axes]
    ['loss', 'p']
    """
    loss = loss_of(found)
    if loss is None:
        raise InputError("the dataset has no loss to draw: give what solve() or simulate() returns")
    names = [str(name) for name, value in found.data_vars.items() if set(value.dims) == set(found[loss].dims)]
    names.sort(key=lambda name: name != loss)
    times = times_of(found)
    with house_style():
        figure, axes = panels(len(names))
        for ax, name in zip(axes, names, strict=True):
            lines = found[name].transpose("time", ...).values.reshape(times.size, -1)
            ax.plot(times, lines, color=COLOURS[0], linewidth=1.4 if lines.shape[1] == 1 else 0.7, **marker(times))
            time_axis(ax, times)
            from_zero(ax, lines)
            ax.set_title(name, loc="left")
        return figure
