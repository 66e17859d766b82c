"""Words with symbols in them: what is mathematics in a sentence, and what a format needs escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from derivations.report.typeset import GREEK, joined, tex_name

__all__ = ["Prose", "markdown_escaped", "tex_escaped"]

FUNCTIONS = ("log", "exp", "cosh", "sinh", "max", "min", "lim")
TOKEN = re.compile(
    r"`(?P<math>[^`]+)`"
    r"|(?P<slope>d[A-Za-z]\w*/d[A-Za-z]\w*)"
    r"|(?P<power>\^(?:\((?:[^()]|\([^()]*\))*\)|\w+|[+*]))"
    r"|(?P<root>sqrt\([^()]*\))"
    r"|(?P<norm>\|\|[^|]+\|\||\|[^|]+\|)"
    r"|(?P<access>(?!E\[)[A-Za-z]\w*\[[a-z0-9_]+(?:, ?[a-z0-9_]+)*\])"
    r"|(?P<link>[A-Za-z]+(?:-[A-Za-z0-9]+)+)"
    r"|(?P<word>[A-Za-z]\w*)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<operator><=|>=|[-+*/=<>()])"
    r"|(?P<space> +)"
    r"|(?P<other>.)",
    re.DOTALL,
)
SYMBOLS = ("math", "slope", "power", "root", "norm", "access", "symbol")
ARTICLE = re.compile(r" ?(?!(?:is|are|and|rests|moves|had|starts|grows|from|off|where|by|it|alone)\b)[A-Za-z]")
"""What follows an ``a`` that is no symbol: a word, but not a verb."""
LEFT_OUT = ("=", "<", ">", "<=", ">=", "*", "/")
"""Operators that no formula begins or ends with."""
TEX_OF = {"<=": r"\le ", ">=": r"\ge ", "*": r"\cdot ", ".": r"\cdot ", " ": " "}
DIFFERENTIAL = re.compile(r"d([A-Z]|[a-z]+)(\d+|_\w+)?")


@dataclass(frozen=True)
class Prose:
    """Sets words: symbols, and the formulas that they make with operators, as mathematics.

    Single letters are symbols (but for articles), Greek names, accesses such as ``R[i,o]``, letters with a subscript or
    a number, slopes such as ``da/dtau``. What stands between backquotes is mathematics, all of it.

    Attributes
    ----------
    escaped : callable
        What the format does with plain text.
    formula : callable
        What it does with a formula, in LaTeX.
    links : collection of str
        Names of other derivations, set by ``link``.

    Examples
    --------
    >>> words = Prose(tex_escaped)
    >>> print(words("a bend: u moves at k_W (alpha - 1/V), and log((L-1)/(V-1)) is 5 % of u^2"))
    a bend: $u$ moves at $k_{W} (\\alpha - 1/V)$, and $\\log ((L-1)/(V-1))$ is 5 \\% of $u^{2}$
    >>> print(words("the share `late = 1 - alpha` of dPhi/dtau"))
    the share $\\mathrm{late} = 1 - \\alpha$ of $d\\Phi/d\\tau$
    """

    escaped: Callable[[str], str]
    formula: Callable[[str], str] = "${}$".format
    links: Collection[str] = ()
    link: Callable[[str], str] = str

    def __call__(self, text: str) -> str:
        out: list[str] = []
        run: list[tuple[str, str]] = []
        for kind, part in self.tokens(text):
            if kind in (*SYMBOLS, "function", "number", "operator", "space"):
                run.append((kind, part))
            else:
                out += [*self.flushed(run), self.link(part) if kind == "link" else self.escaped(part)]
                run = []
        return "".join([*out, *self.flushed(run)])

    def tokens(self, text: str) -> list[tuple[str, str]]:
        """The parts of a text, each with what it is."""
        found: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            assert match is not None  # the last alternative takes any character
            kind, part = str(match.lastgroup), match[match.lastgroup or 0]
            if kind == "link" and part not in self.links:  # words with hyphens, or a difference of symbols
                kind, part = "word", part[: part.index("-")]
            at += len(match[0]) if kind != "word" else len(part)
            if kind == "word":
                kind = self.kind_of(part, text[: at - len(part)], text[at:])
            found.append((kind, part))
        return found

    def kind_of(self, word: str, until: str, after: str) -> str:
        """Whether a word is a symbol, a function or a word."""
        if word in FUNCTIONS or word.startswith("sum_") or word == "log2":
            return "function"
        if word == "a" and not re.search(r"(\bthe|=) $", until) and ARTICLE.match(after):
            return "word"
        if word == "A" and re.search(r"(^|[.:;] )$", until) and after.startswith(" "):
            return "word"
        if re.search(r"['\d]$", until):  # a possessive, or model 1a
            return "word"
        stem, *below = re.sub(r"^([A-Za-z])(\d+)$", r"\1_\2", word).split("_")
        return "symbol" if word in GREEK or len(word) == 1 or (below and (len(stem) == 1 or stem in GREEK)) else "word"

    def flushed(self, run: list[tuple[str, str]]) -> list[str]:
        """A run of symbols and operators: one formula if it is whole, or else its symbols one by one."""
        start, end = 0, len(run)
        while start < end and (run[start][0] == "space" or run[start][1] in LEFT_OUT):
            start += 1
        while start < end and (
            run[end - 1][0] in ("space", "function") or run[end - 1][1] in (*LEFT_OUT, "-", "+", "(")
        ):
            end -= 1
        while start < end and not balanced(run[start:end]) and (run[start][1] == "(" or run[end - 1][1] == ")"):
            start, end = (start + 1, end) if run[start][1] == "(" else (start, end - 1)
        before, inside, behind = run[:start], run[start:end], run[end:]
        if not any(kind in SYMBOLS for kind, _ in inside):
            return [self.escaped(part) for _, part in run]
        if balanced(inside):
            middle = [self.formula(self.tex(inside).strip())]
        else:
            middle = [self.formula(self.tex([t])) if t[0] in SYMBOLS else self.escaped(t[1]) for t in inside]
        return [*(self.escaped(p) for _, p in before), *middle, *(self.escaped(p) for _, p in behind)]

    def tex(self, run: list[tuple[str, str]]) -> str:
        """A formula in LaTeX."""
        out = ""
        for (kind, part), (after, _) in zip(run, [*run[1:], ("", "")], strict=True):
            apart = kind == "space" and out.endswith("}") and r"\mathrm" in out and after in (*SYMBOLS, "number")
            out += r" \, " if apart else self.tex_of(kind, part)
        return out

    def tex_of(self, kind: str, part: str) -> str:
        if kind == "math":
            return self.inner(part)
        if kind == "slope":
            return "/".join("d" + tex_name(side[1:]) for side in part.split("/"))
        if kind == "power":
            inner = part[1:].removeprefix("(").removesuffix(")") if part[1] == "(" else part[1:]
            return f"^{{{self.inner(inner)}}}"
        if kind == "root":
            return rf"\sqrt{{{self.inner(part[5:-1])}}}"
        if kind == "norm":
            bars = r"\Vert " if part.startswith("||") else r"\vert "
            return f"{bars}{self.inner(part.strip('|'))} {bars}"
        if kind == "access":
            name, _, subs = part.rstrip("]").partition("[")
            return tex_name(name, joined([tex_name(sub.strip()) for sub in subs.split(",")]))
        if kind == "function":
            name, _, below = part.partition("_")
            return r"\log_{2} " if part == "log2" else "\\" + name + (f"_{{{below}}} " if below else " ")
        if kind == "differential":
            return "d" + tex_name(part[1:])
        return tex_name(part) if kind == "symbol" else TEX_OF.get(part, part)

    def inner(self, text: str) -> str:
        """What stands in an exponent or under a root: all of it is mathematics."""
        return self.tex([(self.inside(kind, part), part) for kind, part in self.tokens(text)])

    def inside(self, kind: str, part: str) -> str:
        """The kind of a part of a formula, where there are no words."""
        if kind != "word":
            return kind
        found = DIFFERENTIAL.fullmatch(part)
        return "differential" if found and (len(found[1]) == 1 or found[1] in GREEK) else "symbol"

    def starts_with_word(self, text: str) -> bool:
        """Whether a text begins with a word, and not with a symbol, which keeps its case."""
        (kind, part), *after = self.tokens(text)
        return kind in ("word", "link") and part[0].islower() and not (after and after[0][1][0] in "(/_")


def balanced(run: Sequence[tuple[str, str]]) -> bool:
    """Whether parentheses match."""
    depth = 0
    for _, part in run:
        depth += (part == "(") - (part == ")")
        if depth < 0:
            return False
    return depth == 0


TEX = {c: rf"\{c}" for c in "#$%&_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: f"${c}$" for c in "<>|"},
    **{"≤": r"$\le$", "≥": r"$\ge$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "→": r"$\to$", "∂": r"$\partial$"},
}


def tex_escaped(text: str) -> str:
    r"""Text that pdfTeX can set, whatever it holds: Greek as mathematics, other scripts as their nearest letters.

    Examples
    --------
    >>> print(tex_escaped("50 % of β_0, “naïve”, 犬"))
    50 \% of $\beta$\_0, “naïve”, ?
    """
    return "".join(map(tex_character, unicodedata.normalize("NFC", text)))


def tex_character(c: str) -> str:
    """One character for pdfTeX."""
    if c in TEX:
        return TEX[c]
    if ord(c) < 0x180 or c in "‘’“”–—…":
        return c
    if greek := re.match(r"GREEK (SMALL|CAPITAL) LETTER (\w+)$", unicodedata.name(c, "")):
        name = greek[2].capitalize() if greek[1] == "CAPITAL" else greek[2].lower()
        return f"${GREEK.get(name, name)}$"
    return unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode() or "?"


def markdown_escaped(text: str) -> str:
    """Text without accidental Markdown."""
    return re.sub(r"([\\`*_$<>|])", r"\\\1", text)
