# ruff: noqa: E731, F403, F405
"""The soft committee machine: order parameters of online learning (Saad, Solla, Phys. Rev. E 52, 1995, 4225)."""

from dynamics.program_file import *

K, M = sizes("K M")  # units of the student, of the teacher
i, k, j, l, n, m = indices("i k j l n m")
R, Q, T, Rdot, Qdot, drive, noise = tensors("R Q T Rdot Qdot drive noise")
(eta,) = scalars("eta")
L4 = lambda aa, bb, ab: (1 + aa) * (1 + bb) - ab**2
I3 = lambda aa, cc, ab, ac, bc: 2 / pi * (bc * (1 + aa) - ab * ac) / (1 + aa) / sqrt(L4(aa, cc, ac))  # of g'(a) b g(c)


def I4(cc, dd, ac, ad, bc, bd, cd, aa=Q[i, i], bb=Q[k, k], ab=Q[i, k]):  # of g'(a) g'(b) g(c) g(d), without 4/pi^2/L4
    part = lambda x, y, ax, ay, bx, by: ax * ay * (1 + bb) + bx * by * (1 + aa) - ab * (ax * by + ay * bx)
    of = lambda xx, ax, bx: L4(aa, bb, ab) * (1 + xx) - part(xx, xx, ax, ax, bx, bx)
    return asin((L4(aa, bb, ab) * cd - part(cc, dd, ac, ad, bc, bd)) / sqrt(of(cc, ac, bc) * of(dd, ad, bd)))


def pull(ib, mb, jb):  # of teachers and students on b, by the unit i
    taught = SumOver(I3(Q[i, i], T[m, m], ib, R[i, m], mb), m)
    return taught - SumOver(I3(Q[i, i], Q[j, j], ib, Q[i, j], jb), j)


overlap = lambda ab, aa, bb, *over: SumOver(asin(ab / sqrt((1 + aa) * (1 + bb))), *over)
tt = SumOver(I4(T[n, n], T[m, m], R[i, n], R[i, m], R[k, n], R[k, m], T[n, m]), n, m)
st = SumOver(I4(Q[j, j], T[n, n], Q[i, j], R[i, n], Q[k, j], R[k, n], R[j, n]), j, n)
ss = SumOver(I4(Q[j, j], Q[l, l], Q[i, j], Q[i, l], Q[k, j], Q[k, l], Q[j, l]), j, l)
qq, qt = overlap(Q[i, k], Q[i, i], Q[k, k], i, k), overlap(R[i, n], Q[i, i], T[n, n], i, n)
defined = [
    Definition(Rdot[i, n], eta * pull(R[i, n], T[n, m], R[j, n])),
    Definition(drive[i, k], pull(Q[i, k], R[k, m], Q[k, j])),
    Definition(noise[i, k], (tt - 2 * st + ss) / sqrt(L4(Q[i, i], Q[k, k], Q[i, k]))),
    Definition(Qdot[i, k], eta * (drive[i, k] + drive[k, i]) + (2 * eta / pi) ** 2 * noise[i, k]),
]
program = model(
    "Soft committee machine: order parameters", extents={i: K, k: K, j: K, l: K, n: M, m: M}, definitions=defined,
    data=T[n, m], parameters=eta, states=[R[i, n], Q[i, k]], flow={"R": "Rdot", "Q": "Qdot"},
    loss=(qq - 2 * qt + overlap(T[n, m], T[n, n], T[m, m], n, m)) / pi,
)  # fmt: skip
