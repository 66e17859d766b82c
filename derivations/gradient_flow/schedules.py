"""Schedules: the factor of the learning rate at each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Expr, Integer, Max, Min, Rational, S, Symbol, cos, floor, pi

from derivations.program.language import SumOver, indices, scalars, tensors
from derivations.program.program import Definition, ProgramError

__all__ = ["SHAPES", "Scheduled", "factor", "scheduled"]

SHAPES = ("constant", "linear", "cosine", "steps", "table")
"""What a schedule does after its warm-up."""

steps, warm_up, total, least, period, drop = scalars("steps warm_up total least period drop", nonnegative=True)
(j,) = indices("j")
J = Symbol("J", integer=True, positive=True)
begins, lasts, rises = tensors("begins lasts rises")
first, lr = scalars("first lr", nonnegative=True)


@dataclass(frozen=True)
class Scheduled:
    """The learning rate of a schedule in a flow.

    Attributes
    ----------
    definitions : tuple of Definition
    rate : Expr
        The learning rate at the present step.
    parameters, data : tuple
        What the definitions take.
    extents : mapping of index to extent
    """

    definitions: tuple[Definition, ...]
    rate: Expr
    parameters: tuple[Symbol, ...]
    data: tuple[Expr, ...] = ()
    extents: Mapping[Symbol, Expr] | None = None


def factor(shape: str, warm: bool, step: Expr) -> Expr:
    """The factor of the learning rate at a step, the first of which is 0.

    Warm-up: ``(step + 1)/warm_up`` to 1. Then, over the steps from its end to ``total``, ``linear`` down to ``least``,
    or ``cosine``, half a wave down to it; ``steps``, by the factor ``drop`` every ``period`` steps. A table is linear
    between its entries.

    Examples
    --------
    >>> factor("constant", True, Integer(4)).subs(warm_up, 10), factor("cosine", False, Integer(5)).subs(total, 10)
    (1/2, least/2 + 1/2)
    """
    if shape not in SHAPES:
        raise ProgramError(f"there is no schedule {shape!r}; take one of {', '.join(SHAPES)}")
    found: Expr = S.One
    before = warm_up if warm else S.Zero
    if shape in ("linear", "cosine"):
        done = Min(Max((step - before) / (total - before), 0), 1)
        left = 1 - done if shape == "linear" else (1 + cos(pi * done)) / 2
        found = least + (1 - least) * left
    elif shape == "steps":
        found = drop ** floor(Max(step - before, 0) / period)
    elif shape == "table":
        found = Symbol("of_table", real=True)
    return Min((step + 1) / warm_up, 1) * found if warm else found


def scheduled(shape: str, warm: bool, count: Symbol) -> Scheduled:
    """A schedule on the clock of a flow.

    Step k is in the middle of the flow from k to k + 1, so that both go equally far where the rate is linear; a rate
    that jumps does so between steps.

    Examples
    --------
    >>> print(*scheduled("linear", False, Symbol("steps", real=True)).definitions, sep="\\n")
    rate = lr*(least + (1 - least)*(1 - Min(1, Max(0, (steps - 1/2)/total))))
    """
    if shape == "constant" and not warm:
        return Scheduled((), lr, (lr,))
    middle = count - Rational(1, 2)
    rate = Symbol("rate", real=True)
    note = "learning rate at this step"
    if shape == "table":
        of_table = Symbol("of_table", real=True)
        body = rises[j] * Min(Max(middle - begins[j], 0), lasts[j])
        of_shape = (
            Definition(Symbol("risen", real=True), SumOver(body, j), "what the table has risen by, line by line"),
            Definition(of_table, first + Symbol("risen", real=True), "the table at this step"),
        )
        warmed = Min((middle + 1) / warm_up, 1) if warm else S.One
        return Scheduled(
            (*of_shape, Definition(rate, lr * warmed * of_table, note)), rate,
            (lr, *((warm_up,) if warm else ()), first), (begins[j], lasts[j], rises[j]), {j: J},
        )  # fmt: skip
    if shape == "steps":
        jumps = factor(shape, False, Max(count - warm_up, 0) if warm else count)
        value = jumps * (Min((middle + 1) / warm_up, 1) if warm else Integer(1))
    else:
        value = factor(shape, warm, middle)
    used = value.free_symbols
    parameters = (lr, *(p for p in (warm_up, total, least, period, drop) if p in used))
    return Scheduled((Definition(rate, lr * value, note),), rate, parameters)
