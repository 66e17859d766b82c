"""Every derivation of the registry as a page, with its formulas as MathML and references both ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from derivations import registry
from derivations.program.words import unmarked
from derivations.report.html import Html
from dynamics import derive

FOLDER = "derivations"
IN_CODE = {
    "closure": ":func:`dynamics.solve` of counts, ``solve(counts, t, closure={name!r})``",
    "model": ":func:`dynamics.solve` and :func:`dynamics.simulate` of a :class:`dynamics.Model`",
    "reduction": ":func:`dynamics.solve` of a :class:`dynamics.Reduction`, :func:`dynamics.phase_diagram`",
    "theorem": "the closed forms of ``dynamics.problems.closed_forms``, and :func:`dynamics.derive`",
}
"""Where the equations of each kind are used."""
BOTH_STAGES = "joint", "joint-sparse"
ABOUT = {
    "dynamics.solve": ("closure", "model"),
    "dynamics.Closure": ("closure",),
    "dynamics.Exact": ("model",),
    "dynamics.Model": ("model",),
    "dynamics.Reduction": ("reduction",),
    "dynamics.copying": ("reduction",),
    "dynamics.phase_diagram": ("reduction",),
    "dynamics.simulate": ("model",),
    "dynamics.derive": ("model", "closure", "reduction", "theorem"),
}
"""Public names, and the kinds of derivations that are their equations."""
OWN = {"keyword": "keyword", "lexical": "lexical", "positional": "positional", "topic": "topic-FC"}


class Linked(Html):
    """Formulas as MathML; other derivations are pages beside this one."""

    def link(self, name: str) -> str:
        return f'<a href="{name}.html"><code>{name}</code></a>'


def plain(text: str) -> str:
    """Words as reStructuredText has them."""
    for sign in ("\\", "*", "`", "|", "_"):
        text = text.replace(sign, "\\" + sign)
    return text


def heading(text: str, line: str) -> list[str]:
    return [text, line * max(4, 2 * len(text)), ""]


def page(name: str, kind: str, names: Sequence[str]) -> str:
    """A derivation in reStructuredText, its formulas in HTML."""
    found, look = derive(name), Linked(names)
    used = IN_CODE[kind].format(name=name)
    if name in BOTH_STAGES:
        used = ":func:`dynamics.solve` of counts, ``solve(counts, t)``"
    lines = [f".. _derivation-{name}:", "", *heading(plain(unmarked(found.title)), "=")]
    lines += [f"``{name}``. {plain(found.source)}.", "", f"In code: {used}; printed by ``dynamics derive {name}``.", ""]
    for section in found.every:
        lines += heading(plain(section.title), "-")
        html = look.section(section).split("\n", 1)
        lines += [".. raw:: html", "", '   <div class="derivation">']
        lines += ["   " + line for line in (html[1] if len(html) > 1 else "").splitlines() if line.strip()]
        lines += ["   </div>", ""]
    return "\n".join(lines)


def index(pages: dict[str, list[str]]) -> str:
    lines = [*heading("The equations", "="),
             "Every equation stands once, as a sympy definition in ``derivations/``. These pages are written from it,"
             " as the compiled code is.", ""]  # fmt: skip
    for part, names in pages.items():
        lines += heading(part, "-")
        lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {name}" for name in names), ""]
    return "\n".join(lines)


def write(app: Any) -> None:
    """Write the pages beside those that are written by hand."""
    folder = Path(app.srcdir) / FOLDER
    names = [entry.name for entry in registry.entries()]
    pages: dict[str, list[str]] = {}
    for entry in registry.entries():
        put(folder / f"{entry.name}.rst", page(entry.name, entry.kind, names))
        pages.setdefault(registry.PARTS[entry.kind], []).append(entry.name)
    put(folder / "index.rst", index(pages))


def put(path: Path, text: str) -> None:
    """Write a file if it is not this already: what did not change is not built anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def refer(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Below the description of a function: the pages of its equations."""
    kinds = ABOUT.get(name, ())
    listed = [entry.name for kind in kinds for entry in registry.entries(kind)]
    own = OWN.get(name.rpartition(".")[2]) if name.startswith("dynamics.") and name.count(".") == 1 else None
    if own is not None:
        listed = [entry.name for entry in registry.entries("model") if entry.name.startswith(own.partition("-")[0])]
    if listed and name in {*ABOUT, *(f"dynamics.{one}" for one in OWN)}:
        lines += ["", ".. rubric:: Equations", "", ", ".join(f":doc:`{one} </{FOLDER}/{one}>`" for one in listed), ""]


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write)
    app.connect("autodoc-process-docstring", refer, priority=900)
    return {"parallel_read_safe": True}
