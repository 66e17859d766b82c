"""Reduced systems: a few scalars in place of a model's tensors, on the manifold that symmetry keeps."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derivations import reductions
from derivations.program.language import Program
from dynamics.integrate.initial_value import integrate, times
from dynamics.lowering import lower
from dynamics.problems.rates import learning_rates
from dynamics.support.errors import InputError
from dynamics.support.trajectory import provenance

if TYPE_CHECKING:
    import xarray as xr

Tensors = Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class Reduced:
    """A reduced system with its sizes; made by :func:`copying`.

    Attributes
    ----------
    program : Program
        Its flow: states, parameters and definitions are scalars.
    parameters : mapping of str to float
        Sizes, such as V and L.
    states : mapping of str to tuple of str
        The order parameters, and the scalar states that are their entries: one, or one a head.
    rates : mapping of str to str
        The tensors of the model, and the parameters of the program that are their learning rates.
    observables : mapping of str to str
        What else a solution has: its name, and that of the program's scalar.
    project : callable
        From the tensors of the model to the order parameters.
    """

    program: Program
    parameters: Mapping[str, float]
    states: Mapping[str, tuple[str, ...]]
    rates: Mapping[str, str]
    observables: Mapping[str, str]
    project: Callable[[Tensors], dict[str, NDArray[np.float64]]]

    @property
    def name(self) -> str:
        return self.program.name

    def initial(self, given: Mapping[str, ArrayLike] | None) -> NDArray[np.float64]:
        """The packed state to start from; zero where nothing is given.

        Raises
        ------
        InputError
            An unknown order parameter, or values that are not finite or not one for each head.
        """
        start = dict.fromkeys(self.program.state_names, 0.0)
        for name, value in (given or {}).items():
            if name not in self.states:
                raise InputError(f"initial {name!r}: the order parameters of {self.name} are {', '.join(self.states)}")
            entries = self.states[name]
            values = np.asarray(value, dtype=float)
            if values.ndim > 1 or (values.ndim == 1 and values.size != len(entries)) or not np.isfinite(values).all():
                raise InputError(f"initial {name} = {value!r} must be finite: a number, or {len(entries)} of them")
            start |= dict(zip(entries, np.broadcast_to(values, len(entries)).tolist(), strict=True))
        return np.array([start[name] for name in self.program.state_names])


def copying(vocab: int, length: int, heads: int = 1, replacement: bool = False) -> Reduced:
    """Copying with positional attention on its symmetric manifold: order parameters u and a, of each head.

    ``u`` is the mean diagonal minus the mean off-diagonal of W, ``a`` that of P.

    Parameters
    ----------
    vocab, length : int
        V and L, at least 2 each; L at most V unless words may repeat.
    heads : int
        H, with averaged contexts.
    replacement : bool
        Words are drawn with replacement, so that they may repeat (one head).

    Raises
    ------
    InputError
        Sizes that make no task, or several heads with repeated words.

    References
    ----------
    The equations: :func:`derivations.reductions.copying`. Snell et al., arXiv 2103.07601.

    Examples
    --------
    >>> from dynamics import solve
    >>> found = solve(copying(vocab=8, length=8), [0, 200, 400], initial={"u": 0.01, "a": 0.01})
    >>> found.p_t.values.round(2)
    array([0.13, 0.13, 0.92])
    """
    for name, size, least in (("vocab", vocab, 2), ("length", length, 2), ("heads", heads, 1)):
        if not isinstance(size, numbers.Integral) or size < least:
            raise InputError(f"{name} = {size!r} must be a whole number from {least}")
    if length > vocab and not replacement:
        raise InputError(
            f"length = {length} distinct words cannot be drawn from vocab = {vocab}; give a smaller length"
        )
    if replacement and heads > 1:
        raise InputError("several heads are reduced for distinct words only; leave out heads or replacement")
    sizes = {"V": float(vocab), "L": float(length)}
    if replacement:
        program = reductions.copying_repeats(length)
        observables = {name: name for name in ("loss",)}
    elif heads > 1:
        program, observables = reductions.copying_heads(heads), {"loss": "loss", "p_t": "p_t"}
    else:
        program = reductions.copying()
        observables = {"loss": "loss", "p_t": "p_t", "attention": "alpha"}
    numbered = [""] if heads == 1 else [str(h + 1) for h in range(heads)]
    known = {parameter.name for parameter in program.parameters}
    return Reduced(
        program,
        {name: value for name, value in sizes.items() if name in known},
        {name: tuple(name + number for number in numbered) for name in ("u", "a")},
        {"W": "eta_W", "P": "eta_A"},
        observables,
        lambda tensors: {"u": excess(tensors["W"]), "a": excess(tensors["P"])},
    )


def excess(matrices: ArrayLike) -> NDArray[np.float64]:
    """Mean diagonal minus mean off-diagonal of square matrices, shape (..., n, n) to (...).

    Examples
    --------
    >>> float(excess([[3.0, 1.0], [0.0, 5.0]]))
    3.5
    """
    values = np.asarray(matrices, dtype=float)
    n = values.shape[-1]
    diagonal = np.trace(values, axis1=-2, axis2=-1)
    return diagonal / n - (values.sum((-2, -1)) - diagonal) / (n * (n - 1))


def solve_reduced(
    system: Reduced,
    t: ArrayLike,
    *,
    initial: Mapping[str, ArrayLike] | None = None,
    rates: Mapping[str, float] | None = None,
    rtol: float = 1e-8,
    atol: float = 1e-11,
    method: str = "DOP853",
    **options: Any,
) -> xr.Dataset:
    """Trajectory of a reduced system.

    Parameters
    ----------
    system : Reduced
    t : array_like, shape (times,)
        Times tau = learning rate x steps, increasing, from 0 on.
    initial : mapping, optional
        Order parameters at time 0, a number each or one for every head; zero if not given.
    rates : mapping, optional
        Learning rates of the model's tensors relative to tau; 1 if not given.
    rtol, atol, method, **options
        As for :func:`dynamics.integrate.initial_value.integrate`.

    Returns
    -------
    xarray.Dataset
        The order parameters and the observables, ``loss`` among them, over (time,) or (time, head).

    Raises
    ------
    InputError
        Unknown names, or times that are not in order.
    IntegrationError
        The integration failed; the message names the time reached.
    """
    import xarray as xr

    wanted = times(t)
    given = learning_rates(tuple(system.rates), rates, system.name)
    parameters = {**system.parameters, **{system.rates[name]: rate for name, rate in given.items()}}
    flow = lower(system.program).bind({}, parameters)
    shown = tuple(system.observables.values())
    observe = lower(system.program, shown).bind({}, parameters)
    y0 = system.initial(initial)
    states, others = np.empty((len(wanted), y0.size)), np.empty((len(wanted), len(shown)))

    def save(time: float, y: NDArray[np.float64]) -> None:
        k = int(np.searchsorted(wanted, time))
        states[k] = y
        observe(y, others[k])

    end = integrate(
        flow, y0, (0.0, float(wanted[-1])), save=save, at=wanted, rtol=rtol, atol=atol, method=method, **options
    )
    names = system.program.state_names
    found: dict[str, Any] = {
        name: _over_heads(states[:, [names.index(entry) for entry in entries]])
        for name, entries in system.states.items()
    }
    found |= {name: ("time", others[:, k]) for k, name in enumerate(system.observables)}
    dataset = xr.Dataset(found, {"time": ("time", wanted, {"long_name": "tau = learning rate x steps", "units": "1"})})
    dataset.loss.attrs.update(long_name="mean cross-entropy", units="nats")
    dataset.attrs = {
        "equation": system.name, "title": system.program.title, "source": system.program.source, **parameters,
        "method": method, "rtol": rtol, "atol": atol, "evaluations": end.statistics.evaluations,
        "steps": end.statistics.steps, "seconds": round(end.statistics.seconds, 3), **provenance(),
    }  # fmt: skip
    return dataset


def _over_heads(values: NDArray[np.float64]) -> tuple[Sequence[str] | str, NDArray[np.float64]]:
    return ("time", values[:, 0]) if values.shape[1] == 1 else (("time", "head"), values)
