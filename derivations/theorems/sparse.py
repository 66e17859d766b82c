"""Sparse Boolean functions: what co-occurrence says about them before any training.

T bits, independent, ones with probability p; the label is y = f(x_S) for s positions S that nobody knows. Word (l, b)
is bit b at position l. Its signal is T (C[(l, b), 1] - c[(l, b)] q[1]) = P(x_l = b, y = 1) - P(x_l = b) P(y = 1), which
drives its value from rest; the two words of a position have opposite signals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from sympy import Expr, Integer, Matrix, Rational, S, Symbol, binomial, diff, exp, limit, log, oo, prod, sqrt

from derivations.models import keyword_classifier
from derivations.program.language import scalars
from derivations.program.role import Role
from derivations.registry import theorem
from derivations.theorems.few_words import behind, entry, written_out
from derivations.theorems.theorem import Step, Theorem

__all__ = ["capacity", "critical_sample_size", "signal", "survival", "threshold"]

EDELMAN = "Edelman, Goel, Kakade, Zhang, Inductive Biases and Variable Creation in Self-Attention, arXiv 2110.10090"

p, q, v, mu, t, z, T, m, s, epsilon, A, B = scalars("p q v mu t z T m s epsilon A B", positive=True)
a, b, r, x, v_v, v_s, w_v, norms = scalars("a b r x v_v v_s w_v capacity", positive=True)
centre = Symbol("mean", real=True)
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


MEANINGS = {
    "p": "probability that a bit is 1",
    "q": "probability that the label is 1",
    "m": "number of samples",
    "s": "number of bits that decide the label: the size of the support",
    "mu": "signal of a bit of the support",
}


@theorem("sparse-signal", "The signal of a word about a sparse Boolean function", about=("keyword-bias",))
def signal() -> Theorem:
    """Of the words of the support, and the variance that those of other positions have."""
    of_and, of_majority = p**s * (1 - p), binomial(s - 1, (s - 1) / 2) / 2 ** (s + 1)

    def cases(kind: str, sizes: Sequence[int], ones: Expr, claim: Expr, note: str) -> Step:
        return Step(
            note,
            Matrix([enumerated(kind, size, ones) for size in sizes]),
            Matrix([claim.subs(s, size) for size in sizes]),
            tuple(f"mu_{kind}({size})" for size in sizes),
        )

    return Theorem(
        hypotheses=(
            "`T` independent bits, each of them 1 with probability p",
            "the label y is a function of `s` of them, the support",
            "AND has p = 2^(-1/s), so that half of the labels are 1; majority, of an odd `s`, and parity have p = 1/2",
        ),
        statement=(
            "The signal of a bit x is its covariance with the label, `P(x = 1, y = 1) - P(x = 1) P(y = 1)`; it is "
            "what drives the value of a word from rest. A bit of the support has the signal mu_and for AND, which is "
            "`(1 - p)/2` if the labels are balanced, about `log(2)/(2 s)` for many bits. For majority it has "
            "mu_majority, about `1/sqrt(8 pi s)`, which falls more slowly with `s`. Parity of two bits or more has "
            "none: its population co-occurrence is `c q^T`, the product of its marginals, and says nothing. Words of "
            "other positions have no signal either; but over m samples theirs scatters around 0, with the `variance` "
            "below, and this is what the signal of the support must stand out from."
        ),
        results={mu_and: of_and, mu_majority: of_majority, mu_parity: S.Zero, variance: NULL},
        steps=(
            cases("and", (1, 2, 3, 5), p, of_and, "AND of 1, 2, 3 and 5 bits, all inputs counted"),
            Step(
                "AND with balanced labels, where `p^s = 1/2`",
                of_and.subs(s, -log(2) / log(p)),
                (1 - p) / 2,
                "mu_and",
            ),
            Step(
                "AND of many bits: the limit of large `s`",
                limit(s * of_and.subs(BALANCED), s, oo),
                log(2) / 2,
                "lim [s mu_and(s)]",
            ),
            cases("majority", (1, 3, 5, 7), FAIR, of_majority, "majority of 1, 3, 5 and 7 bits, all inputs counted"),
            cases("parity", (2, 3, 4, 5), FAIR, S.Zero, "parity of 2, 3, 4 and 5 bits, all inputs counted"),
            Step(
                "a bit outside of the support, over 1, 2 and 3 samples, all samples counted",
                Matrix([variance_of_null(samples) for samples in (1, 2, 3)]),
                Matrix([NULL.subs(m, samples) for samples in (1, 2, 3)]),
                tuple(f"variance({samples})" for samples in (1, 2, 3)),
            ),
        ),
        meanings=MEANINGS,
        limits="exact",
        source=EDELMAN,
    )


def uncontradicted(samples: int) -> Expr:
    """The probability that no sample contradicts a wrong bit of AND: 2^(-k), averaged over the k zeros of the bit."""
    found = S.Zero
    for bits in product((0, 1), repeat=samples):
        found += prod(p if bit else (1 - p) * FAIR for bit in bits)
    return found


@theorem("sparse-survival", "Wrong bits that `m` samples do not contradict", about=("keyword-bias",))
def survival() -> Theorem:
    """The log law of AND by counting what contradicts a wrong bit."""
    left_over, level = 2 ** (-(1 - p) * m), log(T) / log(2) / (1 - p)
    return Theorem(
        hypotheses=("AND with balanced labels", "wrong bits: those of the positions outside of the support"),
        statement=(
            "A sample contradicts a wrong bit of AND if the bit is 0 and the label is 1. Over m samples, a position "
            "has `(1 - p) m` zeros on average, each with label 0 in half of the cases. That no one of them "
            "contradicts has the probability `survives`. So of T positions one wrong bit is left over at "
            "m = m_critical, and the number of samples that is needed grows with the logarithm of T: doubling T costs "
            "`slope` samples more, 4.85 for AND of three bits."
        ),
        results={survives: left_over, critical: level, slope: 1 / (1 - p)},
        steps=(
            Step(
                "at m = m_critical, the number of wrong bits left over",
                T * left_over.subs(m, level),
                S.One,
                "T . survives",
            ),
            Step("doubling T costs", level.subs(T, 2 * T) - level, 1 / (1 - p), "m_critical(2 T) - m_critical(T)"),
            Step(
                "beyond the mean number of zeros: a bit with `k` zeros survives with probability 2^(-k); the average "
                "over `k`, for 1, 2 and 3 samples",
                Matrix([uncontradicted(samples) for samples in (1, 2, 3)]),
                Matrix([(1 - (1 - p) / 2) ** samples for samples in (1, 2, 3)]),
                tuple(f"E_{samples}[2^(-k)]" for samples in (1, 2, 3)),
            ),
        ),
        meanings=MEANINGS,
        limits=(
            "the mean number of zeros. A position with fewer zeros survives more often, so that all in all the "
            "probability is `((1 + p)/2)^m`, which is larger; but its signal is weaker than that of the support"
        ),
        source=EDELMAN,
    )


SPREAD = 1 + v * (z - 1) ** 2 / z
"""The squared moment generating function of a null signal at t = 2 log z, by sample, half of the labels being 1."""
TILT = (2 * mu * (1 - 2 * v) + sqrt(4 * mu**2 * (1 - 4 * v) + v**2)) / (v * (1 - 4 * mu))
"""The z at which the tilted null signal has the mean mu."""


@theorem("sparse-critical", "The critical sample size", about=("keyword-bias",))
def critical_sample_size() -> Theorem:
    """When the largest of T null signals falls behind that of the support."""
    by_label = prod(1 - p + p * exp(half * t) for half in (FAIR, -FAIR))
    moment = log(SPREAD) / 2  # of t = 2 log z
    slope_of_moment = diff(moment, z) * z / 2
    chernoff = (2 * mu * log(z) - moment).subs(z, TILT)
    fair = {v: Rational(1, 4), mu: Rational(1, 8)}
    return Theorem(
        hypotheses=(
            "balanced labels: half of them are 1",
            "a null signal is that of a position outside of the support; given the labels, it is a mean of m "
            "independent terms `(y - 1/2) x`",
            "the signal of the support is at its mean mu, below 1/4",
        ),
        statement=(
            "A null signal reaches mu with probability `exp(-m I)`, up to a power of m. Here I is Cramer's rate, the "
            "largest value of `mu t - Lambda(t)`, where `Lambda(t)` is the cumulant generating function of a term; it "
            "is at `t = 2 log(z)`, and `v` is the variance of a bit. So the largest of T null signals stays behind "
            "the support once m > m_critical. Doubling T costs `slope` samples, whatever the function: the function "
            "decides mu, and the distribution of its bits p."
        ),
        results={
            v: p * (1 - p),
            z: TILT,
            rate: 2 * mu * log(z) - moment,
            slope: log(2) / rate,
            critical: log(T) / rate,
        },
        steps=(
            Step(
                "the cumulant generating function at `t = 2 log(z)`, half of the labels being 1",
                (log(by_label) / 2).subs(t, 2 * log(z)),
                moment.subs(v, p * (1 - p)),
                "Lambda(t)",
            ),
            Step(
                "its slope, the mean of the null signal tilted by `e^t`",
                slope_of_moment,
                v * (z**2 - 1) / (4 * (z + v * (z - 1) ** 2)),
                "dLambda/dt",
            ),
            Step(
                "at the z of the result: there `mu t - Lambda(t)` is largest",
                slope_of_moment.subs(z, TILT),
                mu,
                "dLambda/dt",
            ),
            Step(
                "for majority of three bits, where `mu = 1/8` and `v = 1/4`",
                chernoff.subs(fair),
                3 * log(3) / 4 - log(2),
                "I",
            ),
        ),
        meanings=MEANINGS,
        limits=(
            "leading order in m. The power of m before the exponential, and the scatter of the signals of the support, "
            "move the level of m_critical, not its growth with `log(T)`"
        ),
        source=EDELMAN,
    )


NUMBERS = {at: Symbol("g_{}{}".format(*at), real=True) for at in product((0, 1), (0, 1))}
"""e^(s_i) (W_i + b) of the word i of a position and a bit."""


def logits_of_two_bits() -> dict[tuple[int, int], Expr]:
    """The logits of model 1a for inputs of two bits, times the sum of e^s, in the numbers of :data:`NUMBERS`."""
    flow = keyword_classifier(bias=True)
    inputs = list(product((0, 1), (0, 1)))
    word = {(place, bit): 2 * place + bit for place, bit in product((0, 1), (0, 1))}
    given = {
        Symbol(name, integer=True, positive=True): Integer(size) for name, size in {"N": 4, "V": 4, "K": 2}.items()
    }
    b = entry("b", 1)
    given |= {entry("b", 0): S.Zero}
    for n, bits in enumerate(inputs):
        given |= {entry("length", n): Integer(2), entry("y", n): S.Zero}
        given |= {entry("x", n, place): Integer(word[place, bit]) for place, bit in enumerate(bits)}
    for at, i in word.items():  # W_i and b are what label 1 has above label 0
        given |= {entry("W", i, 0): S.Zero, entry("W", i, 1): NUMBERS[at] * exp(-entry("s", i)) - b}
    found = written_out(behind(flow, *flow.with_role(Role.LOGITS)), flow.extents, given)
    total = {bits: sum((exp(entry("s", word[at])) for at in enumerate(bits)), S.Zero) for bits in inputs}
    return {
        bits: (total[bits] * (found[entry("z", n, 1)] - found[entry("z", n, 0)])).expand().simplify()
        for n, bits in enumerate(inputs)
    }


@theorem(
    "sparse-threshold",
    "The keyword classifier is a linear threshold function of the bits",
    about=("keyword-bias",),
)
def threshold() -> Theorem:
    """What the keyword classifier can hold."""
    F = logits_of_two_bits()
    g = NUMBERS
    return Theorem(
        hypotheses=("the keyword classifier, model 1a, with a bias or without", "one word for each position and bit"),
        statement=(
            "Let `i` be the word at position l of an input x, with score `s_i`; its value `W_i` and the bias b are "
            "those of label 1 above those of label 0. The attention of the word is `e^(s_i)` over a sum that is "
            "positive. So the logit of label 1 has the sign of `F(x)`, the sum over positions of `e^(s_i) (W_i + b)`: "
            "one number g for each position and its bit, which makes a linear threshold function of the bits. AND, OR "
            "and majority are of this form, with the same numbers at each position of the support. Parity is not. "
            "Over two of its bits, the others held fixed, F adds up to the same for the even inputs as for the odd "
            "ones; so the even ones cannot all have one sign, and the odd ones the other."
        ),
        results={},
        steps=(
            Step(
                "inputs of two bits: the logit of label 1 in model 1a, times the positive sum",
                Matrix([F[bits] for bits in F]),
                Matrix([g[0, bits[0]] + g[1, bits[1]] for bits in F]),
                tuple(f"F({bits[0]}, {bits[1]})" for bits in F),
            ),
            Step("the even inputs together", F[0, 0] + F[1, 1], sum(g.values(), S.Zero), "F(0, 0) + F(1, 1)"),
            Step("the odd inputs together: the same", F[0, 1] + F[1, 0], sum(g.values(), S.Zero), "F(0, 1) + F(1, 0)"),
        ),
        meanings={
            symbol.name: f"the number `e^(s_i) (W_i + b)` of position {place}, bit {bit}"
            for (place, bit), symbol in g.items()
        },
        limits="exact",
        source=EDELMAN,
    )


@theorem("sparse-capacity", "The capacity of an attention head grows with `log(T)`", about=("keyword-bias",))
def capacity() -> Theorem:
    """The paper's bound, from that of linear functions: how values and scores share the resolution."""
    alpha = Matrix(scalars("alpha_1 alpha_2", positive=True))
    shares = Matrix([*alpha, 1 - sum(alpha)])
    scores, moved = Matrix(scalars("s_1 s_2 s_3")), Matrix(scalars("delta_1 delta_2 delta_3"))
    softmax = scores.applyfunc(exp) / sum(scores.applyfunc(exp))
    mean = shares.dot(moved)
    at_shares = dict(zip(scores, shares.applyfunc(log), strict=True))
    change = (softmax.jacobian(scores) * moved).subs(at_shares)
    share = A**2 / (A**2 + B**2)
    cost = (A**6 / x**2 + B**6 / (epsilon - x) ** 2) * log(m * T)  # A^3 = a and B^3 = b: no fractional powers
    bound = (a ** Rational(2, 3) + b ** Rational(2, 3)) ** 3
    return Theorem(
        hypotheses=(
            "a head `sum_l alpha_l W^T x_l`, attention a softmax of scores that are linear in the inputs",
            "inputs of norm r at most; m samples of T inputs",
            "linear functions of (2,1)-norm v have a cover of N points of norm r, at resolution epsilon, of the size "
            "`log N_v <= v^2 r^2 log(N)/epsilon^2`, up to a constant (Zhang 2002)",
        ),
        statement=(
            "Cover the values of all `m T` inputs at one resolution, and their scores at another. Attention changes by "
            "no more, in the sum of sizes, than scores do in the largest; so the head changes by no more than the "
            "values do, and `w_v` times the scores. Shared out at best between both, the logarithm of the covering "
            "number of all heads is at most `log_N`, up to a constant: `capacity` holds the norms alone. T enters "
            "through `log(m T)`, and through the norms of what is learnt, if they grow with T: to attend to one word "
            "among T takes a score of `log(T)`. In the keyword classifier inputs are words, r = 1."
        ),
        results={
            a: v_v * r,
            b: v_s * r * w_v,
            norms: bound,
            covering: norms * log(m * T) / epsilon**2,
        },
        steps=(
            Step(
                "attention, when scores move by delta (three inputs; the mean is weighted by attention)",
                change,
                Matrix([part * (d - centre) for part, d in zip(shares, moved, strict=True)]).subs(centre, mean),
                ("dalpha_1", "dalpha_2"),
            ),
            Step(
                "so its sizes sum to the mean of `|delta - mean|`, at most the root of the variance, at most "
                "the largest delta; the variance is",
                sum(part * (d - mean) ** 2 for part, d in zip(shares, moved, strict=True)),
                sum(part * d**2 for part, d in zip(shares, moved, strict=True)) - mean**2,
                "sum_i alpha_i (delta_i - mean)^2",
            ),
            Step(
                "values at the resolution x, scores at `(epsilon - x)/w_v`, cost `a^2/x^2 + b^2/(epsilon - x)^2` times "
                "`log(m T)`, least at the share `x/epsilon = a^(2/3)/(a^(2/3) + b^(2/3))`, where its slope in x is",
                diff(cost, x).subs(x, epsilon * share),
                S.Zero,
                "dcost/dx",
            ),
            Step(
                "there it is, with `A^3 = a` and `B^3 = b`",
                cost.subs(x, epsilon * share),
                (A**2 + B**2) ** 3 * log(m * T) / epsilon**2,
                "log_N",
            ),
            Step(
                "doubling the length adds the same, whatever the length",
                norms * (log(2 * m * T) - log(m * T)) / epsilon**2,
                norms * log(2) / epsilon**2,
                "log_N(2 T) - log_N(T)",
            ),
        ),
        meanings={
            **MEANINGS,
            "v_v": "(2,1)-norm of the values: the sum of the norms of the columns of `W`",
            "v_s": "(2,1)-norm of the matrix that makes scores of inputs; of the keyword classifier, the norm of `s`",
            "w_v": "greatest norm of the value `W^T x` of an input",
            "r": "greatest norm of an input",
            "epsilon": "resolution of the cover, in the largest deviation",
            "T": "length of an input: number of positions",
        },
        limits=(
            "a constant, and logarithms of the dimensions of inputs and values, which are left out; an upper bound, "
            "which says how many samples are enough and not how many are needed"
        ),
        source=EDELMAN,
    )
