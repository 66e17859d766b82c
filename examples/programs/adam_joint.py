# ruff: noqa: F403, F405
"""Both stages of learning from co-occurrence (arXiv 2103.07601) under AdamW, with warm-up and a cosine to the end."""

from dynamics.program_file import *

V, K = sizes("V K")
i, o, v = indices("i o v")
q, R, W, A, z = tensors("q R W A z")
lr, tau1, tau2, decay, warm, end, eps, start = scalars("lr tau1 tau2 decay warm end eps start")
now = t + start  # where running averages begin, their weights are 0
schedule = lr * Piecewise((now / warm, now < warm), ((1 + cos(pi * (now - warm) / (end - warm))) / 2, True))
share = Softmax(A[i, o], i, weight=R[i, o])
loss = SumOver(q[o] * (LogSumExp(z[o, v], v) - z[o, o]), o)
adam, flow, states = [Definition(z[o, v], SumOver(share * W[i, v], i))], {}, [W[i, v], A[i, o]]
for X, at in ((W, (i, v)), (A, (i, o))):
    m, s, mdot, sdot, step = tensors(f"m{X} v{X} m{X}dot v{X}dot step{X}")
    ratio = m[at] / (1 - exp(-now / tau1)) / (sqrt(s[at] / (1 - exp(-now / tau2))) + eps)
    adam += [Definition(mdot[at], (grad(loss, X)[at] - m[at]) / tau1),
             Definition(sdot[at], (grad(loss, X)[at] ** 2 - s[at]) / tau2),
             Definition(step[at], -schedule * (ratio + decay * X[at]))]  # fmt: skip
    states += [m[at], s[at]]
    flow |= {f"{X}": f"step{X}", f"m{X}": f"m{X}dot", f"v{X}": f"v{X}dot"}
program = model("Joint closure under AdamW", extents={i: V, o: K, v: K}, data=[q[o], R[i, o]], states=states, loss=loss,
                parameters=[lr, tau1, tau2, decay, warm, end, eps, start], definitions=adam, flow=flow)  # fmt: skip
