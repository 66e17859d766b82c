"""Notebooks: progress that is drawn there, and theorems that show their formulas."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from typing import Any


def progress(label: str = "working") -> Callable[..., None]:
    """Progress of ``solve``, ``simulate``, ``phase_diagram`` or ``forecast``: a bar in a notebook, else a line.

    Parameters
    ----------
    label : str
        What is worked at.

    Returns
    -------
    callable
        To be given as ``progress=``.

    Examples
    --------
    >>> from dynamics import copying, solve
    >>> show = progress("solving")
    >>> _ = solve(copying(vocab=8, length=8), [0, 100], initial={"u": 0.1, "a": 0.1}, progress=show)
    """
    shell = _shell()
    if shell is None:
        return _on_a_line(label)
    from IPython.display import HTML, display

    shown = display(HTML(_bar(label, 0.0)), display_id=True)
    last = 0.0

    def show(share: float, *_: Any) -> None:
        nonlocal last
        if share - last >= 0.01 or share >= 1:
            last = share
            shown.update(HTML(_bar(label, share)))

    return show


def _bar(label: str, share: float) -> str:
    told = f"{escape(label)}: {100 * share:.0f} %"
    return f'<label>{told} <progress value="{share:.3f}" max="1">{told}</progress></label>'


def _on_a_line(label: str) -> Callable[..., None]:
    def show(share: float, *_: Any) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            print(f"\r{label}: {100 * share:3.0f} %", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)

    return show


def _shell() -> Any:
    """The notebook that this runs in, if it does."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def theorem_html(theorem: Any) -> str:
    """A theorem as a notebook shows it: statement, results and proof, with formulas."""
    from derivations.report.document import proof

    return proof(theorem)._repr_html_()


def show_theorems() -> None:
    """Have notebooks show theorems so: the theory itself knows no typography."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.formatters["text/html"]
        formatter.for_type_by_name("derivations.theorems.theorem", "Theorem", theorem_html)
