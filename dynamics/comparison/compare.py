"""Theory beside simulation: of a problem, or of results that are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import ArrayLike

from dynamics.comparison.beside import trained_and_solved
from dynamics.comparison.side_by_side import BAND, side_by_side
from dynamics.support.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from derivations.program import Program
    from dynamics.problems.kinds.models import Model
    from dynamics.problems.problem import Problem
    from dynamics.tasks.examples import Examples

__all__ = ["compare"]


@overload
def compare(
    prediction: xr.Dataset,
    run: xr.Dataset,
    model: Model | None = None,
    examples: Examples | None = None,
    *,
    band: float = BAND,
    uniform: Mapping[str, ArrayLike] | None = None,
    proxy: ArrayLike | None = None,
    right: ArrayLike | None = None,
) -> xr.Dataset: ...


@overload
def compare(
    problem: Problem | Model | Program,
    data: Any = None,
    *,
    lr: float,
    prediction: Problem | None = None,
    stages: str | Sequence[str] | None = None,
    band: float = BAND,
    right: ArrayLike | None = None,
    noise: bool = False,
    **training: Any,
) -> xr.Dataset: ...


def compare(  # type: ignore[misc]  # results that are at hand stand in the places of a problem and its data
    problem: Any,
    data: Any = None,
    model: Model | None = None,
    examples: Examples | None = None,
    *,
    band: float = BAND,
    uniform: Mapping[str, ArrayLike] | None = None,
    proxy: ArrayLike | None = None,
    right: ArrayLike | None = None,
    **more: Any,
) -> xr.Dataset:
    """Theory beside simulation on one time axis: errors, order parameters, and the papers' measures.

    ``compare(problem, data, lr=...)`` trains, solves from the states at which the seeds start, and compares;
    ``compare(prediction, run)`` compares what is at hand.

    Parameters
    ----------
    problem, data : Problem, Model or Program, and its data
        As for :func:`dynamics.simulate`, with its ``lr``, ``batch``, ``steps``, ``seeds`` and other options. What it is
        held against is its own flow, or that of ``prediction=``, a closure or a reduction of it (``stages=`` as for
        :func:`dynamics.solve`). Definitions that ``observe=`` names are compared as states and the loss are.
        ``noise=True`` adds how far seeds scatter: ``*_spread`` (time), the standard deviation of the linear noise along
        the flows of the first seeds (:func:`dynamics.noise`), and ``*_scatter``, that of the seeds about their own
        flows; of fresh examples, or of given ones with ``replacement=True``.
    prediction : xarray.Dataset
        From :func:`dynamics.solve`; over ``time``, and over ``stages`` and ``seed`` if it has them. A prediction over
        ``seed`` is held against the run of the same seed.
    run : xarray.Dataset
        From :func:`dynamics.simulate`, over (seed, time, ...). Its times are those of the result; the prediction is
        interpolated (monotone cubics) where it has others.
    model, examples : Model and Examples, optional
        With them, the measures of :func:`dynamics.comparison.agreement.measures` of both.
    band : float
        The share of the seeds that lies within the band.
    uniform, proxy, right
        As for :func:`dynamics.comparison.agreement.measures`.

    Returns
    -------
    xarray.Dataset
        For each tensor that both have, ``error_*`` ([stages,] seed, time): Frobenius norm of the difference, relative
        to the norm of the prediction (NaN where that is 0). For the loss, the order parameters ``u`` and ``a`` (mean
        diagonal minus mean off-diagonal of square W and A or P) and each measure: ``*`` (seed, time) of the run, its
        ``*_mean``, ``*_low`` and ``*_high`` (time) over seeds, ``*_predicted`` ([stages,] [seed,] time), and
        ``error_*``: run minus prediction, relative to the largest value that the run has (nats for the loss).

    Raises
    ------
    InputError
        Nothing in common: no times, no quantities or no words; or a band that is no share.

    References
    ----------
    Snell et al., arXiv 2103.07601, for the measures.

    Examples
    --------
    >>> from dynamics import simulate, solve
    >>> from dynamics.problems.kinds.models import lexical
    >>> from dynamics.tasks import ToyLexicon
    >>> task = ToyLexicon(vocab=12, length=4)
    >>> run = simulate(lexical(), task, lr=2.0, batch=64, steps=400, seeds=4, records=5)
    >>> found = compare(solve(task.population(), run.time), run)
    >>> found.error_W.isel(time=-1).max().item() < 0.1, abs(found.error_u).max().item() < 0.02
    (True, True)
    """
    import xarray as xr

    if not isinstance(problem, xr.Dataset):
        return trained_and_solved(problem, data, band=band, right=right, **more)
    if data is None or more:
        raise InputError("give a prediction and a run, compare(prediction, run), or a problem to train and to solve")
    return side_by_side(problem, data, model, examples, band=band, uniform=uniform, proxy=proxy, right=right)
