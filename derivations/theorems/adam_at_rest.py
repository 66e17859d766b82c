"""Adam's first steps: signal over noise, and why words are learnt by the root of their frequency."""

from __future__ import annotations

from sympy import Expr, IndexedBase, Integer, KroneckerDelta, Matrix, Rational, S, Symbol, limit, log, oo, sqrt

from derivations.gradient_flow import second_moments
from derivations.gradient_flow.optimisers import (
    adam,
    batch,
    examples,
    first,
    gradient,
    lr,
    moment,
    second,
    softening,
    step,
    theta,
    time,
)
from derivations.models import keyword_classifier
from derivations.models.symbols import n
from derivations.program.language import scalars
from derivations.registry import theorem
from derivations.theorems.few_words import entry, rated, sized, written_out
from derivations.theorems.theorem import Step, Theorem

__all__ = ["adam_at_rest"]

excess, spread, rho, moved = scalars("D S rho W")
q, L, steps, margin, number = scalars("q L steps margin k", positive=True)
presence, present, odds = scalars("pi_io pi_i odds", positive=True)


def slopes_and_squares() -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """At W = 0 with the bias at log q: how W moves, what that is claimed to be, and the same for second moments.

    Four sentences of two words, three of which are answered alike; attention uniform.
    """
    flow = second_moments(keyword_classifier(True), by=(n,), share=Rational(1, 4))
    told = [((0, 0, 1), 0), ((0, 0, 1), 0), ((0, 1, 1, 1), 0), ((0, 1, 1, 1), 1)]
    bags = Matrix([[Rational(words.count(i), len(words)) for i in range(2)] for words, _ in told])
    answers = Matrix([[Integer(output == o) for o in range(2)] for _, output in told])
    shares = Matrix([[sum(answers[:, o]) / Integer(4) for o in range(2)]])
    given = sized(N=4, V=2, K=2) | rated("s", "W", "b")
    for number, (words, output) in enumerate(told):
        given |= {entry("length", number): Integer(len(words)), entry("y", number): Integer(output)}
        given |= {entry("x", number, place): Integer(word) for place, word in enumerate(words)}
    given |= {entry("s", i): S.Zero for i in range(2)} | {entry("b", o): log(shares[o]) for o in range(2)}
    given |= {entry("W", i, o): S.Zero for i in range(2) for o in range(2)}
    found = written_out(flow.definitions, flow.extents, given)
    missed = answers - Matrix([shares] * 4)
    squares = Matrix(2, 2, lambda i, o: sum(bags[k, i] ** 2 * missed[k, o] ** 2 for k in range(4)) / 4)
    return (
        Matrix(2, 2, lambda i, o: found[entry("Wdot", i, o)]),
        bags.T * answers / 4 - (bags.T * Matrix([Rational(1, 4)] * 4)) * shares,
        Matrix(2, 2, lambda i, o: found[entry(flow.moments["W"], i, o)]),
        squares,
    )


def step_of_adam() -> Expr:
    """How far Adam has moved a parameter after some steps with a gradient D and a mean square of it over batches."""
    program = adam()
    given: dict[Expr, Expr] = {
        gradient: -excess, first: S.Zero, second: S.Zero, time: S.Zero, step: number, softening: S.Zero,
        examples: 2 * batch, moment: (spread - excess**2) / batch,
    }  # fmt: skip
    tables = {base: value for base, value in given.items() if isinstance(base, IndexedBase)}
    values = {symbol: value for symbol, value in given.items() if isinstance(symbol, Symbol)}
    found: dict[Expr, Expr] = {}
    for d in program.definitions:
        rhs = d.rhs.xreplace({a: tables[a.base] for a in d.reads if getattr(a, "base", None) in tables})
        found[d.lhs] = rhs.xreplace(found).xreplace(values)
    end = next(lhs for lhs in found if str(lhs).startswith("theta_next"))
    return found[end] - end.xreplace({end.base: theta})


def of_words_that_stand_once(outputs: int) -> tuple[Matrix, Matrix]:
    """Excess and second moment where word i has the share 1/L of every sentence it is in, and what they should be.

    Of word i: the share of targets that are output o with i in their sentence, for a few outputs; those of o = 0.
    """
    pairs = [presence if o == 0 else entry("pi", o) for o in range(outputs)]
    shares = [q if o == 0 else entry("q", o) for o in range(outputs)]
    answer = [KroneckerDelta(o, 0) for o in range(outputs)]
    total = sum(pairs)
    mean = sum(pair * (one - shares[0]) / L for pair, one in zip(pairs, answer, strict=True))
    square = sum(pair * (one - shares[0]) ** 2 / L**2 for pair, one in zip(pairs, answer, strict=True))
    claimed = {excess: EXCESS.subs(present, total), spread: SPREAD.subs(present, total)}
    return Matrix([mean, square]), Matrix([claimed[excess], claimed[spread]])


EXCESS = (presence - present * q) / L
SPREAD = (presence * (1 - 2 * q) + present * q**2) / L**2
SIGNAL = excess / sqrt(excess**2 + (spread - excess**2) / batch)


@theorem(
    "stage-one-adam",
    "Stage one with Adam: signal over noise at rest",
    about=("keyword-bias", "linear-bias", "rows-prefix"),
)
def adam_at_rest() -> Theorem:
    """The first steps of Adam on tables of words, and how long words take by their frequency."""
    drift, claimed, squares, claimed_squares = slopes_and_squares()
    a, b, share = scalars("a b share", positive=True)
    # A batch of two of examples whose slopes are a, with some chance, or b.
    chances = {
        (one, other): p * r for one, p in ((a, share), (b, 1 - share)) for other, r in ((a, share), (b, 1 - share))
    }
    of_batch = sum(chance * ((one + other) / 2) ** 2 for (one, other), chance in chances.items())
    mean, square = share * a + (1 - share) * b, share * a**2 + (1 - share) * b**2
    pure = SIGNAL.subs({spread: SPREAD, excess: EXCESS}).subs({presence: q, present: q})
    time_of_pure = sqrt(1 + (1 - q) / (batch * q))
    return Theorem(
        source="D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, arXiv 1412.6980",
        hypotheses=(
            "attention is uniform, and values are a table W",
            "training starts from W = 0, with the output bias at its optimum `log(q)`",
            "batches of independent targets, of so many that Adam's average of squares is its mean",
        ),
        statement=(
            "At W = 0 the gradient of one target by W[i,o] is minus `B (Y - q)`, with the share B of word i in its "
            "sentence, Y = 1 if the target is o and 0 if not, and the share q of o among all targets. Its mean is "
            "minus the excess co-occurrence D, its mean square is S. Batches have a mean square of "
            "`D^2 + (S - D^2)/batch`, so that W[i,o] moves by `lr rho` a step: rho is the signal over the root of "
            "signal and noise, between -1 and 1. Where rho is near 1, all words are learnt at one pace, that of the "
            "learning rate; where noise is greater, the pace is `sqrt(batch) D/sqrt(S)`. Both D and `sqrt(S)` are in "
            "proportion to `1/L` where word i stands once in sentences of L words, whose lengths then do not matter: "
            "rho depends on pi_io, the share of targets that are o with i in their sentence, and on pi_i, that of "
            "targets with i in their sentence. A word that stands for one source word and for nothing else, "
            "`pi_io = pi_i = q`, needs `steps` for a logit `margin`: as the square root of `1/q` if it is rare, "
            "`q` below `1/batch`, where gradient flow takes a time in proportion to `1/q`. A batch four times as "
            "large halves the steps of rare words and leaves those of frequent ones."
        ),
        domain={q: 1 / (1 + odds)},
        results={
            rho: SIGNAL,
            moved: lr * rho * number,
            excess: EXCESS,
            spread: SPREAD,
            steps: margin / lr * time_of_pure,
        },
        steps=(
            Step(
                "at W = 0, on four sentences with three answers alike, the drift is D",
                drift, claimed, ("Wdot[0,0]", "Wdot[0,1]", "Wdot[1,0]", "Wdot[1,1]"),
            ),
            Step(
                "and the mean square of the gradients of single targets is S",
                squares, claimed_squares, ("S[0,0]", "S[0,1]", "S[1,0]", "S[1,1]"),
            ),
            Step(
                "the mean square of the mean of a batch of two targets, whose slopes are `a` or `b`",
                of_batch, mean**2 + (square - mean**2) / 2, "E[g^2]",
            ),
            Step(
                "with the slope -D and this mean square, Adam moves a parameter in so many steps by",
                step_of_adam(), lr * number * SIGNAL, "W",
            ),
            Step(
                "where word i stands once in sentences of L words, of three outputs here, D and S",
                *of_words_that_stand_once(3), ("D", "S"),
            ),
            Step("of a word that stands for one source word alone", pure, 1 / time_of_pure, "rho"),
            Step(
                "if it is rare, the signal is the root of how often it is in a batch",
                limit(pure / sqrt(batch * q), q, 0, "+"), S.One, "lim [rho/sqrt(batch q)]",
            ),
            Step("in infinite batches all move alike", limit(pure, batch, oo), S.One, "lim rho"),
            Step(
                "the slope of its steps by frequency: from `-1/2` for rare words to 0",
                q * log(time_of_pure).diff(q), -1 / (2 * (1 + (batch - 1) * q)), "dlog(steps)/dlog(q)",
            ),
            Step(
                "and by the size of the batch",
                batch * log(time_of_pure).diff(batch), -(1 - q) / (2 * (1 + (batch - 1) * q)),
                "dlog(steps)/dlog(batch)",
            ),
        ),
        meanings={
            "rho": "signal over noise: what part of the learning rate a parameter moves by",
            "D": "excess co-occurrence of word i and output o",
            "S": "mean square of the gradients of single targets",
            "W": "value of word i for output o after some steps",
            "q": "share of an output among targets",
            "L": "number of words in a sentence",
            "batch": "number of targets in a batch",
            "lr": "learning rate",
            "k": "number of steps",
            "steps": "number of steps to a margin, of a word that stands for one source word alone",
            "margin": "logit that is to be reached",
            "pi_io": "share of targets that are output o with word i in their sentence",
            "pi_i": "share of targets with word i in their sentence",
        },
        limits=(
            "at rest: for as long as no prediction has moved, and of one word's own logit. Afterwards other words of "
            "the sentence explain part of the excess, attention moves, and the average of squares still holds the "
            "larger ones of the beginning. Factorised embeddings share their noise among words. Targets of one "
            "sentence are not independent. It orders words, and says how steps depend on frequency and on batches; "
            "`dynamics forecast` follows the flow beyond it"
        ),
    )  # fmt: skip
