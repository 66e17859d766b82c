"""A team of threads that stand by while loops are shared: to hand a loop over takes a microsecond, not seventy.

numba wakes its threads for every loop, and an evaluation of a closure has seven of a tenth of a millisecond each. Here
threads look at a board, for as long as one integration takes, and take turns of what is on it. A loop that ends closes
the board and waits for those who are still at it. Whoever finds nothing for a while lets other processes go first, and
then sleeps.

The board is closed (0), or says how many loops there were. Who comes is counted before he looks, and the board is
closed before those inside are counted: so nobody is at a loop that is over.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir

from dynamics.support.object_code import know_machine

__all__ = ["SYMBOL", "standing_by", "team"]

WORD, CODE, BYTES = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
SHARE = ir.FunctionType(ir.VoidType(), [BYTES.as_pointer(), WORD.as_pointer(), WORD.as_pointer(), BYTES]).as_pointer()
"""What takes turns of a loop until there are none left: it reads its last argument only."""
SYMBOL = "dynamics_hand_over"
"""``hand_over(share, record)``: runs a loop with the team, and gives 1; or 0 if there is none."""

OPEN, INSIDE, PRESENT, STOP, LOOPS, TOLD, RECORD, HERE = 8, 16, 24, 32, 40, 48, 49, 56
"""Places on the board, in words; the first of it are not used, as it may begin within a line of cache."""
SPINS, YIELDS = 5_000, 500
"""Looks at the board that find nothing before other processes are let go first, and how often before sleep."""
BRIEF, LOOKS = 5e-5, 20
"""Seconds in which a thread that was started comes to stand by, and how often this is waited at most."""
NAP = 200
"""Microseconds of a sleep."""


@dataclass(frozen=True, eq=False)
class Team:
    """The board and the code around it.

    Attributes
    ----------
    board : ndarray of int64
    serve : callable
        What a member does until the team is dissolved; without the interpreter's lock.
    hand_over : int
        The address of :data:`SYMBOL`.
    kept : object
        Owns the machine code.
    """

    board: np.ndarray
    serve: Any
    hand_over: int
    kept: Any


@cache
def team() -> Team:
    """The team of this process, which has no members yet."""
    know_machine()
    board = np.zeros(64, np.int64)
    module = binding.parse_assembly(str(_module(board.ctypes.data)))
    module.verify()
    machine = binding.Target.from_default_triple().create_target_machine(opt=2, jit=True)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    serve = ctypes.CFUNCTYPE(None)(engine.get_function_address("serve"))
    found = Team(board, serve, engine.get_function_address(SYMBOL), engine)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: board.fill(0))  # members do not survive it
    binding.add_symbol(SYMBOL, found.hand_over)
    return found


_founding = threading.Lock()


@contextmanager
def standing_by(threads: int) -> Iterator[None]:
    """Within the context, this many threads share loops, with the one that comes to them; if there is a team, it."""
    members: list[threading.Thread] = []
    try:
        if threads > 1:
            with _founding:
                if not team().board[PRESENT]:
                    _found(threads - 1, members)
        yield
    finally:  # of an interrupt while it is founded too: a team of nobody would stay, in the way of any other
        if members:
            board = team().board
            board[STOP] = 1
            try:
                for member in members:
                    if member.ident is not None:
                        member.join()
            finally:
                board[PRESENT] = 0  # not before they are gone: another team would have them stay


def _found(number: int, members: list[threading.Thread]) -> None:
    """Have members come: who founds a team has them in a list, and dissolves it."""
    found = team()
    given = found.serve, _elsewhere()
    members += [threading.Thread(target=_member, args=given, daemon=True) for _ in range(number)]
    found.board[STOP] = found.board[HERE] = 0
    found.board[PRESENT] = number
    for member in members:
        member.start()
    for _ in range(LOOKS):  # they need the interpreter to begin, which a kernel would keep for itself
        if found.board[HERE] >= number:
            break
        time.sleep(BRIEF)


def _elsewhere() -> set[int]:
    """Processors for members: any but that of the thread that hands loops over; none where that cannot be told.

    Who looks at a board and lets others go first seems to have little to do. Some kernels, of virtual machines above
    all, put such threads beside a busy one to let other processors rest: then a loop is done by one of them.
    """
    if not hasattr(os, "sched_setaffinity"):
        return set()
    try:
        return os.sched_getaffinity(0) - {ctypes.CDLL(None).sched_getcpu()}
    except (OSError, AttributeError):
        return set()


def _member(serve: Any, places: set[int]) -> None:
    """What a member does: it goes to its place first, as where it began it would stand in the way of who began it."""
    if places:
        with suppress(OSError):  # not allowed: it runs where the system lets it
            os.sched_setaffinity(0, places)
    serve()


def _module(board: int) -> ir.Module:
    """The code of those who hand over, and of those who serve."""
    module = ir.Module("team")
    module.triple = binding.get_default_triple()
    _write_hand_over(_Writer(ir.Function(module, ir.FunctionType(CODE, [SHARE, BYTES]), SYMBOL), board))
    _write_serve(_Writer(ir.Function(module, ir.FunctionType(ir.VoidType(), []), "serve"), board))
    return module


class _Writer:
    """Writes instructions on the words of the board, which all threads see in one order."""

    def __init__(self, function: Any, board: int) -> None:
        self.function, self.board = function, board
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))

    def block(self, name: str) -> Any:
        return self.function.append_basic_block(name)

    def at(self, word: int) -> Any:
        return self.builder.inttoptr(WORD(self.board + 8 * word), WORD.as_pointer())

    def read(self, word: int) -> Any:
        return self.builder.load_atomic(self.at(word), "seq_cst", 8)

    def write(self, word: int, value: Any) -> None:
        self.builder.store_atomic(value, self.at(word), "seq_cst", 8)

    def add(self, word: int, number: int) -> None:
        self.builder.atomic_rmw("add", self.at(word), WORD(number), "seq_cst")

    def breathe(self) -> None:
        """What a processor is told in a loop that waits."""
        if platform.machine().lower() in ("x86_64", "amd64"):
            self.builder.call(self.known("llvm.x86.sse2.pause", ir.FunctionType(ir.VoidType(), [])), [])

    def known(self, name: str, kind: Any) -> Any:
        return self.function.module.globals.get(name) or ir.Function(self.function.module, kind, name)

    def system(self, name: str, *arguments: int) -> None:
        """A call of the system's library."""
        kind = ir.FunctionType(CODE, [CODE] * len(arguments))
        self.builder.call(self.known(name, kind), [CODE(argument) for argument in arguments])

    def give_way(self) -> None:
        self.system("SwitchToThread" if sys.platform == "win32" else "sched_yield")

    def nap(self) -> None:
        if sys.platform == "win32":
            self.give_way()
        else:
            self.system("usleep", NAP)

    def when(self, condition: Any, yes: Any, no: Any) -> None:
        """Go on in one of two blocks, and write the second one next."""
        self.builder.cbranch(condition, yes, no)
        self.builder.position_at_end(no)


def _write_hand_over(w: _Writer) -> None:
    share, record = w.function.args
    builder = w.builder
    alone, shared, wait, again, over = (w.block(name) for name in ("alone", "shared", "wait", "again", "over"))
    w.when(builder.icmp_signed("==", w.read(PRESENT), WORD(0)), alone, shared)
    w.write(TOLD, builder.ptrtoint(share, WORD))
    w.write(RECORD, builder.ptrtoint(record, WORD))
    loops = builder.add(w.read(LOOPS), WORD(1))
    w.write(LOOPS, loops)
    w.write(OPEN, loops)
    nothing = ir.Constant(SHARE.pointee.args[0], None), *[ir.Constant(WORD.as_pointer(), None)] * 2
    builder.call(share, [*nothing, record])
    w.write(OPEN, WORD(0))
    builder.branch(wait)
    builder.position_at_end(wait)
    looks = builder.phi(WORD)
    looks.add_incoming(WORD(0), shared)
    w.when(builder.icmp_signed("==", w.read(INSIDE), WORD(0)), over, again)
    w.breathe()
    with builder.if_then(builder.icmp_signed(">", looks, WORD(SPINS))):
        w.give_way()
    looks.add_incoming(builder.add(looks, WORD(1)), builder.block)
    builder.branch(wait)
    for block, code in ((over, 1), (alone, 0)):
        builder.position_at_end(block)
        builder.ret(CODE(code))


def _write_serve(w: _Writer) -> None:
    builder, entry = w.builder, w.builder.block
    w.add(HERE, 1)
    look, stay, come, busy, leave, idle, after = (
        w.block(name) for name in ("look", "stay", "come", "busy", "leave", "idle", "after")
    )
    builder.branch(look)
    builder.position_at_end(look)
    done, looks = builder.phi(WORD), builder.phi(WORD)
    for number in (done, looks):
        number.add_incoming(WORD(0), entry)
    w.when(builder.icmp_signed("!=", w.read(STOP), WORD(0)), after, stay)
    loop = w.read(OPEN)
    new = builder.and_(builder.icmp_signed("!=", loop, WORD(0)), builder.icmp_signed("!=", loop, done))
    builder.cbranch(new, come, idle)

    builder.position_at_end(come)
    w.add(INSIDE, 1)
    at = w.read(OPEN)
    w.when(builder.icmp_signed("==", at, WORD(0)), leave, busy)
    share = builder.inttoptr(w.read(TOLD), SHARE)
    nothing = ir.Constant(SHARE.pointee.args[0], None), *[ir.Constant(WORD.as_pointer(), None)] * 2
    builder.call(share, [*nothing, builder.inttoptr(w.read(RECORD), BYTES)])
    builder.branch(leave)
    builder.position_at_end(leave)
    w.add(INSIDE, -1)
    done.add_incoming(at, leave)
    looks.add_incoming(WORD(0), leave)
    builder.branch(look)

    builder.position_at_end(idle)
    w.breathe()
    long = builder.icmp_signed(">", looks, WORD(SPINS + YIELDS))
    short = builder.and_(builder.icmp_signed(">", looks, WORD(SPINS)), builder.not_(long))
    with builder.if_then(short):
        w.give_way()
    with builder.if_then(long):
        w.nap()
    done.add_incoming(done, builder.block)
    looks.add_incoming(builder.add(looks, WORD(1)), builder.block)
    builder.branch(look)

    builder.position_at_end(after)
    builder.ret_void()
