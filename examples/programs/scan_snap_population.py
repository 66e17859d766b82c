# ruff: noqa: F403, F405
"""Scan and Snap with infinitely long contexts (arXiv 2305.16380): attention to words, then normalised to length one."""

from dynamics.program_file import *

Q, M, K = sizes("Q M K")  # kinds of contexts, words, last words
m, i, k, o = indices("m i k o")
last, y = tensors("last y", integer=True)
P, prior, Y, Z, c, f, logit = tensors("P prior Y Z c f logit")

program = model(
    "Scan and Snap, infinite context",
    extents={m: Q, i: M, k: K, o: Q},
    data=[P[m, i], prior[m], last[m], y[m]],
    states=[Y[i, o], Z[k, i]],
    definitions=[
        Definition(c[m, i], Softmax(Z[last[m], i], i, weight=P[m, i]), "attention to words"),
        Definition(f[m, i], c[m, i] / sqrt(SumOver(c[m, i] ** 2, i)), "normalised"),
        Definition(logit[m, o], SumOver(f[m, i] * Y[i, o], i), "logits"),
    ],
    loss=SumOver(prior[m] * (LogSumExp(logit[m, o], o) - logit[m, y[m]]), m),
)
