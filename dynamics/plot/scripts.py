"""Words of any script as labels: the direction they are read in, and fonts that have their letters."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FaceFlags, FT2Font

from dynamics.support.errors import DataWarning

FIRST = "DejaVu Sans"
"""It comes with matplotlib and has Latin, Greek, Cyrillic, Hebrew and Arabic letters."""

PREFERRED = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Emoji",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Nirmala UI",
    "Segoe UI Emoji",
    "Arial Unicode MS",
    "WenQuanYi Micro Hei",
)
"""Of the installed fonts that have a letter, these first."""

LAST_RESORT = "Last Resort"
"""A font of boxes that name the script."""

LEFT_TO_RIGHT = "\u200e"
"""A mark without width that is read from left to right."""


def pair(first: str, second: str) -> str:
    """Two words with an arrow from the left one to the right one, also where words are read from right to left.

    matplotlib sets Hebrew and Arabic words from right to left by itself, but then the arrow and the order of the words
    turn round with them: marks keep the line from left to right.

    Examples
    --------
    >>> pair("Hund", "dog")
    'Hund → dog'
    >>> pair("עולם", "world").count(LEFT_TO_RIGHT)
    2
    """
    around = LEFT_TO_RIGHT if any(map(_turns, first + second)) else ""
    return f"{around}{first}{around} → {second}"


def _turns(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL", "AN")


def families(words: Iterable[object]) -> list[str]:
    """Fonts that have the letters of all words together: the first always, others where it lacks a letter.

    Warns
    -----
    DataWarning
        Once, if no installed font has some of the letters: boxes are drawn in their place.

    Examples
    --------
    >>> families(["dog", "chien", "собака", "כלב"])
    ['DejaVu Sans']
    """
    needed = {ord(character) for word in words for character in str(word) if character.isprintable()}
    found, lacking = _covering(frozenset(needed - letters_of(font_manager.findfont(FIRST))))
    if lacking:
        _warn(lacking)
    return [FIRST, *found]


@cache
def _warn(lacking: frozenset[int]) -> None:
    """Once for the same letters, however many figures they are in."""
    some = " ".join(map(chr, sorted(lacking)[:5]))
    warnings.warn(
        f"no installed font has {some}{' and others' if len(lacking) > 5 else ''}: figures show boxes in their place;"
        " install one that does, such as Noto Sans CJK or Noto Emoji (Debian: fonts-noto-cjk, fonts-noto-core), or"
        " write figures as .svg, where the viewer's fonts are used",
        DataWarning,
        stacklevel=4,
    )


@cache
def _covering(needed: frozenset[int]) -> tuple[tuple[str, ...], frozenset[int]]:
    """Fonts that have the letters, the ones with most of them first; and the letters that none has."""
    found: list[str] = []
    if needed:
        fonts = installed()
        preferred = {name: -k for k, name in enumerate(PREFERRED)}
        while needed:
            having = {name: len(needed & letters_of(path)) for name, path in fonts.items()}
            best = max(having, key=lambda name: (having[name], preferred.get(name, -99), name), default=None)
            if best is None or not having[best]:
                break
            found.append(best)
            needed -= letters_of(fonts[best])
    return tuple(found), needed


def installed() -> dict[str, str]:
    """The upright fonts of the machine by name, with their files."""
    return {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and not font.name.startswith(LAST_RESORT)
    }


@cache
def letters_of(path: str) -> frozenset[int]:
    """The code points that a font has; none if it cannot be drawn in any size, as fonts of coloured pictures."""
    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if FaceFlags.SCALABLE in font.face_flags else frozenset()
    except (OSError, RuntimeError):
        return frozenset()
