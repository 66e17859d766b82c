"""Corners of a flow rounded: rectifiers and absolute values whose slopes turn within a width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, reduce

from sympy import Abs, Basic, Expr, Heaviside, Indexed, Max, Min, Symbol, sign, tanh
from sympy.logic.boolalg import Boolean

from derivations.gradient_flow.adjoints import depends_on_state, gradient_flow
from derivations.program.access import accesses, name_of
from derivations.program.functions import sigmoid, softplus
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["has_corners", "rounded"]


@cache
def rounded(flow: Program) -> tuple[Program, str]:
    """A flow that turns around the corners of its loss instead of at once, and the parameter that says how wide.

    Where slopes on both sides of a corner lead towards it, a flow slides along it, and no step of a solver is short
    enough. In the width c

        Max(a, b) -> c log(e^(a/c) + e^(b/c)),   Min(a, b) -> -c log(e^(-a/c) + e^(-b/c)),   |a| -> c log(2 cosh(a/c))

    which are above the maximum, below the minimum and above the size by at most c log 2, and so are as far from the
    corner as that changes the loss. The slopes turn with them, ``Heaviside(a - b) -> 1/(1 + e^((b - a)/c))``: the
    rounded flow is the gradient flow of the rounded loss. As c goes to 0 it goes to the flow that slides, by the order
    of c. Arguments are as sympy has them: it writes 3 |a| for |3 a|. Conditions are looked at as they stand.

    Parameters
    ----------
    flow : Program
        With a flow of all its states.

    Returns
    -------
    tuple
        The flow, and the name of its new parameter.

    Raises
    ------
    ProgramError
        There is no corner, or a jump, which nothing rounds: a sign of what moves.

    References
    ----------
    A. F. Filippov, Differential Equations with Discontinuous Righthand Sides, 1988: the flow that slides.

    Examples
    --------
    >>> from derivations.models.topic import topic_classifier
    >>> flow, width = rounded(topic_classifier("TL"))
    >>> for name in ("hidden", "ubar"):
    ...     print(*(d.rhs for d in flow.definitions if d.name == name))
    corner*softplus((f[j] + u[n, j])/corner)
    sigmoid((f[j] + u[n, j])/corner)*hiddenbar[n, j]
    """
    moving = depends_on_state(flow)
    jumps = next((d for d in _forward(flow) if _kinds(d.rhs, moving, (sign, Heaviside))), None)
    if jumps is not None:
        raise ProgramError(f"{flow.name}: {jumps.lhs} jumps where its argument is 0; a jump cannot be rounded")
    if not has_corners(flow):
        raise ProgramError(
            f"{flow.name} has no Max, Min or abs of what moves: there is no corner to round (a rectifier that is"
            " written by cases is not seen; Max(w, 0) is)"
        )
    name = unused(["corner"], names_of(flow))
    width = Symbol(name, positive=True)
    model = flow.model and replace(
        flow.model,
        definitions=_all_rounded(flow.model.definitions, moving, width),
        parameters=(*flow.model.parameters, width),
    )
    if flow.model is not None and model is not None and gradient_flow(flow.model).definitions == flow.definitions:
        found = gradient_flow(model)
    else:  # a flow of its own, or one that moves by more than its slopes: as it stands
        found = replace(
            flow,
            definitions=_all_rounded(flow.definitions, moving, width),
            metric=_all_rounded(flow.metric, moving, width),
            parameters=(*flow.parameters, width),
            model=model,
        )
    told = f"corners are rounded within a width `{name}` of their arguments"
    return replace(found, name=f"{flow.name}-rounded", assumptions=(*flow.assumptions, told)), name


@cache
def has_corners(flow: Program) -> bool:
    """Whether a flow has corners that can be rounded.

    Examples
    --------
    >>> from derivations.models.topic import topic_classifier
    >>> has_corners(topic_classifier("TL")), has_corners(topic_classifier("FC"))
    (True, False)
    """
    moving = depends_on_state(flow)
    return any(_kinds(d.rhs, moving, (Max, Min, Abs)) for d in flow.definitions)


def _forward(flow: Program) -> tuple[Definition, ...]:
    """What was written, before what was derived from it."""
    derived = {*flow.adjoints.values(), *(flow.flow[state] for state in flow.rates)}
    return tuple(d for d in flow.definitions if d.name not in derived)


def _moves(expr: Basic, moving: set[str]) -> bool:
    return isinstance(expr, Expr) and any(name_of(access) in moving for access in accesses(expr))


def _values(expr: Basic) -> Iterator[Basic]:
    """An expression and its parts, without conditions: on which side of one a point is, is not rounded."""
    if not isinstance(expr, Boolean):
        yield expr
        for part in expr.args:
            yield from _values(part)


def _kinds(rhs: Expr, moving: set[str], kinds: tuple[type, ...]) -> list[Basic]:
    """The parts of some kinds that move."""
    return [one for one in _values(rhs) if isinstance(one, kinds) and _moves(one, moving)]


def _all_rounded(definitions: tuple[Definition, ...], moving: set[str], width: Symbol) -> tuple[Definition, ...]:
    return tuple(replace(d, rhs=_rounded(d.rhs, moving, width)) for d in definitions)


def _rounded(rhs: Expr, moving: set[str], width: Symbol) -> Expr:
    def above(sides: list[Expr]) -> Expr:
        """A maximum, upwards from the sides that do not move, so that nothing large is taken from itself."""
        return reduce(lambda low, high: low + width * softplus((high - low) / width), sides)

    def at_rest_first(sides: tuple[Expr, ...]) -> list[Expr]:
        return sorted(sides, key=lambda side: _moves(side, moving))

    def turned(one: Expr) -> Expr:
        a = one.args[0]
        match one:
            case Max():
                return above(at_rest_first(one.args))
            case Min():
                return -above([-side for side in at_rest_first(one.args)])
            case Abs():
                return above([-a, a])
            case sign():
                return tanh(a / width)
            case _:
                return sigmoid(a / width)

    def within(one: Basic) -> Basic:
        if isinstance(one, Boolean | Indexed) or not one.args:
            return one
        parts = tuple(within(part) for part in one.args)
        whole = one if parts == one.args else one.func(*parts)
        corner = isinstance(whole, Max | Min | Abs | sign | Heaviside) and _moves(whole, moving)
        return turned(whole) if corner else whole

    return within(rhs)
