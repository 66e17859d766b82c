"""Predictions beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamics.errors import InputError

if TYPE_CHECKING:
    import xarray as xr


def distance(predictions: xr.Dataset, reference: str = "joint") -> xr.Dataset:
    """How far each prediction is from one of them, over time.

    Parameters
    ----------
    predictions : xarray.Dataset
        A trajectory with a dimension ``stages``, as :func:`dynamics.solve` returns it for several stages.
    reference : str
        The prediction that the others are held against.

    Returns
    -------
    xarray.Dataset
        ``W``, ``A`` and ``beta`` over (stages, time), without the reference: Frobenius norm of the difference over the
        kept words, relative to the norm of the reference (NaN where that is 0). ``loss``: the difference in nats.

    Raises
    ------
    InputError
        There is one prediction only, or none of that name.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]])
    >>> found = distance(solve(lexicon, [10, 1000], stages=["joint", "two-stage"], switch=1))
    >>> bool(found.W.sel(stages="two-stage", time=1000) < 0.01)
    True
    """
    if "stages" not in predictions.dims:
        raise InputError("there is one prediction only; solve with several stages to compare them")
    names = [str(name) for name in predictions.stages.values]
    if reference not in names:
        raise InputError(f"no prediction {reference!r}; there are {', '.join(names)}")
    base = predictions.sel(stages=reference, drop=True)
    others = predictions.sel(stages=[name for name in names if name != reference])
    found = {}
    for name in ("W", "A", "beta"):
        size = (base[name] ** 2).sum(("input", "output")) ** 0.5
        gap = ((others[name] - base[name]) ** 2).sum(("input", "output")) ** 0.5
        found[name] = (gap / size.where(size > 0)).assign_attrs(
            long_name=f"relative distance of {name} from the {reference} prediction", units="1"
        )
    found["loss"] = (others.loss - base.loss).assign_attrs(
        long_name=f"loss minus that of the {reference} prediction", units="nats"
    )
    import xarray as xr

    kept = {name: predictions.attrs[name] for name in ("switch",) if name in predictions.attrs}
    return xr.Dataset(found).assign_attrs(reference=reference, **kept)
