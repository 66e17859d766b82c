"""Theory as lines, simulation as bands; and how their distance falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullFormatter

from dynamics.plot.frame import (
    from_zero,
    house_style,
    label_ends,
    looks_of,
    marker,
    number,
    numbered,
    time_axis,
    time_ticks,
    times_of,
)
from dynamics.plot.layout import COLUMN, blank, panels
from dynamics.support.errors import InputError
from dynamics.support.roles import AGREEMENT, ERROR, of_kind

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

_RUN = "#56B4E9"
TITLES = {
    "loss": ("loss", "nats"),
    "u": ("u: diagonal of W less the rest", "logit"),
    "a": ("a: diagonal of A less the rest", "logit"),
    "alpha": ("attention to the right position α", "share"),
    "attention": ("attention on the right word", "share"),
    "accuracy": ("accuracy", "share of targets"),
    "agreement": ("agreement with attention", "share of targets"),
    "error": ("relative error of theory", "%"),
    "p_t": ("prediction of the target p", "probability"),
}
"""Title and unit of every panel."""
_KNOWN_BY = {"beta": "KTIW β", "uf": "βᵘᶠ, uniform", "px": "βᵖˣ, counts", "delta": "gradient Δ", "shuffled": "shuffled"}
_COLUMNS = 3


def title_of(name: str, values: xr.DataArray | None) -> tuple[str, str]:
    """Title and unit of a panel; those that are not known by name tell their unit themselves.

    Examples
    --------
    >>> import xarray as xr
    >>> title_of("p", xr.DataArray(0.5, attrs={"units": "probability"}))
    ('p', 'probability')
    """
    return TITLES.get(name, (name, "" if values is None else str(values.attrs.get("units", ""))))


def comparison(compared: xr.Dataset) -> Figure:
    """Theory beside simulation: a panel for every quantity, one for the agreement measures, one for the errors.

    Parameters
    ----------
    compared : xarray.Dataset
        From :func:`dynamics.compare`.

    Returns
    -------
    matplotlib.figure.Figure
        A page wide. Lines are theory (of several seeds, the mean with thin lines at the edges of the band); the bands
        hold the share ``band`` of the seeds of the run, the line in them is their mean. With ``noise=True``, thin lines
        are where as many seeds are predicted to be, of starts and of minibatches.

    Raises
    ------
    InputError
        If there is nothing to draw.

    Examples
    --------
    >>> from dynamics import compare, simulate, solve
    >>> from dynamics.problems.kinds.models import lexical
    >>> from dynamics.tasks import ToyLexicon
    >>> task = ToyLexicon(vocab=12, length=4)
    >>> run = simulate(lexical(), task, lr=2.0, batch=64, steps=50, seeds=3, records=5)
    >>> figure = comparison(compare(solve(task.population(), run.time), run))
    >>> [ax.get_title('left') for ax in figure.axes][0]
    'loss'
    """
    names = [str(name) for name in compared.data_vars]
    measured = [name for name in names if f"{name}_mean" in names]
    agreements = {name: of for name, of in of_kind(compared, AGREEMENT).items() if name in measured}
    quantities = [name for name in measured if name not in agreements]
    errors = {name: of for name, of in of_kind(compared, ERROR).items() if of not in measured}
    shown = [*quantities, *(["agreement"] if agreements else []), *(["error"] if errors else [])]
    if not shown:
        raise InputError("nothing to draw: give what compare() returns")
    times = times_of(compared)
    with house_style():
        figure, axes = panels(len(shown), 2.1, 0.4)
        named = {}
        for ax, name in zip(axes, shown, strict=True):
            if name == "agreement":
                named[ax] = _means(ax, compared, agreements)
                ax.set_ylim(0, 1.03)
            elif name == "error":
                named[ax] = _errors(ax, compared, errors)
            else:
                _quantity(ax, compared, name)
            time_axis(ax, times)
            title, unit = title_of(name, compared.get(f"{name}_mean"))
            ax.set_title(title, loc="left")
            ax.set_ylabel(unit)
        seeds = compared.sizes["seed"]
        share = f"mean and {100 * compared.attrs.get('band', 0.9):.0f} % of {seeds} seeds" if seeds > 1 else "one seed"
        noisy = any(f"{name}_spread" in names for name in quantities)
        edge = {**looks_of(1)[0], "linewidth": 0.7, "linestyle": (0, (4, 2))}
        figure.legend(
            [*_theory_keys(compared, quantities), *([Line2D([], [], **edge)] if noisy else []), Patch(facecolor=_RUN)],
            [*_theories(compared, quantities), *(["its noise"] if noisy else []), f"simulation, {share}"],
            loc="outside upper left",
            ncols=4,
        )
        label_ends(figure, named)
        return figure


def study(found: xr.Dataset) -> Figure:
    """Error against learning rate, or fluctuation against lr/batch, with the fitted power laws.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`dynamics.comparison.convergence.learning_rate_study` or
        :func:`dynamics.comparison.convergence.batch_study`.

    Returns
    -------
    matplotlib.figure.Figure
        One column wide, both axes logarithmic; each line has its slope.

    Examples
    --------
    >>> import xarray as xr
    >>> rates = [0.1, 0.2, 0.4]
    >>> found = xr.Dataset(
    ...     {"error": (("flow", "lr"), [rates]), "slope": ("flow", [1.0]), "slope_error": ("flow", [0.01])},
    ...     {"flow": ["gradient flow"], "lr": rates},
    ... )
    >>> study(found).axes[0].get_xlabel()
    'learning rate'
    """
    by_rate = "error" in found
    if not by_rate and "fluctuation" not in found:
        raise InputError("nothing to draw: give what a study of dynamics.comparison.convergence returns")
    parts: list[tuple[str, Any, Any, float, float]] = []
    if by_rate:
        for flow in found.flow.values:
            one = found.sel(flow=flow)
            parts.append((str(flow), found.lr.values, one.error.values, float(one.slope), float(one.slope_error)))
    else:
        parts.append(
            ("", found.ratio.values, found.fluctuation.values, float(found.slope), float(found.slope_error))
        )  # fmt: skip
    with house_style():
        figure = blank(COLUMN, 2.6)
        ax = figure.add_subplot()
        for (name, x, y, slope, error), look in zip(parts, looks_of(len(parts)), strict=True):
            ends = np.array([x.min(), x.max()])
            level = np.exp(np.mean(np.log(y) - slope * np.log(x)))
            label = f"{name + ': ' if name else ''}slope {slope:.3f} ± {error:.3f}"
            ax.plot(ends, level * ends**slope, **look, label=label)
            ax.plot(x, y, "o", color=look["color"], markersize=4)
        ax.set(xscale="log", yscale="log")
        for axis in (ax.xaxis, ax.yaxis):
            major, minor = time_ticks(*axis.get_view_interval())
            axis.set_major_locator(FixedLocator(list(major)))
            axis.set_minor_locator(FixedLocator(list(minor)))
            axis.set_major_formatter(numbered())
            axis.set_minor_formatter(NullFormatter())
        tau = f" at τ = {number(found.attrs['tau'])}" if "tau" in found.attrs else ""
        ax.set_xlabel("learning rate" if by_rate else "learning rate / batch")
        what = "distance from theory" if by_rate else "fluctuation over seeds"
        ax.set_ylabel(f"{what}{tau}\n(share of the norm)")
        figure.legend(loc="outside upper left")
        return figure


def _theories(compared: xr.Dataset, quantities: Sequence[str]) -> list[str]:
    """The names of the predictions that are drawn."""
    predicted = [compared[f"{name}_predicted"] for name in quantities if f"{name}_predicted" in compared]
    for one in predicted:
        if "stages" in one.dims:
            return [f"theory, {name}" for name in one.stages.values]
    return ["theory"] if predicted else []


def _theory_keys(compared: xr.Dataset, quantities: Sequence[str]) -> list[Line2D]:
    return [Line2D([], [], **look) for look in looks_of(len(_theories(compared, quantities)))]


def _quantity(ax: Axes, compared: xr.Dataset, name: str) -> None:
    """One quantity: the band of the run, its mean, and the lines of the theory."""
    times, drawn = times_of(compared), []
    mean, low, high = (_by_head(compared[f"{name}_{kind}"]) for kind in ("mean", "low", "high"))
    for centre, below, above in zip(mean, low, high, strict=True):
        ax.fill_between(times, below, above, color=_RUN, alpha=0.45, linewidth=0)
        ax.plot(times, centre, color=_RUN, linewidth=3.5, **marker(times))  # to be seen under the theory
        drawn += [below, above]
    if f"{name}_predicted" in compared:
        predicted = compared[f"{name}_predicted"]
        parts = (
            [predicted.sel(stages=s) for s in predicted.stages.values] if "stages" in predicted.dims else [predicted]
        )
        share, spread = float(compared.attrs.get("band", 0.9)), compared.get(f"{name}_spread")
        for k, (part, look) in enumerate(zip(parts, looks_of(len(parts)), strict=True)):
            if spread is not None and k == 0:
                drawn += _noisy(ax, times, part, look, share, spread)
            else:
                drawn += _theory(ax, times, part, look, share)
    from_zero(ax, np.array(drawn))


def _theory(ax: Axes, times: np.ndarray, part: xr.DataArray, look: dict[str, Any], band: float) -> list[np.ndarray]:
    """A prediction; of several seeds, its mean and thin lines at the edges of the band."""
    if "seed" not in part.dims:
        lines = _by_head(part)
        for line in lines:
            ax.plot(times, line, **look, **marker(times))
        return list(lines)
    mean = _by_head(part.mean("seed"))
    edges = [edge for q in ((1 - band) / 2, (1 + band) / 2) for edge in _by_head(part.quantile(q, "seed"))]
    for line in mean:
        ax.plot(times, line, **look, **marker(times))
    for line in edges:
        ax.plot(times, line, **{**look, "linewidth": 0.6})
    return [*mean, *edges]


def _noisy(
    ax: Axes, times: np.ndarray, part: xr.DataArray, look: dict[str, Any], band: float, spread: xr.DataArray
) -> list[np.ndarray]:
    """A prediction with thin lines within which that share of seeds is predicted to be: a normal band of its noise."""
    from scipy.special import ndtri

    mean, variance = part, spread**2
    if "seed" in part.dims:
        mean, variance = part.mean("seed"), variance + part.var("seed", ddof=1)
    reach = float(ndtri((1 + band) / 2)) * variance.values**0.5
    ax.plot(times, mean.values, **look, **marker(times))
    edges = [mean.values + sign * reach for sign in (-1, 1)]
    for edge in edges:
        ax.plot(times, edge, **{**look, "linewidth": 0.7, "linestyle": (0, (4, 2))})
    return [mean.values, *edges]


def _by_head(values: xr.DataArray) -> np.ndarray:
    """Shape (lines, times): one line for each head."""
    return np.atleast_2d(values.transpose(..., "time").values)


def _means(ax: Axes, compared: xr.Dataset, agreements: Mapping[str, str]) -> list[Line2D]:
    """Mean agreement over seeds, a line for each thing that attention is held against."""
    times, lines = times_of(compared), []
    for (name, other), look in zip(agreements.items(), looks_of(len(agreements)), strict=True):
        lines += ax.plot(times, compared[f"{name}_mean"].values, **look, label=_KNOWN_BY.get(other, other))
    return lines


def _errors(ax: Axes, compared: xr.Dataset, errors: Mapping[str, str]) -> list[Line2D]:
    """Relative errors of tensors in percent: mean over seeds, of the first prediction if there are several."""
    times, lines = times_of(compared), []
    for (name, of), look in zip(errors.items(), looks_of(len(errors)), strict=True):
        error = compared[name].isel(stages=0) if "stages" in compared[name].dims else compared[name]
        lines += ax.plot(times, 100 * error.mean("seed").values, **look, **marker(times), label=of)
    from_zero(ax, np.array([line.get_ydata() for line in lines]))
    return lines
