"""From a loss to its gradient flow: a reverse sweep over a program's definitions, all derivatives by sympy.

Each access in a right-hand side is replaced by a Dummy, differentiated, put back, and accumulated:
``bar(access) += bar(lhs) * d rhs / d access``. What is reduced over, gathered or broadcast in the definition decides
only where the contribution lands: summed over indices that the access does not have, renamed to the tensor's own
indices, or scattered through a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Add, DiracDelta, Dummy, Expr, Heaviside, Indexed, IndexedBase, Max, Min, Mul, S, Symbol, exp

from derivations.gradient_flow.constraints import constrained
from derivations.program.access import Access, accesses, index_symbols, is_plain, name_of, subscript
from derivations.program.functions import stop_gradient
from derivations.program.language import LogSumExp, MaxOver, SumOver, Where, conjuncts
from derivations.program.normal import pulled
from derivations.program.program import Definition, Program, ProgramError, names_of, unused

__all__ = ["accented", "adjoints", "descent_flow", "gradient_flow"]


@dataclass(frozen=True)
class Contribution:
    """One term of an adjoint: ``target += sum over (indices that the target does not have) of expr``."""

    target: Access
    expr: Expr


def accented(access: Access, accent: str) -> Access:
    """The access with its tensor renamed: Wbar[i, v] from W[i, v]."""
    return renamed(access, name_of(access) + accent)


def renamed(access: Access, name: str) -> Access:
    """The same entry of a tensor of another name."""
    if isinstance(access, Indexed):
        return IndexedBase(name, real=True)[subscript(access)]
    return Symbol(name, real=True)


def adjoint_names(program: Program, accent: str, reserved: frozenset[str] = frozenset()) -> dict[str, str]:
    """What the adjoint of every tensor is called: by an accent, and otherwise where the program has such a name."""
    taken = names_of(program) | reserved
    return {name: unused([f"{name}{accent}", f"{name}_{accent}"], taken) for name in program.declarations}


def depends_on_state(program: Program, by: frozenset[str] = frozenset()) -> set[str]:
    """The names of all tensors that move when the states move, or other tensors."""
    active = {*program.state_names, *by}
    for d in program.definitions:
        if any(name_of(a) in active for a in accesses(d.rhs)):
            active.add(d.name)
    return active


def local_derivatives(d: Definition, active: set[str]) -> list[tuple[Access, Expr]]:
    """(access, d lhs / d access) for each access on the right that moves, at each point of the iteration space."""
    if isinstance(d.rhs, MaxOver) and any(name_of(a) in active for a in accesses(d.rhs)):
        raise ProgramError(
            f"definition of {d.lhs}: a maximum is not differentiable; use a LogSumExp, or keep it out of the loss"
        )
    dummies = {a: Dummy(name_of(a), real=True) for a in accesses(d.rhs)}
    back = {dummy: a for a, dummy in dummies.items()}
    body = d.body.xreplace(dummies)
    if isinstance(d.rhs, LogSumExp):
        weight = d.rhs.weight.xreplace(dummies)
        lhs = Dummy("lhs", real=True)
        share = exp(body - lhs)
        back[lhs] = d.lhs
        derivative = {x: share * (weight * body.diff(x) + weight.diff(x)) for x in dummies.values()}
    else:
        derivative = {x: body.diff(x) for x in dummies.values()}
    steps = corners(body, {x for a, x in dummies.items() if name_of(a) in active})
    # The corner of a rectifier has no width: what its second derivative adds there is left out.
    flat = {value: value.replace(DiracDelta, lambda *_: S.Zero).xreplace(steps) for value in derivative.values()}
    found = [(a, flat[derivative[x]].xreplace(back)) for a, x in dummies.items() if name_of(a) in active]
    for access, value in found:
        if value.has(Dummy) or value.atoms(Symbol) & set(dummies.values()):
            raise ProgramError(f"definition of {d.lhs}: sympy cannot differentiate it by {access}")
    return [(a, value) for a, value in found if value != 0]


def corners(body: Expr, moving: set[Dummy]) -> dict[Expr, Expr]:
    """What the derivative of a maximum or a minimum is where its sides are equal.

    A side that moves beside one that does not, as in a rectifier, rests there: ``Max(z, 0)`` has the slope 0 at z = 0.
    Of two sides that move each has a half, the subgradient that does not prefer one of them.
    """
    found: dict[Expr, Expr] = {}
    for either in body.atoms(Max, Min):
        sides = either.args
        if len(sides) == 2 and sum(bool(side.free_symbols & moving) for side in sides) == 1:
            for one, other in (sides, sides[::-1]):
                found[Heaviside(one - other)] = Heaviside(one - other, 0)
    return found


def repeated(expr: Expr, access: Access, d: Definition, table: dict[Symbol, Expr]) -> Expr:
    """A contribution times the extent of every index of its definition that neither it nor its target has.

    It is added up that often: the sum over i and k of ``a[i] + b[k]`` has the derivative K by ``a[i]``.
    """
    space = index_symbols(d.lhs, table) | set(d.over)
    for index in sorted(space, key=lambda index: not isinstance(table[index], Indexed)):  # a length may bring its owner
        if index not in index_symbols(expr, table) | index_symbols(access, table):
            expr = pulled(table[index] * expr)
    return expr


Held = Mapping[tuple[frozenset[Expr], frozenset[Expr]], Access]
"""Factors of a product and the conditions under which a definition holds it -> that definition."""


def reuse(expr: Expr, held: Held, under: frozenset[Expr] = frozenset()) -> Expr:
    """The expression with products that some definition already holds replaced by that definition.

    For example ``q exp(A - M) R`` becomes ``q Rtilde`` where Rtilde = R exp(A - M): one exponential less, and it reads.
    """
    if isinstance(expr, Add):
        return Add(*(reuse(term, held, under) for term in expr.args))
    if isinstance(expr, Where):
        return Where(reuse(expr.value, held, under | conjuncts(expr.condition)), expr.condition)
    factors = Mul.make_args(expr)
    given = set(factors)
    for (wanted, conditions), lhs in held.items():
        if wanted <= given and conditions <= under:
            return Mul(lhs, *(factor for factor in factors if factor not in wanted))
    return expr


def canonical(c: Contribution, declared: Access, table: dict[Symbol, Expr], taken: set[str]) -> Contribution:
    """The contribution in the tensor's own indices, where its target is plain; reduced indices give way."""
    renaming = dict(zip(subscript(c.target), subscript(declared), strict=True))
    # A ragged index into a tensor of fixed size is a scatter, like a gather: not all of the tensor is reached.
    if not is_plain(c.target) or any(table[old] != table[new] for old, new in renaming.items()):
        return c
    if all(old == new for old, new in renaming.items()):
        return c
    for index in index_symbols(c.expr, table) - set(renaming):
        if index in renaming.values():
            renaming[index] = fresh(index, table, taken)
    return Contribution(c.target.xreplace(renaming), c.expr.xreplace(renaming))


def fresh(index: Symbol, table: dict[Symbol, Expr], taken: set[str]) -> Symbol:
    """A new index with the extent of another; added to the table."""
    new = Symbol(unused([index.name], taken), integer=True, nonnegative=True)
    table[new] = table[index]
    return new


def summed(
    terms: list[Contribution], target: Access, table: dict[Symbol, Expr]
) -> list[tuple[Expr, tuple[Symbol, ...]]]:
    """Terms grouped by what they are summed over: (expression, reduction indices)."""
    order = list(table)
    groups: dict[tuple[Symbol, ...], Expr] = {}
    for term in terms:
        over = tuple(sorted(index_symbols(term.expr, table) - index_symbols(term.target, table), key=order.index))
        groups[over] = groups.get(over, S.Zero) + term.expr
    groups = {over: pulled(expr) for over, expr in groups.items()}
    return [(expr, over) for over, expr in sorted(groups.items(), key=lambda item: len(item[0]))]


def definitions_of(bar: Access, terms: list[Contribution], table: dict[Symbol, Expr], note: str) -> list[Definition]:
    """The definitions that add up an adjoint: plain terms first, then the scattered ones."""
    plain = [t for t in terms if t.target == bar]
    scattered = [t for t in terms if t.target != bar]
    found: list[Definition] = []
    for expr, over in summed(plain, bar, table):
        rhs = SumOver(expr, *over) if over else expr
        found.append(Definition(bar, rhs, note, accumulate=bool(found)))
    if not found:
        found.append(Definition(bar, S.Zero, note))
    for target in dict.fromkeys(t.target for t in scattered):
        for expr, over in summed([t for t in scattered if t.target == target], target, table):
            rhs = SumOver(expr, *over) if over else expr
            found.append(Definition(target, rhs, note, accumulate=True))
    return found


def adjoints(
    program: Program,
    accent: str = "bar",
    by: frozenset[str] = frozenset(),
    reserved: frozenset[str] = frozenset(),
) -> tuple[tuple[Definition, ...], dict[Symbol, Expr], dict[str, Expr]]:
    """The adjoint of every tensor that carries the loss back to the states.

    Parameters
    ----------
    program : Program
        With a loss.
    accent : str
        What is added to a tensor's name for its adjoint; a program that holds adjoints already needs another one.
    by : frozenset of str
        Tensors beside the states that slopes are asked for.
    reserved : frozenset of str
        Names that adjoints must not have.

    Returns
    -------
    definitions : tuple of Definition
        In reverse order of the program.
    extents : dict
        The program's extents, with the indices that the sweep had to add.
    values : dict of str to Expr
        For each state, and what else is asked for, its adjoint as an access or a constant, by name.

    Examples
    --------
    >>> from sympy import exp
    >>> from derivations.program import Program, Definition, SumOver, indices, scalars, tensors
    >>> (i,), (w, y), (loss,) = indices("i"), tensors("w y"), scalars("loss")
    >>> V = Symbol("V", integer=True)
    >>> program = Program("square", "", "", {i: V}, (y[i],), (w[i],),
    ...     (Definition(loss, SumOver((w[i] - y[i])**2 / 2, i)),), loss=loss)
    >>> print(*adjoints(program)[0])
    wbar[i] = w[i] - y[i]
    """
    if program.loss is None:
        raise ProgramError(f"{program.name}: has no loss; a gradient flow needs one")
    table = dict(program.extents)
    active = depends_on_state(program, by)
    declared = program.declarations
    names = adjoint_names(program, accent, reserved)
    taken = names_of(program) | set(names.values()) | reserved
    added_to = {d.name for d in program.definitions if d.accumulate}
    held = {
        product_of(d.rhs): d.lhs
        for d in program.definitions
        if d.rhs.has(exp) and isinstance(unguarded(d.rhs), Mul | exp) and d.name not in added_to
    }
    terms: dict[str, list[Contribution]] = {name_of(program.loss): [Contribution(program.loss, S.One)]}
    value: dict[str, Expr] = {}
    emitted: list[Definition] = []
    known: dict[str, Expr | None] = {}

    def finish(name: str) -> Expr | None:
        """Emit the adjoint of a tensor; all its contributions are known."""
        if name not in known:
            known[name] = emit(name)
        return known[name]

    def emit(name: str) -> Expr | None:
        if name not in terms:
            return None
        bar = renamed(declared[name], names[name])
        contributions = [
            Contribution(renamed(t.target, names[name]), reuse(t.expr, held))
            for t in (canonical(t, declared[name], table, taken) for t in terms[name])
        ]
        first = contributions[0]
        if len(contributions) == 1 and first.target == bar and trivial(first.expr, bar, table):
            return first.expr
        emitted.extend(definitions_of(bar, contributions, table, f"adjoint of {name}"))
        return bar

    for d in reversed(program.definitions):
        adjoint = finish(d.name)
        if adjoint is None:
            continue
        if d.accumulate:
            # Each term reads the adjoint where it was added: gathers where it was scattered.
            adjoint = adjoint.xreplace(dict(zip(subscript(declared[d.name]), subscript(d.lhs), strict=True)))
        for access, derivative in local_derivatives(d, active):
            expr = repeated(pulled(adjoint * derivative), access, d, table)
            terms.setdefault(name_of(access), []).append(Contribution(access, expr))
    for tensor in dict.fromkeys((*program.state_names, *sorted(by))):
        adjoint = finish(tensor)
        value[tensor] = S.Zero if adjoint is None else adjoint
    return tuple(emitted), table, value


def unguarded(expr: Expr) -> Expr:
    """What an expression is where its condition holds."""
    return expr.value if isinstance(expr, Where) else expr


def product_of(expr: Expr) -> tuple[frozenset[Expr], frozenset[Expr]]:
    """The factors of a product, and what it is subject to."""
    condition = conjuncts(expr.condition) if isinstance(expr, Where) else frozenset()
    return frozenset(Mul.make_args(unguarded(expr))), condition


def trivial(expr: Expr, bar: Access, table: dict[Symbol, Expr]) -> bool:
    """Whether an adjoint is a scalar or a bare access in the tensor's own indices: not worth a definition."""
    if not index_symbols(expr, table):
        return True
    return isinstance(expr, Indexed | Symbol) and is_plain(expr) and set(subscript(expr)) <= set(subscript(bar))


def gradient_flow(program: Program) -> Program:
    """The gradient flow d state/d tau = -eta_state * d loss/d state of a program, as a program.

    Every state has a rate parameter ``eta_<state>`` of its own (1 is plain gradient flow; k steps of gradient descent
    at learning rate lr are tau = k lr). States that the program gives a flow keep it; the others follow the gradient.

    Raises
    ------
    ProgramError
        The program has no loss or has a derived flow already, or a definition on the way is not differentiable.
    """
    if program.adjoints:
        raise ProgramError(f"{program.name}: the flow of {program.states[0]} is defined twice; derive it once")
    return constrained(flow_of(program, *adjoints(program)))


def rates_of(program: Program, taken: set[str]) -> tuple[Symbol, ...]:
    """New parameters for the learning rates of a program's states that have no flow of their own."""
    names = [state for state in program.state_names if state not in program.flow]
    return tuple(Symbol(unused([f"eta_{s}", f"eta_of_{s}"], taken), real=True) for s in names)


def flow_of(
    program: Program,
    definitions: tuple[Definition, ...],
    extents: dict[Symbol, Expr],
    value: dict[str, Expr],
    accent: str = "bar",
    rates: tuple[Symbol, ...] = (),
) -> Program:
    """The program with adjoints and the flow that they give; with learning rates of its own if it has none yet."""
    names = adjoint_names(program, accent)
    defined = {d.name for d in definitions}
    taken = {*names_of(program), *(index.name for index in extents), *defined}
    new = () if rates else rates_of(program, taken)
    flow = []
    led = [state for state in program.states if name_of(state) not in program.flow]
    for state, rate in zip(led, rates or new, strict=True):
        name = name_of(state)
        slope = renamed(state, unused([f"{name}dot", f"{name}_dot"], taken))
        flow.append(Definition(slope, -rate * value[name], f"gradient flow of {name}"))
    return program.extended(
        (*definitions, *flow),
        extents=extents,
        parameters=(*program.parameters, *new),
        model=program.model or program,
        flow={**program.flow, **{name_of(s): name_of(f.lhs) for s, f in zip(led, flow, strict=True)}},
        rates={name_of(s): rate.name for s, rate in zip(led, rates or new, strict=True)},
        **{"second" if program.adjoints else "adjoints": {name: bar for name, bar in names.items() if bar in defined}},
    )


def is_smooth(program: Program) -> bool:
    """Whether a flow is by the slopes of its loss: nothing is held still in the sweep, or projected out of it."""
    return not program.constraints and not any(d.rhs.has(stop_gradient) for d in program.definitions)


def descent_flow(program: Program) -> Program:
    """The flow that full-batch gradient descent at learning rate ``lr`` follows, to second order in lr.

    Steps of descent do not follow the gradient flow of the loss but, one order closer, that of the modified loss
    ``loss + (lr/4) sum_state eta_state |d loss / d state|^2``: the same sweep, over a program that holds its own
    adjoints.

    Parameters
    ----------
    program : Program
        A model with a loss, or its gradient flow.

    Raises
    ------
    ProgramError
        The flow of the program is not the gradient flow of its loss: it has a metric, or is given and not derived.

    References
    ----------
    E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration, chapter IX; for gradient descent: D. G. T.
    Barrett, B. Dherin, Implicit Gradient Regularization, arXiv 2009.11162. The theorem:
    :func:`derivations.theorems.descent.modified_loss`.

    Examples
    --------
    >>> from derivations.models import keyword_classifier
    >>> print(descent_flow(keyword_classifier()).loss)
    loss_modified
    """
    if program.metric or (program.model or program).flow or not is_smooth(program):
        raise ProgramError(
            f"{program.name}: its flow is not the gradient flow of its loss, which the flow of descent needs; give a "
            "model, or its gradient flow"
        )
    program = program.model or program
    definitions, extents, value = adjoints(program)
    taken = {*names_of(program), *(index.name for index in extents), *(d.name for d in definitions)}
    lr = Symbol(unused(["lr", "lr_of_descent"], taken), real=True)
    rates = rates_of(program, taken)
    correction: Expr = S.Zero
    norms = []
    for state, rate in zip(program.states, rates, strict=True):
        name = name_of(state)
        square = Symbol(unused([f"square_{name}", f"square_of_{name}"], taken), real=True)
        over = [index for index in subscript(state) if index in value[name].free_symbols]
        length = Mul(value[name] ** 2, *(extents[index] for index in subscript(state) if index not in over))
        rhs = SumOver(length, *over) if over else length
        norms.append(Definition(square, rhs, f"squared length of the gradient by {name}"))
        correction += rate * square
    modified = Symbol(unused(["loss_modified"], taken), real=True)
    note = f"what descent at the learning rate `{lr}` descends"
    whole = program.extended(
        (*definitions, *norms, Definition(modified, program.loss + lr / 4 * correction, note)),
        name=f"{program.name}-descent",
        title=f"{program.title}: modified flow of gradient descent",
        extents=extents,
        parameters=(*program.parameters, lr, *rates),
        loss=modified,
        model=program,
        adjoints={
            name: bar for name, bar in adjoint_names(program, "bar").items() if bar in {d.name for d in definitions}
        },
        step=lr.name,
    )
    return flow_of(whole, *adjoints(whole, "hat"), "hat", rates)
