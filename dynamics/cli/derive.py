"""``dynamics derive``: the equations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynamics.cli.console import progress, report, say
from dynamics.cli.optimizing import OptimizerOptions
from dynamics.cli.options import OPTIMIZING, with_options
from dynamics.cli.output import folder
from dynamics.cli.system import ProgramFile
from dynamics.support.errors import InputError

SUFFIXES = {"text": "txt", "latex": "tex", "markdown": "md", "html": "html", "python": "py"}


@with_options(optimizing=OptimizerOptions)
def derive(
    optimizing: OptimizerOptions,
    name: Annotated[str | None, typer.Argument(help="A derivation; all are listed if none is named.")] = None,
    format: Annotated[str, typer.Option(help="text, latex, markdown, html or python.")] = "text",
    source: Annotated[
        bool, typer.Option("--source", help="Print the generated numba code of the flow instead.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Write every derivation to one document.")] = False,
    program: ProgramFile = None,
    batch: Annotated[
        int | None, typer.Option(help="--optimizer: steps take so many examples.", rich_help_panel=OPTIMIZING)
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Directory to write to instead.")] = None,
) -> None:
    """Show the equations behind a prediction, derived by sympy, and checked by numbers as they are shown.

    Example: dynamics derive joint --format markdown
    """
    from dynamics.problems import equations
    from dynamics.support.files import write_aside

    stepping = optimizing.chosen(1.0, None, batch)  # formulas have letters for numbers
    if stepping is None and batch is not None:
        raise InputError("--batch is of an optimizer; add --optimizer adam for example, or leave it out")
    if stepping is not None and name is None and program is None:
        raise InputError("--optimizer is of a flow: name one, joint for example, or --program FILE")
    if format not in SUFFIXES:
        raise InputError(f"unknown format {format!r}; use one of {', '.join(SUFFIXES)}")
    if program is not None and (everything or name is not None):
        raise InputError("--program is a derivation: leave out the name, and --all")
    if everything:
        if name is not None or source:
            raise InputError("--all writes every derivation: leave out the name, and --source")
        if format == "python":
            raise InputError("--all writes one document; use --format latex, markdown, html or text")
        if output is None:
            raise InputError("--all writes a document: name a directory with -o")
    elif name is None and program is None:
        if source or output is not None:
            raise InputError("which derivation? Name one, or use --all; dynamics derive lists them")
        say(equations.listing())
        return
    if output is not None:
        folder(output, "derive")
    failed: tuple[str, ...] = ()
    if everything:
        with progress("deriving") as bar:
            shown, failed = equations.document(format, bar)
    elif program is not None:
        from dynamics.problems.equations import of_file

        shown, wrong = of_file(program, format, source, stepping)
        name, failed = program.stem, (program.name,) if wrong else ()
    else:
        assert name is not None
        if source:
            shown = equations.source(name, stepping)
        else:
            found = equations.derive(name, check=format != "python", optimizer=stepping)
            shown = getattr(found, format)()
            failed = (name,) if found.failed else ()
    if output is None:
        say(shown.removesuffix("\n"))
    else:
        path = output / f"{'derivations' if everything else name}.{'py' if source else SUFFIXES[format]}"
        with write_aside(path) as aside:
            Path(aside).write_text(shown, encoding="utf-8")
        say(f"written to {path}")
    if failed:
        raise typer.Exit(report(f"checks of {', '.join(failed)} failed; the section Check says which", 1))
