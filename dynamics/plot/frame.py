"""The frame of every figure: style, axes, labels, files.

A figure is a matplotlib ``Figure`` with no state behind it: it needs no display and nothing has to be closed. It is as
wide as a column (3.4 inches) or a page (7 inches). Colours are those of Okabe and Ito, and line styles differ too.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import style
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from dynamics.plot.layout import figure_of, when_laid_out
from dynamics.plot.scripts import families
from dynamics.support.errors import InputError
from dynamics.support.files import write_aside
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1, 1)), (0, (6, 1.2, 1, 1.2, 1, 1.2)))

SMALL = 7.0

# From the end of a line to the middle of its name's left side.
LEADER: Mapping[str, Any] = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}

STYLE: Mapping[str, Any] = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.4,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.5,
    "figure.dpi": 200.0,
    "savefig.dpi": 200.0,
    "text.parse_math": False,  # a word may be "$"
    "svg.fonttype": "none",
    "svg.hashsalt": "attention-dynamics",
    "pdf.fonttype": 42,
}

# What would make two files of one figure differ.
UNDATED: Mapping[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG (200 dots an inch), SVG or PDF, complete or not at all.

    The same figure gives the same bytes: files have no date, and the names inside an SVG are fixed. Text in an SVG is
    text. Letters that no installed font has are drawn as boxes in PNG and PDF; in an SVG they are left to its viewer.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
        Ends in ``.png``, ``.svg`` or ``.pdf``. Its folder is made if there is none, as by all that writes files here.

    Raises
    ------
    InputError
        If the name ends otherwise, or cannot be written.

    Examples
    --------
    >>> save(Figure(), "figure.bmp")
    Traceback (most recent call last):
        ...
    dynamics.support.errors.InputError: cannot save 'figure.bmp': figures are saved as .png, .svg or .pdf, name it so
    """
    suffix = Path(path).suffix.lower()
    if suffix not in UNDATED:
        raise InputError(f"cannot save {str(path)!r}: figures are saved as .png, .svg or .pdf, name it so")
    form = suffix[1:]
    with house_style(), write_aside(path) as aside, _for_paper(figure, form) as canvas:
        getattr(canvas, f"print_{form}")(aside, metadata=UNDATED[suffix])


@contextlib.contextmanager
def _for_paper(figure: Figure, form: str) -> Iterator[Any]:
    """The canvas that writes a figure in a format, which then has its own again.

    ``savefig`` would draw twice, first for the layout alone; here whoever draws lays out first, as on a screen.
    """
    canvas, dpi = figure.canvas, figure.dpi
    figure.dpi = STYLE["savefig.dpi"]
    try:
        yield get_registered_canvas_class(form)(figure)
    finally:
        figure.dpi = dpi
        figure.set_canvas(canvas)


@contextlib.contextmanager
def house_style(words: Iterable[object] = ()) -> Iterator[None]:
    """The look of all figures, whatever the user's own settings are, in fonts that have the letters of some words.

    Warns
    -----
    DataWarning
        If no installed font has some of them, see `dynamics.plot.scripts.families`.
    """
    family = [*families(words), "sans-serif"]
    with style.context({**STYLE, "font.family": family}, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


def times_of(dataset: xr.Dataset) -> Vector:
    return np.asarray(dataset["time"].values, dtype=float)


def looks_of(number: int) -> list[dict[str, Any]]:
    """Colours and line styles, such that both differ between neighbours and no two are alike until 35."""
    return [
        {"color": colour, "linestyle": dash}
        for colour, dash in islice(zip(cycle(COLOURS), cycle(DASHES), strict=False), number)
    ]


def darker(colour: Any) -> tuple[float, ...]:
    """A colour for text, which is harder to see than a line."""
    return tuple(0.75 * part for part in to_rgb(colour))


def marker(times: Vector) -> dict[str, Any]:
    """A single time makes no line: draw a dot."""
    return {"marker": "o", "markersize": 3} if times.size == 1 else {}


def short(word: object, limit: int = 14) -> str:
    """A word as a label: in one line, and not too long."""
    text = " ".join(str(word).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float) -> str:
    """Three digits, with a power of ten if it is far from 1.

    >>> [number(x) for x in (0, 0.05, 199.43, 10000, 1e6, 2.5e-7)]
    ['0', '0.05', '199', '10000', '10⁶', '2.5×10⁻⁷']
    """
    digits, exponent = f"{value:.2e}".split("e")
    if -4 < int(exponent) < 5:
        return f"{float(f'{value:.3g}'):g}"
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if float(digits) == 1 else f"{float(digits):g}×{power}"


def numbered() -> FuncFormatter:
    """What labels the ticks of an axis with numbers."""
    return FuncFormatter(_number_at)


def _number_at(value: float, _: object) -> str:
    return number(value)


def time_axis(ax: Axes, times: Vector) -> None:
    """Learning spans decades: a logarithmic axis, which becomes linear below the first time if 0 is drawn."""
    low, high = times[0], times[-1]
    positive = times[times > 0]
    if positive.size < 2:
        ax.set_xlim((0.0, high) if low < high else (low / 2, 2 * low) if low > 0 else (-1.0, 1.0))
        ax.xaxis.set_major_locator(FixedLocator(list(times)))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        first = positive[0]
        if low > 0:
            ax.set_xscale("log")
        else:
            ax.set_xscale("asinh", linear_width=first)
        ax.set_xlim(low, high)
        major, minor = time_ticks(first, high)
        if low <= 0:
            # A label next to that of 0 needs room.
            share = np.arcsinh(major / first) / np.arcsinh(high / first)
            room = [0.015 * (2 + len(number(time))) for time in major]
            major = np.concatenate([[0.0], major[share > room]])
        ax.xaxis.set_major_locator(FixedLocator(list(major)))
        ax.xaxis.set_minor_locator(FixedLocator(list(minor)))
    ax.xaxis.set_major_formatter(numbered())


def time_ticks(low: float, high: float) -> tuple[Vector, Vector]:
    """Round times within limits, to be labelled and not."""
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)

    def within(digits: ArrayLike, powers: Vector = powers) -> Vector:
        ticks = np.multiply.outer(10.0**powers, np.asarray(digits, dtype=float)).ravel()
        return ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]

    decades = within([1])
    if decades.size >= 3:
        step = -(-decades.size // 6)
        return within([1], powers[powers % step == 0]), within(range(2, 10)) if step == 1 else decades
    major = within([1, 2, 5])
    if major.size >= 3:
        return major, within(range(2, 10))
    ticks = np.asarray(MaxNLocator(4).tick_values(low, high))
    return ticks[(ticks >= low) & (ticks <= high)], np.empty(0)


def from_zero(ax: Axes, values: ArrayLike) -> None:
    """A vertical axis from 0 to a little more than the largest value (and below 0 if there is anything)."""
    array = np.asarray(values, dtype=float)
    low, top = (float(f(array, where=np.isfinite(array), initial=0.0)) for f in (np.min, np.max))
    ax.set_ylim(1.06 * low, 1.06 * top if top > low else 1.0)


def label_ends(figure: Figure, named: Mapping[Axes, Sequence[Line2D]]) -> None:
    """Name lines at their ends, the names clear of each other."""
    for ax, lines in named.items():
        finite = [line for line in lines if np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()]
        names = [
            ax.annotate(
                str(line.get_label()),
                xy=(1.0, 0.5),
                xytext=(1.05, 0.5),
                xycoords="axes fraction",
                textcoords="axes fraction",
                color=darker(line.get_color()),
                fontsize=SMALL,
                verticalalignment="center",
                arrowprops={**LEADER, "color": line.get_color()},
                annotation_clip=False,
            )
            for line in finite
        ]
        when_laid_out(figure, partial(_beside_ends, ax, finite, names))


def _beside_ends(ax: Axes, lines: Sequence[Line2D], names: Sequence[Annotation]) -> None:
    """Put names beside the ends of lines."""
    place = ax.transData + ax.transAxes.inverted()
    ends = np.array([place.transform(end_of(line)) for line in lines]).reshape(-1, 2)
    height = line_height(ax, 1.15)
    for name, end, y in zip(names, ends, apart(ends[:, 1], np.full(len(ends), height)), strict=True):
        name.xy, name.xyann = tuple(end), (1.05, y)


def line_height(ax: Axes, spacing: float) -> float:
    """The height of a line of small text, as a share of that of some axes."""
    return float(spacing * SMALL / 72 * figure_of(ax).dpi / ax.get_window_extent().height)


def end_of(line: Line2D) -> tuple[float, float]:
    """The last point of a line that is finite."""
    x, y = (np.asarray(data, dtype=float) for data in line.get_data())
    last = np.flatnonzero(np.isfinite(y))[-1]
    return float(x[last]), float(y[last])


def apart(middles: ArrayLike, sizes: ArrayLike) -> Vector:
    """Move intervals as little as possible (in squares) so that they stay within 0 and 1 and do not overlap.

    Their order stays, so the distances that must lie between them can be taken off first; what is left is the
    regression by a sequence that does not fall.

    >>> apart([0.5, 0.5, 0.9], [0.2, 0.2, 0.1]).round(3).tolist()
    [0.4, 0.6, 0.9]
    >>> apart([0.0, 1.0], [0.2, 0.2]).round(3).tolist()
    [0.1, 0.9]
    """
    wanted, widths = np.asarray(middles, dtype=float), np.asarray(sizes, dtype=float)
    if not wanted.size:
        return wanted
    order = np.argsort(wanted, kind="stable")
    widths = widths[order] / max(1.0, widths.sum())
    offsets = np.concatenate([[0.0], np.cumsum((widths[1:] + widths[:-1]) / 2)])
    free = rising(wanted[order] - offsets)
    found = np.empty_like(wanted)
    found[order] = np.clip(free, widths[0] / 2, 1 - widths[-1] / 2 - offsets[-1]) + offsets
    return found


def rising(values: Vector) -> Vector:
    """The sequence nearest to another one (in squares) that does not fall: neighbours that do are pooled.

    ``scipy.optimize.isotonic_regression`` does the same, for whose package a fifth of a second goes into imports.

    >>> rising(np.array([1.0, 3.0, 2.0, 4.0])).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while pools and pools[-1][0] >= mean:
            before, more = pools.pop()
            mean, size = (mean * size + before * more) / (size + more), size + more
        pools.append((mean, size))
    means, sizes = zip(*pools, strict=True) if pools else ((), ())
    return np.repeat(np.array(means, dtype=float), np.array(sizes, dtype=int))
