"""How commands take their options: groups of them are frozen dataclasses, and what does not act is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo

from dynamics.support.errors import InputError

INPUT, MODEL, SOLVING, TRAINING, OUTPUT = "Input", "Model", "Solving", "Training", "Output"
OPTIMIZING = "Optimizer"
"""The groups in which help lists options."""

Threads = Annotated[
    int | None, typer.Option(help="Threads; the result does not depend on them.", rich_help_panel=SOLVING)
]
Observe = Annotated[
    str | None,
    typer.Option(
        help="Definitions that the results have beside the states: alpha,norm,...", rich_help_panel=OUTPUT
    ),
]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Directory for the results, data and figures. [default: results/COMMAND]",
        rich_help_panel=OUTPUT,
    ),
]  # fmt: skip
KeepBags = Annotated[
    int | None,
    typer.Option(
        help="Keep about this many sentences with a target beside the counts, for the closure bags.",
        rich_help_panel=INPUT,
    ),
]
Figures = Annotated[str, typer.Option(help="Format of the figures: png, svg, pdf or none.", rich_help_panel=OUTPUT)]

TableFormat = Annotated[
    str,
    typer.Option("--format", help="Of what is printed: text, csv or json (the table alone).", rich_help_panel=OUTPUT),
]

RESULTS = Path("results")


def with_options(**groups: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command out of a function some of whose parameters are groups of options.

    ``with_options(system=SystemOptions)`` puts the fields of the dataclass where the command has the parameter of this
    name; the command then gets an instance. Arguments come first.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command, eval_str=True).parameters
        shared = {name: signature(group, eval_str=True).parameters for name, group in groups.items()}
        parameters: list[Parameter] = []
        for name, parameter in own.items():
            parameters += shared[name].values() if name in shared else [parameter]
        parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in parameters]

        @wraps(command)
        def called(**given: Any) -> None:
            built = {
                name: groups[name](**{option: given.pop(option) for option in options})
                for name, options in shared.items()
            }
            command(**given, **built)

        called.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del called.__wrapped__
        return called

    return decorate


def given(options: Any) -> tuple[str, ...]:
    """The fields of a group of options that differ from their defaults."""
    return tuple(one.name for one in fields(options) if getattr(options, one.name) != one.default)


def flag(options: Any, name: str) -> str:
    """How a field of a group is written on the command line."""
    hint = get_type_hints(type(options), include_extras=True)[name]
    for part in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
        if isinstance(part, ArgumentInfo):
            return name.upper()
        said = (getattr(part, "default", None), *(getattr(part, "param_decls", None) or ()))
        declared = [one for one in said if isinstance(one, str) and one.startswith("--")]
        if declared:
            return declared[0].partition("/")[0]
    return f"--{name.replace('_', '-')}"


def refuse_idle(options: Any, acting: Collection[str], what: str) -> None:
    """Raise InputError for an option that is given and does nothing; ``what`` is what it does not apply to."""
    for name in given(options):
        if name not in acting:
            flags = sorted(flag(options, one) for one in acting if flag(options, one).startswith("--"))
            told = f"; what applies: {', '.join(flags)}" if flags else ""
            raise InputError(f"{flag(options, name)} does not apply to {what}; leave it out{told}")


def numbers(listed: str, option: str) -> list[float]:
    """Numbers from ``0,10,100``."""
    try:
        return [float(number) for number in listed.split(",")]
    except ValueError:
        raise InputError(f"{option} {listed!r} is not a list of numbers such as 0,10,100") from None


def named_numbers(listed: str, option: str) -> dict[str, float]:
    """Numbers with names from ``W=1,A=0.5``.

    Examples
    --------
    >>> named_numbers("W=1,A=0.5", "--rate")
    {'W': 1.0, 'A': 0.5}
    """
    found: dict[str, float] = {}
    for part in listed.split(","):
        name, separator, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            separator = ""
        if not separator or not name.strip():
            raise InputError(f"{option} {listed!r} is not a list such as W=1,A=0.5")
        if name.strip() in found:
            raise InputError(f"{option} {listed!r} gives {name.strip()} twice; give it once")
        found[name.strip()] = value
    return found


def words_of(listed: str | None) -> list[str]:
    """Words from ``right,law``."""
    return [] if listed is None else [word.strip() for word in listed.split(",") if word.strip()]
