"""Compiled kernels as native functions of one signature, so that compiled loops call any of them.

A kernel takes its states, its results and arguments of its own, whose number and types differ from program to program.
Loops around it would have to be compiled anew for each. Here a few instructions are put before a kernel that is
compiled already: they read its arguments from a block of 64-bit words and jump. That takes milliseconds, and one loop,
compiled once, calls every kernel as ``code = entry(y, out, words)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from struct import pack, unpack
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

__all__ = ["Native", "call", "native", "take"]

WORD = ir.IntType(64)
POINTER = ir.IntType(8).as_pointer()
ENTRY = ir.FunctionType(ir.IntType(32), [POINTER, POINTER, WORD.as_pointer()])


@dataclass(frozen=True, eq=False)
class Native:
    """A function with its arguments, for compiled code.

    Attributes
    ----------
    address : int
        Where its entry stands.
    words : ndarray of int64
        How many numbers it reads and writes, then its arguments: numbers as they are, arrays by address and shape.
    kept : tuple
        What must live as long as this is called: the code, and the arrays that words point to.
    beside : bool
        Whether others may be called at the same time: it has no loops that run on several threads.
    places : tuple of int
        Where the words of each argument begin.
    """

    address: int
    words: NDArray[np.int64]
    kept: tuple[Any, ...]
    beside: bool
    places: tuple[int, ...]


def _call(typingctx, address, y, out, words):
    """Call a native function on arrays: 0, or the code of an error."""

    def codegen(context, builder, signature, args):
        pointers = [
            builder.bitcast(context.make_array(kind)(context, builder, array).data, wanted)
            for kind, array, wanted in zip(signature.args[1:], args[1:], ENTRY.args, strict=True)
        ]
        code = builder.call(builder.inttoptr(args[0], ENTRY.as_pointer()), pointers)
        return builder.sext(code, WORD)

    return types.int64(address, y, out, words), codegen


def _take(typingctx, queue):
    """The number at the head of a queue shared by threads, which moves on by one."""

    def codegen(context, builder, signature, args):
        head = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", head, WORD(1), "monotonic")

    return types.int64(queue), codegen


call: Any = intrinsic(_call)
take: Any = intrinsic(_take)


def native(function: Any, arguments: tuple[Any, ...], reads: int, writes: int) -> Native:
    """A compiled function of (y, out, *arguments) as a native one.

    Parameters
    ----------
    function : numba dispatcher
    arguments : tuple of ndarray, float and int
        Arrays are contiguous, of float64 or int64.
    reads, writes : int
        Numbers of y and of out.
    """
    address, library = _entry(function, tuple(map(_kind, arguments)))
    words: list[int] = [reads, writes]
    places = []
    for argument in arguments:
        places.append(len(words))
        if isinstance(argument, np.ndarray):
            words += [argument.__array_interface__["data"][0], *argument.shape]
        elif isinstance(argument, float):
            words.append(unpack("q", pack("d", argument))[0])
        else:
            words.append(int(argument))
    beside = bool(function.targetoptions.get("nogil", False))
    return Native(address, np.array(words, dtype=np.int64), (function, library, arguments), beside, tuple(places))


def _kind(argument: Any) -> Any:
    """What decides how an argument is passed."""
    return (argument.dtype.char, argument.ndim) if isinstance(argument, np.ndarray) else type(argument)


@cache
def _entry(function: Any, given: tuple[Any, ...]) -> tuple[int, Any]:
    """The address of the entry of a function that takes arguments of some kinds, and the library that holds it."""
    numbers = {float: types.float64, int: types.int64}
    kinds = [
        types.Array(from_dtype(np.dtype(kind[0])), kind[1], "C") if isinstance(kind, tuple) else numbers[kind]
        for kind in given
    ]
    vector = types.Array(types.float64, 1, "C")
    signature = (vector, vector, *kinds)
    if signature not in function.overloads:
        function.compile(signature)
    compiled = function.overloads[signature]
    context = compiled.target_context
    target = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)

    library = context.codegen().create_library("entry")
    module = library.create_ir_module("entry")
    entry = ir.Function(module, ENTRY, f"entry.{compiled.fndesc.llvm_func_name}")
    builder = ir.IRBuilder(entry.append_basic_block())
    position = 0

    def word() -> Any:
        nonlocal position
        position += 1
        return builder.load(builder.gep(entry.args[2], [WORD(position - 1)]))

    def array(kind: Any, data: Any, shape: list[Any]) -> Any:
        made = context.make_array(kind)(context, builder)
        strides: list[Any] = []
        step = WORD(8)
        for size in reversed(shape):
            strides.insert(0, step)
            step = builder.mul(step, size)
        size = WORD(1)
        for extent in shape:
            size = builder.mul(size, extent)
        made.data = builder.bitcast(data, made.data.type)
        made.shape, made.strides = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
        made.itemsize, made.nitems = WORD(8), size
        made.meminfo, made.parent = (cgutils.get_null_value(field.type) for field in (made.meminfo, made.parent))
        return made._getvalue()

    values = [array(vector, pointer, [word()]) for pointer in entry.args[:2]]
    for kind in kinds:
        if isinstance(kind, types.Array):
            data = builder.inttoptr(word(), POINTER)
            values.append(array(kind, data, [word() for _ in range(kind.ndim)]))
        else:
            values.append(builder.bitcast(word(), ir.DoubleType()) if kind == types.float64 else word())
    result = compiled.signature.return_type
    called = context.call_conv.get_function_type(result, signature)
    places = [cgutils.alloca_once(builder, pointer.pointee) for pointer in called.args[:2]]  # its result, its exception
    flat = context.get_arg_packer(signature).as_arguments(builder, values)
    code = builder.call(builder.inttoptr(WORD(target), called.as_pointer()), [*places, *flat])
    nothing = builder.icmp_signed("==", code, RETCODE_NONE)  # what functions without a result give
    builder.ret(builder.select(nothing, ir.Constant(code.type, 0), code))
    with global_compiler_lock:
        library.add_ir_module(module)
        library.finalize()
    return library.get_pointer_to_function(entry.name), library
