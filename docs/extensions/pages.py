"""Pages that are also read in the repository: links to files become their names, lists of pages those that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)(#[^)]*)?\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(\.\./examples/figures/([^)]+)\)")
LISTED = re.compile(r"^```\{toctree\}(.*?)^```", re.DOTALL | re.MULTILINE)


def rewritten(app: Any, name: str, source: list[str]) -> None:
    """A page as the site has it."""
    if not (Path(app.srcdir) / f"{name}.md").exists():
        return
    text = IMAGE.sub(r"![\1](/scripts/figures/\2)", source[0])

    def named(link: re.Match[str]) -> str:
        path = link[2].removeprefix("../")
        return link[1] if path in link[1] or link[1].strip("`") == path else f"{link[1]} (`{path}`)"

    text = LINK.sub(named, text)
    if name == "index":
        text = LISTED.sub(lambda found: existing(app, found), text)
    source[0] = text


def existing(app: Any, block: re.Match[str]) -> str:
    """A list of pages without those that are not there; ``*`` stands for those that no list names."""
    folder = Path(app.srcdir)
    written = (folder / "index.md").read_text("utf-8")
    named = {line.strip() for one in LISTED.findall(written) for line in one.splitlines()}
    lines: list[str] = []
    for line in block[0].splitlines():
        page = line.strip()
        if page in lines and page != "```":
            continue  # named twice
        if page == "*":
            lines += sorted(path.stem for path in folder.glob("*.md") if path.stem not in {*named, "index"})
        elif (
            re.fullmatch(r"[\w/-]+", page) is None
            or any((folder / f"{page}{suffix}").exists() for suffix in (".md", ".rst"))
            or page.startswith(("gallery", "scripts"))
        ):
            lines.append(line)
    return "\n".join(lines)


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", rewritten)
    return {"parallel_read_safe": True}
