"""Closures against what they are exact for, as they declare it; see :mod:`derivations.closures.exactness`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from derivations.checks.check import Check, largest
from derivations.checks.small_data import as_function, moving_point, random_values
from derivations.closures.exactness import Exactness, OnBags, OnSentences, SpecialCase
from derivations.program.access import accesses, name_of
from derivations.program.program import Program
from derivations.program.role import Role
from derivations.registry import program as program_of

__all__ = ["against_softmax", "against_what_it_is_exact_for"]

BAGS = ((0, 0, 1), (2, 3), (4,))
"""Sentences that share no word, each with every output once."""
OUTPUTS = 3
LABELS = ((0, 0, 1, 2), (1, 2), (0, 2, 2))


def against_what_it_is_exact_for(program: Program, exact_for: Exactness) -> Check:
    """The drift of a closure against the flow that it declares to have in a case."""
    if isinstance(exact_for, OnSentences):
        return on_sentences(program, exact_for)
    if isinstance(exact_for, OnBags):
        return on_bags(program, exact_for)
    return special_case(program, exact_for)


def on_sentences(program: Program, exact_for: OnSentences) -> Check:
    """A closure of stage one against a model with uniform attention, on sentences that share no word."""
    import numpy as np

    model = exact_for.model()
    pairs = [(bag, y) for bag, labels in zip(BAGS, LABELS, strict=True) for y in labels]
    words = 1 + max(map(max, BAGS))
    bags = np.array([np.bincount(bag, minlength=words) / len(bag) for bag, _ in pairs])
    answers = np.eye(OUTPUTS)[[y for _, y in pairs]]
    q = answers.mean(axis=0)
    W = np.random.default_rng(0).normal(size=(words, OUTPUTS)) * (not exact_for.at_zero)
    statistics = {"C": bags.T @ answers / len(pairs), "c": bags.mean(axis=0), "G": bags.T @ bags / len(pairs), "q": q}
    examples = {
        "length": [len(bag) for bag, _ in pairs],
        "x": [word for bag, _ in pairs for word in bag],
        "y": [y for _, y in pairs],
    }
    start: dict[Role, Any] = {Role.VALUES: W, Role.ATTENTION: np.zeros(words), Role.BIAS: np.log(q)}
    exact, closed = (
        as_function(one)(
            **data,
            **{state: start[one.roles[state]] for state in one.state_names},
            **dict.fromkeys(one.rates.values(), 1.0),
        )[one.flow[one.with_role(Role.VALUES)[0]]]
        for one, data in ((model, examples), (program, statistics))
    )
    where = "at W = 0" if exact_for.at_zero else "at a random W, on sentences that share no word"
    return Check(f"drift against the exact flow with uniform attention, {where}", largest([(closed, exact)]), 1e-13)


def on_bags(program: Program, exact_for: OnBags) -> Check:
    """Every sentence a bag, against the model on the sentences; one bag a target, against the closure.

    Both at a random W and A. ``LABELS`` has a target more than once, ``BAGS`` a word.
    """
    import numpy as np

    model, closed = exact_for.model(), exact_for.closure()
    words, random = 1 + max(map(max, BAGS)), np.random.default_rng(0)
    states = {name: random.normal(size=(words, OUTPUTS)) for name in program.state_names}
    rates = dict.fromkeys((*program.rates.values(), *model.rates.values(), *closed.rates.values()), 1.0)
    shares = [np.bincount(bag, minlength=words) / len(bag) for bag in BAGS]
    pairs = [(share, y) for share, ys in zip(shares, LABELS, strict=True) for y in ys]
    C = np.array([bag for bag, _ in pairs]).T @ np.eye(OUTPUTS)[[y for _, y in pairs]] / len(pairs)
    q = C.sum(axis=0)

    def drift(one: Program, **data: Any) -> list[Any]:
        found = as_function(one)(**data, **states, **rates, V=words, K=OUTPUTS)
        return [found[one.flow[name]] for name in program.state_names]

    def of_bags(rows: Any, targets: Any, weights: Any) -> list[Any]:
        at = [np.flatnonzero(row) for row in rows]
        return drift(
            program, J=len(rows), count=np.array([len(row) for row in at]), word=np.concatenate(at),
            B=np.concatenate([row[own] for row, own in zip(rows, at, strict=True)]), y=np.array(targets),
            w=np.array(weights), q=q,
        )  # fmt: skip

    sentences = drift(
        model, N=len(BAGS), length=np.array([len(bag) for bag in BAGS]), x=np.concatenate(BAGS),
        targets=np.array([len(ys) for ys in LABELS]), y=np.concatenate(LABELS),
    )  # fmt: skip
    all_bags = of_bags([bag for bag, _ in pairs], [y for _, y in pairs], [1 / len(pairs)] * len(pairs))
    one_each = of_bags(list((C / q).T), range(OUTPUTS), q)
    what = "drift on all sentences against the model, and on one bag a target against the closure, at random W and A"
    found = [*zip(all_bags, sentences, strict=True), *zip(one_each, drift(closed, R=C / q, q=q), strict=True)]
    return Check(what, largest(found), 1e-13)


def special_case(program: Program, exact_for: SpecialCase) -> Check:
    """A closure against another one, some of whose data are given by what both have."""
    other, given = program_of(exact_for.closure), exact_for.given()
    defined = {definition.name for definition in given}
    read = {access for definition in given for access in accesses(definition.rhs)}
    other = replace(
        other,
        data=tuple(access for access in other.data if name_of(access) not in defined),
        parameters=tuple(dict.fromkeys((*other.parameters, *(p for p in program.parameters if p in read)))),
        definitions=(*given, *other.definitions),
    )
    values = random_values(program)
    found = [[as_function(one)(**values)[rate] for rate in one.flow.values()] for one in (program, other)]
    what = f"drift against {exact_for.words}, at a random W"
    return Check(what, largest(list(zip(*found, strict=True))), 1e-13)


def against_softmax(program: Program) -> tuple[Check, ...]:
    """KTIW, where a program defines it, against a softmax of its values."""
    if not program.with_role(Role.KTIW):
        return ()
    from scipy.special import softmax

    values = moving_point(program) if program.flow else random_values(program)
    found = as_function(program)(**values)
    (state,) = program.with_role(Role.VALUES)[:1] or ("",)
    return tuple(
        Check("KTIW against the softmax of SciPy", largest([(found[name], softmax(values[state], axis=-1))]), 1e-14)
        for name in program.with_role(Role.KTIW)
    )
