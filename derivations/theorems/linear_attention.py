"""The staircase of linear attention: its levels, and when it goes from each to the next.

Derived by sympy from the flow on the population (:func:`derivations.reductions.linear_attention.linear_attention`),
and evaluated on numbers in :mod:`dynamics.problems.closed_forms.linear_attention`.
"""

from __future__ import annotations

from functools import cache

from sympy import (
    Expr,
    Integer,
    Matrix,
    Rational,
    S,
    Symbol,
    atan,
    diff,
    exp,
    log,
    pi,
    simplify,
    sqrt,
    symbols,
)

from derivations.program.language import scalars
from derivations.reductions.linear_attention import ZHANG, linear_attention
from derivations.registry import theorem
from derivations.theorems.few_words import entry, rated, sized, written_out
from derivations.theorems.theorem import Step, Theorem

__all__ = ["merged", "staircase"]

lambda_, N, T, B, a, delta, omega, t_half, off, G, rate, tau = scalars(
    "lambda N T B a delta omega t_half off G rate tau", positive=True
)
lambda_1, lambda_2, small, y = scalars("lambda_1 lambda_2 epsilon y", positive=True)
p, m, s, u, level = scalars("p m s u L")


@cache
def flow_of(heads: int) -> dict[str, Expr]:
    """The flow of some heads on two directions, entry by entry: the first head has v, k_1, k_2, q_1, q_2."""
    program = linear_attention()
    given: dict[Expr, Expr] = {**sized(D=2, H=heads), **rated("v", "K", "Q"), Symbol("N", real=True): N}
    given |= {entry("Lambda", 0): lambda_1, entry("Lambda", 1): lambda_2}
    for head in range(heads):
        given[entry("v", head)] = Symbol(f"v_{head + 1}", real=True)
        for j in range(2):
            given[entry("K", head, j)] = Symbol(f"k_{head + 1}{j + 1}", real=True)
            given[entry("Q", head, j)] = Symbol(f"q_{head + 1}{j + 1}", real=True)
    found = written_out(program.definitions, program.extents, given)
    names = {"loss": found[Symbol("loss", real=True)]}
    for head in range(heads):
        names[f"v{head}"] = found[entry("vdot", head)]
        for j in range(2):
            names[f"k{head}{j}"] = found[entry("Kdot", head, j)]
            names[f"q{head}{j}"] = found[entry("Qdot", head, j)]
    return names


def of_head(head: int, *names: str) -> tuple[Symbol, ...]:
    return tuple(Symbol(f"{name[0]}_{head}{name[1:]}", real=True) for name in names)


def gaussian(*moments: tuple[Expr, int]) -> Expr:
    """The mean of a product of powers of independent normal numbers of given variances."""
    product: Expr = S.One
    for variance, power in moments:
        if power % 2:
            return S.Zero
        product *= variance ** (power // 2) * Integer(1 if power < 4 else 3)
    return product


def second_moment() -> Expr:
    """``E[beta_1^2]`` of N tokens with two directions, from the fourth moments: pairs of tokens, and single ones."""
    same = gaussian((lambda_1, 4)) + gaussian((lambda_1, 2), (lambda_2, 2))
    return ((N - 1) * lambda_1**2 + same) / N


MOMENT = lambda_**2 * (1 + (1 + T / lambda_) / N)
HALF = (1 - 1 / sqrt(2)) ** Rational(1, 3)
"""The share of its last size at which a head has brought half of what it brings."""


def integral(y: Expr) -> Expr:
    """The integral of ``x/(1 - x^3)`` from 0 to y."""
    return log(1 + y + y**2) / 6 - log(1 - y) / 3 - (atan((2 * y + 1) / sqrt(3)) - pi / 6) / sqrt(3)


def aligned() -> tuple[Expr, Expr]:
    """How fast a head grows that has come to one direction, and the loss on the way: v, k and q are all omega."""
    flow = flow_of(1)
    on = dict(zip(of_head(1, "v", "k1", "k2", "q1", "q2"), (omega, omega, S.Zero, omega, S.Zero), strict=True))
    return flow["v0"].subs(on), flow["loss"].subs(on)


@theorem("stage-by-stage", "The staircase of linear attention", about=("linear-attention",))
def staircase() -> Theorem:
    """Levels of the loss, and the times between them."""
    one, two = flow_of(1), flow_of(2)
    speed, on_the_way = aligned()
    B_1 = second_moment()
    learnt = lambda_1**2 / (B_1 * lambda_1)
    # A second head beside one that has learnt the first direction.
    done = {Symbol("v_1", real=True): 1, Symbol("k_11", real=True): learnt, Symbol("q_11", real=True): 1}
    done |= {Symbol("k_12", real=True): 0, Symbol("q_12", real=True): 0}
    tiny = {symbol: small * symbol for symbol in of_head(2, "v", "k1", "k2", "q1", "q2")}
    second = {name: two[name].subs(done).xreplace(tiny) for name in ("v1", "k10", "k11", "q10", "q11")}
    v_2, k_22, q_22 = of_head(2, "v", "k2", "q2")

    def order(value: Expr) -> Expr:
        """The coefficient of second order in the size of the second head."""
        return simplify(diff(value, small, 2).subs(small, 0) / 2)

    v_1, k_11, k_12, q_11, q_12 = of_head(1, "v", "k1", "k2", "q1", "q2")
    first_order = {symbol: small * symbol for symbol in (v_1, k_11, k_12, q_11, q_12)}
    early = {name: order(value.xreplace(first_order)) for name, value in one.items()}
    key, query = (p * exp(lambda_**2 * s) + sign * m * exp(-(lambda_**2) * s) for sign in (1, -1))
    return Theorem(
        hypotheses=(
            "inputs are Gaussian with covariance Lambda, whose eigenvalues differ; weights are normal; infinitely many "
            "contexts of N tokens",
            "H heads with keys and queries of rank one, small at the start, with rates of 1",
        ),
        statement=(
            "Near zero, and near each plateau, a small head does not feel the other small ones. In the eigenvectors of "
            "the inputs its key and query are `k = p e^(lambda^2 s) + m e^(-lambda^2 s)` and "
            "`q = p e^(lambda^2 s) - m e^(-lambda^2 s)`, where `ds/dtau = 2 v`, and `v^2` minus the square of k stays "
            "as it is: so a head is at infinity after a time that is one integral, `tau` over s of `1/(2 v)`. The "
            "first head to get there has come to the direction of the largest lambda. It stops at `omega`, where this "
            "direction drives no head any more, and the loss has fallen by `delta`. The others have waited, and go on "
            "from where they are, with the directions that are left. So the loss visits the levels `T` minus the sum "
            "of the `delta` of the largest eigenvalues, one after another. Half of a fall is over `t_half` after the "
            "time at infinity (before it, as `t_half` is negative), and the others are driven by this direction "
            "as if it were whole until `off` after it."
        ),
        results={
            B: MOMENT,
            a: lambda_ / B,
            delta: lambda_**2 * a,
            omega: a ** Rational(1, 3),
            t_half: (integral(HALF) - 1 / HALF) / (2 * lambda_**2 * omega),
            off: -1 / (2 * lambda_**2 * omega),
        },
        steps=(
            Step(
                "the mean square of the correlation along the first of two directions, from the fourth moments",
                second_moment(),
                MOMENT.subs({T: lambda_1 + lambda_2}).subs(lambda_, lambda_1),
                "E[beta_1^2]",
            ),
            Step(
                "near zero the value is driven by the key and the query of its head",
                early["v0"],
                2 * (lambda_1**2 * k_11 * q_11 + lambda_2**2 * k_12 * q_12),
                "dv/dtau",
            ),
            Step(
                "the key by the value and the query, direction by direction",
                Matrix([early["k00"], early["k01"]]),
                Matrix([2 * v_1 * lambda_1**2 * q_11, 2 * v_1 * lambda_2**2 * q_12]),
                ("dk_1/dtau", "dk_2/dtau"),
            ),
            Step(
                "the query by the value and the key",
                Matrix([early["q00"], early["q01"]]),
                Matrix([2 * v_1 * lambda_1**2 * k_11, 2 * v_1 * lambda_2**2 * k_12]),
                ("dq_1/dtau", "dq_2/dtau"),
            ),
            Step(
                "so with `ds/dtau = 2 v` key and query are exponentials of s",
                Matrix([diff(key, s), diff(query, s)]),
                Matrix([lambda_**2 * query, lambda_**2 * key]),
                ("dk/ds", "dq/ds"),
            ),
            Step(
                "and `v^2` moves as the square of the key does, far from zero too",
                v_1 * one["v0"] - k_11 * one["k00"] - k_12 * one["k01"],
                S.Zero,
                "d(v^2 - k_1^2 - k_2^2)/dtau / 2",
            ),
            Step(
                "a head that has come to one direction, with v, k and q all of the size omega, grows by",
                speed,
                2 * omega**2 * (lambda_1**2 - B_1 * lambda_1 * omega**3),
                "domega/dtau",
            ),
            Step(
                "and rests where `omega^3` is `a`",
                speed.subs(omega, learnt ** Rational(1, 3)),
                S.Zero,
                "domega/dtau",
            ),
            Step(
                "there the loss has fallen by",
                simplify((lambda_1 + lambda_2 - on_the_way).subs(omega, learnt ** Rational(1, 3))),
                lambda_1 / (1 + (1 + (lambda_1 + lambda_2) / lambda_1) / N),
                "delta",
            ),
            Step(
                "beside it a second, small head is not driven along this direction, nor is its value by it",
                Matrix([order(second["v1"]), order(second["k10"]), order(second["q10"])]),
                Matrix([2 * lambda_2**2 * k_22 * q_22, 0, 0]),
                ("dv/dtau", "dk_1/dtau", "dq_1/dtau"),
            ),
            Step(
                "but along the other as before",
                Matrix([order(second["k11"]), order(second["q11"])]),
                Matrix([2 * lambda_2**2 * v_2 * q_22, 2 * lambda_2**2 * v_2 * k_22]),
                ("dk_2/dtau", "dq_2/dtau"),
            ),
            Step(
                "of y, its size in units of the last one, the time in units of `1/(2 lambda^2 omega)` grows by "
                "`1/(y^2 (1 - y^3))`, which is that of a head alone, `1/y^2`, and",
                1 / (y**2 * (1 - y**3)) - 1 / y**2,
                diff(integral(y), y),
                "dtau/dy - 1/y^2",
            ),
            Step("of which the integral from 0 is meant", integral(S.Zero), S.Zero, "tau - 1/y"),
            Step(
                "half of the fall `2 y^3 - y^6` is over at",
                2 * HALF**3 - HALF**6,
                Rational(1, 2),
                "2 y^3 - y^6",
            ),
            Step(
                "the drive that is left, `1 - y^3`, adds up from y to 1 to that of the time to infinity, less the last",
                diff(1 / y - 1, y),
                -(1 - y**3) / (y**2 * (1 - y**3)),
                "d(1/y - 1)/dy",
            ),
        ),
        meanings={
            "lambda": "eigenvalue of the covariance of inputs",
            "N": "tokens of a context",
            "T": "trace of the covariance, the loss at the start",
            "B": "second moment of the correlation in the context, along an eigenvector",
            "a": "what all heads together do along a direction that is learnt",
            "delta": "by how much the loss falls when a direction is learnt",
            "omega": "size of value, key and query of a head that has learnt a direction",
            "t_half": "time from infinity, of the head alone, to half of the fall",
            "off": "time from infinity to the end of the drive of others",
            "s": "time of a head: its value, added up twice",
        },
        limits=(
            "first order in the size of the heads that wait, which must be small beside omega: from a normal start of "
            "size 0.02 times are within a few per cent, from 0.05 within 15; heads fewer than directions stop at the "
            "level that they can reach; two heads that arrive together share a direction"
        ),
        source=ZHANG,
    )


@cache
def of_merged() -> tuple[tuple[Symbol, ...], Expr]:
    """The states of one head with a matrix U for key and query, on two directions, and its loss."""
    v, *U = states = symbols("v U_11 U_12 U_21 U_22", real=True)
    model = linear_attention().model
    assert model is not None
    given: dict[Expr, Expr] = {**sized(D=2, H=1), Symbol("N", real=True): N}
    given |= {entry("Lambda", 0): lambda_1, entry("Lambda", 1): lambda_2}
    given |= {entry("A", i, j): v * U[2 * i + j] for i in range(2) for j in range(2)}
    rest = [d for d in model.definitions if d.name != "A"]
    return states, written_out(rest, model.extents, given)[Symbol("loss", real=True)]


@theorem("stage-all-at-once", "The one drop of linear attention with merged keys", about=("linear-attention",))
def merged() -> Theorem:
    """Merged keys and queries learn all directions at once."""
    (v, U_11, U_12, U_21, U_22), loss = of_merged()
    every = {symbol: small * symbol for symbol in (v, U_11, U_12, U_21, U_22)}

    def near_zero(state: Symbol) -> Expr:
        """The flow of a state to first order in the size of all."""
        return simplify(diff(-diff(loss, state).xreplace(every), small).subs(small, 0))

    norm = sqrt(lambda_1**4 + lambda_2**4)
    along = (lambda_1**2 * U_11 + lambda_2**2 * U_22) / norm
    rates = {state: near_zero(state) for state in (v, U_11, U_12, U_21, U_22)}
    moments = [MOMENT.subs({T: lambda_1 + lambda_2}).subs(lambda_, one) for one in (lambda_1, lambda_2)]
    best = {v: S.One, U_11: lambda_1 / moments[0], U_22: lambda_2 / moments[1], U_12: S.Zero, U_21: S.Zero}
    fall = sum(one / (1 + (1 + (lambda_1 + lambda_2) / one) / N) for one in (lambda_1, lambda_2))
    moving = {u: along, G: norm}
    return Theorem(
        hypotheses=(
            "inputs are Gaussian with covariance Lambda; weights are normal; infinitely many contexts of N tokens",
            "H heads with a matrix U in place of key and query, small at the start, with rates of 1",
        ),
        statement=(
            "Near zero `dv/dtau = 2 tr(U^T Lambda^2)` and `dU/dtau = 2 v Lambda^2`. So along the square of the "
            "covariance, of norm G, v and `u = tr(U^T Lambda^2)/G` of every head grow together at the `rate` below, "
            "and the other entries of U stay as small as they are: nothing is learnt until all directions are learnt, "
            "and the loss falls once, from T to L. To start from a tenth of the size costs `log(10)/rate`."
        ),
        results={G: norm, rate: 2 * G, level: lambda_1 + lambda_2 - fall},
        steps=(
            Step("near zero the value moves by", rates[v], (2 * G * u).xreplace(moving), "dv/dtau"),
            Step(
                "the part of U along the square of the covariance by",
                along.xreplace({U_11: rates[U_11], U_22: rates[U_22]}),
                (2 * G * v).xreplace(moving),
                "du/dtau",
            ),
            Step(
                "so that their sum grows at the rate 2 G",
                rates[v] + along.xreplace({U_11: rates[U_11], U_22: rates[U_22]}),
                (2 * G * (v + u)).xreplace(moving),
                "d(v + u)/dtau",
            ),
            Step(
                "what is across the square of the covariance rests",
                Matrix([lambda_2**2 * rates[U_11] - lambda_1**2 * rates[U_22], rates[U_12], rates[U_21]]),
                Matrix([0, 0, 0]),
                ("d(lambda_2^2 U_11 - lambda_1^2 U_22)/dtau", "dU_12/dtau", "dU_21/dtau"),
            ),
            Step(
                "the loss rests where both directions are learnt",
                Matrix([diff(loss, state).xreplace(best) for state in (v, U_11, U_12, U_21, U_22)]),
                Matrix([0, 0, 0, 0, 0]),
                ("dL/dv", "dL/dU_11", "dL/dU_12", "dL/dU_21", "dL/dU_22"),
            ),
            Step("and is there", loss.xreplace(best), lambda_1 + lambda_2 - fall, "L"),
        ),
        meanings={
            "lambda_1": "eigenvalue of the covariance of inputs",
            "lambda_2": "the other one, of two",
            "N": "tokens of a context",
            "G": "norm of the square of the covariance",
            "rate": "at which heads grow near zero",
            "L": "loss at the end, for two directions",
        },
        limits=(
            "first order in the size of the start; the fall itself is integrated, for one head that stands for all"
        ),
        source=ZHANG,
    )
