"""The language of the theory: short lists of tensor definitions in sympy.

A model is an ordered list of definitions ``lhs = rhs``. Each right-hand side is elementwise in the indices of its
left-hand side, or exactly one reduction (:class:`SumOver`, :class:`MaxOver`, :class:`LogSumExp`) of an elementwise
body. Subscripts are plain integer symbols with a table of extents, or gathers such as ``W[x[n, l], k]``.

Reductions are our own sympy nodes and stand only at the top of a right-hand side: sympy's ``Sum`` captures bound
indices on substitution, and differentiates by an ``Indexed`` to a silent zero.
"""

from __future__ import annotations

from typing import Any

from sympy import And, Expr, Indexed, IndexedBase, Piecewise, S, Symbol, Tuple, sympify

from derivations.program.access import Access, index_symbols, is_plain, name_of, size_expression, subscript
from derivations.program.program import Program, ProgramError, extent_symbols

__all__ = [
    "Gradient",
    "LogSumExp",
    "MaxOver",
    "Reduction",
    "Softmax",
    "SumOver",
    "Where",
    "check",
    "conjuncts",
    "indices",
    "scalars",
    "tensors",
]


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
    is_reduction = True

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
