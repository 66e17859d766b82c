"""A system of scalars over SIMD lanes: from a program to one compiled loop that integrates many cells at once.

Every lane holds one cell, with its own time, step and state. One pass over the lanes is one attempted step of an
embedded Runge-Kutta pair for all of them; it has no branches, so it becomes vector instructions. What is rare (a cell
ends, an output time or an event was passed) is done lane by lane. A lane whose cell ends takes the next one from a
queue, so that a cell of many steps holds up no other; threads share the queue.

Tableau, error norm and controller are those of SciPy's classes, so a cell takes the steps that SciPy takes. What is
computed for a cell does not depend on its lane, on its neighbours or on the thread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from scipy.integrate import DOP853, RK23, RK45
from sympy import Add, Expr, Integer, Mul, Symbol
from sympy.printing.pycode import PythonCodePrinter

from derivations.program import Program
from dynamics.lowering import runtime
from dynamics.lowering.compile import compiled
from dynamics.lowering.runtime import bits_to_float, float_to_bits
from dynamics.lowering.statements import Statement, live, statements_of

LANES = 16
"""Two vectors of 8 numbers, so that one can work while the other waits."""

METHODS = {method.__name__: method for method in (RK45, RK23, DOP853)}


class Status(IntEnum):
    """How a cell ended; failures are negative."""

    FINISHED = 0
    EVENT = 1
    NOT_FINITE = -1
    STEP_TOO_SMALL = -2
    TOO_MANY_STEPS = -3


# -- what generated code calls ----------------------------------------------------------------------------------------

INLINE: dict[str, Any] = {"error_model": "numpy", "fastmath": runtime.FAST, "forceinline": True}
EXACT: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "forceinline": True}
"""For what re-association would undo."""

exp = njit(**EXACT)(runtime.exp.py_func)

SMALLEST_NORMAL = 2.2250738585072014e-308
SQRT_HALF = 0.7071067811865476


@njit(**EXACT)
def log(x):
    """log without branches, so that loops over it vectorise; at most 2 units in the last place off."""
    small = x < SMALLEST_NORMAL
    bits: Any = float_to_bits(x * 18014398509481984.0 if small else x)  # type: ignore[call-arg]
    # x = 2^n m with m from sqrt(1/2) on: there log(m) has no cancellation with n log(2)
    shifted = bits - 4604544271217802189
    n = shifted >> 52
    m: Any = bits_to_float(bits - (n << 52))
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
    even = z * (
        0.6666666666666735130 + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591))
    )
    half = 0.5 * f * f
    power = float(n) - (54.0 if small else 0.0)
    value = power * runtime.LN2_HIGH - ((half - (s * (half + (odd + even)) + power * runtime.LN2_LOW)) - f)
    value = value if x < np.inf else x
    value = -np.inf if x == 0.0 else value
    return value if x >= 0.0 else np.nan


@intrinsic
def next_cell(typingctx, queue):
    """The number at the head of a queue shared by threads, which moves on by one."""

    def codegen(context, builder, signature, args):
        head = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", head, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(queue), codegen


def root_of(value: Callable[..., float]) -> Callable[..., float]:
    """A function that finds when an event's value is 0 between two times: Brent's method with SciPy's tolerances.

    The values at the ends are given: those of the interpolant there could have lost the change of sign to rounding.
    """

    @njit(error_model="numpy")
    def root(block, lane, event, thresholds, lo, hi, at_lo, at_hi):
        precision = 4 * 2.220446049250313e-16
        if at_lo == 0.0:
            return lo
        if at_hi == 0.0:
            return hi
        previous, current, other = lo, hi, lo
        at_previous, at_current, at_other = at_lo, at_hi, at_lo
        last = step = hi - lo
        for _ in range(100):
            if (at_current > 0.0) == (at_other > 0.0):
                other, at_other = previous, at_previous
                last = step = current - previous
            if abs(at_other) < abs(at_current):
                previous, current, other = current, other, current
                at_previous, at_current, at_other = at_current, at_other, at_current
            tolerance = 0.5 * precision * (1.0 + abs(current))
            bisection = 0.5 * (other - current)
            if abs(bisection) <= tolerance or at_current == 0.0:
                break
            if abs(last) >= tolerance and abs(at_previous) > abs(at_current):
                s = at_current / at_previous
                if previous == other:
                    p, q = 2.0 * bisection * s, 1.0 - s
                else:
                    q, r = at_previous / at_other, at_current / at_other
                    p = s * (2.0 * bisection * q * (q - r) - (current - previous) * (r - 1.0))
                    q = (q - 1.0) * (r - 1.0) * (s - 1.0)
                if p > 0.0:
                    q = -q
                else:
                    p = -p
                if 2.0 * p < min(3.0 * bisection * q - abs(tolerance * q), abs(last * q)):
                    last, step = step, p / q
                else:
                    last = step = bisection
            else:
                last = step = bisection
            previous, at_previous = current, at_current
            if abs(step) > tolerance:
                current += step
            else:
                current += tolerance if bisection > 0.0 else -tolerance
            at_current = value(block, lane, event, thresholds, current)
        return current

    return root


# -- the system -------------------------------------------------------------------------------------------------------


class ScalarPrinter(PythonCodePrinter):
    """Sympy expressions of scalars as Python that vectorises."""

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": True})

    def _print_Symbol(self, expr: Symbol) -> str:
        return safe(expr.name)

    def _print_Integer(self, expr: Integer) -> str:
        return f"{int(expr)}.0"

    def _print_Rational(self, expr: Expr) -> str:
        return f"({expr.p}.0 / {expr.q}.0)"

    def _print_exp(self, expr: Expr) -> str:
        return f"exp({self._print(expr.args[0])})"

    def _print_log(self, expr: Expr) -> str:
        return f"log({self._print(expr.args[0])})"

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:
        base, power = expr.args
        if power.is_Integer and abs(power) <= 8:
            factors = " * ".join([f"({self._print(base)})"] * abs(int(power)))
            return f"({factors})" if power > 0 else f"(1.0 / ({factors}))"
        if power in (0.5, -0.5):
            value = f"math.sqrt({self._print(base)})"
            return value if power > 0 else f"(1.0 / {value})"
        return f"({self._print(base)}) ** ({self._print(power)})"

    def _print_Max(self, expr: Expr) -> str:
        first, *rest = map(self._print, expr.args)
        for other in rest:
            first = f"max({first}, {other})"
        return first

    def _print_Min(self, expr: Expr) -> str:
        return self._print_Max(expr).replace("max(", "min(")

    def _print_Heaviside(self, expr: Expr) -> str:
        return f"(1.0 if {self._print(expr.args[0])} > 0 else 0.0)"

    def _print_Infinity(self, expr: Expr) -> str:
        return "math.inf"

    def _print_NegativeInfinity(self, expr: Expr) -> str:
        return "-math.inf"

    def _print_Piecewise(self, expr: Expr) -> str:
        *cases, (last, _) = expr.args
        text = self._print(last)
        for value, condition in reversed(cases):
            text = f"({self._print(value)} if {self._print(condition)} else {text})"
        return text


PRINT = ScalarPrinter().doprint


def safe(name: str) -> str:
    """A program's name as an identifier that cannot meet a name of the generated code."""
    return f"{name}_"


@dataclass(frozen=True)
class Crossing:
    """An event: an observable passes a threshold.

    Attributes
    ----------
    observable : str
        A state or a definition of the program.
    rising, falling : bool
        The directions in which passing counts.
    terminal : bool
        Whether the cell ends there.
    """

    observable: str
    rising: bool
    falling: bool
    terminal: bool


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
        return "\n".join([*lines, f"    return {listed(map(safe, results))}"])


def system_of(program: Program, outputs: Iterable[str]) -> System:
    """What some outputs of a program need, with the parts that depend on parameters alone put aside."""
    fixed: set[Symbol] = set(program.parameters)
    names: dict[Expr, Symbol] = {}

    def named(expr: Expr) -> Expr:
        """A symbol for an expression of parameters; a number stands for itself."""
        return expr if expr.is_number else names.setdefault(expr, Symbol(f"_{len(names)}", real=True))

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
    written = statements_of(program, outputs)
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
    """A weighted sum; terms of weight 0 are left out."""
    return " + ".join(f"{float(w)!r} * {term}" for w, term in zip(weights, terms, strict=False) if w) or "0.0"


MODULE = """\
import math

import numpy as np
from numba import njit

from dynamics.lowering.lanes import INLINE, exp, log, next_cell, root_of
from dynamics.lowering.runtime import FAST, bits_to_float, float_to_bits

# Generated by lanes.py {version}: an edit there is another module here.


{constants}


{slopes}


{watched}


{observed}


@njit(error_model="numpy", fastmath=FAST)
def attempt(block, thresholds, rtol, atol, max_steps):
    # One step of every lane; how many lanes want the interpolant, how many are over.
    {load_thresholds}
    all_wanted = all_over = 0.0
    for lane in range({LANES}):
        {load_cell}
        smallest = 10.0 * (bits_to_float(float_to_bits(t) + 1) - t)
        step = smallest if (rejected == 0.0) & (step < smallest) else step
        valid = step >= smallest
        t_new = min(t + step, end)
        h = t_new - t
        {stages}
        {norm}
        accepted = (norm < 1.0) & valid
        factor = 0.9 * exp({exponent} * log(norm))
        growth = min(10.0, factor)
        growth = min(1.0, growth) if rejected > 0.0 else growth
        shrinkage = factor if factor > 0.2 else 0.2
        {crossed}
        wanted = 1.0 if accepted & ((t_new >= due) | {any_crossed}) else 0.0
        attempts += 1.0 if valid else 0.0
        steps += 1.0 if accepted else 0.0
        over = 1.0 if (accepted & (t_new >= end)) | (not valid) | (steps >= max_steps) else 0.0
        all_wanted += wanted
        all_over += over
        {store_cell}
    return all_wanted, all_over


@njit(error_model="numpy", fastmath=FAST)
def prepare(block):
    # The coefficients of every lane's interpolant over its last step.
    for lane in range({LANES}):
        {load_step}
        {coefficients}


@njit(**INLINE)
def between(block, lane, t):
    # A lane's state at a time within its last step.
    x = (t - {t_old}) * {inverse}
    {interpolated}
    return {states}


@njit(error_model="numpy", fastmath=FAST)
def value(block, lane, event, thresholds, t):
    {states} = between(block, lane, t)
    {load_constants}
    return watched({arguments})[{count} + event] - thresholds[event]


root = root_of(value)


@njit(error_model="numpy", fastmath=FAST)
def begin(block, lane, cell, parameters, initial, t_end, t_eval, thresholds, rtol, atol):
    # Put a cell into a lane, with the first step that SciPy takes.
    {constants_of_cell} = constants({parameters})
    {initial}
    {first_slopes}
    end = t_end[cell]
    {first_step}
    step = min(min(100.0 * h0, h1), end)
    t = rejected = attempts = steps = 0.0
    if not {finite}:
        step, rejected = 0.0, 1.0  # which counts as a step that is too small
    due = t_eval[0] if t_eval.size else np.inf
    {store_begin}


@njit(nogil=True, cache=True, error_model="numpy", fastmath=FAST)
def kernel(
    queue, parameters, initial, t_end, t_eval, thresholds, rtol, atol, max_steps,
    states, observables, event_times, times, status, step_counts, evaluations,
):
    block = np.zeros({ROWS})
    cells = np.full({LANES}, -1)
    position = np.zeros({LANES}, np.int64)
    extra = np.zeros({LANES}, np.int64)
    running, left = 0, True
    while True:
        for lane in range({LANES} if left and running < {LANES} else 0):
            if left and cells[lane] < 0:
                cell = next_cell(queue)
                left = cell < initial.shape[1]
                if left:
                    begin(block, lane, cell, parameters, initial, t_end, t_eval, thresholds, rtol, atol)
                    cells[lane], position[lane], extra[lane] = cell, 0, 0
                    running += 1
        if running == 0:
            return
        wanted, over = attempt(block, thresholds, rtol, atol, max_steps)
        if wanted > 0.0:
            prepare(block)
        elif over == 0.0:
            continue
        for lane in range({LANES}):
            cell = cells[lane]
            if cell < 0 or ({wanted} == 0.0 and {over} == 0.0):
                continue
            stop, ended = {t}, {over} > 0.0
            state = {outcome}
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
    """Writes the module of one system, method and set of events."""

    def __init__(self, system: System, method: str, observables: Sequence[str], crossings: Sequence[Crossing]) -> None:
        self.system, self.solver = system, METHODS[method]
        self.observables, self.crossings = list(observables), list(crossings)
        self.states = [safe(name) for name in system.program.state_names]
        self.constants = system.arguments[len(self.states) :]
        self.stages = self.solver.n_stages
        self.rows: dict[str, int] = {}

    # -- pieces of text -----------------------------------------------------------------------------------------------

    def row(self, name: str) -> str:
        """Where a lane has a number of this name."""
        return f"block[{self.rows.setdefault(name, len(self.rows)) * LANES} + lane]"

    def load(self, names: Iterable[str]) -> list[str]:
        return [f"{name} = {self.row(name)}" for name in names]

    def store(self, values: Mapping[str, str]) -> list[str]:
        return [f"{self.row(name)} = {value}" for name, value in values.items()]

    def each(self, suffix: str) -> list[str]:
        return [f"{y}{suffix}" for y in self.states]

    def slopes(self, y: str) -> list[str]:
        return [f"{y}slope{k}" for k in range(self.stages + 1 + len(getattr(self.solver, "A_EXTRA", ())))]

    def levels(self) -> list[str]:
        return [f"level{k}" for k in range(len(self.crossings))]

    def evaluation(self, stage: int, weights: Sequence[float], base: str = "") -> list[str]:
        """A stage: the point and the slope there."""
        points = [f"{y}{base} + h * ({combination(weights, self.slopes(y))})" for y in self.states]
        return [f"{listed(self.each(f'slope{stage}'))} = slopes({', '.join([*points, *self.constants])})"]

    def mean_square(self, values: Iterable[str]) -> str:
        return f"({' + '.join(f'{v} * {v}' for v in values)}) / {len(self.states)}.0"

    def norm(self) -> list[str]:
        """The norm of the estimated error, as in SciPy's class."""
        lines = [f"{y}scale = 1.0 / (atol + max(abs({y}), abs({y}new)) * rtol)" for y in self.states]

        def estimate(name: str, weights: Sequence[float]) -> str:
            lines.extend(f"{y}{name} = ({combination(weights, self.slopes(y))}) * {y}scale" for y in self.states)
            return self.mean_square(self.each(name))

        if self.solver is DOP853:
            lines.append(f"fifth = {estimate('fifth', DOP853.E5)}")
            lines.append(f"third = {estimate('third', DOP853.E3)}")
            lines.append("norm = h * fifth / math.sqrt(fifth + 0.01 * third) if fifth > 0.0 else fifth")
        else:
            lines.append(f"norm = h * math.sqrt({estimate('error', self.solver.E)})")
        # A slope that is not finite at the end of the step counts, also where the estimate does not read it.
        last = " + ".join(self.each(f"slope{self.stages}"))
        return [*lines, f"norm += 0.0 * ({last})"]

    def attempt(self) -> dict[str, list[str] | str]:
        cell = ["t", "step", "end", "due", "rejected", "attempts", "steps"]
        tests, crossed = [], []
        for k, c in enumerate(self.crossings):
            lines = [f"(level{k} <= 0.0) & (level{k}new >= 0.0)"] * c.rising
            lines += [f"(level{k} >= 0.0) & (level{k}new <= 0.0)"] * c.falling
            crossed += [f"level{k}new -= threshold{k}", f"crossed{k} = {' | '.join(f'({line})' for line in lines)}"]
            tests.append(f"crossed{k}")
        end = listed([*self.each(f"slope{self.stages}"), *(f"level{k}new" for k in range(len(self.crossings)))])
        kept = {f"{y}old": y for y in self.states} | {"t_old": "t", "norm": "norm", "wanted": "wanted", "over": "over"}
        kept |= {f"{y}": f"{y}new if accepted else {y}" for y in self.states}
        kept |= {f"{y}slope": f"{y}slope{self.stages} if accepted else {y}slope0" for y in self.states}
        kept |= {slope: slope for y in self.states for slope in self.slopes(y)[: self.stages + 1]}
        kept |= {"t": "t_new if accepted else t", "h": "h", "rejected": "0.0 if accepted else 1.0"}
        kept |= {"step": "h * (growth if accepted else shrinkage)", "attempts": "attempts", "steps": "steps"}
        kept |= {f"level{k}": f"level{k}new if accepted else level{k}" for k in range(len(self.crossings))}
        kept |= {f"before{k}": f"level{k}" for k in range(len(self.crossings))}
        kept |= {f"crossed{k}": f"1.0 if accepted & crossed{k} else 0.0" for k in range(len(self.crossings))}
        return {
            "load_thresholds": [f"threshold{k} = thresholds[{k}]" for k in range(len(self.crossings))] or ["pass"],
            "load_cell": [
                *self.load([*cell, *self.states, *self.constants, *self.levels()]),
                *(f"{y}slope0 = {self.row(f'{y}slope')}" for y in self.states),
            ],
            "stages": [
                *(line for k in range(1, self.stages) for line in self.evaluation(k, self.solver.A[k])),
                *(f"{y}new = {y} + h * ({combination(self.solver.B, self.slopes(y))})" for y in self.states),
                f"{end} = watched({', '.join([*self.each('new'), *self.constants])})",
            ],
            "norm": self.norm(),
            "exponent": repr(-1 / (self.solver.error_estimator_order + 1)),
            "crossed": crossed,
            "any_crossed": " | ".join(tests) or "False",
            "store_cell": self.store(kept),
        }

    def interpolant(self) -> dict[str, list[str] | str]:
        """SciPy's dense output: coefficients for all lanes, values lane by lane."""
        slopes = [slope for y in self.states for slope in self.slopes(y)[: self.stages + 1]]
        loaded = self.load(["h", *self.states, *self.each("old"), *slopes])
        lines: list[str] = []
        at: list[str] = []
        kept = {"inverse": "1.0 / h if h > 0.0 else 0.0"}
        if self.solver is DOP853:
            loaded += self.load(self.constants)
            for stage, weights in enumerate(DOP853.A_EXTRA, start=self.stages + 1):
                lines += self.evaluation(stage, weights, "old")
            for y in self.states:
                first, last = f"{y}slope0", f"{y}slope{self.stages}"
                lines.append(f"{y}change = {y} - {y}old")
                kept |= {f"{y}part0": f"{y}change", f"{y}part1": f"h * {first} - {y}change"}
                kept |= {f"{y}part2": f"2.0 * {y}change - h * ({last} + {first})"}
                for k, weights in enumerate(DOP853.D, start=3):
                    kept |= {f"{y}part{k}": f"h * ({combination(weights, self.slopes(y))})"}
                value = "0.0"
                for k in reversed(range(3 + len(DOP853.D))):
                    value = f"({value} + {self.row(f'{y}part{k}')}) * {'x' if k % 2 == 0 else '(1.0 - x)'}"
                at.append(f"{y} = {self.row(f'{y}old')} + {value}")
        else:
            for y in self.states:
                value = "0.0"
                for k, weights in reversed(list(enumerate(self.solver.P.T))):
                    kept |= {f"{y}part{k}": f"h * ({combination(weights, self.slopes(y))})"}
                    value = f"({value} + {self.row(f'{y}part{k}')}) * x"
                at.append(f"{y} = {self.row(f'{y}old')} + {value}")
        return {
            "load_step": loaded,
            "coefficients": [*lines, *self.store(kept)],
            "inverse": self.row("inverse"),
            "interpolated": at,
        }

    def first_step(self) -> dict[str, list[str] | str]:
        order = self.solver.error_estimator_order
        states = [f"{y} = initial[{k}, cell]" for k, y in enumerate(self.states)]
        slopes = self.each("slope")
        levels = self.levels()
        both = listed([*slopes, *levels])
        lines = [f"{y}scale = atol + abs({y}) * rtol" for y in self.states]
        lines += [f"d0 = math.sqrt({self.mean_square([f'({y} / {y}scale)' for y in self.states])})"]
        lines += [f"d1 = math.sqrt({self.mean_square([f'({y}slope / {y}scale)' for y in self.states])})"]
        lines += ["h0 = min(1e-6 if (d0 < 1e-5) | (d1 < 1e-5) else 0.01 * d0 / d1, end)"]
        points = [f"{y} + h0 * {y}slope" for y in self.states]
        lines += [f"{listed(self.each('next'))} = slopes({', '.join([*points, *self.constants])})"]
        ratios = [f"(({y}next - {y}slope) / {y}scale)" for y in self.states]
        lines += [f"d2 = math.sqrt({self.mean_square(ratios)}) / h0"]
        lines += ["largest = d2 if d2 > d1 else d1"]
        lines += [f"h1 = max(1e-6, h0 * 1e-3) if largest <= 1e-15 else (0.01 / largest) ** {1 / (order + 1)!r}"]
        kept = ["t", "step", "end", "due", "rejected", "attempts", "steps"]
        kept += [*self.states, *slopes, *self.constants, *levels]
        return {
            "constants_of_cell": listed(self.constants) if self.constants else "nothing",
            "parameters": ", ".join(f"parameters[{k}, cell]" for k in range(len(self.system.program.parameters))),
            "initial": states,
            "first_slopes": [
                f"{both} = watched({', '.join([*self.states, *self.constants])})",
                *(f"level{k} -= thresholds[{k}]" for k in range(len(levels))),
            ],
            "first_step": lines,
            "finite": f"math.isfinite({' + '.join(slopes)})",
            "store_begin": self.store({name: name for name in kept}),
        }

    def bookkeeping(self) -> dict[str, list[str] | str]:
        row = self.row
        events: list[str] = []
        for k in range(len(self.crossings)):
            ends = ", ".join(row(name) for name in ("t_old", "t", f"before{k}", f"level{k}"))
            events += [
                f"root{k} = np.inf",
                f"if {row(f'crossed{k}')} > 0.0 and np.isnan(event_times[{k}, cell]):",
                f"    root{k} = root(block, lane, {k}, thresholds, {ends})",
            ]
            if self.crossings[k].terminal:
                events += [f"if root{k} <= stop:", f"    stop, ended, state = root{k}, True, {Status.EVENT:d}"]
        for k in range(len(self.crossings)):
            events += [f"if root{k} <= stop:", f"    event_times[{k}, cell] = root{k}"]
        states = ", ".join([*self.states, *self.constants])
        write = [f"{listed(self.states)} = between(block, lane, t_eval[j])"]
        write += [f"states[{k}, cell, j] = {y}" for k, y in enumerate(self.states)]
        finish = [
            "times[cell], status[cell], step_counts[cell] = stop, state, " + row("steps"),
            f"evaluations[cell] = 2 + {self.stages} * {row('attempts')} + extra[lane]",
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
                *(f"    {y} = states[{k}, cell, k]" for k, y in enumerate(self.states)),
                f"    found = observed({states})",
                *(f"    observables[{k}, cell, k] = found[{k}]" for k in range(len(self.observables))),
            ]
        outcome = (
            f"{Status.FINISHED:d} if {row('t')} >= {row('end')} else {Status.TOO_MANY_STEPS:d}"
            f" if {row('steps')} >= max_steps else {Status.STEP_TOO_SMALL:d} if {row('norm')} < np.inf"
            f" else {Status.NOT_FINITE:d}"
        )
        return {
            "outcome": outcome,
            "extra": str(len(getattr(self.solver, "A_EXTRA", ()))),
            "events": events or ["pass"],
            "write": write,
            "finish": finish,
        }

    def module(self) -> str:
        system = self.system
        symbols = [symbol for symbol, _ in system.constants]
        names = [safe(p.name) for p in system.program.parameters]
        rates = system.rates
        watched = [c.observable for c in self.crossings]
        parts: dict[str, list[str] | str] = {
            "version": version(),
            "LANES": str(LANES),
            "constants": [
                "@njit(**INLINE)",
                f"def constants({', '.join(names)}):",
                f"    return {listed(PRINT(expr) for _, expr in system.constants) if symbols else 'None'}",
            ],
            "slopes": system.function("slopes", rates),
            "watched": system.function("watched", [*rates, *watched]),
            "observed": system.function("observed", self.observables or rates),
            **self.attempt(),
            **self.interpolant(),
            **self.first_step(),
            **self.bookkeeping(),
            "states": listed(self.states),
            "load_constants": self.load(self.constants) or ["pass"],
            "arguments": ", ".join(system.arguments),
            "count": str(len(self.states)),
            **{name: self.row(name) for name in ("t", "t_old", "wanted", "over", "due")},
        }
        parts["ROWS"] = str(len(self.rows) * LANES)
        return filled(MODULE, parts)


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
    """A hash of this file, whose functions the generated code calls."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


@cache
def kernel(
    program: Program, method: str, observables: tuple[str, ...], crossings: tuple[Crossing, ...]
) -> Callable[..., None]:
    """The compiled loop over cells of a program.

    ``kernel(queue, parameters, initial, t_end, t_eval, thresholds, rtol, atol, max_steps, states, observables,
    event_times, times, status, step_counts, evaluations)``: what follows max_steps are results, by (name, cell, time),
    (event, cell) or (cell).
    """
    system = system_of(program, [*program.flow.values(), *observables, *(c.observable for c in crossings)])
    return compiled(Writer(system, method, observables, crossings).module())
