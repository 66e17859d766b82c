"""Sparse Boolean functions: what co-occurrence says about them before any training.

T bits, independent, ones with probability p; the label is y = f(x_S) for s positions S that nobody knows. Word (l, b)
is bit b at position l. Its signal is T (C[(l, b), 1] - c[(l, b)] q[1]) = P(x_l = b, y = 1) - P(x_l = b) P(y = 1), which
drives its value from rest; the two words of a position have opposite signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import product

from sympy import Expr, Integer, Rational, S, Symbol, binomial, diff, log, prod, sqrt

from derivations.program import scalars
from derivations.theorems import Step, Theorem

__all__ = ["SPARSE", "capacity", "critical_sample_size", "signal", "survival", "threshold"]

EDELMAN = "Edelman, Goel, Kakade, Zhang, Inductive Biases and Variable Creation in Self-Attention, arXiv 2110.10090"

p, q, mu, t, z, T, m, s, epsilon, B = scalars("p q mu t z T m s epsilon B", positive=True)
rate, critical, slope, variance, survives, covering = scalars(
    "I m_critical slope variance survives log_N", positive=True
)
mu_and, mu_majority, mu_parity = scalars("mu_and mu_majority mu_parity")

FUNCTIONS: Mapping[str, Callable[[int, int], bool]] = {
    "and": lambda ones, s: ones == s,
    "majority": lambda ones, s: 2 * ones > s,
    "parity": lambda ones, s: ones % 2 == 1,
}
"""From the number of ones among s bits to the label."""


def enumerated(kind: str, size: int, ones: Expr) -> Expr:
    """P(x_1 = 1, y = 1) - p P(y = 1), by going through all inputs."""
    joint = marginal = S.Zero
    for bits in product((0, 1), repeat=size):
        if FUNCTIONS[kind](sum(bits), size):
            weight = prod(ones if bit else 1 - ones for bit in bits)
            marginal += weight
            joint += bits[0] * weight
    return joint - ones * marginal


FAIR = Rational(1, 2)
BALANCED = {p: 2 ** (-1 / s)}
"""The p at which half of the labels of AND are 1."""

NULL = q * (1 - q) * p * (1 - p) * (m - 1) / m**2


def variance_of_null(samples: int) -> Expr:
    """Of sum_n (y_n - mean of y) x_n / m over m samples, x and y being independent, by going through all of them."""
    found = S.Zero
    for labels in product((0, 1), repeat=samples):
        for bits in product((0, 1), repeat=samples):
            weight = prod(q if y else 1 - q for y in labels) * prod(p if x else 1 - p for x in bits)
            mean = Rational(sum(labels), samples)
            found += weight * (sum((y - mean) * x for x, y in zip(bits, labels, strict=True)) / samples) ** 2
    return found


@cache
def signal() -> Theorem:
    """Of the words of the support, and the variance that those of other positions have."""
    of_and, of_majority = p**s * (1 - p), binomial(s - 1, (s - 1) / 2) / 2 ** (s + 1)
    return Theorem(
        name="sparse-signal",
        title="The signal of a word about a sparse Boolean function",
        hypotheses=(
            "independent bits, ones with probability p",
            "AND: p = 2^(-1/s); majority of an odd s, parity: fair",
        ),
        statement=(
            "A bit of the support has the signal P(x = 1, y = 1) - P(x = 1) P(y = 1): (1 - p)/2 for AND, about "
            "log(2)/(2 s), and about 1/sqrt(8 pi s) for majority. Parity of two bits or more has none: its population "
            "co-occurrence is c q^T. Words of other positions have none either; over m samples theirs has mean 0 and "
            "the variance q (1 - q) p (1 - p) (m - 1)/m^2."
        ),
        results={mu_and: of_and, mu_majority: of_majority, mu_parity: S.Zero, variance: NULL},
        steps=(
            *(Step(f"AND of {n}", enumerated("and", n, p), of_and.subs(s, n)) for n in (1, 2, 3, 5)),
            *(Step(f"majority of {n}", enumerated("majority", n, FAIR), of_majority.subs(s, n)) for n in (1, 3, 5, 7)),
            *(Step(f"parity of {n}", enumerated("parity", n, FAIR), S.Zero) for n in (2, 3, 4, 5)),
            *(Step(f"variance over {n} samples", variance_of_null(n), NULL.subs(m, n)) for n in (1, 2, 3)),
            Step("AND with balanced labels", of_and.subs(BALANCED), (1 - BALANCED[p]) / 2),
        ),
        limits="exact",
        source=EDELMAN,
    )


@cache
def survival() -> Theorem:
    """The log law of AND by counting what contradicts a wrong bit."""
    once = 1 - (1 - p) / 2
    return Theorem(
        name="sparse-survival",
        title="Wrong bits that m samples do not contradict",
        hypotheses=("AND with balanced labels", "a position outside of the support"),
        statement=(
            "A sample contradicts a wrong bit of AND if the bit is 0 and the label is 1. A position has (1 - p) m "
            "zeros on average, each with label 0 in half of the cases: none of that many contradicts with "
            "probability 2^(-(1 - p) m), and T positions have one survivor left at m = log2(T)/(1 - p). So doubling T "
            "costs 1/(1 - p) samples, 4.85 for AND of three bits."
        ),
        results={survives: 2 ** (-(1 - p) * m), critical: log(T) / log(2) / (1 - p), slope: 1 / (1 - p)},
        steps=(
            Step("T positions leave one", (T * 2 ** (-(1 - p) * m)).subs(m, log(T) / log(2) / (1 - p)), Integer(1)),
            Step("a survivor in one sample, over the number of zeros", p + (1 - p) * FAIR, once),
        ),
        limits=(
            "the typical number of zeros; positions with few zeros survive more often, (1 - (1 - p)/2)^m in all, but "
            "with a signal that is weaker than that of the support"
        ),
        source=EDELMAN,
    )


SPREAD = (1 - p + p * z) * (1 - p + p / z)
"""The squared moment generating function of a null signal at t = 2 log z, by sample, half of the labels being 1."""
TILT = (4 * mu * (p**2 + (1 - p) ** 2) + sqrt((4 * mu * (2 * p - 1)) ** 2 + (2 * p * (1 - p)) ** 2)) / (
    2 * p * (1 - p) * (1 - 4 * mu)
)


@cache
def critical_sample_size() -> Theorem:
    """When the largest of T null signals falls behind that of the support."""
    moment = log(SPREAD) / 2  # of t = 2 log z
    slope_of_moment = diff(moment, z) * z / 2
    chernoff = (2 * mu * log(z) - moment).subs(z, TILT)
    fair = {p: FAIR, mu: Rational(1, 8)}
    return Theorem(
        name="sparse-critical",
        title="The critical sample size",
        hypotheses=(
            "balanced labels; given them, a null signal is a sum of m independent terms",
            "the signal of the support is at its mean mu",
        ),
        statement=(
            "A null signal reaches mu with probability exp(-m I), up to a power of m, where I is Cramer's rate; so the "
            "largest of T stays behind once m > log(T)/I. Doubling T costs log(2)/I samples, whatever the function; "
            "the function decides mu, and the distribution of its bits p."
        ),
        results={z: TILT, rate: 2 * mu * log(z) - moment, slope: log(2) / rate, critical: log(T) / rate},
        steps=(
            Step("the mean of the tilted null signal is mu", 4 * SPREAD * z * (slope_of_moment - mu), quadratic()),
            Step("at the tilt", quadratic().subs(z, TILT), S.Zero),
            Step("the rate of majority of three bits", chernoff.subs(fair), log(3) / 4 - log(Rational(4, 3)) / 2),
        ),
        limits="leading order in m: the power of m and the scatter of the true signals move the level, not the law",
        source=EDELMAN,
    )


def quadratic() -> Expr:
    """What is 0 at the tilt."""
    return p * (1 - p) * (z**2 - 1) - 4 * mu * (p * (1 - p) * (z**2 + 1) + (p**2 + (1 - p) ** 2) * z)


@cache
def threshold() -> Theorem:
    """What the keyword classifier can hold."""
    g = {word: Symbol(f"g{word}") for word in ("00", "01", "10", "11")}
    b = Symbol("b")
    logit = {(i, j): g[f"0{i}"] + g[f"1{j}"] + b for i, j in product((0, 1), repeat=2)}
    return Theorem(
        name="sparse-threshold",
        title="The keyword classifier is a linear threshold function of the bits",
        hypotheses=("model 1a, with a bias or without", "one word per position and bit"),
        statement=(
            "The attention of a word is e^(s_i) over a positive sum, so the sign of the logit W.alpha + b is that of "
            "sum_l e^(s_i) (W_i + b), i = (l, x_l): a sum of one number for each bit. AND, OR and majority are of this "
            "form. Parity is not: over two of its bits, the logits of the even inputs add up to those of the odd ones, "
            "so they cannot be of opposite signs."
        ),
        results={},
        steps=(Step("even and odd inputs", logit[0, 0] + logit[1, 1], logit[0, 1] + logit[1, 0]),),
        limits="exact",
        source=EDELMAN,
    )


@cache
def capacity() -> Theorem:
    """The paper's bound, in its form."""
    bound = B**2 * log(m * T) / epsilon**2
    return Theorem(
        name="sparse-capacity",
        title="The capacity of an attention head grows with log T",
        hypotheses=(
            "inputs of bounded Euclidean norm",
            "bounded (2,1)-norms (sums of the Euclidean norms of columns) of the value and of the query-key matrix",
        ),
        statement=(
            "The logarithm of the covering number of the heads on m samples of length T, at resolution epsilon in the "
            "largest deviation, is at most of the form B^2 log(m T)/epsilon^2, B growing with the norms alone. So T "
            "enters through this logarithm, and through the norms of what is learnt, if they grow with T: attention to "
            "one word among T takes a score of log T."
        ),
        results={covering: bound},
        steps=(Step("doubling T", bound.subs(T, 2 * T) - bound - B**2 * log(2) / epsilon**2, S.Zero),),
        limits="the form alone: constants, how the norms combine to B and logarithms of other quantities are left out",
        source=EDELMAN,
    )


SPARSE: Mapping[str, Callable[[], Theorem]] = {
    "sparse-signal": signal,
    "sparse-survival": survival,
    "sparse-critical": critical_sample_size,
    "sparse-threshold": threshold,
    "sparse-capacity": capacity,
}
"""Theorems of sparse Boolean functions, by name."""
