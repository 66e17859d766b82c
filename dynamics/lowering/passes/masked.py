"""Between definitions and loops: what a mask leaves out is neither computed for it nor added up from it.

A causal attention knows half of its scores. Its own sums say so, but not those that feed it, nor the adjoint of the
scores, which is a whole matrix with zeros above the diagonal. So conditions travel: back, to what is read under a
condition only; and forth, to terms that have a factor which is 0 outside of one. Loops then end where masks do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sympy import And, Expr, Indexed, Mul, S, Symbol

from derivations.program.access import Access, is_plain, name_of, subscript
from derivations.program.language import conjuncts
from derivations.program.program import Program
from dynamics.lowering.passes.contractions import Product, Step
from dynamics.lowering.passes.statements import Statement

__all__ = ["within_masks"]

Conditions = frozenset[Expr]


def within_masks(steps: Sequence[Step], program: Program, outputs: Iterable[str]) -> list[Step]:
    """The same steps, the assignments under all conditions that can be told of them; products are whole.

    Examples
    --------
    >>> from derivations.program import Definition, SumOver, Where, indices, scalars, tensors
    >>> from dynamics.lowering.passes.statements import statements_of
    >>> p, q, l = indices("p q l")
    >>> (T,) = scalars("T", integer=True, positive=True)
    >>> w, s, z = tensors("w s z")
    >>> program = Program(name="causal", title="", source="", extents={p: T, q: T, l: T}, data=(), states=(w[p, l],),
    ...                   parameters=(), flow={}, definitions=(
    ...     Definition(s[q, p], SumOver(w[p, l] * w[q, l], l)),
    ...     Definition(z[q], SumOver(Where(s[q, p], p <= q), p)),
    ... ))
    >>> print(*within_masks(statements_of(program, ["z"]), program, ["z"]), sep="; ")
    s[q, p] = 0; s[q, p] += w[p, l]*w[q, l] if p <= q; z[q] = 0; z[q] += s[q, p] if p <= q
    """
    known = {name_of(access) for access in (*program.data, *program.states, *program.parameters)}
    found = needed_only(list(steps), known | set(outputs))
    return without_zeros(found, known)


def needed_only(steps: list[Step], kept: set[str]) -> list[Step]:
    """Sums under the conditions that all who read them share."""
    readers: dict[str, set[int]] = {}
    for k, step in enumerate(steps):
        for name in step.reads:
            readers.setdefault(name, set()).add(k)
    for k in reversed(range(len(steps))):
        s = steps[k]
        if isinstance(s, Product) or s.op != "+=" or s.writes in kept or not is_plain(s.target):
            continue
        shared: Conditions | None = None
        for place in readers.get(s.writes, ()):
            other = steps[place]
            if isinstance(other, Product):
                shared = frozenset()
                break
            for access in accesses_to(other, s.writes):
                under = held(other, access, subscript(s.target))
                shared = under if shared is None else shared & under
        if shared:
            steps[k] = under_also(s, shared)
    return steps


def accesses_to(s: Statement, name: str) -> list[Access]:
    """Where a statement reads a tensor, other than to add to it."""
    return [access for access in s.touched.get(name, ()) if not (access == s.target and s.writes == name)]


def held(s: Statement, access: Access, indices: tuple[Symbol, ...]) -> Conditions:
    """What a statement is subject to that the subscripts of an access decide, in terms of other indices."""
    if not is_plain(access):
        return frozenset()
    turned = dict(zip(subscript(access), indices, strict=True))
    return frozenset(one.xreplace(turned) for one in simple(s.condition) if one.free_symbols <= set(turned))


def simple(condition: Expr) -> Conditions:
    """Conditions on indices that bound loops."""
    return frozenset(one for one in conjuncts(condition) if not one.has(Indexed))


def under_also(s: Statement, more: Conditions) -> Statement:
    return replace(s, condition=And(s.condition, *more)) if more - conjuncts(s.condition) else s


def without_zeros(steps: list[Step], known: set[str]) -> list[Step]:
    """Sums of products without those terms that have a factor which is 0."""
    supports: dict[str, tuple[tuple[Symbol, ...], Conditions] | None] = dict.fromkeys(known)
    for k, s in enumerate(steps):
        if isinstance(s, Product):
            supports[s.writes] = None
            continue
        if s.op == "+=":
            more: Conditions = frozenset()
            for factor in Mul.make_args(s.expr):
                where = supports.get(name_of(factor)) if isinstance(factor, Indexed) else None
                if where is not None and where[1] is not NOWHERE and is_plain(factor):
                    turned = dict(zip(where[0], subscript(factor), strict=True))
                    more |= frozenset(one.xreplace(turned) for one in where[1])
            s = steps[k] = under_also(s, more)
        note(s, supports)
    return steps


def note(s: Statement, supports: dict[str, tuple[tuple[Symbol, ...], Conditions] | None]) -> None:
    """Outside of which conditions a tensor is 0, as far as it has been written."""
    if isinstance(s.target, Symbol) or not is_plain(s.target):
        supports[s.writes] = None
        return
    indices = subscript(s.target)
    own = frozenset(one for one in simple(s.condition) if one.free_symbols <= set(indices))
    if s.op == "=" and s.expr == 0 and s.condition == S.true:
        supports[s.writes] = (indices, NOWHERE)
    elif s.op == "+=" and supports.get(s.writes) is not None:
        before = supports[s.writes]
        assert before is not None
        turned = dict(zip(indices, before[0], strict=True))
        own = frozenset(one.xreplace(turned) for one in own)
        shared = own if before[1] is NOWHERE else before[1] & own
        supports[s.writes] = (before[0], shared)
    else:
        supports[s.writes] = None


NOWHERE: Conditions = frozenset({S.false})
"""Of a tensor that is 0 all over, as nothing has been added to it."""
