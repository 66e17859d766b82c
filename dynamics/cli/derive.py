"""``dynamics derive``: the equations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynamics.cli.common import check_output
from dynamics.errors import InputError


def derive(
    name: Annotated[str | None, typer.Argument(help="A derivation; all are listed if none is named.")] = None,
    format: Annotated[str, typer.Option(help="text, latex, markdown or python.")] = "text",
    source: Annotated[
        bool, typer.Option("--source", help="Print the generated numba code of the flow instead.")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Directory to write to instead.")] = None,
) -> None:
    """Show the equations behind a prediction, derived by sympy.

    Example: dynamics derive joint --format markdown
    """
    from dynamics import equations
    from dynamics.files import write_aside

    suffixes = {"text": "txt", "latex": "tex", "markdown": "md", "python": "py"}
    if name is None:
        print(equations.listing())
        return
    if format not in suffixes:
        raise InputError(f"unknown format {format!r}; use one of {', '.join(suffixes)}")
    shown = equations.source(name) if source else getattr(equations.derive(name), format)()
    if output is None:
        print(shown, end="" if shown.endswith("\n") else "\n")
        return
    check_output(output)
    path = output / f"{name}.{'py' if source else suffixes[format]}"
    with write_aside(path) as aside:
        Path(aside).write_text(shown, encoding="utf-8")
    print(f"written to {path}")
