"""The equations behind a prediction: as a paper has them, and as the machine runs them."""

from __future__ import annotations

from derivations import catalogue
from derivations.document import Derivation, derivation
from derivations.program import Program, ProgramError
from dynamics.errors import InputError

__all__ = ["derive", "source"]


def derive(name: str) -> Derivation:
    """The derivation of a closure or a model, from its definitions to its flow.

    Parameters
    ----------
    name : str
        One of ``derivations.catalogue.names()``: ``joint`` and ``joint-sparse`` (both stages from the co-occurrence
        matrix), ``linear``, ``linear-bias``, ``marginal`` and ``gram`` (stage one), ...

    Returns
    -------
    Derivation
        Its methods ``text()``, ``markdown()`` and ``latex()`` write it out; ``python()`` is the same equations as plain
        NumPy loops.

    Raises
    ------
    InputError
        Nothing has this name; the message gives near matches and all names.

    Examples
    --------
    >>> from dynamics.equations import derive
    >>> print(derive("joint").section("Flow").text())
      Wdot[i,v] = -eta_W Wbar[i,v]  gradient flow of W
      Adot[i,o] = -eta_A Abar[i,o]  gradient flow of A
    """
    return derivation(_program(name))


def source(name: str) -> str:
    """The generated numba code of a flow.

    Raises
    ------
    InputError
        Nothing has this name, or it has no flow.

    Examples
    --------
    >>> from dynamics.equations import source
    >>> print(source("linear").splitlines()[-1])
                Wdot[i, o] = -eta_W*Wbar
    """
    from dynamics.lowering import lower  # loads numba

    program = _program(name)
    if not program.flow:
        raise InputError(f"{name} defines no flow; name what to compute with dynamics.lowering.lower(program, outputs)")
    return lower(program).source


def _program(name: str) -> Program:
    try:
        return catalogue.program(name)
    except ProgramError as error:
        raise InputError(str(error)) from None


def listing() -> str:
    """Every derivation with its title, one a line."""
    titles = {name: catalogue.program(name).title for name in catalogue.names()}
    width = max(map(len, titles))
    return "\n".join(f"{name:{width}}  {title}" for name, title in titles.items())
