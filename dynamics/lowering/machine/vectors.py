"""What generated code calls for short rows: a few numbers held in vector registers.

Loops of 4 or 10 turns are too short for the compiler's vectoriser, and numba leaves straight-line code scalar. So a
row of a known, small size is a value of its own here, a vector of LLVM: loaded and stored whole, added and multiplied
by operators, its lanes read one by one.
"""

from __future__ import annotations

import operator
from types import FunctionType

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from dynamics.lowering.machine import runtime

FLAGS = ("reassoc", "contract", "nsz", "arcp")
DOUBLE, INDEX = ir.DoubleType(), ir.IntType(32)


class Vector(types.Type):
    """The type of a short row of float64.

    It is held in a vector of the next power of two: others are taken apart at the turn of every loop. What the lanes
    beyond the row hold is never looked at.
    """

    def __init__(self, size: int) -> None:
        self.size, self.width = size, 1 << (size - 1).bit_length()
        super().__init__(name=f"Vector({size})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(DOUBLE, kind.width))


def filled(builder, value, size: int):
    """LLVM's vector of equal numbers."""
    undefined = ir.Constant(ir.VectorType(DOUBLE, size), ir.Undefined)
    first = builder.insert_element(undefined, value, INDEX(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INDEX, size), [0] * size))


def resized(builder, value, size: int):
    """The first lanes of a vector, or more lanes than it has."""
    mask = ir.Constant(ir.VectorType(INDEX, size), [min(k, value.type.count) for k in range(size)])
    return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)


def data(context, builder, kind, array, at, size: int):
    """A pointer to the numbers of an array from a flat position on."""
    start = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return builder.bitcast(start, ir.VectorType(DOUBLE, size).as_pointer())


def arithmetic(operation, instruction: str) -> None:
    """Define an operator on vectors, and on vectors and numbers."""

    @intrinsic
    def apply(typingctx, left, right):
        kind = left if isinstance(left, Vector) else right

        def codegen(context, builder, signature, args):
            both = [
                value
                if isinstance(given, Vector)
                else filled(builder, context.cast(builder, value, given, types.float64), kind.width)
                for value, given in zip(args, signature.args, strict=True)
            ]
            return getattr(builder, instruction)(*both, flags=FLAGS)

        return kind(left, right), codegen

    @overload(operation)
    def choose(left, right):
        kinds = [kind for kind in (left, right) if isinstance(kind, Vector)]
        numbers = [kind for kind in (left, right) if isinstance(kind, types.Number)]
        if kinds and len(kinds) + len(numbers) == 2:
            return lambda left, right: apply(left, right)  # type: ignore[call-arg]


for operation, instruction in {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}.items():
    arithmetic(operation, instruction)


@overload(operator.neg)
def negative(vector):
    if isinstance(vector, Vector):
        return lambda vector: -1.0 * vector


@intrinsic(prefer_literal=True)
def full(typingctx, value, size):
    """A row of equal numbers."""
    kind = Vector(size.literal_value)

    def codegen(context, builder, signature, args):
        return filled(builder, context.cast(builder, args[0], signature.args[0], types.float64), kind.width)

    return kind(value, size), codegen


@intrinsic
def vector(typingctx, values):
    """A row of the numbers of a tuple."""
    kind = Vector(len(values))

    def codegen(context, builder, signature, args):
        row = ir.Constant(ir.VectorType(DOUBLE, kind.width), ir.Undefined)
        for k, value in enumerate(cgutils.unpack_tuple(builder, args[0])):
            row = builder.insert_element(row, context.cast(builder, value, values[k], types.float64), INDEX(k))
        return row

    return kind(values), codegen


@intrinsic(prefer_literal=True)
def row(typingctx, array, at, size):
    """``size`` numbers of an array, from a flat position on."""
    kind = Vector(size.literal_value)

    def codegen(context, builder, signature, args):
        place = data(context, builder, signature.args[0], args[0], args[1], kind.size)
        return resized(builder, builder.load(place, align=8), kind.width)

    return kind(array, types.int64, size), codegen


@intrinsic
def set_row(typingctx, array, at, vector):
    """Store a row in an array, from a flat position on."""

    def codegen(context, builder, signature, args):
        place = data(context, builder, signature.args[0], args[0], args[1], vector.size)
        builder.store(resized(builder, args[2], vector.size), place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), codegen


@intrinsic
def add_row(typingctx, array, at, vector):
    """Add a row to what stands in an array, from a flat position on."""

    def codegen(context, builder, signature, args):
        place = data(context, builder, signature.args[0], args[0], args[1], vector.size)
        before = resized(builder, builder.load(place, align=8), vector.width)
        after = builder.fadd(before, args[2], flags=FLAGS)
        builder.store(resized(builder, after, vector.size), place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), codegen


@intrinsic
def lane(typingctx, vector, k):
    """The k-th number of a row."""

    def codegen(context, builder, signature, args):
        return builder.extract_element(*args)

    return types.float64(vector, types.int64), codegen


def chosen(builder, size: int, k):
    """Which lane is the k-th, as a mask: what is written by a mask need not go through memory."""
    wide = ir.VectorType(ir.IntType(64), size)
    first = builder.insert_element(ir.Constant(wide, ir.Undefined), k, INDEX(0))
    same = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(INDEX, size), [0] * size))
    return builder.icmp_signed("==", same, ir.Constant(wide, list(range(size))))


@intrinsic
def with_lane(typingctx, vector, k, value):
    """The row with another k-th number."""

    def codegen(context, builder, signature, args):
        row, place, number = args
        return builder.select(chosen(builder, vector.width, place), filled(builder, number, vector.width), row)

    return vector(vector, types.int64, types.float64), codegen


@intrinsic
def add_lane(typingctx, vector, k, value):
    """The row with something added to its k-th number."""

    def codegen(context, builder, signature, args):
        row, place, number = args
        more = builder.fadd(row, filled(builder, number, vector.width), flags=FLAGS)
        return builder.select(chosen(builder, vector.width, place), more, row)

    return vector(vector, types.int64, types.float64), codegen


class Traced:
    """LLVM's vector of float64 or int64 that notes the arithmetic done with it, for what is written for numbers."""

    def __init__(self, builder, value) -> None:
        self.builder, self.value = builder, value
        self.size = value.type.count

    def binary(self, other, instruction: str, turned: bool = False, **options):
        if not isinstance(other, Traced):
            integer = self.value.type.element == ir.IntType(64)
            number = ir.Constant(self.value.type, [int(other) if integer else float(other)] * self.size)
            other = Traced(self.builder, number)
        pair = (other.value, self.value) if turned else (self.value, other.value)
        return Traced(self.builder, getattr(self.builder, instruction)(*pair, **options))

    def __add__(self, other):
        if self.value.type.element == ir.IntType(64):
            return self.binary(other, "add")
        return self.binary(other, "fadd", flags=("contract",))

    __radd__ = __add__

    def __mul__(self, other):
        return self.binary(other, "fmul", flags=("contract",))

    __rmul__ = __mul__

    def __sub__(self, other):
        return self.binary(other, "fsub", flags=("contract",))

    def __lshift__(self, other):
        return self.binary(other, "shl")

    def compared(self, other, sign: str):
        value = other.value if isinstance(other, Traced) else ir.Constant(self.value.type, [float(other)] * self.size)
        return self.builder.fcmp_ordered(sign, self.value, value)

    def __lt__(self, other):
        return self.compared(other, "<")

    def __gt__(self, other):
        return self.compared(other, ">")

    def __eq__(self, other):
        return self.compared(other, "==")

    def select(self, condition, one, other):
        kind = ir.VectorType(DOUBLE, self.size)
        pair = (x.value if isinstance(x, Traced) else ir.Constant(kind, [float(x)] * self.size) for x in (one, other))
        return Traced(self.builder, self.builder.select(condition, *pair))

    def seen_as(self, element):
        return Traced(self.builder, self.builder.bitcast(self.value, ir.VectorType(element, self.size)))


@intrinsic
def exp_row(typingctx, vector):
    """The exponential of each number of a row, by the arithmetic of :func:`dynamics.lowering.machine.runtime.exp`."""

    def codegen(context, builder, signature, args):
        x = Traced(builder, args[0])
        names = {
            **runtime.exp.py_func.__globals__,
            "select": x.select,
            "max": lambda one, other: x.select(one > other, one, other),
            "min": lambda one, other: x.select(one < other, one, other),
            "float_to_bits": lambda value: value.seen_as(ir.IntType(64)),
            "bits_to_float": lambda value: value.seen_as(DOUBLE),
        }
        return FunctionType(runtime.exp.py_func.__code__, names)(x).value

    return vector(vector), codegen


@intrinsic
def total(typingctx, vector):
    """The sum of a row."""

    def codegen(context, builder, signature, args):
        kind = ir.VectorType(DOUBLE, vector.width)
        add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(DOUBLE, [DOUBLE, kind]), f"llvm.vector.reduce.fadd.v{vector.width}f64"
        )
        lanes = [k if k < vector.size else vector.width for k in range(vector.width)]
        mask = ir.Constant(ir.VectorType(INDEX, vector.width), lanes)
        row = builder.shuffle_vector(args[0], ir.Constant(kind, [-0.0] * vector.width), mask)
        return builder.call(add, [ir.Constant(DOUBLE, -0.0), row], fastmath=FLAGS)

    return types.float64(vector), codegen
