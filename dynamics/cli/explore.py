"""``dynamics explore``: pages to look at and play with."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynamics.cli.console import say
from dynamics.cli.options import INPUT, OUTPUT, named_numbers
from dynamics.cli.system import Lower, MaxVocab, MinCount, ProgramFile, Tokenizer
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    from dynamics.counts.cooccurrence import CoOccurrence

VOCABULARY = 60
"""Words a side, unless --max-vocab says: as many as are solved in a second."""
PAGES = ("phase", "text", "program")


def explore(
    source: Annotated[Path | None, typer.Argument(help="Input text, a sentence a line; plain or .gz.")] = None,
    target: Annotated[Path | None, typer.Argument(help="Output text, line by line its translation.")] = None,
    cooccurrence: Annotated[
        Path | None, typer.Option(help="Counts instead of text: .npz, .npy, .mtx, .csv or .tsv.", rich_help_panel=INPUT)
    ] = None,
    tokenizer: Tokenizer = "words",
    lower: Lower = True,
    max_vocab: MaxVocab = None,
    min_count: MinCount = 1,
    program: ProgramFile = None,
    arrays: Annotated[
        str | None,
        typer.Option("--data", help="program: its arrays by name, FILE.npz. [default: normal]", rich_help_panel=INPUT),
    ] = None,
    given: Annotated[
        str | None, typer.Option("--set", help="program: sizes and parameters, N=50,K=3.", rich_help_panel=INPUT)
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(help="With --save: a diagram, a trajectory or a forecast, .nc.", rich_help_panel=INPUT),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write one page, .html, that needs no server and no network: of RESULT, or of the text.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Of the server; 0 for one that is free.", rich_help_panel=OUTPUT)] = 5006,
    browser: Annotated[bool, typer.Option(help="Open a browser.", rich_help_panel=OUTPUT)] = True,
) -> None:
    """Explore phase diagrams, a text and programs in the browser, solved while you look.

    The pages are served to this machine alone, until Ctrl-C. With no file the text is the bundled one, and the program
    a reduction of copying. Needs Bokeh, the extra `explore`.

    Example: dynamics explore train.en train.de --max-vocab 60
    """
    from dynamics.explore.page import require_bokeh

    require_bokeh()
    if (arrays or given) and program is None:
        raise InputError("--data and --set are of a program; give it with --program, or leave them out")
    if cooccurrence is not None and (source is not None or max_vocab is not None or min_count != 1):
        raise InputError("--cooccurrence has its counts; leave out texts, --max-vocab and --min-count")
    if source is not None and target is None:
        raise InputError(f"{source}: a second text is missing; give SOURCE and TARGET, line by line translations")
    texts: tuple[Path, Path] | None = None
    if cooccurrence is None:
        from dynamics.counts.bundled import bundled

        texts = (source, target) if source is not None and target is not None else bundled()
    reading: dict[str, Any] = {
        "tokenizer": tokenizer, "lower": lower, "min_count": min_count,
        "max_vocab": VOCABULARY if max_vocab is None else max_vocab,
    }  # fmt: skip
    if save is not None:
        if program is not None:
            raise InputError("--save writes a result: dynamics solve --program FILE, then --result trajectory.nc")
        _saved(save, result, source is not None or cooccurrence is not None, cooccurrence, texts, reading)
        return
    if result is not None:
        raise InputError("--result is written as a page: name it with --save page.html")
    _served(_counts(cooccurrence, texts, reading), texts, reading, program, arrays, given, port, browser)


def _counts(cooccurrence: Path | None, texts: tuple[Path, Path] | None, reading: dict[str, Any]) -> CoOccurrence:
    from dynamics.counts.cooccurrence import CoOccurrence

    if texts is None:
        assert cooccurrence is not None
        return CoOccurrence.load(cooccurrence)
    return CoOccurrence.from_parallel_text(*texts, **reading)


def _saved(
    save: Path,
    result: Path | None,
    of_text: bool,
    cooccurrence: Path | None,
    texts: tuple[Path, Path] | None,
    reading: dict[str, Any],
) -> None:
    import numpy as np

    from dynamics.explore.results import save_result
    from dynamics.explore.text_view import STAGES, TIMES

    if result is not None:
        from dynamics.support.trajectory import load

        if of_text:
            raise InputError("--result is shown as it is; leave out texts and --cooccurrence")
        kind = save_result(load(result), save)
    else:
        from dynamics.problems.solve import solve

        counts = _counts(cooccurrence, texts, reading)
        t = np.r_[0.0, np.geomspace(1.0, 3000.0, TIMES)]
        kind = save_result(solve(counts, t, stages=STAGES), save, counts)
    say(f"written to {save}: a page of {kind}, {save.stat().st_size / 1e6:.1f} MB")


def _served(
    counts: CoOccurrence,
    texts: tuple[Path, Path] | None,
    reading: dict[str, Any],
    program: Path | None,
    arrays: str | None,
    given: str | None,
    port: int,
    browser: bool,
) -> None:
    from dynamics.cli.system import RANDOM
    from dynamics.explore.server import server, url
    from dynamics.explore.views import flows, phase_page, program_page, scalar_programs, text_page
    from dynamics.problems.forecast.forecast import forecast
    from dynamics.problems.kinds.arrays import read_arrays

    programs, data, systems = scalar_programs(), None, flows()
    if program is not None:
        from dynamics.phase.systems import system_of
        from dynamics.program_file import load

        own = load(program)
        programs = {program.name: own, **programs}
        data = None if arrays in (None, RANDOM) else read_arrays(str(arrays))
        with contextlib.suppress(InputError):  # not of scalars: it has no phase diagram here
            systems[program.name] = system_of(own)
    foretell = None if texts is None else (lambda steps: forecast(*texts, steps=steps, starts=1, **reading))
    made = server(
        {
            "/phase": phase_page(systems),
            "/text": text_page(counts, foretell),
            "/program": program_page(programs, data, named_numbers(given, "--set") if given else None),
        },
        port,
    )
    first = "program" if program is not None else "text" if texts is None or reading["max_vocab"] != VOCABULARY else ""
    say(f"exploring at {url(made)}{first} (this machine alone); Ctrl-C stops. The first page compiles: some seconds.")
    if browser:
        made.io_loop.add_callback(made.show, f"/{first}")
    try:
        made.io_loop.start()
    except KeyboardInterrupt:
        made.stop()
