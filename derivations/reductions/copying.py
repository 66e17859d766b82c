"""Copying with positional attention in two numbers, reached from its model by substitution.

Copying does not change when the words are permuted, or the positions. So symmetric weights stay symmetric:
``W[i, o] = u [i = o]`` and ``P[m, p] = a [m = p]``, up to constants that change nothing. On them every tensor of the
model has one value per orbit of its subscripts: attention has one at the right position and one at all others, the
prediction one for the target, one for the other words of the input, one for the words not in it. A reduction over an
index is a sum over orbits, each as often as it has members.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from sympy import Expr, KroneckerDelta, S, Symbol, exp, factor

from derivations.gradient_flow import gradient_flow
from derivations.models import positional_attention
from derivations.models.symbols import SNELL, Q, count, n, o, t, y, z
from derivations.program.glossary import GLOSSARY
from derivations.program.language import SumOver, scalars, tensors
from derivations.program.program import Definition, Program, ProgramError
from derivations.reductions.orbits import DistinctWords, RepeatedWords, V
from derivations.reductions.substitution import State, Substitution
from derivations.reductions.unrolling import unrolled
from derivations.registry import reduction, title

__all__ = ["copying", "copying_heads", "copying_repeats", "squared_length", "symmetric"]

eta_W, eta_A = scalars("eta_W eta_A", positive=True)
prediction, mean_prediction = tensors("prediction mean_prediction")

SYMMETRIC = "at first all words, and all positions, are alike to W and P; the flow keeps this"
SUBSTITUTED = (
    "in the model {model}, `W[i,o]` is u where i = o and 0 elsewhere, `P[m,p]` is a where m = p and 0 elsewhere"
    "{heads}, up to constants that no softmax feels"
)
MOVED = (
    "u moves along the direction `[i = o] - 1/V`, whose squared length is `{words}`, so that `du/dtau` is "
    "`eta_W/({words})` times the descent of the loss in u; likewise a moves along `[m = p] - 1/{length}`, whose "
    "squared length is `{positions}`"
)


def squared_length(size: Expr) -> Expr:
    """The squared length of the symmetric direction delta_io - 1/size, which is orthogonal to the constants.

    Weights W = u delta + constant move along it only, so du/dtau is the derivative of the loss by u over this.

    Examples
    --------
    >>> squared_length(V)
    V - 1
    """
    same, different = (S(equal) - 1 / size for equal in (1, 0))
    return factor(size * same**2 + size * (size - 1) * different**2)


@reduction("copying", "Copying on the symmetric manifold: two equations")
@cache
def copying() -> Program:
    """Copying with positional attention (model 1c) on its symmetric manifold: two equations.

    L distinct words out of V. u is the mean diagonal of W less its mean off-diagonal, a that of P. ``p_t``, ``p_in``,
    ``alpha``, ``epsilon`` and ``loss`` can be asked for by name.

    Examples
    --------
    >>> copying().state_names, [p.name for p in copying().parameters]
    (('u', 'a'), ['V', 'L', 'eta_W', 'eta_A'])
    """
    return unrolled(symmetric("copying", DistinctWords()))


@reduction(
    "copying-heads-{}", "Copying with heads on the symmetric manifold: two equations for each of {}", listed=(2,)
)
@cache
def copying_heads(heads: int) -> Program:
    """The same with several heads, whose contexts are averaged: two equations a head.

    Examples
    --------
    >>> copying_heads(2).state_names
    ('u1', 'u2', 'a1', 'a2')
    """
    if heads < 1:
        raise ProgramError(f"copying with {heads} heads: there must be 1 or more")
    return unrolled(symmetric(f"copying-heads-{heads}", DistinctWords(heads)))


@reduction("copying-repeats-{}", "Copying of {} words that may repeat, on the symmetric manifold", listed=(3,))
@cache
def copying_repeats(words: int) -> Program:
    """Copying of inputs whose words are drawn with replacement: two equations, averaged over the patterns of repeats.

    How the words of an input repeat is a partition of its length, so the number of terms grows with the length fast:
    45 at 8 words, 684 at 16.

    Examples
    --------
    >>> copying_repeats(3).state_names, [p.name for p in copying_repeats(3).parameters]
    (('u', 'a'), ['V', 'eta_W', 'eta_A'])
    """
    if words < 2:
        raise ProgramError(f"copying of {words} words: there must be 2 or more")
    return unrolled(symmetric(f"copying-repeats-{words}", RepeatedWords(words)))


def exact(heads: int) -> Program:
    """Model 1c, or 1d, with its prediction."""
    flow = positional_attention(heads > 1)
    model = flow.model or flow
    logit, normalisation = z[n, t, o], Q[n, t]
    return model.extended(
        [
            Definition(prediction[n, t, o], exp(logit - normalisation), "prediction"),
            Definition(mean_prediction, SumOver(prediction[n, t, y[n, t]] / count, n, t)),
        ]
    )


def symmetric(name: str, orbits: DistinctWords | RepeatedWords) -> Program:
    """The flow of model 1c, or 1d, on the symmetric manifold of copying; sums over classes are still reductions."""
    heads = orbits.heads
    u, a = (scalars(" ".join(f"{x}{k + 1}" for k in range(heads)) if heads > 1 else x) for x in "ua")

    def diagonal(states: tuple[Symbol, ...]) -> State:
        return lambda *at: states[at[0] if len(at) == 3 else 0] * KroneckerDelta(*at[-2:])

    found = Substitution(exact(heads), {"W": diagonal(u), "P": diagonal(a)}, orbits)
    for observable in orbits.observables:
        found.value(*observable)
    loss = found.value("loss")
    flow = gradient_flow(
        Program(
            name=name,
            title=title(name),
            source=SNELL,
            extents=found.extents,
            data=(),
            states=(*u, *a),
            definitions=tuple(found.definitions.values()),
            parameters=orbits.sizes,
            domain=orbits.domain,
            loss=loss,
            assumptions=(orbits.assumption, SYMMETRIC),
            reduction=(
                SUBSTITUTED.format(model=found.model.name, heads=", for each head" if heads > 1 else ""),
                *found.cases(),
                MOVED.format(words=squared_length(V), length=orbits.length, positions=squared_length(orbits.length)),
            ),
            meanings={**GLOSSARY, "eta_A": "learning rate of the attention logits P"},
            units=found.model.units,
        )
    )
    rates = {f"eta_{x}": eta_W / squared_length(V) for x in u}
    rates |= {f"eta_{x}": eta_A / squared_length(orbits.length) for x in a}
    metric = {p: rates[p.name] for p in flow.parameters if p.name in rates}
    definitions = tuple(replace(d, rhs=d.rhs.xreplace(metric)) for d in flow.definitions)
    return replace(
        flow,
        definitions=definitions,
        metric=tuple(d for d in definitions if d.name in flow.flow.values()),
        parameters=(*orbits.sizes, eta_W, eta_A),
        rates={**{x.name: eta_W.name for x in u}, **{x.name: eta_A.name for x in a}},
    )
