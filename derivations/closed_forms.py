"""Closed forms of stage one, of saturation, and of the time between the stages.

Each theorem is derived by sympy from the flow that it is about, written out on the few words and outputs that it needs.
The functions at the end evaluate the formulas on numbers or arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from sympy import (
    Expr,
    Integer,
    LambertW,
    Matrix,
    Rational,
    S,
    Symbol,
    diag,
    exp,
    expand,
    integrate,
    lambdify,
    limit,
    log,
    ones,
    oo,
    simplify,
    sqrt,
)
from sympy.codegen.cfunctions import expm1

from derivations import closures, models, theorems
from derivations.program import scalars
from derivations.reductions import L, V, eta_A, eta_W
from derivations.sen import entry, matrix, written_out
from derivations.theorem import Step, Theorem, evaluated

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


def early_drift(size: int, outputs: int) -> tuple[Matrix, Matrix]:
    """The first derivative, at W = 0 along tau D, of the drift of the Gram closure; and what it should be."""
    flow = closures.gram()
    D = matrix("C", size, outputs) - Matrix([entry("c", i) for i in range(size)]) * ones(1, outputs) / outputs
    given = sized(V=size, K=outputs) | rated() | {Symbol("eta_W", real=True): S.One}
    given |= {entry("W", i, o): tau * D[i, o] for i in range(size) for o in range(outputs)}
    needed = [d for d in flow.definitions if d.name in ("X", "Y", "N", "p", "Wdot")]
    found = written_out(needed, flow.extents, given)
    moved = Matrix(size, outputs, lambda i, o: found[entry("Wdot", i, o)].diff(tau).subs(tau, 0))
    return moved, -matrix("G", size, size) * D * spread(ones(outputs, 1) / outputs)


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


@cache
def stage_one_early() -> Theorem:
    """The linear regime."""
    plain, bias = early_exact(False), early_exact(True)
    closed = early_drift(2, 3)
    C, c_, q = entry_symbols()
    return Theorem(
        name="stage-one-linear",
        title="Stage one: the linear regime, and how fast it is left",
        hypotheses=(
            "attention is uniform",
            "training starts from W = 0, with a bias at its optimum log q, or without",
            "learning rate 1 for W",
        ),
        statement=(
            "At first every prediction is p_0 = 1/K, or q with a bias, and W = tau D grows with the excess "
            "co-occurrence D = C - c p_0. The next order is -(tau^2/2) G D H, with the Gram matrix G = E[B B^T] of the "
            "bags of words and the spread H = diag(p_0) - p_0 p_0^T of the prediction. So the relative error of the "
            "linear closure is lambda tau/2 with lambda = ||G D H||/||D||, and it reaches epsilon at tau_left; "
            "lambda is at most the greatest eigenvalue of G times that of H, which is 1/K without a bias."
        ),
        results={
            W_plain: tau * (C - c_ / K),
            W_bias: tau * (C - c_ * q),
            left: 2 * epsilon / rate,
        },
        steps=(
            Step("two kinds of sentences, no bias: the drift at W = 0 is D", plain[0], plain[1]),
            Step("its derivative along tau D is -G D H", plain[2], plain[3]),
            Step("with a bias: the drift", bias[0], bias[1]),
            Step("and its derivative", bias[2], bias[3]),
            Step("any G and C, in the Gram closure (two words, three outputs)", *closed),
            Step("the second order over the first", (rate * tau**2 / 2 / tau).subs(tau, 2 * epsilon / rate), epsilon),
        ),
        limits="second order in tau; with a bias, that the bias moves comes in at third order",
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


@cache
def one_word() -> Theorem:
    """A word alone: Lambert's W."""
    velocity = eta_W * c * K / (K - 1) * (purity - 1 / (1 + (K - 1) * exp(-z)))
    straight = X - LambertW(exp(X) / (K - 1))
    of_tau = z_0 + (exp(z_0) + eta_W * c * K * tau) / (K - 1)
    two = velocity.subs({K: 2, purity: 1})
    odds = z / purity - log(purity - (1 - purity) * exp(z)) / (purity * (1 - purity))
    return Theorem(
        name="stage-one-logistic",
        title="Stage one: a word alone, by Lambert's W",
        hypotheses=(
            "the word is alone in its sentences, a share c of all; attention has nothing to choose",
            "a share purity of its targets is one output, the others have equal shares of the rest",
        ),
        statement=(
            "The margin z of its output moves by purity less prediction. For a pure word z + e^z/(K - 1) grows evenly: "
            "for two outputs dz/dtau = k sigma(-z) with k = 2 eta_W c, and z + e^z = k tau plus a constant. So "
            "e^z/(K - 1) is Lambert's W of exp(X)/(K - 1), and z grows at first evenly, in the end like log(tau). For "
            "an impure word of two outputs time is a closed form in z: clock(z) grows by 2 eta_W c tau, and z rests at "
            "log(purity/(1 - purity))."
        ),
        results={X: of_tau, z: straight, loss: log(1 + (K - 1) * exp(-z)), clock: odds},
        steps=(
            Step("two outputs: the velocity of the margin", alone(2), velocity.subs(K, 2)),
            Step("three outputs", alone(3), velocity.subs(K, 3)),
            Step("two outputs, pure: k sigma(-z)", two, 2 * eta_W * c / (1 + exp(z))),
            Step(
                "z + e^z/(K - 1) grows evenly",
                (1 + exp(z) / (K - 1)) * velocity.subs(purity, 1),
                eta_W * c * K / (K - 1),
            ),
            Step("X does too, from the same value", of_tau.diff(tau), eta_W * c * K / (K - 1)),
            Step("z + e^z/(K - 1) is X", straight + exp(straight) / (K - 1), X),
            Step("the clock runs evenly", odds.diff(z) * velocity.subs(K, 2), 2 * eta_W * c),
        ),
        limits="exact for a word that is alone; in longer sentences words share the margin, see topic-keys-fixed",
    )


# -- saturation -------------------------------------------------------------------------------------------------------


@cache
def saturation() -> Theorem:
    """Copying at late times."""
    u_, a_, flow = theorems.u, theorems.a, theorems.drift()
    at, other = scalars("x_t x_in")
    share = exp(a_) / (exp(a_) + L - 1)
    total = exp(at) + (L - 1) * exp(other) + V - L
    p_t, p_in = exp(at) / total, exp(other) / total
    here = {at: share * u_, other: (1 - share) / (L - 1) * u_}
    rates = theorems.RATES
    curve = eta_A * V / (2 * eta_W)
    beyond = 2 * (L - 1) * eta_W / (eta_A * (V - 1))
    h = Symbol("h", positive=True)
    missed = log(((L - 1) * exp(other) + V - L) / (V - 1)) - at
    lowered = missed.subs({at: (1 - h) * u, other: h * u / (L - 1)}).diff(h).subs(h, 0)
    ratio = rates[theorems.k_A] * alpha * (1 - p_t + p_in) / (rates[theorems.k_W] * alpha * (1 - p_t))
    return Theorem(
        name="copying-saturation",
        title="Copying at late times",
        hypotheses=("the symmetric reduction of copying", "the good branch, late: u and a are large"),
        statement=(
            "The loss never stops: u grows like log(tau), with slope 1 whatever the sizes, and the loss falls like "
            "(V - 1)/(eta_W tau). Attention saturates more slowly: e^a = (eta_A V/(2 eta_W)) u^2, so that a grows as "
            "twice the logarithm of the logarithm of time and 1 - alpha falls like 1/log(tau)^2. Its slope in "
            "log(tau) is 2/u, which goes to 0. For the topic classifier FC, where the embedding and the score take "
            "the places of u and a, the same laws are topic-convergence."
        ),
        results={
            excess: beyond,
            u: log(eta_W * tau) + excess / log(eta_W * tau),
            a: log(curve * u**2),
            loss: (V - 1) / (eta_W * tau),
        },
        steps=(
            Step(
                "the flow of u, by predictions",
                flow[0],
                (rates[theorems.k_W] * (share * (1 - p_t) - (1 - share) * p_in)).subs(here),
            ),
            Step(
                "the flow of a",
                flow[1],
                (rates[theorems.k_A] * u_ * share * (1 - share) * (1 - p_t + p_in)).subs(here),
            ),
            Step("what is left of the target: the limit", limit(exp(at) * (1 - p_t).subs(other, 0), at, oo), V - 1),
            Step("what another word has: the limit", limit(exp(at) * p_in.subs(other, 0), at, oo), S.One),
            Step("alpha = 1: e^u grows evenly", exp(u) * rates[theorems.k_W] * (V - 1) * exp(-u), eta_W),
            Step(
                "da/du per u (1 - alpha): the limit",
                limit(ratio.subs(other, 0), at, oo),
                simplify(rates[theorems.k_A] / rates[theorems.k_W] * V / (V - 1)),
            ),
            Step("e^a (1 - alpha): the limit", limit((exp(a_) * (1 - share)).subs(a_, log(x)), x, oo), L - 1),
            Step(
                "so d(e^a)/du is u times the product of both",
                (curve * u**2).diff(u),
                rates[theorems.k_A] / rates[theorems.k_W] * V / (V - 1) * (L - 1) * u,
            ),
            Step("log((1 - p_t) e^(alpha u)), by h = 1 - alpha", lowered, u * V / (V - 1)),
            Step(
                "times h = (L - 1) exp(-a): the excess of u",
                lowered * (L - 1) / (curve * u**2),
                beyond / u,
            ),
        ),
        limits=(
            "u is off by the order of 1/log(tau)^2, a by that of log(u)/u^2, the loss by the factor 1 + O(1/log(tau)); "
            "on the mirror branch the loss stops where words that are not in the input cannot be told from the target"
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


@cache
def separation() -> Theorem:
    """When attention may wait for the values."""
    here = {alpha: SHARE, y: ADVANTAGE.subs(alpha, SHARE)}
    at_margin = {x: u * ADVANTAGE.subs(alpha, SHARE)}
    found = [lexicon(size) for size in (2, 3)]
    expected = [
        tuple(e.subs(here).subs(at_margin).subs(V, size) for e in (FLOW_U, FLOW_A, log(1 + (V - 1) * exp(-x))))
        for size in (2, 3)
    ]
    early = Symbol("s_1", positive=True) * (x / x_1) ** 2
    absent = Symbol("absent", positive=True)  # V - 1, so that sympy knows that it is not 0
    weight = 2 * integrate(expand((x**2 / LEFT).subs(V, absent + 1)), (x, 0, x_1)).subs(absent, V - 1) / x_1**2
    grown = Symbol("grown", positive=True)  # exp(r - rho): r is the time in units of the growth time
    joint = (grown * exp(rho) + exp(-rho) / grown) / 2 - 1
    waited = (grown + 1 / grown) / 2 - 1 + rho * (grown - 1 / grown) / 2
    slope_0 = INTEGRAL.diff(a).subs(a, 0)
    return Theorem(
        name="two-stages-separation",
        title="The two stages: how far attention may lag behind the values",
        hypotheses=(
            "the closure of both stages on a toy lexicon: the target is one of the L distinct words of an input, the "
            "others are alike any of the V - 1 other words; V > L",
            "W = u delta and A = a delta, up to constants, from u = a = 0; the flow keeps this form",
            "two-stage: a is held at 0 until tau_1, where u is u_1 and the margin of the target is x_1",
        ),
        statement=(
            "Values and attention pay into one account: eta_A u^2/(2 eta_W) - Phi(a) is constant while both flow, so "
            "that a is a function of u. In the two-stage flow u^2 is ahead by u_1^2 at the same a. By tau_1 attention "
            "would have grown by rho^2 phi/2, where rho = u_1 sqrt(eta_A/eta_W)/phi is the ratio of both time "
            "scales, that of stage one to the growth time of attention. The two-stage flow reaches a margin x > x_1 "
            "later than the joint one by the share delay, of the order of rho^2: it is good where rho is small, "
            "eta_A below eta_W phi^2/u_1^2. If rho is not small it is late by the share late of tau_1, which goes to "
            "all of tau_1: stage one was wasted. With values frozen at tau_1 the margin stays below u_1: the loss has "
            "a floor, and what has not been learnt is never learnt."
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
            tau: Psi * (V - 1) ** 3 / (eta_W * (V / L - 1) ** 2),
            late: 1 - log(1 + rho) / rho,
            slow: rho**2 * (Q_1 + Psi - Psi_1) / Psi,
            floor: log(1 + (V - 1) * exp(-u_1)),
        },
        steps=(
            *(
                Step(f"{size} words: {what}", found[n][m], expected[n][m])
                for n, size in enumerate((2, 3))
                for m, what in enumerate(("the flow of u", "the flow of a", "the loss at the margin u y"))
            ),
            Step(
                "the account: dPhi/dtau is that of eta_A u^2/(2 eta_W)",
                INTEGRAL.diff(a) * FLOW_A.subs(alpha, SHARE),
                (eta_A / eta_W * u * FLOW_U).subs(here),
            ),
            Step("dPhi/da is y over dy/da", INTEGRAL.diff(a) * ADVANTAGE.subs(alpha, SHARE).diff(a), here[y]),
            Step("at the start", slope_0, L * (V - L) / (V * (L - 1))),
            Step(
                "linear in a: a/phi = cosh(r) - 1 over cosh(r - rho) - 1 + rho sinh(r - rho), in the end",
                limit(joint / waited, grown, oo),
                exp(rho) / (1 + rho),
            ),
            Step("delayed by late, they are the same", (1 + rho) * exp(rho * (1 - log(1 + rho) / rho) - rho), S.One),
            Step("no attention: the time to a margin is in proportion to Psi", STRETCH.diff(x), 1 / LEFT),
            Step(
                "first order in a gain s of y, over u and over where it ends, x = u y: by parts",
                (1 - (1 - LEFT) * x) / LEFT,
                2 / LEFT - (x / LEFT).diff(x),
            ),
            Step(
                "s = s_1 (x/x_1)^2 until x_1: what is integrated over Psi, 2 s + x ds/dx",
                2 * early + x * early.diff(x),
                4 * early,
            ),
        ),
        limits=(
            "what the closure is to the exact flow; the delay is of first order in rho^2 (the account gives the times "
            "exactly, by quadrature); late is that of the flow linear in a, exact where V - L is small and growth is "
            "long, and 15 % too low in between for V = 60, L = 8"
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
