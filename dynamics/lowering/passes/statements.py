"""First passes: from definitions to assignments over explicit iteration spaces.

Dead definitions are dropped, log-sum-exps become maximum, exponentials, sum and logarithm (the exponentials are
computed once and shared with the adjoint), and reductions become an initial value and an accumulation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sympy import Add, And, Expr, Float, Function, Indexed, IndexedBase, Mul, Or, Piecewise, S, Symbol, exp, log

from derivations.program.access import Access, accesses, gathers, index_symbols, is_plain, name_of, subscript
from derivations.program.language import LogSumExp, MaxOver, Where, conjuncts
from derivations.program.program import Definition, Program, names_of, unused

LOW = 1e-15
"""A sum of exponentials below this is taken again with a maximum of its own.

Relative to the greatest of all scores, exponentials are exact to a few units in the last place down to here; far below
they would vanish. Nor may the attention of a single word be a last place off 1: its gradient is exactly 0.
"""


NOTHING = Float("2.5e-308")
"""Added to a sum before it divides: where nothing has weight shares are 0 and not 0 / 0. Others do not see it."""

BOUND = "bound="
"""The greatest number so far, without NaN: what is subtracted before exponentials, which show a NaN."""
MAXIMA = ("max=", BOUND)


class Finite(Function):
    """A number, or 0 if it is not finite. What is subtracted from infinities must not be infinite."""

    is_real = True


@dataclass(frozen=True)
class Statement:
    """``target op expr`` at every point of an iteration space; op is ``=``, ``+=``, ``max=`` or ``bound=``.

    With a condition, only at the points where it holds.
    """

    target: Access
    op: str
    expr: Expr
    space: tuple[Symbol, ...]
    condition: Expr = S.true

    @cached_property
    def writes(self) -> str:
        return name_of(self.target)

    @cached_property
    def read_accesses(self) -> list[Access]:
        own = [] if self.op == "=" else [self.target]
        return [*accesses(self.expr), *gathers(self.expr), *gathers(self.target), *accesses(self.condition), *own]

    @cached_property
    def reads(self) -> set[str]:
        return {name_of(a) for a in self.read_accesses}

    @cached_property
    def touched(self) -> dict[str, list[Access]]:
        """Every access by the name of its tensor."""
        found: dict[str, list[Access]] = {}
        for access in (self.target, *self.read_accesses):
            found.setdefault(name_of(access), []).append(access)
        return found

    def __str__(self) -> str:
        condition = "" if self.condition == S.true else f" if {self.condition}"
        return f"{self.target} {self.op} {self.expr}{condition}"


def needed(definitions: Sequence[Definition], outputs: Iterable[str]) -> list[Definition]:
    """The definitions that the outputs depend on, in order."""
    wanted = set(outputs)
    kept = []
    for d in reversed(definitions):
        if d.name in wanted:
            kept.append(d)
            wanted.update(name_of(a) for a in d.reads)
    return kept[::-1]


def live(statements: Sequence[Statement], outputs: Iterable[str]) -> list[Statement]:
    """The statements that the outputs depend on, in order."""
    wanted = set(outputs)
    kept = []
    for s in reversed(statements):
        if s.writes in wanted:
            kept.append(s)
            wanted |= s.reads
    return kept[::-1]


def part(access: Access, suffix: str, taken: set[str], indices: tuple[Expr, ...] | None = None) -> Access:
    """A helper tensor of a definition, with its indices or others; nothing else is called so."""
    indices = subscript(access) if indices is None else indices
    name = unused([f"{name_of(access)}_{suffix}"], taken)
    return IndexedBase(name, real=True)[indices] if indices else Symbol(name, real=True)


def scores_of_words(reduction: LogSumExp, program: Program) -> Access | None:
    """The scores ``s[i]`` behind a log-sum-exp of ``s[x[n, l]]`` over the words of an example, if it is one."""
    body = reduction.body
    if program.examples is None or reduction.weight != 1 or not isinstance(body, Indexed):
        return None
    if len(subscript(body)) != 1 or not isinstance(subscript(body)[0], Indexed):
        return None
    return program.declarations[name_of(body)]


def layout_of(body: Expr, indices: tuple[Symbol, ...], table: Mapping[Symbol, Expr]) -> tuple[Symbol, ...]:
    """The indices in the order in which some access of the body has them, so that both are walked alike.

    Without such an access they keep their order, but a ragged index follows the index of its lengths at once.
    """
    for access in accesses(body):
        if is_plain(access) and set(subscript(access)) == set(indices):
            return subscript(access)
    order = [index for index in indices if not isinstance(table[index], Indexed)]
    for index in indices:
        if index not in order:
            owners = [k for k, owner in enumerate(order) if owner in table[index].free_symbols]
            order.insert(max(owners) + 1 if owners else len(order), index)
    return tuple(order)


def in_place_of(share: Expr, weight: Expr, value: Expr, expr: Expr) -> Expr:
    """The expression with ``value`` in place of ``share``, wherever it stands beside the weight.

    Where the weight is 0 the exponentials are not computed, and elsewhere in an expression they would be missed.
    """
    if isinstance(weight, Where):
        needed = conjuncts(weight.condition)
        return expr.replace(
            lambda e: isinstance(e, Where) and needed <= conjuncts(e.condition),
            lambda e: Where(in_place_of(share, weight.value, value, e.value), e.condition),
        )
    if weight == 1:
        return expr.xreplace({share: value})
    beside = {share, *Mul.make_args(weight)}
    return expr.replace(
        lambda e: isinstance(e, Mul) and beside <= set(e.args),
        lambda e: Mul(*(value if factor == share else factor for factor in e.args)),
    )


def terms_of(expr: Expr, table: Mapping[Symbol, Expr]) -> list[tuple[Expr, Expr]]:
    """(value, condition) for every term of a sum whose condition indices alone decide; the others are one term."""
    terms = Add.make_args(expr)
    held = [term for term in terms if isinstance(term, Where) and of_indices(term.condition, table)]
    if not held:
        return [(expr, S.true)]
    rest = Add(*(term for term in terms if term not in held))
    return [*([(rest, S.true)] if rest != 0 else []), *((term.value, term.condition) for term in held)]


def products_of(definitions: Sequence[Definition]) -> dict[str, Definition]:
    """The tensors that are products of others, as these stay, and nothing else; by name."""
    count = Counter(d.name for d in definitions)
    last = {d.name: k for k, d in enumerate(definitions)}
    return {
        d.name: d
        for k, d in enumerate(definitions)
        if count[d.name] == 1 and not d.over and is_plain(d.lhs)
        if isinstance(d.rhs, Mul) and all(f.is_number or isinstance(f, Indexed | Symbol) for f in d.rhs.args)
        if all(last.get(name_of(a), -1) < k for a in d.reads)
    }


def spelt_out(value: Expr, products: Mapping[str, Definition]) -> Expr:
    """A product with what its factors are products of."""
    factors = Mul.make_args(value)
    found = {f: products[name_of(f)] for f in factors if isinstance(f, Indexed) and name_of(f) in products}
    if not found:
        return value
    spelt = {f: d.rhs.xreplace(dict(zip(subscript(d.lhs), subscript(f), strict=True))) for f, d in found.items()}
    return spelt_out(Mul(*(spelt.get(f, f) for f in factors)), products)


def taken_out(
    value: Expr, d: Definition, table: Mapping[Symbol, Expr], products: Mapping[str, Definition]
) -> tuple[Expr, list[Expr]] | None:
    """What can be taken out of a sum of products, and the factors of the sum that is left, if that has fewer numbers.

    ``sum_n v[h] x[n] y[n, d]`` is ``v[h]`` times a sum that has no h: one for all h.
    """
    over, own = set(d.over), set(subscript(d.lhs))
    if not is_plain(d.lhs) or any(isinstance(table[index], Indexed) for index in (*own, *over)):
        return None
    outside: list[Expr] = []
    inside: list[Expr] = []
    for factor in Mul.make_args(value):
        parts = Mul.make_args(spelt_out(factor, products))
        rest = [one for one in parts if index_symbols(one, table) & over]
        if any(index_symbols(one, table) & own for one in parts if one not in rest):
            outside += [one for one in parts if one not in rest]
            inside += [Mul(*rest)] if rest else []
        else:
            inside.append(factor)
    fewer = own - index_symbols(Mul(*inside), table)
    found = index_symbols(Mul(*outside), table) & fewer and index_symbols(Mul(*inside), table) & over
    return (Mul(*outside), inside) if found else None


def of_indices(condition: Expr, table: Mapping[Symbol, Expr]) -> bool:
    """Whether a condition depends on indices, and otherwise on sizes and tables of whole numbers only."""
    whole = all(access.is_integer for access in accesses(condition)) and not condition.has(Piecewise)
    return bool(index_symbols(condition, table)) and whole


def statements_of(program: Program, outputs: Iterable[str]) -> list[Statement]:
    """The program as assignments; exactly what the outputs need."""
    outputs = tuple(outputs)
    table = program.extents
    order = list(table)
    found: list[Statement] = []
    shared: list[tuple[Expr, Expr, Expr]] = []
    taken = names_of(program)

    def add(target: Access, op: str, expr: Expr, over: tuple[Symbol, ...] = (), condition: Expr = S.true) -> None:
        space = index_symbols(target, table) | index_symbols(expr, table) | set(over) | index_symbols(condition, table)
        found.append(Statement(target, op, expr, tuple(sorted(space, key=order.index)), condition))

    definitions = needed(program.definitions, outputs)
    products = products_of(definitions)
    for k, d in enumerate(definitions):
        rhs = d.rhs
        for share, weight, value in shared:
            rhs = in_place_of(share, weight, value, rhs)
        if isinstance(rhs, LogSumExp):
            share = exp(rhs.body - d.lhs)
            again = any(in_place_of(share, rhs.weight, S.Zero, e.rhs) != e.rhs for e in definitions[k + 1 :])
            largest, total, inverse = (part(d.lhs, suffix, taken) for suffix in ("max", "sum", "inv"))
            power = part(d.lhs, "exp", taken, layout_of(rhs.body, (*subscript(d.lhs), *rhs.over), table))
            # Where the weight is 0 the body plays no part, however large: neither in the maximum nor as inf * 0.
            weight, mask = rhs.weight, S.true
            if isinstance(weight, Where) and of_indices(weight.condition, table):
                weight, mask = weight.value, weight.condition  # the loops leave out the rest
            masked = weight != 1
            body = Piecewise((rhs.body, weight > 0), (-S.Infinity, True)) if masked else rhs.body
            value = exp(rhs.body - largest)
            value = Piecewise((value, weight > 0), (0, True)) if masked else value
            condition, words = S.true, scores_of_words(rhs, program)
            if again and words is not None:
                # One exponential for each word, not for each time that it occurs.
                top, known = part(d.lhs, "top", taken, ()), part(d.lhs, "word", taken, subscript(words))
                low = part(d.lhs, "low", taken)
                (word,) = subscript(rhs.body)
                add(top, "=", -S.Infinity)
                add(top, BOUND, words, subscript(words))
                add(top, "=", Finite(top))
                add(known, "=", exp(words - top))
                add(largest, "=", top)
                add(power, "=", known.base[word])
                add(total, "=", S.Zero)
                add(total, "+=", power, rhs.over)
                add(low, "=", total)
                condition = Or(low < LOW, *(table[index] < 2 for index in rhs.over))
            add(largest, "=", -S.Infinity, (), condition)
            add(largest, BOUND, body, rhs.over, And(condition, mask))
            add(largest, "=", Finite(largest), (), condition)
            if again and mask != True:  # noqa: E712  sympy's own
                add(power, "=", S.Zero)
                add(power, "+=", value, (), mask)
                shared.append((share, rhs.weight, power * inverse))
            elif again:
                add(power, "=", value, (), condition)
                shared.append((share, rhs.weight, power * inverse))
            # The start of the sum keeps its loop apart from that of the exponentials. A loop that stores and sums is
            # vectorised only if no address of one array is found near another's: its rounding would depend on them.
            add(total, "=", S.Zero, (), condition)
            add(total, "+=", weight * (power if again else value), rhs.over, And(condition, mask))
            add(inverse, "=", 1 / (total + NOTHING))
            add(d.lhs, "=", largest + log(total))
        elif d.over:
            op, start = ("max=", -S.Infinity) if isinstance(rhs, MaxOver) else ("+=", S.Zero)
            if not d.accumulate:
                add(d.lhs, "=", start)
            for value, condition in terms_of(rhs.body, table) if op == "+=" else [(rhs.body, S.true)]:
                apart = taken_out(value, d, table, products) if op == "+=" and condition == S.true else None
                if apart is None:
                    add(d.lhs, op, value, d.over, condition)
                    continue
                before, summed = apart
                for factor in summed:
                    if isinstance(factor, Mul):
                        at = sorted(index_symbols(factor, table), key=order.index)
                        term = part(d.lhs, "term", taken, layout_of(factor, tuple(at), table))
                        add(term, "=", factor)
                        summed = [term if one == factor else one for one in summed]
                within = index_symbols(Mul(*summed), table)
                whole = part(d.lhs, "part", taken, tuple(k for k in subscript(d.lhs) if k in within))
                add(whole, "=", S.Zero)
                add(whole, "+=", Mul(*summed), d.over)
                add(d.lhs, "+=", before * whole)
        else:
            terms = terms_of(rhs, table)
            if not d.accumulate and terms[0][1] != True:  # noqa: E712  sympy's own
                add(d.lhs, "=", S.Zero)
            for k, (value, condition) in enumerate(terms):
                first = k == 0 and condition == True and not d.accumulate  # noqa: E712
                add(d.lhs, "=" if first else "+=", value, (), condition)
    return live(found, outputs)
