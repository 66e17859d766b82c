"""A phase diagram in a page: the map with its contours, and the rows and columns that the pointer is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.explore.page import new_figure
from dynamics.explore.scales import Scale, edges
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

PREDICTED = "#D55E00"
NEVER = "#c4c4c4"
MOST = 600
"""Pixels a side of an image whose cells are not even."""

READ = """
const near = (edges, x) => { let k = 0; while (k < edges.length - 2 && edges[k + 1] <= x) k += 1; return k }
const {xe, ye, x, y, z, across, back} = cells.tags[0]
const i = near(xe, at_x), j = near(ye, at_y), n = x.length
const line = (from, to, count, of) => {
  const a = [], b = []
  for (let k = 0; k < count; k++) { const v = z[of(k)]; a.push(from[k]); b.push(Number.isFinite(v) ? v : NaN) }
  to.data = {x: a, y: b}
}
line(x, row, n, (k) => j * n + k)
line(y, column, y.length, (k) => k * n + i)
"""


@dataclass(frozen=True)
class Map:
    """The parts of a map, which are filled anew for another diagram.

    Attributes
    ----------
    figure, row, column : bokeh figures
    layout : bokeh layout
    image, solved, closed, cells : sources
        Of the picture, of the contours of both kinds, and (as a tag) of the numbers.
    sides : the sources of the row and the column
    bar, colours : the bar of colours and what it maps
    mark : source
        Of the cell that is chosen.
    """

    figure: Any
    row: Any
    column: Any
    layout: Any
    image: Any
    solved: Any
    closed: Any
    cells: Any
    sides: Any
    bar: Any
    colours: Any
    mark: Any

    @classmethod
    def new(cls) -> Map:
        from bokeh.layouts import column as stacked
        from bokeh.layouts import row as beside
        from bokeh.models import (
            ColorBar,
            ColumnDataSource,
            CrosshairTool,
            CustomJS,
            CustomJSHover,
            HoverTool,
            LinearColorMapper,
            Range1d,
        )
        from bokeh.palettes import Cividis256

        mapper = LinearColorMapper(palette=Cividis256[::-1], low=0, high=1, high_color=NEVER, nan_color="rgba(0,0,0,0)")
        image = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        cells = ColumnDataSource({"none": []}, tags=[{}])
        plain: dict[str, Any] = {"toolbar_location": None}
        shown = new_figure(
            width=560, height=480, tools="tap,pan,wheel_zoom,box_zoom,reset", name="map",
            x_range=Range1d(0, 1), y_range=Range1d(0, 1), toolbar_location="right",
        )  # fmt: skip
        shown.grid.visible = False
        shown.toolbar.autohide = True
        picture = shown.image("image", x="x", y="y", dw="dw", dh="dh", source=image, color_mapper=mapper)
        solved, closed, mark = (ColumnDataSource({"xs": [], "ys": []}) for _ in range(3))
        mark.data = {"x": [], "y": []}
        shown.multi_line("xs", "ys", source=solved, line_color="#000000", line_width=1.4, legend_label="solution")
        shown.multi_line(
            "xs", "ys", source=closed, line_color=PREDICTED, line_width=1.8, line_dash="dashed",
            legend_label="closed form",
        )  # fmt: skip
        shown.scatter("x", "y", source=mark, marker="circle_x", size=15, fill_color=None, line_color="#ffffff",
                      line_width=3.5)  # fmt: skip
        shown.scatter("x", "y", source=mark, marker="circle_x", size=15, fill_color=None, line_color="#000000")
        shown.add_layout(shown.legend[0], "below")
        shown.legend.orientation = "horizontal"
        bar = ColorBar(color_mapper=mapper, width=12, title_text_font_style="normal")
        shown.add_layout(bar, "right")
        real = CustomJSHover(
            args={"cells": cells},
            code="""const {z_back, bar_decades} = cells.tags[0]
if (value > z_back) return "not by the end"
return (bar_decades ? 10 ** value : value).toPrecision(4)""",
        )
        across = CustomJSHover(args={"cells": cells}, code=_place("x"))
        up = CustomJSHover(args={"cells": cells}, code=_place("y"))
        shown.add_tools(
            HoverTool(
                renderers=[picture], tooltips=[("", "@image{custom}"), ("across", "$x{custom}"), ("up", "$y{custom}")],
                formatters={"@image": real, "$x": across, "$y": up},
            ),
            CrosshairTool(line_alpha=0.35),
        )  # fmt: skip
        sides = []
        for name in ("row", "column"):
            side = new_figure(width=300, height=225, name=name, **plain)
            source = ColumnDataSource({"x": [], "y": []})
            side.line("x", "y", source=source, line_width=2, line_color="#0072B2")
            side.scatter("x", "y", source=source, size=3, color="#0072B2")
            sides.append((side, source))
        (side_x, row), (side_y, column) = sides
        args = {"cells": cells, "row": row, "column": column}
        move = CustomJS(args=args, code="const at_x = cb_obj.x, at_y = cb_obj.y\nif (!cells.tags[0].x) return\n" + READ)
        shown.js_on_event("mousemove", move)
        layout = beside(shown, stacked(side_x, side_y))
        return cls(shown, side_x, side_y, layout, image, solved, closed, cells, (row, column), bar, mapper, mark)

    def show(self, diagram: xr.Dataset) -> None:
        """Fill the parts with a diagram.

        Raises
        ------
        InputError
            The dataset is no phase diagram.
        """
        if "value" not in diagram or diagram["value"].ndim != 2:
            raise InputError("nothing to draw: give what phase_diagram() returns")
        value = diagram["value"]
        rows, columns = (str(dim) for dim in value.dims)
        x, y = (diagram[name].values.astype(float) for name in (columns, rows))
        of_x, of_y = Scale.of(x), Scale.of(y)
        px, py = of_x.at(x), of_y.at(y)
        finite = value.values[np.isfinite(value.values)]
        kind = str(diagram.attrs.get("quantity", "value"))
        colour = Scale(kind == "time" and bool((finite > 0).any()))
        z = colour.at(np.maximum(value.values, finite[finite > 0].min()) if colour.decades else value.values)
        known = z[np.isfinite(z)]
        low, high = 0.0, 1.0
        if kind != "learnt" and known.size:
            low, high = float(known.min()), float(known.max())
        high = high if high > low else low + 1e-3
        shown = np.where(np.isposinf(z), high + 0.5 * (high - low), z)
        xe, ye = edges(px), edges(py)
        self.image.data = {
            "image": [_even(shown, xe, ye)],
            "x": [xe[0]], "y": [ye[0]], "dw": [xe[-1] - xe[0]], "dh": [ye[-1] - ye[0]],
        }  # fmt: skip
        self.colours.update(low=low, high=high)
        title = str(value.attrs.get("long_name", "value"))
        self.bar.title = None
        self.figure.title.text = title + ("; grey: not by the end" if np.isposinf(z).any() else "")
        _mark_axis(self.bar, colour, low, high)
        for axis, span, scale, at, name in (
            (self.figure.xaxis[0], self.figure.x_range, of_x, xe, columns),
            (self.figure.yaxis[0], self.figure.y_range, of_y, ye, rows),
        ):
            span.update(start=at[0], end=at[-1], reset_start=at[0], reset_end=at[-1])
            _mark_axis(axis, scale, at[0], at[-1])
            axis.axis_label = str(diagram[name].attrs.get("long_name", name))
        for side, axis, scale, at, name in (
            (self.row, self.figure.xaxis[0], of_x, xe, "its row"),
            (self.column, self.figure.yaxis[0], of_y, ye, "its column"),
        ):
            side.title.text = name
            side.xaxis[0].axis_label = axis.axis_label
            _mark_axis(side.xaxis[0], scale, at[0], at[-1], 4)
            side.yaxis[0].axis_label = title
            _mark_axis(side.yaxis[0], colour, low, high, 4)
        levels = _levels(kind, colour, known)
        for source, name in ((self.solved, "value"), (self.closed, "theorem")):
            given = diagram[name].values if name in diagram else np.full(value.shape, np.nan)
            source.data = _contours(px, py, colour.at(given), levels, high)
        self.cells.tags = [
            {
                "xe": xe, "ye": ye, "x": px, "y": py,
                "z": np.where(np.isfinite(z), z, np.nan).ravel(), "x_decades": of_x.decades,
                "y_decades": of_y.decades, "bar_decades": colour.decades, "z_back": high,
            }
        ]  # fmt: skip
        self.choose(x.size // 2, y.size // 2)

    def choose(self, i: int, j: int) -> None:
        """Mark the cell in column i and row j, and show its row and column."""
        tag = self.cells.tags[0]
        z = np.reshape(tag["z"], (len(tag["y"]), len(tag["x"])))
        for source, at, values in zip(self.sides, (tag["x"], tag["y"]), (z[j], z[:, i]), strict=True):
            source.data = {"x": at, "y": values}
        self.mark.data = {"x": [tag["x"][i]], "y": [tag["y"][j]]}


def _place(axis: str) -> str:
    return f"return (cells.tags[0].{axis}_decades ? 10 ** value : value).toPrecision(3)"


def _mark_axis(axis: Any, scale: Scale, low: float, high: float, about: int = 6) -> None:
    """Ticks of an axis, or of a bar of colours."""
    from bokeh.models import FixedTicker

    ticks = scale.ticks(low, high, about)
    axis.ticker = FixedTicker(ticks=list(ticks))
    axis.major_label_overrides = dict(ticks)


def _even(z: Vector, xe: Vector, ye: Vector) -> Vector:
    """A picture whose pixels are even: the cells, or, where these are not even, the cell that each pixel is in."""
    picture = z
    for axis, at in ((1, xe), (0, ye)):
        gaps = np.diff(at)
        if np.ptp(gaps) > 1e-6 * gaps.max():
            n = int(min(MOST, max(4 * gaps.size, np.ceil((at[-1] - at[0]) / gaps.min()))))
            middle = at[0] + (np.arange(n) + 0.5) * (at[-1] - at[0]) / n
            picture = np.take(picture, np.clip(np.searchsorted(at, middle) - 1, 0, gaps.size - 1), axis=axis)
    return np.ascontiguousarray(picture, dtype=np.float32)


def _levels(kind: str, colour: Scale, known: Vector) -> list[float]:
    """Of contours: decades of times, one half and nine tenths of probabilities."""
    if kind == "learnt":
        return [0.5, 0.9]
    if kind != "time" or not known.size or not colour.decades:
        return []
    return [float(level) for level in np.arange(np.ceil(known.min()), np.floor(known.max()) + 1)]


def _contours(x: Vector, y: Vector, z: Vector, levels: list[float], high: float) -> dict[str, list[Any]]:
    from contourpy import contour_generator

    found: dict[str, list[Any]] = {"xs": [], "ys": []}
    if min(z.shape) < 3 or not np.isfinite(z).any():
        return found
    lines = contour_generator(x, y, np.ma.masked_invalid(np.where(np.isposinf(z), high + 3, z)))
    for level in levels:
        for line in lines.lines(level):
            found["xs"].append(line[:, 0])
            found["ys"].append(line[:, 1])
    return found
