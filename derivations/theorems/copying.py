"""What follows from the two equations of copying: where they start, which way they go, how long it takes, how often.

Each theorem is derived by sympy from the symmetric reduction (:func:`derivations.reductions.copying`), step by step,
and says where it stops being exact. They are evaluated on numbers in :mod:`dynamics.problems.closed_forms`.

Training starts at a saddle, or close to one: with u = 0 nothing is known and attention does not move, and where
attention to the right position is 1/V, chance, nothing is learnt either. What starts on one side of its stable manifold
learns to attend to the right position (the good branch); what starts on the other side learns to attend everywhere else
(the mirror branch), which is slower.
"""

from __future__ import annotations

from functools import cache

from sympy import (
    Expr,
    Matrix,
    Poly,
    S,
    Symbol,
    cosh,
    erfc,
    exp,
    expand,
    eye,
    factor,
    log,
    simplify,
    sinh,
    solve,
    sqrt,
    symbols,
    zeros,
)

from derivations.program.language import scalars
from derivations.reductions.copying import eta_A, eta_W, squared_length, symmetric
from derivations.reductions.orbits import SIZES, DistinctWords, L, V
from derivations.reductions.unrolling import closed_form
from derivations.registry import theorem
from derivations.theorems.theorem import Step, Theorem

__all__ = ["border", "branch", "drift", "early_solution", "escape", "linearisation", "mean_attention", "odds"]

u, a, u0, a0, b = scalars("u a u_0 a_0 b")
f_uu, f_ua, f_aa, h_uu, h_ua, q_uu, q_ua, q_aa = scalars("f_uu f_ua f_aa h_uu h_ua q_uu q_ua q_aa")
rest, c, w, bend, shift, s_u, s_a, u_2, mean, p, p_1, p_H = scalars("rest c w bend shift s_u s_a u_2 mean p p_1 p_H")
kappa, rho = scalars("kappa rho")
variance, rate, omega, r, unit = scalars("variance lambda omega r unit", positive=True)
alpha, tau, k_W, k_A, g, d, signal, sigma_W, sigma_P, H = scalars(
    "alpha tau k_W k_A g d signal sigma_W sigma_P H", positive=True
)
"""alpha: attention to the right position where the flow is linearised."""


@cache
def drift() -> Matrix:
    """The flow of (u, a)."""
    program = symmetric("copying", DistinctWords())
    return Matrix([closed_form(program, name) for name in program.flow.values()])


RATES = {k_W: eta_W / squared_length(V), k_A: eta_A / squared_length(L)}
"""The rates of u and a."""
LOGIT = log(alpha * (L - 1) / (1 - alpha))
"""The a that gives attention alpha to the right position."""
CHANCE = log((L - 1) / (V - 1))
"""The a that gives it attention 1/V: the saddle."""
JACOBIAN = Matrix([[-k_W * d, k_W * g], [k_A * g, 0]])
DAMPING = (k_W * k_A * g**2 - rate**2) / (k_W * rate)
RATE = -k_W * d / 2 + sqrt((k_W * d / 2) ** 2 + k_W * k_A * g**2)
DECAY = -k_W * d - RATE
GROWING = Matrix([RATE / (k_A * g), 1])
LAMBDA = g * sqrt(k_W * k_A)
"""The linear flow in symbols: its matrix, d by the larger eigenvalue, both eigenvalues, the growing direction, the rate
without damping."""
OF_P = {"eta_A": "learning rate of the attention logits P"}
"""Positions have no A: its learning rate is that of P."""


def at(attention: Expr) -> dict[Symbol, Expr]:
    """The symbols of the linear flow where the right position has some attention."""
    found = linearisation().results
    return {**RATES, **{symbol: factored(found[symbol].subs(alpha, attention)) for symbol in (g, d)}}


def factored(value: Expr) -> Expr:
    """The factors of an expression, one of them V - L rather than L - V if that saves a sign."""
    found = factor(value)
    return (V - L) * (-found / (L - V)) if L - V in found.args and found.as_coeff_Mul()[0].is_negative else found


def with_rates(value: Expr) -> Expr:
    """What depends on the learning rates, by k_W and k_A."""
    return value.subs(
        {eta: eta * symbol / own for (symbol, own), eta in zip(RATES.items(), (eta_W, eta_A), strict=True)}
    )


@theorem("copying-linear", "Copying near u = 0", about=("copying", "positional"))
def linearisation() -> Theorem:
    """The flow near u = 0."""
    at_rest = drift().subs(u, 0)
    slope = with_rates(drift().jacobian([u, a]).subs(u, 0))
    coupling = alpha * (1 - alpha)
    damping = (alpha**2 + (1 - alpha) ** 2 / (L - 1) - 1 / V) / V
    direction = JACOBIAN * GROWING - RATE * GROWING
    return Theorem(
        domain=SIZES,
        hypotheses=("the symmetric reduction of copying", "u is small"),
        statement=(
            "Where `u = 0` and attention to the right position is alpha, a rests, whatever it is, and u moves at the "
            "rate `k_W (alpha - 1/V)`: attention above chance drives it up. So `u = 0`, `alpha = 1/V` is a fixed "
            "point, at `a = rest`. Near it `du/dtau = k_W (g (a - rest) - d u)` and `da/dtau = k_A g u`: with the "
            "rates `k_W` and `k_A`, the coupling g and the damping d. It is a saddle, which is left at the rate "
            "lambda. For permutations, `V = L`, it is the origin; with more words than positions the origin lies on "
            "its good side, where attention to the right position is above chance."
        ),
        results={**RATES, g: coupling, d: damping, rate: RATE, rest: CHANCE},
        steps=(
            Step(
                "at `u = 0`, what drives u",
                with_rates(at_rest[0].subs(a, LOGIT)),
                k_W * (alpha - 1 / V),
                "du/dtau",
            ),
            Step("at `u = 0`, a rests", at_rest[1], S.Zero, "da/dtau"),
            Step(
                "at `u = 0`, the Jacobian: -k_W d, k_W g, k_A g and 0",
                slope.subs(a, LOGIT),
                JACOBIAN.subs({g: coupling, d: damping}),
                ("d(du/dtau)/du", "d(du/dtau)/da", "d(da/dtau)/du", "d(da/dtau)/da"),
            ),
            Step(
                "at the origin, where `alpha = 1/L`, what drives u",
                with_rates(at_rest[0].subs(a, 0)),
                k_W * (1 / L - 1 / V),
                "du/dtau",
            ),
            Step(
                "at the origin, the coupling",
                slope[1, 0].subs(a, 0) / k_A,
                (L - 1) / L**2,
                "g",
            ),
            Step(
                "at the origin, the damping, which is 0 for permutations",
                -slope[0, 0].subs(a, 0) / k_W,
                (V - L) / (L * V**2),
                "d",
            ),
            Step(
                "at `u = 0`, `a = rest`, the fixed point",
                drift().subs({u: 0, a: CHANCE}),
                zeros(2, 1),
                ("du/dtau", "da/dtau"),
            ),
            Step(
                "the direction `(r, 1)` with `r = lambda/(k_A g)` grows at the rate lambda",
                direction,
                zeros(2, 1),
                ("k_W g - k_W d r - lambda r", "k_A g r - lambda"),
            ),
            Step(
                "a saddle: the product of both eigenvalues, lambda and `-(lambda + k_W d)`, is negative",
                RATE * DECAY,
                JACOBIAN.det(),
                "-lambda (lambda + k_W d)",
            ),
        ),
        meanings={"alpha": "attention to the right position where the flow is linearised", **OF_P},
        limits="first order in u, and in the distance of a from where the flow is linearised",
    )


@theorem("copying-early", "Copying at early times", about=("copying", "positional"))
def early_solution() -> Theorem:
    """The linear flow, solved."""
    half = k_W * d / 2
    root = sqrt(half**2 + k_W * k_A * g**2)
    still = Matrix([0, -signal / g])
    start = a0 + signal / g
    slope = Matrix([k_W * (g * start - d * u0 / 2), k_A * g * u0 + k_W * d * start / 2])
    symbolic = still + exp(-half * tau) * (cosh(omega * tau) * Matrix([u0, start]) + sinh(omega * tau) / omega * slope)
    path = symbolic.subs(omega, root)
    drive = Matrix([k_W * signal, 0])
    permutations = {d: 0, signal: 0}
    return Theorem(
        domain=SIZES,
        hypotheses=("the linear flow at the origin (copying-linear): `u = 0`, `alpha = 1/L`",),
        statement=(
            "From `u_0` and `a_0`, the linear flow `du/dtau = k_W (signal + g a - d u)`, `da/dtau = k_A g u` is "
            "solved by sums of cosh and sinh, damped at the rate `k_W d/2`. With more words than positions attention "
            "at the origin is above chance by `signal = 1/L - 1/V`, which acts as if a had started higher by "
            "`signal/g`. For permutations, `V = L`, signal and damping are 0, and "
            "`a = a_0 cosh(omega tau) + (k_A g/omega) u_0 sinh(omega tau)`."
        ),
        results={**at(1 / L), signal: 1 / L - 1 / V, omega: root, u: symbolic[0], a: symbolic[1]},
        steps=(
            Step("it starts where it should", path.subs(tau, 0), Matrix([u0, a0]), ("u(0)", "a(0)")),
            Step(
                "it solves the linear flow",
                path.diff(tau) - drive - JACOBIAN * path,
                zeros(2, 1),
                ("du/dtau - k_W (signal + g a - d u)", "da/dtau - k_A g u"),
            ),
            Step("for permutations, the rate", root.subs(permutations), LAMBDA, "omega"),
            Step(
                "for permutations, the path",
                symbolic.subs(permutations),
                Matrix(
                    [
                        u0 * cosh(omega * tau) + k_W * g / omega * a0 * sinh(omega * tau),
                        a0 * cosh(omega * tau) + k_A * g / omega * u0 * sinh(omega * tau),
                    ]
                ),
                ("u", "a"),
            ),
        ),
        meanings={"u_0": "u at `tau = 0`", "a_0": "`a` at `tau = 0`", **OF_P},
        limits="first order in u and a; the signal takes a off the point of linearisation by itself",
    )


@theorem("copying-branch", "Two branches of copying", about=("copying", "positional"))
def branch() -> Theorem:
    """Which way it goes."""
    weights = Matrix([[RATE / (k_W * g), 1]])
    by_rate = Matrix([[rate / (k_W * g), 1]])
    excess = Symbol("excess", positive=True)
    near = {V: L + excess}
    return Theorem(
        domain=SIZES,
        hypotheses=("the symmetric reduction of copying", "u is small, and a is close to `log((L - 1)/(V - 1))`"),
        statement=(
            "The saddle of copying-linear is at `u = 0`, `a = log((L - 1)/(V - 1))`; g and d are its coupling and its "
            "damping. Near it the unstable coordinate c, in which u has the weight w, grows at the rate lambda of the "
            "saddle. If c is positive, the right position is attended to in the end (the good branch); if it is "
            "negative, all others are (the mirror branch). For permutations, `V = L`, it is `c = a + sqrt(k_A/k_W) u`."
        ),
        results={**at(1 / V), rate: RATE, w: rate / (k_W * g), c: a - CHANCE + w * u},
        steps=(
            Step(
                "`(w, 1)` is a left eigenvector of the linear flow, with the eigenvalue lambda",
                weights * JACOBIAN - RATE * weights,
                zeros(1, 2),
                ("k_A g - w k_W d - lambda w", "w k_W g - lambda"),
            ),
            Step(
                "so c grows by itself",
                (by_rate * JACOBIAN.subs(d, DAMPING) * Matrix([u, c - by_rate[0] * u]))[0],
                rate * c,
                "dc/dtau",
            ),
            Step("without damping, the weight of u", RATE.subs(d, 0) / (k_W * g), sqrt(k_A / k_W), "w"),
            Step("there is no damping for permutations, `V = L`", at(1 / V)[d].subs(V, L), S.Zero, "d"),
            Step(
                "with few more words than positions, to first order in `excess = V - L`, the saddle is below the "
                "origin by what copying-early has, `signal/g`",
                Matrix([-CHANCE, (1 / L - 1 / V) / at(1 / L)[g]])
                .subs(near)
                .applyfunc(lambda x: x.series(excess, 0, 2).removeO()),
                Matrix([excess / (L - 1), excess / (L - 1)]),
                ("-log((L - 1)/(V - 1))", "signal/g"),
            ),
        ),
        meanings=OF_P,
        limits=(
            "first order in the distance from the saddle: the border is its stable manifold, with the tangent `c = 0`"
        ),
    )


@theorem("copying-border", "The border between the branches of copying", about=("copying", "positional"))
def border() -> Theorem:
    """The unstable coordinate to second order, and the border between the branches."""
    weight = rate / (k_W * g)
    place = Matrix([u, b])
    second = Matrix(
        [k_W * (f_uu * u**2 + 2 * f_ua * u * b + f_aa * b**2) / 2, k_A * (h_uu * u**2 + 2 * h_ua * u * b) / 2]
    )
    quadratic = q_uu * u**2 + q_ua * u * b + q_aa * b**2
    flow = JACOBIAN.subs(d, DAMPING) * place
    surplus = (Matrix([quadratic]).jacobian([u, b]) * flow)[0] - rate * quadratic + weight * second[0] + second[1]
    solution = solve(Poly(surplus, u, b).coeffs(), (q_uu, q_ua, q_aa), dict=True)[0]
    on_border = (q_uu - weight * q_ua + weight**2 * q_aa).subs(solution)
    bent = factor(on_border)
    curvatures = {
        symbol: factored(simplify(drift()[k].diff(x, y).subs(u, 0).subs(a, CHANCE) / RATES[own]))
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
        domain=SIZES,
        hypotheses=(
            "the symmetric reduction of copying",
            "u is small, and a is close to `log((L - 1)/(V - 1))`, to second order",
        ),
        statement=(
            "Let b be the distance of a from the saddle of copying-linear. With the quadratic form "
            "`q_uu u^2 + q_ua u b + q_aa b^2` added to it, the unstable coordinate c of copying-branch grows at the "
            "rate lambda to second order. Where c is 0 is the stable manifold of the saddle: the border between the "
            "branches, which is bent, `b + w u = -bend u^2`. Here `f_uu`, `f_ua` and `f_aa` are the second derivatives "
            "of `du/dtau` at the saddle, divided by `k_W`; `h_uu` and `h_ua` are those of `da/dtau`, divided by `k_A`."
        ),
        results={
            **at(1 / V),
            rate: RATE,
            w: rate / (k_W * g),
            **curvatures,
            **{symbol: factor(solution[symbol]) for symbol in (q_uu, q_ua, q_aa)},
            bend: bent,
            b: a - CHANCE,
            c: w * u + b + quadratic,
        },
        steps=(
            Step(
                "lambda is an eigenvalue of the linear flow",
                (RATE * eye(2) - JACOBIAN).det(),
                S.Zero,
                "lambda^2 + k_W d lambda - k_W k_A g^2",
            ),
            Step(
                "which gives the damping by lambda; d is eliminated with it in what follows",
                DAMPING.subs(rate, RATE),
                d,
                "(k_W k_A g^2 - lambda^2)/(k_W lambda)",
            ),
            Step(
                "a rests where `u = 0`, so that there is no term in b alone", drift()[1].subs(u, 0), S.Zero, "da/dtau"
            ),
            Step(
                "c grows at the rate lambda; at second order in u and b",
                surplus.subs(solution),
                S.Zero,
                "dc/dtau - lambda c",
            ),
            Step(
                "on the border `b = -w u` to first order, where the quadratic form is, for `u = 1`",
                on_border - bent,
                S.Zero,
                "q_uu - w q_ua + w^2 q_aa - bend",
            ),
            Step(
                "for permutations, how far the border is bent",
                bent.subs(permutations),
                -f_aa / (6 * g) * k_A / k_W,
                "bend",
            ),
        ),
        meanings=OF_P,
        recalled={"copying-branch": (k_W, k_A, g, d, rate, w)},
        limits="second order in u and b; at third order permutations have a resonance",
    )


@theorem("copying-attention", "Copying from rows of attention that differ", about=("copying", "positional"))
def mean_attention() -> Theorem:
    """What stands for a when the rows of P differ."""
    eps = (1 - alpha) / (L - 1)
    slope, curve = LOGIT.diff(alpha), LOGIT.diff(alpha, 2)
    own, other = alpha * (1 - alpha), -alpha * eps
    length = own**2 + (L - 1) * other**2
    laplacian = own * (1 - 2 * alpha) + (L - 1) * other * (1 - 2 * eps)
    moved = factor(simplify((slope * laplacian + curve * length / L).subs(alpha, 1 / L)) / 2)
    row = symbols("P_1:4", real=True)
    shares = [exp(x) / sum(map(exp, row)) for x in row]
    answer = log(sum(exp(u * share) for share in shares) + V - 3) - u * shares[0]
    attention = closed_form(symmetric("copying", DistinctWords()), "alpha")
    by_hand = Matrix(
        [shares[0].diff(row[0]), sum(shares[0].diff(x) ** 2 for x in row), sum(shares[0].diff(x, 2) for x in row)]
    )
    here = {row[0]: LOGIT.subs(L, 3), row[1]: 0, row[2]: 0}
    return Theorem(
        domain=SIZES,
        hypotheses=("`W = u delta` with u small", "any P"),
        statement=(
            "What drives u is alpha, the attention to the right position in the mean over all target positions, less "
            "chance. So the a of the symmetric reduction is the one that gives this attention, `log(alpha (L - 1)/(1 - "
            "alpha))`, and not the mean diagonal of P less its mean off-diagonal, from which it differs at second "
            "order. For normal P, with deviation `sigma_P`, the difference is `shift` on average. It is negative: a "
            "softmax over alike logits gives each position `1/L` on average, and the logarithm is a concave function "
            "of alpha below 1/2."
        ),
        results={a: LOGIT, shift: moved * sigma_P**2},
        steps=(
            Step(
                "with three positions, the first of them the right one, and their logits `P_1`, `P_2`, `P_3`, the "
                "slope of the loss of one target at `u = 0` is chance less attention",
                answer.diff(u).subs(u, 0),
                1 / V - shares[0],
                "dloss/du",
            ),
            Step(
                "where the rows are alike, `alpha = exp(a)/(exp(a) + L - 1)`, a is what it was",
                LOGIT.subs(alpha, attention),
                a,
                "log(alpha (L - 1)/(1 - alpha))",
            ),
            Step(
                "how attention depends on the logits of its row, with three positions, where `P_2 = P_3 = 0`",
                by_hand.subs(here),
                Matrix([own, 3 * own**2 / 2, own * (1 - 3 * alpha)]),
                ("dalpha/dP_1", "sum_p (dalpha/dP_p)^2", "sum_p d^2 alpha/dP_p^2"),
            ),
            Step(
                "and with L positions",
                Matrix([length, laplacian]),
                Matrix([L * own**2, 2 * own * (1 - L * alpha)]) / (L - 1),
                ("sum_p (dalpha/dP_p)^2", "sum_p d^2 alpha/dP_p^2"),
            ),
            Step(
                "logits of the right position that rise in all rows together move a by as much; it does not bend along "
                "them, so that the shift is the same for every mean diagonal",
                slope * own,
                S.One,
                "(da/dalpha) dalpha/dP_1",
            ),
            Step(
                "`shift/sigma_P^2`, as alpha is a mean of L rows, and the second derivatives of attention add up to 0 "
                "at `alpha = 1/L`",
                moved,
                -(L - 2) / (2 * L * (L - 1)),
                "(d^2 a/dalpha^2) sum_p (dalpha/dP_p)^2/(2 L)",
            ),
        ),
        meanings={
            "alpha": "attention to the right position, in the mean over target positions",
            "sigma_P": "standard deviation of the entries of P",
        },
        limits=(
            "second order in P; the next order, in the mean of a and in its variance, is the fourth. What a W that is "
            "not symmetric adds at second order is zero on average, and is left out"
        ),
    )


@theorem(
    "copying-odds",
    "Odds of the good branch",
    about=("copying", "copying-heads-{}", "positional", "positional-heads"),
)
def odds() -> Theorem:
    """How often, when the first weights are random."""
    known = border().results
    upto = list(known)[: list(known).index(bend) + 1]
    seen = s_u * s_a / variance + (w * s_u * rest / variance) ** 2
    given = s_u - (w * s_u) ** 2 / variance + (w * s_u / variance * rest) ** 2
    total = s_a + w**2 * s_u
    return Theorem(
        domain=SIZES,
        hypotheses=(
            "W and P are independent and normal, with deviations `sigma_W` and `sigma_P`",
            "both deviations are small, to second order",
        ),
        statement=(
            "At the start u and a are normal, with the variances `s_u` and `s_a`. At first order so is the unstable "
            "coordinate `c = w u + a - rest`: its mean is `-rest`, `variance` is its variance, and `p_1` is the "
            "probability that it is positive. At second order its mean also has `shift`, the mean of `a` "
            "(copying-attention), and the bend of the border (copying-border) times `u_2`, the mean of `u^2` on it; "
            "with this `mean`, p is the probability of the good branch. H heads are at the saddle together, and each "
            "leaves it by itself, at the rate `lambda/H`, so that at least one of them is good with the probability "
            "`p_H`."
        ),
        results={
            **{symbol: known[symbol] for symbol in upto},
            rest: CHANCE,
            s_u: sigma_W**2 / squared_length(V),
            s_a: sigma_P**2 / squared_length(L),
            variance: total,
            u_2: seen,
            shift: mean_attention().results[shift],
            mean: -rest + shift + bend * u_2,
            p_1: erfc(rest / sqrt(2 * variance)) / 2,
            p: erfc(-mean / sqrt(2 * variance)) / 2,
            p_H: 1 - (1 - p) ** H,
        },
        steps=(
            Step(
                "u is the mean of the V diagonal weights less the mean of all others, with the variance",
                1 / squared_length(V),
                pairs(V),
                "s_u/sigma_W^2",
            ),
            Step("and that of a, over the positions", 1 / squared_length(L), pairs(L), "s_a/sigma_P^2"),
            Step(
                "for permutations the odds are even at first order",
                erfc(CHANCE.subs(V, L) / sqrt(2 * variance)) / 2,
                S.Half,
                "p_1",
            ),
            Step(
                "the mean of `u^2` where `c = 0` is the variance of a normal given another, plus its mean squared",
                seen.subs(s_a, variance - w**2 * s_u),
                given,
                "u_2",
            ),
            *two_heads(),
        ),
        meanings={
            "sigma_W": "standard deviation of the entries of W",
            "sigma_P": "standard deviation of the entries of P",
            **OF_P,
        },
        recalled={"copying-border": tuple(upto)},
        limits=(
            "second order in the weights; heads feel each other through the damping if `V > L`, and once they are grown"
        ),
    )


def pairs(size: Expr) -> Expr:
    """The variance of the mean of the diagonal, and that of all else."""
    return 1 / size + 1 / (size * (size - 1))


def two_heads() -> tuple[Step, Step]:
    """How head 1 moves at the saddle, by its own states and by those of head 2."""
    program = symmetric("copying-heads-2", DistinctWords(2))
    values, logits = program.states[:2], program.states[2:]
    head = list(zip(values, logits, strict=True))
    saddle = {**dict.fromkeys(values, S.Zero), **dict.fromkeys(logits, CHANCE)}
    first = Matrix([closed_form(program, program.flow[x.name]) for x in head[0]])
    own, other = (with_rates(first.jacobian(states).subs(saddle)) for states in head)
    concrete = {symbol: value for symbol, value in at(1 / V).items() if symbol in (g, d)}
    damping = Matrix([[-k_W * d / 4, 0], [0, 0]])
    return (
        Step(
            "with two heads, at the saddle, head 1 moves by its own states as one alone at half its rate, and with "
            "half of the damping, `-k_W d/4`, `k_W g/2`, `k_A g/2` and 0",
            own,
            (damping + JACOBIAN.subs(d, 0) / 2).subs(concrete),
            ("d(du_1/dtau)/du_1", "d(du_1/dtau)/da_1", "d(da_1/dtau)/du_1", "d(da_1/dtau)/da_1"),
        ),
        Step(
            "and it does not feel head 2, but for the other half of the damping",
            other,
            damping.subs(concrete),
            ("d(du_1/dtau)/du_2", "d(du_1/dtau)/da_2", "d(da_1/dtau)/du_2", "d(da_1/dtau)/da_2"),
        ),
    )


@theorem("copying-escape", "Escape time of copying", about=("copying", "positional"))
def escape() -> Theorem:
    """How long it takes."""
    weights, growing = Matrix([[rate / (k_W * g), 1]]), Matrix([rate / (k_A * g), 1])
    own = 1 + rate**2 / (k_W * k_A * g**2)
    p_t = closed_form(symmetric("copying", DistinctWords()), "p_t")
    return Theorem(
        domain=SIZES,
        hypotheses=border().hypotheses,
        statement=(
            "From a start with the unstable coordinate c (copying-border), the prediction `p_t` of the target reaches "
            "a given value at the time `tau = (kappa - log |c|)/lambda`, where lambda is the rate of the saddle. Each "
            "branch has its constant kappa: the limit of `lambda tau + log |c|` as the flow starts closer and closer "
            "to the saddle on its unstable manifold. It is a quadrature along that manifold, done once for given V, L, "
            "learning rates and `p_t`; the rest is closed form. The manifold leaves the saddle in the direction "
            "`(r, 1)`, in which c is `unit` times the distance of a."
        ),
        results={**at(1 / V), rate: RATE, r: rate / (k_A * g), unit: own, tau: (kappa - log(abs(c))) / rate},
        steps=(
            Step(
                "on the manifold, close to the saddle, `u = r rho` and `a = rest + rho`, where c is",
                (weights * (rho * growing))[0],
                rho * own,
                "w r rho + rho",
            ),
            Step("without damping", own.subs(rate, RATE).subs(d, 0), S(2), "unit"),
            Step(
                "the prediction by u and alpha, the attention to the right position; where `u < 0` the last "
                "exponential is above 1, so that `p_t` is below `1/(1 + V - L)`",
                expand((1 / p_t.subs(a, LOGIT)).replace(exp, lambda x: exp(simplify(x)))),
                1 + (L - 1) * exp(u * ((1 - alpha) / (L - 1) - alpha)) + (V - L) * exp(-u * alpha),
                "1/p_t",
            ),
        ),
        meanings={
            "c": "unstable coordinate of the start",
            "kappa": "constant of the branch, for given `p_t`",
            **OF_P,
        },
        recalled={"copying-branch": (k_W, k_A, g, d, rate)},
        limits=(
            "an error of `lambda tau` that is of second order in the distance of the start from the saddle. On the "
            "mirror branch `p_t` stays below `1/(1 + V - L)`, as the target does not get above the words that are not "
            "in the input, and values above it are never reached"
        ),
    )
