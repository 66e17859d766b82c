"""Random programs, and the generated source of a program run by the Python interpreter: no compiler, every race seen.

A random program draws on everything that the language has: elementwise definitions, sums, maxima and weighted
log-sum-exps over any of its indices, gathers through tables, ragged indices, and scatter-adds on diagonals and through
tables; rich ones roots, logarithms, powers and square data too. Two indices share the extent V and two share K, so that
swapped subscripts have equal shapes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import erf, expit
from sympy import Expr, Integer, Max, Rational, Symbol, exp, log, sin, sqrt

from derivations.checks.plain_python import plain_python
from derivations.program.language import LogSumExp, MaxOver, SumOver, indices, scalars, tensors
from derivations.program.program import Definition, Program
from dynamics.lowering import Kernel
from dynamics.lowering.machine.runtime import column_edge, edge

V, K, N = (Symbol(size, integer=True, positive=True) for size in "VKN")
i, j, o, v, n, l = indices("i j o v n l")
x, target, length = tensors("x target length", integer=True)
W, s, B, w, r, S = tensors("W s B w r S")
(g,) = scalars("g")
EXTENTS = {i: V, j: V, o: K, v: K, n: N, l: length[n]}
DATA = (length[n], x[n, l], target[n], w[i, o], r[n, l], B[n, o])
STATES = (W[i, o], s[i])
WEIGHTS = ((w, (V, K)), (r, (N, "l")))
SHAPES = [(), (i,), (o,), (n,), (i, o), (o, i), (o, v), (i, j), (n, l), (n, o), (n, l, o), (i, o, v)]


class Author:
    """Writes one random program; a rich one has roots, logarithms, powers, corners and square data too."""

    def __init__(self, seed: int, rich: bool = False) -> None:
        self.rng, self.rich = random.Random(seed), rich
        self.known: dict[str, tuple] = {"W": (i, o), "s": (i,), "w": (i, o), "r": (n, l), "B": (n, o), "g": ()}
        self.known |= {"S": (i, j)} if rich else {}
        self.definitions: list[Definition] = []
        self.unread: list[str] = []

    def access(self, space: tuple[Symbol, ...]) -> Expr | None:
        """An access whose subscripts are within a space: plain, transposed, diagonal or gathered."""
        rng = self.rng
        # What was defined last is the likeliest to be read, so that programs are deep.
        name = rng.choice([*self.known, *list(self.known)[-3:]])
        shape = self.known[name]
        subs: list[Expr] = []
        for index in shape:
            if index == l:
                options = [l] if subs and subs[-1] == n and l in space else []
            elif index == n:
                options = [n] if n in space else []
            else:
                extent = EXTENTS[index]
                options = [k for k in space if EXTENTS[k] == extent]
                if extent == V and l in space:
                    options.append(x[n, l])
                if extent == K and n in space:
                    options.append(target[n])
            if not options:
                return None
            subs.append(rng.choice(options))
        if not shape:
            return Symbol(name, real=True)
        self.unread = [u for u in self.unread if u != name]
        return tensors(name)[0][tuple(subs)]

    def factor(self, space: tuple[Symbol, ...]) -> Expr:
        found = next((a for a in (self.access(space) for _ in range(8)) if a is not None), Rational(3, 2))
        ways = [found, found, found, sin(found), exp(-(found**2)), Integer(2) - found]
        if self.rich:
            ways += [sqrt(1 + found**2), log(2 + found**2), found**2, 1 / (1 + found**2), Max(found, 1), abs(found)]
        return self.rng.choice(ways)

    def body(self, space: tuple[Symbol, ...]) -> Expr:
        rng = self.rng
        first, second, third = (self.factor(space) for _ in range(3))
        return rng.choice([first, first * second, first + second, first - second * third, first * second])

    def define(self) -> None:
        rng = self.rng
        shape = rng.choice(SHAPES)
        name = f"T{len(self.definitions)}"
        extra = [k for k in (i, j, o, v) if k not in shape and rng.random() < 0.35]
        if l not in shape and rng.random() < 0.35:
            extra += ([] if n in shape else [n]) + [l]
        space = (*shape, *extra)
        body = self.body(space)
        over = tuple(k for k in extra if k in body.free_symbols)
        if l in over and n not in shape and n not in over:
            over = (n, *over)
        kind = rng.choice([SumOver, SumOver, LogSumExp, LogSumExp, MaxOver]) if over else None
        rhs: Expr = body
        if kind is LogSumExp and rng.random() < 0.6:
            # A weight with zeros, whose indices are among those of the body or the result.
            fitting = [(w[a, b], {a, b}) for a in (i, j) for b in (o, v) if {a, b} <= set(space)]
            if l in over:
                fitting.append((r[n, l], {n, l}))
            fitting = [(weight, own) for weight, own in fitting if own <= set(over) | set(shape)]
            rhs = LogSumExp(body, *over, weight=rng.choice(fitting)[0]) if fitting else LogSumExp(body, *over)
        elif kind is not None:
            rhs = kind(body, *over)
        lhs = tensors(name)[0][shape] if shape else Symbol(name, real=True)
        self.definitions.append(Definition(lhs, rhs))
        self.known[name] = shape
        self.unread.append(name)
        if isinstance(rhs, LogSumExp) and rng.random() < 0.7 and len(shape) + len(over) <= 3:
            self.share(name, lhs, rhs)

    def share(self, name: str, lhs: Expr, rhs: LogSumExp) -> None:
        """A use of the exponentials that the lowering computes for the sum: with the weight, without it, in a sum."""
        rng = self.rng
        shape = self.known[name]
        power = exp(rhs.body - lhs)
        kind = rng.choice(["weighted", "weighted", "bare", "summed"])
        if kind == "summed":
            self.definitions.append(
                Definition(
                    tensors(f"{name}P")[0][shape] if shape else Symbol(f"{name}P", real=True),
                    SumOver(power * rhs.weight * self.factor((*shape, *rhs.over)), *rhs.over),
                )
            )
            self.known[f"{name}P"] = shape
            return
        whole = next((p for p in permutations((*shape, *rhs.over)) if legal(p)), None)
        if whole is not None:
            self.definitions.append(
                Definition(tensors(f"{name}P")[0][whole], power * rhs.weight if kind == "weighted" else power)
            )
            self.known[f"{name}P"] = whole

    def scatter(self) -> None:
        """An accumulation into a tensor that nothing has read so far."""
        rng = self.rng
        fitting = [name for name in self.unread if self.known[name] and l not in self.known[name]]
        if not fitting:
            return
        name = rng.choice(fitting)
        subs: list[Expr] = []
        space: list[Symbol] = []
        for index in self.known[name]:
            if index == n:
                choice: Expr = n
            elif EXTENTS[index] == V:
                choice = rng.choice([i, j, x[n, l]])
            else:
                choice = rng.choice([o, v, o, target[n]])
            subs.append(choice)
            space += [k for k in (i, j, o, v, n, l) if k in choice.free_symbols and k not in space]
        if rng.random() < 0.3 and n not in space:
            space += [n, l]
        del self.known[name]  # it must not read itself
        body = self.body(tuple(space))
        over = tuple(k for k in space if k in body.free_symbols and k not in {f for e in subs for f in e.free_symbols})
        if l in over and n not in over and all(n not in e.free_symbols for e in subs):
            over = (n, *over)
        rhs = SumOver(body, *over) if over else body
        self.definitions.append(Definition(tensors(name)[0][tuple(subs)], rhs, accumulate=True))
        self.known[name] = next(d.lhs.indices for d in self.definitions if d.name == name)

    def program(self, streamed: bool) -> Program:
        for _ in range(self.rng.randint(3, 9)):
            self.define()
            if self.rng.random() < 0.4:
                self.scatter()
        return Program(
            name="random",
            title="A random program",
            source="nowhere",
            extents=EXTENTS,
            data=(*DATA, S[i, j]) if self.rich else DATA,
            states=STATES,
            definitions=tuple(self.definitions),
            parameters=(g,),
            examples=n if streamed else None,
        )


def legal(order: tuple[Symbol, ...]) -> bool:
    """Whether a ragged index follows the index of its lengths at once."""
    return all(k > 0 and order[k - 1] == n for k, index in enumerate(order) if index == l)


def random_program(seed: int, streamed: bool = False, rich: bool = False) -> Program:
    return Author(seed, rich).program(streamed)


def random_data(
    seed: int, inputs: int, outputs: int, examples: int, rich: bool = False
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Data for a random program, with empty rows and zero weights, and a packed state."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 5, examples)
    lengths[rng.integers(examples)] = 3
    total = int(lengths.sum())
    data = {
        "length": lengths,
        "x": rng.integers(0, inputs, total),
        "target": rng.integers(0, outputs, examples),
        "w": rng.random((inputs, outputs)) * (rng.random((inputs, outputs)) < 0.7),
        "r": rng.random(total) * (rng.random(total) < 0.7),
        "B": rng.normal(size=(examples, outputs)),
    }
    data |= {"S": rng.normal(size=(inputs, inputs))} if rich else {}
    return data, rng.normal(size=inputs * outputs + inputs)


def naive(program: Program, data: Mapping[str, np.ndarray], y: np.ndarray, g: float) -> dict[str, np.ndarray]:
    """Every tensor of a random program, by the plain loops over its equations."""
    space: dict[str, Any] = {}
    exec(plain_python(program).replace("import math", "from oracles.random_programs import quiet as math"), space)
    inputs, outputs = data["w"].shape
    states = {"W": y[: inputs * outputs].reshape(inputs, outputs), "s": y[inputs * outputs :]}
    with np.errstate(all="ignore"):
        return {name: np.asarray(value) for name, value in space["random"](**states, **data, g=g).items()}


FUNCTIONS = ("exp", "log", "sin", "cos", "sinh", "cosh", "tanh", "sqrt", "copysign")
quiet = SimpleNamespace(inf=np.inf, nan=np.nan, pi=np.pi, **{name: getattr(np, name) for name in FUNCTIONS})
"""Python's mathematics without its exceptions, as in compiled code."""


functions = SimpleNamespace(
    acos=np.arccos,
    asin=np.arcsin,
    atan=np.arctan,
    erf=erf,
    larger=np.maximum,
    sigmoid=expit,
    smaller=np.minimum,
    softplus=lambda x: np.logaddexp(0.0, x),
)
"""What :mod:`dynamics.lowering.functions` is to compiled code."""


class Interpreted:
    """The source of a kernel, run by the interpreter.

    ``order`` gives the order of the chunks of a parallel loop. Whatever a chunk writes in the results and in the
    workspace is recorded, and a second chunk of the loop that writes there too is a race. Temporaries begin as NaN.
    """

    def __init__(self, kernel: Kernel, order: random.Random | None = None) -> None:
        text = re.sub(r"^(import math|import numpy as np|from (numba|dynamics)\b.*)$", "", kernel.source, flags=re.M)
        # As in compiled code, 1/0 is inf.
        text = re.sub(r" = (-?\d+\.\d+)$", r" = np.float64(\1)", text, flags=re.M)
        space: dict[str, Any] = {
            "math": quiet,
            "np": np,
            "exp": np.exp,
            "kept": lambda *args, **options: lambda function: function,
            "prange": self.chunks,
            "gather_product": gather,
            "scatter_product": scatter,
            "gather_dot_product": gather_dot,
            "dense_product": np.dot,
            "edge": edge,
            "column_edge": column_edge,
            "add_parts": add_parts,
            "functions": functions,
            **ROWS,
        }
        exec(text, space)
        self.kernel, self.function, self.order = kernel, space["kernel"], order
        self.shared: tuple[np.ndarray, ...] = ()
        self.races = 0

    def chunks(self, number: int) -> Iterator[int]:
        found = list(range(number))
        if self.order is not None:
            self.order.shuffle(found)
        written = [np.zeros(a.size, dtype=bool) for a in self.shared]
        for chunk in found:
            before = [a.copy() for a in self.shared]
            yield chunk
            for seen, old, new in zip(written, before, self.shared, strict=True):
                changed = (old != new) & ~(np.isnan(old) & np.isnan(new))
                self.races += int((seen & changed).sum())
                seen |= changed

    def __call__(self, data: Mapping[str, np.ndarray], y: np.ndarray, /, **parameters: float) -> dict[str, np.ndarray]:
        bound = self.kernel.bind(data, parameters)
        workspace, out = np.full(bound.workspace.size, np.nan), np.full(bound.output_size, np.nan)
        self.shared = (out, workspace)
        with np.errstate(all="ignore"):
            self.function(y, out, workspace, *bound.arguments[1:])
        return bound.results(out)


def set_row(array: np.ndarray, at: int, values: np.ndarray) -> None:
    assert array.ndim < 2 or at % array.shape[-1] == 0
    array.reshape(-1)[at : at + array.shape[-1]] = values


def add_row(array: np.ndarray, at: int, values: np.ndarray) -> None:
    set_row(array, at, row(array, at, array.shape[-1]) + values)


def row(array: np.ndarray, at: int, size: int) -> np.ndarray:
    assert array.shape[-1] == size
    return array.reshape(-1)[at : at + size].copy()


def with_lane(values: np.ndarray, k: int, value: float) -> np.ndarray:
    return np.where(np.arange(values.size) == k, value, values)


def add_lane(values: np.ndarray, k: int, value: float) -> np.ndarray:
    return with_lane(values, k, values[k] + value)


ROWS = {
    "add_lane": add_lane,
    "set_row": set_row,
    "add_row": add_row,
    "row": row,
    "exp_row": np.exp,
    "full": lambda value, size: np.full(size, float(value)),
    "vector": lambda values: np.array(values, dtype=float),
    "lane": lambda values, k: values[k],
    "with_lane": with_lane,
    "total": np.sum,
}
"""What :mod:`dynamics.lowering.machine.vectors` is to compiled code."""


def rows_of(start: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(start.size - 1), np.diff(start))


def gather(start, word, weight, dense, result, *scratch):
    result[...] = 0
    np.add.at(result, rows_of(start), weight[:, None] * dense[word])


def scatter(start, word, weight, dense, result, *scratch):
    result[...] = 0
    np.add.at(result, word, weight[:, None] * dense[rows_of(start)])


def add_parts(parts, whole):
    whole += parts.sum(axis=0)


def gather_dot(start, word, left, dense, result, *scratch):
    result[...] = (left[rows_of(start)] * dense[word]).sum(axis=1)
