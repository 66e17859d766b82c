"""Array code with compiled loops over examples: what is small within one example stays in the nearest cache.

Products with a matrix that all examples share are left to linear algebra, over all of them at once, and so is what is
summed over examples. All that stands between two of these is one compiled loop over the examples: sums, normalisations
and attention over the rows of one example, without padding and without an array in memory for each step of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from sympy import Add, Expr, Indexed, Integer, Mul, Number, Pow, S, Symbol, exp, log, preorder_traversal

from derivations.program.access import Access, accesses, index_symbols, name_of, subscript
from derivations.program.identifiers import spelled
from derivations.program.language import LogSumExp, Reduction, SumOver
from derivations.program.program import Definition, Program
from dynamics.lowering.arrays.emit import Printer, Writer, all_indices, is_ragged
from dynamics.lowering.arrays.frame import Axis, owner_of, storage
from dynamics.lowering.machine.compile import compiled

__all__ = ["ByOwner"]

ARITHMETIC = (Add, Mul, Pow, exp, log, Number, Symbol, Indexed)
"""What the loops can compute."""

FLAGS = '{"reassoc", "contract", "nsz", "arcp"}'

SINGLE = '''
@njit(fastmath={"contract"}, inline="never", error_model="numpy")
def exp(x):
    """exp without branches, so that loops over it vectorise (Cephes, expf): 1e-7 off, for arguments from -87 to 88."""
    inside = min(max(x, np.float32(-87.3)), np.float32(88.7))
    shifted = inside * np.float32(1.4426950408889634) + np.float32(12582912.0)  # rounds: 1.5 * 2^23
    n = shifted - np.float32(12582912.0)
    r = (inside - n * np.float32(0.693359375)) - n * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    value = np.float32((p * r * r + r) + np.float32(1.0))
    bits = np.int32(value.view(np.int32) + np.int32(np.float32(shifted).view(np.int32) << np.int32(23)))
    return bits.view(np.float32)
'''

DOUBLE = "from dynamics.lowering.machine.runtime import exp\n"

HEAD = """
@njit(fastmath={"nnan", "nsz"}, error_model="numpy")
def largest(row, size):
    top = row[0]
    for k in range(size):
        top = max(top, row[k])
    return top
"""


class LoopPrinter(Printer):
    """Prints an expression of single numbers, with nothing that would widen single precision."""

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:
        base = f"({self._print(expr.base)})"
        powers = {2: f"({base}*{base})", -1: f"(one/{base})", -2: f"(one/({base}*{base}))"}
        powers |= {S.Half: f"np.sqrt({base})", -S.Half: f"(one/np.sqrt({base}))"}
        return powers[expr.exp]

    def _print_exp(self, expr: Expr) -> str:
        return f"exp({self._print(expr.args[0])})"


def within_loops(expr: Expr) -> bool:
    """Whether the loops can compute an expression."""
    inside = preorder_traversal(expr)
    for part in inside:
        if isinstance(part, Indexed):
            inside.skip()
        elif not isinstance(part, ARITHMETIC) or (
            isinstance(part, Pow) and part.exp not in (2, -1, -2, S.Half, -S.Half)
        ):
            return False
    return True


@cache
def told_before(program: Program) -> dict[Definition, bool]:
    """Which definitions of a program can be within a loop, as far as it was asked: its kernels share most of them."""
    return {}


class ByOwner(Writer):
    """Writes one program; ``kernels`` holds the compiled loops by the names that the code calls."""

    def __init__(self, program: Program, outputs: tuple[str, ...], single: bool) -> None:
        super().__init__(program, outputs)
        self.single = single
        self.kernels: dict[str, Callable[..., None]] = {}
        self.owner = program.examples

    def write(self) -> None:
        group: list[Definition] = []
        for d in self.definitions:
            if self.is_looped(d, {other.name for other in group}):
                self.stored[d.name] = storage(self.program.declarations[d.name], self.table)
                group.append(d)
                continue
            self.looped(group)
            group = []
            super().written(d)
        self.looped(group)

    def looped(self, group: Sequence[Definition]) -> None:
        """The lines that run one loop over the definitions of a group."""
        if not group:
            return
        inside = {d.name for d in group}
        outside = {name_of(a) for d in self.definitions if d not in group for a in d.reads}
        outside |= {d.name for d in self.definitions if d not in group} | set(self.outputs)
        loop = Loop(self, inside, inside - outside)
        for d in group:
            loop.define(d)
        self.lines += [f"# {', '.join(str(d.lhs) for d in group)}", *loop.called()]

    def is_looped(self, d: Definition, inside: set[str]) -> bool:
        """Whether a definition is one of a loop over owners; sums into entries are if the loop defines these."""
        if d.accumulate and d.name not in inside:
            return False
        known = told_before(self.program)
        if d not in known:
            known[d] = self.can_be_looped(d)
        return known[d]

    def can_be_looped(self, d: Definition) -> bool:
        subs = subscript(d.lhs)
        if self.owner is None or not subs or subs[0] != self.owner or self.owner in d.over or d.lhs.is_integer:
            return False
        more = index_symbols(d.rhs, self.table) - index_symbols(d.lhs, self.table)
        if d.accumulate and (d.over or more):
            return False
        if isinstance(d.rhs, Reduction) and not (
            isinstance(d.rhs, SumOver) or (isinstance(d.rhs, LogSumExp) and d.rhs.weight == 1 and len(d.over) == 1)
        ):
            return False
        if not within_loops(d.body) or (d.body.is_number and not d.accumulate):
            return False
        walked = all_indices(d, self.program) - {self.owner}
        if any(owner_of(index, self.table) not in (None, self.owner) for index in walked):
            return False
        if any(isinstance(a, Indexed) and not self.is_simple(a) for a in (*accesses(d.body), d.lhs)):
            return False
        bare = d.body.xreplace({a: S.Zero for a in accesses(d.body) if isinstance(a, Indexed)})
        if bare.free_symbols & set(self.table):
            return False
        return not (isinstance(d.rhs, SumOver) and any(self.is_matrix(a, d) for a in accesses(d.body)))

    def is_simple(self, access: Indexed) -> bool:
        """Whether all subscripts are walked, or are looked up at what is walked."""
        return all(
            isinstance(sub, Integer)
            or (isinstance(sub, Symbol) and sub in self.table)
            or (isinstance(sub, Indexed) and all(isinstance(s, Symbol) and s in self.table for s in subscript(sub)))
            for sub in subscript(access)
        ) and not any(
            isinstance(axis, tuple) and self.table[axis[1]] != self.table.get(sub)
            for axis, sub in self.places(access)
        )  # fmt: skip

    def places(self, access: Indexed) -> list[tuple[Axis, Expr]]:
        """The axes that a tensor is kept on, each with its subscript; of a flat one that of the ragged index."""
        declared = self.program.declarations[name_of(access)]
        subs = dict(zip(subscript(declared), subscript(access), strict=True))
        return [
            (axis, subs[axis[1]] if isinstance(axis, tuple) else subs[axis]) for axis in storage(declared, self.table)
        ]

    def is_matrix(self, access: Access, d: Definition) -> bool:
        """Whether an access is to a matrix that all owners share, and that is walked over what is summed."""
        subs = [sub for sub in subscript(access) if isinstance(sub, Symbol) and not is_ragged(sub, self.program)]
        return self.owner not in index_symbols(access, self.table) and len(subs) > 1 and bool(set(subs) & set(d.over))


@dataclass
class Loop:
    """One compiled loop over owners, as it is written.

    Attributes
    ----------
    writer : ByOwner
    inside : set of str
        The tensors that it defines.
    own : set of str
        Those of them that nothing else reads: they are kept for one owner at a time.
    """

    writer: ByOwner
    inside: set[str]
    own: set[str]
    lines: list[str] = field(default_factory=list)
    buffers: dict[str, tuple[Symbol, ...]] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=lambda: {"one": "dtype(1)", "zero": "dtype(0)"})
    results: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    ragged: dict[Symbol, str] = field(default_factory=dict)
    softmax: dict[Expr, tuple[str, Symbol, str]] = field(default_factory=dict)

    # names

    def turn(self, index: Symbol) -> str:
        """The variable of an index."""
        return f"at_{spelled(index.name)}"

    def many(self, index: Symbol) -> str:
        """How far an index runs, for the owner that is at work."""
        if owner_of(index, self.writer.table) is None:
            return self.number(f"size_{spelled(index.name)}", self.writer.extent(index))
        self.rows(index)
        return f"many_{spelled(index.name)}"

    def most(self, index: Symbol) -> str:
        """How far an index runs at most."""
        if owner_of(index, self.writer.table) is None:
            return self.many(index)
        return self.number(f"most_{spelled(index.name)}", f"{self.writer.rows(index)}.most")

    def rows(self, index: Symbol) -> None:
        name = spelled(index.name)
        self.ragged[index] = name
        self.given[f"starts_{name}"] = f"{self.writer.rows(index)}.start"
        self.given[f"lengths_{name}"] = f"{self.writer.rows(index)}.length"

    def number(self, name: str, text: str) -> str:
        self.numbers[name] = text
        return name

    # reading

    def access(self, access: Indexed, into: list[str] | None = None) -> tuple[str, set[Symbol]]:
        """The code of an entry, and the indices that it is looked up at as they are walked."""
        name = spelled(name_of(access))
        at, walked = [], set()
        local = name_of(access) in self.own
        for axis, sub in self.writer.places(access):
            if isinstance(sub, Indexed):
                place, found = self.access(sub)
            elif isinstance(sub, Integer):
                place, found = str(sub), set()
            else:
                place, found = self.turn(sub), {sub}
            if isinstance(axis, tuple) and not local:
                self.rows(axis[1] if not isinstance(sub, Symbol) else sub)
                place = f"first_{spelled(sub.name)} + {place}"
            if axis == self.writer.owner and local:
                continue
            at.append(place)
            walked |= found
        if not local and name_of(access) not in self.inside:
            shared = f"np.ascontiguousarray({name})" if len(at) > 1 else name
            self.given[name] = shared
        return f"{name}[{', '.join(at)}]", walked

    def value(self, expr: Expr, inner: Symbol) -> tuple[list[str], str]:
        """Lines before the innermost loop, and the expression within it."""
        before: list[str] = []
        texts: dict[Symbol, str] = {}
        replaced: dict[Expr, Expr] = {}

        def put(text: str, walked: set[Symbol]) -> Symbol:
            symbol = Symbol(f"access_{len(texts)}", real=True)
            if inner not in walked:
                held = f"held_{len(before)}"
                before.append(f"{held} = {text}")
                text = held
            texts[symbol] = text
            return symbol

        for share in expr.atoms(exp) & set(self.softmax):
            shares, last, each = self.softmax[share]
            walked = index_symbols(share, self.writer.table)
            replaced[share] = put(shares, walked) * put(each, walked - {last})
        expr = expr.xreplace(replaced)
        replaced = {}
        for access in dict.fromkeys(a for a in accesses(expr) if isinstance(a, Indexed)):
            text, walked = self.access(access)
            replaced[access] = put(text, walked)
        expr = expr.xreplace(replaced)
        mine = set(texts)
        expr = self.writer.hoisted(expr, mine, texts)
        if not expr.free_symbols & mine and expr.is_Integer:
            name = self.writer.once(self.writer.number(expr), "number")
            return before, self.number(name, f"dtype({name})")
        for symbol in expr.free_symbols - mine:
            name = texts.get(symbol, spelled(symbol.name))
            self.numbers[name] = f"dtype({name})"
        return before, LoopPrinter(texts)._print(expr)

    # loops

    def nested(self, turns: Iterable[Symbol], body: list[str]) -> list[str]:
        """Lines within loops."""
        for index in reversed(list(turns)):
            body = [f"for {self.turn(index)} in range({self.many(index)}):", *(f"    {line}" for line in body)]
        return body

    def place(self, d: Definition) -> str:
        """The entry that is defined, and the array that it is in."""
        name = d.name
        if not d.accumulate:
            if name in self.own:
                self.buffers[spelled(name)] = tuple(
                    axis[1] if isinstance(axis, tuple) else axis
                    for axis in self.writer.stored[name]
                    if axis != self.writer.owner
                )
                if not self.buffers[spelled(name)]:
                    self.own.discard(name)
                    del self.buffers[spelled(name)]
            if name not in self.own:
                self.results[spelled(name)] = self.writer.stored[name]
        return self.access(d.lhs)[0]

    def define(self, d: Definition) -> None:
        """The loops of one definition."""
        table = self.writer.table
        left = [sub for sub in subscript(d.lhs)[1:] if isinstance(sub, Symbol)]
        entry = self.place(d)
        if isinstance(d.rhs, LogSumExp):
            self.normaliser(d, left, entry)
            return
        if not isinstance(d.rhs, SumOver):
            *outer, inner = left or [self.writer.owner]
            before, value = self.value(d.rhs, inner)
            inside = [f"{entry} {'+=' if d.accumulate else '='} {value}"]
            self.lines += self.nested(outer, [*before, *(self.nested([inner], inside) if left else inside)])
            return
        over = sorted(d.over, key=lambda index: not is_ragged(index, self.writer.program))
        if left and owner_of(left[-1], table) is None:
            *outer, inner = left
            before, value = self.value(d.body, inner)
            clear = self.nested([inner], [f"{entry} = zero"])
            inside = [*before, *self.nested([inner], [f"{entry} += {value}"])]
            self.lines += self.nested(outer, [*clear, *self.nested(over, inside)])
            return
        *first, inner = over
        before, value = self.value(d.body, inner)
        inside = [*before, *self.nested([inner], [f"total += {value}"])]
        self.lines += self.nested(left, ["total = zero", *self.nested(first, inside), f"{entry} = total"])

    def normaliser(self, d: Definition, left: list[Symbol], entry: str) -> None:
        """The logarithm of a sum of exponentials, the largest one taken out; the exponentials are kept."""
        (last,) = d.over
        shares, each = (self.writer.name(f"{spelled(d.name)}_{what}") for what in ("shares", "each"))
        self.buffers[shares], self.buffers[each] = (*left, last), (*left, self.writer.owner)
        turns = [self.turn(index) for index in left]
        row = f"{shares}[{', '.join([*turns, ':'])}]"
        one, by = f"{shares}[{', '.join([*turns, self.turn(last)])}]", f"{each}[{', '.join([*turns, '0'])}]"
        first: list[str] = []
        logit = one
        if isinstance(d.body, Indexed) and subscript(d.body)[-1] == last:  # a row as it is
            logit = self.access(d.body)[0]
            row = f"{logit.rpartition(', ')[0]}, :]"
        else:
            before, value = self.value(d.body, last)
            first = [*before, *self.nested([last], [f"{one} = {value}"])]
        self.lines += self.nested(
            left,
            [
                *first,
                f"top = largest({row}, {self.many(last)})",
                "total = zero",
                *self.nested([last], [f"part = exp({logit} - top)", f"{one} = part", "total += part"]),
                f"{by} = one / total",
                f"{entry} = np.log(total) + top",
            ],
        )
        self.softmax[exp(d.body - d.lhs)] = one, last, by

    # the code

    def called(self) -> list[str]:
        """The lines that call the loop, once it is compiled."""
        owner = self.writer.owner
        assert owner is not None
        many = {owner: self.many(owner)}
        sizes = {name: [("1" if i == owner else self.most(i)) for i in axes] for name, axes in self.buffers.items()}
        arguments = [*self.given, *self.numbers, *self.results]
        lines = [f"{name} = np.empty(({', '.join(extents)},), like.dtype)" for name, extents in sizes.items()]
        body = []
        for name in self.ragged.values():
            body.append(f"first_{name} = starts_{name}[{self.turn(owner)}]")
            body.append(f"many_{name} = lengths_{name}[{self.turn(owner)}]")
        body += self.lines
        like = next(iter(self.results))
        source = "\n".join(
            [
                "import numpy as np",
                "from numba import njit",
                SINGLE if self.writer.single else DOUBLE,
                HEAD,
                f'@njit(cache=True, nogil=True, error_model="numpy", fastmath={FLAGS})',
                f"def kernel({', '.join(arguments)}):",
                f"    like = {like}",
                *(f"    {line}" for line in lines),
                f"    for {self.turn(owner)} in range({many[owner]}):",
                *(f"        {line}" for line in body),
                "",
            ]
        )
        loop = self.writer.name("loop")
        self.writer.kernels[loop] = compiled(source)
        made = []
        for name, axes in self.results.items():
            padded = any(not isinstance(axis, tuple) and owner_of(axis, self.writer.table) is not None for axis in axes)
            made.append(f"{name} = np.{'zeros' if padded else 'empty'}({self.writer.shape(axes)}, dtype)")
        values = [*self.given.values(), *self.numbers.values(), *self.results]
        return [*made, f"{loop}({', '.join(values)})"]
