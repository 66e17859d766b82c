"""Stage one: how fast its linear regime is left, and a word alone, by Lambert's W.

Each theorem is derived by sympy from the flow that it is about, written out on the few words and outputs that it needs.
They are evaluated on numbers in :mod:`dynamics.problems.closed_forms`.
"""

from __future__ import annotations

from sympy import Expr, Integer, LambertW, Matrix, Rational, S, Symbol, diag, exp, factor, log, ones

from derivations.closures import gram, marginal
from derivations.closures import symbols as closures
from derivations.models import keyword_classifier
from derivations.program.language import scalars
from derivations.reductions.copying import eta_W
from derivations.registry import theorem
from derivations.theorems.few_words import behind, entry, matrix, rated, sized, written_out
from derivations.theorems.theorem import Step, Theorem

__all__ = ["one_word", "stage_one_early"]

z, z_0, loss, X = scalars("z z_0 loss X")
W_plain, W_bias, clock = scalars("W W_bias clock")
tau, left, c, K, purity = scalars("tau tau_left c K purity", positive=True)
epsilon, rate = scalars("epsilon lambda", positive=True)


def spread(p0: Matrix) -> Matrix:
    """The derivative of a softmax at its value p0."""
    return diag(*p0) - p0 * p0.T


def early_single() -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The exact flow of one sentence of two words, in symbols; two outputs, the first of which is its label.

    The drift at W = 0 along tau D, its claim, and the same for its first derivative. The bag of words is (b, 1 - b):
    any, which takes scores that are not even, because this sentence has every word once.
    """
    flow, share = keyword_classifier(), Symbol("b", positive=True)
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
    flow, D = gram(), matrix("D", size, outputs)
    given = sized(V=size, K=outputs) | rated() | {Symbol("eta_W", real=True): S.One}
    given |= {entry("W", i, o): tau * D[i, o] for i in range(size) for o in range(outputs)}
    found = written_out(behind(flow, flow.flow["W"]), flow.extents, given)
    drift = Matrix(size, outputs, lambda i, o: found[entry("Wdot", i, o)])
    excess = matrix("C", size, outputs) - Matrix([entry("c", i) for i in range(size)]) * ones(1, outputs) / outputs
    moved = -matrix("G", size, size) * (D * spread(ones(outputs, 1) / outputs)).applyfunc(factor)
    return drift.subs(tau, 0), excess, drift.diff(tau).subs(tau, 0), moved


def early_exact(bias: bool) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The drift of the exact flow at W = 0 and its first derivative along tau D; and what they should be.

    Two kinds of sentences of two words, attention uniform. With a bias, it stands at log q.
    """
    flow = keyword_classifier(bias)
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


@theorem(
    "stage-one-linear",
    "Stage one: the linear regime, and how fast it is left",
    about=("linear", "linear-bias", "gram", "keyword", "keyword-bias"),
)
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


def alone(outputs: int) -> Expr:
    """The velocity of the margin z of a word that is alone in its sentences; its first output has the purity."""
    flow = marginal()
    given = sized(V=1, K=outputs) | {Symbol("eta_W", real=True): eta_W, Symbol("L", real=True): S.One}
    given |= {entry("c", 0): c} | {entry("W", 0, o): z * Integer(o == 0) for o in range(outputs)}
    given |= {entry("C", 0, o): c * (purity if o == 0 else (1 - purity) / (outputs - 1)) for o in range(outputs)}
    found = written_out(behind(flow, flow.flow["W"]), flow.extents, given)
    return found[entry("Wdot", 0, 0)] - found[entry("Wdot", 0, 1)]


@theorem("stage-one-logistic", "Stage one: a word alone, by Lambert's W", about=("marginal", "keyword"))
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
