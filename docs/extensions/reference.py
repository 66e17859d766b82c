"""The reference: every public name, on a page for each room, in the order of the theory."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

from theory import heading, put

import dynamics

FOLDER = "reference"
ROOMS = {
    "counts": "Counts: co-occurrence and text", "tasks": "Tasks", "program_file": "A model of one's own",
    "problems": "Problems and their solutions", "train": "Training runs", "comparison": "Theory beside simulation",
    "phase": "Phase diagrams", "integrate": "Integration", "lowering": "Lowering: from equations to machine code",
    "plot": "Figures", "explore": "Pages", "support": "Files, errors and results",
}  # fmt: skip
"""Rooms of the numbers, as readers meet them; one that is not named here comes last under its own name."""
THEORY = {
    "program": "The language", "gradient_flow": "Gradient flows", "registry": "The registry", "models": "Models",
    "closures": "Closures", "reductions": "Reductions", "theorems": "Theorems", "checks": "Checks",
    "report": "Documents",
}  # fmt: skip


LEFT_OUT = {"derivations.report.prose.Prose"}
"""One of its attributes is a method of Python's strings, whose own docstring is no reStructuredText."""


def listed(package: str, room: str) -> list[str]:
    """Names of modules of a room that say what is public, and what that is."""
    own = import_module(f"{package}.{room}")
    modules = [own]
    for info in walk_packages(getattr(own, "__path__", ()), own.__name__ + "."):
        if not info.name.rpartition(".")[2].startswith("_"):
            modules.append(import_module(info.name))
    found = {}
    for module in modules:
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name, None)
            home = getattr(thing, "__module__", None)
            if (inspect.isclass(thing) or inspect.isfunction(thing)) and str(home).startswith(f"{package}.{room}"):
                found.setdefault(f"{home}.{name}" if getattr(thing, "__name__", name) == name else "", None)
    return [name for name in found if name and name not in LEFT_OUT]


def directive(path: str) -> list[str]:
    module, _, name = path.rpartition(".")
    thing = getattr(import_module(module), name)
    kind = "autoclass" if inspect.isclass(thing) else "autofunction" if inspect.isroutine(thing) else "autodata"
    lines = [f".. {kind}:: {path}"]
    if kind == "autoclass" and not issubclass(thing, BaseException):
        lines += ["   :members:"]
    return [*lines, ""]


def public() -> dict[str, list[str]]:
    """Room -> the names of `dynamics` that live there."""
    homes: dict[str, list[str]] = {}
    for name in dynamics.__all__:
        home = dynamics._HOMES[name].partition(".")[0]
        homes.setdefault(home, []).append(name)
    return homes


def room_page(title: str, package: str, room: str, names: list[str]) -> str:
    lines = [*heading(title, "="), f"``{package}.{room}``", ""]
    own = import_module(f"{package}.{room}")
    shown = {id(getattr(dynamics, name)) for name in names}
    if names:
        for name in sorted(names, key=str.lower):
            lines += directive(f"dynamics.{name}")
    inner = [path for path in listed(package, room) if id(named(path)) not in shown]
    if inner:
        lines += heading("Within the room", "-") if names else []
        for path in inner:
            lines += directive(path)
    return "\n".join(lines) if names or inner else "\n".join([*lines, own.__doc__ or ""])


def named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def write(app: Any) -> None:
    folder = Path(app.srcdir) / FOLDER
    homes = public()
    rooms = {**ROOMS, **{room: room.capitalize() for room in homes if room not in ROOMS}}
    for room, title in rooms.items():
        put(folder / f"{room}.rst", room_page(title, "dynamics", room, homes.get(room, [])))
    for room, title in THEORY.items():
        put(folder / f"theory_{room}.rst", room_page(title, "derivations", room, []))
    lines = heading("Reference", "=")
    lines += [
        "What is imported from ``dynamics`` stands first on each page; below it, what its room has beside that.",
        "",
    ]
    for part, names in (("The numbers", rooms), ("The theory", [f"theory_{room}" for room in THEORY])):
        lines += [*heading(part, "-"), ".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in names), ""]
    put(folder / "index.rst", "\n".join(lines))


PARAMETER = re.compile(r"\s*\*{1,2}\w+(\s*:.*)?")


def starred(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Stars in docstrings are stars (shapes such as ``(*rest)``, starred arguments), never emphasis."""
    code = False
    for number, line in enumerate(lines):
        code = line.strip().startswith(">>>") or (code and bool(line.strip()))
        if code or "*" not in line or PARAMETER.fullmatch(line):
            continue
        parts = re.split(r"(``.*?``)", line)
        lines[number] = "".join(part if k % 2 else re.sub(r"(?<!\\)\*", r"\\*", part) for k, part in enumerate(parts))


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", starred, priority=100)
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
