"""Gradient descent on a model: the flow that its steps follow, to second order in the learning rate."""

from __future__ import annotations

from functools import cache

from derivations.gradient_flow import descent_flow
from derivations.program.program import Program
from derivations.registry import model, program

__all__ = ["descent"]


@model("{}-descent", "{}: modified flow of gradient descent", listed=("keyword",))
@cache
def descent(name: str) -> Program:
    """The flow that descent on a model follows: :func:`derivations.gradient_flow.descent_flow` of the model.

    Examples
    --------
    >>> descent("keyword").title
    'Keyword classifier: modified flow of gradient descent'
    """
    return descent_flow(program(name))
