# ruff: noqa: F403, F405
"""The joint closure with factors: values W = E U^T, attention A = K Q^T; on counts C and q (arXiv 2103.07601)."""

from dynamics.program_file import *

V, O, D, R = sizes("V O D R")
i, o, v, d, r = indices("i o v d r")
C, q, E, U, K, Q, W, A, M, a, z, lse = tensors("C q E U K Q W A M a z lse")

program = model(
    "Joint closure, factorised values and attention",
    extents={i: V, o: O, v: O, d: D, r: R},
    data=[C[i, o], q[o]],
    states=[E[i, d], U[v, d], K[i, r], Q[o, r]],
    definitions=[
        Definition(W[i, v], SumOver(E[i, d] * U[v, d], d), "values"),
        Definition(A[i, o], SumOver(K[i, r] * Q[o, r], r), "attention logits"),
        Definition(M[o], LogSumExp(A[i, o], i, weight=C[i, o] / q[o]), "normalisation of attention"),
        Definition(a[i, o], C[i, o] / q[o] * exp(A[i, o] - M[o]), "attention"),
        Definition(z[o, v], SumOver(a[i, o] * W[i, v], i), "logits"),
        Definition(lse[o], LogSumExp(z[o, v], v), "normalisation of the prediction"),
    ],
    loss=SumOver(q[o] * (lse[o] - z[o, o]), o),
)
