"""The gallery: scripts of ``examples/``, with the figures that they make.

A script in cells (``# %%``) is run when the site is built. One that runs for minutes, or needs data or PyTorch, is
shown with the figures that it made before, which are kept in ``examples/figures/NAME*`` beside it; its page says so.
"""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

from theory import plain, put

FOLDER = "scripts"
"""Where the scripts stand as the gallery reads them."""
LEFT_OUT = ("fetch_udhr.py",)
CELL = re.compile(r"^# %%", re.MULTILINE)
SAYS = "*These figures were made before: the script runs for minutes, or needs data or PyTorch of your own.*"


def body(text: str) -> list[str]:
    """The words of a docstring; what is indented is code."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith("    "):
            lines += [".. code-block:: text", "", *("   " + line.strip() for line in paragraph.splitlines()), ""]
        else:
            lines += [plain(paragraph.strip()).replace("\\`\\`", "``").replace("::", ":"), ""]
    return lines


def shown(script: Path, figures: list[str]) -> str:
    """A script whose docstring is a title, what it says, and its figures."""
    source = script.read_text("utf-8")
    if CELL.search(source):
        return source
    tree = ast.parse(source)
    words = ast.get_docstring(tree) or script.stem
    first, _, rest = words.partition("\n")
    title, _, more = first.partition(": ") if len(first) > 60 else (first, "", "")
    title = title.rstrip(".:")
    more = (more[:1].upper() + more[1:]).strip()
    lines = [title, "=" * (2 * len(title)), "", *([plain(more), ""] if more else []), *body(rest.strip("\n"))]
    for figure in figures:
        lines += [f".. figure:: /{FOLDER}/figures/{figure}", f"   :alt: {plain(title)}: {figure}", ""]
    lines += [SAYS, ""] if figures else []
    thumb = [f"# sphinx_gallery_thumbnail_path = '{FOLDER}/figures/{figures[0]}'", ""] if figures else []
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :] if ast.get_docstring(tree) else source.splitlines())
    joined = "\n".join(lines)
    return f'r"""\n{joined}"""\n' + "\n".join(thumb) + code.lstrip("\n") + "\n"


def prepare(source: Path, target: Path) -> None:
    """Lay out what the gallery reads: the scripts of a folder, and of its folders of scripts, with their figures."""
    for folder in (source, *sorted(path for path in source.iterdir() if path.is_dir())):
        scripts = sorted(path for path in folder.glob("*.py") if path.name not in LEFT_OUT)
        if folder.name in ("programs", "figures") or not scripts:
            continue
        there = target / folder.relative_to(source)
        kept = {path.name: path for path in (*(folder / "figures").glob("*"), *(source / "figures").glob("*"))}
        for name, path in kept.items():
            (target / "figures").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / "figures" / name)
        about = folder / "README.md"
        told = about.read_text("utf-8").lstrip("# ").splitlines()[0] if about.exists() else folder.name.capitalize()
        words = "Scripts, and the figures that they make." if folder == source else plain(f"Of examples/{folder.name}.")
        put(there / "GALLERY_HEADER.rst", f"{told}\n{'=' * (2 * len(told))}\n\n{words}\n")
        for script in scripts:
            own = sorted(
                name for name in kept
                if name.rpartition(".")[0] == script.stem or name.startswith((f"{script.stem}_", f"{script.stem}-"))
            )  # fmt: skip
            longer = [other.stem for other in scripts if other.stem.startswith(f"{script.stem}_")]
            own = [name for name in own if not any(name.startswith(one) for one in longer)]
            put(there / script.name, shown(script, own))


class Saved:
    """For the gallery: the figures that a script has saved under ``results``, or shown as its last value."""

    def __repr__(self) -> str:
        return "Saved"

    def __call__(self, block: Any, variables: Any, conf: Any, **options: Any) -> str:
        from sphinx_gallery.scrapers import figure_rst

        found = []
        for path in sorted(Path(conf["src_dir"]).glob("scripts/**/results/**/*.svg")):
            target = Path(next(variables["image_path_iterator"])).with_suffix(".svg")
            shutil.move(path, target)
            found.append(str(target))
        return figure_rst(found, conf["src_dir"]) if found else ""
