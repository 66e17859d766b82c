"""Closed forms of stage one, of saturation, and of the time between the stages.

Each theorem is derived by sympy from the flow that it is about, written out on the few words and outputs that it needs.
The functions at the end evaluate the formulas on numbers or arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

from sympy import (
    Expr,
    Integer,
    LambertW,
    Matrix,
    Mul,
    Rational,
    S,
    Symbol,
    cosh,
    diag,
    exp,
    expand,
    factor,
    integrate,
    lambdify,
    limit,
    log,
    ones,
    oo,
    simplify,
    sinh,
    sqrt,
)
from sympy.codegen.cfunctions import expm1

from derivations.closures import cooccurrence as closures
from derivations.models import attention as models
from derivations.program.language import scalars
from derivations.reductions.positional import L, V, eta_A, eta_W
from derivations.theorems import copying_words as theorems
from derivations.theorems.few_words import entry, matrix, written_out
from derivations.theorems.theorem import Step, Theorem, evaluated, stated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["THEOREMS", "delay", "departure_rate", "margin_alone", "time_to_margin"]

z, z_0, u, a, u_1, loss, floor, slow, late, excess, X = scalars("z z_0 u a u_1 loss floor delay late excess X")
W_plain, W_bias, clock, Phi = scalars("W W_bias clock Phi")
tau, tau_1, left, kappa, k, c, K, purity, r = scalars("tau tau_1 tau_left kappa k c K purity r", positive=True)
epsilon, rate, alpha, y, rho, phi, x, x_1, Psi, Psi_1, Q_1 = scalars(
    "epsilon lambda alpha y rho phi x x_1 Psi Psi_1 Q_1", positive=True
)


def sized(**sizes: int) -> dict[Expr, Expr]:
    """Values of size symbols."""
    return {Symbol(name, integer=True, positive=True): Integer(size) for name, size in sizes.items()}


def rated(*states: str) -> dict[Expr, Expr]:
    """Learning rates of 1."""
    return {Symbol(f"eta_{state}", real=True): S.One for state in states}


# -- stage one: early -------------------------------------------------------------------------------------------------


def spread(p0: Matrix) -> Matrix:
    """The derivative of a softmax at its value p0."""
    return diag(*p0) - p0 * p0.T


def early_single() -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The exact flow of one sentence of two words, in symbols; two outputs, the first of which is its label.

    The drift at W = 0 along tau D, its claim, and the same for its first derivative. The bag of words is (b, 1 - b):
    any, which takes scores that are not even, because this sentence has every word once.
    """
    flow, share = models.keyword_classifier(), Symbol("b", positive=True)
    bag, D = Matrix([share, 1 - share]), matrix("D", 2, 2)
    given = sized(N=1, V=2, K=2) | rated("s", "W")
    given |= {entry("length", 0): Integer(2), entry("y", 0): S.Zero}
    for i in range(2):
        given |= {entry("x", 0, i): Integer(i), entry("s", i): log(bag[i])}
        given |= {entry("W", i, o): tau * D[i, o] for o in range(2)}
    found = written_out(flow.definitions, flow.extents, given)
    drift = Matrix(2, 2, lambda i, o: found[entry("Wdot", i, o)])
    first = bag * Matrix([[Rational(1, 2), -Rational(1, 2)]])
    second = -bag * (bag.T * (D * spread(ones(2, 1) / 2)).applyfunc(factor))
    return drift.subs(tau, 0), first, drift.diff(tau).subs(tau, 0), second


def early_drift(size: int, outputs: int) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The drift of the Gram closure at W = 0 and its first derivative along tau D, each with what it should be."""
    flow, D = closures.gram(), matrix("D", size, outputs)
    given = sized(V=size, K=outputs) | rated() | {Symbol("eta_W", real=True): S.One}
    given |= {entry("W", i, o): tau * D[i, o] for i in range(size) for o in range(outputs)}
    needed = [d for d in flow.definitions if d.name in ("X", "Y", "N", "p", "Wdot")]
    found = written_out(needed, flow.extents, given)
    drift = Matrix(size, outputs, lambda i, o: found[entry("Wdot", i, o)])
    excess = matrix("C", size, outputs) - Matrix([entry("c", i) for i in range(size)]) * ones(1, outputs) / outputs
    moved = -matrix("G", size, size) * (D * spread(ones(outputs, 1) / outputs)).applyfunc(factor)
    return drift.subs(tau, 0), excess, drift.diff(tau).subs(tau, 0), moved


def early_exact(bias: bool) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The drift of the exact flow at W = 0 and its first derivative along tau D; and what they should be.

    Two kinds of sentences of two words, attention uniform. With a bias, it stands at log q.
    """
    flow = models.keyword_classifier(bias)
    examples = [((0, 0, 1), 0), ((0, 0, 1), 0), ((0, 1, 1, 1), 0), ((0, 1, 1, 1), 1)]
    bags = Matrix([[Rational(words.count(i), len(words)) for i in range(2)] for words, _ in examples])
    answers = Matrix([[Integer(output == o) for o in range(2)] for _, output in examples])
    mean = ones(1, len(examples)) / len(examples)
    p0 = (mean * answers).T if bias else ones(2, 1) / 2
    D, G = bags.T * answers / len(examples) - (mean * bags).T * p0.T, bags.T * bags / len(examples)
    given = sized(N=len(examples), V=2, K=2) | rated("s", "W", "b")
    for n, (words, output) in enumerate(examples):
        given |= {entry("length", n): Integer(len(words)), entry("y", n): Integer(output)}
        given |= {entry("x", n, place): Integer(word) for place, word in enumerate(words)}
    given |= {entry("s", i): S.Zero for i in range(2)} | {entry("b", o): log(p0[o]) for o in range(2)}
    given |= {entry("W", i, o): tau * D[i, o] for i in range(2) for o in range(2)}
    found = written_out(flow.definitions, flow.extents, given)
    drift = Matrix(2, 2, lambda i, o: found[entry("Wdot", i, o)])
    return drift.subs(tau, 0), D, drift.diff(tau).subs(tau, 0), -G * D * spread(p0)


@stated("stage-one-linear", "Stage one: the linear regime, and how fast it is left")
def stage_one_early() -> Theorem:
    """The linear regime."""
    plain, bias = early_exact(False), early_exact(True)
    single, closed = early_single(), early_drift(2, 3)
    C, c_, q = entry_symbols()
    drifts, slopes = ("Wdot[0,0]", "Wdot[0,1]"), ("d/dtau Wdot[0,0]", "d/dtau Wdot[0,1]")
    return Theorem(
        hypotheses=(
            "attention is uniform",
            "training starts from W = 0; if there is an output bias, it stands at its optimum `log(q)`",
            "the learning rate of W is 1",
        ),
        statement=(
            "Let C be the co-occurrence of words i and outputs o, c the shares of words and q those of outputs. At W "
            "= 0 every prediction is `p_0 = 1/K`, or `p_0 = q` with a bias, and W starts to move by the excess "
            "co-occurrence `D = C - c p_0^T`. So at first `W = tau D`: this is W without a bias and W_bias with one. "
            "The next order is `-(tau^2/2) G D H`, where `G = E[B B^T]` is the Gram matrix of the bags of words B, "
            "each the share that every word has in a sentence, and `H = diag(p_0) - p_0 p_0^T` is the spread of the "
            "prediction. The relative error of the linear closure is therefore `lambda tau/2` with `lambda = ||G D "
            "H||/||D||`, in the Frobenius norm, and it reaches epsilon at tau_left. The rate lambda is at most the "
            "greatest eigenvalue of G times that of H, which is `1/K` without a bias."
        ),
        results={
            W_plain: tau * (C - c_ / K),
            W_bias: tau * (C - c_ * q),
            left: 2 * epsilon / rate,
        },
        steps=(
            Step(
                "one sentence of words 0 and 1, with `B = (b, 1 - b)` and the label 0 of two: at W = 0 the drift is "
                "`B (y - p_0)^T`, where y is 1 at the label and 0 elsewhere",
                *single[:2],
                drifts,
            ),
            Step(
                "along `W = tau D`, for any D, the prediction moves, and the drift changes by `-B B^T D H`",
                *single[2:],
                slopes[:1],
            ),
            Step(
                "averaged over sentences, these are D and `-G D H`. As an example, of four sentences, two "
                "are the words 0 0 1 with the label 0, two are 0 1 1 1 with the labels 0 and 1. The exact flow has, "
                "without a bias, the drift D",
                *plain[:2],
                drifts,
            ),
            Step("and its change `-G D H`", *plain[2:], slopes),
            Step("with a bias, where `p_0 = q`, on the same sentences, the drift D", *bias[:2], drifts),
            Step("and its change `-G D H`", *bias[2:], slopes),
            Step(
                "in the Gram closure, of two words and three outputs here, the drift at W = 0 is D for any C and c",
                *closed[:2],
                ("Wdot[0,0]",),
            ),
            Step("and it changes by `-G D H` for any G and D", *closed[2:], ("d/dtau Wdot[0,0]",)),
            Step(
                "the second order over the first, `lambda tau^2/2` over `tau`, at tau_left",
                (rate * tau**2 / 2 / tau).subs(tau, 2 * epsilon / rate),
                epsilon,
                "lambda tau_left/2",
            ),
        ),
        meanings={
            "epsilon": "relative error of the linear closure that is allowed",
            "lambda": "rate at which the linear regime is left, `||G D H||/||D||`",
        },
        limits=(
            "second order in tau. With a bias, the motion of the bias itself enters at third order; it is not included"
        ),
    )


def entry_symbols() -> tuple[Expr, Expr, Expr]:
    """C, c and q at i and o."""
    i, o = closures.i, closures.o
    return closures.C[i, o], closures.c[i], closures.q[o]


# -- stage one: one word ----------------------------------------------------------------------------------------------


def alone(outputs: int) -> Expr:
    """The velocity of the margin z of a word that is alone in its sentences; its first output has the purity."""
    flow = closures.marginal()
    given = sized(V=1, K=outputs) | {Symbol("eta_W", real=True): eta_W, Symbol("L", real=True): S.One}
    given |= {entry("c", 0): c} | {entry("W", 0, o): z * Integer(o == 0) for o in range(outputs)}
    given |= {entry("C", 0, o): c * (purity if o == 0 else (1 - purity) / (outputs - 1)) for o in range(outputs)}
    needed = [d for d in flow.definitions if d.name in ("X", "Y", "N", "p", "Wdot")]
    found = written_out(needed, flow.extents, given)
    return found[entry("Wdot", 0, 0)] - found[entry("Wdot", 0, 1)]


@stated("stage-one-logistic", "Stage one: a word alone, by Lambert's W")
def one_word() -> Theorem:
    """A word alone: Lambert's W."""
    velocity = eta_W * c * K / (K - 1) * (purity - 1 / (1 + (K - 1) * exp(-z)))
    straight = X - LambertW(exp(X) / (K - 1))
    of_tau = z_0 + (exp(z_0) + eta_W * c * K * tau) / (K - 1)
    two = velocity.subs({K: 2, purity: 1})
    odds = z / purity - log(purity - (1 - purity) * exp(z)) / (purity * (1 - purity))
    return Theorem(
        hypotheses=(
            "the word is alone in its sentences, a share c of all; attention has nothing to choose",
            "a share `purity` of its targets is one output, its own; the others have equal shares of the rest",
        ),
        statement=(
            "The margin z is the logit of the word's own output above the others; it moves by `purity` less the "
            "prediction of that output. For a pure word, `purity = 1`, the sum `z + e^z/(K - 1)` grows evenly: it is "
            "X at time tau, if the margin is `z_0` at time 0. So `e^z/(K - 1)` is Lambert's W of `e^X/(K - "
            "1)`, the inverse of `w e^w`, and this gives z and the `loss` of such sentences. From 0 the margin grows "
            "at first in proportion to time, in the end like `log(tau)`. For two outputs it is the logistic equation "
            "`dz/dtau = k/(1 + e^z)` with `k = 2 eta_W c`. An impure word of two outputs is as regular: time is a "
            "closed form in z. As long as z is below its rest `log(purity/(1 - purity))`, `clock` grows by `2 eta_W "
            "c` per unit of time."
        ),
        results={X: of_tau, z: straight, loss: log(1 + (K - 1) * exp(-z)), clock: odds},
        steps=(
            Step("for two outputs the margin moves by", alone(2), velocity.subs(K, 2), "dz/dtau"),
            Step("for three outputs the margin moves by", alone(3), velocity.subs(K, 3), "dz/dtau"),
            Step("for two outputs and a pure word", two, 2 * eta_W * c / (1 + exp(z)), "dz/dtau"),
            Step(
                "for any number of outputs and a pure word, this sum grows evenly",
                (1 + exp(z) / (K - 1)) * velocity.subs(purity, 1),
                eta_W * c * K / (K - 1),
                "d/dtau (z + e^z/(K - 1))",
            ),
            Step("X grows at the same rate", of_tau.diff(tau), eta_W * c * K / (K - 1), "dX/dtau"),
            Step("from the same value", of_tau.subs(tau, 0), z_0 + exp(z_0) / (K - 1), "X(0)"),
            Step(
                "so that, for the z of the result, the sum is X",
                straight + exp(straight) / (K - 1),
                X,
                "z + e^z/(K - 1)",
            ),
            Step(
                "for two outputs and an impure word, the clock runs evenly",
                odds.diff(z) * velocity.subs(K, 2),
                2 * eta_W * c,
                "dclock/dtau",
            ),
            Step(
                "and the margin rests at `z = log(purity/(1 - purity))`",
                velocity.subs(K, 2).subs(z, log(purity / (1 - purity))),
                S.Zero,
                "dz/dtau",
            ),
        ),
        meanings={
            "c": "share of the sentences that are the word alone",
            "purity": "share of the word's targets that are its own output",
            "z_0": "margin at time 0",
        },
        limits="a word that is alone in its sentences; in longer ones words share the margin, see topic-keys-fixed",
    )


# -- saturation -------------------------------------------------------------------------------------------------------


def with_exponentials(found: Expr, of: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """An expression with ``e^(rate of)`` replaced by a value, for each rate, and the products of their powers as well.

    Exponents are whole combinations of the rates, by which they are told apart: the rates are independent.

    Examples
    --------
    >>> t, b, E, F = scalars("t b E F")
    >>> with_exponentials(exp(2 * b * t) / (1 + exp(t * (1 - b))), t, {b: E, 1 - b: F})
    E**2/(F + 1)
    """

    def replaced(power: Expr) -> Expr:
        left = simplify(power / of)
        for counts in product((0, 1, -1, 2, -2), repeat=len(values)):
            if simplify(left - sum(n * rate for n, rate in zip(counts, values, strict=True))) == 0:
                return Mul(*(value**n for n, value in zip(counts, values.values(), strict=True)))
        return exp(power)

    return found.replace(exp, replaced)


@stated("copying-saturation", "Copying at late times")
def saturation() -> Theorem:
    """Copying at late times."""
    u_, a_, flow = theorems.u, theorems.a, theorems.drift()
    at, other = scalars("x_t x_in")
    total = exp(at) + (L - 1) * exp(other) + V - L
    p_t, p_in = exp(at) / total, exp(other) / total
    share = exp(a_) / (exp(a_) + L - 1)
    rates = theorems.RATES
    k_W, k_A = rates[theorems.k_W], rates[theorems.k_A]
    # The flow by attention and predictions: e^(alpha u) and e^((1 - alpha) u/(L - 1)) are these over what a word has
    # that is not in the input.
    t_, in_ = scalars("p_t p_in", positive=True)
    absent = (1 - t_ - (L - 1) * in_) / (V - L)
    by_predictions = [
        with_exponentials(f.subs(a_, theorems.LOGIT), u_, {alpha: t_ / absent, (1 - alpha) / (L - 1): in_ / absent})
        for f in flow
    ]
    curve = eta_A * V / (2 * eta_W)
    beyond = 2 * (L - 1) * eta_W / (eta_A * (V - 1))
    h = Symbol("h", positive=True)
    missed = log(((L - 1) * exp(other) + V - L) / (V - 1)) - at
    lowered = missed.subs({at: (1 - h) * u, other: h * u / (L - 1)}).diff(h).subs(h, 0)
    ratio = k_A * alpha * (1 - p_t + p_in) / (k_W * alpha * (1 - p_t))
    return Theorem(
        hypotheses=("the symmetric reduction of copying", "the good branch, late: u and a are large"),
        statement=(
            "The loss never stops falling: u grows like `log(tau)`, with slope 1 whatever the sizes, and exceeds "
            "`log(eta_W tau)` by less and less; the `loss` falls like 1 over time. Attention saturates more slowly: "
            "`e^a` is in proportion to `u^2`, so that a grows as twice the logarithm of the logarithm of time, and "
            "what attention misses, `1 - alpha`, falls like `1/log(tau)^2`. The slope of `a` in `log(tau)` is `2/u`, "
            "which goes to 0. The topic classifier FC follows the same laws, where the embedding and the score take "
            "the places of u and a: see topic-convergence. In the proof alpha is the attention to the right position, "
            "p_t the prediction of the target, and p_in that of any other word of the input."
        ),
        results={
            excess: beyond,
            u: log(eta_W * tau) + excess / log(eta_W * tau),
            a: log(curve * u**2),
            loss: (V - 1) / (eta_W * tau),
        },
        steps=(
            Step(
                "the flow in terms of attention and predictions",
                Matrix(by_predictions),
                Matrix([k_W * (alpha * (1 - t_) - (1 - alpha) * in_), k_A * u_ * alpha * (1 - alpha) * (1 - t_ + in_)]),
                ("du/dtau", "da/dtau"),
            ),
            Step(
                "at full attention, `alpha = 1`, and for large u, the prediction of the target misses",
                limit(exp(at) * (1 - p_t).subs(other, 0), at, oo),
                V - 1,
                "lim [e^u (1 - p_t)]",
            ),
            Step(
                "there, the prediction of another word of the input",
                limit(exp(at) * p_in.subs(other, 0), at, oo),
                S.One,
                "lim [e^u p_in]",
            ),
            Step(
                "there, the loss, which is `-log(p_t)`",
                limit(exp(at) * -log(p_t.subs(other, 0)), at, oo),
                V - 1,
                "lim [e^u loss]",
            ),
            Step(
                "so that `e^u` grows evenly, to `eta_W tau`",
                limit(exp(at) * (k_W * (1 - p_t)).subs(other, 0), at, oo),
                eta_W,
                "lim [e^u du/dtau]",
            ),
            Step(
                "attention, by u instead of time",
                limit(ratio.subs(other, 0), at, oo),
                eta_A * V / (eta_W * (L - 1)),
                "lim [(da/du)/(u (1 - alpha))]",
            ),
            Step(
                "what attention misses, for large a",
                limit((exp(a_) * (1 - share)).subs(a_, log(x)), x, oo),
                L - 1,
                "lim [e^a (1 - alpha)]",
            ),
            Step(
                "the product of the last two, times u, is the slope of `e^a = eta_A V u^2/(2 eta_W)`",
                (curve * u**2).diff(u),
                k_A / k_W * V / (V - 1) * (L - 1) * u,
                "d(e^a)/du",
            ),
            Step(
                "attention that is missing, `h = 1 - alpha`, raises the odds against the target; at `h = 0`, by",
                lowered,
                u * V / (V - 1),
                "d/dh log((1 - p_t)/p_t)",
            ),
            Step(
                "times `h = (L - 1)/e^a`, this is the share by which `e^u` grows faster than `eta_W tau`",
                (lowered * (L - 1) / (curve * u**2)).subs(eta_W, excess * eta_A * (V - 1) / (2 * (L - 1))),
                excess / u,
                "h u V/(V - 1)",
            ),
        ),
        limits=(
            "leading order in time, and u to the next one. What is left out of u is of the order of `1/log(tau)^2`, of "
            "`a` that of `log(u)/u^2`; the loss is off by a factor `1 + O(1/log(tau))`. On the mirror branch the loss "
            "stops falling where words that are not in the input cannot be told from the target"
        ),
    )


# -- both stages ------------------------------------------------------------------------------------------------------


def lexicon(size: int) -> tuple[Expr, Expr, Expr]:
    """(du/dtau, da/dtau, loss) of the closure of both stages on a toy lexicon of so many words."""
    flow = closures.both_stages()
    given = sized(V=size, K=size) | {Symbol("eta_W", real=True): eta_W, Symbol("eta_A", real=True): eta_A}
    for i in range(size):
        given |= {entry("q", i): Rational(1, size)}
        for o in range(size):
            given |= {entry("W", i, o): u * Integer(i == o), entry("A", i, o): a * Integer(i == o)}
            given |= {entry("R", i, o): 1 / L if i == o else (L - 1) / (L * (size - 1))}
    found = written_out(flow.definitions, flow.extents, given)
    return (
        found[entry("Wdot", 0, 0)] - found[entry("Wdot", 1, 0)],
        found[entry("Adot", 0, 0)] - found[entry("Adot", 1, 0)],
        found[flow.loss],
    )


SHARE = exp(a) / (exp(a) + L - 1)
"""Attention to the word that the target translates."""
ADVANTAGE = (alpha * V - 1) / (V - 1)
"""The margin of the target, per unit of u."""
LEFT = (V - 1) / (exp(x) + V - 1)
"""1 less the prediction of the target, at the margin x."""
FLOW_U = eta_W * LEFT * y / (V - 1)
FLOW_A = eta_A * LEFT * u * V * alpha * (1 - alpha) / (V - 1) ** 2
INTEGRAL = (V - 1) / V * exp(a) / (L - 1) + (V - 2) / V * a + (L - 1) / V * exp(-a)
"""Phi: eta_A u^2/(2 eta_W) - Phi(a) is constant."""
STRETCH = x + (exp(x) - 1) / (V - 1)
"""Psi: the integral of 1/LEFT over the margin."""


def of_lexicon(size: int) -> tuple[Step, Step, Step]:
    """The flow and the loss of a toy lexicon of so many words, in terms of attention and of the margin x = u y."""
    found = [f.subs(a, theorems.LOGIT) for f in lexicon(size)]
    advantage = ADVANTAGE.subs(V, size)
    common = Symbol("common", positive=True)  # e^logit of a word that is not the target; it cancels
    logits = {alpha: common * exp(x), (1 - alpha) / (size - 1): common}
    flow_u, flow_a = (simplify(with_exponentials(f, u, logits)) for f in found[:2])
    words = f"on a lexicon of {('two', 'three')[size - 2]} words"
    return (
        Step(
            f"{words}, the values move by",
            flow_u.subs(alpha, (1 + (size - 1) * y) / size),
            FLOW_U.subs(V, size),
            "du/dtau",
        ),
        Step(f"{words}, attention moves by", flow_a, FLOW_A.subs(V, size), "da/dtau"),
        Step(
            f"{words}, the loss at the margin x is",
            found[2].subs(u, x / advantage),
            log(1 + (V - 1) * exp(-x)).subs(V, size),
            "loss",
        ),
    )


@stated("two-stages-separation", "The two stages: how far attention may lag behind the values")
def separation() -> Theorem:
    """When attention may wait for the values."""
    steps = [step for size in (2, 3) for step in of_lexicon(size)]
    by_share = {a: theorems.LOGIT}
    by_margin = {alpha: (1 + (V - 1) * y) / V}
    growth = INTEGRAL.diff(a).subs(by_share)
    gain = Symbol("s_1", positive=True)
    joint, waiting = gain * (x / x_1) ** 2, gain * ((x / x_1) ** 2 - 1)
    absent = Symbol("absent", positive=True)  # V - 1, so that sympy knows that it is not 0
    weight = 2 * integrate(expand((x**2 / LEFT).subs(V, absent + 1)), (x, 0, x_1)).subs(absent, V - 1) / x_1**2
    grown = Symbol("grown", positive=True)  # exp(r - rho): r is the time in units of the growth time
    linear_joint, linear_waiting = cosh(r) - 1, cosh(r - rho) - 1 + rho * sinh(r - rho)
    ratio = (linear_joint / linear_waiting).rewrite(exp).subs(r, rho + log(grown))
    changed, slope = Symbol("s", real=True), STRETCH.diff(x)
    passed = slope.subs(x, x * (1 + changed)) / (1 + changed)
    per_gain = ((x - 1) * exp(x) + 1 - V) / (V - 1)
    waited = Psi * (V - 1) ** 3 / (eta_W * (V / L - 1) ** 2)
    even = ADVANTAGE.subs(alpha, 1 / L)
    return Theorem(
        hypotheses=(
            "the closure of both stages on a toy lexicon: the target is one of the L distinct words of an input, the "
            "others are alike any of the V - 1 other words; V > L",
            "W = u delta and A = a delta, up to constants, from u = a = 0; the flow keeps this form",
            "two-stage: `a` is held at 0 until tau_1, where u is u_1 and the margin of the target is x_1",
        ),
        statement=(
            "Let alpha be the attention to the word that the target translates, and y the margin of the target per "
            "unit of u, so that its margin is `x = u y`. Values and attention pay into one account: `eta_A u^2/(2 "
            "eta_W) - Phi` is constant while both flow, so that `a` is a function of u. In the two-stage flow, `u^2` "
            "is ahead by `u_1^2` at the same `a`. Joint attention would have grown to `rho^2 phi/2` by tau_1, where "
            "rho compares the time scale of stage one with the growth time of attention. Without attention the margin "
            "x is reached at the time tau, which is in proportion to Psi. Beyond x_1, the two-stage flow reaches a "
            "margin later than the joint one; by the share `delay` of the time, of the order of `rho^2`, if rho is "
            "small. So waiting is good where eta_A is well below `eta_W phi^2/u_1^2`. If rho is not small, the "
            "two-stage flow is late by the share `late` of tau_1, which tends to all of tau_1: stage one was wasted. "
            "If the values are frozen at tau_1 instead, the margin stays below u_1 and the loss above `floor`: what "
            "has not been learnt by then is never learnt."
        ),
        results={
            alpha: SHARE,
            y: ADVANTAGE,
            Phi: INTEGRAL,
            phi: L * (V - L) / (V * (L - 1)),
            rho: u_1 * sqrt(eta_A / eta_W) / phi,
            Psi: STRETCH,
            Psi_1: STRETCH.subs(x, x_1),
            Q_1: simplify(weight),
            tau: waited,
            late: 1 - log(1 + rho) / rho,
            slow: rho**2 * (Q_1 + Psi - Psi_1) / Psi,
            floor: log(1 + (V - 1) * exp(-u_1)),
        },
        steps=(
            *steps,
            Step(
                "attention pays into the account",
                (growth * FLOW_A).subs(by_margin),
                eta_A * u * y / (exp(x) + V - 1),
                "dPhi/dtau",
            ),
            Step(
                "and the values pay in the same",
                (eta_A * u**2 / (2 * eta_W)).diff(u) * FLOW_U,
                eta_A * u * y / (exp(x) + V - 1),
                "d/dtau (eta_A u^2/(2 eta_W))",
            ),
            Step(
                "the slope of Phi is y over the slope of y",
                (growth * ADVANTAGE.subs(alpha, SHARE).diff(a).subs(by_share)).subs(by_margin),
                y,
                "(dPhi/da) (dy/da)",
            ),
            Step(
                "so near `a = 0` the margin y is in proportion to `1 + a/phi`, with the slope of Phi there",
                INTEGRAL.diff(a).subs(a, 0),
                L * (V - L) / (V * (L - 1)),
                "phi",
            ),
            Step(
                "small `a`, at the time r in units of the growth time: `d^2/dr^2 (a/phi) = 1 + a/phi`, solved in the "
                "joint flow by `a/phi = cosh(r) - 1`",
                linear_joint.diff(r, 2),
                1 + linear_joint,
                "d^2/dr^2 (a/phi)",
            ),
            Step(
                "and in the two-stage flow, from `r = rho` on, by `a/phi = cosh(r - rho) - 1 + rho sinh(r - rho)`",
                linear_waiting.diff(r, 2),
                1 + linear_waiting,
                "d^2/dr^2 (a/phi)",
            ),
            Step(
                "in the limit of long growth the joint flow is ahead by the factor",
                limit(ratio, grown, oo),
                exp(rho) / (1 + rho),
                "lim [(cosh(r) - 1)/(cosh(r - rho) - 1 + rho sinh(r - rho))]",
            ),
            Step(
                "which a delay by `late` makes up for",
                (1 + rho) * exp(rho * (1 - log(1 + rho) / rho) - rho),
                S.One,
                "(1 + rho) e^(rho . late - rho)",
            ),
            Step(
                "without attention, `a = 0`, the time to a margin x grows as 1 over what the prediction still misses",
                1 / LEFT,
                slope,
                "dPsi/dx",
            ),
            Step(
                "and in units of Psi the time grows evenly",
                1 / (even * FLOW_U.subs(y, even) * slope),
                waited.diff(Psi),
                "dtau/dPsi",
            ),
            Step(
                "for small rho, to first order, a gain s of y, relative to that at `a = 0`, changes the time per unit "
                "of u, `f = Psi'(x + s x)/(1 + s)`, where `Psi' = dPsi/dx`, by",
                passed.diff(changed).subs(changed, 0),
                per_gain,
                "df/ds",
            ),
            Step(
                "which is, to be integrated by parts up to the same margin",
                (x * slope).diff(x) - 2 * slope,
                per_gain,
                "d/dx (x Psi') - 2 Psi'",
            ),
            Step(
                "so that the time is less by `2 s + x ds/dx`, integrated over Psi; in the joint flow "
                "`s = s_1 (x/x_1)^2` with `s_1 = rho^2/2`, and this is",
                2 * joint + x * joint.diff(x),
                4 * gain * x**2 / x_1**2,
                "2 s + x ds/dx",
            ),
            Step(
                "in the two-stage flow, from x_1 on, `s = s_1 (x^2/x_1^2 - 1)`, and it is less by `2 s_1 = rho^2`",
                2 * waiting + x * waiting.diff(x),
                4 * gain * x**2 / x_1**2 - 2 * gain,
                "2 s + x ds/dx",
            ),
            Step(
                "so the delay is `rho^2 (Psi - Psi_1)` since x_1 and, until then, `rho^2` times the integral Q_1 of "
                "`2 x^2/x_1^2` over Psi",
                (x_1**2 * simplify(weight)).diff(x_1),
                2 * x_1**2 * slope.subs(x, x_1),
                "d(x_1^2 Q_1)/dx_1",
            ),
        ),
        meanings={
            "a": "attention logit of the word that the target translates, above that of others",
            "u_1": "value u at tau_1, where stage one ends",
            "x": "margin of the target: its logit above those of other words",
            "x_1": "margin of the target at tau_1",
        },
        limits=(
            "the closure, not the flow that it closes. There `delay` is of first order in `rho^2`; the account gives "
            "the times exactly, by quadrature. `late` is that of the flow linear in `a`: exact where `V - L` is small "
            "and growth is long, and 15 % too low in between for V = 60, L = 8"
        ),
    )


THEOREMS: Mapping[str, Callable[[], Theorem]] = MappingProxyType(
    {
        "stage-one-linear": stage_one_early,
        "stage-one-logistic": one_word,
        "copying-saturation": saturation,
        "two-stages-separation": separation,
    }
)
"""Name -> the function that derives the theorem."""


# -- on numbers -------------------------------------------------------------------------------------------------------


def departure_rate(C: ArrayLike, gram: ArrayLike, bias: bool = False) -> float:
    """The rate lambda at which stage one leaves its linear regime: the relative error of W = tau D is lambda tau/2.

    Parameters
    ----------
    C : array_like, shape (V, K)
        Co-occurrence; sums to 1.
    gram : array_like, shape (V, V)
        E[B B^T] of the bags of words.
    bias : bool
        Whether the output bias stands at its optimum.

    Returns
    -------
    float
        Per unit of tau: theorem stage-one-linear.

    Examples
    --------
    >>> departure_rate([[0.5, 0], [0, 0.5]], [[0.5, 0], [0, 0.5]])
    0.25
    """
    import numpy as np

    joint = np.asarray(C, dtype=float)
    p0 = joint.sum(axis=0) if bias else np.full(joint.shape[1], 1 / joint.shape[1])
    excess = joint - np.outer(joint.sum(axis=1), p0)
    moved = np.asarray(gram, dtype=float) @ excess
    moved = moved * p0 - np.outer(moved @ p0, p0)
    return float(np.linalg.norm(moved) / np.linalg.norm(excess))


def margin_alone(
    tau: ArrayLike, share: ArrayLike, outputs: ArrayLike = 2, start: ArrayLike = 0.0, eta_W: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """The margin of the output of a pure word that is alone in its sentences: theorem stage-one-logistic.

    Parameters
    ----------
    tau : array_like
        Time; all arguments are broadcast.
    share : array_like
        Share c of the sentences that are this word.
    outputs : array_like
        Number K of outputs.
    start : array_like
        The margin at time 0.
    eta_W : array_like
        Learning rate of W relative to tau.

    Examples
    --------
    >>> margin_alone([0, 1, 100], share=0.5).round(3)
    array([0.   , 0.443, 4.569])
    """
    import numpy as np
    from scipy.special import wrightomega

    X = evaluated(one_word(), "X", z_0=start, tau=tau, c=share, K=outputs, eta_W=eta_W)
    return X - wrightomega(X - np.log(np.asarray(outputs) - 1))


def margin_at_uniform(tau: ArrayLike, V: ArrayLike, L: ArrayLike, eta_W: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The margin of the target on a toy lexicon after stage one alone: theorem two-stages-separation with a = 0."""
    import numpy as np
    from scipy.special import wrightomega

    V = np.asarray(V, dtype=float)
    X = np.asarray(tau) * eta_W * (V / L - 1) ** 2 / (V - 1) ** 3 + 1 / (V - 1)
    return X - wrightomega(X - np.log(V - 1))


def delay(
    x: ArrayLike, V: ArrayLike, L: ArrayLike, switch: ArrayLike, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """How much later the two-stage flow reaches a margin than the joint flow, as a share of the time: an estimate.

    Parameters
    ----------
    x : array_like
        Margin of the target, above that at the switch; the loss is log(1 + (V - 1) exp(-x)). All arguments are
        broadcast.
    V, L : array_like
        Words, and words of an input, L < V.
    switch : array_like
        The time tau at which stage one ends.
    eta_W, eta_A : array_like
        Learning rates of W and A relative to tau.

    Returns
    -------
    ndarray
        First order in eta_A: theorem two-stages-separation. Good where it is small.

    Examples
    --------
    >>> delay(2.0, 20, 4, switch=300, eta_A=[0.0001, 0.01]).round(5)
    array([0.00076, 0.07595])
    """
    x_1 = margin_at_uniform(switch, V, L, eta_W)
    u_1 = x_1 / evaluated(separation(), "y", a=0.0, V=V, L=L)
    return evaluated(separation(), "delay", x=x, x_1=x_1, u_1=u_1, V=V, L=L, eta_W=eta_W, eta_A=eta_A)


def time_to_margin(
    x: ArrayLike, V: ArrayLike, L: ArrayLike, switch: ArrayLike = 0.0, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """The time until the target of a toy lexicon has a margin, in both stages, by quadrature along their account.

    Parameters
    ----------
    x, V, L, eta_W, eta_A
        As for :func:`delay`.
    switch : array_like
        Attention is held until then: 0 for the joint flow.

    Examples
    --------
    >>> time_to_margin(2.0, 20, 4, switch=[0, 300], eta_A=0.01).round(1)
    array([726.4, 762.2])
    """
    import numpy as np

    return np.vectorize(_time_to_margin, otypes=[float])(x, V, L, switch, eta_W, eta_A)


def _time_to_margin(x: float, V: float, L: float, switch: float, eta_W: float, eta_A: float) -> float:
    from scipy.integrate import quad
    from scipy.optimize import brentq

    sizes = {"V": V, "L": L, "eta_W": eta_W, "eta_A": eta_A}
    x_1 = float(margin_at_uniform(switch, V, L, eta_W))
    if x <= x_1:
        return float(evaluated(separation(), "tau", x=x, **sizes))
    u_1 = x_1 / float(evaluated(separation(), "y", a=0.0, **sizes))
    of_u, margin, velocity = along_account()
    end = 1.0
    while margin(of_u(end, u_1, *sizes.values()), end, *sizes.values()) < x:
        end *= 2
    end = brentq(lambda a: margin(of_u(a, u_1, *sizes.values()), a, *sizes.values()) - x, 0, end, xtol=1e-14)

    def per_root(t: float) -> float:  # a = t^2: u is like t at the start of the joint flow
        return 2 * t / velocity(of_u(t * t, u_1, *sizes.values()), t * t, *sizes.values())

    return float(switch + quad(per_root, 0, end**0.5, epsabs=0, epsrel=1e-10, limit=200)[0])


@cache
def along_account() -> tuple[Callable[..., float], Callable[..., float], Callable[..., float]]:
    """(u of a after u_1, the margin, da/dtau), on numbers."""
    sizes = (V, L, eta_W, eta_A)
    gained = INTEGRAL.replace(exp, expm1)  # less its value at a = 0, without cancellation
    here = u * ADVANTAGE.subs(alpha, SHARE)
    return (
        lambdify((a, u_1, *sizes), sqrt(u_1**2 + 2 * eta_W / eta_A * gained), "math"),
        lambdify((u, a, *sizes), here, "math"),
        lambdify((u, a, *sizes), FLOW_A.subs(alpha, SHARE).subs(x, here), "math", cse=True),
    )
