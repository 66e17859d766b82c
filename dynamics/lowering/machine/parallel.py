"""Loops on several threads, written in LLVM's language: numba's own take ten times as long to compile.

The body of such a loop becomes a function of its own, which finds what it reads of its surroundings in a record. Each
of numba's threads calls it for one turn after the other, and takes the next that nobody has taken: which thread takes
which turn changes nothing, as turns are independent. Where there is one thread only, there is nothing to hand over;
where a team stands by (:mod:`dynamics.lowering.machine.team`), it takes the place of numba's threads.

Turns are taken from queues, one for each thread in the order in which they come, and of others when that is empty. So
the thread that hands loops over, which comes first, does the first turns of all of them, unless it is late: what it
writes in one loop is what it reads in the next, and lies in its own cache. To fetch it from another takes longer than
to compute it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from dynamics.lowering.machine.team import SYMBOL, team

__all__ = ["in_turns", "on_threads"]

WORD, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
ALIGNED = 64
"""Bytes of a line of cache: the counters that all threads move have one of their own."""
QUEUES = 5
"""Queues of a loop at most: with three more numbers they are a line of cache. More threads than this share them."""
ARRIVED, TURNS, QUEUED, HEADS, VALUES = range(5)
"""Places in a record: threads that have come, turns, queues, of each the turns that are taken; then what is read."""


def start_threads() -> None:
    """Start numba's threads, if they do not run: also where machine code comes from a cache."""
    from numba.np.ufunc.parallel import _launch_threads

    from dynamics.support.threads import choose_layer

    choose_layer()
    _launch_threads()
    team()


def on_threads(
    context: Any,
    builder: Any,
    turns: Any,
    values: Sequence[Any],
    body: Callable[[Any, Any, Sequence[Any]], None],
) -> None:
    """Write a loop whose turns may run side by side.

    Parameters
    ----------
    context, builder
        numba's target context, and LLVM's builder where the loop stands.
    turns
        How many there are, a whole number of 64 bits.
    values
        What the body reads of its surroundings.
    body : callable
        ``body(builder, turn, values)`` writes a turn in a function of its own, with the same values as that function
        sees them.
    """
    start_threads()
    context.active_code_library._reload_init.add(start_threads)
    asked = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORD, []), "get_num_threads")
    threads = builder.call(asked, [])
    few = builder.icmp_signed("<", threads, WORD(QUEUES))
    heads = ir.ArrayType(WORD, QUEUES)
    record = ir.LiteralStructType([WORD, WORD, WORD, heads, *(value.type for value in values)])
    place = cgutils.alloca_once(builder, record)
    place.align = ALIGNED
    for k, value in enumerate((WORD(0), turns, builder.select(few, threads, WORD(QUEUES)), heads(None), *values)):
        builder.store(value, cgutils.gep_inbounds(builder, place, 0, k))
    share = outlined(context, builder.module, record, builder.function, body)

    # What numba's threads are told: each gets one item of an array that is not there.
    nothing, one = (cgutils.alloca_once(builder, kind) for kind in (BYTES, WORD))
    builder.store(BYTES(None), nothing)
    builder.store(WORD(1), one)
    items = cgutils.alloca_once_value(builder, threads)
    pointer = builder.bitcast(place, BYTES)
    with builder.if_else(builder.icmp_signed(">", threads, WORD(1))) as (many, alone):
        with many:
            code = ir.IntType(32)
            hand_over = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(code, [share.type, BYTES]), SYMBOL
            )
            done = builder.call(hand_over, [share, pointer])
            with builder.if_then(builder.icmp_signed("==", done, code(0))):
                kind = ir.FunctionType(ir.VoidType(), [BYTES] * 5 + [WORD] * 3)
                launch = cgutils.get_or_insert_function(builder.module, kind, "numba_parallel_for")
                told = [builder.bitcast(each, BYTES) for each in (share, nothing, items, one)]
                builder.call(launch, [*told, pointer, WORD(0), WORD(1), threads])
        with alone:
            builder.call(share, [nothing, items, one, pointer])


def outlined(context: Any, module: Any, record: Any, around: Any, body: Callable[..., None]) -> Any:
    """What a thread calls: a function that takes turns until there are none left, and another one for a turn."""
    number = sum(1 for function in module.functions if function.name.startswith(around.name))
    # A turn has the arguments that numba's functions have, as what it calls hands its errors on in one of them.
    errors = around.args[1].type
    kind = ir.FunctionType(ir.IntType(32), [BYTES, errors, WORD, record.as_pointer()])
    turn_of = ir.Function(module, kind, f"{around.name}.turn{number}")
    turn_of.linkage = "internal"
    builder = ir.IRBuilder(turn_of.append_basic_block("entry"))
    place = turn_of.args[3]
    values = [builder.load(cgutils.gep_inbounds(builder, place, 0, k)) for k in range(VALUES, len(record.elements))]
    body(builder, turn_of.args[2], values)
    builder.ret(ir.IntType(32)(0))

    kind = ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), WORD.as_pointer(), WORD.as_pointer(), BYTES])
    share = ir.Function(module, kind, f"{around.name}.share{number}")
    share.linkage = "internal"
    share.attributes.add("noinline")  # sums of code that one thread alone runs might have another order
    builder = ir.IRBuilder(share.append_basic_block("entry"))
    place = builder.bitcast(share.args[3], record.as_pointer())
    turns, queues = (builder.load(cgutils.gep_inbounds(builder, place, 0, k)) for k in (TURNS, QUEUED))
    error = cgutils.alloca_once(builder, errors.pointee, zfill=True)
    came = builder.atomic_rmw("add", cgutils.gep_inbounds(builder, place, 0, ARRIVED), WORD(1), "monotonic")
    start, queue, again, inside, after, over = (
        share.append_basic_block(name) for name in ("start", "queue", "next", "turn", "after", "over")
    )
    builder.branch(start)
    builder.position_at_end(start)
    tried = builder.phi(WORD)
    tried.add_incoming(WORD(0), share.entry_basic_block)
    builder.cbranch(builder.icmp_signed("<", tried, queues), queue, over)
    builder.position_at_end(queue)
    own = builder.urem(builder.add(came, tried), queues)
    head = cgutils.gep_inbounds(builder, place, 0, HEADS, own)
    first, last = (builder.udiv(builder.mul(at, turns), queues) for at in (own, builder.add(own, WORD(1))))
    builder.branch(again)
    builder.position_at_end(again)
    taken = builder.add(first, builder.atomic_rmw("add", head, WORD(1), "monotonic"))
    builder.cbranch(builder.icmp_signed("<", taken, last), inside, after)
    builder.position_at_end(inside)
    builder.call(turn_of, [BYTES(None), error, taken, place])
    builder.branch(again)
    builder.position_at_end(after)
    tried.add_incoming(builder.add(tried, WORD(1)), after)
    builder.branch(start)
    builder.position_at_end(over)
    builder.ret_void()
    return share


def in_turns(turn: Any) -> Any:
    """An intrinsic that calls a compiled function for each of some turns, on all threads.

    Parameters
    ----------
    turn : numba dispatcher
        ``turn(k, *arguments)``, which gives nothing; turns are independent.

    Returns
    -------
    intrinsic
        ``run(turns, arguments)`` with a tuple of arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> @njit
    ... def square(k, x, out):
    ...     out[k] = x[k] ** 2
    >>> squares = in_turns(square)
    >>> @njit
    ... def squared(x, out):
    ...     squares(x.size, (x, out))
    >>> out = np.empty(3)
    >>> squared(np.arange(3.0), out)
    >>> out
    array([0., 1., 4.])
    """

    def run(typingctx, turns, arguments):
        def codegen(context: Any, builder: Any, signature: Any, args: Sequence[Any]) -> Any:
            def body(inner: Any, k: Any, values: Sequence[Any]) -> None:
                kind = context.typing_context.resolve_value_type(turn)
                found = kind.get_call_type(context.typing_context, (types.int64, *arguments), {})
                called = context.get_function(kind, found)
                context.add_linking_libs(getattr(called, "libs", ()))
                called(inner, [k, *values])

            on_threads(context, builder, args[0], cgutils.unpack_tuple(builder, args[1]), body)
            return context.get_dummy_value()

        return types.void(types.int64, arguments), codegen

    return intrinsic(run)
