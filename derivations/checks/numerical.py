"""Checks of equations by numbers: at random points, and of a flow against finite differences of its loss.

They run when a derivation is written out, on the program that it shows: through plain Python loops over its equations,
so that a wrong sign in any of them is found.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sympy import Expr, Indexed, lambdify

from derivations.checks.plain_python import Loops, plain_python, safe
from derivations.program.language import Program, extent_symbols, name_of, subscript
from derivations.reductions.positional import SIZES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = dict[str, Any]

__all__ = ["POINTS", "Check", "at_random_points", "checked", "largest", "moving_point", "plain_flow", "small_sizes"]

POINTS = 50
"""Random points at which an equation is checked that sympy does not simplify."""
DIGITS = 30
"""Decimal digits that such a check computes with."""


@dataclass(frozen=True)
class Check:
    """What was compared with what, and how far apart they are.

    Attributes
    ----------
    what : str
        In words.
    error : float
        The largest difference, relative to the largest value.
    tolerance : float
        What it may be.
    how : str
        By what, in words.
    exact : bool
        Shown by algebra: no error was measured.
    """

    what: str
    error: float = 0.0
    tolerance: float = 0.0
    how: str = ""
    exact: bool = False

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # false for NaN

    @property
    def figure(self) -> str:
        """The outcome in a few words."""
        if self.exact:
            return self.how
        verdict = "" if self.passed else "FAILS: "
        return " ".join(filter(None, [f"{verdict}{self.error:.1e}", self.how, f"(at most {self.tolerance:.0e})"]))


# -- expressions ------------------------------------------------------------------------------------------------------


def at_random_points(left: Expr, right: Expr) -> float:
    """The largest relative difference of two expressions at random points within the assumptions of their symbols.

    Points where a side has no finite real value are drawn again. Infinite if there are no others.

    Examples
    --------
    >>> from sympy import sin, cos, symbols
    >>> x = symbols("x", real=True)
    >>> at_random_points(sin(2 * x), 2 * sin(x) * cos(x)) < 1e-25
    True
    >>> at_random_points(sin(2 * x), 2 * sin(x)) > 0.1
    True
    """
    import mpmath  # type: ignore[import-untyped]

    left, right = left.subs(SIZES), right.subs(SIZES)
    entries = left.atoms(Indexed) | right.atoms(Indexed)
    symbols = (left.free_symbols | right.free_symbols) - {s for entry in entries for s in entry.free_symbols}
    of = sorted({*entries, *symbols}, key=str)
    both = lambdify(of, [left, right], "mpmath", cse=True)
    draw, worst, found = random.Random(0), 0.0, 0
    with mpmath.workdps(DIGITS):
        for _ in range(20 * POINTS):
            if found == POINTS:
                break
            try:
                one, other = (mpmath.mpmathify(side) for side in both(*(mpmath.mpf(drawn(s, draw)) for s in of)))
            except (ZeroDivisionError, ValueError):
                continue
            if not all(isinstance(side, mpmath.mpf) and mpmath.isfinite(side) for side in (one, other)):
                continue
            found += 1
            worst = max(worst, float(abs(one - other) / max(1, abs(one), abs(other))))
    return worst if found == POINTS else math.inf


def drawn(symbol: Expr, draw: random.Random) -> float:
    """A value that a symbol may have."""
    if symbol.is_integer:
        return draw.randint(1 if symbol.is_positive else 0, 5)
    size = draw.uniform(0.05, 2)
    return size if symbol.is_nonnegative else math.copysign(size, draw.random() - 0.5)


# -- programs ---------------------------------------------------------------------------------------------------------


def small_sizes(program: Program) -> dict[str, int]:
    """A size for every size symbol."""
    return {size.name: 3 + k % 2 for k, size in enumerate(extent_symbols(program))}


def random_values(program: Program, seed: int = 0) -> Values:
    """Arguments for the function of :func:`~derivations.checks.plain_python.plain_python`, small and random.

    Tables hold what they are used for: an ``x[n, l]`` that is a subscript of W is below the first size of W, and a row
    that walks positions is no longer than there are.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    declared = program.declarations
    loops = Loops(program)
    sizes = {size: small_sizes(program)[size.name] for size in extent_symbols(program)}
    values: Values = {safe(size.name): n for size, n in sizes.items()}
    below: dict[str, int] = {}  # what the entries of a table are below
    for access in {a for d in program.definitions for a in (d.lhs, *d.reads) if isinstance(a, Indexed)}:
        for sub, own in zip(subscript(access), subscript(declared[name_of(access)]), strict=True):
            size = sizes.get(program.extents[own])
            if isinstance(sub, Indexed) and size:
                below[name_of(sub)] = min(size, below.get(name_of(sub), size))
            length = program.extents.get(sub)
            if isinstance(length, Indexed) and size:
                below[name_of(length)] = min(size + 1, below.get(name_of(length), size + 1))
    lengths = {name_of(extent) for extent in program.extents.values() if isinstance(extent, Indexed)}
    given = (*program.data, *program.states)
    for access in sorted(given, key=lambda a: name_of(a) not in lengths):
        name = name_of(access)
        scope = {**values, **{f"{i.name}_start": starts(values, e) for i, e in loops.ragged.items()}}
        shape = tuple(int(eval(axis, scope)) for axis in loops.shape(access))
        if access.is_integer:
            values[safe(name)] = rng.integers(name in lengths, below.get(name, 4), shape)
        elif access in program.states:
            values[safe(name)] = rng.normal(size=shape) if shape else float(rng.uniform(0.5, 1.5))
        else:
            values[safe(name)] = rng.uniform(0.2, 1, shape)
    scalar = {"V": 7.0, "L": 4.0}  # sizes of reductions: more words than positions
    values |= {safe(p.name): scalar.get(p.name) or float(rng.uniform(0.5, 1.5)) for p in program.parameters}
    needed = set(loops.sizes()[1]) | {safe(name_of(a)) for a in (*given, *program.parameters)}
    return {name: value for name, value in values.items() if name in needed}


def starts(values: Values, extent: Expr) -> Any:
    """Where the rows of a ragged axis begin, once their lengths are drawn."""
    import numpy as np

    return np.concatenate([[0], np.cumsum(values.get(safe(name_of(extent)), []))]).astype(int)


def as_function(program: Program) -> Callable[..., Values]:
    """The equations of a program in plain Python, as a function."""
    space: dict[str, Any] = {}
    exec(plain_python(program), space)
    return space[re.sub(r"[^0-9A-Za-z]", "_", program.name)]


def plain_flow(program: Program, values: Values) -> Values:
    """All that a program defines, by its equations in plain Python."""
    return as_function(program)(**values)


STENCIL = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
"""Central difference of sixth order."""
STEP = 2e-3


def gradient(program: Program, values: Values) -> Values:
    """The derivatives of the loss by every state, by finite differences of its equations."""
    import numpy as np

    run, loss = as_function(program), name_of(program.loss)
    found: Values = {}
    for state in map(safe, program.state_names):
        here = np.array(values[state], dtype=float)
        slope = np.zeros_like(here)
        for at in np.ndindex(here.shape):
            for k, weight in STENCIL.items():
                for sign in (1, -1):
                    moved = here.copy()
                    moved[at] += sign * k * STEP
                    slope[at] += sign * weight * run(**(values | {state: moved}))[loss] / STEP
        found[state] = slope
    return found


def by_metric(program: Program, values: Values, state: str, slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """A gradient as the flow of a program has it: words move together, logits by a metric, matrices by one number."""
    if program.name.startswith("topic-words") and state in ("v", "s", "key"):
        return values["coupling"] @ slope
    if program.name == "topic-FC-span" and state == "W":
        return slope @ (values["U"].T @ values["U"])
    if program.name.startswith("copying"):
        positions = values.get("L", float(re.sub(r"\D", "", program.name) or 0))
        return slope / ((values["V"] if state.startswith("u") else positions) - 1)
    return slope


def moving_point(program: Program) -> Values:
    """Random values at which every state moves, if some are found: a sentence of one word has no slope in its score."""
    import numpy as np

    run, values = as_function(program), random_values(program)
    for seed in range(1, 20):
        flow = run(**values)
        if min(float(np.max(np.abs(flow[rate]), initial=0)) for rate in program.flow.values()) > 1e-3:
            break
        values = random_values(program, seed)
    return values


def against_differences(program: Program) -> Check:
    """The flow of a program against finite differences of its loss at a random point."""
    values = moving_point(program)
    slopes, found = gradient(program, values), as_function(program)(**values)
    pairs = []
    for state, rate in program.flow.items():
        eta = values[f"eta_{state}"] if f"eta_{state}" in values else values["eta_W" if state[0] == "u" else "eta_A"]
        pairs.append((found[rate], -eta * by_metric(program, values, state, slopes[safe(state)])))
    metric = " (times its metric)" if program.model is None or program.name.startswith("copying") else ""
    return Check(f"flow against finite differences of the loss{metric}, at a random point", largest(pairs), 1e-9)


def largest(pairs: list[tuple[Any, Any]]) -> float:
    """The largest difference of pairs of arrays, relative to the largest entry of each pair."""
    import numpy as np

    return max(
        float(np.max(np.abs(np.subtract(a, b)), initial=0) / max(np.max(np.abs(a), initial=0), 1e-300))
        for a, b in pairs
    )


# -- what a flow is beside the gradient of its own loss ---------------------------------------------------------------


def against_other_equations(program: Program) -> tuple[Check, ...]:
    """A closure against what it is exact for, and KTIW against a softmax."""
    values = random_values(program)
    found = [DRIFTS[program.name](program)] if program.name in DRIFTS else []
    if "beta" in program.declarations:
        from scipy.special import softmax

        beta = as_function(program)(**values)["beta"]
        found.append(Check("KTIW against the softmax of SciPy", largest([(beta, softmax(values["W"], axis=1))]), 1e-14))
    return tuple(found)


BAGS = ((0, 0, 1), (2, 3), (4,))
"""Sentences that share no word, each with every output once."""
OUTPUTS = 3
LABELS = ((0, 0, 1, 2), (1, 2), (0, 2, 2))


def on_sentences(program: Program, at_zero: bool, bias: bool = False) -> Check:
    """A closure of stage one against the keyword classifier with uniform attention, on sentences that share no word."""
    import numpy as np

    from derivations.models.attention import keyword_classifier

    pairs = [(bag, y) for bag, labels in zip(BAGS, LABELS, strict=True) for y in labels]
    words = 1 + max(map(max, BAGS))
    bags = np.array([np.bincount(bag, minlength=words) / len(bag) for bag, _ in pairs])
    answers = np.eye(OUTPUTS)[[y for _, y in pairs]]
    q = answers.mean(axis=0)
    W = np.random.default_rng(0).normal(size=(words, OUTPUTS)) * (not at_zero)
    given = {"C": bags.T @ answers / len(pairs), "c": bags.mean(axis=0), "G": bags.T @ bags / len(pairs), "q": q}
    exact = as_function(keyword_classifier(bias))(
        length=[len(bag) for bag, _ in pairs], x=[word for bag, _ in pairs for word in bag], y=[y for _, y in pairs],
        s=np.zeros(words), W=W, eta_s=1.0, eta_W=1.0, **({"b": np.log(q), "eta_b": 1.0} if bias else {}),
    )  # fmt: skip
    needed = {name_of(a) for a in program.data}
    closed = as_function(program)(W=W, eta_W=1.0, **{k: v for k, v in given.items() if k in needed})
    where = "at W = 0" if at_zero else "at a random W, on sentences that share no word"
    error = largest([(closed["Wdot"], exact["Wdot"])])
    return Check(f"drift against the exact flow with uniform attention, {where}", error, 1e-13)


def average_company(program: Program) -> Check:
    """The marginal closure is the Gram closure whose words keep average company."""
    import numpy as np

    from derivations.closures.cooccurrence import gram

    values = random_values(program)
    c = values["c"] = values["c"] / values["c"].sum()
    length = values["L"] = 1 + values["L"]
    G = np.diag(c) / length + (1 - 1 / length) * np.outer(c, c)
    other = as_function(gram())(**{k: v for k, v in values.items() if k != "L"}, G=G)
    what = "drift against the Gram closure of words in average company, at a random W"
    return Check(what, largest([(as_function(program)(**values)["Wdot"], other["Wdot"])]), 1e-13)


DRIFTS: Mapping[str, Callable[[Program], Check]] = {
    "linear": lambda program: on_sentences(program, at_zero=True),
    "linear-bias": lambda program: on_sentences(program, at_zero=True, bias=True),
    "gram": lambda program: on_sentences(program, at_zero=False),
    "marginal": average_company,
}
"""Closures of stage one by name."""


def is_gradient(program: Program) -> bool:
    """Whether the flow of a program is that of its loss, up to a metric."""
    return bool(program.flow) and program.loss is not None and any(d.name.endswith("bar") for d in program.definitions)


def checked(program: Program) -> tuple[Check, ...]:
    """All checks of a program that its equations alone allow."""
    own = (against_differences(program),) if is_gradient(program) else ()
    return (*own, *against_other_equations(program))
