"""What the server has: a page for each view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynamics.explore.page import put
from dynamics.explore.phase_view import PhaseView
from dynamics.explore.program_view import ProgramView
from dynamics.explore.text_view import TextView
from dynamics.phase.systems import SYSTEMS, system_of
from dynamics.phase.trajectories import Integrated
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from derivations.program import Program
    from dynamics.counts.cooccurrence import CoOccurrence

TITLE = "How attention learns"
VIEWS = (("/phase", "Phase diagram"), ("/text", "Text"), ("/program", "Program"))
"""Their paths and names."""
Page = Callable[[Any], None]
"""Fills a document."""


def flows() -> dict[str, Any]:
    """The systems whose cells are solved at once, by name: those of the catalogue, and flows of scalars."""
    from derivations.registry import names

    found = {}
    for name in dict.fromkeys((*SYSTEMS, *names())):
        try:
            system = system_of(name)
        except InputError:  # not of scalars
            continue
        if isinstance(system, Integrated):
            found[name] = system
    return found


def scalar_programs() -> dict[str, Program]:
    """The flows of scalars of the registry, by name."""
    from derivations.registry import program

    return {name: program(name) for name in flows()}


def phase_page(systems: Mapping[str, Any], **axes: str) -> Page:
    about = (
        "A quantity over two parameters of a flow. Move the pointer for the row and the column that it is on; click a"
        " cell, or name it, for its trajectories. There a grey line is when the quantity happens, a dashed one when the"
        " closed form says."
    )

    def fill(document: Any) -> None:
        put(document, PhaseView(systems, **axes).layout, TITLE, about, VIEWS, "/phase")

    return fill


def text_page(counts: CoOccurrence, forecast: Callable[[int], xr.Dataset] | None = None, end: float = 3000.0) -> Page:
    about = (
        "What is learnt of each word, predicted from co-occurrence alone. Pick words, drag τ; choose between both"
        " stages together (joint), attention after translation (two-stage), and translation held from then on (frozen)."
    )

    def fill(document: Any) -> None:
        put(document, TextView(counts, end, forecast).layout, TITLE, about, VIEWS, "/text")

    return fill


def program_page(
    programs: Mapping[str, Program],
    arrays: Mapping[str, Any] | None = None,
    values: Mapping[str, float] | None = None,
    end: float = 100.0,
) -> Page:
    about = "The flow of a program, solved anew for every change of its parameters, learning rates and initial sizes."

    def fill(document: Any) -> None:
        put(document, ProgramView(programs, arrays, values, end).layout, TITLE, about, VIEWS, "/program")

    return fill
