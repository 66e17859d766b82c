"""What is learnt of words, in a page: KTIW and attention as matrices at a time to drag, and as curves."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.explore.curves import Curves
from dynamics.explore.page import dressed, new_figure
from dynamics.explore.scales import Scale
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.counts.cooccurrence import CoOccurrence

MOST = 40
"""Words a side that a page holds, the most frequent ones."""
FIRST = 5
"""Words that are shown at first."""


@dataclass(frozen=True)
class Words:
    """The parts of the view.

    Attributes
    ----------
    layout : bokeh layout
    store : ColumnDataSource
        Its tag has the numbers, and what the page reads.
    words, stage, time : widgets
    curves, loss : Curves
    """

    layout: Any
    store: Any
    words: Any
    stage: Any
    time: Any
    curves: Curves
    loss: Curves
    code: Any

    @classmethod
    def new(cls) -> Words:
        from bokeh.layouts import column, row
        from bokeh.models import ColumnDataSource, CustomJS, CustomJSTickFormatter, MultiChoice, Select, Slider

        store = ColumnDataSource({"none": []}, tags=[{}])
        words = dressed(MultiChoice(title="Words (type to search)", width=560, max_items=10))
        stage = dressed(Select(title="Prediction", width=130))
        reading = CustomJSTickFormatter(
            args={"store": store}, code="return (store.tags[0].tau?.[Math.round(tick)] ?? 0).toPrecision(3)"
        )
        time = dressed(Slider(title="Time τ", start=0, end=1, step=1, value=0, width=420, format=reading))
        known, of_known = _matrix("ktiw", "KTIW β of the word")
        attended, of_attended = _matrix("attention", "attention on the word")
        curves = Curves.new("curves", "β (solid), attention (dashed)", 300, 620)
        curves.figure.xaxis[0].axis_label += " (decades)"
        curves.figure.y_range.update(start=-0.03, end=1.03)
        curves.figure.legend.visible = False
        loss = Curves.new("loss", "loss", 240, 460)
        args = {
            "store": store, "words": words, "stage": stage, "time": time, "known": of_known, "attended": of_attended,
            "x1": known.x_range, "y1": known.y_range, "x2": attended.x_range, "y2": attended.y_range,
            "curves": curves.source, "now": curves.times,
        }  # fmt: skip
        script = files("dynamics.explore").joinpath("words.js").read_text(encoding="utf-8")
        code = CustomJS(name="begin", args=args, code=script)
        for widget in (words, stage, time):
            widget.js_on_change("value", code)
        store.js_on_change("tags", code)
        layout = column(
            row(words, stage, time), row(known, attended, column(curves.figure, loss.figure)), sizing_mode="inherit"
        )
        return cls(layout, store, words, stage, time, curves, loss, code)

    def show(self, found: xr.Dataset, counts: CoOccurrence | None = None) -> None:
        """Fill the parts with the solution of a closure on counts.

        Parameters
        ----------
        found : xarray.Dataset
            From :func:`dynamics.solve`.
        counts : CoOccurrence, optional
            What it was solved for. Without them attention is shown where it is largest, which is what a result has.

        Raises
        ------
        InputError
            The dataset has no ``beta``.
        """
        if "beta" not in found or "translation" not in found:
            raise InputError("nothing to show of words: give what solve() returns for counts")
        found = found if "stages" in found.dims else found.expand_dims(stages=[str(found.attrs.get("stages", "joint"))])
        found = found.transpose("stages", "time", "input", "output")
        share = attention(found, counts)
        kept = {"input": slice(MOST), "output": slice(MOST)}
        tau, beta = found.time.values.astype(float), found.beta.isel(kept).values
        outputs = [str(word) for word in found.output.values[:MOST]]
        inputs = [str(word) for word in found.input.values[:MOST]]
        learnt = beta[:, -1].argmax(axis=-1)
        best = beta[0, -1].max(axis=-1)
        stages = [str(name) for name in found.stages.values]
        first = [inputs[i] for i in np.argsort(-best, kind="stable")[:FIRST]]
        from dynamics.plot.frame import COLOURS

        self.words.options = inputs
        chosen = [word for word in self.words.value if word in inputs] or first
        self.words.value = chosen
        self.stage.update(options=stages, value=self.stage.value if self.stage.value in stages else stages[0])
        middle = int(np.abs(best.mean() / 2 - beta[0].max(axis=-1).mean(axis=-1)).argmin())
        self.time.update(end=tau.size - 1, value=self.time.value if 0 < self.time.value < tau.size else middle)
        ticks = Scale(decades=True).ticks(float(np.log10(tau[1])), float(np.log10(tau[-1])))
        from bokeh.models import FixedTicker

        self.curves.figure.xaxis[0].update(ticker=FixedTicker(ticks=list(ticks)), major_label_overrides=dict(ticks))
        self.loss.figure.xaxis[0].update(ticker=FixedTicker(ticks=list(ticks)), major_label_overrides=dict(ticks))
        self.loss.show([(name, np.log10(tau[1:]), found.loss.values[k][1:]) for k, name in enumerate(stages)])
        self.store.tags = [
            {
                "inputs": inputs, "outputs": outputs, "tau": tau.tolist(), "stages": stages,
                "beta": beta.astype(np.float32).ravel(), "share": share[:, :, :MOST, :MOST].astype(np.float32).ravel(),
                "learnt": learnt.ravel().tolist(), "colours": list(COLOURS[1:]), "dashes": [],
            }
        ]  # fmt: skip


def attention(found: xr.Dataset, counts: CoOccurrence | None) -> Vector:
    """Attention on every input given every output, shape (stages, times, inputs, outputs).

    With counts it is R e^A / sum_k R e^A. A result alone has its largest value and the word that has it; the others
    are not a number.
    """
    if counts is not None and "A" in found and counts.shape == (found.sizes["input"], found.sizes["output"]):
        given = counts.conditional()
        R = np.asarray(given.toarray() if counts.is_sparse else given, dtype=float)
        top = np.where(R > 0, found.A.values, -np.inf).max(axis=-2, keepdims=True)
        weight = R * np.exp(np.minimum(found.A.values - top, 0.0))
        return np.asarray(weight / weight.sum(axis=-2, keepdims=True))
    if "attended" not in found:
        return np.full(found.beta.shape, np.nan)
    same = found.attended.values[:, :, None, :] == found.input.values[None, None, :, None]
    return np.where(same, found.attention.values[:, :, None, :], np.nan)


def _matrix(name: str, title: str) -> tuple[Any, Any]:
    """A matrix of shares, inputs in rows and outputs in columns, each with its number."""
    from bokeh.models import ColumnDataSource, FactorRange
    from bokeh.palettes import Cividis256
    from bokeh.transform import linear_cmap

    source = ColumnDataSource({key: [] for key in ("input", "output", "value", "text", "ink")})
    shown = new_figure(
        width=330, height=330, name=name, title=title, x_range=FactorRange(), y_range=FactorRange(), tools="hover",
        toolbar_location=None, tooltips=[("", "@input → @output"), ("", "@text")], x_axis_label="output word",
        y_axis_label="input word",
    )  # fmt: skip
    shown.grid.visible = False
    shown.xaxis.major_label_orientation = 0.8
    colour = linear_cmap("value", Cividis256[::-1], 0, 1, nan_color="rgba(128,128,128,0.15)")
    shown.rect("output", "input", 1, 1, source=source, line_color=None, fill_color=colour)
    shown.text(
        "output", "input", "text", source=source, text_color="ink", text_align="center", text_baseline="middle",
        text_font_size="11px",
    )  # fmt: skip
    return shown, source
