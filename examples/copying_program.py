# ruff: noqa: F403, F405
"""The LSTMs with attention that Snell et al. (arXiv 2103.07601) let copy, as a program.

The language has no definitions that refer to themselves: the places of a sentence are written out, each with
definitions of its own. Every gate has matrices of its own, 64 x 64 numbers each: few enough for exact second moments.
"""

from dynamics.program_file import *

N, V, D = sizes("N V D")  # sentences, words with the end and the start, width
n, l, t, d, e, o = indices("n l t d e o")
x, p = tensors(
    "x p", integer=True
)  # words with the end, which are to be copied; what stands before each, the start first
E, M, A, m, R, r, Q, q, C, b = tensors("E M A m R r Q q C b")
h, s, asked, seen, alpha, context, mixed, z = tensors("h s asked seen alpha context mixed z")
GATES = {"i": sigmoid, "f": sigmoid, "g": tanh, "o": sigmoid}


def weights(letter):
    """Matrices on words and on states, and two biases, of each gate of an LSTM."""
    return {gate: tensors(" ".join(f"{letter}{kind}_{gate}" for kind in ("x", "h", "bx", "bh"))) for gate in GATES}


def lstm(letter, words, at, first, places):
    """The definitions of an LSTM that begins with a state and a cell, or with nothing; its states; and the last two."""
    definitions, states, before = [], [], first
    driven = {gate: tensors(f"{letter}_{gate}")[0] for gate in GATES}
    for gate, (on_words, _, bx, bh) in weights(letter).items():
        drive = SumOver(on_words[d, e] * E[words[n, at], e], e) + bx[d] + bh[d]
        definitions.append(Definition(driven[gate][n, at, d], drive))
    for place in range(places):
        gates = {gate: tensors(f"{letter}{place}_{gate}")[0] for gate in GATES}
        cell, state = tensors(f"{letter}{place}_c {letter}{place}_h")
        for gate, (_, on_states, *_) in weights(letter).items():
            past = SumOver(on_states[d, e] * before[0][n, e], e) if before else 0
            definitions.append(Definition(gates[gate][n, d], GATES[gate](driven[gate][n, place, d] + past)))
        kept = gates["f"][n, d] * before[1][n, d] if before else 0
        definitions.append(Definition(cell[n, d], kept + gates["i"][n, d] * gates["g"][n, d]))
        definitions.append(Definition(state[n, d], gates["o"][n, d] * tanh(cell[n, d])))
        states, before = [*states, state], (state, cell)
    return definitions, states, before


def copier(places):
    """The program of sentences with so many places, the end included."""
    encoder, inputs, last = lstm("W", x, l, None, places)
    decoder, outputs, _ = lstm("U", p, t, last, places)
    stacked = lambda of, at: Piecewise(*((one[n, d], Eq(at, place)) for place, one in enumerate(of)))  # noqa: E731
    learnt = [
        of for letter in "WU" for X, H, bx, bh in weights(letter).values() for of in (X[d, e], H[d, e], bx[d], bh[d])
    ]
    return model(
        "LSTM with attention that copies",
        extents={n: N, l: places, t: places, d: D, e: D, o: V},
        data=[x[n, l], p[n, t]],
        states=[E[o, d], *learnt, M[d, e], A[d, e], m[d], R[o, d], r[o], Q[d, e], q[d], C[d, e], b[d]],
        examples=n,
        definitions=[
            *encoder,
            *decoder,
            Definition(h[n, l, d], stacked(inputs, l), "states of the encoder"),
            Definition(s[n, t, d], stacked(outputs, t), "states of the decoder"),
            Definition(asked[n, t, d], SumOver(Q[d, e] * s[n, t, e], e) + q[d]),
            Definition(alpha[n, t, l], Softmax(SumOver(asked[n, t, d] * h[n, l, d], d), l), "attention"),
            Definition(seen[n, t, d], SumOver(alpha[n, t, l] * h[n, l, d], l)),
            Definition(context[n, t, d], SumOver(C[d, e] * seen[n, t, e], e) + b[d]),
            Definition(
                mixed[n, t, d], SumOver(M[d, e] * s[n, t, e], e) + SumOver(A[d, e] * context[n, t, e], e) + m[d]
            ),
            Definition(z[n, t, o], SumOver(R[o, d] * Max(mixed[n, t, d], 0), d) + r[o], "logits"),
        ],
        loss=SumOver((LogSumExp(z[n, t, o], o) - z[n, t, x[n, t]]) / (places * N), n, t),
        source="Snell, Zhong, Klein, Steinhardt, arXiv 2103.07601",
    )


program = copier(11)
