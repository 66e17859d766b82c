"""Copying: which way it goes, how long it takes, how often; see :mod:`derivations.theorems.copying`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import lambdify

from derivations.reductions.copying import eta_A, eta_W, symmetric
from derivations.reductions.orbits import DistinctWords, L, V
from derivations.reductions.unrolling import closed_form
from derivations.theorems.copying import a, drift, u
from dynamics.problems.closed_forms.evaluation import evaluated

__all__ = [
    "attention_logit",
    "branch_odds",
    "early_time",
    "escape_time",
    "growth_rate",
    "log_escape_constant",
    "on_manifold",
    "unstable_coordinate",
]


def growth_rate(V: ArrayLike, L: ArrayLike, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0) -> NDArray[np.float64]:
    """The rate at which the unstable coordinate grows, per unit of tau.

    Parameters
    ----------
    V, L : array_like
        Words and positions, 1 < L <= V; all arguments are broadcast.
    eta_W, eta_A : array_like
        Learning rates of W and P relative to tau.

    Examples
    --------
    >>> float(growth_rate(40, 40).round(6))
    0.000625
    """
    return evaluated("copying-branch", "lambda", V=V, L=L, eta_W=eta_W, eta_A=eta_A)


def attention_logit(P: ArrayLike) -> NDArray[np.float64]:
    """The a that gives the mean attention of P to the right position; what matters of a P that is not symmetric.

    Parameters
    ----------
    P : array_like, shape (..., L, L)
        Logits of attention, from target positions to input positions.

    Returns
    -------
    ndarray, shape (...)

    Examples
    --------
    >>> float(attention_logit([[1.5, 0, 0], [0, 1.5, 0], [0, 0, 1.5]]).round(12))
    1.5
    """
    from scipy.special import softmax

    share = np.trace(softmax(np.asarray(P, dtype=float), axis=-1), axis1=-2, axis2=-1) / np.shape(P)[-1]
    return evaluated("copying-attention", "a", alpha=share, L=np.shape(P)[-1])


def unstable_coordinate(
    u: ArrayLike, a: ArrayLike, V: ArrayLike, L: ArrayLike, eta_W: ArrayLike = 1.0, eta_A: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """What decides between the branches, to second order: positive for the good one, negative for the mirror branch.

    Parameters
    ----------
    u, a : array_like
        Mean diagonal less mean off-diagonal of W, and of P (or, for any P, :func:`attention_logit`); small; all
        arguments are broadcast.
    V, L, eta_W, eta_A : array_like
        As for :func:`growth_rate`.

    Examples
    --------
    >>> float(unstable_coordinate(0.01, -0.02, 8, 8).round(4)), float(unstable_coordinate(0.01, -0.02, 9, 8).round(4))
    (-0.01, 0.1216)
    """
    return evaluated("copying-border", "c", u=u, a=a, V=V, L=L, eta_W=eta_W, eta_A=eta_A)


def early_time(
    tau: ArrayLike,
    u0: ArrayLike,
    a0: ArrayLike,
    V: ArrayLike,
    L: ArrayLike,
    eta_W: ArrayLike = 1.0,
    eta_A: ArrayLike = 1.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """u and a at early times tau, from u0 and a0; all arguments are broadcast.

    Examples
    --------
    >>> u, a = early_time([0, 100], 0.01, -0.01, 9, 8)
    >>> u.round(4), a.round(4)
    (array([0.01  , 0.2435]), array([-0.01  ,  0.1595]))
    """
    values = {"tau": tau, "u_0": u0, "a_0": a0, "V": V, "L": L, "eta_W": eta_W, "eta_A": eta_A}
    return evaluated("copying-early", "u", **values), evaluated("copying-early", "a", **values)


def branch_odds(
    V: ArrayLike,
    L: ArrayLike,
    sigma_W: ArrayLike,
    sigma_P: ArrayLike,
    eta_W: ArrayLike = 1.0,
    eta_A: ArrayLike = 1.0,
    H: ArrayLike = 1,
) -> NDArray[np.float64]:
    """The probability that one head at least takes the good branch, to second order; all arguments are broadcast.

    Parameters
    ----------
    V, L, eta_W, eta_A : array_like
        As for :func:`growth_rate`.
    sigma_W, sigma_P : array_like
        Standard deviations of the normal weights that training starts from.
    H : array_like
        Heads.

    Returns
    -------
    ndarray
        NaN where nothing is random and V = L: nothing decides then.

    Examples
    --------
    >>> branch_odds([8, 9], 8, 0.3, 0.3).round(3), branch_odds(8, 8, 0.3, 0.3, H=[1, 2, 4]).round(3).tolist()
    (array([0.486, 0.787]), [0.486, 0.736, 0.93])
    """
    return evaluated("copying-odds", "p_H", V=V, L=L, sigma_W=sigma_W, sigma_P=sigma_P, eta_W=eta_W, eta_A=eta_A, H=H)


@lru_cache(maxsize=100_000)
def log_escape_constant(
    V: float, L: float, good: bool = True, p: float = 0.5, eta_W: float = 1.0, eta_A: float = 1.0
) -> float:
    """The kappa of the escape-time law for p_t = p: infinite where the branch does not reach it.

    The flow is integrated from very close to the saddle, on its unstable manifold, to p_t = p. On the mirror branch
    u < 0, so that the target is not above a word that is not in the input, and p_t is at most 1/(1 + V - L).

    Raises
    ------
    ValueError
        p is not above chance, 1/V, or not below 1.

    Examples
    --------
    >>> round(log_escape_constant(40, 40), 4), log_escape_constant(42, 40, good=False)
    (0.4651, inf)
    """
    from scipy.integrate import solve_ivp

    if not 1 / V < p < 1:
        raise ValueError(f"p = {p} must be between chance, 1/V = {1 / V:.4g}, and 1")
    if not good and p >= 1 / (1 + V - L):
        return math.inf
    sizes = {"V": V, "L": L, "eta_W": eta_W, "eta_A": eta_A}
    rate, direction, unit, rest = (
        float(evaluated(theorem, result, **sizes))
        for theorem, result in (
            ("copying-escape", "lambda"),
            ("copying-escape", "r"),
            ("copying-escape", "unit"),
            ("copying-linear", "rest"),
        )
    )
    flow, prediction = on_manifold()
    at = (V, L, eta_W, eta_A)

    def reached(t: float, y: NDArray[np.float64]) -> float:
        return prediction(*y, *at) - p

    reached.terminal = True  # type: ignore[attr-defined]
    start = NEAR if good else -NEAR
    found = solve_ivp(
        lambda t, y: flow(*y, *at), (0, FAR / rate), [start * direction, rest + start],
        method="LSODA", rtol=1e-10, atol=1e-16, events=reached,
    )  # fmt: skip
    return math.log(NEAR * unit) + rate * float(found.t_events[0][0]) if found.t_events[0].size else math.inf


NEAR = 1e-6
"""The distance from the saddle where its unstable manifold is begun; the error of kappa is of its order."""
FAR = 1e6
"""How long the slow end of a branch is followed, in units of the growth time."""


@cache
def on_manifold(module: str = "math") -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The flow of (u, a) and p_t on numbers."""
    symbols = (u, a, V, L, eta_W, eta_A)
    p_t = closed_form(symmetric("copying", DistinctWords()), "p_t")
    return lambdify(symbols, list(drift()), module, cse=True), lambdify(symbols, p_t, module, cse=True)


def escape_time(
    u0: ArrayLike,
    a0: ArrayLike,
    V: ArrayLike,
    L: ArrayLike,
    eta_W: ArrayLike = 1.0,
    eta_A: ArrayLike = 1.0,
    p: ArrayLike = 0.5,
) -> NDArray[np.float64]:
    """The time tau to p_t = p from small u0 and a0; infinite where it is never reached. All arguments are broadcast.

    Examples
    --------
    >>> escape_time([0.01, -0.01], [0.01, -0.01], 8, 8).round()
    array([ 307., 1310.])
    """

    c = unstable_coordinate(u0, a0, V, L, eta_W, eta_A)
    kappa = np.vectorize(log_escape_constant, otypes=[float])(V, L, c > 0, p, eta_W, eta_A)
    return evaluated("copying-escape", "tau", c=c, kappa=kappa, V=V, L=L, eta_W=eta_W, eta_A=eta_A)
