"""Where the steps of an optimiser stop following a flow: the curvature from which an oscillation grows."""

from __future__ import annotations

from sympy import Expr

from derivations.gradient_flow.rules import gradient, power, rule_of

__all__ = ["alternating"]


def alternating(name: str) -> Expr | None:
    """What a direction is of a gradient that changes its sign at every step, over that gradient.

    Steps ``theta <- theta - lr a kappa theta`` along a direction of curvature kappa change the sign of theta, and keep
    its size, where ``lr a kappa = 2``; beyond, they grow. A running average of values of alternating sign is
    ``gain/(1 + beta)`` of them, where it would be ``gain/(1 - beta)`` of equal ones; that of squares sees no signs.

    Parameters
    ----------
    name : str
        One of :data:`derivations.gradient_flow.rules.RULES`.

    Returns
    -------
    Expr or None
        a, in the parameters of the optimiser and the averages of squares; None where it does not go by the size of
        the gradient, as sign descent, which always oscillates.

    References
    ----------
    Cohen et al., Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, arXiv 2103.00065;
    Adaptive Gradient Methods at the Edge of Stability, arXiv 2207.14484.

    Examples
    --------
    >>> from sympy import factor
    >>> [factor(alternating(name)) for name in ("descent", "momentum", "nesterov")]
    [1, 1/(momentum + 1), (2*momentum + 1)/(momentum + 1)]
    >>> alternating("adam")
    (1 - beta_1)/((beta_1 + 1)*(eps + sqrt(square)))
    """
    rule = rule_of(name)
    signed = {one.symbol: one.value * one.gain / (1 + one.beta) for one in rule.averages if one.value != power}
    direction = rule.direction.xreplace(signed)
    response = direction.diff(gradient)
    if response.has(gradient) or direction.subs(gradient, 0) != 0:
        return None
    return response
