"""From a gradient flow to the flow of an optimiser: its averages are states, and its steps are time."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from sympy import Abs, Expr, Float, Indexed, Integer, Max, S, Symbol, log, sqrt

from derivations.gradient_flow.adjoints import renamed
from derivations.gradient_flow.rules import (
    Average,
    Rule,
    decay,
    eps,
    gradient,
    kept_before,
    power,
    rule_of,
    square,
    variance,
)
from derivations.gradient_flow.schedules import scheduled
from derivations.gradient_flow.second_moments import second_moments
from derivations.program.access import Access, name_of
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["FORMS", "gradients_of", "optimised", "require_gradient", "with_noise"]

FORMS = ("full", "limit", "modified")
"""How an optimiser is followed: averages as states; averages of the present alone; to second order in the rate."""

TINY = Float("1e-10")
"""Added to the root of an average of squares, by which its own flow divides: at a saddle both are 0."""

MEANINGS = {
    "beta_1": "what the running average of the gradient keeps in a step",
    "beta_2": "what the running average of its square keeps in a step",
    "momentum": "what the velocity keeps in a step",
    "eps": "added to the root of the mean square",
    "batch": "examples of a step",
    "decay": "weight decay",
    "lr": "learning rate of a step, which those of the states are relative to",
    "warm_up": "steps in which the learning rate grows",
    "total": "step at which it has come down",
    "least": "factor that it comes down to",
    "period": "steps between two falls of the learning rate",
    "drop": "factor of each of them",
    "first": "the first factor of the table",
    "begins": "where a line of the table begins",
    "lasts": "steps that it lasts",
    "rises": "by what it rises in a step",
    "j": "line of the table",
}

batch = Symbol("batch", real=True, positive=True)


def with_noise(flow: Program, by_terms: bool = False) -> tuple[Program, Expr]:
    """A gradient flow with the second moments of its gradients, and what makes the mean square of an example of them.

    Raises
    ------
    ProgramError
        The program does not say what an example is.
    """
    if flow.shares:
        (share,) = set(flow.shares.values())
        return second_moments(flow, by=() if by_terms else tuple(flow.shares), share=share), S.One
    if flow.examples is None:
        raise ProgramError(
            f"{flow.name}: does not say what an example is, of which a batch has some; declare examples=, or leave the "
            "batch out"
        )
    moments = second_moments(flow, by=() if by_terms else (flow.examples,))
    return moments, flow.extents[flow.examples]


def gradients_of(flow: Program) -> dict[str, Expr]:
    """The gradient by every state: its adjoint, or what stands in the flow in its place."""
    found: dict[str, Expr] = {}
    for state in flow.states:
        name = name_of(state)
        bar = (flow.second or flow.adjoints).get(name)
        if bar is not None:
            found[name] = renamed(state, bar)
        else:
            (own,) = (d for d in flow.definitions if d.name == flow.flow[name])
            found[name] = -own.rhs / Symbol(flow.rates[name], real=True)
    return found


@cache
def optimised(
    flow: Program, name: str, form: str = "full", noisy: bool = False, decays: str = "none", shape: str = "constant",
    warm: bool = False, remembered: tuple[str, ...] | None = None, by_terms: bool = False,
) -> Program:  # fmt: skip
    """The flow that the steps of an optimiser follow, with steps as its time.

    Between two steps a running average follows ``d average / d step = log(1/beta) (gain/(1 - beta) value - average)``,
    which has its values at the steps if the gradient stays as it is, and the states follow the direction that the
    averages give. The flow is that of small learning rates: of descent it is the gradient flow, at ``lr`` a step.

    Parameters
    ----------
    flow : Program
        A gradient flow; for optimisers that are linear in the gradient, any flow with learning rates.
    name : str
        One of :data:`derivations.gradient_flow.rules.RULES`.
    form : str
        ``full``: running averages are states. ``limit``: they are what they would be if the gradient had always been
        the present one, the limit where the states hardly move while it is forgotten.
    noisy : bool
        Steps take batches, whose gradients have a mean square of their own.
    decays : str
        One of :data:`derivations.gradient_flow.rules.DECAYS`.
    shape, warm : str, bool
        Of the schedule, as for :func:`derivations.gradient_flow.schedules.factor`.
    remembered : tuple of str, optional
        The averages that have a memory, by name; all if not given. One whose ``beta`` is 0 is its value.
    by_terms : bool
        Second moments by terms of sums; see :func:`derivations.gradient_flow.second_moments`.

    Raises
    ------
    ProgramError
        The flow is none of a gradient, or does not say what examples are, where that is needed.

    Examples
    --------
    >>> from derivations.registry import program
    >>> found = optimised(program("keyword-bias"), "rmsprop")
    >>> [str(d) for d in found.definitions if d.name in ("b_size", "bdot")]
    ['b_size[k] = eps + b_root[k]', 'bdot[k] = -eta_b*lr*bbar[k]/b_size[k]']
    """
    rule = rule_of(name)
    require_gradient(flow, rule, decays)
    require_free(flow)
    base = flow
    if noisy and (rule.is_adaptive):
        base, per_example = with_noise(flow, by_terms)
    else:
        noisy, per_example = False, S.One
    taken = names_of(base)
    plan = scheduled(shape, warm, Symbol(unused(["steps"], taken), real=True))
    own = (f"{what}_{one.symbol}" for what in ("begun", "seen") for one in rule.averages)
    of_plan = (*plan.parameters, *(d.lhs for d in plan.definitions))
    for symbol in (*of_plan, *rule.parameters, decay, batch, *(Symbol(one) for one in own)):
        if symbol.name in taken:
            raise ProgramError(f"{flow.name}: {symbol} is what an optimiser calls one of its numbers; rename it")
        taken.add(symbol.name)
    clock = Symbol("steps", real=True) if "steps" not in names_of(base) else Symbol("steps_", real=True)
    parts = Parts(base, rule, plan.rate, per_example, form, noisy, decays, remembered, taken)
    slopes = gradients_of(base) if not drifts(base) else {}
    for state in base.states:
        parts.add(state, slopes.get(name_of(state)))
    ticks = Symbol(unused(["stepsdot"], taken), real=True)
    old = set(flow.flow.values()) if slopes else set()
    kept = tuple(d for d in base.definitions if d.name not in old)
    numbers = parts.numbers(clock)
    parameters = (*base.parameters, *plan.parameters, *parts.parameters)
    counted = clock in set().union(*(d.rhs.free_symbols for d in (*plan.definitions, *numbers)))
    definitions = (*kept, *plan.definitions, *numbers, *parts.definitions, *parts.flow)
    title = f"{flow.title}: {rule.title}" + (", the limit of long memory" if form == "limit" and rule.averages else "")
    return replace(
        base,
        name=f"{flow.name}-{name}",
        title=title,
        source=f"{flow.source}; {rule.source}",
        extents={**base.extents, **(plan.extents or {})},
        data=(*base.data, *plan.data),
        states=(*base.states, *parts.states, *((clock,) if counted else ())),
        parameters=parameters,
        definitions=(*definitions, *((Definition(ticks, S.One, "steps are counted"),) if counted else ())),
        flow={**parts.moving, **({clock.name: ticks.name} if counted else {})},
        assumptions=(*base.assumptions, *assumed(rule, form, noisy)),
        conserved=(),
        metric=() if slopes else base.metric,
        clock=clock.name if counted else "",
        starts=parts.starts,
        rule=name,
        scales=parts.scales,
        meanings={**MEANINGS, **parts.meanings, **base.meanings, clock.name: "steps so far"},
    )


def drifts(flow: Program) -> bool:
    """Whether a flow is not by its own slopes alone: nothing but what moves is known of it."""
    own = flow.model is not None and any(state not in flow.rates for state in flow.state_names)
    return bool(flow.metric or flow.constraints) or own or not (flow.adjoints or flow.model)


def require_gradient(flow: Program, rule: Rule, decays: str) -> None:
    """Raise ProgramError unless an optimiser knows all that it needs of a flow."""
    if not flow.flow:
        raise ProgramError(f"{flow.name}: an optimiser needs the gradient flow of a loss; derive it first")
    if flow.time or set(flow.rates) < set(flow.flow):
        what = "reads the time" if flow.time else "moves some of its states by flows of their own"
        raise ProgramError(f"{flow.name}: {what}, which the steps of an optimiser do not know; leave the optimizer out")
    if flow.clock:
        raise ProgramError(f"{flow.name}: has an optimiser already; give the gradient flow")
    if drifts(flow) and (rule.is_adaptive or decays != "none"):
        what = rule.title if rule.is_adaptive else "weight decay"
        raise ProgramError(
            f"{flow.name}: {what} needs the gradient of every state, and this flow has a metric of its own or no loss; "
            "take descent or momentum, or the exact model"
        )


def require_free(flow: Program) -> None:
    """Raise ProgramError if states keep constraints, which the flows of optimisers are not projected on."""
    if flow.constraints:
        raise ProgramError(
            f"{flow.name}: keeps constraints, and the flow of an optimiser would leave them; simulate its steps"
        )


def assumed(rule: Rule, form: str, noisy: bool) -> tuple[str, ...]:
    found = ["steps are so small that states move little in one: the flow is that of the mean of steps"]
    if form == "limit" and rule.averages:
        found.append("states move little while a gradient is forgotten: averages are those of the present")
    if noisy:
        found.append(
            "batches are drawn independently, and the mean of the direction is that of the mean gradient and of the "
            "mean square, `power`, of the gradient of a batch"
        )
    return tuple(found)


class Parts:
    """What an optimiser adds to a flow, state by state."""

    def __init__(
        self, base: Program, rule: Rule, rate: Expr, per_example: Expr, form: str, noisy: bool, decays: str,
        remembered: tuple[str, ...] | None, taken: set[str],
    ) -> None:  # fmt: skip
        self.base, self.rule, self.rate, self.per_example = base, rule, rate, per_example
        self.full, self.noisy, self.decays, self.taken = form == "full", noisy, decays, taken
        names = tuple(str(one.symbol) for one in rule.averages) if remembered is None else remembered
        self.averages = tuple(one for one in rule.averages if self.full and str(one.symbol) in names)
        self.definitions: list[Definition] = []
        self.flow: list[Definition] = []
        self.states: list[Access] = []
        self.moving: dict[str, str] = {}
        self.starts: dict[str, str] = {}
        self.meanings: dict[str, str] = {}
        self.scales: dict[str, str] = {}

    def named(self, state: Access, *wanted: str) -> Access:
        """A new tensor with the indices of a state."""
        return renamed(state, unused([one.format(name_of(state)) for one in wanted], self.taken))

    def seen(self, average: Average) -> Symbol:
        return Symbol(f"seen_{average.symbol}", real=True)

    def begun(self, average: Average) -> Symbol:
        return Symbol(f"begun_{average.symbol}", real=True)

    def numbers(self, clock: Symbol) -> tuple[Definition, ...]:
        """What averages have seen of 1: at time 0, and those that are corrected for it, so far."""
        found = []
        for one in self.averages:
            note = f"what the {one.note} has seen, of 1"
            found.append(Definition(self.begun(one), 1 - kept_before(one.beta), f"{note}, in the first half step"))
            if one.corrected:
                found.append(Definition(self.seen(one), 1 - (1 - self.begun(one)) * one.beta**clock, note))
        return tuple(found)

    def add(self, state: Access, slope: Expr | None) -> None:
        """The definitions and the flow of a state, from its gradient; without one, from its drift."""
        name = name_of(state)
        if slope is None:
            held, eta = -renamed(state, self.base.flow[name]), Integer(1)
        else:
            held, eta = slope, Symbol(self.base.rates[name], real=True)
        plain = held
        if self.decays == "coupled":
            held = self.named(state, "{}_slope")
            note = f"gradient by {name}, with the decay of weights"
            self.definitions.append(Definition(held, plain + decay * state, note))
        here: dict[Expr, Expr] = {gradient: held, power: held**2, variance: S.Zero}
        if self.noisy:
            moment = renamed(state, self.base.moments[name])
            spread = self.named(state, "{}_variance")
            note = f"variance of the gradient of a batch by {name}"
            rhs = Max(self.per_example * moment - plain**2, Integer(0)) / batch
            self.definitions.append(Definition(spread, rhs, note))
            here |= {power: held**2 + spread, variance: spread}
        kept = {one.symbol for one in self.averages}
        averages: dict[Expr, Expr] = {one.symbol: one.limit for one in self.rule.averages if one.symbol not in kept}
        for one in self.averages:
            # Of squares the root is the state: it is of the size of gradients, which tolerances are said for.
            root = one.value == power
            average = self.named(state, "{}_root" if root else "{}_" + str(one.symbol))
            self.states.append(average)
            value = average**2 if root else average
            shown: Access = average
            if one.corrected:
                shown = self.named(average, "{}hat")
                whole = average / (sqrt(self.seen(one)) if root else self.seen(one))
                said = f"{'root of the ' if root else ''}{one.note}, of what it has seen"
                self.definitions.append(Definition(shown, whole, said))
            averages[sqrt(one.symbol) if root else one.symbol] = shown
            aim = one.limit.xreplace(here)
            first = self.begun(one) * aim
            start = self.named(average, "{}_start")
            note = f"root of the {one.note}" if root else one.note
            self.definitions.append(Definition(start, sqrt(first) if root else first, f"{note}, at first"))
            moving = self.named(average, "{}dot", "{}_dot")
            way = (aim - value) / (2 * (Abs(average) + TINY)) if root else aim - average
            self.flow.append(Definition(moving, log(1 / one.beta) * way, f"{note} by {name}"))
            self.moving[name_of(average)] = name_of(moving)
            self.starts[name_of(average)] = name_of(start)
            self.meanings[name_of(average)] = f"{note} by {name}"
        direction = self.rule.in_flow(self.noisy)
        if direction.has(sqrt(square) + eps):
            size = self.named(state, "{}_size")
            whole = (sqrt(square) + eps).xreplace(averages).xreplace(here)
            self.definitions.append(Definition(size, whole, f"what steps of {name} are divided by"))
            self.scales[name] = name_of(size)
            direction = direction.xreplace({sqrt(square) + eps: size})
        direction = direction.xreplace(averages).xreplace(here)
        away = decay * state if self.decays == "decoupled" else S.Zero
        dot = name_of(renamed(state, self.base.flow[name])) if slope is not None else ""
        moving = renamed(state, dot) if dot else self.named(state, "{}_moves")
        self.flow.append(Definition(moving, -self.rate * eta * (direction + away), f"{self.rule.title} of {name}"))
        self.moving[name] = name_of(moving)

    @property
    def parameters(self) -> tuple[Symbol, ...]:
        used: set[Symbol] = set().union(*(d.rhs.free_symbols for d in (*self.definitions, *self.flow)))
        return tuple(p for p in (*self.rule.parameters, decay, batch) if p in used and not isinstance(p, Indexed))
