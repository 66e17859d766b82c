"""What follows from the two equations of copying: where they start, which way they go, how long it takes, how often.

Each theorem is derived by sympy from the symmetric reduction (:mod:`derivations.reductions`), step by step, and says
where it stops being exact. The functions at the end evaluate them on numbers or arrays; they are made from the same
expressions.

Training starts at a saddle, or close to one: with u = 0 nothing is known and attention does not move, and where
attention to the right position is 1/V, chance, nothing is learnt either. What starts on one side of its stable manifold
learns to attend to the right position (the good branch); what starts on the other side learns to attend everywhere else
(the mirror branch), which is slower.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sympy import (
    Expr,
    Matrix,
    Poly,
    S,
    Symbol,
    cosh,
    erfc,
    exp,
    eye,
    factor,
    lambdify,
    log,
    simplify,
    sinh,
    solve,
    sqrt,
    symbols,
    zeros,
)

from derivations.program import scalars
from derivations.reductions import DistinctWords, L, V, closed_form, eta_A, eta_W, squared_length, symmetric
from derivations.theorem import Step, Theorem
from derivations.theorem import evaluated as theorem_evaluated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "THEOREMS",
    "Step",
    "Theorem",
    "attention_logit",
    "branch_odds",
    "early_time",
    "escape_time",
    "growth_rate",
    "log_escape_constant",
    "unstable_coordinate",
]

u, a, u0, a0, b = scalars("u a u_0 a_0 b")
f_uu, f_ua, f_aa, h_uu, h_ua, q_uu, q_ua, q_aa = scalars("f_uu f_ua f_aa h_uu h_ua q_uu q_ua q_aa")
rest, c, w, bend, shift, s_u, s_a, u_2, mean, p, p_1, p_H = scalars("rest c w bend shift s_u s_a u_2 mean p p_1 p_H")
variance, rate, omega, log_K, r, unit = scalars("variance lambda omega log_K r unit", positive=True)
alpha, tau, k_W, k_A, g, d, signal, sigma_W, sigma_P, H = scalars(
    "alpha tau k_W k_A g d signal sigma_W sigma_P H", positive=True
)
"""alpha: attention to the right position where the flow is linearised."""


@cache
def drift() -> Matrix:
    """The flow of (u, a)."""
    program = symmetric("copying", "", DistinctWords())
    return Matrix([closed_form(program, name) for name in program.flow.values()])


RATES = {k_W: eta_W / squared_length(V), k_A: eta_A / squared_length(L)}
"""The rates of u and a."""
LOGIT = log(alpha * (L - 1) / (1 - alpha))
"""The a that gives attention alpha to the right position."""
CHANCE = log((L - 1) / (V - 1))
"""The a that gives it attention 1/V: the saddle."""
JACOBIAN = Matrix([[-k_W * d, k_W * g], [k_A * g, 0]])
RATE = -k_W * d / 2 + sqrt((k_W * d / 2) ** 2 + k_W * k_A * g**2)
DECAY = -k_W * d - RATE
GROWING = Matrix([RATE / (k_A * g), 1])
LAMBDA = g * sqrt(k_W * k_A)
"""The linear flow in symbols: its matrix, both eigenvalues, the growing direction, the rate without damping."""


def at(attention: Expr) -> dict[Symbol, Expr]:
    """The symbols of the linear flow where the right position has some attention."""
    found = linearisation().results
    return {**RATES, g: factor(found[g].subs(alpha, attention)), d: factor(found[d].subs(alpha, attention))}


@cache
def linearisation() -> Theorem:
    """The flow near u = 0."""
    at_rest = drift().subs(u, 0)
    slope = drift().jacobian([u, a]).subs(u, 0)
    coupling = factor(simplify(slope[1, 0].subs(a, LOGIT)) / RATES[k_A])
    damping = factor(simplify(-slope[0, 0].subs(a, LOGIT)) / RATES[k_W])
    concrete = {**RATES, g: coupling, d: damping}
    return Theorem(
        name="copying-linear",
        title="Copying near u = 0",
        hypotheses=("the symmetric reduction of copying", "u is small"),
        statement=(
            "Where u = 0, a rests, whatever it is, and u moves at the rate k_W (alpha - 1/V): attention above chance "
            "drives it up. So u = 0, alpha = 1/V is a fixed point, and it is a saddle. For permutations (V = L) it is "
            "the origin; with more words than positions the origin lies on its good side."
        ),
        results={**concrete, rate: RATE, rest: CHANCE},
        steps=(
            Step("what drives u", at_rest[0].subs(a, LOGIT), RATES[k_W] * (alpha - 1 / V)),
            Step("a rests", at_rest[1], S.Zero),
            Step("the Jacobian", slope.subs(a, LOGIT), JACOBIAN.subs(concrete)),
            Step("the signal at the origin", at_rest[0].subs(a, 0), RATES[k_W] * (1 / L - 1 / V)),
            Step("coupling at the origin", coupling.subs(alpha, 1 / L), (1 - 1 / L) / L),
            Step("damping at the origin: none for permutations", damping.subs(alpha, 1 / L), (V - L) / (L * V**2)),
            Step("the fixed point", drift().subs({u: 0, a: CHANCE}), zeros(2, 1)),
            Step("the growing direction", JACOBIAN * GROWING, RATE * GROWING),
            Step("both eigenvalues: a saddle", RATE * DECAY, JACOBIAN.det()),
        ),
        limits="first order in u, and in the distance of a from where it is linearised",
    )


@cache
def early_solution() -> Theorem:
    """The linear flow, solved."""
    half = k_W * d / 2
    root = sqrt(half**2 + k_W * k_A * g**2)
    still = Matrix([0, -signal / g])
    propagator = exp(-half * tau) * (
        cosh(omega * tau) * eye(2) + sinh(omega * tau) / omega * (JACOBIAN + half * eye(2))
    )
    symbolic = still + propagator * (Matrix([u0, a0]) - still)
    path = symbolic.subs(omega, root)
    drive = Matrix([k_W * signal, 0])
    return Theorem(
        name="copying-early",
        title="Copying at early times",
        hypotheses=("the linear flow at the origin",),
        statement=(
            "u and a are sums of cosh and sinh; for permutations a = a_0 cosh + (k_A g/lambda) u_0 sinh. "
            "With more words than positions the signal 1/L - 1/V acts as if a had started higher by signal/g."
        ),
        results={**at(1 / L), signal: 1 / L - 1 / V, omega: root, u: symbolic[0], a: symbolic[1]},
        steps=(
            Step("it starts where it should", path.subs(tau, 0), Matrix([u0, a0])),
            Step("it solves the linear flow", path.diff(tau), drive + JACOBIAN * path),
            Step(
                "permutations",
                path[1].subs({d: 0, signal: 0}),
                a0 * cosh(LAMBDA * tau) + k_A * g / LAMBDA * u0 * sinh(LAMBDA * tau),
            ),
        ),
        limits="first order in u and a; the signal takes a off the point of linearisation by itself",
    )


@cache
def branch() -> Theorem:
    """Which way it goes."""
    weights = Matrix([[RATE / (k_W * g), 1]])
    coordinate = (weights * Matrix([u, a - CHANCE]))[0]
    excess = Symbol("excess", positive=True)
    return Theorem(
        name="copying-branch",
        title="Two branches of copying",
        hypotheses=("the symmetric reduction of copying", "u and a are small"),
        statement=(
            "The unstable coordinate c = a - log((L-1)/(V-1)) + w u grows at the rate lambda of the saddle. If it is "
            "positive, the right position is attended to; if negative, all others (the mirror branch). "
            "For permutations c = a + sqrt(k_A/k_W) u."
        ),
        results={**at(1 / V), rate: RATE, w: rate / (k_W * g), c: a - CHANCE + w * u},
        steps=(
            Step("a left eigenvector", weights * JACOBIAN, RATE * weights),
            Step("so it grows by itself", (weights * JACOBIAN * Matrix([u, a - CHANCE]))[0], RATE * coordinate),
            Step("without damping", RATE.subs(d, 0) / (k_W * g), sqrt(k_A / k_W)),
            Step("no damping for permutations", at(1 / V)[d].subs(V, L), S.Zero),
            Step(
                "the saddle is at -signal/g to first order in it",
                (-CHANCE).subs(V, L + excess).series(excess, 0, 2).removeO(),
                ((1 / L - 1 / (L + excess)) / at(1 / L)[g]).series(excess, 0, 2).removeO(),
            ),
        ),
        limits="first order: the border is the stable manifold of the saddle, and c = 0 its tangent",
    )


@cache
def border() -> Theorem:
    """The unstable coordinate to second order, and the border between the branches."""
    weight, damping = rate / (k_W * g), (k_W * k_A * g**2 - rate**2) / (k_W * rate)
    place = Matrix([u, b])
    second = Matrix(
        [k_W * (f_uu * u**2 + 2 * f_ua * u * b + f_aa * b**2) / 2, k_A * (h_uu * u**2 + 2 * h_ua * u * b) / 2]
    )
    quadratic = q_uu * u**2 + q_ua * u * b + q_aa * b**2
    flow = JACOBIAN.subs(d, damping) * place
    surplus = (Matrix([quadratic]).jacobian([u, b]) * flow)[0] - rate * quadratic + weight * second[0] + second[1]
    solution = solve(Poly(surplus, u, b).coeffs(), (q_uu, q_ua, q_aa), dict=True)[0]
    bent = factor((q_uu - weight * q_ua + weight**2 * q_aa).subs(solution))
    curvatures = {
        symbol: factor(simplify(drift()[k].diff(x, y).subs(u, 0).subs(a, CHANCE) / RATES[own]))
        for symbol, k, own, x, y in (
            (f_uu, 0, k_W, u, u),
            (f_ua, 0, k_W, u, a),
            (f_aa, 0, k_W, a, a),
            (h_uu, 1, k_A, u, u),
            (h_ua, 1, k_A, u, a),
        )
    }
    permutations = {f_uu: 0, f_ua: 0, h_uu: 0, h_ua: f_aa, rate: LAMBDA}
    return Theorem(
        name="copying-border",
        title="The border between the branches of copying",
        hypotheses=("the symmetric reduction of copying", "u and a are small, to second order"),
        statement=(
            "c plus a quadratic form in u and a - log((L-1)/(V-1)) grows at the rate lambda, to second order. Where it "
            "is zero is the stable manifold of the saddle: the border between the branches, c = -bend u^2."
        ),
        results={
            **at(1 / V),
            rate: RATE,
            w: rate / (k_W * g),
            **curvatures,
            **{symbol: factor(value) for symbol, value in solution.items()},
            bend: bent,
            b: a - CHANCE,
            c: w * u + b + quadratic,
        },
        steps=(
            Step("it grows at its rate, to second order", surplus.subs(solution), S.Zero),
            Step("the rate is an eigenvalue", (JACOBIAN.subs(d, damping) - rate * eye(2)).det(), S.Zero),
            Step("a rests where u = 0: no term in a alone", drift()[1].subs(u, 0), S.Zero),
            Step("permutations: how far the border is bent", bent.subs(permutations), -f_aa / (6 * g) * k_A / k_W),
        ),
        limits="third order in u and a; for permutations the third order has a resonance",
    )


@cache
def mean_attention() -> Theorem:
    """What stands for a when the rows of P differ."""
    eps = (1 - alpha) / (L - 1)
    slope, curve = LOGIT.diff(alpha), LOGIT.diff(alpha, 2)
    own, other = alpha * (1 - alpha), -alpha * eps
    length = (own**2 + (L - 1) * other**2) / L
    laplacian = own * (1 - 2 * alpha) + (L - 1) * other * (1 - 2 * eps)
    moved = factor(simplify((slope * laplacian + curve * length).subs(alpha, 1 / L)) / 2)
    row = symbols("P_1:4", real=True)
    shares = [exp(x) / sum(map(exp, row)) for x in row]
    answer = log(sum(exp(u * share) for share in shares) + V - 3) - u * shares[0]
    by_hand = sum(shares[0].diff(x, 2) for x in row).subs(dict(zip(row, (a, 0, 0), strict=True)))
    attention = closed_form(symmetric("copying", "", DistinctWords()), "alpha")
    three = {L: 3, alpha: attention.subs(L, 3)}
    return Theorem(
        name="copying-attention",
        title="Copying from rows of attention that differ",
        hypotheses=("W = u delta with u small", "any P"),
        statement=(
            "What drives u is the mean attention to the right position, over all target positions, less chance. So the "
            "a of the symmetric reduction is log(m (L-1)/(1 - m)) of this mean m, not the mean diagonal of P less its "
            "mean off-diagonal, from which it differs at second order. For normal P it is lower on average: a softmax "
            "over alike logits gives each 1/L on average, and log(m (L-1)/(1 - m)) is concave below 1/2."
        ),
        results={a: LOGIT, shift: moved * sigma_P**2},
        steps=(
            Step(
                "loss of one target at u = 0: attention less chance (three positions)",
                answer.diff(u).subs(u, 0),
                1 / V - shares[0],
            ),
            Step("a is what it was if the rows are alike", LOGIT.subs(alpha, attention), a),
            Step("second derivatives of attention (three positions)", by_hand, laplacian.subs(three)),
            Step("along a it does not bend: the shift is the same for every a", (slope * own).diff(alpha), S.Zero),
            Step("the mean of a, to second order", moved, -(L - 2) / (2 * L * (L - 1))),
        ),
        limits=(
            "fourth order in P for the mean, and for the variance of a; what a W that is not symmetric adds at second "
            "order is zero on average and left out"
        ),
    )


@cache
def odds() -> Theorem:
    """How often, when the first weights are random."""
    m = Symbol("m", real=True)
    known = border().results
    upto = list(known).index(bend) + 1
    seen = s_u * s_a / variance + (w * s_u * m / variance) ** 2
    given = s_u - (w * s_u) ** 2 / variance + (-w * s_u / variance * m) ** 2
    spread = {variance: s_a + w**2 * s_u}
    return Theorem(
        name="copying-odds",
        title="Odds of the good branch",
        hypotheses=(
            "W and P are independent and normal, with deviations sigma_W and sigma_P",
            "both deviations are small, to second order",
        ),
        statement=(
            "u_0 and a_0 are normal, so is the unstable coordinate, and its tail is the probability p of the good "
            "branch. At second order its mean is moved by the mean of a, and by the bend of the border times the mean "
            "of u^2 on it. H heads are at the saddle together and leave it each by itself, at the rate lambda/H, so "
            "that at least one of them is good with probability 1 - (1 - p)^H."
        ),
        results={
            **dict(list(known.items())[:upto]),
            rest: CHANCE,
            s_u: sigma_W**2 / squared_length(V),
            s_a: sigma_P**2 / squared_length(L),
            **spread,
            u_2: seen.subs(m, rest),
            shift: mean_attention().results[shift],
            mean: -rest + shift + bend * u_2,
            p_1: erfc(rest / sqrt(2 * variance)) / 2,
            p: erfc(-mean / sqrt(2 * variance)) / 2,
            p_H: 1 - (1 - p) ** H,
        },
        steps=(
            Step("variance of a mean diagonal less a mean off-diagonal: words", 1 / squared_length(V), pairs(V)),
            Step("and positions", 1 / squared_length(L), pairs(L)),
            Step("permutations: even odds at first order", erfc(CHANCE.subs(V, L) / sqrt(2 * variance)) / 2, S.Half),
            Step("u^2 on the border: of two normals, given that c = 0", seen.subs(spread), given.subs(spread)),
            *two_heads(),
        ),
        limits=(
            "third order in the weights; heads feel each other through the damping if V > L, and once they are grown"
        ),
    )


def pairs(size: Expr) -> Expr:
    """The variance of the mean of the diagonal, and that of all else."""
    return 1 / size + 1 / (size * (size - 1))


def two_heads() -> tuple[Step, Step]:
    """How head 1 moves at the saddle, by its own states and by those of head 2."""
    program = symmetric("", "", DistinctWords(2))
    head = [[x for x in program.states if x.name.endswith(number)] for number in "12"]
    rest = {x: CHANCE if x.name.startswith("a") else 0 for x in program.states}
    first = Matrix([closed_form(program, program.flow[x.name]) for x in head[0]])
    own, other = (first.jacobian(states).subs(rest) for states in head)
    damping = Matrix([[-k_W * d / 4, 0], [0, 0]])
    return (
        Step(
            "two heads: each moves as one alone, at half its rate",
            own,
            (damping + JACOBIAN.subs(d, 0) / 2).subs(at(1 / V)),
        ),
        Step("and does not feel the other, but for the damping", other, damping.subs(at(1 / V))),
    )


@cache
def escape() -> Theorem:
    """How long it takes."""
    weights = Matrix([[RATE / (k_W * g), 1]])
    (rho,) = scalars("rho")
    program = symmetric("copying", "", DistinctWords())
    closed = {name: closed_form(program, name) for name in ("p_t", "z_t", "z_in")}
    above = 1 + (L - 1) * exp(closed["z_in"] - closed["z_t"]) + (V - L) * exp(-closed["z_t"])
    return Theorem(
        name="copying-escape",
        title="Escape time of copying",
        hypotheses=border().hypotheses,
        statement=(
            "The time to a given p_t is (log K - log |c|)/lambda, with the unstable coordinate c, the rate lambda of "
            "the saddle, and a constant K for each branch: the limit of c exp(lambda tau) as the flow starts closer "
            "and closer to the saddle on its unstable manifold. K is a quadrature along that manifold, done once for "
            "given V, L, rates and p_t; the rest is closed form."
        ),
        results={
            **at(1 / V),
            rate: RATE,
            r: rate / (k_A * g),
            unit: 1 + rate**2 / (k_W * k_A * g**2),
            tau: (log_K - log(abs(c))) / rate,
        },
        steps=(
            Step(
                "the start on the manifold, as far as c",
                (weights * (rho * GROWING))[0],
                rho * (1 + (RATE / LAMBDA) ** 2),
            ),
            Step("without damping", (weights * GROWING)[0].subs(d, 0), S(2)),
            Step("1/p_t: where u < 0 the last exponential is above 1", 1 / closed["p_t"], above),
        ),
        limits=(
            "the distance from the saddle is small: with c to second order the relative error of c exp(lambda tau) is "
            "of second order in it, so that of tau is smaller by its logarithm; the limit of p_t on the mirror branch "
            "is 1/(1 + V - L), as the target does not get above the words that are not in the input"
        ),
    )


THEOREMS: Mapping[str, Callable[[], Theorem]] = MappingProxyType(
    {
        "copying-linear": linearisation,
        "copying-early": early_solution,
        "copying-branch": branch,
        "copying-border": border,
        "copying-attention": mean_attention,
        "copying-odds": odds,
        "copying-escape": escape,
    }
)
"""Name -> the function that derives the theorem."""


# -- on numbers -------------------------------------------------------------------------------------------------------


def evaluated(theorem: str, result: str, **values: ArrayLike) -> NDArray[np.float64]:
    """A result of a theorem at values of the symbols that it depends on."""
    return theorem_evaluated(THEOREMS[theorem](), result, **values)


def growth_rate(V: ArrayLike, L: ArrayLike, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The rate at which the unstable coordinate grows, per unit of tau.

    Parameters
    ----------
    V, L : array_like
        Words and positions, 1 < L <= V; all arguments are broadcast.
    eta_W, eta_A : array_like
        Learning rates of W and P relative to tau.

    Examples
    --------
    >>> float(growth_rate(40, 40).round(6))
    0.000625
    """
    return evaluated("copying-branch", "lambda", V=V, L=L, eta_W=eta_W, eta_A=eta_A)


def attention_logit(P: ArrayLike) -> NDArray[np.float64]:
    """The a that gives the mean attention of P to the right position; what matters of a P that is not symmetric.

    Parameters
    ----------
    P : array_like, shape (..., L, L)
        Logits of attention, from target positions to input positions.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> float(attention_logit([[1.5, 0, 0], [0, 1.5, 0], [0, 0, 1.5]]).round(12))
    1.5
    """
    import numpy as np
    from scipy.special import softmax

    share = np.trace(softmax(np.asarray(P, dtype=float), axis=-1), axis1=-2, axis2=-1) / np.shape(P)[-1]
    return evaluated("copying-attention", "a", alpha=share, L=np.shape(P)[-1])


def unstable_coordinate(
    u: ArrayLike, a: ArrayLike, V: ArrayLike, L: ArrayLike, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """What decides between the branches, to second order: positive for the good one, negative for the mirror branch.

    Parameters
    ----------
    u, a : array_like
        Mean diagonal less mean off-diagonal of W, and of P (or, for any P, :func:`attention_logit`); small; all
        arguments are broadcast.
    V, L, eta_W, eta_A : array_like
        As for :func:`growth_rate`.

    Examples
    --------
    >>> float(unstable_coordinate(0.01, -0.02, 8, 8).round(4)), float(unstable_coordinate(0.01, -0.02, 9, 8).round(4))
    (-0.01, 0.1216)
    """
    return evaluated("copying-border", "c", u=u, a=a, V=V, L=L, eta_W=eta_W, eta_A=eta_A)


def early_time(
    tau: ArrayLike,
    u0: ArrayLike,
    a0: ArrayLike,
    V: ArrayLike,
    L: ArrayLike,
    eta_W: ArrayLike = 1.0,
    eta_A: ArrayLike = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """u and a at early times tau, from u0 and a0; all arguments are broadcast.

    Examples
    --------
    >>> u, a = early_time([0, 100], 0.01, -0.01, 9, 8)
    >>> u.round(4), a.round(4)
    (array([0.01  , 0.2435]), array([-0.01  ,  0.1595]))
    """
    values = {"tau": tau, "u_0": u0, "a_0": a0, "V": V, "L": L, "eta_W": eta_W, "eta_A": eta_A}
    return evaluated("copying-early", "u", **values), evaluated("copying-early", "a", **values)


def branch_odds(
    V: ArrayLike,
    L: ArrayLike,
    sigma_W: ArrayLike,
    sigma_P: ArrayLike,
    eta_W: ArrayLike = 1.0,
    eta_A: ArrayLike = 1.0,
    H: ArrayLike = 1,
) -> NDArray[np.float64]:
    """The probability that one head at least takes the good branch, to second order; all arguments are broadcast.

    Parameters
    ----------
    V, L, eta_W, eta_A : array_like
        As for :func:`growth_rate`.
    sigma_W, sigma_P : array_like
        Standard deviations of the normal weights that training starts from.
    H : array_like
        Heads.

    Returns
    -------
    ndarray
        NaN where nothing is random and V = L: nothing decides then.

    Examples
    --------
    >>> branch_odds([8, 9], 8, 0.3, 0.3).round(3), branch_odds(8, 8, 0.3, 0.3, H=[1, 2, 4]).round(3).tolist()
    (array([0.486, 0.787]), [0.486, 0.736, 0.93])
    """
    return evaluated("copying-odds", "p_H", V=V, L=L, sigma_W=sigma_W, sigma_P=sigma_P, eta_W=eta_W, eta_A=eta_A, H=H)


@lru_cache(maxsize=100_000)
def log_escape_constant(
    V: float, L: float, good: bool = True, p: float = 0.5, eta_W: float = 1.0, eta_A: float = 1.0
) -> float:
    """log K of the escape-time law for p_t = p: infinite where the branch does not reach it.

    The flow is integrated from very close to the saddle, on its unstable manifold, to p_t = p. On the mirror branch
    u < 0, so that the target is not above a word that is not in the input, and p_t is at most 1/(1 + V - L).

    Raises
    ------
    ValueError
        p is not above chance, 1/V, or not below 1.

    Examples
    --------
    >>> round(log_escape_constant(40, 40), 4), log_escape_constant(42, 40, good=False)
    (0.4651, inf)
    """
    from scipy.integrate import solve_ivp

    if not 1 / V < p < 1:
        raise ValueError(f"p = {p} must be between chance, 1/V = {1 / V:.4g}, and 1")
    if not good and p >= 1 / (1 + V - L):
        return math.inf
    sizes = {"V": V, "L": L, "eta_W": eta_W, "eta_A": eta_A}
    rate, direction, unit, rest = (
        float(evaluated(theorem, result, **sizes))
        for theorem, result in (
            ("copying-escape", "lambda"),
            ("copying-escape", "r"),
            ("copying-escape", "unit"),
            ("copying-linear", "rest"),
        )
    )
    flow, prediction = on_manifold()
    at = (V, L, eta_W, eta_A)

    def reached(t: float, y: NDArray[np.float64]) -> float:
        return prediction(*y, *at) - p

    reached.terminal = True  # type: ignore[attr-defined]
    start = NEAR if good else -NEAR
    found = solve_ivp(
        lambda t, y: flow(*y, *at), (0, FAR / rate), [start * direction, rest + start],
        method="LSODA", rtol=1e-10, atol=1e-16, events=reached,
    )  # fmt: skip
    return math.log(NEAR * unit) + rate * float(found.t_events[0][0]) if found.t_events[0].size else math.inf


NEAR = 1e-6
"""The distance from the saddle where its unstable manifold is begun; the relative error of K is of its order."""
FAR = 1e6
"""How long the slow end of a branch is followed, in units of the growth time."""


@cache
def on_manifold(module: str = "math") -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The flow of (u, a) and p_t on numbers."""
    symbols = (u, a, V, L, eta_W, eta_A)
    p_t = closed_form(symmetric("copying", "", DistinctWords()), "p_t")
    return lambdify(symbols, list(drift()), module, cse=True), lambdify(symbols, p_t, module, cse=True)


def escape_time(
    u0: ArrayLike,
    a0: ArrayLike,
    V: ArrayLike,
    L: ArrayLike,
    eta_W: ArrayLike = 1.0,
    eta_A: ArrayLike = 1.0,
    p: ArrayLike = 0.5,
) -> NDArray[np.float64]:
    """The time tau to p_t = p from small u0 and a0; infinite where it is never reached. All arguments are broadcast.

    Examples
    --------
    >>> escape_time([0.01, -0.01], [0.01, -0.01], 8, 8).round()
    array([ 307., 1310.])
    """
    import numpy as np

    c = unstable_coordinate(u0, a0, V, L, eta_W, eta_A)
    log_K = np.vectorize(log_escape_constant, otypes=[float])(V, L, c > 0, p, eta_W, eta_A)
    return evaluated("copying-escape", "tau", c=c, log_K=log_K, V=V, L=L, eta_W=eta_W, eta_A=eta_A)
