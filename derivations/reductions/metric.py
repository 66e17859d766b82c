"""Flows with a metric: gradient flows whose states do not move by their own slopes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sympy import Expr, Symbol

from derivations.program.program import Definition, Program

__all__ = ["with_flow"]


def with_flow(
    flow: Program,
    changed: Iterable[Definition],
    extents: dict[Symbol, Expr],
    data: tuple[Expr, ...],
    before: tuple[Definition, ...] = (),
) -> Program:
    """A flow with some of its last definitions changed, and what they need: no longer the gradient flow of a model."""
    new = {definition.name: definition for definition in changed}
    definitions = tuple(new.get(one.name, one) for one in flow.definitions)
    return replace(
        flow,
        extents={**flow.extents, **extents},
        data=(*flow.data, *data),
        definitions=(*before, *definitions),
        metric=(*before, *new.values()),
        model=None,
    )
