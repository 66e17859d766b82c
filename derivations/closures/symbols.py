"""What the closures share: their symbols, and the knowledge to translate individual words."""

from __future__ import annotations

from sympy import Symbol, exp

from derivations.program.language import LogSumExp, indices, scalars, tensors
from derivations.program.program import Definition

__all__ = ["DIMENSIONS", "ktiw"]

V, K, J = (Symbol(size, integer=True, positive=True) for size in "VKJ")
i, o, v, e, j = indices("i o v e j")
C, c, G, R, q, W, A = tensors("C c G R q W A")
Rtilde, Z, P, p, beta, Wdot = tensors("Rtilde Z P p beta Wdot")
M, N, X, Y, D, Omega = tensors("M N X Y D Omega")
DIMENSIONS = {i: "input", o: "output", v: "output"}
B, w, attended = tensors("B w attended")
word, count, y = tensors("word count y", integer=True)
loss, L, eta_W, S0, gain = scalars("loss L eta_W loss_0 gain")


def ktiw(index: Symbol, output: Symbol) -> tuple[Definition, Definition]:
    """KTIW, the knowledge to translate individual words: beta[i, o] = softmax_o W[i, o]."""
    return (
        Definition(Omega[index], LogSumExp(W[index, output], output), "normalisation of KTIW"),
        Definition(beta[index, output], exp(W[index, output] - Omega[index]), "KTIW: the output given word i alone"),
    )
