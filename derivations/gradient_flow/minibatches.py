"""What a program is on some of its examples: an estimate of what it is on all of them.

Every sum over examples is estimated from those at hand: their sum times N/B, for B of N examples. So a mean over
examples becomes the mean over the batch, a sum that nothing divides by N stays as large as it was, and what examples
have no part in (a penalty on the states) stays as it is. Of a loss that is linear in its sums over examples, the
gradient of a batch is then that of all examples in expectation, whichever of these it is.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Expr, Indexed, S, Symbol

from derivations.program.access import accesses, index_symbols, name_of, subscript
from derivations.program.language import LogSumExp, MaxOver, Reduction, SumOver
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["on_minibatches"]

SHARE = "examples_for_each"


def on_minibatches(program: Program) -> tuple[Program, Symbol]:
    """A program, or a flow, on part of its examples.

    Parameters
    ----------
    program : Program
        With ``examples``, the index of its examples.

    Returns
    -------
    program : Program
        The same with one more parameter, N/B; at 1 it is what it was.
    share : Symbol
        This parameter: how many examples each of those at hand stands for.

    Raises
    ------
    ProgramError
        No index of examples, or something that some of the examples do not tell: a state for each of them, pairs of
        them, their largest value, an example that another one names.

    References
    ----------
    D. G. Horvitz, D. J. Thompson, A Generalization of Sampling Without Replacement From a Finite Universe, Journal of
    the American Statistical Association 47, 1952.

    Examples
    --------
    >>> from derivations.models import keyword_classifier
    >>> found, share = on_minibatches(keyword_classifier())
    >>> show = {d.name: d for d in found.definitions if not d.accumulate}
    >>> print(show["loss"], show["zbar"], sep="\\n")
    loss = SumOver((Q[n] - z[n, y[n]])/N, n)
    zbar[n, k] = exp(-Q[n] + z[n, k])/(N*examples_for_each)
    """
    if program.examples is None:
        raise ProgramError(f"{program.name}: which index counts examples is not said; declare it, examples=n")
    share = Symbol(unused([SHARE], names_of(program)), real=True, positive=True)
    return _estimated(program, share), share


def _estimated(program: Program, share: Symbol) -> Program:
    assert program.examples is not None
    size = program.extents[program.examples]
    if not isinstance(size, Symbol):
        raise ProgramError(
            f"{program.name}: there are {size} examples in every batch; give index {program.examples} a size"
        )
    each = {index for index, extent in program.extents.items() if extent == size}
    for state in program.states:
        if each & set(subscript(state)):
            raise ProgramError(f"state {state} is one for each example; some of them do not tell it, take all")
    definitions = tuple(_definition(d, program, each, size, share) for d in program.definitions)
    return replace(
        program,
        definitions=definitions,
        parameters=(*program.parameters, share),
        conserved=(),
        model=None if program.model is None else _estimated(program.model, share),
    )


def _definition(d: Definition, program: Program, each: set[Symbol], size: Symbol, share: Symbol) -> Definition:
    """A definition with its sums over examples, and its number of them, as a batch has them."""
    declared = program.declarations
    for access in (*d.reads, d.lhs):
        own = subscript(declared[name_of(access)]) if name_of(access) in declared else ()
        for sub, index in zip(subscript(access), own, strict=False):
            if program.extents.get(index) == size and sub not in each:
                raise ProgramError(f"definition of {d.lhs}: {access} is of another example; take all of them")
            if isinstance(sub, Expr) and size in sub.free_symbols:
                raise ProgramError(f"definition of {d.lhs}: {access} is of the last examples; take all of them")
    inside = (index_symbols(d.rhs, program.extents) | index_symbols(d.lhs, program.extents) | set(d.over)) & each
    if len(inside) > 1:
        raise ProgramError(f"definition of {d.lhs}: it is of pairs of examples, of which a batch has few; take all")
    summed = inside - set(subscript(d.lhs))
    rhs = d.rhs
    if summed and isinstance(rhs, MaxOver):
        raise ProgramError(f"definition of {d.lhs}: some examples do not tell the largest of all; take all of them")
    number = {size: size * share}
    if not isinstance(rhs, Reduction):
        return replace(d, rhs=_outside(rhs, number) * (share if summed else S.One))
    body, weight = _outside(rhs.body, number), _outside(rhs.weight, number)
    if summed and isinstance(rhs, SumOver):
        body = share * body
    if summed and isinstance(rhs, LogSumExp):
        weight = share * weight
    return replace(d, rhs=type(rhs)(body, *rhs.over, weight=weight))


def _outside(expr: Expr, number: dict[Symbol, Expr]) -> Expr:
    """An expression with the number of examples replaced where it stands as a number, not in subscripts."""
    kept = {
        access: Symbol(f"_{k}", real=True)
        for k, access in enumerate(dict.fromkeys(accesses(expr)))
        if isinstance(access, Indexed)
    }
    return expr.xreplace(kept).xreplace(number).xreplace({held: access for access, held in kept.items()})
