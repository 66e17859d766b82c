"""A flow as C99: the loops of a kernel as one function that needs nothing but the mathematical library."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
from sympy import And, Expr, Indexed, Piecewise, Symbol
from sympy.printing.c import C99CodePrinter

from derivations.program.access import Access, name_of
from derivations.program.program import Program, extent_symbols
from dynamics.lowering.kernel import Kernel
from dynamics.lowering.machine.compile import cache_directory
from dynamics.lowering.passes.emit import Emitter
from dynamics.lowering.passes.loops import Chunked, Loop, Node, schedule
from dynamics.lowering.passes.names import Names
from dynamics.lowering.passes.statements import BOUND, MAXIMA, Statement, statements_of
from dynamics.lowering.passes.storage import allocate, walk
from dynamics.lowering.source import Array
from dynamics.support.errors import InputError

__all__ = ["c_function", "c_source"]

HEAD = """\
#include <math.h>

static double larger(double a, double b) { return a > b || a != a ? a : b; }
static double smaller(double a, double b) { return a < b || a != a ? a : b; }
static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double softplus(double x) { return (x > 0.0 ? x : 0.0 * x) + log1p(exp(-fabs(x))); }
static double finite(double x) { return fabs(x) < INFINITY ? x : 0.0; }
static double sign(double x) { return x == 0.0 ? 0.0 : copysign(1.0, x); }
static double step(double x, double at) { return x > 0.0 ? 1.0 : x == 0.0 ? at : 0.0; }
static long long most(long long a, long long b) { return a > b ? a : b; }
static long long least(long long a, long long b) { return a < b ? a : b; }
"""

RESERVED = [
    "auto",
    "break",
    "case",
    "char",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "float",
    "for",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "register",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "void",
    "volatile",
    "while",
    "main",
    "larger",
    "smaller",
    "sigmoid",
    "softplus",
    "finite",
    "sign",
    "step",
    "most",
    "least",
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "pow",
    "sqrt",
    "fabs",
    "erf",
    "gamma",
    "y0",
    "y1",
    "j0",
    "j1",
    "NAN",
    "INFINITY",
    "I",
]
"""Names that C, its mathematical library and the text itself have."""


class Values(C99CodePrinter):
    """Expressions in double precision; with ``whole``, subscripts and bounds in whole numbers."""

    def __init__(self, emitter: CEmitter, whole: bool) -> None:
        super().__init__({"math_macros": {}})
        self.emitter, self.whole = emitter, whole

    def _print_Symbol(self, expr: Symbol) -> str:
        if not expr.is_integer:
            return self.emitter.access(expr)
        name = self.emitter.word(expr.name)
        return name if self.whole else f"((double){name})"

    def _print_Indexed(self, expr: Indexed) -> str:
        text = self.emitter.access(expr)
        return f"((double){text})" if expr.is_integer and not self.whole else text

    def _print_NumberSymbol(self, expr: Expr) -> str:
        return repr(float(expr))

    _print_Pi = _print_Exp1 = _print_NumberSymbol

    def _print_Integer(self, expr: Any) -> str:
        return str(int(expr)) if self.whole else f"{int(expr)}.0"

    def called(self, expr: Expr) -> str:
        return f"{type(expr).__name__}({self._print(expr.args[0])})"

    _print_sigmoid = _print_softplus = _print_sign = _print_asin = _print_acos = _print_atan = _print_erf = called

    def _print_Finite(self, expr: Expr) -> str:
        return f"finite({self._print(expr.args[0])})"

    def _print_stop_gradient(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])})"

    def folded(self, function: str, expr: Expr) -> str:
        first, *others = map(self._print, expr.args)
        for other in others:
            first = f"{function}({first}, {other})"
        return first

    def _print_Max(self, expr: Expr) -> str:
        return self.folded("larger", expr)

    def _print_Min(self, expr: Expr) -> str:
        return self.folded("smaller", expr)

    def _print_Heaviside(self, expr: Expr) -> str:
        return f"step({self._print(expr.args[0])}, {float(expr.args[1])})"

    def _print_Where(self, expr: Expr) -> str:
        return f"({self._print(expr.args[1])} ? {self._print(expr.args[0])} : 0.0)"

    def _print_Piecewise(self, expr: Piecewise) -> str:
        text = "NAN"
        for value, condition in reversed(expr.args):
            own = self._print(value)
            text = own if condition == True else f"({self._print(condition)} ? {own} : {text})"  # noqa: E712
        return text

    def _print_Infinity(self, expr: Expr) -> str:
        return "INFINITY"

    def _print_NegativeInfinity(self, expr: Expr) -> str:
        return "-INFINITY"


class CEmitter(Emitter):
    """Writes one function in C: no chunks, no short rows, every entry by its place in a flat array."""

    def __init__(self, program: Program, outputs: Sequence[str]) -> None:
        nodes = schedule(statements_of(program, outputs), program)
        super().__init__(program, nodes, allocate(nodes, program, outputs), outputs, False, {})
        self.short, self.rows, self.names = {}, {}, Names()
        self.names.taken |= set(RESERVED)
        self.value_of, self.place_of = Values(self, False), Values(self, True)
        self.print = self.place_of.doprint  # subscripts and bounds

    def tensor(self, name: str) -> str:
        return self.names(("tensor", name), name)

    def access(self, access: Access) -> str:
        place = self.storage.places.get(name_of(access))
        if place is None or place.slot is None:
            return self.tensor(name_of(access))
        array, parts = self.array_at(access)
        flat = ""
        for part, size in zip(parts, self.slot_array(place.slot).shape, strict=True):
            flat = f"({flat})*{self.word(size)} + {part}" if flat else part
        return f"{array}[{flat}]"

    def row(self, ragged: Symbol, owner: str) -> str:
        return f"{self.of_index(ragged, '_start')}[{owner}]"

    def emit(self, nodes: Sequence[Node]) -> None:
        told = [(self.condition(node), node) for node in nodes]
        for holds, group in groupby(told, lambda pair: pair[0]):
            outside, self.holds = self.holds, holds
            if holds != outside:
                self.line(f"if ({self.value_of._print(And(*(holds - outside)))}) {{")
                self.depth += 1
            for _, node in group:
                self.node(node)
            self.holds = outside
            if holds != outside:
                self.depth -= 1
                self.line("}")

    def node(self, node: Node) -> None:
        if isinstance(node, Chunked):
            self.emit(node.body)
        elif isinstance(node, Loop):
            self.loop(node)
        else:
            assert isinstance(node, Statement)
            target, value = self.access(node.target), self.value_of._print(node.expr)
            if node.op in MAXIMA:
                rest = "" if node.op == BOUND else " || candidate != candidate"
                self.line(f"candidate = {value};")
                self.line(f"{target} = candidate > {target}{rest} ? candidate : {target};")
            else:
                self.line(f"{target} {node.op} {value};")

    def loop(self, loop: Loop) -> None:
        index = self.word(loop.index.name)
        low, high, bounded = self.range(loop)
        low, high = (text.replace("max(", "most(").replace("min(", "least(") for text in (low, high))
        self.line(f"for (long long {index} = {low}; {index} < {high}; {index}++) {{")
        self.depth += 1
        self.opened.add(loop.index)
        outside, self.holds = self.holds, self.holds | bounded
        self.emit(loop.body)
        self.holds = outside
        self.opened.discard(loop.index)
        self.depth -= 1
        self.line("}")

    def pointers(self, vector: str, arrays: Sequence[Array], kind: str) -> None:
        start = "0"
        for a in arrays:
            self.line(f"{kind}*{a.name} = {vector} + {start};" if a.shape else f"double {a.name} = {vector}[{start}];")
            start += f" + {self.length(a.shape)}"

    def text(self) -> tuple[str, list[Array], list[str], list[Array]]:
        """The source, the data by position, the sizes by position, and the workspace."""
        program = self.program
        data = [self.packed(a) for a in program.data]
        integers = {name_of(a) for a in program.data if a.is_integer}
        sizes = [s.name for s in extent_symbols(program)]
        for rows in self.rows_of.values():
            sizes += [rows.total, rows.longest]
        workspace = [self.slot_array(slot) for slot in self.storage.slots]
        self.pointers("y", [Array(self.tensor(a.name), a.shape) for a in self.states], "const double ")
        self.pointers("out", [Array(self.tensor(a.name), a.shape) for a in self.outputs if a.shape], "double ")
        self.pointers("ws", workspace, "double ")
        given = {name_of(a) for a in (*program.data, *program.states, *program.parameters)}
        touched = {name_of(a) for _, _, s in walk(self.nodes) for a in (s.target, *s.read_accesses)}
        local = [n for n in sorted(touched - given) if (p := self.storage.places.get(n)) and p.slot is None]
        self.line(f"double candidate{''.join(f', {self.tensor(name)}' for name in local)};")
        self.emit(self.nodes)
        for k, a in enumerate(self.outputs):
            if not a.shape:
                start = " + ".join(self.length(b.shape) for b in self.outputs[:k]) or "0"
                self.line(f"out[{start}] = {self.tensor(a.name)};")
        arguments = ["const double *y", "double *out", "double *ws"]
        arguments += [f"const {'long long' if a.name in integers else 'double'} *{self.tensor(a.name)}" for a in data]
        arguments += [f"const long long *{self.of_index(index, '_start')}" for index in self.ragged]
        arguments += [f"double {self.tensor(p.name)}" for p in program.parameters]
        arguments += [f"long long {self.word(size)}" for size in sizes]
        body = "\n".join(self.lines)
        return f"{HEAD}\nvoid kernel({', '.join(arguments)}) {{\n{body}\n}}\n", data, sizes, workspace


@cache
def library(source: str) -> Any:
    """A source as a library, compiled once and kept beside other compiled code.

    Raises
    ------
    InputError
        There is no C compiler, or it failed.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise InputError("backend 'c' needs a C compiler; install one, or name it in CC")
    stem = cache_directory() / f"c_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
    found = stem.with_suffix(".so")
    if not found.exists():
        text, aside = stem.with_suffix(".c"), stem.with_suffix(f".{os.getpid()}.so")
        text.write_text(source, encoding="utf-8")
        options = ["-O2", "-std=c99", "-shared", "-fPIC", "-o", str(aside), str(text), "-lm"]
        run = subprocess.run([compiler, *options], capture_output=True, text=True)
        if run.returncode:
            raise InputError(
                f"{compiler} failed: {next((line for line in run.stderr.splitlines() if 'error' in line), '')}"
            )
        os.replace(aside, found)
    return ctypes.CDLL(str(found))


def c_source(program: Program, outputs: Sequence[str]) -> str:
    """The C code that computes some tensors of a program from its packed states."""
    return CEmitter(program, outputs).text()[0]


def c_function(kernel: Kernel, values: Mapping[str, Any]) -> tuple[str, Callable[[Any], Any]]:
    """The C code of a kernel's outputs on its data, and a function of packed states that calls it."""
    from dynamics.lowering.kernel import count

    program = kernel.program
    source, data, names, workspace = CEmitter(program, kernel.outputs).text()
    bound = kernel.bind({a.name: values[a.name] for a in data}, {k: v for k, v in values.items() if np.ndim(v) == 0})
    sizes = dict(bound.sizes)
    function = library(source).kernel
    function.restype = None
    integers = {name_of(a) for a in program.data if a.is_integer}
    arrays = [np.ascontiguousarray(values[a.name], np.int64 if a.name in integers else np.float64) for a in data]
    ragged = [extent for extent in program.extents.values() if isinstance(extent, Indexed)]
    starts = [np.concatenate([[0], np.cumsum(values[name_of(extent)])]).astype(np.int64) for extent in ragged]
    scratch = np.empty(sum(count(a.shape, sizes) for a in workspace) + 1)
    numbers = [ctypes.c_double(float(values[p.name])) for p in program.parameters]
    whole = [ctypes.c_longlong(sizes[name]) for name in names]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (scratch, *arrays, *starts)]
    size, kept = bound.output_size, (scratch, arrays, starts)

    def run(y: Any) -> Any:
        state, out = np.ascontiguousarray(y, dtype=float), np.empty(size)
        assert kept is not None
        function(ctypes.c_void_p(state.ctypes.data), ctypes.c_void_p(out.ctypes.data), *pointers, *numbers, *whole)
        return out

    return source, run
