"""When words are learnt: the forecast by itself, and beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from dynamics.plot.frame import COLOURS, LEADER, SMALL, apart, house_style, line_height, numbered, short, time_ticks
from dynamics.plot.layout import COLUMN, PAGE, blank, when_laid_out
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

__all__ = ["against", "forecast", "shown_words"]

SHOWN = 36
"""Words that are drawn, unless they are named."""

FREQUENT = 200
"""Among so many of the most frequent ones."""

LEARNT = 0.1
"""Gain at the end below which a word is not drawn: hardly anything of it is learnt."""

NAMED = 12
"""Words that are named beside what was measured."""

_WORDS, _BAND = COLOURS[2], "0.93"


def shown_words(found: xr.Dataset, limit: int = SHOWN) -> list[str]:
    """Words of a forecast from the first that is learnt to the last, evenly through their order.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`dynamics.forecast`.
    limit : int
        How many, at most.

    Returns
    -------
    list of str
        Of the `FREQUENT` most frequent words those that are learnt, in the order of their steps.
    """
    few = found.isel(output=slice(0, FREQUENT))
    steps = np.asarray(few.step.values, dtype=float)
    learnt = np.flatnonzero(np.isfinite(steps) & (np.asarray(few.gain.values)[-1] > LEARNT))
    order = learnt[np.argsort(steps[learnt], kind="stable")]
    if len(order) > limit:
        order = order[np.linspace(0, len(order) - 1, limit).round().astype(int)]
    return [str(word) for word in few.output.values[order]]


def forecast(found: xr.Dataset, words: Sequence[str] | None = None) -> Figure:
    """Words along the steps of the run, each with the interval in which runs learn it, in the order in which they do.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`dynamics.forecast`.
    words : sequence of str, optional
        Which; by default those of :func:`shown_words`.

    Returns
    -------
    matplotlib.figure.Figure
        A page wide. A dot is the step at which a word is learnt, a bar the interval; the name has the best source word
        in brackets.

    Raises
    ------
    InputError
        For words that there are not, or if none of them is learnt.
    """
    known = [str(word) for word in found.output.values]
    for word in words or ():
        if word not in known:
            raise InputError(f"the forecast has no word {word!r}{did_you_mean(word, known)}")
    chosen = found.sel(output=list(words) if words else shown_words(found))
    chosen = chosen.isel(output=np.flatnonzero(np.isfinite(chosen.step.values)))
    if not chosen.sizes["output"]:
        raise InputError("none of these words is forecast to be learnt: forecast more steps")
    chosen = chosen.sortby("step")
    steps, low, high = (np.asarray(chosen[name].values, dtype=float) for name in ("step", "low", "high"))
    rows = np.arange(len(steps))
    names = [f"{short(o)}  ({short(i)})" for o, i in zip(chosen.output.values, chosen.best_source.values, strict=True)]
    with house_style(names):
        figure = blank(PAGE, 0.9 + 0.135 * len(rows))
        ax = figure.add_subplot()
        for row in rows[::2]:
            ax.axhspan(row - 0.5, row + 0.5, color="0.96", linewidth=0, zorder=0)
        ax.hlines(rows, low, high, color=_WORDS, alpha=0.45, linewidth=3.2)
        ax.plot(steps, rows, "o", color=_WORDS, markersize=3.6)
        for row, name, end in zip(rows, names, high, strict=True):
            ax.annotate(
                name, (end, row), (4, 0), textcoords="offset points", fontsize=SMALL, verticalalignment="center"
            )
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.yaxis.set_major_locator(NullLocator())
        ax.spines["left"].set_visible(False)
        _log_axis(ax, float(low.min()) / 1.15, max(float(high.max()) * 2.2, float(high.max()) + 1))
        ax.grid(axis="x", color="0.85", linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_xlabel("training step (logarithmic)")
        ax.set_ylabel("words, first learnt on top")
        of = found.attrs
        told = "the word before that tells most" if of.get("next_word") else "its best source word"
        ax.set_title(
            f"When each word is learnt: dot, forecast; bar, {of.get('covered', 0.9):.0%} of runs; in brackets, {told}",
            loc="left",
        )
        return figure


def against(compared: xr.Dataset) -> Figure:
    """Measured steps over forecast ones, with the words that are farthest from the line named.

    Parameters
    ----------
    compared : xarray.Dataset
        From :func:`dynamics.comparison.word_order.against`.

    Returns
    -------
    matplotlib.figure.Figure
        A column wide. On the line the forecast is exact; the band is one standard deviation about one scale.
    """
    x, y = (np.asarray(compared[name].values, dtype=float) for name in ("forecast", "measured"))
    words = [short(word) for word in compared.output.values]
    scale, factor = float(compared.scale), float(compared.factor)
    with house_style(words):
        figure = blank(1.35 * COLUMN, 1.35 * COLUMN)
        ax = figure.add_subplot()
        low, high = min(x.min(), y.min()) / 1.25, max(x.max(), y.max()) * 1.25
        ends = np.array([low, high])
        ax.fill_between(ends, scale * ends / factor, scale * ends * factor, color=_BAND, linewidth=0)
        ax.plot(ends, ends, color="0.35", linewidth=0.8, linestyle=(0, (4, 1.5)))
        ax.hlines(y, compared.low.values, compared.high.values, color=_WORDS, alpha=0.18, linewidth=0.8)
        ax.plot(x, y, "o", color=_WORDS, markersize=3.2, markeredgewidth=0)
        _log_axis(ax, low, high)
        _log_axis(ax, low, high, vertical=True)
        ax.set_aspect("equal")
        ax.set_xlabel("forecast step")
        ax.set_ylabel("measured step")
        ax.set_title(
            f"{compared.sizes['output']} words: rank correlation {float(compared.rank_correlation):.2f}, given "
            f"frequency {float(compared.rank_correlation_given_frequency):.2f};\n"
            f"{scale:.2f} measured steps a forecast one, within a factor {factor:.2f}",
            loc="left",
        )
        _name_far_ones(figure, ax, x, y, words, scale)
        return figure


def _log_axis(ax: Axes, low: float, high: float, vertical: bool = False) -> None:
    axis = ax.yaxis if vertical else ax.xaxis
    (ax.set_yscale if vertical else ax.set_xscale)("log")
    (ax.set_ylim if vertical else ax.set_xlim)(low, high)
    major, minor = time_ticks(low, high)
    if len(major) < 4:  # decades alone are too few
        decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        every = np.multiply.outer(decades, [1.0, 2.0, 5.0]).ravel()
        major = every[(every >= low) & (every <= high)]
    axis.set_major_locator(FixedLocator(list(major)))
    axis.set_minor_locator(FixedLocator(list(minor)))
    axis.set_major_formatter(numbered())
    axis.set_minor_formatter(NullFormatter())


def _name_far_ones(figure: Figure, ax: Axes, x: Vector, y: Vector, words: Sequence[str], scale: float) -> None:
    """Names of the words that are farthest from the forecast, in a column on their side of the line."""
    gap = np.log(y / x / scale)
    far = np.argsort(-np.abs(gap), kind="stable")[:NAMED]
    for side, column, align in ((far[gap[far] > 0], 0.03, "left"), (far[gap[far] <= 0], 0.97, "right")):
        names = [
            ax.annotate(
                words[k], (x[k], y[k]), (column, 0.5), textcoords="axes fraction", fontsize=SMALL,
                horizontalalignment=align, verticalalignment="center",
                arrowprops={**LEADER, "color": "0.6", "relpos": (1.0 if align == "left" else 0.0, 0.5)},
            )
            for k in side
        ]  # fmt: skip
        when_laid_out(figure, partial(_beside_points, ax, names))


def _beside_points(ax: Axes, names: Sequence[Annotation]) -> None:
    """Put names of points, which stand in a column, at about the height of these."""
    place = ax.transData + ax.transAxes.inverted()
    points = np.array([place.transform(name.xy) for name in names]).reshape(-1, 2)
    levels = apart(points[:, 1], np.full(len(names), line_height(ax, 1.2)))
    for name, level in zip(names, levels, strict=True):
        name.xyann = (name.xyann[0], level)
