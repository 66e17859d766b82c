"""Topic words on numbers; see :mod:`derivations.theorems.score_and_norm` and ``topic_margin`` beside it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.theorems.score_and_norm import identity
from derivations.theorems.topic_margin import one_margin
from dynamics.problems.closed_forms.evaluation import evaluated, numeric

__all__ = ["embeddings_fixed_time", "keys_fixed_loss", "norm_squared", "score_of_margin", "time_to_score"]


def norm_squared(
    score: ArrayLike,
    m: ArrayLike,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    times: ArrayLike = 1.0,
    eta_s: ArrayLike = 1.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The squared norm of a topic word's embedding from its score: theorem sen. All arguments are broadcast.

    Parameters
    ----------
    score, m : array_like
        The score now, and the number of other words in a sentence (the sum of exp(score) over them).
    start, first : array_like
        Score and squared norm at time 0.
    times : array_like
        How often the word stands in a sentence.
    eta_s, eta_v : array_like
        Learning rates of scores and embeddings; that of scores is ||query||^2 times that of keys.

    Examples
    --------
    >>> norm_squared([0, 1, 2], m=20).round(3)
    array([0.   , 2.172, 4.639])
    """
    return evaluated(identity(), "norm_2", s=score, m=m, s_0=start, radius_2=first, k=times, eta_s=eta_s, eta_v=eta_v)


def score_of_margin(
    margin: ArrayLike,
    m: ArrayLike,
    delta: ArrayLike,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    eta_s: ArrayLike = 1.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The score of a topic word from the margin w of its embedding: theorem topic-margin. All arguments are broadcast.

    Parameters
    ----------
    margin : array_like
        ``v . (u_y - mean of the other columns of U)``.
    m : array_like
        Number of other words in a sentence.
    delta : array_like
        The length of that difference of columns.
    start, first : array_like
        Score and margin at time 0.
    eta_s, eta_v : array_like
        Learning rates of scores and embeddings.

    Examples
    --------
    >>> float(score_of_margin(norm_squared(1.5, m=20) ** 0.5, m=20, delta=1.0).round(12))
    1.5
    """
    from scipy.special import wrightomega

    y_0 = np.exp(start) / np.asarray(m)
    z = evaluated("topic-margin", "z", y_0=y_0, w=margin, w_0=first, delta=delta, eta_s=eta_s, eta_v=eta_v)
    return np.log(m) + z - wrightomega(z)


def time_to_score(
    score: ArrayLike,
    m: ArrayLike,
    delta: ArrayLike,
    share: ArrayLike = 1.0,
    classes: ArrayLike = 2,
    purity: ArrayLike = 1.0,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    eta_s: ArrayLike = 1.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The time tau until a topic word has a score, by quadrature: theorem topic-margin. All arguments are broadcast.

    Parameters
    ----------
    score, m, delta, start, first, eta_s, eta_v : array_like
        As for :func:`score_of_margin`. A word that starts with a negative margin loses score first; what is found is
        the time when it rises through the score.
    share : array_like
        Share of the training sentences that hold the word.
    classes : array_like
        Two; or more, if U is symmetric in those that are not the word's.
    purity : array_like
        Share of the word's sentences that have its label; the others have the other labels equally.

    Returns
    -------
    ndarray
        Infinite where the score is never reached.

    Raises
    ------
    ValueError
        A purity that is not above chance, 1/classes, or above 1.

    Examples
    --------
    >>> time_to_score([0.5, 1, 2, 3], m=20, delta=1.4, purity=[1, 1, 1, 0.7]).round(1)
    array([27.2, 34.6, 41.7,  inf])
    """

    return np.vectorize(_time_to_score, otypes=[float])(
        score, m, delta, share, classes, purity, start, first, eta_s, eta_v
    )  # fmt: skip


def _time_to_score(
    score: float, m: float, delta: float, share: float, classes: float, purity: float,
    start: float, first: float, eta_s: float, eta_v: float,
) -> float:  # fmt: skip
    from scipy.integrate import quad

    if not 1 / classes < purity <= 1:
        raise ValueError(f"purity = {purity} must be above chance, 1/{classes:g}, and not above 1")
    squared = float(norm_squared(score, m, start, (first / delta) ** 2, 1.0, eta_s, eta_v)) * delta**2
    names, rate = numeric(one_margin(), "rate_w")
    fixed = {"delta": delta, "f": share, "K": classes, "purity": purity, "eta_v": eta_v}

    def velocity(margin: float) -> float:
        y = math.exp(float(score_of_margin(margin, m, delta, start, first, eta_s, eta_v))) / m
        values = {**fixed, "w": margin, "y": y}
        return float(rate(*(values[name] for name in names)))

    reached = math.sqrt(squared) if squared >= 0 else -math.inf
    if reached < first or velocity(reached) <= 0:
        return math.inf
    return float(quad(lambda margin: 1 / velocity(margin), first, reached, epsabs=0, epsrel=1e-10, limit=500)[0])


def keys_fixed_loss(
    tau: ArrayLike,
    m: ArrayLike,
    delta: ArrayLike,
    share: ArrayLike = 1.0,
    classes: ArrayLike = 2,
    start: ArrayLike = 0.0,
    first: ArrayLike = 0.0,
    eta_v: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The loss on a topic word's sentences where scores do not move: theorem topic-keys-fixed.

    Parameters
    ----------
    tau : array_like
        Time; all arguments are broadcast.
    m, delta, share, classes, start, first, eta_v : array_like
        As for :func:`time_to_score`.

    Examples
    --------
    >>> keys_fixed_loss([0, 100, 10000], m=4, delta=1.0).round(3)
    array([0.693, 0.24 , 0.003])
    """
    from scipy.special import wrightomega

    alpha = np.exp(start) / (np.exp(start) + np.asarray(m))
    z = evaluated(
        "topic-keys-fixed",
        "z",
        tau=tau,
        alpha=alpha,
        x_0=alpha * np.asarray(first),
        K=classes,
        f=share,
        delta=delta,
        eta_v=eta_v,
    )
    return np.log1p(1 / wrightomega(z))


def embeddings_fixed_time(
    score: ArrayLike,
    m: ArrayLike,
    margin: ArrayLike,
    share: ArrayLike = 1.0,
    classes: ArrayLike = 2,
    start: ArrayLike = 0.0,
    eta_s: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """The time tau until a topic word has a score where embeddings do not move: theorem topic-embeddings-fixed.

    Parameters
    ----------
    score, m, share, classes, start, eta_s : array_like
        As for :func:`time_to_score`; all arguments are broadcast.
    margin : array_like
        w of the fixed embedding, not 0.

    Returns
    -------
    ndarray
        Infinite for scores on the side that the word moves away from.

    Examples
    --------
    >>> embeddings_fixed_time([1, -1, 3], m=4, margin=[2, 2, -2]).round(3)
    array([6.923,   inf,   inf])
    """

    margin = np.asarray(margin, dtype=float)
    now, then = (
        evaluated("topic-embeddings-fixed", "clock", alpha=np.exp(x) / (np.exp(x) + np.asarray(m)), w=margin, K=classes)
        for x in (start, score)
    )
    found = (then - now) / (np.asarray(share, dtype=float) * np.asarray(eta_s, dtype=float) * margin)
    return np.where(found >= 0, found, np.inf)
