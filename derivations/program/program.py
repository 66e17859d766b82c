"""Programs: declared tensors and an ordered list of definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from derivations.program.access import Access, accesses, gathers, name_of
from derivations.program.frozen import Frozen
from derivations.program.role import Role

if TYPE_CHECKING:
    from sympy import Expr, Symbol

__all__ = ["Constraint", "Definition", "Program", "ProgramError", "extent_symbols", "names_of", "unused"]


def later(place: str) -> Any:
    """A function of a room above, found when it is called: what a program offers, and does not depend on."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


class ProgramError(ValueError):
    """A program is not well formed; the message names the definition and says in words what is wrong with it."""


class Flow(Frozen[str, str]):
    """For each state the tensor that holds its rate; called, the flow of the program that it belongs to."""

    __slots__ = ("_program",)

    def __init__(self, entries: Mapping[str, str], program: Program) -> None:
        super().__init__(entries)
        self._program = program

    def __call__(self) -> Program:
        program = self._program
        if set(self) >= set(program.state_names):
            return program
        return later("derivations.gradient_flow:gradient_flow")(program)

    def __reduce__(self) -> Any:
        return Frozen, (dict(self),)


@dataclass(frozen=True)
class Definition:
    """``lhs = rhs``, or ``lhs += rhs`` for an accumulation into a tensor that an earlier definition began.

    Attributes
    ----------
    lhs : Indexed or Symbol
        What is defined. Plain indices, except in an accumulation, which may scatter (``Wbar[x[n, l], k] += ...``).
    rhs : Expr
        Elementwise, or one :class:`Reduction`.
    note : str
        What it is, in the papers' words.
    accumulate : bool
        ``+=`` instead of ``=``.
    """

    lhs: Access
    rhs: Expr
    note: str = ""
    accumulate: bool = False

    @property
    def name(self) -> str:
        return name_of(self.lhs)

    @property
    def is_reduction(self) -> bool:
        return getattr(self.rhs, "is_reduction", False)

    @property
    def over(self) -> tuple[Symbol, ...]:
        return self.rhs.over if self.is_reduction else ()

    @property
    def body(self) -> Expr:
        return self.rhs.body if self.is_reduction else self.rhs

    @property
    def reads(self) -> list[Access]:
        """Every access of the right-hand side and every table read in a subscript of either side."""
        return [*accesses(self.rhs), *gathers(self.rhs), *gathers(self.lhs)]

    def __str__(self) -> str:
        return f"{self.lhs} {'+=' if self.accumulate else '='} {self.rhs}"


@dataclass(frozen=True)
class Constraint:
    """What a projection keeps of a state along some of its indices: ``unit norm``, or ``simplex``."""

    kind: str
    state: Access
    over: tuple[Symbol, ...]


@dataclass(frozen=True)
class Program:
    """A model or a flow: declared tensors and an ordered list of definitions.

    Attributes
    ----------
    name, title, source : str
        Key, one line, and where the equations come from.
    extents : mapping of index to extent
        An integer symbol (``V``), a number, an expression of sizes (``2*D``), or an access for a ragged index
        (``{l: length[n]}``).
    data, states : tuple of accesses
        Declarations with canonical indices, such as ``C[i, o]``. Integer tables are data.
    parameters : tuple of Symbol
        Scalars given at run time (learning rates, mean length).
    definitions : tuple of Definition
        In order: each reads only what is declared or defined before it.
    metric : tuple of Definition
        For a flow whose states do not move by their own slopes alone: how its rates follow from the adjoints, once
        more, so that its definitions can be checked against it.
    domain : mapping of Symbol to Expr
        What is known of parameters beyond their signs: each in symbols that may be any positive number. ``V: 1 + n``
        says that V is above 1.
    loss : Symbol, optional
        What a gradient flow descends.
    flow : mapping of str to str
        For a flow: the tensor that holds d state/d tau, by state name. Called, ``program.flow()``, the program with the
        gradient flow of its loss for the states that have none.
    examples : Symbol, optional
        The index of independent examples. Lowering streams examples through all definitions one at a time.
    assumptions : tuple of str
        What the equations neglect, in words.
    reduction : tuple of str
        How it was reached from another program, step by step, in words.
    meanings : mapping of str to str
        What its symbols stand for: a glossary as in :mod:`derivations.program.glossary`.
    model : Program, optional
        For a derived flow: the program that it was derived from.
    roles : mapping of str to Role
        What tensors are for, by name: which states are attention logits, which definition is the attention.
    dimensions : mapping of index to str
        What results call the axes of its states; the name of the index if not given.
    units : mapping of str to str
        Of tensors, by name.
    initial : mapping of str to Expr
        Standard deviations of states to start from, in the sizes, where zero would be a saddle.
    conserved : tuple of Definition
        What the flow keeps as it is at time 0, each with a note that says so.
    rates : mapping of str to str
        For a flow: the parameter that is the learning rate of a state, by the state's name.
    adjoints, second : mapping of str to str
        For a derived flow: the tensor that holds the adjoint of another, of the first and of the second sweep.
    moments : mapping of str to str
        The tensor that holds the second moment of the gradient of a state, by the state's name; see
        :func:`derivations.gradient_flow.second_moments`.
    step : str
        For the modified flow of descent: the parameter that is the learning rate of the steps.
    shares : mapping of index to Expr
        For a closure: the indices that tell its examples apart, and what part of the mean one of them is, ``o: q[o]``.
        Of what declares ``examples=n``, all are alike.
    clock : str
        For the flow of an optimiser: the state that counts its steps, which are its time.
    rule : str
        Which optimiser that is.
    scales : mapping of str to str
        For the flow of an adaptive optimiser: what the steps of a state are divided by.
    tangents : mapping of str to str
        For a flow with its tangents: the tensor that holds the tangent of another.
    starts : mapping of str to str
        The states that begin at what a definition is at time 0, with the name of that definition.
    time : str
        The state that is the time itself, if definitions read it.
    constraints : tuple of Constraint
        What the flow is projected on.
    """

    name: str
    title: str
    source: str
    extents: Mapping[Symbol, Expr]
    data: tuple[Access, ...]
    states: tuple[Access, ...]
    definitions: tuple[Definition, ...]
    parameters: tuple[Symbol, ...] = ()
    loss: Symbol | None = None
    flow: Mapping[str, str] = field(default_factory=dict)
    examples: Symbol | None = None
    assumptions: tuple[str, ...] = ()
    reduction: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    model: Program | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    dimensions: Mapping[Symbol, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    initial: Mapping[str, Expr] = field(default_factory=dict)
    conserved: tuple[Definition, ...] = ()
    rates: Mapping[str, str] = field(default_factory=dict)
    adjoints: Mapping[str, str] = field(default_factory=dict)
    second: Mapping[str, str] = field(default_factory=dict)
    moments: Mapping[str, str] = field(default_factory=dict)
    metric: tuple[Definition, ...] = ()
    domain: Mapping[Symbol, Expr] = field(default_factory=dict)
    step: str = ""
    shares: Mapping[Symbol, Expr] = field(default_factory=dict)
    clock: str = ""
    rule: str = ""
    scales: Mapping[str, str] = field(default_factory=dict)
    tangents: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        for name, value in vars(self).copy().items():
            if isinstance(value, Mapping):
                object.__setattr__(self, name, Frozen(value))
        object.__setattr__(self, "flow", Flow(self.flow, self))
        later("derivations.program.language:check")(self)

    @classmethod
    def outlined(cls, outline: Mapping[str, Any], make: Callable[[], Program]) -> Program:
        """A program of which only its outline is known; it is made when more is asked of it."""
        program = object.__new__(cls)
        program.__setstate__({**outline, "_make": make})
        return program

    def outline(self) -> dict[str, Any]:
        """What can be known of a program without its expressions: names, units, roles, and what it does not have.

        Examples
        --------
        >>> from derivations.models import lexical_attention
        >>> known = lexical_attention().outline()
        >>> known["state_names"], known["constraints"], "definitions" in known
        (('W', 'A'), (), False)
        """
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            **{name: Frozen(value) if name == "flow" else value for name, value in found.items() if in_words(value)},
            **{name: getattr(self, name) for name in ("state_names", "parameter_names", "defined", "_by_role")},
        }

    def __getattr__(self, name: str) -> Any:
        """What an outline lacks: of the program, which is made now."""
        make = vars(self).get("_make")
        if make is None or name not in FIELDS:
            raise AttributeError(f"a program has no {name!r}")
        made = make()
        vars(self).update({one: getattr(made, one) for one in FIELDS if one not in vars(self)})
        return vars(self)[name]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Program):
            return NotImplemented
        return hash(self) == hash(other) and all(getattr(self, one) == getattr(other, one) for one in FIELDS)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of what every outline has."""
        return hash((self.name, self.title, self.state_names, self.flow, self.units, self.rates, self.clock, self.time))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        object.__setattr__(self, "flow", Flow(self.flow, self))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}  # hashes are of this process

    @cached_property
    def declarations(self) -> Mapping[str, Access]:
        """Name -> canonical access, for everything declared or defined, in order."""
        found = {name_of(a): a for a in (*self.data, *self.states, *self.parameters)}
        for definition in self.definitions:
            found.setdefault(definition.name, definition.lhs)
        return Frozen(found)

    def with_role(self, role: Role) -> tuple[str, ...]:
        """The names of the tensors that have a role, in order of declaration."""
        return self._by_role.get(role, ())

    @cached_property
    def _by_role(self) -> Mapping[Role, tuple[str, ...]]:
        found: dict[Role, tuple[str, ...]] = {}
        for name in self.declarations:
            if name in self.roles:
                found[self.roles[name]] = (*found.get(self.roles[name], ()), name)
        return found

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        return tuple(name_of(s) for s in self.states)

    @cached_property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(name_of(p) for p in self.parameters)

    @cached_property
    def defined(self) -> tuple[str, ...]:
        """The names of what is defined, each once."""
        return tuple(dict.fromkeys(d.name for d in self.definitions))

    def latex(self) -> str:
        """All definitions in LaTeX, aligned at their equals signs: for a paper, or a notebook."""
        return later("derivations.report.shown:latex")(self)

    def _repr_latex_(self) -> str:
        return later("derivations.report.shown:displayed")(self)

    def _repr_markdown_(self) -> str:
        return later("derivations.report.shown:markdown")(self)

    def _repr_html_(self) -> str:
        return later("derivations.report.shown:html")(self)

    def rhs(self, data: Mapping[str, Any] | None = None, backend: str = "numba", **options: Any) -> Any:
        """The right-hand side of the flow on data as a plain function ``f(t, y)``; see :func:`dynamics.rhs`."""
        return later("dynamics.problems.right_hand_sides:rhs")(self, data, backend=backend, **options)

    def extended(self, definitions: Iterable[Definition], **changes: Any) -> Program:
        """The program with more definitions at its end."""
        return replace(self, definitions=(*self.definitions, *definitions), **changes)


FIELDS = tuple(one.name for one in fields(Program))
for _name in FIELDS:  # or an outline would have the usual value where it does not know the program's own
    if _name in vars(Program):
        delattr(Program, _name)


def in_words(value: Any) -> bool:
    """Whether a value is made of words and numbers alone, or empty."""
    if isinstance(value, Mapping):
        return all(in_words(key) and in_words(own) for key, own in value.items())
    if isinstance(value, tuple):
        return all(map(in_words, value))
    return value is None or isinstance(value, str | int | float)


def extent_symbols(program: Program) -> tuple[Symbol, ...]:
    """The size symbols of a program (V, K, ...), in order of appearance."""
    sizes: dict[Symbol, None] = {}
    for extent in program.extents.values():
        if extent.is_Symbol:
            sizes.setdefault(extent)
        elif not extent.is_Indexed:
            sizes |= dict.fromkeys(sorted(extent.free_symbols - set(sizes), key=str))
    return tuple(sizes)


def names_of(program: Program) -> set[str]:
    """Every name that a program uses: of tensors, parameters, indices and sizes."""
    return {*program.declarations, *(s.name for s in (*program.extents, *extent_symbols(program)))}


def unused(wanted: Iterable[str], taken: set[str]) -> str:
    """The first wanted name that nothing has, or the last one with as many underscores as it takes; taken from now on.

    Examples
    --------
    >>> taken = {"W", "Wbar"}
    >>> unused(["Wbar", "W_bar"], taken), unused(["Wbar", "W_bar"], taken)
    ('W_bar', 'W_bar_')
    """
    names = list(wanted)
    found = next((name for name in names if name not in taken), names[-1])
    while found in taken:
        found += "_"
    taken.add(found)
    return found
