"""The two stages on a toy lexicon: what it costs that attention waits for the values.

The theorem is derived by sympy from the closure of both stages, written out on the few words that it needs, and
evaluated on numbers in :mod:`dynamics.problems.closed_forms`.
"""

from __future__ import annotations

from sympy import Expr, Integer, Rational, S, Symbol, cosh, exp, expand, integrate, limit, log, oo, simplify, sinh, sqrt

from derivations.closures import both_stages
from derivations.program.language import scalars
from derivations.reductions.copying import eta_A, eta_W
from derivations.reductions.orbits import SIZES, L, V
from derivations.registry import theorem
from derivations.theorems import copying
from derivations.theorems.exponentials import with_exponentials
from derivations.theorems.few_words import entry, sized, written_out
from derivations.theorems.theorem import Step, Theorem

__all__ = ["separation"]

u, a, u_1, floor, slow, late, Phi = scalars("u a u_1 floor delay late Phi")
tau, alpha, y, rho, phi, x, x_1, Psi, Psi_1, Q_1, r = scalars(
    "tau alpha y rho phi x x_1 Psi Psi_1 Q_1 r", positive=True
)


def lexicon(size: int) -> tuple[Expr, Expr, Expr]:
    """(du/dtau, da/dtau, loss) of the closure of both stages on a toy lexicon of so many words."""
    flow = both_stages()
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
    found = [f.subs(a, copying.LOGIT) for f in lexicon(size)]
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


@theorem("two-stages-separation", "The two stages: how far attention may lag behind the values", about=("joint",))
def separation() -> Theorem:
    """When attention may wait for the values."""
    steps = [step for size in (2, 3) for step in of_lexicon(size)]
    by_share = {a: copying.LOGIT}
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
        domain=SIZES,
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
