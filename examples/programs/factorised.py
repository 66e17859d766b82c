# ruff: noqa: F403, F405
"""The joint closure with factors: values W = E U^T, attention A = K Q^T; on counts C and q (arXiv 2103.07601)."""

from dynamics.program_file import *

V, O, D, R = sizes("V O D R")
i, o, v, d, r = indices("i o v d r")
C, q, E, U, K, Q, W, A, a, z = tensors("C q E U K Q W A a z")

program = model(
    "Joint closure, factorised values and attention",
    extents={i: V, o: O, v: O, d: D, r: R},
    data=[C[i, o], q[o]],
    states=[E[i, d], U[v, d], K[i, r], Q[o, r]],
    definitions=[
        Definition(W[i, v], SumOver(E[i, d] * U[v, d], d), "values"),
        Definition(A[i, o], SumOver(K[i, r] * Q[o, r], r), "attention logits"),
        Definition(a[i, o], Softmax(A[i, o], i, weight=C[i, o] / q[o]), "attention"),
        Definition(z[o, v], SumOver(a[i, o] * W[i, v], i), "logits"),
    ],
    loss=SumOver(q[o] * (LogSumExp(z[o, v], v) - z[o, o]), o),
)
