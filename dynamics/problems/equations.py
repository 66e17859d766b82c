"""The equations behind a prediction: as a paper has them, checked as they are shown, and as the machine runs them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable

from derivations import registry as catalogue
from derivations.checks import proofs
from derivations.checks.check import Check, largest
from derivations.checks.programs import checked
from derivations.checks.small_data import moving_point, plain_flow
from derivations.closures.exactness import Exactness
from derivations.program.program import Program, ProgramError
from derivations.program.words import unmarked
from derivations.report.document import Derivation, Section, derivation, proof
from derivations.report.writers import book
from derivations.theorems.theorem import Theorem
from dynamics.problems.optimisers.optimised import flow_under
from dynamics.problems.optimisers.optimizer import Optimizer
from dynamics.support.errors import InputError

__all__ = ["check", "derive", "document", "listing", "source"]

TITLE = "How attention learns: every derivation"


def derive(name: str, check: bool = False, optimizer: Optimizer | None = None) -> Derivation:
    """The derivation of a closure, a model, a reduction or a theorem.

    Parameters
    ----------
    name : str
        One of those that :func:`listing` lists: ``joint`` and ``joint-sparse`` (both stages from the co-occurrence
        matrix), ``linear``, ``linear-bias``, ``marginal`` and ``gram`` (stage one), ...
    check : bool
        Whether its equations are checked by numbers now, and a section says what was found; see :func:`check`.
    optimizer : Optimizer, optional
        The flow that its steps follow instead of the gradient flow.

    Returns
    -------
    Derivation
        Its methods ``text()``, ``markdown()``, ``latex()`` and ``html()`` write it out; ``python()`` is the same
        equations as plain NumPy loops.

    Raises
    ------
    InputError
        Nothing has this name; the message gives near matches and all names.

    Examples
    --------
    >>> from dynamics.problems.equations import derive
    >>> print(derive("joint").section("Flow").text())
      Wdot[i,v] = -eta_W Wbar[i,v]  gradient flow of W
      Adot[i,o] = -eta_A Abar[i,o]  gradient flow of A
    """
    entry = _entry(name)
    found = _derived(name)
    if optimizer is not None:
        found = stepped(found, optimizer)
        written = derivation(found)
        return written.checked(checks(found)) if check else written
    written = derivation(found) if isinstance(found, Program) else proof(found)
    related = _related(name, found)
    written = written.extended(Section("See also", links=related)) if related else written
    return written.checked(checks(found, entry.exact_for)) if check else written


def check(name: str) -> tuple[Check, ...]:
    """What the equations of a derivation are compared with, and how far apart they are.

    A flow: finite differences of its loss in plain Python, and its compiled code against plain Python. A closure of
    stage one: the exact flow where both agree. A theorem: every step, by sympy or at random points.

    Parameters
    ----------
    name : str
        As for :func:`derive`.

    Returns
    -------
    tuple of Check

    Examples
    --------
    >>> [found.passed for found in check("linear")]
    [True, True, True, True]
    """
    return checks(_derived(name), _entry(name).exact_for)


def checks(found: Program | Theorem, exact_for: Exactness | None = None) -> tuple[Check, ...]:
    """The same for a program or a theorem at hand; ``exact_for`` is what a closure is registered to be exact for."""
    if isinstance(found, Program):
        try:
            return (*checked(found, exact_for), *((compiled_against_plain(found),) if found.flow else ()))
        except ProgramError as error:
            return (Check(str(error), math.nan),)
    return proofs.checked(found)


def compiled_against_plain(program: Program) -> Check:
    """The compiled flow of a program against its equations in plain Python loops, at a random point."""
    from dynamics.lowering import lower  # loads numba
    from dynamics.lowering.verify import evaluated

    values = moving_point(program)
    compiled, plain = evaluated(lower(program), values), {**values, **plain_flow(program, values)}
    pairs = [(compiled[rate], plain[rate]) for rate in program.flow.values()]
    return Check("compiled flow against the equations in plain Python, at a random point", largest(pairs), 1e-11)


def document(form: str, progress: Callable[[float], None] | None = None) -> tuple[str, tuple[str, ...]]:
    """Every derivation, checked, in one document.

    Parameters
    ----------
    form : str
        ``latex``, ``markdown``, ``html`` or ``text``.
    progress : callable, optional
        Called with the share that is done.

    Returns
    -------
    tuple
        The text, and the names of derivations with a check that failed.
    """
    names = [name for part in catalogue.parts().values() for name in part]
    found = {}
    for k, name in enumerate(names):
        found[name] = derive(name, check=True)
        if progress is not None:
            progress((k + 1) / len(names))
    parts = {title: [found[name] for name in part] for title, part in catalogue.parts().items()}
    return book(TITLE, parts, form), tuple(name for name in names if found[name].failed)


def stepped(found: Program | Theorem, optimizer: Optimizer) -> Program:
    """The flow of an optimiser on a program.

    Raises
    ------
    InputError
        It is a theorem, or has no flow that the optimiser could take.
    """
    if not isinstance(found, Program):
        raise InputError(f"{found.name} is a theorem, which has no flow; leave --optimizer out")
    return flow_under(found, optimizer)


def source(name: str, optimizer: Optimizer | None = None) -> str:
    """The generated numba code of a flow.

    Raises
    ------
    InputError
        Nothing has this name, or it has no flow.

    Examples
    --------
    >>> from dynamics.problems.equations import source
    >>> print(source("linear").splitlines()[-1])
                Wdot[i, o] = -eta_W*Wbar
    """
    from dynamics.lowering import lower  # loads numba

    program = _derived(name) if optimizer is None else stepped(_derived(name), optimizer)
    if not isinstance(program, Program):
        raise InputError(f"{name} is a theorem, which has no code; leave --source out")
    if not program.flow:
        raise InputError(f"{name} defines no flow; name what to compute with dynamics.lowering.lower(program, outputs)")
    return lower(program).source


def _derived(name: str) -> Program | Theorem:
    try:
        return catalogue.derived(name)
    except ProgramError as error:
        raise InputError(str(error)) from None


def _entry(name: str) -> catalogue.Entry:
    try:
        return catalogue.entry(name)
    except ProgramError as error:
        raise InputError(str(error)) from None


def _related(name: str, found: Program | Theorem) -> tuple[str, ...]:
    """The derivations to read beside one: the programs of a theorem, the theorems of a program, those it names."""
    if isinstance(found, Program):
        words = re.findall(r"[A-Za-z]+(?:-[A-Za-z0-9]+)*", " ".join(found.reduction))
        named = [word for word in dict.fromkeys(words) if word in catalogue.names() and word != name]
        return tuple(dict.fromkeys((*named, *catalogue.theorems_about(name))))
    words = re.findall(r"[a-z]+(?:-[A-Za-z0-9]+)+", " ".join((found.statement, found.limits, *found.hypotheses)))
    named = [word for word in dict.fromkeys(words) if word in catalogue.theorems() and word != name]
    return (*catalogue.programs_of(name), *named)


def listing() -> str:
    """Every derivation with its title, one a line, by parts."""
    names = catalogue.parts()
    width = max(len(name) for part in names.values() for name in part)
    return "\n".join(
        "\n".join([part, *(f"  {name:{width}}  {unmarked(catalogue.title(name))}" for name in own)])
        for part, own in names.items()
    )


def of_file(
    file: str | os.PathLike[str], form: str, source: bool, optimizer: Optimizer | None = None
) -> tuple[str, bool]:
    """The derivation of a file's flow, checked, in a format, and whether a check failed; or its generated code."""
    from dynamics.lowering import lower  # loads numba
    from dynamics.program_file import load

    program = load(file)
    program = program if optimizer is None else stepped(program, optimizer)
    if source:
        return lower(program).source, False
    written = derivation(program)
    written = written if form == "python" else written.checked(checks(program))
    return getattr(written, form)(), bool(written.failed)
