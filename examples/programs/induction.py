# ruff: noqa: F403, F405
"""An induction head: two causal layers, places, then what stood before (arXiv 2306.00802, 2402.14735, minimal)."""

from dynamics.program_file import *

N, T, V = sizes("N T V")
n, l, p, q, i, j, o = indices("n l p q i j o")
x, y = tensors("x y", integer=True)
P, A, W, a1, score, a2, z = tensors("P A W a1 score a2 z")

program = model(
    "Induction head: two layers of causal attention",
    extents={n: N, l: T, p: T, q: T, i: V, j: V, o: V},
    data=[x[n, l], y[n, q]],
    states=[P[p, l], A[i, j], W[i, o]],
    definitions=[
        Definition(a1[p, l], Softmax(P[p, l], l, mask=l <= p), "attention to places"),
        Definition(score[n, q, p], SumOver(a1[p, l] * A[x[n, l], x[n, q]], l), "what preceded p beside the word at q"),
        Definition(a2[n, q, p], Softmax(score[n, q, p], p, mask=p <= q), "attention to what followed"),
        Definition(z[n, q, o], SumOver(a2[n, q, p] * W[x[n, p], o], p), "logits"),
    ],
    loss=SumOver((LogSumExp(z[n, q, o], o) - z[n, q, y[n, q]]) / (N * T), n, q),
    examples=n,
)
