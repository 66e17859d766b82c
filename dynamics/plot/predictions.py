"""Predictions drawn: loss, words, the KTIW matrix, distances between predictions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from derivations.program.role import Role
from dynamics.comparison.learnt_words import ktiw_of, learnt, predictions
from dynamics.plot.scripts import pair
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.roles import loss_of, with_role
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.text import Text

from dynamics.plot.frame import (
    SMALL,
    apart,
    from_zero,
    house_style,
    label_ends,
    looks_of,
    marker,
    number,
    short,
    time_axis,
    times_of,
)
from dynamics.plot.layout import COLUMN, PAGE, TIME, blank, figure_of, when_laid_out

Looks = Mapping[tuple[str, str], Mapping[str, Any]]

KTIW = "KTIW β (probability)"

_SHADES = "bone_r"
"""From white to black: of the maps that print in grey, the one with the most even steps in CIELAB."""

_PREDICTIONS = ("joint", "two-stage", "frozen", "stage-one")

_STAGE_ONE = "0.93"

_THIN = 0.7

_ABOVE_STAGES = 22.0


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
    name_of_loss = _the_loss(trajectory)
    with house_style():
        figure = blank(COLUMN, 2.4) if ax is None else figure_of(ax)
        ax = figure.add_subplot() if ax is None else ax
        times = times_of(trajectory)
        for name, part in predictions(trajectory).items():
            ax.plot(times, part[name_of_loss].values, **_prediction_look(name), **marker(times), label=name)
            _band(ax, part, name_of_loss, _prediction_look(name))
        time_axis(ax, times)
        from_zero(ax, trajectory[name_of_loss].values)
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
    part = _prediction(trajectory, stages)
    ktiw_of(part)
    pairs = learnt(part) if pairs is None else _pairs(pairs, part)
    times = times_of(part)
    panels = 2 if "attended" in part else 1
    shown = [word for both in pairs for word in both] + (list(part["attended"].values[-1]) if panels == 2 else [])
    with house_style(shown):
        height = max(1.5, 1.25 * SMALL / 72 * len(pairs))
        figure = blank(COLUMN, panels * height + 0.6)
        axes = figure.subplots(panels, sharex=True, squeeze=False)[:, 0]
        looks = dict(zip(pairs, looks_of(len(pairs)), strict=True))
        named = [_translation(axes[0], part, looks)]
        if panels == 2:
            named.append(_attention(axes[1], part, looks))
        for ax in axes:
            time_axis(ax, times)
        axes[-1].set_xlabel(TIME)
        _mark_stages(axes[0], part, *axes[1:])
        label_ends(figure, dict(zip(axes, named, strict=True)))
        return figure


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
    part = _prediction(trajectory, stages)
    beta = ktiw_of(part)
    if size < 1:
        raise InputError(f"size = {size} must be 1 or more")
    shown = beta.isel(input=slice(size), output=slice(size))
    titles = _landmarks(part) if at is None else _nearest(part, at)
    shown = shown.isel(input=_by_translation(shown.values[-1]))
    rows, columns = shown.shape[1:]
    with house_style([*shown["input"].values, *shown["output"].values]):
        width = PAGE if len(titles) > 1 else COLUMN
        cell = min((width - 1.2) / len(titles) / columns, 0.5)
        figure = blank(width, max(1.7, cell * rows + 0.9))
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
        From :func:`dynamics.distance`: ``W``, ``A`` and ``beta`` over (stages, time), or some of
        them, relative to the prediction that the attribute ``reference`` names (``joint`` by default). NaN is left out.
        With an attribute ``switch``, the two stages are marked.

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
    >>> from dynamics import CoOccurrence, solve
    >>> from dynamics.comparison import side_by_side as comparison
    >>> found = solve(CoOccurrence.from_counts([[8, 1], [1, 8]]), [1, 10], stages=("joint", "two-stage", "frozen"))
    >>> [ax.get_title("left") for ax in distance(comparison.distance(found)).axes]
    ['two-stage', 'frozen']
    """
    drawn = [name for role in (Role.VALUES, Role.ATTENTION, Role.KTIW) for name in with_role(distances, role)]
    reference = str(distances.attrs.get("reference", "joint"))
    parts = {name: part for name, part in predictions(distances).items() if name != reference}
    if not drawn or not parts:
        raise InputError(f"no distances to draw: give W, A or beta of a prediction other than {reference!r}")
    times = times_of(distances)
    with house_style():
        figure = blank(PAGE if len(parts) > 1 else COLUMN, 2.2)
        axes = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
        named = {}
        for ax, (name, part) in zip(axes, parts.items(), strict=True):
            looks = zip(drawn, looks_of(len(drawn)), strict=True)
            named[ax] = [
                ax.plot(times, part[variable].values, **look, **marker(times), label=symbol(variable))[0]
                for variable, look in looks
            ]
            ax.set_xlabel(TIME)
            ax.set_title(name, loc="left", pad=_ABOVE_STAGES if "switch" in distances.attrs else None)
        from_zero(axes[0], [part[variable].values for part in parts.values() for variable in drawn])
        axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        axes[0].set_ylabel(f"distance from {reference} (% of its norm)")
        for ax in axes:
            time_axis(ax, times)
            _mark_stages(ax, distances)
        label_ends(figure, named)
        return figure


def symbol(name: str) -> str:
    """A Greek letter for its name.

    Examples
    --------
    >>> symbol("beta"), symbol("W")
    ('β', 'W')
    """
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}")
    except KeyError:
        return name


def _the_loss(dataset: xr.Dataset) -> str:
    name = loss_of(dataset)
    if name is None or not dataset[name].size:
        raise InputError("the dataset has no 'loss' to draw: give what solve() returns")
    return name


def _prediction(dataset: xr.Dataset, name: str | None) -> xr.Dataset:
    """One prediction: the named one, or the first."""
    found = predictions(dataset)
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


def _landmarks(trajectory: xr.Dataset) -> dict[int, str]:
    """Positions of three times, with titles: early in stage one, its end, and the last.

    Without two stages, the time at which half of the loss has fallen takes the place of the end of stage one.
    """
    times = times_of(trajectory)
    if "switch" in trajectory.attrs:
        middle, name = float(trajectory.attrs["switch"]), "end of stage 1"
    else:
        values = trajectory[_the_loss(trajectory)].values
        middle, name = times[np.argmax(values <= (values[0] + values[-1]) / 2)], "loss half way"
    early, half = (int(np.abs(times - time).argmin()) for time in (middle / 4, middle))
    near = abs(times[half] - middle) <= 0.25 * middle
    titles = {early: "early", half: name if near else "", times.size - 1: "end"} if times.size > 1 else {0: ""}
    return {k: f"τ = {number(times[k])}" + (f", {title}" if title else "") for k, title in titles.items()}


def _nearest(trajectory: xr.Dataset, at: ArrayLike) -> dict[int, str]:
    """Positions of the times nearest to given ones, with titles."""
    times, wanted = times_of(trajectory), np.atleast_1d(np.asarray(at, dtype=float))
    if not wanted.size or not np.isfinite(wanted).all():
        raise InputError(f"at = {at!r}: give one or more finite times")
    positions = [int(np.abs(times - time).argmin()) for time in wanted]
    return {k: f"τ = {number(times[k])}" for k in positions}


def _by_translation(final: Vector) -> NDArray[np.intp]:
    """The order of rows by the column of their largest value, larger values first."""
    return np.lexsort((-final.max(axis=1), final.argmax(axis=1)))


def _translation(ax: Axes, part: xr.Dataset, looks: Looks) -> list[Line2D]:
    """KTIW of each pair. Returns the lines to be named."""
    times, beta = times_of(part), ktiw_of(part)
    lines = [
        ax.plot(times, beta.sel(input=i, output=o).values, **look, **marker(times), label=_pair(i, o))[0]
        for (i, o), look in looks.items()
    ]
    for (i, o), look in looks.items():
        _band(ax, part, "beta", look, input=i, output=o)
    from_zero(ax, np.array([line.get_ydata() for line in lines]))
    ax.set_ylabel(KTIW)
    return lines


def _attention(ax: Axes, part: xr.Dataset, looks: Looks) -> list[Line2D]:
    """Attention of each output, thick while it is on a word that the output is paired with.

    Returns the lines to be named.
    """
    times = times_of(part)
    lines, strayed = [], False
    for o in dict.fromkeys(o for _, o in looks):
        look = next(look for (_, other), look in looks.items() if other == o)
        share, attended = (part[name].sel(output=o).values for name in ("attention", "attended"))
        paired = np.isin(attended.astype(str), [i for i, other in looks if other == o])
        thin = {**look, "linewidth": _THIN}
        lines += ax.plot(times, share, **thin, **marker(times), label=_pair(attended[-1], o))
        _band(ax, part, "attention", look, output=o)
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
    from_zero(ax, np.array([line.get_ydata() for line in lines]))
    ax.set_ylabel("attention (share)")
    return lines


def _band(ax: Axes, part: xr.Dataset, name: str, look: Mapping[str, Any], **where: str) -> None:
    """Two standard errors about a curve, where a prediction states its errors."""
    if f"{name}_interval" not in part:
        return
    low, high = part[f"{name}_interval"].sel(where).transpose("bound", "time").values
    ax.fill_between(times_of(part), low, high, color=look["color"], alpha=0.2, linewidth=0, zorder=1)


def _prediction_look(name: str) -> dict[str, Any]:
    """A prediction looks the same in every figure."""
    return looks_of(len(_PREDICTIONS))[_PREDICTIONS.index(name) if name in _PREDICTIONS else 0]


def _pair(i: str, o: str) -> str:
    return pair(short(i), short(o))


def _word_ticks(axis: Any, names: NDArray[Any], cell: float) -> None:
    """Words at the middle of their cells (points), as many of them as can be read."""
    font = min(SMALL, max(5.0, 0.9 * cell))
    step = int(np.ceil(font / cell - 1e-9)) if cell < font else 1
    labels = [short(name) for name in names[::step]]
    flat = max(map(len, labels)) * 0.65 * font < cell * step
    rotation = "vertical" if axis.axis_name == "x" and not flat else "horizontal"
    axis.set_ticks(np.arange(0, names.size, step) + 0.5, labels, fontsize=font, rotation=rotation)


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
        ax.text(0, 1.02, name, transform=ax.transAxes, fontsize=SMALL, ha="center", linespacing=1.05)
        for name, *_ in names
    ]
    when_laid_out(figure_of(ax), partial(_over_stages, ax, texts, middles))


def _over_stages(ax: Axes, names: Sequence[Text], middles: Sequence[float]) -> None:
    """Put names over the middles of stages, clear of each other."""
    widths = [name.get_window_extent().width / ax.get_window_extent().width for name in names]
    for name, x in zip(names, apart(middles, 1.05 * np.array(widths)), strict=True):
        name.set_x(x)
