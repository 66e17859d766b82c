"""A system of scalars over SIMD lanes: from a program to one compiled loop that integrates many cells at once.

Every lane holds one cell, with its own time, step and state. One pass over the lanes is one attempted step of an
embedded Runge-Kutta pair for all of them; it has no branches, so it becomes vector instructions. What is rare (a cell
ends, an output time or an event was passed) is done lane by lane. A lane whose cell ends takes the next one from a
queue, so that a cell of many steps holds up no other; threads share the queue.

Tableau, error norm and controller are those of SciPy's classes, so a cell takes the steps that SciPy takes. What is
computed for a cell does not depend on its lane, on its neighbours or on the thread.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sympy import Add, Expr, Integer, Mul, Rational, S, Symbol
from sympy.printing.pycode import PythonCodePrinter

from derivations.program.identifiers import spelled
from derivations.program.program import Program, names_of, unused
from dynamics.lowering.cells.cell import LANES, Crossing, Status
from dynamics.lowering.pairs import pair
from dynamics.lowering.passes.emit import ExpressionPrinter, functions_in
from dynamics.lowering.passes.statements import Statement, live, statements_of

PRECISION = 4 * 2.220446049250313e-16
"""Of the time of an event, as in SciPy."""

# -- the system -------------------------------------------------------------------------------------------------------


class ScalarPrinter(ExpressionPrinter):
    """Sympy expressions of scalars as Python that vectorises; there is no storage to read from."""

    def __init__(self) -> None:
        PythonCodePrinter.__init__(self, {"fully_qualified_modules": True})

    def _print_Symbol(self, expr: Symbol) -> str:
        return safe(expr.name)

    def _print_Integer(self, expr: Integer) -> str:
        return f"{int(expr)}.0"

    def _print_Rational(self, expr: Rational) -> str:
        return f"({expr.p}.0 / {expr.q}.0)"

    def _print_exp(self, expr: Expr) -> str:
        return f"exp({self._print(expr.args[0])})"

    def _print_log(self, expr: Expr) -> str:
        return f"log({self._print(expr.args[0])})"

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:
        base, power = expr.args
        if power.is_Integer and abs(power) <= 8:
            product = " * ".join([f"({self._print(base)})"] * abs(int(power)))
        elif abs(power) == S.Half:
            product = f"math.sqrt({self._print(base)})"
        else:
            return f"({self._print(base)}) ** ({self._print(power)})"
        return f"({product})" if power > 0 else f"(1.0 / ({product}))"

    def _print_Max(self, expr: Expr) -> str:
        first, *rest = map(self._print, expr.args)
        for other in rest:
            first = f"larger({first}, {other})"
        return first

    def _print_Min(self, expr: Expr) -> str:
        first, *rest = map(self._print, expr.args)
        for other in rest:
            first = f"(-larger(-{first}, -{other}))"
        return first


PRINT = ScalarPrinter().doprint


def safe(name: str) -> str:
    """A program's name as an identifier that cannot meet a name of the generated code."""
    return f"{spelled(name)}_"


@dataclass(frozen=True)
class System:
    """A program of scalars, split by how often its parts are computed.

    Attributes
    ----------
    constants : tuple of (Symbol, Expr)
        What depends on parameters alone: computed once a cell.
    statements : tuple of Statement
        The rest, in order.
    """

    program: Program
    constants: tuple[tuple[Symbol, Expr], ...]
    statements: tuple[Statement, ...]

    @property
    def arguments(self) -> list[str]:
        """States and constants as names of the generated code."""
        return [safe(name) for name in (*self.program.state_names, *(symbol.name for symbol, _ in self.constants))]

    @property
    def rates(self) -> list[str]:
        return [self.program.flow[state] for state in self.program.state_names]

    def function(self, name: str, results: Sequence[str]) -> str:
        """Source of a function from states and constants to some results."""
        lines = [f"@njit(**INLINE)\ndef {name}({', '.join(self.arguments)}):"]
        for s in live(self.statements, results):
            lines.append(f"    {safe(s.writes)} {s.op} {PRINT(s.expr)}")
        parameters = {expr.name: symbol.name for symbol, expr in self.constants if isinstance(expr, Symbol)}
        return "\n".join([*lines, f"    return {listed(safe(parameters.get(name, name)) for name in results)}"])


def system_of(program: Program, outputs: Iterable[str]) -> System:
    """What some outputs of a program need, with the parts that depend on parameters alone put aside."""
    fixed: set[Symbol] = set(program.parameters)
    names: dict[Expr, Symbol] = {}
    taken = names_of(program)

    def named(expr: Expr) -> Expr:
        """A symbol for an expression of parameters; a number stands for itself."""
        if not expr.is_number and expr not in names:
            names[expr] = Symbol(unused([f"_{len(names)}"], taken), real=True)
        return names.get(expr, expr)

    def reduced(expr: Expr) -> Expr:
        """The expression with symbols for its largest parts that depend on parameters alone."""
        if isinstance(expr, Expr) and expr.free_symbols <= fixed:
            return named(expr)
        if isinstance(expr, Add | Mul):
            alone = [part for part in expr.args if part.free_symbols <= fixed]
            rest = [reduced(part) for part in expr.args if part not in alone]
            return expr.func(named(expr.func(*alone)), *rest)
        return expr.func(*map(reduced, expr.args)) if expr.args else expr

    known: dict[Symbol, Expr] = {}
    found = []
    outputs = list(outputs)
    written = statements_of(program, outputs)
    for parameter in program.parameters:
        if parameter.name in outputs:  # a rate may be a parameter itself
            named(parameter)
    accumulated = {s.writes for s in written if s.op != "="}
    for s in written:
        expr = s.expr.xreplace(known)
        if s.writes not in accumulated and expr.free_symbols <= fixed:
            known[s.target] = expr
        found.append(Statement(s.target, s.op, reduced(expr), ()))
    return System(program, tuple((symbol, expr) for expr, symbol in names.items()), tuple(found))


# -- the method -------------------------------------------------------------------------------------------------------


def listed(items: Iterable[str]) -> str:
    """A tuple display, also of one item."""
    return f"({', '.join(items)},)"


def combination(weights: Iterable[float], terms: Iterable[str]) -> str:
    """A weighted sum; terms of weight 0 are left out.

    It is bracketed as a tree, so that no term waits for all before it.

    >>> combination([1, 2, 0, 3, 4], "abcde")
    '((1.0 * a + 2.0 * b) + (3.0 * d + 4.0 * e))'
    """
    level = [f"{float(w)!r} * {term}" for w, term in zip(weights, terms, strict=False) if w]
    while len(level) > 1:
        level = [" + ".join(level[k : k + 2]) for k in range(0, len(level), 2)]
        level = [f"({sum})" if " + " in sum else sum for sum in level]
    return level[0] if level else "0.0"


ROOT = """\
@njit(error_model="numpy", fastmath=LANEWISE)
def value(block, lane, event, thresholds, t):
    # What an event's observable is above its threshold, at a time within the last step.
    {states} = between(block, lane, t)
    {load_constants}
    found = watched({arguments})
    {level}
    {levels}
    return level - thresholds[event]


@njit(error_model="numpy")
def root(block, lane, event, thresholds, near, far, at_near, at_far):
    # When that is 0 between two times, by Chandrupatla's method (Advances in Engineering Software 28 (1997) 145-149),
    # to SciPy's tolerances. The values at the ends are given: those of the interpolant there could have lost the change
    # of sign to rounding.
    if at_near == 0.0:
        return near
    share = 0.5
    while True:
        # The root stays between near and far; last is where one of them was before.
        time = near + share * (far - near)
        at_time = value(block, lane, event, thresholds, time)
        last, at_last = far, at_far
        if (at_time > 0.0) == (at_near > 0.0):
            last, at_last = near, at_near
        else:
            far, at_far = near, at_near
        near, at_near = time, at_time
        best, at_best = near, at_near
        if not abs(at_near) < abs(at_far):
            best, at_best = far, at_far
        smallest = {PRECISION} * (1.0 + abs(best)) / abs(far - near)
        if not smallest < 0.5 or at_best == 0.0:
            return best
        place, height = (near - far) / (last - far), (at_near - at_far) / (at_last - at_far)
        share = 0.5
        if height * height < place and (1.0 - height) * (1.0 - height) < 1.0 - place:
            # The parabola in the value through the three points is monotone.
            share = at_near / (at_far - at_near) * at_last / (at_far - at_last)
            share += (last - near) / (far - near) * at_near / (at_last - at_near) * at_far / (at_last - at_far)
        share = min(max(share, smallest), 1.0 - smallest)


"""

SIGNATURE = (
    "void(int64[::1], float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], float64, float64, "
    "float64, float64[:, :, ::1], float64[:, :, ::1], float64[:, ::1], float64[::1], int8[::1], int64[::1], int64[::1])"
)

MODULE = """\
import math

import numpy as np
from numba import njit

from dynamics.lowering.cells.lanewise import INLINE, LANEWISE, exp, larger, log, next_cells
from dynamics.lowering.machine.runtime import bits_to_float, float_to_bits
from dynamics.support.machine_code import kept

# Generated by lanes.py {version}: an edit there is another module here.


{constants}


{slopes}


{watched}


{observed}


@njit(error_model="numpy", fastmath=LANEWISE)
def begin(block, first, parameters, initial, t_end, t_eval, thresholds, rtol, atol):
    # Cells first ... first + {LANES} with the first step that SciPy takes; the last cell again beyond the end.
    start = t_eval[0] if t_eval.size > 0 else np.inf
    {thresholds}
    for lane in range({LANES}):
        cell = min(first + lane, t_end.size - 1)
        {copy_cell}
    {begin}


@njit(error_model="numpy", fastmath=LANEWISE)
def attempt(block, thresholds, rtol, atol, max_steps) -> int:
    # One step of every lane; how many lanes want the interpolant, how many are over.
    {thresholds}
    {attempt}
    all_wanted, all_over = 0, 0
    for lane in range({LANES}):  # whole numbers: sums of others keep their order, lane after lane
        all_wanted += np.int64({wanted})
        all_over += np.int64({over})
    return all_wanted, all_over


@njit(error_model="numpy", fastmath=LANEWISE)
def prepare(block):
    # The coefficients of every lane's interpolant over its last step.
    {prepare}


{restep}
@njit(**INLINE)
def between(block, lane, t):
    # A lane's state at a time within its last step.
    x = (t - {t_old}) * {inverse}
    {between}
    return {states}


{root}
@kept("{signature}", nogil=True, error_model="numpy", fastmath=LANEWISE)
def kernel(
    queue, parameters, initial, t_end, t_eval, thresholds, rtol, atol, max_steps,
    states, observables, event_times, times, status, step_counts, evaluations,
):
    block = np.zeros({SIZE})
    waiting = np.zeros({SIZE})
    cells = np.zeros({LANES}, np.int64)
    position = np.zeros({LANES}, np.int64)
    extra = np.zeros({LANES}, np.int64)
    for lane in range({LANES}):
        cells[lane] = -1
    running, first, taken, left = 0, 0, {LANES}, True
    while True:
        for lane in range({LANES}):
            if not left or running == {LANES} or cells[lane] >= 0:
                continue
            if taken == {LANES}:
                first, taken = next_cells(queue), 0
                if first < t_end.size:
                    begin(waiting, first, parameters, initial, t_end, t_eval, thresholds, rtol, atol)
            if first + taken >= t_end.size:
                left = False
                continue
            for row in range({ROWS}):
                block[{LANES} * row + lane] = waiting[{LANES} * row + taken]
            cells[lane], position[lane], extra[lane] = first + taken, 0, 0
            taken += 1
            running += 1
        if running == 0:
            return
        wanted, over = attempt(block, thresholds, rtol, atol, max_steps)
        if wanted > 0:
            prepare(block)
        elif over == 0:
            continue
        for lane in range({LANES}):
            cell = cells[lane]
            if cell < 0 or ({wanted} == 0.0 and {over} == 0.0):
                continue
            stop, ended = {t}, {over} > 0.0
            {outcome}
            if {wanted} > 0.0:
                extra[lane] += {extra}
                {events}
            j = position[lane]
            while j < t_eval.size and t_eval[j] <= stop:
                {write}
                j += 1
            position[lane] = j
            {due} = t_eval[j] if j < t_eval.size else np.inf
            if ended:
                {finish}
                cells[lane] = -1
                running -= 1
"""


class Writer:
    """Writes the module of one system, method and set of events.

    What a lane holds between two loops stands in rows of a block, one number a lane in each. Rows are fixed parts of
    one array, so that the compiler sees that they do not overlap. Of all names, only the program's end with an
    underscore.
    """

    def __init__(
        self,
        system: System,
        method: str,
        observables: Sequence[str],
        crossings: Sequence[Crossing],
        stepped: bool = False,
    ) -> None:
        self.system, self.method, self.solver, self.stepped = system, method, pair(method), stepped
        self.observables, self.crossings = list(observables), list(crossings)
        self.states = [safe(name) for name in system.program.state_names]
        self.constants = system.arguments[len(self.states) :]
        self.levels = [f"level{k}" for k in range(len(crossings))]
        self.stages = self.solver.n_stages
        self.more = () if stepped else getattr(self.solver, "A_EXTRA", ())
        self.rows: dict[str, int] = {}

    # -- pieces of text -----------------------------------------------------------------------------------------------

    def row(self, name: str) -> str:
        """Where a lane has a number of this name."""
        return f"block[{self.rows.setdefault(name, len(self.rows)) * LANES} + lane]"

    def load(self, names: Iterable[str]) -> list[str]:
        return [f"{name} = {self.row(name)}" for name in names]

    def over_lanes(self, body: Sequence[str], kept: Mapping[str, str]) -> list[str]:
        """A loop over lanes. What it reads of rows that are kept already is loaded first; it assigns no such name."""
        tree = ast.walk(ast.parse("\n".join([*body, *kept.values()])))
        names = [node for node in tree if isinstance(node, ast.Name)]
        assigned = {name.id for name in names if isinstance(name.ctx, ast.Store)}
        loaded = sorted({name.id for name in names} & set(self.rows) - assigned)
        loads = self.load(loaded)
        stores = [f"{self.row(name)} = {value}" for name, value in kept.items()]
        return [f"for lane in range({LANES}):", *(f"    {line}" for line in [*loads, *body, *stores])]

    def each(self, suffix: str) -> list[str]:
        return [f"{y}{suffix}" for y in self.states]

    def each_level(self, suffix: str) -> list[str]:
        return [f"{level}{suffix}" for level in self.levels]

    def slopes(self, y: str) -> list[str]:
        """The slopes of a state at the stages, at the step's end, and at the stages of the dense output."""
        return [f"{y}slope{k}" for k in range(self.stages + 1 + len(self.more))]

    def sum(self, y: str, weights: Sequence[float]) -> str:
        """A weighted sum of slopes."""
        return combination(weights, self.slopes(y))

    def call(self, function: str, points: Sequence[str]) -> str:
        return f"{function}({', '.join([*points, *self.constants])})"

    def stage(self, number: int, weights: Sequence[float], base: str = "") -> list[str]:
        """The slope at a stage, in a loop of its own: one vector of lanes works while another waits for its exp."""
        points = [f"{y}{base} + h * ({self.sum(y, weights)})" for y in self.states]
        slopes = self.each(f"slope{number}")
        return self.over_lanes([f"{listed(slopes)} = {self.call('slopes', points)}"], {k: k for k in slopes})

    def mean_square(self, values: Sequence[str]) -> str:
        return f"({' + '.join(f'{value} * {value}' for value in values)}) / {len(values)}.0"

    # -- parts of the module ------------------------------------------------------------------------------------------

    def begin(self) -> dict[str, list[str] | str]:
        """SciPy's choice of the first step."""
        names = [safe(p.name) for p in self.system.program.parameters]
        given = {name: f"parameters[{k}, cell]" for k, name in enumerate(names)}
        given |= {y: f"initial[{k}, cell]" for k, y in enumerate(self.states)} | {"end": "t_end[cell]"}
        copy = [f"{self.row(name)} = {value}" for name, value in given.items()]
        slopes = self.each("slope0")
        body = [f"{listed(self.constants)} = constants({', '.join(names)})"] if self.constants else []
        body += [f"{listed([*slopes, *self.each_level('at')])} = {self.call('watched', self.states)}"]
        body += [f"{y}scale = atol + abs({y}) * rtol" for y in self.states]
        body += [
            f"d0 = math.sqrt({self.mean_square([f'({y} / {y}scale)' for y in self.states])})",
            f"d1 = math.sqrt({self.mean_square([f'({y}slope0 / {y}scale)' for y in self.states])})",
            "h0 = min(1e-6 if (d0 < 1e-5) | (d1 < 1e-5) else 0.01 * d0 / d1, end)",
            f"{listed(self.each('next'))} = {self.call('slopes', [f'{y} + h0 * {y}slope0' for y in self.states])}",
            f"d2 = math.sqrt({self.mean_square([f'(({y}next - {y}slope0) / {y}scale)' for y in self.states])}) / h0",
            "largest = d2 if d2 > d1 else d1",
            f"power = exp({-1 / (self.solver.error_estimator_order + 1)!r} * log(100.0 * largest))",
            "h1 = max(1e-6, h0 * 1e-3) if largest <= 1e-15 else power",
            # A slope that is not finite ends the cell as a rejected step that is too small would.
            f"finite = 0.0 * ({' + '.join(slopes)}) == 0.0",
        ]
        kept = {name: name for name in self.constants} | {f"{y}slope": f"{y}slope0" for y in self.states}
        kept |= {level: f"{level}at - threshold{k}" for k, level in enumerate(self.levels)}
        kept |= {"step": "min(min(100.0 * h0, h1), end) if finite else 0.0", "rejected": "0.0 if finite else 1.0"}
        kept |= {"resteps": "0.0"} if self.stepped else {}
        kept |= {"due": "start", "norm": "0.0 if finite else np.nan", "t": "0.0", "attempts": "0.0", "steps": "0.0"}
        return {"copy_cell": copy, "begin": self.over_lanes(body, kept), "ROWS": str(len(self.rows))}

    def attempt(self) -> list[str]:
        """A step: its size, the stages, the estimate of its error, and what follows from that."""
        size = [
            "smallest = 10.0 * (bits_to_float(float_to_bits(t) + 1) - t)",
            "tried = smallest if (rejected == 0.0) & (step < smallest) else step",
            "t_try = min(t + tried, end)",
        ]
        kept = {"t_old": "t", "t_new": "t_try", "h": "t_try - t", "valid": "1.0 if tried >= smallest else 0.0"}
        kept |= {f"{y}old": y for y in self.states} | {f"{y}slope0": f"{y}slope" for y in self.states}
        lines = self.over_lanes(size, kept)
        for number in range(1, self.stages):
            lines += self.stage(number, self.solver.A[number])
        ends = [f"{y}end" for y in self.states]
        last = self.each(f"slope{self.stages}")
        reached = [f"{y}end = {y} + h * ({self.sum(y, self.solver.B)})" for y in self.states]
        reached += [f"{listed([*last, *self.each_level('at')])} = {self.call('watched', ends)}"]
        levels = {f"{level}new": f"{level}at - threshold{k}" for k, level in enumerate(self.levels)}
        lines += self.over_lanes(reached, {f"{y}new": f"{y}end" for y in self.states} | {k: k for k in last} | levels)
        return [*lines, *self.over_lanes(*self.decision())]

    def decision(self) -> tuple[list[str], dict[str, str]]:
        """SciPy's controller, and whether the lane needs to be looked at."""
        body = [
            *self.error_norm(),
            "accepted = (error < 1.0) & (valid > 0.0)",
            f"factor = 0.9 * exp({-1 / (self.solver.error_estimator_order + 1)!r} * log(error))",
            "growth = min(10.0, factor)",
            "growth = min(1.0, growth) if rejected > 0.0 else growth",
            "shrinkage = factor if factor > 0.2 else 0.2",
            "steps_new = steps + (1.0 if accepted else 0.0)",
        ]
        tests = ["(t_new >= due)"]
        for level, c in zip(self.levels, self.crossings, strict=True):
            ways = [f"({level} <= 0.0) & ({level}new >= 0.0)"] * c.rising
            ways += [f"({level} >= 0.0) & ({level}new <= 0.0)"] * c.falling
            body.append(f"{level}passed = accepted & ({' | '.join(f'({way})' for way in ways)})")
            tests.append(f"{level}passed")
        body += [
            f"look = 1.0 if accepted & ({' | '.join(tests)}) else 0.0",
            "stop = 1.0 if (accepted & (t_new >= end)) | (valid == 0.0) | (steps_new >= max_steps) else 0.0",
        ]
        kept = {y: f"{y}new if accepted else {y}" for y in self.states}
        kept |= {f"{y}slope": f"{y}slope{self.stages} if accepted else {y}slope0" for y in self.states}
        kept |= {"t": "t_new if accepted else t", "rejected": "0.0 if accepted else 1.0"}
        kept |= {"norm": "error if valid > 0.0 else norm"}
        kept |= {
            "step": "h * (growth if accepted else shrinkage)",
            "steps": "steps_new",
            "attempts": "attempts + valid",
        }
        kept |= {"wanted": "look", "over": "stop"}
        for level in self.levels:
            kept |= {level: f"{level}new if accepted else {level}", f"{level}old": level}
            kept |= {f"{level}crossed": f"1.0 if {level}passed else 0.0"}
        return body, kept

    def error_norm(self) -> list[str]:
        """The norm of the estimated error, as in SciPy's class."""
        lines = [f"{y}scale = 1.0 / (atol + max(abs({y}), abs({y}new)) * rtol)" for y in self.states]

        def estimate(name: str, weights: Sequence[float]) -> str:
            lines.extend(f"{y}{name} = ({self.sum(y, weights)}) * {y}scale" for y in self.states)
            return self.mean_square(self.each(name))

        if self.method == "DOP853":
            lines.append(f"fifth = {estimate('fifth', self.solver.E5)}")
            lines.append(f"third = {estimate('third', self.solver.E3)}")
            lines.append("estimate = h * fifth / math.sqrt(fifth + 0.01 * third) if fifth > 0.0 else fifth")
        else:
            lines.append(f"estimate = h * math.sqrt({estimate('error', self.solver.E)})")
        # A slope that is not finite at the end of the step counts, also where the estimate does not read it.
        last = " + ".join(self.each(f"slope{self.stages}"))
        return [*lines, f"error = estimate + 0.0 * ({last})"]

    def interpolant(self) -> dict[str, list[str] | str]:
        """SciPy's dense output: coefficients for all lanes, values lane by lane; or steps of the method itself."""
        if self.stepped:
            return self.steps_between()
        lines: list[str] = []
        for number, row in enumerate(self.more, start=self.stages + 1):
            lines += self.stage(number, row, "old")
        kept = {"inverse": "1.0 / h if h > 0.0 else 0.0"}
        values = []
        for y in self.states:
            weights = self.solver.D if self.method == "DOP853" else self.solver.P.T
            parts = [f"h * ({self.sum(y, row)})" for row in weights]
            factors = ["x"] * len(parts)
            if self.method == "DOP853":
                change = f"({y} - {y}old)"
                slope, last = f"h * {y}slope0", f"h * {y}slope{self.stages}"
                parts = [change, f"{slope} - {change}", f"2.0 * {change} - ({last} + {slope})", *parts]
                factors = ["x" if k % 2 == 0 else "(1.0 - x)" for k in range(len(parts))]
            kept |= {f"{y}part{k}": part for k, part in enumerate(parts)}
            value = "0.0"
            for k in reversed(range(len(parts))):
                value = f"({value} + {self.row(f'{y}part{k}')}) * {factors[k]}"
            values.append(f"{y} = {self.row(f'{y}old')} + {value}")
        return {
            "restep": [],
            "prepare": [*lines, *self.over_lanes([], kept)],
            "inverse": self.row("inverse"),
            "between": values,
        }

    def steps_between(self) -> dict[str, list[str] | str]:
        """States within a step by the method itself, from the beginning of the step, where its interpolant errs."""
        began = {f"{y}began": f"{y}old" for y in self.states} | {k: k for k in self.each("slope0")}
        lines = [f"{name} = {self.row(row)}" for name, row in began.items()] + self.load(self.constants)
        for number in range(1, self.stages):
            points = [f"{y}began + h * ({self.sum(y, self.solver.A[number])})" for y in self.states]
            lines.append(f"{listed(self.each(f'slope{number}'))} = {self.call('slopes_once', points)}")
        ends = [f"{y}began + h * ({self.sum(y, self.solver.B)})" for y in self.states]
        lines += [f"{self.row('resteps')} += {self.stages - 1}.0", f"return {listed(ends)}"]
        arguments = ", ".join(self.system.arguments)
        plain = '@njit(error_model="numpy", fastmath=LANEWISE)'
        return {
            "restep": [
                *(plain, f"def slopes_once({arguments}):", f"    return slopes({arguments})", "", ""),
                *(plain, "def restep(block, lane, h):", *(f"    {line}" for line in lines), "", ""),
            ],
            "prepare": ["pass"],
            "inverse": "1.0",
            "between": [f"{listed(self.states)} = restep(block, lane, x)"],
        }

    def bookkeeping(self) -> dict[str, list[str] | str]:
        """What is done lane by lane: events, output times, the end of a cell."""
        row = self.row
        events: list[str] = []
        for k, level in enumerate(self.levels):
            ends = ", ".join(row(name) for name in ("t_old", "t", f"{level}old", level))
            events += [
                f"root{k} = np.inf",
                f"if {row(f'{level}crossed')} > 0.0 and np.isnan(event_times[{k}, cell]):",
                f"    root{k} = root(block, lane, {k}, thresholds, {ends})",
            ]
            if self.crossings[k].terminal:
                events += [f"if root{k} <= stop:", f"    stop, ended, state = root{k}, True, {Status.EVENT:d}"]
        for k in range(len(self.crossings)):
            events += [f"if root{k} <= stop:", f"    event_times[{k}, cell] = root{k}"]
        resteps = f" + {row('resteps')}" if self.stepped else ""
        write = [f"{listed(self.states)} = between(block, lane, t_eval[j])"]
        write += [f"states[{k}, cell, j] = {y}" for k, y in enumerate(self.states)]
        finish = [
            f"times[cell], status[cell], step_counts[cell] = stop, state, np.int64({row('steps')})",
            f"evaluations[cell] = np.int64(2 + {self.stages} * {row('attempts')} + extra[lane]{resteps})",
            "if t_eval.size == 0 and state >= 0:",
            "    j = 1",
            f"    {listed(self.states)} = {listed(map(row, self.states))}",
            f"    if state == {Status.EVENT:d}:",
            f"        {listed(self.states)} = between(block, lane, stop)",
            *(f"    states[{k}, cell, 0] = {y}" for k, y in enumerate(self.states)),
            "for k in range(j, states.shape[2]):",
            *(f"    states[{k}, cell, k] = np.nan" for k in range(len(self.states))),
            *(f"    observables[{k}, cell, k] = np.nan" for k in range(len(self.observables))),
        ]
        if self.observables:
            finish += [
                *self.load(self.constants),
                "for k in range(j):",
                f"    found = {self.call('observed', [f'states[{k}, cell, k]' for k in range(len(self.states))])}",
                *(f"    observables[{k}, cell, k] = found[{k}]" for k in range(len(self.observables))),
            ]
        outcome = [
            f"state = {Status.FINISHED:d}",
            f"if not {row('t')} >= {row('end')}:",
            f"    state = {Status.NOT_FINITE:d}",
            f"    if {row('norm')} < np.inf:",
            f"        state = {Status.STEP_TOO_SMALL:d}",
            f"    if {row('steps')} >= max_steps:",
            f"        state = {Status.TOO_MANY_STEPS:d}",
        ]
        return {
            "outcome": outcome,
            "extra": str(len(self.more)),
            "events": events or ["pass"],
            "write": write,
            "finish": finish,
        }

    def root(self) -> list[str]:
        """When an event comes, if there are events."""
        found = [f"found[{len(self.states) + k}]" for k in range(len(self.levels))]
        parts: dict[str, list[str] | str] = {
            "states": listed(self.states),
            "arguments": ", ".join(self.system.arguments),
            "load_constants": self.load(self.constants),
            "level": [f"level = {found[0]}"] if found else [],
            "levels": [line for k, at in enumerate(found) if k for line in (f"if event == {k}:", f"    level = {at}")],
            "PRECISION": repr(PRECISION),
        }
        return [*filled(ROOT, parts).splitlines(), "", ""] if self.levels else []

    def module(self) -> str:
        system = self.system
        names = ", ".join(safe(p.name) for p in system.program.parameters)
        expressions = listed(PRINT(expr) for _, expr in system.constants) if self.constants else "None"
        rates = system.rates
        parts: dict[str, list[str] | str] = {
            "version": version(),
            "LANES": str(LANES),
            "constants": ["@njit(**INLINE)", f"def constants({names}):", f"    return {expressions}"],
            "slopes": system.function("slopes", rates),
            "watched": system.function("watched", [*rates, *(c.observable for c in self.crossings)]),
            "observed": system.function("observed", self.observables or rates),
            "thresholds": [f"threshold{k} = thresholds[{k}]" for k in range(len(self.levels))],
            **self.begin(),
            "attempt": self.attempt(),
            **self.interpolant(),
            **self.bookkeeping(),
            "states": listed(self.states),
            "root": self.root(),
            "signature": SIGNATURE,
            **{name: self.row(name) for name in ("t", "t_old", "wanted", "over", "due")},
        }
        text = filled(MODULE, parts | {"SIZE": str(len(self.rows) * LANES)})
        return text.replace("from numba import njit\n", f"from numba import njit\n{functions_in(text)}", 1)


def filled(template: str, parts: Mapping[str, list[str] | str]) -> str:
    """A template with parts in place of their names in braces; lists stand on lines of their own, indented alike."""
    lines = []
    for line in template.splitlines():
        name = line.strip().removeprefix("{").removesuffix("}")
        if line.strip() == f"{{{name}}}" and name in parts:
            part = parts[name]
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + text for text in (part if isinstance(part, list) else part.splitlines())]
        else:
            lines.append(re.sub(r"\{(\w+)\}", lambda match: str(parts[match[1]]), line))
    return "\n".join(lines) + "\n"


@cache
def version() -> str:
    """A hash of this file, and of the functions that the generated code calls."""
    own = (Path(__file__).with_name(name).read_bytes() for name in ("lanes.py", "lanewise.py"))
    return hashlib.sha256(b"".join(own)).hexdigest()[:16]
