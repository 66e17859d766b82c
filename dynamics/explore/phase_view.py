"""The live phase diagram: axes to choose, sliders for what is fixed, and a click on a cell draws its trajectories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.explore.curves import Curves
from dynamics.explore.maps import PREDICTED, Map
from dynamics.explore.page import Lines, answers, dressed
from dynamics.explore.scales import Scale
from dynamics.phase.axes import axis
from dynamics.phase.diagram import phase_diagram
from dynamics.phase.quantity import SHARES, Quantity
from dynamics.phase.trajectories import trajectories
from dynamics.support.errors import InputError
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.phase.system import System

POINTS = 240
"""Times of a trajectory."""
DRAWS = 16
"""Trajectories of a cell, at most."""
RANDOM = 16
"""Random initial states of a cell of the map, a power of two."""
USUAL, USUAL_WHOLE = 0.1, 8.0
"""Where a slider starts if nothing says where."""
RANGES = {True: "2:40", False: "0.05:2:40"}
"""Of an axis that has none yet: of whole numbers, and of others."""

TIMER = """
if (window.tapped) {
  const began = window.tapped
  window.tapped = null
  requestAnimationFrame(() => setTimeout(() => {  // painted
    document.documentElement.dataset.answered = (performance.now() - began).toFixed(1)
  }))
}
"""


class PhaseView:
    """What the page has chosen, and its widgets.

    Parameters
    ----------
    systems : mapping of str to System
        Those to choose from; the first is shown.
    x, y : str
        Axes of the first, as for ``dynamics phase``.
    """

    def __init__(self, systems: Mapping[str, System], x: str = "V=8:64", y: str = "L=4:60") -> None:
        from bokeh.models import CustomJS, MultiChoice, Select, Spinner, TextInput

        self.systems, self.lines, self.map = systems, Lines.new(), Map.new()
        self.order = Curves.new("order", "order parameters")
        self.seen = Curves.new("seen", "what is observed")
        name = next(iter(systems))
        names = list(systems[name].axes)
        axes = {"x": x, "y": y}
        known = {side: text.partition("=")[0] in names for side, text in axes.items()}
        self.system = Select(title="System", value=name, options=list(systems), width=170)
        self.axis, self.range = {}, {}
        for side, place in (("x", "across"), ("y", "up")):
            own, _, values = axes[side].partition("=")
            own = own if known[side] else next(n for n in names if n not in self.chosen)
            self.axis[side] = Select(title=f"Axis {place}", value=own, options=names, width=120)
            whole = own in systems[name].whole
            self.range[side] = TextInput(
                title=f"Values {place}, such as 2:9:30:log", value=values if known[side] else RANGES[whole], width=215
            )
        self.kind = Select(title="Shown", options=["time", "learnt", "value"], width=100)
        self.observable = Select(title="Of", width=100)
        self.threshold = Spinner(title="Threshold", value=0.5, step=0.05, width=90)
        self.end = Spinner(title="End τ", value=10_000, step=1000, width=110)
        self.fixed = MultiChoice(title="Fixed parameters", width=560)
        self.at = {side: Select(title=f"Cell {place}", width=120) for side, place in (("x", "across"), ("y", "up"))}
        self.values: dict[str, float] = {}
        self.sliders: Any = None
        self.diagram: xr.Dataset | None = None
        self.busy = False
        for widget in (self.system, *self.axis.values(), *self.range.values(), self.kind, self.observable,
                       self.threshold, self.end, self.fixed, *self.at.values()):  # fmt: skip
            dressed(widget)
        self.layout = self._laid_out()
        self._adopt()
        with self.lines.told():
            self.compute()
        self.system.on_change("value", answers(self.lines, self._other_system))
        for side in ("x", "y"):
            self.axis[side].on_change("value", answers(self.lines, self._other_axes))
            self.range[side].on_change("value", answers(self.lines, self.compute))
            self.at[side].on_change("value", answers(self.lines, self._picked))
        for widget in (self.kind, self.observable, self.threshold, self.end):
            widget.on_change("value", answers(self.lines, self.compute))
        self.fixed.on_change("value", answers(self.lines, self._other_fixed))
        self.map.figure.js_on_event("tap", CustomJS(code="window.tapped = performance.now()"))
        self.seen.source.js_on_change("data", CustomJS(code=TIMER))
        from bokeh.events import Tap

        self.map.figure.on_event(Tap, self._tapped)

    @property
    def chosen(self) -> list[str]:
        """The parameters that are axes: the one across, then the one upwards."""
        return [self.axis[side].value for side in ("x", "y") if side in self.axis]

    def _laid_out(self) -> Any:
        from bokeh.layouts import column, row

        self.sliders = column(name="sliders")
        return column(
            self.lines.message, self.lines.status,
            row(self.system, self.axis["x"], self.range["x"], self.axis["y"], self.range["y"]),
            row(self.kind, self.observable, self.threshold, self.end, self.at["x"], self.at["y"]),
            row(column(self.map.layout, self.fixed, self.sliders), column(self.order.figure, self.seen.figure)),
        )  # fmt: skip

    def _adopt(self) -> None:
        """Take over what a system is usually asked for."""
        system = self.systems[self.system.value]
        usual = system.usual
        self.observable.options = list(system.observables(False))
        self.observable.value, self.kind.value, self.threshold.value = usual.observable, usual.kind, usual.threshold
        self._fix(())

    def _other_system(self) -> None:
        self.busy = True  # the widgets that are changed in here answer once
        try:
            system = self.systems[self.system.value]
            names = list(system.axes)
            for side, name in zip(("x", "y"), names, strict=False):
                self.axis[side].update(options=names, value=name)
                self.range[side].value = RANGES[name in system.whole]
            self._adopt()
        finally:
            self.busy = False
        self.compute()

    def _other_axes(self) -> None:
        if self.busy:
            return
        if len(set(self.chosen)) < 2:
            raise InputError(f"both axes are {self.chosen[0]}; choose two parameters")
        system = self.systems[self.system.value]
        self.busy = True
        try:
            for side in ("x", "y"):
                self._range_for(side, system)
            self._fix(self.fixed.value)
        finally:
            self.busy = False
        self.compute()

    def _range_for(self, side: str, system: System) -> None:
        """Other values where those of an axis are not for its parameter."""
        name = self.axis[side].value
        try:
            axis(f"{name}={self.range[side].value}", side, system.whole)
        except InputError:
            self.range[side].value = RANGES[name in system.whole]

    def _other_fixed(self) -> None:
        if self.busy:
            return
        self._sliders(self.fixed.value)
        self.compute()

    def _fix(self, names: Iterable[str]) -> None:
        """The parameters that complete a cell, as sliders; those that are fixed already stay as they are."""
        system = self.systems[self.system.value]
        kept = {name: self.values[name] for name in names if name in system.axes and name not in self.chosen}
        given = {name: _start(system, name) for name in self.chosen} | kept
        try:
            complete = completed(system, given)
        except InputError:
            complete = completed(system, {name: _start(system, name) for name in self.chosen})
        self.values |= {name: value for name, value in complete.items() if name not in self.chosen}
        listed = [name for name in complete if name not in self.chosen and name in system.axes]
        self.fixed.options = [name for name in system.axes if name not in self.chosen]
        self.busy, before = True, self.busy
        self.fixed.value = listed
        self.busy = before
        self._sliders(listed)

    def _sliders(self, names: Iterable[str]) -> None:
        from bokeh.layouts import row

        system = self.systems[self.system.value]
        rows = []
        for name in names:
            value = self.values.setdefault(name, _start(system, name))
            low, high, step = reach(system, name, value)
            slider, number = slider_of(name, system.axes[name], value, low, high, step)

            def moved(attribute: str, old: float, new: float, name: str = name, other: Any = number) -> None:
                self.values[name] = float(new)
                if other.value != new:
                    other.value = new

            def typed(attribute: str, old: Any, new: Any, name: str = name, slider: Any = slider) -> None:
                with self.lines.told():
                    if new is None:
                        raise InputError(f"{name} must be a number")
                    self.values[name] = float(new)
                    self.compute()
                    slider.update(start=min(slider.start, new), end=max(slider.end, new), value=float(new))

            slider.on_change("value_throttled", moved)
            number.on_change("value", typed)
            rows.append(row(slider, number))
        self.sliders.children = rows

    def compute(self) -> None:
        """Solve the map anew, and show it."""
        if self.busy:
            return
        system = self.systems[self.system.value]
        for widget in (self.threshold, self.end):
            if widget.value is None:
                raise InputError(f"{widget.title} must be a number")
        written = {side: f"{self.axis[side].value}={self.range[side].value}" for side in ("y", "x")}
        axes = dict(axis(text, side, system.whole) for side, text in written.items())
        if len(axes) < 2:
            raise InputError(f"both axes are {next(iter(axes))}; choose two parameters")
        quantity = Quantity(self.kind.value, self.observable.value, float(self.threshold.value))
        fixed = {name: self.values[name] for name in self.fixed.value}
        diagram = phase_diagram(system, axes, quantity, float(self.end.value), fixed=fixed, draws=RANDOM)
        self.map.show(diagram)
        self.diagram = diagram
        self.busy = True
        try:
            listed = {side: [f"{value:.6g}" for value in axes[self.axis[side].value]] for side in ("x", "y")}
            i, j = self._place(listed, diagram.value.values)
            for side, place in (("x", i), ("y", j)):
                self.at[side].update(options=listed[side], value=listed[side][place])
        finally:
            self.busy = False
        self._picked()
        solved = f"{diagram.value.size:,} cells solved in {diagram.attrs['seconds']:.2g} s."
        self.lines.status.text = f"{solved} {self.lines.status.text}"

    def _place(self, listed: Mapping[str, list[str]], value: Vector) -> tuple[int, int]:
        """The cell that is looked at, if it is still there; else the one nearest to the middle that makes sense."""
        now = [self.at[side].value for side in ("x", "y")]
        if all(one in listed[side] for one, side in zip(now, ("x", "y"), strict=True)):
            i, j = (listed[side].index(one) for one, side in zip(now, ("x", "y"), strict=True))
            if not np.isnan(value[j, i]):
                return i, j
        rows, columns = np.nonzero(~np.isnan(value))
        if not rows.size:
            return value.shape[1] // 2, value.shape[0] // 2
        k = int(np.hypot(rows - value.shape[0] / 2, columns - value.shape[1] / 2).argmin())
        return int(columns[k]), int(rows[k])

    def _tapped(self, event: Any) -> None:
        if self.diagram is None:
            return
        with self.lines.told():
            self.follow(*(self._nearest(side, place) for side, place in (("x", event.x), ("y", event.y))))

    def _nearest(self, side: str, place: float) -> int:
        values = self._values(side)
        return int(np.abs(Scale.of(values).at(values) - place).argmin())

    def _values(self, side: str) -> Vector:
        assert self.diagram is not None
        dims = self.diagram.value.dims
        return np.asarray(self.diagram[dims[side == "x"]].values, dtype=float)

    def _picked(self) -> None:
        if self.busy or self.diagram is None:
            return
        self.follow(*(self.at[side].options.index(self.at[side].value) for side in ("x", "y")))

    def follow(self, i: int, j: int) -> None:
        """Draw the trajectories of the cell in column i and row j, with what was predicted for it."""
        diagram = self.diagram
        assert diagram is not None
        system = self.systems[self.system.value]
        of_x, of_y = self._values("x"), self._values("y")
        rows, columns = (str(dim) for dim in diagram.value.dims)
        fixed = {str(k).removeprefix("fixed_"): v for k, v in diagram.attrs.items() if str(k).startswith("fixed_")}
        at = {columns: float(of_x[i]), rows: float(of_y[j]), **fixed}
        value = float(diagram.value[j, i])
        closed = float(diagram.theorem[j, i]) if "theorem" in diagram else np.nan
        kind, end = diagram.attrs["quantity"], float(diagram.attrs["t_end"])
        times = [time for time in (value, closed) if kind == "time" and np.isfinite(time) and time > 0]
        shown = min(end, 1.6 * max(times)) if times else end
        found = trajectories(system, at, np.linspace(0, shown, POINTS), draws=DRAWS)
        t = found.time.values
        observable = diagram.attrs["observable"]
        states = found.attrs["states"].split()
        heads = [str(n) for n in found.data_vars if str(n).rstrip("0123456789") == observable and str(n) not in states]
        seen = heads + [n for n in SHARES if n in ("p_t", "alpha") and n in found and n not in heads]
        seen = seen or ["loss" if "loss" in found else states[0]]
        marks = [(value, "#8a8a8a", "solid"), (closed, PREDICTED, "dashed")] if kind == "time" else []
        levels = [diagram.attrs["threshold"]] if kind != "value" else []
        self.order.show([(n, t, y) for n in states for y in found[n].values], marks)
        self.seen.show([(n, t, y) for n in seen for y in found[n].values], marks, levels)
        self.map.choose(i, j)  # after the curves, which are what is waited for
        told = ", ".join(f"{name} = {number:.4g}" for name, number in list(at.items())[:2])
        said = f"{value:.4g}" if np.isfinite(value) else "not reached by the end"
        law = f"; closed form {closed:.4g}" if np.isfinite(closed) else ""
        self.lines.status.text = f"At {told}: {diagram.value.attrs['long_name']} is {said}{law}."


def completed(system: System, given: Mapping[str, float]) -> dict[str, float]:
    """All parameters of a cell: those given, the fewest others without which it is not whole, and the defaults.

    Raises
    ------
    InputError
        What is given does not go together.

    Examples
    --------
    >>> from dynamics.phase.copying import CopyingSystem
    >>> completed(CopyingSystem(), {"extra": 2.0, "sigma": 0.1})["L"]
    8.0
    """
    others = [name for name in system.axes if name not in given]
    wrong: InputError | None = None
    for number in range(len(others) + 1):
        for names in combinations(others, number):
            cell = {**given, **{name: _start(system, name) for name in names}}
            try:
                found = system.complete({name: np.array([value]) for name, value in cell.items()})
            except InputError as error:
                wrong = wrong or error
                continue
            kept = {name: float(values[0]) for name, values in found.items() if name in system.axes}
            # Under the names that are given: another name of the same (V, of L + extra) would be there twice.
            return _consistent(system, {**cell, **{n: v for n, v in kept.items() if n not in cell}}, cell)
    raise wrong or InputError(f"{system.name} has no parameters")


def _consistent(system: System, full: Mapping[str, float], least: Mapping[str, float]) -> dict[str, float]:
    """As many of all values, beside the least, as are accepted together."""
    found = dict(least)
    for name, value in full.items():
        if name in found:
            continue
        trial = {**found, name: value}
        try:
            system.complete({n: np.array([v]) for n, v in trial.items()})
        except InputError:
            continue
        found = trial
    return found


def _start(system: System, name: str) -> float:
    return USUAL_WHOLE if name in system.whole else USUAL


def reach(system: System, name: str, value: float) -> tuple[float, float, float]:
    """The range of a slider and its step; below zero only where the system takes that."""
    if name in system.whole:
        return 1.0, max(16.0, 2 * value), 1.0
    high = max(1.0, 3 * abs(value))
    try:
        completed(system, {name: -abs(value) or -USUAL})
        low = -high
    except InputError:
        low = 0.0
    return low, high, high / 200


def slider_of(name: str, told: str, value: float, low: float, high: float, step: float) -> tuple[Any, Any]:
    """A slider, and a field for its number, which goes beyond it."""
    from bokeh.models import Slider, Spinner

    title = told if name in told.split() or told == name else f"{name}: {told}"
    slider = Slider(title=title, start=low, end=high, step=step, value=value, width=300, format="0[.]000")
    return dressed(slider), dressed(Spinner(title=f"{name} =", value=value, step=step, width=100))
