"""Last pass: loop nests and storage to the source of one numba function.

The signature of every kernel is ``kernel(y, out, ws, *data, *starts, *parameters, *sizes)``: the states packed in y,
the results packed in out, a workspace, then what the program declares. Ragged tensors are flat; ``<index>_start``
holds where each of their rows begins.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

from sympy import And, Expr, Indexed, IndexedBase, Integer, Mul, Piecewise, Pow, S, Symbol
from sympy.printing.pycode import PythonCodePrinter

from derivations.program.access import Access, factors, gathers, index_symbols, name_of, subscript
from derivations.program.language import Where, conjuncts
from derivations.program.program import Program, extent_symbols, names_of, unused
from derivations.program.ranges import bounds, certain
from dynamics.lowering.machine.panels import PANELS, TILE
from dynamics.lowering.passes.contractions import Product
from dynamics.lowering.passes.loops import Chunked, Loop, Node, Short
from dynamics.lowering.passes.names import ROWS, Names
from dynamics.lowering.passes.statements import BOUND, MAXIMA, Statement
from dynamics.lowering.passes.storage import Kind, Slot, Storage, declarations, walk
from dynamics.lowering.passes.unroll import across, points, short_sizes
from dynamics.lowering.source import Array, Ragged, Source
from dynamics.support.memory import LINE

CHUNKS = 16
"""Chunks of a parallel loop. Fixed, so that results do not depend on the number of threads."""
SHARING = 4
"""Chunks of a parallel loop that adds to shared tensors: each has its own part of them, to be cleared and added up."""

FASTMATH = '{"reassoc", "contract", "nsz", "arcp"}'  # never nnan or ninf: logits may be -inf, and a NaN must show


class ExpressionPrinter(PythonCodePrinter):
    """Sympy expressions as Python, tensor accesses through the storage."""

    def __init__(self, emitter: Emitter) -> None:
        super().__init__({"fully_qualified_modules": True})
        self.emitter = emitter

    def _print_Indexed(self, expr: Indexed) -> str:
        return self.emitter.access(expr)

    def _print_Symbol(self, expr: Symbol) -> str:
        return self.emitter.access(expr) if not expr.is_integer else self.emitter.word(expr.name)

    def _print_exp(self, expr: Expr) -> str:
        row = self.emitter.across is not None and self.emitter.across in expr.free_symbols
        return f"{'exp_row' if row else 'exp'}({self._print(expr.args[0])})"

    def _print_Max(self, expr: Expr) -> str:
        if len(expr.args) > 2:
            return self.folded("larger", expr)
        sides = sorted(expr.args, key=lambda side: not side.is_number)
        one, other = map(self._print, sides)
        if sides[0].is_number:
            return f"({one} if {one} > {other} else {other})"
        return f"({one} if ({one} > {other}) | ({one} != {one}) else {other})"  # if either is NaN, so is this

    def _print_Min(self, expr: Expr) -> str:
        return self.folded("smaller", expr)

    def folded(self, function: str, expr: Expr) -> str:
        """A function of two, of all arguments one after the other."""
        first, *others = map(self._print, expr.args)
        for other in others:
            first = f"functions.{function}({first}, {other})"
        return first

    def called(self, expr: Expr) -> str:
        return f"functions.{type(expr).__name__}({self._print(expr.args[0])})"

    _print_asin = _print_acos = _print_atan = _print_erf = _print_sigmoid = _print_softplus = called

    def _print_Heaviside(self, expr: Expr) -> str:
        step, at_zero = expr.args
        text = self._print(step)
        half = f"{float(at_zero)} if {text} == 0 else " if at_zero != 0 else ""
        return f"(1.0 if {text} > 0 else {half}0.0)"

    def _print_Finite(self, expr: Expr) -> str:
        number = self._print(expr.args[0])
        return f"({number} if abs({number}) < math.inf else 0.0)"

    def _print_Infinity(self, expr: Expr) -> str:
        return "math.inf"

    def _print_NegativeInfinity(self, expr: Expr) -> str:
        return "-math.inf"

    def _print_NaN(self, expr: Expr) -> str:
        return "math.nan"

    def _print_stop_gradient(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])})"

    def _print_Where(self, expr: Where) -> str:
        return f"({self._print(expr.value)} if {self._print(expr.condition)} else 0.0)"

    def _print_Piecewise(self, expr: Piecewise) -> str:
        *cases, (last, otherwise) = expr.args
        if otherwise != True:  # noqa: E712  sympy's own
            cases, last = list(expr.args), S.NaN
        text = f"{self._print(last)}"
        for value, condition in reversed(cases):
            text = f"({self._print(value)} if {self._print(condition)} else {text})"
        return text


class Emitter:
    """Writes one kernel. Holds what is open while it walks down the nests."""

    def __init__(
        self,
        program: Program,
        nodes: Sequence[Node],
        storage: Storage,
        outputs: Sequence[str],
        parallel: bool,
        constants: Mapping[str, int],
    ):
        self.program, self.nodes, self.storage, self.parallel = program, nodes, storage, parallel
        self.constants = constants
        self.declared = declarations(nodes, program)
        self.ragged = {i: e for i, e in program.extents.items() if isinstance(e, Indexed)}
        self.products = {str(e): e for e in program.extents.values() if isinstance(e, Mul | Pow)}
        self.names = Names(program)
        taken = names_of(program)
        self.rows_of = {
            i: Ragged(name_of(e), unused([f"{i.name}_total"], taken), unused([f"{i.name}_max"], taken))
            for i, e in self.ragged.items()
        }
        self.outputs = [self.packed(self.declared[name]) for name in outputs]
        self.states = [self.packed(s) for s in program.states]
        self.print = ExpressionPrinter(self).doprint
        self.lines: list[str] = []
        self.depth = 1
        self.chunked: set[Symbol] = set()
        self.parts: tuple[str, ...] = ()
        self.opened: set[Symbol] = set()
        self.registers: dict[Access, str] = {}
        self.views: dict[Access, str] = {}
        self.short = short_sizes(program, constants)
        self.rows = self.row_slots()
        self.across: Symbol | None = None
        self.holds: frozenset[Expr] = frozenset()

    # -- names ----------------------------------------------------------------------------------------------------

    def tensor(self, name: str) -> str:
        """What the code calls a tensor."""
        return self.names(("tensor", name), name)

    def word(self, size: str | int) -> str:
        """What the code calls an index or a size, by its name; numbers and products of sizes stand for themselves."""
        if isinstance(size, int):
            return str(size)
        if size in self.products:
            return f"({self.print(self.products[size])})"
        return self.names(("index or size", size), size)

    def array_name(self, slot: Slot, all_chunks: bool = False) -> str:
        """What the code calls an array; one with the copies of all chunks has another name than a copy."""
        if slot.kind is Kind.GIVEN:
            return self.tensor(slot.tensor)
        name = f"{slot.tensor}{slot.kind.value}"
        return self.names(("all of", slot) if all_chunks else slot, f"{name}s" if all_chunks else name)

    def part(self, name: str, all_chunks: bool = False) -> str:
        """What the code calls a chunk's own part of a tensor that all chunks add to."""
        return self.array_name(Slot(name, Kind.PART, subscript(self.declared[name]), True), all_chunks)

    def of_index(self, index: Symbol, suffix: str) -> str:
        """What the code calls something that belongs to an index."""
        return self.names((suffix, index), f"{index.name}{suffix}")

    # -- shapes ---------------------------------------------------------------------------------------------------

    def size(self, index: Symbol) -> str | int:
        """The name of the size of an index, or a number."""
        extent = self.program.extents[index]
        if isinstance(extent, Integer):
            return int(extent)
        return self.rows_of[index].longest if index in self.ragged else str(extent)

    def packed(self, access: Access) -> Array:
        """The shape of a whole tensor: a ragged index and its owner before it are one flat axis.

        A ragged index elsewhere is padded to its greatest length.
        """
        subs = subscript(access)
        shape: list[str | int] = []
        for k, index in enumerate(subs):
            if self.joined(subs, k):
                shape[-1] = self.rows_of[index].total
            else:
                shape.append(self.size(index))
        return Array(name_of(access), tuple(shape))

    def joined(self, subs: tuple[Symbol, ...], k: int) -> bool:
        """Whether the k-th index is ragged and shares a flat axis with the index of its lengths before it."""
        extent = self.ragged.get(subs[k])
        return extent is not None and k > 0 and subs[k - 1] in extent.free_symbols

    def slot_array(self, slot: Slot) -> Array:
        """The array of a slot in the workspace."""
        name = self.array_name(slot, slot.private and self.parallel)
        if slot.kind is Kind.PART:
            return Array(name, (SHARING, *self.packed(self.declared[slot.tensor]).shape))
        if slot.kind is Kind.LOCAL:
            shape: tuple[str | int, ...] = tuple(self.size(index) for index in slot.dims)
            return Array(name, (CHUNKS, *shape) if slot.private and self.parallel else shape)
        return Array(name, self.packed(IndexedBase(slot.tensor)[slot.dims]).shape)

    # -- accesses -------------------------------------------------------------------------------------------------

    def access(self, access: Access) -> str:
        if access in self.registers:
            return self.registers[access]
        if access in self.views:
            return self.views[access]
        name = name_of(access)
        place = self.storage.places.get(name)
        if name in self.parts and not subscript(access):
            return self.part(name)
        if place is None or place.slot is None:
            return self.tensor(name)
        array, parts = self.array_at(access)
        along = self.across is not None and parts[-1] == self.word(self.across.name)
        if place.slot in self.rows:
            return array if along else f"lane({array}, {parts[-1]})"
        if self.across is not None and along:
            return f"row({array}, {self.flat(access)}, {self.short[self.across]})"
        return f"{array}[{', '.join(parts)}]"

    def array_at(self, access: Access) -> tuple[str, list[str]]:
        """The array that holds a tensor, and the subscripts that it takes."""
        name, subs = name_of(access), subscript(access)
        place = self.storage.places[name]
        whole = len(place.kept) == len(subs)
        kept = [subs[k] for k in place.kept]
        declared = subscript(self.declared[name])
        parts: list[str] = []
        for k, sub in zip(place.kept, kept, strict=True):
            index = declared[k]
            if whole and self.joined(declared, k):
                parts[-1] = f"{self.row(index, parts[-1])} + {self.print(sub)}"
            else:
                parts.append(self.print(sub))
        assert place.slot is not None
        return self.part(name) if name in self.parts else self.array_name(place.slot), parts

    def flat(self, access: Access) -> str:
        """Where the row of an access begins in the numbers of its array."""
        place = self.storage.places[name_of(access)]
        _, parts = self.array_at(access)
        declared = subscript(self.declared[name_of(access)])
        kept = IndexedBase("kept")[tuple(declared[k] for k in place.kept)]
        position = ""
        for part, size in zip(parts[:-1], self.packed(kept).shape[1:], strict=True):
            before = f"{position} + {part}" if position else part
            position = f"({before})*{self.word(size)}"
        return position or "0"

    def row_slots(self) -> dict[Slot, int]:
        """The temporaries that are short rows everywhere, with their sizes: values, not arrays.

        The row is along the last subscript of what they hold: along another one, numbers come one by one.
        """
        arrays = {
            self.storage.places[name_of(a)].slot
            for _, loops, step in walk(self.nodes)
            for a in (step.target, *step.read_accesses)
            if name_of(a) in self.storage.places
            and any(isinstance(loop, Loop) and loop.index in self.short for loop in loops)
        }
        return {
            slot: self.short[slot.dims[0]]
            for slot in self.storage.slots
            if slot.kind is Kind.LOCAL and len(slot.dims) == 1 and slot.dims[0] in self.short
            if slot not in arrays and all(self.along_last(name) for name in self.storage.occupants(slot))
        }

    def along_last(self, name: str) -> bool:
        """Whether what is kept of a tensor is along its last subscript."""
        return self.storage.places[name].kept == (len(subscript(self.declared[name])) - 1,)

    def row(self, ragged: Symbol, owner: str) -> str:
        """Where a row of a ragged index begins."""
        opened = next((index for index in self.opened if self.word(index.name) == owner), None)
        return f"{self.of_index(ragged, '_start')}[{owner}]" if opened is None else self.row_at(ragged, opened)

    def row_at(self, ragged: Symbol, owner: Symbol) -> str:
        """What the code calls the place where the current row of a ragged index begins."""
        return self.of_index(ragged, f"_at_{owner.name}")

    # -- text -----------------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def emit(self, nodes: Sequence[Node]) -> None:
        told = [(self.condition(node), node) for node in nodes]
        for holds, group in groupby(told, lambda pair: pair[0]):
            outside, self.holds = self.holds, holds
            if holds != outside:
                self.line(f"if {self.print(And(*(holds - outside)))}:")
                self.depth += 1
            for _, node in group:
                self.node(node)
            self.holds = outside
            self.depth -= holds != outside

    def node(self, node: Node) -> None:
        if isinstance(node, Loop):
            self.loop(node)
        elif isinstance(node, Chunked):
            self.chunk(node)
        elif isinstance(node, Short):
            self.written_out(node)
        elif isinstance(node, Statement):
            self.statement(node.target, node.op, self.value(node.expr))
        else:
            self.product(node)

    def condition(self, node: Node) -> frozenset[Expr]:
        """What all statements of a node are subject to that can be told before it begins, with what is told already."""
        known = {one for one in self.common(node) if index_symbols(one, self.program.extents) <= self.opened}
        return self.holds | known

    def common(self, node: Node) -> frozenset[Expr]:
        """What all statements of a node are subject to."""
        found = [
            conjuncts(step.condition) if isinstance(step, Statement) else frozenset() for _, _, step in walk([node])
        ]
        return frozenset.intersection(*found) if found else frozenset()

    def value(self, expr: Expr) -> str:
        return f"{float(expr)}" if expr.is_Integer else self.print(expr)

    def statement(self, access: Access, op: str, value: str) -> None:
        target = self.access(access)
        if op in MAXIMA:
            self.line(f"candidate = {value}")
            greater = f"candidate > {target}" if op == BOUND else f"(candidate > {target}) | (candidate != candidate)"
            op, value = "=", f"candidate if {greater} else {target}"
        if target.startswith("lane("):
            array, (place,) = self.array_at(access)
            self.line(f"{array} = {'with_lane' if op == '=' else 'add_lane'}({array}, {place}, {value})")
        else:
            self.line(f"{target} {op} {value}")

    def written_out(self, node: Short) -> None:
        """A statement at every point of short loops, by whole rows where it is arithmetic on rows."""
        s, row = node.statement, across(node)
        held = self.storage.places[s.writes].slot in self.rows
        last = subscript(s.target)[-1] if subscript(s.target) else None
        asked = And(*(conjuncts(s.condition) - self.holds))
        if held and last in node.space and last != row and not asked.free_symbols & set(node.space):
            # The target is a row of which every number has a formula, or a sum of rows, of its own.
            for point in points([(index, size) for index, size in node.sizes if index not in (row, last)]):
                numbers = (self.row_value(s, row, {**point, last: Integer(k)}) for k in range(self.short[last]))
                self.whole_row(s.target.xreplace(point), s.op, f"vector(({', '.join(numbers)},))", last)
            return
        for point in points([(index, size) for index, size in node.sizes if index != row]):
            here = asked.xreplace(point)
            if here == False:  # noqa: E712  sympy's own
                continue
            value = self.row_value(s, row, point)
            target = s.target.xreplace(point)
            if here != True:  # noqa: E712
                self.line(f"if {self.print(here)}:")
                self.depth += 1
            if row is not None and row in s.target.free_symbols:
                self.whole_row(target, s.op, value, row)
            else:
                self.statement(target, s.op, value)
            self.depth -= here != True  # noqa: E712

    def row_value(self, s: Statement, row: Symbol | None, point: Mapping[Symbol, Integer]) -> str:
        """The value of a statement at a point: a number, or a row if its target has the index of the row."""
        expr = s.expr.xreplace(dict(point))
        self.across = row
        text = self.value(expr)
        self.across = None
        if row is None:
            return text
        if row not in s.target.free_symbols:
            return f"total({text})"
        return text if row in expr.free_symbols else f"full({text}, {self.short[row]})"

    def whole_row(self, target: Access, op: str, value: str, index: Symbol) -> None:
        """Assign a row to a target, or add it."""
        array, _ = self.array_at(target)
        if self.storage.places[name_of(target)].slot in self.rows:
            self.line(f"{array} = {value}" if op == "=" else f"{array} = {array} + {value}")
        else:
            self.line(f"{'set_row' if op == '=' else 'add_row'}({array}, {self.flat(target)}, {value})")

    def loop(self, loop: Loop) -> None:
        held = self.accumulators(loop)
        for access, register in held.items():
            self.line(f"{register} = {self.access(access)}")
        self.registers |= held
        index = self.word(loop.index.name)
        low, high, bounded = self.range(loop)
        self.line(f"for {index} in range({high if low == '0' else f'{low}, {high}'}):")
        self.depth += 1
        self.opened.add(loop.index)
        tables = self.tables(loop)
        outside, self.holds = self.holds, self.holds | bounded
        self.emit(loop.body)
        self.holds = outside
        for table in tables:
            del self.registers[table]
        self.views = {table: text for table, text in self.views.items() if subscript(table)[0] != loop.index}
        self.opened.discard(loop.index)
        self.depth -= 1
        for access, register in held.items():
            del self.registers[access]
            self.line(f"{self.access(access)} = {register}")

    def range(self, loop: Loop) -> tuple[str, str, frozenset[Expr]]:
        """Where a loop begins and ends, and the conditions that it then need not ask for."""
        index, table = loop.index, self.program.extents
        start, end = "0", self.word(self.size(index))
        if index in self.chunked:
            start, end = self.of_index(index, "_lo"), self.of_index(index, "_hi")
        elif index in self.ragged:
            end = self.access(self.ragged[index])
        fixed = self.opened | set(extent_symbols(self.program))
        low, high, used = bounds(And(*(self.common(loop) - self.holds)), index, fixed)
        lows = [*([] if start == "0" and any(certain(one, table) for one in low) else [start]), *map(self.print, low)]
        ends = [one + 1 for one in high]
        within = index not in self.chunked and any(certain(table[index] - one, table) for one in ends)
        highs = [*([] if within else [end]), *map(self.print, ends)]
        first, last = (names[0] if len(names) == 1 else f"{f}({', '.join(names)})" for f, names in
                       (("max", lows), ("min", highs)))  # fmt: skip
        return first, last, conjuncts(used)

    def tables(self, loop: Loop) -> list[Access]:
        """Load the integer tables whose indices are complete with this loop, once.

        The compiler could not: a store to any array might change them, as far as it knows.
        """
        inside = [step for _, _, step in walk([loop])]
        walked = {index for s in inside for index in getattr(s, "space", ())}
        for access in (a for s in inside for a in (s.target, *s.read_accesses)):  # in a tensor of another index's rows
            walked |= set(subscript(self.declared.get(name_of(access), access))) & set(self.ragged)
        for ragged, extent in self.ragged.items():
            if loop.index in extent.free_symbols and ragged in walked:
                owner = self.word(loop.index.name)
                self.line(f"{self.row_at(ragged, loop.index)} = {self.of_index(ragged, '_start')}[{owner}]")
        found: list[Access] = []
        read = [table for s in inside if isinstance(s, Statement) for table in (*gathers(s.expr), *gathers(s.target))]
        for table in dict.fromkeys(read):
            name, subs = name_of(table), subscript(table)
            if len(subs) == 2 and subs[0] == loop.index and self.joined(subscript(self.declared[name]), 1):
                # A row as an array of its own: the compiler sees that no subscript is negative there.
                start = self.of_index(subscript(self.declared[name])[1], "_start")
                row = self.names((table.base, loop.index), f"{name}_of_{loop.index.name}")
                owner = self.word(loop.index.name)
                self.line(f"{row} = {self.tensor(name)}[{start}[{owner}] : {start}[{owner} + 1]]")
                self.views[table] = f"{row}[{self.print(subs[1])}]"
            within = {index for index in self.program.extents if index in table.free_symbols}
            if any(
                not isinstance(sub, Symbol | Integer | Indexed) for t in table.atoms(Indexed) for sub in subscript(t)
            ):
                continue  # there may be no such entry: it is looked at where it is known to be
            if loop.index in within and within <= self.opened and table not in self.registers:
                register = self.names(table, "_".join([name, "at", *re.findall(r"\w+", str(subscript(table)))]))
                self.line(f"{register} = {self.access(table)}")
                self.registers[table] = register
                found.append(table)
        return found

    def accumulators(self, loop: Loop) -> dict[Access, str]:
        """Accumulations whose target stays put in this loop: summed in a register, 8 times faster than a store each."""
        steps = [step for _, _, step in walk([loop])]
        inner = {x.index for _, loops, _ in walk([loop]) for x in loops}
        inner |= {index for s in steps for index in s.space if index in self.short and index not in self.opened}
        touched: dict[str, list[tuple[Statement, list[Access]]]] = {}
        for step in steps:
            by_name: dict[str, list[Access]] = {}
            for access in (step.target, *step.read_accesses):
                by_name.setdefault(name_of(access), []).append(access)
            for name, accessed in by_name.items():
                touched.setdefault(name, []).append((step, accessed))
        found: dict[Access, str] = {}
        for s in steps:
            if s.op == "=" or s.target in self.registers or s.target.free_symbols & inner:
                continue
            place = self.storage.places.get(s.writes)
            alone = all(a == s.target for _, accessed in touched[s.writes] for a in accessed)
            alone = alone and all(
                isinstance(t, Statement) and t.op == s.op for t, _ in touched[s.writes] if t.writes == s.writes
            )
            reads = any(a != t.target for t, accessed in touched[s.writes] for a in accessed)
            if place is not None and place.slot is not None and alone and not reads:
                found[s.target] = self.names(("sum", s.writes), f"{s.writes}_acc")
        return found

    def chunk(self, node: Chunked) -> None:
        if not self.parallel:
            self.emit(node.body)
            return
        index, extent = node.index, self.word(self.size(node.index))
        chunks = SHARING if node.shared else CHUNKS
        self.line(f"for chunk in prange({chunks}):")
        self.depth += 1
        low, high = self.of_index(index, "_lo"), self.of_index(index, "_hi")
        if node.shared:  # sums are over chunks, whose edges are in their last digits
            self.line(f"{low}, {high} = chunk * {extent} // {chunks}, (chunk + 1) * {extent} // {chunks}")
        else:
            edge = "column_edge" if walks_rows(node) else "edge"
            self.line(f"{low}, {high} = {edge}(chunk, {chunks}, {extent}), {edge}(chunk + 1, {chunks}, {extent})")
        used = {
            self.storage.places[name_of(a)].slot
            for _, _, s in walk(node.body)
            for a in (s.target, *s.read_accesses)
            if name_of(a) in self.storage.places
        }
        for slot in self.storage.slots:
            if slot.private and slot in used and slot not in self.rows:
                self.line(f"{self.array_name(slot)} = {self.array_name(slot, all_chunks=True)}[chunk]")
        tensors = [name for name in node.shared if subscript(self.declared[name])]
        scalars = [name for name in node.shared if name not in tensors]
        for name in tensors:
            self.line(f"{self.part(name)} = {self.part(name, all_chunks=True)}[chunk]")
            self.line(f"{self.part(name)}.fill(0.0)")
        for name in scalars:
            self.line(f"{self.part(name)} = 0.0")
        self.chunked.add(node.index)
        self.parts = node.shared
        self.emit(node.body)
        self.parts = ()
        self.chunked.discard(node.index)
        for name in scalars:
            self.line(f"{self.part(name, all_chunks=True)}[chunk] = {self.part(name)}")
        self.depth -= 1
        for name in tensors:
            self.line(f"add_parts({self.part(name, all_chunks=True)}, {self.array(self.declared[name])})")
        for name in scalars:
            self.line(f"for chunk in range({chunks}):")
            self.line(f"    {self.tensor(name)} += {self.part(name, all_chunks=True)}[chunk]")

    def array(self, access: Access) -> str:
        """A whole array as an operand."""
        slot = self.storage.places[name_of(access)].slot
        return self.tensor(name_of(access)) if slot is None else self.array_name(slot)

    def product(self, p: Product) -> None:
        target, left, right = (self.array(a) for a in (p.target, p.left, p.right))
        t, x, y = (subscript(a) for a in (p.target, p.left, p.right))
        if p.kind == "dense":
            if len(x) == 2 and x[0] != t[0]:
                left += ".T"
            if len(y) == 2 and y[1] != t[-1]:
                right += ".T"
            shared = self.parallel and len(x) == len(y) == 2
            self.line(f"{'dense_product' if shared else 'np.dot'}({left}, {right}, {target})")
            return
        pattern = p.target if p.kind == "gather-dot" else p.left
        gathered = p.target if p.kind == "scatter" else p.right
        start = self.of_index(subscript(pattern)[1], "_start")
        table = self.array(subscript(gathered)[0])
        function = p.kind.replace("-", "_") + "_product"
        scratch = map(self.own, ["panels", "tiles"] + (["partials"] if p.kind == "gather-dot" else []))
        self.line(f"{function}({', '.join((start, table, left, right, target, *scratch))})")

    def own(self, name: str) -> str:
        """What the code calls a scratch array of its own."""
        return self.names(("scratch", name), name)

    def scratch(self) -> list[Array]:
        """What the products with a sparse matrix need beside their operands."""
        products = [step for _, _, step in walk(self.nodes) if isinstance(step, Product) and step.kind != "dense"]
        if not products:
            return []
        gathered = {self.packed(self.declared[name_of(p.target if p.kind == "scatter" else p.right)]) for p in products}
        patterns = {self.packed(self.declared[name_of(p.target)]) for p in products if p.kind == "gather-dot"}
        rows = sorted({str(a.shape[0]) for a in gathered})
        entries = sorted({str(a.shape[0]) for a in patterns})
        if len(rows) > 1 or len(entries) > 1:
            raise ValueError(f"{self.program.name}: products with sparse matrices of different shapes")
        panels, tiles = Array(self.own("panels"), (PANELS, rows[0], TILE)), Array(self.own("tiles"), (PANELS, TILE))
        return [panels, tiles, *(Array(self.own("partials"), (PANELS, n)) for n in entries)]

    def source(self) -> Source:
        program = self.program
        used = {name for _, _, step in walk(self.nodes) for name in step.reads} | {a.name for a in self.outputs}
        used |= {name_of(extent) for extent in self.ragged.values()}
        data = [self.packed(a) for a in program.data if name_of(a) in used]
        integers = frozenset(name_of(a) for a in program.data if a.is_integer)
        parameters = tuple(p.name for p in program.parameters if p.name in used)
        slots = [s for s in self.storage.slots if self.parallel or s.kind is not Kind.PART]
        slots = [s for s in slots if s not in self.rows]
        workspace = [*(self.slot_array(s) for s in slots), *self.scratch()]
        sizes = [s.name for s in extent_symbols(program)]
        for rows in self.rows_of.values():
            sizes += [rows.total, rows.longest]
        arguments = [size for size in sizes if size not in self.constants]

        types = ["f8[::1]", "f8[::1]", "f8[::1]"]
        types += [
            ("i8[" if a.name in integers else "f8[") + ",".join([":"] * (len(a.shape) - 1) + ["::1"]) + "]"
            for a in data
        ]
        types += ["i8[::1]"] * len(self.ragged) + ["f8"] * len(parameters) + ["i8"] * len(arguments)
        tables = [self.of_index(index, "_start") for index in self.ragged]
        names = ["y", "out", "ws", *(self.tensor(a.name) for a in data), *tables]
        names += [*map(self.tensor, parameters), *map(self.word, arguments)]
        for size, value in self.constants.items():
            self.line(f"{self.word(size)} = {value}")

        every = {*self.storage.slots, *(place.slot for place in self.storage.places.values() if place.slot is not None)}
        held = {self.array_name(slot): self.storage.occupants(slot) for slot in every}
        self.unpack("y", [Array(self.tensor(a.name), a.shape) for a in self.states])
        defined = {d.name for d in program.definitions}
        self.unpack(
            "out", [Array(self.tensor(a.name) if a.name in defined else "", a.shape) for a in self.outputs], held
        )
        self.unpack("ws", workspace, held)
        self.emit(self.nodes)
        for k, a in enumerate(self.outputs):
            start = " + ".join(self.length(b.shape) for b in self.outputs[:k]) or "0"
            if not a.shape:
                self.line(f"out[{start}] = {self.tensor(a.name)}")
            elif a.name not in defined:  # the rate of a position may be a state, its velocity
                size = self.length(a.shape)
                self.line(f"out[{start} : {start} + {size}] = {self.tensor(a.name)}.reshape(({size},))")
        body = "\n".join(self.lines)
        # Kernels of one thread may run side by side; parallel ones must not, as the pool of numba takes one caller. The
        # products with sparse matrices are parallel in any kernel.
        alone = self.parallel or bool(self.scratch())
        chunked = "column_edge, dense_product, edge, " if self.parallel else ""
        text = (
            f'"""{said(program.title)}.\n\nGenerated from the program {said(repr(program.name))}; do not edit."""\n\n'
            "import math\n\nimport numpy as np\nfrom numba import prange\n\n"
            f"{functions_in(body)}"
            f"from dynamics.lowering.machine.runtime import add_parts, {chunked}exp\n"
            "from dynamics.lowering.machine.runtime import gather_dot_product, gather_product, scatter_product\n"
            f"from dynamics.lowering.machine.vectors import {', '.join(ROWS)}\n"
            "from dynamics.support.machine_code import kept\n\n\n"
            f'@kept("void({", ".join(types)})", parallel={self.parallel}, nogil={not alone},\n'
            f'      error_model="numpy", fastmath={FASTMATH})\n'
            f"def kernel({', '.join(names)}):\n{body}\n"
        )
        return Source(
            text,
            tuple(self.states),
            tuple(self.outputs),
            tuple(workspace),
            tuple(data),
            integers,
            tuple(self.rows_of.values()),
            parameters,
            tuple(sizes),
            self.constants,
            self.walks(),
            {text: factors(extent) for text, extent in self.products.items()},
        )

    def walks(self) -> tuple[tuple[str, str | int], ...]:
        """The ragged indices that walk tensors of fixed size, with that size."""
        found: dict[tuple[str, str | int], None] = {}
        for access in (a for _, _, s in walk(self.nodes) for a in (s.target, *s.read_accesses)):
            declared = self.declared.get(name_of(access), access)
            for sub, index in zip(subscript(access), subscript(declared), strict=True):
                if sub in self.ragged and index not in self.ragged:
                    found[self.rows_of[sub].longest, self.size(index)] = None
        return tuple(found)

    def unpack(self, vector: str, arrays: Sequence[Array], held: Mapping[str, Sequence[str]] | None = None) -> None:
        """Views of the tensors that are packed in a flat vector, with a note of what each array holds.

        Those of the workspace begin with lines of cache: a vector register that is stored across two of them and loaded
        again, as sums are, takes a quarter more time.
        """
        before: dict[str, int] = {}  # how many arrays of each length there are so far

        def place() -> str:
            return " + ".join(size if n == 1 else f"{n} * {size}" for size, n in before.items()) or "0"

        for k, a in enumerate(arrays):
            start, size = place(), self.length(a.shape)
            taken = size if vector != "ws" or k + 1 == len(arrays) else self.in_lines(size)
            before[taken] = before.get(taken, 0) + 1
            if a.shape and a.name:
                shape = ", ".join(map(self.word, a.shape)) + ("," if len(a.shape) == 1 else "")
                shared = [name for name in map(self.tensor, (held or {}).get(a.name, ())) if name != a.name]
                note = f"  # holds {', '.join(shared)}" if shared else ""
                self.line(f"{a.name} = {vector}[{start} : {start} + {size}].reshape(({shape})){note}")
            elif vector == "y":
                self.line(f"{a.name} = y[{start}]")

    def length(self, shape: Sequence[str | int]) -> str:
        """The number of entries of a shape, as source."""
        return " * ".join(map(self.word, shape)) or "1"

    def in_lines(self, size: str) -> str:
        """What the code calls the numbers of the lines of cache that so many take."""
        known = ("lines of", size) in self.names.given
        name, line = self.names(("lines of", size), "lines"), LINE // 8
        if not known:
            self.line(f"{name} = ({size} + {line - 1}) // {line} * {line}")
        return name


def walks_rows(node: Chunked) -> bool:
    """Whether a chunk is walked row by row: its index is looped over within loops over others."""

    def within(nodes: Sequence[Node], deep: bool) -> bool:
        return any(
            (deep and loop.index == node.index) or within(loop.body, deep or loop.index != node.index)
            for loop in nodes
            if isinstance(loop, Loop)
        )

    return within(node.body, False)


@cache
def version() -> str:
    """A hash of the functions that generated code may call."""
    return hashlib.sha256((Path(__file__).parents[1] / "functions.py").read_bytes()).hexdigest()[:16]


def functions_in(text: str) -> str:
    """The import of the functions that code calls, if it calls any; another version of them is another code."""
    return f"from dynamics.lowering import functions  # {version()}\n" if "functions." in text else ""


def said(text: str) -> str:
    """Words of a program within the docstring of its code: on one line, with nothing that would end it."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")
