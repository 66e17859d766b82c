# ruff: noqa: F403, F405
"""Linear attention with a tied embedding: dynamics simulate --program linear_attention.py --set D=12 --init 0.2."""

from dynamics.program_file import *

N, V, D, L, T = sizes("N V D L T")
n, t, l, i, o, d, m, p = indices("n t l i o d m p")
x, y, length, targets = tensors("x y length targets", integer=True)
E, A, context, z, Q = tensors("E A context z Q")
(count,) = scalars("count")

program = model(
    "Linear attention with a tied embedding",
    extents={n: N, t: targets[n], l: length[n], i: V, o: V, d: D, m: T, p: L},
    data=[length[n], x[n, l], targets[n], y[n, t]],
    states=[E[i, d], A[m, p]],
    definitions=[
        Definition(count, SumOver(targets[n], n), "number of targets"),
        Definition(context[n, t, d], SumOver(A[t, l] * E[x[n, l], d], l), "what is attended to"),
        Definition(z[n, t, o], SumOver(context[n, t, d] * E[o, d], d), "logits"),
        Definition(Q[n, t], LogSumExp(z[n, t, o], o), "normalisation of the prediction"),
    ],
    loss=SumOver((Q[n, t] - z[n, t, y[n, t]]) / count, n, t),
    examples=n,
)
