"""The exact flow of a model on given examples."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations.gradient_flow.adjoints import descent_flow
from derivations.program.language import Program
from dynamics.integrate.initial_value import integrate, times
from dynamics.problems.models import Model
from dynamics.problems.rates import learning_rates
from dynamics.support.errors import InputError
from dynamics.support.files import did_you_mean
from dynamics.support.memory import require
from dynamics.support.threads import limited
from dynamics.support.trajectory import provenance
from dynamics.tasks.examples import Examples

if TYPE_CHECKING:
    import xarray as xr

WORTH_SHARING = 5_000_000
"""Products of words and outputs per evaluation from which several threads pay."""


def work_of(model: Model, examples: Examples) -> int:
    """Products of one evaluation, roughly: what decides whether threads pay."""
    sizes = model.all_sizes(examples)
    pairs = int((examples.length * examples.targets).sum())
    return pairs * sizes["D" if "v" in model.program.state_names else "K"] * sizes.get("H", 1)


def solve_exact(
    model: Model,
    data: Examples,
    t: ArrayLike,
    *,
    initial: Mapping[str, ArrayLike | float] | None = None,
    rates: Mapping[str, float] | None = None,
    seed: int = 0,
    lr: float | None = None,
    keep: Mapping[str, ArrayLike] | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    method: str = "RK45",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Gradient flow of an exact model on examples, without closure.

    Parameters
    ----------
    model : Model
        :func:`dynamics.problems.models.keyword`, ``lexical``, ``positional`` or ``topic``.
    data : Examples
        Inputs of any length with their targets.
    t : array_like, shape (times,)
        Times tau = learning rate x steps, increasing, from 0 on.
    initial : mapping, optional
        States at time 0: arrays, or standard deviations of normal ones drawn with ``seed``. Zero if not given.
    rates : mapping, optional
        Learning rates of the states relative to tau; 1 if not given.
    lr : float, optional
        Follow full-batch gradient descent at this learning rate to second order in it: the flow of the modified loss
        (:func:`derivations.gradient_flow.adjoints.descent_flow`). Without it, the gradient flow, its limit at small rates.
    keep : mapping, optional
        For a dimension (``input``, ``output``, ...), the positions or the labels that the result keeps; all if not
        given.
    rtol, atol, method, **options
        As for :func:`dynamics.integrate.initial_value.integrate`.
    threads : int, optional
        Threads of compiled loops. The result does not depend on it.
    progress : callable, optional
        Called with the share of the time span that is done.

    Returns
    -------
    xarray.Dataset
        Every state over (time, ...), and ``loss`` (time), the mean cross-entropy on the examples. The coordinates of
        inputs and outputs are the labels of the examples, or else their ids.

    Raises
    ------
    InputError
        Data that the model cannot take, unknown states, or a result that memory cannot hold.
    IntegrationError
        The integration failed; the message names the time reached.

    References
    ----------
    Snell et al., arXiv 2103.07601; Lu et al., arXiv 2011.10036. The equations: :mod:`derivations.models`.

    Examples
    --------
    >>> from dynamics.problems.models import keyword
    >>> examples = Examples.from_rows([[0, 2], [1, 2]], [0, 1], inputs=3, outputs=2)  # words 0 and 1 decide
    >>> found = solve_exact(keyword(), examples, [0, 100, 1000])
    >>> found.loss.values.round(3)
    array([0.693, 0.011, 0.001])
    >>> bool(found.s[-1, 0] > found.s[-1, 2])  # attention goes to the words that decide
    True
    """
    wanted = times(t)
    model.check(data)
    if lr is not None:
        if not (np.isfinite(lr) and lr > 0):
            raise InputError(f"lr = {lr} is not a positive number; leave it out for the gradient flow")
        if model.program.model is None:
            raise InputError(f"{model.name} has a metric of its own, and no modified flow: leave lr out, or simulate")
        model = replace(model, program=_descent(model.program))
    rates = learning_rates(model.program.state_names, rates, model.name)
    dims = model.dims
    shapes = model.shapes(data)
    names = data.coordinates
    chosen = _chosen(dims, shapes, keep, names)
    kept = {name: tuple(len(chosen[dim]) for dim in dims[name]) for name in shapes}
    states = sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())
    results = len(wanted) * sum(int(np.prod(shape, dtype=np.int64)) for shape in kept.values())
    require(8 * (16 * states + results), "the flow", lambda _: "keep fewer times, or fewer words with keep=")

    sizes = model.all_sizes(data)
    parameters = {**sizes, **{f"eta_{name}": rate for name, rate in rates.items()}, **({"lr": lr} if lr else {})}
    parallel = work_of(model, data) >= WORTH_SHARING
    flow = model.kernel(data, parallel=parallel).bind(model.arrays(data), parameters)
    observe = model.kernel(data, ("loss",), parallel=parallel).bind(model.arrays(data), parameters, flow.workspace)
    start = model.initial(data, initial, seed)
    y0 = np.concatenate([start[name].ravel() for name in model.program.state_names])
    found = {name: np.empty((len(wanted), *shape)) for name, shape in kept.items()}
    loss, out = np.empty(len(wanted)), np.empty(1)

    def save(time: float, y: NDArray[np.float64]) -> None:
        k = int(np.searchsorted(wanted, time))
        observe(y, out)
        loss[k] = out[0]
        for name, view in flow.states(y).items():
            found[name][k] = view[np.ix_(*(chosen[dim] for dim in dims[name]))]
        if progress is not None and wanted[-1] > 0:
            progress(time / wanted[-1])

    def locate(y: NDArray[np.float64]) -> str:
        return next((name for name, view in flow.states(y).items() if not np.isfinite(view).all()), "the state")

    with limited(threads, sys.maxsize if parallel else 0) as used:
        end = integrate(
            flow, y0, (0.0, float(wanted[-1])), save=save, at=wanted, rtol=rtol, atol=atol, method=method,
            locate=locate, **options,
        )  # fmt: skip
    import xarray as xr

    described = {"long_name": "tau = learning rate x steps", "units": "1"}
    dataset = xr.Dataset(
        {name: (("time", *dims[name]), value) for name, value in found.items()}
        | {"loss": (("time",), loss, {"long_name": "mean cross-entropy", "units": "nats"})},
        {
            "time": ("time", wanted, described),
            **{dim: names[dim][at] if dim in names else at for dim, at in chosen.items()},
        },
    )
    dataset.attrs = {
        "equation": model.name,
        "title": model.program.title,
        "source": model.program.source,
        "examples": len(data),
        "method": method,
        "rtol": rtol,
        "atol": atol,
        "threads": used,
        "seed": seed,
        **({"lr": lr} if lr else {}),
        **{f"rate_{name}": rate for name, rate in rates.items()},
        **{name: str(value) for name, value in options.items()},
        "evaluations": end.statistics.evaluations,
        "steps": end.statistics.steps,
        "seconds": round(end.statistics.seconds, 3),
        **provenance(),
    }
    return dataset


@cache
def _descent(program: Program) -> Program:
    """The modified flow of a model, derived once."""
    return descent_flow(program)


def _chosen(
    dims: Mapping[str, tuple[str, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    keep: Mapping[str, ArrayLike] | None,
    names: Mapping[str, NDArray],
) -> dict[str, NDArray[np.int64]]:
    """The positions of each dimension that the result keeps."""
    extents = {dim: n for name, shape in shapes.items() for dim, n in zip(dims[name], shape, strict=True)}
    found = {dim: np.arange(n) for dim, n in extents.items()}
    for dim, wanted in (keep or {}).items():
        if dim not in extents:
            raise InputError(f"keep: there is no dimension {dim!r}; there are {', '.join(extents)}")
        positions = np.atleast_1d(np.asarray(wanted))
        if positions.dtype.kind == "U":
            places = {str(name): k for k, name in enumerate(names.get(dim, found[dim]))}
            for name in positions:
                if name not in places:
                    raise InputError(f"keep: there is no {dim} {str(name)!r}{did_you_mean(name, places)}")
            positions = np.array([places[name] for name in positions])
        found[dim] = positions.astype(np.int64)
        if found[dim].size == 0 or found[dim].min() < 0 or found[dim].max() >= extents[dim]:
            raise InputError(f"keep: positions of {dim} must be between 0 and {extents[dim] - 1}")
    return found
