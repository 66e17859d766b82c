"""Measured curves as dots, the flow that was fitted to them as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from dynamics.plot.frame import COLOURS, from_zero, house_style, time_axis
from dynamics.plot.layout import panels

if TYPE_CHECKING:
    import xarray as xr

COLUMNS = 3


def fit(found: xr.Dataset) -> Figure:
    """Each curve in a panel.

    Parameters
    ----------
    found : xarray.Dataset
        With curves over (time,) and ``NAME_fitted`` over (line_time,).

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import xarray as xr
    >>> curves = {"loss": ("time", [1.0, 0.5]), "loss_fitted": ("line_time", [1.0, 0.7, 0.5])}
    >>> [ax.get_ylabel() for ax in fit(xr.Dataset(curves, {"time": [0, 9], "line_time": [0, 4, 9]})).axes]
    ['loss']
    """
    names = [str(name) for name in found.data_vars if f"{name}_fitted" in found]
    with house_style():
        figure, axes = panels(len(names))
        for ax, name in zip(axes, names, strict=True):
            ax.plot(
                found.time,
                found[name],
                "o",
                markersize=4.5,
                color=COLOURS[1],
                alpha=0.5,
                markeredgewidth=0,
                label="measured",
            )
            ax.plot(found.line_time, found[f"{name}_fitted"], color=COLOURS[0], linewidth=1.0, label="fitted flow")
            time_axis(ax, found.time.values)
            from_zero(ax, found[name].values)
            units = found[name].attrs.get("units", "")
            ax.set_ylabel(f"{name} ({units})" if units else name)
        axes[0].legend(loc="best")
        return figure
