"""A program as NumPy code: each definition is a few expressions over whole arrays.

An elementwise definition becomes broadcasting; gathers become fancy indexing; a sum of products becomes one matrix
product for all that it is over; what is scattered is added by a sparse product. A ragged index shares one flat axis
with its owner as long as a definition has one of that owner; where it has several (a row and a word of one sentence),
arrays are padded for it, and what they hold beyond a row is zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sympy import Add, Expr, Indexed, Integer, Mul, Piecewise, Pow, S, Symbol, exp
from sympy.printing.numpy import NumPyPrinter
from sympy.printing.pycode import PythonCodePrinter

from derivations.program.access import Access, accesses, index_symbols, name_of, subscript
from derivations.program.identifiers import PYTHON, spelled
from derivations.program.language import LogSumExp, MaxOver, Reduction, SumOver, Where
from derivations.program.program import Definition, Program, extent_symbols, names_of, unused
from derivations.program.ranges import affine
from dynamics.lowering.arrays.frame import Array, Axis, Frame, lengths, owner_of, ragged_in, storage
from dynamics.support.errors import InputError

__all__ = ["array_source", "needed"]


def needed(program: Program, outputs: Iterable[str]) -> tuple[Definition, ...]:
    """The definitions that some tensors are made of, in order."""
    wanted = set(outputs)
    kept: list[Definition] = []
    for d in reversed(program.definitions):
        if d.name in wanted:
            kept.append(d)
            wanted |= {name_of(a) for a in d.reads}
            wanted |= {lengths(i, program.extents) for i in all_indices(d, program) if is_ragged(i, program)}
    return tuple(reversed(kept))


def is_ragged(index: Symbol, program: Program) -> bool:
    return isinstance(program.extents[index], Indexed)


def all_indices(d: Definition, program: Program) -> set[Symbol]:
    """The indices that a definition walks, owners of ragged ones included."""
    table = program.extents
    found = index_symbols(d.lhs, table) | index_symbols(d.body, table) | set(d.over)
    if isinstance(d.rhs, Reduction):
        found |= index_symbols(d.rhs.weight, table)
    return found | {owner for index in found if (owner := owner_of(index, table)) is not None}


def array_source(program: Program, outputs: Sequence[str]) -> str:
    """The text of a module with one function ``arrays(dtype, **tensors)`` that returns the outputs by name.

    Examples
    --------
    >>> from derivations.registry import program
    >>> "Cmean" in array_source(program("linear"), ["Wdot"])
    False
    """
    return Writer(program, tuple(outputs)).module()


class Printer(NumPyPrinter):
    """Prints an elementwise expression; accesses have been replaced by the names in ``texts``."""

    def __init__(self, texts: dict[Symbol, str]) -> None:
        super().__init__({"fully_qualified_modules": True})
        self.texts = texts
        self._module = "np"

    def _print_Symbol(self, expr: Symbol) -> str:
        return self.texts.get(expr, spelled(expr.name))

    def _print_Max(self, expr: Expr) -> str:
        return self.folded("np.maximum", expr)

    def _print_Min(self, expr: Expr) -> str:
        return self.folded("np.minimum", expr)

    def folded(self, function: str, expr: Expr) -> str:
        first, *others = (self._print(arg) for arg in expr.args)
        for other in others:
            first = f"{function}({first}, {other})"
        return first

    def _print_Pow(self, expr: Expr, rational: bool = False) -> str:
        if expr.exp == -1:
            return f"1/{self.parenthesize(expr.base, 100)}"
        return super()._print_Pow(expr, rational=rational)

    def _print_Piecewise(self, expr: Expr) -> str:
        text = "dtype(np.nan)"
        for value, condition in reversed(expr.args):
            value = f"dtype({value})" if value.is_number else self._print(value)
            text = value if condition == True else f"np.where({self._print(condition)}, {value}, {text})"  # noqa: E712
        return text

    def _print_softplus(self, expr: Expr) -> str:
        return f"np.logaddexp(dtype(0), {self._print(expr.args[0])})"

    def _print_sigmoid(self, expr: Expr) -> str:
        return f"scipy.special.expit({self._print(expr.args[0])})"

    def _print_erf(self, expr: Expr) -> str:
        return f"scipy.special.erf({self._print(expr.args[0])})"

    def _print_stop_gradient(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])})"

    def _print_And(self, expr: Expr) -> str:
        return " & ".join(f"({self._print(part)})" for part in expr.args)

    def _print_Or(self, expr: Expr) -> str:
        return " | ".join(f"({self._print(part)})" for part in expr.args)

    def _print_Not(self, expr: Expr) -> str:
        return f"(~({self._print(expr.args[0])}))"

    def _print_Where(self, expr: Where) -> str:
        value = f"dtype({expr.value})" if expr.value.is_number else self._print(expr.value)
        return f"np.where({self._print(expr.condition)}, {value}, dtype(0))"

    def _module_format(self, name: str, register: bool = True) -> str:
        return super()._module_format(name, register).replace("numpy.", "np.")


@dataclass
class Writer:
    """Writes one program; holds what names are taken and which forms of tensors have been made."""

    program: Program
    outputs: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    softmax: dict[Expr, tuple[Array, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = self.program.extents
        self.order = list(self.table)
        self.definitions = needed(self.program, self.outputs)
        self.taken = names_of(self.program) | set(PYTHON) | {"np", "math", "Ragged", "add_at", "dtype", "arrays"}
        self.added_to = {d.name for d in self.definitions if d.accumulate}
        self.sizes = set(extent_symbols(self.program))
        self.stored: dict[str, tuple[Axis, ...]] = {}

    # names

    def name(self, wanted: str = "t") -> str:
        """A new variable."""
        return unused([f"{wanted}_{k}" for k in range(1, 2000)], self.taken)

    def keep(self, text: str, wanted: str = "t") -> str:
        """A new variable that holds an expression."""
        own = self.name(wanted)
        self.lines.append(f"{own} = {text}")
        return own

    def once(self, text: str, wanted: str) -> str:
        """A variable that holds an expression, made once."""
        if text not in self.made:
            self.made[text] = self.keep(text, wanted)
        return self.made[text]

    def rows(self, index: Symbol) -> str:
        """The variable that knows the rows of a ragged index."""
        return self.once(f"Ragged({spelled(lengths(index, self.table))})", "rows")

    # extents

    def extent(self, axis: Axis) -> str:
        """The number of entries of an axis."""
        if isinstance(axis, tuple):
            return f"{self.rows(axis[1])}.total"
        if owner_of(axis, self.table) is not None:
            return f"{self.rows(axis)}.most"
        extent = self.table[axis]
        return spelled(str(extent)) if isinstance(extent, Symbol) else f"({scalar(extent)})"

    def shape(self, axes: Iterable[Axis]) -> str:
        extents = [self.extent(axis) for axis in axes]
        return f"({', '.join(extents)}{',' * (len(extents) == 1)})"

    # reading

    def mask(self, frame: Frame, index: Symbol) -> Array:
        owner = owner_of(index, self.table)
        assert owner is not None
        order = (owner, index)
        return Array(f"{self.rows(index)}.mask", order)

    def aligned(self, array: Array, axes: tuple[Axis, ...]) -> str:
        """Code of an array that broadcasts against one with these axes."""
        text = array.text
        order = sorted(range(len(array.axes)), key=lambda k: axes.index(array.axes[k]))
        if order != list(range(len(order))):
            text = transposed(text, order)
        own = [array.axes[k] for k in order]
        if not own:
            return text
        wanted = axes[axes.index(own[0]) :]
        if len(wanted) == len(own):
            return text
        return f"{text}[{', '.join(':' if axis in own else 'None' for axis in wanted)}]"

    def index(self, sub: Expr, frame: Frame) -> Array:
        """An array of the numbers that a subscript stands for."""
        if isinstance(sub, Integer):
            return Array(str(sub), ())
        if isinstance(sub, Indexed):
            return self.read(sub, frame)
        if not isinstance(sub, Symbol):
            return self.computed(sub, frame)
        if sub in self.sizes:
            return Array(spelled(sub.name), ())
        axis = frame.axis_of(sub)
        if isinstance(axis, tuple):
            return Array(f"{self.rows(axis[1])}.{'owner' if sub == axis[0] else 'place'}", (axis,))
        return Array(self.once(f"np.arange({self.extent(axis)})", "each"), (axis,))

    def computed(self, sub: Expr, frame: Frame) -> Array:
        """Places that are computed from others. What lies beyond a tensor is looked at nowhere: it may be any place."""
        atoms = affine(sub)
        assert atoms is not None
        walked = [atom for atom in atoms if isinstance(atom, Indexed) or atom in self.table]
        parts = {atom: self.index(atom, frame) for atom in walked}
        names = {atom: Symbol(f"place_{k}", integer=True) for k, atom in enumerate(parts)}
        axes = tuple(axis for axis in frame.axes if any(axis in array.axes for array in parts.values()))
        texts = {names[atom]: self.aligned(array, axes) for atom, array in parts.items()}
        return Array(f"({Printer(texts)._print(sub.xreplace(names))})", axes)

    def clipped(self, place: Array, axis: Axis) -> Array:
        """Places within a tensor: those beyond it are looked at nowhere."""
        return Array(f"np.clip({place.text}, 0, {self.extent(axis)} - 1)", place.axes)

    def within(self, expr: Expr, frame: Frame) -> tuple[Symbol, Symbol] | None:
        """(owner, ragged index) if an expression has one ragged index of an owner where the frame has several."""
        found = index_symbols(expr, self.table)
        for owner, inner in ragged_in(found, self.table).items():
            if owner in found and owner in frame.axes and len(inner) == 1:
                return owner, inner[0]
        return None

    def unpacked(self, array: Array, axis: tuple[Symbol, Symbol]) -> Array:
        """From one flat axis to two padded ones."""
        k = array.axes.index(axis)
        text = array.text
        axes = (axis, *(other for other in array.axes if other != axis))
        if k:
            text = transposed(text, [k, *(i for i in range(len(axes)) if i != k)])
        return Array(self.once(f"{self.rows(axis[1])}.unpack({text})", "padded"), (*axis, *axes[1:]))

    def packed(self, array: Array, axis: tuple[Symbol, Symbol]) -> Array:
        """From two padded axes to a flat one, without what is no row."""
        axes = (*axis, *(other for other in array.axes if other not in axis))
        return Array(f"{self.rows(axis[1])}.pack({self.aligned(array, axes)})", (axis, *axes[2:]))

    def read(self, access: Access, frame: Frame) -> Array:
        """An access as an array over axes of the frame."""
        if not isinstance(access, Indexed):
            return Array(spelled(access.name), ())
        inner = self.within(access, frame)
        if inner is not None:
            return self.unpacked(self.read(access, frame.packed(*inner)), inner)
        subs = dict(zip(subscript(self.program.declarations[name_of(access)]), subscript(access), strict=True))
        text, kept = spelled(name_of(access)), self.stored[name_of(access)]
        places: list[Array | Axis] = []  # an array of numbers, or the axis that is walked as it stands
        for axis in kept:
            if isinstance(axis, tuple):
                owner, ragged = subs[axis[0]], subs[axis[1]]
                if (owner, ragged) in frame.axes:
                    places.append((owner, ragged))
                    continue
                whose, which = self.index(owner, frame), self.index(ragged, frame)
                both = tuple(a for a in frame.axes if a in {*whose.axes, *which.axes})
                at = f"{self.aligned(whose, both)}, {self.aligned(which, both)}"
                places.append(Array(f"{self.rows(axis[1])}.locate({at})", both))
                continue
            sub = subs[axis]
            plain = isinstance(sub, Symbol) and sub in frame.axes
            if plain and owner_of(sub, self.table) is not None and self.table[axis] != self.table[sub]:
                # A ragged index walks the first entries of an axis of fixed size.
                text = f"{text}[{', '.join([':'] * len(places) + [f':{self.extent(sub)}'])}]"
            places.append(sub if plain else self.index(sub, frame))
        walked = [place for place in places if not isinstance(place, Array)]
        looked = [place for place in places if isinstance(place, Array)]
        if len(set(walked)) < len(walked) or set(walked) & {axis for array in looked for axis in array.axes}:
            walked, looked = [], [p if isinstance(p, Array) else self.along(p) for p in places]
            places = list(looked)
        if not looked:
            return Array(text, tuple(walked))
        if len(places) == len(kept):
            places = [
                self.clipped(place, axis) if isinstance(place, Array) and computed(subs.get(axis)) else place
                for place, axis in zip(places, kept, strict=True)
            ]
        looked = [place for place in places if isinstance(place, Array)]
        order = [k for k, p in enumerate(places) if isinstance(p, Array)]
        order += [k for k, p in enumerate(places) if not isinstance(p, Array)]
        if order != sorted(order):
            text = transposed(text, order)
        common = tuple(axis for axis in frame.axes if any(axis in array.axes for array in looked))
        return Array(f"{text}[{', '.join(self.aligned(array, common) for array in looked)}]", (*common, *walked))

    def along(self, axis: Axis) -> Array:
        """The numbers of the entries of an axis."""
        return Array(self.once(f"np.arange({self.extent(axis)})", "each"), (axis,))

    # values

    def value(self, expr: Expr, frame: Frame, vanish: bool = False) -> Array:
        """An elementwise expression; with ``vanish``, zero where padded axes hold no row."""
        found = index_symbols(expr, self.table)
        inner = self.within(expr, frame)
        if inner is not None and not isinstance(expr, Indexed):
            return self.unpacked(self.named(self.value(expr, frame.packed(*inner))), inner)
        if isinstance(expr, Indexed) and not expr.is_integer:
            array = self.read(expr, frame)
            stored = all(isinstance(sub, Symbol) for sub in subscript(expr))
            return self.masked(array, found, frame) if vanish and not stored else array
        arrays: dict[Symbol, Array] = {}
        replaced: dict[Expr, Expr] = {}
        for share in expr.atoms(exp) & set(self.softmax):
            if frame.of(index_symbols(share, self.table)) == self.softmax[share][0].axes:
                whole, part = (Symbol(f"access_{len(arrays) + k}", real=True) for k in range(2))
                arrays[whole], arrays[part] = self.softmax[share]
                replaced[share] = whole * part
        expr = expr.xreplace(replaced)
        for access in dict.fromkeys(accesses(expr)):
            if not isinstance(access, Indexed):
                continue
            array = self.read(access, frame)
            if access.is_integer:
                array = Array(f"{array.text}.astype(dtype)", array.axes)
            symbol = Symbol(f"access_{len(arrays)}", real=True)
            arrays[symbol], replaced[access] = array, symbol
        expr = expr.xreplace(replaced)
        for sub in sorted(expr.free_symbols & set(self.table), key=self.order.index):
            array = self.index(sub, frame)
            arrays[sub] = Array(f"{array.text}.astype(dtype)", array.axes)
        axes = tuple(axis for axis in frame.axes if any(axis in array.axes for array in arrays.values()))
        few = [f for f in Mul.make_args(expr) if self.joint(f, arrays, frame) != axes]
        if 1 < len(few) < len(Mul.make_args(expr)):
            # Factors on fewer axes are multiplied first.
            parts = [self.printed(product, arrays, frame) for product in (Mul(*few), expr / Mul(*few))]
            result = Array(f"({' * '.join(self.aligned(part, axes) for part in parts)})", axes)
        else:
            result = self.printed(expr, arrays, frame)
        if vanish:
            return self.masked(result, found, frame)
        return result

    def joint(self, expr: Expr, arrays: dict[Symbol, Array], frame: Frame) -> tuple[Axis, ...]:
        """The axes of an expression of arrays."""
        found = {axis for symbol in expr.free_symbols if symbol in arrays for axis in arrays[symbol].axes}
        return tuple(axis for axis in frame.axes if axis in found)

    def printed(self, expr: Expr, arrays: dict[Symbol, Array], frame: Frame) -> Array:
        """The code of an expression of arrays."""
        axes = self.joint(expr, arrays, frame)
        own = {symbol: array for symbol, array in arrays.items() if symbol in expr.free_symbols}
        texts = {symbol: self.aligned(array, axes) for symbol, array in own.items()}
        expr = self.hoisted(expr, set(own), texts)
        text = Printer(texts)._print(expr)
        return Array(text if isinstance(expr, Symbol) else f"({text})", axes)

    def masked(self, array: Array, found: set[Symbol], frame: Frame) -> Array:
        """An array with zeros where several ragged indices of one owner leave their rows."""
        several = [inner for o, inner in ragged_in(found, self.table).items() if o in array.axes and len(inner) > 1]
        if not several:
            return array
        masks = " & ".join(self.aligned(self.mask(frame, r), array.axes) for inner in several for r in inner)
        mask = self.once(masks, "mask") if "&" in masks else masks
        return Array(self.once(f"np.where({mask}, {array.text}, dtype(0))", "within"), array.axes)

    def hoisted(self, expr: Expr, arrays: set[Symbol], texts: dict[Symbol, str]) -> Expr:
        """The expression with what has no array in it as numbers of Python, which do not widen single precision."""
        if not expr.free_symbols & arrays:
            if expr.is_Integer or isinstance(expr, Symbol):
                return expr
            text = self.once(self.number(expr), "number")
            symbol = Symbol(text, real=True)
            texts[symbol] = text
            return symbol
        if expr.is_Atom:
            return expr
        if isinstance(expr, Pow) and expr.exp.is_Rational:
            return Pow(self.hoisted(expr.base, arrays, texts), expr.exp)
        if isinstance(expr, Add | Mul):
            loose = [arg for arg in expr.args if not arg.free_symbols & arrays]
            others = [arg for arg in expr.args if arg.free_symbols & arrays]
            number = expr.func(*loose)
            kept = [self.hoisted(arg, arrays, texts) for arg in others]
            if number == (S.Zero if isinstance(expr, Add) else S.One):
                return expr.func(*kept)
            return expr.func(number if number == -1 else self.hoisted(number, arrays, texts), *kept)
        if isinstance(expr, Piecewise):
            return expr
        if isinstance(expr, Where):
            return Where(self.hoisted(expr.value, arrays, texts), expr.condition)
        return expr.func(*(self.hoisted(arg, arrays, texts) for arg in expr.args))

    def number(self, expr: Expr) -> str:
        """A number of Python."""
        return f"float({scalar(expr)})"

    def named(self, array: Array) -> Array:
        """The array in a variable of its own."""
        return array if array.text.isidentifier() else Array(self.once(array.text, "t"), array.axes)

    # sums

    def summed(self, term: Expr, frame: Frame, over: frozenset[Axis], vanish: set[Symbol]) -> Array:
        """The sum of a product over axes: by a matrix product where factors differ in their axes."""
        kept = tuple(axis for axis in frame.axes if axis not in over)
        factors = list(Mul.make_args(term))
        outside = [f for f in factors if not set(frame.of(self.walked(f))) & over]
        inside = [f for f in factors if f not in outside]
        if not inside:
            return self.value(term, Frame(kept), vanish=True)
        groups: dict[tuple[Axis, ...], Expr] = {}
        for factor in inside:
            axes = frame.of(self.walked(factor))
            groups[axes] = groups.get(axes, S.One) * factor
        operands = [self.value(expr, frame, vanish=True) for expr in groups.values()]
        safe = {
            r
            for axes in groups
            for owner, rs in ragged_in(self.flat(axes), self.table).items()
            for r in rs
            if owner in axes
        }
        operands += [self.mask(frame, r) for r in sorted(vanish - safe, key=self.order.index)]
        product = self.product([Array(o.text, o.axes) for o in operands], frame, over)
        if outside:
            by = Mul(*outside)
            rest = Frame(kept)
            first, text = self.value(by, rest), product.text
            axes = tuple(axis for axis in kept if axis in {*first.axes, *product.axes})
            return Array(f"({self.aligned(first, axes)} * {self.aligned(Array(text, product.axes), axes)})", axes)
        return product

    def flat(self, axes: Iterable[Axis]) -> set[Symbol]:
        return {index for axis in axes for index in (axis if isinstance(axis, tuple) else (axis,))}

    def walked(self, expr: Expr) -> set[Symbol]:
        return index_symbols(expr, self.table)

    def product(self, operands: list[Array], frame: Frame, over: frozenset[Axis]) -> Array:
        """The product of some arrays, summed over axes."""

        def joined(one: Array, other: Array) -> Array:
            axes = tuple(axis for axis in frame.axes if axis in {*one.axes, *other.axes})
            return Array(f"({self.aligned(one, axes)} * {self.aligned(other, axes)})", axes)

        operands = sorted(operands, key=lambda array: -len(array.axes))
        while len(operands) > 1:
            pairs = [(a, b) for a in range(len(operands)) for b in range(a + 1, len(operands))]
            inner = [(a, b) for a, b in pairs if set(operands[b].axes) <= set(operands[a].axes)]
            if not inner and len(operands) == 2:
                break
            a, b = min(inner or pairs, key=lambda p: len({*operands[p[0]].axes, *operands[p[1]].axes}))
            both = joined(operands[a], operands[b])
            operands = [both, *(o for k, o in enumerate(operands) if k not in (a, b))]
            operands.sort(key=lambda array: -len(array.axes))
        if len(operands) == 1:
            return self.total(operands[0], over)
        one, other = operands
        one, other = (self.total(x, over - set(y.axes)) for x, y in ((one, other), (other, one)))
        if not over & set(one.axes) & set(other.axes):
            return joined(one, other)
        return self.matmul(one, other, frame, over)

    def total(self, array: Array, over: frozenset[Axis] | set[Axis]) -> Array:
        """The sum of an array over some of its axes."""
        gone = [k for k, axis in enumerate(array.axes) if axis in over]
        if not gone:
            return array
        which = str(gone[0]) if len(gone) == 1 else f"({', '.join(map(str, gone))})"
        return Array(f"{array.text}.sum({which})", tuple(axis for axis in array.axes if axis not in over))

    def matmul(self, one: Array, other: Array, frame: Frame, over: frozenset[Axis]) -> Array:
        """One matrix product: axes of both that stay are stacked."""
        both = [axis for axis in frame.axes if axis in one.axes and axis in other.axes]
        stacked, gone = [a for a in both if a not in over], [a for a in both if a in over]
        left = [axis for axis in frame.axes if axis in one.axes and axis not in both]
        right = [axis for axis in frame.axes if axis in other.axes and axis not in both]
        if not stacked and len(gone) == 1:
            for small, large, free, wide in ((one, other, left, right), (other, one, right, left)):
                if len(free) == 1 and len(wide) == 2 and large.axes == (wide[0], gone[0], wide[1]):
                    # One matrix for a stack of them, which lie as they must.
                    return Array(f"({self.matrix(small, [], free, gone)} @ {large.text})", (wide[0], free[0], wide[1]))
        kept = [axis for axis in frame.axes if axis in {*stacked, *left, *right}]
        if (
            kept[len(stacked) :][:1] == right[:1]
            and right
            and left
            and len(left) == 1
            and kept != [*stacked, *left, *right]
        ):
            one, other, left, right = other, one, right, left
        first = self.matrix(one, stacked, left, gone)
        second = self.matrix(other, stacked, gone, right)
        text = f"({first} @ {second})"
        if len(left) != 1 or len(right) != 1:
            text += f".reshape{self.shape([*stacked, *left, *right])}" if kept else "[0, 0]"
        return Array(text, (*stacked, *left, *right))

    def matrix(self, array: Array, stacked: list[Axis], rows: list[Axis], columns: list[Axis]) -> str:
        """An array as a stack of matrices."""
        order = [*stacked, *rows, *columns]
        text = array.text
        if tuple(order) != array.axes:
            text = transposed(text, [array.axes.index(axis) for axis in order])
        if len(rows) == 1 and len(columns) == 1:
            return text
        extents = [self.extent(axis) for axis in stacked]
        sides = ["*".join(self.extent(axis) for axis in side) or "1" for side in (rows, columns)]
        return f"{text}.reshape({', '.join([*extents, *sides])})"

    # definitions

    def frame(self, d: Definition) -> Frame:
        """The axes of a definition: those of its left side first; ragged indices on flat axes where there is one."""
        table = self.table
        subs = [s for s in subscript(d.lhs) if isinstance(s, Symbol) and s in table]
        found = all_indices(d, self.program)
        first = [s for s in subs if s in found]
        inner = sorted(index_symbols(d.lhs, table) - set(first), key=self.order.index)
        rest = sorted(found - set(first) - set(inner), key=self.order.index)
        # Owners come before their ragged indices.
        order = [*inner, *first, *rest] if inner else [*first, *rest]
        axes: list[Axis] = list(dict.fromkeys(order))
        by = ragged_in(found, table)
        alone = isinstance(d.rhs, LogSumExp | MaxOver)
        for owner, ragged in by.items():
            if len(ragged) == 1 and not (alone and ragged[0] in d.over and owner not in d.over):
                at = min(axes.index(owner), axes.index(ragged[0]))
                axes[at] = (owner, ragged[0])
                axes = [axis for axis in axes if axis not in (owner, ragged[0])]
        return Frame(tuple(axes))

    def write(self) -> None:
        """The lines of all definitions."""
        for d in self.definitions:
            self.written(d)

    def written(self, d: Definition) -> None:
        """The lines of one definition, with what it says."""
        self.lines.append(f"# {d.lhs}" + (f": {d.note}" if d.note else ""))
        self.define(d)

    def define(self, d: Definition) -> None:
        """The lines of one definition."""
        frame = self.frame(d)
        if isinstance(d.rhs, LogSumExp | MaxOver):
            array = self.largest(d, frame)
        elif isinstance(d.rhs, SumOver):
            array = self.sum(d, frame)
        else:
            array = self.value(d.rhs, frame, vanish=True)
        if d.accumulate:
            self.accumulate(d, frame, array)
        else:
            self.assign(d, array)

    def sum(self, d: Definition, frame: Frame) -> Array:
        """A sum, before what is scattered or folded: an axis that is partly summed over is kept for that."""
        over = frozenset(axis for axis in frame.axes if not self.flat([axis]) - set(d.over))
        by = ragged_in(self.flat(frame.axes), self.table)
        lhs = index_symbols(d.lhs, self.table)
        looked = any(not isinstance(sub, Symbol) for sub in subscript(d.lhs))
        vanish = {
            r
            for o, inner in by.items()
            if o in frame.axes
            for r in inner
            if looked or r in over or o in over or r not in lhs
        }
        terms = Add.make_args(d.body)
        if any(not over <= set(frame.of(self.walked(term))) for term in terms):
            value = self.value(d.body, frame, vanish=True)
            axes = frame.axes
            value = Array(f"np.broadcast_to({self.aligned(value, axes)}, {self.shape(axes)})", axes)
            if vanish:
                masks = " & ".join(
                    self.aligned(self.mask(frame, r), axes) for r in sorted(vanish, key=self.order.index)
                )
                value = Array(f"np.where({masks}, {value.text}, dtype(0))", axes)
            return self.total(value, over)
        found = [self.summed(term, frame, over, vanish) for term in terms]
        if len(found) == 1:
            return found[0]
        axes = tuple(axis for axis in frame.axes if any(axis in array.axes for array in found))
        return Array("(" + " + ".join(self.aligned(array, axes) for array in found) + ")", axes)

    def largest(self, d: Definition, frame: Frame) -> Array:
        """The largest entry, or the logarithm of a sum of exponentials with the largest one taken out."""
        over = {axis for axis in frame.axes if not self.flat([axis]) - set(d.over)}
        axes = frame.axes
        body = self.value(d.body, frame)
        weight = d.rhs.weight if isinstance(d.rhs, LogSumExp) else S.One
        conditions = [
            self.aligned(self.mask(frame, r), axes)
            for o, inner in ragged_in(self.flat(over), self.table).items()
            for r in inner
            if o in axes
        ]
        for owner, inner in ragged_in(self.flat(axes), self.table).items():
            conditions += [self.aligned(self.mask(frame, r), axes) for r in inner if r in over and owner in axes]
        conditions = list(dict.fromkeys(conditions))
        by = ""
        if weight != 1:
            by = self.keep(self.aligned(self.value(weight, frame), axes), "weight")
            conditions.append(f"({by} > 0)")
        text = self.aligned(body, axes)
        if set(body.axes) != set(axes):
            text = f"np.broadcast_to({text}, {self.shape(axes)})"
        if conditions:
            text = f"np.where({' & '.join(conditions)}, {text}, dtype(-np.inf))"
        own = self.keep(text, "logits")
        gone = tuple(k for k, axis in enumerate(axes) if axis in over)
        kept = tuple(axis for axis in axes if axis not in over)
        if isinstance(d.rhs, MaxOver):
            return Array(f"np.fmax.reduce({own}, {gone}, initial=-np.inf)", kept)
        top = self.keep(f"{own}.max({gone}, keepdims=True, initial=-np.inf)", "top")
        if conditions:
            self.lines.append(f"{top}[{top} == -np.inf] = 0")  # nothing has weight: the logarithm of 0
        shares = self.keep(f"{own} - {top}", "shares")
        self.lines.append(f"np.exp({shares}, out={shares})")
        total = self.keep(f"{f'({by} * {shares})' if by else shares}.sum({gone}, keepdims=True)", "total")
        if not by:
            # The softmax that a logarithm of a sum normalises needs no exponential of its own.
            each = self.keep(f"1 / {total}.squeeze({gone})", "each")
            self.softmax[exp(d.body - d.lhs)] = Array(shares, axes), Array(each, kept)
        return Array(f"(np.log({total}) + {top}).squeeze({gone})", kept)

    def settled(self, array: Array, kept: tuple[Axis, ...]) -> Array:
        """An array on the axes that its tensor is kept on: packed, or folded where an index of a flat axis is gone."""
        for axis in kept:
            if isinstance(axis, tuple) and axis not in array.axes and axis[0] in array.axes and axis[1] in array.axes:
                array = self.packed(array, axis)
        for axis in array.axes:
            if isinstance(axis, tuple) and axis not in kept and axis[0] in kept:
                order = (axis, *(other for other in array.axes if other != axis))
                array = Array(f"{self.rows(axis[1])}.fold({self.aligned(array, order)})", (axis[0], *order[1:]))
        return array

    def assign(self, d: Definition, array: Array) -> None:
        kept = storage(d.lhs, self.table)
        self.stored[d.name] = storage(self.program.declarations[d.name], self.table)
        name = spelled(d.name)
        array = self.settled(array, kept)
        if not kept:
            self.lines.append(f"{name} = float({array.text})")
            return
        text = self.aligned(array, kept)
        if set(array.axes) != set(kept):
            if d.rhs == 0:
                self.lines.append(f"{name} = np.zeros({self.shape(kept)}, dtype)")
                return
            if not array.axes:
                text = f"np.full({self.shape(kept)}, {array.text}, dtype)"
            else:
                text = f"np.broadcast_to({text}, {self.shape(kept)})"
        if d.name in self.added_to:
            fresh = text.startswith("(")  # the result of arithmetic, which nothing else holds
            text = f"np.ascontiguousarray({text})" if fresh else f"np.array({text}, order='C')"
        self.lines.append(f"{name} = {text}")

    def accumulate(self, d: Definition, frame: Frame, array: Array) -> None:
        name = spelled(d.name)
        self.made = {text: own for text, own in self.made.items() if name not in words(text)}
        self.softmax = {e: own for e, own in self.softmax.items() if d.name not in map(name_of, accesses(e))}
        declared = self.program.declarations[d.name]
        by = ragged_in(index_symbols(d.lhs, self.table), self.table)
        kept = storage(d.lhs, self.table)
        if all(isinstance(s, Symbol) for s in subscript(d.lhs)) and d.lhs == declared:
            array = self.settled(array, kept)
            self.lines.append(f"{name} += {self.aligned(array, kept)}")
            return
        # What is summed over may be left to the scatter: an axis with an index that the target has.
        for owner, inner in by.items():
            if len(inner) == 1 and owner in array.axes and inner[0] in array.axes:
                array = self.packed(array, (owner, inner[0]))
        array = self.named(array)
        axes = (
            *array.axes,
            *(a for a in frame.axes if a not in array.axes and self.flat([a]) <= index_symbols(d.lhs, self.table)),
        )
        own = Frame(tuple(axis for axis in axes if not any(isinstance(o, tuple) and axis in o for o in axes)))
        subs = dict(zip(subscript(declared), subscript(d.lhs), strict=True))
        looked: list[Array] = []
        walked: list[Axis] = []
        order: list[int] = []
        straight: list[int] = []
        everywhere = [
            axis for sub in subscript(d.lhs) if not isinstance(sub, Symbol) for axis in own.of(self.walked(sub))
        ]
        plain = [sub for sub in subscript(d.lhs) if isinstance(sub, Symbol)]
        for k, axis in enumerate(self.stored[d.name]):
            if isinstance(axis, tuple):
                pair = (subs[axis[0]], subs[axis[1]])
                if pair in own.axes:
                    looked.append(self.along(pair))
                else:
                    whose, which = self.index(pair[0], own), self.index(pair[1], own)
                    both = tuple(a for a in own.axes if a in {*whose.axes, *which.axes})
                    where = f"{self.aligned(whose, both)}, {self.aligned(which, both)}"
                    looked.append(Array(f"{self.rows(axis[1])}.locate({where})", both))
                order.append(k)
            elif (
                isinstance(sub := subs[axis], Symbol)
                and sub in own.axes
                and owner_of(sub, self.table) is None
                and sub not in everywhere
                and plain.count(sub) == 1
            ):
                walked.append(sub)
                straight.append(k)
            else:
                place = self.index(sub, own)
                looked.append(self.clipped(place, axis) if computed(sub) else place)
                order.append(k)
        common = tuple(axis for axis in own.axes if any(axis in a.axes for a in looked))
        loose = [axis for axis in array.axes if axis not in {*common, *walked}]
        if loose:
            array = self.total(array, set(loose))
        at = ", ".join(self.aligned(a, common) for a in looked)
        self.added(name, [*order, *straight], at, self.aligned(array, (*common, *walked)))

    def added(self, name: str, order: Sequence[int], at: str, values: str) -> None:
        """Add values to the entries of a tensor that are looked up by its first axes in some order, in place."""
        target = name if list(order) == sorted(order) else transposed(name, order)
        self.lines.append(f"add_at({target}, ({at},), {values})" if at else f"{target}[...] += {values}")

    # the module

    def module(self) -> str:
        program = self.program
        read = {name_of(a) for d in self.definitions for a in d.reads}
        read |= {
            lengths(i, self.table) for d in self.definitions for i in all_indices(d, program) if is_ragged(i, program)
        }
        given = (*program.states, *program.data)
        arguments = [name_of(p) for p in program.parameters if name_of(p) in read]
        arrays = [a for a in given if name_of(a) in read or any(axis in self.sizes for axis in self.extents_of(a))]
        for access in arrays:
            own, name = storage(access, self.table), spelled(name_of(access))
            if any(owner_of(axis, self.table) for axis in own if isinstance(axis, Symbol)):
                raise InputError(
                    f"{program.name}: {access} has several ragged indices, which array code cannot be given"
                )
            self.stored[name_of(access)] = own
            if not own:
                self.lines.append(f"{name} = {'int' if access.is_integer else 'float'}({name})")
            else:
                self.lines.append(f"{name} = np.asarray({name}, {'np.intp' if access.is_integer else 'dtype'})")
        for parameter in arguments:
            self.lines.append(f"{spelled(parameter)} = float({spelled(parameter)})")
        left = []
        for size in extent_symbols(program):
            found = [
                f"{spelled(name_of(a))}.shape[{k}]"
                for a in arrays
                for k, axis in enumerate(storage(a, self.table))
                if isinstance(axis, Symbol) and self.table[axis] == size
            ]
            if found:
                self.lines.append(f"{spelled(size.name)} = {found[0]}")
            else:
                left.append(size.name)
        self.write()
        names = [spelled(name) for name in (*map(name_of, arrays), *arguments, *left)]
        results = ", ".join(f"{name!r}: {self.output(name)}" for name in self.outputs)
        special = ["import scipy.special"] if any("scipy.special." in line for line in self.lines) else []
        head = [
            "import math",
            "import numpy as np",
            *special,
            "from dynamics.lowering.arrays.ragged import Ragged, add_at",
            "",
        ]
        body = [*self.lines, f"return {{{results}}}"]
        return (
            "\n".join([*head, f"def arrays(dtype, {', '.join(names)}, **_):", *(f"    {line}" for line in body)]) + "\n"
        )

    def extents_of(self, access: Access) -> list[Expr]:
        return [self.table[axis] for axis in storage(access, self.table) if isinstance(axis, Symbol)]

    def output(self, name: str) -> str:
        """A tensor as it is given back: flat along an owner and the ragged index behind it, padded along others."""
        subs = subscript(self.program.declarations[name])
        kept, text = self.stored[name], spelled(name)
        for k, sub in enumerate(subs[1:], 1):
            if owner_of(sub, self.table) == subs[k - 1] and (subs[k - 1], sub) not in kept and sub in kept:
                if k != 1:
                    raise InputError(f"{self.program.name}: {name} cannot be given back by array code")
                text = f"{self.rows(sub)}.pack({text})"
        return text


def computed(sub: Expr | None) -> bool:
    """Whether a subscript is computed from others, and may be out of range."""
    return sub is not None and not isinstance(sub, Symbol | Indexed | Integer)


def words(text: str) -> set[str]:
    """The names in a piece of code."""
    return set(re.findall(r"\w+", text))


TRANSPOSED = re.compile(r"(.*)\.transpose\(([\d, ]+)\)", re.DOTALL)


def transposed(text: str, order: Sequence[int]) -> str:
    """Code with its axes in another order; one transposition of another is one.

    Examples
    --------
    >>> transposed("x", [1, 0]), transposed("x.transpose(1, 2, 0)", [2, 0, 1])
    ('x.transpose(1, 0)', 'x')
    """
    if (found := TRANSPOSED.fullmatch(text)) and found[1].count("(") == found[1].count(")"):
        first = [int(k) for k in found[2].split(",")]
        text, order = found[1], [first[k] for k in order]
    return text if list(order) == sorted(order) else f"{text}.transpose({', '.join(map(str, order))})"


class Scalars(PythonCodePrinter):
    """Prints an expression of single numbers."""

    def _print_sigmoid(self, expr: Expr) -> str:
        return f"scipy.special.expit({self._print(expr.args[0])})"

    def _print_softplus(self, expr: Expr) -> str:
        return f"np.logaddexp(0.0, {self._print(expr.args[0])})"

    def _print_stop_gradient(self, expr: Expr) -> str:
        return f"({self._print(expr.args[0])})"

    def _print_Heaviside(self, expr: Expr) -> str:
        return f"np.heaviside({self._print(expr.args[0])}, {float(expr.args[1])})"

    def _print_Where(self, expr: Where) -> str:
        return f"({self._print(expr.value)} if {self._print(expr.condition)} else 0.0)"


def scalar(expr: Expr) -> str:
    """An expression of numbers and sizes, in Python's own arithmetic."""
    return Scalars({"fully_qualified_modules": True})._print(
        expr.xreplace({s: Symbol(spelled(s.name), real=True) for s in expr.free_symbols})
    )
