"""Phase diagrams drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter

from dynamics.plot.frame import SMALL, house_style, number, numbered, time_ticks
from dynamics.plot.layout import COLUMN, blank
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

_NEVER = "0.82"
_COLOURS = "cividis_r"
"""Even in lightness, also for readers who do not see red and green."""
_LEVELS = [0.5, 0.9]
"""Of a probability."""
_HALO = withStroke(linewidth=2.0, foreground="white", alpha=0.6)
"""So that lines are seen on the darkest colour."""


def phase(diagram: xr.Dataset) -> Figure:
    """A phase diagram: the quantity in colour, with contours of the solution and of the closed form.

    Parameters
    ----------
    diagram : xarray.Dataset
        From :func:`dynamics.phase.diagram.phase_diagram`.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide. Cells where it never happens are grey, those that make no sense are blank. Solid contours are
        those of the map (of times the decades, of probabilities 0.5 and 0.9), dashed ones those of the closed form;
        where there are several, each has its number. Along axes of whole numbers they follow the edges of cells.

    Raises
    ------
    InputError
        If the dataset is no phase diagram.

    Examples
    --------
    >>> from dynamics import phase_diagram
    >>> figure = phase(phase_diagram("copying", {"L": [4, 6, 8], "V": [8, 10, 12]}, t_end=1000))
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('vocabulary size V', 'input length L')
    """
    if "value" not in diagram or len(diagram["value"].dims) != 2:
        raise InputError("nothing to draw: give what phase_diagram() returns")
    value = diagram["value"]
    kind = str(diagram.attrs.get("quantity", "value"))
    rows, columns = (str(dim) for dim in value.dims)
    x, y = diagram[columns].values.astype(float), diagram[rows].values.astype(float)
    finite = value.values[np.isfinite(value.values)]
    norm = _norm(kind, finite)
    with house_style():
        figure = blank(COLUMN, 3.0)
        ax = figure.add_subplot()
        _scale(ax, x, y)
        shown = np.where(np.isfinite(value.values), value.values, np.nan)
        if isinstance(norm, LogNorm):
            shown = np.maximum(shown, finite[finite > 0].min())  # a time of 0 has no logarithm
        image = ax.pcolormesh(x, y, shown, cmap=_COLOURS, norm=norm, shading="nearest", rasterized=value.size > 2500)
        keys: list[Any] = []
        if np.isinf(value.values).any():
            never = np.where(np.isinf(value.values), 1.0, np.nan)
            ax.pcolormesh(x, y, never, cmap=ListedColormap([_NEVER]), shading="nearest", rasterized=value.size > 2500)
            keys.append(Patch(facecolor=_NEVER, label=f"not by τ = {number(diagram.attrs['t_end'])}"))
        keys += _contours(ax, diagram, kind, x, y, finite)
        ax.set_xlabel(str(diagram[columns].attrs.get("long_name", columns)))
        ax.set_ylabel(str(diagram[rows].attrs.get("long_name", rows)))
        if finite.size:
            bar = figure.colorbar(image, ax=ax, label=str(value.attrs.get("long_name", "value")), aspect=25, pad=0.02)
            bar.outline.set_visible(False)
            if isinstance(norm, LogNorm):  # decades may have no power of ten among them
                major, minor = time_ticks(float(norm.vmin or 1), float(norm.vmax or 1))
                bar.ax.yaxis.set_major_locator(FixedLocator(list(major)))
                bar.ax.yaxis.set_minor_locator(FixedLocator(list(minor)))
            bar.ax.yaxis.set_major_formatter(numbered())
            bar.ax.yaxis.set_minor_formatter(NullFormatter())
        else:
            ax.set_title(str(value.attrs.get("long_name", "value")))
        if keys:
            figure.legend(handles=keys, loc="outside upper left", ncols=2, handlelength=1.8, columnspacing=1.0)
        return figure


def _norm(kind: str, finite: Vector) -> Normalize | None:
    """The range of colours: all of 0 to 1 for a share, decades for a time."""
    if kind == "learnt":
        return Normalize(0, 1)
    positive = finite[finite > 0]
    if kind == "time" and positive.size:
        return LogNorm(positive.min(), max(positive.max(), 1.001 * positive.min()))
    return None


def _scale(ax: Axes, x: Vector, y: Vector) -> None:
    """A logarithmic axis where values are spaced evenly in their logarithms and not in themselves."""
    for values, axis, scale in ((x, ax.xaxis, ax.set_xscale), (y, ax.yaxis, ax.set_yscale)):
        if values.size > 2 and values[0] > 0 and np.ptp(np.diff(np.log(values))) < np.ptp(np.diff(values)) / values[-1]:
            scale("log")
        elif (values == np.round(values)).all():
            axis.set_major_locator(MaxNLocator(6, integer=True))
        axis.set_major_formatter(numbered())
        axis.set_minor_formatter(NullFormatter())


def _contours(
    ax: Axes,
    diagram: xr.Dataset,
    kind: str,
    x: Vector,
    y: Vector,
    finite: Vector,
) -> list[Line2D]:
    """Contours of the map and of the closed form, where there is room for any; their keys."""
    if kind == "value" or min(x.size, y.size) < 3:
        return []
    positive = finite[finite > 0]
    if kind == "time":
        if not positive.size:
            return []
        decades = np.arange(np.ceil(np.log10(positive.min())), np.floor(np.log10(positive.max())) + 1)
        levels = list(10.0**decades)
    else:
        levels = _LEVELS
    keys: list[Line2D] = []
    looks: tuple[tuple[str, str, Any, str], ...] = (
        ("value", "black", "-", "solution" if diagram.attrs.get("method") == "theory" else "simulation"),
        ("theorem", "#D55E00", "--", "closed form"),
    )
    for name, colour, style, label in looks:
        if name not in diagram:
            continue
        values = diagram[name].values
        values = np.where(np.isinf(values), 1e3 * diagram.attrs["t_end"], values) if kind == "time" else values
        known = values[np.isfinite(values)]
        inside = [level for level in levels if known.size > 3 and known.min() < level < known.max()]
        if not inside:
            continue
        z, at = (np.log(np.maximum(values, 1e-300)), np.log(inside)) if kind == "time" else (values, inside)
        lines = ax.contour(*_stepped(diagram, x, y, z), levels=at, colors=colour, linewidths=1.0, linestyles=style)
        lines.set_path_effects([_HALO])
        if len(inside) > 1:
            _number_contours(ax, lines, inside, colour, 0.65 if keys else 0.35)
        label += "" if keys else f" at {', '.join(number(level) for level in inside)}"
        keys.append(Line2D([], [], color=colour, linestyle=style, linewidth=1.0, label=label))
    return keys


def _number_contours(ax: Axes, lines: Any, levels: list[float], colour: str, share: float) -> None:
    """Write its number on each contour, at a share of its length: those of two sets do not meet there."""
    for level, path in zip(levels, lines.get_paths(), strict=True):
        if len(path.vertices):
            x, y = path.vertices[int(share * (len(path.vertices) - 1))]
            text = ax.text(x, y, number(level), color=colour, fontsize=SMALL - 1, ha="center", va="center")
            text.set_path_effects([_HALO])


def _stepped(diagram: xr.Dataset, x: Vector, y: Vector, z: Vector) -> tuple[Vector, Vector, Vector]:
    """Along axes of whole numbers a value belongs to its cell: contours run along the edges of cells, not through them.

    Axes are whole if their coordinate says so.
    """
    axes = []
    for k, (dim, at) in enumerate(zip(diagram["value"].dims, (y, x), strict=True)):
        if diagram[dim].attrs.get("whole") and at.size > 1:
            gap = 1e-6 * np.diff(at).min()
            edges = np.r_[1.5 * at[0] - at[1] / 2, (at[1:] + at[:-1]) / 2, 1.5 * at[-1] - at[-2] / 2]
            at = np.ravel([edges[:-1] + gap, edges[1:] - gap], order="F")
            z = np.repeat(z, 2, axis=k)
        axes.append(at)
    return axes[1], axes[0], z
