"""Corners of a flow rounded: rectifiers and absolute values whose slopes turn within a width."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, reduce

from sympy import Abs, Basic, Expr, Heaviside, Max, Min, Symbol, sign, tanh

from derivations.gradient_flow.adjoints import depends_on_state
from derivations.program.functions import sigmoid, softplus
from derivations.program.language import Definition, Program, ProgramError, accesses, name_of, names_of, unused

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
    of c.

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
    turns = any(_corners(d.rhs, moving) for d in flow.definitions)
    jumps = next((d for d in _forward(flow) if any(_moves(one, moving) for one in d.rhs.atoms(sign, Heaviside))), None)
    if jumps is not None:
        raise ProgramError(f"{flow.name}: {jumps.lhs} jumps where its argument is 0; a jump cannot be rounded")
    if not turns:
        raise ProgramError(f"{flow.name} has no Max, Min or abs of what moves: there is no corner to round")
    name = unused(["corner"], names_of(flow))
    width = Symbol(name, positive=True)
    model = flow.model
    return (
        replace(
            flow,
            name=f"{flow.name}-rounded",
            definitions=_all_rounded(flow.definitions, moving, width),
            metric=_all_rounded(flow.metric, moving, width),
            parameters=(*flow.parameters, width),
            model=None
            if model is None
            else replace(
                model,
                definitions=_all_rounded(model.definitions, moving, width),
                parameters=(*model.parameters, width),
            ),
            assumptions=(*flow.assumptions, f"corners are rounded within a width `{name}` of their arguments"),
        ),
        name,
    )


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
    return any(_corners(d.rhs, moving) for d in flow.definitions)


def _forward(flow: Program) -> tuple[Definition, ...]:
    """What was written, before what was derived from it."""
    derived = {*flow.adjoints.values(), *(flow.flow[state] for state in flow.rates)}
    return tuple(d for d in flow.definitions if d.name not in derived)


def _moves(expr: Basic, moving: set[str]) -> bool:
    return isinstance(expr, Expr) and any(name_of(access) in moving for access in accesses(expr))


def _corners(rhs: Expr, moving: set[str]) -> list[Expr]:
    return [one for one in rhs.atoms(Max, Min, Abs) if _moves(one, moving)]


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

    kinds = (Max, Min, Abs, sign, Heaviside)
    return rhs.replace(lambda one: isinstance(one, kinds) and _moves(one, moving), turned)
