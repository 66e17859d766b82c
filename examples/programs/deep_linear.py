# ruff: noqa: F403, F405
"""A deep linear network of three layers on correlations of data (Saxe, McClelland, Ganguli, arXiv 1312.6120)."""

from dynamics.program_file import *

K, I, A, B = sizes("K I A B")
k, i, j, a, b = indices("k i j a b")
Sxx, Syx, W1, W2, W3, P, Z, PS = tensors("Sxx Syx W1 W2 W3 P Z PS")

program = model(
    "Deep linear network of three layers",
    extents={k: K, i: I, j: I, a: A, b: B},
    data=[Sxx[i, j], Syx[k, i]],
    states=[W1[a, i], W2[b, a], W3[k, b]],
    definitions=[
        Definition(P[b, i], SumOver(W2[b, a] * W1[a, i], a), "first two layers"),
        Definition(Z[k, i], SumOver(W3[k, b] * P[b, i], b), "end-to-end map"),
        Definition(PS[k, i], SumOver(Z[k, j] * Sxx[j, i], j), "map on inputs"),
    ],
    loss=SumOver(PS[k, i] * Z[k, i] / 2 - Syx[k, i] * Z[k, i], k, i),
)
