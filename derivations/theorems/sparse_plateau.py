"""The plateau of a function without signal, such as parity: the flow of a head with a hidden layer, near its saddle."""

from __future__ import annotations

from functools import cache

from sympy import Expr, Integer, S, Symbol, diff, log, simplify

from derivations.models import topic_classifier
from derivations.program.language import scalars
from derivations.registry import theorem
from derivations.theorems.few_words import entry, written_out
from derivations.theorems.theorem import Step, Theorem

__all__ = ["plateau"]

EDELMAN = "Edelman, Goel, Kakade, Zhang, Inductive Biases and Variable Creation in Self-Attention, arXiv 2110.10090"

kappa, v_1, v_2, F, f, G_1, G_2, g = scalars("kappa v_1 v_2 F f G_1 G_2 g")
sigma, rate, tau, size, eta_v, eta_G, eta_f, eta_F, eta_s, eta_g = scalars(
    "sigma lambda tau epsilon eta_v eta_G eta_f eta_F eta_s eta_g", positive=True
)
RATES = (eta_v, eta_G, eta_f, eta_F, eta_s, eta_g)


@cache
def flow_at_the_saddle() -> dict[str, Expr]:
    """The flow of two sentences of two words each, one hidden unit that is on, two labels; v, G and f of size epsilon.

    Sentences hold the words 0 and 1, or 1 twice, with the labels 0 and 1.
    """
    flow = topic_classifier("TL")
    sizes = {"N": 2, "V": 2, "K": 2, "D": 1, "J": 1}
    given: dict[Expr, Expr] = {
        Symbol(name, integer=True, positive=True): Integer(value) for name, value in sizes.items()
    }
    given |= {Symbol(eta.name, real=True): eta for eta in RATES}
    given |= {entry("length", n): Integer(2) for n in range(2)}
    given |= {entry("x", 0, 0): S.Zero, entry("x", 0, 1): S.One, entry("x", 1, 0): S.One, entry("x", 1, 1): S.One}
    given |= {entry("y", 0): S.Zero, entry("y", 1): S.One, entry("s", 0): S.Zero, entry("s", 1): S.Zero}
    on = {name: Symbol(name, positive=True) for name in ("v_1", "v_2", "F", "f")}  # so that the unit is on
    given |= {entry("v", 0, 0): size * on["v_1"], entry("v", 1, 0): size * on["v_2"], entry("f", 0): size * on["f"]}
    given |= {entry("F", 0, 0): on["F"], entry("G", 0, 0): size * G_1, entry("G", 1, 0): size * G_2}
    given |= {entry("g", 0): S.Zero, entry("g", 1): S.Zero}
    found = written_out(flow.definitions, flow.extents, given)
    back = dict(zip(on.values(), (v_1, v_2, F, f), strict=True))
    names = {"v": (0, 0), "G": (0, 0), "f": (0,), "F": (0, 0), "s": (0,), "g": (0,), "loss": ()}
    return {
        name: (found[Symbol("loss", real=True)] if name == "loss" else found[entry(f"{name}dot", *at)]).subs(back)
        for name, at in names.items()
    }


def order(name: str, power: int) -> Expr:
    """A coefficient in the size of v, G and f."""
    return simplify(diff(flow_at_the_saddle()[name], size, power).subs(size, 0) / (1 if power < 2 else 2))


@theorem("sparse-plateau", "The plateau of a function without signal", about=("topic-TL",))
def plateau() -> Theorem:
    """How long it lasts."""
    grown = G_1 - G_2
    return Theorem(
        hypotheses=(
            "the topic classifier TL: a head with embeddings, and a layer of rectified units with the weights F",
            "embeddings v and readout G are of the size sigma, scores and biases are 0; F is of order one",
            "half of the labels are 1",
        ),
        statement=(
            "Where v = G = 0 nothing moves: it is a saddle, as the origin is for permutations. Near it the logits are "
            "of second order. So v, the readout G and the bias f of the hidden layer move at first order, each by the "
            "others, under attention that is still uniform; F, the scores and the bias g of the readout move at second "
            "order. The units that are on stay on along a ray, so that the flow of (v, G, f) is homogeneous: from "
            "`sigma` times a start it is `sigma` times the flow from that start. If that grows like "
            "`e^(lambda tau)`, the loss falls when `sigma e^(lambda tau)` has come to a size of order one, at the "
            "time `tau` below: to start from a tenth of the size costs `log(10)/lambda`. Unlike that of permutations, "
            "lambda is no eigenvalue: rectified units are linear along rays, not across them, and which units are on "
            "depends on the start."
        ),
        results={tau: (kappa - log(sigma)) / rate},
        steps=(
            Step(
                "take two sentences, of the words 1, 2 and of 2, 2, with the labels 1 and 2, and one unit that is on "
                "for both; multiply v, G and f by `epsilon`; to first order in it, word 1 moves by",
                order("v", 1),
                eta_v * F * grown / 8,
                "dv_1/dtau",
            ),
            Step("the readout of label 1 moves by", order("G", 1), eta_G * F * (v_1 - v_2) / 8, "dG_1/dtau"),
            Step("its bias by nothing, as the labels of its sentences balance", order("f", 1), S.Zero, "df/dtau"),
            Step("to second order, the weights F move by", order("F", 2), eta_F * grown * (v_1 - v_2) / 8, "dF/dtau"),
            Step("to first order by nothing", order("F", 1), S.Zero, "dF/dtau"),
            Step(
                "to second order, the score of word 1 moves by",
                order("s", 2),
                eta_s * F * grown * (v_1 - v_2) / 16,
                "ds_1/dtau",
            ),
            Step("to first order by nothing", order("s", 1), S.Zero, "ds_1/dtau"),
            Step("the bias of the readout moves to first order by nothing", order("g", 1), S.Zero, "dg_1/dtau"),
            Step("and the loss has no term of first order", order("loss", 1), S.Zero, "dloss/depsilon"),
            Step(
                "so a smaller start waits longer",
                diff((kappa - log(sigma)) / rate, sigma),
                -1 / (rate * sigma),
                "dtau/dsigma",
            ),
        ),
        meanings={
            "sigma": "size of the embeddings and of the readout at the start",
            "lambda": "growth rate of (v, G, f) near the saddle, measured or from the start",
            "kappa": "logarithm of the size at which the loss falls, for given data and a start of size one",
        },
        limits=(
            "first order in sigma: the rate is that of the ray that grows fastest once it leads, so that plateaus of "
            "starts that are not small are shorter than foretold (by up to 1.4 times for parity of 2 bits of 20)"
        ),
        source=EDELMAN,
    )
