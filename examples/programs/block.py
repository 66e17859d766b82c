# ruff: noqa: F403, F405
"""A block of a Transformer: layer normalisation, causal heads, a hidden layer with GELU; the embedding is tied."""

from dynamics.program_file import *

N, L, V, D, H, R, J = sizes("N L V D H R J")  # sequences, places, words, stream, heads, rank, hidden units
n, l, p, o, d, e, h, r, j = indices("n l p o d e h r j")
x, y = tensors("x y", integer=True)
E, S, Wq, Wk, Wv, Wo, F, G, a, q, k, v, c, u, z = tensors("E S Wq Wk Wv Wo F G a q k v c u z")
s0, s1, s2, c0, c1, b0, b1 = tensors("s0 s1 s2 c0 c1 b0 b1")  # the stream, centred, normalised
centred = lambda s: s[n, l, d] - SumOver(s[n, l, e], e) / D  # noqa: E731
scaled = lambda c: c[n, l, d] * rsqrt(SumOver(c[n, l, e] ** 2, e) / D + 1e-5)  # noqa: E731
program = model(
    "Transformer block", extents={n: N, l: L, p: L, o: V, d: D, e: D, h: H, r: R, j: J}, data=[x[n, l], y[n, l]],
    states=[E[o, d], S[l, d], Wq[h, r, d], Wk[h, r, d], Wv[h, r, d], Wo[h, r, d], F[j, d], G[j, d]], examples=n,
    definitions=[
        Definition(s0[n, l, d], E[x[n, l], d] + S[l, d]), Definition(c0[n, l, d], centred(s0)),
        Definition(b0[n, l, d], scaled(c0)),
        *(Definition(of[n, h, l, r], SumOver(W[h, r, d] * b0[n, l, d], d)) for of, W in ((q, Wq), (k, Wk), (v, Wv))),
        Definition(a[n, h, l, p], Softmax(SumOver(q[n, h, l, r] * k[n, h, p, r], r) / sqrt(R), p, mask=p <= l)),
        Definition(c[n, h, l, r], SumOver(a[n, h, l, p] * v[n, h, p, r], p)),
        Definition(s1[n, l, d], s0[n, l, d] + SumOver(Wo[h, r, d] * c[n, h, l, r], h, r)),
        Definition(c1[n, l, d], centred(s1)), Definition(b1[n, l, d], scaled(c1)),
        Definition(u[n, l, j], gelu(SumOver(F[j, d] * b1[n, l, d], d))),
        Definition(s2[n, l, d], s1[n, l, d] + SumOver(G[j, d] * u[n, l, j], j)),
        Definition(z[n, l, o], SumOver(E[o, d] * s2[n, l, d], d)),
    ],
    loss=SumOver((LogSumExp(z[n, l, o], o) - z[n, l, y[n, l]]) / (N * L), n, l),
)  # fmt: skip
