"""Which way stochastic descent leaves a saddle: the odds of two branches where the noise of batches decides."""

from __future__ import annotations

from sympy import Matrix, S, Symbol, erfc, exp, integrate, limit, oo, pi, sqrt, symbols

from derivations.program.language import scalars
from derivations.registry import theorem
from derivations.theorems.theorem import Step, Theorem

__all__ = ["noisy_saddle"]

w_0, ratio, p = scalars("w_0 z p")
mu, kappa, nu, lr, batch, rate = scalars("mu kappa nu lr batch lambda", positive=True)


SMALL = "lim z/sqrt(2 lambda batch/(lr kappa))"


@theorem(
    "copying-noise-odds",
    "Odds of two branches where the noise of batches decides",
    about=("copying", "positional"),
)
def noisy_saddle() -> Theorem:
    """How often stochastic descent leaves a saddle by one side."""
    step = Matrix([[1 + lr * rate, mu], [lr * rate, mu]])
    row = Matrix([[nu - mu, mu]])
    growing = (nu - 1) * (nu - mu) / (nu * lr)  # the rate, of a factor nu
    n, above, excess = Symbol("n", integer=True, positive=True), Symbol("above", positive=True), symbols("x", real=True)
    of = 1 + above  # a factor above 1
    spread = sum(of ** (-2 * S(j)) for j in range(4))
    plain, flow = 1 + lr * rate, sqrt(2 * rate * batch / (lr * kappa))
    told = (nu - mu) * w_0 * sqrt(batch * (1 - nu**-2) / kappa) / lr
    first = 1 + lr * rate / (1 - mu)
    keeping = symbols("keeping", positive=True)  # 1 - mu
    return Theorem(
        source="N. G. van Kampen, Stochastic Processes in Physics and Chemistry, chapter XI; M. Suzuki 1976",
        hypotheses=(
            "the flow has a saddle with one unstable direction: along its left eigenvector the coordinate w grows at "
            "the rate `lambda`",
            "a step of descent moves w by `lr` times `lambda w` plus noise, of mean 0 and variance `kappa/batch`, "
            "which is independent from step to step; momentum keeps `mu` of the velocity, which is 0 at first",
            "noise adds up from many steps: `lr lambda` is small, and w is normal",
        ),
        statement=(
            "With its velocity w grows by the factor nu a step. Divided by `nu^k` the growing coordinate stays but for "
            "the noise of each step, whose part shrinks as `nu^(-2k)`: it converges, to a normal number of which the "
            "start is the mean. Descent leaves by the side on which this number is, the positive one with the "
            "probability p. At small `lr` z is `w_0 sqrt(2 lambda batch (1 - mu)/(lr kappa))`: what decides is "
            "the start over a length that goes by the root of `lr/batch`, where momentum counts as its effective "
            "learning rate `lr/(1 - mu)`. A start on the border, `w_0 = 0`, has even odds whatever the noise."
        ),
        domain={},
        results={
            nu: (1 + lr * rate + mu + sqrt((1 + lr * rate + mu) ** 2 - 4 * mu)) / 2,
            ratio: told,
            p: erfc(-ratio / sqrt(2)) / 2,
        },
        steps=(
            Step(
                "of w and its velocity the row `nu - mu, mu` grows by nu a step, with a rate `lambda` that makes nu "
                "the larger root of `nu^2 - (1 + lr lambda + mu) nu + mu`",
                (row * step).subs(rate, growing), nu * row, ("row_w", "row_v"),
            ),
            Step(
                "the noise of a step moves both alike, and this row by nu times as much",
                (row * Matrix([1, 1]))[0], nu, "row_w + row_v",
            ),
            Step(
                "so that noise of j steps, of variance `lr^2 kappa/batch` each, adds up to a geometric sum; of four",
                spread, (1 - of**-8) / (1 - of**-2), "sum(nu^(-2 j))",
            ),
            Step(
                "which converges",
                limit((1 - of ** (-2 * n)) / (1 - of**-2), n, oo), 1 / (1 - of**-2), "lim sum(nu^(-2 j))",
            ),
            Step(
                "a normal number of mean z and variance 1 is positive with the probability",
                integrate(exp(-((excess - ratio) ** 2) / 2) / sqrt(2 * pi), (excess, 0, oo)).simplify(),
                erfc(-ratio / sqrt(2)) / 2, "p",
            ),
            Step(
                "without momentum the row is `nu` w, and z is",
                told.subs(mu, 0).subs(nu, plain), w_0 * sqrt(batch * (plain**2 - 1) / kappa) / lr, "z",
            ),
            Step(
                "at small `lr` this is that of the flow",
                limit(told.subs(mu, 0).subs(nu, plain) / flow, lr, 0, "+"), w_0, SMALL,
            ),
            Step(
                "and with momentum, of which nu is `1 + lr lambda/(1 - mu)` at first order,",
                limit((told.subs(nu, first) / flow).subs(mu, 1 - keeping), lr, 0, "+"), w_0 * sqrt(keeping), SMALL,
            ),
        ),
        meanings={
            "w_0": "how far the start is from the border of the branches, in the unstable coordinate",
            "lambda": "rate at which the unstable coordinate grows",
            "kappa": "variance of the flow of single examples along the unstable coordinate",
            "batch": "examples of a step",
            "lr": "learning rate",
            "mu": "momentum",
            "nu": "factor by which the unstable coordinate grows in a step",
            "z": "start over noise",
            "p": "probability of the branch on the positive side",
        },
        limits=(
            "linear near the saddle, with the noise that is there at the start; `kappa` must not change while w is "
            "small. The border is curved: w_0 is measured from where the flow without noise goes neither way. Where "
            "all is symmetric, copying from u = 0 and a at chance, `kappa` vanishes, and what decides is of second "
            "order"
        ),
    )  # fmt: skip
