"""What the exact models share: their symbols, the loss, and what a softmax keeps.

Every model is a mean cross-entropy over examples n of input words x[n, l], of any length; with several targets y[n, t]
per example, the mean is over all targets.
"""

from __future__ import annotations

from sympy import Expr, Rational, Symbol

from derivations.program.access import Access, subscript
from derivations.program.language import LogSumExp, SumOver, indices, scalars, tensors
from derivations.program.program import Definition

__all__ = ["DIMENSIONS", "LU", "SMALL", "SNELL", "TINY", "affine", "cross_entropy", "kept"]

SNELL = "Snell, Zhong, Klein, Steinhardt, Approximating How Single Head Attention Learns, arXiv 2103.07601"
LU = "Lu, Mao, Nayak, On the Dynamics of Training Attention Models, arXiv 2011.10036"

N, V, K, H, D, J, E, L, T = (Symbol(size, integer=True, positive=True) for size in "NVKHDJELT")
n, t, h, l, i, o, k, d, j, e, m, p = indices("n t h l i o k d j e m p")
x, y, length, targets = tensors("x y length targets", integer=True)
s, W, A, P, b, alpha, z, context = tensors("s W A P b alpha z context")
M, Q = tensors("M Q")
v, key, query, score, mean, U, F, G, f, g, preactivation, hidden = tensors("v key query a r U F G f g u hidden")
loss, count = scalars("loss count")

DIMENSIONS = {
    i: "input", k: "output", o: "output", h: "head", d: "dimension", e: "key_dimension", j: "hidden", m: "target",
    p: "position",
}  # fmt: skip
"""What results call the axes of states."""
SMALL = Rational(1, 100)
"""Of states that rest at a saddle where they are zero: the papers' initial size."""
TINY = Rational(1, 1000)


def kept(state: Access, over: Symbol, what: str) -> Definition:
    """The sum of a state over one of its indices, which a softmax does not feel and its flow keeps."""
    (total,) = tensors(f"sum_{state.base}")
    rest = tuple(index for index in subscript(state) if index != over)
    lhs = total[rest] if rest else Symbol(f"sum_{state.base}", real=True)
    return Definition(lhs, SumOver(state, over), what)


def cross_entropy(at: tuple[Symbol, ...], output: Symbol, answer: Expr, number: Expr) -> tuple[Definition, ...]:
    """The loss of logits z: the negative log probability of the answer, averaged over a number of answers."""
    return (
        Definition(Q[at], LogSumExp(z[(*at, output)], output), "normalisation of the prediction"),
        Definition(loss, SumOver((Q[at] - z[(*at, answer)]) / number, *at), "mean cross-entropy"),
    )


def affine(linear: Expr, value: Expr, offset: Expr) -> tuple[Definition, ...]:
    """Logits with a bias: the linear part, and the sum."""
    return (
        Definition(linear, value, "logits before the bias"),
        Definition(z[n, k], linear + offset, "logits"),
    )
