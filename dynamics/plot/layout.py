"""Where the parts of a figure stand: panels, and names that find their places when the panels have theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLUMN, PAGE = 3.4, 7.0
"""Widths of figures in inches."""

TIME = "training time τ = learning rate × steps"

ABREAST = 3
"""Panels that stand beside each other on a page."""


class Layout(ConstrainedLayoutEngine):
    """matplotlib's constrained layout, after which names find their places: they depend on it, and it not on them.

    It begins where everything stood at first: matplotlib's begins where it ended, and moves a little every time.

    Attributes
    ----------
    places : list of callable
        Put names into their places, now that every part of the figure has its own.
    first : dict
        Where axes and names stood before they were laid out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Callable[[], None]] = []
        self.first: dict[Artist, Any] = {}

    def execute(self, fig: Figure) -> Any:
        for ax in fig.axes:
            if ax in self.first:
                ax.set_position(self.first[ax])
                ax.set_in_layout(True)  # which it is no longer when its place is set
            else:
                self.first[ax] = ax.get_position(original=True).frozen()
            for name in ax.texts:
                name.set_position(self.first.setdefault(name, name.get_position()))
        found = super().execute(fig)
        for place in self.places:
            place()
        return found


def blank(width: float, height: float) -> Figure:
    """A figure without anything on it, in inches."""
    return Figure((width, height), layout=Layout())


def panels(number: int, height: float = 2.0, above: float = 0.3) -> tuple[Figure, list[Axes]]:
    """A figure with panels over training time, a column wide if there is one and a page wide if there are more.

    Parameters
    ----------
    number : int
    height : float
        Of a row of panels, in inches.
    above : float
        What there is beside rows, in inches.
    """
    columns = 2 if number == 4 else min(number, ABREAST)
    rows = -(-number // columns)
    figure = blank(PAGE if columns > 1 else COLUMN, height * rows + above)
    axes = list(figure.subplots(rows, columns, sharex=True, squeeze=False).flat)
    for ax in axes[number:]:
        ax.remove()
    for ax in axes[max(0, number - columns) : number]:
        ax.set_xlabel(TIME if columns == 1 else "training time τ")
        ax.tick_params(labelbottom=True)
    return figure, axes[:number]


def when_laid_out(figure: Figure, place: Callable[[], None]) -> None:
    """Call a function whenever the parts of a figure have their places: of one of ours, before it is drawn.

    A figure of the user's own has whatever places it has now.
    """
    engine = figure.get_layout_engine()
    if isinstance(engine, Layout):
        engine.places.append(place)
    else:
        laid_out(figure)
        place()


def figure_of(ax: Axes) -> Figure:
    """The figure that axes are part of."""
    return ax.figure.figure  # of a subfigure: the one that it is part of


def laid_out(figure: Figure) -> Figure:
    """Give every part of the figure its place, which is known only when it is drawn."""
    engine = figure.get_layout_engine()
    if engine is None:
        figure.draw_without_rendering()
    else:
        # The engine alone: it measures every part, and drawing them all over again would double the time.
        engine.execute(figure)
    return figure
