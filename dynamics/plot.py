"""Every figure: predictions drawn for print, for grey print and for readers who see colours differently.

A figure is a matplotlib ``Figure`` with no state behind it: it needs no display and nothing has to be closed. It is as
wide as a column (3.4 inches) or a page (7 inches). Colours are those of Okabe and Ito, and line styles differ too.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import font_manager, style
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from dynamics.errors import InputError
from dynamics.files import did_you_mean, write_aside

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Vector = NDArray[np.float64]
Looks = Mapping[tuple[str, str], Mapping[str, Any]]

COLUMN, PAGE = 3.4, 7.0
"""Widths of figures in inches."""

TIME = "training time τ = learning rate × steps"
KTIW = "KTIW β (probability)"

_COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1, 1)), (0, (6, 1.2, 1, 1.2, 1, 1.2)))
_SHADES = "bone_r"
"""From white to black: of the maps that print in grey, the one with the most even steps in CIELAB."""
_PREDICTIONS = ("joint", "two-stage", "frozen", "stage-one")
_STAGE_ONE = "0.93"
_SMALL = 7.0
_THIN = 0.7
_ABOVE_STAGES = 22.0

# matplotlib comes with DejaVu Sans, which has the Latin, Greek, Cyrillic, Hebrew and Arabic letters. Others are taken
# from whichever of these is installed.
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Nirmala UI",
    "Arial Unicode MS",
    "WenQuanYi Micro Hei",
)

# From the end of a line to the middle of its name's left side.
_LEADER: Mapping[str, Any] = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}

_STYLE: Mapping[str, Any] = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": _SMALL,
    "ytick.labelsize": _SMALL,
    "legend.fontsize": _SMALL,
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
_UNDATED: Mapping[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def loss(trajectory: xr.Dataset, ax: Axes | None = None) -> Figure:
    """Loss over training time, one line for each prediction, with the two stages marked.

    Parameters
    ----------
    trajectory : xarray.Dataset
        From :func:`dynamics.solve`: ``loss`` (time) in nats, possibly over ``stages`` too. Its attribute ``switch``, if
        it has one, is where stage one ends.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a figure of its own, one column wide.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the dataset has no loss.

    References
    ----------
    Snell et al., arXiv 2103.07601: the two stages.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]])
    >>> figure = loss(solve(lexicon, [0, 1, 10, 100], stages=("joint", "frozen")))
    >>> [line.get_label() for line in figure.axes[0].lines[:2]]
    ['joint', 'frozen']
    """
    _require(trajectory, "loss")
    with _style():
        figure = Figure((COLUMN, 2.4), layout="constrained") if ax is None else _figure_of(ax)
        ax = figure.add_subplot() if ax is None else ax
        times = _times(trajectory)
        for name, part in _predictions(trajectory).items():
            ax.plot(times, part["loss"].values, **_prediction_look(name), **_marker(times), label=name)
        _time_axis(ax, times)
        _from_zero(ax, trajectory["loss"].values)
        ax.set(xlabel=TIME, ylabel="loss (nats)")
        ax.legend(loc="best")
        _mark_stages(ax, trajectory)
        return figure


def words(trajectory: xr.Dataset, pairs: Sequence[tuple[str, str]] | None = None, stages: str | None = None) -> Figure:
    """KTIW of pairs of words, and below it the attention of their outputs, over training time.

    The lower panel has the share of attention that each output gives to its best input word; the label names that word
    at the end. The line is thick while it is the word of the pair and thin while it is another one.

    Parameters
    ----------
    trajectory : xarray.Dataset
        From :func:`dynamics.solve`: ``beta`` (time, input, output) and, unless the closure is one of stage one,
        ``attention`` and ``attended`` (time, output).
    pairs : sequence of (input, output), optional
        Words. By default those of :func:`learnt`.
    stages : str, optional
        Which prediction, if there are several; by default the first.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide; two panels that share the time axis, or the upper one alone if there is no attention.

    Raises
    ------
    InputError
        For a word or a prediction that the dataset does not have, or no pairs at all.

    References
    ----------
    Snell et al., arXiv 2103.07601: KTIW (knowledge to translate individual words) drives attention.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> figure = words(solve(lexicon, [0, 1, 10, 100]), [("Hund", "dog"), ("Katze", "cat")])
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['KTIW β (probability)', 'attention (share)']
    """
    _require(trajectory, "beta")
    part = _prediction(trajectory, stages)
    pairs = learnt(part) if pairs is None else _pairs(pairs, part)
    times = _times(part)
    panels = 2 if "attention" in part else 1
    with _style():
        height = max(1.5, 1.25 * _SMALL / 72 * len(pairs))
        figure = Figure((COLUMN, panels * height + 0.6), layout="constrained")
        axes = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
        looks = dict(zip(pairs, _looks(len(pairs)), strict=True))
        named = [_translation(axes[0], part, looks)]
        if panels == 2:
            named.append(_attention(axes[1], part, looks))
        for ax in axes:
            _time_axis(ax, times)
        axes[-1].set_xlabel(TIME)
        _mark_stages(axes[0], part, *axes[1:])
        _label_ends(figure, dict(zip(axes, named, strict=True)))
        return figure


def learnt(trajectory: xr.Dataset, number: int = 5) -> list[tuple[str, str]]:
    """Pairs of words that are each other's best at the end: no input has a larger KTIW for the output, and conversely.

    Parameters
    ----------
    trajectory : xarray.Dataset
        With ``beta`` (time, input, output).
    number : int
        At most so many, the largest KTIW first. Signs without a letter or a digit come last.

    Returns
    -------
    list of (str, str)
        Input and output of each pair.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> learnt(solve(lexicon, [0, 10]))
    [('Hund', 'dog'), ('Katze', 'cat')]
    """
    final = _prediction(trajectory, None)["beta"].values[-1]
    best_input, best_output = final.argmax(axis=0), final.argmax(axis=1)
    inputs, outputs = trajectory["input"].values, trajectory["output"].values
    mutual = [(i, o) for o, i in enumerate(best_input) if best_output[i] == o]
    pairs = {(str(inputs[i]), str(outputs[o])): final[i, o] for i, o in mutual}
    return sorted(pairs, key=lambda pair: (not all(map(_has_letters, pair)), -pairs[pair]))[:number]


def ktiw(trajectory: xr.Dataset, at: ArrayLike | None = None, size: int = 20, stages: str | None = None) -> Figure:
    """The KTIW matrix at a few times: translations appear near the diagonal.

    Parameters
    ----------
    trajectory : xarray.Dataset
        From :func:`dynamics.solve`: ``beta`` (time, input, output).
    at : float or array_like, optional
        Times tau; of the times that the dataset has, the nearest ones are drawn. By default three: early in stage one,
        its end, and the last.
    size : int
        At most so many inputs and outputs, the first ones of the dataset (``solve(..., top=...)`` puts the most
        frequent first). Inputs are then ordered by their translation at the end.
    stages : str, optional
        Which prediction, if there are several; by default the first.

    Returns
    -------
    matplotlib.figure.Figure
        A page wide; one panel for each time, with one scale of colours from 0 on.

    Raises
    ------
    InputError
        If the dataset has no KTIW or no such prediction, for times that are not finite, or if `size` is not positive.

    References
    ----------
    Snell et al., arXiv 2103.07601.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[1, 8], [8, 1]], inputs=["Katze", "Hund"], outputs=["dog", "cat"])
    >>> figure = ktiw(solve(lexicon, [0, 1, 10, 100]), at=[0, 10])
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['τ = 0', 'τ = 10']
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['Hund', 'Katze']
    """
    _require(trajectory, "beta")
    if size < 1:
        raise InputError(f"size = {size} must be 1 or more")
    part = _prediction(trajectory, stages)
    shown = part["beta"].isel(input=slice(size), output=slice(size))
    titles = _landmarks(part) if at is None else _nearest(part, at)
    shown = shown.isel(input=_by_translation(shown.values[-1]))
    rows, columns = shown.shape[1:]
    with _style():
        width = PAGE if len(titles) > 1 else COLUMN
        cell = min((width - 1.2) / len(titles) / columns, 0.5)
        figure = Figure((width, max(1.7, cell * rows + 0.9)), layout="constrained")
        axes = figure.subplots(1, len(titles), sharex=True, sharey=True, squeeze=False)[0]
        top = float(np.nanmax(shown.values[list(titles)], initial=0.0)) or 1.0
        for ax, (k, title) in zip(axes, titles.items(), strict=True):
            image = ax.pcolormesh(shown.values[k], cmap=_SHADES, vmin=0, vmax=top, edgecolors="0.9", linewidth=0.2)
            ax.set_title(title)
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0, pad=2)
            ax.set_xlabel("output word")
            _word_ticks(ax.xaxis, shown["output"].values, 72 * cell)
        axes[0].invert_yaxis()
        axes[0].set_ylabel("input word")
        _word_ticks(axes[0].yaxis, shown["input"].values, 72 * cell)
        figure.colorbar(image, ax=axes, label=KTIW, aspect=30, pad=0.01).outline.set_visible(False)
        return figure


def distance(distances: xr.Dataset) -> Figure:
    """How far predictions are from one of them, such as the two-stage ones from the joint one, over training time.

    Parameters
    ----------
    distances : xarray.Dataset
        From :func:`dynamics.comparison.distance`: ``W``, ``A`` and ``beta`` over (stages, time), or some of them,
        relative to the prediction that the attribute ``reference`` names (``joint`` by default). NaN is left out. With
        an attribute ``switch``, the two stages are marked.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each prediction, with one scale.

    Raises
    ------
    InputError
        If the dataset has none of the variables or no prediction but the reference.

    References
    ----------
    Snell et al., arXiv 2103.07601: the two-stage approximation.

    Examples
    --------
    >>> from dynamics import CoOccurrence, comparison, solve
    >>> found = solve(CoOccurrence.from_counts([[8, 1], [1, 8]]), [1, 10], stages=("joint", "two-stage", "frozen"))
    >>> [ax.get_title("left") for ax in distance(comparison.distance(found)).axes]
    ['two-stage', 'frozen']
    """
    names = {"W": "W", "A": "A", "beta": "β"}
    drawn = [name for name in names if name in distances]
    reference = str(distances.attrs.get("reference", "joint"))
    parts = {name: part for name, part in _predictions(distances).items() if name != reference}
    if not drawn or not parts:
        raise InputError(f"no distances to draw: give W, A or beta of a prediction other than {reference!r}")
    times = _times(distances)
    with _style():
        figure = Figure((PAGE if len(parts) > 1 else COLUMN, 2.2), layout="constrained")
        axes = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
        named = {}
        for ax, (name, part) in zip(axes, parts.items(), strict=True):
            looks = zip(drawn, _looks(len(drawn)), strict=True)
            named[ax] = [
                ax.plot(times, part[variable].values, **look, **_marker(times), label=names[variable])[0]
                for variable, look in looks
            ]
            ax.set_xlabel(TIME)
            ax.set_title(name, loc="left", pad=_ABOVE_STAGES if "switch" in distances.attrs else None)
        _from_zero(axes[0], [part[variable].values for part in parts.values() for variable in drawn])
        axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        axes[0].set_ylabel(f"distance from {reference} (% of its norm)")
        for ax in axes:
            _time_axis(ax, times)
            _mark_stages(ax, distances)
        _label_ends(figure, named)
        return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG (200 dots an inch), SVG or PDF, complete or not at all.

    The same figure gives the same bytes: files have no date, and the names inside an SVG are fixed. Text in an SVG is
    text. Letters that no installed font has are drawn as boxes in PNG and PDF; in an SVG they are left to its viewer.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path-like
        Ends in ``.png``, ``.svg`` or ``.pdf``.

    Raises
    ------
    InputError
        If the name ends otherwise, or cannot be written.

    Examples
    --------
    >>> save(Figure(), "figure.bmp")
    Traceback (most recent call last):
        ...
    dynamics.errors.InputError: cannot save 'figure.bmp': figures are saved as .png, .svg or .pdf, name it so
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _UNDATED:
        raise InputError(f"cannot save {str(path)!r}: figures are saved as .png, .svg or .pdf, name it so")
    with _style(), write_aside(path) as aside:
        figure.savefig(aside, format=suffix[1:], metadata=_UNDATED[suffix])


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """The look of all figures, whatever the user's own settings are."""
    installed = set(font_manager.get_font_names())
    family = ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed), "sans-serif"]
    with style.context({**_STYLE, "font.family": family}, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        yield


# --- what is drawn


def _require(dataset: xr.Dataset, name: str) -> None:
    if name not in dataset or not dataset[name].size:
        raise InputError(f"the dataset has no {name!r} to draw: give what solve() returns")


def _times(dataset: xr.Dataset) -> Vector:
    return np.asarray(dataset["time"].values, dtype=float)


def _predictions(dataset: xr.Dataset) -> dict[str, xr.Dataset]:
    """Each prediction by its name."""
    if "stages" not in dataset.dims:
        name = dataset["stages"].item() if "stages" in dataset.coords else dataset.attrs.get("stages", "prediction")
        return {str(name): dataset}
    return {str(name): dataset.sel(stages=name) for name in dataset["stages"].values}


def _prediction(dataset: xr.Dataset, name: str | None) -> xr.Dataset:
    """One prediction: the named one, or the first."""
    found = _predictions(dataset)
    if name is None:
        return next(iter(found.values()))
    _known(name, list(found), "prediction")
    return found[name]


def _pairs(pairs: Sequence[tuple[str, str]], part: xr.Dataset) -> list[tuple[str, str]]:
    """Pairs of words that the prediction has."""
    try:
        found = [(i, o) for i, o in pairs]
    except (TypeError, ValueError):
        found = []
    if not found:
        raise InputError(f"pairs = {pairs!r}: give pairs of words, [(input, output), ...]")
    for i, o in found:
        _known(i, part["input"].values, "input")
        _known(o, part["output"].values, "output")
    return found


def _known(word: object, words: Iterable[Any], kind: str) -> None:
    known = [str(one) for one in words]
    if word not in known:
        raise InputError(f"there is no {kind} {word!r}{did_you_mean(str(word), known)}")


def _has_letters(word: str) -> bool:
    return any(character.isalnum() for character in word)


def _landmarks(trajectory: xr.Dataset) -> dict[int, str]:
    """Positions of three times, with titles: early in stage one, its end, and the last.

    Without two stages, the time at which half of the loss has fallen takes the place of the end of stage one.
    """
    times = _times(trajectory)
    if "switch" in trajectory.attrs:
        middle, name = float(trajectory.attrs["switch"]), "end of stage 1"
    else:
        _require(trajectory, "loss")
        values = trajectory["loss"].values
        middle, name = times[np.argmax(values <= (values[0] + values[-1]) / 2)], "loss half way"
    early, half = (int(np.abs(times - time).argmin()) for time in (middle / 4, middle))
    near = abs(times[half] - middle) <= 0.25 * middle
    titles = {early: "early", half: name if near else "", times.size - 1: "end"} if times.size > 1 else {0: ""}
    return {k: f"τ = {_number(times[k])}" + (f", {title}" if title else "") for k, title in titles.items()}


def _nearest(trajectory: xr.Dataset, at: ArrayLike) -> dict[int, str]:
    """Positions of the times nearest to given ones, with titles."""
    times, wanted = _times(trajectory), np.atleast_1d(np.asarray(at, dtype=float))
    if not wanted.size or not np.isfinite(wanted).all():
        raise InputError(f"at = {at!r}: give one or more finite times")
    positions = [int(np.abs(times - time).argmin()) for time in wanted]
    return {k: f"τ = {_number(times[k])}" for k in positions}


def _by_translation(final: Vector) -> NDArray[np.intp]:
    """The order of rows by the column of their largest value, larger values first."""
    return np.lexsort((-final.max(axis=1), final.argmax(axis=1)))


def _translation(ax: Axes, part: xr.Dataset, looks: Looks) -> list[Line2D]:
    """KTIW of each pair. Returns the lines to be named."""
    times = _times(part)
    lines = [
        ax.plot(times, part["beta"].sel(input=i, output=o).values, **look, **_marker(times), label=_pair(i, o))[0]
        for (i, o), look in looks.items()
    ]
    _from_zero(ax, np.array([line.get_ydata() for line in lines]))
    ax.set_ylabel(KTIW)
    return lines


def _attention(ax: Axes, part: xr.Dataset, looks: Looks) -> list[Line2D]:
    """Attention of each output, thick while it is on a word that the output is paired with.

    Returns the lines to be named.
    """
    times = _times(part)
    lines, strayed = [], False
    for o in dict.fromkeys(o for _, o in looks):
        look = next(look for (_, other), look in looks.items() if other == o)
        share, attended = (part[name].sel(output=o).values for name in ("attention", "attended"))
        paired = np.isin(attended.astype(str), [i for i, other in looks if other == o])
        thin = {**look, "linewidth": _THIN}
        lines += ax.plot(times, share, **thin, **_marker(times), label=_pair(attended[-1], o))
        ax.plot(times, np.where(paired, share, np.nan), **look, label="_paired")
        strayed |= not paired.all()
    if strayed:
        ax.legend(
            [Line2D([], [], color="0.3"), Line2D([], [], color="0.3", linewidth=_THIN)],
            ["on the pair's word", "on another word"],
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            borderaxespad=0.2,
            borderpad=0,
            handlelength=1.8,
            columnspacing=1.0,
        )
    _from_zero(ax, np.array([line.get_ydata() for line in lines]))
    ax.set_ylabel("attention (share)")
    return lines


# --- how it looks


def _looks(number: int) -> list[dict[str, Any]]:
    """Colours and line styles, such that both differ between neighbours and no two are alike until 35."""
    return [
        {"color": colour, "linestyle": dash}
        for colour, dash in islice(zip(cycle(_COLOURS), cycle(_DASHES), strict=False), number)
    ]


def _prediction_look(name: str) -> dict[str, Any]:
    """A prediction looks the same in every figure."""
    return _looks(len(_PREDICTIONS))[_PREDICTIONS.index(name) if name in _PREDICTIONS else 0]


def _darker(colour: Any) -> tuple[float, ...]:
    """A colour for text, which is harder to see than a line."""
    return tuple(0.75 * part for part in to_rgb(colour))


def _marker(times: Vector) -> dict[str, Any]:
    """A single time makes no line: draw a dot."""
    return {"marker": "o", "markersize": 3} if times.size == 1 else {}


def _figure_of(ax: Axes) -> Figure:
    return ax.figure.figure  # of a subfigure: the one that it is part of


def _pair(i: str, o: str) -> str:
    return f"{_short(i)} → {_short(o)}"


def _short(word: object, limit: int = 14) -> str:
    """A word as a label: in one line, and not too long."""
    text = " ".join(str(word).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _number(value: float) -> str:
    """Three digits, with a power of ten if it is far from 1.

    >>> [_number(x) for x in (0, 0.05, 199.43, 10000, 1e6, 2.5e-7)]
    ['0', '0.05', '199', '10000', '10⁶', '2.5×10⁻⁷']
    """
    digits, exponent = f"{value:.2e}".split("e")
    if -4 < int(exponent) < 5:
        return f"{float(f'{value:.3g}'):g}"
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if float(digits) == 1 else f"{float(digits):g}×{power}"


def _time_axis(ax: Axes, times: Vector) -> None:
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
        major, minor = _time_ticks(first, high)
        if low <= 0:
            # A label next to that of 0 needs room.
            share = np.arcsinh(major / first) / np.arcsinh(high / first)
            room = [0.015 * (2 + len(_number(time))) for time in major]
            major = np.concatenate([[0.0], major[share > room]])
        ax.xaxis.set_major_locator(FixedLocator(list(major)))
        ax.xaxis.set_minor_locator(FixedLocator(list(minor)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda time, _: _number(time)))


def _time_ticks(low: float, high: float) -> tuple[Vector, Vector]:
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


def _from_zero(ax: Axes, values: ArrayLike) -> None:
    """A vertical axis from 0 to a little more than the largest value (and below 0 if there is anything)."""
    array = np.asarray(values, dtype=float)
    low, top = (float(f(array, where=np.isfinite(array), initial=0.0)) for f in (np.min, np.max))
    ax.set_ylim(1.06 * low, 1.06 * top if top > low else 1.0)


def _word_ticks(axis: Any, names: NDArray, cell: float) -> None:
    """Words at the middle of their cells (points), as many of them as can be read."""
    font = min(_SMALL, max(5.0, 0.9 * cell))
    step = int(np.ceil(font / cell - 1e-9)) if cell < font else 1
    labels = [_short(name) for name in names[::step]]
    flat = max(map(len, labels)) * 0.65 * font < cell * step
    rotation = "vertical" if axis.axis_name == "x" and not flat else "horizontal"
    axis.set_ticks(np.arange(0, names.size, step) + 0.5, labels, fontsize=font, rotation=rotation)


# --- where labels go


def _mark_stages(ax: Axes, dataset: xr.Dataset, *others: Axes) -> None:
    """Shade stage one, and name both stages above the first axes."""
    switch = dataset.attrs.get("switch")
    if switch is None:
        return
    low, high = ax.get_xlim()
    for one in (ax, *others):
        if switch > low:
            one.axvspan(low, min(switch, high), color=_STAGE_ONE, zorder=0, linewidth=0)
        if low < switch < high:
            one.axvline(switch, color="0.5", linewidth=0.6, zorder=0.5)
    names = []
    if switch > low:
        names.append(("stage 1:\nKTIW", low, min(switch, high)))
    if switch < high:
        names.append(("stage 2:\nattention", max(switch, low), high))
    place = ax.transData + ax.transAxes.inverted()
    middles = [float(np.mean([place.transform((x, 0))[0] for x in limits])) for _, *limits in names]
    texts = [
        ax.text(0, 1.02, name, transform=ax.transAxes, fontsize=_SMALL, ha="center", linespacing=1.05)
        for name, *_ in names
    ]
    _laid_out(_figure_of(ax))
    widths = [text.get_window_extent().width / ax.get_window_extent().width for text in texts]
    for text, x in zip(texts, _apart(middles, 1.05 * np.array(widths)), strict=True):
        text.set_x(x)


def _label_ends(figure: Figure, named: Mapping[Axes, Sequence[Line2D]]) -> None:
    """Name lines at their ends, the names clear of each other."""
    _laid_out(figure)
    for ax, lines in named.items():
        place = ax.transData + ax.transAxes.inverted()
        finite = [line for line in lines if np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()]
        ends = np.array([place.transform(_end(line)) for line in finite]).reshape(-1, 2)
        height = 1.15 * _SMALL / 72 * figure.dpi / ax.get_window_extent().height
        for line, end, y in zip(finite, ends, _apart(ends[:, 1], np.full(len(ends), height)), strict=True):
            ax.annotate(
                str(line.get_label()),
                xy=tuple(end),
                xytext=(1.05, y),
                xycoords="axes fraction",
                textcoords="axes fraction",
                color=_darker(line.get_color()),
                fontsize=_SMALL,
                verticalalignment="center",
                arrowprops={**_LEADER, "color": line.get_color()},
                annotation_clip=False,
            )


def _end(line: Line2D) -> tuple[float, float]:
    """The last point of a line that is finite."""
    x, y = (np.asarray(data, dtype=float) for data in line.get_data())
    last = np.flatnonzero(np.isfinite(y))[-1]
    return float(x[last]), float(y[last])


def _apart(middles: ArrayLike, sizes: ArrayLike) -> Vector:
    """Move intervals as little as possible (in squares) so that they stay within 0 and 1 and do not overlap.

    Their order stays, so the distances that must lie between them can be taken off first; what is left is the
    regression by a sequence that does not fall.

    >>> _apart([0.5, 0.5, 0.9], [0.2, 0.2, 0.1]).round(3).tolist()
    [0.4, 0.6, 0.9]
    >>> _apart([0.0, 1.0], [0.2, 0.2]).round(3).tolist()
    [0.1, 0.9]
    """
    wanted, widths = np.asarray(middles, dtype=float), np.asarray(sizes, dtype=float)
    if not wanted.size:
        return wanted
    order = np.argsort(wanted, kind="stable")
    widths = widths[order] / max(1.0, widths.sum())
    offsets = np.concatenate([[0.0], np.cumsum((widths[1:] + widths[:-1]) / 2)])
    free = isotonic_regression(wanted[order] - offsets).x
    found = np.empty_like(wanted)
    found[order] = np.clip(free, widths[0] / 2, 1 - widths[-1] / 2 - offsets[-1]) + offsets
    return found


def _laid_out(figure: Figure) -> Figure:
    """Give every part of the figure its place, which is known only when it is drawn."""
    engine = figure.get_layout_engine()
    if engine is None:
        figure.draw_without_rendering()
    else:
        # The engine alone: it measures every part, and drawing them all over again would double the time.
        engine.execute(figure)
    return figure
