"""Third pass: loop nests.

Consecutive statements share a loop where that is legal: for every tensor that one of them writes and another touches,
each iteration must stay in its own slice. What a single nest computes and consumes then stays in cache, or in a
register.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from sympy import Indexed, Symbol

from derivations.program import Access, Program, name_of, subscript
from dynamics.lowering.contractions import Product, Step
from dynamics.lowering.statements import Statement


@dataclass(frozen=True)
class Loop:
    """``for index in range(extent)`` around a body."""

    index: Symbol
    body: tuple[Node, ...]


@dataclass(frozen=True)
class Chunked:
    """A body whose iterations over one index are independent: it may run in chunks of that index, in parallel.

    Inside, loops over the index run over one chunk; they may stand at any depth.
    """

    index: Symbol
    body: tuple[Node, ...]


Node = Loop | Chunked | Statement | Product


def independent(first: Sequence[Statement], second: Statement, index: Symbol) -> bool:
    """Whether the second statement may join the first ones in a loop over the index."""
    for s in first:
        for name in ({s.writes} & ({second.writes} | second.reads)) | ({second.writes} & s.reads):
            touching = [a for x in (s, second) for a in (x.target, *x.read_accesses) if name_of(a) == name]
            if aligned(touching, index):
                continue
            only_accumulated = all(
                x.op != "=" and name not in {name_of(a) for a in x.read_accesses if a != x.target}
                for x in (s, second)
                if name in {x.writes} | x.reads
            )
            if not (only_accumulated and s.op == second.op):
                return False
    return True


def aligned(touching: Sequence[Access], index: Symbol) -> bool:
    """Whether all accesses have the index as the same subscript, so that each iteration stays in its own slice."""
    where = [{p for p, sub in enumerate(subscript(a)) if sub == index} for a in touching]
    return bool(where) and bool(set.intersection(*where))


def loop_order(s: Statement, program: Program) -> tuple[Symbol, ...]:
    """The order of a statement's loops that walks memory best: last subscripts innermost, owners before ragged ones."""
    rank = list(program.extents)
    touched = [subscript(a) for a in (s.target, *s.read_accesses)]

    def legal(order: tuple[Symbol, ...]) -> bool:
        for index in order:
            extent = program.extents[index]
            if isinstance(extent, Indexed):
                owners = [x for x in extent.free_symbols if x in order]
                if any(order.index(x) > order.index(index) for x in owners):
                    return False
        return True

    def cost(order: tuple[Symbol, ...]) -> tuple[int, ...]:
        inversions = 0
        for subs in touched:
            places = [[order.index(x) for x in sub.free_symbols if x in order] for sub in subs]
            flat = [(p, place) for p, found in enumerate(places) for place in found]
            inversions += sum(1 for p, a in flat for r, b in flat if p < r and a > b)
        return (inversions, *(rank.index(x) for x in order))

    return min(filter(legal, permutations(s.space)), key=cost)


def nest(statements: Sequence[Statement], program: Program, opened: tuple[Symbol, ...] = ()) -> tuple[Node, ...]:
    """Loop nests over statements in order, fused where consecutive statements begin with the same loop."""
    nodes: list[Node] = []
    k = 0
    while k < len(statements):
        rest = tuple(x for x in loop_order(statements[k], program) if x not in opened)
        if not rest:
            nodes.append(statements[k])
            k += 1
            continue
        index = rest[0]
        run = [statements[k]]
        for s in statements[k + 1 :]:
            order = tuple(x for x in loop_order(s, program) if x not in opened)
            if not order or order[0] != index or not independent(run, s, index):
                break
            run.append(s)
        nodes.append(Loop(index, nest(run, program, (*opened, index))))
        k += len(run)
    return tuple(nodes)


def schedule(steps: Sequence[Step], program: Program) -> tuple[Node, ...]:
    """The whole kernel: products between runs of statements, each run chunked over the index that carries it furthest.

    A step may move ahead of others that neither feed it nor read what it writes.
    """
    nodes: list[Node] = []
    left = list(steps)
    while left:
        step = left[0]
        if isinstance(step, Product):
            nodes.append(step)
            left.pop(0)
            continue
        runs = [(index, chunkable(left, index)) for index in step.space if plain_extent(index, program)]
        index, run = max(runs, key=lambda found: len(found[1]), default=(None, []))
        if run and index is not None:
            nodes.append(Chunked(index, nest(run, program)))
        else:
            run = serial(left, program)
            nodes.extend(nest(run, program))
        taken = {id(s) for s in run}
        left = [s for s in left if id(s) not in taken]
    return tuple(nodes)


def plain_extent(index: Symbol, program: Program) -> bool:
    return not isinstance(program.extents[index], Indexed)


def conflict(first: Step, second: Step) -> bool:
    """Whether two steps must keep their order."""
    return bool({first.writes} & ({second.writes} | second.reads)) or second.writes in first.reads


def chunkable(steps: Sequence[Step], index: Symbol) -> list[Statement]:
    """From the first step on, all statements that can run chunk by chunk of the index, each writing its own slice."""
    run: list[Statement] = []
    passed: list[Step] = []
    for step in steps:
        # Sums may be added up in any order, but not by two chunks at one time.
        own = [s.target for s in run if s.writes == step.writes]
        joins = isinstance(step, Statement) and aligned([*own, step.target], index) and independent(run, step, index)
        if joins and not any(conflict(earlier, step) for earlier in passed):
            run.append(step)  # type: ignore[arg-type]
        elif not run:
            break
        else:
            passed.append(step)
    return [s for s in run if s is steps[0] or not idle_start(s, run)]


def idle_start(s: Statement, run: Sequence[Statement]) -> bool:
    """Whether a statement only sets an initial value that nothing in the run takes up; it stays where it is used."""
    return s.op == "=" and s.expr.is_number and not any(s.writes in t.reads for t in run)


def serial(steps: Sequence[Step], program: Program) -> list[Statement]:
    """The first statements, up to the next product or the next one that can be chunked."""
    run: list[Statement] = []
    for k, step in enumerate(steps):
        if not isinstance(step, Statement):
            break
        if run and any(chunkable(steps[k:], index) for index in step.space if plain_extent(index, program)):
            break
        run.append(step)
    return run
