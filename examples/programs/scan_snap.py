# ruff: noqa: F403, F405
"""Scan and Snap (Tian et al., arXiv 2305.16380): the next token; the last one is the query; values Y, scores Z."""

from dynamics.program_file import *

N, L, M, K = sizes("N L M K")  # sequences, context, words, last words
n, l, i, k, o = indices("n l i k o")
x, last, y = tensors("x last y", integer=True)
Y, Z, share, logit, weight = tensors("Y Z share logit weight")

program = model(
    "Scan and Snap: one layer, next token",
    extents={n: N, l: L, i: M, k: K, o: M},
    data=[x[n, l], last[n], y[n], weight[n]],
    states=[Y[i, o], Z[k, i]],
    definitions=[
        Definition(share[n, l], Softmax(Z[last[n], x[n, l]], l), "attention"),
        Definition(logit[n, o], SumOver(share[n, l] * Y[x[n, l], o], l), "logits of the next token"),
    ],
    loss=SumOver(weight[n] * (LogSumExp(logit[n, o], o) - logit[n, y[n]]), n),
    examples=n,
)
