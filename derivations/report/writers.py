"""Formats of a derivation: text, Markdown, LaTeX and HTML; alone, or many in one document."""

from __future__ import annotations

from collections.abc import Mapping

from derivations.report.blocks import Block, Page
from derivations.report.html import Html
from derivations.report.markdown import Markdown
from derivations.report.plain import Plain
from derivations.report.style import Parts, Style, every
from derivations.report.tex import Tex

__all__ = ["FORMATS", "article", "book", "section_text"]

FORMATS: Mapping[str, type[Style]] = {"text": Plain, "markdown": Markdown, "latex": Tex, "html": Html}
"""Name -> how it looks."""


def article(d: Page, form: str) -> str:
    """A derivation alone, in a format."""
    return FORMATS[form]().article(d)


def book(title: str, parts: Parts, form: str) -> str:
    """Many derivations in one document, in a format; names of others are links.

    Parameters
    ----------
    title : str
    parts : mapping of str to sequence of Page
        By the title of the part.
    form : str
        One of ``FORMATS``.
    """
    return FORMATS[form]([d.name for d in every(parts)]).document(title, parts)


def section_text(s: Block) -> str:
    """A section in plain ASCII, without its title."""
    return Plain().body(s)
