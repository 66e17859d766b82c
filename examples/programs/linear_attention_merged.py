# ruff: noqa: F403, F405
"""Linear attention, merged key and query, H heads, on linear regression in context (Zhang et al., arXiv 2501.16265)."""

from dynamics.program_file import *

P, N, D, H = sizes("P N D H")  # sequences, context length, dimension, heads
n, l, d, e, h = indices("n l d e h")
x, y, xq, yq, U, v, corr, score, head, z = tensors("x y xq yq U v corr score head z")

program = model(
    "Linear attention with merged key and query",
    extents={n: P, l: N, d: D, e: D, h: H},
    data=[x[n, l, d], y[n, l], xq[n, d], yq[n]],
    states=[v[h], U[h, d, e]],
    definitions=[
        Definition(corr[n, d], SumOver(y[n, l] * x[n, l, d] / N, l), "in-context correlation"),
        Definition(score[n, h, e], SumOver(corr[n, d] * U[h, d, e], d), "keys"),
        Definition(head[n, h], SumOver(score[n, h, e] * xq[n, e], e), "output of a head"),
        Definition(z[n], SumOver(v[h] * head[n, h], h), "prediction"),
    ],
    loss=SumOver((yq[n] - z[n]) ** 2 / P, n),
    examples=n,
)
