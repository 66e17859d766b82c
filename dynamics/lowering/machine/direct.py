"""Generated source to LLVM's language without numba's passes, which take nine tenths of a compilation.

Generated kernels speak a small language: whole numbers, numbers, arrays in C order, loops over ranges, conditions and
short rows. Of such code types are known as it is read, once, line by line; numba infers them of any Python, over and
over. So the body of a kernel is one instruction for numba, written here; what else it does, it does as ever: fast
arithmetic, calls of other functions, machine code, its cache, its threads. What is not in the small language is left to
numba.

Subscripts are taken as they are: generated code has none that is negative. Nor does what a kernel writes overlap with
what it reads otherwise, states, data or each other's; the compiler is told so, and keeps sums in registers.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import NumbaError

from dynamics.lowering.machine import vectors
from dynamics.lowering.machine.parallel import on_threads

__all__ = ["Unsupported", "Value", "View", "Writer", "roots_of", "spoken"]

WORD, DOUBLE, BIT = ir.IntType(64), ir.DoubleType(), ir.IntType(1)
INT, FLOAT, BOOL = types.int64, types.float64, types.boolean
LITERAL = {"row", "full"}
"""Functions whose last argument is a number known now."""
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
ARITHMETIC = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
LARGEST_POWER = 0x10000
"""Powers up to here are products, as numba has them."""


class Unsupported(Exception):
    """Code that is not in the small language."""


@dataclass(frozen=True)
class Value:
    """A value: what numba calls its type, and LLVM's value."""

    kind: Any
    value: Any


@dataclass(frozen=True)
class View:
    """An array in C order: the type of its entries, where they stand, its shape, and what it is a part of.

    Arrays of different roots do not overlap; without a root nothing is known.
    """

    entry: Any
    data: Any
    shape: tuple[Any, ...]
    root: str = ""


def spoken(kernel: ast.FunctionDef) -> bool:
    """Whether a kernel has a signature, so that what it is written for is known."""
    return any(isinstance(node, ast.Call) and node.args for node in kernel.decorator_list)


def roots_of(kernel: ast.FunctionDef) -> list[str]:
    """Arrays that do not overlap: what is given, but for what is packed; and all that is unpacked from that."""
    packed = {argument.arg for argument in kernel.args.args[:3]}
    parts = [
        node.targets[0].id
        for node in kernel.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and is_reshaped(node.value)
    ]
    return [*(argument.arg for argument in kernel.args.args[3:] if argument.arg not in packed), *parts]


def is_reshaped(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reshape"


class Writer:
    """Writes the instructions of one function."""

    def __init__(
        self,
        context: Any,
        builder: Any,
        names: Mapping[str, Any],
        given: Mapping[str, tuple[Any, Any]],
        roots: Sequence[str],
    ) -> None:
        self.context, self.builder, self.names = context, builder, names
        self.scopes = {root: self.noted(root, self.noted(str(names["__name__"]))) for root in roots}
        self.apart: dict[str, tuple[Any, Any]] = {}
        self.variables: dict[str, tuple[Any, Any]] = {}
        self.views: dict[str, View] = {}
        self.jumps: list[tuple[Any, Any]] = []
        """Where the next turn of a loop begins, and what follows the loop; the innermost last."""
        for name, (kind, value) in given.items():
            if isinstance(kind, types.Array):
                if kind.layout != "C":
                    raise Unsupported(f"{name} is not in C order")
                array = context.make_array(kind)(context, builder, value)
                shape = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
                self.views[name] = View(kind.dtype, array.data, tuple(shape), name if name in self.scopes else "")
            else:
                self.assign(name, Value(kind, value))

    # -- memory -------------------------------------------------------------------------------------------------------

    def noted(self, *operands: Any) -> Any:
        return self.builder.module.add_metadata(operands)

    def marked(self, access: Any, root: str) -> Any:
        """A load or store of an array, marked as meeting no other: compilers cannot tell parts of one array apart."""
        if root:
            if root not in self.apart:
                others = [scope for name, scope in self.scopes.items() if name != root]
                self.apart[root] = self.noted(self.scopes[root]), self.noted(*others)
            own, others = self.apart[root]
            access.set_metadata("alias.scope", own)
            access.set_metadata("noalias", others)
        return access

    def load(self, place: Any, root: str) -> Any:
        return self.marked(self.builder.load(place), root)

    def store(self, value: Any, place: Any, root: str) -> None:
        self.marked(self.builder.store(value, place), root)

    # -- statements ---------------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            method = getattr(self, f"on_{type(statement).__name__}", None)
            if method is None:
                raise Unsupported(ast.unparse(statement))
            method(statement)

    def on_Pass(self, node: ast.Pass) -> None:
        """Nothing."""

    def on_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "fill":
            self.fill(call.func.value, call.args[0])
        else:
            self.value(call)

    def fill(self, array: ast.expr, value: ast.expr) -> None:
        """``array.fill(value)``"""
        view = self.view(array)
        if view is None or view.entry != FLOAT:
            raise Unsupported(ast.unparse(array))
        number = self.cast(self.value(value), FLOAT).value
        size: Any = WORD(1)
        for extent in view.shape:
            size = self.counted("mul", size, extent)
        with self.turns("fill", WORD(0), size) as index:
            self.store(number, self.builder.gep(view.data, [index], inbounds=True), view.root)

    def on_Assign(self, node: ast.Assign) -> None:
        (target,) = node.targets
        if isinstance(target, ast.Tuple):
            for one, value in zip(target.elts, self.parts(node.value), strict=True):
                self.put(one, value)
            return
        if isinstance(target, ast.Name):
            view = self.view(node.value)
            if view is not None:
                own = target.id in self.scopes and is_reshaped(node.value)
                self.views[target.id] = replace(view, root=target.id) if own else view
                return
        self.put(target, self.value(node.value))

    def parts(self, node: ast.expr) -> list[Value]:
        """Values that are assigned together: all are known before the first is."""
        if not isinstance(node, ast.Tuple):
            raise Unsupported(ast.unparse(node))
        return list(map(self.value, node.elts))

    def put(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        else:
            place, kind, root = self.place(target)
            self.store(self.cast(value, kind).value, place, root)

    def on_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            before = self.value(ast.Name(node.target.id, ast.Load()))
            self.assign(node.target.id, self.binary(type(node.op), before, self.value(node.value)))
            return
        value = self.value(node.value)
        place, kind, root = self.place(node.target)
        before = Value(kind, self.load(place, root))
        self.store(self.cast(self.binary(type(node.op), before, value), kind).value, place, root)

    def on_If(self, node: ast.If) -> None:
        condition = self.truth(node.test)
        if node.orelse:
            with self.builder.if_else(condition) as (then, otherwise):
                with then:
                    self.block(node.body)
                with otherwise:
                    self.block(node.orelse)
        else:
            with self.builder.if_then(condition):
                self.block(node.body)

    def on_For(self, node: ast.For) -> None:
        call = node.iter
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id in ("range", "prange")
            and isinstance(node.target, ast.Name)
            and len(call.args) <= (2 if call.func.id == "range" else 1)
        ):
            raise Unsupported(ast.unparse(node))
        bounds = [self.cast(self.value(argument), INT).value for argument in call.args]
        if call.func.id == "prange":
            self.side_by_side(node.target.id, bounds[0], node.body)
            return
        low, high = bounds if len(bounds) == 2 else (WORD(0), bounds[0])
        with self.turns(node.target.id, low, high) as index:
            self.assign(node.target.id, Value(INT, index))
            self.block(node.body)

    @contextmanager
    def turns(self, name: str, low: Any, high: Any) -> Iterator[Any]:
        """A loop, with what is written in the context inside."""
        builder = self.builder
        before = builder.block
        head, inside, following, after = (
            builder.append_basic_block(f"{name}.{part}") for part in ("head", "in", "next", "after")
        )
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(WORD)
        index.add_incoming(low, before)
        builder.cbranch(builder.icmp_signed("<", index, high), inside, after)
        builder.position_at_end(inside)
        self.jumps.append((following, after))
        yield index
        self.jumps.pop()
        self.go(following)
        builder.position_at_end(following)
        index.add_incoming(builder.add(index, WORD(1), flags=["nsw"]), following)
        builder.branch(head)
        builder.position_at_end(after)

    def go(self, block: Any) -> None:
        """What follows is in another block, unless a jump has gone elsewhere."""
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    def side_by_side(self, name: str, turns: Any, body: Sequence[ast.stmt]) -> None:
        """A loop on several threads: what a turn assigns to variables is its own."""
        read = dict.fromkeys(node.id for one in body for node in ast.walk(one) if isinstance(node, ast.Name))
        variables = [(word, self.variables[word]) for word in read if word in self.variables and word != name]
        views = [(word, self.views[word]) for word in read if word in self.views]
        values = [self.builder.load(place) for _, (_, place) in variables]
        values += [value for _, view in views for value in (view.data, *view.shape)]

        def turn(builder: Any, index: Any, seen: Sequence[Any]) -> None:
            inner = copy(self)
            inner.builder, inner.variables, inner.views, inner.jumps = builder, {}, {}, []
            rest = iter(seen)
            for word, (kind, _) in variables:
                inner.assign(word, Value(kind, next(rest)))
            for word, view in views:
                inner.views[word] = replace(view, data=next(rest), shape=tuple(next(rest) for _ in view.shape))
            inner.assign(name, Value(INT, index))
            inner.block(body)

        on_threads(self.context, self.builder, turns, values, turn)

    # -- variables ----------------------------------------------------------------------------------------------------

    def assign(self, name: str, found: Value) -> None:
        """A variable keeps the type of what is assigned to it first."""
        if name not in self.variables:
            kind = found.kind
            self.variables[name] = kind, cgutils.alloca_once(self.builder, self.context.get_value_type(kind), name=name)
        kind, place = self.variables[name]
        self.builder.store(self.cast(found, kind).value, place)

    def place(self, node: ast.expr) -> tuple[Any, Any, str]:
        """Where an entry of an array stands, its type, and what the array is a part of."""
        if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
            raise Unsupported(ast.unparse(node))
        view = self.views.get(node.value.id)
        if view is None:
            raise Unsupported(ast.unparse(node))
        subscripts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(subscripts) != len(view.shape):
            raise Unsupported(ast.unparse(node))
        position: Any = None
        for sub, size in zip(subscripts, view.shape, strict=True):
            here = self.value(sub)
            if here.kind != INT:
                raise Unsupported(ast.unparse(node))
            position = (
                here.value if position is None else self.counted("add", self.counted("mul", position, size), here.value)
            )
        return self.builder.gep(view.data, [position], inbounds=True), view.entry, view.root

    def counted(self, operation: str, one: Any, other: Any) -> Any:
        """Arithmetic of subscripts, which do not overflow."""
        return getattr(self.builder, operation)(one, other, flags=["nsw"])

    def view(self, node: ast.expr) -> View | None:
        """A part of an array, in a shape of its own, if that is what is written."""
        shape: list[ast.expr] | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reshape":
            given = node.args[0]
            shape = list(given.elts) if isinstance(given, ast.Tuple) else [given]
            node = node.func.value
        if isinstance(node, ast.Name) and shape is None and node.id in self.views:
            return self.views[node.id]
        if isinstance(node, ast.Subscript) and shape is None and isinstance(node.value, ast.Name):
            part = self.part(self.views.get(node.value.id), node.slice)
            if part is not None:
                return part
        if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice)):
            if shape is not None:
                raise Unsupported(ast.unparse(node))
            return None
        if not (isinstance(node.value, ast.Name) and node.value.id in self.views and node.slice.step is None):
            raise Unsupported(ast.unparse(node))
        whole = self.views[node.value.id]
        if len(whole.shape) != 1 or node.slice.lower is None or node.slice.upper is None:
            raise Unsupported(ast.unparse(node))
        low, high = (self.cast(self.value(bound), INT).value for bound in (node.slice.lower, node.slice.upper))
        data = self.builder.gep(whole.data, [low], inbounds=True)
        if shape is None:
            return View(whole.entry, data, (self.counted("sub", high, low),), whole.root)
        return View(whole.entry, data, tuple(self.cast(self.value(size), INT).value for size in shape))

    def part(self, whole: View | None, subscript: ast.expr) -> View | None:
        """``array[k]`` of an array of several dimensions, if that is what is written."""
        if whole is None or len(whole.shape) < 2 or isinstance(subscript, ast.Slice | ast.Tuple):
            return None
        position = self.cast(self.value(subscript), INT).value
        for size in whole.shape[1:]:
            position = self.counted("mul", position, size)
        return View(whole.entry, self.builder.gep(whole.data, [position], inbounds=True), whole.shape[1:], whole.root)

    def array(self, view: View, turned: bool = False) -> Value:
        """A view as numba has it, or its transpose."""
        kind = types.Array(view.entry, len(view.shape), "F" if turned and len(view.shape) > 1 else "C")
        made = self.context.make_array(kind)(self.context, self.builder)
        strides: list[Any] = []
        step: Any = WORD(8)
        for size in reversed(view.shape):
            strides.insert(0, step)
            step = self.counted("mul", step, size)
        way = -1 if turned else 1
        made.data = self.builder.bitcast(view.data, made.data.type)
        made.shape = cgutils.pack_array(self.builder, view.shape[::way])
        made.strides = cgutils.pack_array(self.builder, strides[::way])
        made.itemsize, made.nitems = WORD(8), self.builder.sdiv(step, WORD(8))
        made.meminfo, made.parent = (cgutils.get_null_value(field.type) for field in (made.meminfo, made.parent))
        return Value(kind, made._getvalue())

    # -- expressions --------------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Value:
        method = getattr(self, f"of_{type(node).__name__}", None)
        if method is None:
            raise Unsupported(ast.unparse(node))
        return method(node)

    def of_Constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, bool):
            return Value(BOOL, BIT(int(node.value)))
        if isinstance(node.value, int):
            return Value(INT, WORD(node.value))
        if isinstance(node.value, float):
            return Value(FLOAT, DOUBLE(node.value))
        raise Unsupported(ast.unparse(node))

    def of_Name(self, node: ast.Name) -> Value:
        if node.id in self.variables:
            kind, place = self.variables[node.id]
            return Value(kind, self.builder.load(place))
        if node.id in self.views:
            return self.array(self.views[node.id])
        raise Unsupported(node.id)

    def of_Attribute(self, node: ast.Attribute) -> Value:
        if node.attr == "T" and isinstance(node.value, ast.Name) and node.value.id in self.views:
            return self.array(self.views[node.value.id], turned=True)
        number = self.named(node)
        if not isinstance(number, float):
            raise Unsupported(ast.unparse(node))
        return Value(FLOAT, DOUBLE(number))

    def of_Subscript(self, node: ast.Subscript) -> Value:
        place, kind, root = self.place(node)
        return Value(kind, self.load(place, root))

    def of_UnaryOp(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return Value(BOOL, self.builder.not_(self.truth(node.operand)))
        found = self.value(node.operand)
        if isinstance(node.op, ast.UAdd):
            return found
        if not isinstance(node.op, ast.USub):
            raise Unsupported(ast.unparse(node))
        if found.kind == FLOAT:
            return Value(FLOAT, self.builder.fneg(found.value))
        if found.kind == INT:
            return Value(INT, self.builder.neg(found.value))
        return self.called(operator.neg, [found])

    def of_BinOp(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, ast.Pow):
            return self.power(node)
        return self.binary(type(node.op), self.value(node.left), self.value(node.right))

    def binary(self, operation: type, one: Value, other: Value) -> Value:
        builder = self.builder
        kinds = {one.kind, other.kind}
        if operation in (ast.BitAnd, ast.BitOr):
            if kinds != {BOOL}:
                raise Unsupported("bits of numbers")
            return Value(BOOL, (builder.and_ if operation is ast.BitAnd else builder.or_)(one.value, other.value))
        if any(isinstance(kind, vectors.Vector) for kind in kinds):
            name = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
            if operation not in name:
                raise Unsupported("rows")
            return self.called(name[operation], [one, other])
        if not kinds <= {INT, FLOAT}:
            raise Unsupported("arithmetic of other things than numbers")
        if operation is ast.Div:
            return Value(FLOAT, builder.fdiv(self.cast(one, FLOAT).value, self.cast(other, FLOAT).value))
        if operation not in ARITHMETIC:
            functions = {ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod}
            if operation not in functions:
                raise Unsupported(str(operation))
            return self.called(functions[operation], [one, other])
        kind, letter = (INT, "") if kinds == {INT} else (FLOAT, "f")
        instruction = getattr(builder, letter + ARITHMETIC[operation])
        return Value(kind, instruction(self.cast(one, kind).value, self.cast(other, kind).value))

    def power(self, node: ast.BinOp) -> Value:
        """A power: of whole exponents that are written out, as numba multiplies it."""
        exponent: Any = node.right
        base = self.value(node.left)
        negative = isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub)
        number = exponent.operand if negative else exponent
        whole = isinstance(number, ast.Constant) and type(number.value) is int
        if not whole or number.value > LARGEST_POWER or base.kind not in (INT, FLOAT):
            return self.called(operator.pow, [base, self.value(exponent)])
        if negative:
            base = self.cast(base, FLOAT)
        left, factor = number.value, base
        result = Value(INT, WORD(1)) if base.kind == INT else Value(FLOAT, DOUBLE(1.0))
        while left:
            if left & 1:
                result = self.binary(ast.Mult, result, factor)
            left >>= 1
            if left:
                factor = self.binary(ast.Mult, factor, factor)
        return self.binary(ast.Div, Value(FLOAT, DOUBLE(1.0)), result) if negative else result

    def of_Compare(self, node: ast.Compare) -> Value:
        values = [self.value(side) for side in (node.left, *node.comparators)]
        found: Any = None
        for sign, one, other in zip(node.ops, values, values[1:], strict=False):
            kinds = {one.kind, other.kind}
            if type(sign) not in SIGNS or not (kinds <= {INT, FLOAT} or kinds == {BOOL}):
                raise Unsupported(ast.unparse(node))
            text = SIGNS[type(sign)]
            if kinds in ({INT}, {BOOL}):
                here = self.builder.icmp_signed(text, one.value, other.value)
            else:
                compare = self.builder.fcmp_unordered if text == "!=" else self.builder.fcmp_ordered
                here = compare(text, self.cast(one, FLOAT).value, self.cast(other, FLOAT).value)
            found = here if found is None else self.builder.and_(found, here)
        return Value(BOOL, found)

    def of_BoolOp(self, node: ast.BoolOp) -> Value:
        """``and`` and ``or``: what follows is looked at only if it matters."""
        first, *others = node.values
        rest = others[0] if len(others) == 1 else ast.BoolOp(node.op, others)
        yes, no = ast.Constant(True), ast.Constant(False)
        chosen = ast.IfExp(first, rest, no) if isinstance(node.op, ast.And) else ast.IfExp(first, yes, rest)
        return Value(BOOL, self.either(chosen, self.truth).value)

    def of_IfExp(self, node: ast.IfExp) -> Value:
        return self.either(node, None)

    def either(self, node: ast.IfExp, read: Callable[[ast.expr], Any] | None) -> Value:
        """One of two expressions; the other is not looked at."""
        builder = self.builder
        found: list[tuple[Value, Any]] = []
        condition = self.truth(node.test)
        with builder.if_else(condition) as (then, otherwise):
            for branch, expr in ((then, node.body), (otherwise, node.orelse)):
                with branch:
                    value = self.value(expr) if read is None else Value(BOOL, read(expr))
                    kind = (
                        FLOAT if value.kind == INT and isinstance(expr, ast.Constant) and read is None else value.kind
                    )
                    if found and found[0][0].kind != kind and {found[0][0].kind, kind} == {INT, FLOAT}:
                        raise Unsupported(ast.unparse(node))
                    found.append((self.cast(value, kind), builder.block))
        if found[0][0].kind != found[1][0].kind:
            raise Unsupported(ast.unparse(node))
        result = builder.phi(found[0][0].value.type)
        for value, block in found:
            result.add_incoming(value.value, block)
        return Value(found[0][0].kind, result)

    def of_Tuple(self, node: ast.Tuple) -> Value:
        values = [self.cast(self.value(one), FLOAT) for one in node.elts]
        kind = types.UniTuple(FLOAT, len(values))
        return Value(kind, self.context.make_tuple(self.builder, kind, [one.value for one in values]))

    def of_Call(self, node: ast.Call) -> Value:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        values = [self.value(argument) for argument in node.args]
        kinds = {one.kind for one in values}
        if name in ("max", "min") and name not in self.names and kinds <= {INT, FLOAT}:
            kind = FLOAT if FLOAT in kinds else INT
            first, *others = (self.cast(one, kind).value for one in values)
            compare = self.builder.icmp_signed if kind == INT else self.builder.fcmp_ordered
            for other in others:  # the first stays unless another one is beyond it
                first = self.builder.select(compare(">" if name == "max" else "<", other, first), other, first)
            return Value(kind, first)
        if name in LITERAL and isinstance(node.args[-1], ast.Constant):
            values[-1] = Value(types.literal(node.args[-1].value), values[-1].value)
        return self.called(self.named(node.func), values)

    def named(self, node: ast.expr) -> Any:
        """What a name of the module stands for."""
        if isinstance(node, ast.Name):
            builtin = {"abs": abs, "max": max, "min": min, "float": float, "int": int}
            if node.id in self.names:
                return self.names[node.id]
            if node.id in builtin:
                return builtin[node.id]
        if isinstance(node, ast.Attribute):
            module = self.named(node.value)
            if isinstance(module, ModuleType):
                return getattr(module, node.attr)
        raise Unsupported(ast.unparse(node))

    def called(self, function: Any, values: Sequence[Value]) -> Value:
        """A call of what numba knows, as numba calls it."""
        typing = self.context.typing_context
        kind = typing.resolve_value_type(function)
        try:
            signature = kind.get_call_type(typing, tuple(one.kind for one in values), {})
        except NumbaError as error:
            raise Unsupported(f"{function}") from error
        if signature is None:
            raise Unsupported(f"{function}")
        implementation = self.context.get_function(kind, signature)
        self.context.add_linking_libs(getattr(implementation, "libs", ()))
        args = [
            one.value if isinstance(wanted, types.Literal) else self.cast(one, wanted).value
            for one, wanted in zip(values, signature.args, strict=True)
        ]
        return Value(signature.return_type, implementation(self.builder, args))

    def truth(self, node: ast.expr) -> Any:
        found = self.value(node)
        if found.kind != BOOL:
            raise Unsupported(ast.unparse(node))
        return found.value

    def cast(self, found: Value, kind: Any) -> Value:
        if found.kind == kind:
            return found
        plain = types.unliteral(found.kind)
        if not (plain == kind or (plain == INT and kind == FLOAT)):
            raise Unsupported(f"{found.kind} where {kind} is expected")
        return Value(kind, found.value if plain == kind else self.builder.sitofp(found.value, DOUBLE))
