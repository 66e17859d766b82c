"""Score and embedding norm of a topic word: what the topic classifier obeys, with any classifier and any loss.

Each theorem is derived by sympy from the flow of the topic classifier (:func:`derivations.reductions.topic_words`),
written out on the few words and sentences that it is about (:mod:`derivations.theorems.few_words`), and evaluated on
numbers in :mod:`dynamics.problems.closed_forms`.

A topic word stands k times in a sentence, among others that rest; ``m`` is the sum of ``exp(score)`` over those others,
their number if their scores are 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sympy import Function, Matrix, S, Subs, Symbol, exp, log, solve, symbols

from derivations.models.symbols import LU
from derivations.program.language import scalars
from derivations.registry import theorem
from derivations.theorems.few_words import column, entry, eta_s, eta_v, of_any_loss, sentences, vector
from derivations.theorems.theorem import Step, Theorem

__all__ = ["company", "identity"]

s, s_0, radius_2, norm_2 = scalars("s s_0 radius_2 norm_2")
m, k, alpha = scalars("m k alpha", positive=True)

OTHERS = "the other words of its sentences are at rest, with the same sum `m = sum_j exp(s_j)` over them"
ALONE = (
    "one topic word, k times in each of its sentences",
    f"{OTHERS} and the same mean embedding `c`, weighted by `exp(s_j)`",
)
OF_OTHERS = "what the motion of the other words adds, which goes with their share of the sentences"
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "m": "sum of `exp(s_j)` over the other words of a sentence: their number, if their scores are 0",
        "s": "score of the topic word",
        "alpha": "attention to the topic word",
        "w": "margin: `v . (u_y - u_mean)`",
        "delta": "length of `u_y - u_mean`",
        "f": "share of the sentences that hold the topic word",
        "K": "number of classes",
        "tau": "time: learning rate times steps",
    }
)
"""What symbols of several theorems of topic words stand for."""


@theorem("sen", "Score and embedding norm", about=("topic-words-FC", "topic-FC"))
def identity() -> Theorem:
    """Score and embedding norm."""
    m_1, m_2 = symbols("m_1 m_2", positive=True)
    found = of_any_loss(sentences([{0: k, 1: m_1, 2: m_2}], {0}, V=3, D=2))
    own, first = entry("s", 0), Symbol("first", positive=True)
    vdot, sdot = column(found, "vdot", 0), found[entry("sdot", 0)]
    of_loss = Function("F")(*column(found, "r", 0))
    gradient = Matrix([-of_loss.diff(state) for state in (*vector("v", 0), own)]).replace(
        lambda e: isinstance(e, Subs), lambda e: -vector("G", 0)[e.expr.expr.args.index(e.variables[0])]
    )
    # The others by their sum m (`first` of it the first one) and their mean c; coordinates by number; the score of the
    # word by its attention.
    v, G, c = (Matrix(scalars(f"{name}_1 {name}_2")) for name in "vGc")
    named = {m_1: first * exp(-entry("s", 1)), m_2: (m - first) * exp(-entry("s", 2))}
    for d in range(2):
        named |= {entry("v", 0, d): v[d], entry("G", 0, d): G[d]}
        named[entry("v", 2, d)] = (m * c[d] - first * entry("v", 1, d)) / (m - first)
    by_attention = named | {own: log(m * alpha / (k * (1 - alpha)))}
    moved = Matrix([*alpha * G, alpha * (1 - alpha) * G.dot(v - c)])
    ratio = 2 * Matrix(v - c).dot(vdot.xreplace(named)) / sdot.xreplace(named)
    grown = radius_2 + 2 * eta_v / eta_s * (s - s_0 + k / m * (exp(s) - exp(s_0)))
    return Theorem(
        source=LU,
        hypotheses=(*ALONE, "any loss of the contexts: any classifier, trained or not, and any labels"),
        statement=(
            "Let alpha be the attention to all k places of the word, `r = alpha v + (1 - alpha) c` the context of its "
            "sentences, and G minus the gradient of the loss by r. The embedding v moves by alpha G, the score s by "
            "`alpha (1 - alpha) G . (v - c)`. So G drops out of their ratio: `||v - c||^2` is a function of the score "
            "alone, through all of training. This function is `norm_2`; it starts at `radius_2`."
        ),
        results={norm_2: grown},
        steps=(
            Step(
                "a sentence of the word, k times, and of two others with mean c, in two dimensions; minus the gradient "
                "of any function `F(r)` of its context, of which that by r is -G",
                gradient.xreplace(by_attention),
                moved,
                ("-dF/dv_1", "-dF/dv_2", "-dF/ds"),
            ),
            Step(
                "the flow of the classifier moves along it",
                Matrix([*vdot, sdot]).xreplace(by_attention),
                Matrix([*eta_v * moved[:2, :], eta_s * moved[2]]),
                ("dv_1/dtau", "dv_2/dtau", "ds/dtau"),
            ),
            Step(
                "separated: G drops out of the ratio of both velocities",
                ratio.xreplace({own: s}),
                2 * eta_v / eta_s * (1 + k * exp(s) / m),
                "d||v - c||^2/ds",
            ),
            Step(
                "integrated over s, as `norm_2` has the same derivative",
                grown.diff(s),
                2 * eta_v / eta_s * (1 + k * exp(s) / m),
                "d norm_2/ds",
            ),
            Step("and it starts where it should, at `s = s_0`", grown.subs(s, s_0), radius_2, "norm_2"),
            Step(
                "with one place in a sentence, from a score of zero and an embedding at the mean of the others",
                eta_s / eta_v * grown.subs({radius_2: 0, s_0: 0, k: 1}),
                2 * (s + (exp(s) - 1) / m),
                "(eta_s/eta_v) norm_2",
            ),
        ),
        limits=(
            f"{OF_OTHERS}; sentences that differ in m or k, and several topic words in a sentence, are treated in "
            "sen-company"
        ),
        meanings={
            **MEANINGS,
            "k": "how often the topic word stands in each of its sentences",
            "s_0": "first score",
            "radius_2": "first value of `||v - c||^2`",
        },
    )


@theorem(
    "sen-company",
    "Score and embedding norm: sentences that differ, and topic words together",
    about=("topic-words-FC", "topic-FC"),
)
def company() -> Theorem:
    """Sentences of several lengths, and several topic words in one."""
    m_1, m_2 = ms = symbols("m_1 m_2", positive=True)
    G_1, G_2, a_1, a_2, m_i = scalars("pull_1 pull_2 alpha_1 alpha_2 m_eff")
    at_rest = {entry("s", 1): S.Zero, entry("v", 1, 0): S.Zero, entry("v", 1, 1): S.Zero}
    found = of_any_loss(sentences([{0: 1, 1: m_1}, {0: 1, 1: m_2}], {0}, V=2, D=2) | at_rest, kinds=2)
    v, own = vector("v", 0), entry("s", 0)
    pulls = {entry("G", n, 1): (P - entry("G", n, 0) * v[0]) / v[1] for n, P in enumerate((G_1, G_2))}
    outwards, upwards = v.dot(column(found, "vdot", 0)).xreplace(pulls), found[entry("sdot", 0)].xreplace(pulls)
    surplus = eta_s * outwards - eta_v * (1 + exp(own) / m) * upwards
    alone = [surplus.xreplace({P: S.Zero}) for P in (G_2, G_1)]
    by_attention = [{own: log(each * a / (1 - a))} for each, a in zip(ms, (a_1, a_2), strict=True)]
    effective = (m_1 * a_1**2 * G_1 + m_2 * a_2**2 * G_2) / (a_1**2 * G_1 + a_2**2 * G_2)
    here = effective.subs({a: exp(own) / (exp(own) + each) for a, each in zip((a_1, a_2), ms, strict=True)})
    (other_pull,) = solve(here - m_i, G_2)
    ratio = (2 * outwards / upwards).xreplace({G_2: other_pull}).xreplace({own: s})

    together = of_any_loss(sentences([{0: 1, 1: 1, 2: m}], {0, 1, 2}, V=3, D=2))
    context = column(together, "r", 0)
    slopes = [together[entry("sdot", i)] for i in range(3)]
    alike = {entry("v", 1, d): v[d] for d in range(2)} | {entry("s", 1): own}
    alike |= {entry("s", 2): S.Zero, entry("v", 2, 0): S.Zero, entry("v", 2, 1): S.Zero}
    twins = {name: value.xreplace(alike) for name, value in together.items()}
    twice = 2 * v.dot(column(twins, "vdot", 0)) / twins[entry("sdot", 0)]
    return Theorem(
        source=LU,
        hypotheses=(
            "any loss of the contexts; alpha, r and G are those of theorem sen, by kinds of sentences",
            "each topic word once in a sentence; words at rest have embedding 0 and score 0, and there are m of them",
        ),
        statement=(
            "In sentences of several m the identity of theorem sen holds from moment to moment, with `m_eff`: the mean "
            "of m that has the weights `alpha^2 G . v` (a word that stands k times counts as one beside m/k others). "
            "Early, when alpha is about 1/m, short sentences count more; "
            "late, when it is 1, they count as they pull. If all pull outwards, `||v||^2` lies between the identities "
            "of the smallest and of the largest m. Beside other topic words only a differential form is left, with the "
            "context r for the others' part: `eta_v ds = eta_s (v - r) . dv`. Words that move alike in the same "
            "sentences are one word that stands k times. No word gains score but at the cost of others: the velocities "
            "that a sentence gives to the scores of its words sum to zero."
        ),
        results={m_i: effective},
        steps=(
            Step(
                "two kinds of sentences, of the word and of `m_1` or `m_2` words at rest, in two dimensions; the "
                "identity with any m leaves over `Delta = eta_s v . dv/dtau - eta_v (1 + exp(s)/m) ds/dtau`, the sum "
                "of a part from each kind",
                Matrix([part.xreplace(put) for part, put in zip(alone, by_attention, strict=True)]).col_join(
                    Matrix([surplus - sum(alone)])
                ),
                Matrix(
                    [
                        *(
                            eta_s * eta_v * a**2 * P * (1 - each / m)
                            for a, P, each in ((a_1, G_1, m_1), (a_2, G_2, m_2))
                        ),
                        0,
                    ]
                ),
                ("Delta_1", "Delta_2", "Delta - Delta_1 - Delta_2"),
            ),
            Step(
                "so `m = m_eff` leaves nothing over, and the identity holds with it at every moment",
                ratio,
                2 * eta_v / eta_s * (1 + exp(s) / m_i),
                "d||v||^2/ds",
            ),
            Step(
                "a sentence of two topic words, 1 and 2, and of another word that stands m times, all of which move; "
                "the differential form for word 1",
                eta_s * (v - context).dot(column(together, "vdot", 0)) / slopes[0],
                eta_v,
                "eta_s (v_1 - r) . dv_1/ds_1",
            ),
            Step(
                "in the same sentence, the scores sum to a constant",
                sum(slopes),
                S.Zero,
                "ds_1/dtau + ds_2/dtau + ds_3/dtau",
            ),
            Step(
                "in the same sentence, where words 1 and 2 move alike and the other one is at rest, the identity of "
                "one word that stands twice",
                twice.xreplace({own: s}),
                2 * eta_v / eta_s * (1 + 2 * exp(s) / m),
                "d||v||^2/ds",
            ),
        ),
        limits=(
            "what the motion of the words that are taken to rest adds; with several m there is no formula in the "
            "score alone"
        ),
        meanings={
            **MEANINGS,
            **{f"m_{n}": f"number of words at rest in a sentence of kind {n}" for n in (1, 2)},
            **{f"alpha_{n}": f"attention to the word in sentences of kind {n}" for n in (1, 2)},
            **{f"pull_{n}": f"`G_{n} . v`: how sentences of kind {n} pull the word outwards" for n in (1, 2)},
        },
    )


# -- on numbers -------------------------------------------------------------------------------------------------------
