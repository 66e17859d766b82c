"""Optimisers: running averages of the gradient, and the direction that they give; said once for steps and for flows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sympy import Abs, Expr, Float, S, Symbol, erf, log, sign, sqrt

from derivations.program.language import indices, scalars, tensors
from derivations.program.program import Definition, Program, ProgramError

__all__ = ["DECAYS", "RULES", "Average", "Rule", "kept_before", "one_step", "rule_of"]

DECAYS = ("none", "coupled", "decoupled")
"""Weight decay: none; added to the gradient; or apart from it, as in AdamW."""

NOTHING = Float("1e-300")
"""Added to what is divided by and may be 0 where what is divided is 0."""

gradient, power, variance, velocity, mean, square = scalars("gradient power variance velocity mean square")
momentum, beta_1, beta_2, eps = scalars("momentum beta_1 beta_2 eps", positive=True)
lr, decay = scalars("lr decay", nonnegative=True)


@dataclass(frozen=True)
class Average:
    """A running average: ``average <- beta average + gain value`` at every step, from zero.

    Attributes
    ----------
    symbol : Symbol
        What directions call it.
    value : Expr
        Of the ``gradient`` and its mean square, the ``power``.
    beta, gain : Expr
    corrected : bool
        Divided by ``1 - beta^k`` after k steps, which makes it an average of what it has seen.
    note : str
    """

    symbol: Symbol
    value: Expr
    beta: Symbol
    gain: Expr
    corrected: bool
    note: str

    @property
    def limit(self) -> Expr:
        """What it is of a gradient that stays as it is."""
        return self.value * self.gain / (1 - self.beta)


@dataclass(frozen=True)
class Rule:
    """An optimiser: ``state <- state - lr direction``.

    Attributes
    ----------
    name, title, source : str
    averages : tuple of Average
    direction : Expr
        Of the gradient, the averages and the parameters.
    decay : str
        How weights decay unless said otherwise: ``coupled`` or ``decoupled``.
    mean_direction, smooth_direction : Expr, optional
        In place of the direction, for the flow: its mean over batches, of the ``variance`` of their gradients; and for
        the full gradient, where it jumps.
    """

    name: str
    title: str
    source: str
    averages: tuple[Average, ...]
    direction: Expr
    decay: str = "coupled"
    mean_direction: Expr | None = None
    smooth_direction: Expr | None = None

    @property
    def parameters(self) -> tuple[Symbol, ...]:
        """What it is told, other than the learning rate and the decay."""
        known = {gradient, power, variance, *(one.symbol for one in self.averages)}
        directions = [one for one in (self.direction, self.smooth_direction) if one is not None]
        found = set().union(*(one.free_symbols for one in directions), (one.beta for one in self.averages)) - known
        return tuple(sorted(found, key=str))

    @property
    def is_adaptive(self) -> bool:
        """Whether it divides by the size of the gradient: what a gradient is, and not only where it points, matters."""
        return self.name not in ("descent", "momentum", "nesterov")

    @property
    def limit(self) -> Expr:
        """The direction where all averages are of the present: of gradients that change slowly, or without memory."""
        return self.direction.xreplace({one.symbol: one.limit for one in self.averages})

    def in_flow(self, noisy: bool) -> Expr:
        """The direction that a flow takes: the mean over batches where there are such, without jumps where not."""
        return (self.mean_direction if noisy else self.smooth_direction) or self.direction


KINGMA = "Kingma, Ba, Adam: A Method for Stochastic Optimization, arXiv 1412.6980, algorithm 1"
VELOCITY = Average(velocity, gradient, momentum, S.One, False, "velocity")
MEAN = Average(mean, gradient, beta_1, 1 - beta_1, True, "running average of the gradient")
SQUARE = Average(square, power, beta_2, 1 - beta_2, True, "running average of its square")
NORMALISED = mean / (sqrt(square) + eps)

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("descent", "gradient descent", "Cauchy, 1847", (), gradient),
        Rule(
            "momentum", "descent with momentum",
            "Polyak, Some methods of speeding up the convergence of iteration methods, 1964",
            (VELOCITY,), velocity,
        ),
        Rule(
            "nesterov", "descent with Nesterov's momentum",
            "Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in deep learning, 2013",
            (VELOCITY,), gradient + momentum * velocity,
        ),
        Rule(
            "rmsprop", "RMSProp", "Tieleman, Hinton, lecture 6.5 of Neural networks for machine learning, 2012",
            (Average(square, power, beta_2, 1 - beta_2, False, "running average of its square"),),
            gradient / (sqrt(square) + eps),
        ),
        Rule("adam", "Adam", KINGMA, (MEAN, SQUARE), NORMALISED),
        Rule(
            "adamw", "AdamW", "Loshchilov, Hutter, Decoupled Weight Decay Regularization, arXiv 1711.05101",
            (MEAN, SQUARE), NORMALISED, decay="decoupled",
        ),
        Rule(
            "sign", "sign descent", "Bernstein, Wang, Azizzadenesheli, Anandkumar, signSGD, arXiv 1802.04434",
            (), sign(gradient), mean_direction=erf(gradient / (sqrt(2 * variance) + NOTHING)),
            smooth_direction=gradient / (Abs(gradient) + eps),
        ),
    )
}  # fmt: skip
"""The optimisers by name."""


def rule_of(name: str) -> Rule:
    """The optimiser of a name.

    Raises
    ------
    ProgramError
        There is none.

    Examples
    --------
    >>> rule_of("adam").direction, rule_of("adam").limit
    (mean/(eps + sqrt(square)), gradient/(eps + sqrt(power)))
    """
    if name not in RULES:
        raise ProgramError(f"there is no optimiser {name!r}; take one of {', '.join(RULES)}")
    return RULES[name]


def kept_before(beta: Expr) -> Expr:
    """What the flow of an average has of its start at time 0, where its steps have all of it: ``D``.

    The flow ``d average / d step = log(1/beta) (value - average)`` keeps ``beta^s`` of the start after s steps. Steps
    use the average at their ends. A flow that starts at ``1 - D`` of the value, with ``D = beta log(1/beta)/(1-beta)``,
    has over all steps moved exactly as far as the steps have: ``sum_k beta^(k+1) = D integral beta^s ds``. It is about
    the root of beta: averages of the flow are those of the middle of a step.

    Examples
    --------
    >>> from sympy import Rational, symbols, integrate, oo, simplify
    >>> beta, s = symbols("beta s", positive=True)
    >>> half = Rational(1, 2)
    >>> simplify(integrate(kept_before(half) * half**s, (s, 0, oo)))  # 1/2 + 1/4 + ...
    1
    """
    return beta * log(1 / beta) / (1 - beta)


@cache
def one_step(name: str, decays: str = "none") -> Program:
    """One step of an optimiser on all numbers of the states, each with a learning rate ``eta`` relative to ``lr``.

    Parameters
    ----------
    name : str
        One of :data:`RULES`.
    decays : str
        One of :data:`DECAYS`.

    Examples
    --------
    >>> print(*one_step("rmsprop").definitions, sep="\\n")
    square_next[i] = beta_2*square[i] + (1 - beta_2)*gradient[i]**2
    theta_next[i] = -lr*eta[i]*gradient[i]/(eps + sqrt(square_next[i])) + theta[i]
    """
    rule = rule_of(name)
    (i,) = indices("i")
    theta, of_loss, eta, slope, after = tensors("theta gradient eta slope theta_next")
    end = Symbol("end", real=True)
    steps = Symbol("steps", real=True, nonnegative=True)
    held = of_loss[i]
    found: list[Definition] = []
    if decays == "coupled":
        held = slope[i]
        found.append(Definition(held, of_loss[i] + decay * theta[i], "the gradient, with the decay of weights"))
    here: dict[Expr, Expr] = {gradient: held, power: held**2}
    if any(one.corrected for one in rule.averages):
        found.append(Definition(end, steps + 1, "steps so far"))
    for one in rule.averages:
        before, new = tensors(f"{one.symbol} {one.symbol}_next")
        value = one.value.xreplace(here)
        found.append(Definition(new[i], one.beta * before[i] + one.gain * value, one.note))
        here[one.symbol] = new[i]
        if one.corrected:
            bias = Symbol(f"bias_of_{one.symbol}", real=True)
            found.append(Definition(bias, 1 - one.beta**end, "what it has seen, of 1"))
            here[one.symbol] = new[i] / bias
    shrunk = theta[i] * (1 - lr * eta[i] * decay) if decays == "decoupled" else theta[i]
    found.append(Definition(after[i], shrunk - lr * eta[i] * rule.direction.xreplace(here), "states"))
    averages = [tensors(str(one.symbol))[0] for one in rule.averages]
    used = set().union(*(d.rhs.free_symbols for d in found))
    known = (steps, lr, decay, *rule.parameters)
    return Program(
        name=f"step-{name}",
        title=f"A step of {rule.title}",
        source=rule.source,
        extents={i: Symbol("P", integer=True, positive=True)},
        data=(of_loss[i], eta[i]),
        states=(theta[i], *(one[i] for one in averages)),
        parameters=tuple(p for p in known if p in used),
        definitions=tuple(found),
    )
