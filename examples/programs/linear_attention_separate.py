# ruff: noqa: F403, F405
"""Linear attention, separate key and query of rank R, H heads, on regression in context (arXiv 2501.16265)."""

from dynamics.program_file import *

P, N, D, R, H = sizes("P N D R H")  # sequences, context length, dimension, rank, heads
n, l, d, r, h = indices("n l d r h")
x, y, xq, yq, Kw, Qw, v, corr, key, query, head, z = tensors("x y xq yq Kw Qw v corr key query head z")

program = model(
    "Linear attention with separate low-rank key and query",
    extents={n: P, l: N, d: D, r: R, h: H},
    data=[x[n, l, d], y[n, l], xq[n, d], yq[n]],
    states=[v[h], Kw[h, r, d], Qw[h, r, d]],
    definitions=[
        Definition(corr[n, d], SumOver(y[n, l] * x[n, l, d] / N, l), "in-context correlation"),
        Definition(key[n, h, r], SumOver(Kw[h, r, d] * corr[n, d], d), "key"),
        Definition(query[n, h, r], SumOver(Qw[h, r, d] * xq[n, d], d), "query"),
        Definition(head[n, h], SumOver(key[n, h, r] * query[n, h, r], r), "output of a head"),
        Definition(z[n], SumOver(v[h] * head[n, h], h), "prediction"),
    ],
    loss=SumOver((yq[n] - z[n]) ** 2 / P, n),
    examples=n,
)
