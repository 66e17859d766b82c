"""The live program: sliders for its parameters, sizes and initial sizes, and its solution."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from derivations.program import Program, name_of
from dynamics.explore.curves import MOST, Curves
from dynamics.explore.page import Lines, answers, dressed
from dynamics.problems.kinds.arrays import flow_of, normal_arrays, on_arrays
from dynamics.problems.solve import solve
from dynamics.support.errors import InputError, IntegrationError
from dynamics.support.typing import Vector

if TYPE_CHECKING:
    import xarray as xr

TIMES = 200
SIZE, RATE, START = 4.0, 1.0, 0.1
"""What sizes, other numbers and initial sizes are at first."""
OTHERS = (8.0, 3.0)
"""Tried for parameters where a flow makes no sense at 1."""


class ProgramView:
    """What the page has set of a program, and its widgets.

    Parameters
    ----------
    programs : mapping of str to Program
        Those to choose from; the first is shown.
    arrays : mapping of str to ndarray, optional
        The data of the first; standard normal numbers where none are given.
    values : mapping of str to float
        Sizes and parameters of the first, where they are known.
    end : float
        The last time.
    """

    def __init__(
        self,
        programs: Mapping[str, Program],
        arrays: Mapping[str, Any] | None = None,
        values: Mapping[str, float] | None = None,
        end: float = 100.0,
    ) -> None:
        from bokeh.layouts import column, row
        from bokeh.models import Select, Spinner

        self.programs, self.arrays, self.given = programs, arrays, dict(values or {})
        first = next(iter(programs))
        self.first = first
        self.lines = Lines.new()
        self.program = dressed(Select(title="Program", value=first, options=list(programs), width=260))
        self.end = dressed(Spinner(title="End τ", value=end, step=10, width=110))
        self.seed = dressed(Spinner(title="Seed", value=0, step=1, width=90))
        self.loss, self.states = Curves.new("loss", "loss", 280, 640), Curves.new("states", "states", 360, 640)
        self.values: dict[str, float] = {}
        self.sliders = column(name="sliders")
        self.layout = column(
            self.lines.message, self.lines.status, row(self.program, self.end, self.seed),
            row(self.sliders, column(self.states.figure, self.loss.figure)),
        )  # fmt: skip
        with self.lines.told():
            self._adopt()
        self.program.on_change("value", answers(self.lines, self._adopt))
        for widget in (self.end, self.seed):
            widget.on_change("value", answers(self.lines, self.compute))

    @property
    def flow(self) -> Program:
        return flow_of(self.programs[self.program.value])

    def _adopt(self) -> None:
        """Sliders for what a program needs: sizes, parameters, rates, initial sizes."""
        from bokeh.layouts import row

        flow = self.flow
        given = self.given if self.program.value == self.first else {}
        sizes, parameters, rates = needs(flow)
        if self.arrays is not None and self.program.value == self.first:
            sizes = [name for name in sizes if name in given]
        self.values = dict.fromkeys(sizes, SIZE) | dict.fromkeys(rates, RATE) | dict.fromkeys(parameters, RATE)
        self.values |= {f"initial {state}": START for state in flow.state_names}
        self.values |= {name: value for name, value in given.items() if name in self.values}
        self._sound([name for name in parameters if name not in given])
        rows = []
        for name, value in self.values.items():
            whole, start = name in sizes, name.startswith("initial ")
            number, slider = field(name, value, whole, start or name in rates)

            def typed(attribute: str, old: Any, new: Any, name: str = name, slider: Any = slider) -> None:
                with self.lines.told():
                    if new is None:
                        raise InputError(f"{name} must be a number")
                    self.values[name] = float(new)
                    self.compute()
                    slider.update(start=min(slider.start, new), end=max(slider.end, new), value=float(new))

            def moved(attribute: str, old: float, new: float, number: Any = number) -> None:
                if number.value != new:
                    number.value = new

            number.on_change("value", typed)
            slider.on_change("value_throttled", moved)
            rows.append(row(slider, number))
        self.sliders.children = rows
        self.compute()

    def _sound(self, parameters: Iterable[str]) -> None:
        """Other numbers for parameters at which a flow has no slope, such as sizes of 1."""
        for value in OTHERS:
            try:
                self.solved(2)
            except IntegrationError:
                self.values |= dict.fromkeys(parameters, value)

    def compute(self) -> None:
        """Solve with what the sliders say, and draw."""
        if self.end.value is None or not self.end.value > 0:
            raise InputError("End τ must be a time above 0")
        if self.seed.value is None or self.seed.value < 0:
            raise InputError("Seed must be a whole number from 0")
        found = self.solved()
        t = found.time.values
        losses = [str(n) for n in found.data_vars if found[n].dims == ("time",) and n not in self.flow.state_names]
        self.states.show([curve for name in self.flow.state_names for curve in entries(found, name)][:MOST])
        self.loss.show([(name, t, found[name].values) for name in losses])
        last = ", ".join(f"{name} {float(found[name][0]):.4g} → {float(found[name][-1]):.4g}" for name in losses)
        self.lines.status.text = f"{found.attrs['title']}: {last} ({found.attrs['evaluations']} evaluations)."

    def solved(self, times: int = TIMES) -> xr.Dataset:
        """The solution of what is chosen now."""
        flow, seed = self.flow, int(self.seed.value)
        sizes, parameters, rates = needs(flow)
        values = {name: self.values[name] for name in (*sizes, *parameters) if name in self.values}
        own = self.program.value == self.first and self.arrays is not None
        arrays = self.arrays if own else normal_arrays(flow, values, seed) if flow.data else {}
        if not own and flow.data:
            values = {name: value for name, value in values.items() if name not in _decided(flow)}
        by_parameter = {parameter: state for state, parameter in flow.rates.items()}
        speeds = {by_parameter[name]: self.values[name] for name in rates if name in self.values}
        start = {
            state: np.array(self.values[f"initial {state}"]) if not _indexed(flow, state)
            else self.values[f"initial {state}"]
            for state in flow.state_names
        }  # fmt: skip
        t = np.linspace(0.0, float(self.end.value), times)
        return solve(on_arrays(flow, arrays, values), t, initial=start, rates=speeds or None, seed=seed)


def needs(flow: Program) -> tuple[list[str], list[str], list[str]]:
    """The names of the sizes, the parameters and the learning rates that a flow takes."""
    from derivations.program import extent_symbols

    rates = list(flow.rates.values())
    named = [name_of(p) for p in flow.parameters]
    return [str(size) for size in extent_symbols(flow)], [n for n in named if n not in rates], [
        n for n in named if n in rates
    ]  # fmt: skip


def _decided(flow: Program) -> set[str]:
    """Sizes that the shapes of the data have."""
    from derivations.program import subscript

    return {str(flow.extents[index]) for access in flow.data for index in subscript(access)}


def _indexed(flow: Program, state: str) -> bool:
    from derivations.program import subscript

    return any(name_of(access) == state and bool(subscript(access)) for access in flow.states)


def entries(found: xr.Dataset, name: str) -> list[tuple[str, Vector, Vector]]:
    """The curves of a state: it, or each of its entries, named by their labels."""
    if name not in found:
        return []
    value = found[name]
    rest = [dim for dim in value.dims if dim != "time"]
    t = found.time.values
    if not rest:
        return [(name, t, value.values)]
    flat = value.stack(entry=rest)
    labels = [",".join(map(str, np.atleast_1d(np.asarray(label, dtype=object)))) for label in flat.entry.values]
    return [(f"{name}[{label}]", t, flat.isel(entry=k).values) for k, label in enumerate(labels)]


def field(name: str, value: float, whole: bool, positive: bool) -> tuple[Any, Any]:
    """A field for a number and the slider beside it."""
    from bokeh.models import Slider, Spinner

    high = max(12.0, 2 * value) if whole else max(1.0, 3 * abs(value))
    low = 1.0 if whole else 0.0 if positive else -high
    step = 1.0 if whole else high / 200
    slider = Slider(title=name, start=low, end=high, step=step, value=value, width=240, format="0[.]000")
    return dressed(Spinner(title=f"{name} =", value=value, step=step, width=110)), dressed(slider)
