"""Stage one (linear, marginal, Gram): attention is uniform, and the average over sentences is closed in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from sympy import Expr, Integer, Symbol, exp, log

from derivations.closures.exactness import OnSentences, SpecialCase
from derivations.closures.symbols import (
    DIMENSIONS,
    S0,
    C,
    D,
    G,
    K,
    L,
    N,
    V,
    W,
    Wdot,
    X,
    Y,
    c,
    eta_W,
    gain,
    i,
    j,
    ktiw,
    loss,
    o,
    p,
    q,
)
from derivations.gradient_flow import gradient_flow
from derivations.models import keyword_classifier
from derivations.models.symbols import SNELL, kept
from derivations.program.glossary import GLOSSARY
from derivations.program.language import LogSumExp, SumOver
from derivations.program.program import Definition, Program
from derivations.program.role import Role
from derivations.registry import closure, title

__all__ = ["gram", "linear", "linear_bias", "marginal"]


@closure(
    "linear",
    "Stage one, linear closure: every prediction stays at 1/K",
    exact_for=OnSentences(keyword_classifier, at_zero=True),
)
@cache
def linear() -> Program:
    """Stage one at early times, without bias: gradient flow of the loss expanded to first order at W = 0."""
    return linearised("linear", "1/K", Integer(1) / K, log(K), ())


@closure(
    "linear-bias",
    "Stage one, linear closure: every prediction stays at q",
    exact_for=OnSentences(partial(keyword_classifier, bias=True), at_zero=True),
)
@cache
def linear_bias() -> Program:
    """Stage one at early times, with the output bias at its optimum log q."""
    return linearised("linear-bias", "q", q[o], None, (q[o],))


def linearised(name: str, answer: str, p0: Expr, entropy: Expr | None, data: tuple[Expr, ...]) -> Program:
    """Gradient flow of loss(0) - sum (C - c p0) W, where p0 is the prediction at W = 0."""
    start = (
        (Definition(S0, entropy, "loss at W = 0"),)
        if entropy is not None
        else (Definition(S0, SumOver(-q[o] * log(q[o]), o), "loss at W = 0: the entropy of the outputs"),)
    )
    program = Program(
        name=name,
        title=title(name),
        source=f"{SNELL}, stage one",
        extents={i: V, o: K},
        data=(C[i, o], c[i], *data),
        states=(W[i, o],),
        definitions=(
            *start,
            Definition(D[i, o], C[i, o] - c[i] * p0, "excess co-occurrence"),
            Definition(gain, SumOver(D[i, o] * W[i, o], i, o), "first-order gain of W"),
            Definition(loss, S0 - gain, "cross-entropy to first order in W"),
            *ktiw(i, o),
        ),
        loss=loss,
        roles={"W": Role.VALUES, "beta": Role.KTIW},
        dimensions=DIMENSIONS,
        units={"W": "logits", "beta": "1", "loss": "nats"},
        conserved=(kept(W[i, o], o, "sum of the values of a word"),),
        assumptions=("attention is uniform", f"W is small: the prediction is still {answer}"),
        reduction=(
            "with uniform attention the logits of an example are those of its bag of words, "
            "`z[n,o] = sum_i B[n,i] W[i,o]`, where `B[n,i]` is the share of word i in it",
            f"to first order in W the loss falls by `sum_io E[B_i ([y = o] - p_0)] W[i,o]`, with the prediction "
            f"`p_0 = {answer.replace('q', 'q[o]')}` at W = 0",
            "`E[B_i [y = o]]` is the co-occurrence `C[i,o]`, and `E[B_i]` is `c[i]`",
        ),
        meanings=GLOSSARY,
    )
    return gradient_flow(program)


def average_company() -> tuple[Definition, ...]:
    """G where every sentence has L words, of which one is word i and the others are drawn from all words."""
    return (
        Definition(G[i, j], (1 - 1 / L) * c[i] * c[j], "Gram matrix of words in average company"),
        Definition(G[i, i], c[i] / L, accumulate=True),
    )


@closure(
    "marginal",
    "Stage one, marginal closure: the other words of a sentence are average words",
    exact_for=SpecialCase("gram", average_company, "the Gram closure of words in average company"),
)
@cache
def marginal() -> Program:
    """Stage one when the other words of a sentence are replaced by their mean; needs the mean length L."""
    return closed(
        "marginal",
        (
            Definition(Y[o], SumOver(c[i] * W[i, o], i), "logits of the average word"),
            Definition(X[i, o], W[i, o] / L + (1 - 1 / L) * Y[o], "logits of a sentence that holds word i"),
        ),
        "the mean logits: one word in L is word i, the others are drawn from all words, with `c`",
        parameters=(L,),
        domain={L: 1 + Symbol("others", positive=True)},
    )


@closure(
    "gram",
    "Stage one, Gram closure: the other words of a sentence are those that usually accompany word i",
    exact_for=OnSentences(keyword_classifier),
)
@cache
def gram() -> Program:
    """Stage one when the other words of a sentence are their mean given word i; G = E[B B^T], B bags of words."""
    return closed(
        "gram",
        (
            Definition(Y[i, o], SumOver(G[i, j] * W[j, o], j), "logits of the words beside word i, times c[i]"),
            Definition(X[i, o], Y[i, o] / c[i], "logits of a sentence that holds word i"),
        ),
        "the mean logits: of all words of those examples, `sum_j E[B_i B_j] W[j,o]/c[i]`, with `G = E[B B^T]`",
        data=(G[i, j],),
        extents={j: V},
    )


def closed(
    name: str,
    context: tuple[Definition, ...],
    reduction: str,
    data: tuple[Expr, ...] = (),
    extents: Mapping[Symbol, Expr] | None = None,
    parameters: tuple[Symbol, ...] = (),
    domain: Mapping[Symbol, Expr] | None = None,
) -> Program:
    """A stage-one closure: dW = eta_W (C - c p), p[i, o] the softmax of the logits X[i, o] that the context defines."""
    return Program(
        name=name,
        title=title(name),
        source=f"{SNELL}, stage one",
        extents={i: V, o: K, **(extents or {})},
        data=(C[i, o], c[i], *data),
        states=(W[i, o],),
        definitions=(
            *context,
            Definition(N[i], LogSumExp(X[i, o], o), "normalisation of the prediction"),
            Definition(p[i, o], exp(X[i, o] - N[i]), "closed prediction on sentences that hold word i"),
            Definition(loss, SumOver(C[i, o] * (N[i] - X[i, o]), i, o), "cross-entropy of the closed prediction"),
            Definition(Wdot[i, o], eta_W * (C[i, o] - c[i] * p[i, o]), "closed drift of stage one"),
            *ktiw(i, o),
        ),
        parameters=(*parameters, eta_W),
        domain=domain or {},
        flow={"W": "Wdot"},
        rates={"W": "eta_W"},
        roles={"W": Role.VALUES, "beta": Role.KTIW, "X": Role.LOGITS, "loss": Role.LOSS},
        dimensions=DIMENSIONS,
        units={"W": "logits", "beta": "1", "loss": "nats"},
        conserved=(kept(W[i, o], o, "sum of the values of a word"),),
        assumptions=(
            "attention is uniform",
            "closes the drift C - c p of the exact flow; not the gradient of a loss of its own",
        ),
        reduction=(
            "with uniform attention the exact flow is `Wdot[i,o] = eta_W (C[i,o] - E[B_i p_o])`, `B_i` the share of "
            "word i in an example and `p_o` the prediction on it",
            "`E[B_i p_o]` is `c[i]` times a mean of `p_o` over examples that hold word i; it is replaced by the "
            "prediction `p[i,o]` at the mean of their logits, `X[i,o]`",
            reduction,
        ),
        meanings=GLOSSARY,
    )
