"""Embedded pairs of Runge and Kutta: the coefficients of SciPy's classes, without SciPy's solvers around them.

``scipy.integrate`` takes a third of a second to import, with optimisation and spatial trees, of which steps in compiled
code need nothing. Two pairs stand here; DOP853, of some hundred coefficients, in a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PAIRS", "pair"]

PAIRS = ("RK45", "RK23", "DOP853")


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair, with SciPy's names.

    Attributes
    ----------
    error_estimator_order : int
    A, B : ndarray
        The weights of slopes at the stages, and at the end of a step.
    E : ndarray
        The weights of the estimated error; the slope at the end of the step is the last.
    P : ndarray, shape (stages + 1, powers)
        States within a step are polynomials in time: the powers of each slope.
    """

    error_estimator_order: int
    A: NDArray[np.float64]
    B: NDArray[np.float64]
    E: NDArray[np.float64]
    P: NDArray[np.float64]

    @property
    def n_stages(self) -> int:
        return self.B.size


@dataclass(frozen=True, eq=False)
class Eighth:
    """DOP853, with SciPy's names: two estimates of the error, and an interpolant that takes three more slopes."""

    error_estimator_order: int
    A: NDArray[np.float64]
    B: NDArray[np.float64]
    E3: NDArray[np.float64]
    E5: NDArray[np.float64]
    A_EXTRA: NDArray[np.float64]
    D: NDArray[np.float64]

    @property
    def n_stages(self) -> int:
        return self.B.size


@cache
def pair(name: str) -> Any:
    """The pair of a name.

    References
    ----------
    J. R. Dormand, P. J. Prince, J. Comput. Appl. Math. 6 (1980) 19-26; L. F. Shampine, Math. Comp. 46 (1986) 135-150
    (states within a step). P. Bogacki, L. F. Shampine, Appl. Math. Lett. 2 (1989) 321-325.

    Examples
    --------
    >>> pair("RK23").B.round(3), pair("DOP853").n_stages
    (array([0.222, 0.333, 0.444]), 12)
    """
    if name == "RK45":
        return Pair(4, *map(np.array, (A_OF_FIVE, B_OF_FIVE, E_OF_FIVE, P_OF_FIVE)))
    if name == "RK23":
        return Pair(2, *map(np.array, (A_OF_THREE, B_OF_THREE, E_OF_THREE, P_OF_THREE)))
    from dynamics.lowering import dop853

    return Eighth(7, dop853.A, dop853.B, dop853.E3, dop853.E5, dop853.A_EXTRA, dop853.D)


A_OF_FIVE = [
    [0.0, 0.0, 0.0, 0.0, 0.0],
    [1 / 5, 0.0, 0.0, 0.0, 0.0],
    [3 / 40, 9 / 40, 0.0, 0.0, 0.0],
    [44 / 45, -56 / 15, 32 / 9, 0.0, 0.0],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0.0],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
]
B_OF_FIVE = [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]
E_OF_FIVE = [-71 / 57600, 0.0, 71 / 16695, -71 / 1920, 17253 / 339200, -22 / 525, 1 / 40]
P_OF_FIVE = [
    [1.0, -8048581381 / 2820520608, 8663915743 / 2820520608, -12715105075 / 11282082432],
    [0.0, 0.0, 0.0, 0.0],
    [0.0, 131558114200 / 32700410799, -68118460800 / 10900136933, 87487479700 / 32700410799],
    [0.0, -1754552775 / 470086768, 14199869525 / 1410260304, -10690763975 / 1880347072],
    [0.0, 127303824393 / 49829197408, -318862633887 / 49829197408, 701980252875 / 199316789632],
    [0.0, -282668133 / 205662961, 2019193451 / 616988883, -1453857185 / 822651844],
    [0.0, 40617522 / 29380423, -110615467 / 29380423, 69997945 / 29380423],
]
A_OF_THREE = [[0.0, 0.0, 0.0], [1 / 2, 0.0, 0.0], [0.0, 3 / 4, 0.0]]
B_OF_THREE = [2 / 9, 1 / 3, 4 / 9]
E_OF_THREE = [5 / 72, -1 / 12, -1 / 9, 1 / 8]
P_OF_THREE = [[1.0, -4 / 3, 5 / 9], [0.0, 1.0, -2 / 3], [0.0, 4 / 3, -8 / 9], [0.0, -1.0, 1.0]]
