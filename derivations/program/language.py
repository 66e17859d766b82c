"""The language of the theory: short lists of tensor definitions in sympy.

A model is an ordered list of definitions ``lhs = rhs``. Each right-hand side is elementwise in the indices of its
left-hand side, or exactly one reduction (:class:`SumOver`, :class:`MaxOver`, :class:`LogSumExp`) of an elementwise
body. Subscripts are plain integer symbols with a table of extents, or gathers such as ``W[x[n, l], k]``.

Reductions are our own sympy nodes and stand only at the top of a right-hand side: sympy's ``Sum`` captures bound
indices on substitution, and differentiates by an ``Indexed`` to a silent zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from importlib import import_module
from typing import Any

from sympy import And, Expr, Indexed, IndexedBase, Integer, Mul, Piecewise, Pow, S, Symbol, Tuple, sympify

from derivations.program.frozen import Frozen
from derivations.program.role import Role

__all__ = [
    "Constraint",
    "Definition",
    "Gradient",
    "LogSumExp",
    "MaxOver",
    "Program",
    "ProgramError",
    "Reduction",
    "Softmax",
    "SumOver",
    "Where",
    "accesses",
    "conjuncts",
    "entries",
    "indices",
    "is_plain",
    "name_of",
    "names_of",
    "scalars",
    "size_expression",
    "subscript",
    "tensors",
    "unused",
]

Access = Any  # an Indexed, or a Symbol for a tensor without indices (sympy has no type stubs)


def later(place: str) -> Any:
    """A function of a room above, found when it is called: what a program offers, and does not depend on."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


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


class ProgramError(ValueError):
    """A program is not well formed; the message names the definition and says in words what is wrong with it."""


def indices(names: str) -> tuple[Symbol, ...]:
    """Index symbols by name; equal names are the same index everywhere.

    Examples
    --------
    >>> i, o = indices("i o")
    >>> i.is_integer
    True
    """
    return tuple(Symbol(name, integer=True, nonnegative=True) for name in names.split())


def scalars(names: str, **assumptions: Any) -> tuple[Symbol, ...]:
    """Tensors without indices: parameters, scalar states, scalar results."""
    return tuple(Symbol(name, real=True, **assumptions) for name in names.split())


def tensors(names: str, integer: bool = False) -> tuple[IndexedBase, ...]:
    """Tensor symbols by name.

    Equal names and kinds give equal tensors: bases with different assumptions would compare unequal, and a derivative
    by one of them would be a silent zero. Names ending in ``tilde``, ``bar`` and ``dot`` are typeset as accents.
    """
    return tuple(IndexedBase(name, integer=True) if integer else IndexedBase(name, real=True) for name in names.split())


def conjuncts(condition: Any) -> frozenset[Any]:
    """What must hold all at once for a condition to hold.

    Examples
    --------
    >>> l, p = indices("l p")
    >>> sorted(conjuncts((l <= p) & (l > 0)), key=str), conjuncts(S.true)
    ([l <= p, l > 0], frozenset())
    """
    return frozenset(part for part in And.make_args(condition) if part != True)  # noqa: E712  sympy's own


class Where(Expr):
    """``Where(value, condition)``: the value where the condition holds, and 0 elsewhere, where it is not looked at.

    What may be out of range, or too large, behind a condition: a mask, or the place before the first. Loops run over
    what the condition leaves of them.

    Examples
    --------
    >>> (h,), (l, p) = tensors("h"), indices("l p")
    >>> Where(h[l], l <= p), Where(h[l], True), Where(Where(h[l], l <= p), l >= 1)
    (Where(h[l], l <= p), h[l], Where(h[l], (l >= 1) & (l <= p)))
    """

    is_commutative = True
    is_real = True

    def __new__(cls, value: Any, condition: Any) -> Any:
        value, condition = sympify(value), sympify(condition)
        if isinstance(value, Where):
            value, condition = value.value, And(value.condition, condition)
        if condition == True or value == 0:  # noqa: E712  sympy's own
            return value
        if condition == False:  # noqa: E712
            return S.Zero
        return Expr.__new__(cls, value, condition)

    @property
    def value(self) -> Expr:
        return self.args[0]

    @property
    def condition(self) -> Any:
        return self.args[1]

    def _eval_derivative(self, by: Symbol) -> Expr:
        return Where(self.value.diff(by), self.condition)

    def _sympystr(self, printer: Any) -> str:
        return f"Where({printer._print(self.value)}, {printer._print(self.condition)})"


class Softmax(Expr):
    """``Softmax(x, i, mask=condition, weight=w)``: ``w exp(x)``, divided by its sum over i where the mask holds.

    The share of the entry i, 0 where the mask does not hold. A program has a log-sum-exp and exponentials in its
    place (:mod:`derivations.program.normal`), whose adjoint is as stable as they are.
    """

    is_commutative = True
    is_real = True

    def __new__(cls, body: Any, *over: Symbol, mask: Any = S.true, weight: Any = S.One) -> Softmax:
        return Expr.__new__(cls, sympify(body), Tuple(*over), sympify(mask), sympify(weight))

    @property
    def func(self) -> Any:
        return type(self)._rebuilt

    @classmethod
    def _rebuilt(cls, body: Expr, over: Tuple, mask: Any, weight: Expr) -> Softmax:
        return cls(body, *over, mask=mask, weight=weight)

    def __reduce__(self) -> Any:
        return type(self)._rebuilt, self.args

    @property
    def over(self) -> tuple[Symbol, ...]:
        return tuple(self.args[1])


class Gradient(Expr):
    """``grad(loss, W[i, k])``: the slope of a loss by an entry of a tensor, as a symbol in a definition.

    A program has the adjoint in its place (:func:`derivations.gradient_flow.slopes.with_slopes`).
    """

    is_commutative = True
    is_real = True

    def __new__(cls, loss: Any, access: Any) -> Gradient:
        return Expr.__new__(cls, sympify(loss), access)

    @property
    def loss(self) -> Expr:
        return self.args[0]

    @property
    def access(self) -> Access:
        return self.args[1]

    def _sympystr(self, printer: Any) -> str:
        return f"grad({printer._print(self.loss)}, {printer._print(self.access)})"


class Reduction(Expr):
    """A reduction of an elementwise body over indices; only as the whole right-hand side of a definition.

    With ``mask=condition``, over the entries where the condition holds.
    """

    is_commutative = True
    is_real = True

    def __new__(cls, body: Expr, *over: Symbol, weight: Expr = S.One, mask: Any = S.true) -> Reduction:
        if mask is not S.true:
            body, weight = cls._masked(sympify(body), sympify(weight), sympify(mask))
        return Expr.__new__(cls, body, Tuple(*over), weight)

    @classmethod
    def _masked(cls, body: Expr, weight: Expr, mask: Any) -> tuple[Expr, Expr]:
        """The body and the weight of a reduction that leaves out what a mask does not hold for."""
        return Where(body, mask), weight

    @property
    def func(self) -> Any:
        """Makes a reduction from ``args``: what sympy rebuilds an expression with after a substitution."""
        return type(self)._rebuilt

    @classmethod
    def _rebuilt(cls, body: Expr, over: Tuple, weight: Expr) -> Reduction:
        return cls(body, *over, weight=weight)

    @property
    def body(self) -> Expr:
        return self.args[0]

    @property
    def over(self) -> tuple[Symbol, ...]:
        return tuple(self.args[1])

    @property
    def weight(self) -> Expr:
        return self.args[2]

    def __reduce__(self) -> Any:
        return type(self)._rebuilt, self.args

    def _sympystr(self, printer: Any) -> str:
        weight = "" if self.weight == 1 else f", weight={printer._print(self.weight)}"
        over = ", ".join(printer._print(index) for index in self.over)
        return f"{type(self).__name__}({printer._print(self.body)}, {over}{weight})"

    @property
    def free_symbols(self) -> set[Symbol]:
        return (self.body.free_symbols | self.weight.free_symbols) - set(self.over)


class SumOver(Reduction):
    """``SumOver(body, i, ...)``: the sum of the body over the indices."""


class MaxOver(Reduction):
    """``MaxOver(body, i)``: the largest value of the body over the index. Not differentiable."""

    @classmethod
    def _masked(cls, body: Expr, weight: Expr, mask: Any) -> tuple[Expr, Expr]:
        return Piecewise((body, mask), (-S.Infinity, True)), weight


class LogSumExp(Reduction):
    """``LogSumExp(body, i, weight=w)``: log of the sum over i of w exp(body).

    A named reduction, kept through differentiation: its adjoint is ``w exp(body - lhs)``, and it is lowered with the
    largest body (where w > 0) subtracted, so that logits of 1e3 are exact.
    """

    @classmethod
    def _masked(cls, body: Expr, weight: Expr, mask: Any) -> tuple[Expr, Expr]:
        return body, Where(weight, mask)


def name_of(access: Access) -> str:
    """The name of the tensor that an access reads or writes."""
    if not isinstance(access, Indexed):
        return access.name
    label = access.base.label
    return label.name if isinstance(label, Symbol) else str(label)


def subscript(access: Access) -> tuple[Expr, ...]:
    """The subscripts of an access; empty for a scalar."""
    return tuple(access.indices) if isinstance(access, Indexed) else ()


def is_plain(access: Access) -> bool:
    """Whether the subscripts are distinct index symbols: no gather, no diagonal."""
    subs = subscript(access)
    return all(isinstance(s, Symbol) for s in subs) and len(set(subs)) == len(subs)


def accesses(expr: Expr) -> Iterator[Access]:
    """All tensor accesses in an expression, outermost only (the table of a gather is part of its access)."""
    if isinstance(expr, Indexed) or (isinstance(expr, Symbol) and not expr.is_integer):
        yield expr
    elif isinstance(expr, Reduction):
        yield from accesses(expr.body)
        yield from accesses(expr.weight)
    else:
        for arg in expr.args:
            yield from accesses(arg)


def gathers(expr: Expr) -> Iterator[Indexed]:
    """The integer tables read in the subscripts of an expression's accesses; those that tables need before them."""
    for access in accesses(expr):
        for sub in subscript(access):
            yield from gathers(sub)
            yield from (a for a in accesses(sub) if isinstance(a, Indexed))


def index_symbols(expr: Expr, table: Mapping[Symbol, Expr]) -> set[Symbol]:
    """The indices of a program's table that occur free in an expression."""
    return {s for s in expr.free_symbols if s in table}


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
    def over(self) -> tuple[Symbol, ...]:
        return self.rhs.over if isinstance(self.rhs, Reduction) else ()

    @property
    def body(self) -> Expr:
        return self.rhs.body if isinstance(self.rhs, Reduction) else self.rhs

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
        check(self)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, one.name) for one in fields(self)))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        object.__setattr__(self, "flow", Flow(self.flow, self))

    def __getstate__(self) -> dict[str, Any]:
        own = {one.name for one in fields(self)}
        return {name: value for name, value in vars(self).items() if name in own}  # hashes are of this process

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


def extent_symbols(program: Program) -> tuple[Symbol, ...]:
    """The size symbols of a program (V, K, ...), in order of appearance."""
    sizes: dict[Symbol, None] = {}
    for extent in program.extents.values():
        if isinstance(extent, Symbol):
            sizes.setdefault(extent)
        elif not isinstance(extent, Indexed):
            sizes |= dict.fromkeys(sorted(extent.free_symbols - set(sizes), key=str))
    return tuple(sizes)


def size_expression(extent: Expr) -> bool:
    """Whether an extent is a size, a number, or a product of such: ``V``, 3, ``2*D``, which is at least 1.

    Examples
    --------
    >>> D = Symbol("D", integer=True, positive=True)
    >>> size_expression(2 * D), size_expression(D**2), size_expression(D - 1)
    (True, True, False)
    """
    if isinstance(extent, Symbol | Integer):
        return True
    if isinstance(extent, Pow):
        return size_expression(extent.base) and isinstance(extent.exp, Integer) and extent.exp.is_positive
    return isinstance(extent, Mul) and all(size_expression(part) and part.is_positive for part in extent.args)


def entries(extent: Expr, sizes: Mapping[str, int]) -> int | None:
    """The number that an extent stands for, if sizes decide it: a size, a number, or a product of them.

    Examples
    --------
    >>> D = Symbol("D", integer=True, positive=True)
    >>> entries(2 * D, {"D": 3}), entries(D, {})
    (6, None)
    """
    if str(extent) in sizes:
        return sizes[str(extent)]
    known = {size: Integer(sizes[size.name]) for size in extent.free_symbols if getattr(size, "name", "") in sizes}
    number = extent.xreplace(known)
    return int(number) if isinstance(number, Integer) else None


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


def check(program: Program) -> None:
    """Raise ProgramError unless every name, shape and index of the program is accounted for."""
    table = program.extents
    sizes = set(extent_symbols(program))
    shapes: dict[str, tuple[Expr, ...]] = {}

    def shape(access: Access, where: str) -> tuple[Expr, ...]:
        for sub in subscript(access):
            if sub not in table:
                raise ProgramError(f"{where}: index {sub} of {access} has no extent; add it to the extents")
        return tuple(table[sub] for sub in subscript(access))

    for kind, declared in (("data", program.data), ("state", program.states), ("parameter", program.parameters)):
        for access in declared:
            name = name_of(access)
            if name in shapes:
                raise ProgramError(f"{program.name}: {kind} {name} is declared twice; rename one of them")
            shapes[name] = shape(access, f"{program.name}: {kind} {name}")

    for index, extent in table.items():
        if isinstance(extent, Indexed):
            if name_of(extent) not in shapes:
                raise ProgramError(f"{program.name}: ragged extent {extent} of index {index} is not among the data")
        elif not size_expression(extent):
            raise ProgramError(f"{program.name}: extent of index {index} must be a size symbol or a ragged length")

    for d in program.definitions:
        where = f"{program.name}: definition of {d.lhs}"
        for inner in d.body.args if isinstance(d.rhs, Reduction) else d.rhs.args:
            if inner.has(Reduction):
                raise ProgramError(f"{where}: a reduction stands inside an expression; give it a definition of its own")
        if isinstance(d.body, Reduction):
            raise ProgramError(f"{where}: a reduction of a reduction; give the inner one a definition of its own")
        body_indices = index_symbols(d.body, table) | (
            index_symbols(d.rhs.weight, table) if isinstance(d.rhs, Reduction) else set()
        )
        for index in d.over:
            if index not in table:
                raise ProgramError(f"{where}: reduces over {index}, which has no extent; add it to the extents")
            if index not in body_indices:
                hint = "; compare with Eq(a, b), as == is Python's own" if d.body.is_number else ""
                raise ProgramError(f"{where}: reduces over {index}, which does not occur in {d.body}{hint}")
            if index in index_symbols(d.lhs, table):
                kind = type(d.rhs).__name__
                raise ProgramError(
                    f"{where}: {kind} over {index}, which {d.lhs} has too; rename one of the two {index}"
                )
        if len(set(d.over)) < len(d.over):
            raise ProgramError(f"{where}: reduces twice over one index; name each index once")
        if d.accumulate and isinstance(d.rhs, MaxOver | LogSumExp):
            kind = type(d.rhs).__name__
            raise ProgramError(f"{where}: += of a {kind}; only sums are added up, give it a definition of its own")
        if not d.accumulate:
            loose = body_indices - set(d.over) - index_symbols(d.lhs, table)
            if loose:
                names = ", ".join(sorted(s.name for s in loose))
                raise ProgramError(f"{where}: index {names} is neither on the left-hand side nor reduced over")
            if not is_plain(d.lhs):
                raise ProgramError(f"{where}: the subscripts of a left-hand side must be distinct indices")
        for access in d.reads:
            name = name_of(access)
            if isinstance(access, Symbol) and access in sizes:
                continue
            if name not in shapes:
                raise ProgramError(f"{where}: {name} is read before it is declared or defined")
            if len(subscript(access)) != len(shapes[name]):
                raise ProgramError(
                    f"{where}: {access} has {len(subscript(access))} subscripts, not {len(shapes[name])}"
                )
            for sub, extent in zip(subscript(access), shapes[name], strict=True):
                if isinstance(sub, Symbol) and sub not in table:
                    raise ProgramError(f"{where}: index {sub} of {access} has no extent; add it to the extents")
                # A ragged index may walk a tensor of fixed size (positions): how far it goes is known with the data.
                if isinstance(sub, Symbol) and table[sub] != extent and not isinstance(table[sub], Indexed):
                    raise ProgramError(
                        f"{where}: index {sub} of {access} runs over {table[sub]} where {name} has {extent} entries"
                    )
        if d.accumulate:
            if d.name not in shapes:
                raise ProgramError(f"{where}: accumulates into a tensor that nothing began; define it first")
        elif d.name in shapes:
            raise ProgramError(f"{where}: {d.name} is defined twice; rename one of them")
        else:
            shapes[d.name] = shape(d.lhs, where)

    both = [s.name for s in {*table, *sizes}]
    twice = sorted(name for name in both if both.count(name) > 1)
    if twice:
        raise ProgramError(f"{program.name}: {twice[0]} names two indices or sizes; rename one of them")
    taken = set(both) & set(shapes)
    if taken:
        raise ProgramError(
            f"{program.name}: {taken.pop()} names both an index or a size and a tensor; rename one of them"
        )
    if program.loss is not None and name_of(program.loss) not in shapes:
        raise ProgramError(f"{program.name}: the loss {program.loss} is not defined")
    for constraint in program.constraints:
        if constraint.state not in program.states:
            raise ProgramError(f"{program.name}: {constraint.kind} of {constraint.state}, which is not a state")
    for state, rate in program.flow.items():
        if state not in program.state_names:
            raise ProgramError(f"{program.name}: flow of {state}, which is not a state")
        if shapes.get(rate) != shapes[state]:
            raise ProgramError(f"{program.name}: the flow {rate} of {state} does not have its shape")
