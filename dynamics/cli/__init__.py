"""The command ``dynamics``: a file for each of its commands."""

from __future__ import annotations

import gc
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from dynamics.cli.compare import compare
from dynamics.cli.console import report, say, silence, warn
from dynamics.cli.cooccurrence import cooccurrence
from dynamics.cli.derive import derive
from dynamics.cli.explore import explore
from dynamics.cli.fit import fit
from dynamics.cli.forecast import forecast
from dynamics.cli.output import alone
from dynamics.cli.phase import phase
from dynamics.cli.simulate import simulate
from dynamics.cli.solve import solve
from dynamics.support.errors import (
    DataWarning,
    InputError,
    IntegrationError,
    Interrupted,
    StabilityWarning,
    in_options,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How attention learns: equations, trajectories, figures.",
)
for command in (forecast, solve, simulate, compare, fit, phase, explore, cooccurrence, derive):
    app.command()(command)


@app.callback(invoke_without_command=True)
def whole(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    if show:
        from importlib.metadata import version as installed

        say(f"attention-dynamics {installed('attention-dynamics')}")
        raise typer.Exit
    context.obj = context.with_resource(silence(quiet))


def main() -> None:
    """Entry point: errors in one line, exit status 0 (done), 1 (failed) or 2 (wrong input)."""
    alone()
    status = run(sys.argv[1:])
    gc.freeze()  # as a process ends, Python would look for garbage among all that is left, which ends with it
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; the exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        warnings.simplefilter("always", StabilityWarning)
        warnings.showwarning = lambda message, *_: warn(str(message))
        try:
            status = app(list(arguments), standalone_mode=False, prog_name="dynamics")
            if status == 128 + signal.SIGINT:  # what some versions of the command-line parser make of Ctrl-C
                raise KeyboardInterrupt
            return status if isinstance(status, int) else 0
        except InputError as error:
            return report(in_options(str(error)), 2)
        except (IntegrationError, MemoryError) as error:
            return report(str(error) or "out of memory; try a smaller max_vocab", 1)
        except (KeyboardInterrupt, typer.Abort, Interrupted) as stopped:
            return report(str(stopped) or "interrupted; nothing was left half-written", 1)
        except BrokenPipeError:
            return 0
        except Exception as error:
            if hasattr(error, "format_message"):  # what the command-line parser raises
                return report(error.format_message() or "say what to do; dynamics --help lists the commands", 2)
            raise
