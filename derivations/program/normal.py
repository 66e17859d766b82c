"""From definitions as they are written to those that are differentiated and compiled.

What a reader writes may nest reductions, read neighbours (``h[n, l - 1]``) and use :class:`Softmax`. Here all that
becomes definitions that are elementwise or one reduction, each with a name of its own; what is out of range becomes a
condition. A program that is written so already is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sympy import (
    Add,
    And,
    Expr,
    Indexed,
    IndexedBase,
    Integer,
    Mul,
    Not,
    Piecewise,
    Pow,
    S,
    Symbol,
    exp,
)
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair

from derivations.program.access import Access, name_of, subscript
from derivations.program.language import Gradient, LogSumExp, MaxOver, Reduction, Softmax, SumOver, Where, conjuncts
from derivations.program.program import Definition, ProgramError, unused
from derivations.program.ranges import certain, is_subscript, leaving, margins

__all__ = ["normal", "pulled"]

SUFFIX = {SumOver: "sum", MaxOver: "max", LogSumExp: "lse"}
"""How a part of a definition is called that gets one of its own, behind the name of the definition."""


def pulled(expr: Expr) -> Expr:
    """The expression with conditions at its top: of a product the product of all, of a sum each once.

    Examples
    --------
    >>> from derivations.program.language import indices, tensors
    >>> (h, g), (l,) = tensors("h g"), indices("l")
    >>> pulled(2 * g[l] * Where(h[l], l >= 1) + Where(g[l], l >= 1))
    Where(2*g[l]*h[l] + g[l], l >= 1)
    """
    if not expr.has(Where):
        return expr
    if isinstance(expr, Where):
        return Where(pulled(expr.value), expr.condition)
    if isinstance(expr, Add):
        under: dict[Any, list[Expr]] = {}
        for term in map(pulled, expr.args):
            masked = isinstance(term, Where)
            under.setdefault(term.condition if masked else S.true, []).append(term.value if masked else term)
        return Add(*(Where(Add(*values), condition) for condition, values in under.items()))
    if isinstance(expr, Mul):
        factors = [pulled(factor) for factor in expr.args]
        held = [factor for factor in factors if isinstance(factor, Where)]
        if not held:
            return expr
        rest = [factor for factor in factors if not isinstance(factor, Where)]
        return Where(Mul(*rest, *(one.value for one in held)), And(*(one.condition for one in held)))
    if isinstance(expr, Pow) and isinstance(base := pulled(expr.base), Where) and expr.exp.is_positive:
        return Where(base.value**expr.exp, base.condition)
    return expr


def normal(
    definitions: Iterable[Definition],
    extents: Mapping[Symbol, Expr],
    declared: Sequence[Access] = (),
    names: Iterable[str] = (),
) -> list[Definition]:
    """Definitions of a core program for definitions as they are written.

    Parameters
    ----------
    definitions : iterable of Definition
    extents : mapping of index to extent
    declared : sequence of accesses
        Data, states and parameters.
    names : iterable of str
        What else has a name.

    Raises
    ------
    ProgramError
        A subscript that is no sum of indices, sizes, tables and whole numbers; one that may be out of range where it
        has to be said what counts. The message names the definition.

    Examples
    --------
    >>> from derivations.program.language import indices, scalars, tensors
    >>> (n, i), (x, w, z), (V, N) = indices("n i"), tensors("x w z"), (Symbol(s, integer=True) for s in "VN")
    >>> nested = Definition(z[n], exp(SumOver(x[n, i] * w[i], i)) + w[0])
    >>> print(*normal([nested], {n: N, i: V}, (x[n, i], w[i])), sep="\\n")
    z_sum[n] = SumOver(w[i]*x[n, i], i)
    z[n] = exp(z_sum[n]) + w[0]
    """
    given = list(definitions)
    taken = {*names, *(d.name for d in given), *(name_of(a) for a in declared), *(i.name for i in extents)}
    taken |= {symbol.name for extent in extents.values() for symbol in extent.free_symbols}
    writer = Writer(dict(extents), {name_of(a): a for a in declared}, taken)
    for d in given:
        writer.define(d)
    return writer.found


class Writer:
    """Holds the definitions so far, and which names are taken."""

    def __init__(self, table: Mapping[Symbol, Expr], declared: dict[str, Access], taken: set[str]) -> None:
        self.table, self.declared, self.taken = table, declared, taken
        self.found: list[Definition] = []
        self.absent: dict[str, tuple[Access, Any]] = {}  # where tensors that are 0 elsewhere are not
        self.linear = True
        self.d = Definition(S.Zero, S.Zero)

    @property
    def where(self) -> str:
        return f"definition of {self.d.lhs}"

    def define(self, d: Definition) -> None:
        """The core definitions of one as it is written."""
        self.d = d
        rhs = self.top(d.rhs)
        if rhs is not d.rhs:
            d = Definition(d.lhs, rhs, d.note, d.accumulate)
        self.found.append(d)
        self.declared.setdefault(d.name, d.lhs)
        self.absent.pop(d.name, None)
        if (
            not d.accumulate
            and isinstance(d.rhs, Where)
            and self.of(d.rhs.condition, d.lhs.free_symbols) == (d.rhs.condition)
        ):
            self.absent[d.name] = d.lhs, d.rhs.condition

    def present(self, access: Indexed) -> Any:
        """Where an entry may be other than 0."""
        if not self.linear or name_of(access) not in self.absent:
            return S.true
        lhs, condition = self.absent[name_of(access)]
        return condition.xreplace(dict(zip(subscript(lhs), subscript(access), strict=False)))

    def top(self, rhs: Expr) -> Expr:
        """A right-hand side: a reduction stays one."""
        if not isinstance(rhs, Reduction):
            return pulled(self.core(rhs, S.true))
        weight = self.core(rhs.weight, S.true)
        mask = weight.condition if isinstance(weight, Where) else S.true
        body = self.core(rhs.body, mask, linear=isinstance(rhs, SumOver))
        if isinstance(rhs, SumOver):
            body = pulled(body)
        elif isinstance(rhs, LogSumExp) and not rhs.body.has(Where) and body.has(Where):
            self.say_what_counts(rhs, body)
        if body is rhs.body and weight is rhs.weight:
            return rhs
        return type(rhs)(body, *rhs.over, weight=weight)

    def say_what_counts(self, rhs: Reduction, body: Expr) -> None:
        guard = next(iter(body.atoms(Where))).condition
        over = ", ".join(str(index) for index in rhs.over)
        raise ProgramError(
            f"{self.where}: {type(rhs).__name__} over {over} reads beyond a tensor where not {guard}; say which entries"
            f" count, mask={guard}"
        )

    def part(self, rhs: Expr, suffix: str) -> Access:
        """A definition of its own for a part, with the indices that it has."""
        subs = subscript(self.d.lhs)
        inside = rhs.free_symbols & set(self.table)
        own = [sub for sub in subs if sub in inside] + [i for i in self.table if i in inside and i not in subs]
        name = unused([f"{self.d.name}_{suffix}", *(f"{self.d.name}_{suffix}{k}" for k in range(2, 1000))], self.taken)
        lhs = IndexedBase(name, real=True)[tuple(own)] if own else Symbol(name, real=True)
        same = next((d.lhs for d in self.found if d.rhs == rhs and not d.accumulate and d.note == PART), None)
        if same is not None:
            self.taken.discard(name)
            return same
        self.found.append(Definition(lhs, rhs, PART))
        self.declared[name] = lhs
        return lhs

    def core(self, expr: Any, condition: Any, linear: bool = True) -> Any:
        """An expression without reductions in it, which is looked at where a condition holds."""
        outside, self.linear = self.linear, linear and self.linear and isinstance(expr, Add | Mul | Where | Indexed)
        try:
            return self.parts(expr, condition)
        finally:
            self.linear = outside

    def parts(self, expr: Any, condition: Any) -> Any:
        """An expression by what it is made of."""
        if isinstance(expr, Reduction):
            return self.reduction(expr, condition)
        if isinstance(expr, Softmax):
            return self.softmax(expr, condition)
        if isinstance(expr, Gradient):
            return expr
        if isinstance(expr, Indexed):
            return Where(expr, And(self.guard(expr, condition), self.present(expr)))
        if isinstance(expr, Where):
            return self.changed(expr, Where, (expr.value, And(condition, expr.condition)), (expr.condition, condition))
        if isinstance(expr, Piecewise):
            return self.piecewise(expr, condition)
        if isinstance(expr, Relational):
            for access in expr.atoms(Indexed):
                if self.guard(access, condition) != True:  # noqa: E712  sympy's own
                    raise ProgramError(f"{self.where}: the condition {expr} reads {access} where there may be no entry")
            return expr
        if not expr.args or isinstance(expr, IndexedBase):
            return expr
        args = [self.core(arg, condition) for arg in expr.args]
        if all(new is old for new, old in zip(args, expr.args, strict=True)):
            return expr
        return expr.func(*args)

    def changed(self, expr: Where, kind: Any, value: tuple[Expr, Any], conditions: tuple[Any, Any]) -> Expr:
        own, outside = conditions
        condition = self.core(own, outside)
        inside = self.core(*value)
        return expr if inside is expr.value and condition is own else kind(inside, condition)

    def reduction(self, expr: Reduction, condition: Any) -> Access:
        """A name for a reduction within an expression. A sum that only some entries are asked for has only those."""
        self.linear = True
        if isinstance(expr, SumOver):
            mask = self.of(condition, expr.free_symbols, expr.over)
            expr = type(expr)(Where(expr.body, mask), *expr.over)
        return self.part(self.top(expr), SUFFIX[type(expr)])

    def of(self, condition: Any, free: set[Symbol], over: Sequence[Symbol] = ()) -> Any:
        """What of a condition can be told from some indices."""
        kept = [part for part in conjuncts(condition) if not part.has(Indexed) and not part.free_symbols & set(over)]
        return And(*(part for part in kept if part.free_symbols & set(self.table) <= free))

    def softmax(self, expr: Softmax, condition: Any) -> Expr:
        """The shares of a softmax, by the logarithm of their sum."""
        body, _, mask, weight = expr.args
        mask, weight = self.core(mask, condition), self.core(weight, And(condition, mask), linear=False)
        score = self.core(body, mask, linear=False)
        if not isinstance(score, Indexed | Symbol):
            if score.has(Where) and not body.has(Where):
                self.say_what_counts(LogSumExp(body, *expr.over), score)
            if not isinstance(body, Reduction):
                score = self.part(pulled(Where(score, self.of(mask, score.free_symbols))), "score")
        total = self.part(LogSumExp(score, *expr.over, weight=Where(weight, mask)), SUFFIX[LogSumExp])
        return Where(weight * exp(score - total), mask)

    def piecewise(self, expr: Piecewise, condition: Any) -> Expr:
        """Cases; where one reads a neighbour, as a sum of values under conditions."""
        left, cases, guarded = condition, [], False
        for value, own in expr.args:
            own = self.core(own, left)
            inside = self.core(value, And(left, own))
            guarded = guarded or any(beyond(access) for access in value.atoms(Indexed))
            cases.append((value, inside, And(left, own) if own != True else left, own))  # noqa: E712  sympy's own
            left = And(left, Not(own))
        if guarded:
            own = conjuncts(condition)
            return Add(*(Where(inside, And(*(conjuncts(full) - own))) for _, inside, full, _ in cases))
        if all(inside is value for value, inside, _, _ in cases):
            return expr
        return Piecewise(*(ExprCondPair(inside, own) for _, inside, _, own in cases))

    def guard(self, access: Indexed, condition: Any) -> Any:
        """What must hold for an access, and the tables in its subscripts, to be within their tensors."""
        known = margins(condition)
        needed: list[Any] = []
        declared = self.declared.get(name_of(access))
        extents = [self.table.get(sub) for sub in subscript(declared)] if declared is not None else []
        for k, sub in enumerate(subscript(access)):
            for table in sub.atoms(Indexed) if isinstance(sub, Expr) else ():
                needed += conjuncts(self.guard(table, condition))
            if sub in self.table or isinstance(sub, Integer | Indexed) or k >= len(extents) or extents[k] is None:
                continue
            if not is_subscript(sub):
                raise ProgramError(
                    f"{self.where}: subscript {sub} of {access} must be an index, a number, a table of whole numbers,"
                    " or a sum of these"
                )
            extent = extents[k]
            assert extent is not None
            for margin in (sub, extent - 1 - sub):
                if certain(-margin - 1, self.table, known):
                    raise ProgramError(f"{self.where}: there is no entry {access}; {name_of(access)} has fewer")
                if not certain(margin, self.table, known):
                    needed.append(leaving(margin, self.table))
        return And(*needed)


PART = "part of the next definition"
"""The note of what the package split off."""


def beyond(access: Indexed) -> bool:
    """Whether a subscript is computed, so that it may be out of range."""
    return any(not isinstance(sub, Symbol | Integer | Indexed) for sub in subscript(access))
