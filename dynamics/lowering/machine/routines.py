"""Generated modules of several functions to LLVM's language: conditional loops, jumps, functions that give numbers.

The integrators of many cells are modules whose functions call each other. Each becomes a function of LLVM's beside the
kernel that calls it, so that numba sees one instruction, as with kernels alone
(:mod:`dynamics.lowering.machine.direct`). Functions marked with ``**INLINE`` are put into their callers, the others
never: one loop over lanes stays what the compiler looks at.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dynamics.lowering.machine.direct import FLOAT, INT, WORD, Unsupported, Value, View, Writer, roots_of

__all__ = ["body_of", "routines_of"]

STATUS = ir.IntType(32)
ALIGNED = 64
"""Bytes of the largest vector, and of a line of cache."""


def routines_of(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """The functions of a module that its kernel calls."""
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name != "kernel"}


def body_of(kernel: ast.FunctionDef, names: Mapping[str, Any], routines: Mapping[str, ast.FunctionDef]) -> Any:
    """The body of a function as an intrinsic of numba of the same arguments.

    Parameters
    ----------
    kernel
        The function, which gives nothing.
    names
        What the names of its module stand for.
    routines
        Functions of its module that it may call, by name.
    """
    arguments = [argument.arg for argument in kernel.args.args]

    def typed(*kinds: Any) -> tuple[Any, Callable[..., Any]]:
        def codegen(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
            for argument in builder.function.args:
                if isinstance(argument.type, ir.PointerType):
                    argument.add_attribute("noalias")
            given = dict(zip(arguments, zip(signature.args, args, strict=True), strict=True))
            writer = Routine(context, builder, names, given, roots_of(kernel))
            writer.routines = routines
            writer.whole(kernel.body)
            return context.get_dummy_value()

        return types.void(*kinds), codegen

    told = f"def body(typingctx, {', '.join(arguments)}):\n    return typed({', '.join(arguments)})\n"
    own = {"typed": typed}
    exec(told, own)
    return intrinsic(own["body"])


def result_of(routine: ast.FunctionDef) -> Any:
    """What a function gives: numbers, of whole ones if it says so; nothing if it gives nothing."""
    given = [node.value for node in ast.walk(routine) if isinstance(node, ast.Return) and node.value is not None]
    if not given:
        return None
    number = INT if isinstance(routine.returns, ast.Name) and routine.returns.id == "int" else FLOAT
    sizes = {len(value.elts) if isinstance(value, ast.Tuple) else 0 for value in given}
    if len(sizes) > 1:
        raise Unsupported(f"{routine.name} gives sometimes more")
    (size,) = sizes
    return types.UniTuple(number, size) if size else number


def flat(given: Sequence[Value | View]) -> list[Any]:
    """What is handed over, one after the other: of an array where it stands, and its shape."""
    return [part for one in given for part in ((one.data, *one.shape) if isinstance(one, View) else (one.value,))]


class Routine(Writer):
    """Writes the instructions of one function, and of those that it calls."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.routines: Mapping[str, ast.FunctionDef] = {}
        self.written: dict[tuple[Any, ...], Any] = {}
        self.leave: Any = None
        self.result: tuple[Any, Any] | None = None

    def whole(self, body: Sequence[ast.stmt]) -> None:
        """A function's body; afterwards the builder stands where all ways out of it meet."""
        self.leave = self.builder.append_basic_block("leave")
        self.block(body)
        self.go(self.leave)
        self.builder.position_at_end(self.leave)

    # -- jumps --------------------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            if self.builder.block.is_terminated:
                return
            super().block([statement])

    def on_While(self, node: ast.While) -> None:
        if node.orelse:
            raise Unsupported(ast.unparse(node))
        builder = self.builder
        head, inside, after = (builder.append_basic_block(f"while.{part}") for part in ("head", "in", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        builder.cbranch(self.truth(node.test), inside, after)
        builder.position_at_end(inside)
        self.jumps.append((head, after))
        self.block(node.body)
        self.jumps.pop()
        self.go(head)
        builder.position_at_end(after)

    def on_Continue(self, node: ast.Continue) -> None:
        self.jump(0)

    def on_Break(self, node: ast.Break) -> None:
        self.jump(1)

    def jump(self, way: int) -> None:
        if not self.jumps:  # the turns of a loop on several threads are functions of their own
            raise Unsupported("a jump out of what a thread does")
        self.builder.branch(self.jumps[-1][way])

    def on_Return(self, node: ast.Return) -> None:
        if self.leave.function is not self.builder.function:
            raise Unsupported("a way out of what a thread does")
        if node.value is not None:
            if self.result is None:
                raise Unsupported(ast.unparse(node))
            kind, place = self.result
            self.builder.store(self.cast(self.value(node.value), kind).value, place)
        self.builder.branch(self.leave)

    # -- numbers together ---------------------------------------------------------------------------------------------

    def on_Assign(self, node: ast.Assign) -> None:
        (target,) = node.targets
        space = self.space(node.value) if isinstance(target, ast.Name) else None
        if isinstance(target, ast.Name) and space is not None:
            self.views[target.id] = space
        else:
            super().on_Assign(node)

    def parts(self, node: ast.expr) -> list[Value]:
        if isinstance(node, ast.Tuple):
            return super().parts(node)
        found = self.value(node)
        if not isinstance(found.kind, types.UniTuple):
            raise Unsupported(ast.unparse(node))
        return [self.part_of(found, k) for k in range(found.kind.count)]

    def part_of(self, found: Value, k: int) -> Value:
        return Value(found.kind.dtype, self.builder.extract_value(found.value, k))

    def of_Tuple(self, node: ast.Tuple) -> Value:
        values = list(map(self.value, node.elts))
        number = INT if all(one.kind == INT for one in values) else FLOAT
        kind = types.UniTuple(number, len(values))
        return Value(
            kind, self.context.make_tuple(self.builder, kind, [self.cast(one, number).value for one in values])
        )

    def of_Subscript(self, node: ast.Subscript) -> Value:
        at = node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int) else None
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            view = self.views.get(node.value.value.id) if isinstance(node.value.value, ast.Name) else None
            if view is None or at is None:
                raise Unsupported(ast.unparse(node))
            return Value(INT, view.shape[at])
        if isinstance(node.value, ast.Name) and node.value.id in self.variables:
            found = self.value(node.value)
            if not isinstance(found.kind, types.UniTuple) or at is None:
                raise Unsupported(ast.unparse(node))
            return self.part_of(found, at)
        return super().of_Subscript(node)

    def of_Attribute(self, node: ast.Attribute) -> Value:
        if node.attr == "size" and isinstance(node.value, ast.Name) and node.value.id in self.views:
            size: Any = WORD(1)
            for extent in self.views[node.value.id].shape:
                size = self.counted("mul", size, extent)
            return Value(INT, size)
        return super().of_Attribute(node)

    def cast(self, found: Value, kind: Any) -> Value:
        if isinstance(kind, types.Integer) and isinstance(types.unliteral(found.kind), types.Integer):
            return Value(kind, self.context.cast(self.builder, found.value, types.unliteral(found.kind), kind))
        return super().cast(found, kind)

    # -- memory of one's own ------------------------------------------------------------------------------------------

    def space(self, node: ast.expr) -> View | None:
        """``np.zeros`` of a size that is written out, if that is what is written: on the stack, for this function."""
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "np.zeros"):
            return None
        size = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
        if not isinstance(size, int):
            return None
        entry = INT if len(node.args) > 1 else FLOAT
        place = cgutils.alloca_once(self.builder, ir.ArrayType(self.context.get_value_type(entry), size), zfill=True)
        place.align = ALIGNED
        return View(entry, cgutils.gep_inbounds(self.builder, place, 0, 0), (WORD(size),))

    # -- calls --------------------------------------------------------------------------------------------------------

    def of_Call(self, node: ast.Call) -> Value:
        if ast.unparse(node.func) == "np.int64":
            found = self.value(node.args[0])
            whole = self.builder.fptosi(found.value, WORD) if found.kind == FLOAT else self.cast(found, INT).value
            return Value(INT, whole)
        if not (isinstance(node.func, ast.Name) and node.func.id in self.routines):
            return super().of_Call(node)
        routine = self.routines[node.func.id]
        given: list[Value | View] = []
        for argument in node.args:
            view = self.view(argument)
            given.append(self.value(argument) if view is None else view)
        kind = result_of(routine)
        number = self.context.get_value_type(FLOAT if kind is None else kind)
        place = cgutils.alloca_once(self.builder, number)
        function = self.function(routine, given, number)
        self.builder.call(function, [place, self.builder.function.args[1], *flat(given)])
        return Value(types.none, None) if kind is None else Value(kind, self.builder.load(place))

    def function(self, routine: ast.FunctionDef, given: Sequence[Value | View], number: Any) -> Any:
        """LLVM's function of a routine for arguments like these, written at its first call.

        Its arguments begin as those of numba's functions do, as what it calls hands its errors on in the second.
        """
        like = tuple((one.entry, len(one.shape)) if isinstance(one, View) else one.kind for one in given)
        if (routine.name, like) in self.written:
            return self.written[routine.name, like]
        errors = self.builder.function.args[1].type
        kind = ir.FunctionType(STATUS, [number.as_pointer(), errors, *(part.type for part in flat(given))])
        module = self.builder.module
        name = f"{self.names['__name__']}.{routine.name}.{len(self.written)}"
        function = self.written[routine.name, like] = ir.Function(module, kind, name)
        function.linkage = "internal"
        inline = any("INLINE" in ast.unparse(decorator) for decorator in routine.decorator_list)
        function.attributes.add("alwaysinline" if inline else "noinline")
        for argument in function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")

        inner = type(self)(self.context, ir.IRBuilder(function.append_basic_block("entry")), self.names, {}, ())
        inner.routines, inner.written = self.routines, self.written
        parts = iter(function.args[2:])
        for argument, one in zip(routine.args.args, given, strict=True):
            if isinstance(one, View):
                inner.views[argument.arg] = View(one.entry, next(parts), tuple(next(parts) for _ in one.shape))
            else:
                inner.assign(argument.arg, Value(one.kind, next(parts)))
        wanted = result_of(routine)
        inner.result = None if wanted is None else (wanted, function.args[0])
        inner.whole(routine.body)
        inner.builder.ret(STATUS(0))
        return function
