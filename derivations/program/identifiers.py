"""Names of a program as identifiers of Python: for what is written out as code."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata

__all__ = ["PYTHON", "spelled"]

PYTHON = frozenset([*keyword.kwlist, *dir(builtins)])
"""Names that mean something to Python."""

ESCAPE = re.compile(r"_(?=u[0-9a-f]+_)")
"""How what an escape begins with looks in a name that has it by itself."""


def spelled(name: str) -> str:
    """A name in characters that identifiers may have; different names stay different.

    Letters of any script stay as they are, unless Python reads them as other letters.

    Examples
    --------
    >>> spelled("eta_W"), spelled("ω"), spelled("1W"), spelled("x'"), spelled("ﬁ")
    ('eta_W', 'ω', '_u31_W', 'x_u27_', '_ufb01_')
    """
    if name.isidentifier() and not ESCAPE.search(name) and unicodedata.normalize("NFKC", name) == name:
        return name

    def letter(found: re.Match[str]) -> str:
        one = found[0]
        first = found.start() == 0
        kept = (one if first else f"a{one}").isidentifier() and unicodedata.normalize("NFKC", one) == one
        kept = kept and not unicodedata.combining(one) and not ESCAPE.match(name, found.start())
        return one if kept else f"_u{ord(one):x}_"

    return re.sub(".", letter, name, flags=re.DOTALL) or "_u_"
