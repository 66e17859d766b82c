"""Theory's trajectories: from a co-occurrence matrix to W, A, KTIW and attention over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray

from derivations import closures
from derivations.program import Program
from dynamics.cooccurrence import CoOccurrence
from dynamics.errors import InputError
from dynamics.integrate import Statistics, integrate, times
from dynamics.lowering import Bound, lower
from dynamics.memory import require
from dynamics.threads import WORTH_SHARING, limited
from dynamics.trajectory import provenance

if TYPE_CHECKING:
    import xarray as xr

Vector = NDArray[np.float64]

STAGES = ("joint", "two-stage", "frozen")
CLOSURES = ("conditional", "linear", "linear-bias", "marginal", "gram")
STATES_AT_WORK = 12
"""Copies of the state that a Runge-Kutta integration, its workspace and its results hold at one time."""


@dataclass(frozen=True)
class Phase:
    """A part of a prediction: until a time, each state flows at a rate of its own (0: held)."""

    until: float
    rates: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Problem:
    """A closure on a co-occurrence matrix: its flow and its observables, bound to data.

    ``weights`` turns the packed attention (if the closure has any) into a dense matrix for the chosen rows and columns.
    """

    flow: Bound
    observe: Bound
    y0: Vector
    chosen: tuple[NDArray[np.int64], NDArray[np.int64]]
    entries: NDArray[np.int64] | None = None
    columns: NDArray[np.int64] | None = None

    @property
    def program(self) -> Program:
        return self.flow.kernel.program

    @property
    def has_attention(self) -> bool:
        return "A" in self.program.state_names


def solve(
    system: CoOccurrence,
    t: ArrayLike,
    *,
    stages: str | Sequence[str] | None = None,
    closure: str = "conditional",
    switch: float | None = None,
    rates: Mapping[str, float] | None = None,
    initial: Mapping[str, ArrayLike] | None = None,
    top: int | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    method: str = "RK45",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> xr.Dataset:
    """Predicted trajectories for a co-occurrence matrix.

    Both stages of learning from C alone: words of a sentence are replaced by their distribution R = C/q given the target,
    and the values W and attention logits A flow down the loss

        loss = -sum_o q[o] log softmax_v(sum_i Rt[i,o] W[i,v])[o],   Rt[i,o] = R[i,o] e^A[i,o] / sum_k R[k,o] e^A[k,o].

    Parameters
    ----------
    system : CoOccurrence
        The co-occurrence of V inputs with K outputs.
    t : array_like, shape (times,)
        Times tau = learning rate x steps, increasing, from 0 on. The trajectory has exactly these.
    stages : str or sequence of str, optional
        ``joint`` (default): W and A flow together. ``two-stage``: A is held at 0 until ``switch``, then both flow.
        ``frozen``: likewise, but W is held from then on. Several names give a dimension ``stages``.
    closure : str
        ``conditional`` (default, both stages), or a closure of stage one, in which attention stays uniform: ``linear``,
        ``linear-bias``, ``marginal`` (needs the mean length) or ``gram`` (needs the Gram matrix).
    switch : float, optional
        The time at which stage one ends, for ``two-stage`` and ``frozen``. Default: when the loss at uniform attention has
        fallen by half of what it falls until ``t[-1]``.
    rates : mapping, optional
        Learning rates of ``W`` and ``A`` relative to tau; 1 if not given.
    initial : mapping, optional
        ``W`` of shape (V, K) and ``A`` of shape (V, K) at time 0; zero if not given.
    top : int, optional
        Keep only the most frequent inputs and outputs, this many of each, in the result. All take part in the flow.
    rtol, atol, method, **options
        As for :func:`dynamics.integrate.integrate`.
    threads : int, optional
        Threads of compiled loops and of BLAS. The result does not depend on it.
    progress : callable, optional
        Called with the share of the time span that is done.

    Returns
    -------
    xarray.Dataset
        ``W``, ``A`` and ``beta`` (KTIW, softmax_o W) over (time, input, output); ``loss`` over (time); ``attention``, the
        share of the best input word of each output, and ``attended``, that word, over (time, output). Stage-one closures
        have no A, attention and attended. ``attrs`` hold every parameter and what the integration took.

    Raises
    ------
    InputError
        Times out of order, unknown names, a closure that lacks its statistic, or a result that memory cannot hold.
    IntegrationError
        The integration failed; the message names the time reached.

    References
    ----------
    Snell et al., arXiv 2103.07601. The equations: ``dynamics derive joint``.

    Examples
    --------
    >>> from dynamics import CoOccurrence, solve
    >>> lexicon = CoOccurrence.from_counts([[8, 1], [1, 8]], inputs=["Hund", "Katze"], outputs=["dog", "cat"])
    >>> found = solve(lexicon, [0, 10, 100])
    >>> found.beta.sel(input="Hund", output="dog").values.round(3)
    array([0.5  , 0.963, 0.997])
    """
    wanted = times(t)
    names = _stages(stages, closure)
    rates = _rates(rates, closure)
    problem = _problem(system, closure, initial, top, len(wanted), rates)
    results = []
    with limited(threads, problem.y0.size) as used:
        if switch is None and wanted[-1] > 0 and set(names) & {"two-stage", "frozen"}:
            switch = half_fall(problem, float(wanted[-1]), rates, rtol, atol, method, options)
        for k, name in enumerate(names):
            share = None if progress is None else (lambda x, k=k: progress((k + x) / len(names)))
            phases = _phases(name, float(wanted[-1]), switch, rates)
            results.append(_run(problem, wanted, phases, share, rtol=rtol, atol=atol, method=method, **options))
    attrs = {
        "equation": problem.program.name,
        "title": problem.program.title,
        "source": problem.program.source,
        "closure": closure,
        "method": method,
        "rtol": rtol,
        "atol": atol,
        "threads": used,
        **{f"rate_{state}": rate for state, rate in rates.items()},
        **({"switch": switch} if switch is not None else {}),
        **({"length": system.length} if system.length is not None else {}),
        **({"top": top} if top is not None else {}),
        **{f"cooccurrence_{key}": value for key, value in system.attrs.items()},
        **{key: str(value) for key, value in options.items()},
    }
    return _dataset(system, problem, wanted, names, results, attrs, squeeze=isinstance(stages, str) or stages is None)


def _stages(stages: str | Sequence[str] | None, closure: str) -> tuple[str, ...]:
    if closure not in CLOSURES:
        raise InputError(f"unknown closure {closure!r}; use one of {', '.join(CLOSURES)}")
    if closure != "conditional":
        if stages is not None:
            raise InputError(f"closure={closure!r} is stage one only; leave stages out, or use closure='conditional'")
        return ("stage-one",)
    names = (stages,) if isinstance(stages, str) else tuple(stages) if stages is not None else ("joint",)
    for name in names:
        if name not in STAGES:
            raise InputError(f"unknown stages {name!r}; use one of {', '.join(STAGES)}")
    if not names or len(set(names)) < len(names):
        raise InputError(f"stages = {names!r} must name one or more different predictions of {', '.join(STAGES)}")
    return names


def _rates(rates: Mapping[str, float] | None, closure: str) -> dict[str, float]:
    states = ("W", "A") if closure == "conditional" else ("W",)
    found = dict.fromkeys(states, 1.0) | dict(rates or {})
    for state, rate in found.items():
        if state not in states:
            raise InputError(f"rate of {state!r}: the closure {closure!r} has the states {' and '.join(states)} only")
        if not (np.isfinite(rate) and rate >= 0):
            raise InputError(f"rate of {state} = {rate} must be a number from 0 on")
    return found


def _phases(name: str, end: float, switch: float | None, rates: Mapping[str, float]) -> list[Phase]:
    """What flows until when."""
    if name in ("joint", "stage-one"):
        return [Phase(end, rates)]
    if switch is None or not (np.isfinite(switch) and switch >= 0):
        raise InputError(f"switch = {switch} must be a time from 0 on: the end of stage one")
    then = dict(rates) if name == "two-stage" else {**rates, "W": 0.0}
    return [Phase(min(switch, end), {**rates, "A": 0.0}), Phase(end, then)]


def _problem(
    system: CoOccurrence,
    closure: str,
    initial: Mapping[str, ArrayLike] | None,
    top: int | None,
    n_times: int,
    rates: Mapping[str, float],
) -> Problem:
    """The closure's kernels bound to the statistics that they need."""
    inputs, outputs = system.shape
    rows, columns = _most_frequent(system.c, top), _most_frequent(system.q, top)
    sparse = closure == "conditional" and system.is_sparse
    size = inputs * outputs + ((system.nnz if sparse else inputs * outputs) if closure == "conditional" else 0)
    kept = n_times * rows.size * columns.size * (3 if closure == "conditional" else 2)
    _fits(system, size, kept, n_times, top)

    parameters = {f"eta_{state}": rate for state, rate in rates.items()}
    data: dict[str, Any]
    pattern: Any = None
    if closure == "conditional":
        program = closures.both_stages_sparse() if sparse else closures.both_stages()
        conditional = system.conditional()
        data = {"q": system.q}
        if sparse:
            pattern = scipy.sparse.csc_array(conditional)
            pattern.sort_indices()
            data |= {"count": np.diff(pattern.indptr), "word": pattern.indices, "R": pattern.data}
            parameters["V"] = inputs
        else:
            data["R"] = conditional
        observables = ["loss", "beta", "Rtilde"]
    else:
        program = {
            "linear": closures.linear,
            "linear-bias": closures.linear_bias,
            "marginal": closures.marginal,
            "gram": closures.gram,
        }[closure]()
        data = {"C": system.dense().C, "c": system.c, "q": system.q}
        if closure == "marginal":
            if system.length is None:
                raise InputError("the marginal closure needs the mean input length; give length= with the counts")
            parameters["L"] = system.length
        if closure == "gram":
            if system.gram is None:
                raise InputError("the Gram closure needs the Gram matrix; count the text with gram=True")
            data["G"] = system.gram
        observables = ["loss", "beta"]

    parallel = size >= WORTH_SHARING
    flow = lower(program, parallel=parallel).bind(data, parameters)
    observe = lower(program, observables, parallel=parallel).bind(data, parameters, workspace=flow.workspace)
    problem = Problem(
        flow, observe, np.zeros(flow.state_size), (rows, columns), *(_entries(pattern, rows, columns) if sparse else ())
    )
    _start(problem, system, initial, pattern)
    return problem


def _entries(pattern: Any, rows: NDArray, columns: NDArray) -> tuple[NDArray, NDArray]:
    """For a sparse pattern: the column of every entry, and the entry at each chosen cell (-1: none)."""
    column_of = np.repeat(np.arange(pattern.shape[1]), np.diff(pattern.indptr))
    numbered = scipy.sparse.csr_array(
        (np.arange(1, pattern.nnz + 1), (pattern.indices, column_of)), shape=pattern.shape, dtype=np.int64
    )
    return numbered[rows][:, columns].toarray() - 1, column_of


def _start(problem: Problem, system: CoOccurrence, initial: Mapping[str, ArrayLike] | None, pattern: Any) -> None:
    """Put the initial state into y0."""
    views = problem.flow.states(problem.y0)
    for name, value in (initial or {}).items():
        if name not in views:
            raise InputError(f"initial {name!r}: the states are {' and '.join(views)}")
        array = np.asarray(value, dtype=float)
        if array.shape != system.shape or not np.isfinite(array).all():
            raise InputError(f"initial {name} must be finite and of shape {system.shape}, not {array.shape}")
        views[name][...] = array[pattern.indices, problem.columns] if views[name].ndim == 1 else array


def _most_frequent(weights: Vector, top: int | None) -> NDArray[np.int64]:
    """All positions, or those of the largest weights, most frequent first."""
    if top is None:
        return np.arange(weights.size)
    if top < 1:
        raise InputError(f"top = {top} must be 1 or more")
    return np.argsort(-weights, kind="stable")[:top]


def _fits(system: CoOccurrence, size: int, kept: int, n_times: int, top: int | None) -> None:
    """Refuse what memory cannot hold, before anything is allocated."""
    inputs, outputs = system.shape
    work = 8 * (STATES_AT_WORK * size + outputs * outputs)
    words = round(min(inputs, outputs))

    def fitting(budget: float) -> str:
        fits = int(words * (budget / work) ** 0.5)
        return f"max_vocab={fits} would fit"

    require(work, f"the flow of {inputs} x {outputs} words", fitting)
    require(
        work + 8 * kept,
        f"the result at {n_times} times",
        lambda budget: f"top={max(1, int(((budget - work) / (24 * n_times)) ** 0.5))} keeps the most frequent words only",
    )


def half_fall(
    problem: Problem, end: float, rates: Mapping[str, float], rtol: float, atol: float, method: str, options: Mapping
) -> float:
    """The time at which the loss at uniform attention has fallen by half of what it falls until the end."""
    grid = np.concatenate([[0.0], end * np.geomspace(1e-4, 1, 200)])
    loss = np.empty(grid.size)
    out = np.empty(problem.observe.output_size)

    def save(t: float, y: Vector) -> None:
        problem.observe(y, out)
        loss[np.searchsorted(grid, t)] = problem.observe.results(out)["loss"]

    held = {f"eta_{state}": (rate if state == "W" else 0.0) for state, rate in rates.items()}
    flow = problem.flow.with_parameters(**held)
    integrate(flow, problem.y0, (0.0, end), save=save, at=grid, rtol=rtol, atol=atol, method=method, **options)
    fallen = np.maximum.accumulate(loss[0] - loss)
    return float(np.interp(0.5 * fallen[-1], fallen, grid))


@dataclass
class Record:
    """What is kept of one prediction while it runs."""

    states: dict[str, NDArray]
    loss: Vector
    beta: NDArray
    attention: NDArray | None
    attended: NDArray | None
    statistics: Statistics = field(default_factory=Statistics)


def _run(
    problem: Problem,
    wanted: Vector,
    phases: Sequence[Phase],
    progress: Callable[[float], None] | None,
    **options: Any,
) -> Record:
    """Integrate phase by phase, keeping the chosen words at the chosen times."""
    rows, columns = problem.chosen
    shape = (wanted.size, rows.size, columns.size)
    record = Record(
        {name: np.zeros(shape) for name in problem.program.state_names},
        np.empty(wanted.size),
        np.empty(shape),
        np.empty((wanted.size, columns.size)) if problem.has_attention else None,
        np.empty((wanted.size, columns.size), dtype=np.int64) if problem.has_attention else None,
    )
    out = np.empty(problem.observe.output_size)
    cells = np.ix_(rows, columns)
    whole = rows.size * columns.size == problem.flow.states(problem.y0)["W"].size and problem.entries is None

    def save(t: float, y: Vector) -> None:
        k = int(np.searchsorted(wanted, t))
        problem.observe(y, out)
        seen, states = problem.observe.results(out), problem.flow.states(y)
        record.loss[k] = seen["loss"]
        record.beta[k] = seen["beta"] if whole else seen["beta"][cells]
        record.states["W"][k] = states["W"] if whole else states["W"][cells]
        if problem.has_attention:
            share = seen["Rtilde"]
            if problem.entries is None:
                record.states["A"][k] = states["A"] if whole else states["A"][cells]
                best = share.argmax(axis=0)[columns]
                record.attended[k], record.attention[k] = best, share[best, columns]  # type: ignore[index]
            else:
                record.states["A"][k] = np.where(problem.entries >= 0, states["A"][problem.entries], 0.0)
                record.attended[k], record.attention[k] = _best(problem, share, columns)  # type: ignore[index]
        if progress is not None and wanted[-1] > 0:
            progress(t / wanted[-1])

    start, y = 0.0, problem.y0
    for phase in phases:
        if phase.until < start or (phase.until == start and phase is not phases[-1]):
            continue
        flow = problem.flow.with_parameters(**{f"eta_{state}": rate for state, rate in phase.rates.items()})
        end = integrate(flow, y, (start, phase.until), save=save, at=wanted, locate=_locator(flow), **options)
        start, y = end.t, end.y
        record.statistics += end.statistics
    return record


def _best(problem: Problem, share: Vector, columns: NDArray) -> tuple[NDArray, NDArray]:
    """The input word with the largest share in each chosen column, and its share, on a sparse pattern."""
    counts, words = problem.flow.arrays["count"], problem.flow.arrays["word"]
    starts = np.concatenate([[0], np.cumsum(counts)])
    best = np.array([starts[o] + share[starts[o] : starts[o + 1]].argmax() for o in columns])
    return words[best], share[best]


def _locator(flow: Bound) -> Callable[[Vector], str]:
    def locate(y: Vector) -> str:
        return next((name for name, view in flow.states(y).items() if not np.isfinite(view).all()), "the state")

    return locate


def _dataset(
    system: CoOccurrence,
    problem: Problem,
    wanted: Vector,
    names: Sequence[str],
    results: Sequence[Record],
    attrs: Mapping[str, Any],
    squeeze: bool,
) -> xr.Dataset:
    """The records as a labelled dataset."""
    import xarray as xr

    rows, columns = problem.chosen
    inputs, outputs = np.array(system.inputs), np.array(system.outputs)
    cells, per_output = ("time", "input", "output"), ("time", "output")
    described = {
        "W": (cells, "value of an input word for an output", "logits"),
        "A": (cells, "attention logit of an input word while the target is the output", "logits"),
        "beta": (cells, "KTIW: probability of the output given the input word alone", "1"),
        "loss": (("time",), "mean cross-entropy", "nats"),
        "attention": (per_output, "share of attention on the best input word, given the output", "1"),
        "attended": (per_output, "input word with the largest share of attention, given the output", ""),
    }

    def variables(record: Record) -> dict[str, tuple]:
        values = {**record.states, "beta": record.beta, "loss": record.loss}
        if record.attention is not None and record.attended is not None:
            values |= {"attention": record.attention, "attended": inputs[record.attended]}
        return {
            name: (described[name][0], value, {"long_name": described[name][1], "units": described[name][2]})
            for name, value in values.items()
        }

    coordinates = {
        "time": ("time", wanted, {"long_name": "tau = learning rate x steps", "units": "1"}),
        "input": inputs[rows],
        "output": outputs[columns],
    }
    parts = [xr.Dataset(variables(record), coordinates) for record in results]
    whole = parts[0] if squeeze else xr.concat(parts, xr.DataArray(list(names), dims="stages", name="stages"))
    total = sum((record.statistics for record in results), Statistics())
    whole.attrs = {
        **attrs,
        "stages": ", ".join(names),
        "evaluations": total.evaluations,
        "steps": total.steps,
        "seconds": round(total.seconds, 3),
        **provenance(),
    }
    return whole
