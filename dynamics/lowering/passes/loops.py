"""Third pass: loop nests.

Consecutive statements share a loop where that is legal: for every tensor that one of them writes and another touches,
each iteration must stay in its own slice. What a single nest computes and consumes then stays in cache, or in a
register.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, permutations

from sympy import Expr, Indexed, Symbol

from derivations.program.access import Access, name_of, subscript
from derivations.program.language import conjuncts
from derivations.program.program import Program
from dynamics.lowering.passes.contractions import Product, Step
from dynamics.lowering.passes.statements import Statement


@dataclass(frozen=True)
class Loop:
    """``for index in range(extent)`` around a body."""

    index: Symbol
    body: tuple[Node, ...]

    def __str__(self) -> str:
        return written(f"for {self.index}:", self.body)


@dataclass(frozen=True)
class Chunked:
    """A body whose iterations over one index are independent: it may run in chunks of that index, in parallel.

    Inside, loops over the index run over one chunk; they may stand at any depth. What is in ``shared`` is added up by
    all chunks: in parallel, each has its own part, and the parts are added in order.
    """

    index: Symbol
    body: tuple[Node, ...]
    shared: tuple[str, ...] = ()

    def __str__(self) -> str:
        shared = f", which add to {', '.join(self.shared)}" if self.shared else ""
        return written(f"in chunks of {self.index}{shared}:", self.body)


@dataclass(frozen=True)
class Short:
    """A statement at every point of some short loops (index, size), which it does not share with others."""

    statement: Statement
    sizes: tuple[tuple[Symbol, int], ...]

    @property
    def space(self) -> tuple[Symbol, ...]:
        return tuple(index for index, _ in self.sizes)

    def __str__(self) -> str:
        return f"{self.statement}, all {' x '.join(f'{size} {index}' for index, size in self.sizes)} at once"


Node = Loop | Chunked | Short | Statement | Product


def written(head: str, body: Sequence[Node]) -> str:
    """A loop as text, its body indented."""
    return "\n".join([head, *(f"    {line}" for node in body for line in str(node).splitlines())])


class Run:
    """Statements that share a loop over an index, by the names that they touch: what joins them meets no others."""

    def __init__(self, index: Symbol, statements: Iterable[Statement] = ()) -> None:
        self.index = index
        self.statements: list[Statement] = []
        self.writers: dict[str, list[Statement]] = {}
        self.readers: dict[str, list[Statement]] = {}
        for s in statements:
            self.append(s)

    def append(self, s: Statement) -> None:
        self.statements.append(s)
        self.writers.setdefault(s.writes, []).append(s)
        for name in s.reads:
            self.readers.setdefault(name, []).append(s)

    def takes(self, second: Statement) -> bool:
        """Whether a statement may join: of all that both touch, each iteration stays in its own slice or adds up."""
        met = [(name, s) for name in {second.writes, *second.reads} for s in self.writers.get(name, ())]
        met += [(second.writes, s) for s in self.readers.get(second.writes, ())]
        return all(independent(s, second, name, self.index) for name, s in met)


def independent(s: Statement, second: Statement, name: str, index: Symbol) -> bool:
    """Whether two statements may share a loop over an index although one of them writes a tensor that both touch."""
    if aligned([*s.touched.get(name, ()), *second.touched.get(name, ())], index):
        return True
    added_up = all(
        x.op != "=" and all(a == x.target for a in x.read_accesses if name_of(a) == name)
        for x in (s, second)
        if name in x.touched
    )
    return added_up and s.op == second.op


def aligned(touching: Sequence[Access], index: Symbol) -> bool:
    """Whether all accesses have the index as the same subscript, so that each iteration stays in its own slice."""
    where = [{p for p, sub in enumerate(subscript(a)) if sub == index} for a in touching]
    return bool(where) and bool(set.intersection(*where))


@lru_cache(maxsize=1 << 14)
def loop_order(s: Statement, program: Program) -> tuple[Symbol, ...]:
    """The order of a statement's loops that walks memory best: last subscripts innermost, owners before ragged ones.

    A loop over examples is around all others, so that all of them fuse. Where examples have rows of their own lengths,
    their loops stand in the order of the program's extents.
    """
    rank = list(program.extents)
    if program.examples in s.space and any(isinstance(extent, Indexed) for extent in program.extents.values()):
        return tuple(sorted(s.space, key=rank.index))
    touched = [subscript(a) for a in (s.target, *s.read_accesses)]

    def legal(order: tuple[Symbol, ...]) -> bool:
        if program.examples in order[1:]:
            return False
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
        run = Run(index, [statements[k]])
        for s in islice(statements, k + 1, None):
            order = tuple(x for x in loop_order(s, program) if x not in opened)
            if not order or order[0] != index or bounding(s, index) != bounding(statements[k], index):
                break
            if not run.takes(s):
                break
            run.append(s)
        nodes.append(Loop(index, nest(run.statements, program, (*opened, index))))
        k += len(run.statements)
    return tuple(nodes)


def bounding(s: Statement, index: Symbol) -> frozenset[Expr]:
    """What a statement is subject to that bounds a loop; others do not share that loop, which would have no bounds."""
    return frozenset(one for one in conjuncts(s.condition) if index in one.free_symbols and not one.has(Indexed))


def schedule(steps: Sequence[Step], program: Program) -> tuple[Node, ...]:
    """The whole kernel: products between runs of statements, each run chunked over the index that carries it furthest.

    A step may move ahead of others that neither feed it nor read what it writes. Examples are streamed: each goes
    through all that can be done with it alone before the next one is looked at.
    """
    if program.examples is not None:
        before, stream = split_at_examples(steps, program)
        return (*runs_of(before, program), *runs_of(stream, program))
    return runs_of(steps, program)


def runs_of(steps: Sequence[Step], program: Program) -> tuple[Node, ...]:
    """Runs of statements, and the products between them."""
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
        if program.examples in step.space:
            index, run = program.examples, chunkable(left, program.examples, shared=True)
        if run and index is not None:
            shared = dict.fromkeys(s.writes for s in run if not aligned([s.target], index))
            nodes.append(Chunked(index, nest(run, program), tuple(shared)))
        else:
            run = serial(left, program)
            nodes.extend(nest(run, program))
        taken = {id(s) for s in run}
        left = [s for s in left if id(s) not in taken]
    return tuple(nodes)


def plain_extent(index: Symbol, program: Program) -> bool:
    return not isinstance(program.extents[index], Indexed)


def split_at_examples(steps: Sequence[Step], program: Program) -> tuple[list[Step], list[Step]]:
    """What need not wait for the stream of examples, and the rest: both in order.

    Ahead goes what depends on data alone, and the initial values of what the examples add to.
    """
    moving = set(program.state_names)
    first: list[Step] = []
    stream: list[Step] = []
    for step in steps:
        starts = isinstance(step, Statement) and step.op == "=" and step.expr.is_number
        waits = bool(step.reads & moving) or step.writes in moving
        if starts:
            waits = program.examples in step.space  # type: ignore[union-attr]
        if waits:
            moving.add(step.writes)
        (stream if waits else first).append(step)
    return first, stream


def chunkable(steps: Sequence[Step], index: Symbol, shared: bool = False) -> list[Statement]:
    """From the first step on, all statements that can run chunk by chunk of the index, each writing its own slice.

    With ``shared``, they may also add to what all chunks share.
    """
    run = Run(index)
    written: set[str] = set()
    read: set[str] = set()
    for step in steps:
        # Sums may be added up in any order, but not by two chunks at one time.
        own = [s.target for s in run.writers.get(step.writes, ())]
        joins = (
            isinstance(step, Statement)
            and (aligned([*own, step.target], index) or (shared and step.op == "+=" and index in step.space))
            and run.takes(step)
        )
        passes = step.writes in written or step.writes in read or not written.isdisjoint(step.reads)
        if joins and not passes:
            run.append(step)  # type: ignore[arg-type]
        elif not run.statements:
            break
        else:
            written.add(step.writes)
            read |= step.reads
    return [s for s in run.statements if s is steps[0] or not idle_start(s, run)]


def idle_start(s: Statement, run: Run) -> bool:
    """Whether a statement only sets an initial value that nothing in the run takes up; it stays where it is used."""
    return s.op == "=" and s.expr.is_number and s.writes not in run.readers


def serial(steps: Sequence[Step], program: Program) -> list[Statement]:
    """The first statements, up to the next product or the next one that can be chunked."""
    run: list[Statement] = []
    for step in steps:
        if not isinstance(step, Statement):
            break
        if run and any(aligned([step.target], index) for index in step.space if plain_extent(index, program)):
            break  # the next run is chunked
        run.append(step)
    return run
