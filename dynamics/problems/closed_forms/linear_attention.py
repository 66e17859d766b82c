"""Linear attention in context: the levels of its staircase, and the times of its falls.

See :mod:`derivations.theorems.linear_attention`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.problems.closed_forms.evaluation import evaluated
from dynamics.support.errors import InputError

__all__ = ["merged_time", "staircase_levels", "staircase_times"]

Vector = NDArray[np.float64]

STAIRCASE = "stage-by-stage"
FAR = 1e6
"""Times its size at the start, a head counts as at infinity: what is left takes a millionth of the time."""
TIGHT = {"rtol": 1e-9, "atol": 1e-13}


def staircase_levels(eigenvalues: ArrayLike, tokens: float) -> Vector:
    """The losses of the plateaus, from that of zero to that where all directions are learnt.

    Parameters
    ----------
    eigenvalues : array_like, shape (D,)
        Of the covariance of inputs.
    tokens : float
        N of a context.

    Returns
    -------
    ndarray, shape (D + 1,)

    Examples
    --------
    >>> staircase_levels([2.0, 1.0], tokens=10).round(3)
    array([3.   , 1.4  , 0.686])
    """
    variances = _variances(eigenvalues)
    return variances.sum() - np.concatenate([[0.0], np.cumsum(_of("delta", variances, tokens))])


def staircase_times(v: ArrayLike, K: ArrayLike, Q: ArrayLike, eigenvalues: ArrayLike, tokens: float) -> Vector:
    """When the loss is half of the way down to each next level.

    Parameters
    ----------
    v, K, Q : array_like, shape (H,), (H, D), (H, D)
        Values, keys and queries of heads at the start, keys and queries in the eigenvectors of the covariance.
    eigenvalues : array_like, shape (D,)
    tokens : float

    Returns
    -------
    ndarray, shape (min(H, D),)
        Infinity from the first head on that never grows.

    Raises
    ------
    InputError
        Shapes that do not go together, or eigenvalues that are not above 0.

    Examples
    --------
    >>> staircase_times([0.02, 0.02], 0.02 * np.eye(2), 0.02 * np.eye(2), [2.0, 1.0], tokens=10).round(2)
    array([ 6.04, 24.3 ])
    """
    variances, values = _variances(eigenvalues), np.asarray(v, dtype=float).copy()
    keys, queries = (np.asarray(one, dtype=float) for one in (K, Q))
    if values.ndim != 1 or not keys.shape == queries.shape == (values.size, variances.size):
        raise InputError(f"v {values.shape}, K {keys.shape} and Q {queries.shape} are not (H,), (H, D) and (H, D)")
    grow, shrink = (keys + queries) / 2, (keys - queries) / 2
    half, off = _of("t_half", variances, tokens), _of("off", variances, tokens)
    drive, now, found = variances**2, 0.0, []
    waiting = list(range(values.size))
    for direction in np.argsort(-variances, kind="stable"):
        if not waiting:
            break
        arrivals = {head: _arrival(values[head], grow[head], shrink[head], drive) for head in waiting}
        first = min(waiting, key=arrivals.__getitem__)
        found.append(now + arrivals[first] + half[direction])
        if not np.isfinite(found[-1]):
            return np.array([*found, *np.full(min(values.size, variances.size) - len(found), np.inf)])
        waiting.remove(first)
        span = max(0.0, arrivals[first] + off[direction])
        for head in waiting:
            values[head], s = _after(values[head], grow[head], shrink[head], drive, span)
            grow[head], shrink[head] = grow[head] * np.exp(drive * s), shrink[head] * np.exp(-drive * s)
        now += span
        drive = np.where(np.arange(variances.size) == direction, 0.0, drive)
    return np.array(found)


def merged_time(v: ArrayLike, U: ArrayLike, eigenvalues: ArrayLike, tokens: float) -> float:
    """When merged keys and queries have brought half of what they bring.

    Near zero all heads grow along the square of the covariance at one rate, and stay in the same ratio: one head stands
    for all of them, whose fall is integrated.

    Parameters
    ----------
    v, U : array_like, shape (H,), (H, D, D)
        Heads at the start, U in the eigenvectors of the covariance.
    eigenvalues : array_like, shape (D,)
    tokens : float

    Examples
    --------
    >>> round(merged_time([0.01], [0.01 * np.eye(2)], [2.0, 1.0], tokens=10), 3)
    0.472
    """
    from scipy.integrate import solve_ivp

    variances, values, matrices = _variances(eigenvalues), np.asarray(v, float), np.asarray(U, float)
    square, moment = variances**2, _of("B", variances, tokens)
    norm = np.sqrt((square**2).sum())  # G of the theorem, for any number of directions
    along = np.einsum("hdd,d->h", matrices, square) / norm
    size = float(np.sqrt((((values + along) / 2) ** 2).sum()))
    bottom = staircase_levels(variances, tokens)[-1]

    def slope(t: float, state: Vector) -> Vector:
        drive = 2 * (square - moment * variances * state[0] * state[1:])
        return np.array([state[1:] @ drive, *(state[0] * drive)])

    def halfway(t: float, state: Vector) -> float:
        a = state[0] * state[1:]
        loss = variances.sum() - 2 * square @ a + (moment * variances) @ a**2
        return float(loss - (variances.sum() + bottom) / 2)

    halfway.terminal = True  # type: ignore[attr-defined]
    start = np.array([size, *(size * square / norm)])
    latest = 10 * (10 + abs(np.log(size))) / (2 * norm)
    found = solve_ivp(slope, (0.0, latest), start, events=halfway, **TIGHT)
    return float(found.t_events[0][0]) if len(found.t_events[0]) else np.inf


def _of(result: str, variances: Vector, tokens: float) -> Vector:
    """A result of the theorem along each direction."""
    given = {"lambda": variances, "T": variances.sum(), "N": float(tokens)}
    return np.broadcast_to(evaluated(STAIRCASE, result, **given), variances.shape)


def _variances(eigenvalues: ArrayLike) -> Vector:
    found = np.asarray(eigenvalues, dtype=float)
    if found.ndim != 1 or not found.size or not (np.isfinite(found) & (found > 0)).all():
        raise InputError("eigenvalues of a covariance must be a list of numbers above 0")
    return found


def _moving(grow: Vector, shrink: Vector, drive: Vector) -> Callable[[float, float], tuple[float, float, float]]:
    """From v and s of a head: dv/dtau, ds/dtau, and its size."""

    def of(value: float, s: float) -> tuple[float, float, float]:
        up, down = grow * np.exp(drive * s), shrink * np.exp(-drive * s)
        key, query = up + down, up - down
        return 2 * float((key * drive) @ query), 2 * value, float(np.sqrt(value**2 + key @ key + query @ query))

    return of


def _arrival(value: float, grow: Vector, shrink: Vector, drive: Vector) -> float:
    """When a head is at infinity: its time, in a time of its own that runs as fast as it is large."""
    from scipy.integrate import solve_ivp

    of = _moving(grow, shrink, drive)
    begun = of(value, 0.0)[2]
    if not (grow.any() or shrink.any()):
        return np.inf  # a value alone moves nothing

    def slope(own: float, state: Vector) -> list[float]:
        dv, ds, size = of(state[0], state[1])
        return [dv / size, ds / size, 1 / size]

    def far(own: float, state: Vector) -> float:
        return of(state[0], state[1])[2] - FAR * begun

    far.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(slope, (0.0, 100 * np.log(FAR) / drive.max()), [value, 0.0, 0.0], events=far, **TIGHT)
    return float(found.y[2, -1]) if len(found.t_events[0]) else np.inf


def _after(value: float, grow: Vector, shrink: Vector, drive: Vector, span: float) -> tuple[float, float]:
    """The value of a head, and its s, after some time."""
    from scipy.integrate import solve_ivp

    of = _moving(grow, shrink, drive)
    found = solve_ivp(lambda t, state: of(state[0], state[1])[:2], (0.0, span), [value, 0.0], **TIGHT)
    return float(found.y[0, -1]), float(found.y[1, -1])
