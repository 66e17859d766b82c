"""All checks of a program that its equations alone allow."""

from __future__ import annotations

from derivations.checks.check import Check
from derivations.checks.closures import against_softmax, against_what_it_is_exact_for
from derivations.checks.differences import against_differences, is_gradient
from derivations.closures.exactness import Exactness
from derivations.program.program import Program

__all__ = ["checked"]


def checked(program: Program, exact_for: Exactness | None = None) -> tuple[Check, ...]:
    """Checks of a program by numbers.

    Parameters
    ----------
    program : Program
    exact_for : OnSentences or SpecialCase, optional
        What a closure is registered to be exact for.

    Examples
    --------
    >>> from derivations.registry import entry
    >>> marginal = entry("marginal")
    >>> [one.passed for one in checked(marginal(), marginal.exact_for)]
    [True, True]
    """
    flow = (against_differences(program),) if is_gradient(program) else ()
    closure = (against_what_it_is_exact_for(program, exact_for),) if exact_for is not None else ()
    return (*flow, *closure, *against_softmax(program))
