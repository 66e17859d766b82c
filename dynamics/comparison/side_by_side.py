"""Theory beside simulation, and predictions beside each other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from derivations.program import Role
from dynamics.problems.kinds.reduction import excess
from dynamics.support.errors import DataWarning, InputError
from dynamics.support.roles import ERROR, with_role

if TYPE_CHECKING:
    import xarray as xr

    from dynamics.problems.kinds.models import Model
    from dynamics.tasks.examples import Examples

LOSS = "loss"
"""What results call the loss, whatever a program calls it."""
BAND = 0.9
"""Share of the seeds within the band."""

ORDER_PARAMETERS = {Role.VALUES: "u", Role.ATTENTION: "a"}
"""What the mean diagonal minus the mean off-diagonal of a square tensor is called, by the role of the tensor."""
COMPARED = (Role.VALUES, Role.ATTENTION, Role.KTIW)
"""The tensors whose distance tells predictions apart."""
APART = ("time", "seed", "stages", "head")
"""Dimensions that are no part of a tensor."""


def side_by_side(
    prediction: xr.Dataset,
    run: xr.Dataset,
    model: Model | None = None,
    examples: Examples | None = None,
    *,
    band: float = BAND,
    uniform: Mapping[str, ArrayLike] | None = None,
    proxy: ArrayLike | None = None,
    right: ArrayLike | None = None,
) -> xr.Dataset:
    """A prediction and a run on one time axis; see :func:`dynamics.compare`."""
    import xarray as xr

    _check_band(band)
    prediction, run = _on_one_axis(prediction, _over_seeds(run))
    tensors = [name for name in prediction.data_vars if name in run and set(run[name].dims) - {"time", "seed"}]
    found = {
        f"error_{name}": _relative(*_same_labels(prediction[name], run[name])).assign_attrs(
            long_name=f"relative error of {name}", units="1", kind=ERROR, of=str(name)
        )
        for name in tensors
    }
    before, after = scalars(prediction), scalars(run)
    if model is not None and examples is not None:
        from dynamics.comparison.agreement import measures

        more = {"uniform": uniform, "proxy": proxy, "right": right}
        measured = {str(name): value for name, value in measures(run, model, examples, **more).items()}  # type: ignore[arg-type]
        after |= measured
        found |= {name: value for name, value in measured.items() if "time" not in value.dims}
        if set(model.program.state_names) <= set(prediction.data_vars):
            before |= measures(prediction, model, examples, **more).data_vars  # type: ignore[arg-type]
    common = [name for name in after if "time" in after[name].dims]
    if not tensors and not any(name in before for name in common):
        raise InputError("prediction and run have no quantity in common; compare a run of the model that was solved")
    for name in common:
        found |= _beside(str(name), before.get(name), after[name], band)
    kept = {f"run_{name}": run.attrs[name] for name in ("equation", "lr", "batch", "data") if name in run.attrs}
    kept |= {f"prediction_{name}": prediction.attrs[name] for name in ("equation", "title") if name in prediction.attrs}
    return xr.Dataset(found).assign_attrs(band=band, seeds=run.sizes["seed"], **kept)


def bands(run: xr.Dataset, band: float = BAND) -> xr.Dataset:
    """Loss and order parameters of a run with their mean and band over seeds, as :func:`compare` has them.

    Examples
    --------
    >>> from dynamics import simulate
    >>> from dynamics.problems.kinds.models import positional
    >>> from dynamics.tasks import Copying
    >>> run = simulate(positional(), Copying(6, 3), lr=1.0, batch=8, steps=9, seeds=3, records=2)
    >>> [name for name in bands(run) if name.endswith("_low")]
    ['loss_low', 'u_low', 'a_low']
    """
    import xarray as xr

    _check_band(band)
    found: dict[str, xr.DataArray] = {}
    for name, value in scalars(_over_seeds(run)).items():
        found |= _beside(name, None, value, band)
    return xr.Dataset(found).assign_attrs(band=band)


def scalars(trajectory: xr.Dataset) -> dict[str, xr.DataArray]:
    """The loss and the order parameters of a trajectory: what it has over time, heads and seeds alone, or implies.

    Examples
    --------
    >>> from dynamics import solve
    >>> from dynamics.tasks import Copying
    >>> found = solve(Copying(3, 2).population(), [0, 9])
    >>> {name: tuple(value.dims) for name, value in scalars(found).items()}
    {'loss': ('time',), 'u': ('time',), 'a': ('time',)}
    """
    found = {
        str(name): value
        for name, value in trajectory.data_vars.items()
        if "time" in value.dims and set(value.dims) <= set(APART) and np.issubdtype(value.dtype, np.floating)
    }
    for role, parameter in ORDER_PARAMETERS.items():
        for name in with_role(trajectory, role):
            dims = [str(dim) for dim in trajectory[name].dims if dim not in APART]
            if len(dims) == 2 and parameter not in found and _is_square(trajectory[name], *dims):
                found[parameter] = order_parameter(trajectory[name], *dims).assign_attrs(
                    long_name=f"mean diagonal minus mean off-diagonal of {name}", units="1"
                )
    return found


def order_parameter(tensor: xr.DataArray, row: str, column: str) -> xr.DataArray:
    """Mean diagonal minus mean off-diagonal of a tensor that is square in two of its dimensions.

    Examples
    --------
    >>> import xarray as xr
    >>> order_parameter(xr.DataArray([[3.0, 1.0], [0.0, 5.0]], dims=("input", "output")), "input", "output").item()
    3.5
    """
    square = tensor.transpose(..., row, column)
    return square.isel({row: 0, column: 0}, drop=True).copy(data=excess(square.values))


def _is_square(tensor: xr.DataArray, row: str, column: str) -> bool:
    """Whether a diagonal has a meaning: rows and columns have the same labels, and more than one."""
    if row not in tensor.dims or column not in tensor.dims or tensor.sizes[row] < 2:
        return False
    return tensor.sizes[row] == tensor.sizes[column] and bool((tensor[row].values == tensor[column].values).all())


def _check_band(band: float) -> None:
    if not 0 < band <= 1:
        raise InputError(f"band = {band} must be a share above 0 and at most 1")


def _over_seeds(run: xr.Dataset) -> xr.Dataset:
    return run if "seed" in run.dims else run.expand_dims(seed=[run.attrs.get("seed", 0)])


def _on_one_axis(prediction: xr.Dataset, run: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset]:
    """Both at the times of the run that the prediction reaches, and at the seeds of both."""
    if "time" not in prediction.dims or "time" not in run.dims:
        raise InputError("a prediction and a run over time are needed; give what solve and simulate return")
    t, known = run.time.values, prediction.time.values
    slack = 1e-9 * max(abs(known[-1]), abs(t[-1]))
    within = (t >= known[0] - slack) & (t <= known[-1] + slack)
    if not within.any():
        raise InputError(
            f"the run has times {t[0]:g} to {t[-1]:g}, the prediction {known[0]:g} to {known[-1]:g}: none in common"
        )
    if not within.all():
        outside = int((~within).sum())
        warnings.warn(DataWarning(f"{outside} of {t.size} records of the run lie outside the prediction"), stacklevel=3)
        run = run.isel(time=within)
        t = run.time.values
    if "seed" in prediction.dims:
        seeds = [seed for seed in run.seed.values if seed in prediction.seed.values]
        if not seeds:
            raise InputError("prediction and run have no seed in common")
        prediction, run = prediction.sel(seed=seeds), run.sel(seed=seeds)
    nearest = np.abs(known[:, None] - t).argmin(axis=0)
    prediction = prediction.drop_vars("step", errors="ignore")  # the run's are counted, those of a flow are found
    if (np.abs(known[nearest] - t) <= slack).all():
        return prediction.isel(time=nearest).assign_coords(time=t), run
    return _interpolated(prediction, t), run


def _interpolated(prediction: xr.Dataset, t: np.ndarray) -> xr.Dataset:
    """A prediction at other times, by monotone cubics in time."""
    import xarray as xr
    from scipy.interpolate import PchipInterpolator

    known, found = prediction.time.values, {}
    for name, value in prediction.data_vars.items():
        if "time" in value.dims and np.issubdtype(value.dtype, np.floating):
            axis = value.dims.index("time")
            found[name] = (
                value.dims,
                PchipInterpolator(known, value.values, axis=axis)(np.clip(t, known[0], known[-1])),
            )
    others = {name: c for name, c in prediction.coords.items() if "time" not in c.dims}
    return xr.Dataset(found, {**others, "time": t}, prediction.attrs)


def _same_labels(predicted: xr.DataArray, measured: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Both on the words that both have; by position if only one of them names its words."""
    for dim in map(str, predicted.dims):
        if dim in ("time", "seed", "stages") or dim not in measured.dims:
            continue
        if _are_ids(predicted[dim]) != _are_ids(measured[dim]):
            predicted, measured = _by_id(predicted, dim), _by_id(measured, dim)
        if _are_ids(predicted[dim]) != _are_ids(measured[dim]):
            if predicted.sizes[dim] != measured.sizes[dim]:
                raise InputError(
                    f"the prediction has {predicted.sizes[dim]} entries of {dim!r} and the run {measured.sizes[dim]}, "
                    "and only one of them names them; solve and simulate the same examples"
                )
            measured = measured.assign_coords({dim: predicted[dim].values})
        both = [label for label in measured[dim].values if label in set(predicted[dim].values.tolist())]
        if not both:
            raise InputError(f"prediction and run have no {dim} in common")
        predicted, measured = predicted.sel({dim: both}), measured.sel({dim: both})
    return predicted, measured


def _are_ids(labels: xr.DataArray) -> bool:
    return labels.dtype.kind in "iu"


def _by_id(tensor: xr.DataArray, dim: str) -> xr.DataArray:
    """With numbers for names that are numbers: the counts of a task have its ids as text."""
    labels = [str(label) for label in tensor[dim].values]
    numbered = all(label.isdecimal() for label in labels)
    return tensor.assign_coords({dim: [int(label) for label in labels]}) if numbered else tensor


def _relative(predicted: xr.DataArray, measured: xr.DataArray) -> xr.DataArray:
    """Frobenius norm of the difference relative to that of the prediction, over all but stages, seed and time."""
    inner = [dim for dim in measured.dims if dim not in ("time", "seed")]
    apart = (measured - predicted).where(predicted.notnull(), 0.0)  # behind the end of a row there is nothing
    gap = (apart**2).sum(inner, skipna=False) ** 0.5
    size = (predicted**2).sum(inner) ** 0.5
    order = [dim for dim in ("stages", "seed", "time") if dim in gap.dims]
    return (gap / size.where(size > 0)).transpose(*order)


def _beside(name: str, predicted: xr.DataArray | None, measured: xr.DataArray, band: float) -> dict[str, xr.DataArray]:
    """A scalar of the run with its mean and band over seeds, and the prediction with its error."""
    tails = {"low": (1 - band) / 2, "high": (1 + band) / 2}
    found = {name: measured, f"{name}_mean": measured.mean("seed")}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # where all seeds diverged, NaN says so
        found |= {f"{name}_{end}": measured.quantile(q, "seed").drop_vars("quantile") for end, q in tails.items()}
    if predicted is not None:
        found[f"{name}_predicted"] = predicted
        # a loss is not relative to its largest value: it has a unit of its own, or none
        own = name == LOSS
        largest = 1.0 if own else float(abs(measured).max())
        units = measured.attrs.get("units", "1" if measured.attrs else "nats") if own else f"largest {name}"
        error = (measured - predicted) / (largest or 1.0)
        order = [dim for dim in ("stages", "seed", "time", "head") if dim in error.dims]
        found[f"error_{name}"] = error.transpose(*order).assign_attrs(
            long_name=f"run minus prediction of {name}", units=units, kind=ERROR, of=name
        )
    return {key: value.assign_attrs({**measured.attrs, **value.attrs}) for key, value in found.items()}


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
    for name in (one for role in COMPARED for one in with_role(base, role)):
        inner = [dim for dim in base[name].dims if dim not in APART]
        size = (base[name] ** 2).sum(inner) ** 0.5
        gap = ((others[name] - base[name]) ** 2).sum(inner) ** 0.5
        found[name] = (gap / size.where(size > 0)).assign_attrs(
            long_name=f"relative distance of {name} from the {reference} prediction", units="1"
        )
    found["loss"] = (others.loss - base.loss).assign_attrs(
        long_name=f"loss minus that of the {reference} prediction", units="nats"
    )
    import xarray as xr

    kept = {name: predictions.attrs[name] for name in ("switch",) if name in predictions.attrs}
    return xr.Dataset(found).assign_attrs(reference=reference, **kept)
