# ruff: noqa: F403, F405
"""Scan and Snap (Tian et al., arXiv 2305.16380) on bags of context words: attention, then normalised to length one."""

from dynamics.program_file import *

N, M, K, O = sizes("N M K O")  # contexts, words in them, last words, all tokens
n, i, k, o = indices("n i k o")
last, y = tensors("last y", integer=True)
B, share, Y, Z, c, f, logit = tensors("B share Y Z c f logit")

program = model(
    "Scan and Snap, bags of context words",
    extents={n: N, i: M, k: K, o: O},
    data=[B[n, i], share[n], last[n], y[n]],
    states=[Y[i, o], Z[k, i]],
    definitions=[
        Definition(c[n, i], Softmax(Z[last[n], i], i, weight=B[n, i]), "attention to words"),
        Definition(f[n, i], c[n, i] / sqrt(SumOver(c[n, i] ** 2, i)), "normalised"),
        Definition(logit[n, o], SumOver(f[n, i] * Y[i, o], i), "logits"),
    ],
    loss=SumOver(share[n] * (LogSumExp(logit[n, o], o) - logit[n, y[n]]), n) / N,
    examples=n,
)
