"""Optimisers as steps: what they make of a gradient and its second moment, entry by entry."""

from __future__ import annotations

from functools import cache

from sympy import Expr, Integer, Max, Symbol, sqrt

from derivations.program.language import indices, scalars, tensors
from derivations.program.program import Definition, Program

__all__ = ["adam", "expected_square", "kept_average"]

P = Symbol("P", integer=True, positive=True)
(i,) = indices("i")
theta, first, second, gradient, moment = tensors("theta first second gradient moment")
step, time, lr, beta_1, beta_2, softening, batch, examples = scalars(
    "step time lr beta_1 beta_2 softening batch examples", positive=True
)


def kept_average(average: Expr, value: Expr, beta: Expr, steps: Expr) -> Expr:
    """A running average after some steps with one value: ``average <- beta average + (1 - beta) value`` each.

    Between steps it follows the flow ``d average / d step = log(1/beta) (value - average)``, of which this is the
    solution.

    Examples
    --------
    >>> from sympy import expand, symbols
    >>> m, g, b = symbols("m g b")
    >>> once = kept_average(m, g, b, 1)
    >>> expand(kept_average(once, g, b, 1) - kept_average(m, g, b, 2))
    0
    """
    return beta**steps * average + (1 - beta**steps) * value


def expected_square(mean: Expr, moment: Expr, examples: Expr, batch: Expr) -> Expr:
    """The mean square of the gradient of a batch, from the gradient of some examples and its second moment.

    The gradient g_n of n examples is a mean; ``moment`` is the sum of the squares of its n contributions. Its mean
    square exceeds that of the full gradient by 1/n of the variance of one example, that of a batch of B by 1/B:
    ``g_n**2 + S (1/B - 1/n)``, with the mean of squares of one example ``S = n moment`` in the place of its variance,
    which is less by the square of the mean. For B > n the noise cannot be taken out of g_n again, and g_n stands for
    the batch.

    Examples
    --------
    >>> from sympy import symbols
    >>> g, m = symbols("g m")
    >>> expected_square(g, m, Integer(64), Integer(32)), expected_square(g, m, Integer(32), Integer(32))
    (g**2 + m, g**2)
    """
    return mean**2 + moment * Max(examples / batch - 1, Integer(0))


@cache
def adam() -> Program:
    """Adam over some of its steps at once, with the noise that batches have in its normaliser.

    One step with ``examples = batch`` is Adam's own. Over more steps the gradient is held, averages decay as they
    would, and the bias corrections are those of the end.

    References
    ----------
    D. P. Kingma, J. Ba, Adam: A Method for Stochastic Optimization, arXiv 1412.6980, algorithm 1.
    """
    first_next, second_next, theta_next = tensors("first_next second_next theta_next")
    corrected_1, corrected_2, end = scalars("corrected_1 corrected_2 end")
    return Program(
        name="adam",
        title="Adam, with the noise of batches",
        source="Kingma, Ba, arXiv 1412.6980, algorithm 1",
        extents={i: P},
        data=(gradient[i], moment[i]),
        states=(theta[i], first[i], second[i]),
        parameters=(step, time, lr, beta_1, beta_2, softening, batch, examples),
        definitions=(
            Definition(end, time + step, "steps so far"),
            Definition(
                first_next[i], kept_average(first[i], gradient[i], beta_1, step), "running average of the gradient"
            ),
            Definition(
                second_next[i],
                kept_average(second[i], expected_square(gradient[i], moment[i], examples, batch), beta_2, step),
                "running average of its square",
            ),
            Definition(corrected_1, lr * step / (1 - beta_1**end), "steps, with the bias of the average taken out"),
            Definition(corrected_2, 1 / sqrt(1 - beta_2**end), "the same for the root of the square"),
            Definition(
                theta_next[i],
                theta[i] - corrected_1 * first_next[i] / (corrected_2 * sqrt(second_next[i]) + softening),
                "parameters",
            ),
        ),
        assumptions=("the gradient is the same over the steps that are taken at once",),
    )
