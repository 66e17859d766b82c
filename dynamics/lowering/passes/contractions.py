"""Second pass: matrix products over whole arrays go to BLAS, gathered ones to the sparse kernels.

A sum of products of exactly two tensors over one index is a matrix product. With plain subscripts on both sides it is
one call of ``np.dot``. With a gather ``W[word[o, e], v]`` it is a product with a sparse matrix in compressed columns,
in one of three shapes: rows gathered and added up, rows scattered, or dot products on the pattern.

Examples are streamed one at a time, so products inside the loop over examples stay loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sympy import Indexed, Mul, S, Symbol

from derivations.program.access import Access, is_plain, name_of, subscript
from derivations.program.program import Program
from dynamics.lowering.passes.statements import Statement


@dataclass(frozen=True)
class Product:
    """``target = sum over one index of left * right``; kind is ``dense``, ``gather``, ``scatter`` or ``gather-dot``."""

    kind: str
    target: Access
    left: Access
    right: Access

    @cached_property
    def writes(self) -> str:
        return name_of(self.target)

    @property
    def read_accesses(self) -> list[Access]:
        return [self.left, self.right]

    @cached_property
    def reads(self) -> set[str]:
        tables = [
            name_of(s) for a in (self.target, self.left, self.right) for s in subscript(a) if isinstance(s, Indexed)
        ]
        return {name_of(self.left), name_of(self.right), *tables}

    def __str__(self) -> str:
        return f"{self.target} = {self.left} . {self.right} ({self.kind} product)"


Step = Statement | Product


def contract(statements: Sequence[Statement], program: Program) -> list[Step]:
    """The statements with whole-array products recognised."""
    steps: list[Step] = []
    k = 0
    while k < len(statements):
        product = match(statements[k], statements[k + 1], program) if k + 1 < len(statements) else None
        steps.append(product or statements[k])
        k += 2 if product else 1
    return steps


def match(start: Statement, add: Statement, program: Program) -> Product | None:
    """The product that an initial zero and an accumulation make together, if they do."""
    if start.expr != 0 or start.op != "=" or add.op != "+=" or start.writes != add.writes or add.condition != S.true:
        return None
    if program.examples is not None and program.examples in add.space:
        return None
    factors: tuple = add.expr.args if isinstance(add.expr, Mul) else ()
    if len(factors) != 2 or not all(isinstance(f, Indexed) for f in factors):
        return None
    ragged = {index for index, extent in program.extents.items() if isinstance(extent, Indexed)}
    target = add.target
    for left, right in (factors, factors[::-1]):
        if all(is_plain(a) for a in (target, left, right)) and not ragged & set(add.space):
            if dense(target, left, right):
                return Product("dense", target, left, right)
            continue
        kind = sparse(target, left, right, ragged)
        if kind:
            return Product(kind, target, left, right)
    return None


def dense(target: Access, left: Access, right: Access) -> bool:
    """Whether ``left @ right`` has the target's shape: matrices and vectors that share exactly the summed index."""
    t, x, y = (subscript(a) for a in (target, left, right))
    if not (1 <= len(x) <= 2 and 1 <= len(y) <= 2 and len(x) + len(y) > 2):
        return False
    summed = (set(x) & set(y)) - set(t)
    free = [s for s in (*x, *y) if s not in summed]
    return len(summed) == 1 and set(x) & set(y) == summed and free == list(t)


def sparse(target: Access, left: Access, right: Access, ragged: set[Symbol]) -> str | None:
    """Which product with the sparse matrix ``weight[o, e]`` at rows ``word[o, e]`` this is.

    gather:      Z[o, v] = sum_e weight[o, e] W[word[o, e], v]
    scatter:     Z[word[o, e], v] += weight[o, e] D[o, v]
    gather-dot:  g[o, e] = sum_v D[o, v] W[word[o, e], v]
    """
    t, x, y = (subscript(a) for a in (target, left, right))
    if not all(len(s) == 2 for s in (t, x, y)):
        return None

    def pattern(subs: tuple) -> bool:
        return is_plain_pair(subs) and subs[1] in ragged

    def gathered(subs: tuple, at: tuple) -> bool:
        return isinstance(subs[0], Indexed) and subscript(subs[0]) == at and isinstance(subs[1], Symbol)

    if pattern(x) and gathered(y, x) and t == (x[0], y[1]):
        return "gather"
    if pattern(x) and gathered(t, x) and y == (x[0], t[1]):
        return "scatter"
    if pattern(t) and gathered(y, t) and x == (t[0], y[1]):
        return "gather-dot"
    return None


def is_plain_pair(subs: tuple) -> bool:
    return len(subs) == 2 and all(isinstance(s, Symbol) for s in subs) and subs[0] != subs[1]
