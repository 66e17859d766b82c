"""Before all passes: what depends on data alone is put aside, to be computed once when data are given.

A sum over the context of every example, a Gram matrix, a norm: what neither states, time nor parameters enter is the
same at every evaluation of a flow. The definitions of such tensors leave the program, and the tensors become data of
it. Only what is dearer to compute than to read is put aside, and what holds no more numbers than the data do, or would
stand in memory as a whole anyway: memory at most doubles.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

from sympy import Abs, Function, Heaviside, Indexed, Max, Min, Piecewise, Pow, sign

from derivations.program.access import is_plain, name_of, subscript
from derivations.program.language import Reduction
from derivations.program.program import Definition, Program

__all__ = ["apart"]

CHEAP = (Abs, Heaviside, Max, Min, Piecewise, sign)
"""Functions that take no longer than a number takes to be read."""


@cache
def apart(program: Program, kept: frozenset[str]) -> tuple[Program, tuple[str, ...]]:
    """A program without the tensors that depend on its data alone, which are data of it; and their names.

    Parameters
    ----------
    program : Program
    kept : frozenset of str
        What is wanted itself: it stays a definition, as flow, loss and starts do.

    Examples
    --------
    >>> from derivations.program.language import SumOver, indices, scalars, tensors
    >>> i, j, k = indices("i j k")
    >>> N, = scalars("N", integer=True, positive=True)
    >>> x, w, gram, dot = tensors("x w gram dot")
    >>> program = Program(name="regression", title="", source="", extents={i: N, j: N, k: N}, data=(x[i, j],),
    ...                   states=(w[j],), parameters=(), flow={"w": "dot"}, definitions=(
    ...     Definition(gram[j, k], SumOver(x[i, j] * x[i, k], i)),
    ...     Definition(dot[j], SumOver(-gram[j, k] * w[k], k)),
    ... ))
    >>> rest, names = apart(program, frozenset())
    >>> names, [str(d) for d in rest.definitions], rest.data
    (('gram',), ['dot[j] = SumOver(-gram[j, k]*w[k], k)'], (x[i, j], gram[j, k]))
    """
    kept = kept | {
        *program.flow.values(),
        *program.starts.values(),
        *(() if program.loss is None else (name_of(program.loss),)),
    }
    known = {name_of(d) for d in program.data}
    count = Counter(d.name for d in program.definitions)
    fixed: dict[str, Definition] = {}
    for d in program.definitions:
        if count[d.name] == 1 and is_plain(d.lhs) and {name_of(a) for a in d.reads} <= known | set(fixed):
            fixed[d.name] = d
    chosen = [d for d in fixed.values() if d.name not in kept and is_dear(d) and fits(d, program)]
    rest = tuple(d for d in program.definitions if d not in chosen)
    used = {name_of(access) for d in rest for access in d.reads}
    # What only others that are put aside need stays behind, for those that are wanted beside the flow.
    lefts = tuple(d.lhs for d in chosen if d.name in used)
    if not lefts:
        return program, ()
    gone = {name_of(left) for left in lefts}
    rest = tuple(d for d in program.definitions if d.name not in gone)
    return replace(program, data=(*program.data, *lefts), definitions=rest), tuple(map(name_of, lefts))


def is_dear(d: Definition) -> bool:
    """Whether reading the tensor is cheaper than to compute it: it is a reduction, or has functions that take time."""
    powers = any(not power.exp.is_Integer for power in d.rhs.atoms(Pow))
    functions = any(not isinstance(function, CHEAP) for function in d.rhs.atoms(Function))
    return isinstance(d.rhs, Reduction) or powers or functions


def fits(d: Definition, program: Program) -> bool:
    """Whether a tensor has a fixed shape, of no more numbers than data, or is a reduction of no one example."""
    subs = subscript(d.lhs)
    shape = Counter(program.extents[index] for index in subs)
    if not subs or any(isinstance(extent, Indexed) for extent in shape):
        return False
    if isinstance(d.rhs, Reduction) and program.examples not in subs:
        return True
    return any(shape <= Counter(program.extents[index] for index in subscript(data)) for data in program.data)
