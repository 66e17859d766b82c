"""The live text: rates to set, three predictions solved anew, and the forecast of a training run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from dynamics.explore.forecasts import Forecasts
from dynamics.explore.page import Lines, answers, dressed
from dynamics.explore.words import Words
from dynamics.problems.solve import solve
from dynamics.support.errors import InputError, IntegrationError

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.counts.cooccurrence import CoOccurrence

STAGES = ("joint", "two-stage", "frozen")
TIMES = 60


class TextView:
    """What the page shows of a text, and its widgets.

    Parameters
    ----------
    counts : CoOccurrence
    end : float
        The last time, in tau.
    forecast : callable, optional
        From a number of steps to the forecast of a run that takes them.
    """

    def __init__(
        self, counts: CoOccurrence, end: float = 3000.0, forecast: Callable[[int], xr.Dataset] | None = None
    ) -> None:
        from bokeh.layouts import column, row
        from bokeh.models import Button, Spinner

        self.counts, self.foretell = counts, forecast
        self.lines, self.words = Lines.new(), Words.new()
        self.rates = {
            name: dressed(Spinner(title=f"Learning rate of {name}", value=1.0, step=0.1, width=140))
            for name in ("W", "A")
        }
        self.end = dressed(Spinner(title="End τ", value=end, step=1000, width=110))
        self.steps = dressed(Spinner(title="Steps of the run", value=300, step=100, width=120))
        self.button = dressed(Button(label="Forecast an LSTM trained by Adam", width=260, name="forecast"))
        self.forecasts = Forecasts.new()
        self.forecasts.figure.visible = False
        with self.lines.told():
            self.compute()
        for widget in (*self.rates.values(), self.end):
            widget.on_change("value", answers(self.lines, self.compute))
        self.button.on_click(self._forecast)
        asked = row(self.steps, self.button) if forecast is not None else row()
        self.layout = column(
            self.lines.message, self.lines.status, row(*self.rates.values(), self.end), self.words.layout, asked,
            self.forecasts.figure,
        )  # fmt: skip

    def compute(self) -> None:
        """Solve the three predictions, and show them."""
        for widget in (*self.rates.values(), self.end):
            if widget.value is None:
                raise InputError(f"{widget.title} must be a number")
        if not self.end.value > 1:
            raise InputError(f"End τ = {self.end.value:g} must be above 1")
        rates = {name: float(widget.value) for name, widget in self.rates.items()}
        t = np.r_[0.0, np.geomspace(1.0, float(self.end.value), TIMES)]
        self.words.show(solve(self.counts, t, stages=STAGES, rates=rates), self.counts)

    def _forecast(self) -> None:
        """Forecast aside, so that the page goes on answering."""
        document = self.layout.document
        if self.steps.value is None or self.steps.value < 1:
            self.lines.message.text = "error: Steps of the run must be a whole number from 1"
            return
        self.button.update(disabled=True, label="Forecasting …")

        def work() -> None:
            assert self.foretell is not None
            try:
                found = self.foretell(int(self.steps.value))
                done = partial(self._forecasted, found, "")
            except (InputError, IntegrationError, MemoryError) as error:
                done = partial(self._forecasted, None, " ".join(str(error).split()))
            document.add_next_tick_callback(done)

        Thread(target=work, daemon=True).start()

    def _forecasted(self, found: xr.Dataset | None, wrong: str) -> None:
        self.button.update(disabled=False, label="Forecast again")
        self.lines.message.text = f"error: {wrong}" if wrong else ""
        if found is not None:
            self.forecasts.show(found)
            self.forecasts.figure.visible = True
