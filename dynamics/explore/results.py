"""``--save``: a result as one file that needs no server, no network and no Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.explore.curves import MOST, Curves
from dynamics.explore.forecasts import Forecasts
from dynamics.explore.maps import Map
from dynamics.explore.page import require_bokeh, save_page
from dynamics.explore.program_view import entries
from dynamics.explore.words import Words
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.counts.cooccurrence import CoOccurrence

ABOUT = {
    "phase": "A phase diagram. The pointer on the map shows the row and the column that it is on, with their numbers.",
    "words": "What each word has learnt. Type to find words; drag τ, or move it with the arrow keys.",
    "forecast": "At which step a training run is to learn each word; the bar is the interval.",
    "curves": "A trajectory: every quantity over time. The pointer names the curves.",
}


def save_result(found: xr.Dataset, path: str | os.PathLike[str], counts: CoOccurrence | None = None) -> str:
    """Write a result as a page: a diagram, a solution of a text, a forecast, or any trajectory.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`dynamics.phase_diagram`, :func:`dynamics.solve`, :func:`dynamics.simulate` or
        :func:`dynamics.forecast`, or read from a file of them.
    path : path-like
        Ends in ``.html``.
    counts : CoOccurrence, optional
        What a solution was solved for: attention is then shown on every word.

    Returns
    -------
    str
        What kind of page it is: phase, words, forecast or curves.

    Raises
    ------
    InputError
        A dataset that is none of these, a path that cannot be written, or Bokeh is not installed.
    """
    require_bokeh()
    kind, root = parts(found, counts)
    save_page(path, root, str(found.attrs.get("title") or TITLES[kind]), ABOUT[kind])
    return kind


TITLES = {"phase": "Phase diagram", "words": "Words", "forecast": "Forecast", "curves": "Trajectory"}


def parts(found: xr.Dataset, counts: CoOccurrence | None = None) -> tuple[str, Any]:
    """The kind of a result, and the layout that shows it."""
    if "value" in found and found["value"].ndim == 2:
        shown = Map.new()
        shown.show(found)
        return "phase", shown.layout
    if {"step", "low", "high"} <= set(found.data_vars):
        forecasts = Forecasts.new()
        forecasts.show(found)
        return "forecast", forecasts.figure
    if "beta" in found and "translation" in found and found.sizes["time"] > 2:
        words = Words.new()
        words.show(found, counts)
        return "words", words.layout
    if "time" not in found.dims:
        raise InputError("nothing to show: give a diagram, a trajectory or a forecast")
    return "curves", _curves(found)


def _curves(found: xr.Dataset) -> Any:
    from bokeh.layouts import gridplot

    figures = []
    for name in map(str, found.data_vars):
        value = found[name]
        if "time" not in value.dims or not np.issubdtype(value.dtype, np.number):
            continue
        shown = Curves.new(name, str(value.attrs.get("long_name", name)), 300, 620)
        shown.show(entries(found, name)[:MOST])
        figures.append(shown.figure)
    if not figures:
        raise InputError("nothing to show: the trajectory has no numbers over time")
    return gridplot(figures, ncols=2, toolbar_location="right")
