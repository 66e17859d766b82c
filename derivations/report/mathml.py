"""LaTeX as MathML, which browsers show without fonts or scripts from elsewhere: the commands that typeset prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

__all__ = ["UnknownCommand", "equation", "mathml"]

LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
GREEK = LETTERS | {name.capitalize(): letter.upper() for name, letter in LETTERS.items()}
GREEK |= {"varepsilon": "ε", "varphi": "φ", "omicron": "ο", "infty": "∞", "partial": "∂", "ell": "ℓ"}
OPERATORS = {
    "cdot": "⋅", "times": "×", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "neq": "≠", "ne": "≠", "sum": "∑",
    "dots": "…", "ldots": "…", "wedge": "∧", "vee": "∨", "Vert": "‖", "vert": "|", "lbrace": "{", "rbrace": "}",
    "to": "→", "in": "∈", "sim": "∼", "approx": "≈", "{": "{", "}": "}",
    "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩",
}  # fmt: skip
FUNCTIONS = ("log", "exp", "lim", "max", "min", "cosh", "sinh", "tanh", "sin", "cos")
ACCENTS = {"bar": "‾", "dot": "˙", "tilde": "˜", "hat": "^"}
SPACES = {",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.28em", "quad": "1em", "qquad": "2em"}
SIZES = ("left", "right", "Bigl", "Bigr", "displaystyle")
"""What only says how large a bracket is: brackets in MathML stretch."""


class UnknownCommand(ValueError):
    """A LaTeX command that has no MathML here."""


def mathml(tex: str) -> str:
    r"""A formula in a line.

    Raises
    ------
    UnknownCommand

    Examples
    --------
    >>> print(mathml(r"\bar{W}_{iv}"))
    <math><msub><mover><mi>W</mi><mo>‾</mo></mover><mrow><mi>i</mi><mi>v</mi></mrow></msub></math>
    """
    return f"<math>{Parser(tex).all()}</math>"


def equation(left: str, rows: list[str]) -> str:
    """A displayed equation, broken into rows after its equals sign."""
    lines = [f"<mtr><mtd>{Parser(left).all()}</mtd><mtd><mo>=</mo>{Parser(rows[0]).all()}</mtd></mtr>"]
    lines += [f'<mtr><mtd></mtd><mtd><mspace width="2em"/>{Parser(row).all()}</mtd></mtr>' for row in rows[1:]]
    return f'<math display="block"><mtable displaystyle="true">{"".join(lines)}</mtable></math>'


class Parser:
    """Reads LaTeX from left to right."""

    def __init__(self, tex: str) -> None:
        self.tokens = re.findall(r"\\text\{[^{}]*\}|\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\S", tex)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise UnknownCommand("the formula ends where something is missing")
        self.at += 1
        return token

    def all(self) -> str:
        """Everything."""
        found = "".join(self.atoms())
        if self.peek():
            raise UnknownCommand(f"{self.peek()!r} closes nothing")
        return found

    def atoms(self, *until: str) -> Iterator[str]:
        """One node after the other, with what is below and above it."""
        while self.peek() and self.peek() not in ("}", "&", r"\\", r"\end", *until):
            atom = self.atom()
            below = above = None
            limits = atom.startswith("<mo>∑")
            while self.peek() in ("_", "^"):
                if self.take() == "_":
                    below = self.argument()
                else:
                    above = self.argument()
            if below is not None and above is not None:
                atom = f"<msubsup>{atom}{below}{above}</msubsup>"
            elif below is not None:
                tag = "munder" if limits else "msub"
                atom = f"<{tag}>{atom}{below}</{tag}>"
            elif above is not None:
                atom = f"<msup>{atom}{above}</msup>"
            yield atom

    def argument(self) -> str:
        """A group in braces, or one node."""
        if self.peek() != "{":
            return self.atom()
        self.take()
        inner = list(self.atoms())
        if self.take() != "}":
            raise UnknownCommand("a group is not closed")
        return inner[0] if len(inner) == 1 else f"<mrow>{''.join(inner)}</mrow>"

    def words(self) -> str:
        """The letters of a group."""
        self.take()
        letters = []
        while self.peek() != "}":
            letters.append(self.take())
        self.take()
        return escape("".join(letters))

    def atom(self) -> str:
        """One node."""
        if self.peek() == "{":
            return self.argument()
        token = self.take()
        name = token[1:] if token[0] == "\\" else ""
        if name.startswith("text{"):
            return f"<mtext>{escape(name[5:-1])}</mtext>"
        if not name:
            if token[0].isdigit():
                return f"<mn>{token}</mn>"
            return f"<mi>{token}</mi>" if token.isalpha() else self.operator(token)
        if name in GREEK:
            return f"<mi>{GREEK[name]}</mi>"
        if name in OPERATORS:
            return self.operator(OPERATORS[name])
        if name in FUNCTIONS:
            return f'<mi>{name}</mi><mspace width="0.17em"/>' if self.peek() not in ("_", "^") else f"<mi>{name}</mi>"
        if name in ("mathrm", "operatorname"):
            return f"<mi>{self.words()}</mi>"
        if name in ACCENTS:
            return f"<mover>{self.argument()}<mo>{ACCENTS[name]}</mo></mover>"
        if name in ("frac", "tfrac", "binom"):
            parts = f"{self.argument()}{self.argument()}"
            if name == "binom":
                return f'<mrow><mo>(</mo><mfrac linethickness="0">{parts}</mfrac><mo>)</mo></mrow>'
            return f"<mfrac>{parts}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.argument()}</msqrt>"
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"/>'
        if name in ("left", "Bigl"):
            return self.bracketed(name)
        if name in SIZES:
            return self.operator(self.take()) if name not in ("displaystyle",) else "<mrow></mrow>"
        if name == "begin":
            return self.environment()
        raise UnknownCommand(f"no MathML for {token}")

    def operator(self, sign: str) -> str:
        if sign.startswith("\\"):
            sign = OPERATORS.get(sign[1:], sign[1:])
        stretches = ' stretchy="false"' if sign in "()[]{}|‖⟨⟩" else ""
        return f"<mo{stretches}>{escape('−' if sign == '-' else sign)}</mo>" if sign != "." else ""

    def bracketed(self, size: str) -> str:
        """What stands between large brackets; a line may break before the second one."""
        closing = "\\right" if size == "left" else "\\Bigr"
        opened = escape(self.take().removeprefix("\\"))
        inner = "".join(self.atoms(closing))
        closed = ""
        if self.peek() == closing:
            self.take()
            closed = escape(self.take().removeprefix("\\"))
        signs = [f"<mo>{sign}</mo>" if sign not in ("", ".") else "" for sign in (opened, closed)]
        return f"<mrow>{signs[0]}{inner}{signs[1]}</mrow>"

    def environment(self) -> str:
        """Cases."""
        kind = self.words()
        if kind != "cases":
            raise UnknownCommand(f"no MathML for the environment {kind}")
        rows: list[list[str]] = [[]]
        while True:
            rows[-1].append(f"<mtd>{''.join(self.atoms())}</mtd>")
            token = self.take()
            if token == r"\end":
                self.words()
                break
            if token == r"\\":
                rows.append([])
        lines = "".join(f"<mtr>{''.join(row)}</mtr>" for row in rows)
        return f"<mrow><mo>{{</mo><mtable>{lines}</mtable></mrow>"
