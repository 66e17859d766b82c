"""A forecast in a page: the step at which each word is learnt, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.explore.page import new_figure
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

MOST = 40
"""Words that are shown, the first to be learnt."""


@dataclass(frozen=True)
class Forecasts:
    """The figure, and what fills it."""

    figure: Any
    source: Any

    @classmethod
    def new(cls) -> Forecasts:
        from bokeh.models import ColumnDataSource, FactorRange

        source = ColumnDataSource({key: [] for key in ("word", "step", "low", "high", "best")})
        shown = new_figure(
            width=1000, height=300, name="forecasts", x_range=FactorRange(), toolbar_location=None, tools="hover",
            tooltips=[("", "@word ← @best"), ("step", "@step{0} (@low{0} to @high{0})")],
            title="Forecast: the step at which each word is learnt", y_axis_label="step", x_axis_label="target word",
        )  # fmt: skip
        shown.segment("word", "low", "word", "high", source=source, line_width=4, line_color="#56B4E9")
        shown.scatter("word", "step", source=source, size=7, color="#D55E00")
        shown.xaxis.major_label_orientation = 0.9
        return cls(shown, source)

    def show(self, found: xr.Dataset) -> None:
        """Fill it with what :func:`dynamics.forecast` returns.

        Raises
        ------
        InputError
            The dataset is no forecast.
        """
        if not {"step", "low", "high"} <= set(found.data_vars):
            raise InputError("nothing to show of a forecast: give what forecast() returns")
        step = found.step.values.astype(float)
        order = [int(k) for k in np.argsort(step, kind="stable")[:MOST] if np.isfinite(step[k])]
        words = [str(found.output.values[k]) for k in order]
        best = found.best_source.values if "best_source" in found else np.full(step.size, "")
        self.figure.x_range.factors = words
        self.source.data = {
            "word": words,
            **{name: [float(found[name].values[k]) for k in order] for name in ("step", "low", "high")},
            "best": [str(best[k]) for k in order],
        }
