"""Orbits of words and positions: what is alike where inputs are copied, of distinct words or of words that may repeat.

Copying does not change when the words are permuted, or the positions. A tensor has one value per orbit of its
subscripts: attention has one at the right position and one at all others, the prediction one for the target, one for
the other words of the input, one for the words not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from sympy import Expr, Integer, Mul, S, Symbol, binomial, factor, factorial
from sympy.utilities.iterables import partitions

from derivations.models.symbols import K, h, l, n, o
from derivations.program.language import scalars

__all__ = ["ABSENT", "SIZES", "DistinctWords", "L", "N", "Point", "RepeatedWords", "V"]

V, L = scalars("V L", positive=True)
N = Symbol("N", positive=True)
others, absent = Symbol("others", positive=True), Symbol("absent", nonnegative=True)
SIZES = {L: 1 + others, V: 1 + others + absent}
"""What is known of the sizes: more than one position, and no fewer words."""
ABSENT = Integer(-1)
"""Stands for the words that are not in the input; the word at position k is called k."""
Point = tuple[Expr, ...]
"""The subscripts of a tensor, each by the name of its orbit."""


@dataclass(frozen=True)
class DistinctWords:
    """The orbits of indices over inputs of L distinct words out of V that are copied.

    Attributes
    ----------
    heads : int
        Heads are not alike: each is an orbit of its own.
    """

    heads: int = 1

    length = L
    sizes = (V, L)
    domain = SIZES
    assumption = "the L words of an input are distinct, drawn from V, and are copied"
    observables = (("mean_prediction",), ("prediction", S.Zero, S.Zero, S.One))

    def orbits(self, index: Symbol, extent: Expr, at: Mapping[Symbol, Expr]) -> list[tuple[Expr, Expr]]:
        """(name, members) of each orbit of an index when others are fixed: what is fixed, the rest, absent words."""
        if index == n:
            return [(S.Zero, N)]
        if index == h:
            return [(Integer(k), S.One) for k in range(self.heads)]
        fixed = sorted({at[other] for other in at if other not in (n, h)} - {ABSENT})
        found = [*((k, S.One) for k in fixed), (Integer(len(fixed)), L - len(fixed))]
        return [*found, (ABSENT, V - L)] if extent == K else found

    def representative(self, subs: Point, at: Point) -> Point:
        """The first point of the orbit of a point: only which positions are equal matters."""
        seen: dict[Expr, Expr] = {ABSENT: ABSENT}
        return tuple(
            k if index in (n, h) else seen.setdefault(k, Integer(len(seen) - 1))
            for index, k in zip(subs, at, strict=True)
        )

    def table(self, name: str, at: Point) -> Expr:
        """The data of the model at a point."""
        return L if name == "targets" else at[-1]

    def label(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """What tells the values of one kind apart: the number of the head."""
        return str(at[h] + 1) if h in at else ""

    def which(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """The same in words."""
        return f", head {at[h] + 1}" if h in at else ""

    def cases(self, attention: Mapping[Point, Expr], logits: Mapping[Point, Expr]) -> Iterator[str]:
        """What attention and the logits become, in words."""
        for head in range(self.heads):
            at = (S.Zero, S.Zero, Integer(head)) if self.heads > 1 else (S.Zero, S.Zero)
            own, other = attention[(*at, S.Zero)], attention[(*at, S.One)]
            yield (
                f"{f'head {head + 1}: ' if self.heads > 1 else ''}attention is `{own}` at the right position and "
                f"`{other}` at each of the `L - 1` others"
            )
        target, other, none = (logits[S.Zero, S.Zero, k] for k in (S.Zero, S.One, ABSENT))
        yield (
            f"logits are `{target}` for the target, `{other}` for each of the `L - 1` other words of the input, and "
            f"`{none}` for the `V - L` words that are not in it: a sum over words is a sum over these three"
        )


@dataclass(frozen=True)
class RepeatedWords:
    """The orbits of indices over inputs of ``words`` words, each drawn from all V, that are copied.

    An example is seen from one of its positions, which is called 0. Up to a permutation of words and of the other
    positions it is a list of how often words stand in it: first the word of position 0, then the others.
    """

    words: int

    heads = 1
    sizes = (V,)
    assumption = "the words of an input are drawn from V, each for itself, and are copied"
    observables = (("mean_prediction",),)

    @property
    def length(self) -> Expr:
        return Integer(self.words)

    @property
    def domain(self) -> dict[Symbol, Expr]:
        """No fewer words than positions: every pattern has a share."""
        return {V: self.words + absent}

    @cached_property
    def patterns(self) -> list[tuple[int, ...]]:
        """How often each word stands in an example."""
        return [
            (own, *sorted(Counter(parts).elements()))
            for own in range(1, self.words + 1)
            for parts in partitions(self.words - own)
        ]

    def share(self, pattern: tuple[int, ...]) -> Expr:
        """The probability of a pattern."""
        own, *rest = pattern
        ways = binomial(self.words - 1, own - 1) * factorial(sum(rest))
        for k, times in Counter(rest).items():
            ways /= factorial(k) ** times * factorial(times)
        return ways * Mul(*(V - 1 - k for k in range(len(rest)))) / V ** (self.words - 1)

    def share_in_words(self, pattern: tuple[int, ...]) -> str:
        """The same as a text, its factors side by side."""
        factors = [one.as_base_exp() for one in factor(self.share(pattern)).as_ordered_factors()]
        above = [f"({base})" if base.is_Add else str(base) for base, power in factors for _ in range(power)]
        below = [str(base) if power == -1 else f"{base}^{-power}" for base, power in factors if power < 0]
        return "/".join([" ".join(above) or "1", *below])

    def orbits(self, index: Symbol, extent: Expr, at: Mapping[Symbol, Expr]) -> list[tuple[Expr, Expr]]:
        """(name, members) of each orbit of an index; a word is called by its place in the pattern."""
        if index == n:
            return [(Integer(k), N * self.share(pattern)) for k, pattern in enumerate(self.patterns)]
        if extent != K:
            positions = range(self.words if index == l else 1)
            return [(Integer(k), self.length / len(positions)) for k in positions]
        pattern = self.patterns[at[n]]
        found = [(Integer(k), S.One) for k in range(len(pattern))]
        return [*found, (ABSENT, V - len(pattern))]

    def representative(self, subs: Point, at: Point) -> Point:
        """The first point of the orbit of a point: each its own."""
        return at

    def table(self, name: str, at: Point) -> Expr:
        """The data of the model at a point."""
        if name == "targets":
            return self.length
        pattern = self.patterns[at[0]]
        return Integer([word for word, times in enumerate(pattern) for _ in range(times)][at[1]])

    def label(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """What tells the values of one kind apart: how often the word stands there, or the pattern."""
        if name == "z":
            return str(self.patterns[at[n]][at[o]])
        return str(at[n] + 1) if name in ("Q", "prediction") else ""

    def which(self, name: str, at: Mapping[Symbol, Expr]) -> str:
        """The same in words."""
        if name == "z":
            return f", which stands {often(self.patterns[at[n]][at[o]])}"
        return f", case {at[n] + 1}" if name in ("Q", "prediction") else ""

    def cases(self, attention: Mapping[Point, Expr], logits: Mapping[Point, Expr]) -> Iterator[str]:
        """What attention and the logits become, in words."""
        own, other = (attention[S.Zero, S.Zero, Integer(k)] for k in (0, 1))
        yield f"attention is `{own}` at the right position and `{other}` at each other one"
        for k, (times, *rest) in enumerate(self.patterns):
            share = self.share_in_words(self.patterns[k])
            others = f", the others {' and '.join(often(r) for r in rest)}" if rest else ""
            target = logits[Integer(k), S.Zero, S.Zero]
            shown = [f"`{logits[Integer(k), S.Zero, Integer(j)]}` for a word that stands {often(r)}"
                     for j, r in enumerate(rest, 1) if r not in rest[: j - 1]]  # fmt: skip
            yield (
                f"case {k + 1}, with probability `{share}`: the target stands {often(times)} in the input{others}; "
                f"logits are {', '.join([f'`{target}` for the target', *shown, '0 for the words that are not in it'])}"
            )


def often(times: int) -> str:
    """How often, in words."""
    return {1: "once", 2: "twice"}.get(times, f"{times} times")
