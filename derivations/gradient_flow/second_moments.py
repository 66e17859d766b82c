"""Second moments of the gradient: what the noise of batches is made of, beside the gradient by the same sweep.

The adjoint of a state is a sum of contributions, ``bar += SumOver(term, over)``: over what is reduced, and over all
that is scattered into one entry. Here the contributions are squared before they are added up.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Expr, IndexedBase, S, Symbol

from derivations.gradient_flow.adjoints import renamed
from derivations.program.access import Access, index_symbols, name_of, subscript
from derivations.program.language import SumOver
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["second_moments"]


def second_moments(program: Program, by: tuple[Symbol, ...] = (), share: Expr = S.One) -> Program:
    """A gradient flow with the second moment of the gradient of every state.

    The gradient is a sum of contributions; the moment is the sum of their squares, each divided by its share. What one
    contribution is:

    - ``by=()``: one term of the sums that the adjoint of the state is defined by. What a definition of its own adds up
      is one term. For a table of embeddings this is one place of one sentence, for a matrix that all rows share one
      row; a word that stands in a sentence twice gives two contributions. Nothing is stored that the sweep has not.
    - ``by=(n,)``: all that example n adds, exactly: a word that stands in a sentence twice gives one contribution. It
      takes an array of the size of the state for every example, where what an example adds is not a definition already.

    For a mean over N examples of a loss, contributions are 1/N of the gradient of an example, and N times the moment is
    the mean of squared gradients; a batch of B examples, drawn with replacement, has a mean of squared gradients
    ``g**2 + moment * N / B - g**2 / B``.

    Parameters
    ----------
    program : Program
        The gradient flow of a loss.
    by : tuple of Symbol
        The indices of an example, or nothing.
    share : Expr
        What part of the mean an example is, where moments are to be those of single examples: ``1/N``, or ``q[o]`` in a
        closure whose examples are targets. One leaves squares of contributions as they are.

    Raises
    ------
    ProgramError
        The program is no gradient flow, holds moments already, or has a state whose adjoint does not tell examples
        apart.

    Examples
    --------
    >>> from derivations.registry import program
    >>> print(*second_moments(program("keyword-bias")).definitions[-3:], sep="\\n")
    W_moment[i, k] = 0
    W_moment[x[n, l], k] += alpha[n, l]**2*zbar[n, k]**2
    b_moment[k] = SumOver(zbar[n, k]**2, n)
    """
    if not program.adjoints or program.metric:
        raise ProgramError(f"{program.name}: second moments need the gradient flow of a loss; derive it first")
    if program.moments:
        raise ProgramError(f"{program.name}: has second moments already; derive them once")
    for index in by:
        if index not in program.extents:
            raise ProgramError(f"{program.name}: no index {index} tells its examples apart; it has none of this name")
    taken = names_of(program)
    definitions: list[Definition] = []
    moments: dict[str, str] = {}
    for state in program.states:
        name = name_of(state)
        moment = renamed(state, unused([f"{name}_moment"], taken))
        moments[name] = name_of(moment)
        parts = contributions(program, state)
        note = f"second moment of the gradient by {name}"
        if by:
            definitions += by_example(program, state, moment, parts, by, share, note, taken)
        else:
            definitions += by_term(state, moment, parts, share, note)
    return program.extended(definitions, moments=moments)


def contributions(program: Program, state: Access) -> list[Definition]:
    """The definitions that the adjoint of a state is added up by, as definitions of something called as the state."""
    name = name_of(state)
    bar = (program.second or program.adjoints).get(name)
    if bar is None:
        # The adjoint was a bare access, or nothing: it stands in the flow itself.
        (flow,) = (d for d in program.definitions if d.name == program.flow[name])
        return [Definition(state, -flow.rhs / Symbol(program.rates[name], real=True))]
    return [replace(d, lhs=renamed(d.lhs, name)) for d in program.definitions if d.name == bar]


def squared(part: Definition, share: Expr) -> Expr:
    rhs = part.body**2 / share
    return SumOver(rhs, *part.over) if part.over else rhs


def by_term(state: Access, moment: Access, parts: list[Definition], share: Expr, note: str) -> list[Definition]:
    """Squares of terms; sums over the same indices into the same entries have been one sum before."""
    return [
        replace(part, lhs=renamed(part.lhs, name_of(moment)), rhs=squared(part, share) if part.rhs != 0 else S.Zero,
                note=note)
        for part in parts
    ]  # fmt: skip


def by_example(
    program: Program, state: Access, moment: Access, parts: list[Definition], by: tuple[Symbol, ...], share: Expr,
    note: str, taken: set[str],
) -> list[Definition]:  # fmt: skip
    """Squares of all that an example adds."""
    name, table = name_of(state), program.extents
    own = subscript(state)
    parts = [part for part in parts if part.rhs != 0]
    if not parts:
        return [Definition(moment, S.Zero, note)]
    if set(by) <= set(own):
        if all(part.lhs == state for part in parts):  # an entry is of one example
            bar = renamed(state, (program.second or program.adjoints)[name])
            return [Definition(moment, bar**2 / share, note)]
        raise ProgramError(f"{program.name}: an entry of {name} gets contributions that are not told apart by {by}")
    for part in parts:
        lacking = set(by) - index_symbols(part.lhs, table) - index_symbols(part.body, table) - set(part.over)
        if lacking:
            names = ", ".join(sorted(index.name for index in lacking))
            raise ProgramError(
                f"{program.name}: what is added to the gradient by {name} has no index {names}; take the second moment "
                "by terms"
            )
    if len(parts) == 1 and parts[0].lhs == state and set(parts[0].over) == set(by):
        return [Definition(moment, squared(parts[0], share), note)]
    tensor = IndexedBase(unused([f"{name}_of"], taken), real=True)
    found: list[Definition] = []
    if parts[0].lhs != state:
        found.append(Definition(tensor[(*by, *own)], S.Zero, f"what an example adds to the gradient by {name}"))
    for part in parts:
        over = [index for index in part.over if index not in by]
        rhs = SumOver(part.body, *over) if over else part.body
        lhs = tensor[(*by, *subscript(part.lhs))]
        found.append(Definition(lhs, rhs, f"what an example adds to the gradient by {name}", accumulate=bool(found)))
    total = SumOver(tensor[(*by, *own)] ** 2 / share, *by)
    return [*found, Definition(moment, total, note)]
