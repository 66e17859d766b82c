"""Before loops are made: what is looked up by two words is collected once for each example.

A sum over places reads ``A[x[n, l], x[n, q]]`` again for each of them, one number here and one there, and its adjoint
adds to such numbers one by one. Neither is done by vectors. So what is looked up by its last subscript, and read at
every turn of a further loop, is copied to an array whose order is that of the loops; and what is added up there is
added to a copy first. The sums that are left are over rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sympy import Dummy, Expr, Indexed, IndexedBase, Piecewise, S, Symbol

from derivations.program.access import Access, accesses, name_of, subscript
from derivations.program.program import Program, names_of, unused
from dynamics.lowering.passes.loops import loop_order
from dynamics.lowering.passes.statements import Statement

__all__ = ["collected"]


def collected(statements: Sequence[Statement], program: Program) -> list[Statement]:
    """The same statements, those over examples with copies of what they look up.

    Examples
    --------
    >>> from derivations.program import Definition, SumOver, indices, scalars, tensors
    >>> from dynamics.lowering.passes.statements import statements_of
    >>> n, p, q, i, j = indices("n p q i j")
    >>> N, T, V = scalars("N T V", integer=True, positive=True)
    >>> A, b, s = tensors("A b s")
    >>> (x,) = tensors("x", integer=True)
    >>> program = Program(name="pairs", title="", source="", extents={n: N, p: T, q: T, i: V, j: V}, data=(x[n, q],),
    ...                   states=(A[i, j], b[p, q]), parameters=(), flow={}, examples=n, definitions=(
    ...     Definition(s[n, p], SumOver(A[x[n, p], x[n, q]] * b[p, q], q)),
    ...     Definition(s[n, p], SumOver(A[i, x[n, p]] * b[p, q], i, q), accumulate=True),
    ... ))
    >>> print(*collected(statements_of(program, ["s"]), program), sep="; ")
    s[n, p] = 0; s[n, p] += A[x[n, p], x[n, q]]*b[p, q]; A_at[n, p, i] = A[i, x[n, p]]; s[n, p] += A_at[n, p, i]*b[p, q]
    """
    found: list[Statement] = []
    taken = names_of(program) | {s.writes for s in statements}
    for s in statements:
        for access in dict.fromkeys(accesses(s.expr)):
            if name_of(access) in program.state_names and worth_a_copy(access, s, program):
                copy = copy_of(access, replace(s, expr=s.expr.xreplace({access: S.One})), program, taken)
                found.append(Statement(copy, "=", access, in_order(copy, program)))
                s = replace(s, expr=s.expr.xreplace({access: copy}))
        if s.op == "+=" and worth_a_copy(s.target, s, program):
            copy = copy_of(s.target, replace(s, target=Dummy()), program, taken)
            space = in_order(copy, program)
            found += [Statement(copy, "=", S.Zero, space), replace(s, target=copy)]
            s = Statement(s.target, "+=", copy, space)
        found.append(s)
    return found


def worth_a_copy(access: Access, s: Statement, program: Program) -> bool:
    """Whether an access is looked up by its last subscript, again and again in a loop that it does not depend on."""
    if program.examples not in s.space or not isinstance(access, Indexed) or len(subscript(access)) < 2:
        return False
    if s.condition.has(Indexed) or s.expr.has(Piecewise):  # what data leave out need not be there
        return False
    own = {index for index in access.free_symbols if index in program.extents}
    plain = not any(isinstance(program.extents[index], Indexed) for index in s.space)
    return (
        plain and isinstance(subscript(access)[-1], Indexed) and program.examples in own and not own.issuperset(s.space)
    )


def copy_of(access: Access, rest: Statement, program: Program, taken: set[str]) -> Access:
    """An array for what is looked up, whose subscripts are in the order of the loops that all else asks for."""
    name = unused([f"{name_of(access)}_at"], taken)
    order = loop_order(rest, program)
    return IndexedBase(name, real=True)[tuple(index for index in order if index in access.free_symbols)]


def in_order(access: Expr, program: Program) -> tuple[Symbol, ...]:
    return tuple(sorted(subscript(access), key=list(program.extents).index))
