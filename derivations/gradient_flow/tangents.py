"""Tangents: how everything that a program defines moves with its states, parameters and data, by the same derivatives.

Forward mode, each definition in turn: the tangent of ``lhs = rhs`` is a sum of ``d rhs / d access`` times that of the
access. Where :mod:`derivations.gradient_flow.adjoints` goes back from the loss, this goes on from what is moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

from sympy import Add, And, Expr, Indexed, Mul, Piecewise, Pow, S, exp

from derivations.gradient_flow.adjoints import local_derivatives, product_of, renamed, reuse, unguarded
from derivations.program.access import accesses, index_symbols, name_of
from derivations.program.functions import stop_gradient
from derivations.program.language import Reduction, SumOver
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["at_rest", "beside", "by_products", "linearised", "tangents"]


def tangents(
    program: Program, moved: Mapping[str, str], of: Iterable[str], taken: set[str] | None = None
) -> tuple[tuple[Definition, ...], dict[str, str]]:
    """The tangents of some definitions.

    Parameters
    ----------
    program : Program
    moved : mapping of str to str
        States, parameters and data that move, with the names of their tangents.
    of : iterable of str
        The definitions whose tangents are wanted.
    taken : set of str, optional
        Names that new definitions do not take; those of the program if not given.

    Returns
    -------
    definitions : tuple of Definition
        In the order of the program.
    names : dict of str to str
        What the tangents are called. What does not move has none.

    Raises
    ------
    ProgramError
        Something on the way is not differentiable.

    Examples
    --------
    >>> from derivations.registry import program
    >>> definitions, names = tangents(program("marginal"), {"W": "W_direction"}, ["Wdot"])
    >>> print(*definitions[:2], definitions[-1], sep="\\n")
    Y_tangent[o] = SumOver(W_direction[i, o]*c[i], i)
    X_tangent[i, o] = (1 - 1/L)*Y_tangent[o] + W_direction[i, o]/L
    Wdot_tangent[i, o] = -eta_W*c[i]*p_tangent[i, o]
    """
    taken = names_of(program) | set(moved.values()) if taken is None else taken
    wanted = needed_for(program, of)
    names = dict(moved)
    for d in program.definitions:
        if d.name in wanted and d.name not in names and any(name_of(a) in names for a in accesses(d.rhs)):
            names[d.name] = unused([f"{d.name}_tangent"], taken)
    begun: set[str] = set()
    added_to = {d.name for d in program.definitions if d.accumulate}
    held = {
        product_of(d.rhs): d.lhs
        for d in program.definitions
        if d.rhs.has(exp) and isinstance(unguarded(d.rhs), Mul | exp) and d.name not in added_to
    }
    found: list[Definition] = []
    for d in program.definitions:
        if d.name not in wanted or d.name not in names or d.name in moved:
            continue
        lhs = renamed(d.lhs, names[d.name])
        note = f"tangent of {d.name}"
        terms = [
            reuse(derivative, held) * renamed(access, names[name_of(access)])
            for access, derivative in local_derivatives(let_through(d), set(names))
        ]
        rhs = summed(sum(terms, S.Zero), d, program)
        if d.accumulate and d.name not in begun:
            raise ProgramError(f"{program.name}: {d.name} is added to before it is defined")
        if d.accumulate and rhs == 0:
            continue
        begun.add(d.name)
        found.append(Definition(lhs, rhs, note, accumulate=d.accumulate))
    return tuple(found), {name: tangent for name, tangent in names.items() if name not in moved}


def let_through(d: Definition) -> Definition:
    """A definition without what holds slopes still: a flow moves with everything that it reads."""
    return replace(d, rhs=d.rhs.replace(stop_gradient, lambda x: x)) if d.rhs.has(stop_gradient) else d


def summed(expr: Expr, d: Definition, program: Program) -> Expr:
    """The expression, summed as the definition is; an index that is lost counts how often it was added up."""
    over = []
    for index in d.over:
        if index in index_symbols(expr, program.extents):
            over.append(index)
    for index in d.over:
        if index not in over and expr != 0:
            expr = program.extents[index] * expr
            over += [new for new in index_symbols(expr, program.extents) if new in d.over and new not in over]
    return SumOver(expr, *over) if over else expr


def needed_for(program: Program, of: Iterable[str]) -> set[str]:
    """The names that some definitions are computed from, with themselves."""
    wanted = set(of)
    for d in reversed(program.definitions):
        if d.name in wanted:
            wanted |= {name_of(access) for access in d.reads}
    return wanted


@cache
def linearised(program: Program, of: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> Program:
    """A flow with that of its tangents: ``d delta/d tau = J delta + source``, from a direction of every state.

    Parameters
    ----------
    program : Program
        With a flow.
    of : tuple of str
        Parameters and data that move, too: their directions are parameters and data of the result.
    also : tuple of str
        Definitions whose tangents are wanted beside those of the flow.

    Returns
    -------
    Program
        Its states are those of the program and their directions, ``W_direction``. Where averages begin at a definition,
        so do their directions at its tangent. ``tangents`` says what all tangents are called.

    Examples
    --------
    >>> from derivations.registry import program
    >>> found = linearised(program("joint"), also=("loss",))
    >>> [str(state) for state in found.states], found.tangents["loss"]
    (['W[i, v]', 'A[i, o]', 'W_direction[i, v]', 'A_direction[i, o]'], 'loss_tangent')
    """
    if not program.flow:
        raise ProgramError(f"{program.name}: tangents need a flow; derive it first")
    known = {name_of(a): a for a in (*program.data, *program.parameters)}
    for name in of:
        if name not in known:
            raise ProgramError(f"{program.name}: has no parameter or data {name} to move; it has {', '.join(known)}")
    taken = names_of(program)
    moving = [state for state in program.states if name_of(state) != program.clock]
    moved = {name_of(a): unused([f"{name_of(a)}_direction"], taken) for a in (*moving, *(known[one] for one in of))}
    wanted = (*program.flow.values(), *program.starts.values(), *also)
    definitions, names = tangents(program, moved, wanted, taken)
    directions = {name_of(state): renamed(state, moved[name_of(state)]) for state in moving}
    flow, added = dict(program.flow), list(definitions)
    for state in moving:
        dot = program.flow[name_of(state)]
        if dot not in names:  # it does not move with anything
            names[dot] = unused([f"{dot}_tangent"], taken)
            added.append(Definition(renamed(state, names[dot]), S.Zero, f"tangent of {dot}"))
        flow[moved[name_of(state)]] = names[dot]
    starts = dict(program.starts)
    for state, start in program.starts.items():
        if start in names:
            starts[moved[state]] = names[start]
    of_parameters = {name_of(p) for p in program.parameters}
    return replace(
        program,
        name=f"{program.name}-tangents",
        title=f"{program.title}: tangents",
        data=(*program.data, *(renamed(known[one], moved[one]) for one in of if one not in of_parameters)),
        parameters=(*program.parameters, *(renamed(known[one], moved[one]) for one in of if one in of_parameters)),
        states=(*program.states, *directions.values()),
        definitions=(*program.definitions, *added),
        flow=flow,
        conserved=(),
        starts=starts,
        tangents={**{name: moved[name] for name in moved}, **names},
    )


@cache
def beside(program: Program, tangent: Program, count: int) -> tuple[Program, tuple[Mapping[str, str], ...]]:
    """A flow with several tangents, which move in directions of their own and share what does not.

    Parameters
    ----------
    program : Program
    tangent : Program
        The same with one tangent, of :func:`linearised`.
    count : int
        Tangents in all.

    Returns
    -------
    program : Program
        Its states are those of the program and their directions, one tangent after another.
    tangents : tuple of mapping
        What the tangents of each direction are called.

    Examples
    --------
    >>> from derivations.registry import program
    >>> found, names = beside(program("joint"), linearised(program("joint")), 2)
    >>> [str(state) for state in found.states[2:]]
    ['W_direction[i, v]', 'A_direction[i, o]', 'W_direction_2[i, v]', 'A_direction_2[i, o]']
    >>> names[1]["Wdot"], found.flow["W_direction_2"]
    ('Wdot_tangent_2', 'Wdot_tangent_2')
    """
    own, taken = names_of(program), names_of(tangent)
    added = [name for name in tangent.declarations if name not in own]
    found, every = tangent, [tangent.tangents]
    for k in range(2, count + 1):
        called = {name: unused([f"{name}_{k}"], taken) for name in added}

        def copied(expr: Expr, called: Mapping[str, str] = called) -> Expr:
            return expr.xreplace(
                {
                    access: renamed(access, called[name_of(access)])
                    for access in accesses(expr)
                    if name_of(access) in called
                }
            )

        found = replace(
            found,
            data=(*found.data, *(copied(a) for a in tangent.data if name_of(a) in called)),
            parameters=(*found.parameters, *(copied(a) for a in tangent.parameters if name_of(a) in called)),
            states=(*found.states, *(copied(a) for a in tangent.states if name_of(a) in called)),
            definitions=(
                *found.definitions,
                *(replace(d, lhs=copied(d.lhs), rhs=copied(d.rhs)) for d in tangent.definitions if d.name in called),
            ),
            flow={**found.flow, **{called[a]: called[b] for a, b in tangent.flow.items() if a in called}},
            starts={**found.starts, **{called[a]: called[b] for a, b in tangent.starts.items() if a in called}},
        )
        every.append({name: called[moved] for name, moved in tangent.tangents.items()})
    return found, tuple(every)


@cache
def at_rest(program: Program) -> Program:
    """A program whose tangents of roots are 0 where the root is: of a root of squares that are and stay 0.

    The optimiser's running root of a square has no derivative at 0. Where a gradient is 0 whatever is moved, as that of
    the attention on a word which never stands beside a target, root and tangent are 0.

    Examples
    --------
    >>> from derivations.gradient_flow.optimised import optimised
    >>> from derivations.registry import program
    >>> found = at_rest(linearised(optimised(program("joint"), "rmsprop", "limit", True)))
    >>> next(d for d in found.definitions if d.name == "A_size_tangent").rhs.args[0].cond
    A_variance[i, o] + Abar[i, o]**2 > 0
    """
    radicands: dict[str, set[Expr]] = {}
    for d in program.definitions:
        if d.name in program.tangents and not isinstance(d.rhs, Reduction):
            roots = {power.base for power in d.rhs.atoms(Pow) if power.exp in (S.Half, -S.Half)}
            moving = {root for root in roots if any(name_of(a) in program.tangents for a in accesses(root))}
            radicands[program.tangents[d.name]] = moving

    def guarded(d: Definition) -> Definition:
        roots = radicands.get(d.name)
        if not roots:
            return d
        return replace(d, rhs=Piecewise((d.rhs, And(*(root > 0 for root in roots))), (S.Zero, True)))

    return replace(program, definitions=tuple(map(guarded, program.definitions)))


@cache
def by_products(program: Program) -> Program:
    """A program in which a sum of products of two tensors is a definition for each product, and their sum.

    The tangent of a product of matrices is a sum of two; each alone is a call of linear algebra. Products within
    examples, which are streamed, stay as they are.

    Examples
    --------
    >>> from derivations.registry import program
    >>> found = by_products(linearised(program("joint")))
    >>> print(*(d for d in found.definitions if d.name.startswith("Z_")), sep="\\n")
    Z_tangent_1[o, v] = SumOver(Rtilde[i, o]*W_direction[i, v], i)
    Z_tangent_2[o, v] = SumOver(Rtilde_tangent[i, o]*W[i, v], i)
    Z_tangent[o, v] = Z_tangent_1[o, v] + Z_tangent_2[o, v]
    """
    taken, found = names_of(program), list[Definition]()
    for d in program.definitions:
        inner = d.rhs.args[0] if isinstance(d.rhs, SumOver) else S.Zero
        terms = inner.args if isinstance(inner, Add) and not d.accumulate and len(d.lhs.args) == 3 else ()
        pairs = all(
            isinstance(t, Mul) and len(t.args) == 2 and all(isinstance(f, Indexed) for f in t.args) for t in terms
        )
        if not terms or not pairs or len(d.over) != 1 or program.examples in d.rhs.free_symbols:
            found.append(d)
            continue
        parts = [unused([f"{d.name}_{k + 1}"], taken) for k in range(len(terms))]
        accesses_of = [renamed(d.lhs, part) for part in parts]
        found += [Definition(a, SumOver(t, *d.over), d.note) for a, t in zip(accesses_of, terms, strict=True)]
        found.append(replace(d, rhs=Add(*accesses_of)))
    return replace(program, definitions=tuple(found))


def is_tensor(factor: Expr) -> bool:
    return isinstance(factor, Indexed)
