"""Trajectories of models: order parameters, and the scores of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from dynamics.comparison.learnt_words import SHOWN, best_scores, scores_of
from dynamics.plot.comparisons import title_of
from dynamics.plot.frame import from_zero, house_style, label_ends, looks_of, marker, short, time_axis, times_of
from dynamics.plot.layout import COLUMN, TIME, blank, panels
from dynamics.support.errors import InputError
from dynamics.support.roles import loss_of

if TYPE_CHECKING:
    import xarray as xr


def order(trajectory: xr.Dataset) -> Figure:
    """Loss and order parameters over time, each in a panel; a line for each head, or for each of several predictions.

    Parameters
    ----------
    trajectory : xarray.Dataset
        From :func:`dynamics.solve`, of a model, a reduction or a closure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no loss.

    Examples
    --------
    >>> from dynamics import solve
    >>> from dynamics.problems.kinds.reduction import copying
    >>> figure = order(solve(copying(8, 8), [0, 100, 400], initial={"a": 0.01}))
    >>> [ax.get_title("left") for ax in figure.axes][:2]
    ['loss', 'u: diagonal of W less the rest']
    """
    from dynamics.comparison.side_by_side import scalars

    found = scalars(trajectory)
    loss = loss_of(trajectory)
    if loss not in found:
        raise InputError("the dataset has no 'loss' to draw: give what solve() returns")
    names = [loss, *(name for name in found if name != loss)]
    times = times_of(trajectory)
    with house_style():
        figure, axes = panels(len(names))
        for ax, name in zip(axes, names, strict=True):
            value = found[name]
            over = [dim for dim in value.dims if dim != "time"]
            lines = value.stack(line=over).transpose("line", "time") if over else value.expand_dims("line")
            for line, look in zip(lines, looks_of(lines.sizes["line"]), strict=True):
                label = ", ".join(str(line[dim].item()) for dim in over) if over else None
                ax.plot(times, line.values, **look, **marker(times), label=label)
            time_axis(ax, times)
            from_zero(ax, value.values)
            title, unit = title_of(name, value)
            ax.set_title(title, loc="left")
            ax.set_ylabel(unit)
            if over and not any(other.get_legend() for other in axes):
                ax.legend(loc="best", title=" and ".join(map(str, over)))
        return figure


def scores(trajectory: xr.Dataset, words: Sequence[str] | None = None, number: int = SHOWN) -> Figure:
    """Scores of words over time: what attention looks for.

    Parameters
    ----------
    trajectory : xarray.Dataset
        With attention logits over (time, input).
    words : sequence of str, optional
        By default those with the highest scores at the end.
    number : int
        How many of them.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide; the range of all words is shaded.

    Raises
    ------
    InputError
        No scores, or a word that is not there.

    Examples
    --------
    >>> import xarray as xr
    >>> values = xr.DataArray([[0.0, 0.0], [1.0, 2.0]], {"time": [0, 9], "input": ["a", "fine"]}, ("time", "input"))
    >>> scores(xr.Dataset({"s": values})).axes[0].get_ylabel()
    'score s (logit of attention)'
    """
    times, values = times_of(trajectory), scores_of(trajectory)
    chosen = best_scores(trajectory, words, number)
    with house_style(chosen):
        figure = blank(COLUMN, 2.6)
        ax = figure.add_subplot()
        low, high = values.min("input").values, values.max("input").values
        ax.fill_between(times, low, high, color="0.9", linewidth=0)
        lines = [
            ax.plot(times, values.sel(input=word).values, **look, **marker(times), label=short(word))[0]
            for word, look in zip(chosen, looks_of(len(chosen)), strict=True)
        ]
        time_axis(ax, times)
        from_zero(ax, np.array([low, high]))
        ax.set(xlabel=TIME, ylabel=f"score {values.name} (logit of attention)")
        label_ends(figure, {ax: lines})
        return figure
