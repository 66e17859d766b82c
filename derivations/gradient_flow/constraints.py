"""Constraints that a projection keeps: vectors of unit length, and shares that sum to 1.

A state moves by the part of its flow that keeps the constraint: its flow, less what its projection takes out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sympy import Expr, IndexedBase, Symbol

from derivations.program.access import Access, name_of, subscript
from derivations.program.language import SumOver
from derivations.program.program import Constraint, Definition, Program, ProgramError, names_of, unused

__all__ = ["constrained", "simplex", "unit_norm"]


def unit_norm(state: Access, *over: Symbol) -> Constraint:
    """The constraint that a state has unit length along some indices, all of them if none are named.

    Its flow f loses what is along the state: ``f - W (W.f) / (W.W)``, the projection on the tangent of the sphere.
    """
    return of("unit norm", state, over)


def simplex(state: Access, *over: Symbol) -> Constraint:
    """The constraint that a state is 0 or more and sums to 1 along some indices, all of them if none are named.

    Its flow f becomes ``p (f - (p.f) / sum p)``, the projection in the metric of Fisher and Shahshahani, which weighs
    motion by 1/p: the replicator equation, which never leaves the simplex.

    References
    ----------
    S. Shahshahani, A New Mathematical Framework for the Study of Linkage and Selection, Memoirs AMS 211 (1979).
    """
    return of("simplex", state, over)


def of(kind: str, state: Access, over: tuple[Symbol, ...]) -> Constraint:
    subs = subscript(state)
    strange = [index for index in over if index not in subs]
    if not subs or strange:
        told = f"it has no index {strange[0]}" if strange else "give its indices, W[i, k]"
        raise ProgramError(f"{kind} of {state}: {told}")
    return Constraint(kind, state, over or subs)


def tensor(name: str, subs: tuple[Symbol, ...]) -> Access:
    return IndexedBase(name, real=True)[subs] if subs else Symbol(name, real=True)


def constrained(program: Program) -> Program:
    """The flow of a program, projected so that it keeps the program's constraints.

    Examples
    --------
    >>> from derivations.gradient_flow import gradient_flow
    >>> from derivations.program.language import indices, scalars, tensors
    >>> (w, c), (i,), (loss,), V = tensors("w c"), indices("i"), scalars("loss"), Symbol("V", integer=True)
    >>> program = Program("rayleigh", "", "", {i: V}, (c[i],), (w[i],), (Definition(loss, SumOver(c[i] * w[i]**2, i)),),
    ...     loss=loss, constraints=(unit_norm(w[i]),))
    >>> print(*gradient_flow(program).definitions[-4:], sep="\\n")
    wfree[i] = -eta_w*wbar[i]
    w_square = SumOver(w[i]**2, i)
    w_along = SumOver(w[i]*wfree[i], i)
    wdot[i] = -w_along*w[i]/w_square + wfree[i]
    """
    taken = names_of(program)
    definitions = list(program.definitions)
    flow, conserved = dict(program.flow), list(program.conserved)
    for constraint in program.constraints:
        state = constraint.state
        name = name_of(state)
        rate = flow[name]
        free = next((d for d in definitions if d.name == rate), None)
        if free is None or free.accumulate or sum(d.name == rate for d in definitions) > 1 or free.lhs == state:
            raise ProgramError(f"{constraint.kind} of {name}: its flow {rate} is no definition of its own; make it one")
        at = definitions.index(free)
        known = dict(zip(subscript(free.lhs), subscript(state), strict=True))
        inner = tensor(unused([f"{name}free", f"{name}_free"], taken), subscript(state))
        rest = tuple(index for index in subscript(state) if index not in constraint.over)

        def part(suffix: str, body: Expr, note: str, own: Any = (name, rest, constraint)) -> Definition:
            called = unused([f"{own[0]}_{suffix}", f"{own[0]}_of_{suffix}"], taken)
            return Definition(tensor(called, own[1]), SumOver(body, *own[2].over), note)

        if constraint.kind == "unit norm":
            size = part("square", state**2, f"squared length of {name}")
            along = part("along", state * inner, "what the flow has along it")
            projected = inner - state * along.lhs / size.lhs
        else:
            size = part("total", state, f"sum of {name}")
            along = part("mean", state * inner, "mean of the flow")
            projected = state * (inner - along.lhs / size.lhs)
        definitions[at : at + 1] = [
            Definition(inner, free.rhs.xreplace(known), f"flow of {name} without its constraint"),
            size,
            along,
            Definition(
                tensor(rate, subscript(state)), projected, f"flow of {name} that keeps it on the {constraint.kind}"
            ),
        ]
        kept = unused([f"{name}_kept"], taken)
        conserved.append(Definition(tensor(kept, rest), size.rhs, size.note))
    return replace(program, definitions=tuple(definitions), conserved=tuple(conserved))
