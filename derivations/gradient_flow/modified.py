"""Flows that the steps of optimisers follow to second order in the learning rate.

A step looks at gradients of the past, where the states were elsewhere: with the direction ``d`` in which states move,
a gradient that is j steps old is ``g + j lr H d``. An average is as old as its weights say, and what is left of a step
beside the flow over the same time is half of ``d' d``, as for descent. All derivatives are by sympy, and ``H d`` is the
tangent of the gradient.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from sympy import Abs, Expr, Rational, S, Symbol, sign

from derivations.gradient_flow.adjoints import renamed
from derivations.gradient_flow.optimised import MEANINGS, gradients_of, require_free, require_gradient
from derivations.gradient_flow.rules import Average, Rule, decay, gradient, power, rule_of
from derivations.gradient_flow.schedules import scheduled
from derivations.gradient_flow.tangents import tangents
from derivations.program.access import name_of
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["age", "modified"]

CATTANEO = "Cattaneo, Klusowski, Shigida, On the Implicit Bias of Adam, arXiv 2309.00079"
GHOSH = "Ghosh, Lyu, Zhang, Wang, Implicit regularization in Heavy-ball momentum accelerated SGD, arXiv 2302.00849"
size = Symbol("size", positive=True)
"""Of a gradient, without its sign."""


def age(average: Average, steps: Expr) -> Expr:
    """How many steps old what an average holds is, on average.

    Examples
    --------
    >>> from derivations.gradient_flow.rules import RULES
    >>> (velocity,), steps = RULES["momentum"].averages, Symbol("steps")
    >>> age(velocity, steps)
    momentum/(1 - momentum)
    >>> mean, _ = RULES["adam"].averages
    >>> age(mean, S(2)).subs(mean.beta, Rational(1, 2))  # of two gradients, of weights 2/3 and 1/3
    1/3
    """
    beta = average.beta
    whole = beta / (1 - beta)
    return whole - steps * beta**steps / (1 - beta**steps) if average.corrected else whole


def aged(average: Average) -> Symbol:
    """The name of the age of an average."""
    return Symbol(f"age_{average.symbol}", real=True)


def of_the_past(rule: Rule, uncorrected: bool = False) -> Expr:
    """What older gradients add to the direction, over ``lr H d``; or those averages alone that are not corrected."""
    found: Expr = S.Zero
    here = {one.symbol: one.limit for one in rule.averages}
    for one in rule.averages:
        if uncorrected and one.corrected:
            continue
        change = one.limit.xreplace({power: gradient**2}).diff(gradient)
        found += rule.direction.diff(one.symbol).xreplace(here) * aged(one) * change
    return in_size(found)


def in_size(expr: Expr) -> Expr:
    """An expression of the full gradient, whose square is the power, by its size: a square over a size is a size."""
    return expr.xreplace({power: size**2}).subs(gradient**2, size**2).subs(Abs(gradient), size)


@cache
def modified(flow: Program, name: str, decays: str = "none", shape: str = "constant", warm: bool = False) -> Program:
    """The flow that the steps of an optimiser on the full gradient follow to second order in the learning rate.

    With ``d = eta (direction + decay theta)`` of the gradient as it is, and the ages of the averages,

        theta' = -lr eta (direction + decay theta + lr (sum_a d direction/d a  age_a  d a/d g  H d
                                                        + (d direction/d g  H d + decay d)/2)).

    Velocities start at rest: in all, steps are behind by what the velocity lacks at first, and so the flow starts
    there.

    Parameters
    ----------
    flow, name, decays, shape, warm
        As for :func:`derivations.gradient_flow.optimised.optimised`.

    Raises
    ------
    ProgramError
        The flow is none of a gradient, or the optimiser has no second order: it jumps, or begins without an average.

    References
    ----------
    Cattaneo et al., arXiv 2309.00079; of momentum, Ghosh et al., arXiv 2302.00849.

    Examples
    --------
    >>> from derivations.registry import program
    >>> found = modified(program("uniform"), "momentum")
    >>> print(found.definitions[-1])
    bdot[k] = -eta_b*lr*(lr*b_second[k] + bbar[k]/(1 - momentum))
    """
    rule = rule_of(name)
    require_gradient(flow, rule, decays)
    require_free(flow)
    if flow.metric or not (flow.adjoints or flow.model):
        raise ProgramError(
            f"{flow.name}: has a metric of its own, and no modified flow; simulate it, or take form='full'"
        )
    if rule.smooth_direction is not None or (rule.is_adaptive and not any(one.corrected for one in rule.averages)):
        raise ProgramError(f"there is no modified flow of {rule.title}")
    taken = names_of(flow)
    clock = Symbol(unused(["steps"], taken), real=True)
    plan = scheduled(shape, warm, clock)
    own = (*map(aged, rule.averages), *(d.lhs for d in plan.definitions))
    for symbol in (*plan.parameters, *rule.parameters, decay, *own):
        if symbol.name in taken:
            raise ProgramError(f"{flow.name}: {symbol} is what an optimiser calls one of its numbers; rename it")
        taken.add(symbol.name)
    past, lacking = of_the_past(rule), of_the_past(rule, uncorrected=True)
    plain = in_size(rule.limit)
    ages = [
        Definition(aged(one), age(one, clock + Rational(1, 2)), f"how many steps old what the {one.note} holds is")
        for one in rule.averages
    ]
    in_all = rule.limit.xreplace({power: gradient**2}).diff(gradient)
    bend = in_size(in_all.replace(sign, lambda g: g / Abs(g)))
    old = set(flow.flow.values())
    definitions = [d for d in flow.definitions if d.name not in old]
    slopes, directions, held = gradients_of(flow), {}, {}
    for state in flow.states:
        key, eta = name_of(state), Symbol(flow.rates[name_of(state)], real=True)
        of_loss = renamed(state, unused([f"{key}_gradient"], taken)) if key not in flow.adjoints else slopes[key]
        if of_loss != slopes[key]:
            definitions.append(Definition(of_loss, slopes[key], f"gradient by {key}"))
        slope = of_loss
        if decays == "coupled":
            slope = renamed(state, unused([f"{key}_slope"], taken))
            definitions.append(
                Definition(slope, of_loss + decay * state, f"gradient by {key}, with the decay of weights")
            )
        ahead = renamed(state, unused([f"{key}_ahead"], taken))
        away = decay * state if decays == "decoupled" else S.Zero
        here = {gradient: slope, size: Abs(slope)}
        definitions.append(Definition(ahead, eta * (plain.xreplace(here) + away), f"what {key} moves by, against it"))
        directions[key], held[key] = ahead, (state, eta, of_loss, here, away)
    of_decay = (decay,) if decays != "none" else ()
    base = replace(
        flow,
        definitions=(*plan.definitions, *ages, *definitions),
        flow={},
        parameters=(*flow.parameters, *plan.parameters, *rule.parameters, *of_decay),
        states=(*flow.states, clock),
        extents={**flow.extents, **(plan.extents or {})},
        data=(*flow.data, *plan.data),
        conserved=(),
    )
    wanted = [name_of(of_loss) for _, _, of_loss, _, _ in held.values()]
    added, names = tangents(base, {key: name_of(ahead) for key, ahead in directions.items()}, wanted, taken)
    more, moving, starts = list(added), [], {}
    for key, (state, eta, of_loss, here, away) in held.items():
        bent = renamed(state, names[name_of(of_loss)]) if name_of(of_loss) in names else S.Zero
        bent += decay * directions[key] if decays == "coupled" else S.Zero
        second = renamed(state, unused([f"{key}_second"], taken))
        shrinking = decay * directions[key] / 2 if decays == "decoupled" else S.Zero
        rhs = (past + bend / 2).xreplace(here) * bent + shrinking
        more.append(Definition(second, rhs, f"second order of the direction of {key}, over lr"))
        whole = plain.xreplace(here) + away + plan.rate * second
        moving.append(Definition(renamed(state, flow.flow[key]), -plan.rate * eta * whole, f"{rule.title} of {key}"))
        if lacking != 0:
            start = renamed(state, unused([f"{key}_start"], taken))
            rest = lacking.xreplace(here) * here[gradient]
            more.append(Definition(start, state + plan.rate * eta * rest, f"where {key} is behind, at first"))
            starts[key] = name_of(start)
    counted = clock in set().union(*(d.rhs.free_symbols for d in (*base.definitions, *more)))
    ticks = Symbol(unused([f"{clock}dot"], taken), real=True)
    used = set().union(*(d.rhs.free_symbols for d in (*base.definitions, *more, *moving)))
    return replace(
        base,
        name=f"{flow.name}-{name}-modified",
        title=f"{flow.title}: {rule.title}, to second order in the learning rate",
        source=f"{flow.source}; {GHOSH if name in ('momentum', 'nesterov') else CATTANEO}",
        states=flow.states + ((clock,) if counted else ()),
        parameters=tuple(p for p in base.parameters if p in used or p in flow.parameters),
        definitions=(
            *base.definitions, *more, *((Definition(ticks, S.One, "steps are counted"),) if counted else ()), *moving,
        ),
        flow={**{key: flow.flow[key] for key in held}, **({clock.name: ticks.name} if counted else {})},
        assumptions=(*flow.assumptions, "every step takes all examples"),
        clock=clock.name if counted else "",
        starts=starts,
        rule=name,
        meanings={**MEANINGS, **flow.meanings, clock.name: "steps so far"},
    )  # fmt: skip
