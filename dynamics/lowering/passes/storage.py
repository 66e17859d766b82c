"""Fourth pass: where every tensor lives.

States are slices of the flat vector y, outputs of the flat vector out, and temporaries of one workspace that is passed
in: a compiled kernel allocates nothing. A temporary whose every use lies in one loop iteration loses that loop's
dimension (and becomes a register when it has lost them all); others share slots of equal shape when their lifetimes do
not meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from sympy import Indexed, Symbol

from derivations.program.access import Access, is_plain, name_of, subscript
from derivations.program.program import Program
from dynamics.lowering.passes.contractions import Product
from dynamics.lowering.passes.loops import Chunked, Loop, Node, Short
from dynamics.lowering.passes.statements import Statement


class Kind(Enum):
    """What an array holds; the value is how its name ends."""

    GIVEN = ""
    """A state, data or an output: packed in an argument, or an argument itself."""
    WHOLE = "_"
    """Temporaries of one shape, one after the other."""
    LOCAL = "_local"
    """What a temporary needs within one iteration."""
    PART = "_part"
    """What one chunk of a parallel loop adds to an output or a temporary that all share."""


@dataclass(frozen=True)
class Slot:
    """An array: the tensor that it is named after, what it holds, the indices whose extents are its shape.

    ``private``: each chunk of a parallel loop has one of its own.
    """

    tensor: str
    kind: Kind
    dims: tuple[Symbol, ...]
    private: bool = False

    def __str__(self) -> str:
        subscript = f"[{', '.join(index.name for index in self.dims)}]" if self.dims else ""
        return f"{self.tensor}{self.kind.value}{subscript}"


@dataclass(frozen=True)
class Place:
    """Where a tensor lives: an array (None: a local scalar), and which of its subscripts are kept."""

    slot: Slot | None
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Storage:
    """Where every tensor of a kernel lives, and the arrays of its workspace."""

    places: dict[str, Place]
    slots: tuple[Slot, ...]

    def occupants(self, slot: Slot) -> list[str]:
        """The tensors that share a slot, in order."""
        return [name for name, place in self.places.items() if place.slot == slot]

    def __str__(self) -> str:
        return "\n".join(
            f"{name} in {'a register' if place.slot is None else place.slot}"
            for name, place in self.places.items()
            if place.slot is None or (place.slot.tensor, place.slot.kind) != (name, Kind.GIVEN)  # lives in itself
        )


@dataclass
class Use:
    """One step that touches a tensor: its position, the loops around it, and the accesses."""

    position: int
    path: tuple[int, ...]
    loops: tuple[Node, ...]
    step: Statement | Product
    found: list[Access]


@dataclass
class Life:
    """All uses of one tensor, in order."""

    declared: Access
    uses: list[Use] = field(default_factory=list)

    @property
    def first(self) -> Use:
        return self.uses[0]

    @property
    def last(self) -> Use:
        return self.uses[-1]


def walk(nodes: Sequence[Node], path: tuple[int, ...] = (), loops: tuple[Node, ...] = ()) -> Iterator[tuple]:
    """Every step with its path in the loop tree and the loops around it."""
    for k, node in enumerate(nodes):
        if isinstance(node, Loop | Chunked):
            yield from walk(node.body, (*path, k), (*loops, node))
        else:
            yield (*path, k), loops, node.statement if isinstance(node, Short) else node


def lives_of(nodes: Sequence[Node], program: Program, declared: dict[str, Access]) -> dict[str, Life]:
    """The life of every tensor that the kernel touches."""
    lives: dict[str, Life] = {}
    for position, (path, loops, step) in enumerate(walk(nodes)):
        touched: dict[str, list[Access]] = {}
        for access in (step.target, *step.read_accesses):
            touched.setdefault(name_of(access), []).append(access)
        for name in step.reads:
            touched.setdefault(name, [])
        for name, found in touched.items():
            if name in declared:
                lives.setdefault(name, Life(declared[name])).uses.append(Use(position, path, loops, step, found))
    return lives


def common_loops(uses: Sequence[Use]) -> tuple[Node, ...]:
    """The loops that enclose all uses."""
    shared: list[Node] = []
    for level in zip(*(use.loops for use in uses), strict=False):
        if any(loop is not level[0] for loop in level):
            break
        shared.append(level[0])
    return tuple(shared)


def allocate(nodes: Sequence[Node], program: Program, outputs: Sequence[str]) -> Storage:
    """A place for every tensor of a kernel."""
    given = dict.fromkeys(name_of(a) for a in (*program.data, *program.parameters))
    states = dict.fromkeys(name_of(a) for a in program.states)
    declared = declarations(nodes, program)
    lives = lives_of(nodes, program, declared)
    places: dict[str, Place] = {}
    slots: list[Slot] = []
    occupants: dict[Slot, list[str]] = {}
    shapes: dict[Slot, tuple] = {}

    def whole(name: str) -> tuple[int, ...]:
        return tuple(range(len(subscript(declared[name]))))

    def argument(name: str) -> Place:
        slot = Slot(name, Kind.GIVEN, subscript(declared[name])) if whole(name) else None
        places[name] = Place(slot, whole(name))
        return places[name]

    for name in (*given, *states):
        if name in declared:
            argument(name)
    for name in outputs:
        slot = argument(name).slot
        if slot is not None and name not in given | states:
            occupants[slot] = [name]
            shapes[slot] = shape_of(declared[name], program)

    for node in nodes:
        for name in node.shared if isinstance(node, Chunked) else ():
            slots.append(Slot(name, Kind.PART, subscript(declared[name]), private=True))

    for name, life in sorted(lives.items(), key=lambda item: item[1].first.position):
        if name in places:
            continue
        loops = common_loops(life.uses)
        opened = [loop.index for loop in loops if isinstance(loop, Loop)]
        subs = subscript(life.declared)
        kept = tuple(k for k in range(len(subs)) if not dropped(life, k, opened))
        private = any(isinstance(loop, Chunked) for loop in loops) and len(kept) < len(subs)
        if not kept:
            places[name] = Place(None, ())
            continue
        if len(kept) < len(subs):
            slot = Slot(name, Kind.LOCAL, tuple(subs[k] for k in kept), private)
            slots.append(slot)
            places[name] = Place(slot, kept)
            continue
        shape = shape_of(life.declared, program)
        free = next(
            (
                s
                for s, names in occupants.items()
                if shapes[s] == shape and all(apart(lives, name, n, outputs) for n in names)
            ),
            None,
        )
        if free is None:
            free = Slot(name, Kind.WHOLE, subs)
            slots.append(free)
            occupants[free], shapes[free] = [], shape
        occupants[free].append(name)
        places[name] = Place(free, kept)
    return Storage(places, tuple(slots))


def declarations(nodes: Sequence[Node], program: Program) -> dict[str, Access]:
    """Canonical access by name for everything that the kernel touches, helpers of the lowering included."""
    found = dict(program.declarations)
    for _, _, step in walk(nodes):
        if is_plain(step.target):
            found.setdefault(name_of(step.target), step.target)
    return found


def shape_of(access: Access, program: Program) -> tuple:
    return tuple(program.extents[index] for index in subscript(access))


def dropped(life: Life, k: int, opened: Sequence[Symbol]) -> bool:
    """Whether every access has the same opened loop index as its k-th subscript."""
    seen = {subscript(a)[k] for use in life.uses for a in use.found}
    return len(seen) == 1 and next(iter(seen)) in opened


def apart(lives: dict[str, Life], one: str, other: str, outputs: Sequence[str]) -> bool:
    """Whether two tensors of one shape may share a slot: the earlier is dead when the later is begun.

    In one loop nest the later may be begun where the earlier is read last, if both are walked element by element alike.
    """
    first, second = sorted((one, other), key=lambda name: lives[name].first.position)
    if first in outputs:
        return False
    early, late = lives[first], lives[second]
    end, start = early.last, late.first
    if end.path[0] < start.path[0]:
        return True
    if end.path[0] > start.path[0] or end.position > start.position:
        return False
    if isinstance(start.step, Product) or isinstance(end.step, Product):
        return False
    together = {subscript(a) for use in early.uses if use.path[0] == end.path[0] for a in use.found}
    return together == {subscript(start.step.target)} and not any(isinstance(s, Indexed) for s in next(iter(together)))
