# ruff: noqa: F403, F405
"""Attention with one query selects tokens by their margin (Tarzanagh et al., arXiv 2306.13596)."""

from dynamics.program_file import *

N, T, D = sizes("N T D")
n, t, d = indices("n t d")
X, Y, p, v, score, value, f = tensors("X Y p v score value f")

program = model(
    "Max-margin token selection",
    extents={n: N, t: T, d: D},
    data=[X[n, t, d], Y[n]],
    states=[p[d], v[d]],
    definitions=[
        Definition(score[n, t], SumOver(X[n, t, d] * p[d], d), "attention logits"),
        Definition(value[n, t], SumOver(X[n, t, d] * v[d], d), "value of a token"),
        Definition(f[n], SumOver(Softmax(score[n, t], t) * value[n, t], t), "prediction"),
    ],
    loss=SumOver(softplus(-Y[n] * f[n]) / N, n),
    examples=n,
)
