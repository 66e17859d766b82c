"""How compiled functions are called by address: from numba's code, and through entries of one signature.

A kernel takes its states, its results and arguments of its own, whose number and types differ from program to program.
Loops around it would have to be compiled anew for each. Here a few instructions are put before a function that is
compiled already: they read its arguments from a block of 64-bit words and jump. That takes milliseconds, and one loop,
compiled once, calls every kernel as ``code = entry(y, out, words)``.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callconv import RETCODE_NONE
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from dynamics.support.machine_code import image_of

__all__ = ["Compiled", "call", "take"]

WORD, STATUS = ir.IntType(64), ir.IntType(32)
POINTER = ir.IntType(8).as_pointer()
ENTRY = ir.FunctionType(STATUS, [POINTER, POINTER, WORD.as_pointer()])
FAILED = -1
"""What an entry gives for a function with a result that raised an error."""


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


class Compiled:
    """A numba function for arguments of some kinds, compiled, and the entry that is put before it.

    Parameters
    ----------
    function : numba dispatcher
    given : tuple
        The kinds of its arguments: a letter of NumPy and the dimensions of an array, ``float`` or ``int``.
    vectors : int
        How many arguments, the first, are vectors that the entry is handed; the others are in the block of words.
    """

    def __init__(self, function: Any, given: tuple[Any, ...], vectors: int) -> None:
        numbers = {float: types.float64, int: types.int64}
        self.vectors = vectors
        self.kinds = [
            types.Array(from_dtype(np.dtype(kind[0])), kind[1], "C") if isinstance(kind, tuple) else numbers[kind]
            for kind in given
        ]
        self.signature = (types.Array(types.float64, 1, "C"),) * vectors + tuple(self.kinds)
        if self.signature not in function.overloads:
            function.compile(self.signature)
        self.compiled = function.overloads[self.signature]
        self.own = self.compiled.fndesc.llvm_func_name
        self.name = f"entry.{self.own}"
        self.beside = bool(function.targetoptions.get("nogil", False))

    def images(self) -> tuple[bytes, bytes] | None:
        """The object files of the function and of its entry; None if they are not to be had."""
        image = image_of(self.compiled.library)
        if image is None:
            return None
        with global_compiler_lock:
            module = llvm.parse_assembly(str(self.entry(None)))
            machine = self.compiled.target_context.codegen()._tm
            try:
                passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
            except AttributeError:  # an llvmlite of before
                return None
            passes.getModulePassManager().run(module, passes)
            return image, machine.emit_object(module)

    def loaded(self) -> tuple[int, Any]:
        """Where the entry stands, loaded by numba, and the library that holds it."""
        library = self.compiled.target_context.codegen().create_library("entry")
        target = self.compiled.library.get_pointer_to_function(self.own)
        with global_compiler_lock:
            library.add_ir_module(self.entry(target))
            library.finalize()
        return library.get_pointer_to_function(self.name), library

    def entry(self, target: int | None) -> Any:
        """The code of the entry of a function that stands at an address, or is found by its name."""
        context, kinds, signature = self.compiled.target_context, self.kinds, self.signature
        module = context.codegen().create_library("entry").create_ir_module("entry")
        entry = ir.Function(module, ENTRY, self.name)
        builder = ir.IRBuilder(entry.append_basic_block())
        position = 0

        def word() -> Any:
            nonlocal position
            position += 1
            return builder.load(builder.gep(entry.args[2], [WORD(position - 1)]))

        def array(kind: Any, data: Any, shape: list[Any]) -> Any:
            made = context.make_array(kind)(context, builder)
            each = kind.dtype.bitwidth // 8
            strides: list[Any] = []
            step = WORD(each)
            for size in reversed(shape):
                strides.insert(0, step)
                step = builder.mul(step, size)
            size = WORD(1)
            for extent in shape:
                size = builder.mul(size, extent)
            made.data = builder.bitcast(data, made.data.type)
            made.shape, made.strides = cgutils.pack_array(builder, shape), cgutils.pack_array(builder, strides)
            made.itemsize, made.nitems = WORD(each), size
            made.meminfo, made.parent = (cgutils.get_null_value(field.type) for field in (made.meminfo, made.parent))
            return made._getvalue()

        values = [
            array(kind, pointer, [word()])
            for kind, pointer in zip(signature[: self.vectors], entry.args[:2], strict=False)
        ]
        for kind in kinds:
            if isinstance(kind, types.Array):
                data = builder.inttoptr(word(), POINTER)
                values.append(array(kind, data, [word() for _ in range(kind.ndim)]))
            else:
                values.append(builder.bitcast(word(), ir.DoubleType()) if kind == types.float64 else word())
        result = self.compiled.signature.return_type
        called = context.call_conv.get_function_type(result, signature)
        places = [cgutils.alloca_once(builder, pointer.pointee) for pointer in called.args[:2]]  # result, exception
        flat = context.get_arg_packer(signature).as_arguments(builder, values)
        function = (
            ir.Function(module, called, self.own)
            if target is None
            else builder.inttoptr(WORD(target), called.as_pointer())
        )
        code = builder.call(function, [*places, *flat])
        if result == types.none:
            nothing = builder.icmp_signed("==", code, RETCODE_NONE)  # what functions without a result give
            builder.ret(builder.select(nothing, STATUS(0), code))
        else:
            given = builder.trunc(builder.load(places[0]), STATUS)
            builder.ret(builder.select(builder.icmp_signed("==", code, STATUS(0)), given, STATUS(FAILED)))
        return module
