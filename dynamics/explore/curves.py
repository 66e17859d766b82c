"""Curves over time in a page, each named at its end and in the legend, with what the pointer is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics.explore.page import new_figure
from dynamics.support.typing import Vector

DASHES = ("solid", "dashed", "dotdash", "dotted", "dashdot")
MOST = 24
"""Curves of a figure; of more the first are drawn."""


@dataclass(frozen=True)
class Curves:
    """A figure of curves, filled anew for another solution.

    Attributes
    ----------
    figure : bokeh figure
    source : ColumnDataSource
        A row for each curve: ``xs``, ``ys``, ``name``, ``colour``, ``dash``.
    spans : mapping of str to ColumnDataSource
        Lines across: ``time`` ones stand, ``level`` ones lie.
    """

    figure: Any
    source: Any
    times: Any
    levels: Any

    @classmethod
    def new(cls, name: str, label: str, height: int = 240, width: int = 520) -> Curves:
        from bokeh.models import ColumnDataSource, HoverTool

        shown = new_figure(
            width=width, height=height, name=name, tools="pan,wheel_zoom,box_zoom,reset", toolbar_location="right",
            x_axis_label="training time τ = learning rate × steps", y_axis_label=label,
        )  # fmt: skip
        source = ColumnDataSource({key: [] for key in ("xs", "ys", "name", "colour", "dash")})
        lines = shown.multi_line(
            "xs", "ys", source=source, line_color="colour", line_dash="dash", line_width=2, legend_field="name"
        )
        times = ColumnDataSource({"at": [], "colour": [], "dash": []})
        levels = ColumnDataSource({"at": []})
        shown.vspan("at", source=times, line_color="colour", line_dash="dash", line_width=1.6)
        shown.hspan("at", source=levels, line_color="#8a8a8a", line_dash="dotted", line_width=1.2)
        told = [("", "@name"), ("τ", "$x{0.[00]a}"), ("", "$y{0.[000]a}")]
        shown.add_tools(HoverTool(renderers=[lines], tooltips=told))
        shown.toolbar.autohide = True
        shown.add_layout(shown.legend[0], "above")
        shown.legend.update(orientation="horizontal", label_text_font_size="12px", margin=0, ncols=6)
        return cls(shown, source, times, levels)

    def show(
        self,
        curves: Sequence[tuple[str, Vector, Vector]],
        times: Sequence[tuple[float, str, str]] = (),
        levels: Sequence[float] = (),
    ) -> None:
        """Draw curves (name, times, values); those of one name have one look.

        Parameters
        ----------
        curves : sequence of (str, ndarray, ndarray)
        times : sequence of (float, str, str)
            Lines that stand: where, their colour and dash.
        levels : sequence of float
            Lines that lie.
        """
        looks = looks_of([name for name, _, _ in curves])
        self.source.data = {
            "xs": [x for _, x, _ in curves],
            "ys": [y for _, _, y in curves],
            "name": [name for name, _, _ in curves],
            "colour": [looks[name][0] for name, _, _ in curves],
            "dash": [looks[name][1] for name, _, _ in curves],
        }
        known = [one for one in times if np.isfinite(one[0])]
        self.times.data = {
            "at": [at for at, _, _ in known],
            "colour": [colour for _, colour, _ in known],
            "dash": [dash for _, _, dash in known],
        }
        self.levels.data = {"at": list(levels)}


def looks_of(names: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """A colour and a dash for each name; both differ between neighbours. Seen on light and on dark.

    Examples
    --------
    >>> looks_of(["u", "a", "u"])
    {'u': ('#D55E00', 'solid'), 'a': ('#0072B2', 'dashed')}
    """
    from dynamics.plot.frame import COLOURS

    colours = COLOURS[1:]
    each = list(dict.fromkeys(names))
    return {name: (colours[k % len(colours)], DASHES[k % len(DASHES)]) for k, name in enumerate(each)}
