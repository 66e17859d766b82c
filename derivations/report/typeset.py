"""How expressions look, in text and in LaTeX: the order of terms and factors, names, and where lines break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from sympy import Add, Expr, Function, Indexed, Mul, Pow, Rational, S, Symbol, exp
from sympy.core.alphabets import greeks
from sympy.printing.latex import LatexPrinter, tex_greek_dictionary
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from derivations.program.access import name_of, subscript
from derivations.program.language import Reduction, SumOver, Where

__all__ = ["GREEK", "Iverson", "Latex", "Text", "broken", "joined", "tex_name", "tex_word", "width"]


class Iverson(Expr):
    """``[left = right]``: 1 where it holds, 0 elsewhere."""

    is_commutative = True


def split_sign(term: Expr) -> tuple[bool, Expr]:
    """Whether a term is negative, and the term without its sign; signs move out of sums, and into differences.

    Examples
    --------
    >>> a = Symbol("a")
    >>> split_sign(-2 * a), split_sign(-a * (a - 1))
    ((True, 2*a), (False, a*(1 - a)))
    """
    if isinstance(term, SumOver):
        negative, body = split_sign(term.body)
        return negative, SumOver(body, *term.over)
    if not term.as_coeff_Mul()[0].is_negative:
        return False, term
    for factor in sorted(filter(is_difference, Mul.make_args(term)), key=lambda x: bool(x.as_coeff_Add()[0] < 0)):
        return False, -term / factor * -factor
    return True, -term


def is_difference(factor: Expr) -> bool:
    """Whether a factor reads as well the other way round: ``a - b``, ``x - 1``; not ``1 - x``, nor a size ``V - 1``."""
    if not isinstance(factor, Add) or 2 * sum(split_sign(x)[0] for x in factor.args) < len(factor.args):
        return False
    number, rest = factor.as_coeff_Add()
    return not (number.is_positive or (number.is_negative and rest.is_Symbol and rest.name.isupper()))


def rank(factor: Expr) -> tuple[int, int]:
    """The place of a factor in a product: q_o (N_o - Z_oo), c_i W_io, R_io e^..., q_o log q_o, [word_oe = i] R_oe."""
    if isinstance(factor, Iverson):
        return (0 if isinstance(factor.args[0], Indexed) else 9), 0
    if isinstance(factor, Indexed):
        return 4, len(subscript(factor))
    if isinstance(factor, Add):
        return (6 if factor.has(Indexed) else 3), 0
    kinds = ((Rational, 1), (Symbol, 2), (exp, 7), (Function, 8))
    return next((place for kind, place in kinds if isinstance(factor, kind)), 5), 0


class Ordered:
    """What text and LaTeX have in common: the order of terms and factors. A mixin for sympy's printers."""

    thin, dot = " ", " * "
    """Between factors: at an exponential or a bracket, and before a digit."""

    def __call__(self, expr: Expr) -> str:
        return self._print(expr)  # type: ignore[attr-defined]

    def tight(self, expr: Expr) -> str:
        """An expression as a factor."""
        return self.bracket(self(expr)) if isinstance(expr, Add) or split_sign(expr)[0] else self(expr)

    def bracket(self, text: str) -> str:
        return f"({text})"

    def total(self, terms: Iterable[Expr]) -> str:
        """A sum of terms: reductions last, so that what they bind is clear; positive terms before negative ones."""
        text = ""
        for term in sorted(terms, key=lambda t: (isinstance(t, Reduction), split_sign(t)[0])):
            negative, size = split_sign(term)
            sign = ("-" if negative else "") if not text else (" - " if negative else " + ")
            text += sign + self.tight(size)
        return text or "0"

    def _print_Add(self, expr: Expr, order: Any = None) -> str:
        return self.total(expr.as_ordered_terms())

    def _print_Mul(self, expr: Expr) -> str:
        negative, size = split_sign(expr)
        if negative:
            return "-" + self.tight(size)
        above: list[Expr] = []
        below: list[Expr] = []
        for factor in sorted(size.as_ordered_factors(), key=rank):
            if isinstance(factor, Rational):
                above += [S(factor.p)] if factor.p != 1 else []
                below += [S(factor.q)] if factor.q != 1 else []
            elif isinstance(factor, Pow) and factor.exp.is_number and factor.exp.is_negative:
                below.append(1 / factor)
            else:
                above.append(factor)
        return self.ratio(above, below) if below else self.product(above)

    def product(self, factors: Sequence[Expr]) -> str:
        if len(factors) == 1:
            return self(factors[0])
        text = ""
        for before, factor in zip((None, *factors), factors, strict=False):
            shown = self.tight(factor)
            apart = isinstance(factor, exp | Iverson) or isinstance(before, Iverson) or self.is_word(text, shown)
            text += (self.thin if apart else self.dot if shown[0].isdigit() else " ") * bool(text) + shown
        return text or "1"

    def is_word(self, before: str, after: str) -> bool:
        """Whether two factors would run together because one is a word."""
        return False

    def ratio(self, above: Sequence[Expr], below: Sequence[Expr]) -> str:
        raise NotImplementedError

    def sigma(self, name: str, over: Sequence[Symbol]) -> str:
        """The sign of a reduction, with what it runs over."""
        raise NotImplementedError

    def _print_SumOver(self, expr: Reduction) -> str:
        return f"{self.sigma('sum', expr.over)} {self.tight(expr.body)}"

    def _print_MaxOver(self, expr: Reduction) -> str:
        return f"{self.sigma('max', expr.over)} {self.tight(expr.body)}"

    def _print_LogSumExp(self, expr: Reduction) -> str:
        weight = "" if expr.weight == 1 else self.tight(expr.weight) + self.thin
        if isinstance(expr.weight, Where) and expr.weight.value == 1:
            weight = f"[{self(expr.weight.condition)}]{self.thin}"
        return f"{self.sigma('log sum', expr.over)} {weight}{self(exp(expr.body, evaluate=False))}"

    def _print_Heaviside(self, expr: Expr, exp: Any = None) -> str:
        return f"[{self(expr.args[0])} > 0]"  # a step, at which nothing moves: what it is there does not matter

    def _print_Where(self, expr: Expr) -> str:
        return f"[{self(expr.args[1])}]{self.thin}{self.tight(expr.args[0])}"

    def _print_Iverson(self, expr: Expr) -> str:
        return f"[{self(expr.args[0])} = {self(expr.args[1])}]"


class Text(Ordered, StrPrinter):
    """Plain ASCII with the names of the code."""

    printmethod = "_text"  # sympy's own nodes bring a method for StrPrinter that would come first

    def _print_Symbol(self, expr: Symbol) -> str:
        return primed(expr)

    def _print_Indexed(self, expr: Indexed) -> str:
        return f"{name_of(expr)}[{','.join(map(self, subscript(expr)))}]"

    def _print_Pow(self, expr: Pow, rational: bool = False) -> str:
        if expr.exp.is_number and expr.exp.is_negative:
            return self.ratio([], [1 / expr])
        if expr.exp == S.Half:
            return f"sqrt({self(expr.base)})"
        base, power = (self.parenthesize(x, PRECEDENCE["Pow"]) for x in expr.args)
        return f"{base}^{power}"

    def ratio(self, above: Sequence[Expr], below: Sequence[Expr]) -> str:
        top = self.tight(above[0]) if len(above) == 1 else self.product(above)
        bottom = self.tight(below[0]) if len(below) == 1 else f"({self.product(below)})"
        return f"{top}/{bottom}"

    def sigma(self, name: str, over: Sequence[Symbol]) -> str:
        letters = ",".join(map(self, over))
        return f"{name}_{letters}" if len(over) == 1 else f"{name}_{{{letters}}}"

    def _print_Equality(self, expr: Any) -> str:
        return f"{self(expr.lhs)} = {self(expr.rhs)}"


class Latex(Ordered, LatexPrinter):
    """Amsmath, subscripts as papers have them."""

    thin, dot = r" \, ", r" \cdot "

    def __init__(self) -> None:
        super().__init__({"fold_func_brackets": True})

    def _print_Symbol(self, expr: Symbol, style: str = "plain") -> str:
        return tex_name(primed(expr))

    def _print_Indexed(self, expr: Indexed) -> str:
        return tex_name(name_of(expr), joined([self(sub) for sub in subscript(expr)]))

    def _print_log(self, expr: Expr, exp: str | None = None) -> str:
        (of,) = expr.args
        power = "" if exp is None else f"^{{{exp}}}"
        return rf"\log{power} " + (self(of) if isinstance(of, Indexed | Symbol) else self.bracket(self(of)))

    def _print_Function(self, expr: Expr, exp: str | None = None) -> str:
        name = type(expr).__name__.replace("_", r"\_")
        shown = rf"\{name}" if name in ("cosh", "sinh", "tanh") else rf"\operatorname{{{name}}}"
        return shown + ("" if exp is None else f"^{{{exp}}}") + self.bracket(", ".join(map(self, expr.args)))

    _print_Ei = _print_erfc = _print_Function

    def is_word(self, before: str, after: str) -> bool:
        return bool(re.search(r"\\mathrm\{\w+\}(_\{[^{}]*\})?(\^\{[^{}]*\})?$", before)) or after.startswith(r"\mathrm")

    def bracket(self, text: str) -> str:
        return rf"\Bigl({text}\Bigr)" if r"\frac" in text else f"({text})"  # not \left: a line may break between them

    def ratio(self, above: Sequence[Expr], below: Sequence[Expr]) -> str:
        beside = [x for x in above if isinstance(x, Add)] if width(self.product(above)) > FRACTION else []
        fraction = rf"\frac{{{self.product([x for x in above if x not in beside])}}}{{{self.product(below)}}}"
        return " ".join([fraction, *map(self.tight, beside)])

    def sigma(self, name: str, over: Sequence[Symbol]) -> str:
        return " ".join("\\" + word for word in name.split()) + f"_{{{','.join(map(self, over))}}}"


FRACTION = 40
"""Characters that fit above a fraction's bar; sums of a longer product stand beside it."""
GREEK = {name: rf"\{name}" for name in greeks} | tex_greek_dictionary
ACCENTS = ("bar", "dot", "tilde", "hat")


def primed(symbol: Symbol) -> str:
    """The name of a symbol; indices that a derivation had to add have primes."""
    stem = symbol.name.rstrip("_")
    return stem + "'" * (len(symbol.name) - len(stem)) if symbol.is_integer else symbol.name


def tex_name(name: str, subs: str = "") -> str:
    r"""A tensor's name in LaTeX: endings as accents, Greek letters, and what follows an underscore as a subscript.

    Examples
    --------
    >>> print(tex_name("Rtildebar", "io"), tex_name("eta_W"), tex_name("loss_0"))
    \bar{\tilde{R}}_{io} \eta_{W} \mathrm{loss}_{0}
    """
    accents = []
    while accent := next((a for a in ACCENTS if name.endswith(a) and name != a), None):
        accents.append(accent)
        name = name.removesuffix(accent)
    stem, _, label = re.sub(r"(?<![A-Za-z])([A-Za-z]+)(\d+)", r"\1_\2", name.strip("_")).partition("_")
    symbol = tex_word(stem)
    for accent in reversed(accents):
        symbol = rf"\{accent}{{{symbol}}}"
    below = ",".join(part for part in (*map(tex_word, label.split("_")), subs) if part)
    return f"{symbol}_{{{below}}}" if below else symbol


def joined(subs: Sequence[str]) -> str:
    """Subscripts side by side, with commas where one is longer than a letter, or a number."""
    return ("" if all(len(sub) <= 1 and not sub.isdigit() for sub in subs) else ",").join(subs)


def tex_word(word: str) -> str:
    """A word of a name: a letter, Greek, or upright."""
    letters = word.rstrip("'")
    primes = word[len(letters) :]
    if len(letters) > 1 and not letters.isdigit():
        letters = GREEK.get(letters, rf"\mathrm{{{letters}}}")
    return letters + primes


def width(tex: str) -> float:
    """About how many characters wide a formula is; subscripts are small, and of a fraction the wider part counts."""
    fraction = re.compile(r"\\frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}")
    while found := fraction.search(tex):
        tex = tex[: found.start()] + max(found.groups(), key=width) + tex[found.end() :]
    tex = re.sub(r"\\(bar|dot|tilde|hat|mathrm|left|right|Bigl|Bigr|,|quad)", "", tex)
    small = sum(len(re.sub(r"\\[A-Za-z]+", "x", s)) for s in re.findall(r"[_^]\{([^{}]*)\}", tex))
    return (
        len(re.sub(r"\\[A-Za-z]+", "xx", re.sub(r"[{}_^ ]", "", tex)))
        + 2 * len(re.findall(" [-+=] ", tex))
        - 0.4 * small
    )


def broken(tex: str, room: float) -> list[str]:
    """A formula in lines that fit, broken as late as it goes before a plus or minus: outside parentheses, if it can."""
    pieces: list[str] = []
    for term in pieces_of(tex, r"[{}()]|\\left|\\right"):
        pieces += [term] if width(term) <= room else pieces_of(term, r"[{}]|\\left|\\right")
    lines = pieces[:1]
    for piece in pieces[1:]:
        if width(f"{lines[-1]} {piece}") <= room:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines


def pieces_of(tex: str, pairs: str) -> list[str]:
    """A formula cut before each plus and minus that stands outside all pairs."""
    cuts, depth = [0], 0
    for found in re.finditer(rf"{pairs}|\\begin|\\end| (?=[+-] )", tex):
        depth += (found[0] in ("{", "(", r"\left", r"\begin")) - (found[0] in ("}", ")", r"\right", r"\end"))
        if depth == 0 and found[0] == " ":
            cuts.append(found.end())
    return [tex[start:end].strip() for start, end in zip(cuts, (*cuts[1:], None), strict=True)]
