"""Closures: flows that need the co-occurrence matrix instead of the data.

Both stages (joint): words of a sentence are replaced by their conditional distribution given the target. Stage one
(linear, marginal, Gram): attention is uniform, and the average over sentences is closed in different ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sympy import Expr, Integer, Symbol, exp, log

from derivations.gradient_flow.adjoints import gradient_flow
from derivations.models.attention import kept
from derivations.program.glossary import GLOSSARY
from derivations.program.language import Definition, LogSumExp, Program, SumOver, indices, scalars, tensors
from derivations.program.role import Role

__all__ = ["both_stages", "both_stages_sparse", "gram", "linear", "linear_bias", "marginal"]

SNELL = "Snell, Zhong, Klein, Steinhardt, Approximating How Single Head Attention Learns, arXiv 2103.07601"
V, K = (Symbol(size, integer=True, positive=True) for size in "VK")
i, o, v, e, j = indices("i o v e j")
C, c, G, R, q, W, A = tensors("C c G R q W A")
Rtilde, Z, P, p, beta, Wdot = tensors("Rtilde Z P p beta Wdot")
M, N, X, Y, D, Omega = tensors("M N X Y D Omega")
DIMENSIONS = {i: "input", o: "output", v: "output"}
word, count = tensors("word count", integer=True)
loss, L, eta_W, S0, gain = scalars("loss L eta_W loss_0 gain")


def ktiw(index: Symbol, output: Symbol) -> tuple[Definition, Definition]:
    """KTIW, the knowledge to translate individual words: beta[i, o] = softmax_o W[i, o]."""
    return (
        Definition(Omega[index], LogSumExp(W[index, output], output), "normalisation of KTIW"),
        Definition(beta[index, output], exp(W[index, output] - Omega[index]), "KTIW: the output given word i alone"),
    )


def conditional(at: tuple[Symbol, Symbol], member: Symbol, input_word: Expr, **layout: object) -> Program:
    """The loss of section 'both stages' once, for either storage of R and A.

    ``at`` are the subscripts of R and A, ``member`` the one that runs over the words given the target,
    ``input_word`` the word that it stands for.
    """
    definitions = (
        Definition(M[o], LogSumExp(A[at], member, weight=R[at]), "normalisation of attention given target o"),
        Definition(Rtilde[at], R[at] * exp(A[at] - M[o]), "attention-reweighted words given target o"),
        Definition(Z[o, v], SumOver(Rtilde[at] * W[input_word, v], member), "logits given target o"),
        Definition(N[o], LogSumExp(Z[o, v], v), "normalisation of the prediction"),
        Definition(P[o, v], exp(Z[o, v] - N[o]), "predicted distribution given target o"),
        Definition(loss, SumOver(q[o] * (N[o] - Z[o, o]), o), "mean cross-entropy"),
        *ktiw(i, v),
    )
    return Program(
        title="Both stages from the co-occurrence matrix"
        + ("" if member == input_word else ", on the pairs that occur"),
        source=f"{SNELL}; closure by the words' conditional distribution given the target",
        states=(W[i, v], A[at]),
        definitions=definitions,
        loss=loss,
        assumptions=(
            "the words of a sentence are replaced by their distribution R[i,o] = C[i,o]/q[o] given the target o",
            "attention to a word depends on the word and on the target (lexical attention)",
        ),
        reduction=(
            "in the model lexical an example enters through sums over its words, `sum_l f(x[n,l])`, and a softmax over "
            "them",
            "given the target o, each sum over the L words of an example becomes L times its mean, "
            "`sum_i R[i,o] f(i)`; L drops out of the softmax",
            "examples with the same target are now alike: the mean over examples is a sum over targets, with the "
            "weights `q[o]`, and `z[n,t,o]` becomes `Z[o,v]`",
        ),
        meanings=GLOSSARY,
        roles={"W": Role.VALUES, "A": Role.ATTENTION, "Rtilde": Role.WEIGHTS, "beta": Role.KTIW, "Z": Role.LOGITS},
        dimensions=DIMENSIONS,
        units={"W": "logits", "A": "logits", "beta": "1", "loss": "nats"},
        conserved=(
            kept(W[i, v], v, "sum of the values of a word"),
            kept(A[at], member, "sum of the attention logits of a target"),
        ),
        **layout,  # type: ignore[arg-type]
    )


@cache
def both_stages() -> Program:
    """Gradient flow of W and A from R = C/q and q; dense storage."""
    return gradient_flow(conditional((i, o), i, i, name="joint", extents={i: V, o: K, v: K}, data=(R[i, o], q[o])))


@cache
def both_stages_sparse() -> Program:
    """The same flow with R and A on the non-zero counts only: entry e of column o is input word ``word[o, e]``."""
    return gradient_flow(
        conditional(
            (o, e),
            e,
            word[o, e],
            name="joint-sparse",
            extents={i: V, o: K, e: count[o], v: K},
            data=(count[o], word[o, e], R[o, e], q[o]),
        )
    )


@cache
def linear() -> Program:
    """Stage one at early times, without bias: gradient flow of the loss expanded to first order at W = 0."""
    return linearised("linear", "1/K", Integer(1) / K, log(K), ())


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
        title=f"Stage one, linear closure: every prediction stays at {answer}",
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


@cache
def marginal() -> Program:
    """Stage one when the other words of a sentence are replaced by their mean; needs the mean length L."""
    return closed(
        "marginal",
        "Stage one, marginal closure: the other words of a sentence are average words",
        (
            Definition(Y[o], SumOver(c[i] * W[i, o], i), "logits of the average word"),
            Definition(X[i, o], W[i, o] / L + (1 - 1 / L) * Y[o], "logits of a sentence that holds word i"),
        ),
        "the mean logits: one word in L is word i, the others are drawn from all words, with `c`",
        parameters=(L,),
    )


@cache
def gram() -> Program:
    """Stage one when the other words of a sentence are their mean given word i; G = E[B B^T], B bags of words."""
    return closed(
        "gram",
        "Stage one, Gram closure: the other words of a sentence are those that usually accompany word i",
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
    title: str,
    context: tuple[Definition, ...],
    reduction: str,
    data: tuple[Expr, ...] = (),
    extents: Mapping[Symbol, Expr] | None = None,
    parameters: tuple[Symbol, ...] = (),
) -> Program:
    """A stage-one closure: dW = eta_W (C - c p), p[i, o] the softmax of the logits X[i, o] that the context defines."""
    return Program(
        name=name,
        title=title,
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
