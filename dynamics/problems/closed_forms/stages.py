"""Stage one and the two stages on numbers; see :mod:`derivations.theorems.stage_one` and ``two_stages``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import exp, lambdify, sqrt
from sympy.codegen.cfunctions import expm1

from derivations.reductions.copying import eta_A, eta_W
from derivations.reductions.orbits import L, V
from derivations.theorems.stage_one import one_word
from derivations.theorems.two_stages import ADVANTAGE, FLOW_A, INTEGRAL, SHARE, a, alpha, separation, u, u_1, x
from dynamics.problems.closed_forms.evaluation import evaluated

__all__ = ["delay", "departure_rate", "margin_alone", "margin_at_uniform", "time_to_margin"]


def departure_rate(C: ArrayLike, gram: ArrayLike, bias: bool = False) -> float:
    """The rate lambda at which stage one leaves its linear regime: the relative error of W = tau D is lambda tau/2.

    Parameters
    ----------
    C : array_like, shape (V, K)
        Co-occurrence; sums to 1.
    gram : array_like, shape (V, V)
        E[B B^T] of the bags of words.
    bias : bool
        Whether the output bias stands at its optimum.

    Returns
    -------
    float
        Per unit of tau: theorem stage-one-linear.

    Examples
    --------
    >>> departure_rate([[0.5, 0], [0, 0.5]], [[0.5, 0], [0, 0.5]])
    0.25
    """

    joint = np.asarray(C, dtype=float)
    p0 = joint.sum(axis=0) if bias else np.full(joint.shape[1], 1 / joint.shape[1])
    excess = joint - np.outer(joint.sum(axis=1), p0)
    moved = np.asarray(gram, dtype=float) @ excess
    moved = moved * p0 - np.outer(moved @ p0, p0)
    return float(np.linalg.norm(moved) / np.linalg.norm(excess))


def margin_alone(
    tau: ArrayLike, share: ArrayLike, outputs: ArrayLike = 2, start: ArrayLike = 0.0, eta_W: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """The margin of the output of a pure word that is alone in its sentences: theorem stage-one-logistic.

    Parameters
    ----------
    tau : array_like
        Time; all arguments are broadcast.
    share : array_like
        Share c of the sentences that are this word.
    outputs : array_like
        Number K of outputs.
    start : array_like
        The margin at time 0.
    eta_W : array_like
        Learning rate of W relative to tau.

    Examples
    --------
    >>> margin_alone([0, 1, 100], share=0.5).round(3)
    array([0.   , 0.443, 4.569])
    """
    from scipy.special import wrightomega

    X = evaluated(one_word(), "X", z_0=start, tau=tau, c=share, K=outputs, eta_W=eta_W)
    return X - wrightomega(X - np.log(np.asarray(outputs) - 1))


def margin_at_uniform(tau: ArrayLike, V: ArrayLike, L: ArrayLike, eta_W: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The margin of the target on a toy lexicon after stage one alone: theorem two-stages-separation with a = 0."""
    from scipy.special import wrightomega

    V = np.asarray(V, dtype=float)
    X = np.asarray(tau) * eta_W * (V / L - 1) ** 2 / (V - 1) ** 3 + 1 / (V - 1)
    return X - wrightomega(X - np.log(V - 1))


def delay(
    x: ArrayLike, V: ArrayLike, L: ArrayLike, switch: ArrayLike, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """How much later the two-stage flow reaches a margin than the joint flow, as a share of the time: an estimate.

    Parameters
    ----------
    x : array_like
        Margin of the target, above that at the switch; the loss is log(1 + (V - 1) exp(-x)). All arguments are
        broadcast.
    V, L : array_like
        Words, and words of an input, L < V.
    switch : array_like
        The time tau at which stage one ends.
    eta_W, eta_A : array_like
        Learning rates of W and A relative to tau.

    Returns
    -------
    ndarray
        First order in eta_A: theorem two-stages-separation. Good where it is small.

    Examples
    --------
    >>> delay(2.0, 20, 4, switch=300, eta_A=[0.0001, 0.01]).round(5)
    array([0.00076, 0.07595])
    """
    x_1 = margin_at_uniform(switch, V, L, eta_W)
    u_1 = x_1 / evaluated(separation(), "y", a=0.0, V=V, L=L)
    return evaluated(separation(), "delay", x=x, x_1=x_1, u_1=u_1, V=V, L=L, eta_W=eta_W, eta_A=eta_A)


def time_to_margin(
    x: ArrayLike, V: ArrayLike, L: ArrayLike, switch: ArrayLike = 0.0, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """The time until the target of a toy lexicon has a margin, in both stages, by quadrature along their account.

    Parameters
    ----------
    x, V, L, eta_W, eta_A
        As for :func:`delay`.
    switch : array_like
        Attention is held until then: 0 for the joint flow.

    Examples
    --------
    >>> time_to_margin(2.0, 20, 4, switch=[0, 300], eta_A=0.01).round(1)
    array([726.4, 762.2])
    """

    return np.vectorize(_time_to_margin, otypes=[float])(x, V, L, switch, eta_W, eta_A)


def _time_to_margin(x: float, V: float, L: float, switch: float, eta_W: float, eta_A: float) -> float:
    from scipy.integrate import quad
    from scipy.optimize import brentq

    sizes = {"V": V, "L": L, "eta_W": eta_W, "eta_A": eta_A}
    x_1 = float(margin_at_uniform(switch, V, L, eta_W))
    if x <= x_1:
        return float(evaluated(separation(), "tau", x=x, **sizes))
    u_1 = x_1 / float(evaluated(separation(), "y", a=0.0, **sizes))
    of_u, margin, velocity = along_account()
    end = 1.0
    while margin(of_u(end, u_1, *sizes.values()), end, *sizes.values()) < x:
        end *= 2
    end = brentq(lambda a: margin(of_u(a, u_1, *sizes.values()), a, *sizes.values()) - x, 0, end, xtol=1e-14)

    def per_root(t: float) -> float:  # a = t^2: u is like t at the start of the joint flow
        return 2 * t / velocity(of_u(t * t, u_1, *sizes.values()), t * t, *sizes.values())

    return float(switch + quad(per_root, 0, end**0.5, epsabs=0, epsrel=1e-10, limit=200)[0])


@cache
def along_account() -> tuple[Callable[..., float], Callable[..., float], Callable[..., float]]:
    """(u of a after u_1, the margin, da/dtau), on numbers."""
    sizes = (V, L, eta_W, eta_A)
    gained = INTEGRAL.replace(exp, expm1)  # less its value at a = 0, without cancellation
    here = u * ADVANTAGE.subs(alpha, SHARE)
    return (
        lambdify((a, u_1, *sizes), sqrt(u_1**2 + 2 * eta_W / eta_A * gained), "math"),
        lambdify((u, a, *sizes), here, "math"),
        lambdify((u, a, *sizes), FLOW_A.subs(alpha, SHARE).subs(x, here), "math", cse=True),
    )
