# ruff: noqa: F403, F405
"""A linear network of two layers: dynamics solve --program two_layers.py --data normal --set N=50,D=6,R=4,K=3."""

from dynamics.program_file import *

N, D, R, K = sizes("N D R K")
n, i, r, k = indices("n i r k")
x, y, U, W, h, z = tensors("x y U W h z")

program = model(
    "Linear network of two layers",
    extents={n: N, i: D, r: R, k: K},
    data=[x[n, i], y[n, k]],
    states=[U[i, r], W[r, k]],
    definitions=[
        Definition(h[n, r], SumOver(x[n, i] * U[i, r], i), "hidden layer"),
        Definition(z[n, k], SumOver(h[n, r] * W[r, k], r), "prediction"),
    ],
    loss=SumOver((z[n, k] - y[n, k]) ** 2 / (2 * N), n, k),
)
