"""Copying at late times: the loss never stops falling, and attention saturates more slowly than the values."""

from __future__ import annotations

from sympy import Matrix, S, Symbol, exp, limit, log, oo

from derivations.program.language import scalars
from derivations.reductions.copying import eta_A, eta_W
from derivations.reductions.orbits import SIZES, L, V
from derivations.registry import theorem
from derivations.theorems import copying
from derivations.theorems.exponentials import with_exponentials
from derivations.theorems.theorem import Step, Theorem

__all__ = ["saturation"]

u, a, loss, excess = scalars("u a loss excess")
tau, alpha, x = scalars("tau alpha x", positive=True)


@theorem("copying-saturation", "Copying at late times", about=("copying", "positional"))
def saturation() -> Theorem:
    """Copying at late times."""
    u_, a_, flow = copying.u, copying.a, copying.drift()
    at, other = scalars("x_t x_in")
    total = exp(at) + (L - 1) * exp(other) + V - L
    p_t, p_in = exp(at) / total, exp(other) / total
    share = exp(a_) / (exp(a_) + L - 1)
    rates = copying.RATES
    k_W, k_A = rates[copying.k_W], rates[copying.k_A]
    # The flow by attention and predictions: e^(alpha u) and e^((1 - alpha) u/(L - 1)) are these over what a word has
    # that is not in the input.
    t_, in_ = scalars("p_t p_in", positive=True)
    absent = (1 - t_ - (L - 1) * in_) / (V - L)
    by_predictions = [
        with_exponentials(f.subs(a_, copying.LOGIT), u_, {alpha: t_ / absent, (1 - alpha) / (L - 1): in_ / absent})
        for f in flow
    ]
    curve = eta_A * V / (2 * eta_W)
    beyond = 2 * (L - 1) * eta_W / (eta_A * (V - 1))
    h = Symbol("h", positive=True)
    missed = log(((L - 1) * exp(other) + V - L) / (V - 1)) - at
    lowered = missed.subs({at: (1 - h) * u, other: h * u / (L - 1)}).diff(h).subs(h, 0)
    ratio = k_A * alpha * (1 - p_t + p_in) / (k_W * alpha * (1 - p_t))
    return Theorem(
        domain=SIZES,
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
